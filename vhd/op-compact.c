/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
#include "vhd/op-compact.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vhd/error.h"
#include "vhd/image-relocate.h"
#include "vhd/op-copy.h"
#include "vhd/op-state.h"

#define CHUNK_BYTES   (1u << 20)
#define PAGE_BYTES    4096u /* holes have this size and alignment in the file */
#define RUN_BYTES_MAX (64u << 20)

typedef struct Range {
    uint64_t off, end; /* bytes of the file */
} Range;

/* One call under way. */
typedef struct Compact {
    VhdImage *image;
    VhdFile *file;
    const VhdLayout *layout;
    bool (*stop)(void *data, double part);
    void *data;
    uint8_t *buf;   /* CHUNK_BYTES */
    GArray *ranges; /* Range: zeros found, or gaps */
    Range known;    /* data in the file, found last; may have become a hole */
    uint32_t *bat;  /* as it shall be */
} Compact;

static bool fail(Compact *compact, const char *doing, int err, GError **error)
{
    vhd_error_set_errno(error, VHD_ERROR_IO, vhd_image_name(compact->image), doing, -err);
    return false;
}

static bool stopped(Compact *compact, uint64_t done, uint64_t all, GError **error)
{
    if (!compact->stop || !compact->stop(compact->data, (double)done / (double)all))
        return false;
    g_set_error(error, VHD_ERROR, VHD_ERROR_INVALID, "%s: interrupted",
                vhd_image_name(compact->image));
    return true;
}

static void add_range(GArray *ranges, uint64_t off, uint64_t end)
{
    Range range = {off, end};
    if (ranges->len > 0 && g_array_index(ranges, Range, ranges->len - 1).end == off)
        g_array_index(ranges, Range, ranges->len - 1).end = end;
    else
        g_array_append_val(ranges, range);
}

/* ---- zeros */

static bool is_zero(const uint8_t *bytes, size_t len)
{
    return bytes[0] == 0 && memcmp(bytes, bytes + 1, len - 1) == 0;
}

/* Note pages of zeros that take space; *all: nothing else was found. */
static void note_zeros(Compact *compact, uint64_t off, size_t len, bool *all)
{
    for (size_t at = 0, piece; at < len; at += piece) {
        piece = MIN(PAGE_BYTES - (off + at) % PAGE_BYTES, len - at);
        if (!is_zero(compact->buf + at, piece))
            *all = false;
        else if (piece == PAGE_BYTES)
            add_range(compact->ranges, off + at, off + at + piece);
    }
}

/* The data at or behind off. Asked once for a range, as in chain-run.c. */
static Range next_data(Compact *compact, uint64_t off, uint64_t end)
{
    Range *known = &compact->known;
    if ((off < known->off || off >= known->end) &&
        vhd_file_next_data(compact->file, off, &known->off, &known->end) != 0)
        *known = (Range){off, end};
    return *known;
}

/* Look at [off, end) of the file, holes left out. 0 or -errno. */
static int find_zeros(Compact *compact, uint64_t off, uint64_t end, bool *all)
{
    int err = 0;
    *all = true;
    while (off < end && err == 0) {
        Range data = next_data(compact, off, end);
        if (data.off >= data.end || data.off >= end)
            break;
        off = MAX(off, data.off);
        size_t len = (size_t)MIN(MIN(data.end, end) - off, CHUNK_BYTES);
        err = vhd_file_read(compact->file, VHD_IO_DATA, off, compact->buf, len);
        if (err == 0)
            note_zeros(compact, off, len, all);
        off += len;
    }
    return err;
}

static int punch_ranges(Compact *compact)
{
    int err = 0;
    for (unsigned i = 0; i < compact->ranges->len && err == 0; i++) {
        Range range = g_array_index(compact->ranges, Range, i);
        err = vhd_file_punch(compact->file, VHD_IO_DATA, range.off, range.end - range.off);
    }
    g_array_set_size(compact->ranges, 0);
    return err;
}

