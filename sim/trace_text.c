/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The timeline of a run as lines for people: `time machine -> input` and `time machine <- effect`.
 */
#include "sim/trace.h"

#define KEY_BYTES_SHOWN 12u

static const char *const message_names[] = {
    [MKV_MESSAGE_FIND] = "FIND",
    [MKV_MESSAGE_READ] = "READ",
    [MKV_MESSAGE_RELEASE] = "RELEASE",
    [MKV_MESSAGE_EXISTS] = "EXISTS",
    [MKV_MESSAGE_PIN] = "PIN",
    [MKV_MESSAGE_UNPIN] = "UNPIN",
    [MKV_MESSAGE_SESSION] = "SESSION",
    [MKV_MESSAGE_PUT_BEGIN] = "PUT_BEGIN",
    [MKV_MESSAGE_PUT_WRITE] = "PUT_WRITE",
    [MKV_MESSAGE_PUT_ABORT] = "PUT_ABORT",
    [MKV_MESSAGE_DELETE] = "DELETE",
    [MKV_MESSAGE_FOUND] = "FOUND",
    [MKV_MESSAGE_READ_DONE] = "READ_DONE",
    [MKV_MESSAGE_EXISTS_DONE] = "EXISTS_DONE",
    [MKV_MESSAGE_PIN_DONE] = "PIN_DONE",
    [MKV_MESSAGE_UNPIN_DONE] = "UNPIN_DONE",
    [MKV_MESSAGE_SESSION_DONE] = "SESSION_DONE",
    [MKV_MESSAGE_PUT_READY] = "PUT_READY",
    [MKV_MESSAGE_PUT_TAKEN] = "PUT_TAKEN",
    [MKV_MESSAGE_PUT_DONE] = "PUT_DONE",
    [MKV_MESSAGE_DELETE_DONE] = "DELETE_DONE",
    [MKV_MESSAGE_TENANT] = "TENANT",
    [MKV_MESSAGE_TENANT_DROP] = "TENANT_DROP",
    [MKV_MESSAGE_TENANT_DONE] = "TENANT_DONE",
    [MKV_MESSAGE_TENANT_DROP_DONE] = "TENANT_DROP_DONE",
    [MKV_MESSAGE_SCAN] = "SCAN",
    [MKV_MESSAGE_COUNT] = "COUNT",
    [MKV_MESSAGE_PURGE] = "PURGE",
    [MKV_MESSAGE_SCAN_DONE] = "SCAN_DONE",
    [MKV_MESSAGE_COUNT_DONE] = "COUNT_DONE",
    [MKV_MESSAGE_PURGE_DONE] = "PURGE_DONE",
    [MKV_MESSAGE_TOUCH] = "TOUCH",
    [MKV_MESSAGE_EXPIRE] = "EXPIRE",
    [MKV_MESSAGE_EXPIRE_DONE] = "EXPIRE_DONE",
};
static const char *const op_names[] = {
    "?",   "PUT",   "GET",     "EXISTS",   "LOOKUP", "DELETE",
    "PIN", "UNPIN", "SESSION", "ALLOCATE", "COMMIT", "EXPIRE",
};
static const char *const event_names[] = {
    [MKV_EVENT_FORMATTED] = "formatted",
    [MKV_EVENT_OPENED] = "opened",
    [MKV_EVENT_OPEN_FAILED] = "open failed",
    [MKV_EVENT_CAME_UP_EMPTY] = "came up empty",
    [MKV_EVENT_TORN_TAIL] = "torn tail",
    [MKV_EVENT_SUPERBLOCK_REPAIRED] = "superblock repaired",
    [MKV_EVENT_JOURNAL_COPY_REPAIRED] = "journal copy repaired",
    [MKV_EVENT_CHECKPOINT_DONE] = "checkpoint done",
    [MKV_EVENT_BLOCK_QUARANTINED] = "block quarantined",
    [MKV_EVENT_BLOCK_EVICTED] = "block evicted",
    [MKV_EVENT_DRIVE_ERROR] = "drive error",
    [MKV_EVENT_DRIVE_FAILED] = "drive failed",
    [MKV_EVENT_DRIVE_STALLED] = "drive stalled",
    [MKV_EVENT_DRIVE_RESUMED] = "drive resumed",
    [MKV_EVENT_TENANT_SWEPT] = "tenant swept",
    [MKV_EVENT_DIRECTORY_DAMAGED] = "directory damaged",
    [MKV_EVENT_DIRECTORY_REBUILT] = "directory rebuilt",
    [MKV_EVENT_DIRECTORY_FULL] = "directory full",
    [MKV_EVENT_DIRECTORY_ROOM_AGAIN] = "directory has room again",
    [MKV_EVENT_DIRECTORY_OFF] = "directory off",
    [MKV_EVENT_CLOSED] = "closed",
    [MKV_EVENT_DRIVE_SET_DURABLE] = "drive set durable",
    [MKV_EVENT_PURGED] = "purged",
};
static const char *const admin_names[] = {
    [MKV_ADMIN_FORMAT] = "FORMAT",
    [MKV_ADMIN_OPEN] = "OPEN",
    [MKV_ADMIN_JOIN] = "JOIN",
    [MKV_ADMIN_DRIVE_SET] = "DRIVE_SET",
    [MKV_ADMIN_PURGE] = "PURGE",
    [MKV_ADMIN_CHECKPOINT] = "CHECKPOINT",
    [MKV_ADMIN_CLOSE] = "CLOSE",
    [MKV_ADMIN_AVOID] = "AVOID",
    [MKV_ADMIN_AVOID_OVER] = "AVOID_OVER",
};

