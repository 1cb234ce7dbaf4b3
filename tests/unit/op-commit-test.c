/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* commit: the ancestor gets what the child shows; the child shows the same whenever the power
 * fails, and nothing of it is given up before the ancestor has it. */
#include <errno.h>
#include <string.h>

#include "tests/unit/image-fixture.h"
#include "tests/unit/power-cut.h"
#include "vhd/check.h"
#include "vhd/error.h"
#include "vhd/op-commit.h"
#include "vhd/op-rebase.h"

#define BLOCK   4096u
#define SECTORS (256u << 10 >> 9)

/* The child over one in between over the target; what a target that is a child itself does not
 * hold reads as zeros here. */
typedef struct Family {
    Fixture child, mid, target;
} Family;

static void close_one(Fixture *f)
{
    g_assert_cmpint(vhd_image_finish(f->image), ==, 0);
    g_clear_pointer(&f->image, vhd_image_unref);
}

/* Absent, zeros, or a byte. */
static void put(VhdImage *image, uint32_t sector, unsigned what)
{
    if (sector >= vhd_image_sectors(image))
        return;
    if (what == 1)
        g_assert_cmpint(vhd_image_write_zeroes(image, sector, 1), ==, 0);
    if (what > 1)
        g_assert_cmpint(write_sectors(image, sector, 1, (uint8_t)what), ==, 0);
}

/* Every combination of the four in the three. */
static void begin(Family *family, VhdType type, uint32_t target_sectors)
{
    setup(&family->child, VHD_TYPE_DIFFERENCING, SECTORS * 512, BLOCK);
    setup(&family->mid, VHD_TYPE_DIFFERENCING, SECTORS * 512, BLOCK);
    setup(&family->target, type, target_sectors * 512ull, 2 * BLOCK);
    for (uint32_t i = 0; i < SECTORS; i += 3) {
        unsigned mixed = i / 3;
        put(family->child.image, i, mixed % 4);
        put(family->mid.image, i, mixed / 4 % 4);
        put(family->target.image, i, mixed / 16 % 4);
    }
    put(family->child.image, SECTORS - 1, 9);
    close_one(&family->child);
    close_one(&family->mid);
    close_one(&family->target);
}

static void end(Family *family)
{
    teardown(&family->child);
    teardown(&family->mid);
    teardown(&family->target);
}

static VhdImage *open_one(Fixture *f, bool writable)
{
    g_autoptr(GError) error = NULL;
    VhdImage *image = open_again(f, writable, NULL, &error);
    g_assert_no_error(error);
    return image;
}

static VhdChain *open_all(Family *family, bool writable, VhdChain **target)
{
    VhdImage *layers[] = {open_one(&family->child, writable), open_one(&family->mid, false),
                          open_one(&family->target, writable)};
    if (target) {
        vhd_image_ref(layers[2]);
        *target = vhd_chain_new(layers + 2, 1);
    }
    return vhd_chain_new(layers, 3);
}

static DiskPrint print_all(Family *family)
{
    g_autoptr(VhdChain) chain = open_all(family, false, NULL);
    return chain_print(chain);
}

static DiskPrint print_target(MemImage *bytes, Family *family)
{
    Fixture f = {.bytes = bytes, .faults = family->target.faults};
    VhdImage *image = open_one(&f, false);
    g_autoptr(VhdChain) chain = vhd_chain_new(&image, 1);
    return chain_print(chain);
}

static bool never(void *data, double part)
{
    (void)data;
    g_assert_cmpfloat(part, <=, 1);
    return false;
}

static uint64_t commit_well(Family *family)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VhdChain) target = NULL;
    g_autoptr(VhdChain) child = open_all(family, true, &target);
    uint64_t written;
    g_assert_true(vhd_op_commit(child, target, never, NULL, &written, &error));
    g_assert_no_error(error);
    return written;
}

static void empty_child(Family *family)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VhdImage) image = open_one(&family->child, true);
    VhdParentLink link = {
        .uuid = "target", .name = "t.vhd", .relative = "t.vhd", .absolute = "/srv/t.vhd"};
    g_assert_true(vhd_op_relink(image, &link, true, &error));
    g_assert_no_error(error);
}

