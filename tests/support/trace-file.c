/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
#include "tests/support/trace-file.h"

#include <pthread.h>
#include <string.h>

struct Trace {
    pthread_mutex_t mutex; /* protects all members; not held while an inner file works */
    unsigned references;
    unsigned files;
    uint64_t now;
    GPtrArray *entries; /* of TraceEntry, by begin */
    void (*witness)(uint64_t event, void *data);
    void *witness_data;
};

typedef struct TraceFile {
    VhdFile base;
    VhdFile *inner;
    Trace *trace;
    unsigned number;
} TraceFile;

static void entry_free(gpointer data)
{
    TraceEntry *entry = data;

    g_free(entry->data);
    g_free(entry);
}

Trace *trace_new(void)
{
    Trace *trace = g_new0(Trace, 1);

    pthread_mutex_init(&trace->mutex, NULL);
    trace->references = 1;
    trace->entries = g_ptr_array_new_with_free_func(entry_free);
    return trace;
}

Trace *trace_ref(Trace *trace)
{
    pthread_mutex_lock(&trace->mutex);
    trace->references++;
    pthread_mutex_unlock(&trace->mutex);
    return trace;
}

void trace_unref(Trace *trace)
{
    bool last;

    if (!trace)
        return;
    pthread_mutex_lock(&trace->mutex);
    last = --trace->references == 0;
    pthread_mutex_unlock(&trace->mutex);
    if (!last)
        return;
    g_ptr_array_unref(trace->entries);
    pthread_mutex_destroy(&trace->mutex);
    g_free(trace);
}

size_t trace_length(Trace *trace)
{
    size_t length;

    pthread_mutex_lock(&trace->mutex);
    length = trace->entries->len;
    pthread_mutex_unlock(&trace->mutex);
    return length;
}

const TraceEntry *trace_entry(Trace *trace, size_t i)
{
    const TraceEntry *entry;

    pthread_mutex_lock(&trace->mutex);
    entry = g_ptr_array_index(trace->entries, i);
    pthread_mutex_unlock(&trace->mutex);
    return entry;
}

uint64_t trace_now(Trace *trace)
{
    uint64_t now;

    pthread_mutex_lock(&trace->mutex);
    now = trace->now;
    pthread_mutex_unlock(&trace->mutex);
    return now;
}

static uint64_t count_event_locked(Trace *trace)
{
    trace->now++;
    if (trace->witness)
        trace->witness(trace->now, trace->witness_data);
    return trace->now;
}

uint64_t trace_tick(Trace *trace)
{
    uint64_t now;

    pthread_mutex_lock(&trace->mutex);
    now = ++trace->now;
    pthread_mutex_unlock(&trace->mutex);
    return now;
}

void trace_set_witness(Trace *trace, void (*witness)(uint64_t event, void *data), void *data)
{
    pthread_mutex_lock(&trace->mutex);
    trace->witness = witness;
    trace->witness_data = data;
    pthread_mutex_unlock(&trace->mutex);
}

void trace_clear(Trace *trace)
{
    pthread_mutex_lock(&trace->mutex);
    g_ptr_array_set_size(trace->entries, 0);
    pthread_mutex_unlock(&trace->mutex);
}

/* What is covered */

/* Whether the entry is a barrier on file that covers something at cut. */
static bool is_barrier(const TraceEntry *entry, unsigned file, uint64_t cut)
{
    return entry->op == FILE_OP_BARRIER && entry->file == file && entry->end && entry->end <= cut &&
           entry->result == 0;
}

/* An entry is covered if it ended, with success, before this event: the begin of the last barrier.
 */
static uint64_t cover_begin_locked(const Trace *trace, unsigned file, uint64_t cut)
{
    uint64_t begin = 0;

    for (guint i = 0; i < trace->entries->len; i++) {
        const TraceEntry *entry = g_ptr_array_index(trace->entries, i);

        if (is_barrier(entry, file, cut))
            begin = entry->begin;
    }
    return begin;
}

static uint64_t cover_begin(Trace *trace, unsigned file, uint64_t cut)
{
    uint64_t begin;

    pthread_mutex_lock(&trace->mutex);
    begin = cover_begin_locked(trace, file, cut);
    pthread_mutex_unlock(&trace->mutex);
    return begin;
}

static bool is_covered(const TraceEntry *entry, uint64_t cover)
{
    return entry->end && entry->end < cover && entry->result == 0 && !entry->given_up;
}

/* Recording */

