/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * Another size for an image, in place. Killed or without power at any point the file holds the old
 * size or the new one; the same call finishes what was begun.
 */
#pragma once

#include "vhd/chain.h"

/* Where the first byte lies that is not zero at or behind bytes (a multiple of 512) of the disk,
 * as the chain shows it: what shrinking to that size would lose. *off = the disk's size if there is
 * none. stop (may be NULL) is asked now and then, with the part that is done; true gives up with
 * -ECANCELED. 0 or -errno. */
int vhd_op_resize_loses(VhdChain *chain, uint64_t bytes, uint64_t *off,
                        bool (*stop)(void *data, double part), void *data);

/* Can the image be made so many bytes large at all? Refused: a size that is no multiple of 512 or
 * that the type cannot have, an image in saved state. */
bool vhd_op_may_resize(VhdImage *image, uint64_t bytes, GError **error);

/* Make the disk of image (open for writing, its log attached) so many bytes large. Grown, the new
 * part reads as zeros (in a child: as what a larger parent has there); what a shrunk one loses is
 * the caller's to ask. Refused as by vhd_op_may_resize. Afterwards the image must be closed,
 * whatever happened. */
bool vhd_op_resize(VhdImage *image, uint64_t bytes, GError **error);
