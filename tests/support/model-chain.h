/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * Random VHD chains in files, with what they show: every size, placement and oddity that the format
 * allows and real images have, and that the engine's own writer would never make.
 */
#pragma once

#include "tests/support/rng.h"

typedef struct ModelChain {
    unsigned depth;
    char **paths;           /* child first, NULL-terminated */
    uint64_t sectors;       /* of the child */
    uint32_t block_sectors; /* of the child; 0: fixed */
    bool child;             /* it is a differencing image */
    uint8_t *content;       /* what the chain shows: sectors * 512 bytes */
    uint8_t *present; /* a byte a sector, 1: it is in the child itself; meaningful where child */
} ModelChain;

/* How large the random choices may be. */
typedef struct ModelLimits {
    uint64_t sectors;       /* of a disk */
    uint32_t block_sectors; /* of a block, a power of two from 8 on */
    uint64_t layer_bytes;   /* of blocks in one layer, roughly */
    unsigned depth;         /* usual number of layers, at most */
    bool deep;              /* one in fifty has 9 to 40 layers */
} ModelLimits;

#define MODEL_LIMITS                                                                               \
    ((ModelLimits){.sectors = UINT64_C(12) << 11,                                                  \
                   .block_sectors = 8u << 10,                                                      \
                   .layer_bytes = UINT64_C(1) << 20,                                               \
                   .depth = 8,                                                                     \
                   .deep = true})

/* Make a chain in folder. Never fails (ends the program instead). */
ModelChain *model_chain_build(const char *folder, Rng *rng, const ModelLimits *limits);

/* Remove the files, too. */
void model_chain_free(ModelChain *chain);
