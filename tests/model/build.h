/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * Random VHD chains in files, with what they show: every size, placement and oddity that the format
 * allows and real images have, and that the engine's own writer would never make.
 */
#pragma once

#include "tests/model/rng.h"

typedef struct ModelChain {
    unsigned depth;
    char **paths;           /* child first, NULL-terminated */
    uint64_t sectors;       /* of the child */
    uint32_t block_sectors; /* of the child; 0: fixed */
    bool child;             /* it is a differencing image */
    uint8_t *content;       /* what the chain shows: sectors * 512 bytes */
    uint8_t *present; /* a byte a sector, 1: it is in the child itself; meaningful where child */
} ModelChain;

/* Make a chain in folder. Never fails (ends the program instead). */
ModelChain *model_chain_build(const char *folder, Rng *rng);

/* Remove the files, too. */
void model_chain_free(ModelChain *chain);
