/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
#include "tests/faults/world.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#include "vhd/be.h"
#include "vhd/check.h"
#include "vhd/image-create.h"
#include "vhd/image.h"

#define BATMAP_HEADER_OFF 2048 /* behind the BAT of a dynamic image as it is made here */
#define BATMAP_OFF        2560

/* The files live in memory where there is such a place: a barrier takes no time then. */
static char *make_folder(void)
{
    const char *base = g_getenv("TMPDIR");
    g_autofree char *pattern = NULL;

    if (!base)
        base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : g_get_tmp_dir();
    pattern = g_build_filename(base, "vhd-faults-XXXXXX", NULL);
    g_assert_nonnull(g_mkdtemp(pattern));
    return g_steal_pointer(&pattern);
}

static void empty_folder(const char *folder)
{
    GDir *dir = g_dir_open(folder, 0, NULL);
    const char *name;

    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *path = g_build_filename(folder, name, NULL);

        g_unlink(path);
    }
    if (dir)
        g_dir_close(dir);
}

unsigned world_descriptors(void)
{
    GDir *dir = g_dir_open("/proc/self/fd", 0, NULL);
    unsigned count = 0;

    g_assert_nonnull(dir);
    while (g_dir_read_name(dir))
        count++;
    g_dir_close(dir);
    return count;
}

/* Making */

static VhdImage *open_image(const char *path, const char *pending_dir)
{
    g_autoptr(GError) error = NULL;
    VhdImageOptions options = {
        .writable = true, .pending = pending_dir != NULL, .pending_dir = pending_dir};
    VhdFile *file = vhd_file_open(path, VHD_FILE_WRITE, &error);
    VhdImage *image = file ? vhd_image_open(file, &options, &error) : NULL;

    g_assert_no_error(error);
    return image;
}

static void write_value(VhdImage *image, unsigned sector, unsigned count, unsigned value)
{
    g_autofree uint8_t *data = g_malloc((size_t)count * HISTORY_SECTOR);

    history_fill(data, count, value);
    while (count > 0) {
        VhdImageWrite write;

        g_assert_cmpint(vhd_image_begin_write(image, sector, count, &write), ==, 0);
        g_assert_cmpint(vhd_file_write(vhd_image_file(image), VHD_IO_DATA, write.off, data,
                                       (size_t)write.sectors * HISTORY_SECTOR),
                        ==, 0);
        g_assert_cmpint(vhd_image_end_write(image, &write, true), ==, 0);
        sector += write.sectors;
        count -= write.sectors;
    }
}

/* A run of sectors of one value, in one layer. */
typedef struct Fill {
    unsigned sector, count;
} Fill;

static const Fill root_fill[] = {{0, 6 * BLOCK_SECTORS}, {0, 0}};
static const Fill middle_fill[] = {{2 * BLOCK_SECTORS, 2 * BLOCK_SECTORS}, {0, 0}};
static const Fill top_fill[] = {
    {0, BLOCK_SECTORS}, {BLOCK_SECTORS + 8, 16}, {3 * BLOCK_SECTORS, BLOCK_SECTORS}, {0, 0}};

/* The layer NAME of the chain; number tells its uuid, below the parent's file or NULL. */
static char *make_layer(World *world, VhdType type, unsigned number, const char *below,
                        const Fill *fill)
{
    g_autofree char *name = g_strdup_printf("layer-%u.vhd", number);
    char *path = g_build_filename(world->folder, name, NULL);
    g_autoptr(GError) error = NULL;
    uint8_t uuid[VHD_UUID_BYTES];
    VhdCreate create = {
        .type = type,
        .disk_bytes = DISK_SECTORS * HISTORY_SECTOR,
        .block_bytes = BLOCK_SECTORS * HISTORY_SECTOR,
        .uuid = uuid,
        .parent_name = below,
        .parent_relative = below,
        .parent_absolute = "/nowhere/none.vhd",
    };
    VhdFile *file = vhd_file_create(path, 0644, &error);

    g_assert_no_error(error);
    memset(uuid, (int)number, sizeof uuid);
    memset(create.parent_uuid, (int)number - 1, sizeof create.parent_uuid);
    g_assert_true(vhd_image_create(file, &create, &error));
    g_assert_true(vhd_file_publish(file, true, &error));
    vhd_file_close(file);
    g_autoptr(VhdImage) image = open_image(path, NULL);
    for (; fill->count > 0; fill++) {
        write_value(image, fill->sector, fill->count, number);
        history_set(&world->first, fill->sector, fill->count, number);
    }
    g_assert_cmpint(vhd_image_finish(image), ==, 0);
    return path;
}

