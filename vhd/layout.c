/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* Every sum below is of numbers that were bounded before, or it saturates: a sum that wraps would
 * let a hostile offset through. */
#include "vhd/layout.h"

#include <string.h>

#include "vhd/locator.h"

#define BITS_PER_SECTOR (VHD_SECTOR_BYTES * 8)

static bool refuse(VhdFault *fault, VhdFaultCode code, uint64_t off, uint64_t found,
                   uint64_t wanted)
{
    *fault = (VhdFault){code, off, found, wanted};
    return false;
}

static uint64_t add_saturated(uint64_t a, uint64_t b)
{
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

/* Where metadata and the disk of a fixed image must end: at the trailing footer, unless the footer
 * at hand is the copy at 0, and at the end of the file. */
static uint64_t usable_end(uint64_t footer_off, uint64_t file_bytes)
{
    return footer_off > 0 && footer_off < file_bytes ? footer_off : file_bytes;
}

/* value must be far from UINT64_MAX. */
static uint64_t round_up(uint64_t value, uint64_t unit)
{
    return (value + unit - 1) / unit * unit;
}

static uint64_t region_end(const VhdRegion *region)
{
    return region->off + region->len;
}

/* Regions are kept by offset; there are at most VHD_REGIONS_MAX of them by construction. */
static void region_insert(VhdLayout *layout, VhdRegion region)
{
    unsigned at = layout->regions++;

    for (; at > 0 && layout->region[at - 1].off > region.off; at--)
        layout->region[at] = layout->region[at - 1];
    layout->region[at] = region;
}

static void region_remove(VhdLayout *layout, unsigned at)
{
    layout->regions--;
    memmove(&layout->region[at], &layout->region[at + 1],
            (layout->regions - at) * sizeof(layout->region[0]));
}

/* Reserve a region that must not touch another; off + len must not wrap. field_off: the file offset
 * of the field that put it there. */
static bool region_add(VhdLayout *layout, VhdRegion region, uint64_t field_off, VhdFault *fault)
{
    const VhdRegion *other = vhd_layout_hit(layout, region.off, region.len, false);

    if (other)
        return refuse(fault, VHD_FAULT_OVERLAP, field_off, region.off, region_end(other));
    region_insert(layout, region);
    return true;
}

/* Shorten each locator space to what no other region takes, and drop those that are left empty.
 * Spaces start where strings end and strings are regions, so that no two spaces can overlap after
 * this. */
static void clip_spaces(VhdLayout *layout)
{
    for (unsigned i = 0; i < layout->regions;) {
        VhdRegion *space = &layout->region[i];
        const VhdRegion *other;

        if (space->kind == VHD_REGION_LOCATOR_SPACE) {
            other = vhd_layout_hit(layout, space->off, space->len, false);
            if (other)
                space->len = other->off > space->off ? other->off - space->off : 0;
            if (space->len == 0) {
                region_remove(layout, i);
                continue;
            }
        }
        i++;
    }
}

static bool judge_size(const VhdFooter *footer, uint64_t footer_off, VhdFault *fault)
{
    uint64_t off = add_saturated(footer_off, VHD_FOOTER_AT_SIZE);
    uint64_t most = footer->type == VHD_TYPE_FIXED ? VHD_FIXED_MAX_BYTES : VHD_DYNAMIC_MAX_BYTES;
    uint64_t bytes = footer->current_bytes;

    if (bytes == 0 || bytes % VHD_SECTOR_BYTES != 0)
        return refuse(fault, VHD_FAULT_SIZE, off, bytes, VHD_SECTOR_BYTES);
    if (bytes > most)
        return refuse(fault, VHD_FAULT_SIZE, off, bytes, most);
    return true;
}

/* The disk of a fixed image lies at 0 and ends before its footer. Whether it ends just there is
 * left open: some tools leave a gap. */
static bool judge_fixed(const VhdFooter *footer, uint64_t footer_off, uint64_t file_bytes,
                        VhdFault *fault)
{
    uint64_t end = footer_off < file_bytes ? footer_off : file_bytes;

    if (footer->current_bytes <= end)
        return true;
    return refuse(fault, VHD_FAULT_FIXED_LENGTH, add_saturated(footer_off, VHD_FOOTER_AT_SIZE),
                  file_bytes, add_saturated(footer->current_bytes, file_bytes - end));
}

/* Judge a place of len bytes, behind the footer copy, that the field at off names: aligned, and
 * ending at end or before. What follows end in the file is not for metadata. */
static bool judge_place(uint64_t place, uint64_t len, uint64_t end, uint64_t file_bytes,
                        VhdFaultCode code, uint64_t off, VhdFault *fault)
{
    uint64_t least = VHD_FOOTER_BYTES + len, last;

    if (end < least)
        return refuse(fault, VHD_FAULT_TOO_SMALL, off, file_bytes, least + (file_bytes - end));
    last = (end - len) / VHD_SECTOR_BYTES * VHD_SECTOR_BYTES;
    if (place > last)
        return refuse(fault, code, off, place, last);
    if (place % VHD_SECTOR_BYTES != 0)
        return refuse(fault, code, off, place, VHD_SECTOR_BYTES);
    return true;
}

static bool judge_header_place(const VhdFooter *footer, uint64_t footer_off, uint64_t file_bytes,
                               VhdFault *fault)
{
    uint64_t off = add_saturated(footer_off, VHD_FOOTER_AT_DATA_OFFSET);

    if (!judge_place(footer->data_offset, VHD_HEADER_BYTES, usable_end(footer_off, file_bytes),
                     file_bytes, VHD_FAULT_HEADER_OFFSET, off, fault))
        return false;
    if (footer->data_offset < VHD_FOOTER_BYTES)
        return refuse(fault, VHD_FAULT_OVERLAP, off, footer->data_offset, VHD_FOOTER_BYTES);
    return true;
}

bool vhd_layout_footer_ok(const VhdFooter *footer, uint64_t footer_off, uint64_t file_bytes,
                          VhdFault *fault)
{
    switch (footer->type) {
    case VHD_TYPE_FIXED:
        return judge_size(footer, footer_off, fault) &&
               judge_fixed(footer, footer_off, file_bytes, fault);
    case VHD_TYPE_DYNAMIC:
    case VHD_TYPE_DIFFERENCING:
        return judge_size(footer, footer_off, fault) &&
               judge_header_place(footer, footer_off, file_bytes, fault);
    default:
        return refuse(fault, VHD_FAULT_TYPE, add_saturated(footer_off, VHD_FOOTER_AT_TYPE),
                      footer->type, 0);
    }
}

static bool judge_block_size(const VhdLayout *layout, const VhdHeader *header, VhdFault *fault)
{
    uint64_t off = layout->header_off + VHD_HEADER_AT_BLOCK_SIZE;
    uint32_t bytes = header->block_bytes;

    if (bytes < VHD_BLOCK_MIN_BYTES)
        return refuse(fault, VHD_FAULT_BLOCK_SIZE, off, bytes, VHD_BLOCK_MIN_BYTES);
    if (bytes > VHD_BLOCK_MAX_BYTES)
        return refuse(fault, VHD_FAULT_BLOCK_SIZE, off, bytes, VHD_BLOCK_MAX_BYTES);
    if ((bytes & (bytes - 1)) != 0)
        return refuse(fault, VHD_FAULT_BLOCK_SIZE, off, bytes, 0);
    return true;
}

/* The block size is judged: it divides. */
static bool judge_bat_entries(const VhdLayout *layout, const VhdHeader *header, VhdFault *fault)
{
    uint64_t off = layout->header_off + VHD_HEADER_AT_BAT_ENTRIES;
    uint64_t block_sectors = header->block_bytes / VHD_SECTOR_BYTES;
    uint64_t blocks = (layout->disk_sectors + block_sectors - 1) / block_sectors;

    if (header->bat_entries > VHD_BAT_MAX_ENTRIES)
        return refuse(fault, VHD_FAULT_BAT_ENTRIES, off, header->bat_entries, VHD_BAT_MAX_ENTRIES);
    if (header->bat_entries < blocks)
        return refuse(fault, VHD_FAULT_BAT_ENTRIES, off, header->bat_entries, blocks);
    return true;
}

/* Block size and BAT entries are judged. */
static void take_blocks(VhdLayout *layout, const VhdHeader *header)
{
    layout->block_sectors = header->block_bytes / VHD_SECTOR_BYTES;
    layout->block_shift = (uint8_t)__builtin_ctz(layout->block_sectors);
    layout->blocks =
        (uint32_t)((layout->disk_sectors + layout->block_sectors - 1) >> layout->block_shift);
    layout->bitmap_sectors = (layout->block_sectors + BITS_PER_SECTOR - 1) / BITS_PER_SECTOR;
    layout->bat_bytes = round_up((uint64_t)header->bat_entries * 4, VHD_SECTOR_BYTES);
}

static bool add_bat(VhdLayout *layout, const VhdHeader *header, uint64_t end, VhdFault *fault)
{
    uint64_t off = layout->header_off + VHD_HEADER_AT_BAT_OFFSET;
    VhdRegion bat = {VHD_REGION_BAT, header->bat_offset, layout->bat_bytes};

    layout->bat_off = header->bat_offset;
    return judge_place(bat.off, bat.len, end, layout->file_bytes, VHD_FAULT_BAT_OFFSET, off,
                       fault) &&
           region_add(layout, bat, off, fault);
}

/* Bytes that a locator's data space claims. [SPEC] counts sectors, Microsoft's programs store bytes
 * (read as sectors, their spaces would cover blocks); a number that can be neither claims no more
 * than the string. */
static uint64_t locator_space(const VhdLocator *locator)
{
    if (locator->data_space < VHD_SECTOR_BYTES)
        return (uint64_t)locator->data_space * VHD_SECTOR_BYTES;
    if (locator->data_space % VHD_SECTOR_BYTES == 0)
        return locator->data_space;
    return locator->data_length;
}

/* Reserve a locator's string, which must end at limit or before; its space, clipped to that, goes
 * to *space (length 0 if none). entry_off: file offset of the locator's entry. */
static bool add_locator(VhdLayout *layout, const VhdLocator *locator, uint64_t entry_off,
                        uint64_t limit, VhdRegion *space, VhdFault *fault)
{
    uint64_t len = locator->data_length, end = add_saturated(locator->data_offset, len);
    uint64_t claimed = locator_space(locator), rest;

    if (len > VHD_LOCATOR_MAX_BYTES)
        return refuse(fault, VHD_FAULT_LOCATOR_LENGTH, entry_off + VHD_LOCATOR_AT_LENGTH, len,
                      VHD_LOCATOR_MAX_BYTES);
    if (end > limit)
        return refuse(fault, VHD_FAULT_LOCATOR_RANGE, entry_off + VHD_LOCATOR_AT_OFFSET, end,
                      limit);
    if (!region_add(layout, (VhdRegion){VHD_REGION_LOCATOR, locator->data_offset, len},
                    entry_off + VHD_LOCATOR_AT_OFFSET, fault))
        return false;
    rest = claimed > len ? claimed - len : 0;
    *space = (VhdRegion){VHD_REGION_LOCATOR_SPACE, end, rest < limit - end ? rest : limit - end};
    return true;
}

static bool add_locators(VhdLayout *layout, const VhdHeader *header, uint64_t limit,
                         VhdFault *fault)
{
    VhdRegion space[VHD_LOCATORS] = {{.len = 0}};
    uint64_t entry_off = layout->header_off + VHD_HEADER_AT_LOCATORS;

    for (unsigned i = 0; i < VHD_LOCATORS; i++, entry_off += VHD_LOCATOR_BYTES) {
        const VhdLocator *locator = &header->locators[i];

        if (locator->platform == VHD_PLATFORM_NONE || locator->data_length == 0)
            continue;
        if (!add_locator(layout, locator, entry_off, limit, &space[i], fault))
            return false;
    }
    for (unsigned i = 0; i < VHD_LOCATORS; i++)
        if (space[i].len > 0)
            region_insert(layout, space[i]);
    clip_spaces(layout);
    return true;
}

bool vhd_layout_init(VhdLayout *layout, const VhdFooter *footer, uint64_t footer_off,
                     const VhdHeader *header, uint64_t file_bytes, VhdFault *fault)
{
    uint64_t end = usable_end(footer_off, file_bytes);

    if (!vhd_layout_footer_ok(footer, footer_off, file_bytes, fault))
        return false;
    *layout = (VhdLayout){
        .type = (VhdType)footer->type,
        .file_bytes = file_bytes,
        .disk_sectors = footer->current_bytes / VHD_SECTOR_BYTES,
    };
    if (layout->type == VHD_TYPE_FIXED)
        return true;
    if (!header)
        return refuse(fault, VHD_FAULT_HEADER_COOKIE, footer->data_offset, 0, 0);
    layout->header_off = footer->data_offset;
    if (!judge_block_size(layout, header, fault) || !judge_bat_entries(layout, header, fault))
        return false;
    take_blocks(layout, header);
    region_insert(layout, (VhdRegion){VHD_REGION_FOOTER_COPY, 0, VHD_FOOTER_BYTES});
    region_insert(layout, (VhdRegion){VHD_REGION_HEADER, layout->header_off, VHD_HEADER_BYTES});
    if (!add_bat(layout, header, end, fault))
        return false;
    return layout->type != VHD_TYPE_DIFFERENCING || add_locators(layout, header, end, fault);
}

uint64_t vhd_layout_batmap_header_off(const VhdLayout *layout)
{
    return layout->bat_off + layout->bat_bytes;
}

bool vhd_layout_add_batmap(VhdLayout *layout, const VhdBatmapHeader *batmap, VhdFault *fault)
{
    uint64_t header_off = vhd_layout_batmap_header_off(layout);
    uint64_t field_off = header_off + VHD_BATMAP_AT_OFFSET;
    uint64_t map_bytes = (uint64_t)batmap->map_sectors * VHD_SECTOR_BYTES;
    uint64_t end = add_saturated(batmap->map_offset, map_bytes);
    uint64_t least = round_up(layout->blocks, BITS_PER_SECTOR) / BITS_PER_SECTOR;
    uint64_t most = VHD_BAT_MAX_ENTRIES / BITS_PER_SECTOR;
    VhdLayout with = *layout;

    if (header_off + VHD_BATMAP_BYTES > layout->file_bytes)
        return refuse(fault, VHD_FAULT_BATMAP_RANGE, header_off, header_off + VHD_BATMAP_BYTES,
                      layout->file_bytes);
    if (batmap->map_sectors < least || batmap->map_sectors > most)
        return refuse(fault, VHD_FAULT_BATMAP_SIZE, header_off + VHD_BATMAP_AT_SECTORS,
                      batmap->map_sectors, batmap->map_sectors < least ? least : most);
    if (end > layout->file_bytes)
        return refuse(fault, VHD_FAULT_BATMAP_RANGE, field_off, end, layout->file_bytes);
    if (!region_add(&with, (VhdRegion){VHD_REGION_BATMAP_HEADER, header_off, VHD_BATMAP_BYTES},
                    header_off, fault) ||
        !region_add(&with, (VhdRegion){VHD_REGION_BATMAP, batmap->map_offset, map_bytes}, field_off,
                    fault))
        return false;
    with.batmap_off = batmap->map_offset;
    with.batmap_bytes = map_bytes;
    clip_spaces(&with);
    *layout = with;
    return true;
}

const VhdRegion *vhd_layout_hit(const VhdLayout *layout, uint64_t off, uint64_t len,
                                bool with_space)
{
    uint64_t end = add_saturated(off, len);

    for (unsigned i = 0; i < layout->regions; i++) {
        const VhdRegion *region = &layout->region[i];

        if (region->kind == VHD_REGION_LOCATOR_SPACE && !with_space)
            continue;
        if (off < region_end(region) && region->off < end && off < end)
            return region;
    }
    return NULL;
}

uint64_t vhd_layout_metadata_end(const VhdLayout *layout)
{
    if (layout->regions == 0)
        return 0;
    return round_up(region_end(&layout->region[layout->regions - 1]), VHD_SECTOR_BYTES);
}

uint32_t vhd_layout_block_used_sectors(const VhdLayout *layout, uint32_t block)
{
    uint64_t start = (uint64_t)block << layout->block_shift;
    uint64_t left = start < layout->disk_sectors ? layout->disk_sectors - start : 0;

    return left < layout->block_sectors ? (uint32_t)left : layout->block_sectors;
}

bool vhd_layout_entry_ok(const VhdLayout *layout, uint32_t block, uint32_t entry,
                         uint64_t file_bytes, VhdFault *fault)
{
    uint64_t sectors =
        (uint64_t)layout->bitmap_sectors + vhd_layout_block_used_sectors(layout, block);
    uint64_t start = (uint64_t)entry * VHD_SECTOR_BYTES, len = sectors * VHD_SECTOR_BYTES;
    uint64_t entry_off = layout->bat_off + (uint64_t)block * 4;
    const VhdRegion *region;

    if (entry == VHD_BAT_UNUSED || start + len > file_bytes)
        return refuse(fault, VHD_FAULT_BLOCK_BEYOND_FILE, entry_off, start + len, file_bytes);
    region = vhd_layout_hit(layout, start, len, false);
    if (region)
        return refuse(fault, VHD_FAULT_BLOCK_IN_METADATA, entry_off, start, region_end(region));
    return true;
}
