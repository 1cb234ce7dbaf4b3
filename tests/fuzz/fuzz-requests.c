/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * Requests on a small disk against a flat array. Input: a byte of shape (type, block size, whether
 * there is a parent), one of size; then requests of four bytes: what, sector, count, and how (cut
 * of the iovec, whether the image is opened anew).
 *
 * Laws: every request that lies in the disk succeeds; reading shows what was written, zeroed, or
 * lay below; what was unmapped is old or zero, the same ever after; check finds nothing wrong at
 * any time after a flush; the parent is never written.
 */
#include "fuzz.h"

#include <errno.h>
#include <glib.h>

#include "tests/support/mem-file.h"
#include "vhd/check.h"
#include "vhd/disk-private.h"
#include "vhd/image-create.h"

#define SECTOR         VHD_SECTOR_BYTES
#define SECTORS_MAX    128u
#define REQUESTS_MAX   64u
#define NO_PENDING_DIR "/nonexistent/pending"

typedef struct Disk {
    MemImage *files[2]; /* child first */
    unsigned depth;
    MemImage *parent_before;
    VhdChain *chain;
    uint32_t sectors;
    uint8_t model[SECTORS_MAX * SECTOR];
    uint8_t buffer[SECTORS_MAX * SECTOR];
    uint8_t stamp; /* of the next write */
} Disk;

static MemImage *make_file(VhdType type, uint64_t bytes, uint32_t block_bytes)
{
    static const uint8_t parent_uuid[VHD_UUID_BYTES] = "parent";
    static const uint8_t child_uuid[VHD_UUID_BYTES] = "child";
    VhdCreate create = {.type = type,
                        .disk_bytes = bytes,
                        .block_bytes = block_bytes,
                        .uuid = type == VHD_TYPE_DIFFERENCING ? child_uuid : parent_uuid,
                        .time_unix = VHD_EPOCH_UNIX + 1,
                        .parent_name = "parent.vhd",
                        .parent_relative = "parent.vhd",
                        .parent_absolute = "/parent.vhd"};
    MemImage *bytes_made = mem_image_new();
    g_autoptr(VhdFile) file = mem_file_open(bytes_made, "fuzz.vhd", true);

    memcpy(create.parent_uuid, parent_uuid, sizeof(parent_uuid));
    FUZZ_CHECK(vhd_image_create(file, &create, NULL));
    return bytes_made;
}

static VhdImage *open_layer(MemImage *bytes, bool writable)
{
    VhdImageOptions options = {.writable = writable};
    VhdImage *image = vhd_image_open(mem_file_open(bytes, "fuzz.vhd", writable), &options, NULL);

    FUZZ_CHECK(image);
    return image;
}

static void open_chain(Disk *disk)
{
    VhdImage *layers[2];

    for (unsigned i = 0; i < disk->depth; i++)
        layers[i] = open_layer(disk->files[i], i == 0);
    disk->chain = vhd_chain_new(layers, disk->depth);
}

static int perform(Disk *disk, VhdOp op, uint32_t sector, uint32_t count, uint8_t cut)
{
    size_t len = (size_t)count * SECTOR, first = MIN(cut * (size_t)97, len);
    struct iovec iov[2] = {{disk->buffer, first}, {disk->buffer + first, len - first}};
    VhdRequest request = {
        .op = op, .off = (uint64_t)sector * SECTOR, .len = len, .iov = iov, .iovcnt = 2};

    return vhd_disk_io(&(VhdDiskLayers){disk->chain, NULL}, &request);
}

/* The parent's content: a write of its own in every fourth sector. */
static void fill_parent(Disk *disk, VhdType type)
{
    Disk parent = {.files = {disk->files[1]}, .depth = 1, .sectors = disk->sectors};

    (void)type;
    open_chain(&parent);
    for (uint32_t sector = 0; sector < disk->sectors; sector += 4) {
        memset(parent.buffer, (int)(0x80 | sector / 4), SECTOR);
        memcpy(disk->model + (size_t)sector * SECTOR, parent.buffer, SECTOR);
        FUZZ_CHECK(perform(&parent, VHD_OP_WRITE, sector, 1, 0) == 0);
    }
    FUZZ_CHECK(vhd_image_finish(vhd_chain_layer(parent.chain, 0)) == 0);
    vhd_chain_free(parent.chain);
    disk->parent_before = mem_image_clone(disk->files[1]);
}

