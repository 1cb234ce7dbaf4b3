/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
#include "tests/unit/repair-damage.h"

#include <string.h>

#include "vhd/be.h"
#include "vhd/bitmap.h"
#include "vhd/image.h"

/* Where a batmap of the sample lies: behind the block table, in front of the first block. */
#define BATMAP_HEADER 2048u
#define BATMAP        2560u

static const uint8_t zeros[4096];

/* ---- footers */

static void tear_copy(MemImage *bytes)
{
    mem_image_write(bytes, 100, "x", 1);
}

static void lose_copy(MemImage *bytes)
{
    mem_image_zero(bytes, 0, 512);
}

static void tear_end(MemImage *bytes)
{
    mem_image_write(bytes, sample_end_footer(bytes) + 100, "x", 1);
}

static void lose_end(MemImage *bytes)
{
    mem_image_zero(bytes, sample_end_footer(bytes), 512);
}

static void cut_end(MemImage *bytes)
{
    mem_image_resize(bytes, sample_end_footer(bytes));
}

static void cut_odd(MemImage *bytes)
{
    mem_image_resize(bytes, sample_end_footer(bytes) + 100);
}

static void append(MemImage *bytes)
{
    mem_image_write(bytes, mem_image_bytes(bytes), zeros, sizeof(zeros));
}

static void append_odd(MemImage *bytes)
{
    mem_image_write(bytes, mem_image_bytes(bytes), "garbage behind the footer", 25);
}

static void append_and_tear(MemImage *bytes)
{
    append(bytes);
    tear_copy(bytes);
}

/* A block that no entry names yet, as a killed writer leaves it, its data where a footer was. */
static void append_block(MemImage *bytes)
{
    uint8_t block[BLOCK_SPAN];

    memset(block, 0x55, sizeof(block));
    mem_image_write(bytes, sample_end_footer(bytes), block, sizeof(block));
}

static void rename_end(MemImage *bytes)
{
    sample_poke_footer(bytes, sample_end_footer(bytes), 28, "vpc ", 4);
}

static void poke_both(MemImage *bytes, size_t field, const void *value, size_t len)
{
    uint64_t end = sample_end_footer(bytes);

    sample_poke_footer(bytes, 0, field, value, len);
    sample_poke_footer(bytes, end, field, value, len);
}

static void bend_geometry(MemImage *bytes)
{
    poke_both(bytes, 56, "\1\2\3\4", 4);
}

static void write_both(MemImage *bytes)
{
    mem_image_write(bytes, 28, "vpc ", 4);
    mem_image_write(bytes, sample_end_footer(bytes) + 28, "vpc ", 4);
}

static void differ(MemImage *bytes)
{
    sample_poke_footer(bytes, sample_end_footer(bytes), VHD_FOOTER_AT_UUID, "another one", 11);
}

/* The guest keeps an image of his own in the disk's last sectors, and the footer was lost. */
static void differ_in_block(MemImage *bytes)
{
    uint8_t raw[VHD_FOOTER_BYTES];
    uint64_t end = (uint64_t)sample_entry(bytes, DYNAMIC_BAT, 2) * 512 + BLOCK_SPAN;

    mem_image_read(bytes, 0, raw, sizeof(raw));
    mem_image_resize(bytes, end);
    mem_image_write(bytes, end - 512, raw, sizeof(raw));
    sample_poke_footer(bytes, end - 512, VHD_FOOTER_AT_UUID, "another one", 11);
}

/* Likewise, but his footer is damaged. */
static void tear_in_block(MemImage *bytes)
{
    differ_in_block(bytes);
    tear_end(bytes);
}

/* ---- fixed */

static void patch_fixed(MemImage *bytes)
{
    mem_image_write(bytes, DISK_BYTES + 28, "vpc ", 4);
}

static void bend_fixed(MemImage *bytes)
{
    sample_poke_footer(bytes, DISK_BYTES, 56, "\1\2\3\4", 4);
}

/* ---- header */

static void patch_header(MemImage *bytes)
{
    mem_image_write(bytes, 512 + 800, "x", 1);
}

static void bend_locator(MemImage *bytes)
{
    sample_poke_header(bytes, VHD_HEADER_AT_LOCATORS + VHD_LOCATOR_AT_OFFSET, "\0\0\0\0\x7f\0\0\0",
                       8);
}

static void bend_locators(MemImage *bytes)
{
    bend_locator(bytes);
    sample_poke_header(bytes, VHD_HEADER_AT_LOCATORS + VHD_LOCATOR_BYTES + VHD_LOCATOR_AT_LENGTH,
                       "\0\1\0\1", 4);
    lose_end(bytes);
}

