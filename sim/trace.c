/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/trace.h"

#include "core/bytes.h"
#include "core/drive_set.h"
#include "core/hash.h"
#include "sim/failure.h"

#define HEADER_BYTES_HASHED 128u

void mkv_trace_init(struct mkv_trace *trace, uint64_t seed, FILE *log, uint64_t entries_max) {
    *trace =
        (struct mkv_trace){.log = log, .entries_max = entries_max > 0 ? entries_max : UINT64_MAX};
    mkv_trace_word(trace, seed);
}

static void bytes(struct mkv_trace *trace, const void *data, size_t byte_count) {
    mkv_trace_word(trace, byte_count);
    if (byte_count > 0) {
        mkv_trace_word(trace, mkv_hash_64(data, byte_count));
    }
}

static void op(struct mkv_trace *trace, struct mkv_op_id id) {
    mkv_trace_word(trace, (uint64_t)id.index << 32 | id.generation);
}

static void connection(struct mkv_trace *trace, struct mkv_connection_id id) {
    mkv_trace_word(trace, (uint64_t)id.index << 32 | id.generation);
}

static void root(struct mkv_trace *trace, const struct mkv_root *value) {
    mkv_trace_word(trace, mkv_load_u64(value->bytes));
    mkv_trace_word(trace, mkv_load_u64(value->bytes + 8));
}

static void message(struct mkv_trace *trace, const struct mkv_message *message,
                    const uint8_t *data) {
    mkv_trace_word(trace, (uint64_t)message->kind << 32 | message->volume);
    op(trace, message->front_op);
    op(trace, message->volume_op);
    mkv_trace_word(trace, (uint64_t)message->status << 32 | (uint32_t)message->miss);
    mkv_trace_word(trace, (uint64_t)message->tenant << 32 | message->flags);
    mkv_trace_word(trace, (uint64_t)message->length << 32 | message->offset);
    mkv_trace_word(trace, (uint64_t)message->bytes << 32 | message->slab_offset);
    mkv_trace_word(trace, (uint64_t)message->length_units << 32 | message->slab.index);
    root(trace, &message->root);
    mkv_trace_word(trace, message->count);
    mkv_trace_word(trace, message->drive_ns);
    mkv_trace_word(trace, message->flush_ns);
    bytes(trace, data, message->data_bytes);
}

static void request(struct mkv_trace *trace, const struct mkv_input *input) {
    const struct mkv_request *request = &input->request;
    connection(trace, request->connection);
    mkv_trace_word(trace, request->request_id);
    mkv_trace_word(trace, (uint64_t)request->op << 32 | request->tenant);
    mkv_trace_word(trace, request->deadline_ns);
    mkv_trace_word(trace, request->received_ns);
    mkv_trace_word(trace, request->serial);
    mkv_trace_word(trace, request->item_count);
    for (uint32_t index = 0; index < request->item_count; index++) {
        const struct mkv_request_item *item = &request->items[index];
        mkv_trace_word(trace, (uint64_t)item->key_offset << 32 | item->key_bytes);
        mkv_trace_word(trace, item->flags);
        mkv_trace_word(trace, item->length);
        mkv_trace_word(trace, item->offset);
        mkv_trace_word(trace, item->expire_s);
        mkv_trace_word(trace, item->reservation);
        root(trace, &item->root);
    }
    bytes(trace, input->data, input->data_bytes);
}

void mkv_trace_input(struct mkv_trace *trace, uint32_t machine, const struct mkv_input *input) {
    if (++trace->entries > trace->entries_max) {
        mkv_fail(MKV_ORACLE_NONE, "the run is longer than it may be");
    }
    trace->now_ns = input->now_ns;
    mkv_trace_word(trace, (uint64_t)machine << 32 | (uint32_t)input->kind);
    mkv_trace_word(trace, input->now_ns);
    mkv_trace_word(trace, input->wall_ms);
    switch (input->kind) {
    case MKV_INPUT_TICK:
        break;
    case MKV_INPUT_REQUEST:
        request(trace, input);
        break;
    case MKV_INPUT_MESSAGE:
        message(trace, &input->message, input->data);
        break;
    case MKV_INPUT_DRIVE_DONE:
        op(trace, input->drive.op);
        mkv_trace_word(trace, (uint64_t)input->drive.result);
        if (input->drive.header != NULL) {
            /* Its checksum is among them and stands for the rest. */
            bytes(trace, input->drive.header, HEADER_BYTES_HASHED);
        }
        for (uint32_t index = 0; index < input->drive.sum_count; index++) {
            mkv_trace_word(trace, input->drive.sums[index]);
        }
        break;
    case MKV_INPUT_FABRIC_DONE:
        mkv_trace_word(trace,
                       (uint64_t)input->fabric.event << 32 | (uint32_t)input->fabric.transfer);
        op(trace, input->fabric.op);
        connection(trace, input->fabric.connection);
        for (uint32_t index = 0; index < input->fabric.sum_count; index++) {
            mkv_trace_word(trace, input->fabric.sums[index]);
        }
        break;
    case MKV_INPUT_ADMIN:
        mkv_trace_word(trace, (uint64_t)input->admin);
        if (input->data_bytes > 0) {
            const struct mkv_drive_set *set = (const struct mkv_drive_set *)(uintptr_t)input->data;
            mkv_trace_word(trace, set->version);
            mkv_trace_word(trace, set->count);
        }
        break;
    }
    if (trace->log != NULL) {
        mkv_trace_print_input(trace, machine, input);
    }
}

