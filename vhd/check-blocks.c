/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * The blocks of an image whose layout is judged: every BAT entry, then the blocks in the order in
 * which they lie in the file (overlaps, gaps, bitmaps, what lies under clear bits), then the batmap
 * against what the bitmaps said.
 */
#include "vhd/check-private.h"

#include <stdlib.h>
#include <string.h>

#include "vhd/be.h"
#include "vhd/bitmap.h"
#include "vhd/error.h"

/* A creator of this version did not always keep the batmap that it promises. */
#define BATMAP_UNSURE_VERSION 0x00010001u
#define BATMAP_AT_CHECKSUM    24u

static bool out_of_memory(Check *check, GError **error)
{
    g_set_error(error, VHD_ERROR, VHD_ERROR_IO, "%s: out of memory", check->file->name);
    return false;
}

/* BAT */

static void report_entry(Check *check, VhdFindingCode code, const VhdFault *fault, uint32_t block,
                         uint32_t other)
{
    g_autofree char *text = vhd_fault_text(fault);

    check_report(check,
                 (VhdFinding){.code = code,
                              .severity = VHD_SEVERITY_ERROR,
                              .off = fault->off,
                              .block = block,
                              .other = other,
                              .asks = check->header_fault.code == VHD_FAULT_NONE},
                 "%s", text);
}

static void note_entry(Check *check, uint32_t block, uint32_t entry)
{
    VhdFault fault;

    check->result->blocks_in_use++;
    if (vhd_layout_entry_ok(&check->layout, block, entry, check->room_end, &fault))
        check->used[check->used_count++] = (CheckBlock){entry, block};
    else
        report_entry(check, VHD_FINDING_BAT_ENTRY, &fault, block, 0);
}

/* Grow used so that count more fit. */
static bool reserve_used(Check *check, size_t *allocated, size_t count)
{
    size_t wanted = check->used_count + count;
    CheckBlock *grown;

    if (wanted <= *allocated)
        return true;
    wanted = MIN(MAX(wanted, *allocated * 2), check->layout.blocks);
    grown = g_try_realloc_n(check->used, wanted, sizeof(*check->used));
    if (!grown)
        return false;
    check->used = grown;
    *allocated = wanted;
    return true;
}

static bool load_bat(Check *check, GError **error)
{
    uint32_t per_read = CHECK_BUFFER_BYTES / 4, blocks = check->layout.blocks;
    size_t allocated = 0;

    for (uint32_t first = 0; first < blocks && check_go_on(check, 0); first += per_read) {
        uint32_t count = MIN(per_read, blocks - first), in_use = 0;
        uint64_t off = check->layout.bat_off + (uint64_t)first * 4;
        int err = vhd_file_read(check->file, VHD_IO_BAT, off, check->buffer, (size_t)count * 4);

        if (err) {
            check_read_failed(check, off, "the block table", err);
            continue;
        }
        for (uint32_t i = 0; i < count; i++)
            in_use += be32_get(check->buffer + (size_t)i * 4) != VHD_BAT_UNUSED;
        if (!reserve_used(check, &allocated, in_use))
            return out_of_memory(check, error);
        for (uint32_t i = 0; i < count; i++) {
            uint32_t entry = be32_get(check->buffer + (size_t)i * 4);

            if (entry != VHD_BAT_UNUSED)
                note_entry(check, first + i, entry);
        }
    }
    return true;
}

static int compare_places(const void *a, const void *b)
{
    const CheckBlock *x = a, *y = b;

    if (x->entry != y->entry)
        return x->entry < y->entry ? -1 : 1;
    return x->block < y->block ? -1 : x->block > y->block;
}

/* Zeros */

static bool is_zero(const uint8_t *bytes, size_t len)
{
    return len == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, len - 1) == 0);
}

/* How many sectors of [off, off + sectors) hold something other than zeros. *bad: the first. */
static uint32_t count_not_zero(Check *check, uint64_t off, uint32_t sectors, uint64_t *bad)
{
    uint64_t end = off + (uint64_t)sectors * VHD_SECTOR_BYTES;
    uint32_t count = 0;

    for (off = check_next_data(check, off, end); off < end;
         off = check_next_data(check, off, end)) {
        uint64_t len;
        int err;

        off = off / VHD_SECTOR_BYTES * VHD_SECTOR_BYTES;
        len = MIN(MIN(end - off, check->data_end - off), CHECK_BUFFER_BYTES);
        len = (len + VHD_SECTOR_BYTES - 1) / VHD_SECTOR_BYTES * VHD_SECTOR_BYTES;
        err = vhd_file_read(check->file, VHD_IO_DATA, off, check->buffer, len);
        if (err) {
            check_read_failed(check, off, "data", err);
            return count;
        }
        for (uint64_t at = 0; at < len; at += VHD_SECTOR_BYTES)
            if (!is_zero(check->buffer + at, VHD_SECTOR_BYTES) && count++ == 0)
                *bad = off + at;
        off += len;
    }
    return count;
}

