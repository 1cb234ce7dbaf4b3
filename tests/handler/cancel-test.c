/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * The host cancels its threads at removal, whatever they are doing: no callback may die. Each is
 * called in a thread that has been cancelled already, so that the first cancellation point where
 * that is allowed would end it; the host's symbols are cancellation points here.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "tests/handler/lun-test.h"

enum { DISK_BYTES = 4 * 1024 * 1024 };

static const char *unused; /* an image */
static RunnerDevice *device;

typedef struct Call {
    void (*run)(const struct tcmur_handler *ops);
    bool came_back, stayed_on;
    bool ready;
} Call;

static void *cancelled_thread(void *arg)
{
    Call *call = arg;
    int state;

    /* Not to be cancelled before the call: it is pending when this is over. */
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
    pthread_cancel(pthread_self());
    pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
    call->run(runner_handler_ops(lun_test_handler()));
    call->came_back = true;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
    call->stayed_on = state == PTHREAD_CANCEL_ENABLE;
    return NULL;
}

/* Run a callback in a thread with a cancellation pending. */
static void in_cancelled_thread(void (*run)(const struct tcmur_handler *ops))
{
    Call call = {.run = run};
    pthread_t thread;

    g_assert_cmpint(pthread_create(&thread, NULL, cancelled_thread, &call), ==, 0);
    pthread_join(thread, NULL);
    g_assert_true(call.came_back);
    g_assert_true(call.stayed_on);
}

static void run_check_config(const struct tcmur_handler *ops)
{
    g_autofree char *text = g_strdup_printf("vhd/%s", unused);
    char *reason = NULL;

    g_assert_true(ops->check_config(text, &reason));
    g_assert_false(ops->check_config("vhd//nowhere", &reason)); /* opens and logs */
    free(reason);
}

static void run_reconfig(const struct tcmur_handler *ops)
{
    struct tcmulib_cfg_info size = {.type = TCMULIB_CFG_DEV_SIZE, .data.dev_size = 512};

    g_assert_cmpint(ops->reconfig(device, &size), ==, 0); /* logs */
}

static void run_close_open(const struct tcmur_handler *ops)
{
    ops->close(device); /* writes and flushes */
    g_assert_cmpint(ops->open(device, true), ==, 0);
}

static void test_main_thread(void)
{
    in_cancelled_thread(run_check_config);
    in_cancelled_thread(run_reconfig);
    in_cancelled_thread(run_close_open);
}

/* The handler's calls of pthread_setcancelstate come here: it is the executable's. */
static __thread int disabled, restored;

__attribute__((visibility("default"))) int pthread_setcancelstate(int state, int *old)
{
    static int (*real)(int, int *);

    if (!real)
        real = (int (*)(int, int *))dlsym(RTLD_NEXT, "pthread_setcancelstate");
    disabled += state == PTHREAD_CANCEL_DISABLE;
    restored += state == PTHREAD_CANCEL_ENABLE;
    return real(state, old);
}

/* A command as the host gives it, never to be completed: callbacks are refused before. */
typedef struct Sample {
    struct tcmulib_cmd lib;
    struct tcmur_cmd cmd;
    uint8_t cdb[16];
} Sample;

static void expect_guarded(const char *name, int before)
{
    if (disabled != before + 1 || restored != disabled)
        g_error("%s: cancellation was switched off %d and on %d times", name, disabled - before,
                restored - before);
}

/* handle_cmd and the rest touch nothing that could block, now: so it is counted. */
static void run_command_callbacks(const struct tcmur_handler *ops)
{
    Sample sample = {.lib = {.cdb = sample.cdb, .hm_private = &sample.cmd},
                     .cmd = {.lib_cmd = &sample.lib}};
    int before = restored = disabled;

    sample.cdb[0] = 0x12;
    ops->handle_cmd(device, &sample.cmd);
    expect_guarded("handle_cmd", before++);
    /* A read of nothing and without a mark is refused. */
    g_assert_cmpint(ops->read(device, &sample.cmd, NULL, 0, 0, 0), ==, TCMU_STS_HW_ERR);
    expect_guarded("read", before++);
    g_assert_cmpint(ops->write(device, &sample.cmd, NULL, SIZE_MAX, 0, 0), ==, TCMU_STS_HW_ERR);
    expect_guarded("write", before++);
}

static void test_command_thread(void)
{
    in_cancelled_thread(run_command_callbacks);
}

int main(int argc, char **argv)
{
    int result;

    lun_test_init(&argc, &argv);
    unused = lun_test_image("unused.vhd", VHD_TYPE_DYNAMIC, DISK_BYTES);
    device =
        lun_test_open(lun_test_image("disk.vhd", VHD_TYPE_DYNAMIC, DISK_BYTES), "", DISK_BYTES);
    lun_test_write(device, 0, 256, 1);
    g_test_add_func("/cancel/main-thread", test_main_thread);
    g_test_add_func("/cancel/command-thread", test_command_thread);
    result = g_test_run();
    lun_test_expect(device, 0, 256, 1);
    lun_test_close(device);
    lun_test_end();
    return result;
}
