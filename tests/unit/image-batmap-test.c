/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* XenServer's batmap: what cannot be kept true is taken away, or the image not written. */
#include <errno.h>
#include <string.h>

#include "tests/unit/image-fixture.h"
#include "vhd/be.h"
#include "vhd/error.h"

#define HEADER_OFF 2048 /* behind the BAT of an image of a few blocks */
#define MAP_OFF    2560

/* The image's last writer promises a map, and its header is this. */
static void promise(Fixture *f, uint64_t map_off, uint32_t map_sectors)
{
    const uint64_t footers[] = {0, mem_image_bytes(f->bytes) - VHD_FOOTER_BYTES};
    VhdBatmapHeader header = {
        .map_offset = map_off, .map_sectors = map_sectors, .version = 0x00010002};
    uint8_t raw[VHD_FOOTER_BYTES], map[512] = {0x80};
    for (unsigned i = 0; i < G_N_ELEMENTS(footers); i++) {
        VhdFooter footer;
        VhdFault fault;
        mem_image_read(f->bytes, footers[i], raw, sizeof raw);
        g_assert_true(vhd_footer_decode(raw, 0, &footer, &fault));
        footer.creator = VHD_CREATOR_TAPDISK;
        footer.creator_version = 0x00010003;
        vhd_footer_encode(&footer, raw);
        mem_image_write(f->bytes, footers[i], raw, sizeof raw);
    }
    header.checksum = vhd_checksum(map, sizeof map, SIZE_MAX);
    vhd_batmap_encode(&header, raw);
    mem_image_write(f->bytes, MAP_OFF, map, sizeof map);
    mem_image_write(f->bytes, HEADER_OFF, raw, sizeof raw);
}

static bool has_map(Fixture *f)
{
    char cookie[8];
    mem_image_read(f->bytes, HEADER_OFF, cookie, sizeof cookie);
    return memcmp(cookie, "tdbatmap", sizeof cookie) == 0;
}

/* With block 0 written, a header is put there, and the image opened again. */
static void setup_map(Fixture *f, uint64_t map_off, uint32_t map_sectors, GString *warnings)
{
    g_autoptr(GError) error = NULL;
    setup(f, VHD_TYPE_DYNAMIC, 64 * 1024, 4096);
    g_assert_cmpint(write_sectors(f->image, 0, 8, 0x11), ==, 0);
    g_assert_cmpint(vhd_image_finish(f->image), ==, 0);
    vhd_image_unref(f->image);
    promise(f, map_off, map_sectors);
    f->image = open_again(f, true, warnings, &error);
    g_assert_no_error(error);
}

static void test_kept(void)
{
    g_autoptr(GString) warnings = g_string_new(NULL);
    Fixture f;
    setup_map(&f, MAP_OFF, 1, warnings);
    g_assert_cmpstr(warnings->str, ==, "");
    g_assert_true(has_map(&f));
    g_assert_cmpuint(vhd_image_layout(f.image)->batmap_off, ==, MAP_OFF);
    teardown(&f);
}

/* Once the file has grown over where it would be, it would be there, and blocks in it. */
static void test_beyond_the_file(void)
{
    g_autoptr(GString) warnings = g_string_new(NULL);
    Fixture f;
    setup_map(&f, MAP_OFF, 60, warnings);
    g_assert_cmpstr(warnings->str, ==,
                    "a.vhd: the batmap reaches over blocks or the end: left aside\n");
    g_assert_false(has_map(&f));
    g_assert_cmpint(write_sectors(f.image, 8, 80, 0x22), ==, 0);
    g_assert_cmpint(vhd_image_finish(f.image), ==, 0);
    reopen(&f);
    g_assert_cmpint(sector_byte(f.image, 3), ==, 0x11);
    g_assert_cmpint(sector_byte(f.image, 80), ==, 0x22);
    teardown(&f);
}

/* Once the block is gone, it would count again, as it was. */
static void test_over_a_block(void)
{
    g_autoptr(GString) warnings = g_string_new(NULL);
    Fixture f;
    setup_map(&f, MAP_OFF, 12, warnings);
    g_assert_cmpstr(warnings->str, ==,
                    "a.vhd: the batmap reaches over blocks or the end: left aside\n");
    g_assert_false(has_map(&f));
    g_assert_cmpint(sector_byte(f.image, 3), ==, 0x11);
    teardown(&f);
}

/* Nobody knows what it says of a block that goes: nothing is written, but read. */
static void test_unreadable(void)
{
    for (unsigned nth = 1; nth <= 2; nth++) {
        g_autoptr(GError) error = NULL;
        Fixture f;
        setup_map(&f, MAP_OFF, 1, NULL);
        vhd_image_unref(f.image);
        faults_add(f.faults, &(FaultRule){.op = FILE_OP_READ,
                                          .kind = VHD_IO_BATMAP,
                                          .nth = nth,
                                          .forever = true,
                                          .error = EIO});
        g_assert_null(open_again(&f, true, NULL, &error));
        g_assert_error(error, VHD_ERROR, VHD_ERROR_IO);
        g_assert_cmpstr(error->message, ==, "a.vhd: cannot read the batmap: Input/output error");
        g_clear_error(&error);
        f.image = open_again(&f, false, NULL, &error);
        g_assert_no_error(error);
        g_assert_cmpint(sector_byte(f.image, 3), ==, 0x11);
        teardown(&f);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/image/batmap/kept", test_kept);
    g_test_add_func("/image/batmap/beyond-the-file", test_beyond_the_file);
    g_test_add_func("/image/batmap/over-a-block", test_over_a_block);
    g_test_add_func("/image/batmap/unreadable", test_unreadable);
    return g_test_run();
}
