/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
#include "tests/support/fault-file.h"

#include <errno.h>
#include <pthread.h>
#include <time.h>

typedef struct Rule {
    FaultRule rule;
    uint64_t seen;
    unsigned held;
    bool off; /* fires no more */
} Rule;

struct Faults {
    pthread_mutex_t mutex; /* protects all members and the rules */
    pthread_cond_t changed;
    unsigned references;
    GPtrArray *rules;                            /* of Rule; never shortened: numbers are indices */
    uint64_t counts[FILE_OPS][VHD_IO_KINDS + 1]; /* the last column: operations without a kind */
    uint64_t failed;
};

typedef struct FaultFile {
    VhdFile base;
    VhdFile *inner;
    Faults *faults;
} FaultFile;

/* What the rules say about one operation. */
typedef struct Verdict {
    int error; /* 0 or -errno */
    uint64_t bytes;
    int rule_after; /* hold by this rule afterwards; -1: none */
} Verdict;

Faults *faults_new(void)
{
    Faults *faults = g_new0(Faults, 1);
    pthread_condattr_t attr;

    pthread_mutex_init(&faults->mutex, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&faults->changed, &attr);
    pthread_condattr_destroy(&attr);
    faults->references = 1;
    faults->rules = g_ptr_array_new_with_free_func(g_free);
    return faults;
}

Faults *faults_ref(Faults *faults)
{
    pthread_mutex_lock(&faults->mutex);
    faults->references++;
    pthread_mutex_unlock(&faults->mutex);
    return faults;
}

void faults_unref(Faults *faults)
{
    bool last;

    if (!faults)
        return;
    pthread_mutex_lock(&faults->mutex);
    last = --faults->references == 0;
    pthread_mutex_unlock(&faults->mutex);
    if (!last)
        return;
    g_ptr_array_unref(faults->rules);
    pthread_cond_destroy(&faults->changed);
    pthread_mutex_destroy(&faults->mutex);
    g_free(faults);
}

unsigned faults_add(Faults *faults, const FaultRule *rule)
{
    Rule *own = g_new0(Rule, 1);
    unsigned number;

    own->rule = *rule;
    own->rule.nth = MAX(rule->nth, 1);
    pthread_mutex_lock(&faults->mutex);
    number = faults->rules->len;
    g_ptr_array_add(faults->rules, own);
    pthread_mutex_unlock(&faults->mutex);
    return number;
}

unsigned faults_fail(Faults *faults, FileOp op, int kind, unsigned nth, int error)
{
    return faults_add(faults, &(FaultRule){.op = op, .kind = kind, .nth = nth, .error = error});
}

unsigned faults_hold(Faults *faults, FileOp op, int kind, unsigned nth)
{
    return faults_add(faults, &(FaultRule){.op = op, .kind = kind, .nth = nth, .hold = true});
}

static Rule *rule_locked(Faults *faults, unsigned number)
{
    return g_ptr_array_index(faults->rules, number);
}

void faults_clear(Faults *faults)
{
    pthread_mutex_lock(&faults->mutex);
    for (guint i = 0; i < faults->rules->len; i++)
        rule_locked(faults, i)->off = true;
    pthread_cond_broadcast(&faults->changed);
    pthread_mutex_unlock(&faults->mutex);
}

bool faults_wait_held(Faults *faults, unsigned rule, unsigned timeout_ms)
{
    struct timespec until;
    bool held;
    int err = 0;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += timeout_ms / 1000;
    until.tv_nsec += (long)(timeout_ms % 1000) * 1000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_mutex_lock(&faults->mutex);
    while (!rule_locked(faults, rule)->held && !err)
        err = pthread_cond_timedwait(&faults->changed, &faults->mutex, &until);
    held = rule_locked(faults, rule)->held > 0;
    pthread_mutex_unlock(&faults->mutex);
    return held;
}

void faults_release(Faults *faults, unsigned rule)
{
    pthread_mutex_lock(&faults->mutex);
    rule_locked(faults, rule)->off = true;
    pthread_cond_broadcast(&faults->changed);
    pthread_mutex_unlock(&faults->mutex);
}

