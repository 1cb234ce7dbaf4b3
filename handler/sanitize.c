/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
#include "handler/sanitize.h"

#include <stddef.h>

#include "handler/command.h"
#include "handler/io.h"
#include "handler/iovecs.h"
#include "handler/sense.h"
#include "vhd/be.h"

/* Changed at once. */
#define ZERO_BYTES    (UINT64_C(1) << 30)
#define PATTERN_BYTES (UINT64_C(1) << 20)

/* ASC and ASCQ of what is under way. */
enum { ASC_FORMAT_IN_PROGRESS = 0x0404, ASC_SANITIZE_IN_PROGRESS = 0x041b };

enum {
    HEADER_BYTES = 4,
    INVERT = 0x80, /* byte 0: each pass but the first has the pattern of the one before, inverted */
    TEST = 0x60,
    COUNT = 0x1f, /* passes */
};

/* A parameter list of OVERWRITE (SBC-3). */
typedef struct Overwrite {
    uint8_t list[HEADER_BYTES + LUN_BLOCK_BYTES];
    size_t pattern_bytes;
} Overwrite;

static int parse(struct tcmulib_cmd *lib, const struct iovec *iov, size_t iov_cnt, size_t length,
                 Overwrite *overwrite)
{
    if (length <= HEADER_BYTES || length > sizeof overwrite->list)
        return sense_invalid_field(lib, 7, 7);
    if (iovecs_copy_out(iov, iov_cnt, overwrite->list, length) < length)
        return TCMU_STS_INVALID_PARAM_LIST_LEN;
    if (overwrite->list[0] & TEST)
        return sense_invalid_parameter(lib, 0, 6);
    if ((overwrite->list[0] & COUNT) == 0)
        return sense_invalid_parameter(lib, 0, 4);
    if (overwrite->list[1] != 0)
        return sense_invalid_parameter(lib, 1, 7);
    overwrite->pattern_bytes = be16_get(overwrite->list + 2);
    if (overwrite->pattern_bytes == 0 || overwrite->pattern_bytes > LUN_BLOCK_BYTES)
        return sense_invalid_parameter(lib, 2, 7);
    if (overwrite->pattern_bytes > length - HEADER_BYTES)
        return TCMU_STS_INVALID_PARAM_LIST_LEN;
    return TCMU_STS_OK;
}

int sanitize_check(struct tcmulib_cmd *lib, size_t length)
{
    Overwrite overwrite;

    return parse(lib, lib->iovec, lib->iov_cnt, length, &overwrite);
}

typedef struct Sanitize {
    Io io;
    uint64_t left;      /* bytes, those under way included */
    struct iovec piece; /* of the pattern; no base: zeros */
} Sanitize;

static void sanitize_release(Io *io)
{
    g_free(((Sanitize *)io)->piece.iov_base);
    lun_set_not_ready(io->lun, 0);
}

static void flushed_step(Io *io)
{
    io_complete(io, io_status(io));
}

static void sanitize_step(Io *io);
static void zeroed_step(Io *io);

/* The next piece. */
static void sanitize_submit(Sanitize *sanitize, uint64_t off)
{
    VhdRequest *request = &sanitize->io.request;

    request->off = off;
    if (sanitize->piece.iov_base) {
        sanitize->piece.iov_len = (size_t)MIN(sanitize->left, PATTERN_BYTES);
        request->op = VHD_OP_WRITE;
        request->len = sanitize->piece.iov_len;
        request->iov = &sanitize->piece;
        request->iovcnt = 1;
        sanitize->io.step = sanitize_step;
    } else {
        request->op = VHD_OP_WRITE_ZEROES;
        request->len = MIN(sanitize->left, ZERO_BYTES);
        sanitize->io.step = sanitize->io.lun->discard ? zeroed_step : sanitize_step;
    }
    io_submit(&sanitize->io);
}

