#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later
# A chain's members that are missing, others than named, or in a circle.
. "$(dirname "$0")/functions.sh"

silent vhdctl create --size 1M parent.vhd
silent vhdctl snapshot parent.vhd child.vhd
uuid=$(vhdctl info parent.vhd | sed -n 's/^ *uuid: //p')
mv parent.vhd away.vhd
missing="child.vhd: its parent (uuid $uuid) was not found: $PWD/parent.vhd: cannot open it: No such file or directory"
refused 1 "vhdctl: $missing" vhdctl read child.vhd
refused 1 "vhdctl: $missing" vhdctl map child.vhd
refused 1 "vhdctl: $missing" vhdctl info --chain child.vhd
is "$(vhdctl info child.vhd | sed -n 's/^backing file: //p')" "./parent.vhd (not found)"
run vhdctl check --chain child.vhd
is "$status" 2
is "$out" "layer 0: child.vhd
error (parent): $missing
1 errors were found on the image.
0/1 = 0.00% allocated
Image end offset: 77824"

silent vhdctl create --size 1M parent.vhd
other=$(vhdctl info parent.vhd | sed -n 's/^ *uuid: //p')
refused 1 "vhdctl: child.vhd: its parent (uuid $uuid) was not found: $PWD/parent.vhd: is another image, its uuid is $other" \
    vhdctl read child.vhd

# Its own grandfather.
rm -f parent.vhd
mv away.vhd parent.vhd
silent vhdctl snapshot child.vhd grandchild.vhd
chmod u+w parent.vhd child.vhd
child_uuid=$(vhdctl info child.vhd | sed -n 's/^ *uuid: //p')
cp grandchild.vhd parent.vhd
poke parent.vhd footers 68 "$uuid"
run vhdctl read child.vhd
is "$status" 1
[[ $err == *"$PWD/child.vhd"*cycle* || $err == *cycle* ]] || fail "$err ($child_uuid)"
run vhdctl check --chain child.vhd
is "$status" 2
[[ $out == *"error (chain): the image is its own ancestor: its parent $PWD/child.vhd is layer 0 already"* ]] ||
    fail "$out"
