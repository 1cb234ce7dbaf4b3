/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
#include "handler/verify.h"

#include <limits.h>

#include "handler/command.h"
#include "handler/io.h"
#include "handler/iovecs.h"
#include "handler/sense.h"

#define PIECE_BYTES (256 * 1024) /* read at once */

typedef struct Verify {
    Io io;
    const struct iovec *expected; /* the host's; NULL: only read */
    size_t expected_cnt;
    bool same;               /* expected is one block, for each */
    uint64_t off, done, len; /* bytes; off: of the first */
    struct iovec piece;
    uint8_t *buffer;
} Verify;

static void verify_release(Io *io)
{
    g_free(((Verify *)io)->buffer);
}

static void verify_submit(Verify *verify)
{
    VhdRequest *request = &verify->io.request;

    verify->piece.iov_len = (size_t)MIN(verify->len - verify->done, PIECE_BYTES);
    request->op = VHD_OP_READ;
    request->off = verify->off + verify->done;
    request->len = verify->piece.iov_len;
    request->iov = &verify->piece;
    request->iovcnt = 1;
    io_submit(&verify->io);
}

/* How many bytes of the piece are as expected. */
static size_t same_bytes(const Verify *verify)
{
    size_t len = verify->piece.iov_len, done = 0;

    if (!verify->expected)
        return len;
    if (!verify->same)
        return iovecs_same(verify->expected, verify->expected_cnt, verify->done, verify->buffer,
                           len);
    while (done < len) {
        size_t same = iovecs_same(verify->expected, verify->expected_cnt, 0, verify->buffer + done,
                                  LUN_BLOCK_BYTES);

        done += same;
        if (same < LUN_BLOCK_BYTES)
            break;
    }
    return done;
}

static void verify_step(Io *io)
{
    Verify *verify = (Verify *)io;
    size_t same;

    if (io->result < 0) {
        io_complete(io, io_status(io));
        return;
    }
    same = same_bytes(verify);
    verify->done += same;
    if (same < verify->piece.iov_len)
        io_complete(io, sense_miscompare(command_lib(io->cmd), verify->done));
    else if (verify->done == verify->len)
        io_complete(io, TCMU_STS_OK);
    else
        verify_submit(verify);
}

/* Without a comparison. NULL: no memory. */
static Verify *verify_new(Lun *lun, const Carried *carried)
{
    uint64_t len = carried->length * LUN_BLOCK_BYTES;
    Verify *verify = (Verify *)io_new(lun, carried->cmd, sizeof *verify, verify_step);

    if (!verify)
        return NULL;
    verify->io.release = verify_release;
    verify->buffer = g_try_malloc((gsize)MIN(len, PIECE_BYTES));
    if (!verify->buffer) {
        io_abandon(&verify->io, TCMU_STS_NO_RESOURCE);
        return NULL;
    }
    verify->off = carried->off;
    verify->len = len;
    verify->piece.iov_base = verify->buffer;
    return verify;
}

static void expect(Verify *verify, const Carried *carried)
{
    verify->expected = carried->iov_cnt > 0 ? carried->iov : NULL;
    verify->expected_cnt = carried->iov_cnt;
}

int verify_start(Lun *lun, const Carried *carried)
{
    Verify *verify = verify_new(lun, carried);

    if (!verify)
        return TCMU_STS_NO_RESOURCE;
    expect(verify, carried);
    verify_submit(verify);
    return TCMU_STS_OK;
}

int verify_start_same(Lun *lun, const Carried *carried)
{
    Verify *verify = verify_new(lun, carried);

    if (!verify)
        return TCMU_STS_NO_RESOURCE;
    expect(verify, carried);
    verify->same = true;
    verify_submit(verify);
    return TCMU_STS_OK;
}

static void written_step(Io *io)
{
    if (io->result < 0) {
        io_complete(io, io_status(io));
        return;
    }
    io->step = verify_step;
    verify_submit((Verify *)io);
}

static int start_writing(Lun *lun, const Carried *carried, bool compare)
{
    Verify *verify;
    VhdRequest *request;

    if (carried->iov_cnt > INT_MAX)
        return TCMU_STS_HW_ERR;
    verify = verify_new(lun, carried);
    if (!verify)
        return TCMU_STS_NO_RESOURCE;
    if (compare)
        expect(verify, carried);
    verify->io.step = written_step;
    request = &verify->io.request;
    request->op = VHD_OP_WRITE;
    request->fua = true; /* verified is what the medium holds */
    request->off = verify->off;
    request->len = verify->len;
    request->iov = carried->iov;
    request->iovcnt = (int)carried->iov_cnt;
    io_submit(&verify->io);
    return TCMU_STS_OK;
}

int verify_start_written(Lun *lun, const Carried *carried)
{
    return start_writing(lun, carried, false);
}

int verify_start_compared(Lun *lun, const Carried *carried)
{
    return start_writing(lun, carried, true);
}