uint64_t faults_count(Faults *faults, FileOp op, int kind)
{
    uint64_t count = 0;

    pthread_mutex_lock(&faults->mutex);
    for (int i = 0; i <= VHD_IO_KINDS; i++)
        if (kind == FILE_KIND_ANY || kind == i)
            count += faults->counts[op][i];
    pthread_mutex_unlock(&faults->mutex);
    return count;
}

uint64_t faults_failed(Faults *faults)
{
    uint64_t failed;

    pthread_mutex_lock(&faults->mutex);
    failed = faults->failed;
    pthread_mutex_unlock(&faults->mutex);
    return failed;
}

/* Whether the rule, which has just seen one more operation, applies to it. */
static bool rule_fires(Rule *rule)
{
    bool fires =
        rule->seen == rule->rule.nth || (rule->rule.forever && rule->seen > rule->rule.nth);

    return fires && !rule->off;
}

static void hold_locked(Faults *faults, Rule *rule)
{
    rule->held++;
    pthread_cond_broadcast(&faults->changed);
    while (!rule->off)
        pthread_cond_wait(&faults->changed, &faults->mutex);
    rule->held--;
}

/* Count the operation, apply the rules, stay here while it is held before. */
static Verdict operation_begin(Faults *faults, FileOp op, int kind)
{
    Verdict verdict = {.rule_after = -1};
    int fired = -1;

    pthread_mutex_lock(&faults->mutex);
    faults->counts[op][kind == FILE_KIND_ANY ? VHD_IO_KINDS : kind]++;
    for (guint i = 0; i < faults->rules->len; i++) {
        Rule *rule = rule_locked(faults, i);

        if (rule->rule.op != op || (rule->rule.kind != FILE_KIND_ANY && rule->rule.kind != kind))
            continue;
        rule->seen++;
        if (fired < 0 && rule_fires(rule))
            fired = (int)i;
    }
    if (fired >= 0) {
        Rule *rule = rule_locked(faults, (unsigned)fired);

        verdict.error = -rule->rule.error;
        verdict.bytes = rule->rule.bytes;
        faults->failed += rule->rule.error != 0;
        if (rule->rule.hold && rule->rule.after)
            verdict.rule_after = fired;
        else if (rule->rule.hold)
            hold_locked(faults, rule);
    }
    pthread_mutex_unlock(&faults->mutex);
    return verdict;
}

/* Stay here while the operation is held after; result is passed through. */
static int operation_end(Faults *faults, const Verdict *verdict, int result)
{
    if (verdict->rule_after >= 0) {
        pthread_mutex_lock(&faults->mutex);
        hold_locked(faults, rule_locked(faults, (unsigned)verdict->rule_after));
        pthread_mutex_unlock(&faults->mutex);
    }
    return result;
}

/* The operations */

static FaultFile *fault_file(VhdFile *file)
{
    return (FaultFile *)file;
}

/* Run call, an expression about inner, under the rules for op and kind. */
#define UNDER_RULES(file, op, kind, call)                                                          \
    FaultFile *fault = fault_file(file);                                                           \
    VhdFile *inner = fault->inner;                                                                 \
    Verdict verdict = operation_begin(fault->faults, op, kind);                                    \
    return operation_end(fault->faults, &verdict, verdict.error ? verdict.error : (call))

typedef int (*Transfer)(VhdFile *file, VhdIoKind kind, uint64_t off, const struct iovec *iov,
                        int iovcnt);

/* The first bytes of iov only. */
static int transfer_part(Transfer call, VhdFile *inner, VhdIoKind kind, uint64_t off,
                         const struct iovec *iov, int iovcnt, uint64_t bytes)
{
    int err = 0;

    for (int i = 0; i < iovcnt && bytes > 0 && !err; i++) {
        struct iovec part = {iov[i].iov_base, MIN(iov[i].iov_len, bytes)};

        err = call(inner, kind, off, &part, 1);
        off += part.iov_len;
        bytes -= part.iov_len;
    }
    return err;
}

