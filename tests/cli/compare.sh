#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later
# compare: 0 the same disk, 1 another one and where, 2 trouble; what is shared or a hole is not read.
. "$(dirname "$0")/functions.sh"

requires strace
noise data 100000
truncate -s 64M raw
dd if=data of=raw bs=64K seek=10000001 oflag=seek_bytes conv=notrunc status=none
silent vhdctl convert raw d.vhd
silent vhdctl convert -O fixed raw f.vhd
silent vhdctl snapshot d.vhd a.vhd
silent vhdctl snapshot d.vhd b.vhd

same() { # A B [OPTION...]
    run vhdctl compare "${@:3}" "$1" "$2"
    is "$out$err" "Images are identical."
    is "$status" 0 "$1 and $2"
}
differ() { # OFFSET A B [OPTION...]
    run vhdctl compare "${@:4}" "$2" "$3"
    is "$out$err" "Content mismatch at offset $1!"
    is "$status" 1 "$2 and $3"
}
for file in d.vhd f.vhd a.vhd b.vhd raw; do
    same raw "$file"
    same "$file" raw
done
same a.vhd b.vhd

# The first byte that differs is named, whichever side has it.
printf x | silent vhdctl write --offset 50000001 b.vhd
differ 50000001 a.vhd b.vhd
differ 50000001 b.vhd a.vhd
differ 50000001 raw b.vhd
printf '\0' | silent vhdctl write --offset 50000001 b.vhd
same a.vhd b.vhd
printf x | silent vhdctl write --offset 10000100 b.vhd
differ 10000100 a.vhd b.vhd

# -f says what an image is.
run vhdctl compare -f raw d.vhd raw
is "$out,$status" "Content mismatch at offset 0!,1"
same d.vhd d.vhd -f raw -F raw

# Another size is no difference where the rest is zeros, unless that is asked for.
cp raw longer
truncate -s 65M longer
warned="vhdctl: warning: d.vhd has 67108864 bytes and longer 68157440: the rest of the larger one is compared with zeros"
run vhdctl compare d.vhd longer
is "$err" "$warned"
is "$out,$status" "Images are identical.,0"
run vhdctl compare --strict d.vhd longer
is "$out$err,$status" "Image size mismatch: 67108864 and 68157440 bytes!,1"
printf 1234567890x | dd of=longer bs=1 seek=68157435 conv=notrunc status=none
run vhdctl compare d.vhd longer
is "$out,$status" "Content mismatch at offset 68157435!,1"
run vhdctl compare longer d.vhd # ends in the middle of a sector
is "$out,$status" "Content mismatch at offset 68157435!,1"

# Trouble.
refused 2 "vhdctl: nowhere: cannot open it: No such file or directory" vhdctl compare d.vhd nowhere
refused 2 "vhdctl: compare: both of A B are needed; see 'vhdctl compare --help'" vhdctl compare a
refused 2 "vhdctl: compare: source format 'qcow2' is neither raw nor vpc; see 'vhdctl compare --help'" \
    vhdctl compare -F qcow2 a b
in_use a.vhd
run vhdctl compare a.vhd raw
is "$status$out" 2 "a busy image"
run vhdctl compare -U a.vhd raw
is "$status$out" "0Images are identical." "with -U"

# What both take from one place of one file is not read: it may be as bad as it likes.
noise noisy 8388608
silent vhdctl create --size 16M base.vhd
silent vhdctl write base.vhd <noisy
silent vhdctl snapshot base.vhd x.vhd
silent vhdctl snapshot base.vhd y.vhd
read_bytes() { # A B
    traced -e trace=pread64,preadv -o trace "$VHDCTL" compare "$1" "$2" >/dev/null
    awk -F= '/pread/ {sum += $NF} END {print sum + 0}' trace
}
few=$(read_bytes x.vhd y.vhd)
((few > 1000 && few < 200000)) || fail "$few bytes were read of two equal children"
truncate -s 16M noisy
many=$(read_bytes x.vhd noisy)
((many > 2 * 8388608 && many < 2 * 8500000)) || fail "$many bytes were read of a child and its content"
