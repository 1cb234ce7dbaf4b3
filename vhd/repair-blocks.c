/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* Block table, batmap, and what stands in the file that no block is. */
#include "vhd/repair-private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vhd/be.h"
#include "vhd/bitmap.h"
#include "vhd/image.h"

#define ENTRIES_PER_SECTOR  (VHD_SECTOR_BYTES / 4)
#define BATMAP_VERSION      0x00010002u
#define BATMAP_NOT_PROMISED 0x00010001u /* a creator's version whose batmap may be missing */

static bool bat_is_bad(const VhdRepair *repair)
{
    return repair_find(repair, VHD_FINDING_BAT_ENTRY, false) ||
           repair_find(repair, VHD_FINDING_BAT_OVERLAP, false);
}

/* Batmap. The map goes before the header that has its checksum: torn in between, the map counts as
 * all clear. */

static int write_map(VhdRepair *repair, VhdBatmapHeader *header, const uint8_t *map, size_t len)
{
    uint8_t raw[VHD_BATMAP_BYTES];
    int err;

    header->checksum = vhd_batmap_checksum(map, len, repair->facts.footer.current_bytes);
    vhd_batmap_encode(header, raw);
    err = repair_write(repair->view, VHD_IO_BATMAP, header->map_offset, map, len, false);
    return err ? err
               : repair_write(repair->view, VHD_IO_BATMAP,
                              vhd_layout_batmap_header_off(&repair->facts.layout), raw, sizeof(raw),
                              false);
}

static int read_batmap_header(VhdRepair *repair, VhdBatmapHeader *header, bool *good)
{
    uint64_t off = vhd_layout_batmap_header_off(&repair->facts.layout);
    uint8_t raw[VHD_BATMAP_BYTES];
    VhdFault fault;
    int err = repair_view_read(repair->view, VHD_IO_BATMAP, off, raw, sizeof(raw));

    *good = !err && vhd_batmap_decode(raw, off, header, &fault);
    return err;
}

/* Clear the bits of blocks; *changed: one was set. */
static int clear_bits(VhdRepair *repair, const GArray *blocks, bool *changed)
{
    size_t len = (size_t)repair->facts.layout.batmap_bytes;
    g_autofree uint8_t *map = g_try_malloc(len + 1);
    VhdBatmapHeader header;
    bool good;
    int err = map ? read_batmap_header(repair, &header, &good) : -ENOMEM;

    if (!err)
        err = repair_view_read(repair->view, VHD_IO_BATMAP, repair->facts.layout.batmap_off, map,
                               len);
    *changed = false;
    for (guint i = 0; i < blocks->len && !err; i++) {
        uint32_t block = g_array_index(blocks, uint32_t, i);

        *changed = *changed || bitmap_get(map, block);
        bitmap_clear(map, block, 1);
    }
    return err || !*changed ? err : write_map(repair, &header, map, len);
}

/* All clear is never wrong. */
static int blank_map(VhdRepair *repair, VhdBatmapHeader *header)
{
    size_t len = (size_t)header->map_sectors * VHD_SECTOR_BYTES;
    g_autofree uint8_t *map = g_try_malloc0(len);

    return map ? write_map(repair, header, map, len) : -ENOMEM;
}

/* Is [off, end) nobody's, as far as blocks and the footer at the end go? */
static bool is_below_blocks(const VhdRepair *repair, uint64_t end)
{
    return end <= MIN(repair->facts.first_block_off, repair->facts.trailing_off);
}

/* A new header and map in the place where XenServer has them, if that is free. */
static bool place_batmap(const VhdRepair *repair, VhdBatmapHeader *header)
{
    VhdLayout layout = repair->facts.layout;
    uint64_t off = vhd_layout_batmap_header_off(&layout) + VHD_BATMAP_BYTES;
    uint32_t sectors = (layout.blocks + VHD_SECTOR_BYTES * 8 - 1) / (VHD_SECTOR_BYTES * 8);
    VhdFault fault;

    *header =
        (VhdBatmapHeader){.map_offset = off, .map_sectors = sectors, .version = BATMAP_VERSION};
    return vhd_layout_add_batmap(&layout, header, &fault) &&
           is_below_blocks(repair, off + (uint64_t)sectors * VHD_SECTOR_BYTES);
}

/* There is no room for one: the footers stop promising it, and what looks like its header goes. */
static int withdraw_batmap(VhdRepair *repair)
{
    static const uint8_t zeros[VHD_BATMAP_BYTES];
    VhdFooter footer = repair->facts.footer;
    uint64_t off = vhd_layout_batmap_header_off(&repair->facts.layout);
    VhdBatmapHeader header;
    bool looks_good;
    int err = read_batmap_header(repair, &header, &looks_good);

    if (err || (looks_good && !is_below_blocks(repair, off + VHD_BATMAP_BYTES)))
        return err;
    if (looks_good)
        err = repair_write(repair->view, VHD_IO_BATMAP, off, zeros, sizeof(zeros), false);
    footer.creator_version = BATMAP_NOT_PROMISED;
    if (!err && repair->facts.trailing_off != VHD_FINDING_NOWHERE)
        err = repair_write_footer(repair, &footer, repair->facts.trailing_off, false);
    if (!err)
        err = repair_write_footer(repair, &footer, 0, true);
    repair_note(repair, VHD_FINDING_BATMAP, false,
                "there is no room for a batmap: the footers promise none any more");
    return err ? err : 1;
}

