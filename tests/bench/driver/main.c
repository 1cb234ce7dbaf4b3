/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * bench-driver: one workload through a handler of tcmu-runner, measured.  Prints one line of JSON.
 * Exit status 0; 1: a command failed; 2: usage, or the LUN cannot be opened.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <glib.h>

#include "allocations.h"
#include "lane.h"

static char *opt_handler, *opt_op, **opt_configs, **opt_drop;
static gint64 opt_size, opt_block = 4096, opt_start, opt_area, opt_requests, opt_seed = 1;
static gint64 opt_stride, opt_phase;
static int opt_depth = 1, opt_flush_every;
static double opt_seconds;
static gboolean opt_warm, opt_verbose;
static char *opt_count_open;

static const GOptionEntry options[] = {
    {"handler", 0, 0, G_OPTION_ARG_FILENAME, &opt_handler, "the handler's shared object", "PATH"},
    {"config", 0, 0, G_OPTION_ARG_STRING_ARRAY, &opt_configs,
     "config string, subtype/...; several: so many LUNs at once", "STRING"},
    {"size", 0, 0, G_OPTION_ARG_INT64, &opt_size, "of the LUN, where the handler must be told",
     "BYTES"},
    {"op", 0, 0, G_OPTION_ARG_STRING, &opt_op, "randread, randwrite, seqread, seqwrite", "OP"},
    {"block", 0, 0, G_OPTION_ARG_INT64, &opt_block, "of a request (4096)", "BYTES"},
    {"depth", 0, 0, G_OPTION_ARG_INT, &opt_depth, "requests in flight (1)", "N"},
    {"start", 0, 0, G_OPTION_ARG_INT64, &opt_start, "where the area begins (0)", "BYTES"},
    {"area", 0, 0, G_OPTION_ARG_INT64, &opt_area, "what is read or written (to the end)", "BYTES"},
    {"stride", 0, 0, G_OPTION_ARG_INT64, &opt_stride, "every N-th block of the area only", "N"},
    {"phase", 0, 0, G_OPTION_ARG_INT64, &opt_phase, "beginning with this one", "N"},
    {"requests", 0, 0, G_OPTION_ARG_INT64, &opt_requests,
     "how many (each block of the area once); a LUN", "N"},
    {"seconds", 0, 0, G_OPTION_ARG_DOUBLE, &opt_seconds, "how long, instead", "SECONDS"},
    {"flush-every", 0, 0, G_OPTION_ARG_INT, &opt_flush_every, "writes between two flushes (never)",
     "N"},
    {"seed", 0, 0, G_OPTION_ARG_INT64, &opt_seed, "where random numbers begin (1)", "N"},
    {"warm", 0, 0, G_OPTION_ARG_NONE, &opt_warm, "read the whole area first", NULL},
    {"drop", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &opt_drop,
     "take this file out of the page cache just before; several: each", "FILE"},
    {"count-open", 0, 0, G_OPTION_ARG_FILENAME, &opt_count_open,
     "tell how often this process has this file open", "FILE"},
    {"verbose", 'v', 0, G_OPTION_ARG_NONE, &opt_verbose, "print the handler's log", NULL},
    {0}};

