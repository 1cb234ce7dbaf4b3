/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* compact: space goes back, the disk stays as it is, whenever the power fails. */
#include <errno.h>
#include <string.h>

#include "tests/unit/image-fixture.h"
#include "tests/unit/power-cut.h"
#include "vhd/check.h"
#include "vhd/error.h"
#include "vhd/op-compact.h"
#include "vhd/op-resize.h"

#define BLOCK         16384u
#define BLOCK_SECTORS (BLOCK / 512)
#define STRIDE        (BLOCK + 4096u) /* of blocks that were placed one behind the other */
#define BLOCKS        32u
#define DISK_BYTES    ((uint64_t)BLOCKS * BLOCK - 1024)

/* An image, and its parent where it is a child. */
typedef struct Family {
    Fixture image, parent;
    bool is_child;
} Family;

static void close_one(Fixture *f)
{
    g_assert_cmpint(vhd_image_finish(f->image), ==, 0);
    g_clear_pointer(&f->image, vhd_image_unref);
}

static void fill_block(VhdImage *image, uint32_t block, uint8_t byte)
{
    uint32_t sectors = block == BLOCKS - 1 ? BLOCK_SECTORS - 2 : BLOCK_SECTORS;
    g_assert_cmpint(write_sectors(image, block * BLOCK_SECTORS, sectors, byte), ==, 0);
}

/* Blocks in the order that this makes them: of each three one is needless, one is most zeros, one
 * is full; the last ones of the file are needed. */
static void begin(Family *family, VhdType type)
{
    *family = (Family){.is_child = type == VHD_TYPE_DIFFERENCING};
    setup(&family->image, type, DISK_BYTES, BLOCK);
    if (family->is_child) {
        setup(&family->parent, VHD_TYPE_DYNAMIC, DISK_BYTES - 9 * BLOCK, BLOCK);
        for (uint32_t i = 0; i < BLOCKS - 10; i += 2)
            fill_block(family->parent.image, i, 0x50);
        close_one(&family->parent);
    }
    for (uint32_t i = 0; i < BLOCKS - 1; i++) {
        uint32_t block = (i * 7 + 3) % (BLOCKS - 1); /* no order */
        bool in_parent = family->is_child && block % 2 == 0 && block < BLOCKS - 10;
        if (i % 3 == 0 && i < BLOCKS - 4)
            fill_block(family->image.image, block, in_parent ? 0x50 : 0);
        else if (i % 3 == 1) {
            fill_block(family->image.image, block, 0);
            g_assert_cmpint(write_sectors(family->image.image, block * BLOCK_SECTORS, 3, 7), ==, 0);
        } else
            fill_block(family->image.image, block, 9);
    }
    fill_block(family->image.image, BLOCKS - 1, 0x77);
    close_one(&family->image);
}

static void end(Family *family)
{
    teardown(&family->image);
    if (family->is_child)
        teardown(&family->parent);
}

static VhdImage *open_one(Fixture *f, bool writable)
{
    g_autoptr(GError) error = NULL;
    VhdImage *image = open_again(f, writable, NULL, &error);
    g_assert_no_error(error);
    return image;
}

static VhdChain *open_family(Family *family, bool writable)
{
    VhdImage *layers[2] = {open_one(&family->image, writable)};
    if (family->is_child)
        layers[1] = open_one(&family->parent, false);
    return vhd_chain_new(layers, family->is_child ? 2 : 1);
}

static DiskPrint print_family(Family *family)
{
    g_autoptr(VhdChain) chain = open_family(family, false);
    return chain_print(chain);
}

static bool drop(Family *family, GError **error)
{
    g_autoptr(VhdChain) chain = open_family(family, true);
    return vhd_op_compact_drop(chain, NULL, NULL, error);
}

static bool close_gaps(Family *family, GError **error)
{
    g_autoptr(VhdImage) image = open_one(&family->image, true);
    return vhd_op_compact_close_gaps(image, NULL, NULL, error);
}

static void compact_well(Family *family)
{
    g_autoptr(GError) error = NULL;
    g_assert_true(drop(family, &error) && close_gaps(family, &error));
    g_assert_no_error(error);
}

static uint32_t count_blocks(Family *family)
{
    g_autoptr(VhdImage) image = open_one(&family->image, false);
    uint32_t count = 0;
    for (uint32_t i = 0; i < vhd_image_layout(image)->blocks; i++)
        count += vhd_image_bat_entry(image, i) != VHD_BAT_UNUSED;
    return count;
}

