#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later
# Locks: qemu and we keep each other away from an image in use, and read side by side.
. "$(dirname "$0")/../cli/functions.sh"

requires qemu-img qemu-io
silent vhdctl create --size 8M a.vhd
in_use a.vhd
run qemu-img info a.vhd
is "$status" 1 "qemu-img info while we write"
[[ $err == *lock* ]] || fail "$err"
run qemu-img info -U a.vhd
is "$status" 0

silent vhdctl create --size 8M b.vhd
mkfifo commands
qemu-io -f vpc b.vhd <commands >/dev/null &
exec 7>commands
echo 'read 0 512' >&7
for _ in $(seq 200); do
    is_busy b.vhd && break
    sleep 0.05
done
run vhdctl write b.vhd </dev/null
is "$status" 1 "we write while qemu does"
run vhdctl info b.vhd
is "$status" 1 "we read while qemu writes"
exec 7>&-
wait $!
run vhdctl write b.vhd </dev/null
is "$status" 0 "$err"
