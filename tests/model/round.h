/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * One round: a random chain, a few sessions of random requests on it, and after each the whole disk
 * compared with what a flat array says: through the engine, through the second reader, and with the
 * parents' files as they were.
 */
#pragma once

#include "tests/model/ops.h"
#include "tests/support/model-chain.h"

typedef enum Mode {
    MODE_SINGLE,  /* one thread, every read compared */
    MODE_OWNED,   /* eight threads, each owns sectors that interleave with the others' */
    MODE_OVERLAP, /* eight threads anywhere; the order of submitting decides */
    MODES
} Mode;

/* A mistake made on purpose, that the test must find. */
typedef enum Plant {
    PLANT_NONE,
    PLANT_ORACLE, /* a byte of what is expected */
    PLANT_ORDER,  /* overlapping writes expected in the wrong order (MODE_OVERLAP) */
    PLANT_PARENT, /* a byte of a parent's file */
    PLANT_FOOTER, /* a byte of the child's trailing footer */
    PLANTS
} Plant;

typedef struct Round {
    Mode mode;
    Plant plant;
    uint64_t seed;
    const char *folder;
    Rng rng;
    ModelChain *chain;
    char **sums; /* of the parents' files */
    VhdDisk *disk;
    uint32_t last_id;  /* of requests, single thread */
    uint64_t requests; /* done so far */
} Round;

/* Run one. Ends the program with status 1 on the first difference. Returns the number of requests.
 */
uint64_t round_run(Mode mode, Plant plant, uint64_t seed, const char *folder);

/* Report a difference, tell how to see it again, end the program with status 1. op may be NULL. Any
 * thread. */
_Noreturn void round_fail(const Round *round, const Op *op, const char *format, ...)
    G_GNUC_PRINTF(3, 4);

/* Compare [sector, sector+sectors) with what is expected there. */
void round_compare(const Round *round, const Op *op, uint64_t sector, uint64_t sectors,
                   const uint8_t *found, const uint8_t *expected);

/* The whole disk, through the engine. */
void round_compare_disk(const Round *round);

/* A random range of the disk, mostly short. */
void round_choose_range(const Round *round, Rng *rng, uint64_t *sector, uint64_t *sectors);

/* modes.c: the requests of one session. */
void mode_run(Round *round);
