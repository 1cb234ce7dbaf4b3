#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later
# convert and commit read what has to be read: no hole, nothing that another layer hides, nothing
# that stays where it is; and they write no zeros.
. "$(dirname "$0")/functions.sh"
requires strace

MiB=1048576
slack=$((MiB / 4)) # footers, headers, BATs, bitmaps

# moves READ-MIB WRITTEN-MIB COMMAND...: it succeeds, reads and asks to be read no more than that,
# each of the two, and writes as much; up to slack.
moves() {
    local read_mib=$1 written_mib=$2 calls
    shift 2
    run traced -o trace -e trace=preadv,pwritev,fadvise64 "$VHDCTL" "$@"
    is "$status" 0 "$*: $err"
    calls=$(python3 -c 'import re, sys
total = {"preadv": 0, "pwritev": 0, "WILLNEED": 0}
for line in open("trace"):
    match = re.search(r"(preadv|pwritev)\(.* = (\d+)$", line)
    if match:
        total[match[1]] += int(match[2])
    match = re.search(r"fadvise64\(\d+, \d+, (\d+), POSIX_FADV_(WILLNEED)", line)
    if match:
        total[match[2]] += int(match[1])
print(*total.values())' </dev/null)
    read -r got_read got_written got_asked <<<"$calls"
    ((got_read <= read_mib * MiB + slack)) || fail "$* read $got_read bytes"
    ((got_read >= read_mib * MiB)) || fail "$* read $got_read bytes only: what is measured here?"
    ((got_asked <= read_mib * MiB + slack)) || fail "$* asked for $got_asked bytes"
    ((got_written <= written_mib * MiB + slack)) || fail "$* wrote $got_written bytes"
}

# 2 MiB of data in 300 of holes.
noise data $((2 * MiB))
truncate -s 300M raw
dd if=data of=raw bs=1M count=1 seek=100 conv=notrunc status=none
dd if=data of=raw bs=1M count=1 skip=1 seek=103 conv=notrunc status=none
moves 2 2 convert raw dynamic.vhd
moves 2 2 convert -O raw dynamic.vhd back
same_bytes raw back
moves 2 2 convert -O fixed dynamic.vhd fixed.vhd
moves 2 2 convert fixed.vhd again.vhd
moves 4 0 compare raw dynamic.vhd

# A child that hides one MiB of the parent's two, and has another where there is none; four layers.
noise other $((2 * MiB))
silent vhdctl snapshot dynamic.vhd 1.vhd
silent vhdctl write --offset 100M 1.vhd < <(head -c 1M other)
silent vhdctl write --offset 40M 1.vhd < <(tail -c 1M other)
dd if=other of=raw bs=1M count=1 seek=100 conv=notrunc status=none
dd if=other of=raw bs=1M count=1 skip=1 seek=40 conv=notrunc status=none
silent vhdctl snapshot 1.vhd 2.vhd
silent vhdctl snapshot 2.vhd 3.vhd
moves 3 3 convert 3.vhd flat.vhd
is "$(vhdctl compare --strict 3.vhd raw)" "Images are identical."
is "$(vhdctl compare --strict flat.vhd raw)" "Images are identical."

# Merged: what differs is read on both sides, what is nowhere below on one, the rest not.
chmod u+w dynamic.vhd 1.vhd
moves 0 0 commit --force 3.vhd
moves 3 2 commit --force 1.vhd
is "$(vhdctl compare --strict dynamic.vhd raw)" "Images are identical."

# Where data end is asked once, not once a block: the file system looks through all that follows.
rm -f ./*.vhd raw back
noise dense $((40 * MiB))
silent vhdctl convert dense dense.vhd
silent vhdctl snapshot dense.vhd child.vhd
for command in "convert -O raw child.vhd back" "map child.vhd" "compare child.vhd dense" "compact --force dense.vhd"; do
    # shellcheck disable=SC2086 # several words
    run traced -o trace -e trace=lseek "$VHDCTL" $command
    is "$status" 0 "$command: $err"
    asked=$(grep -c SEEK_HOLE trace)
    ((asked >= 1 && asked < 10)) || fail "$command asked $asked times, for 20 blocks"
done
