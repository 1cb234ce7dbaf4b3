/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * Tests of the runner: each case drives a handler in a process of its own.  A
 * right handler must pass; for a wrong one the process must abort with the text
 * that the case expects.
 *
 *   runner-selftest HANDLER0 HANDLER2 [CASE]    (nr_threads 0 and 2)
 */
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <glib.h>

#include "runner.h"

enum { BLOCK = 512, DISK = 8 * 1024 * 1024 };
enum { WATCHDOG_SECONDS = 3 };

static RunnerHandler *handler;
static const char *handler_path;
static unsigned linger_ms; /* of the next device; 0 = default */

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "selftest.c:%d: not so: %s\n", __LINE__, #condition);                  \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

static RunnerDevice *device_new(const char *mode)
{
    char cfgstring[64], *error;
    RunnerDeviceConfig config = {.cfgstring = cfgstring, .size = DISK, .linger_ms = linger_ms};
    RunnerDevice *device;

    snprintf(cfgstring, sizeof cfgstring, "selftest/%s", mode);
    device = runner_device_new(handler, &config, &error);
    CHECK(device);
    return device;
}

static void device_end(RunnerDevice *device, enum RunnerRemoval removal)
{
    RunnerStats stats;

    runner_device_remove(device, removal);
    stats = runner_device_stats(device);
    CHECK(stats.accepted == stats.replied);
    runner_device_free(device);
}

static void ignore_reply(void *arg, const RunnerReply *reply)
{
    (void)arg;
    (void)reply;
}

/* Submits a READ(10) of one block and does not wait. */
static void submit_read(RunnerDevice *device)
{
    static uint8_t data[BLOCK];
    const struct iovec vector = {.iov_base = data, .iov_len = sizeof data};
    uint8_t cdb[RUNNER_CDB_ROOM];

    runner_cdb_read10(cdb, 7, 1, 0);
    CHECK(runner_submit(device, cdb, &vector, 1, ignore_reply, NULL) == 0);
}

/* ---- cases: each gets its mode ---- */

static void everything(const char *mode)
{
    static uint8_t out[5 * 1024 * 1024], in[sizeof out], block[BLOCK], zeros[sizeof out];
    RunnerDevice *device = device_new(mode);
    uint32_t blocks = sizeof out / BLOCK;
    RunnerReply reply;

    for (size_t i = 0; i < sizeof out; i++)
        out[i] = (uint8_t)(i * 31 + i / BLOCK);
    memcpy(block, out + 100, BLOCK);
    CHECK(runner_write(device, 3, blocks, out).status == RUNNER_GOOD);
    CHECK(runner_read(device, 3, blocks, in).status == RUNNER_GOOD);
    CHECK(memcmp(in, out, sizeof out) == 0);
    CHECK(runner_sync(device).status == RUNNER_GOOD);

    CHECK(runner_write_same(device, 3, blocks, block, false).status == RUNNER_GOOD);
    CHECK(runner_read(device, 3, blocks, in).status == RUNNER_GOOD);
    for (uint32_t b = 0; b < blocks; b++)
        CHECK(memcmp(in + (size_t)b * BLOCK, block, BLOCK) == 0);
    CHECK(runner_unmap(device, 5, blocks - 2).status == RUNNER_GOOD);
    CHECK(runner_write_same(device, 3, 2, zeros, true).status == RUNNER_GOOD);
    CHECK(runner_read(device, 3, blocks, in).status == RUNNER_GOOD);
    CHECK(memcmp(in, zeros, sizeof in) == 0);

    reply = runner_read(device, DISK / BLOCK - 1, 2, in);
    CHECK(runner_reply_sense(&reply) == 0x052100);
    device_end(device, RUNNER_REMOVE_DRAINED);
}

