/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
#include "vhd/op-copy.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "vhd/chain-ahead.h"
#include "vhd/error.h"

#define CHUNK_BYTES       (1u << 20)
#define RUN_BYTES_MAX     (64u << 20) /* between two looks at stop */
#define DIRTY_ENTRIES_MAX 4096 /* then the image is flushed: what it keeps in memory is bounded */

/* Both contents of a piece, at most CHUNK_BYTES. */
typedef struct Piece {
    uint64_t start;
    size_t len;
    uint8_t *wanted, *seen;
} Piece;

static bool fail(VhdImage *image, const char *doing, uint64_t off, int err, GError **error)
{
    g_autofree char *what = g_strdup_printf("%s offset %" PRIu64 " of the disk", doing, off);
    vhd_error_set_errno(error, VHD_ERROR_IO, vhd_image_name(image), what, -err);
    return false;
}

/* Zeros beyond the end of chain. */
static bool find_run(VhdChain *chain, uint64_t start, uint64_t end, VhdChainRun *run,
                     GError **error)
{
    uint64_t bytes = vhd_chain_sectors(chain) * VHD_SECTOR_BYTES;
    if (start >= bytes) {
        *run = (VhdChainRun){.start = start, .len = end - start, .layer = -1};
        return true;
    }
    int err = vhd_chain_run(chain, start, MIN(end, bytes), run);
    return err == 0 ? true : fail(vhd_chain_layer(chain, 0), "map", start, err, error);
}

static bool is_same_file(VhdImage *a, VhdImage *b)
{
    VhdFileInfo x, y;
    return a == b || (vhd_file_info(vhd_image_file(a), &x) == 0 &&
                      vhd_file_info(vhd_image_file(b), &y) == 0 && x.device == y.device &&
                      x.inode == y.inode);
}

/* Both begin at one place of the disk. */
static bool is_known_equal(const VhdOpCopy *copy, const VhdChainRun *a, const VhdChainRun *b)
{
    bool a_zero = vhd_chain_run_is_zero(a), b_zero = vhd_chain_run_is_zero(b);
    if (a_zero || b_zero)
        return a_zero && b_zero;
    return a->off == b->off && is_same_file(vhd_chain_layer(copy->from, (unsigned)a->layer),
                                            vhd_chain_layer(copy->seen, (unsigned)b->layer));
}

/* len bytes of run from skip on. */
static bool load(VhdChain *chain, const VhdChainRun *run, uint64_t skip, uint8_t *buf, size_t len,
                 GError **error)
{
    if (vhd_chain_run_is_zero(run)) {
        memset(buf, 0, len);
        return true;
    }
    VhdImage *layer = vhd_chain_layer(chain, (unsigned)run->layer);
    int err = vhd_file_read(vhd_image_file(layer), VHD_IO_DATA, run->off + skip, buf, len);
    return err == 0 ? true : fail(layer, "read", run->start + skip, err, error);
}

static bool is_zero(const uint8_t *bytes, size_t len)
{
    return bytes[0] == 0 && memcmp(bytes, bytes + 1, len - 1) == 0;
}

static int write_data(VhdOpCopy *copy, uint64_t off, const uint8_t *bytes, uint64_t len)
{
    VhdImage *to = copy->to;
    while (len > 0) {
        VhdImageWrite write;
        int err = vhd_image_begin_write(to, off / VHD_SECTOR_BYTES, len / VHD_SECTOR_BYTES, &write);
        if (err < 0)
            return err;
        uint64_t done = (uint64_t)write.sectors * VHD_SECTOR_BYTES;
        err = vhd_file_write(vhd_image_file(to), VHD_IO_DATA, write.off, bytes, (size_t)done);
        vhd_file_behind(&copy->behind, vhd_image_file(to), write.off, done);
        int ended = vhd_image_end_write(to, &write, err == 0);
        if (err < 0 || ended < 0)
            return err < 0 ? err : ended;
        off += done;
        bytes += done;
        len -= done;
    }
    return 0;
}

/* Sectors that differ throughout. */
static bool write_span(VhdOpCopy *copy, uint64_t off, const uint8_t *bytes, size_t len,
                       GError **error)
{
    VhdImageDirt dirt;
    int err = is_zero(bytes, len)
                  ? vhd_image_write_zeroes(copy->to, off / VHD_SECTOR_BYTES, len / VHD_SECTOR_BYTES)
                  : write_data(copy, off, bytes, len);
    if (err == 0) {
        copy->written_bytes += len;
        vhd_image_dirt(copy->to, &dirt);
        if (dirt.entries >= DIRTY_ENTRIES_MAX)
            err = vhd_image_flush(copy->to);
    }
    return err == 0 ? true : fail(copy->to, "write", off, err, error);
}

static bool differs(const Piece *piece, size_t at)
{
    return memcmp(piece->wanted + at, piece->seen + at, VHD_SECTOR_BYTES) != 0;
}

static bool write_differing(VhdOpCopy *copy, const Piece *piece, GError **error)
{
    for (size_t at = 0, end; at < piece->len; at = end) {
        end = at + VHD_SECTOR_BYTES;
        if (!differs(piece, at))
            continue;
        while (end < piece->len && differs(piece, end))
            end += VHD_SECTOR_BYTES;
        if (!write_span(copy, piece->start + at, piece->wanted + at, end - at, error))
            return false;
    }
    return true;
}

