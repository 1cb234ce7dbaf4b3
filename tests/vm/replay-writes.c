/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * Replays what was recorded of a disk, in the format of dm-log-writes and of qemu's blklogwrites.
 *
 *   replay-writes flushes LOG OFFSET             the numbers of the entries that are flushes, from
 *                                                the first write to or behind that byte on
 *   replay-writes apply LOG DISK FROM TO [SEED]  does entries FROM to TO - 1 to the file DISK;
 *                                                with SEED, only some of them
 *
 * The log, little-endian: a sector with magic, version, number of entries and size of a sector;
 * then each entry: a sector with its first sector, their count, flags and length of the user's
 * mark; behind it the data, unless it discards. See the kernel's
 * Documentation/admin-guide/device-mapper/ log-writes.rst.
 *
 * When a flush was issued, every write that had ended before it is in an earlier entry; the disk up
 * to there is one that a power cut at its end may leave. So is, of the entries between it and the
 * next flush, any choice.
 */
#include <endian.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FLAG_FLUSH = 1, FLAG_FUA = 2, FLAG_DISCARD = 4 };

static const uint64_t log_magic = 0x6a736677736872;

typedef struct Log {
    int fd;
    uint64_t entries, sector_bytes;
    uint64_t at; /* of the next entry */
} Log;

typedef struct Entry {
    uint64_t sector, sectors, flags;
    uint64_t data; /* where in the log */
} Entry;

static bool read_whole(int fd, void *bytes, size_t len, uint64_t off)
{
    return pread(fd, bytes, len, (off_t)off) == (ssize_t)len;
}

static bool open_log(Log *log, const char *path)
{
    struct {
        uint64_t magic, version, entries;
        uint32_t sector_bytes;
    } head;

    log->fd = open(path, O_RDONLY);
    if (log->fd < 0 || !read_whole(log->fd, &head, 28, 0) || le64toh(head.magic) != log_magic ||
        le64toh(head.version) != 1) {
        fprintf(stderr, "replay-writes: %s is no log of writes\n", path);
        return false;
    }
    log->entries = le64toh(head.entries);
    log->sector_bytes = le32toh(head.sector_bytes);
    log->at = log->sector_bytes;
    return log->sector_bytes >= 512;
}

static bool next_entry(Log *log, Entry *entry)
{
    uint64_t raw[4];

    if (!read_whole(log->fd, raw, sizeof(raw), log->at)) {
        fprintf(stderr, "replay-writes: the log ends too early\n");
        return false;
    }
    entry->sector = le64toh(raw[0]);
    entry->sectors = le64toh(raw[1]);
    entry->flags = le64toh(raw[2]);
    entry->data = log->at + log->sector_bytes;
    log->at = entry->data;
    if (!(entry->flags & FLAG_DISCARD))
        log->at += entry->sectors * log->sector_bytes;
    return true;
}

static int list_flushes(Log *log, uint64_t offset)
{
    bool begun = false;
    Entry entry;

    for (uint64_t i = 0; i < log->entries; i++) {
        if (!next_entry(log, &entry))
            return 1;
        if (entry.sectors > 0 && (entry.sector + entry.sectors) * log->sector_bytes > offset)
            begun = true;
        if (begun && entry.flags & FLAG_FLUSH)
            printf("%ju\n", (uintmax_t)i);
    }
    return 0;
}

/* The bytes of the log, or zeros where it has none (a discard). */
static bool apply_entry(const Log *log, int disk, const Entry *entry)
{
    uint64_t off = entry->sector * log->sector_bytes, len = entry->sectors * log->sector_bytes;
    char buffer[65536] = {0};

    for (uint64_t done = 0; done < len;) {
        size_t part = len - done < sizeof(buffer) ? len - done : sizeof(buffer);

        if (!(entry->flags & FLAG_DISCARD) &&
            !read_whole(log->fd, buffer, part, entry->data + done))
            return false;
        if (pwrite(disk, buffer, part, (off_t)(off + done)) != (ssize_t)part)
            return false;
        done += part;
    }
    return true;
}

static int apply(Log *log, const char *path, char **range, int numbers)
{
    uint64_t from = strtoull(range[0], NULL, 10), to = strtoull(range[1], NULL, 10);
    int disk = open(path, O_RDWR);
    Entry entry;

    if (disk < 0) {
        perror("replay-writes");
        return 1;
    }
    if (numbers == 3)
        srandom((unsigned)strtoul(range[2], NULL, 10));
    for (uint64_t i = 0; i < to; i++) {
        if (i >= log->entries || !next_entry(log, &entry))
            return 1;
        if (i < from || (numbers == 3 && random() % 2))
            continue;
        if (!apply_entry(log, disk, &entry)) {
            perror("replay-writes");
            return 1;
        }
    }
    close(disk);
    return 0;
}

int main(int argc, char **argv)
{
    Log log;

    if (argc == 4 && strcmp(argv[1], "flushes") == 0)
        return open_log(&log, argv[2]) ? list_flushes(&log, strtoull(argv[3], NULL, 10)) : 1;
    if ((argc == 6 || argc == 7) && strcmp(argv[1], "apply") == 0)
        return open_log(&log, argv[2]) ? apply(&log, argv[3], argv + 4, argc - 4) : 1;
    fprintf(stderr, "Usage: replay-writes flushes|apply ..., see the top of its source\n");
    return 2;
}
