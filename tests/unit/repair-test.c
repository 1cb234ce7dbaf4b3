/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* One damage at a time: planned for without a change, mended, clean, the guest's data there, and
 * undone to the last byte. */
#include <errno.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <string.h>

#include "tests/support/fault-file.h"
#include "tests/unit/repair-damage.h"
#include "vhd/error.h"
#include "vhd/image-create.h"
#include "vhd/image.h"
#include "vhd/locator.h"

static void assert_equal(const char *name, MemImage *a, MemImage *b)
{
    uint64_t off = 0;

    if (!mem_image_equal(a, b, &off))
        g_error("%s: differs from offset %" G_GUINT64_FORMAT " on", name, off);
}

static VhdRepair *plan(VhdFile *file, const VhdRepairOptions *options)
{
    g_autoptr(GError) error = NULL;
    VhdRepair *repair = vhd_repair_plan(file, options, &error);

    g_assert_no_error(error);
    return repair;
}

/* Mend bytes; the undo file's bytes are returned. */
static MemImage *mend(MemImage *bytes, const VhdRepairOptions *options)
{
    MemImage *saved = mem_image_new();
    g_autoptr(VhdFile) file = mem_file_open(bytes, "a.vhd", true);
    g_autoptr(VhdFile) undo = mem_file_open(saved, "a.vhd.undo", true);
    g_autoptr(VhdRepair) repair = plan(file, options);
    g_autoptr(GError) error = NULL;
    bool restored;

    g_assert_true(vhd_repair_apply(repair, undo, &restored, &error));
    g_assert_no_error(error);
    return saved;
}

static bool restore(MemImage *bytes, MemImage *saved, GError **error)
{
    g_autoptr(VhdFile) file = mem_file_open(bytes, "a.vhd", true);
    g_autoptr(VhdFile) undo = mem_file_open(saved, "a.vhd.undo", true);

    return vhd_undo_restore(file, undo, error);
}

typedef struct Seen {
    VhdFindingCode code;
    bool repairable, asks;
} Seen;

static void look(void *data, const VhdFinding *finding)
{
    Seen *seen = data;

    if (finding->code != seen->code)
        return;
    seen->repairable = seen->repairable || finding->repairable;
    seen->asks = seen->asks || finding->asks;
}

/* Check says of the damage that repair mends it, or that it asks. */
static void assert_announced(const Damage *damage, MemImage *bytes)
{
    Seen seen = {.code = damage->code};
    VhdCheckOptions options = {.report = look, .data = &seen, .pending_dir = DAMAGE_NO_PENDING};
    g_autoptr(VhdFile) file = mem_file_open(bytes, "a.vhd", false);
    VhdCheckResult result;

    g_assert_true(vhd_check_image(file, 0, &options, &result, NULL));
    if (damage->asks ? !seen.asks || seen.repairable : !seen.repairable)
        g_error("%s: check and repair do not agree", damage->name);
}

/* Without a yes what asks is left, and said to be so. */
static void assert_asks(const Damage *damage, MemImage *bytes)
{
    VhdRepairOptions options = {.pending_dir = DAMAGE_NO_PENDING};
    g_autoptr(VhdFile) file = mem_file_open(bytes, "a.vhd", false);
    g_autoptr(VhdRepair) repair = plan(file, &options);
    const VhdRepairItem *item;
    bool asked = false;

    for (unsigned i = 0; (item = vhd_repair_change(repair, i)); i++)
        g_assert_false(item->gives_up);
    for (unsigned i = 0; (item = vhd_repair_left(repair, i)); i++)
        asked = asked || (item->code == damage->code && item->gives_up);
    g_assert_true(asked);
}

static void test_damage(gconstpointer data)
{
    const Damage *damage = data;
    g_autoptr(MemImage) bytes = damage_make(damage), broken = mem_image_clone(bytes);
    g_autoptr(MemImage) saved = NULL;
    VhdRepairOptions options = damage_options(damage);
    g_autoptr(GError) error = NULL;

    g_assert_cmpint(damage_opens(bytes), ==, damage->opens);
    assert_announced(damage, bytes);
    if (damage->asks)
        assert_asks(damage, bytes);
    {
        g_autoptr(VhdFile) file = mem_file_open(bytes, "a.vhd", false);
        g_autoptr(VhdRepair) repair = plan(file, &options);

        g_assert_nonnull(vhd_repair_change(repair, 0));
        g_assert_null(vhd_repair_left(repair, 0));
    }
    assert_equal(damage->name, bytes, broken);
    saved = mend(bytes, &options);
    damage_assert_mended(damage, bytes);
    g_assert_true(restore(bytes, saved, &error));
    assert_equal(damage->name, bytes, broken);
    /* Putting back what is back does no harm. */
    g_assert_true(restore(bytes, saved, &error));
    assert_equal(damage->name, bytes, broken);
}

