/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * Submitters.  Each has a number of slots, each slot one request in flight and
 * sectors of its own.  Sectors are dealt out in stripes whose width changes from
 * one megabyte to the next, 1 sector up to 128: neighbours in a bitmap byte, a
 * page or a block belong to different threads.
 */
#include "verify.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <glib.h>

enum { REGION = 2048 }; /* sectors over which the stripe width is the same */
enum { MOST = 128 };    /* sectors a request, = the widest stripe */
enum { PAGE = 4096, PIECES = 4 };
enum { GUARD = 0xe7 };
enum { MISTAKES_SHOWN = 10 };

enum Kind { KIND_READ, KIND_WRITE, KIND_FLUSH, KIND_UNMAP, KIND_ZERO, KIND_SAME };

typedef struct Submitter Submitter;

typedef struct Slot {
    Submitter *submitter;
    unsigned owner; /* which sectors are its own */
    struct Slot *next_ready;
    bool in_flight; /* submitter->lock */
    enum Kind kind;
    uint64_t sector;
    uint32_t count;
    uint32_t version;
    uint8_t cdb[RUNNER_CDB_ROOM];
    struct iovec pieces[PIECES];
    size_t piece_count;
    uint8_t *memory; /* pieces lie in it, each on pages of its own between guard pages */
    uint8_t *flat;   /* MOST sectors, in one */
    RunnerReply reply;
} Slot;

struct Submitter {
    Load *load;
    pthread_t thread;
    uint64_t random;
    Slot *slots;
    pthread_mutex_t lock; /* ready, in_flight */
    pthread_cond_t cond;
    Slot *ready;
    unsigned in_flight;
};

struct Load {
    RunnerDevice *device;
    Model *model;
    LoadConfig config;
    Submitter *submitters;
    _Atomic uint64_t started;
    pthread_mutex_t lock; /* answered; failed is set under it */
    pthread_cond_t cond;
    uint64_t answered;
    unsigned mistakes; /* lock */
    atomic_bool failed;
};

enum { MEMORY = (MOST * SECTOR / PAGE + 2 * PIECES + 1) * PAGE };

