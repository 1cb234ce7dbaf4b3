/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
#include "vhd/disk-private.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "vhd/error.h"
#include "vhd/timer.h"

/*
 * What vhd_disk_try has learnt of one kind of request. A read that is not in the page cache begins
 * to be read in the very call that then says so, which costs the thread that asks as much as the
 * read; a write may have to wait for a lock of the file system's. So when some in a row have
 * missed, the next ones, twice as many each time, are not tried.
 */
typedef struct Attempts {
    unsigned misses; /* one after the other */
    unsigned pass;   /* so many are not tried */
} Attempts;

#define MISSES_FEW    3u               /* that cost nothing yet */
#define MISSES_MOST   (MISSES_FEW + 5) /* that still double what is passed over */
#define SLOW_WRITE_US 2000             /* a miss, though it was done */

struct VhdDisk {
    /* Fixed once open. */
    char *path;
    bool writable;
    VhdDiskCache cache;
    VhdDiskBounds bounds;
    void (*log)(void *data, int level, const char *text);
    void *log_data;
    VhdWorkers *workers; /* own lock; a leaf */
    VhdTimer timer;      /* own lock; a leaf; registered if writable */
    VhdDiskLayers layers;

    /* Protects all below. No other lock is taken under it, no I/O done, no callback called. */
    pthread_mutex_t lock;
    pthread_cond_t drained; /* in_flight became 0 */
    VhdRanges ranges;
    Attempts reads, writes; /* of vhd_disk_try */
    unsigned discards;      /* UNMAP and WRITE_ZEROES in flight */
    unsigned in_flight;     /* requests whose done has not returned, and the flush job */
    VhdJob flush_job;       /* in the background */
    bool flushing;          /* flush_job is queued or runs */
    bool flush_failed;      /* said so */
};

static void disk_log(VhdDisk *disk, int level, const char *text)
{
    if (disk->log)
        disk->log(disk->log_data, level, text);
}

static VhdImage *top_of(VhdDisk *disk)
{
    return vhd_chain_layer(disk->layers.chain, 0);
}

/* One request less is in flight. */
static void leave_locked(VhdDisk *disk)
{
    if (--disk->in_flight == 0)
        pthread_cond_broadcast(&disk->drained);
}

static void leave(VhdDisk *disk)
{
    pthread_mutex_lock(&disk->lock);
    leave_locked(disk);
    pthread_mutex_unlock(&disk->lock);
}

/* Requests */

static bool changes(VhdOp op)
{
    switch (op) {
    case VHD_OP_WRITE:
    case VHD_OP_WRITE_ZEROES:
    case VHD_OP_UNMAP:
    case VHD_OP_COMPARE_AND_WRITE:
    case VHD_OP_OR_WRITE:
        return true;
    default:
        return false;
    }
}

/* Whether op makes holes, for which file systems keep writes away. */
static bool discards(VhdOp op)
{
    return op == VHD_OP_UNMAP || op == VHD_OP_WRITE_ZEROES;
}

/* Whether request has what its op wants beside the range: iovecs of exactly its length, room for
 * runs. */
static bool fits(const VhdRequest *request)
{
    uint64_t left = request->len, bytes = 0;

    switch (request->op) {
    case VHD_OP_COMPARE_AND_WRITE:
        left *= 2; /* no more than twice the size of the disk */
        break;
    case VHD_OP_READ:
    case VHD_OP_WRITE:
    case VHD_OP_OR_WRITE:
        break;
    case VHD_OP_STATUS:
        return request->run_room > 0;
    default:
        return true;
    }
    for (int i = 0; i < request->iovcnt; i++) {
        if (request->iov[i].iov_len > left - bytes)
            return false;
        bytes += request->iov[i].iov_len;
    }
    return bytes == left;
}

/* 0, or why request cannot be done at all. */
static int judge(const VhdDisk *disk, const VhdRequest *request)
{
    uint64_t disk_bytes = vhd_chain_sectors(disk->layers.chain) * VHD_SECTOR_BYTES;

    if (request->op == VHD_OP_FLUSH)
        return 0;
    if (request->op > VHD_OP_STATUS || request->off > disk_bytes ||
        request->len > disk_bytes - request->off || request->off % VHD_SECTOR_BYTES ||
        request->len % VHD_SECTOR_BYTES)
        return -EINVAL;
    if (!fits(request))
        return -EINVAL;
    return changes(request->op) && !disk->writable ? -EROFS : 0;
}

static VhdRangeKind range_kind(VhdOp op)
{
    switch (op) {
    case VHD_OP_READ:
    case VHD_OP_STATUS:
        return VHD_RANGE_READ;
    case VHD_OP_UNMAP:
        return VHD_RANGE_UNMAP;
    case VHD_OP_COMPARE_AND_WRITE:
    case VHD_OP_OR_WRITE:
        return VHD_RANGE_UPDATE;
    default:
        return VHD_RANGE_WRITE;
    }
}