static void test_nothing_to_mend(void)
{
    static const VhdType types[] = {VHD_TYPE_FIXED, VHD_TYPE_DYNAMIC, VHD_TYPE_DIFFERENCING};
    VhdRepairOptions options = {
        .give_up = true, .footer = VHD_REPAIR_FOOTER_FIRST, .pending_dir = DAMAGE_NO_PENDING};

    for (unsigned i = 0; i < G_N_ELEMENTS(types); i++) {
        g_autoptr(MemImage) bytes = sample_make_filled(types[i], 3);
        g_autoptr(VhdFile) file = mem_file_open(bytes, "a.vhd", false);
        g_autoptr(VhdRepair) repair = plan(file, &options);

        g_assert_null(vhd_repair_change(repair, 0));
        g_assert_null(vhd_repair_left(repair, 0));
    }
}

static void poison(MemImage *bytes)
{
    mem_image_write(bytes, 0, "v_poison", 8);
}

static void bend_type(MemImage *bytes)
{
    sample_poke_footer(bytes, 0, VHD_FOOTER_AT_TYPE, "\0\0\0\7", 4);
    sample_poke_footer(bytes, sample_end_footer(bytes), VHD_FOOTER_AT_TYPE, "\0\0\0\7", 4);
}

static void tear_both(MemImage *bytes)
{
    mem_image_write(bytes, 100, "x", 1);
    mem_image_write(bytes, sample_end_footer(bytes) + 101, "x", 1);
}

static void bend_header(MemImage *bytes)
{
    mem_image_write(bytes, 512, "cxspoiled", 8);
}

/* The header's own checksum speaks against an entry count that is wrong. */
static void bend_entries(MemImage *bytes)
{
    mem_image_write(bytes, 512 + VHD_HEADER_AT_BAT_ENTRIES + 3, "\x09", 1);
}

/* Each of these with a leak, too, which must not be touched: it may be what was lost. */
static void test_left_alone(void)
{
    static void (*const strikes[])(MemImage *) = {poison, bend_type, tear_both, bend_header,
                                                  bend_entries};
    VhdRepairOptions options = {.give_up = true, .pending_dir = DAMAGE_NO_PENDING};

    for (unsigned i = 0; i < G_N_ELEMENTS(strikes); i++) {
        g_autoptr(MemImage) bytes = sample_make_filled(VHD_TYPE_DYNAMIC, 3);
        g_autoptr(VhdFile) file = mem_file_open(bytes, "a.vhd", false);
        g_autoptr(VhdRepair) repair = NULL;

        sample_set_entry(bytes, DYNAMIC_BAT, 1, VHD_BAT_UNUSED);
        strikes[i](bytes);
        repair = plan(file, &options);
        g_assert_null(vhd_repair_change(repair, 0));
        g_assert_nonnull(vhd_repair_left(repair, 0));
    }
}

/* A place that a wrong entry may have been meant for is kept with it. */
static void test_evidence_is_kept(void)
{
    VhdRepairOptions options = {.pending_dir = DAMAGE_NO_PENDING};
    g_autoptr(MemImage) bytes = sample_make_filled(VHD_TYPE_DYNAMIC, 3);
    g_autoptr(VhdFile) file = mem_file_open(bytes, "a.vhd", false);
    g_autoptr(VhdRepair) repair = NULL;

    sample_set_entry(bytes, DYNAMIC_BAT, 1, 1);
    mem_image_zero(bytes, sample_end_footer(bytes), 512);
    repair = plan(file, &options);
    g_assert_null(vhd_repair_change(repair, 0));
    g_assert_nonnull(vhd_repair_left(repair, 0));
}

static void test_list(void)
{
    static const Damage *damage;
    VhdRepairOptions options;

    for (unsigned i = 0; i < damages_count; i++)
        if (strcmp(damages[i].name, "overlap-in-part") == 0)
            damage = &damages[i];
    options = damage_options(damage);
    {
        g_autoptr(MemImage) bytes = damage_make(damage);
        g_autoptr(VhdFile) file = mem_file_open(bytes, "a.vhd", false);
        g_autoptr(VhdRepair) repair = plan(file, &options);

        g_assert_cmpstr(vhd_repair_change(repair, 0)->text, ==,
                        "block 2 is given up, bytes 16384 to 24575 of the disk: they read as zeros "
                        "from now on; it lies over block 0, from byte 0 of the disk on, whose "
                        "content is to be doubted, too");
        g_assert_true(vhd_repair_change(repair, 0)->gives_up);
    }
}

