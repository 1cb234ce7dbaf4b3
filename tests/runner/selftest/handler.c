/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * Handlers to test the runner with: a disk in memory, right or wrong as the
 * config string says ("selftest/MODE").  Built twice: SELFTEST_THREADS workers of
 * the host, or 0 and a thread of its own that completes what was queued.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "handler/tcmur-abi.h"

enum { OP_READ, OP_WRITE, OP_FLUSH, OP_UNMAP };

typedef struct Request {
    struct tcmur_cmd *cmd;
    int op;
    struct iovec *iovec;
    size_t iov_cnt;
    uint64_t off, len; /* bytes */
    struct Request *next;
} Request;

typedef struct Disk {
    struct tcmu_device *dev;
    const char *mode;
    uint8_t *bytes; /* lock; overlapping requests have no order */
    uint64_t size;
    unsigned writes, reads; /* lock */
    pthread_mutex_t lock;
    pthread_cond_t cond;
    Request *first, **last; /* lock */
    bool quit;              /* lock */
    pthread_t thread;
} Disk;

/* For the test of a completion after removal. */
static struct tcmu_device *last_dev;
static struct tcmur_cmd *last_cmd;

__attribute__((visibility("default"))) void selftest_complete_last(void);

void selftest_complete_last(void)
{
    tcmur_cmd_complete(last_dev, last_cmd, TCMU_STS_OK);
}

/* Modes that begin with "hold" complete nothing until the test says so. */
static pthread_mutex_t hold_lock = PTHREAD_MUTEX_INITIALIZER; /* released, stuck */
static pthread_cond_t hold_cond = PTHREAD_COND_INITIALIZER;
static bool released;
static bool stuck; /* a callback that never returns has begun */

__attribute__((visibility("default"))) void selftest_release(void);

void selftest_release(void)
{
    pthread_mutex_lock(&hold_lock);
    released = true;
    pthread_cond_broadcast(&hold_cond);
    pthread_mutex_unlock(&hold_lock);
}

static void wait_for_release(void)
{
    pthread_mutex_lock(&hold_lock);
    while (!released)
        pthread_cond_wait(&hold_cond, &hold_lock);
    pthread_mutex_unlock(&hold_lock);
}

__attribute__((visibility("default"))) void selftest_wait_stuck(void);

void selftest_wait_stuck(void)
{
    pthread_mutex_lock(&hold_lock);
    while (!stuck)
        pthread_cond_wait(&hold_cond, &hold_lock);
    pthread_mutex_unlock(&hold_lock);
}

/* Stays in a callback until the thread is cancelled. */
static void get_stuck(void)
{
    pthread_mutex_lock(&hold_lock);
    stuck = true;
    pthread_cond_broadcast(&hold_cond);
    pthread_mutex_unlock(&hold_lock);
    for (;;)
        pause();
}

static bool is(const Disk *disk, const char *mode)
{
    return strcmp(disk->mode, mode) == 0;
}

/* Copies between vectors and the disk. */
static void transfer(Disk *disk, const Request *request)
{
    uint8_t *at = disk->bytes + request->off;

    for (size_t i = 0; i < request->iov_cnt; i++) {
        const struct iovec *vector = &request->iovec[i];
        if (request->op == OP_READ)
            memcpy(vector->iov_base, at, vector->iov_len);
        else
            memcpy(at, vector->iov_base, vector->iov_len);
        at += vector->iov_len;
    }
}

/* Does a request; TCMU_STS_*. */
static int execute(Disk *disk, const Request *request)
{
    int status = TCMU_STS_OK;

    pthread_mutex_lock(&disk->lock);
    if (request->op == OP_UNMAP) {
        memset(disk->bytes + request->off, 0, request->len);
        if (is(disk, "unmap-error"))
            status = TCMU_STS_WR_ERR;
    } else if (request->op == OP_WRITE) {
        if (!(is(disk, "lost-write") && ++disk->writes % 100 == 0))
            transfer(disk, request);
    } else if (request->op == OP_READ) {
        transfer(disk, request);
        if (is(disk, "wrong-data") && ++disk->reads % 100 == 0)
            *(uint8_t *)request->iovec[0].iov_base ^= 0x10;
        if (is(disk, "out-of-bounds") && ++disk->reads % 100 == 0)
            ((uint8_t *)request->iovec[0].iov_base)[-1] = 0;
        if (is(disk, "odd-address") && (uintptr_t)request->cmd % _Alignof(struct tcmur_cmd))
            status = TCMU_STS_BUSY;
    }
    pthread_mutex_unlock(&disk->lock);
    return status;
}

