# SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later
# Reads preprocessed C and prints the fields of the structures of the plug-in
# ABI and the enumerators that handlers use, as "field STRUCT NAME" and
# "constant NAME".  Knows as much of C as these headers need: one declaration a
# semicolon, nothing nested but a union.

function field_name(declaration) {
    if (match(declaration, /\(\*[A-Za-z_0-9]+\)/))
        return substr(declaration, RSTART + 2, RLENGTH - 3)
    sub(/[[].*/, "", declaration)
    sub(/[ \t]+$/, "", declaration)
    match(declaration, /[A-Za-z_0-9]+$/)
    return substr(declaration, RSTART, RLENGTH)
}

/^#/ { next }
{ text = text " " $0 }

END {
    while (match(text, /(TCMU_STS|TCMULIB_CFG)_[A-Z_]+/)) {
        name = substr(text, RSTART, RLENGTH)
        if (!(name in seen))
            print "constant " name
        seen[name] = 1
        rest = substr(text, RSTART + RLENGTH)
        head = head substr(text, 1, RSTART + RLENGTH - 1)
        text = rest
    }
    text = head text
    count = split("tcmulib_cmd tcmur_cmd tcmulib_cfg_info tcmur_handler", tags, " ")
    for (i = 1; i <= count; i++) {
        if (!match(text, "struct " tags[i] " *[{]"))
            continue
        body = substr(text, RSTART + RLENGTH)
        gsub(/union *[{][^}]*[}]/, "union", body)
        body = substr(body, 1, index(body, "}") - 1)
        fields = split(body, declarations, ";")
        for (f = 1; f < fields; f++) {
            # "*next, *prev": only list nodes declare two at once, and they are not here.
            print "field " tags[i] " " field_name(declarations[f])
        }
    }
}
