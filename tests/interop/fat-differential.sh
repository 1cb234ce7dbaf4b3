#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later
# A child with data that Windows made: eighteen sectors are its own, nine of them zero.
. "$(dirname "$0")/../cli/functions.sh"

requires jq
requires_fixtures fat-differential.vhd
cp "$fixtures/fat-differential.vhd" .
chmod u+w fat-differential.vhd
silent vhdctl create --size 4M fat-parent.vhd
poke fat-parent.vhd footers 68 5fa21a55f394aa4d99581951a67d5540
noise filler 4194304
silent vhdctl write fat-parent.vhd <filler
map=$(vhdctl map --json fat-differential.vhd)
is "$(jq -r '.[] | select(.depth == 0) | range(.start / 512; (.start + .length) / 512)' <<<"$map" | tr '\n' ' ')" \
    "134 143 152 153 154 155 156 157 158 159 184 185 188 190 191 192 194 196 "
vhdctl read fat-differential.vhd >now
cp filler wanted
zero=0
for sector in 134 143 {152..159} 184 185 188 190 191 192 194 196; do
    # Block 0's data begins where the map says that sector 134 lies.
    first=$(jq '.[] | select(.depth == 0) | .offset' <<<"$map" | head -1)
    dd if=fat-differential.vhd of=wanted bs=512 skip=$((first / 512 + sector - 134)) seek="$sector" count=1 \
        conv=notrunc status=none
    cmp -s -n 512 -i $((sector * 512)):0 now /dev/zero && zero=$((zero + 1))
done
same_bytes now wanted
is $zero 9 "zero sectors that hide the parent"
