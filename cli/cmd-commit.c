/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * vhdctl commit: a child's content goes into its parent, or further down. The child shows the same
 * all the time, and gives up nothing before the parent has it durably.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/family.h"
#include "cli/inode.h"
#include "cli/merge.h"
#include "cli/open.h"
#include "cli/parent.h"
#include "cli/progress.h"
#include "vhd/error.h"
#include "vhd/op-commit.h"
#include "vhd/op-rebase.h"
#include "vhd/op-resize.h"
#include "vhd/op-state.h"

typedef struct CommitArgs {
    const char *child;
    const char *real_child; /* links resolved */
    const char *into;
    gboolean delete, force, progress;
} CommitArgs;

/* Sizes */

/* *grow: the target has to become as large as the child first. */
static bool judge_sizes(const CommitArgs *args, const Merge *merge, bool *grow, GError **error)
{
    uint64_t child = vhd_chain_sectors(merge->child) * VHD_SECTOR_BYTES;
    uint64_t target = vhd_chain_sectors(merge->target) * VHD_SECTOR_BYTES;

    *grow = child > target;
    if (child >= target || args->force)
        return true;
    g_set_error(error, VHD_ERROR, VHD_ERROR_INVALID,
                "%s: its disk has %" PRIu64 " bytes, less than the %" PRIu64
                " of %s; what lies behind would stay as it is there: allow that with --force, or "
                "give both one size with vhdctl resize",
                args->child, child, target, vhd_image_name(merge_target(merge)));
    return false;
}

/* The chain is closed for that and opened anew. */
static bool grow_target(const CommitArgs *args, Merge *merge, GError **error)
{
    g_autofree char *name = g_strdup(vhd_image_name(merge_target(merge)));
    uint64_t bytes = vhd_chain_sectors(merge->child) * VHD_SECTOR_BYTES;
    bool grown = vhd_op_commit_keep(merge->child, merge->layer, progress_stop, NULL, error) &&
                 vhd_op_resize(merge_target(merge), bytes, error);

    merge_close(merge);
    if (!grown)
        return progress_left_off(error, "%s shows what it did, of which nothing is in %s yet",
                                 args->child, name);
    return merge_open(merge, args->child, name, args->force, error);
}

/* Who else would see it */

static bool is_layer_file(const Merge *merge, unsigned first, unsigned end,
                          const FamilyMember *member)
{
    for (unsigned i = first; i < end; i++) {
        VhdFileInfo info;

        if (vhd_file_info(vhd_image_file(vhd_chain_layer(merge->child, i)), &info) == 0 &&
            info.device == member->device && info.inode == member->inode)
            return true;
    }
    return false;
}

/* Does what member shows change when the target does? Not if the child lies between, and stays. */
static bool is_concerned(const CommitArgs *args, const Merge *merge, const FamilyMember *member)
{
    if (member->missing || is_layer_file(merge, 0, merge->layer + 1, member))
        return false;
    for (const FamilyMember *at = member->parent; at; at = at->parent) {
        if (at->missing)
            return false;
        if (is_layer_file(merge, 0, 1, at))
            return args->delete;
        if (is_layer_file(merge, merge->layer, merge->layer + 1, at))
            return true;
    }
    return false;
}

/* Into names, each once. */
static bool find_concerned(const CommitArgs *args, const Merge *merge, const char *folder,
                           GPtrArray *names, GError **error)
{
    g_autoptr(Family) family = family_find(folder, error);

    if (!family)
        return false;
    for (unsigned i = 0; i < family->members->len; i++) {
        const FamilyMember *member = g_ptr_array_index(family->members, i);

        if (is_concerned(args, merge, member) &&
            !g_ptr_array_find_with_equal_func(names, member->path, g_str_equal, NULL))
            g_ptr_array_add(names, g_strdup(member->path));
    }
    return true;
}

static bool judge_others(const CommitArgs *args, const Merge *merge, GError **error)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    const char *child_folder = vhd_image_file(merge_child(merge))->folder;
    const char *folder = vhd_image_file(merge_target(merge))->folder;
    g_autofree char *list = NULL;

    if (!find_concerned(args, merge, folder, names, error) ||
        (strcmp(folder, child_folder) != 0 &&
         !find_concerned(args, merge, child_folder, names, error)))
        return false;
    if (names->len == 0)
        return true;
    g_ptr_array_add(names, NULL);
    list = g_strjoinv(", ", (char **)names->pdata);
    if (args->force) {
        cli_warn("what these show is another disk from now on: %s", list);
        return true;
    }
    g_set_error(error, VHD_ERROR, VHD_ERROR_INVALID,
                "%s: is an ancestor of others, too, which would show another disk: %s; allow that "
                "with --force, or rebase them first",
                vhd_image_name(merge_target(merge)), list);
    return false;
}

