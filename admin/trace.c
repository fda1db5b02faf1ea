/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/trace.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "admin/words.h"

#define NS_PER_S 1000000000ull
/* Half of all 64-bit numbers: what a trace id is compared with has 63 bits. */
#define SAMPLE_ALL (1ull << 63)
/* Of a context's flags. */
#define SAMPLED 1u

struct tracer_volume {
    const char *name;
    enum mkv_drive_state state;
    uint64_t since_ns;   /* when that began */
    uint64_t damaged_ns; /* when its directory was found damaged */
};

struct mkv_tracer {
    bool shared;
    pthread_mutex_t turn; /* of several threads, where it is shared */
    struct mkv_trace_sink sink;
    uint64_t sample_below;
    uint64_t random;
    uint32_t volume_count;
    struct tracer_volume volumes[MKV_VOLUMES_MAX];
};

/* The order in which a request goes through the stages, and what its spans call them. */
static const struct {
    enum mkv_stage stage;
    const char *name;
} phases[MKV_STAGE_COUNT] = {
    {MKV_STAGE_PARSE, "parse"}, {MKV_STAGE_ROUTE, "route"},   {MKV_STAGE_WAIT_SLAB, "alloc"},
    {MKV_STAGE_PULL, "pull"},   {MKV_STAGE_WRITE, "persist"}, {MKV_STAGE_FLUSH, "commit"},
    {MKV_STAGE_READ, "read"},   {MKV_STAGE_PUSH, "push"},     {MKV_STAGE_REPLY, "reply"},
};

static const char *const op_spans[MKV_OP_COUNT] = {
    [0] = "memkv.other",
    [MKV_OP_PUT] = "memkv.write",
    [MKV_OP_GET] = "memkv.read",
    [MKV_OP_EXISTS] = "memkv.exists",
    [MKV_OP_LOOKUP] = "memkv.lookup",
    [MKV_OP_DELETE] = "memkv.delete",
    [MKV_OP_PIN] = "memkv.pin",
    [MKV_OP_UNPIN] = "memkv.unpin",
    [MKV_OP_SESSION] = "memkv.session",
    [MKV_OP_ALLOCATE] = "memkv.write",
    [MKV_OP_COMMIT] = "memkv.write",
    [MKV_OP_EXPIRE] = "memkv.expire",
};

/* ---- ids and clocks ------------------------------------------------------------------------- */

/* splitmix64: https://prng.di.unimi.it/splitmix64.c */
static uint64_t next_random(struct mkv_tracer *tracer) {
    tracer->random += 0x9e3779b97f4a7c15u;
    uint64_t mixed = tracer->random;
    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9u;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebu;
    return mixed ^ (mixed >> 31);
}

/* Eight bytes that are not all 0, which is no id. */
static void make_id(struct mkv_tracer *tracer, uint8_t id[MKV_SPAN_ID_BYTES]) {
    uint64_t number = 0;
    while (number == 0) {
        number = next_random(tracer);
    }
    memcpy(id, &number, sizeof number);
}

static void make_trace_id(struct mkv_tracer *tracer, uint8_t id[MKV_TRACE_ID_BYTES]) {
    make_id(tracer, id);
    make_id(tracer, id + MKV_SPAN_ID_BYTES);
}

/* Draws a trace, and makes its id if it is sampled. The last eight bytes decide, as they do in
 * samplers of OpenTelemetry, so that all services of a trace decide alike; they are drawn first,
 * since most traces end there. */
static bool draw_trace(struct mkv_tracer *tracer, uint8_t id[MKV_TRACE_ID_BYTES]) {
    uint64_t number = next_random(tracer);
    if (number >> 1 >= tracer->sample_below) {
        return false;
    }
    make_id(tracer, id);
    for (uint32_t i = MKV_TRACE_ID_BYTES; i > MKV_SPAN_ID_BYTES; i--) {
        id[i - 1] = (uint8_t)number;
        number >>= 8;
    }
    return true;
}

