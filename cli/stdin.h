/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* Standard input as data. */
#pragma once

#include "vhd/file.h"

/* Fill buf with len bytes, *got fewer at the input's end or where the user interrupts. False: errno
 * tells. */
bool stdin_read(uint8_t *buf, size_t len, size_t *got);

/* A regular file or block device, from its beginning: it can be opened as /dev/stdin. */
bool stdin_is_file(void);

/* All of it, in a file that never gets a name, in the folder of the path near; closing it removes
 * it. What is zero is a hole there. */
VhdFile *stdin_spool(const char *near, GError **error);
