/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* Where parents are looked for, which are turned down, and what the refusal says. */
#include <glib.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/chain-sample.h"
#include "vhd/chain.h"
#include "vhd/error.h"

#define PARENT_UUID "02020202020202020202020202020202"

/* Path of the parent found for child, NULL with error. */
static char *parent_of(const char *child, const VhdChainOptions *options, GError **error)
{
    g_autoptr(VhdChain) chain = vhd_chain_open(child, options, error);

    if (!chain)
        return NULL;
    g_assert_cmpuint(vhd_chain_depth(chain), ==, 2);
    return g_strdup(vhd_image_name(vhd_chain_layer(chain, 1)));
}

static void assert_found(const char *child, const VhdChainOptions *options, const char *folder,
                         const char *name)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *found = parent_of(child, options, &error);
    g_autofree char *expected = g_build_filename(folder, name, NULL);

    g_assert_no_error(error);
    g_assert_cmpstr(found, ==, expected);
}

/* The refusal's whole sentence; "@" in it stands for folder. */
static void assert_refused(const char *child, const VhdChainOptions *options, const char *folder,
                           const char *sentence)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *found = parent_of(child, options, &error);
    g_auto(GStrv) parts = g_strsplit(sentence, "@", -1);
    g_autofree char *expected = g_strjoinv(folder, parts);

    g_assert_null(found);
    g_assert_error(error, VHD_ERROR, VHD_ERROR_PARENT);
    g_assert_cmpstr(error->message, ==, expected);
}

static void test_order(void)
{
    char *folder = sample_folder_new();
    static const char *const places[] = {"own/sub/relative.vhd", "else/absolute.vhd",
                                         "own/absolute.vhd",     "own/name.vhd",
                                         "golden/relative.vhd",  "golden/name.vhd"};
    g_autofree char *absolute = g_build_filename(folder, places[1], NULL);
    g_autofree char *golden = g_build_filename(folder, "golden", NULL);
    const char *parents[] = {golden, NULL};
    VhdChainOptions options = {.parents = parents};
    g_autofree char *child = sample_make(folder, "own/child.vhd",
                                         &(Sample){.uuid = 1,
                                                   .parent = 2,
                                                   .relative = "sub/relative.vhd",
                                                   .absolute = absolute,
                                                   .name = "name.vhd"});

    for (unsigned i = 0; i < G_N_ELEMENTS(places); i++)
        g_free(sample_make(folder, places[i], &(Sample){.uuid = 2}));
    for (unsigned i = 0; i < G_N_ELEMENTS(places); i++) {
        g_autofree char *path = g_build_filename(folder, places[i], NULL);

        assert_found(child, &options, folder, places[i]);
        g_unlink(path);
    }
    sample_folder_free(folder);
}

static void test_every_reason(void)
{
    char *folder = sample_folder_new();
    g_autofree char *fifo = g_build_filename(folder, "fifo.vhd", NULL);
    g_autofree char *golden = g_build_filename(folder, "golden", NULL);
    const char *parents[] = {golden, NULL};
    g_autofree char *child = sample_make(folder, "child.vhd",
                                         &(Sample){.uuid = 1,
                                                   .parent = 2,
                                                   .relative = "other.vhd",
                                                   .absolute = fifo,
                                                   .name = "child.vhd"});

    g_free(sample_make(folder, "other.vhd", &(Sample){.uuid = 3}));
    g_free(sample_raw(folder, "golden/other.vhd", 5000, 'x'));
    g_free(sample_raw(folder, "golden/child.vhd", 12, 'x'));
    g_assert_cmpint(mkfifo(fifo, 0600), ==, 0);
    assert_refused(child, &(VhdChainOptions){.parents = parents}, folder,
                   "@/child.vhd: its parent (uuid " PARENT_UUID ") was not found: "
                   "@/other.vhd: is another image, its uuid is 03030303030303030303030303030303; "
                   "@/fifo.vhd: is a FIFO; name a regular file; "
                   "@/child.vhd: is the child itself; "
                   "@/golden/other.vhd: is no VHD; "
                   "@/golden/fifo.vhd: cannot open it: No such file or directory; "
                   "@/golden/child.vhd: is no VHD");
    sample_folder_free(folder);
}

