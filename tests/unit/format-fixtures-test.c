/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* Images made by Windows, XenServer, VirtualBox and qemu, from the folder that the environment
 * variable VHD_FIXTURES names: accepted, encoded back byte for byte, and measured. */
#include <glib.h>
#include <string.h>

#include "vhd/be.h"
#include "vhd/error.h"
#include "vhd/layout.h"
#include "vhd/locator.h"

typedef struct Fixture {
    const char *file;
    VhdType type;
    uint64_t disk_bytes;
    VhdGeometry geometry;
    uint64_t bat_off;
    uint32_t blocks;
    uint64_t metadata_end;
    const char *w2ku, *w2ru; /* NULL: no parent */
    const char *name;
} Fixture;

static const Fixture fixtures[] = {
    {"win8.vhd", VHD_TYPE_DYNAMIC, 40u << 20, {963, 5, 17}, 1536, 20, 2048, NULL, NULL, NULL},
    {"win8.1-1GB.vhd",
     VHD_TYPE_DYNAMIC,
     1u << 30,
     {2080, 16, 63},
     1536,
     512,
     3584,
     NULL,
     NULL,
     NULL},
    {"xapi.vhd", VHD_TYPE_DYNAMIC, 40u << 20, {963, 5, 17}, 1536, 20, 2048, NULL, NULL, NULL},
    {"vbox.vhd", VHD_TYPE_DYNAMIC, 40u << 20, {963, 5, 17}, 1536, 20, 2048, NULL, NULL, NULL},
    {"qemu.vhd", VHD_TYPE_DYNAMIC, 41953280, {964, 5, 17}, 1536, 21, 2048, NULL, NULL, NULL},
    {"win8-child.vhd",
     VHD_TYPE_DIFFERENCING,
     40u << 20,
     {963, 5, 17},
     8192,
     20,
     77824,
     "C:/Users/sergi/Downloads/win8.vhd",
     "./win8.vhd",
     "C:/Users/sergi/Downloads/win8.vhd"},
    {"fat-differential.vhd",
     VHD_TYPE_DIFFERENCING,
     4u << 20,
     {120, 4, 17},
     8192,
     2,
     77824,
     "C:/Projects/dfvfs/test_data/fat-parent.vhd",
     "./fat-parent.vhd",
     "C:/Projects/dfvfs/test_data/fat-parent.vhd"},
};

typedef struct Image {
    uint8_t *bytes;
    size_t len;
    VhdFooter footer;
    VhdHeader header;
    VhdLayout layout;
} Image;

#define EXIT_SKIPPED 77

static unsigned skipped;

static bool image_load(Image *image, const char *file)
{
    const char *folder = g_getenv("VHD_FIXTURES");
    g_autofree char *path = g_build_filename(folder ? folder : VHD_FIXTURES_DEFAULT, file, NULL);
    char *bytes = NULL;

    *image = (Image){.bytes = NULL};
    if (!g_file_get_contents(path, &bytes, &image->len, NULL)) {
        skipped++;
        g_test_skip("the image is not there; set VHD_FIXTURES to the folder that has it");
        return false;
    }
    image->bytes = (uint8_t *)bytes;
    return true;
}

static void assert_footer_comes_back(Image *image, uint64_t off)
{
    uint8_t raw[VHD_FOOTER_BYTES];
    VhdFault fault = {VHD_FAULT_NONE, 0, 0, 0};

    if (!vhd_footer_decode(image->bytes + off, off, &image->footer, &fault))
        g_error("%s", vhd_fault_text(&fault));
    vhd_footer_encode(&image->footer, raw);
    g_assert_cmpmem(raw, sizeof(raw), image->bytes + off, sizeof(raw));
}

static void assert_header_comes_back(Image *image)
{
    uint64_t off = image->footer.data_offset;
    uint8_t raw[VHD_HEADER_BYTES];
    VhdFault fault = {VHD_FAULT_NONE, 0, 0, 0};

    if (!vhd_header_decode(image->bytes + off, off, &image->header, &fault))
        g_error("%s", vhd_fault_text(&fault));
    vhd_header_encode(&image->header, raw);
    g_assert_cmpmem(raw, sizeof(raw), image->bytes + off, sizeof(raw));
}

static void assert_measures(const Image *image, const Fixture *want)
{
    VhdGeometry geometry = vhd_geometry(image->footer.current_bytes);

    g_assert_cmpint(image->layout.type, ==, want->type);
    g_assert_cmpuint(image->layout.disk_sectors * 512, ==, want->disk_bytes);
    g_assert_cmpuint(image->layout.bat_off, ==, want->bat_off);
    g_assert_cmpuint(image->layout.blocks, ==, want->blocks);
    g_assert_cmpuint(image->layout.block_sectors, ==, 4096);
    g_assert_cmpuint(image->layout.bitmap_sectors, ==, 1);
    g_assert_cmpuint(vhd_layout_metadata_end(&image->layout), ==, want->metadata_end);
    g_assert_cmpuint(geometry.cylinders, ==, want->geometry.cylinders);
    g_assert_cmpuint(geometry.heads, ==, want->geometry.heads);
    g_assert_cmpuint(geometry.sectors_per_track, ==, want->geometry.sectors_per_track);
    g_assert_cmpuint(image->footer.geometry.cylinders, ==, want->geometry.cylinders);
    g_assert_cmpuint(image->footer.geometry.heads, ==, want->geometry.heads);
    g_assert_cmpuint(image->footer.geometry.sectors_per_track, ==,
                     want->geometry.sectors_per_track);
}

