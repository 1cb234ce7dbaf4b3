/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* What the layout makes of sizes and offsets that are right, and of BAT entries and batmaps that
 * are not. Refused headers and footers: format-corrupt-test.c. */
#include "vhd/layout.h"

#include <glib.h>
#include <string.h>

#include "format-sample.h"
#include "vhd/locator.h"

#define MIB (UINT64_C(1) << 20)

static VhdFault fault;

static VhdLayout layout_of(const VhdFooter *footer, const VhdHeader *header, uint64_t file_bytes)
{
    VhdLayout layout;

    memset(&layout, 0xEE, sizeof(layout));
    g_assert_true(vhd_layout_init(&layout, footer, file_bytes - 512, header, file_bytes, &fault));
    return layout;
}

static VhdLayout sample_layout(void)
{
    VhdFooter footer = sample_footer();
    VhdHeader header = sample_header();

    return layout_of(&footer, &header, SAMPLE_BYTES);
}

static void assert_fault(VhdFaultCode code, uint64_t off, uint64_t found, uint64_t wanted)
{
    g_assert_cmpint(fault.code, ==, code);
    g_assert_cmpuint(fault.off, ==, off);
    g_assert_cmpuint(fault.found, ==, found);
    g_assert_cmpuint(fault.wanted, ==, wanted);
}

static void assert_regions(const VhdLayout *layout, const VhdRegion *want, unsigned count)
{
    g_assert_cmpuint(layout->regions, ==, count);
    for (unsigned i = 0; i < count; i++) {
        g_assert_cmpint(layout->region[i].kind, ==, want[i].kind);
        g_assert_cmpuint(layout->region[i].off, ==, want[i].off);
        g_assert_cmpuint(layout->region[i].len, ==, want[i].len);
    }
}

static void test_sample(void)
{
    static const VhdRegion want[] = {
        {VHD_REGION_FOOTER_COPY, 0, 512},
        {VHD_REGION_HEADER, 512, 1024},
        {VHD_REGION_LOCATOR, 4096, 66},
        {VHD_REGION_LOCATOR_SPACE, 4162, 4030},
        {VHD_REGION_BAT, 8192, 512},
        {VHD_REGION_LOCATOR, 12288, 20},
        {VHD_REGION_LOCATOR_SPACE, 12308, 65516},
    };
    VhdLayout layout = sample_layout();

    assert_regions(&layout, want, G_N_ELEMENTS(want));
    g_assert_cmpint(layout.type, ==, VHD_TYPE_DIFFERENCING);
    g_assert_cmpuint(layout.file_bytes, ==, SAMPLE_BYTES);
    g_assert_cmpuint(layout.disk_sectors, ==, 81920);
    g_assert_cmpuint(layout.header_off, ==, 512);
    g_assert_cmpuint(layout.bat_off, ==, 8192);
    g_assert_cmpuint(layout.bat_bytes, ==, 512);
    g_assert_cmpuint(layout.batmap_off, ==, 0);
    g_assert_cmpuint(vhd_layout_metadata_end(&layout), ==, 77824);
    g_assert_cmpuint(vhd_layout_batmap_header_off(&layout), ==, 8704);
}