static void compare_and_write(const char *mode)
{
    RunnerDevice *device = device_new(mode);
    uint8_t cdb[RUNNER_CDB_ROOM], data[2 * BLOCK], in[BLOCK];
    const struct iovec vector = {.iov_base = data, .iov_len = sizeof data};
    RunnerReply reply;

    memset(data, 0, BLOCK); /* expected */
    memset(data + BLOCK, 0xc3, BLOCK);
    runner_cdb_caw(cdb, 9, 1);
    CHECK(runner_execute(device, cdb, &vector, 1).status == RUNNER_GOOD);
    CHECK(runner_read(device, 9, 1, in).status == RUNNER_GOOD);
    CHECK(memcmp(in, data + BLOCK, BLOCK) == 0);
    reply = runner_execute(device, cdb, &vector, 1);
    CHECK(runner_reply_sense(&reply) == 0x0e1d00);

    runner_cdb_write_verify16(cdb, 20, 2);
    CHECK(runner_execute(device, cdb, &vector, 1).status == RUNNER_GOOD);
    CHECK(runner_read(device, 21, 1, in).status == RUNNER_GOOD);
    CHECK(memcmp(in, data + BLOCK, BLOCK) == 0);
    device_end(device, RUNNER_REMOVE_DRAINED);
}

/* Completions of a chain that runs inline nest on one stack. */
static void inline_depth(const char *mode)
{
    static uint8_t block[BLOCK];
    RunnerDevice *device = device_new(mode);

    CHECK(runner_write_same(device, 0, 4 * 2048, block, false).status == RUNNER_GOOD);
    CHECK(runner_device_stats(device).max_depth == 4);
    device_end(device, RUNNER_REMOVE_DRAINED);
}

static void at_once(const char *mode)
{
    RunnerDevice *device = device_new(mode);

    for (int i = 0; i < 200; i++)
        submit_read(device);
    device_end(device, RUNNER_REMOVE_AT_ONCE);
}

static void refused_config(const char *mode)
{
    RunnerDeviceConfig config = {.cfgstring = "selftest/refused", .size = DISK};
    char *error;

    (void)mode;
    CHECK(runner_device_new(handler, &config, &error) == NULL);
    CHECK(strcmp(error, "check_config: refused as asked") == 0);
    g_free(error);
    config.cfgstring = "other/x";
    CHECK(runner_device_new(handler, &config, &error) == NULL);
    g_free(error);
}

/* A size set in open: the first command gets a unit attention. */
static void attention(const char *mode)
{
    RunnerDevice *device = device_new(mode);
    RunnerReply reply = runner_sync(device);

    CHECK(runner_reply_sense(&reply) == 0x062a09);
    CHECK(runner_sync(device).status == RUNNER_GOOD);
    device_end(device, RUNNER_REMOVE_DRAINED);
}

/* The host's own fault, kept: an error of a queued unmap is lost. */
static void unmap_error(const char *mode)
{
    RunnerDevice *device = device_new(mode);

    CHECK(runner_unmap(device, 0, 64).status == RUNNER_GOOD);
    device_end(device, RUNNER_REMOVE_DRAINED);
}

/* An error returned from a callback that queues nothing. */
static void refuse(const char *mode)
{
    RunnerDevice *device = device_new(mode);
    RunnerReply reply = runner_sync(device);

    CHECK(runner_reply_sense(&reply) == 0x031100);
    device_end(device, RUNNER_REMOVE_DRAINED);
}

/* Behind a CDB of 10 bytes the tcmur_cmd is at an odd address, as in the host. */
static void odd_address(const char *mode)
{
    RunnerDevice *device = device_new(mode);
    uint8_t cdb[RUNNER_CDB_ROOM], data[BLOCK];
    const struct iovec vector = {.iov_base = data, .iov_len = sizeof data};

    runner_cdb_read10(cdb, 0, 1, 0);
#ifdef RUNNER_ALIGN_COMMANDS
    CHECK(runner_execute(device, cdb, &vector, 1).status == RUNNER_GOOD);
#else
    CHECK(runner_execute(device, cdb, &vector, 1).status == RUNNER_BUSY);
#endif
    device_end(device, RUNNER_REMOVE_DRAINED);
}

