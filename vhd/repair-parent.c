/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * Does an image still lead to its parent? What counts is the relative path, which is looked at
 * first, and which travels with both files: an absolute one may be another machine's, where it is
 * right. If the relative one is missing or leads elsewhere, all of them are written anew.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vhd/error.h"
#include "vhd/locator.h"
#include "vhd/repair-private.h"
#include "vhd/resolve.h"

#define PARENT_STRINGS 3

typedef struct Parent {
    VhdRepair *repair;
    VhdImage *child; /* of the view, by its head */
    char *path;      /* where the parent is: absolute */
    char *folder;    /* the child's: absolute */
    VhdHeader header;
    RepairString strings[PARENT_STRINGS];
    unsigned count;
} Parent;

static char *folder_of(const VhdFile *file)
{
    g_autofree char *full = file->folder ? NULL : g_canonicalize_filename(file->name, NULL);

    return full ? g_path_get_dirname(full) : g_strdup(file->folder);
}

/* Links resolved: ".." behind one is not the folder in front of it. NULL: an error. */
static char *real_path(const char *path, GError **error)
{
    char *real = realpath(path, NULL), *copy;

    if (!real) {
        vhd_error_set_errno(error, VHD_ERROR_IO, path, "find out where it lies", errno);
        return NULL;
    }
    copy = g_strdup(real);
    free(real);
    for (const char *at = copy; *at; at++) {
        if (!g_ascii_iscntrl(*at))
            continue;
        g_set_error(error, VHD_ERROR, VHD_ERROR_INVALID,
                    "%s: a child cannot name this file as its parent: its path contains control "
                    "characters; rename it",
                    copy);
        g_free(copy);
        return NULL;
    }
    return copy;
}

/* The parent that the caller names; NULL: it is none, or has another uuid. */
static char *named_parent(Parent *parent, GError **error)
{
    const char *path = parent->repair->options.parent;
    VhdImageOptions head = {.headers_only = true};
    VhdFile *file = vhd_file_open(path, VHD_FILE_READ, error);
    g_autoptr(VhdImage) image = file ? vhd_image_open(file, &head, error) : NULL;

    if (!image)
        return NULL;
    if (memcmp(vhd_image_footer(image)->uuid, parent->header.parent_uuid, VHD_UUID_BYTES) != 0) {
        g_set_error(
            error, VHD_ERROR, VHD_ERROR_PARENT,
            "%s: is not the parent of %s: its uuid is not the one that is named there; name "
            "the image that it was made from",
            path, parent->repair->file->name);
        return NULL;
    }
    return real_path(path, error);
}

/* The parent as the image's own words lead to it; NULL: they do not. */
static char *found_parent(Parent *parent)
{
    static const uint8_t zeros[VHD_UUID_BYTES];
    VhdResolveRules anywhere = {.confined = false};
    g_autoptr(GError) error = NULL;
    g_autoptr(VhdFile) file = NULL;
    VhdRepairItem item = {VHD_FINDING_PARENT, VHD_SEVERITY_ERROR, false, NULL};
    bool raw = false;

    if (memcmp(parent->header.parent_uuid, zeros, sizeof(zeros)) == 0)
        return NULL; /* a raw file: nothing tells it from others */
    file = vhd_resolve_parent(parent->child, &anywhere, &raw, &error);
    if (file)
        return g_canonicalize_filename(file->name, NULL);
    item.text = g_strdup_printf("%s; tell with --parent where it is", error->message);
    g_ptr_array_add(parent->repair->left, g_memdup2(&item, sizeof(item)));
    return NULL;
}

static bool leads_there(Parent *parent)
{
    for (unsigned i = 0; i < VHD_LOCATORS; i++) {
        const VhdLocator *locator = &parent->header.locators[i];
        g_autofree uint8_t *bytes = NULL;
        g_autofree char *text = NULL, *path = NULL;
        size_t len = 0;

        if (locator->platform != VHD_PLATFORM_W2RU)
            continue;
        bytes = vhd_image_read_locator(parent->child, i, &len, NULL);
        text = bytes ? vhd_locator_decode(VHD_PLATFORM_W2RU, bytes, len) : NULL;
        path = text ? vhd_path_join(parent->folder, text) : NULL;
        if (path && strcmp(path, parent->path) == 0)
            return true;
    }
    return false;
}