/* ---- without workers of the host: a queue and a thread ---- */

static void complete(Disk *disk, struct tcmur_cmd *cmd, int status)
{
    last_cmd = cmd;
    last_dev = disk->dev;
    if (strncmp(disk->mode, "hold", 4) == 0)
        wait_for_release();
    tcmur_cmd_complete(disk->dev, cmd, status);
    if (is(disk, "double-complete"))
        tcmur_cmd_complete(disk->dev, cmd, status);
    if (is(disk, "write-after-completion"))
        cmd->requested = 1;
}

static void *serve(void *argument)
{
    Disk *disk = argument;

    pthread_mutex_lock(&disk->lock);
    for (;;) {
        Request *request = disk->first;
        if (request) {
            if (!(disk->first = request->next))
                disk->last = &disk->first;
            pthread_mutex_unlock(&disk->lock);
            complete(disk, request->cmd, execute(disk, request));
            free(request);
            pthread_mutex_lock(&disk->lock);
        } else if (disk->quit) {
            break;
        } else {
            pthread_cond_wait(&disk->cond, &disk->lock);
        }
    }
    pthread_mutex_unlock(&disk->lock);
    return NULL;
}

static void enqueue(Disk *disk, const Request *request)
{
    Request *copy = malloc(sizeof *copy);

    if (!copy)
        abort();
    *copy = *request;
    pthread_mutex_lock(&disk->lock);
    *disk->last = copy;
    disk->last = &copy->next;
    pthread_cond_broadcast(&disk->cond);
    pthread_mutex_unlock(&disk->lock);
}

/* ---- callbacks ---- */

/* What a callback does with a request, cancellation being off. */
static int submit(Disk *disk, const Request *request)
{
    if (is(disk, "never-complete") && request->op == OP_READ && SELFTEST_THREADS == 0)
        return TCMU_STS_OK;
    if (SELFTEST_THREADS > 0) {
        if (is(disk, "double-complete")) {
            tcmur_cmd_complete(disk->dev, request->cmd, TCMU_STS_OK);
            return TCMU_STS_OK; /* which completes it once more */
        }
        return is(disk, "async-from-worker") ? TCMU_STS_ASYNC_HANDLED : execute(disk, request);
    }
    if (is(disk, "inline")) {
        tcmur_cmd_complete(disk->dev, request->cmd, execute(disk, request));
        return TCMU_STS_OK;
    }
    if (is(disk, "error-and-complete")) {
        tcmur_cmd_complete(disk->dev, request->cmd, TCMU_STS_OK);
        return TCMU_STS_WR_ERR;
    }
    if (is(disk, "refuse"))
        return TCMU_STS_RD_ERR;
    enqueue(disk, request);
    return TCMU_STS_OK;
}

static int callback(struct tcmu_device *dev, Request *request)
{
    Disk *disk = tcmur_dev_get_private(dev);
    int state, status;

    if (is(disk, "cancelled-in-read") && request->op == OP_READ)
        get_stuck();
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
    request->next = NULL;
    status = submit(disk, request);
    if (!is(disk, "cancellation-left-off"))
        pthread_setcancelstate(state, NULL);
    return status;
}

static int disk_read(struct tcmu_device *dev, struct tcmur_cmd *cmd, struct iovec *iovec,
                     size_t iov_cnt, size_t len, off_t off)
{
    Request request = {cmd, OP_READ, iovec, iov_cnt, (uint64_t)off, len, NULL};
    return callback(dev, &request);
}