/* The same disk in a file no longer than a new one with so many blocks. */
static void judge_compact(Family *family, const DiskPrint *before, uint32_t blocks)
{
    DiskPrint after = print_family(family);
    g_assert_true(disk_print_equal(before, &after));
    g_assert_cmpuint(count_blocks(family), ==, blocks);
    g_assert_cmpuint(count_findings(family->image.bytes, VHD_SEVERITY_WARNING), ==, 0);
    g_autoptr(MemImage) fresh =
        make_image(family->is_child ? VHD_TYPE_DIFFERENCING : VHD_TYPE_DYNAMIC, DISK_BYTES, BLOCK);
    g_assert_cmpuint(mem_image_bytes(family->image.bytes), <=,
                     mem_image_bytes(fresh) + (uint64_t)blocks * STRIDE);
    g_autoptr(MemImage) once = mem_image_clone(family->image.bytes);
    compact_well(family); /* again is nothing */
    g_assert_true(mem_image_equal(once, family->image.bytes, NULL));
}

static void test_compact(gconstpointer data)
{
    Family family;
    begin(&family, GPOINTER_TO_UINT(data));
    DiskPrint before = print_family(&family);
    uint32_t blocks = count_blocks(&family);
    uint64_t used = mem_image_used(family.image.bytes);
    compact_well(&family);
    judge_compact(&family, &before, BLOCKS - 10);
    g_assert_cmpuint(blocks, ==, BLOCKS);
    /* Ten blocks, and the zeros of ten others, all but the first of four pages. */
    g_assert_cmpuint(mem_image_used(family.image.bytes) + 10 * STRIDE + 10 * 3 * 4096, <=, used);
    end(&family);
}

/* A block table that grew to the end of the file comes forward with the end. */
static void test_table_behind(void)
{
    g_autoptr(GError) error = NULL;
    Family family;
    begin(&family, VHD_TYPE_DYNAMIC);
    VhdImage *image = open_one(&family.image, true);
    g_assert_true(vhd_op_resize(image, 64 * MIB, &error));
    vhd_image_unref(image);
    DiskPrint before = print_family(&family);
    compact_well(&family);
    DiskPrint after = print_family(&family);
    g_assert_true(disk_print_equal(&before, &after));
    g_assert_cmpuint(count_findings(family.image.bytes, VHD_SEVERITY_WARNING), ==, 0);
    /* The table of 4096 blocks, and the page in front of the blocks. */
    g_assert_cmpuint(mem_image_bytes(family.image.bytes), <=,
                     (BLOCKS - 10) * STRIDE + 16384 + 3 * 4096);
    g_autoptr(MemImage) once = mem_image_clone(family.image.bytes);
    compact_well(&family);
    g_assert_true(mem_image_equal(once, family.image.bytes, NULL));
    end(&family);
}

/* Blocks that nothing names go, between the others and at the end. */
static void test_leaks(void)
{
    Family family;
    uint8_t lost[BLOCK];
    begin(&family, VHD_TYPE_DYNAMIC);
    DiskPrint before = print_family(&family);
    memset(lost, 0xEE, sizeof lost);
    uint64_t bytes = mem_image_bytes(family.image.bytes);
    uint8_t footer[512];
    mem_image_read(family.image.bytes, bytes - 512, footer, 512);
    mem_image_write(family.image.bytes, bytes, lost, sizeof lost);
    mem_image_write(family.image.bytes, bytes + sizeof lost, lost, 4096 - 512);
    mem_image_write(family.image.bytes, mem_image_bytes(family.image.bytes), footer, 512);
    g_assert_cmpuint(count_findings(family.image.bytes, VHD_SEVERITY_LEAK), >, 0);
    compact_well(&family);
    judge_compact(&family, &before, BLOCKS - 10);
    end(&family);
}

static void test_fixed(void)
{
    Family family = {.is_child = false};
    setup(&family.image, VHD_TYPE_FIXED, DISK_BYTES, 0);
    fill_block(family.image.image, 3, 0);
    fill_block(family.image.image, 5, 5);
    fill_block(family.image.image, 9, 0);
    close_one(&family.image);
    DiskPrint before = print_family(&family);
    g_autoptr(MemImage) bytes = mem_image_clone(family.image.bytes);
    compact_well(&family);
    DiskPrint after = print_family(&family);
    g_assert_true(disk_print_equal(&before, &after));
    g_assert_true(mem_image_equal(bytes, family.image.bytes, NULL));
    g_assert_cmpuint(mem_image_used(family.image.bytes) + 2 * BLOCK, <=, mem_image_used(bytes));
    end(&family);
}

static DiskPrint print_bytes(MemImage *bytes, void *data)
{
    Family family = *(Family *)data;
    family.image = (Fixture){.bytes = bytes, .faults = family.image.faults};
    return print_family(&family);
}

