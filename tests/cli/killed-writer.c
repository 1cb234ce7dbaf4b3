/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * killed-writer IMAGE OFFSET BYTE: writes 4096 bytes as the handler does, with the log of what is
 * not flushed, and is then killed.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vhd/disk.h"

int main(int argc, char **argv)
{
    VhdDiskOptions options = {.path = argc == 4 ? argv[1] : NULL};
    GError *error = NULL;
    uint8_t data[4096];
    VhdDisk *disk;

    if (argc != 4)
        return 2;
    disk = vhd_disk_open(&options, &error);
    if (!disk) {
        fprintf(stderr, "killed-writer: %s\n", error->message);
        return 1;
    }
    memset(data, argv[3][0], sizeof(data));
    if (vhd_disk_write(disk, strtoull(argv[2], NULL, 0), data, sizeof(data), false) != 0)
        return 1;
    raise(SIGKILL);
    return 1;
}
