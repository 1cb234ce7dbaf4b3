/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * A whole image: checked, opened, mapped, read, written. Input: a byte of flags, two of file length
 * in sectors, then a footer (the 88 bytes that are judged), a header (the first 64 bytes and the
 * locators), a byte that counts BAT entries of two bytes each (FFFF: unused), and pieces {sector:2,
 * length:1, bytes} put over all that. Without the flags nothing is right about checksums.
 *
 * Laws: check ends, and its findings are whole sentences; what check finds nothing wrong with
 * opens, and maps into the file and off its metadata, every sector once; what was written and
 * flushed is read after opening again, and check still finds nothing wrong then. Repair ends; what
 * it leaves without an error has nothing left to be mended and opens, with the content that it had
 * if it opened before; undone, each byte is as it was.
 */
#include "fuzz.h"

#include <errno.h>
#include <glib.h>

#include "tests/support/mem-file.h"
#include "vhd/be.h"
#include "vhd/check.h"
#include "vhd/image.h"
#include "vhd/repair.h"

enum {
    REPAIR = 1,       /* cookies and checksums */
    FIT = 2,          /* places, block size and number that fit each other */
    NO_TRAILING = 4,  /* no footer at the end */
    SHORT_FOOTER = 8, /* of 511 bytes */
    DIFFERING = 16,   /* the footer at the end gets a byte of its own */
};

#define FOOTER_TAKEN   88u
#define HEADER_TAKEN   64u
#define LOCATORS_TAKEN (VHD_LOCATORS * VHD_LOCATOR_BYTES)
#define BAT_OFF        1536u
#define MAPPED_SECTORS (1u << 16) /* of a larger disk only the beginning is walked */
#define NO_PENDING_DIR "/nonexistent/pending"
#define SECTORS_MAX    8192u

static void fit(uint8_t footer[static VHD_FOOTER_BYTES], uint8_t header[static VHD_HEADER_BYTES])
{
    uint32_t block = 4096u << header[35] % 5;
    uint64_t sectors = 1 + be16_get(footer + 54) % SECTORS_MAX;
    uint64_t blocks = (sectors * VHD_SECTOR_BYTES + block - 1) / block;

    be64_put(footer + VHD_FOOTER_AT_SIZE, sectors * VHD_SECTOR_BYTES);
    be32_put(footer + VHD_FOOTER_AT_TYPE, 2 + be32_get(footer + VHD_FOOTER_AT_TYPE) % 3);
    be64_put(footer + VHD_FOOTER_AT_DATA_OFFSET, VHD_FOOTER_BYTES);
    be64_put(header + VHD_HEADER_AT_BAT_OFFSET, BAT_OFF);
    be32_put(header + VHD_HEADER_AT_BLOCK_SIZE, block);
    be32_put(header + VHD_HEADER_AT_BAT_ENTRIES, (uint32_t)blocks);
}

static void repair(uint8_t footer[static VHD_FOOTER_BYTES], uint8_t header[static VHD_HEADER_BYTES])
{
    memcpy(footer, "conectix", 8);
    memcpy(header, "cxsparse", 8);
    be32_put(footer + 12, 0x00010000);
    be32_put(header + 24, 0x00010000);
    be32_put(footer + VHD_FOOTER_AT_CHECKSUM,
             vhd_checksum(footer, VHD_FOOTER_BYTES, VHD_FOOTER_AT_CHECKSUM));
    be32_put(header + VHD_HEADER_AT_CHECKSUM,
             vhd_checksum(header, VHD_HEADER_BYTES, VHD_HEADER_AT_CHECKSUM));
}

