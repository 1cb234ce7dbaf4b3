/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* Buffers in pieces. The host's own functions consume the vectors; these leave them alone. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

size_t iovecs_bytes(const struct iovec *iov, size_t iov_cnt);
void iovecs_zero(const struct iovec *iov, size_t iov_cnt);
bool iovecs_are_zero(const struct iovec *iov, size_t iov_cnt);

/* Copy as much of len bytes as there is; returns how much. */
size_t iovecs_copy_in(const struct iovec *iov, size_t iov_cnt, const void *from, size_t len);
size_t iovecs_copy_out(const struct iovec *iov, size_t iov_cnt, void *to, size_t len);

/* How many of the len bytes at data equal those from off on; len: all. Bytes beyond the end of iov
 * are different. */
size_t iovecs_same(const struct iovec *iov, size_t iov_cnt, uint64_t off, const void *data,
                   size_t len);
