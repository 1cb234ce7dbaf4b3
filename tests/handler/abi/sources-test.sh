#!/bin/bash
# SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later
#
# How the system's apt sources are turned into source-package lines: both
# formats, from folders made up here.
set -eu -o pipefail
here=$(dirname "$(readlink -f "$0")")
# shellcheck source=tests/handler/abi/source.sh
. "$here/source.sh"

work=$(mktemp -d "${1:-${TMPDIR:-/tmp}}/sources.XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/etc/sources.list.d"
cat >"$work/etc/sources.list" <<'END'
# deb http://commented.example out main
deb http://mirror.example/debian stable main
deb-src http://mirror.example/debian stable main
deb [signed-by=/k.gpg] http://mirror.example/debian stable-updates main contrib
END
cat >"$work/etc/sources.list.d/new.sources" <<'END'
Types: deb
URIs: http://mirror.example/debian
Suites: stable
Components: main

types: deb deb-src
URIs: http://other.example/debian
Suites: stable
Components: main
Enabled: no
END
echo 'deb http://ignored.example stable main' >"$work/etc/sources.list.d/off.list.disabled"
abi_make_sources "$work/etc" "$work/out"

cat >"$work/expected" <<'END'
== new.sources
Types: deb-src
URIs: http://mirror.example/debian
Suites: stable
Components: main

types: deb-src
URIs: http://other.example/debian
Suites: stable
Components: main
Enabled: no
== sources.list
deb-src [signed-by=/k.gpg] http://mirror.example/debian stable-updates main contrib
deb-src http://mirror.example/debian stable main
END
(cd "$work/out" && for file in *; do echo "== $file" && cat "$file"; done) >"$work/actual"
diff -u "$work/expected" "$work/actual"
