/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
#include "vhd/chain.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "vhd/break.h"
#include "vhd/error.h"
#include "vhd/resolve.h"

struct VhdChain {
    unsigned depth;
    VhdDataRange *data; /* a range a layer */
    VhdImage *layers[];
};

/* A chain while it is being opened. */
typedef struct Opening {
    const VhdChainOptions *options;
    bool probe;         /* see vhd_chain_probe */
    GPtrArray *layers;  /* VhdImage, owned */
    GPtrArray *folders; /* for VhdResolveRules */
    uint64_t bat_bytes;
} Opening;

static void G_GNUC_PRINTF(3, 4)
    chain_log(const VhdChainOptions *options, VhdLogLevel level, const char *format, ...)
{
    g_autofree char *text = NULL;
    va_list args;

    if (!options->log)
        return;
    va_start(args, format);
    text = g_strdup_vprintf(format, args);
    va_end(args);
    options->log(options->log_data, level, text);
}

static void image_warns(void *data, const char *text)
{
    const Opening *opening = data;

    chain_log(opening->options, VHD_LOG_WARNING, "%s", text);
}

/* Where parents may lie: the first child's folder, then those of parents=, as they really are. */
static void fill_folders(Opening *opening, VhdImage *child)
{
    VhdFile *file = vhd_image_file(child);
    const char *const *parent = opening->options->parents;
    char real[PATH_MAX];

    if (file->folder) {
        g_ptr_array_add(opening->folders, g_strdup(file->folder));
    } else {
        g_autofree char *full = g_canonicalize_filename(file->name, NULL);
        g_ptr_array_add(opening->folders, g_path_get_dirname(full));
    }
    for (; parent && *parent; parent++) {
        if (realpath(*parent, real))
            g_ptr_array_add(opening->folders, g_strdup(real));
        else
            chain_log(opening->options, VHD_LOG_WARNING, "parents=%s: %s; it is passed over",
                      *parent, g_strerror(errno));
    }
    g_ptr_array_add(opening->folders, NULL);
}

static VhdFile *wrap(const VhdChainOptions *options, VhdFile *file)
{
    return options->wrap ? options->wrap(file, options->wrap_data) : file;
}

static VhdImageOptions image_options(Opening *opening, bool top)
{
    const VhdChainOptions *options = opening->options;
    VhdImageOptions image = {
        .lock_wait_ms = options->lock_wait_ms,
        .headers_only = opening->probe,
        .pending_dir = options->pending_dir,
        .warn = image_warns,
        .warn_data = opening,
    };

    if (opening->probe)
        return image;
    image.writable = top && options->writable;
    image.force_write = options->force_write;
    image.pending = options->pending;
    if (options->lock)
        image.lock = image.writable ? VHD_LOCK_WRITE : VHD_LOCK_READ;
    return image;
}

/* What vhd_image_open would have refused, had it not been opened for a look only. */
static bool probe_access(Opening *opening, VhdImage *image, bool top, GError **error)
{
    const VhdChainOptions *options = opening->options;
    VhdFile *file = vhd_image_file(image);
    bool writes = top && options->writable;
    VhdFileInfo info;

    if (writes && !options->force_write && vhd_file_info(file, &info) == 0 && !(info.mode & 0222)) {
        g_set_error(error, VHD_ERROR, VHD_ERROR_READONLY,
                    "%s: has no write permission, it may be the parent of others; open it "
                    "read-only or make a child of it",
                    vhd_image_name(image));
        return false;
    }
    return !options->lock || vhd_lock_probe(file, writes ? VHD_LOCK_WRITE : VHD_LOCK_READ, error);
}

/* Take image in as the next layer, if the chain may still have it. */
static bool add_layer(Opening *opening, VhdImage *image, GError **error)
{
    g_ptr_array_add(opening->layers, image);
    opening->bat_bytes += vhd_image_layout(image)->bat_bytes;
    if (opening->bat_bytes > VHD_CHAIN_MAX_BAT_BYTES) {
        g_set_error(error, VHD_ERROR, VHD_ERROR_UNSUPPORTED,
                    "%s: the block tables of this chain take %" G_GUINT64_FORMAT
                    " bytes down to this layer, at most %" G_GUINT64_FORMAT " are served",
                    vhd_image_name(image), opening->bat_bytes, VHD_CHAIN_MAX_BAT_BYTES);
        return false;
    }
    return !opening->probe || probe_access(opening, image, opening->layers->len == 1, error);
}

