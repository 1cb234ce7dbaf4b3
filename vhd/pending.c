/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * Region: one page of header, then a ring of records. Positions count records since format and
 * never wrap; record p lies in place p % capacity. Host byte order: a log never leaves its machine.
 */
#include "vhd/pending.h"

#include <string.h>

#define MAGIC        UINT64_C(0x31474f4c44485664) /* this version of the log */
#define HEADER_BYTES 512u

typedef struct PendingState {
    VhdPendingBase base;
    uint64_t head; /* first record that is not durable */
} PendingState;

typedef struct PendingHeader {
    uint64_t magic;
    uint64_t tail;   /* behind the last record; moved once that is whole */
    uint32_t active; /* which state counts */
    uint32_t reserved;
    PendingState state[2];
} PendingHeader;

G_STATIC_ASSERT(sizeof(PendingHeader) <= HEADER_BYTES);
G_STATIC_ASSERT(sizeof(VhdPendingRecord) == 16);

static PendingHeader *header_of(const VhdPending *pending)
{
    return (PendingHeader *)(void *)pending->region; /* a mapping or malloc: aligned */
}

static uint64_t capacity(const VhdPending *pending)
{
    return (pending->bytes - HEADER_BYTES) / sizeof(VhdPendingRecord);
}

static VhdPendingRecord *record_at(const VhdPending *pending, uint64_t position)
{
    VhdPendingRecord *records = (void *)(pending->region + HEADER_BYTES);
    return records + position % capacity(pending);
}

static const PendingState *active_state(const VhdPending *pending)
{
    const PendingHeader *header = header_of(pending);
    return &header->state[__atomic_load_n(&header->active, __ATOMIC_ACQUIRE)];
}

uint64_t vhd_pending_mix(uint32_t block, uint32_t entry)
{
    uint64_t x = (uint64_t)block << 32 | entry;
    x = (x ^ x >> 31) *
        UINT64_C(0x9E3779B97F4A7C15); /* odd constants spread the bits; any would do */
    x = (x ^ x >> 29) * UINT64_C(0xBF58476D1CE4E5B9);
    return x ^ x >> 32;
}

void vhd_pending_format(VhdPending *pending, const VhdPendingBase *base)
{
    PendingHeader *header = header_of(pending);
    __atomic_store_n(&header->magic, 0, __ATOMIC_RELEASE);
    header->tail = 0;
    header->active = 0;
    header->reserved = 0;
    header->state[0] = (PendingState){.base = *base, .head = 0};
    header->state[1] = header->state[0];
    __atomic_store_n(&header->magic, MAGIC, __ATOMIC_RELEASE);
}

bool vhd_pending_valid(const VhdPending *pending, VhdPendingBase *base)
{
    const PendingHeader *header = header_of(pending);
    if (pending->bytes < 4096 || header->magic != MAGIC || header->active > 1)
        return false;
    const PendingState *state = active_state(pending);
    if (state->head > header->tail || header->tail - state->head > capacity(pending))
        return false;
    if (base)
        *base = state->base;
    return true;
}

bool vhd_pending_blank(const VhdPending *pending)
{
    return header_of(pending)->magic == 0;
}

bool vhd_pending_empty(const VhdPending *pending)
{
    return active_state(pending)->head == vhd_pending_tail(pending);
}

unsigned vhd_pending_room(const VhdPending *pending)
{
    return (unsigned)(capacity(pending) -
                      (vhd_pending_tail(pending) - active_state(pending)->head));
}

void vhd_pending_append(VhdPending *pending, const VhdPendingRecord *record)
{
    PendingHeader *header = header_of(pending);
    *record_at(pending, header->tail) = *record;
    __atomic_store_n(&header->tail, header->tail + 1, __ATOMIC_RELEASE);
}

uint64_t vhd_pending_tail(const VhdPending *pending)
{
    return __atomic_load_n(&header_of(pending)->tail, __ATOMIC_ACQUIRE);
}

void vhd_pending_drop(VhdPending *pending, uint64_t tail, const VhdPendingBase *base)
{
    PendingHeader *header = header_of(pending);
    uint32_t other = 1 - header->active;
    header->state[other] = (PendingState){.base = *base, .head = tail};
    __atomic_store_n(&header->active, other, __ATOMIC_RELEASE);
}

bool vhd_pending_each(const VhdPending *pending,
                      bool (*each)(const VhdPendingRecord *record, void *data), void *data)
{
    uint64_t tail = vhd_pending_tail(pending);
    for (uint64_t position = active_state(pending)->head; position < tail; position++)
        if (!each(record_at(pending, position), data))
            return false;
    return true;
}