static int mend_batmap(VhdRepair *repair)
{
    VhdBatmapHeader header;
    bool good = repair->facts.layout.batmap_off != 0;
    int err = good ? read_batmap_header(repair, &header, &good) : 0;

    if (err)
        return err;
    if (!good && !place_batmap(repair, &header))
        return withdraw_batmap(repair);
    err = blank_map(repair, &header);
    repair_note(repair, VHD_FINDING_BATMAP, false,
                "the batmap is written anew and calls no block full; it fills up again by itself");
    return err ? err : 1;
}

static int mend_lies(VhdRepair *repair)
{
    g_autoptr(GArray) blocks = g_array_new(FALSE, FALSE, sizeof(uint32_t));
    bool changed;
    int err;

    for (guint i = 0; i < repair->findings->len; i++) {
        const VhdFinding *finding = &g_array_index(repair->findings, VhdFinding, i);

        if (finding->code != VHD_FINDING_BATMAP_LIES)
            continue;
        g_array_append_val(blocks, finding->block);
        repair_note(repair, VHD_FINDING_BATMAP_LIES, false,
                    "the batmap does not call block %u full any more", finding->block);
    }
    err = clear_bits(repair, blocks, &changed);
    return err ? err : 1;
}

int repair_batmap(VhdRepair *repair)
{
    if (repair_find(repair, VHD_FINDING_BATMAP_LIES, true))
        return mend_lies(repair);
    return repair_find(repair, VHD_FINDING_BATMAP, true) ? mend_batmap(repair) : 0;
}

/* Block table */

static void note_given_up(VhdRepair *repair, const VhdFinding *finding)
{
    const VhdLayout *layout = &repair->facts.layout;
    uint64_t block_bytes = (uint64_t)layout->block_sectors * VHD_SECTOR_BYTES;
    uint64_t first = finding->block * block_bytes;
    uint64_t end = MIN(first + block_bytes, layout->disk_sectors * VHD_SECTOR_BYTES);
    g_autofree char *other =
        finding->code == VHD_FINDING_BAT_OVERLAP
            ? g_strdup_printf("; it lies over block %u, from byte %" G_GUINT64_FORMAT
                              " of the disk on, whose content is to be doubted, too",
                              finding->other, finding->other * block_bytes)
            : g_strdup("");

    repair_note(repair, finding->code, true,
                "block %u is given up, bytes %" G_GUINT64_FORMAT " to %" G_GUINT64_FORMAT
                " of the disk: %s%s",
                finding->block, first, end - 1,
                layout->type == VHD_TYPE_DIFFERENCING ? "the parent's are seen there from now on"
                                                      : "they read as zeros from now on",
                other);
}

static int compare_numbers(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return x < y ? -1 : x > y;
}

/* Make the entries of blocks[first] to blocks[end - 1] unused, which lie in sectors that follow one
 * another. */
static int write_unused(VhdRepair *repair, const uint32_t *blocks, guint first, guint end,
                        bool barrier)
{
    uint32_t start = blocks[first] / ENTRIES_PER_SECTOR * ENTRIES_PER_SECTOR;
    size_t len =
        (blocks[end - 1] / ENTRIES_PER_SECTOR * ENTRIES_PER_SECTOR + ENTRIES_PER_SECTOR - start) *
        sizeof(uint32_t);
    uint64_t off = repair->facts.layout.bat_off + (uint64_t)start * 4;
    g_autofree uint8_t *raw = g_try_malloc(len);
    int err = raw ? repair_view_read(repair->view, VHD_IO_BAT, off, raw, len) : -ENOMEM;

    for (guint i = first; i < end && !err; i++)
        be32_put(raw + (size_t)(blocks[i] - start) * 4, VHD_BAT_UNUSED);
    return err ? err : repair_write(repair->view, VHD_IO_BAT, off, raw, len, barrier);
}

static int give_up_blocks(VhdRepair *repair, GArray *given_up)
{
    uint32_t *blocks = (uint32_t *)(void *)given_up->data;
    bool barrier = false;
    int err = 0;

    qsort(blocks, given_up->len, sizeof(*blocks), compare_numbers);
    if (repair->facts.layout.batmap_off != 0)
        err = clear_bits(repair, given_up, &barrier);
    for (guint first = 0, end; first < given_up->len && !err; first = end) {
        for (end = first + 1; end < given_up->len && blocks[end] / ENTRIES_PER_SECTOR <=
                                                         blocks[end - 1] / ENTRIES_PER_SECTOR + 1;)
            end++;
        err = write_unused(repair, blocks, first, end, barrier);
        barrier = false;
    }
    return err ? err : 1;
}

