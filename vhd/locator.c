/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
#include "vhd/locator.h"

#include <iconv.h>
#include <string.h>

/* No conversion here makes more than this many bytes of one: Windows-1252 to UTF-8 makes three. */
#define GROWTH_MAX 3

/* Convert len bytes between encodings. The result has one NUL byte behind its *out_len bytes. NULL
 * if the bytes are not valid in `from` (lone surrogates and half units included), the result does
 * not fit `to`, or there is no memory. */
static char *convert(const char *to, const char *from, const void *bytes, size_t len,
                     size_t *out_len)
{
    size_t in_left = len, room = len * GROWTH_MAX, out_left = room, lost;
    g_autofree char *in_copy = g_try_malloc(len + 1), *out = g_try_malloc(room + 1);
    char *in = in_copy, *end = out;
    iconv_t cd = iconv_open(to, from);

    if (cd == (iconv_t)-1)
        return NULL;
    if (!in_copy || !out) {
        iconv_close(cd);
        return NULL;
    }
    memcpy(in_copy, bytes, len); /* iconv asks for a pointer to what it may write, and does not */
    lost = iconv(cd, &in, &in_left, &end, &out_left);
    iconv_close(cd);
    if (lost != 0 || in_left != 0)
        return NULL;
    *end = '\0';
    *out_len = (size_t)(end - out);
    return g_steal_pointer(&out);
}

/* A string of len bytes, NULs at its end dropped; NULL if nothing is left or a NUL is inside. Takes
 * over text, which may be NULL. */
static char *take_text(char *text, size_t len)
{
    while (text && len > 0 && text[len - 1] == '\0')
        len--;
    if (text && len > 0 && !memchr(text, '\0', len))
        return text;
    g_free(text);
    return NULL;
}

static char *decode_utf16(const char *charset, const uint8_t *bytes, size_t len)
{
    size_t text_len = 0;
    char *text = convert("UTF-8", charset, bytes, len, &text_len);

    text = take_text(text, text_len);
    return text ? g_strdelimit(text, "\\", '/') : NULL;
}

static char *decode_8bit(const uint8_t *bytes, size_t len)
{
    size_t text_len = 0;
    char *text;

    while (len > 0 && bytes[len - 1] == '\0')
        len--;
    if (g_utf8_validate_len((const char *)bytes, len, NULL))
        text = convert("UTF-8", "UTF-8", bytes, len, &text_len);
    else
        text = convert("UTF-8", "CP1252", bytes, len, &text_len);
    text = take_text(text, text_len);
    return text ? g_strdelimit(text, "\\", '/') : NULL;
}

/* "file://localhost/a" and "file:///a" are /a. "file://./a" and "file://../a" are what XenServer
 * writes for a relative path. */
static char *decode_url(const uint8_t *bytes, size_t len)
{
    static const char scheme[] = "file://", host[] = "localhost/";
    size_t text_len = 0;
    g_autofree char *url = take_text(convert("UTF-8", "UTF-8", bytes, len, &text_len), len);
    g_autofree char *path = NULL;
    const char *rest;

    if (!url || g_ascii_strncasecmp(url, scheme, strlen(scheme)) != 0)
        return NULL;
    rest = url + strlen(scheme);
    if (g_ascii_strncasecmp(rest, host, strlen(host)) == 0)
        rest += strlen(host) - 1;
    if (rest[0] != '/' && !g_str_has_prefix(rest, "./") && !g_str_has_prefix(rest, "../"))
        return NULL;
    path = g_uri_unescape_string(rest, "/"); /* an escaped '/' would be no separator: refused */
    if (!path || !g_utf8_validate(path, -1, NULL))
        return NULL;
    return g_steal_pointer(&path);
}

char *vhd_locator_decode(uint32_t platform, const uint8_t *bytes, size_t len)
{
    if (len > VHD_LOCATOR_MAX_BYTES)
        return NULL;
    switch (platform) {
    case VHD_PLATFORM_W2RU:
    case VHD_PLATFORM_W2KU:
        return decode_utf16("UTF-16LE", bytes, len);
    case VHD_PLATFORM_WI2R:
    case VHD_PLATFORM_WI2K:
        return decode_8bit(bytes, len);
    case VHD_PLATFORM_MACX:
        return decode_url(bytes, len);
    default:
        return NULL;
    }
}

char *vhd_parent_name_decode(const uint8_t raw[static VHD_PARENT_NAME_BYTES])
{
    size_t len = 0;

    while (len < VHD_PARENT_NAME_BYTES && (raw[len] != 0 || raw[len + 1] != 0))
        len += 2;
    return decode_utf16("UTF-16BE", raw, len);
}

static bool has_drive(const char *path)
{
    return g_ascii_isalpha(path[0]) && path[1] == ':';
}

static bool is_absolute(const char *path)
{
    return path[0] == '/' || (has_drive(path) && path[2] == '/');
}

