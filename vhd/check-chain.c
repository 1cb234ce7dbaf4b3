/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * An image and its ancestors judged. Each is opened by its head alone (its BAT may be bad), which
 * is what looking for the next parent takes; a chain that cannot be followed ends with a finding.
 */
#include "vhd/check.h"

#include <stdlib.h>
#include <string.h>

#include "vhd/chain.h"
#include "vhd/check-private.h"
#include "vhd/error.h"
#include "vhd/resolve.h"

typedef struct Ancestry {
    const VhdCheckOptions *options;
    GPtrArray *folders;   /* real paths, for the rules; NULL-terminated once all are in */
    GArray *seen;         /* VhdFileInfo of each layer: cycles */
    uint64_t bat_bytes;   /* of all layers */
    uint64_t child_bytes; /* virtual size of the layer before */
    unsigned layer;
} Ancestry;

/* A finding about the layer, outside the judging of one image. */
static void report(const Ancestry *walk, VhdCheckResult *result, VhdFinding finding)
{
    finding.layer = walk->layer;
    result->count[finding.severity]++;
    if (walk->options->report)
        walk->options->report(walk->options->data, &finding);
}

static void report_error(const Ancestry *walk, VhdCheckResult *result, VhdFindingCode code,
                         const char *text)
{
    report(walk, result,
           (VhdFinding){.code = code,
                        .severity = VHD_SEVERITY_ERROR,
                        .off = VHD_FINDING_NOWHERE,
                        .text = text});
}

static void add_folder(Ancestry *walk, const char *folder)
{
    char *real = realpath(folder, NULL);

    if (real) {
        g_ptr_array_add(walk->folders, g_strdup(real));
        free(real);
    }
}

static void collect_folders(Ancestry *walk, const VhdFile *file)
{
    const char *const *parents = walk->options->parents;

    g_ptr_array_add(walk->folders, g_strdup(file->folder ? file->folder : "/"));
    for (; parents && *parents; parents++)
        add_folder(walk, *parents);
    g_ptr_array_add(walk->folders, NULL);
}

/* May another layer be put below? */
static bool bounds_ok(Ancestry *walk, const VhdImage *image, VhdCheckResult *result)
{
    unsigned most = walk->options->max_depth ? walk->options->max_depth : VHD_CHAIN_MAX_DEPTH;
    g_autofree char *text = NULL;

    walk->bat_bytes += vhd_image_layout(image)->bat_bytes;
    if (walk->bat_bytes > VHD_CHAIN_MAX_BAT_BYTES) {
        text = g_strdup_printf("the block tables of the chain take %" G_GUINT64_FORMAT
                               " bytes up to here, expected at most %" G_GUINT64_FORMAT,
                               walk->bat_bytes, (uint64_t)VHD_CHAIN_MAX_BAT_BYTES);
    } else if (walk->layer >= most) {
        text = g_strdup_printf("the chain has more than %u layers", most);
    } else {
        return true;
    }
    report_error(walk, result, VHD_FINDING_CHAIN, text);
    return false;
}

/* False where the file is a layer already. */
static bool note_seen(Ancestry *walk, VhdFile *file, VhdCheckResult *result)
{
    VhdFileInfo info;

    if (vhd_file_info(file, &info) != 0)
        return true;
    for (unsigned i = 0; i < walk->seen->len; i++) {
        const VhdFileInfo *other = &g_array_index(walk->seen, VhdFileInfo, i);

        if (other->device == info.device && other->inode == info.inode) {
            g_autofree char *text = g_strdup_printf(
                "the image is its own ancestor: its parent %s is layer %u already", file->name, i);

            report_error(walk, result, VHD_FINDING_CHAIN, text);
            return false;
        }
    }
    g_array_append_val(walk->seen, info);
    return true;
}

static void compare_time(Ancestry *walk, const VhdImage *child, VhdFile *parent,
                         VhdCheckResult *result)
{
    const VhdHeader *header = vhd_image_header(child);
    VhdFileInfo info;

    /* Windows writes 0: nothing noted. */
    if (header->parent_time_stamp == 0 || vhd_file_info(parent, &info) != 0)
        return;
    if (info.mtime_unix <= (int64_t)header->parent_time_stamp + VHD_EPOCH_UNIX)
        return;
    report(walk, result,
           (VhdFinding){.code = VHD_FINDING_PARENT_NEWER,
                        .severity = VHD_SEVERITY_WARNING,
                        .off = VHD_FINDING_NOWHERE,
                        .text = "the parent was modified after the image was made: if its content "
                                "changed, the image is not what it was"});
}

/* The size of a layer against that of its child. */
static void compare_size(Ancestry *walk, uint64_t bytes, VhdCheckResult *result)
{
    g_autofree char *text = NULL;

    if (walk->layer > 0 && bytes != walk->child_bytes) {
        text = g_strdup_printf("the disk has %" G_GUINT64_FORMAT " bytes, that of the layer above "
                               "%" G_GUINT64_FORMAT,
                               bytes, walk->child_bytes);
        report(walk, result,
               (VhdFinding){
                   .code = VHD_FINDING_PARENT_SIZE, .off = VHD_FINDING_NOWHERE, .text = text});
    }
    walk->child_bytes = bytes;
}

