#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later
# rebase: the child shows what it did, over another parent; --unsafe only names it anew.
. "$(dirname "$0")/functions.sh"

noise data 3000000
noise other 3000000
silent vhdctl create --size 20M old.vhd
silent vhdctl write --offset 1M old.vhd <data
silent vhdctl snapshot old.vhd child.vhd
printf child | silent vhdctl write --offset 2000000 child.vhd
silent vhdctl convert -O raw child.vhd before
same() { # IMAGE
    is "$(vhdctl compare before "$1")" "Images are identical." "$1"
    run vhdctl check --chain "$1"
    is "$status" 0 "$out"
}

# Other content, another size, another type; then one with nothing at all; then a name that is long
# and no ASCII.
mkdir -p "dir/spaces and ümläute"
for parent in "dir/spaces and ümläute/new.vhd" fixed.vhd empty.vhd \
    "$(printf 'd%.0s' {1..200})/$(printf 'e%.0s' {1..200})/$(printf 'f%.0s' {1..200})/$(printf 'g%.0s' {1..150}).vhd"; do
    mkdir -p "$(dirname "$parent")"
    case $parent in
    fixed.vhd) silent vhdctl create --type fixed --size 20M "$parent" ;;
    *) silent vhdctl create --block-size 64K --size 20M "$parent" ;;
    esac
    [[ $parent == empty.vhd ]] || silent vhdctl write --offset 3M "$parent" <other
    silent vhdctl rebase --parent "$parent" child.vhd
    same child.vhd
    vhdctl info child.vhd | grep -qxF "    locator: slot 1, W2ru at 12288, $((2 * (2 + $(wc -m <<<"$parent") - 1))) bytes: ./$parent" ||
        fail "$(vhdctl info child.vhd)"
    # As snapshot does it: from now on it is a parent.
    [[ $(stat -c %A "$parent") != *w* ]] || fail "$parent is not protected"
done
mv old.vhd away.vhd # needed no more
same child.vhd
mv away.vhd old.vhd

# Onto the grandparent: only what the parent in between holds is copied.
silent vhdctl snapshot child.vhd grandchild.vhd
silent vhdctl rebase --parent fixed.vhd grandchild.vhd
same grandchild.vhd
chmod u+w child.vhd

# Another size is told: Hyper-V would not have it.
silent vhdctl create --size 30M big.vhd
run vhdctl rebase --parent big.vhd grandchild.vhd
is "$status,$err" "0,vhdctl: warning: grandchild.vhd: has another size than its parent, which Hyper-V refuses"
same grandchild.vhd

# --unsafe: the old parent need not be there, the uuid has to be the same.
silent vhdctl create --size 20M golden.vhd
silent vhdctl write --offset 5M golden.vhd <data
silent vhdctl snapshot golden.vhd c.vhd
silent vhdctl convert --force -O raw c.vhd before
mkdir moved
mv golden.vhd moved/renamed.vhd
run vhdctl check --chain c.vhd
is "$status" 2 "the parent is found"
run vhdctl rebase --parent moved/renamed.vhd c.vhd
is "$status" 1
refused 1 "vhdctl: c.vhd: its parent has another uuid than fixed.vhd; leave --unsafe out to keep what it shows, or add --force to make it show what it happens to show then" \
    vhdctl rebase --unsafe --parent fixed.vhd c.vhd
silent vhdctl rebase --unsafe --parent moved/renamed.vhd c.vhd
same c.vhd
silent vhdctl rebase --unsafe --force --parent empty.vhd c.vhd
[[ $(vhdctl compare c.vhd empty.vhd) == "Images are identical." ]] || fail "it does not show empty.vhd"

# Refusals change nothing.
before=$(sha256sum <grandchild.vhd)
refused 1 "vhdctl: child.vhd: is below its new parent, and would be its own ancestor" \
    bash -c 'chmod a-w big.vhd; "$VHDCTL" snapshot child.vhd x.vhd && chmod u+w child.vhd && "$VHDCTL" rebase --parent x.vhd child.vhd'
refused 1 "vhdctl: child.vhd: is the parent that it shall get, and would be its own ancestor" \
    vhdctl rebase --parent child.vhd child.vhd
refused 1 "vhdctl: old.vhd: has no parent, so it can get no other" \
    bash -c 'chmod u+w old.vhd; "$VHDCTL" rebase --parent empty.vhd old.vhd'
refused 2 "vhdctl: rebase: --parent is missing; see 'vhdctl rebase --help'" vhdctl rebase child.vhd
refused 1 "vhdctl: nowhere.vhd: cannot open it: No such file or directory" \
    vhdctl rebase --parent nowhere.vhd grandchild.vhd
silent vhdctl create --size 20M fresh.vhd
in_use grandchild.vhd
run vhdctl rebase --parent fresh.vhd grandchild.vhd
is "$status" 1
[[ $err == "vhdctl: grandchild.vhd: "* ]] || fail "$err"
[[ $(stat -c %A fresh.vhd) == *w* ]] || fail "fresh.vhd was protected for nothing"
is "$(sha256sum <grandchild.vhd)" "$before"
