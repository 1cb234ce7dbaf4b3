/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * Transfers and space on the real file system. The system calls are wrapped by the linker (--wrap),
 * so that short transfers, signals and file systems that cannot do this or that are at hand.
 */
#include "vhd/file.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <limits.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

/* What the wrapped calls do; all zero: what they always do. */
static struct {
    size_t at_most;   /* bytes a transfer */
    bool interrupted; /* every second call fails with EINTR */
    int fail_after;   /* transfers that succeed before fail_error */
    int fail_error;   /* of transfers; -1: they transfer nothing */
    int fallocate_error;
    int lseek_error;
    int barrier_error;
    int now_error;      /* of preadv2 and pwritev2 */
    unsigned now_calls; /* of those */
    unsigned calls;     /* transfers and barriers asked for */
    const struct iovec *last_iov;
} calls;

ssize_t __real_preadv64(int fd, const struct iovec *iov, int iovcnt, off_t off);
ssize_t __wrap_preadv64(int fd, const struct iovec *iov, int iovcnt, off_t off);
ssize_t __real_pwritev64(int fd, const struct iovec *iov, int iovcnt, off_t off);
ssize_t __wrap_pwritev64(int fd, const struct iovec *iov, int iovcnt, off_t off);
ssize_t __real_preadv64v2(int fd, const struct iovec *iov, int iovcnt, off_t off, int flags);
ssize_t __wrap_preadv64v2(int fd, const struct iovec *iov, int iovcnt, off_t off, int flags);
ssize_t __real_pwritev64v2(int fd, const struct iovec *iov, int iovcnt, off_t off, int flags);
ssize_t __wrap_pwritev64v2(int fd, const struct iovec *iov, int iovcnt, off_t off, int flags);
int __real_fallocate64(int fd, int mode, off_t off, off_t len);
int __wrap_fallocate64(int fd, int mode, off_t off, off_t len);
int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);
off_t __real_lseek64(int fd, off_t off, int whence);
off_t __wrap_lseek64(int fd, off_t off, int whence);

typedef ssize_t (*Transfer)(int fd, const struct iovec *iov, int iovcnt, off_t off);

/* As much as at_most allows, which may end in the middle of an iovec. */
static ssize_t transfer_some(Transfer real, int fd, const struct iovec *iov, int iovcnt, off_t off)
{
    struct iovec part[IOV_MAX];
    size_t left = calls.at_most;
    int count = 0;

    g_assert_cmpint(iovcnt, <=, IOV_MAX);
    calls.last_iov = iov;
    calls.calls++;
    if (calls.interrupted && calls.calls % 2) {
        errno = EINTR;
        return -1;
    }
    if (calls.fail_error && calls.fail_after-- <= 0) {
        errno = calls.fail_error;
        return calls.fail_error < 0 ? 0 : -1;
    }
    if (!left)
        return real(fd, iov, iovcnt, off);
    for (; count < iovcnt && left; count++) {
        part[count] = (struct iovec){iov[count].iov_base, MIN(left, iov[count].iov_len)};
        left -= part[count].iov_len;
    }
    return real(fd, part, count, off);
}

ssize_t __wrap_preadv64(int fd, const struct iovec *iov, int iovcnt, off_t off)
{
    return transfer_some(__real_preadv64, fd, iov, iovcnt, off);
}

ssize_t __wrap_pwritev64(int fd, const struct iovec *iov, int iovcnt, off_t off)
{
    return transfer_some(__real_pwritev64, fd, iov, iovcnt, off);
}

ssize_t __wrap_preadv64v2(int fd, const struct iovec *iov, int iovcnt, off_t off, int flags)
{
    calls.now_calls++;
    errno = calls.now_error;
    return errno ? -1 : __real_preadv64v2(fd, iov, iovcnt, off, flags);
}

ssize_t __wrap_pwritev64v2(int fd, const struct iovec *iov, int iovcnt, off_t off, int flags)
{
    calls.now_calls++;
    errno = calls.now_error;
    return errno ? -1 : __real_pwritev64v2(fd, iov, iovcnt, off, flags);
}

int __wrap_fallocate64(int fd, int mode, off_t off, off_t len)
{
    errno = calls.fallocate_error;
    return calls.fallocate_error ? -1 : __real_fallocate64(fd, mode, off, len);
}

