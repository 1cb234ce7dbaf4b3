#!/bin/bash
# SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later
#
#   arrows.sh [TREE]        the tree of sources, by default this one
#   arrows.sh --self-test   shows on small trees that each rule can fail
#
# Rooms are stacked, and an include may only point down or sideways:
#
#   be bitmap break < format layout locator < error file* lock < image* pending* < chain resolve
#      < disk* ranges workers timer < check* repair* op-* < cli
#
# The handler sees the engine through disk.h alone. A header NAME-private.h is for the files of room
# NAME. Only the seam calls the system on an image, nothing in the engine or the handler prints or
# ends the process, and each header compiles by itself.
set -u -o pipefail

self=$(realpath "${BASH_SOURCE[0]}")
failed=0

fault() { # WHERE TEXT
    printf '%s: %s\n' "$1" "$2"
    failed=1
}

# Height of a file of vhd/ (its name, without folder and ending), or nothing if no room is known.
height_of() {
    case $1 in
    be | bitmap | break) echo 0 ;;
    format | layout | locator) echo 1 ;;
    error | file | file-* | lock) echo 2 ;;
    image | image-* | pending | pending-*) echo 3 ;;
    chain | chain-* | resolve | resolve-*) echo 4 ;;
    disk | disk-* | ranges | workers | timer) echo 5 ;;
    check | check-* | repair | repair-* | op-*) echo 6 ;;
    esac
}

# check_engine_include FROM TO: both are names of vhd/.
check_engine_include() {
    local from to
    from=$(height_of "$1")
    to=$(height_of "$2")
    if [[ -z $to ]]; then
        fault "$where" "includes vhd/$2.h, which is in no room; name it in tests/meta/arrows.sh"
    elif [[ -n $from ]] && ((to > from)); then
        fault "$where" "includes vhd/$2.h of a higher room"
    fi
}

# check_private FOLDER FROM TO: a header of a room's own is included from that room only.
check_private() {
    local room=${3%-private}
    [[ $3 != *-private || $2 == "$room" || $2 == "$room"-* ]] ||
        fault "$where" "includes $1/$3.h, which is private to $room"
}

# What the handler may include of the engine: the disk, errors, and the integers of the lowest room.
handler_sees=' disk error be '

check_include() { # FOLDER FROM TARGET
    local folder=$1 from=$2 to=$3 to_folder=${3%%/*} name
    name=${to#*/}
    name=${name%.h}
    case $folder/$to_folder in
    vhd/vhd)
        check_engine_include "$from" "$name"
        check_private vhd "$from" "$name"
        ;;
    handler/vhd)
        [[ $handler_sees == *" $name "* ]] || fault "$where" "the handler includes $to"
        ;;
    cli/vhd)
        [[ -n $(height_of "$name") ]] || fault "$where" "includes $to, which is in no room"
        [[ $name != *-private ]] || fault "$where" "includes $to, which is private"
        ;;
    handler/handler | cli/cli) check_private "$folder" "$from" "$name" ;;
    cli/handler)
        [[ $name == cfgstring ]] || fault "$where" "vhdctl includes $to"
        ;;
    *) fault "$where" "includes $to, which is above it or names no folder" ;;
    esac
}

check_includes() {
    local folder file from line target
    for folder in vhd handler cli; do
        for file in "$folder"/*.[ch]; do
            from=$(basename "${file%.*}")
            [[ $folder != vhd || -n $(height_of "$from") ]] ||
                fault "$file" "is in no room; name it in tests/meta/arrows.sh"
            while IFS=: read -r line target; do
                where=$file:$line
                check_include "$folder" "$from" "$target"
            done < <(sed -n 's/^ *# *include *"\([^"]*\)".*/\1/p;t;s/.*//p' "$file" | grep -n .)
        done
    done
}