static void read_top(World *world)
{
    g_autoptr(GError) error = NULL;

    g_clear_pointer(&world->bytes, g_free);
    g_file_get_contents(world->path, (char **)(void *)&world->bytes, &world->len, &error);
    g_assert_no_error(error);
}

/* Both footers say that tapdisk made it, which promises a map. */
static void add_batmap(World *world)
{
    uint8_t raw[VHD_BATMAP_BYTES], map[HISTORY_SECTOR] = {0};
    VhdBatmapHeader header = {.map_offset = BATMAP_OFF, .map_sectors = 1, .version = 0x00010002};
    uint8_t *const footers[] = {world->bytes, world->bytes + world->len - VHD_FOOTER_BYTES};

    for (unsigned i = 0; i < G_N_ELEMENTS(footers); i++) {
        VhdFooter footer;
        VhdFault fault;

        g_assert_true(vhd_footer_decode(footers[i], 0, &footer, &fault));
        footer.creator = VHD_CREATOR_TAPDISK;
        footer.creator_version = 0x00010003;
        vhd_footer_encode(&footer, footers[i]);
    }
    map[0] = 0x90; /* blocks 0 and 3 */
    header.checksum = vhd_checksum(map, sizeof map, sizeof map);
    vhd_batmap_encode(&header, raw);
    memcpy(world->bytes + BATMAP_HEADER_OFF, raw, sizeof raw);
    memcpy(world->bytes + BATMAP_OFF, map, sizeof map);
}

static void add_flaw(World *world)
{
    if (world->with->flaw == FLAW_COPY)
        world->bytes[VHD_FOOTER_AT_CHECKSUM] ^= 1;
    else if (world->with->flaw == FLAW_TRAILING)
        memset(world->bytes + world->len - VHD_FOOTER_BYTES, 0, VHD_FOOTER_BYTES);
}

static char *sum_of(const char *path)
{
    g_autofree char *bytes = NULL;
    gsize len;

    g_assert_true(g_file_get_contents(path, &bytes, &len, NULL));
    return g_compute_checksum_for_data(G_CHECKSUM_SHA256, (const guchar *)bytes, len);
}

static char *sum_parents(const World *world)
{
    GString *sums = g_string_new(NULL);

    for (unsigned number = VALUE_ROOT; number < VALUE_TOP; number++) {
        g_autofree char *name = g_strdup_printf("layer-%u.vhd", number);
        g_autofree char *path = g_build_filename(world->folder, name, NULL), *sum = NULL;

        if (strcmp(path, world->path) == 0 || access(path, F_OK) < 0)
            continue;
        sum = sum_of(path);
        g_string_append(sums, sum);
    }
    return g_string_free(sums, FALSE);
}

void world_init(World *world, const Case *with)
{
    static const VhdType types[] = {VHD_TYPE_FIXED, VHD_TYPE_DYNAMIC, VHD_TYPE_DYNAMIC,
                                    VHD_TYPE_DIFFERENCING, VHD_TYPE_DIFFERENCING};
    const char *below = NULL;

    *world = (World){.with = with, .folder = make_folder()};
    world->pending_dir = g_build_filename(world->folder, "pending", NULL);
    history_init(&world->first, DISK_SECTORS);
    if (with->kind >= KIND_CHILD) {
        g_free(make_layer(world, VHD_TYPE_DYNAMIC, VALUE_ROOT, NULL, root_fill));
        below = "layer-1.vhd";
    }
    if (with->kind == KIND_GRANDCHILD) {
        g_free(make_layer(world, VHD_TYPE_DIFFERENCING, VALUE_MIDDLE, below, middle_fill));
        below = "layer-2.vhd";
    }
    if (with->kind == KIND_CHILD) /* its number is one more than its parent's */
        world->path = make_layer(world, types[with->kind], VALUE_MIDDLE, below, top_fill);
    else
        world->path = make_layer(world, types[with->kind], VALUE_TOP, below, top_fill);
    read_top(world);
    if (with->kind == KIND_BATMAP)
        add_batmap(world);
    add_flaw(world);
    world->parents_sum = sum_parents(world);
}

