/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
#include "handler/cfgstring.h"

#include <string.h>

#include "vhd/error.h"

#define PREFIX    "vhd/"
#define HOST_TIME "tcmur_cmd_time_out" /* tcmu-runner's own option */

#define OPTION_NAMES                                                                               \
    "ro, parents=DIR, cache=writeback|writethrough, discard=on|off, raw-parent=on|off, "           \
    "max-depth=N, lock=on|off, force-write"

/* A mistake: sets error and returns false. */
static bool refuse(GError **error, const char *format, ...) G_GNUC_PRINTF(2, 3);

static bool refuse(GError **error, const char *format, ...)
{
    va_list args;
    g_autofree char *text = NULL;

    va_start(args, format);
    text = g_strdup_vprintf(format, args);
    va_end(args);
    g_set_error_literal(error, VHD_ERROR, VHD_ERROR_INVALID, text);
    return false;
}

/* What cannot stand in a path: the kernel's control file, configfs and targetcli's saved
 * configuration each cut or refuse some of it. NULL: path is fine. */
static const char *forbidden_in_path(const char *path)
{
    for (const char *p = path; *p; p++) {
        if (*p == ':')
            return "a colon";
        if (*p == ',')
            return "a comma";
        if (*p == ' ')
            return "a space";
        if (*p == '\n')
            return "a newline";
        if ((unsigned char)*p < ' ' || *p == 0x7f)
            return "a control character";
    }
    return NULL;
}

static bool set_path(CfgString *config, const char *path, GError **error)
{
    const char *forbidden = forbidden_in_path(path);

    if (!*path)
        return refuse(error, "the config string names no image: write its absolute path, for "
                             "example /srv/disk.vhd");
    if (*path != '/')
        return refuse(
            error,
            "the path \"%s\" is not absolute: write a path that begins with a slash, for example "
            "/srv/disk.vhd",
            path);
    if (forbidden)
        return refuse(error,
                      "the path \"%s\" contains %s, which a config string cannot carry: make a "
                      "symbolic link without it and write the link's path",
                      path, forbidden);
    config->path = g_strdup(path);
    return true;
}

static bool set_flag(bool *flag, const char *name, const char *value, GError **error)
{
    if (value)
        return refuse(error, "%s=%s: %s takes no value, write %s alone", name, value, name, name);
    *flag = true;
    return true;
}

static bool set_switch(bool *on, const char *name, const char *value, GError **error)
{
    if (g_strcmp0(value, "on") && g_strcmp0(value, "off"))
        return refuse(error, "%s%s%s: write %s=on or %s=off", name, value ? "=" : "",
                      value ? value : "", name, name);
    *on = !strcmp(value, "on");
    return true;
}

static bool set_cache(CfgString *config, const char *value, GError **error)
{
    if (!g_strcmp0(value, "writeback"))
        config->cache = VHD_CACHE_WRITEBACK;
    else if (!g_strcmp0(value, "writethrough"))
        config->cache = VHD_CACHE_WRITETHROUGH;
    else
        return refuse(error, "cache%s%s: write cache=writeback or cache=writethrough",
                      value ? "=" : "", value ? value : "");
    return true;
}

static bool set_max_depth(CfgString *config, const char *value, GError **error)
{
    guint64 depth;

    if (!value || !g_ascii_string_to_unsigned(value, 10, 1, CFGSTRING_MAX_DEPTH, &depth, NULL))
        return refuse(error, "max-depth%s%s: write a number of layers from 1 to %d",
                      value ? "=" : "", value ? value : "", CFGSTRING_MAX_DEPTH);
    config->max_depth = (unsigned)depth;
    return true;
}

static bool add_parents(CfgString *config, const char *value, GError **error)
{
    const char *forbidden = value ? forbidden_in_path(value) : NULL;

    if (!value || *value != '/')
        return refuse(error,
                      "parents%s%s: write the absolute path of a folder, for example "
                      "parents=/srv/golden",
                      value ? "=" : "", value ? value : "");
    if (forbidden)
        return refuse(error,
                      "parents=%s contains %s, which a config string cannot carry: make a "
                      "symbolic link without it and write the link's path",
                      value, forbidden);
    g_ptr_array_insert(config->parents, (int)config->parents->len - 1, g_strdup(value));
    return true;
}

static bool check_host_time(const char *value, bool last, GError **error)
{
    if (!value || !g_ascii_string_to_unsigned(value, 10, 0, G_MAXINT, NULL, NULL))
        return refuse(error, HOST_TIME "%s%s: write a number of seconds", value ? "=" : "",
                      value ? value : "");
    if (!last)
        return refuse(error, HOST_TIME " must be the last option: tcmu-runner joins what follows "
                                       "it to what stands before it");
    return true;
}

