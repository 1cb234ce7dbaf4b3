/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
#include "cli/family.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/cli.h"
#include "cli/inode.h"
#include "cli/open.h"
#include "vhd/error.h"
#include "vhd/locator.h"

#define FOLDERS_DEEP_MAX 64

static void member_free(gpointer data)
{
    FamilyMember *member = data;

    g_free(member->path);
    g_ptr_array_unref(member->children);
    g_free(member);
}

static FamilyMember *member_new(Family *family, const char *path)
{
    FamilyMember *member = g_new0(FamilyMember, 1);

    member->path = g_strdup(path);
    member->children = g_ptr_array_new();
    g_ptr_array_add(family->members, member);
    return member;
}

/* Without locks and warnings: only the head counts here. Takes file. */
static VhdImage *open_quietly(VhdFile *file, GError **error)
{
    VhdImageOptions options = {.headers_only = true};

    return file ? vhd_image_open(file, &options, error) : NULL;
}

static FamilyMember *add_image(Family *family, VhdImage *image, const char *path)
{
    FamilyMember *member = member_new(family, path);
    const VhdFooter *footer = vhd_image_footer(image);
    VhdFileInfo info;

    member->type = footer->type;
    member->disk_bytes = footer->current_bytes;
    member->used_bytes = inode_used_bytes(path);
    member->written = !vhd_lock_probe(vhd_image_file(image), VHD_LOCK_READ, NULL);
    memcpy(member->uuid, footer->uuid, VHD_UUID_BYTES);
    if (footer->type == VHD_TYPE_DIFFERENCING)
        memcpy(member->parent_uuid, vhd_image_header(image)->parent_uuid, VHD_UUID_BYTES);
    if (vhd_file_info(vhd_image_file(image), &info) == 0) {
        member->device = info.device;
        member->inode = info.inode;
    }
    return member;
}

static void look_at_file(Family *family, const char *path)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VhdImage) image = open_quietly(vhd_file_open(path, VHD_FILE_READ, &error), &error);

    if (image)
        add_image(family, image, path);
    else if (!g_error_matches(error, VHD_ERROR, VHD_ERROR_NOT_VHD))
        cli_warn("%s", error->message);
}

/* Too small a file is no damaged image but something else. */
static bool may_be_image(const struct stat *st)
{
    return S_ISREG(st->st_mode) && st->st_size >= (off_t)VHD_FOOTER_BYTES;
}

static bool look_at_folder(Family *family, const char *folder, unsigned deep, GError **error)
{
    DIR *dir = opendir(folder);
    struct dirent *entry;

    if (!dir) {
        vhd_error_set_errno(error, VHD_ERROR_IO, folder, "read this folder", errno);
        return false;
    }
    while ((entry = readdir(dir))) {
        g_autofree char *path = g_build_filename(folder, entry->d_name, NULL);
        g_autoptr(GError) below = NULL;
        struct stat st;

        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
            lstat(path, &st) < 0)
            continue;
        if (may_be_image(&st))
            look_at_file(family, path);
        else if (S_ISDIR(st.st_mode) && deep < FOLDERS_DEEP_MAX &&
                 !look_at_folder(family, path, deep + 1, &below))
            cli_warn("%s", below->message);
    }
    closedir(dir);
    return true;
}

static gint by_path(gconstpointer a, gconstpointer b)
{
    const FamilyMember *const *x = a, *const *y = b;

    return strcmp((*x)->path, (*y)->path);
}

static FamilyMember *find_uuid(const Family *family, const uint8_t *uuid, unsigned *count)
{
    FamilyMember *found = NULL;

    *count = 0;
    for (unsigned i = 0; i < family->members->len; i++) {
        FamilyMember *member = g_ptr_array_index(family->members, i);

        if (memcmp(member->uuid, uuid, VHD_UUID_BYTES) != 0)
            continue;
        found = found ? found : member;
        (*count)++;
    }
    return found;
}

