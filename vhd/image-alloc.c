/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * Writes: a place is reserved (begin), the caller writes the data, the write is published (end).
 *
 *   unallocated --reserve--> BUSY --claimed--> READY, is_new --end_write(ok)--> published
 * --flush--> old ^                     |                    |
 *        +----- no space ------+---- all failed ----+
 *
 * A new block goes behind everything that is there, its bitmap ending at a page boundary, so that
 * its data is aligned. Space for the bitmap and for the footer behind the block is claimed at once,
 * so that a later flush cannot run out of it; its data stays a hole until it is written.
 */
#include "vhd/image-private.h"

#include <errno.h>

#include "vhd/bitmap.h"
#include "vhd/break.h"

/* Records of the pending log that a write which must not wait leaves to others. If those who write
 * meanwhile take so many, it has to flush at its end after all. */
#define LOG_SPARE 64

static uint64_t round_up(uint64_t value, uint64_t unit)
{
    return (value + unit - 1) / unit * unit;
}

uint64_t vhd_image_footer_off(uint64_t data_end)
{
    return round_up(data_end + VHD_FOOTER_BYTES, VHD_PAGE_BYTES) - VHD_FOOTER_BYTES;
}

/* Space for one block; *used_before: bytes of an earlier use may stand there. 0 or -ENOSPC. */
static int take_slot_locked(VhdImage *image, uint32_t *entry, bool *used_before)
{
    if (image->free_slots->len > 0) {
        *entry = g_array_index(image->free_slots, uint32_t, image->free_slots->len - 1);
        g_array_set_size(image->free_slots, image->free_slots->len - 1);
        *used_before = true;
        return 0;
    }
    uint64_t bitmap_bytes = vhd_image_bitmap_bytes(image);
    uint64_t data_off = round_up(image->data_end + bitmap_bytes, VHD_PAGE_BYTES);
    uint64_t sector = (data_off - bitmap_bytes) / VHD_SECTOR_BYTES;
    if (sector >= VHD_BAT_UNUSED)
        return -ENOSPC;
    *entry = (uint32_t)sector;
    *used_before = sector * VHD_SECTOR_BYTES < image->stale_end;
    image->data_end = data_off + (uint64_t)image->layout.block_sectors * VHD_SECTOR_BYTES;
    return 0;
}

void vhd_image_give_back_slot_locked(VhdImage *image, uint32_t entry)
{
    uint64_t start = (uint64_t)entry * VHD_SECTOR_BYTES;
    uint64_t end = start + vhd_layout_block_span(&image->layout);
    if (end != image->data_end) {
        g_array_append_val(image->free_slots, entry);
        if (VHD_BROKEN(SLOT_TWICE))
            g_array_append_val(image->free_slots, entry);
        return;
    }
    image->data_end = start;
    image->footer_end = MIN(image->footer_end, start);
    image->stale_end = MAX(image->stale_end, end);
    image->footer_dirty = true;
    image->overgrown = true;
}

static uint64_t slot_end(const VhdImage *image, uint32_t entry)
{
    return (uint64_t)entry * VHD_SECTOR_BYTES + vhd_layout_block_span(&image->layout);
}

/* Make the slot's data read as zeros (invariants 9, 11) and its bitmap writable without fail. No
 * lock held. */
static int prepare_slot(VhdImage *image, uint32_t entry, bool used_before)
{
    uint64_t bitmap_off = (uint64_t)entry * VHD_SECTOR_BYTES;
    uint64_t data_off = bitmap_off + vhd_image_bitmap_bytes(image);
    int result = 0;
    if (used_before && !VHD_BROKEN(STALE_SPACE))
        result =
            vhd_file_punch(image->file, VHD_IO_DATA, data_off, slot_end(image, entry) - data_off);
    if (result == 0)
        result = vhd_file_claim(image->file, bitmap_off, vhd_image_bitmap_bytes(image));
    return result;
}

/* The footer follows a block only once there is space for it behind that block: a flush must not
 * fail because another request's reservation is about to. A slot in front of it leaves it where it
 * is: claiming space there could make the file longer, and zeros its last sector. The lock is let
 * go meanwhile. */
