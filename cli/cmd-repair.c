/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * vhdctl repair: mend what takes no guessing, with a way back. The order: a repair that was cut off
 * is taken back, a log that waits is taken in, then the image is held as a writer, planned for and
 * mended. What gives something up is asked for first.
 */
#include <errno.h>
#include <glib/gstdio.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/log.h"
#include "cli/open.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "vhd/error.h"
#include "vhd/lock.h"
#include "vhd/repair.h"

typedef struct Repairing {
    const char *path;
    char *undo_path;
    gboolean dry_run, yes, force, drop_pending;
    VhdRepairOptions options;
} Repairing;

/* The image */

static bool may_write(const Repairing *repairing, VhdFile *file, GError **error)
{
    VhdFileInfo info;
    int err = vhd_file_info(file, &info);

    if (err) {
        vhd_error_set_errno(error, VHD_ERROR_IO, file->name, "look at it", -err);
        return false;
    }
    if (repairing->force || (info.mode & 0222) != 0)
        return true;
    g_set_error(error, VHD_ERROR, VHD_ERROR_READONLY,
                "%s: write protected (no write permission: it may be a golden image with "
                "children); --force mends it all the same, the disk's content stays",
                file->name);
    return false;
}

/* Nothing is believed that did not reach the disk. */
static bool sync_before_reading(VhdFile *file, GError **error)
{
    VhdFileInfo info;
    int err = vhd_file_barrier(file);

    if (!err)
        err = vhd_file_info(file, &info);
    if (err) {
        vhd_error_set_errno(error, VHD_ERROR_IO, file->name, "sync it", -err);
        return false;
    }
    vhd_file_drop_cache(file, 0, info.bytes);
    return true;
}

/* The image's file, locked: for writing, or for reading alone with --dry-run. */
static VhdFile *hold(const Repairing *repairing, GError **error)
{
    bool dry_run = repairing->dry_run, unlocked = false;
    g_autoptr(VhdFile) file =
        vhd_file_open(repairing->path, dry_run ? VHD_FILE_READ : VHD_FILE_WRITE, error);

    if (!file || !vhd_lock_take(file, dry_run ? VHD_LOCK_READ : VHD_LOCK_WRITE, OPEN_LOCK_WAIT_MS,
                                &unlocked, error))
        return NULL;
    if (unlocked)
        cli_warn("%s: its file system has no locks: nobody else is kept from writing it",
                 file->name);
    if (!dry_run && (!may_write(repairing, file, error) || !sync_before_reading(file, error)))
        return NULL;
    return g_steal_pointer(&file);
}

/* Undoing */

static bool remove_undo(const Repairing *repairing, GError **error)
{
    if (g_unlink(repairing->undo_path) == 0)
        return true;
    vhd_error_set_errno(error, VHD_ERROR_IO, repairing->undo_path, "remove it", errno);
    return false;
}

static bool restore(const Repairing *repairing, VhdFile *undo, GError **error)
{
    g_autoptr(VhdFile) file = hold(repairing, error);

    return file && vhd_undo_restore(file, undo, error) && remove_undo(repairing, error);
}

static int undo_repair(const Repairing *repairing)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VhdFile) undo = NULL;

    if (!g_file_test(repairing->undo_path, G_FILE_TEST_EXISTS))
        return cli_fail("%s: there is no %s, so no repair of it can be undone", repairing->path,
                        repairing->undo_path);
    undo = vhd_file_open(repairing->undo_path, VHD_FILE_WRITE, &error);
    if (!undo || !restore(repairing, undo, &error))
        return cli_fail_error(error);
    printf("What the repair overwrote was put back, and %s removed.\n", repairing->undo_path);
    return CLI_DONE;
}

/* A repair or an undoing that was cut off is taken back. *finished: there is the undo file of one
 * that was not. */
static bool take_back(const Repairing *repairing, bool *finished, GError **error)
{
    g_autoptr(VhdFile) undo = NULL;
    VhdUndoState state;

    *finished = false;
    if (!g_file_test(repairing->undo_path, G_FILE_TEST_EXISTS))
        return true;
    undo = vhd_file_open(repairing->undo_path, repairing->dry_run ? VHD_FILE_READ : VHD_FILE_WRITE,
                         error);
    if (!undo || !vhd_undo_state(undo, &state, error))
        return false;
    *finished = state == VHD_UNDO_FINISHED;
    if (*finished)
        return true;
    if (repairing->dry_run) {
        g_set_error(error, VHD_ERROR, VHD_ERROR_INVALID,
                    "%s: a repair of it was cut off; vhdctl repair takes it back and begins anew, "
                    "vhdctl repair --undo takes it back",
                    repairing->path);
        return false;
    }
    if (!restore(repairing, undo, error))
        return false;
    printf("A repair that was cut off was taken back.\n");
    return true;
}

