#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later
# The man pages say what the program says: vhdctl(1) the verbs, usages, summaries and options of
# --help, in its order; tcmu-vhd(7) the options that the handler knows and the messages of README.
. "$(dirname "$0")/functions.sh"
requires podchecker pod2man

page=$source_root/docs/vhdctl.pod
handler_page=$source_root/docs/tcmu-vhd.pod

# Without the marks of bold, italic and code.
plain() {
    sed -E ':again; s/[BICF]<([^<>]*)>/\1/g; t again'
}

# The section of a =head1.
section() { # PAGE TITLE
    awk -v title="=head1 $2" '/^=head1 / { inside = $0 == title; next } inside' "$1"
}

# Of a verb's section: the usage, the summary, and each option with the first line below it.
verbs_of_page() {
    section "$page" VERBS | plain | awk '
        /^=head2 / { print "vhdctl " substr($0, 8); want = 1; next }
        /^=item / { item = substr($0, 7) ": "; want = 1; next }
        want && NF { sub(/\.$/, ""); print item $0; item = ""; want = 0 }'
}

# Help of all verbs in the same form; -h stands in a section of its own.
verbs_of_help() {
    local verb
    while read -r verb; do
        vhdctl "$verb" --help | sed -nE '/^  -h, --help /d
            s/^  vhdctl/vhdctl/p
            s/^[A-Z][^:]*$/&/p
            s/^  (-.*[^ ])  +([^ ].*)$/\1: \2/p'
    done < <(vhdctl --help | sed -n '/^Verbs:/,/^$/s/^  \([a-z]*\) .*/\1/p')
}

for pod in "$page" "$handler_page"; do
    podchecker "$pod" >said 2>&1 || fail "podchecker: $(<said)"
    is "$(grep -v 'pod syntax OK.$' said || true)" '' "warnings of podchecker"
    pod2man --errors=die "$pod" made.man || fail "pod2man cannot make $pod"
done

verbs_of_help >help.txt
verbs_of_page >page.txt
[[ $(grep -c '^vhdctl ' help.txt) -ge 17 && $(grep -c '^-' help.txt) -ge 60 ]] ||
    fail "too little was found in --help: $(<help.txt)"
diff -u --label 'vhdctl VERB --help' --label docs/vhdctl.pod help.txt page.txt >&2 ||
    fail "the man page and --help differ"
section "$page" 'OPTIONS OF EVERY VERB' | plain | grep -q -- '^=item -h, --help$' ||
    fail "--help is not in the man page"
while read -r verb; do
    vhdctl "$verb" --help | grep -q '^  -h, --help  *Show this and do nothing$' || fail "$verb --help"
done < <(sed -n 's/^vhdctl \([a-z]*\) .*/\1/p' help.txt)

# The exit statuses of the closing lines of --help.
for status in 'B<0> clean' 'B<1> could not check' 'B<2> corrupt' 'B<3> leaks only' 'B<0> the same' \
    'B<1> different' 'B<2> trouble'; do
    section "$page" 'EXIT STATUS' | grep -qF "$status" || fail "exit status '$status' is not in the man page"
done

# What the handler calls its options: name=A|B stands as name=A, name=B.
run vhdctl check --config 'vhd//image.vhd;no-such-option'
tr -s ' ' '\n' <<<"${err#*the options are }" | tr -d , | awk -F'[=|]' '
    NF > 2 { print $1 "=" $2 ", " $1 "=" $3; next } { print }' >handler.txt
[[ $(wc -l <handler.txt) -ge 8 ]] || fail "the handler's options were not found: $err"
section "$handler_page" 'CONFIG STRING' | plain | sed -n 's/^=item //p' >items.txt
diff -u <(sort handler.txt) <(sort items.txt) >&2 || fail "the options of tcmu-vhd(7) are not the handler's"

# The messages, by README's tables.
awk '/^## / { inside = $0 == "## When something goes wrong" } inside' "$source_root/README.md" |
    sed -n 's/^| `\([^`]*\)` |.*/\1/p' >readme.txt
[[ -s readme.txt ]] || fail "README has no messages"
section "$handler_page" TROUBLE-SHOOTING | sed -n 's/^=item "\(.*\)"$/\1/p' >messages.txt
diff -u --label README.md --label docs/tcmu-vhd.pod readme.txt messages.txt >&2 ||
    fail "the messages of tcmu-vhd(7) are not README's"