/* A path that a locator can carry: some text, UTF-8, and no backslash, which would come back as a
 * separator. */
static bool is_portable(const char *path)
{
    return path[0] != '\0' && !strchr(path, '\\') && g_utf8_validate(path, -1, NULL);
}

static uint8_t *encode_utf16(const char *charset, const char *prefix, const char *path, size_t *len)
{
    g_autofree char *text = g_strconcat(prefix, path, NULL);

    g_strdelimit(text, "/", '\\');
    return (uint8_t *)convert(charset, "UTF-8", text, strlen(text), len);
}

static uint8_t *encode_relative(const char *path, size_t *len)
{
    bool dotted = g_str_has_prefix(path, "./") || g_str_has_prefix(path, "../");

    if (is_absolute(path))
        return NULL;
    return encode_utf16("UTF-16LE", dotted ? "" : "./", path, len);
}

static uint8_t *encode_url(const char *path, size_t *len)
{
    g_autofree char *escaped = NULL;
    char *url;

    if (path[0] != '/')
        return NULL;
    escaped = g_uri_escape_string(path, "/", FALSE);
    url = g_strconcat("file://localhost", escaped, NULL);
    *len = strlen(url);
    return (uint8_t *)url;
}

uint8_t *vhd_locator_encode(uint32_t platform, const char *path, size_t *len)
{
    g_autofree uint8_t *bytes = NULL;
    size_t bytes_len = 0;

    if (!is_portable(path))
        return NULL;
    if (platform == VHD_PLATFORM_W2RU)
        bytes = encode_relative(path, &bytes_len);
    else if (platform == VHD_PLATFORM_W2KU && is_absolute(path))
        bytes = encode_utf16("UTF-16LE", "", path, &bytes_len);
    else if (platform == VHD_PLATFORM_MACX)
        bytes = encode_url(path, &bytes_len);
    if (!bytes || bytes_len > VHD_LOCATOR_MAX_BYTES)
        return NULL;
    *len = bytes_len;
    return g_steal_pointer(&bytes);
}

bool vhd_parent_name_encode(const char *name, uint8_t raw[static VHD_PARENT_NAME_BYTES])
{
    g_autofree uint8_t *bytes = NULL;
    size_t len = 0;

    if (!is_portable(name))
        return false;
    bytes = encode_utf16("UTF-16BE", "", name, &len);
    if (!bytes || len > VHD_PARENT_NAME_BYTES - 2)
        return false;
    memset(raw, 0, VHD_PARENT_NAME_BYTES);
    memcpy(raw, bytes, len);
    return true;
}

/* Append the names of path to joined, which is "" for the root and else "/a/b". */
static void append_names(GString *joined, const char *path)
{
    g_auto(GStrv) names = g_strsplit(path, "/", -1);

    for (char **name = names; *name; name++) {
        if (strcmp(*name, "..") == 0) {
            char *last = strrchr(joined->str, '/');

            g_string_truncate(joined, last ? (gsize)(last - joined->str) : 0);
        } else if (**name != '\0' && strcmp(*name, ".") != 0) {
            g_string_append_c(joined, '/');
            g_string_append(joined, *name);
        }
    }
}

char *vhd_path_join(const char *base, const char *path)
{
    GString *joined = g_string_new(NULL);

    if (has_drive(path))
        path += 2;
    if (path[0] != '/')
        append_names(joined, base);
    append_names(joined, path);
    if (joined->len == 0)
        g_string_append_c(joined, '/');
    return g_string_free(joined, FALSE);
}

/* The name at or behind at, a position in an absolute path; its length goes to *len, 0 at the end.
 */
static const char *next_name(const char *at, size_t *len)
{
    while (*at == '/')
        at++;
    *len = strcspn(at, "/");
    return at;
}

char *vhd_path_relative(const char *from_dir, const char *target)
{
    size_t from_len = 0, to_len = 0;
    const char *from = next_name(from_dir, &from_len), *to = next_name(target, &to_len);
    GString *seen = g_string_new(NULL);

    while (from_len > 0 && from_len == to_len && strncmp(from, to, to_len) == 0) {
        from = next_name(from + from_len, &from_len);
        to = next_name(to + to_len, &to_len);
    }
    for (; from_len > 0; from = next_name(from + from_len, &from_len))
        g_string_append(seen, "../");
    for (; to_len > 0; to = next_name(to + to_len, &to_len)) {
        g_string_append_len(seen, to, (gssize)to_len);
        g_string_append_c(seen, '/');
    }
    if (seen->len == 0)
        g_string_append(seen, "./");
    g_string_truncate(seen, seen->len - 1);
    if (has_drive(seen->str)) /* a folder whose name looks so is none */
        g_string_prepend(seen, "./");
    return g_string_free(seen, FALSE);
}
