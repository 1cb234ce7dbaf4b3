/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
#include "cli/output.h"

#include <stdio.h>
#include <string.h>

char *output_visible(const char *text)
{
    g_autofree char *valid = g_utf8_make_valid(text, -1);
    GString *shown = g_string_sized_new(strlen(valid));

    for (char *at = valid; *at; at = g_utf8_next_char(at)) {
        gunichar c = g_utf8_get_char(at);

        if (g_unichar_iscntrl(c))
            g_string_append_printf(shown, "\\x%02x", c);
        else
            g_string_append_unichar(shown, c);
    }
    return g_string_free(shown, FALSE);
}

void output_line(int indent, const char *name, const char *format, ...)
{
    g_autofree char *text = NULL, *shown = NULL;
    va_list args;

    va_start(args, format);
    text = g_strdup_vprintf(format, args);
    va_end(args);
    shown = output_visible(text);
    printf("%*s%s: %s\n", indent * 4, "", name, shown);
}

void output_json_string(JsonBuilder *builder, const char *name, const char *value)
{
    g_autofree char *valid = g_utf8_make_valid(value, -1);

    json_builder_set_member_name(builder, name);
    json_builder_add_string_value(builder, valid);
}

void output_json_number(JsonBuilder *builder, const char *name, uint64_t value)
{
    json_builder_set_member_name(builder, name);
    if (value <= INT64_MAX) {
        json_builder_add_int_value(builder, (gint64)value);
    } else { /* JSON's integers are signed here; a hostile field may hold more */
        g_autofree char *text = g_strdup_printf("%" G_GUINT64_FORMAT, value);

        json_builder_add_string_value(builder, text);
    }
}

void output_json_bool(JsonBuilder *builder, const char *name, bool value)
{
    json_builder_set_member_name(builder, name);
    json_builder_add_boolean_value(builder, value);
}

void output_json_print(JsonBuilder *builder)
{
    g_autoptr(JsonNode) root = json_builder_get_root(builder);
    g_autoptr(JsonGenerator) generator = json_generator_new();
    g_autofree char *text = NULL;

    json_generator_set_root(generator, root);
    json_generator_set_pretty(generator, TRUE);
    json_generator_set_indent(generator, 4);
    text = json_generator_to_data(generator, NULL);
    puts(text);
    g_object_unref(builder);
}

char *output_hex(const uint8_t *bytes, size_t len)
{
    GString *text = g_string_sized_new(len * 2);

    for (size_t i = 0; i < len; i++)
        g_string_append_printf(text, "%02x", bytes[i]);
    return g_string_free(text, FALSE);
}

char *output_code(uint32_t code)
{
    char chars[5] = {(char)(code >> 24), (char)(code >> 16), (char)(code >> 8), (char)code, 0};

    for (int i = 0; i < 4; i++) {
        bool end = i == 3 && chars[i] == 0;

        if (!g_ascii_isprint(chars[i]) && !end)
            return g_strdup_printf("0x%08x", code);
    }
    return g_strdup(chars);
}
