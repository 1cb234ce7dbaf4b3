/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
#include "tests/faults/script.h"

#include <errno.h>
#include <string.h>

#include "vhd/error.h"

#define FIRST_VALUE 8u /* of step 0 */
#define BLOCK(n)    ((n)*BLOCK_SECTORS)
#define RUN_ROOM    64u

G_STATIC_ASSERT(FIRST_VALUE >= VALUES_TAKEN);

typedef struct Step {
    VhdOp op;
    unsigned sector, count;
    bool fua;
    bool differs; /* COMPARE_AND_WRITE: expects what is not there */
} Step;

static const Step steps[] = {
    {.op = VHD_OP_READ, .count = DISK_SECTORS},
    {.op = VHD_OP_WRITE, .sector = BLOCK(1) + 20, .count = 10}, /* in part there */
    {.op = VHD_OP_WRITE, .sector = BLOCK(4), .count = 8},       /* a new block */
    {.op = VHD_OP_WRITE, .sector = BLOCK(6) - 4, .count = 8},   /* two of them */
    {.op = VHD_OP_READ, .sector = BLOCK(1), .count = BLOCK(5)},
    {.op = VHD_OP_FLUSH},
    {.op = VHD_OP_WRITE, .sector = BLOCK(2) + 1, .count = 7, .fua = true},
    {.op = VHD_OP_WRITE, .sector = 2, .count = 4}, /* over old data */
    {.op = VHD_OP_COMPARE_AND_WRITE, .sector = 10, .count = 2},
    {.op = VHD_OP_COMPARE_AND_WRITE, .sector = 9, .count = 2, .differs = true},
    {.op = VHD_OP_UNMAP, .sector = BLOCK(4), .count = BLOCK_SECTORS},
    {.op = VHD_OP_UNMAP, .sector = BLOCK(0) + 20, .count = 5},
    {.op = VHD_OP_FLUSH},
    {.op = VHD_OP_WRITE, .sector = BLOCK(8) + 3, .count = 2}, /* where a block was given back */
    {.op = VHD_OP_WRITE_ZEROES, .sector = BLOCK(3) + 16, .count = 2 * BLOCK_SECTORS},
    {.op = VHD_OP_WRITE_ZEROES, .sector = BLOCK(9), .count = 4, .fua = true},
    {.op = VHD_OP_OR_WRITE, .sector = BLOCK(11), .count = 3},
    {.op = VHD_OP_UNMAP, .sector = BLOCK(8), .count = BLOCK(4), .fua = true},
    {.op = VHD_OP_STATUS, .count = DISK_SECTORS},
    {.op = VHD_OP_READ, .count = DISK_SECTORS},
    {.op = VHD_OP_FLUSH},
    {.op = VHD_OP_FLUSH},                                             /* with nothing to do */
    {.op = VHD_OP_UNMAP, .sector = BLOCK(3), .count = BLOCK_SECTORS}, /* a full one */
    {.op = VHD_OP_WRITE, .sector = BLOCK(10), .count = 2},
    {.op = VHD_OP_WRITE, .sector = BLOCK(1), .count = 2},
    {.op = VHD_OP_READ, .count = DISK_SECTORS},
};

G_STATIC_ASSERT(FIRST_VALUE + G_N_ELEMENTS(steps) <= VALUE_LAST);

/* One run under way. */
typedef struct Run {
    World *world;
    const FaultRule *rule;
    History *history;
    VhdDisk *disk;
    unsigned step;
    bool broken;            /* a barrier failed */
    uint64_t changes;       /* operations that changed files until then */
    uint8_t *data, *before; /* of the whole disk each */
} Run;

static void G_GNUC_PRINTF(2, 3) fail(const Run *run, const char *format, ...)
{
    g_autofree char *what = NULL;
    va_list args;

    va_start(args, format);
    what = g_strdup_vprintf(format, args);
    va_end(args);
    g_error("%s: %s: step %u: %s", run->world->with->name, script_rule_text(run->rule), run->step,
            what);
}

/* Requests */

typedef struct Waiting {
    pthread_mutex_t lock; /* protects all below */
    pthread_cond_t wake;
    bool done;
    int result;
} Waiting;

static void finish_request(VhdRequest *request, int result)
{
    Waiting *waiting = request->data;

    pthread_mutex_lock(&waiting->lock);
    waiting->result = result;
    waiting->done = true;
    pthread_cond_signal(&waiting->wake);
    pthread_mutex_unlock(&waiting->lock);
}

