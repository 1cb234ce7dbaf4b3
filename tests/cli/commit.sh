#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later
# commit: a child's content goes into an ancestor; who else would see it is asked first.
. "$(dirname "$0")/functions.sh"

noise data 3000000
noise other 3000000
# a chain of four, each with something of its own
chain() {
    rm -f ./*.vhd
    silent vhdctl create --size 20M root.vhd
    silent vhdctl write --offset 1M root.vhd <data
    silent vhdctl snapshot root.vhd a.vhd
    silent vhdctl write --offset 3M a.vhd <other
    silent vhdctl snapshot a.vhd b.vhd
    head -c 100000 /dev/zero | silent vhdctl write --offset 1500000 b.vhd
    printf b | silent vhdctl write --offset 19M b.vhd
    silent vhdctl snapshot b.vhd c.vhd
    head -c 1000000 other | silent vhdctl write --offset 2000001 c.vhd
    silent vhdctl convert --force -O raw c.vhd before
}
shows() { # IMAGE
    is "$(vhdctl compare before "$1")" "Images are identical." "$1"
    run vhdctl check --chain "$1"
    is "$status" 0 "$out"
}

# Into the parent: the child is empty then, and shows the same.
chain
silent vhdctl commit c.vhd
shows c.vhd
shows b.vhd
is "$(vhdctl map --json c.vhd | grep -c '"depth": 0')" 0 "ranges of c.vhd"
(($(stat -c %s c.vhd) < 100000)) || fail "c.vhd has $(stat -c %s c.vhd) bytes still"
# The parent is protected as it was.
[[ $(stat -c %A b.vhd) != *w* ]] || fail "b.vhd lost its protection"
silent vhdctl commit c.vhd # nothing to do
shows c.vhd
# It is still a child that can be written.
printf again | silent vhdctl write c.vhd
is "$(vhdctl read --length 5 c.vhd)" again

# The child goes.
chain
silent vhdctl commit --delete c.vhd
[[ ! -e c.vhd ]] || fail "c.vhd is there still"
shows b.vhd
# Its parent, which has no child now, is protected as it was, or as little.
is "$(stat -c %a b.vhd)" 444 "mode of b.vhd"
chain
chmod 640 b.vhd
silent vhdctl commit --delete c.vhd
is "$(stat -c %a b.vhd)" 640 "mode of b.vhd"

# Several levels; the ones in between are told, and the child follows the ancestor.
chain
run vhdctl commit --into root.vhd c.vhd
is "$status" 0 "$err"
is "$err" "vhdctl: warning: $PWD/b.vhd: is no longer valid, what it is a child of has changed
vhdctl: warning: $PWD/a.vhd: is no longer valid, what it is a child of has changed"
rm a.vhd b.vhd
shows root.vhd
shows c.vhd

# Only what differs is written: not the megabytes that the parent has already.
chain
silent vhdctl snapshot c.vhd d.vhd
vhdctl read --length 10M c.vhd | silent vhdctl write d.vhd
printf x | silent vhdctl write --offset 5M d.vhd
written=$(stat -c %b c.vhd)
silent vhdctl commit d.vhd
(($(stat -c %b c.vhd) - written <= 4200)) || fail "all of it was written"
is "$(vhdctl read --offset 5M --length 1 c.vhd)" x

# Other children of the target would show another disk.
chain
silent vhdctl snapshot b.vhd "other c.vhd"
silent vhdctl snapshot "other c.vhd" grand.vhd
before=$(cat ./*.vhd | sha256sum)
refused 1 "vhdctl: $PWD/b.vhd: is an ancestor of others, too, which would show another disk: $PWD/grand.vhd, $PWD/other c.vhd; allow that with --force, or rebase them first" \
    vhdctl commit c.vhd
is "$(cat ./*.vhd | sha256sum)" "$before"
run vhdctl commit --force c.vhd
is "$status,$err" "0,vhdctl: warning: what these show is another disk from now on: $PWD/grand.vhd, $PWD/other c.vhd"
shows c.vhd
# The child's own children see what they saw, unless it goes.
chain
silent vhdctl snapshot c.vhd d.vhd
run vhdctl commit c.vhd
is "$status" 1 "c.vhd is protected: $err"
run vhdctl commit --delete --force c.vhd
is "$err" "vhdctl: warning: what these show is another disk from now on: $PWD/d.vhd"
chain
silent vhdctl snapshot c.vhd d.vhd
silent vhdctl commit --force c.vhd
run vhdctl compare d.vhd before
is "$out" "Images are identical."

# A larger child grows its parent, a smaller one has to be forced.
chain
run vhdctl resize c.vhd 24M
printf end | silent vhdctl write --offset $((24 * 1048576 - 3)) c.vhd
silent vhdctl convert --force -O raw c.vhd before
silent vhdctl commit c.vhd
is "$(vhdctl info --size b.vhd)" 25165824
shows b.vhd
shows c.vhd
# What lay hidden behind the parent's end stays hidden when it grows.
chain
chmod u+w b.vhd
run vhdctl resize --shrink --force b.vhd 2M
run vhdctl resize --shrink --force c.vhd 2M
run vhdctl resize c.vhd 24M
run vhdctl rebase --unsafe --parent b.vhd c.vhd
printf end | silent vhdctl write --offset 10M c.vhd
silent vhdctl convert --force -O raw c.vhd before
silent vhdctl commit c.vhd
shows b.vhd
shows c.vhd
chain
run vhdctl resize --shrink --force c.vhd 10M
refused 1 "vhdctl: c.vhd: its disk has 10485760 bytes, less than the 20971520 of $PWD/b.vhd; what lies behind would stay as it is there: allow that with --force, or give both one size with vhdctl resize" \
    vhdctl commit c.vhd
silent vhdctl commit --force c.vhd
is "$(vhdctl read --offset 19M --length 1 b.vhd)" b

# Refusals.
chain
before=$(cat ./*.vhd | sha256sum)
refused 1 "vhdctl: data: is no ancestor of c.vhd" vhdctl commit --into data c.vhd
refused 1 "vhdctl: c.vhd: is no ancestor of c.vhd" vhdctl commit --into c.vhd c.vhd
silent vhdctl create --size 1M alone.vhd
refused 1 "vhdctl: alone.vhd: has no parent that it could be merged into" vhdctl commit alone.vhd
rm alone.vhd
is "$(cat ./*.vhd | sha256sum)" "$before"
# Neither the child of a machine in saved state goes, nor what its disk lies on.
poke c.vhd footers 84 01
before=$(cat ./*.vhd | sha256sum)
for option in --force --delete; do
    refused 1 "vhdctl: c.vhd: belongs to a machine in saved state, which expects it as it is; start that machine and shut it down first" \
        vhdctl commit "$option" c.vhd
done
is "$(cat ./*.vhd | sha256sum)" "$before"
poke c.vhd footers 84 00
silent vhdctl snapshot b.vhd served.vhd
in_use served.vhd
run vhdctl commit --force c.vhd
is "$status" 1
[[ $err == *"vhdctl: $PWD/b.vhd: "* ]] || fail "a parent in use: $err"
run vhdctl compare c.vhd before
is "$out" "Images are identical."
