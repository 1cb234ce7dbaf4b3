# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later
#
# fio verifies a disk of 64 MiB, 32 commands at a time, and a chain to do so on.
# Sourced after guest.sh.

fio_disk_size=64M

# $VM_DIR/child4.vhd and all below it.  The last 16 MiB are left alone by
# fio_verify_disk: they come from base.vhd.
fio_make_chain() {
    local n below=$VM_DIR/base.vhd
    vhdctl create --size "$fio_disk_size" "$below"
    random_bytes 16M | vhdctl write --offset 48M "$below"
    for n in 1 2 3 4; do
        vhdctl snapshot "$below" "$VM_DIR/child$n.vhd"
        below=$VM_DIR/child$n.vhd
        [[ $n -eq 4 ]] || random_bytes 2M | vhdctl write --offset $((n * 5))M "$below"
    done
}

# What no write to child4.vhd may change.
fio_below_sums() {
    vhdctl read --offset 48M "$VM_DIR/child4.vhd" | sha256_of -
    (cd "$VM_DIR" && sha256sum base.vhd child[123].vhd)
}

fio_verify() { # DISK BLOCK-SIZE OFFSET SIZE
    quietly fio --name=verify --filename="$1" --direct=1 --ioengine=libaio --iodepth=32 \
        --rw=randwrite --bs="$2" --offset="$3" --size="$4" --verify=crc32c --verify_fatal=1 --do_verify=1
}

# In whole pages, in odd numbers of sectors, in large pieces.
fio_verify_disk() { # DISK
    step "verify in 4 KiB" fio_verify "$1" 4k 0 24M
    step "verify in 7 sectors" fio_verify "$1" 3584 24M 7M
    step "verify in 256 KiB" fio_verify "$1" 256k 31M 17M
}
