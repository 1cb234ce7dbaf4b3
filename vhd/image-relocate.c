/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
#include "vhd/image-relocate.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vhd/be.h"
#include "vhd/bitmap.h"
#include "vhd/image-private.h"

#define HEADER_HOME 512u
#define PARTS_MAX   (2 + VHD_LOCATORS)
#define SLACK_BYTES (2 * VHD_PAGE_BYTES) /* alignment and a footer between two things */

/* A record on its way. */
typedef struct Part {
    VhdIoKind kind;
    unsigned slot; /* of a locator */
    uint8_t *bytes;
    uint64_t len;
    uint64_t off;        /* where it is now */
    uint64_t home;       /* where it is to go in the end; 0: it stays behind the blocks */
    uint64_t home_space; /* of a locator there */
} Part;

typedef struct Range {
    uint64_t off, end;
} Range;

typedef struct Move {
    VhdImage *image;
    const VhdRelocation *wanted;
    VhdHeader header; /* with the places of this pass */
    Part parts[PARTS_MAX];
    unsigned count;
    uint64_t file_bytes;  /* before */
    uint64_t first_block; /* what is put in front of the blocks ends here */
    uint64_t tail;        /* where the new set goes */
    uint64_t end;         /* of the file's content in the end */
    uint64_t footer_off;  /* of the trailing footer now */
    uint64_t footer_len;  /* 512; 511 where Virtual PC wrote it */
    GArray *gone;         /* Range: what the image does not refer to in the end */
    uint64_t kept_end;    /* of what stays where it is, and of what goes home */
} Move;

static uint64_t round_up(uint64_t value, uint64_t unit)
{
    return (value + unit - 1) / unit * unit;
}

void vhd_relocation_init(VhdRelocation *relocation, const VhdImage *image)
{
    *relocation = (VhdRelocation){.footer = image->footer, .header = image->header};
}

/* ---- the records */

static Part *add_part(Move *move, VhdIoKind kind, uint64_t len)
{
    Part *part = &move->parts[move->count];
    *part = (Part){.kind = kind, .len = len, .bytes = g_try_malloc0(len)};
    if (!part->bytes)
        return NULL;
    move->count++;
    return part;
}

static Part *find_part(Move *move, VhdIoKind kind)
{
    for (unsigned i = 0; i < move->count; i++)
        if (move->parts[i].kind == kind)
            return &move->parts[i];
    return NULL;
}

static uint64_t bat_bytes_of(uint32_t entries)
{
    return round_up((uint64_t)entries * 4, VHD_SECTOR_BYTES);
}

/* Bits of blocks that are there before and after. One that was the last may have been full with
 * fewer sectors than it has now. */
static void carry_batmap(Move *move, uint8_t *map, uint64_t map_bytes)
{
    VhdImage *image = move->image;
    uint32_t old_last = image->layout.blocks - 1;
    memcpy(map, image->batmap, (size_t)MIN(map_bytes, image->layout.batmap_bytes));
    bitmap_clear(map, old_last, old_last < map_bytes * 8 ? 1 : 0);
    for (uint32_t i = 0; i < move->wanted->header.bat_entries; i++)
        if (move->wanted->bat[i] == VHD_BAT_UNUSED)
            bitmap_clear(map, i, 1);
    if (move->wanted->header.bat_entries < map_bytes * 8)
        bitmap_clear(map, move->wanted->header.bat_entries,
                     (uint32_t)(map_bytes * 8) - move->wanted->header.bat_entries);
}

static bool add_bat(Move *move)
{
    uint32_t entries = move->wanted->header.bat_entries;
    uint64_t bat_bytes = bat_bytes_of(entries), map_bytes = 0;
    if (move->image->batmap)
        map_bytes = round_up(round_up(entries, 8) / 8, VHD_SECTOR_BYTES);
    Part *part =
        add_part(move, VHD_IO_BAT, bat_bytes + (map_bytes ? VHD_BATMAP_BYTES + map_bytes : 0));
    if (!part)
        return false;
    memset(part->bytes, 0xFF, bat_bytes);
    for (uint32_t i = 0; i < entries; i++)
        be32_put(part->bytes + (size_t)i * 4, move->wanted->bat[i]);
    if (map_bytes > 0)
        carry_batmap(move, part->bytes + bat_bytes + VHD_BATMAP_BYTES, map_bytes);
    return true;
}

static bool add_parts(Move *move)
{
    const VhdRelocation *wanted = move->wanted;
    if (wanted->bat && !add_bat(move))
        return false;
    for (unsigned i = 0; wanted->new_locators && i < VHD_LOCATORS; i++) {
        uint32_t len = wanted->header.locators[i].data_length;
        if (!wanted->locator[i])
            continue;
        Part *part = add_part(move, VHD_IO_LOCATOR, len);
        if (!part)
            return false;
        part->slot = i;
        memcpy(part->bytes, wanted->locator[i], len);
    }
    return add_part(move, VHD_IO_HEADER, VHD_HEADER_BYTES) != NULL;
}

