/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * Preloaded into vhdctl: the n-th system call of one name on a file in one folder fails.
 *
 *   FAULT_FOLDER  real path; calls on files elsewhere are let through and not counted
 *   FAULT_CALL    such as pwritev
 *   FAULT_NTH     from 1
 *   FAULT_ERRNO   a number
 *   FAULT_SHORT   if set: the n-th transfers its first 512 bytes only, the next one fails
 *   FAULT_LASTING if set: all from the n-th on fail
 *   FAULT_MARK    a file made once one failed
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define PART_BYTES 512u

static const char *setting(const char *name)
{
    const char *value = getenv(name);

    return value ? value : "";
}

static bool in_folder(const char *path)
{
    const char *folder = setting("FAULT_FOLDER");

    return *folder && strncmp(path, folder, strlen(folder)) == 0;
}

static bool fd_in_folder(int fd)
{
    char link[64], path[PATH_MAX];
    ssize_t len;

    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    len = readlink(link, path, sizeof path - 1);
    path[len > 0 ? len : 0] = 0;
    return in_folder(path);
}

static bool name_in_folder(int folder_fd, const char *name)
{
    return name[0] == '/' ? in_folder(name) : fd_in_folder(folder_fd);
}

/* Whether this call is the one; errno is set then. vhdctl does I/O in one thread at a time. */
static bool fails(const char *call, bool counts)
{
    static int seen;
    int wanted = atoi(setting("FAULT_NTH")) + (*setting("FAULT_SHORT") ? 1 : 0), fd;

    if (!counts || strcmp(setting("FAULT_CALL"), call) != 0 || ++seen < wanted ||
        (seen > wanted && !*setting("FAULT_LASTING")))
        return false;
    fd = creat(setting("FAULT_MARK"), 0600);
    if (fd >= 0)
        close(fd);
    errno = atoi(setting("FAULT_ERRNO"));
    return true;
}

#define NEXT(name) ((__typeof__(&name))(uintptr_t)dlsym(RTLD_NEXT, #name))

/* The first bytes of a transfer, where it is to be a short one. */
static struct iovec part_of(const struct iovec *iov)
{
    struct iovec part = *iov;

    if (part.iov_len > PART_BYTES)
        part.iov_len = PART_BYTES;
    return part;
}

ssize_t preadv64(int fd, const struct iovec *iov, int count, off_t off)
{
    struct iovec part = part_of(iov);
    bool cut = *setting("FAULT_SHORT") && strcmp(setting("FAULT_CALL"), "preadv") == 0;

    if (fails("preadv", fd_in_folder(fd)))
        return -1;
    return cut ? NEXT(preadv64)(fd, &part, 1, off) : NEXT(preadv64)(fd, iov, count, off);
}

ssize_t pwritev64(int fd, const struct iovec *iov, int count, off_t off)
{
    struct iovec part = part_of(iov);
    bool cut = *setting("FAULT_SHORT") && strcmp(setting("FAULT_CALL"), "pwritev") == 0;

    if (fails("pwritev", fd_in_folder(fd)))
        return -1;
    return cut ? NEXT(pwritev64)(fd, &part, 1, off) : NEXT(pwritev64)(fd, iov, count, off);
}

int fdatasync(int fd)
{
    return fails("fdatasync", fd_in_folder(fd)) ? -1 : NEXT(fdatasync)(fd);
}

int fsync(int fd)
{
    return fails("fsync", fd_in_folder(fd)) ? -1 : NEXT(fsync)(fd);
}

int ftruncate64(int fd, off_t bytes)
{
    return fails("ftruncate", fd_in_folder(fd)) ? -1 : NEXT(ftruncate64)(fd, bytes);
}

int fallocate64(int fd, int mode, off_t off, off_t len)
{
    return fails("fallocate", fd_in_folder(fd)) ? -1 : NEXT(fallocate64)(fd, mode, off, len);
}

int renameat2(int from_fd, const char *from, int to_fd, const char *to, unsigned flags)
{
    return fails("renameat2", fd_in_folder(from_fd))
               ? -1
               : NEXT(renameat2)(from_fd, from, to_fd, to, flags);
}

/* By a name as it was given: the scripts give them from the folder that work is in. */
static bool path_in_folder(const char *path)
{
    return in_folder(path) || strncmp(path, "work/", 5) == 0;
}

int chmod(const char *path, mode_t mode)
{
    return fails("chmod", path_in_folder(path)) ? -1 : NEXT(chmod)(path, mode);
}

int unlink(const char *path)
{
    return fails("unlink", path_in_folder(path)) ? -1 : NEXT(unlink)(path);
}

int fstat64(int fd, struct stat64 *st)
{
    return fails("fstat", fd_in_folder(fd)) ? -1 : NEXT(fstat64)(fd, st);
}

off_t lseek64(int fd, off_t off, int whence)
{
    return fails("lseek", fd_in_folder(fd)) ? -1 : NEXT(lseek64)(fd, off, whence);
}

int posix_fadvise64(int fd, off_t off, off_t len, int advice)
{
    return fails("posix_fadvise", fd_in_folder(fd)) ? errno
                                                    : NEXT(posix_fadvise64)(fd, off, len, advice);
}

/* Judged by what was opened: most names are of /proc/self/fd. */
static int opened(int fd)
{
    if (fd < 0 || !fails("open", fd_in_folder(fd)))
        return fd;
    close(fd);
    errno = atoi(setting("FAULT_ERRNO"));
    return -1;
}

static mode_t mode_of(int flags, va_list args)
{
    return flags & O_CREAT ? va_arg(args, mode_t) : 0;
}

int openat64(int folder_fd, const char *name, int flags, ...)
{
    va_list args;
    mode_t mode;

    va_start(args, flags);
    mode = mode_of(flags, args);
    va_end(args);
    if (flags & O_CREAT) /* else it would be there */
        return fails("open", name_in_folder(folder_fd, name))
                   ? -1
                   : NEXT(openat64)(folder_fd, name, flags, mode);
    return opened(NEXT(openat64)(folder_fd, name, flags, mode));
}

int open64(const char *path, int flags, ...)
{
    va_list args;
    mode_t mode;

    va_start(args, flags);
    mode = mode_of(flags, args);
    va_end(args);
    return opened(NEXT(open64)(path, flags, mode));
}

/* Locks; the other commands pass. */
int fcntl64(int fd, int command, ...)
{
    bool lock = command == F_OFD_SETLK || command == F_OFD_GETLK;
    va_list args;
    void *argument;

    va_start(args, command);
    argument = va_arg(args, void *);
    va_end(args);
    return fails("fcntl", lock && fd_in_folder(fd)) ? -1 : NEXT(fcntl64)(fd, command, argument);
}