/* A footer that leads nowhere cannot be chosen. */
static void test_wrong_choice(void)
{
    VhdRepairOptions options = {.footer = VHD_REPAIR_FOOTER_LAST, .pending_dir = DAMAGE_NO_PENDING};
    g_autoptr(MemImage) bytes = sample_make_filled(VHD_TYPE_DYNAMIC, 3);
    g_autoptr(VhdFile) file = mem_file_open(bytes, "a.vhd", false);
    g_autoptr(GError) error = NULL;

    sample_poke_footer(bytes, sample_end_footer(bytes), VHD_FOOTER_AT_DATA_OFFSET,
                       "\0\0\0\0\0\0\4\0", 8);
    g_assert_null(vhd_repair_plan(file, &options, &error));
    g_assert_error(error, VHD_ERROR, VHD_ERROR_CORRUPT);
}

static const Damage *named(const char *name)
{
    for (unsigned i = 0; i < damages_count; i++)
        if (strcmp(damages[i].name, name) == 0)
            return &damages[i];
    g_assert_not_reached();
}

/* What only looks like a footer, because the guest keeps images, stays in its block. */
static void test_block_that_looks_like_a_footer(void)
{
    static const char *const names[] = {"differ-in-block", "end-torn-in-block"};

    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
        VhdRepairOptions options = damage_options(named(names[i]));
        g_autoptr(MemImage) bytes = damage_make(named(names[i])), saved = NULL;
        uint32_t entry = sample_entry(bytes, DYNAMIC_BAT, 2);
        uint8_t before[BLOCK_SPAN], after[BLOCK_SPAN];

        options.give_up = false;
        mem_image_read(bytes, (uint64_t)entry * 512, before, sizeof(before));
        saved = mend(bytes, &options);
        mem_image_read(bytes, (uint64_t)entry * 512, after, sizeof(after));
        g_assert_cmpuint(sample_entry(bytes, DYNAMIC_BAT, 2), ==, entry);
        g_assert_cmpmem(before, sizeof(before), after, sizeof(after));
        damage_assert_mended(named(names[i]), bytes);
    }
}

/* Undoing is refused where somebody wrote over what repair wrote, and only there. */
static void test_changed_since(void)
{
    const Damage *damage = named("entry-into-header");
    VhdRepairOptions options = damage_options(damage);
    g_autoptr(MemImage) bytes = damage_make(damage), saved = mend(bytes, &options);
    g_autoptr(MemImage) other = sample_make_filled(VHD_TYPE_DYNAMIC, 2);
    g_autoptr(MemImage) changed = mem_image_clone(bytes), longer = mem_image_clone(bytes);
    g_autoptr(MemImage) before = NULL;
    g_autoptr(GError) error = NULL;

    sample_set_entry(changed, DYNAMIC_BAT, 6, 77);
    before = mem_image_clone(changed);
    g_assert_false(restore(changed, saved, &error));
    g_assert_error(error, VHD_ERROR, VHD_ERROR_INVALID);
    g_clear_error(&error);
    assert_equal("changed", changed, before);
    mem_image_resize(longer, mem_image_bytes(longer) + 4096);
    g_assert_false(restore(longer, saved, NULL));
    g_assert_false(restore(other, saved, NULL));
    mem_image_write(bytes, (uint64_t)sample_entry(bytes, DYNAMIC_BAT, 0) * 512 + 600, "guest", 5);
    g_assert_true(restore(bytes, saved, NULL));
}

/* A damaged undo file puts nothing back. */
static void test_damaged_undo(void)
{
    const Damage *damage = named("leak-at-end");
    VhdRepairOptions options = damage_options(damage);
    g_autoptr(MemImage) bytes = damage_make(damage), saved = mend(bytes, &options);
    g_autoptr(MemImage) before = mem_image_clone(bytes);
    uint64_t length = mem_image_bytes(saved);

    for (uint64_t off = 0; off < length; off += off < 1024 ? 7 : 1001) {
        g_autoptr(MemImage) torn = mem_image_clone(saved);
        uint8_t byte;

        if (off >= 12 && off < 16) /* unused */
            continue;
        mem_image_read(torn, off, &byte, 1);
        byte ^= 0x10;
        mem_image_write(torn, off, &byte, 1);
        if (off >= 48 && off < 512) /* likewise */
            continue;
        g_assert_false(restore(bytes, torn, NULL));
        assert_equal("damaged undo", bytes, before);
    }
    mem_image_resize(saved, length - 1);
    g_assert_false(restore(bytes, saved, NULL));
    mem_image_resize(saved, 0);
    g_assert_false(restore(bytes, saved, NULL));
}

