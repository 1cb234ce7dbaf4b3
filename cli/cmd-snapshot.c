/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * vhdctl snapshot: a differencing child. From then on the parent must stay as it is, so nobody may
 * be writing it, what waits in its pending log is taken in first, and its write permission goes.
 */
#include <string.h>

#include "cli/cli.h"
#include "cli/inode.h"
#include "cli/parent.h"
#include "cli/target.h"
#include "vhd/error.h"
#include "vhd/image-create.h"

static VhdCreate describe_child(VhdImage *parent, const ParentNames *names, const VhdFileInfo *info)
{
    const VhdFooter *footer = vhd_image_footer(parent);
    const VhdHeader *header = vhd_image_header(parent);
    VhdCreate create = {.type = VHD_TYPE_DIFFERENCING,
                        .disk_bytes = footer->current_bytes,
                        .block_bytes = header ? header->block_bytes : 0,
                        .geometry = footer->geometry,
                        .parent_time_stamp = parent_time_stamp(info),
                        .parent_name = names->name,
                        .parent_relative = names->relative,
                        .parent_absolute = names->absolute};

    memcpy(create.parent_uuid, footer->uuid, sizeof(create.parent_uuid));
    return create;
}

static bool make_child(VhdChain *chain, const ParentNames *names, const char *path, GError **error)
{
    VhdImage *parent = vhd_chain_layer(chain, 0);
    g_autoptr(Target) target = NULL;
    VhdFileInfo info;
    VhdCreate create;
    mode_t before;
    int err = vhd_file_info(vhd_image_file(parent), &info);

    if (err) {
        vhd_error_set_errno(error, VHD_ERROR_IO, vhd_image_name(parent), "look at it", -err);
        return false;
    }
    target = target_open(path, inode_child_mode(info.mode), false, chain, error);
    if (!target)
        return false;
    create = describe_child(parent, names, &info);
    if (!vhd_image_create(target_file(target), &create, error) ||
        !inode_protect(names->absolute, &before, error))
        return false;
    if (target_publish(target, error))
        return true;
    /* Where the folder alone could not be synced, there is a child. */
    if (!inode_is(path, target_file(target)))
        inode_unprotect(names->absolute, before);
    return false;
}

static bool snapshot(const char *parent, const char *child, GError **error)
{
    g_auto(ParentNames) names = {.absolute = NULL};
    g_autoptr(VhdChain) chain = NULL;

    if (!parent_find_names(&names, parent, child, error))
        return false;
    chain = parent_open(parent, error);
    return chain && parent_judge(chain, error) && make_child(chain, &names, child, error);
}

static int run_snapshot(const CliVerb *verb, int argc, char **argv)
{
    const GOptionEntry entries[] = {{NULL, 0, 0, 0, NULL, NULL, NULL}};
    g_autoptr(GError) error = NULL;
    char **operands;
    int status;

    if (!cli_parse(verb, entries, argc, argv, &operands, &status))
        return status;
    return snapshot(operands[0], operands[1], &error) ? CLI_DONE : cli_fail_error(error);
}

const CliVerb cli_snapshot = {
    .name = "snapshot",
    .operands = "PARENT CHILD",
    .summary = "Make a child of an image, and protect the image",
    .operands_min = 2,
    .operands_max = 2,
    .usage_status = CLI_USAGE,
    .run = run_snapshot,
};