static bool open_top(Opening *opening, const char *path, GError **error)
{
    const VhdChainOptions *options = opening->options;
    VhdImageOptions image = image_options(opening, true);
    VhdFileFlags flags = (image.writable ? VHD_FILE_WRITE : VHD_FILE_READ) |
                         (options->allow_block_device ? VHD_FILE_BLOCK_DEVICE : 0);
    VhdFile *file = vhd_file_open(path, flags, error);
    VhdImage *top = file ? vhd_image_open(wrap(options, file), &image, error) : NULL;

    return top && add_layer(opening, top, error);
}

/* A layer that is there already would be read for ever. */
static bool is_new_layer(Opening *opening, VhdFile *file, GError **error)
{
    VhdFileInfo info, other;
    int err = vhd_file_info(file, &info);

    for (guint i = 0; i < opening->layers->len && !err; i++) {
        VhdImage *layer = g_ptr_array_index(opening->layers, i);

        err = vhd_file_info(vhd_image_file(layer), &other);
        if (!err && other.device == info.device && other.inode == info.inode) {
            VhdImage *last = g_ptr_array_index(opening->layers, opening->layers->len - 1);

            g_set_error(error, VHD_ERROR, VHD_ERROR_PARENT,
                        "%s: names %s as its parent, which is a child of it: the chain is a cycle",
                        vhd_image_name(last), file->name);
            return false;
        }
    }
    if (err)
        vhd_error_set_errno(error, VHD_ERROR_IO, file->name, "look at it", -err);
    return !err;
}

static void warn_if_newer(const Opening *opening, VhdImage *child, VhdImage *parent)
{
    uint32_t stamp = vhd_image_header(child)->parent_time_stamp;
    VhdFileInfo info;

    if (stamp != 0 && vhd_file_info(vhd_image_file(parent), &info) == 0 &&
        info.mtime_unix - VHD_EPOCH_UNIX > (int64_t)stamp)
        chain_log(opening->options, VHD_LOG_WARNING,
                  "%s: was changed after its child %s was made; if its content changed, what the "
                  "child shows is a mixture",
                  vhd_image_name(parent), vhd_image_name(child));
}

/* What could not be told before the parent was locked and opened. */
static bool accept_parent(Opening *opening, VhdImage *child, VhdImage *parent, GError **error)
{
    bool matches = vhd_image_is_raw(parent) ||
                   memcmp(vhd_image_footer(parent)->uuid, vhd_image_header(child)->parent_uuid,
                          VHD_UUID_BYTES) == 0;
    int err = 0;

    if (!matches) {
        g_set_error(error, VHD_ERROR, VHD_ERROR_PARENT,
                    "%s: its footers have different uuids, the one that serves is not that of %s's "
                    "parent",
                    vhd_image_name(parent), vhd_image_name(child));
        return false;
    }
    if (!opening->probe && opening->options->writable && !VHD_BROKEN(PARENT_SYNC))
        err = vhd_file_barrier(vhd_image_file(parent));
    if (err) {
        vhd_error_set_errno(error, VHD_ERROR_IO, vhd_image_name(parent), "sync it", -err);
        return false;
    }
    warn_if_newer(opening, child, parent);
    return true;
}

static bool open_parent(Opening *opening, VhdImage *child, GError **error)
{
    const VhdChainOptions *options = opening->options;
    VhdResolveRules rules = {
        .confined = options->confined,
        .folders = (const char *const *)opening->folders->pdata,
        .parents = options->parents,
        .raw_parent = options->raw_parent,
    };
    VhdImageOptions image = image_options(opening, false);
    bool raw = false;
    VhdFile *file = vhd_resolve_parent(child, &rules, &raw, error);
    VhdImage *parent;

    if (!file)
        return false;
    if (!is_new_layer(opening, file, error)) {
        vhd_file_close(file);
        return false;
    }
    file = wrap(options, file);
    parent = raw ? vhd_image_open_raw(file, &image, error) : vhd_image_open(file, &image, error);
    return parent && add_layer(opening, parent, error) &&
           accept_parent(opening, child, parent, error);
}