static void judge_empty(Family *family)
{
    g_autoptr(VhdImage) image = open_one(&family->child, false);
    VhdImageExtent extent;
    g_assert_cmpint(vhd_image_map(image, 0, SECTORS, &extent), ==, 0);
    g_assert_cmpint(extent.presence, ==, VHD_ABSENT);
    g_assert_cmpuint(extent.sectors, ==, SECTORS);
    g_assert_cmpmem(vhd_image_header(image)->parent_uuid, 6, "target", 6);
    g_autoptr(MemImage) fresh = make_image(VHD_TYPE_DIFFERENCING, SECTORS * 512, BLOCK);
    g_assert_cmpuint(mem_image_bytes(family->child.bytes), ==, mem_image_bytes(fresh));
}

static void test_commit(gconstpointer data)
{
    const VhdType type = GPOINTER_TO_UINT(data);
    Family family;
    begin(&family, type, SECTORS);
    DiskPrint before = print_all(&family);
    DiskPrint target = print_target(family.target.bytes, &family);
    g_assert_false(disk_print_equal(&before, &target));
    g_assert_cmpuint(commit_well(&family), >, 0);
    DiskPrint after = print_all(&family);
    target = print_target(family.target.bytes, &family);
    g_assert_true(disk_print_equal(&before, &after));
    g_assert_true(disk_print_equal(&before, &target));
    g_assert_cmpuint(commit_well(&family), ==, 0); /* nothing differs any more */
    empty_child(&family);
    judge_empty(&family);
    g_assert_cmpuint(count_findings(family.child.bytes, VHD_SEVERITY_WARNING), ==, 0);
    g_assert_cmpuint(count_findings(family.target.bytes, VHD_SEVERITY_WARNING), ==, 0);
    end(&family);
}

/* A larger target keeps what lies behind the child's end. */
static void test_larger_target(void)
{
    Family family;
    begin(&family, VHD_TYPE_DYNAMIC, SECTORS + 64);
    family.target.image = open_one(&family.target, true);
    put(family.target.image, SECTORS + 63, 7);
    put(family.target.image, SECTORS, 8);
    close_one(&family.target);
    DiskPrint before = print_all(&family);
    commit_well(&family);
    DiskPrint after = print_all(&family);
    g_assert_true(disk_print_equal(&before, &after));
    family.target.image = open_one(&family.target, false);
    g_assert_cmpint(sector_byte(family.target.image, SECTORS + 63), ==, 7);
    g_assert_cmpint(sector_byte(family.target.image, SECTORS), ==, 8);
    end(&family);
}

/* Only what differs is written. */
static void test_writes_no_more(void)
{
    Family family;
    setup(&family.child, VHD_TYPE_DIFFERENCING, SECTORS * 512, BLOCK);
    setup(&family.mid, VHD_TYPE_DIFFERENCING, SECTORS * 512, BLOCK);
    setup(&family.target, VHD_TYPE_DYNAMIC, SECTORS * 512, BLOCK);
    write_sectors(family.target.image, 100, 20, 5);
    write_sectors(family.child.image, 100, 20, 5);
    write_sectors(family.child.image, 110, 2, 6);
    write_sectors(family.child.image, 300, 8, 0);
    close_one(&family.child);
    close_one(&family.mid);
    close_one(&family.target);
    g_assert_cmpuint(commit_well(&family), ==, 2 * 512);
    end(&family);
}

static DiskPrint print_over(MemImage *bytes, void *data)
{
    Family family = *(Family *)data;
    family.target = (Fixture){.bytes = bytes, .faults = family.target.faults};
    return print_all(&family);
}

static void finish_it(MemImage *bytes, void *data)
{
    Family again = *(Family *)data;
    g_autoptr(MemImage) copy = mem_image_clone(bytes);
    again.target = (Fixture){.bytes = copy, .faults = again.target.faults};
    DiskPrint before = print_all(&again);
    commit_well(&again);
    DiskPrint after = print_target(copy, &again);
    g_assert_true(disk_print_equal(&before, &after));
    g_assert_cmpuint(count_findings(copy, VHD_SEVERITY_ERROR), ==, 0);
}

static void test_power_cut(gconstpointer data)
{
    const VhdType type = GPOINTER_TO_UINT(data);
    Family family;
    begin(&family, type, SECTORS);
    PowerCut cut = {.base = mem_image_clone(family.target.bytes),
                    .trace = trace_new(),
                    .seeds = 2,
                    .print = print_over,
                    .each = finish_it,
                    .data = &family};
    cut.before = cut.after = print_all(&family);
    family.target.trace = trace_ref(cut.trace);
    commit_well(&family);
    g_clear_pointer(&family.target.trace, trace_unref);
    power_cut_everywhere(&cut);
    /* What commit returned from is durable, whatever was not covered by a barrier. */
    g_autoptr(MemImage) durable =
        trace_rebuild(cut.trace, 0, cut.base, trace_now(cut.trace), trace_choose_none, NULL);
    DiskPrint target = print_target(durable, &family);
    g_assert_true(disk_print_equal(&target, &cut.before));
    mem_image_unref(cut.base);
    trace_unref(cut.trace);
    end(&family);
}