/* ---- blocks */

static void lose_entry(MemImage *bytes)
{
    sample_set_entry(bytes, DYNAMIC_BAT, 1, VHD_BAT_UNUSED);
}

static void lose_entry_of_child(MemImage *bytes)
{
    sample_set_entry(bytes, CHILD_BAT, 1, VHD_BAT_UNUSED);
}

static void lose_last_entry(MemImage *bytes)
{
    sample_set_entry(bytes, DYNAMIC_BAT, 2, VHD_BAT_UNUSED);
}

static void lead_into_header(MemImage *bytes)
{
    sample_set_entry(bytes, DYNAMIC_BAT, 5, 1);
}

static void lead_out(MemImage *bytes)
{
    sample_set_entry(bytes, DYNAMIC_BAT, 1, 0xFFFFFFFE);
    sample_set_entry(bytes, DYNAMIC_BAT, 6, 0xFFFFFF00);
}

static void lead_out_of_child(MemImage *bytes)
{
    sample_set_entry(bytes, CHILD_BAT, 1, 0xFFFFFFFE);
}

static void lead_to_another(MemImage *bytes)
{
    sample_set_entry(bytes, DYNAMIC_BAT, 5, sample_entry(bytes, DYNAMIC_BAT, 0));
}

static void lead_into_another(MemImage *bytes)
{
    sample_set_entry(bytes, DYNAMIC_BAT, 2, sample_entry(bytes, DYNAMIC_BAT, 0) + 3);
}

/* The end of the file is gone, and half of the last block. */
static void cut_block(MemImage *bytes)
{
    mem_image_resize(bytes, (uint64_t)sample_entry(bytes, DYNAMIC_BAT, 2) * 512 + 4096);
}

/* ---- batmap */

static void write_batmap(MemImage *bytes, const uint8_t map[static 512])
{
    VhdBatmapHeader header = {.map_offset = BATMAP, .map_sectors = 1, .version = 0x00010002};
    uint8_t raw[VHD_BATMAP_BYTES];

    header.checksum = vhd_batmap_checksum(map, 512, DISK_BYTES);
    vhd_batmap_encode(&header, raw);
    mem_image_write(bytes, BATMAP, map, 512);
    mem_image_write(bytes, BATMAP_HEADER, raw, sizeof(raw));
}

/* As XenServer has it: the three blocks are full. */
static void add_batmap(MemImage *bytes)
{
    uint8_t map[512] = {0xE0};

    poke_both(bytes, 28, "tap\0\0\1\0\3", 8);
    write_batmap(bytes, map);
}

static void patch_batmap(MemImage *bytes)
{
    add_batmap(bytes);
    mem_image_write(bytes, BATMAP, "\xff", 1);
}

static void lose_batmap(MemImage *bytes)
{
    add_batmap(bytes);
    mem_image_zero(bytes, BATMAP_HEADER, 512);
}

static void bend_batmap(MemImage *bytes)
{
    add_batmap(bytes);
    mem_image_write(bytes, BATMAP_HEADER + VHD_BATMAP_AT_OFFSET, "\0\0\0\0\0\0\2\0", 8);
}

/* No room: a block lies where the map was. */
static void cover_batmap(MemImage *bytes)
{
    uint8_t block[BLOCK_SPAN];

    lose_batmap(bytes);
    mem_image_read(bytes, (uint64_t)sample_entry(bytes, DYNAMIC_BAT, 0) * 512, block,
                   sizeof(block));
    mem_image_write(bytes, BATMAP, block, sizeof(block));
    sample_set_entry(bytes, DYNAMIC_BAT, 0, BATMAP / 512);
}

static void lie_in_batmap(MemImage *bytes)
{
    uint8_t map[512] = {0xE5};

    add_batmap(bytes);
    write_batmap(bytes, map);
}

static void overlap_with_batmap(MemImage *bytes)
{
    uint8_t map[512] = {0xE4};

    add_batmap(bytes);
    write_batmap(bytes, map);
    lead_to_another(bytes);
}

/* ---- the table */

#define DYNAMIC VHD_TYPE_DYNAMIC
#define CHILD   VHD_TYPE_DIFFERENCING
#define FIXED   VHD_TYPE_FIXED
#define FIRST   VHD_REPAIR_FOOTER_FIRST
#define LAST    VHD_REPAIR_FOOTER_LAST

