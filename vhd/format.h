/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * The records of a VHD file, bytes in and bytes out: footer, dynamic header, parent locator table,
 * XenServer's batmap header. Pure: no I/O, no allocation, no global state, any thread.
 *
 * Source of every rule, unless one is named: Microsoft, Virtual Hard Disk Image Format
 * Specification 1.0 (2006), called [SPEC]; what real images do instead is said at the place.
 *
 * Laws (tested and fuzzed): decode(encode(x)) = x for every x whose fields fit; encode(decode(raw))
 * = raw for every raw that decode accepts, reserved bytes included: they are carried, never judged.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VHD_SECTOR_BYTES      512u
#define VHD_SECTOR_SHIFT      9
#define VHD_FOOTER_BYTES      512u
#define VHD_HEADER_BYTES      1024u
#define VHD_BATMAP_BYTES      512u
#define VHD_LOCATORS          8
#define VHD_UUID_BYTES        16
#define VHD_PARENT_NAME_BYTES 512u
#define VHD_BAT_UNUSED        0xFFFFFFFFu  /* [SPEC] block is not in this file */
#define VHD_BAT_MAX_ENTRIES   (16u << 20)  /* ours: a hostile header must not cost more memory */
#define VHD_BLOCK_MIN_BYTES   4096u        /* ours */
#define VHD_BLOCK_MAX_BYTES   (256u << 20) /* ours */
#define VHD_EPOCH_UNIX        946684800    /* [SPEC] times count from 2000-01-01T00:00:00Z */
#define VHD_NO_DATA_OFFSET    UINT64_MAX   /* what real images hold where [SPEC] says 0xFFFFFFFF */
#define VHD_DYNAMIC_MAX_BYTES (UINT64_C(2040) << 30) /* [SPEC] 2040 GB */
/* Ours: a fixed disk and its footer must end where a file offset, a signed number, still reaches.
 */
#define VHD_FIXED_MAX_BYTES                                                                        \
    ((uint64_t)INT64_MAX / VHD_SECTOR_BYTES * VHD_SECTOR_BYTES - VHD_FOOTER_BYTES)

typedef enum VhdType {
    VHD_TYPE_FIXED = 2,
    VHD_TYPE_DYNAMIC = 3,
    VHD_TYPE_DIFFERENCING = 4,
} VhdType;

/* Where the fields that are judged lie in their record, in bytes: for VhdFault.off. */
#define VHD_FOOTER_AT_DATA_OFFSET 16u
#define VHD_FOOTER_AT_SIZE        48u
#define VHD_FOOTER_AT_TYPE        60u
#define VHD_FOOTER_AT_CHECKSUM    64u
#define VHD_FOOTER_AT_UUID        68u
#define VHD_HEADER_AT_BAT_OFFSET  16u
#define VHD_HEADER_AT_BAT_ENTRIES 28u
#define VHD_HEADER_AT_BLOCK_SIZE  32u
#define VHD_HEADER_AT_CHECKSUM    36u
#define VHD_HEADER_AT_LOCATORS    576u
#define VHD_LOCATOR_BYTES         24u
#define VHD_LOCATOR_AT_LENGTH     8u
#define VHD_LOCATOR_AT_OFFSET     16u
#define VHD_BATMAP_AT_OFFSET      8u
#define VHD_BATMAP_AT_SECTORS     16u

/* Platform codes of parent locators, as big-endian numbers. */
typedef enum VhdPlatform {
    VHD_PLATFORM_NONE = 0,
    VHD_PLATFORM_WI2R = 0x57693272, /* deprecated: relative path, 8 bit */
    VHD_PLATFORM_WI2K = 0x5769326B, /* deprecated: absolute path, 8 bit */
    VHD_PLATFORM_W2RU = 0x57327275, /* relative path, UTF-16 little endian */
    VHD_PLATFORM_W2KU = 0x57326B75, /* absolute path, UTF-16 little endian */
    VHD_PLATFORM_MAC = 0x4D616320,  /* alias blob */
    VHD_PLATFORM_MACX = 0x4D616358, /* file URL, UTF-8 */
} VhdPlatform;

#define VHD_CREATOR_WINDOWS 0x77696E20u /* "win " */
#define VHD_CREATOR_TAPDISK 0x74617000u /* "tap\0": promises a batmap */
#define VHD_HOST_WINDOWS    0x5769326Bu /* "Wi2k" */

