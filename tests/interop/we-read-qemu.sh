#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later
# Images that qemu makes and writes are read, checked and written by us; and by qemu again.
. "$(dirname "$0")/../cli/functions.sh"

requires qemu-img qemu-io jq
for subformat in dynamic fixed; do
    for size in 1M 41M 5243392; do
        qemu-img create -q -f vpc -o "subformat=$subformat,force_size=on" q.vhd $size
        qemu-io -f vpc -c 'write -P 0x11 0 64k' -c 'write -P 0x22 700k 300k' q.vhd >/dev/null
        qemu-img convert -f vpc -O raw q.vhd flat
        is "$(vhdctl info --size q.vhd)" "$(stat -c %s flat)" "size"
        vhdctl read q.vhd | cmp - flat || fail "$subformat $size differs"
        run vhdctl check q.vhd
        is "$status" 0 "$out"
        noise piece 5000
        silent vhdctl write --offset 12345 q.vhd <piece
        dd if=piece of=flat bs=64K seek=12345 oflag=seek_bytes conv=notrunc status=none
        qemu-img compare -q -f vpc -F raw q.vhd flat || fail "qemu reads something else"
        rm q.vhd
    done
done
# Images of qemu's without force_size are sized by us by the field: never shorter than by geometry.
qemu-img create -q -f vpc q.vhd 10M
is "$(vhdctl info --size q.vhd)" "$(qemu-img info --output=json q.vhd | jq '."virtual-size"')"