/* ---- places */

/* Is the region left where it is, with what it holds? */
static bool region_stays(const Move *move, const VhdRegion *region)
{
    switch (region->kind) {
    case VHD_REGION_HEADER:
        return false;
    case VHD_REGION_BAT:
    case VHD_REGION_BATMAP_HEADER:
    case VHD_REGION_BATMAP:
        return !move->wanted->bat;
    case VHD_REGION_LOCATOR:
    case VHD_REGION_LOCATOR_SPACE:
        return !move->wanted->new_locators;
    default:
        return true;
    }
}

static bool touches(uint64_t a_off, uint64_t a_len, uint64_t b_off, uint64_t b_len)
{
    return a_off < b_off + b_len && b_off < a_off + a_len;
}

/* Once all that moves is gone: may len bytes lie at off, in front of the blocks? */
static bool is_free(const Move *move, uint64_t off, uint64_t len)
{
    const VhdLayout *layout = &move->image->layout;
    if (off == 0 || off + len > move->first_block)
        return false;
    for (unsigned i = 0; i < layout->regions; i++) {
        const VhdRegion *region = &layout->region[i];
        if (region_stays(move, region) && touches(off, len, region->off, region->len))
            return false;
    }
    for (unsigned i = 0; i < move->count; i++) {
        const Part *part = &move->parts[i];
        if (part->home && touches(off, len, part->home, MAX(part->len, part->home_space)))
            return false;
    }
    return true;
}

/* A locator goes to the place of an old one, with the space that that has. */
static void find_locator_home(Move *move, Part *part)
{
    const VhdLayout *layout = &move->image->layout;
    for (unsigned i = 0; i < layout->regions && !part->home; i++) {
        const VhdRegion *old = &layout->region[i];
        uint64_t space = old->len;
        if (old->kind != VHD_REGION_LOCATOR || old->off % VHD_SECTOR_BYTES != 0)
            continue;
        if (i + 1 < layout->regions && old[1].kind == VHD_REGION_LOCATOR_SPACE &&
            old[1].off == old->off + old->len)
            space += old[1].len;
        if (part->len <= space && is_free(move, old->off, space)) {
            part->home = old->off;
            part->home_space = space;
        }
    }
}

/* Without a home for the header nothing goes home: it could not say so. */
static void find_homes(Move *move)
{
    Part *header = find_part(move, VHD_IO_HEADER), *bat = find_part(move, VHD_IO_BAT);
    uint64_t bat_home = move->image->layout.bat_off;
    if (!is_free(move, HEADER_HOME, VHD_HEADER_BYTES))
        return;
    header->home = HEADER_HOME;
    if (bat && bat_home < move->first_block && is_free(move, bat_home, bat->len))
        bat->home = bat_home;
    else if (bat && is_free(move, HEADER_HOME + VHD_HEADER_BYTES, bat->len))
        bat->home = HEADER_HOME + VHD_HEADER_BYTES;
    else if (bat && move->wanted->cut_leaks &&
             round_up(move->kept_end, VHD_PAGE_BYTES) + bat->len <= move->tail)
        bat->home = round_up(move->kept_end, VHD_PAGE_BYTES);
    for (unsigned i = 0; i < move->count; i++)
        if (move->parts[i].kind == VHD_IO_LOCATOR)
            find_locator_home(move, &move->parts[i]);
}

/* Behind the end, what stays there first. Returns the end of what stays. */
static uint64_t place_in_tail(Move *move)
{
    uint64_t at = move->tail, stays_end = 0;
    for (int goes_home = 0; goes_home <= 1; goes_home++) {
        for (unsigned i = 0; i < move->count; i++) {
            Part *part = &move->parts[i];
            if ((part->home != 0) != goes_home)
                continue;
            part->off = at;
            at = round_up(at + part->len, VHD_PAGE_BYTES);
            if (!goes_home)
                stays_end = part->off + part->len;
        }
    }
    move->end = at;
    return stays_end;
}

/* ---- what is left of the file */

static int by_end_descending(const void *a, const void *b)
{
    const Range *x = a, *y = b;
    return x->end < y->end ? 1 : x->end > y->end ? -1 : 0;
}

static void note_range(Move *move, uint64_t off, uint64_t len, bool stays)
{
    Range range = {off, off + len};
    if (stays)
        move->kept_end = MAX(move->kept_end, range.end);
    else
        g_array_append_val(move->gone, range); /* sorted later */
}