const Damage damages[] = {
    {"copy-torn", DYNAMIC, tear_copy, VHD_FINDING_FOOTER_COPY, 0, 0, true, 7, 0xF8},
    {"copy-lost", DYNAMIC, lose_copy, VHD_FINDING_FOOTER_COPY, 0, 0, true, 7, 0xF8},
    {"copy-torn-of-child", CHILD, tear_copy, VHD_FINDING_FOOTER_COPY, 0, 0, true, 7, 0xF8},
    {"end-torn", DYNAMIC, tear_end, VHD_FINDING_FOOTER_END, 0, 0, true, 7, 0xF8},
    {"end-lost", DYNAMIC, lose_end, VHD_FINDING_FOOTER_LOST, 0, 0, true, 7, 0xF8},
    {"end-lost-of-child", CHILD, lose_end, VHD_FINDING_FOOTER_LOST, 0, 0, true, 7, 0xF8},
    {"end-cut", DYNAMIC, cut_end, VHD_FINDING_FOOTER_LOST, 0, 0, true, 7, 0xF8},
    {"end-cut-odd", DYNAMIC, cut_odd, VHD_FINDING_FOOTER_LOST, 0, 0, true, 7, 0xF8},
    {"trailing", DYNAMIC, append, VHD_FINDING_TRAILING, 0, 0, true, 7, 0xF8},
    {"trailing-odd", DYNAMIC, append_odd, VHD_FINDING_TRAILING, 0, 0, true, 7, 0xF8},
    {"trailing-copy-torn", DYNAMIC, append_and_tear, VHD_FINDING_TRAILING, 0, 0, false, 7, 0xF8},
    {"trailing-block", DYNAMIC, append_block, VHD_FINDING_FOOTER_LOST, 0, 0, true, 7, 0xF8},
    {"unequal", DYNAMIC, rename_end, VHD_FINDING_FOOTERS_UNEQUAL, 0, 0, true, 7, 0xF8},
    {"geometry", DYNAMIC, bend_geometry, VHD_FINDING_GEOMETRY, 0, 0, true, 7, 0xF8},
    {"alike", DYNAMIC, write_both, VHD_FINDING_FOOTER_END, 0, 0, false, 7, 0xF8},
    {"differ-first", DYNAMIC, differ, VHD_FINDING_FOOTERS_DIFFER, 1, FIRST, true, 7, 0xF8},
    {"differ-last", DYNAMIC, differ, VHD_FINDING_FOOTERS_DIFFER, 1, LAST, true, 7, 0xF8},
    {"differ-in-block", DYNAMIC, differ_in_block, VHD_FINDING_FOOTERS_DIFFER, 1, FIRST, false, 3,
     0xF8},
    {"end-torn-in-block", DYNAMIC, tear_in_block, VHD_FINDING_FOOTER_END, 0, 0, true, 3, 0xF8},
    {"fixed-checksum", FIXED, patch_fixed, VHD_FINDING_FOOTER_END, 0, 0, false, 7, 0xF8},
    {"fixed-geometry", FIXED, bend_fixed, VHD_FINDING_GEOMETRY, 0, 0, true, 7, 0xF8},
    {"fixed-trailing", FIXED, append, VHD_FINDING_TRAILING, 0, 0, false, 7, 0xF8},
    {"fixed-trailing-odd", FIXED, append_odd, VHD_FINDING_TRAILING, 0, 0, false, 7, 0xF8},
    {"header-checksum", DYNAMIC, patch_header, VHD_FINDING_HEADER, 0, 0, false, 7, 0xF8},
    {"header-checksum-of-child", CHILD, patch_header, VHD_FINDING_HEADER, 0, 0, false, 7, 0xF8},
    {"locator", CHILD, bend_locator, VHD_FINDING_LOCATOR, 0, 0, false, 7, 0xF8},
    {"locators-end-lost", CHILD, bend_locators, VHD_FINDING_LOCATOR, 0, 0, false, 7, 0xF8},
    {"leak", DYNAMIC, lose_entry, VHD_FINDING_LEAK, 0, 0, true, 5, 0xFA},
    {"leak-of-child", CHILD, lose_entry_of_child, VHD_FINDING_LEAK, 0, 0, true, 5, 0xFA},
    {"leak-at-end", DYNAMIC, lose_last_entry, VHD_FINDING_LEAK, 0, 0, true, 3, 0xFC},
    {"entry-into-header", DYNAMIC, lead_into_header, VHD_FINDING_BAT_ENTRY, 1, 0, false, 7, 0xF8},
    {"entry-beyond", DYNAMIC, lead_out, VHD_FINDING_BAT_ENTRY, 1, 0, false, 5, 0xFA},
    {"entry-beyond-of-child", CHILD, lead_out_of_child, VHD_FINDING_BAT_ENTRY, 1, 0, false, 5,
     0xFA},
    {"overlap", DYNAMIC, lead_to_another, VHD_FINDING_BAT_OVERLAP, 1, 0, false, 7, 0xF8},
    {"overlap-in-part", DYNAMIC, lead_into_another, VHD_FINDING_BAT_OVERLAP, 1, 0, false, 3, 0xFC},
    {"block-cut", DYNAMIC, cut_block, VHD_FINDING_BAT_ENTRY, 1, 0, false, 3, 0xFC},
    {"batmap-checksum", DYNAMIC, patch_batmap, VHD_FINDING_BATMAP, 0, 0, true, 7, 0xF8},
    {"batmap-lost", DYNAMIC, lose_batmap, VHD_FINDING_BATMAP, 0, 0, true, 7, 0xF8},
    {"batmap-place", DYNAMIC, bend_batmap, VHD_FINDING_BATMAP, 0, 0, true, 7, 0xF8},
    {"batmap-covered", DYNAMIC, cover_batmap, VHD_FINDING_BATMAP, 0, 0, true, 7, 0xF8},
    {"batmap-lies", DYNAMIC, lie_in_batmap, VHD_FINDING_BATMAP_LIES, 0, 0, true, 7, 0xF8},
    {"overlap-in-batmap", DYNAMIC, overlap_with_batmap, VHD_FINDING_BAT_OVERLAP, 1, 0, false, 7,
     0xF8},
};
const unsigned damages_count = G_N_ELEMENTS(damages);

