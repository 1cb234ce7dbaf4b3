/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * The locks of lock.h. Own bytes are taken first and the others' asked about afterwards, so that of
 * two programs that come at once at least one sees the other; if both do, both let go and try again
 * after unequal pauses.
 *
 * Who holds a lock is told by /proc: /proc/locks where the holder is a process, else (-1 there: it
 * is an open file description) the fdinfo of all processes. That is for sentences only,
 * and bounded by HOLDER_SEARCH_MS.
 */
#include "vhd/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "vhd/error.h"

#define RETRY_MS         10
#define HOLDER_SEARCH_MS 250

/* Zero-terminated lists of bytes. Asked: the most telling first. */
#define MAX_BYTES 6
static const uint8_t held_bytes[][MAX_BYTES] = {
    [VHD_LOCK_NONE] = {0},
    [VHD_LOCK_READ] = {100, 201, 203},
    [VHD_LOCK_WRITE] = {100, 101, 103, 201, 203},
};
static const uint8_t asked_bytes[][MAX_BYTES] = {
    [VHD_LOCK_NONE] = {0},
    [VHD_LOCK_READ] = {101, 103, 200},
    [VHD_LOCK_WRITE] = {101, 103, 200, 201, 203},
};

static uint64_t now_ms(void)
{
    return (uint64_t)g_get_monotonic_time() / 1000;
}

/* Taking and asking: 0, -EAGAIN with *byte the one in conflict, or another -errno. */

static int take_bytes(VhdFile *file, VhdLockMode mode, uint8_t *byte)
{
    int err = 0;

    for (const uint8_t *held = held_bytes[mode]; *held && !err; held++) {
        *byte = *held;
        err = file->ops->lock(file, *held, F_RDLCK);
    }
    return err;
}

static int ask_bytes(VhdFile *file, VhdLockMode mode, uint8_t *byte)
{
    int err = 0;

    for (const uint8_t *asked = asked_bytes[mode]; *asked && !err; asked++) {
        *byte = *asked;
        err = file->ops->lock_test(file, *asked);
    }
    return err;
}

/* Let go of every byte that mode does not hold. */
static void drop_bytes(VhdFile *file, VhdLockMode mode)
{
    for (const uint8_t *held = held_bytes[VHD_LOCK_WRITE]; *held; held++)
        if (!memchr(held_bytes[mode], *held, MAX_BYTES))
            file->ops->lock(file, *held, F_UNLCK);
}

/* Asked before taking as well: whoever opens the image meanwhile would be refused by the bytes of
 * one who only waits. */
static int try_take(VhdFile *file, VhdLockMode mode, uint8_t *byte)
{
    int err = ask_bytes(file, mode, byte);

    if (!err)
        err = take_bytes(file, mode, byte);
    if (!err)
        err = ask_bytes(file, mode, byte);
    drop_bytes(file, err ? VHD_LOCK_NONE : mode);
    return err;
}

static bool is_unsupported(int err)
{
    return err == -ENOLCK || err == -EOPNOTSUPP || err == -EINVAL;
}

/* Unequal, so that two who collide do not go on doing so. */
static void pause_until(uint64_t deadline)
{
    uint64_t now = now_ms(), left = deadline > now ? deadline - now : 0;
    uint64_t ms = MIN(left, RETRY_MS + (uint64_t)g_get_monotonic_time() % RETRY_MS);
    struct timespec pause = {.tv_nsec = (long)(ms * 1000 * 1000)};

    clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
}

/* The holder */

typedef struct Wanted {
    unsigned device_major, device_minor;
    uint64_t inode;
    uint8_t byte;
} Wanted;

/* Whether a line of /proc/locks, or of fdinfo after its "lock:", is a lock on the wanted byte;
 * *pid: its process, or -1. "1: OFDLCK ADVISORY  READ -1 fe:00:42 100 101" */
static bool line_matches(const char *line, const Wanted *wanted, long *pid)
{
    unsigned device_major, device_minor;
    unsigned long long inode, start;
    char end[24];

    if (sscanf(line, "%*[^:]: %*s %*s %*s %ld %x:%x:%llu %llu %23s", pid, &device_major,
               &device_minor, &inode, &start, end) != 6)
        return false;
    return device_major == wanted->device_major && device_minor == wanted->device_minor &&
           inode == wanted->inode && start <= wanted->byte &&
           (strcmp(end, "EOF") == 0 || strtoull(end, NULL, 10) >= wanted->byte);
}

/* Whether path (of /proc) has a line about the wanted lock; prefix is what stands before it. */
static bool file_matches(const char *path, const char *prefix, const Wanted *wanted, long *pid)
{
    FILE *stream = fopen(path, "re");
    char line[256];
    bool found = false;

    if (!stream)
        return false;
    while (!found && fgets(line, sizeof(line), stream))
        found = g_str_has_prefix(line, prefix) && line_matches(line + strlen(prefix), wanted, pid);
    fclose(stream);
    return found;
}