static void note_blocks(Move *move)
{
    VhdImage *image = move->image;
    const VhdRelocation *wanted = move->wanted;
    uint64_t span = vhd_layout_block_span(&image->layout);
    for (uint32_t i = 0; i < image->layout.blocks; i++) {
        uint32_t old = vhd_image_entry(image, i), now = old;
        if (wanted->bat)
            now = i < wanted->header.bat_entries ? wanted->bat[i] : VHD_BAT_UNUSED;
        if (old != VHD_BAT_UNUSED && now != old)
            note_range(move, (uint64_t)old * VHD_SECTOR_BYTES, span, false);
        if (now != VHD_BAT_UNUSED)
            note_range(move, (uint64_t)now * VHD_SECTOR_BYTES, span, true);
        if (old != VHD_BAT_UNUSED || now != VHD_BAT_UNUSED)
            move->first_block = MIN(move->first_block, (uint64_t)MIN(old, now) * VHD_SECTOR_BYTES);
    }
}

/* What stays where it is, and what is gone in the end. */
static void note_all(Move *move)
{
    const VhdLayout *layout = &move->image->layout;
    move->first_block = move->image->data_end;
    for (unsigned i = 0; i < layout->regions; i++) {
        const VhdRegion *region = &layout->region[i];
        bool stays = region_stays(move, region);
        if (stays || region->kind != VHD_REGION_LOCATOR_SPACE) /* blocks may lie in that */
            note_range(move, region->off, region->len, stays);
    }
    note_blocks(move);
}

/* Where the file's content ends once what is gone is gone. Only what is known to be gone may be cut
 * off, so it has to be the last thing there. */
static uint64_t end_without_gone(Move *move)
{
    uint64_t end = move->wanted->cut_leaks ? 0 : move->image->data_end;
    for (unsigned i = 0; i < move->count; i++) {
        const Part *part = &move->parts[i];
        if (part->home)
            move->kept_end = MAX(move->kept_end, part->home + MAX(part->len, part->home_space));
    }
    qsort(move->gone->data, move->gone->len, sizeof(Range), by_end_descending);
    for (unsigned i = 0; i < move->gone->len; i++) {
        const Range *range = &g_array_index(move->gone, Range, i);
        if (range->end + SLACK_BYTES < end)
            break;
        end = MIN(end, range->off);
    }
    return round_up(MAX(end, move->kept_end), VHD_SECTOR_BYTES);
}

static int plan(Move *move)
{
    VhdImage *image = move->image;
    VhdFileInfo info;
    int result = vhd_file_info(image->file, &info);
    if (result < 0)
        return result;
    move->file_bytes = info.bytes;
    move->footer_len =
        VHD_FOOTER_BYTES - (info.bytes % VHD_SECTOR_BYTES == VHD_FOOTER_BYTES - 1 ? 1 : 0);
    move->footer_off = info.bytes - move->footer_len;
    note_all(move);
    move->tail = round_up(MAX(info.bytes, image->data_end), VHD_PAGE_BYTES);
    if (!add_parts(move))
        return -ENOMEM;
    find_homes(move);
    return 0;
}

/* ---- writing */

/* Offsets of this pass into the records that name them. */
static void fill_in(Move *move)
{
    VhdImage *image = move->image;
    Part *bat = find_part(move, VHD_IO_BAT);
    move->header = move->wanted->header;
    move->header.bat_offset = bat ? bat->off : image->layout.bat_off;
    for (unsigned i = 0; i < move->count; i++) {
        const Part *part = &move->parts[i];
        VhdLocator *locator = &move->header.locators[part->slot];
        if (part->kind != VHD_IO_LOCATOR)
            continue;
        locator->data_offset = part->off;
        locator->data_space =
            (uint32_t)(part->off == part->home ? part->home_space
                                               : round_up(part->len, VHD_SECTOR_BYTES));
    }
    vhd_header_encode(&move->header, find_part(move, VHD_IO_HEADER)->bytes);
    uint64_t bat_bytes = bat_bytes_of(move->header.bat_entries);
    if (!bat || bat->len == bat_bytes)
        return;
    VhdBatmapHeader batmap = image->batmap_header;
    uint8_t *map = bat->bytes + bat_bytes + VHD_BATMAP_BYTES;
    uint64_t map_bytes = bat->len - bat_bytes - VHD_BATMAP_BYTES;
    batmap.map_offset = bat->off + bat_bytes + VHD_BATMAP_BYTES;
    batmap.map_sectors = (uint32_t)(map_bytes / VHD_SECTOR_BYTES);
    batmap.checksum = vhd_batmap_checksum(map, map_bytes, move->wanted->footer.current_bytes);
    vhd_batmap_encode(&batmap, bat->bytes + bat_bytes);
}

/* The parts that have a home, or all. */
static int write_parts(Move *move, bool homeless_too)
{
    int result = 0;
    fill_in(move);
    for (unsigned i = 0; i < move->count && result == 0; i++) {
        const Part *part = &move->parts[i];
        if (part->home || homeless_too)
            result = vhd_file_write(move->image->file, part->kind, part->off, part->bytes,
                                    (size_t)part->len);
    }
    return result;
}

