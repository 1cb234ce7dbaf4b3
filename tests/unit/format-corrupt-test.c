/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* A sound image, one field of it poked: what is refused, with the whole sentence; and what is only
 * informative, served with any value and carried as it is. */
#include <glib.h>
#include <string.h>

#include "format-sample.h"
#include "vhd/be.h"

typedef struct Corrupt {
    const char *name;
    uint64_t off;     /* of the poked field in the file */
    unsigned width;   /* bytes */
    uint64_t value;   /* put there */
    bool fix;         /* checksums after that */
    const char *want; /* behind "FILE: " */
} Corrupt;

#define FOOT(at)   (SAMPLE_FOOTER_OFF + (at))
#define HEAD(at)   (SAMPLE_HEADER_OFF + (at))
#define LOC(k, at) (SAMPLE_HEADER_OFF + 576 + 24 * (k) + (at))
#define DAMAGED    "the image is damaged; restore it from a backup"
#define CUT_OFF    "which was cut off or is damaged; restore it from a backup"
#define CONVERT    "; convert it with the program that made it"

static const Corrupt corrupts[] = {
    {"footer/cookie", FOOT(0), 8, UINT64_C(0x434F4E4543544958), true,
     "footer cookie at offset 81408 is \"CONECTIX\", expected \"conectix\": it is no VHD or its "
     "end "
     "was cut off; name another file or copy it anew from its source"},
    {"footer/cookie-binary", FOOT(7), 1, 0x01, true,
     "footer cookie at offset 81408 is 0x636F6E6563746901, expected \"conectix\": it is no VHD or "
     "its end was cut off; name another file or copy it anew from its source"},
    {"footer/poisoned", FOOT(0), 8, UINT64_C(0x765F706F69736F6E), true,
     "footer cookie at offset 81408 is \"v_poison\", expected \"conectix\": XenServer marks so an "
     "image whose resizing was cut off; finish or undo that on the XenServer host, or restore the "
     "image from a backup"},
    {"footer/checksum", FOOT(64), 4, 0x00001234, false, "CHECKSUM"},
    {"footer/version", FOOT(12), 4, 0x00020000, true,
     "footer version at offset 81420 is 0x00020000, expected 0x00010000: the format is not known "
     "here" CONVERT},
    {"footer/type-0", FOOT(60), 4, 0, true,
     "disk type at offset 81468 is 0, expected 2, 3 or 4: it is neither fixed nor dynamic nor "
     "differencing" CONVERT},
    {"footer/type-1", FOOT(60), 4, 1, true,
     "disk type at offset 81468 is 1, expected 2, 3 or 4: it is neither fixed nor dynamic nor "
     "differencing" CONVERT},
    {"footer/type-5", FOOT(60), 4, 5, true,
     "disk type at offset 81468 is 5, expected 2, 3 or 4: it is neither fixed nor dynamic nor "
     "differencing" CONVERT},
    {"footer/type-fixed", FOOT(60), 4, 2, true,
     "the file is 81920 bytes long, expected at least 41943552 for the disk size at offset 81456: "
     "it was cut off; copy it anew from its source"},
    {"footer/size-0", FOOT(48), 8, 0, true,
     "disk size at offset 81456 is 0, expected a positive multiple of 512: " DAMAGED},
    {"footer/size-odd", FOOT(48), 8, 41943041, true,
     "disk size at offset 81456 is 41943041, expected a positive multiple of 512: " DAMAGED},
    {"footer/size-large", FOOT(48), 8, UINT64_C(2190433321472), true,
     "disk size at offset 81456 is 2190433321472, expected at most 2190433320960: no VHD of its "
     "type can be that large, " DAMAGED},
    {"footer/size-one-block-more", FOOT(48), 8, 41943552, true,
     "number of blocks at offset 540 is 20, expected at least 21: " DAMAGED},
    {"footer/header-beyond", FOOT(16), 8, 80896, true,
     "place of the header at offset 81424 is 80896, expected at most 80384: the header would not "
     "lie inside the file, " CUT_OFF},
    {"footer/header-far", FOOT(16), 8, UINT64_C(0xFFFFFFFFFFFFFE00), true,
     "place of the header at offset 81424 is 18446744073709551104, expected at most 80384: the "
     "header would not lie inside the file, " CUT_OFF},
    {"footer/header-unaligned", FOOT(16), 8, 513, true,
     "place of the header at offset 81424 is 513, expected a multiple of 512: " DAMAGED},
    {"footer/header-on-copy", FOOT(16), 8, 0, true,
     "the place that the field at offset 81424 names begins at 0, inside another that ends at "
     "512: " DAMAGED},
    {"footer/header-elsewhere", FOOT(16), 8, 1024, true,
     "header cookie at offset 1024 is 0x0000000000000000, expected \"cxsparse\": " DAMAGED},
    {"header/cookie", HEAD(0), 8, UINT64_C(0x6378737061727365) + 1, true,
     "header cookie at offset 512 is \"cxsparsf\", expected \"cxsparse\": " DAMAGED},
    {"header/checksum", HEAD(36), 4, 0x00001234, false, "CHECKSUM"},
    {"header/version", HEAD(24), 4, 0, true,
     "header version at offset 536 is 0x00000000, expected 0x00010000: the format is not known "
     "here" CONVERT},
    {"header/block-small", HEAD(32), 4, 2048, true,
     "block size at offset 544 is 2048, expected at least 4096: such blocks are not served "
     "here" CONVERT},
    {"header/block-large", HEAD(32), 4, 512u << 20, true,
     "block size at offset 544 is 536870912, expected at most 268435456: such blocks are not "
     "served here" CONVERT},
    {"header/block-odd", HEAD(32), 4, 2097152 + 512, true,
     "block size at offset 544 is 2097664, expected a power of two: such blocks are not served "
     "here" CONVERT},
    {"header/entries-few", HEAD(28), 4, 19, true,
     "number of blocks at offset 540 is 19, expected at least 20: " DAMAGED},
    {"header/entries-many", HEAD(28), 4, 16777217, true,
     "number of blocks at offset 540 is 16777217, expected at most 16777216: " DAMAGED},
    {"header/entries-no-room", HEAD(28), 4, 16777216, true,
     "the file is 81920 bytes long, expected at least 67109888 for what the field at offset 528 "
     "asks for: it was cut off or is damaged; restore it from a backup"},
    {"header/bat-beyond", HEAD(16), 8, 81408, true,
     "place of the block table at offset 528 is 81408, expected at most 80896: the table would not "
     "lie inside the file, " CUT_OFF},
    {"header/bat-unaligned", HEAD(16), 8, 8196, true,
     "place of the block table at offset 528 is 8196, expected a multiple of 512: " DAMAGED},
    {"header/bat-on-copy", HEAD(16), 8, 0, true,
     "the place that the field at offset 528 names begins at 0, inside another that ends at "
     "512: " DAMAGED},
    {"header/bat-on-header", HEAD(16), 8, 1024, true,
     "the place that the field at offset 528 names begins at 1024, inside another that ends at "
     "1536: " DAMAGED},
    {"locator/on-copy", LOC(0, 16), 8, 446, true,
     "the place that the field at offset 1104 names begins at 446, inside another that ends at "
     "512: " DAMAGED},
    {"locator/on-header", LOC(0, 16), 8, 1535, true,
     "the place that the field at offset 1104 names begins at 1535, inside another that ends at "
     "1536: " DAMAGED},
    {"locator/on-bat", LOC(1, 16), 8, 8173, true,
     "the place that the field at offset 1128 names begins at 8173, inside another that ends at "
     "8704: " DAMAGED},
    {"locator/on-locator", LOC(1, 16), 8, 4161, true,
     "the place that the field at offset 1128 names begins at 4161, inside another that ends at "
     "4162: " DAMAGED},
    {"locator/beyond", LOC(1, 16), 8, 81389, true,
     "a parent locator whose place is at offset 1128 ends at 81409, expected at most 81408, where "
     "the room for it ends: the file was cut off or is damaged; restore it from a backup"},
    {"locator/wraps", LOC(1, 16), 8, UINT64_MAX, true,
     "a parent locator whose place is at offset 1128 ends at 18446744073709551615, expected at "
     "most 81408, where the room for it ends: the file was cut off or is damaged; restore it from "
     "a backup"},
    {"locator/long", LOC(1, 8), 4, 65537, true,
     "length of a parent locator at offset 1120 is 65537, expected at most 65536: " DAMAGED},
};

