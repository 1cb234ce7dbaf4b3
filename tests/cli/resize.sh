#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later
# resize: every type grows and shrinks in place; nothing is lost unless that is forced.
. "$(dirname "$0")/functions.sh"

requires qemu-img
noise data 3000000
clean() { # IMAGE
    run vhdctl check "$1"
    is "$status" 0 "check of $1: $out"
}
silent vhdctl create --size 10M d.vhd
silent vhdctl create --type fixed --size 10M f.vhd
for image in d.vhd f.vhd; do
    silent vhdctl write --offset $((10485760 - 3000000)) "$image" <data
    silent vhdctl convert -O raw "$image" before
    silent vhdctl resize "$image" 300G
    is "$(vhdctl info --size "$image")" 322122547200
    clean "$image"
    truncate -s 300G before
    is "$(vhdctl compare --strict before "$image")" "Images are identical."
    printf end | silent vhdctl write --offset $((322122547200 - 3)) "$image"
    is "$(vhdctl read --offset $((322122547200 - 3)) "$image")" end
    clean "$image"

    # Smaller.
    refused 1 "vhdctl: $image: has 322122547200 bytes, more than are asked for; to make it smaller, add --shrink" \
        vhdctl resize "$image" 20M
    refused 1 "vhdctl: $image: the disk holds data at offset 322122547197, behind the new end; shrink what is on the disk first, or give it up with --force" \
        vhdctl resize --shrink "$image" 20M
    printf '\0\0\0' | silent vhdctl write --offset $((322122547200 - 3)) "$image"
    silent vhdctl resize --shrink "$image" 20M
    truncate -s 20M before
    is "$(vhdctl compare --strict before "$image")" "Images are identical."
    clean "$image"
    (($(stat -c %s "$image") < 21 * 1048576)) || fail "$image has $(stat -c %s "$image") bytes"
    # Other programs see the same.
    if [[ $image == d.vhd ]]; then
        is "$(qemu-img convert -f vpc -O raw "$image" q && qemu-img compare -f raw -F raw q before)" \
            "Images are identical."
    fi
    silent vhdctl resize --shrink --force "$image" 8M
    truncate -s 8M before
    is "$(vhdctl compare --strict before "$image")" "Images are identical."
    clean "$image"
    # The lost part does not come back.
    silent vhdctl resize "$image" 10M
    truncate -s 10M before
    is "$(vhdctl compare --strict before "$image")" "Images are identical."
    silent vhdctl resize "$image" 10M
    rm before
done

# A child: whether its parent would show more is asked, unless forced.
silent vhdctl snapshot d.vhd child.vhd
mv d.vhd away.vhd
run vhdctl resize child.vhd 12M
is "$status" 1 "what the parent holds cannot be asked"
run vhdctl resize --force child.vhd 12M
is "$status,$err" "0,vhdctl: warning: child.vhd: is a child: Hyper-V refuses one whose size is not its parent's"
mv away.vhd d.vhd
silent vhdctl convert -O raw d.vhd before
truncate -s 12M before
is "$(vhdctl compare --strict before child.vhd)" "Images are identical."
run vhdctl resize --shrink child.vhd 4M
is "$status" 1
[[ $err == *"holds data at offset "*", behind the new end"* ]] || fail "the parent's data may be lost: $err"

# What the parent holds behind a smaller child's end must not come up again.
silent vhdctl snapshot d.vhd small.vhd
silent_but_warnings=$("$VHDCTL" resize --shrink --force small.vhd 4M 2>&1 | grep -v '^vhdctl: warning:' || true)
is "$silent_but_warnings" ""
refused 1 "vhdctl: small.vhd: its parent $PWD/d.vhd is larger, and what that holds behind offset 4194304 would show; allow that with --force, or use vhdctl convert first" \
    vhdctl resize small.vhd 8M

# Refusals change nothing.
before=$(sha256sum <d.vhd)
refused 1 "vhdctl: d.vhd: write protected (no write permission: it may be a golden image with children); make a child of it and write that, or force it" \
    vhdctl resize d.vhd 20M
silent vhdctl create --size 1M saved.vhd
poke saved.vhd footers 84 01
refused 1 "vhdctl: saved.vhd: belongs to a machine in saved state, which expects it as it is; start that machine and shut it down first" \
    vhdctl resize saved.vhd 2M
for size in 0 1000 20971521; do # smaller and larger, and whatever is allowed
    for options in '' --shrink '--shrink --force'; do
        # shellcheck disable=SC2086 # several words
        refused 1 "vhdctl: child.vhd: a size of $size bytes cannot be: it must be a multiple of 512, and not 0" \
            vhdctl resize $options child.vhd $size
    done
done
refused 1 "vhdctl: child.vhd: a size of 3298534883328 bytes is more than a VHD of this type can have: 2190433320960" \
    vhdctl resize child.vhd 3T
in_use child.vhd
run vhdctl resize child.vhd 20M
is "$status" 1
[[ $err == "vhdctl: child.vhd: "* ]] || fail "$err"
is "$(vhdctl info -U --size child.vhd)" 12582912
is "$(sha256sum <d.vhd)" "$before"
refused 2 "vhdctl: resize: both of IMAGE SIZE are needed; see 'vhdctl resize --help'" vhdctl resize d.vhd
