/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * The seam between the engine and the file system: nothing else makes a system call on an image.
 * A VhdFile is one open file behind a table of operations; tests put doubles (memory, failing,
 * tracing) in the table's place. Short transfers and EINTR end here. Every write carries its kind,
 * which POSIX ignores and the doubles use to fail or cut "the second BAT write".
 *
 * Offsets and lengths are bytes. Data-path calls return 0 or -errno and may run in any thread, also
 * concurrently on one file; no call takes a lock. Control-path calls set a GError that names the
 * file.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

typedef enum VhdIoKind {
    VHD_IO_DATA,
    VHD_IO_BITMAP,
    VHD_IO_BAT,
    VHD_IO_HEADER,
    VHD_IO_FOOTER,
    VHD_IO_LOCATOR,
    VHD_IO_BATMAP,
    VHD_IO_KINDS
} VhdIoKind;

typedef struct VhdFile VhdFile;

typedef struct VhdFileInfo {
    uint64_t device, inode;
    uint64_t bytes;        /* length */
    uint64_t block_device; /* which one it is, by whatever name; 0: none */
    mode_t mode;           /* type and permission bits */
    int64_t mtime_unix;    /* seconds */
} VhdFileInfo;

/* What will be done, or may be. */
typedef enum VhdFileHint {
    VHD_FILE_READ_SOON, /* begin to read it into the cache */
    VHD_FILE_WRITE_OUT, /* begin to write what is in the cache only; a barrier is due all the same
                         */
} VhdFileHint;

typedef struct VhdFileOps {
    /* Transfer all of iov at off, or fail; a part may have been transferred then. A read that
     * meets the end of the file returns -ENODATA. */
    int (*readv)(VhdFile *file, VhdIoKind kind, uint64_t off, const struct iovec *iov, int iovcnt);
    int (*writev)(VhdFile *file, VhdIoKind kind, uint64_t off, const struct iovec *iov, int iovcnt);
    /* As readv and writev, for a thread that others wait for: -EAGAIN where it would wait for a
     * device, or for any other reason; then a part may have been transferred, and the others tell
     * more. NULL: readv and writev never wait. */
    int (*readv_now)(VhdFile *file, VhdIoKind kind, uint64_t off, const struct iovec *iov,
                     int iovcnt);
    int (*writev_now)(VhdFile *file, VhdIoKind kind, uint64_t off, const struct iovec *iov,
                      int iovcnt);
    /* All writes, punches and lengths that returned before this call are on stable storage when
     * it returns 0. */
    int (*barrier)(VhdFile *file);
    int (*info)(VhdFile *file, VhdFileInfo *info);
    int (*resize)(VhdFile *file, uint64_t bytes);
    /* Afterwards [off, off+len) reads as zeros and takes no space where the file system can do
     * that; zeros are written where it cannot. The length of the file does not change; the part
     * beyond it is ignored. */
    int (*punch)(VhdFile *file, VhdIoKind kind, uint64_t off, uint64_t len);
    /* Writes to [off, off+len) cannot run out of space afterwards. Bytes below the end of the file
     * keep their value, the rest reads as zeros; the file grows to off+len if it was shorter.
     * -ENOSPC: the length may have grown, to zeros. Where the file system cannot reserve, zeros
     * are written beyond the end only: a hole below it stays one, and may run out of space. */
    int (*claim)(VhdFile *file, uint64_t off, uint64_t len);
    /* Forget cached pages of the range, so that the next read comes from the device. Best effort;
     * pages not yet written back are kept. */
    int (*drop_cache)(VhdFile *file, uint64_t off, uint64_t len);
    /* Keep the device busy with a range, without waiting for it. NULL: nothing is done. */
    void (*hint)(VhdFile *file, VhdFileHint hint, uint64_t off, uint64_t len);
    /* The next range that may hold data, at or after off: [*start, *end). *start = *end = length
     * if there is none. */
    int (*next_data)(VhdFile *file, uint64_t off, uint64_t *start, uint64_t *end);
    /* Open-file-description lock on one byte: type F_RDLCK or F_UNLCK. -EAGAIN: held otherwise. */
    int (*lock)(VhdFile *file, uint64_t byte, short type);
    /* 0: no other open file holds any lock on byte, -EAGAIN: one does. */
    int (*lock_test)(VhdFile *file, uint64_t byte);
    /* Give a file made by vhd_file_create its name: see vhd_file_publish. */
    int (*rename)(VhdFile *file, const char *path, bool replace);
    void (*close)(VhdFile *file); /* frees the VhdFile too, by vhd_file_release for its members */
} VhdFileOps;

struct VhdFile {
    const VhdFileOps *ops;
    char *name;   /* for messages: the path as the user or the chain wrote it; owned */
    char *folder; /* real path of the folder the opened file lies in; owned; NULL in doubles */
    bool writable;
};