static int submit_and_wait(VhdDisk *disk, VhdRequest *request)
{
    Waiting waiting = {.lock = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER};

    request->done = finish_request;
    request->data = &waiting;
    vhd_disk_submit(disk, request);
    pthread_mutex_lock(&waiting.lock);
    while (!waiting.done)
        pthread_cond_wait(&waiting.wake, &waiting.lock);
    pthread_mutex_unlock(&waiting.lock);
    return waiting.result;
}

static bool changes(VhdOp op)
{
    return op != VHD_OP_READ && op != VHD_OP_STATUS && op != VHD_OP_FLUSH;
}

static unsigned value_of_step(const Run *run)
{
    return FIRST_VALUE + run->step;
}

/* What COMPARE_AND_WRITE expects: one of the values that may be there. */
static void fill_expected(Run *run, const Step *step)
{
    for (unsigned i = 0; i < step->count; i++)
        history_fill(run->before + (size_t)i * HISTORY_SECTOR, 1,
                     step->differs
                         ? VALUE_LAST
                         : (unsigned)__builtin_ctzll(run->history->live[step->sector + i]));
}

static int do_step(Run *run, const Step *step)
{
    size_t len = (size_t)step->count * HISTORY_SECTOR;
    bool compares = step->op == VHD_OP_COMPARE_AND_WRITE;
    struct iovec iov[] = {{run->before, len}, {run->data, len}};
    VhdDiskRun runs[RUN_ROOM];
    VhdRequest request = {
        .op = step->op,
        .fua = step->fua,
        .off = (uint64_t)step->sector * HISTORY_SECTOR,
        .len = len,
        .iov = compares ? iov : iov + 1,
        .iovcnt = compares ? 2 : 1,
        .runs = runs,
        .run_room = RUN_ROOM,
    };

    if (compares)
        fill_expected(run, step);
    if (step->op != VHD_OP_READ)
        history_fill(run->data, step->count, value_of_step(run));
    return submit_and_wait(run->disk, &request);
}

/* What must hold */

static uint64_t count_changes(World *world)
{
    static const FileOp ops[] = {FILE_OP_WRITE, FILE_OP_PUNCH, FILE_OP_RESIZE, FILE_OP_CLAIM,
                                 FILE_OP_BARRIER};
    uint64_t count = 0;

    for (unsigned i = 0; i < G_N_ELEMENTS(ops); i++)
        count += faults_count(world->faults, ops[i], FILE_KIND_ANY);
    return count;
}

/* Faults that nothing can go well with. */
static bool must_fail(const FaultRule *rule, VhdOp op)
{
    switch (rule->op) {
    case FILE_OP_WRITE:
    case FILE_OP_BARRIER:
    case FILE_OP_CLAIM:
        return true;
    case FILE_OP_READ:
        return op == VHD_OP_READ;
    default:
        return false;
    }
}

/* Of a request that a fault hit. */
static void judge_hit(Run *run, const Step *step, int result)
{
    int wanted = run->rule->error == ENOSPC && run->rule->op != FILE_OP_BARRIER ? -ENOSPC : -EIO;

    if (result == 0 && must_fail(run->rule, step->op))
        fail(run, "it succeeded");
    if (result != 0 && result != wanted)
        fail(run, "the error is %s", g_strerror(-result));
}

static int expected_result(const Run *run, const Step *step)
{
    if (changes(step->op) && run->world->with->read_only)
        return -EROFS;
    if (run->broken && (changes(step->op) || step->op == VHD_OP_FLUSH))
        return -EIO;
    return step->op == VHD_OP_COMPARE_AND_WRITE && step->differs ? -EILSEQ : 0;
}

static void judge_result(Run *run, const Step *step, int result, bool hit)
{
    VhdDiskInfo info;

    if (hit && !run->broken)
        judge_hit(run, step, result);
    else if (result != expected_result(run, step))
        fail(run, "no fault hit it, but the result is %d, %s", result, g_strerror(-result));
    if (hit && !run->broken && run->rule->op == FILE_OP_BARRIER) {
        run->broken = true;
        run->changes = count_changes(run->world);
    }
    vhd_disk_info(run->disk, &info);
    if (info.failed != run->broken)
        fail(run, "the disk says it is %sbroken", info.failed ? "" : "not ");
}

static void judge_data(const Run *run, const Step *step)
{
    unsigned found;
    int wrong =
        history_find_wrong(run->history->live, run->data, step->sector, step->count, &found);

    if (wrong >= 0)
        fail(run, "sector %d shows %u", wrong, found);
}

