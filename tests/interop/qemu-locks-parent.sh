#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later
# Locks: a child in use keeps qemu from writing its parent, and the other way round; two children stand
# beside each other.
. "$(dirname "$0")/../cli/functions.sh"

requires qemu-img qemu-io
silent vhdctl create --size 8M golden.vhd
cp golden.vhd keep.vhd
silent vhdctl snapshot golden.vhd one.vhd
silent vhdctl snapshot golden.vhd two.vhd
golden=$(realpath golden.vhd)
in_use one.vhd
run qemu-io -f vpc -c 'write 0 512' golden.vhd
[[ $err$out == *lock* ]] || fail "qemu wrote the parent of a child in use: $out$err"
is "$status" 1 "qemu-io"
run qemu-img info golden.vhd
is "$status" 0 "qemu reads a parent beside us: $err"
printf x | silent vhdctl write two.vhd
exec 9>&-
while is_busy one.vhd; do
    sleep 0.05
done
held_by_qemu golden.vhd
run vhdctl write one.vhd </dev/null
is "$status" 1 "a child whose parent qemu writes"
[[ $err == "vhdctl: $golden: in use by another process"*" that writes it;"* ]] || fail "$err"
exec 6>&-
wait "$holder"
held_by_qemu golden.vhd -r
printf y | silent vhdctl write one.vhd
exec 6>&-
wait "$holder"
same_bytes golden.vhd keep.vhd