int __wrap_fdatasync(int fd)
{
    calls.calls++;
    errno = calls.interrupted && calls.calls % 2 ? EINTR : calls.barrier_error;
    return errno ? -1 : __real_fdatasync(fd);
}

off_t __wrap_lseek64(int fd, off_t off, int whence)
{
    errno = calls.lseek_error;
    return calls.lseek_error ? -1 : __real_lseek64(fd, off, whence);
}

/* A file in a folder of its own, opened for reading and writing. */
typedef struct Fixture {
    char *folder;
    char *path;
    VhdFile *file;
} Fixture;

static void setup(Fixture *fix, gconstpointer data)
{
    g_autoptr(GError) error = NULL;

    (void)data;
    memset(&calls, 0, sizeof(calls));
    fix->folder = g_dir_make_tmp("vhd-file-XXXXXX", &error);
    g_assert_no_error(error);
    fix->path = g_build_filename(fix->folder, "image", NULL);
    g_assert_true(g_file_set_contents(fix->path, "", 0, &error));
    fix->file = vhd_file_open(fix->path, VHD_FILE_WRITE, &error);
    g_assert_no_error(error);
}

static void teardown(Fixture *fix, gconstpointer data)
{
    (void)data;
    memset(&calls, 0, sizeof(calls));
    vhd_file_close(fix->file);
    g_unlink(fix->path);
    g_rmdir(fix->folder);
    g_free(fix->path);
    g_free(fix->folder);
}

static void fill(uint8_t *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++)
        bytes[i] = (uint8_t)g_test_rand_int_range(1, 256);
}

/* The whole file as the C library reads it. */
static void assert_content(const Fixture *fix, const uint8_t *expected, size_t len)
{
    g_autofree char *bytes = NULL;
    gsize got;

    g_assert_true(g_file_get_contents(fix->path, &bytes, &got, NULL));
    g_assert_cmpmem(bytes, got, expected, len);
}

static uint64_t file_bytes(const Fixture *fix)
{
    VhdFileInfo info;

    g_assert_cmpint(vhd_file_info(fix->file, &info), ==, 0);
    return info.bytes;
}

/* Cut buf into count iovecs of 0 to 12 bytes, the last takes the rest. */
static void cut(uint8_t *buf, size_t len, struct iovec *iov, int count)
{
    for (int i = 0; i < count; i++) {
        size_t piece = i == count - 1 ? len : MIN(len, (size_t)g_test_rand_int_range(0, 13));

        iov[i] = (struct iovec){buf, piece};
        buf += piece;
        len -= piece;
    }
}

#define VECTORS      (2 * IOV_MAX + 500)
#define VECTOR_BYTES 20000

/* There and back through many iovecs, empty ones among them, however the kernel cuts it. */
static void round_trip(Fixture *fix)
{
    g_autofree uint8_t *out = g_malloc(VECTOR_BYTES), *in = g_malloc0(VECTOR_BYTES);
    g_autofree struct iovec *iov = g_new(struct iovec, VECTORS);

    fill(out, VECTOR_BYTES);
    cut(out, VECTOR_BYTES, iov, VECTORS);
    g_assert_cmpint(vhd_file_writev(fix->file, VHD_IO_DATA, 0, iov, VECTORS), ==, 0);
    assert_content(fix, out, VECTOR_BYTES);
    cut(in, VECTOR_BYTES, iov, VECTORS);
    g_assert_cmpint(vhd_file_readv(fix->file, VHD_IO_DATA, 0, iov, VECTORS), ==, 0);
    g_assert_cmpmem(in, VECTOR_BYTES, out, VECTOR_BYTES);
}

static void test_vectors(Fixture *fix, gconstpointer data)
{
    (void)data;
    round_trip(fix);
    g_assert_cmpuint(calls.calls, ==, 6); /* IOV_MAX, IOV_MAX and the rest, twice */
}

static void test_short(Fixture *fix, gconstpointer data)
{
    (void)data;
    for (calls.at_most = 1; calls.at_most < 5000; calls.at_most = calls.at_most * 3 + 2) {
        calls.interrupted = !calls.interrupted;
        round_trip(fix);
    }
}

