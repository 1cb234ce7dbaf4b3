#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later
# Options end at --, and file names may begin with a dash or hold any bytes.
. "$(dirname "$0")/functions.sh"

silent vhdctl create --size 1M -- --json
is "$(vhdctl info --size -- --json)" 1048576
silent vhdctl create --size 1M -- --
is "$(vhdctl info --size ./--)" 1048576
name=$'tab\tand\xff.vhd'
silent vhdctl create --size 1M "$name"
run vhdctl info "$name"
is "${out%%$'\n'*}" $'image: tab\\x09and\ufffd.vhd'
run vhdctl info --json "$name"
is "$(python3 -c 'import json,sys; print(json.load(sys.stdin)["filename"])' <<<"$out")" \
    $'tab\tand\ufffd.vhd'
refused 1 "vhdctl: no\\x1b[2Jsuch.vhd: cannot open it: No such file or directory" \
    vhdctl info $'no\e[2Jsuch.vhd'
