#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later
# snapshot refuses a parent that somebody writes; what it makes is whole or not there.
. "$(dirname "$0")/functions.sh"

silent vhdctl create --size 1M parent.vhd
in_use parent.vhd
run vhdctl snapshot parent.vhd child.vhd
is "$status" 1
[[ $err == "vhdctl: parent.vhd: "* ]] || fail "$err"
[[ ! -e child.vhd ]] || fail "a child was made"
is "$(stat -c %a parent.vhd)" 644 "the parent's mode"

silent vhdctl create --size 1M other.vhd
refused 1 "vhdctl: no/such: cannot make a file in it: No such file or directory" \
    vhdctl snapshot other.vhd no/such/child.vhd
refused 1 "vhdctl: missing.vhd: cannot open it: No such file or directory" \
    vhdctl snapshot missing.vhd child.vhd
is "$(stat -c %a other.vhd)" 644 "the mode of a parent that got no child"
