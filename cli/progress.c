/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
#include "cli/progress.h"

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "vhd/error.h"

#define SHOW_EVERY_US 100000

static volatile sig_atomic_t interrupted;
static bool shown;     /* progress is wanted */
static bool line_open; /* something stands on the line */
static gint64 last_us;

static void on_signal(int number)
{
    (void)number;
    interrupted = 1;
}

void progress_catch_signals(void)
{
    /* No SA_RESTART: a read from a silent pipe must end. */
    struct sigaction action = {.sa_handler = on_signal};

    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
}

void progress_begin(bool forced)
{
    progress_catch_signals();
    shown = forced || isatty(STDERR_FILENO);
    last_us = 0;
}

void progress_show(double part)
{
    gint64 now = g_get_monotonic_time();

    if (!shown || (last_us != 0 && now - last_us < SHOW_EVERY_US))
        return;
    last_us = now;
    line_open = true;
    fprintf(stderr, "    (%.2f/100%%)\r", CLAMP(part, 0, 1) * 100);
    fflush(stderr);
}

bool progress_stop(void *data, double part)
{
    (void)data;
    progress_show(part);
    return progress_interrupted();
}

void progress_end(bool complete)
{
    if (shown && complete)
        fprintf(stderr, "    (100.00/100%%)\n");
    else if (line_open)
        fputc('\n', stderr);
    shown = line_open = false;
}

bool progress_interrupted(void)
{
    return interrupted != 0;
}

bool progress_left_off(GError **error, const char *state, ...)
{
    bool no_space = g_error_matches(*error, VHD_ERROR, VHD_ERROR_NOSPACE);
    g_autofree char *message = NULL, *text = NULL;
    va_list args;

    if (!no_space && !g_error_matches(*error, VHD_ERROR, VHD_ERROR_IO) && !progress_interrupted())
        return false;
    va_start(args, state);
    text = g_strdup_vprintf(state, args);
    va_end(args);
    message = (*error)->message;
    (*error)->message = g_strdup_printf("%s; %s, the same command goes on%s", message, text,
                                        no_space ? " once there is space" : "");
    return false;
}
