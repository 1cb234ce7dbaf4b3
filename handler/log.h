/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * Lines in tcmu-runner's log, bounded: images and initiators can cause messages without end, and
 * each is written synchronously by the thread that has it to say. At most LOG_MESSAGES a disk in
 * LOG_WINDOW_US; what is beyond is counted, and the count is logged when the window is over.
 */
#pragma once

#include <glib.h>
#include <pthread.h>
#include <stdbool.h>

#define LOG_MESSAGES  10
#define LOG_WINDOW_US (10 * G_USEC_PER_SEC)

struct tcmu_device;

/* As VhdDiskOptions.log has them. */
typedef enum LogLevel { LOG_LEVEL_INFO, LOG_LEVEL_WARNING, LOG_LEVEL_ERROR } LogLevel;

/* The counting alone, without lock or clock. Zero-initialized. */
typedef struct LogLimit {
    gint64 begin_us; /* of the window */
    unsigned messages, dropped;
} LogLimit;

/* Whether a message may be logged at now_us (monotonic). *dropped: how many were not, since the
 * last time that it was above 0; to be logged first. */
bool log_limit_take(LogLimit *limit, gint64 now_us, unsigned *dropped);

typedef struct Log {
    struct tcmu_device *dev; /* NULL: the lines name no device */
    pthread_mutex_t lock;    /* protects limit; not held while a line is written */
    LogLimit limit;
} Log;

void log_init(Log *log, struct tcmu_device *dev);
void log_release(Log *log); /* logs the count of messages dropped */

/* One message of one line. Control characters become '?', what is longer than the host's lines is
 * continued on further ones. Any thread. */
void log_text(Log *log, LogLevel level, const char *text);
void log_format(Log *log, LogLevel level, const char *format, ...) G_GNUC_PRINTF(3, 4);

/* The same for VhdDiskOptions.log; data is a Log. */
void log_engine(void *data, int level, const char *text);