/* The layers in between are over a parent that is not theirs any more. */
static void warn_of_skipped(const Merge *merge)
{
    for (unsigned i = 1; i < merge->layer; i++)
        cli_warn("%s: is no longer valid, what it is a child of has changed",
                 vhd_image_name(vhd_chain_layer(merge->child, i)));
}

/* What becomes of the child */

static bool delete_child(const CommitArgs *args, GError **error)
{
    if (unlink(args->real_child) == 0)
        return true;
    vhd_error_set_errno(error, VHD_ERROR_IO, args->child, "remove it, which is merged", errno);
    return false;
}

/* The target is write protected as every parent: it is not where a commit before this one was
 * killed while it had it open. Who may not do that could merge into it all the same. */
static void protect_target(const ParentNames *names)
{
    g_autoptr(GError) error = NULL;
    mode_t before;

    if (!inode_protect(names->absolute, &before, &error))
        cli_warn("%s", error->message);
}

/* An empty child of the target. */
static bool empty_child(const Merge *merge, const ParentNames *names, GError **error)
{
    VhdParentLink link;

    protect_target(names);
    return parent_link(&link, merge_target(merge), names, error) &&
           vhd_op_relink(merge_child(merge), &link, true, error);
}

static bool merge_all(const CommitArgs *args, const Merge *merge, GError **error)
{
    g_auto(ParentNames) names = {.absolute = NULL};
    const char *target = vhd_image_name(merge_target(merge));
    bool done;

    if (!args->delete &&!parent_find_names(&names, target, args->real_child, error))
        return false;
    progress_begin(args->progress);
    done = vhd_op_commit(merge->child, merge->target, progress_stop, NULL, NULL, error);
    progress_end(done);
    if (!done)
        return progress_left_off(error, "%s shows what it did, and %s may hold a part of that",
                                 args->child, target);
    warn_of_skipped(merge);
    if (args->delete)
        return delete_child(args, error);
    return empty_child(merge, &names, error) ||
           progress_left_off(error, "%s shows what it did, and %s holds all of that", args->child,
                             target);
}

static bool commit(const CommitArgs *args, GError **error)
{
    g_auto(Merge) merge = {.child = NULL};
    bool grow;

    if (!merge_open(&merge, args->child, args->into, args->force, error) ||
        !vhd_op_may_change(merge_child(&merge), error) ||
        !vhd_op_may_change(merge_target(&merge), error) ||
        !judge_sizes(args, &merge, &grow, error) || !judge_others(args, &merge, error))
        return false;
    if (grow && !grow_target(args, &merge, error))
        return false;
    return merge_all(args, &merge, error);
}

static int run_commit(const CliVerb *verb, int argc, char **argv)
{
    g_autofree char *into = NULL, *real_child = NULL;
    CommitArgs args = {.force = FALSE};
    const GOptionEntry entries[] = {
        {"into", 0, 0, G_OPTION_ARG_FILENAME, &into,
         "The ancestor to merge into (default: the parent)", "LAYER"},
        {"delete", 'd', 0, G_OPTION_ARG_NONE, &args.delete,
         "Remove CHILD afterwards; else it is an empty child of LAYER", NULL},
        {"force", 'f', 0, G_OPTION_ARG_NONE, &args.force,
         "Although others see another disk then, the sizes differ, or CHILD is write protected",
         NULL},
        PROGRESS_OPTION(&args.progress),
        {NULL, 0, 0, 0, NULL, NULL, NULL},
    };
    g_autoptr(GError) error = NULL;
    char **operands;
    int status;

    if (!cli_parse(verb, entries, argc, argv, &operands, &status))
        return status;
    args.child = operands[0];
    args.into = into;
    progress_catch_signals();
    real_child = inode_real_path(args.child, "open it", &error);
    args.real_child = real_child;
    return real_child && commit(&args, &error) ? CLI_DONE : cli_fail_error(error);
}

const CliVerb cli_commit = {
    .name = "commit",
    .operands = "CHILD",
    .summary = "Merge a child into its parent, or further down",
    .operands_min = 1,
    .operands_max = 1,
    .usage_status = CLI_USAGE,
    .run = run_commit,
};
