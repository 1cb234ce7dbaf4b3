# SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later
# shellcheck shell=bash
#
# vhdctl with the n-th system call of each name failing, for n = 1, 2, 3 ... until none fails any
# more. Sourced by the scripts that say what is to be judged after each.
. "$(dirname "${BASH_SOURCE[0]}")/../cli/functions.sh"

: "${VHD_PRELOAD:?is set by ctest}"
base=$PWD/base # what each run begins with
work=$PWD/work # a copy of that; the calls that fail are on files here
shorts_most=4 # of short transfers; each call fails once whatever their number
failure=1     # the exit status of what went wrong
step=${FAULTS_STEP:-1} # of n; where runs are slow, a sample has to do
EIO=5 ENOSPC=28
runs=0 hits=0 verb='' call='' number='' nth='' how=''

letters() { # LETTER BYTES
    head -c "$2" /dev/zero | tr '\0' "$1"
}

# attempt COMMAND...: of vhdctl, under the fault; true if it was hit.
attempt() {
    rm -f mark
    status=0
    (
        export LD_PRELOAD=$VHD_PRELOAD ASAN_OPTIONS=verify_asan_link_order=0 FAULT_FOLDER=$work \
            FAULT_CALL=$call FAULT_ERRNO=$number FAULT_NTH=$nth FAULT_MARK=$PWD/mark \
            ${how:+"FAULT_$how=yes"}
        exec "$VHDCTL" "$@" <written >out 2>err
    ) || status=$?
    runs=$((runs + 1))
    [[ -e mark ]]
}

trouble() {
    fail "$verb: $call number $nth fails with $number ${how,,}: $*; status $status, said: $(<err)"
}

# One sentence, which gives the reason; check gives it among what it found.
judge_words() {
    local said
    said=$(grep -vc '^vhdctl: warning: ' err || true)
    [[ $said == 1 || ($verb == check* && -s out) ]] || trouble "$said sentences"
    grep -q 'Input/output error\|No space left on device' err out || trouble "no reason"
}

judge_status() { # HIT
    [[ $status == 0 || $1 == yes ]] || trouble "not hit, but it did not succeed"
    [[ $status == 0 ]] || judge_words
    [[ $status == 0 || $status == "$failure" ]] || ([[ $verb == check* ]] && grep -q '^error (parent)' out) ||
        trouble "status"
    [[ -z $(find work -name '.*') ]] || trouble "a temporary file stays"
}

judge_sources() {
    local name
    for name in "$@"; do
        cmp -s "$base/$name" "work/$name" || trouble "$name was changed"
    done
}

# expect_sound NAME: check finds nothing, or space that is lost.
expect_sound() {
    vhdctl check "work/$1" >found 2>&1 || [[ $? == 3 ]] || trouble "check of $1: $(<found)"
}

# sweep_call JUDGE COMMAND...: with the call, number and how that are set.
sweep_call() {
    local judge=$1 hit
    shift
    for ((nth = 1 + RANDOM % step; ; nth += step)); do
        rm -rf work
        cp -a "$base" work
        attempt "$@" && hit=yes || hit=no
        judge_status "$hit"
        "$judge"
        [[ $hit == yes ]] || break
        hits=$((hits + 1))
        [[ $how != SHORT || $nth -lt $shorts_most ]] || break
    done
}

# sweep JUDGE COMMAND...: JUDGE judges after each run.
sweep() {
    verb="${*:2}"
    number=$EIO how=''
    for call in open fstat fcntl preadv pwritev fdatasync fsync ftruncate fallocate lseek \
        posix_fadvise renameat2 chmod unlink; do
        sweep_call "$@"
    done
    number=$ENOSPC
    for call in pwritev fallocate; do
        sweep_call "$@"
    done
    number=$EIO how=SHORT
    for call in preadv pwritev; do
        sweep_call "$@"
    done
    how=LASTING
    for call in preadv pwritev fdatasync; do
        sweep_call "$@"
    done
}

# sweep_done HITS-LEAST
sweep_done() {
    echo "$runs runs, $hits of them hit"
    [[ $((hits * step * (step > 1 ? 2 : 1))) -ge $1 ]] || fail "few were hit: is the preloaded library in use?"
}
