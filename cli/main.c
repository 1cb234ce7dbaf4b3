/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* vhdctl: makes, inspects, checks, repairs and transforms VHD images and chains of them. */
#include <fcntl.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"

static const CliVerb *const verbs[] = {
    &cli_create, &cli_snapshot, &cli_info,   &cli_map,     &cli_tree,    &cli_check,
    &cli_repair, &cli_read,     &cli_write,  &cli_convert, &cli_compare, &cli_measure,
    &cli_resize, &cli_rebase,   &cli_commit, &cli_compact, &cli_luns,
};

static void print_verbs(void)
{
    printf("Usage: vhdctl VERB [OPTION...] IMAGE...\n"
           "Makes, inspects, checks, repairs and transforms VHD images and chains of them.\n\n"
           "Verbs:\n");
    for (size_t i = 0; i < G_N_ELEMENTS(verbs); i++)
        printf("  %-9s %-14s %s\n", verbs[i]->name, verbs[i]->operands, verbs[i]->summary);
    printf(
        "\n'vhdctl VERB --help' lists the options of a verb. Sizes take the suffixes K, M, G, T\n"
        "(powers of 1024). Exit status: 0 done, 1 failed, 2 wrong usage; check: 0 clean, 1 could\n"
        "not check, 2 corrupt, 3 leaks only; compare: 0 same, 1 different, 2 trouble.\n");
}

static const CliVerb *find_verb(const char *name)
{
    for (size_t i = 0; i < G_N_ELEMENTS(verbs); i++)
        if (strcmp(verbs[i]->name, name) == 0)
            return verbs[i];
    return NULL;
}

/* An image opened in the place of one of them would get what is meant for a terminal. Reading or
 * writing what stands there instead fails, as it did. */
static bool fill_standard_files(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 &&
            g_open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY, 0) != fd)
            return false;
    return true;
}

int main(int argc, char **argv)
{
    const CliVerb *verb;

    if (!fill_standard_files())
        return CLI_FAILED;
    /* A pipe without a reader, or the limit of a file's size, is an error of write(), so that what
     * was begun can be tidied up. */
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
    if (argc < 2) {
        cli_fail("a verb is missing; see 'vhdctl --help'");
        return CLI_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        print_verbs();
        return cli_finish_stdout(CLI_DONE);
    }
    if (strcmp(argv[1], "--version") == 0) {
        printf("vhdctl %s\n", VHD_VERSION);
        return cli_finish_stdout(CLI_DONE);
    }
    verb = find_verb(argv[1]);
    if (!verb) {
        cli_fail("'%s' is no verb; see 'vhdctl --help'", argv[1]);
        return CLI_USAGE;
    }
    return verb->run(verb, argc - 1, argv + 1);
}