static void poke(uint8_t *image, uint64_t off, unsigned width, uint64_t value)
{
    for (unsigned i = 0; i < width; i++)
        image[off + i] = (uint8_t)(value >> 8 * (width - 1 - i));
}

/* A wrong checksum names the sum that would be right, which the poked image tells. */
static char *checksum_sentence(const uint8_t *image, const Corrupt *c)
{
    bool footer = c->off >= SAMPLE_FOOTER_OFF;
    const uint8_t *record = image + (footer ? SAMPLE_FOOTER_OFF : SAMPLE_HEADER_OFF);
    uint32_t want = footer ? vhd_checksum(record, 512, 64) : vhd_checksum(record, 1024, 36);

    return g_strdup_printf("%s checksum at offset %" G_GUINT64_FORMAT " is 0x00001234, expected "
                           "0x%08X: " DAMAGED,
                           footer ? "footer" : "header", c->off, want);
}

static void test_corrupt(gconstpointer data)
{
    const Corrupt *c = data;
    g_autofree uint8_t *image = g_malloc(SAMPLE_BYTES);
    g_autofree char *got = NULL, *text = NULL, *want = NULL;

    sample_fill(image);
    g_assert_null(sample_judge(image, SAMPLE_BYTES, NULL));
    poke(image, c->off, c->width, c->value);
    if (c->fix)
        sample_fix_checksums(image);
    text = strcmp(c->want, "CHECKSUM") == 0 ? checksum_sentence(image, c) : g_strdup(c->want);
    want = g_strconcat(SAMPLE_FILE ": ", text, NULL);
    got = sample_judge(image, SAMPLE_BYTES, NULL);
    g_assert_cmpstr(got, ==, want);
}

