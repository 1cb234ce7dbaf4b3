/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* rebase: a child shows what it showed, whenever the power fails, and names its new parent. */
#include <string.h>

#include "tests/unit/image-fixture.h"
#include "tests/unit/power-cut.h"
#include "vhd/check.h"
#include "vhd/error.h"
#include "vhd/locator.h"
#include "vhd/op-rebase.h"

#define BLOCK   4096u
#define SECTORS (256u << 10 >> 9) /* of the child's disk */

/* A child over an old parent, and one that it shall get. */
typedef struct Family {
    Fixture child, old, new;
    char *long_path; /* that fits in no place of a short one */
} Family;

static void close_one(Fixture *f)
{
    g_assert_cmpint(vhd_image_finish(f->image), ==, 0);
    g_clear_pointer(&f->image, vhd_image_unref);
}

/* Every combination of zero, one and another byte in child, old and new parent, which ends
 * earlier or later than the child. */
static void begin(Family *family, VhdType new_type, uint32_t new_sectors)
{
    setup(&family->child, VHD_TYPE_DIFFERENCING, SECTORS * 512, BLOCK);
    setup(&family->old, VHD_TYPE_DYNAMIC, SECTORS * 512, BLOCK);
    setup(&family->new, new_type, new_sectors * 512ull, 2 * BLOCK);
    for (uint32_t i = 0; i < SECTORS; i += 7) {
        unsigned mixed = i / 7;
        if (mixed % 3)
            write_sectors(family->old.image, i, 1, (uint8_t)(mixed % 3));
        if (mixed / 3 % 3 && i < new_sectors)
            write_sectors(family->new.image, i, 1, (uint8_t)(mixed / 3 % 3));
        if (mixed / 9 % 3 == 1)
            write_sectors(family->child.image, i, 1, 0x99);
        if (mixed / 9 % 3 == 2)
            vhd_image_write_zeroes(family->child.image, i, 1);
    }
    close_one(&family->child);
    close_one(&family->old);
    close_one(&family->new);
    family->long_path = g_strdup_printf("/%0*d/new.vhd", 5000, 0);
}

static void end(Family *family)
{
    teardown(&family->child);
    teardown(&family->old);
    teardown(&family->new);
    g_free(family->long_path);
}

static VhdImage *open_one(Fixture *f, bool writable)
{
    g_autoptr(GError) error = NULL;
    VhdImage *image = open_again(f, writable, NULL, &error);
    g_assert_no_error(error);
    return image;
}

static VhdChain *chain_over(VhdImage *child, Fixture *parent)
{
    VhdImage *layers[] = {child, open_one(parent, false)};
    return vhd_chain_new(layers, 2);
}

/* What the child in bytes shows over the parent that its uuid names. */
static DiskPrint print_child(MemImage *bytes, void *data)
{
    Family *family = data;
    Fixture f = {.bytes = bytes, .faults = family->child.faults};
    VhdImage *child = open_one(&f, false);
    bool is_new = memcmp(vhd_image_header(child)->parent_uuid, "new", 3) == 0;
    g_autoptr(VhdChain) chain = chain_over(child, is_new ? &family->new : &family->old);
    return chain_print(chain);
}

static bool never(void *data, double part)
{
    (void)data;
    g_assert_cmpfloat(part, <=, 1);
    return false;
}

static bool rebase(Family *family, const char *path, GError **error)
{
    VhdParentLink link = {
        .uuid = "new", .time_stamp = 77, .name = "new.vhd", .relative = path + 1, .absolute = path};
    g_autoptr(VhdChain) child = chain_over(open_one(&family->child, true), &family->old);
    VhdImage *parent = open_one(&family->new, false);
    g_autoptr(VhdChain) chain = vhd_chain_new(&parent, 1);
    return vhd_op_rebase_copy(child, chain, never, NULL, NULL, error) &&
           vhd_op_relink(vhd_chain_layer(child, 0), &link, false, error);
}

static void rebase_well(Family *family, const char *path)
{
    g_autoptr(GError) error = NULL;
    g_assert_true(rebase(family, path, &error));
    g_assert_no_error(error);
}

