/* SPDX-License-Identifier: Apache-2.0 */
#include "server/pump.h"

#include <stdlib.h>
#include <string.h>

#include "backends/clock.h"

/* Effects taken from a machine in one call; however many there are, all are taken. */
#define EFFECTS_BATCH 64u
/* Records of one other shard that are taken in one round. */
#define RECORDS_BATCH 256u

/* The front_op of a message that the front knows nothing of. */
#define ASKED_OP ((struct mkv_op_id){MKV_NONE_U32, MKV_NONE_U32})

struct waiting_message {
    struct mkv_message message;
    uint8_t data[MKV_PUMP_MESSAGE_DATA_BYTES_MAX];
};

struct pump_volume {
    struct mkv_pump *pump;
    uint32_t index;
    struct mkv_volume *volume;
    struct mkv_drive *drive;
    bool drive_failed;
    bool absent; /* as the front knows it */
};

struct mkv_pump {
    struct mkv_front *front;
    struct mkv_fabric *fabric;
    const uint8_t *front_arena;
    void (*event)(void *context, uint32_t volume, const struct mkv_event *event);
    void *event_context;
    void (*tenant_done)(void *context, const struct mkv_message *message);
    void (*asked)(void *context, const struct mkv_message *answer, const uint8_t *data);
    void (*request_began)(void *context, const struct mkv_input *input);
    void (*request_ended)(void *context, const struct mkv_request_summary *summary,
                          const uint8_t *key);
    void (*connection_closed)(void *context, struct mkv_connection_id id);
    void *request_context;
    uint64_t request_serial; /* of the last REQUEST */
    struct mkv_histogram dispatch;
    void (*dispatched)(void *context, uint64_t began_ns, uint64_t ended_ns, uint32_t requests);
    void *dispatched_context;
    uint32_t batch_requests; /* since the last wait; counted while somebody is told */
    uint64_t batch_began_ns;
    struct mkv_recorder *recorder; /* NULL: none */
    struct mkv_router *router;     /* NULL: there is one shard */
    struct mkv_shard_relay *relay;
    uint32_t shard;
    uint32_t shard_count;
    bool lazy;          /* what is sent is an end that nobody waits for */
    uint64_t others_ns; /* when shards are woken for such */

    uint64_t now_ns;
    uint64_t wall_ms;
    uint64_t tick_ns;      /* when the next tick is due */
    struct mkv_ring *ring; /* of the rounds; NULL before the first one */
    bool stepping;         /* a machine has effects that are not taken yet */

    /* Messages to the front: a ring that is empty whenever a call returns. */
    struct waiting_message *waiting;
    uint32_t waiting_max;
    uint32_t waiting_head;
    uint32_t waiting_count;

    uint32_t volume_count;
    struct pump_volume volumes[MKV_VOLUMES_MAX];
};

static void read_clocks(struct mkv_pump *pump) {
    pump->now_ns = mkv_clock_monotonic_ns();
    pump->wall_ms = mkv_max_u64(pump->wall_ms, mkv_clock_wall_ms());
}

static struct mkv_input input_at(const struct mkv_pump *pump, enum mkv_input_kind kind) {
    return (struct mkv_input){.kind = kind, .now_ns = pump->now_ns, .wall_ms = pump->wall_ms};
}

/* Every change of a volume's state at the front, told to the recorder too. */
static void front_set_state(struct mkv_pump *pump, uint32_t volume,
                            enum mkv_front_volume_state state) {
    if (pump->recorder != NULL) {
        mkv_recorder_route(pump->recorder, volume, state);
    }
    pump->volumes[volume].absent = state == MKV_FRONT_VOLUME_ABSENT;
    mkv_front_volume_set_state(pump->front, volume, state);
    if (pump->router != NULL) {
        mkv_router_volume_set_state(pump->router, volume, state);
    }
}

/* The volume serves no more. Keys that do not go to it any more do not come back to it so. */
static void front_offline(struct mkv_pump *pump, uint32_t volume) {
    if (!pump->volumes[volume].absent) {
        front_set_state(pump, volume, MKV_FRONT_VOLUME_OFFLINE);
    }
}

static void carry_out(struct mkv_pump *pump, const struct mkv_router_output *output);

/* ---- volumes -------------------------------------------------------------------------------- */

