/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * UNMAP, and WRITE SAME with the UNMAP bit: cut into pieces, each a tcmur_cmd of
 * its own that shares the parent's lib_cmd.  As in the host, the error of a
 * piece that was queued is lost, that of a piece refused at once is not.
 */
#include <stdlib.h>

#include "host-symbols.h"
#include "runner-private.h"

enum { UNMAP_MAX_DESCRIPTORS = 4, UNMAP_HEADER = 8, UNMAP_DESCRIPTOR = 16 };

/* What the pieces of one command share; the parent's cmd_state. */
struct unmap_shared {
    pthread_mutex_t lock;
    unsigned references; /* one a piece, one while pieces are made */
    int status;
};

/* A piece's cmd_state, in bytes. */
struct unmap_piece {
    uint64_t off, len;
};

static struct unmap_shared *shared_of(const RunnerCommand *parent)
{
    return runner_command_load(parent).cmd_state;
}

static int shared_init(RunnerCommand *parent)
{
    struct unmap_shared *shared;

    if (!runner_command_state_init(parent, sizeof *shared, 0))
        return TCMU_STS_NO_RESOURCE;
    shared = shared_of(parent);
    pthread_mutex_init(&shared->lock, NULL);
    shared->references = 1;
    return TCMU_STS_OK;
}

static void shared_ref(RunnerCommand *parent)
{
    struct unmap_shared *shared = shared_of(parent);

    pthread_mutex_lock(&shared->lock);
    shared->references++;
    pthread_mutex_unlock(&shared->lock);
}

/*
 * Drops a reference; the last one ends the command.  As in the host, an error
 * that comes this way counts only where there is one already; that no worker was
 * left to run the piece counts always.
 */
static void shared_unref(RunnerCommand *parent, int status)
{
    struct unmap_shared *shared = shared_of(parent);
    bool last;

    pthread_mutex_lock(&shared->lock);
    if (status == RUNNER_STRANDED ||
        (shared->status != TCMU_STS_OK && shared->status != RUNNER_STRANDED && status))
        shared->status = status;
    status = shared->status;
    last = --shared->references == 0;
    pthread_mutex_unlock(&shared->lock);
    if (!last)
        return;
    pthread_mutex_destroy(&shared->lock);
    runner_command_state_free(parent);
    runner_finish(parent, status);
}

/* Ends a piece's record and memory. */
static RunnerCommand *piece_end(RunnerCommand *piece)
{
    RunnerCommand *parent = piece->parent;

    free(runner_command_load(piece).cmd_state);
    pthread_mutex_lock(&piece->device->lock);
    runner_command_bury_locked(piece);
    pthread_mutex_unlock(&piece->device->lock);
    return parent;
}

static void piece_done(RunnerDevice *device, struct tcmur_cmd *tcmur_cmd, int status)
{
    shared_unref(piece_end(runner_command_of(device, tcmur_cmd)), status);
}

static int work_unmap(RunnerCommand *piece)
{
    struct unmap_piece *range = runner_command_load(piece).cmd_state;
    RunnerPlace before = runner_callback_enter(piece->cdb, "unmap");
    int status =
        piece->device->handler->ops->unmap(piece->device, piece->tcmur_cmd, range->off, range->len);

    runner_callback_leave(&before);
    return status;
}

/* Hands one piece to the handler.  ASYNC_HANDLED or an error. */
static int piece_start(RunnerCommand *parent, uint64_t lba, uint64_t blocks)
{
    uint32_t block_size = parent->device->block_size;
    RunnerCommand *piece = runner_command_new_piece(parent);
    struct tcmur_cmd value = runner_command_load(piece);
    struct unmap_piece *range = calloc(1, sizeof *range);
    int status;

    if (!range)
        abort();
    *range = (struct unmap_piece){.off = lba * block_size, .len = blocks * block_size};
    value.cmd_state = range;
    value.done = piece_done;
    runner_command_store(piece, &value);
    shared_ref(parent);
    status = runner_schedule(piece, work_unmap);
    if (status != TCMU_STS_ASYNC_HANDLED) {
        struct unmap_shared *shared = shared_of(piece_end(piece));
        pthread_mutex_lock(&shared->lock);
        shared->references--;
        pthread_mutex_unlock(&shared->lock);
    }
    return status;
}

