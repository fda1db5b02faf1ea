/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an NVMe drive says of its own health and of what it can do: the SMART log (page 2) and
 * Identify Controller, asked for by admin commands through the kernel. Other drives have neither;
 * then `why` says so, and no figure is made up.
 *
 * Layout: NVM Express Base Specification 2.0, figures 207 (log page 02h) and 275 (Identify).
 *
 * Invariants
 *  I1  Without `available` every figure is 0.
 *  I2  Figures of 128 bits that do not fit in 64 are the largest of 64.
 *
 * Not responsible for: what the kernel knows by itself (drive_facts.h), nor for judging a drive.
 */
#ifndef MKV_BACKENDS_DRIVE_SMART_H
#define MKV_BACKENDS_DRIVE_SMART_H

#include "core/base.h"

#define MKV_DRIVE_SMART_WHY_BYTES 128u
#define MKV_DRIVE_SMART_PAGE_BYTES 512u
#define MKV_DRIVE_IDENTIFY_BYTES 4096u
/* How long a drive has for such a command. */
#define MKV_DRIVE_ADMIN_TIMEOUT_MS 5000u

/* Bits of critical_warning. */
#define MKV_DRIVE_SMART_SPARE_LOW 0x01u
#define MKV_DRIVE_SMART_TEMPERATURE 0x02u
#define MKV_DRIVE_SMART_UNRELIABLE 0x04u
#define MKV_DRIVE_SMART_READ_ONLY 0x08u
#define MKV_DRIVE_SMART_BACKUP_FAILED 0x10u
/* "spare blocks are low, drive is read-only": what the bits say. */
#define MKV_DRIVE_SMART_WARNING_BYTES 192u

struct mkv_drive_smart {
    bool available;
    char why[MKV_DRIVE_SMART_WHY_BYTES]; /* why it is not */
    uint32_t critical_warning;
    int32_t temperature_celsius;
    uint32_t spare_percent;
    uint32_t spare_threshold_percent;
    uint32_t used_percent; /* of its rated life; may go above 100 */
    uint64_t read_bytes;   /* in steps of 512,000 bytes, as the drive counts */
    uint64_t written_bytes;
    uint64_t power_cycles;
    uint64_t power_on_hours;
    uint64_t unsafe_shutdowns;
    uint64_t media_errors;
    uint64_t error_log_entries;
};

struct mkv_drive_controller {
    bool available;
    char why[MKV_DRIVE_SMART_WHY_BYTES];
    bool volatile_cache;
    bool deallocate;
    bool write_zeroes;
    bool sanitize_crypto;
    bool sanitize_block;
    bool sanitize_overwrite;
    /* Logical blocks that a power cut never tears (AWUPF); at least 1. */
    uint32_t atomic_write_blocks;
};

/* Sends an admin command that reads: opcode, namespace and its first dword, and the bytes to fill.
 * Returns 0, a status of NVMe (above 0), or -1 with errno. */
struct mkv_drive_admin {
    void *context;
    int (*read)(void *context, uint8_t opcode, uint32_t namespace_id, uint32_t dword10,
                uint8_t *bytes, uint32_t byte_count);
};

/* Of the drive that is open at `fd`, for reading at least. */
void mkv_drive_smart_read(int fd, struct mkv_drive_smart *smart);
void mkv_drive_controller_read(int fd, struct mkv_drive_controller *controller);
/* The same through another way to send commands. */
void mkv_drive_smart_ask(const struct mkv_drive_admin *admin, struct mkv_drive_smart *smart);
void mkv_drive_controller_ask(const struct mkv_drive_admin *admin,
                              struct mkv_drive_controller *controller);

/* What critical_warning says in words; "" when it says nothing. */
void mkv_drive_smart_warning(uint32_t critical_warning, char out[MKV_DRIVE_SMART_WARNING_BYTES]);

#endif
