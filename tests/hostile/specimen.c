/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
#include "tests/hostile/specimen.h"

#include <string.h>

#include "tests/support/mem-file.h"
#include "vhd/be.h"
#include "vhd/image-create.h"
#include "vhd/image.h"

#define DISK_BYTES  65536u
#define BLOCK_BYTES 4096u

typedef struct Place {
    const char *name;
    unsigned off, width;
} Place;

static const Place footer_places[] = {
    {"cookie", 0, 8},    {"features", 8, 4}, {"version", 12, 4},         {"data-offset", 16, 8},
    {"time", 24, 4},     {"creator", 28, 4}, {"creator-version", 32, 4}, {"host", 36, 4},
    {"original", 40, 8}, {"size", 48, 8},    {"cylinders", 56, 2},       {"heads", 58, 1},
    {"sectors", 59, 1},  {"type", 60, 4},    {"checksum", 64, 4},        {"uuid", 68, 8},
    {"uuid-end", 76, 8}, {"saved", 84, 1},   {"reserved", 85, 8},
};

static const Place header_places[] = {
    {"cookie", 0, 8},
    {"data-offset", 8, 8},
    {"bat-offset", 16, 8},
    {"version", 24, 4},
    {"entries", 28, 4},
    {"block-size", 32, 4},
    {"checksum", 36, 4},
    {"parent-uuid", 40, 8},
    {"parent-uuid-end", 48, 8},
    {"parent-time", 56, 4},
    {"reserved", 60, 4},
    {"parent-name", 64, 8},
    {"parent-name-end", 568, 8},
};

static const Place locator_places[] = {
    {"code", 0, 4}, {"space", 4, 4}, {"length", 8, 4}, {"reserved", 12, 4}, {"offset", 16, 8},
};

static const Place batmap_places[] = {
    {"cookie", 0, 8},   {"offset", 8, 8},    {"sectors", 16, 4},
    {"version", 20, 4}, {"checksum", 24, 4}, {"marker", 28, 1},
};

/* Making */

static void write_sectors(VhdImage *image, unsigned sector, unsigned count)
{
    uint8_t data[BLOCK_BYTES];

    memset(data, 0xD5, sizeof data);
    while (count > 0) {
        VhdImageWrite write;

        g_assert_cmpint(vhd_image_begin_write(image, sector, count, &write), ==, 0);
        g_assert_cmpint(vhd_file_write(vhd_image_file(image), VHD_IO_DATA, write.off, data,
                                       (size_t)write.sectors * VHD_SECTOR_BYTES),
                        ==, 0);
        g_assert_cmpint(vhd_image_end_write(image, &write, true), ==, 0);
        sector += write.sectors;
        count -= write.sectors;
    }
}

static void make(Specimen *specimen)
{
    g_autoptr(MemImage) memory = mem_image_new();
    g_autoptr(GError) error = NULL;
    uint8_t uuid[VHD_UUID_BYTES];
    VhdCreate create = {.type = specimen->type,
                        .disk_bytes = DISK_BYTES,
                        .block_bytes = BLOCK_BYTES,
                        .uuid = uuid,
                        .parent_name = "parent.vhd",
                        .parent_relative = "parent.vhd",
                        .parent_absolute = "/nowhere/parent.vhd"};
    VhdImageOptions options = {.writable = true};
    VhdFile *file = mem_file_open(memory, "specimen.vhd", true);

    memset(uuid, specimen->type, sizeof uuid);
    memset(create.parent_uuid, VHD_TYPE_DYNAMIC, sizeof create.parent_uuid);
    vhd_image_create(file, &create, &error);
    g_assert_no_error(error);
    g_autoptr(VhdImage) image = vhd_image_open(file, &options, &error);
    g_assert_no_error(error);
    write_sectors(image, 0, 8);
    write_sectors(image, 8 * 3 + 2, 3);
    write_sectors(image, 8 * 7 - 4, 8);
    g_assert_cmpint(vhd_image_finish(image), ==, 0);
    specimen->layout = *vhd_image_layout(image);
    specimen->len = mem_image_bytes(memory);
    specimen->layout.file_bytes = specimen->len;
    specimen->bytes = g_malloc(specimen->len);
    mem_image_read(memory, 0, specimen->bytes, specimen->len);
}

static uint64_t batmap_header_off(const Specimen *specimen)
{
    return vhd_layout_batmap_header_off(&specimen->layout);
}

