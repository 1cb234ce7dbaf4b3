#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later
# "cpack -G RPM" packs what "cmake --install" installs (install.sh), and no folder that others own.
. "$(dirname "$0")/functions.sh"
requires cmake cpack rpmbuild rpm file

build=$(cd "$(dirname "$VHDCTL")/.." && pwd)
(umask 077 && cpack -G RPM --config "$build/CPackConfig.cmake" -B "$folder/made") >cpack.log 2>&1 ||
    fail "cpack: $(<cpack.log)"
package=made/tcmu-vhd-$(vhdctl --version | cut -d ' ' -f 2)-1.$(uname -m).rpm
[[ -f $package ]] || fail "$package was not made: $(ls made)"
query() { rpm --dbpath "$folder/db" -qp "$@" "$package"; }

DESTDIR=$folder/installed cmake --install "$build" --prefix /usr >/dev/null
(cd installed && find . ! -type d -printf '%M /%P\n') | sed 's:/man/.*:&.gz:' | sort -k 2 >wanted.txt
query --qf '[%{FILEMODES:perms} %{FILEUSERNAME} %{FILENAMES}\n]' >listed.txt
is "$(awk '$1 ~ /^d/ && $1 != "drwxr-xr-x" || $2 != "root"' listed.txt)" "" "folders and owners"
awk '$1 !~ /^d/ { print $1, $3 }' listed.txt | sort -k 2 >packed.txt
diff -u wanted.txt packed.txt >&2 || fail "the package holds other files"
is "$(awk '$1 ~ /^d/ && !/tcmu-vhd|\.service\.d$/' listed.txt)" "" "folders that others own"

grep -qx 'tcmu-runner >= 1.5.0' <(query --requires) || fail "it does not need tcmu-runner"
is "$(query --qf '%{LICENSE}')" 'Apache-2.0 OR LGPL-2.1-or-later' licence
for script in POSTIN PREUN POSTUN; do
    query --qf "%{$script}" >script
    ! grep -E '^[^#]*systemctl' script | grep -vE 'daemon-reload|^ *echo ' >&2 || fail "$script stops or starts a service"
done
run sh script 0 # the last one, as rpm calls it when none is left
[[ $out == *"systemctl restart tcmu-runner"* ]] || fail "it does not say when to restart: $out"
run sh script 1
is "$out$err" "" "after an upgrade"
