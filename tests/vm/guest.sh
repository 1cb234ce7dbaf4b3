# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later
#
# What a script that runs in the guest starts from.  It is sourced, then
# guest_start makes a machine with a running tcmu-runner; whatever a script
# leaves behind is cleared away when it ends, well or not, so that several can
# run in one machine, each with a daemon and an empty folder of its own.
#
#   . "$(dirname "$0")/guest.sh"
#   guest_start
#   vhdctl create --size 64M "$VM_DIR/a.vhd"
#   disk=$(lun_create vhd a 64M "$VM_DIR/a.vhd")

set -Eeuo pipefail
shopt -s inherit_errexit nullglob

VM_NAME=$(basename "$0")
VM_DIR=/vhd/$VM_NAME
VM_CHECKOUT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# Absolute, and beside the checkout where nothing else is said.
VM_FIXTURES=$(realpath -m "${VHD_FIXTURES:-$VM_CHECKOUT/../shared/fixtures}")

target_core=/sys/kernel/config/target/core
target_loopback=/sys/kernel/config/target/loopback
runner_log=/var/log/tcmu-runner.log
runner_pid=
# How long the kernel waits for the daemon, in seconds; 0 is for ever.  Its own
# default of 30 makes an initiator send a command again that is still running.
lun_cmd_time_out=0
poll_interval=0.1

# ---------------------------------------------------------------- reporting

# step WHAT COMMAND...: says what is done, does it, and ends the script if that
# fails.  COMMAND is run plainly, never after && or in an if: functions would
# go on after their first failure there.
step() {
    current_step=$1
    shift
    # Not to stdout: disk=$(step "serve it" lun_create ...) wants the disk alone.
    printf -- '-- %3d s  %s\n' "$SECONDS" "$current_step" >&2
    "$@"
}

fail() {
    echo "FAILED: $*" >&2
    exit 1
}

skip() {
    echo "skipped: $*"
    exit 77
}

# wait_until SECONDS WHAT COMMAND...: until COMMAND succeeds, at most SECONDS.
wait_until() {
    local deadline=$((SECONDS + $1)) what=$2
    shift 2
    until "$@"; do
        ((SECONDS < deadline)) || fail "waited in vain for $what"
        sleep "$poll_interval"
    done
}

# refuses TEXT COMMAND...: COMMAND must fail, and say TEXT (a regular expression).
refuses() {
    local text=$1 said
    shift
    if said=$("$@" 2>&1); then
        fail "should have been refused: $*; it said: $said"
    fi
    grep -qiE -- "$text" <<<"$said" || fail "'$*' should say '$text', but says: $said"
}

expect_equal() { # WHAT WANTED GOT
    [[ $2 == "$3" ]] || fail "$1 is '$3', not '$2'"
}

expect_clean() { # IMAGE
    vhdctl check --chain "$1" || fail "vhdctl check --chain $1 finds something"
}

# After a kill or a power cut: blocks that were never published may lie behind,
# nothing else.
expect_clean_or_leaks() { # IMAGE
    local status=0
    vhdctl check --chain "$1" || status=$?
    [[ $status -eq 0 || $status -eq 3 ]] || fail "vhdctl check --chain $1: exit status $status"
}

# quietly COMMAND...: what it says matters only if it fails.
quietly() {
    local said status=0
    said=$("$@" 2>&1) || status=$?
    [[ $status -eq 0 ]] || printf '%s\n' "$said" >&2
    return "$status"
}

show_logs() {
    echo "---- the end of tcmu-runner's log"
    tail -n 40 "$runner_log"
    echo "---- the end of the kernel's log"
    dmesg | tac | sed "/vm: $VM_NAME begins\$/q" | tac | tail -n 30
} >&2

# ------------------------------------------------------------------- bytes

# The sum alone, of a file, a device or (-) standard input.
sha256_of() {
    sha256sum -- "$1" | cut -d ' ' -f 1
}

# Past the page cache, so that it is what the LUN holds.
disk_copy() { # DISK FILE
    dd if="$1" of="$2" bs=1M iflag=direct status=none
}

# What the image's chain reads as, with no LUN between, must be that file.
# (Sums would do, but cost an emulated processor more than the copy.)
expect_image_reads_as() { # IMAGE FILE
    vhdctl read "$1" | cmp - "$2" || fail "vhdctl read $1 gives something else than the disk did"
}

disk_sha256() { # DISK
    dd if="$1" bs=1M iflag=direct status=none | sha256_of -
}

# random_bytes LENGTH: no sector of it is zero, none is like another.
random_bytes() {
    head -c "$1" /dev/urandom
}

