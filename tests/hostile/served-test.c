/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * Parents that change while their child is served: cut at every place, grown, gone, replaced, full
 * of noise, with another uuid; by somebody whom no lock stops. Requests end, with data or -EIO;
 * the child's own sectors are as they were, takes writes, closes and is sound; opened anew, the
 * chain is what it is or refused in one sentence.
 */
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/rng.h"
#include "tests/unit/chain-sample.h"
#include "vhd/check.h"
#include "vhd/disk.h"
#include "vhd/error.h"

#define SECTOR 512u
#define OWN    40u /* first sector of the child's own run of OWNED */
#define OWNED  16u

typedef struct World {
    char *folder, *child, *parent;
    uint8_t *bytes; /* of the parent's file at first */
    gsize len;
    VhdDisk *disk;
} World;

static VhdDisk *open_disk(const char *path, GError **error)
{
    VhdDiskOptions options = {.path = path, .no_pending = true};

    return vhd_disk_open(&options, error);
}

static void fill(const char *path, unsigned sector, unsigned count, int byte)
{
    g_autofree uint8_t *data = g_malloc((size_t)count * SECTOR);
    g_autoptr(GError) error = NULL;
    VhdDisk *disk = open_disk(path, &error);

    g_assert_no_error(error);
    memset(data, byte, (size_t)count * SECTOR);
    g_assert_cmpint(vhd_disk_write(disk, sector * SECTOR, data, (size_t)count * SECTOR, false), ==,
                    0);
    g_assert_cmpint(vhd_disk_close(disk), ==, 0);
}

/* A child of a child: the one in the middle is what changes. */
static void world_init(World *world)
{
    g_autoptr(GError) error = NULL;

    *world = (World){.folder = sample_folder_new()};
    g_autofree char *root = sample_make(world->folder, "root.vhd", &(Sample){.uuid = 3});
    fill(root, 0, 1024, 'r');
    world->parent = sample_make(world->folder, "parent.vhd",
                                &(Sample){.uuid = 2, .parent = 3, .relative = "root.vhd"});
    fill(world->parent, 8, 1000, 'p');
    world->child = sample_make(world->folder, "child.vhd",
                               &(Sample){.uuid = 1, .parent = 2, .relative = "parent.vhd"});
    fill(world->child, OWN, OWNED, 'c');
    g_file_get_contents(world->parent, (char **)(void *)&world->bytes, &world->len, &error);
    g_assert_no_error(error);
}

static void world_clear(World *world)
{
    g_free(world->bytes);
    g_free(world->parent);
    g_free(world->child);
    sample_folder_free(world->folder);
}

