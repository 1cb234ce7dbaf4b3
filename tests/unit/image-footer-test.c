/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* Footers lost, damaged, planted. */
#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>

#include "tests/unit/image-fixture.h"
#include "vhd/error.h"
#include "vhd/image-create.h"

/* One bad footer of two: the other serves, and is restored before anything could hurt the good one.
 */
static void test_one_bad_footer(void)
{
    for (int trailing = 0; trailing < 2; trailing++) {
        Fixture f;
        g_autoptr(GError) error = NULL;
        GString *warnings = g_string_new(NULL);
        setup(&f, VHD_TYPE_DYNAMIC, 8 * MIB, 2 * MIB);
        vhd_image_unref(f.image);
        damage(f.bytes, trailing ? mem_image_bytes(f.bytes) - 400 : 112);
        f.image = open_again(&f, true, warnings, &error);
        g_assert_no_error(error);
        g_assert_nonnull(strstr(warnings->str, "serves"));
        g_assert_cmpint(write_sectors(f.image, 0, 1, 0x11), ==, 0);
        g_assert_cmpint(vhd_image_finish(f.image), ==, 0);
        vhd_image_unref(f.image);
        g_string_truncate(warnings, 0);
        f.image = open_again(&f, false, warnings, &error);
        g_assert_no_error(error);
        g_assert_cmpstr(warnings->str, ==, "");
        g_assert_cmpint(sector_byte(f.image, 0), ==, 0x11);
        g_string_free(warnings, TRUE);
        teardown(&f);
    }
}

static void test_no_footer(void)
{
    Fixture f;
    g_autoptr(GError) error = NULL;
    setup(&f, VHD_TYPE_DYNAMIC, 8 * MIB, 2 * MIB);
    vhd_image_unref(f.image);
    damage(f.bytes, 0);
    damage(f.bytes, mem_image_bytes(f.bytes) - 512);
    f.image = open_again(&f, true, NULL, &error);
    g_assert_null(f.image);
    g_assert_error(error, VHD_ERROR, VHD_ERROR_NOT_VHD);
    g_assert_cmpstr(error->message, ==,
                    "a.vhd: not a VHD: no footer at its end nor at its beginning");
    teardown(&f);
}

/* What a guest writes into sector 0 of a fixed disk never becomes the image's footer. */
static void test_fixed_with_planted_footer(void)
{
    Fixture f;
    g_autoptr(GError) error = NULL;
    g_autoptr(MemImage) other = make_image(VHD_TYPE_DYNAMIC, 8 * MIB, 2 * MIB);
    uint8_t planted[4096];
    mem_image_read(other, 0, planted, sizeof planted);
    setup(&f, VHD_TYPE_FIXED, 8 * MIB, 0);
    mem_image_write(f.bytes, 0, planted, sizeof planted);
    reopen(&f);
    g_assert_cmpint(vhd_image_layout(f.image)->type, ==, VHD_TYPE_FIXED);
    vhd_image_unref(f.image);
    damage(f.bytes, mem_image_bytes(f.bytes) - 1);
    f.image = open_again(&f, true, NULL, &error);
    g_assert_null(f.image);
    g_assert_error(error, VHD_ERROR, VHD_ERROR_CORRUPT);
    teardown(&f);
}

/* A power cut left the file ending in a guest's sector that holds a fixed image's footer. */
static void test_nested_fixed_footer(void)
{
    Fixture f;
    g_autoptr(GError) error = NULL;
    g_autoptr(MemImage) other = make_image(VHD_TYPE_FIXED, 1 * MIB, 0);
    uint8_t footer[512];
    mem_image_read(other, 1 * MIB, footer, sizeof footer);
    setup(&f, VHD_TYPE_DYNAMIC, 8 * MIB, 2 * MIB);
    vhd_image_unref(f.image);
    mem_image_write(f.bytes, mem_image_bytes(f.bytes), footer, sizeof footer);
    f.image = open_again(&f, true, NULL, &error);
    g_assert_no_error(error);
    g_assert_cmpint(vhd_image_layout(f.image)->type, ==, VHD_TYPE_DYNAMIC);
    g_assert_false(vhd_image_writable(f.image));
    teardown(&f);
}

/* The footer stands close behind the only block, as nobody but us puts it further back, and the
 * block's space is used again: the file does not get longer, and keeps its footer at its end. */
static void test_reuse_in_front_of_footer(void)
{
    Fixture f;
    g_autoptr(GError) error = NULL;
    GString *warnings = g_string_new(NULL);
    uint8_t footer[512], zeros[4096] = {0};
    setup(&f, VHD_TYPE_DYNAMIC, 8 * MIB, 2 * MIB);
    g_assert_cmpint(write_sectors(f.image, 0, 1, 0x11), ==, 0);
    g_assert_cmpint(vhd_image_finish(f.image), ==, 0);
    vhd_image_unref(f.image);
    uint64_t bytes = mem_image_bytes(f.bytes), block_end = bytes - sizeof zeros;
    mem_image_read(f.bytes, bytes - sizeof footer, footer, sizeof footer);
    mem_image_write(f.bytes, block_end, zeros, sizeof zeros);
    mem_image_resize(f.bytes, block_end + 1024);
    mem_image_write(f.bytes, block_end + 512, footer, sizeof footer);
    f.image = open_again(&f, true, NULL, &error);
    g_assert_no_error(error);
    g_assert_cmpint(vhd_image_unmap(f.image, 0, 4096), ==, 0);
    g_assert_cmpint(vhd_image_flush(f.image), ==, 0);
    g_assert_cmpint(write_sectors(f.image, 4096, 1, 0x22), ==, 0);
    g_assert_cmpint(vhd_image_finish(f.image), ==, 0);
    vhd_image_unref(f.image);
    g_assert_cmpuint(mem_image_bytes(f.bytes), ==, block_end + 1024);
    f.image = open_again(&f, false, warnings, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(warnings->str, ==, "");
    g_assert_cmpint(sector_byte(f.image, 4096), ==, 0x22);
    g_string_free(warnings, TRUE);
    teardown(&f);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/image/one-bad-footer", test_one_bad_footer);
    g_test_add_func("/image/no-footer", test_no_footer);
    g_test_add_func("/image/fixed-with-planted-footer", test_fixed_with_planted_footer);
    g_test_add_func("/image/nested-fixed-footer", test_nested_fixed_footer);
    g_test_add_func("/image/reuse-in-front-of-footer", test_reuse_in_front_of_footer);
    return g_test_run();
}
