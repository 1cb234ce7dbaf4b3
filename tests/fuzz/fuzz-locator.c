/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * Parent paths. Input: a byte that chooses what the rest is: a locator of one of the codes, the
 * name field, a path to encode, or two paths with a NUL between. Laws: what decodes is UTF-8 and
 * not empty; what encodes decodes to the same path, and decodes of locators encode again; joined
 * paths are absolute and without . and ..; the relative path between two leads from one to the
 * other.
 */
#include "fuzz.h"

#include "vhd/locator.h"

static const uint32_t platforms[] = {VHD_PLATFORM_W2RU, VHD_PLATFORM_W2KU, VHD_PLATFORM_WI2R,
                                     VHD_PLATFORM_WI2K, VHD_PLATFORM_MACX, VHD_PLATFORM_MAC};

/* The path that an encoded one comes back as: a relative one gets "./". */
static char *as_written(uint32_t platform, const char *path)
{
    if (platform != VHD_PLATFORM_W2RU || g_str_has_prefix(path, "./") ||
        g_str_has_prefix(path, "../"))
        return g_strdup(path);
    return g_strconcat("./", path, NULL);
}

/* path may be anything. */
static void check_encode(uint32_t platform, const char *path)
{
    g_autofree char *back = NULL, *want = NULL;
    g_autofree uint8_t *bytes = NULL;
    size_t len = 0;

    bytes = vhd_locator_encode(platform, path, &len);
    if (!bytes)
        return;
    FUZZ_CHECK(len > 0 && len <= VHD_LOCATOR_MAX_BYTES);
    back = vhd_locator_decode(platform, bytes, len);
    want = as_written(platform, path);
    FUZZ_CHECK(g_strcmp0(back, want) == 0);
}

static void check_decode(uint32_t platform, const uint8_t *bytes, size_t len)
{
    g_autofree char *path = vhd_locator_decode(platform, bytes, len);

    if (!path)
        return;
    FUZZ_CHECK(path[0] != '\0' && g_utf8_validate(path, -1, NULL));
    FUZZ_CHECK(platform == VHD_PLATFORM_MACX || !strchr(path, '\\'));
    for (size_t i = 0; i < G_N_ELEMENTS(platforms); i++)
        check_encode(platforms[i], path);
}

static void check_name(const uint8_t *bytes, size_t len)
{
    FuzzInput input = {bytes, len};
    uint8_t raw[VHD_PARENT_NAME_BYTES];
    g_autofree char *name = NULL, *back = NULL;

    fuzz_take(&input, raw, sizeof(raw));
    name = vhd_parent_name_decode(raw);
    if (!name)
        return;
    FUZZ_CHECK(name[0] != '\0' && g_utf8_validate(name, -1, NULL) && !strchr(name, '\\'));
    if (!vhd_parent_name_encode(name, raw)) {
        FUZZ_CHECK(g_utf8_strlen(name, -1) >= 128); /* only a field without a NUL at its end */
        return;
    }
    back = vhd_parent_name_decode(raw);
    FUZZ_CHECK(g_strcmp0(back, name) == 0);
}

static void check_clean(const char *path)
{
    g_auto(GStrv) names = g_strsplit(path + 1, "/", -1);

    FUZZ_CHECK(path[0] == '/');
    if (path[1] == '\0')
        return;
    for (char **name = names; *name; name++)
        FUZZ_CHECK(**name != '\0' && strcmp(*name, ".") != 0 && strcmp(*name, "..") != 0);
}

static void check_paths(const char *one, const char *other)
{
    g_autofree char *base = vhd_path_join("/", one), *path = vhd_path_join(base, other);
    g_autofree char *seen = vhd_path_relative(base, path), *there = vhd_path_join(base, seen);
    g_autofree char *again = g_strconcat("/", base, NULL), *same = vhd_path_join("/", again);

    check_clean(base);
    check_clean(path);
    FUZZ_CHECK(strcmp(there, path) == 0);
    FUZZ_CHECK(seen[0] != '/');
    FUZZ_CHECK(strcmp(same, base) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    FuzzInput input = {data, size};
    uint8_t kind = fuzz_take_byte(&input) % (G_N_ELEMENTS(platforms) + 3);
    g_autofree char *text = g_strndup((const char *)input.at, input.left);
    size_t first = strlen(text) + 1;

    if (kind < G_N_ELEMENTS(platforms)) {
        check_decode(platforms[kind], input.at, input.left);
    } else if (kind == G_N_ELEMENTS(platforms)) {
        check_name(input.at, input.left);
    } else if (kind == G_N_ELEMENTS(platforms) + 1) {
        for (size_t i = 0; i < G_N_ELEMENTS(platforms); i++)
            check_encode(platforms[i], text);
    } else {
        g_autofree char *other = first < input.left
                                     ? g_strndup((const char *)input.at + first, input.left - first)
                                     : g_strdup("");

        check_paths(text, other);
    }
    return 0;
}
