#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later
# compact: the file becomes as small as its disk allows, the disk stays as it is.
. "$(dirname "$0")/functions.sh"

requires qemu-img
noise data 20000000
shows() { # IMAGE
    is "$(vhdctl compare before "$1")" "Images are identical." "$1"
    run vhdctl check --chain "$1"
    is "$status" 0 "$out"
}
zeros() { # IMAGE OFFSET BYTES
    head -c "$3" /dev/zero | silent vhdctl write --offset "$2" "$1"
}
blocks() {
    stat -c %b "$1"
}

# Blocks of zeros in front of others; then a file of what is left.
silent vhdctl create --size 64M d.vhd
silent vhdctl write d.vhd <data
zeros d.vhd 0 10M
zeros d.vhd 12M 100000
silent vhdctl convert -O raw d.vhd before
was=$(stat -c %s d.vhd)
silent vhdctl compact d.vhd
shows d.vhd
(($(stat -c %s d.vhd) + 10 * 1048576 <= was)) || fail "d.vhd has $(stat -c %s d.vhd) bytes, it had $was"
required=$(vhdctl measure --json d.vhd | sed -n 's/.*"required" : \([0-9]*\).*/\1/p')
(($(stat -c %s d.vhd) <= required)) || fail "d.vhd has $(stat -c %s d.vhd) bytes, $required are enough"
is "$(qemu-img convert -f vpc -O raw d.vhd q && qemu-img compare -f raw -F raw q before)" \
    "Images are identical."
sum=$(sha256sum <d.vhd)
silent vhdctl compact d.vhd
is "$(sha256sum <d.vhd)" "$sum" "again"

# A child gives up what its parent has, too.
silent vhdctl snapshot d.vhd c.vhd
vhdctl read d.vhd | silent vhdctl write c.vhd
printf child | silent vhdctl write --offset 15M c.vhd
zeros c.vhd 18M 1M
silent vhdctl convert --force -O raw c.vhd before
silent vhdctl compact c.vhd
shows c.vhd
(($(stat -c %s c.vhd) < 5 * 1048576)) || fail "c.vhd has $(stat -c %s c.vhd) bytes"
is "$(vhdctl map --json c.vhd | grep -c '"depth": 0')" 4

# A fixed image keeps its length and loses its zeros.
silent vhdctl create --type fixed --preallocate --size 32M f.vhd
silent vhdctl write --offset 3M f.vhd < <(head -c 1000000 data)
silent vhdctl convert --force -O raw f.vhd before
was=$(stat -c %s f.vhd)
silent vhdctl compact f.vhd
shows f.vhd
is "$(stat -c %s f.vhd)" "$was"
(($(blocks f.vhd) < 3000)) || fail "f.vhd takes $(blocks f.vhd) blocks"

# Refusals change nothing.
sum=$(sha256sum <d.vhd)
refused 1 "vhdctl: d.vhd: write protected (no write permission: it may be a golden image with children); make a child of it and write that, or force it" \
    vhdctl compact d.vhd
is "$(sha256sum <d.vhd)" "$sum"
silent vhdctl create --size 1M none.vhd
silent vhdctl compact none.vhd
silent vhdctl create --size 1M saved.vhd
poke saved.vhd footers 84 01
refused 1 "vhdctl: saved.vhd: belongs to a machine in saved state, which expects it as it is; start that machine and shut it down first" \
    vhdctl compact saved.vhd
mv d.vhd away.vhd
run vhdctl compact c.vhd
is "$status" 1 "a child without its parent"
mv away.vhd d.vhd
in_use c.vhd
run vhdctl compact c.vhd
is "$status" 1
[[ $err == "vhdctl: c.vhd: "* ]] || fail "$err"
