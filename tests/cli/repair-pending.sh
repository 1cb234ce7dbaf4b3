#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later
# A log of writes that waits for a damaged image: taken in first, or given up where that cannot be.
. "$(dirname "$0")/functions.sh"

if [[ $(id -u) != 0 ]]; then
    echo "skipped: the logs are root's"
    exit 77
fi
killed() { # IMAGE OFFSET BYTE
    run "$VHD_KILLED_WRITER" "$@"
    is "$status" 137 "status of the killed writer: $err"
}
log_of() { vhdctl info "$1" 2>/dev/null | sed -n 's/^writes not yet in the file: //p'; }
holds() { # IMAGE OFFSET BYTE
    is "$(vhdctl read -o "$2" -l 4096 "$1" 2>/dev/null | tr -d "$3" | wc -c)" 0 "$1 at $2"
}

# What was acknowledged is no leak: it is taken in.
silent vhdctl create --size 8M a.vhd
cp a.vhd backup.vhd
killed a.vhd 2097152 A
log=$(log_of a.vhd)
[[ -e $log ]] || fail "no log: $log"
cleanups+=("rm -f '$log'")
before=$(sha256sum <a.vhd)
run vhdctl repair --dry-run a.vhd
is "$out" "pending: the writes that wait in $log are taken in first, if they can be; what is to be mended shows then"
is "$status$(sha256sum <a.vhd)" "0$before"
run vhdctl repair a.vhd
is "$status" 0 "$err"
is "$out" "pending: the writes that waited in $log are in the file now
There is nothing to mend."
holds a.vhd 2M A
[[ ! -e $log ]] || fail "the log is still there"

# A damaged footer is no hindrance.
killed a.vhd 4194304 B
log=$(log_of a.vhd)
cleanups+=("rm -f '$log'")
poke a.vhd 'end!' 100 01
run vhdctl repair a.vhd
is "$status" 0 "$out$err"
holds a.vhd 4M B
run vhdctl check a.vhd
is "$status" 0 "$out"

# A backup was copied over the image: the log fits it no more.
killed a.vhd 6291456 C
log=$(log_of a.vhd)
cleanups+=("rm -f '$log'")
cat backup.vhd >a.vhd
misfit="vhdctl: a.vhd: the log of writes that wait for a flush, $log, does not fit this file: it was changed or replaced since; put back the file as it was, or give those writes up with vhdctl repair --drop-pending"
refused 1 "$misfit" vhdctl read --length 1 a.vhd
refused 1 "$misfit" vhdctl repair a.vhd
[[ -e $log ]] || fail "the log is gone"
run vhdctl repair --drop-pending a.vhd
is "$status" 0 "$err"
is "$out" "pending: writes to block 3 are given up, bytes 6291456 to 8388607 of the disk
There is nothing to mend."
[[ ! -e $log ]] || fail "the log is still there"
same_bytes a.vhd backup.vhd
run vhdctl read --length 1 a.vhd
is "$status" 0

# One that fits is taken in all the same.
killed a.vhd 0 D
log=$(log_of a.vhd)
cleanups+=("rm -f '$log'")
run vhdctl repair --drop-pending a.vhd
is "$status" 0 "$err"
holds a.vhd 0 D

# The image is too damaged to take it in: nothing is mended before that is decided.
killed a.vhd 2097152 E
log=$(log_of a.vhd)
cleanups+=("rm -f '$log'")
poke a.vhd file $((1536 + 12)) 00000001
before=$(sha256sum <a.vhd)
run vhdctl repair --yes a.vhd
is "$status$out" 1
[[ $err == *"; and writes wait for it in $log, which are to be given up first: vhdctl repair --drop-pending" ]] ||
    fail "$err"
is "$(sha256sum <a.vhd)" "$before"
run vhdctl repair --yes --drop-pending a.vhd
is "$status" 0 "$err"
holds a.vhd 0 D
run vhdctl check a.vhd
is "$status" 0 "$out"
