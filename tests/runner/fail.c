/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* The end of a test whose handler broke the contract. */
#include <execinfo.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "runner-private.h"

void runner_fail(const uint8_t *cdb, const char *format, ...)
{
    void *frames[64];
    char message[512], text[RUNNER_CDB_TEXT];
    va_list arguments;

    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    if (cdb)
        fprintf(stderr, "runner: FAILED: %s (%s)\n", message, runner_cdb_text(cdb, text));
    else
        fprintf(stderr, "runner: FAILED: %s\n", message);
    backtrace_symbols_fd(frames, backtrace(frames, G_N_ELEMENTS(frames)), STDERR_FILENO);
    abort();
}
