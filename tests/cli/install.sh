#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later
# "cmake --install" puts each file where it is looked for, below DESTDIR, and it works from there.
. "$(dirname "$0")/functions.sh"
requires cmake

build=$(cd "$(dirname "$VHDCTL")/.." && pwd)
handlers=$(sed -n 's/^VHD_HANDLER_DIR:[A-Z]*=//p' "$build/CMakeCache.txt")
documents=usr/share/doc/tcmu-vhd

cat >wanted.txt <<END
-rwxr-xr-x usr/bin/vhdctl
-rw-r--r-- usr/$handlers/handler_vhd.so
-rw-r--r-- usr/lib/systemd/system/rtslib-fb-targetctl.service.d/tcmu-vhd.conf
-rw-r--r-- usr/lib/systemd/system/tcmu-runner.service.d/tcmu-vhd.conf
-rw-r--r-- usr/share/bash-completion/completions/vhdctl
-rw-r--r-- $documents/LICENSE
-rw-r--r-- $documents/LICENSES/Apache-2.0.txt
-rw-r--r-- $documents/LICENSES/LGPL-2.1-or-later.txt
-rw-r--r-- $documents/README.md
-rw-r--r-- $documents/examples/functions.sh
-rwxr-xr-x $documents/examples/golden-clients
-rwxr-xr-x $documents/examples/iscsi-lun
-rwxr-xr-x $documents/examples/loopback-disk
-rwxr-xr-x $documents/examples/restore-at-boot
-rw-r--r-- $documents/format.md
-rw-r--r-- usr/share/man/man1/vhdctl.1
-rw-r--r-- usr/share/man/man7/tcmu-vhd.7
END
DESTDIR=$folder/root cmake --install "$build" --prefix /usr >/dev/null
(cd root && find . ! -type d -printf '%M %P\n') | sort -k 2 >installed.txt
diff -u <(sort -k 2 wanted.txt) installed.txt >&2 || fail "other files are installed"

# Where tcmu-runner's own handlers are, if it is here.
own=$(dpkg -L tcmu-runner 2>/dev/null | grep '/handler_.*\.so$' | head -n 1 || true)
[[ -z $own ]] || is "usr/$handlers" "$(dirname "${own#/}")" "folder of handlers"

is "$(root/usr/bin/vhdctl --version)" "$(vhdctl --version)"
for example in root/"$documents"/examples/*-*; do
    run "$example" --help
    is "$status" 0 "status of $example --help"
    [[ $out == Usage:* ]] || fail "$example --help: $out $err"
done

# With another prefix nothing is put elsewhere.
DESTDIR=$folder/local cmake --install "$build" --prefix /usr/local >/dev/null
is "$(cd local && find . ! -type d -printf '%P\n' | sort)" \
    "$(cut -d ' ' -f 2 installed.txt | sed 's:^usr/:usr/local/:' | sort)" 'with /usr/local'
