/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * For n = 1, 2, 3 ... until nothing fails any more: the n-th operation of each kind on the files of
 * a chain fails, or it and all after it, while the chain is opened, used and closed. What was hit
 * says so, what was not succeeds, nothing is written after a failed barrier, no descriptor stays
 * open; afterwards, without faults, check finds nothing corrupt, what was flushed is there, and the
 * image takes writes to all its sectors.
 */
#include <errno.h>
#include <string.h>

#include "tests/faults/script.h"

static const Case cases[] = {
    {.name = "fixed", .kind = KIND_FIXED},
    {.name = "dynamic", .kind = KIND_DYNAMIC},
    {.name = "dynamic-writethrough", .kind = KIND_DYNAMIC, .cache = VHD_CACHE_WRITETHROUGH},
    {.name = "dynamic-log", .kind = KIND_DYNAMIC, .pending = true},
    {.name = "dynamic-log-waits", .kind = KIND_DYNAMIC, .pending = true, .flaw = FLAW_LOG},
    {.name = "dynamic-no-trailing-footer", .kind = KIND_DYNAMIC, .flaw = FLAW_TRAILING},
    {.name = "dynamic-bad-footer-copy", .kind = KIND_DYNAMIC, .flaw = FLAW_COPY},
    {.name = "batmap", .kind = KIND_BATMAP},
    {.name = "child", .kind = KIND_CHILD},
    {.name = "child-log-waits", .kind = KIND_CHILD, .pending = true, .flaw = FLAW_LOG},
    {.name = "grandchild", .kind = KIND_GRANDCHILD},
    {.name = "grandchild-read-only", .kind = KIND_GRANDCHILD, .read_only = true},
};

/* What may become of an operation; those that move no data take the first two only. */
static const struct {
    int error;
    uint64_t bytes;
    bool forever;
} fates[] = {
    {EIO, 0, false},
    {ENOSPC, 0, true},
    {EIO, 512, false},
    {ENOSPC, 1024, false},
};

static struct {
    unsigned runs, refused;
    uint64_t hits[FILE_OPS];
} total;

/* logged: what the pending log keeps was kept, too. A failed barrier gives it up (invariant 7). */
static void judge_afterwards(World *world, const History *history, ScriptEnd end, bool logged)
{
    const uint64_t *sets = logged ? history->live : history->durable;
    size_t bytes = (size_t)DISK_SECTORS * HISTORY_SECTOR;
    g_autofree uint8_t *data = g_malloc(bytes);
    g_autoptr(GError) error = NULL;
    History last;
    VhdDisk *disk;

    if (end == SCRIPT_CLOSED && !world->with->read_only)
        world_check(world, true);
    else if (world->with->flaw != FLAW_COPY)
        world_check(world, false);
    disk = world_open(world, true, &error);
    g_assert_no_error(error);
    script_judge_disk(world, disk, sets);
    g_assert_cmpint(vhd_disk_close(disk), ==, 0);

    disk = world_open(world, false, &error);
    g_assert_no_error(error);
    script_judge_disk(world, disk, sets);
    history_fill(data, DISK_SECTORS, VALUE_LAST);
    g_assert_cmpint(vhd_disk_write(disk, 0, data, bytes, false), ==, 0);
    g_assert_cmpint(vhd_disk_close(disk), ==, 0);
    world_check(world, true);

    history_init(&last, DISK_SECTORS);
    history_set(&last, 0, DISK_SECTORS, VALUE_LAST);
    disk = world_open(world, true, &error);
    g_assert_no_error(error);
    script_judge_disk(world, disk, last.durable);
    g_assert_cmpint(vhd_disk_close(disk), ==, 0);
    history_clear(&last);
}

/* True: an operation was hit. */
static bool run_once(World *world, const FaultRule *rule)
{
    unsigned descriptors = world_descriptors();
    History history;
    ScriptEnd end;
    uint64_t hits;

    world_restore(world);
    history_init(&history, DISK_SECTORS);
    history_copy(&history, &world->first);
    end = script_run(world, rule, &history);
    total.refused += end == SCRIPT_REFUSED;
    hits = faults_failed(world->faults);
    faults_clear(world->faults);
    if (world_descriptors() != descriptors)
        g_error("%s: %s: descriptors stay open", world->with->name, script_rule_text(rule));
    judge_afterwards(world, &history, end, world->with->pending && rule->op != FILE_OP_BARRIER);
    history_clear(&history);
    total.runs++;
    total.hits[rule->op] += hits;
    return hits > 0;
}

static void sweep(World *world, FileOp op, int kind, unsigned fate)
{
    FaultRule rule = {
        .op = op,
        .kind = kind,
        .error = fates[fate].error,
        .bytes = fates[fate].bytes,
        .forever = fates[fate].forever,
    };

    do
        rule.nth++;
    while (run_once(world, &rule));
}

/* Space can run out, and a part be transferred, only where something is written. */
static bool makes_sense(FileOp op, unsigned fate)
{
    bool writes = op == FILE_OP_WRITE, reads = op == FILE_OP_READ;
    bool takes_space = writes || op == FILE_OP_CLAIM || op == FILE_OP_PUNCH ||
                       op == FILE_OP_RESIZE || op == FILE_OP_BARRIER;

    if (fates[fate].error == ENOSPC && !takes_space)
        return false;
    return fates[fate].bytes == 0 || writes || (reads && fates[fate].error == EIO);
}

static bool has_kind(FileOp op)
{
    return op == FILE_OP_READ || op == FILE_OP_WRITE || op == FILE_OP_PUNCH;
}

static void test_case(gconstpointer data)
{
    World world;

    world_init(&world, data);
    for (FileOp op = 0; op < FILE_OPS; op++) {
        int kinds = has_kind(op) ? VHD_IO_KINDS : 1;

        for (unsigned fate = 0; fate < G_N_ELEMENTS(fates); fate++) {
            for (int kind = 0; kind < kinds && makes_sense(op, fate); kind++)
                sweep(&world, op, has_kind(op) ? kind : FILE_KIND_ANY, fate);
        }
    }
    world_check_parents(&world);
    world_clear(&world);
}

/* Had an operation been hit nowhere, nothing would have been shown of it. */
static void test_all_were_hit(void)
{
    g_test_message("%u runs, %u of them refused at opening", total.runs, total.refused);
    for (FileOp op = 0; op < FILE_OPS; op++) {
        g_test_message("operation %d: %" G_GUINT64_FORMAT " hits", (int)op, total.hits[op]);
        if (op != FILE_OP_RENAME && op != FILE_OP_NEXT_DATA)
            g_assert_cmpuint(total.hits[op], >, 0);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *path = g_strdup_printf("/faults/sweep/%s", cases[i].name);

        g_test_add_data_func(path, &cases[i], test_case);
    }
    g_test_add_func("/faults/sweep/all-were-hit", test_all_were_hit);
    return g_test_run();
}
