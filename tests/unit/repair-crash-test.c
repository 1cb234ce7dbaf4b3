/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * A power cut at every point of a repair, and at every point of the undoing of what a power cut
 * left: the old bytes are there, or the undo file puts them back. An image that opened before opens
 * at each point in between, too (invariant 1). And every operation that can fail, failing.
 */
#include <errno.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <string.h>

#include "tests/support/fault-file.h"
#include "tests/support/trace-file.h"
#include "tests/unit/repair-damage.h"
#include "vhd/image-create.h"
#include "vhd/image.h"
#include "vhd/locator.h"

#define RANDOM_SEEDS 4

static unsigned long images; /* judged */

/* The image and its undo file, as files of one trace: 0 and 1. */
typedef struct Recording {
    const char *name;
    bool opens;
    bool batmap_is_true;  /* there is one that does not lie */
    const char *locators; /* what they were, where they change; else NULL */
    Trace *trace;
    MemImage *bytes, *saved; /* as they are in the end */
    MemImage *bytes_before, *saved_before;
} Recording;

static void recording_init(Recording *recording, const char *name, MemImage *bytes, MemImage *saved)
{
    *recording = (Recording){.name = name,
                             .opens = damage_opens(bytes),
                             .trace = trace_new(),
                             .bytes = bytes,
                             .saved = saved,
                             .bytes_before = mem_image_clone(bytes),
                             .saved_before = mem_image_clone(saved)};
}

static void recording_clear(Recording *recording)
{
    trace_unref(recording->trace);
    mem_image_unref(recording->bytes_before);
    mem_image_unref(recording->saved_before);
}

static VhdFile *record(Recording *recording, MemImage *bytes, const char *name)
{
    return trace_file_new(mem_file_open(bytes, name, true), recording->trace);
}

/* Has the undo file its name at cut? */
static bool is_published(Recording *recording, uint64_t cut)
{
    for (size_t i = 0; i < trace_length(recording->trace); i++) {
        const TraceEntry *entry = trace_entry(recording->trace, i);

        if (entry->op == FILE_OP_RENAME && entry->end != 0 && entry->end <= cut)
            return true;
    }
    return false;
}

static bool restore(MemImage *bytes, MemImage *saved, GError **error)
{
    g_autoptr(VhdFile) file = mem_file_open(bytes, "a.vhd", true);
    g_autoptr(VhdFile) undo = mem_file_open(saved, "a.vhd.undo", true);

    return vhd_undo_restore(file, undo, error);
}

static void assert_restores(const Recording *recording, uint64_t cut, MemImage *bytes,
                            MemImage *saved, MemImage *wanted)
{
    g_autoptr(GError) error = NULL;
    uint64_t off = 0;

    images++;
    if (!restore(bytes, saved, &error))
        g_error("%s, cut at %" G_GUINT64_FORMAT ": %s", recording->name, cut, error->message);
    if (!mem_image_equal(bytes, wanted, &off))
        g_error("%s, cut at %" G_GUINT64_FORMAT ": not put back at offset %" G_GUINT64_FORMAT,
                recording->name, cut, off);
}

static MemImage *rebuild(Recording *recording, unsigned file, uint64_t cut, TraceChooser choose,
                         uint64_t seed)
{
    TraceRandom random = {.state = seed};

    return trace_rebuild(recording->trace, file,
                         file == 0 ? recording->bytes_before : recording->saved_before, cut, choose,
                         &random);
}

/* Cut the undoing of bytes at every point, and undo again. wanted: the bytes before the repair. */
static void cut_undoing(const char *name, MemImage *bytes, MemImage *saved, MemImage *wanted)
{
    static const TraceChooser choosers[] = {trace_choose_all, trace_choose_none,
                                            trace_choose_random};
    g_autoptr(MemImage) bytes_now = mem_image_clone(bytes), saved_now = mem_image_clone(saved);
    Recording recording;

    recording_init(&recording, name, bytes_now, saved_now);
    {
        g_autoptr(VhdFile) file = record(&recording, bytes_now, "a.vhd");
        g_autoptr(VhdFile) undo = record(&recording, saved_now, "a.vhd.undo");

        g_assert_true(vhd_undo_restore(file, undo, NULL));
    }
    for (uint64_t cut = 0; cut <= trace_now(recording.trace); cut++)
        for (unsigned i = 0; i < G_N_ELEMENTS(choosers); i++) {
            g_autoptr(MemImage) torn = rebuild(&recording, 0, cut, choosers[i], cut * 31 + 1);
            g_autoptr(MemImage) torn_saved = rebuild(&recording, 1, cut, choosers[i], cut * 17 + 1);

            assert_restores(&recording, cut, torn, torn_saved, wanted);
        }
    recording_clear(&recording);
}

/* ---- what holds at each point in between */

static void count_lies(void *data, const VhdFinding *finding)
{
    *(unsigned *)data += finding->code == VHD_FINDING_BATMAP_LIES;
}

