/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* The three ways in which requests are made. */
#include <stdlib.h>

#include "tests/model/round.h"

#define THREADS      8
#define BATCH_MOST   256 /* requests of MODE_OVERLAP between two looks at the whole disk */
#define IN_FLIGHT    4   /* of one thread, MODE_OVERLAP */
#define OVERLAP_MOST 512 /* sectors of a request there */

static void require_done(const Round *round, Op *op)
{
    int err = op_wait(op);

    if (err)
        round_fail(round, op, "failed: %s", g_strerror(-err));
    if (!op_guards_ok(op))
        round_fail(round, op, "bytes outside its pieces were written");
}

static void compare_read(const Round *round, const Op *op)
{
    g_autofree uint8_t *found = g_malloc(op->request.len);

    op_gather(op, found);
    round_compare(round, op, op->sector, op->sectors, found,
                  round->chain->content + op->sector * SECTOR_BYTES);
}

/* Do a request whose sectors nobody else uses, and apply it to what is expected. */
static void run_alone(const Round *round, Rng *rng, uint64_t sector, uint64_t sectors, uint32_t id)
{
    ModelChain *chain = round->chain;
    Op op;

    op_init(&op, rng, op_choose_kind(rng), sector, sectors, id, 1);
    op_submit(&op, round->disk);
    require_done(round, &op);
    if (op.request.op == VHD_OP_READ)
        compare_read(round, &op);
    else
        op_apply(&op, chain->child, chain->content, chain->present);
    op_free(&op);
}

/* One thread */

static void run_single(Round *round)
{
    unsigned count = (unsigned)rng_range(&round->rng, 20, 400);

    while (count-- > 0) {
        uint64_t sector, sectors;

        round_choose_range(round, &round->rng, &sector, &sectors);
        run_alone(round, &round->rng, sector, sectors, ++round->last_id);
        round->requests++;
    }
}

/* Eight threads with sectors of their own */

typedef struct Owner {
    pthread_t thread;
    const Round *round;
    Rng rng;
    unsigned number;
    uint64_t stripe; /* sectors; stripe k is thread k % 8's */
    unsigned count;
    uint32_t first_id;
} Owner;

static void *owner_main(void *data)
{
    Owner *owner = data;
    uint64_t size = owner->round->chain->sectors;
    uint64_t stripes = (size + owner->stripe - 1) / owner->stripe;

    for (unsigned i = 0; i < owner->count; i++) {
        uint64_t mine = (stripes + THREADS - 1 - owner->number) / THREADS, sector, end;

        if (mine == 0)
            return NULL;
        sector = (rng_below(&owner->rng, mine) * THREADS + owner->number) * owner->stripe;
        end = MIN(sector + owner->stripe, size);
        if (!rng_one_in(&owner->rng, 3))
            sector += rng_below(&owner->rng, end - sector);
        run_alone(owner->round, &owner->rng, sector,
                  rng_one_in(&owner->rng, 3) ? end - sector
                                             : rng_range(&owner->rng, 1, end - sector),
                  owner->first_id + i);
    }
    return NULL;
}

static void run_owned(Round *round)
{
    Owner owners[THREADS];
    uint64_t unit = MAX(round->chain->block_sectors, 1);
    uint64_t stripe = rng_one_in(&round->rng, 4) ? unit : rng_range(&round->rng, 1, 70);
    unsigned count = (unsigned)rng_range(&round->rng, 10, 100);

    for (unsigned i = 0; i < THREADS; i++) {
        owners[i] = (Owner){
            .round = round,
            .rng = {rng_next(&round->rng)},
            .number = i,
            .stripe = stripe,
            .count = count,
            .first_id = round->last_id + 1 + i * count,
        };
        if (pthread_create(&owners[i].thread, NULL, owner_main, &owners[i]) != 0)
            exit(2);
    }
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(owners[i].thread, NULL);
    round->last_id += THREADS * count;
    round->requests += THREADS * count;
}

/* Eight threads anywhere. Requests are numbered and submitted under one lock, so the order of their
 * arrival is known, and with it what must be there in the end. */

typedef struct Batch {
    const Round *round;
    uint8_t *before;      /* the disk when the batch began */
    pthread_mutex_t lock; /* protects the rest, and submitting; taken before any lock of the disk */
    Op *ops;
    unsigned count, most;
} Batch;

typedef struct Rival {
    pthread_t thread;
    Batch *batch;
    Rng rng;
} Rival;

/* True if a request of the batch could have left word at place word_index of sector. */
static bool is_candidate(Batch *batch, unsigned count, uint64_t sector, unsigned word_index,
                         uint64_t word)
{
    for (unsigned i = 0; i < count; i++) {
        const Op *op = &batch->ops[i];
        bool writes = op->request.op == VHD_OP_WRITE && !op->zeros;
        bool zeroes = op->request.op == VHD_OP_WRITE_ZEROES || op->request.op == VHD_OP_UNMAP ||
                      (op->request.op == VHD_OP_WRITE && op->zeros);

        if (sector < op->sector || sector >= op->sector + op->sectors)
            continue;
        if ((zeroes && word == 0) ||
            (writes &&
             word == ((uint64_t)op->id << 32 | (uint32_t)(sector * SECTOR_WORDS + word_index))))
            return true;
    }
    return false;
}

