/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* Footers, geometry, header: what is told twice is written anew from the one that is right. */
#include "vhd/repair-private.h"

#include <errno.h>
#include <string.h>

#include "vhd/image.h"

int repair_write_footer(VhdRepair *repair, const VhdFooter *footer, uint64_t off, bool barrier)
{
    uint8_t raw[VHD_FOOTER_BYTES];

    vhd_footer_encode(footer, raw);
    return repair_write(repair->view, VHD_IO_FOOTER, off, raw, sizeof(raw), barrier);
}

/* Footers */

/* What no footer tells cannot be mended, nor what lies behind it. */
static bool is_fatal(const VhdFinding *finding)
{
    switch (finding->code) {
    case VHD_FINDING_FOOTER_COPY:
    case VHD_FINDING_FOOTER_END:
    case VHD_FINDING_FOOTER_LOST:
    case VHD_FINDING_FOOTER_FIELD:
    case VHD_FINDING_FOOTERS_DIFFER:
    case VHD_FINDING_HEADER:
        return !finding->repairable;
    default:
        return false;
    }
}

static bool any_fatal(const VhdRepair *repair)
{
    for (guint i = 0; i < repair->findings->len; i++)
        if (is_fatal(&g_array_index(repair->findings, VhdFinding, i)))
            return true;
    return false;
}

/* The copy at 0 counts. What stands at the end may lie in a block, if the table that only the copy
 * leads to says so: it is let be then, and the footer goes behind it. */
static int take_first(VhdRepair *repair)
{
    bool in_block = repair_find(repair, VHD_FINDING_BAT_ENTRY, false) != NULL;
    uint64_t off =
        in_block ? vhd_image_footer_off(repair->view->bytes) : repair->facts.trailing_off;
    int err = repair_write_footer(repair, &repair->facts.footer, off, false);

    repair_note(repair, VHD_FINDING_FOOTERS_DIFFER, true,
                "the footer copy at offset 0 is right; the footer at offset %" G_GUINT64_FORMAT
                " is written anew from it",
                off);
    return err ? err : 1;
}

static int take_last(VhdRepair *repair)
{
    uint64_t off = repair->facts.trailing_off;
    uint8_t raw[VHD_FOOTER_BYTES];
    int err = repair_view_read(repair->view, VHD_IO_FOOTER, off, raw, sizeof(raw));

    if (!err)
        err = repair_write(repair->view, VHD_IO_FOOTER, 0, raw, sizeof(raw), false);
    repair_note(repair, VHD_FINDING_FOOTERS_DIFFER, true,
                "the footer at offset %" G_GUINT64_FORMAT
                " is right; the copy at offset 0 is written anew from it",
                off);
    return err ? err : 1;
}

static int choose_footer(VhdRepair *repair)
{
    switch (repair->options.footer) {
    case VHD_REPAIR_FOOTER_FIRST:
        return take_first(repair);
    case VHD_REPAIR_FOOTER_LAST:
        return take_last(repair);
    default:
        repair->blocked = true;
        return 0;
    }
}

static int mend_copy(VhdRepair *repair)
{
    int err = repair_write_footer(repair, &repair->facts.footer, 0, false);

    repair_note(repair, VHD_FINDING_FOOTER_COPY, false,
                "the footer copy at offset 0 is written anew");
    return err ? err : 1;
}

/* The one at the end is there, but says something else, or its checksum alone is wrong. */
static int mend_end(VhdRepair *repair, VhdFindingCode code)
{
    uint64_t off = repair->facts.trailing_off;
    int err = repair_write_footer(repair, &repair->facts.footer, off, false);

    repair_note(repair, code, false, "the footer at offset %" G_GUINT64_FORMAT " is written anew",
                off);
    return err ? err : 1;
}

