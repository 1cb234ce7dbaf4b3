#!/bin/bash
# SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later
#
#   abi-compare.sh HEADER BUILDDIR
#
# Compares our declaration of the plug-in ABI with that of tcmu-runner's source:
# offset and size of every field, value of every enumerator, type of every
# callback and function.  Then breaks copies of our header in several ways and
# expects each to be noticed.
#
# The source is Debian's, or the folder that TCMU_SOURCE names.
set -u -o pipefail
here=$(dirname "$(readlink -f "$0")")
# shellcheck source=tests/handler/abi/source.sh
. "$here/source.sh"

header=$(readlink -f "$1")
cc=${CC:-cc}
work=$(mktemp -d "${2:-${TMPDIR:-/tmp}}/abi.XXXXXX")
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"

skip() {
    echo "abi-compare: $*"
    exit 77
}

# Preprocessed text of the headers that upstream's handlers include.
upstream_names() {
    printf '#include <pthread.h>\n#include "libtcmu.h"\n#include "tcmu-runner.h"\n' |
        "$cc" -E -I "$source" -I "$source/ccan" -xc - | awk -f "$here/names.awk"
}

# Every tcmu_ and tcmur_ function that the preprocessed headers named declare.
function_names() {
    cat "$@" | "$cc" -E -I "$source" -I "$source/ccan" -xc - |
        grep -oE '\btcmur?_[a-z_0-9]+ ?\(' | tr -d ' (' | LC_ALL=C sort -u
}

# Turns a list of names (stdin) into abi-names.h (stdout).
names_header() {
    awk '
        $1 == "field" {
            if (!($2 in seen)) fields = fields " S(" $2 ")"
            seen[$2] = 1
            fields = fields " F(" $2 ", " $3 ")"
            if ($2 == "tcmur_handler") callbacks = callbacks " C(" $3 ")"
        }
        $1 == "constant" { constants = constants " C(" $2 ")" }
        END {
            print "#define ABI_FIELDS(F, S)" fields
            print "#define ABI_HANDLER_FIELDS(C)" callbacks
            print "#define ABI_CONSTANTS(C)" constants
        }'
}

# Our header without what upstream defines as well, for prototypes.c.
cut_header() {
    sed -E -e '/^struct (tcmulib_cmd|tcmur_cmd|tcmur_list_node|tcmulib_cfg_info) \{/,/^\};/d' \
        -e '/^enum (tcmu_status|tcmulib_cfg_type) \{/,/^\};/d' \
        -e '/^TCMUR_ABI_(AT|SIZE)\(/d' \
        -e 's/struct tcmur_handler/struct our_tcmur_handler/' "$1"
}

# compare HEADER DIR: 0 where the two agree; else 1 and the differences.
compare() {
    local dir=$2
    mkdir -p "$dir"
    # The static assertions would stop a broken copy before the table could show it.
    sed -E '/^TCMUR_ABI_(AT|SIZE)\(/d' "$1" >"$dir/tcmur-abi.h"
    cut_header "$1" >"$dir/abi-ours.h"
    "$cc" -std=gnu11 -I "$dir" -I "$work" -o "$dir/ours" "$here/table.c" 2>&1 || return 1
    "$dir/ours" >"$dir/ours.txt"
    diff -u "$work/upstream.txt" "$dir/ours.txt" || return 1
    "$cc" -E -xc "$dir/tcmur-abi.h" | awk -f "$here/names.awk" | LC_ALL=C sort >"$dir/names"
    diff -u "$work/names" "$dir/names" || return 1
    "$cc" -std=gnu11 -fsyntax-only -I "$dir" -I "$work" -I "$source" -I "$source/ccan" \
        "$here/prototypes.c" 2>&1 || return 1
    function_names "$dir/tcmur-abi.h" >"$dir/functions"
    if grep -vxF -f "$work/functions" "$dir/functions"; then
        echo "error: upstream does not declare the functions above"
        return 1
    fi
}

# expect_difference WHAT SED-EXPRESSION: a header changed so must not compare equal.
expect_difference() {
    local what=$1 dir
    dir=$work/broken-${what// /-}
    mkdir -p "$dir"
    sed -E "$2" "$header" >"$dir/broken.h"
    if cmp -s "$header" "$dir/broken.h"; then
        echo "abi-compare: the change '$what' changes nothing: the test is out of date"
        failed=1
    elif compare "$dir/broken.h" "$dir" >"$dir/log"; then
        echo "abi-compare: not noticed: $what"
        failed=1
    else
        echo "noticed: $what: $(grep -m 1 -E '^[-+][a-z]|error' "$dir/log")"
    fi
}

if [[ -n ${TCMU_SOURCE:-} ]]; then
    source=$TCMU_SOURCE
else
    source=$work/source
    reason=$(abi_fetch_source "$work") || skip "$reason"
fi
echo "tcmu-runner: $(sed -nE 's/^tcmu \(([^)]*)\).*/\1/p;1q' "$source/debian/changelog" 2>/dev/null || echo "$source")"

upstream_names >"$work/names.unsorted" || exit 1
function_names "$source"/{libtcmu,tcmu-runner,tcmur_cmd_handler,tcmur_device}.h >"$work/functions"
names_header <"$work/names.unsorted" >"$work/abi-names.h"
LC_ALL=C sort "$work/names.unsorted" >"$work/names"
"$cc" -std=gnu11 -DUPSTREAM_HEADERS -I "$work" -I "$source" -I "$source/ccan" \
    -o "$work/upstream" "$here/table.c" || exit 1
"$work/upstream" >"$work/upstream.txt"
echo "upstream: $(grep -c ^field "$work/upstream.txt") fields," \
    "$(grep -c ^constant "$work/upstream.txt") constants"

failed=0
if ! compare "$header" "$work/ours"; then
    echo "abi-compare: our header differs (- upstream, + ours)"
    exit 1
fi
echo "our header agrees"

expect_difference "two fields exchanged" 's/\bnr_threads;/nr_swapped;/;s/\bhandle_cmd\)/nr_threads)/;s/nr_swapped;/handle_cmd;/'
expect_difference "a field missing" '/\(\*caw\)/,/;/d'
expect_difference "a field too many at the end" 's/^( *)void \(\*destroy\)\(void\);/&\n\1int tail_padding;/'
expect_difference "a constant with another value" 's/TCMU_STS_HW_ERR = 13/TCMU_STS_HW_ERR = 14/'
expect_difference "a smaller sense buffer" 's/TCMU_SENSE_SIZE 96/TCMU_SENSE_SIZE 64/'
expect_difference "a callback of another type" 's/\(\*unlock\)\(struct tcmu_device \*dev\)/(*unlock)(struct tcmu_device *dev, int x)/'
expect_difference "a function of another type" 's/void tcmu_dev_set_num_lbas\((.*), uint64_t/void tcmu_dev_set_num_lbas(\1, uint32_t/'
expect_difference "a function that is not there" 's/tcmu_dev_get_num_lbas\(/tcmu_dev_get_num_blocks(/'
exit $failed