static void message_wait(struct mkv_pump *pump, const struct mkv_message *message,
                         const uint8_t *volume_arena) {
    MKV_ASSERT(pump->waiting_count < pump->waiting_max);
    MKV_ASSERT(message->data_bytes <= MKV_PUMP_MESSAGE_DATA_BYTES_MAX);
    const uint32_t place = (pump->waiting_head + pump->waiting_count) % pump->waiting_max;
    struct waiting_message *waiting = &pump->waiting[place];
    waiting->message = *message;
    if (message->data_bytes > 0) {
        memcpy(waiting->data, volume_arena + message->data_offset, message->data_bytes);
    }
    pump->waiting_count++;
}

/* The front learns at once which volumes it may not use any more. */
static void volume_event(struct pump_volume *volume, const struct mkv_event *event) {
    struct mkv_pump *pump = volume->pump;
    switch (event->kind) {
    case MKV_EVENT_OPEN_FAILED:
    case MKV_EVENT_DRIVE_FAILED:
    case MKV_EVENT_CLOSED:
        front_offline(pump, volume->index);
        break;
    case MKV_EVENT_BLOCK_EVICTED:
        return; /* as many as there are puts: counted, not told one by one */
    case MKV_EVENT_FORMATTED:
    case MKV_EVENT_OPENED:
    case MKV_EVENT_DRIVE_SET_DURABLE:
    case MKV_EVENT_PURGED:
    case MKV_EVENT_CAME_UP_EMPTY:
    case MKV_EVENT_TORN_TAIL:
    case MKV_EVENT_SUPERBLOCK_REPAIRED:
    case MKV_EVENT_JOURNAL_COPY_REPAIRED:
    case MKV_EVENT_CHECKPOINT_DONE:
    case MKV_EVENT_TENANT_SWEPT:
    case MKV_EVENT_DIRECTORY_DAMAGED:
    case MKV_EVENT_DIRECTORY_REBUILT:
    case MKV_EVENT_DIRECTORY_FULL:
    case MKV_EVENT_DIRECTORY_ROOM_AGAIN:
    case MKV_EVENT_DIRECTORY_OFF:
    case MKV_EVENT_DRIVE_STALLED:
    case MKV_EVENT_DRIVE_RESUMED:
    case MKV_EVENT_BLOCK_QUARANTINED:
    case MKV_EVENT_DRIVE_ERROR:
        break;
    }
    pump->event(pump->event_context, volume->index, event);
}

/* An answer that another shard's front has asked for. */
static bool taken_by_router(struct pump_volume *volume, const struct mkv_message *message) {
    struct mkv_pump *pump = volume->pump;
    struct mkv_router_output output;
    if (pump->router == NULL ||
        mkv_router_message(pump->router, message,
                           mkv_volume_arena(volume->volume) + message->data_offset,
                           &output) == MKV_ROUTER_AS_IS) {
        return false;
    }
    carry_out(pump, &output);
    return true;
}

static void volume_effect(struct pump_volume *volume, const struct mkv_effect *effect) {
    struct mkv_pump *pump = volume->pump;
    switch (effect->kind) {
    case MKV_EFFECT_DRIVE_READ:
    case MKV_EFFECT_DRIVE_WRITE:
    case MKV_EFFECT_DRIVE_FLUSH:
    case MKV_EFFECT_DRIVE_TRIM:
        MKV_ASSERT(!volume->drive_failed);
        mkv_drive_submit(volume->drive, effect);
        return;
    case MKV_EFFECT_FAIL_DRIVE:
        volume->drive_failed = true;
        front_offline(pump, volume->index);
        return;
    case MKV_EFFECT_MESSAGE:
        MKV_ASSERT(effect->message.volume == volume->index);
        if (effect->message.kind == MKV_MESSAGE_TENANT_DONE ||
            effect->message.kind == MKV_MESSAGE_TENANT_DROP_DONE) {
            pump->tenant_done(pump->event_context, &effect->message);
            return;
        }
        if (effect->message.front_op.index == ASKED_OP.index) {
            pump->asked(pump->event_context, &effect->message,
                        mkv_volume_arena(volume->volume) + effect->message.data_offset);
            return;
        }
        if (!taken_by_router(volume, &effect->message)) {
            message_wait(pump, &effect->message, mkv_volume_arena(volume->volume));
        }
        return;
    case MKV_EFFECT_EVENT:
        volume_event(volume, &effect->event);
        return;
    case MKV_EFFECT_PULL:
    case MKV_EFFECT_PUSH:
    case MKV_EFFECT_ANSWER:
    case MKV_EFFECT_BREAK:
    case MKV_EFFECT_REQUEST_ENDED:
        break;
    }
    MKV_ASSERT(effect->kind == MKV_EFFECT_EVENT); /* a volume has no clients */
}

