/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * Which sectors of a disk were written with what, and which of that was acknowledged.
 *
 *   sector-ledger fill SECTORS                    to stdout: a disk that was never written to
 *   sector-ledger write DISK LEDGER FIRST SECTORS WRITES [SYNC-EVERY [KILL-AFTER PID]]
 *   sector-ledger verify LEDGER FIRST SECTORS     from stdin: that range of the disk
 *
 * Each sector holds its number, the number of the write that put it there (0: fill) and bytes made
 * of both. LEDGER has for each sector the last write begun and the last one acknowledged; verify
 * allows these two and nothing else. It is a mapped file: it tells the truth about the death of the
 * disk's server, not about that of this program.
 *
 * THREADS writers share FIRST..FIRST+SECTORS in alternating slots, so that none waits for another,
 * each sector has one write in flight, and all blocks see several at once. With SYNC-EVERY each
 * writer flushes after so many writes of its own (0: never). When KILL-AFTER writes were
 * acknowledged, and others are in flight, PID is killed with SIGKILL, and writing goes on.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define SECTOR       512
#define SLOT_SECTORS 16
#define THREADS      8

typedef struct Account {
    uint64_t begun, acknowledged;
} Account;

typedef struct Content {
    uint64_t sector, write;
    uint64_t bytes[SECTOR / 8 - 2];
} Content;

/* What all writers share. */
typedef struct Load {
    int disk;
    Account *accounts;
    uint64_t first, slots;
    uint64_t writes, sync_every, kill_after;
    pid_t victim; /* 0: nobody, or killed */
    _Atomic uint64_t next_write;
    _Atomic int64_t to_do;
    _Atomic uint64_t acknowledged;
    _Atomic int in_flight;
    atomic_flag killed;
    _Atomic bool failed;
} Load;

typedef struct Writer {
    Load *load;
    pthread_t thread;
    uint64_t index, state;
} Writer;