/* Tapdisk's, in the room behind the BAT. */
static void add_batmap(Specimen *specimen)
{
    uint64_t off = batmap_header_off(specimen), trailing = specimen->len - VHD_FOOTER_BYTES;
    VhdBatmapHeader header = {
        .map_offset = off + VHD_BATMAP_BYTES, .map_sectors = 1, .version = 0x00010002};

    for (unsigned i = 0; i < 2; i++) {
        uint8_t *footer = specimen->bytes + (i ? trailing : 0);

        be32_put(footer + 28, VHD_CREATOR_TAPDISK);
        be32_put(footer + 32, 0x00010003);
    }
    memset(specimen->bytes + off + VHD_BATMAP_BYTES, 0, VHD_SECTOR_BYTES);
    specimen->bytes[off + VHD_BATMAP_BYTES] = 0x80;
    vhd_batmap_encode(&header, specimen->bytes + off);
    for (Record record = RECORD_COPY; record < RECORD_NONE; record++)
        specimen_fix(specimen, specimen->bytes, record);
}

/* Fields and values */

static void add_field(Specimen *specimen, const char *name, Record record, uint64_t off,
                      unsigned width)
{
    Field field = {name, record, off, width};

    if (off + width <= specimen->len)
        g_array_append_val(specimen->fields, field);
}

static void add_places(Specimen *specimen, Record record, uint64_t base, const Place *places,
                       size_t count)
{
    for (size_t i = 0; i < count; i++)
        add_field(specimen, places[i].name, record, base + places[i].off, places[i].width);
}

static void add_sparse_fields(Specimen *specimen)
{
    const VhdLayout *layout = &specimen->layout;
    uint64_t header = layout->header_off, map = batmap_header_off(specimen);

    add_places(specimen, RECORD_HEADER, header, header_places, G_N_ELEMENTS(header_places));
    for (unsigned i = 0; i < VHD_LOCATORS; i++)
        add_places(specimen, RECORD_HEADER, header + VHD_HEADER_AT_LOCATORS + i * VHD_LOCATOR_BYTES,
                   locator_places, G_N_ELEMENTS(locator_places));
    for (unsigned i = 0; i < layout->blocks + 2; i++) {
        uint64_t off = layout->bat_off + i * 4;
        uint32_t entry = be32_get(specimen->bytes + off);

        add_field(specimen, "bat-entry", RECORD_NONE, off, 4);
        if (entry != VHD_BAT_UNUSED)
            add_field(specimen, "bitmap", RECORD_NONE, (uint64_t)entry * VHD_SECTOR_BYTES, 8);
    }
    for (unsigned i = 0; i < layout->regions; i++)
        if (layout->region[i].kind == VHD_REGION_LOCATOR)
            add_field(specimen, "locator", RECORD_NONE, layout->region[i].off, 8);
    if (!specimen->batmap)
        return;
    add_places(specimen, RECORD_BATMAP_HEADER, map, batmap_places, G_N_ELEMENTS(batmap_places));
    add_field(specimen, "batmap", RECORD_BATMAP, map + VHD_BATMAP_BYTES, 8);
}

static void add_value(Specimen *specimen, uint64_t value)
{
    g_array_append_val(specimen->values, value);
}

/* A place in the file, and what lies next to it, in bytes and in sectors. */
static void add_place_values(Specimen *specimen, uint64_t off)
{
    add_value(specimen, off - 512);
    add_value(specimen, off - 1);
    add_value(specimen, off);
    add_value(specimen, off + 1);
    add_value(specimen, off + 512);
    add_value(specimen, off / VHD_SECTOR_BYTES - 1);
    add_value(specimen, off / VHD_SECTOR_BYTES);
    add_value(specimen, off / VHD_SECTOR_BYTES + 1);
}

