#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later
# The examples of the man pages do what they say: each page's in a folder of its own, one after the
# other. What stands behind "=for example kernel" is left out; no example goes without a mark.
. "$(dirname "$0")/functions.sh"
requires qemu-img jq

# The commands of a page, as a script. An indented paragraph under EXAMPLES must be marked.
commands_of() { # POD
    awk '
        /^=head1 / { examples = $0 == "=head1 EXAMPLES" }
        /^=for example / { mark = $3; setup = mark == "setup"; next }
        NF == 0 { setup = 0; if (verbatim) { verbatim = 0; mark = "" } }
        setup { print }
        /^ / && examples {
            verbatim = 1
            if (mark == "run") print
            else if (mark != "kernel") { print FILENAME ":" FNR ": not marked: " $0 >"/dev/stderr"; bad = 1 }
        }
        END { exit bad }' "$1"
}

mkdir bin
ln -s "$VHDCTL" bin/vhdctl
for name in vhdctl tcmu-vhd; do
    commands_of "$source_root/docs/$name.pod" >"$name.sh" || fail "an example of $name is not marked"
    mkdir "$name"
    (cd "$name" && PATH="$folder/bin:$PATH" bash -euxo pipefail "../$name.sh") >"$name.out" 2>"$name.err" ||
        fail "the examples of $name: $(<"$name.err")"
done

while read -r verb; do
    [[ $verb == luns ]] || grep -q "vhdctl $verb " vhdctl.sh || fail "there is no example of $verb"
done < <(sed -n 's/^=head2 \([a-z]*\) .*/\1/p' "$source_root/docs/vhdctl.pod")

# What they are said to have shown and made.
grep -qx 'of the first client' vhdctl.out || fail "the bytes written were not read: $(<vhdctl.out)"
grep -qx 'they differ' vhdctl.out || fail "the two children are the same"
[[ $(qemu-img info -f vpc --output=json vhdctl/azure.vhd | jq '."virtual-size" % 1048576') == 0 ]] ||
    fail "azure.vhd has no whole MiB"
is "$(vhdctl info --size vhdctl/alone.vhd)" $((64 << 20)) "size of alone.vhd"
silent qemu-img compare -q -f vpc -F raw vhdctl/piped.vhd vhdctl/client1.img
