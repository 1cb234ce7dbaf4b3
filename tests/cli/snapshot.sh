#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later
# snapshot: content of the parent, its size, blocks and geometry; the parent protected.
. "$(dirname "$0")/functions.sh"

silent vhdctl create --size 5M --block-size 512K parent.vhd
noise data 700000
silent vhdctl write --offset 300001 parent.vhd <data
chmod 640 parent.vhd
touch -d 2020-02-02T02:02:02Z parent.vhd
silent vhdctl snapshot parent.vhd child.vhd

is "$(stat -c %a parent.vhd)" 440 "the parent's mode"
is "$(stat -c %a child.vhd)" 640 "the child's mode"
vhdctl read parent.vhd >a
vhdctl read child.vhd >b
same_bytes a b
info() { vhdctl info "$1" | sed -n "s/^ *$2: //p"; }
is "$(vhdctl info --size child.vhd)" 5242880
is "$(info child.vhd cluster_size)" 524288
is "$(info child.vhd geometry)" "$(info parent.vhd geometry)"
is "$(info child.vhd 'parent uuid')" "$(info parent.vhd uuid)"
is "$(info child.vhd 'parent time stamp')" 2020-02-02T02:02:02Z
is "$(info child.vhd 'backing file')" "./parent.vhd (actual path: $PWD/parent.vhd)"
[[ $(info child.vhd uuid) != "$(info parent.vhd uuid)" ]] || fail "the same uuid"

before=$(sha256sum <parent.vhd)
printf x | silent vhdctl write --offset 2M child.vhd
is "$(sha256sum <parent.vhd)" "$before" "the parent after a write to the child"
refused 1 "vhdctl: child.vhd: exists already; name another file, or replace it with --force" \
    vhdctl snapshot parent.vhd child.vhd

# Of a fixed parent: blocks of 2 MiB.
silent vhdctl create --type fixed --size 3M fixed.vhd
silent vhdctl snapshot fixed.vhd fixed-child.vhd
is "$(info fixed-child.vhd cluster_size)" 2097152

# A newer parent is told, and serves.
silent vhdctl snapshot parent.vhd second.vhd
touch -d 2021-01-01 parent.vhd
run vhdctl read --length 1 second.vhd
is "$status" 0
is "$err" "vhdctl: warning: $PWD/parent.vhd: was changed after its child second.vhd was made; if its content changed, what the child shows is a mixture"