static void add_values(Specimen *specimen)
{
    static const uint64_t edges[] = {0,
                                     1,
                                     2,
                                     3,
                                     4,
                                     7,
                                     255,
                                     256,
                                     2048,
                                     4096,
                                     4097,
                                     8192,
                                     65535,
                                     65536,
                                     65537,
                                     0x00200000,
                                     0x01000000,
                                     0x01000001,
                                     0x10000000,
                                     0x20000000,
                                     0x7FFFFFFF,
                                     0x80000000,
                                     0xFFFFFFFE,
                                     0xFFFFFFFF,
                                     UINT64_C(0x100000000),
                                     UINT64_C(0x1FE00000000),
                                     UINT64_C(0x1FE00000200),
                                     INT64_MAX,
                                     UINT64_C(1) << 63,
                                     UINT64_MAX - 511,
                                     UINT64_MAX,
                                     VHD_PLATFORM_WI2R,
                                     VHD_PLATFORM_WI2K,
                                     VHD_PLATFORM_W2RU,
                                     VHD_PLATFORM_W2KU,
                                     VHD_PLATFORM_MAC,
                                     VHD_PLATFORM_MACX,
                                     VHD_CREATOR_TAPDISK,
                                     0x00010001};
    const VhdLayout *layout = &specimen->layout;

    for (size_t i = 0; i < G_N_ELEMENTS(edges); i++)
        add_value(specimen, edges[i]);
    add_place_values(specimen, specimen->len);
    add_place_values(specimen, specimen->len - VHD_FOOTER_BYTES);
    for (unsigned i = 0; i < layout->regions; i++)
        add_place_values(specimen, layout->region[i].off);
    for (unsigned i = 0; i < layout->blocks; i++) {
        uint32_t entry = be32_get(specimen->bytes + layout->bat_off + i * 4);

        if (entry != VHD_BAT_UNUSED)
            add_place_values(specimen, (uint64_t)entry * VHD_SECTOR_BYTES);
    }
}

Specimen *specimen_new(const char *name, VhdType type, bool batmap)
{
    Specimen *specimen = g_new0(Specimen, 1);

    specimen->name = name;
    specimen->type = type;
    specimen->batmap = batmap;
    specimen->fields = g_array_new(FALSE, FALSE, sizeof(Field));
    specimen->values = g_array_new(FALSE, FALSE, sizeof(uint64_t));
    make(specimen);
    if (batmap)
        add_batmap(specimen);
    if (type != VHD_TYPE_FIXED)
        add_places(specimen, RECORD_COPY, 0, footer_places, G_N_ELEMENTS(footer_places));
    add_places(specimen, RECORD_TRAILING, specimen->len - VHD_FOOTER_BYTES, footer_places,
               G_N_ELEMENTS(footer_places));
    if (type != VHD_TYPE_FIXED)
        add_sparse_fields(specimen);
    add_values(specimen);
    return specimen;
}

void specimen_free(Specimen *specimen)
{
    g_array_unref(specimen->fields);
    g_array_unref(specimen->values);
    g_free(specimen->bytes);
    g_free(specimen);
}

void specimen_poke(const Field *field, uint8_t *bytes, uint64_t value)
{
    for (unsigned i = 0; i < field->width; i++)
        bytes[field->off + i] = (uint8_t)(value >> 8 * (field->width - 1 - i));
}

uint64_t specimen_peek(const Field *field, const uint8_t *bytes)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < field->width; i++)
        value = value << 8 | bytes[field->off + i];
    return value;
}

static void fix_record(uint8_t *record, size_t len, size_t checksum_at)
{
    be32_put(record + checksum_at, vhd_checksum(record, len, checksum_at));
}

void specimen_fix(const Specimen *specimen, uint8_t *bytes, Record record)
{
    uint64_t map = batmap_header_off(specimen);

    switch (record) {
    case RECORD_COPY:
        if (specimen->type != VHD_TYPE_FIXED)
            fix_record(bytes, VHD_FOOTER_BYTES, VHD_FOOTER_AT_CHECKSUM);
        break;
    case RECORD_TRAILING:
        fix_record(bytes + specimen->len - VHD_FOOTER_BYTES, VHD_FOOTER_BYTES,
                   VHD_FOOTER_AT_CHECKSUM);
        break;
    case RECORD_HEADER:
        if (specimen->type != VHD_TYPE_FIXED)
            fix_record(bytes + specimen->layout.header_off, VHD_HEADER_BYTES,
                       VHD_HEADER_AT_CHECKSUM);
        break;
    case RECORD_BATMAP_HEADER:
    case RECORD_BATMAP:
        if (specimen->batmap)
            be32_put(bytes + map + 24,
                     vhd_checksum(bytes + map + VHD_BATMAP_BYTES, VHD_SECTOR_BYTES, SIZE_MAX));
        break;
    case RECORD_NONE:
        break;
    }
}

const Field *specimen_twin(const Specimen *specimen, const Field *field)
{
    uint64_t trailing = specimen->len - VHD_FOOTER_BYTES;
    uint64_t off = field->record == RECORD_COPY ? field->off + trailing : field->off - trailing;

    for (guint i = 0; field->record <= RECORD_TRAILING && i < specimen->fields->len; i++) {
        const Field *other = &g_array_index(specimen->fields, Field, i);

        if (other->record <= RECORD_TRAILING && other->off == off && other->width == field->width)
            return other;
    }
    return NULL;
}
