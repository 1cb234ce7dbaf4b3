# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later
#
# Debian's kernel for the guest: fetched and unpacked into a cache folder, never
# installed, and made bootable with an initramfs of our own.  Sourced by run.
#
# A cache entry is a folder named after the package's version that holds
# vmlinuz and lib/modules/RELEASE; it appears by rename, so that it
# is whole or absent however many runs fill the cache at once.

# linux-image-cloud-amd64 would be smaller, but has no 9p.
kernel_meta_package=linux-image-amd64

# Drivers for hardware that no virtual machine has: half of the package.
kernel_excluded=(sound drivers/gpu drivers/media drivers/net/ethernet drivers/net/wireless
                 drivers/infiniband drivers/iio drivers/usb)

# What the initramfs needs to reach the root; the rest is loaded from there.
kernel_boot_modules=(virtio_pci virtio_blk 9pnet_virtio 9p overlay ext4)

kernel_cache_folder() {
    printf '%s\n' "${VHD_VM_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/tcmu-vhd/vm}"
}

# The package that the meta package stands for today, as NAME=VERSION.
kernel_candidate() {
    local package version
    package=$(apt-cache depends --important "$kernel_meta_package" 2>/dev/null |
        sed -n 's/^ *Depends: \(linux-image-[0-9].*\)$/\1/p' | head -n 1)
    [[ -n $package ]] || return 1
    version=$(apt-cache show --no-all-versions "$package" 2>/dev/null |
        sed -n 's/^Version: //p' | head -n 1)
    [[ -n $version ]] || return 1
    printf '%s=%s\n' "$package" "$version"
}

# The newest entry of the cache, for a machine without network.
kernel_newest_cached() {
    local entry newest=
    while read -r entry; do
        newest=$entry
    done < <(find "$(kernel_cache_folder)" -mindepth 2 -maxdepth 2 -name vmlinuz -printf '%h\n' 2>/dev/null | sort -V)
    [[ -n $newest ]] && printf '%s\n' "$newest"
}

kernel_download() { # PACKAGE=VERSION FOLDER
    (cd "$2" && apt-get -qq download "$1") >&2
}

kernel_unpack() { # DEB FOLDER
    local excluded=() folder
    for folder in "${kernel_excluded[@]}"; do
        excluded+=("--exclude=./lib/modules/*/kernel/$folder")
    done
    dpkg-deb --fsys-tarfile "$1" |
        tar -x -C "$2" --no-same-owner "${excluded[@]}" ./boot ./lib/modules &&
        depmod -b "$2" "$(kernel_release "$2")" &&
        mv "$2"/boot/vmlinuz-* "$2/vmlinuz" &&
        rm -rf "${2:?}/boot"
}

kernel_release() { # FOLDER
    basename "$1"/lib/modules/*
}

# The initramfs: busybox, the boot modules in the order in which they load, and
# our init.  Made for each machine: the cache is shared by checkouts whose inits
# differ.
kernel_initramfs() { # FOLDER INITRAMFS
    local folder=$1 here tree module
    here=$(dirname "${BASH_SOURCE[0]}")
    tree=$(mktemp -d "$2.XXXXXX")
    mkdir -p "$tree"/{bin,proc,sys,dev,lower,upper,root,modules}
    cp "$(command -v busybox)" "$tree/bin/busybox"
    ln -s busybox "$tree/bin/sh"
    install -m 755 "$here/init" "$tree/init"
    for module in "${kernel_boot_modules[@]}"; do
        modprobe -d "$folder" -S "$(kernel_release "$folder")" --show-depends "$module"
    done | awk '$1 == "insmod" && !seen[$2]++ { print $2 }' >"$tree/modules.list"
    xargs -a "$tree/modules.list" cp -t "$tree/modules"
    sed -i 's,.*/,/modules/,' "$tree/modules.list"
    (cd "$tree" && find . | cpio -o -H newc --quiet -R 0:0) | gzip -1 >"$2"
    rm -rf "$tree"
}

# Downloads with the lists that are here, or with new ones: old lists name a
# version that the mirror no longer has.
kernel_download_anyhow() { # PACKAGE=VERSION FOLDER
    kernel_download "$1" "$2" ||
        { [[ $(id -u) -eq 0 ]] && apt-get -qq update >&2 && kernel_download "$1" "$2"; }
}

# Fills the cache with PACKAGE=VERSION.
kernel_fetch() { # PACKAGE=VERSION ENTRY
    local work
    mkdir -p "$(dirname "$2")" && work=$(mktemp -d "$2.XXXXXX") || return 1
    if mkdir "$work/tree" && kernel_download_anyhow "$1" "$work" && kernel_unpack "$work"/*.deb "$work/tree"; then
        # Another run may have been faster: its entry is as good.
        mv -T "$work/tree" "$2" 2>/dev/null || :
    fi
    rm -rf "$work"
    [[ -e $2/vmlinuz ]]
}

# Prints the folder of a kernel: Debian's current one, or the newest
# in the cache where there is no network.
kernel_prepare() {
    local candidate entry=
    # Lists are missing on a machine just set up.
    candidate=$(kernel_candidate) ||
        { [[ $(id -u) -eq 0 ]] && apt-get -qq update >&2 && candidate=$(kernel_candidate); } || candidate=
    if [[ -n $candidate ]]; then
        entry=$(kernel_cache_folder)/${candidate#*=}
        if [[ ! -e $entry/vmlinuz ]]; then
            echo "vm: fetching ${candidate/=/ } into $(kernel_cache_folder)" >&2
            kernel_fetch "$candidate" "$entry" || entry=
        fi
    fi
    [[ -n $entry ]] || entry=$(kernel_newest_cached) || return 1
    printf '%s\n' "$entry"
}
