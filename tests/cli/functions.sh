# SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later
# shellcheck shell=bash
#
# What the scripts of tests/cli and tests/interop share. Sourced first; afterwards the script is in
# an empty folder of its own, which is removed at its end.
#
#   VHDCTL        the program under test
#   VHD_POKE      tests/cli/poke.c, built
#   VHD_FIXTURES  images made by other programs; not part of this tree

set -euo pipefail
export LC_ALL=C.UTF-8
: "${VHDCTL:?is set by ctest}" "${VHD_POKE:?is set by ctest}"
source_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
fixtures=${VHD_FIXTURES:-$source_root/../shared/fixtures}

folder=$(mktemp -d "${TMPDIR:-/tmp}/vhdctl-test.XXXXXX")
cleanups=()
# shellcheck disable=SC2317 # called by trap
at_exit() {
    local status=$? command
    for command in "${cleanups[@]}"; do
        eval "$command" || true
    done
    cd /
    chmod -R u+w "$folder"
    rm -rf "$folder"
    exit "$status"
}
trap at_exit EXIT
cd "$folder"
umask 022

vhdctl() { "$VHDCTL" "$@"; }
poke() { "$VHD_POKE" "$@"; }

fail() {
    echo "FAILED: $*" >&2
    exit 1
}

# A tool that is not there: skipped, but in CI everything has to be there.
requires() {
    local tool
    for tool in "$@"; do
        command -v "$tool" >/dev/null && continue
        [[ ${CI:-} == true ]] && fail "$tool is not installed"
        echo "skipped: $tool is not installed"
        exit 77
    done
}

requires_fixtures() {
    local name
    for name in "$@"; do
        [[ -e $fixtures/$name ]] && continue
        echo "skipped: $fixtures/$name is not there"
        exit 77
    done
}

# is GOT WANTED [WHAT]
is() {
    [[ $1 == "$2" ]] && return
    printf 'FAILED%s\n--- got\n%s\n--- wanted\n%s\n' "${3:+: $3}" "$1" "$2" >&2
    exit 1
}

# run COMMAND...: its exit status goes to $status, stdout to $out, stderr to $err.
# shellcheck disable=SC2034 # used by the scripts
run() {
    status=0
    "$@" >"$folder/.out" 2>"$folder/.err" || status=$?
    out=$(<"$folder/.out")
    err=$(<"$folder/.err")
}

# refused STATUS SENTENCE COMMAND...: COMMAND ends with STATUS and says exactly SENTENCE.
refused() {
    local wanted_status=$1 sentence=$2
    shift 2
    run "$@"
    is "$err" "$sentence" "stderr of $*"
    is "$status" "$wanted_status" "exit status of $*"
    is "$out" "" "stdout of $*"
}

# silent COMMAND...: COMMAND succeeds and says nothing.
silent() {
    run "$@"
    is "$out$err" "" "output of $*"
    is "$status" 0 "exit status of $*"
}

# noise FILE BYTES: the same bytes for the same arguments, none of them a zero page.
noise() {
    python3 -c 'import random, sys
random.seed(sys.argv[1])
open(sys.argv[1], "wb").write(random.randbytes(int(sys.argv[2])))' "$1" "$2"
}

# in_use IMAGE: a writer, $holder, holds it until the script ends.
# shellcheck disable=SC2034 # holder is used by the scripts
in_use() {
    local pid
    mkfifo "$folder/.hold.$$"
    "$VHDCTL" write "$1" <"$folder/.hold.$$" &
    pid=$! holder=$!
    exec 9>"$folder/.hold.$$"
    # A byte is taken by the reader once the image is open and locked.
    for _ in $(seq 200); do
        if is_busy "$1"; then
            cleanups+=("exec 9>&-; wait $pid")
            return
        fi
        sleep 0.05
    done
    fail "nobody holds $1"
}

# held_by_qemu FILE OPTION...: a qemu-io, $holder, has FILE open until descriptor 6 is closed.
# shellcheck disable=SC2034 # holder is used by the scripts
held_by_qemu() {
    local file=$1 line
    shift
    rm -f commands replies
    mkfifo commands replies
    qemu-io "$@" -f vpc "$file" <commands >replies 2>&1 &
    holder=$!
    exec 6>commands 7<replies
    echo 'read 0 512' >&6
    # Until it has read something, or is gone.
    while IFS= read -r line <&7; do
        [[ $line != *'read 512'* ]] || break
    done
    exec 7<&-
    [[ $line == *'read 512'* ]] || fail "qemu-io does not open $file: $line"
}

# Whether a reader would be refused now.
is_busy() {
    ! "$VHDCTL" info --size "$1" >/dev/null 2>&1
}

# same_bytes A B
same_bytes() {
    cmp "$1" "$2" >&2 || fail "$1 and $2 differ"
}

# Used by every script, or nearly.
requires python3 xxd

# traced OPTION... COMMAND...: strace. Leaks cannot be looked for under it.
traced() {
    ASAN_OPTIONS=detect_leaks=0 strace -f "$@"
}

# pipe_drained: until all that went into the pipe at descriptor 8 has been taken out of it.
pipe_drained() {
    local _
    for _ in $(seq 200); do
        python3 -c 'import array, fcntl, sys, termios
left = array.array("i", [0])
fcntl.ioctl(8, termios.FIONREAD, left)
sys.exit(left[0] > 0)' && return
    done
    fail "nobody reads the pipe"
}
