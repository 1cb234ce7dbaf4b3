#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later
# compact killed or interrupted at system calls that write: the same disk, no damage; the same command
# goes on.
. "$(dirname "$0")/functions.sh"
. "$(dirname "$0")/stopped.sh"

noise data 2000000
silent vhdctl create --block-size 64K --size 64M d.0
silent vhdctl write --offset 1000001 d.0 <data
head -c 700000 /dev/zero | silent vhdctl write --offset 1M d.0
silent vhdctl convert -O raw d.0 before
cp d.0 d.vhd
silent vhdctl compact d.vhd
small=$(stat -c %s d.vhd)

lay() { cp d.0 d.vhd; }
judge() { # WHEN
    undamaged d.vhd "$1"
    same_disk d.vhd before "$1"
}
ended() { # WHEN
    run vhdctl check d.vhd
    is "$status" 0 "$1: $out"
    is "$(stat -c %s d.vhd)" "$small" "size of the file, $1"
}
stop_at KILL pwritev/7 fdatasync ftruncate fallocate/7 -- compact d.vhd
((kills > 15)) || fail "$kills kills only"
stop_at INT pwritev/15 fallocate/15 -- compact d.vhd
((interrupts > 1)) || fail "interrupted $interrupts times only"
