#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later
# One bad footer of two: the other serves, with a warning. Two good ones that differ: reading only.
. "$(dirname "$0")/functions.sh"

silent vhdctl create --size 8M d.vhd
noise data 4096
silent vhdctl write d.vhd <data
silent vhdctl write --offset 2M d.vhd <data
end=$(($(stat -c %s d.vhd) - 512))
serves() { # WARNING FINDING WHERE OFFSET HEX
    local warning=$1 finding=$2
    shift 2
    cp d.vhd x.vhd
    poke x.vhd "$@"
    vhdctl read --length 4096 x.vhd >now 2>said
    same_bytes now data
    is "$(<said)" "vhdctl: warning: x.vhd: $warning"
    run vhdctl check x.vhd
    [[ $out == *"($finding): "* ]] || fail "$out"
    is "$status" "$wanted"
}
wanted=2
serves "the footer at offset 0 is damaged; the one at offset $end serves" footer-copy 'copy!' 100 01
serves "the footer at offset $end is lost or damaged; the one at offset 0 serves" footer-end 'end!' 100 01
wanted=0
serves "the footer at offset $end is lost or damaged; the one at offset 0 serves" footer-lost \
    'end!' 0 "$(printf '00%.0s' {1..512})"

# Writing puts it right.
run vhdctl write x.vhd <data
is "$status" 0 "$err"
run vhdctl check x.vhd
is "$status" 0
is "$(head -1 <<<"$out")" "No errors were found on the image."

read_only="it can only be read; look at its content, then choose one with vhdctl repair --footer; opened read-only"
wanted=2
differs() { # OFFSET COPY END WHERE OFFSET HEX
    local at=$1 in_copy=$2 in_end=$3
    shift 3
    serves "the field at offset $at is $in_copy in the footer copy there but $in_end in the footer at the end of the file: $read_only" \
        footers-differ "$@"
    run vhdctl write x.vhd <data
    is "$status" 1
    is "${err##*$'\n'}" "vhdctl: x.vhd: can only be read"
}
differs 48 8388608 9437184 end 48 0000000000900000
differs 60 3 4 end 60 00000004
differs 16 512 1024 end 16 0000000000000400
