/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
#include "cli/facts.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli/inode.h"
#include "cli/output.h"
#include "cli/size.h"
#include "vhd/locator.h"
#include "vhd/pending-store.h"

typedef struct LocatorFacts {
    unsigned slot;
    char *platform;
    char *path; /* NULL: no text */
    VhdLocator locator;
} LocatorFacts;

struct Facts {
    VhdImage *image; /* borrowed */
    const VhdFooter *footer;
    const VhdHeader *header; /* NULL: fixed */
    uint64_t used_bytes;
    char *parent;       /* path of the file found */
    char *parent_named; /* as the image names it */
    char *parent_name;  /* the header's field */
    char *uuid, *parent_uuid, *creator, *creator_host, *created, *parent_time;
    char *pending;               /* path of a log that waits */
    const char *copy, *trailing; /* what the footers are like; copy NULL: there is none */
    unsigned locators;
    LocatorFacts locator[VHD_LOCATORS];
};

static const char *type_name(uint32_t type)
{
    return type == VHD_TYPE_FIXED ? "fixed" : type == VHD_TYPE_DYNAMIC ? "dynamic" : "differencing";
}

static char *time_text(uint32_t stamp)
{
    g_autoptr(GDateTime) time = g_date_time_new_from_unix_utc((gint64)stamp + VHD_EPOCH_UNIX);

    return g_date_time_format(time, "%Y-%m-%dT%H:%M:%SZ");
}

/* Windows counts its versions in halves: 0x000A0000 is 10.0. */
static char *creator_text(const VhdFooter *footer)
{
    g_autofree char *code = output_code(footer->creator);

    return g_strdup_printf("%s %u.%u", g_strchomp(code), footer->creator_version >> 16,
                           footer->creator_version & 0xFFFF);
}

/* The footer in the len bytes at off. */
static const char *footer_state(VhdFile *file, uint64_t off, size_t len)
{
    uint8_t raw[VHD_FOOTER_BYTES];
    VhdFooter footer;
    VhdFault fault;
    bool good;

    if (vhd_file_read(file, VHD_IO_FOOTER, off, raw, len) != 0)
        return "unreadable";
    good = len == VHD_FOOTER_BYTES ? vhd_footer_decode(raw, off, &footer, &fault)
                                   : vhd_footer_decode_short(raw, off, &footer, &fault);
    if (good)
        return len == VHD_FOOTER_BYTES ? "good" : "good, of 511 bytes";
    return fault.code == VHD_FAULT_FOOTER_COOKIE ? "missing" : "bad";
}

static void collect_footers(Facts *facts)
{
    VhdFile *file = vhd_image_file(facts->image);
    uint64_t bytes = vhd_image_layout(facts->image)->file_bytes;
    size_t len =
        bytes % VHD_SECTOR_BYTES == VHD_FOOTER_BYTES - 1 ? VHD_FOOTER_BYTES - 1 : VHD_FOOTER_BYTES;

    facts->trailing = footer_state(file, bytes - len, len);
    if (facts->header)
        facts->copy = footer_state(file, 0, VHD_FOOTER_BYTES);
}

static void collect_locators(Facts *facts)
{
    for (unsigned i = 0; i < VHD_LOCATORS; i++) {
        const VhdLocator *locator = &facts->header->locators[i];
        LocatorFacts *fact = &facts->locator[facts->locators];
        size_t len;
        g_autofree uint8_t *bytes = NULL;

        if (locator->platform == VHD_PLATFORM_NONE)
            continue;
        bytes = vhd_image_read_locator(facts->image, i, &len, NULL);
        *fact = (LocatorFacts){
            .slot = i, .platform = output_code(locator->platform), .locator = *locator};
        if (bytes)
            fact->path = vhd_locator_decode(locator->platform, bytes, len);
        facts->locators++;
    }
}

static const char *locator_path(const Facts *facts, VhdPlatform platform)
{
    for (unsigned i = 0; i < facts->locators; i++)
        if (facts->locator[i].locator.platform == platform && facts->locator[i].path)
            return facts->locator[i].path;
    return NULL;
}

/* In the order in which they are looked for. */
static void collect_parent(Facts *facts)
{
    static const VhdPlatform order[] = {VHD_PLATFORM_W2RU, VHD_PLATFORM_W2KU, VHD_PLATFORM_MACX};
    const char *named = NULL;

    facts->parent_name = vhd_parent_name_decode(facts->header->parent_name);
    facts->parent_uuid = output_hex(facts->header->parent_uuid, VHD_UUID_BYTES);
    facts->parent_time = time_text(facts->header->parent_time_stamp);
    for (size_t i = 0; i < G_N_ELEMENTS(order) && !named; i++)
        named = locator_path(facts, order[i]);
    facts->parent_named = g_strdup(named ? named : facts->parent_name);
}

