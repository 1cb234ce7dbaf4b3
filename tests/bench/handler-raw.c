/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * handler_raw.so: a flat file as a LUN, the limit that the image handler is measured against.  It
 * does what nobody can do without: READ and WRITE complete in handle_cmd, with one system call
 * each, where the page cache has the data; a READ that would wait goes to io_uring, from the same
 * thread; flushes, and all that is out of the ordinary, to workers.  Config string: raw/PATH, or
 * raw/PATH;workers for no io_uring.
 */
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "handler/cancel.h"
#include "handler/command.h"
#include "handler/tcmur-abi.h"
#include "vhd/be.h"

enum { BLOCK = 512, THREADS = 8, MAX_SECTORS = 0xffff, RING = 256 };
enum { READ_10 = 0x28, READ_16 = 0x88, WRITE_10 = 0x2a, WRITE_16 = 0x8a };

/* What a worker does; in the memory that the host keeps for the handler with each command there is
 * no room for it. */
typedef struct Job {
    struct tcmur_cmd *cmd;
    const struct iovec *iov;
    int iovcnt;
    size_t length;
    off_t off;
    enum { JOB_READ, JOB_WRITE, JOB_FLUSH } kind;
    struct Job *next;
} Job;

typedef struct Raw {
    struct tcmu_device *dev;
    int fd;
    uint64_t blocks;
    pthread_mutex_t lock; /* the rest */
    pthread_cond_t cond;
    Job *first, **last;
    int idle;
    pthread_t threads[THREADS];
    int thread_count;
    bool ending;
    bool has_ring;
    struct io_uring ring; /* the command thread submits, reaper takes completions */
    pthread_t reaper;
} Raw;

/* ---- in the command thread ---- */

typedef struct Range {
    uint64_t lba;
    uint32_t blocks;
} Range;

static Range range_of(const uint8_t *cdb)
{
    if (cdb[0] == READ_16 || cdb[0] == WRITE_16)
        return (Range){be64_get(cdb + 2), be32_get(cdb + 10)};
    return (Range){be32_get(cdb + 2), be16_get(cdb + 7)};
}

static size_t length_of(const struct tcmulib_cmd *lib)
{
    size_t length = 0;

    for (size_t i = 0; i < lib->iov_cnt; i++)
        length += lib->iovec[i].iov_len;
    return length;
}

/*
 * A READ that finds all in the page cache, and every WRITE, which goes there, ends here.  What
 * comes back short, or would have to wait, the callback does anew.
 */
static int raw_handle_cmd(struct tcmu_device *dev, struct tcmur_cmd *cmd)
{
    CANCEL_OFF;
    Raw *raw = tcmur_dev_get_private(dev);
    struct tcmulib_cmd *lib = command_lib(cmd);
    uint8_t opcode = lib->cdb[0];
    size_t length;
    Range range;
    ssize_t done;

    if (opcode != READ_10 && opcode != READ_16 && opcode != WRITE_10 && opcode != WRITE_16)
        return TCMU_STS_NOT_HANDLED;
    range = range_of(lib->cdb);
    length = (size_t)range.blocks * BLOCK;
    if (range.lba > raw->blocks || range.blocks > raw->blocks - range.lba)
        return TCMU_STS_RANGE;
    if (lib->iov_cnt > IOV_MAX || length_of(lib) != length)
        return TCMU_STS_NOT_HANDLED;
    if (opcode == READ_10 || opcode == READ_16)
        done =
            preadv2(raw->fd, lib->iovec, (int)lib->iov_cnt, (off_t)(range.lba * BLOCK), RWF_NOWAIT);
    else
        done = pwritev(raw->fd, lib->iovec, (int)lib->iov_cnt, (off_t)(range.lba * BLOCK));
    return done == (ssize_t)length ? TCMU_STS_OK : TCMU_STS_NOT_HANDLED;
}

/* ---- workers ---- */

