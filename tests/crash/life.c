/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
#include "tests/crash/life.h"

#include <errno.h>
#include <string.h>

#include "tests/crash/request.h"

#define THREADS 4

LifePlan life_plan(Rng *rng)
{
    LifePlan plan = {
        .threads = rng_one_in(rng, 4) ? THREADS : 1,
        .end = (LifeEnd)(rng_one_in(rng, 6) ? 2 : rng_below(rng, 2)),
        .writethrough = rng_one_in(rng, 10),
        .bounds = VHD_DISK_BOUNDS,
    };

    plan.requests = (unsigned)(plan.threads > 1 ? rng_range(rng, 6, 16) : rng_range(rng, 8, 40));
    plan.faults = plan.threads == 1 && rng_one_in(rng, 3);
    plan.fill_log = plan.threads == 1 && rng_one_in(rng, 20);
    plan.discard = plan.end == LIFE_CLOSED && rng_one_in(rng, 4);
    /* Nothing else may wait for a flush then. */
    plan.hold_flushes = plan.threads == 1 && plan.end != LIFE_BARRIER_FAILED && !plan.faults &&
                        !plan.fill_log && !plan.writethrough && !rng_one_in(rng, 3);
    if (plan.hold_flushes)
        return plan;
    if (rng_one_in(rng, 3))
        plan.bounds.entries = (unsigned)rng_range(rng, 1, 12);
    if (rng_one_in(rng, 6))
        plan.bounds.data_bytes = rng_range(rng, 1, 64) * SECTOR_BYTES;
    if (plan.threads > 1 && rng_one_in(rng, 3)) { /* in the background */
        plan.bounds.age_ms = 1;
        plan.bounds.tick_ms = 1;
    }
    return plan;
}

/* ---- opening */

static bool open_disk(Life *life, GError **error)
{
    Rig *rig = life->rig;
    VhdDiskOptions options = {
        .path = rig->chain->paths[0],
        .pending_dir = rig->pending_dir,
        .cache = life->plan.writethrough ? VHD_CACHE_WRITETHROUGH : VHD_CACHE_WRITEBACK,
        .wrap = rig_wrap,
        .wrap_data = &life->opened,
    };

    life->disk = vhd_disk_open_bounded(&options, &life->plan.bounds, error);
    return life->disk != NULL;
}

/* Which sectors the child itself holds; NULL where none lies below. Caller frees. */
static uint8_t *find_present(const Life *life)
{
    VhdImage *top = vhd_chain_layer(vhd_disk_chain(life->disk), 0);
    uint8_t *present = life->child ? g_malloc0(life->sectors) : NULL;

    for (uint64_t at = 0; present && at < life->sectors;) {
        VhdImageExtent extent;

        if (vhd_image_map(top, at, life->sectors - at, &extent) != 0)
            g_error("a bitmap cannot be read");
        memset(present + at, extent.presence == VHD_DATA, extent.sectors);
        at += extent.sectors;
    }
    return present;
}

static void look_at_disk(Life *life)
{
    const VhdLayout *layout = vhd_image_layout(vhd_chain_layer(vhd_disk_chain(life->disk), 0));
    g_autofree uint8_t *present = NULL;

    life->sectors = layout->disk_sectors;
    life->block_sectors = layout->block_sectors;
    life->child = layout->type == VHD_TYPE_DIFFERENCING;
    life->content = g_malloc(life->sectors * SECTOR_BYTES);
    if (rig_read(vhd_disk_chain(life->disk), life->content) != 0)
        g_error("the disk cannot be read");
    present = find_present(life);
    life->ledger = ledger_new(life->content, present, life->sectors, life->child);
}

Life *life_open(Rig *rig, const LifePlan *plan, VhdFile *top, GError **error)
{
    Life *life = g_new0(Life, 1);

    life->rig = rig;
    life->plan = *plan;
    life->base = mem_image_clone(rig->layers[0]);
    life->opened = (RigDisk){
        .rig = rig,
        .trace = trace_new(),
        .outer = faults_new(),
        .inner = faults_new(),
        .top = top,
    };
    life->tap = log_tap_new(rig->layers[0], rig->uuid, rig->pending_dir);
    trace_set_witness(life->opened.trace, log_tap_witness, life->tap);
    if (!open_disk(life, error)) {
        life_free(life);
        return NULL;
    }
    look_at_disk(life);
    life->opened_at = trace_tick(life->opened.trace);
    return life;
}

void life_free(Life *life)
{
    if (!life)
        return;
    vhd_disk_close(life->disk);
    mem_image_unref(life->base);
    ledger_free(life->ledger);
    log_tap_free(life->tap);
    trace_unref(life->opened.trace);
    faults_unref(life->opened.outer);
    faults_unref(life->opened.inner);
    g_free(life->content);
    g_free(life->mishap);
    g_free(life);
}

/* ---- running */

void life_mishap(Life *life, const char *format, ...)
{
    char *text;
    va_list args;

    va_start(args, format);
    text = g_strdup_vprintf(format, args);
    va_end(args);
    if (!g_atomic_pointer_compare_and_exchange(&life->mishap, NULL, text))
        g_free(text);
}

/* Nothing changes the file any more, as if the process were gone. Barriers go through: a dead
 * process hears of none that failed, and none follows a write that did. */
