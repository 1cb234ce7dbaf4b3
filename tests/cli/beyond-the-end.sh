#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later
# Ranges beyond the end of the disk are refused, and it is said how far writing came.
. "$(dirname "$0")/functions.sh"

silent vhdctl create --size 1M a.vhd
refused 1 "vhdctl: a.vhd: offset 1048577 lies beyond the end of the disk, which has 1048576 bytes" \
    vhdctl read --offset 1048577 a.vhd
refused 1 "vhdctl: a.vhd: 2 bytes from offset 1048575 reach beyond the end of the disk, which has 1048576 bytes" \
    vhdctl read --offset 1048575 --length 2 a.vhd
refused 1 "vhdctl: a.vhd: offset 2097152 lies beyond the end of the disk, which has 1048576 bytes" \
    vhdctl write --offset 2M a.vhd

# A file's length is known: nothing is written.
printf abcd >four
refused 1 "vhdctl: a.vhd: 4 bytes from offset 1048573 on reach beyond the end of the disk, which has 1048576 bytes; nothing was written" \
    vhdctl write --offset 1048573 a.vhd <four
is "$(vhdctl read --offset 1048573 a.vhd | xxd -p)" 000000

# A pipe's is not.
printf abcd | refused 1 "vhdctl: a.vhd: the data reach beyond the end of the disk, which has 1048576 bytes; the first 3 bytes of them were written" \
    vhdctl write --offset 1048573 a.vhd
is "$(vhdctl read --offset 1048573 a.vhd)" abc
printf xyz | silent vhdctl write --offset 1048573 a.vhd
is "$(vhdctl read --offset 1048573 a.vhd)" xyz
refused 1 "vhdctl: cannot read standard input: Is a directory" bash -c '"$VHDCTL" write a.vhd <.'