static TraceFile *trace_file(VhdFile *file)
{
    return (TraceFile *)file;
}

/* Record the call; entry->data goes to the trace. */
static TraceEntry *record_begin(TraceFile *file, const TraceEntry *what)
{
    TraceEntry *entry = g_memdup2(what, sizeof(*what));
    Trace *trace = file->trace;

    entry->file = file->number;
    pthread_mutex_lock(&trace->mutex);
    entry->begin = count_event_locked(trace);
    g_ptr_array_add(trace->entries, entry);
    pthread_mutex_unlock(&trace->mutex);
    return entry;
}

/* What returned before the barrier was called and is not on the disk yet. */
static void give_up_locked(Trace *trace, const TraceEntry *barrier)
{
    uint64_t cover = cover_begin_locked(trace, barrier->file, UINT64_MAX);

    for (guint i = 0; i < trace->entries->len; i++) {
        TraceEntry *entry = g_ptr_array_index(trace->entries, i);

        if (entry->file == barrier->file && entry->end && entry->end < barrier->begin &&
            !is_covered(entry, cover))
            entry->given_up = true;
    }
}

static int record_end(TraceFile *file, TraceEntry *entry, int result)
{
    pthread_mutex_lock(&file->trace->mutex);
    entry->result = result;
    if (entry->op == FILE_OP_BARRIER && result < 0)
        give_up_locked(file->trace, entry);
    entry->end = count_event_locked(file->trace);
    pthread_mutex_unlock(&file->trace->mutex);
    return result;
}

/* By malloc alone: what GLib's slice allocator hands from thread to thread looks like a race to
 * ThreadSanitizer. */
static uint8_t *copy_iov(const struct iovec *iov, int iovcnt, uint64_t *len)
{
    uint8_t *copy, *at;

    *len = 0;
    for (int i = 0; i < iovcnt; i++)
        *len += iov[i].iov_len;
    copy = at = g_malloc(*len + 1);
    for (int i = 0; i < iovcnt; at += iov[i++].iov_len)
        if (iov[i].iov_len > 0)
            memcpy(at, iov[i].iov_base, iov[i].iov_len);
    return copy;
}

static int trace_writev(VhdFile *file, VhdIoKind kind, uint64_t off, const struct iovec *iov,
                        int iovcnt)
{
    TraceFile *traced = trace_file(file);
    TraceEntry what = {.op = FILE_OP_WRITE, .kind = (int)kind, .off = off}, *entry;

    what.data = copy_iov(iov, iovcnt, &what.len);
    entry = record_begin(traced, &what);
    return record_end(traced, entry, vhd_file_writev(traced->inner, kind, off, iov, iovcnt));
}

static int trace_barrier(VhdFile *file)
{
    TraceFile *traced = trace_file(file);
    TraceEntry what = {.op = FILE_OP_BARRIER, .kind = FILE_KIND_ANY};
    TraceEntry *entry = record_begin(traced, &what);

    return record_end(traced, entry, vhd_file_barrier(traced->inner));
}

static int trace_resize(VhdFile *file, uint64_t bytes)
{
    TraceFile *traced = trace_file(file);
    TraceEntry what = {.op = FILE_OP_RESIZE, .kind = FILE_KIND_ANY, .len = bytes};
    TraceEntry *entry = record_begin(traced, &what);

    return record_end(traced, entry, vhd_file_resize(traced->inner, bytes));
}

static int trace_punch(VhdFile *file, VhdIoKind kind, uint64_t off, uint64_t len)
{
    TraceFile *traced = trace_file(file);
    TraceEntry what = {.op = FILE_OP_PUNCH, .kind = (int)kind, .off = off, .len = len};
    TraceEntry *entry = record_begin(traced, &what);

    return record_end(traced, entry, vhd_file_punch(traced->inner, kind, off, len));
}

static int trace_claim(VhdFile *file, uint64_t off, uint64_t len)
{
    TraceFile *traced = trace_file(file);
    TraceEntry what = {.op = FILE_OP_CLAIM, .kind = FILE_KIND_ANY, .off = off, .len = len};
    TraceEntry *entry = record_begin(traced, &what);

    return record_end(traced, entry, vhd_file_claim(traced->inner, off, len));
}

static int trace_rename(VhdFile *file, const char *path, bool replace)
{
    TraceFile *traced = trace_file(file);
    TraceEntry what = {.op = FILE_OP_RENAME, .kind = FILE_KIND_ANY};
    TraceEntry *entry = record_begin(traced, &what);

    return record_end(traced, entry, traced->inner->ops->rename(traced->inner, path, replace));
}

