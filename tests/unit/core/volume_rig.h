/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A volume over a drive in memory, driven one completion at a time. What the volume hands out waits
 * in `queue` until a test completes it; messages and events are kept for the test to look at.
 *
 * Not responsible for: crashes and caches: what is written is there. The simulator does those.
 */
#ifndef MKV_TESTS_UNIT_CORE_VOLUME_RIG_H
#define MKV_TESTS_UNIT_CORE_VOLUME_RIG_H

#include "core/volume.h"

#define RIG_UNITS 2048u
#define RIG_SLABS 8u
#define RIG_QUEUE_MAX 1024u
#define RIG_LOG_MAX 256u
#define RIG_DATA_MAX 4096u
#define RIG_PAYLOAD_MAX (256u * 1024u)

struct rig {
    struct mkv_volume_config config;
    struct mkv_volume *volume;
    void *memory;
    size_t memory_bytes;
    uint8_t *drive;
    uint8_t *slabs;
    uint64_t now_ns;
    uint64_t wall_ms;  /* the wall clock; it stands until a test moves it */
    uint32_t tenant;   /* of the messages that are sent */
    uint32_t expiry_s; /* of the puts that are begun, as are these: */
    uint64_t session;
    uint32_t tier_hint;
    struct mkv_effect queue[RIG_QUEUE_MAX]; /* drive operations in flight, oldest first */
    uint32_t queue_count;
    struct mkv_message answers[RIG_LOG_MAX];
    uint8_t answer_data[RIG_LOG_MAX][RIG_DATA_MAX]; /* the data of each answer, up to so much */
    uint32_t answer_count;
    uint32_t put_write_flags;
    struct mkv_event events[RIG_LOG_MAX];
    uint32_t event_count;
    bool drive_failed; /* FAIL_DRIVE was handed out */
    uint32_t writes_total;
};

/* A rig with a formatted, opened volume; small figures so that everything wraps soon. */
struct rig *rig_create(void);
/* The same with other geometry options; not formatted and not opened. */
struct rig *rig_create_raw(uint32_t ring_blocks, uint32_t slots_max, uint32_t extent_units);
void rig_destroy(struct rig *rig);
void rig_step(struct rig *rig, struct mkv_input *input);
void rig_tick(struct rig *rig, uint64_t later_ns);
enum mkv_err rig_admin(struct rig *rig, enum mkv_admin_command command);
/* Carries out operation `index` of the queue, or completes it with an error. */
void rig_complete(struct rig *rig, uint32_t index, enum mkv_io_result result);
/* Completes everything until nothing is in flight and no job has work. */
void rig_settle(struct rig *rig);
/* Forgets the machine, as a kill does, and opens what the drive holds. */
void rig_reopen(struct rig *rig);

/* Messages; each returns the index its answer will get. Payload bytes follow from `seed`. */
void rig_put_begin(struct rig *rig, const char *key, uint32_t length, uint32_t seed,
                   uint32_t flags);
void rig_put_write(struct rig *rig, struct mkv_op_id volume_op, uint32_t slab, uint32_t length,
                   uint32_t seed);
void rig_find(struct rig *rig, const char *key);
void rig_read(struct rig *rig, struct mkv_op_id volume_op, uint32_t slab, uint32_t offset,
              uint32_t length);
void rig_delete(struct rig *rig, const char *key);

/* SCAN, COUNT or PURGE; `after` and `count_max` are SCAN's. */
void rig_list(struct rig *rig, enum mkv_message_kind kind, const char *prefix, const char *after,
              uint32_t count_max);

/* Whole operations that settle. */
enum mkv_status rig_put(struct rig *rig, const char *key, uint32_t length, uint32_t seed,
                        uint32_t flags);
/* The last answer says more: miss, length, offset, bytes. Checks the bytes when OK. */
enum mkv_status rig_get(struct rig *rig, const char *key, uint32_t offset, uint32_t length,
                        uint32_t seed);
enum mkv_status rig_exists(struct rig *rig, const char *key);
/* EXISTS that asks for a lease, PIN, UNPIN. */
enum mkv_status rig_lease(struct rig *rig, enum mkv_message_kind kind, const char *key,
                          uint64_t lease_ns, uint32_t flags);
/* SESSION; what it means for blocks has not been done yet. */
enum mkv_status rig_session(struct rig *rig, enum mkv_session_action action, uint64_t session);
enum mkv_status rig_remove(struct rig *rig, const char *key);
enum mkv_status rig_tenant_quota(struct rig *rig, uint32_t id, const char *name, uint64_t units);
enum mkv_status rig_tenant(struct rig *rig, uint32_t id, const char *name);
/* The drop is sent; it settles when the rig does. */
void rig_tenant_drop_begin(struct rig *rig, uint32_t id);
const struct mkv_message *rig_last(const struct rig *rig);
/* The last event of a kind, or NULL. */
const struct mkv_event *rig_event(const struct rig *rig, enum mkv_event_kind kind);
struct mkv_volume_stats rig_stats(const struct rig *rig);
/* Operations in flight of a kind. */
uint32_t rig_in_flight(const struct rig *rig, enum mkv_effect_kind kind);
/* Where the only live block lies, or the one with that many payload units. */
struct mkv_volume_block rig_block(const struct rig *rig, uint32_t length_units);
uint8_t *rig_unit(struct rig *rig, struct mkv_lba lba);

#endif
