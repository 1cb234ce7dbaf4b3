/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * The undo file, the doing and the undoing.
 *
 *   sector 0   magic, state, SHA-256 of all that follows
 *   from 512   lengths of the image before and after, numbers of steps and of ranges saved;
 *              each step: type, kind, offset, length; each range: offset, length
 *   behind     what the steps write, then what the ranges held
 *
 * BEGUN -> FINISHED -> RESTORING, or BEGUN -> RESTORING: the state is one sector, durable before
 * what it speaks of begins. While a repair or its undoing is under way each sector that it touches
 * is as it was or as one of the steps has it; once the repair is finished, as the last of them has
 * it. An image of which that is not true was changed by somebody else, and is let be.
 */
#include <errno.h>
#include <string.h>

#include "vhd/be.h"
#include "vhd/error.h"
#include "vhd/repair-private.h"

#define UNDO_MAGIC     "vhdundo1"
#define UNDO_AT_STATE  8u
#define UNDO_AT_DIGEST 16u
#define DIGEST_BYTES   32u
#define COUNTS_BYTES   32u
#define STEP_BYTES     24u
#define RANGE_BYTES    16u

typedef struct SavedRange {
    uint64_t off, end; /* in the image */
    uint64_t at;       /* in the undo file */
} SavedRange;

typedef struct Undo {
    VhdFile *file; /* the undo file, borrowed */
    VhdUndoState state;
    uint8_t digest[DIGEST_BYTES];
    uint64_t old_bytes, new_bytes; /* of the image */
    GArray *steps;                 /* RepairStep */
    GArray *saved;                 /* SavedRange, sorted, apart */
} Undo;

static void clear_step(void *step)
{
    g_free(((RepairStep *)step)->data);
}

static void undo_init(Undo *undo, VhdFile *file)
{
    *undo = (Undo){.file = file};
    undo->steps = g_array_new(FALSE, FALSE, sizeof(RepairStep));
    g_array_set_clear_func(undo->steps, clear_step);
    undo->saved = g_array_new(FALSE, FALSE, sizeof(SavedRange));
}

static void undo_clear(Undo *undo)
{
    g_array_unref(undo->steps);
    g_array_unref(undo->saved);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Undo, undo_clear)

static bool io_error(GError **error, const VhdFile *file, const char *doing, int err)
{
    vhd_error_set_errno(error, VHD_ERROR_IO, file->name, doing, -err);
    return false;
}

static int write_state(Undo *undo, VhdUndoState state)
{
    uint8_t raw[VHD_SECTOR_BYTES] = {0};
    int err;

    memcpy(raw, UNDO_MAGIC, 8);
    be32_put(raw + UNDO_AT_STATE, state);
    memcpy(raw + UNDO_AT_DIGEST, undo->digest, DIGEST_BYTES);
    err = vhd_file_write(undo->file, VHD_IO_DATA, 0, raw, sizeof(raw));
    undo->state = state;
    return err ? err : vhd_file_barrier(undo->file);
}

/* ---- saving: what will be overwritten */

static int compare_ranges(const void *a, const void *b)
{
    const SavedRange *x = a, *y = b;

    return x->off < y->off ? -1 : x->off > y->off;
}

/* Of what is zeroed or cut off, holes need no saving. */
static int add_data(Undo *undo, VhdFile *image, uint64_t off, uint64_t end)
{
    while (off < end) {
        uint64_t start, stop;
        int err = vhd_file_next_data(image, off, &start, &stop);
        SavedRange range = {MAX(start / VHD_SECTOR_BYTES * VHD_SECTOR_BYTES, off),
                            MIN(repair_round_up(stop, VHD_SECTOR_BYTES), end), 0};

        if (err || start >= MIN(stop, end))
            return err;
        g_array_append_val(undo->saved, range);
        off = range.end;
    }
    return 0;
}

static int add_ranges(Undo *undo, const RepairView *view)
{
    int err = 0;

    for (guint i = 0; i < view->steps->len && !err; i++) {
        const RepairStep *step = &g_array_index(view->steps, RepairStep, i);
        uint64_t end = MIN(step->off + step->len, view->base_bytes);
        SavedRange range = {step->off, end, 0};

        if (step->type != REPAIR_WRITE)
            err = add_data(undo, view->base, step->off,
                           step->type == REPAIR_CUT ? view->base_bytes : end);
        else if (step->off < end)
            g_array_append_val(undo->saved, range);
    }
    return err;
}

