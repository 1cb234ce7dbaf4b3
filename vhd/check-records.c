/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * Footers, header and the place of everything, judged with every fault told, where opening stops at
 * the first. Which footer counts is decided as opening decides it: that of a fixed image at the
 * end, else a good one at 0, else a good one at the end.
 */
#include "vhd/check-private.h"

#include <errno.h>
#include <string.h>

#include "vhd/be.h"
#include "vhd/error.h"

/* How far from the end of the file a footer is looked for that something was appended to. */
#define TRAILING_SCAN_BYTES (64u << 10)

#define OTHER_SERVES "the other footer serves"

typedef struct FooterFound {
    bool read; /* the bytes are there */
    int err;   /* -errno of reading them */
    bool good;
    uint64_t off;
    VhdFooter footer;
    VhdFault fault; /* where it is read and not good */
    uint8_t raw[VHD_FOOTER_BYTES];
} FooterFound;

/* Read and decode the footer of len bytes (512, or 511 at the end) at off. */
static void read_footer(Check *check, FooterFound *found, uint64_t off, size_t len)
{
    *found = (FooterFound){.off = off};
    found->err = vhd_file_read(check->file, VHD_IO_FOOTER, off, found->raw, len);
    if (found->err) {
        check_read_failed(check, off, "a footer", found->err);
        return;
    }
    found->read = true;
    found->good = len == VHD_FOOTER_BYTES
                      ? vhd_footer_decode(found->raw, off, &found->footer, &found->fault)
                      : vhd_footer_decode_short(found->raw, off, &found->footer, &found->fault);
}

static bool is_footer(const FooterFound *found)
{
    return found->read && (found->good || found->fault.code != VHD_FAULT_FOOTER_COOKIE);
}

/* The footer at the end: in the last 512 bytes, or in the last 511 of a file of 512n+511. */
static void read_end(Check *check, FooterFound *end)
{
    uint64_t bytes = check->file_bytes;

    if (bytes % VHD_SECTOR_BYTES == VHD_FOOTER_BYTES - 1) {
        read_footer(check, end, bytes - (VHD_FOOTER_BYTES - 1), VHD_FOOTER_BYTES - 1);
        if (is_footer(end))
            check_report(check, (VhdFinding){.code = VHD_FINDING_FOOTER_SHORT, .off = end->off},
                         "the footer at offset %" G_GUINT64_FORMAT
                         " has 511 bytes, as Virtual PC before 2004 wrote it",
                         end->off);
        return;
    }
    if (bytes < VHD_FOOTER_BYTES)
        return;
    read_footer(check, end, bytes - VHD_FOOTER_BYTES, VHD_FOOTER_BYTES);
}

/* Decode a footer that its checksum alone speaks against. */
static bool decode_anyway(FooterFound *found)
{
    uint8_t raw[VHD_FOOTER_BYTES];
    VhdFault fault;

    if (!found->read || found->fault.code != VHD_FAULT_FOOTER_CHECKSUM)
        return false;
    memcpy(raw, found->raw, sizeof(raw));
    be32_put(raw + VHD_FOOTER_AT_CHECKSUM, vhd_checksum(raw, sizeof(raw), VHD_FOOTER_AT_CHECKSUM));
    return vhd_footer_decode(raw, found->off, &found->footer, &fault);
}

/* A footer that ends before the file does, because something was appended. */
static bool find_buried_footer(Check *check, FooterFound *found)
{
    uint64_t bytes = check->file_bytes, len = MIN(bytes, TRAILING_SCAN_BYTES), start;

    *found = (FooterFound){.off = 0};

    start = (bytes - len + VHD_SECTOR_BYTES - 1) / VHD_SECTOR_BYTES * VHD_SECTOR_BYTES;
    if (start == 0) /* the copy */
        start = VHD_SECTOR_BYTES;
    if (start >= bytes ||
        vhd_file_read(check->file, VHD_IO_FOOTER, start, check->buffer, bytes - start) != 0)
        return false;
    for (uint64_t off = bytes / VHD_SECTOR_BYTES * VHD_SECTOR_BYTES;
         off >= start + VHD_FOOTER_BYTES;) {
        off -= VHD_SECTOR_BYTES;
        found->off = off;
        memcpy(found->raw, check->buffer + (off - start), VHD_FOOTER_BYTES);
        found->read = found->good =
            vhd_footer_decode(found->raw, off, &found->footer, &found->fault);
        if (found->good)
            return off + VHD_FOOTER_BYTES < bytes;
    }
    return false;
}