static void test_damaged_footers(void)
{
    char *folder = sample_folder_new();
    g_autofree char *child = sample_make(
        folder, "c.vhd",
        &(Sample){
            .uuid = 1, .parent = 2, .relative = "p.vhd", .absolute = "/p.vhd", .name = "p.vhd"});
    g_autofree char *parent = sample_make(folder, "p.vhd", &(Sample){.uuid = 2});

    sample_poke(parent, -200, SEEK_END, 7);
    assert_found(child, &(VhdChainOptions){0}, folder, "p.vhd"); /* by the copy at 0 */
    sample_poke(parent, 200, SEEK_SET, 7);
    assert_refused(
        child, &(VhdChainOptions){.confined = true}, folder,
        "@/c.vhd: its parent (uuid " PARENT_UUID ") was not found: "
        "@/p.vhd: has no good footer; /p.vhd: cannot open it: No such file or directory");
    sample_folder_free(folder);
}

static void test_dots_are_text(void)
{
    char *folder = sample_folder_new();
    g_autofree char *child =
        sample_make(folder, "a/b/c.vhd",
                    &(Sample){.uuid = 1, .parent = 2, .relative = "../missing/.././../p.vhd"});

    g_free(sample_make(folder, "p.vhd", &(Sample){.uuid = 2}));
    assert_found(child, &(VhdChainOptions){0}, folder, "p.vhd");
    sample_folder_free(folder);
}

static void test_another_machines_path(void)
{
    char *folder = sample_folder_new();
    g_autofree char *child = sample_make(
        folder, "c.vhd",
        &(Sample){.uuid = 1, .parent = 2, .absolute = "C:/Users/x/golden.vhd", .name = "q.vhd"});

    g_free(sample_make(folder, "golden.vhd", &(Sample){.uuid = 2}));
    assert_found(child, &(VhdChainOptions){.confined = true}, folder, "golden.vhd");
    sample_folder_free(folder);
}

static void test_folder_behind_links(void)
{
    char *folder = sample_folder_new();
    g_autofree char *child =
        sample_make(folder, "real/c.vhd", &(Sample){.uuid = 1, .parent = 2, .relative = "p.vhd"});
    g_autofree char *link = g_build_filename(folder, "link.vhd", NULL);

    g_free(sample_make(folder, "real/p.vhd", &(Sample){.uuid = 2}));
    g_assert_cmpint(symlink(child, link), ==, 0);
    assert_found(link, &(VhdChainOptions){.confined = true}, folder, "real/p.vhd");
    sample_folder_free(folder);
}

static void test_confined(void)
{
    char *folder = sample_folder_new();
    g_autofree char *child = sample_make(
        folder, "own/c.vhd", &(Sample){.uuid = 1, .parent = 2, .relative = "../golden/p.vhd"});
    g_autofree char *golden = g_build_filename(folder, "golden", NULL);
    g_autofree char *almost = g_build_filename(folder, "gold", NULL);
    const char *parents[] = {almost, NULL, NULL};
    VhdChainOptions options = {.confined = true, .parents = parents};
    const char *sentence =
        "@/own/c.vhd: its parent (uuid " PARENT_UUID ") was not found: "
        "@/golden/p.vhd: lies outside the folders allowed, parents=@/golden would allow it; "
        "/nowhere/none.vhd: cannot open it: No such file or directory; "
        "@/own/none.vhd: cannot open it: No such file or directory; "
        "@/gold/p.vhd: cannot open it: No such file or directory; "
        "@/gold/none.vhd: cannot open it: No such file or directory";

    g_free(sample_make(folder, "golden/p.vhd", &(Sample){.uuid = 2}));
    g_free(sample_raw(folder, "gold/other", 1, 0));
    assert_refused(child, &options, folder, sentence);
    parents[1] = golden;
    assert_found(child, &options, folder, "golden/p.vhd");
    parents[1] = folder; /* folders below it, too */
    assert_found(child, &options, folder, "golden/p.vhd");
    options = (VhdChainOptions){0};
    assert_found(child, &options, folder, "golden/p.vhd");
    sample_folder_free(folder);
}

/* Judged by the file opened: a link is as good as what it leads to. */
static void test_confined_links(void)
{
    char *folder = sample_folder_new();
    g_autofree char *child =
        sample_make(folder, "own/c.vhd", &(Sample){.uuid = 1, .parent = 2, .relative = "l.vhd"});
    g_autofree char *outside = sample_make(folder, "out/p.vhd", &(Sample){.uuid = 2});
    g_autofree char *inside = sample_make(folder, "own/below/p.vhd", &(Sample){.uuid = 2});
    g_autofree char *link = g_build_filename(folder, "own/l.vhd", NULL);
    VhdChainOptions options = {.confined = true};

    g_assert_cmpint(symlink(outside, link), ==, 0);
    assert_refused(child, &options, folder,
                   "@/own/c.vhd: its parent (uuid " PARENT_UUID ") was not found: "
                   "@/own/l.vhd: lies outside the folders allowed, parents=@/out would allow it; "
                   "/nowhere/none.vhd: cannot open it: No such file or directory; "
                   "@/own/none.vhd: cannot open it: No such file or directory");
    g_unlink(link);
    g_assert_cmpint(symlink(inside, link), ==, 0);
    assert_found(child, &options, folder, "own/l.vhd");
    sample_folder_free(folder);
}