static void build(Disk *disk, FuzzInput *input)
{
    uint8_t shape = fuzz_take_byte(input);
    uint32_t block_bytes = 4096u << (shape >> 2) % 4;
    uint64_t bytes;

    disk->sectors = 1 + fuzz_take_byte(input) % SECTORS_MAX;
    bytes = (uint64_t)disk->sectors * SECTOR;
    disk->depth = shape & 1 ? 2 : 1;
    if (disk->depth == 2) {
        VhdType type = shape & 2 ? VHD_TYPE_FIXED : VHD_TYPE_DYNAMIC;

        disk->files[1] = make_file(type, bytes, 4096u << (shape >> 4) % 4);
        fill_parent(disk, type);
    }
    disk->files[0] = make_file(disk->depth == 2 ? VHD_TYPE_DIFFERENCING
                               : shape & 2      ? VHD_TYPE_FIXED
                                                : VHD_TYPE_DYNAMIC,
                               bytes, block_bytes);
    open_chain(disk);
}

static void compare(Disk *disk, uint32_t sector, uint32_t count, uint8_t cut)
{
    FUZZ_CHECK(perform(disk, VHD_OP_READ, sector, count, cut) == 0);
    FUZZ_CHECK(
        memcmp(disk->buffer, disk->model + (size_t)sector * SECTOR, (size_t)count * SECTOR) == 0);
}

static void write_range(Disk *disk, uint32_t sector, uint32_t count, uint8_t cut)
{
    uint8_t *model = disk->model + (size_t)sector * SECTOR;

    memset(disk->buffer, 1 + disk->stamp++ % 127, (size_t)count * SECTOR);
    memcpy(model, disk->buffer, (size_t)count * SECTOR);
    FUZZ_CHECK(perform(disk, VHD_OP_WRITE, sector, count, cut) == 0);
}

/* Old or zero, sector by sector; what it is then is what it stays. */
static void unmap_range(Disk *disk, uint32_t sector, uint32_t count)
{
    static const uint8_t zeros[SECTOR];

    FUZZ_CHECK(perform(disk, VHD_OP_UNMAP, sector, count, 0) == 0);
    FUZZ_CHECK(perform(disk, VHD_OP_READ, sector, count, 0) == 0);
    for (uint32_t i = 0; i < count; i++) {
        uint8_t *model = disk->model + (size_t)(sector + i) * SECTOR;
        const uint8_t *found = disk->buffer + (size_t)i * SECTOR;

        FUZZ_CHECK(memcmp(found, model, SECTOR) == 0 || memcmp(found, zeros, SECTOR) == 0);
        memcpy(model, found, SECTOR);
    }
}

static void no_error(void *data, const VhdFinding *finding)
{
    (void)data;
    if (finding->severity >= VHD_SEVERITY_ERROR) {
        fprintf(stderr, "check: %s\n", finding->text);
        abort();
    }
}

static void check(Disk *disk)
{
    VhdCheckOptions options = {.report = no_error, .pending_dir = NO_PENDING_DIR};
    g_autoptr(VhdFile) file = mem_file_open(disk->files[0], "fuzz.vhd", false);
    VhdCheckResult result;

    FUZZ_CHECK(vhd_check_image(file, 0, &options, &result, NULL));
    FUZZ_CHECK(!disk->parent_before || mem_image_equal(disk->parent_before, disk->files[1], NULL));
}

static void flush(Disk *disk, bool reopen)
{
    FUZZ_CHECK(perform(disk, VHD_OP_FLUSH, 0, 0, 0) == 0);
    check(disk);
    if (!reopen)
        return;
    FUZZ_CHECK(vhd_image_finish(vhd_chain_layer(disk->chain, 0)) == 0);
    vhd_chain_free(disk->chain);
    check(disk);
    open_chain(disk);
    compare(disk, 0, disk->sectors, 0);
}

static void one_request(Disk *disk, FuzzInput *input)
{
    uint8_t taken[4];
    uint32_t sector, count;

    fuzz_take(input, taken, sizeof(taken));
    sector = taken[1] % disk->sectors;
    count = 1 + taken[2] % (disk->sectors - sector);
    switch (taken[0] % 5) {
    case VHD_OP_READ:
        compare(disk, sector, count, taken[3]);
        break;
    case VHD_OP_WRITE:
        write_range(disk, sector, count, taken[3]);
        break;
    case VHD_OP_FLUSH:
        flush(disk, taken[3] & 1);
        break;
    case VHD_OP_UNMAP:
        unmap_range(disk, sector, count);
        break;
    default:
        memset(disk->model + (size_t)sector * SECTOR, 0, (size_t)count * SECTOR);
        FUZZ_CHECK(perform(disk, VHD_OP_WRITE_ZEROES, sector, count, 0) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    FuzzInput input = {data, size};
    Disk *disk = g_new0(Disk, 1);

    build(disk, &input);
    for (unsigned i = 0; i < REQUESTS_MAX && input.left > 0; i++)
        one_request(disk, &input);
    flush(disk, true);
    vhd_chain_free(disk->chain);
    for (unsigned i = 0; i < disk->depth; i++)
        mem_image_unref(disk->files[i]);
    if (disk->parent_before)
        mem_image_unref(disk->parent_before);
    g_free(disk);
    return 0;
}
