/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * Files whose every change is synced, and the account of it somewhere else.
 *
 *   synced-files write FOLDER RECORD OFFSET STEPS [CUT-AFTER CUT-FILE]
 *   synced-files verify FOLDER RECORD OFFSET
 *
 * THREADS writers take steps, numbered from 1 in each thread. A step replaces one of the thread's
 * FILES files by a new one (written, synced, renamed, folder synced) and appends an entry to the
 * thread's log (written, synced). Only then its number is written to the thread's sector at RECORD,
 * a file or a block device, from OFFSET on: synced, too, past every cache. Writing goes on from
 * what RECORD says, and ends after STEPS steps more of all threads; when CUT-AFTER of them are done
 * it makes CUT-FILE and goes on.
 *
 * verify: each file is as the last step recorded left it, or as the step after that would; the log
 * has every entry up to there.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECTOR    512
#define THREADS   4
#define FILES     8u
#define UNITS_MAX 64u /* of a file, in sectors */

/* 512 bytes of a file, of the log or of the record. */
typedef struct Unit {
    uint64_t magic, thread, step, index, units;
    uint64_t bytes[SECTOR / 8 - 5];
} Unit;

typedef struct Load {
    int folder, record;
    uint64_t offset, cut_after;
    const char *cut_file;
    _Atomic int64_t to_do;
    _Atomic uint64_t done;
    _Atomic bool failed;
} Load;

typedef struct Writer {
    Load *load;
    pthread_t thread;
    unsigned index;
    uint64_t step; /* the last one recorded */
} Writer;

static const uint64_t file_magic = 0x656c69662d646876, log_magic = 0x2d676f6c2d646876;

static void make_unit(Unit *unit, uint64_t magic, uint64_t thread, uint64_t step, uint64_t index,
                      uint64_t units)
{
    uint64_t x = magic ^ (thread << 56) ^ (step << 16) ^ index;

    *unit = (Unit){magic, thread, step, index, units, {0}};
    for (size_t i = 0; i < sizeof(unit->bytes) / 8; i++) {
        x = (x ^ (x >> 31)) * 0x7fb5d329728ea185u + 0x9e3779b97f4a7c15u;
        unit->bytes[i] = x;
    }
}

/* From one sector to 32 KiB, by turns. */
static uint64_t units_of(uint64_t step)
{
    return step * 29 % UNITS_MAX + 1;
}

static bool complain(const char *what, unsigned thread)
{
    fprintf(stderr, "synced-files: %s, thread %u: %s\n", what, thread, strerror(errno));
    return false;
}

/* ------------------------------------------------------------------ record */

/* Past the page cache and synced, where a device can do so; what a share does is the host's. */
static int open_record(const char *path, int flags)
{
    struct stat status;

    if (stat(path, &status) == 0 && S_ISBLK(status.st_mode))
        return open(path, flags | O_DIRECT | O_DSYNC);
    return open(path, flags | O_CREAT | O_DSYNC, 0644);
}

/* The last step recorded; a record that was never written says 0. */
static bool read_record(int fd, uint64_t offset, unsigned thread, uint64_t *step)
{
    _Alignas(4096) Unit record;
    ssize_t got = pread(fd, &record, sizeof(record), (off_t)(offset + (uint64_t)thread * SECTOR));

    if (got < 0)
        return complain("reading the record", thread);
    *step = got == sizeof(record) && record.magic == log_magic ? record.step : 0;
    return true;
}

static bool write_record(const Writer *writer)
{
    _Alignas(4096) Unit record;
    off_t at = (off_t)(writer->load->offset + (uint64_t)writer->index * SECTOR);

    make_unit(&record, log_magic, writer->index, writer->step, 0, 1);
    return pwrite(writer->load->record, &record, sizeof(record), at) == sizeof(record) ||
           complain("recording", writer->index);
}

/* ------------------------------------------------------------------- write */

static bool write_units(int fd, const Writer *writer, uint64_t units)
{
    Unit unit;

    for (uint64_t i = 0; i < units; i++) {
        make_unit(&unit, file_magic, writer->index, writer->step, i, units);
        if (write(fd, &unit, sizeof(unit)) != sizeof(unit))
            return complain("writing a file", writer->index);
    }
    return fsync(fd) == 0 || complain("syncing a file", writer->index);
}

