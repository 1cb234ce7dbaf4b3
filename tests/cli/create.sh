#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later
# create: what is made, and what stands there already.
. "$(dirname "$0")/functions.sh"

silent vhdctl create --size 10M a.vhd
is "$(vhdctl info --size a.vhd)" 10485760
is "$(stat -c %a a.vhd)" 644 "mode"
is "$(stat -c %s a.vhd)" 8192 "length"
is "$(find . -name '.a*')" "" "temporary files"
run vhdctl check a.vhd
is "$out" "No errors were found on the image.
0/5 = 0.00% allocated
Image end offset: 2048"

before=$(sha256sum <a.vhd)
refused 1 "vhdctl: a.vhd: exists already; name another file, or replace it with --force" \
    vhdctl create --size 20M a.vhd
is "$(sha256sum <a.vhd)" "$before" "the file that was there"
silent vhdctl create --force --size 20M a.vhd
is "$(vhdctl info --size a.vhd)" 20971520

silent vhdctl create --type fixed --size 10M f.vhd
is "$(stat -c %s f.vhd)" $((10485760 + 512)) "length of a fixed image"
(($(stat -c %b f.vhd) < 64)) || fail "a fixed image is not sparse"
silent vhdctl create --type fixed --preallocate --size 1M p.vhd
(($(stat -c %b p.vhd) >= 2048)) || fail "a fixed image has no space"
silent vhdctl create --preallocate --size 5M --block-size 1M d.vhd
(($(stat -c %b d.vhd) >= 10240)) || fail "a dynamic image has no space"
run vhdctl check d.vhd
is "$out" "No errors were found on the image.
5/5 = 100.00% allocated
Image end offset: 5267456"
run vhdctl read d.vhd
is "$status" 0
vhdctl read d.vhd | cmp - <(head -c 5242880 /dev/zero) || fail "a new image does not read as zeros"

# uuids are new each time, and of version 4.
silent vhdctl create --size 1M u1.vhd
silent vhdctl create --size 1M u2.vhd
one=$(vhdctl info u1.vhd | sed -n 's/^ *uuid: //p') two=$(vhdctl info u2.vhd | sed -n 's/^ *uuid: //p')
[[ $one != "$two" && $one =~ ^[0-9a-f]{32}$ ]] || fail "uuids $one $two"

(umask 077 && silent vhdctl create --size 1M m.vhd)
is "$(stat -c %a m.vhd)" 600 "mode under umask 077"
refused 1 "vhdctl: no/such.vhd: cannot create it: No such file or directory" \
    vhdctl create --size 1M no/such.vhd
