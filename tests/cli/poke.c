/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * poke FILE WHERE OFFSET HEX [WHERE OFFSET HEX]...: overwrites bytes of an image and makes the
 * checksum of the record that they lie in right again.
 *
 * WHERE: copy (footer at 0), end (footer in the last 512 bytes), footers (both), header (where the
 * copy says), file (no record: OFFSET is the file's). With "!" behind WHERE the checksum is left
 * as it was.
 */
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vhd/be.h"
#include "vhd/format.h"

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static void transfer(int fd, off_t at, void *buf, size_t len, bool writing)
{
    ssize_t n = writing ? pwrite(fd, buf, len, at) : pread(fd, buf, len, at);

    if (n != (ssize_t)len)
        die(writing ? "pwrite" : "pread");
}

/* Returns how many bytes. */
static size_t parse_hex(const char *text, uint8_t bytes[static VHD_HEADER_BYTES])
{
    size_t len = strlen(text) / 2;

    for (size_t i = 0; i < len && i < VHD_HEADER_BYTES; i++) {
        unsigned value;

        if (sscanf(text + 2 * i, "%2x", &value) != 1)
            die("hex");
        bytes[i] = (uint8_t)value;
    }
    return len;
}

static void poke_record(int fd, off_t record, size_t len, size_t checksum_at, bool repair,
                        size_t off, const char *hex)
{
    uint8_t raw[VHD_HEADER_BYTES], bytes[VHD_HEADER_BYTES];
    size_t count = parse_hex(hex, bytes);

    if (off + count > len)
        die("range");
    transfer(fd, record, raw, len, false);
    memcpy(raw + off, bytes, count);
    if (repair)
        be32_put(raw + checksum_at, vhd_checksum(raw, len, checksum_at));
    transfer(fd, record, raw, len, true);
}

static void poke(int fd, char *where, size_t off, const char *hex)
{
    uint8_t bytes[VHD_HEADER_BYTES];
    char *mark = strchr(where, '!');
    struct stat st;

    if (mark)
        *mark = 0;
    if (fstat(fd, &st) < 0)
        die("fstat");
    if (strcmp(where, "file") == 0) {
        size_t count = parse_hex(hex, bytes);

        transfer(fd, (off_t)off, bytes, count, true);
    }
    if (strcmp(where, "copy") == 0 || strcmp(where, "footers") == 0)
        poke_record(fd, 0, VHD_FOOTER_BYTES, VHD_FOOTER_AT_CHECKSUM, !mark, off, hex);
    if (strcmp(where, "end") == 0 || strcmp(where, "footers") == 0)
        poke_record(fd, st.st_size - VHD_FOOTER_BYTES, VHD_FOOTER_BYTES, VHD_FOOTER_AT_CHECKSUM,
                    !mark, off, hex);
    if (strcmp(where, "header") == 0) {
        transfer(fd, 0, bytes, VHD_FOOTER_BYTES, false);
        poke_record(fd, (off_t)be64_get(bytes + VHD_FOOTER_AT_DATA_OFFSET), VHD_HEADER_BYTES,
                    VHD_HEADER_AT_CHECKSUM, !mark, off, hex);
    }
}

int main(int argc, char **argv)
{
    int fd;

    if (argc < 5 || (argc - 2) % 3 != 0) {
        fprintf(stderr, "usage: poke FILE WHERE OFFSET HEX...\n");
        return 2;
    }
    fd = open(argv[1], O_RDWR | O_CLOEXEC);
    if (fd < 0)
        die(argv[1]);
    for (int i = 2; i < argc; i += 3)
        poke(fd, argv[i], strtoul(argv[i + 1], NULL, 0), argv[i + 2]);
    return close(fd) < 0;
}
