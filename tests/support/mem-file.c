/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* Pages stand in a balanced tree by index, which finds the next one across holes of any size. */
#include "tests/support/mem-file.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>

#define LOCK_BYTES 256

typedef struct Page {
    uint64_t index;
    bool written; /* else claimed only: zeros, and a hole to next_data */
    uint8_t data[MEM_PAGE_BYTES];
} Page;

struct MemImage {
    pthread_mutex_t mutex; /* protects all members, and locks[] of the files */
    unsigned references;
    uint64_t inode;
    uint64_t bytes;
    uint64_t limit; /* 0: none */
    GTree *pages;   /* Page.index -> Page; none that was written lies beyond bytes */
    GPtrArray *files;
};

typedef struct MemFile {
    VhdFile base;
    MemImage *image;
    bool locks[LOCK_BYTES];
} MemFile;

static int page_compare(gconstpointer a, gconstpointer b, gpointer data)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    (void)data;
    return x < y ? -1 : x > y;
}

/* The image; "locked": with its mutex held by the caller */

static Page *page_find_locked(MemImage *image, uint64_t index)
{
    return g_tree_lookup(image->pages, &index);
}

/* The page, made if need be; NULL if that would be over the limit, unless forced. */
static Page *page_make_locked(MemImage *image, uint64_t index, bool force)
{
    Page *page = page_find_locked(image, index);
    uint64_t used = (uint64_t)g_tree_nnodes(image->pages) * MEM_PAGE_BYTES;

    if (page || (!force && image->limit && used + MEM_PAGE_BYTES > image->limit))
        return page;
    page = g_new0(Page, 1);
    page->index = index;
    g_tree_insert(image->pages, &page->index, page);
    return page;
}

static void read_locked(MemImage *image, uint64_t off, uint8_t *buf, size_t len)
{
    while (len > 0) {
        size_t at = off % MEM_PAGE_BYTES, piece = MIN(len, MEM_PAGE_BYTES - at);
        Page *page = page_find_locked(image, off / MEM_PAGE_BYTES);

        if (page)
            memcpy(buf, page->data + at, piece);
        else
            memset(buf, 0, piece);
        buf += piece;
        off += piece;
        len -= piece;
    }
}

static int write_locked(MemImage *image, uint64_t off, const uint8_t *buf, size_t len, bool force)
{
    while (len > 0) {
        size_t at = off % MEM_PAGE_BYTES, piece = MIN(len, MEM_PAGE_BYTES - at);
        Page *page = page_make_locked(image, off / MEM_PAGE_BYTES, force);

        if (!page)
            return -ENOSPC;
        memcpy(page->data + at, buf, piece);
        page->written = true;
        image->bytes = MAX(image->bytes, off + piece);
        buf += piece;
        off += piece;
        len -= piece;
    }
    return 0;
}

/* The first page at or after index, or NULL. */
static Page *page_next_locked(MemImage *image, uint64_t index)
{
    GTreeNode *node = g_tree_lower_bound(image->pages, &index);

    return node ? g_tree_node_value(node) : NULL;
}

/* Make [off, off+len) zeros, dropping pages that lie wholly inside. */
static void zero_locked(MemImage *image, uint64_t off, uint64_t len)
{
    uint64_t end = off + len;
    Page *page = page_next_locked(image, off / MEM_PAGE_BYTES);

    while (page && page->index * MEM_PAGE_BYTES < end) {
        uint64_t index = page->index, start = index * MEM_PAGE_BYTES;
        uint64_t from = MAX(off, start), to = MIN(end, start + MEM_PAGE_BYTES);

        if (to - from == MEM_PAGE_BYTES)
            g_tree_remove(image->pages, &index);
        else
            memset(page->data + (from - start), 0, to - from);
        page = page_next_locked(image, index + 1);
    }
}