/* The slot that has the code, else an empty one; -1: neither. */
static int find_slot(const VhdHeader *header, uint32_t platform)
{
    for (unsigned i = 0; i < VHD_LOCATORS; i++)
        if (header->locators[i].platform == platform)
            return (int)i;
    for (unsigned i = 0; i < VHD_LOCATORS; i++)
        if (header->locators[i].platform == VHD_PLATFORM_NONE)
            return (int)i;
    return -1;
}

/* False where the path cannot be written so, or there is no slot for it. */
static bool set_locator(Parent *parent, uint32_t platform, const char *path)
{
    int slot = find_slot(&parent->header, platform);
    RepairString string = {.slot = (unsigned)slot};

    if (slot < 0)
        return false;
    string.bytes = vhd_locator_encode(platform, path, &string.len);
    if (!string.bytes)
        return false;
    if (parent->header.locators[slot].platform == VHD_PLATFORM_NONE)
        parent->header.locators[slot] = (VhdLocator){.platform = platform};
    parent->strings[parent->count++] = string;
    return true;
}

static bool has_locator(const VhdHeader *header, uint32_t platform)
{
    for (unsigned i = 0; i < VHD_LOCATORS; i++)
        if (header->locators[i].platform == platform)
            return true;
    return false;
}

/* What 8-bit locators said is said by the others now. */
static void drop_old_locators(VhdHeader *header)
{
    for (unsigned i = 0; i < VHD_LOCATORS; i++)
        if (header->locators[i].platform == VHD_PLATFORM_WI2R ||
            header->locators[i].platform == VHD_PLATFORM_WI2K)
            header->locators[i] = (VhdLocator){.platform = VHD_PLATFORM_NONE};
}

static bool relink(Parent *parent, GError **error)
{
    VhdRepair *repair = parent->repair;
    g_autofree char *relative = vhd_path_relative(parent->folder, parent->path);
    g_autofree char *name = g_path_get_basename(parent->path);
    bool macx = has_locator(&parent->header, VHD_PLATFORM_MACX);
    int err;

    drop_old_locators(&parent->header);
    if (!set_locator(parent, VHD_PLATFORM_W2RU, relative) ||
        !set_locator(parent, VHD_PLATFORM_W2KU, parent->path) ||
        (macx && !set_locator(parent, VHD_PLATFORM_MACX, parent->path)) ||
        !vhd_parent_name_encode(name, parent->header.parent_name)) {
        g_set_error(error, VHD_ERROR, VHD_ERROR_INVALID,
                    "%s: the parent's path %s cannot be noted in a VHD: it must be UTF-8, without "
                    "a backslash, its name at most 255 UTF-16 units; rename it",
                    repair->file->name, parent->path);
        return false;
    }
    err = repair_replace_header(repair, &parent->header, parent->strings, parent->count);
    if (err)
        vhd_error_set_errno(error, VHD_ERROR_IO, repair->file->name, "read its locators", -err);
    repair_note(repair, VHD_FINDING_PARENT, false,
                "the locators did not lead to the parent and are written anew: it is %s, from here "
                "%s",
                parent->path, relative);
    return err == 0;
}

static bool mend_parent(Parent *parent, GError **error)
{
    bool named = parent->repair->options.parent != NULL;

    parent->folder = folder_of(parent->repair->file);
    parent->path = named ? named_parent(parent, error) : found_parent(parent);
    if (!parent->path)
        return !named;
    return leads_there(parent) || relink(parent, error);
}

bool repair_parent(VhdRepair *repair, GError **error)
{
    VhdImageOptions head = {.headers_only = true};
    Parent parent = {.repair = repair, .header = repair->facts.header};
    bool done;

    if (repair->facts.layout.type != VHD_TYPE_DIFFERENCING) {
        if (repair->options.parent)
            g_set_error(error, VHD_ERROR, VHD_ERROR_INVALID,
                        "%s: is not differencing and has no parent; leave out --parent",
                        repair->file->name);
        return repair->options.parent == NULL;
    }
    parent.child = vhd_image_open(repair_view_open(repair->view), &head, NULL);
    if (!parent.child) /* what is wrong with it is among the findings */
        return true;
    done = mend_parent(&parent, error);
    vhd_image_unref(parent.child);
    for (unsigned i = 0; i < parent.count; i++)
        g_free(parent.strings[i].bytes);
    g_free(parent.path);
    g_free(parent.folder);
    return done;
}
