/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* Host symbols: what a device is and may do. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "host-symbols.h"
#include "runner-private.h"

void tcmur_dev_set_private(struct tcmu_device *dev, void *private_data)
{
    dev->handler_private = private_data;
}

void *tcmur_dev_get_private(struct tcmu_device *dev)
{
    return dev->handler_private;
}

void tcmu_dev_set_private(struct tcmu_device *dev, void *private_data)
{
    dev->host_private = private_data;
}

void *tcmu_dev_get_private(struct tcmu_device *dev)
{
    return dev->host_private;
}

char *tcmu_dev_get_cfgstring(struct tcmu_device *dev)
{
    return dev->cfgstring;
}

/* A plain setter and getter of a limit. */
#define LIMIT(name, type, field)                                                                   \
    void tcmu_dev_set_##name(struct tcmu_device *dev, type value)                                  \
    {                                                                                              \
        dev->field = value;                                                                        \
    }                                                                                              \
    type tcmu_dev_get_##name(struct tcmu_device *dev)                                              \
    {                                                                                              \
        return dev->field;                                                                         \
    }

LIMIT(num_lbas, uint64_t, num_lbas)
LIMIT(block_size, uint32_t, block_size)
LIMIT(max_xfer_len, uint32_t, max_xfer_len)
LIMIT(opt_xcopy_rw_len, uint32_t, opt_xcopy_rw_len)
LIMIT(max_unmap_len, uint32_t, max_unmap_len)
LIMIT(unmap_gran_align, uint32_t, unmap_gran_align)
LIMIT(write_cache_enabled, bool, write_cache)
LIMIT(solid_state_media, bool, solid_state)
LIMIT(unmap_enabled, bool, unmap_enabled)

void tcmu_dev_set_opt_unmap_gran(struct tcmu_device *dev, uint32_t blocks, bool split)
{
    dev->opt_unmap_gran = blocks;
    dev->split_unmaps = split;
}

uint32_t tcmu_dev_get_opt_unmap_gran(struct tcmu_device *dev)
{
    return dev->opt_unmap_gran;
}

uint64_t tcmu_lba_to_byte(struct tcmu_device *dev, uint64_t lba)
{
    return lba * dev->block_size;
}

uint64_t tcmu_byte_to_lba(struct tcmu_device *dev, uint64_t byte)
{
    return byte / dev->block_size;
}

int tcmur_dev_update_size(struct tcmu_device *dev, uint64_t new_size)
{
    if (!new_size)
        return -EINVAL;
    pthread_mutex_lock(&dev->lock);
    dev->num_lbas = new_size / dev->block_size;
    dev->configured_size = new_size;
    dev->attention = true;
    pthread_mutex_unlock(&dev->lock);
    return 0;
}

const char *tcmu_dev_get_uio_name(struct tcmu_device *dev)
{
    (void)dev;
    return "uio0";
}

void tcmu_set_thread_name(const char *prefix, struct tcmu_device *dev)
{
    (void)prefix;
    (void)dev;
}

/* Recovery is not built: a handler that asks for it is told so in the log. */
#define NOTIFY(what)                                                                               \
    void tcmu_notify_##what(struct tcmu_device *dev)                                               \
    {                                                                                              \
        tcmu_warn_message(dev, __func__, __LINE__, "recovery is not part of this host\n");         \
    }

NOTIFY(conn_lost)
NOTIFY(lock_lost)
NOTIFY(cmd_timed_out)

/* Configfs: the few values that handlers ask for. */

int tcmu_cfgfs_dev_get_attr_int(struct tcmu_device *dev, const char *name)
{
    if (strcmp(name, "hw_block_size") == 0)
        return (int)dev->block_size;
    if (strcmp(name, "hw_max_sectors") == 0)
        return (int)dev->max_xfer_len;
    return -EINVAL;
}

uint64_t tcmu_cfgfs_dev_get_info_u64(struct tcmu_device *dev, const char *name, int *fn_ret)
{
    uint64_t size;

    if (strcmp(name, "Size") != 0) {
        *fn_ret = -EINVAL;
        return 0;
    }
    *fn_ret = 0;
    pthread_mutex_lock(&dev->lock);
    size = dev->configured_size;
    pthread_mutex_unlock(&dev->lock);
    return size;
}

int tcmu_cfgfs_dev_set_ctrl_u64(struct tcmu_device *dev, const char *key, uint64_t val)
{
    if (strcmp(key, "dev_size") != 0)
        return -EINVAL;
    pthread_mutex_lock(&dev->lock);
    dev->configured_size = val;
    pthread_mutex_unlock(&dev->lock);
    return 0;
}

char *tcmu_cfgfs_dev_get_wwn(struct tcmu_device *dev)
{
    (void)dev;
    return strdup("7e3f5b2a-0000-4000-8000-000000000001");
}
