/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* vhdctl create: a new image that stands alone. */
#include <inttypes.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/size.h"
#include "cli/target.h"
#include "vhd/error.h"
#include "vhd/image-create.h"

typedef struct CreateArgs {
    const char *type, *size, *block_size;
    gboolean preallocate, force;
} CreateArgs;

static bool fill_sizes(const CreateArgs *args, VhdCreate *create, GError **error)
{
    return size_parse(args->size, "size", &create->disk_bytes, error) &&
           (!args->block_size ||
            target_parse_block_size(args->block_size, &create->block_bytes, error));
}

static bool make(const CreateArgs *args, const VhdCreate *create, const char *path, GError **error)
{
    g_autoptr(Target) target = target_open(path, TARGET_MODE_DEFAULT, args->force, NULL, error);

    return target && vhd_image_create(target_file(target), create, error) &&
           target_publish(target, error);
}

static int run_create(const CliVerb *verb, int argc, char **argv)
{
    g_autofree char *type = NULL, *size = NULL, *block_size = NULL;
    CreateArgs args = {.preallocate = FALSE};
    const GOptionEntry entries[] = {
        {"type", 't', 0, G_OPTION_ARG_FILENAME, &type, "dynamic (default) or fixed", "TYPE"},
        {"size", 's', 0, G_OPTION_ARG_FILENAME, &size, "Size of the disk, a multiple of 512",
         "SIZE"},
        {"block-size", 'b', 0, G_OPTION_ARG_FILENAME, &block_size,
         "Size of a block, a power of two (default 2M)", "SIZE"},
        {"preallocate", 0, 0, G_OPTION_ARG_NONE, &args.preallocate, "Claim all space now", NULL},
        {"force", 'f', 0, G_OPTION_ARG_NONE, &args.force,
         "Replace an existing file that is not in use", NULL},
        {NULL, 0, 0, 0, NULL, NULL, NULL},
    };
    g_autoptr(GError) error = NULL;
    VhdCreate create = {.type = VHD_TYPE_DYNAMIC};
    char **operands;
    int status;

    if (!cli_parse(verb, entries, argc, argv, &operands, &status))
        return status;
    args.type = type ? type : "dynamic";
    args.size = size;
    args.block_size = block_size;
    if (!size)
        return cli_usage(verb, "--size is missing");
    if (strcmp(args.type, "fixed") == 0)
        create.type = VHD_TYPE_FIXED;
    else if (strcmp(args.type, "dynamic") != 0)
        return cli_usage(verb, "type '%s' is neither dynamic nor fixed", args.type);
    if (create.type == VHD_TYPE_FIXED && block_size)
        return cli_usage(verb, "a fixed image has no blocks, --block-size cannot be kept");
    if (!fill_sizes(&args, &create, &error))
        return cli_usage(verb, "%s", error->message);
    create.preallocate = args.preallocate;
    if (!make(&args, &create, operands[0], &error))
        return cli_fail_error(error);
    return CLI_DONE;
}

const CliVerb cli_create = {
    .name = "create",
    .operands = "IMAGE",
    .summary = "Make a new, empty image",
    .operands_min = 1,
    .operands_max = 1,
    .usage_status = CLI_USAGE,
    .run = run_create,
};
