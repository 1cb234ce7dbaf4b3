/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
#include "tests/crash/cuts.h"

#include <string.h>

#include "tests/crash/pick.h"

#define SUBSETS_MOST 16u /* so many or fewer are all tried */
#define SAMPLES      9u
#define NEAR_ENTRIES 12u /* of which one is singled out */

/* One life being cut. */
typedef struct Cutting {
    Tally *tally;
    const Life *life;
    unsigned tolerated;
    Rng rng;
} Cutting;

bool tally_next(Tally *tally)
{
    tally->images++;
    tally->in_seed++;
    return tally->only == 0 || tally->in_seed == tally->only;
}

void tally_violation(Tally *tally, const Rig *rig, const Violation *violation, const char *where,
                     ...)
{
    bool wanted = tally->wanted == 0 || tally->wanted & 1u << violation->invariant;
    va_list args;

    if (tally->done || (tally->found.invariant != 0 && !wanted))
        return;
    tally->found = *violation;
    tally->found_seed = rig->seed;
    tally->found_image = tally->in_seed;
    tally->done = wanted;
    va_start(args, where);
    g_vsnprintf(tally->where, sizeof tally->where, where, args);
    va_end(args);
}

static bool is_over(const Cutting *cutting)
{
    return cutting->tally->done || cutting->tally->images >= cutting->tally->most;
}

/* Judge the image of a power cut that pick leaves. */
static void judge_pick(Cutting *cutting, TraceCut *cut, uint64_t at, Pick *pick)
{
    Case judged = {.rig = cutting->life->rig,
                   .trace_cut = cut,
                   .tolerated = cutting->tolerated,
                   .seed = rng_next(&cutting->rng)};
    g_autofree char *text = NULL;
    Violation violation;

    if (is_over(cutting) || !tally_next(cutting->tally))
        return;
    judged.cut = ledger_cut(cutting->life->ledger, at, LEDGER_FLUSHED);
    judged.image = trace_cut_image(cut, pick_choose, pick);
    if (!judge(&judged, &violation)) {
        text = pick_describe(pick);
        tally_violation(cutting->tally, judged.rig, &violation,
                        "power fails after event %" G_GUINT64_FORMAT ", keeping %s", at, text);
    }
    mem_image_unref(judged.image);
}

/* The begin of an operation shortly before the cut. */
static uint64_t near_operation(Cutting *cutting, uint64_t at)
{
    Trace *trace = cutting->life->opened.trace;
    size_t end = 0;

    while (end < trace_length(trace) && trace_entry(trace, end)->begin <= at)
        end++;
    if (end == 0)
        return 0;
    return trace_entry(trace, end - 1 - rng_below(&cutting->rng, MIN(end, NEAR_ENTRIES)))->begin;
}

static void cut_power(Cutting *cutting, uint64_t at)
{
    const Life *life = cutting->life;
    g_autoptr(TraceCut) cut = trace_cut_new(life->opened.trace, 0, life->base, at);
    unsigned doubts = trace_cut_doubts(cut);

    if (doubts < 32 && 1u << doubts <= SUBSETS_MOST) {
        for (uint64_t bits = 0; bits < 1u << doubts; bits++)
            judge_pick(cutting, cut, at, &(Pick){.way = PICK_MASK, .bits = bits});
        return;
    }
    for (unsigned i = 0; i < SAMPLES; i++) {
        Pick pick = {.way = (PickWay)rng_range(&cutting->rng, PICK_SECTORS, PICK_UP_TO),
                     .bits = rng_next(&cutting->rng),
                     .operation = near_operation(cutting, at)};

        judge_pick(cutting, cut, at, &pick);
    }
}

/* ---- the process dies */

/* After it the image is opened anew, and that is recorded in its turn. */
typedef struct Recovery {
    Cutting *cutting;
    TraceCut *cut; /* of the life */
    uint64_t at;
    Pick death;     /* what the death left in the file */
    MemImage *left; /* that file */
    Trace *trace;   /* of the recovery */
    LogTap *tap;
    uint64_t opened_at;
} Recovery;

/* What a power cut leaves of what a death left. */
typedef struct Twice {
    Pick death, power;
} Twice;

static bool choose_twice(const TraceEntry *entry, uint64_t sector, void *data)
{
    Twice *twice = data;

    return pick_choose(entry, sector, &twice->death) && pick_choose(entry, sector, &twice->power);
}

static bool is_synced(const Trace *trace_, uint64_t at)
{
    Trace *trace = (Trace *)(uintptr_t)trace_;

    for (size_t i = 0; i < trace_length(trace); i++) {
        const TraceEntry *entry = trace_entry(trace, i);

        if (entry->op == FILE_OP_BARRIER && entry->end && entry->end <= at && entry->result == 0)
            return true;
    }
    return false;
}

