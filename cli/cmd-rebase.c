/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * vhdctl rebase: another parent for a child. Its disk shows what it did: what the new parent shows
 * otherwise is copied into the child first. --unsafe writes the new name only.
 */
#include <string.h>

#include "cli/cli.h"
#include "cli/inode.h"
#include "cli/open.h"
#include "cli/parent.h"
#include "cli/progress.h"
#include "vhd/error.h"
#include "vhd/op-rebase.h"

typedef struct RebaseArgs {
    const char *child;
    const char *real_child; /* links resolved */
    const char *parent;
    gboolean unsafe, force, progress;
} RebaseArgs;

/* The child must not be below itself: it would be locked by ourselves, too. */
static bool judge_ancestry(VhdChain *parent, const char *child, GError **error)
{
    g_autoptr(VhdFile) file = vhd_file_open(child, VHD_FILE_READ, error);
    VhdFileInfo info, other;

    if (!file)
        return false;
    for (unsigned i = 0; i < vhd_chain_depth(parent); i++) {
        VhdFile *layer = vhd_image_file(vhd_chain_layer(parent, i));

        if (vhd_file_info(file, &info) != 0 || vhd_file_info(layer, &other) != 0 ||
            info.device != other.device || info.inode != other.inode)
            continue;
        g_set_error(error, VHD_ERROR, VHD_ERROR_INVALID, "%s: %s, and would be its own ancestor",
                    child, i == 0 ? "is the parent that it shall get" : "is below its new parent");
        return false;
    }
    return true;
}

static bool judge_child(const RebaseArgs *args, VhdImage *child, VhdImage *parent, GError **error)
{
    const VhdHeader *header = vhd_image_header(child);
    const uint8_t *uuid = vhd_image_footer(parent)->uuid;

    if (vhd_image_footer(child)->type != VHD_TYPE_DIFFERENCING) {
        g_set_error(error, VHD_ERROR, VHD_ERROR_INVALID,
                    "%s: has no parent, so it can get no other", args->child);
        return false;
    }
    if (args->unsafe && !args->force && memcmp(header->parent_uuid, uuid, VHD_UUID_BYTES) != 0) {
        g_set_error(error, VHD_ERROR, VHD_ERROR_PARENT,
                    "%s: its parent has another uuid than %s; leave --unsafe out to keep what it "
                    "shows, or add --force to make it show what it happens to show then",
                    args->child, args->parent);
        return false;
    }
    return true;
}

static bool write_link(VhdImage *child, VhdImage *parent, const ParentNames *names, GError **error)
{
    VhdParentLink link;

    return parent_link(&link, parent, names, error) && vhd_op_relink(child, &link, false, error);
}

static bool copy(const RebaseArgs *args, VhdChain *child, VhdChain *parent, GError **error)
{
    bool done;

    if (args->unsafe)
        return true;
    progress_begin(args->progress);
    done = vhd_op_rebase_copy(child, parent, progress_stop, NULL, NULL, error);
    progress_end(done);
    return done;
}

static void warn_of_sizes(VhdChain *child, VhdChain *parent)
{
    if (vhd_chain_sectors(child) != vhd_chain_sectors(parent))
        cli_warn("%s: has another size than its parent, which Hyper-V refuses",
                 vhd_image_name(vhd_chain_layer(child, 0)));
}

/* Does the child lead to the file of that name by now? Yes where nobody can tell: its data are safe
 * then. */
static bool may_be_linked(const RebaseArgs *args, const char *parent)
{
    VhdImageOptions head = {.headers_only = true};
    VhdFile *file = vhd_file_open(args->child, VHD_FILE_READ, NULL);
    g_autoptr(VhdImage) child = file ? vhd_image_open(file, &head, NULL) : NULL;
    g_autoptr(VhdFile) found = child ? open_parent_file(child, NULL) : NULL;

    return !found || inode_is(parent, found);
}

static bool change_parent(const RebaseArgs *args, VhdChain *parent, const ParentNames *names,
                          GError **error)
{
    g_autoptr(VhdChain) child = open_for_change(args->child, args->force, args->unsafe, error);
    VhdImage *image;
    mode_t before;

    if (!child)
        return false;
    image = vhd_chain_layer(child, 0);
    if (!judge_child(args, image, vhd_chain_layer(parent, 0), error) ||
        !inode_protect(names->absolute, &before, error))
        return false;
    if (!copy(args, child, parent, error)) {
        inode_unprotect(names->absolute, before);
        return progress_left_off(error, "%s shows what it did", args->child);
    }
    if (write_link(image, vhd_chain_layer(parent, 0), names, error)) {
        warn_of_sizes(child, parent);
        return true;
    }
    /* The link may be there although what came after it failed. */
    if (!may_be_linked(args, names->absolute))
        inode_unprotect(names->absolute, before);
    return progress_left_off(error, "%s shows what it did", args->child);
}

static bool rebase(const RebaseArgs *args, GError **error)
{
    g_auto(ParentNames) names = {.absolute = NULL};
    g_autoptr(VhdChain) parent = NULL;

    if (!parent_find_names(&names, args->parent, args->real_child, error))
        return false;
    parent = parent_open(args->parent, error);
    return parent && parent_judge(parent, error) && judge_ancestry(parent, args->child, error) &&
           change_parent(args, parent, &names, error);
}

static int run_rebase(const CliVerb *verb, int argc, char **argv)
{
    g_autofree char *parent = NULL, *real_child = NULL;
    RebaseArgs args = {.unsafe = FALSE};
    const GOptionEntry entries[] = {
        {"parent", 0, 0, G_OPTION_ARG_FILENAME, &parent, "The new parent", "P"},
        {"unsafe", 'u', 0, G_OPTION_ARG_NONE, &args.unsafe,
         "Only write the parent's new name; the old one need not be there", NULL},
        {"force", 'f', 0, G_OPTION_ARG_NONE, &args.force,
         "Although CHILD is write protected, or with --unsafe P has another uuid", NULL},
        PROGRESS_OPTION(&args.progress),
        {NULL, 0, 0, 0, NULL, NULL, NULL},
    };
    g_autoptr(GError) error = NULL;
    char **operands;
    int status;

    if (!cli_parse(verb, entries, argc, argv, &operands, &status))
        return status;
    if (!parent)
        return cli_usage(verb, "--parent is missing");
    args.parent = parent;
    progress_catch_signals();
    args.child = operands[0];
    real_child = inode_real_path(args.child, "open it", &error);
    args.real_child = real_child;
    return real_child && rebase(&args, &error) ? CLI_DONE : cli_fail_error(error);
}

const CliVerb cli_rebase = {
    .name = "rebase",
    .operands = "CHILD",
    .summary = "Give a child another parent",
    .operands_min = 1,
    .operands_max = 1,
    .usage_status = CLI_USAGE,
    .run = run_rebase,
};
