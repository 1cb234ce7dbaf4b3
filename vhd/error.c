/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
#include "vhd/error.h"

GQuark vhd_error_quark(void)
{
    return g_quark_from_static_string("vhd-error-quark");
}

/*
 * One row a fault. In the sentences stand, for the members of VhdFault:
 *   $o  off, decimal
 *   $f  found, decimal      $F  found, eight hexadecimal digits
 *   $w  wanted, decimal     $W  wanted, eight hexadecimal digits
 *   $C  found, as the eight characters of a cookie
 *   $b  "at most" or "at least", whichever found does not keep to
 */
typedef struct FaultRow {
    VhdErrorCode error;
    const char *text;
    /* Both again for where found is not a positive multiple of wanted, which is 512 then, or where
     * wanted is 0. No text: there is no such case. */
    VhdErrorCode error_uneven;
    const char *text_uneven;
} FaultRow;

#define RESTORE   "; restore it from a backup"
#define DAMAGED   "the image is damaged" RESTORE
#define NO_BATMAP "the batmap is left aside, which costs no data"
#define CONVERT   "; convert it with the program that made it"

static const FaultRow rows[VHD_FAULT_CODES] = {
    [VHD_FAULT_NONE] =
        {
            .error = VHD_ERROR_CORRUPT,
            .text = "no fault was found",
        },
    [VHD_FAULT_TOO_SMALL] =
        {
            .error = VHD_ERROR_CORRUPT,
            .text = "the file is $f bytes long, expected at least $w for what the field at offset "
                    "$o asks for: it was cut off or is damaged" RESTORE,
            .error_uneven = VHD_ERROR_NOT_VHD,
            .text_uneven = "the file is $f bytes long, expected at least $w: it is no VHD or was "
                           "cut off; name another file or copy it anew from its source",
        },
    [VHD_FAULT_FOOTER_COOKIE] =
        {
            .error = VHD_ERROR_NOT_VHD,
            .text = "footer cookie at offset $o is $C, expected \"conectix\": it is no VHD or its "
                    "end was cut off; name another file or copy it anew from its source",
        },
    [VHD_FAULT_FOOTER_POISONED] =
        {
            .error = VHD_ERROR_CORRUPT,
            .text = "footer cookie at offset $o is $C, expected \"conectix\": XenServer marks so "
                    "an image whose resizing was cut off; finish or undo that on the XenServer "
                    "host, or restore the image from a backup",
        },
    [VHD_FAULT_FOOTER_CHECKSUM] =
        {
            .error = VHD_ERROR_CORRUPT,
            .text = "footer checksum at offset $o is $F, expected $W: " DAMAGED,
        },
    [VHD_FAULT_FOOTER_VERSION] =
        {
            .error = VHD_ERROR_UNSUPPORTED,
            .text = "footer version at offset $o is $F, expected $W: the format is not known "
                    "here" CONVERT,
        },
    [VHD_FAULT_TYPE] =
        {
            .error = VHD_ERROR_UNSUPPORTED,
            .text = "disk type at offset $o is $f, expected 2, 3 or 4: it is neither fixed nor "
                    "dynamic nor differencing" CONVERT,
        },
    [VHD_FAULT_SIZE] =
        {
            .error = VHD_ERROR_CORRUPT,
            .text = "disk size at offset $o is $f, expected at most $w: no VHD of its type can be "
                    "that large, " DAMAGED,
            .error_uneven = VHD_ERROR_CORRUPT,
            .text_uneven =
                "disk size at offset $o is $f, expected a positive multiple of $w: " DAMAGED,
        },
    [VHD_FAULT_FIXED_LENGTH] =
        {
            .error = VHD_ERROR_CORRUPT,
            .text = "the file is $f bytes long, expected at least $w for the disk size at offset "
                    "$o: it was cut off; copy it anew from its source",
        },
    [VHD_FAULT_HEADER_OFFSET] =
        {
            .error = VHD_ERROR_CORRUPT,
            .text = "place of the header at offset $o is $f, expected at most $w: the header would "
                    "not lie inside the file, which was cut off or is damaged" RESTORE,
            .error_uneven = VHD_ERROR_CORRUPT,
            .text_uneven =
                "place of the header at offset $o is $f, expected a multiple of $w: " DAMAGED,
        },
    [VHD_FAULT_HEADER_COOKIE] =
        {
            .error = VHD_ERROR_CORRUPT,
            .text = "header cookie at offset $o is $C, expected \"cxsparse\": " DAMAGED,
        },
    [VHD_FAULT_HEADER_CHECKSUM] =
        {
            .error = VHD_ERROR_CORRUPT,
            .text = "header checksum at offset $o is $F, expected $W: " DAMAGED,
        },
    [VHD_FAULT_HEADER_VERSION] =
        {
            .error = VHD_ERROR_UNSUPPORTED,
            .text = "header version at offset $o is $F, expected $W: the format is not known "
                    "here" CONVERT,
        },
    [VHD_FAULT_BLOCK_SIZE] =
        {
            .error = VHD_ERROR_UNSUPPORTED,
            .text = "block size at offset $o is $f, expected $b $w: such blocks are not served "
                    "here" CONVERT,
            .error_uneven = VHD_ERROR_UNSUPPORTED,
            .text_uneven = "block size at offset $o is $f, expected a power of two: such blocks "
                           "are not served here" CONVERT,
        },
    [VHD_FAULT_BAT_ENTRIES] =
        {
            .error = VHD_ERROR_CORRUPT,
            .text = "number of blocks at offset $o is $f, expected $b $w: " DAMAGED,
        },
    [VHD_FAULT_BAT_OFFSET] =
        {
            .error = VHD_ERROR_CORRUPT,
            .text = "place of the block table at offset $o is $f, expected at most $w: the table "
                    "would not lie inside the file, which was cut off or is damaged" RESTORE,
            .error_uneven = VHD_ERROR_CORRUPT,
            .text_uneven =
                "place of the block table at offset $o is $f, expected a multiple of $w: " DAMAGED,
        },
    [VHD_FAULT_OVERLAP] =
        {
            .error = VHD_ERROR_CORRUPT,
            .text = "the place that the field at offset $o names begins at $f, inside another that "
                    "ends at $w: " DAMAGED,
        },
    [VHD_FAULT_LOCATOR_RANGE] =
        {
            .error = VHD_ERROR_CORRUPT,
            .text = "a parent locator whose place is at offset $o ends at $f, expected at most $w, "
                    "where the room for it ends: the file was cut off or is damaged" RESTORE,
        },
    [VHD_FAULT_LOCATOR_LENGTH] =
        {
            .error = VHD_ERROR_CORRUPT,
            .text = "length of a parent locator at offset $o is $f, expected at most $w: " DAMAGED,
        },
    [VHD_FAULT_BATMAP_COOKIE] =
        {
            .error = VHD_ERROR_CORRUPT,
            .text = "batmap cookie at offset $o is $C, expected \"tdbatmap\": " NO_BATMAP,
        },
    [VHD_FAULT_BATMAP_RANGE] =
        {
            .error = VHD_ERROR_CORRUPT,
            .text = "the batmap that the field at offset $o names ends at $f, expected at most $w, "
                    "where the file ends: " NO_BATMAP,
        },
    [VHD_FAULT_BATMAP_SIZE] =
        {
            .error = VHD_ERROR_CORRUPT,
            .text = "sectors of the batmap at offset $o are $f, expected $b $w: " NO_BATMAP,
        },
    [VHD_FAULT_BATMAP_CHECKSUM] =
        {
            .error = VHD_ERROR_CORRUPT,
            .text = "batmap checksum at offset $o is $F, expected $W: " NO_BATMAP,
        },
    [VHD_FAULT_BLOCK_IN_METADATA] =
        {
            .error = VHD_ERROR_CORRUPT,
            .text = "the block that the table's entry at offset $o names begins at $f and lies "
                    "over metadata that end at $w: " DAMAGED,
        },
    [VHD_FAULT_BLOCK_BEYOND_FILE] =
        {
            .error = VHD_ERROR_CORRUPT,
            .text =
                "the block that the table's entry at offset $o names ends at $f, expected at most "
                "$w, where the room for blocks ends: the file was cut off or is damaged" RESTORE,
        },
    [VHD_FAULT_BLOCK_OVERLAP] =
        {
            .error = VHD_ERROR_CORRUPT,
            .text = "the block that the table's entry at offset $o names begins at $f, inside "
                    "another that ends at $w: " DAMAGED,
        },
    [VHD_FAULT_FOOTERS_DIFFER] =
        {
            .error = VHD_ERROR_CORRUPT,
            .text = "the field at offset $o is $f in the footer copy there but $w in the footer at "
                    "the end of the file: it can only be read; look at its content, then choose "
                    "one with vhdctl repair --footer",
        },
};