/* Sort, and make one of those that touch. */
static void merge_ranges(GArray *saved)
{
    guint kept = 0;

    g_array_sort(saved, compare_ranges);
    for (guint i = 1; i < saved->len; i++) {
        SavedRange *last = &g_array_index(saved, SavedRange, kept);
        const SavedRange *next = &g_array_index(saved, SavedRange, i);

        if (next->off <= last->end)
            last->end = MAX(last->end, next->end);
        else
            g_array_index(saved, SavedRange, ++kept) = *next;
    }
    if (saved->len > 0)
        g_array_set_size(saved, kept + 1);
}

/* ---- saving: writing the file */

typedef struct UndoWriter {
    Undo *undo;
    uint64_t at;
    GChecksum *sum;
} UndoWriter;

static int put(UndoWriter *writer, const uint8_t *bytes, size_t len)
{
    int err = vhd_file_write(writer->undo->file, VHD_IO_DATA, writer->at, bytes, len);

    g_checksum_update(writer->sum, bytes, (gssize)len);
    writer->at += len;
    return err;
}

static void append_u64(GByteArray *table, uint64_t value)
{
    uint8_t raw[8];

    be64_put(raw, value);
    g_byte_array_append(table, raw, sizeof(raw));
}

static int put_tables(UndoWriter *writer, const RepairView *view)
{
    const Undo *undo = writer->undo;
    g_autoptr(GByteArray) table = g_byte_array_new();

    append_u64(table, view->base_bytes);
    append_u64(table, view->bytes);
    append_u64(table, view->steps->len);
    append_u64(table, undo->saved->len);
    for (guint i = 0; i < view->steps->len; i++) {
        const RepairStep *step = &g_array_index(view->steps, RepairStep, i);

        append_u64(table, (uint64_t)step->type << 32 | step->kind);
        append_u64(table, step->off);
        append_u64(table, step->len);
    }
    for (guint i = 0; i < undo->saved->len; i++) {
        const SavedRange *range = &g_array_index(undo->saved, SavedRange, i);

        append_u64(table, range->off);
        append_u64(table, range->end - range->off);
    }
    return put(writer, table->data, table->len);
}

static int put_saved(UndoWriter *writer, VhdFile *image)
{
    const GArray *saved = writer->undo->saved;
    g_autofree uint8_t *chunk = g_malloc(REPAIR_CHUNK_BYTES);
    int err = 0;

    for (guint i = 0; i < saved->len; i++) {
        const SavedRange *range = &g_array_index(saved, SavedRange, i);

        for (uint64_t off = range->off; off < range->end && !err; off += REPAIR_CHUNK_BYTES) {
            size_t len = (size_t)MIN(range->end - off, REPAIR_CHUNK_BYTES);

            err = vhd_file_read(image, VHD_IO_DATA, off, chunk, len);
            if (!err)
                err = put(writer, chunk, len);
        }
    }
    return err;
}

static int put_all(Undo *undo, const RepairView *view)
{
    UndoWriter writer = {undo, VHD_SECTOR_BYTES, g_checksum_new(G_CHECKSUM_SHA256)};
    gsize len = DIGEST_BYTES;
    int err = put_tables(&writer, view);

    for (guint i = 0; i < view->steps->len && !err; i++) {
        const RepairStep *step = &g_array_index(view->steps, RepairStep, i);

        if (step->type == REPAIR_WRITE)
            err = put(&writer, step->data, step->len);
    }
    if (!err)
        err = put_saved(&writer, view->base);
    g_checksum_get_digest(writer.sum, undo->digest, &len);
    g_checksum_free(writer.sum);
    return err ? err : write_state(undo, VHD_UNDO_BEGUN);
}

/* ---- doing */

/* *unsure: a barrier failed, after which nothing more is to be written (invariant 7). */
static int do_step(VhdFile *file, const RepairStep *step, bool *unsure)
{
    int err = step->barrier ? vhd_file_barrier(file) : 0;

    *unsure = err != 0;
    if (err)
        return err;
    switch (step->type) {
    case REPAIR_WRITE:
        return vhd_file_write(file, step->kind, step->off, step->data, step->len);
    case REPAIR_ZERO:
        return vhd_file_punch(file, step->kind, step->off, step->len);
    default:
        return vhd_file_resize(file, step->off);
    }
}

static int do_steps(const RepairView *view, bool *unsure)
{
    int err = 0;

    *unsure = false;
    for (guint i = 0; i < view->steps->len && !err; i++)
        err = do_step(view->base, &g_array_index(view->steps, RepairStep, i), unsure);
    if (!err) {
        err = vhd_file_barrier(view->base);
        *unsure = err != 0;
    }
    return err;
}

