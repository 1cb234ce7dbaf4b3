# SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later
# shellcheck shell=bash
#
# A verb that changes images, stopped by a signal at system calls that write. Sourced after functions.sh
# by the *-killed.sh scripts, which define
#
#   lay          lays the images as they are before
#   judge WHEN   what holds wherever the verb was stopped, and at its end
#   ended WHEN   what else holds at its end
#   resume       how a stopped one is gone on with; by default the same command must succeed

requires strace

# The verb and its arguments, set by stop_at.
command=()
resume() {
    run vhdctl "${command[@]}"
    is "$status" 0 "$err"
}

# Of all calls of stop_at: how often the verb was killed, and how often it ended by itself because of a
# signal.
kills=0 interrupts=0

# stop_at SIGNAL CALL[/STEP]... -- VERB...: one run for each STEPth call of that name, the first being one
# of the first STEP, until a run has no more of them. It comes to its end with SIGINT, too, if there is
# nothing long left to do; else it says that it was interrupted.
stop_at() {
    local signal=$1 calls=() call step nth when
    shift
    while [[ $1 != -- ]]; do
        calls+=("$1")
        shift
    done
    command=("${@:2}")
    for call in "${calls[@]}"; do
        step=1
        [[ $call != */* ]] || step=${call#*/}
        call=${call%/*}
        for ((nth = 1 + RANDOM % step; ; nth += step)); do
            when="SIG$signal at $call $nth"
            lay
            run traced -o trace -e "trace=$call" -e "inject=$call:signal=$signal:when=$nth" "$VHDCTL" "${command[@]}"
            if ! grep -q "SIG$signal" trace; then
                is "$status" 0 "$when, which was not reached: $err"
                judge "at the end"
                ended "at the end"
                break
            fi
            stopped_rightly "$signal" "$when"
            judge "$when"
            resume
            judge "after $when"
            ended "after $when"
        done
    done
}

# undamaged IMAGE WHEN: leaks are fine.
undamaged() {
    run vhdctl check "$1"
    [[ $status == 0 || $status == 3 ]] || fail "check of $1, $2: $out"
}

# same_disk A B WHEN
same_disk() {
    run vhdctl compare "$1" "$2"
    is "$out" "Images are identical." "$1, $3"
}

stopped_rightly() { # SIGNAL WHEN
    if [[ $1 == KILL ]]; then
        is "$status" 137 "$2"
        kills=$((kills + 1))
    elif [[ $status != 0 ]]; then
        is "$status" 1 "$2"
        [[ $err =~ ^vhdctl:\ [^$'\n']*:\ interrupted[,\;]\ [^$'\n']*the\ same\ command\ [^$'\n']*$ ]] || fail "$2: $err"
        interrupts=$((interrupts + 1))
    fi
}
