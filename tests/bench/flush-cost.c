/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * flush-cost IMAGE RAW MIB image|raw: writes MIB MiB of IMAGE, which no block of it holds yet, and
 * then flushes; beside it, the same into the new file RAW; the one that is named first. Both write
 * back what is not yet durable at the same number of bytes, those of VHD_DISK_BOUNDS. Prints the
 * seconds of all writes and of the last flush, image and file.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vhd/disk-private.h"

#define PIECE (1u << 20) /* bytes of a write */

typedef struct Cost {
    double write_s, flush_s;
} Cost;

static double now_s(void)
{
    return (double)g_get_monotonic_time() / 1e6;
}

/* No file system may find zeros, or the same bytes again. */
static void make_piece(uint64_t *piece, uint64_t number)
{
    uint64_t x = number * 0x9e3779b97f4a7c15u + 1;

    for (unsigned i = 0; i < PIECE / sizeof(x); i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        piece[i] = x;
    }
}

static int write_image(const char *path, uint64_t pieces, uint64_t *piece, Cost *cost)
{
    VhdDiskOptions options = {.path = path};
    VhdDiskBounds bounds = VHD_DISK_BOUNDS;
    g_autoptr(GError) error = NULL;
    double started;
    VhdDisk *disk;
    int err = 0;

    /* By bytes alone, as the file: else less would be left for the last flush. */
    bounds.age_ms = 3600 * 1000;
    disk = vhd_disk_open_bounded(&options, &bounds, &error);
    if (!disk) {
        fprintf(stderr, "flush-cost: %s\n", error->message);
        return -EIO;
    }
    started = now_s();
    for (uint64_t i = 0; i < pieces && err == 0; i++) {
        make_piece(piece, i);
        err = vhd_disk_write(disk, i * PIECE, piece, PIECE, false);
    }
    cost->write_s = now_s() - started;
    started = now_s();
    if (err == 0)
        err = vhd_disk_flush(disk);
    cost->flush_s = now_s() - started;
    vhd_disk_close(disk);
    return err;
}

static int write_raw(const char *path, uint64_t pieces, uint64_t *piece, Cost *cost)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
    uint64_t dirty = 0;
    double started = now_s();
    bool good = fd >= 0;

    for (uint64_t i = 0; i < pieces && good; i++) {
        make_piece(piece, i);
        good = pwrite(fd, piece, PIECE, (off_t)(i * PIECE)) == PIECE;
        dirty += PIECE;
        if (good && dirty > VHD_DISK_BOUNDS.data_bytes) {
            good = fdatasync(fd) == 0;
            dirty = 0;
        }
    }
    cost->write_s = now_s() - started;
    started = now_s();
    good = good && fdatasync(fd) == 0;
    cost->flush_s = now_s() - started;
    if (fd >= 0)
        close(fd);
    return good ? 0 : -errno;
}

int main(int argc, char **argv)
{
    uint64_t *piece = aligned_alloc(4096, PIECE);
    uint64_t pieces = argc == 5 ? strtoull(argv[3], NULL, 10) : 0;
    Cost image, raw;
    bool image_first;
    int err = 0;

    if (pieces == 0 || !piece) {
        fprintf(stderr, "Usage: flush-cost IMAGE RAW MIB image|raw\n");
        return 2;
    }
    image_first = strcmp(argv[4], "image") == 0;
    if (image_first)
        err = write_image(argv[1], pieces, piece, &image);
    if (err == 0)
        err = write_raw(argv[2], pieces, piece, &raw);
    if (err == 0 && !image_first)
        err = write_image(argv[1], pieces, piece, &image);
    free(piece);
    if (err != 0) {
        fprintf(stderr, "flush-cost: %s\n", strerror(-err));
        return 1;
    }
    printf("%.3f %.3f %.3f %.3f\n", image.write_s, image.flush_s, raw.write_s, raw.flush_s);
    return 0;
}
