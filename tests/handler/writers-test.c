/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * Two who want one image: two LUNs of one host, two hosts, the handler and vhdctl, a child and who
 * writes its parent. The second is refused, the log names file and holder; readers share; a holder
 * that is killed holds nothing.
 *
 * writers-test --hold CFGSTRING is the other host: it serves that until its input ends.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/handler/lun-test.h"

enum { DISK_BYTES = 4 * 1024 * 1024 };

#define IN_USE "in use by " /* who it is, is found out for so long only; see lock-test.c */

static const char *self_path;

static RunnerDevice *try_open(const char *path, const char *options)
{
    g_autofree char *text = g_strdup_printf("vhd/%s%s", path, options);
    RunnerDeviceConfig config = {.cfgstring = text, .size = DISK_BYTES};
    char *error = NULL;
    RunnerDevice *device = runner_device_new(lun_test_handler(), &config, &error);

    g_assert_true(device ? !error : error != NULL);
    free(error);
    return device;
}

/* The log has "FILE: WHAT". */
static void expect_refused(const char *path, const char *options, const char *file,
                           const char *what)
{
    g_autofree char *line = g_strdup_printf("%s: %s", file, what);

    g_assert_null(try_open(path, options));
    if (!runner_log_contains(line))
        g_error("the log does not say \"%s\"", line);
}

/* A process that has something open until it is let go. */
typedef struct Other {
    GPid pid;
    int input, output;
} Other;

static Other other_start(const char *program, const char *argument, const char *operand)
{
    char *argv[] = {(char *)(uintptr_t)program, (char *)(uintptr_t)argument,
                    (char *)(uintptr_t)operand, NULL};
    g_autoptr(GError) error = NULL;
    Other other;

    g_spawn_async_with_pipes(NULL, argv, NULL, G_SPAWN_DO_NOT_REAP_CHILD, NULL, NULL, &other.pid,
                             &other.input, &other.output, NULL, &error);
    g_assert_no_error(error);
    return other;
}

static Other other_host(const char *path)
{
    g_autofree char *text = g_strdup_printf("vhd/%s", path);
    Other other = other_start(self_path, "--hold", text);
    char ready = 0;

    while (ready != '+') /* behind what GLib's tests say */
        g_assert_cmpint(read(other.output, &ready, 1), ==, 1);
    return other;
}

static void other_end(Other *other, int signal)
{
    if (signal)
        kill(other->pid, signal);
    close(other->input);
    g_assert_cmpint(waitpid(other->pid, NULL, 0), ==, other->pid);
    close(other->output);
}

/* vhdctl VERB PATH with no input; its exit status, and what it says. */
static int vhdctl(const char *verb, const char *path, char **said)
{
    const char *program = g_getenv("VHDCTL");
    char *argv[] = {(char *)(uintptr_t)program, (char *)(uintptr_t)verb, (char *)(uintptr_t)path,
                    NULL};
    int status;

    g_assert_nonnull(program);
    g_assert_true(g_spawn_sync(NULL, argv, NULL, G_SPAWN_STDOUT_TO_DEV_NULL, NULL, NULL, NULL, said,
                               &status, NULL));
    return g_spawn_check_wait_status(status, NULL) ? 0 : 1;
}

static void expect_vhdctl_refused(const char *verb, const char *path, const char *file)
{
    g_autofree char *said = NULL, *begin = g_strdup_printf("vhdctl: %s: in use by ", file);

    g_assert_cmpint(vhdctl(verb, path, &said), ==, 1);
    if (!g_str_has_prefix(said, begin))
        g_error("\"%s\" does not begin with \"%s\"", said, begin);
}

static void expect_vhdctl(const char *verb, const char *path)
{
    g_autofree char *said = NULL;

    if (vhdctl(verb, path, &said) != 0)
        g_error("%s", said);
}

/* Cases */

static void test_one_host(void)
{
    const char *image = lun_test_image("one.vhd", VHD_TYPE_DYNAMIC, DISK_BYTES);
    RunnerDevice *device = lun_test_open(image, "", DISK_BYTES);

    expect_refused(image, "", image, IN_USE);
    expect_refused(image, ";ro", image, IN_USE);
    lun_test_write(device, 0, 8, 1);
    lun_test_close(device);

    device = lun_test_open(image, ";ro", DISK_BYTES);
    RunnerDevice *beside = lun_test_open(image, ";ro", DISK_BYTES);
    lun_test_expect(beside, 0, 8, 1);
    expect_refused(image, "", image, IN_USE);
    lun_test_close(beside);
    lun_test_close(device);
}

