/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
#include "tests/crash/request.h"

#include <errno.h>
#include <string.h>

#define SECTORS_MOST 48u

typedef struct Range {
    uint64_t sector, sectors;
} Range;

typedef struct Waiter {
    pthread_mutex_t lock; /* protects the rest; a leaf */
    pthread_cond_t wake;
    bool is_done;
    int result;
} Waiter;

static void wake(VhdRequest *request, int result)
{
    Waiter *waiter = request->data;

    pthread_mutex_lock(&waiter->lock);
    waiter->result = result;
    waiter->is_done = true;
    pthread_cond_signal(&waiter->wake);
    pthread_mutex_unlock(&waiter->lock);
}

static void start(VhdDisk *disk, VhdRequest *request, Waiter *waiter)
{
    *waiter = (Waiter){.lock = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER};
    request->done = wake;
    request->data = waiter;
    /* Half of them as a command of the LUN would be: here, if need be in a thread of the disk's. */
    if (request->off / SECTOR_BYTES % 2 && vhd_disk_try(disk, request))
        wake(request, 0);
    else
        vhd_disk_submit(disk, request);
}

static bool is_done(Waiter *waiter)
{
    bool done;

    pthread_mutex_lock(&waiter->lock);
    done = waiter->is_done;
    pthread_mutex_unlock(&waiter->lock);
    return done;
}

static int wait_for(Waiter *waiter)
{
    pthread_mutex_lock(&waiter->lock);
    while (!waiter->is_done)
        pthread_cond_wait(&waiter->wake, &waiter->lock);
    pthread_mutex_unlock(&waiter->lock);
    return waiter->result;
}

static int perform(VhdDisk *disk, VhdRequest *request)
{
    Waiter waiter;

    start(disk, request, &waiter);
    return wait_for(&waiter);
}

/* ---- where */

/* Blocks of the disk, or what counts for them in a fixed image. */
static uint64_t block_sectors(const Life *life)
{
    return life->block_sectors ? life->block_sectors : 16;
}

static Range cut_at_end(const Life *life, Range range)
{
    range.sectors = MIN(MIN(range.sectors, SECTORS_MOST), life->sectors - range.sector);
    return range;
}

static Range choose_anywhere(Worker *worker)
{
    uint64_t block = block_sectors(worker->life), blocks;
    Range range;

    if (rng_one_in(&worker->rng, 3)) { /* whole blocks */
        blocks = (worker->life->sectors + block - 1) / block;
        range =
            (Range){rng_below(&worker->rng, blocks) * block, block * rng_range(&worker->rng, 1, 2)};
    } else {
        range.sector = rng_below(&worker->rng, worker->life->sectors);
        range.sectors = rng_range(&worker->rng, 1, rng_one_in(&worker->rng, 3) ? 2 * block : 3);
    }
    return cut_at_end(worker->life, range);
}

/* Every third block belongs to one thread; of the others each has every count-th pair of sectors.
 */
static bool owns(const Worker *worker, uint64_t sector)
{
    uint64_t block = sector / block_sectors(worker->life);

    if (block % 3 == 0)
        return block / 3 % worker->count == worker->index;
    return sector / 2 % worker->count == worker->index;
}

static Range choose_owned(Worker *worker)
{
    Range range = choose_anywhere(worker);
    uint64_t most = range.sectors;

    for (unsigned i = 0; i < 1000 && !owns(worker, range.sector); i++)
        range.sector = (range.sector + 1) % worker->life->sectors;
    most = MIN(most, worker->life->sectors - range.sector);
    for (range.sectors = 0; range.sectors < most && owns(worker, range.sector + range.sectors);)
        range.sectors++;
    return range;
}

static Range choose_range(Worker *worker)
{
    return worker->count > 1 ? choose_owned(worker) : choose_anywhere(worker);
}

/* A few sectors of the block that range begins in. */
static Range beside(Worker *worker, Range range)
{
    uint64_t block = block_sectors(worker->life);

    range.sector = range.sector / block * block + rng_below(&worker->rng, block);
    range.sector = MIN(range.sector, worker->life->sectors - 1);
    range.sectors = rng_range(&worker->rng, 1, 3);
    return cut_at_end(worker->life, range);
}

/* ---- what */

static VhdOp choose_op(Rng *rng)
{
    static const struct {
        VhdOp op;
        unsigned weight;
    } ops[] = {
        {VHD_OP_WRITE, 50},       {VHD_OP_FLUSH, 14},   {VHD_OP_UNMAP, 14},
        {VHD_OP_WRITE_ZEROES, 8}, {VHD_OP_OR_WRITE, 5}, {VHD_OP_COMPARE_AND_WRITE, 5},
    };
    unsigned at = (unsigned)rng_below(rng, 96), i = 0;

    while (at >= ops[i].weight)
        at -= ops[i++].weight;
    return ops[i].op;
}

static bool is_sure(const Ledger *ledger, Range range)
{
    for (uint64_t i = 0; i < range.sectors; i++)
        if (!ledger_is_sure(ledger, range.sector + i))
            return false;
    return true;
}

/* The bytes of the request: new ones in front of which a compare-and-write has the old. */
static uint8_t *make_bytes(Worker *worker, VhdOp op, Range range, uint32_t id)
{
    uint64_t len = range.sectors * SECTOR_BYTES;
    uint8_t *bytes = g_malloc0(2 * len);

    for (uint64_t i = 0; i < range.sectors; i++) {
        uint64_t sector = range.sector + i;
        uint8_t *at = bytes + i * SECTOR_BYTES;

        if (op == VHD_OP_COMPARE_AND_WRITE)
            memcpy(at, ledger_latest(worker->life->ledger, sector), SECTOR_BYTES);
        ledger_pattern(op == VHD_OP_COMPARE_AND_WRITE ? at + len : at, sector, id);
    }
    return bytes;
}

