/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* The laws of the records: what is encoded comes back, and what is decoded goes back as it was. */
#include "vhd/format.h"

#include <glib.h>
#include <string.h>

#include "format-sample.h"
#include "vhd/be.h"

#define ROUNDS 2000

static void fill_random(void *bytes, size_t len)
{
    uint8_t *p = bytes;

    for (size_t i = 0; i < len; i++)
        p[i] = (uint8_t)g_test_rand_int_range(0, 256);
}

static void assert_footers_equal(const VhdFooter *a, const VhdFooter *b)
{
    g_assert_cmphex(a->features, ==, b->features);
    g_assert_cmphex(a->version, ==, b->version);
    g_assert_cmphex(a->data_offset, ==, b->data_offset);
    g_assert_cmphex(a->time_stamp, ==, b->time_stamp);
    g_assert_cmphex(a->creator, ==, b->creator);
    g_assert_cmphex(a->creator_version, ==, b->creator_version);
    g_assert_cmphex(a->creator_host, ==, b->creator_host);
    g_assert_cmphex(a->original_bytes, ==, b->original_bytes);
    g_assert_cmphex(a->current_bytes, ==, b->current_bytes);
    g_assert_cmphex(a->geometry.cylinders, ==, b->geometry.cylinders);
    g_assert_cmphex(a->geometry.heads, ==, b->geometry.heads);
    g_assert_cmphex(a->geometry.sectors_per_track, ==, b->geometry.sectors_per_track);
    g_assert_cmphex(a->type, ==, b->type);
    g_assert_cmphex(a->saved_state, ==, b->saved_state);
    g_assert_cmpmem(a->uuid, sizeof(a->uuid), b->uuid, sizeof(b->uuid));
    g_assert_cmpmem(a->reserved, sizeof(a->reserved), b->reserved, sizeof(b->reserved));
}

static void assert_headers_equal(const VhdHeader *a, const VhdHeader *b)
{
    g_assert_cmphex(a->data_offset, ==, b->data_offset);
    g_assert_cmphex(a->bat_offset, ==, b->bat_offset);
    g_assert_cmphex(a->version, ==, b->version);
    g_assert_cmphex(a->bat_entries, ==, b->bat_entries);
    g_assert_cmphex(a->block_bytes, ==, b->block_bytes);
    g_assert_cmphex(a->parent_time_stamp, ==, b->parent_time_stamp);
    g_assert_cmphex(a->reserved1, ==, b->reserved1);
    g_assert_cmpmem(a->parent_uuid, sizeof(a->parent_uuid), b->parent_uuid, sizeof(b->parent_uuid));
    g_assert_cmpmem(a->parent_name, sizeof(a->parent_name), b->parent_name, sizeof(b->parent_name));
    g_assert_cmpmem(a->reserved2, sizeof(a->reserved2), b->reserved2, sizeof(b->reserved2));
    for (unsigned i = 0; i < VHD_LOCATORS; i++) {
        g_assert_cmphex(a->locators[i].platform, ==, b->locators[i].platform);
        g_assert_cmphex(a->locators[i].data_space, ==, b->locators[i].data_space);
        g_assert_cmphex(a->locators[i].data_length, ==, b->locators[i].data_length);
        g_assert_cmphex(a->locators[i].reserved, ==, b->locators[i].reserved);
        g_assert_cmphex(a->locators[i].data_offset, ==, b->locators[i].data_offset);
    }
}

/* decode(encode(x)) = x for any x, and encode(decode(raw)) = raw for that raw. */
static void test_footer_round(void)
{
    uint8_t raw[VHD_FOOTER_BYTES], again[VHD_FOOTER_BYTES];
    VhdFooter before, after;
    VhdFault fault;

    for (int i = 0; i < ROUNDS; i++) {
        fill_random(&before, sizeof(before));
        before.version = 0x00010000 | (before.version & 0xFFFF);
        vhd_footer_encode(&before, raw);
        fill_random(&after, sizeof(after));
        g_assert_true(vhd_footer_decode(raw, 0, &after, &fault));
        assert_footers_equal(&before, &after);
        vhd_footer_encode(&after, again);
        g_assert_cmpmem(raw, sizeof(raw), again, sizeof(again));
    }
}

static void test_header_round(void)
{
    uint8_t raw[VHD_HEADER_BYTES], again[VHD_HEADER_BYTES];
    VhdHeader before, after;
    VhdFault fault;

    for (int i = 0; i < ROUNDS; i++) {
        fill_random(&before, sizeof(before));
        before.version = 0x00010000 | (before.version & 0xFFFF);
        vhd_header_encode(&before, raw);
        fill_random(&after, sizeof(after));
        g_assert_true(vhd_header_decode(raw, 0, &after, &fault));
        assert_headers_equal(&before, &after);
        vhd_header_encode(&after, again);
        g_assert_cmpmem(raw, sizeof(raw), again, sizeof(again));
    }
}