/* Gaps */

/* Placing data on pages leaves gaps up to nearly two of them: in front of the first block, where
 * the footer of the empty image was, and in front of each bitmap. Blocks of this size and more are
 * longer than any such gap. */
#define PAGE_BYTES       4096u
#define SMALL_DATA_BYTES (4 * PAGE_BYTES)

/* A gap is looked through in such pieces. */
#define GAP_READ_BYTES (UINT64_C(1) << 30)

/* Is there room for a whole block, as it would have been placed? */
static bool block_fits(const VhdLayout *layout, uint64_t start, uint64_t end)
{
    uint64_t bitmap = (uint64_t)layout->bitmap_sectors * VHD_SECTOR_BYTES;
    uint64_t data = (uint64_t)layout->block_sectors * VHD_SECTOR_BYTES;

    if (data < SMALL_DATA_BYTES)
        start = (start + bitmap + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES - bitmap;
    return start + bitmap + data <= end;
}

/*
 * [start, end) belongs to nothing. Short gaps are everywhere; one that could hold a block is what a
 * lost block leaves. Where nothing but zeros stands there, it is the room of blocks that were given
 * back: the file system may count a page of it at either end, shared with what lies beside it.
 */
static void check_gap(Check *check, uint64_t start, uint64_t end)
{
    uint64_t data = 0, bad;
    uint32_t not_zero = 0;
    VhdFinding finding = {.off = start};

    if (end <= start || check->places_unknown || !block_fits(&check->layout, start, end))
        return;
    for (uint64_t at = check_next_data(check, start, end); at < end;
         at = check_next_data(check, at, end)) {
        uint64_t stop = MIN(check->data_end, end);

        data += stop - at;
        at = stop;
    }
    for (uint64_t at = start; at < end && data > 0 && not_zero == 0; at += GAP_READ_BYTES)
        not_zero = count_not_zero(
            check, at, (uint32_t)(MIN(GAP_READ_BYTES, end - at) / VHD_SECTOR_BYTES), &bad);
    finding.bytes = not_zero > 0 ? data : end - start;
    if (not_zero > 0) {
        finding.code = VHD_FINDING_LEAK;
        finding.severity = VHD_SEVERITY_LEAK;
        finding.end = end;
        /* A wrong entry may have been meant for this place. */
        finding.asks = check_bat_is_bad(check);
        finding.repairable = !finding.asks && check->header_fault.code == VHD_FAULT_NONE;
        check->result->leaked_bytes += data;
        check_report(check, finding,
                     "%" G_GUINT64_FORMAT " bytes from offset %" G_GUINT64_FORMAT
                     " on belong to no block",
                     data, start);
    } else {
        finding.code = VHD_FINDING_FREE;
        check_report(check, finding,
                     "%" G_GUINT64_FORMAT " bytes from offset %" G_GUINT64_FORMAT
                     " on are free and belong to no block",
                     end - start, start);
    }
}

/* The gap in front of a block, less the metadata that lie in it. */
static void check_gap_around_metadata(Check *check, uint64_t start, uint64_t end)
{
    while (start < end) {
        const VhdRegion *region = vhd_layout_hit(&check->layout, start, end - start, true);

        check_gap(check, start, region ? MIN(region->off, end) : end);
        if (!region)
            return;
        start = region->off + region->len;
    }
}

/* Bitmaps */

/* What lies under the clear bits of a block. Windows and the specification want zeros. In a child
 * every reader looks below; in a dynamic image readers differ. */
static void check_absent(Check *check, const CheckBlock *place, const uint8_t *bits)
{
    const VhdLayout *layout = &check->layout;
    uint32_t limit = vhd_layout_block_used_sectors(layout, place->block), run, count = 0;
    uint64_t data = ((uint64_t)place->entry + layout->bitmap_sectors) * VHD_SECTOR_BYTES;
    uint64_t bad = 0;

    for (uint32_t at = 0; at < limit; at += run) {
        uint64_t first_bad = 0;
        uint32_t found;
        bool present;

        run = bitmap_run(bits, at, limit, &present);
        if (present)
            continue;
        found = count_not_zero(check, data + (uint64_t)at * VHD_SECTOR_BYTES, run, &first_bad);
        if (count == 0)
            bad = first_bad;
        count += found;
    }
    if (count == 0)
        return;
    check_report(check,
                 (VhdFinding){.code = VHD_FINDING_ABSENT_NOT_ZERO,
                              .severity = layout->type == VHD_TYPE_DIFFERENCING
                                              ? VHD_SEVERITY_INFO
                                              : VHD_SEVERITY_WARNING,
                              .off = bad},
                 "%u sectors of block %u are not zero although the bitmap calls them absent%s",
                 count, place->block,
                 layout->type == VHD_TYPE_DIFFERENCING
                     ? ""
                     : ": XenServer reads zeros there, all others what is there");
}

/* Windows sets all bits of a dynamic image's last block, which means nothing. */
static void check_tail(Check *check, const CheckBlock *place, const uint8_t *bits)
{
    uint32_t limit = vhd_layout_block_used_sectors(&check->layout, place->block), run;
    uint32_t end = check->layout.block_sectors;
    bool set = false;

    if (check->layout.type != VHD_TYPE_DIFFERENCING || limit == end)
        return;
    run = bitmap_run(bits, limit, end, &set);
    if (!set && limit + run == end)
        return;
    check_report(check,
                 (VhdFinding){.code = VHD_FINDING_BITMAP_TAIL,
                              .off = (uint64_t)place->entry * VHD_SECTOR_BYTES + limit / 8},
                 "the bitmap of block %u has bits of sectors beyond the end of the disk",
                 place->block);
}

static void check_bitmap(Check *check, const CheckBlock *place, uint8_t *bits, bool look_under)
{
    uint32_t sectors = vhd_layout_block_used_sectors(&check->layout, place->block);
    uint64_t off = (uint64_t)place->entry * VHD_SECTOR_BYTES;
    int err = vhd_file_read(check->file, VHD_IO_BITMAP, off, bits,
                            (size_t)check->layout.bitmap_sectors * VHD_SECTOR_BYTES);

    if (err) {
        check_read_failed(check, off, "a bitmap", err);
        return;
    }
    check_tail(check, place, bits);
    if (bitmap_all_set(bits, 0, sectors))
        bitmap_set(check->full, place->block, 1);
    else if (look_under)
        check_absent(check, place, bits);
}

/* All blocks in the order of their places. Data are looked at only where no block was before, so
 * that entries that all name one place cost no more than that place. */
static void check_places(Check *check, uint8_t *bits)
{
    const VhdLayout *layout = &check->layout;
    uint64_t end = 0; /* of the blocks so far */
    uint64_t covered = vhd_layout_metadata_end(layout);

    /* Windows fills up the BAT's last page. */
    covered = MIN((covered + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES, check->room_end);
    if (check->used_count > 0)
        covered = MIN(covered, (uint64_t)check->used[0].entry * VHD_SECTOR_BYTES);
    for (size_t i = 0; i < check->used_count; i++) {
        const CheckBlock *place = &check->used[i];
        uint64_t start = (uint64_t)place->entry * VHD_SECTOR_BYTES;

        if (!check_go_on(check, (double)i / (double)check->used_count))
            return;
        check_gap_around_metadata(check, covered, start);
        check_bitmap(check, place, bits, start >= end);
        end = MIN(MAX(end, start + vhd_layout_block_span(layout)), check->room_end);
        covered = MAX(covered, end);
    }
    check->result->end_off = MAX(end, vhd_layout_metadata_end(layout));
    check_gap_around_metadata(check, covered, check->room_end);
}

/* Batmap */

static void batmap_fault(Check *check, const VhdFault *fault)
{
    check_fault(check, VHD_FINDING_BATMAP, VHD_SEVERITY_WARNING, fault, true);
}

/* Other writers sum up the whole map. */
static bool batmap_sum_ok(const Check *check, uint64_t map_bytes, VhdFault *fault)
{
    fault->wanted = vhd_batmap_checksum(check->batmap, map_bytes, check->footer.current_bytes);
    return fault->wanted == fault->found ||
           vhd_checksum(check->batmap, map_bytes, map_bytes) == fault->found;
}

/* Read the map that the header describes; NULL in check->batmap where it is not to be believed. */
static bool load_batmap(Check *check, const VhdBatmapHeader *header, uint64_t header_off,
                        GError **error)
{
    VhdFault fault = {VHD_FAULT_BATMAP_CHECKSUM, header_off + BATMAP_AT_CHECKSUM, header->checksum,
                      0};
    uint64_t len = check->layout.batmap_bytes; /* bounded by the file */
    int err;

    check->batmap = g_try_malloc(len);
    if (!check->batmap)
        return out_of_memory(check, error);
    err = vhd_file_read(check->file, VHD_IO_BATMAP, check->layout.batmap_off, check->batmap, len);
    if (err) {
        check_read_failed(check, check->layout.batmap_off, "the batmap", err);
        g_clear_pointer(&check->batmap, g_free);
        return true;
    }
    if (!batmap_sum_ok(check, len, &fault)) {
        batmap_fault(check, &fault);
        g_clear_pointer(&check->batmap, g_free);
    }
    return true;
}

/* Blocks and the trailing footer are in use: a map over one is none. */
static bool is_overrun(const Check *check, const VhdLayout *with)
{
    bool overrun =
        vhd_layout_hit(with, check->room_end, check->file_bytes - check->room_end, false) != NULL;

    for (size_t i = 0; !overrun && i < check->used_count; i++) {
        VhdFault fault;

        overrun = !vhd_layout_entry_ok(with, check->used[i].block, check->used[i].entry,
                                       check->room_end, &fault);
    }
    return overrun;
}

static bool find_batmap(Check *check, GError **error)
{
    VhdLayout with = check->layout;
    uint64_t off = vhd_layout_batmap_header_off(&check->layout);
    uint8_t raw[VHD_BATMAP_BYTES];
    VhdBatmapHeader header;
    VhdFault fault;
    int err;

    if (!vhd_footer_promises_batmap(&check->footer) || off + VHD_BATMAP_BYTES > check->file_bytes)
        return true;
    err = vhd_file_read(check->file, VHD_IO_BATMAP, off, raw, sizeof(raw));
    if (err) {
        check_read_failed(check, off, "the batmap's header", err);
        return true;
    }
    if (!vhd_batmap_decode(raw, off, &header, &fault)) {
        if (check->footer.creator_version > BATMAP_UNSURE_VERSION)
            batmap_fault(check, &fault);
        return true;
    }
    if (!vhd_layout_add_batmap(&with, &header, &fault)) {
        batmap_fault(check, &fault);
        return true;
    }
    if (is_overrun(check, &with)) {
        check_report(check,
                     (VhdFinding){.code = VHD_FINDING_BATMAP,
                                  .severity = VHD_SEVERITY_WARNING,
                                  .off = off,
                                  .repairable = true},
                     "the batmap lies over blocks or the footer: it is left aside, which costs no "
                     "data");
        return true;
    }
    check->layout = with;
    return load_batmap(check, &header, off, error);
}

/* A set bit promises that every sector of the block is there: XenServer then does not look. */
static void check_batmap_lies(Check *check)
{
    for (uint32_t block = 0; check->batmap && block < check->layout.blocks; block++) {
        if (check->batmap[block / 8] == 0) {
            block |= 7;
            continue;
        }
        if (!bitmap_get(check->batmap, block) || bitmap_get(check->full, block))
            continue;
        check_report(check,
                     (VhdFinding){.code = VHD_FINDING_BATMAP_LIES,
                                  .severity = VHD_SEVERITY_ERROR,
                                  .off = check->layout.batmap_off + block / 8,
                                  .block = block,
                                  .repairable = true},
                     "the batmap calls block %u full, which it is not", block);
    }
}

/* A partial last block takes its whole place, too, though a file may be cut behind its used
 * sectors: who writes it may use all of it. */
static void check_overlaps(Check *check)
{
    uint64_t end = 0;
    uint32_t last = 0; /* the block that reaches up to end */

    if (check->used_count > 0)
        check->result->first_block_off = (uint64_t)check->used[0].entry * VHD_SECTOR_BYTES;
    for (size_t i = 0; i < check->used_count; i++) {
        const CheckBlock *place = &check->used[i];
        uint64_t start = (uint64_t)place->entry * VHD_SECTOR_BYTES;
        VhdFault fault = {VHD_FAULT_BLOCK_OVERLAP,
                          check->layout.bat_off + (uint64_t)place->block * 4, start, end};

        if (start < end)
            report_entry(check, VHD_FINDING_BAT_OVERLAP, &fault, place->block, last);
        if (start + vhd_layout_block_span(&check->layout) > end)
            last = place->block;
        end = MAX(end, start + vhd_layout_block_span(&check->layout));
    }
    check->result->data_end = MAX(end, vhd_layout_metadata_end(&check->layout));
}

bool check_blocks(Check *check, GError **error)
{
    g_autofree uint8_t *bits = NULL;

    check->result->blocks = check->layout.blocks;
    if (!load_bat(check, error) || !find_batmap(check, error))
        return false;
    check->full = g_try_malloc0(((size_t)check->layout.blocks + 7) / 8);
    bits = g_try_malloc((size_t)check->layout.bitmap_sectors * VHD_SECTOR_BYTES);
    if (!check->full || !bits)
        return out_of_memory(check, error);
    if (check->used_count > 0)
        qsort(check->used, check->used_count, sizeof(*check->used), compare_places);
    check_overlaps(check);
    check_places(check, bits);
    check_batmap_lies(check);
    return true;
}