/* Blocks of a disk: sizes that divide and that do not, every block size. */
static void test_blocks(void)
{
    static const struct {
        uint64_t disk_bytes;
        uint32_t block_bytes, blocks, bitmap_sectors, last_used;
    } rows[] = {
        {512, 4096, 1, 1, 1},
        {4096, 4096, 1, 1, 8},
        {4608, 4096, 2, 1, 1},
        {3 * MIB, 2 * MIB, 2, 1, 2048},
        {40 * MIB, 2 * MIB, 20, 1, 4096},
        {40 * MIB, 512u << 10, 80, 1, 1024},
        {40 * MIB, 4 * MIB, 10, 2, 8192},
        {300 * MIB, 256 * MIB, 2, 128, 44 * 2048},
        {2040 * 1024 * MIB, 2 * MIB, 1044480, 1, 4096},
        {64 * 1024 * MIB, 4096, 16777216, 1, 8},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        VhdFooter footer = sample_footer();
        VhdHeader header = sample_header();
        VhdLayout layout;

        footer.type = VHD_TYPE_DYNAMIC;
        footer.current_bytes = rows[i].disk_bytes;
        header.block_bytes = rows[i].block_bytes;
        header.bat_entries = rows[i].blocks;
        layout = layout_of(&footer, &header, 128 * MIB);
        g_assert_cmpuint(layout.blocks, ==, rows[i].blocks);
        g_assert_cmpuint(layout.block_sectors, ==, rows[i].block_bytes / 512);
        g_assert_cmpuint(1u << layout.block_shift, ==, layout.block_sectors);
        g_assert_cmpuint(layout.bitmap_sectors, ==, rows[i].bitmap_sectors);
        g_assert_cmpuint(layout.bat_bytes, ==, (rows[i].blocks * 4ull + 511) / 512 * 512);
        g_assert_cmpuint(vhd_layout_block_span(&layout), ==,
                         rows[i].block_bytes + 512ull * rows[i].bitmap_sectors);
        g_assert_cmpuint(vhd_layout_block_used_sectors(&layout, layout.blocks - 1), ==,
                         rows[i].last_used);
        g_assert_cmpuint(vhd_layout_block_used_sectors(&layout, layout.blocks), ==, 0);
        g_assert_cmpuint(vhd_layout_block_used_sectors(&layout, UINT32_MAX), ==, 0);
        if (layout.blocks > 1)
            g_assert_cmpuint(vhd_layout_block_used_sectors(&layout, 0), ==, layout.block_sectors);
    }
}

/* More entries than blocks: they make the table longer and are else padding. */
static void test_spare_entries(void)
{
    VhdFooter footer = sample_footer();
    VhdHeader header = sample_header();
    VhdLayout layout;

    header.bat_entries = 1000;
    layout = layout_of(&footer, &header, SAMPLE_BYTES);
    g_assert_cmpuint(layout.blocks, ==, 20);
    g_assert_cmpuint(layout.bat_bytes, ==, 4096);
}

static void test_fixed(void)
{
    static const struct {
        uint64_t disk_bytes, footer_off, file_bytes;
        bool ok;
        uint64_t wanted;
    } rows[] = {
        {4 * MIB, 4 * MIB, 4 * MIB + 512, true, 0},
        {4 * MIB, 4 * MIB, 4 * MIB + 511, true, 0}, /* a footer of 511 bytes */
        {4 * MIB, 5 * MIB, 5 * MIB + 512, true, 0}, /* a gap */
        {4 * MIB, 4 * MIB - 512, 4 * MIB, false, 4 * MIB + 512},
        {4 * MIB, 4 * MIB - 1, 4 * MIB + 511, false, 4 * MIB + 512}, /* 512 bytes, not aligned */
        {4 * MIB, 0, 8 * MIB, false, 12 * MIB},                      /* a copy at 0 is no footer */
        {VHD_FIXED_MAX_BYTES, 4 * MIB, 4 * MIB + 512, false, VHD_FIXED_MAX_BYTES + 512},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        VhdFooter footer = sample_footer();
        VhdLayout layout;
        bool ok;

        footer.type = VHD_TYPE_FIXED;
        footer.data_offset = 0xFFFFFFFF; /* informative in a fixed image */
        footer.current_bytes = rows[i].disk_bytes;
        ok =
            vhd_layout_init(&layout, &footer, rows[i].footer_off, NULL, rows[i].file_bytes, &fault);
        g_assert_cmpint(ok, ==, rows[i].ok);
        if (!ok) {
            assert_fault(VHD_FAULT_FIXED_LENGTH, rows[i].footer_off + 48, rows[i].file_bytes,
                         rows[i].wanted);
            continue;
        }
        g_assert_cmpuint(layout.disk_sectors, ==, rows[i].disk_bytes / 512);
        g_assert_cmpuint(layout.regions, ==, 0);
        g_assert_cmpuint(layout.blocks, ==, 0);
        g_assert_cmpuint(vhd_layout_metadata_end(&layout), ==, 0);
        g_assert_null(vhd_layout_hit(&layout, 0, 512, true));
    }
}

