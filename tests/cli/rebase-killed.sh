#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later
# rebase killed at system calls that write: the child shows what it did, over the old parent or the
# new one; the same command goes on from there.
. "$(dirname "$0")/functions.sh"

requires strace
noise data 1000000
noise other 600000
silent vhdctl create --block-size 64K --size 64M old.vhd
silent vhdctl write --offset 1M old.vhd <data
silent vhdctl create --block-size 64K --size 64M new.vhd
silent vhdctl write --offset 1500000 new.vhd <other
silent vhdctl snapshot old.vhd child.0
printf child | silent vhdctl write --offset 1300000 child.0
silent vhdctl convert -O raw child.0 before

judge() {
    run vhdctl check child.vhd
    [[ $status == 0 || $status == 3 ]] || fail "check: $out"
    run vhdctl compare child.vhd before
    is "$out" "Images are identical." "$1"
    case $(vhdctl info child.vhd 2>/dev/null) in
    *"backing file: ./new.vhd"*) news=$((news + 1)) ;;
    *"backing file: ./old.vhd"*) olds=$((olds + 1)) ;;
    *) fail "whose child is it?" ;;
    esac
}
kills=0 olds=0 news=0
for call in pwritev fdatasync ftruncate fallocate; do
    step=1
    [[ $call == pwritev ]] && step=9 # there are hundreds
    for ((nth = 1; nth < 600; nth += step)); do
        cp child.0 child.vhd
        killed=0
        traced -o /dev/null -e "trace=$call" -e "inject=$call:signal=KILL:when=$nth" \
            "$VHDCTL" rebase --parent new.vhd child.vhd 2>/dev/null || killed=$?
        judge "$call $nth killed"
        ((killed == 0)) && break
        kills=$((kills + 1))
        run vhdctl rebase --parent new.vhd child.vhd
        is "$status" 0 "$err"
        judge "after $call $nth killed"
    done
done
((kills > 15 && olds > 5 && news > kills)) || fail "$kills kills, $olds old, $news new"