static void report_trailing(Check *check, VhdSeverity severity, uint64_t end, bool repairable)
{
    check_report(check,
                 (VhdFinding){.code = VHD_FINDING_TRAILING,
                              .severity = severity,
                              .off = end,
                              .bytes = check->file_bytes - end,
                              .repairable = repairable},
                 "%" G_GUINT64_FORMAT
                 " bytes follow a footer that ends at offset %" G_GUINT64_FORMAT,
                 check->file_bytes - end, end);
}

static void report_buried_footer(Check *check, bool repairable)
{
    FooterFound found;

    if (find_buried_footer(check, &found))
        report_trailing(check, VHD_SEVERITY_WARNING, found.off + VHD_FOOTER_BYTES, repairable);
}

/* Neither footer is there, but one that something was appended to is: it takes the place of the one
 * at the end. That of a fixed image stands right behind its disk; what looks so elsewhere may be
 * the guest's. */
static void adopt_buried_footer(Check *check, const FooterFound *copy, FooterFound *end)
{
    FooterFound found;

    if (copy->good || end->good || is_footer(end) || !find_buried_footer(check, &found) ||
        (found.footer.type == VHD_TYPE_FIXED && found.off != found.footer.current_bytes))
        return;
    *end = found;
    report_trailing(check, VHD_SEVERITY_ERROR, found.off + VHD_FOOTER_BYTES, true);
}

/* Two good footers: do they tell of the same disk? */
static void compare_footers(Check *check, const FooterFound *copy, const FooterFound *end)
{
    const VhdFooter *a = &copy->footer, *b = &end->footer;
    VhdFault fault = {.code = VHD_FAULT_FOOTERS_DIFFER};
    g_autofree char *text = NULL;

    if (a->current_bytes != b->current_bytes) {
        fault.off = VHD_FOOTER_AT_SIZE;
        fault.found = a->current_bytes;
        fault.wanted = b->current_bytes;
    } else if (a->type != b->type) {
        fault.off = VHD_FOOTER_AT_TYPE;
        fault.found = a->type;
        fault.wanted = b->type;
    } else if (a->data_offset != b->data_offset) {
        fault.off = VHD_FOOTER_AT_DATA_OFFSET;
        fault.found = a->data_offset;
        fault.wanted = b->data_offset;
    } else if (memcmp(a->uuid, b->uuid, sizeof(a->uuid)) != 0) {
        check_report(check,
                     (VhdFinding){.code = VHD_FINDING_FOOTERS_DIFFER,
                                  .severity = VHD_SEVERITY_ERROR,
                                  .off = VHD_FOOTER_AT_UUID,
                                  .asks = true},
                     "the footer copy and the footer at the end of the file hold different uuids: "
                     "the image can only be read; look at its content, then choose one with vhdctl "
                     "repair --footer");
        return;
    } else if (memcmp(copy->raw, end->raw, VHD_FOOTER_BYTES - 1) != 0) {
        check_report(
            check,
            (VhdFinding){.code = VHD_FINDING_FOOTERS_UNEQUAL, .off = end->off, .repairable = true},
            "the footer copy and the footer at the end of the file differ in fields that "
            "only inform");
        return;
    } else {
        return;
    }
    text = vhd_fault_text(&fault);
    check_report(check,
                 (VhdFinding){.code = VHD_FINDING_FOOTERS_DIFFER,
                              .severity = VHD_SEVERITY_ERROR,
                              .off = fault.off,
                              .asks = true},
                 "%s", text);
}

/* A damaged footer, told as a loss only where nothing else serves: help says what does, NULL for
 * nothing. What XenServer poisoned is never mended here. */
static void report_bad_footer(Check *check, VhdFindingCode code, const FooterFound *bad,
                              const char *help)
{
    const VhdFault *fault = &bad->fault;

    if (!help || fault->code != VHD_FAULT_FOOTER_CHECKSUM) {
        check_fault(check, code, VHD_SEVERITY_ERROR, fault,
                    help && fault->code != VHD_FAULT_FOOTER_POISONED);
        return;
    }
    check_report(
        check,
        (VhdFinding){
            .code = code, .severity = VHD_SEVERITY_ERROR, .off = fault->off, .repairable = true},
        "footer checksum at offset %" G_GUINT64_FORMAT " is 0x%08" G_GINT64_MODIFIER
        "X, expected 0x%08" G_GINT64_MODIFIER "X: %s",
        fault->off, fault->found, fault->wanted, help);
}

