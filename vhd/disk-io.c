/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
#include "vhd/disk-private.h"

#include <errno.h>
#include <string.h>

/* Elements of an iovec that one transfer takes: what the kernel takes at most where it can be
 * passed on as it is, and what is reasonable on the stack where it has to be cut. */
#define IOV_MOST  1024
#define IOV_SLICE 256

#define UPDATE_BYTES (256 * 1024) /* read at once by what reads before it writes */

/* Extents that a STATUS looks at, each of which may cost reading a bitmap. */
#define STATUS_EXTENTS 1024

/* Where in an iovec a request has got to. */
typedef struct Cursor {
    const struct iovec *iov; /* the current element */
    size_t done;             /* bytes of it that are behind us */
} Cursor;

/* Move on to the next element that has bytes left. */
static void cursor_settle(Cursor *cursor)
{
    while (cursor->done == cursor->iov->iov_len) {
        cursor->iov++;
        cursor->done = 0;
    }
}

/* The next bytes, at most len, as an iovec: *out points into the caller's where its elements fit
 * whole, else to slice. Returns their number of bytes, at least 1, and moves on. len is left in the
 * iovec. */
static uint64_t cursor_take(Cursor *cursor, uint64_t len, struct iovec slice[static IOV_SLICE],
                            const struct iovec **out, int *count)
{
    const struct iovec *start;
    uint64_t bytes = 0;
    int n = 0;

    cursor_settle(cursor);
    start = cursor->iov;
    if (cursor->done == 0) {
        while (bytes < len && n < IOV_MOST && start[n].iov_len <= len - bytes)
            bytes += start[n++].iov_len;
        if (bytes == len || n == IOV_MOST) {
            cursor->iov += n;
            *out = start;
            *count = n;
            return bytes;
        }
    }
    for (n = 0, bytes = 0; bytes < len && n < IOV_SLICE; n++) {
        size_t most;

        cursor_settle(cursor);
        most = cursor->iov->iov_len - cursor->done;
        slice[n].iov_base = (char *)cursor->iov->iov_base + cursor->done;
        slice[n].iov_len = len - bytes < most ? (size_t)(len - bytes) : most;
        cursor->done += slice[n].iov_len;
        bytes += slice[n].iov_len;
    }
    *out = slice;
    *count = n;
    return bytes;
}

static void zero_fill(Cursor *cursor, uint64_t len)
{
    while (len > 0) {
        size_t bytes;

        cursor_settle(cursor);
        bytes = cursor->iov->iov_len - cursor->done;
        bytes = len < bytes ? (size_t)len : bytes;
        memset((char *)cursor->iov->iov_base + cursor->done, 0, bytes);
        cursor->done += bytes;
        len -= bytes;
    }
}

/* vhd_file_readv and the like. */
typedef int Transfer(VhdFile *file, VhdIoKind kind, uint64_t off, const struct iovec *iov,
                     int iovcnt);

/* Transfer len bytes between file and where cursor is. One system call, but for iovecs of very many
 * pieces. */
static int transfer(Transfer *call, VhdFile *file, uint64_t off, uint64_t len, Cursor *cursor)
{
    struct iovec slice[IOV_SLICE];

    while (len > 0) {
        const struct iovec *iov;
        int count, err;
        uint64_t bytes = cursor_take(cursor, len, slice, &iov, &count);

        err = call(file, VHD_IO_DATA, off, iov, count);
        if (err)
            return err;
        off += bytes;
        len -= bytes;
    }
    return 0;
}

/* Over len bytes, which are left in the iovec. */
static void cursor_skip(Cursor *cursor, uint64_t len)
{
    while (len > 0) {
        size_t bytes;

        cursor_settle(cursor);
        bytes = cursor->iov->iov_len - cursor->done;
        bytes = len < bytes ? (size_t)len : bytes;
        cursor->done += bytes;
        len -= bytes;
    }
}

/* What the file system says, in the few words that VhdRequest.done has. -EINVAL is what it says of
 * a file, not of the request, which has been checked. */
static int plain_error(int err)
{
    switch (err) {
    case 0:
    case -EROFS:
        return err;
    case -ENOSPC:
    case -EDQUOT:
    case -EFBIG:
        return -ENOSPC;
    default:
        return -EIO;
    }
}

/* What is where; only from memory: -EAGAIN where that does not say. */
typedef int Find(const VhdDiskLayers *layers, uint64_t sector, uint64_t max_sectors,
                 VhdExtent *extent);

static int find(const VhdDiskLayers *layers, uint64_t sector, uint64_t max_sectors,
                VhdExtent *extent)
{
    return layers->owners ? vhd_owners_map(layers->owners, sector, max_sectors, extent)
                          : vhd_chain_map(layers->chain, sector, max_sectors, extent);
}

