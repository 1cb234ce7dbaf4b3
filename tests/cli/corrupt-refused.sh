#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later
# Every field that the layout uses, damaged with a right checksum: refused with file, offset and the two values.
. "$(dirname "$0")/functions.sh"

silent vhdctl create --size 8M d.vhd
noise data 4096
silent vhdctl write d.vhd <data
silent vhdctl write --offset 4M d.vhd <data
silent vhdctl create --type fixed --size 1M f.vhd
silent vhdctl create --size 8M p.vhd
silent vhdctl snapshot p.vhd c.vhd
silent vhdctl write c.vhd <data

damaged="the image is damaged; restore it from a backup"
cut="which was cut off or is damaged; restore it from a backup"
unknown="the format is not known here; convert it with the program that made it"
blocks="such blocks are not served here; convert it with the program that made it"

# corrupt IMAGE SENTENCE WHERE OFFSET HEX...: by read, map, write and as a parent; check says 2.
corrupt() {
    local image=$1 sentence=$2 before
    shift 2
    cp "$image.vhd" x.vhd
    poke x.vhd "$@"
    before=$(sha256sum <x.vhd)
    refused 1 "vhdctl: x.vhd: $sentence" vhdctl read --length 1 x.vhd
    refused 1 "vhdctl: x.vhd: $sentence" vhdctl map x.vhd
    refused 1 "vhdctl: x.vhd: $sentence" vhdctl write x.vhd <data
    refused 1 "vhdctl: x.vhd: $sentence" vhdctl snapshot x.vhd y.vhd
    is "$(sha256sum <x.vhd)" "$before" "the image after $*"
    run vhdctl check x.vhd
    is "$status" 2 "check after $*: $out$err"
}

corrupt d 'footer cookie at offset 0 is "v_poison", expected "conectix": XenServer marks so an image whose resizing was cut off; finish or undo that on the XenServer host, or restore the image from a backup' \
    footers 0 765f706f69736f6e
corrupt d "footer checksum at offset 4210240 is 0x$(xxd -p -l4 -s64 d.vhd | tr a-f A-F), expected 0x$(
    printf %08X $(((0x$(xxd -p -l4 -s64 d.vhd) - 255) & 0xffffffff))): $damaged" 'footers!' 100 ff
corrupt d "footer version at offset 4210188 is 0x00020000, expected 0x00010000: $unknown" footers 12 00020000
type="it is neither fixed nor dynamic nor differencing; convert it with the program that made it"
for value in 0 1 5 6 7; do
    corrupt d "disk type at offset 60 is $value, expected 2, 3 or 4: $type" footers 60 "0000000$value"
done
corrupt d "disk size at offset 48 is 0, expected a positive multiple of 512: $damaged" footers 48 0000000000000000
corrupt d "disk size at offset 48 is 8388609, expected a positive multiple of 512: $damaged" \
    footers 48 0000000000800001
corrupt d "disk size at offset 48 is 2190433321472, expected at most 2190433320960: no VHD of its type can be that large, $damaged" \
    footers 48 000001fe00000200
corrupt f "the file is 1049088 bytes long, expected at least 1049600 for the disk size at offset 1048624: it was cut off; copy it anew from its source" \
    end 48 0000000000100200
corrupt d "place of the header at offset 16 is 513, expected a multiple of 512: $damaged" footers 16 0000000000000201
corrupt d "the place that the field at offset 16 names begins at 0, inside another that ends at 512: $damaged" \
    footers 16 0000000000000000
corrupt d "place of the header at offset 16 is 18446744073709551615, expected at most 4209664: the header would not lie inside the file, $cut" \
    footers 16 ffffffffffffffff

corrupt d "header cookie at offset 512 is 0x0000000000000000, expected \"cxsparse\": $damaged" header 0 0000000000000000
corrupt d "header checksum at offset 548 is 0x$(xxd -p -l4 -s548 d.vhd | tr a-f A-F), expected 0x$(
    printf %08X $(((0x$(xxd -p -l4 -s548 d.vhd) - 255) & 0xffffffff))): $damaged" 'header!' 100 ff
corrupt d "header version at offset 536 is 0x00020000, expected 0x00010000: $unknown" header 24 00020000
corrupt d "block size at offset 544 is 2048, expected at least 4096: $blocks" header 32 00000800
corrupt d "block size at offset 544 is 0, expected at least 4096: $blocks" header 32 00000000
corrupt d "block size at offset 544 is 536870912, expected at most 268435456: $blocks" header 32 20000000
corrupt d "block size at offset 544 is 3145728, expected a power of two: $blocks" header 32 00300000
corrupt d "number of blocks at offset 540 is 3, expected at least 4: $damaged" header 28 00000003
corrupt d "number of blocks at offset 540 is 16777217, expected at most 16777216: $damaged" header 28 01000001
corrupt d "place of the block table at offset 528 is 1537, expected a multiple of 512: $damaged" header 16 0000000000000601
corrupt d "the place that the field at offset 528 names begins at 1024, inside another that ends at 1536: $damaged" \
    header 16 0000000000000400
corrupt d "place of the block table at offset 528 is 18446744073709551615, expected at most 4210176: the table would not lie inside the file, $cut" \
    header 16 ffffffffffffffff

corrupt c "the place that the field at offset 1104 names begins at 8192, inside another that ends at 8704: $damaged" \
    header 592 0000000000002000
corrupt c "the place that the field at offset 1128 names begins at 4096, inside another that ends at $((4096 + 2 * ${#PWD} + 12)): $damaged" \
    header 616 0000000000001000
corrupt c "a parent locator whose place is at offset 1104 ends at 18446744073709551615, expected at most 2183168, where the room for it ends: the file was cut off or is damaged; restore it from a backup" \
    header 592 ffffffffffffffff
corrupt c "length of a parent locator at offset 1096 is 65537, expected at most 65536: $damaged" header 584 00010001

corrupt d "the block that the table's entry at offset 1536 names begins at 512 and lies over metadata that end at 1536: $damaged" \
    file 1536 00000001
corrupt d "the block that the table's entry at offset 1536 names begins at 0 and lies over metadata that end at 512: $damaged" \
    file 1536 00000000
corrupt d "the block that the table's entry at offset 1544 names ends at 2199025352192, expected at most 4210176, where the room for blocks ends: the file was cut off or is damaged; restore it from a backup" \
    file 1544 fffffffe
# The footer's sector is no block's.
corrupt d "the block that the table's entry at offset 1544 names ends at 4210688, expected at most 4210176, where the room for blocks ends: the file was cut off or is damaged; restore it from a backup" \
    file 1544 0000101f
corrupt d "the block that the table's entry at offset 1544 names begins at 7680, inside another that ends at 2105344: $damaged" \
    file 1544 0000000f