static void test_one_call(Fixture *fix, gconstpointer data)
{
    uint8_t buf[300];
    struct iovec iov[3] = {{buf, 100}, {buf + 100, 1}, {buf + 101, 199}};

    (void)data;
    fill(buf, sizeof(buf));
    g_assert_cmpint(vhd_file_writev(fix->file, VHD_IO_DATA, 512, iov, 3), ==, 0);
    g_assert_cmpint(vhd_file_readv(fix->file, VHD_IO_DATA, 512, iov, 3), ==, 0);
    g_assert_cmpuint(calls.calls, ==, 2);
    g_assert_true(calls.last_iov == iov); /* no copy of it either */
    g_assert_cmpint(vhd_file_readv(fix->file, VHD_IO_DATA, 512, iov, 0), ==, 0);
    g_assert_cmpuint(calls.calls, ==, 2);
}

static void test_failure(Fixture *fix, gconstpointer data)
{
    uint8_t buf[64] = {0};

    (void)data;
    calls.at_most = 16;
    calls.fail_after = 2;
    calls.fail_error = ENOSPC;
    g_assert_cmpint(vhd_file_write(fix->file, VHD_IO_DATA, 0, buf, sizeof(buf)), ==, -ENOSPC);
    g_assert_cmpuint(file_bytes(fix), ==, 32);
    calls.fail_after = 1;
    calls.fail_error = EIO;
    g_assert_cmpint(vhd_file_read(fix->file, VHD_IO_DATA, 0, buf, 32), ==, -EIO);
    calls.fail_after = 1;
    calls.fail_error = -1; /* a call that gets nowhere is no endless loop */
    g_assert_cmpint(vhd_file_write(fix->file, VHD_IO_DATA, 0, buf, sizeof(buf)), ==, -EIO);
}

static void test_end(Fixture *fix, gconstpointer data)
{
    uint8_t buf[100];

    (void)data;
    g_assert_cmpint(vhd_file_read(fix->file, VHD_IO_DATA, 0, buf, 1), ==, -ENODATA);
    g_assert_cmpint(vhd_file_resize(fix->file, 100), ==, 0);
    g_assert_cmpint(vhd_file_read(fix->file, VHD_IO_DATA, 0, buf, 100), ==, 0);
    g_assert_cmpint(vhd_file_read(fix->file, VHD_IO_DATA, 1, buf, 100), ==, -ENODATA);
    g_assert_cmpint(vhd_file_read(fix->file, VHD_IO_DATA, 100, buf, 0), ==, 0);
    g_assert_cmpint(vhd_file_read(fix->file, VHD_IO_DATA, INT64_MAX - 5, buf, 1), ==, -ENODATA);
    g_assert_cmpint(vhd_file_read(fix->file, VHD_IO_DATA, UINT64_MAX, buf, 1), ==, -EINVAL);
    g_assert_cmpint(vhd_file_write(fix->file, VHD_IO_DATA, UINT64_MAX, buf, 1), ==, -EINVAL);
    g_assert_cmpint(vhd_file_resize(fix->file, UINT64_MAX), ==, -EFBIG);
    g_assert_cmpuint(file_bytes(fix), ==, 100);
}

static void test_barrier(Fixture *fix, gconstpointer data)
{
    (void)data;
    g_assert_cmpint(vhd_file_barrier(fix->file), ==, 0);
    calls.interrupted = true;
    calls.calls = 0;
    g_assert_cmpint(vhd_file_barrier(fix->file), ==, 0);
    g_assert_cmpuint(calls.calls, ==, 2);
    calls.interrupted = false;
    calls.barrier_error = EIO;
    g_assert_cmpint(vhd_file_barrier(fix->file), ==, -EIO);
}

/* data: errno of fallocate, or 0. Odd ranges inside, over and beyond the end. */
static void test_punch(Fixture *fix, gconstpointer data)
{
    static const uint64_t ends[] = {0, 1, 511, 4095, 4096, 4097, 9000, 300000, 300001, 400000};
    enum { BYTES = 300000 };
    g_autofree uint8_t *model = g_malloc(BYTES);

    for (size_t i = 0; i < G_N_ELEMENTS(ends); i++) {
        for (size_t j = i; j < G_N_ELEMENTS(ends); j++) {
            uint64_t off = ends[i], len = ends[j] - ends[i];

            calls.fallocate_error = 0;
            fill(model, BYTES);
            g_assert_cmpint(vhd_file_write(fix->file, VHD_IO_DATA, 0, model, BYTES), ==, 0);
            calls.fallocate_error = GPOINTER_TO_INT(data);
            g_assert_cmpint(vhd_file_punch(fix->file, VHD_IO_DATA, off, len), ==, 0);
            if (off < BYTES)
                memset(model + off, 0, MIN(len, BYTES - off));
            assert_content(fix, model, BYTES);
        }
    }
    g_assert_cmpint(vhd_file_punch(fix->file, VHD_IO_DATA, 5, UINT64_MAX), ==, 0);
    g_assert_cmpuint(file_bytes(fix), ==, BYTES);
}