/* Any bit of a record that changes is noticed. */
static void test_every_bit(void)
{
    g_autofree uint8_t *image = g_malloc(SAMPLE_BYTES);

    sample_fill(image);
    for (unsigned bit = 0; bit < (VHD_HEADER_BYTES + VHD_FOOTER_BYTES) * 8; bit++) {
        unsigned off =
            bit / 8 < VHD_HEADER_BYTES ? HEAD(bit / 8) : FOOT(bit / 8 - VHD_HEADER_BYTES);
        g_autofree char *got = NULL;

        image[off] ^= (uint8_t)(1 << bit % 8);
        got = sample_judge(image, SAMPLE_BYTES, NULL);
        g_assert_nonnull(got);
        image[off] ^= (uint8_t)(1 << bit % 8);
    }
}

/* Fields that only inform: first and last byte. */
static const struct {
    const char *name;
    uint64_t first, last;
} informative[] = {
    {"footer/features", FOOT(8), FOOT(11)},
    {"footer/version-minor", FOOT(14), FOOT(15)},
    {"footer/time-stamp", FOOT(24), FOOT(27)},
    {"footer/creator", FOOT(28), FOOT(39)},
    {"footer/original-size", FOOT(40), FOOT(47)},
    {"footer/geometry", FOOT(56), FOOT(59)},
    {"footer/uuid", FOOT(68), FOOT(83)},
    {"footer/saved-state", FOOT(84), FOOT(84)},
    {"footer/reserved", FOOT(85), FOOT(511)},
    {"header/data-offset", HEAD(8), HEAD(15)},
    {"header/version-minor", HEAD(26), HEAD(27)},
    {"header/parent-uuid", HEAD(40), HEAD(55)},
    {"header/parent-time-stamp", HEAD(56), HEAD(59)},
    {"header/reserved", HEAD(60), HEAD(63)},
    {"header/parent-name", HEAD(64), HEAD(575)},
    {"header/reserved-end", HEAD(768), HEAD(1023)},
    {"locator/platform", LOC(0, 0), LOC(0, 3)},
    {"locator/data-space", LOC(0, 4), LOC(0, 7)},
    {"locator/reserved", LOC(1, 12), LOC(1, 15)},
    {"locator/unused", LOC(2, 4), LOC(2, 23)},
};

