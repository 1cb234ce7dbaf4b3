/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* Host symbols: vectors, and fields of CDBs. */
#include <errno.h>
#include <string.h>

#include "host-symbols.h"
#include "runner-private.h"
#include "scsi.h"

size_t tcmu_iovec_length(struct iovec *iovec, size_t iov_cnt)
{
    size_t length = 0;
    for (size_t i = 0; i < iov_cnt; i++)
        length += iovec[i].iov_len;
    return length;
}

void tcmu_iovec_zero(struct iovec *iovec, size_t iov_cnt)
{
    for (size_t i = 0; i < iov_cnt; i++)
        memset(iovec[i].iov_base, 0, iovec[i].iov_len);
}

bool tcmu_iovec_zeroed(struct iovec *iovec, size_t iov_cnt)
{
    for (size_t i = 0; i < iov_cnt; i++) {
        const uint8_t *bytes = iovec[i].iov_base;
        for (size_t b = 0; b < iovec[i].iov_len; b++) {
            if (bytes[b])
                return false;
        }
    }
    return true;
}

/* Takes count bytes off the front of one vector. */
static void advance(struct iovec *vector, size_t count)
{
    vector->iov_base = (uint8_t *)vector->iov_base + count;
    vector->iov_len -= count;
}

/* Consumes count bytes, which must be there; returns the vectors used up. */
size_t tcmu_iovec_seek(struct iovec *iovec, size_t count)
{
    size_t used = 0;

    while (count > 0 && count >= iovec[used].iov_len) {
        count -= iovec[used].iov_len;
        iovec[used++].iov_len = 0;
    }
    if (count > 0)
        advance(&iovec[used], count);
    return used;
}

void tcmu_cmd_seek(struct tcmulib_cmd *cmd, size_t count)
{
    cmd->iov_cnt -= tcmu_iovec_seek(cmd->iovec, count);
}

/* Offset of the first byte that differs from mem, or -1. */
off_t tcmu_iovec_compare(void *mem, struct iovec *iovec, size_t size)
{
    const uint8_t *bytes = mem;
    size_t at = 0;

    for (; at < size; iovec++) {
        const uint8_t *other = iovec->iov_base;
        size_t part = MIN(size - at, iovec->iov_len);
        for (size_t b = 0; b < part; b++, at++) {
            if (bytes[at] != other[b])
                return (off_t)at;
        }
    }
    return -1;
}

size_t tcmu_memcpy_into_iovec(struct iovec *iovec, size_t iov_cnt, void *src, size_t len)
{
    size_t done = 0;

    for (; done < len && iov_cnt > 0; iovec++, iov_cnt--) {
        size_t part = MIN(iovec->iov_len, len - done);
        memcpy(iovec->iov_base, (uint8_t *)src + done, part);
        advance(iovec, part);
        done += part;
    }
    return done;
}

size_t tcmu_memcpy_from_iovec(void *dest, size_t len, struct iovec *iovec, size_t iov_cnt)
{
    size_t done = 0;

    for (; done < len && iov_cnt > 0; iovec++, iov_cnt--) {
        size_t part = MIN(iovec->iov_len, len - done);
        memcpy((uint8_t *)dest + done, iovec->iov_base, part);
        advance(iovec, part);
        done += part;
    }
    return done;
}

int tcmu_cdb_get_length(uint8_t *cdb)
{
    size_t length = cdb[0] == 0x7f ? 8u + cdb[7] : runner_cdb_length(cdb);
    return length ? (int)length : -EINVAL;
}

uint64_t tcmu_cdb_get_lba(uint8_t *cdb)
{
    switch (runner_cdb_length(cdb)) {
    case 6:
        return runner_get_be(cdb + 1, 3) & 0x1fffff;
    case 10:
    case 12:
        return runner_get_be(cdb + 2, 4);
    case 16:
        return runner_get_be(cdb + 2, 8);
    default:
        runner_fail(cdb, "tcmu_cdb_get_lba of a CDB whose length the host does not know");
    }
}

uint32_t tcmu_cdb_get_xfer_length(uint8_t *cdb)
{
    switch (runner_cdb_length(cdb)) {
    case 6:
        return cdb[4];
    case 10:
        return (uint32_t)runner_get_be(cdb + 7, 2);
    case 12:
        return (uint32_t)runner_get_be(cdb + 6, 4);
    case 16:
        return (uint32_t)runner_get_be(cdb + 10, 4);
    default:
        runner_fail(cdb, "tcmu_cdb_get_xfer_length of a CDB whose length the host does not know");
    }
}

uint64_t tcmu_cdb_to_byte(struct tcmu_device *dev, uint8_t *cdb)
{
    return tcmu_lba_to_byte(dev, tcmu_cdb_get_lba(cdb));
}
