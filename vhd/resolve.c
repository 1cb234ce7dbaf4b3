/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
#include "vhd/resolve.h"

#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "vhd/error.h"
#include "vhd/locator.h"

#define SHOWN_BYTES 200 /* of a path that is too long to be one */

/* One search for one child's parent. */
typedef struct Search {
    VhdImage *child;
    const VhdResolveRules *rules;
    const uint8_t *uuid; /* wanted */
    bool raw;            /* a raw file is wanted */
    VhdFileInfo child_info;
    char *folder;     /* the child's */
    GPtrArray *tried; /* paths */
    GPtrArray *bases; /* base names of what the child says, for the parents folders */
    GString *reasons;
    int read_error; /* -errno: of the last footer that could not be read */
    VhdFile *found;
} Search;

static bool is_listed(const GPtrArray *list, const char *text)
{
    for (guint i = 0; i < list->len; i++)
        if (strcmp(g_ptr_array_index(list, i), text) == 0)
            return true;
    return false;
}

static void turn_down(Search *search, const char *path, const char *reason)
{
    g_string_append_printf(search->reasons, "%s%s: %s", search->reasons->len ? "; " : "", path,
                           reason);
}

/* A path from an image may be anything: what goes into a message and a log line has no control
 * characters and an end. */
static bool is_sane(Search *search, const char *path)
{
    size_t len = strlen(path);
    bool control = false;

    for (size_t i = 0; i < len; i++)
        control = control || g_ascii_iscntrl(path[i]);
    if (!control && len < PATH_MAX)
        return true;
    g_autofree char *cut = g_strndup(path, SHOWN_BYTES);
    g_autofree char *valid = g_utf8_make_valid(cut, -1);
    g_autofree char *shown = g_strescape(valid, NULL);
    turn_down(search, shown, control ? "has control characters" : "is too long for a path");
    return false;
}

/* Judging a candidate */

typedef enum FooterAnswer {
    FOOTER_NONE,    /* no trace of a VHD */
    FOOTER_UNREAD,  /* nobody knows: the search's read_error says why */
    FOOTER_DAMAGED, /* a footer that cannot be believed */
    FOOTER_OTHER,   /* of another image; *footer is it */
    FOOTER_MATCH,
} FooterAnswer;

static FooterAnswer judge_footer(Search *search, VhdFile *file, uint64_t off, size_t len,
                                 VhdFooter *footer)
{
    uint8_t raw[VHD_FOOTER_BYTES];
    VhdFault fault;
    bool ok;
    int err = vhd_file_read(file, VHD_IO_FOOTER, off, raw, len);

    if (err) {
        search->read_error = err;
        return FOOTER_UNREAD;
    }
    ok = len == VHD_FOOTER_BYTES ? vhd_footer_decode(raw, off, footer, &fault)
                                 : vhd_footer_decode_short(raw, off, footer, &fault);
    if (ok)
        return memcmp(footer->uuid, search->uuid, VHD_UUID_BYTES) == 0 ? FOOTER_MATCH
                                                                       : FOOTER_OTHER;
    return fault.code == VHD_FAULT_FOOTER_COOKIE ? FOOTER_NONE : FOOTER_DAMAGED;
}

/* The best of what the trailing footer (512 or 511 bytes) and the copy at 0 answer. */
static FooterAnswer judge_footers(Search *search, VhdFile *file, uint64_t bytes, VhdFooter *footer)
{
    struct {
        uint64_t off;
        size_t len;
    } places[3];
    unsigned count = 0;
    FooterAnswer best = FOOTER_NONE;

    if (bytes >= VHD_FOOTER_BYTES) {
        places[count].off = bytes - VHD_FOOTER_BYTES;
        places[count++].len = VHD_FOOTER_BYTES;
        places[count].off = 0;
        places[count++].len = VHD_FOOTER_BYTES;
    }
    if (bytes % VHD_SECTOR_BYTES == VHD_FOOTER_BYTES - 1) {
        places[count].off = bytes - (VHD_FOOTER_BYTES - 1);
        places[count++].len = VHD_FOOTER_BYTES - 1;
    }
    for (unsigned i = 0; i < count && best != FOOTER_MATCH; i++) {
        VhdFooter candidate;
        FooterAnswer answer = judge_footer(search, file, places[i].off, places[i].len, &candidate);

        if (answer > best) {
            best = answer;
            *footer = candidate;
        }
    }
    return best;
}

static char *uuid_text(const uint8_t *uuid)
{
    GString *text = g_string_new(NULL);

    for (unsigned i = 0; i < VHD_UUID_BYTES; i++)
        g_string_append_printf(text, "%02x", uuid[i]);
    return g_string_free(text, FALSE);
}

