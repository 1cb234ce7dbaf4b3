/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
#include "handler/verify.h"

#include "handler/command.h"
#include "handler/io.h"
#include "handler/iovecs.h"
#include "handler/sense.h"

#define PIECE_BYTES (256 * 1024) /* read at once */

typedef struct Verify {
    Io io;
    const struct iovec *expected; /* the host's; NULL: only read */
    size_t expected_cnt;
    uint64_t done, len; /* bytes */
    struct iovec piece;
    uint8_t *buffer;
} Verify;

static void verify_release(Io *io)
{
    g_free(((Verify *)io)->buffer);
}

static void verify_submit(Verify *verify, uint64_t off)
{
    verify->piece.iov_len = (size_t)MIN(verify->len - verify->done, PIECE_BYTES);
    verify->io.request.off = off;
    verify->io.request.len = verify->piece.iov_len;
    io_submit(&verify->io);
}

static void verify_step(Io *io)
{
    Verify *verify = (Verify *)io;
    size_t same = verify->piece.iov_len;

    if (io->result < 0) {
        io_complete(io, io_status(io));
        return;
    }
    if (verify->expected)
        same = iovecs_same(verify->expected, verify->expected_cnt, verify->done, verify->buffer,
                           verify->piece.iov_len);
    if (same < verify->piece.iov_len) {
        io_complete(io, sense_miscompare(command_lib(io->cmd), verify->done + same));
        return;
    }
    verify->done += verify->piece.iov_len;
    if (verify->done == verify->len)
        io_complete(io, TCMU_STS_OK);
    else
        verify_submit(verify, io->request.off + verify->piece.iov_len);
}

int verify_start(Lun *lun, struct tcmur_cmd *cmd, uint64_t off, uint64_t len,
                 const struct iovec *iov, size_t iov_cnt)
{
    Verify *verify = (Verify *)io_new(lun, cmd, sizeof *verify, verify_step);

    if (!verify)
        return TCMU_STS_NO_RESOURCE;
    verify->io.release = verify_release;
    verify->buffer = g_try_malloc((gsize)MIN(len, PIECE_BYTES));
    if (!verify->buffer)
        return io_abandon(&verify->io, TCMU_STS_NO_RESOURCE);
    verify->expected = iov_cnt > 0 ? iov : NULL;
    verify->expected_cnt = iov_cnt;
    verify->len = len;
    verify->piece.iov_base = verify->buffer;
    verify->io.request.op = VHD_OP_READ;
    verify->io.request.iov = &verify->piece;
    verify->io.request.iovcnt = 1;
    verify_submit(verify, off);
    return TCMU_STS_OK;
}