void world_clear(World *world)
{
    empty_folder(world->pending_dir);
    g_rmdir(world->pending_dir);
    empty_folder(world->folder);
    g_rmdir(world->folder);
    history_clear(&world->first);
    faults_unref(world->faults);
    g_free(world->parents_sum);
    g_free(world->bytes);
    g_free(world->pending_dir);
    g_free(world->path);
    g_free(world->folder);
}

/* A process dies over new sectors of an old block, a new block, and one given back. */
static void leave_log(World *world)
{
    static const Fill writes[] = {
        {BLOCK_SECTORS, 12}, {7 * BLOCK_SECTORS + 4, 6}, {3 * BLOCK_SECTORS, 2}};
    g_autoptr(VhdImage) image = open_image(world->path, world->pending_dir);

    if (world->with->kind == KIND_DYNAMIC) {
        g_assert_cmpint(vhd_image_unmap(image, 3 * BLOCK_SECTORS, BLOCK_SECTORS), ==, 0);
        history_unmap(&world->first, 3 * BLOCK_SECTORS, BLOCK_SECTORS, 0, true, false);
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(writes); i++) {
        write_value(image, writes[i].sector, writes[i].count, VALUE_LOG);
        history_write(&world->first, writes[i].sector, writes[i].count, VALUE_LOG, true, false);
    }
}

void world_restore(World *world)
{
    int fd = open(world->path, O_WRONLY | O_TRUNC | O_CLOEXEC);

    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(pwrite(fd, world->bytes, world->len, 0), ==, (gssize)world->len);
    close(fd);
    empty_folder(world->pending_dir);
    if (world->with->flaw == FLAW_LOG)
        leave_log(world);
    faults_unref(world->faults);
    world->faults = faults_new();
}

/* Opening and looking */

static VhdFile *wrap(VhdFile *file, void *data)
{
    return fault_file_new(file, data);
}

VhdDisk *world_open(World *world, bool read_only, GError **error)
{
    VhdDiskOptions options = {
        .path = world->path,
        .read_only = read_only,
        .no_pending = !world->with->pending,
        .pending_dir = world->pending_dir,
        .cache = world->with->cache,
        .wrap = wrap,
        .wrap_data = world->faults,
    };
    VhdDiskBounds bounds = VHD_DISK_BOUNDS;

    bounds.age_ms = bounds.tick_ms = 1u << 30;
    return vhd_disk_open_bounded(&options, &bounds, error);
}

typedef struct Judge {
    const World *world;
    bool clean;
} Judge;

static void report(void *data, const VhdFinding *finding)
{
    const Judge *judge = data;
    bool amiss = finding->severity == VHD_SEVERITY_WARNING && judge->clean;

    if (amiss || finding->severity >= VHD_SEVERITY_ERROR)
        g_error("%s: layer %u: %s: %s", judge->world->with->name, finding->layer,
                vhd_finding_name(finding->code), finding->text);
}

void world_check(World *world, bool clean)
{
    Judge judge = {world, clean};
    VhdCheckOptions options = {.report = report,
                               .data = &judge,
                               .pending_dir = world->pending_dir,
                               .ancestors = true,
                               .lock = true};
    g_autoptr(GError) error = NULL;

    vhd_check_chain(world->path, &options, &error);
    g_assert_no_error(error);
}

void world_check_parents(World *world)
{
    g_autofree char *sum = sum_parents(world);

    g_assert_cmpstr(sum, ==, world->parents_sum);
}
