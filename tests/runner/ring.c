/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* The ring: commands from submitters, in order, and the waiting calls on top. */
#include <errno.h>
#include <string.h>

#include "runner-private.h"
#include "scsi.h"

void runner_queue_init(RunnerQueue *queue)
{
    queue->first = NULL;
    queue->last = &queue->first;
}

void runner_queue_add(RunnerQueue *queue, RunnerCommand *command)
{
    command->next = NULL;
    *queue->last = command;
    queue->last = &command->next;
}

RunnerCommand *runner_queue_take(RunnerQueue *queue)
{
    RunnerCommand *command = queue->first;

    if (command && !(queue->first = command->next))
        queue->last = &queue->first;
    return command;
}

int runner_submit(RunnerDevice *device, const uint8_t *cdb, const struct iovec *iovec,
                  size_t iov_cnt, RunnerDone *done, void *arg)
{
    RunnerCommand *command;
    bool shut;

    if (runner_cdb_length(cdb) == 0)
        return -ENOTSUP;
    command = runner_command_new(device, cdb, iovec, iov_cnt);
    command->done = done;
    command->arg = arg;
    pthread_mutex_lock(&device->lock);
    shut = device->shut;
    if (!shut) {
        g_hash_table_insert(device->commands, command->tcmur_cmd, command);
        runner_queue_add(&device->ring, command);
        device->outstanding++;
        device->stats.accepted++;
        pthread_cond_broadcast(&device->change);
    }
    pthread_mutex_unlock(&device->lock);
    if (shut) {
        runner_command_free(command);
        return -ESHUTDOWN;
    }
    runner_progress();
    return 0;
}

/* A thread that waits for one reply. */
typedef struct Waiter {
    pthread_mutex_t lock;
    pthread_cond_t cond;
    bool done;
    RunnerReply reply;
} Waiter;

static void wake(void *arg, const RunnerReply *reply)
{
    Waiter *waiter = arg;

    pthread_mutex_lock(&waiter->lock);
    waiter->reply = *reply;
    waiter->done = true;
    pthread_cond_signal(&waiter->cond);
    pthread_mutex_unlock(&waiter->lock);
}

RunnerReply runner_execute(RunnerDevice *device, const uint8_t *cdb, const struct iovec *iovec,
                           size_t iov_cnt)
{
    Waiter waiter = {
        PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false, {.status = RUNNER_ABORTED}};

    if (runner_submit(device, cdb, iovec, iov_cnt, wake, &waiter) != 0)
        return waiter.reply;
    pthread_mutex_lock(&waiter.lock);
    while (!waiter.done)
        pthread_cond_wait(&waiter.cond, &waiter.lock);
    pthread_mutex_unlock(&waiter.lock);
    return waiter.reply;
}

RunnerReply runner_clear_attention(RunnerDevice *device)
{
    const uint8_t cdb[RUNNER_CDB_ROOM] = {SCSI_TEST_UNIT_READY};
    RunnerReply reply;

    do {
        reply = runner_execute(device, cdb, NULL, 0);
    } while (runner_reply_sense(&reply) >> 16 == 0x06);
    return reply;
}

/* Runs a CDB over one buffer. */
static RunnerReply execute_one(RunnerDevice *device, const uint8_t *cdb, void *data, size_t length)
{
    struct iovec vector = {.iov_base = data, .iov_len = length};
    return runner_execute(device, cdb, &vector, length > 0);
}

RunnerReply runner_read(RunnerDevice *device, uint64_t lba, uint32_t blocks, void *data)
{
    uint8_t cdb[RUNNER_CDB_ROOM];
    runner_cdb_read16(cdb, lba, blocks, 0);
    return execute_one(device, cdb, data, (size_t)blocks * device->block_size);
}

RunnerReply runner_write(RunnerDevice *device, uint64_t lba, uint32_t blocks, void *data)
{
    uint8_t cdb[RUNNER_CDB_ROOM];
    runner_cdb_write16(cdb, lba, blocks, 0);
    return execute_one(device, cdb, data, (size_t)blocks * device->block_size);
}

RunnerReply runner_sync(RunnerDevice *device)
{
    uint8_t cdb[RUNNER_CDB_ROOM];
    runner_cdb_sync16(cdb);
    return execute_one(device, cdb, NULL, 0);
}

RunnerReply runner_unmap(RunnerDevice *device, uint64_t lba, uint32_t blocks)
{
    uint8_t cdb[RUNNER_CDB_ROOM], list[RUNNER_UNMAP_LIST];
    runner_cdb_unmap(cdb, list, lba, blocks);
    return execute_one(device, cdb, list, sizeof list);
}

RunnerReply runner_write_same(RunnerDevice *device, uint64_t lba, uint32_t blocks, void *block,
                              bool unmap)
{
    uint8_t cdb[RUNNER_CDB_ROOM];
    runner_cdb_write_same16(cdb, lba, blocks, unmap ? RUNNER_WS_UNMAP : 0);
    return execute_one(device, cdb, block, device->block_size);
}