static bool punch_zeros_in_fixed(Compact *compact, GError **error)
{
    uint64_t end = compact->layout->disk_sectors * VHD_SECTOR_BYTES;
    for (uint64_t at = 0, next; at < end; at = next) {
        bool all;
        next = MIN(end, at + RUN_BYTES_MAX);
        if (stopped(compact, at, end, error))
            return false;
        int err = find_zeros(compact, at, next, &all);
        if (err == 0)
            err = punch_ranges(compact);
        if (err < 0)
            return fail(compact, "punch holes under its zeros", err, error);
    }
    int err = vhd_file_barrier(compact->file);
    return err == 0 ? true : fail(compact, "punch holes under its zeros", err, error);
}

/* ---- blocks that need not be */

/* Does the disk show the same without block? below: the ancestors; NULL: there are none. zero: its
 * data are zeros. */
static bool is_needless(Compact *compact, VhdChain *chain, VhdChain *below, uint32_t block,
                        bool zero, bool *needless, GError **error)
{
    uint64_t start = (uint64_t)block * compact->layout->block_sectors * VHD_SECTOR_BYTES;
    uint64_t len =
        (uint64_t)vhd_layout_block_used_sectors(compact->layout, block) * VHD_SECTOR_BYTES;
    *needless = zero;
    return !below || vhd_op_equal(chain, below, start, start + len, needless, error);
}

static bool judge_block(Compact *compact, VhdChain *chain, VhdChain *below, uint32_t block,
                        GError **error)
{
    const VhdLayout *layout = compact->layout;
    uint64_t data = ((uint64_t)compact->bat[block] + layout->bitmap_sectors) * VHD_SECTOR_BYTES;
    uint64_t len = (uint64_t)vhd_layout_block_used_sectors(layout, block) * VHD_SECTOR_BYTES;
    bool zero, needless;
    int err = find_zeros(compact, data, data + len, &zero);
    if (err < 0)
        return fail(compact, "read its blocks", err, error);
    if (!is_needless(compact, chain, below, block, zero, &needless, error))
        return false;
    if (needless) {
        g_array_set_size(compact->ranges, 0); /* as long as it is there, it is whole */
        compact->bat[block] = VHD_BAT_UNUSED;
        return true;
    }
    err = punch_ranges(compact);
    return err == 0 ? true : fail(compact, "punch holes under its zeros", err, error);
}

static VhdChain *ancestors_of(VhdChain *chain)
{
    unsigned depth = vhd_chain_depth(chain) - 1;
    g_autofree VhdImage **layers = g_new(VhdImage *, depth);
    for (unsigned i = 0; i < depth; i++)
        layers[i] = vhd_image_ref(vhd_chain_layer(chain, i + 1));
    return vhd_chain_new(layers, depth);
}

static bool relocate(Compact *compact, bool cut, GError **error)
{
    VhdRelocation wanted;
    vhd_relocation_init(&wanted, compact->image);
    wanted.header.bat_entries = compact->layout->blocks;
    wanted.bat = compact->bat;
    wanted.cut_leaks = cut;
    int err = vhd_image_relocate(compact->image, &wanted);
    return err == 0 ? true : fail(compact, "write its new block table", err, error);
}

static bool drop_blocks(Compact *compact, VhdChain *chain, GError **error)
{
    g_autoptr(VhdChain) below =
        compact->layout->type == VHD_TYPE_DIFFERENCING ? ancestors_of(chain) : NULL;
    bool changed = false;
    for (uint32_t i = 0; i < compact->layout->blocks; i++) {
        if (compact->bat[i] == VHD_BAT_UNUSED)
            continue;
        if (stopped(compact, i, compact->layout->blocks, error) ||
            !judge_block(compact, chain, below, i, error))
            return false;
        changed = changed || compact->bat[i] == VHD_BAT_UNUSED;
    }
    return !changed || relocate(compact, false, error);
}

/* ---- gaps */

static int by_off(const void *a, const void *b)
{
    const Range *x = a, *y = b;
    return x->off < y->off ? -1 : x->off > y->off;
}

static uint64_t block_off(const Compact *compact, uint32_t block)
{
    return (uint64_t)compact->bat[block] * VHD_SECTOR_BYTES;
}

