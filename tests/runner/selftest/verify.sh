#!/bin/bash
# SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later
#
#   verify.sh RUNNER-VERIFY HANDLER0 HANDLER2
#
# Tests of runner-verify: right handlers pass, wrong data of several kinds and a
# hang are found.  (nr_threads of the two handlers: 0 and 2.)
set -u -o pipefail
verify=$1
log=$(mktemp)
model=$(mktemp -u)
trap 'rm -f "$log" "$model"' EXIT
failed=0

# run HANDLER MODE [OPTION...]
run() {
    local handler=$1 mode=$2
    shift 2
    "$verify" --handler "$handler" --config "selftest/$mode" --size $((8 << 20)) \
        --requests 2000 --unmap --remove-under-load "$@" >"$log" 2>&1
}

passes() {
    run "$@" && echo "ok: passes: ${*:2}" && return
    echo "NOT ok: should pass: $*"
    cat "$log"
    failed=1
}

# fails STATUS TEXT HANDLER MODE [OPTION...]
fails() {
    local status=$1 text=$2 actual=0
    shift 2
    run "$@" || actual=$?
    if [[ $actual -eq $status ]] && grep -q "$text" "$log"; then
        echo "ok: found: ${*:2}: $(grep -m 1 "$text" "$log")"
        return
    fi
    echo "NOT ok: expected status $status and '$text', got $actual: $*"
    cat "$log"
    failed=1
}

for handler in "$2" "$3"; do
    passes "$handler" good
    passes "$handler" good --removal at-once
    passes "$handler" split --submitters 7 --depth 3 --seed 99
    fails 1 "expected version" "$handler" wrong-data
    fails 1 "expected version" "$handler" lost-write
    fails 1 "outside its buffers" "$handler" out-of-bounds
done
passes "$2" inline
fails 134 "hang: nothing has happened" "$2" never-complete --watchdog 2 --skip-first-scan
fails 134 "completed twice" "$2" double-complete

# A model written by one run is what the next one expects; this disk is empty again.
passes "$2" good --model "$model"
fails 1 "whole device: sector" "$2" good --model "$model"
exit $failed
