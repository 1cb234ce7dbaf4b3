/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * VhdFile on the real file system, transfers aside (file-transfer.c), in this order: space, by
 * fallocate or by writing zeros where that is not supported; locks; making (a temporary name until
 * published); pinning and opening.
 *
 * The data path needs no lock: between open and close only making changes a PosixFile (temp_name).
 */
#include "vhd/file-private.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vhd/break.h"
#include "vhd/error.h"
#include "vhd/file-folder.h"

#define TEMP_TRIES      100 /* of a random name for a new file */
#define MAX_FOLIO_PAGES 512 /* of the page cache; a folio is aligned to its size */

static int call_result(long result)
{
    return result < 0 ? -errno : 0;
}

/* A system call that may be interrupted, as 0 or -errno. */
#define RETRY(call) call_result(TEMP_FAILURE_RETRY(call))

/* fdatasync writes the length and the block map too, all that reading the data back needs. */
static int posix_barrier(VhdFile *file)
{
    return RETRY(fdatasync(posix_file(file)->fd));
}

static int posix_info(VhdFile *file, VhdFileInfo *info)
{
    int fd = posix_file(file)->fd;
    struct stat st;

    if (fstat(fd, &st) < 0)
        return -errno;
    info->device = st.st_dev;
    info->inode = st.st_ino;
    info->bytes = (uint64_t)st.st_size;
    info->block_device = S_ISBLK(st.st_mode) ? st.st_rdev : 0;
    info->mode = st.st_mode;
    info->mtime_unix = st.st_mtime;
    if (S_ISBLK(st.st_mode) && ioctl(fd, BLKGETSIZE64, &info->bytes) < 0)
        return -errno;
    return 0;
}

static int posix_resize(VhdFile *file, uint64_t bytes)
{
    if (bytes > INT64_MAX)
        return -EFBIG;
    return RETRY(ftruncate(posix_file(file)->fd, (off_t)bytes));
}

/* Space */

/* fallocate said no for a reason that writing zeros gets round. EINVAL: a block device wants whole
 * blocks. */
static bool fallocate_unsupported(int err)
{
    return err == -EOPNOTSUPP || err == -ENOSYS || err == -EINVAL || err == -ENODEV;
}

static int posix_punch(VhdFile *file, VhdIoKind kind, uint64_t off, uint64_t len)
{
    int fd = posix_file(file)->fd, err;
    VhdFileInfo info;

    (void)kind;
    err = posix_info(file, &info);
    if (err || off >= info.bytes || len == 0)
        return err;
    /* Space claimed beyond the end stays claimed, and written zeros must not make the file longer.
     */
    len = MIN(len, info.bytes - off);
    err = RETRY(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)off, (off_t)len));
    return fallocate_unsupported(err) ? posix_write_zeros(fd, off, len) : err;
}

/*
 * Without fallocate zeros are written beyond the end only: below it another thread may be writing.
 * A hole below the end stays one then. Zeros never leave [off, off+len), so claims of different
 * ranges may overtake each other.
 */
static int posix_claim(VhdFile *file, uint64_t off, uint64_t len)
{
    int fd = posix_file(file)->fd, err;
    uint64_t end = off + len;
    VhdFileInfo info;

    if (end < off || end > INT64_MAX)
        return -EFBIG;
    if (len == 0)
        return 0;
    err = RETRY(fallocate(fd, 0, (off_t)off, (off_t)len));
    if (!fallocate_unsupported(err))
        return err;
    err = posix_info(file, &info);
    if (err || info.bytes >= end)
        return err;
    off = MAX(off, info.bytes);
    return posix_write_zeros(fd, off, end - off);
}

/* The kernel keeps a folio of which only a part is named, so the range is widened to the largest.
 */
static int posix_drop_cache(VhdFile *file, uint64_t off, uint64_t len)
{
    uint64_t folio = (uint64_t)sysconf(_SC_PAGESIZE) * MAX_FOLIO_PAGES, start = off - off % folio;

    if (len == 0 || off > INT64_MAX) /* a length of 0 would mean "to the end" */
        return 0;
    len = MIN(len, INT64_MAX - off) + (off - start);
    len = MIN(len + (folio - len % folio) % folio, INT64_MAX - start);
    return -posix_fadvise(posix_file(file)->fd, (off_t)start, (off_t)len, POSIX_FADV_DONTNEED);
}

