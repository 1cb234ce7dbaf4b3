#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later
# vhdctl's verbs that read or make images, with the n-th system call of each name failing: exit status
# 1 and one sentence, or done all the same; no temporary file; sources as they were; what was to be
# made whole or not there; what was written old or new, nothing else.
#
#   verbs.sh making|reading
# shellcheck source=tests/faults/sweep.sh
. "$(dirname "$0")/sweep.sh"

# In work, which names in a child lead to.
mkdir work
silent vhdctl create --size 256K --block-size 64K work/parent.vhd
letters c 262144 | silent vhdctl write work/parent.vhd
cp work/parent.vhd work/single.vhd
silent vhdctl snapshot work/parent.vhd work/child.vhd
letters a 81920 | silent vhdctl write --offset 96K work/child.vhd
vhdctl read work/child.vhd >content
cp content work/child.raw
letters b 40960 >written
mv work base

made_or_not() {
    judge_sources parent.vhd child.vhd single.vhd
    if [[ $status == 0 ]]; then
        [[ -e work/new ]] || trouble "nothing was made"
    elif [[ -e work/new && $call != fsync ]]; then
        trouble "it has its name"
    fi
    [[ -e work/new ]] || return 0
    case $verb in
    map*) grep -q '</svg>' work/new || trouble "a part of a picture" ;;
    *raw*) cmp -s content work/new || trouble "another content" ;;
    convert*) vhdctl read work/new | cmp -s content - || trouble "another content" ;;
    *) vhdctl check work/new >/dev/null || trouble "it is not whole" ;;
    esac
}

child_or_not() {
    local mode
    made_or_not
    mode=$(stat -c %a work/single.vhd)
    if [[ -e work/new ]]; then
        [[ $mode == 444 ]] || trouble "a parent of mode $mode"
    else
        [[ $mode == 644 || $call == chmod ]] || trouble "mode $mode, and no child"
    fi
}

old_or_new() {
    judge_sources parent.vhd
    expect_sound child.vhd
    vhdctl read work/child.vhd >found || trouble "it cannot be read"
    cmp -s -n 131072 content found || trouble "something before it changed"
    cmp -s -i 172032 content found || trouble "something behind it changed"
    [[ $(tail -c +131073 found | head -c 40960 | tr -d ab | wc -c) == 0 ]] || trouble "neither old nor new"
    [[ $status != 0 ]] || cmp -s -i 131072:0 -n 40960 found written || trouble "it is not there"
    printf x | vhdctl write --offset 250000 work/child.vhd || trouble "it takes no more writes"
}

read_so_far() {
    judge_sources parent.vhd child.vhd
    cmp -s -n "$(stat -c %s out)" out content || trouble "other bytes were read"
    [[ $status != 0 ]] || cmp -s out content || trouble "not all of it was read"
}

unchanged() {
    judge_sources parent.vhd child.vhd single.vhd
    [[ $verb != check* || $status != 0 || $(<out) == *"layer 1: "* ]] || trouble "the parent was not looked at"
}

# What it prints is what it prints without a fault, as far as it came.
told_so_far() {
    unchanged
    cmp -s -n "$(stat -c %s out)" out told || trouble "it told something else"
    [[ $status != 0 ]] || cmp -s out told || trouble "it did not tell all"
}

tells() { # COMMAND...
    rm -rf work
    cp -a base work
    vhdctl "$@" >told
    sweep told_so_far "$@"
}

old_or_replaced() {
    judge_sources parent.vhd child.vhd
    cmp -s work/single.vhd base/single.vhd && [[ $status != 0 ]] && return
    [[ $status == 0 || $call == fsync ]] || trouble "it was replaced"
    vhdctl read work/single.vhd | cmp -s content - || trouble "another content"
}

all_of_making() {
    sweep made_or_not create --size 256K --block-size 64K work/new
    sweep made_or_not create --type fixed --preallocate --size 64K work/new
    sweep child_or_not snapshot work/single.vhd work/new
    sweep made_or_not convert --block-size 64K work/child.vhd work/new
    sweep made_or_not convert -O raw work/child.vhd work/new
    sweep old_or_replaced convert --force --block-size 64K work/child.vhd work/single.vhd
    sweep made_or_not map --svg work/new work/child.vhd
    sweep old_or_new write --offset 128K work/child.vhd
}

# A full device takes what is read.
read_into_full_device() {
    call=write nth=1 number=$ENOSPC how='' verb=read status=0
    vhdctl read base/child.vhd >/dev/full 2>err || status=$?
    [[ $status == 1 ]] || trouble "/dev/full took it"
    judge_status yes
}

all_of_reading() {
    sweep read_so_far read work/child.vhd
    sweep unchanged check --chain work/child.vhd
    sweep unchanged info --chain work/child.vhd
    tells map work/child.vhd
    tells map --json work/child.vhd
    tells measure -O dynamic work/child.vhd
    sweep unchanged tree work
    failure=2
    tells compare work/child.vhd work/child.raw
    failure=1
    read_into_full_device
}

"all_of_$1"
sweep_done 100
