/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
#include "handler/cfgstring.h"

#include <string.h>

#include "vhd/error.h"

#define NO_IMAGE                                                                                   \
    "the config string names no image: write its absolute path, for example /srv/disk.vhd"
#define NO_PREFIX                                                                                  \
    "the config string does not begin with \"vhd/\": write vhd/ and the absolute path of an "      \
    "image, for example vhd//srv/disk.vhd"
#define NOT_CARRIED                                                                                \
    ", which a config string cannot carry: make a symbolic link without it and write the link's "  \
    "path"
#define UNKNOWN(name)                                                                              \
    "unknown option \"" name "\": the options are ro, parents=DIR, "                               \
    "cache=writeback|writethrough, discard=on|off, raw-parent=on|off, max-depth=N, lock=on|off, "  \
    "force-write"
#define EMPTY "an option is empty: write one semicolon between options and none at the end"
#define PARENTS(text)                                                                              \
    "parents" text ": write the absolute path of a folder, for example parents=/srv/golden"

static void test_mistakes(void)
{
    static const struct {
        const char *text, *want;
    } rows[] = {
        {"", NO_PREFIX},
        {"qcow//srv/a", NO_PREFIX},
        {"vhd", NO_PREFIX},
        {"/srv/a.vhd", NO_PREFIX},
        {"vhd/", NO_IMAGE},
        {"vhd/;ro", NO_IMAGE},
        {"vhd/srv/a.vhd",
         "the path \"srv/a.vhd\" is not absolute: write a path that begins with a slash, for "
         "example /srv/disk.vhd"},
        {"vhd//a:b", "the path \"/a:b\" contains a colon" NOT_CARRIED},
        {"vhd//a,b", "the path \"/a,b\" contains a comma" NOT_CARRIED},
        {"vhd//a b", "the path \"/a b\" contains a space" NOT_CARRIED},
        {"vhd//a\nb", "the path \"/a\nb\" contains a newline" NOT_CARRIED},
        {"vhd//a\tb", "the path \"/a\tb\" contains a control character" NOT_CARRIED},
        {"vhd//a\x7f", "the path \"/a\x7f\" contains a control character" NOT_CARRIED},
        {"vhd//a;", EMPTY},
        {"vhd//a;;ro", EMPTY},
        {"vhd//a;b.vhd", UNKNOWN("b.vhd")},
        {"vhd//a;RO", UNKNOWN("RO")},
        {"vhd//a; ro", UNKNOWN(" ro")},
        {"vhd//a;=on", UNKNOWN("")},
        {"vhd//a;ro=on", "ro=on: ro takes no value, write ro alone"},
        {"vhd//a;force-write=",
         "force-write=: force-write takes no value, write force-write alone"},
        {"vhd//a;ro;ro", "ro stands twice: leave one out"},
        {"vhd//a;cache=writeback;ro;cache=writeback", "cache stands twice: leave one out"},
        {"vhd//a;ro;force-write", "ro and force-write exclude each other: leave one out"},
        {"vhd//a;cache", "cache: write cache=writeback or cache=writethrough"},
        {"vhd//a;cache=none", "cache=none: write cache=writeback or cache=writethrough"},
        {"vhd//a;discard", "discard: write discard=on or discard=off"},
        {"vhd//a;discard=1", "discard=1: write discard=on or discard=off"},
        {"vhd//a;raw-parent=yes", "raw-parent=yes: write raw-parent=on or raw-parent=off"},
        {"vhd//a;lock=", "lock=: write lock=on or lock=off"},
        {"vhd//a;max-depth", "max-depth: write a number of layers from 1 to 256"},
        {"vhd//a;max-depth=", "max-depth=: write a number of layers from 1 to 256"},
        {"vhd//a;max-depth=0", "max-depth=0: write a number of layers from 1 to 256"},
        {"vhd//a;max-depth=257", "max-depth=257: write a number of layers from 1 to 256"},
        {"vhd//a;max-depth=-1", "max-depth=-1: write a number of layers from 1 to 256"},
        {"vhd//a;max-depth=1x", "max-depth=1x: write a number of layers from 1 to 256"},
        {"vhd//a;max-depth=18446744073709551617",
         "max-depth=18446744073709551617: write a number of layers from 1 to 256"},
        {"vhd//a;parents", PARENTS("")},
        {"vhd//a;parents=", PARENTS("=")},
        {"vhd//a;parents=golden", PARENTS("=golden")},
        {"vhd//a;parents=/x;parents=y", PARENTS("=y")},
        {"vhd//a;parents=/x:/y", "parents=/x:/y contains a colon" NOT_CARRIED},
        {"vhd//a;parents=/x,/y", "parents=/x,/y contains a comma" NOT_CARRIED},
        {"vhd//a;tcmur_cmd_time_out=x", "tcmur_cmd_time_out=x: write a number of seconds"},
        {"vhd//a;tcmur_cmd_time_out", "tcmur_cmd_time_out: write a number of seconds"},
        {"vhd//a;tcmur_cmd_time_out=3;ro",
         "tcmur_cmd_time_out must be the last option: tcmu-runner joins what follows it to what "
         "stands before it"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(CfgString) config = cfgstring_parse(rows[i].text, &error);

        g_assert_null(config);
        g_assert_error(error, VHD_ERROR, VHD_ERROR_INVALID);
        g_assert_cmpstr(error->message, ==, rows[i].want);
    }
}

static void test_length(void)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *text = g_strnfill(CFGSTRING_MAX_BYTES + 1, 'x');
    CfgString *config;

    memcpy(text, "vhd//", 5);
    g_assert_null(cfgstring_parse(text, &error));
    g_assert_cmpstr(error->message, ==,
                    "the config string has 256 bytes, at most 255 are possible: use shorter "
                    "paths, for example symbolic links");
    text[CFGSTRING_MAX_BYTES] = '\0';
    config = cfgstring_parse(text, NULL);
    g_assert_nonnull(config);
    cfgstring_free(config);
}