static void resize_locked(MemImage *image, uint64_t bytes)
{
    uint64_t up = (image->bytes + MEM_PAGE_BYTES - 1) / MEM_PAGE_BYTES * MEM_PAGE_BYTES;

    if (bytes < image->bytes)
        zero_locked(image, bytes, up - bytes);
    image->bytes = bytes;
}

MemImage *mem_image_new(void)
{
    MemImage *image = g_new0(MemImage, 1);

    pthread_mutex_init(&image->mutex, NULL);
    image->references = 1;
    image->inode = (uintptr_t)image;
    image->pages = g_tree_new_full(page_compare, NULL, NULL, g_free);
    image->files = g_ptr_array_new();
    return image;
}

MemImage *mem_image_ref(MemImage *image)
{
    pthread_mutex_lock(&image->mutex);
    image->references++;
    pthread_mutex_unlock(&image->mutex);
    return image;
}

void mem_image_unref(MemImage *image)
{
    bool last;

    if (!image)
        return;
    pthread_mutex_lock(&image->mutex);
    last = --image->references == 0;
    pthread_mutex_unlock(&image->mutex);
    if (!last)
        return;
    g_tree_unref(image->pages);
    g_ptr_array_unref(image->files);
    pthread_mutex_destroy(&image->mutex);
    g_free(image);
}

static gboolean clone_page(gpointer key, gpointer value, gpointer data)
{
    Page *page = g_memdup2(value, sizeof(*page));

    (void)key;
    g_tree_insert(data, &page->index, page);
    return FALSE;
}

MemImage *mem_image_clone(MemImage *image)
{
    MemImage *clone = mem_image_new();

    pthread_mutex_lock(&image->mutex);
    clone->inode = image->inode;
    clone->bytes = image->bytes;
    clone->limit = image->limit;
    g_tree_foreach(image->pages, clone_page, clone->pages);
    pthread_mutex_unlock(&image->mutex);
    return clone;
}

void mem_image_read(MemImage *image, uint64_t off, void *buf, size_t len)
{
    pthread_mutex_lock(&image->mutex);
    read_locked(image, off, buf, len);
    pthread_mutex_unlock(&image->mutex);
}

void mem_image_write(MemImage *image, uint64_t off, const void *buf, size_t len)
{
    pthread_mutex_lock(&image->mutex);
    write_locked(image, off, buf, len, true);
    pthread_mutex_unlock(&image->mutex);
}

void mem_image_zero(MemImage *image, uint64_t off, uint64_t len)
{
    pthread_mutex_lock(&image->mutex);
    if (off < image->bytes)
        zero_locked(image, off, MIN(len, image->bytes - off));
    pthread_mutex_unlock(&image->mutex);
}

void mem_image_resize(MemImage *image, uint64_t bytes)
{
    pthread_mutex_lock(&image->mutex);
    resize_locked(image, bytes);
    pthread_mutex_unlock(&image->mutex);
}

uint64_t mem_image_bytes(MemImage *image)
{
    uint64_t bytes;

    pthread_mutex_lock(&image->mutex);
    bytes = image->bytes;
    pthread_mutex_unlock(&image->mutex);
    return bytes;
}

uint64_t mem_image_used(MemImage *image)
{
    uint64_t used;

    pthread_mutex_lock(&image->mutex);
    used = (uint64_t)g_tree_nnodes(image->pages) * MEM_PAGE_BYTES;
    pthread_mutex_unlock(&image->mutex);
    return used;
}

void mem_image_set_limit(MemImage *image, uint64_t bytes)
{
    pthread_mutex_lock(&image->mutex);
    image->limit = bytes;
    pthread_mutex_unlock(&image->mutex);
}

void mem_image_set_inode(MemImage *image, uint64_t inode)
{
    pthread_mutex_lock(&image->mutex);
    image->inode = inode;
    pthread_mutex_unlock(&image->mutex);
}