static bool set_option(CfgString *config, const char *name, const char *value, bool last,
                       GError **error)
{
    if (!strcmp(name, "ro"))
        return set_flag(&config->read_only, name, value, error);
    if (!strcmp(name, "force-write"))
        return set_flag(&config->force_write, name, value, error);
    if (!strcmp(name, "parents"))
        return add_parents(config, value, error);
    if (!strcmp(name, "cache"))
        return set_cache(config, value, error);
    if (!strcmp(name, "discard"))
        return set_switch(&config->discard, name, value, error);
    if (!strcmp(name, "raw-parent"))
        return set_switch(&config->raw_parent, name, value, error);
    if (!strcmp(name, "lock"))
        return set_switch(&config->lock, name, value, error);
    if (!strcmp(name, "max-depth"))
        return set_max_depth(config, value, error);
    if (!strcmp(name, HOST_TIME))
        return check_host_time(value, last, error);
    return refuse(error, "unknown option \"%s\": the options are " OPTION_NAMES, name);
}

/* Split "name=value" (value NULL without '=') and set it; seen holds the names that stood
 * before. */
static bool parse_option(CfgString *config, GHashTable *seen, char *text, bool last, GError **error)
{
    char *value = strchr(text, '=');

    if (value)
        *value++ = '\0';
    if (!*text && !value)
        return refuse(error, "an option is empty: write one semicolon between options and none at "
                             "the end");
    if (strcmp(text, "parents") && !g_hash_table_add(seen, text))
        return refuse(error, "%s stands twice: leave one out", text);
    return set_option(config, text, value, last, error);
}

static bool parse_options(CfgString *config, char **options, GError **error)
{
    g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);

    for (; *options; options++) {
        if (!parse_option(config, seen, *options, !options[1], error))
            return false;
    }
    if (config->read_only && config->force_write)
        return refuse(error, "ro and force-write exclude each other: leave one out");
    return true;
}

static CfgString *config_new(void)
{
    CfgString *config = g_new0(CfgString, 1);

    config->parents = g_ptr_array_new_with_free_func(g_free);
    g_ptr_array_add(config->parents, NULL);
    config->cache = VHD_CACHE_WRITEBACK;
    config->discard = true;
    config->lock = true;
    config->max_depth = CFGSTRING_MAX_DEPTH;
    return config;
}

CfgString *cfgstring_parse(const char *text, GError **error)
{
    g_autoptr(CfgString) config = config_new();
    size_t length = strlen(text);
    g_auto(GStrv) parts = NULL;

    if (length > CFGSTRING_MAX_BYTES) {
        refuse(error,
               "the config string has %zu bytes, at most %d are possible: use shorter paths, for "
               "example symbolic links",
               length, CFGSTRING_MAX_BYTES);
        return NULL;
    }
    if (!g_str_has_prefix(text, PREFIX)) {
        refuse(error, "the config string does not begin with \"vhd/\": write vhd/ and the absolute "
                      "path of an image, for example vhd//srv/disk.vhd");
        return NULL;
    }
    parts = g_strsplit(text + strlen(PREFIX), ";", -1);
    if (!set_path(config, parts[0] ? parts[0] : "", error) ||
        (parts[0] && !parse_options(config, parts + 1, error)))
        return NULL;
    return g_steal_pointer(&config);
}

void cfgstring_free(CfgString *config)
{
    if (!config)
        return;
    g_free(config->path);
    g_ptr_array_free(config->parents, TRUE);
    g_free(config);
}

void cfgstring_disk_options(const CfgString *config, VhdDiskOptions *options)
{
    *options = (VhdDiskOptions){
        .path = config->path,
        .read_only = config->read_only,
        .force_write = config->force_write,
        .no_lock = !config->lock,
        .confined = true,
        .parents = (const char *const *)config->parents->pdata,
        .raw_parent = config->raw_parent,
        .max_depth = config->max_depth,
        .cache = config->cache,
    };
}

char *cfgstring_options_text(const CfgString *config)
{
    GString *text = g_string_new(NULL);

    g_string_append_printf(text, "cache=%s,discard=%s",
                           config->cache == VHD_CACHE_WRITEBACK ? "writeback" : "writethrough",
                           config->discard ? "on" : "off");
    if (config->read_only)
        g_string_append(text, ",ro");
    if (config->force_write)
        g_string_append(text, ",force-write");
    if (config->raw_parent)
        g_string_append(text, ",raw-parent=on");
    if (!config->lock)
        g_string_append(text, ",lock=off");
    if (config->max_depth != CFGSTRING_MAX_DEPTH)
        g_string_append_printf(text, ",max-depth=%u", config->max_depth);
    for (guint i = 0; i + 1 < config->parents->len; i++)
        g_string_append_printf(text, ",parents=%s", (char *)config->parents->pdata[i]);
    return g_string_free(text, FALSE);
}

bool cfgstring_equal(const CfgString *a, const CfgString *b)
{
    g_autofree char *text_a = cfgstring_options_text(a), *text_b = cfgstring_options_text(b);

    return !strcmp(a->path, b->path) && !strcmp(text_a, text_b);
}