static enum mkv_err volume_step(struct pump_volume *volume, const struct mkv_input *input) {
    struct mkv_recorder *recorder = volume->pump->recorder;
    const uint32_t machine = mkv_record_machine_of_volume(volume->index);
    if (recorder != NULL) {
        mkv_recorder_input(recorder, machine, input, mkv_volume_arena(volume->volume));
    }
    const enum mkv_err error = mkv_volume_step(volume->volume, input);
    if (recorder != NULL) {
        mkv_recorder_result(recorder, machine, error);
    }
    struct mkv_effect effects[EFFECTS_BATCH];
    uint32_t count;
    while ((count = mkv_volume_effects(volume->volume, effects, EFFECTS_BATCH)) > 0) {
        if (recorder != NULL) {
            mkv_recorder_effects(recorder, machine, effects, count,
                                 mkv_volume_arena(volume->volume));
        }
        for (uint32_t i = 0; i < count; i++) {
            volume_effect(volume, &effects[i]);
        }
    }
    return error;
}

/* ---- front ---------------------------------------------------------------------------------- */

static void front_effect(struct mkv_pump *pump, const struct mkv_effect *effect) {
    if (pump->router != NULL) {
        struct mkv_router_output output;
        const enum mkv_router_verdict verdict =
            mkv_router_effect(pump->router, effect, pump->front_arena, &output);
        if (verdict == MKV_ROUTER_OUTPUT) {
            pump->lazy = effect->kind == MKV_EFFECT_REQUEST_ENDED;
            carry_out(pump, &output);
            pump->lazy = false;
        }
        if (verdict != MKV_ROUTER_AS_IS) {
            return;
        }
    }
    switch (effect->kind) {
    case MKV_EFFECT_PULL:
    case MKV_EFFECT_PUSH:
    case MKV_EFFECT_ANSWER:
    case MKV_EFFECT_BREAK:
        pump->fabric->ops->submit(pump->fabric, effect, pump->front_arena);
        return;
    case MKV_EFFECT_MESSAGE: {
        MKV_ASSERT(effect->message.volume < pump->volume_count);
        struct mkv_input input = input_at(pump, MKV_INPUT_MESSAGE);
        input.message = effect->message;
        input.data = pump->front_arena + effect->message.data_offset;
        input.data_bytes = effect->message.data_bytes;
        (void)volume_step(&pump->volumes[effect->message.volume], &input);
        return;
    }
    case MKV_EFFECT_REQUEST_ENDED:
        if (pump->request_ended != NULL) {
            pump->request_ended(pump->request_context, &effect->summary,
                                pump->front_arena + effect->summary.key_offset);
        }
        return;
    case MKV_EFFECT_EVENT:
    case MKV_EFFECT_DRIVE_READ:
    case MKV_EFFECT_DRIVE_WRITE:
    case MKV_EFFECT_DRIVE_FLUSH:
    case MKV_EFFECT_DRIVE_TRIM:
    case MKV_EFFECT_FAIL_DRIVE:
        break;
    }
    MKV_ASSERT(effect->kind == MKV_EFFECT_MESSAGE); /* a front has no drive */
}

/* The keys of a LOOKUP come as one batch of messages: their places in memory are fetched together,
 * which halves the time of each. */
static void prefetch(const struct mkv_pump *pump, const struct mkv_effect *effects,
                     uint32_t count) {
    for (uint32_t stage = 0; stage < MKV_PREFETCH_COUNT && count > 1; stage++) {
        for (uint32_t i = 0; i < count; i++) {
            const struct mkv_message *message = &effects[i].message;
            if (effects[i].kind == MKV_EFFECT_MESSAGE &&
                pump->volumes[message->volume].volume != NULL) {
                MKV_ASSERT(message->volume < pump->volume_count);
                mkv_volume_prefetch(pump->volumes[message->volume].volume, message,
                                    pump->front_arena + message->data_offset,
                                    (enum mkv_prefetch)stage);
            }
        }
    }
}

