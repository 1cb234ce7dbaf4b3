/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * Sector bitmaps in memory. A block is in the table while its bitmap says something that neither
 * the BAT nor image->full does: it is partly present, being read, being claimed, or has bits that
 * are not on disk yet. Clean ones beyond VHD_BITMAP_CACHE_BYTES are forgotten, the one unused for
 * longest first.
 */
#include "vhd/image-private.h"

#include <errno.h>
#include <string.h>

#include "vhd/bitmap.h"

#define EVICT_TRIES 64 /* at most this many blocks are looked at to make room for one */

VhdBlock *vhd_block_lookup_locked(VhdImage *image, uint32_t index)
{
    return g_hash_table_lookup(image->blocks, GUINT_TO_POINTER(index));
}

void vhd_block_touch_locked(VhdImage *image, VhdBlock *block)
{
    g_queue_unlink(&image->lru, &block->lru);
    g_queue_push_tail_link(&image->lru, &block->lru);
}

static uint64_t block_cost(const VhdImage *image)
{
    return sizeof(VhdBlock) + vhd_image_bitmap_bytes(image) + image->layout.bitmap_sectors / 8 + 1;
}

void vhd_block_free(VhdBlock *block)
{
    if (!block)
        return;
    g_free(block->bits);
    g_free(block->dirty);
    g_free(block);
}

void vhd_block_drop_locked(VhdImage *image, VhdBlock *block)
{
    if (block->is_dirty)
        g_ptr_array_remove_fast(image->dirty_blocks, block);
    g_queue_unlink(&image->lru, &block->lru);
    g_hash_table_remove(image->blocks, GUINT_TO_POINTER(block->index));
    image->cached_bytes -= block_cost(image);
    vhd_block_free(block);
}

static bool is_evictable(const VhdBlock *block)
{
    return block->state == VHD_BLOCK_READY && !block->is_new && !block->is_dirty &&
           !block->flushing && block->writers == 0;
}

static void make_room_locked(VhdImage *image)
{
    GList *link = image->lru.head;
    for (unsigned tries = 0; link && tries < EVICT_TRIES; tries++) {
        VhdBlock *block = link->data;
        link = link->next;
        if (image->cached_bytes <= VHD_BITMAP_CACHE_BYTES)
            return;
        if (is_evictable(block)) {
            vhd_block_drop_locked(image, block);
        } else { /* out of the way: or the next to come would find none but these */
            vhd_block_touch_locked(image, block);
        }
    }
}

VhdBlock *vhd_block_add_locked(VhdImage *image, uint32_t index, uint32_t entry)
{
    VhdBlock *block = g_new0(VhdBlock, 1);
    block->index = index;
    block->entry = entry;
    block->bits = g_malloc0(vhd_image_bitmap_bytes(image));
    block->dirty = g_malloc0(image->layout.bitmap_sectors / 8 + 1);
    block->lru.data = block;
    g_hash_table_insert(image->blocks, GUINT_TO_POINTER(index), block);
    g_queue_push_tail_link(&image->lru, &block->lru);
    image->cached_bytes += block_cost(image);
    make_room_locked(image);
    return block;
}

void vhd_block_ready_locked(VhdImage *image, VhdBlock *block)
{
    block->state = VHD_BLOCK_READY;
    pthread_cond_broadcast(&image->changed);
}

static void note_if_full_locked(VhdImage *image, const VhdBlock *block)
{
    uint32_t used = vhd_layout_block_used_sectors(&image->layout, block->index);
    if (bitmap_all_set(block->bits, 0, used))
        bitmap_set(image->full, block->index, 1);
}

void vhd_block_settle_locked(VhdImage *image, VhdBlock *block)
{
    if (is_evictable(block) && bitmap_get(image->full, block->index))
        vhd_block_drop_locked(image, block);
}

/* Read the bitmap with the lock let go; others wait for the block to leave BUSY. */
static int load_locked(VhdImage *image, uint32_t index, VhdBlock **loaded)
{
    VhdBlock *block = vhd_block_add_locked(image, index, vhd_image_entry(image, index));
    block->published = true;
    uint64_t off = (uint64_t)block->entry * VHD_SECTOR_BYTES;
    pthread_mutex_unlock(&image->lock);
    int result =
        vhd_file_read(image->file, VHD_IO_BITMAP, off, block->bits, vhd_image_bitmap_bytes(image));
    pthread_mutex_lock(&image->lock);
    vhd_block_ready_locked(image, block);
    if (result < 0) {
        vhd_block_drop_locked(image, block);
        return result == -ENODATA ? -EIO : result;
    }
    note_if_full_locked(image, block);
    vhd_block_settle_locked(image, block);
    *loaded = vhd_block_lookup_locked(image, index);
    return 0;
}

int vhd_block_get_locked(VhdImage *image, uint32_t index, VhdBlock **found)
{
    for (;;) {
        VhdBlock *block = vhd_block_lookup_locked(image, index);
        *found = block;
        if (!block)
            break;
        if (block->state == VHD_BLOCK_READY) {
            vhd_block_touch_locked(image, block);
            return 0;
        }
        pthread_cond_wait(&image->changed, &image->lock);
    }
    if (vhd_image_entry(image, index) == VHD_BAT_UNUSED || bitmap_get(image->full, index))
        return 0;
    return load_locked(image, index, found);
}

void vhd_block_mark_dirty_locked(VhdImage *image, VhdBlock *block)
{
    if (!block->is_dirty)
        g_ptr_array_add(image->dirty_blocks, block);
    block->is_dirty = true;
}

void vhd_block_set_bits_locked(VhdImage *image, VhdBlock *block, uint32_t first, uint32_t count)
{
    const uint32_t bits_per_sector = VHD_SECTOR_BYTES * 8;
    if (bitmap_set(block->bits, first, count) == 0)
        return;
    uint32_t first_sector = first / bits_per_sector;
    uint32_t last_sector = (first + count - 1) / bits_per_sector;
    unsigned added = bitmap_set(block->dirty, first_sector, last_sector - first_sector + 1);
    vhd_block_mark_dirty_locked(image, block);
    vhd_image_note_dirty_locked(image, added);
    note_if_full_locked(image, block);
}