/* A dynamic image needs a header; the largest fixed disk is larger than the largest dynamic one. */
static void test_type_bounds(void)
{
    VhdFooter footer = sample_footer();
    VhdLayout layout;

    g_assert_false(vhd_layout_init(&layout, &footer, 0, NULL, SAMPLE_BYTES, &fault));
    assert_fault(VHD_FAULT_HEADER_COOKIE, 512, 0, 0);
    footer.type = 7;
    g_assert_false(vhd_layout_footer_ok(&footer, 0, SAMPLE_BYTES, &fault));
    assert_fault(VHD_FAULT_TYPE, 60, 7, 0);
    footer.type = VHD_TYPE_DIFFERENCING;
    footer.current_bytes = VHD_DYNAMIC_MAX_BYTES;
    g_assert_true(vhd_layout_footer_ok(&footer, 0, SAMPLE_BYTES, &fault));
    footer.current_bytes += 512;
    g_assert_false(vhd_layout_footer_ok(&footer, 0, SAMPLE_BYTES, &fault));
    footer.type = VHD_TYPE_FIXED;
    g_assert_true(vhd_layout_footer_ok(&footer, VHD_FIXED_MAX_BYTES, INT64_MAX, &fault));
    footer.current_bytes = VHD_FIXED_MAX_BYTES + 512;
    g_assert_false(vhd_layout_footer_ok(&footer, INT64_MAX - 512, INT64_MAX, &fault));
    assert_fault(VHD_FAULT_SIZE, INT64_MAX - 512 + 48, VHD_FIXED_MAX_BYTES + 512,
                 VHD_FIXED_MAX_BYTES);
}

/* Metadata anywhere: behind the blocks, in any order. */
static void test_any_place(void)
{
    VhdFooter footer = sample_footer();
    VhdHeader header = sample_header();
    VhdLayout layout;

    footer.data_offset = 100 * MIB;
    header.bat_offset = 512;
    header.locators[0].data_offset = 1025; /* text need not be aligned */
    header.locators[1].data_offset = 100 * MIB - 20;
    layout = layout_of(&footer, &header, 101 * MIB);
    g_assert_cmpuint(layout.regions, ==, 6);
    g_assert_cmpint(layout.region[1].kind, ==, VHD_REGION_BAT);
    g_assert_cmpint(layout.region[2].kind, ==, VHD_REGION_LOCATOR);
    g_assert_cmpint(layout.region[3].kind, ==, VHD_REGION_LOCATOR_SPACE);
    g_assert_cmpint(layout.region[4].kind, ==, VHD_REGION_LOCATOR); /* its space is clipped away */
    g_assert_cmpint(layout.region[5].kind, ==, VHD_REGION_HEADER);
    g_assert_cmpuint(vhd_layout_metadata_end(&layout), ==, 100 * MIB + 1024);
}