static void follow(Run *run, const Step *step, int result)
{
    bool ok = result == 0;
    bool fua = step->fua || run->world->with->cache == VHD_CACHE_WRITETHROUGH;
    unsigned top = run->world->with->kind == KIND_CHILD ? VALUE_MIDDLE : VALUE_TOP;
    uint64_t parents = run->world->with->kind >= KIND_CHILD ? (UINT64_C(1) << top) - 2 : 0;

    if (step->op == VHD_OP_READ && ok)
        judge_data(run, step);
    if (step->op == VHD_OP_FLUSH && ok)
        history_flush(run->history);
    if (!changes(step->op) || result == -EILSEQ || result == -EROFS)
        return;
    if (step->op == VHD_OP_UNMAP)
        history_unmap(run->history, step->sector, step->count, parents, ok, fua);
    else
        history_write(run->history, step->sector, step->count,
                      step->op == VHD_OP_WRITE_ZEROES ? 0 : value_of_step(run), ok, fua);
}

static void run_steps(Run *run)
{
    for (run->step = 0; run->step < G_N_ELEMENTS(steps); run->step++) {
        const Step *step = &steps[run->step];
        uint64_t failed = faults_failed(run->world->faults);
        int result = do_step(run, step);
        bool hit = faults_failed(run->world->faults) > failed;

        judge_result(run, step, result, hit);
        follow(run, step, result);
    }
}

static ScriptEnd close_disk(Run *run)
{
    uint64_t failed = faults_failed(run->world->faults);
    int result = vhd_disk_close(run->disk);
    bool hit = faults_failed(run->world->faults) > failed;

    if (result == 0 && (run->broken || (hit && must_fail(run->rule, VHD_OP_FLUSH))))
        fail(run, "closing succeeded");
    if (result != 0 && !run->broken && !hit)
        fail(run, "no fault hit it, but closing says %s", g_strerror(-result));
    if (result == 0)
        history_flush(run->history);
    if (run->broken && count_changes(run->world) != run->changes)
        fail(run, "something was written after a failed barrier");
    return result == 0 ? SCRIPT_CLOSED : SCRIPT_FAILED;
}

/* One sentence that names a file. */
static void judge_refusal(const Run *run, const GError *error)
{
    if (faults_failed(run->world->faults) == 0)
        fail(run, "no fault hit it, but opening says %s", error->message);
    if (error->domain != VHD_ERROR || !g_str_has_prefix(error->message, run->world->folder) ||
        strchr(error->message, '\n'))
        fail(run, "opening says '%s'", error->message);
}

ScriptEnd script_run(World *world, const FaultRule *rule, History *history)
{
    size_t bytes = (size_t)DISK_SECTORS * HISTORY_SECTOR;
    g_autofree uint8_t *data = g_malloc(bytes), *before = g_malloc(bytes);
    g_autoptr(GError) error = NULL;
    Run run = {.world = world, .rule = rule, .history = history, .data = data, .before = before};

    faults_add(world->faults, rule);
    run.disk = world_open(world, world->with->read_only, &error);
    if (!run.disk) {
        judge_refusal(&run, error);
        return SCRIPT_REFUSED;
    }
    run_steps(&run);
    return close_disk(&run);
}

void script_judge_disk(const World *world, VhdDisk *disk, const uint64_t *sets)
{
    size_t bytes = (size_t)DISK_SECTORS * HISTORY_SECTOR;
    g_autofree uint8_t *data = g_malloc(bytes);
    unsigned found;
    int wrong;

    g_assert_cmpint(vhd_disk_read(disk, 0, data, bytes), ==, 0);
    wrong = history_find_wrong(sets, data, 0, DISK_SECTORS, &found);
    if (wrong >= 0)
        g_error("%s: after opening anew sector %d shows %u, which is not in %" G_GINT64_MODIFIER
                "x",
                world->with->name, wrong, found, sets[wrong]);
}

const char *script_rule_text(const FaultRule *rule)
{
    static const char *const ops[FILE_OPS] = {"read",      "write", "barrier",   "info",
                                              "resize",    "punch", "claim",     "drop_cache",
                                              "next_data", "lock",  "lock_test", "rename"};
    static char text[120];

    g_snprintf(text, sizeof text, "%s of kind %d, number %u%s, errno %d after %u bytes",
               ops[rule->op], rule->kind, rule->nth, rule->forever ? " and on" : "", rule->error,
               (unsigned)rule->bytes);
    return text;
}
