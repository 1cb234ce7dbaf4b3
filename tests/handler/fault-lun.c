/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
#include "tests/handler/fault-lun.h"

static VhdFile *wrap(VhdFile *file, void *faults)
{
    return fault_file_new(file, faults);
}

Lun *fault_lun_open(const char *path, Faults *faults)
{
    g_autoptr(GError) error = NULL;
    VhdDiskOptions options = {.path = path, .no_pending = true, .wrap = wrap, .wrap_data = faults};
    Lun *lun = g_new0(Lun, 1);
    VhdDiskInfo info;

    log_init(&lun->log, NULL);
    pthread_mutex_init(&lun->lock, NULL);
    pthread_cond_init(&lun->idle, NULL);
    lun->config = cfgstring_parse("vhd//test", NULL);
    lun->disk = vhd_disk_open(&options, &error);
    g_assert_no_error(error);
    vhd_disk_info(lun->disk, &info);
    lun->blocks = info.bytes / LUN_BLOCK_BYTES;
    lun->discard = true;
    return lun;
}
