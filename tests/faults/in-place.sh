#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later
# vhdctl's verbs that change an image in place, with the n-th system call of each name failing: exit
# status 1 and one sentence, or done all the same; what the images show is the old or the new; check
# finds no more than lost space; the same command does the rest.
#
#   in-place.sh repair
# shellcheck source=tests/faults/sweep.sh
. "$(dirname "$0")/sweep.sh"

# In work, which names in a child lead to.
mkdir work
letters c 262144 >all_c
silent vhdctl create --size 256K --block-size 64K work/parent.vhd
silent vhdctl write work/parent.vhd <all_c
silent vhdctl convert --block-size 64K work/parent.vhd work/single.vhd
silent vhdctl create --type fixed --size 256K work/fixed.vhd
silent vhdctl write work/fixed.vhd <all_c
# Another parent, with the same uuid, and one with another uuid and other data.
cp work/parent.vhd work/copy.vhd
silent vhdctl create --size 256K --block-size 64K work/other.vhd
letters o 100000 | silent vhdctl write --offset 50000 work/other.vhd
silent vhdctl snapshot work/parent.vhd work/child.vhd
letters a 81920 | silent vhdctl write --offset 96K work/child.vhd
vhdctl read work/child.vhd >content
# A larger child, and a child of the child.
cp work/child.vhd work/large.vhd
"$VHDCTL" resize work/large.vhd 384K 2>/dev/null
letters l 30000 | silent vhdctl write --offset 300000 work/large.vhd
"$VHDCTL" read work/large.vhd >large_content
cp work/child.vhd work/middle.vhd
silent vhdctl snapshot work/middle.vhd work/leaf.vhd
letters f 5120 | silent vhdctl write --offset 10240 work/leaf.vhd
vhdctl read work/leaf.vhd >leaf_content
# Blocks of zeros in front of others; a child that repeats its parent.
cp work/single.vhd work/holes.vhd
head -c 65536 /dev/zero | silent vhdctl write --offset 64K work/holes.vhd
vhdctl read work/holes.vhd >holes_content
silent vhdctl convert -O fixed work/holes.vhd work/zeros.vhd
head -c 65536 /dev/zero | silent vhdctl write --offset 64K work/zeros.vhd
cp work/child.vhd work/same.vhd
letters c 65536 | silent vhdctl write work/same.vhd
: >written
mv work base

shows() { # NAME FILE
    vhdctl read "work/$1" 2>/dev/null | cmp -s - "$2"
}

# Once more, without a fault, after one that failed; status stays the first one's.
again() { # COMMAND...
    "$VHDCTL" "$@" >out2 2>err2 || trouble "the same command again: $(<err2)"
}

# ---- repair

# Of one block the place is lost, of one it is wrong, and the footer at 0 is damaged.
make_broken() {
    rm -rf base work
    mkdir work
    silent vhdctl create --size 256K --block-size 64K work/broken.vhd
    silent vhdctl write work/broken.vhd <all_c
    poke work/broken.vhd file 1536 ffffffff file $((1536 + 8)) fffffffe 'copy!' 100 01
    cp work/broken.vhd work/mended.vhd
    run vhdctl repair --yes work/mended.vhd
    is "$status" 0 "$out$err"
    cp work/mended.vhd whole
    mv work base
}

# What was there, or the new, or between them with a way to both.
repaired() {
    local way
    if [[ $status == 0 ]]; then
        cmp -s work/broken.vhd whole || trouble "it was not mended"
    elif cmp -s work/broken.vhd base/broken.vhd; then
        true
    else
        [[ -e work/broken.vhd.undo ]] || trouble "no way back"
    fi
    cp -a work kept
    for way in again undo; do
        rm -rf work
        cp -a kept work
        if [[ $way == undo && -e work/broken.vhd.undo ]]; then
            again repair --undo work/broken.vhd
            cmp -s work/broken.vhd base/broken.vhd || trouble "--undo made something else"
        elif [[ $status != 0 ]]; then
            again repair --yes work/broken.vhd
            cmp -s work/broken.vhd whole || trouble "it was not mended the second time"
        fi
    done
    rm -rf kept
}

undone() {
    if [[ $status == 0 ]]; then
        [[ ! -e work/mended.vhd.undo ]] || trouble "the undo file is there"
    else
        [[ -e work/mended.vhd.undo ]] || trouble "no way back"
        again repair --undo work/mended.vhd
    fi
    cmp -s work/mended.vhd base/broken.vhd || trouble "it is not what it was"
}

planned() {
    judge_sources broken.vhd mended.vhd mended.vhd.undo
    [[ ! -e work/broken.vhd.undo ]] || trouble "an undo file was made"
}

all_of_repair() {
    make_broken
    sweep repaired repair --yes work/broken.vhd
    sweep undone repair --undo work/mended.vhd
    sweep planned repair --yes --dry-run work/broken.vhd
}

"all_of_$1"
sweep_done 100
