/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* Bytes between memory and a file, all of them or an error. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "vhd/file-private.h"

static const uint8_t zeros[128 * 1024];

typedef ssize_t TransferCall(int fd, const struct iovec *iov, int iovcnt, off_t off);

static int transfer_once(TransferCall *call, int fd, uint64_t off, const struct iovec *iov,
                         int iovcnt, size_t *done)
{
    ssize_t n;

    if (off > INT64_MAX)
        return -EINVAL;
    n = TEMP_FAILURE_RETRY(call(fd, iov, MIN(iovcnt, IOV_MAX), (off_t)off));
    if (n < 0)
        return -errno;
    *done = (size_t)n;
    return 0;
}

/*
 * The caller's iovecs go to the kernel as they are, so that a healthy transfer is one system call
 * without a copy. Only the iovec in which a short transfer stopped is finished by itself.
 */
static int transfer(TransferCall *call, int at_end, int fd, uint64_t off, const struct iovec *iov,
                    int iovcnt)
{
    size_t skip = 0; /* bytes of iov[0] that are done */

    for (;;) {
        struct iovec rest;
        size_t done = 0;
        int err;

        for (; iovcnt > 0 && skip >= iov->iov_len; iov++, iovcnt--)
            skip -= iov->iov_len;
        if (iovcnt <= 0)
            return 0;
        rest = (struct iovec){(uint8_t *)iov->iov_base + skip, iov->iov_len - skip};
        err = transfer_once(call, fd, off, skip ? &rest : iov, skip ? 1 : iovcnt, &done);
        if (err || done == 0) /* iov[0] is not empty here */
            return err ? err : at_end;
        off += done;
        skip += done;
    }
}

int posix_readv(VhdFile *file, VhdIoKind kind, uint64_t off, const struct iovec *iov, int iovcnt)
{
    (void)kind;
    return transfer(preadv, -ENODATA, posix_file(file)->fd, off, iov, iovcnt);
}

int posix_writev(VhdFile *file, VhdIoKind kind, uint64_t off, const struct iovec *iov, int iovcnt)
{
    (void)kind;
    return transfer(pwritev, -EIO, posix_file(file)->fd, off, iov, iovcnt);
}

int posix_write_zeros(int fd, uint64_t off, uint64_t len)
{
    while (len > 0) {
        struct iovec iov = {(void *)(uintptr_t)zeros, MIN(len, sizeof(zeros))};
        int err = transfer(pwritev, -EIO, fd, off, &iov, 1);

        if (err)
            return err;
        off += iov.iov_len;
        len -= iov.iov_len;
    }
    return 0;
}

/* Without waiting */

typedef ssize_t TransferNowCall(int fd, const struct iovec *iov, int iovcnt, off_t off, int flags);

/* All of iov in one call with RWF_NOWAIT, or -EAGAIN: whoever can wait does it again, and tells
 * what is wrong where something is. -EOPNOTSUPP: this file system does not know how. */
static int transfer_now(TransferNowCall *call, int fd, uint64_t off, const struct iovec *iov,
                        int iovcnt)
{
    ssize_t n;

    if (off > INT64_MAX || iovcnt > IOV_MAX)
        return -EAGAIN;
    n = call(fd, iov, iovcnt, (off_t)off, RWF_NOWAIT);
    if (n < 0 && errno == EOPNOTSUPP)
        return -EOPNOTSUPP;
    return n >= 0 && (uint64_t)n == vhd_iov_bytes(iov, iovcnt) ? 0 : -EAGAIN;
}

int posix_readv_now(VhdFile *file, VhdIoKind kind, uint64_t off, const struct iovec *iov,
                    int iovcnt)
{
    PosixFile *posix = posix_file(file);
    int err;

    (void)kind;
    if (__atomic_load_n(&posix->read_now, __ATOMIC_RELAXED) != NOW_BY_FLAG)
        return -EAGAIN;
    err = transfer_now(preadv2, posix->fd, off, iov, iovcnt);
    if (err == -EOPNOTSUPP)
        __atomic_store_n(&posix->read_now, NOW_NEVER, __ATOMIC_RELAXED);
    return err ? -EAGAIN : 0;
}

/* Local file systems whose ordinary writes end in the page cache. Others may ask a server, or a
 * daemon, and wait for the answer. */
static NowWay way_without_flag(int fd)
{
    struct statfs fs;

    if (fstatfs(fd, &fs) < 0 || fs.f_flags & ST_SYNCHRONOUS)
        return NOW_NEVER;
    return fs.f_type == EXT4_SUPER_MAGIC || fs.f_type == TMPFS_MAGIC ? NOW_PAGES : NOW_NEVER;
}

/* Nothing is read from the device for whole pages. What such a write may wait for all the same: the
 * lock of the inode, a transaction, the limit of dirty memory. */
static int write_pages(int fd, uint64_t off, const struct iovec *iov, int iovcnt)
{
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), bytes = vhd_iov_bytes(iov, iovcnt);

    if (off > INT64_MAX || iovcnt > IOV_MAX || off % page || bytes % page)
        return -EAGAIN;
    return pwritev(fd, iov, iovcnt, (off_t)off) == (ssize_t)bytes ? 0 : -EAGAIN;
}

int posix_writev_now(VhdFile *file, VhdIoKind kind, uint64_t off, const struct iovec *iov,
                     int iovcnt)
{
    PosixFile *posix = posix_file(file);
    int way = __atomic_load_n(&posix->write_now, __ATOMIC_RELAXED), err = -EAGAIN;

    (void)kind;
    if (way == NOW_BY_FLAG) {
        err = transfer_now(pwritev2, posix->fd, off, iov, iovcnt);
        if (err != -EOPNOTSUPP)
            return err;
        way = way_without_flag(posix->fd);
        __atomic_store_n(&posix->write_now, way, __ATOMIC_RELAXED);
    }
    return way == NOW_PAGES ? write_pages(posix->fd, off, iov, iovcnt) : -EAGAIN;
}
