/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
#include "tests/crash/judge.h"

#include <stdio.h>
#include <string.h>

#include "tests/crash/cached-file.h"
#include "vhd/check.h"
#include "vhd/error.h"

#define NEW_ID UINT32_MAX /* of the sector that is written to try out the next allocation */

/* A case while it is being judged. */
typedef struct Trial {
    const Case *judged;
    VhdChain *chain;
    uint8_t *content;
    uint64_t bytes; /* of the file before it was opened */
    bool footer_lost;
    Violation *violation;
} Trial;

bool violate(Violation *violation, unsigned invariant, const char *format, ...)
{
    va_list args;

    violation->invariant = invariant;
    va_start(args, format);
    g_vsnprintf(violation->text, sizeof violation->text, format, args);
    va_end(args);
    return false;
}

/* ---- check */

typedef struct Errors {
    unsigned codes; /* a bit each */
    bool footer_lost;
    char *text; /* the first; 300 bytes */
} Errors;

static void note_finding(void *data, const VhdFinding *finding)
{
    Errors *errors = data;

    errors->footer_lost |= finding->code == VHD_FINDING_FOOTER_LOST;
    if (finding->severity != VHD_SEVERITY_ERROR && finding->severity != VHD_SEVERITY_FAILED)
        return;
    if (errors->codes == 0)
        g_snprintf(errors->text, 300, "%s: %s", vhd_finding_name(finding->code), finding->text);
    errors->codes |= 1u << finding->code;
}

static Errors look_for_errors(MemImage *image, const char *pending_dir, char text[static 300])
{
    g_autoptr(VhdFile) file = mem_file_open(image, "crashed", false);
    g_autoptr(GError) error = NULL;
    Errors errors = {.text = text};
    VhdCheckOptions options = {.report = note_finding, .data = &errors, .pending_dir = pending_dir};
    VhdCheckResult result;

    if (!vhd_check_image(file, 0, &options, &result, &error)) {
        g_snprintf(text, 300, "check: %s", error->message);
        errors.codes |= 1u << VHD_FINDING_FOOTER_COPY;
    }
    return errors;
}

unsigned judge_errors(MemImage *image, const char *pending_dir, char text[static 300])
{
    return look_for_errors(image, pending_dir, text).codes;
}

/* The invariant that a finding is against. */
static unsigned invariant_of(unsigned codes)
{
    static const struct {
        VhdFindingCode code;
        unsigned invariant;
    } table[] = {
        {VHD_FINDING_FOOTER_COPY, 1},    {VHD_FINDING_FOOTER_END, 1}, {VHD_FINDING_FOOTER_LOST, 1},
        {VHD_FINDING_FOOTERS_DIFFER, 1}, {VHD_FINDING_HEADER, 1},     {VHD_FINDING_LOCATOR, 1},
        {VHD_FINDING_BATMAP_LIES, 12},   {VHD_FINDING_BAT_ENTRY, 2},  {VHD_FINDING_BAT_OVERLAP, 4},
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(table); i++)
        if (codes & 1u << table[i].code)
            return table[i].invariant;
    return 1;
}

static bool check_before(Trial *trial)
{
    const Case *judged = trial->judged;
    char text[300];
    Errors errors = look_for_errors(judged->image, judged->rig->judge_dir, text);

    trial->footer_lost = errors.footer_lost;
    errors.codes &= ~judged->tolerated;
    return errors.codes == 0 ||
           violate(trial->violation, invariant_of(errors.codes), "check finds %s", text);
}

/* ---- opening */