static int find_now(const VhdDiskLayers *layers, uint64_t sector, uint64_t max_sectors,
                    VhdExtent *extent)
{
    if (!layers->owners) /* one layer, whose bitmaps say nothing to who reads it */
        return vhd_chain_map(layers->chain, sector, max_sectors, extent);
    return vhd_owners_find(layers->owners, sector, max_sectors, extent) ? 0 : -EAGAIN;
}

static int read_extents(const VhdDiskLayers *layers, const VhdRequest *request, Find *find_extent,
                        Transfer *call)
{
    uint64_t sector = request->off / VHD_SECTOR_BYTES, left = request->len / VHD_SECTOR_BYTES;
    Cursor cursor = {.iov = request->iov};

    while (left > 0) {
        VhdExtent extent;
        int err = find_extent(layers, sector, left, &extent);

        if (err)
            return err;
        if (extent.layer < 0)
            zero_fill(&cursor, extent.sectors * VHD_SECTOR_BYTES);
        else
            err = transfer(call,
                           vhd_image_file(vhd_chain_layer(layers->chain, (unsigned)extent.layer)),
                           extent.off, extent.sectors * VHD_SECTOR_BYTES, &cursor);
        if (err)
            return err;
        sector += extent.sectors;
        left -= extent.sectors;
    }
    return 0;
}

static int io_read(const VhdDiskLayers *layers, const VhdRequest *request)
{
    return read_extents(layers, request, find, vhd_file_readv);
}

/* Write what write has a place for. */
static int write_placed(const VhdDiskLayers *layers, const VhdImageWrite *write, Transfer *call,
                        Cursor *cursor)
{
    VhdImage *image = vhd_chain_layer(layers->chain, 0);
    int err = transfer(call, vhd_image_file(image), write->off,
                       (uint64_t)write->sectors * VHD_SECTOR_BYTES, cursor);
    int end_err = vhd_image_end_write(image, write, err == 0);

    if (err || end_err)
        return err ? err : end_err;
    if (layers->owners && write->publish)
        vhd_owners_take(layers->owners, write->sector, write->sectors);
    return 0;
}

/* Write len bytes from where cursor is. */
static int io_write(const VhdDiskLayers *layers, uint64_t off, uint64_t len, Cursor cursor)
{
    VhdImage *image = vhd_chain_layer(layers->chain, 0);
    uint64_t sector = off / VHD_SECTOR_BYTES, left = len / VHD_SECTOR_BYTES;

    while (left > 0) {
        VhdImageWrite write;
        int err = vhd_image_begin_write(image, sector, left, &write);

        if (!err)
            err = write_placed(layers, &write, vhd_file_writev, &cursor);
        if (err)
            return err;
        sector += write.sectors;
        left -= write.sectors;
    }
    return 0;
}

static int read_piece(const VhdDiskLayers *layers, uint64_t off, uint8_t *buffer, size_t len)
{
    struct iovec iov = {buffer, len};
    VhdRequest piece = {.op = VHD_OP_READ, .off = off, .len = len, .iov = &iov, .iovcnt = 1};

    return plain_error(io_read(layers, &piece));
}

/* The number of bytes at the beginning of data that equal those at cursor; moves on by them. */
static size_t same_bytes(Cursor *cursor, const uint8_t *data, size_t len)
{
    size_t done = 0;

    while (done < len) {
        const uint8_t *expected;
        size_t part, same = 0;

        cursor_settle(cursor);
        expected = (const uint8_t *)cursor->iov->iov_base + cursor->done;
        part = MIN(cursor->iov->iov_len - cursor->done, len - done);
        if (memcmp(expected, data + done, part) == 0)
            same = part;
        else
            while (same < part && expected[same] == data[done + same])
                same++;
        cursor->done += same;
        done += same;
        if (same < part)
            break;
    }
    return done;
}

/* 0: all equal; -EILSEQ: request->same of them are. */
static int compare(const VhdDiskLayers *layers, VhdRequest *request, uint8_t *buffer)
{
    Cursor cursor = {.iov = request->iov};

    while (request->same < request->len) {
        size_t bytes = (size_t)MIN(request->len - request->same, UPDATE_BYTES), same;
        int err = read_piece(layers, request->off + request->same, buffer, bytes);

        if (err)
            return err;
        same = same_bytes(&cursor, buffer, bytes);
        request->same += same;
        if (same < bytes)
            return -EILSEQ;
    }
    return 0;
}

static int io_compare_and_write(const VhdDiskLayers *layers, VhdRequest *request, uint8_t *buffer)
{
    Cursor cursor = {.iov = request->iov};
    int err = compare(layers, request, buffer);

    if (err)
        return err;
    cursor_skip(&cursor, request->len);
    return plain_error(io_write(layers, request->off, request->len, cursor));
}

/* buffer |= the next len bytes at cursor */
static void or_bytes(Cursor *cursor, uint8_t *buffer, size_t len)
{
    while (len > 0) {
        const uint8_t *bits;
        size_t part;

        cursor_settle(cursor);
        bits = (const uint8_t *)cursor->iov->iov_base + cursor->done;
        part = MIN(cursor->iov->iov_len - cursor->done, len);
        for (size_t i = 0; i < part; i++)
            buffer[i] |= bits[i];
        cursor->done += part;
        buffer += part;
        len -= part;
    }
}

