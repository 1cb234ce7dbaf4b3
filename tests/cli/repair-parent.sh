#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later
# Locators that do not lead to the parent are written anew; the parent itself is never touched.
. "$(dirname "$0")/functions.sh"

noise data 8192
mkdir golden clients
silent vhdctl create --size 8M golden/g.vhd
silent vhdctl write golden/g.vhd <data
silent vhdctl snapshot golden/g.vhd clients/c.vhd
echo child | silent vhdctl write --offset 1M clients/c.vhd
silent vhdctl convert -O raw clients/c.vhd before.raw
before=$(stat -c '%Y %a %s' golden/g.vhd; sha256sum <golden/g.vhd)
leads_to() { # IMAGE PATH
    is "$(vhdctl info "$1" | sed -n 's/^backing file: \([^ ]*\).*/\1/p')" "$2"
    rm -f now.raw
    silent vhdctl convert -O raw "$1" now.raw
    same_bytes now.raw before.raw
}

# Both were moved, the child into the parent's folder: it is found by its name, the locator is stale.
mkdir both
mv golden/g.vhd clients/c.vhd both/
cp both/c.vhd stale.vhd
run vhdctl repair both/c.vhd
is "$status" 0 "$err"
is "$(head -1 <<<"$out")" "parent: the locators did not lead to the parent and are written anew: it is $PWD/both/g.vhd, from here g.vhd"
leads_to both/c.vhd ./g.vhd
run vhdctl check --chain both/c.vhd
is "$status" 0 "$out"
run vhdctl repair both/c.vhd
is "$out" "There is nothing to mend."
run vhdctl repair --undo both/c.vhd
is "$status" 0 "$err"
same_bytes both/c.vhd stale.vhd

# The parent has another name: it has to be told, and its uuid to be right.
mv both/g.vhd both/renamed.vhd
run vhdctl repair both/c.vhd
is "$status" 1
[[ $out == "left (parent): both/c.vhd: its parent (uuid "*"; tell with --parent where it is"* ]] || fail "$out"
same_bytes both/c.vhd stale.vhd
silent vhdctl create --size 8M other.vhd
refused 1 "vhdctl: other.vhd: is not the parent of both/c.vhd: its uuid is not the one that is named there; name the image that it was made from" \
    vhdctl repair --parent other.vhd both/c.vhd
run vhdctl repair --dry-run --parent both/renamed.vhd both/c.vhd
is "$status" 0 "$err"
same_bytes both/c.vhd stale.vhd
run vhdctl repair --parent both/renamed.vhd both/c.vhd
is "$status" 0 "$err"
leads_to both/c.vhd ./renamed.vhd

# Named through a link and ".." behind it: where it lies counts, not how that reads.
mkdir -p far/away
ln -s far/away link
mv both/renamed.vhd far/
run vhdctl repair --parent link/../far.vhd both/c.vhd
is "$status" 1
rm both/c.vhd.undo
run vhdctl repair --parent link/../renamed.vhd both/c.vhd
is "$status" 0 "$err"
leads_to both/c.vhd ../far/renamed.vhd
mv far/renamed.vhd $'far/re\nnamed.vhd'
rm both/c.vhd.undo
refused 1 "vhdctl: $PWD/far/re\\x0anamed.vhd: a child cannot name this file as its parent: its path contains control characters; rename it" \
    vhdctl repair --parent $'far/re\nnamed.vhd' both/c.vhd
mv $'far/re\nnamed.vhd' both/renamed.vhd
run vhdctl repair both/c.vhd
is "$status" 0 "$err"
leads_to both/c.vhd ./renamed.vhd

# No locator at all.
cp both/c.vhd none.vhd
poke none.vhd header 576 "$(printf '00%.0s' {1..192})"
mv none.vhd both/none.vhd
run vhdctl repair both/none.vhd
is "$status" 0 "$err"
leads_to both/none.vhd ./renamed.vhd
run vhdctl repair --undo both/none.vhd
is "$status" 0 "$err"

# Damage and a missing locator in one go.
cp both/none.vhd both/worse.vhd
poke both/worse.vhd 'copy!' 100 01 'header!' 800 01
cp both/worse.vhd broken.vhd
run vhdctl repair both/worse.vhd
is "$status" 0 "$err"
is "$(cut -d: -f1 <<<"$out" | head -3 | tr '\n' ' ')" "footer-copy header parent "
leads_to both/worse.vhd ./renamed.vhd
run vhdctl repair --undo both/worse.vhd
same_bytes both/worse.vhd broken.vhd

mv both/renamed.vhd golden/g.vhd
is "$(stat -c '%Y %a %s' golden/g.vhd; sha256sum <golden/g.vhd)" "$before" "the parent"
