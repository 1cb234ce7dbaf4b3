/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * Flush: two stages, a barrier behind each.
 *
 *   (1) whole bitmaps of new blocks; barrier: data and those bitmaps are durable
 *   (2) bits of old blocks, BAT sectors, trailing footer; barrier
 *
 * What stage 2 writes is a copy of the metadata as it was when stage 1 began: later bits may speak
 * of data that no barrier covers yet (invariants 2, 3). Without dirty metadata there is one barrier
 * and no stage 2. One flush runs at a time; whoever comes meanwhile shares the next, because the
 * running one began before his writes were published.
 */
#include "vhd/image-private.h"

#include <errno.h>
#include <string.h>

#include "vhd/bitmap.h"
#include "vhd/break.h"

typedef struct FlushWrite {
    VhdIoKind kind;
    uint64_t off;
    size_t len;
    uint8_t *data;
} FlushWrite;

typedef struct FlushedBlock {
    uint32_t index, entry;
    uint8_t *dirty; /* which bitmap sectors: copy of the block's; all for a new one */
    bool is_new;
} FlushedBlock;

/* All that one flush writes, copied under the lock. */
typedef struct FlushSet {
    GArray *stage1, *stage2; /* FlushWrite */
    GArray *blocks;          /* FlushedBlock */
    GArray *bat_sectors;     /* uint32_t */
    GArray *limbo;           /* uint32_t: slots free once stage 2 is durable */
    bool footer;
    bool clear_batmap;
    unsigned entries;
    uint64_t bytes, oldest_us;
    uint64_t log_tail;
    VhdPendingBase base;
} FlushSet;

static void free_write(void *write)
{
    g_free(((FlushWrite *)write)->data);
}

static void free_block_copy(void *block)
{
    g_free(((FlushedBlock *)block)->dirty);
}

static void set_init(FlushSet *set)
{
    *set = (FlushSet){0};
    set->stage1 = g_array_new(FALSE, FALSE, sizeof(FlushWrite));
    set->stage2 = g_array_new(FALSE, FALSE, sizeof(FlushWrite));
    set->blocks = g_array_new(FALSE, FALSE, sizeof(FlushedBlock));
    set->bat_sectors = g_array_new(FALSE, FALSE, sizeof(uint32_t));
    set->limbo = g_array_new(FALSE, FALSE, sizeof(uint32_t));
    g_array_set_clear_func(set->stage1, free_write);
    g_array_set_clear_func(set->stage2, free_write);
    g_array_set_clear_func(set->blocks, free_block_copy);
}

static void set_clear(FlushSet *set)
{
    g_array_unref(set->stage1);
    g_array_unref(set->stage2);
    g_array_unref(set->blocks);
    g_array_unref(set->bat_sectors);
    g_array_unref(set->limbo);
}

static void add_write(GArray *stage, VhdIoKind kind, uint64_t off, const uint8_t *data, size_t len)
{
    FlushWrite write = {kind, off, len, g_memdup2(data, len)};
    g_array_append_val(stage, write);
}

/* Runs of dirty bitmap sectors of an old block. */
static void add_dirty_sectors(VhdImage *image, FlushSet *set, const VhdBlock *block)
{
    uint32_t limit = image->layout.bitmap_sectors;
    for (uint32_t at = 0; at < limit;) {
        bool dirty;
        uint32_t run = bitmap_run(block->dirty, at, limit, &dirty);
        if (dirty)
            add_write(set->stage2, VHD_IO_BITMAP, ((uint64_t)block->entry + at) * VHD_SECTOR_BYTES,
                      block->bits + (size_t)at * VHD_SECTOR_BYTES, (size_t)run * VHD_SECTOR_BYTES);
        at += run;
    }
}

static void copy_block_locked(VhdImage *image, FlushSet *set, VhdBlock *block)
{
    size_t dirty_bytes = image->layout.bitmap_sectors / 8 + 1;
    FlushedBlock copy = {block->index, block->entry, g_memdup2(block->dirty, dirty_bytes),
                         block->is_new};
    if (block->is_new)
        add_write(VHD_BROKEN(NEW_BITMAP) ? set->stage2 : set->stage1, VHD_IO_BITMAP,
                  (uint64_t)block->entry * VHD_SECTOR_BYTES, block->bits,
                  vhd_image_bitmap_bytes(image));
    else
        add_dirty_sectors(image, set, block);
    g_array_append_val(set->blocks, copy);
    memset(block->dirty, 0, dirty_bytes);
    block->is_dirty = false;
    block->flushing = true;
}

