#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later
# read and write at any byte, against a flat file, over a chain of small blocks.
. "$(dirname "$0")/functions.sh"

requires python3
silent vhdctl create --size 1M --block-size 4K base.vhd
noise base.raw 1048576
silent vhdctl write base.vhd <base.raw
silent vhdctl snapshot base.vhd middle.vhd
silent vhdctl snapshot middle.vhd top.vhd

cp base.raw flat
seed=1
put() { # OFFSET LENGTH
    noise "noise.$((seed++))" "$2"
    silent vhdctl write --offset "$1" top.vhd <"noise.$((seed - 1))"
    dd if="noise.$((seed - 1))" of=flat bs=64K seek="$1" oflag=seek_bytes conv=notrunc status=none
    vhdctl read top.vhd >now
    same_bytes now flat
}
put 0 1
put 511 2
put 513 510
put 4095 8194
put 500003 300001
put 1048575 1
put 700000 348576
silent vhdctl write --offset 100 top.vhd </dev/null
silent vhdctl write --offset 1M top.vhd </dev/null
get() { # OFFSET LENGTH
    vhdctl read --offset "$1" --length "$2" top.vhd >now
    dd if=flat bs=64K skip="$1" count="$2" iflag=skip_bytes,count_bytes status=none >wanted
    same_bytes now wanted
}
get 0 0
get 1 1
get 511 1026
get 4097 999999
get 1048575 1
get 1M 0
vhdctl read base.vhd >now
same_bytes now base.raw
run vhdctl check --chain top.vhd
is "$status" 0 "$out"