static int disk_write(struct tcmu_device *dev, struct tcmur_cmd *cmd, struct iovec *iovec,
                      size_t iov_cnt, size_t len, off_t off)
{
    Request request = {cmd, OP_WRITE, iovec, iov_cnt, (uint64_t)off, len, NULL};
    return callback(dev, &request);
}

static int disk_flush(struct tcmu_device *dev, struct tcmur_cmd *cmd)
{
    Request request = {cmd, OP_FLUSH, NULL, 0, 0, 0, NULL};
    return callback(dev, &request);
}

static int disk_unmap(struct tcmu_device *dev, struct tcmur_cmd *cmd, uint64_t off, uint64_t len)
{
    Request request = {cmd, OP_UNMAP, NULL, 0, off, len, NULL};
    return callback(dev, &request);
}

static int disk_handle_cmd(struct tcmu_device *dev, struct tcmur_cmd *cmd)
{
    Disk *disk = tcmur_dev_get_private(dev);

    if (is(disk, "async-from-handle-cmd"))
        return TCMU_STS_ASYNC_HANDLED;
    if (is(disk, "complete-in-handle-cmd"))
        tcmur_cmd_complete(dev, cmd, TCMU_STS_OK);
    return TCMU_STS_NOT_HANDLED;
}

/* The content survives removal, as an image's would. */
static uint8_t *kept;
static uint64_t kept_size;

static void destroy(void)
{
    free(kept);
}

static bool disk_check_config(const char *cfgstring, char **reason)
{
    *reason = NULL;
    if (strstr(cfgstring, "refused"))
        *reason = strdup("refused as asked");
    return *reason == NULL;
}

static int disk_open(struct tcmu_device *dev, bool reopen)
{
    Disk *disk = calloc(1, sizeof *disk);

    (void)reopen;
    if (!disk)
        return -1;
    disk->dev = dev;
    disk->mode = strchr(tcmu_dev_get_cfgstring(dev), '/') + 1;
    disk->size = tcmu_dev_get_num_lbas(dev) * tcmu_dev_get_block_size(dev);
    if (!kept || kept_size != disk->size) {
        free(kept);
        kept = calloc(1, disk->size);
        kept_size = disk->size;
    }
    disk->bytes = kept;
    disk->last = &disk->first;
    pthread_mutex_init(&disk->lock, NULL);
    pthread_cond_init(&disk->cond, NULL);
    tcmur_dev_set_private(dev, disk);
    tcmu_dev_set_write_cache_enabled(dev, true);
    if (!is(disk, "no-alignment"))
        tcmu_dev_set_unmap_gran_align(dev, 1);
    tcmu_dev_set_opt_unmap_gran(dev, 8, is(disk, "split"));
    if (is(disk, "grow"))
        tcmur_dev_update_size(dev, disk->size);
    return SELFTEST_THREADS == 0 ? pthread_create(&disk->thread, NULL, serve, disk) : 0;
}

static void disk_close(struct tcmu_device *dev)
{
    Disk *disk = tcmur_dev_get_private(dev);

    if (is(disk, "hold-close-early"))
        return; /* without waiting for its thread */
    if (SELFTEST_THREADS == 0) {
        pthread_mutex_lock(&disk->lock);
        disk->quit = true;
        pthread_cond_broadcast(&disk->cond);
        pthread_mutex_unlock(&disk->lock);
        pthread_join(disk->thread, NULL);
    }
    pthread_mutex_destroy(&disk->lock);
    pthread_cond_destroy(&disk->cond);
    free(disk);
}

static struct tcmur_handler selftest_handler = {
    .name = "the runner's own test handler",
    .subtype = "selftest",
    .cfg_desc = "selftest/MODE",
    .check_config = disk_check_config,
    .open = disk_open,
    .close = disk_close,
    .nr_threads = SELFTEST_THREADS,
    .handle_cmd = disk_handle_cmd,
    .read = disk_read,
    .write = disk_write,
    .flush = disk_flush,
    .unmap = disk_unmap,
    .destroy = destroy,
};

int handler_init(void)
{
    return tcmur_register_handler(&selftest_handler);
}