/* The index of the first page at or after index, or UINT64_MAX. */
static uint64_t next_index(MemImage *image, uint64_t index)
{
    uint64_t next;
    Page *page;

    pthread_mutex_lock(&image->mutex);
    page = page_next_locked(image, index);
    next = page ? page->index : UINT64_MAX;
    pthread_mutex_unlock(&image->mutex);
    return next;
}

bool mem_image_equal(MemImage *a, MemImage *b, uint64_t *off)
{
    uint64_t length = MIN(mem_image_bytes(a), mem_image_bytes(b));
    bool equal = mem_image_bytes(a) == mem_image_bytes(b);
    uint64_t differ = length, index = 0;

    while ((index = MIN(next_index(a, index), next_index(b, index))) < UINT64_MAX) {
        uint8_t x[MEM_PAGE_BYTES], y[MEM_PAGE_BYTES];
        size_t at = 0;

        mem_image_read(a, index * MEM_PAGE_BYTES, x, sizeof(x));
        mem_image_read(b, index * MEM_PAGE_BYTES, y, sizeof(y));
        while (at < sizeof(x) && x[at] == y[at])
            at++;
        if (at < sizeof(x)) {
            equal = false;
            differ = MIN(length, index * MEM_PAGE_BYTES + at);
            break;
        }
        index++;
    }
    if (off && !equal)
        *off = differ;
    return equal;
}

/* The operations */

static MemImage *lock_image(VhdFile *file)
{
    MemImage *image = ((MemFile *)file)->image;

    pthread_mutex_lock(&image->mutex);
    return image;
}

static int unlock_image(MemImage *image, int result)
{
    pthread_mutex_unlock(&image->mutex);
    return result;
}

static int mem_readv(VhdFile *file, VhdIoKind kind, uint64_t off, const struct iovec *iov,
                     int iovcnt)
{
    MemImage *image = lock_image(file);

    (void)kind;
    for (int i = 0; i < iovcnt; i++) {
        uint64_t there = off < image->bytes ? image->bytes - off : 0;

        read_locked(image, off, iov[i].iov_base, MIN(iov[i].iov_len, there));
        if (iov[i].iov_len > there)
            return unlock_image(image, -ENODATA);
        off += iov[i].iov_len;
    }
    return unlock_image(image, 0);
}

static int mem_writev(VhdFile *file, VhdIoKind kind, uint64_t off, const struct iovec *iov,
                      int iovcnt)
{
    MemImage *image = lock_image(file);
    int err = file->writable ? 0 : -EBADF;

    (void)kind;
    for (int i = 0; i < iovcnt && !err; i++) {
        if (iov[i].iov_len > INT64_MAX || off > INT64_MAX - iov[i].iov_len)
            err = -EFBIG;
        else
            err = write_locked(image, off, iov[i].iov_base, iov[i].iov_len, false);
        off += iov[i].iov_len;
    }
    return unlock_image(image, err);
}

static int mem_barrier(VhdFile *file)
{
    (void)file;
    return 0;
}

static int mem_info(VhdFile *file, VhdFileInfo *info)
{
    MemImage *image = lock_image(file);

    /* Device 0 is no real one, so no real file is taken for this. */
    *info = (VhdFileInfo){.inode = image->inode, .bytes = image->bytes, .mode = S_IFREG | 0644};
    return unlock_image(image, 0);
}

static int mem_resize(VhdFile *file, uint64_t bytes)
{
    MemImage *image;

    if (!file->writable || bytes > INT64_MAX)
        return file->writable ? -EFBIG : -EBADF;
    image = lock_image(file);
    resize_locked(image, bytes);
    return unlock_image(image, 0);
}

static int mem_punch(VhdFile *file, VhdIoKind kind, uint64_t off, uint64_t len)
{
    MemImage *image;

    (void)kind;
    if (!file->writable)
        return -EBADF;
    image = lock_image(file);
    if (off < image->bytes)
        zero_locked(image, off, MIN(len, image->bytes - off));
    return unlock_image(image, 0);
}