# Big-endian number in a file, in decimal.
be_number() { # FILE OFFSET LENGTH
    printf '%d\n' "0x$(xxd -p -s "$2" -l "$3" "$1")"
}

# ------------------------------------------------------------ the machine

guest_start() {
    trap guest_failed ERR
    trap guest_stop EXIT
    # A service's signals end a script like any failure: with its clean-up.
    trap 'exit 143' TERM INT
    ! pgrep -x tcmu-runner >/dev/null || fail "a script before this one left its tcmu-runner"
    # Both logs are shown from here on only.
    : >"$runner_log"
    echo "vm: $VM_NAME begins" >/dev/kmsg
    rm -rf "$VM_DIR"
    mkdir -p "$VM_DIR" /etc/rtslib-fb-target/{pr,alua,backup}
    modprobe -a target_core_user tcm_loop iscsi_target_mod sd_mod sg
    mountpoint -q /sys/kernel/config || mount -t configfs configfs /sys/kernel/config
    dbus_start
    handlers_forget_unused
    vhd_install
    runner_start
}

guest_failed() {
    echo "FAILED: ${current_step:-before the first step}: line ${BASH_LINENO[0]}: $BASH_COMMAND" >&2
    # A $(...) among a command's arguments would fail unseen.
    [[ $BASH_SUBSHELL -eq 0 ]] || kill -TERM $$
}

guest_stop() {
    local status=$?
    trap - ERR EXIT
    set +e
    if [[ $status -ne 0 && $status -ne 77 ]]; then
        show_logs
        # Tells run that there is nothing more to show.
        touch /run/vm/logs-shown
    fi
    guest_clean_up || status=1
    exit "$status"
}

# For a script to define anew: what must be undone, well or not, before the rest.
before_clean_up() {
    :
}

