#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later
# libvhdi reads our chains (written in pieces of 4 KiB: it misreads partly filled bitmap bytes).
. "$(dirname "$0")/../cli/functions.sh"

requires vhdiinfo vhdimount fusermount3
silent vhdctl create --size 9M --block-size 512K base.vhd
noise big 1048576
silent vhdctl write base.vhd <big
silent vhdctl write --offset 6M base.vhd <big
silent vhdctl snapshot base.vhd middle.vhd
noise piece 40960
silent vhdctl write --offset 512K middle.vhd <piece
silent vhdctl write --offset 7M middle.vhd <piece
silent vhdctl snapshot middle.vhd top.vhd
silent vhdctl write --offset $((512 * 1024 + 8192)) top.vhd <piece
head -c 8192 /dev/zero | silent vhdctl write --offset 6M top.vhd
vhdctl read top.vhd >ours

uuid() { vhdctl info "$1" | sed -n "s/^ *$2: //p"; }
for image in base.vhd middle.vhd top.vhd; do
    run vhdiinfo "$image"
    is "$status" 0 "$err"
    [[ $out == *"9.0 MiB (9437184 bytes)"* ]] || fail "vhdiinfo $image: $out"
done
[[ $(vhdiinfo top.vhd) == *"Differential"*"Parent filename"*"middle.vhd"* ]] || fail "$(vhdiinfo top.vhd)"
is "$(uuid top.vhd 'parent uuid')" "$(uuid middle.vhd uuid)"

if [[ ! -w /dev/fuse ]]; then
    echo "skipped: no /dev/fuse"
    exit 77
fi
mkdir mnt
run vhdimount top.vhd mnt
if [[ $status != 0 && ! -e mnt/vhdi1 ]]; then
    echo "skipped: FUSE does not work here: $out$err"
    exit 77
fi
cleanups+=("fusermount3 -u '$folder/mnt'")
last=$(find mnt -name 'vhdi*' | sort -V | tail -1)
cmp "$last" ours || fail "libvhdi reads $last otherwise"