static int transfer(Transfer call, FileOp op, FaultFile *fault, VhdIoKind kind, uint64_t off,
                    const struct iovec *iov, int iovcnt)
{
    Verdict verdict = operation_begin(fault->faults, op, (int)kind);
    int err;

    if (verdict.error) {
        transfer_part(call, fault->inner, kind, off, iov, iovcnt, verdict.bytes);
        err = verdict.error;
    } else {
        err = call(fault->inner, kind, off, iov, iovcnt);
    }
    return operation_end(fault->faults, &verdict, err);
}

static int fault_readv(VhdFile *file, VhdIoKind kind, uint64_t off, const struct iovec *iov,
                       int iovcnt)
{
    return transfer(vhd_file_readv, FILE_OP_READ, fault_file(file), kind, off, iov, iovcnt);
}

static int fault_writev(VhdFile *file, VhdIoKind kind, uint64_t off, const struct iovec *iov,
                        int iovcnt)
{
    return transfer(vhd_file_writev, FILE_OP_WRITE, fault_file(file), kind, off, iov, iovcnt);
}

static int fault_barrier(VhdFile *file)
{
    UNDER_RULES(file, FILE_OP_BARRIER, FILE_KIND_ANY, vhd_file_barrier(inner));
}

static int fault_info(VhdFile *file, VhdFileInfo *info)
{
    UNDER_RULES(file, FILE_OP_INFO, FILE_KIND_ANY, vhd_file_info(inner, info));
}

static int fault_resize(VhdFile *file, uint64_t bytes)
{
    UNDER_RULES(file, FILE_OP_RESIZE, FILE_KIND_ANY, vhd_file_resize(inner, bytes));
}

static int fault_punch(VhdFile *file, VhdIoKind kind, uint64_t off, uint64_t len)
{
    UNDER_RULES(file, FILE_OP_PUNCH, (int)kind, vhd_file_punch(inner, kind, off, len));
}

static int fault_claim(VhdFile *file, uint64_t off, uint64_t len)
{
    UNDER_RULES(file, FILE_OP_CLAIM, FILE_KIND_ANY, vhd_file_claim(inner, off, len));
}

static int fault_drop_cache(VhdFile *file, uint64_t off, uint64_t len)
{
    UNDER_RULES(file, FILE_OP_DROP_CACHE, FILE_KIND_ANY, vhd_file_drop_cache(inner, off, len));
}

static int fault_next_data(VhdFile *file, uint64_t off, uint64_t *start, uint64_t *end)
{
    UNDER_RULES(file, FILE_OP_NEXT_DATA, FILE_KIND_ANY, vhd_file_next_data(inner, off, start, end));
}

static int fault_lock(VhdFile *file, uint64_t byte, short type)
{
    UNDER_RULES(file, FILE_OP_LOCK, FILE_KIND_ANY, inner->ops->lock(inner, byte, type));
}

static int fault_lock_test(VhdFile *file, uint64_t byte)
{
    UNDER_RULES(file, FILE_OP_LOCK_TEST, FILE_KIND_ANY, inner->ops->lock_test(inner, byte));
}

static int fault_rename(VhdFile *file, const char *path, bool replace)
{
    UNDER_RULES(file, FILE_OP_RENAME, FILE_KIND_ANY, inner->ops->rename(inner, path, replace));
}

static void fault_close(VhdFile *file)
{
    FaultFile *fault = fault_file(file);

    vhd_file_close(fault->inner);
    faults_unref(fault->faults);
    vhd_file_release(file);
    g_free(fault);
}

static const VhdFileOps fault_ops = {
    .readv = fault_readv,
    .writev = fault_writev,
    .barrier = fault_barrier,
    .info = fault_info,
    .resize = fault_resize,
    .punch = fault_punch,
    .claim = fault_claim,
    .drop_cache = fault_drop_cache,
    .next_data = fault_next_data,
    .lock = fault_lock,
    .lock_test = fault_lock_test,
    .rename = fault_rename,
    .close = fault_close,
};

VhdFile *fault_file_new(VhdFile *inner, Faults *faults)
{
    FaultFile *fault = g_new0(FaultFile, 1);

    fault->base.ops = &fault_ops;
    fault->base.name = g_strdup(inner->name);
    fault->base.folder = g_strdup(inner->folder);
    fault->base.writable = inner->writable;
    fault->inner = inner;
    fault->faults = faults_ref(faults);
    return &fault->base;
}
