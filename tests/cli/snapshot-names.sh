#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later
# Parents in other folders, through links, with spaces and any letters; names no child can hold.
. "$(dirname "$0")/functions.sh"

mkdir -p golden/sub clients "sp ace" 'ümläut 日本 😀'
silent vhdctl create --size 1M golden/base.vhd
printf hello | silent vhdctl write golden/base.vhd
chain() { # PARENT CHILD RELATIVE
    silent vhdctl snapshot "$1" "$2"
    is "$(vhdctl info --json "$2" | python3 -c 'import json, sys
print(json.load(sys.stdin)["format-specific"]["data"]["locators"][1]["path"])')" "$3"
    is "$(vhdctl read --length 5 "$2")" hello
}
chain golden/base.vhd clients/c1.vhd ../golden/base.vhd
chain golden/base.vhd golden/sub/c2.vhd ../base.vhd
chain golden/base.vhd c3.vhd ./golden/base.vhd
ln -s golden/base.vhd link.vhd
chain link.vhd c4.vhd ./golden/base.vhd
ln -s clients elsewhere
chain golden/base.vhd elsewhere/c5.vhd ../golden/base.vhd
cp golden/base.vhd 'ümläut 日本 😀/bäse 😀.vhd'
chain 'ümläut 日本 😀/bäse 😀.vhd' 'sp ace/c 6.vhd' '../ümläut 日本 😀/bäse 😀.vhd'

# A family that moves together stays together.
mkdir moved
mv golden clients moved
is "$(vhdctl read --length 5 moved/clients/c1.vhd)" hello

silent vhdctl create --size 1M plain.vhd
no_child() { # NAME WHY
    cp plain.vhd "$1"
    refused 1 "vhdctl: $PWD/$1: a child cannot name this file as its parent: $2; rename it" \
        vhdctl snapshot "$1" child.vhd
    [[ ! -e child.vhd ]] || fail "a child was made"
    is "$(stat -c %a "$1")" 644 "mode of $1"
}
no_child 'back\slash.vhd' "its path contains a backslash"
cp plain.vhd $'b\n.vhd'
refused 1 "vhdctl: $PWD/b\\x0a.vhd: a child cannot name this file as its parent: its path contains control characters; rename it" \
    vhdctl snapshot $'b\n.vhd' child.vhd
name=$(printf 'a%.0s' {1..251}).vhd
cp plain.vhd "$name"
silent vhdctl snapshot "$name" longest.vhd
is "$(vhdctl info --size longest.vhd)" 1048576
cp plain.vhd $'b\xff.vhd'
refused 1 "vhdctl: $PWD/b"$'\ufffd'".vhd: a child cannot name this file as its parent: its path is not UTF-8; rename it" \
    vhdctl snapshot $'b\xff.vhd' child.vhd
