#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later
# measure: the lengths that convert's files have, told without reading the data.
. "$(dirname "$0")/functions.sh"

requires jq
noise data 3000000
truncate -s 100M raw
dd if=data of=raw bs=64K seek=1M oflag=seek_bytes conv=notrunc status=none
dd if=data of=raw bs=64K seek=50M oflag=seek_bytes conv=notrunc status=none
silent vhdctl convert raw d.vhd
printf x | silent vhdctl write --offset 99M d.vhd
silent vhdctl snapshot d.vhd child.vhd
printf x | silent vhdctl write --offset 70M child.vhd
head -c 1001 data >odd

required() { # OPTION... SRC
    run vhdctl measure --json "$@"
    is "$err,$status" ",0"
    is "$(jq -c keys <<<"$out")" '["fully-allocated","required"]'
    jq .required <<<"$out"
}
for source in raw d.vhd child.vhd odd; do
    for format in raw fixed dynamic; do
        silent vhdctl convert -O "$format" "$source" made
        is "$(required -O "$format" "$source")" "$(stat -c %s made)" "$source as $format"
        rm made
    done
    silent vhdctl convert -b 64K "$source" made
    is "$(required -b 64K "$source")" "$(stat -c %s made)" "$source in blocks of 64K"
    rm made
done

# All of it written.
silent vhdctl create --preallocate --size 100M full.vhd
run vhdctl measure raw
is "$(tail -1 <<<"$out")" "fully allocated size: $(stat -c %s full.vhd)"
# A new one.
silent vhdctl create --size 100M new.vhd
run vhdctl measure --size 100M
is "$out" "required size: $(stat -c %s new.vhd)
fully allocated size: $(stat -c %s full.vhd)"
# The same keys as qemu-img's.
if command -v qemu-img >/dev/null; then
    is "$(vhdctl measure --json -O raw raw | jq -cS .)" \
        "$(qemu-img measure --output json -O raw raw | jq -cS .)"
fi

refused 2 "vhdctl: measure: either SRC or --size is needed; see 'vhdctl measure --help'" vhdctl measure
refused 2 "vhdctl: measure: either SRC or --size is needed, not both; see 'vhdctl measure --help'" \
    vhdctl measure --size 1M raw
refused 1 "vhdctl: a new image: a size of 3298534883328 bytes is more than a VHD of this type can have: 2190433320960" \
    vhdctl measure --size 3T
refused 1 "vhdctl: nowhere: cannot open it: No such file or directory" vhdctl measure nowhere
