/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * The watchdog: ends a process in which something is waited for and nothing
 * happens, with the open commands and the stack of every thread.
 */
#include <dirent.h>
#include <execinfo.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "runner-private.h"

static _Atomic uint64_t progress;
static atomic_int waiting;
static sem_t stack_shown;

void runner_progress(void)
{
    progress++;
}

void runner_waiting(int change)
{
    waiting += change;
    progress++;
}

/* In the thread that was asked for its stack. */
static void show_stack(int signal_number)
{
    void *frames[64];

    (void)signal_number;
    backtrace_symbols_fd(frames, backtrace(frames, G_N_ELEMENTS(frames)), STDERR_FILENO);
    sem_post(&stack_shown);
}

/* Asks one thread for its stack; one that does not answer is passed over. */
static void show_stack_of(pid_t thread)
{
    struct timespec until;

    fprintf(stderr, "-- thread %d\n", (int)thread);
    if (syscall(SYS_tgkill, getpid(), thread, SIGRTMIN + 5) != 0)
        return;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 2;
    sem_timedwait(&stack_shown, &until);
}

static void show_stacks(void)
{
    DIR *tasks = opendir("/proc/self/task");
    struct dirent *entry;

    while (tasks && (entry = readdir(tasks)) != NULL) {
        pid_t thread = (pid_t)strtol(entry->d_name, NULL, 10);
        if (thread > 0 && thread != gettid())
            show_stack_of(thread);
    }
    if (tasks)
        closedir(tasks);
}

static bool has_open_commands(RunnerDevice *device, void *arg)
{
    bool any;

    (void)arg;
    pthread_mutex_lock(&device->lock);
    any = device->outstanding > 0;
    pthread_mutex_unlock(&device->lock);
    return any;
}

static bool show_device(RunnerDevice *device, void *arg)
{
    char text[RUNNER_CDB_TEXT];
    GHashTableIter at;
    gpointer value;

    (void)arg;
    pthread_mutex_lock(&device->lock);
    fprintf(stderr, "-- device %s: %lu without a reply, %lu with the handler%s\n",
            device->cfgstring, (unsigned long)device->outstanding, (unsigned long)device->tracked,
            device->stopping ? ", being removed" : "");
    g_hash_table_iter_init(&at, device->commands);
    while (g_hash_table_iter_next(&at, NULL, &value)) {
        RunnerCommand *command = value;
        if (!command->dead)
            fprintf(stderr, "   %s: %s\n", command->pending ? "in the handler" : "in the host",
                    runner_cdb_text(command->cdb, text));
    }
    pthread_mutex_unlock(&device->lock);
    return false;
}

static void *watch(void *limit_seconds)
{
    unsigned limit = *(unsigned *)limit_seconds, still = 0;
    uint64_t seen = progress;

    free(limit_seconds);
    for (;;) {
        uint64_t now;
        sleep(1);
        now = progress;
        if (now != seen || (waiting == 0 && !runner_devices_visit(has_open_commands, NULL)))
            still = 0;
        else
            still++;
        seen = now;
        if (still >= limit)
            break;
    }
    runner_devices_visit(show_device, NULL);
    show_stacks();
    runner_fail(NULL, "hang: nothing has happened for %u seconds", limit);
}

void runner_watchdog_start(unsigned seconds)
{
    struct sigaction action = {.sa_handler = show_stack, .sa_flags = SA_RESTART};
    unsigned *limit = g_new(unsigned, 1);
    void *frame[1];
    pthread_t thread;

    *limit = seconds;
    backtrace(frame, 1); /* loads what it needs now, not in a signal handler */
    sem_init(&stack_shown, 0, 0);
    sigaction(SIGRTMIN + 5, &action, NULL);
    if (pthread_create(&thread, NULL, watch, limit) != 0)
        runner_fail(NULL, "no threads");
    pthread_detach(thread);
}