int repair_bat(VhdRepair *repair)
{
    g_autoptr(GArray) blocks = g_array_new(FALSE, FALSE, sizeof(uint32_t));

    if (!repair->options.give_up)
        return 0;
    for (guint i = 0; i < repair->findings->len; i++) {
        const VhdFinding *finding = &g_array_index(repair->findings, VhdFinding, i);

        if (finding->code != VHD_FINDING_BAT_ENTRY && finding->code != VHD_FINDING_BAT_OVERLAP)
            continue;
        g_array_append_val(blocks, finding->block);
        note_given_up(repair, finding);
    }
    return blocks->len > 0 ? give_up_blocks(repair, blocks) : 0;
}

/* The end of the file */

static void cut_behind(VhdRepair *repair, VhdFindingCode code, uint64_t footer_off)
{
    uint64_t end = footer_off + VHD_FOOTER_BYTES;

    if (repair->view->bytes <= end)
        return;
    repair_note(repair, code, false,
                "%" G_GUINT64_FORMAT " bytes behind the footer at offset %" G_GUINT64_FORMAT
                " are cut off",
                repair->view->bytes - end, footer_off);
    repair_cut(repair->view, end);
}

/* Where a damaged footer stands it may stay, unless it is the end of a block that looks so. */
static uint64_t place_footer(const VhdRepair *repair)
{
    uint64_t bytes = repair->view->bytes, off;

    off = bytes % VHD_SECTOR_BYTES == VHD_FOOTER_BYTES - 1 ? bytes - (VHD_FOOTER_BYTES - 1)
                                                           : bytes - VHD_FOOTER_BYTES;
    return repair_find(repair, VHD_FINDING_FOOTER_END, true) && off % VHD_SECTOR_BYTES == 0 &&
                   off >= repair->facts.data_end
               ? off
               : vhd_image_footer_off(repair->facts.data_end);
}

static int restore_footer(VhdRepair *repair, VhdFindingCode code)
{
    uint64_t off = place_footer(repair);
    int err = repair_write_footer(repair, &repair->facts.footer, off, false);

    repair_note(repair, code, false, "the footer is written anew at offset %" G_GUINT64_FORMAT,
                off);
    if (!err)
        cut_behind(repair, VHD_FINDING_TRAILING, off);
    return err ? err : 1;
}

int repair_end(VhdRepair *repair)
{
    if (repair->facts.trailing_off != VHD_FINDING_NOWHERE) {
        if (!repair_find(repair, VHD_FINDING_TRAILING, true))
            return 0;
        cut_behind(repair, VHD_FINDING_TRAILING, repair->facts.trailing_off);
        return 1;
    }
    /* Where the file has to end is told by the blocks in it. */
    if (bat_is_bad(repair))
        return 0;
    if (repair_find(repair, VHD_FINDING_FOOTER_LOST, true))
        return restore_footer(repair, VHD_FINDING_FOOTER_LOST);
    return repair_find(repair, VHD_FINDING_FOOTER_END, true)
               ? restore_footer(repair, VHD_FINDING_FOOTER_END)
               : 0;
}

/* Leaks */

/* The last thing in front of the footer: the footer moves to where the last block ends. */
static int cut_leak(VhdRepair *repair, uint64_t footer_off)
{
    int err = repair_write_footer(repair, &repair->facts.footer, footer_off, false);

    repair_note(repair, VHD_FINDING_LEAK, false,
                "the footer moves to offset %" G_GUINT64_FORMAT
                ", what stands behind it belongs to no block",
                footer_off);
    if (!err)
        cut_behind(repair, VHD_FINDING_LEAK, footer_off);
    return err;
}

int repair_leaks(VhdRepair *repair)
{
    uint64_t footer_off = vhd_image_footer_off(repair->facts.data_end);
    int planned = 0, err = 0;

    for (guint i = 0; i < repair->findings->len && !err; i++) {
        const VhdFinding *finding = &g_array_index(repair->findings, VhdFinding, i);

        if (finding->code != VHD_FINDING_LEAK || !finding->repairable)
            continue;
        planned = 1;
        if (finding->end == repair->facts.trailing_off && footer_off < finding->end) {
            err = cut_leak(repair, footer_off);
            continue;
        }
        repair_note(repair, VHD_FINDING_LEAK, false,
                    "%" G_GUINT64_FORMAT " bytes from offset %" G_GUINT64_FORMAT
                    " on, which belong to no block, are given back",
                    finding->end - finding->off, finding->off);
        repair_zero(repair->view, finding->off, finding->end - finding->off);
    }
    return err ? err : planned;
}
