#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later
# vhdctl's verbs that change an image in place, with the n-th system call of each name failing: exit
# status 1 and one sentence, or done all the same; what the images show is the old or the new; check
# finds no more than lost space; the same command does the rest.
#
#   in-place.sh resize|rebase|commit|compact|repair
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

# ---- resize

# resized IMAGE OLD NEW CONTENT: of NEW bytes it shows CONTENT, cut off or with zeros behind.
resized() {
    local size
    size=$(vhdctl info --size "work/$1" 2>/dev/null) || trouble "no size"
    [[ $size == "$3" || ($size == "$2" && $status != 0) ]] || trouble "$size bytes"
    expect_sound "$1"
    cp "$4" found
    truncate -s "$size" found
    shows "$1" found || trouble "another content, of $size bytes"
}

sweep_resize() { # IMAGE OLD NEW CONTENT
    local image=$1 old=$2 new=$3 content=$4
    # shellcheck disable=SC2317 # called by sweep
    resized_twice() {
        resized "$image" "$old" "$new" "$content"
        [[ $status != 0 ]] || return 0
        again resize --shrink --force "work/$image" "$new"
        status=0 resized "$image" "$old" "$new" "$content"
    }
    sweep resized_twice resize --shrink --force "work/$image" "$new"
}

all_of_resize() {
    sweep_resize single.vhd 262144 1048576 all_c
    sweep_resize single.vhd 262144 131072 all_c
    sweep_resize fixed.vhd 262144 1048576 all_c
    sweep_resize fixed.vhd 262144 131072 all_c
    sweep_resize child.vhd 262144 524288 content
}

# ---- rebase

# Of the two that could be its parent the one that is must be write protected.
judge_parent() { # NEW
    local mode
    judge_sources parent.vhd "$1"
    mode=$(stat -c %a "work/$1")
    if [[ $(vhdctl info work/child.vhd 2>/dev/null) == *"backing file: ./$1"* ]]; then
        [[ $mode == 444 ]] || trouble "the new parent's mode is $mode"
    else
        [[ $status != 0 ]] || trouble "its parent is the old one"
        [[ $mode == 644 || $call == chmod ]] || trouble "no child, and the mode is $mode"
    fi
}

rebased() {
    local new=other.vhd
    [[ $verb != *copy.vhd* ]] || new=copy.vhd
    judge_parent "$new"
    expect_sound child.vhd
    shows child.vhd content || trouble "another content"
    [[ $status != 0 ]] || return 0
    # shellcheck disable=SC2086 # words
    again $verb
    status=0 judge_parent "$new"
    shows child.vhd content || trouble "another content in the end"
}

all_of_rebase() {
    sweep rebased rebase --parent work/other.vhd work/child.vhd
    sweep rebased rebase --unsafe --parent work/copy.vhd work/child.vhd
}

# ---- commit

# merged CHILD PARENT CONTENT: what the parent shows is its own or the child's.
merged() {
    # Where it could not be given back that was told; the next commit does it where the child stays.
    [[ $(stat -c %a "work/$2") == 444 || ($call == chmod && ($status != 0 || $verb == *--delete*)) ]] ||
        grep -q "^vhdctl: warning: .*/$2: cannot take away its write permission" err ||
        trouble "$2 has lost its protection"
    expect_sound "$2"
    if [[ -e work/$1 ]]; then
        expect_sound "$1"
        shows "$1" "$3" || trouble "the child shows something else"
    else
        [[ $verb == *--delete* ]] || trouble "the child is gone"
    fi
    [[ -e work/$1 && $status != 0 ]] || shows "$2" "$3" || trouble "not all was merged"
    vhdctl read "work/$2" >found 2>/dev/null || trouble "$2 cannot be read"
    [[ $(tr -d 'calf\0' <found | wc -c) == 0 ]] || trouble "something else was merged"
}

sweep_commit() { # CHILD PARENT CONTENT OPTION...
    local child=$1 parent=$2 content=$3
    # shellcheck disable=SC2317 # called by sweep
    merged_twice() {
        merged "$child" "$parent" "$content"
        [[ $status != 0 && -e work/$child ]] || return 0
        # shellcheck disable=SC2086 # words
        again $verb
        status=0 merged "$child" "$parent" "$content"
    }
    sweep merged_twice commit --force "${@:4}" "work/$child"
}

all_of_commit() {
    sweep_commit child.vhd parent.vhd content
    sweep_commit child.vhd parent.vhd content --delete
    sweep_commit large.vhd parent.vhd large_content
    sweep_commit leaf.vhd parent.vhd leaf_content --into work/parent.vhd
}

# ---- compact

sweep_compact() { # IMAGE CONTENT
    local image=$1 content=$2 small
    rm -rf work
    cp -a base work
    silent vhdctl compact "work/$image"
    small=$(stat -c %s "work/$image")
    # shellcheck disable=SC2317 # called by sweep
    compacted() {
        judge_sources parent.vhd
        expect_sound "$image"
        shows "$image" "$content" || trouble "another content"
        [[ $status == 0 ]] || again compact "work/$image"
        [[ $status == 0 ]] || shows "$image" "$content" || trouble "another content in the end"
        [[ $(stat -c %s "work/$image") == "$small" ]] || trouble "it is not small"
        vhdctl check "work/$image" >found 2>&1 || trouble "check in the end: $(<found)"
    }
    sweep compacted compact "work/$image"
}

all_of_compact() {
    sweep_compact holes.vhd holes_content
    sweep_compact same.vhd content
    sweep_compact zeros.vhd holes_content
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
