/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
#include "cli/log.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <inttypes.h>

#include "cli/open.h"
#include "cli/output.h"
#include "vhd/error.h"
#include "vhd/image.h"
#include "vhd/pending-store.h"
#include "vhd/repair.h"

static bool take_in(const char *path, bool force, GError **error)
{
    VhdImageOptions options = {.writable = true,
                               .force_write = force,
                               .lock = VHD_LOCK_WRITE,
                               .lock_wait_ms = OPEN_LOCK_WAIT_MS,
                               .pending = true};
    VhdFile *file = vhd_file_open(path, VHD_FILE_WRITE, error);
    g_autoptr(VhdImage) image = file ? vhd_image_open(file, &options, error) : NULL;
    int err;

    if (!image)
        return false;
    if (!vhd_image_writable(image)) {
        g_set_error(error, VHD_ERROR, VHD_ERROR_CORRUPT,
                    "%s: its two footers contradict each other, so the writes that wait for it "
                    "cannot be taken in; give them up with --drop-pending",
                    path);
        return false;
    }
    err = vhd_image_finish(image);
    if (err)
        vhd_error_set_errno(error, VHD_ERROR_IO, path, "take in the writes that wait for it", -err);
    return err == 0;
}

/* An error that trying again would not mend. */
static bool is_lasting(const GError *error)
{
    return error->domain == VHD_ERROR &&
           (error->code == VHD_ERROR_PENDING || error->code == VHD_ERROR_CORRUPT ||
            error->code == VHD_ERROR_UNSUPPORTED || error->code == VHD_ERROR_NOT_VHD);
}

static bool note_block(const VhdPendingRecord *record, void *data)
{
    g_hash_table_add(data, GUINT_TO_POINTER(record->block));
    return true;
}

static gint compare_blocks(gconstpointer a, gconstpointer b)
{
    return GPOINTER_TO_UINT(a) < GPOINTER_TO_UINT(b) ? -1 : 1;
}

/* block_bytes 0: not known. */
static void print_blocks(const char *log, uint64_t block_bytes)
{
    g_autoptr(GHashTable) blocks = g_hash_table_new(NULL, NULL);
    VhdPendingStore *store = vhd_pending_store_open(log, false, NULL, NULL);
    g_autoptr(GList) sorted = NULL;

    if (store && vhd_pending_valid(vhd_pending_store_log(store), NULL))
        vhd_pending_each(vhd_pending_store_log(store), note_block, blocks);
    vhd_pending_store_close(store, false);
    sorted = g_list_sort(g_hash_table_get_keys(blocks), compare_blocks);
    for (GList *at = sorted; at; at = at->next) {
        uint64_t block = GPOINTER_TO_UINT(at->data);

        if (block_bytes > 0)
            output_line(0, "pending",
                        "writes to block %" PRIu64 " are given up, bytes %" PRIu64 " to %" PRIu64
                        " of the disk",
                        block, block * block_bytes, (block + 1) * block_bytes - 1);
        else
            output_line(0, "pending", "writes to block %" PRIu64 " are given up", block);
    }
}

static uint64_t block_bytes_of(const char *path)
{
    VhdImageOptions head = {.headers_only = true};
    VhdFile *file = vhd_file_open(path, VHD_FILE_READ, NULL);
    g_autoptr(VhdImage) image = file ? vhd_image_open(file, &head, NULL) : NULL;

    return image && vhd_image_header(image) ? vhd_image_header(image)->block_bytes : 0;
}

/* Nobody writes to it while the image is held. */
static bool drop_log(const char *path, const char *log, GError **error)
{
    g_autoptr(VhdFile) file = vhd_file_open(path, VHD_FILE_READ, error);

    if (!file || !vhd_lock_take(file, VHD_LOCK_WRITE, OPEN_LOCK_WAIT_MS, NULL, error))
        return false;
    print_blocks(log, block_bytes_of(path));
    if (g_unlink(log) == 0)
        return true;
    vhd_error_set_errno(error, VHD_ERROR_PENDING, log, "remove it", errno);
    return false;
}

static bool settle(const char *path, const char *log, bool force, bool drop, GError **error)
{
    g_autoptr(GError) why = NULL;

    if (take_in(path, force, &why)) {
        output_line(0, "pending", "the writes that waited in %s are in the file now", log);
        return true;
    }
    if (drop && is_lasting(why))
        return drop_log(path, log, error);
    if (is_lasting(why) && why->code != VHD_ERROR_PENDING)
        g_set_error(error, VHD_ERROR, VHD_ERROR_PENDING,
                    "%s; and writes wait for it in %s, which are to be given up first: vhdctl "
                    "repair --drop-pending",
                    why->message, log);
    else
        g_propagate_error(error, g_steal_pointer(&why));
    return false;
}

LogOutcome log_settle(const char *path, bool dry_run, bool force, bool drop, GError **error)
{
    g_autoptr(VhdFile) file = vhd_file_open(path, VHD_FILE_READ, error);
    g_autofree char *log = NULL;

    if (!file)
        return LOG_FAILED;
    log = vhd_repair_log_waiting(file, NULL);
    if (!log)
        return LOG_SETTLED;
    if (!dry_run)
        return settle(path, log, force, drop, error) ? LOG_SETTLED : LOG_FAILED;
    output_line(0, "pending",
                "the writes that wait in %s are taken in first, if they can be; what is to be "
                "mended shows then",
                log);
    return LOG_WAITS;
}
