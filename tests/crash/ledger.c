/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
#include "tests/crash/ledger.h"

#include <stdio.h>
#include <string.h>

#define WORDS 64u

typedef struct Version {
    const LedgerOp *op; /* NULL: was there from the start */
    bool weak;          /* may not have happened at all: promises nothing */
    uint8_t bytes[SECTOR_BYTES];
} Version;

typedef struct Sector {
    Version *versions; /* oldest first */
    unsigned count;
    LedgerPresence present;
    bool unsure; /* the newest version may or may not be there */
} Sector;

typedef struct Flush {
    uint64_t issued, done;
} Flush;

struct Ledger {
    uint64_t sectors;
    bool child;
    Sector *sector;
    pthread_mutex_t lock; /* protects all below; a leaf */
    GPtrArray *ops;
    GArray *flushes;
};

static const uint8_t zeros[SECTOR_BYTES];

static void add_version(Sector *sector, const LedgerOp *op, const uint8_t *bytes, bool weak)
{
    Version *version;

    sector->versions = g_renew(Version, sector->versions, sector->count + 1);
    version = &sector->versions[sector->count++];
    version->op = op;
    version->weak = weak;
    memcpy(version->bytes, bytes, SECTOR_BYTES);
}

Ledger *ledger_new(const uint8_t *content, const uint8_t *present, uint64_t sectors, bool child)
{
    Ledger *ledger = g_new0(Ledger, 1);

    ledger->sectors = sectors;
    ledger->child = child;
    ledger->sector = g_new0(Sector, sectors);
    ledger->ops = g_ptr_array_new_with_free_func(g_free);
    ledger->flushes = g_array_new(FALSE, FALSE, sizeof(Flush));
    pthread_mutex_init(&ledger->lock, NULL);
    for (uint64_t i = 0; i < sectors; i++) {
        bool there = !child || !present || present[i];

        ledger->sector[i].present = there ? LEDGER_PRESENT : LEDGER_ABSENT;
        add_version(&ledger->sector[i], NULL, content + i * SECTOR_BYTES, false);
    }
    return ledger;
}

void ledger_free(Ledger *ledger)
{
    if (!ledger)
        return;
    for (uint64_t i = 0; i < ledger->sectors; i++)
        g_free(ledger->sector[i].versions);
    g_free(ledger->sector);
    g_ptr_array_unref(ledger->ops);
    g_array_unref(ledger->flushes);
    pthread_mutex_destroy(&ledger->lock);
    g_free(ledger);
}

uint64_t ledger_sectors(const Ledger *ledger)
{
    return ledger->sectors;
}

LedgerOp *ledger_op(Ledger *ledger, uint64_t issued, bool durable)
{
    LedgerOp *op = g_new0(LedgerOp, 1);

    *op = (LedgerOp){.issued = issued, .durable = durable};
    pthread_mutex_lock(&ledger->lock);
    g_ptr_array_add(ledger->ops, op);
    pthread_mutex_unlock(&ledger->lock);
    return op;
}

void ledger_write(Ledger *ledger, const LedgerOp *op, uint64_t sector, const uint8_t *bytes)
{
    Sector *at = &ledger->sector[sector];

    add_version(at, op, bytes ? bytes : zeros, false);
    at->present = LEDGER_PRESENT;
    at->unsure = false;
}

void ledger_unmap(Ledger *ledger, const LedgerOp *op, uint64_t sector)
{
    Sector *at = &ledger->sector[sector];

    if (at->present == LEDGER_ABSENT)
        return;
    add_version(at, op, zeros, at->present == LEDGER_UNSURE);
    at->unsure = at->present == LEDGER_UNSURE;
}

void ledger_failed(Ledger *ledger, uint64_t sector)
{
    Sector *at = &ledger->sector[sector];

    at->unsure = true;
    if (ledger->child)
        at->present = LEDGER_UNSURE;
}

void ledger_flushed(Ledger *ledger, uint64_t issued, uint64_t done)
{
    Flush flush = {issued, done};

    pthread_mutex_lock(&ledger->lock);
    g_array_append_val(ledger->flushes, flush);
    pthread_mutex_unlock(&ledger->lock);
}

const uint8_t *ledger_latest(const Ledger *ledger, uint64_t sector)
{
    const Sector *at = &ledger->sector[sector];

    return at->versions[at->count - 1].bytes;
}

bool ledger_is_sure(const Ledger *ledger, uint64_t sector)
{
    return !ledger->sector[sector].unsure;
}

