/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
#include "cli/target.h"

#include <errno.h>
#include <sys/stat.h>

#include "cli/open.h"
#include "cli/progress.h"
#include "cli/size.h"
#include "vhd/error.h"

struct Target {
    VhdFile *file; /* under its temporary name, or the device */
    bool device;
    bool stolen;  /* somebody else closes it */
    VhdFile *old; /* what stands at the path now, locked as a writer's; NULL if nothing does */
};

static bool is_same(const VhdFileInfo *a, const VhdFileInfo *b)
{
    if (a->block_device != 0) /* perhaps by two nodes */
        return a->block_device == b->block_device;
    return a->device == b->device && a->inode == b->inode;
}

static bool is_layer(VhdFile *file, VhdChain *source)
{
    VhdFileInfo info, other;

    if (!source || vhd_file_info(file, &info) != 0)
        return false;
    for (unsigned i = 0; i < vhd_chain_depth(source); i++)
        if (vhd_file_info(vhd_image_file(vhd_chain_layer(source, i)), &other) == 0 &&
            is_same(&info, &other))
            return true;
    return false;
}

static bool may_replace(VhdFile *file, GError **error)
{
    VhdFileInfo info;

    if (vhd_file_info(file, &info) != 0 || (info.mode & 0222) != 0)
        return true;
    g_set_error(error, VHD_ERROR, VHD_ERROR_READONLY,
                "%s: write protected (no write permission: it may be a golden image with "
                "children) and is not replaced; remove it first if nothing needs it",
                file->name);
    return false;
}

/* The file that would be replaced: is that allowed? */
static bool hold_old(Target *target, const char *path, bool force, VhdChain *source, GError **error)
{
    struct stat st;

    if (lstat(path, &st) < 0) {
        if (errno == ENOENT)
            return true;
        vhd_error_set_errno(error, VHD_ERROR_IO, path, "look at it", errno);
        return false;
    }
    if (!force) {
        g_set_error(error, VHD_ERROR, VHD_ERROR_EXISTS,
                    "%s: exists already; name another file, or replace it with --force", path);
        return false;
    }
    target->old = vhd_file_open(path, VHD_FILE_READ, error);
    if (!target->old)
        return false;
    if (is_layer(target->old, source)) {
        g_set_error(error, VHD_ERROR, VHD_ERROR_INVALID,
                    "%s: is a layer of the source and cannot be replaced by the result", path);
        return false;
    }
    return may_replace(target->old, error) &&
           vhd_lock_take(target->old, VHD_LOCK_WRITE, OPEN_LOCK_WAIT_MS, NULL, error);
}

Target *target_open(const char *path, mode_t mode, bool force, VhdChain *source, GError **error)
{
    g_autoptr(Target) target = g_new0(Target, 1);

    progress_catch_signals();
    if (!hold_old(target, path, force, source, error))
        return NULL;
    target->file = vhd_file_create(path, mode, error);
    return target->file ? g_steal_pointer(&target) : NULL;
}

bool target_is_device(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISBLK(st.st_mode);
}

static VhdFile *open_exclusive(const char *path, GError **error)
{
    g_autoptr(GError) own = NULL;
    VhdFile *file =
        vhd_file_open(path, VHD_FILE_WRITE | VHD_FILE_BLOCK_DEVICE | VHD_FILE_EXCLUSIVE, &own);

    if (file)
        return file;
    if (g_error_matches(own, VHD_ERROR, VHD_ERROR_BUSY))
        g_set_error(error, VHD_ERROR, VHD_ERROR_BUSY,
                    "%s: is in use: mounted, or a part of another device (RAID, LVM); end that "
                    "first",
                    path);
    else
        g_propagate_error(error, g_steal_pointer(&own));
    return NULL;
}

Target *target_open_device(const char *path, bool force, VhdChain *source, GError **error)
{
    g_autoptr(Target) target = g_new0(Target, 1);

    if (!force) {
        g_set_error(error, VHD_ERROR, VHD_ERROR_EXISTS,
                    "%s: is a block device, and what it holds would be lost; allow that with "
                    "--force",
                    path);
        return NULL;
    }
    progress_catch_signals();
    target->device = true;
    target->file = open_exclusive(path, error);
    if (!target->file)
        return NULL;
    if (is_layer(target->file, source)) {
        g_set_error(error, VHD_ERROR, VHD_ERROR_INVALID,
                    "%s: is a layer of the source and cannot be overwritten by the result", path);
        return NULL;
    }
    return vhd_lock_take(target->file, VHD_LOCK_WRITE, OPEN_LOCK_WAIT_MS, NULL, error)
               ? g_steal_pointer(&target)
               : NULL;
}

bool target_on_device(const Target *target)
{
    return target->device;
}

VhdFile *target_file(Target *target)
{
    return target->file;
}

VhdFile *target_steal_file(Target *target)
{
    target->stolen = true;
    return target->file;
}

static bool sync_device(VhdFile *file, GError **error)
{
    int err = vhd_file_barrier(file);

    if (err)
        vhd_error_set_errno(error, VHD_ERROR_IO, file->name, "sync it", -err);
    return err == 0;
}

bool target_publish(Target *target, GError **error)
{
    if (progress_interrupted())
        return target_interrupted(target, error);
    return target->device ? sync_device(target->file, error)
                          : vhd_file_publish(target->file, target->old != NULL, error);
}

bool target_interrupted(const Target *target, GError **error)
{
    g_set_error(error, VHD_ERROR, VHD_ERROR_INVALID, "%s: interrupted%s", target->file->name,
                target->device ? "" : ", nothing was made");
    return false;
}

void target_tell_remains(const Target *target, GError **error)
{
    g_autofree char *text = NULL;

    if (!target->device || !error || !*error)
        return;
    text = (*error)->message;
    (*error)->message =
        g_strdup_printf("%s; %s holds a part of the disk only", text, target->file->name);
}

void target_close(Target *target)
{
    if (!target)
        return;
    if (!target->stolen)
        vhd_file_close(target->file);
    vhd_file_close(target->old);
    g_free(target);
}

bool target_parse_block_size(const char *text, uint32_t *bytes, GError **error)
{
    uint64_t value;

    if (!size_parse(text, "block size", &value, error))
        return false;
    if (value == 0 || value > UINT32_MAX) {
        g_set_error(error, VHD_ERROR, VHD_ERROR_INVALID, "block size '%s' is too %s", text,
                    value == 0 ? "small" : "large");
        return false;
    }
    *bytes = (uint32_t)value;
    return true;
}