static void test_punch_frees(Fixture *fix, gconstpointer data)
{
    enum { BYTES = 1 << 20 };
    g_autofree uint8_t *bytes = g_malloc(BYTES);
    struct stat before, after;

    (void)data;
    fill(bytes, BYTES);
    g_assert_cmpint(vhd_file_write(fix->file, VHD_IO_DATA, 0, bytes, BYTES), ==, 0);
    g_assert_cmpint(vhd_file_barrier(fix->file), ==, 0);
    g_assert_cmpint(stat(fix->path, &before), ==, 0);
    g_assert_cmpint(vhd_file_punch(fix->file, VHD_IO_DATA, 0, BYTES), ==, 0);
    g_assert_cmpint(stat(fix->path, &after), ==, 0);
    g_assert_cmpint(after.st_blocks, <, before.st_blocks / 2);
}

static void test_punch_error(Fixture *fix, gconstpointer data)
{
    (void)data;
    g_assert_cmpint(vhd_file_resize(fix->file, 100), ==, 0);
    calls.fallocate_error = EPERM; /* an immutable file: no reason to write */
    g_assert_cmpint(vhd_file_punch(fix->file, VHD_IO_DATA, 0, 10), ==, -EPERM);
    g_assert_cmpuint(calls.calls, ==, 0);
}

/* data: errno of fallocate, or 0. Bytes below the end stay, the rest is zeros. */
static void test_claim(Fixture *fix, gconstpointer data)
{
    g_autofree uint8_t *model = g_malloc0(1000000);
    struct stat st;

    fill(model, 1000);
    g_assert_cmpint(vhd_file_write(fix->file, VHD_IO_DATA, 0, model, 1000), ==, 0);
    calls.fallocate_error = GPOINTER_TO_INT(data);
    g_assert_cmpint(vhd_file_claim(fix->file, 0, 1000), ==, 0);
    g_assert_cmpint(vhd_file_claim(fix->file, 500, 0), ==, 0);
    g_assert_cmpint(vhd_file_claim(fix->file, 5000, 0), ==, 0);
    assert_content(fix, model, 1000);
    g_assert_cmpint(vhd_file_claim(fix->file, 300, 5000), ==, 0);
    assert_content(fix, model, 5300);
    g_assert_cmpint(vhd_file_claim(fix->file, 100001, 899999), ==, 0); /* leaves a hole before it */
    assert_content(fix, model, 1000000);
    g_assert_cmpint(vhd_file_barrier(fix->file), ==, 0);
    g_assert_cmpint(stat(fix->path, &st), ==, 0);
    g_assert_cmpint(st.st_blocks * 512, >=, 899999);
    g_assert_cmpint(vhd_file_claim(fix->file, UINT64_MAX - 5, 10), ==, -EFBIG);
    g_assert_cmpint(vhd_file_claim(fix->file, INT64_MAX - 5, 10), ==, -EFBIG);
}

static void test_claim_error(Fixture *fix, gconstpointer data)
{
    (void)data;
    calls.fallocate_error = ENOSPC;
    g_assert_cmpint(vhd_file_claim(fix->file, 0, 10), ==, -ENOSPC);
    g_assert_cmpuint(calls.calls, ==, 0);
    calls.fallocate_error = EOPNOTSUPP;
    calls.fail_error = ENOSPC;
    g_assert_cmpint(vhd_file_claim(fix->file, 0, 10), ==, -ENOSPC);
}