static void front_step(struct mkv_pump *pump, const struct mkv_input *input) {
    struct mkv_recorder *recorder = pump->recorder;
    if (recorder != NULL) {
        mkv_recorder_input(recorder, MKV_RECORD_MACHINE_FRONT, input, pump->front_arena);
    }
    const enum mkv_err error = mkv_front_step(pump->front, input);
    MKV_ASSERT(error == MKV_OK);
    struct mkv_effect effects[EFFECTS_BATCH];
    uint32_t count;
    while ((count = mkv_front_effects(pump->front, effects, EFFECTS_BATCH)) > 0) {
        if (recorder != NULL) {
            mkv_recorder_effects(recorder, MKV_RECORD_MACHINE_FRONT, effects, count,
                                 pump->front_arena);
        }
        prefetch(pump, effects, count);
        for (uint32_t i = 0; i < count; i++) {
            front_effect(pump, &effects[i]);
        }
    }
}

/* Steps the front with every message that waits, and with those that come of it. */
static void deliver_messages(struct mkv_pump *pump) {
    while (pump->waiting_count > 0) {
        /* A copy: its place may be taken again while the front is stepped. */
        const struct waiting_message waiting = pump->waiting[pump->waiting_head];
        pump->waiting_head = (pump->waiting_head + 1) % pump->waiting_max;
        pump->waiting_count--;
        struct mkv_input input = input_at(pump, MKV_INPUT_MESSAGE);
        input.message = waiting.message;
        input.data = waiting.data;
        input.data_bytes = waiting.message.data_bytes;
        front_step(pump, &input);
    }
    /* From the start again, so that only as much of the ring is touched as was ever used at once.
     */
    pump->waiting_head = 0;
}

/* The batch that is told of as dispatched: requests without a wait between them. */
static void batch_add(struct mkv_pump *pump) {
    if (pump->dispatched == NULL) {
        return;
    }
    if (pump->batch_requests == 0) {
        pump->batch_began_ns = pump->now_ns;
    }
    pump->batch_requests++;
}

/* ---- other shards --------------------------------------------------------------------------- */

static void carry_out(struct mkv_pump *pump, const struct mkv_router_output *output) {
    struct mkv_input input;
    switch (output->kind) {
    case MKV_ROUTER_FRONT:
        input = output->input;
        input.now_ns = pump->now_ns;
        if (input.wall_ms == 0) { /* else it is of when the request came, by another shard */
            input.wall_ms = pump->wall_ms;
        }
        if (input.kind == MKV_INPUT_REQUEST) {
            batch_add(pump);
        }
        front_step(pump, &input);
        return;
    case MKV_ROUTER_FABRIC:
        pump->fabric->ops->submit(pump->fabric, &output->effect, output->base);
        return;
    case MKV_ROUTER_SEND:
        mkv_shard_relay_send(pump->relay, pump->shard, output, pump->lazy);
        return;
    case MKV_ROUTER_VOLUME:
        MKV_ASSERT(output->message.volume < pump->volume_count);
        MKV_ASSERT(pump->volumes[output->message.volume].volume != NULL);
        input = input_at(pump, MKV_INPUT_MESSAGE);
        input.message = output->message;
        input.data = output->tail;
        input.data_bytes = output->tail_bytes;
        (void)volume_step(&pump->volumes[output->message.volume], &input);
        return;
    case MKV_ROUTER_ENDED:
        if (pump->request_ended != NULL) {
            pump->request_ended(pump->request_context, &output->summary, output->tail);
        }
        return;
    }
    MKV_ASSERT(false);
}

/* Carries out what the router says, and what messages come of it. */
static void deliver(struct mkv_pump *pump, bool lazy) {
    deliver_messages(pump);
    struct mkv_router_output next;
    while (pump->router != NULL && mkv_router_next(pump->router, &next)) {
        pump->lazy = lazy;
        carry_out(pump, &next);
        pump->lazy = false;
        deliver_messages(pump);
    }
}

/* ---- inputs from outside -------------------------------------------------------------------- */

static void begin(struct mkv_pump *pump) {
    MKV_ASSERT(!pump->stepping);
    pump->stepping = true;
    read_clocks(pump);
}

static void end_with(struct mkv_pump *pump, bool lazy) {
    deliver(pump, lazy);
    if (MKV_OBSERVE) {
        mkv_histogram_record_ns(&pump->dispatch, mkv_clock_monotonic_ns() - pump->now_ns);
    }
    pump->stepping = false;
    if (pump->ring != NULL) {
        mkv_ring_submit_hurried(pump->ring);
    }
}

