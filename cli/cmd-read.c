/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* vhdctl read: bytes of the disk to stdout, seen through the chain. */
#include <inttypes.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/open.h"
#include "cli/size.h"
#include "cli/stdout.h"
#include "vhd/chain-run.h"

#define CHUNK_BYTES (1u << 20)

/* A part of run, which is all zeros or all data. 0 or -errno. */
static int fetch(VhdChain *chain, const VhdChainRun *run, uint64_t off, uint8_t *buf, size_t len)
{
    if (vhd_chain_run_is_zero(run)) {
        memset(buf, 0, len);
        return 0;
    }
    return vhd_file_read(vhd_image_file(vhd_chain_layer(chain, (unsigned)run->layer)), VHD_IO_DATA,
                         run->off + (off - run->start), buf, len);
}

static int copy_out(VhdChain *chain, uint64_t at, uint64_t end)
{
    g_autofree uint8_t *buf = g_malloc(CHUNK_BYTES);
    uint64_t disk_end = vhd_chain_sectors(chain) * VHD_SECTOR_BYTES;
    const char *name = vhd_image_name(vhd_chain_layer(chain, 0));
    VhdChainRun run = {.len = 0};

    while (at < end) {
        size_t len;
        int err = 0;

        if (at >= run.start + run.len)
            err = vhd_chain_run(chain, at / VHD_SECTOR_BYTES * VHD_SECTOR_BYTES, disk_end, &run);
        if (err)
            return cli_fail("%s: cannot map offset %" PRIu64 ": %s", name, at, g_strerror(-err));
        len = MIN(MIN(CHUNK_BYTES, end - at), run.start + run.len - at);
        err = fetch(chain, &run, at, buf, len);
        if (err)
            return cli_fail("%s: cannot read offset %" PRIu64 ": %s", name, at, g_strerror(-err));
        err = stdout_write(buf, len);
        if (err)
            return cli_fail("cannot write to standard output: %s", g_strerror(-err));
        at += len;
    }
    return CLI_DONE;
}

static int read_range(VhdChain *chain, uint64_t off, bool to_end, uint64_t len)
{
    uint64_t bytes = vhd_chain_sectors(chain) * VHD_SECTOR_BYTES;
    const char *name = vhd_image_name(vhd_chain_layer(chain, 0));

    if (off > bytes)
        return cli_fail("%s: offset %" PRIu64 " lies beyond the end of the disk, which has %" PRIu64
                        " bytes",
                        name, off, bytes);
    if (to_end)
        len = bytes - off;
    if (len > bytes - off)
        return cli_fail("%s: %" PRIu64 " bytes from offset %" PRIu64
                        " reach beyond the end of the disk, which has %" PRIu64 " bytes",
                        name, len, off, bytes);
    return copy_out(chain, off, off + len);
}

static int run_read(const CliVerb *verb, int argc, char **argv)
{
    g_autofree char *offset = NULL, *length = NULL;
    gboolean unlocked = FALSE;
    const GOptionEntry entries[] = {
        {"offset", 'o', 0, G_OPTION_ARG_FILENAME, &offset, "Where to begin (default 0)", "SIZE"},
        {"length", 'l', 0, G_OPTION_ARG_FILENAME, &length, "How much (default: to the end)",
         "SIZE"},
        OPEN_UNLOCKED_OPTION(&unlocked),
        {NULL, 0, 0, 0, NULL, NULL, NULL},
    };
    g_autoptr(VhdChain) chain = NULL;
    g_autoptr(GError) error = NULL;
    uint64_t off = 0, len = 0;
    char **operands;
    int status;

    if (!cli_parse(verb, entries, argc, argv, &operands, &status))
        return status;
    if ((offset && !size_parse(offset, "offset", &off, &error)) ||
        (length && !size_parse(length, "length", &len, &error)))
        return cli_usage(verb, "%s", error->message);
    chain = open_chain(operands[0], unlocked, &error);
    return chain ? read_range(chain, off, !length, len) : cli_fail_error(error);
}

const CliVerb cli_read = {
    .name = "read",
    .operands = "IMAGE",
    .summary = "Write bytes of the disk to standard output",
    .operands_min = 1,
    .operands_max = 1,
    .usage_status = CLI_USAGE,
    .run = run_read,
};
