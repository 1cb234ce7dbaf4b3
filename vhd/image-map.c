/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* Where the sectors of one image lie. */
#include "vhd/image-private.h"

#include <errno.h>

#include "vhd/bitmap.h"

#define UNUSED_BLOCKS_MAX 1024u

static void map_whole_file(uint64_t sector, uint64_t max_sectors, VhdImageExtent *extent)
{
    *extent = (VhdImageExtent){VHD_DATA, max_sectors, sector * VHD_SECTOR_BYTES};
}

/* Blocks without an entry, as far as max_sectors goes, but no more than are looked at in no time:
 * who goes through a chain asks again for each run of the layers below, and would look at all the
 * rest of this one each time. */
static void map_unused_locked(VhdImage *image, uint64_t sector, uint64_t max_sectors,
                              VhdImageExtent *extent)
{
    uint32_t block = vhd_image_block_of(image, sector);
    uint32_t last = vhd_image_block_of(image, sector + max_sectors - 1);
    last = MIN(last, block + UNUSED_BLOCKS_MAX);
    while (block < last && vhd_image_entry(image, block + 1) == VHD_BAT_UNUSED)
        block++;
    uint64_t end = ((uint64_t)block + 1) << image->layout.block_shift;
    extent->presence = image->layout.type == VHD_TYPE_DIFFERENCING ? VHD_ABSENT : VHD_ZERO;
    extent->sectors = MIN(end - sector, max_sectors);
    extent->off = 0;
}

/* A block that has an entry. In a dynamic image the bits are not asked: what no bit claims reads as
 * it stands there, which is how qemu and Windows read it. */
static int map_used_locked(VhdImage *image, uint64_t sector, uint64_t max_sectors,
                           VhdImageExtent *extent)
{
    uint32_t index = vhd_image_block_of(image, sector);
    uint32_t start = (uint32_t)sector & (image->layout.block_sectors - 1);
    uint32_t limit = (uint32_t)MIN(image->layout.block_sectors, start + max_sectors);
    bool present = true;
    uint32_t run = limit - start;
    VhdBlock *block = NULL;
    if (image->layout.type == VHD_TYPE_DIFFERENCING) {
        int result = vhd_block_get_locked(image, index, &block);
        if (result < 0)
            return result;
    }
    if (block)
        run = bitmap_run(block->bits, start, limit, &present);
    extent->presence = present ? VHD_DATA : VHD_ABSENT;
    extent->sectors = run;
    extent->off = present ? vhd_image_data_off(image, vhd_image_entry(image, index), start) : 0;
    return 0;
}

int vhd_image_map(VhdImage *image, uint64_t sector, uint64_t max_sectors, VhdImageExtent *extent)
{
    if (image->headers_only || sector >= image->layout.disk_sectors || max_sectors == 0)
        return -EINVAL;
    max_sectors = MIN(max_sectors, image->layout.disk_sectors - sector);
    if (image->layout.type == VHD_TYPE_FIXED) {
        map_whole_file(sector, max_sectors, extent);
        return 0;
    }
    int result = 0;
    pthread_mutex_lock(&image->lock);
    if (vhd_image_entry(image, vhd_image_block_of(image, sector)) == VHD_BAT_UNUSED)
        map_unused_locked(image, sector, max_sectors, extent);
    else
        result = map_used_locked(image, sector, max_sectors, extent);
    pthread_mutex_unlock(&image->lock);
    return result;
}

bool vhd_image_place(VhdImage *image, uint64_t sector, uint64_t *sectors, uint64_t *off)
{
    if (image->layout.type == VHD_TYPE_FIXED) {
        *off = sector * VHD_SECTOR_BYTES;
        return true;
    }
    uint32_t start = (uint32_t)sector & (image->layout.block_sectors - 1);
    uint32_t entry = vhd_image_entry(image, vhd_image_block_of(image, sector));
    if (entry == VHD_BAT_UNUSED)
        return false;
    *sectors = MIN(*sectors, image->layout.block_sectors - start);
    *off = vhd_image_data_off(image, entry, start);
    return true;
}
