#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later
# check --config: the handler's own rules about folders.
. "$(dirname "$0")/functions.sh"

mkdir golden clients
silent vhdctl create --size 1M golden/base.vhd
silent vhdctl snapshot golden/base.vhd clients/c.vhd
run vhdctl check --chain clients/c.vhd
is "$status$err" 0 "vhdctl follows any parent"
run vhdctl check --config "vhd/$PWD/clients/c.vhd;parents=$PWD/golden"
is "$status$err" 0
run vhdctl check --config "vhd/$PWD/clients/c.vhd"
is "$status" 2
[[ $out == *"error (parent): "*"lies outside the folders allowed, parents=$PWD/golden would allow it"* ]] ||
    fail "$out"
[[ $err == "vhdctl: the handler would refuse: "*"add parents=DIR"* ]] || fail "$err"
run vhdctl check --config "$PWD/clients/c.vhd"
is "$status" 1
[[ $err == 'vhdctl: the config string does not begin with "vhd/"'* ]] || fail "$err"
run vhdctl check --config "vhd/$PWD/golden/base.vhd"
is "$status" 2 "a protected image is no LUN to be written"
run vhdctl check --config "vhd/$PWD/golden/base.vhd;ro"
is "$status$err" 0