/* Power fails, or the process dies again, after event at of the recovery. */
static void cut_recovery(Recovery *recovery, uint64_t at, bool power)
{
    Cutting *cutting = recovery->cutting;
    bool opened = at >= recovery->opened_at;
    Twice twice = {recovery->death, {.way = PICK_SECTORS, .bits = rng_next(&cutting->rng)}};
    Pick again = {.way = power ? (PickWay)rng_range(&cutting->rng, PICK_SECTORS, PICK_KINDS)
                               : PICK_RETURNED,
                  .bits = rng_next(&cutting->rng)};
    g_autoptr(MemImage) base = NULL;
    g_autoptr(TraceCut) cut = NULL;
    Violation violation;
    Case judged = {.rig = cutting->life->rig,
                   .tolerated = cutting->tolerated,
                   .seed = rng_next(&cutting->rng)};

    if (is_over(cutting) || !tally_next(cutting->tally))
        return;
    /* What the first process wrote is covered by the recovery's first barrier. */
    base = power && !is_synced(recovery->trace, at)
               ? trace_cut_image(recovery->cut, choose_twice, &twice)
               : mem_image_ref(recovery->left);
    cut = trace_cut_new(recovery->trace, 0, base, at);
    judged.trace_cut = cut;
    judged.image = trace_cut_image(cut, pick_choose, &again);
    judged.log = power ? NULL : log_tap_at(recovery->tap, at);
    /* Once it is open, what it shows is on the disk. */
    judged.blamed = power && opened ? 7 : 0;
    judged.cut = ledger_cut(cutting->life->ledger, recovery->at,
                            power && !opened ? LEDGER_FLUSHED : LEDGER_ACKED);
    if (!judge(&judged, &violation))
        tally_violation(cutting->tally, judged.rig, &violation,
                        "the process dies after event %" G_GUINT64_FORMAT
                        ", then %s after event %" G_GUINT64_FORMAT " of the recovery%s",
                        recovery->at, power ? "power fails" : "it dies", at,
                        opened ? ", which was done" : "");
    mem_image_unref(judged.image);
}

static bool open_recovery(Recovery *recovery)
{
    const Rig *rig = recovery->cutting->life->rig;
    g_autoptr(MemImage) bytes = mem_image_clone(recovery->left);
    g_autoptr(GError) error = NULL;
    VhdImageOptions options = {.writable = true, .pending = true, .pending_dir = rig->judge_dir};
    VhdFile *file = trace_file_new(mem_file_open(bytes, "recovered", true), recovery->trace);
    VhdImage *image;

    recovery->tap = log_tap_new(bytes, rig->uuid, rig->judge_dir);
    trace_set_witness(recovery->trace, log_tap_witness, recovery->tap);
    image = vhd_image_open(file, &options, &error);
    trace_set_witness(recovery->trace, NULL, NULL);
    recovery->opened_at = trace_tick(recovery->trace);
    vhd_image_unref(image);
    log_folder_clear(rig->judge_dir);
    return image != NULL;
}

static void cut_recoveries(Cutting *cutting, TraceCut *cut, uint64_t at, const Pick *death,
                           const LogState *log)
{
    Recovery recovery = {.cutting = cutting, .cut = cut, .at = at, .death = *death};

    recovery.left = trace_cut_image(cut, pick_choose, &recovery.death);
    recovery.trace = trace_new();
    log_state_write(log, cutting->life->rig->judge_dir);
    if (open_recovery(&recovery))
        for (uint64_t event = 1; event <= recovery.opened_at; event++) {
            cut_recovery(&recovery, event, true);
            if (event < recovery.opened_at)
                cut_recovery(&recovery, event, false);
        }
    log_tap_free(recovery.tap);
    trace_unref(recovery.trace);
    mem_image_unref(recovery.left);
}

static void cut_process(Cutting *cutting, uint64_t at)
{
    const Life *life = cutting->life;
    g_autoptr(TraceCut) cut = trace_cut_new(life->opened.trace, 0, life->base, at);
    const LogState *log = log_tap_at(life->tap, at);
    Pick death = {.way = PICK_RETURNED, .bits = rng_next(&cutting->rng)};
    Case judged = {.rig = life->rig,
                   .trace_cut = cut,
                   .log = log,
                   .tolerated = cutting->tolerated,
                   .seed = rng_next(&cutting->rng)};
    Violation violation;

    if (is_over(cutting))
        return;
    if (tally_next(cutting->tally)) {
        judged.cut = ledger_cut(life->ledger, at, LEDGER_ACKED);
        judged.image = trace_cut_image(cut, pick_choose, &death);
        if (!judge(&judged, &violation))
            tally_violation(cutting->tally, life->rig, &violation,
                            "the process dies after event %" G_GUINT64_FORMAT, at);
        mem_image_unref(judged.image);
    }
    if (rng_one_in(&cutting->rng, 12))
        cut_recoveries(cutting, cut, at, &death, log);
}