static bool is_too_dirty(VhdDisk *disk)
{
    VhdImageDirt dirt;

    vhd_image_dirt(top_of(disk), &dirt);
    return dirt.data_bytes > disk->bounds.data_bytes || dirt.entries > disk->bounds.entries;
}

/* After a change: make it durable where it has to be, and keep the dirt within bounds. Whoever
 * passes a bound waits for the flush: that is what slows a writer down to the speed of the disk
 * below. */
static int settle(VhdDisk *disk, const VhdRequest *request)
{
    if (request->fua || disk->cache == VHD_CACHE_WRITETHROUGH || is_too_dirty(disk))
        return vhd_disk_io_flush(disk->layers.chain);
    return 0;
}

static int execute(VhdDisk *disk, VhdRequest *request)
{
    int err = request->priv.refusal;

    if (err || (request->len == 0 && request->op != VHD_OP_FLUSH))
        return err;
    if (changes(request->op) && vhd_image_failed(top_of(disk)))
        return -EIO;
    err = vhd_disk_io(&disk->layers, request);
    return err == 0 && changes(request->op) ? settle(disk, request) : err;
}

/* Collect the jobs of requests that may run now. */
static void collect_job(VhdRange *range, void *data)
{
    VhdRequest *request = range->owner;
    VhdJob ***tail = data;

    request->priv.job.next = NULL;
    **tail = &request->priv.job;
    *tail = &request->priv.job.next;
}

/* Take out the range of a request that has ended; returns the jobs that waited for it alone. */
static VhdJob *remove_range_locked(VhdDisk *disk, VhdRange *range)
{
    VhdJob *runnable = NULL, **tail = &runnable;

    vhd_ranges_remove(&disk->ranges, range, collect_job, &tail);
    return runnable;
}

static VhdRange range_of(VhdRequest *request)
{
    return (VhdRange){
        .kind = range_kind(request->op),
        .sector = request->off / VHD_SECTOR_BYTES,
        .sectors = request->len / VHD_SECTOR_BYTES,
        .owner = request,
    };
}

static void run_request(void *data)
{
    VhdRequest *request = data;
    VhdDisk *disk = request->priv.disk;
    int result = execute(disk, request);

    if (request->priv.ranged) {
        VhdJob *runnable;

        pthread_mutex_lock(&disk->lock);
        disk->discards -= discards(request->op);
        runnable = remove_range_locked(disk, &request->priv.range);
        pthread_mutex_unlock(&disk->lock);
        vhd_workers_push(disk->workers, runnable);
    }
    request->done(request, result);
    leave(disk);
}

void vhd_disk_submit(VhdDisk *disk, VhdRequest *request)
{
    bool runnable = true;

    request->same = 0;
    request->run_count = 0;
    request->priv.disk = disk;
    request->priv.job = (VhdJob){.run = run_request, .data = request};
    request->priv.refusal = judge(disk, request);
    request->priv.ranged =
        request->priv.refusal == 0 && request->op != VHD_OP_FLUSH && request->len > 0;
    request->priv.range = range_of(request);
    pthread_mutex_lock(&disk->lock);
    disk->in_flight++;
    if (request->priv.ranged) {
        disk->discards += discards(request->op);
        runnable = vhd_ranges_add(&disk->ranges, &request->priv.range);
    }
    pthread_mutex_unlock(&disk->lock);
    /* One that has to wait may be running, even done, by now: it is not ours any more. */
    if (runnable)
        vhd_workers_push(disk->workers, &request->priv.job);
}

/* Without a worker */

/* Whether the submitting thread may try it. */
static bool may_try(VhdDisk *disk, const VhdRequest *request)
{
    if (request->len == 0 || request->len > VHD_DISK_TRY_BYTES || judge(disk, request) != 0)
        return false;
    if (request->op == VHD_OP_READ)
        return true;
    return request->op == VHD_OP_WRITE && !request->fua && disk->cache == VHD_CACHE_WRITEBACK &&
           !is_too_dirty(disk);
}

static bool passes_over(Attempts *attempts)
{
    if (attempts->pass == 0)
        return false;
    attempts->pass--;
    return true;
}

static void note_attempt(Attempts *attempts, bool hit)
{
    attempts->misses = hit ? 0 : MIN(attempts->misses + 1, MISSES_MOST);
    attempts->pass = attempts->misses > MISSES_FEW ? 1u << (attempts->misses - MISSES_FEW) : 0;
}

/* Whether it went as it should in a thread that others wait for. */
static bool attempt(VhdDisk *disk, const VhdRequest *request, bool *done)
{
    gint64 start_us = request->op == VHD_OP_WRITE ? g_get_monotonic_time() : 0;

    *done = vhd_disk_io_now(&disk->layers, request) == 0;
    return *done && (start_us == 0 || g_get_monotonic_time() - start_us < SLOW_WRITE_US);
}

