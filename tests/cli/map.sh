#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later
# map: which layer holds what, for people in 80 columns and for programs as qemu-img.
. "$(dirname "$0")/functions.sh"

requires jq
silent vhdctl create --size 8M a.vhd
noise data 8192
silent vhdctl write --offset 2M a.vhd <data
silent vhdctl snapshot a.vhd b.vhd
head -c 512 data | silent vhdctl write --offset $((2097152 + 1024)) b.vhd
map=$(vhdctl map --json b.vhd)
# Start, length, depth of what is present and not zero.
is "$(jq -c 'map(select(.data)) | .[] | [.start, .length, .depth, .present, .zero]' <<<"$map")" \
    "[2097152,1024,1,true,false]
[2098176,512,0,true,false]
[2098688,6656,1,true,false]"
# Everything is covered, without gaps.
is "$(jq '[.[].length] | add' <<<"$map")" 8388608
is "$(jq '[range(1; length) as $i | .[$i].start == .[$i-1].start + .[$i-1].length] | all' <<<"$map")" true
is "$(jq -c '.[0]' <<<"$map")" '{"start":0,"length":2097152,"depth":1,"present":false,"zero":true,"data":false}'
# Offsets are the files'.
off=$(jq '.[] | select(.depth == 0) | .offset' <<<"$map")
cmp <(dd if=b.vhd bs=1 skip="$off" count=512 status=none) <(head -c 512 data)

run vhdctl map b.vhd
is "$(head -4 <<<"$out")" "layer 0: b.vhd
layer 1: $PWD/a.vhd

             start             length  layer  offset in its file"
row() { printf '%18s %18s  %5s  %18s\n' "$@"; }
is "$(sed -n 5,8p <<<"$out")" "$(row 0 2097152 - zero
row 2097152 1024 1 "$(jq '.[1].offset' <<<"$map")"
row 2098176 512 0 "$off"
row 2098688 6656 1 "$(jq '.[3].offset' <<<"$map")")"
is "$(tail -n +4 <<<"$out" | awk 'length > 79')" "" "lines over 79 columns"

# The picture: well formed, a row a layer, and in it what each provides and what it hides.
silent vhdctl snapshot b.vhd '<&>.vhd'
head -c 8192 /dev/zero | silent vhdctl write --offset 6M '<&>.vhd'
silent vhdctl map --svg map.svg '<&>.vhd'
python3 - <<'PY'
import xml.etree.ElementTree as tree
ns = "{http://www.w3.org/2000/svg}"
root = tree.parse("map.svg").getroot()
texts = [t.text for t in root.iter(ns + "text")]
assert texts[1].startswith("layer 0: <&>.vhd: holds 8 KiB, 8 KiB of it seen"), texts
assert ": holds 512 B, 512 B of it seen" in texts[2], texts
assert ": holds 2 MiB, 2 MiB of it seen" in texts[3], texts
rows = sorted({int(r.get("y")) for r in root.iter(ns + "rect") if r.get("class") == "frame"})
assert len(rows) == 3, rows
def spans(row, shade):
    return [(int(r.get("x")) - 20, int(r.get("width"))) for r in root.iter(ns + "rect")
            if r.get("class") == shade and int(r.get("y")) == rows[row]]
# 8 MiB in 1000 columns: 2 MiB is 250.
assert spans(1, "data") == [(250, 1)], spans(1, "data")
assert sum(w for x, w in spans(0, "zero")) + sum(w for x, w in spans(0, "data")) in (1, 2)
data = spans(2, "data") + spans(2, "zero")
assert min(x for x, w in data) == 250 and max(x + w for x, w in data) == 500, data
assert spans(2, "hidden") == [(250, 250)], spans(2, "hidden")
PY
refused 1 "vhdctl: map.svg: exists already; name another file, or replace it with --force" \
    vhdctl map --svg map.svg b.vhd
silent vhdctl map --force --svg map.svg b.vhd
refused 1 "vhdctl: a.vhd: is a layer of the source and cannot be replaced by the result" \
    vhdctl map --force --svg a.vhd b.vhd
refused 2 "vhdctl: map: --json and --svg do not go together; see 'vhdctl map --help'" \
    vhdctl map --json --svg x.svg b.vhd
