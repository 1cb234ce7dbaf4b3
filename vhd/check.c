/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* One image judged: the order of the work, and how findings get out. */
#include "vhd/check.h"

#include <string.h>

#include "vhd/check-private.h"
#include "vhd/error.h"
#include "vhd/pending-store.h"

const char *vhd_finding_name(VhdFindingCode code)
{
    static const char *const names[VHD_FINDING_CODES] = {
        [VHD_FINDING_FOOTER_COPY] = "footer-copy",
        [VHD_FINDING_FOOTER_END] = "footer-end",
        [VHD_FINDING_FOOTER_LOST] = "footer-lost",
        [VHD_FINDING_FOOTER_SHORT] = "footer-short",
        [VHD_FINDING_FOOTERS_DIFFER] = "footers-differ",
        [VHD_FINDING_FOOTERS_UNEQUAL] = "footers-unequal",
        [VHD_FINDING_FOOTER_FIELD] = "footer-field",
        [VHD_FINDING_HEADER] = "header",
        [VHD_FINDING_LOCATOR] = "locator",
        [VHD_FINDING_BATMAP] = "batmap",
        [VHD_FINDING_BATMAP_LIES] = "batmap-lies",
        [VHD_FINDING_BAT_ENTRY] = "bat-entry",
        [VHD_FINDING_BAT_OVERLAP] = "bat-overlap",
        [VHD_FINDING_BITMAP_TAIL] = "bitmap-tail",
        [VHD_FINDING_ABSENT_NOT_ZERO] = "absent-not-zero",
        [VHD_FINDING_LEAK] = "leak",
        [VHD_FINDING_FREE] = "free",
        [VHD_FINDING_TRAILING] = "trailing",
        [VHD_FINDING_GEOMETRY] = "geometry",
        [VHD_FINDING_PENDING] = "pending",
        [VHD_FINDING_PARENT] = "parent",
        [VHD_FINDING_PARENT_NEWER] = "parent-newer",
        [VHD_FINDING_PARENT_SIZE] = "parent-size",
        [VHD_FINDING_CHAIN] = "chain",
        [VHD_FINDING_READ] = "read",
    };

    return (unsigned)code < VHD_FINDING_CODES ? names[code] : "unknown";
}

const char *vhd_severity_name(VhdSeverity severity)
{
    static const char *const names[VHD_SEVERITIES] = {
        [VHD_SEVERITY_INFO] = "info",     [VHD_SEVERITY_WARNING] = "warning",
        [VHD_SEVERITY_LEAK] = "leak",     [VHD_SEVERITY_ERROR] = "error",
        [VHD_SEVERITY_FAILED] = "failed",
    };

    return (unsigned)severity < VHD_SEVERITIES ? names[severity] : "unknown";
}

void check_report(Check *check, VhdFinding finding, const char *format, ...)
{
    g_autofree char *text = NULL;
    va_list args;

    check->result->count[finding.severity]++;
    check->found[finding.code]++;
    if (!check->options->report ||
        (check->reported[finding.code] >= VHD_CHECK_REPORTS_MAX && !check->options->every))
        return;
    check->reported[finding.code]++;
    va_start(args, format);
    text = g_strdup_vprintf(format, args);
    va_end(args);
    finding.layer = check->layer;
    finding.text = text;
    check->options->report(check->options->data, &finding);
}

void check_fault(Check *check, VhdFindingCode code, VhdSeverity severity, const VhdFault *fault,
                 bool repairable)
{
    g_autofree char *text = vhd_fault_text(fault);

    check_report(
        check,
        (VhdFinding){
            .code = code, .severity = severity, .off = fault->off, .repairable = repairable},
        "%s", text);
}

bool check_bat_is_bad(const Check *check)
{
    return check->found[VHD_FINDING_BAT_ENTRY] > 0 || check->found[VHD_FINDING_BAT_OVERLAP] > 0;
}

void check_read_failed(Check *check, uint64_t off, const char *what, int err)
{
    check_report(
        check, (VhdFinding){.code = VHD_FINDING_READ, .severity = VHD_SEVERITY_FAILED, .off = off},
        "cannot read %s at offset %" G_GUINT64_FORMAT ": %s", what, off, g_strerror(ABS(err)));
}

bool check_go_on(Check *check, double part)
{
    if (!check->stopped && check->options->stop)
        check->stopped = check->options->stop(check->options->data, part);
    return !check->stopped;
}

