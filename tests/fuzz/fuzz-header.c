/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * Headers and the layout they make. Input: a byte of flags, eight bytes of file length, the footer,
 * the header, a batmap header, then BAT entries (block and entry, four bytes each). Laws:
 * encode(decode(raw)) = raw for header and batmap header; the regions of an accepted layout lie in
 * the file, in order and apart; its blocks hold the disk and its BAT holds the blocks; a batmap
 * that is refused changes nothing; an accepted BAT entry's block lies in the file and off all
 * regions but space, by sums that cannot wrap.
 */
#include "fuzz.h"

#include <glib.h>

#include "vhd/be.h"
#include "vhd/error.h"
#include "vhd/layout.h"

enum { REPAIR = 1, AT_ZERO = 2, PLACE_HEADER = 4, FIT_ENTRIES = 8 };

typedef unsigned __int128 Wide;

static void check_fault(const VhdFault *fault)
{
    g_autofree char *text = vhd_fault_text(fault);

    FUZZ_CHECK(fault->code > VHD_FAULT_NONE && fault->code < VHD_FAULT_CODES);
    FUZZ_CHECK(text[0] != '\0' && g_str_is_ascii(text));
}

static void check_regions(const VhdLayout *layout)
{
    Wide end = 0;

    FUZZ_CHECK(layout->regions >= 3 && layout->regions <= VHD_REGIONS_MAX);
    for (unsigned i = 0; i < layout->regions; i++) {
        const VhdRegion *region = &layout->region[i];

        FUZZ_CHECK(region->len > 0);
        FUZZ_CHECK(region->off >= end);
        end = (Wide)region->off + region->len;
        FUZZ_CHECK(end <= layout->file_bytes);
        FUZZ_CHECK(vhd_layout_hit(layout, region->off, region->len, true) == region);
    }
    FUZZ_CHECK(vhd_layout_metadata_end(layout) >= end);
    FUZZ_CHECK(vhd_layout_metadata_end(layout) - end < VHD_SECTOR_BYTES);
}

static void check_blocks(const VhdLayout *layout, const VhdHeader *header)
{
    uint64_t sum = (uint64_t)(layout->blocks - 1) << layout->block_shift;

    FUZZ_CHECK(layout->blocks > 0 && layout->blocks <= VHD_BAT_MAX_ENTRIES);
    FUZZ_CHECK(layout->blocks <= header->bat_entries);
    FUZZ_CHECK((uint64_t)layout->blocks * 4 <= layout->bat_bytes);
    FUZZ_CHECK(1u << layout->block_shift == layout->block_sectors);
    FUZZ_CHECK(layout->block_sectors <= layout->bitmap_sectors * 4096);
    FUZZ_CHECK(layout->block_sectors > (layout->bitmap_sectors - 1) * 4096);
    FUZZ_CHECK(sum + vhd_layout_block_used_sectors(layout, layout->blocks - 1) ==
               layout->disk_sectors);
    FUZZ_CHECK(vhd_layout_block_used_sectors(layout, layout->blocks) == 0);
}

static bool naive_entry_ok(const VhdLayout *layout, uint32_t block, uint32_t entry)
{
    Wide start = (Wide)entry * 512, end;

    end =
        start + ((Wide)layout->bitmap_sectors + vhd_layout_block_used_sectors(layout, block)) * 512;
    if (entry == VHD_BAT_UNUSED || end > layout->file_bytes)
        return false;
    for (unsigned i = 0; i < layout->regions; i++) {
        const VhdRegion *region = &layout->region[i];

        if (region->kind != VHD_REGION_LOCATOR_SPACE && start < (Wide)region->off + region->len &&
            region->off < end)
            return false;
    }
    return true;
}

