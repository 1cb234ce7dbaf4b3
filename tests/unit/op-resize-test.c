/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* resize: the disk grown or shrunk in place, whenever the power fails. */
#include <errno.h>
#include <string.h>

#include "tests/unit/image-fixture.h"
#include "tests/unit/power-cut.h"
#include "vhd/be.h"
#include "vhd/check.h"
#include "vhd/error.h"
#include "vhd/op-resize.h"

#define BLOCK  4096u
#define PAGE   4096u
#define KIB    1024u
#define SECTOR 512u

/* From what to what; the BAT of 256 entries has 2560 bytes behind its beginning, up to the first
 * page of blocks. */
typedef struct Change {
    const char *name;
    VhdType type;
    uint64_t from, to;
    bool empty; /* no block is allocated */
} Change;

static const Change changes[] = {
    {"fixed-grow", VHD_TYPE_FIXED, 64 * KIB, 100 * KIB, false},
    {"fixed-grow-sector", VHD_TYPE_FIXED, 64 * KIB, 64 * KIB + 512, false},
    {"fixed-shrink", VHD_TYPE_FIXED, 100 * KIB, 64 * KIB, false},
    {"dynamic-grow", VHD_TYPE_DYNAMIC, MIB, MIB + 20 * KIB, false},
    {"dynamic-grow-in-block", VHD_TYPE_DYNAMIC, MIB - 2 * KIB, MIB, false},
    {"dynamic-grow-much", VHD_TYPE_DYNAMIC, MIB - 2 * KIB, 16 * MIB, false},
    {"dynamic-grow-empty", VHD_TYPE_DYNAMIC, MIB, 16 * MIB, true},
    {"dynamic-shrink", VHD_TYPE_DYNAMIC, MIB, MIB / 2 + 512, false},
    {"dynamic-shrink-empty", VHD_TYPE_DYNAMIC, 16 * MIB, MIB, true},
    {"child-grow", VHD_TYPE_DIFFERENCING, MIB, MIB + 64 * KIB, false},
    {"child-grow-much", VHD_TYPE_DIFFERENCING, MIB - 512, 16 * MIB, false},
    {"child-shrink", VHD_TYPE_DIFFERENCING, MIB, MIB / 2, false},
};

/* Sectors at the beginning, in the middle and at the end, also within one block. */
static void fill(Fixture *f, uint64_t bytes)
{
    uint64_t sectors = bytes / SECTOR;
    g_assert_cmpint(write_sectors(f->image, 0, 3, 0x11), ==, 0);
    g_assert_cmpint(write_sectors(f->image, sectors / 2 - 9, 20, 0x22), ==, 0);
    g_assert_cmpint(write_sectors(f->image, sectors - 3, 3, 0x33), ==, 0);
    g_assert_cmpint(write_sectors(f->image, sectors / 3, 1, 0x44), ==, 0);
    g_assert_cmpint(vhd_image_finish(f->image), ==, 0);
}

/* An image of before, closed; its bytes are in f. */
static void begin(Fixture *f, const Change *change)
{
    setup(f, change->type, change->from, BLOCK);
    if (!change->empty)
        fill(f, change->from);
    g_clear_pointer(&f->image, vhd_image_unref);
}

static bool resize(Fixture *f, uint64_t bytes, GError **error)
{
    f->image = open_again(f, true, NULL, error);
    g_assert_nonnull(f->image);
    bool done = vhd_op_resize(f->image, bytes, error);
    g_clear_pointer(&f->image, vhd_image_unref);
    return done;
}

static void resize_well(Fixture *f, uint64_t bytes)
{
    g_autoptr(GError) error = NULL;
    g_assert_true(resize(f, bytes, &error));
    g_assert_no_error(error);
}

/* The sectors that both have are alike; those that one has more are zero or absent. */
static void compare_content(MemImage *before, Fixture *f)
{
    Fixture old = {.bytes = before, .faults = f->faults};
    g_autoptr(VhdImage) a = open_again(&old, false, NULL, NULL);
    g_autoptr(VhdImage) b = open_again(f, false, NULL, NULL);
    uint64_t common = MIN(vhd_image_sectors(a), vhd_image_sectors(b));
    for (uint64_t i = 0; i < common; i++)
        g_assert_cmpint(sector_byte(a, i), ==, sector_byte(b, i));
    for (uint64_t i = common; i < vhd_image_sectors(b); i++)
        g_assert_cmpint(sector_byte(b, i), <=, 0);
}

