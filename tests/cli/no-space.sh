#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later
# No space left: commit, rebase, resize, compact and repair say what state things are in and what to do,
# the disk shows what it did, and once there is space the same command comes to its end.
if [[ ${VHD_OWN_MOUNTS:-} != yes ]]; then # a small file system that nobody else sees
    [[ $(id -u) -eq 0 ]] && unshare=(unshare -m) || unshare=(unshare -rm)
    if "${unshare[@]}" mount -t tmpfs none /mnt 2>/dev/null; then
        VHD_OWN_MOUNTS=yes exec "${unshare[@]}" bash "$0"
    fi
    echo "a file system cannot be mounted here"
    [[ ${CI:-} == true ]] && exit 1
    exit 77
fi
. "$(dirname "$0")/functions.sh"

mkdir small
mount -t tmpfs -o size=4m small small
cleanups+=("cd / && umount '$folder/small'")
fill() { # BYTES-LEFT
    head -c 8M /dev/zero >small/filler 2>/dev/null || true
    truncate -s -"$1" small/filler
}

# full STATE SHOWN LEFT VERB...: the verb ends for want of space and says so; what SHOWN shows stays.
full() {
    local state=$1 shown=$2 left=$3
    shift 3
    fill "$left"
    run vhdctl "$@"
    is "$status$out" 1 "$*: $err"
    [[ $err == "vhdctl: "*": No space left on device; $state, the same command goes on once there is space" && $err != *$'\n'* ]] ||
        fail "$*: $err"
    rm small/filler
    undamaged "$shown"
    run vhdctl compare "$shown" before
    is "$out" "Images are identical." "$shown after $*"
    run vhdctl "$@"
    is "$status" 0 "$* once there is space: $err"
    undamaged "$shown"
}
undamaged() {
    run vhdctl check "$1"
    [[ $status == 0 || $status == 3 ]] || fail "check of $1: $out"
}

noise data 2000000
silent vhdctl create --block-size 64K --size 64M small/parent.vhd
silent vhdctl snapshot small/parent.vhd child.vhd
silent vhdctl write --offset 1M child.vhd <data
silent vhdctl convert -O raw child.vhd before
parent=$PWD/small/parent.vhd
full "child.vhd shows what it did, and $parent may hold a part of that" child.vhd 1000000 commit child.vhd
run vhdctl compare small/parent.vhd before
is "$out" "Images are identical." "the merged parent"
is "$(stat -c %a small/parent.vhd)" 444 "mode of the parent"

# A child on the full file system, merged, keeps its blocks until there is space for another table.
rm -f small/*
silent vhdctl create --block-size 64K --size 64M parent.vhd
silent vhdctl snapshot parent.vhd small/child.vhd
head -c 500000 data | silent vhdctl write --offset 1M small/child.vhd
silent vhdctl convert --force -O raw small/child.vhd before
full "small/child.vhd shows what it did, and $PWD/parent.vhd holds all of that" small/child.vhd 0 commit small/child.vhd

rm -f small/*
silent vhdctl create --block-size 64K --size 64M new.vhd
silent vhdctl snapshot parent.vhd small/child.vhd
full "small/child.vhd shows what it did" small/child.vhd 100000 rebase --parent new.vhd small/child.vhd
is "$(stat -c %a new.vhd)" 444 "mode of the new parent"

rm -f small/*
silent vhdctl convert -b 64K -f raw -O dynamic before small/d.vhd
full "it has its old size or the new one" small/d.vhd 0 resize small/d.vhd 8G
is "$(vhdctl info --size small/d.vhd)" $((8 << 30))

rm -f small/*
silent vhdctl convert -b 64K -f raw -O dynamic before small/d.vhd
head -c 1000000 /dev/zero | silent vhdctl write --offset 40M small/d.vhd
full "its disk is as it was" small/d.vhd 0 compact small/d.vhd

# repair saves first what it overwrites.
poke small/d.vhd 'copy!' 100 01
cp small/d.vhd broken.vhd
fill 0
run vhdctl repair small/d.vhd
is "$status" 1 "$err"
[[ $err == "vhdctl: small/d.vhd.undo: "*": No space left on device; small/d.vhd is as it was" ]] || fail "$err"
same_bytes small/d.vhd broken.vhd
is "$(find small -name '*undo*')" "" "undo files"
rm small/filler
run vhdctl repair small/d.vhd
is "$status" 0 "$err"
