/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
#include <errno.h>
#include <linux/futex.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <glib.h>

#include "lane-private.h"

enum { CLOCK_EVERY = 64 }; /* requests between two looks at the clock */

/* A status of lane_call or handle_cmd: somebody completes the command later, or has done so. */
enum { QUEUED = TCMU_STS_ASYNC_HANDLED };

/* ---- completion, any thread ---- */

void lane_completed(Lane *lane, Slot *slot, int status)
{
    Slot *top = lane->completed;

    slot->status = status;
    do {
        slot->next = top;
    } while (!atomic_compare_exchange_weak(&lane->completed, &top, slot));
    if (lane->sleeping && atomic_exchange(&lane->sleeping, 0))
        syscall(SYS_futex, &lane->sleeping, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static void complete_bare(void *lane, struct tcmur_cmd *cmd, int status)
{
    struct tcmulib_cmd *lib;

    memcpy(&lib, (uint8_t *)cmd + offsetof(struct tcmur_cmd, lib_cmd), sizeof lib);
    lane_completed(lane, (Slot *)(void *)((uint8_t *)lib - offsetof(Slot, lib)), status);
}

/* Takes what was completed, the latest first; waits for it where nothing else is to do. */
static Slot *take_completed(Lane *lane, bool wait)
{
    Slot *slots = atomic_exchange(&lane->completed, NULL);

    while (!slots && wait) {
        lane->sleeping = 1;
        if (!lane->completed)
            syscall(SYS_futex, &lane->sleeping, FUTEX_WAIT_PRIVATE, 1, NULL, NULL, 0);
        lane->sleeping = 0;
        slots = atomic_exchange(&lane->completed, NULL);
    }
    return slots;
}

/* ---- the host's way of a command ---- */

int lane_call(Lane *lane, Slot *slot)
{
    uint8_t *cdb = slot->lib.cdb;
    uint64_t off = 0;

    switch (cdb[0]) {
    case 0x35: /* SYNCHRONIZE CACHE(10) */
        return lane->ops->flush(lane->device, slot->cmd);
    case 0x28:
    case 0x88:
    case 0x2a:
    case 0x8a:
        off = tcmu_cdb_get_lba(cdb) * 512;
        break;
    default:
        return TCMU_STS_INVALID_CMD;
    }
    return (cdb[0] & 2 ? lane->ops->write : lane->ops->read)(
        lane->device, slot->cmd, slot->lib.iovec, slot->lib.iov_cnt, slot->iov.iov_len, (off_t)off);
}

/* What the host checks of a READ or WRITE before the callback. */
static int check(const Lane *lane, Slot *slot)
{
    uint64_t lba = tcmu_cdb_get_lba(slot->lib.cdb), end = lane->bytes / 512;
    uint32_t blocks = tcmu_cdb_get_xfer_length(slot->lib.cdb);

    if (tcmu_iovec_length(slot->lib.iovec, slot->lib.iov_cnt) != (uint64_t)blocks * 512)
        return TCMU_STS_HW_ERR;
    return lba > end || blocks > end - lba ? TCMU_STS_RANGE : TCMU_STS_OK;
}

/* QUEUED, or the status that ended the command here. */
static int dispatch(Lane *lane, Slot *slot)
{
    int status = TCMU_STS_NOT_HANDLED;

    if (lane->ops->handle_cmd)
        status = lane->ops->handle_cmd(lane->device, slot->cmd);
    if (status != TCMU_STS_NOT_HANDLED) {
        lane->result.inline_requests += slot->data;
        return status;
    }
    if (slot->data) {
        status = check(lane, slot);
        if (status != TCMU_STS_OK)
            return status;
    }
    if (lane->ops->nr_threads > 0) {
        pool_add(&lane->pool, slot);
        return QUEUED;
    }
    status = lane_call(lane, slot);
    return status == TCMU_STS_OK ? QUEUED : status;
}

/* ---- the initiator: what is asked for ---- */

static void fill(Lane *lane, Slot *slot, size_t cdb_length)
{
    struct tcmulib_cmd *lib = &slot->lib;

#ifdef RUNNER_ALIGN_COMMANDS
    cdb_length = RUNNER_CDB_ROOM;
#endif
    slot->cmd = (struct tcmur_cmd *)(void *)(slot->tail + cdb_length);
    memset(slot->cmd, 0, sizeof *slot->cmd);
    memcpy((uint8_t *)slot->cmd + offsetof(struct tcmur_cmd, lib_cmd), &lib, sizeof lib);
    lib->cdb = slot->tail;
    lib->iovec = &slot->iov;
    lib->iov_cnt = slot->data;
    lib->hm_private = slot->cmd;
    slot->iov.iov_base = slot->buffer;
    slot->iov.iov_len = slot->data ? lane->workload.block : 0;
}

static void make_flush(Lane *lane, Slot *slot)
{
    runner_cdb_sync10(slot->tail);
    slot->data = false;
    fill(lane, slot, 10);
    lane->until_flush = lane->workload.flush_every;
}

static void make_data(Lane *lane, Slot *slot)
{
    uint64_t lba = order_next(&lane->order) / 512;
    uint32_t blocks = lane->workload.block / 512;
    bool wide = lba + blocks > UINT32_MAX;

    if (wide && lane->workload.write)
        runner_cdb_write16(slot->tail, lba, blocks, 0);
    else if (wide)
        runner_cdb_read16(slot->tail, lba, blocks, 0);
    else if (lane->workload.write)
        runner_cdb_write10(slot->tail, (uint32_t)lba, (uint16_t)blocks, 0);
    else
        runner_cdb_read10(slot->tail, (uint32_t)lba, (uint16_t)blocks, 0);
    slot->data = true;
    fill(lane, slot, wide ? 16 : 10);
    lane->left--;
    lane->until_flush--;
}

/* False: the workload is over. */
static bool make_command(Lane *lane, Slot *slot)
{
    if (lane->workload.flush_every && lane->until_flush == 0) {
        make_flush(lane, slot);
        return true;
    }
    if (lane->left % CLOCK_EVERY == 0 && lane->until_us && g_get_monotonic_time() > lane->until_us)
        lane->left = 0;
    if (lane->left == 0)
        return false;
    make_data(lane, slot);
    return true;
}

static void account(Lane *lane, Slot *slot)
{
    if (slot->status != TCMU_STS_OK && lane->result.failed_status == TCMU_STS_OK) {
        lane->result.failed_status = slot->status;
        memcpy(lane->result.failed_cdb, slot->tail, sizeof lane->result.failed_cdb);
        lane->left = 0;
    }
    if (slot->data)
        lane->result.requests++;
    else
        lane->result.flushes++;
    slot->next = lane->ready;
    lane->ready = slot;
}

/* Sends a command from each place that has none, as the host does with a full ring. */
static void send_ready(Lane *lane)
{
    Slot *slot = lane->ready, *next;

    lane->ready = NULL;
    for (; slot; slot = next) {
        int status;
        next = slot->next;
        if (!make_command(lane, slot))
            continue;
        status = dispatch(lane, slot);
        if (status == QUEUED) {
            lane->in_flight++;
        } else {
            slot->status = status;
            account(lane, slot);
        }
    }
}

static void *run(void *argument)
{
    Lane *lane = argument;
    int64_t started_us;

    pthread_barrier_wait(lane->gate);
    started_us = g_get_monotonic_time();
    if (lane->workload.requests == 0)
        lane->until_us = started_us + (int64_t)(lane->workload.seconds * 1e6);
    while (lane->ready || lane->in_flight > 0) {
        Slot *slot, *next;
        send_ready(lane);
        slot = take_completed(lane, !lane->ready && lane->in_flight > 0);
        for (; slot; slot = next) {
            next = slot->next;
            lane->in_flight--;
            account(lane, slot);
        }
    }
    lane->result.seconds = (double)(g_get_monotonic_time() - started_us) / 1e6;
    lane->result.bytes = lane->result.requests * lane->workload.block;
    return NULL;
}

/* ---- from the main thread ---- */

/* Where the kernel's data area would be.  Nothing that a file system would find zeros in. */
static void make_slots(Lane *lane)
{
    size_t length = (size_t)lane->workload.depth * lane->workload.block;
    uint64_t x = lane->workload.seed | 1;

    lane->buffers = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (lane->buffers == MAP_FAILED)
        runner_fail(NULL, "no memory");
    for (size_t i = 0; i < length; i += sizeof x) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        memcpy(lane->buffers + i, &x, sizeof x);
    }
    lane->slots = g_new0(Slot, lane->workload.depth);
    lane->ready = NULL;
    for (unsigned i = 0; i < lane->workload.depth; i++) {
        lane->slots[i].buffer = lane->buffers + (size_t)i * lane->workload.block;
        lane->slots[i].next = lane->ready;
        lane->ready = &lane->slots[i];
    }
}

Lane *lane_open(RunnerHandler *handler, const char *cfgstring, uint64_t size, char **error)
{
    /* As many blocks a command as READ(10) can carry. */
    RunnerDeviceConfig config = {.cfgstring = cfgstring, .size = size, .max_sectors = 0xffff};
    Lane *lane = g_new0(Lane, 1);

    lane->ops = runner_handler_ops(handler);
    lane->device = runner_bare_new(handler, &config, complete_bare, lane, error);
    if (!lane->device) {
        g_free(lane);
        return NULL;
    }
    lane->bytes = tcmu_dev_get_num_lbas(lane->device) * 512;
    pool_start(lane);
    return lane;
}

uint64_t lane_bytes(const Lane *lane)
{
    return lane->bytes;
}

bool lane_start(Lane *lane, const Workload *workload, pthread_barrier_t *gate)
{
    lane->workload = *workload;
    if (!order_init(&lane->order, workload, lane->bytes))
        return false;
    lane->gate = gate;
    lane->left = workload->requests ? workload->requests : UINT64_MAX;
    lane->until_flush = workload->flush_every;
    lane->until_us = 0;
    lane->in_flight = 0;
    lane->result = (LaneResult){.failed_status = TCMU_STS_OK};
    make_slots(lane);
    if (pthread_create(&lane->thread, NULL, run, lane) != 0)
        runner_fail(NULL, "no threads");
    return true;
}

LaneResult lane_finish(Lane *lane)
{
    pthread_join(lane->thread, NULL);
    munmap(lane->buffers, (size_t)lane->workload.depth * lane->workload.block);
    g_free(lane->slots);
    order_release(&lane->order);
    return lane->result;
}

void lane_close(Lane *lane)
{
    pool_stop(&lane->pool);
    runner_bare_free(lane->device);
    g_free(lane);
}
