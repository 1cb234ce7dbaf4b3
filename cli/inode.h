/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* What the tool does to a file that is no reading or writing of an image. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "vhd/file.h"

/* Bytes that the file takes on its file system; 0 if that cannot be told. */
uint64_t inode_used_bytes(const char *path);

/* path with links resolved; NULL: it, or a folder on the way, cannot be found (doing: for what it
 * was to be found). The caller frees it. */
char *inode_real_path(const char *path, const char *doing, GError **error);

/* Take away everybody's write permission; nothing to do if there is none. *before: the permission
 * bits as they were. */
bool inode_protect(const char *path, mode_t *before, GError **error);

/* Put back what inode_protect took. Best effort. */
void inode_unprotect(const char *path, mode_t before);

/* Whether path is the very file that file is. */
bool inode_is(const char *path, VhdFile *file);

/* Mode of a child: the umask's, and what a class of users may not read of the parent it may neither
 * read nor write of the child. */
mode_t inode_child_mode(mode_t parent);