/* What cannot be read is not planned over. */
static void test_unreadable(void)
{
    static const VhdIoKind kinds[] = {VHD_IO_HEADER, VHD_IO_BAT, VHD_IO_BITMAP};
    VhdRepairOptions options = {.give_up = true, .pending_dir = DAMAGE_NO_PENDING};

    for (unsigned i = 0; i < G_N_ELEMENTS(kinds); i++) {
        g_autoptr(MemImage) bytes = damage_make(named("leak"));
        g_autoptr(Faults) faults = faults_new();
        g_autoptr(VhdFile) file = fault_file_new(mem_file_open(bytes, "a.vhd", false), faults);
        g_autoptr(GError) error = NULL;

        faults_fail(faults, FILE_OP_READ, (int)kinds[i], 1, EIO);
        g_assert_null(vhd_repair_plan(file, &options, &error));
        g_assert_error(error, VHD_ERROR, VHD_ERROR_IO);
    }
}

/* ---- a parent that is elsewhere */

static char *make_parent(const char *folder, const char *name, const uint8_t *uuid)
{
    VhdCreate create = {.type = VHD_TYPE_DYNAMIC, .disk_bytes = DISK_BYTES, .uuid = uuid};
    char *path = g_build_filename(folder, name, NULL);
    g_autoptr(VhdFile) file = vhd_file_create(path, 0600, NULL);

    g_assert_true(vhd_image_create(file, &create, NULL));
    g_assert_true(vhd_file_publish(file, false, NULL));
    return path;
}

static void assert_locator(MemImage *bytes, unsigned slot, uint32_t platform, const char *wanted)
{
    VhdImageOptions head = {.headers_only = true};
    g_autoptr(VhdImage) image = vhd_image_open(mem_file_open(bytes, "a.vhd", false), &head, NULL);
    size_t len;
    g_autofree uint8_t *raw = vhd_image_read_locator(image, slot, &len, NULL);
    g_autofree char *text = vhd_locator_decode(platform, raw, len);

    g_assert_cmphex(vhd_image_header(image)->locators[slot].platform, ==, platform);
    g_assert_cmpstr(text, ==, wanted);
}

static void test_parent(void)
{
    static const uint8_t uuid[] = "fedcba9876543210";
    g_autofree char *folder = g_dir_make_tmp("repair-XXXXXX", NULL);
    g_autofree char *path = make_parent(folder, "moved.vhd", uuid);
    g_autofree char *other = make_parent(folder, "other.vhd", NULL);
    g_autofree char *current = g_get_current_dir(), *relative = vhd_path_relative(current, path);
    VhdRepairOptions options = {.parent = path, .pending_dir = DAMAGE_NO_PENDING};
    g_autoptr(MemImage) bytes = sample_make_filled(VHD_TYPE_DIFFERENCING, 3);
    g_autoptr(MemImage) broken = NULL, saved = NULL;
    uint64_t length = mem_image_bytes(bytes);
    g_autofree char *dotted =
        g_str_has_prefix(relative, "../") ? g_strdup(relative) : g_strconcat("./", relative, NULL);

    sample_poke_header(bytes, 40, uuid, 16);
    broken = mem_image_clone(bytes);
    saved = mend(bytes, &options);
    assert_locator(bytes, 0, VHD_PLATFORM_W2KU, path);
    assert_locator(bytes, 1, VHD_PLATFORM_W2RU, dotted);
    g_assert_cmpuint(mem_image_bytes(bytes), ==, length); /* in the old places */
    {
        g_autoptr(VhdFile) file = mem_file_open(bytes, "a.vhd", false);
        g_autoptr(VhdRepair) again = plan(file, &options);
        g_autoptr(GError) error = NULL;

        g_assert_null(vhd_repair_change(again, 0));
        options.parent = other;
        g_assert_null(vhd_repair_plan(file, &options, &error));
        g_assert_error(error, VHD_ERROR, VHD_ERROR_PARENT);
    }
    g_assert_true(restore(bytes, saved, NULL));
    assert_equal("parent", bytes, broken);
    g_unlink(path);
    g_unlink(other);
    g_rmdir(folder);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (unsigned i = 0; i < damages_count; i++) {
        g_autofree char *path = g_strconcat("/repair/damage/", damages[i].name, NULL);

        g_test_add_data_func(path, &damages[i], test_damage);
    }
    g_test_add_func("/repair/nothing-to-mend", test_nothing_to_mend);
    g_test_add_func("/repair/left-alone", test_left_alone);
    g_test_add_func("/repair/evidence-is-kept", test_evidence_is_kept);
    g_test_add_func("/repair/list", test_list);
    g_test_add_func("/repair/wrong-choice", test_wrong_choice);
    g_test_add_func("/repair/block-that-looks-like-a-footer", test_block_that_looks_like_a_footer);
    g_test_add_func("/repair/changed-since", test_changed_since);
    g_test_add_func("/repair/damaged-undo", test_damaged_undo);
    g_test_add_func("/repair/unreadable", test_unreadable);
    g_test_add_func("/repair/parent", test_parent);
    return g_test_run();
}
