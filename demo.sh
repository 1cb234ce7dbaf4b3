#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later
#
# The main job, shown: one golden image, two children of it, each served as a
# SCSI disk by the real tcmu-runner and the real kernel target.
set -Eeuo pipefail
checkout=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$checkout"
# shellcheck source=tests/support/packages.sh
. tests/support/packages.sh

usage() {
    cat <<'TEXT'
Usage: ./demo.sh [--here [--build DIR]]

Makes a golden image with a file system and two children, serves both children
as disks over the kernel's loopback fabric, writes something different into each
and shows who holds what.  Without --here it happens in a virtual machine that is
gone afterwards; with --here (as root) in this machine's own kernel, where it
takes away what it made.  --build names a folder that is built already.
TEXT
}

here=no build=$checkout/build/release built=no
while [[ $# -gt 0 ]]; do
    case $1 in
    --here) here=yes; shift ;;
    --build) build=$(realpath "${2:?--build needs a folder}"); built=yes; shift 2 ;;
    --help) usage; exit ;;
    *) usage >&2; exit 2 ;;
    esac
done

say() {
    printf '\n\033[1m== %s\033[0m\n' "$*"
}

show() { # COMMAND...: as a user would type it
    printf '$ %s\n' "${*/#$build\/cli\//}"
    "$@"
}

die() {
    echo "demo.sh: $*" >&2
    exit 1
}

build_it() {
    [[ $built == no ]] || return 0
    say "Building"
    mkdir -p build
    { cmake --preset release -D VHD_TESTS=OFF && cmake --build --preset release; } >build/release.log 2>&1 ||
        { tail -40 build/release.log; die "the build failed"; }
}

# ---------------------------------------------------------------- the host

target=/sys/kernel/config/target
folder='' runner='' handlers=''

vhd_is_served() {
    gdbus call --system -d org.kernel.TCMUService1 -o /org/kernel/TCMUService1/vhd \
        -m org.freedesktop.DBus.Properties.Get org.kernel.TCMUService1 ConfigDesc >/dev/null 2>&1
}

prepare_host() {
    [[ $(id -u) -eq 0 ]] || die "--here changes the kernel's target: run it as root"
    modprobe -a target_core_user tcm_loop sd_mod ||
        die "this kernel has no target_core_user or tcm_loop; run ./demo.sh without --here"
    mountpoint -q /sys/kernel/config || mount -t configfs configfs /sys/kernel/config
    mkdir -p /etc/rtslib-fb-target/{pr,alua,backup} /run/dbus
    [[ -S /run/dbus/system_bus_socket ]] || { dbus-uuidgen --ensure; dbus-daemon --system --fork; }
}

# A tcmu-runner that runs already is never restarted: it may be serving others.
prepare_runner() {
    if pgrep -x tcmu-runner >/dev/null; then
        vhd_is_served || die "a tcmu-runner without the vhd handler is running; install the handler" \
            "(README.md says how), restart tcmu-runner when no LUN is in use, and try again"
        return
    fi
    handlers=$(mktemp -d)
    cp "$build/handler/handler_vhd.so" "$handlers/"
    tcmu-runner --handler-path "$handlers" >/dev/null 2>&1 &
    runner=$!
    gdbus wait --system --timeout 60 org.kernel.TCMUService1 || die "tcmu-runner does not start"
}

wwn_of() { # LUN
    printf 'naa.5001405%.9s' "$(printf 'demo-%s' "$1" | md5sum)"
}

quiet_targetcli() {
    targetcli "$@" >/dev/null
}

# LUNS that stand, so that the clean-up takes away those alone.
luns=()

lun_up() { # NAME IMAGE -> disk in $disk
    local address device
    show targetcli /backstores/user:vhd create "name=$1" size=1 "cfgstring=$2"
    luns+=("$1")
    echo 0 >"$(echo "$target"/core/user_*/"$1")/attrib/cmd_time_out"
    quiet_targetcli /loopback create "$(wwn_of "$1")"
    quiet_targetcli "/loopback/$(wwn_of "$1")/luns" create "/backstores/user:vhd/$1"
    address=$(<"$target/loopback/$(wwn_of "$1")/tpgt_1/address")
    for _ in {1..300}; do
        device=$(echo /sys/bus/scsi/devices/"$address":0/block/*)
        disk=/dev/${device##*/}
        [[ ! -b $disk ]] || return 0
        sleep 0.1
    done
    die "the disk of LUN $1 does not appear"
}

