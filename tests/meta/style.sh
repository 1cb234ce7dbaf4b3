#!/bin/bash
# SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later
#
#   style.sh [TREE]        the tree of sources, by default this one
#   style.sh --self-test   shows on small trees that each rule can fail
#
# What is tracked: C is formatted as .clang-format says, by version 14, whose output others do not
# repeat exactly; sources and scripts begin with their licence; a source has at most 600 lines; nine
# functions of ten have fewer than 50.
set -u -o pipefail

self=$(realpath "${BASH_SOURCE[0]}")
file_lines_max=600
function_lines_max=49
failed=0

fault() { # WHERE TEXT
    printf '%s: %s\n' "$1" "$2"
    failed=1
}

# The files that git tracks and that are there; without git's folder all but what is built.
list_files() {
    { git -c safe.directory='*' ls-files 2>/dev/null ||
        find . -path ./build -prune -o -type f -printf '%P\n'; } | while IFS= read -r file; do
        [[ ! -f $file ]] || printf '%s\n' "$file"
    done
}

is_source() { # FILE
    local start
    case $1 in
    *.c | *.h | *.sh | *.py | *.cmake | *.map | *.pod | CMakeLists.txt | */CMakeLists.txt) return 0 ;;
    esac
    IFS= read -r -n 2 start <"$1"
    [[ $start == '#!' ]]
} 2>/dev/null

check_format() { # FILE...
    local tool said
    tool=$(command -v clang-format-14 || command -v clang-format) || tool=true
    if ! "$tool" --version | grep -q 'version 14\.'; then
        echo 'style.sh: clang-format 14 is not here: formatting was not looked at'
        return
    fi
    said=$("$tool" --dry-run -Werror "$@" 2>&1) || fault 'clang-format' "$said"
}

check_licence() { # FILE...
    local file
    for file; do
        head -n 5 "$file" | grep -q 'SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later' ||
            fault "$file" 'no licence in its first lines'
    done
}

check_lengths() { # FILE...
    local file lines
    for file; do
        lines=$(wc -l <"$file")
        ((lines <= file_lines_max)) || fault "$file" "$lines lines, more than $file_lines_max"
    done
}

# As clang-format leaves a function, its braces are alone in the first column.
check_functions() { # FILE...
    awk -v most="$function_lines_max" '
        /^{$/ { start = FNR }
        /^}$/ && start { count++; lines = FNR - start + 1; start = 0
            if (lines > most) { long++; list = list sprintf("%s:%d: %d lines\n", FILENAME, FNR, lines) } }
        END {
            if (long * 10 > count) {
                printf "%s%d of %d functions are longer than %d lines\n", list, long, count, most
                exit 1
            }
            printf "%d functions, %d longer than %d lines\n", count, long, most
        }' "$@" || failed=1
}

check_tree() { # TREE
    local c_files=() sources=() file
    cd "$1" || exit 2
    while IFS= read -r file; do
        is_source "$file" || continue
        sources+=("$file")
        [[ $file != *.[ch] ]] || c_files+=("$file")
    done < <(list_files)
    if ((${#c_files[@]} == 0)); then
        fault "$1" 'no sources found'
        exit 1
    fi
    check_format "${c_files[@]}"
    check_licence "${sources[@]}"
    check_lengths "${sources[@]}"
    check_functions "${c_files[@]}"
    exit "$failed"
}

# ---------------------------------------------------------------- self-test

licence='SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later'

plant_good() { # TREE
    mkdir -p "$1"
    cp "$(dirname "$self")/../../.clang-format" "$1/"
    printf '/* %s */\nint f(void)\n{\n    return 0;\n}\n' "$licence" >"$1/a.c"
    printf '#!/bin/sh\n# %s\n' "$licence" >"$1/script"
    printf 'text\n' >"$1/README.md"
}

# expect FILE TEXT WANT: TEXT as FILE of a good tree makes style.sh fail and say WANT.
expect() {
    local said status=0
    rm -rf "$tree"
    plant_good "$tree"
    printf '%b\n' "$2" >"$tree/$1"
    said=$("$self" "$tree") || status=$?
    if ((status != 1)) || [[ $said != *"$3"* ]]; then
        printf 'not ok: %s: status %s, said: %s\n' "$1" "$status" "$said"
        failed=1
    fi
}

self_test() {
    local lines
    tree=$(mktemp -d)
    trap 'rm -rf "$tree"' EXIT
    plant_good "$tree"
    "$self" "$tree" || fault self-test 'a tree without fault is refused'
    printf -v lines '%*s' 60 ''
    expect b.c 'int g;' 'b.c: no licence'
    expect b.sh 'true' 'b.sh: no licence'
    expect script '#!/bin/sh' 'script: no licence'
    expect CMakeLists.txt 'project(x)' 'CMakeLists.txt: no licence'
    expect b.sh "# $licence${lines//?/'\n#\n#\n#\n#\n#\n#\n#\n#\n#\n#'}" 'b.sh: 601 lines'
    expect b.c "/* $licence */\nint g(void)\n{${lines//?/'\n    g();'}\n}" '1 of 2 functions'
    if command -v clang-format-14 >/dev/null || clang-format --version | grep -q 'version 14\.'; then
        expect b.c "/* $licence */\nint  g;" 'clang-format'
    fi
    exit "$failed"
}

if [[ ${1:-} == --self-test ]]; then
    self_test
else
    check_tree "${1:-$(dirname "$self")/../..}"
fi
