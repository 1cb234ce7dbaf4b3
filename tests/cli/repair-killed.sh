#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later
# Killed in front of each of its changes: repairing again makes the new content of it, --undo the old.
. "$(dirname "$0")/functions.sh"

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

for ((change = 1;; change++)); do
    for way in again undo; do
        cp broken.vhd x.vhd
        rm -f x.vhd.undo .x.vhd.undo.*
        run "$VHD_KILLED_REPAIR" x.vhd "$change"
        [[ $status != 0 ]] || break 2
        is "$status" 137 "$err"
        [[ -e x.vhd.undo ]] || same_bytes x.vhd broken.vhd
        if [[ $way == undo && -e x.vhd.undo ]]; then
            run vhdctl repair --dry-run x.vhd
            [[ $status$err == "1vhdctl: x.vhd: a repair of it was cut off; "* ||
                $status$out == "0There is nothing to mend." ]] || fail "$out$err"
            run vhdctl repair --undo x.vhd
            is "$status" 0 "$err"
            same_bytes x.vhd broken.vhd
        else
            run vhdctl repair --yes x.vhd
            is "$status" 0 "$err"
            same_bytes x.vhd whole.vhd
        fi
    done
done
echo "killed at $((change - 1)) changes"
((change > 15)) || fail "there were so few changes"
