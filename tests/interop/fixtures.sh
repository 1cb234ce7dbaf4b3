#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later
# What is known of the images that other programs made: FORMAT and INDEX of the fixtures.
. "$(dirname "$0")/../cli/functions.sh"

requires jq
requires_fixtures win8.vhd win8-child.vhd win8.1-1GB.vhd xapi.vhd vbox.vhd qemu.vhd fat-differential.vhd
facts() { # IMAGE: type, size, creator, uuid, block size, BAT
    vhdctl info --json "$fixtures/$1" | jq -r '[."format-specific".data.subformat, ."virtual-size",
        ."format-specific".data.creator, ."format-specific".data.uuid, ."cluster-size",
        ."format-specific".data."bat-offset"] | map(tostring) | join(" ")'
}
is "$(facts win8.vhd)" "dynamic 41943040 win 6.3 adb719754b5b0b40b025d06dab31b26f 2097152 1536"
is "$(facts win8-child.vhd)" "differencing 41943040 win 10.0 41306552577d8f4797716af2bac3499b 2097152 8192"
is "$(facts win8.1-1GB.vhd | cut -d' ' -f1-4 | sed 's/ [0-9a-f]*$//')" "dynamic 1073741824 win 6.3"
is "$(facts xapi.vhd)" "dynamic 41943040 tap 1.3 52f28ef1937241bbad2bb4ca3b06d304 2097152 1536"
is "$(facts vbox.vhd)" "dynamic 41943040 vbox 4.3 8392ddaeee029e4f811150f4f6c6f227 2097152 1536"
[[ $(facts qemu.vhd) == "dynamic "*" qem"* ]] || fail "$(facts qemu.vhd)"
is "$(facts fat-differential.vhd | cut -d' ' -f1-4 | sed 's/ [0-9a-f]*$//')" "differencing 4194304 win 10.0"
for image in "$fixtures"/*.vhd; do
    run vhdctl check "$image"
    is "$status" 0 "$image: $out$err"
done
run vhdctl info --json "$fixtures/win8-child.vhd"
is "$(jq -c '."format-specific".data | [."parent-uuid", ."parent-time-stamp", ."parent-name", (.locators[] | [.slot, .platform, .path])]' <<<"$out")" \
    '["adb719754b5b0b40b025d06dab31b26f",0,"C:/Users/sergi/Downloads/win8.vhd",[0,"W2ku","C:/Users/sergi/Downloads/win8.vhd"],[1,"W2ru","./win8.vhd"]]'
is "$(jq -r '."full-backing-filename"' <<<"$out")" "$(realpath "$fixtures")/win8.vhd"

# A pair made by Windows is served; the 1 GiB image is another one's parent.
cp "$fixtures/win8-child.vhd" "$fixtures/win8.vhd" .
chmod u+w ./*.vhd
parent=$(sha256sum <win8.vhd)
locators=$(dd if=win8-child.vhd bs=4096 skip=1 count=1 status=none | sha256sum)
noise piece 70000
silent vhdctl write --offset 12345 win8-child.vhd <piece
vhdctl read --offset 12345 --length 70000 win8-child.vhd | cmp - piece
is "$(sha256sum <win8.vhd)" "$parent" "the parent"
is "$(dd if=win8-child.vhd bs=4096 skip=1 count=1 status=none | sha256sum)" "$locators" "the locators"
run vhdctl check --chain win8-child.vhd
is "$status" 0 "$out"
cp "$fixtures/win8.1-1GB.vhd" win8.vhd 2>/dev/null || { chmod u+w win8.vhd && cat "$fixtures/win8.1-1GB.vhd" >win8.vhd; }
run vhdctl read win8-child.vhd
is "$status" 1
[[ $err == "vhdctl: win8-child.vhd: its parent (uuid adb719754b5b0b40b025d06dab31b26f) was not found: "*"/win8.vhd: is another image, its uuid is "* ]] || fail "$err"
