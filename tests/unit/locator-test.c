/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* Parent paths, byte for byte as Windows 10, Virtual PC and XenServer write them, any Unicode, and
 * what is refused. Paths as text: "." and "..". */
#include "vhd/locator.h"

#include <glib.h>
#include <string.h>

#define BYTES(literal) (const uint8_t *)(literal), sizeof(literal) - 1

typedef struct Form {
    const char *name;
    uint32_t platform;
    const uint8_t *bytes;
    size_t len;
    const char *path; /* NULL: refused */
    bool back;        /* encoding the path gives the bytes again */
} Form;

/* Grinning face, U+1F600: D83D DE00 in UTF-16. */
#define FACE "\xF0\x9F\x98\x80"

static const Form forms[] = {
    {"w2ru/windows-10", VHD_PLATFORM_W2RU, BYTES(".\0\\\0w\0i\0n\0008\0.\0v\0h\0d\0"), "./win8.vhd",
     true},
    {"w2ku/windows-10", VHD_PLATFORM_W2KU,
     BYTES("C\0:\0\\\0U\0s\0e\0r\0s\0\\\0a\0\\\0w\0i\0n\0008\0.\0v\0h\0d\0"), "C:/Users/a/win8.vhd",
     true},
    {"w2ku/posix", VHD_PLATFORM_W2KU, BYTES("\\\0s\0r\0v\0\\\0a\0.\0v\0h\0d\0"), "/srv/a.vhd",
     true},
    {"w2ku/share", VHD_PLATFORM_W2KU, BYTES("\\\0\\\0h\0\\\0s\0\\\0a\0"), "//h/s/a", true},
    {"w2ru/up", VHD_PLATFORM_W2RU, BYTES(".\0.\0\\\0a\0"), "../a", true},
    {"w2ru/bare", VHD_PLATFORM_W2RU, BYTES("a\0"), "a", false},
    {"w2ru/slashes", VHD_PLATFORM_W2RU, BYTES(".\0/\0a\0"), "./a", false},
    {"w2ru/terminated", VHD_PLATFORM_W2RU, BYTES(".\0\\\0a\0\0\0\0\0"), "./a", false},
    {"w2ru/umlaut", VHD_PLATFORM_W2RU, BYTES(".\0\\\0\xE4\0"), "./\xC3\xA4", true},
    {"w2ru/beyond-bmp", VHD_PLATFORM_W2RU, BYTES(".\0\\\0\x3D\xD8\x00\xDE"), "./" FACE, true},
    {"w2ru/lone-high", VHD_PLATFORM_W2RU, BYTES(".\0\\\0\x3D\xD8"), NULL, false},
    {"w2ru/lone-high-inside", VHD_PLATFORM_W2RU,
     BYTES(".\0\\\0\x3D\xD8"
           "a\0"),
     NULL, false},
    {"w2ru/lone-low", VHD_PLATFORM_W2RU,
     BYTES(".\0\\\0\x00\xDE"
           "a\0"),
     NULL, false},
    {"w2ru/swapped-pair", VHD_PLATFORM_W2RU, BYTES("\x00\xDE\x3D\xD8"), NULL, false},
    {"w2ru/half-unit", VHD_PLATFORM_W2RU, BYTES(".\0\\\0a"), NULL, false},
    {"w2ru/nul-inside", VHD_PLATFORM_W2RU, BYTES(".\0\\\0a\0\0\0b\0"), NULL, false},
    {"w2ru/empty", VHD_PLATFORM_W2RU, BYTES(""), NULL, false},
    {"w2ru/only-nul", VHD_PLATFORM_W2RU, BYTES("\0\0\0\0"), NULL, false},
    {"wi2r/virtual-pc", VHD_PLATFORM_WI2R, BYTES(".\\dynamic.vhd"), "./dynamic.vhd", false},
    {"wi2k/virtual-pc", VHD_PLATFORM_WI2K, BYTES("C:\\VPC\\dynamic.vhd"), "C:/VPC/dynamic.vhd",
     false},
    {"wi2r/utf-8", VHD_PLATFORM_WI2R, BYTES(".\\\xC3\xA4"), "./\xC3\xA4", false},
    {"wi2r/windows-1252", VHD_PLATFORM_WI2R, BYTES(".\\\xE4\x80"), "./\xC3\xA4\xE2\x82\xAC", false},
    {"wi2r/no-such-char", VHD_PLATFORM_WI2R, BYTES(".\\\x81"), NULL, false},
    {"wi2r/terminated", VHD_PLATFORM_WI2R, BYTES("a\0\0"), "a", false},
    {"wi2r/utf-8-terminated", VHD_PLATFORM_WI2R, BYTES("\xC3\xA4\0"), "\xC3\xA4", false},
    {"wi2r/nul-inside", VHD_PLATFORM_WI2R, BYTES("a\0b"), NULL, false},
    {"wi2r/empty", VHD_PLATFORM_WI2R, BYTES(""), NULL, false},
    {"macx/localhost", VHD_PLATFORM_MACX, BYTES("file://localhost/srv/a%20b.vhd"), "/srv/a b.vhd",
     true},
    {"macx/no-host", VHD_PLATFORM_MACX, BYTES("file:///srv/a.vhd"), "/srv/a.vhd", false},
    {"macx/case", VHD_PLATFORM_MACX, BYTES("FILE://LocalHost/a"), "/a", false},
    {"macx/xenserver", VHD_PLATFORM_MACX, BYTES("file://./a.vhd"), "./a.vhd", false},
    {"macx/xenserver-up", VHD_PLATFORM_MACX, BYTES("file://../a.vhd"), "../a.vhd", false},
    {"macx/terminated", VHD_PLATFORM_MACX, BYTES("file:///a\0"), "/a", false},
    {"macx/face", VHD_PLATFORM_MACX, BYTES("file://localhost/%F0%9F%98%80"), "/" FACE, true},
    {"macx/other-host", VHD_PLATFORM_MACX, BYTES("file://host/a"), NULL, false},
    {"macx/localhost-name", VHD_PLATFORM_MACX, BYTES("file://localhosts/a"), NULL, false},
    {"macx/other-scheme", VHD_PLATFORM_MACX, BYTES("http://localhost/a"), NULL, false},
    {"macx/no-scheme", VHD_PLATFORM_MACX, BYTES("/a"), NULL, false},
    {"macx/escaped-nul", VHD_PLATFORM_MACX, BYTES("file:///a%00b"), NULL, false},
    {"macx/escaped-slash", VHD_PLATFORM_MACX, BYTES("file:///a%2Fb"), NULL, false},
    {"macx/bad-escape", VHD_PLATFORM_MACX, BYTES("file:///a%zz"), NULL, false},
    {"macx/escaped-not-utf-8", VHD_PLATFORM_MACX, BYTES("file:///%FF"), NULL, false},
    {"macx/not-utf-8", VHD_PLATFORM_MACX, BYTES("file:///\xFF"), NULL, false},
    {"macx/empty", VHD_PLATFORM_MACX, BYTES(""), NULL, false},
    {"mac/alias", VHD_PLATFORM_MAC, BYTES("a"), NULL, false},
    {"none", VHD_PLATFORM_NONE, BYTES("a"), NULL, false},
    {"unknown", 0x41414141, BYTES("a"), NULL, false},
};

