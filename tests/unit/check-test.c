/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* One image, one thing wrong with it, and the findings that check makes of that: no more, no less.
 */
#include <errno.h>
#include <glib.h>
#include <string.h>

#include "tests/support/fault-file.h"
#include "tests/support/mem-file.h"
#include "tests/unit/check-sample.h"
#include "vhd/be.h"
#include "vhd/check.h"
#include "vhd/error.h"
#include "vhd/image-create.h"
#include "vhd/image.h"

#define NO_PENDING "/nonexistent/pending"

typedef struct Report {
    GString *lines; /* "severity code offset repairable|asks", one a finding */
    GString *texts;
} Report;

static void take(void *data, const VhdFinding *finding)
{
    Report *report = data;

    g_string_append_printf(report->lines, "%s %s", vhd_severity_name(finding->severity),
                           vhd_finding_name(finding->code));
    if (finding->off != VHD_FINDING_NOWHERE)
        g_string_append_printf(report->lines, " %" G_GUINT64_FORMAT, finding->off);
    g_string_append(report->lines, finding->repairable ? " repairable\n"
                                   : finding->asks     ? " asks\n"
                                                       : "\n");
    g_string_append_printf(report->texts, "%s\n", finding->text);
}

static Report judge_file(VhdFile *file, VhdCheckResult *result)
{
    Report report = {g_string_new(NULL), g_string_new(NULL)};
    VhdCheckOptions options = {.report = take, .data = &report, .pending_dir = NO_PENDING};
    g_autoptr(GError) error = NULL;

    g_assert_true(vhd_check_image(file, 0, &options, result, &error));
    g_assert_no_error(error);
    vhd_file_close(file);
    return report;
}

static void report_free(Report *report)
{
    g_string_free(report->lines, TRUE);
    g_string_free(report->texts, TRUE);
}

/* The findings about bytes are lines. */
static void expect(MemImage *bytes, const char *lines)
{
    VhdCheckResult result;
    Report report = judge_file(mem_file_open(bytes, "a.vhd", false), &result);

    g_assert_cmpstr(report.lines->str, ==, lines);
    report_free(&report);
}

static void test_clean(void)
{
    static const VhdType types[] = {VHD_TYPE_FIXED, VHD_TYPE_DYNAMIC, VHD_TYPE_DIFFERENCING};

    for (unsigned i = 0; i < G_N_ELEMENTS(types); i++) {
        g_autoptr(MemImage) empty = sample_make(types[i]);
        VhdCheckResult result;
        Report report;

        expect(empty, "");
        if (types[i] == VHD_TYPE_FIXED)
            continue;
        g_autoptr(MemImage) filled = sample_make_filled(types[i], 3);
        report = judge_file(mem_file_open(filled, "a.vhd", false), &result);
        g_assert_cmpstr(report.lines->str, ==, "");
        g_assert_cmpuint(result.blocks, ==, BLOCKS);
        g_assert_cmpuint(result.blocks_in_use, ==, 3);
        g_assert_cmpuint(result.disk_bytes, ==, DISK_BYTES);
        report_free(&report);
    }
}

static void expect_no_vhd(MemImage *bytes)
{
    VhdCheckOptions options = {.pending_dir = NO_PENDING};
    g_autoptr(VhdFile) file = mem_file_open(bytes, "a.vhd", false);
    g_autoptr(GError) error = NULL;
    VhdCheckResult result;

    g_assert_false(vhd_check_image(file, 0, &options, &result, &error));
    g_assert_error(error, VHD_ERROR, VHD_ERROR_NOT_VHD);
}

static void test_no_vhd(void)
{
    static const uint64_t lengths[] = {0, 1, 511, 512, 1023, 4096};

    for (unsigned i = 0; i < G_N_ELEMENTS(lengths); i++) {
        g_autoptr(MemImage) bytes = mem_image_new();

        mem_image_resize(bytes, lengths[i]);
        expect_no_vhd(bytes);
    }
}