/* All that is used, by place. */
static GArray *used_ranges(const Compact *compact)
{
    GArray *used = g_array_new(FALSE, FALSE, sizeof(Range));
    const VhdLayout *layout = compact->layout;
    for (unsigned i = 0; i < layout->regions; i++) {
        Range range = {layout->region[i].off, layout->region[i].off + layout->region[i].len};
        g_array_append_val(used, range);
    }
    for (uint32_t i = 0; i < layout->blocks; i++) {
        Range range = {block_off(compact, i),
                       block_off(compact, i) + vhd_layout_block_span(layout)};
        if (compact->bat[i] != VHD_BAT_UNUSED)
            g_array_append_val(used, range);
    }
    qsort(used->data, used->len, sizeof(Range), by_off);
    return used;
}

/* Gaps between what is used, the last one excepted: that is the file's end. */
static void find_gaps(Compact *compact)
{
    g_autoptr(GArray) used = used_ranges(compact);
    uint64_t end = 0;
    g_array_set_size(compact->ranges, 0);
    for (unsigned i = 0; i < used->len; i++) {
        Range range = g_array_index(used, Range, i);
        if (range.off > end)
            g_array_append_vals(compact->ranges, &(Range){end, range.off}, 1);
        end = MAX(end, range.end);
    }
}

