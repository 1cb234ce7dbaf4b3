/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
#include "tests/model/ops.h"

#include <glib.h>

#define GUARD_BYTES 24
#define GUARD_VALUE 0xA5

static const char *const kind_names[] = {
    [VHD_OP_READ] = "read",
    [VHD_OP_WRITE] = "write",
    [VHD_OP_FLUSH] = "flush",
    [VHD_OP_UNMAP] = "unmap",
    [VHD_OP_WRITE_ZEROES] = "write of zeros",
};

static bool has_data(VhdOp kind)
{
    return kind == VHD_OP_READ || kind == VHD_OP_WRITE;
}

static void fill_sector(const Op *op, uint64_t sector, uint8_t *bytes)
{
    for (unsigned i = 0; i < SECTOR_WORDS; i++) {
        uint64_t word = (uint64_t)op->id << 32 | (uint32_t)(sector * SECTOR_WORDS + i);

        if (op->zeros)
            word = 0;
        memcpy(bytes + i * sizeof word, &word, sizeof word);
    }
}

static unsigned choose_pieces(Rng *rng, uint64_t units)
{
    uint64_t most[] = {1, 1, 4, 40, 700};
    uint64_t pieces = rng_range(rng, 1, most[rng_below(rng, G_N_ELEMENTS(most))]);

    return (unsigned)MIN(pieces, units);
}

/* Cut len bytes at multiples of cut into pieces, some of them empty, guards between them. */
static void cut_pieces(Op *op, Rng *rng, uint64_t len, unsigned cut)
{
    unsigned pieces = choose_pieces(rng, len / cut);
    uint64_t left = len;
    uint8_t *at;

    op->arena_bytes = len + (pieces + 1) * GUARD_BYTES;
    op->arena = g_malloc(op->arena_bytes);
    memset(op->arena, GUARD_VALUE, op->arena_bytes);
    op->iov = g_new(struct iovec, pieces);
    at = op->arena + GUARD_BYTES;
    for (unsigned i = 0; i < pieces; i++) {
        uint64_t share = 2 * (left / cut) / (pieces - i);
        uint64_t bytes = i == pieces - 1 ? left : rng_below(rng, share + 1) * cut;

        bytes = MIN(bytes, left);
        op->iov[i] = (struct iovec){at, bytes};
        at += bytes + GUARD_BYTES;
        left -= bytes;
    }
    op->request.iov = op->iov;
    op->request.iovcnt = (int)pieces;
}

static void scatter(const Op *op, const uint8_t *flat)
{
    for (int i = 0; i < op->request.iovcnt; i++) {
        memcpy(op->iov[i].iov_base, flat, op->iov[i].iov_len);
        flat += op->iov[i].iov_len;
    }
}

void op_gather(const Op *op, uint8_t *flat)
{
    for (int i = 0; i < op->request.iovcnt; i++) {
        memcpy(flat, op->iov[i].iov_base, op->iov[i].iov_len);
        flat += op->iov[i].iov_len;
    }
}

bool op_guards_ok(const Op *op)
{
    const uint8_t *at = op->arena;

    for (int i = 0; i <= op->request.iovcnt && at; i++) {
        for (unsigned k = 0; k < GUARD_BYTES; k++)
            if (at[k] != GUARD_VALUE)
                return false;
        if (i < op->request.iovcnt)
            at += GUARD_BYTES + op->iov[i].iov_len;
    }
    return true;
}

static void on_done(VhdRequest *request, int result)
{
    Op *op = request->data;

    pthread_mutex_lock(&op->lock);
    op->result = result;
    op->is_done = true;
    pthread_cond_signal(&op->done);
    pthread_mutex_unlock(&op->lock);
}

void op_init(Op *op, Rng *rng, VhdOp kind, uint64_t sector, uint64_t sectors, uint32_t id,
             unsigned cut)
{
    *op = (Op){.sector = sector, .sectors = sectors, .id = id};
    op->zeros = rng_one_in(rng, 10);
    op->request = (VhdRequest){
        .op = kind,
        .fua = rng_one_in(rng, 12),
        .off = sector * SECTOR_BYTES,
        .len = sectors * SECTOR_BYTES,
        .done = on_done,
        .data = op,
    };
    pthread_mutex_init(&op->lock, NULL);
    pthread_cond_init(&op->done, NULL);
    if (!has_data(kind))
        return;
    cut_pieces(op, rng, op->request.len, cut);
    if (kind != VHD_OP_WRITE)
        return;
    g_autofree uint8_t *flat = g_malloc(op->request.len);
    for (uint64_t i = 0; i < sectors; i++)
        fill_sector(op, sector + i, flat + i * SECTOR_BYTES);
    scatter(op, flat);
}

void op_free(Op *op)
{
    pthread_mutex_destroy(&op->lock);
    pthread_cond_destroy(&op->done);
    g_free(op->arena);
    g_free(op->iov);
}

VhdOp op_choose_kind(Rng *rng)
{
    uint64_t roll = rng_below(rng, 100);

    return roll < 35   ? VHD_OP_READ
           : roll < 72 ? VHD_OP_WRITE
           : roll < 84 ? VHD_OP_WRITE_ZEROES
           : roll < 96 ? VHD_OP_UNMAP
                       : VHD_OP_FLUSH;
}

void op_submit(Op *op, VhdDisk *disk)
{
    if (op->id % 2 && vhd_disk_try(disk, &op->request))
        on_done(&op->request, 0);
    else
        vhd_disk_submit(disk, &op->request);
}

int op_wait(Op *op)
{
    pthread_mutex_lock(&op->lock);
    while (!op->is_done)
        pthread_cond_wait(&op->done, &op->lock);
    pthread_mutex_unlock(&op->lock);
    return op->result;
}

/* An unmapped sector that a child does not have itself goes on showing its parent's. */
static void apply_unmap(const Op *op, bool child, uint8_t *content, const uint8_t *present)
{
    for (uint64_t sector = op->sector; sector < op->sector + op->sectors; sector++)
        if (!child || present[sector])
            memset(content + sector * SECTOR_BYTES, 0, SECTOR_BYTES);
}

void op_apply(const Op *op, bool child, uint8_t *content, uint8_t *present)
{
    if (op->request.op == VHD_OP_UNMAP)
        apply_unmap(op, child, content, present);
    if (op->request.op != VHD_OP_WRITE && op->request.op != VHD_OP_WRITE_ZEROES)
        return;
    for (uint64_t sector = op->sector; sector < op->sector + op->sectors; sector++) {
        if (op->request.op == VHD_OP_WRITE)
            fill_sector(op, sector, content + sector * SECTOR_BYTES);
        else
            memset(content + sector * SECTOR_BYTES, 0, SECTOR_BYTES);
        present[sector] = 1;
    }
}

char *op_describe(const Op *op)
{
    return g_strdup_printf("request %u, %s of %" G_GUINT64_FORMAT
                           " sectors at sector %" G_GUINT64_FORMAT ", %d pieces%s",
                           op->id, kind_names[op->request.op], op->sectors, op->sector,
                           op->request.iovcnt, op->request.fua ? ", fua" : "");
}
