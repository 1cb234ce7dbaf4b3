/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
#include "cli/parent.h"

#include <string.h>

#include "cli/inode.h"
#include "cli/open.h"
#include "vhd/error.h"
#include "vhd/locator.h"
#include "vhd/pending-store.h"

void parent_names_clear(ParentNames *names)
{
    g_free(names->absolute);
    g_free(names->relative);
}

static bool refuse_name(const ParentNames *names, const char *why, GError **error)
{
    g_set_error(error, VHD_ERROR, VHD_ERROR_INVALID,
                "%s: a child cannot name this file as its parent: %s; rename it", names->absolute,
                why);
    return false;
}

static bool has_control(const char *text)
{
    for (; *text; text++)
        if (g_ascii_iscntrl(*text))
            return true;
    return false;
}

/* Can the child's fields hold these names, for Windows too? */
static bool judge_names(const ParentNames *names, GError **error)
{
    uint8_t field[VHD_PARENT_NAME_BYTES];

    if (!g_utf8_validate(names->absolute, -1, NULL))
        return refuse_name(names, "its path is not UTF-8", error);
    if (strchr(names->absolute, '\\'))
        return refuse_name(names, "its path contains a backslash", error);
    if (has_control(names->absolute))
        return refuse_name(names, "its path contains control characters", error);
    if (!vhd_parent_name_encode(names->name, field))
        return refuse_name(names, "its name takes more than 255 UTF-16 units", error);
    return true;
}

bool parent_find_names(ParentNames *names, const char *parent, const char *child, GError **error)
{
    g_autofree char *folder = g_path_get_dirname(child);
    g_autofree char *real_folder = NULL;

    names->absolute = inode_real_path(parent, "open it", error);
    if (!names->absolute)
        return false;
    real_folder = inode_real_path(folder, "make a file in it", error);
    if (!real_folder)
        return false;
    names->name = strrchr(names->absolute, '/') + 1;
    names->relative = vhd_path_relative(real_folder, names->absolute);
    return judge_names(names, error);
}

/* What a killed writer left in its log goes into the file, or its child would lack it one day. */
static bool take_in_pending(const char *path, GError **error)
{
    VhdChainOptions options = {.writable = true,
                               .force_write = true,
                               .lock = true,
                               .lock_wait_ms = OPEN_LOCK_WAIT_MS,
                               .pending = true};
    g_autoptr(VhdChain) chain = vhd_chain_open(path, &options, error);
    int err;

    if (!chain)
        return false;
    err = vhd_image_finish(vhd_chain_layer(chain, 0));
    if (err)
        vhd_error_set_errno(error, VHD_ERROR_IO, path, "take in the writes that wait for it", -err);
    return err == 0;
}

VhdChain *parent_open(const char *path, GError **error)
{
    g_autoptr(VhdChain) chain = open_chain(path, false, error);
    g_autofree char *log = NULL;
    VhdImage *image;

    if (!chain)
        return NULL;
    image = vhd_chain_layer(chain, 0);
    log = vhd_pending_waiting(vhd_image_file(image), vhd_image_footer(image)->uuid, NULL);
    if (log) {
        g_clear_pointer(&chain, vhd_chain_free);
        return take_in_pending(path, error) ? open_chain(path, false, error) : NULL;
    }
    return g_steal_pointer(&chain);
}

bool parent_judge(VhdChain *chain, GError **error)
{
    static const uint8_t zeros[VHD_UUID_BYTES];
    VhdImage *image = vhd_chain_layer(chain, 0);

    if (memcmp(vhd_image_footer(image)->uuid, zeros, sizeof(zeros)) == 0) {
        g_set_error(error, VHD_ERROR, VHD_ERROR_UNSUPPORTED,
                    "%s: has a uuid of zeros, which in a child stands for a raw parent; make a new "
                    "image of it with vhdctl convert",
                    vhd_image_name(image));
        return false;
    }
    if (vhd_chain_depth(chain) >= VHD_CHAIN_MAX_DEPTH) {
        g_set_error(error, VHD_ERROR, VHD_ERROR_DEPTH,
                    "%s: its chain has %u layers, a child would be one too many; flatten it with "
                    "vhdctl convert",
                    vhd_image_name(image), vhd_chain_depth(chain));
        return false;
    }
    return true;
}

uint32_t parent_time_stamp(const VhdFileInfo *info)
{
    int64_t seconds = info->mtime_unix - VHD_EPOCH_UNIX;

    return seconds > 0 && seconds <= UINT32_MAX ? (uint32_t)seconds : 0;
}

bool parent_link(VhdParentLink *link, VhdImage *parent, const ParentNames *names, GError **error)
{
    VhdFileInfo info;
    int err = vhd_file_info(vhd_image_file(parent), &info);

    if (err) {
        vhd_error_set_errno(error, VHD_ERROR_IO, vhd_image_name(parent), "look at it", -err);
        return false;
    }
    *link = (VhdParentLink){.time_stamp = parent_time_stamp(&info),
                            .name = names->name,
                            .relative = names->relative,
                            .absolute = names->absolute};
    memcpy(link->uuid, vhd_image_footer(parent)->uuid, sizeof(link->uuid));
    return true;
}
