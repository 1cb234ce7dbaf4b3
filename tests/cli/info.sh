#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later
# info as text and as JSON, with the keys of qemu-img.
. "$(dirname "$0")/functions.sh"

requires jq
silent vhdctl create --size 40M parent.vhd
silent vhdctl snapshot parent.vhd child.vhd
keys() { jq -r "$1 | keys_unsorted | join(\" \")"; }
run vhdctl info --json child.vhd
is "$(keys . <<<"$out")" "backing-filename-format virtual-size filename cluster-size format actual-size format-specific full-backing-filename backing-filename dirty-flag"
is "$(jq -c '[."virtual-size", .filename, ."cluster-size", .format, ."full-backing-filename", ."backing-filename", ."dirty-flag"]' <<<"$out")" \
    "[41943040,\"child.vhd\",2097152,\"vpc\",\"$PWD/parent.vhd\",\"./parent.vhd\",false]"
is "$(jq '."actual-size"' <<<"$out")" $(($(stat -c %b child.vhd) * 512))
is "$(jq -r '."format-specific".type' <<<"$out")" vpc
is "$(keys '."format-specific".data' <<<"$out")" "subformat uuid creator creator-host created original-size geometry features saved-state footer-copy footer header-offset bat-offset bat-entries parent-uuid parent-time-stamp parent-name locators"
is "$(jq -c '."format-specific".data.geometry' <<<"$out")" '{"cylinders":963,"heads":5,"sectors-per-track":17}'
is "$(jq -c '."format-specific".data.locators[1]' <<<"$out")" \
    '{"slot":1,"platform":"W2ru","offset":12288,"length":24,"space":65536,"path":"./parent.vhd"}'
run vhdctl info --json parent.vhd
is "$(keys . <<<"$out")" "virtual-size filename cluster-size format actual-size format-specific dirty-flag"
run vhdctl info --chain --json child.vhd
is "$(jq -c '[.[].filename]' <<<"$out")" "[\"child.vhd\",\"$PWD/parent.vhd\"]"
is "$(jq -c '[.[]."format-specific".data.subformat]' <<<"$out")" '["differencing","dynamic"]'

run vhdctl info parent.vhd
is "$(sed -E 's/^(    uuid: )[0-9a-f]{32}$/\1U/; s/^(    created: )[-0-9TZ:]{20}$/\1T/; s/^(disk size: ).*/\1D/' <<<"$out")" \
    "image: parent.vhd
file format: vpc
virtual size: 40 MiB (41943040 bytes)
disk size: D
cluster_size: 2097152
Format specific information:
    subformat: dynamic
    uuid: U
    creator: win 10.0
    creator host: Wi2k
    created: T
    original size: 41943040
    geometry: 963/5/17
    saved state: false
    footer copy: good
    footer: good
    header offset: 512
    bat offset: 1536
    bat entries: 20"
