/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * What tcmu-runner loads. nr_threads is 0: handle_cmd does at once what needs no waiting, callbacks
 * submit the rest to the disk, whose workers complete the command. Nothing behind `unmap` is set,
 * so that 1.5.0 to 1.5.3, whose structure is shorter there, can load it too.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "handler/callbacks.h"
#include "handler/cancel.h"
#include "handler/cfgstring.h"
#include "handler/log.h"
#include "handler/lun.h"
#include "handler/scsi.h"
#include "handler/tcmur-abi.h"

/* Of check_config, which any local user may call. */
static Log config_log;

/* Main thread. The sentence goes to targetcli, and over D-Bus, which takes valid UTF-8 only. */
static bool handler_check_config(const char *text, char **reason)
{
    CANCEL_OFF;
    g_autoptr(GError) error = NULL;
    g_autoptr(CfgString) config = cfgstring_parse(text, &error);
    VhdDiskOptions options;

    if (config) {
        cfgstring_disk_options(config, &options);
        options.log = log_engine;
        options.log_data = &config_log;
        if (vhd_disk_probe(&options, &error))
            return true;
    }
    g_autofree char *sentence = g_utf8_make_valid(error->message, -1);
    *reason = strdup(sentence); /* the host frees it */
    return false;
}

static int handler_open(struct tcmu_device *dev, bool reopen)
{
    CANCEL_OFF;
    Lun *lun = lun_open(dev);

    (void)reopen;
    if (!lun)
        return -EIO;
    tcmur_dev_set_private(dev, lun);
    return 0;
}

static void handler_close(struct tcmu_device *dev)
{
    CANCEL_OFF;
    Lun *lun = tcmur_dev_get_private(dev);

    lun_close(lun);
    tcmur_dev_set_private(dev, NULL);
}

static int reconfig_string(Lun *lun, const char *text)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(CfgString) config = cfgstring_parse(text, &error);

    if (config && cfgstring_equal(config, lun->config))
        return 0;
    log_format(&lun->log, LOG_LEVEL_ERROR,
               "the config string cannot be changed while the LUN is there: remove the backstore "
               "and make it anew%s%s",
               error ? "; " : "", error ? error->message : "");
    return -ENOTSUP;
}

/* restoreconfig sends what was saved: the image may have grown since. Its size stays the LUN's
 * (lun_keep_size). */
static int reconfig_size(Lun *lun, uint64_t bytes)
{
    uint64_t image = lun->blocks * LUN_BLOCK_BYTES;

    if (bytes == image)
        return 0;
    log_format(&lun->log, bytes < image ? LOG_LEVEL_INFO : LOG_LEVEL_ERROR,
               "size %" PRIu64 " %s: the image has %" PRIu64 " bytes, and so has the LUN", bytes,
               bytes < image ? "is not used" : "is not possible", image);
    return bytes < image ? 0 : -EINVAL;
}

/* The kernel's default is off, and restoreconfig sends it: obeyed, it would stop the initiator's
 * flushes while writes are cached. */
static int reconfig_write_cache(Lun *lun, bool enabled)
{
    if (enabled != tcmu_dev_get_write_cache_enabled(lun->dev))
        log_format(&lun->log, LOG_LEVEL_INFO,
                   "emulate_write_cache=%d is not used: the option cache= of the config string "
                   "decides",
                   enabled);
    return 0;
}

static int handler_reconfig(struct tcmu_device *dev, struct tcmulib_cfg_info *change)
{
    CANCEL_OFF;
    Lun *lun = tcmur_dev_get_private(dev);

    switch (change->type) {
    case TCMULIB_CFG_DEV_CFGSTR:
        return reconfig_string(lun, change->data.dev_cfgstring);
    case TCMULIB_CFG_DEV_SIZE:
        return reconfig_size(lun, change->data.dev_size);
    case TCMULIB_CFG_WRITE_CACHE:
        return reconfig_write_cache(lun, change->data.write_cache);
    default:
        return -ENOTSUP;
    }
}

static struct tcmur_handler handler = {
    .name = "VHD image chains",
    .subtype = "vhd",
    .cfg_desc = "vhd/<absolute path of a VHD image>[;option]...\n"
                "Options: ro, parents=DIR (folder of parents; may stand several times),\n"
                "cache=writeback|writethrough, discard=on|off, raw-parent=on|off, max-depth=N,\n"
                "lock=on|off, force-write.\n"
                "The size of the disk is the image's, whatever size= says.\n"
                "Example: vhd//srv/client7.vhd;parents=/srv/golden",
    .check_config = handler_check_config,
    .reconfig = handler_reconfig,
    .open = handler_open,
    .close = handler_close,
    .nr_threads = 0,
    .handle_cmd = scsi_handle_cmd,
    .read = callback_read,
    .write = callback_write,
    .flush = callback_flush,
    .unmap = callback_unmap,
};

int handler_init(void)
{
    log_init(&config_log, NULL);
    return tcmur_register_handler(&handler);
}
