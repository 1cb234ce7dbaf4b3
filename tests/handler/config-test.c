/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* check_config: what targetcli shows, and what any local user can learn. */
#include <glib/gstdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/handler/lun-test.h"

enum { MIB = 1024 * 1024, DISK_BYTES = 4 * MIB };

/* The reason, or NULL; malloc'ed. */
static char *check(const char *text)
{
    const struct tcmur_handler *ops = runner_handler_ops(lun_test_handler());
    char *reason = NULL;
    bool good = ops->check_config(text, &reason);

    g_assert_true(good == !reason);
    return reason;
}

static char *check_path(const char *path, const char *options)
{
    g_autofree char *text = g_strdup_printf("vhd/%s%s", path, options);

    return check(text);
}

#define expect_reason(reason, part)                                                                \
    do {                                                                                           \
        char *text_ = reason;                                                                      \
        if (!text_ || !strstr(text_, part))                                                        \
            g_error("%s: \"%s\" lacks \"%s\"", G_STRLOC, text_ ? text_ : "(good)", part);          \
        if (strchr(text_, '\n'))                                                                   \
            g_error("%s: more than one line", G_STRLOC);                                           \
        free(text_);                                                                               \
    } while (0)

static void test_good(void)
{
    const char *image = lun_test_image("good.vhd", VHD_TYPE_DYNAMIC, DISK_BYTES);

    g_assert_null(check_path(image, ""));
    g_assert_null(check_path(image, ";ro;cache=writethrough;tcmur_cmd_time_out=30"));
}

static void test_text(void)
{
    expect_reason(
        check("vhd/disk.vhd"),
        "the path \"disk.vhd\" is not absolute: write a path that begins with a slash, for example "
        "/srv/disk.vhd");
    expect_reason(check("vhd//x;nonsense=1"), "unknown option \"nonsense\"");
    expect_reason(check("vhd//x;cache=sometimes"),
                  "cache=sometimes: write cache=writeback or cache=writethrough");
    expect_reason(check("vhd//\xff"), "\xef\xbf\xbd"); /* valid UTF-8 for D-Bus */
}

/* One sentence for all three: it must not tell who has which files. */
static void test_missing_and_not_a_vhd(void)
{
    const char *missing = lun_test_path("missing.vhd"), *noise = lun_test_path("noise.vhd");
    char *reasons[2];

    g_assert_true(g_file_set_contents(noise, "noise", 5, NULL));
    reasons[0] = check_path(missing, "");
    g_assert_true(runner_log_contains("No such file")); /* who may read the log learns it */
    reasons[1] = check_path(noise, "");
    for (int i = 0; i < 2; i++) {
        g_assert_nonnull(reasons[i]);
        g_assert_nonnull(strstr(reasons[i], "missing"));
        g_assert_nonnull(strstr(reasons[i], "VHD"));
    }
    g_assert_cmpstr(strstr(reasons[0], "missing.vhd") + strlen("missing.vhd"), ==,
                    strstr(reasons[1], "noise.vhd") + strlen("noise.vhd"));
    free(reasons[0]);
    free(reasons[1]);
}

/* A FIFO that nobody writes must not stop the daemon's main loop: the watchdog of ctest. */
static void test_fifo_does_not_block(void)
{
    const char *fifo = lun_test_path("fifo.vhd");

    g_assert_cmpint(mkfifo(fifo, 0600), ==, 0);
    expect_reason(check_path(fifo, ""), "VHD");
}

static void test_parent_is_missing(void)
{
    const char *parent = lun_test_image("gone.vhd", VHD_TYPE_DYNAMIC, DISK_BYTES);
    const char *child = lun_test_child("orphan.vhd", parent, DISK_BYTES);

    g_assert_null(check_path(child, ""));
    g_assert_cmpint(g_remove(parent), ==, 0);
    expect_reason(check_path(child, ""), "parents=");
}

/* A parent elsewhere counts only where parents= names its folder. */
static void test_parent_outside(void)
{
    const char *golden = lun_test_path("golden");
    g_autofree char *moved = g_build_filename(golden, "root.vhd", NULL);
    g_autofree char *allowed = g_strdup_printf(";parents=%s", golden);
    const char *parent = lun_test_image("root.vhd", VHD_TYPE_DYNAMIC, DISK_BYTES);
    const char *child, *apart = lun_test_path("apart");
    g_autofree char *inside = g_build_filename(apart, "leaf.vhd", NULL);

    g_assert_cmpint(g_mkdir(golden, 0755), ==, 0);
    g_assert_cmpint(g_mkdir(apart, 0755), ==, 0);
    child = lun_test_child("leaf.vhd", parent, DISK_BYTES);
    g_assert_cmpint(g_rename(parent, moved), ==, 0);
    g_assert_cmpint(g_rename(child, inside), ==, 0);
    expect_reason(check_path(inside, ""), "parents=");
    g_assert_null(check_path(inside, allowed));
    lun_test_close(lun_test_open(inside, allowed, DISK_BYTES));
    g_remove(moved);
    g_remove(inside);
}

/* A user who asks without end does not fill the log. */
static void test_log_is_bounded(void)
{
    for (int i = 0; i < 50; i++) {
        g_autofree char *text = g_strdup_printf("vhd//nowhere/flood-%d.vhd", i);

        free(check(text));
    }
    g_assert_false(runner_log_contains("flood-49"));
}

int main(int argc, char **argv)
{
    int result;

    lun_test_init(&argc, &argv);
    g_test_add_func("/config/good", test_good);
    g_test_add_func("/config/text", test_text);
    g_test_add_func("/config/missing-and-not-a-vhd", test_missing_and_not_a_vhd);
    g_test_add_func("/config/fifo-does-not-block", test_fifo_does_not_block);
    g_test_add_func("/config/parent-is-missing", test_parent_is_missing);
    g_test_add_func("/config/parent-outside", test_parent_outside);
    g_test_add_func("/config/log-is-bounded", test_log_is_bounded);
    result = g_test_run();
    lun_test_end();
    return result;
}