static FamilyMember *find_file(const Family *family, const VhdFileInfo *info)
{
    for (unsigned i = 0; i < family->members->len; i++) {
        FamilyMember *member = g_ptr_array_index(family->members, i);

        if (!member->missing && member->device == info->device && member->inode == info->inode)
            return member;
    }
    return NULL;
}

/* The member that the child's locators lead to; a new one if it lies outside. NULL: none. */
static FamilyMember *follow_locators(Family *family, const FamilyMember *child)
{
    g_autoptr(VhdImage) image = open_quietly(vhd_file_open(child->path, VHD_FILE_READ, NULL), NULL);
    g_autoptr(VhdImage) parent = NULL;
    VhdFile *file = image ? open_parent_file(image, NULL) : NULL;
    FamilyMember *member = NULL;
    VhdFileInfo info;

    if (!file)
        return NULL;
    if (vhd_file_info(file, &info) == 0)
        member = find_file(family, &info);
    if (member) {
        vhd_file_close(file);
        return member;
    }
    parent = open_quietly(file, NULL);
    if (!parent)
        return NULL;
    member = add_image(family, parent, vhd_image_name(parent));
    member->outside = true;
    return member;
}

/* A place for the children of what was not found. */
static FamilyMember *add_missing(Family *family, const FamilyMember *child)
{
    g_autoptr(VhdImage) image = open_quietly(vhd_file_open(child->path, VHD_FILE_READ, NULL), NULL);
    g_autofree char *name =
        image ? vhd_parent_name_decode(vhd_image_header(image)->parent_name) : NULL;
    FamilyMember *member = member_new(family, name ? name : "(no name)");

    memcpy(member->uuid, child->parent_uuid, VHD_UUID_BYTES);
    member->missing = true;
    return member;
}

static FamilyMember *find_parent(Family *family, const FamilyMember *child)
{
    static const uint8_t raw_parent[VHD_UUID_BYTES]; /* XenServer's: zeros name no image */
    FamilyMember *named, *led;
    unsigned count;

    if (memcmp(child->parent_uuid, raw_parent, sizeof(raw_parent)) == 0)
        return add_missing(family, child);
    named = find_uuid(family, child->parent_uuid, &count);
    if (count == 1)
        return named;
    led = follow_locators(family, child);
    if (led)
        return led;
    return named ? named : add_missing(family, child);
}

/* Does the way up from member lead back to it? It ends: a cycle is cut as soon as it is closed. */
static bool is_own_ancestor(const FamilyMember *member)
{
    const FamilyMember *at = member->parent;

    while (at && at != member)
        at = at->parent;
    return at == member;
}

/* Members are added while this runs: parents outside have parents, too. */
static void link_members(Family *family)
{
    unsigned own = family->members->len;

    for (unsigned i = 0; i < family->members->len; i++) {
        FamilyMember *member = g_ptr_array_index(family->members, i);
        unsigned count;

        member->is_copy =
            !member->missing && i < own && find_uuid(family, member->uuid, &count) != member;
        if (member->type != VHD_TYPE_DIFFERENCING)
            continue;
        member->parent = find_parent(family, member);
        if (is_own_ancestor(member)) {
            member->in_cycle = true;
            member->parent = NULL;
        }
    }
    for (unsigned i = 0; i < family->members->len; i++) {
        FamilyMember *member = g_ptr_array_index(family->members, i);

        g_ptr_array_add(member->parent ? member->parent->children : family->roots, member);
    }
}

Family *family_find(const char *folder, GError **error)
{
    g_autoptr(Family) family = g_new0(Family, 1);

    family->members = g_ptr_array_new_with_free_func(member_free);
    family->roots = g_ptr_array_new();
    if (!look_at_folder(family, folder, 0, error))
        return NULL;
    g_ptr_array_sort(family->members, by_path);
    link_members(family);
    g_ptr_array_sort(family->roots, by_path);
    return g_steal_pointer(&family);
}

void family_free(Family *family)
{
    if (!family)
        return;
    g_ptr_array_unref(family->members);
    g_ptr_array_unref(family->roots);
    g_free(family);
}
