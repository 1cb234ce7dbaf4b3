/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* vhdctl luns: which images the kernel's LUNs of the vhd handler use, parents included, and where
 * they are exported. */
#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/cli.h"
#include "cli/output.h"
#include "handler/cfgstring.h"
#include "vhd/chain.h"
#include "vhd/error.h"
#include "vhd/resolve.h"

#define CORE "/sys/kernel/config/target/core"

/* One LUN, as the kernel and its images tell. */
typedef struct Lun {
    char *name;      /* as targetcli shows it */
    char *backstore; /* user_N/NAME */
    char *options;   /* as cfgstring_options_text; NULL where the config string is not understood */
    GPtrArray *chain;   /* paths, the image of the LUN first */
    GPtrArray *exports; /* FABRIC/TARGET/tpgN/lunN, N as initiators know it */
    char *error;        /* why the chain is not whole; NULL: it is */
} Lun;

static void lun_free(Lun *lun)
{
    g_free(lun->name);
    g_free(lun->backstore);
    g_free(lun->options);
    g_ptr_array_unref(lun->chain);
    g_ptr_array_unref(lun->exports);
    g_free(lun->error);
    g_free(lun);
}

/* ------------------------------------------------------------------ the chain of an image */

/* The folders that the handler follows a parent into: see vhd/resolve.h. Takes nothing. */
static GPtrArray *folders_of(const char *folder, const CfgString *config)
{
    GPtrArray *folders = g_ptr_array_new_with_free_func(g_free);

    g_ptr_array_add(folders, g_strdup(folder));
    for (guint i = 0; i + 1 < config->parents->len; i++) {
        char *real = realpath(config->parents->pdata[i], NULL);

        if (real)
            g_ptr_array_add(folders, g_strdup(real));
        free(real);
    }
    g_ptr_array_add(folders, NULL);
    return folders;
}

static VhdFile *open_parent(VhdImage *child, const char *folder, const CfgString *config, bool *raw,
                            GError **error)
{
    g_autoptr(GPtrArray) folders = folders_of(folder, config);
    VhdResolveRules rules = {.confined = true,
                             .folders = (const char *const *)folders->pdata,
                             .parents = (const char *const *)config->parents->pdata,
                             .raw_parent = config->raw_parent};

    return vhd_resolve_parent(child, &rules, raw, error);
}

/* Heads alone are read, and without locks: the LUN holds them. */
static bool follow(Lun *lun, const CfgString *config, GError **error)
{
    const VhdImageOptions options = {.lock = VHD_LOCK_NONE, .headers_only = true};
    VhdFile *file = vhd_file_open(config->path, VHD_FILE_READ, error);
    g_autofree char *folder = file ? g_strdup(file->folder) : NULL;

    while (file) {
        g_autoptr(VhdImage) image = vhd_image_open(file, &options, error);
        bool raw = false;

        if (!image)
            return false;
        if (vhd_image_layout(image)->type != VHD_TYPE_DIFFERENCING)
            return true;
        if (lun->chain->len >= config->max_depth) {
            g_set_error(error, VHD_ERROR, VHD_ERROR_DEPTH, "%s: more than %u images in the chain",
                        config->path, config->max_depth);
            return false;
        }
        file = open_parent(image, folder, config, &raw, error);
        if (file)
            g_ptr_array_add(lun->chain, g_strdup(file->name));
        if (file && raw) {
            vhd_file_close(file);
            return true;
        }
    }
    return false;
}

/* ------------------------------------------------------------------ what the kernel has */

static Lun *lun_new(const char *hba, const char *name, const char *string)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(CfgString) config = cfgstring_parse(string, &error);
    Lun *lun = g_new0(Lun, 1);

    lun->name = g_strdup(name);
    lun->backstore = g_strdup_printf("%s/%s", hba, name);
    lun->chain = g_ptr_array_new_with_free_func(g_free);
    lun->exports = g_ptr_array_new_with_free_func(g_free);
    if (config) {
        lun->options = cfgstring_options_text(config);
        g_ptr_array_add(lun->chain, g_strdup(config->path));
        follow(lun, config, &error);
    } else {
        g_ptr_array_add(lun->chain, g_strdup(string + strlen("vhd/")));
    }
    if (error)
        lun->error = g_strdup(error->message);
    return lun;
}