/* The plan, told */

static unsigned print_changes(const VhdRepair *repair)
{
    const VhdRepairItem *item;
    unsigned count = 0;

    while ((item = vhd_repair_change(repair, count))) {
        output_line(0, vhd_finding_name(item->code), "%s", item->text);
        count++;
    }
    return count;
}

static const char *hint(const VhdRepairItem *item)
{
    return item->gives_up && item->code != VHD_FINDING_FOOTERS_DIFFER ? " (--yes gives it up)" : "";
}

static unsigned print_left(const VhdRepair *repair)
{
    const VhdRepairItem *item;
    unsigned count = 0;

    while ((item = vhd_repair_left(repair, count))) {
        g_autofree char *name = g_strdup_printf("left (%s)", vhd_finding_name(item->code));

        output_line(0, name, "%s%s", item->text, hint(item));
        count++;
    }
    return count;
}

static VhdRepair *plan(const Repairing *repairing, VhdFile *file, bool give_up, GError **error)
{
    VhdRepairOptions options = repairing->options;
    VhdRepair *repair;

    options.give_up = give_up;
    options.stop = progress_stop;
    repair = vhd_repair_plan(file, &options, error);
    progress_end(false);
    if (!repair && progress_interrupted()) {
        g_clear_error(error);
        g_set_error(error, VHD_ERROR, VHD_ERROR_INVALID,
                    "%s: interrupted, nothing of it was mended; the same command begins anew",
                    repairing->path);
    }
    return repair;
}

/* What is left for want of a yes. */
static bool wants_yes(const VhdRepair *repair)
{
    const VhdRepairItem *item;

    for (unsigned i = 0; (item = vhd_repair_left(repair, i)); i++)
        if (item->gives_up && item->code != VHD_FINDING_FOOTERS_DIFFER)
            return true;
    return false;
}

/* On a terminal the user is asked. */
static bool says_yes(const VhdRepair *with)
{
    char answer[16];

    if (!isatty(STDIN_FILENO))
        return false;
    print_changes(with);
    printf("Do this, and give up what is said to be given up? [y/N] ");
    fflush(stdout);
    return fgets(answer, sizeof(answer), stdin) && (answer[0] == 'y' || answer[0] == 'Y');
}

static VhdRepair *plan_and_ask(const Repairing *repairing, VhdFile *file, GError **error)
{
    g_autoptr(VhdRepair) repair = plan(repairing, file, repairing->yes, error), with = NULL;

    if (!repair || repairing->yes || repairing->dry_run || !isatty(STDIN_FILENO) ||
        !wants_yes(repair))
        return g_steal_pointer(&repair);
    with = plan(repairing, file, true, error);
    if (!with)
        return NULL;
    return says_yes(with) ? g_steal_pointer(&with) : g_steal_pointer(&repair);
}

/* Mending */

static int apply(const Repairing *repairing, VhdRepair *repair)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VhdFile) undo = vhd_file_create(repairing->undo_path, 0600, &error);
    bool restored = false, published;

    if (!undo)
        return cli_fail_error(error);
    if (vhd_repair_apply(repair, undo, &restored, &error))
        return CLI_DONE;
    /* Unpublished, it goes by itself. */
    published = !g_error_matches(error, VHD_ERROR, VHD_ERROR_EXISTS) &&
                g_file_test(repairing->undo_path, G_FILE_TEST_EXISTS);
    if (!restored)
        return cli_fail("%s; %s is partly mended: vhdctl repair or vhdctl repair --undo take that "
                        "back, %s has what was there",
                        error->message, repairing->path, repairing->undo_path);
    if (published && !remove_undo(repairing, NULL))
        cli_warn("%s: can be removed", repairing->undo_path);
    return cli_fail("%s; %s is as it was", error->message, repairing->path);
}

