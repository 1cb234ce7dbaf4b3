/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* Standard output as data. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* All of it. 0 or -errno; -EINTR: the user interrupted. */
int stdout_write(const uint8_t *buf, size_t len);

/* len zeros. */
int stdout_write_zeros(uint64_t len);