/* Served, and the records come back as they were. */
static void assert_carried(const uint8_t *image)
{
    g_autofree char *refusal = sample_judge(image, SAMPLE_BYTES, NULL);
    uint8_t raw[VHD_HEADER_BYTES];
    VhdFooter footer;
    VhdHeader header;
    VhdFault fault;

    g_assert_cmpstr(refusal, ==, NULL);
    g_assert_true(vhd_footer_decode(image + SAMPLE_FOOTER_OFF, 0, &footer, &fault));
    vhd_footer_encode(&footer, raw);
    g_assert_cmpmem(raw, VHD_FOOTER_BYTES, image + SAMPLE_FOOTER_OFF, VHD_FOOTER_BYTES);
    g_assert_true(vhd_header_decode(image + SAMPLE_HEADER_OFF, 0, &header, &fault));
    vhd_header_encode(&header, raw);
    g_assert_cmpmem(raw, VHD_HEADER_BYTES, image + SAMPLE_HEADER_OFF, VHD_HEADER_BYTES);
}

static void test_informative(gconstpointer data)
{
    static const uint8_t values[] = {0x00, 0x01, 0x5A, 0x80, 0xFF};
    size_t row = GPOINTER_TO_SIZE(data);
    g_autofree uint8_t *image = g_malloc(SAMPLE_BYTES);
    size_t len = informative[row].last - informative[row].first + 1;

    for (size_t i = 0; i < G_N_ELEMENTS(values); i++) {
        sample_fill(image);
        memset(image + informative[row].first, values[i], len);
        sample_fix_checksums(image);
        assert_carried(image);
        for (size_t at = 0; at < len; at++) {
            sample_fill(image);
            image[informative[row].first + at] = values[i];
            sample_fix_checksums(image);
            assert_carried(image);
        }
    }
}

/* No file is too short to be judged, and only whole ones are accepted. */
static void test_short_file(void)
{
    g_autofree uint8_t *image = g_malloc(SAMPLE_BYTES);
    VhdFooter footer = sample_footer();
    VhdFault fault;

    sample_fill(image);
    for (uint64_t bytes = 512; bytes < 1536; bytes += 512) {
        g_assert_false(vhd_layout_footer_ok(&footer, 0, bytes, &fault));
        g_assert_cmpint(fault.code, ==, VHD_FAULT_TOO_SMALL);
        g_assert_cmpuint(fault.off, ==, 16);
        g_assert_cmpuint(fault.found, ==, bytes);
        g_assert_cmpuint(fault.wanted, ==, 1536);
    }
    g_assert_true(vhd_layout_footer_ok(&footer, 0, 1536, &fault));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(corrupts); i++) {
        g_autofree char *path = g_strconcat("/format/corrupt/", corrupts[i].name, NULL);

        g_test_add_data_func(path, &corrupts[i], test_corrupt);
    }
    g_test_add_func("/format/corrupt/every-bit", test_every_bit);
    g_test_add_func("/format/corrupt/short-file", test_short_file);
    for (size_t i = 0; i < G_N_ELEMENTS(informative); i++) {
        g_autofree char *path = g_strconcat("/format/informative/", informative[i].name, NULL);

        g_test_add_data_func(path, GSIZE_TO_POINTER(i), test_informative);
    }
    return g_test_run();
}