static int move_footer_locked(VhdImage *image, uint32_t entry)
{
    uint64_t end = slot_end(image, entry);
    int result = 0;
    if (end <= image->footer_end)
        return 0;
    pthread_mutex_unlock(&image->lock);
    if (!VHD_BROKEN(FOOTER_CLAIM))
        result = vhd_file_claim(image->file, vhd_image_footer_off(end), VHD_FOOTER_BYTES);
    pthread_mutex_lock(&image->lock);
    if (result == 0 && end > image->footer_end) {
        image->footer_end = end;
        image->footer_dirty = true;
    }
    return result;
}

static int reserve_locked(VhdImage *image, uint32_t index, VhdBlock **reserved)
{
    uint32_t entry;
    bool used_before;
    int result = take_slot_locked(image, &entry, &used_before);
    if (result < 0)
        return result;
    VhdBlock *block = vhd_block_add_locked(image, index, entry);
    block->is_new = true;
    pthread_mutex_unlock(&image->lock);
    result = prepare_slot(image, entry, used_before);
    pthread_mutex_lock(&image->lock);
    if (result == 0)
        result = move_footer_locked(image, entry);
    vhd_block_ready_locked(image, block);
    if (result < 0) {
        vhd_block_drop_locked(image, block);
        vhd_image_give_back_slot_locked(image, entry);
        return result;
    }
    if (image->layout.type == VHD_TYPE_DYNAMIC)
        bitmap_set(block->bits, 0, image->layout.block_sectors);
    *reserved = block;
    return 0;
}

/* The block of a write, reserved if it has no place yet; NULL: old and full, the BAT says all. */
static int block_for_write_locked(VhdImage *image, uint32_t index, VhdBlock **block)
{
    int result = vhd_block_get_locked(image, index, block);
    if (result == 0 && !*block && vhd_image_entry(image, index) == VHD_BAT_UNUSED)
        result = reserve_locked(image, index, block);
    return result;
}

/* The same without waiting: -EAGAIN where that is not possible. */
static int block_for_write_now_locked(VhdImage *image, uint32_t index, VhdBlock **block)
{
    *block = vhd_block_lookup_locked(image, index);
    if (*block && ((*block)->state != VHD_BLOCK_READY || !(*block)->published))
        return -EAGAIN;
    if (*block) {
        vhd_block_touch_locked(image, *block);
        return 0;
    }
    return bitmap_get(image->full, index) ? 0 : -EAGAIN;
}

static void place_locked(VhdImage *image, VhdBlock *block, VhdImageWrite *write)
{
    uint32_t index = vhd_image_block_of(image, write->sector);
    uint32_t start = (uint32_t)write->sector & (image->layout.block_sectors - 1);
    write->off =
        vhd_image_data_off(image, block ? block->entry : vhd_image_entry(image, index), start);
    write->publish =
        block && (!block->published || !bitmap_all_set(block->bits, start, write->sectors));
}

/* Give write, whose sectors are known, its place. */
static int reserve_place(VhdImage *image, bool now, VhdImageWrite *write)
{
    uint32_t index = vhd_image_block_of(image, write->sector);
    VhdBlock *block = NULL;
    pthread_mutex_lock(&image->lock);
    int result = image->failed ? -EIO
                 : now         ? block_for_write_now_locked(image, index, &block)
                               : block_for_write_locked(image, index, &block);
    if (result == 0)
        place_locked(image, block, write);
    if (result == 0 && write->publish && now && !vhd_image_log_has_room_locked(image, LOG_SPARE))
        result = -EAGAIN;
    if (result == 0 && write->publish)
        block->writers++;
    pthread_mutex_unlock(&image->lock);
    return result;
}

static int may_write(VhdImage *image, uint64_t sector, uint64_t max_sectors)
{
    if (image->headers_only || sector >= image->layout.disk_sectors || max_sectors == 0)
        return -EINVAL;
    return image->writable ? 0 : -EROFS;
}

