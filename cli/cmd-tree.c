/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * vhdctl tree: which image is whose child, told by their uuids. Only heads are read, and no lock is
 * taken: a served image is shown, too.
 */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/family.h"
#include "cli/output.h"
#include "cli/size.h"

#define PREFIX_STEP 4

static const char *kind_of(const FamilyMember *member)
{
    switch (member->type) {
    case VHD_TYPE_FIXED:
        return "fixed";
    case VHD_TYPE_DYNAMIC:
        return "dynamic";
    case VHD_TYPE_DIFFERENCING:
        return "differencing";
    default:
        return "missing";
    }
}

/* What is unusual about its place, or an empty text. */
static const char *remark_on(const FamilyMember *member)
{
    if (member->is_copy)
        return ", has the uuid of another one here";
    if (member->in_cycle)
        return ", is its own ancestor";
    return member->outside ? ", not in this folder" : "";
}

static void print_member(const FamilyMember *member, const char *prefix, const char *branch)
{
    g_autofree char *name = output_visible(member->path);
    g_autofree char *size = size_format(member->disk_bytes);
    g_autofree char *used = size_format(member->used_bytes);
    g_autofree char *uuid = output_hex(member->uuid, VHD_UUID_BYTES);

    if (member->missing)
        printf("%s%s%s (missing, uuid %s)\n", prefix, branch, name, uuid);
    else
        printf("%s%s%s (%s, %s, on disk %s%s%s)\n", prefix, branch, name, kind_of(member), size,
               used, remark_on(member), member->written ? ", being written" : "");
}

/* member and its descendants; prefix holds the lines of what its ancestors have yet to show. */
static void print_below(const FamilyMember *member, GString *prefix)
{
    size_t len = prefix->len;

    for (unsigned i = 0; i < member->children->len; i++) {
        const FamilyMember *child = g_ptr_array_index(member->children, i);
        bool last = i + 1 == member->children->len;

        print_member(child, prefix->str, last ? "`-- " : "|-- ");
        g_string_append(prefix, last ? "    " : "|   ");
        if (prefix->len / PREFIX_STEP < VHD_CHAIN_MAX_DEPTH)
            print_below(child, prefix);
        else if (child->children->len > 0)
            printf("%s`-- more than %u layers\n", prefix->str, VHD_CHAIN_MAX_DEPTH);
        g_string_truncate(prefix, len);
    }
}

static void print_families(const Family *family)
{
    for (unsigned i = 0; i < family->roots->len; i++) {
        const FamilyMember *root = g_ptr_array_index(family->roots, i);
        g_autoptr(GString) prefix = g_string_new(NULL);

        print_member(root, "", "");
        print_below(root, prefix);
    }
}

static void add_json(JsonBuilder *builder, const FamilyMember *member, unsigned depth)
{
    g_autofree char *uuid = output_hex(member->uuid, VHD_UUID_BYTES);

    json_builder_begin_object(builder);
    output_json_string(builder, "filename", member->path);
    output_json_string(builder, "uuid", uuid);
    output_json_number(builder, "depth", depth);
    output_json_bool(builder, "missing", member->missing);
    if (!member->missing) {
        output_json_string(builder, "type", kind_of(member));
        output_json_number(builder, "virtual-size", member->disk_bytes);
        output_json_number(builder, "actual-size", member->used_bytes);
        output_json_bool(builder, "outside", member->outside);
        output_json_bool(builder, "same-uuid", member->is_copy);
        output_json_bool(builder, "cycle", member->in_cycle);
        output_json_bool(builder, "being-written", member->written);
    }
    json_builder_set_member_name(builder, "children");
    json_builder_begin_array(builder);
    for (unsigned i = 0; i < member->children->len && depth < VHD_CHAIN_MAX_DEPTH; i++)
        add_json(builder, g_ptr_array_index(member->children, i), depth + 1);
    json_builder_end_array(builder);
    json_builder_end_object(builder);
}

static void print_json(const Family *family)
{
    JsonBuilder *builder = json_builder_new();

    json_builder_begin_array(builder);
    for (unsigned i = 0; i < family->roots->len; i++)
        add_json(builder, g_ptr_array_index(family->roots, i), 0);
    json_builder_end_array(builder);
    output_json_print(builder);
}

static void warn_of_motion(const Family *family)
{
    for (unsigned i = 0; i < family->members->len; i++) {
        const FamilyMember *member = g_ptr_array_index(family->members, i);

        if (!member->written)
            continue;
        cli_warn("what is shown of images that are being written may be in motion");
        return;
    }
}

static int run_tree(const CliVerb *verb, int argc, char **argv)
{
    gboolean json = FALSE;
    const GOptionEntry entries[] = {
        {"json", 0, 0, G_OPTION_ARG_NONE, &json, "Print JSON: an array of families", NULL},
        {NULL, 0, 0, 0, NULL, NULL, NULL},
    };
    g_autoptr(Family) family = NULL;
    g_autoptr(GError) error = NULL;
    char **operands;
    int status;

    if (!cli_parse(verb, entries, argc, argv, &operands, &status))
        return status;
    family = family_find(operands[0], &error);
    if (!family)
        return cli_fail_error(error);
    warn_of_motion(family);
    if (json)
        print_json(family);
    else
        print_families(family);
    return cli_finish_stdout(CLI_DONE);
}

const CliVerb cli_tree = {
    .name = "tree",
    .operands = "DIR",
    .summary = "Show the images of a folder, each below its parent",
    .operands_min = 1,
    .operands_max = 1,
    .usage_status = CLI_USAGE,
    .run = run_tree,
};
