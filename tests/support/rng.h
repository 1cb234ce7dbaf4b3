/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* Random numbers that a seed fixes (splitmix64). One state a thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

typedef struct Rng {
    uint64_t state;
} Rng;

static inline uint64_t rng_next(Rng *rng)
{
    uint64_t z = rng->state += UINT64_C(0x9E3779B97F4A7C15);

    z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
    return z ^ z >> 31;
}

/* 0..below-1; below at least 1. */
static inline uint64_t rng_below(Rng *rng, uint64_t below)
{
    return rng_next(rng) % below;
}

/* from..to, both included. */
static inline uint64_t rng_range(Rng *rng, uint64_t from, uint64_t to)
{
    return from + rng_below(rng, to - from + 1);
}

/* True once in n times. */
static inline bool rng_one_in(Rng *rng, unsigned n)
{
    return rng_below(rng, n) == 0;
}

static inline void rng_fill(Rng *rng, uint8_t *bytes, size_t len)
{
    for (size_t i = 0; i < len; i += sizeof(uint64_t)) {
        uint64_t word = rng_next(rng);

        memcpy(bytes + i, &word, len - i < sizeof word ? len - i : sizeof word);
    }
}
