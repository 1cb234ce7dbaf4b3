/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * Space that an image does not need goes back to the file system; its disk stays as it is. Killed
 * or without power at any point the file holds the same disk; the same calls finish what was begun.
 * Each call leaves an image that must be closed; the second wants it opened anew.
 */
#pragma once

#include "vhd/chain.h"

/* Layer 0 of chain, open for writing: give up the blocks that are zero, or in a child show what its
 * ancestors show; punch holes under zeros where a block, or a fixed image, stays. stop: asked now
 * and then with the part that is done; true gives up (VHD_ERROR_INVALID). */
bool vhd_op_compact_drop(VhdChain *chain, bool (*stop)(void *data, double part), void *data,
                         GError **error);

/* Move blocks from the end of the file into gaps in front of them, cut the file behind the last
 * one, and punch what is left of the gaps, lost blocks in them included. */
bool vhd_op_compact_close_gaps(VhdImage *image, bool (*stop)(void *data, double part), void *data,
                               GError **error);