static VhdFile *find_parent(Ancestry *walk, VhdImage *child, VhdCheckResult *result, bool *raw)
{
    VhdResolveRules rules = {.confined = walk->options->confined,
                             .folders = (const char *const *)walk->folders->pdata,
                             .parents = walk->options->parents,
                             .raw_parent = walk->options->raw_parent};
    g_autoptr(GError) error = NULL;
    VhdFile *file = vhd_resolve_parent(child, &rules, raw, &error);

    if (!file) {
        report_error(walk, result, VHD_FINDING_PARENT, error->message);
        return NULL;
    }
    compare_time(walk, child, file, result);
    if (!note_seen(walk, file, result))
        g_clear_pointer(&file, vhd_file_close);
    return file;
}

/* An image that was judged, but could not be opened again to find its parent. */
static void report_unopened(const Ancestry *walk, VhdCheckResult *result, const GError *error)
{
    g_autofree char *text = NULL;

    if (result->count[VHD_SEVERITY_ERROR] + result->count[VHD_SEVERITY_FAILED] > 0)
        return; /* what is wrong with it has been told */
    text = g_strdup_printf("its parent was not looked for: %s", error->message);
    report(walk, result,
           (VhdFinding){.code = VHD_FINDING_READ,
                        .severity = VHD_SEVERITY_FAILED,
                        .off = VHD_FINDING_NOWHERE,
                        .text = text});
}

/* The parent of the image just judged, NULL where there is none to be had. Takes file. */
static VhdFile *step_down(Ancestry *walk, VhdFile *file, VhdCheckResult *result, bool *raw)
{
    VhdImageOptions head = {.headers_only = true};
    g_autoptr(GError) error = NULL;
    g_autoptr(VhdImage) image = vhd_image_open(file, &head, &error);

    if (!image)
        report_unopened(walk, result, error);
    if (!image || vhd_image_layout(image)->type != VHD_TYPE_DIFFERENCING)
        return NULL;
    walk->layer++;
    if (!bounds_ok(walk, image, result)) {
        walk->layer--;
        return NULL;
    }
    walk->layer--;
    return find_parent(walk, image, result, raw);
}

/* A raw file is all disk: nothing can be wrong with it. */
static bool judge(Ancestry *walk, VhdFile *file, bool raw, VhdCheckResult *result, GError **error)
{
    VhdFileInfo info;

    if (!raw)
        return vhd_check_image(file, walk->layer, walk->options, result, error);
    *result = (VhdCheckResult){.leaked_bytes = 0};
    if (vhd_file_info(file, &info) == 0)
        result->disk_bytes = result->end_off = info.bytes / VHD_SECTOR_BYTES * VHD_SECTOR_BYTES;
    return true;
}

/* Judge file, which is closed, and go down from it. */
static bool walk_down(Ancestry *walk, VhdFile *file, GError **error)
{
    const VhdCheckOptions *options = walk->options;
    bool raw = false;

    while (file) {
        VhdCheckResult result;
        VhdFile *next = NULL;
        bool below_raw = false;

        if (options->lock &&
            !vhd_lock_take(file, VHD_LOCK_READ, options->lock_wait_ms, NULL, error)) {
            vhd_file_close(file);
            return false;
        }
        if (options->layer_begin)
            options->layer_begin(options->data, walk->layer, file);
        if (!judge(walk, file, raw, &result, error)) {
            vhd_file_close(file);
            return false;
        }
        if (result.disk_bytes > 0)
            compare_size(walk, result.disk_bytes, &result);
        if (options->ancestors && !raw)
            next = step_down(walk, file, &result, &below_raw);
        else
            vhd_file_close(file);
        if (options->layer_end)
            options->layer_end(options->data, walk->layer, &result);
        walk->layer++;
        file = next;
        raw = below_raw;
    }
    return true;
}

bool vhd_check_chain(const char *path, const VhdCheckOptions *options, GError **error)
{
    Ancestry walk = {.options = options};
    VhdFile *file = vhd_file_open(path, VHD_FILE_READ | VHD_FILE_BLOCK_DEVICE, error);
    VhdFileInfo info;
    bool done;

    if (!file)
        return false;
    walk.folders = g_ptr_array_new_with_free_func(g_free);
    walk.seen = g_array_new(FALSE, FALSE, sizeof(VhdFileInfo));
    collect_folders(&walk, file);
    if (vhd_file_info(file, &info) == 0)
        g_array_append_val(walk.seen, info);
    done = walk_down(&walk, file, error);
    g_ptr_array_unref(walk.folders);
    g_array_unref(walk.seen);
    return done;
}
