/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
#include "tests/handler/lun-test.h"

#include <glib/gstdio.h>
#include <string.h>

#include "vhd/file.h"
#include "vhd/image-create.h"

static RunnerHandler *handler;
static char *folder;
static GPtrArray *paths;

void lun_test_init(int *argc, char ***argv)
{
    char *error = NULL;
    const char *path = g_getenv("VHD_HANDLER");

    g_test_init(argc, argv, NULL);
    if (!path)
        g_error("set VHD_HANDLER to the path of handler_vhd.so");
    runner_log_print_level(-1);
    runner_watchdog_start(60);
    folder = g_dir_make_tmp("vhd-handler-XXXXXX", NULL);
    g_assert_nonnull(folder);
    paths = g_ptr_array_new_with_free_func(g_free);
    handler = runner_load(path, &error);
    if (!handler)
        g_error("%s", error);
}

void lun_test_end(void)
{
    for (guint i = 0; i < paths->len; i++)
        g_remove(paths->pdata[i]);
    g_rmdir(folder);
    g_ptr_array_free(paths, TRUE);
    g_free(folder);
    runner_unload(handler);
}

RunnerHandler *lun_test_handler(void)
{
    return handler;
}

const char *lun_test_folder(void)
{
    return folder;
}

const char *lun_test_path(const char *name)
{
    char *path = g_build_filename(folder, name, NULL);

    g_ptr_array_add(paths, path);
    return path;
}

static void make(const char *path, const VhdCreate *create)
{
    g_autoptr(GError) error = NULL;
    VhdFile *file = vhd_file_create(path, 0644, &error);

    g_assert_no_error(error);
    vhd_image_create(file, create, &error);
    g_assert_no_error(error);
    vhd_file_publish(file, true, &error);
    g_assert_no_error(error);
    vhd_file_close(file);
}

/* Of an image, by its name and this process, so that a child knows its parent's, and a process that
 * died leaves no log of unflushed writes that seems to be of an image here. */
static void uuid_of(const char *path, uint8_t uuid[static VHD_UUID_BYTES])
{
    static guint32 process[VHD_UUID_BYTES / 4];
    g_autofree char *base = g_path_get_basename(path);

    while (process[0] == 0) {
        for (size_t i = 0; i < G_N_ELEMENTS(process); i++)
            process[i] = g_random_int();
    }
    memcpy(uuid, process, VHD_UUID_BYTES);
    for (size_t i = 0; base[i]; i++)
        uuid[i % VHD_UUID_BYTES] = (uint8_t)(uuid[i % VHD_UUID_BYTES] * 31 + base[i]);
}

const char *lun_test_image(const char *name, VhdType type, uint64_t bytes)
{
    const char *path = lun_test_path(name);
    uint8_t uuid[VHD_UUID_BYTES];
    VhdCreate create = {.type = type, .disk_bytes = bytes, .block_bytes = 65536, .uuid = uuid};

    uuid_of(path, uuid);
    make(path, &create);
    return path;
}

const char *lun_test_child(const char *name, const char *parent, uint64_t bytes)
{
    const char *path = lun_test_path(name);
    g_autofree char *base = g_path_get_basename(parent);
    g_autofree char *relative = g_strdup_printf("./%s", base);
    uint8_t uuid[VHD_UUID_BYTES];
    VhdCreate create = {
        .type = VHD_TYPE_DIFFERENCING,
        .disk_bytes = bytes,
        .block_bytes = 65536,
        .uuid = uuid,
        .parent_name = base,
        .parent_relative = relative,
        .parent_absolute = parent,
    };

    uuid_of(path, uuid);
    uuid_of(parent, create.parent_uuid);
    make(path, &create);
    return path;
}

RunnerDevice *lun_test_open(const char *path, const char *options, uint64_t bytes)
{
    g_autofree char *text = g_strdup_printf("vhd/%s%s", path, options);
    RunnerDeviceConfig config = {.cfgstring = text, .size = bytes};
    char *error = NULL;
    RunnerDevice *device = runner_device_new(handler, &config, &error);

    if (!device)
        g_error("%s: %s", text, error);
    runner_clear_attention(device);
    return device;
}

void lun_test_close(RunnerDevice *device)
{
    RunnerStats stats;

    runner_device_remove(device, RUNNER_REMOVE_DRAINED);
    stats = runner_device_stats(device);
    g_assert_cmpuint(stats.accepted, ==, stats.replied);
    runner_device_free(device);
}

void lun_test_execute(RunnerDevice *device, const uint8_t *cdb, void *data, size_t bytes,
                      uint32_t sense, const char *where)
{
    struct iovec iov = {data, bytes};
    RunnerReply reply = runner_execute(device, cdb, &iov, bytes > 0 ? 1 : 0);
    char text[RUNNER_CDB_TEXT];

    if (reply.status != (sense ? RUNNER_CHECK_CONDITION : RUNNER_GOOD) ||
        (sense && runner_reply_sense(&reply) != sense))
        g_error("%s: %s: status %02x, sense %06x in place of %06x", where,
                runner_cdb_text(cdb, text), reply.status, runner_reply_sense(&reply), sense);
}

/* Never 0; no power of two is a period. */
static uint8_t fill_byte(uint8_t seed, uint64_t sector, size_t at)
{
    return (uint8_t)(seed + sector * 7 + sector / 61 + at % 13) | 1;
}

void lun_test_fill(uint8_t *data, uint64_t lba, uint32_t blocks, uint8_t seed)
{
    memset(data, 0, (size_t)blocks * LUN_TEST_BLOCK);
    for (size_t i = 0; seed && i < (size_t)blocks * LUN_TEST_BLOCK; i++)
        data[i] = fill_byte(seed, lba + i / LUN_TEST_BLOCK, i % LUN_TEST_BLOCK);
}

void lun_test_write(RunnerDevice *device, uint64_t lba, uint32_t blocks, uint8_t seed)
{
    g_autofree uint8_t *data = g_malloc((gsize)blocks * LUN_TEST_BLOCK);
    RunnerReply reply;

    lun_test_fill(data, lba, blocks, seed);
    reply = runner_write(device, lba, blocks, data);
    g_assert_cmpuint(reply.status, ==, RUNNER_GOOD);
}

void lun_test_expect_at(RunnerDevice *device, uint64_t lba, uint32_t blocks, uint8_t seed,
                        const char *where)
{
    g_autofree uint8_t *expected = g_malloc((gsize)blocks * LUN_TEST_BLOCK);
    g_autofree uint8_t *seen = g_malloc0((gsize)blocks * LUN_TEST_BLOCK);
    RunnerReply reply = runner_read(device, lba, blocks, seen);

    lun_test_fill(expected, lba, blocks, seed);
    if (reply.status != RUNNER_GOOD)
        g_error("%s: status %02x, sense %06x", where, reply.status, runner_reply_sense(&reply));
    for (size_t i = 0; i < (size_t)blocks * LUN_TEST_BLOCK; i++) {
        if (seen[i] != expected[i])
            g_error("%s: sector %" G_GUINT64_FORMAT ": %02x in place of %02x", where,
                    lba + i / LUN_TEST_BLOCK, seen[i], expected[i]);
    }
}
