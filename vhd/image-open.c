/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * Opening one image: lock, footers, header, layout, BAT, pending log; in this order, because an
 * image in use is not to be believed, and each is judged by what came before.
 */
#include "vhd/image-private.h"

#include <errno.h>
#include <string.h>

#include "vhd/be.h"
#include "vhd/break.h"
#include "vhd/error.h"

/* ---- footers */

typedef struct FooterSlot {
    VhdFooter footer;
    VhdFault fault; /* code NONE: the footer is good */
    uint64_t off;
    uint32_t raw_type; /* what the type field says, good or not */
} FooterSlot;

typedef struct Footers {
    FooterSlot copy;     /* at 0 */
    FooterSlot trailing; /* in the last 512 or 511 bytes */
} Footers;

static bool slot_is_good(const FooterSlot *slot)
{
    return slot->fault.code == VHD_FAULT_NONE;
}

static int read_slot(VhdFile *file, uint64_t off, bool is_short, FooterSlot *slot)
{
    uint8_t raw[VHD_FOOTER_BYTES] = {0};
    size_t len = is_short ? VHD_FOOTER_BYTES - 1 : VHD_FOOTER_BYTES;
    int result = vhd_file_read(file, VHD_IO_FOOTER, off, raw, len);
    slot->off = off;
    slot->fault.code = VHD_FAULT_NONE;
    slot->raw_type = be32_get(raw + VHD_FOOTER_AT_TYPE);
    if (result == 0 && is_short)
        vhd_footer_decode_short(raw, off, &slot->footer, &slot->fault);
    else if (result == 0)
        vhd_footer_decode(raw, off, &slot->footer, &slot->fault);
    return result;
}

static bool read_footers(VhdFile *file, uint64_t file_bytes, Footers *footers, GError **error)
{
    bool is_short = file_bytes % VHD_SECTOR_BYTES == VHD_FOOTER_BYTES - 1;
    if (file_bytes < VHD_FOOTER_BYTES) {
        VhdFault fault = {VHD_FAULT_TOO_SMALL, 0, file_bytes, VHD_FOOTER_BYTES};
        vhd_error_set_fault(error, file->name, &fault);
        return false;
    }
    uint64_t trailing_off = file_bytes - (is_short ? VHD_FOOTER_BYTES - 1 : VHD_FOOTER_BYTES);
    int result = read_slot(file, 0, false, &footers->copy);
    if (result == 0)
        result = read_slot(file, trailing_off, is_short, &footers->trailing);
    if (result < 0)
        vhd_error_set_errno(error, VHD_ERROR_IO, file->name, "read the footer", -result);
    return result == 0;
}

static bool differ(const FooterSlot *copy, const FooterSlot *trailing, VhdFault *fault)
{
    const VhdFooter *a = &copy->footer, *b = &trailing->footer;
    const struct {
        uint64_t in_copy, in_trailing, off;
    } fields[] = {
        {a->data_offset, b->data_offset, 16},
        {a->current_bytes, b->current_bytes, 48},
        {a->type, b->type, 60},
        {(uint64_t)(memcmp(a->uuid, b->uuid, sizeof a->uuid) != 0), 0, 68},
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(fields); i++) {
        if (fields[i].in_copy == fields[i].in_trailing)
            continue;
        *fault = (VhdFault){VHD_FAULT_FOOTERS_DIFFER, copy->off + fields[i].off, fields[i].in_copy,
                            fields[i].in_trailing};
        return true;
    }
    return false;
}

/* Sector 0 of a fixed image is the guest's, so a footer there means nothing. But after a power cut
 * the last bytes of a dynamic image may be the guest's too, and he may keep fixed images in it: a
 * fixed image's footer stands right behind its disk. */
static bool is_fixed(const Footers *footers)
{
    const FooterSlot *trailing = &footers->trailing;
    return slot_is_good(trailing) && trailing->footer.type == VHD_TYPE_FIXED &&
           (trailing->off == trailing->footer.current_bytes || !slot_is_good(&footers->copy));
}

/* A trailing footer with a wrong checksum that still names a fixed image: a footer at 0 would be
 * the guest's work. */
static bool was_fixed(const FooterSlot *trailing)
{
    return trailing->fault.code == VHD_FAULT_FOOTER_CHECKSUM &&
           trailing->raw_type == VHD_TYPE_FIXED;
}

static void set_no_footer_error(VhdFile *file, const Footers *footers, GError **error)
{
    const FooterSlot *slot = &footers->trailing;
    bool neither = footers->copy.fault.code == VHD_FAULT_FOOTER_COOKIE &&
                   footers->trailing.fault.code == VHD_FAULT_FOOTER_COOKIE;
    if (neither) {
        g_set_error(error, VHD_ERROR, VHD_ERROR_NOT_VHD,
                    "%s: not a VHD: no footer at its end nor at its beginning", file->name);
        return;
    }
    if (slot->fault.code == VHD_FAULT_FOOTER_COOKIE)
        slot = &footers->copy;
    vhd_error_set_fault(error, file->name, &slot->fault);
}