/* The child over its merged target: emptied or not, it shows the same. */
static DiskPrint print_emptied(MemImage *bytes, void *data)
{
    Family family = *(Family *)data;
    family.child = (Fixture){.bytes = bytes, .faults = family.child.faults};
    VhdImage *child = open_one(&family.child, false);
    if (memcmp(vhd_image_header(child)->parent_uuid, "target", 6) == 0) {
        VhdImage *layers[] = {child, open_one(&family.target, false)};
        g_autoptr(VhdChain) chain = vhd_chain_new(layers, 2);
        return chain_print(chain);
    }
    vhd_image_unref(child);
    return print_all(&family);
}

static void test_power_cut_emptying(void)
{
    Family family;
    begin(&family, VHD_TYPE_DYNAMIC, SECTORS);
    commit_well(&family);
    PowerCut cut = {.base = mem_image_clone(family.child.bytes),
                    .trace = trace_new(),
                    .seeds = 8,
                    .print = print_emptied,
                    .data = &family};
    cut.before = cut.after = print_all(&family);
    family.child.trace = trace_ref(cut.trace);
    empty_child(&family);
    g_clear_pointer(&family.child.trace, trace_unref);
    power_cut_everywhere(&cut);
    mem_image_unref(cut.base);
    trace_unref(cut.trace);
    end(&family);
}

/* Every operation on the target fails in turn: the child shows the same, and the next try ends
 * well. */
static void test_faults(void)
{
    static const FileOp ops[] = {FILE_OP_WRITE, FILE_OP_BARRIER, FILE_OP_CLAIM, FILE_OP_PUNCH,
                                 FILE_OP_READ};
    for (unsigned i = 0; i < G_N_ELEMENTS(ops); i++) {
        for (unsigned nth = 1;; nth += 1 + nth / 8) {
            g_autoptr(GError) error = NULL;
            Family family;
            begin(&family, VHD_TYPE_DYNAMIC, SECTORS);
            DiskPrint before = print_all(&family);
            g_autoptr(VhdChain) target = NULL;
            g_autoptr(VhdChain) child = open_all(&family, true, &target);
            faults_fail(family.target.faults, ops[i], FILE_KIND_ANY, nth, EIO);
            bool done = vhd_op_commit(child, target, NULL, NULL, NULL, &error);
            bool failed = faults_failed(family.target.faults) > 0;
            g_clear_pointer(&child, vhd_chain_free);
            g_clear_pointer(&target, vhd_chain_free);
            faults_clear(family.target.faults);
            g_assert_true(done || error);
            DiskPrint after = print_all(&family);
            g_assert_true(disk_print_equal(&before, &after));
            commit_well(&family);
            after = print_target(family.target.bytes, &family);
            g_assert_true(disk_print_equal(&before, &after));
            end(&family);
            if (!failed)
                break;
        }
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    static const struct {
        const char *name;
        VhdType type;
    } types[] = {
        {"fixed", VHD_TYPE_FIXED}, {"dynamic", VHD_TYPE_DYNAMIC}, {"child", VHD_TYPE_DIFFERENCING}};
    for (unsigned i = 0; i < G_N_ELEMENTS(types); i++) {
        g_autofree char *into = g_strdup_printf("/op-commit/into/%s", types[i].name);
        g_autofree char *cut = g_strdup_printf("/op-commit/power-cut/%s", types[i].name);
        g_test_add_data_func(into, GUINT_TO_POINTER(types[i].type), test_commit);
        g_test_add_data_func(cut, GUINT_TO_POINTER(types[i].type), test_power_cut);
    }
    g_test_add_func("/op-commit/larger-target", test_larger_target);
    g_test_add_func("/op-commit/writes-no-more", test_writes_no_more);
    g_test_add_func("/op-commit/power-cut/emptying", test_power_cut_emptying);
    g_test_add_func("/op-commit/faults", test_faults);
    return g_test_run();
}
