/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
#include "cli/source.h"

#include <string.h>

#include "cli/cli.h"
#include "cli/open.h"
#include "cli/stdin.h"
#include "vhd/error.h"

bool source_parse_format(const char *text, SourceFormat *format, GError **error)
{
    *format = SOURCE_DETECT;
    if (!text)
        return true;
    if (strcmp(text, "raw") == 0)
        *format = SOURCE_RAW;
    else if (strcmp(text, "vpc") == 0)
        *format = SOURCE_VPC;
    else
        g_set_error(error, VHD_ERROR, VHD_ERROR_INVALID,
                    "source format '%s' is neither raw nor vpc", text);
    return *format != SOURCE_DETECT;
}

struct Source {
    VhdChain *chain;
    uint64_t bytes;
};

static bool has_cookie(VhdFile *file, uint64_t off)
{
    char cookie[8];

    return vhd_file_read(file, VHD_IO_FOOTER, off, cookie, sizeof(cookie)) == 0 &&
           (memcmp(cookie, "conectix", sizeof(cookie)) == 0 ||
            memcmp(cookie, "v_poison", sizeof(cookie)) == 0);
}

/* A bad footer still means an image: opening it tells what is bad. */
static bool looks_like_vhd(VhdFile *file, uint64_t bytes)
{
    return has_cookie(file, 0) ||
           (bytes >= VHD_FOOTER_BYTES && has_cookie(file, bytes - VHD_FOOTER_BYTES)) ||
           (bytes % VHD_SECTOR_BYTES == VHD_FOOTER_BYTES - 1 &&
            has_cookie(file, bytes - (VHD_FOOTER_BYTES - 1)));
}

/* Takes file. */
static VhdChain *open_raw(VhdFile *file, bool unlocked, GError **error)
{
    VhdImageOptions options = {.lock = unlocked ? VHD_LOCK_NONE : VHD_LOCK_READ,
                               .lock_wait_ms = OPEN_LOCK_WAIT_MS,
                               .warn = cli_warn_text};
    VhdImage *image;

    if (unlocked)
        open_warn_of_writer(file);
    image = vhd_image_open_raw(file, &options, error);
    return image ? vhd_chain_new(&image, 1) : NULL;
}

static VhdChain *open_any(const char *path, SourceFormat format, bool unlocked, uint64_t *bytes,
                          GError **error)
{
    VhdFile *file = vhd_file_open(path, VHD_FILE_READ | VHD_FILE_BLOCK_DEVICE, error);
    VhdFileInfo info;
    VhdChain *chain;
    int err;

    if (!file)
        return NULL;
    err = vhd_file_info(file, &info);
    if (err) {
        vhd_error_set_errno(error, VHD_ERROR_IO, path, "look at it", -err);
        vhd_file_close(file);
        return NULL;
    }
    if (format == SOURCE_RAW || (format == SOURCE_DETECT && !looks_like_vhd(file, info.bytes))) {
        *bytes = info.bytes;
        return open_raw(file, unlocked, error);
    }
    vhd_file_close(file);
    chain = open_chain(path, unlocked, error);
    if (chain)
        *bytes = vhd_chain_sectors(chain) * VHD_SECTOR_BYTES;
    return chain;
}

static Source *source_new(VhdChain *chain, uint64_t bytes)
{
    Source *source = g_new0(Source, 1);

    source->chain = chain;
    source->bytes = bytes;
    return source;
}

Source *source_open(const char *path, SourceFormat format, bool unlocked, GError **error)
{
    uint64_t bytes = 0;
    VhdChain *chain = open_any(path, format, unlocked, &bytes, error);

    return chain ? source_new(chain, bytes) : NULL;
}

Source *source_open_stdin(const char *near, SourceFormat format, GError **error)
{
    VhdFileInfo info = {.bytes = 0};
    VhdChain *chain;
    VhdFile *file;

    file = stdin_spool(near, error);
    if (!file)
        return NULL;
    vhd_file_info(file, &info);
    if (format == SOURCE_VPC || (format == SOURCE_DETECT && looks_like_vhd(file, info.bytes))) {
        g_set_error(error, VHD_ERROR, VHD_ERROR_INVALID,
                    "standard input: a VHD cannot come through a pipe; name the file, or take it "
                    "as raw bytes with -f raw");
        vhd_file_close(file);
        return NULL;
    }
    chain = open_raw(file, true, error);
    return chain ? source_new(chain, info.bytes) : NULL;
}

void source_close(Source *source)
{
    if (!source)
        return;
    vhd_chain_free(source->chain);
    g_free(source);
}

uint64_t source_bytes(const Source *source)
{
    return source->bytes;
}

VhdChain *source_chain(const Source *source)
{
    return source->chain;
}

int source_run(Source *source, uint64_t start, VhdChainRun *run)
{
    uint64_t sectors_end = vhd_chain_sectors(source->chain) * VHD_SECTOR_BYTES;

    if (start < sectors_end)
        return vhd_chain_run(source->chain, start, sectors_end, run);
    /* The last bytes of a raw file, less than a sector. */
    *run = (VhdChainRun){.start = start, .len = source->bytes - start, .off = start};
    return 0;
}

int source_read(Source *source, const VhdChainRun *run, uint64_t skip, void *buf, size_t len)
{
    VhdImage *layer = vhd_chain_layer(source->chain, (unsigned)run->layer);

    return vhd_file_read(vhd_image_file(layer), VHD_IO_DATA, run->off + skip, buf, len);
}