/* The LUN in folder, or NULL where there is none or it is another handler's. */
static Lun *read_lun(const char *core, const char *hba, const char *name)
{
    g_autofree char *path = g_build_filename(core, hba, name, "attrib", "dev_config", NULL);
    g_autofree char *string = NULL;

    if (!g_file_get_contents(path, &string, NULL, NULL))
        return NULL;
    g_strchomp(string);
    return g_str_has_prefix(string, "vhd/") ? lun_new(hba, name, string) : NULL;
}

static void read_hba(const char *core, const char *hba, GPtrArray *luns)
{
    g_autofree char *path = g_build_filename(core, hba, NULL);
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    const char *name;

    while (dir && (name = g_dir_read_name(dir))) {
        Lun *lun = read_lun(core, hba, name);

        if (lun)
            g_ptr_array_add(luns, lun);
    }
}

static int compare_luns(gconstpointer a, gconstpointer b)
{
    const Lun *const *x = a, *const *y = b;

    return strcmp((*x)->name, (*y)->name);
}

/* path: .../FABRIC/TARGET/tpgt_N/lun/lun_N/NAME, a link to the backstore. */
static char *export_text(const char *path)
{
    g_auto(GStrv) parts = g_strsplit(path, "/", -1);
    char **end = parts + g_strv_length(parts);

    return g_strdup_printf("%s/%s/tpg%s/lun%s", end[-6], end[-5], end[-4] + strlen("tpgt_"),
                           end[-2] + strlen("lun_"));
}

static void add_export(const char *core, GPtrArray *luns, const char *path)
{
    char *store = realpath(path, NULL);

    for (guint i = 0; store && i < luns->len; i++) {
        Lun *lun = luns->pdata[i];
        g_autofree char *name = g_build_filename(core, lun->backstore, NULL);
        char *real = realpath(name, NULL);

        if (!g_strcmp0(store, real))
            g_ptr_array_add(lun->exports, export_text(path));
        free(real);
    }
    free(store);
}

/* Beside the core lie the fabrics, and in a LUN of a target a link to its backstore. */
static void read_exports(const char *core, GPtrArray *luns)
{
    g_autofree char *target = g_path_get_dirname(core);
    g_autofree char *pattern =
        g_build_filename(target, "*", "*", "tpgt_*", "lun", "lun_*", "*", NULL);
    glob_t found;

    if (glob(pattern, 0, NULL, &found))
        return;
    for (size_t i = 0; i < found.gl_pathc; i++)
        add_export(core, luns, found.gl_pathv[i]);
    globfree(&found);
}

/* NULL: the kernel's folder cannot be read. Where the target is not in use there is no LUN. */
static GPtrArray *read_luns(GError **error)
{
    const char *core = g_getenv("VHD_CONFIGFS") ?: CORE;
    GPtrArray *luns = g_ptr_array_new_with_free_func((GDestroyNotify)lun_free);
    g_autoptr(GError) failure = NULL;
    g_autoptr(GDir) dir = g_dir_open(core, 0, &failure);
    const char *hba;

    if (!dir && !g_error_matches(failure, G_FILE_ERROR, G_FILE_ERROR_NOENT)) {
        g_propagate_error(error, g_steal_pointer(&failure));
        g_ptr_array_unref(luns);
        return NULL;
    }
    while (dir && (hba = g_dir_read_name(dir)))
        if (g_str_has_prefix(hba, "user_"))
            read_hba(core, hba, luns);
    g_ptr_array_sort(luns, compare_luns);
    read_exports(core, luns);
    return luns;
}

static bool is_same_file(const char *path, const struct stat *wanted)
{
    struct stat found;

    return stat(path, &found) == 0 && found.st_dev == wanted->st_dev &&
           found.st_ino == wanted->st_ino;
}