static void check_entries(const VhdLayout *layout, FuzzInput *input)
{
    VhdFault fault = {VHD_FAULT_NONE, 0, 0, 0};
    uint8_t raw[8];

    while (input->left > 0) {
        uint32_t block, entry;
        bool ok;

        fuzz_take(input, raw, sizeof(raw));
        block = be32_get(raw) % layout->blocks;
        entry = be32_get(raw + 4);
        ok = vhd_layout_entry_ok(layout, block, entry, layout->file_bytes, &fault);
        FUZZ_CHECK(ok == naive_entry_ok(layout, block, entry));
        if (!ok) {
            FUZZ_CHECK(fault.off == layout->bat_off + (uint64_t)block * 4);
            check_fault(&fault);
        }
    }
}

static void check_batmap(VhdLayout *layout, const uint8_t raw[static VHD_BATMAP_BYTES])
{
    VhdLayout before = *layout;
    uint8_t again[VHD_BATMAP_BYTES];
    VhdBatmapHeader batmap;
    VhdFault fault = {VHD_FAULT_NONE, 0, 0, 0};

    if (!vhd_batmap_decode(raw, 0, &batmap, &fault)) {
        check_fault(&fault);
        return;
    }
    vhd_batmap_encode(&batmap, again);
    FUZZ_CHECK(memcmp(raw, again, sizeof(again)) == 0);
    if (vhd_layout_add_batmap(layout, &batmap, &fault)) {
        FUZZ_CHECK(layout->batmap_bytes * 8 >= layout->blocks);
        check_regions(layout);
    } else {
        check_fault(&fault);
        FUZZ_CHECK(memcmp(layout, &before, sizeof(before)) == 0);
    }
}

/* Make cookies and checksums right, and, where the flags ask for it, what else is found too seldom
 * by chance: a header at its place, as many entries as the disk has blocks. */
static void repair(uint8_t flags, uint8_t footer[static 512], uint8_t header[static 1024],
                   uint8_t batmap[static 512])
{
    uint32_t block_bytes = be32_get(header + 32);

    memcpy(footer, "conectix", 8);
    memcpy(header, "cxsparse", 8);
    memcpy(batmap, "tdbatmap", 8);
    if (flags & PLACE_HEADER)
        be64_put(footer + 16, 512);
    if (flags & FIT_ENTRIES && block_bytes > 0)
        be32_put(header + 28,
                 (uint32_t)(be64_get(footer + 48) / block_bytes + (block_bytes > 512)));
    be32_put(footer + 64, vhd_checksum(footer, 512, 64));
    be32_put(header + 36, vhd_checksum(header, 1024, 36));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    FuzzInput input = {data, size};
    uint8_t flags = fuzz_take_byte(&input), length[8];
    uint8_t footer_raw[512], header_raw[1024], batmap_raw[512], again[1024];
    uint64_t file_bytes, footer_off;
    VhdFooter footer;
    VhdHeader header;
    VhdLayout layout;
    VhdFault fault = {VHD_FAULT_NONE, 0, 0, 0};

    fuzz_take(&input, length, sizeof(length));
    fuzz_take(&input, footer_raw, sizeof(footer_raw));
    fuzz_take(&input, header_raw, sizeof(header_raw));
    fuzz_take(&input, batmap_raw, sizeof(batmap_raw));
    file_bytes = be64_get(length) & INT64_MAX;
    footer_off = file_bytes > 512 && !(flags & AT_ZERO) ? file_bytes - 512 : 0;
    if (flags & REPAIR)
        repair(flags, footer_raw, header_raw, batmap_raw);
    if (!vhd_footer_decode(footer_raw, footer_off, &footer, &fault) ||
        !vhd_header_decode(header_raw, footer.data_offset, &header, &fault)) {
        check_fault(&fault);
        return 0;
    }
    vhd_header_encode(&header, again);
    FUZZ_CHECK(memcmp(header_raw, again, sizeof(again)) == 0);
    if (!vhd_layout_init(&layout, &footer, footer_off, &header, file_bytes, &fault)) {
        check_fault(&fault);
        return 0;
    }
    if (layout.type == VHD_TYPE_FIXED)
        return 0;
    check_regions(&layout);
    check_blocks(&layout, &header);
    check_batmap(&layout, batmap_raw);
    check_entries(&layout, &input);
    return 0;
}