MemImage *damage_make(const Damage *damage)
{
    MemImage *bytes = sample_make_filled(damage->type, 3);

    damage->strike(bytes);
    return bytes;
}

VhdRepairOptions damage_options(const Damage *damage)
{
    return (VhdRepairOptions){
        .give_up = damage->asks, .footer = damage->footer, .pending_dir = DAMAGE_NO_PENDING};
}

bool damage_opens(MemImage *bytes)
{
    VhdImageOptions options = {.writable = false};
    g_autoptr(VhdImage) image =
        vhd_image_open(mem_file_open(bytes, "a.vhd", false), &options, NULL);

    return image != NULL;
}

/* ---- what is left */

static void take(void *data, const VhdFinding *finding)
{
    const Damage *damage = data;

    if (finding->repairable || finding->asks || finding->severity >= VHD_SEVERITY_LEAK)
        g_error("%s: check says of the mended image: %s", damage->name, finding->text);
}

static void assert_clean(const Damage *damage, MemImage *bytes)
{
    VhdCheckOptions options = {
        .report = take, .data = (void *)(uintptr_t)damage, .pending_dir = DAMAGE_NO_PENDING};
    g_autoptr(VhdFile) file = mem_file_open(bytes, "a.vhd", false);
    VhdCheckResult result;

    g_assert_true(vhd_check_image(file, 0, &options, &result, NULL));
}

/* All bytes of block are value, or, for 0, the image does not have them. */
static bool block_is(VhdImage *image, unsigned block, uint8_t value)
{
    for (unsigned sector = 0; sector < BLOCK_BYTES / 512;) {
        uint64_t at = (uint64_t)block * (BLOCK_BYTES / 512) + sector;
        uint8_t buf[BLOCK_BYTES];
        VhdImageExtent extent;

        g_assert_cmpint(vhd_image_map(image, at, BLOCK_BYTES / 512 - sector, &extent), ==, 0);
        memset(buf, 0, sizeof(buf));
        if (extent.presence == VHD_DATA)
            g_assert_cmpint(vhd_file_read(vhd_image_file(image), VHD_IO_DATA, extent.off, buf,
                                          extent.sectors * 512),
                            ==, 0);
        for (unsigned i = 0; i < extent.sectors * 512; i++)
            if (buf[i] != value)
                return false;
        sector += (unsigned)extent.sectors;
    }
    return true;
}

void damage_assert_mended(const Damage *damage, MemImage *bytes)
{
    VhdImageOptions options = {.writable = true};
    g_autoptr(MemImage) copy = mem_image_clone(bytes);
    g_autoptr(GError) error = NULL;
    g_autoptr(VhdImage) image = NULL;

    assert_clean(damage, bytes);
    image = vhd_image_open(mem_file_open(copy, "a.vhd", true), &options, &error);
    g_assert_no_error(error);
    g_assert_true(vhd_image_writable(image));
    for (unsigned block = 0; block < BLOCKS; block++) {
        if (damage->holds & 1u << block && !block_is(image, block, 0x77))
            g_error("%s: the data of block %u is not there", damage->name, block);
        if (damage->as_zeros & 1u << block && !block_is(image, block, 0))
            g_error("%s: block %u is not empty", damage->name, block);
    }
}
