#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later
# compact killed at system calls that write: the same disk, no damage; the same command goes on.
. "$(dirname "$0")/functions.sh"

requires strace
noise data 2000000
silent vhdctl create --block-size 64K --size 64M d.0
silent vhdctl write --offset 1000001 d.0 <data
head -c 700000 /dev/zero | silent vhdctl write --offset 1M d.0
silent vhdctl convert -O raw d.0 before

judge() { # WHEN
    run vhdctl check d.vhd
    [[ $status == 0 || $status == 3 ]] || fail "check, $1: $out"
    run vhdctl compare d.vhd before
    is "$out" "Images are identical." "$1"
}
cp d.0 d.vhd
silent vhdctl compact d.vhd
small=$(stat -c %s d.vhd)
kills=0
for call in pwritev fdatasync ftruncate fallocate; do
    step=1
    [[ $call == pwritev || $call == fallocate ]] && step=7
    for ((nth = 1 + RANDOM % step; nth < 600; nth += step)); do
        cp d.0 d.vhd
        killed=0
        traced -o /dev/null -e "trace=$call" -e "inject=$call:signal=KILL:when=$nth" \
            "$VHDCTL" compact d.vhd 2>/dev/null || killed=$?
        judge "$call $nth killed"
        ((killed == 0)) && break
        kills=$((kills + 1))
        run vhdctl compact d.vhd
        is "$status" 0 "$err"
        judge "after $call $nth killed"
        run vhdctl check d.vhd
        is "$status" 0 "$out"
        (($(stat -c %s d.vhd) == small)) || fail "$(stat -c %s d.vhd) bytes after $call $nth, not $small"
    done
done
((kills > 15)) || fail "$kills kills only"