/* Where a wrong checksum is all that is wrong, or may be. */
static void test_checksums(void)
{
    g_autoptr(MemImage) fixed = sample_make(VHD_TYPE_FIXED),
                        short_fixed = sample_make(VHD_TYPE_FIXED);
    g_autoptr(MemImage) alike = sample_make_filled(VHD_TYPE_DYNAMIC, 1),
                        other = mem_image_clone(alike);
    g_autoptr(MemImage) poisoned = mem_image_clone(alike), entries = mem_image_clone(alike);
    g_autoptr(MemImage) moved = mem_image_clone(alike);
    uint64_t end = sample_end_footer(alike) + VHD_FOOTER_AT_CHECKSUM;
    g_autofree char *both = g_strdup_printf("error footer-copy 64 repairable\n"
                                            "error footer-end %" G_GUINT64_FORMAT " repairable\n",
                                            end);
    g_autofree char *neither = g_strdup_printf("error footer-end %" G_GUINT64_FORMAT "\n"
                                               "error footer-copy 64\n",
                                               end);

    mem_image_write(fixed, DISK_BYTES + 28, "vpc ", 4);
    expect(fixed, "error footer-end 65600 repairable\n");
    mem_image_write(short_fixed, DISK_BYTES + VHD_FOOTER_AT_SIZE + 6, "\x80", 1);
    expect(short_fixed, "error footer-end 65600\n");
    mem_image_write(alike, 28, "vpc ", 4);
    mem_image_write(alike, sample_end_footer(alike) + 28, "vpc ", 4);
    expect(alike, both);
    mem_image_write(other, 28, "vpc ", 4);
    mem_image_write(other, sample_end_footer(other) + 28, "vpcx", 4);
    expect(other, neither);
    mem_image_write(poisoned, 0, "v_poison", 8);
    expect(poisoned, "error footer-copy 0\n");
    /* The header says more blocks than there are, or leads past a block that is there. */
    mem_image_write(entries, 512 + VHD_HEADER_AT_BAT_ENTRIES + 3, "\x09", 1);
    expect(entries, "error header 548\n");
    mem_image_write(moved, 512 + VHD_HEADER_AT_BAT_OFFSET + 6, "\x08", 1);
    {
        VhdCheckResult result;
        Report report = judge_file(mem_file_open(moved, "a.vhd", false), &result);

        g_assert_nonnull(strstr(report.lines->str, "leak leak 4096\n"));
        g_assert_nonnull(strstr(report.lines->str, "error header 548\n"));
        report_free(&report);
    }
}

static void test_footers(void)
{
    g_autoptr(MemImage) good = sample_make_filled(VHD_TYPE_DYNAMIC, 2);
    uint64_t end = sample_end_footer(good);
    g_autofree char *end_bad = g_strdup_printf(
        "error footer-end %" G_GUINT64_FORMAT " repairable\n", end + VHD_FOOTER_AT_CHECKSUM);
    g_autofree char *end_lost =
        g_strdup_printf("warning footer-lost %" G_GUINT64_FORMAT " repairable\n", end);
    g_autofree char *unequal =
        g_strdup_printf("info footers-unequal %" G_GUINT64_FORMAT " repairable\n", end);
    g_autofree char *both =
        g_strdup_printf("error footer-lost %" G_GUINT64_FORMAT "\nerror footer-copy 64\n", end);
    g_autoptr(MemImage) copy_torn = mem_image_clone(good), end_torn = mem_image_clone(good);
    g_autoptr(MemImage) lost = mem_image_clone(good), renamed = mem_image_clone(good);
    g_autoptr(MemImage) none = mem_image_clone(good), resized = mem_image_clone(good);

    mem_image_write(copy_torn, 100, "x", 1);
    expect(copy_torn, "error footer-copy 64 repairable\n");
    mem_image_write(end_torn, end + 100, "x", 1);
    expect(end_torn, end_bad);
    mem_image_zero(lost, end, 512);
    expect(lost, end_lost);
    sample_poke_footer(renamed, end, 28, "vpc ", 4);
    expect(renamed, unequal);
    sample_poke_footer(resized, end, VHD_FOOTER_AT_SIZE, "\0\0\0\0\0\2\0\0", 8);
    expect(resized, "error footers-differ 48 asks\n");
    mem_image_write(none, 100, "x", 1);
    mem_image_zero(none, end, 512);
    expect(none, both);
}

