/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
#include "tests/crash/verbs.h"

#include <string.h>

#include "tests/crash/pick.h"
#include "vhd/image-create.h"

#define NEW_SECTORS 200u
#define SAMPLES     5u

typedef enum Verb { VERB_CREATE, VERB_SNAPSHOT, VERB_CONVERT, VERBS } Verb;

/* A file on its way to its name. */
typedef struct Making {
    Rig *rig; /* its parents are those of the new image */
    Verb verb;
    VhdType type;
    bool preallocate;
    uint32_t block_bytes;
    uint64_t sectors;
    uint8_t *content; /* what it shall show */
    MemImage *base, *image;
    Trace *trace;
} Making;

/* ---- what the engine is asked for */

static bool write_run(VhdFile *file, VhdChain *chain, uint64_t sector, uint64_t sectors,
                      uint8_t *bytes)
{
    struct iovec iov = {bytes, sectors * SECTOR_BYTES};
    VhdRequest request = {.op = VHD_OP_WRITE,
                          .off = sector * SECTOR_BYTES,
                          .len = iov.iov_len,
                          .iov = &iov,
                          .iovcnt = 1};

    return chain ? vhd_disk_io(&(VhdDiskLayers){chain, NULL}, &request) == 0
                 : vhd_file_write(file, VHD_IO_DATA, request.off, bytes, request.len) == 0;
}

/* All that is not zeros, some sectors at a time. */
static bool copy_content(const Making *making, VhdFile *file, VhdChain *chain)
{
    static const uint8_t zeros[SECTOR_BYTES];
    bool done = true;

    for (uint64_t i = 0, run; i < making->sectors && done; i += MAX(run, 1)) {
        for (run = 0; run < 24 && i + run < making->sectors &&
                      memcmp(making->content + (i + run) * SECTOR_BYTES, zeros, SECTOR_BYTES) != 0;)
            run++;
        if (run > 0)
            done = write_run(file, chain, i, run, making->content + i * SECTOR_BYTES);
    }
    return done;
}

static bool convert_to_dynamic(const Making *making, VhdFile *file, GError **error)
{
    VhdImageOptions options = {.writable = true, .force_write = true};
    VhdImage *image = vhd_image_open(file, &options, error);
    VhdChain *chain = image ? vhd_chain_new(&image, 1) : NULL;
    bool done = chain && copy_content(making, file, chain) && vhd_image_finish(image) == 0 &&
                vhd_file_publish(file, false, error);

    if (chain)
        vhd_chain_free(chain);
    return done;
}

/* Closes file. */
static bool make_file(const Making *making, VhdFile *file, const VhdCreate *create, GError **error)
{
    bool done;

    if (!vhd_image_create(file, create, error)) {
        vhd_file_close(file);
        return false;
    }
    if (making->verb == VERB_CONVERT && making->type == VHD_TYPE_DYNAMIC)
        return convert_to_dynamic(making, file, error);
    done = (making->verb != VERB_CONVERT || copy_content(making, file, NULL)) &&
           vhd_file_publish(file, false, error);
    vhd_file_close(file);
    return done;
}

static void make(Making *making)
{
    g_autoptr(GError) error = NULL;
    VhdCreate create = {.type = making->type,
                        .disk_bytes = making->sectors * SECTOR_BYTES,
                        .block_bytes = making->block_bytes,
                        .preallocate = making->preallocate,
                        .uuid = (const uint8_t *)"0123456789abcdef",
                        .time_unix = 1700000000,
                        .parent_name = "layer-0.vhd",
                        .parent_relative = "layer-0.vhd",
                        .parent_absolute = "/srv/layer-0.vhd"};
    VhdFile *file = trace_file_new(mem_file_open(making->image, "made", true), making->trace);

    if (!make_file(making, file, &create, &error))
        g_error("verb %d: %s", making->verb, error ? error->message : "failed");
}

/* ---- crashes */