static bool batmap_lies(MemImage *bytes)
{
    unsigned lies = 0;
    VhdCheckOptions options = {
        .report = count_lies, .data = &lies, .pending_dir = DAMAGE_NO_PENDING};
    g_autoptr(VhdFile) file = mem_file_open(bytes, "a.vhd", false);
    VhdCheckResult result;

    return vhd_check_image(file, 0, &options, &result, NULL) && lies > 0;
}

static bool has_batmap(MemImage *bytes)
{
    uint8_t raw[VHD_FOOTER_BYTES];
    VhdFooter footer;
    VhdFault fault;

    mem_image_read(bytes, 0, raw, sizeof(raw));
    return vhd_footer_decode(raw, 0, &footer, &fault) && vhd_footer_promises_batmap(&footer);
}

static bool ends_with_footer(MemImage *bytes)
{
    uint8_t raw[VHD_FOOTER_BYTES];
    VhdFooter footer;
    VhdFault fault;

    mem_image_read(bytes, sample_end_footer(bytes), raw, sizeof(raw));
    return vhd_footer_decode(raw, 0, &footer, &fault);
}

/* The strings of both locators, one behind the other. */
static char *locators_of(MemImage *bytes)
{
    VhdImageOptions head = {.headers_only = true};
    g_autoptr(VhdImage) image = vhd_image_open(mem_file_open(bytes, "a.vhd", false), &head, NULL);
    GString *text = g_string_new(NULL);

    for (unsigned slot = 0; image && slot < 2; slot++) {
        size_t len = 0;
        g_autofree uint8_t *raw = vhd_image_read_locator(image, slot, &len, NULL);
        g_autofree char *path =
            raw ? vhd_locator_decode(vhd_image_header(image)->locators[slot].platform, raw, len)
                : NULL;

        g_string_append_printf(text, "%s;", path ? path : "none");
    }
    return g_string_free(text, FALSE);
}

/* Invariants 1, 5, 12. */
static void assert_whole(Recording *recording, uint64_t cut, MemImage *bytes)
{
    const char *wrong = NULL;

    if (recording->opens && !damage_opens(bytes))
        wrong = "does not open any more";
    if (mem_image_bytes(bytes) < mem_image_bytes(recording->bytes_before) &&
        !ends_with_footer(bytes))
        wrong = "was cut off before the footer was inside";
    if (recording->batmap_is_true && batmap_lies(bytes))
        wrong = "the batmap lies";
    if (recording->locators) {
        g_autofree char *now = locators_of(bytes), *then = locators_of(recording->bytes);

        if (strcmp(now, then) != 0 && strcmp(now, recording->locators) != 0)
            wrong = "the locators are neither the old nor the new ones";
    }
    if (wrong)
        g_error("%s, cut at %" G_GUINT64_FORMAT ": %s", recording->name, cut, wrong);
}

/* What a power cut just after event cut leaves. */
static void judge_cut(Recording *recording, uint64_t cut, TraceChooser choose, uint64_t seed,
                      bool nested)
{
    g_autoptr(MemImage) bytes = rebuild(recording, 0, cut, choose, seed);
    g_autoptr(MemImage) saved = rebuild(recording, 1, cut, choose, seed + 1);
    uint64_t off = 0;

    assert_whole(recording, cut, bytes);
    if (!is_published(recording, cut)) {
        images++;
        if (!mem_image_equal(bytes, recording->bytes_before, &off))
            g_error("%s, cut at %" G_GUINT64_FORMAT ": changed before it was saved",
                    recording->name, cut);
        return;
    }
    if (nested)
        cut_undoing(recording->name, bytes, saved, recording->bytes_before);
    assert_restores(recording, cut, bytes, saved, recording->bytes_before);
}

static void judge_cuts(Recording *recording)
{
    uint64_t end = trace_now(recording->trace);

    for (uint64_t cut = 0; cut <= end; cut++) {
        judge_cut(recording, cut, trace_choose_all, 1, cut % 4 == 0);
        judge_cut(recording, cut, trace_choose_none, 1, cut == end);
        judge_cut(recording, cut, trace_choose_returned, 1, false);
        for (uint64_t seed = 1; seed <= RANDOM_SEEDS; seed++)
            judge_cut(recording, cut, trace_choose_random, seed * 7919 + cut, seed == 1);
    }
}

static void record_repair(const char *name, MemImage *bytes, const char *locators,
                          const VhdRepairOptions *options)
{
    g_autoptr(MemImage) saved = mem_image_new();
    Recording recording;

    recording_init(&recording, name, bytes, saved);
    recording.locators = locators;
    recording.batmap_is_true = has_batmap(bytes) && !batmap_lies(bytes);
    {
        g_autoptr(VhdFile) file = record(&recording, bytes, "a.vhd");
        g_autoptr(VhdFile) undo = record(&recording, saved, "a.vhd.undo");
        g_autoptr(VhdRepair) repair = vhd_repair_plan(file, options, NULL);
        bool restored;

        g_assert_true(vhd_repair_apply(repair, undo, &restored, NULL));
    }
    judge_cuts(&recording);
    recording_clear(&recording);
}

static void test_power_cut(gconstpointer data)
{
    const Damage *damage = data;
    VhdRepairOptions options = damage_options(damage);
    g_autoptr(MemImage) bytes = damage_make(damage);

    images = 0;
    record_repair(damage->name, bytes, NULL, &options);
    g_test_message("%lu images", images);
    g_assert_cmpuint(images, >, 200);
}

