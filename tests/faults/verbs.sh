#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later
# vhdctl with the n-th system call of each name failing, for n = 1, 2, 3 ... until none fails any
# more: exit status 1 and one sentence, or done all the same; no temporary file; sources as they were; what
# was to be made whole or not there; what was written old or new, nothing else.
. "$(dirname "$0")/../cli/functions.sh"

work=$PWD/work # the calls that fail are on files here

: "${VHD_PRELOAD:?is set by ctest}"
shorts_most=4 # of short transfers; each call fails once whatever their number
EIO=5 ENOSPC=28
runs=0 hits=0

letters() { # LETTER BYTES
    head -c "$2" /dev/zero | tr '\0' "$1"
}

mkdir base work
silent vhdctl create --size 256K --block-size 64K base/parent.vhd
letters c 262144 | silent vhdctl write base/parent.vhd
cp base/parent.vhd base/single.vhd
silent vhdctl snapshot base/parent.vhd base/child.vhd
letters a 81920 | silent vhdctl write --offset 96K base/child.vhd
vhdctl read base/child.vhd >content
letters b 40960 >written

# attempt COMMAND...: of vhdctl, under the fault; true if it was hit.
attempt() {
    rm -f mark
    status=0
    LD_PRELOAD=$VHD_PRELOAD ASAN_OPTIONS=verify_asan_link_order=0 FAULT_FOLDER=$work \
        FAULT_CALL=$call FAULT_ERRNO=$number FAULT_NTH=$nth FAULT_SHORT=$short FAULT_MARK=$PWD/mark \
        "$VHDCTL" "$@" <written >out 2>err || status=$?
    runs=$((runs + 1))
    [[ -e mark ]]
}

trouble() {
    fail "$verb: $call number $nth${short:+ after a part} fails with $number: $*; status $status, said: $(<err)"
}

judge_status() { # HIT
    local said
    said=$(grep -vc '^vhdctl: warning: ' err || true)
    [[ $status == 0 || $1 == yes ]] || trouble "not hit, but it did not succeed"
    [[ $status == 0 || $status == 1 ]] || trouble "status"
    [[ $verb == check* && -s out ]] || [[ $status == 0 || $said == 1 ]] || trouble "$said sentences"
    [[ -z $(find work -name '.*') ]] || trouble "a temporary file stays"
}

judge_sources() {
    local name
    for name in "$@"; do
        cmp -s "base/$name" "work/$name" || trouble "$name was changed"
    done
}

# sweep FUNCTION COMMAND...: FUNCTION judges after each.
sweep() {
    local judge=$1 call number nth short hit
    shift
    verb=$*
    for call in preadv pwritev fdatasync fsync ftruncate fallocate renameat2 chmod fcntl; do
        for number in $EIO $ENOSPC; do
            for short in '' yes; do
                [[ -z $short || ($call == p* && $number == "$EIO") ]] || continue
                [[ $number == "$EIO" || $call == pwritev || $call == fallocate ]] || continue
                for ((nth = 1; ; nth++)); do
                    rm -f work/new
                    cp -p base/*.vhd work/
                    attempt "$@" && hit=yes || hit=no
                    judge_status "$hit"
                    "$judge"
                    [[ $hit == yes ]] || break
                    hits=$((hits + 1))
                    [[ -z $short || $nth -lt $shorts_most ]] || break
                done
            done
        done
    done
}

made_or_not() {
    judge_sources parent.vhd child.vhd single.vhd
    if [[ $status == 0 ]]; then
        [[ -e work/new ]] || trouble "nothing was made"
    elif [[ -e work/new && $call != fsync ]]; then
        trouble "it has its name"
    fi
    [[ -e work/new ]] || return 0
    case $verb in
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
    vhdctl check work/child.vhd >found 2>&1 || [[ $? == 3 ]] || trouble "check: $(<found)"
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
    judge_sources parent.vhd child.vhd
    [[ $verb != check* || $status != 0 || $(<out) == *"layer 1: "* ]] || trouble "the parent was not looked at"
}

sweep made_or_not create --size 256K --block-size 64K work/new
sweep made_or_not create --type fixed --preallocate --size 64K work/new
sweep child_or_not snapshot work/single.vhd work/new
sweep made_or_not convert --block-size 64K work/child.vhd work/new
sweep made_or_not convert -O raw work/child.vhd work/new
sweep old_or_new write --offset 128K work/child.vhd
sweep read_so_far read work/child.vhd
sweep unchanged check --chain work/child.vhd
sweep unchanged info --chain work/child.vhd
sweep unchanged map work/child.vhd

# A full device takes what is read.
call=write nth=1 number=$ENOSPC short='' verb=read
status=0
vhdctl read base/child.vhd >/dev/full 2>err || status=$?
[[ $status == 1 ]] || trouble "/dev/full took it"
judge_status yes
echo "$runs runs, $hits of them hit"
[[ $hits -gt 200 ]] || fail "few were hit: is the preloaded library in use?"