static void test_next_data(Fixture *fix, gconstpointer data)
{
    enum { MIB = 1 << 20 };
    uint64_t start, end;

    (void)data;
    g_assert_cmpint(vhd_file_next_data(fix->file, 0, &start, &end), ==, 0);
    g_assert_true(start == 0 && end == 0);
    g_assert_cmpint(vhd_file_write(fix->file, VHD_IO_DATA, MIB, "x", 1), ==, 0);
    g_assert_cmpint(vhd_file_resize(fix->file, 3 * MIB), ==, 0);
    g_assert_cmpint(vhd_file_next_data(fix->file, 0, &start, &end), ==, 0);
    g_assert_true(start <= MIB && end > MIB && end <= 3 * MIB);
    if (start == MIB) { /* a file system that knows its holes */
        g_assert_cmpuint(end, <, 2 * MIB);
        g_assert_cmpint(vhd_file_next_data(fix->file, end, &start, &end), ==, 0);
        g_assert_true(start == 3 * MIB && end == 3 * MIB);
    }
    g_assert_cmpint(vhd_file_next_data(fix->file, UINT64_MAX, &start, &end), ==, 0);
    g_assert_true(start == 3 * MIB && end == 3 * MIB);
    calls.lseek_error = EINVAL;
    g_assert_cmpint(vhd_file_next_data(fix->file, 7, &start, &end), ==, 0);
    g_assert_true(start == 7 && end == 3 * MIB);
}

/* Whether the page at off is in the page cache; looking does not bring it in. */
static bool is_cached(const Fixture *fix, off_t off)
{
    int fd = open(fix->path, O_RDONLY | O_CLOEXEC);
    void *map = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, off);
    unsigned char in_core = 0;

    g_assert_true(map != MAP_FAILED);
    g_assert_cmpint(mincore(map, 4096, &in_core), ==, 0);
    munmap(map, 4096);
    close(fd);
    return in_core & 1;
}

static void test_drop_cache(Fixture *fix, gconstpointer data)
{
    uint8_t bytes[3 * 4096];
    struct statfs fs;

    (void)data;
    fill(bytes, sizeof(bytes));
    g_assert_cmpint(vhd_file_write(fix->file, VHD_IO_DATA, 0, bytes, sizeof(bytes)), ==, 0);
    g_assert_cmpint(vhd_file_barrier(fix->file), ==, 0);
    g_assert_cmpint(vhd_file_drop_cache(fix->file, 0, 0), ==, 0);
    g_assert_cmpint(vhd_file_drop_cache(fix->file, UINT64_MAX, 1), ==, 0);
    g_assert_cmpint(vhd_file_drop_cache(fix->file, INT64_MAX - 1, UINT64_MAX), ==, 0);
    g_assert_cmpint(statfs(fix->path, &fs), ==, 0);
    if (fs.f_type != TMPFS_MAGIC && is_cached(fix, 4096)) {
        g_assert_cmpint(vhd_file_drop_cache(fix->file, 5000, 10), ==, 0); /* a part of a page */
        g_assert_false(is_cached(fix, 4096));
        g_assert_cmpint(vhd_file_drop_cache(fix->file, 5, UINT64_MAX), ==, 0);
        g_assert_false(is_cached(fix, 8192));
    }
    assert_content(fix, bytes, sizeof(bytes));
}

/* Two pieces of what lies in the page cache, in one call. */
static void test_read_now(Fixture *fix, gconstpointer data)
{
    int refusal = GPOINTER_TO_INT(data);
    uint8_t bytes[8192], in[8192];
    struct iovec iov[] = {{in, 100}, {in + 100, sizeof(in) - 100}};

    fill(bytes, sizeof(bytes));
    g_assert_cmpint(vhd_file_write(fix->file, VHD_IO_DATA, 0, bytes, sizeof(bytes)), ==, 0);
    calls.now_error = refusal;
    calls.now_calls = 0;
    if (refusal) {
        g_assert_cmpint(vhd_file_readv_now(fix->file, VHD_IO_DATA, 0, iov, 2), ==, -EAGAIN);
        g_assert_cmpint(vhd_file_readv_now(fix->file, VHD_IO_DATA, 0, iov, 2), ==, -EAGAIN);
        /* A file system that does not know it is asked once. */
        g_assert_cmpuint(calls.now_calls, ==, refusal == EOPNOTSUPP ? 1 : 2);
        return;
    }
    if (vhd_file_readv_now(fix->file, VHD_IO_DATA, 0, iov, 2) != 0 && errno == EOPNOTSUPP) {
        g_test_skip("this file system reads nothing without waiting");
        return;
    }
    memset(in, 0, sizeof(in));
    calls.now_calls = 0;
    g_assert_cmpint(vhd_file_readv_now(fix->file, VHD_IO_DATA, 0, iov, 2), ==, 0);
    g_assert_cmpmem(in, sizeof(in), bytes, sizeof(bytes));
    g_assert_cmpuint(calls.now_calls, ==, 1);
    /* The end of the file, and offsets beyond what there is, are not for this call to judge. */
    g_assert_cmpint(vhd_file_readv_now(fix->file, VHD_IO_DATA, 512, iov, 2), ==, -EAGAIN);
    g_assert_cmpint(vhd_file_readv_now(fix->file, VHD_IO_DATA, UINT64_MAX, iov, 2), ==, -EAGAIN);
}