static void report_end(Check *check, const FooterFound *end, bool copy_good)
{
    if (end->good || (!end->read && check->file_bytes >= VHD_FOOTER_BYTES))
        return;
    if (is_footer(end)) {
        report_bad_footer(check, VHD_FINDING_FOOTER_END, end, copy_good ? OTHER_SERVES : NULL);
        return;
    }
    /* What a killed writer leaves, and what the first flush puts right; fatal where the copy is no
     * help. */
    check_report(check,
                 (VhdFinding){.code = VHD_FINDING_FOOTER_LOST,
                              .severity = copy_good ? VHD_SEVERITY_WARNING : VHD_SEVERITY_ERROR,
                              .off = end->off,
                              .repairable = copy_good},
                 "the file does not end with a footer");
    report_buried_footer(check, copy_good);
}

/* What lies at 0 in a fixed image is the guest's, whatever it looks like. But the end of another
 * image may be the guest's, too, after a power cut, and hold a fixed image's footer: that stands
 * right behind its disk. */
static bool end_is_fixed(const FooterFound *copy, const FooterFound *end)
{
    return end->good && end->footer.type == VHD_TYPE_FIXED &&
           (end->off == end->footer.current_bytes || !copy->good);
}

/* The end of a fixed image whose checksum is wrong: a footer at 0 would be the guest's work. Where
 * the footer stands right behind the disk that it tells of, the rest of it is right. */
static const FooterFound *judge_bad_fixed(Check *check, FooterFound *end)
{
    end->good = end->footer.current_bytes == end->off;
    report_bad_footer(check, VHD_FINDING_FOOTER_END, end,
                      end->good ? "all else in it fits the file" : NULL);
    return end->good ? end : NULL;
}

/* Two footers that are alike but for their checksums, both wrong: what a program leaves that did
 * not compute them; damage does not strike twice alike. */
static bool bad_alike(const FooterFound *copy, const FooterFound *end)
{
    return memcmp(copy->raw, end->raw, VHD_FOOTER_AT_CHECKSUM) == 0 &&
           memcmp(copy->raw + VHD_FOOTER_AT_UUID, end->raw + VHD_FOOTER_AT_UUID,
                  VHD_FOOTER_BYTES - VHD_FOOTER_AT_UUID) == 0;
}

static const FooterFound *judge_bad_alike(Check *check, FooterFound *copy, FooterFound *end)
{
    const char *help = "the other footer says the same";

    copy->good = end->good = true;
    report_bad_footer(check, VHD_FINDING_FOOTER_COPY, copy, help);
    report_bad_footer(check, VHD_FINDING_FOOTER_END, end, help);
    return copy;
}

/* Choose the footer that counts. Null: none is good. */
static const FooterFound *judge_footers(Check *check, FooterFound *copy, FooterFound *end)
{
    if (end_is_fixed(copy, end))
        return end;
    if (decode_anyway(end)) {
        if (end->footer.type == VHD_TYPE_FIXED)
            return judge_bad_fixed(check, end);
        if (bad_alike(copy, end) && decode_anyway(copy))
            return judge_bad_alike(check, copy, end);
    }
    report_end(check, end, copy->good);
    if (copy->good) {
        if (end->good)
            compare_footers(check, copy, end);
        return copy;
    }
    if (copy->read)
        report_bad_footer(check, VHD_FINDING_FOOTER_COPY, copy, end->good ? OTHER_SERVES : NULL);
    return end->good ? end : NULL;
}

static bool is_locator_fault(const Check *check, const VhdFault *fault, unsigned *index)
{
    uint64_t first = check->footer.data_offset + VHD_HEADER_AT_LOCATORS;

    if (fault->off < first || fault->off >= first + VHD_LOCATORS * VHD_LOCATOR_BYTES)
        return false;
    *index = (unsigned)((fault->off - first) / VHD_LOCATOR_BYTES);
    return true;
}

/* As vhd_layout_init, with every bad locator told and left out. */
static bool judge_layout(Check *check, uint64_t footer_off)
{
    VhdHeader header = check->header;
    VhdFault fault;
    unsigned index;

    while (!vhd_layout_init(&check->layout, &check->footer, footer_off, &header, check->file_bytes,
                            &fault)) {
        if (!is_locator_fault(check, &fault, &index) ||
            header.locators[index].platform == VHD_PLATFORM_NONE) {
            check_fault(check, VHD_FINDING_HEADER, VHD_SEVERITY_ERROR, &fault, false);
            return false;
        }
        check_fault(check, VHD_FINDING_LOCATOR, VHD_SEVERITY_ERROR, &fault, true);
        header.locators[index].platform = VHD_PLATFORM_NONE;
        check->places_unknown = true;
    }
    return true;
}

