/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
#include "format-sample.h"

#include <string.h>

#include "vhd/be.h"
#include "vhd/error.h"

VhdFooter sample_footer(void)
{
    VhdFooter footer = {
        .features = 2,
        .version = 0x00010000,
        .data_offset = SAMPLE_HEADER_OFF,
        .time_stamp = 0x2695B89E,
        .creator = VHD_CREATOR_WINDOWS,
        .creator_version = 0x000A0000,
        .creator_host = VHD_HOST_WINDOWS,
        .original_bytes = 40u << 20,
        .current_bytes = 40u << 20,
        .geometry = {963, 5, 17},
        .type = VHD_TYPE_DIFFERENCING,
    };

    for (unsigned i = 0; i < VHD_UUID_BYTES; i++)
        footer.uuid[i] = (uint8_t)(0xC0 + i);
    return footer;
}

VhdHeader sample_header(void)
{
    VhdHeader header = {
        .data_offset = VHD_NO_DATA_OFFSET,
        .bat_offset = 8192,
        .version = 0x00010000,
        .bat_entries = 20,
        .block_bytes = 2u << 20,
        .locators = {{VHD_PLATFORM_W2KU, 4096, 66, 0, 4096},
                     {VHD_PLATFORM_W2RU, 65536, 20, 0, 12288}},
    };

    for (unsigned i = 0; i < VHD_UUID_BYTES; i++)
        header.parent_uuid[i] = (uint8_t)(0xA0 + i);
    return header;
}

void sample_fill(uint8_t image[static SAMPLE_BYTES])
{
    VhdFooter footer = sample_footer();
    VhdHeader header = sample_header();

    memset(image, 0, SAMPLE_BYTES);
    vhd_footer_encode(&footer, image);
    vhd_header_encode(&header, image + SAMPLE_HEADER_OFF);
    vhd_footer_encode(&footer, image + SAMPLE_FOOTER_OFF);
}

static void fix_checksum(uint8_t *record, size_t len, size_t checksum_at)
{
    be32_put(record + checksum_at, vhd_checksum(record, len, checksum_at));
}

void sample_fix_checksums(uint8_t image[static SAMPLE_BYTES])
{
    fix_checksum(image, VHD_FOOTER_BYTES, VHD_FOOTER_AT_CHECKSUM);
    fix_checksum(image + SAMPLE_HEADER_OFF, VHD_HEADER_BYTES, VHD_HEADER_AT_CHECKSUM);
    fix_checksum(image + SAMPLE_FOOTER_OFF, VHD_FOOTER_BYTES, VHD_FOOTER_AT_CHECKSUM);
}

static bool judge(const uint8_t *image, size_t len, VhdLayout *layout, VhdFault *fault)
{
    uint64_t footer_off = len - (len % 512 == 511 ? 511 : 512);
    VhdFooter footer;
    VhdHeader header;
    bool ok = len % 512 == 511
                  ? vhd_footer_decode_short(image + footer_off, footer_off, &footer, fault)
                  : vhd_footer_decode(image + footer_off, footer_off, &footer, fault);

    if (!ok || !vhd_layout_footer_ok(&footer, footer_off, len, fault))
        return false;
    if (footer.type == VHD_TYPE_FIXED)
        return vhd_layout_init(layout, &footer, footer_off, NULL, len, fault);
    return vhd_header_decode(image + footer.data_offset, footer.data_offset, &header, fault) &&
           vhd_layout_init(layout, &footer, footer_off, &header, len, fault);
}

char *sample_judge(const uint8_t *image, size_t len, VhdLayout *layout)
{
    g_autoptr(GError) error = NULL;
    VhdLayout unused;
    VhdFault fault = {VHD_FAULT_NONE, 0, 0, 0};

    if (judge(image, len, layout ? layout : &unused, &fault))
        return NULL;
    vhd_error_set_fault(&error, SAMPLE_FILE, &fault);
    return g_strdup(error->message);
}