static void batch_end(struct mkv_pump *pump) {
    if (pump->batch_requests > 0) {
        pump->dispatched(pump->dispatched_context, pump->batch_began_ns, mkv_clock_monotonic_ns(),
                         pump->batch_requests);
        pump->batch_requests = 0;
    }
}

static void end(struct mkv_pump *pump) {
    end_with(pump, false);
}

/* Whether the input is for the own front, as with one shard. */
static bool is_for_own_front(struct mkv_pump *pump, const struct mkv_input *input) {
    const enum mkv_router_verdict verdict = input->kind == MKV_INPUT_REQUEST
                                                ? mkv_router_request(pump->router, input)
                                                : mkv_router_done(pump->router, input);
    return verdict == MKV_ROUTER_AS_IS;
}

static void fabric_input(void *context, struct mkv_input *input) {
    struct mkv_pump *pump = context;
    begin(pump);
    input->now_ns = pump->now_ns;
    input->wall_ms = pump->wall_ms;
    if (input->kind == MKV_INPUT_REQUEST) {
        input->request.serial = ++pump->request_serial;
        if (pump->request_began != NULL) {
            pump->request_began(pump->request_context, input);
        }
        batch_add(pump);
    }
    if (pump->router == NULL || is_for_own_front(pump, input)) {
        front_step(pump, input);
    }
    if (input->kind == MKV_INPUT_FABRIC_DONE &&
        input->fabric.event == MKV_FABRIC_CONNECTION_CLOSED && pump->connection_closed != NULL) {
        pump->connection_closed(pump->request_context, input->fabric.connection);
    }
    end_with(pump, input->kind == MKV_INPUT_FABRIC_DONE &&
                       (input->fabric.event == MKV_FABRIC_PUSH_DONE ||
                        input->fabric.event == MKV_FABRIC_ANSWER_DONE));
}

static void drive_complete(void *context, const struct mkv_drive_done *done) {
    struct pump_volume *volume = context;
    struct mkv_pump *pump = volume->pump;
    begin(pump);
    struct mkv_input input = input_at(pump, MKV_INPUT_DRIVE_DONE);
    input.drive = *done;
    (void)volume_step(volume, &input);
    end(pump);
}

enum mkv_err mkv_pump_admin(struct mkv_pump *pump, uint32_t volume, enum mkv_admin_command command,
                            const struct mkv_drive_set *set) {
    MKV_ASSERT(volume < pump->volume_count);
    begin(pump);
    struct mkv_input input = input_at(pump, MKV_INPUT_ADMIN);
    input.admin = command;
    if (set != NULL) {
        input.data = (const uint8_t *)set;
        input.data_bytes = sizeof *set;
    }
    const enum mkv_err error = volume_step(&pump->volumes[volume], &input);
    end(pump);
    return error;
}

void mkv_pump_tenant(struct mkv_pump *pump, const struct mkv_message *message, const char *name) {
    MKV_ASSERT(message->volume < pump->volume_count);
    MKV_ASSERT(pump->tenant_done != NULL);
    begin(pump);
    struct mkv_input input = input_at(pump, MKV_INPUT_MESSAGE);
    input.message = *message;
    input.data = (const uint8_t *)name;
    input.data_bytes = message->data_bytes;
    (void)volume_step(&pump->volumes[message->volume], &input);
    end(pump);
}

void mkv_pump_ask(struct mkv_pump *pump, const struct mkv_message *message, const uint8_t *data) {
    MKV_ASSERT(message->volume < pump->volume_count);
    MKV_ASSERT(message->kind == MKV_MESSAGE_EXISTS || message->kind == MKV_MESSAGE_SCAN ||
               message->kind == MKV_MESSAGE_COUNT);
    MKV_ASSERT(pump->asked != NULL);
    begin(pump);
    struct mkv_input input = input_at(pump, MKV_INPUT_MESSAGE);
    input.message = *message;
    input.message.front_op = ASKED_OP;
    input.data = data;
    input.data_bytes = message->data_bytes;
    (void)volume_step(&pump->volumes[message->volume], &input);
    end(pump);
}

void mkv_pump_route(struct mkv_pump *pump, uint32_t volume, enum mkv_front_volume_state state) {
    MKV_ASSERT(volume < pump->volume_count);
    MKV_ASSERT(!(state == MKV_FRONT_VOLUME_ONLINE && pump->volumes[volume].drive_failed));
    front_set_state(pump, volume, state);
}

