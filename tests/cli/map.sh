#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later
# map: which layer holds what, for people in 80 columns and for programs as qemu-img.
. "$(dirname "$0")/functions.sh"

requires jq
silent vhdctl create --size 8M a.vhd
noise data 8192
silent vhdctl write --offset 2M a.vhd <data
silent vhdctl snapshot a.vhd b.vhd
head -c 512 data | silent vhdctl write --offset $((2097152 + 1024)) b.vhd
map=$(vhdctl map --json b.vhd)
# Start, length, depth of what is present and not zero.
is "$(jq -c 'map(select(.data)) | .[] | [.start, .length, .depth, .present, .zero]' <<<"$map")" \
    "[2097152,1024,1,true,false]
[2098176,512,0,true,false]
[2098688,6656,1,true,false]"
# Everything is covered, without gaps.
is "$(jq '[.[].length] | add' <<<"$map")" 8388608
is "$(jq '[range(1; length) as $i | .[$i].start == .[$i-1].start + .[$i-1].length] | all' <<<"$map")" true
is "$(jq -c '.[0]' <<<"$map")" '{"start":0,"length":2097152,"depth":1,"present":false,"zero":true,"data":false}'
# Offsets are the files'.
off=$(jq '.[] | select(.depth == 0) | .offset' <<<"$map")
cmp <(dd if=b.vhd bs=1 skip="$off" count=512 status=none) <(head -c 512 data)

run vhdctl map b.vhd
is "$(head -4 <<<"$out")" "layer 0: b.vhd
layer 1: $PWD/a.vhd

             start             length  layer  offset in its file"
row() { printf '%18s %18s  %5s  %18s\n' "$@"; }
is "$(sed -n 5,8p <<<"$out")" "$(row 0 2097152 - zero
row 2097152 1024 1 "$(jq '.[1].offset' <<<"$map")"
row 2098176 512 0 "$off"
row 2098688 6656 1 "$(jq '.[3].offset' <<<"$map")")"
is "$(tail -n +4 <<<"$out" | awk 'length > 79')" "" "lines over 79 columns"