static int mend(const Repairing *repairing, VhdRepair *repair, bool undo_there)
{
    unsigned changes, left;
    int status = CLI_DONE;

    if (vhd_repair_change(repair, 0) && !repairing->dry_run && undo_there)
        return cli_fail("%s: holds what an earlier repair overwrote; rename it to keep that way "
                        "back, or remove it, then repair again",
                        repairing->undo_path);
    changes = print_changes(repair);
    if (changes > 0 && !repairing->dry_run)
        status = apply(repairing, repair);
    if (status != CLI_DONE)
        return status;
    left = print_left(repair);
    if (changes > 0 && repairing->dry_run)
        printf("Nothing was changed.\n");
    else if (changes > 0)
        printf("Mended; %s has what was there, vhdctl repair --undo puts it back.\n",
               repairing->undo_path);
    else
        printf(left > 0 ? "Nothing of this was mended.\n" : "There is nothing to mend.\n");
    return left > 0 ? CLI_FAILED : CLI_DONE;
}

static int repair_image(const Repairing *repairing)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VhdFile) file = NULL;
    g_autoptr(VhdRepair) repair = NULL;
    bool undo_there;

    if (!take_back(repairing, &undo_there, &error))
        return cli_fail_error(error);
    switch (log_settle(repairing->path, repairing->dry_run, repairing->force,
                       repairing->drop_pending, &error)) {
    case LOG_FAILED:
        return cli_fail_error(error);
    case LOG_WAITS:
        return CLI_DONE;
    case LOG_SETTLED:
        break;
    }
    file = hold(repairing, &error);
    repair = file ? plan_and_ask(repairing, file, &error) : NULL;
    return repair ? mend(repairing, repair, undo_there) : cli_fail_error(error);
}

/* The verb */

static bool parse_footer(const char *text, VhdRepairFooter *footer)
{
    *footer = VHD_REPAIR_FOOTER_UNKNOWN;
    if (text && strcmp(text, "first") == 0)
        *footer = VHD_REPAIR_FOOTER_FIRST;
    else if (text && strcmp(text, "last") == 0)
        *footer = VHD_REPAIR_FOOTER_LAST;
    return !text || *footer != VHD_REPAIR_FOOTER_UNKNOWN;
}

/* Beside the file itself, whatever link leads to it. */
static char *undo_path_of(const char *path)
{
    char real[PATH_MAX];

    return g_strconcat(g_file_test(path, G_FILE_TEST_IS_SYMLINK) && realpath(path, real) ? real
                                                                                         : path,
                       ".undo", NULL);
}

static int run_repair(const CliVerb *verb, int argc, char **argv)
{
    Repairing repairing = {.path = NULL};
    gboolean undo = FALSE, progress = FALSE;
    g_autofree char *footer = NULL, *parent = NULL;
    const GOptionEntry entries[] = {
        {"dry-run", 'n', 0, G_OPTION_ARG_NONE, &repairing.dry_run, "Tell, and change nothing",
         NULL},
        {"undo", 0, 0, G_OPTION_ARG_NONE, &undo, "Put back what a repair overwrote", NULL},
        {"yes", 'y', 0, G_OPTION_ARG_NONE, &repairing.yes,
         "Give up blocks whose place is wrong, without asking", NULL},
        {"footer", 0, 0, G_OPTION_ARG_STRING, &footer,
         "Of two footers that contradict each other, which is right", "first|last"},
        {"parent", 0, 0, G_OPTION_ARG_FILENAME, &parent, "Where the parent is now", "FILE"},
        {"drop-pending", 0, 0, G_OPTION_ARG_NONE, &repairing.drop_pending,
         "Give up writes that wait in a log and cannot be taken in", NULL},
        {"force", 'f', 0, G_OPTION_ARG_NONE, &repairing.force,
         "Mend it although the file is write protected", NULL},
        PROGRESS_OPTION(&progress),
        {NULL, 0, 0, 0, NULL, NULL, NULL},
    };
    char **operands;
    int status;

    if (!cli_parse(verb, entries, argc, argv, &operands, &status))
        return status;
    if (!parse_footer(footer, &repairing.options.footer))
        return cli_usage(verb, "--footer is first or last, not '%s'", footer);
    if (undo && (repairing.dry_run || repairing.yes || footer || parent || repairing.drop_pending))
        return cli_usage(verb, "--undo stands alone, or with --force");
    repairing.path = operands[0];
    repairing.options.parent = parent;
    repairing.undo_path = undo_path_of(operands[0]);
    progress_begin(progress);
    status = undo ? undo_repair(&repairing) : repair_image(&repairing);
    g_free(repairing.undo_path);
    return cli_finish_stdout(status);
}

const CliVerb cli_repair = {
    .name = "repair",
    .operands = "IMAGE",
    .summary = "Mend what can be mended without guessing",
    .operands_min = 1,
    .operands_max = 1,
    .usage_status = CLI_USAGE,
    .run = run_repair,
};
