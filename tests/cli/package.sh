#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later
# "cpack -G DEB" packs what "cmake --install" installs (install.sh), with what it depends on, as Debian
# wants it; installing and removing it restarts nothing and says when to.
. "$(dirname "$0")/functions.sh"
requires cmake cpack dpkg dpkg-deb dpkg-shlibdeps dpkg-parsechangelog file

build=$(cd "$(dirname "$VHDCTL")/.." && pwd)
version=$(vhdctl --version | cut -d ' ' -f 2)
architecture=$(dpkg --print-architecture)
documents=usr/share/doc/tcmu-vhd

# The package, made under a umask that a careful root may have.
(umask 077 && cpack -G DEB --config "$build/CPackConfig.cmake" -B "$folder/made") >cpack.log 2>&1 ||
    fail "cpack: $(<cpack.log)"
package=made/tcmu-vhd_${version}_$architecture.deb
[[ -f $package ]] || fail "$package was not made: $(ls made)"
dpkg-deb -c "$package" >listed.txt
is "$(awk '$1 ~ /^d/ && $1 != "drwxr-xr-x" || $2 != "root/root"' listed.txt)" '' 'folders and owners'

DESTDIR=$folder/installed cmake --install "$build" --prefix /usr >/dev/null
{
    (cd installed && find . ! -type d ! -path '*/LICENSE*' -printf '%M %P\n') | sed 's:/man/.*:&.gz:'
    printf '%s\n' "-rw-r--r-- $documents/copyright" "-rw-r--r-- $documents/changelog.gz"
} | sort -k 2 >wanted.txt
awk '$1 !~ /^d/ { sub(/^\.\//, "", $6); print $1, $6 }' listed.txt | sort -k 2 >packed.txt
diff -u wanted.txt packed.txt >&2 || fail "the package holds other files"

depends=$(dpkg-deb -f "$package" Depends)
for other in 'tcmu-runner (>= 1.5.0)' 'libc6 (>= ' 'libglib2.0-0' 'libjson-glib-1.0-0'; do
    [[ ", $depends" == *", $other"* ]] || fail "the package does not depend on $other: $depends"
done
is "$(dpkg-deb -f "$package" Architecture)" "$architecture"

dpkg-deb -x "$package" root
is "$(root/usr/bin/vhdctl --version)" "$(vhdctl --version)"
gunzip root/"$documents"/changelog.gz
changelog() { dpkg-parsechangelog -l root/"$documents"/changelog -S "$1"; }
is "$(changelog Version)" "$version" "version of the changelog"
is "$(changelog Maintainer)" "$(dpkg-deb -f "$package" Maintainer)" "maintainer"
dpkg-deb -e "$package" control
is "$(cd control && echo *)" 'control md5sums postinst postrm prerm'
(cd root && cp -r ../installed/$documents/LICENSE* $documents && gzip -n9 $documents/changelog &&
    md5sum --quiet -c ../control/md5sums) || fail "checksums"

# No script runs a command that could stop or start a service; systemd is told of new and lost drop-ins.
mkdir commands
for command in systemctl service invoke-rc.d deb-systemd-invoke; do
    printf '#!/bin/sh\necho "$0 $*" >>%q\n' "$folder/called.txt" >commands/"$command"
    chmod +x commands/"$command"
done
# says WHEN SCRIPT ACTION
says() {
    run env PATH="$folder/commands:$PATH" control/"$2" "$3"
    is "$status$err" 0 "$2 $3"
    [[ $out == *"$1"* ]] || fail "$2 $3 does not say when to restart: $out"
}
says "systemctl restart tcmu-runner" postinst configure
says "" prerm upgrade
says "" prerm remove
says "systemctl restart tcmu-runner" postrm remove
is "$(control/postrm purge)" "" "postrm purge"
[[ ! -e called.txt ]] || is "$(grep -v 'systemctl daemon-reload$' called.txt)" "" "what the scripts call"
