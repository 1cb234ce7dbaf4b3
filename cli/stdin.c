/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
#include "cli/stdin.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/progress.h"
#include "vhd/error.h"

#define CHUNK_BYTES (1u << 20)
#define PIECE_BYTES 4096u /* zeros of this size stay holes */

bool stdin_read(uint8_t *buf, size_t len, size_t *got)
{
    for (*got = 0; *got < len && !progress_interrupted();) {
        ssize_t n = read(STDIN_FILENO, buf + *got, len - *got);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return false;
        if (n == 0)
            return true;
        *got += (size_t)n;
    }
    return true;
}

bool stdin_is_file(void)
{
    struct stat st;

    return fstat(STDIN_FILENO, &st) == 0 && (S_ISREG(st.st_mode) || S_ISBLK(st.st_mode)) &&
           lseek(STDIN_FILENO, 0, SEEK_CUR) == 0;
}

static bool is_zero(const uint8_t *bytes, size_t len)
{
    return bytes[0] == 0 && memcmp(bytes, bytes + 1, len - 1) == 0;
}

/* 0 or -errno. */
static int write_pieces(VhdFile *file, uint64_t off, const uint8_t *buf, size_t len)
{
    int err = 0;

    for (size_t at = 0, piece; at < len && !err; at += piece) {
        piece = MIN(PIECE_BYTES, len - at);
        if (!is_zero(buf + at, piece))
            err = vhd_file_write(file, VHD_IO_DATA, off + at, buf + at, piece);
    }
    return err;
}

static bool spool(VhdFile *file, uint8_t *buf, GError **error)
{
    uint64_t off = 0;
    size_t got;
    int err = 0;

    do {
        bool readable;

        readable = stdin_read(buf, CHUNK_BYTES, &got);
        if (progress_interrupted()) {
            g_set_error(error, VHD_ERROR, VHD_ERROR_INVALID, "%s: interrupted, nothing was made",
                        file->name);
            return false;
        }
        if (!readable) {
            vhd_error_set_errno(error, VHD_ERROR_IO, "standard input", "read it", errno);
            return false;
        }
        err = write_pieces(file, off, buf, got);
        off += got;
    } while (got == CHUNK_BYTES && !err);
    if (!err)
        err = vhd_file_resize(file, off);
    if (err)
        vhd_error_set_errno(error, VHD_ERROR_IO, file->name,
                            "keep standard input beside it meanwhile", -err);
    return !err;
}

VhdFile *stdin_spool(const char *near, GError **error)
{
    VhdFile *file = vhd_file_create(near, S_IRUSR | S_IWUSR, error);
    g_autofree uint8_t *buf = NULL;

    if (!file)
        return NULL;
    buf = g_malloc(CHUNK_BYTES);
    progress_catch_signals();
    if (!spool(file, buf, error))
        g_clear_pointer(&file, vhd_file_close);
    return file;
}