static bool is_poisoned(const FooterSlot *slot)
{
    return slot->fault.code == VHD_FAULT_FOOTER_POISONED;
}

/* The footer that counts; NULL where none does. *read_only: both are good but disagree. */
static const FooterSlot *choose_footer(VhdFile *file, const Footers *footers,
                                       const VhdImageOptions *options, bool *read_only,
                                       GError **error)
{
    const FooterSlot *copy = &footers->copy, *trailing = &footers->trailing;
    if (is_fixed(footers))
        return trailing;
    if (is_poisoned(copy) || is_poisoned(trailing)) {
        vhd_error_set_fault(error, file->name, is_poisoned(copy) ? &copy->fault : &trailing->fault);
        return NULL;
    }
    if (was_fixed(trailing) || (!slot_is_good(copy) && !slot_is_good(trailing))) {
        set_no_footer_error(file, footers, error);
        return NULL;
    }
    if (slot_is_good(copy) && slot_is_good(trailing)) {
        VhdFault fault;
        if (differ(copy, trailing, &fault)) {
            g_autofree char *text = vhd_fault_text(&fault);
            vhd_image_warn(options, "%s: %s; opened read-only", file->name, text);
            *read_only = true;
        }
        return copy;
    }
    const FooterSlot *bad = slot_is_good(copy) ? trailing : copy;
    vhd_image_warn(options,
                   "%s: the footer at offset %" G_GUINT64_FORMAT
                   " is %s; the one at offset %" G_GUINT64_FORMAT " serves",
                   file->name, bad->off, bad == trailing ? "lost or damaged" : "damaged",
                   bad == trailing ? copy->off : trailing->off);
    return slot_is_good(copy) ? copy : trailing;
}

/* ---- header and layout */

static bool read_header(VhdImage *image, const FooterSlot *slot, uint64_t file_bytes,
                        GError **error)
{
    uint8_t raw[VHD_HEADER_BYTES];
    VhdFault fault;
    bool ok = vhd_layout_footer_ok(&slot->footer, slot->off, file_bytes, &fault);
    if (ok) {
        int result =
            vhd_file_read(image->file, VHD_IO_HEADER, slot->footer.data_offset, raw, sizeof raw);
        if (result < 0) {
            vhd_error_set_errno(error, VHD_ERROR_IO, image->file->name, "read the header", -result);
            return false;
        }
        ok = vhd_header_decode(raw, slot->footer.data_offset, &image->header, &fault);
    }
    if (!ok)
        vhd_error_set_fault(error, image->file->name, &fault);
    return ok;
}

static bool read_layout(VhdImage *image, const FooterSlot *slot, uint64_t file_bytes,
                        GError **error)
{
    VhdFault fault;
    bool sparse =
        slot->footer.type == VHD_TYPE_DYNAMIC || slot->footer.type == VHD_TYPE_DIFFERENCING;
    image->footer = slot->footer;
    if (sparse && !read_header(image, slot, file_bytes, error))
        return false;
    if (!vhd_layout_init(&image->layout, &slot->footer, slot->off, sparse ? &image->header : NULL,
                         file_bytes, &fault)) {
        vhd_error_set_fault(error, image->file->name, &fault);
        return false;
    }
    return true;
}

/* ---- writing */

static bool may_open_for_writing(VhdFile *file, const VhdFileInfo *info,
                                 const VhdImageOptions *options, GError **error)
{
    if (!options->writable || options->force_write || (info->mode & 0222) != 0)
        return true;
    g_set_error(
        error, VHD_ERROR, VHD_ERROR_READONLY,
        "%s: write protected (no write permission: it may be a golden image with children); "
        "make a child of it and write that, or force it",
        file->name);
    return false;
}

/* The sync failed: the data that a log speaks of may be lost, and the next sync will not say so. */
static void give_up_log(VhdImage *image, const VhdImageOptions *options, uint64_t file_bytes)
{
    Footers footers;
    if (!read_footers(image->file, file_bytes, &footers, NULL))
        return;
    const FooterSlot *slot = slot_is_good(&footers.copy) ? &footers.copy : &footers.trailing;
    if (slot_is_good(slot))
        vhd_image_give_up_log(image, options, slot->footer.uuid);
}

/* Nothing is believed that did not reach the disk (invariant 7). */
static bool sync_before_reading(VhdImage *image, const VhdImageOptions *options,
                                uint64_t file_bytes, GError **error)
{
    VhdFile *file = image->file;
    if (VHD_BROKEN(OPEN_SYNC))
        return true;
    int result = vhd_file_barrier(file);
    if (result < 0) {
        vhd_error_set_errno(error, VHD_ERROR_IO, file->name, "sync", -result);
        give_up_log(image, options, file_bytes);
        return false;
    }
    /* All of it: bitmaps lie everywhere, and a bit is worth what the data is that it speaks of. */
    vhd_file_drop_cache(file, 0, file_bytes);
    return true;
}