/* Cuts a range into pieces.  ASYNC_HANDLED or an error. */
static int cut(RunnerCommand *parent, uint64_t lba, uint64_t blocks)
{
    RunnerDevice *device = parent->device;
    uint64_t most = device->split_unmaps ? device->opt_unmap_gran : device->max_unmap_len;
    uint64_t mask = device->split_unmaps ? (uint64_t)device->unmap_gran_align - 1 : 0;
    uint64_t part = MIN(most - (lba & mask), blocks);
    int status = TCMU_STS_NOT_HANDLED;

    while (blocks > 0) {
        if (part == 0)
            runner_fail(parent->cdb, "unmap limits of 0: the host would loop forever");
        status = piece_start(parent, lba, part);
        if (status != TCMU_STS_ASYNC_HANDLED)
            break;
        lba += part;
        blocks -= part;
        part = MIN(most, blocks);
    }
    return status;
}

/* Ends the making of pieces; status is that of the last one. */
static int cut_end(RunnerCommand *parent, int status)
{
    struct unmap_shared *shared = shared_of(parent);

    if (status == TCMU_STS_ASYNC_HANDLED)
        status = TCMU_STS_OK;
    if (status != TCMU_STS_OK) {
        pthread_mutex_lock(&shared->lock);
        shared->status = status;
        pthread_mutex_unlock(&shared->lock);
    }
    shared_unref(parent, status);
    return TCMU_STS_ASYNC_HANDLED;
}

/* One descriptor of the parameter list. */
static int descriptor(RunnerCommand *command, const uint8_t *bytes)
{
    uint64_t lba = runner_get_be(bytes, 8), blocks = runner_get_be(bytes + 8, 4);
    int status;

    if (blocks > command->device->max_unmap_len)
        return TCMU_STS_INVALID_PARAM_LIST;
    status = runner_check_range(command->device, lba, blocks);
    if (status != TCMU_STS_OK || blocks == 0)
        return status == TCMU_STS_OK ? TCMU_STS_ASYNC_HANDLED : status;
    return cut(command, lba, blocks);
}

int runner_unmap_command(RunnerCommand *command)
{
    struct tcmulib_cmd *lib_cmd = command->lib_cmd;
    uint8_t list[UNMAP_HEADER + UNMAP_MAX_DESCRIPTORS * UNMAP_DESCRIPTOR] = {0};
    size_t length = tcmu_cdb_get_xfer_length(lib_cmd->cdb), described;
    int status;

    if (!command->device->handler->ops->unmap)
        return TCMU_STS_INVALID_CMD;
    if (lib_cmd->cdb[1] & 1) /* ANCHOR */
        return TCMU_STS_INVALID_CDB;
    if (length == 0)
        return TCMU_STS_OK;
    if (length < UNMAP_HEADER || tcmu_iovec_length(lib_cmd->iovec, lib_cmd->iov_cnt) < length)
        return TCMU_STS_INVALID_PARAM_LIST_LEN;
    tcmu_memcpy_from_iovec(list, MIN(length, sizeof list), lib_cmd->iovec, lib_cmd->iov_cnt);
    described = runner_get_be(list + 2, 2) / UNMAP_DESCRIPTOR;
    if (described == 0)
        return TCMU_STS_OK;
    if (described > UNMAP_MAX_DESCRIPTORS)
        return TCMU_STS_INVALID_PARAM_LIST;

    status = shared_init(command);
    if (status != TCMU_STS_OK)
        return status;
    status = TCMU_STS_ASYNC_HANDLED;
    for (size_t d = 0; d < described && status == TCMU_STS_ASYNC_HANDLED; d++)
        status = descriptor(command, list + UNMAP_HEADER + d * UNMAP_DESCRIPTOR);
    return cut_end(command, status);
}

/* NOT_HANDLED: the range is not aligned, it has to be written. */
int runner_unmap_of_write_same(RunnerCommand *command)
{
    uint8_t *cdb = command->lib_cmd->cdb;
    uint64_t lba = tcmu_cdb_get_lba(cdb), blocks = tcmu_cdb_get_xfer_length(cdb);
    uint32_t alignment = command->device->unmap_gran_align;
    int status;

    if (alignment == 0)
        runner_fail(cdb, "unmap alignment of 0: the host divides by it");
    if (lba % alignment || blocks % alignment)
        return TCMU_STS_NOT_HANDLED;
    status = shared_init(command);
    if (status != TCMU_STS_OK)
        return status;
    return cut_end(command, cut(command, lba, blocks));
}
