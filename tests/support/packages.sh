# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later
#
# What must be installed, by group, and how.  Sourced by every script that may
# run on a machine that has nothing yet:
#
#   . tests/support/packages.sh
#   install_packages build test vm

declare -A packages_groups=(
    [build]='gcc clang clang-14 clang-format libclang-rt-14-dev llvm cmake make
        ninja-build pkg-config libc6-dev libglib2.0-dev libjson-glib-dev liburing-dev
        perl git'

    # qemu-utils, libvhdi-utils and tcmu-runner are what our images and our
    # handler are compared with and loaded into; cpack asks file which programs
    # a package holds, lintian judges Debian's, rpm makes the other one; tests/bench
    # needs fio, gnuplot and valgrind; the rest is plain shell work.
    [test]='qemu-utils libvhdi-utils fuse3 tcmu-runner libglib2.0-bin dbus strace
        shellcheck jq gawk xxd python3 dpkg-dev file procps psmisc util-linux e2fsprogs acl attr
        xz-utils lintian rpm fio gnuplot-nox valgrind'

    # The guest runs on the host's own files, so what a guest script calls is
    # here too.  qemu-system-x86 without its recommendations has no display code.
    [vm]='qemu-system-x86 busybox-static kmod cpio gzip tcmu-runner targetcli-fb
        dbus dmsetup libglib2.0-bin sg3-utils fio open-iscsi libiscsi-bin qemu-utils
        e2fsprogs xfsprogs util-linux fdisk iproute2 procps strace xxd gawk jq systemd udev'
)

# Prints the packages of the named groups, one a line, each once.
packages_of() {
    local group
    for group in "$@"; do
        if [[ -z ${packages_groups[$group]:-} ]]; then
            echo "packages.sh: no group of packages is called '$group'" >&2
            return 1
        fi
        # shellcheck disable=SC2086 # a list of names, one word each
        printf '%s\n' ${packages_groups[$group]}
    done | LC_ALL=C sort -u
}

# Of the packages named on stdin, prints those that are not installed.
packages_missing() {
    local package status
    while read -r package; do
        status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) || status=
        [[ $status == installed ]] || printf '%s\n' "$package"
    done
}

# apt-get install in a subshell: nothing may start a service.  A test brings up
# what it needs itself, and a clean root has no init that would stop it again.
packages_apt_install() (
    policy=/usr/sbin/policy-rc.d
    if [[ ! -e $policy ]]; then
        trap 'rm -f "$policy"' EXIT
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod +x "$policy"
    fi
    export DEBIAN_FRONTEND=noninteractive
    apt_options=(-o DPkg::Lock::Timeout=600 -o APT::Update::Error-Mode=any)
    # The lists may be older than the mirror; a package that the mirror has
    # replaced since can only be fetched with new ones.
    apt-get "${apt_options[@]}" -qq update ||
        echo "packages.sh: apt-get update failed; trying with the lists that are here" >&2
    apt-get "${apt_options[@]}" -y -qq --no-install-recommends install "$@"
)

# install_packages GROUP...: installs what is missing of these groups.
install_packages() {
    local wanted missing
    wanted=$(packages_of "$@") || return 1
    echo "packages ($*): ${wanted//$'\n'/ }"
    if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
        echo "packages.sh: this is not Debian; please install what corresponds to the packages above" >&2
        return 1
    fi
    missing=$(packages_missing <<<"$wanted")
    [[ -n $missing ]] || return 0
    if [[ $(id -u) -ne 0 ]]; then
        echo "packages.sh: as root, please run: apt-get install --no-install-recommends ${missing//$'\n'/ }" >&2
        return 1
    fi
    echo "packages: installing ${missing//$'\n'/ }"
    # shellcheck disable=SC2086 # a list of names, one word each
    packages_apt_install $missing >&2
}