static void test_footer_short(void)
{
    g_autoptr(MemImage) bytes = sample_make_filled(VHD_TYPE_DYNAMIC, 1);
    uint64_t end = sample_end_footer(bytes);
    g_autofree char *line = g_strdup_printf("info footer-short %" G_GUINT64_FORMAT "\n", end);

    mem_image_resize(bytes, end + VHD_FOOTER_BYTES - 1);
    expect(bytes, line);
}

static void test_trailing(void)
{
    g_autoptr(MemImage) bytes = sample_make(VHD_TYPE_DYNAMIC), fixed = sample_make(VHD_TYPE_FIXED);
    uint64_t length = mem_image_bytes(bytes);
    g_autofree char *lines =
        g_strdup_printf("warning footer-lost %" G_GUINT64_FORMAT " repairable\n"
                        "warning trailing %" G_GUINT64_FORMAT " repairable\n",
                        length + 4096 - 512, length);

    mem_image_resize(bytes, length + 4096);
    expect(bytes, lines);

    /* A fixed image has no other footer: it is one only as long as that is found. */
    mem_image_resize(fixed, DISK_BYTES + 1024);
    expect(fixed, "error trailing 66048 repairable\n");
    mem_image_resize(fixed, DISK_BYTES + 512 + (64u << 10));
    expect_no_vhd(fixed);
}

static void poke_meant(MemImage *bytes, const char *geometry)
{
    sample_poke_footer(bytes, 0, 56, geometry, 4);
    sample_poke_footer(bytes, sample_end_footer(bytes), 56, geometry, 4);
}

static void test_fields(void)
{
    g_autoptr(MemImage) type = sample_make(VHD_TYPE_DYNAMIC), block = sample_make(VHD_TYPE_DYNAMIC);
    g_autoptr(MemImage) checksum = sample_make(VHD_TYPE_DYNAMIC),
                        geometry = sample_make(VHD_TYPE_DYNAMIC);

    sample_poke_footer(type, 0, VHD_FOOTER_AT_TYPE, "\0\0\0\7", 4);
    sample_poke_footer(type, sample_end_footer(type), VHD_FOOTER_AT_TYPE, "\0\0\0\7", 4);
    expect(type, "error footer-field 60\n");
    sample_poke_header(block, VHD_HEADER_AT_BLOCK_SIZE, "\0\0\x30\0", 4);
    expect(block, "error header 544\n");
    mem_image_write(checksum, 600, "x", 1);
    expect(checksum, "error header 548 repairable\n");
    sample_poke_footer(geometry, 0, 56, "\1\2\3\4", 4);
    sample_poke_footer(geometry, sample_end_footer(geometry), 56, "\1\2\3\4", 4);
    expect(geometry, "info geometry repairable\n");
    for (unsigned i = 0; i < 2; i++) { /* all of the size, or as much as can be said */
        static const char *const meant[] = {"\0\1\x10\x08", "\xff\xff\x10\xff"};

        poke_meant(geometry, meant[i]);
        expect(geometry, "info geometry\n");
    }
}

/* Every bad locator is told, and the blocks are looked at all the same. */
static void test_locators(void)
{
    g_autoptr(MemImage) bytes = sample_make_filled(VHD_TYPE_DIFFERENCING, 1);

    sample_poke_header(bytes, VHD_HEADER_AT_LOCATORS + VHD_LOCATOR_AT_OFFSET, "\0\0\0\0\0\0\x20\0",
                       8);
    sample_poke_header(bytes, VHD_HEADER_AT_LOCATORS + 24 + VHD_LOCATOR_AT_LENGTH, "\0\1\0\1", 4);
    sample_set_entry(bytes, CHILD_BAT, 5, 2);
    expect(bytes, "error locator 1104 repairable\nerror locator 1120 repairable\n"
                  "error bat-entry 8212 asks\n");
}