static void turn_down_unread(Search *search, const char *path, int err)
{
    g_autofree char *reason = g_strdup_printf("cannot be read: %s", g_strerror(-err));

    turn_down(search, path, reason);
}

static bool judge_vhd(Search *search, const char *path, VhdFile *file, uint64_t bytes)
{
    VhdFooter footer;
    FooterAnswer answer = judge_footers(search, file, bytes, &footer);

    if (answer == FOOTER_OTHER) {
        g_autofree char *uuid = uuid_text(footer.uuid);
        g_autofree char *reason = g_strdup_printf("is another image, its uuid is %s", uuid);
        turn_down(search, path, reason);
    } else if (answer == FOOTER_UNREAD) {
        turn_down_unread(search, path, search->read_error);
    } else if (answer != FOOTER_MATCH) {
        turn_down(search, path, answer == FOOTER_NONE ? "is no VHD" : "has no good footer");
    }
    return answer == FOOTER_MATCH;
}

/* What cannot be read may be a VHD. */
static bool judge_raw(Search *search, const char *path, VhdFile *file, uint64_t bytes)
{
    VhdFooter footer;
    FooterAnswer answer = judge_footers(search, file, bytes, &footer);

    if (answer == FOOTER_UNREAD)
        turn_down_unread(search, path, search->read_error);
    else if (answer != FOOTER_NONE)
        turn_down(search, path, "is a VHD, but the child names a raw parent");
    return answer == FOOTER_NONE;
}

static bool judge(Search *search, const char *path, VhdFile *file)
{
    VhdFileInfo info;
    int err = vhd_file_info(file, &info);

    if (err) {
        turn_down_unread(search, path, err);
        return false;
    }
    if (info.device == search->child_info.device && info.inode == search->child_info.inode) {
        turn_down(search, path, "is the child itself");
        return false;
    }
    return search->raw ? judge_raw(search, path, file, info.bytes)
                       : judge_vhd(search, path, file, info.bytes);
}

/* Where path leads, for the hint only: what is opened is judged by the file itself. */
static void turn_down_outside(Search *search, const char *path)
{
    g_autofree char *text_folder = g_path_get_dirname(path);
    char real[PATH_MAX];
    g_autofree char *folder =
        realpath(path, real) ? g_path_get_dirname(real) : g_steal_pointer(&text_folder);
    g_autofree char *reason =
        g_strdup_printf("lies outside the folders allowed, parents=%s would allow it", folder);

    turn_down(search, path, reason);
}

/* The folders that a parent may lie in, NULL for any. A raw file has no uuid that would tell it
 * from the host's other files, so one lies where the administrator said. */
static const char *const *allowed_folders(const Search *search)
{
    if (search->raw)
        return search->rules->folders + 1;
    return search->rules->confined ? search->rules->folders : NULL;
}

/* The sentence of an error, less the "PATH: " that it begins with. */
static const char *without_path(const char *message, const char *path)
{
    size_t len = strlen(path);

    return strncmp(message, path, len) == 0 && strncmp(message + len, ": ", 2) == 0
               ? message + len + 2
               : message;
}

/* Try path (absolute, resolved), takes it over. True: found. */
static bool try_path(Search *search, char *path)
{
    g_autoptr(GError) local = NULL;
    g_autoptr(VhdFile) file = NULL;

    if (is_listed(search->tried, path)) {
        g_free(path);
        return false;
    }
    g_ptr_array_add(search->tried, path);
    if (!is_sane(search, path))
        return false;
    file = vhd_file_open_at(AT_FDCWD, path, allowed_folders(search), VHD_FILE_READ, &local);
    if (!file) {
        if (g_error_matches(local, VHD_ERROR, VHD_ERROR_PARENT))
            turn_down_outside(search, path);
        else
            turn_down(search, path, without_path(local->message, path));
        return false;
    }
    if (!judge(search, path, file))
        return false;
    search->found = g_steal_pointer(&file);
    return true;
}

/* What the child says */

/* The last name of a path, not owned; NULL if it ends in none. */
static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *base = slash ? slash + 1 : path;

    return *base && strcmp(base, ".") != 0 && strcmp(base, "..") != 0 ? base : NULL;
}

static bool try_base(Search *search, const char *folder, const char *base)
{
    return base && try_path(search, vhd_path_join(folder, base));
}