/* Without a good copy at 0 the first new block would overwrite the only footer (invariant 1). */
static bool restore_copy(VhdImage *image, GError **error)
{
    uint8_t raw[VHD_FOOTER_BYTES];
    vhd_footer_encode(&image->footer, raw);
    int result = vhd_file_write(image->file, VHD_IO_FOOTER, 0, raw, sizeof raw);
    if (result == 0)
        result = vhd_file_barrier(image->file);
    if (result < 0)
        vhd_error_set_errno(error, VHD_ERROR_IO, image->file->name,
                            "restore the footer at offset 0", -result);
    return result == 0;
}

/* Behind the trailing footer's place if it is there, else behind everything. */
static void find_data_end(VhdImage *image, const Footers *footers, uint64_t file_bytes)
{
    if (slot_is_good(&footers->trailing) || VHD_BROKEN(LENGTH))
        image->data_end = footers->trailing.off;
    else
        image->data_end = (file_bytes + VHD_SECTOR_BYTES - 1) / VHD_SECTOR_BYTES * VHD_SECTOR_BYTES;
    image->data_end = MAX(image->data_end, vhd_layout_metadata_end(&image->layout));
    image->footer_dirty = !slot_is_good(&footers->trailing);
}

/* ---- the whole */

static VhdImage *image_new(VhdFile *file)
{
    VhdImage *image = g_new0(VhdImage, 1);
    image->refs = 1;
    image->file = file;
    pthread_mutex_init(&image->lock, NULL);
    pthread_cond_init(&image->changed, NULL);
    g_queue_init(&image->lru);
    image->blocks = g_hash_table_new(NULL, NULL);
    image->dirty_bat = g_hash_table_new(NULL, NULL);
    image->dirty_blocks = g_ptr_array_new();
    image->free_slots = g_array_new(FALSE, FALSE, sizeof(uint32_t));
    image->limbo_slots = g_array_new(FALSE, FALSE, sizeof(uint32_t));
    return image;
}

static bool take_lock(VhdImage *image, const VhdImageOptions *options, GError **error)
{
    bool unlocked = false;
    if (options->lock == VHD_LOCK_NONE)
        return true;
    if (!vhd_lock_take(image->file, options->lock, options->lock_wait_ms, &unlocked, error))
        return false;
    image->locked = true;
    if (unlocked)
        vhd_image_warn(options,
                       "%s: its file system has no locks: nobody else is kept from writing it",
                       image->file->name);
    return true;
}

static bool open_body(VhdImage *image, const VhdImageOptions *options, const Footers *footers,
                      const FooterSlot *slot, uint64_t file_bytes, GError **error)
{
    image->headers_only = options->headers_only;
    if (!read_layout(image, slot, file_bytes, error))
        return false;
    if (image->layout.type == VHD_TYPE_FIXED || image->headers_only)
        return true;
    find_data_end(image, footers, file_bytes);
    if (!vhd_image_load_bat(image, error) || !vhd_image_load_batmap(image, options, error))
        return false;
    image->footer_end = image->data_end;
    if (image->writable && !slot_is_good(&footers->copy) && !VHD_BROKEN(COPY_RESTORE) &&
        !restore_copy(image, error))
        return false;
    return vhd_image_attach_pending(image, options, error);
}

static bool open_into(VhdImage *image, const VhdImageOptions *options, GError **error)
{
    VhdFileInfo info;
    Footers footers;
    bool read_only = false;
    if (!take_lock(image, options, error))
        return false;
    int result = vhd_file_info(image->file, &info);
    if (result < 0) {
        vhd_error_set_errno(error, VHD_ERROR_IO, image->file->name, "look at", -result);
        return false;
    }
    if (!may_open_for_writing(image->file, &info, options, error) ||
        (options->writable && !sync_before_reading(image, options, info.bytes, error)) ||
        !read_footers(image->file, info.bytes, &footers, error))
        return false;
    const FooterSlot *slot = choose_footer(image->file, &footers, options, &read_only, error);
    if (!slot)
        return false;
    image->writable = options->writable && !read_only && !options->headers_only;
    return open_body(image, options, &footers, slot, info.bytes, error);
}

VhdImage *vhd_image_open(VhdFile *file, const VhdImageOptions *options, GError **error)
{
    g_autoptr(VhdImage) image = image_new(file);
    return open_into(image, options, error) ? g_steal_pointer(&image) : NULL;
}

VhdImage *vhd_image_open_raw(VhdFile *file, const VhdImageOptions *options, GError **error)
{
    g_autoptr(VhdImage) image = image_new(file);
    VhdFileInfo info;
    if (!take_lock(image, options, error))
        return NULL;
    int result = vhd_file_info(file, &info);
    if (result < 0) {
        vhd_error_set_errno(error, VHD_ERROR_IO, file->name, "look at", -result);
        return NULL;
    }
    image->raw = true;
    image->layout = (VhdLayout){.type = VHD_TYPE_FIXED,
                                .file_bytes = info.bytes,
                                .disk_sectors = info.bytes / VHD_SECTOR_BYTES};
    image->footer.type = VHD_TYPE_FIXED;
    image->footer.current_bytes = image->layout.disk_sectors * VHD_SECTOR_BYTES;
    return g_steal_pointer(&image);
}