static uint64_t next_random(Submitter *submitter)
{
    uint64_t z = submitter->random += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static uint32_t below(Submitter *submitter, uint64_t limit)
{
    return (uint32_t)(next_random(submitter) % limit);
}

static uint32_t stripe_width(uint64_t region)
{
    static const uint32_t widths[] = {8, 1, 128, 3, 24, 64};
    return widths[region % G_N_ELEMENTS(widths)];
}

/* Chooses a range of the slot's own sectors. */
static void choose_range(Slot *slot)
{
    Submitter *submitter = slot->submitter;
    const LoadConfig *config = &submitter->load->config;
    uint64_t sectors = submitter->load->model->sectors;
    uint32_t owners = config->submitters * config->depth;

    for (;;) {
        uint64_t region = next_random(submitter) % ((sectors + REGION - 1) / REGION);
        uint32_t width = stripe_width(region);
        uint32_t stripes = REGION / width, turns = stripes / owners;
        uint32_t stripe, skip;
        if (turns == 0) /* fewer stripes than owners: not everybody has one */
            turns = 1;
        stripe = below(submitter, turns) * owners + (slot->owner + (uint32_t)region) % owners;
        skip = below(submitter, width);
        slot->sector = region * REGION + (uint64_t)stripe * width + skip;
        slot->count = 1 + below(submitter, width - skip);
        if (stripe < stripes && slot->sector + slot->count <= sectors)
            return;
    }
}

static enum Kind choose_kind(Submitter *submitter)
{
    uint32_t dice = below(submitter, 100);

    if (dice < 2)
        return KIND_FLUSH;
    if (submitter->load->config.unmap && dice < 14)
        return dice < 6 ? KIND_UNMAP : dice < 10 ? KIND_ZERO : KIND_SAME;
    return dice < 55 ? KIND_WRITE : KIND_READ;
}

/* Lays length bytes out as up to PIECES vectors, cut at pages, guards between. */
static void lay_out(Slot *slot, size_t length)
{
    uint8_t *at = slot->memory + PAGE;

    memset(slot->memory, GUARD, MEMORY);
    slot->piece_count = 0;
    while (length > 0) {
        bool last = slot->piece_count == PIECES - 1;
        size_t pages = (length + PAGE - 1) / PAGE;
        size_t some = PAGE * (1 + (size_t)below(slot->submitter, pages));
        size_t part = last ? length : MIN(length, some);
        slot->pieces[slot->piece_count++] = (struct iovec){.iov_base = at, .iov_len = part};
        at += ((part + PAGE - 1) / PAGE + 1) * PAGE;
        length -= part;
    }
}

/* Copies between the flat buffer and the pieces. */
static void copy_pieces(Slot *slot, bool to_flat)
{
    uint8_t *flat = slot->flat;

    for (size_t p = 0; p < slot->piece_count; p++) {
        struct iovec *piece = &slot->pieces[p];
        if (to_flat)
            memcpy(flat, piece->iov_base, piece->iov_len);
        else
            memcpy(piece->iov_base, flat, piece->iov_len);
        flat += piece->iov_len;
    }
}

/* Whether every byte outside the pieces is as it was. */
static bool guards_hold(const Slot *slot)
{
    const uint8_t *at = slot->memory, *end = slot->memory + MEMORY;

    for (size_t p = 0; p <= slot->piece_count; p++) {
        const uint8_t *stop = p < slot->piece_count ? slot->pieces[p].iov_base : end;
        for (; at < stop; at++) {
            if (*at != GUARD)
                return false;
        }
        if (p < slot->piece_count)
            at += slot->pieces[p].iov_len;
    }
    return true;
}

/* The CDB of a request, and its data in the pieces. */
static void build(Slot *slot)
{
    uint8_t *cdb = slot->cdb;
    bool shorter = slot->sector + slot->count < UINT32_MAX && below(slot->submitter, 4) == 0;
    uint32_t lba32 = (uint32_t)slot->sector;
    uint16_t count16 = (uint16_t)slot->count;

    switch (slot->kind) {
    case KIND_READ:
    case KIND_WRITE:
        for (uint32_t s = 0; slot->kind == KIND_WRITE && s < slot->count; s++)
            model_fill(slot->flat + s * SECTOR, slot->sector + s, slot->version);
        lay_out(slot, (size_t)slot->count * SECTOR);
        if (slot->kind == KIND_WRITE)
            copy_pieces(slot, false);
        if (slot->kind == KIND_READ && shorter)
            runner_cdb_read10(cdb, lba32, count16, 0);
        else if (slot->kind == KIND_READ)
            runner_cdb_read16(cdb, slot->sector, slot->count, 0);
        else if (shorter)
            runner_cdb_write10(cdb, lba32, count16, 0);
        else
            runner_cdb_write16(cdb, slot->sector, slot->count, 0);
        break;
    case KIND_FLUSH:
        lay_out(slot, 0);
        if (shorter)
            runner_cdb_sync10(cdb);
        else
            runner_cdb_sync16(cdb);
        break;
    case KIND_UNMAP:
        runner_cdb_unmap(cdb, slot->flat, slot->sector, slot->count);
        lay_out(slot, RUNNER_UNMAP_LIST);
        copy_pieces(slot, false);
        break;
    case KIND_ZERO:
    case KIND_SAME:
        model_fill(slot->flat, 0, slot->version);
        lay_out(slot, SECTOR);
        copy_pieces(slot, false);
        runner_cdb_write_same16(cdb, slot->sector, slot->count,
                                slot->kind == KIND_ZERO ? RUNNER_WS_UNMAP : 0);
        break;
    }
}

/* Prints what is wrong and stops the load, but for the bursts that removal waits for. */
static void mistake(Slot *slot, const char *text)
{
    Load *load = slot->submitter->load;
    static const char *const names[] = {"read",  "write",       "flush",
                                        "unmap", "write zeros", "write same"};
    pthread_mutex_lock(&load->lock);
    if (load->mistakes++ < MISTAKES_SHOWN)
        fprintf(stderr, "runner-verify: %s of %u sectors at %lu: %s\n", names[slot->kind],
                slot->count, slot->sector, text);
    load->failed = true;
    pthread_cond_broadcast(&load->cond);
    pthread_mutex_unlock(&load->lock);
}

/* What a request's outcome says about its sectors. */
static void settle(Slot *slot)
{
    Model *model = slot->submitter->load->model;
    char text[256];

    if (!guards_hold(slot))
        mistake(slot, "bytes outside its buffers were written");
    if (slot->reply.status == RUNNER_ABORTED || slot->kind == KIND_UNMAP) {
        /* An UNMAP is a hint: zeros or what was there. */
        if (slot->kind != KIND_READ && slot->kind != KIND_FLUSH)
            model_set_maybe(model, slot->sector, slot->count, slot->version);
    }
    if (slot->reply.status == RUNNER_ABORTED)
        return;
    if (slot->reply.status != RUNNER_GOOD) {
        snprintf(text, sizeof text, "status %02x sense %06x", slot->reply.status,
                 runner_reply_sense(&slot->reply));
        mistake(slot, text);
        if (slot->kind != KIND_READ && slot->kind != KIND_FLUSH)
            model_set_maybe(model, slot->sector, slot->count, slot->version);
    } else if (slot->kind == KIND_READ) {
        copy_pieces(slot, true);
        if (!model_check(model, slot->sector, slot->count, slot->flat, text))
            mistake(slot, text);
    } else if (slot->kind != KIND_FLUSH && slot->kind != KIND_UNMAP) {
        model_set(model, slot->sector, slot->count, slot->version);
    }
}

/* A reply, in whatever thread: the slot goes back to its submitter. */
static void slot_done(void *arg, const RunnerReply *reply)
{
    Slot *slot = arg;
    Submitter *submitter = slot->submitter;
    Load *load = submitter->load;

    pthread_mutex_lock(&load->lock);
    load->answered++;
    pthread_cond_broadcast(&load->cond);
    pthread_mutex_unlock(&load->lock);

    pthread_mutex_lock(&submitter->lock);
    if (!slot->in_flight)
        runner_fail(NULL, "runner-verify: a second reply to one request");
    slot->in_flight = false;
    slot->reply = *reply;
    slot->next_ready = submitter->ready;
    submitter->ready = slot;
    pthread_cond_signal(&submitter->cond);
    pthread_mutex_unlock(&submitter->lock);
}

/* Makes up the slot's next request. */
static void slot_prepare(Slot *slot)
{
    Submitter *submitter = slot->submitter;

    slot->kind = choose_kind(submitter);
    choose_range(slot);
    slot->version = 0;
    if (slot->kind == KIND_WRITE || slot->kind == KIND_SAME)
        slot->version = model_fresh_version(submitter->load->model);
    if (slot->kind == KIND_SAME)
        slot->version |= (uint32_t)MODEL_SAME;
    build(slot);
}

/* False: the device takes no more. */
static bool slot_send(Slot *slot)
{
    slot->in_flight = true;
    if (runner_submit(slot->submitter->load->device, slot->cdb, slot->pieces, slot->piece_count,
                      slot_done, slot) == 0)
        return true;
    slot->in_flight = false;
    return false;
}

/* Sends the slot's next request.  False: no more of them. */
static bool slot_start(Slot *slot)
{
    Load *load = slot->submitter->load;

    if (load->failed || load->started++ >= load->config.requests)
        return false;
    slot_prepare(slot);
    return slot_send(slot);
}

/* Sends a request of every slot, as fast as it can; all must be idle.  The number sent. */
static unsigned burst(Submitter *submitter)
{
    unsigned sent = 0;

    for (unsigned s = 0; s < submitter->load->config.depth; s++)
        slot_prepare(&submitter->slots[s]);
    for (unsigned s = 0; s < submitter->load->config.depth; s++)
        sent += slot_send(&submitter->slots[s]);
    return sent;
}

static Slot *wait_ready(Submitter *submitter)
{
    Slot *slot;

    pthread_mutex_lock(&submitter->lock);
    while (!submitter->ready)
        pthread_cond_wait(&submitter->cond, &submitter->lock);
    slot = submitter->ready;
    submitter->ready = slot->next_ready;
    pthread_mutex_unlock(&submitter->lock);
    return slot;
}

/* A submitter: slots one by one, then, where asked for, bursts until it is refused. */
static void *submit(void *argument)
{
    Submitter *submitter = argument;
    Load *load = submitter->load;
    unsigned running = 0;

    for (unsigned s = 0; s < load->config.depth; s++)
        running += slot_start(&submitter->slots[s]);
    while (running > 0) {
        Slot *slot = wait_ready(submitter);
        settle(slot);
        running--;
        running += slot_start(slot);
        if (running == 0 && load->config.until_shut)
            running = burst(submitter);
    }
    return NULL;
}

static void submitter_start(Load *load, unsigned index)
{
    Submitter *submitter = &load->submitters[index];

    submitter->load = load;
    submitter->random = load->config.seed * 1000003 + index;
    submitter->slots = g_new0(Slot, load->config.depth);
    pthread_mutex_init(&submitter->lock, NULL);
    pthread_cond_init(&submitter->cond, NULL);
    for (unsigned s = 0; s < load->config.depth; s++) {
        Slot *slot = &submitter->slots[s];
        slot->submitter = submitter;
        slot->owner = s * load->config.submitters + index; /* neighbours: other threads */
        slot->memory = aligned_alloc(PAGE, MEMORY);
        slot->flat = aligned_alloc(PAGE, MOST * SECTOR);
    }
    if (pthread_create(&submitter->thread, NULL, submit, submitter) != 0)
        runner_fail(NULL, "no threads");
}

Load *load_start(RunnerDevice *device, Model *model, const LoadConfig *config)
{
    Load *load = g_new0(Load, 1);

    load->device = device;
    load->model = model;
    load->config = *config;
    load->submitters = g_new0(Submitter, config->submitters);
    pthread_mutex_init(&load->lock, NULL);
    pthread_cond_init(&load->cond, NULL);
    for (unsigned s = 0; s < config->submitters; s++)
        submitter_start(load, s);
    return load;
}

void load_wait(Load *load, uint64_t requests)
{
    pthread_mutex_lock(&load->lock);
    while (load->answered < requests && !load->failed)
        pthread_cond_wait(&load->cond, &load->lock);
    pthread_mutex_unlock(&load->lock);
}

bool load_end(Load *load, uint64_t *answered)
{
    bool good;

    for (unsigned s = 0; s < load->config.submitters; s++) {
        Submitter *submitter = &load->submitters[s];
        pthread_join(submitter->thread, NULL);
        for (unsigned i = 0; i < load->config.depth; i++) {
            free(submitter->slots[i].memory);
            free(submitter->slots[i].flat);
        }
        g_free(submitter->slots);
        pthread_mutex_destroy(&submitter->lock);
        pthread_cond_destroy(&submitter->cond);
    }
    good = !load->failed;
    *answered = load->answered;
    pthread_mutex_destroy(&load->lock);
    pthread_cond_destroy(&load->cond);
    g_free(load->submitters);
    g_free(load);
    return good;
}