bool vhd_disk_try(VhdDisk *disk, VhdRequest *request)
{
    Attempts *attempts = request->op == VHD_OP_READ ? &disk->reads : &disk->writes;
    VhdRange *range = &request->priv.range;
    VhdJob *waiting = NULL;
    bool done = false, hit;

    if (!may_try(disk, request))
        return false;
    *range = range_of(request);
    pthread_mutex_lock(&disk->lock);
    /* Giving back space takes long, and writes wait for it in the file system. */
    if (!(request->op == VHD_OP_WRITE && disk->discards > 0) && !passes_over(attempts)) {
        disk->in_flight++;
        if (vhd_ranges_add(&disk->ranges, range)) {
            pthread_mutex_unlock(&disk->lock);
            hit = attempt(disk, request, &done);
            pthread_mutex_lock(&disk->lock);
            note_attempt(attempts, hit);
        }
        waiting = remove_range_locked(disk, range);
        leave_locked(disk);
    }
    pthread_mutex_unlock(&disk->lock);
    if (waiting)
        vhd_workers_push(disk->workers, waiting);
    return done;
}

/* The flush in the background */

static void run_flush(void *data)
{
    VhdDisk *disk = data;
    int err = vhd_disk_io_flush(disk->layers.chain);
    bool report;

    pthread_mutex_lock(&disk->lock);
    disk->flushing = false;
    report = err && !disk->flush_failed;
    disk->flush_failed = err;
    pthread_mutex_unlock(&disk->lock);
    if (report) {
        g_autofree char *text =
            g_strdup_printf("%s: cannot flush in the background: %s", disk->path, g_strerror(-err));
        disk_log(disk, VHD_LOG_ERROR, text);
    }
    leave(disk);
}

static void tick(void *data)
{
    VhdDisk *disk = data;
    VhdImage *top = top_of(disk);
    uint64_t now_us = (uint64_t)g_get_monotonic_time();
    VhdImageDirt dirt;
    bool start;

    vhd_image_dirt(top, &dirt);
    start = dirt.oldest_us != 0 &&
            dirt.oldest_us + disk->bounds.age_ms * UINT64_C(1000) <= now_us &&
            !vhd_image_failed(top);
    pthread_mutex_lock(&disk->lock);
    start = start && !disk->flushing;
    if (start) {
        disk->flushing = true;
        disk->in_flight++;
    }
    pthread_mutex_unlock(&disk->lock);
    if (start)
        vhd_workers_push(disk->workers, &disk->flush_job);
}

/* Opening and closing */

static void log_from_chain(void *data, VhdLogLevel level, const char *text)
{
    const VhdDiskOptions *options = data;

    options->log(options->log_data, (int)level, text);
}

static VhdChainOptions chain_options(const VhdDiskOptions *options, VhdDiskOptions *log_data)
{
    return (VhdChainOptions){
        .writable = !options->read_only,
        .force_write = options->force_write,
        .lock = !options->no_lock,
        .lock_wait_ms = options->lock_wait_ms,
        .pending = !options->no_pending,
        .pending_dir = options->pending_dir,
        .confined = options->confined,
        .parents = options->parents,
        .raw_parent = options->raw_parent,
        .max_depth = options->max_depth,
        .wrap = options->wrap,
        .wrap_data = options->wrap_data,
        .log = options->log ? log_from_chain : NULL,
        .log_data = log_data,
    };
}

static VhdDisk *new_disk(const VhdDiskOptions *options, const VhdDiskBounds *bounds,
                         VhdChain *chain)
{
    VhdDisk *disk = g_new0(VhdDisk, 1);
    VhdImage *top = vhd_chain_layer(chain, 0);

    disk->path = g_strdup(options->path);
    disk->writable = vhd_image_writable(top);
    disk->cache = vhd_image_pending_lost(top) ? VHD_CACHE_WRITETHROUGH : options->cache;
    disk->bounds = *bounds;
    disk->log = options->log;
    disk->log_data = options->log_data;
    disk->timer = (VhdTimer){.tick = tick, .data = disk, .period_ms = bounds->tick_ms};
    disk->flush_job = (VhdJob){.run = run_flush, .data = disk};
    disk->ranges.block_sectors = vhd_image_layout(top)->block_sectors;
    disk->layers.chain = chain;
    pthread_mutex_init(&disk->lock, NULL);
    pthread_cond_init(&disk->drained, NULL);
    return disk;
}

static void free_disk(VhdDisk *disk)
{
    if (disk->workers)
        vhd_workers_free(disk->workers);
    vhd_owners_free(disk->layers.owners);
    vhd_chain_free(disk->layers.chain);
    pthread_cond_destroy(&disk->drained);
    pthread_mutex_destroy(&disk->lock);
    g_free(disk->path);
    g_free(disk);
}