/* A locator's space: bytes, sectors or nothing; clipped, and never a reason to refuse. */
static void test_space(void)
{
    static const struct {
        uint32_t space, len;
        uint64_t off, want; /* want: length of the space region, 0 = none */
    } rows[] = {
        {65536, 20, 12288, 65516}, {512, 20, 12288, 492},      {1, 20, 12288, 492},
        {8, 20, 12288, 4076},      {511, 20, 12288, 69100},    {0, 20, 12288, 0},
        {513, 20, 12288, 0},       {0xFFFFFFFF, 20, 12288, 0}, {0xFFFFFE00, 20, 12288, 69100},
        {512, 511, 12288, 1},      {512, 512, 12288, 0},       {512, 600, 12288, 0},
        {65536, 66, 4096 - 66, 0}, {65536, 66, 2048, 1982},    {4096, 20, 81388, 0},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        VhdFooter footer = sample_footer();
        VhdHeader header = sample_header();
        uint64_t end = rows[i].off + rows[i].len;
        const VhdRegion *hit;
        VhdLayout layout;

        header.locators[0].data_space = 0;
        header.locators[1] =
            (VhdLocator){VHD_PLATFORM_W2RU, rows[i].space, rows[i].len, 0, rows[i].off};
        layout = layout_of(&footer, &header, SAMPLE_BYTES);
        hit = vhd_layout_hit(&layout, end, 1, true);
        if (hit && hit->kind != VHD_REGION_LOCATOR_SPACE)
            hit = NULL;
        g_test_message("space %u length %u at %" G_GUINT64_FORMAT, rows[i].space, rows[i].len,
                       rows[i].off);
        g_assert_cmpuint(hit ? hit->len : 0, ==, rows[i].want);
        g_assert_null(vhd_layout_hit(&layout, 80000, 512, false));
    }
}

/* A space that is clipped to nothing goes, and what lies behind it stays. */
static void test_space_dropped(void)
{
    static const VhdRegion want[] = {
        {VHD_REGION_FOOTER_COPY, 0, 512}, {VHD_REGION_HEADER, 512, 1024},
        {VHD_REGION_LOCATOR, 8092, 100},  {VHD_REGION_BAT, 8192, 512},
        {VHD_REGION_LOCATOR, 12288, 65},
    };
    VhdFooter footer = sample_footer();
    VhdHeader header = sample_header();
    VhdLayout layout;

    header.locators[0] = (VhdLocator){VHD_PLATFORM_W2KU, 4096, 100, 0, 8092};
    header.locators[1] = (VhdLocator){VHD_PLATFORM_W2RU, 0, 65, 0, 12288};
    layout = layout_of(&footer, &header, SAMPLE_BYTES);
    assert_regions(&layout, want, G_N_ELEMENTS(want));
    g_assert_cmpuint(vhd_layout_metadata_end(&layout), ==, 12800);
}

/* The longest string there may be; and an end that is one byte into a sector. */
static void test_string_lengths(void)
{
    VhdFooter footer = sample_footer();
    VhdHeader header = sample_header();
    VhdLayout layout;

    header.locators[0].data_space = 0;
    header.locators[1] = (VhdLocator){VHD_PLATFORM_W2RU, 0, VHD_LOCATOR_MAX_BYTES, 0, 12289};
    layout = layout_of(&footer, &header, SAMPLE_BYTES);
    g_assert_cmpuint(layout.region[layout.regions - 1].len, ==, 65536);
    g_assert_cmpuint(vhd_layout_metadata_end(&layout), ==, 78336);
}

/* What is not looked at: locators of code 0 or of no length, and those of an image without parent.
 */
static void test_locators_let_be(void)
{
    VhdFooter footer = sample_footer();
    VhdHeader header = sample_header();
    VhdLayout layout;

    header.locators[0] = (VhdLocator){VHD_PLATFORM_NONE, 1, 0xFFFFFFFF, 7, UINT64_MAX};
    header.locators[1] = (VhdLocator){VHD_PLATFORM_W2RU, 65536, 0, 7, UINT64_MAX};
    layout = layout_of(&footer, &header, SAMPLE_BYTES);
    g_assert_cmpuint(layout.regions, ==, 3);
    footer.type = VHD_TYPE_DYNAMIC;
    for (unsigned i = 0; i < VHD_LOCATORS; i++)
        header.locators[i] = (VhdLocator){VHD_PLATFORM_W2RU, 512, 512, 0, 0};
    layout = layout_of(&footer, &header, SAMPLE_BYTES);
    g_assert_cmpuint(layout.regions, ==, 3);
}

