/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * vhdctl snapshot: a differencing child. From then on the parent must stay as it is, so nobody may
 * be writing it, what waits in its pending log is taken in first, and its write permission goes.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/inode.h"
#include "cli/open.h"
#include "cli/target.h"
#include "vhd/error.h"
#include "vhd/image-create.h"
#include "vhd/locator.h"
#include "vhd/pending-store.h"

/* The parent's paths, as the child will name it. */
typedef struct ParentNames {
    char *absolute;   /* links resolved */
    char *relative;   /* from the child's folder */
    const char *name; /* in absolute */
} ParentNames;

static void names_clear(ParentNames *names)
{
    g_free(names->absolute);
    g_free(names->relative);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(ParentNames, names_clear)

static char *real_path(const char *path, const char *doing, GError **error)
{
    char *real = realpath(path, NULL), *copy;

    if (!real) {
        vhd_error_set_errno(error, VHD_ERROR_IO, path, doing, errno);
        return NULL;
    }
    copy = g_strdup(real);
    free(real);
    return copy;
}

static bool refuse_name(const ParentNames *names, const char *why, GError **error)
{
    g_set_error(error, VHD_ERROR, VHD_ERROR_INVALID,
                "%s: a child cannot name this file as its parent: %s; rename it", names->absolute,
                why);
    return false;
}

/* Can the child's fields hold these names, for Windows too? */
static bool judge_names(const ParentNames *names, GError **error)
{
    uint8_t field[VHD_PARENT_NAME_BYTES];

    if (!g_utf8_validate(names->absolute, -1, NULL))
        return refuse_name(names, "its path is not UTF-8", error);
    if (strchr(names->absolute, '\\'))
        return refuse_name(names, "its path contains a backslash", error);
    if (!vhd_parent_name_encode(names->name, field))
        return refuse_name(names, "its name takes more than 255 UTF-16 units", error);
    return true;
}

static bool find_names(ParentNames *names, const char *parent, const char *child, GError **error)
{
    g_autofree char *folder = g_path_get_dirname(child);
    g_autofree char *real_folder = NULL;

    names->absolute = real_path(parent, "open it", error);
    if (!names->absolute)
        return false;
    real_folder = real_path(folder, "make a file in it", error);
    if (!real_folder)
        return false;
    names->name = strrchr(names->absolute, '/') + 1;
    names->relative = vhd_path_relative(real_folder, names->absolute);
    return judge_names(names, error);
}

/* What a killed writer left in its log goes into the file, or its child would lack it one day. */
static bool take_in_pending(const char *path, GError **error)
{
    VhdChainOptions options = {.writable = true,
                               .force_write = true,
                               .lock = true,
                               .lock_wait_ms = OPEN_LOCK_WAIT_MS,
                               .pending = true};
    g_autoptr(VhdChain) chain = vhd_chain_open(path, &options, error);
    int err;

    if (!chain)
        return false;
    err = vhd_image_finish(vhd_chain_layer(chain, 0));
    if (err)
        vhd_error_set_errno(error, VHD_ERROR_IO, path, "take in the writes that wait for it", -err);
    return err == 0;
}

/* The parent with all below it, held against writers. */
static VhdChain *open_parent(const char *path, GError **error)
{
    g_autoptr(VhdChain) chain = open_chain(path, false, error);
    g_autofree char *log = NULL;
    VhdImage *image;

    if (!chain)
        return NULL;
    image = vhd_chain_layer(chain, 0);
    log = vhd_pending_waiting(vhd_image_file(image), vhd_image_footer(image)->uuid, NULL);
    if (log) {
        g_clear_pointer(&chain, vhd_chain_unref);
        return take_in_pending(path, error) ? open_chain(path, false, error) : NULL;
    }
    return g_steal_pointer(&chain);
}

static bool judge_parent(VhdChain *chain, GError **error)
{
    static const uint8_t zeros[VHD_UUID_BYTES];
    VhdImage *image = vhd_chain_layer(chain, 0);

    if (memcmp(vhd_image_footer(image)->uuid, zeros, sizeof(zeros)) == 0) {
        g_set_error(error, VHD_ERROR, VHD_ERROR_UNSUPPORTED,
                    "%s: has a uuid of zeros, which in a child stands for a raw parent; make a new "
                    "image of it with vhdctl convert",
                    vhd_image_name(image));
        return false;
    }
    if (vhd_chain_depth(chain) >= VHD_CHAIN_MAX_DEPTH) {
        g_set_error(error, VHD_ERROR, VHD_ERROR_DEPTH,
                    "%s: its chain has %u layers, a child would be one too many; flatten it with "
                    "vhdctl convert",
                    vhd_image_name(image), vhd_chain_depth(chain));
        return false;
    }
    return true;
}

/* Seconds since 2000; 0 (nothing noted) outside what the field holds. */
static uint32_t time_stamp(const VhdFileInfo *info)
{
    int64_t seconds = info->mtime_unix - VHD_EPOCH_UNIX;

    return seconds > 0 && seconds <= UINT32_MAX ? (uint32_t)seconds : 0;
}

static VhdCreate describe_child(VhdImage *parent, const ParentNames *names, const VhdFileInfo *info)
{
    const VhdFooter *footer = vhd_image_footer(parent);
    const VhdHeader *header = vhd_image_header(parent);
    VhdCreate create = {.type = VHD_TYPE_DIFFERENCING,
                        .disk_bytes = footer->current_bytes,
                        .block_bytes = header ? header->block_bytes : 0,
                        .geometry = footer->geometry,
                        .parent_time_stamp = time_stamp(info),
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

    if (!find_names(&names, parent, child, error))
        return false;
    chain = open_parent(parent, error);
    return chain && judge_parent(chain, error) && make_child(chain, &names, child, error);
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