/* A header in use is replaced: the image opens whenever the power goes. */
static void test_power_cut_parent(gconstpointer long_name)
{
    static const uint8_t uuid[] = "fedcba9876543210";
    g_autofree char *folder = g_dir_make_tmp("repair-XXXXXX", NULL);
    g_autofree char *name = g_strnfill(long_name ? 250 : 5, 'p'), *before = NULL, *after = NULL;
    g_autofree char *path = g_build_filename(folder, name, NULL);
    VhdCreate create = {.type = VHD_TYPE_DYNAMIC, .disk_bytes = DISK_BYTES, .uuid = uuid};
    VhdRepairOptions options = {.parent = path, .pending_dir = DAMAGE_NO_PENDING};
    g_autoptr(MemImage) bytes = sample_make_filled(VHD_TYPE_DIFFERENCING, 3);

    g_autofree char *current = g_get_current_dir(), *relative = vhd_path_relative(current, path);
    g_autofree char *wanted =
        g_strdup_printf("%s;%s%s;", path, g_str_has_prefix(relative, "../") ? "" : "./", relative);
    uint64_t length = mem_image_bytes(bytes);

    images = 0;
    {
        g_autoptr(VhdFile) parent = vhd_file_create(path, 0600, NULL);

        g_assert_true(vhd_image_create(parent, &create, NULL));
        g_assert_true(vhd_file_publish(parent, false, NULL));
    }
    sample_poke_header(bytes, 40, uuid, 16);
    if (long_name) /* the old place of W2ku has no room for it */
        sample_poke_header(bytes, VHD_HEADER_AT_LOCATORS + 4, "\0\0\0\1", 4);
    g_assert_true(damage_opens(bytes));
    before = locators_of(bytes);
    record_repair("parent", bytes, before, &options);
    after = locators_of(bytes);
    g_assert_cmpstr(after, ==, wanted);
    g_assert_cmpint(mem_image_bytes(bytes) > length, ==, long_name != NULL);
    g_test_message("%lu images", images);
    g_unlink(path);
    g_rmdir(folder);
}

/* ---- failing operations */

typedef struct Failing {
    FileOp op;
    bool in_undo; /* of the undo file, else of the image */
} Failing;

/* Let the nth op fail. False: there were not so many. */
static bool fail_nth(const Damage *damage, const Failing *failing, unsigned nth, int err)
{
    VhdRepairOptions options = damage_options(damage);
    g_autoptr(MemImage) bytes = damage_make(damage), saved = mem_image_new();
    g_autoptr(MemImage) before = mem_image_clone(bytes);
    g_autoptr(Faults) faults = faults_new(), none = faults_new();
    g_autoptr(VhdFile) file =
        fault_file_new(mem_file_open(bytes, "a.vhd", true), failing->in_undo ? none : faults);
    g_autoptr(VhdFile) undo =
        fault_file_new(mem_file_open(saved, "a.vhd.undo", true), failing->in_undo ? faults : none);
    g_autoptr(VhdRepair) repair = vhd_repair_plan(file, &options, NULL);
    g_autoptr(GError) error = NULL;
    bool restored, done;

    faults_fail(faults, failing->op, FILE_KIND_ANY, nth, err);
    done = vhd_repair_apply(repair, undo, &restored, &error);
    if (faults_failed(faults) == 0) {
        g_assert_true(done);
        return false;
    }
    if (done)
        g_error("%s: failure %u of operation %d went unseen", damage->name, nth, failing->op);
    faults_clear(faults);
    if (!restored)
        g_assert_true(restore(bytes, saved, NULL));
    g_assert_true(mem_image_equal(bytes, before, NULL));
    return true;
}

static void test_failing(gconstpointer data)
{
    static const Failing rows[] = {
        {FILE_OP_READ, false},   {FILE_OP_WRITE, false},  {FILE_OP_BARRIER, false},
        {FILE_OP_RESIZE, false}, {FILE_OP_PUNCH, false},  {FILE_OP_NEXT_DATA, false},
        {FILE_OP_WRITE, true},   {FILE_OP_BARRIER, true}, {FILE_OP_RENAME, true},
    };
    const Damage *damage = data;

    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        unsigned nth = 1;

        while (fail_nth(damage, &rows[i], nth, i % 2 ? EIO : ENOSPC))
            nth++;
        g_assert_cmpuint(nth, <, 200);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (unsigned i = 0; i < damages_count; i++) {
        g_autofree char *cut = g_strconcat("/repair/power-cut/", damages[i].name, NULL);
        g_autofree char *failing = g_strconcat("/repair/failing/", damages[i].name, NULL);

        g_test_add_data_func(cut, &damages[i], test_power_cut);
        g_test_add_data_func(failing, &damages[i], test_failing);
    }
    g_test_add_data_func("/repair/power-cut-parent/in-place", NULL, test_power_cut_parent);
    g_test_add_data_func("/repair/power-cut-parent/longer", "", test_power_cut_parent);
    return g_test_run();
}