/* What is zero needs no blocks, either. UNMAP alone would not do: it is a hint. */
static void zeroed_step(Io *io)
{
    io->step = sanitize_step;
    if (io->result < 0) {
        sanitize_step(io);
        return;
    }
    io->request.op = VHD_OP_UNMAP;
    io_submit(io);
}

/* A piece is done. */
static void sanitize_step(Io *io)
{
    Sanitize *sanitize = (Sanitize *)io;

    if (io->result < 0) {
        io_complete(io, io_status(io));
        return;
    }
    sanitize->left -= io->request.len;
    if (sanitize->left > 0) {
        sanitize_submit(sanitize, io->request.off + io->request.len);
        return;
    }
    io->request = (VhdRequest){.op = VHD_OP_FLUSH};
    io->step = flushed_step;
    io_submit(io);
}

/* One block of what the last pass leaves: no pass before it can be told from none. In each block
 * the pattern begins anew. */
static void fill_block(const Overwrite *overwrite, uint8_t *block)
{
    bool inverted = overwrite->list[0] & INVERT && (overwrite->list[0] & COUNT) % 2 == 0;

    for (size_t i = 0; i < LUN_BLOCK_BYTES; i++)
        block[i] =
            overwrite->list[HEADER_BYTES + i % overwrite->pattern_bytes] ^ (inverted ? 0xff : 0);
}

/* Zeros need no buffer. False: no memory. */
static bool take_pattern(Sanitize *sanitize, const Overwrite *overwrite)
{
    uint8_t block[LUN_BLOCK_BYTES], *buffer;

    fill_block(overwrite, block);
    if (iovecs_are_zero(&(struct iovec){block, sizeof block}, 1))
        return true;
    buffer = g_try_malloc(PATTERN_BYTES);
    if (!buffer)
        return false;
    for (size_t at = 0; at < PATTERN_BYTES; at += sizeof block)
        memcpy(buffer + at, block, sizeof block);
    sanitize->piece.iov_base = buffer;
    return true;
}

static Sanitize *sanitize_new(Lun *lun, const Carried *carried)
{
    Sanitize *sanitize = (Sanitize *)io_new(lun, carried->cmd, sizeof *sanitize, sanitize_step);

    if (sanitize)
        sanitize->left = lun->blocks * LUN_BLOCK_BYTES;
    return sanitize;
}

static void alone(Relay *relay)
{
    Io *io = (Io *)(void *)((char *)relay - offsetof(Io, relay));

    sanitize_submit((Sanitize *)io, 0);
}

/* From here on it ends by io_complete. Commands that are done in pieces (WRITE SAME, EXTENDED COPY)
 * may be in the midst of it: what they write must not land behind us. No new ones are taken. */
static int begin(Sanitize *sanitize, uint16_t under_way)
{
    sanitize->io.release = sanitize_release;
    sanitize->io.relay.run = alone;
    lun_set_not_ready(sanitize->io.lun, under_way);
    lun_when_alone(sanitize->io.lun, &sanitize->io.relay);
    return TCMU_STS_OK;
}

int sanitize_start(Lun *lun, const Carried *carried)
{
    Sanitize *sanitize = sanitize_new(lun, carried);
    Overwrite overwrite;
    int status = TCMU_STS_OK;

    if (!sanitize)
        return TCMU_STS_NO_RESOURCE;
    if (carried->length > 0)
        status = parse(command_lib(carried->cmd), carried->iov, carried->iov_cnt,
                       (size_t)carried->length, &overwrite);
    if (status == TCMU_STS_OK && carried->length > 0 && !take_pattern(sanitize, &overwrite))
        status = TCMU_STS_NO_RESOURCE;
    if (status != TCMU_STS_OK)
        return io_abandon(&sanitize->io, status);
    return begin(sanitize, ASC_SANITIZE_IN_PROGRESS);
}

int sanitize_start_format(Lun *lun, const Carried *carried)
{
    Sanitize *sanitize = sanitize_new(lun, carried);

    return sanitize ? begin(sanitize, ASC_FORMAT_IN_PROGRESS) : TCMU_STS_NO_RESOURCE;
}
