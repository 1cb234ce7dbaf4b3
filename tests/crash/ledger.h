/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * What each sector of a disk may hold after a crash: every value that was ever on its way there, in
 * the order in which they were written, and since when it is promised.
 *
 * Time is that of the trace (trace_tick): a request was issued at one tick and acknowledged at
 * another. Flushed: a value acknowledged before a flush was issued that has ended, or by FUA.
 * Requests that overlap must be noted in their order. Locking: sectors may be noted in different
 * threads at once; judging wants that none is.
 */
#pragma once

#include <glib.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#define SECTOR_BYTES 512u

typedef struct LedgerOp {
    uint64_t issued, done; /* ticks; done 0: not acknowledged */
    bool durable;          /* once it is acknowledged */
} LedgerOp;

typedef enum LedgerPresence { LEDGER_ABSENT, LEDGER_PRESENT, LEDGER_UNSURE } LedgerPresence;

/* What a crash may take away. */
typedef enum LedgerLevel {
    LEDGER_FLUSHED, /* power: all that was not flushed */
    LEDGER_ACKED    /* the process: what was not acknowledged */
} LedgerLevel;

typedef enum LedgerVerdict {
    LEDGER_FINE,
    LEDGER_TOO_OLD, /* a value that a newer one had been promised over */
    LEDGER_FUTURE,  /* a value not yet written at the cut */
    LEDGER_FOREIGN, /* of another sector */
    LEDGER_NEVER    /* anything else */
} LedgerVerdict;

typedef struct Ledger Ledger;

/* A moment, looked at more than once. */
typedef struct LedgerCut {
    const Ledger *ledger;
    uint64_t cut;
    LedgerLevel level;
    uint64_t flushed_before; /* what was acknowledged before it is flushed */
} LedgerCut;

/* content: the disk as it is. present: a byte a sector, NULL: all; asked only where child. */
Ledger *ledger_new(const uint8_t *content, const uint8_t *present, uint64_t sectors, bool child);
void ledger_free(Ledger *ledger);

uint64_t ledger_sectors(const Ledger *ledger);

/* A request issued at tick; the ledger's. */
LedgerOp *ledger_op(Ledger *ledger, uint64_t issued, bool durable);

/* It writes bytes to sector. NULL: zeros. */
void ledger_write(Ledger *ledger, const LedgerOp *op, uint64_t sector, const uint8_t *bytes);

/* It unmaps sector: zeros where the disk itself holds it. */
void ledger_unmap(Ledger *ledger, const LedgerOp *op, uint64_t sector);

/* The request that was the last to write sector failed. */
void ledger_failed(Ledger *ledger, uint64_t sector);

/* A flush issued and ended at these ticks. */
void ledger_flushed(Ledger *ledger, uint64_t issued, uint64_t done);

/* What a read shows. */
const uint8_t *ledger_latest(const Ledger *ledger, uint64_t sector);
/* No request that failed leaves that in doubt. */
bool ledger_is_sure(const Ledger *ledger, uint64_t sector);
LedgerPresence ledger_presence(const Ledger *ledger, uint64_t sector);

LedgerCut ledger_cut(Ledger *ledger, uint64_t cut, LedgerLevel level);
LedgerVerdict ledger_judge(const LedgerCut *cut, uint64_t sector, const uint8_t *found);

/* On standard error, for whoever looks for the reason. */
void ledger_dump(const Ledger *ledger, uint64_t sector);

/* A written sector says where it belongs: word i of sector s is id << 32 | (s * 64 + i). */
void ledger_pattern(uint8_t bytes[SECTOR_BYTES], uint64_t sector, uint32_t id);
/* "zeros", "sector 3 of request 17", or the first bytes. Caller frees. */
char *ledger_describe(const uint8_t *bytes);
