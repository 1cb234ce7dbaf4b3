#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later
# convert: content equal in every direction, sparse stays sparse.
. "$(dirname "$0")/functions.sh"

noise data 70000
truncate -s 300M raw
dd if=data of=raw bs=64K seek=100000001 oflag=seek_bytes conv=notrunc status=none
dd if=data of=raw bs=64K seek=$((300 * 1048576 - 70000)) oflag=seek_bytes conv=notrunc status=none
small() { # FILE
    (($(stat -c %b "$1") <= 800)) || fail "$1 takes $(stat -c %b "$1") blocks"
}
small raw
silent vhdctl convert raw d.vhd
silent vhdctl convert --block-size 512K d.vhd d2.vhd
silent vhdctl convert -O fixed d2.vhd f.vhd
silent vhdctl convert -O raw f.vhd back
silent vhdctl snapshot f.vhd child.vhd
silent vhdctl write --offset 5000000 child.vhd <data
silent vhdctl convert child.vhd flat.vhd
same_bytes raw back
for file in d.vhd d2.vhd f.vhd back; do small "$file"; done
for file in d.vhd d2.vhd f.vhd flat.vhd; do
    run vhdctl check "$file"
    is "$status" 0 "$out"
done
(($(stat -c %s d.vhd) < 8000000)) || fail "blocks of zeros were allocated"
dd if=data of=back bs=64K seek=5000000 oflag=seek_bytes conv=notrunc status=none
vhdctl read flat.vhd | cmp - back || fail "the flattened chain differs"

# A raw file may end in the middle of a sector.
head -c 1000 data >odd
silent vhdctl convert odd odd.vhd
is "$(vhdctl info --size odd.vhd)" 1024
cmp <(vhdctl read odd.vhd) <(cat odd; head -c 24 /dev/zero)
silent vhdctl convert -O raw odd odd2
same_bytes odd odd2

# Azure: fixed, of whole MiB, the footer right behind them.
for source in odd d.vhd child.vhd; do
    silent vhdctl convert --azure "$source" azure.vhd
    size=$(vhdctl info --size azure.vhd)
    is "$((size % 1048576)) $(stat -c %s azure.vhd)" "0 $((size + 512))" "$source for Azure"
    ((size - $(vhdctl measure --json -O raw "$source" | sed -n 's/.*"required" : \([0-9]*\).*/\1/p') < 1048576)) ||
        fail "$source became $size bytes"
    is "$(vhdctl info azure.vhd | sed -n 's/ *subformat: //p')" fixed
    run vhdctl compare azure.vhd "$source"
    is "$out" "Images are identical."
    rm azure.vhd
done
refused 2 "vhdctl: convert: Azure takes fixed images only; see 'vhdctl convert --help'" \
    vhdctl convert --azure -O dynamic odd x.vhd

# Standard input: a pipe, of any length, and a file.
for source in raw odd; do
    for format in raw fixed dynamic; do
        run bash -c 'cat "$1" | "$VHDCTL" convert -O "$2" - piped' _ "$source" "$format"
        is "$out$err$status" 0 "$source as $format"
        small piped
        run vhdctl compare piped "$source"
        is "$out" "Images are identical." "$source as $format"
        [[ $format != raw ]] || same_bytes "$source" piped
        is "$(stat -c %a piped)" 644
        rm piped
    done
done
silent vhdctl convert - piped <d.vhd
run vhdctl compare --strict piped d.vhd
is "$out" "Images are identical."
is "$(find . -name '.piped*')" "" "temporary files"
rm piped
refused 1 "vhdctl: standard input: a VHD cannot come through a pipe; name the file, or take it as raw bytes with -f raw" \
    bash -c 'cat d.vhd | "$VHDCTL" convert - piped'
silent bash -c 'cat d.vhd | "$VHDCTL" convert -f raw -O raw - piped'
same_bytes d.vhd piped
rm piped
refused 1 "vhdctl: d.vhd: exists already; name another file, or replace it with --force" \
    bash -c 'cat raw | "$VHDCTL" convert - d.vhd'

# Standard output: raw, from wherever.
vhdctl convert -O raw child.vhd - | cmp - back || fail "standard output got something else"
vhdctl convert -O raw odd - | cmp - odd || fail "standard output got something else"
vhdctl convert -O raw - - <child.vhd | cmp - back || fail "standard output got something else"
cat odd | vhdctl convert -f raw -O raw - - | cmp - odd || fail "standard output got something else"
refused 1 "vhdctl: standard input: a VHD cannot come through a pipe; if it is a raw disk, add -f raw" \
    bash -c 'cat d.vhd | "$VHDCTL" convert -O raw - -'
refused 2 "vhdctl: convert: standard output takes a raw disk only: add -O raw; see 'vhdctl convert --help'" \
    vhdctl convert d.vhd -
refused 1 "vhdctl: standard output: cannot write offset 0 of the disk: No space left on device" \
    bash -c '"$VHDCTL" convert -O raw d.vhd - >/dev/full'
run python3 -c 'import pty, sys; sys.exit(pty.spawn(sys.argv[1:]) >> 8)' \
    "$VHDCTL" convert -O raw d.vhd -
is "$status ${out%%$'\r'}" "2 vhdctl: convert: standard output is a terminal: name a file; see 'vhdctl convert --help'"
[[ ! -e - ]] || fail "a file called - was made"
silent vhdctl convert -O raw odd ./-
same_bytes odd ./-

# What looks like a VHD is one, unless it is said to be raw; and the other way round.
silent vhdctl convert -f raw -O raw d2.vhd copy
same_bytes d2.vhd copy
refused 1 "vhdctl: odd: not a VHD: no footer at its end nor at its beginning" \
    vhdctl convert -f vpc odd x.vhd
cp d2.vhd torn.vhd
poke torn.vhd 'footers!' 100 ff
run vhdctl convert torn.vhd x.vhd
is "$status" 1
[[ $err == "vhdctl: torn.vhd: footer checksum at offset "* ]] || fail "$err"

# The destination.
refused 1 "vhdctl: d.vhd: exists already; name another file, or replace it with --force" \
    vhdctl convert raw d.vhd
refused 1 "vhdctl: f.vhd: is a layer of the source and cannot be replaced by the result" \
    vhdctl convert --force child.vhd f.vhd
silent vhdctl convert --force odd d.vhd
is "$(vhdctl info --size d.vhd)" 1024
is "$(find . -name '.*tmp')" "" "temporary files"

# Without the three standard files, messages go nowhere, not into the copy.
rm copy
"$VHDCTL" convert --progress -O raw d2.vhd copy <&- >&- 2>&-
is "$(vhdctl compare d2.vhd copy)" "Images are identical."
