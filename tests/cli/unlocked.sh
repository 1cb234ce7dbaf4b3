#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later
# A busy image is refused by name after a moment; -U looks at it all the same.
. "$(dirname "$0")/functions.sh"

silent vhdctl create --size 1M a.vhd
in_use a.vhd
for verb in "info" "info --size" "info --chain" map check read "check --chain"; do
    # shellcheck disable=SC2086 # a verb and its options
    run vhdctl $verb a.vhd
    is "$status" 1 "status of $verb"
    [[ $err == "vhdctl: a.vhd: "* ]] || fail "$verb: $err"
    is "$out" "" "$verb"
    # shellcheck disable=SC2086
    run vhdctl $verb -U a.vhd
    is "$status" 0 "status of $verb -U: $err"
done
run vhdctl convert -U a.vhd b.vhd
is "$status" 0
