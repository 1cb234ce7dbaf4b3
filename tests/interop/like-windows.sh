#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later
# A snapshot lies in its file as Windows 10's own child does, field by field and byte by byte.
. "$(dirname "$0")/../cli/functions.sh"

requires jq
requires_fixtures win8.vhd win8-child.vhd
cp "$fixtures/win8.vhd" win8.vhd
chmod u+w win8.vhd
touch -d 2000-01-01T00:00:00Z win8.vhd # time stamp 0, as Windows writes it
silent vhdctl snapshot win8.vhd child.vhd
theirs=$fixtures/win8-child.vhd
is "$(stat -c %s child.vhd)" "$(stat -c %s "$theirs")" "length"

# same OFFSET LENGTH WHAT
same() {
    cmp -n "$2" -i "$1:$1" child.vhd "$theirs" >/dev/null || fail "$3 differ: $(xxd -s "$1" -l "$2" -p child.vhd) and $(xxd -s "$1" -l "$2" -p "$theirs")"
}
for footer in 0 81408; do
    same $footer 24 "cookie to data offset"
    same $((footer + 28)) 36 "creator to disk type"
    same $((footer + 84)) 428 "saved state and reserved bytes"
done
same 512 36 "cookie to block size"
same 552 24 "parent's uuid, time stamp, reserved word"
same 1088 8 "platform and space of W2ku"
same 1096 0 "(the length of its own path)"
same 1100 12 "reserved word and offset of W2ku"
same 1112 24 "the whole locator of W2ru"
same 1136 400 "empty locators and reserved bytes"
same 1536 2560 "gap before W2ku"
same 8192 4096 "BAT and its padding"
same 12288 65536 "W2ru and its space"
same 77824 3584 "gap before the footer"
is "$(xxd -p -s 12288 -l 20 child.vhd)" "$(printf '.\\win8.vhd' | iconv -t UTF-16LE | xxd -p)" "W2ru"
length=$((16#$(xxd -p -s 1096 -l 4 child.vhd)))
absolute=$PWD/win8.vhd
is "$(dd if=child.vhd bs=1 skip=4096 count=$length status=none | iconv -f UTF-16LE)" "${absolute//\//\\}" "W2ku"
is "$(dd if=child.vhd bs=1 skip=576 count=18 status=none | iconv -f UTF-16BE | tr -d '\0')" win8.vhd "name"

# The first block: bitmap in the last sector before a page, where the footer was, as Windows puts it.
noise piece 4096
silent vhdctl write child.vhd <piece
is "$(xxd -p -s 8192 -l 4 child.vhd)" "$(printf %08x $((81408 / 512)))" "first entry"
is "$(stat -c %s child.vhd)" $((81920 + 2097152 + 4096)) "length with a block"
cmp -n 4096 -i 81920:0 child.vhd piece
is "$(xxd -p -s 81408 -l 3 child.vhd)" ff0000 "eight bits set"
