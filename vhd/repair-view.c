/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * The file as the steps planned so far will leave it: what they write stands in a table of sectors,
 * what they zero or cut off in a list of ranges, all else is read from the file itself. As a
 * VhdFile it can be judged by check and opened as an image.
 */
#include "vhd/repair-private.h"

#include <errno.h>
#include <string.h>

typedef struct ViewRange {
    uint64_t off, end;
} ViewRange;

typedef struct ViewSector {
    uint64_t number;
    const uint8_t *bytes;
} ViewSector;

typedef struct ViewFile {
    VhdFile base;
    RepairView *view;
} ViewFile;

static void clear_step(void *step)
{
    g_free(((RepairStep *)step)->data);
}

RepairView *repair_view_new(VhdFile *base, int *err)
{
    VhdFileInfo info;
    RepairView *view;

    *err = vhd_file_info(base, &info);
    if (*err)
        return NULL;
    view = g_new0(RepairView, 1);
    view->base = base;
    view->base_bytes = view->bytes = info.bytes;
    view->steps = g_array_new(FALSE, FALSE, sizeof(RepairStep));
    g_array_set_clear_func(view->steps, clear_step);
    view->sectors = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, g_free);
    view->zeros = g_array_new(FALSE, FALSE, sizeof(ViewRange));
    return view;
}

void repair_view_free(RepairView *view)
{
    if (!view)
        return;
    g_hash_table_unref(view->sectors);
    g_array_unref(view->zeros);
    g_array_unref(view->steps);
    g_free(view);
}

/* Zeros */