/* All of it, or an error: the vectors are read or written from the beginning. */
static int move_all(const Raw *raw, const Job *job)
{
    off_t at = job->off;

    for (int i = 0; i < job->iovcnt; i++) {
        uint8_t *base = job->iov[i].iov_base;
        for (size_t moved = 0; moved < job->iov[i].iov_len;) {
            size_t left = job->iov[i].iov_len - moved;
            ssize_t part = job->kind == JOB_READ ? pread(raw->fd, base + moved, left, at)
                                                 : pwrite(raw->fd, base + moved, left, at);
            if (part <= 0 && !(part < 0 && errno == EINTR))
                return job->kind == JOB_READ ? TCMU_STS_RD_ERR : TCMU_STS_WR_ERR;
            if (part > 0) {
                moved += (size_t)part;
                at += part;
            }
        }
    }
    return TCMU_STS_OK;
}

static int do_job(const Raw *raw, const Job *job)
{
    if (job->kind == JOB_FLUSH)
        return fdatasync(raw->fd) == 0 ? TCMU_STS_OK : TCMU_STS_WR_ERR;
    if (job->kind == JOB_READ && job->iovcnt <= IOV_MAX &&
        preadv(raw->fd, job->iov, job->iovcnt, job->off) == (ssize_t)job->length)
        return TCMU_STS_OK;
    return move_all(raw, job);
}

static Job *take(Raw *raw)
{
    Job *job;

    pthread_mutex_lock(&raw->lock);
    raw->idle++;
    while (!raw->first && !raw->ending)
        pthread_cond_wait(&raw->cond, &raw->lock);
    raw->idle--;
    job = raw->first;
    if (job) {
        raw->first = job->next;
        if (!raw->first)
            raw->last = &raw->first;
    }
    pthread_mutex_unlock(&raw->lock);
    return job;
}

static void *work(void *argument)
{
    Raw *raw = argument;
    Job *job;

    while ((job = take(raw)) != NULL) {
        struct tcmur_cmd *cmd = job->cmd;
        int status = do_job(raw, job);
        free(job);
        tcmur_cmd_complete(raw->dev, cmd, status);
    }
    return NULL;
}

static Job *copy_of(const Job *what)
{
    Job *job = malloc(sizeof *job);

    if (job) {
        *job = *what;
        job->next = NULL;
    }
    return job;
}

static void queue_job(Raw *raw, Job *job)
{
    pthread_mutex_lock(&raw->lock);
    *raw->last = job;
    raw->last = &job->next;
    if (raw->idle > 0)
        pthread_cond_signal(&raw->cond);
    else if (raw->thread_count < THREADS &&
             pthread_create(&raw->threads[raw->thread_count], NULL, work, raw) == 0)
        raw->thread_count++;
    pthread_mutex_unlock(&raw->lock);
}

static int queue(struct tcmu_device *dev, const Job *what)
{
    Job *job = copy_of(what);

    if (!job)
        return TCMU_STS_NO_RESOURCE;
    queue_job(tcmur_dev_get_private(dev), job);
    return TCMU_STS_OK;
}

/* ---- io_uring ---- */

/* What came back short a worker does anew. */
static void reap(Raw *raw, Job *job, int result)
{
    struct tcmur_cmd *cmd = job->cmd;

    if (result < 0 || (size_t)result != job->length) {
        queue_job(raw, job);
        return;
    }
    free(job);
    tcmur_cmd_complete(raw->dev, cmd, TCMU_STS_OK);
}

static void *run_reaper(void *argument)
{
    Raw *raw = argument;
    struct io_uring_cqe *cqe;

    for (;;) {
        Job *job;
        int result;
        if (io_uring_wait_cqe(&raw->ring, &cqe) != 0)
            continue; /* a signal */
        job = io_uring_cqe_get_data(cqe);
        result = cqe->res;
        io_uring_cqe_seen(&raw->ring, cqe);
        if (!job)
            return NULL;
        reap(raw, job, result);
    }
}

static void start_ring(Raw *raw)
{
    if (io_uring_queue_init(RING, &raw->ring, 0) != 0)
        return;
    if (pthread_create(&raw->reaper, NULL, run_reaper, raw) == 0)
        raw->has_ring = true;
    else
        io_uring_queue_exit(&raw->ring);
}

static void stop_ring(Raw *raw)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&raw->ring);

    io_uring_prep_nop(sqe);
    io_uring_sqe_set_data(sqe, NULL);
    io_uring_submit(&raw->ring);
    pthread_join(raw->reaper, NULL);
    io_uring_queue_exit(&raw->ring);
}