static void test_raw_parent(void)
{
    char *folder = sample_folder_new();
    g_autofree char *child = sample_make(folder, "own/c.vhd",
                                         &(Sample){.uuid = 1,
                                                   .raw_parent = true,
                                                   .relative = "disk.raw",
                                                   .absolute = "/disk.raw",
                                                   .name = "disk.raw"});
    g_autofree char *golden = g_build_filename(folder, "golden", NULL);
    const char *parents[] = {golden, NULL};
    VhdChainOptions options = {0};

    g_free(sample_raw(folder, "own/disk.raw", SAMPLE_BYTES, 'r'));
    assert_refused(child, &options, folder,
                   "@/own/c.vhd: its parent is a raw file (the parent uuid is all zeros), "
                   "followed only with raw-parent=on and parents=DIR");
    options.raw_parent = true;
    assert_refused(child, &options, folder,
                   "@/own/c.vhd: its parent is a raw file (the parent uuid is all zeros), name "
                   "its folder with parents=DIR");
    options.parents = parents;
    g_free(sample_make(folder, "golden/disk.raw", &(Sample){.uuid = 0}));
    assert_refused(
        child, &options, folder,
        "@/own/c.vhd: its parent (a raw file) was not found: "
        "@/own/disk.raw: lies outside the folders allowed, parents=@/own would allow it; "
        "/disk.raw: cannot open it: No such file or directory; "
        "@/golden/disk.raw: is a VHD, but the child names a raw parent");
    g_free(sample_raw(folder, "golden/disk.raw", SAMPLE_BYTES, 'r'));
    assert_found(child, &options, folder, "golden/disk.raw");
    sample_folder_free(folder);
}

/* What an image says goes into one line of a log. */
static void test_wild_names(void)
{
    char *folder = sample_folder_new();
    g_autofree char *longest = g_malloc0(6000);
    g_autofree char *cut = NULL, *sentence = NULL;
    g_autofree char *child = NULL;

    memset(longest, 'n', 5000);
    child = sample_make(folder, "c.vhd",
                        &(Sample){.uuid = 1,
                                  .parent = 2,
                                  .relative = "a\nb\033[2J",
                                  .absolute = "/x",
                                  .name = "a\nb\033[2J"});
    assert_refused(child, &(VhdChainOptions){.confined = true}, folder,
                   "@/c.vhd: its parent (uuid " PARENT_UUID ") was not found: "
                   "@/a\\nb\\033[2J: has control characters; "
                   "/x: cannot open it: No such file or directory; "
                   "@/x: cannot open it: No such file or directory");
    g_free(child);
    child = sample_make(
        folder, "c.vhd",
        &(Sample){.uuid = 1, .parent = 2, .relative = longest, .absolute = "/x", .name = "x"});
    cut = g_strdup_printf("%s/%s", folder, longest);
    cut[200] = '\0';
    sentence = g_strdup_printf("@/c.vhd: its parent (uuid " PARENT_UUID ") was not found: "
                               "%s: is too long for a path; "
                               "/x: cannot open it: No such file or directory; "
                               "@/x: cannot open it: No such file or directory",
                               cut);
    assert_refused(child, &(VhdChainOptions){.confined = true}, folder, sentence);
    sample_folder_free(folder);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/resolve/order", test_order);
    g_test_add_func("/resolve/every-reason", test_every_reason);
    g_test_add_func("/resolve/damaged-footers", test_damaged_footers);
    g_test_add_func("/resolve/dots-are-text", test_dots_are_text);
    g_test_add_func("/resolve/another-machines-path", test_another_machines_path);
    g_test_add_func("/resolve/folder-behind-links", test_folder_behind_links);
    g_test_add_func("/resolve/confined", test_confined);
    g_test_add_func("/resolve/confined-links", test_confined_links);
    g_test_add_func("/resolve/raw-parent", test_raw_parent);
    g_test_add_func("/resolve/wild-names", test_wild_names);
    return g_test_run();
}
