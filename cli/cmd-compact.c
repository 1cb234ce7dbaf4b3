/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* vhdctl compact: space that an image does not need goes back to the file system. */
#include "cli/cli.h"
#include "cli/open.h"
#include "cli/progress.h"
#include "vhd/op-compact.h"

/* Looking for zeros reads all that is there; moving blocks is shown as the second half. */
static bool dropping(void *data, double part)
{
    (void)data;
    progress_show(part / 2);
    return progress_interrupted();
}

static bool moving(void *data, double part)
{
    (void)data;
    progress_show(0.5 + part / 2);
    return progress_interrupted();
}

static bool left_off(GError **error)
{
    return progress_left_off(error, "its disk is as it was");
}

/* The image is closed in between: its block table is another one then. */
static bool drop(const char *path, bool force, GError **error)
{
    g_autoptr(VhdChain) chain = open_for_change(path, force, false, error);

    return chain && (vhd_op_compact_drop(chain, dropping, NULL, error) || left_off(error));
}

static bool close_gaps(const char *path, bool force, GError **error)
{
    g_autoptr(VhdChain) chain = open_for_change(path, force, true, error);

    return chain && (vhd_op_compact_close_gaps(vhd_chain_layer(chain, 0), moving, NULL, error) ||
                     left_off(error));
}

static int run_compact(const CliVerb *verb, int argc, char **argv)
{
    gboolean force = FALSE, progress = FALSE;
    const GOptionEntry entries[] = {
        {"force", 'f', 0, G_OPTION_ARG_NONE, &force, "Although the file is write protected", NULL},
        PROGRESS_OPTION(&progress),
        {NULL, 0, 0, 0, NULL, NULL, NULL},
    };
    g_autoptr(GError) error = NULL;
    char **operands;
    bool done;
    int status;

    if (!cli_parse(verb, entries, argc, argv, &operands, &status))
        return status;
    progress_begin(progress);
    done = drop(operands[0], force, &error) && close_gaps(operands[0], force, &error);
    progress_end(done);
    return done ? CLI_DONE : cli_fail_error(error);
}

const CliVerb cli_compact = {
    .name = "compact",
    .operands = "IMAGE",
    .summary = "Give back the space that an image does not need",
    .operands_min = 1,
    .operands_max = 1,
    .usage_status = CLI_USAGE,
    .run = run_compact,
};
