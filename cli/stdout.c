/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
#include "cli/stdout.h"

#include <errno.h>
#include <glib.h>
#include <unistd.h>

#include "cli/progress.h"

int stdout_write(const uint8_t *buf, size_t len)
{
    while (len > 0) {
        ssize_t n;

        if (progress_interrupted())
            return -EINTR;
        n = write(STDOUT_FILENO, buf, len);
        if (n < 0 && errno != EINTR)
            return -errno;
        if (n > 0) {
            buf += n;
            len -= (size_t)n;
        }
    }
    return 0;
}

int stdout_write_zeros(uint64_t len)
{
    static const uint8_t zeros[1u << 16];
    int err = 0;

    for (; len > 0 && !err; len -= MIN(len, sizeof(zeros)))
        err = stdout_write(zeros, MIN(len, sizeof(zeros)));
    return err;
}
