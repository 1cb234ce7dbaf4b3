/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * Footers. Input: a byte of flags, eight bytes of file length, the footer.
 * Laws: encode(decode(raw)) = raw; decode refuses with a fault of its own; what
 * vhd_layout_footer_ok accepts lies in the file; a geometry never describes more than the disk.
 */
#include "fuzz.h"

#include <glib.h>

#include "vhd/be.h"
#include "vhd/error.h"
#include "vhd/layout.h"

enum { REPAIR = 1, SHORT = 2, AT_ZERO = 4 };

static void check_fault(const VhdFault *fault)
{
    g_autofree char *text = vhd_fault_text(fault);

    FUZZ_CHECK(fault->code > VHD_FAULT_NONE && fault->code < VHD_FAULT_CODES);
    FUZZ_CHECK(text[0] != '\0' && g_str_is_ascii(text));
}

static void check_geometry(uint64_t bytes)
{
    VhdGeometry g = vhd_geometry(bytes);
    uint64_t described = (uint64_t)g.cylinders * g.heads * g.sectors_per_track;

    FUZZ_CHECK(g.heads >= 4 && g.heads <= 16);
    FUZZ_CHECK(g.sectors_per_track >= 17);
    FUZZ_CHECK(described <= bytes / VHD_SECTOR_BYTES);
}

static void check_accepted(const VhdFooter *footer, uint64_t footer_off, uint64_t file_bytes)
{
    uint64_t end = footer_off > 0 ? footer_off : file_bytes;

    FUZZ_CHECK(footer->current_bytes > 0 && footer->current_bytes % 512 == 0);
    if (footer->type == VHD_TYPE_FIXED) {
        FUZZ_CHECK(footer->current_bytes <= footer_off);
        return;
    }
    FUZZ_CHECK(footer->type == VHD_TYPE_DYNAMIC || footer->type == VHD_TYPE_DIFFERENCING);
    FUZZ_CHECK(footer->current_bytes <= VHD_DYNAMIC_MAX_BYTES);
    FUZZ_CHECK(footer->data_offset >= 512 && footer->data_offset % 512 == 0);
    FUZZ_CHECK(footer->data_offset < end && end - footer->data_offset >= VHD_HEADER_BYTES);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    FuzzInput input = {data, size};
    uint8_t flags = fuzz_take_byte(&input), length[8], raw[512], again[512];
    size_t raw_len = flags & SHORT ? 511 : 512;
    uint64_t file_bytes, footer_off;
    VhdFooter footer;
    VhdFault fault = {VHD_FAULT_NONE, 0, 0, 0};

    fuzz_take(&input, length, sizeof(length));
    fuzz_take(&input, raw, sizeof(raw));
    file_bytes = be64_get(length) & INT64_MAX;
    footer_off = file_bytes > raw_len && !(flags & AT_ZERO) ? file_bytes - raw_len : 0;
    if (flags & SHORT)
        raw[511] = 0;
    if (flags & REPAIR) {
        memcpy(raw, "conectix", 8);
        be32_put(raw + 64, vhd_checksum(raw, sizeof(raw), 64));
    }
    if (!(flags & SHORT ? vhd_footer_decode_short(raw, footer_off, &footer, &fault)
                        : vhd_footer_decode(raw, footer_off, &footer, &fault))) {
        check_fault(&fault);
        return 0;
    }
    vhd_footer_encode(&footer, again);
    FUZZ_CHECK(memcmp(raw, again, sizeof(raw)) == 0);
    check_geometry(footer.current_bytes);
    if (vhd_layout_footer_ok(&footer, footer_off, file_bytes, &fault))
        check_accepted(&footer, footer_off, file_bytes);
    else
        check_fault(&fault);
    return 0;
}