/* False: not taken. */
static bool submit_read(Raw *raw, Job *job)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&raw->ring);

    if (!sqe)
        return false;
    io_uring_prep_readv(sqe, raw->fd, job->iov, (unsigned)job->iovcnt, (uint64_t)job->off);
    io_uring_sqe_set_data(sqe, job);
    while (io_uring_submit(&raw->ring) < 0)
        sched_yield(); /* completions first: the reaper makes room */
    return true;
}

/* ---- callbacks ---- */

static int raw_read(struct tcmu_device *dev, struct tcmur_cmd *cmd, struct iovec *iov,
                    size_t iov_cnt, size_t len, off_t off)
{
    CANCEL_OFF;
    Raw *raw = tcmur_dev_get_private(dev);
    Job *job = copy_of(&(Job){cmd, iov, (int)iov_cnt, len, off, JOB_READ, NULL});

    if (!job)
        return TCMU_STS_NO_RESOURCE;
    if (!raw->has_ring || iov_cnt > IOV_MAX || !submit_read(raw, job))
        queue_job(raw, job);
    return TCMU_STS_OK;
}

static int raw_write(struct tcmu_device *dev, struct tcmur_cmd *cmd, struct iovec *iov,
                     size_t iov_cnt, size_t len, off_t off)
{
    CANCEL_OFF;
    Job job = {cmd, iov, (int)iov_cnt, len, off, JOB_WRITE, NULL};
    return queue(dev, &job);
}

static int raw_flush(struct tcmu_device *dev, struct tcmur_cmd *cmd)
{
    CANCEL_OFF;
    Job job = {.cmd = cmd, .kind = JOB_FLUSH};
    return queue(dev, &job);
}

/* ---- the main thread ---- */

static int raw_open(struct tcmu_device *dev, bool reopen)
{
    CANCEL_OFF;
    Raw *raw = calloc(1, sizeof *raw);
    char *path = strchr(tcmu_dev_get_cfgstring(dev), '/') + 1, *option = strchr(path, ';');
    struct stat st;

    (void)reopen;
    if (!raw)
        return -ENOMEM;
    if (option)
        *option = '\0';
    raw->dev = dev;
    raw->fd = open(path, O_RDWR | O_CLOEXEC);
    if (raw->fd < 0 || fstat(raw->fd, &st) != 0) {
        int error = errno;
        free(raw);
        return -error;
    }
    raw->blocks = (uint64_t)st.st_size / BLOCK;
    pthread_mutex_init(&raw->lock, NULL);
    pthread_cond_init(&raw->cond, NULL);
    raw->last = &raw->first;
    tcmu_dev_set_write_cache_enabled(dev, true);
    tcmu_dev_set_max_xfer_len(dev, MAX_SECTORS);
    tcmur_dev_update_size(dev, raw->blocks * BLOCK);
    tcmur_dev_set_private(dev, raw);
    if (!option)
        start_ring(raw);
    return 0;
}

static void raw_close(struct tcmu_device *dev)
{
    CANCEL_OFF;
    Raw *raw = tcmur_dev_get_private(dev);

    if (raw->has_ring)
        stop_ring(raw);
    pthread_mutex_lock(&raw->lock);
    raw->ending = true;
    pthread_cond_broadcast(&raw->cond);
    pthread_mutex_unlock(&raw->lock);
    for (int i = 0; i < raw->thread_count; i++)
        pthread_join(raw->threads[i], NULL);
    close(raw->fd);
    pthread_mutex_destroy(&raw->lock);
    pthread_cond_destroy(&raw->cond);
    free(raw);
}

static struct tcmur_handler handler = {
    .name = "Flat files, for measurements",
    .subtype = "raw",
    .cfg_desc = "raw/<absolute path of a file>",
    .open = raw_open,
    .close = raw_close,
    .nr_threads = 0,
    .handle_cmd = raw_handle_cmd,
    .read = raw_read,
    .write = raw_write,
    .flush = raw_flush,
};

int handler_init(void)
{
    return tcmur_register_handler(&handler);
}
