#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later
# resize killed at random points: the old size or the new, the content whole, no damage; the same
# command goes on from there.
. "$(dirname "$0")/functions.sh"

requires strace
noise data 3000000
silent vhdctl create --block-size 64K --size 1G d.vhd.0
silent vhdctl create --type fixed --size 1G f.vhd.0
for image in d.vhd f.vhd; do
    silent vhdctl write --offset 1000000000 "$image.0" <data
    silent vhdctl convert -O raw "$image.0" "$image.raw"
done

# judge IMAGE OLD NEW
judge() {
    local size
    size=$(vhdctl info --size "$1" 2>/dev/null)
    [[ $size == "$2" || $size == "$3" ]] || fail "$1 has $size bytes"
    run vhdctl check "$1"
    [[ $status == 0 || $status == 3 ]] || fail "check of $1: $out"
    run vhdctl compare "$1" "$1.raw"
    is "$out" "Images are identical." "content of $1"
    [[ $size == "$2" ]] && olds=$((olds + 1))
    return 0
}

# At every system call that changes the file, the process is killed before it.
olds=0 kills=0
for image in d.vhd f.vhd; do
    for call in pwritev ftruncate fallocate fdatasync; do
        for nth in $(seq 40); do
            cp --sparse=always "$image.0" "$image"
            killed=0
            traced -o /dev/null -e "trace=$call" -e "inject=$call:signal=KILL:when=$nth" \
                "$VHDCTL" resize "$image" 3G 2>/dev/null || killed=$?
            judge "$image" 1073741824 3221225472
            ((killed == 0)) && break
            kills=$((kills + 1))
            silent_but_warnings=$("$VHDCTL" resize "$image" 3G 2>&1 | grep -v '^vhdctl: warning:' || true)
            is "$silent_but_warnings" ""
            is "$(vhdctl info --size "$image")" 3221225472
            judge "$image" 1073741824 3221225472
        done
        ((nth < 40)) || fail "resize never ended with $call $nth killed"
    done
done
((kills > 15 && olds > 3)) || fail "$kills kills only, $olds of them left the old size"
