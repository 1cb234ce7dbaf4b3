/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
#include "tests/unit/power-cut.h"

#include <string.h>

#include "vhd/check.h"

static uint64_t mix(uint64_t x)
{
    x ^= x >> 31;
    x *= UINT64_C(0x9E3779B97F4A7C15);
    return x ^ x >> 29;
}

static uint64_t sum_of_sector(uint64_t sector, const uint8_t raw[static 512])
{
    uint64_t sum = 0, word;
    bool zero = true;
    for (unsigned i = 0; i < 512; i += sizeof word) {
        memcpy(&word, raw + i, sizeof word);
        zero = zero && word == 0;
        sum = mix(sum + word + i);
    }
    return zero ? 0 : mix(sum + sector);
}

static void add_run(DiskPrint *print, VhdImage *image, uint64_t sector,
                    const VhdImageExtent *extent)
{
    uint64_t count = extent->sectors;
    uint8_t raw[512];
    if (extent->presence == VHD_ABSENT) {
        print->absent_count += count;
        print->absent_sum += sector * count + count * (count - 1) / 2;
    }
    for (uint64_t i = 0; extent->presence == VHD_DATA && i < count; i++) {
        g_assert_cmpint(
            vhd_file_read(vhd_image_file(image), VHD_IO_DATA, extent->off + i * 512, raw, 512), ==,
            0);
        print->data_sum += sum_of_sector(sector + i, raw);
    }
}

DiskPrint disk_print(MemImage *bytes)
{
    g_autoptr(GError) error = NULL;
    VhdImageOptions options = {.writable = false};
    g_autoptr(VhdImage) image =
        vhd_image_open(mem_file_open(bytes, "a.vhd", false), &options, &error);
    g_assert_no_error(error);
    DiskPrint print = {.sectors = vhd_image_sectors(image)};
    VhdImageExtent extent;
    for (uint64_t at = 0; at < print.sectors; at += extent.sectors) {
        g_assert_cmpint(vhd_image_map(image, at, print.sectors - at, &extent), ==, 0);
        add_run(&print, image, at, &extent);
    }
    return print;
}

DiskPrint chain_print(VhdChain *chain)
{
    DiskPrint print = {.sectors = vhd_chain_sectors(chain)};
    VhdExtent extent;
    for (uint64_t at = 0; at < print.sectors; at += extent.sectors) {
        g_assert_cmpint(vhd_chain_map(chain, at, print.sectors - at, &extent), ==, 0);
        if (extent.layer < 0)
            continue;
        VhdImageExtent run = {VHD_DATA, extent.sectors, extent.off};
        add_run(&print, vhd_chain_layer(chain, (unsigned)extent.layer), at, &run);
    }
    return print;
}

bool disk_print_equal(const DiskPrint *a, const DiskPrint *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

static void tell(void *data, const VhdFinding *finding)
{
    (void)data;
    if (finding->severity >= VHD_SEVERITY_ERROR)
        g_test_message("%s", finding->text);
}

unsigned count_findings(MemImage *bytes, unsigned least_severity)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VhdFile) file = mem_file_open(bytes, "a.vhd", false);
    VhdCheckOptions options = {.report = tell, .pending_dir = "/nonexistent"};
    VhdCheckResult result;
    unsigned count = 0;
    g_assert_true(vhd_check_image(file, 0, &options, &result, &error));
    g_assert_no_error(error);
    for (unsigned i = least_severity; i < VHD_SEVERITIES; i++)
        count += result.count[i];
    return count;
}

static void judge(PowerCut *cut, MemImage *bytes)
{
    DiskPrint print = cut->print ? cut->print(bytes, cut->data) : disk_print(bytes);
    bool before = disk_print_equal(&print, &cut->before);
    g_assert_true(before || disk_print_equal(&print, &cut->after));
    g_assert_cmpuint(count_findings(bytes, VHD_SEVERITY_ERROR), ==, 0);
    cut->saw_before += before;
    cut->saw_after += !before;
}

static void judge_remainder(PowerCut *cut, uint64_t event, TraceChooser choose, void *data,
                            bool go_on)
{
    g_autoptr(MemImage) bytes = trace_rebuild(cut->trace, 0, cut->base, event, choose, data);
    judge(cut, bytes);
    if (go_on && cut->each)
        cut->each(bytes, cut->data);
}

void power_cut_everywhere(PowerCut *cut)
{
    for (uint64_t event = 0; event <= trace_now(cut->trace); event++) {
        judge_remainder(cut, event, trace_choose_all, NULL, false);
        judge_remainder(cut, event, trace_choose_none, NULL, false);
        judge_remainder(cut, event, trace_choose_returned, NULL, false);
        for (unsigned seed = 1; seed <= cut->seeds; seed++) {
            TraceRandom random = {.state = event * 1000 + seed};
            judge_remainder(cut, event, trace_choose_random, &random, seed == 1);
        }
    }
}