static int mem_claim(VhdFile *file, uint64_t off, uint64_t len)
{
    MemImage *image;

    if (!file->writable || len > INT64_MAX || off > INT64_MAX - len)
        return file->writable ? -EFBIG : -EBADF;
    if (len == 0)
        return 0;
    image = lock_image(file);
    for (uint64_t index = off / MEM_PAGE_BYTES; index <= (off + len - 1) / MEM_PAGE_BYTES; index++)
        if (!page_make_locked(image, index, false))
            return unlock_image(image, -ENOSPC);
    image->bytes = MAX(image->bytes, off + len);
    return unlock_image(image, 0);
}

static int mem_drop_cache(VhdFile *file, uint64_t off, uint64_t len)
{
    (void)file;
    (void)off;
    (void)len;
    return 0;
}

static int mem_next_data(VhdFile *file, uint64_t off, uint64_t *start, uint64_t *end)
{
    MemImage *image = lock_image(file);
    uint64_t index = off / MEM_PAGE_BYTES;
    Page *page = page_next_locked(image, index);

    while (page && !page->written)
        page = page_next_locked(image, page->index + 1);
    *start = *end = image->bytes;
    if (!page || off >= image->bytes || page->index * MEM_PAGE_BYTES >= image->bytes)
        return unlock_image(image, 0);
    *start = MAX(off, page->index * MEM_PAGE_BYTES);
    for (index = page->index; page && page->index == index && page->written; index++)
        page = page_next_locked(image, index + 1);
    *end = MIN(image->bytes, index * MEM_PAGE_BYTES);
    return unlock_image(image, 0);
}

/* Read locks only are ever taken, so taking is never in conflict. */
static int mem_lock(VhdFile *file, uint64_t byte, short type)
{
    MemImage *image;

    if (byte >= LOCK_BYTES || (type != F_RDLCK && type != F_UNLCK))
        return -EINVAL;
    image = lock_image(file);
    ((MemFile *)file)->locks[byte] = type == F_RDLCK;
    return unlock_image(image, 0);
}

static int mem_lock_test(VhdFile *file, uint64_t byte)
{
    MemImage *image;
    int err = 0;

    if (byte >= LOCK_BYTES)
        return -EINVAL;
    image = lock_image(file);
    for (guint i = 0; i < image->files->len; i++) {
        const MemFile *other = g_ptr_array_index(image->files, i);

        if (&other->base != file && other->locks[byte])
            err = -EAGAIN;
    }
    return unlock_image(image, err);
}

static int mem_rename(VhdFile *file, const char *path, bool replace)
{
    (void)file;
    (void)path;
    (void)replace;
    return 0;
}

static void mem_close(VhdFile *file)
{
    MemImage *image = lock_image(file);

    g_ptr_array_remove_fast(image->files, file);
    unlock_image(image, 0);
    mem_image_unref(image);
    vhd_file_release(file);
    g_free(file);
}

static const VhdFileOps mem_ops = {
    .readv = mem_readv,
    .writev = mem_writev,
    .barrier = mem_barrier,
    .info = mem_info,
    .resize = mem_resize,
    .punch = mem_punch,
    .claim = mem_claim,
    .drop_cache = mem_drop_cache,
    .next_data = mem_next_data,
    .lock = mem_lock,
    .lock_test = mem_lock_test,
    .rename = mem_rename,
    .close = mem_close,
};

VhdFile *mem_file_open(MemImage *image, const char *name, bool writable)
{
    MemFile *file = g_new0(MemFile, 1);

    file->base.ops = &mem_ops;
    file->base.name = g_strdup(name);
    file->base.writable = writable;
    file->image = mem_image_ref(image);
    pthread_mutex_lock(&image->mutex);
    g_ptr_array_add(image->files, file);
    pthread_mutex_unlock(&image->mutex);
    return &file->base;
}
