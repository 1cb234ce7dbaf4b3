/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * The plan as a whole. Damage hides damage: of a damaged footer's image no block can be judged, and
 * whether a place is free only a sound block table tells. So in each round the view is judged, the
 * uppermost kind of damage is planned for, and the view judged again.
 */
#include "vhd/repair.h"

#include <string.h>

#include "vhd/error.h"
#include "vhd/pending-store.h"
#include "vhd/repair-private.h"

/* More rounds than there are kinds of damage; each kind takes one, some two. */
#define ROUNDS_MAX 24

static void clear_finding(void *finding)
{
    g_free((char *)(uintptr_t)((VhdFinding *)finding)->text);
}

static void free_item(void *data)
{
    VhdRepairItem *item = data;

    g_free(item->text);
    g_free(item);
}

void vhd_repair_free(VhdRepair *repair)
{
    if (!repair)
        return;
    repair_view_free(repair->view);
    g_array_unref(repair->findings);
    g_ptr_array_unref(repair->changes);
    g_ptr_array_unref(repair->left);
    g_free(repair);
}

static void add_item(GPtrArray *items, VhdFindingCode code, VhdSeverity severity, bool gives_up,
                     char *text)
{
    VhdRepairItem item = {code, severity, gives_up, text};

    g_ptr_array_add(items, g_memdup2(&item, sizeof(item)));
}

void repair_note(VhdRepair *repair, VhdFindingCode code, bool gives_up, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    add_item(repair->changes, code, VHD_SEVERITY_INFO, gives_up, g_strdup_vprintf(format, args));
    va_end(args);
}

const VhdRepairItem *vhd_repair_change(const VhdRepair *repair, unsigned index)
{
    return index < repair->changes->len ? repair->changes->pdata[index] : NULL;
}

const VhdRepairItem *vhd_repair_left(const VhdRepair *repair, unsigned index)
{
    return index < repair->left->len ? repair->left->pdata[index] : NULL;
}

const VhdFinding *repair_find(const VhdRepair *repair, VhdFindingCode code, bool mended)
{
    for (guint i = 0; i < repair->findings->len; i++) {
        const VhdFinding *finding = &g_array_index(repair->findings, VhdFinding, i);

        if (finding->code == code && (finding->repairable || !mended))
            return finding;
    }
    return NULL;
}

/* Looking */

static void take_finding(void *data, const VhdFinding *finding)
{
    VhdRepair *repair = data;
    VhdFinding copy = *finding;

    copy.text = g_strdup(finding->text);
    g_array_append_val(repair->findings, copy);
}

static bool stop(void *data, double part)
{
    VhdRepair *repair = data;

    return repair->options.stop && repair->options.stop(repair->options.data, part);
}

/* What cannot be read may be anything: nothing is planned over it. */
static bool refuse_unread(VhdRepair *repair, GError **error)
{
    const VhdFinding *finding = repair_find(repair, VHD_FINDING_READ, false);

    if (!finding)
        return true;
    g_set_error(error, VHD_ERROR, VHD_ERROR_IO,
                "%s: %s; copy it to a sound disk as far as it can be read, and repair the copy",
                repair->file->name, finding->text);
    return false;
}

/* What a log holds cannot be seen here, and would fit the image no more. */
static bool refuse_log(VhdRepair *repair, GError **error)
{
    const VhdFinding *finding = repair_find(repair, VHD_FINDING_PENDING, false);

    if (finding)
        g_set_error(error, VHD_ERROR, VHD_ERROR_PENDING, "%s: %s", repair->file->name,
                    finding->text);
    return !finding;
}

static bool look(VhdRepair *repair, GError **error)
{
    g_autoptr(VhdFile) file = repair_view_open(repair->view);
    VhdCheckOptions options = {.report = take_finding,
                               .stop = stop,
                               .data = repair,
                               .every = true,
                               .pending_dir = repair->options.pending_dir};

    g_array_set_size(repair->findings, 0);
    return vhd_check_image(file, 0, &options, &repair->facts, error) &&
           refuse_unread(repair, error) && refuse_log(repair, error);
}

