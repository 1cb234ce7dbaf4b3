#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later
# --force never replaces a file that somebody uses.
. "$(dirname "$0")/functions.sh"

silent vhdctl create --size 1M a.vhd
before=$(sha256sum <a.vhd)
in_use a.vhd
run vhdctl create --force --size 2M a.vhd
is "$status" 1
[[ $err == "vhdctl: a.vhd: "* ]] || fail "$err"
is "$(sha256sum <a.vhd)" "$before"
run vhdctl convert -O raw --force /dev/null a.vhd
is "$status" 1
silent vhdctl create --size 1M b.vhd
run vhdctl convert --force b.vhd a.vhd
is "$status" 1
is "$(sha256sum <a.vhd)" "$before"
is "$(find . -name '.a*tmp')" "" "temporary files"
