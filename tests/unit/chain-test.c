/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* Opening what hangs together, and which layer a sector comes from. */
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>
#include <utime.h>

#include "tests/support/fault-file.h"
#include "tests/unit/chain-sample.h"
#include "vhd/chain.h"
#include "vhd/error.h"

static void log_line(void *data, VhdLogLevel level, const char *text)
{
    sample_log(data, (int)level, text);
}

/* The whole sentence of a refusal; "@" in it stands for folder. */
static void assert_refused(const char *path, const VhdChainOptions *options, bool probe,
                           const char *folder, VhdErrorCode code, const char *sentence)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VhdChain) chain = NULL;
    g_auto(GStrv) parts = g_strsplit(sentence, "@", -1);
    g_autofree char *expected = g_strjoinv(folder, parts);

    if (probe)
        g_assert_false(vhd_chain_probe(path, options, &error));
    else
        chain = vhd_chain_open(path, options, &error);
    g_assert_null(chain);
    g_assert_error(error, VHD_ERROR, (int)code);
    g_assert_cmpstr(error->message, ==, expected);
}

static VhdChain *open_ok(const char *path, const VhdChainOptions *options)
{
    g_autoptr(GError) error = NULL;
    VhdChain *chain = vhd_chain_open(path, options, &error);

    g_assert_no_error(error);
    return chain;
}

static void test_depth(void)
{
    char *folder = sample_folder_new();
    g_autofree char *child = sample_chain(folder, "d", 4);
    VhdChainOptions options = {.max_depth = 4};
    g_autoptr(VhdChain) chain = open_ok(child, &options);

    g_assert_cmpuint(vhd_chain_depth(chain), ==, 4);
    g_assert_cmpuint(vhd_chain_sectors(chain), ==, SAMPLE_BYTES / 512);
    options.max_depth = 3;
    for (unsigned probe = 0; probe < 2; probe++)
        assert_refused(child, &options, probe, folder, VHD_ERROR_DEPTH,
                       "@/d-2.vhd: has a parent still, but is layer 3 of the chain of @/d-0.vhd, "
                       "and at most 3 are served (max-depth=)");
    sample_folder_free(folder);
}

static void test_cycle(void)
{
    char *folder = sample_folder_new();
    g_autofree char *a =
        sample_make(folder, "a.vhd", &(Sample){.uuid = 1, .parent = 2, .relative = "b.vhd"});

    g_free(sample_make(folder, "b.vhd", &(Sample){.uuid = 2, .parent = 3, .relative = "c.vhd"}));
    g_free(sample_make(folder, "c.vhd", &(Sample){.uuid = 3, .parent = 2, .relative = "b.vhd"}));
    assert_refused(a, &(VhdChainOptions){0}, false, folder, VHD_ERROR_PARENT,
                   "@/c.vhd: names @/b.vhd as its parent, which is a child of it: the chain is a "
                   "cycle");
    sample_folder_free(folder);
}

/* Images whose BATs have room for 16 Mi blocks, most of it a hole in the file. */
static void make_vast(const char *path)
{
    uint64_t bat = 1 << 20, bytes = bat + (UINT64_C(64) << 20) + 512;
    uint8_t raw[VHD_HEADER_BYTES];
    int fd = open(path, O_RDWR | O_CLOEXEC);
    VhdFooter footer;
    VhdHeader header;
    VhdFault fault;

    g_assert_cmpint(pread(fd, raw, 512, 0), ==, 512);
    g_assert_true(vhd_footer_decode(raw, 0, &footer, &fault));
    g_assert_cmpint(pread(fd, raw, 1024, 512), ==, 1024);
    g_assert_true(vhd_header_decode(raw, 512, &header, &fault));
    footer.current_bytes = UINT64_C(64) << 30;
    header.block_bytes = 4096;
    header.bat_entries = VHD_BAT_MAX_ENTRIES;
    header.bat_offset = bat;
    vhd_header_encode(&header, raw);
    g_assert_cmpint(pwrite(fd, raw, 1024, 512), ==, 1024);
    vhd_footer_encode(&footer, raw);
    g_assert_cmpint(ftruncate(fd, (off_t)bytes), ==, 0);
    g_assert_cmpint(pwrite(fd, raw, 512, 0), ==, 512);
    g_assert_cmpint(pwrite(fd, raw, 512, (off_t)bytes - 512), ==, 512);
    close(fd);
}

