#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later
# commit killed or interrupted at system calls that write: the child shows what it did, nothing is
# damaged, the same command goes on from there, and the parent is write protected in the end.
. "$(dirname "$0")/functions.sh"
. "$(dirname "$0")/stopped.sh"

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

lay() { cp -p saved/* .; }
judge() { # WHEN
    undamaged root.vhd "$1"
    undamaged child.vhd "$1"
    same_disk child.vhd before "$1"
}
ended() { # WHEN
    same_disk root.vhd before "the merged parent, $1"
    is "$(stat -c %a root.vhd)" 444 "mode of the parent, $1"
}
# The system call of chmod depends on the processor.
stop_at KILL pwritev/5 fdatasync ftruncate fallocate/5 '?chmod,?fchmodat' -- commit child.vhd
((kills > 10)) || fail "$kills kills only"
stop_at INT pwritev/5 -- commit child.vhd
((interrupts > 1)) || fail "interrupted $interrupts times only"