static int write_footer(Move *move, uint64_t off)
{
    VhdFooter footer = move->wanted->footer;
    uint8_t raw[VHD_FOOTER_BYTES];
    footer.data_offset = find_part(move, VHD_IO_HEADER)->off;
    vhd_footer_encode(&footer, raw);
    int result = vhd_file_write(move->image->file, VHD_IO_FOOTER, off, raw, sizeof raw);
    return result == 0 ? vhd_file_barrier(move->image->file) : result;
}

/* The parts are durable: make them the image's. end: of the content from now on. */
static int switch_over(Move *move, uint64_t end)
{
    static const uint8_t zeros[VHD_FOOTER_BYTES];
    int result = vhd_file_write(move->image->file, VHD_IO_FOOTER, move->footer_off, zeros,
                                (size_t)move->footer_len);
    if (result == 0)
        result = vhd_file_barrier(move->image->file);
    if (result == 0)
        result = write_footer(move, 0);
    if (result < 0)
        return result;
    move->footer_off = vhd_image_footer_off(end);
    move->footer_len = VHD_FOOTER_BYTES;
    return write_footer(move, move->footer_off);
}

static int first_pass(Move *move)
{
    VhdFile *file = move->image->file;
    int result = vhd_file_claim(file, move->tail,
                                vhd_image_footer_off(move->end) + VHD_FOOTER_BYTES - move->tail);
    if (result == 0)
        result = write_parts(move, true);
    if (result < 0) { /* nothing refers to it; the old footer is the last one again */
        vhd_file_resize(file, move->file_bytes);
        return result;
    }
    result = vhd_file_barrier(file);
    return result == 0 ? switch_over(move, move->end) : result;
}

static int second_pass(Move *move, uint64_t end)
{
    for (unsigned i = 0; i < move->count; i++)
        if (move->parts[i].home)
            move->parts[i].off = move->parts[i].home;
    int result = write_parts(move, false);
    if (result == 0)
        result = vhd_file_barrier(move->image->file);
    if (result == 0)
        result = switch_over(move, end);
    if (result == 0)
        result = vhd_file_resize(move->image->file, move->footer_off + VHD_FOOTER_BYTES);
    return result == 0 ? vhd_file_barrier(move->image->file) : result;
}

/* Space that nothing refers to any more goes back to the file system, as far as no record has been
 * put there. If that fails, check finds a leak, no more. */
static void punch_gone(const Move *move, uint64_t end)
{
    for (unsigned i = 0; i < move->gone->len; i++) {
        Range range = g_array_index(move->gone, Range, i);
        for (unsigned k = 0; k < move->count; k++) {
            const Part *part = &move->parts[k];
            if (touches(range.off, range.end - range.off, part->off, part->len))
                range.off = round_up(part->off + part->len, VHD_SECTOR_BYTES);
        }
        range.end = MIN(range.end, end);
        if (range.off < range.end)
            vhd_file_punch(move->image->file, VHD_IO_DATA, range.off, range.end - range.off);
    }
}

static int run(Move *move)
{
    int result = plan(move);
    if (result < 0)
        return result;
    uint64_t stays_end = place_in_tail(move);
    uint64_t end = end_without_gone(move);
    if (stays_end)
        end = stays_end;
    result = first_pass(move);
    if (result == 0 && find_part(move, VHD_IO_HEADER)->home)
        result = second_pass(move, end);
    if (result == 0)
        punch_gone(move, end);
    return result;
}

int vhd_image_relocate(VhdImage *image, const VhdRelocation *wanted)
{
    if (!image->writable || image->layout.type == VHD_TYPE_FIXED)
        return -EROFS;
    int result = vhd_image_finish(image);
    if (result < 0)
        return result;
    Move move = {.image = image, .wanted = wanted};
    move.gone = g_array_new(FALSE, FALSE, sizeof(Range));
    result = run(&move);
    g_array_unref(move.gone);
    for (unsigned i = 0; i < move.count; i++)
        g_free(move.parts[i].bytes);
    pthread_mutex_lock(&image->lock);
    image->failed = true; /* what memory says is not what the file says any more */
    pthread_mutex_unlock(&image->lock);
    return result;
}

bool vhd_image_is_displaced(VhdImage *image)
{
    VhdRelocation same;
    vhd_relocation_init(&same, image);
    Move move = {.image = image, .wanted = &same};
    move.gone = g_array_new(FALSE, FALSE, sizeof(Range));
    note_all(&move);
    g_array_unref(move.gone);
    return image->layout.header_off != HEADER_HOME && is_free(&move, HEADER_HOME, VHD_HEADER_BYTES);
}