/* Try what a locator or the name field says, NULL: nothing. */
static bool try_text(Search *search, const char *text, bool by_base)
{
    const char *base = text ? base_name(text) : NULL;

    if (!text)
        return false;
    if (base && !is_listed(search->bases, base))
        g_ptr_array_add(search->bases, g_strdup(base));
    return try_path(search, vhd_path_join(search->folder, text)) ||
           (by_base && try_base(search, search->folder, base));
}

static bool try_locators(Search *search, uint32_t platform)
{
    const VhdHeader *header = vhd_image_header(search->child);

    for (unsigned i = 0; i < VHD_LOCATORS; i++) {
        g_autoptr(GError) local = NULL;
        g_autofree uint8_t *bytes = NULL;
        g_autofree char *text = NULL;
        size_t len = 0;

        if (header->locators[i].platform != platform)
            continue;
        bytes = vhd_image_read_locator(search->child, i, &len, &local);
        if (local)
            g_string_append_printf(search->reasons, "%s%s", search->reasons->len ? "; " : "",
                                   local->message);
        text = bytes ? vhd_locator_decode(platform, bytes, len) : NULL;
        if (try_text(search, text, platform != VHD_PLATFORM_W2RU))
            return true;
    }
    return false;
}

static bool try_name(Search *search)
{
    g_autofree char *name = vhd_parent_name_decode(vhd_image_header(search->child)->parent_name);

    return try_text(search, name, true);
}

static bool try_parents(Search *search)
{
    for (const char *const *parent = search->rules->parents; parent && *parent; parent++) {
        g_autofree char *folder = g_canonicalize_filename(*parent, NULL);

        for (guint i = 0; i < search->bases->len; i++)
            if (try_base(search, folder, g_ptr_array_index(search->bases, i)))
                return true;
    }
    return false;
}

static void set_not_found(Search *search, GError **error)
{
    g_autofree char *uuid = uuid_text(search->uuid);
    g_autofree char *wanted =
        search->raw ? g_strdup("a raw file") : g_strdup_printf("uuid %s", uuid);

    if (search->reasons->len == 0)
        g_string_assign(search->reasons, "it names no file");
    g_set_error(error, VHD_ERROR, VHD_ERROR_PARENT, "%s: its parent (%s) was not found: %s",
                vhd_image_name(search->child), wanted, search->reasons->str);
}

static char *folder_of(VhdImage *image)
{
    VhdFile *file = vhd_image_file(image);

    if (file->folder)
        return g_strdup(file->folder);
    g_autofree char *full = g_canonicalize_filename(file->name, NULL);
    return g_path_get_dirname(full);
}

static bool may_be_raw(const Search *search, GError **error)
{
    const char *name = vhd_image_name(search->child);

    if (!search->rules->raw_parent)
        g_set_error(error, VHD_ERROR, VHD_ERROR_PARENT,
                    "%s: its parent is a raw file (the parent uuid is all zeros), followed only "
                    "with raw-parent=on and parents=DIR",
                    name);
    else if (!search->rules->folders || !search->rules->folders[0] || !search->rules->folders[1])
        g_set_error(error, VHD_ERROR, VHD_ERROR_PARENT,
                    "%s: its parent is a raw file (the parent uuid is all zeros), name its folder "
                    "with parents=DIR",
                    name);
    else
        return true;
    return false;
}

VhdFile *vhd_resolve_parent(VhdImage *child, const VhdResolveRules *rules, bool *raw,
                            GError **error)
{
    static const uint8_t zeros[VHD_UUID_BYTES];
    Search search = {
        .child = child,
        .rules = rules,
        .uuid = vhd_image_header(child)->parent_uuid,
    };
    bool ok = false;
    int err;

    search.raw = memcmp(search.uuid, zeros, sizeof zeros) == 0;
    if (search.raw && !may_be_raw(&search, error))
        return NULL;
    err = vhd_file_info(vhd_image_file(child), &search.child_info);
    if (err) {
        vhd_error_set_errno(error, VHD_ERROR_IO, vhd_image_name(child), "look at it", -err);
        return NULL;
    }
    search.folder = folder_of(child);
    search.tried = g_ptr_array_new_with_free_func(g_free);
    search.bases = g_ptr_array_new_with_free_func(g_free);
    search.reasons = g_string_new(NULL);
    ok = try_locators(&search, VHD_PLATFORM_W2RU) || try_locators(&search, VHD_PLATFORM_W2KU) ||
         try_locators(&search, VHD_PLATFORM_MACX) || try_name(&search) || try_parents(&search);
    if (ok)
        *raw = search.raw;
    else
        set_not_found(&search, error);
    g_free(search.folder);
    g_ptr_array_unref(search.tried);
    g_ptr_array_unref(search.bases);
    g_string_free(search.reasons, TRUE);
    return search.found;
}