bool vhd_repair_apply(VhdRepair *repair, VhdFile *undo_file, bool *restored, GError **error)
{
    g_auto(Undo) undo;
    bool unsure;
    int err;

    undo_init(&undo, undo_file);
    *restored = true;
    err = add_ranges(&undo, repair->view);
    if (err)
        return io_error(error, repair->file, "find out what is to be saved", err);
    merge_ranges(undo.saved);
    err = put_all(&undo, repair->view);
    if (err)
        return io_error(error, undo_file, "save what is to be overwritten", err);
    if (!vhd_file_publish(undo_file, false, error))
        return false;
    err = do_steps(repair->view, &unsure);
    if (!err)
        err = write_state(&undo, VHD_UNDO_FINISHED);
    if (!err)
        return true;
    *restored = !unsure && vhd_undo_restore(repair->file, undo_file, NULL);
    return io_error(error, repair->file, "mend it", err);
}

/* ---- loading */

static bool not_whole(GError **error, const VhdFile *file)
{
    g_set_error(error, VHD_ERROR, VHD_ERROR_INVALID,
                "%s: is no undo file of vhdctl repair, or is damaged; nothing was changed",
                file->name);
    return false;
}

/* err: of reading it; -ENODATA: it is shorter than it says. */
static bool unread(GError **error, const VhdFile *file, int err)
{
    return err == -ENODATA ? not_whole(error, file) : io_error(error, file, "read it", err);
}

static bool load_state(Undo *undo, GError **error)
{
    uint8_t raw[VHD_SECTOR_BYTES];
    int err = vhd_file_read(undo->file, VHD_IO_DATA, 0, raw, sizeof(raw));
    uint32_t state = err ? 0 : be32_get(raw + UNDO_AT_STATE);

    if (err)
        return unread(error, undo->file, err);
    if (memcmp(raw, UNDO_MAGIC, 8) != 0 || state < VHD_UNDO_BEGUN || state > VHD_UNDO_RESTORING)
        return not_whole(error, undo->file);
    undo->state = (VhdUndoState)state;
    memcpy(undo->digest, raw + UNDO_AT_DIGEST, DIGEST_BYTES);
    return true;
}

bool vhd_undo_state(VhdFile *file, VhdUndoState *state, GError **error)
{
    g_auto(Undo) undo;

    undo_init(&undo, file);
    if (!load_state(&undo, error))
        return false;
    *state = undo.state;
    return true;
}

/* All behind sector 0 is as it was written. */
static bool judge_digest(const Undo *undo, uint64_t bytes, GError **error)
{
    g_autofree uint8_t *chunk = g_malloc(REPAIR_CHUNK_BYTES);
    g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);
    uint8_t digest[DIGEST_BYTES];
    gsize digest_len = sizeof(digest);

    for (uint64_t at = VHD_SECTOR_BYTES; at < bytes; at += REPAIR_CHUNK_BYTES) {
        size_t len = (size_t)MIN(bytes - at, REPAIR_CHUNK_BYTES);
        int err = vhd_file_read(undo->file, VHD_IO_DATA, at, chunk, len);

        if (err)
            return io_error(error, undo->file, "read it", err);
        g_checksum_update(sum, chunk, (gssize)len);
    }
    g_checksum_get_digest(sum, digest, &digest_len);
    return memcmp(digest, undo->digest, sizeof(digest)) == 0 || not_whole(error, undo->file);
}

/* The digest is right, so this is what was written; lengths are looked at all the same.
 * -ENODATA where they are wrong. */
static int take_tables(Undo *undo, const uint8_t *table, uint64_t steps, uint64_t saved,
                       uint64_t at, uint64_t bytes)
{
    int err = 0;

    for (uint64_t i = 0; i < steps && !err; i++, table += STEP_BYTES) {
        RepairStep step = {.type = (RepairStepType)be32_get(table),
                           .kind = (VhdIoKind)be32_get(table + 4),
                           .off = be64_get(table + 8),
                           .len = be64_get(table + 16)};

        if (step.type == REPAIR_WRITE) {
            if (step.len > bytes - at || step.len % VHD_SECTOR_BYTES != 0)
                return -ENODATA;
            step.data = g_try_malloc(step.len + 1);
            err = step.data ? vhd_file_read(undo->file, VHD_IO_DATA, at, step.data, step.len)
                            : -ENOMEM;
            at += step.len;
        }
        g_array_append_val(undo->steps, step);
    }
    for (uint64_t i = 0; i < saved && !err; i++, table += RANGE_BYTES) {
        SavedRange range = {be64_get(table), be64_get(table) + be64_get(table + 8), at};

        if (range.end < range.off || range.end - range.off > bytes - at)
            return -ENODATA;
        at += range.end - range.off;
        g_array_append_val(undo->saved, range);
    }
    return err;
}

