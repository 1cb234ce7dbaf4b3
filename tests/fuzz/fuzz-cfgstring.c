/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * Config strings, of which any local user can have one checked. Input: the text. Laws: a structure
 * or a sentence, never both or neither; the sentence is one that the user can act on; paths and
 * folders that are accepted are absolute and free of what cannot be stored; what is accepted equals
 * itself, and parses again from its own parts.
 */
#include "fuzz.h"

#include "handler/cfgstring.h"

static void check_path(const char *path)
{
    FUZZ_CHECK(path[0] == '/');
    FUZZ_CHECK(!strpbrk(path, ":,; \n"));
}

static void check_again(const CfgString *config)
{
    g_autofree char *options = cfgstring_options_text(config), *text = NULL;
    g_autoptr(CfgString) again = NULL;

    text = g_strdup_printf("vhd/%s;%s", config->path, g_strdelimit(options, ",", ';'));
    if (strlen(text) > CFGSTRING_MAX_BYTES)
        return; /* defaults are spelled out there */
    again = cfgstring_parse(text, NULL);
    FUZZ_CHECK(again && cfgstring_equal(config, again));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree char *text = g_strndup((const char *)data, size);
    g_autoptr(GError) error = NULL;
    g_autoptr(CfgString) config = cfgstring_parse(text, &error);
    VhdDiskOptions options;

    FUZZ_CHECK(!config == !!error);
    if (!config) {
        FUZZ_CHECK(strstr(error->message, "write ") || strstr(error->message, "use ") ||
                   strstr(error->message, "leave ") || strstr(error->message, "the options are") ||
                   strstr(error->message, "must be the last"));
        return 0;
    }
    FUZZ_CHECK(strlen(text) <= CFGSTRING_MAX_BYTES);
    FUZZ_CHECK(config->max_depth >= 1 && config->max_depth <= CFGSTRING_MAX_DEPTH);
    cfgstring_disk_options(config, &options);
    check_path(options.path);
    for (const char *const *parent = options.parents; *parent; parent++)
        check_path(*parent);
    FUZZ_CHECK(options.confined);
    check_again(config);
    return 0;
}