static bool replace_file(const Writer *writer)
{
    int folder = writer->load->folder;
    char name[32], new_name[32];
    bool good;
    int fd;

    snprintf(name, sizeof(name), "%u-%u", writer->index, (unsigned)(writer->step % FILES));
    snprintf(new_name, sizeof(new_name), "%u-new", writer->index);
    fd = openat(folder, new_name, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (fd < 0)
        return complain("making a file", writer->index);
    good = write_units(fd, writer, units_of(writer->step));
    close(fd);
    if (!good)
        return false;
    return (renameat(folder, new_name, folder, name) == 0 && fsync(folder) == 0) ||
           complain("renaming a file", writer->index);
}

static bool append_log(const Writer *writer)
{
    char name[32];
    Unit unit;
    bool good;
    int fd;

    snprintf(name, sizeof(name), "%u-log", writer->index);
    fd = openat(writer->load->folder, name, O_WRONLY | O_CREAT, 0644);
    if (fd < 0)
        return complain("opening the log", writer->index);
    make_unit(&unit, log_magic, writer->index, writer->step, 0, 1);
    good = pwrite(fd, &unit, sizeof(unit), (off_t)((writer->step - 1) * SECTOR)) == sizeof(unit) &&
           fdatasync(fd) == 0;
    close(fd);
    return good || complain("appending to the log", writer->index);
}

static bool cut_when_due(Load *load)
{
    int fd;

    if (atomic_fetch_add(&load->done, 1) + 1 != load->cut_after)
        return true;
    fd = open(load->cut_file, O_WRONLY | O_CREAT, 0644);
    if (fd < 0)
        return complain("asking for the power cut", 0);
    close(fd);
    return true;
}

static void *run_writer(void *data)
{
    Writer *writer = data;
    Load *load = writer->load;
    bool good = true;

    while (good && atomic_fetch_sub(&load->to_do, 1) > 0) {
        writer->step++;
        good = replace_file(writer) && append_log(writer) && write_record(writer) &&
               cut_when_due(load);
    }
    if (!good)
        atomic_store(&load->failed, true);
    return NULL;
}

static int write_load(Load *load)
{
    Writer writers[THREADS];

    for (unsigned i = 0; i < THREADS; i++) {
        writers[i] = (Writer){.load = load, .index = i};
        if (!read_record(load->record, load->offset, i, &writers[i].step))
            return 1;
    }
    for (unsigned i = 0; i < THREADS; i++)
        if (pthread_create(&writers[i].thread, NULL, run_writer, &writers[i]) != 0)
            return 1;
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(writers[i].thread, NULL);
    return atomic_load(&load->failed) ? 1 : 0;
}

/* ------------------------------------------------------------------ verify */

static bool holds_unit(int fd, uint64_t off, const Unit *wanted)
{
    Unit unit;

    return pread(fd, &unit, sizeof(unit), (off_t)off) == sizeof(unit) &&
           memcmp(&unit, wanted, sizeof(unit)) == 0;
}

/* The file is the whole one of that step. */
static bool holds_step(int fd, unsigned thread, uint64_t step)
{
    uint64_t units = units_of(step);
    struct stat status;
    Unit wanted;

    if (fstat(fd, &status) != 0 || (uint64_t)status.st_size != units * SECTOR)
        return false;
    for (uint64_t i = 0; i < units; i++) {
        make_unit(&wanted, file_magic, thread, step, i, units);
        if (!holds_unit(fd, i * SECTOR, &wanted))
            return false;
    }
    return true;
}

/* The file that step made last, when steps up to recorded had been recorded. */
static bool verify_file(int folder, unsigned thread, uint64_t step, uint64_t recorded)
{
    char name[32];
    bool good;
    int fd;

    snprintf(name, sizeof(name), "%u-%u", thread, (unsigned)(step % FILES));
    fd = openat(folder, name, O_RDONLY);
    good = fd >= 0 && (holds_step(fd, thread, step) ||
                       (step + FILES == recorded + 1 && holds_step(fd, thread, step + FILES)));
    if (fd >= 0)
        close(fd);
    if (!good)
        printf("file %s is not what step %ju made, of %ju recorded\n", name, (uintmax_t)step,
               (uintmax_t)recorded);
    return good;
}

static bool verify_log(int folder, unsigned thread, uint64_t recorded)
{
    char name[32];
    Unit wanted;
    uint64_t step = 0;
    int fd;

    snprintf(name, sizeof(name), "%u-log", thread);
    fd = openat(folder, name, O_RDONLY);
    while (fd >= 0 && step < recorded) {
        make_unit(&wanted, log_magic, thread, step + 1, 0, 1);
        if (!holds_unit(fd, step * SECTOR, &wanted))
            break;
        step++;
    }
    if (fd >= 0)
        close(fd);
    if (step < recorded)
        printf("%s lacks entry %ju, of %ju recorded\n", name, (uintmax_t)step + 1,
               (uintmax_t)recorded);
    return step == recorded;
}

static int verify(const Load *load)
{
    uint64_t recorded, steps = 0;
    bool good = true;

    for (unsigned thread = 0; thread < THREADS; thread++) {
        if (!read_record(load->record, load->offset, thread, &recorded))
            return 1;
        for (uint64_t step = recorded; step > 0 && step + FILES > recorded; step--)
            good &= verify_file(load->folder, thread, step, recorded);
        good &= verify_log(load->folder, thread, recorded);
        steps += recorded;
    }
    printf("%ju steps recorded: %s\n", (uintmax_t)steps, good ? "all there" : "NOT all there");
    return good ? 0 : 1;
}

int main(int argc, char **argv)
{
    bool writes = argc > 1 && strcmp(argv[1], "write") == 0;
    Load load = {0};

    if (writes ? argc != 6 && argc != 8 : argc != 5 || strcmp(argv[1], "verify") != 0) {
        fprintf(stderr, "Usage: synced-files write|verify ..., see the top of its source\n");
        return 2;
    }
    load.folder = open(argv[2], O_RDONLY | O_DIRECTORY);
    load.record = open_record(argv[3], writes ? O_RDWR : O_RDONLY);
    load.offset = strtoull(argv[4], NULL, 10);
    if (load.folder < 0 || load.record < 0) {
        perror("synced-files");
        return 1;
    }
    if (!writes)
        return verify(&load);
    load.to_do = strtoll(argv[5], NULL, 10);
    load.cut_after = argc == 8 ? strtoull(argv[6], NULL, 10) : 0;
    load.cut_file = argc == 8 ? argv[7] : NULL;
    return write_load(&load);
}