static int begin_write(VhdImage *image, uint64_t sector, uint64_t max_sectors, bool now,
                       VhdImageWrite *write)
{
    int result = may_write(image, sector, max_sectors);
    if (result < 0)
        return result;
    max_sectors = MIN(max_sectors, image->layout.disk_sectors - sector);
    *write = (VhdImageWrite){.sector = sector, .off = sector * VHD_SECTOR_BYTES};
    if (image->layout.type == VHD_TYPE_FIXED) {
        write->sectors = (uint32_t)MIN(max_sectors, UINT32_MAX);
        return vhd_image_failed(image) ? -EIO : 0;
    }
    uint32_t in_block = (uint32_t)sector & (image->layout.block_sectors - 1);
    write->sectors = (uint32_t)MIN(max_sectors, image->layout.block_sectors - in_block);
    if (now && write->sectors < max_sectors)
        return -EAGAIN;
    return reserve_place(image, now, write);
}

int vhd_image_begin_write(VhdImage *image, uint64_t sector, uint64_t max_sectors,
                          VhdImageWrite *write)
{
    return begin_write(image, sector, max_sectors, false, write);
}

int vhd_image_begin_write_now(VhdImage *image, uint64_t sector, uint64_t sectors,
                              VhdImageWrite *write)
{
    return begin_write(image, sector, sectors, true, write);
}

static void publish_entry_locked(VhdImage *image, VhdBlock *block)
{
    VhdPendingRecord record = {VHD_PENDING_BLOCK, block->index, block->entry, 0};
    if (!VHD_BROKEN(LOG_BLOCK))
        vhd_image_log_locked(image, &record);
    block->published = true;
    vhd_image_set_entry_locked(image, block->index, block->entry);
    vhd_block_mark_dirty_locked(image, block);
    if (image->layout.type == VHD_TYPE_DYNAMIC)
        bitmap_set(image->full, block->index, 1);
}

/* Into the log and into memory at once: what a reader sees is what a killed process keeps. */
static int publish_locked(VhdImage *image, VhdBlock *block, uint32_t start, uint32_t count)
{
    int result = vhd_image_log_room_locked(image, 2);
    if (result == 0 && image->failed)
        result = -EIO;
    if (result < 0)
        return result;
    if (!block->published)
        publish_entry_locked(image, block);
    if (!bitmap_all_set(block->bits, start, count)) {
        VhdPendingRecord record = {VHD_PENDING_BITS, block->index, start, count};
        if (!VHD_BROKEN(LOG_BITS))
            vhd_image_log_locked(image, &record);
        vhd_block_set_bits_locked(image, block, start, count);
    }
    return 0;
}

static void drop_if_abandoned_locked(VhdImage *image, VhdBlock *block)
{
    uint32_t entry = block->entry;
    if (block->published || block->writers > 0)
        return;
    vhd_block_drop_locked(image, block);
    vhd_image_give_back_slot_locked(image, entry);
}

/* The failed write may have left bytes in a block that another write is about to publish: they must
 * not appear. */
static bool wipe_failed_write(VhdImage *image, const VhdImageWrite *write)
{
    return vhd_file_punch(image->file, VHD_IO_DATA, write->off,
                          (uint64_t)write->sectors * VHD_SECTOR_BYTES) == 0;
}

static void fail_write_locked(VhdImage *image, VhdBlock *block, const VhdImageWrite *write)
{
    if (!block->published && block->writers > 1) {
        pthread_mutex_unlock(&image->lock);
        bool wiped = wipe_failed_write(image, write);
        pthread_mutex_lock(&image->lock);
        image->failed = image->failed || !wiped;
    }
    block->writers--;
    drop_if_abandoned_locked(image, block);
}

static int end_publishing_locked(VhdImage *image, const VhdImageWrite *write, bool ok)
{
    uint32_t start = (uint32_t)write->sector & (image->layout.block_sectors - 1);
    VhdBlock *block = vhd_block_lookup_locked(image, vhd_image_block_of(image, write->sector));
    int result = ok ? publish_locked(image, block, start, write->sectors) : 0;
    if (!ok || result < 0) {
        fail_write_locked(image, block, write);
        return result;
    }
    block->writers--;
    vhd_block_settle_locked(image, block);
    return 0;
}

int vhd_image_end_write(VhdImage *image, const VhdImageWrite *write, bool ok)
{
    int result = 0;
    pthread_mutex_lock(&image->lock);
    if (ok)
        image->dirty_bytes += (uint64_t)write->sectors * VHD_SECTOR_BYTES;
    if (write->publish)
        result = end_publishing_locked(image, write, ok);
    pthread_mutex_unlock(&image->lock);
    return result;
}