int repair_footers(VhdRepair *repair)
{
    bool trailing = repair->facts.trailing_off != VHD_FINDING_NOWHERE;

    if (repair_find(repair, VHD_FINDING_FOOTERS_DIFFER, false))
        return choose_footer(repair);
    if (any_fatal(repair)) {
        repair->blocked = true;
        return 0;
    }
    if (repair_find(repair, VHD_FINDING_FOOTER_COPY, true))
        return mend_copy(repair);
    if (trailing && repair_find(repair, VHD_FINDING_FOOTER_END, true))
        return mend_end(repair, VHD_FINDING_FOOTER_END);
    if (repair_find(repair, VHD_FINDING_FOOTERS_UNEQUAL, true))
        return mend_end(repair, VHD_FINDING_FOOTERS_UNEQUAL);
    return 0;
}

int repair_geometry(VhdRepair *repair)
{
    VhdFooter footer = repair->facts.footer;
    VhdGeometry geometry = vhd_geometry(footer.current_bytes);
    uint64_t off = repair->facts.trailing_off;
    int err = 0;

    if (!repair_find(repair, VHD_FINDING_GEOMETRY, true))
        return 0;
    footer.geometry = geometry;
    if (off != VHD_FINDING_NOWHERE)
        err = repair_write_footer(repair, &footer, off, false);
    if (!err && footer.type != VHD_TYPE_FIXED)
        err = repair_write_footer(repair, &footer, 0, true);
    repair_note(repair, VHD_FINDING_GEOMETRY, false, "the footers get the geometry %u/%u/%u",
                geometry.cylinders, geometry.heads, geometry.sectors_per_track);
    return err ? err : 1;
}

/* Replacing a header */

/* Room that a locator's string may take where it is. Its space may have been given to blocks. */
static uint64_t locator_room(const VhdRepair *repair, const VhdLocator *locator)
{
    const VhdLayout *layout = &repair->facts.layout;
    uint64_t off = locator->data_offset, end = off;

    for (unsigned i = 0; i < layout->regions; i++) {
        const VhdRegion *region = &layout->region[i];
        bool space = region->kind == VHD_REGION_LOCATOR_SPACE &&
                     region->off + region->len <= repair->facts.first_block_off;

        if (region->off == end && (region->kind == VHD_REGION_LOCATOR || space))
            end = region->off + region->len;
    }
    return end - off;
}

/* The strings stand in room of their own at first; in the end each in its old place, if all fit. */
typedef struct NewHeader {
    VhdHeader shadow, last;
    uint64_t header_off; /* of the shadow */
    bool in_place;
} NewHeader;

static void place_strings(const VhdRepair *repair, const VhdHeader *header,
                          const RepairString *strings, unsigned count, NewHeader *new_header)
{
    uint64_t at =
        repair_round_up(MAX(repair->view->bytes, repair->facts.data_end), REPAIR_PAGE_BYTES);

    new_header->shadow = new_header->last = *header;
    new_header->in_place = true;
    for (unsigned i = 0; i < count; i++) {
        VhdLocator *shadow = &new_header->shadow.locators[strings[i].slot];
        uint64_t space = repair_round_up(strings[i].len, VHD_SECTOR_BYTES);

        shadow->data_offset = at;
        shadow->data_space = (uint32_t)space;
        shadow->data_length = (uint32_t)strings[i].len;
        new_header->last.locators[strings[i].slot].data_length = shadow->data_length;
        if (locator_room(repair, &header->locators[strings[i].slot]) < strings[i].len)
            new_header->in_place = false;
        at += space;
    }
    if (!new_header->in_place)
        new_header->last = new_header->shadow;
    new_header->header_off = repair_round_up(at, REPAIR_PAGE_BYTES);
}

static int write_strings(VhdRepair *repair, const VhdHeader *header, const RepairString *strings,
                         unsigned count, bool barrier)
{
    int err = 0;

    for (unsigned i = 0; i < count && !err; i++)
        err = repair_write(repair->view, VHD_IO_LOCATOR,
                           header->locators[strings[i].slot].data_offset, strings[i].bytes,
                           strings[i].len, barrier);
    return err;
}