static void posix_hint(VhdFile *file, VhdFileHint hint, uint64_t off, uint64_t len)
{
    int fd = posix_file(file)->fd;

    if (hint == VHD_FILE_READ_SOON)
        posix_fadvise(fd, (off_t)off, (off_t)len, POSIX_FADV_WILLNEED);
    else
        sync_file_range(fd, (off_t)off, (off_t)len, SYNC_FILE_RANGE_WRITE);
}

static int posix_next_data(VhdFile *file, uint64_t off, uint64_t *start, uint64_t *end)
{
    int fd = posix_file(file)->fd;
    VhdFileInfo info;
    off_t data, hole;
    int err = posix_info(file, &info);

    if (err)
        return err;
    *start = *end = info.bytes;
    if (off >= info.bytes)
        return 0;
    /* The descriptor's own offset moves; nothing here uses it. */
    data = lseek(fd, (off_t)off, SEEK_DATA);
    if (data < 0 && errno != ENXIO) /* not supported: all is data */
        data = (off_t)off;
    if (data < 0 || (uint64_t)data >= info.bytes) /* grown meanwhile */
        return 0;
    hole = lseek(fd, data, SEEK_HOLE);
    *start = (uint64_t)data;
    if (hole > data)
        *end = MIN((uint64_t)hole, info.bytes);
    return 0;
}

/* Locks */

static struct flock byte_lock(uint64_t byte, short type)
{
    return (struct flock){.l_type = type, .l_whence = SEEK_SET, .l_start = (off_t)byte, .l_len = 1};
}

static int posix_lock(VhdFile *file, uint64_t byte, short type)
{
    struct flock lock = byte_lock(byte, type);
    int err = RETRY(fcntl(posix_file(file)->fd, F_OFD_SETLK, &lock));

    return err == -EACCES ? -EAGAIN : err;
}

/* Asked as a writer, in conflict with any lock; asking needs no descriptor open for writing. */
static int posix_lock_test(VhdFile *file, uint64_t byte)
{
    struct flock lock = byte_lock(byte, F_WRLCK);
    int err = RETRY(fcntl(posix_file(file)->fd, F_OFD_GETLK, &lock));

    return err ? err : lock.l_type == F_UNLCK ? 0 : -EAGAIN;
}

/* Making */

/* Where rename cannot refuse an existing file, a second link can. */
static int rename_by_link(int folder_fd, const char *temp_name, const char *name)
{
    if (linkat(folder_fd, temp_name, folder_fd, name, 0) < 0)
        return -errno;
    return unlinkat(folder_fd, temp_name, 0) < 0 ? -errno : 0;
}

static int posix_rename(VhdFile *file, const char *path, bool replace)
{
    PosixFile *posix = posix_file(file);
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    int err;

    if (!posix->temp_name)
        return -EINVAL;
    err = RETRY(renameat2(posix->folder_fd, posix->temp_name, posix->folder_fd, name,
                          replace ? 0 : RENAME_NOREPLACE));
    if (!replace && (err == -EINVAL || err == -ENOSYS))
        err = rename_by_link(posix->folder_fd, posix->temp_name, name);
    if (err)
        return err;
    g_clear_pointer(&posix->temp_name, g_free);
    return RETRY(fsync(posix->folder_fd));
}

static void posix_close(VhdFile *file)
{
    PosixFile *posix = posix_file(file);

    if (posix->temp_name)
        unlinkat(posix->folder_fd, posix->temp_name, 0);
    g_free(posix->temp_name);
    if (posix->folder_fd >= 0)
        close(posix->folder_fd);
    if (posix->fd >= 0)
        close(posix->fd);
    vhd_file_release(file);
    g_free(posix);
}

static const VhdFileOps posix_ops = {
    .readv = posix_readv,
    .writev = posix_writev,
    .readv_now = posix_readv_now,
    .writev_now = posix_writev_now,
    .barrier = posix_barrier,
    .info = posix_info,
    .resize = posix_resize,
    .punch = posix_punch,
    .claim = posix_claim,
    .drop_cache = posix_drop_cache,
    .hint = posix_hint,
    .next_data = posix_next_data,
    .lock = posix_lock,
    .lock_test = posix_lock_test,
    .rename = posix_rename,
    .close = posix_close,
};

static PosixFile *posix_new(const char *name, bool writable)
{
    PosixFile *posix = g_new0(PosixFile, 1);

    posix->base.ops = &posix_ops;
    posix->base.name = g_strdup(name);
    posix->base.writable = writable;
    posix->fd = posix->folder_fd = -1;
    return posix;
}