/* Where in gap a block goes, its data on a page; false: it does not fit. */
static bool fits(const Compact *compact, const Range *gap, uint64_t *off)
{
    uint64_t bitmap = (uint64_t)compact->layout->bitmap_sectors * VHD_SECTOR_BYTES;
    uint64_t data = (gap->off + bitmap + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES;
    *off = data - bitmap;
    return *off + vhd_layout_block_span(compact->layout) <= gap->end;
}

/* What is a hole stays one: the new place is punched, and only data are copied. */
static int copy_block(Compact *compact, uint64_t from, uint64_t to)
{
    uint64_t at = from, end = from + vhd_layout_block_span(compact->layout);
    int err = vhd_file_punch(compact->file, VHD_IO_DATA, to, end - from);
    while (at < end && err == 0) {
        uint64_t data, data_end;
        if (vhd_file_next_data(compact->file, at, &data, &data_end) != 0) {
            data = at;
            data_end = end;
        }
        if (data >= data_end || data >= end)
            break;
        at = MAX(at, data);
        size_t len = (size_t)MIN(MIN(data_end, end) - at, CHUNK_BYTES);
        err = vhd_file_read(compact->file, VHD_IO_DATA, at, compact->buf, len);
        if (err == 0)
            err = vhd_file_write(compact->file, VHD_IO_DATA, to + (at - from), compact->buf, len);
        at += len;
    }
    return err;
}

typedef struct Place {
    uint64_t off;
    uint32_t block;
} Place;

static int last_first(const void *a, const void *b)
{
    const Place *x = a, *y = b;
    return x->off < y->off ? 1 : x->off > y->off ? -1 : 0;
}

static GArray *places_from_end(const Compact *compact)
{
    GArray *places = g_array_new(FALSE, FALSE, sizeof(Place));
    for (uint32_t i = 0; i < compact->layout->blocks; i++) {
        Place place = {block_off(compact, i), i};
        if (compact->bat[i] != VHD_BAT_UNUSED)
            g_array_append_val(places, place);
    }
    if (places->len > 0)
        qsort(places->data, places->len, sizeof(Place), last_first);
    return places;
}

/* The last blocks go into the first gaps. Where they are now stays as it is until nothing refers to
 * it. *moved: how many. */
static bool move_blocks(Compact *compact, unsigned *moved, GError **error)
{
    g_autoptr(GArray) places = places_from_end(compact);
    uint64_t to;
    *moved = 0;
    for (unsigned i = 0, gap = 0; i < places->len && gap < compact->ranges->len;) {
        const Place *place = &g_array_index(places, Place, i);
        Range *room = &g_array_index(compact->ranges, Range, gap);
        if (room->off >= place->off)
            break;
        if (!fits(compact, room, &to)) {
            gap++;
            continue;
        }
        if (stopped(compact, i, places->len, error))
            return false;
        int err = copy_block(compact, place->off, to);
        if (err < 0)
            return fail(compact, "move its blocks", err, error);
        compact->bat[place->block] = (uint32_t)(to / VHD_SECTOR_BYTES);
        room->off = to + vhd_layout_block_span(compact->layout);
        (*moved)++;
        i++;
    }
    return true;
}

/* What is left of the gaps, and lost blocks in them. Small ones are alignment. */
static bool punch_gaps(Compact *compact, GError **error)
{
    int err = 0;
    find_gaps(compact);
    for (unsigned i = 0; i < compact->ranges->len && err == 0; i++) {
        Range gap = g_array_index(compact->ranges, Range, i);
        if (gap.end - gap.off >= PAGE_BYTES)
            err = vhd_file_punch(compact->file, VHD_IO_DATA, gap.off, gap.end - gap.off);
    }
    return err == 0 ? true : fail(compact, "punch its gaps", err, error);
}

static bool has_slack(Compact *compact, uint64_t *slack, GError **error)
{
    g_autoptr(GArray) used = used_ranges(compact);
    uint64_t end = 0;
    VhdFileInfo info;
    int err = vhd_file_info(compact->file, &info);
    for (unsigned i = 0; i < used->len; i++)
        end = MAX(end, g_array_index(used, Range, i).end);
    *slack = info.bytes > end + PAGE_BYTES ? info.bytes - end - PAGE_BYTES : 0;
    for (unsigned i = 0; i < compact->ranges->len;
         i++) { /* in front of a table behind the blocks */
        Range gap = g_array_index(compact->ranges, Range, i);
        if (gap.end == compact->layout->bat_off && gap.end - gap.off >= PAGE_BYTES)
            *slack += gap.end - gap.off;
    }
    return err == 0 ? true : fail(compact, "look at it", err, error);
}

static bool close_gaps(Compact *compact, GError **error)
{
    uint64_t slack;
    unsigned moved;
    if (!punch_gaps(compact, error) || !move_blocks(compact, &moved, error) ||
        !has_slack(compact, &slack, error))
        return false;
    if (moved == 0 && slack == 0 && !vhd_image_is_displaced(compact->image))
        return true;
    return relocate(compact, true, error);
}

/* ---- the two calls */

static bool begin(Compact *compact, GError **error)
{
    if (!vhd_op_may_change(compact->image, error))
        return false;
    int err = vhd_image_finish(compact->image); /* what waits is in the file from here on */
    compact->file = vhd_image_file(compact->image);
    compact->layout = vhd_image_layout(compact->image);
    compact->bat = g_try_new(uint32_t, MAX(compact->layout->blocks, 1));
    if (err == 0 && !compact->bat)
        err = -ENOMEM;
    if (err < 0)
        return fail(compact, "begin", err, error);
    compact->buf = g_malloc(CHUNK_BYTES);
    compact->ranges = g_array_new(FALSE, FALSE, sizeof(Range));
    for (uint32_t i = 0; i < compact->layout->blocks; i++)
        compact->bat[i] = vhd_image_bat_entry(compact->image, i);
    return true;
}

static void end(Compact *compact)
{
    if (compact->ranges)
        g_array_unref(compact->ranges);
    g_free(compact->buf);
    g_free(compact->bat);
}

bool vhd_op_compact_drop(VhdChain *chain, bool (*stop)(void *data, double part), void *data,
                         GError **error)
{
    Compact compact = {.image = vhd_chain_layer(chain, 0), .stop = stop, .data = data};
    bool done = begin(&compact, error);
    if (done)
        done = compact.layout->type == VHD_TYPE_FIXED ? punch_zeros_in_fixed(&compact, error)
                                                      : drop_blocks(&compact, chain, error);
    end(&compact);
    return done;
}

bool vhd_op_compact_close_gaps(VhdImage *image, bool (*stop)(void *data, double part), void *data,
                               GError **error)
{
    Compact compact = {.image = image, .stop = stop, .data = data};
    bool done = begin(&compact, error);
    if (done && compact.layout->type != VHD_TYPE_FIXED)
        done = close_gaps(&compact, error);
    end(&compact);
    return done;
}
