/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* Life and properties of an image. The work is in image-open, -map, -alloc, -unmap, -flush. */
#include "vhd/image-private.h"

#include <errno.h>
#include <string.h>

#include "vhd/bitmap.h"
#include "vhd/break.h"
#include "vhd/error.h"

void vhd_image_warn(const VhdImageOptions *options, const char *format, ...)
{
    if (!options->warn)
        return;
    va_list args;
    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    options->warn(options->warn_data, text);
}

VhdImage *vhd_image_ref(VhdImage *image)
{
    g_atomic_int_inc(&image->refs);
    return image;
}

static void free_tables(VhdImage *image)
{
    GHashTableIter iter;
    void *block;
    g_hash_table_iter_init(&iter, image->blocks);
    while (g_hash_table_iter_next(&iter, NULL, &block))
        vhd_block_free(block);
    g_hash_table_unref(image->blocks);
    g_hash_table_unref(image->dirty_bat);
    g_ptr_array_unref(image->dirty_blocks);
    g_array_unref(image->free_slots);
    g_array_unref(image->limbo_slots);
    g_free(image->bat_inverse);
    g_free(image->full);
    g_free(image->batmap);
}

void vhd_image_unref(VhdImage *image)
{
    if (!image || !g_atomic_int_dec_and_test(&image->refs))
        return;
    vhd_pending_store_close(image->pending, false);
    if (image->locked)
        vhd_lock_drop(image->file);
    vhd_file_close(image->file);
    free_tables(image);
    pthread_cond_destroy(&image->changed);
    pthread_mutex_destroy(&image->lock);
    g_free(image);
}

/* The file may be longer than its blocks need, after allocations that failed. The footer inside is
 * durable. */
static int cut_overgrowth(VhdImage *image)
{
    if (!image->overgrown)
        return 0;
    VhdFileInfo info;
    uint64_t want = vhd_image_footer_off(image->footer_end) + VHD_FOOTER_BYTES;
    int result = vhd_file_info(image->file, &info);
    if (result == 0 && info.bytes > want)
        result = vhd_file_resize(image->file, want);
    if (result == 0)
        result = vhd_file_barrier(image->file);
    return result;
}

int vhd_image_finish(VhdImage *image)
{
    if (!image->writable)
        return 0;
    int result = VHD_BROKEN(BATMAP_EARLY) ? vhd_image_write_batmap(image) : 0;
    if (result == 0)
        result = vhd_image_flush(image);
    if (result == 0 && VHD_BROKEN(CUT_EARLY))
        result = cut_overgrowth(image);
    if (result == 0 &&
        image->footer_dirty) /* that flush gave back the last block: the footer moves up */
        result = vhd_image_flush(image);
    if (result == 0)
        result = cut_overgrowth(image);
    if (result == 0)
        result = vhd_image_write_batmap(image);
    if (result == 0) {
        vhd_pending_store_close(image->pending, true);
        image->pending = NULL;
    }
    return result;
}

const char *vhd_image_name(const VhdImage *image)
{
    return image->file->name;
}

VhdFile *vhd_image_file(const VhdImage *image)
{
    return image->file;
}

const VhdLayout *vhd_image_layout(const VhdImage *image)
{
    return &image->layout;
}

const VhdFooter *vhd_image_footer(const VhdImage *image)
{
    return &image->footer;
}

const VhdHeader *vhd_image_header(const VhdImage *image)
{
    return image->layout.type == VHD_TYPE_FIXED ? NULL : &image->header;
}

bool vhd_image_writable(const VhdImage *image)
{
    return image->writable;
}

bool vhd_image_is_raw(const VhdImage *image)
{
    return image->raw;
}

uint64_t vhd_image_sectors(const VhdImage *image)
{
    return image->layout.disk_sectors;
}

bool vhd_image_pending_lost(const VhdImage *image)
{
    return image->pending_lost;
}

bool vhd_image_failed(VhdImage *image)
{
    pthread_mutex_lock(&image->lock);
    bool failed = image->failed;
    pthread_mutex_unlock(&image->lock);
    return failed;
}

void vhd_image_note_dirty_locked(VhdImage *image, unsigned entries)
{
    image->dirty_entries += entries;
    if (image->oldest_us == 0)
        image->oldest_us = (uint64_t)g_get_monotonic_time();
}

void vhd_image_dirt(VhdImage *image, VhdImageDirt *dirt)
{
    pthread_mutex_lock(&image->lock);
    *dirt = (VhdImageDirt){.entries = image->dirty_entries,
                           .data_bytes = image->dirty_bytes,
                           .oldest_us = image->oldest_us,
                           .barriers = image->barriers};
    pthread_mutex_unlock(&image->lock);
}

uint8_t *vhd_image_read_locator(VhdImage *image, unsigned index, size_t *len, GError **error)
{
    const VhdLocator *locator = &image->header.locators[index];
    *len = 0;
    if (image->layout.type != VHD_TYPE_DIFFERENCING || locator->platform == VHD_PLATFORM_NONE ||
        locator->data_length == 0)
        return NULL;
    uint8_t *bytes = g_malloc(locator->data_length); /* at most 64 KiB: the layout was accepted */
    int result = vhd_file_read(image->file, VHD_IO_LOCATOR, locator->data_offset, bytes,
                               locator->data_length);
    if (result < 0) {
        vhd_error_set_errno(error, VHD_ERROR_IO, image->file->name, "read a parent locator",
                            -result);
        g_free(bytes);
        return NULL;
    }
    *len = locator->data_length;
    return bytes;
}

uint32_t vhd_image_bat_entry(VhdImage *image, uint32_t block)
{
    pthread_mutex_lock(&image->lock);
    uint32_t entry = vhd_image_entry(image, block);
    pthread_mutex_unlock(&image->lock);
    return entry;
}

int vhd_image_count_present(VhdImage *image, uint32_t index, uint32_t *count)
{
    uint32_t used = vhd_layout_block_used_sectors(&image->layout, index);
    pthread_mutex_lock(&image->lock);
    VhdBlock *block;
    int result = vhd_block_get_locked(image, index, &block);
    if (result == 0 && block)
        *count = bitmap_count(block->bits, used);
    else if (result == 0)
        *count = vhd_image_entry(image, index) == VHD_BAT_UNUSED ? 0 : used;
    pthread_mutex_unlock(&image->lock);
    return result;
}
