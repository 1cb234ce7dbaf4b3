#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later
# Locks: a look of qemu's that passes is waited for, one that stays is told of; who is killed holds nothing.
. "$(dirname "$0")/../cli/functions.sh"

requires qemu-img qemu-io
silent vhdctl create --size 8M b.vhd

# A look that passes costs us nothing: it is waited for. One that stays is told of.
while :; do qemu-img info b.vhd >/dev/null 2>&1 || true; done &
looker=$!
cleanups+=("kill $looker; wait $looker")
for _ in $(seq 30); do
    printf z | silent vhdctl write b.vhd
done
kill "$looker"
wait "$looker" || true
held_by_qemu b.vhd -r
run vhdctl write b.vhd </dev/null
is "$status" 1 "a reader that stays"
[[ $err == "vhdctl: b.vhd: in use by another process"*" that reads it, "* ]] || fail "$err"

# Who is killed holds nothing.
kill -9 "$holder"
wait "$holder" || true
exec 6>&-
printf z | silent vhdctl write b.vhd
mkfifo input
"$VHDCTL" write b.vhd <input &
exec 5>input
for _ in $(seq 200); do
    is_busy b.vhd && break
    sleep 0.05
done
run qemu-io -f vpc -c 'write 0 512' b.vhd
is "$status" 1 "qemu writes beside us"
kill -9 $!
wait $! || true
exec 5>&-
run qemu-io -f vpc -c 'write 0 512' b.vhd
is "$status" 0 "after we were killed: $out$err"