typedef struct VhdGeometry {
    uint16_t cylinders;
    uint8_t heads;
    uint8_t sectors_per_track;
} VhdGeometry;

typedef struct VhdFooter {
    uint32_t features;
    uint32_t version;
    uint64_t data_offset; /* bytes; of the dynamic header, VHD_NO_DATA_OFFSET in fixed images */
    uint32_t time_stamp;  /* seconds since VHD_EPOCH_UNIX */
    uint32_t creator;
    uint32_t creator_version;
    uint32_t creator_host;
    uint64_t original_bytes; /* informative */
    uint64_t current_bytes;  /* the virtual size: the one that counts */
    VhdGeometry geometry;    /* informative */
    uint32_t type;           /* VhdType once accepted by vhd_layout_init */
    uint8_t uuid[VHD_UUID_BYTES];
    uint8_t saved_state;
    uint8_t reserved[427]; /* [0] is XenServer's "hidden" mark; Windows 10 was seen to hold an MBR
                              here */
} VhdFooter;

typedef struct VhdLocator {
    uint32_t platform;    /* VhdPlatform, or anything */
    uint32_t data_space;  /* bytes in Microsoft's images, sectors in [SPEC] */
    uint32_t data_length; /* bytes, no terminator */
    uint32_t reserved;
    uint64_t data_offset; /* bytes */
} VhdLocator;

typedef struct VhdHeader {
    uint64_t data_offset; /* unused; all ones in real images */
    uint64_t bat_offset;  /* bytes */
    uint32_t version;
    uint32_t bat_entries;
    uint32_t block_bytes; /* data of a block, without its bitmap */
    uint8_t parent_uuid[VHD_UUID_BYTES];
    uint32_t parent_time_stamp;
    uint32_t reserved1;
    uint8_t parent_name[VHD_PARENT_NAME_BYTES]; /* UTF-16 BIG endian, NUL padded */
    VhdLocator locators[VHD_LOCATORS];
    uint8_t reserved2[256];
} VhdHeader;

/* XenServer's header of the batmap, found at the end of the BAT (not in [SPEC]). */
typedef struct VhdBatmapHeader {
    uint64_t map_offset; /* bytes */
    uint32_t map_sectors;
    uint32_t version;
    uint32_t checksum; /* over the map's bytes, same rule as the footer's */
    uint8_t rest[484]; /* marker, key hash, unused: carried */
} VhdBatmapHeader;

/* What a decoder or a judge of the layout found wrong. The sentence for each is in error.c; beside
 * each stand the meanings of VhdFault.found and .wanted. */
