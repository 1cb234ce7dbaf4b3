/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * The pending log of an image (invariant 10): attached at open, replayed where a process died.
 *
 * Does a log fit the file? The log knows the BAT's checksum as of its last flush. Since then the
 * log's own records may have reached the disk, any of them: a flush was cut. So each block that a
 * record names must hold, on disk, either what it held before the first record or what one of the
 * records gave it; with all of them put back to "before", the checksum must come out. Anything else
 * is another file, such as a backup copied over this one.
 */
#include "vhd/image-private.h"

#include <errno.h>
#include <string.h>

#include "vhd/bitmap.h"
#include "vhd/break.h"
#include "vhd/error.h"

bool vhd_image_log_has_room_locked(VhdImage *image, unsigned records)
{
    return !image->pending || vhd_pending_room(vhd_pending_store_log(image->pending)) >= records;
}

int vhd_image_log_room_locked(VhdImage *image, unsigned records)
{
    while (!vhd_image_log_has_room_locked(image, records)) {
        pthread_mutex_unlock(&image->lock);
        int result = vhd_image_flush(image);
        pthread_mutex_lock(&image->lock);
        if (result < 0)
            return result;
    }
    return 0;
}

void vhd_image_give_up_log(VhdImage *image, const VhdImageOptions *options,
                           const uint8_t uuid[static VHD_UUID_BYTES])
{
    VhdPendingBase base = {.file_bytes = 0};
    memcpy(base.uuid, uuid, sizeof base.uuid);
    if (vhd_pending_store_identify(image->file, &base) < 0)
        return;
    g_autofree char *path = vhd_pending_store_path(&base, options->pending_dir);
    VhdPendingStore *store = vhd_pending_store_open(path, false, NULL, NULL);
    VhdPending *log = store ? vhd_pending_store_log(store) : NULL;
    if (log && vhd_pending_valid(log, &base))
        vhd_pending_drop(log, vhd_pending_tail(log), &base);
    vhd_pending_store_close(store, false);
}

void vhd_image_forget_log_locked(VhdImage *image)
{
    if (!image->pending)
        return;
    VhdPending *log = vhd_pending_store_log(image->pending);
    vhd_pending_drop(log, vhd_pending_tail(log), &image->pending_base);
}

void vhd_image_log_locked(VhdImage *image, const VhdPendingRecord *record)
{
    if (image->pending)
        vhd_pending_append(vhd_pending_store_log(image->pending), record);
}

/* ---- does it fit? */

typedef struct FitCheck {
    VhdImage *image;
    GHashTable *before;  /* block -> entry before the first record */
    GHashTable *matched; /* blocks whose entry on disk has been seen in before or in a record */
} FitCheck;

static void note_match(FitCheck *check, uint32_t block, uint32_t entry)
{
    if (vhd_image_entry(check->image, block) == entry)
        g_hash_table_add(check->matched, GUINT_TO_POINTER(block));
}

static bool check_record(const VhdPendingRecord *record, void *data)
{
    FitCheck *check = data;
    void *key = GUINT_TO_POINTER(record->block);
    const VhdLayout *layout = &check->image->layout;
    if (record->block >= layout->blocks)
        return false;
    if (record->kind == VHD_PENDING_BITS)
        return record->value < layout->block_sectors && record->count > 0 &&
               record->count <= layout->block_sectors - record->value;
    uint32_t was = record->kind == VHD_PENDING_RELEASE ? record->value : VHD_BAT_UNUSED;
    uint32_t becomes = record->kind == VHD_PENDING_RELEASE ? VHD_BAT_UNUSED : record->value;
    if (!g_hash_table_contains(check->before, key)) {
        g_hash_table_insert(check->before, key, GUINT_TO_POINTER(was));
        note_match(check, record->block, was);
    }
    note_match(check, record->block, becomes);
    return true;
}

