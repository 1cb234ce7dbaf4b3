/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * Host symbols: the log.  The real one writes to a file before it returns, which
 * makes every call a cancellation point; so is every call here, printed or not.
 * Lines are kept in memory, the last LOG_KEPT of them.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>

#include "host-symbols.h"
#include "runner-private.h"

enum { LOG_LINE = 256, LOG_KEPT = 1024 };

static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER; /* what follows */
static char log_lines[LOG_KEPT][LOG_LINE];
static unsigned log_next;
static int log_print_level = LOG_WARNING;

void runner_log_print_level(int level)
{
    pthread_mutex_lock(&log_lock);
    log_print_level = level;
    pthread_mutex_unlock(&log_lock);
}

bool runner_log_contains(const char *text)
{
    bool found = false;

    pthread_mutex_lock(&log_lock);
    for (unsigned i = 0; i < LOG_KEPT && !found; i++)
        found = strstr(log_lines[i], text) != NULL;
    pthread_mutex_unlock(&log_lock);
    return found;
}

/* Keeps and prints a line; no cancellation inside, a cancellation point after. */
__attribute__((format(printf, 3, 0))) static void log_line(int level, const char *function,
                                                           const char *format, va_list arguments)
{
    int before = runner_host_enter();
    char line[LOG_LINE];

    vsnprintf(line, sizeof line, format, arguments);
    pthread_mutex_lock(&log_lock);
    memcpy(log_lines[log_next++ % LOG_KEPT], line, sizeof line);
    if (level <= log_print_level)
        fprintf(stderr, "handler log %d: %s: %s%s", level, function, line,
                strchr(line, '\n') ? "" : "\n");
    pthread_mutex_unlock(&log_lock);
    runner_host_leave(before);
    pthread_testcancel();
}

unsigned int tcmu_get_log_level(void)
{
    return LOG_INFO;
}

#define LOG_FUNCTION(name, level)                                                                  \
    void tcmu_##name##_message(struct tcmu_device *dev, const char *function, int line,            \
                               const char *format, ...)                                            \
    {                                                                                              \
        va_list arguments;                                                                         \
        (void)dev;                                                                                 \
        (void)line;                                                                                \
        if ((level) > LOG_INFO)                                                                    \
            return; /* the default level of the host */                                            \
        va_start(arguments, format);                                                               \
        log_line(level, function, format, arguments);                                              \
        va_end(arguments);                                                                         \
    }

LOG_FUNCTION(crit, LOG_CRIT)
LOG_FUNCTION(err, LOG_ERR)
LOG_FUNCTION(warn, LOG_WARNING)
LOG_FUNCTION(info, LOG_INFO)
LOG_FUNCTION(dbg, LOG_DEBUG)
LOG_FUNCTION(dbg_scsi_cmd, LOG_DEBUG + 1)
