/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * Many threads on one disk, anywhere and all kinds of requests, with flushes in the background and
 * closing among requests; and many disks that share their parents, opened, used and closed side by
 * side. Made for the thread sanitizer; what is read is looked at, too: a sector holds zeros, its
 * parent's words or words that name it. STRESS_ROUNDS in the environment: as many times as much.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/rng.h"
#include "tests/unit/chain-sample.h"
#include "vhd/disk-private.h"

#define SECTOR        512u
#define WORDS         (SECTOR / 8)
#define SECTORS       (unsigned)(SAMPLE_BYTES / SECTOR)
#define RANGE_MOST    300u
#define THREADS       8u
#define DISKS         32u
#define LAST_WRITER   200u
#define AT_CLOSE      64u
#define ONE_REQUESTS  1500u /* a thread */
#define MANY_ROUNDS   4u
#define MANY_REQUESTS 50u /* a round of a disk */

static unsigned times(void)
{
    const char *text = g_getenv("STRESS_ROUNDS");

    return text ? (unsigned)atoi(text) : 1;
}

/* Words that name their sector and who wrote them (1 to 255). */
static void fill(uint8_t *data, unsigned sector, unsigned count, unsigned writer)
{
    for (unsigned i = 0; i < count * WORDS; i++) {
        uint64_t word = (uint64_t)(sector + i / WORDS) << 8 | writer;

        memcpy(data + i * 8, &word, 8);
    }
}

/* Every word is zero or names its sector. */
static void judge(const uint8_t *data, unsigned sector, unsigned count)
{
    for (unsigned i = 0; i < count * WORDS; i++) {
        uint64_t word;

        memcpy(&word, data + i * 8, 8);
        if (word != 0 && word >> 8 != sector + i / WORDS)
            g_error("sector %u holds %" G_GINT64_MODIFIER "x", sector + i / WORDS, word);
    }
}

static VhdDisk *open_disk(const char *path, const char *pending_dir)
{
    const VhdDiskBounds bounds = {
        .data_bytes = 300 * 1024, .entries = 20, .age_ms = 1, .tick_ms = 1};
    VhdDiskOptions options = {.path = path, .pending_dir = pending_dir, .no_pending = !pending_dir};
    g_autoptr(GError) error = NULL;
    VhdDisk *disk = vhd_disk_open_bounded(&options, &bounds, &error);

    g_assert_no_error(error);
    return disk;
}

static void write_all(const char *path, unsigned writer)
{
    g_autofree uint8_t *data = g_malloc(SAMPLE_BYTES);
    VhdDisk *disk = open_disk(path, NULL);

    fill(data, 0, SECTORS, writer);
    g_assert_cmpint(vhd_disk_write(disk, 0, data, SAMPLE_BYTES / 2, false), ==, 0);
    g_assert_cmpint(vhd_disk_close(disk), ==, 0);
}

/* A child of a child of a half full image, and where a log of it may be. */
typedef struct Family {
    char *folder, *pending;
} Family;

static void family_init(Family *family)
{
    family->folder = sample_folder_new();
    family->pending = g_build_filename(family->folder, "pending", NULL);
    g_autofree char *root = sample_make(family->folder, "root.vhd", &(Sample){.uuid = 101});
    g_autofree char *middle =
        sample_make(family->folder, "middle.vhd",
                    &(Sample){.uuid = 102, .parent = 101, .relative = "root.vhd"});

    write_all(root, 1);
    g_assert_nonnull(middle);
}

static char *family_child(const Family *family, unsigned number)
{
    g_autofree char *name = g_strdup_printf("child-%u.vhd", number);

    return sample_make(
        family->folder, name,
        &(Sample){.uuid = (uint8_t)(number + 1), .parent = 102, .relative = "middle.vhd"});
}

static void family_clear(Family *family)
{
    g_free(family->pending);
    sample_folder_free(family->folder);
}

/* Requests in flight */

typedef struct Flight {
    pthread_mutex_t lock; /* protects left */
    pthread_cond_t landed;
    unsigned left;
} Flight;

typedef struct Shot {
    VhdRequest request;
    struct iovec iov[2];
    uint8_t *data; /* RANGE_MOST sectors, twice */
    VhdDiskRun runs[8];
    unsigned sector, count;
    Flight *flight;
} Shot;

static void land(VhdRequest *request, int result)
{
    Shot *shot = request->data;

    g_assert_true(result == 0 || (result == -EILSEQ && request->op == VHD_OP_COMPARE_AND_WRITE));
    if (request->op == VHD_OP_READ)
        judge(shot->data, shot->sector, shot->count);
    pthread_mutex_lock(&shot->flight->lock);
    shot->flight->left--;
    pthread_cond_signal(&shot->flight->landed);
    pthread_mutex_unlock(&shot->flight->lock);
}