/* A read beside writes: each word is what was there before the batch, or what a request that had
 * been submitted when the read was done puts there. Nothing else: no other sector's data, nothing
 * older. */
static void check_rival_read(Batch *batch, const Op *op)
{
    g_autofree uint8_t *found = g_malloc(op->request.len);
    unsigned count;

    op_gather(op, found);
    pthread_mutex_lock(&batch->lock);
    count = batch->count;
    pthread_mutex_unlock(&batch->lock);
    for (uint64_t i = 0; i < op->sectors * SECTOR_WORDS; i++) {
        uint64_t sector = op->sector + i / SECTOR_WORDS, word, before;

        memcpy(&word, found + i * sizeof word, sizeof word);
        memcpy(&before, batch->before + sector * SECTOR_BYTES + i % SECTOR_WORDS * sizeof word,
               sizeof word);
        if (word != before && !is_candidate(batch, count, sector, i % SECTOR_WORDS, word))
            round_fail(batch->round, op,
                       "word %u of sector %" G_GUINT64_FORMAT " is %016" G_GINT64_MODIFIER
                       "x, which nobody wrote there",
                       (unsigned)(i % SECTOR_WORDS), sector, word);
    }
}

/* The next request of the batch, submitted; NULL: it is full. */
static Op *submit_next(Batch *batch, Rng *rng)
{
    uint64_t sector, sectors;
    Op *op = NULL;

    round_choose_range(batch->round, rng, &sector, &sectors);
    sectors = MIN(sectors, OVERLAP_MOST);
    pthread_mutex_lock(&batch->lock);
    if (batch->count < batch->most) {
        op = &batch->ops[batch->count];
        op_init(op, rng, op_choose_kind(rng), sector, sectors,
                batch->round->last_id + 1 + batch->count, sizeof(uint64_t));
        batch->count++;
        op_submit(op, batch->round->disk);
    }
    pthread_mutex_unlock(&batch->lock);
    return op;
}

static void *rival_main(void *data)
{
    Rival *rival = data;
    Op *ops[IN_FLIGHT] = {NULL};

    for (unsigned i = 0;; i++) {
        Op **op = &ops[i % IN_FLIGHT];

        if (*op) {
            require_done(rival->batch->round, *op);
            if ((*op)->request.op == VHD_OP_READ)
                check_rival_read(rival->batch, *op);
        }
        *op = submit_next(rival->batch, &rival->rng);
        if (!*op)
            break;
    }
    for (unsigned i = 0; i < IN_FLIGHT; i++)
        if (ops[i])
            require_done(rival->batch->round, ops[i]);
    return NULL;
}

/* What the requests did, in the order in which they came. */
static void apply_batch(Batch *batch)
{
    ModelChain *chain = batch->round->chain;

    for (unsigned i = 0; i < batch->count; i++) {
        unsigned index = batch->round->plant == PLANT_ORDER ? batch->count - 1 - i : i;

        op_apply(&batch->ops[index], chain->child, chain->content, chain->present);
    }
    for (unsigned i = 0; i < batch->count; i++)
        op_free(&batch->ops[i]);
}

static void run_batch(Round *round)
{
    uint64_t bytes = round->chain->sectors * SECTOR_BYTES;
    Rival rivals[THREADS];
    Batch batch = {.round = round, .lock = PTHREAD_MUTEX_INITIALIZER};

    batch.most = (unsigned)rng_range(&round->rng, 8, BATCH_MOST);
    batch.ops = g_new0(Op, batch.most);
    batch.before = g_malloc(bytes);
    memcpy(batch.before, round->chain->content, bytes);
    for (unsigned i = 0; i < THREADS; i++) {
        rivals[i] = (Rival){.batch = &batch, .rng = {rng_next(&round->rng)}};
        if (pthread_create(&rivals[i].thread, NULL, rival_main, &rivals[i]) != 0)
            exit(2);
    }
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(rivals[i].thread, NULL);
    apply_batch(&batch);
    round->last_id += batch.count;
    round->requests += batch.count;
    g_free(batch.ops);
    g_free(batch.before);
    round_compare_disk(round);
}

static void run_overlap(Round *round)
{
    unsigned batches = (unsigned)rng_range(&round->rng, 1, 4);

    while (batches-- > 0)
        run_batch(round);
}

void mode_run(Round *round)
{
    switch (round->mode) {
    case MODE_SINGLE:
        run_single(round);
        return;
    case MODE_OWNED:
        run_owned(round);
        return;
    default:
        run_overlap(round);
    }
}
