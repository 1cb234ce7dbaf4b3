/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* Sizes as a user writes and reads them. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

/* "4096", "4K", "2m": bytes, with K M G T as powers of 1024 in either case. What names the option
 * in the error's sentence (VHD_ERROR_INVALID). */
bool size_parse(const char *text, const char *what, uint64_t *bytes, GError **error);

/* "512 B", "1.5 MiB": three digits or so, for people. Caller frees. */
char *size_format(uint64_t bytes);