static bool is_child(VhdDisk *disk)
{
    return vhd_image_layout(top_of(disk))->type == VHD_TYPE_DIFFERENCING;
}

/* 0 or -errno. */
static int start(VhdDisk *disk)
{
    if (is_child(disk)) {
        disk->layers.owners = vhd_owners_new(disk->layers.chain);
        if (!disk->layers.owners)
            return -ENOMEM;
    }
    disk->workers = vhd_workers_new(VHD_DISK_THREADS);
    if (!disk->workers)
        return -errno;
    return disk->writable ? vhd_timer_add(&disk->timer) : 0;
}

VhdDisk *vhd_disk_open_bounded(const VhdDiskOptions *options, const VhdDiskBounds *bounds,
                               GError **error)
{
    VhdDiskOptions log_data = *options;
    VhdChainOptions chained = chain_options(options, &log_data);
    VhdChain *chain = vhd_chain_open(options->path, &chained, error);
    VhdDisk *disk;
    int err;

    if (!chain)
        return NULL;
    disk = new_disk(options, bounds, chain);
    err = start(disk);
    if (err) {
        vhd_error_set_errno(error, VHD_ERROR_IO, options->path, "serve it", -err);
        free_disk(disk);
        return NULL;
    }
    return disk;
}

VhdDisk *vhd_disk_open(const VhdDiskOptions *options, GError **error)
{
    return vhd_disk_open_bounded(options, &VHD_DISK_BOUNDS, error);
}

int vhd_disk_close(VhdDisk *disk)
{
    int err = 0;

    if (!disk)
        return 0;
    if (disk->writable)
        vhd_timer_remove(&disk->timer);
    pthread_mutex_lock(&disk->lock);
    while (disk->in_flight > 0)
        pthread_cond_wait(&disk->drained, &disk->lock);
    pthread_mutex_unlock(&disk->lock);
    if (disk->writable)
        err = vhd_image_finish(top_of(disk));
    free_disk(disk);
    return err;
}

/* What any local user may be told of error, where only success or failure is his business. */
static const char *public_text(const GError *error)
{
    switch (error->domain == VHD_ERROR ? error->code : VHD_ERROR_IO) {
    case VHD_ERROR_BUSY:
        return "is in use, it or a parent";
    case VHD_ERROR_PARENT:
        return "has no parent in its own folder or those of parents=; add parents=DIR, which is in "
               "the log";
    case VHD_ERROR_DEPTH:
        return "has more layers than max-depth= allows";
    case VHD_ERROR_READONLY:
        return "has no write permission, it may be the parent of others; use ro, or force-write";
    case VHD_ERROR_CORRUPT:
    case VHD_ERROR_UNSUPPORTED:
        return "is damaged or of a kind that is not served, it or a parent; more is in the log";
    default:
        return "is missing, unreadable or not a VHD image";
    }
}

bool vhd_disk_probe(const VhdDiskOptions *options, GError **error)
{
    VhdDiskOptions log_data = *options;
    VhdChainOptions chained = chain_options(options, &log_data);
    g_autoptr(GError) local = NULL;

    if (vhd_chain_probe(options->path, &chained, &local))
        return true;
    if (!options->confined) {
        g_propagate_error(error, g_steal_pointer(&local));
        return false;
    }
    if (options->log)
        options->log(options->log_data, VHD_LOG_ERROR, local->message);
    g_set_error(error, local->domain, local->code, "%s %s", options->path, public_text(local));
    return false;
}

/* Looking at it */

void vhd_disk_info(VhdDisk *disk, VhdDiskInfo *info)
{
    VhdChain *chain = disk->layers.chain;
    VhdImage *top = top_of(disk);

    *info = (VhdDiskInfo){
        .bytes = vhd_chain_sectors(chain) * VHD_SECTOR_BYTES,
        .depth = vhd_chain_depth(chain),
        .read_only = !disk->writable,
        .child = is_child(disk),
        .sparse = vhd_image_layout(top)->type != VHD_TYPE_FIXED,
        .failed = vhd_image_failed(top),
        .cache = disk->cache,
    };
    memcpy(info->uuid, vhd_image_footer(top)->uuid, sizeof info->uuid);
}

char *vhd_disk_describe(VhdDisk *disk)
{
    VhdChain *chain = disk->layers.chain;
    GString *text = g_string_new(NULL);

    for (unsigned i = 0; i < vhd_chain_depth(chain); i++)
        g_string_append_printf(text, "%s%s", i ? " <- " : "",
                               vhd_image_name(vhd_chain_layer(chain, i)));
    return g_string_free(text, FALSE);
}

VhdChain *vhd_disk_chain(VhdDisk *disk)
{
    return disk->layers.chain;
}