lun_down() { # NAME
    local kept=() lun
    quiet_targetcli /loopback delete "$(wwn_of "$1")"
    quiet_targetcli /backstores/user:vhd delete "$1"
    for lun in "${luns[@]}"; do
        [[ $lun == "$1" ]] || kept+=("$lun")
    done
    luns=("${kept[@]}")
}

clean_up() {
    local status=$? lun
    set +e
    trap - EXIT
    if [[ -n $folder ]]; then
        findmnt -rno TARGET | grep "^$folder/" | xargs -r umount
    fi
    for lun in "${luns[@]}"; do
        lun_down "$lun"
    done
    [[ -z $runner ]] || { kill "$runner"; wait "$runner" 2>/dev/null; }
    rm -rf "$folder" "$handlers"
    exit "$status"
}

# ---------------------------------------------------------------- the show

make_golden() {
    say "One golden image with a file system"
    show "$build/cli/vhdctl" create --size 1G "$folder/golden.vhd"
    lun_up golden "$folder/golden.vhd"
    show mkfs.ext4 -q -L golden -E lazy_itable_init=0,lazy_journal_init=0 "$disk"
    mount "$disk" "$folder/mnt"
    echo "installed once, for everybody" >"$folder/mnt/golden.txt"
    head -c 8M /dev/urandom >"$folder/mnt/programs"
    umount "$folder/mnt"
    lun_down golden
}

make_children() {
    local n
    say "A child for each client: sector by sector, what it writes goes there and nowhere else"
    for n in 1 2; do
        show "$build/cli/vhdctl" snapshot "$folder/golden.vhd" "$folder/client$n.vhd"
    done
    sha256sum "$folder/golden.vhd" >"$folder/golden.sum"
}

serve_children() {
    local n
    say "Both children as disks, over the kernel's loopback fabric"
    for n in 1 2; do
        lun_up "client$n" "$folder/client$n.vhd"
        mkdir "$folder/client$n"
        mount "$disk" "$folder/client$n"
        show lsblk -o NAME,SIZE,VENDOR,MODEL,MOUNTPOINT "$disk"
    done
}

write_different_things() {
    say "Different things into each"
    show sh -c "echo 'the work of the first client' >'$folder/client1/work.txt'"
    show dd if=/dev/urandom of="$folder/client2/work.bin" bs=1M count=20 status=none
    show ls -l "$folder/client1" "$folder/client2"
    expect_in "$folder/client1/golden.txt" "installed once, for everybody"
    expect_in "$folder/client2/golden.txt" "installed once, for everybody"
    [[ ! -e $folder/client2/work.txt && ! -e $folder/client1/work.bin ]] || die "one client sees the other's file"
    umount "$folder/client1" "$folder/client2"
    lun_down client1
    lun_down client2
}

expect_in() { # FILE TEXT
    grep -qF "$2" "$1" || die "$1 does not hold '$2'"
}

show_result() {
    say "What came of it"
    show "$build/cli/vhdctl" map "$folder/client1.vhd"
    show "$build/cli/vhdctl" info --chain "$folder/client1.vhd"
    show du -h "$folder/golden.vhd" "$folder/client1.vhd" "$folder/client2.vhd"
    show "$build/cli/vhdctl" check --chain "$folder/client1.vhd"
    show "$build/cli/vhdctl" check --chain "$folder/client2.vhd"
    show sha256sum -c "$folder/golden.sum"
}

run_here() {
    trap clean_up EXIT
    prepare_host
    folder=$(mktemp -d "${TMPDIR:-/var/tmp}/vhd-demo.XXXXXX")
    mkdir "$folder/mnt"
    prepare_runner
    make_golden
    make_children
    serve_children
    write_different_things
    show_result
    say "Done: the golden image is untouched, each child holds what its client wrote, and all is cleared away"
}

if [[ $here == yes ]]; then
    [[ $built == yes ]] || install_packages build vm
    build_it
    run_here
else
    install_packages build vm
    build_it
    say "Starting a virtual machine (a real kernel target; no acceleration needed)"
    tests/vm/run --build "$build" tests/vm/lib/demo
fi
