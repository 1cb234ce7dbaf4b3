/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * Another parent for a child. Killed or without power at any point the child shows what it showed,
 * over the old parent or the new one.
 */
#pragma once

#include "vhd/chain.h"

/* What a child notes of its parent. */
typedef struct VhdParentLink {
    uint8_t uuid[VHD_UUID_BYTES];
    uint32_t time_stamp;  /* seconds since 2000, 0: none */
    const char *name;     /* the file's, for the name field */
    const char *relative; /* from the child's folder, with '/' */
    const char *absolute;
} VhdParentLink;

/* Copy into layer 0 of child, open for writing, what its ancestors show and parent does not, and
 * make that last. stop: as in op-copy.h. *copied_bytes (may be NULL): how much that was. */
bool vhd_op_rebase_copy(VhdChain *child, VhdChain *parent, bool (*stop)(void *data, double part),
                        void *data, uint64_t *copied_bytes, GError **error);

/* Write link in place of the one that image (differencing, open for writing) has; emptied: also
 * give up all blocks, so that the parent shows everywhere. Afterwards the image must be closed,
 * whatever happened. Refused: a name that a VHD cannot note. */
bool vhd_op_relink(VhdImage *image, const VhdParentLink *link, bool emptied, GError **error);