/* Go on with a header that its checksum alone speaks against: what it says will be compared. */
static bool decode_header_anyway(Check *check, uint8_t raw[static VHD_HEADER_BYTES],
                                 const VhdFault *fault)
{
    VhdFault other;

    if (fault->code != VHD_FAULT_HEADER_CHECKSUM)
        return false;
    be32_put(raw + VHD_HEADER_AT_CHECKSUM,
             vhd_checksum(raw, VHD_HEADER_BYTES, VHD_HEADER_AT_CHECKSUM));
    if (!vhd_header_decode(raw, check->footer.data_offset, &check->header, &other))
        return false;
    check->header_fault = *fault;
    return true;
}

/* The footer is chosen: the header and all that follows from both. */
static bool judge_header(Check *check, const FooterFound *chosen)
{
    uint8_t raw[VHD_HEADER_BYTES];
    VhdFault fault;
    int err;

    if (!vhd_layout_footer_ok(&check->footer, chosen->off, check->file_bytes, &fault)) {
        check_fault(check, VHD_FINDING_FOOTER_FIELD, VHD_SEVERITY_ERROR, &fault, false);
        return false;
    }
    if (check->footer.type == VHD_TYPE_FIXED)
        return vhd_layout_init(&check->layout, &check->footer, chosen->off, NULL, check->file_bytes,
                               &fault);
    err = vhd_file_read(check->file, VHD_IO_HEADER, check->footer.data_offset, raw, sizeof(raw));
    if (err) {
        check_read_failed(check, check->footer.data_offset, "the header", err);
        return false;
    }
    if (!vhd_header_decode(raw, check->footer.data_offset, &check->header, &fault) &&
        !decode_header_anyway(check, raw, &fault)) {
        check_fault(check, VHD_FINDING_HEADER, VHD_SEVERITY_ERROR, &fault, false);
        return false;
    }
    return judge_layout(check, chosen->off);
}

/* Number of blocks and places in the file are known twice: a header that agrees with all of them
 * is right in whatever leads to data. A wrong parent would be found by its uuid. */
void check_header_checksum(Check *check, bool judged)
{
    const VhdCheckResult *result = check->result;
    bool proven = judged && check->header.bat_entries == check->layout.blocks &&
                  !check_bat_is_bad(check) && result->count[VHD_SEVERITY_FAILED] == 0 &&
                  result->count[VHD_SEVERITY_LEAK] == 0;

    if (check->header_fault.code != VHD_FAULT_NONE)
        check_fault(check, VHD_FINDING_HEADER, VHD_SEVERITY_ERROR, &check->header_fault, proven);
}

/* Between the disk of a fixed image and its footer. */
static void report_fixed_gap(Check *check, uint64_t footer_off)
{
    uint64_t gap = footer_off - check->footer.current_bytes;

    check->result->end_off = check->footer.current_bytes;
    if (gap > 0)
        check_report(check,
                     (VhdFinding){.code = VHD_FINDING_TRAILING,
                                  .off = check->footer.current_bytes,
                                  .bytes = gap},
                     "%" G_GUINT64_FORMAT " bytes lie between the disk and its footer", gap);
}

/* Neither is a footer. */
static void set_no_footer(const Check *check, const FooterFound *copy, const FooterFound *end,
                          GError **error)
{
    int err = copy->err ? copy->err : end->err;

    if (err)
        vhd_error_set_errno(error, VHD_ERROR_IO, check->file->name, "read its footers", -err);
    else
        g_set_error(error, VHD_ERROR, VHD_ERROR_NOT_VHD,
                    "%s: neither its beginning nor its end is a VHD's footer: it is no VHD or was "
                    "cut off",
                    check->file->name);
}

bool check_records(Check *check, bool *judged, GError **error)
{
    FooterFound copy = {.off = 0}, end = {.off = 0};
    const FooterFound *chosen;
    VhdFileInfo info;
    int err = vhd_file_info(check->file, &info);

    if (err) {
        vhd_error_set_errno(error, VHD_ERROR_IO, check->file->name, "look at it", -err);
        return false;
    }
    check->file_bytes = info.bytes;
    if (info.bytes >= VHD_FOOTER_BYTES)
        read_footer(check, &copy, 0, VHD_FOOTER_BYTES);
    read_end(check, &end);
    adopt_buried_footer(check, &copy, &end);
    if (!is_footer(&copy) && !is_footer(&end)) {
        set_no_footer(check, &copy, &end, error);
        return false;
    }
    chosen = judge_footers(check, &copy, &end);
    if (!chosen)
        return true;
    check->footer = chosen->footer;
    if (end.good)
        check->result->trailing_off = end.off;
    check->room_end = end.good ? end.off : info.bytes;
    *judged = judge_header(check, chosen);
    if (*judged && check->footer.type == VHD_TYPE_FIXED)
        report_fixed_gap(check, chosen->off);
    return true;
}
