/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* How far long work is, and whether the user has had enough of it. */
#pragma once

#include <glib.h>
#include <stdbool.h>

/* SIGINT, SIGTERM and SIGHUP do not kill any more from here on: long work asks
 * progress_interrupted, so that it can tidy up. */
void progress_catch_signals(void);

/* Show progress on stderr if it is a terminal, or if forced. Catches signals, too. */
void progress_begin(bool forced);

/* part of the work is done, 0 to 1. Cheap: prints a few times a second at most. */
void progress_show(double part);

/* What vhd/ calls meanwhile in long work: shows part and tells whether to stop. data: ignored. */
bool progress_stop(void *data, double part);

/* The line is finished or removed, so that a message can follow. */
void progress_end(bool complete);

/* Work that ended half way, by a signal or an error of the file system: add to error (set) what
 * state things are in, a clause, and that the same command goes on. Other errors are left as they
 * are: they were found before anything was done. Returns false. */
bool progress_left_off(GError **error, const char *state, ...) G_GNUC_PRINTF(2, 3);

/* The GOptionEntry of -p, for a gboolean at address. */
#define PROGRESS_OPTION(address)                                                                   \
    {                                                                                              \
        "progress", 'p', 0, G_OPTION_ARG_NONE, address,                                            \
            "Show progress, also where stderr is no terminal", NULL                                \
    }

/* True once a signal asked to stop. */
bool progress_interrupted(void);