/* All eight locators in use, with space each, and a batmap: the most regions there can be. */
static void test_most_regions(void)
{
    VhdFooter footer = sample_footer();
    VhdHeader header = sample_header();
    VhdBatmapHeader batmap = {.map_offset = 9216, .map_sectors = 1};
    VhdLayout layout;

    for (unsigned i = 0; i < VHD_LOCATORS; i++)
        header.locators[i] = (VhdLocator){VHD_PLATFORM_W2KU, 512, 100, 0, 16384 + 512 * (7 - i)};
    layout = layout_of(&footer, &header, SAMPLE_BYTES);
    g_assert_true(vhd_layout_add_batmap(&layout, &batmap, &fault));
    g_assert_cmpuint(layout.regions, ==, VHD_REGIONS_MAX);
    for (unsigned i = 1; i < layout.regions; i++)
        g_assert_cmpuint(layout.region[i - 1].off + layout.region[i - 1].len, <=,
                         layout.region[i].off);
}

static void test_hit(void)
{
    VhdLayout layout = sample_layout();
    static const struct {
        uint64_t off, len;
        bool with_space;
        int kind; /* -1: none */
    } rows[] = {
        {0, 1, false, VHD_REGION_FOOTER_COPY},
        {511, 1, false, VHD_REGION_FOOTER_COPY},
        {512, 1, false, VHD_REGION_HEADER},
        {1536, 2560, true, -1},
        {1536, 2561, true, VHD_REGION_LOCATOR},
        {4162, 4030, false, -1},
        {4162, 4030, true, VHD_REGION_LOCATOR_SPACE},
        {4162, 4031, false, VHD_REGION_BAT},
        {0, UINT64_MAX, false, VHD_REGION_FOOTER_COPY},
        {8703, UINT64_MAX, false, VHD_REGION_BAT},
        {8704, 3584, true, -1},
        {77824, UINT64_MAX, true, -1},
        {8192, 0, true, -1},
        {8300, 0, true, -1},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        const VhdRegion *hit =
            vhd_layout_hit(&layout, rows[i].off, rows[i].len, rows[i].with_space);

        g_assert_cmpint(hit ? (int)hit->kind : -1, ==, rows[i].kind);
    }
}

static void test_entries(void)
{
    static const uint64_t file_bytes = 100 * MIB;
    static const struct {
        uint32_t block, entry;
        VhdFaultCode code;
        uint64_t found, wanted;
    } rows[] = {
        {0, 152, VHD_FAULT_NONE, 0, 0}, /* directly behind the locators' space */
        {0, 25, VHD_FAULT_NONE, 0, 0},  /* in it: let be */
        {0, 24, VHD_FAULT_BLOCK_IN_METADATA, 12288, 12308},
        {7, 0, VHD_FAULT_BLOCK_IN_METADATA, 0, 512},
        {0, 2, VHD_FAULT_BLOCK_IN_METADATA, 1024, 1536},
        {0, 3, VHD_FAULT_BLOCK_IN_METADATA, 1536, 4162},
        {3, 17, VHD_FAULT_BLOCK_IN_METADATA, 8704, 12308},
        {0, 200703, VHD_FAULT_NONE, 0, 0},
        {19, 200704, VHD_FAULT_BLOCK_BEYOND_FILE, 104858112, 104857600},
        {1, 0xFFFFFFFE, VHD_FAULT_BLOCK_BEYOND_FILE, 0xFFFFFFFEull * 512 + 2097664, 104857600},
        {1, 0xFFFFFFFF, VHD_FAULT_BLOCK_BEYOND_FILE, 0xFFFFFFFFull * 512 + 2097664, 104857600},
    };
    VhdLayout layout = sample_layout();

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        bool ok = vhd_layout_entry_ok(&layout, rows[i].block, rows[i].entry, file_bytes, &fault);

        g_test_message("entry %u", rows[i].entry);
        g_assert_cmpint(ok, ==, rows[i].code == VHD_FAULT_NONE);
        if (!ok)
            assert_fault(rows[i].code, 8192 + 4 * rows[i].block, rows[i].found, rows[i].wanted);
    }
    /* Even in a file that reaches so far, no block begins at the number that means "none". */
    g_assert_true(vhd_layout_entry_ok(&layout, 0, 0xFFFFFFFE, INT64_MAX, &fault));
    g_assert_false(vhd_layout_entry_ok(&layout, 0, 0xFFFFFFFF, INT64_MAX, &fault));
}