static bool load(Undo *undo, GError **error)
{
    uint8_t counts[COUNTS_BYTES];
    g_autofree uint8_t *table = NULL;
    VhdFileInfo info;
    uint64_t steps, saved, len, at = VHD_SECTOR_BYTES + COUNTS_BYTES;
    int err = vhd_file_info(undo->file, &info);

    if (err)
        return io_error(error, undo->file, "look at it", err);
    if (!load_state(undo, error) || !judge_digest(undo, info.bytes, error))
        return false;
    err = vhd_file_read(undo->file, VHD_IO_DATA, VHD_SECTOR_BYTES, counts, sizeof(counts));
    if (err)
        return unread(error, undo->file, err);
    undo->old_bytes = be64_get(counts);
    undo->new_bytes = be64_get(counts + 8);
    steps = be64_get(counts + 16);
    saved = be64_get(counts + 24);
    len = steps * STEP_BYTES + saved * RANGE_BYTES;
    if (steps > (info.bytes - at) / STEP_BYTES || saved > (info.bytes - at) / RANGE_BYTES ||
        len > info.bytes - at)
        return not_whole(error, undo->file);
    table = g_try_malloc(len + 1);
    err = table ? vhd_file_read(undo->file, VHD_IO_DATA, at, table, len) : -ENOMEM;
    if (!err)
        err = take_tables(undo, table, steps, saved, at + len, info.bytes);
    return !err || unread(error, undo->file, err);
}

/* ---- is the image what the repair left? */

/* Do the steps once more: does that change nothing? */
static int judge_finished(const Undo *undo, RepairView *now, bool *fits)
{
    int err = 0;
    RepairView *then = repair_view_new(now->base, &err);
    g_autofree uint8_t *a = g_malloc(REPAIR_CHUNK_BYTES), *b = g_malloc(REPAIR_CHUNK_BYTES);

    for (guint i = 0; i < undo->steps->len && then; i++) {
        RepairStep step = g_array_index(undo->steps, RepairStep, i);

        step.data = g_memdup2(step.data, step.len);
        repair_view_add(then, &step);
    }
    *fits = then && now->bytes == undo->new_bytes && then->bytes == undo->new_bytes;
    for (guint i = 0; i < undo->steps->len && *fits && !err; i++) {
        const RepairStep *step = &g_array_index(undo->steps, RepairStep, i);

        for (uint64_t at = 0; at < step->len && *fits && !err; at += REPAIR_CHUNK_BYTES) {
            size_t len = (size_t)MIN(step->len - at, REPAIR_CHUNK_BYTES);

            err = repair_view_read(now, step->kind, step->off + at, a, len);
            if (!err)
                err = repair_view_read(then, step->kind, step->off + at, b, len);
            *fits = memcmp(a, b, len) == 0;
        }
    }
    repair_view_free(then);
    return err;
}

static bool all_zero(const uint8_t *bytes, size_t len)
{
    return len == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, len - 1) == 0);
}

/* May a step have left these bytes, at most a sector, at off? */
static bool step_made(const RepairStep *step, uint64_t off, const uint8_t *bytes, size_t len)
{
    switch (step->type) {
    case REPAIR_WRITE:
        return off >= step->off && off - step->off < step->len &&
               memcmp(bytes, step->data + (off - step->off), len) == 0;
    case REPAIR_ZERO:
        return off >= step->off && off - step->off < step->len && all_zero(bytes, len);
    default:
        return off >= step->off && all_zero(bytes, len);
    }
}

static bool any_step_made(const Undo *undo, uint64_t off, const uint8_t *bytes, size_t len)
{
    for (guint i = 0; i < undo->steps->len; i++)
        if (step_made(&g_array_index(undo->steps, RepairStep, i), off, bytes, len))
            return true;
    return false;
}

