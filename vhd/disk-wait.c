/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* The wrappers that wait for a request. */
#include <pthread.h>

#include "vhd/disk.h"
#include "vhd/file.h"

typedef struct Waiter {
    pthread_mutex_t lock; /* protects all below; a leaf */
    pthread_cond_t done;
    bool is_done;
    int result;
} Waiter;

static void wake_waiter(VhdRequest *request, int result)
{
    Waiter *waiter = request->data;

    pthread_mutex_lock(&waiter->lock);
    waiter->result = result;
    waiter->is_done = true;
    pthread_cond_signal(&waiter->done);
    pthread_mutex_unlock(&waiter->lock);
}

static int submit_and_wait(VhdDisk *disk, VhdRequest *request)
{
    Waiter waiter = {.lock = PTHREAD_MUTEX_INITIALIZER, .done = PTHREAD_COND_INITIALIZER};

    request->done = wake_waiter;
    request->data = &waiter;
    vhd_disk_submit(disk, request);
    pthread_mutex_lock(&waiter.lock);
    while (!waiter.is_done)
        pthread_cond_wait(&waiter.done, &waiter.lock);
    pthread_mutex_unlock(&waiter.lock);
    pthread_cond_destroy(&waiter.done);
    pthread_mutex_destroy(&waiter.lock);
    return waiter.result;
}

int vhd_disk_readv(VhdDisk *disk, uint64_t off, const struct iovec *iov, int iovcnt)
{
    VhdRequest request = {
        .op = VHD_OP_READ,
        .off = off,
        .len = vhd_iov_bytes(iov, iovcnt),
        .iov = iov,
        .iovcnt = iovcnt,
    };

    return submit_and_wait(disk, &request);
}

int vhd_disk_writev(VhdDisk *disk, uint64_t off, const struct iovec *iov, int iovcnt, bool fua)
{
    VhdRequest request = {
        .op = VHD_OP_WRITE,
        .fua = fua,
        .off = off,
        .len = vhd_iov_bytes(iov, iovcnt),
        .iov = iov,
        .iovcnt = iovcnt,
    };

    return submit_and_wait(disk, &request);
}

int vhd_disk_read(VhdDisk *disk, uint64_t off, void *buf, size_t len)
{
    struct iovec iov = {buf, len};

    return vhd_disk_readv(disk, off, &iov, 1);
}

int vhd_disk_write(VhdDisk *disk, uint64_t off, const void *buf, size_t len, bool fua)
{
    struct iovec iov = {(void *)(uintptr_t)buf, len};

    return vhd_disk_writev(disk, off, &iov, 1, fua);
}

int vhd_disk_flush(VhdDisk *disk)
{
    VhdRequest request = {.op = VHD_OP_FLUSH};

    return submit_and_wait(disk, &request);
}

int vhd_disk_unmap(VhdDisk *disk, uint64_t off, uint64_t len)
{
    VhdRequest request = {.op = VHD_OP_UNMAP, .off = off, .len = len};

    return submit_and_wait(disk, &request);
}

int vhd_disk_write_zeroes(VhdDisk *disk, uint64_t off, uint64_t len, bool fua)
{
    VhdRequest request = {.op = VHD_OP_WRITE_ZEROES, .fua = fua, .off = off, .len = len};

    return submit_and_wait(disk, &request);
}