#define COUNT_OF(names) (sizeof(names) / sizeof(names)[0])

static const char *name_of(const char *const *names, size_t count, unsigned value) {
    return value < count && names[value] != NULL ? names[value] : "?";
}

static void start_line(const struct mkv_trace *trace, uint32_t machine, const char *arrow) {
    fprintf(trace->log, "%12llu  ", (unsigned long long)trace->now_ns);
    if (machine == MKV_TRACE_FRONT) {
        fprintf(trace->log, "front    %s ", arrow);
    } else {
        fprintf(trace->log, "volume %u %s ", machine, arrow);
    }
}

static void print_message(FILE *log, const struct mkv_message *message) {
    fprintf(
        log,
        "%s item %u.%u op %u.%u status %u miss %u length %u offset %u bytes %u units %u slab %d "
        "flags %x data %u session %llu tier %u action %u\n",
        name_of(message_names, COUNT_OF(message_names), (unsigned)message->kind),
        message->front_op.index, message->front_op.generation, message->volume_op.index,
        message->volume_op.generation, (unsigned)message->status, (unsigned)message->miss,
        message->length, message->offset, message->bytes, message->length_units,
        (int)message->slab.index, message->flags, message->data_bytes,
        (unsigned long long)message->session, message->tier_hint, (unsigned)message->action);
}

/* The first bytes of the key, which tell the simulator's keys apart. */
static void print_key(FILE *log, const uint8_t *key, uint32_t key_bytes) {
    fputs("             key ", log);
    for (uint32_t index = 0; index < key_bytes && index < KEY_BYTES_SHOWN; index++) {
        fprintf(log, "%02x", key[index]);
    }
    fprintf(log, " of %u bytes\n", key_bytes);
}

static void print_fabric(FILE *log, const struct mkv_fabric_done *fabric) {
    static const char *const names[] = {"?", "PULL_DONE", "PUSH_DONE", "ANSWER_DONE",
                                        "CONNECTION_CLOSED"};
    fprintf(log, "%s op %u.%u connection %u.%u%s sums %u\n",
            name_of(names, COUNT_OF(names), (unsigned)fabric->event), fabric->op.index,
            fabric->op.generation, fabric->connection.index, fabric->connection.generation,
            fabric->transfer == MKV_TRANSFER_FAILED ? " FAILED" : "", fabric->sum_count);
}

static void print_request(FILE *log, const struct mkv_request *request) {
    fprintf(log, "%s request %llu connection %u.%u deadline %llu:",
            name_of(op_names, COUNT_OF(op_names), (unsigned)request->op),
            (unsigned long long)request->request_id, request->connection.index,
            request->connection.generation, (unsigned long long)request->deadline_ns);
    for (uint32_t index = 0; index < request->item_count; index++) {
        const struct mkv_request_item *item = &request->items[index];
        fprintf(log, " [key at %u, %u bytes, flags %x, offset %llu, length %llu]", item->key_offset,
                item->key_bytes, item->flags, (unsigned long long)item->offset,
                (unsigned long long)item->length);
    }
    fputc('\n', log);
}

void mkv_trace_print_input(const struct mkv_trace *trace, uint32_t machine,
                           const struct mkv_input *input) {
    start_line(trace, machine, "->");
    switch (input->kind) {
    case MKV_INPUT_TICK:
        fputs("TICK\n", trace->log);
        break;
    case MKV_INPUT_REQUEST:
        print_request(trace->log, &input->request);
        break;
    case MKV_INPUT_MESSAGE:
        print_message(trace->log, &input->message);
        if (input->data_bytes > 0 && input->message.kind != MKV_MESSAGE_PUT_WRITE) {
            print_key(trace->log, input->data, input->data_bytes);
        }
        break;
    case MKV_INPUT_DRIVE_DONE:
        fprintf(trace->log, "DRIVE_DONE op %u.%u result %u sums %u\n", input->drive.op.index,
                input->drive.op.generation, (unsigned)input->drive.result, input->drive.sum_count);
        break;
    case MKV_INPUT_FABRIC_DONE:
        print_fabric(trace->log, &input->fabric);
        break;
    case MKV_INPUT_ADMIN:
        fprintf(trace->log, "ADMIN %s\n",
                name_of(admin_names, COUNT_OF(admin_names), (unsigned)input->admin));
        break;
    }
}