guest_clean_up() {
    local mounts
    before_clean_up
    # shellcheck disable=SC2046 # process ids
    kill -9 $(jobs -p | grep -vx "${runner_pid:-none}") 2>/dev/null
    mapfile -t mounts < <(findmnt -rno TARGET | grep "^$VM_DIR/" | tac)
    [[ ${#mounts[@]} -eq 0 ]] || umount -- "${mounts[@]}"
    # With nobody to answer, the kernel would wait for ever in the removal.
    runner_runs || runner_start
    luns_remove_all && runner_stop && rm -rf "$VM_DIR"
}

dbus_start() {
    [[ ! -S /run/dbus/system_bus_socket ]] || return 0
    mkdir -p /run/dbus
    dbus-uuidgen --ensure
    dbus-daemon --system --fork
}

handler_folder() {
    dirname "$(dpkg -L tcmu-runner | grep '/handler_qcow\.so$')"
}

# librados alone costs a second at every start.
handlers_forget_unused() {
    rm -f "$(handler_folder)"/handler_rbd.so
}

# Puts what was built where tcmu-runner and PATH find it.  Without a build there
# is nothing to put: the harness can be tried before there is a handler.
vhd_install() {
    local built
    built=$(find "${VM_BUILD:-/nowhere}" -maxdepth 3 -name handler_vhd.so -print -quit 2>/dev/null) || :
    [[ -z $built ]] || install -m 644 "$built" "$(handler_folder)/"
    built=$(find "${VM_BUILD:-/nowhere}" -maxdepth 3 -name vhdctl -type f -print -quit 2>/dev/null) || :
    [[ -z $built ]] || install -m 755 "$built" /usr/local/bin/
}

require_vhd() {
    [[ -e $(handler_folder)/handler_vhd.so ]] || fail "there is no handler_vhd.so in ${VM_BUILD:-the build folder}"
    command -v vhdctl >/dev/null || fail "there is no vhdctl in ${VM_BUILD:-the build folder}"
}

require_fixtures() { # NAME...
    local name
    for name in "$@"; do
        [[ -r $VM_FIXTURES/$name ]] || skip "no $name in $VM_FIXTURES (VHD_FIXTURES says where)"
    done
}

# ------------------------------------------------------------ tcmu-runner

runner_runs() {
    [[ -n $runner_pid ]] && kill -0 "$runner_pid" 2>/dev/null
}

# Its bus name comes after the handlers are loaded and the LUNs that the kernel
# still has are open again.
runner_start() {
    tcmu-runner >>/var/log/tcmu-runner.stdout 2>&1 &
    runner_pid=$!
    gdbus wait --system --timeout 60 org.kernel.TCMUService1 || fail "tcmu-runner does not appear on D-Bus"
    runner_runs || fail "tcmu-runner ended while it started"
}

runner_gone() {
    ! gdbus call --system -d org.freedesktop.DBus -o / -m org.freedesktop.DBus.GetNameOwner \
        org.kernel.TCMUService1 >/dev/null 2>&1
}

runner_ended() {
    ! kill -0 "$runner_pid" 2>/dev/null
}

# Ends it with a signal and waits until the process and its bus name are gone.
runner_end() { # SIGNAL
    kill "-$1" "$runner_pid"
    wait_until 60 "tcmu-runner's end" runner_ended
    wait "$runner_pid" 2>/dev/null || :
    wait_until 10 "tcmu-runner's bus name to go" runner_gone
    runner_pid=
}

runner_stop() { runner_end TERM; }
runner_kill() { runner_end KILL; }

runner_restart() {
    runner_stop
    runner_start
}

# ------------------------------------------------------------------- LUNs

# Where the kernel keeps a user backstore: .../user_N/NAME.
backstore_path() { # NAME
    local path
    for path in "$target_core"/user_*/"$1"; do
        printf '%s\n' "$path"
        return
    done
    return 1
}

# Refusals go to stdout as well as to the exit status: it is targetcli that
# shows the user what check_config says.
backstore_create() { # SUBTYPE NAME SIZE CFGSTRING
    targetcli "/backstores/user:$1" create name="$2" size="$3" cfgstring="$4"
}

# What targetcli's delete comes down to, without three seconds of Python.
backstore_remove() { # NAME
    local path
    path=$(backstore_path "$1")
    rmdir "$path" "$(dirname "$path")"
}

# A world wide name made of the LUN's name, so that nothing must be remembered.
loopback_wwn() { # NAME
    printf 'naa.5001405%.9s\n' "$(printf %s "$1" | md5sum)"
}

loopback_address() { # NAME
    printf '%s:0\n' "$(<"$target_loopback/$(loopback_wwn "$1")/tpgt_1/address")"
}

# Makes the backstore a disk of this very machine.
loopback_export() { # NAME
    local target nexus store
    target=$target_loopback/$(loopback_wwn "$1")/tpgt_1
    nexus=$(loopback_wwn "$1-initiator")
    store=$(backstore_path "$1")
    [[ $lun_cmd_time_out == default ]] || echo "$lun_cmd_time_out" >"$store/attrib/cmd_time_out"
    mkdir -p "$target"
    echo "$nexus" >"$target/nexus"
    mkdir "$target/lun/lun_0"
    ln -s "$store" "$target/lun/lun_0/$1"
}

loopback_remove() { # NAME
    local target
    target=$target_loopback/$(loopback_wwn "$1")
    rm "$target/tpgt_1/lun/lun_0/$1"
    rmdir "$target/tpgt_1/lun/lun_0" "$target/tpgt_1" "$target"
}

lun_has_disk() { # NAME
    local found=(/sys/bus/scsi/devices/"$(loopback_address "$1")"/block/*)
    [[ ${#found[@]} -eq 1 && -b /dev/${found[0]##*/} ]]
}

# The disk that an exported LUN is: /dev/sdX.
lun_disk() { # NAME
    local found
    wait_until 60 "the disk of LUN $1" lun_has_disk "$1"
    found=(/sys/bus/scsi/devices/"$(loopback_address "$1")"/block/*)
    printf '/dev/%s\n' "${found[0]##*/}"
}

# The generic device of a disk.  Commands go there: the disk's own may be closed
# to them (write-protected) or do more than is asked (a new read of its size).
lun_generic() { # DISK
    local found=(/sys/block/"${1##*/}"/device/scsi_generic/*)
    printf '/dev/%s\n' "${found[0]##*/}"
}

# partition_one DISK: one partition over all of it; prints its device.
partition_one() {
    echo 'label: dos
          type=83' | quietly sfdisk "$1"
    wait_until 10 "${1}1" test -b "${1}1"
    printf '%s1\n' "$1"
}

# Backstore and disk in one: prints /dev/sdX.
lun_create() { # SUBTYPE NAME SIZE CFGSTRING
    backstore_create "$@" >&2
    loopback_export "$2"
    lun_disk "$2"
}

lun_remove() { # NAME
    loopback_remove "$1"
    backstore_remove "$1"
}

luns_remove_all() {
    local path
    for path in "$target_loopback"/naa.*/tpgt_1/lun/lun_0/*; do
        [[ ! -L $path ]] || loopback_remove "$(basename "$path")" || return 1
    done
    for path in "$target_core"/user_*/*/info; do
        backstore_remove "$(basename "$(dirname "$path")")" || return 1
    done
}
