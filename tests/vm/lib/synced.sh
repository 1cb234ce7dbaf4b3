# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later
#
# A file system on a child over a golden image, under files whose every change is
# synced.  Sourced after guest.sh by what lets the power fail under it.

synced_files=$VM_BUILD/tests/vm/vm-synced-files
# Not in VM_DIR, which each boot makes anew.
synced_folder=/vhd/synced
synced_child=$synced_folder/child.vhd
synced_mount=$VM_DIR/mnt

synced_make_chain() {
    mkdir "$synced_folder"
    truncate -s 24M "$VM_DIR/golden.raw"
    mkfs.ext4 -q -b 4096 "$VM_DIR/golden.raw"
    # Small blocks, so that many are new.
    vhdctl create --size 24M --block-size 64K "$synced_folder/golden.vhd"
    vhdctl write "$synced_folder/golden.vhd" <"$VM_DIR/golden.raw"
    rm "$VM_DIR/golden.raw"
    vhdctl snapshot "$synced_folder/golden.vhd" "$synced_child"
    sync
}

# As lun_create does, without the seconds that targetcli takes.  Prints the disk.
synced_serve() {
    local store=$target_core/user_0/synced
    mkdir -p "$store"
    echo "dev_config=vhd/$synced_child" >"$store/control"
    echo "dev_size=$(vhdctl info --size "$synced_child")" >"$store/control"
    echo 1 >"$store/enable"
    loopback_export synced
    lun_disk synced
}

# With discard: what files leave is given back, and taken again.
synced_mount() { # DISK
    mkdir -p "$synced_mount"
    mount -o discard "$1" "$synced_mount"
}