static void print_transfer(FILE *log, const char *name, const struct mkv_effect *effect) {
    fprintf(log,
            "%s op %u.%u connection %u.%u request %llu item %u offset %llu bytes %u slab %u+%u\n",
            name, effect->op.index, effect->op.generation, effect->transfer.connection.index,
            effect->transfer.connection.generation, (unsigned long long)effect->transfer.request_id,
            effect->transfer.item, (unsigned long long)effect->transfer.offset,
            effect->transfer.bytes, effect->transfer.slab.index, effect->transfer.slab_offset);
}

static void print_summary(FILE *log, const struct mkv_request_summary *summary) {
    static const char *const stages[] = {"parse", "route", "wait_slab", "reply", "pull",
                                         "push",  "flush", "write",     "read"};
    _Static_assert(COUNT_OF(stages) == MKV_STAGE_COUNT, "each stage has a name");
    fprintf(log, "REQUEST_ENDED %s request %llu serial %llu status %u%s%s after %llu ns:",
            name_of(op_names, COUNT_OF(op_names), (unsigned)summary->op),
            (unsigned long long)summary->request_id, (unsigned long long)summary->serial,
            (unsigned)summary->status, summary->refused ? " refused" : "",
            summary->dropped ? " dropped" : "",
            (unsigned long long)(summary->ended_ns - summary->received_ns));
    for (uint32_t stage = 0; stage < MKV_STAGE_COUNT; stage++) {
        if (summary->stage_ns[stage] > 0) {
            fprintf(log, " %s %llu", stages[stage], (unsigned long long)summary->stage_ns[stage]);
        }
    }
    fprintf(log, " drive %llu\n", (unsigned long long)summary->drive_ns);
}

void mkv_trace_print_effect(const struct mkv_trace *trace, uint32_t machine,
                            const struct mkv_effect *effect) {
    FILE *log = trace->log;
    start_line(trace, machine, "<-");
    switch (effect->kind) {
    case MKV_EFFECT_DRIVE_READ:
    case MKV_EFFECT_DRIVE_WRITE: {
        static const char *const memories[] = {"?", "meta", "slot", "payload"};
        fprintf(log, "%s op %u.%u %s unit %llu count %u payload %u slab %d\n",
                effect->kind == MKV_EFFECT_DRIVE_READ ? "DRIVE_READ" : "DRIVE_WRITE",
                effect->op.index, effect->op.generation,
                name_of(memories, COUNT_OF(memories), (unsigned)effect->drive.memory),
                (unsigned long long)effect->drive.lba.unit, effect->drive.unit_count,
                effect->drive.payload_bytes, (int)effect->drive.slab.index);
        break;
    }
    case MKV_EFFECT_DRIVE_FLUSH:
        fprintf(log, "DRIVE_FLUSH op %u.%u\n", effect->op.index, effect->op.generation);
        break;
    case MKV_EFFECT_DRIVE_TRIM:
        fprintf(log, "DRIVE_TRIM op %u.%u unit %llu count %u\n", effect->op.index,
                effect->op.generation, (unsigned long long)effect->drive.lba.unit,
                effect->drive.unit_count);
        break;
    case MKV_EFFECT_FAIL_DRIVE:
        fputs("FAIL_DRIVE\n", log);
        break;
    case MKV_EFFECT_PULL:
        print_transfer(log, "PULL", effect);
        break;
    case MKV_EFFECT_PUSH:
        print_transfer(log, "PUSH", effect);
        break;
    case MKV_EFFECT_BREAK:
        fprintf(log, "BREAK connection %u.%u\n", effect->transfer.connection.index,
                effect->transfer.connection.generation);
        break;
    case MKV_EFFECT_ANSWER:
        fprintf(log, "ANSWER %s request %llu connection %u.%u status %u results %u\n",
                name_of(op_names, COUNT_OF(op_names), (unsigned)effect->answer.op),
                (unsigned long long)effect->answer.request_id, effect->answer.connection.index,
                effect->answer.connection.generation, (unsigned)effect->answer.status,
                effect->answer.result_count);
        break;
    case MKV_EFFECT_MESSAGE:
        print_message(log, &effect->message);
        break;
    case MKV_EFFECT_EVENT:
        fprintf(log, "EVENT %s err %u values %llu %llu %llu\n",
                name_of(event_names, COUNT_OF(event_names), (unsigned)effect->event.kind),
                (unsigned)effect->event.err, (unsigned long long)effect->event.value[0],
                (unsigned long long)effect->event.value[1],
                (unsigned long long)effect->event.value[2]);
        break;
    case MKV_EFFECT_REQUEST_ENDED:
        print_summary(log, &effect->summary);
        break;
    }
}