LedgerPresence ledger_presence(const Ledger *ledger, uint64_t sector)
{
    return ledger->sector[sector].present;
}

LedgerCut ledger_cut(Ledger *ledger, uint64_t cut, LedgerLevel level)
{
    LedgerCut made = {ledger, cut, level, 0};

    for (guint i = 0; i < ledger->flushes->len; i++) {
        const Flush *flush = &g_array_index(ledger->flushes, Flush, i);

        if (flush->done <= cut)
            made.flushed_before = MAX(made.flushed_before, flush->issued);
    }
    return made;
}

static bool is_promised(const LedgerCut *cut, const Version *version)
{
    const LedgerOp *op = version->op;

    if (!op)
        return true;
    if (version->weak || op->done == 0 || op->done > cut->cut)
        return false;
    return cut->level == LEDGER_ACKED || op->durable || op->done < cut->flushed_before;
}

/* The words after the first follow from it. */
static bool is_pattern(const uint8_t *bytes, uint64_t *first)
{
    uint64_t word;

    memcpy(first, bytes, sizeof *first);
    for (unsigned i = 1; i < WORDS; i++) {
        memcpy(&word, bytes + i * sizeof word, sizeof word);
        if (word != *first + i)
            return false;
    }
    return (*first & (WORDS - 1)) == 0;
}

/* Why a value is not one of those that are fine. */
static LedgerVerdict blame(const LedgerCut *cut, uint64_t sector, const uint8_t *found,
                           unsigned oldest)
{
    const Sector *at = &cut->ledger->sector[sector];
    uint64_t first;
    bool pattern = is_pattern(found, &first);

    for (unsigned i = 0; i < at->count; i++) {
        if (memcmp(at->versions[i].bytes, found, SECTOR_BYTES) != 0)
            continue;
        if (i < oldest)
            return LEDGER_TOO_OLD;
        if (pattern) /* zeros that are to be written later are zeros by chance */
            return LEDGER_FUTURE;
    }
    return pattern && (uint32_t)first / WORDS != sector ? LEDGER_FOREIGN : LEDGER_NEVER;
}

LedgerVerdict ledger_judge(const LedgerCut *cut, uint64_t sector, const uint8_t *found)
{
    const Sector *at = &cut->ledger->sector[sector];
    unsigned i = at->count;

    while (i-- > 0) {
        const Version *version = &at->versions[i];
        bool issued = !version->op || version->op->issued < cut->cut;

        if (issued && memcmp(version->bytes, found, SECTOR_BYTES) == 0)
            return LEDGER_FINE;
        if (is_promised(cut, version))
            break;
    }
    return blame(cut, sector, found, i);
}

void ledger_pattern(uint8_t bytes[SECTOR_BYTES], uint64_t sector, uint32_t id)
{
    for (unsigned i = 0; i < WORDS; i++) {
        uint64_t word = (uint64_t)id << 32 | (sector * WORDS + i);

        memcpy(bytes + i * sizeof word, &word, sizeof word);
    }
}

char *ledger_describe(const uint8_t *bytes)
{
    uint64_t first;

    if (memcmp(bytes, zeros, SECTOR_BYTES) == 0)
        return g_strdup("zeros");
    if (is_pattern(bytes, &first))
        return g_strdup_printf("sector %u as request %u wrote it", (uint32_t)first / WORDS,
                               (uint32_t)(first >> 32));
    return g_strdup_printf("bytes %02x %02x %02x %02x ...", bytes[0], bytes[1], bytes[2], bytes[3]);
}

void ledger_dump(const Ledger *ledger, uint64_t sector)
{
    const Sector *at = &ledger->sector[sector];

    for (unsigned i = 0; i < at->count; i++) {
        const LedgerOp *op = at->versions[i].op;
        g_autofree char *text = ledger_describe(at->versions[i].bytes);

        fprintf(stderr, "  sector %" G_GUINT64_FORMAT ": %s", sector, text);
        if (op)
            fprintf(stderr, ", issued at %" G_GUINT64_FORMAT ", done at %" G_GUINT64_FORMAT "%s%s",
                    op->issued, op->done, op->durable ? ", durable" : "",
                    at->versions[i].weak ? ", or not" : "");
        fprintf(stderr, "\n");
    }
    for (guint i = 0; i < ledger->flushes->len; i++) {
        const Flush *flush = &g_array_index(ledger->flushes, Flush, i);

        fprintf(stderr, "  flush issued at %" G_GUINT64_FORMAT ", done at %" G_GUINT64_FORMAT "\n",
                flush->issued, flush->done);
    }
}