static int write_now(Fixture *fix, uint64_t off, const uint8_t *bytes, size_t len)
{
    struct iovec iov[] = {{(void *)(uintptr_t)bytes, 100},
                          {(void *)(uintptr_t)(bytes + 100), len - 100}};

    return vhd_file_writev_now(fix->file, VHD_IO_DATA, off, iov, 2);
}

/* Where the file system does not know such writes, whole pages are written all the same. */
static void test_write_now(Fixture *fix, gconstpointer data)
{
    uint8_t bytes[16384], more[8192];

    (void)data;
    fill(bytes, sizeof(bytes));
    fill(more, sizeof(more));
    g_assert_cmpint(vhd_file_write(fix->file, VHD_IO_DATA, 0, bytes, sizeof(bytes)), ==, 0);
    calls.now_error = EAGAIN;
    g_assert_cmpint(write_now(fix, 4096, more, sizeof(more)), ==, -EAGAIN);
    assert_content(fix, bytes, sizeof(bytes));
    calls.now_error = EOPNOTSUPP;
    calls.now_calls = 0;
    g_assert_cmpint(write_now(fix, 4096, more, sizeof(more)), ==, 0);
    memcpy(bytes + 4096, more, sizeof(more));
    assert_content(fix, bytes, sizeof(bytes));
    /* Parts of pages may have to be read first. */
    fill(more, sizeof(more));
    g_assert_cmpint(write_now(fix, 512, more, 4096), ==, -EAGAIN);
    g_assert_cmpint(write_now(fix, 4096, more, 4096 + 512), ==, -EAGAIN);
    assert_content(fix, bytes, sizeof(bytes));
    g_assert_cmpuint(calls.now_calls, ==, 1);
    /* Short or failed: for the one that waits to find out. */
    calls.at_most = 1000;
    g_assert_cmpint(write_now(fix, 4096, more, sizeof(more)), ==, -EAGAIN);
    calls.at_most = 0;
    calls.fail_error = ENOSPC;
    g_assert_cmpint(write_now(fix, 4096, more, sizeof(more)), ==, -EAGAIN);
}

static void add(const char *path, int error, void (*test)(Fixture *fix, gconstpointer data))
{
    g_test_add(path, Fixture, GINT_TO_POINTER(error), setup, test, teardown);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    add("/file/transfer/vectors", 0, test_vectors);
    add("/file/transfer/short", 0, test_short);
    add("/file/transfer/one-call", 0, test_one_call);
    add("/file/transfer/failure", 0, test_failure);
    add("/file/transfer/end", 0, test_end);
    add("/file/barrier", 0, test_barrier);
    add("/file/punch/hole", 0, test_punch);
    add("/file/punch/zeros", EOPNOTSUPP, test_punch);
    add("/file/punch/frees", 0, test_punch_frees);
    add("/file/punch/error", 0, test_punch_error);
    add("/file/claim/fallocate", 0, test_claim);
    add("/file/claim/zeros", EOPNOTSUPP, test_claim);
    add("/file/claim/error", 0, test_claim_error);
    add("/file/next-data", 0, test_next_data);
    add("/file/drop-cache", 0, test_drop_cache);
    add("/file/now/read", 0, test_read_now);
    add("/file/now/read-later", EAGAIN, test_read_now);
    add("/file/now/read-unknown", EOPNOTSUPP, test_read_now);
    add("/file/now/write", 0, test_write_now);
    return g_test_run();
}
