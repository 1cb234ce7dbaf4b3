#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later
# tree: families by uuid, whatever the files are called now.
. "$(dirname "$0")/functions.sh"

requires jq
mkdir -p store/clients elsewhere
silent vhdctl create --size 8M "store/gold image.vhd"
silent vhdctl create --type fixed --size 1M store/alone.vhd
silent vhdctl snapshot "store/gold image.vhd" store/clients/a.vhd
silent vhdctl snapshot "store/gold image.vhd" store/clients/b.vhd
silent vhdctl snapshot store/clients/a.vhd store/clients/a2.vhd
echo "no image" >store/readme.txt
ln -s ../elsewhere store/link # not followed

shape() { # without what depends on the file system
    run vhdctl tree "${1:-store}"
    is "$err,$status" ",0"
    sed -E 's/on disk [0-9.]+ [A-Za-z]+/on disk N/' <<<"$out"
}
is "$(shape)" "store/alone.vhd (fixed, 1 MiB, on disk N)
store/gold image.vhd (dynamic, 8 MiB, on disk N)
|-- store/clients/a.vhd (differencing, 8 MiB, on disk N)
|   \`-- store/clients/a2.vhd (differencing, 8 MiB, on disk N)
\`-- store/clients/b.vhd (differencing, 8 MiB, on disk N)"
run vhdctl tree --json store
is "$(jq -c '.. | objects | select(.filename) | [.filename, .type, .depth, ."virtual-size"]' <<<"$out")" \
    '["store/alone.vhd","fixed",0,1048576]
["store/gold image.vhd","dynamic",0,8388608]
["store/clients/a.vhd","differencing",1,8388608]
["store/clients/a2.vhd","differencing",2,8388608]
["store/clients/b.vhd","differencing",1,8388608]'
is "$(jq '[.. | objects | select(.filename) | ."actual-size"] | map(. > 0) | all' <<<"$out")" true

# Renamed, the parent is the same: its uuid is.
mv "store/gold image.vhd" store/silver.vhd
shape | grep -qF '`-- store/clients/b.vhd' || fail "b.vhd has lost its parent: $out"
# Elsewhere: found by the locator, or not at all.
mv store/silver.vhd "store/gold image.vhd"
is "$(shape store/clients)" "$PWD/store/gold image.vhd (dynamic, 8 MiB, on disk N, not in this folder)
|-- store/clients/a.vhd (differencing, 8 MiB, on disk N)
|   \`-- store/clients/a2.vhd (differencing, 8 MiB, on disk N)
\`-- store/clients/b.vhd (differencing, 8 MiB, on disk N)"
mv "store/gold image.vhd" elsewhere/gone.vhd
uuid=$(vhdctl info --json elsewhere/gone.vhd | jq -r '.. | .uuid? // empty' | head -1)
is "$(shape store/clients)" "gold image.vhd (missing, uuid $uuid)
|-- store/clients/a.vhd (differencing, 8 MiB, on disk N)
|   \`-- store/clients/a2.vhd (differencing, 8 MiB, on disk N)
\`-- store/clients/b.vhd (differencing, 8 MiB, on disk N)"
is "$(vhdctl tree --json store/clients | jq -c '.[0] | [.missing, .uuid, .children[0].depth]')" "[true,\"$uuid\",1]"

# A copy has the same uuid: the children stay with the one that they name.
cp -p elsewhere/gone.vhd "store/gold image.vhd"
cp -p elsewhere/gone.vhd store/a-copy.vhd
is "$(shape)" "store/a-copy.vhd (dynamic, 8 MiB, on disk N)
store/alone.vhd (fixed, 1 MiB, on disk N)
store/gold image.vhd (dynamic, 8 MiB, on disk N, has the uuid of another one here)
|-- store/clients/a.vhd (differencing, 8 MiB, on disk N)
|   \`-- store/clients/a2.vhd (differencing, 8 MiB, on disk N)
\`-- store/clients/b.vhd (differencing, 8 MiB, on disk N)"

# A cycle ends, a damaged image is told, a served one is shown.
mkdir round
silent vhdctl create --size 1M round/r.vhd
silent vhdctl snapshot round/r.vhd round/c.vhd
mv round/c.vhd round/self.vhd
poke round/self.vhd header 40 "$(vhdctl info --json round/self.vhd | jq -r '.. | .uuid? // empty' | head -1)"
is "$(shape round)" "round/r.vhd (dynamic, 1 MiB, on disk N)
round/self.vhd (differencing, 1 MiB, on disk N, is its own ancestor)"
printf 'conectix' | dd of=store/torn.vhd bs=1 seek=1000 status=none
truncate -s 1512 store/torn.vhd
run vhdctl tree store
is "$status" 0
[[ $err == "vhdctl: warning: store/torn.vhd: "* ]] || fail "$err"
rm store/torn.vhd
in_use store/clients/b.vhd
run vhdctl tree store
[[ $status == 0 && $out == *'clients/b.vhd (differencing, '*', being written)'* ]] || fail "a served image: $out"

refused 1 "vhdctl: nowhere: cannot read this folder: No such file or directory" \
    vhdctl tree nowhere
