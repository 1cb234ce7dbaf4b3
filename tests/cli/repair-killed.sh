#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later
# Killed in front of each of its changes: repairing again makes the new content of it, --undo the old.
# Interrupted while it looks for damage it has changed nothing; later it comes to its end.
. "$(dirname "$0")/functions.sh"
. "$(dirname "$0")/stopped.sh"

noise data 65536
silent vhdctl create --size 64M --block-size 64K d.vhd
for at in $(seq 0 7); do
    silent vhdctl write --offset "${at}M" d.vhd <data
done
cp d.vhd broken.vhd
for at in $(seq 1 2 7); do # entries of blocks at 1M, 3M ... are lost, those at 2M, 6M ... wrong
    poke broken.vhd file $((1536 + at * 64)) ffffffff
done
poke broken.vhd 'copy!' 100 01 file $((1536 + 2 * 64)) fffffffe file $((1536 + 6 * 64)) 00000001
cp broken.vhd whole.vhd
run vhdctl repair --yes whole.vhd
is "$status" 0 "$out$err"

lay() {
    cp broken.vhd x.vhd
    rm -f x.vhd.undo .x.vhd.undo.*
}
judge() { # WHEN
    [[ -e x.vhd.undo ]] || same_bytes x.vhd broken.vhd
}
ended() { # WHEN
    same_bytes x.vhd whole.vhd
}
changes=(pwritev fdatasync fsync ftruncate fallocate renameat2)
stop_at KILL "${changes[@]}" -- repair --yes x.vhd
((kills > 15)) || fail "killed $kills times only"
stop_at INT preadv/6 "${changes[@]}" -- repair --yes x.vhd
((interrupts > 1)) || fail "interrupted $interrupts times only"

# The way back. What never came to the undo file needs none.
resume() {
    [[ -e x.vhd.undo ]] || return 0
    run vhdctl repair --dry-run x.vhd
    [[ $status$err == "1vhdctl: x.vhd: a repair of it was cut off; "* ||
        $status$out == "0There is nothing to mend." ]] || fail "$out$err"
    run vhdctl repair --undo x.vhd
    is "$status" 0 "$err"
}
ended() { # WHEN
    [[ $1 == "at the end" ]] || same_bytes x.vhd broken.vhd
}
stop_at KILL "${changes[@]}" -- repair --yes x.vhd

# So is an undoing that is stopped itself.
lay() { cp whole.vhd x.vhd && cp whole.vhd.undo x.vhd.undo; }
judge() { # WHEN
    [[ -e x.vhd.undo ]] || same_bytes x.vhd broken.vhd
}
resume() {
    [[ -e x.vhd.undo ]] || return 0
    run vhdctl repair --undo x.vhd
    is "$status" 0 "$err"
}
ended() { # WHEN
    same_bytes x.vhd broken.vhd
}
kills=0
stop_at KILL pwritev fdatasync ftruncate unlink -- repair --undo x.vhd
((kills > 3)) || fail "undoing was killed $kills times only"
stop_at INT pwritev -- repair --undo x.vhd
