#!/bin/bash
# SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later
#
#   messages.sh [TREE]        the tree of sources, by default this one
#   messages.sh --self-test   shows on small trees that it can fail
#
# Each message in the first column of README's tables of messages stands in a string of handler/ or
# vhd/. There "..." is what the message is filled with.
set -u -o pipefail

self=$(realpath "${BASH_SOURCE[0]}")
section='## When something goes wrong'
messages_min=3
failed=0

fault() { # WHERE TEXT
    printf '%s: %s\n' "$1" "$2"
    failed=1
}

# The quoted first cells of the section's tables.
quoted_messages() {
    awk -v section="$section" '/^## / { inside = $0 == section } inside' README.md |
        sed -n 's/^| `\([^`]*\)` |.*/\1/p'
}

# One string a line, with those joined that C joins: a macro such as PRIu64 between two is as good
# as what the message is filled with. A quote inside a string is written as \001.
source_strings() {
    cat vhd/*.[ch] handler/*.[ch] | tr '\n' ' ' |
        sed -E "s,/\*([^*]|\*+[^*/])*\*+/,,g; s/'\"'//g; s/\\\\\"/\\x01/g
            s/\"[[:space:]]*(PRI[a-z]+[0-9]+|G_GU?INT64_[A-Z]+|[A-Z]+_VERSION)?[[:space:]]*\"//g" |
        grep -o '"[^"]*"'
}

as_pattern() { # MESSAGE
    sed 's/[][\.*^$/]/\\&/g; s/"/\x01/g; s/\\\.\\\.\\\./.*/g' <<<"$1"
}

check_tree() { # TREE
    local strings message count=0
    cd "$1" || exit 2
    strings=$(source_strings)
    while IFS= read -r message; do
        count=$((count + 1))
        grep -q -- "$(as_pattern "$message")" <<<"$strings" ||
            fault README.md "no source says \"$message\" (any more)"
    done < <(quoted_messages)
    ((count >= messages_min)) || fault README.md "only $count messages found in \"$section\""
    ((failed)) || echo "$count messages"
    exit "$failed"
}

# ---------------------------------------------------------------- self-test

plant_good() { # TREE
    mkdir -p "$1/vhd" "$1/handler"
    printf '#define V "1"\n' >"$1/handler/a.h"
    printf '/* a "comment" */\nf("%%s: one\\"s " /* " */\n  "parent", x);\n' >"$1/vhd/a.c"
    printf 'f("size %%" PRIu64 " bytes, "\n  "no more");\nf("the end: " V);\n' >"$1/vhd/b.c"
    printf '# x\n| `elsewhere` | x |\n%s\n\n| a | b |\n|---|---|\n' "$section" >"$1/README.md"
    printf '| `one"s parent` | x |\n| `size ... bytes, no` | x `y` |\n| `the end` | x |\n' >>"$1/README.md"
    printf '\n## Next\n| `elsewhere` | x |\n' >>"$1/README.md"
}

# expect SED-SCRIPT FILE WANT: a good tree, with FILE so changed, is refused with WANT.
expect() {
    local said status=0
    rm -rf "$tree"
    plant_good "$tree"
    sed -i "$1" "$tree/$2"
    said=$("$self" "$tree") || status=$?
    if ((status != 1)) || [[ $said != *"$3"* ]]; then
        printf 'not ok: %s of %s: status %s, said: %s\n' "$1" "$2" "$status" "$said"
        failed=1
    fi
}

self_test() {
    tree=$(mktemp -d)
    trap 'rm -rf "$tree"' EXIT
    plant_good "$tree"
    "$self" "$tree" || fault self-test 'a tree without fault is refused'
    expect 's/parent/child/' vhd/a.c 'no source says "one"s parent"'
    expect 's/no more/more/' vhd/b.c 'no source says "size ... bytes, no"'
    expect 's/the end/the.end/' README.md 'no source says "the.end"'
    expect 's/the end/comment/' README.md 'no source says "comment"'
    expect 's/^## When.*/## Else/' README.md 'only 0 messages found'
    exit "$failed"
}

if [[ ${1:-} == --self-test ]]; then
    self_test
else
    check_tree "${1:-$(dirname "$self")/../..}"
fi
