/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
#include "tests/crash/rig.h"

#include <stdio.h>
#include <string.h>

/* A disk of a few dozen blocks of a few sectors: thousands of its images are made in a second.
 * Every other one has no parent, that there are enough dynamic ones. */
static ModelLimits limits_of(uint64_t seed)
{
    return (ModelLimits){.sectors = 320,
                         .block_sectors = 32,
                         .layer_bytes = 64u << 10,
                         .depth = seed % 2 ? RIG_DEPTH : 1};
}

static MemImage *load(const char *path)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *bytes = NULL;
    MemImage *image = mem_image_new();
    gsize len;

    if (!g_file_get_contents(path, &bytes, &len, &error))
        g_error("%s", error->message);
    mem_image_write(image, 0, bytes, len);
    return image;
}

static VhdImage *open_parent(MemImage *bytes, const char *name)
{
    g_autoptr(GError) error = NULL;
    VhdImageOptions options = {.writable = false};
    VhdImage *image = vhd_image_open(mem_file_open(bytes, name, false), &options, &error);

    if (!image)
        g_error("%s", error->message);
    return image;
}

Rig *rig_new(uint64_t seed, const char *folder, const char *pending_dir, const char *judge_dir)
{
    Rig *rig = g_new0(Rig, 1);
    ModelLimits limits = limits_of(seed);
    VhdImage *top;

    rig->seed = seed;
    rig->rng.state = seed;
    rig->pending_dir = g_strdup(pending_dir);
    rig->judge_dir = g_strdup(judge_dir);
    rig->chain = model_chain_build(folder, &rig->rng, &limits);
    for (unsigned i = 0; i < rig->chain->depth; i++) {
        rig->layers[i] = load(rig->chain->paths[i]);
        if (i > 0)
            rig->parents[i - 1] = open_parent(rig->layers[i], rig->chain->paths[i]);
    }
    top = open_parent(rig->layers[0], rig->chain->paths[0]);
    memcpy(rig->uuid, vhd_image_footer(top)->uuid, sizeof rig->uuid);
    vhd_image_unref(top);
    return rig;
}

void rig_free(Rig *rig)
{
    for (unsigned i = 0; i < rig->chain->depth; i++) {
        mem_image_unref(rig->layers[i]);
        if (i > 0)
            vhd_image_unref(rig->parents[i - 1]);
    }
    model_chain_free(rig->chain);
    g_free(rig->pending_dir);
    g_free(rig->judge_dir);
    g_free(rig);
}

/* layer-N.vhd */
static unsigned layer_of(const char *name)
{
    g_autofree char *base = g_path_get_basename(name);
    unsigned layer = RIG_DEPTH;

    if (sscanf(base, "layer-%u.vhd", &layer) != 1 || layer >= RIG_DEPTH)
        g_error("%s is no layer of the rig", name);
    return layer;
}

VhdFile *rig_wrap(VhdFile *file, void *data)
{
    RigDisk *opened = data;
    unsigned layer = layer_of(file->name);
    VhdFile *made = layer == 0 && opened->top
                        ? opened->top
                        : mem_file_open(opened->rig->layers[layer], file->name, file->writable);

    g_free(made->folder);
    made->folder = g_strdup(file->folder);
    vhd_file_close(file);
    opened->layers_opened++;
    if (layer > 0)
        return trace_file_new(made, opened->trace);
    made = trace_file_new(fault_file_new(made, opened->inner), opened->trace);
    return fault_file_new(made, opened->outer);
}

int rig_read(VhdChain *chain, uint8_t *content)
{
    struct iovec iov = {content, vhd_chain_sectors(chain) * VHD_SECTOR_BYTES};
    VhdRequest request = {.op = VHD_OP_READ, .len = iov.iov_len, .iov = &iov, .iovcnt = 1};

    return vhd_disk_io(&(VhdDiskLayers){chain, NULL}, &request);
}

VhdChain *rig_chain(const Rig *rig, VhdImage *image)
{
    VhdImage *layers[RIG_DEPTH] = {image};
    unsigned depth = rig->chain->depth;

    for (unsigned i = 1; i < depth; i++)
        layers[i] = vhd_image_ref(rig->parents[i - 1]);
    return vhd_chain_new(layers, depth);
}
