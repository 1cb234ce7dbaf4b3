/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* The records as they lie in the file are the structs below: bytes only, so no padding, no
 * alignment and no byte order can come between them and the disk. */
#include "vhd/format.h"

#include <string.h>

#include "vhd/be.h"

#define FORMAT_VERSION 0x00010000u /* [SPEC] only a change of the major half is incompatible */

static const uint8_t footer_cookie[8] = "conectix";
static const uint8_t poison_cookie[8] = "v_poison"; /* XenServer's, see vhd_footer_decode */
static const uint8_t header_cookie[8] = "cxsparse";
static const uint8_t batmap_cookie[8] = "tdbatmap";

typedef struct RawFooter {
    uint8_t cookie[8];
    uint8_t features[4];
    uint8_t version[4];
    uint8_t data_offset[8];
    uint8_t time_stamp[4];
    uint8_t creator[4];
    uint8_t creator_version[4];
    uint8_t creator_host[4];
    uint8_t original_bytes[8];
    uint8_t current_bytes[8];
    uint8_t cylinders[2];
    uint8_t heads[1];
    uint8_t sectors_per_track[1];
    uint8_t type[4];
    uint8_t checksum[4];
    uint8_t uuid[VHD_UUID_BYTES];
    uint8_t saved_state[1];
    uint8_t reserved[427];
} RawFooter;

typedef struct RawLocator {
    uint8_t platform[4];
    uint8_t data_space[4];
    uint8_t data_length[4];
    uint8_t reserved[4];
    uint8_t data_offset[8];
} RawLocator;

typedef struct RawHeader {
    uint8_t cookie[8];
    uint8_t data_offset[8];
    uint8_t bat_offset[8];
    uint8_t version[4];
    uint8_t bat_entries[4];
    uint8_t block_bytes[4];
    uint8_t checksum[4];
    uint8_t parent_uuid[VHD_UUID_BYTES];
    uint8_t parent_time_stamp[4];
    uint8_t reserved1[4];
    uint8_t parent_name[VHD_PARENT_NAME_BYTES];
    RawLocator locators[VHD_LOCATORS];
    uint8_t reserved2[256];
} RawHeader;

typedef struct RawBatmap {
    uint8_t cookie[8];
    uint8_t map_offset[8];
    uint8_t map_sectors[4];
    uint8_t version[4];
    uint8_t checksum[4];
    uint8_t rest[484];
} RawBatmap;

_Static_assert(sizeof(RawFooter) == VHD_FOOTER_BYTES, "footer");
_Static_assert(offsetof(RawFooter, checksum) == VHD_FOOTER_AT_CHECKSUM, "footer checksum");
_Static_assert(offsetof(RawFooter, data_offset) == VHD_FOOTER_AT_DATA_OFFSET, "data offset");
_Static_assert(offsetof(RawFooter, current_bytes) == VHD_FOOTER_AT_SIZE, "current size");
_Static_assert(offsetof(RawFooter, type) == VHD_FOOTER_AT_TYPE, "disk type");
_Static_assert(offsetof(RawFooter, uuid) == VHD_FOOTER_AT_UUID, "uuid");
_Static_assert(sizeof(RawLocator) == VHD_LOCATOR_BYTES, "locator");
_Static_assert(offsetof(RawLocator, data_length) == VHD_LOCATOR_AT_LENGTH, "locator length");
_Static_assert(offsetof(RawLocator, data_offset) == VHD_LOCATOR_AT_OFFSET, "locator offset");
_Static_assert(sizeof(RawHeader) == VHD_HEADER_BYTES, "header");
_Static_assert(offsetof(RawHeader, bat_offset) == VHD_HEADER_AT_BAT_OFFSET, "BAT offset");
_Static_assert(offsetof(RawHeader, bat_entries) == VHD_HEADER_AT_BAT_ENTRIES, "BAT entries");
_Static_assert(offsetof(RawHeader, block_bytes) == VHD_HEADER_AT_BLOCK_SIZE, "block size");
_Static_assert(offsetof(RawHeader, checksum) == VHD_HEADER_AT_CHECKSUM, "header checksum");
_Static_assert(offsetof(RawHeader, locators) == VHD_HEADER_AT_LOCATORS, "locators");
_Static_assert(sizeof(RawBatmap) == VHD_BATMAP_BYTES, "batmap header");
_Static_assert(offsetof(RawBatmap, map_offset) == VHD_BATMAP_AT_OFFSET, "map offset");
_Static_assert(offsetof(RawBatmap, map_sectors) == VHD_BATMAP_AT_SECTORS, "map sectors");

