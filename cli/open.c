/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
#include "cli/open.h"

#include "cli/cli.h"
#include "vhd/pending-store.h"
#include "vhd/resolve.h"

static void log_chain(void *data, VhdLogLevel level, const char *text)
{
    (void)data;
    if (level != VHD_LOG_INFO)
        cli_warn("%s", text);
}

void open_warn_of_writer(VhdFile *file)
{
    g_autofree char *writer = vhd_lock_writer(file);

    if (writer)
        cli_warn("%s: %s writes it: what is shown may be in motion", file->name, writer);
}

VhdChain *open_chain(const char *path, bool unlocked, GError **error)
{
    VhdChainOptions options = {.lock = !unlocked,
                               .lock_wait_ms = OPEN_LOCK_WAIT_MS,
                               .pending = true,
                               .allow_block_device = true,
                               .log = log_chain};
    VhdChain *chain = vhd_chain_open(path, &options, error);

    for (unsigned i = 0; unlocked && chain && i < vhd_chain_depth(chain); i++)
        open_warn_of_writer(vhd_image_file(vhd_chain_layer(chain, i)));
    return chain;
}

bool open_log_waits(const char *path, GError **error)
{
    VhdImageOptions head = {.headers_only = true};
    VhdFile *file = vhd_file_open(path, VHD_FILE_READ, error);
    g_autoptr(VhdImage) image = file ? vhd_image_open(file, &head, error) : NULL;
    g_autofree char *log = NULL;

    if (!image)
        return false;
    log = vhd_pending_waiting(vhd_image_file(image), vhd_image_footer(image)->uuid, NULL);
    return log != NULL;
}

static VhdChain *open_alone(const char *path, bool force, bool pending, GError **error)
{
    VhdImageOptions options = {.writable = true,
                               .force_write = force,
                               .lock = VHD_LOCK_WRITE,
                               .lock_wait_ms = OPEN_LOCK_WAIT_MS,
                               .pending = pending,
                               .warn = cli_warn_text};
    VhdFile *file = vhd_file_open(path, VHD_FILE_WRITE, error);
    VhdImage *image = file ? vhd_image_open(file, &options, error) : NULL;

    return image ? vhd_chain_new(&image, 1) : NULL;
}

VhdChain *open_for_change(const char *path, bool force, bool alone, GError **error)
{
    g_autoptr(GError) own = NULL;
    VhdChainOptions options = {.writable = true,
                               .force_write = force,
                               .lock = true,
                               .lock_wait_ms = OPEN_LOCK_WAIT_MS,
                               .log = log_chain};

    options.pending = open_log_waits(path, &own);
    if (own) {
        g_propagate_error(error, g_steal_pointer(&own));
        return NULL;
    }
    return alone ? open_alone(path, force, options.pending, error)
                 : vhd_chain_open(path, &options, error);
}

VhdImage *open_head(const char *path, bool unlocked, GError **error)
{
    VhdImageOptions options = {.lock = unlocked ? VHD_LOCK_NONE : VHD_LOCK_READ,
                               .lock_wait_ms = OPEN_LOCK_WAIT_MS,
                               .headers_only = true,
                               .warn = cli_warn_text};
    VhdFile *file = vhd_file_open(path, VHD_FILE_READ | VHD_FILE_BLOCK_DEVICE, error);

    if (file && unlocked)
        open_warn_of_writer(file);
    return file ? vhd_image_open(file, &options, error) : NULL;
}

VhdFile *open_parent_file(VhdImage *child, GError **error)
{
    VhdResolveRules anywhere = {.confined = false};
    bool raw = false;

    return vhd_resolve_parent(child, &anywhere, &raw, error);
}