/* ---- parents */

/* A sector of the disk that a parent holds, and where; false: none is found. */
static bool find_inherited(const Life *life, Rng *rng, unsigned *layer, uint64_t *off)
{
    VhdImageOptions options = {.writable = false};
    VhdImage *image = vhd_image_open(mem_file_open(life->base, "base", false), &options, NULL);
    VhdChain *chain = image ? rig_chain(life->rig, image) : NULL;
    uint64_t sector = rng_below(rng, life->sectors);
    bool found = false;

    for (uint64_t i = 0; chain && i < life->sectors && !found; i++) {
        VhdExtent extent;

        if (vhd_chain_map(chain, (sector + i) % life->sectors, 1, &extent) == 0 &&
            extent.layer > 0) {
            *layer = (unsigned)extent.layer;
            *off = extent.off;
            found = true;
        }
    }
    if (chain)
        vhd_chain_free(chain);
    return found;
}

static bool was_synced(const Life *life, unsigned file)
{
    for (size_t i = 0; i < trace_length(life->opened.trace); i++) {
        const TraceEntry *entry = trace_entry(life->opened.trace, i);

        if (entry->op == FILE_OP_BARRIER && entry->file == file && entry->end &&
            entry->end < life->opened_at)
            return true;
    }
    return false;
}

/* Somebody wrote a parent and left it unsynced: once the disk is open, what it shows stays. */
static void cut_parents(Cutting *cutting)
{
    const Life *life = cutting->life;
    Rig *rig = life->rig;
    Case judged = {.rig = rig, .tolerated = cutting->tolerated, .blamed = 6};
    uint8_t other[SECTOR_BYTES];
    VhdImageOptions options = {.writable = false};
    VhdImage *kept;
    Violation violation;
    unsigned layer;
    uint64_t off;

    if (is_over(cutting) || !find_inherited(life, &cutting->rng, &layer, &off) ||
        !tally_next(cutting->tally))
        return;
    g_autoptr(MemImage) parent = mem_image_clone(rig->layers[layer]);
    memset(other, 0x5A, sizeof other);
    if (!was_synced(life, layer))
        mem_image_write(parent, off, other, sizeof other);
    kept = rig->parents[layer - 1];
    rig->parents[layer - 1] =
        vhd_image_open(mem_file_open(parent, "parent", false), &options, NULL);
    judged.cut = ledger_cut(life->ledger, life->opened_at, LEDGER_FLUSHED);
    judged.image =
        trace_rebuild(life->opened.trace, 0, life->base, life->opened_at, trace_choose_all, NULL);
    if (!judge(&judged, &violation))
        tally_violation(cutting->tally, rig, &violation,
                        "power fails when the disk has been opened over an unsynced parent");
    mem_image_unref(judged.image);
    vhd_image_unref(rig->parents[layer - 1]);
    rig->parents[layer - 1] = kept;
}

/* ---- all of them */

/* The ticks to be cut at, a byte each: 2 a barrier, 1 another operation. Caller frees. */
static uint8_t *find_events(const Life *life, uint64_t now)
{
    uint8_t *events = g_malloc0(now + 1);

    for (size_t i = 0; i < trace_length(life->opened.trace); i++) {
        const TraceEntry *entry = trace_entry(life->opened.trace, i);
        uint8_t weight = entry->op == FILE_OP_BARRIER ? 2 : 1;

        if (entry->file != 0 || entry->begin <= life->opened_at)
            continue;
        events[entry->begin] = weight;
        events[entry->end] = weight;
    }
    events[0] = 0;
    return events;
}

void cuts_of_life(Tally *tally, const Life *life, unsigned tolerated)
{
    Cutting cutting = {tally, life, tolerated, {rng_next(&life->rig->rng)}};
    uint64_t now = trace_now(life->opened.trace);
    g_autofree uint8_t *events = find_events(life, now);
    Violation violation;

    if (!laws_kept(life, &violation))
        tally_violation(tally, life->rig, &violation, "the record of one life");
    cut_parents(&cutting);
    for (uint64_t at = life->opened_at; at <= now && !is_over(&cutting); at++) {
        if (events[at] == 0 || (events[at] == 1 && !rng_one_in(&cutting.rng, 3)))
            continue;
        tally->cuts++;
        cut_power(&cutting, at);
        if (rng_one_in(&cutting.rng, 2))
            cut_process(&cutting, at);
    }
}