/* Pinning */

static char *proc_link(int fd)
{
    return g_strdup_printf("/proc/self/fd/%d", fd);
}

/* The real path of what fd stands for, or NULL with errno. */
static char *real_path(int fd)
{
    g_autofree char *link = proc_link(fd);
    char path[PATH_MAX];
    ssize_t len = readlink(link, path, sizeof(path));

    if (len < 0)
        return NULL;
    if (len == 0 || (size_t)len == sizeof(path) || path[0] != '/') {
        errno = len > 0 && path[0] == '/' ? ENAMETOOLONG : ENOENT; /* not below our root */
        return NULL;
    }
    return g_strndup(path, (gsize)len);
}

/* The folder fd's file lies in. A removed file's path ends in " (deleted)", in its last part, which
 * is cut. */
static char *real_folder(int fd)
{
    g_autofree char *path = real_path(fd);

    return path ? g_path_get_dirname(path) : NULL;
}

/* Which of our errors -errno is, where a file could not be opened, made or named. */
static VhdErrorCode error_code(int err, bool writable)
{
    if (err == -ENOSPC || err == -EDQUOT || err == -EFBIG)
        return VHD_ERROR_NOSPACE;
    if (err == -EROFS || (writable && (err == -EACCES || err == -EPERM)))
        return VHD_ERROR_READONLY;
    return err == -EAGAIN || err == -ETXTBSY || err == -EBUSY ? VHD_ERROR_BUSY : VHD_ERROR_IO;
}

static const char *type_name(mode_t mode)
{
    return S_ISDIR(mode)    ? "a directory"
           : S_ISBLK(mode)  ? "a block device"
           : S_ISCHR(mode)  ? "a character device"
           : S_ISFIFO(mode) ? "a FIFO"
                            : "a socket";
}

/* Judge what is pinned before it is opened; opening alone can block, or rewind a tape. */
static bool judge_pinned(PosixFile *posix, int pin, const char *const *allowed, VhdFileFlags flags,
                         GError **error)
{
    const char *name = posix->base.name;
    struct stat st;

    if (fstat(pin, &st) < 0) {
        vhd_error_set_errno(error, VHD_ERROR_IO, name, "look at it", errno);
        return false;
    }
    if (!S_ISREG(st.st_mode) && !(S_ISBLK(st.st_mode) && (flags & VHD_FILE_BLOCK_DEVICE))) {
        g_set_error(error, VHD_ERROR, VHD_ERROR_INVALID, "%s: is %s; name a regular file", name,
                    type_name(st.st_mode));
        return false;
    }
    posix->base.folder = real_folder(pin);
    if (!posix->base.folder) {
        vhd_error_set_errno(error, VHD_ERROR_IO, name, "tell the folder it lies in", errno);
        return false;
    }
    if (!vhd_folder_allowed(posix->base.folder, allowed)) {
        g_set_error(
            error, VHD_ERROR, VHD_ERROR_PARENT,
            "%s: lies in %s, outside the folders that may be used; allow that folder or move "
            "the file",
            name, posix->base.folder);
        return false;
    }
    return true;
}

/* Opened for writing all the same, it would refuse the first write. */
static bool is_read_only_device(int fd)
{
    int read_only = 0;

    return ioctl(fd, BLKROGET, &read_only) == 0 && read_only != 0;
}

/* Open the very file that is pinned, whatever has become of its name. */
static bool reopen_pinned(PosixFile *posix, int pin, int exclusive, GError **error)
{
    bool writable = posix->base.writable;
    g_autofree char *link = proc_link(pin);
    int flags = (writable ? O_RDWR : O_RDONLY) | exclusive | O_NONBLOCK | O_CLOEXEC;
    posix->fd = (int)TEMP_FAILURE_RETRY(open(link, flags));
    if (posix->fd < 0 || (writable && is_read_only_device(posix->fd))) {
        int err = posix->fd < 0 ? errno : EROFS;

        vhd_error_set_errno(error, error_code(-err, writable), posix->base.name,
                            writable ? "open it for writing" : "open it", err);
        return false;
    }
    /* O_NONBLOCK was for the opening only (leases); left on, io_uring would answer EAGAIN. */
    flags = fcntl(posix->fd, F_GETFL);
    if (flags < 0 || fcntl(posix->fd, F_SETFL, flags & ~O_NONBLOCK) < 0) {
        vhd_error_set_errno(error, VHD_ERROR_IO, posix->base.name, "open it", errno);
        return false;
    }
    return true;
}

