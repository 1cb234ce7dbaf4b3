/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
#include "handler/log.h"

#include <string.h>

#include "handler/tcmur-abi.h"

/* The host cuts lines at 255 bytes, its prefix (time, level, function, device) included. */
#define LINE_BYTES 200
#define MAX_LINES  32 /* a message; an error that lists every path tried is the longest */

bool log_limit_take(LogLimit *limit, gint64 now_us, unsigned *dropped)
{
    *dropped = 0;
    if (limit->messages == 0 || now_us - limit->begin_us >= LOG_WINDOW_US) {
        limit->begin_us = now_us;
        limit->messages = 0;
        *dropped = limit->dropped;
        limit->dropped = 0;
    }
    if (limit->messages == LOG_MESSAGES) {
        limit->dropped++;
        return false;
    }
    limit->messages++;
    return true;
}

static void write_line(struct tcmu_device *dev, LogLevel level, const char *line)
{
    switch (level) {
    case LOG_LEVEL_INFO:
        tcmu_info_message(dev, "vhd", 0, "%s\n", line);
        break;
    case LOG_LEVEL_WARNING:
        tcmu_warn_message(dev, "vhd", 0, "%s\n", line);
        break;
    default:
        tcmu_err_message(dev, "vhd", 0, "%s\n", line);
        break;
    }
}

/* Bytes of the next line: up to a space if there is one in its second half, and never through the
 * middle of a UTF-8 character. */
static size_t line_bytes(const char *text)
{
    size_t length = strnlen(text, LINE_BYTES + 1);

    if (length <= LINE_BYTES)
        return length;
    for (size_t n = LINE_BYTES; n > LINE_BYTES / 2; n--) {
        if (text[n] == ' ')
            return n;
    }
    length = LINE_BYTES;
    while (length > LINE_BYTES - 4 && ((unsigned char)text[length] & 0xc0) == 0x80)
        length--;
    return length;
}

static void write_lines(struct tcmu_device *dev, LogLevel level, const char *text)
{
    for (int lines = 0; *text && lines < MAX_LINES; lines++) {
        char line[LINE_BYTES + 3] = "";
        size_t length = line_bytes(text), at = lines > 0 ? 2 : 0;

        memset(line, ' ', at);
        memcpy(line + at, text, length);
        line[at + length] = '\0';
        for (size_t i = at; line[i]; i++) {
            if ((unsigned char)line[i] < ' ' || line[i] == 0x7f)
                line[i] = '?';
        }
        write_line(dev, level, line);
        text += length;
        text += *text == ' ';
    }
}

static void write_dropped(struct tcmu_device *dev, unsigned dropped)
{
    char line[64];

    if (dropped == 0)
        return;
    g_snprintf(line, sizeof line, "%u messages were not logged", dropped);
    write_line(dev, LOG_LEVEL_WARNING, line);
}

void log_init(Log *log, struct tcmu_device *dev)
{
    *log = (Log){.dev = dev};
    pthread_mutex_init(&log->lock, NULL);
}

void log_release(Log *log)
{
    write_dropped(log->dev, log->limit.dropped);
    pthread_mutex_destroy(&log->lock);
}

void log_text(Log *log, LogLevel level, const char *text)
{
    unsigned dropped;
    bool take;

    pthread_mutex_lock(&log->lock);
    take = log_limit_take(&log->limit, g_get_monotonic_time(), &dropped);
    pthread_mutex_unlock(&log->lock);

    write_dropped(log->dev, dropped);
    if (take)
        write_lines(log->dev, level, text);
}

void log_format(Log *log, LogLevel level, const char *format, ...)
{
    va_list args;
    g_autofree char *text = NULL;

    va_start(args, format);
    text = g_strdup_vprintf(format, args);
    va_end(args);
    log_text(log, level, text);
}

void log_engine(void *data, int level, const char *text)
{
    log_text(data, (LogLevel)level, text);
}