G_GNUC_PRINTF(1, 2) G_GNUC_NORETURN static void refuse(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    fputs("bench-driver: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    exit(2);
}

static void parse(int *argc, char ***argv)
{
    g_autoptr(GOptionContext) context = g_option_context_new(NULL);
    g_autoptr(GError) error = NULL;

    g_option_context_add_main_entries(context, options, NULL);
    if (!g_option_context_parse(context, argc, argv, &error))
        refuse("%s", error->message);
    if (!opt_handler || !opt_configs || !opt_op)
        refuse("--handler, --config and --op are needed; see --help");
    if (opt_block <= 0 || opt_block % 512 != 0 || opt_block / 512 > UINT16_MAX || opt_depth < 1 ||
        opt_start < 0 || opt_start % 512 != 0 || opt_area < 0 || opt_requests < 0 ||
        opt_flush_every < 0 || opt_stride < 0 || opt_phase < 0 || opt_seconds < 0)
        refuse("a number is out of its range; see --help");
}

static Workload workload_of_options(void)
{
    Workload workload = {
        .write = strstr(opt_op, "write") != NULL,
        .random = g_str_has_prefix(opt_op, "rand"),
        .block = (uint32_t)opt_block,
        .start = (uint64_t)opt_start,
        .area = (uint64_t)opt_area,
        .stride = (uint64_t)opt_stride,
        .phase = (uint64_t)opt_phase,
        .depth = (unsigned)opt_depth,
        .requests = (uint64_t)opt_requests,
        .seconds = opt_seconds,
        .flush_every = (unsigned)opt_flush_every,
        .seed = (uint64_t)opt_seed,
    };
    static const char *const ops[] = {"randread", "randwrite", "seqread", "seqwrite", NULL};

    if (!g_strv_contains(ops, opt_op))
        refuse("--op %s is not known; see --help", opt_op);
    return workload;
}

/* Without a number of requests or seconds: each block once. */
static uint64_t blocks_of(const Workload *workload, uint64_t bytes)
{
    Order order;
    uint64_t count;

    if (!order_init(&order, workload, bytes))
        refuse("the area is not inside the LUN of %" G_GUINT64_FORMAT " bytes", bytes);
    count = order.count;
    order_release(&order);
    return count;
}

typedef struct Cost {
    double seconds, user_s, system_s;
    uint64_t allocations;
} Cost;

static Cost cost_now(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return (Cost){
        .seconds = (double)g_get_monotonic_time() / 1e6,
        .user_s = (double)usage.ru_utime.tv_sec + (double)usage.ru_utime.tv_usec / 1e6,
        .system_s = (double)usage.ru_stime.tv_sec + (double)usage.ru_stime.tv_usec / 1e6,
        .allocations = allocations_count(),
    };
}

static Cost cost_since(const Cost *before)
{
    Cost now = cost_now();

    return (Cost){now.seconds - before->seconds, now.user_s - before->user_s,
                  now.system_s - before->system_s, now.allocations - before->allocations};
}

typedef struct Luns {
    Lane **lanes;
    LaneResult *results;
    unsigned count;
} Luns;

/* Runs the workload on every LUN at once. */
static Cost run(Luns *luns, const Workload *workload)
{
    pthread_barrier_t gate;
    Cost before;

    pthread_barrier_init(&gate, NULL, luns->count + 1);
    for (unsigned i = 0; i < luns->count; i++) {
        if (!lane_start(luns->lanes[i], workload, &gate))
            refuse("the area is not inside the LUN");
    }
    before = cost_now();
    pthread_barrier_wait(&gate);
    for (unsigned i = 0; i < luns->count; i++)
        luns->results[i] = lane_finish(luns->lanes[i]);
    pthread_barrier_destroy(&gate);
    return cost_since(&before);
}

/*
 * Reads the area once, as the workload is: in which pieces the kernel keeps a file depends on how
 * it was read, and what a write into them costs depends on their size.
 */
static void warm(Luns *luns, const Workload *workload)
{
    Workload reading = *workload;

    reading.write = false;
    reading.flush_every = 0;
    reading.requests = blocks_of(&reading, lane_bytes(luns->lanes[0]));
    run(luns, &reading);
}

/* Only clean pages go. */
static void drop(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0 || fsync(fd) != 0 || posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) != 0)
        refuse("%s: %s", path, g_strerror(errno));
    close(fd);
}

/* Kilobytes of memory that are this process's. */
static long resident_kib(void)
{
    g_autofree char *text = NULL;
    const char *line;

    if (!g_file_get_contents("/proc/self/status", &text, NULL, NULL))
        return 0;
    line = strstr(text, "RssAnon:");
    return line ? strtol(line + strlen("RssAnon:"), NULL, 10) : 0;
}

typedef struct Memory {
    long none_kib, first_kib, all_kib; /* before the first LUN, with it, with all */
    double first_s, all_s;             /* of opening them */
} Memory;

static Memory open_luns(Luns *luns, RunnerHandler *handler)
{
    double started = cost_now().seconds;
    Memory memory = {.none_kib = resident_kib()};
    char *error;

    luns->count = g_strv_length(opt_configs);
    luns->lanes = g_new0(Lane *, luns->count);
    luns->results = g_new0(LaneResult, luns->count);
    for (unsigned i = 0; i < luns->count; i++) {
        luns->lanes[i] = lane_open(handler, opt_configs[i], (uint64_t)opt_size, &error);
        if (!luns->lanes[i])
            refuse("%s: %s", opt_configs[i], error);
        if (i == 0) {
            memory.first_s = cost_now().seconds - started;
            memory.first_kib = resident_kib();
        }
    }
    memory.all_s = cost_now().seconds - started;
    memory.all_kib = resident_kib();
    return memory;
}