static bool open_image(Trial *trial, bool writable)
{
    const Case *judged = trial->judged;
    g_autoptr(GError) error = NULL;
    VhdImageOptions options = {.writable = writable,
                               .pending = judged->log != NULL,
                               .pending_dir = judged->rig->judge_dir};
    VhdFile *file = writable && judged->cache ? cached_file_new(judged->image, judged->cache)
                                              : mem_file_open(judged->image, "crashed", writable);
    VhdImage *image = vhd_image_open(file, &options, &error);

    if (!image)
        return violate(trial->violation, error->code == VHD_ERROR_PENDING ? 10 : 1,
                       "it does not open: %s", error->message);
    trial->chain = rig_chain(judged->rig, image);
    if (writable && !vhd_image_writable(image))
        return violate(trial->violation, 1, "it opens read-only");
    if (mem_image_bytes(judged->image) < trial->bytes)
        return violate(trial->violation, 5,
                       "opening cut the file from %" G_GUINT64_FORMAT " to %" G_GUINT64_FORMAT
                       " bytes",
                       trial->bytes, mem_image_bytes(judged->image));
    return true;
}

/* ---- sectors */

/* Whether the block's BAT entry is on the disk for certain. */
static bool entry_is_certain(const Case *judged, uint32_t block, uint32_t entry)
{
    VhdImageOptions options = {.writable = false};
    g_autoptr(MemImage) bytes = NULL;
    VhdImage *image;
    bool certain = false;

    if (!judged->trace_cut)
        return true;
    bytes = trace_cut_image(judged->trace_cut, trace_choose_none, NULL);
    image = vhd_image_open(mem_file_open(bytes, "certain", false), &options, NULL);
    if (image)
        certain = vhd_image_bat_entry(image, block) == entry;
    vhd_image_unref(image);
    return certain;
}

static unsigned blame_sector(const Trial *trial, uint64_t sector, LedgerVerdict verdict)
{
    const Case *judged = trial->judged;
    VhdImage *top = vhd_chain_layer(trial->chain, 0);
    const VhdLayout *layout = vhd_image_layout(top);
    uint32_t block, entry;

    if (judged->blamed)
        return judged->blamed;
    if (judged->cut.level == LEDGER_ACKED)
        return 10;
    if (verdict == LEDGER_TOO_OLD || verdict == LEDGER_FUTURE || layout->type == VHD_TYPE_FIXED)
        return 8;
    if (verdict == LEDGER_FOREIGN)
        return 11;
    block = (uint32_t)(sector / layout->block_sectors);
    entry = vhd_image_bat_entry(top, block);
    if (entry == VHD_BAT_UNUSED)
        return 8;
    if (!entry_is_certain(judged, block, entry))
        return 2;
    return layout->type == VHD_TYPE_DYNAMIC ? 9 : 3;
}

static bool judge_sectors(Trial *trial)
{
    static const char *const names[] = {"", "is older than what was promised", "is not written yet",
                                        "is another sector's", "was never written there"};
    uint64_t sectors = vhd_chain_sectors(trial->chain);

    if (rig_read(trial->chain, trial->content) != 0)
        return violate(trial->violation, 8, "the disk cannot be read");
    for (uint64_t i = 0; i < sectors; i++) {
        const uint8_t *found = trial->content + i * SECTOR_BYTES;
        LedgerVerdict verdict = ledger_judge(&trial->judged->cut, i, found);
        g_autofree char *text = NULL;

        if (verdict == LEDGER_FINE)
            continue;
        text = ledger_describe(found);
        return violate(trial->violation, blame_sector(trial, i, verdict),
                       "sector %" G_GUINT64_FORMAT " holds %s, which %s", i, text, names[verdict]);
    }
    return true;
}

/* ---- the next allocation */

/* A block without a place; -1: none. */
static int64_t find_unused(const Trial *trial)
{
    VhdImage *top = vhd_chain_layer(trial->chain, 0);
    const VhdLayout *layout = vhd_image_layout(top);
    uint32_t start = layout->blocks ? (uint32_t)(trial->judged->seed % layout->blocks) : 0;

    for (uint32_t i = 0; i < layout->blocks; i++) {
        uint32_t block = (start + i) % layout->blocks;

        if (vhd_image_bat_entry(top, block) == VHD_BAT_UNUSED)
            return block;
    }
    return -1;
}

static int write_sector(Trial *trial, uint64_t sector)
{
    uint8_t *bytes = trial->content + sector * SECTOR_BYTES;
    struct iovec iov = {bytes, SECTOR_BYTES};
    VhdRequest request = {.op = VHD_OP_WRITE,
                          .off = sector * SECTOR_BYTES,
                          .len = SECTOR_BYTES,
                          .iov = &iov,
                          .iovcnt = 1};

    ledger_pattern(bytes, sector, NEW_ID);
    return vhd_disk_io(&(VhdDiskLayers){trial->chain, NULL}, &request);
}

