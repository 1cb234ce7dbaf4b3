#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later
# The completion of bash offers the verbs, options and values of --help, and images where images go.
. "$(dirname "$0")/functions.sh"
# shellcheck source=completion/vhdctl
. "$source_root/completion/vhdctl"

# Help of a verb, or of all, as the program told it the first time.
told() { # [VERB] --help
    [[ -e told.$1 ]] || vhdctl "$@" >"told.$1" || rm "told.$1"
    [[ -e told.$1 ]] && printf '%s\n' "$(<"told.$1")"
}

# completes WANTED WORD...: with these words typed, the last one in part, WANTED is offered.
completes() {
    local wanted=$1
    shift
    COMP_WORDS=(vhdctl "$@")
    COMP_CWORD=$#
    _vhdctl told
    is "${COMPREPLY[*]}" "$wanted" "vhdctl $*"
}

verbs=$(vhdctl --help | sed -n '/^Verbs:/,/^$/s/^  \([a-z]*\) .*/\1/p' | tr '\n' ' ')
[[ $(wc -w <<<"$verbs") -ge 17 ]] || fail "too few verbs: $verbs"
completes "$verbs--help --version" ''
completes 'compare compact' comp
is "$(complete -p vhdctl)" 'complete -F _vhdctl vhdctl'

# Each option of each verb; of those that take one of some words, the words that help lists.
count=0
check_option() { # VERB LINE-OF-HELP
    local name=${2#  } text words
    name=${name%%  *}
    text=${2#*"$name"}
    name=${name#-?, }
    completes "${name%%=*}" "$1" "${name%%=*}"
    case $name in
    *=FORMAT | *=TYPE) words=$(grep -owE 'dynamic|fixed|raw|vpc' <<<"${text%%(default: *}" | tr '\n' ' ') ;;
    *'|'*) words=${name#*=} words=${words//|/ } ;;
    *) return 0 ;;
    esac
    count=$((count + 1))
    completes "${words% }" "$1" "${name%%=*}" ''
    completes "${words% }" "$1" "${name%%=*}" =
    completes "${words% }" "$1" "${name%%=*}" = ''
    [[ $2 != '  -?, '* ]] || completes "${words% }" "$1" "${2:2:2}" ''
}
for verb in $verbs; do
    options=$(vhdctl "$verb" --help | sed -n '/^Options:/,$p' | grep '^  -')
    completes "$(sed -E 's/^  (-., )?(--[a-z-]+).*/\2/' <<<"$options" | tr '\n' ' ' | sed 's/ $//')" "$verb" --
    while IFS= read -r line; do
        check_option "$verb" "$line"
    done <<<"$options"
done
[[ $count -ge 7 ]] || fail "only $count options with words were found"

# Images and folders; a raw disk where one may stand; names with spaces stay whole.
mkdir folder
touch golden.vhd CHILD.VHD notes.txt 'with space.vhd'
completes golden.vhd info g
completes CHILD.VHD repair --dry-run C
completes '' info n
completes notes.txt convert n
completes folder tree ''
completes folder check f
completes golden.vhd rebase --parent = g
completes golden.vhd commit --into g
completes notes.txt map --svg n
completes '' create --size ''
completes '' no-such-verb ''
COMP_WORDS=(vhdctl info w) COMP_CWORD=2
_vhdctl vhdctl
is "${#COMPREPLY[@]}:${COMPREPLY[0]}" '1:with space.vhd'