static void judge_locator(VhdImage *image, unsigned slot, uint32_t platform, const char *path)
{
    size_t len;
    g_autofree uint8_t *bytes = vhd_image_read_locator(image, slot, &len, NULL);
    g_assert_cmphex(vhd_image_header(image)->locators[slot].platform, ==, platform);
    g_autofree char *text = vhd_locator_decode(platform, bytes, len);
    g_assert_true(g_str_has_suffix(text, path));
}

static void judge_link(Family *family, const char *path)
{
    g_autoptr(VhdImage) image = open_one(&family->child, false);
    const VhdHeader *header = vhd_image_header(image);
    g_autofree char *name = vhd_parent_name_decode(header->parent_name);
    g_assert_cmpstr(name, ==, "new.vhd");
    g_assert_cmpuint(header->parent_time_stamp, ==, 77);
    judge_locator(image, 0, VHD_PLATFORM_W2KU, path);
    judge_locator(image, 1, VHD_PLATFORM_W2RU, path);
    for (unsigned i = 2; i < VHD_LOCATORS; i++)
        g_assert_cmphex(header->locators[i].platform, ==, 0);
    g_assert_cmpuint(vhd_image_layout(image)->header_off, ==, 512);
    g_assert_cmpuint(count_findings(family->child.bytes, VHD_SEVERITY_WARNING), ==, 0);
}

static void test_rebase(gconstpointer data)
{
    const VhdType type = GPOINTER_TO_UINT(data);
    static const uint32_t sectors[] = {SECTORS - 100, SECTORS, SECTORS + 100};
    for (unsigned i = 0; i < G_N_ELEMENTS(sectors); i++) {
        Family family;
        begin(&family, type, sectors[i]);
        DiskPrint before = print_child(family.child.bytes, &family);
        uint64_t bytes = mem_image_bytes(family.child.bytes);
        rebase_well(&family, "/srv/new.vhd");
        DiskPrint after = print_child(family.child.bytes, &family);
        g_assert_true(disk_print_equal(&before, &after));
        judge_link(&family, "/srv/new.vhd");
        g_assert_cmpuint(mem_image_bytes(family.child.bytes), >, bytes);
        end(&family);
    }
}

/* Names that do not fit where the old ones were, and back: no leak remains. */
static void test_long_names(void)
{
    Family family;
    begin(&family, VHD_TYPE_DYNAMIC, SECTORS);
    DiskPrint before = print_child(family.child.bytes, &family);
    const char *paths[] = {"/srv/new.vhd", family.long_path, "/srv/new.vhd"};
    for (unsigned i = 0; i < G_N_ELEMENTS(paths); i++) {
        rebase_well(&family, paths[i]);
        DiskPrint after = print_child(family.child.bytes, &family);
        g_assert_true(disk_print_equal(&before, &after));
        judge_link(&family, paths[i]);
    }
    end(&family);
}

/* Without a block the locators are the last thing in the file. */
static void test_empty_child(void)
{
    Family family;
    begin(&family, VHD_TYPE_DYNAMIC, SECTORS);
    teardown(&family.child);
    setup(&family.child, VHD_TYPE_DIFFERENCING, SECTORS * 512, BLOCK);
    close_one(&family.child);
    mem_image_unref(family.new.bytes);
    family.new.bytes = mem_image_clone(family.old.bytes);
    DiskPrint before = print_child(family.child.bytes, &family);
    uint64_t bytes = mem_image_bytes(family.child.bytes);
    const char *paths[] = {"/srv/new.vhd", family.long_path, family.long_path, "/srv/new.vhd"};
    for (unsigned i = 0; i < G_N_ELEMENTS(paths); i++) {
        rebase_well(&family, paths[i]);
        DiskPrint after = print_child(family.child.bytes, &family);
        g_assert_true(disk_print_equal(&before, &after));
        judge_link(&family, paths[i]);
        if (i == 0)
            g_assert_cmpuint(mem_image_bytes(family.child.bytes), ==, bytes);
    }
    end(&family);
}