static int io_or_write(const VhdDiskLayers *layers, const VhdRequest *request, uint8_t *buffer)
{
    Cursor cursor = {.iov = request->iov};

    for (uint64_t done = 0; done < request->len;) {
        struct iovec iov = {buffer, (size_t)MIN(request->len - done, UPDATE_BYTES)};
        int err = read_piece(layers, request->off + done, buffer, iov.iov_len);

        if (err)
            return err;
        or_bytes(&cursor, buffer, iov.iov_len);
        err = io_write(layers, request->off + done, iov.iov_len, (Cursor){.iov = &iov});
        if (err)
            return plain_error(err);
        done += iov.iov_len;
    }
    return 0;
}

/* What reads before it writes, with errors as VhdRequest.done has them. The range is held against
 * all other writes meanwhile. */
static int io_update(const VhdDiskLayers *layers, VhdRequest *request)
{
    uint8_t *buffer = g_try_malloc((gsize)MIN(request->len, UPDATE_BYTES));
    int err = -ENOMEM;

    if (buffer)
        err = request->op == VHD_OP_OR_WRITE ? io_or_write(layers, request, buffer)
                                             : io_compare_and_write(layers, request, buffer);
    g_free(buffer);
    return err;
}

static int io_status(const VhdDiskLayers *layers, VhdRequest *request)
{
    uint64_t sector = request->off / VHD_SECTOR_BYTES, left = request->len / VHD_SECTOR_BYTES;

    for (unsigned looked = 0; left > 0 && looked < STATUS_EXTENTS; looked++) {
        VhdDiskRun *last = request->run_count ? &request->runs[request->run_count - 1] : NULL;
        VhdExtent extent;
        int err = vhd_chain_map(layers->chain, sector, left, &extent);

        if (err)
            return err;
        if (!last || last->mapped != (extent.layer >= 0)) {
            if (request->run_count == request->run_room)
                break;
            last = &request->runs[request->run_count++];
            *last = (VhdDiskRun){.mapped = extent.layer >= 0};
        }
        last->len += extent.sectors * VHD_SECTOR_BYTES;
        sector += extent.sectors;
        left -= extent.sectors;
    }
    return 0;
}

static int io_write_zeroes(const VhdDiskLayers *layers, uint64_t sector, uint64_t sectors)
{
    int err = vhd_image_write_zeroes(vhd_chain_layer(layers->chain, 0), sector, sectors);

    if (layers->owners)
        (err ? vhd_owners_forget : vhd_owners_take)(layers->owners, sector, sectors);
    return err;
}

static int run(const VhdDiskLayers *layers, VhdRequest *request)
{
    uint64_t sector = request->off / VHD_SECTOR_BYTES, sectors = request->len / VHD_SECTOR_BYTES;

    switch (request->op) {
    case VHD_OP_READ:
        return io_read(layers, request);
    case VHD_OP_WRITE:
        return io_write(layers, request->off, request->len, (Cursor){.iov = request->iov});
    case VHD_OP_WRITE_ZEROES:
        return io_write_zeroes(layers, sector, sectors);
    case VHD_OP_UNMAP: /* of a child: which layer has a sector stays as it is */
        return vhd_image_unmap(vhd_chain_layer(layers->chain, 0), sector, sectors);
    case VHD_OP_FLUSH:
        return vhd_disk_io_flush(layers->chain);
    case VHD_OP_STATUS:
        return io_status(layers, request);
    default:
        return -EINVAL;
    }
}

int vhd_disk_io(const VhdDiskLayers *layers, VhdRequest *request)
{
    if (request->op == VHD_OP_COMPARE_AND_WRITE || request->op == VHD_OP_OR_WRITE)
        return io_update(layers, request);
    return plain_error(run(layers, request));
}

static int write_now(const VhdDiskLayers *layers, const VhdRequest *request)
{
    Cursor cursor = {.iov = request->iov};
    VhdImageWrite write;
    int err = vhd_image_begin_write_now(vhd_chain_layer(layers->chain, 0),
                                        request->off / VHD_SECTOR_BYTES,
                                        request->len / VHD_SECTOR_BYTES, &write);

    return err ? err : write_placed(layers, &write, vhd_file_writev_now, &cursor);
}

int vhd_disk_io_now(const VhdDiskLayers *layers, const VhdRequest *request)
{
    int err = request->op == VHD_OP_READ
                  ? read_extents(layers, request, find_now, vhd_file_readv_now)
                  : write_now(layers, request);

    return err ? -EAGAIN : 0;
}

int vhd_disk_io_flush(VhdChain *chain)
{
    VhdImage *top = vhd_chain_layer(chain, 0);

    return vhd_image_writable(top) ? plain_error(vhd_image_flush(top)) : 0;
}
