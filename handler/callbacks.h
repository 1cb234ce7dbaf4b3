/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* The I/O callbacks of the handler (tcmur-abi.h): each submits to the disk and returns. */
#pragma once

#include "handler/tcmur-abi.h"

int callback_read(struct tcmu_device *dev, struct tcmur_cmd *cmd, struct iovec *iov, size_t iov_cnt,
                  size_t len, off_t off);
int callback_write(struct tcmu_device *dev, struct tcmur_cmd *cmd, struct iovec *iov,
                   size_t iov_cnt, size_t len, off_t off);
int callback_flush(struct tcmu_device *dev, struct tcmur_cmd *cmd);
int callback_unmap(struct tcmu_device *dev, struct tcmur_cmd *cmd, uint64_t off, uint64_t len);