static void finish_it(MemImage *bytes, void *data)
{
    Family again = *(Family *)data;
    g_autoptr(MemImage) copy = mem_image_clone(bytes);
    again.image = (Fixture){.bytes = copy, .faults = again.image.faults};
    DiskPrint before = print_family(&again);
    compact_well(&again);
    judge_compact(&again, &before, BLOCKS - 10);
}

static void cut_one(Family *family, bool (*change)(Family *family, GError **error))
{
    g_autoptr(GError) error = NULL;
    PowerCut cut = {.base = mem_image_clone(family->image.bytes),
                    .trace = trace_new(),
                    .seeds = 3,
                    .print = print_bytes,
                    .each = finish_it,
                    .data = family};
    cut.before = cut.after = print_family(family);
    family->image.trace = trace_ref(cut.trace);
    g_assert_true(change(family, &error));
    g_clear_pointer(&family->image.trace, trace_unref);
    g_assert_cmpuint(trace_length(cut.trace), >, 0);
    power_cut_everywhere(&cut);
    mem_image_unref(cut.base);
    trace_unref(cut.trace);
}

static void test_power_cut(gconstpointer data)
{
    Family family;
    begin(&family, GPOINTER_TO_UINT(data));
    cut_one(&family, drop);
    cut_one(&family, close_gaps);
    end(&family);
}

static void test_faults(void)
{
    static const FileOp ops[] = {FILE_OP_WRITE, FILE_OP_BARRIER, FILE_OP_PUNCH, FILE_OP_READ,
                                 FILE_OP_RESIZE};
    for (unsigned i = 0; i < G_N_ELEMENTS(ops); i++) {
        for (unsigned nth = 1, failed = 1; failed; nth += 1 + nth / 5) {
            g_autoptr(GError) error = NULL;
            Family family;
            begin(&family, VHD_TYPE_DYNAMIC);
            DiskPrint before = print_family(&family);
            VhdImage *image = open_one(&family.image, true);
            g_autoptr(VhdChain) chain = vhd_chain_new(&image, 1);
            faults_fail(family.image.faults, ops[i], FILE_KIND_ANY, nth, EIO);
            if (vhd_op_compact_drop(chain, NULL, NULL, &error)) {
                g_clear_pointer(&chain, vhd_chain_free);
                g_autoptr(VhdImage) again = open_again(&family.image, true, NULL, &error);
                if (again)
                    vhd_op_compact_close_gaps(again, NULL, NULL, &error);
            }
            failed = faults_failed(family.image.faults) > 0;
            faults_clear(family.image.faults);
            DiskPrint after = print_family(&family);
            g_assert_true(disk_print_equal(&before, &after));
            g_assert_cmpuint(count_findings(family.image.bytes, VHD_SEVERITY_ERROR), ==, 0);
            compact_well(&family);
            judge_compact(&family, &before, BLOCKS - 10);
            end(&family);
        }
    }
}

static bool at_once(void *data, double part)
{
    (void)data;
    (void)part;
    return true;
}

static void test_stop(void)
{
    g_autoptr(GError) error = NULL;
    Family family;
    begin(&family, VHD_TYPE_DYNAMIC);
    g_autoptr(MemImage) before = mem_image_clone(family.image.bytes);
    VhdImage *image = open_one(&family.image, true);
    g_autoptr(VhdChain) chain = vhd_chain_new(&image, 1);
    g_assert_false(vhd_op_compact_drop(chain, at_once, NULL, &error));
    g_assert_error(error, VHD_ERROR, VHD_ERROR_INVALID);
    g_assert_nonnull(strstr(error->message, "interrupted"));
    g_assert_true(mem_image_equal(before, family.image.bytes, NULL));
    end(&family);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    static const struct {
        const char *name;
        VhdType type;
    } types[] = {{"dynamic", VHD_TYPE_DYNAMIC}, {"child", VHD_TYPE_DIFFERENCING}};
    for (unsigned i = 0; i < G_N_ELEMENTS(types); i++) {
        g_autofree char *compact = g_strdup_printf("/op-compact/compact/%s", types[i].name);
        g_autofree char *cut = g_strdup_printf("/op-compact/power-cut/%s", types[i].name);
        g_test_add_data_func(compact, GUINT_TO_POINTER(types[i].type), test_compact);
        g_test_add_data_func(cut, GUINT_TO_POINTER(types[i].type), test_power_cut);
    }
    g_test_add_func("/op-compact/table-behind", test_table_behind);
    g_test_add_func("/op-compact/leaks", test_leaks);
    g_test_add_func("/op-compact/fixed", test_fixed);
    g_test_add_func("/op-compact/faults", test_faults);
    g_test_add_func("/op-compact/stop", test_stop);
    return g_test_run();
}