/* As a new image would be: both footers alike and right for the size, the header at 0x200. */
static void judge_records(Fixture *f, const Change *change)
{
    uint8_t copy[SECTOR], end[SECTOR];
    uint64_t bytes = mem_image_bytes(f->bytes);
    VhdFooter footer;
    VhdFault fault;
    mem_image_read(f->bytes, 0, copy, SECTOR);
    mem_image_read(f->bytes, bytes - SECTOR, end, SECTOR);
    g_assert_true(vhd_footer_decode(end, 0, &footer, &fault));
    VhdGeometry geometry = vhd_geometry(change->to);
    g_assert_cmpuint(footer.current_bytes, ==, change->to);
    g_assert_cmpuint(footer.original_bytes, ==, change->from);
    g_assert_cmpmem(&footer.geometry, sizeof geometry, &geometry, sizeof geometry);
    if (change->type == VHD_TYPE_FIXED) {
        g_assert_cmpuint(bytes, ==, change->to + SECTOR);
        return;
    }
    g_assert_cmpmem(copy, SECTOR, end, SECTOR);
    g_assert_cmpuint(footer.data_offset, ==, 512);
    g_assert_cmpuint(bytes % PAGE, ==, 0);
}

static void test_change(gconstpointer data)
{
    const Change *change = data;
    Fixture f;
    begin(&f, change);
    g_autoptr(MemImage) before = mem_image_clone(f.bytes);
    resize_well(&f, change->to);
    judge_records(&f, change);
    compare_content(before, &f);
    g_assert_cmpuint(count_findings(f.bytes, VHD_SEVERITY_WARNING), ==, 0);
    /* Once more is nothing. */
    g_autoptr(MemImage) after = mem_image_clone(f.bytes);
    resize_well(&f, change->to);
    g_assert_true(mem_image_equal(after, f.bytes, NULL));
    teardown(&f);
}

/* The image takes writes everywhere, and lasts. */
static void test_goes_on(gconstpointer data)
{
    const Change *change = data;
    g_autoptr(GError) error = NULL;
    Fixture f;
    begin(&f, change);
    resize_well(&f, change->to);
    f.image = open_again(&f, true, NULL, &error);
    g_assert_no_error(error);
    fill(&f, change->to);
    reopen(&f);
    g_assert_cmpint(sector_byte(f.image, change->to / SECTOR - 1), ==, 0x33);
    g_assert_cmpint(sector_byte(f.image, 0), ==, 0x11);
    g_assert_cmpuint(count_findings(f.bytes, VHD_SEVERITY_WARNING), ==, 0);
    teardown(&f);
}

typedef struct Again {
    const Change *change;
    DiskPrint after;
} Again;

/* The same call finishes what was begun. */
static void finish_it(MemImage *bytes, void *data)
{
    const Again *again = data;
    g_autoptr(MemImage) copy = mem_image_clone(bytes);
    Fixture f = {.bytes = copy, .faults = faults_new()};
    resize_well(&f, again->change->to);
    DiskPrint print = disk_print(copy);
    g_assert_true(disk_print_equal(&print, &again->after));
    g_assert_cmpuint(count_findings(copy, VHD_SEVERITY_ERROR), ==, 0);
    judge_records(&f, again->change);
    faults_unref(f.faults);
}

static void test_power_cut(gconstpointer data)
{
    const Change *change = data;
    Again again = {.change = change};
    Fixture f;
    begin(&f, change);
    PowerCut cut = {.base = mem_image_clone(f.bytes),
                    .trace = trace_new(),
                    .seeds = 8,
                    .before = disk_print(f.bytes),
                    .each = finish_it,
                    .data = &again};
    f.trace = trace_ref(cut.trace);
    resize_well(&f, change->to);
    cut.after = again.after = disk_print(f.bytes);
    power_cut_everywhere(&cut);
    g_assert_cmpuint(cut.saw_before, >, 0);
    g_assert_cmpuint(cut.saw_after, >, 0);
    mem_image_unref(cut.base);
    trace_unref(cut.trace);
    teardown(&f);
}