/* Index of the first range that ends behind off. */
static guint find_range(const RepairView *view, uint64_t off)
{
    guint low = 0, high = view->zeros->len;

    while (low < high) {
        guint middle = low + (high - low) / 2;

        if (g_array_index(view->zeros, ViewRange, middle).end > off)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

/* Ranges stay sorted and apart: those that the new one touches become part of it. */
static void add_zeros(RepairView *view, uint64_t off, uint64_t end)
{
    guint first = find_range(view, off), last = first;
    ViewRange range = {off, end};

    for (; last < view->zeros->len; last++) {
        const ViewRange *old = &g_array_index(view->zeros, ViewRange, last);

        if (old->off >= end)
            break;
        range.off = MIN(range.off, old->off);
        range.end = MAX(range.end, old->end);
    }
    if (last > first)
        g_array_remove_range(view->zeros, first, last - first);
    g_array_insert_val(view->zeros, first, range);
}

static gboolean is_within(gpointer key, gpointer value, gpointer data)
{
    const ViewSector *sector = value;
    const ViewRange *range = data;
    uint64_t off = sector->number * VHD_SECTOR_BYTES;

    (void)key;
    return off >= range->off && off < range->end;
}

static void make_zero(RepairView *view, uint64_t off, uint64_t end)
{
    ViewRange range = {off, end};

    if (end <= off)
        return;
    g_hash_table_foreach_remove(view->sectors, is_within, &range);
    add_zeros(view, off, end);
}

/* Reading */

/* The part of what the file holds that is not beyond its end. */
static int read_base(RepairView *view, VhdIoKind kind, uint64_t off, uint8_t *buf, size_t len)
{
    size_t there = off < view->base_bytes ? (size_t)MIN(len, view->base_bytes - off) : 0;

    memset(buf + there, 0, len - there);
    return there > 0 ? vhd_file_read(view->base, kind, off, buf, there) : 0;
}

static void lay_zeros_over(RepairView *view, uint64_t off, uint8_t *buf, size_t len)
{
    for (guint i = find_range(view, off); i < view->zeros->len; i++) {
        const ViewRange *range = &g_array_index(view->zeros, ViewRange, i);
        uint64_t start = MAX(range->off, off), end = MIN(range->end, off + len);

        if (range->off >= off + len)
            return;
        memset(buf + (start - off), 0, end - start);
    }
}

static void lay_sectors_over(RepairView *view, uint64_t off, uint8_t *buf, size_t len)
{
    uint64_t number = off / VHD_SECTOR_BYTES;

    for (uint64_t at = number * VHD_SECTOR_BYTES; at < off + len;
         at += VHD_SECTOR_BYTES, number++) {
        const ViewSector *sector = g_hash_table_lookup(view->sectors, &number);
        uint64_t start = MAX(at, off), end = MIN(at + VHD_SECTOR_BYTES, off + len);

        if (sector)
            memcpy(buf + (start - off), sector->bytes + (start - at), end - start);
    }
}

int repair_view_read(RepairView *view, VhdIoKind kind, uint64_t off, void *buf, size_t len)
{
    int err = read_base(view, kind, off, buf, len);

    lay_zeros_over(view, off, buf, len);
    if (g_hash_table_size(view->sectors) > 0)
        lay_sectors_over(view, off, buf, len);
    return err;
}

/* Steps */

void repair_view_add(RepairView *view, const RepairStep *step)
{
    g_array_append_val(view->steps, *step);
    if (step->type == REPAIR_CUT) {
        make_zero(view, repair_round_up(step->off, VHD_SECTOR_BYTES), MAX(view->bytes, step->off));
        view->bytes = step->off;
        return;
    }
    if (step->type == REPAIR_ZERO) {
        make_zero(view, step->off, step->off + step->len);
        return;
    }
    for (uint64_t at = 0; at < step->len; at += VHD_SECTOR_BYTES) {
        ViewSector *sector = g_new(ViewSector, 1);

        *sector = (ViewSector){(step->off + at) / VHD_SECTOR_BYTES, step->data + at};
        g_hash_table_replace(view->sectors, &sector->number, sector);
    }
    view->bytes = MAX(view->bytes, step->off + step->len);
}

int repair_write(RepairView *view, VhdIoKind kind, uint64_t off, const void *bytes, size_t len,
                 bool barrier)
{
    uint64_t start = off / VHD_SECTOR_BYTES * VHD_SECTOR_BYTES;
    size_t whole = (size_t)(repair_round_up(off + len, VHD_SECTOR_BYTES) - start);
    RepairStep step = {REPAIR_WRITE, kind, barrier, start, whole, g_try_malloc(whole)};
    int err = step.data ? repair_view_read(view, kind, start, step.data, whole) : -ENOMEM;

    if (err) {
        g_free(step.data);
        return err;
    }
    memcpy(step.data + (off - start), bytes, len);
    repair_view_add(view, &step);
    return 0;
}

void repair_zero(RepairView *view, uint64_t off, uint64_t len)
{
    RepairStep step = {REPAIR_ZERO, VHD_IO_DATA, false, off, len, NULL};

    repair_view_add(view, &step);
}

void repair_cut(RepairView *view, uint64_t bytes)
{
    RepairStep step = {REPAIR_CUT, VHD_IO_FOOTER, true, bytes, 0, NULL};

    repair_view_add(view, &step);
}

/* As a file */

static RepairView *view_of(VhdFile *file)
{
    return ((ViewFile *)file)->view;
}

static int view_readv(VhdFile *file, VhdIoKind kind, uint64_t off, const struct iovec *iov,
                      int iovcnt)
{
    RepairView *view = view_of(file);
    int err = 0;

    for (int i = 0; i < iovcnt && !err; off += iov[i++].iov_len)
        err = off > view->bytes || iov[i].iov_len > view->bytes - off
                  ? -ENODATA
                  : repair_view_read(view, kind, off, iov[i].iov_base, iov[i].iov_len);
    return err;
}

static int view_info(VhdFile *file, VhdFileInfo *info)
{
    int err = vhd_file_info(view_of(file)->base, info);

    info->bytes = view_of(file)->bytes;
    return err;
}

/* What steps write is metadata: whoever looks for data that nothing names need not be told. */
static int view_next_data(VhdFile *file, uint64_t off, uint64_t *start, uint64_t *end)
{
    RepairView *view = view_of(file);
    int err = vhd_file_next_data(view->base, off, start, end);

    *end = MIN(*end, view->bytes);
    if (!err && (*start >= *end))
        *start = *end = view->bytes;
    return err;
}

static int view_barrier(VhdFile *file)
{
    (void)file;
    return 0;
}

static int view_writev(VhdFile *file, VhdIoKind kind, uint64_t off, const struct iovec *iov,
                       int iovcnt)
{
    (void)file, (void)kind, (void)off, (void)iov, (void)iovcnt;
    return -EROFS;
}

static int view_resize(VhdFile *file, uint64_t bytes)
{
    (void)file, (void)bytes;
    return -EROFS;
}

static int view_punch(VhdFile *file, VhdIoKind kind, uint64_t off, uint64_t len)
{
    (void)file, (void)kind, (void)off, (void)len;
    return -EROFS;
}

/* For claim and drop_cache. */
static int view_range(VhdFile *file, uint64_t off, uint64_t len)
{
    (void)file, (void)off, (void)len;
    return -EROFS;
}

static int view_lock(VhdFile *file, uint64_t byte, short type)
{
    (void)file, (void)byte, (void)type;
    return -ENOLCK;
}

static int view_lock_test(VhdFile *file, uint64_t byte)
{
    (void)file, (void)byte;
    return -ENOLCK;
}

static int view_rename(VhdFile *file, const char *path, bool replace)
{
    (void)file, (void)path, (void)replace;
    return -EROFS;
}

static void view_close(VhdFile *file)
{
    vhd_file_release(file);
    g_free(file);
}

static const VhdFileOps view_ops = {
    .readv = view_readv,
    .writev = view_writev,
    .barrier = view_barrier,
    .info = view_info,
    .resize = view_resize,
    .punch = view_punch,
    .claim = view_range,
    .drop_cache = view_range,
    .next_data = view_next_data,
    .lock = view_lock,
    .lock_test = view_lock_test,
    .rename = view_rename,
    .close = view_close,
};

VhdFile *repair_view_open(RepairView *view)
{
    ViewFile *file = g_new0(ViewFile, 1);

    file->base.ops = &view_ops;
    file->base.name = g_strdup(view->base->name);
    file->base.folder = g_strdup(view->base->folder);
    file->view = view;
    return &file->base;
}