static bool entries_fit(VhdImage *image, const VhdPending *log, const VhdPendingBase *base)
{
    FitCheck check = {image, g_hash_table_new(NULL, NULL), g_hash_table_new(NULL, NULL)};
    bool fits = vhd_pending_each(log, check_record, &check) &&
                g_hash_table_size(check.before) == g_hash_table_size(check.matched);
    uint64_t checksum = image->bat_checksum;
    GHashTableIter iter;
    void *key, *value;
    g_hash_table_iter_init(&iter, check.before);
    while (fits && g_hash_table_iter_next(&iter, &key, &value)) {
        uint32_t block = GPOINTER_TO_UINT(key), was = GPOINTER_TO_UINT(value);
        if (vhd_image_entry(image, block) != VHD_BAT_UNUSED)
            checksum -= vhd_pending_mix(block, vhd_image_entry(image, block));
        if (was != VHD_BAT_UNUSED)
            checksum += vhd_pending_mix(block, was);
    }
    g_hash_table_unref(check.before);
    g_hash_table_unref(check.matched);
    return fits && checksum == base->bat_checksum;
}

static bool log_fits(VhdImage *image, const VhdPending *log)
{
    VhdPendingBase base;
    const VhdPendingBase *now = &image->pending_base;
    return vhd_pending_valid(log, &base) && memcmp(base.uuid, now->uuid, sizeof base.uuid) == 0 &&
           memcmp(base.boot_id, now->boot_id, sizeof base.boot_id) == 0 &&
           base.device == now->device && base.inode == now->inode &&
           base.file_bytes <= now->file_bytes && entries_fit(image, log, &base);
}

/* ---- replay */

typedef struct Replay {
    VhdImage *image;
    int result;
} Replay;

static int replay_block_locked(VhdImage *image, const VhdPendingRecord *record)
{
    VhdFault fault;
    VhdBlock *block = vhd_block_lookup_locked(image, record->block);
    if (block && block->is_new && block->entry == record->value)
        return 0;
    if (block)
        vhd_block_drop_locked(image, block);
    if (!vhd_layout_entry_ok(&image->layout, record->block, record->value,
                             image->pending_base.file_bytes, &fault))
        return -EINVAL;
    block = vhd_block_add_locked(image, record->block, record->value);
    block->state = VHD_BLOCK_READY;
    block->is_new = true;
    block->published = true;
    bitmap_clear(image->full, record->block, 1);
    vhd_image_set_entry_locked(image, record->block, record->value);
    vhd_block_mark_dirty_locked(image, block);
    if (image->layout.type == VHD_TYPE_DYNAMIC) {
        bitmap_set(block->bits, 0, image->layout.block_sectors);
        bitmap_set(image->full, record->block, 1);
    }
    return 0;
}

static void replay_release_locked(VhdImage *image, const VhdPendingRecord *record)
{
    VhdBlock *block = vhd_block_lookup_locked(image, record->block);
    if (block)
        vhd_block_drop_locked(image, block);
    bitmap_clear(image->full, record->block, 1);
    vhd_image_set_entry_locked(image, record->block, VHD_BAT_UNUSED);
    g_array_append_val(image->limbo_slots, record->value);
}

static int replay_bits_locked(VhdImage *image, const VhdPendingRecord *record)
{
    VhdBlock *block;
    int result = vhd_block_get_locked(image, record->block, &block);
    if (result == 0 && block)
        vhd_block_set_bits_locked(image, block, record->value, record->count);
    return result;
}

static bool replay_record(const VhdPendingRecord *record, void *data)
{
    Replay *replay = data;
    VhdImage *image = replay->image;
    pthread_mutex_lock(&image->lock);
    if (record->kind == VHD_PENDING_BLOCK)
        replay->result = replay_block_locked(image, record);
    else if (record->kind == VHD_PENDING_RELEASE)
        replay_release_locked(image, record);
    else
        replay->result = replay_bits_locked(image, record);
    pthread_mutex_unlock(&image->lock);
    return replay->result == 0;
}

static void set_misfit_error(VhdImage *image, const char *log_path, GError **error)
{
    g_set_error(
        error, VHD_ERROR, VHD_ERROR_PENDING,
        "%s: the log of writes that wait for a flush, %s, does not fit this file: it was "
        "changed or replaced since; put back the file as it was, or give those writes up with "
        "vhdctl repair --drop-pending",
        image->file->name, log_path);
}