static void answer(struct mkv_trace *trace, const struct mkv_answer_effect *answer,
                   const uint8_t *base) {
    connection(trace, answer->connection);
    mkv_trace_word(trace, answer->request_id);
    mkv_trace_word(trace, (uint64_t)answer->op << 32 | (uint32_t)answer->status);
    mkv_trace_word(trace, answer->result_count);
    const struct mkv_item_result *results =
        (const struct mkv_item_result *)(uintptr_t)(base + answer->results_offset);
    for (uint32_t index = 0; index < answer->result_count; index++) {
        mkv_trace_word(trace,
                       (uint64_t)results[index].status << 32 | (uint32_t)results[index].miss);
        mkv_trace_word(trace, results[index].length);
        mkv_trace_word(trace, results[index].leased);
        root(trace, &results[index].root);
    }
}

static void summary(struct mkv_trace *trace, const struct mkv_request_summary *summary,
                    const uint8_t *base) {
    connection(trace, summary->connection);
    mkv_trace_word(trace, summary->request_id);
    mkv_trace_word(trace, summary->serial);
    mkv_trace_word(trace, (uint64_t)summary->op << 32 | (uint32_t)summary->status);
    mkv_trace_word(trace, (uint64_t)summary->refused << 32 | (uint32_t)summary->dropped);
    mkv_trace_word(trace, (uint64_t)summary->volume << 32 | summary->item_count);
    mkv_trace_word(trace, (uint64_t)summary->keys_from_memory << 32 | summary->keys_from_drive);
    mkv_trace_word(trace, (uint64_t)summary->tenant << 32 | (uint32_t)summary->miss);
    mkv_trace_word(trace, summary->bytes_in);
    mkv_trace_word(trace, summary->bytes_out);
    mkv_trace_word(trace, summary->received_ns);
    mkv_trace_word(trace, summary->ended_ns);
    for (uint32_t stage = 0; stage < MKV_STAGE_COUNT; stage++) {
        mkv_trace_word(trace, summary->stage_ns[stage]);
    }
    mkv_trace_word(trace, summary->drive_ns);
    mkv_trace_word(trace, summary->session);
    bytes(trace, base + summary->key_offset, summary->key_bytes);
}

void mkv_trace_effect(struct mkv_trace *trace, uint32_t machine, const struct mkv_effect *effect,
                      const uint8_t *base) {
    trace->entries++;
    mkv_trace_word(trace, (uint64_t)machine << 32 | 0x80000000u | (uint32_t)effect->kind);
    op(trace, effect->op);
    switch (effect->kind) {
    case MKV_EFFECT_DRIVE_READ:
    case MKV_EFFECT_DRIVE_WRITE:
        mkv_trace_word(trace, (uint64_t)effect->drive.memory << 32 | effect->drive.unit_count);
        mkv_trace_word(trace, effect->drive.lba.unit);
        mkv_trace_word(trace, effect->drive.meta_offset);
        mkv_trace_word(trace,
                       (uint64_t)effect->drive.slab.index << 32 | effect->drive.payload_bytes);
        mkv_trace_word(trace, effect->drive.chunk_bytes);
        break;
    case MKV_EFFECT_DRIVE_TRIM:
        mkv_trace_word(trace, effect->drive.lba.unit);
        mkv_trace_word(trace, effect->drive.unit_count);
        break;
    case MKV_EFFECT_DRIVE_FLUSH:
    case MKV_EFFECT_FAIL_DRIVE:
        break;
    case MKV_EFFECT_PULL:
    case MKV_EFFECT_PUSH:
    case MKV_EFFECT_BREAK:
        connection(trace, effect->transfer.connection);
        mkv_trace_word(trace, effect->transfer.request_id);
        mkv_trace_word(trace, (uint64_t)effect->transfer.item << 32 | effect->transfer.bytes);
        mkv_trace_word(trace, effect->transfer.offset);
        mkv_trace_word(trace,
                       (uint64_t)effect->transfer.slab.index << 32 | effect->transfer.slab_offset);
        mkv_trace_word(trace, effect->transfer.length);
        root(trace, &effect->transfer.root);
        break;
    case MKV_EFFECT_ANSWER:
        answer(trace, &effect->answer, base);
        break;
    case MKV_EFFECT_MESSAGE:
        message(trace, &effect->message, base + effect->message.data_offset);
        break;
    case MKV_EFFECT_EVENT:
        mkv_trace_word(trace, (uint64_t)effect->event.kind << 32 | (uint32_t)effect->event.err);
        for (uint32_t index = 0; index < 3; index++) {
            mkv_trace_word(trace, effect->event.value[index]);
        }
        break;
    case MKV_EFFECT_REQUEST_ENDED:
        summary(trace, &effect->summary, base);
        break;
    }
    if (trace->log != NULL) {
        mkv_trace_print_effect(trace, machine, effect);
    }
}

void mkv_trace_note(struct mkv_trace *trace, const char *name, uint64_t value_0, uint64_t value_1) {
    trace->entries++;
    for (const char *at = name; *at != 0; at++) {
        mkv_trace_word(trace, (uint64_t)(uint8_t)*at);
    }
    mkv_trace_word(trace, value_0);
    mkv_trace_word(trace, value_1);
    if (trace->log != NULL) {
        fprintf(trace->log, "%12llu  world    ** %s %llu %llu\n", (unsigned long long)trace->now_ns,
                name, (unsigned long long)value_0, (unsigned long long)value_1);
    }
}