VhdFile *vhd_file_open_at(int dirfd, const char *name, const char *const *allowed,
                          VhdFileFlags flags, GError **error)
{
    PosixFile *posix = posix_new(name, flags & VHD_FILE_WRITE);
    int pin = (int)TEMP_FAILURE_RETRY(openat(dirfd, name, O_PATH | O_CLOEXEC));
    int exclusive = flags & VHD_FILE_EXCLUSIVE ? O_EXCL : 0;
    bool ok = false;

    if (pin < 0) {
        vhd_error_set_errno(error, VHD_ERROR_IO, name, "open it", errno);
    } else {
        ok = judge_pinned(posix, pin, allowed, flags, error) &&
             reopen_pinned(posix, pin, exclusive, error);
        close(pin);
    }
    if (!ok) {
        posix_close(&posix->base);
        return NULL;
    }
    return &posix->base;
}

VhdFile *vhd_file_open(const char *path, VhdFileFlags flags, GError **error)
{
    return vhd_file_open_at(AT_FDCWD, path, NULL, flags, error);
}

/* ".NAME.XXXXXX.tmp"; NAME is cut, between characters, where the whole would be too long. */
static char *make_temp_name(const char *name)
{
    size_t most = NAME_MAX - strlen("..XXXXXX.tmp"), len = strlen(name);
    uint32_t random;

    if (len > most)
        for (len = most; len > 0 && ((uint8_t)name[len] & 0xC0) == 0x80;)
            len--;
    if (getrandom(&random, sizeof(random), 0) != (ssize_t)sizeof(random))
        random = (uint32_t)g_get_monotonic_time(); /* O_EXCL refuses one that is taken */
    return g_strdup_printf(".%.*s.%06x.tmp", (int)len, name, random & 0xFFFFFF);
}

/* Make the file in posix->folder_fd; 0 or -errno. */
static int create_temp(PosixFile *posix, const char *name, mode_t mode)
{
    for (int i = 0; i < TEMP_TRIES; i++) {
        g_autofree char *temp = make_temp_name(name);

        posix->fd = openat(posix->folder_fd, temp,
                           O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
        if (posix->fd >= 0) {
            posix->temp_name = g_steal_pointer(&temp);
            return 0;
        }
        if (errno != EEXIST && errno != EINTR)
            return -errno;
    }
    return -EEXIST;
}

VhdFile *vhd_file_create(const char *path, mode_t mode, GError **error)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    g_autofree char *folder = g_path_get_dirname(path);
    PosixFile *posix;
    int err = 0;

    if (!*name || strcmp(name, ".") == 0 || strcmp(name, "..") == 0) {
        g_set_error(error, VHD_ERROR, VHD_ERROR_INVALID,
                    "%s: names a folder; name the file to be made in it", path);
        return NULL;
    }
    posix = posix_new(path, true);
    posix->folder_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (posix->folder_fd >= 0)
        posix->base.folder = real_path(posix->folder_fd);
    if (!posix->base.folder)
        err = -errno;
    else
        err = strlen(name) > NAME_MAX ? -ENAMETOOLONG : create_temp(posix, name, mode);
    if (err) {
        vhd_error_set_errno(error, error_code(err, false), path, "create it", -err);
        posix_close(&posix->base);
        return NULL;
    }
    return &posix->base;
}

/* Over the table of operations, for any implementation */

bool vhd_file_publish(VhdFile *file, bool replace, GError **error)
{
    const char *doing = "sync it before naming it";
    int err = VHD_BROKEN(PUBLISH) ? 0 : vhd_file_barrier(file);

    if (!err) {
        doing = "give it its name";
        err = file->ops->rename(file, file->name, replace);
    }
    if (err == -EEXIST)
        g_set_error(error, VHD_ERROR, VHD_ERROR_EXISTS,
                    "%s: exists already; choose another name or remove it first", file->name);
    else if (err)
        vhd_error_set_errno(error, error_code(err, false), file->name, doing, -err);
    return !err;
}

void vhd_file_release(VhdFile *file)
{
    g_clear_pointer(&file->name, g_free);
    g_clear_pointer(&file->folder, g_free);
}

void vhd_file_close(VhdFile *file)
{
    if (file)
        file->ops->close(file);
}