/* Write header at off, where none is in use, and, once it and its strings are durable, let the copy
 * lead to it. */
static int commit_header(VhdRepair *repair, const VhdHeader *header, uint64_t off)
{
    VhdFooter footer = repair->facts.footer;
    uint8_t raw[VHD_HEADER_BYTES];
    int err;

    vhd_header_encode(header, raw);
    err = repair_write(repair->view, VHD_IO_HEADER, off, raw, sizeof(raw), true);
    footer.data_offset = off;
    return err ? err : repair_write_footer(repair, &footer, 0, true);
}

/* The footer at the end leads to no header while the copy leads to another one. */
static int blank_trailing(VhdRepair *repair)
{
    static const uint8_t zeros[VHD_FOOTER_BYTES];
    uint64_t off = repair->facts.trailing_off;

    return off == VHD_FINDING_NOWHERE
               ? 0
               : repair_write(repair->view, VHD_IO_FOOTER, off, zeros, sizeof(zeros), true);
}

/* The shadow's room is cut off; strings that have no other stay behind the blocks. */
static int end_behind_header(VhdRepair *repair, const NewHeader *new_header, uint64_t bytes)
{
    uint64_t off = new_header->in_place ? repair->facts.trailing_off
                                        : vhd_image_footer_off(new_header->header_off);
    int err = 0;

    if (off != VHD_FINDING_NOWHERE) {
        err = repair_write_footer(repair, &repair->facts.footer, off, true);
        bytes = off + VHD_FOOTER_BYTES;
    }
    if (!err && bytes < repair->view->bytes)
        repair_cut(repair->view, bytes);
    return err;
}

int repair_replace_header(VhdRepair *repair, VhdHeader *header, const RepairString *strings,
                          unsigned count)
{
    uint64_t bytes = repair->view->bytes;
    NewHeader new_header;
    int err;

    place_strings(repair, header, strings, count, &new_header);
    err = write_strings(repair, &new_header.shadow, strings, count, false);
    if (!err)
        err = blank_trailing(repair);
    if (!err)
        err = commit_header(repair, &new_header.shadow, new_header.header_off);
    if (!err && new_header.in_place)
        err = write_strings(repair, &new_header.last, strings, count, true);
    if (!err)
        err = commit_header(repair, &new_header.last, repair->facts.layout.header_off);
    return err ? err : end_behind_header(repair, &new_header, bytes);
}

/* The header */

static int clear_locators(VhdRepair *repair)
{
    VhdHeader header = repair->facts.header;
    uint64_t first = repair->facts.footer.data_offset + VHD_HEADER_AT_LOCATORS;
    int err;

    for (guint i = 0; i < repair->findings->len; i++) {
        const VhdFinding *finding = &g_array_index(repair->findings, VhdFinding, i);
        unsigned slot = (unsigned)((finding->off - first) / VHD_LOCATOR_BYTES);

        if (finding->code != VHD_FINDING_LOCATOR || slot >= VHD_LOCATORS)
            continue;
        header.locators[slot] = (VhdLocator){.platform = VHD_PLATFORM_NONE};
        repair_note(repair, VHD_FINDING_LOCATOR, false,
                    "parent locator %u, which names no place of its own in the file, is removed",
                    slot);
    }
    err = repair_replace_header(repair, &header, NULL, 0);
    return err ? err : 1;
}

int repair_header(VhdRepair *repair)
{
    VhdHeader header = repair->facts.header;
    int err;

    if (repair_find(repair, VHD_FINDING_LOCATOR, true))
        return clear_locators(repair);
    if (!repair_find(repair, VHD_FINDING_HEADER, true))
        return 0;
    repair_note(repair, VHD_FINDING_HEADER, false,
                "the header, which agrees with the rest of the image, gets a right checksum");
    err = repair_replace_header(repair, &header, NULL, 0);
    return err ? err : 1;
}