static void copy_bat_locked(VhdImage *image, FlushSet *set)
{
    GHashTableIter iter;
    void *key;
    g_hash_table_iter_init(&iter, image->dirty_bat);
    while (g_hash_table_iter_next(&iter, &key, NULL)) {
        uint32_t sector = GPOINTER_TO_UINT(key);
        uint8_t raw[VHD_SECTOR_BYTES];
        vhd_image_encode_bat_sector_locked(image, sector, raw);
        add_write(set->stage2, VHD_IO_BAT,
                  image->layout.bat_off + (uint64_t)sector * VHD_SECTOR_BYTES, raw, sizeof raw);
        g_array_append_val(set->bat_sectors, sector);
    }
    g_hash_table_remove_all(image->dirty_bat);
}

static void copy_footer_locked(VhdImage *image, FlushSet *set)
{
    uint8_t raw[VHD_FOOTER_BYTES];
    uint64_t off = vhd_image_footer_off(image->footer_end);
    vhd_footer_encode(&image->footer, raw);
    add_write(set->stage2, VHD_IO_FOOTER, off, raw, sizeof raw);
    set->base.file_bytes = off + VHD_FOOTER_BYTES;
    set->footer = true;
    image->footer_dirty = false;
}

/* Move all that is dirty into set. */
static void take_dirt_locked(VhdImage *image, FlushSet *set)
{
    set->base = image->pending_base;
    for (unsigned i = 0; i < image->dirty_blocks->len; i++)
        copy_block_locked(image, set, image->dirty_blocks->pdata[i]);
    g_ptr_array_set_size(image->dirty_blocks, 0);
    copy_bat_locked(image, set);
    if (image->footer_dirty)
        copy_footer_locked(image, set);
    g_array_append_vals(set->limbo, image->limbo_slots->data, image->limbo_slots->len);
    set->clear_batmap = image->limbo_slots->len > 0 && image->batmap && !image->batmap_cleared &&
                        !VHD_BROKEN(BATMAP_CLEAR);
    g_array_set_size(image->limbo_slots, 0);
    set->entries = image->dirty_entries;
    set->bytes = image->dirty_bytes;
    set->oldest_us = image->oldest_us;
    image->dirty_entries = 0;
    image->dirty_bytes = 0;
    image->oldest_us = 0;
    set->base.bat_checksum = image->bat_checksum;
    if (image->pending)
        set->log_tail = vhd_pending_tail(vhd_pending_store_log(image->pending));
    if (image->pending && VHD_BROKEN(LOG_DROP_EARLY))
        vhd_pending_drop(vhd_pending_store_log(image->pending), set->log_tail, &set->base);
}

/* The block that a copy was taken of, NULL if it was released meanwhile. */
static VhdBlock *find_copied_locked(VhdImage *image, const FlushedBlock *copy)
{
    VhdBlock *block = vhd_block_lookup_locked(image, copy->index);
    return block && block->entry == copy->entry && block->flushing ? block : NULL;
}

static void put_back_block_locked(VhdImage *image, VhdBlock *block, const FlushedBlock *copy)
{
    for (uint32_t i = 0; i <= image->layout.bitmap_sectors / 8; i++)
        block->dirty[i] |= copy->dirty[i];
    vhd_block_mark_dirty_locked(image, block);
}

/* A write failed: all of set stays dirty, the next flush tries again (invariant 7). */
static void put_back_locked(VhdImage *image, FlushSet *set)
{
    for (unsigned i = 0; i < set->bat_sectors->len; i++)
        g_hash_table_add(image->dirty_bat,
                         GUINT_TO_POINTER(g_array_index(set->bat_sectors, uint32_t, i)));
    image->footer_dirty |= set->footer;
    g_array_append_vals(image->limbo_slots, set->limbo->data, set->limbo->len);
    image->dirty_entries += set->entries;
    image->dirty_bytes += set->bytes;
    if (set->oldest_us && (image->oldest_us == 0 || set->oldest_us < image->oldest_us))
        image->oldest_us = set->oldest_us;
}

static void settle_locked(VhdImage *image, FlushSet *set, int result)
{
    if (result < 0)
        put_back_locked(image, set);
    for (unsigned i = 0; i < set->blocks->len; i++) {
        FlushedBlock *copy = &g_array_index(set->blocks, FlushedBlock, i);
        VhdBlock *block = find_copied_locked(image, copy);
        if (!block)
            continue;
        block->flushing = false;
        if (result < 0)
            put_back_block_locked(image, block, copy);
        else
            vhd_block_settle_locked(image, block);
    }
    if (result < 0)
        return;
    for (unsigned i = 0; i < set->limbo->len; i++)
        vhd_image_give_back_slot_locked(image, g_array_index(set->limbo, uint32_t, i));
    image->pending_base = set->base;
    if (image->pending)
        vhd_pending_drop(vhd_pending_store_log(image->pending), set->log_tail, &set->base);
}