static void test_two_hosts(void)
{
    const char *image = lun_test_image("two.vhd", VHD_TYPE_DYNAMIC, DISK_BYTES);
    Other other = other_host(image);

    expect_refused(image, "", image, IN_USE);
    other_end(&other, 0);
    lun_test_close(lun_test_open(image, "", DISK_BYTES));

    other = other_host(image);
    g_assert_null(try_open(image, ""));
    other_end(&other, SIGKILL); /* its locks are gone with it */
    lun_test_close(lun_test_open(image, "", DISK_BYTES));
}

static void test_vhdctl(void)
{
    const char *image = lun_test_image("ctl.vhd", VHD_TYPE_DYNAMIC, DISK_BYTES);
    RunnerDevice *device = lun_test_open(image, "", DISK_BYTES);
    Other other;

    expect_vhdctl_refused("write", image, image);
    expect_vhdctl_refused("read", image, image);
    expect_vhdctl_refused("check", image, image);
    lun_test_write(device, 0, 8, 1);
    lun_test_close(device);
    expect_vhdctl("read", image);

    other = other_start(g_getenv("VHDCTL"), "write", image);
    while (vhdctl("info", image, NULL) == 0) /* until it is open */
        continue;
    expect_refused(image, "", image, IN_USE);
    other_end(&other, 0);
    lun_test_close(lun_test_open(image, "", DISK_BYTES));
}

/* Children keep writers off what they stand on, and are no trouble to each other. */
static void test_parent(void)
{
    const char *golden = lun_test_image("golden.vhd", VHD_TYPE_DYNAMIC, DISK_BYTES);
    const char *one = lun_test_child("child-1.vhd", golden, DISK_BYTES);
    const char *two = lun_test_child("child-2.vhd", golden, DISK_BYTES);
    RunnerDevice *device = lun_test_open(golden, "", DISK_BYTES), *beside;

    lun_test_write(device, 0, 8, 1);
    expect_refused(one, "", golden, IN_USE);
    lun_test_close(device);

    device = lun_test_open(one, "", DISK_BYTES);
    beside = lun_test_open(two, "", DISK_BYTES);
    lun_test_write(device, 0, 4, 2);
    lun_test_write(beside, 4, 4, 3);
    lun_test_expect(device, 4, 4, 1);
    lun_test_expect(beside, 0, 4, 1);
    expect_refused(golden, "", golden, IN_USE);
    expect_vhdctl_refused("write", golden, golden);
    expect_vhdctl("read", golden);
    lun_test_close(beside);
    lun_test_close(device);
    lun_test_close(lun_test_open(golden, "", DISK_BYTES));
}

static void test_protected(void)
{
    const char *golden = lun_test_image("protected.vhd", VHD_TYPE_DYNAMIC, DISK_BYTES);

    g_assert_cmpint(chmod(golden, 0444), ==, 0);
    expect_refused(golden, "", golden, "has no write permission, it may be the parent of others");
    lun_test_close(lun_test_open(golden, ";ro", DISK_BYTES));
    if (access(golden, W_OK) == 0) /* root is not stopped by the mode */
        lun_test_close(lun_test_open(golden, ";force-write", DISK_BYTES));
}

/* Who asks for no locks takes none and asks for none. */
static void test_lock_off(void)
{
    const char *image = lun_test_image("off.vhd", VHD_TYPE_DYNAMIC, DISK_BYTES);
    Other other = other_host(image);
    RunnerDevice *device = try_open(image, ";lock=off;ro");

    g_assert_nonnull(device);
    g_assert_true(runner_log_contains("lock=off"));
    other_end(&other, 0);
    expect_vhdctl("write", image); /* nobody keeps it off */
    runner_clear_attention(device);
    lun_test_close(device);
}

/* Serve text until the input ends. */
static int hold(const char *text)
{
    RunnerDeviceConfig config = {.cfgstring = text, .size = DISK_BYTES};
    char *error = NULL, end;
    RunnerDevice *device = runner_device_new(lun_test_handler(), &config, &error);

    if (!device)
        g_error("%s: %s", text, error);
    rmdir(lun_test_folder()); /* not needed here, and this process may be killed */
    if (write(STDOUT_FILENO, "+", 1) == 1 && read(STDIN_FILENO, &end, 1) == 0)
        lun_test_close(device);
    return 0;
}

int main(int argc, char **argv)
{
    int result;

    self_path = "/proc/self/exe";
    lun_test_init(&argc, &argv);
    if (argc == 3 && strcmp(argv[1], "--hold") == 0)
        result = hold(argv[2]);
    else {
        g_test_add_func("/writers/one-host", test_one_host);
        g_test_add_func("/writers/two-hosts", test_two_hosts);
        g_test_add_func("/writers/vhdctl", test_vhdctl);
        g_test_add_func("/writers/parent", test_parent);
        g_test_add_func("/writers/protected", test_protected);
        g_test_add_func("/writers/lock-off", test_lock_off);
        result = g_test_run();
    }
    lun_test_end();
    return result;
}