static void test_batmap_round(void)
{
    uint8_t raw[VHD_BATMAP_BYTES], again[VHD_BATMAP_BYTES];
    VhdBatmapHeader batmap;
    VhdFault fault;

    for (int i = 0; i < ROUNDS; i++) {
        fill_random(raw, sizeof(raw));
        memcpy(raw, "tdbatmap", 8);
        g_assert_true(vhd_batmap_decode(raw, 0, &batmap, &fault));
        g_assert_cmphex(batmap.map_offset, ==, be64_get(raw + 8));
        g_assert_cmphex(batmap.map_sectors, ==, be32_get(raw + 16));
        g_assert_cmphex(batmap.version, ==, be32_get(raw + 20));
        g_assert_cmphex(batmap.checksum, ==, be32_get(raw + 24));
        vhd_batmap_encode(&batmap, again);
        g_assert_cmpmem(raw, sizeof(raw), again, sizeof(again));
    }
}

/* Only the cookie of a batmap header is judged by its decoder. */
static void test_batmap_cookie(void)
{
    uint8_t raw[VHD_BATMAP_BYTES] = "tdbatmaq";
    VhdBatmapHeader batmap;
    VhdFault fault;

    g_assert_false(vhd_batmap_decode(raw, 2048, &batmap, &fault));
    g_assert_cmpint(fault.code, ==, VHD_FAULT_BATMAP_COOKIE);
    g_assert_cmpuint(fault.off, ==, 2048);
    g_assert_cmphex(fault.found, ==, be64_get((const uint8_t *)"tdbatmaq"));
    g_assert_cmphex(fault.wanted, ==, be64_get((const uint8_t *)"tdbatmap"));
}

/* Where each field lies in the file: offsets and widths of the specification. */
static void test_footer_fields(void)
{
    uint8_t raw[VHD_FOOTER_BYTES];
    VhdFooter f;

    fill_random(&f, sizeof(f));
    vhd_footer_encode(&f, raw);
    g_assert_cmpmem(raw, 8, "conectix", 8);
    g_assert_cmphex(be32_get(raw + 8), ==, f.features);
    g_assert_cmphex(be32_get(raw + 12), ==, f.version);
    g_assert_cmphex(be64_get(raw + 16), ==, f.data_offset);
    g_assert_cmphex(be32_get(raw + 24), ==, f.time_stamp);
    g_assert_cmphex(be32_get(raw + 28), ==, f.creator);
    g_assert_cmphex(be32_get(raw + 32), ==, f.creator_version);
    g_assert_cmphex(be32_get(raw + 36), ==, f.creator_host);
    g_assert_cmphex(be64_get(raw + 40), ==, f.original_bytes);
    g_assert_cmphex(be64_get(raw + 48), ==, f.current_bytes);
    g_assert_cmphex(be16_get(raw + 56), ==, f.geometry.cylinders);
    g_assert_cmphex(raw[58], ==, f.geometry.heads);
    g_assert_cmphex(raw[59], ==, f.geometry.sectors_per_track);
    g_assert_cmphex(be32_get(raw + 60), ==, f.type);
    g_assert_cmphex(be32_get(raw + 64), ==, vhd_checksum(raw, sizeof(raw), 64));
    g_assert_cmpmem(raw + 68, 16, f.uuid, 16);
    g_assert_cmphex(raw[84], ==, f.saved_state);
    g_assert_cmpmem(raw + 85, 427, f.reserved, 427);
}

static void test_header_fields(void)
{
    uint8_t raw[VHD_HEADER_BYTES];
    VhdHeader h;

    fill_random(&h, sizeof(h));
    vhd_header_encode(&h, raw);
    g_assert_cmpmem(raw, 8, "cxsparse", 8);
    g_assert_cmphex(be64_get(raw + 8), ==, h.data_offset);
    g_assert_cmphex(be64_get(raw + 16), ==, h.bat_offset);
    g_assert_cmphex(be32_get(raw + 24), ==, h.version);
    g_assert_cmphex(be32_get(raw + 28), ==, h.bat_entries);
    g_assert_cmphex(be32_get(raw + 32), ==, h.block_bytes);
    g_assert_cmphex(be32_get(raw + 36), ==, vhd_checksum(raw, sizeof(raw), 36));
    g_assert_cmpmem(raw + 40, 16, h.parent_uuid, 16);
    g_assert_cmphex(be32_get(raw + 56), ==, h.parent_time_stamp);
    g_assert_cmphex(be32_get(raw + 60), ==, h.reserved1);
    g_assert_cmpmem(raw + 64, 512, h.parent_name, 512);
    for (unsigned i = 0; i < VHD_LOCATORS; i++) {
        g_assert_cmphex(be32_get(raw + 576 + 24 * i), ==, h.locators[i].platform);
        g_assert_cmphex(be32_get(raw + 580 + 24 * i), ==, h.locators[i].data_space);
        g_assert_cmphex(be32_get(raw + 584 + 24 * i), ==, h.locators[i].data_length);
        g_assert_cmphex(be32_get(raw + 588 + 24 * i), ==, h.locators[i].reserved);
        g_assert_cmphex(be64_get(raw + 592 + 24 * i), ==, h.locators[i].data_offset);
    }
    g_assert_cmpmem(raw + 768, 256, h.reserved2, 256);
}