static void stop(Life *life)
{
    static const FileOp ops[] = {FILE_OP_WRITE, FILE_OP_PUNCH, FILE_OP_CLAIM, FILE_OP_RESIZE};

    faults_clear(life->opened.outer);
    for (unsigned i = 0; i < G_N_ELEMENTS(ops); i++) {
        FaultRule rule = {.op = ops[i], .kind = FILE_KIND_ANY, .forever = true, .error = EIO};

        faults_add(life->opened.outer, &rule);
    }
    g_atomic_int_set(&life->stopped, 1);
}

/* Which operation fails next, once. */
static void plant_fault(Life *life, Rng *rng)
{
    static const struct {
        FileOp op;
        int kind, error;
    } faults[] = {
        {FILE_OP_WRITE, VHD_IO_DATA, EIO},      {FILE_OP_WRITE, VHD_IO_DATA, ENOSPC},
        {FILE_OP_WRITE, VHD_IO_DATA, EIO},      {FILE_OP_WRITE, VHD_IO_DATA, ENOSPC},
        {FILE_OP_WRITE, VHD_IO_BITMAP, EIO},    {FILE_OP_WRITE, VHD_IO_BAT, ENOSPC},
        {FILE_OP_WRITE, VHD_IO_FOOTER, EIO},    {FILE_OP_WRITE, VHD_IO_BATMAP, EIO},
        {FILE_OP_CLAIM, FILE_KIND_ANY, ENOSPC}, {FILE_OP_PUNCH, VHD_IO_DATA, EIO},
    };
    unsigned which = (unsigned)rng_below(rng, G_N_ELEMENTS(faults));
    FaultRule rule = {
        .op = faults[which].op,
        .kind = faults[which].kind,
        .error = faults[which].error,
        .nth = rng_one_in(rng, 4) ? 2 : 1,
        .bytes = faults[which].op == FILE_OP_WRITE ? rng_below(rng, 6) * SECTOR_BYTES : 0,
    };

    faults_add(life->opened.outer, &rule);
}

/* A record of what is so already, as often as fits. */
static void fill_log(Life *life, Rng *rng)
{
    VhdImage *top = vhd_chain_layer(vhd_disk_chain(life->disk), 0);
    VhdImageExtent extent;

    for (uint64_t sector = 0; life->block_sectors && sector < life->sectors; sector++) {
        VhdPendingRecord record = {VHD_PENDING_BITS, (uint32_t)(sector / life->block_sectors),
                                   (uint32_t)(sector % life->block_sectors), 1};

        if (vhd_image_map(top, sector, 1, &extent) == 0 && extent.presence == VHD_DATA) {
            log_tap_fill(life->tap, &record, (unsigned)rng_range(rng, 3, 12));
            return;
        }
    }
}

static void *run_thread(void *data)
{
    Worker *worker = data;
    Life *life = worker->life;
    const LifePlan *plan = &life->plan;

    for (unsigned i = 0; i < plan->requests; i++) {
        bool fault = plan->faults && rng_one_in(&worker->rng, 4);

        if (plan->fill_log && i == plan->requests / 2)
            fill_log(life, &worker->rng);
        if (plan->end == LIFE_BARRIER_FAILED && worker->index == 0 && i == plan->requests / 2)
            faults_fail(life->opened.inner, FILE_OP_BARRIER, FILE_KIND_ANY,
                        (unsigned)rng_range(&worker->rng, 1, 2), EIO);
        if (plan->end == LIFE_KILLED && plan->threads > 1 && worker->index == 0 &&
            i == plan->requests - 2)
            stop(life);
        if (fault)
            plant_fault(life, &worker->rng);
        request_run(worker);
        if (fault)
            faults_clear(life->opened.outer);
    }
    return NULL;
}

static void run_threads(Life *life)
{
    Worker workers[THREADS];
    pthread_t threads[THREADS];
    unsigned count = life->plan.threads;

    life->rig->last_id += 1u << 24; /* no two requests of a rig are alike */
    for (unsigned i = 0; i < count; i++)
        workers[i] = (Worker){.life = life,
                              .rng = {rng_next(&life->rig->rng)},
                              .index = i,
                              .count = count,
                              .last_id = life->rig->last_id + (i << 20)};
    for (unsigned i = 1; i < count; i++)
        if (pthread_create(&threads[i], NULL, run_thread, &workers[i]) != 0)
            g_error("no thread can be started");
    run_thread(&workers[0]);
    for (unsigned i = 1; i < count; i++)
        pthread_join(threads[i], NULL);
    if (life->plan.discard)
        request_discard_all(&workers[0]);
}

static void end(Life *life)
{
    uint64_t issued;
    int err;

    if (life->plan.end == LIFE_KILLED)
        stop(life);
    issued = trace_tick(life->opened.trace);
    err = vhd_disk_close(life->disk);
    life->disk = NULL;
    life->ended_at = trace_tick(life->opened.trace);
    log_tap_witness(life->ended_at, life->tap);
    if (err == 0)
        ledger_flushed(life->ledger, issued, life->ended_at);
    else if (life->plan.end == LIFE_CLOSED)
        life_mishap(life, "close fails: %s", g_strerror(-err));
}

void life_run(Life *life)
{
    run_threads(life);
    end(life);
}
