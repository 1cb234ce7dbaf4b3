#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later
# lintian finds neither an error nor a warning in the Debian package.
. "$(dirname "$0")/functions.sh"
requires cpack dpkg-deb dpkg-shlibdeps file lintian

build=$(cd "$(dirname "$VHDCTL")/.." && pwd)
cpack -G DEB --config "$build/CPackConfig.cmake" -B "$folder/made" >cpack.log 2>&1 || fail "cpack: $(<cpack.log)"
options=(--no-cfg --tag-display-limit 0)
[[ $(id -u) -ne 0 ]] || options+=(--allow-root)
run lintian "${options[@]}" made/*.deb
is "$out$err" "" "lintian"
is "$status" 0 "status of lintian"
