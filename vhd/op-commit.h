/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * A child's content merged into an ancestor. Killed or without power at any point the child shows
 * what it showed: it hides what the ancestor has got already, and gives up nothing before that is
 * durable. Give up the child's blocks by vhd_op_relink, or its file, afterwards.
 */
#pragma once

#include "vhd/chain.h"

/* Make layer 0 of target, open for writing and a layer of child, show what child shows; no further
 * than the smaller disk reaches. Durable when true is returned. stop: as in op-copy.h.
 * *written_bytes (may be NULL): how much was not there yet. */
bool vhd_op_commit(VhdChain *child, VhdChain *target, bool (*stop)(void *data, double part),
                   void *data, uint64_t *written_bytes, GError **error);

/* To be called before layer, an ancestor, is made as large as child: the ancestors of that one,
 * hidden behind its end until then, would be seen there. Layer 0 of child, open for writing, gets
 * what child shows there instead, durably. stop: as in op-copy.h. */
bool vhd_op_commit_keep(VhdChain *child, unsigned layer, bool (*stop)(void *data, double part),
                        void *data, GError **error);