/* A footer of 511 bytes is one of 512 whose last byte is zero. */
static void test_footer_short(void)
{
    VhdFooter footer = sample_footer(), got;
    uint8_t raw[VHD_FOOTER_BYTES];
    VhdFault fault;

    footer.reserved[425] = 7;
    vhd_footer_encode(&footer, raw);
    g_assert_true(vhd_footer_decode_short(raw, 0, &got, &fault));
    assert_footers_equal(&footer, &got);
    footer.reserved[426] = 1;
    vhd_footer_encode(&footer, raw);
    g_assert_false(vhd_footer_decode_short(raw, 1000, &got, &fault));
    g_assert_cmpint(fault.code, ==, VHD_FAULT_FOOTER_CHECKSUM);
    g_assert_cmpuint(fault.off, ==, 1064);
}

static void test_checksum(void)
{
    uint8_t bytes[8] = {1, 2, 3, 0xFF, 0xFF, 0xFF, 0xFF, 4};

    g_assert_cmphex(vhd_checksum(bytes, 8, 3), ==, ~10u);
    g_assert_cmphex(vhd_checksum(bytes, 3, 3), ==, ~6u); /* no hole: plain data, as a batmap's */
    g_assert_cmphex(vhd_checksum(bytes, 8, 8), ==, ~(10u + 4 * 255));
    g_assert_cmphex(vhd_checksum(bytes, 0, 0), ==, 0xFFFFFFFF);
}

static const struct {
    uint64_t bytes;
    VhdGeometry want;
} geometries[] = {
    {0, {0, 4, 17}},
    {UINT64_C(3) << 20, {90, 4, 17}},                /* DiscUtils */
    {UINT64_C(4) << 20, {120, 4, 17}},               /* Windows 10 */
    {UINT64_C(40) << 20, {963, 5, 17}},              /* Windows 8.1, VirtualBox, XenServer */
    {41953280, {964, 5, 17}},                        /* qemu */
    {UINT64_C(1) << 30, {2080, 16, 63}},             /* Windows 8.1 */
    {UINT64_C(127) << 30, {65278, 16, 255}},         /* Virtual PC: its default size */
    {UINT64_C(2040) << 30, {65535, 16, 255}},        /* the largest */
    {UINT64_MAX - 511, {65535, 16, 255}},            /* any more is cut */
    {16ull * 1024 * 17 * 512 - 512, {1023, 16, 17}}, /* last of 17 sectors a track */
    {16ull * 1024 * 17 * 512, {561, 16, 31}},        /* first of 31 */
    {16ull * 1024 * 31 * 512 - 512, {1023, 16, 31}},
    {16ull * 1024 * 31 * 512, {503, 16, 63}},
    {65535ull * 16 * 63 * 512 - 512, {65534, 16, 63}},
    {65535ull * 16 * 63 * 512, {16191, 16, 255}},
};

static void test_geometry(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(geometries); i++) {
        VhdGeometry got = vhd_geometry(geometries[i].bytes);

        g_test_message("%" G_GUINT64_FORMAT " bytes", geometries[i].bytes);
        g_assert_cmpuint(got.cylinders, ==, geometries[i].want.cylinders);
        g_assert_cmpuint(got.heads, ==, geometries[i].want.heads);
        g_assert_cmpuint(got.sectors_per_track, ==, geometries[i].want.sectors_per_track);
    }
}

static void test_promise(void)
{
    VhdFooter footer = sample_footer();

    footer.creator_version = 0x00010003;
    g_assert_false(vhd_footer_promises_batmap(&footer));
    footer.creator = VHD_CREATOR_TAPDISK;
    g_assert_true(vhd_footer_promises_batmap(&footer));
    footer.creator_version = 0x00010001;
    g_assert_true(vhd_footer_promises_batmap(&footer));
    footer.creator_version = 0x00010000;
    g_assert_false(vhd_footer_promises_batmap(&footer));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/format/footer/round", test_footer_round);
    g_test_add_func("/format/footer/fields", test_footer_fields);
    g_test_add_func("/format/footer/short", test_footer_short);
    g_test_add_func("/format/header/round", test_header_round);
    g_test_add_func("/format/header/fields", test_header_fields);
    g_test_add_func("/format/batmap/round", test_batmap_round);
    g_test_add_func("/format/batmap/cookie", test_batmap_cookie);
    g_test_add_func("/format/checksum", test_checksum);
    g_test_add_func("/format/geometry", test_geometry);
    g_test_add_func("/format/batmap/promise", test_promise);
    return g_test_run();
}