/* Without space the old image stays, whole. */
static void test_no_space(gconstpointer data)
{
    const Change *change = data;
    g_autoptr(GError) error = NULL;
    Fixture f;
    begin(&f, change);
    g_autoptr(MemImage) before = mem_image_clone(f.bytes);
    mem_image_set_limit(f.bytes, mem_image_used(f.bytes));
    g_assert_false(resize(&f, change->to, &error));
    g_assert_error(error, VHD_ERROR, VHD_ERROR_NOSPACE);
    g_assert_true(mem_image_equal(before, f.bytes, NULL));
    teardown(&f);
}

/* Every operation fails in turn: old or new, and the same call goes on. */
static void test_faults(gconstpointer data)
{
    static const FileOp ops[] = {FILE_OP_WRITE, FILE_OP_BARRIER, FILE_OP_RESIZE, FILE_OP_CLAIM,
                                 FILE_OP_PUNCH};
    const Change *change = data;
    Fixture f;
    for (unsigned i = 0; i < G_N_ELEMENTS(ops); i++) {
        for (unsigned nth = 1;; nth++) {
            g_autoptr(GError) error = NULL;
            begin(&f, change);
            DiskPrint before = disk_print(f.bytes);
            f.image = open_again(&f, true, NULL, &error);
            faults_fail(f.faults, ops[i], FILE_KIND_ANY, nth, EIO);
            bool done = vhd_op_resize(f.image, change->to, &error);
            uint64_t failed = faults_failed(f.faults);
            g_clear_pointer(&f.image, vhd_image_unref);
            faults_clear(f.faults);
            DiskPrint print = disk_print(f.bytes);
            g_assert_true(done || error);
            g_assert_true(print.sectors == change->to / SECTOR ||
                          disk_print_equal(&print, &before));
            g_assert_cmpuint(count_findings(f.bytes, VHD_SEVERITY_ERROR), ==, 0);
            /* What fails before anything points to the new set leaves no trace of it. */
            if (nth == 1 && (ops[i] == FILE_OP_WRITE || ops[i] == FILE_OP_CLAIM) && failed > 0)
                g_assert_cmpuint(count_findings(f.bytes, VHD_SEVERITY_WARNING), ==, 0);
            resize_well(&f, change->to);
            judge_records(&f, change);
            teardown(&f);
            if (failed == 0)
                break;
        }
    }
}

static void expect_refusal(Fixture *f, uint64_t bytes, int code, const char *text)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(MemImage) before = mem_image_clone(f->bytes);
    g_assert_false(resize(f, bytes, &error));
    g_assert_error(error, VHD_ERROR, code);
    g_assert_nonnull(strstr(error->message, text));
    g_assert_true(mem_image_equal(before, f->bytes, NULL));
}

static void poke_footers(MemImage *bytes, unsigned at, uint8_t value)
{
    uint8_t raw[SECTOR];
    mem_image_read(bytes, 0, raw, SECTOR);
    raw[at] = value;
    be32_put(raw + VHD_FOOTER_AT_CHECKSUM, vhd_checksum(raw, SECTOR, VHD_FOOTER_AT_CHECKSUM));
    mem_image_write(bytes, 0, raw, SECTOR);
    mem_image_write(bytes, mem_image_bytes(bytes) - SECTOR, raw, SECTOR);
}

static void test_refusals(void)
{
    Fixture f;
    begin(&f, &(Change){.type = VHD_TYPE_DYNAMIC, .from = MIB});
    expect_refusal(&f, MIB + 1, VHD_ERROR_INVALID, "multiple of 512");
    expect_refusal(&f, 0, VHD_ERROR_INVALID, "multiple of 512");
    expect_refusal(&f, UINT64_C(1) << 42, VHD_ERROR_INVALID, "more than a VHD");
    poke_footers(f.bytes, 84, 1);
    expect_refusal(&f, 2 * MIB, VHD_ERROR_UNSUPPORTED, "saved state");
    teardown(&f);
    /* A fixed disk whose guest keeps an image at its very beginning. */
    begin(&f, &(Change){.type = VHD_TYPE_FIXED, .from = 64 * KIB});
    g_autoptr(MemImage) guest = make_image(VHD_TYPE_DYNAMIC, MIB, 0);
    uint8_t raw[SECTOR];
    mem_image_read(guest, 0, raw, SECTOR);
    mem_image_write(f.bytes, 0, raw, SECTOR);
    expect_refusal(&f, 128 * KIB, VHD_ERROR_UNSUPPORTED, "first sector");
    teardown(&f);
}