/* In place, so that it is the file that is open. */
static void put_parent(const World *world, const uint8_t *bytes, size_t len)
{
    int fd = open(world->parent, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(pwrite(fd, bytes, len, 0), ==, (gssize)len);
    g_assert_cmpint(ftruncate(fd, (off_t)len), ==, 0);
    close(fd);
}

/* Read everything, in pieces that lie within one layer and across them. */
static unsigned read_all(const World *world)
{
    uint8_t data[64 * SECTOR];
    unsigned errors = 0;

    for (uint64_t off = 0; off < SAMPLE_BYTES; off += sizeof data) {
        int err = vhd_disk_read(world->disk, off, data, sizeof data);

        g_assert_true(err == 0 || err == -EIO);
        errors += err != 0;
    }
    g_assert_cmpint(vhd_disk_read(world->disk, OWN * SECTOR, data, OWNED * SECTOR), ==, 0);
    for (unsigned i = 0; i < OWNED * SECTOR; i++)
        g_assert_cmpint(data[i], ==, 'c');
    return errors;
}

static void write_some(const World *world)
{
    uint8_t data[8 * SECTOR];

    memset(data, 'c', sizeof data);
    g_assert_cmpint(vhd_disk_write(world->disk, 500 * SECTOR, data, sizeof data, false), ==, 0);
    g_assert_cmpint(vhd_disk_write(world->disk, OWN * SECTOR, data, sizeof data, true), ==, 0);
    g_assert_cmpint(vhd_disk_unmap(world->disk, 700 * SECTOR, sizeof data), ==, 0);
    g_assert_cmpint(vhd_disk_write_zeroes(world->disk, 900 * SECTOR, sizeof data, false), ==, 0);
    g_assert_cmpint(vhd_disk_flush(world->disk), ==, 0);
}

static void sound(void *data, const VhdFinding *finding)
{
    (void)data;
    if (finding->severity >= VHD_SEVERITY_LEAK)
        g_error("%s: %s", vhd_finding_name(finding->code), finding->text);
}

static void judge_child(const World *world)
{
    VhdCheckOptions options = {.report = sound};
    g_autoptr(GError) error = NULL;

    g_assert_true(vhd_check_chain(world->child, &options, &error));
    g_assert_no_error(error);
}

/* True: the chain is served again. */
static bool open_again(const World *world)
{
    g_autoptr(GError) error = NULL;
    VhdDisk *disk = open_disk(world->child, &error);

    if (!disk) {
        g_assert_true(error->domain == VHD_ERROR);
        g_assert_true(g_str_has_prefix(error->message, world->folder));
        g_assert_null(strchr(error->message, '\n'));
        return false;
    }
    g_assert_cmpint(vhd_disk_close(disk), ==, 0);
    return true;
}

static void serve(World *world)
{
    g_autoptr(GError) error = NULL;

    put_parent(world, world->bytes, world->len);
    world->disk = open_disk(world->child, &error);
    g_assert_no_error(error);
}

/* After the change: errors read; the child is sound. */
static unsigned suffer(World *world)
{
    unsigned errors = read_all(world);

    write_some(world);
    errors += read_all(world);
    g_assert_cmpint(vhd_disk_close(world->disk), ==, 0);
    judge_child(world);
    return errors;
}

static void test_shrinks(void)
{
    unsigned errors = 0, refused = 0, times = 0;
    World world;

    world_init(&world);
    for (gsize len = 0; len < world.len; len += 8 * SECTOR + 100) {
        serve(&world);
        put_parent(&world, world.bytes, len);
        errors += suffer(&world);
        refused += !open_again(&world);
        times++;
    }
    g_assert_cmpuint(errors, >, times); /* at least half of the reads met the new end */
    g_assert_cmpuint(refused, >, times / 2);
    world_clear(&world);
}

static void test_grows(void)
{
    g_autofree uint8_t *longer = NULL;
    World world;

    world_init(&world);
    longer = g_malloc0(world.len + 70000);
    memcpy(longer, world.bytes, world.len);
    serve(&world);
    put_parent(&world, longer, world.len + 70000);
    g_assert_cmpuint(suffer(&world), ==, 0);
    g_assert_true(open_again(&world)); /* its first footer serves */
    world_clear(&world);
}

static void test_vanishes(void)
{
    World world;

    world_init(&world);
    serve(&world);
    g_assert_cmpint(g_unlink(world.parent), ==, 0);
    g_assert_cmpuint(suffer(&world), ==, 0);
    g_assert_false(open_again(&world));
    serve(&world); /* it is there again: as good as new */
    g_assert_cmpuint(suffer(&world), ==, 0);
    world_clear(&world);
}

static void test_uuid_changes(void)
{
    g_autofree char *other = NULL;
    World world;

    world_init(&world);
    serve(&world);
    other = sample_make(world.folder, "other.vhd",
                        &(Sample){.uuid = 9, .parent = 3, .relative = "root.vhd"});
    g_assert_cmpint(g_rename(other, world.parent), ==, 0); /* what is open stays open */
    g_assert_cmpuint(suffer(&world), ==, 0);
    g_assert_false(open_again(&world));
    world_clear(&world);
}

/* Bitmaps, BAT, footers, all that was not read yet: anything may be there. */
static void test_noise(void)
{
    g_autofree uint8_t *noise = NULL;
    World world;

    world_init(&world);
    noise = g_malloc(world.len);
    for (uint64_t seed = 1; seed <= 100; seed++) {
        Rng rng = {seed};
        gsize from = rng_below(&rng, world.len), len = rng_below(&rng, world.len - from);

        memcpy(noise, world.bytes, world.len);
        rng_fill(&rng, noise + from, len);
        serve(&world);
        put_parent(&world, noise, world.len);
        g_assert_cmpuint(suffer(&world), ==, 0);
        open_again(&world);
    }
    world_clear(&world);
}

int main(int argc, char **argv)
{
    if (access("/dev/shm", W_OK) == 0)
        g_setenv("TMPDIR", "/dev/shm", FALSE);
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/hostile/served/shrinks", test_shrinks);
    g_test_add_func("/hostile/served/grows", test_grows);
    g_test_add_func("/hostile/served/vanishes", test_vanishes);
    g_test_add_func("/hostile/served/uuid-changes", test_uuid_changes);
    g_test_add_func("/hostile/served/noise", test_noise);
    return g_test_run();
}
