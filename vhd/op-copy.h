/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * Make one image hold what a chain shows, where something below it shows otherwise: rebase copies
 * so into the child, commit into the ancestor. Only sectors that differ are written; what is zero
 * on both sides, or comes from one place of one file, is not read.
 */
#pragma once

#include "vhd/chain.h"
#include "vhd/file-behind.h"

typedef struct VhdOpCopy {
    VhdChain *from; /* whose content is to be kept */
    VhdChain *seen; /* what shows now; zeros beyond its end; may contain to */
    VhdImage *to;   /* open for writing */
    /* Asked now and then with the part of the disk that is done, 0 to 1; true: give up. NULL: no.
     */
    bool (*stop)(void *data, double part);
    void *data;
    uint64_t written_bytes; /* filled */
    /* op-copy's own, zero at first. */
    uint64_t ahead; /* bytes of the disk that were asked for */
    VhdFileBehind behind;
} VhdOpCopy;

/* [start, end) of the disk, multiples of 512, within from and to. What to is written may still be
 * in memory: vhd_image_flush. False: an I/O error, no space, or stop (VHD_ERROR_INVALID); what was
 * copied until then is right. */
bool vhd_op_copy(VhdOpCopy *copy, uint64_t start, uint64_t end, GError **error);

/* Do a and b show the same in [start, end), within a? No more is read than it takes to tell. */
bool vhd_op_equal(VhdChain *a, VhdChain *b, uint64_t start, uint64_t end, bool *equal,
                  GError **error);
