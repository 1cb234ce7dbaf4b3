/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
#include "tests/crash/cached-file.h"

typedef struct CachedFile {
    VhdFile base;
    MemImage *disk_image, *cache_image; /* borrowed */
    VhdFile *disk, *cache;
} CachedFile;

static CachedFile *cached(VhdFile *file)
{
    return (CachedFile *)file;
}

static int both(int disk, int cache)
{
    return disk < 0 ? disk : cache;
}

static int cached_readv(VhdFile *file, VhdIoKind kind, uint64_t off, const struct iovec *iov,
                        int iovcnt)
{
    return vhd_file_readv(cached(file)->cache, kind, off, iov, iovcnt);
}

static int cached_writev(VhdFile *file, VhdIoKind kind, uint64_t off, const struct iovec *iov,
                         int iovcnt)
{
    return both(vhd_file_writev(cached(file)->disk, kind, off, iov, iovcnt),
                vhd_file_writev(cached(file)->cache, kind, off, iov, iovcnt));
}

static int cached_barrier(VhdFile *file)
{
    (void)file;
    return 0;
}

static int cached_info(VhdFile *file, VhdFileInfo *info)
{
    return vhd_file_info(cached(file)->cache, info);
}

static int cached_resize(VhdFile *file, uint64_t bytes)
{
    return both(vhd_file_resize(cached(file)->disk, bytes),
                vhd_file_resize(cached(file)->cache, bytes));
}

static int cached_punch(VhdFile *file, VhdIoKind kind, uint64_t off, uint64_t len)
{
    return both(vhd_file_punch(cached(file)->disk, kind, off, len),
                vhd_file_punch(cached(file)->cache, kind, off, len));
}

static int cached_claim(VhdFile *file, uint64_t off, uint64_t len)
{
    return both(vhd_file_claim(cached(file)->disk, off, len),
                vhd_file_claim(cached(file)->cache, off, len));
}

static int cached_drop_cache(VhdFile *file, uint64_t off, uint64_t len)
{
    CachedFile *both_files = cached(file);
    uint64_t end = MIN(off + len, mem_image_bytes(both_files->cache_image));
    g_autofree uint8_t *bytes = NULL;

    if (end <= off)
        return 0;
    bytes = g_malloc(end - off);
    mem_image_read(both_files->disk_image, off, bytes, end - off);
    mem_image_write(both_files->cache_image, off, bytes, end - off);
    return 0;
}

static int cached_next_data(VhdFile *file, uint64_t off, uint64_t *start, uint64_t *end)
{
    return vhd_file_next_data(cached(file)->cache, off, start, end);
}

static int cached_lock(VhdFile *file, uint64_t byte, short type)
{
    VhdFile *inner = cached(file)->cache;

    return inner->ops->lock(inner, byte, type);
}

static int cached_lock_test(VhdFile *file, uint64_t byte)
{
    VhdFile *inner = cached(file)->cache;

    return inner->ops->lock_test(inner, byte);
}

static int cached_rename(VhdFile *file, const char *path, bool replace)
{
    (void)file;
    (void)path;
    (void)replace;
    return 0;
}

static void cached_close(VhdFile *file)
{
    vhd_file_close(cached(file)->disk);
    vhd_file_close(cached(file)->cache);
    vhd_file_release(file);
    g_free(file);
}

static const VhdFileOps cached_ops = {
    .readv = cached_readv,
    .writev = cached_writev,
    .barrier = cached_barrier,
    .info = cached_info,
    .resize = cached_resize,
    .punch = cached_punch,
    .claim = cached_claim,
    .drop_cache = cached_drop_cache,
    .next_data = cached_next_data,
    .lock = cached_lock,
    .lock_test = cached_lock_test,
    .rename = cached_rename,
    .close = cached_close,
};

VhdFile *cached_file_new(MemImage *disk, MemImage *cache)
{
    CachedFile *file = g_new0(CachedFile, 1);

    mem_image_resize(disk, mem_image_bytes(cache));
    file->base.ops = &cached_ops;
    file->base.name = g_strdup("crashed");
    file->base.writable = true;
    file->disk_image = disk;
    file->cache_image = cache;
    file->disk = mem_file_open(disk, "disk", true);
    file->cache = mem_file_open(cache, "cache", true);
    return &file->base;
}