static void put_trailing(MemImage *bytes, uint8_t flags, uint8_t footer[static VHD_FOOTER_BYTES])
{
    uint64_t end = mem_image_bytes(bytes);

    if (flags & NO_TRAILING || end < VHD_FOOTER_BYTES)
        return;
    if (flags & DIFFERING) {
        footer[20 + footer[87] % 60] ^= 1;
        be32_put(footer + VHD_FOOTER_AT_CHECKSUM,
                 vhd_checksum(footer, VHD_FOOTER_BYTES, VHD_FOOTER_AT_CHECKSUM));
    }
    if (flags & SHORT_FOOTER)
        mem_image_write(bytes, end, footer, VHD_FOOTER_BYTES - 1);
    else
        mem_image_write(bytes, end - VHD_FOOTER_BYTES, footer, VHD_FOOTER_BYTES);
}

static void put_bat(MemImage *bytes, FuzzInput *input)
{
    unsigned count = fuzz_take_byte(input);

    for (unsigned i = 0; i < count; i++) {
        uint8_t taken[2], entry[4];

        fuzz_take(input, taken, sizeof(taken));
        be32_put(entry, be16_get(taken) == 0xFFFF ? VHD_BAT_UNUSED : be16_get(taken));
        mem_image_write(bytes, BAT_OFF + i * 4, entry, sizeof(entry));
    }
    /* Blocks without an entry of their own are unused. */
    for (unsigned i = count; i < SECTORS_MAX / 8; i++)
        mem_image_write(bytes, BAT_OFF + i * 4, "\377\377\377\377", 4);
}

static void put_pieces(MemImage *bytes, FuzzInput *input)
{
    while (input->left >= 3) {
        uint8_t head[3], piece[256];

        fuzz_take(input, head, sizeof(head));
        fuzz_take(input, piece, head[2]);
        mem_image_write(bytes, (uint64_t)(be16_get(head) % (2 * SECTORS_MAX)) * VHD_SECTOR_BYTES,
                        piece, head[2]);
    }
}

static MemImage *build(FuzzInput *input)
{
    MemImage *bytes = mem_image_new();
    uint8_t flags = fuzz_take_byte(input), length[2];
    uint8_t footer[VHD_FOOTER_BYTES] = {0}, header[VHD_HEADER_BYTES] = {0};

    fuzz_take(input, length, sizeof(length));
    fuzz_take(input, footer, FOOTER_TAKEN);
    fuzz_take(input, header, HEADER_TAKEN);
    fuzz_take(input, header + VHD_HEADER_AT_LOCATORS, LOCATORS_TAKEN);
    if (flags & FIT)
        fit(footer, header);
    if (flags & REPAIR)
        repair(footer, header);
    mem_image_write(bytes, 0, footer, sizeof(footer));
    mem_image_write(bytes, VHD_FOOTER_BYTES, header, sizeof(header));
    put_bat(bytes, input);
    mem_image_resize(bytes, (uint64_t)be16_get(length) % (2 * SECTORS_MAX) * VHD_SECTOR_BYTES);
    put_trailing(bytes, flags, footer);
    put_pieces(bytes, input);
    return bytes;
}

static void judge_finding(void *data, const VhdFinding *finding)
{
    (void)data;
    FUZZ_CHECK(finding->text && finding->text[0] && !strchr(finding->text, '\n'));
    FUZZ_CHECK((unsigned)finding->code < VHD_FINDING_CODES);
    FUZZ_CHECK((unsigned)finding->severity < VHD_SEVERITIES);
    FUZZ_CHECK(strcmp(vhd_finding_name(finding->code), "unknown") != 0);
}

/* True if nothing is wrong with it. */
static bool check(MemImage *bytes)
{
    VhdCheckOptions options = {.report = judge_finding, .pending_dir = NO_PENDING_DIR};
    g_autoptr(VhdFile) file = mem_file_open(bytes, "fuzz.vhd", false);
    g_autoptr(GError) error = NULL;
    VhdCheckResult result;
    bool judged = vhd_check_image(file, 0, &options, &result, &error);

    FUZZ_CHECK(judged == !error);
    return judged && result.count[VHD_SEVERITY_ERROR] == 0 &&
           result.count[VHD_SEVERITY_FAILED] == 0;
}