# check_calls TEXT NAMES FILE...: none of these functions is called. A member of that name may be, and
# lines of comments are left out.
check_calls() {
    local text=$1 names=$2 hit
    shift 2
    (($# > 0)) || return 0
    while IFS= read -r hit; do
        fault "${hit%%:[[:space:]]*}" "$text: ${hit#*:*:}"
    done < <(grep -nHE "(^|[^A-Za-z0-9_>.])($names)(64)? *\(" "$@" |
        grep -vE '^[^:]*:[0-9]+: *(\*|/\*)')
}

io_calls='open|openat|openat2|creat|pread|pwrite|preadv|preadv2|pwritev|pwritev2|fsync|fdatasync'
io_calls+='|sync_file_range|ftruncate|truncate|fallocate|posix_fallocate|copy_file_range|mmap'
io_calls+='|posix_fadvise'
end_calls='v?f?printf|puts|fputs|perror|exit|_exit|abort|assert|g_assert[a-z_]*|g_error|g_abort'
end_calls+='|g_print|g_printerr'

# The log of pending writes is no image and opens its own file.
check_seam() {
    local others=() file
    for file in vhd/*.c handler/*.c cli/*.c; do
        case $file in
        vhd/file.c | vhd/file-*.c | vhd/pending-store.c) ;;
        *) others+=("$file") ;;
        esac
    done
    check_calls 'calls past the seam of vhd/file.h' "$io_calls" "${others[@]}"
    check_calls 'prints or may end the process' "$end_calls" vhd/*.[ch] handler/*.[ch]
}

check_headers_alone() {
    local header flags said
    read -ra flags <<<"$(pkg-config --cflags glib-2.0 gio-2.0 json-glib-1.0)"
    for header in vhd/*.h handler/*.h cli/*.h; do
        said=$(echo "#include \"$header\"" | gcc -std=gnu11 -fsyntax-only -Wall -Wextra -Werror \
            -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -I. "${flags[@]}" -x c - 2>&1) ||
            fault "$header" "does not compile by itself: $said"
    done
}

check_tree() { # TREE
    cd "$1" || exit 2
    shopt -s nullglob
    check_includes
    check_seam
    check_headers_alone
    exit "$failed"
}

# ---------------------------------------------------------------- self-test

# A small tree in which nothing is wrong.
plant_good() { # TREE
    mkdir -p "$1/vhd" "$1/handler" "$1/cli"
    printf '#pragma once\n#include <stdint.h>\nuint8_t be_get(void);\n' >"$1/vhd/be.h"
    printf '#pragma once\n#include "vhd/be.h"\n' >"$1/vhd/image.h"
    printf '#pragma once\n#include "vhd/image.h"\n' >"$1/vhd/image-private.h"
    printf '#include "vhd/image-private.h"\n/* open(2) is not called. */\nint a = x->open(1);\n' \
        >"$1/vhd/image-open.c"
    printf 'int fd = open(path, 0);\n' >"$1/vhd/file.c"
    printf '#pragma once\n#include "vhd/be.h"\n' >"$1/vhd/disk.h"
    printf '#include "vhd/disk.h"\n' >"$1/handler/handler.c"
    printf '#include "handler/cfgstring.h"\n#include "vhd/image.h"\nvoid f(void) { exit(1); }\n' \
        >"$1/cli/main.c"
    printf '#pragma once\n' >"$1/handler/cfgstring.h"
}

# expect FILE TEXT WANT: TEXT as FILE of a good tree makes arrows.sh fail and say WANT.
expect() {
    local said status=0
    rm -rf "$tree"
    plant_good "$tree"
    mkdir -p "$(dirname "$tree/$1")"
    printf '%b\n' "$2" >>"$tree/$1"
    said=$("$self" "$tree") || status=$?
    if ((status != 1)) || [[ $said != *"$1"*"$3"* ]]; then
        printf 'not ok: %s with %s: status %s, said: %s\n' "$1" "$2" "$status" "$said"
        failed=1
    fi
}

self_test() {
    tree=$(mktemp -d)
    trap 'rm -rf "$tree"' EXIT
    plant_good "$tree"
    "$self" "$tree" || fault self-test 'a tree without fault is refused'
    expect vhd/format.c '#include "vhd/image.h"' 'vhd/image.h of a higher room'
    expect vhd/file.c '#  include  "vhd/image.h"' 'vhd/image.h of a higher room'
    expect vhd/image.c '#include "vhd/disk.h"' 'vhd/disk.h of a higher room'
    expect vhd/be.h '#include "cli/main.h"' 'which is above it'
    expect vhd/be.h '#include "handler/cfgstring.h"' 'which is above it'
    expect vhd/image.c '#include "be.h"' 'names no folder'
    expect vhd/cellar.c '' 'is in no room'
    expect vhd/check.c '#include "vhd/cellar.h"' 'is in no room'
    expect vhd/disk.c '#include "vhd/image-private.h"' 'private to image'
    expect cli/main.c '#include "vhd/image-private.h"' 'which is private'
    expect cli/main.c '#include "handler/lun.h"' 'vhdctl includes handler/lun.h'
    expect handler/lun.c '#include "vhd/image.h"' 'the handler includes vhd/image.h'
    expect handler/lun.c '#include "cli/main.h"' 'which is above it'
    expect vhd/image.c '    n = pwrite(fd, p, 1, 0);' 'past the seam'
    expect vhd/disk.c 'x = (fsync(fd));' 'past the seam'
    expect cli/main.c 'int fd = open(path, 0);' 'past the seam'
    expect vhd/disk.c '    abort();' 'may end the process'
    expect handler/lun.c '    printf("x");' 'may end the process'
    expect vhd/disk.h 'size_t no_header_for_this(void);' 'does not compile by itself'
    exit "$failed"
}

if [[ ${1:-} == --self-test ]]; then
    self_test
else
    check_tree "${1:-$(dirname "$self")/../..}"
fi
