/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* One image, one thing wrong with it, and the findings that check makes of that: no more, no less.
 */
#include <errno.h>
#include <glib.h>
#include <string.h>

#include "tests/support/fault-file.h"
#include "tests/support/mem-file.h"
#include "vhd/be.h"
#include "vhd/check.h"
#include "vhd/error.h"
#include "vhd/image-create.h"
#include "vhd/image.h"

#define DISK_BYTES  (64u << 10)
#define BLOCK_BYTES 8192u
#define BLOCKS      (DISK_BYTES / BLOCK_BYTES)
#define BLOCK_SPAN  (BLOCK_BYTES + 512)
#define DYNAMIC_BAT 1536u
#define CHILD_BAT   8192u
#define NO_PENDING  "/nonexistent/pending"

typedef struct Report {
    GString *lines; /* "severity code offset repairable", one a finding */
    GString *texts;
} Report;

static void take(void *data, const VhdFinding *finding)
{
    Report *report = data;

    g_string_append_printf(report->lines, "%s %s", vhd_severity_name(finding->severity),
                           vhd_finding_name(finding->code));
    if (finding->off != VHD_FINDING_NOWHERE)
        g_string_append_printf(report->lines, " %" G_GUINT64_FORMAT, finding->off);
    g_string_append(report->lines, finding->repairable ? " repairable\n" : "\n");
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

static MemImage *make(VhdType type)
{
    VhdCreate create = {.type = type,
                        .disk_bytes = DISK_BYTES,
                        .block_bytes = type == VHD_TYPE_FIXED ? 0 : BLOCK_BYTES,
                        .uuid = (const uint8_t *)"0123456789abcdef",
                        .parent_name = "p.vhd",
                        .parent_relative = "p.vhd",
                        .parent_absolute = "/srv/p.vhd"};
    MemImage *bytes = mem_image_new();
    VhdFile *file = mem_file_open(bytes, "a.vhd", true);

    g_assert_true(vhd_image_create(file, &create, NULL));
    vhd_file_close(file);
    return bytes;
}

/* Blocks 0 to count-1 written whole, in this order. */
static MemImage *make_filled(VhdType type, unsigned count)
{
    MemImage *bytes = make(type);
    VhdImageOptions options = {.writable = true};
    VhdImage *image = vhd_image_open(mem_file_open(bytes, "a.vhd", true), &options, NULL);
    uint8_t data[BLOCK_BYTES];

    memset(data, 0x77, sizeof(data));
    for (unsigned i = 0; i < count; i++) {
        VhdImageWrite write;

        g_assert_cmpint(vhd_image_begin_write(image, i * BLOCK_BYTES / 512, 16, &write), ==, 0);
        g_assert_cmpint(
            vhd_file_write(vhd_image_file(image), VHD_IO_DATA, write.off, data, sizeof(data)), ==,
            0);
        g_assert_cmpint(vhd_image_end_write(image, &write, true), ==, 0);
    }
    g_assert_cmpint(vhd_image_finish(image), ==, 0);
    vhd_image_unref(image);
    return bytes;
}

static uint32_t entry_of(MemImage *bytes, uint64_t bat, unsigned block)
{
    uint8_t raw[4];

    mem_image_read(bytes, bat + block * 4, raw, sizeof(raw));
    return be32_get(raw);
}

static void set_entry(MemImage *bytes, uint64_t bat, unsigned block, uint32_t entry)
{
    uint8_t raw[4];

    be32_put(raw, entry);
    mem_image_write(bytes, bat + block * 4, raw, sizeof(raw));
}

/* Change len bytes at field of the record at off, and make its checksum right. */
static void poke(MemImage *bytes, uint64_t off, size_t record, size_t checksum_at, size_t field,
                 const void *value, size_t len)
{
    uint8_t raw[VHD_HEADER_BYTES];

    mem_image_read(bytes, off, raw, record);
    memcpy(raw + field, value, len);
    be32_put(raw + checksum_at, vhd_checksum(raw, record, checksum_at));
    mem_image_write(bytes, off, raw, record);
}

static void poke_footer(MemImage *bytes, uint64_t off, size_t field, const void *value, size_t len)
{
    poke(bytes, off, VHD_FOOTER_BYTES, VHD_FOOTER_AT_CHECKSUM, field, value, len);
}

static void poke_header(MemImage *bytes, size_t field, const void *value, size_t len)
{
    poke(bytes, VHD_FOOTER_BYTES, VHD_HEADER_BYTES, VHD_HEADER_AT_CHECKSUM, field, value, len);
}

static uint64_t end_footer(MemImage *bytes)
{
    return mem_image_bytes(bytes) - VHD_FOOTER_BYTES;
}

static void test_clean(void)
{
    static const VhdType types[] = {VHD_TYPE_FIXED, VHD_TYPE_DYNAMIC, VHD_TYPE_DIFFERENCING};

    for (unsigned i = 0; i < G_N_ELEMENTS(types); i++) {
        g_autoptr(MemImage) empty = make(types[i]);
        VhdCheckResult result;
        Report report;

        expect(empty, "");
        if (types[i] == VHD_TYPE_FIXED)
            continue;
        g_autoptr(MemImage) filled = make_filled(types[i], 3);
        report = judge_file(mem_file_open(filled, "a.vhd", false), &result);
        g_assert_cmpstr(report.lines->str, ==, "");
        g_assert_cmpuint(result.blocks, ==, BLOCKS);
        g_assert_cmpuint(result.blocks_in_use, ==, 3);
        g_assert_cmpuint(result.disk_bytes, ==, DISK_BYTES);
        report_free(&report);
    }
}

static void test_no_vhd(void)
{
    static const uint64_t lengths[] = {0, 1, 511, 512, 1023, 4096};
    VhdCheckOptions options = {.pending_dir = NO_PENDING};
    VhdCheckResult result;

    for (unsigned i = 0; i < G_N_ELEMENTS(lengths); i++) {
        g_autoptr(MemImage) bytes = mem_image_new();
        g_autoptr(GError) error = NULL;
        VhdFile *file;

        mem_image_resize(bytes, lengths[i]);
        file = mem_file_open(bytes, "a.vhd", false);
        g_assert_false(vhd_check_image(file, 0, &options, &result, &error));
        g_assert_error(error, VHD_ERROR, VHD_ERROR_NOT_VHD);
        vhd_file_close(file);
    }
}

static void test_footers(void)
{
    g_autoptr(MemImage) good = make_filled(VHD_TYPE_DYNAMIC, 2);
    uint64_t end = end_footer(good);
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
    poke_footer(renamed, end, 28, "vpc ", 4);
    expect(renamed, unequal);
    poke_footer(resized, end, VHD_FOOTER_AT_SIZE, "\0\0\0\0\0\2\0\0", 8);
    expect(resized, "error footers-differ 48\n");
    mem_image_write(none, 100, "x", 1);
    mem_image_zero(none, end, 512);
    expect(none, both);
}

static void test_footer_short(void)
{
    g_autoptr(MemImage) bytes = make_filled(VHD_TYPE_DYNAMIC, 1);
    uint64_t end = end_footer(bytes);
    g_autofree char *line = g_strdup_printf("info footer-short %" G_GUINT64_FORMAT "\n", end);

    mem_image_resize(bytes, end + VHD_FOOTER_BYTES - 1);
    expect(bytes, line);
}

static void test_trailing(void)
{
    g_autoptr(MemImage) bytes = make(VHD_TYPE_DYNAMIC), fixed = make(VHD_TYPE_FIXED);
    uint64_t length = mem_image_bytes(bytes);
    g_autofree char *lines =
        g_strdup_printf("warning footer-lost %" G_GUINT64_FORMAT " repairable\n"
                        "warning trailing %" G_GUINT64_FORMAT "\n",
                        length + 4096 - 512, length);

    mem_image_resize(bytes, length + 4096);
    expect(bytes, lines);

    /* A fixed image has no other footer. */
    mem_image_resize(fixed, mem_image_bytes(fixed) + 512);
    {
        VhdCheckOptions options = {.pending_dir = NO_PENDING};
        g_autoptr(GError) error = NULL;
        g_autoptr(VhdFile) file = mem_file_open(fixed, "a.vhd", false);
        VhdCheckResult result;

        g_assert_false(vhd_check_image(file, 0, &options, &result, &error));
        g_assert_error(error, VHD_ERROR, VHD_ERROR_NOT_VHD);
    }
}

static void test_fields(void)
{
    g_autoptr(MemImage) type = make(VHD_TYPE_DYNAMIC), block = make(VHD_TYPE_DYNAMIC);
    g_autoptr(MemImage) checksum = make(VHD_TYPE_DYNAMIC), geometry = make(VHD_TYPE_DYNAMIC);

    poke_footer(type, 0, VHD_FOOTER_AT_TYPE, "\0\0\0\7", 4);
    poke_footer(type, end_footer(type), VHD_FOOTER_AT_TYPE, "\0\0\0\7", 4);
    expect(type, "error footer-field 60\n");
    poke_header(block, VHD_HEADER_AT_BLOCK_SIZE, "\0\0\x30\0", 4);
    expect(block, "error header 544\n");
    mem_image_write(checksum, 600, "x", 1);
    expect(checksum, "error header 548\n");
    poke_footer(geometry, 0, 56, "\1\2\3\4", 4);
    poke_footer(geometry, end_footer(geometry), 56, "\1\2\3\4", 4);
    expect(geometry, "info geometry\n");
}

/* Every bad locator is told, and the blocks are looked at all the same. */
static void test_locators(void)
{
    g_autoptr(MemImage) bytes = make_filled(VHD_TYPE_DIFFERENCING, 1);

    poke_header(bytes, VHD_HEADER_AT_LOCATORS + VHD_LOCATOR_AT_OFFSET, "\0\0\0\0\0\0\x20\0", 8);
    poke_header(bytes, VHD_HEADER_AT_LOCATORS + 24 + VHD_LOCATOR_AT_LENGTH, "\0\1\0\1", 4);
    set_entry(bytes, CHILD_BAT, 5, 2);
    expect(bytes, "error locator 1104\nerror locator 1120\nerror bat-entry 8212\n");
}

static void test_bat(void)
{
    g_autoptr(MemImage) bytes = make_filled(VHD_TYPE_DYNAMIC, 3);
    uint32_t first = entry_of(bytes, DYNAMIC_BAT, 0);
    uint32_t last = entry_of(bytes, DYNAMIC_BAT, 2);

    set_entry(bytes, DYNAMIC_BAT, 3, 1);          /* the header */
    set_entry(bytes, DYNAMIC_BAT, 4, 0xFFFFFFFE); /* far beyond the file */
    set_entry(bytes, DYNAMIC_BAT, 5, first);      /* another's place */
    set_entry(bytes, DYNAMIC_BAT, 6, last + 8);   /* into the footer */
    expect(bytes, "error bat-entry 1548\nerror bat-entry 1552\nerror bat-entry 1560\n"
                  "error bat-overlap 1556\n");
    /* Entries beyond the last block are padding and mean nothing. */
    g_autoptr(MemImage) padded = make_filled(VHD_TYPE_DYNAMIC, 1);
    set_entry(padded, DYNAMIC_BAT, BLOCKS, 1);
    expect(padded, "");
}

/* Overlaps in part, with a block between in the table. */
static void test_overlap_in_part(void)
{
    g_autoptr(MemImage) bytes = make_filled(VHD_TYPE_DYNAMIC, 3);

    set_entry(bytes, DYNAMIC_BAT, 2, entry_of(bytes, DYNAMIC_BAT, 0) + 3);
    {
        VhdCheckResult result;
        Report report = judge_file(mem_file_open(bytes, "a.vhd", false), &result);

        g_assert_nonnull(strstr(report.lines->str, "error bat-overlap 1544\n"));
        g_assert_cmpuint(result.count[VHD_SEVERITY_ERROR], ==, 1);
        report_free(&report);
    }
}

static void test_leak(void)
{
    g_autoptr(MemImage) bytes = make_filled(VHD_TYPE_DYNAMIC, 3), last = mem_image_clone(bytes);
    g_autoptr(MemImage) hole = mem_image_clone(bytes);
    uint64_t first_end = (uint64_t)entry_of(bytes, DYNAMIC_BAT, 0) * 512 + BLOCK_SPAN;
    uint64_t second_end = (uint64_t)entry_of(bytes, DYNAMIC_BAT, 1) * 512 + BLOCK_SPAN;
    g_autofree char *middle =
        g_strdup_printf("leak leak %" G_GUINT64_FORMAT " repairable\n", first_end);
    g_autofree char *at_end =
        g_strdup_printf("leak leak %" G_GUINT64_FORMAT " repairable\n", second_end);
    g_autofree char *given_back = g_strdup_printf("info free %" G_GUINT64_FORMAT "\n", first_end);

    set_entry(bytes, DYNAMIC_BAT, 1, VHD_BAT_UNUSED);
    expect(bytes, middle);
    set_entry(last, DYNAMIC_BAT, 2, VHD_BAT_UNUSED);
    expect(last, at_end);
    set_entry(hole, DYNAMIC_BAT, 1, VHD_BAT_UNUSED);
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
    g_autoptr(MemImage) child = make_filled(VHD_TYPE_DIFFERENCING, 1);
    g_autoptr(MemImage) dynamic = make_filled(VHD_TYPE_DYNAMIC, 1);
    uint64_t child_at = (uint64_t)entry_of(child, CHILD_BAT, 0) * 512;
    uint64_t dynamic_at = (uint64_t)entry_of(dynamic, DYNAMIC_BAT, 0) * 512;
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
    g_autoptr(MemImage) bytes = make_filled(VHD_TYPE_DYNAMIC, 2);
    uint64_t second = (uint64_t)entry_of(bytes, DYNAMIC_BAT, 1) * 512;
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
        set_entry(bytes, DYNAMIC_BAT, i, 1);
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
    g_autoptr(MemImage) bytes = make_filled(VHD_TYPE_DYNAMIC, 3);
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
