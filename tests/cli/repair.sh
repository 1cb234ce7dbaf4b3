#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later
# One damage at a time: told by check, listed without a change, mended, read by qemu, undone to the byte.
. "$(dirname "$0")/functions.sh"

requires qemu-img
noise data 8192
silent vhdctl create --size 8M dynamic.vhd
silent vhdctl write dynamic.vhd <data
silent vhdctl write --offset 2M dynamic.vhd <data
silent vhdctl write --offset 6M dynamic.vhd <data
silent vhdctl create --type fixed --size 1M fixed.vhd
silent vhdctl write --offset 64K fixed.vhd <data
silent vhdctl create --size 8M parent.vhd
silent vhdctl write parent.vhd <data
silent vhdctl snapshot parent.vhd child.vhd
silent vhdctl write --offset 4M child.vhd <data
for name in dynamic fixed child; do
    silent vhdctl convert -O raw $name.vhd $name.raw
done
bat=1536
zeros=$(printf '00%.0s' {1..512})
end=$(($(stat -c %s dynamic.vhd) - 512))

# content NAME: what the guest sees of x.vhd, to us and to qemu.
content() {
    rm -f x.raw
    silent vhdctl convert -O raw x.vhd x.raw
    same_bytes x.raw "$1.raw"
    [[ $1 == child* ]] && return
    qemu-img convert -f vpc -O raw x.vhd q.raw
    same_bytes q.raw "$1.raw"
}

# mends NAME CONTENT LIST COMMAND...: x.vhd, a copy of NAME.vhd, is damaged by COMMAND.
mends() {
    local name=$1 wanted=$2 list=$3
    shift 3
    cp "$name.vhd" x.vhd
    chmod u+w x.vhd
    "$@"
    cp x.vhd broken.vhd
    run vhdctl check x.vhd
    [[ $out == *"Some of this vhdctl repair can mend; --dry-run shows what it would do." ]] ||
        fail "check after $*: $out$err"
    run vhdctl repair --dry-run x.vhd
    is "$out$err" "$list
Nothing was changed." "list after $*"
    is "$status" 0
    same_bytes x.vhd broken.vhd
    [[ ! -e x.vhd.undo ]] || fail "an undo file was left"
    run vhdctl repair x.vhd
    is "$out$err" "$list
Mended; x.vhd.undo has what was there, vhdctl repair --undo puts it back." "mending after $*"
    is "$status" 0
    run vhdctl check x.vhd
    is "$status$err" 0
    [[ $out != *repair* ]] || fail "$out"
    content "$wanted"
    run vhdctl repair --undo x.vhd
    is "$out$err" "What the repair overwrote was put back, and x.vhd.undo removed."
    same_bytes x.vhd broken.vhd
    [[ ! -e x.vhd.undo ]] || fail "the undo file is still there"
}

mends dynamic dynamic "footer-copy: the footer copy at offset 0 is written anew" poke x.vhd 'copy!' 100 01
mends dynamic dynamic "footer-copy: the footer copy at offset 0 is written anew" poke x.vhd file 0 "$zeros"
mends dynamic dynamic "footer-end: the footer is written anew at offset $end" poke x.vhd 'end!' 100 01
mends dynamic dynamic "footer-lost: the footer is written anew at offset $end" poke x.vhd file $end "$zeros"
mends dynamic dynamic "footer-lost: the footer is written anew at offset $end" truncate -s -512 x.vhd
mends dynamic dynamic "footers-unequal: the footer at offset $end is written anew" poke x.vhd end 28 76706320
mends dynamic dynamic "footer-lost: the footer is written anew at offset $end
trailing: 10000 bytes behind the footer at offset $end are cut off" truncate -s +10000 x.vhd
mends dynamic dynamic "geometry: the footers get the geometry 240/4/17" poke x.vhd footers 56 01020304
mends dynamic dynamic "header: the header, which agrees with the rest of the image, gets a right checksum" \
    poke x.vhd 'header!' 800 01
mends dynamic dynamic "footer-copy: the footer copy at offset 0 is written anew
footer-end: the footer is written anew at offset $end" poke x.vhd 'footers!' 100 01
mends fixed fixed "footer-end: the footer at offset 1048576 is written anew" poke x.vhd 'end!' 100 01
mends fixed fixed "geometry: the footers get the geometry 30/4/17" poke x.vhd end 56 01020304
mends fixed fixed "trailing: 1234 bytes behind the footer at offset 1048576 are cut off" truncate -s +1234 x.vhd
mends child child "locator: parent locator 0, which names no place of its own in the file, is removed" \
    poke x.vhd header 592 0000000000002000
mends child child "header: the header, which agrees with the rest of the image, gets a right checksum" \
    poke x.vhd 'header!' 800 01

# Data that no entry names any more was lost with the entry.
cp dynamic.raw middle.raw
dd if=/dev/zero of=middle.raw bs=2M seek=1 count=1 conv=notrunc status=none
mends dynamic middle "leak: 2104832 bytes from offset 2105344 on, which belong to no block, are given back" \
    poke x.vhd file $((bat + 4)) ffffffff
cp dynamic.raw last.raw
dd if=/dev/zero of=last.raw bs=2M seek=3 count=1 conv=notrunc status=none
mends dynamic last "leak: the footer moves to offset 4210176, what stands behind it belongs to no block
leak: 2101248 bytes behind the footer at offset 4210176 are cut off" poke x.vhd file $((bat + 12)) ffffffff

# Where nothing is wrong nothing is done; nor a second time.
cp dynamic.vhd x.vhd
run vhdctl repair x.vhd
is "$status$out$err" "0There is nothing to mend."
same_bytes x.vhd dynamic.vhd
poke x.vhd 'copy!' 100 01
run vhdctl repair x.vhd
is "$status" 0
run vhdctl repair x.vhd
is "$status$out$err" "0There is nothing to mend."
is "$(stat -c %a x.vhd.undo)" 600