static void test_bat(void)
{
    g_autoptr(MemImage) bytes = sample_make_filled(VHD_TYPE_DYNAMIC, 3);
    uint32_t first = sample_entry(bytes, DYNAMIC_BAT, 0);
    uint32_t last = sample_entry(bytes, DYNAMIC_BAT, 2);

    sample_set_entry(bytes, DYNAMIC_BAT, 3, 1);          /* the header */
    sample_set_entry(bytes, DYNAMIC_BAT, 4, 0xFFFFFFFE); /* far beyond the file */
    sample_set_entry(bytes, DYNAMIC_BAT, 5, first);      /* another's place */
    sample_set_entry(bytes, DYNAMIC_BAT, 6, last + 8);   /* into the footer */
    expect(bytes, "error bat-entry 1548 asks\nerror bat-entry 1552 asks\n"
                  "error bat-entry 1560 asks\nerror bat-overlap 1556 asks\n");
    /* Entries beyond the last block are padding and mean nothing. */
    g_autoptr(MemImage) padded = sample_make_filled(VHD_TYPE_DYNAMIC, 1);
    sample_set_entry(padded, DYNAMIC_BAT, BLOCKS, 1);
    expect(padded, "");
}

/* Overlaps in part, with a block between in the table. */
static void test_overlap_in_part(void)
{
    g_autoptr(MemImage) bytes = sample_make_filled(VHD_TYPE_DYNAMIC, 3);

    sample_set_entry(bytes, DYNAMIC_BAT, 2, sample_entry(bytes, DYNAMIC_BAT, 0) + 3);
    {
        VhdCheckResult result;
        Report report = judge_file(mem_file_open(bytes, "a.vhd", false), &result);

        g_assert_nonnull(strstr(report.lines->str, "error bat-overlap 1544 asks\n"));
        g_assert_cmpuint(result.count[VHD_SEVERITY_ERROR], ==, 1);
        report_free(&report);
    }
}

static void test_leak(void)
{
    g_autoptr(MemImage) bytes = sample_make_filled(VHD_TYPE_DYNAMIC, 3),
                        last = mem_image_clone(bytes);
    g_autoptr(MemImage) hole = mem_image_clone(bytes);
    uint64_t first_end = (uint64_t)sample_entry(bytes, DYNAMIC_BAT, 0) * 512 + BLOCK_SPAN;
    uint64_t second_end = (uint64_t)sample_entry(bytes, DYNAMIC_BAT, 1) * 512 + BLOCK_SPAN;
    g_autofree char *middle =
        g_strdup_printf("leak leak %" G_GUINT64_FORMAT " repairable\n", first_end);
    g_autofree char *at_end =
        g_strdup_printf("leak leak %" G_GUINT64_FORMAT " repairable\n", second_end);
    g_autofree char *given_back = g_strdup_printf("info free %" G_GUINT64_FORMAT "\n", first_end);

    sample_set_entry(bytes, DYNAMIC_BAT, 1, VHD_BAT_UNUSED);
    expect(bytes, middle);
    sample_set_entry(last, DYNAMIC_BAT, 2, VHD_BAT_UNUSED);
    expect(last, at_end);
    sample_set_entry(hole, DYNAMIC_BAT, 1, VHD_BAT_UNUSED);
    mem_image_zero(hole, first_end, 3584 + BLOCK_SPAN);
    (void)given_back; /* what is a hole in memory is the double's business: either will do */
    {
        VhdCheckResult result;
        Report report = judge_file(mem_file_open(hole, "a.vhd", false), &result);

        g_assert_true(!strcmp(report.lines->str, middle) || !strcmp(report.lines->str, given_back));
        report_free(&report);
    }
}

/* What lies under clear bits, and bits behind the disk's end. */
static void test_bitmaps(void)
{
    g_autoptr(MemImage) child = sample_make_filled(VHD_TYPE_DIFFERENCING, 1);
    g_autoptr(MemImage) dynamic = sample_make_filled(VHD_TYPE_DYNAMIC, 1);
    uint64_t child_at = (uint64_t)sample_entry(child, CHILD_BAT, 0) * 512;
    uint64_t dynamic_at = (uint64_t)sample_entry(dynamic, DYNAMIC_BAT, 0) * 512;
    g_autofree char *info =
        g_strdup_printf("info absent-not-zero %" G_GUINT64_FORMAT "\n", child_at + 512 + 8 * 512);
    g_autofree char *warning = g_strdup_printf("warning absent-not-zero %" G_GUINT64_FORMAT "\n",
                                               dynamic_at + 512 + 8 * 512);

    mem_image_write(child, child_at, "\xff\x00", 2);
    expect(child, info);
    mem_image_write(dynamic, dynamic_at, "\xff\x00", 2);
    expect(dynamic, warning);
    mem_image_write(child, child_at, "\xff\xff\x80", 3); /* beyond the block, in the padding */
    expect(child, "");
}