/* Passed on unrecorded */

static int trace_readv(VhdFile *file, VhdIoKind kind, uint64_t off, const struct iovec *iov,
                       int iovcnt)
{
    return vhd_file_readv(trace_file(file)->inner, kind, off, iov, iovcnt);
}

static int trace_info(VhdFile *file, VhdFileInfo *info)
{
    return vhd_file_info(trace_file(file)->inner, info);
}

static int trace_drop_cache(VhdFile *file, uint64_t off, uint64_t len)
{
    return vhd_file_drop_cache(trace_file(file)->inner, off, len);
}

static int trace_next_data(VhdFile *file, uint64_t off, uint64_t *start, uint64_t *end)
{
    return vhd_file_next_data(trace_file(file)->inner, off, start, end);
}

static int trace_lock(VhdFile *file, uint64_t byte, short type)
{
    VhdFile *inner = trace_file(file)->inner;

    return inner->ops->lock(inner, byte, type);
}

static int trace_lock_test(VhdFile *file, uint64_t byte)
{
    VhdFile *inner = trace_file(file)->inner;

    return inner->ops->lock_test(inner, byte);
}

static void trace_close(VhdFile *file)
{
    TraceFile *traced = trace_file(file);

    vhd_file_close(traced->inner);
    trace_unref(traced->trace);
    vhd_file_release(file);
    g_free(traced);
}

static const VhdFileOps trace_ops = {
    .readv = trace_readv,
    .writev = trace_writev,
    .barrier = trace_barrier,
    .info = trace_info,
    .resize = trace_resize,
    .punch = trace_punch,
    .claim = trace_claim,
    .drop_cache = trace_drop_cache,
    .next_data = trace_next_data,
    .lock = trace_lock,
    .lock_test = trace_lock_test,
    .rename = trace_rename,
    .close = trace_close,
};

VhdFile *trace_file_new(VhdFile *inner, Trace *trace)
{
    TraceFile *traced = g_new0(TraceFile, 1);

    traced->base.ops = &trace_ops;
    traced->base.name = g_strdup(inner->name);
    traced->base.folder = g_strdup(inner->folder);
    traced->base.writable = inner->writable;
    traced->inner = inner;
    traced->trace = trace_ref(trace);
    pthread_mutex_lock(&trace->mutex);
    traced->number = trace->files++;
    pthread_mutex_unlock(&trace->mutex);
    return &traced->base;
}

/* Rebuilding */

bool trace_covered(Trace *trace, const TraceEntry *entry, uint64_t cut)
{
    return is_covered(entry, cover_begin(trace, entry->file, cut));
}

bool trace_choose_all(const TraceEntry *entry, uint64_t sector, void *data)
{
    (void)entry;
    (void)sector;
    (void)data;
    return true;
}

bool trace_choose_none(const TraceEntry *entry, uint64_t sector, void *data)
{
    (void)entry;
    (void)sector;
    (void)data;
    return false;
}

bool trace_choose_returned(const TraceEntry *entry, uint64_t sector, void *data)
{
    (void)sector;
    (void)data;
    return entry->end && entry->result == 0;
}

/* xorshift64* */
static uint64_t next_random(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * 0x2545F4914F6CDD1D;
}

bool trace_choose_random(const TraceEntry *entry, uint64_t sector, void *data)
{
    TraceRandom *random = data;
    uint64_t value = next_random(&random->state) >> 32;

    (void)sector;
    if (random->entry != entry->begin) {
        random->entry = entry->begin;
        random->fate = value % 4;
        value >>= 2;
    }
    return random->fate == 0 || (random->fate > 1 && value % 2);
}

/* What one sector of a write or punch does to the image. */
static void apply_sector(MemImage *image, const TraceEntry *entry, uint64_t sector)
{
    uint64_t from = MAX(entry->off, sector * TRACE_SECTOR_BYTES);
    uint64_t to = MIN(entry->off + entry->len, (sector + 1) * TRACE_SECTOR_BYTES);

    if (entry->op == FILE_OP_PUNCH)
        mem_image_zero(image, from, to - from);
    else
        mem_image_write(image, from, entry->data + (from - entry->off), to - from);
}

