/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* Random changes of random chains: what is remembered of a page is what the chain itself says. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/model-chain.h"
#include "tests/unit/chain-sample.h"
#include "vhd/disk-private.h"

#define CHAINS  40
#define CHANGES 60
#define GRAIN   4096 /* sectors that are remembered in one place */

/* Each sector of the range, as the chain has it. */
static void compare(const VhdDiskLayers *layers, uint64_t sector, const VhdExtent *extent)
{
    for (uint64_t i = 0; i < extent->sectors; i++) {
        VhdExtent one;

        g_assert_cmpint(vhd_chain_map(layers->chain, sector + i, 1, &one), ==, 0);
        g_assert_cmpint(extent->layer, ==, one.layer);
        if (one.layer >= 0)
            g_assert_cmpuint(extent->off + i * VHD_SECTOR_BYTES, ==, one.off);
    }
}

/* All that is remembered is right; returns how many sectors are. */
static uint64_t check_remembered(const VhdDiskLayers *layers)
{
    uint64_t sectors = vhd_chain_sectors(layers->chain), known = 0;

    for (uint64_t at = 0; at < sectors;) {
        VhdExtent extent = {.sectors = 1};

        if (vhd_owners_find(layers->owners, at, sectors - at, &extent)) {
            g_assert_cmpuint(extent.sectors, <=, sectors - at);
            compare(layers, at, &extent);
            known += extent.sectors;
        } else {
            extent.sectors = 1;
        }
        at += extent.sectors;
    }
    return known;
}

static void look(const VhdDiskLayers *layers, Rng *rng)
{
    uint64_t sectors = vhd_chain_sectors(layers->chain), at = rng_below(rng, sectors);
    uint64_t most = rng_range(rng, 1, MIN(sectors - at, 5000));
    VhdExtent extent;

    g_assert_cmpint(vhd_owners_map(layers->owners, at, most, &extent), ==, 0);
    g_assert_cmpuint(extent.sectors, >=, 1);
    g_assert_cmpuint(extent.sectors, <=, most);
    compare(layers, at, &extent);
}

static void change(const VhdDiskLayers *layers, Rng *rng)
{
    static const VhdOp ops[] = {VHD_OP_WRITE, VHD_OP_WRITE, VHD_OP_WRITE_ZEROES, VHD_OP_UNMAP};
    static uint8_t data[300 * VHD_SECTOR_BYTES];
    uint64_t sectors = vhd_chain_sectors(layers->chain), at = rng_below(rng, sectors);
    uint64_t count = rng_range(rng, 1, MIN(sectors - at, 300));
    struct iovec iov = {data, count * VHD_SECTOR_BYTES};
    VhdRequest request = {.op = ops[rng_below(rng, G_N_ELEMENTS(ops))],
                          .off = at * VHD_SECTOR_BYTES,
                          .len = iov.iov_len,
                          .iov = &iov,
                          .iovcnt = 1};

    g_assert_cmpint(vhd_disk_io(layers, &request), ==, 0);
}

/* Returns how many sectors were remembered. */
static uint64_t look_and_change(ModelChain *model, Rng *rng)
{
    VhdChainOptions options = {.writable = true};
    VhdDiskLayers layers = {.chain = vhd_chain_open(model->paths[0], &options, NULL)};
    uint64_t known;

    g_assert_nonnull(layers.chain);
    layers.owners = vhd_owners_new(layers.chain);
    for (unsigned i = 0; i < CHANGES; i++) {
        (rng_one_in(rng, 2) ? look : change)(&layers, rng);
        if (rng_one_in(rng, 10))
            check_remembered(&layers);
    }
    known = check_remembered(&layers);
    vhd_owners_free(layers.owners);
    vhd_chain_free(layers.chain);
    return known;
}

static void test_random(void)
{
    Rng rng = {(uint64_t)g_test_rand_int()};
    uint64_t known = 0;

    for (unsigned chains = 0; chains < CHAINS;) {
        char *folder = sample_folder_new();
        ModelChain *model = model_chain_build(folder, &rng, &MODEL_LIMITS);

        if (model->child) {
            known += look_and_change(model, &rng);
            chains++;
        }
        model_chain_free(model);
        sample_folder_free(folder);
    }
    g_assert_cmpuint(known, >, 0);
}

static void look_at_halves(const VhdDiskLayers *layers, uint64_t sector)
{
    VhdExtent extent;

    for (unsigned half = 0; half < 2; half++) {
        g_assert_cmpint(vhd_owners_map(layers->owners, sector + half * GRAIN / 2, 8, &extent), ==,
                        0);
        compare(layers, sector + half * GRAIN / 2, &extent);
    }
}

/* A disk of more parts than there is room for, each of them with two owners. */
static void test_room(void)
{
    enum { GRAINS = 5000, ROOM = 4096 };
    char *folder = sample_folder_new();
    const uint64_t bytes = (uint64_t)GRAINS * GRAIN * 512;
    g_free(sample_make(folder, "parent.vhd", &(Sample){.uuid = 2, .bytes = bytes}));
    g_autofree char *path = sample_make(folder, "large.vhd",
                                        &(Sample){.uuid = 1,
                                                  .bytes = bytes,
                                                  .block_bytes = 1u << 20,
                                                  .parent = 2,
                                                  .relative = "./parent.vhd"});
    VhdChainOptions options = {.writable = true};
    VhdDiskLayers layers = {.chain = vhd_chain_open(path, &options, NULL)};
    uint8_t data[512] = {0};
    struct iovec iov = {data, sizeof data};

    g_assert_nonnull(layers.chain);
    layers.owners = vhd_owners_new(layers.chain);
    for (uint64_t i = 0; i < GRAINS; i++) {
        /* The half that is written; not the same in those that share their room. */
        uint64_t half = i * GRAIN + (i < ROOM ? 0 : GRAIN / 2);
        VhdRequest request = {
            .op = VHD_OP_WRITE, .off = half * 512, .len = 512, .iov = &iov, .iovcnt = 1};

        g_assert_cmpint(vhd_disk_io(&layers, &request), ==, 0);
        look_at_halves(&layers, i * GRAIN);
    }
    for (uint64_t i = 0; i < GRAINS; i++)
        look_at_halves(&layers, i * GRAIN);
    check_remembered(&layers);
    vhd_owners_free(layers.owners);
    vhd_chain_free(layers.chain);
    sample_folder_free(folder);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/owners/random", test_random);
    g_test_add_func("/owners/room", test_room);
    return g_test_run();
}
