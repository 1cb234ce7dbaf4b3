/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
#include "handler/lun.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "handler/tcmur-abi.h"

/* Someone's glance at the image (qemu-img info) must not cost a LUN at boot. */
#define LOCK_WAIT_MS 1000

static bool check_block_size(Lun *lun)
{
    uint32_t block_bytes = tcmu_dev_get_block_size(lun->dev);

    if (block_bytes == LUN_BLOCK_BYTES)
        return true;
    log_format(&lun->log, LOG_LEVEL_ERROR,
               "block size %" PRIu32 " is not possible, VHD sectors have 512 bytes: make the "
               "backstore without hw_block_size",
               block_bytes);
    return false;
}

static bool open_disk(Lun *lun)
{
    g_autoptr(GError) error = NULL;
    VhdDiskOptions options;

    lun->config = cfgstring_parse(tcmu_dev_get_cfgstring(lun->dev), &error);
    if (lun->config) {
        cfgstring_disk_options(lun->config, &options);
        options.lock_wait_ms = LOCK_WAIT_MS;
        options.log = log_engine;
        options.log_data = &lun->log;
        lun->disk = vhd_disk_open(&options, &error);
    }
    if (!lun->disk)
        log_text(&lun->log, LOG_LEVEL_ERROR, error->message);
    return lun->disk != NULL;
}

static void take_info(Lun *lun)
{
    VhdDiskInfo info;

    vhd_disk_info(lun->disk, &info);
    lun->blocks = info.bytes / LUN_BLOCK_BYTES;
    lun->read_only = info.read_only;
    lun->discard = lun->config->discard && !info.read_only;
    memcpy(lun->uuid, info.uuid, sizeof lun->uuid);
}

static void set_limits(Lun *lun)
{
    struct tcmu_device *dev = lun->dev;

    /* With cache=writethrough there is nothing to flush. Where the engine itself falls back to
     * writing through, the initiator's flushes cost little. */
    tcmu_dev_set_write_cache_enabled(dev, lun->config->cache == VHD_CACHE_WRITEBACK);
    tcmu_dev_set_max_xfer_len(dev, LUN_TRANSFER_BLOCKS);
    tcmu_dev_set_opt_xcopy_rw_len(dev, LUN_TRANSFER_BLOCKS);
    tcmu_dev_set_unmap_enabled(dev, lun->discard);
    tcmu_dev_set_max_unmap_len(dev, LUN_MAX_UNMAP_BLOCKS);
    tcmu_dev_set_opt_unmap_gran(dev, LUN_GRAIN_BLOCKS, false);
    tcmu_dev_set_unmap_gran_align(dev, 1); /* the host divides by it */
}

/* The image decides. */
static bool set_size(Lun *lun)
{
    uint64_t told = tcmu_dev_get_num_lbas(lun->dev), bytes = lun->blocks * LUN_BLOCK_BYTES;
    int result;

    if (told == lun->blocks)
        return true;
    result = tcmur_dev_update_size(lun->dev, bytes);
    if (result < 0) {
        log_format(&lun->log, LOG_LEVEL_ERROR, "cannot set the size to %" PRIu64 " bytes: %s",
                   bytes, g_strerror(-result));
        return false;
    }
    log_format(&lun->log, LOG_LEVEL_INFO,
               "size set to the image's %" PRIu64 " bytes; %" PRIu64 " were given", bytes,
               told * LUN_BLOCK_BYTES);
    return true;
}

static void log_opened(Lun *lun)
{
    g_autofree char *chain = vhd_disk_describe(lun->disk);
    g_autofree char *options = cfgstring_options_text(lun->config);
    VhdDiskInfo info;

    vhd_disk_info(lun->disk, &info);
    log_format(&lun->log, LOG_LEVEL_INFO,
               "tcmu-vhd " VHD_VERSION " serves %s: %" PRIu64 " bytes, %s, %s; options %s", chain,
               info.bytes, info.read_only ? "read-only" : "for writing",
               info.cache == VHD_CACHE_WRITEBACK ? "writeback" : "writethrough", options);
}

static void lun_free(Lun *lun)
{
    cfgstring_free(lun->config);
    log_release(&lun->log);
    pthread_cond_destroy(&lun->idle);
    pthread_mutex_destroy(&lun->lock);
    g_free(lun);
}

Lun *lun_open(struct tcmu_device *dev)
{
    Lun *lun = g_new0(Lun, 1);

    lun->dev = dev;
    log_init(&lun->log, dev);
    pthread_mutex_init(&lun->lock, NULL);
    pthread_cond_init(&lun->idle, NULL);
    if (!check_block_size(lun) || !open_disk(lun)) {
        lun_free(lun);
        return NULL;
    }
    take_info(lun);
    set_limits(lun);
    if (!set_size(lun)) {
        vhd_disk_close(lun->disk);
        lun_free(lun);
        return NULL;
    }
    log_opened(lun);
    return lun;
}

void lun_close(Lun *lun)
{
    int result;

    pthread_mutex_lock(&lun->lock);
    while (lun->under_way > 0)
        pthread_cond_wait(&lun->idle, &lun->lock);
    pthread_mutex_unlock(&lun->lock);

    result = vhd_disk_close(lun->disk);
    if (result < 0)
        log_format(&lun->log, LOG_LEVEL_ERROR, "closing %s: the last flush failed: %s",
                   lun->config->path, g_strerror(-result));
    lun_free(lun);
}

void lun_begin(Lun *lun)
{
    pthread_mutex_lock(&lun->lock);
    lun->under_way++;
    pthread_mutex_unlock(&lun->lock);
}

/* What is to run now that few commands are under way, or NULL. With the lock. */
static Relay *take_alone(Lun *lun)
{
    Relay *relay = lun->under_way == 1 ? lun->alone : NULL;

    if (relay)
        lun->alone = NULL;
    return relay;
}

void lun_end(Lun *lun)
{
    Relay *relay;

    /* lun may be gone as soon as the lock is. */
    pthread_mutex_lock(&lun->lock);
    if (--lun->under_way == 0)
        pthread_cond_broadcast(&lun->idle);
    relay = take_alone(lun);
    pthread_mutex_unlock(&lun->lock);
    if (relay)
        relay_run(relay);
}

void lun_when_alone(Lun *lun, Relay *relay)
{
    pthread_mutex_lock(&lun->lock);
    lun->alone = relay;
    relay = take_alone(lun);
    pthread_mutex_unlock(&lun->lock);
    if (relay)
        relay_run(relay);
}

void lun_set_failed(Lun *lun)
{
    __atomic_store_n(&lun->failed, true, __ATOMIC_RELEASE);
}

bool lun_failed(Lun *lun)
{
    return __atomic_load_n(&lun->failed, __ATOMIC_ACQUIRE);
}

void lun_set_not_ready(Lun *lun, uint16_t asc_ascq)
{
    __atomic_store_n(&lun->not_ready, asc_ascq, __ATOMIC_RELEASE);
}

uint16_t lun_not_ready(Lun *lun)
{
    return __atomic_load_n(&lun->not_ready, __ATOMIC_ACQUIRE);
}

bool lun_disk_failed(Lun *lun)
{
    VhdDiskInfo info;

    vhd_disk_info(lun->disk, &info);
    return info.failed;
}

void lun_keep_size(Lun *lun)
{
    if (tcmu_dev_get_num_lbas(lun->dev) != lun->blocks)
        tcmu_dev_set_num_lbas(lun->dev, lun->blocks);
}