/* What will be read from start on is asked for. An error is told when it is read. */
static void look_ahead(VhdOpCopy *copy, uint64_t start, uint64_t end)
{
    uint64_t limit = MIN(end, start + VHD_CHAIN_AHEAD_BYTES), len;
    for (copy->ahead = MAX(copy->ahead, start); copy->ahead < limit; copy->ahead += len) {
        uint64_t most = MIN(end, copy->ahead + VHD_CHAIN_AHEAD_BYTES);
        VhdChainRun wanted, seen;
        if (!find_run(copy->from, copy->ahead, most, &wanted, NULL) ||
            !find_run(copy->seen, copy->ahead, copy->ahead + wanted.len, &seen, NULL))
            return;
        len = wanted.len = seen.len = MIN(wanted.len, seen.len);
        if (is_known_equal(copy, &wanted, &seen))
            continue;
        vhd_chain_run_ahead(copy->from, &wanted);
        vhd_chain_run_ahead(copy->seen, &seen);
    }
}

/* [start, end) lies in one run of each, and is a part of what goes up to copy_end. */
static bool copy_runs(VhdOpCopy *copy, const VhdChainRun *wanted, const VhdChainRun *seen,
                      uint64_t end, uint64_t copy_end, Piece *piece, GError **error)
{
    uint64_t start = wanted->start;
    for (uint64_t done = 0; start + done < end; done += piece->len) {
        piece->start = start + done;
        piece->len = (size_t)MIN(end - piece->start, CHUNK_BYTES);
        look_ahead(copy, piece->start, copy_end);
        if (!load(copy->from, wanted, done, piece->wanted, piece->len, error) ||
            !load(copy->seen, seen, done, piece->seen, piece->len, error) ||
            !write_differing(copy, piece, error))
            return false;
    }
    return true;
}

static bool stopped(const VhdOpCopy *copy, uint64_t at, GError **error)
{
    double bytes = (double)vhd_chain_sectors(copy->from) * VHD_SECTOR_BYTES;
    if (!copy->stop || !copy->stop(copy->data, (double)at / bytes))
        return false;
    g_set_error(error, VHD_ERROR, VHD_ERROR_INVALID, "%s: interrupted",
                vhd_image_name(vhd_chain_layer(copy->from, 0)));
    return true;
}

static bool copy_range(VhdOpCopy *copy, uint64_t start, uint64_t end, Piece *piece, GError **error)
{
    for (uint64_t at = start, next; at < end; at = next) {
        uint64_t limit = MIN(end, at + RUN_BYTES_MAX);
        VhdChainRun wanted, seen;
        if (stopped(copy, at, error) || !find_run(copy->from, at, limit, &wanted, error) ||
            !find_run(copy->seen, at, at + wanted.len, &seen, error))
            return false;
        next = at + MIN(wanted.len, seen.len);
        if (!is_known_equal(copy, &wanted, &seen) &&
            !copy_runs(copy, &wanted, &seen, next, end, piece, error))
            return false;
    }
    return true;
}

bool vhd_op_copy(VhdOpCopy *copy, uint64_t start, uint64_t end, GError **error)
{
    g_autofree uint8_t *wanted = g_malloc(CHUNK_BYTES);
    g_autofree uint8_t *seen = g_malloc(CHUNK_BYTES);
    Piece piece = {.wanted = wanted, .seen = seen};
    return copy_range(copy, start, end, &piece, error);
}

/* As copy_runs, up to the first chunk that differs. */
static bool runs_equal(const VhdOpCopy *copy, const VhdChainRun *a, const VhdChainRun *b,
                       uint64_t end, Piece *piece, bool *equal, GError **error)
{
    uint64_t start = a->start;
    for (uint64_t done = 0; *equal && start + done < end; done += piece->len) {
        piece->len = (size_t)MIN(end - start - done, CHUNK_BYTES);
        if (!load(copy->from, a, done, piece->wanted, piece->len, error) ||
            !load(copy->seen, b, done, piece->seen, piece->len, error))
            return false;
        *equal = memcmp(piece->wanted, piece->seen, piece->len) == 0;
    }
    return true;
}

bool vhd_op_equal(VhdChain *a, VhdChain *b, uint64_t start, uint64_t end, bool *equal,
                  GError **error)
{
    VhdOpCopy copy = {.from = a, .seen = b};
    g_autofree uint8_t *wanted = g_malloc(CHUNK_BYTES);
    g_autofree uint8_t *seen = g_malloc(CHUNK_BYTES);
    Piece piece = {.wanted = wanted, .seen = seen};
    *equal = true;
    for (uint64_t at = start, next; *equal && at < end; at = next) {
        VhdChainRun x, y;
        if (!find_run(a, at, end, &x, error) || !find_run(b, at, at + x.len, &y, error))
            return false;
        next = at + MIN(x.len, y.len);
        if (!is_known_equal(&copy, &x, &y) &&
            !runs_equal(&copy, &x, &y, next, &piece, equal, error))
            return false;
    }
    return true;
}
