#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later
# luns: from LUNs to images and back, on a tree like the kernel's.
. "$(dirname "$0")/functions.sh"

requires jq
export VHD_CONFIGFS=$PWD/core
run vhdctl luns
is "$out$err$status" 0 "no target"
run vhdctl luns --json
is "$(jq -c . <<<"$out")" '[]' "no target"

lun() { # HBA NAME DEV-CONFIG
    mkdir -p "core/$1/$2/attrib"
    printf '%s\n' "$3" >"core/$1/$2/attrib/dev_config"
    echo "HBA Index: 0" >"core/$1/hba_info"
}

mkdir golden
silent vhdctl create --size 8M golden/root.vhd
silent vhdctl snapshot golden/root.vhd middle.vhd
silent vhdctl snapshot middle.vhd one.vhd
silent vhdctl snapshot middle.vhd two.vhd
silent vhdctl create --size 8M alone.vhd
lun user_1 b-one "vhd/$PWD/one.vhd;parents=$PWD/golden"
lun user_0 c-two "vhd/$PWD/two.vhd;ro"
lun user_2 a-alone "vhd/$PWD/alone.vhd"
lun user_3 other "qcow/$PWD/alone.vhd"
lun fileio_0 file "$PWD/alone.vhd"

names() { jq -r 'map(.lun) | join(" ")' <<<"$out"; }
run vhdctl luns --json
is "$status$err" 0
is "$(names)" "a-alone b-one c-two"
is "$(jq -c '.[1].chain' <<<"$out")" "[\"$PWD/one.vhd\",\"$PWD/middle.vhd\",\"$PWD/golden/root.vhd\"]"
is "$(jq -r '.[1].backstore' <<<"$out")" user_1/b-one
is "$(jq -r '.[2].options' <<<"$out")" cache=writeback,discard=on,ro
run vhdctl luns --json one.vhd
is "$(names)" b-one
run vhdctl luns --json middle.vhd
is "$(names)" "b-one c-two" "of a parent"
ln -s golden/root.vhd link.vhd
run vhdctl luns --json link.vhd
is "$(names)" "b-one c-two" "of a parent's parent, by another name"
silent vhdctl create --size 8M unused.vhd

lun_export() { # FABRIC TARGET TPG LUN BACKSTORE
    local folder=$1/$2/tpgt_$3/lun/lun_$4
    mkdir -p "$folder/statistics"
    ln -s "../../../../../core/$5" "$folder/store"
}
lun_export iscsi iqn.2003-01.org.linux-iscsi.golden:x 1 0 user_0/c-two
lun_export iscsi iqn.2003-01.org.linux-iscsi.golden:x 1 12 user_1/b-one
lun_export loopback naa.5001405000000007 1 0 user_1/b-one
lun_export loopback naa.5001405000000008 1 0 fileio_0/file
run vhdctl luns --json
is "$(jq -c 'map(.exports)' <<<"$out")" '[[],["iscsi/iqn.2003-01.org.linux-iscsi.golden:x/tpg1/lun12",'\
'"loopback/naa.5001405000000007/tpg1/lun0"],["iscsi/iqn.2003-01.org.linux-iscsi.golden:x/tpg1/lun0"]]'
run vhdctl luns two.vhd
is "${out##*$'\n'}" "    export: iscsi/iqn.2003-01.org.linux-iscsi.golden:x/tpg1/lun0"
silent vhdctl luns unused.vhd

run vhdctl luns alone.vhd
is "$out" "lun: a-alone
    backstore: user_2/a-alone
    image: $PWD/alone.vhd
    options: cache=writeback,discard=on"

in_use alone.vhd
run vhdctl luns --json alone.vhd
is "$(names)" a-alone "an image in use"

mv middle.vhd lost.vhd
run vhdctl luns --json
is "$status$err" 0
is "$(jq -c '.[1] | [.chain, (.error | contains("middle.vhd"))]' <<<"$out")" "[[\"$PWD/one.vhd\"],true]"
run vhdctl luns lost.vhd
is "$out$status" 0
[[ $err == "vhdctl: warning: LUN b-one: not all of its images are known: "*"LUN c-two: "* ]] ||
    fail "an image that a LUN may use: $err"
rm alone.vhd
run vhdctl luns
is "$status$err" 0
[[ $out == *"image: $PWD/alone.vhd"*"error: $PWD/alone.vhd: "* ]] || fail "an image that is gone: $out"
lun user_4 odd "vhd/relative.vhd"
run vhdctl luns --json
is "$(jq -c '.[] | select(.lun == "odd") | [.chain, has("error")]' <<<"$out")" '[["relative.vhd"],true]'

refused 1 "vhdctl: none.vhd: No such file or directory" vhdctl luns none.vhd
refused 2 "vhdctl: luns: 'b' is one operand too many; see 'vhdctl luns --help'" vhdctl luns a b
