/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * A VhdFile that records, in order, all that changes the one it wraps; and from the record the
 * images that a loss of power could have left.
 *
 * Time is counted in events: each operation recorded has a number for its call (begin) and one for
 * its return (end), from 1 up, no number twice, over all files of one Trace. So "a had returned
 * before b was called" is a.end < b.begin.
 *
 * A barrier covers what had returned with success, on the same file, before the barrier was called;
 * it does so from its own successful return on. What is covered is on the disk. What is not may
 * have reached it in part: each sector of 512 bytes of a write or punch, and each resize or claim,
 * by itself, in any combination, operations still under way too. Where several wrote one sector,
 * what reached the disk is in the order of the calls. (Writes of one sector that overlap in time
 * are not told apart; the engine makes none.) A barrier that fails gives up what it was to cover:
 * the kernel counts those pages as written, so no later barrier covers them.
 *
 * Ownership: a Trace is counted; each wrapping file holds a reference. Closing the wrapper closes
 * the inner file. Locking: files of one Trace may be used from any thread; the functions that read
 * the Trace want that no operation is under way, other than one held by a fault-file between the
 * two.
 */
#pragma once

#include "tests/support/file-op.h"
#include "tests/support/mem-file.h"

#define TRACE_SECTOR_BYTES 512

typedef struct Trace Trace;

typedef struct TraceEntry {
    uint64_t begin, end; /* events; end 0: has not returned */
    unsigned file;       /* number of the file, in the order of wrapping, from 0 */
    FileOp op;         /* WRITE, BARRIER, RESIZE, PUNCH, CLAIM or RENAME; others are not recorded */
    int kind;          /* VhdIoKind; FILE_KIND_ANY where there is none */
    uint64_t off, len; /* bytes; of a resize, len is the new length */
    uint8_t *data;     /* of a write: a copy of its len bytes; else NULL */
    int result;        /* 0 or -errno, once it has returned */
    bool given_up;     /* a barrier that was to cover it has failed */
} TraceEntry;

Trace *trace_new(void);
Trace *trace_ref(Trace *trace);
void trace_unref(Trace *trace);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Trace, trace_unref)

/* A file like inner, which it owns from now on. Put it inside of a fault-file, so that what fails
 * before it reached the file is not recorded. */
VhdFile *trace_file_new(VhdFile *inner, Trace *trace);

/* Entries in the order of begin; an entry is the trace's and stays. */
size_t trace_length(Trace *trace);
const TraceEntry *trace_entry(Trace *trace, size_t i);

/* The number of the last event, 0 before the first: a cut here or later has all of the record. */
uint64_t trace_now(Trace *trace);

/* Count an event that is no operation, so that a test can tell what came before what. Returns its
 * number. */
uint64_t trace_tick(Trace *trace);

/* Call witness at each event of an operation from now on, before any further event can happen. It
 * may not use trace. NULL: nobody. */
void trace_set_witness(Trace *trace, void (*witness)(uint64_t event, void *data), void *data);

/* Forget all entries; the count of events goes on. */
void trace_clear(Trace *trace);

/* Whether a barrier that returned at or before cut covers the entry. */
bool trace_covered(Trace *trace, const TraceEntry *entry, uint64_t cut);

/* Whether sector (file offset / 512) of an entry that no barrier covers reached the disk; for a
 * resize or a claim called once, sector 0. */
typedef bool (*TraceChooser)(const TraceEntry *entry, uint64_t sector, void *data);

/* All; none; none that failed or had not returned (what the death of the process alone leaves, at a
 * cut at trace_now). data is ignored. */
bool trace_choose_all(const TraceEntry *entry, uint64_t sector, void *data);
bool trace_choose_none(const TraceEntry *entry, uint64_t sector, void *data);
bool trace_choose_returned(const TraceEntry *entry, uint64_t sector, void *data);

/* Of one entry in four all sectors, of one in four none, else half. data is a TraceRandom. */
bool trace_choose_random(const TraceEntry *entry, uint64_t sector, void *data);

typedef struct TraceRandom {
    uint64_t state;       /* the seed at first; not 0 */
    uint64_t entry, fate; /* its own, 0 at first */
} TraceRandom;

/* One cut, prepared for making many images of it. Valid until the trace gets more entries. */
typedef struct TraceCut TraceCut;

/* The arguments are those of trace_rebuild. Caller frees. */
TraceCut *trace_cut_new(Trace *trace, unsigned file, MemImage *base, uint64_t cut);
void trace_cut_free(TraceCut *cut);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(TraceCut, trace_cut_free)

/* How often a chooser is asked for one image. */
unsigned trace_cut_doubts(TraceCut *cut);

/* An image of the cut. Caller unrefs. */
MemImage *trace_cut_image(TraceCut *cut, TraceChooser choose, void *data);

/* The image that a loss of power just after event cut leaves of a file that was base when the
 * record began. An operation with begin > cut has not happened, one with end > cut was under way.
 * Caller unrefs. */
MemImage *trace_rebuild(Trace *trace, unsigned file, MemImage *base, uint64_t cut,
                        TraceChooser choose, void *data);
