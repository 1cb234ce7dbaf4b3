/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* The block allocation table: read once, judged whole, kept in host order, inverted. What stands
 * behind the last block's entry in its sector is kept too, never judged, and written back as it
 * was. */
#include "vhd/image-private.h"

#include <stdlib.h>
#include <string.h>

#include "vhd/be.h"
#include "vhd/error.h"

#define ENTRIES_PER_SECTOR (VHD_SECTOR_BYTES / 4)
#define READ_CHUNK_BYTES   (1u << 20)

/* Entries held in memory: those of the blocks, up to the end of a sector. */
static uint32_t held_entries(const VhdImage *image)
{
    return (image->layout.blocks + ENTRIES_PER_SECTOR - 1) / ENTRIES_PER_SECTOR *
           ENTRIES_PER_SECTOR;
}

/* Memory where no entry is used stays untouched. */
static void take_entries(uint32_t *inverse, const uint8_t *raw, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint32_t entry = be32_get(raw + i * 4);
        if (entry != VHD_BAT_UNUSED)
            inverse[i] = ~entry;
    }
}

static bool read_entries(VhdImage *image, GError **error)
{
    g_autofree uint8_t *chunk = g_malloc(READ_CHUNK_BYTES);
    uint64_t total = (uint64_t)held_entries(image) * 4;
    for (uint64_t done = 0; done < total;) {
        size_t len = (size_t)MIN(total - done, READ_CHUNK_BYTES);
        int result =
            vhd_file_read(image->file, VHD_IO_BAT, image->layout.bat_off + done, chunk, len);
        if (result < 0) {
            vhd_error_set_errno(error, VHD_ERROR_IO, image->file->name, "read the BAT", -result);
            return false;
        }
        take_entries(image->bat_inverse + done / 4, chunk, len / 4);
        done += len;
    }
    return true;
}

/* Used entries as entry << 32 | block, in the order of the file. */
static int compare_places(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static void fault_of_entry(VhdImage *image, uint32_t block, VhdFaultCode code, uint64_t found,
                           uint64_t wanted, GError **error)
{
    VhdFault fault = {code, image->layout.bat_off + (uint64_t)block * 4, found, wanted};
    vhd_error_set_fault(error, image->file->name, &fault);
}

static bool judge_overlaps(VhdImage *image, uint64_t *places, uint32_t used, bool ordered,
                           GError **error)
{
    uint64_t span = vhd_layout_block_span(&image->layout) / VHD_SECTOR_BYTES;
    if (!ordered)
        qsort(places, used, sizeof *places, compare_places);
    for (uint32_t i = 1; i < used; i++) {
        uint64_t end = (places[i - 1] >> 32) + span;
        uint64_t start = places[i] >> 32;
        if (start < end) {
            fault_of_entry(image, (uint32_t)places[i], VHD_FAULT_BLOCK_OVERLAP,
                           start * VHD_SECTOR_BYTES, end * VHD_SECTOR_BYTES, error);
            return false;
        }
    }
    /* A file cut behind the used sectors of a partial last block: the block's place is whole all
     * the same, or the next one would be put over its end. */
    if (used > 0)
        image->data_end =
            MAX(image->data_end, ((places[used - 1] >> 32) + span) * VHD_SECTOR_BYTES);
    return true;
}

static bool judge_entries(VhdImage *image, uint32_t used, GError **error)
{
    g_autofree uint64_t *places = g_try_new(uint64_t, used ? used : 1);
    if (!places) {
        vhd_error_set_errno(error, VHD_ERROR_IO, image->file->name, "check the BAT", ENOMEM);
        return false;
    }
    bool ordered = true;
    uint32_t count = 0;
    uint64_t room_end = MIN(image->data_end, image->layout.file_bytes); /* less the footer */
    for (uint32_t block = 0; block < image->layout.blocks; block++) {
        uint32_t entry = vhd_image_entry(image, block);
        VhdFault fault;
        if (entry == VHD_BAT_UNUSED)
            continue;
        if (!vhd_layout_entry_ok(&image->layout, block, entry, room_end, &fault)) {
            vhd_error_set_fault(error, image->file->name, &fault);
            return false;
        }
        places[count] = (uint64_t)entry << 32 | block;
        ordered = ordered && (count == 0 || places[count - 1] < places[count]);
        image->bat_checksum += vhd_pending_mix(block, entry);
        count++;
    }
    return judge_overlaps(image, places, count, ordered, error);
}

bool vhd_image_load_bat(VhdImage *image, GError **error)
{
    uint32_t blocks = image->layout.blocks;
    image->bat_inverse = g_try_new0(uint32_t, held_entries(image));
    image->full = g_try_malloc0(blocks / 8 + 1);
    if (!image->bat_inverse || !image->full) {
        vhd_error_set_errno(error, VHD_ERROR_IO, image->file->name, "hold the BAT in memory",
                            ENOMEM);
        return false;
    }
    if (!read_entries(image, error))
        return false;
    uint32_t used = 0;
    for (uint32_t i = 0; i < blocks; i++)
        used += vhd_image_entry(image, i) != VHD_BAT_UNUSED;
    return judge_entries(image, used, error);
}

void vhd_image_set_entry_locked(VhdImage *image, uint32_t block, uint32_t entry)
{
    if (vhd_image_entry(image, block) != VHD_BAT_UNUSED)
        image->bat_checksum -= vhd_pending_mix(block, vhd_image_entry(image, block));
    if (entry != VHD_BAT_UNUSED)
        image->bat_checksum += vhd_pending_mix(block, entry);
    /* vhd_image_entry may be called without the lock. */
    __atomic_store_n(&image->bat_inverse[block], ~entry, __ATOMIC_RELAXED);
    g_hash_table_add(image->dirty_bat, GUINT_TO_POINTER(block / ENTRIES_PER_SECTOR));
    vhd_image_note_dirty_locked(image, 1);
}

void vhd_image_encode_bat_sector_locked(VhdImage *image, uint32_t sector,
                                        uint8_t raw[static VHD_SECTOR_BYTES])
{
    for (uint32_t i = 0; i < ENTRIES_PER_SECTOR; i++)
        be32_put(raw + i * 4, vhd_image_entry(image, sector * ENTRIES_PER_SECTOR + i));
}
