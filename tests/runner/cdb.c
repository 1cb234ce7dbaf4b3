/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* CDBs: building them, their length, their text. */
#include <stdio.h>
#include <string.h>

#include "runner-private.h"
#include "scsi.h"

uint64_t runner_get_be(const uint8_t *bytes, size_t count)
{
    uint64_t value = 0;
    for (size_t i = 0; i < count; i++)
        value = value << 8 | bytes[i];
    return value;
}

void runner_put_be(uint8_t *bytes, size_t count, uint64_t value)
{
    for (size_t i = count; i-- > 0; value >>= 8)
        bytes[i] = (uint8_t)value;
}

size_t runner_cdb_length(const uint8_t *cdb)
{
    static const uint8_t length_of_group[8] = {6, 10, 10, 0, 16, 12, 0, 0};
    return length_of_group[cdb[0] >> 5];
}

/* CDB of 10 bytes with LBA in 2..5 and a count in 7..8. */
static void fill10(uint8_t *cdb, uint8_t opcode, uint32_t lba, uint16_t blocks, uint8_t flags)
{
    memset(cdb, 0, RUNNER_CDB_ROOM);
    cdb[0] = opcode;
    cdb[1] = flags;
    runner_put_be(cdb + 2, 4, lba);
    runner_put_be(cdb + 7, 2, blocks);
}

/* CDB of 16 bytes with LBA in 2..9 and a count in 10..13. */
static void fill16(uint8_t *cdb, uint8_t opcode, uint64_t lba, uint32_t blocks, uint8_t flags)
{
    memset(cdb, 0, RUNNER_CDB_ROOM);
    cdb[0] = opcode;
    cdb[1] = flags;
    runner_put_be(cdb + 2, 8, lba);
    runner_put_be(cdb + 10, 4, blocks);
}

void runner_cdb_read10(uint8_t *cdb, uint32_t lba, uint16_t blocks, uint8_t flags)
{
    fill10(cdb, SCSI_READ_10, lba, blocks, flags);
}

void runner_cdb_read16(uint8_t *cdb, uint64_t lba, uint32_t blocks, uint8_t flags)
{
    fill16(cdb, SCSI_READ_16, lba, blocks, flags);
}

void runner_cdb_write10(uint8_t *cdb, uint32_t lba, uint16_t blocks, uint8_t flags)
{
    fill10(cdb, SCSI_WRITE_10, lba, blocks, flags);
}

void runner_cdb_write16(uint8_t *cdb, uint64_t lba, uint32_t blocks, uint8_t flags)
{
    fill16(cdb, SCSI_WRITE_16, lba, blocks, flags);
}

void runner_cdb_sync10(uint8_t *cdb)
{
    fill10(cdb, SCSI_SYNC_10, 0, 0, 0);
}

void runner_cdb_sync16(uint8_t *cdb)
{
    fill16(cdb, SCSI_SYNC_16, 0, 0, 0);
}

void runner_cdb_write_same10(uint8_t *cdb, uint32_t lba, uint16_t blocks, uint8_t flags)
{
    fill10(cdb, SCSI_WRITE_SAME_10, lba, blocks, flags);
}

void runner_cdb_write_same16(uint8_t *cdb, uint64_t lba, uint32_t blocks, uint8_t flags)
{
    fill16(cdb, SCSI_WRITE_SAME_16, lba, blocks, flags);
}

void runner_cdb_write_verify16(uint8_t *cdb, uint64_t lba, uint32_t blocks)
{
    fill16(cdb, SCSI_WRITE_VERIFY_16, lba, blocks, 0);
}

void runner_cdb_caw(uint8_t *cdb, uint64_t lba, uint8_t blocks)
{
    fill16(cdb, SCSI_COMPARE_AND_WRITE, lba, blocks, 0);
}

void runner_cdb_unmap(uint8_t *cdb, uint8_t *list, uint64_t lba, uint32_t blocks)
{
    fill10(cdb, SCSI_UNMAP, 0, RUNNER_UNMAP_LIST, 0);
    memset(list, 0, RUNNER_UNMAP_LIST);
    runner_put_be(list, 2, RUNNER_UNMAP_LIST - 2);
    runner_put_be(list + 2, 2, RUNNER_UNMAP_LIST - 8);
    runner_put_be(list + 8, 8, lba);
    runner_put_be(list + 16, 4, blocks);
}

static const char *opcode_name(uint8_t opcode)
{
    static const struct {
        uint8_t opcode;
        const char *name;
    } names[] = {
        {SCSI_TEST_UNIT_READY, "TEST UNIT READY"},
        {SCSI_INQUIRY, "INQUIRY"},
        {SCSI_READ_6, "READ(6)"},
        {SCSI_WRITE_6, "WRITE(6)"},
        {SCSI_READ_10, "READ(10)"},
        {SCSI_WRITE_10, "WRITE(10)"},
        {SCSI_READ_12, "READ(12)"},
        {SCSI_WRITE_12, "WRITE(12)"},
        {SCSI_READ_16, "READ(16)"},
        {SCSI_WRITE_16, "WRITE(16)"},
        {SCSI_SYNC_10, "SYNCHRONIZE CACHE(10)"},
        {SCSI_SYNC_16, "SYNCHRONIZE CACHE(16)"},
        {SCSI_UNMAP, "UNMAP"},
        {SCSI_COMPARE_AND_WRITE, "COMPARE AND WRITE"},
        {SCSI_WRITE_SAME_10, "WRITE SAME(10)"},
        {SCSI_WRITE_SAME_16, "WRITE SAME(16)"},
        {SCSI_WRITE_VERIFY_10, "WRITE AND VERIFY(10)"},
        {SCSI_WRITE_VERIFY_16, "WRITE AND VERIFY(16)"},
        {SCSI_READ_CAPACITY_10, "READ CAPACITY(10)"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        if (names[i].opcode == opcode)
            return names[i].name;
    }
    return "CDB";
}

char *runner_cdb_text(const uint8_t *cdb, char text[RUNNER_CDB_TEXT])
{
    size_t length = MAX(runner_cdb_length(cdb), 6);
    int used = snprintf(text, RUNNER_CDB_TEXT, "%s", opcode_name(cdb[0]));
    for (size_t i = 0; i < length; i++)
        used += snprintf(text + used, RUNNER_CDB_TEXT - (size_t)used, " %02x", cdb[i]);
    return text;
}
