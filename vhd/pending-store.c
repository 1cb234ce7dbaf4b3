/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* The files behind pending logs: named by image uuid, device and inode, mapped shared, so that the
 * kernel keeps what a killed process wrote. */
#include "vhd/pending-store.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vhd/error.h"

struct VhdPendingStore {
    char *path;
    VhdPending log;
};

static bool read_boot_id(uint8_t boot_id[static 16])
{
    g_autofree char *text = NULL;
    unsigned digits = 0;
    memset(boot_id, 0, 16);
    if (!g_file_get_contents("/proc/sys/kernel/random/boot_id", &text, NULL, NULL))
        return false;
    for (const char *p = text; *p && digits < 32; p++) {
        int value = g_ascii_xdigit_value(*p);
        if (value < 0)
            continue;
        boot_id[digits / 2] = (uint8_t)(boot_id[digits / 2] << 4 | value);
        digits++;
    }
    return digits == 32;
}

int vhd_pending_store_identify(VhdFile *file, VhdPendingBase *base)
{
    VhdFileInfo info;
    int result = vhd_file_info(file, &info);
    if (result < 0)
        return result;
    base->device = info.device;
    base->inode = info.inode;
    base->file_bytes = info.bytes;
    return read_boot_id(base->boot_id) ? 0 : -ENOENT;
}

char *vhd_pending_store_path(const VhdPendingBase *base, const char *dir)
{
    GString *path = g_string_new(dir ? dir : VHD_PENDING_DIR);
    g_string_append_c(path, '/');
    for (unsigned i = 0; i < sizeof base->uuid; i++)
        g_string_append_printf(path, "%02x", base->uuid[i]);
    g_string_append_printf(path, "-%" G_GINT64_MODIFIER "x-%" G_GINT64_MODIFIER "u.log",
                           base->device, base->inode);
    return g_string_free(path, FALSE);
}

char *vhd_pending_waiting(VhdFile *file, const uint8_t uuid[static 16], const char *dir)
{
    VhdPendingBase base = {0};
    struct stat st;
    memcpy(base.uuid, uuid, sizeof base.uuid);
    if (vhd_pending_store_identify(file, &base) < 0)
        return NULL;
    char *path = vhd_pending_store_path(&base, dir);
    if (stat(path, &st) < 0) {
        g_free(path);
        return NULL;
    }
    VhdPendingStore *store = vhd_pending_store_open(path, false, NULL, NULL);
    bool known_empty =
        store && (vhd_pending_blank(&store->log) ||
                  (vhd_pending_valid(&store->log, NULL) && vhd_pending_empty(&store->log)));
    vhd_pending_store_close(store, false);
    if (known_empty)
        g_clear_pointer(&path, g_free);
    return path;
}

/* The folder lets everyone through, so that a reader can tell that a log exists; nobody but its
 * owner lists it. */
static void make_folder(const char *path)
{
    g_autofree char *folder = g_path_get_dirname(path);
    if (mkdir(folder, 0711) == 0 && chmod(folder, 0711) < 0)
        g_debug("%s: mode stays as umask made it", folder);
}

static int open_log(const char *path, bool create, bool *existed)
{
    int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    *existed = fd >= 0 || errno != ENOENT;
    if (fd >= 0 || !create || *existed)
        return fd;
    make_folder(path);
    return open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
}

/* Space first: a page of a mapping that tmpfs cannot give kills the process. */
static void *map_log(int fd, bool existed)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return MAP_FAILED;
    if (existed && st.st_size != VHD_PENDING_BYTES && st.st_size != 0) {
        errno = EINVAL;
        return MAP_FAILED;
    }
    int err = posix_fallocate(fd, 0, VHD_PENDING_BYTES);
    if (err != 0) {
        errno = err;
        return MAP_FAILED;
    }
    return mmap(NULL, VHD_PENDING_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
}

VhdPendingStore *vhd_pending_store_open(const char *path, bool create, bool *existed,
                                        GError **error)
{
    bool was_there;
    int fd = open_log(path, create, &was_there);
    if (existed)
        *existed = was_there;
    void *region = fd >= 0 ? map_log(fd, was_there) : MAP_FAILED;
    int err = errno;
    if (fd >= 0)
        close(fd);
    if (region == MAP_FAILED) {
        if (!was_there)
            unlink(path);
        vhd_error_set_errno(error, VHD_ERROR_PENDING, path,
                            "open the log of writes that wait for a flush", err);
        return NULL;
    }
    VhdPendingStore *store = g_new0(VhdPendingStore, 1);
    store->path = g_strdup(path);
    store->log = (VhdPending){region, VHD_PENDING_BYTES};
    return store;
}

VhdPending *vhd_pending_store_log(VhdPendingStore *store)
{
    return &store->log;
}

const char *vhd_pending_store_name(const VhdPendingStore *store)
{
    return store->path;
}

void vhd_pending_store_close(VhdPendingStore *store, bool remove)
{
    if (!store)
        return;
    if (remove)
        unlink(store->path);
    munmap(store->log.region, store->log.bytes);
    g_free(store->path);
    g_free(store);
}
