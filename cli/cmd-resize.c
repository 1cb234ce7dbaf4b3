/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* vhdctl resize: another size for a disk, in place. */
#include <errno.h>
#include <inttypes.h>

#include "cli/cli.h"
#include "cli/open.h"
#include "cli/progress.h"
#include "cli/size.h"
#include "vhd/error.h"
#include "vhd/op-resize.h"

typedef struct ResizeArgs {
    const char *path;
    uint64_t bytes;
    gboolean shrink, force, progress;
} ResizeArgs;

/* May what lies behind the new end go? */
static bool may_shrink(VhdChain *chain, const ResizeArgs *args, GError **error)
{
    uint64_t bytes = vhd_chain_sectors(chain) * VHD_SECTOR_BYTES, off;
    int err;

    if (!args->shrink) {
        g_set_error(error, VHD_ERROR, VHD_ERROR_INVALID,
                    "%s: has %" PRIu64 " bytes, more than are asked for; to make it smaller, add "
                    "--shrink",
                    args->path, bytes);
        return false;
    }
    if (args->force)
        return true;
    progress_begin(args->progress);
    err = vhd_op_resize_loses(chain, args->bytes, &off, progress_stop, NULL);
    progress_end(err == 0);
    if (err == -ECANCELED)
        g_set_error(error, VHD_ERROR, VHD_ERROR_INVALID,
                    "%s: interrupted, nothing was changed; the same command begins anew",
                    args->path);
    else if (err)
        vhd_error_set_errno(error, VHD_ERROR_IO, args->path, "look for data behind the new end",
                            -err);
    else if (off < bytes)
        g_set_error(error, VHD_ERROR, VHD_ERROR_INVALID,
                    "%s: the disk holds data at offset %" PRIu64 ", behind the new end; shrink "
                    "what is on the disk first, or give it up with --force",
                    args->path, off);
    return !err && off == bytes;
}

/* What a parent holds behind the child's end is not seen: in a larger child it would be. What lies
 * below a smaller parent is not seen in any case. */
static bool may_grow(VhdChain *chain, const ResizeArgs *args, GError **error)
{
    uint64_t old = vhd_chain_sectors(chain);
    VhdImage *parent = vhd_chain_depth(chain) > 1 ? vhd_chain_layer(chain, 1) : NULL;

    if (!parent || vhd_image_sectors(parent) <= old)
        return true;
    g_set_error(error, VHD_ERROR, VHD_ERROR_INVALID,
                "%s: its parent %s is larger, and what that holds behind offset %" PRIu64
                " would show; allow that with --force, or use vhdctl convert first",
                args->path, vhd_image_name(parent), old * VHD_SECTOR_BYTES);
    return false;
}

static bool resize(const ResizeArgs *args, GError **error)
{
    /* With force it is not asked what the parents hold. */
    g_autoptr(VhdChain) chain = open_for_change(args->path, args->force, args->force, error);
    VhdImage *image;
    uint64_t old;

    if (!chain)
        return false;
    image = vhd_chain_layer(chain, 0);
    old = vhd_image_footer(image)->current_bytes;
    /* First, so that nobody is told to add --shrink for what cannot be. */
    if (!vhd_op_may_resize(image, args->bytes, error))
        return false;
    if (args->bytes < old && !may_shrink(chain, args, error))
        return false;
    if (args->bytes > old && !args->force && !may_grow(chain, args, error))
        return false;
    if (!vhd_op_resize(image, args->bytes, error))
        return progress_left_off(error, "it has its old size or the new one");
    if (args->bytes != old && vhd_image_footer(image)->type == VHD_TYPE_DIFFERENCING)
        cli_warn("%s: is a child: Hyper-V refuses one whose size is not its parent's", args->path);
    return true;
}

static int run_resize(const CliVerb *verb, int argc, char **argv)
{
    ResizeArgs args = {.shrink = FALSE};
    const GOptionEntry entries[] = {
        {"shrink", 0, 0, G_OPTION_ARG_NONE, &args.shrink,
         "Allow a smaller size, if only zeros are lost", NULL},
        {"force", 'f', 0, G_OPTION_ARG_NONE, &args.force,
         "Although data are lost or a parent's appear, or the file is write protected", NULL},
        PROGRESS_OPTION(&args.progress),
        {NULL, 0, 0, 0, NULL, NULL, NULL},
    };
    g_autoptr(GError) error = NULL;
    char **operands;
    int status;

    if (!cli_parse(verb, entries, argc, argv, &operands, &status))
        return status;
    if (!size_parse(operands[1], "size", &args.bytes, &error))
        return cli_usage(verb, "%s", error->message);
    args.path = operands[0];
    progress_catch_signals();
    return resize(&args, &error) ? CLI_DONE : cli_fail_error(error);
}

const CliVerb cli_resize = {
    .name = "resize",
    .operands = "IMAGE SIZE",
    .summary = "Make the disk larger or smaller, in place",
    .operands_min = 2,
    .operands_max = 2,
    .usage_status = CLI_USAGE,
    .run = run_resize,
};