/* Of a partial last block only the used sectors must be there. */
static void test_entry_partial(void)
{
    VhdFooter footer = sample_footer();
    VhdHeader header = sample_header();
    VhdLayout layout;
    uint64_t used = (1 + 10) * 512, start = 152 * 512;

    footer.current_bytes = 2 * MIB + 10 * 512;
    layout = layout_of(&footer, &header, SAMPLE_BYTES);
    g_assert_true(vhd_layout_entry_ok(&layout, 1, 152, start + used, &fault));
    g_assert_false(vhd_layout_entry_ok(&layout, 1, 152, start + used - 1, &fault));
    assert_fault(VHD_FAULT_BLOCK_BEYOND_FILE, 8196, start + used, start + used - 1);
    g_assert_false(vhd_layout_entry_ok(&layout, 0, 152, start + used, &fault));
}

static void test_batmap(void)
{
    static const struct {
        uint64_t off;
        uint32_t sectors;
        VhdFaultCode code;
        uint64_t field, found, wanted;
    } rows[] = {
        {9216, 1, VHD_FAULT_NONE, 0, 0, 0},
        {81408, 1, VHD_FAULT_NONE, 0, 0, 0},
        {9216, 0, VHD_FAULT_BATMAP_SIZE, 8720, 0, 1},
        {9216, 4097, VHD_FAULT_BATMAP_SIZE, 8720, 4097, 4096},
        {81409, 1, VHD_FAULT_BATMAP_RANGE, 8712, 81921, 81920},
        {UINT64_MAX, 1, VHD_FAULT_BATMAP_RANGE, 8712, UINT64_MAX, 81920},
        {8704, 1, VHD_FAULT_OVERLAP, 8712, 8704, 9216}, /* its own header */
        {8192, 1, VHD_FAULT_OVERLAP, 8712, 8192, 8704},
        {0, 1, VHD_FAULT_OVERLAP, 8712, 0, 512},
        {12000, 1, VHD_FAULT_OVERLAP, 8712, 12000, 12308},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        VhdBatmapHeader batmap = {.map_offset = rows[i].off, .map_sectors = rows[i].sectors};
        VhdLayout layout = sample_layout(), before = layout;
        bool ok = vhd_layout_add_batmap(&layout, &batmap, &fault);

        g_assert_cmpint(ok, ==, rows[i].code == VHD_FAULT_NONE);
        if (ok) {
            g_assert_cmpuint(layout.batmap_off, ==, rows[i].off);
            g_assert_cmpuint(layout.batmap_bytes, ==, 512 * rows[i].sectors);
            g_assert_nonnull(vhd_layout_hit(&layout, 8704, 512, false));
            g_assert_nonnull(vhd_layout_hit(&layout, rows[i].off, 1, false));
            continue;
        }
        assert_fault(rows[i].code, rows[i].field, rows[i].found, rows[i].wanted);
        g_assert_cmpmem(&layout, sizeof(layout), &before, sizeof(before));
    }
}

/* A locator that starts where the batmap's header is: the batmap goes. A space there: it goes. */
static void test_batmap_header_place(void)
{
    VhdFooter footer = sample_footer();
    VhdHeader header = sample_header();
    VhdBatmapHeader batmap = {.map_offset = 81408, .map_sectors = 1};
    VhdLayout layout;

    header.locators[1].data_offset = 9215;
    layout = layout_of(&footer, &header, SAMPLE_BYTES);
    g_assert_false(vhd_layout_add_batmap(&layout, &batmap, &fault));
    assert_fault(VHD_FAULT_OVERLAP, 8704, 8704, 9235);
    header.locators[1].data_offset = 8192 - 20; /* space would begin at the BAT */
    header.bat_offset = 8704;
    layout = layout_of(&footer, &header, SAMPLE_BYTES);
    g_assert_cmpuint(layout.region[5].len, ==, 512);
    batmap.map_offset = 8192 + 256; /* in the middle of the space */
    batmap.map_sectors = 1;
    g_assert_false(vhd_layout_add_batmap(&layout, &batmap, &fault));
    header.bat_offset = 16384;
    layout = layout_of(&footer, &header, SAMPLE_BYTES);
    g_assert_true(vhd_layout_add_batmap(&layout, &batmap, &fault));
    g_assert_cmpuint(vhd_layout_hit(&layout, 8192, 1, true)->len, ==, 256);
}