Facts *facts_new(VhdImage *image, const char *parent)
{
    Facts *facts = g_new0(Facts, 1);
    const VhdFooter *footer = vhd_image_footer(image);

    facts->image = image;
    facts->footer = footer;
    facts->header = vhd_image_is_raw(image) ? NULL : vhd_image_header(image);
    facts->used_bytes = inode_used_bytes(vhd_image_name(image));
    facts->parent = g_strdup(parent);
    facts->uuid = output_hex(footer->uuid, VHD_UUID_BYTES);
    facts->creator = creator_text(footer);
    facts->creator_host = output_code(footer->creator_host);
    facts->created = time_text(footer->time_stamp);
    facts->pending = vhd_pending_waiting(vhd_image_file(image), footer->uuid, NULL);
    collect_footers(facts);
    if (footer->type == VHD_TYPE_DIFFERENCING) {
        collect_locators(facts);
        collect_parent(facts);
    }
    return facts;
}

void facts_free(Facts *facts)
{
    if (!facts)
        return;
    for (unsigned i = 0; i < facts->locators; i++) {
        g_free(facts->locator[i].platform);
        g_free(facts->locator[i].path);
    }
    g_free(facts->parent);
    g_free(facts->parent_named);
    g_free(facts->parent_name);
    g_free(facts->uuid);
    g_free(facts->parent_uuid);
    g_free(facts->creator);
    g_free(facts->creator_host);
    g_free(facts->created);
    g_free(facts->parent_time);
    g_free(facts->pending);
    g_free(facts);
}

/* Text */

static void print_head(const Facts *facts)
{
    g_autofree char *size = size_format(facts->footer->current_bytes);
    g_autofree char *used = size_format(facts->used_bytes);

    output_line(0, "image", "%s", vhd_image_name(facts->image));
    output_line(0, "file format", "%s", vhd_image_is_raw(facts->image) ? "raw" : "vpc");
    output_line(0, "virtual size", "%s (%" PRIu64 " bytes)", size, facts->footer->current_bytes);
    output_line(0, "disk size", "%s", used);
    if (facts->header)
        output_line(0, "cluster_size", "%u", facts->header->block_bytes);
    if (facts->parent_named && facts->parent && strcmp(facts->parent_named, facts->parent) != 0)
        output_line(0, "backing file", "%s (actual path: %s)", facts->parent_named, facts->parent);
    else if (facts->parent_named)
        output_line(0, "backing file", "%s%s", facts->parent_named,
                    facts->parent ? "" : " (not found)");
    if (facts->pending)
        output_line(0, "writes not yet in the file", "%s", facts->pending);
}

static void print_parent(const Facts *facts)
{
    output_line(1, "parent uuid", "%s", facts->parent_uuid);
    output_line(1, "parent time stamp", "%s",
                facts->header->parent_time_stamp ? facts->parent_time : "0");
    output_line(1, "parent name", "%s", facts->parent_name ? facts->parent_name : "(no text)");
    for (unsigned i = 0; i < facts->locators; i++) {
        const LocatorFacts *fact = &facts->locator[i];

        output_line(1, "locator", "slot %u, %s at %" PRIu64 ", %u bytes: %s", fact->slot,
                    fact->platform, fact->locator.data_offset, fact->locator.data_length,
                    fact->path ? fact->path : "(no text)");
    }
}

static void print_specific(const Facts *facts)
{
    const VhdFooter *footer = facts->footer;
    const VhdLayout *layout = vhd_image_layout(facts->image);

    printf("Format specific information:\n");
    output_line(1, "subformat", "%s", type_name(footer->type));
    output_line(1, "uuid", "%s", facts->uuid);
    output_line(1, "creator", "%s", facts->creator);
    output_line(1, "creator host", "%s", facts->creator_host);
    output_line(1, "created", "%s", facts->created);
    output_line(1, "original size", "%" PRIu64, footer->original_bytes);
    output_line(1, "geometry", "%u/%u/%u", footer->geometry.cylinders, footer->geometry.heads,
                footer->geometry.sectors_per_track);
    output_line(1, "saved state", "%s", footer->saved_state ? "true" : "false");
    if (facts->copy)
        output_line(1, "footer copy", "%s", facts->copy);
    output_line(1, "footer", "%s", facts->trailing);
    if (facts->header) {
        output_line(1, "header offset", "%" PRIu64, layout->header_off);
        output_line(1, "bat offset", "%" PRIu64, layout->bat_off);
        output_line(1, "bat entries", "%u", facts->header->bat_entries);
    }
    if (facts->parent_uuid)
        print_parent(facts);
}