static VhdOp choose(Rng *rng)
{
    static const VhdOp ops[] = {VHD_OP_READ,
                                VHD_OP_READ,
                                VHD_OP_READ,
                                VHD_OP_WRITE,
                                VHD_OP_WRITE,
                                VHD_OP_WRITE,
                                VHD_OP_FLUSH,
                                VHD_OP_UNMAP,
                                VHD_OP_WRITE_ZEROES,
                                VHD_OP_STATUS,
                                VHD_OP_COMPARE_AND_WRITE};

    return ops[rng_below(rng, G_N_ELEMENTS(ops))];
}

/* Data of which the sectors say whose they are. */
static void aim(Shot *shot, VhdOp op, unsigned sector, unsigned count, unsigned writer)
{
    size_t len = (size_t)count * SECTOR;
    bool compares = op == VHD_OP_COMPARE_AND_WRITE;

    shot->sector = sector;
    shot->count = count;
    fill(shot->data, sector, count, writer);
    if (compares)
        fill(shot->data + len, sector, count, writer);
    shot->iov[0] = (struct iovec){shot->data, len};
    shot->iov[1] = (struct iovec){shot->data + len, len};
    shot->request = (VhdRequest){.op = op,
                                 .off = (uint64_t)sector * SECTOR,
                                 .len = len,
                                 .iov = shot->iov,
                                 .iovcnt = compares ? 2 : 1,
                                 .runs = shot->runs,
                                 .run_room = G_N_ELEMENTS(shot->runs),
                                 .done = land,
                                 .data = shot};
}

static void shoot(VhdDisk *disk, Shot *shot, Rng *rng, Flight *flight, unsigned writer)
{
    unsigned sector = (unsigned)rng_below(rng, SECTORS);
    unsigned most = rng_one_in(rng, 4) ? RANGE_MOST : 16;

    most = MIN(most, SECTORS - sector);
    aim(shot, choose(rng), sector, (unsigned)rng_range(rng, 1, most), writer);
    shot->request.fua = rng_one_in(rng, 8);
    shot->flight = flight;
    if (rng_one_in(rng, 2) && vhd_disk_try(disk, &shot->request))
        land(&shot->request, 0);
    else
        vhd_disk_submit(disk, &shot->request);
}

static Shot *shots_new(unsigned count)
{
    Shot *shots = g_new0(Shot, count);

    for (unsigned i = 0; i < count; i++)
        shots[i].data = g_malloc((size_t)2 * RANGE_MOST * SECTOR);
    return shots;
}

static void shots_free(Shot *shots, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        g_free(shots[i].data);
    g_free(shots);
}

/* One disk */

typedef struct Gunner {
    pthread_t thread;
    VhdDisk *disk;
    Rng rng;
    unsigned writer;
} Gunner;

/* Two requests at a time, that may be of one and the same range. */
static void *fire(void *data)
{
    Gunner *gunner = data;
    Flight flight = {.lock = PTHREAD_MUTEX_INITIALIZER, .landed = PTHREAD_COND_INITIALIZER};
    Shot *shots = shots_new(2);

    for (unsigned i = 0; i < ONE_REQUESTS * times(); i += 2) {
        flight.left = 2;
        for (unsigned k = 0; k < 2; k++)
            shoot(gunner->disk, &shots[k], &gunner->rng, &flight, gunner->writer);
        pthread_mutex_lock(&flight.lock);
        while (flight.left > 0)
            pthread_cond_wait(&flight.landed, &flight.lock);
        pthread_mutex_unlock(&flight.lock);
    }
    shots_free(shots, 2);
    return NULL;
}

/* Closing waits for what is under way: all of it is there afterwards. */
static void close_among_requests(VhdDisk *disk, const char *path)
{
    Flight flight = {
        .lock = PTHREAD_MUTEX_INITIALIZER, .landed = PTHREAD_COND_INITIALIZER, .left = AT_CLOSE};
    Shot *shots = shots_new(AT_CLOSE);
    unsigned each = SECTORS / AT_CLOSE;

    for (unsigned i = 0; i < AT_CLOSE; i++) {
        aim(&shots[i], VHD_OP_WRITE, i * each, each - 1, LAST_WRITER);
        shots[i].flight = &flight;
        vhd_disk_submit(disk, &shots[i].request);
    }
    g_assert_cmpint(vhd_disk_close(disk), ==, 0);
    g_assert_cmpuint(flight.left, ==, 0);
    disk = open_disk(path, NULL);
    for (unsigned i = 0; i < AT_CLOSE; i++) {
        size_t len = (size_t)(each - 1) * SECTOR;
        uint8_t *found = shots[i].data + len;

        g_assert_cmpint(vhd_disk_read(disk, (uint64_t)i * each * SECTOR, found, len), ==, 0);
        g_assert_cmpint(memcmp(found, shots[i].data, len), ==, 0);
    }
    g_assert_cmpint(vhd_disk_close(disk), ==, 0);
    shots_free(shots, AT_CLOSE);
}