static bool uses(const Lun *lun, const struct stat *wanted)
{
    for (guint i = 0; i < lun->chain->len; i++)
        if (is_same_file(lun->chain->pdata[i], wanted))
            return true;
    return false;
}

/* ------------------------------------------------------------------ telling */

static void print_lun(const Lun *lun)
{
    output_line(0, "lun", "%s", lun->name);
    output_line(1, "backstore", "%s", lun->backstore);
    output_line(1, "image", "%s", (char *)lun->chain->pdata[0]);
    for (guint i = 1; i < lun->chain->len; i++)
        output_line(1, "parent", "%s", (char *)lun->chain->pdata[i]);
    if (lun->options)
        output_line(1, "options", "%s", lun->options);
    for (guint i = 0; i < lun->exports->len; i++)
        output_line(1, "export", "%s", (char *)lun->exports->pdata[i]);
    if (lun->error)
        output_line(1, "error", "%s", lun->error);
}

static void add_json_array(JsonBuilder *builder, const char *name, const GPtrArray *texts)
{
    json_builder_set_member_name(builder, name);
    json_builder_begin_array(builder);
    for (guint i = 0; i < texts->len; i++) {
        g_autofree char *valid = g_utf8_make_valid(texts->pdata[i], -1);

        json_builder_add_string_value(builder, valid);
    }
    json_builder_end_array(builder);
}

static void add_json(const Lun *lun, JsonBuilder *builder)
{
    json_builder_begin_object(builder);
    output_json_string(builder, "lun", lun->name);
    output_json_string(builder, "backstore", lun->backstore);
    add_json_array(builder, "chain", lun->chain);
    add_json_array(builder, "exports", lun->exports);
    if (lun->options)
        output_json_string(builder, "options", lun->options);
    if (lun->error)
        output_json_string(builder, "error", lun->error);
    json_builder_end_object(builder);
}

/* wanted: NULL, or the image that a LUN must use. */
static void print_luns(const GPtrArray *luns, const struct stat *wanted, JsonBuilder *builder)
{
    for (guint i = 0; i < luns->len; i++) {
        const Lun *lun = luns->pdata[i];

        if (wanted && !uses(lun, wanted)) {
            /* It has them open, whatever became of their names since. */
            if (lun->error)
                cli_warn("LUN %s: not all of its images are known: %s", lun->name, lun->error);
            continue;
        }
        if (builder)
            add_json(lun, builder);
        else
            print_lun(lun);
    }
}

static int run_luns(const CliVerb *verb, int argc, char **argv)
{
    gboolean json = FALSE;
    const GOptionEntry entries[] = {
        {"json", 0, 0, G_OPTION_ARG_NONE, &json, "Print JSON", NULL},
        {NULL, 0, 0, 0, NULL, NULL, NULL},
    };
    g_autoptr(GPtrArray) luns = NULL;
    g_autoptr(GError) error = NULL;
    JsonBuilder *builder = NULL;
    struct stat wanted;
    char **operands;
    int status;

    if (!cli_parse(verb, entries, argc, argv, &operands, &status))
        return status;
    if (operands[0] && stat(operands[0], &wanted))
        return cli_fail("%s: %s", operands[0], g_strerror(errno));
    luns = read_luns(&error);
    if (!luns)
        return cli_fail_error(error);
    if (json) {
        builder = json_builder_new();
        json_builder_begin_array(builder);
    }
    print_luns(luns, operands[0] ? &wanted : NULL, builder);
    if (json) {
        json_builder_end_array(builder);
        output_json_print(builder);
    }
    return cli_finish_stdout(CLI_DONE);
}

const CliVerb cli_luns = {
    .name = "luns",
    .operands = "[IMAGE]",
    .summary = "Show the LUNs of this machine, or those that use an image",
    .operands_min = 0,
    .operands_max = 1,
    .usage_status = CLI_USAGE,
    .run = run_luns,
};
