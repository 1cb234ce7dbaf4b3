/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* A chain's content as runs: which layer holds what, and what reads as zeros without being read. */
#pragma once

#include "vhd/chain.h"

typedef struct VhdChainRun {
    uint64_t start, len; /* bytes of the disk */
    int layer;           /* -1: none */
    uint64_t off;        /* bytes in that layer's file */
    bool hole;           /* the file has a hole there: zeros */
} VhdChainRun;

/* The longest run at start, at most up to end (both multiples of 512). 0 or -errno. One thread at a
 * time for a chain. */
int vhd_chain_run(VhdChain *chain, uint64_t start, uint64_t end, VhdChainRun *run);

static inline bool vhd_chain_run_is_zero(const VhdChainRun *run)
{
    return run->layer < 0 || run->hole;
}