uint64_t check_next_data(Check *check, uint64_t off, uint64_t end)
{
    bool known = off >= check->data_asked && off < check->data_end;

    if (!known) {
        int err = vhd_file_next_data(check->file, off, &check->data_start, &check->data_end);

        if (err) { /* cannot tell: all may be data */
            check->data_start = off;
            check->data_end = UINT64_MAX;
        }
        check->data_asked = off;
        if (check->data_start >= check->data_end) /* nothing but a hole up to the end */
            check->data_start = check->data_end = UINT64_MAX;
    }
    return CLAMP(check->data_start, off, end);
}

/* Those that were only counted, a line a code. */
static void report_rest(Check *check)
{
    for (int code = 0; code < VHD_FINDING_CODES; code++) {
        unsigned rest = check->found[code] - check->reported[code];
        g_autofree char *text = NULL;
        VhdFinding finding = {.code = (VhdFindingCode)code,
                              .severity = VHD_SEVERITY_INFO,
                              .layer = check->layer,
                              .off = VHD_FINDING_NOWHERE};

        if (rest == 0 || !check->options->report)
            continue;
        text = g_strdup_printf("%u more findings of this kind are not listed", rest);
        finding.text = text;
        check->options->report(check->options->data, &finding);
    }
}

/* Not by the algorithm, but on purpose: what Disk2vhd and qemu write, and what gives just the size
 * to those who take it from there. */
static bool is_meant(const VhdGeometry *geometry, uint64_t bytes)
{
    VhdGeometry most = {65535, 16, 255};

    return memcmp(&most, geometry, sizeof(most)) == 0 ||
           (uint64_t)geometry->cylinders * geometry->heads * geometry->sectors_per_track *
                   VHD_SECTOR_BYTES ==
               bytes;
}

static void check_geometry(Check *check)
{
    VhdGeometry wanted = vhd_geometry(check->footer.current_bytes);
    VhdGeometry found = check->footer.geometry;

    if (memcmp(&wanted, &found, sizeof(wanted)) == 0)
        return;
    check_report(check,
                 (VhdFinding){.code = VHD_FINDING_GEOMETRY,
                              .off = VHD_FINDING_NOWHERE,
                              .repairable = !is_meant(&found, check->footer.current_bytes)},
                 "geometry in the footer is %u/%u/%u, that of the size is %u/%u/%u: only programs "
                 "that go by the geometry care",
                 found.cylinders, found.heads, found.sectors_per_track, wanted.cylinders,
                 wanted.heads, wanted.sectors_per_track);
}

static void check_pending(Check *check)
{
    g_autofree char *path =
        vhd_pending_waiting(check->file, check->footer.uuid, check->options->pending_dir);

    if (!path)
        return;
    /* What the log knows of is not lost, though no BAT entry names it yet. */
    check->places_unknown = true;
    check_report(check,
                 (VhdFinding){.code = VHD_FINDING_PENDING,
                              .severity = VHD_SEVERITY_WARNING,
                              .off = VHD_FINDING_NOWHERE},
                 "writes that are not in the file yet wait in %s: a copy of the file would "
                 "lack them; whoever opens the image for writing takes them over",
                 path);
}

static bool check_judged(Check *check, GError **error)
{
    check_geometry(check);
    check_pending(check);
    if (check->layout.type == VHD_TYPE_FIXED)
        check->result->data_end = check->footer.current_bytes;
    else if (!check_blocks(check, error))
        return false;
    check->result->judged = true;
    check->result->disk_bytes = check->footer.current_bytes;
    check->result->header = check->header;
    check->result->layout = check->layout;
    return true;
}

static bool check_all(Check *check, GError **error)
{
    bool judged = false;

    check->result->trailing_off = check->result->first_block_off = VHD_FINDING_NOWHERE;
    if (!check_records(check, &judged, error))
        return false;
    check->result->footer = check->footer;
    if (judged && !check_judged(check, error))
        return false;
    check_header_checksum(check, judged);
    if (!check->stopped)
        return true;
    g_set_error(error, VHD_ERROR, VHD_ERROR_INVALID, "%s: the check was interrupted",
                check->file->name);
    return false;
}

bool vhd_check_image(VhdFile *file, unsigned layer, const VhdCheckOptions *options,
                     VhdCheckResult *result, GError **error)
{
    Check check = {.file = file, .layer = layer, .options = options, .result = result};
    bool done;

    *result = (VhdCheckResult){.leaked_bytes = 0};
    check.buffer = g_try_malloc(CHECK_BUFFER_BYTES);
    if (!check.buffer) {
        g_set_error(error, VHD_ERROR, VHD_ERROR_IO, "%s: out of memory", file->name);
        return false;
    }
    done = check_all(&check, error);
    if (done)
        report_rest(&check);
    g_free(check.buffer);
    g_free(check.used);
    g_free(check.full);
    g_free(check.batmap);
    return done;
}