static uint64_t read_clock(clockid_t clock) {
    struct timespec now;
    const int result = clock_gettime(clock, &now);
    MKV_ASSERT(result == 0);
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

/* What is added to a time of CLOCK_MONOTONIC to make it Unix time, as of now. */
static uint64_t unix_offset_ns(void) {
    const uint64_t monotonic_ns = read_clock(CLOCK_MONOTONIC);
    return read_clock(CLOCK_REALTIME) - monotonic_ns;
}

/* ---- creation ------------------------------------------------------------------------------- */

struct mkv_tracer *mkv_tracer_create(const struct mkv_trace_options *options) {
    MKV_ASSERT(options->sampling_ratio <= MKV_TRACE_RATIO_ONE);
    MKV_ASSERT(options->drive_count <= MKV_VOLUMES_MAX);
    struct mkv_tracer *tracer = calloc(1, sizeof *tracer);
    if (tracer == NULL) {
        return NULL;
    }
    tracer->shared = options->shared;
    pthread_mutex_init(&tracer->turn, NULL);
    tracer->sink = options->sink;
    tracer->sample_below = options->sampling_ratio == MKV_TRACE_RATIO_ONE
                               ? SAMPLE_ALL
                               : SAMPLE_ALL / MKV_TRACE_RATIO_ONE * options->sampling_ratio;
    tracer->random = options->seed;
    tracer->volume_count = options->drive_count;
    for (uint32_t i = 0; i < options->drive_count; i++) {
        tracer->volumes[i] = (struct tracer_volume){
            .name = options->drive_names[i],
            .state = MKV_DRIVE_STATE_RECOVERING,
            .since_ns = options->now_ns,
        };
    }
    return tracer;
}

void mkv_tracer_destroy(struct mkv_tracer *tracer) {
    if (tracer != NULL) {
        pthread_mutex_destroy(&tracer->turn);
    }
    free(tracer);
}

/* ---- requests ------------------------------------------------------------------------------- */

/* What the spans of one request share. */
struct request_trace {
    uint8_t trace_id[MKV_TRACE_ID_BYTES];
    uint8_t span_id[MKV_SPAN_ID_BYTES];   /* of the request's own span */
    uint8_t parent_id[MKV_SPAN_ID_BYTES]; /* of the client's */
    uint64_t start_ns;                    /* Unix time, as are these: */
    uint64_t end_ns;
    uint64_t phase_end_ns[MKV_STAGE_COUNT]; /* by place in `phases` */
};

static bool is_write(enum mkv_op op) {
    return op == MKV_OP_PUT || op == MKV_OP_ALLOCATE || op == MKV_OP_COMMIT;
}

/* The faults of the node, not what a client asked for in vain. */
static bool is_fault(enum mkv_status status) {
    switch (status) {
    case MKV_STATUS_NO_SPACE:
    case MKV_STATUS_DEADLINE:
    case MKV_STATUS_IO_ERROR:
    case MKV_STATUS_BUSY:
    case MKV_STATUS_UNKNOWN:
    case MKV_STATUS_UNAVAILABLE:
        return true;
    case MKV_STATUS_OK:
    case MKV_STATUS_NOT_FOUND:
    case MKV_STATUS_INVALID:
    case MKV_STATUS_FORBIDDEN:
    case MKV_STATUS_CONFLICT:
    case MKV_STATUS_QUOTA:
        return false;
    }
    return false;
}

/* Phases that a request of this kind always has, if only for no time at all. */
static bool is_always_told(enum mkv_op op, enum mkv_stage stage) {
    switch (stage) {
    case MKV_STAGE_WAIT_SLAB:
        return is_write(op) || op == MKV_OP_GET;
    case MKV_STAGE_PULL:
    case MKV_STAGE_WRITE:
    case MKV_STAGE_FLUSH:
        return is_write(op);
    case MKV_STAGE_READ:
    case MKV_STAGE_PUSH:
        return op == MKV_OP_GET;
    case MKV_STAGE_PARSE:
    case MKV_STAGE_ROUTE:
    case MKV_STAGE_REPLY:
        return false;
    }
    return false;
}

static void set_times(struct request_trace *trace, const struct mkv_request_summary *summary) {
    const uint64_t offset_ns = unix_offset_ns();
    MKV_ASSERT(summary->received_ns <= summary->ended_ns);
    trace->start_ns = summary->received_ns + offset_ns;
    trace->end_ns = summary->ended_ns + offset_ns;
    uint64_t time_ns = trace->start_ns;
    for (uint32_t i = 0; i < MKV_STAGE_COUNT; i++) {
        time_ns += summary->stage_ns[phases[i].stage];
        trace->phase_end_ns[i] = mkv_min_u64(time_ns, trace->end_ns);
    }
}

/* The place in `phases` of a stage. */
static uint32_t place_of(enum mkv_stage stage) {
    uint32_t place = 0;
    while (phases[place].stage != stage) {
        place++;
        MKV_ASSERT(place < MKV_STAGE_COUNT);
    }
    return place;
}

static void add_attributes(const struct mkv_tracer *tracer, struct mkv_span *span,
                           const struct mkv_request_summary *summary, const char *tenant) {
    mkv_span_text(span, "memkv.op", mkv_admin_ops[summary->op]);
    mkv_span_text(span, "memkv.status", mkv_admin_statuses[summary->status]);
    mkv_span_number(span, "memkv.keys", summary->item_count);
    mkv_span_number(span, "memkv.bytes_in", summary->bytes_in);
    mkv_span_number(span, "memkv.bytes_out", summary->bytes_out);
    if (tenant[0] != '\0') {
        mkv_span_copy(span, "memkv.tenant", tenant, strlen(tenant));
    }
    if (summary->volume < tracer->volume_count) {
        mkv_span_text(span, "memkv.drive", tracer->volumes[summary->volume].name);
        mkv_span_number(span, "memkv.drive_ns", summary->drive_ns);
    }
    if (summary->op == MKV_OP_GET || summary->op == MKV_OP_EXISTS || summary->op == MKV_OP_LOOKUP) {
        mkv_span_number(span, "memkv.keys_from_memory", summary->keys_from_memory);
        mkv_span_number(span, "memkv.keys_from_drive", summary->keys_from_drive);
    }
    if (summary->miss != MKV_MISS_NONE) {
        mkv_span_text(span, "memkv.miss", mkv_admin_misses[summary->miss - 1]);
    }
    if (summary->session != 0) {
        mkv_span_number(span, "memkv.session", summary->session);
    }
    if (summary->dropped) {
        mkv_span_text(span, "memkv.dropped", "the connection closed before the answer");
    }
}

static void tell_request(struct mkv_tracer *tracer, const struct request_trace *trace,
                         const struct mkv_request_summary *summary, const char *tenant) {
    struct mkv_span *span = tracer->sink.reserve(tracer->sink.context);
    if (span == NULL) {
        return;
    }
    memcpy(span->trace_id, trace->trace_id, sizeof span->trace_id);
    memcpy(span->span_id, trace->span_id, sizeof span->span_id);
    memcpy(span->parent_id, trace->parent_id, sizeof span->parent_id);
    span->name = op_spans[summary->op];
    span->kind = MKV_SPAN_SERVER;
    span->start_ns = trace->start_ns;
    span->end_ns = trace->end_ns;
    const bool failed = is_fault(summary->status) && !summary->dropped;
    span->error = failed ? mkv_admin_statuses[summary->status] : NULL;
    add_attributes(tracer, span, summary, tenant);
    for (uint32_t i = 0; i < MKV_STAGE_COUNT; i++) {
        const uint64_t duration_ns = summary->stage_ns[phases[i].stage];
        if (duration_ns > 0 || is_always_told(summary->op, phases[i].stage)) {
            mkv_span_event(span, phases[i].name, trace->phase_end_ns[i], duration_ns);
        }
    }
    tracer->sink.commit(tracer->sink.context);
}

/* A span within the request's own. */
static void tell_part(struct mkv_tracer *tracer, const struct request_trace *trace,
                      const char *name, const char *drive, uint64_t start_ns, uint64_t end_ns) {
    struct mkv_span *span = tracer->sink.reserve(tracer->sink.context);
    if (span == NULL) {
        return;
    }
    memcpy(span->trace_id, trace->trace_id, sizeof span->trace_id);
    memcpy(span->parent_id, trace->span_id, sizeof span->parent_id);
    make_id(tracer, span->span_id);
    span->name = name;
    span->start_ns = start_ns;
    span->end_ns = end_ns;
    if (drive != NULL) {
        mkv_span_text(span, "memkv.drive", drive);
    }
    tracer->sink.commit(tracer->sink.context);
}

static void tell_parts(struct mkv_tracer *tracer, const struct request_trace *trace,
                       const struct mkv_request_summary *summary) {
    const bool writes = is_write(summary->op);
    const bool has_drive = summary->volume < tracer->volume_count;
    const char *drive = has_drive ? tracer->volumes[summary->volume].name : NULL;
    if (has_drive && summary->drive_ns > 0) {
        /* When the phase of the drive begins: where the one before it ends. */
        const uint32_t place = place_of(writes ? MKV_STAGE_WRITE : MKV_STAGE_READ);
        const uint64_t start_ns = trace->phase_end_ns[place - 1];
        tell_part(tracer, trace, writes ? "memkv.drive.write" : "memkv.drive.read", drive, start_ns,
                  mkv_min_u64(start_ns + summary->drive_ns, trace->end_ns));
    }
    if (summary->stage_ns[MKV_STAGE_FLUSH] > 0) {
        const uint32_t place = place_of(MKV_STAGE_FLUSH);
        tell_part(tracer, trace, "memkv.journal.commit", drive, trace->phase_end_ns[place - 1],
                  trace->phase_end_ns[place]);
    }
}

static bool sample(struct mkv_tracer *tracer, struct mkv_trace_context *context) {
    static const uint8_t none[MKV_TRACE_ID_BYTES];
    if (memcmp(context->trace_id, none, sizeof none) != 0) {
        return (context->flags & SAMPLED) != 0;
    }
    if (!draw_trace(tracer, context->trace_id)) {
        return false;
    }
    memset(context->parent_id, 0, sizeof context->parent_id);
    context->flags = SAMPLED;
    return true;
}

static void trace_request(struct mkv_tracer *tracer, const struct mkv_request_summary *summary,
                          const struct mkv_trace_context *context, const char *tenant) {
    MKV_ASSERT((uint32_t)summary->op < MKV_OP_COUNT);
    MKV_ASSERT((context->flags & SAMPLED) != 0);
    struct request_trace trace;
    memcpy(trace.trace_id, context->trace_id, sizeof trace.trace_id);
    memcpy(trace.parent_id, context->parent_id, sizeof trace.parent_id);
    make_id(tracer, trace.span_id);
    set_times(&trace, summary);
    tell_request(tracer, &trace, summary, tenant);
    tell_parts(tracer, &trace, summary);
}

/* ---- what is a trace of its own ------------------------------------------------------------- */

/* A span without a parent, of a new trace unless `trace_id` is one; NULL: there is no room. */
static struct mkv_span *begin_root(struct mkv_tracer *tracer, const char *name,
                                   const uint8_t *trace_id, uint64_t began_ns, uint64_t ended_ns) {
    struct mkv_span *span = tracer->sink.reserve(tracer->sink.context);
    if (span == NULL) {
        return NULL;
    }
    if (trace_id == NULL) {
        make_trace_id(tracer, span->trace_id);
    } else {
        memcpy(span->trace_id, trace_id, sizeof span->trace_id);
    }
    make_id(tracer, span->span_id);
    const uint64_t offset_ns = unix_offset_ns();
    span->name = name;
    span->start_ns = mkv_min_u64(began_ns, ended_ns) + offset_ns;
    span->end_ns = ended_ns + offset_ns;
    return span;
}

static void trace_dispatch(struct mkv_tracer *tracer, uint64_t began_ns, uint64_t ended_ns,
                           uint32_t requests) {
    uint8_t trace_id[MKV_TRACE_ID_BYTES];
    if (!draw_trace(tracer, trace_id)) {
        return;
    }
    struct mkv_span *span = begin_root(tracer, "memkv.dispatch", trace_id, began_ns, ended_ns);
    if (span != NULL) {
        mkv_span_number(span, "memkv.requests", requests);
        tracer->sink.commit(tracer->sink.context);
    }
}

static struct mkv_span *begin_of_drive(struct mkv_tracer *tracer, const char *name,
                                       const struct tracer_volume *volume, uint64_t began_ns,
                                       uint64_t ended_ns) {
    struct mkv_span *span = begin_root(tracer, name, NULL, began_ns, ended_ns);
    if (span != NULL) {
        mkv_span_text(span, "memkv.drive", volume->name);
    }
    return span;
}

static void tell_repair(struct mkv_tracer *tracer, const struct tracer_volume *volume,
                        const char *what, const char *figure, uint64_t number, uint64_t began_ns,
                        uint64_t now_ns) {
    struct mkv_span *span = begin_of_drive(tracer, "memkv.repair", volume, began_ns, now_ns);
    if (span != NULL) {
        mkv_span_text(span, "memkv.repair", what);
        mkv_span_number(span, figure, number);
        tracer->sink.commit(tracer->sink.context);
    }
}

/* The span lasts as long as the way to the new state took: from when a drive began to recover or to
 * stall. A drive leaves the other states at once. */
static void tell_transition(struct mkv_tracer *tracer, struct tracer_volume *volume,
                            const char *from, const char *to, const char *error, uint64_t began_ns,
                            uint64_t now_ns) {
    struct mkv_span *span = begin_of_drive(tracer, "memkv.transition", volume, began_ns, now_ns);
    if (span != NULL) {
        mkv_span_text(span, "memkv.from", from);
        mkv_span_text(span, "memkv.to", to);
        span->error = error;
        tracer->sink.commit(tracer->sink.context);
    }
}

static void change_state(struct mkv_tracer *tracer, struct tracer_volume *volume,
                         enum mkv_drive_state state, const char *error, uint64_t now_ns) {
    const bool took_time = volume->state == MKV_DRIVE_STATE_RECOVERING;
    tell_transition(tracer, volume, mkv_drive_state_words[volume->state],
                    mkv_drive_state_words[state], error, took_time ? volume->since_ns : now_ns,
                    now_ns);
    volume->state = state;
    volume->since_ns = now_ns;
}

static uint64_t before(uint64_t now_ns, uint64_t duration_ns) {
    return now_ns - mkv_min_u64(now_ns, duration_ns);
}

static void trace_event(struct mkv_tracer *tracer, uint32_t index, const struct mkv_event *event,
                        uint64_t now_ns) {
    MKV_ASSERT(index < tracer->volume_count);
    struct tracer_volume *volume = &tracer->volumes[index];
    const uint64_t value = event->value[0];
    switch (event->kind) {
    case MKV_EVENT_CHECKPOINT_DONE: {
        struct mkv_span *span = begin_of_drive(tracer, "memkv.checkpoint", volume,
                                               before(now_ns, event->value[2]), now_ns);
        if (span != NULL) {
            mkv_span_number(span, "memkv.sequence", value);
            mkv_span_number(span, "memkv.pages", event->value[1]);
            tracer->sink.commit(tracer->sink.context);
        }
        return;
    }
    case MKV_EVENT_TORN_TAIL:
        tell_repair(tracer, volume, "journal_tail", "memkv.sequence", value, now_ns, now_ns);
        return;
    case MKV_EVENT_SUPERBLOCK_REPAIRED:
        tell_repair(tracer, volume, "superblock", "memkv.copies", value, now_ns, now_ns);
        return;
    case MKV_EVENT_JOURNAL_COPY_REPAIRED:
        tell_repair(tracer, volume, "journal_copy", "memkv.blocks", value, now_ns, now_ns);
        return;
    case MKV_EVENT_BLOCK_QUARANTINED:
        tell_repair(tracer, volume, "block_dropped", "memkv.slot", value, now_ns, now_ns);
        return;
    case MKV_EVENT_CAME_UP_EMPTY:
        tell_repair(tracer, volume, "emptied", "memkv.sequence", value, now_ns, now_ns);
        return;
    case MKV_EVENT_DIRECTORY_DAMAGED:
        volume->damaged_ns = now_ns;
        return;
    case MKV_EVENT_DIRECTORY_REBUILT:
        tell_repair(tracer, volume, "directory", "memkv.entries", value,
                    volume->damaged_ns == 0 ? now_ns : volume->damaged_ns, now_ns);
        volume->damaged_ns = 0;
        return;
    case MKV_EVENT_OPENED:
        change_state(tracer, volume, MKV_DRIVE_STATE_ONLINE, NULL, now_ns);
        return;
    case MKV_EVENT_OPEN_FAILED:
        change_state(tracer, volume, MKV_DRIVE_STATE_OFFLINE, "the drive cannot be opened", now_ns);
        return;
    case MKV_EVENT_DRIVE_FAILED:
        change_state(tracer, volume, MKV_DRIVE_STATE_FAILED, "the drive failed", now_ns);
        return;
    case MKV_EVENT_CLOSED:
        change_state(tracer, volume, MKV_DRIVE_STATE_OFFLINE, NULL, now_ns);
        return;
    case MKV_EVENT_DRIVE_STALLED:
        tell_transition(tracer, volume, mkv_drive_state_words[volume->state], "stalled",
                        "the drive does not answer", before(now_ns, value), now_ns);
        return;
    case MKV_EVENT_DRIVE_RESUMED:
        tell_transition(tracer, volume, "stalled", mkv_drive_state_words[volume->state], NULL,
                        before(now_ns, value), now_ns);
        return;
    case MKV_EVENT_FORMATTED:
    case MKV_EVENT_BLOCK_EVICTED:
    case MKV_EVENT_DRIVE_ERROR:
    case MKV_EVENT_TENANT_SWEPT:
    case MKV_EVENT_DIRECTORY_FULL:
    case MKV_EVENT_DIRECTORY_ROOM_AGAIN:
    case MKV_EVENT_DIRECTORY_OFF:
    case MKV_EVENT_DRIVE_SET_DURABLE:
    case MKV_EVENT_PURGED:
        return; /* neither mends anything nor changes what a drive is */
    }
}

/* ---- calls ----------------------------------------------------------------------------------- */

static void take_turn(struct mkv_tracer *tracer) {
    if (tracer->shared) {
        pthread_mutex_lock(&tracer->turn);
    }
}

static void end_turn(struct mkv_tracer *tracer) {
    if (tracer->shared) {
        pthread_mutex_unlock(&tracer->turn);
    }
}

bool mkv_trace_sample(struct mkv_tracer *tracer, struct mkv_trace_context *context) {
    take_turn(tracer);
    const bool is_sampled = sample(tracer, context);
    end_turn(tracer);
    return is_sampled;
}

void mkv_trace_request(struct mkv_tracer *tracer, const struct mkv_request_summary *summary,
                       const struct mkv_trace_context *context, const char *tenant) {
    take_turn(tracer);
    trace_request(tracer, summary, context, tenant);
    end_turn(tracer);
}

void mkv_trace_dispatch(struct mkv_tracer *tracer, uint64_t began_ns, uint64_t ended_ns,
                        uint32_t requests) {
    take_turn(tracer);
    trace_dispatch(tracer, began_ns, ended_ns, requests);
    end_turn(tracer);
}

void mkv_trace_event(struct mkv_tracer *tracer, uint32_t volume, const struct mkv_event *event,
                     uint64_t now_ns) {
    take_turn(tracer);
    trace_event(tracer, volume, event, now_ns);
    end_turn(tracer);
}
