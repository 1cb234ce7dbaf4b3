# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later
#
# Where tcmu-runner's sources come from: Debian's source package, fetched with
# an apt configuration of its own.  The system's sources are read and turned
# into source-package lines; nothing of the system's is changed.

# One-line format: every "deb" line becomes a "deb-src" line.
abi_sources_from_list() {
    sed -nE 's/^[[:space:]]*deb(-src)?([[:space:]])/deb-src\2/p' "$1" | LC_ALL=C sort -u
}

# deb822 format: the Types field of every stanza becomes "deb-src".
abi_sources_from_deb822() {
    sed -E 's/^([Tt][Yy][Pp][Ee][Ss]:).*/\1 deb-src/' "$1"
}

# abi_make_sources ETC OUT: reads the sources under ETC (/etc/apt), writes OUT.
abi_make_sources() {
    local etc=$1 out=$2 file
    mkdir -p "$out"
    for file in "$etc"/sources.list "$etc"/sources.list.d/*.list; do
        [[ -f $file ]] || continue
        abi_sources_from_list "$file" >"$out/$(basename "$file" .list).list"
    done
    for file in "$etc"/sources.list.d/*.sources; do
        [[ -f $file ]] || continue
        abi_sources_from_deb822 "$file" >"$out/$(basename "$file")"
    done
}

# abi_fetch_source WORK: unpacks the source package into WORK/source.  On
# failure prints the reason on stdout and returns 1.
abi_fetch_source() {
    local work=$1 tool dsc
    for tool in apt-get dpkg-source xz; do
        command -v "$tool" >/dev/null || { echo "no $tool here"; return 1; }
    done
    abi_make_sources /etc/apt "$work/sources.list.d"
    mkdir -p "$work/lists/partial" "$work/cache/archives/partial" "$work/download"
    local -a options=(
        -o "Dir::Etc::sourcelist=/dev/null" -o "Dir::Etc::sourceparts=$work/sources.list.d"
        -o "Dir::State::lists=$work/lists" -o "Dir::Cache=$work/cache"
        -o "APT::Sandbox::User=$(id -un)" -o "APT::Update::Post-Invoke-Success="
        -o "Acquire::Retries=2" -o "Acquire::http::Timeout=60" -o "Acquire::Languages=none"
    )
    # One source of several that fails is no matter, if the package is found.
    apt-get -qq "${options[@]}" update >"$work/apt.log" 2>&1
    if ! (cd "$work/download" && apt-get -qq "${options[@]}" source --download-only tcmu) \
        >>"$work/apt.log" 2>&1; then
        echo "apt cannot fetch the source package tcmu: $(tail -n 1 "$work/apt.log")"
        return 1
    fi
    dsc=$(find "$work/download" -name 'tcmu_*.dsc' | head -n 1)
    if ! dpkg-source --no-check -x "$dsc" "$work/source" >>"$work/apt.log" 2>&1; then
        echo "dpkg-source cannot unpack $(basename "$dsc"): $(tail -n 1 "$work/apt.log")"
        return 1
    fi
}