uint32_t vhd_checksum(const uint8_t *raw, size_t len, size_t checksum_at)
{
    uint32_t sum = 0;

    for (size_t i = 0; i < len; i++)
        if (i < checksum_at || i - checksum_at >= 4)
            sum += raw[i];
    return ~sum;
}

static bool judge_cookie(const uint8_t raw[static 8], const uint8_t cookie[static 8],
                         VhdFaultCode code, uint64_t off, VhdFault *fault)
{
    if (memcmp(raw, cookie, 8) == 0)
        return true;
    *fault = (VhdFault){code, off, be64_get(raw), be64_get(cookie)};
    return false;
}

/* Judge the checksum of the record raw, len bytes long, that lies at file offset off. */
static bool judge_checksum(const uint8_t *raw, size_t len, size_t checksum_at, VhdFaultCode code,
                           uint64_t off, VhdFault *fault)
{
    uint32_t stored = be32_get(raw + checksum_at);
    uint32_t computed = vhd_checksum(raw, len, checksum_at);

    if (stored == computed)
        return true;
    *fault = (VhdFault){code, off + checksum_at, stored, computed};
    return false;
}

static bool judge_version(uint32_t version, VhdFaultCode code, uint64_t off, VhdFault *fault)
{
    if (version >> 16 == FORMAT_VERSION >> 16)
        return true;
    *fault = (VhdFault){code, off, version, FORMAT_VERSION};
    return false;
}

bool vhd_footer_decode(const uint8_t raw[static VHD_FOOTER_BYTES], uint64_t off, VhdFooter *footer,
                       VhdFault *fault)
{
    RawFooter r;

    memcpy(&r, raw, sizeof(r));
    if (memcmp(r.cookie, poison_cookie, sizeof(r.cookie)) == 0) {
        *fault =
            (VhdFault){VHD_FAULT_FOOTER_POISONED, off, be64_get(r.cookie), be64_get(footer_cookie)};
        return false;
    }
    if (!judge_cookie(r.cookie, footer_cookie, VHD_FAULT_FOOTER_COOKIE, off, fault) ||
        !judge_checksum(raw, sizeof(r), offsetof(RawFooter, checksum), VHD_FAULT_FOOTER_CHECKSUM,
                        off, fault) ||
        !judge_version(be32_get(r.version), VHD_FAULT_FOOTER_VERSION,
                       off + offsetof(RawFooter, version), fault))
        return false;
    *footer = (VhdFooter){
        .features = be32_get(r.features),
        .version = be32_get(r.version),
        .data_offset = be64_get(r.data_offset),
        .time_stamp = be32_get(r.time_stamp),
        .creator = be32_get(r.creator),
        .creator_version = be32_get(r.creator_version),
        .creator_host = be32_get(r.creator_host),
        .original_bytes = be64_get(r.original_bytes),
        .current_bytes = be64_get(r.current_bytes),
        .geometry = {be16_get(r.cylinders), r.heads[0], r.sectors_per_track[0]},
        .type = be32_get(r.type),
        .saved_state = r.saved_state[0],
    };
    memcpy(footer->uuid, r.uuid, sizeof(r.uuid));
    memcpy(footer->reserved, r.reserved, sizeof(r.reserved));
    return true;
}

bool vhd_footer_decode_short(const uint8_t raw[static VHD_FOOTER_BYTES - 1], uint64_t off,
                             VhdFooter *footer, VhdFault *fault)
{
    uint8_t whole[VHD_FOOTER_BYTES] = {0};

    memcpy(whole, raw, VHD_FOOTER_BYTES - 1);
    return vhd_footer_decode(whole, off, footer, fault);
}