/* The eight characters of a cookie in quotes, or sixteen hexadecimal digits if one cannot be
 * printed. */
static void append_cookie(GString *text, uint64_t cookie)
{
    char chars[9] = {0};

    for (int i = 0; i < 8; i++) {
        chars[i] = (char)(cookie >> (56 - 8 * i));
        if (!g_ascii_isprint(chars[i]) || chars[i] == '"') {
            g_string_append_printf(text, "0x%016" G_GINT64_MODIFIER "X", cookie);
            return;
        }
    }
    g_string_append_printf(text, "\"%s\"", chars);
}

static void append_value(GString *text, char what, const VhdFault *fault)
{
    uint64_t value = fault->found;

    if (what == 'o')
        value = fault->off;
    else if (g_ascii_tolower(what) == 'w')
        value = fault->wanted;
    if (what == 'C')
        append_cookie(text, value);
    else if (what == 'b')
        g_string_append(text, fault->found > fault->wanted ? "at most" : "at least");
    else if (g_ascii_isupper(what))
        g_string_append_printf(text, "0x%08" G_GINT64_MODIFIER "X", value);
    else
        g_string_append_printf(text, "%" G_GUINT64_FORMAT, value);
}

static bool is_uneven(const FaultRow *row, const VhdFault *fault)
{
    if (!row->text_uneven || fault->wanted != VHD_SECTOR_BYTES)
        return row->text_uneven && fault->wanted == 0;
    return fault->found == 0 || fault->found % VHD_SECTOR_BYTES != 0;
}