typedef enum VhdFileFlags {
    VHD_FILE_READ = 0,
    VHD_FILE_WRITE = 1 << 0,        /* read and write */
    VHD_FILE_BLOCK_DEVICE = 1 << 1, /* block devices too; else regular files only */
    VHD_FILE_EXCLUSIVE = 1 << 2,    /* a block device only if nobody uses it, and nobody shall */
} VhdFileFlags;

/* Open path without ever blocking: a FIFO or a device is refused before it is opened (path
 * descriptor, fstat, reopen). VHD_ERROR_INVALID: no regular file. VHD_ERROR_READONLY: no right to
 * write it. VHD_ERROR_BUSY: exclusive, but mounted or part of another device. VHD_ERROR_IO: all
 * else, a missing file too. */
VhdFile *vhd_file_open(const char *path, VhdFileFlags flags, GError **error);

/* As vhd_file_open, name taken relative to dirfd (AT_FDCWD allowed), but only if the file that it
 * leads to, links followed, lies in one of the folders of allowed (real paths, NULL-terminated;
 * folders below them count too; NULL = anywhere). The file is pinned first and the folder that it
 * really lies in judged then, so a rename in between changes nothing. VHD_ERROR_PARENT where it
 * lies outside. */
VhdFile *vhd_file_open_at(int dirfd, const char *name, const char *const *allowed,
                          VhdFileFlags flags, GError **error);

/* A new empty file under a temporary name in path's folder (mode less the umask), to be named by
 * vhd_file_publish; closing it unpublished removes it. */
VhdFile *vhd_file_create(const char *path, mode_t mode, GError **error);

/* Sync the file, give it the path it was created for, sync the folder. Without replace an existing
 * file there is an error (VHD_ERROR_EXISTS) and stays as it is. Where only the last step, the sync
 * of the folder, fails, the file has its name, but may lose it with the power. */
bool vhd_file_publish(VhdFile *file, bool replace, GError **error);

/* Free name and folder; for implementations of close. */
void vhd_file_release(VhdFile *file);

/* Closes; NULL is fine. */
void vhd_file_close(VhdFile *file);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VhdFile, vhd_file_close)

/* How many bytes iov has room for. */
static inline uint64_t vhd_iov_bytes(const struct iovec *iov, int iovcnt)
{
    uint64_t bytes = 0;

    for (int i = 0; i < iovcnt; i++)
        bytes += iov[i].iov_len;
    return bytes;
}

static inline int vhd_file_readv(VhdFile *file, VhdIoKind kind, uint64_t off,
                                 const struct iovec *iov, int iovcnt)
{
    return file->ops->readv(file, kind, off, iov, iovcnt);
}

static inline int vhd_file_writev(VhdFile *file, VhdIoKind kind, uint64_t off,
                                  const struct iovec *iov, int iovcnt)
{
    return file->ops->writev(file, kind, off, iov, iovcnt);
}

static inline int vhd_file_readv_now(VhdFile *file, VhdIoKind kind, uint64_t off,
                                     const struct iovec *iov, int iovcnt)
{
    return (file->ops->readv_now ? file->ops->readv_now : file->ops->readv)(file, kind, off, iov,
                                                                            iovcnt);
}

static inline int vhd_file_writev_now(VhdFile *file, VhdIoKind kind, uint64_t off,
                                      const struct iovec *iov, int iovcnt)
{
    return (file->ops->writev_now ? file->ops->writev_now : file->ops->writev)(file, kind, off, iov,
                                                                               iovcnt);
}

static inline int vhd_file_read(VhdFile *file, VhdIoKind kind, uint64_t off, void *buf, size_t len)
{
    struct iovec iov = {buf, len};
    return file->ops->readv(file, kind, off, &iov, 1);
}

static inline int vhd_file_write(VhdFile *file, VhdIoKind kind, uint64_t off, const void *buf,
                                 size_t len)
{
    struct iovec iov = {(void *)(uintptr_t)buf, len};
    return file->ops->writev(file, kind, off, &iov, 1);
}

static inline int vhd_file_barrier(VhdFile *file)
{
    return file->ops->barrier(file);
}

static inline int vhd_file_info(VhdFile *file, VhdFileInfo *info)
{
    return file->ops->info(file, info);
}

static inline int vhd_file_resize(VhdFile *file, uint64_t bytes)
{
    return file->ops->resize(file, bytes);
}

static inline int vhd_file_punch(VhdFile *file, VhdIoKind kind, uint64_t off, uint64_t len)
{
    return file->ops->punch(file, kind, off, len);
}

static inline int vhd_file_claim(VhdFile *file, uint64_t off, uint64_t len)
{
    return file->ops->claim(file, off, len);
}

static inline int vhd_file_drop_cache(VhdFile *file, uint64_t off, uint64_t len)
{
    return file->ops->drop_cache(file, off, len);
}

static inline void vhd_file_hint(VhdFile *file, VhdFileHint hint, uint64_t off, uint64_t len)
{
    if (file->ops->hint)
        file->ops->hint(file, hint, off, len);
}

static inline int vhd_file_next_data(VhdFile *file, uint64_t off, uint64_t *start, uint64_t *end)
{
    return file->ops->next_data(file, off, start, end);
}