static bool has_name(const Making *making, uint64_t at)
{
    for (size_t i = 0; i < trace_length(making->trace); i++) {
        const TraceEntry *entry = trace_entry(making->trace, i);

        if (entry->op == FILE_OP_RENAME && entry->begin <= at)
            return true;
    }
    return false;
}

static void cut_making(Tally *tally, Making *making, Ledger *ledger, uint64_t at)
{
    g_autoptr(TraceCut) cut = trace_cut_new(making->trace, 0, making->base, at);
    unsigned doubts = trace_cut_doubts(cut), count = MIN(1u << MIN(doubts, 16), SAMPLES);

    for (unsigned i = 0; i < count; i++) {
        Pick pick = {.way = doubts < 3 ? PICK_MASK : (PickWay)(PICK_SECTORS + i % 3),
                     .bits = doubts < 3 ? i : rng_next(&making->rig->rng)};
        Case judged = {.rig = making->rig,
                       .cut = ledger_cut(ledger, at, LEDGER_FLUSHED),
                       .trace_cut = cut,
                       .blamed = 1,
                       .seed = rng_next(&making->rig->rng)};
        Violation violation;

        if (tally->done || !tally_next(tally))
            continue;
        judged.image = trace_cut_image(cut, pick_choose, &pick);
        if (!judge(&judged, &violation))
            tally_violation(tally, making->rig, &violation,
                            "power fails after event %" G_GUINT64_FORMAT " of verb %d", at,
                            making->verb);
        mem_image_unref(judged.image);
    }
}

static void choose(Making *making, Rng *rng, const Rig *rig)
{
    making->verb = (Verb)rng_below(rng, VERBS);
    if (making->verb == VERB_SNAPSHOT && rig->chain->depth == RIG_DEPTH)
        making->verb = VERB_CONVERT;
    making->type = making->verb == VERB_SNAPSHOT ? VHD_TYPE_DIFFERENCING
                   : rng_one_in(rng, 2)          ? VHD_TYPE_DYNAMIC
                                                 : VHD_TYPE_FIXED;
    making->preallocate = making->verb == VERB_CREATE && rng_one_in(rng, 2);
    making->block_bytes = 4096u << rng_below(rng, 3);
    making->sectors = making->verb == VERB_CREATE ? NEW_SECTORS : rig->chain->sectors;
    if (making->verb == VERB_CREATE)
        making->content = g_malloc0(making->sectors * SECTOR_BYTES);
    else
        making->content = g_memdup2(rig->chain->content, making->sectors * SECTOR_BYTES);
}

static VhdImage *open_layer(MemImage *bytes)
{
    VhdImageOptions options = {.writable = false};

    return vhd_image_open(mem_file_open(bytes, "layer 0", false), &options, NULL);
}

void verbs_of_rig(Tally *tally, Rig *rig)
{
    Rig beside = *rig; /* with the new image in the place of layer 0, or above it */
    ModelChain chain = *rig->chain;
    Making making = {.rig = &beside, .image = mem_image_new(), .trace = trace_new()};
    Ledger *ledger;

    choose(&making, &rig->rng, rig);
    chain.depth = making.verb == VERB_SNAPSHOT ? rig->chain->depth + 1 : 1;
    beside.chain = &chain;
    if (making.verb == VERB_SNAPSHOT) {
        memmove(beside.parents + 1, beside.parents,
                (rig->chain->depth - 1) * sizeof beside.parents[0]);
        beside.parents[0] = open_layer(rig->layers[0]);
    }
    making.base = mem_image_clone(making.image);
    make(&making);
    ledger = ledger_new(making.content, NULL, making.sectors, false);
    for (uint64_t at = 1; at <= trace_now(making.trace); at++)
        if (has_name(&making, at))
            cut_making(tally, &making, ledger, at);
    if (making.verb == VERB_SNAPSHOT)
        vhd_image_unref(beside.parents[0]);
    rig->rng = beside.rng;
    ledger_free(ledger);
    trace_unref(making.trace);
    mem_image_unref(making.image);
    mem_image_unref(making.base);
    g_free(making.content);
}
