#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later
# A protected image is not written, by root neither, unless forced.
. "$(dirname "$0")/functions.sh"

silent vhdctl create --size 1M golden.vhd
chmod a-w golden.vhd
before=$(sha256sum <golden.vhd)
printf x | refused 1 "vhdctl: golden.vhd: write protected (no write permission: it may be a golden image with children); make a child of it and write that, or force it" \
    vhdctl write golden.vhd
is "$(sha256sum <golden.vhd)" "$before"
run vhdctl read --length 1 golden.vhd
is "$status" 0
if [[ $(id -u) == 0 ]]; then
    printf x | silent vhdctl write --force golden.vhd
    is "$(vhdctl read --length 1 golden.vhd)" x
fi

# Nor is it replaced, whatever is forced: its children would have no parent.
before=$(sha256sum <golden.vhd)
silent vhdctl create --size 1M plain.vhd
why="write protected (no write permission: it may be a golden image with children) and is not replaced; remove it first if nothing needs it"
refused 1 "vhdctl: golden.vhd: $why" vhdctl convert --force plain.vhd golden.vhd
refused 1 "vhdctl: golden.vhd: $why" vhdctl create --force --size 1M golden.vhd
refused 1 "vhdctl: golden.vhd: $why" vhdctl map --force --svg golden.vhd plain.vhd
is "$(sha256sum <golden.vhd)" "$before"
