/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
#include "cli/inode.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "vhd/error.h"

#define WRITE_BITS      ((mode_t)0222)
#define READ_BITS       ((mode_t)0444)
#define PERMISSION_BITS ((mode_t)07777)

uint64_t inode_used_bytes(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 ? (uint64_t)st.st_blocks * 512 : 0;
}

char *inode_real_path(const char *path, const char *doing, GError **error)
{
    char *real = realpath(path, NULL), *copy = g_strdup(real);

    if (!real)
        vhd_error_set_errno(error, VHD_ERROR_IO, path, doing, errno);
    free(real);
    return copy;
}

bool inode_protect(const char *path, mode_t *before, GError **error)
{
    struct stat st;

    if (stat(path, &st) == 0) {
        *before = st.st_mode & PERMISSION_BITS;
        if ((st.st_mode & WRITE_BITS) == 0 || chmod(path, *before & ~WRITE_BITS) == 0)
            return true;
    }
    vhd_error_set_errno(error, VHD_ERROR_IO, path,
                        "take away its write permission, as a parent's must be", errno);
    return false;
}

void inode_unprotect(const char *path, mode_t before)
{
    struct stat st;

    if (stat(path, &st) == 0 && (st.st_mode & PERMISSION_BITS) != before)
        (void)!chmod(path, before);
}

bool inode_is(const char *path, VhdFile *file)
{
    VhdFileInfo info;
    struct stat st;

    return stat(path, &st) == 0 && vhd_file_info(file, &info) == 0 && st.st_dev == info.device &&
           st.st_ino == info.inode;
}

mode_t inode_child_mode(mode_t parent)
{
    mode_t readable = parent & READ_BITS;

    return readable | (readable & 0444) >> 1; /* the umask is taken off by open itself */
}
