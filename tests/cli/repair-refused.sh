#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later
# Images in use or protected, what cannot be mended, undo files that do not fit, wrong usage.
. "$(dirname "$0")/functions.sh"

noise data 8192
silent vhdctl create --size 8M d.vhd
silent vhdctl write d.vhd <data
silent vhdctl write --offset 4M d.vhd <data
broken() { # FILE
    cp d.vhd "$1"
    poke "$1" 'copy!' 100 01
}

# In use.
broken x.vhd
in_use x.vhd
before=$(sha256sum <x.vhd)
for option in --dry-run --yes --force; do
    run vhdctl repair $option x.vhd
    is "$status" 1
    [[ $err == "vhdctl: x.vhd: "*"in use"* || $err == "vhdctl: x.vhd: "*"locked"* || $err == "vhdctl: x.vhd: "*"busy"* ]] ||
        fail "$err"
done
is "$(sha256sum <x.vhd)" "$before"

# Write protected; a golden image is mended when that is forced, and stays protected.
broken golden.vhd
chmod a-w golden.vhd
run vhdctl repair --dry-run golden.vhd
is "$status" 0 "$err"
if [[ $(id -u) == 0 ]]; then
    refused 1 "vhdctl: golden.vhd: write protected (no write permission: it may be a golden image with children); --force mends it all the same, the disk's content stays" \
        vhdctl repair golden.vhd
    run vhdctl repair --force golden.vhd
    is "$status" 0 "$err"
    is "$(stat -c %a golden.vhd)" 444
    same_bytes golden.vhd d.vhd
    run vhdctl repair --undo --force golden.vhd
    is "$status" 0 "$err"
fi

# No VHD; one that cannot be mended.
refused 1 "vhdctl: data: neither its beginning nor its end is a VHD's footer: it is no VHD or was cut off" \
    vhdctl repair data
refused 1 "vhdctl: none.vhd: cannot open it: No such file or directory" vhdctl repair none.vhd
cp d.vhd y.vhd
poke y.vhd header 0 00
before=$(sha256sum <y.vhd)
run vhdctl repair --yes y.vhd
is "$status" 1
is "$out" "left (header): header cookie at offset 512 is 0x0078737061727365, expected \"cxsparse\": the image is damaged; restore it from a backup
Nothing of this was mended."
is "$(sha256sum <y.vhd)" "$before"

# An undo file is never overwritten, and fits one image as its repair left it.
broken z.vhd
run vhdctl repair z.vhd
is "$status" 0
poke z.vhd 'end!' 100 01
undo=$(sha256sum <z.vhd.undo)
refused 1 "vhdctl: z.vhd.undo: holds what an earlier repair overwrote; rename it to keep that way back, or remove it, then repair again" \
    vhdctl repair z.vhd
is "$(sha256sum <z.vhd.undo)" "$undo"
poke z.vhd copy 28 76706320
before=$(sha256sum <z.vhd)
refused 1 "vhdctl: z.vhd: was changed since it was repaired: what z.vhd.undo holds does not fit it any more; nothing was changed, remove that file to give up the way back" \
    vhdctl repair --undo z.vhd
is "$(sha256sum <z.vhd)" "$before"
is "$(sha256sum <z.vhd.undo)" "$undo"
echo junk >z.vhd.undo
refused 1 "vhdctl: z.vhd.undo: is no undo file of vhdctl repair, or is damaged; nothing was changed" \
    vhdctl repair --undo z.vhd
rm z.vhd.undo
refused 1 "vhdctl: z.vhd: there is no z.vhd.undo, so no repair of it can be undone" vhdctl repair --undo z.vhd

# A link leads to the undo file of the file itself.
broken w.vhd
mkdir elsewhere
ln -s ../w.vhd elsewhere/link.vhd
run vhdctl repair elsewhere/link.vhd
is "$status" 0 "$err"
[[ -e w.vhd.undo && -L elsewhere/link.vhd ]] || fail "$(ls -lR)"
same_bytes w.vhd d.vhd

refused 2 "vhdctl: repair: IMAGE is missing; see 'vhdctl repair --help'" vhdctl repair
refused 2 "vhdctl: repair: 'b' is one operand too many; see 'vhdctl repair --help'" vhdctl repair a b
refused 2 "vhdctl: repair: --footer is first or last, not 'both'; see 'vhdctl repair --help'" \
    vhdctl repair --footer=both w.vhd
refused 2 "vhdctl: repair: --undo stands alone, or with --force; see 'vhdctl repair --help'" \
    vhdctl repair --undo --dry-run w.vhd
refused 1 "vhdctl: w.vhd: is not differencing and has no parent; leave out --parent" \
    vhdctl repair --parent d.vhd w.vhd
