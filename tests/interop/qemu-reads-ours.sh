#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later
# qemu-img reads every dynamic and fixed image that we write, as we do.
. "$(dirname "$0")/../cli/functions.sh"

requires qemu-img qemu-io jq
# agree IMAGE RAW: size and content by qemu are those of RAW.
agree() {
    is "$(qemu-img info -f vpc --output=json "$1" | jq '."virtual-size"')" "$(stat -c %s "$2")" "size of $1"
    qemu-img convert -f vpc -O raw "$1" by-qemu
    same_bytes by-qemu "$2"
    run qemu-img compare -f vpc -F raw "$1" "$2"
    is "$status" 0 "$out$err"
    run vhdctl check "$1"
    is "$status" 0 "$out"
}
scatter() { # IMAGE RAW SIZE: the same noise at the same places
    local i off
    truncate -s "$3" "$2"
    noise piece 20000
    for i in 1 2 3 4 5; do
        off=$((($3 - 20000) * (7 * i % 6) / 6 + i))
        silent vhdctl write --offset "$off" "$1" <piece
        dd if=piece of="$2" bs=64K seek="$off" oflag=seek_bytes conv=notrunc status=none
    done
}
for size in 1048576 5243392 41943040; do
    for block in 512K 2M 4K 64M; do
        silent vhdctl create --size $size --block-size $block d.vhd
        scatter d.vhd flat $size
        agree d.vhd flat
        rm d.vhd flat
    done
    silent vhdctl create --type fixed --size $size f.vhd
    scatter f.vhd flat $size
    agree f.vhd flat
    silent vhdctl convert f.vhd d.vhd
    agree d.vhd flat
    silent vhdctl convert -O fixed d.vhd f2.vhd
    agree f2.vhd flat
    rm f.vhd d.vhd f2.vhd flat
done
# Odd sizes by their size field, not by geometry; the largest of all.
for size in 512 1536 136363130880 2190433320960; do
    silent vhdctl create --size $size e.vhd
    is "$(qemu-img info -f vpc --output=json e.vhd | jq '."virtual-size"')" $size "size"
    rm e.vhd
done
silent vhdctl create --size 5M --preallocate p.vhd
truncate -s 5M flat
agree p.vhd flat

# What qemu writes into an image of ours is as good.
qemu-io -f vpc -c 'write -P 0x5a 1M 300k' -c 'write -P 0xa5 4M 64k' p.vhd >/dev/null
qemu-img convert -f vpc -O raw p.vhd flat
vhdctl read p.vhd | cmp - flat || fail "after qemu's write"
run vhdctl check p.vhd
is "$status" 0 "$out"
