/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * One random request: its data in memory cut into pieces anywhere, with guard bytes between them. A
 * written sector says where it belongs and which request wrote it: word i of sector s is id << 32 |
 * (s * 64 + i).
 */
#pragma once

#include <pthread.h>

#include "tests/support/rng.h"
#include "vhd/disk.h"

#define SECTOR_BYTES 512u
#define SECTOR_WORDS 64u

typedef struct Op {
    VhdRequest request;
    uint64_t sector, sectors;
    uint32_t id;
    bool zeros; /* a write of zero bytes */
    uint8_t *arena;
    size_t arena_bytes;
    struct iovec *iov;
    pthread_mutex_t lock; /* protects is_done and result; a leaf */
    pthread_cond_t done;
    bool is_done;
    int result;
} Op;

/* A request of kind for [sector, sector+sectors), written data and all. cut: where pieces may be
 * cut, in bytes. op_free frees what it holds. */
void op_init(Op *op, Rng *rng, VhdOp kind, uint64_t sector, uint64_t sectors, uint32_t id,
             unsigned cut);
void op_free(Op *op);

/* Any kind, weighted; flushes are for sector 0. */
VhdOp op_choose_kind(Rng *rng);

void op_submit(Op *op, VhdDisk *disk);
int op_wait(Op *op);

/* The bytes of a read, in one piece. */
void op_gather(const Op *op, uint8_t *flat);

/* False if bytes around the pieces were written to. */
bool op_guards_ok(const Op *op);

/* What the request does to content (and to present, a byte a sector, where child). Reads and
 * flushes: nothing. */
void op_apply(const Op *op, bool child, uint8_t *content, uint8_t *present);

/* "write of 12 sectors at 345, request 6, fua". Caller frees. */
char *op_describe(const Op *op);