static VhdImage *open_image(MemImage *bytes, bool writable)
{
    VhdImageOptions options = {.writable = writable};
    g_autoptr(GError) error = NULL;
    VhdImage *image = vhd_image_open(mem_file_open(bytes, "fuzz.vhd", writable), &options, &error);

    FUZZ_CHECK(image ? !error : error != NULL && g_str_has_prefix(error->message, "fuzz.vhd: "));
    return image;
}

static void judge_extent(VhdImage *image, const VhdImageExtent *extent, uint64_t left)
{
    const VhdLayout *layout = vhd_image_layout(image);
    uint64_t len = extent->sectors * VHD_SECTOR_BYTES;
    uint8_t sector[VHD_SECTOR_BYTES];

    FUZZ_CHECK(extent->sectors > 0 && extent->sectors <= left);
    if (extent->presence != VHD_DATA)
        return;
    FUZZ_CHECK(extent->off <= layout->file_bytes && len <= layout->file_bytes - extent->off);
    FUZZ_CHECK(!vhd_layout_hit(layout, extent->off, len, false));
    FUZZ_CHECK(vhd_file_read(vhd_image_file(image), VHD_IO_DATA, extent->off, sector,
                             sizeof(sector)) == 0);
}

static void map_all(VhdImage *image)
{
    uint64_t sectors = MIN(vhd_image_sectors(image), MAPPED_SECTORS);
    VhdImageExtent extent;

    for (uint64_t at = 0; at < sectors; at += extent.sectors) {
        FUZZ_CHECK(vhd_image_map(image, at, sectors - at, &extent) == 0);
        judge_extent(image, &extent, sectors - at);
    }
    for (unsigned i = 0; i < VHD_LOCATORS && vhd_image_header(image); i++) {
        size_t len;

        g_free(vhd_image_read_locator(image, i, &len, NULL));
    }
}

/* Write a sector; 0 or -errno. */
static int write_sector(VhdImage *image, uint64_t at, const uint8_t *data)
{
    VhdImageWrite write;
    int err = vhd_image_begin_write(image, at, 1, &write);

    if (err)
        return err;
    err = vhd_file_write(vhd_image_file(image), VHD_IO_DATA, write.off, data, VHD_SECTOR_BYTES);
    FUZZ_CHECK(err == 0);
    return vhd_image_end_write(image, &write, true);
}

static void judge_written(MemImage *bytes, uint64_t at, const uint8_t *data)
{
    g_autoptr(VhdImage) image = open_image(bytes, false);
    uint8_t found[VHD_SECTOR_BYTES];
    VhdImageExtent extent;

    FUZZ_CHECK(image);
    FUZZ_CHECK(vhd_image_map(image, at, 1, &extent) == 0 && extent.presence == VHD_DATA);
    FUZZ_CHECK(
        vhd_file_read(vhd_image_file(image), VHD_IO_DATA, extent.off, found, sizeof(found)) == 0);
    FUZZ_CHECK(memcmp(found, data, sizeof(found)) == 0);
}

static void write_some(MemImage *bytes, bool clean)
{
    g_autoptr(VhdImage) image = open_image(bytes, true);
    uint8_t data[VHD_SECTOR_BYTES];
    uint64_t at;
    int err;

    if (!image || !vhd_image_writable(image))
        return;
    at = vhd_image_footer(image)->uuid[0] * UINT64_C(37) % vhd_image_sectors(image);
    memset(data, 0xA5, sizeof(data));
    err = write_sector(image, at, data);
    if (err == 0)
        err = vhd_image_finish(image);
    FUZZ_CHECK(err == 0 || err == -ENOSPC);
    if (err)
        return;
    judge_written(bytes, at, data);
    FUZZ_CHECK(!clean || check(bytes));
}

/* ---- repair */

static void judge_mended_finding(void *data, const VhdFinding *finding)
{
    *(bool *)data = *(bool *)data || finding->repairable || finding->asks;
}

