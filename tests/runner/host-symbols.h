/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * Symbols of tcmu-runner and libtcmu that handlers of others import and ours do
 * not: the rest of what a host has to export.
 */
#ifndef RUNNER_HOST_SYMBOLS_H
#define RUNNER_HOST_SYMBOLS_H

#include "handler/tcmur-abi.h"

#pragma GCC visibility push(default)

void *tcmu_dev_get_private(struct tcmu_device *dev);
void tcmu_dev_set_private(struct tcmu_device *dev, void *private_data);
void tcmu_dev_set_block_size(struct tcmu_device *dev, uint32_t block_size);
uint64_t tcmu_cdb_to_byte(struct tcmu_device *dev, uint8_t *cdb);
void tcmu_sense_set_key_specific_info(uint8_t *sense_buf, uint16_t info);
off_t tcmu_iovec_compare(void *mem, struct iovec *iovec, size_t size);
size_t tcmu_iovec_seek(struct iovec *iovec, size_t count);
void tcmu_cmd_seek(struct tcmulib_cmd *cmd, size_t count);
void tcmu_set_thread_name(const char *prefix, struct tcmu_device *dev);
const char *tcmu_dev_get_uio_name(struct tcmu_device *dev);
void tcmu_notify_conn_lost(struct tcmu_device *dev);
void tcmu_notify_lock_lost(struct tcmu_device *dev);
void tcmu_notify_cmd_timed_out(struct tcmu_device *dev);
int tcmu_cfgfs_dev_get_attr_int(struct tcmu_device *dev, const char *name);
uint64_t tcmu_cfgfs_dev_get_info_u64(struct tcmu_device *dev, const char *name, int *fn_ret);
int tcmu_cfgfs_dev_set_ctrl_u64(struct tcmu_device *dev, const char *key, uint64_t val);
char *tcmu_cfgfs_dev_get_wwn(struct tcmu_device *dev);
void tcmu_dbg_scsi_cmd_message(struct tcmu_device *dev, const char *function, int line,
                               const char *format, ...) __attribute__((format(printf, 4, 5)));

#pragma GCC visibility pop

#endif