static void test_form(gconstpointer data)
{
    const Form *form = data;
    g_autofree char *path = vhd_locator_decode(form->platform, form->bytes, form->len);
    g_autofree uint8_t *bytes = NULL;
    size_t len = 0;

    g_assert_cmpstr(path, ==, form->path);
    if (!form->back)
        return;
    bytes = vhd_locator_encode(form->platform, path, &len);
    g_assert_nonnull(bytes);
    g_assert_cmpmem(bytes, len, form->bytes, form->len);
}

static void test_encode_refused(void)
{
    static const struct {
        uint32_t platform;
        const char *path;
    } rows[] = {
        {VHD_PLATFORM_W2RU, ""},
        {VHD_PLATFORM_W2RU, "/a"},
        {VHD_PLATFORM_W2RU, "C:/a"},
        {VHD_PLATFORM_W2RU, "a\\b"},
        {VHD_PLATFORM_W2RU, "a\xFF"},
        {VHD_PLATFORM_W2KU, ""},
        {VHD_PLATFORM_W2KU, "a"},
        {VHD_PLATFORM_W2KU, "./a"},
        {VHD_PLATFORM_W2KU, "/a\\b"},
        {VHD_PLATFORM_W2KU, "/\xED\xA0\xBD"}, /* a surrogate in UTF-8 */
        {VHD_PLATFORM_MACX, "a"},
        {VHD_PLATFORM_MACX, "C:/a"},
        {VHD_PLATFORM_MACX, "/a\\b"},
        {VHD_PLATFORM_WI2R, "a"},
        {VHD_PLATFORM_WI2K, "/a"},
        {VHD_PLATFORM_MAC, "/a"},
        {VHD_PLATFORM_NONE, "/a"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        size_t len = 77;

        g_assert_null(vhd_locator_encode(rows[i].platform, rows[i].path, &len));
        g_assert_cmpuint(len, ==, 77);
    }
}

/* A relative path is written with the ".\" that Windows asks for. */
static void test_encode_dot(void)
{
    size_t len = 0;
    g_autofree uint8_t *bytes = vhd_locator_encode(VHD_PLATFORM_W2RU, "a/.b", &len);

    g_assert_cmpmem(bytes, len, ".\0\\\0a\0\\\0.\0b\0", 12);
}

static void test_length_bound(void)
{
    g_autofree char *path = g_strnfill(VHD_LOCATOR_MAX_BYTES / 2 + 1, 'a');
    g_autofree uint8_t *fits = NULL, *bytes = g_malloc0(VHD_LOCATOR_MAX_BYTES + 2);
    g_autofree char *decoded = NULL;
    size_t len = 0;

    path[0] = '/';
    g_assert_null(vhd_locator_encode(VHD_PLATFORM_W2KU, path, &len));
    path[VHD_LOCATOR_MAX_BYTES / 2] = '\0';
    fits = vhd_locator_encode(VHD_PLATFORM_W2KU, path, &len);
    g_assert_nonnull(fits);
    g_assert_cmpuint(len, ==, VHD_LOCATOR_MAX_BYTES);
    decoded = vhd_locator_decode(VHD_PLATFORM_W2KU, fits, len);
    g_assert_cmpstr(decoded, ==, path);
    memset(bytes, 'a', VHD_LOCATOR_MAX_BYTES + 2);
    g_assert_null(vhd_locator_decode(VHD_PLATFORM_WI2R, bytes, VHD_LOCATOR_MAX_BYTES + 1));
}

static void test_name_bytes(void)
{
    uint8_t raw[VHD_PARENT_NAME_BYTES], want[VHD_PARENT_NAME_BYTES] = {0};
    g_autofree char *back = NULL, *full = NULL;

    memset(raw, 0xEE, sizeof(raw));
    memcpy(want, "\0C\0:\0\\\0a\xD8\x3D\xDE\x00", 12);
    g_assert_true(vhd_parent_name_encode("C:/a" FACE, raw));
    g_assert_cmpmem(raw, sizeof(raw), want, sizeof(want));
    back = vhd_parent_name_decode(raw);
    g_assert_cmpstr(back, ==, "C:/a" FACE);
    for (unsigned i = 0; i < VHD_PARENT_NAME_BYTES; i++) /* no NUL at all */
        raw[i] = i % 2 ? 'n' : 0;
    full = vhd_parent_name_decode(raw);
    g_assert_cmpuint(strlen(full), ==, 256);
}

static void test_name_refused(void)
{
    uint8_t raw[VHD_PARENT_NAME_BYTES], before[VHD_PARENT_NAME_BYTES];
    g_autofree char *name = g_strnfill(256, 'x');
    g_autofree char *back = NULL, *pairs = NULL;
    GString *faces = g_string_new(NULL);

    memset(raw, 0xEE, sizeof(raw));
    memcpy(before, raw, sizeof(raw));
    for (int i = 0; i < 128; i++)
        g_string_append(faces, FACE); /* 256 units */
    pairs = g_string_free(faces, FALSE);
    g_assert_false(vhd_parent_name_encode(name, raw));
    g_assert_false(vhd_parent_name_encode(pairs, raw));
    g_assert_false(vhd_parent_name_encode("", raw));
    g_assert_false(vhd_parent_name_encode("a\\b", raw));
    g_assert_false(vhd_parent_name_encode("a\xFF", raw));
    g_assert_cmpmem(raw, sizeof(raw), before, sizeof(before));
    g_assert_true(vhd_parent_name_encode(name + 1, raw)); /* 255 */
    back = vhd_parent_name_decode(raw);
    g_assert_cmpstr(back, ==, name + 1);
    g_assert_true(vhd_parent_name_encode(pairs + 4, raw)); /* 254 */
    memset(raw, 0, sizeof(raw));
    g_assert_null(vhd_parent_name_decode(raw));
    memcpy(raw, "\0a\xD8\x3D", 4);
    g_assert_null(vhd_parent_name_decode(raw));
    memcpy(raw, "\0a\0\0\xD8\x3D", 6); /* behind the end nothing is looked at */
    g_free(back);
    back = vhd_parent_name_decode(raw);
    g_assert_cmpstr(back, ==, "a");
}

/* Every character that UTF-8 can hold goes to each form and back, but those that mean something. */
static void test_every_character(void)
{
    for (gunichar c = 1; c <= 0x10FFFF; c += c < 0x3000 ? 1 : 37) {
        g_autofree char *name = NULL, *path = NULL, *back = NULL, *url = NULL, *field = NULL;
        g_autofree uint8_t *bytes = NULL, *url_bytes = NULL;
        uint8_t raw[VHD_PARENT_NAME_BYTES];
        char utf8[8] = {0};
        size_t len = 0;

        if ((c >= 0xD800 && c < 0xE000) || c == '\\')
            continue;
        utf8[g_unichar_to_utf8(c, utf8)] = '\0';
        name = g_strconcat("x", utf8, "y", NULL);
        path = g_strconcat("/", name, NULL);
        bytes = vhd_locator_encode(VHD_PLATFORM_W2KU, path, &len);
        back = vhd_locator_decode(VHD_PLATFORM_W2KU, bytes, len);
        g_assert_cmpstr(back, ==, path);
        url_bytes = vhd_locator_encode(VHD_PLATFORM_MACX, path, &len);
        url = vhd_locator_decode(VHD_PLATFORM_MACX, url_bytes, len);
        g_assert_cmpstr(url, ==, path);
        g_assert_true(vhd_parent_name_encode(name, raw));
        field = vhd_parent_name_decode(raw);
        g_assert_cmpstr(field, ==, name);
    }
}

static void test_join(void)
{
    static const struct {
        const char *base, *path, *want;
    } rows[] = {
        {"/srv/vm", "a.vhd", "/srv/vm/a.vhd"},
        {"/srv/vm", "./a.vhd", "/srv/vm/a.vhd"},
        {"/srv/vm", "../a.vhd", "/srv/a.vhd"},
        {"/srv/vm", "gold/../a.vhd", "/srv/vm/a.vhd"},
        {"/srv/vm", "../../../../a.vhd", "/a.vhd"},
        {"/srv/vm", "..", "/srv"},
        {"/srv/vm", "../..", "/"},
        {"/srv/vm", ".", "/srv/vm"},
        {"/srv/vm", "", "/srv/vm"},
        {"/srv/vm", "...", "/srv/vm/..."},
        {"/srv/vm", "..a/b..", "/srv/vm/..a/b.."},
        {"/srv/vm", "/etc/a", "/etc/a"},
        {"/srv/vm", "/../a", "/a"},
        {"/srv/vm", "//host/share/a", "/host/share/a"},
        {"/srv/vm", "a//b///c/", "/srv/vm/a/b/c"},
        {"/srv/vm", "C:/Users/a", "/Users/a"},
        {"/srv/vm", "C:a", "/srv/vm/a"},
        {"/srv/vm", "C:", "/srv/vm"},
        {"/srv/vm", "1:/a", "/srv/vm/1:/a"},
        {"/", "a", "/a"},
        {"/", "..", "/"},
        {"/srv/./x/../vm/", "a", "/srv/vm/a"},
        {"/srv\xFF", "a", "/srv\xFF/a"}, /* a folder's name may be any bytes */
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *got = vhd_path_join(rows[i].base, rows[i].path);

        g_assert_cmpstr(got, ==, rows[i].want);
    }
}

static void test_relative(void)
{
    static const struct {
        const char *from, *target, *want;
    } rows[] = {
        {"/srv/vm", "/srv/vm/a.vhd", "a.vhd"},
        {"/srv/vm", "/srv/vm/x/a.vhd", "x/a.vhd"},
        {"/srv/vm", "/srv/a.vhd", "../a.vhd"},
        {"/srv/vm", "/srv/gold/a.vhd", "../gold/a.vhd"},
        {"/srv/vm", "/srv/vmx/a", "../vmx/a"},
        {"/srv/vmx", "/srv/vm", "../vm"},
        {"/srv/vm", "/a", "../../a"},
        {"/srv/vm", "/", "../.."},
        {"/", "/a/b", "a/b"},
        {"/", "/", "."},
        {"/srv/vm", "/srv/vm", "."},
        {"/srv/vm", "/srv", ".."},
        {"/srv//vm/", "/srv/vm/a", "a"},
        {"/srv", "/srv/C:/a", "./C:/a"},
        {"/a/b", "/a/c", "../c"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *got = vhd_path_relative(rows[i].from, rows[i].target);
        g_autofree char *there = vhd_path_join(rows[i].from, got);
        g_autofree char *target = vhd_path_join("/", rows[i].target);

        g_assert_cmpstr(got, ==, rows[i].want);
        g_assert_cmpstr(there, ==, target); /* and it leads there */
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(forms); i++) {
        g_autofree char *path = g_strconcat("/locator/", forms[i].name, NULL);

        g_test_add_data_func(path, &forms[i], test_form);
    }
    g_test_add_func("/locator/encode/refused", test_encode_refused);
    g_test_add_func("/locator/encode/dot", test_encode_dot);
    g_test_add_func("/locator/length-bound", test_length_bound);
    g_test_add_func("/locator/name/bytes", test_name_bytes);
    g_test_add_func("/locator/name/refused", test_name_refused);
    g_test_add_func("/locator/every-character", test_every_character);
    g_test_add_func("/locator/path/join", test_join);
    g_test_add_func("/locator/path/relative", test_relative);
    return g_test_run();
}