/* Is there something that repair should have mended? */
static bool is_unmended(MemImage *bytes)
{
    bool unmended = false;
    VhdCheckOptions options = {.report = judge_mended_finding,
                               .data = &unmended,
                               .every = true,
                               .pending_dir = NO_PENDING_DIR};
    g_autoptr(VhdFile) file = mem_file_open(bytes, "fuzz.vhd", false);
    VhdCheckResult result;

    FUZZ_CHECK(vhd_check_image(file, 0, &options, &result, NULL));
    return unmended;
}

static void read_extent(VhdImage *image, uint64_t at, VhdImageExtent *extent,
                        uint8_t sector[static VHD_SECTOR_BYTES])
{
    memset(sector, 0, VHD_SECTOR_BYTES);
    FUZZ_CHECK(vhd_image_map(image, at, 1, extent) == 0);
    FUZZ_CHECK(extent->presence != VHD_DATA ||
               vhd_file_read(vhd_image_file(image), VHD_IO_DATA, extent->off, sector,
                             VHD_SECTOR_BYTES) == 0);
}

static void judge_content(MemImage *before, MemImage *after)
{
    g_autoptr(VhdImage) a = open_image(before, false), b = open_image(after, false);
    uint64_t sectors;

    if (!a)
        return;
    FUZZ_CHECK(b && vhd_image_sectors(a) == vhd_image_sectors(b));
    sectors = MIN(vhd_image_sectors(a), MAPPED_SECTORS);
    for (uint64_t at = 0; at < sectors; at += 7) {
        uint8_t was[VHD_SECTOR_BYTES], is[VHD_SECTOR_BYTES];
        VhdImageExtent was_at, is_at;

        read_extent(a, at, &was_at, was);
        read_extent(b, at, &is_at, is);
        FUZZ_CHECK(was_at.presence == is_at.presence && memcmp(was, is, sizeof(was)) == 0);
    }
}

static void undo(MemImage *mended, MemImage *saved, MemImage *before)
{
    g_autoptr(VhdFile) file = mem_file_open(mended, "fuzz.vhd", true);
    g_autoptr(VhdFile) undo_file = mem_file_open(saved, "fuzz.vhd.undo", true);

    FUZZ_CHECK(vhd_undo_restore(file, undo_file, NULL));
    FUZZ_CHECK(mem_image_equal(mended, before, NULL));
}

static void mend(MemImage *bytes, VhdRepairFooter footer)
{
    VhdRepairOptions options = {.give_up = true, .footer = footer, .pending_dir = NO_PENDING_DIR};
    g_autoptr(MemImage) mended = mem_image_clone(bytes), saved = mem_image_new();
    g_autoptr(VhdFile) file = mem_file_open(mended, "fuzz.vhd", true);
    g_autoptr(VhdFile) undo_file = mem_file_open(saved, "fuzz.vhd.undo", true);
    g_autoptr(GError) error = NULL;
    g_autoptr(VhdRepair) plan = vhd_repair_plan(file, &options, &error);
    bool restored;

    FUZZ_CHECK(!plan == (error != NULL));
    if (!plan)
        return;
    FUZZ_CHECK(vhd_repair_apply(plan, undo_file, &restored, &error));
    if (check(mended)) {
        g_autoptr(VhdImage) image = open_image(mended, false);

        FUZZ_CHECK(image && !is_unmended(mended));
        if (footer != VHD_REPAIR_FOOTER_LAST)
            judge_content(bytes, mended);
    }
    undo(mended, saved, bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    FuzzInput input = {data, size};
    g_autoptr(MemImage) bytes = build(&input);
    bool clean = check(bytes);
    VhdImage *image = open_image(bytes, false);

    FUZZ_CHECK(image || !clean);
    mend(bytes, size % 2 ? VHD_REPAIR_FOOTER_FIRST : VHD_REPAIR_FOOTER_LAST);
    if (!image)
        return 0;
    map_all(image);
    vhd_image_unref(image);
    write_some(bytes, clean);
    return 0;
}