void mkv_pump_drain(struct mkv_pump *pump, uint64_t volumes) {
    MKV_ASSERT(pump->recorder == NULL);
    for (uint32_t i = 0; i < pump->volume_count; i++) {
        mkv_front_volume_set_draining(pump->front, i, (volumes >> i & 1u) != 0);
    }
}

void mkv_pump_member(struct mkv_pump *pump, uint32_t volume, struct mkv_member member) {
    MKV_ASSERT(volume < pump->volume_count);
    MKV_ASSERT(pump->recorder == NULL);
    pump->volumes[volume].absent = true;
    mkv_front_volume_set_member(pump->front, volume, member);
    if (pump->router != NULL) {
        mkv_router_volume_set_member(pump->router, volume, member);
    }
}

void mkv_pump_volume_detach(struct mkv_pump *pump, uint32_t volume) {
    MKV_ASSERT(volume < pump->volume_count);
    MKV_ASSERT(!pump->stepping);
    pump->volumes[volume].drive = NULL;
}

static void drive_bind(struct pump_volume *volume, struct mkv_drive *drive) {
    volume->drive = drive;
    drive->complete = drive_complete;
    drive->complete_context = volume;
}

void mkv_pump_volume_attach(struct mkv_pump *pump, uint32_t index, struct mkv_volume *volume,
                            struct mkv_drive *drive) {
    MKV_ASSERT(index < pump->volume_count);
    MKV_ASSERT(!pump->stepping);
    MKV_ASSERT(pump->recorder == NULL);
    MKV_ASSERT(pump->volumes[index].drive == NULL);
    pump->volumes[index].volume = volume;
    pump->volumes[index].drive_failed = false;
    drive_bind(&pump->volumes[index], drive);
}

/* Ticks every machine when the time has come, and else those with more to do. */
static void ticks(struct mkv_pump *pump) {
    begin(pump);
    if (pump->recorder != NULL) {
        mkv_recorder_tick(pump->recorder, pump->now_ns);
    }
    const bool is_due = pump->now_ns >= pump->tick_ns;
    const bool front_is_due = is_due || pump->now_ns >= mkv_front_timer_ns(pump->front);
    if (is_due) {
        pump->tick_ns = pump->now_ns + MKV_PUMP_TICK_NS;
    }
    const struct mkv_input input = input_at(pump, MKV_INPUT_TICK);
    for (uint32_t i = 0; i < pump->volume_count; i++) {
        struct pump_volume *volume = &pump->volumes[i];
        if (volume->volume != NULL && (is_due || mkv_volume_has_work(volume->volume) ||
                                       pump->now_ns >= mkv_volume_timer_ns(volume->volume))) {
            (void)volume_step(volume, &input);
        }
    }
    deliver(pump, false);
    if (front_is_due || mkv_front_has_work(pump->front)) {
        front_step(pump, &input);
    }
    end(pump);
}

/* When the first of the machines wants a tick that is not due yet. */
static uint64_t timer_ns(const struct mkv_pump *pump) {
    uint64_t due_ns = mkv_front_timer_ns(pump->front);
    for (uint32_t i = 0; i < pump->volume_count; i++) {
        const struct mkv_volume *volume = pump->volumes[i].volume;
        if (volume != NULL) {
            due_ns = mkv_min_u64(due_ns, mkv_volume_timer_ns(volume));
        }
    }
    return due_ns;
}

static bool has_work(const struct mkv_pump *pump) {
    for (uint32_t i = 0; i < pump->volume_count; i++) {
        const struct mkv_volume *volume = pump->volumes[i].volume;
        if (volume != NULL && mkv_volume_has_work(volume)) {
            return true;
        }
    }
    return mkv_front_has_work(pump->front);
}

void mkv_pump_take_records(struct mkv_pump *pump) {
    for (uint32_t from = 0; from < pump->shard_count; from++) {
        uint32_t bytes;
        const uint8_t *record;
        for (uint32_t taken = 0; from != pump->shard && taken < RECORDS_BATCH; taken++) {
            record = mkv_shard_relay_peek(pump->relay, pump->shard, from, &bytes);
            if (record == NULL) {
                break;
            }
            begin(pump);
            mkv_router_take(pump->router, from, record, bytes);
            end(pump);
            mkv_shard_relay_next(pump->relay, pump->shard, from);
        }
    }
}