static void test_one_disk(void)
{
    Rng rng = {(uint64_t)g_test_rand_int()};
    Gunner gunners[THREADS];
    Family family;

    family_init(&family);
    g_autofree char *path = family_child(&family, 0);
    VhdDisk *disk = open_disk(path, family.pending);
    for (unsigned i = 0; i < THREADS; i++) {
        gunners[i] = (Gunner){.disk = disk, .rng = {rng_next(&rng)}, .writer = i + 2};
        g_assert_cmpint(pthread_create(&gunners[i].thread, NULL, fire, &gunners[i]), ==, 0);
    }
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(gunners[i].thread, NULL);
    close_among_requests(disk, path);
    family_clear(&family);
}

/* Many disks */

typedef struct Owner {
    pthread_t thread;
    const Family *family;
    char *path;
    Rng rng;
    unsigned writer;
    uint8_t *expected; /* of the disk */
} Owner;

/* One request at a time: what is read is what is expected, word by word. */
static void one_request(Owner *owner, VhdDisk *disk, uint8_t *data)
{
    unsigned sector = (unsigned)rng_below(&owner->rng, SECTORS - RANGE_MOST);
    unsigned count = (unsigned)rng_range(&owner->rng, 1, RANGE_MOST);
    uint64_t off = (uint64_t)sector * SECTOR, len = (uint64_t)count * SECTOR;

    switch (rng_below(&owner->rng, 5)) {
    case 0:
        g_assert_cmpint(vhd_disk_flush(disk), ==, 0);
        break;
    case 1:
        g_assert_cmpint(vhd_disk_write_zeroes(disk, off, len, false), ==, 0);
        memset(owner->expected + off, 0, len);
        break;
    case 2:
    case 3:
        fill(data, sector, count, owner->writer);
        g_assert_cmpint(vhd_disk_write(disk, off, data, len, rng_one_in(&owner->rng, 8)), ==, 0);
        memcpy(owner->expected + off, data, len);
        break;
    default:
        g_assert_cmpint(vhd_disk_read(disk, off, data, len), ==, 0);
        g_assert_cmpint(memcmp(data, owner->expected + off, len), ==, 0);
    }
}

static void *own(void *data)
{
    Owner *owner = data;
    g_autofree uint8_t *buffer = g_malloc(SAMPLE_BYTES);

    for (unsigned round = 0; round < MANY_ROUNDS * times(); round++) {
        VhdDisk *disk = open_disk(owner->path, owner->family->pending);

        g_assert_cmpint(vhd_disk_read(disk, 0, buffer, SAMPLE_BYTES), ==, 0);
        g_assert_cmpint(memcmp(buffer, owner->expected, SAMPLE_BYTES), ==, 0);
        for (unsigned i = 0; i < MANY_REQUESTS; i++)
            one_request(owner, disk, buffer);
        g_assert_cmpint(vhd_disk_close(disk), ==, 0);
    }
    return NULL;
}

static void test_many_disks(void)
{
    Rng rng = {(uint64_t)g_test_rand_int()};
    Owner owners[DISKS];
    Family family;

    family_init(&family);
    for (unsigned i = 0; i < DISKS; i++) {
        owners[i] = (Owner){.family = &family,
                            .path = family_child(&family, i),
                            .rng = {rng_next(&rng)},
                            .writer = i + 2,
                            .expected = g_malloc0(SAMPLE_BYTES)};
        fill(owners[i].expected, 0, SECTORS / 2, 1);
    }
    for (unsigned i = 0; i < DISKS; i++)
        g_assert_cmpint(pthread_create(&owners[i].thread, NULL, own, &owners[i]), ==, 0);
    for (unsigned i = 0; i < DISKS; i++) {
        pthread_join(owners[i].thread, NULL);
        g_free(owners[i].expected);
        g_free(owners[i].path);
    }
    family_clear(&family);
}

int main(int argc, char **argv)
{
    if (access("/dev/shm", W_OK) == 0) /* the disk's own speed is no matter here */
        g_setenv("TMPDIR", "/dev/shm", FALSE);
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/stress/one-disk", test_one_disk);
    g_test_add_func("/stress/many-disks", test_many_disks);
    return g_test_run();
}