/* How many descriptors of this process are of the file. */
static unsigned count_open(const char *path)
{
    g_autoptr(GDir) folder = g_dir_open("/proc/self/fd", 0, NULL);
    struct stat wanted, st;
    unsigned count = 0;
    const char *name;

    if (!folder || stat(path, &wanted) != 0)
        refuse("%s: %s", path, g_strerror(errno));
    while ((name = g_dir_read_name(folder)) != NULL) {
        g_autofree char *link = g_build_filename("/proc/self/fd", name, NULL);
        count += stat(link, &st) == 0 && st.st_dev == wanted.st_dev && st.st_ino == wanted.st_ino;
    }
    return count;
}

static void print_memory(const Luns *luns, const Memory *memory)
{
    printf("\"luns\": %u, \"open_first_s\": %.6f, \"open_all_s\": %.6f, \"none_kib\": %ld, "
           "\"first_kib\": %ld, \"all_kib\": %ld, \"end_kib\": %ld",
           luns->count, memory->first_s, memory->all_s, memory->none_kib, memory->first_kib,
           memory->all_kib, resident_kib());
    if (opt_count_open)
        printf(", \"open_files\": %u", count_open(opt_count_open));
}

/* False: a command has failed. */
static bool print_result(const Luns *luns, const Cost *cost)
{
    LaneResult all = {.failed_status = TCMU_STS_OK};
    double fewest = 0, most = 0;

    for (unsigned i = 0; i < luns->count; i++) {
        const LaneResult *one = &luns->results[i];
        double rate = (double)one->requests / one->seconds;
        fewest = i == 0 ? rate : MIN(fewest, rate);
        most = MAX(most, rate);
        all.requests += one->requests;
        all.flushes += one->flushes;
        all.bytes += one->bytes;
        all.inline_requests += one->inline_requests;
        if (one->failed_status != TCMU_STS_OK && all.failed_status == TCMU_STS_OK) {
            char text[RUNNER_CDB_TEXT];
            all.failed_status = one->failed_status;
            fprintf(stderr, "bench-driver: %s: status %d of %s\n", opt_configs[i],
                    one->failed_status, runner_cdb_text(one->failed_cdb, text));
        }
    }
    printf("\"requests\": %" G_GUINT64_FORMAT ", \"flushes\": %" G_GUINT64_FORMAT
           ", \"inline\": %" G_GUINT64_FORMAT
           ", \"seconds\": %.6f, \"iops\": %.1f, \"mb_s\": %.3f, \"user_s\": %.6f, "
           "\"system_s\": %.6f, ",
           all.requests, all.flushes, all.inline_requests, cost->seconds,
           (double)all.requests / cost->seconds, (double)all.bytes / 1e6 / cost->seconds,
           cost->user_s, cost->system_s);
    if (allocations_can_count())
        printf("\"allocations\": %" G_GUINT64_FORMAT ", ", cost->allocations);
    printf("\"lun_iops_min\": %.1f, \"lun_iops_max\": %.1f", fewest, most);
    return all.failed_status == TCMU_STS_OK;
}

int main(int argc, char **argv)
{
    RunnerHandler *handler;
    Workload workload;
    Luns luns;
    Memory memory;
    Cost cost;
    char *error;
    bool good;

    parse(&argc, &argv);
    workload = workload_of_options();
    runner_log_print_level(opt_verbose ? 8 : 4);
    handler = runner_load(opt_handler, &error);
    if (!handler)
        refuse("%s", error);
    memory = open_luns(&luns, handler);
    if (workload.area == 0)
        workload.area = lane_bytes(luns.lanes[0]) - workload.start;
    if (workload.requests == 0 && workload.seconds == 0)
        workload.requests = blocks_of(&workload, lane_bytes(luns.lanes[0]));
    if (opt_warm)
        warm(&luns, &workload);
    for (char **path = opt_drop; path && *path; path++)
        drop(*path);
    cost = run(&luns, &workload);
    printf("{");
    good = print_result(&luns, &cost);
    printf(", ");
    print_memory(&luns, &memory);
    printf("}\n");
    for (unsigned i = 0; i < luns.count; i++)
        lane_close(luns.lanes[i]);
    g_free(luns.lanes);
    g_free(luns.results);
    runner_unload(handler);
    return good ? 0 : 1;
}