/* The whole disk is what content says. */
static bool compare(Trial *trial, unsigned invariant, const char *when)
{
    uint64_t sectors = vhd_chain_sectors(trial->chain);
    g_autofree uint8_t *found = g_malloc(sectors * SECTOR_BYTES);
    g_autofree char *text = NULL;
    uint64_t i = 0;

    if (rig_read(trial->chain, found) != 0)
        return violate(trial->violation, 8, "the disk cannot be read %s", when);
    if (memcmp(found, trial->content, sectors * SECTOR_BYTES) == 0)
        return true;
    while (memcmp(found + i * SECTOR_BYTES, trial->content + i * SECTOR_BYTES, SECTOR_BYTES) == 0)
        i++;
    text = ledger_describe(found + i * SECTOR_BYTES);
    return violate(trial->violation, invariant, "%s sector %" G_GUINT64_FORMAT " holds %s", when, i,
                   text);
}

/* Whether a new block lies where the file, which has lost its footer, ended or beyond. */
static bool lies_behind(Trial *trial, uint32_t block)
{
    uint64_t off =
        (uint64_t)vhd_image_bat_entry(vhd_chain_layer(trial->chain, 0), block) * SECTOR_BYTES;

    return !trial->footer_lost || off >= trial->bytes ||
           violate(trial->violation, 5,
                   "a new block is placed at %" G_GUINT64_FORMAT ", in a file of %" G_GUINT64_FORMAT
                   " bytes without a footer",
                   off, trial->bytes);
}

static bool try_allocation(Trial *trial)
{
    const VhdLayout *layout = vhd_image_layout(vhd_chain_layer(trial->chain, 0));
    int64_t block = find_unused(trial);
    uint64_t sector, used;

    if (block >= 0) {
        used = vhd_layout_block_used_sectors(layout, (uint32_t)block);
        sector = (uint64_t)block * layout->block_sectors + trial->judged->seed / 7 % used;
    } else {
        sector = trial->judged->seed % vhd_chain_sectors(trial->chain);
    }
    if (write_sector(trial, sector) != 0)
        return violate(trial->violation, 7, "sector %" G_GUINT64_FORMAT " cannot be written",
                       sector);
    return compare(trial, 9, "after the next allocation") &&
           (block < 0 || trial->judged->log || lies_behind(trial, (uint32_t)block));
}

/* Flush, forget, open anew. */
static bool try_flush(Trial *trial)
{
    char text[300];
    unsigned codes;

    if (vhd_disk_io_flush(trial->chain) != 0)
        return violate(trial->violation, 8, "it cannot be flushed");
    g_clear_pointer(&trial->chain, vhd_chain_free);
    trial->bytes = 0;
    if (!open_image(trial, false) ||
        !compare(trial, trial->judged->cache ? 7 : 8, "after a flush and reopening"))
        return false;
    codes = judge_errors(trial->judged->image, trial->judged->rig->judge_dir, text);
    return codes == 0 ||
           violate(trial->violation, invariant_of(codes), "after a flush check finds %s", text);
}

bool judge(const Case *judged, Violation *violation)
{
    Trial trial = {.judged = judged, .violation = violation};
    bool fine;

    violation->invariant = 0;
    trial.bytes = mem_image_bytes(judged->image);
    trial.content = g_malloc(ledger_sectors(judged->cut.ledger) * SECTOR_BYTES);
    if (judged->log)
        log_state_write(judged->log, judged->rig->judge_dir);
    fine = check_before(&trial) && open_image(&trial, true) && judge_sectors(&trial) &&
           try_allocation(&trial) && try_flush(&trial);
    if (trial.chain)
        vhd_chain_free(trial.chain);
    if (judged->log)
        log_folder_clear(judged->rig->judge_dir);
    g_free(trial.content);
    return fine;
}