static void after_shutdown(const char *mode)
{
    RunnerDevice *device = device_new(mode);
    uint8_t cdb[RUNNER_CDB_ROOM] = {0xc0};

    CHECK(runner_submit(device, cdb, NULL, 0, ignore_reply, NULL) == -ENOTSUP);
    runner_device_remove(device, RUNNER_REMOVE_DRAINED);
    runner_cdb_sync16(cdb);
    CHECK(runner_submit(device, cdb, NULL, 0, ignore_reply, NULL) == -ESHUTDOWN);
    runner_device_free(device);
}

/* One read, then removal: enough for most mistakes. */
static void read_and_remove(const char *mode)
{
    RunnerDevice *device = device_new(mode);

    submit_read(device);
    device_end(device, RUNNER_REMOVE_DRAINED);
}

/* Calls a function that the test handler exports for tests. */
static void call_handler(const char *name)
{
    void *object = dlopen(handler_path, RTLD_NOW | RTLD_NOLOAD);
    void (*function)(void);

    CHECK(object);
    *(void **)&function = dlsym(object, name);
    CHECK(function);
    function();
    dlclose(object);
}

/* A read that hangs in a callback, then removal that cancels. */
static void read_and_cancel(const char *mode)
{
    RunnerDevice *device = device_new(mode);

    submit_read(device);
    call_handler("selftest_wait_stuck");
    device_end(device, RUNNER_REMOVE_AT_ONCE);
}

static void complete_after_removal(const char *mode)
{
    RunnerDevice *device = device_new(mode);

    submit_read(device);
    runner_device_remove(device, RUNNER_REMOVE_DRAINED);
    call_handler("selftest_complete_last");
    runner_device_free(device);
}

static void write_same_unmap(const char *mode)
{
    uint8_t block[BLOCK] = {0};
    RunnerDevice *device = device_new(mode);

    runner_write_same(device, 0, 8, block, true);
    device_end(device, RUNNER_REMOVE_DRAINED);
}

static void *remove_at_once(void *device)
{
    runner_device_remove(device, RUNNER_REMOVE_AT_ONCE);
    return NULL;
}

/*
 * Reads are in the handler's hands when removal begins, and are completed then:
 * close has to wait for the thread that is still inside the last completion.
 */
static void close_during_completion(const char *mode)
{
    uint8_t cdb[RUNNER_CDB_ROOM] = {0}; /* TEST UNIT READY, which the host answers */
    RunnerDevice *device = device_new(mode);
    pthread_t remover;

    for (int i = 0; i < 20; i++)
        submit_read(device);
    runner_execute(device, cdb, NULL, 0); /* behind the reads: they are with the handler */
    CHECK(pthread_create(&remover, NULL, remove_at_once, device) == 0);
    while (runner_submit(device, cdb, NULL, 0, ignore_reply, NULL) != -ESHUTDOWN)
        sched_yield();
    call_handler("selftest_release");
    pthread_join(remover, NULL);
    runner_device_free(device);
}

static void close_early(const char *mode)
{
    linger_ms = 60000; /* ends with close */
    close_during_completion(mode);
}

typedef struct Case {
    const char *name;
    int threads;
    const char *mode;
    void (*run)(const char *mode);
    const char *expected; /* in the message of an abort; NULL: must pass */
} Case;

