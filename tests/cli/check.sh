#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later
# check: exit status, totals and findings.
. "$(dirname "$0")/functions.sh"

requires jq
silent vhdctl create --size 8M a.vhd
noise data 8192
silent vhdctl write a.vhd <data
silent vhdctl write --offset 4M a.vhd <data
run vhdctl check --json a.vhd
is "$status$err" 0
is "$(jq -c . <<<"$out")" '{"image-end-offset":4206592,"total-clusters":4,"check-errors":0,"allocated-clusters":2,"filename":"a.vhd","format":"vpc","findings":[]}'

# Not to be checked: 1.
refused 1 "vhdctl: none.vhd: cannot open it: No such file or directory" vhdctl check none.vhd
refused 1 "vhdctl: data: neither its beginning nor its end is a VHD's footer: it is no VHD or was cut off" \
    vhdctl check data
: >empty
refused 1 "vhdctl: empty: neither its beginning nor its end is a VHD's footer: it is no VHD or was cut off" \
    vhdctl check empty

# Leaks only: 3. The second block's entry goes.
cp a.vhd leak.vhd
poke leak.vhd file $((1536 + 8)) ffffffff
run vhdctl check --json leak.vhd
is "$status" 3
is "$(jq -c '[.leaks, .corruptions, (.findings[] | [.code, .severity, .offset, .repairable])]' <<<"$out")" \
    '[1,null,["leak","leak",2105344,true]]'
run vhdctl check leak.vhd
is "$status" 3
[[ $out == "leak (leak): "*" bytes from offset 2105344 on belong to no block"* ]] || fail "$out"

# Corrupt: 2, leaks or not.
cp a.vhd bad.vhd
poke bad.vhd file 1536 00000001
run vhdctl check bad.vhd
is "$status" 2
is "$(head -1 <<<"$out")" "error (bat-entry): the block that the table's entry at offset 1536 names begins at 512 and lies over metadata that end at 1536: the image is damaged; restore it from a backup"
run vhdctl check --json bad.vhd
is "$(jq '.corruptions' <<<"$out")" 1
