/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* What every verb of vhdctl shares: its face, its options, its one sentence on stderr. */
#pragma once

#include <glib.h>
#include <stdbool.h>

/* Exit statuses. */
#define CLI_DONE   0
#define CLI_FAILED 1
#define CLI_USAGE  2

typedef struct CliVerb {
    const char *name;
    const char *operands; /* as usage shows them */
    const char *summary;  /* what it does, in one line */
    int operands_min, operands_max;
    int usage_status; /* exit status of a usage error */
    /* argv[0] is the verb. Returns the exit status. */
    int (*run)(const struct CliVerb *verb, int argc, char **argv);
} CliVerb;

extern const CliVerb cli_create, cli_snapshot, cli_info, cli_map, cli_check, cli_repair, cli_read,
    cli_write, cli_convert, cli_luns, cli_compare, cli_measure, cli_tree, cli_resize, cli_rebase,
    cli_commit, cli_compact;

/* Take the options of entries out of argv; *operands gets the rest, NULL-terminated, in argv's own
 * memory. True: go on. False: help was printed or a usage error told; *status is to be returned. */
bool cli_parse(const CliVerb *verb, const GOptionEntry *entries, int argc, char **argv,
               char ***operands, int *status);

/* "vhdctl: VERB: ..., see 'vhdctl VERB --help'" on stderr; returns the verb's usage status. */
int cli_usage(const CliVerb *verb, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* "vhdctl: ..." on stderr, control characters made visible; returns CLI_FAILED. */
int cli_fail(const char *format, ...) G_GNUC_PRINTF(1, 2);

/* The same with the error's sentence. */
int cli_fail_error(const GError *error);

/* "vhdctl: warning: ..." on stderr. */
void cli_warn(const char *format, ...) G_GNUC_PRINTF(1, 2);

/* For VhdImageOptions.warn. */
void cli_warn_text(void *data, const char *text);

/* Write out what stdout holds; an error is told once. Returns status, or CLI_FAILED. */
int cli_finish_stdout(int status);