static bool open_layers(Opening *opening, const char *path, GError **error)
{
    unsigned most = opening->options->max_depth ? opening->options->max_depth : VHD_CHAIN_MAX_DEPTH;
    VhdImage *last;

    if (!open_top(opening, path, error))
        return false;
    last = g_ptr_array_index(opening->layers, 0);
    fill_folders(opening, last);
    while (!vhd_image_is_raw(last) && vhd_image_layout(last)->type == VHD_TYPE_DIFFERENCING) {
        if (opening->layers->len >= most) {
            g_set_error(error, VHD_ERROR, VHD_ERROR_DEPTH,
                        "%s: has a parent still, but is layer %u of the chain of %s, and at most "
                        "%u are served (max-depth=)",
                        vhd_image_name(last), opening->layers->len, path, most);
            return false;
        }
        if (!open_parent(opening, last, error))
            return false;
        last = g_ptr_array_index(opening->layers, opening->layers->len - 1);
    }
    return true;
}

static void unref_image(gpointer image)
{
    vhd_image_unref(image);
}

/* Open, and make a chain of it unless *chain is not asked for. */
static bool open_chain(const char *path, const VhdChainOptions *options, VhdChain **chain,
                       GError **error)
{
    Opening opening = {
        .options = options,
        .probe = !chain,
        .layers = g_ptr_array_new_with_free_func(unref_image),
        .folders = g_ptr_array_new_with_free_func(g_free),
    };
    bool ok = open_layers(&opening, path, error);

    if (ok && chain) {
        *chain = vhd_chain_new((VhdImage *const *)opening.layers->pdata, opening.layers->len);
        g_ptr_array_set_free_func(opening.layers, NULL);
    }
    g_ptr_array_unref(opening.layers);
    g_ptr_array_unref(opening.folders);
    return ok;
}

VhdChain *vhd_chain_open(const char *path, const VhdChainOptions *options, GError **error)
{
    VhdChain *chain = NULL;

    return open_chain(path, options, &chain, error) ? chain : NULL;
}

bool vhd_chain_probe(const char *path, const VhdChainOptions *options, GError **error)
{
    return open_chain(path, options, NULL, error);
}

VhdChain *vhd_chain_new(VhdImage *const *layers, unsigned depth)
{
    VhdChain *chain = g_malloc(sizeof *chain + depth * sizeof chain->layers[0]);

    chain->depth = depth;
    chain->data = g_new0(VhdDataRange, depth);
    memcpy(chain->layers, layers, depth * sizeof layers[0]);
    return chain;
}

void vhd_chain_free(VhdChain *chain)
{
    if (!chain)
        return;
    for (unsigned i = 0; i < chain->depth; i++)
        vhd_image_unref(chain->layers[i]);
    g_free(chain->data);
    g_free(chain);
}

unsigned vhd_chain_depth(const VhdChain *chain)
{
    return chain->depth;
}

VhdImage *vhd_chain_layer(const VhdChain *chain, unsigned index)
{
    return chain->layers[index];
}

VhdDataRange *vhd_chain_data_range(VhdChain *chain, unsigned index)
{
    return &chain->data[index];
}

uint64_t vhd_chain_sectors(const VhdChain *chain)
{
    return vhd_image_sectors(chain->layers[0]);
}

int vhd_chain_map(VhdChain *chain, uint64_t sector, uint64_t max_sectors, VhdExtent *extent)
{
    uint64_t left = max_sectors; /* as far as all layers above say "look below" */

    if (sector >= vhd_chain_sectors(chain) || max_sectors == 0)
        return -EINVAL;
    *extent = (VhdExtent){.layer = -1};
    for (unsigned i = 0; i < chain->depth; i++) {
        uint64_t size = vhd_image_sectors(chain->layers[i]);
        VhdImageExtent run;
        int err;

        if (sector >= size)
            break;
        left = MIN(left, size - sector);
        err = vhd_image_map(chain->layers[i], sector, left, &run);
        if (err)
            return err;
        left = run.sectors;
        if (run.presence == VHD_DATA) {
            extent->layer = (int)i;
            extent->off = run.off;
        }
        if (run.presence != VHD_ABSENT)
            break;
    }
    extent->sectors = left;
    return 0;
}