/* Footers that lie off their place, or have 511 bytes: never torn, never lost. */
static void test_odd_footers(void)
{
    static const struct {
        VhdType type;
        unsigned gap; /* in front of the footer */
        unsigned footer_bytes;
    } odd[] = {{VHD_TYPE_FIXED, 100, 512},     {VHD_TYPE_FIXED, 4096, 512},
               {VHD_TYPE_FIXED, 0, 511},       {VHD_TYPE_FIXED, 512, 511},
               {VHD_TYPE_DYNAMIC, 36, 512},    {VHD_TYPE_DYNAMIC, 0, 511},
               {VHD_TYPE_DIFFERENCING, 0, 511}};
    static const uint64_t sizes[] = {32 * KIB, 64 * KIB + 512, 68 * KIB, 100 * KIB};
    for (unsigned i = 0; i < G_N_ELEMENTS(odd) * G_N_ELEMENTS(sizes); i++) {
        unsigned kind = i / G_N_ELEMENTS(sizes);
        Change change = {
            .type = odd[kind].type, .from = 64 * KIB, .to = sizes[i % G_N_ELEMENTS(sizes)]};
        Again again = {.change = &change};
        uint8_t raw[SECTOR];
        Fixture f;
        begin(&f, &change);
        uint64_t footer_off = mem_image_bytes(f.bytes) - SECTOR;
        mem_image_read(f.bytes, footer_off, raw, SECTOR);
        mem_image_resize(f.bytes, footer_off);
        mem_image_resize(f.bytes, footer_off + odd[kind].gap);
        mem_image_write(f.bytes, footer_off + odd[kind].gap, raw, odd[kind].footer_bytes);
        PowerCut cut = {.base = mem_image_clone(f.bytes),
                        .trace = trace_new(),
                        .seeds = 4,
                        .before = disk_print(f.bytes),
                        .each = finish_it,
                        .data = &again};
        f.trace = trace_ref(cut.trace);
        resize_well(&f, change.to);
        cut.after = again.after = disk_print(f.bytes);
        power_cut_everywhere(&cut);
        mem_image_unref(cut.base);
        trace_unref(cut.trace);
        teardown(&f);
    }
}

/* What another writer left behind the disk's end in its last block does not appear. */
static void test_stale_tail(void)
{
    static const VhdType types[] = {VHD_TYPE_DYNAMIC, VHD_TYPE_DIFFERENCING};
    for (unsigned i = 0; i < G_N_ELEMENTS(types); i++) {
        Fixture f;
        uint8_t stale[SECTOR * 4];
        setup(&f, types[i], MIB - 2 * KIB, BLOCK);
        fill(&f, MIB - 2 * KIB);
        uint64_t data = ((uint64_t)vhd_image_bat_entry(f.image, 255) + 1 + 4) * SECTOR;
        g_clear_pointer(&f.image, vhd_image_unref);
        memset(stale, 0x77, sizeof stale);
        mem_image_write(f.bytes, data, stale, sizeof stale);
        g_autoptr(MemImage) before = mem_image_clone(f.bytes);
        resize_well(&f, 2 * MIB);
        compare_content(before, &f);
        teardown(&f);
    }
}

/* XenServer's batmap: carried, of the right size, its checksum right, true. */
static void test_batmap(void)
{
    Fixture f;
    uint8_t raw[VHD_BATMAP_BYTES], map[SECTOR] = {0};
    VhdBatmapHeader header = {.map_offset = 3072, .map_sectors = 1, .version = 0x00010002};
    begin(&f, &(Change){.type = VHD_TYPE_DYNAMIC, .from = MIB});
    poke_footers(f.bytes, 28, 't');
    poke_footers(f.bytes, 29, 'a');
    poke_footers(f.bytes, 30, 'p');
    poke_footers(f.bytes, 31, 0);
    poke_footers(f.bytes, 85, 1); /* hidden */
    map[0] = 0x80;                /* block 0 is full, and so is, for now, the last */
    map[31] = 0x01;
    header.checksum = vhd_checksum(map, sizeof map, SIZE_MAX);
    vhd_batmap_encode(&header, raw);
    mem_image_write(f.bytes, 1536 + 1024, raw, sizeof raw);
    mem_image_write(f.bytes, 3072, map, sizeof map);
    g_assert_cmpuint(count_findings(f.bytes, VHD_SEVERITY_WARNING), ==, 0);
    for (unsigned i = 0; i < 2; i++) {
        resize_well(&f, i == 0 ? 40 * MIB : MIB + 40 * KIB);
        VhdImageOptions options = {.writable = false};
        g_autoptr(VhdImage) image =
            vhd_image_open(mem_file_open(f.bytes, "a.vhd", false), &options, NULL);
        const VhdLayout *layout = vhd_image_layout(image);
        g_assert_cmpuint(layout->batmap_bytes, ==, i == 0 ? 3 * SECTOR : SECTOR);
        uint8_t bits[2];
        mem_image_read(f.bytes, layout->batmap_off, bits, 1);
        mem_image_read(f.bytes, layout->batmap_off + 31, bits + 1, 1);
        g_assert_cmpuint(bits[0], ==, 0x80);
        g_assert_cmpuint(bits[1], ==, 0);
        g_assert_cmpuint(vhd_image_footer(image)->reserved[0], ==, 1);
        g_assert_cmpuint(vhd_image_footer(image)->creator, ==, VHD_CREATOR_TAPDISK);
        g_assert_cmpuint(count_findings(f.bytes, VHD_SEVERITY_WARNING), ==, 0);
    }
    teardown(&f);
}