static void test_bat_bytes(void)
{
    char *folder = sample_folder_new();
    g_autofree char *child = sample_chain(folder, "v", 17);

    for (unsigned i = 0; i < 16; i++) {
        g_autofree char *path = g_strdup_printf("%s/v-%u.vhd", folder, i);

        make_vast(path);
    }
    /* Sixteen are just within it; the small one at the bottom is too much. */
    assert_refused(child, &(VhdChainOptions){0}, true, folder, VHD_ERROR_UNSUPPORTED,
                   "@/v-16.vhd: the block tables of this chain take 1073742336 bytes down to this "
                   "layer, at most 1073741824 are served");
    sample_folder_free(folder);
}

static void test_busy(void)
{
    char *folder = sample_folder_new();
    g_autofree char *child = sample_chain(folder, "b", 2);
    g_autofree char *parent = g_build_filename(folder, "b-1.vhd", NULL);
    g_autofree char *other =
        sample_make(folder, "other.vhd", &(Sample){.uuid = 9, .parent = 2, .relative = "b-1.vhd"});
    VhdChainOptions writer = {.writable = true, .lock = true};
    VhdChain *chain = open_ok(parent, &writer);
    VhdChain *second;

    for (unsigned probe = 0; probe < 2; probe++) {
        g_autoptr(GError) error = NULL;
        bool ok = probe ? vhd_chain_probe(child, &writer, &error)
                        : vhd_chain_open(child, &writer, &error) != NULL;

        g_assert_false(ok);
        g_assert_error(error, VHD_ERROR, VHD_ERROR_BUSY);
        g_assert_true(g_str_has_prefix(error->message, parent));
    }
    vhd_chain_free(chain);
    /* Two children share a parent, and keep writers off it. */
    chain = open_ok(child, &writer);
    second = open_ok(other, &writer);
    g_assert_null(vhd_chain_open(parent, &writer, NULL));
    vhd_chain_free(chain);
    vhd_chain_free(second);
    vhd_chain_free(open_ok(parent, &writer));
    sample_folder_free(folder);
}

static VhdFile *wrap(VhdFile *file, void *data)
{
    return fault_file_new(file, data);
}

static void test_parents_synced_once(void)
{
    char *folder = sample_folder_new();
    g_autofree char *child = sample_chain(folder, "s", 3);
    g_autoptr(Faults) faults = faults_new();
    VhdChainOptions options = {.wrap = wrap, .wrap_data = faults};

    vhd_chain_free(open_ok(child, &options));
    g_assert_cmpuint(faults_count(faults, FILE_OP_BARRIER, FILE_KIND_ANY), ==, 0);
    options.writable = true;
    vhd_chain_free(open_ok(child, &options));
    g_assert_cmpuint(faults_count(faults, FILE_OP_BARRIER, FILE_KIND_ANY), ==, 3);
    /* The child's own is the first; a parent that cannot be synced cannot be relied on. */
    faults_fail(faults, FILE_OP_BARRIER, FILE_KIND_ANY, 2, EIO);
    assert_refused(child, &options, false, folder, VHD_ERROR_IO,
                   "@/s-1.vhd: cannot sync it: Input/output error");
    sample_folder_free(folder);
}

static void test_newer_parent(void)
{
    static const struct {
        uint32_t stamp;
        time_t mtime;
        bool warns;
    } cases[] = {
        {1000, VHD_EPOCH_UNIX + 1000, false},
        {1000, VHD_EPOCH_UNIX + 1001, true},
        {0, VHD_EPOCH_UNIX + 1001, false},
    };
    char *folder = sample_folder_new();
    g_autofree char *parent = sample_make(folder, "p.vhd", &(Sample){.uuid = 2});

    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *child = sample_make(
            folder, "c.vhd",
            &(Sample){.uuid = 1, .parent = 2, .relative = "p.vhd", .stamp = cases[i].stamp});
        g_autoptr(GString) log = g_string_new(NULL);
        g_autofree char *expected =
            g_strdup_printf("1 %s: was changed after its child %s was made; if its content "
                            "changed, what the child shows is a mixture\n",
                            parent, child);
        struct utimbuf times = {cases[i].mtime, cases[i].mtime};

        g_assert_cmpint(utime(parent, &times), ==, 0);
        vhd_chain_free(open_ok(child, &(VhdChainOptions){.log = log_line, .log_data = log}));
        g_assert_cmpstr(log->str, ==, cases[i].warns ? expected : "");
    }
    sample_folder_free(folder);
}

