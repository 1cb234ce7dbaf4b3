# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later
#
# What the boot-* scripts share, which run under tests/vm/run --systemd: a LUN
# with a file system that /etc/fstab mounts, restored by
# targetcli-examples/restore-at-boot.  Sourced after guest.sh.

trap guest_failed ERR

examples=$VM_CHECKOUT/targetcli-examples
image=/vhd/boots.vhd
mounted=/srv/booted
mount_unit=srv-booted.mount
restore_unit=rtslib-fb-targetctl.service
runner_unit=tcmu-runner.service
# On the root: what one boot tells the next.
notes=/var/lib/boot-notes

# serve_at_boot: the image is a LUN with a mounted file system, now and after
# each boot.
serve_at_boot() {
    local disk
    mkdir -p "$mounted" "$notes"
    disk=$(step "serve it" "$examples/loopback-disk" add boots "$image")
    step "make a file system" quietly mkfs.ext4 "$disk"
    echo "UUID=$(blkid -o value -s UUID "$disk") $mounted ext4 _netdev,x-systemd.requires=$restore_unit 0 2" >>/etc/fstab
    step "restore at boot" "$examples/restore-at-boot" install /vhd
    step "mount it" systemctl start "$mount_unit"
}

install_build() {
    handlers_forget_unused
    vhd_install
    require_vhd
    systemctl restart "$runner_unit"
}

power_off() {
    step "power off" exit 100
}

# A property of a unit; a time is in microseconds of this boot.
property_of() { # UNIT PROPERTY
    systemctl show -P "$2" "$1"
}

# Each unit is active, and began to start only when the one before was.
expect_started_in_order() { # UNIT...
    local unit ready=0
    for unit in "$@"; do
        expect_equal "$unit" active "$(property_of "$unit" ActiveState)"
        (($(property_of "$unit" InactiveExitTimestampMonotonic) >= ready)) ||
            fail "$unit started before what it needs was there"
        ready=$(property_of "$unit" ActiveEnterTimestampMonotonic)
    done
}

# What systemd says when it begins to stop a unit, and when that is done
# (systemd's sd-messages.h: SD_MESSAGE_UNIT_STOPPING, SD_MESSAGE_UNIT_STOPPED).
unit_stopping=de5b426a63be47a7b6ac3eaac82e2f6f
unit_stopped=9d1aaa27d60140bd96365438aad20286

# When the boot before this one said so of a unit for the last time, in
# microseconds of that boot.
said_before() { # MESSAGE-ID UNIT [FIELD=VALUE]
    journalctl --quiet -b -1 -n 1 -o json "MESSAGE_ID=$1" "UNIT=$2" "${@:3}" | jq -r .__MONOTONIC_TIMESTAMP
}

# At the power off before this boot each unit ended well, and began to stop only
# when the one before had.
expect_stopped_in_order() { # UNIT...
    local unit begun ended=0
    for unit in "$@"; do
        begun=$(said_before "$unit_stopping" "$unit")
        [[ -n $begun ]] || fail "$unit was not stopped at the power off"
        ((begun >= ended)) || fail "$unit began to stop at the power off while what needs it still ran"
        ended=$(said_before "$unit_stopped" "$unit" JOB_RESULT=done)
        [[ -n $ended ]] || fail "$unit did not end well at the power off"
    done
}

# targetctl has no other way to complain: its exit status is always 0.
expect_restored_silently() {
    local said
    expect_equal "restoring's exit status" 0 "$(property_of "$restore_unit" ExecMainStatus)"
    said=$(journalctl --quiet -b -t target -o cat)
    expect_equal "what restoring says" "" "$said"
}

# Prints the disk, which must be mounted, and was unmounted well before.
mounted_disk() {
    local disk
    disk=$(findmnt -no SOURCE "$mounted") || fail "nothing is mounted at $mounted"
    ! dmesg | grep -iE "EXT4-fs.*\(${disk##*/}\).*(recover|orphan|error|warning)" >&2 ||
        fail "the file system was not left clean"
    printf '%s\n' "$disk"
}

# Takes all of it away, and checks what is left.
undo_all() {
    local disk
    disk=$(mounted_disk)
    step "unmount" systemctl stop "$mount_unit"
    step "check the file system" quietly e2fsck -fn "$disk"
    step "restore no more" "$examples/restore-at-boot" remove
    step "take the LUN away" "$examples/loopback-disk" remove boots
    step "check the chain" expect_clean "$image"
}