static void test_good(void)
{
    static const struct {
        const char *text, *path, *options;
    } rows[] = {
        {"vhd//srv/a.vhd", "/srv/a.vhd", "cache=writeback,discard=on"},
        {"vhd//srv/\xc3\xa9=x\\y.vhd", "/srv/\xc3\xa9=x\\y.vhd", "cache=writeback,discard=on"},
        {"vhd//a;ro", "/a", "cache=writeback,discard=on,ro"},
        {"vhd//a;force-write;cache=writethrough", "/a",
         "cache=writethrough,discard=on,force-write"},
        {"vhd//a;discard=off;raw-parent=on;lock=off;max-depth=3", "/a",
         "cache=writeback,discard=off,raw-parent=on,lock=off,max-depth=3"},
        {"vhd//a;discard=on;raw-parent=off;lock=on;max-depth=256;cache=writeback", "/a",
         "cache=writeback,discard=on"},
        {"vhd//a;parents=/x;ro;parents=/y=z", "/a",
         "cache=writeback,discard=on,ro,parents=/x,parents=/y=z"},
        {"vhd//a;ro;tcmur_cmd_time_out=30", "/a", "cache=writeback,discard=on,ro"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(CfgString) config = cfgstring_parse(rows[i].text, &error);
        g_autofree char *options = NULL;

        g_assert_no_error(error);
        options = cfgstring_options_text(config);
        g_assert_cmpstr(config->path, ==, rows[i].path);
        g_assert_cmpstr(options, ==, rows[i].options);
    }
}

static void test_disk_options(void)
{
    g_autoptr(CfgString) plain = cfgstring_parse("vhd//a", NULL);
    g_autoptr(CfgString) other = cfgstring_parse(
        "vhd//a;parents=/x;parents=/y;lock=off;raw-parent=on;max-depth=5;cache=writethrough;ro",
        NULL);
    VhdDiskOptions options;

    cfgstring_disk_options(plain, &options);
    g_assert_cmpstr(options.path, ==, "/a");
    g_assert_true(options.confined);
    g_assert_false(options.no_lock || options.read_only || options.force_write ||
                   options.raw_parent || options.no_pending);
    g_assert_null(options.parents[0]);
    g_assert_cmpint(options.cache, ==, VHD_CACHE_WRITEBACK);
    g_assert_cmpuint(options.max_depth, ==, 256);

    cfgstring_disk_options(other, &options);
    g_assert_true(options.confined && options.no_lock && options.read_only && options.raw_parent);
    g_assert_cmpstr(options.parents[0], ==, "/x");
    g_assert_cmpstr(options.parents[1], ==, "/y");
    g_assert_null(options.parents[2]);
    g_assert_cmpint(options.cache, ==, VHD_CACHE_WRITETHROUGH);
    g_assert_cmpuint(options.max_depth, ==, 5);
}

static void test_equal(void)
{
    static const struct {
        const char *a, *b;
        bool equal;
    } rows[] = {
        {"vhd//a", "vhd//a", true},
        {"vhd//a", "vhd//b", false},
        {"vhd//a", "vhd//a;cache=writeback;discard=on;tcmur_cmd_time_out=9", true},
        {"vhd//a;ro;lock=off", "vhd//a;lock=off;ro", true},
        {"vhd//a", "vhd//a;ro", false},
        {"vhd//a;parents=/x", "vhd//a;parents=/y", false},
        {"vhd//a;parents=/x;parents=/y", "vhd//a;parents=/x", false},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(CfgString) a = cfgstring_parse(rows[i].a, NULL);
        g_autoptr(CfgString) b = cfgstring_parse(rows[i].b, NULL);

        g_assert_true(cfgstring_equal(a, b) == rows[i].equal);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/cfgstring/mistakes", test_mistakes);
    g_test_add_func("/cfgstring/length", test_length);
    g_test_add_func("/cfgstring/good", test_good);
    g_test_add_func("/cfgstring/disk-options", test_disk_options);
    g_test_add_func("/cfgstring/equal", test_equal);
    return g_test_run();
}