/* What shrinking would lose is found to the byte, in whichever layer. */
static void test_loses(void)
{
    Fixture child, parent;
    uint64_t off;
    setup(&parent, VHD_TYPE_DYNAMIC, MIB, BLOCK);
    setup(&child, VHD_TYPE_DIFFERENCING, MIB, BLOCK);
    uint8_t one = 1;
    g_assert_cmpint(write_sectors(parent.image, 100, 1, 0), ==, 0);
    g_assert_cmpint(write_sectors(parent.image, 1500, 1, 0x55), ==, 0);
    g_assert_cmpint(write_sectors(child.image, 1200, 1, 0), ==, 0);
    VhdImage *layers[] = {vhd_image_ref(child.image), vhd_image_ref(parent.image)};
    g_autoptr(VhdChain) chain = vhd_chain_new(layers, 2);
    g_assert_cmpint(vhd_op_resize_loses(chain, 512, &off, NULL, NULL), ==, 0);
    g_assert_cmpuint(off, ==, 1500 * SECTOR);
    g_assert_cmpint(vhd_op_resize_loses(chain, 1501 * SECTOR, &off, NULL, NULL), ==, 0);
    g_assert_cmpuint(off, ==, MIB);
    /* Hidden by the child, it is not lost. */
    g_assert_cmpint(vhd_image_write_zeroes(child.image, 1500, 1), ==, 0);
    g_assert_cmpint(vhd_op_resize_loses(chain, 0, &off, NULL, NULL), ==, 0);
    g_assert_cmpuint(off, ==, MIB);
    VhdImageExtent extent;
    g_assert_cmpint(vhd_image_map(child.image, 1500, 1, &extent), ==, 0);
    vhd_file_write(vhd_image_file(child.image), VHD_IO_DATA, extent.off + 511, &one, 1);
    g_assert_cmpint(vhd_op_resize_loses(chain, 0, &off, NULL, NULL), ==, 0);
    g_assert_cmpuint(off, ==, 1500 * SECTOR + 511);
    teardown(&child);
    teardown(&parent);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (unsigned i = 0; i < G_N_ELEMENTS(changes); i++) {
        const Change *change = &changes[i];
        const struct {
            const char *name;
            GTestDataFunc run;
        } tests[] = {{"change", test_change},
                     {"goes-on", test_goes_on},
                     {"power-cut", test_power_cut},
                     {"faults", test_faults}};
        for (unsigned k = 0; k < G_N_ELEMENTS(tests); k++) {
            g_autofree char *path =
                g_strdup_printf("/op-resize/%s/%s", tests[k].name, change->name);
            g_test_add_data_func(path, change, tests[k].run);
        }
        if (strstr(change->name, "grow-much"))
            g_test_add_data_func(change->type == VHD_TYPE_DYNAMIC ? "/op-resize/no-space/dynamic"
                                                                  : "/op-resize/no-space/child",
                                 change, test_no_space);
    }
    g_test_add_func("/op-resize/refusals", test_refusals);
    g_test_add_func("/op-resize/odd-footers", test_odd_footers);
    g_test_add_func("/op-resize/stale-tail", test_stale_tail);
    g_test_add_func("/op-resize/batmap", test_batmap);
    g_test_add_func("/op-resize/loses", test_loses);
    return g_test_run();
}