static bool replay_log(VhdImage *image, VhdPending *log, const char *log_path, GError **error)
{
    Replay replay = {image, 0};
    if (!log_fits(image, log)) {
        set_misfit_error(image, log_path, error);
        return false;
    }
    vhd_pending_each(log, replay_record, &replay);
    if (replay.result < 0)
        vhd_error_set_errno(error, VHD_ERROR_PENDING, image->file->name,
                            "replay the log of writes that wait for a flush", -replay.result);
    return replay.result == 0;
}

/* ---- attach */

static void cannot_keep(VhdImage *image, const VhdImageOptions *options, const char *why)
{
    image->pending_lost = true;
    vhd_image_warn(options,
                   "%s: writes cannot be kept for a process that dies (%s): every write is "
                   "flushed before it completes",
                   image->file->name, why);
}

/* The old log stays as it is until a flush has made durable what it says. */
static bool take_over(VhdImage *image, VhdPendingStore *store, GError **error)
{
    VhdPending *log = vhd_pending_store_log(store);
    if (vhd_pending_blank(log) || (vhd_pending_valid(log, NULL) && vhd_pending_empty(log))) {
        image->pending_base.bat_checksum = image->bat_checksum;
        vhd_pending_format(log, &image->pending_base);
        image->pending = store;
        return true;
    }
    if (!replay_log(image, log, vhd_pending_store_name(store), error)) {
        vhd_pending_store_close(store, false);
        return false;
    }
    image->pending = store;
    if (VHD_BROKEN(REPLAY_FORGETS))
        vhd_pending_format(log, &image->pending_base);
    int result = vhd_image_flush(image);
    if (result < 0)
        vhd_error_set_errno(error, VHD_ERROR_IO, image->file->name,
                            "write what the pending log holds", -result);
    return result == 0;
}

static bool attach_for_writing(VhdImage *image, const VhdImageOptions *options, const char *path,
                               GError **error)
{
    g_autoptr(GError) why = NULL;
    bool existed;
    VhdPendingStore *store = vhd_pending_store_open(path, true, &existed, &why);
    if (store)
        return take_over(image, store, error);
    if (existed) {
        g_propagate_error(error, g_steal_pointer(&why));
        return false;
    }
    cannot_keep(image, options, why->message);
    return true;
}

static bool overlay_for_reading(VhdImage *image, const VhdImageOptions *options, const char *path,
                                GError **error)
{
    bool existed;
    g_autoptr(GError) why = NULL;
    g_autofree uint8_t *copy = NULL;
    VhdPendingStore *store = vhd_pending_store_open(path, false, &existed, &why);
    if (!store) {
        if (existed)
            g_propagate_error(error, g_steal_pointer(&why));
        return !existed;
    }
    /* Without a lock it may be written while it is read: what is judged is what is replayed. */
    copy = g_memdup2(vhd_pending_store_log(store)->region, VHD_PENDING_BYTES);
    vhd_pending_store_close(store, false);
    VhdPending taken = {copy, VHD_PENDING_BYTES}, *log = &taken;
    bool done = vhd_pending_blank(log) || (vhd_pending_valid(log, NULL) && vhd_pending_empty(log));
    if (!done && options->lock == VHD_LOCK_NONE && !log_fits(image, log)) {
        vhd_image_warn(options, "%s: in motion: writes that wait for a flush are not shown",
                       image->file->name);
        done = true;
    }
    return done || replay_log(image, log, path, error);
}

bool vhd_image_attach_pending(VhdImage *image, const VhdImageOptions *options, GError **error)
{
    if (!options->pending || image->layout.type == VHD_TYPE_FIXED)
        return true;
    VhdPendingBase *base = &image->pending_base;
    memcpy(base->uuid, image->footer.uuid, sizeof base->uuid);
    int result = vhd_pending_store_identify(image->file, base);
    base->bat_checksum = image->bat_checksum;
    if (result < 0 && result != -ENOENT) { /* a log may wait: its name is not known */
        vhd_error_set_errno(error, VHD_ERROR_IO, image->file->name, "look at", -result);
        return false;
    }
    if (result < 0 && image->writable)
        cannot_keep(image, options, g_strerror(-result));
    if (result < 0)
        return true;
    g_autofree char *path = vhd_pending_store_path(base, options->pending_dir);
    return image->writable ? attach_for_writing(image, options, path, error)
                           : overlay_for_reading(image, options, path, error);
}
