/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * The files that hold pending logs: DIR/<uuid>-<device>-<inode>.log on tmpfs, folder 0711, files
 * 0600, space allocated before they are mapped (a full tmpfs must not kill the process). Control
 * path.
 */
#pragma once

#include "vhd/file.h"
#include "vhd/pending.h"

#define VHD_PENDING_DIR "/run/tcmu-vhd"

typedef struct VhdPendingStore VhdPendingStore;

/* Path of the log that waits for the image in file (it exists and is not known to be empty), NULL
 * if none. Caller frees. */
char *vhd_pending_waiting(VhdFile *file, const uint8_t uuid[static 16], const char *dir);

/* Map the log at path. With create it is made if missing (the folder too; not formatted). NULL:
 * error, VHD_ERROR_PENDING where it exists and may not be read. *existed (may be NULL): it was
 * there. */
VhdPendingStore *vhd_pending_store_open(const char *path, bool create, bool *existed,
                                        GError **error);

/* Path of the log for an image. dir NULL: VHD_PENDING_DIR. Caller frees. */
char *vhd_pending_store_path(const VhdPendingBase *base, const char *dir);

/* Boot id, device and inode of file for a base; 0 or -errno. */
int vhd_pending_store_identify(VhdFile *file, VhdPendingBase *base);

const char *vhd_pending_store_name(const VhdPendingStore *store);
VhdPending *vhd_pending_store_log(VhdPendingStore *store);
void vhd_pending_store_close(VhdPendingStore *store, bool remove);