static int write_all(VhdImage *image, const GArray *writes)
{
    for (unsigned i = 0; i < writes->len; i++) {
        const FlushWrite *write = &g_array_index(writes, FlushWrite, i);
        int result = vhd_file_write(image->file, write->kind, write->off, write->data, write->len);
        if (result < 0)
            return result;
    }
    return 0;
}

static int barrier(VhdImage *image)
{
    int result = vhd_file_barrier(image->file);
    pthread_mutex_lock(&image->lock);
    image->barriers++;
    if (result < 0 && !VHD_BROKEN(POISON)) {
        image->failed = true;
        vhd_image_forget_log_locked(image);
    }
    pthread_mutex_unlock(&image->lock);
    return result;
}

/* From here on the entries may be on disk, whatever becomes of the write (invariant 2). */
static void make_old(VhdImage *image, FlushSet *set)
{
    pthread_mutex_lock(&image->lock);
    for (unsigned i = 0; i < set->blocks->len; i++) {
        VhdBlock *block = find_copied_locked(image, &g_array_index(set->blocks, FlushedBlock, i));
        if (block)
            block->is_new = VHD_BROKEN(STAYS_NEW) && block->is_new;
    }
    pthread_mutex_unlock(&image->lock);
}

/* What a flush must not do, see vhd/break.h. */
static void copy_bits_late(VhdImage *image, FlushSet *set)
{
    pthread_mutex_lock(&image->lock);
    for (unsigned i = 0; i < set->blocks->len; i++) {
        VhdBlock *block = find_copied_locked(image, &g_array_index(set->blocks, FlushedBlock, i));
        if (block)
            add_write(set->stage2, VHD_IO_BITMAP, (uint64_t)block->entry * VHD_SECTOR_BYTES,
                      block->bits, vhd_image_bitmap_bytes(image));
    }
    pthread_mutex_unlock(&image->lock);
}

static int write_set(VhdImage *image, FlushSet *set)
{
    int result = set->clear_batmap ? vhd_image_clear_batmap(image) : 0;
    if (result == 0)
        result = write_all(image, set->stage1);
    if (result == 0 && !(set->stage2->len ? VHD_BROKEN(DATA_BARRIER) : VHD_BROKEN(PLAIN_BARRIER)))
        result = barrier(image);
    if (result < 0 || set->stage2->len == 0)
        return result;
    make_old(image, set);
    if (VHD_BROKEN(LATE_COPY))
        copy_bits_late(image, set);
    result = write_all(image, set->stage2);
    return result == 0 && !VHD_BROKEN(LAST_BARRIER) ? barrier(image) : result;
}

/* What their BAT entries named no more is free from here on, and shows it: zeros that check does
 * not take for a lost block. Not yet in free_slots, so nobody else writes there. If it fails, check
 * finds a leak, no more. */
static void wipe_freed_bitmaps(VhdImage *image, const FlushSet *set)
{
    for (unsigned i = 0; i < set->limbo->len; i++) {
        uint64_t entry = g_array_index(set->limbo, uint32_t, i);
        vhd_file_punch(image->file, VHD_IO_BITMAP, entry * VHD_SECTOR_BYTES,
                       vhd_image_bitmap_bytes(image));
    }
}

static int run_flush(VhdImage *image)
{
    FlushSet set;
    set_init(&set);
    pthread_mutex_lock(&image->lock);
    take_dirt_locked(image, &set);
    pthread_mutex_unlock(&image->lock);
    int result = write_set(image, &set);
    if (result == 0)
        wipe_freed_bitmaps(image, &set);
    pthread_mutex_lock(&image->lock);
    settle_locked(image, &set, result);
    pthread_mutex_unlock(&image->lock);
    set_clear(&set);
    return result;
}

static int run_next_locked(VhdImage *image)
{
    VhdFlushState *flush = &image->flush;
    uint64_t number = ++flush->started;
    flush->running = true;
    pthread_mutex_unlock(&image->lock);
    int result = run_flush(image);
    pthread_mutex_lock(&image->lock);
    flush->running = false;
    flush->finished = number;
    flush->result = result;
    pthread_cond_broadcast(&image->changed);
    return result;
}

int vhd_image_flush(VhdImage *image)
{
    if (!image->writable)
        return 0;
    VhdFlushState *flush = &image->flush;
    pthread_mutex_lock(&image->lock);
    uint64_t wanted = flush->started + (VHD_BROKEN(FLUSH_JOIN) && flush->running ? 0 : 1);
    int result = 0;
    while (flush->finished < wanted && !image->failed) {
        if (!flush->running)
            run_next_locked(image);
        else
            pthread_cond_wait(&image->changed, &image->lock);
    }
    /* A later flush than the one waited for has written what that one could not. */
    result = image->failed ? -EIO : flush->result;
    pthread_mutex_unlock(&image->lock);
    return result;
}