/* One sector of the map holds 4096 blocks; the most that is served is 4096 sectors. */
static void test_batmap_sizes(void)
{
    VhdFooter footer = sample_footer();
    VhdHeader header = sample_header();
    VhdBatmapHeader batmap = {.map_offset = 64 * MIB, .map_sectors = 1};
    VhdLayout layout;

    footer.type = VHD_TYPE_DYNAMIC;
    footer.current_bytes = 8192 * MIB;
    header.bat_entries = 4096;
    layout = layout_of(&footer, &header, 128 * MIB);
    g_assert_true(vhd_layout_add_batmap(&layout, &batmap, &fault));
    footer.current_bytes += 512;
    header.bat_entries = 4097;
    layout = layout_of(&footer, &header, 128 * MIB);
    g_assert_false(vhd_layout_add_batmap(&layout, &batmap, &fault));
    assert_fault(VHD_FAULT_BATMAP_SIZE, 8192 + 16896 + 16, 1, 2);
    batmap.map_sectors = 4096;
    g_assert_true(vhd_layout_add_batmap(&layout, &batmap, &fault));
    g_assert_cmpuint(layout.batmap_bytes, ==, 2 * MIB);
}

/* No room behind the BAT: no batmap. */
static void test_batmap_no_room(void)
{
    VhdFooter footer = sample_footer();
    VhdHeader header = sample_header();
    VhdBatmapHeader batmap = {.map_offset = 9216, .map_sectors = 1};
    VhdLayout layout;

    footer.type = VHD_TYPE_DYNAMIC;
    g_assert_true(vhd_layout_init(&layout, &footer, 0, &header, 8704, &fault));
    g_assert_false(vhd_layout_add_batmap(&layout, &batmap, &fault));
    assert_fault(VHD_FAULT_BATMAP_RANGE, 8704, 9216, 8704);
    batmap.map_offset = 7680; /* the header ends with the file, the map lies elsewhere */
    g_assert_true(vhd_layout_init(&layout, &footer, 0, &header, 9216, &fault));
    g_assert_true(vhd_layout_add_batmap(&layout, &batmap, &fault));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/layout/sample", test_sample);
    g_test_add_func("/layout/blocks", test_blocks);
    g_test_add_func("/layout/spare-entries", test_spare_entries);
    g_test_add_func("/layout/fixed", test_fixed);
    g_test_add_func("/layout/type-bounds", test_type_bounds);
    g_test_add_func("/layout/any-place", test_any_place);
    g_test_add_func("/layout/space", test_space);
    g_test_add_func("/layout/space/dropped", test_space_dropped);
    g_test_add_func("/layout/string-lengths", test_string_lengths);
    g_test_add_func("/layout/locators-let-be", test_locators_let_be);
    g_test_add_func("/layout/most-regions", test_most_regions);
    g_test_add_func("/layout/hit", test_hit);
    g_test_add_func("/layout/entries", test_entries);
    g_test_add_func("/layout/entry-partial", test_entry_partial);
    g_test_add_func("/layout/batmap", test_batmap);
    g_test_add_func("/layout/batmap/header-place", test_batmap_header_place);
    g_test_add_func("/layout/batmap/sizes", test_batmap_sizes);
    g_test_add_func("/layout/batmap/no-room", test_batmap_no_room);
    return g_test_run();
}
