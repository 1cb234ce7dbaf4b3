/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* A log of writes that a killed process left, before an image is repaired. */
#pragma once

#include <glib.h>
#include <stdbool.h>

typedef enum LogOutcome {
    LOG_SETTLED, /* there is none, or none any more */
    LOG_WAITS,   /* dry_run: it was told that it waits */
    LOG_FAILED,  /* *error is set */
} LogOutcome;

/* Take in the log that waits for the image at path, by opening it for writing. Where it cannot be
 * taken in because it does not fit the image, or the image is damaged, drop gives its writes up.
 * Tells on stdout what became of it. force: although the file is write protected. */
LogOutcome log_settle(const char *path, bool dry_run, bool force, bool drop, GError **error);