static void test_missing_parents_folder(void)
{
    char *folder = sample_folder_new();
    g_autofree char *image = sample_make(folder, "i.vhd", &(Sample){.uuid = 2});
    g_autoptr(GString) log = g_string_new(NULL);
    const char *parents[] = {"/nowhere/at/all", NULL};

    vhd_chain_free(
        open_ok(image, &(VhdChainOptions){.parents = parents, .log = log_line, .log_data = log}));
    g_assert_cmpstr(log->str, ==,
                    "1 parents=/nowhere/at/all: No such file or directory; it is passed over\n");
    sample_folder_free(folder);
}

static void test_write_protected(void)
{
    char *folder = sample_folder_new();
    g_autofree char *image = sample_make(folder, "i.vhd", &(Sample){.uuid = 1});
    VhdChainOptions options = {.writable = true};

    g_assert_cmpint(chmod(image, 0444), ==, 0);
    for (unsigned probe = 0; probe < 2; probe++) {
        g_autoptr(GError) error = NULL;
        bool ok = probe ? vhd_chain_probe(image, &options, &error)
                        : vhd_chain_open(image, &options, &error) != NULL;

        g_assert_false(ok);
        g_assert_error(error, VHD_ERROR, VHD_ERROR_READONLY);
    }
    options.force_write = true;
    g_assert_true(vhd_chain_probe(image, &options, NULL));
    if (geteuid() == 0)
        vhd_chain_free(open_ok(image, &options));
    sample_folder_free(folder);
}

static char *content_of(const char *path)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *bytes = NULL;
    gsize len;

    g_file_get_contents(path, &bytes, &len, &error);
    g_assert_no_error(error);
    return g_compute_checksum_for_data(G_CHECKSUM_SHA256, (const guchar *)bytes, len);
}

/* Two different footers are repaired by opening for writing, never by asking. */
static void test_probe_changes_nothing(void)
{
    char *folder = sample_folder_new();
    g_autofree char *child = sample_chain(folder, "p", 2);
    g_autofree char *pending = g_build_filename(folder, "pending", NULL);
    g_autofree char *before = NULL, *after = NULL;
    VhdChainOptions options = {
        .writable = true, .lock = true, .pending = true, .pending_dir = pending};
    g_autoptr(GError) error = NULL;

    sample_poke(child, 100, SEEK_SET, 1);
    before = content_of(child);
    g_assert_true(vhd_chain_probe(child, &options, &error));
    g_assert_no_error(error);
    after = content_of(child);
    g_assert_cmpstr(before, ==, after);
    g_assert_false(g_file_test(pending, G_FILE_TEST_EXISTS));
    sample_folder_free(folder);
}

/* Mapping */

/* Write sectors of one layer, so that they are present there. */
static void write_layer(const char *path, uint64_t sector, uint64_t sectors)
{
    g_autoptr(VhdChain) chain = open_ok(path, &(VhdChainOptions){.writable = true});
    VhdImage *image = vhd_chain_layer(chain, 0);
    g_autofree uint8_t *data = g_malloc0(sectors * 512);
    VhdImageWrite write;

    g_assert_cmpint(vhd_image_begin_write(image, sector, sectors, &write), ==, 0);
    g_assert_cmpuint(write.sectors, ==, sectors);
    g_assert_cmpint(
        vhd_file_write(vhd_image_file(image), VHD_IO_DATA, write.off, data, sectors * 512), ==, 0);
    g_assert_cmpint(vhd_image_end_write(image, &write, true), ==, 0);
    g_assert_cmpint(vhd_image_finish(image), ==, 0);
}

/* The disk's extents as "LAYER:SECTORS ", -1 as "z"; offsets are checked against the layer's own.
 */