static void assert_entries_fit(const Image *image)
{
    for (uint32_t block = 0; block < image->layout.blocks; block++) {
        uint32_t entry = be32_get(image->bytes + image->layout.bat_off + 4 * (uint64_t)block);
        VhdFault fault;

        if (entry != VHD_BAT_UNUSED)
            g_assert_true(vhd_layout_entry_ok(&image->layout, block, entry,
                                              image->len - VHD_FOOTER_BYTES, &fault));
    }
}

static void assert_paths(const Image *image, const Fixture *want)
{
    g_autofree char *name = vhd_parent_name_decode(image->header.parent_name);

    g_assert_cmpstr(name, ==, want->name);
    for (unsigned i = 0; i < VHD_LOCATORS; i++) {
        const VhdLocator *locator = &image->header.locators[i];
        g_autofree char *path = NULL;

        if (locator->platform == VHD_PLATFORM_NONE)
            continue;
        path = vhd_locator_decode(locator->platform, image->bytes + locator->data_offset,
                                  locator->data_length);
        g_assert_cmpstr(path, ==, locator->platform == VHD_PLATFORM_W2KU ? want->w2ku : want->w2ru);
    }
}

static void test_fixture(gconstpointer data)
{
    const Fixture *want = data;
    VhdFault fault = {VHD_FAULT_NONE, 0, 0, 0};
    Image image;

    if (!image_load(&image, want->file))
        return;
    assert_footer_comes_back(&image, 0);
    assert_footer_comes_back(&image, image.len - VHD_FOOTER_BYTES);
    g_assert_true(
        vhd_layout_footer_ok(&image.footer, image.len - VHD_FOOTER_BYTES, image.len, &fault));
    assert_header_comes_back(&image);
    if (!vhd_layout_init(&image.layout, &image.footer, image.len - VHD_FOOTER_BYTES, &image.header,
                         image.len, &fault))
        g_error("%s", vhd_fault_text(&fault));
    assert_measures(&image, want);
    assert_entries_fit(&image);
    assert_paths(&image, want);
    g_free(image.bytes);
}

/* XenServer's batmap: promised, found behind the BAT, its checksum right, reserved. */
static void test_batmap(void)
{
    VhdFault fault = {VHD_FAULT_NONE, 0, 0, 0};
    VhdBatmapHeader batmap;
    Image image;
    uint64_t off, ends;
    uint8_t raw[VHD_BATMAP_BYTES];

    if (!image_load(&image, "xapi.vhd"))
        return;
    assert_footer_comes_back(&image, 0);
    assert_header_comes_back(&image);
    g_assert_true(vhd_footer_promises_batmap(&image.footer));
    g_assert_true(vhd_layout_init(&image.layout, &image.footer, image.len - VHD_FOOTER_BYTES,
                                  &image.header, image.len, &fault));
    off = vhd_layout_batmap_header_off(&image.layout);
    g_assert_cmpuint(off, ==, 2048);
    g_assert_true(vhd_batmap_decode(image.bytes + off, off, &batmap, &fault));
    vhd_batmap_encode(&batmap, raw);
    g_assert_cmpmem(raw, sizeof(raw), image.bytes + off, sizeof(raw));
    g_assert_true(vhd_layout_add_batmap(&image.layout, &batmap, &fault));
    g_assert_cmpuint(image.layout.batmap_off, ==, 2560);
    g_assert_cmpuint(image.layout.batmap_bytes, ==, 512);
    g_assert_cmphex(vhd_checksum(image.bytes + 2560, 512, 512), ==, batmap.checksum);
    ends = vhd_layout_metadata_end(&image.layout);
    g_assert_cmpuint(ends, ==, image.len - VHD_FOOTER_BYTES);
    g_free(image.bytes);
}

int main(int argc, char **argv)
{
    int failed;

    g_test_init(&argc, &argv, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(fixtures); i++) {
        g_autofree char *path = g_strconcat("/format/fixtures/", fixtures[i].file, NULL);

        g_test_add_data_func(path, &fixtures[i], test_fixture);
    }
    g_test_add_func("/format/fixtures/batmap", test_batmap);
    failed = g_test_run();
    return failed == 0 && skipped > 0 ? EXIT_SKIPPED : failed;
}
