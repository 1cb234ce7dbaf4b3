/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
#include "cli/merge.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/cli.h"
#include "cli/inode.h"
#include "cli/open.h"
#include "vhd/error.h"

/* While it is being opened. */
typedef struct Opening {
    GPtrArray *layers; /* VhdImage, owned */
    bool into_parent;
    VhdFileInfo into; /* device and inode of the target, if not the parent */
    int target;       /* -1: not met yet */
} Opening;

static bool is_file(const VhdFileInfo *a, const VhdFileInfo *b)
{
    return a->device == b->device && a->inode == b->inode;
}

/* Write permission is given for the moment of opening: it guards the image against others. */
static VhdFile *open_protected(const char *path, GError **error)
{
    VhdFile *file;
    struct stat st;
    mode_t given;

    if (stat(path, &st) < 0 || (st.st_mode & 0222) != 0)
        return vhd_file_open(path, VHD_FILE_WRITE, error);
    inode_unprotect(path, (st.st_mode & 07777) | S_IWUSR);
    file = vhd_file_open(path, VHD_FILE_WRITE, error);
    if (!inode_protect(path, &given, file ? error : NULL))
        g_clear_pointer(&file, vhd_file_close);
    return file;
}

/* file is the parent that was found: opened again, to be written. */
static VhdFile *open_again(VhdFile *file, const VhdFileInfo *info, GError **error)
{
    VhdFile *again = open_protected(file->name, error);
    VhdFileInfo other;
    int err = again ? vhd_file_info(again, &other) : 0;

    if (err)
        vhd_error_set_errno(error, VHD_ERROR_IO, file->name, "look at it", -err);
    else if (again && !is_file(info, &other))
        g_set_error(error, VHD_ERROR, VHD_ERROR_BUSY, "%s: was replaced just now; try again",
                    file->name);
    if (again && (err || !is_file(info, &other)))
        g_clear_pointer(&again, vhd_file_close);
    vhd_file_close(file);
    return again;
}

static bool judge_layer(const Opening *opening, VhdFile *file, const VhdFileInfo *info,
                        GError **error)
{
    VhdFileInfo other;

    if (opening->layers->len >= VHD_CHAIN_MAX_DEPTH) {
        g_set_error(error, VHD_ERROR, VHD_ERROR_DEPTH,
                    "%s: is layer %u of the chain, at most %u "
                    "are served",
                    file->name, opening->layers->len, VHD_CHAIN_MAX_DEPTH);
        return false;
    }
    for (unsigned i = 0; i < opening->layers->len; i++) {
        VhdImage *layer = g_ptr_array_index(opening->layers, i);

        if (vhd_file_info(vhd_image_file(layer), &other) == 0 && is_file(info, &other)) {
            g_set_error(error, VHD_ERROR, VHD_ERROR_PARENT,
                        "%s: is its own ancestor: the chain is a cycle", file->name);
            return false;
        }
    }
    return true;
}

/* Takes file. */
static bool add_layer(Opening *opening, VhdFile *file, const VhdFileInfo *info, GError **error)
{
    unsigned number = opening->layers->len;
    bool is_target = opening->target < 0 && number > 0 &&
                     (opening->into_parent || is_file(info, &opening->into));
    VhdImageOptions options = {.lock = VHD_LOCK_READ,
                               .lock_wait_ms = OPEN_LOCK_WAIT_MS,
                               .pending = true,
                               .warn = cli_warn_text};
    VhdImage *image;

    if (!judge_layer(opening, file, info, error)) {
        vhd_file_close(file);
        return false;
    }
    if (is_target) {
        opening->target = (int)number;
        options.pending = open_log_waits(file->name, NULL);
        options.lock = VHD_LOCK_WRITE;
        options.writable = options.force_write = true;
        file = open_again(file, info, error);
    }
    image = file ? vhd_image_open(file, &options, error) : NULL;
    if (!image)
        return false;
    g_ptr_array_add(opening->layers, image);
    if (!is_target || vhd_image_writable(image))
        return true;
    g_set_error(error, VHD_ERROR, VHD_ERROR_READONLY, "%s: can only be read",
                vhd_image_name(image));
    return false;
}

static bool add_parents(Opening *opening, GError **error)
{
    for (;;) {
        VhdImage *last = g_ptr_array_index(opening->layers, opening->layers->len - 1);
        VhdFileInfo info;
        VhdFile *file;
        int err;

        if (vhd_image_layout(last)->type != VHD_TYPE_DIFFERENCING)
            return true;
        file = open_parent_file(last, error);
        if (!file)
            return false;
        err = vhd_file_info(file, &info);
        if (err) {
            vhd_error_set_errno(error, VHD_ERROR_IO, file->name, "look at it", -err);
            vhd_file_close(file);
            return false;
        }
        if (!add_layer(opening, file, &info, error))
            return false;
    }
}

static bool find_into(Opening *opening, const char *into, GError **error)
{
    g_autoptr(VhdFile) file = NULL;
    int err;

    opening->into_parent = into == NULL;
    if (!into)
        return true;
    file = vhd_file_open(into, VHD_FILE_READ, error);
    if (!file)
        return false;
    err = vhd_file_info(file, &opening->into);
    if (err)
        vhd_error_set_errno(error, VHD_ERROR_IO, into, "look at it", -err);
    return !err;
}

static bool add_child(Opening *opening, const char *path, bool force, GError **error)
{
    g_autoptr(VhdChain) alone = open_for_change(path, force, true, error);
    VhdImage *image;

    if (!alone)
        return false;
    image = vhd_chain_layer(alone, 0);
    g_ptr_array_add(opening->layers, vhd_image_ref(image));
    if (vhd_image_footer(image)->type == VHD_TYPE_DIFFERENCING && vhd_image_writable(image))
        return true;
    g_set_error(error, VHD_ERROR, VHD_ERROR_INVALID, "%s: %s", path,
                vhd_image_writable(image) ? "has no parent that it could be merged into"
                                          : "can only be read");
    return false;
}

static void unref_image(gpointer image)
{
    vhd_image_unref(image);
}

/* Chains of the layers, which keep their own references. */
static VhdChain *chain_from(const Opening *opening, unsigned first)
{
    VhdImage *const *layers = (VhdImage *const *)opening->layers->pdata + first;
    unsigned depth = opening->layers->len - first;

    for (unsigned i = 0; i < depth; i++)
        vhd_image_ref(layers[i]);
    return vhd_chain_new(layers, depth);
}

bool merge_open(Merge *merge, const char *path, const char *into, bool force, GError **error)
{
    Opening opening = {.layers = g_ptr_array_new_with_free_func(unref_image), .target = -1};
    bool done = find_into(&opening, into, error) && add_child(&opening, path, force, error) &&
                add_parents(&opening, error);

    if (done && opening.target < 0) {
        g_set_error(error, VHD_ERROR, VHD_ERROR_INVALID, "%s: is no ancestor of %s", into, path);
        done = false;
    }
    if (done) {
        merge->layer = (unsigned)opening.target;
        merge->child = chain_from(&opening, 0);
        merge->target = chain_from(&opening, merge->layer);
    }
    g_ptr_array_unref(opening.layers);
    return done;
}

void merge_close(Merge *merge)
{
    g_clear_pointer(&merge->child, vhd_chain_free);
    g_clear_pointer(&merge->target, vhd_chain_free);
}

VhdImage *merge_child(const Merge *merge)
{
    return vhd_chain_layer(merge->child, 0);
}

VhdImage *merge_target(const Merge *merge)
{
    return vhd_chain_layer(merge->target, 0);
}
