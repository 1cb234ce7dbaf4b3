/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
#include "cli/cli.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/output.h"

static void print_line(const char *prefix, const char *format, va_list args) G_GNUC_PRINTF(2, 0);

/* Names and bytes of hostile images end up here: nothing may move a terminal's cursor. */
static void print_line(const char *prefix, const char *format, va_list args)
{
    g_autofree char *text = g_strdup_vprintf(format, args);
    g_autofree char *shown = output_visible(text);

    fflush(stdout);
    fprintf(stderr, "vhdctl: %s%s\n", prefix, shown);
}

int cli_fail(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    print_line("", format, args);
    va_end(args);
    return CLI_FAILED;
}

int cli_fail_error(const GError *error)
{
    return cli_fail("%s", error->message);
}

void cli_warn(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    print_line("warning: ", format, args);
    va_end(args);
}

void cli_warn_text(void *data, const char *text)
{
    (void)data;
    cli_warn("%s", text);
}

int cli_usage(const CliVerb *verb, const char *format, ...)
{
    g_autofree char *text = NULL;
    va_list args;

    va_start(args, format);
    text = g_strdup_vprintf(format, args);
    va_end(args);
    cli_fail("%s: %s; see 'vhdctl %s --help'", verb->name, text, verb->name);
    return verb->usage_status;
}

int cli_finish_stdout(int status)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return status;
    return cli_fail("cannot write to standard output: %s", g_strerror(errno));
}

/* GLib ends "[OPTION" with a sign that ASCII terminals lack. */
static void print_help(GOptionContext *context)
{
    g_autofree char *help = g_option_context_get_help(context, TRUE, NULL);
    g_auto(GStrv) parts = g_strsplit(help, "\342\200\246", -1);
    g_autofree char *plain = g_strjoinv("...", parts);

    fputs(plain, stdout);
}

/* "--" ends the options; GLib leaves it in argv where what follows begins with a dash. */
static void drop_separator(int *argc, char **argv)
{
    for (int i = 1; i < *argc; i++) {
        if (strcmp(argv[i], "--") != 0)
            continue;
        memmove(&argv[i], &argv[i + 1], (size_t)(*argc - i) * sizeof(argv[0]));
        (*argc)--;
        return;
    }
}

static int usage_of_error(const CliVerb *verb, const GError *error)
{
    g_autofree char *text = g_strdup(error->message);

    if (text[0] && g_ascii_islower(text[1]))
        text[0] = g_ascii_tolower(text[0]);
    return cli_usage(verb, "%s", text);
}

bool cli_parse(const CliVerb *verb, const GOptionEntry *entries, int argc, char **argv,
               char ***operands, int *status)
{
    g_autoptr(GOptionContext) context = g_option_context_new(verb->operands);
    g_autoptr(GError) error = NULL;
    g_autofree char *prgname = g_strconcat("vhdctl ", verb->name, NULL);
    gboolean help = FALSE;
    GOptionEntry common[] = {
        {"help", 'h', 0, G_OPTION_ARG_NONE, &help, "Show this and do nothing", NULL},
        {NULL, 0, 0, 0, NULL, NULL, NULL},
    };

    g_set_prgname(prgname);
    g_option_context_set_help_enabled(context, FALSE);
    g_option_context_set_summary(context, verb->summary);
    g_option_context_add_main_entries(context, entries, NULL);
    g_option_context_add_main_entries(context, common, NULL);
    if (!g_option_context_parse(context, &argc, &argv, &error)) {
        *status = usage_of_error(verb, error);
        return false;
    }
    if (help) {
        print_help(context);
        *status = cli_finish_stdout(CLI_DONE);
        return false;
    }
    drop_separator(&argc, argv);
    *operands = argv + 1;
    if (argc - 1 >= verb->operands_min && argc - 1 <= verb->operands_max)
        return true;
    if (argc - 1 > verb->operands_max)
        *status = cli_usage(verb, "'%s' is one operand too many", argv[1 + verb->operands_max]);
    else if (verb->operands_min > 1)
        *status = cli_usage(verb, "both of %s are needed", verb->operands);
    else
        *status = cli_usage(verb, "%s is missing", verb->operands);
    return false;
}
