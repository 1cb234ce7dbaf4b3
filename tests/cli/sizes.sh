#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later
# Sizes: suffixes are powers of 1024, everything else is refused in words.
. "$(dirname "$0")/functions.sh"

try() { # TEXT BYTES
    rm -f a.vhd
    silent vhdctl create --size "$1" a.vhd
    is "$(vhdctl info --size a.vhd)" "$2" "$1"
}
try 1048576 1048576
try 1024K 1048576
try 1m 1048576
try 3M 3145728
try 2G 2147483648
try 1T 1099511627776

rm a.vhd
bad="is no size: a number is expected, K, M, G or T behind it; see 'vhdctl create --help'"
for text in "" 1.5G -1 +1 1KB 1P 0x10 " 1" "1 M" K; do
    refused 2 "vhdctl: create: size '$text' $bad" vhdctl create "--size=$text" a.vhd
done
for text in 18446744073709551616 99999999999999999999999 16777216T 18014398509481984K; do
    refused 2 "vhdctl: create: size '$text' is too large; see 'vhdctl create --help'" \
        vhdctl create "--size=$text" a.vhd
done
refused 2 "vhdctl: create: block size '4G' is too large; see 'vhdctl create --help'" \
    vhdctl create --size 1M --block-size 4G a.vhd

refused 1 "vhdctl: a.vhd: a size of 513 bytes cannot be: it must be a multiple of 512, and not 0" \
    vhdctl create --size 513 a.vhd
refused 1 "vhdctl: a.vhd: a size of 0 bytes cannot be: it must be a multiple of 512, and not 0" \
    vhdctl create --size 0 a.vhd
refused 1 "vhdctl: a.vhd: a size of 2190433321472 bytes is more than a VHD of this type can have: 2190433320960" \
    vhdctl create --size 2190433321472 a.vhd
refused 1 "vhdctl: a.vhd: a block size of 6291456 bytes cannot be: a power of two from 4096 to 268435456 is needed" \
    vhdctl create --size 1G --block-size 6M a.vhd