void vhd_footer_encode(const VhdFooter *footer, uint8_t raw[static VHD_FOOTER_BYTES])
{
    RawFooter r = {.heads = {footer->geometry.heads},
                   .sectors_per_track = {footer->geometry.sectors_per_track},
                   .saved_state = {footer->saved_state}};

    memcpy(r.cookie, footer_cookie, sizeof(r.cookie));
    be32_put(r.features, footer->features);
    be32_put(r.version, footer->version);
    be64_put(r.data_offset, footer->data_offset);
    be32_put(r.time_stamp, footer->time_stamp);
    be32_put(r.creator, footer->creator);
    be32_put(r.creator_version, footer->creator_version);
    be32_put(r.creator_host, footer->creator_host);
    be64_put(r.original_bytes, footer->original_bytes);
    be64_put(r.current_bytes, footer->current_bytes);
    be16_put(r.cylinders, footer->geometry.cylinders);
    be32_put(r.type, footer->type);
    memcpy(r.uuid, footer->uuid, sizeof(r.uuid));
    memcpy(r.reserved, footer->reserved, sizeof(r.reserved));
    memcpy(raw, &r, sizeof(r));
    be32_put(raw + offsetof(RawFooter, checksum),
             vhd_checksum(raw, sizeof(r), offsetof(RawFooter, checksum)));
}

static VhdLocator locator_decode(const RawLocator *r)
{
    return (VhdLocator){
        .platform = be32_get(r->platform),
        .data_space = be32_get(r->data_space),
        .data_length = be32_get(r->data_length),
        .reserved = be32_get(r->reserved),
        .data_offset = be64_get(r->data_offset),
    };
}

static void locator_encode(const VhdLocator *locator, RawLocator *r)
{
    be32_put(r->platform, locator->platform);
    be32_put(r->data_space, locator->data_space);
    be32_put(r->data_length, locator->data_length);
    be32_put(r->reserved, locator->reserved);
    be64_put(r->data_offset, locator->data_offset);
}

bool vhd_header_decode(const uint8_t raw[static VHD_HEADER_BYTES], uint64_t off, VhdHeader *header,
                       VhdFault *fault)
{
    RawHeader r;

    memcpy(&r, raw, sizeof(r));
    if (!judge_cookie(r.cookie, header_cookie, VHD_FAULT_HEADER_COOKIE, off, fault) ||
        !judge_checksum(raw, sizeof(r), offsetof(RawHeader, checksum), VHD_FAULT_HEADER_CHECKSUM,
                        off, fault) ||
        !judge_version(be32_get(r.version), VHD_FAULT_HEADER_VERSION,
                       off + offsetof(RawHeader, version), fault))
        return false;
    *header = (VhdHeader){
        .data_offset = be64_get(r.data_offset),
        .bat_offset = be64_get(r.bat_offset),
        .version = be32_get(r.version),
        .bat_entries = be32_get(r.bat_entries),
        .block_bytes = be32_get(r.block_bytes),
        .parent_time_stamp = be32_get(r.parent_time_stamp),
        .reserved1 = be32_get(r.reserved1),
    };
    memcpy(header->parent_uuid, r.parent_uuid, sizeof(r.parent_uuid));
    memcpy(header->parent_name, r.parent_name, sizeof(r.parent_name));
    memcpy(header->reserved2, r.reserved2, sizeof(r.reserved2));
    for (size_t i = 0; i < VHD_LOCATORS; i++)
        header->locators[i] = locator_decode(&r.locators[i]);
    return true;
}

