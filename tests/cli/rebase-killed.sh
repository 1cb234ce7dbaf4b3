#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later
# rebase killed or interrupted at system calls that write: the child shows what it did, over the old
# parent or the new one; the same command goes on from there.
. "$(dirname "$0")/functions.sh"
. "$(dirname "$0")/stopped.sh"

noise data 1000000
noise other 600000
silent vhdctl create --block-size 64K --size 64M old.vhd
silent vhdctl write --offset 1M old.vhd <data
silent vhdctl create --block-size 64K --size 64M new.0
silent vhdctl write --offset 1500000 new.0 <other
silent vhdctl snapshot old.vhd child.0
printf child | silent vhdctl write --offset 1300000 child.0
silent vhdctl convert -O raw child.0 before

olds=0 news=0
lay() {
    cp child.0 child.vhd
    cp -f new.0 new.vhd
    chmod 644 new.vhd
}
judge() { # WHEN
    undamaged child.vhd "$1"
    same_disk child.vhd before "$1"
    case $(vhdctl info child.vhd 2>/dev/null) in
    *"backing file: ./new.vhd"*) news=$((news + 1)) ;;
    *"backing file: ./old.vhd"*) olds=$((olds + 1)) ;;
    *) fail "whose child is it, $1?" ;;
    esac
}
ended() { # WHEN
    [[ $(vhdctl info child.vhd) == *"backing file: ./new.vhd"* ]] || fail "it is not the new parent's child, $1"
    is "$(stat -c %a new.vhd)" 444 "mode of the new parent, $1"
}
stop_at KILL pwritev/9 fdatasync ftruncate fallocate/3 -- rebase --parent new.vhd child.vhd
((kills > 15 && olds > 5 && news > kills)) || fail "$kills kills, $olds old, $news new"
stop_at INT pwritev/6 -- rebase --parent new.vhd child.vhd
((interrupts > 1)) || fail "interrupted $interrupts times only"
