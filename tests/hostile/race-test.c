/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * Names that change while they are judged: a thread swaps links, files and folders as fast as it
 * can between what lies inside the allowed folder and what does not; the file opened is never one
 * that was outside all the time. Both answers must have come up, or nothing was shown.
 */
#include <fcntl.h>
#include <glib/gstdio.h>
#include <linux/fs.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/chain-sample.h"
#include "vhd/error.h"
#include "vhd/file.h"

#define ROUNDS_MOST  20000 /* until both have come up often enough */
#define ROUNDS_LEAST 3000

/* Two names in root that a thread exchanges, the name that is opened, and which file is secret. */
typedef struct Race {
    const char *path; /* of the test */
    const char *here, *there;
    const char *opened;
    bool rare; /* the moment in which it lies outside is too short to count on */
} Race;

static const Race races[] = {
    {"/hostile/race/link", "in/link", "spare-link", "in/link", false},
    {"/hostile/race/link-in-the-middle", "in/step", "spare-step", "in/step/file", false},
    {"/hostile/race/file-and-link", "in/file", "spare-link", "in/file", false},
    {"/hostile/race/folder-and-link", "in/folder", "spare-step", "in/folder/file", false},
    {"/hostile/race/folder-moved-out", "in/deep", "out/deep", "in/deep/../file", true},
};

typedef struct World {
    char *root;
    int fd; /* of root */
    const Race *race;
    ino_t secret;
    atomic_bool stop;
} World;

static void make_file(const World *world, const char *name)
{
    g_free(sample_raw(world->root, name, 16, 'x'));
}

static void world_init(World *world, const Race *race)
{
    struct stat st;

    *world = (World){.root = sample_folder_new(), .race = race};
    world->fd = open(world->root, O_PATH | O_DIRECTORY | O_CLOEXEC);
    g_assert_cmpint(world->fd, >=, 0);
    make_file(world, "in/file");
    make_file(world, "in/folder/file");
    make_file(world, "in/deep/below");
    make_file(world, "out/deep/below");
    make_file(world, "out/file");
    g_assert_cmpint(symlinkat("file", world->fd, "in/link"), ==, 0);
    g_assert_cmpint(symlinkat("folder", world->fd, "in/step"), ==, 0);
    g_assert_cmpint(symlinkat("../out/file", world->fd, "spare-link"), ==, 0);
    g_assert_cmpint(symlinkat("../out", world->fd, "spare-step"), ==, 0);
    g_assert_cmpint(fstatat(world->fd, "out/file", &st, 0), ==, 0);
    world->secret = st.st_ino;
}

static void world_clear(World *world)
{
    close(world->fd);
    sample_folder_free(world->root);
}

static void *swap(void *data)
{
    World *world = data;

    while (!atomic_load(&world->stop))
        g_assert_cmpint(
            renameat2(world->fd, world->race->here, world->fd, world->race->there, RENAME_EXCHANGE),
            ==, 0);
    return NULL;
}

static void open_once(World *world, const char *const *allowed, unsigned *opened, unsigned *refused)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VhdFile) file =
        vhd_file_open_at(world->fd, world->race->opened, allowed, VHD_FILE_READ, &error);
    VhdFileInfo info;

    if (!file) {
        g_assert_true(error->domain == VHD_ERROR);
        *refused += g_error_matches(error, VHD_ERROR, VHD_ERROR_PARENT);
        return;
    }
    g_assert_cmpint(vhd_file_info(file, &info), ==, 0);
    if (info.inode == world->secret)
        g_error("%s: the file outside was opened", world->race->path);
    ++*opened;
}

static void test_race(gconstpointer data)
{
    unsigned opened = 0, refused = 0, round = 0;
    pthread_t thread;
    World world;

    world_init(&world, data);
    g_autofree char *in = g_build_filename(world.root, "in", NULL);
    const char *const allowed[] = {in, NULL};
    g_assert_cmpint(pthread_create(&thread, NULL, swap, &world), ==, 0);
    while (round++ < ROUNDS_MOST && (round < ROUNDS_LEAST || opened < 100 || refused < 100))
        open_once(&world, allowed, &opened, &refused);
    atomic_store(&world.stop, true);
    pthread_join(thread, NULL);
    g_test_message("%u rounds: %u opened, %u refused", round, opened, refused);
    g_assert_cmpuint(opened, >=, 100);
    if (!world.race->rare)
        g_assert_cmpuint(refused, >=, 100);
    world_clear(&world);
}

int main(int argc, char **argv)
{
    if (access("/dev/shm", W_OK) == 0)
        g_setenv("TMPDIR", "/dev/shm", FALSE);
    g_test_init(&argc, &argv, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(races); i++)
        g_test_add_data_func(races[i].path, &races[i], test_race);
    return g_test_run();
}