static char *map_text(VhdChain *chain, uint64_t most)
{
    GString *text = g_string_new(NULL);
    uint64_t sector = 0;

    while (sector < vhd_chain_sectors(chain)) {
        VhdExtent extent;

        g_assert_cmpint(vhd_chain_map(chain, sector, most, &extent), ==, 0);
        if (extent.layer >= 0) {
            VhdImageExtent own;

            g_assert_cmpint(
                vhd_image_map(vhd_chain_layer(chain, (unsigned)extent.layer), sector, 1, &own), ==,
                0);
            g_assert_cmpuint(own.off, ==, extent.off);
        }
        if (extent.layer < 0)
            g_string_append(text, "z");
        else
            g_string_append_printf(text, "%d", extent.layer);
        g_string_append_printf(text, ":%" G_GUINT64_FORMAT " ", extent.sectors);
        sector += extent.sectors;
    }
    return g_string_free(text, FALSE);
}

static void test_map(void)
{
    char *folder = sample_folder_new();
    /* 4 KiB blocks are 8 sectors; sizes in sectors: root 32, middle 20, child 40 */
    g_autofree char *root = sample_make(
        folder, "root.vhd", &(Sample){.uuid = 3, .bytes = 32 * 512, .block_bytes = 4096});
    g_autofree char *middle = sample_make(folder, "middle.vhd",
                                          &(Sample){.uuid = 2,
                                                    .parent = 3,
                                                    .bytes = 20 * 512,
                                                    .block_bytes = 8192,
                                                    .relative = "root.vhd"});
    g_autofree char *child = sample_make(folder, "child.vhd",
                                         &(Sample){.uuid = 1,
                                                   .parent = 2,
                                                   .bytes = 40 * 512,
                                                   .block_bytes = 4096,
                                                   .relative = "middle.vhd"});
    g_autoptr(VhdChain) chain = NULL;
    g_autofree char *text = NULL, *singly = NULL;
    VhdExtent extent;

    write_layer(root, 0, 3);  /* block 0: a dynamic block is there as a whole */
    write_layer(root, 24, 1); /* beyond the middle's end */
    write_layer(middle, 2, 4);
    write_layer(middle, 18, 2);
    write_layer(child, 5, 2);
    write_layer(child, 36, 1);
    chain = open_ok(child, &(VhdChainOptions){0});
    text = map_text(chain, 1000);
    g_assert_cmpstr(text, ==, "2:2 1:3 0:2 2:1 z:8 z:2 1:2 z:12 z:4 0:1 z:3 ");
    singly = map_text(chain, 1);
    g_assert_cmpuint(strlen(singly), ==, 40 * strlen("z:1 "));
    g_assert_cmpint(vhd_chain_map(chain, 40, 1, &extent), ==, -EINVAL);
    g_assert_cmpint(vhd_chain_map(chain, 0, 0, &extent), ==, -EINVAL);
    sample_folder_free(folder);
}

static void test_map_error(void)
{
    char *folder = sample_folder_new();
    g_autofree char *child = sample_chain(folder, "m", 3);
    g_autofree char *middle = g_build_filename(folder, "m-1.vhd", NULL);
    g_autoptr(Faults) faults = faults_new();
    g_autoptr(VhdChain) chain = NULL;
    VhdExtent extent;

    write_layer(middle, 3, 1);
    chain = open_ok(child, &(VhdChainOptions){.wrap = wrap, .wrap_data = faults});
    faults_fail(faults, FILE_OP_READ, VHD_IO_BITMAP, 1, EIO);
    g_assert_cmpint(vhd_chain_map(chain, 0, 1, &extent), ==, -EIO);
    g_assert_cmpint(vhd_chain_map(chain, 0, 100, &extent), ==, 0);
    g_assert_cmpint(extent.layer, ==, -1);
    g_assert_cmpuint(extent.sectors, ==, 3);
    sample_folder_free(folder);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/chain/depth", test_depth);
    g_test_add_func("/chain/cycle", test_cycle);
    g_test_add_func("/chain/bat-bytes", test_bat_bytes);
    g_test_add_func("/chain/busy", test_busy);
    g_test_add_func("/chain/parents-synced-once", test_parents_synced_once);
    g_test_add_func("/chain/newer-parent", test_newer_parent);
    g_test_add_func("/chain/missing-parents-folder", test_missing_parents_folder);
    g_test_add_func("/chain/write-protected", test_write_protected);
    g_test_add_func("/chain/probe-changes-nothing", test_probe_changes_nothing);
    g_test_add_func("/chain/map", test_map);
    g_test_add_func("/chain/map-error", test_map_error);
    return g_test_run();
}
