/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
#include "handler/iovecs.h"

#include <string.h>

size_t iovecs_bytes(const struct iovec *iov, size_t iov_cnt)
{
    size_t bytes = 0;

    for (size_t i = 0; i < iov_cnt; i++)
        bytes += iov[i].iov_len;
    return bytes;
}

void iovecs_zero(const struct iovec *iov, size_t iov_cnt)
{
    for (size_t i = 0; i < iov_cnt; i++) {
        if (iov[i].iov_len > 0)
            memset(iov[i].iov_base, 0, iov[i].iov_len);
    }
}

bool iovecs_are_zero(const struct iovec *iov, size_t iov_cnt)
{
    for (size_t i = 0; i < iov_cnt; i++) {
        const uint8_t *bytes = iov[i].iov_base;

        /* Each byte equals the one before it, and the first is zero. */
        if (iov[i].iov_len > 0 &&
            (bytes[0] != 0 || memcmp(bytes, bytes + 1, iov[i].iov_len - 1) != 0))
            return false;
    }
    return true;
}

size_t iovecs_copy_in(const struct iovec *iov, size_t iov_cnt, const void *from, size_t len)
{
    size_t done = 0;

    for (size_t i = 0; i < iov_cnt && done < len; i++) {
        size_t part = iov[i].iov_len < len - done ? iov[i].iov_len : len - done;

        if (part > 0)
            memcpy(iov[i].iov_base, (const uint8_t *)from + done, part);
        done += part;
    }
    return done;
}

size_t iovecs_copy_out(const struct iovec *iov, size_t iov_cnt, void *to, size_t len)
{
    size_t done = 0;

    for (size_t i = 0; i < iov_cnt && done < len; i++) {
        size_t part = iov[i].iov_len < len - done ? iov[i].iov_len : len - done;

        if (part > 0)
            memcpy((uint8_t *)to + done, iov[i].iov_base, part);
        done += part;
    }
    return done;
}

/* As memcmp, but says where: the number of equal bytes at the beginning. */
static size_t bytes_same(const uint8_t *a, const uint8_t *b, size_t len)
{
    size_t same = 0;

    if (memcmp(a, b, len) == 0)
        return len;
    while (same < len && a[same] == b[same])
        same++;
    return same;
}

size_t iovecs_same(const struct iovec *iov, size_t iov_cnt, uint64_t off, const void *data,
                   size_t len)
{
    size_t done = 0;

    for (size_t i = 0; i < iov_cnt && done < len; i++) {
        size_t part, same;

        if (off >= iov[i].iov_len) {
            off -= iov[i].iov_len;
            continue;
        }
        part = iov[i].iov_len - (size_t)off;
        if (part > len - done)
            part = len - done;
        same =
            bytes_same((const uint8_t *)iov[i].iov_base + off, (const uint8_t *)data + done, part);
        done += same;
        if (same < part)
            break;
        off = 0;
    }
    return done;
}