static uint64_t next_random(uint64_t *state)
{
    uint64_t x = *state += 0x9e3779b97f4a7c15u;

    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

static void make_content(Content *content, uint64_t sector, uint64_t write)
{
    uint64_t state = sector * 0x10001 + write * 0x1000000007;

    content->sector = sector;
    content->write = write;
    for (size_t i = 0; i < sizeof(content->bytes) / 8; i++)
        content->bytes[i] = next_random(&state);
}

static uint64_t number(const char *text)
{
    char *end;
    uint64_t value = strtoull(text, &end, 10);

    if (*text == '\0' || *end != '\0') {
        fprintf(stderr, "sector-ledger: '%s' is no number\n", text);
        exit(2);
    }
    return value;
}

/* The ledger of sectors before end, made longer if it has to be. */
static Account *map_ledger(const char *path, uint64_t end)
{
    int fd = open(path, O_RDWR | O_CREAT, 0644);
    size_t bytes = end * sizeof(Account);
    Account *accounts;

    if (fd < 0 || (lseek(fd, 0, SEEK_END) < (off_t)bytes && ftruncate(fd, (off_t)bytes) != 0))
        return NULL;
    accounts = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    return accounts == MAP_FAILED ? NULL : accounts;
}

static int fill(uint64_t sectors)
{
    Content content;

    for (uint64_t sector = 0; sector < sectors; sector++) {
        make_content(&content, sector, 0);
        if (fwrite(&content, sizeof(content), 1, stdout) != 1)
            return 1;
    }
    return fflush(stdout) == 0 ? 0 : 1;
}

/* ------------------------------------------------------------------ write */

/* Kills the victim once enough was acknowledged, at an instant when others wait for it. */
static void maybe_kill(Load *load)
{
    uint64_t acknowledged = atomic_fetch_add(&load->acknowledged, 1) + 1;
    int in_flight = atomic_load(&load->in_flight);

    if (load->victim == 0 || acknowledged < load->kill_after || in_flight == 0 ||
        atomic_flag_test_and_set(&load->killed))
        return;
    if (kill(load->victim, SIGKILL) != 0)
        perror("sector-ledger: kill");
    else
        printf("killed after %ju writes, with %d in flight\n", (uintmax_t)acknowledged, in_flight);
    fflush(stdout);
}

static bool write_some(Writer *writer, Content *buffer)
{
    Load *load = writer->load;
    uint64_t mine = (load->slots - writer->index + THREADS - 1) / THREADS;
    uint64_t slot = next_random(&writer->state) % mine * THREADS + writer->index;
    uint64_t skip = next_random(&writer->state) % SLOT_SECTORS;
    uint64_t count = next_random(&writer->state) % (SLOT_SECTORS - skip) + 1;
    uint64_t sector = load->first + slot * SLOT_SECTORS + skip;
    uint64_t write = atomic_fetch_add(&load->next_write, 1);
    ssize_t done;

    for (uint64_t i = 0; i < count; i++) {
        make_content(&buffer[i], sector + i, write);
        load->accounts[sector + i].begun = write;
    }
    atomic_fetch_add(&load->in_flight, 1);
    done = pwrite(load->disk, buffer, count * SECTOR, (off_t)(sector * SECTOR));
    atomic_fetch_sub(&load->in_flight, 1);
    if (done != (ssize_t)(count * SECTOR)) {
        fprintf(stderr, "sector-ledger: writing %ju sectors at %ju: %s\n", (uintmax_t)count,
                (uintmax_t)sector, done < 0 ? strerror(errno) : "short");
        return false;
    }
    for (uint64_t i = 0; i < count; i++)
        load->accounts[sector + i].acknowledged = write;
    maybe_kill(load);
    return true;
}

static bool flush(Load *load)
{
    if (fdatasync(load->disk) == 0)
        return true;
    perror("sector-ledger: flush");
    return false;
}

static void *run_writer(void *data)
{
    Writer *writer = data;
    Load *load = writer->load;
    Content *buffer = aligned_alloc(4096, SLOT_SECTORS * SECTOR);
    bool good = buffer != NULL;

    for (uint64_t n = 1; good && atomic_fetch_sub(&load->to_do, 1) > 0; n++) {
        good = write_some(writer, buffer);
        if (good && load->sync_every != 0 && n % load->sync_every == 0)
            good = flush(load);
    }
    free(buffer);
    if (!good)
        atomic_store(&load->failed, true);
    return NULL;
}

static uint64_t last_write(const Account *accounts, uint64_t end)
{
    uint64_t last = 0;

    for (uint64_t i = 0; i < end; i++)
        if (accounts[i].begun > last)
            last = accounts[i].begun;
    return last;
}

static int run_load(Load *load)
{
    Writer writers[THREADS];

    for (unsigned i = 0; i < THREADS; i++) {
        writers[i] = (Writer){.load = load, .index = i};
        writers[i].state = atomic_load(&load->next_write) * THREADS + i;
        if (pthread_create(&writers[i].thread, NULL, run_writer, &writers[i]) != 0)
            exit(1);
    }
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(writers[i].thread, NULL);
    if (load->victim != 0 && !atomic_flag_test_and_set(&load->killed)) {
        fprintf(stderr, "sector-ledger: all was written before anything was killed\n");
        return 1;
    }
    return atomic_load(&load->failed) ? 1 : 0;
}

static int write_load(char **arguments, int count)
{
    Load load = {.killed = ATOMIC_FLAG_INIT};
    uint64_t end;

    load.first = number(arguments[2]);
    load.slots = number(arguments[3]) / SLOT_SECTORS;
    load.to_do = (int64_t)number(arguments[4]);
    load.sync_every = count > 5 ? number(arguments[5]) : 0;
    load.kill_after = count > 6 ? number(arguments[6]) : 0;
    load.victim = count > 7 ? (pid_t)number(arguments[7]) : 0;
    if (load.slots < THREADS) {
        fprintf(stderr, "sector-ledger: %d sectors at least\n", THREADS * SLOT_SECTORS);
        return 2;
    }
    end = load.first + load.slots * SLOT_SECTORS;
    load.disk = open(arguments[0], O_RDWR | O_DIRECT);
    load.accounts = load.disk < 0 ? NULL : map_ledger(arguments[1], end);
    if (!load.accounts) {
        perror("sector-ledger");
        return 1;
    }
    load.next_write = last_write(load.accounts, end) + 1;
    return run_load(&load);
}

/* ----------------------------------------------------------------- verify */

static bool holds_write(const Content *found, uint64_t sector, uint64_t write)
{
    Content content;

    make_content(&content, sector, write);
    return memcmp(found, &content, sizeof(content)) == 0;
}

/* What a sector that holds something else holds, as well as can be told. */
static void report(const Content *found, uint64_t sector, const Account *account)
{
    if (holds_write(found, found->sector, found->write))
        printf("sector %ju: holds sector %ju of write %ju", (uintmax_t)sector,
               (uintmax_t)found->sector, (uintmax_t)found->write);
    else
        printf("sector %ju: holds nothing that was ever written", (uintmax_t)sector);
    printf("; acknowledged is write %ju, begun %ju\n", (uintmax_t)account->acknowledged,
           (uintmax_t)account->begun);
}

static int verify(const char *ledger, uint64_t first, uint64_t sectors)
{
    Account *accounts = map_ledger(ledger, first + sectors);
    uint64_t bad = 0, written = 0;
    Content found;

    if (!accounts) {
        perror("sector-ledger");
        return 1;
    }
    for (uint64_t sector = first; sector < first + sectors; sector++) {
        const Account *account = &accounts[sector];

        if (fread(&found, sizeof(found), 1, stdin) != 1) {
            printf("sector %ju cannot be read\n", (uintmax_t)sector);
            return 1;
        }
        written += account->acknowledged != 0;
        if (holds_write(&found, sector, account->acknowledged) ||
            holds_write(&found, sector, account->begun))
            continue;
        if (bad++ < 10)
            report(&found, sector, account);
    }
    printf("%ju sectors, %ju of them written, %ju wrong\n", (uintmax_t)sectors, (uintmax_t)written,
           (uintmax_t)bad);
    return bad == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    const char *verb = argc > 1 ? argv[1] : "";

    if (strcmp(verb, "fill") == 0 && argc == 3)
        return fill(number(argv[2]));
    if (strcmp(verb, "write") == 0 && (argc == 7 || argc == 8 || argc == 10))
        return write_load(argv + 2, argc - 2);
    if (strcmp(verb, "verify") == 0 && argc == 5)
        return verify(argv[2], number(argv[3]), number(argv[4]));
    fprintf(stderr, "Usage: sector-ledger fill|write|verify ..., see the top of its source\n");
    return 2;
}