/* Whether the ring may be waited on: no other shard has sent anything that was not taken. */
static bool may_wait(struct mkv_pump *pump, bool opening) {
    if (pump->relay == NULL) {
        return true;
    }
    pump->others_ns = mkv_shard_relay_flush(pump->relay, pump->shard, pump->now_ns);
    return opening || mkv_shard_relay_may_sleep(pump->relay, pump->shard);
}

void mkv_pump_round(struct mkv_pump *pump, struct mkv_ring *ring, bool opening) {
    pump->ring = ring;
    ticks(pump);
    bool polled = true;
    if (!opening) {
        if (pump->relay != NULL) {
            mkv_pump_take_records(pump);
        }
        pump->fabric->ops->poll(pump->fabric, pump->now_ns);
    } else if (pump->fabric->ops->poll_opening != NULL) {
        pump->fabric->ops->poll_opening(pump->fabric, pump->now_ns);
    } else {
        polled = false;
    }
    const bool fabric_has_work = polled && pump->fabric->ops->has_work(pump->fabric);
    const bool may_sleep = may_wait(pump, opening);
    uint64_t timeout_ns = 0;
    if (may_sleep && !fabric_has_work && !has_work(pump)) {
        uint64_t due_ns = mkv_min_u64(pump->tick_ns, timer_ns(pump));
        due_ns = mkv_min_u64(due_ns, pump->others_ns);
        timeout_ns = due_ns > pump->now_ns ? due_ns - pump->now_ns : 0;
    }
    batch_end(pump);
    mkv_ring_wait(ring, timeout_ns);
    batch_end(pump);
    if (pump->relay != NULL) {
        mkv_shard_relay_awake(pump->relay, pump->shard);
        pump->others_ns = mkv_shard_relay_flush(pump->relay, pump->shard, pump->now_ns);
    }
}

const struct mkv_histogram *mkv_pump_dispatch(const struct mkv_pump *pump) {
    return &pump->dispatch;
}

bool mkv_pump_drive_is_failed(const struct mkv_pump *pump, uint32_t volume) {
    MKV_ASSERT(volume < pump->volume_count);
    return pump->volumes[volume].drive_failed;
}

/* ---- creation ------------------------------------------------------------------------------- */

struct mkv_pump *mkv_pump_create(const struct mkv_pump_options *options) {
    MKV_ASSERT(options->volume_count >= 1);
    MKV_ASSERT(options->volume_count <= MKV_VOLUMES_MAX);
    MKV_ASSERT(options->messages_max >= 1);
    struct mkv_pump *pump = calloc(1, sizeof *pump);
    if (pump == NULL) {
        return NULL;
    }
    pump->waiting = calloc(options->messages_max, sizeof *pump->waiting);
    if (pump->waiting == NULL) {
        free(pump);
        return NULL;
    }
    pump->waiting_max = options->messages_max;
    pump->front = options->front;
    pump->front_arena = mkv_front_arena(options->front);
    pump->fabric = options->fabric;
    pump->fabric->sink = (struct mkv_fabric_sink){pump, fabric_input};
    pump->event = options->event;
    pump->event_context = options->event_context;
    pump->tenant_done = options->tenant_done;
    pump->asked = options->asked;
    pump->request_began = options->request_began;
    pump->request_ended = options->request_ended;
    pump->connection_closed = options->connection_closed;
    pump->request_context = options->request_context;
    pump->dispatched = options->dispatched;
    pump->dispatched_context = options->dispatched_context;
    pump->recorder = options->recorder;
    pump->router = options->router;
    pump->relay = options->relay;
    pump->shard = options->shard;
    pump->shard_count = options->relay == NULL ? 1 : options->shard_count;
    pump->others_ns = UINT64_MAX;
    MKV_ASSERT((pump->router == NULL) == (pump->relay == NULL));
    pump->volume_count = options->volume_count;
    for (uint32_t i = 0; i < options->volume_count; i++) {
        struct pump_volume *volume = &pump->volumes[i];
        volume->pump = pump;
        volume->index = i;
        volume->volume = options->volumes[i].volume;
        if (options->volumes[i].drive != NULL) {
            drive_bind(volume, options->volumes[i].drive);
        }
    }
    read_clocks(pump);
    return pump;
}

void mkv_pump_destroy(struct mkv_pump *pump) {
    if (pump == NULL) {
        return;
    }
    MKV_ASSERT(pump->waiting_count == 0);
    free(pump->waiting);
    free(pump);
}
