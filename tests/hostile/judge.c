/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
#include "tests/hostile/judge.h"

#include <errno.h>
#include <glib.h>
#include <string.h>
#include <unistd.h>

#include "tests/hostile/memory.h"
#include "tests/support/fault-file.h"
#include "tests/support/mem-file.h"
#include "vhd/check.h"
#include "vhd/image.h"
#include "vhd/locator.h"

#define NAME           "hostile.vhd"
#define MAPPED_MOST    (1u << 14) /* sectors; of a larger disk the first ones are walked */
#define MEMORY_MOST    (6u << 20) /* buffers of fixed size and the cache of bitmaps, bytes */
#define HANG_SECONDS   120
#define NO_PENDING_DIR "/nonexistent/pending"

/* One image under judgement. */
typedef struct Case {
    MemImage *memory;
    Faults *faults; /* count operations only */
    const char *about;
    size_t len;
} Case;

#define require(held, judged)                                                                      \
    do {                                                                                           \
        if (!(held))                                                                               \
            g_error("%s: %s:%d: not " #held, (judged)->about, __FILE__, __LINE__);                 \
    } while (0)

static VhdFile *open_file(const Case *judged, bool writable)
{
    return fault_file_new(mem_file_open(judged->memory, NAME, writable), judged->faults);
}

static void judge_finding(void *data, const VhdFinding *finding)
{
    const Case *judged = data;

    require(finding->text && *finding->text && !strchr(finding->text, '\n'), judged);
    require((unsigned)finding->code < VHD_FINDING_CODES, judged);
    require((unsigned)finding->severity < VHD_SEVERITIES, judged);
}

static void require_sentence(const Case *judged, const GError *error)
{
    require(error && g_str_has_prefix(error->message, NAME ": "), judged);
    require(!strchr(error->message, '\n') && strlen(error->message) < 1000, judged);
}

/* Whether nothing is wrong with it. */
static bool check(const Case *judged)
{
    VhdCheckOptions options = {
        .report = judge_finding, .data = (void *)(uintptr_t)judged, .pending_dir = NO_PENDING_DIR};
    g_autoptr(VhdFile) file = open_file(judged, false);
    g_autoptr(GError) error = NULL;
    VhdCheckResult result;

    if (!vhd_check_image(file, 0, &options, &result, &error)) {
        require_sentence(judged, error);
        return false;
    }
    return result.count[VHD_SEVERITY_ERROR] + result.count[VHD_SEVERITY_FAILED] == 0;
}

static VhdImage *open_image(const Case *judged, bool writable)
{
    VhdImageOptions options = {.writable = writable};
    g_autoptr(GError) error = NULL;
    VhdImage *image = vhd_image_open(open_file(judged, writable), &options, &error);

    if (!image)
        require_sentence(judged, error);
    return image;
}

static void judge_extent(const Case *judged, VhdImage *image, const VhdImageExtent *extent,
                         uint64_t left)
{
    const VhdLayout *layout = vhd_image_layout(image);
    uint64_t len = extent->sectors * VHD_SECTOR_BYTES;
    uint8_t sector[VHD_SECTOR_BYTES];

    require(extent->sectors > 0 && extent->sectors <= left, judged);
    if (extent->presence != VHD_DATA)
        return;
    require(extent->off <= layout->file_bytes && len <= layout->file_bytes - extent->off, judged);
    require(!vhd_layout_hit(layout, extent->off, len, false), judged);
    require(vhd_file_read(vhd_image_file(image), VHD_IO_DATA, extent->off + len - sizeof sector,
                          sector, sizeof sector) == 0,
            judged);
}

static void read_locators(VhdImage *image)
{
    for (unsigned i = 0; i < VHD_LOCATORS && vhd_image_header(image); i++) {
        size_t len;
        g_autofree uint8_t *bytes = vhd_image_read_locator(image, i, &len, NULL);
        uint32_t platform = vhd_image_header(image)->locators[i].platform;

        if (bytes)
            g_free(vhd_locator_decode(platform, bytes, len));
    }
    if (vhd_image_header(image))
        g_free(vhd_parent_name_decode(vhd_image_header(image)->parent_name));
}

static void map_all(const Case *judged, VhdImage *image)
{
    uint64_t sectors = MIN(vhd_image_sectors(image), MAPPED_MOST);
    VhdImageExtent extent;

    for (uint64_t at = 0; at < sectors; at += extent.sectors) {
        require(vhd_image_map(image, at, sectors - at, &extent) == 0, judged);
        judge_extent(judged, image, &extent, sectors - at);
    }
    /* The end of a disk that is larger, too. */
    sectors = vhd_image_sectors(image);
    require(vhd_image_map(image, sectors - 1, 1, &extent) == 0, judged);
    judge_extent(judged, image, &extent, 1);
    read_locators(image);
}

static int write_sector(const Case *judged, VhdImage *image, uint64_t at)
{
    uint8_t data[VHD_SECTOR_BYTES];
    VhdImageWrite write;
    int err = vhd_image_begin_write(image, at, 1, &write);

    if (err)
        return err;
    memset(data, 0xA5, sizeof data);
    require(!vhd_layout_hit(vhd_image_layout(image), write.off, sizeof data, false), judged);
    err = vhd_file_write(vhd_image_file(image), VHD_IO_DATA, write.off, data, sizeof data);
    return vhd_image_end_write(image, &write, err == 0) ?: err;
}

/* Old blocks, new ones, given back ones; a clean one stays clean. */
static void write_some(const Case *judged, bool clean)
{
    static const unsigned places[] = {3, 8, 26, 27, 60, 100};
    g_autoptr(VhdImage) image = open_image(judged, true);
    uint64_t sectors = image ? vhd_image_sectors(image) : 0;
    int err = 0;

    if (!image || !vhd_image_writable(image))
        return;
    for (unsigned i = 0; i < G_N_ELEMENTS(places) && !err; i++)
        err = write_sector(judged, image, places[i] % sectors);
    if (!err)
        err = vhd_image_unmap(image, 0, MIN(sectors, 16));
    if (!err)
        err = vhd_image_write_zeroes(image, sectors / 2, MIN(sectors / 2, 16));
    if (!err)
        err = vhd_image_finish(image);
    require(err == 0 || err == -ENOSPC, judged);
    require(!clean || err || check(judged), judged);
}

static bool judge_one(const Case *judged, bool clean, JudgeCounts *counts)
{
    g_autoptr(VhdImage) image = open_image(judged, false);

    require(image || !clean, judged);
    if (!image) {
        counts->refused++;
        return false;
    }
    map_all(judged, image);
    return true;
}

static uint64_t operations(Faults *faults)
{
    uint64_t count = 0;

    for (FileOp op = 0; op < FILE_OPS; op++)
        count += faults_count(faults, op, FILE_KIND_ANY);
    return count;
}

void judge_image(const uint8_t *bytes, size_t len, const char *about, JudgeCounts *counts)
{
    g_autoptr(MemImage) memory = mem_image_new();
    g_autoptr(Faults) faults = faults_new();
    Case judged = {memory, faults, about, len};
    size_t before, took;
    bool clean;

    alarm(HANG_SECONDS); /* a hang ends the process, and the log tells where */
    mem_image_write(memory, 0, bytes, len);
    before = memory_bytes();
    memory_reset_peak();
    clean = check(&judged);
    if (judge_one(&judged, clean, counts))
        write_some(&judged, clean);
    took = memory_peak() - MIN(before, memory_peak());
    /* Four bytes an entry, eight where all are sorted, and as much again for what is written. */
    if (took > MEMORY_MOST + 24 * len)
        g_error("%s: it took %zu bytes of memory, the image has %zu", about, took, len);
    if (operations(faults) > 1000 + MAPPED_MOST + 16 * (len / VHD_SECTOR_BYTES))
        g_error("%s: %" G_GUINT64_FORMAT " operations on the file", about, operations(faults));
    counts->images++;
    counts->clean += clean;
    counts->memory_most = MAX(counts->memory_most, took);
    counts->operations_most = MAX(counts->operations_most, operations(faults));
    alarm(0);
}
