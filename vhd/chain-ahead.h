/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* What is read in order is asked for before it is needed. */
#pragma once

#include "vhd/chain-run.h"

#define VHD_CHAIN_AHEAD_BYTES (8u << 20)

typedef struct VhdChainAhead {
    uint64_t end; /* bytes of the disk: asked for so far */
} VhdChainAhead;

/* What chain holds from off (bytes, a multiple of 512) on will be read soon. Best effort. */
void vhd_chain_ahead(VhdChainAhead *ahead, VhdChain *chain, uint64_t off);

/* The first bytes of run, at most so many as above. */
void vhd_chain_run_ahead(VhdChain *chain, const VhdChainRun *run);
