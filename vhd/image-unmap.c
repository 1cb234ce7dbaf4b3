/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * Zeroing and giving space back. A cleared bit would reveal the parent, so none is ever cleared: in
 * a differencing image zeros are present sectors over a hole.
 */
#include "vhd/image-private.h"

#include <errno.h>

#include "vhd/bitmap.h"
#include "vhd/break.h"

static int check_range(VhdImage *image, uint64_t sector, uint64_t sectors)
{
    if (image->headers_only || sector > image->layout.disk_sectors ||
        sectors > image->layout.disk_sectors - sector)
        return -EINVAL;
    if (!image->writable)
        return -EROFS;
    return vhd_image_failed(image) ? -EIO : 0;
}

static int punch_sectors(VhdImage *image, uint64_t off, uint64_t sectors)
{
    return vhd_file_punch(image->file, VHD_IO_DATA, off, sectors * VHD_SECTOR_BYTES);
}

static int zero_one(VhdImage *image, uint64_t sector, uint64_t sectors, uint64_t *done)
{
    VhdImageWrite write;
    int result = vhd_image_begin_write(image, sector, sectors, &write);
    if (result < 0)
        return result;
    result = punch_sectors(image, write.off, write.sectors);
    int end = vhd_image_end_write(image, &write, result == 0);
    *done = write.sectors;
    return result < 0 ? result : end;
}

int vhd_image_write_zeroes(VhdImage *image, uint64_t sector, uint64_t sectors)
{
    int result = check_range(image, sector, sectors);
    while (result == 0 && sectors > 0) {
        VhdImageExtent extent;
        result = vhd_image_map(image, sector, sectors, &extent);
        uint64_t done = extent.sectors;
        if (result == 0 && extent.presence != VHD_ZERO)
            result = zero_one(image, sector, sectors, &done);
        sector += done;
        sectors -= done;
    }
    return result;
}

/* Nothing lies below a dynamic image: its block reads as zeros with or without an entry. The caller
 * lets no request run that has the block mapped; the space is free once a flush has made this
 * durable (invariant 11). */
static int release_block(VhdImage *image, uint32_t index)
{
    uint32_t entry = vhd_image_bat_entry(image, index);
    int result =
        punch_sectors(image, vhd_image_data_off(image, entry, 0), image->layout.block_sectors);
    if (result < 0)
        return result;
    pthread_mutex_lock(&image->lock);
    VhdBlock *block;
    result = vhd_block_get_locked(image, index, &block); /* waits for one that is being read */
    if (result == 0)
        result = vhd_image_log_room_locked(image, 1);
    if (result == 0 && image->failed)
        result = -EIO;
    if (result == 0) {
        VhdPendingRecord record = {VHD_PENDING_RELEASE, index, entry, 0};
        vhd_image_log_locked(image, &record);
        block = vhd_block_lookup_locked(image, index);
        if (block)
            vhd_block_drop_locked(image, block);
        bitmap_clear(image->full, index, 1);
        vhd_image_set_entry_locked(image, index, VHD_BAT_UNUSED);
        g_array_append_val(VHD_BROKEN(LIMBO) ? image->free_slots : image->limbo_slots, entry);
    }
    pthread_mutex_unlock(&image->lock);
    return result;
}

static bool covers_block(const VhdImage *image, uint64_t sector, uint64_t sectors)
{
    uint32_t index = vhd_image_block_of(image, sector);
    return (sector & (image->layout.block_sectors - 1)) == 0 &&
           sectors >= vhd_layout_block_used_sectors(&image->layout, index);
}

static int unmap_present(VhdImage *image, uint64_t sector, uint64_t sectors, VhdImageExtent *extent)
{
    if (image->layout.type != VHD_TYPE_DYNAMIC || !covers_block(image, sector, sectors))
        return punch_sectors(image, extent->off, extent->sectors);
    uint32_t index = vhd_image_block_of(image, sector);
    extent->sectors = vhd_layout_block_used_sectors(&image->layout, index);
    return release_block(image, index);
}

int vhd_image_unmap(VhdImage *image, uint64_t sector, uint64_t sectors)
{
    int result = check_range(image, sector, sectors);
    while (result == 0 && sectors > 0) {
        VhdImageExtent extent;
        result = vhd_image_map(image, sector, sectors, &extent);
        if (result == 0 && extent.presence == VHD_DATA)
            result = unmap_present(image, sector, sectors, &extent);
        sector += extent.sectors;
        sectors -= extent.sectors;
    }
    return result;
}
