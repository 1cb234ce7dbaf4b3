/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* A VhdFile on the real file system, for file.c and file-transfer.c. */
#pragma once

#include "vhd/file.h"

typedef struct PosixFile {
    VhdFile base;
    int fd;
    int folder_fd;   /* of a created file, else -1 */
    char *temp_name; /* in folder_fd, while the file is not published */
    /* Atomic, NowWay: what the file system was found to do without waiting. */
    int read_now, write_now;
} PosixFile;

typedef enum NowWay {
    NOW_BY_FLAG, /* RWF_NOWAIT; until it is found out */
    NOW_PAGES,   /* whole pages, the ordinary way */
    NOW_NEVER,
} NowWay;

static inline PosixFile *posix_file(VhdFile *file)
{
    return (PosixFile *)file;
}

/* Of VhdFileOps. */
int posix_readv(VhdFile *file, VhdIoKind kind, uint64_t off, const struct iovec *iov, int iovcnt);
int posix_writev(VhdFile *file, VhdIoKind kind, uint64_t off, const struct iovec *iov, int iovcnt);
int posix_readv_now(VhdFile *file, VhdIoKind kind, uint64_t off, const struct iovec *iov,
                    int iovcnt);
int posix_writev_now(VhdFile *file, VhdIoKind kind, uint64_t off, const struct iovec *iov,
                     int iovcnt);

/* Write len zeros at off of fd. 0 or -errno. */
int posix_write_zeros(int fd, uint64_t off, uint64_t len);
