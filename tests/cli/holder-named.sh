#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later
# An image that somebody writes: what would change it is refused, what looks at it all the same (-U,
# tree) says that it may be in motion, and both name the process.
. "$(dirname "$0")/functions.sh"

requires jq qemu-io
silent vhdctl create --size 8M parent.vhd
printf 'what is read' | silent vhdctl write parent.vhd
silent vhdctl snapshot parent.vhd a.vhd
silent vhdctl snapshot parent.vhd other.vhd
silent vhdctl snapshot a.vhd below.vhd
chmod u+w a.vhd
silent vhdctl create --size 8M lonely.vhd

# named SENTENCE COMMAND...: SENTENCE is all that stands on stderr. Who it is, is looked for only a
# quarter of a second, which a machine with much to do may not have.
named() {
    local sentence=$1 _
    shift
    for _ in $(seq 20); do
        run "$@"
        [[ $err == *"another process (pid "* ]] && break
    done
    is "${err//"$PWD/"/}" "$sentence" "stderr of $*" # parents are named by whole paths
}

by="another process (pid $$ nobody)" # the holder, as it is named
refuses() { # VERB...
    named "vhdctl: a.vhd: in use by $by that writes it; stop that first, or wait until it is done" vhdctl "$@"
    is "$status$out" 1 "$*"
}
moves() { # VERB...
    named "vhdctl: warning: a.vhd: $by writes it: what is shown may be in motion" vhdctl "$@"
    [[ $status == 0 || ($1 == compare && $status == 1) ]] || fail "$*: status $status"
    [[ -s .out || $1 == convert || $* == *--svg* ]] || fail "$* shows nothing"
}
all_refuse() {
    local before
    before=$(sha256sum <a.vhd)
    refuses resize a.vhd 16M
    refuses compact a.vhd
    refuses repair a.vhd
    refuses commit a.vhd
    refuses commit below.vhd
    refuses rebase --parent lonely.vhd a.vhd
    refuses rebase --unsafe --parent parent.vhd a.vhd
    refuses rebase --parent a.vhd other.vhd
    refuses snapshot a.vhd new.vhd
    refuses create --force --size 1M a.vhd
    refuses convert --force lonely.vhd a.vhd
    refuses map --force --svg a.vhd lonely.vhd
    refuses write a.vhd </dev/null
    refuses info a.vhd
    is "$(sha256sum <a.vhd)" "$before" "a.vhd"
    [[ ! -e new.vhd ]] || fail "snapshot made a child"
}
all_warn() {
    moves info -U a.vhd
    moves info -U --chain a.vhd
    moves info -U --json a.vhd
    moves map -U a.vhd
    moves map -U --svg a.svg a.vhd
    moves check -U a.vhd
    moves check -U --chain below.vhd
    moves check --config "vhd/$PWD/a.vhd;lock=off"
    moves read -U --length 12 a.vhd
    moves read -U --length 12 below.vhd
    moves measure -U a.vhd
    moves compare -U a.vhd lonely.vhd
    moves compare -U lonely.vhd a.vhd
    moves convert -U a.vhd copy.vhd
    rm -f a.svg copy.vhd
    run vhdctl tree .
    is "$err" "vhdctl: warning: what is shown of images that are being written may be in motion"
    [[ $(grep -c "being written" <<<"$out") == 1 && $out == *"a.vhd (differencing, "*", being written)"* ]] || fail "$out"
    run vhdctl tree --json .
    is "$(jq -r '.. | objects | select(."being-written") | .filename' <<<"$out")" ./a.vhd
}

held_by_qemu a.vhd
by="another process (pid $holder qemu-io)"
all_refuse
moves info -U a.vhd
exec 6>&-
wait "$holder"
run vhdctl read -U --length 12 below.vhd
is "$err" "" "with nobody there"
run vhdctl tree .
is "$err" "" "tree with nobody there"

in_use a.vhd
by="another process (pid $holder $(<"/proc/$holder/comm"))"
all_warn
refuses resize a.vhd 16M
