#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later
# resize killed or interrupted at system calls that write: the old size or the new, the content whole,
# no damage; the same command goes on from there.
. "$(dirname "$0")/functions.sh"
. "$(dirname "$0")/stopped.sh"

noise data 3000000
silent vhdctl create --block-size 64K --size 1G d.vhd.0
silent vhdctl create --type fixed --size 1G f.vhd.0
for image in d.vhd f.vhd; do
    silent vhdctl write --offset 1000000000 "$image.0" <data
    silent vhdctl convert -O raw "$image.0" "$image.raw"
done

olds=0
lay() { cp --sparse=always "$image.0" "$image"; }
judge() { # WHEN
    local size
    size=$(vhdctl info --size "$image" 2>/dev/null)
    [[ $size == 1073741824 || $size == 3221225472 ]] || fail "$image has $size bytes, $1"
    undamaged "$image" "$1"
    same_disk "$image" "$image.raw" "$1"
    [[ $size != 1073741824 ]] || olds=$((olds + 1))
}
ended() { # WHEN
    is "$(vhdctl info --size "$image")" 3221225472 "$image, $1"
}
for image in d.vhd f.vhd; do
    stop_at KILL pwritev ftruncate fallocate fdatasync -- resize "$image" 3G
done
((kills > 15 && olds > 3)) || fail "$kills kills only, $olds of them left the old size"

# Growing takes no time, and is not given up half way. Telling whether shrinking loses data may be.
image=d.vhd
stop_at INT pwritev/4 -- resize d.vhd 3G
is "$interrupts" 0 "how often growing was interrupted"
silent vhdctl create --block-size 64K --size 64M z.vhd.0
silent vhdctl write --offset 1M z.vhd.0 <data
for at in $(seq 40 2 60); do
    head -c 65536 /dev/zero | silent vhdctl write --offset "${at}M" z.vhd.0
done
lay() { cp z.vhd.0 z.vhd; }
judge() { # WHEN
    undamaged z.vhd "$1"
    same_disk z.vhd z.vhd.0 "$1"
}
ended() { # WHEN
    is "$(vhdctl info --size z.vhd)" 33554432 "size, $1"
}
stop_at INT preadv/3 -- resize --shrink z.vhd 32M
((interrupts > 1)) || fail "shrinking was interrupted $interrupts times only"