static char *log_of(VhdFile *file, uint64_t off, const char *dir)
{
    uint8_t raw[VHD_FOOTER_BYTES];
    VhdFooter footer;
    VhdFault fault;

    return vhd_file_read(file, VHD_IO_FOOTER, off, raw, sizeof(raw)) == 0 &&
                   vhd_footer_decode(raw, off, &footer, &fault)
               ? vhd_pending_waiting(file, footer.uuid, dir)
               : NULL;
}

char *vhd_repair_log_waiting(VhdFile *file, const char *dir)
{
    VhdFileInfo info;
    char *log;

    if (vhd_file_info(file, &info) != 0 || info.bytes < VHD_FOOTER_BYTES)
        return NULL;
    log = log_of(file, 0, dir);
    return log ? log : log_of(file, info.bytes - VHD_FOOTER_BYTES, dir);
}

/* Planning */

static int plan_round(VhdRepair *repair)
{
    static int (*const kinds[])(VhdRepair *) = {repair_footers, repair_geometry, repair_header,
                                                repair_batmap,  repair_bat,      repair_end,
                                                repair_leaks};
    int planned = 0;

    for (unsigned i = 0; i < G_N_ELEMENTS(kinds) && planned == 0 && !repair->blocked; i++)
        planned = kinds[i](repair);
    return planned;
}

static bool plan_rounds(VhdRepair *repair, GError **error)
{
    for (unsigned round = 0; round < ROUNDS_MAX; round++) {
        int planned;

        if (!look(repair, error))
            return false;
        planned = plan_round(repair);
        if (planned < 0)
            vhd_error_set_errno(error, VHD_ERROR_IO, repair->file->name,
                                "read what is to be mended", -planned);
        if (planned <= 0)
            return planned == 0;
    }
    return true;
}

/* The footer that the caller chose leads nowhere: better nothing is done. */
static bool refuse_choice(VhdRepair *repair, GError **error)
{
    if (repair->options.footer == VHD_REPAIR_FOOTER_UNKNOWN || repair->facts.judged ||
        repair->changes->len == 0)
        return true;
    g_set_error(error, VHD_ERROR, VHD_ERROR_CORRUPT,
                "%s: with the footer chosen the image does not fit together: %s; nothing was "
                "changed, choose the other footer",
                repair->file->name,
                repair->findings->len > 0
                    ? g_array_index(repair->findings, VhdFinding, repair->findings->len - 1).text
                    : "it cannot be judged");
    return false;
}

static bool is_left(const VhdFinding *finding)
{
    return finding->severity >= VHD_SEVERITY_LEAK || finding->asks || finding->repairable;
}

static void note_left(VhdRepair *repair)
{
    for (guint i = 0; i < repair->findings->len; i++) {
        const VhdFinding *finding = &g_array_index(repair->findings, VhdFinding, i);

        if (is_left(finding))
            add_item(repair->left, finding->code, finding->severity, finding->asks,
                     g_strdup(finding->text));
    }
}

static bool plan(VhdRepair *repair, GError **error)
{
    unsigned steps;

    if (!plan_rounds(repair, error) || !refuse_choice(repair, error))
        return false;
    steps = repair->view->steps->len;
    if (repair->facts.judged && !repair->blocked && !repair_parent(repair, error))
        return false;
    if (repair->view->steps->len > steps && !look(repair, error))
        return false;
    note_left(repair);
    return true;
}

VhdRepair *vhd_repair_plan(VhdFile *file, const VhdRepairOptions *options, GError **error)
{
    g_autoptr(VhdRepair) repair = g_new0(VhdRepair, 1);
    int err;

    repair->file = file;
    repair->options = *options;
    repair->findings = g_array_new(FALSE, FALSE, sizeof(VhdFinding));
    g_array_set_clear_func(repair->findings, clear_finding);
    repair->changes = g_ptr_array_new_with_free_func(free_item);
    repair->left = g_ptr_array_new_with_free_func(free_item);
    repair->view = repair_view_new(file, &err);
    if (!repair->view) {
        vhd_error_set_errno(error, VHD_ERROR_IO, file->name, "look at it", -err);
        return NULL;
    }
    return plan(repair, error) ? g_steal_pointer(&repair) : NULL;
}