static bool process_matches(const char *process, const Wanted *wanted, uint64_t deadline)
{
    g_autofree char *folder = g_build_filename("/proc", process, "fdinfo", NULL);
    GDir *dir = g_dir_open(folder, 0, NULL);
    const char *name;
    bool found = false;
    long pid;

    if (!dir)
        return false;
    while (!found && (name = g_dir_read_name(dir)) && now_ms() < deadline) {
        g_autofree char *path = g_build_filename(folder, name, NULL);

        found = file_matches(path, "lock:\t", wanted, &pid);
    }
    g_dir_close(dir);
    return found;
}

/* The process that holds the wanted lock, or -1. */
static long find_holder(const Wanted *wanted)
{
    uint64_t deadline = now_ms() + HOLDER_SEARCH_MS;
    const char *name;
    long pid = -1;
    GDir *dir;

    if (!file_matches("/proc/locks", "", wanted, &pid) || pid > 0)
        return pid;
    /* This process first: one daemon serves many images, and perhaps the same one twice. */
    if (process_matches("self", wanted, deadline))
        return getpid();
    dir = g_dir_open("/proc", 0, NULL);
    while (dir && pid < 0 && (name = g_dir_read_name(dir)) && now_ms() < deadline)
        if (g_ascii_isdigit(*name) && process_matches(name, wanted, deadline))
            pid = strtol(name, NULL, 10);
    if (dir)
        g_dir_close(dir);
    return pid;
}

/* "another process (pid N NAME)", as much of it as is known. */
static char *holder_text(VhdFile *file, uint8_t byte)
{
    g_autofree char *path = NULL, *name = NULL;
    VhdFileInfo info;
    Wanted wanted;
    long pid;

    if (vhd_file_info(file, &info))
        return g_strdup("another process");
    wanted = (Wanted){major(info.device), minor(info.device), info.inode, byte};
    pid = find_holder(&wanted);
    if (pid <= 0)
        return g_strdup("another process");
    if (pid == getpid())
        return g_strdup("this same process");
    path = g_strdup_printf("/proc/%ld/comm", pid);
    if (!g_file_get_contents(path, &name, NULL, NULL))
        return g_strdup_printf("another process (pid %ld)", pid);
    /* A process names itself as it likes. */
    g_strcanon(g_strchomp(name), G_CSET_A_2_Z G_CSET_a_2_z G_CSET_DIGITS "-_.:/+ ", '?');
    return g_strdup_printf("another process (pid %ld %s)", pid, name);
}

static void set_lock_error(VhdFile *file, uint8_t byte, int err, GError **error)
{
    g_autofree char *holder = NULL;
    const char *use;

    if (!error)
        return;
    if (err != -EAGAIN) {
        vhd_error_set_errno(error, VHD_ERROR_IO, file->name, "lock it", -err);
        return;
    }
    holder = holder_text(file, byte);
    use = byte == 101 || byte == 103 ? "that writes it; stop that first, or wait until it is done"
          : byte == 201 || byte == 203
              ? "that reads it, perhaps through an image based on it; stop "
                "that first, or wait until it is done"
              : "that wants it alone; stop that first";
    g_set_error(error, VHD_ERROR, VHD_ERROR_BUSY, "%s: in use by %s %s", file->name, holder, use);
}

bool vhd_lock_take(VhdFile *file, VhdLockMode mode, unsigned wait_ms, bool *unlocked,
                   GError **error)
{
    uint64_t deadline = now_ms() + wait_ms;
    uint8_t byte = 0;
    int err;

    while ((err = try_take(file, mode, &byte)) == -EAGAIN && now_ms() < deadline)
        pause_until(deadline);
    if (unlocked)
        *unlocked = is_unsupported(err);
    if (!err || is_unsupported(err))
        return true;
    set_lock_error(file, byte, err, error);
    return false;
}

bool vhd_lock_probe(VhdFile *file, VhdLockMode mode, GError **error)
{
    uint8_t byte = 0;
    int err = ask_bytes(file, mode, &byte);

    if (!err || is_unsupported(err))
        return true;
    set_lock_error(file, byte, err, error);
    return false;
}

char *vhd_lock_writer(VhdFile *file)
{
    static const uint8_t writes[] = {101, 103};

    for (size_t i = 0; i < G_N_ELEMENTS(writes); i++)
        if (file->ops->lock_test(file, writes[i]) == -EAGAIN)
            return holder_text(file, writes[i]);
    return NULL;
}

void vhd_lock_drop(VhdFile *file)
{
    drop_bytes(file, VHD_LOCK_NONE);
}
