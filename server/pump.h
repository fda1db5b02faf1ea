/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pump of a shard: it carries every effect of the front and the volumes to whoever makes it
 * real, and every completion, request and message back as an input. It decides nothing.
 *
 *            requests, completions                 messages                completions
 *   fabric -----------------------> front <----------------------> volume <----------- drive
 *          <-----------------------                                       ----------->
 *            PULL, PUSH, ANSWER, BREAK                  DRIVE_READ, _WRITE, _FLUSH, _TRIM
 *
 *   front  -- REQUEST_ENDED --> request_ended
 *
 *   A message to a volume is stepped at once: its data lies in the front's arena, which nothing
 *   changes until the front is stepped again. A message to the front waits in a queue until the
 *   front has handed out its effects; the little data it may have is copied.
 *
 *   With several shards a router (core/router.h) stands between all of these and the other shards:
 *   it is asked about each request, completion and effect, and what comes of records of others, and
 *   for them, is carried out before a call returns.
 *
 * Invariants
 *  I1  All effects of a step are taken before the next step of the same machine.
 *  I2  When a call returns no message waits.
 *  I3  now_ns never goes back; nor does wall_ms, but for that of a REQUEST of another shard, which
 *      is of when it came.
 *  I4  With a recorder, every call that changes a machine is told to it, in order.
 *  I5  Each REQUEST has a serial, 1, 2, 3 ... in the order in which they go in, and is told of
 *      twice: request_began before the front has it, request_ended once the front says so.
 *  I6  At most one message for each operation that the front may have at the volumes waits.
 *
 * Not responsible for: threads, sockets and files; when to open and close (shard.h).
 */
#ifndef MKV_SERVER_PUMP_H
#define MKV_SERVER_PUMP_H

#include "backends/drive.h"
#include "backends/fabric.h"
#include "backends/ring.h"
#include "core/front.h"
#include "core/histogram.h"
#include "core/router.h"
#include "core/volume.h"
#include "server/recorder.h"
#include "server/shard_relay.h"

#define MKV_PUMP_TICK_NS (10ull * 1000000u)
/* Data of a message that waits: the payload of a manifest. */
#define MKV_PUMP_MESSAGE_DATA_BYTES_MAX 64u

struct mkv_pump;

/* Both NULL: it is another shard's. */
struct mkv_pump_volume {
    struct mkv_volume *volume;
    struct mkv_drive *drive; /* its `complete` is set by the pump */
};

struct mkv_pump_options {
    struct mkv_front *front;
    struct mkv_fabric *fabric; /* its sink is set by the pump */
    uint32_t volume_count;
    const struct mkv_pump_volume *volumes; /* copied */
    uint32_t messages_max; /* the sum over volumes of what the front may have outstanding there */
    /* An event of a volume, after its volume was set offline at the front where it serves no more.
     * It may not call the pump. */
    void (*event)(void *context, uint32_t volume, const struct mkv_event *event);
    void *event_context;
    /* A TENANT_DONE or TENANT_DROP_DONE. It may not call the pump. */
    void (*tenant_done)(void *context, const struct mkv_message *message);
    /* The answer to mkv_pump_ask, with its data, good during the call. It may not call the pump. */
    void (*asked)(void *context, const struct mkv_message *answer, const uint8_t *data);
    /* A REQUEST of the fabric, numbered, on its way to the front, or to fronts of several shards;
     * and, once for each of them, with the same serial, what it came to. `key` is the summary's,
     * and not at its key_offset, until the call returns. They may not call the pump. NULL: nobody
     * is told. */
    void (*request_began)(void *context, const struct mkv_input *input);
    void (*request_ended)(void *context, const struct mkv_request_summary *summary,
                          const uint8_t *key);
    /* A connection that has sent requests is gone; dropped ones of it may still end. */
    void (*connection_closed)(void *context, struct mkv_connection_id id);
    void *request_context;
    /* The REQUESTs that came between two waits have been taken, and all that came of them. It may
     * not call the pump. NULL: nobody is told. */
    void (*dispatched)(void *context, uint64_t began_ns, uint64_t ended_ns, uint32_t requests);
    void *dispatched_context;
    struct mkv_recorder *recorder; /* has begun with these machines; NULL: nothing is recorded */
    /* One of several shards: its router, and the rings to the others. NULL: there is one. */
    struct mkv_router *router;
    struct mkv_shard_relay *relay;
    uint32_t shard;
    uint32_t shard_count;
};

/* NULL when there is no memory. */
struct mkv_pump *mkv_pump_create(const struct mkv_pump_options *options);
void mkv_pump_destroy(struct mkv_pump *pump);

/* Steps a volume with an administrator's command; `set` is NULL where that takes none. */
enum mkv_err mkv_pump_admin(struct mkv_pump *pump, uint32_t volume, enum mkv_admin_command command,
                            const struct mkv_drive_set *set);
/* Steps a volume with a TENANT, whose data is `name`, or a TENANT_DROP. */
void mkv_pump_tenant(struct mkv_pump *pump, const struct mkv_message *message, const char *name);
/* Steps a volume with a message of the caller's own, an EXISTS, SCAN or COUNT, with its data. The
 * answer goes to `asked`, in this call or later; one is outstanding at a time. */
void mkv_pump_ask(struct mkv_pump *pump, const struct mkv_message *message, const uint8_t *data);
/* Tells the front about a volume. One whose drive has failed cannot be online. */
void mkv_pump_route(struct mkv_pump *pump, uint32_t volume, enum mkv_front_volume_state state);
/* Which volumes, by bit, get no new puts. Not while there is a recorder. */
void mkv_pump_drain(struct mkv_pump *pump, uint64_t volumes);
/* The volume is absent, and will come back with this member's drive. Not while there is a recorder.
 */
void mkv_pump_member(struct mkv_pump *pump, uint32_t volume, struct mkv_member member);
/* The drive of a volume that is closed, or has failed, and has nothing in flight, is not used any
 * more; and the volume was made anew, with another. Not while there is a recorder. */
void mkv_pump_volume_detach(struct mkv_pump *pump, uint32_t volume);
void mkv_pump_volume_attach(struct mkv_pump *pump, uint32_t index, struct mkv_volume *volume,
                            struct mkv_drive *drive);

/*
 * One round: ticks when they are due, the fabric, while the drives are `opening` only as far as it
 * serves then, and the ring, waiting at most until the next tick or deadline. Callbacks of the ring
 * step the machines.
 */
void mkv_pump_round(struct mkv_pump *pump, struct mkv_ring *ring, bool opening);

/* Takes all records that other shards have sent until now. */
void mkv_pump_take_records(struct mkv_pump *pump);

/* How long inputs took, each from when it came until all effects of it were handed out. */
const struct mkv_histogram *mkv_pump_dispatch(const struct mkv_pump *pump);
/* Whether the volume has failed its drive: no operation goes there any more. */
bool mkv_pump_drive_is_failed(const struct mkv_pump *pump, uint32_t volume);

#endif