static const FaultRow *row_of(const VhdFault *fault)
{
    return &rows[(unsigned)fault->code < VHD_FAULT_CODES ? fault->code : VHD_FAULT_NONE];
}

char *vhd_fault_text(const VhdFault *fault)
{
    const FaultRow *row = row_of(fault);
    const char *at = is_uneven(row, fault) ? row->text_uneven : row->text;
    GString *text = g_string_new(NULL);

    for (; *at; at++) {
        if (*at == '$')
            append_value(text, *++at, fault);
        else
            g_string_append_c(text, *at);
    }
    return g_string_free(text, FALSE);
}

VhdErrorCode vhd_fault_error_code(const VhdFault *fault)
{
    const FaultRow *row = row_of(fault);

    return is_uneven(row, fault) ? row->error_uneven : row->error;
}

void vhd_error_set_fault(GError **error, const char *file, const VhdFault *fault)
{
    g_autofree char *text = vhd_fault_text(fault);

    g_set_error(error, VHD_ERROR, (int)vhd_fault_error_code(fault), "%s: %s", file, text);
}

void vhd_error_set_errno(GError **error, VhdErrorCode code, const char *file, const char *doing,
                         int err)
{
    if (code == VHD_ERROR_IO && err == ENOSPC)
        code = VHD_ERROR_NOSPACE;
    g_set_error(error, VHD_ERROR, (int)code, "%s: cannot %s: %s", file, doing, g_strerror(err));
}
