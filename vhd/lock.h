/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * Who may use an image at the same time, told by the locks that qemu takes (measured on 7.2): read
 * locks of the open-file-description kind on single bytes, 100 + n for a right held and 200 + n for
 * a right not shared, n = 0 consistent read, 1 write, 3 resize. They die with the process.
 *
 * A writer holds 100, 101, 103, 201, 203 and asks whether another holds 101, 103, 200, 201 or 203;
 * a reader holds 100, 201, 203 and asks about 101, 103, 200. (A reader that asked about 201 would
 * refuse every second child of one golden image.)
 *
 * Control path: the calls for one file come from one thread at a time.
 */
#pragma once

#include "vhd/file.h"

typedef enum VhdLockMode { VHD_LOCK_NONE, VHD_LOCK_READ, VHD_LOCK_WRITE } VhdLockMode;

/* Take mode on file, in place of the mode it has. A busy image is tried for wait_ms milliseconds,
 * then refused (VHD_ERROR_BUSY, the sentence names the file and, where /proc tells, the process).
 * On a file system without such locks (ENOLCK, EOPNOTSUPP, EINVAL): true, and *unlocked (may be
 * NULL) is set so that the caller can warn. On failure nothing stays held. Blocks up to wait_ms. */
bool vhd_lock_take(VhdFile *file, VhdLockMode mode, unsigned wait_ms, bool *unlocked,
                   GError **error);

/* Ask without taking: true if mode could be had now. */
bool vhd_lock_probe(VhdFile *file, VhdLockMode mode, GError **error);

/* Who writes the file now: "another process (pid N NAME)", as much of it as /proc tells; NULL:
 * nobody with locks. Asks without taking. The caller frees it. */
char *vhd_lock_writer(VhdFile *file);

/* Let go of all that vhd_lock_take took. */
void vhd_lock_drop(VhdFile *file);