void facts_print(const Facts *facts)
{
    print_head(facts);
    if (!vhd_image_is_raw(facts->image))
        print_specific(facts);
}

/* JSON */

static void add_geometry(const Facts *facts, JsonBuilder *builder)
{
    const VhdGeometry *geometry = &facts->footer->geometry;

    json_builder_set_member_name(builder, "geometry");
    json_builder_begin_object(builder);
    output_json_number(builder, "cylinders", geometry->cylinders);
    output_json_number(builder, "heads", geometry->heads);
    output_json_number(builder, "sectors-per-track", geometry->sectors_per_track);
    json_builder_end_object(builder);
}

static void add_locators(const Facts *facts, JsonBuilder *builder)
{
    json_builder_set_member_name(builder, "locators");
    json_builder_begin_array(builder);
    for (unsigned i = 0; i < facts->locators; i++) {
        const LocatorFacts *fact = &facts->locator[i];

        json_builder_begin_object(builder);
        output_json_number(builder, "slot", fact->slot);
        output_json_string(builder, "platform", fact->platform);
        output_json_number(builder, "offset", fact->locator.data_offset);
        output_json_number(builder, "length", fact->locator.data_length);
        output_json_number(builder, "space", fact->locator.data_space);
        if (fact->path)
            output_json_string(builder, "path", fact->path);
        json_builder_end_object(builder);
    }
    json_builder_end_array(builder);
}

static void add_parent(const Facts *facts, JsonBuilder *builder)
{
    output_json_string(builder, "parent-uuid", facts->parent_uuid);
    output_json_number(builder, "parent-time-stamp", facts->header->parent_time_stamp);
    if (facts->parent_name)
        output_json_string(builder, "parent-name", facts->parent_name);
    add_locators(facts, builder);
}

static void add_places(const Facts *facts, JsonBuilder *builder)
{
    const VhdLayout *layout = vhd_image_layout(facts->image);

    output_json_number(builder, "header-offset", layout->header_off);
    output_json_number(builder, "bat-offset", layout->bat_off);
    output_json_number(builder, "bat-entries", facts->header->bat_entries);
    if (layout->batmap_off)
        output_json_number(builder, "batmap-offset", layout->batmap_off);
}

static void add_specific(const Facts *facts, JsonBuilder *builder)
{
    const VhdFooter *footer = facts->footer;

    json_builder_set_member_name(builder, "format-specific");
    json_builder_begin_object(builder);
    output_json_string(builder, "type", "vpc");
    json_builder_set_member_name(builder, "data");
    json_builder_begin_object(builder);
    output_json_string(builder, "subformat", type_name(footer->type));
    output_json_string(builder, "uuid", facts->uuid);
    output_json_string(builder, "creator", facts->creator);
    output_json_string(builder, "creator-host", facts->creator_host);
    output_json_string(builder, "created", facts->created);
    output_json_number(builder, "original-size", footer->original_bytes);
    add_geometry(facts, builder);
    output_json_number(builder, "features", footer->features);
    output_json_bool(builder, "saved-state", footer->saved_state != 0);
    if (facts->copy)
        output_json_string(builder, "footer-copy", facts->copy);
    output_json_string(builder, "footer", facts->trailing);
    if (facts->header)
        add_places(facts, builder);
    if (facts->parent_uuid)
        add_parent(facts, builder);
    if (facts->pending)
        output_json_string(builder, "pending-log", facts->pending);
    json_builder_end_object(builder);
    json_builder_end_object(builder);
}

void facts_add_json(const Facts *facts, JsonBuilder *builder)
{
    bool raw = vhd_image_is_raw(facts->image);

    json_builder_begin_object(builder);
    if (facts->parent_named)
        output_json_string(builder, "backing-filename-format", "vpc");
    output_json_number(builder, "virtual-size", facts->footer->current_bytes);
    output_json_string(builder, "filename", vhd_image_name(facts->image));
    if (facts->header)
        output_json_number(builder, "cluster-size", facts->header->block_bytes);
    output_json_string(builder, "format", raw ? "raw" : "vpc");
    output_json_number(builder, "actual-size", facts->used_bytes);
    if (!raw)
        add_specific(facts, builder);
    if (facts->parent)
        output_json_string(builder, "full-backing-filename", facts->parent);
    if (facts->parent_named)
        output_json_string(builder, "backing-filename", facts->parent_named);
    output_json_bool(builder, "dirty-flag", facts->pending != NULL);
    json_builder_end_object(builder);
}