static void note_sector(Worker *worker, const LedgerOp *noted, const VhdRequest *request,
                        uint64_t sector, const uint8_t *bytes)
{
    Ledger *ledger = worker->life->ledger;
    uint8_t both[SECTOR_BYTES];

    switch (request->op) {
    case VHD_OP_UNMAP:
        ledger_unmap(ledger, noted, sector);
        return;
    case VHD_OP_WRITE_ZEROES:
        ledger_write(ledger, noted, sector, NULL);
        return;
    case VHD_OP_OR_WRITE:
        memcpy(both, ledger_latest(ledger, sector), SECTOR_BYTES);
        for (unsigned i = 0; i < SECTOR_BYTES; i++)
            both[i] |= bytes[i];
        ledger_write(ledger, noted, sector, both);
        return;
    case VHD_OP_COMPARE_AND_WRITE:
        ledger_write(ledger, noted, sector, bytes + request->len);
        return;
    default:
        ledger_write(ledger, noted, sector, bytes);
    }
}

/* May this request fail? Any may once something failed on purpose. */
static void judge_result(Life *life, const VhdRequest *request, int result)
{
    bool may_fail = life->plan.faults || life->plan.end == LIFE_BARRIER_FAILED ||
                    g_atomic_int_get(&life->stopped);

    if (result != 0 && !may_fail)
        life_mishap(life,
                    "request %d of %" G_GUINT64_FORMAT " bytes at %" G_GUINT64_FORMAT " fails: %s",
                    request->op, request->len, request->off, g_strerror(-result));
}

static void run_change(Worker *worker, VhdOp op, Range range)
{
    Life *life = worker->life;
    g_autofree uint8_t *bytes = NULL;
    VhdRequest request;
    struct iovec iov;
    LedgerOp *noted;
    int result;

    if ((op == VHD_OP_OR_WRITE || op == VHD_OP_COMPARE_AND_WRITE) && !is_sure(life->ledger, range))
        op = VHD_OP_WRITE;
    bytes = make_bytes(worker, op, range, ++worker->last_id);
    iov = (struct iovec){bytes, range.sectors * SECTOR_BYTES};
    iov.iov_len *= op == VHD_OP_COMPARE_AND_WRITE ? 2 : 1;
    request =
        (VhdRequest){.op = op,
                     .off = range.sector * SECTOR_BYTES,
                     .len = range.sectors * SECTOR_BYTES,
                     .fua = op != VHD_OP_UNMAP && !worker->held && rng_one_in(&worker->rng, 10),
                     .iov = &iov,
                     .iovcnt = 1};
    noted = ledger_op(life->ledger, trace_tick(life->opened.trace),
                      request.fua || life->plan.writethrough);
    for (uint64_t i = 0; i < range.sectors; i++)
        note_sector(worker, noted, &request, range.sector + i, bytes + i * SECTOR_BYTES);
    result = perform(life->disk, &request);
    judge_result(life, &request, result);
    if (result == 0)
        noted->done = trace_tick(life->opened.trace);
    for (uint64_t i = 0; result != 0 && i < range.sectors; i++)
        ledger_failed(life->ledger, range.sector + i);
}

/* A flush in flight. */
typedef struct Flushing {
    VhdRequest request;
    Waiter waiter;
    uint64_t issued;
} Flushing;

static void start_flush(const Life *life, Flushing *flushing)
{
    flushing->request = (VhdRequest){.op = VHD_OP_FLUSH};
    flushing->issued = trace_tick(life->opened.trace);
    start(life->disk, &flushing->request, &flushing->waiter);
}

static void end_flush(const Life *life, Flushing *flushing)
{
    if (wait_for(&flushing->waiter) == 0)
        ledger_flushed(life->ledger, flushing->issued, trace_tick(life->opened.trace));
}

static void run_flush(Worker *worker)
{
    Flushing flushing;

    start_flush(worker->life, &flushing);
    end_flush(worker->life, &flushing);
}

/* Others write, and flush, while one flush is in its first barrier. */
static void run_held_flush(Worker *worker)
{
    Life *life = worker->life;
    unsigned rule;
    unsigned count = (unsigned)rng_range(&worker->rng, 1, 4);
    bool twice = rng_one_in(&worker->rng, 2);
    Range range = beside(worker, choose_range(worker));
    Flushing first, second;

    run_change(worker, VHD_OP_WRITE, range);
    rule = faults_hold(life->opened.inner, FILE_OP_BARRIER, FILE_KIND_ANY, 1);
    start_flush(life, &first);
    while (!is_done(&first.waiter) && !faults_wait_held(life->opened.inner, rule, 20))
        ;
    worker->held = true;
    for (unsigned i = 0; i < count; i++)
        run_change(worker, rng_one_in(&worker->rng, 4) ? VHD_OP_UNMAP : VHD_OP_WRITE,
                   i == 0 ? beside(worker, range) : choose_range(worker));
    worker->held = false;
    if (twice)
        start_flush(life, &second);
    faults_release(life->opened.inner, rule);
    end_flush(life, &first);
    if (twice)
        end_flush(life, &second);
}

void request_discard_all(Worker *worker)
{
    run_change(worker, VHD_OP_UNMAP, (Range){0, worker->life->sectors});
}

void request_run(Worker *worker)
{
    VhdOp op = choose_op(&worker->rng);

    if (worker->life->plan.hold_flushes && (op == VHD_OP_FLUSH || rng_one_in(&worker->rng, 5)))
        run_held_flush(worker);
    else if (op != VHD_OP_FLUSH)
        run_change(worker, op, choose_range(worker));
    else
        run_flush(worker);
}
