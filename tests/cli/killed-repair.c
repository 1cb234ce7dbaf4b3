/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * killed-repair IMAGE N: repairs IMAGE as vhdctl repair --yes does, with IMAGE.undo, and kills
 * itself in front of its Nth change to either file. Done: exit status 0.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "vhd/repair.h"

static const VhdFileOps *real;
static unsigned changes, kill_at;

static void count(void)
{
    if (++changes == kill_at)
        raise(SIGKILL);
}

static int counted_writev(VhdFile *file, VhdIoKind kind, uint64_t off, const struct iovec *iov,
                          int iovcnt)
{
    count();
    return real->writev(file, kind, off, iov, iovcnt);
}

static int counted_barrier(VhdFile *file)
{
    count();
    return real->barrier(file);
}

static int counted_resize(VhdFile *file, uint64_t bytes)
{
    count();
    return real->resize(file, bytes);
}

static int counted_punch(VhdFile *file, VhdIoKind kind, uint64_t off, uint64_t len)
{
    count();
    return real->punch(file, kind, off, len);
}

static int counted_rename(VhdFile *file, const char *path, bool replace)
{
    count();
    return real->rename(file, path, replace);
}

static void die(const char *what, const GError *error)
{
    fprintf(stderr, "%s: %s\n", what, error->message);
    exit(1);
}

int main(int argc, char **argv)
{
    VhdRepairOptions options = {.give_up = true};
    g_autoptr(GError) error = NULL;
    VhdFileOps ops;
    VhdFile *file, *undo;
    VhdRepair *repair;
    char *path;
    bool restored;

    if (argc != 3)
        return 2;
    kill_at = (unsigned)strtoul(argv[2], NULL, 10);
    path = g_strconcat(argv[1], ".undo", NULL);
    file = vhd_file_open(argv[1], VHD_FILE_WRITE, &error);
    repair = file ? vhd_repair_plan(file, &options, &error) : NULL;
    undo = repair ? vhd_file_create(path, 0600, &error) : NULL;
    if (!undo)
        die(argv[1], error);
    real = file->ops;
    ops = *real;
    ops.writev = counted_writev;
    ops.barrier = counted_barrier;
    ops.resize = counted_resize;
    ops.punch = counted_punch;
    ops.rename = counted_rename;
    file->ops = undo->ops = &ops;
    if (!vhd_repair_apply(repair, undo, &restored, &error))
        die(argv[1], error);
    file->ops = undo->ops = real;
    vhd_repair_free(repair);
    vhd_file_close(undo);
    vhd_file_close(file);
    g_free(path);
    return 0;
}
