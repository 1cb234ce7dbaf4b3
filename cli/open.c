/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
#include "cli/open.h"

#include "cli/cli.h"
#include "vhd/resolve.h"

static void log_chain(void *data, VhdLogLevel level, const char *text)
{
    (void)data;
    if (level != VHD_LOG_INFO)
        cli_warn("%s", text);
}

VhdChain *open_chain(const char *path, bool unlocked, GError **error)
{
    VhdChainOptions options = {.lock = !unlocked,
                               .lock_wait_ms = OPEN_LOCK_WAIT_MS,
                               .pending = true,
                               .allow_block_device = true,
                               .log = log_chain};

    return vhd_chain_open(path, &options, error);
}

VhdImage *open_head(const char *path, bool unlocked, GError **error)
{
    VhdImageOptions options = {.lock = unlocked ? VHD_LOCK_NONE : VHD_LOCK_READ,
                               .lock_wait_ms = OPEN_LOCK_WAIT_MS,
                               .headers_only = true,
                               .warn = cli_warn_text};
    VhdFile *file = vhd_file_open(path, VHD_FILE_READ | VHD_FILE_BLOCK_DEVICE, error);

    return file ? vhd_image_open(file, &options, error) : NULL;
}

VhdFile *open_parent_file(VhdImage *child, GError **error)
{
    VhdResolveRules anywhere = {.confined = false};
    bool raw = false;

    return vhd_resolve_parent(child, &anywhere, &raw, error);
}
