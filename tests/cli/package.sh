#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later
# "cpack -G DEB" packs what "cmake --install" installs: each file where it is looked for, with what it
# depends on; installing it restarts nothing and says when to.
. "$(dirname "$0")/functions.sh"
requires cmake cpack dpkg dpkg-deb dpkg-shlibdeps file

build=$(cd "$(dirname "$VHDCTL")/.." && pwd)
architecture=$(dpkg --print-architecture)
libraries=usr/lib/$(dpkg-architecture -qDEB_HOST_MULTIARCH)
documents=usr/share/doc/tcmu-vhd

cat >wanted.txt <<END
-rwxr-xr-x usr/bin/vhdctl
-rw-r--r-- $libraries/tcmu-runner/handler_vhd.so
-rw-r--r-- usr/share/bash-completion/completions/vhdctl
-rw-r--r-- $documents/LICENSES/Apache-2.0.txt
-rw-r--r-- $documents/LICENSES/LGPL-2.1-or-later.txt
-rw-r--r-- $documents/README.md
-rw-r--r-- $documents/copyright
-rw-r--r-- $documents/examples/functions.sh
-rwxr-xr-x $documents/examples/golden-clients
-rwxr-xr-x $documents/examples/iscsi-lun
-rwxr-xr-x $documents/examples/loopback-disk
-rwxr-xr-x $documents/examples/restore-at-boot
-rw-r--r-- $documents/format.md
-rw-r--r-- usr/share/man/man1/vhdctl.1
-rw-r--r-- usr/share/man/man7/tcmu-vhd.7
END
sort -k 2 wanted.txt >wanted.sorted

# The package, made under a umask that a careful root may have.
(umask 077 && cpack -G DEB --config "$build/CPackConfig.cmake" -B "$folder/made") >cpack.log 2>&1 ||
    fail "cpack: $(<cpack.log)"
package=made/tcmu-vhd_$(vhdctl --version | cut -d ' ' -f 2)_$architecture.deb
[[ -f $package ]] || fail "$package was not made: $(ls made)"
dpkg-deb -c "$package" >listed.txt
is "$(awk '$1 ~ /^d/ && $1 != "drwxr-xr-x" || $2 != "root/root"' listed.txt)" '' 'folders and owners'
awk '$1 !~ /^d/ { sub(/^\.\//, "", $6); print $1, $6 }' listed.txt | sort -k 2 >listed.sorted
diff -u wanted.sorted listed.sorted >&2 || fail "the package holds other files"

# Where tcmu-runner's own handlers are, if it is here.
own=$(dpkg -L tcmu-runner 2>/dev/null | grep '/handler_.*\.so$' | head -n 1 || true)
[[ -z $own ]] || is "$libraries/tcmu-runner" "$(dirname "${own#/}")" "folder of handlers"

depends=$(dpkg-deb -f "$package" Depends)
for other in 'tcmu-runner (>= 1.5.0)' 'libc6 (>= ' 'libglib2.0-0' 'libjson-glib-1.0-0'; do
    [[ ", $depends" == *", $other"* ]] || fail "the package does not depend on $other: $depends"
done
is "$(dpkg-deb -f "$package" Architecture)" "$architecture"

# It works from where it is put.
dpkg-deb -x "$package" root
is "$(root/usr/bin/vhdctl --version)" "$(vhdctl --version)"
for example in root/"$documents"/examples/*-*; do
    run "$example" --help
    is "$status" 0 "status of $example --help"
    [[ $out == Usage:* ]] || fail "$example --help: $out $err"
done

# Of the scripts there is one alone, which runs no command that could stop or start a service.
dpkg-deb -e "$package" control
is "$(cd control && echo *)" 'control md5sums postinst'
(cd root && md5sum --quiet -c ../control/md5sums) || fail "checksums"
mkdir commands
for command in systemctl service invoke-rc.d deb-systemd-invoke; do
    printf '#!/bin/sh\necho "$0 $*" >>%q\n' "$folder/called.txt" >commands/"$command"
    chmod +x commands/"$command"
done
run env PATH="$folder/commands:$PATH" control/postinst configure
is "$status$err" 0 'postinst'
[[ $out == *"systemctl restart tcmu-runner"* ]] || fail "postinst does not say when to restart: $out"
[[ ! -e called.txt ]] || fail "postinst calls $(<called.txt)"

# The same files by cmake --install.
DESTDIR=$folder/destdir cmake --install "$build" --prefix /usr >/dev/null
is "$(cd destdir && find . -type f -printf '%P\n' | sort)" "$(cut -d ' ' -f 2 wanted.sorted | sort)" \
    'cmake --install'
