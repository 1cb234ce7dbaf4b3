/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
#include "cli/size.h"

#include <string.h>

#include "vhd/error.h"

static const char suffixes[] = "KMGT";

static bool refuse(const char *text, const char *what, const char *why, GError **error)
{
    g_set_error(error, VHD_ERROR, VHD_ERROR_INVALID, "%s '%s' %s", what, text, why);
    return false;
}

bool size_parse(const char *text, const char *what, uint64_t *bytes, GError **error)
{
    const char *at = text, *suffix;
    uint64_t value = 0;
    unsigned shift = 0;

    if (!g_ascii_isdigit(*at))
        return refuse(text, what, "is no size: a number is expected, K, M, G or T behind it",
                      error);
    for (; g_ascii_isdigit(*at); at++) {
        unsigned digit = (unsigned)(*at - '0');

        if (value > (UINT64_MAX - digit) / 10)
            return refuse(text, what, "is too large", error);
        value = value * 10 + digit;
    }
    suffix = *at ? strchr(suffixes, g_ascii_toupper(*at)) : NULL;
    if (suffix) {
        shift = 10 * (unsigned)(suffix - suffixes + 1);
        at++;
    }
    if (*at)
        return refuse(text, what, "is no size: a number is expected, K, M, G or T behind it",
                      error);
    if (value > UINT64_MAX >> shift)
        return refuse(text, what, "is too large", error);
    *bytes = value << shift;
    return true;
}

char *size_format(uint64_t bytes)
{
    double value = (double)bytes;
    int unit = -1;

    if (bytes < 1024)
        return g_strdup_printf("%" G_GUINT64_FORMAT " B", bytes);
    while (value >= 1024 && suffixes[unit + 1]) {
        value /= 1024;
        unit++;
    }
    if (value >= 999.5 && suffixes[unit + 1]) { /* "1e+03" is none of a person's numbers */
        value /= 1024;
        unit++;
    }
    return g_strdup_printf(value >= 999.5 ? "%.0f %ciB" : "%.3g %ciB", value, suffixes[unit]);
}