void vhd_header_encode(const VhdHeader *header, uint8_t raw[static VHD_HEADER_BYTES])
{
    RawHeader r = {.checksum = {0}};

    memcpy(r.cookie, header_cookie, sizeof(r.cookie));
    be64_put(r.data_offset, header->data_offset);
    be64_put(r.bat_offset, header->bat_offset);
    be32_put(r.version, header->version);
    be32_put(r.bat_entries, header->bat_entries);
    be32_put(r.block_bytes, header->block_bytes);
    memcpy(r.parent_uuid, header->parent_uuid, sizeof(r.parent_uuid));
    be32_put(r.parent_time_stamp, header->parent_time_stamp);
    be32_put(r.reserved1, header->reserved1);
    memcpy(r.parent_name, header->parent_name, sizeof(r.parent_name));
    for (size_t i = 0; i < VHD_LOCATORS; i++)
        locator_encode(&header->locators[i], &r.locators[i]);
    memcpy(r.reserved2, header->reserved2, sizeof(r.reserved2));
    memcpy(raw, &r, sizeof(r));
    be32_put(raw + offsetof(RawHeader, checksum),
             vhd_checksum(raw, sizeof(r), offsetof(RawHeader, checksum)));
}

bool vhd_batmap_decode(const uint8_t raw[static VHD_BATMAP_BYTES], uint64_t off,
                       VhdBatmapHeader *batmap, VhdFault *fault)
{
    RawBatmap r;

    memcpy(&r, raw, sizeof(r));
    if (!judge_cookie(r.cookie, batmap_cookie, VHD_FAULT_BATMAP_COOKIE, off, fault))
        return false;
    *batmap = (VhdBatmapHeader){
        .map_offset = be64_get(r.map_offset),
        .map_sectors = be32_get(r.map_sectors),
        .version = be32_get(r.version),
        .checksum = be32_get(r.checksum),
    };
    memcpy(batmap->rest, r.rest, sizeof(r.rest));
    return true;
}

void vhd_batmap_encode(const VhdBatmapHeader *batmap, uint8_t raw[static VHD_BATMAP_BYTES])
{
    RawBatmap r;

    memcpy(r.cookie, batmap_cookie, sizeof(r.cookie));
    be64_put(r.map_offset, batmap->map_offset);
    be32_put(r.map_sectors, batmap->map_sectors);
    be32_put(r.version, batmap->version);
    be32_put(r.checksum, batmap->checksum);
    memcpy(r.rest, batmap->rest, sizeof(r.rest));
    memcpy(raw, &r, sizeof(r));
}

uint32_t vhd_batmap_checksum(const uint8_t *map, size_t len, uint64_t disk_bytes)
{
    uint64_t bytes = ((disk_bytes >> 24) + VHD_SECTOR_BYTES - 1) / VHD_SECTOR_BYTES;

    bytes = (bytes > 0 ? bytes : 1) * VHD_SECTOR_BYTES;
    return vhd_checksum(map, bytes < len ? bytes : len, SIZE_MAX);
}

bool vhd_footer_promises_batmap(const VhdFooter *footer)
{
    return footer->creator == VHD_CREATOR_TAPDISK && footer->creator_version >= 0x00010001u;
}

/* The algorithm of [SPEC], appendix "CHS calculation", step by step; all divisions round down but
 * that for heads. */
VhdGeometry vhd_geometry(uint64_t disk_bytes)
{
    uint64_t disk_sectors = disk_bytes / VHD_SECTOR_BYTES;
    uint32_t most = 65535u * 16 * 255;
    uint32_t total = disk_sectors > most ? most : (uint32_t)disk_sectors;
    uint32_t per_track = 17, heads, tracks;

    if (total >= 65535u * 16 * 63) {
        per_track = 255;
        heads = 16;
        tracks = total / per_track;
    } else {
        tracks = total / per_track;
        heads = (tracks + 1023) / 1024;
        if (heads < 4)
            heads = 4;
        if (tracks >= heads * 1024 || heads > 16) {
            per_track = 31;
            heads = 16;
            tracks = total / per_track;
        }
        if (tracks >= heads * 1024) {
            per_track = 63;
            heads = 16;
            tracks = total / per_track;
        }
    }
    return (VhdGeometry){(uint16_t)(tracks / heads), (uint8_t)heads, (uint8_t)per_track};
}