static void test_read_errors(void)
{
    g_autoptr(MemImage) bytes = sample_make_filled(VHD_TYPE_DYNAMIC, 2);
    uint64_t second = (uint64_t)sample_entry(bytes, DYNAMIC_BAT, 1) * 512;
    static const struct {
        VhdIoKind kind;
        unsigned nth;
    } rows[] = {{VHD_IO_FOOTER, 1},
                {VHD_IO_FOOTER, 2},
                {VHD_IO_HEADER, 1},
                {VHD_IO_BAT, 1},
                {VHD_IO_BITMAP, 2}};

    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        Faults *faults = faults_new();
        VhdCheckResult result;
        Report report;

        faults_fail(faults, FILE_OP_READ, rows[i].kind, rows[i].nth, EIO);
        report = judge_file(fault_file_new(mem_file_open(bytes, "a.vhd", false), faults), &result);
        g_assert_cmpuint(result.count[VHD_SEVERITY_FAILED], ==, 1);
        g_assert_nonnull(strstr(report.texts->str, "Input/output error"));
        if (rows[i].kind == VHD_IO_BITMAP) {
            g_autofree char *line = g_strdup_printf("failed read %" G_GUINT64_FORMAT "\n", second);

            g_assert_cmpstr(report.lines->str, ==, line);
        }
        report_free(&report);
        faults_unref(faults);
    }
}

/* Many alike are told one by one up to a bound, then counted. */
static void test_many(void)
{
    g_autoptr(MemImage) bytes = mem_image_new();
    VhdCreate create = {.type = VHD_TYPE_DYNAMIC, .disk_bytes = 1u << 20, .block_bytes = 4096};
    VhdFile *file = mem_file_open(bytes, "a.vhd", true);
    VhdCheckResult result;
    Report report;

    g_assert_true(vhd_image_create(file, &create, NULL));
    vhd_file_close(file);
    for (unsigned i = 0; i < 200; i++)
        sample_set_entry(bytes, DYNAMIC_BAT, i, 1);
    report = judge_file(mem_file_open(bytes, "a.vhd", false), &result);
    g_assert_cmpuint(result.count[VHD_SEVERITY_ERROR], ==, 200);
    g_assert_nonnull(strstr(report.texts->str, "180 more findings of this kind are not listed\n"));
    report_free(&report);
}

static bool stop_at_once(void *data, double part)
{
    (*(unsigned *)data)++;
    g_assert_true(part >= 0 && part <= 1);
    return true;
}

static void test_stop(void)
{
    g_autoptr(MemImage) bytes = sample_make_filled(VHD_TYPE_DYNAMIC, 3);
    g_autoptr(VhdFile) file = mem_file_open(bytes, "a.vhd", false);
    g_autoptr(GError) error = NULL;
    unsigned asked = 0;
    VhdCheckOptions options = {.stop = stop_at_once, .data = &asked, .pending_dir = NO_PENDING};
    VhdCheckResult result;

    g_assert_false(vhd_check_image(file, 0, &options, &result, &error));
    g_assert_cmpstr(error->message, ==, "a.vhd: the check was interrupted");
    g_assert_cmpuint(asked, ==, 1);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/check/clean", test_clean);
    g_test_add_func("/check/no-vhd", test_no_vhd);
    g_test_add_func("/check/checksums", test_checksums);
    g_test_add_func("/check/footers", test_footers);
    g_test_add_func("/check/footer-short", test_footer_short);
    g_test_add_func("/check/trailing", test_trailing);
    g_test_add_func("/check/fields", test_fields);
    g_test_add_func("/check/locators", test_locators);
    g_test_add_func("/check/bat", test_bat);
    g_test_add_func("/check/overlap-in-part", test_overlap_in_part);
    g_test_add_func("/check/leak", test_leak);
    g_test_add_func("/check/bitmaps", test_bitmaps);
    g_test_add_func("/check/read-errors", test_read_errors);
    g_test_add_func("/check/many", test_many);
    g_test_add_func("/check/stop", test_stop);
    return g_test_run();
}