static const Case cases[] = {
    {"everything", 0, "good", everything, NULL},
    {"everything-workers", 2, "good", everything, NULL},
    {"everything-inline", 0, "inline", everything, NULL},
    {"everything-split", 0, "split", everything, NULL},
    {"everything-split-workers", 2, "split", everything, NULL},
    {"compare-and-write", 0, "good", compare_and_write, NULL},
    {"compare-and-write-inline", 0, "inline", compare_and_write, NULL},
    {"compare-and-write-workers", 2, "good", compare_and_write, NULL},
    {"inline-depth", 0, "inline", inline_depth, NULL},
    {"at-once", 0, "good", at_once, NULL},
    {"at-once-workers", 2, "good", at_once, NULL},
    {"refused-config", 0, "good", refused_config, NULL},
    {"attention", 0, "grow", attention, NULL},
    {"unmap-error", 0, "unmap-error", unmap_error, NULL},
    {"refuse", 0, "refuse", refuse, NULL},
    {"odd-address", 0, "odd-address", odd_address, NULL},
    {"close-waits", 0, "hold", close_during_completion, NULL},
    {"after-shutdown", 0, "good", after_shutdown, NULL},

    {"double-complete", 0, "double-complete", read_and_remove, "twice (READ(10) 28 00 00 00 00 07"},
    {"double-complete-workers", 2, "double-complete", read_and_remove, "twice (READ(10)"},
    {"error-and-complete", 0, "error-and-complete", read_and_remove, "returned an error as well"},
    {"never-complete", 0, "never-complete", read_and_remove,
     "in the handler: READ(10) 28 00 00 00 00 07"},
    {"never-complete-hang", 0, "never-complete", read_and_remove, "hang: nothing has happened"},
    {"cancelled-in-read", 2, "cancelled-in-read", read_and_cancel,
     "worker thread was cancelled inside the handler's read (READ(10)"},
    {"cancelled-hang", 0, "cancelled-in-read", read_and_cancel, "hang: nothing has happened"},
    {"cancellation-left-off", 2, "cancellation-left-off", read_and_remove,
     "read returned with cancellation left off"},
    {"cancellation-left-off-command", 0, "cancellation-left-off", read_and_remove,
     "read returned with cancellation left off"},
    {"async-from-worker", 2, "async-from-worker", read_and_remove, "ASYNC_HANDLED"},
    {"async-from-handle-cmd", 0, "async-from-handle-cmd", read_and_remove,
     "the host would call NULL"},
    {"complete-in-handle-cmd", 0, "complete-in-handle-cmd", read_and_remove,
     "that no I/O callback holds"},
    {"write-after-completion", 0, "write-after-completion", read_and_remove,
     "wrote to a command after its completion"},
    {"complete-after-removal", 0, "good", complete_after_removal, "the second time after removal"},
    {"no-alignment", 0, "no-alignment", write_same_unmap, "the host divides by it"},
    {"close-early", 0, "hold-close-early", close_early,
     "close returned while 1 threads of the handler are inside"},
};

/* In the child: everything that may abort. */
static void run_case(const Case *test, char *const *handlers)
{
    const struct rlimit no_core = {0, 0};
    char *error;

    setrlimit(RLIMIT_CORE, &no_core);
    runner_watchdog_start(WATCHDOG_SECONDS);
    handler_path = handlers[test->threads != 0];
    handler = runner_load(handler_path, &error);
    if (!handler) {
        fprintf(stderr, "%s\n", error);
        exit(1);
    }
    test->run(test->mode);
    runner_unload(handler);
    exit(0);
}

/* Whether the child ended as the case expects. */
static bool as_expected(const Case *test, int status, const char *output)
{
    if (!test->expected)
        return WIFEXITED(status) && WEXITSTATUS(status) == 0;
    /* AddressSanitizer sees a write to dead memory before the runner does. */
    if (strstr(output, "AddressSanitizer: use-after-poison") &&
        strcmp(test->name, "write-after-completion") == 0)
        return true;
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT && strstr(output, test->expected);
}

static bool judge(const Case *test, char *const *handlers)
{
    FILE *output = tmpfile();
    char text[65536];
    size_t length;
    int status;
    pid_t child;

    CHECK(output);
    fflush(NULL);
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        dup2(fileno(output), STDERR_FILENO);
        run_case(test, handlers);
    }
    CHECK(waitpid(child, &status, 0) == child);
    rewind(output);
    length = fread(text, 1, sizeof text - 1, output);
    text[length] = 0;
    fclose(output);
    if (as_expected(test, status, text)) {
        printf("ok %s\n", test->name);
        return true;
    }
    printf("NOT ok %s: wait status %x, expected %s\n%s\n", test->name, (unsigned)status,
           test->expected ? test->expected : "success", text);
    return false;
}

int main(int argc, char **argv)
{
    int failed = 0;

    CHECK(argc >= 3);
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        if (argc < 4 || strcmp(argv[3], cases[i].name) == 0)
            failed += !judge(&cases[i], argv + 1);
    }
    printf("%d of %zu cases failed\n", failed, G_N_ELEMENTS(cases));
    return failed ? 1 : 0;
}