typedef enum VhdFaultCode {
    VHD_FAULT_NONE = 0,
    /* The file cannot hold what the field at off asks for. Bytes of the file; least bytes. Not even
       a footer: 512. */
    VHD_FAULT_TOO_SMALL,
    /* The eight bytes as a number; the right ones. */
    VHD_FAULT_FOOTER_COOKIE,
    /* As above: "v_poison", XenServer's mark of a journaled resize that was cut off. */
    VHD_FAULT_FOOTER_POISONED,
    /* Stored; computed. */
    VHD_FAULT_FOOTER_CHECKSUM,
    /* Version; 0x00010000 (only the major half counts). */
    VHD_FAULT_FOOTER_VERSION,
    /* Disk type; 0. */
    VHD_FAULT_TYPE,
    /* Current size; most bytes. Zero or not a multiple of 512: 512. */
    VHD_FAULT_SIZE,
    /* Bytes of the file; bytes of disk and footer. */
    VHD_FAULT_FIXED_LENGTH,
    /* The footer's data offset; last offset at which the header fits. Unaligned: 512. */
    VHD_FAULT_HEADER_OFFSET,
    /* As for the footer. */
    VHD_FAULT_HEADER_COOKIE,
    VHD_FAULT_HEADER_CHECKSUM,
    VHD_FAULT_HEADER_VERSION,
    /* Bytes; the bound that it passes, VHD_BLOCK_MIN_BYTES or VHD_BLOCK_MAX_BYTES. Within them, but
     * no power of two: 0. */
    VHD_FAULT_BLOCK_SIZE,
    /* Entries; entries that the size takes (found is less) or VHD_BAT_MAX_ENTRIES (found is more).
     */
    VHD_FAULT_BAT_ENTRIES,
    /* Offset; last offset at which the table fits. Unaligned: 512. */
    VHD_FAULT_BAT_OFFSET,
    /* Start of one region; end of the one that it runs into. Bytes both. */
    VHD_FAULT_OVERLAP,
    /* End of the locator's string; bytes of the file. */
    VHD_FAULT_LOCATOR_RANGE,
    /* Length; VHD_LOCATOR_MAX_BYTES. */
    VHD_FAULT_LOCATOR_LENGTH,
    /* As for the footer. */
    VHD_FAULT_BATMAP_COOKIE,
    /* End of the map; bytes of the file. */
    VHD_FAULT_BATMAP_RANGE,
    /* Sectors of the map; sectors that the blocks take (found is less) or that
       VHD_BAT_MAX_ENTRIES take (found is more). */
    VHD_FAULT_BATMAP_SIZE,
    /* Stored; computed. */
    VHD_FAULT_BATMAP_CHECKSUM,
    /* Start of the block; end of the region that it touches. Bytes both. */
    VHD_FAULT_BLOCK_IN_METADATA,
    /* End of the block; bytes of the file. */
    VHD_FAULT_BLOCK_BEYOND_FILE,
    /* Start of the block; end of the other block. Bytes both. */
    VHD_FAULT_BLOCK_OVERLAP,
    /* Value in the copy at 0; value in the trailing footer. off: of the field in the copy. */
    VHD_FAULT_FOOTERS_DIFFER,
    VHD_FAULT_CODES
} VhdFaultCode;

typedef struct VhdFault {
    VhdFaultCode code;
    uint64_t off;    /* file offset in bytes of the field that is wrong */
    uint64_t found;  /* the value there */
    uint64_t wanted; /* what it disagrees with; see the code */
} VhdFault;

/* One's complement of the byte sum of len bytes, the four at checksum_at counted as zero (none
 * where checksum_at >= len). */
uint32_t vhd_checksum(const uint8_t *raw, size_t len, size_t checksum_at);

/* Decode the footer that lies at file offset off (used for fault->off only). False and *fault
 * filled on a bad cookie, checksum or version; *footer is then undefined. */
bool vhd_footer_decode(const uint8_t raw[static VHD_FOOTER_BYTES], uint64_t off, VhdFooter *footer,
                       VhdFault *fault);

/* Decode a trailing footer of 511 bytes (Virtual PC before 2004): as above, the missing last byte
 * read as zero. */
bool vhd_footer_decode_short(const uint8_t raw[static VHD_FOOTER_BYTES - 1], uint64_t off,
                             VhdFooter *footer, VhdFault *fault);

/* Encode with cookie and a right checksum. */
void vhd_footer_encode(const VhdFooter *footer, uint8_t raw[static VHD_FOOTER_BYTES]);

bool vhd_header_decode(const uint8_t raw[static VHD_HEADER_BYTES], uint64_t off, VhdHeader *header,
                       VhdFault *fault);
void vhd_header_encode(const VhdHeader *header, uint8_t raw[static VHD_HEADER_BYTES]);

/* Batmap header: cookie only is judged here (its range by vhd_layout_add_batmap). */
bool vhd_batmap_decode(const uint8_t raw[static VHD_BATMAP_BYTES], uint64_t off,
                       VhdBatmapHeader *batmap, VhdFault *fault);
void vhd_batmap_encode(const VhdBatmapHeader *batmap, uint8_t raw[static VHD_BATMAP_BYTES]);

/* The checksum of the len bytes of a batmap as XenServer computes it (measured): over a bit for
 * each 2 MiB of the disk in whole sectors, whatever the block size, but over no more than there
 * are. */
uint32_t vhd_batmap_checksum(const uint8_t *map, size_t len, uint64_t disk_bytes);

/* True where the creator promises a batmap: "tap\0", version 1.1 or later. 1.1 did not always keep
 * it: there a missing cookie is no fault. */
bool vhd_footer_promises_batmap(const VhdFooter *footer);

/* Cylinders, heads, sectors of a disk, by [SPEC]'s algorithm. */
VhdGeometry vhd_geometry(uint64_t disk_bytes);
