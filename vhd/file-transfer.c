/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* Bytes between memory and a file, all of them or an error. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
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

/* All of iov in one call that does not wait, or -EAGAIN: whoever can wait does it again, and tells
 * what is wrong where something is. *waits: this file system does not know how. */
static int transfer_now(TransferNowCall *call, int fd, uint64_t off, const struct iovec *iov,
                        int iovcnt, bool *waits)
{
    size_t bytes = 0;
    ssize_t n;

    if (off > INT64_MAX || iovcnt > IOV_MAX || __atomic_load_n(waits, __ATOMIC_RELAXED))
        return -EAGAIN;
    for (int i = 0; i < iovcnt; i++)
        bytes += iov[i].iov_len;
    n = call(fd, iov, iovcnt, (off_t)off, RWF_NOWAIT);
    if (n < 0 && errno == EOPNOTSUPP)
        __atomic_store_n(waits, true, __ATOMIC_RELAXED);
    return n >= 0 && (size_t)n == bytes ? 0 : -EAGAIN;
}

int posix_readv_now(VhdFile *file, VhdIoKind kind, uint64_t off, const struct iovec *iov,
                    int iovcnt)
{
    PosixFile *posix = posix_file(file);

    (void)kind;
    return transfer_now(preadv2, posix->fd, off, iov, iovcnt, &posix->reads_wait);
}

/*
 * Where the file system knows no write that does not wait (ext4), whole pages go into the page
 * cache the ordinary way: nothing is read from the device for that, and what it may wait for, a
 * transaction or the limit of dirty memory, a thread of the disk's would wait for just as well.
 */
static int write_pages(int fd, uint64_t off, const struct iovec *iov, int iovcnt)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), bytes = 0;

    for (int i = 0; i < iovcnt; i++)
        bytes += iov[i].iov_len;
    if (off > INT64_MAX || iovcnt > IOV_MAX || off % page || bytes % page)
        return -EAGAIN;
    return pwritev(fd, iov, iovcnt, (off_t)off) == (ssize_t)bytes ? 0 : -EAGAIN;
}

int posix_writev_now(VhdFile *file, VhdIoKind kind, uint64_t off, const struct iovec *iov,
                     int iovcnt)
{
    PosixFile *posix = posix_file(file);
    int err = transfer_now(pwritev2, posix->fd, off, iov, iovcnt, &posix->writes_wait);

    (void)kind;
    if (err && __atomic_load_n(&posix->writes_wait, __ATOMIC_RELAXED))
        err = write_pages(posix->fd, off, iov, iovcnt);
    return err;
}