/* An entry that is in doubt, as it stood at the cut. */
static void apply_doubtful(MemImage *image, const TraceEntry *entry, TraceChooser choose,
                           void *data)
{
    uint64_t first = entry->off / TRACE_SECTOR_BYTES;
    uint64_t end = (entry->off + entry->len + TRACE_SECTOR_BYTES - 1) / TRACE_SECTOR_BYTES;

    /* A punch may name more than there is; nothing happens to sectors beyond the end. */
    if (entry->op == FILE_OP_PUNCH)
        end = MIN(end, mem_image_bytes(image) / TRACE_SECTOR_BYTES + 1);
    for (uint64_t sector = first; sector < end; sector++)
        if (choose(entry, sector, data))
            apply_sector(image, entry, sector);
}

static void apply_covered(MemImage *image, const TraceEntry *entry)
{
    if (entry->op == FILE_OP_PUNCH)
        mem_image_zero(image, entry->off, entry->len);
    else
        mem_image_write(image, entry->off, entry->data, entry->len);
}

static void apply_length(MemImage *image, const TraceEntry *entry)
{
    if (entry->op == FILE_OP_RESIZE)
        mem_image_resize(image, entry->len);
    else if (entry->len > 0 && entry->off + entry->len > mem_image_bytes(image))
        mem_image_resize(image, entry->off + entry->len);
}

struct TraceCut {
    MemImage *image; /* with all that lies before the first doubt */
    GArray *entries; /* of TraceEntry from there on, as they stood at the cut */
    uint64_t cover;
};

/* A covered entry is applied whole, another as choose says. */
static void apply_entry(MemImage *image, const TraceEntry *entry, bool covered, TraceChooser choose,
                        void *data)
{
    if (entry->op == FILE_OP_RESIZE || entry->op == FILE_OP_CLAIM) {
        if (covered || choose(entry, 0, data))
            apply_length(image, entry);
    } else if (covered) {
        apply_covered(image, entry);
    } else {
        apply_doubtful(image, entry, choose, data);
    }
}

static bool changes_image(const TraceEntry *entry)
{
    return entry->op == FILE_OP_WRITE || entry->op == FILE_OP_PUNCH ||
           entry->op == FILE_OP_RESIZE || entry->op == FILE_OP_CLAIM;
}

TraceCut *trace_cut_new(Trace *trace, unsigned file, MemImage *base, uint64_t at)
{
    TraceCut *cut = g_new0(TraceCut, 1);

    cut->image = mem_image_clone(base);
    cut->entries = g_array_new(FALSE, FALSE, sizeof(TraceEntry));
    pthread_mutex_lock(&trace->mutex);
    cut->cover = cover_begin_locked(trace, file, at);
    for (guint i = 0; i < trace->entries->len; i++) {
        TraceEntry entry = *(TraceEntry *)g_ptr_array_index(trace->entries, i);

        if (entry.begin > at)
            break;
        if (entry.end > at) { /* the chooser is not to know the future */
            entry.end = 0;
            entry.result = 0;
            entry.given_up = false;
        }
        if (entry.file != file || !changes_image(&entry))
            continue;
        if (cut->entries->len == 0 && is_covered(&entry, cut->cover))
            apply_entry(cut->image, &entry, true, NULL, NULL);
        else
            g_array_append_val(cut->entries, entry);
    }
    pthread_mutex_unlock(&trace->mutex);
    return cut;
}

void trace_cut_free(TraceCut *cut)
{
    if (!cut)
        return;
    mem_image_unref(cut->image);
    g_array_unref(cut->entries);
    g_free(cut);
}

MemImage *trace_cut_image(TraceCut *cut, TraceChooser choose, void *data)
{
    MemImage *image = mem_image_clone(cut->image);

    for (guint i = 0; i < cut->entries->len; i++) {
        const TraceEntry *entry = &g_array_index(cut->entries, TraceEntry, i);

        apply_entry(image, entry, is_covered(entry, cut->cover), choose, data);
    }
    return image;
}

static bool count_doubt(const TraceEntry *entry, uint64_t sector, void *data)
{
    (void)entry;
    (void)sector;
    ++*(unsigned *)data;
    return true;
}

unsigned trace_cut_doubts(TraceCut *cut)
{
    unsigned count = 0;

    mem_image_unref(trace_cut_image(cut, count_doubt, &count));
    return count;
}

MemImage *trace_rebuild(Trace *trace, unsigned file, MemImage *base, uint64_t cut,
                        TraceChooser choose, void *data)
{
    g_autoptr(TraceCut) prepared = trace_cut_new(trace, file, base, cut);

    return trace_cut_image(prepared, choose, data);
}
