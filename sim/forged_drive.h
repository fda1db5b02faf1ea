/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A volume over a forged image: every operation is carried out in the order it was handed out, at
 * once, and never fails unless `faults` says so. What is asked waits for its answer.
 *
 * Invariants
 *  I1  A call ends, or aborts: MKV_FORGED_TURNS_MAX inputs must bring the volume to rest (no
 *      endless work).
 *  I2  Every message is answered once; anything else aborts.
 *  I3  No operation reaches beyond the drive, and none comes after the volume has failed.
 *
 * Not responsible for: crashes, faults and orders of completion; the simulator does those.
 */
#ifndef MKV_SIM_FORGED_DRIVE_H
#define MKV_SIM_FORGED_DRIVE_H

#include "core/superblock.h"
#include "core/volume.h"
#include "sim/forged_image.h"
#include "sim/random.h"

#define MKV_FORGED_QUEUE_MAX 1024u
#define MKV_FORGED_MESSAGES_MAX 8u
/* A drive of MKV_FORGED_UNITS_MAX units is read, swept, emptied and written in fewer. */
#define MKV_FORGED_TURNS_MAX 60000u

struct mkv_forged_drive {
    struct mkv_forged_image *image;
    struct mkv_volume_config config;
    struct mkv_volume *volume;
    void *memory;
    size_t memory_bytes;
    uint8_t *slab; /* one, for the largest slot */
    size_t slab_bytes;
    uint64_t now_ns;
    struct mkv_effect queue[MKV_FORGED_QUEUE_MAX];
    uint32_t queue_first;
    uint32_t queue_count;
    bool failed; /* FAIL_DRIVE was handed out */
    /* Where it is not NULL, one operation in so many fails. */
    struct mkv_random *faults;
    uint32_t fault_one_in;
    uint32_t messages_out; /* asked, and not answered */
    uint64_t wall_ms;
    /* Of puts to come: what they bring besides the bytes. */
    uint64_t session;
    uint32_t tier_hint;
    uint32_t expiry_s;
    uint32_t later_turns; /* coming to rest, time passes so many times for what is due by and by */
    uint32_t answer_count;
    struct mkv_message answer; /* the last one */
};

/* With the geometry and the ids of the superblock, as the daemon does. */
void mkv_forged_drive_init(struct mkv_forged_drive *drive, struct mkv_forged_image *image,
                           const struct mkv_superblock *superblock);
/* The configuration has changed since: the volume gets the memory that it wants now. */
void mkv_forged_drive_resize(struct mkv_forged_drive *drive);
void mkv_forged_drive_free(struct mkv_forged_drive *drive);
/* Writes an empty store with that geometry. */
void mkv_forged_drive_format(struct mkv_forged_drive *drive);
/* Forgets the machine, as a kill does, and opens what the image holds. False when it does not
 * serve then. */
bool mkv_forged_drive_open(struct mkv_forged_drive *drive);
/* Brings it to rest. */
void mkv_forged_drive_settle(struct mkv_forged_drive *drive);
void mkv_forged_drive_admin(struct mkv_forged_drive *drive, enum mkv_admin_command command);
/* Without bringing it to rest, and with a set if there is one. */
enum mkv_err mkv_forged_drive_command(struct mkv_forged_drive *drive,
                                      enum mkv_admin_command command,
                                      const struct mkv_drive_set *set);
/* The same of a message that is answered once: no more than MKV_FORGED_MESSAGES_MAX at a time. */
void mkv_forged_drive_send(struct mkv_forged_drive *drive, const struct mkv_message *message,
                           const uint8_t *data, uint32_t data_bytes);
bool mkv_forged_drive_serves(const struct mkv_forged_drive *drive);

/* Sends a message with these bytes, and brings the volume to rest. The answer is that of a volume
 * that was at rest before. */
const struct mkv_message *mkv_forged_drive_ask(struct mkv_forged_drive *drive,
                                               const struct mkv_message *message,
                                               const uint8_t *data, uint32_t data_bytes);
/* Whole operations, of the tenant. */
enum mkv_status mkv_forged_drive_put(struct mkv_forged_drive *drive, uint32_t tenant,
                                     const char *key, uint32_t length, uint8_t fill);
/* Checks that the bytes that come are those that the root in the answer names. */
const struct mkv_message *mkv_forged_drive_get(struct mkv_forged_drive *drive, uint32_t tenant,
                                               const uint8_t *key, uint32_t key_bytes);

#endif