/* Nothing is copied that the new parent shows, too. */
static void test_copies_no_more(void)
{
    Family family;
    uint64_t copied;
    g_autoptr(GError) error = NULL;
    begin(&family, VHD_TYPE_DYNAMIC, SECTORS);
    mem_image_unref(family.new.bytes);
    family.new.bytes = mem_image_clone(family.old.bytes);
    mem_image_set_inode(family.new.bytes, 1); /* another file, though a copy */
    family.new.image = open_one(&family.new, true);
    write_sectors(family.new.image, 200, 3, 0xAB);
    close_one(&family.new);
    g_autoptr(VhdChain) child = chain_over(open_one(&family.child, true), &family.old);
    VhdImage *parent = open_one(&family.new, false);
    g_autoptr(VhdChain) chain = vhd_chain_new(&parent, 1);
    g_assert_true(vhd_op_rebase_copy(child, chain, NULL, NULL, &copied, &error));
    /* Of the three, those that the child itself does not hold. */
    VhdImageExtent extent;
    g_assert_cmpint(vhd_image_map(vhd_chain_layer(child, 0), 200, 3, &extent), ==, 0);
    g_assert_cmpint(extent.presence, ==, VHD_DATA);
    g_assert_cmpuint(copied, >=, 2 * 512);
    g_assert_cmpuint(copied, <=, 3 * 512);
    end(&family);
}

static void finish_it(MemImage *bytes, void *data)
{
    Family again = *(Family *)data;
    DiskPrint before = print_child(bytes, &again);
    again.child = (Fixture){.bytes = mem_image_clone(bytes), .faults = again.child.faults};
    g_autoptr(VhdImage) image = open_one(&again.child, false);
    if (memcmp(vhd_image_header(image)->parent_uuid, "new", 3) == 0)
        again.old = again.new; /* opening finds the new one then */
    rebase_well(&again, "/srv/new.vhd");
    DiskPrint after = print_child(again.child.bytes, &again);
    g_assert_true(disk_print_equal(&before, &after));
    mem_image_unref(again.child.bytes);
}

static void test_power_cut(gconstpointer data)
{
    bool long_name = GPOINTER_TO_UINT(data);
    Family family;
    begin(&family, VHD_TYPE_DYNAMIC, SECTORS - 10);
    PowerCut cut = {.base = mem_image_clone(family.child.bytes),
                    .trace = trace_new(),
                    .seeds = 2,
                    .print = print_child,
                    .each = finish_it,
                    .data = &family};
    cut.before = cut.after = print_child(cut.base, &family);
    family.child.trace = trace_ref(cut.trace);
    rebase_well(&family, long_name ? family.long_path : "/srv/new.vhd");
    g_clear_pointer(&family.child.trace, trace_unref);
    power_cut_everywhere(&cut);
    mem_image_unref(cut.base);
    trace_unref(cut.trace);
    end(&family);
}

static bool at_once(void *data, double part)
{
    (void)data;
    (void)part;
    return true;
}

static void test_refusals(void)
{
    Family family;
    g_autoptr(GError) error = NULL;
    begin(&family, VHD_TYPE_DYNAMIC, SECTORS);
    g_assert_false(rebase(&family, "/a\\b/new.vhd", &error));
    g_assert_error(error, VHD_ERROR, VHD_ERROR_INVALID);
    g_clear_error(&error);
    g_autoptr(VhdChain) child = chain_over(open_one(&family.child, true), &family.old);
    VhdImage *parent = open_one(&family.new, false);
    g_autoptr(VhdChain) chain = vhd_chain_new(&parent, 1);
    g_assert_false(vhd_op_rebase_copy(child, chain, at_once, NULL, NULL, &error));
    g_assert_error(error, VHD_ERROR, VHD_ERROR_INVALID);
    g_assert_nonnull(strstr(error->message, "interrupted"));
    end(&family);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_data_func("/op-rebase/onto-dynamic", GUINT_TO_POINTER(VHD_TYPE_DYNAMIC),
                         test_rebase);
    g_test_add_data_func("/op-rebase/onto-fixed", GUINT_TO_POINTER(VHD_TYPE_FIXED), test_rebase);
    g_test_add_func("/op-rebase/long-names", test_long_names);
    g_test_add_func("/op-rebase/empty-child", test_empty_child);
    g_test_add_func("/op-rebase/copies-no-more", test_copies_no_more);
    g_test_add_data_func("/op-rebase/power-cut/short", GUINT_TO_POINTER(0), test_power_cut);
    g_test_add_data_func("/op-rebase/power-cut/long", GUINT_TO_POINTER(1), test_power_cut);
    g_test_add_func("/op-rebase/refusals", test_refusals);
    return g_test_run();
}