/* Each sector of len bytes at off is as saved, or as a step made it. */
static bool chunk_fits(const Undo *undo, uint64_t off, const uint8_t *saved, const uint8_t *now,
                       size_t len)
{
    for (size_t at = 0; at < len; at += VHD_SECTOR_BYTES) {
        size_t part = MIN(len - at, VHD_SECTOR_BYTES);

        if (memcmp(saved + at, now + at, part) != 0 &&
            !any_step_made(undo, off + at, now + at, part))
            return false;
    }
    return true;
}

/* The lengths that the file had one after another. */
static bool length_fits(const Undo *undo, uint64_t bytes)
{
    uint64_t length = undo->old_bytes, least = length, most = length;

    for (guint i = 0; i < undo->steps->len; i++) {
        const RepairStep *step = &g_array_index(undo->steps, RepairStep, i);

        if (step->type == REPAIR_CUT)
            length = step->off;
        else if (step->type == REPAIR_WRITE)
            length = MAX(length, step->off + step->len);
        least = MIN(least, length);
        most = MAX(most, length);
    }
    return bytes >= least && bytes <= most;
}

/* While the repair or its undoing is under way. */
static int judge_begun(const Undo *undo, RepairView *now, bool *fits)
{
    g_autofree uint8_t *a = g_malloc(REPAIR_CHUNK_BYTES), *b = g_malloc(REPAIR_CHUNK_BYTES);
    int err = 0;

    *fits = length_fits(undo, now->bytes);
    for (guint i = 0; i < undo->saved->len && *fits && !err; i++) {
        const SavedRange *range = &g_array_index(undo->saved, SavedRange, i);
        uint64_t end = MIN(range->end, now->bytes); /* the rest is cut off already */

        for (uint64_t off = range->off; off < end && *fits && !err; off += REPAIR_CHUNK_BYTES) {
            size_t len = (size_t)MIN(end - off, REPAIR_CHUNK_BYTES);

            err = vhd_file_read(undo->file, VHD_IO_DATA, range->at + (off - range->off), a, len);
            if (!err)
                err = repair_view_read(now, VHD_IO_DATA, off, b, len);
            *fits = !err && chunk_fits(undo, off, a, b, len);
        }
    }
    return err;
}

static bool judge(const Undo *undo, VhdFile *file, GError **error)
{
    int err = 0;
    bool fits = true;
    RepairView *now = repair_view_new(file, &err);

    if (now && undo->state == VHD_UNDO_FINISHED)
        err = judge_finished(undo, now, &fits);
    else if (now)
        err = judge_begun(undo, now, &fits);
    repair_view_free(now);
    if (err)
        return io_error(error, file, "compare it with what the repair left", err);
    if (!fits)
        g_set_error(error, VHD_ERROR, VHD_ERROR_INVALID,
                    "%s: was changed since it was repaired: what %s holds does not fit it any "
                    "more; nothing was changed, remove that file to give up the way back",
                    file->name, undo->file->name);
    return fits;
}

/* ---- undoing */

static int put_back_range(const Undo *undo, VhdFile *file, const SavedRange *range, uint8_t *chunk)
{
    int err = 0;

    for (uint64_t off = range->off; off < range->end && !err; off += REPAIR_CHUNK_BYTES) {
        size_t len = (size_t)MIN(range->end - off, REPAIR_CHUNK_BYTES);

        err = vhd_file_read(undo->file, VHD_IO_DATA, range->at + (off - range->off), chunk, len);
        if (!err)
            err = vhd_file_write(file, VHD_IO_DATA, off, chunk, len);
    }
    return err;
}

static int put_back(const Undo *undo, VhdFile *file)
{
    g_autofree uint8_t *chunk = g_malloc(REPAIR_CHUNK_BYTES);
    int err = 0;

    for (guint i = 0; i < undo->saved->len && !err; i++)
        err = put_back_range(undo, file, &g_array_index(undo->saved, SavedRange, i), chunk);
    if (!err)
        err = vhd_file_barrier(file);
    if (!err)
        err = vhd_file_resize(file, undo->old_bytes);
    return err ? err : vhd_file_barrier(file);
}

bool vhd_undo_restore(VhdFile *file, VhdFile *undo_file, GError **error)
{
    g_auto(Undo) undo;
    int err;

    undo_init(&undo, undo_file);
    if (!load(&undo, error) || !judge(&undo, file, error))
        return false;
    err = write_state(&undo, VHD_UNDO_RESTORING);
    if (err)
        return io_error(error, undo_file, "note that the image is put back", err);
    err = put_back(&undo, file);
    return err == 0 || io_error(error, file, "put back what was there", err);
}
