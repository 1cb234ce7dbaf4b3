#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later
# commit killed at system calls that write: the child shows what it did, nothing is damaged, the
# same command goes on from there.
. "$(dirname "$0")/functions.sh"

requires strace
noise data 1000000
noise other 600000
silent vhdctl create --block-size 64K --size 64M root.0
silent vhdctl write --offset 1M root.0 <data
mv root.0 root.vhd
silent vhdctl snapshot root.vhd child.vhd
silent vhdctl write --offset 1500000 child.vhd <other
head -c 100000 /dev/zero | silent vhdctl write --offset 1100000 child.vhd
silent vhdctl convert -O raw child.vhd before
mkdir saved
cp -p root.vhd child.vhd saved

judge() { # WHEN
    local image
    for image in root.vhd child.vhd; do
        run vhdctl check "$image"
        [[ $status == 0 || $status == 3 ]] || fail "check of $image, $1: $out"
    done
    run vhdctl compare child.vhd before
    is "$out" "Images are identical." "$1"
}
kills=0
for call in pwritev fdatasync ftruncate fallocate fchmodat; do
    step=1
    [[ $call == pwritev || $call == fallocate ]] && step=5
    for ((nth = 1 + RANDOM % step; nth < 600; nth += step)); do
        cp -p saved/* .
        killed=0
        traced -o /dev/null -e "trace=$call" -e "inject=$call:signal=KILL:when=$nth" \
            "$VHDCTL" commit child.vhd 2>/dev/null || killed=$?
        judge "$call $nth killed"
        ((killed == 0)) && break
        kills=$((kills + 1))
        run vhdctl commit child.vhd
        is "$status" 0 "$err"
        judge "after $call $nth killed"
        run vhdctl compare root.vhd before
        is "$out" "Images are identical." "the merged parent"
    done
done
((kills > 10)) || fail "$kills kills only"
