/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
#include "tests/unit/chain-sample.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

char *sample_folder_new(void)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *folder = g_dir_make_tmp("chain-XXXXXX", &error);
    char *real;

    g_assert_no_error(error);
    real = realpath(folder, NULL);
    g_assert_nonnull(real);
    return real;
}

static void remove_all(const char *folder)
{
    GDir *dir = g_dir_open(folder, 0, NULL);
    const char *name;

    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *path = g_build_filename(folder, name, NULL);

        if (g_file_test(path, G_FILE_TEST_IS_DIR) && !g_file_test(path, G_FILE_TEST_IS_SYMLINK))
            remove_all(path);
        else
            g_unlink(path);
    }
    if (dir)
        g_dir_close(dir);
    g_rmdir(folder);
}

void sample_folder_free(char *folder)
{
    remove_all(folder);
    free(folder);
}

static char *path_in(const char *folder, const char *name)
{
    char *path = g_build_filename(folder, name, NULL);
    g_autofree char *parent = g_path_get_dirname(path);

    g_assert_cmpint(g_mkdir_with_parents(parent, 0700), ==, 0);
    return path;
}

char *sample_make(const char *folder, const char *name, const Sample *sample)
{
    g_autoptr(GError) error = NULL;
    char *path = path_in(folder, name);
    bool child = sample->parent || sample->raw_parent;
    uint8_t uuid[VHD_UUID_BYTES];
    VhdCreate create = {
        .type = child          ? VHD_TYPE_DIFFERENCING
                : sample->type ? sample->type
                               : VHD_TYPE_DYNAMIC,
        .disk_bytes = sample->bytes ? sample->bytes : SAMPLE_BYTES,
        .block_bytes = sample->block_bytes ? sample->block_bytes : 65536,
        .uuid = uuid,
        .parent_time_stamp = sample->stamp,
        .parent_name = sample->name ? sample->name : "none.vhd",
        .parent_relative = sample->relative ? sample->relative : "nowhere/none.vhd",
        .parent_absolute = sample->absolute ? sample->absolute : "/nowhere/none.vhd",
    };
    VhdFile *file;

    memset(uuid, sample->uuid, sizeof uuid);
    memset(create.parent_uuid, sample->parent, sizeof create.parent_uuid);
    g_unlink(path);
    file = vhd_file_create(path, 0644, &error);
    g_assert_no_error(error);
    vhd_image_create(file, &create, &error);
    g_assert_no_error(error);
    vhd_file_publish(file, false, &error);
    g_assert_no_error(error);
    vhd_file_close(file);
    return path;
}

char *sample_raw(const char *folder, const char *name, size_t bytes, uint8_t value)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *content = g_malloc(bytes);
    char *path = path_in(folder, name);

    memset(content, value, bytes);
    g_file_set_contents(path, content, (gssize)bytes, &error);
    g_assert_no_error(error);
    return path;
}

char *sample_chain(const char *folder, const char *name, unsigned depth)
{
    char *path = NULL;

    for (unsigned i = depth; i-- > 0;) {
        g_autofree char *own = g_strdup_printf("%s-%u.vhd", name, i);
        g_autofree char *below = g_strdup_printf("%s-%u.vhd", name, i + 1);
        Sample sample = {.uuid = (uint8_t)(i + 1), .relative = below};

        if (i + 1 < depth)
            sample.parent = (uint8_t)(i + 2);
        g_free(path);
        path = sample_make(folder, own, &sample);
    }
    return path;
}

void sample_poke(const char *path, int64_t off, int whence, uint8_t value)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);

    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(lseek(fd, off, whence), >=, 0);
    g_assert_cmpint(write(fd, &value, 1), ==, 1);
    close(fd);
}

void sample_log(void *data, int level, const char *text)
{
    g_string_append_printf(data, "%d %s\n", level, text);
}
