#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later
# Fields that only inform may hold anything, and keep it when the image is written.
. "$(dirname "$0")/functions.sh"

silent vhdctl create --size 8M d.vhd
noise data 4096
silent vhdctl write d.vhd <data
silent vhdctl snapshot d.vhd c.vhd
chmod u+w d.vhd

# carried IMAGE WHERE OFFSET HEX: served, written (a new block, so that the footer moves), still there.
carried() {
    local image=$1 where=$2 off=$3 hex=$4 at
    cp "$image.vhd" x.vhd
    poke x.vhd "$where" "$off" "$hex"
    vhdctl read --length 4096 x.vhd >now
    same_bytes now data
    silent vhdctl write --offset 4M x.vhd <data
    vhdctl read --offset 4M --length 4096 x.vhd >now
    same_bytes now data
    for at in $([[ $where == header ]] && echo 512 || echo 0 $(($(stat -c %s x.vhd) - 512))); do
        is "$(xxd -p -c 512 -s $((at + off)) -l $((${#hex} / 2)) x.vhd)" "$hex" "$where $off of $image at $at"
    done
    run vhdctl check --chain x.vhd
    is "$status" 0 "$out"
}
ones=$(printf 'ff%.0s' {1..512})
for image in d c; do
    carried $image footers 8 ffffffff            # features
    carried $image footers 14 1234               # minor version
    carried $image footers 24 ffffffff           # time stamp
    carried $image footers 28 00fe7f0a           # creator
    carried $image footers 32 ffffffff           # its version
    carried $image footers 36 00000000           # its host
    carried $image footers 40 ffffffffffffffff   # original size
    carried $image footers 40 0000000000000000
    carried $image footers 56 ffffffff           # geometry
    carried $image footers 56 00000000
    carried $image footers 84 01                 # saved state
    carried $image footers 85 "${ones::854}"     # reserved
    carried $image header 8 0000000000000000     # data offset
    carried $image header 26 4321                # minor version
    carried $image header 56 ffffffff            # the parent's time stamp
    carried $image header 60 ffffffff            # reserved
    carried $image header 768 "${ones::512}"     # reserved
done
carried c header 64 "${ones::1024}"              # the parent's name: no text
carried c header 588 ffffffff                    # reserved word of a locator
carried c header 580 00000001                    # data space: one sector
carried c header 580 ffffffff                    # neither sectors nor bytes
carried d header 40 "${ones::32}"                # a parent uuid where there is no parent
carried d header 576 "${ones::384}"              # locators, likewise
carried d footers 68 "${ones::32}"               # any uuid
