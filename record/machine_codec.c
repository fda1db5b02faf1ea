/* SPDX-License-Identifier: Apache-2.0 */
#include "record/machine_codec.h"

#include <string.h>

#include "core/drive_set.h"
#include "core/hash.h"

/* Whoever adds a field to one of these structures adds it to its function here, and mends the
 * size. A field that were forgotten would not reach the replay. */
_Static_assert(sizeof(struct mkv_message) == 192, "every field of a message is in message()");
_Static_assert(sizeof(struct mkv_request) == 104, "every field of a request is in request()");
_Static_assert(sizeof(struct mkv_request_item) == 88, "every field of an item is in item()");
_Static_assert(sizeof(struct mkv_item_result) == 40, "every field of a result is in result()");
_Static_assert(sizeof(struct mkv_drive_done) == 40, "every field of a completion is in drive()");
_Static_assert(sizeof(struct mkv_fabric_done) == 40, "every field of a completion is in fabric()");
_Static_assert(sizeof(struct mkv_drive_effect) == 48, "every field is in drive_effect()");
_Static_assert(sizeof(struct mkv_transfer_effect) == 72, "every field is in transfer()");
_Static_assert(sizeof(struct mkv_answer_effect) == 40, "every field is in answer()");
_Static_assert(sizeof(struct mkv_event) == 32, "every field is in event()");
_Static_assert(sizeof(struct mkv_trace_context) == 25, "every field is in trace()");
_Static_assert(sizeof(struct mkv_request_summary) == 232, "every field is in summary()");

/* ---- what several of them have -------------------------------------------------------------- */

static void op(struct mkv_codec *codec, struct mkv_op_id *id) {
    mkv_codec_u32(codec, &id->index);
    mkv_codec_u32(codec, &id->generation);
}

static void connection(struct mkv_codec *codec, struct mkv_connection_id *id) {
    mkv_codec_u32(codec, &id->index);
    mkv_codec_u32(codec, &id->generation);
}

/* Most are 0 and take one byte. */
static void root(struct mkv_codec *codec, struct mkv_root *root) {
    static const struct mkv_root none;
    bool any = memcmp(root->bytes, none.bytes, sizeof none.bytes) != 0;
    mkv_codec_bool(codec, &any);
    if (any) {
        mkv_codec_raw(codec, root->bytes, sizeof root->bytes);
    } else {
        *root = none;
    }
}

static void message(struct mkv_codec *codec, struct mkv_message *message) {
    MKV_CODEC_ENUM(codec, mkv_message_kind, message->kind);
    mkv_codec_u32(codec, &message->volume);
    op(codec, &message->front_op);
    op(codec, &message->volume_op);
    MKV_CODEC_ENUM(codec, mkv_status, message->status);
    MKV_CODEC_ENUM(codec, mkv_miss, message->miss);
    mkv_codec_u32(codec, &message->tenant);
    mkv_codec_u32(codec, &message->flags);
    mkv_codec_u32(codec, &message->length);
    mkv_codec_u32(codec, &message->offset);
    mkv_codec_u32(codec, &message->bytes);
    mkv_codec_u32(codec, &message->slab_offset);
    mkv_codec_u32(codec, &message->length_units);
    mkv_codec_u32(codec, &message->slab.index);
    root(codec, &message->root);
    root(codec, &message->replaces);
    mkv_codec_u64(codec, &message->value_length);
    root(codec, &message->value_root);
    mkv_codec_u32(codec, &message->expiry_s);
    mkv_codec_u64(codec, &message->data_offset);
    mkv_codec_u32(codec, &message->data_bytes);
    mkv_codec_u64(codec, &message->lease_ns);
    mkv_codec_u64(codec, &message->session);
    mkv_codec_u32(codec, &message->tier_hint);
    MKV_CODEC_ENUM(codec, mkv_session_action, message->action);
    mkv_codec_u64(codec, &message->count);
    mkv_codec_u64(codec, &message->drive_ns);
    mkv_codec_u64(codec, &message->flush_ns);
}

/* Most requests have none. */
static void trace(struct mkv_codec *codec, struct mkv_trace_context *trace) {
    static const struct mkv_trace_context none;
    bool any = memcmp(trace, &none, sizeof none) != 0;
    mkv_codec_bool(codec, &any);
    if (!any) {
        *trace = none;
        return;
    }
    mkv_codec_raw(codec, trace->trace_id, sizeof trace->trace_id);
    mkv_codec_raw(codec, trace->parent_id, sizeof trace->parent_id);
    mkv_codec_raw(codec, &trace->flags, sizeof trace->flags);
}

/* ---- inputs --------------------------------------------------------------------------------- */

static void item(struct mkv_codec *codec, struct mkv_request_item *item) {
    mkv_codec_u32(codec, &item->key_offset);
    mkv_codec_u32(codec, &item->key_bytes);
    mkv_codec_u32(codec, &item->flags);
    mkv_codec_u64(codec, &item->length);
    mkv_codec_u64(codec, &item->offset);
    root(codec, &item->root);
    mkv_codec_u32(codec, &item->expire_s);
    mkv_codec_u32(codec, &item->lease_ms);
    mkv_codec_u64(codec, &item->session);
    mkv_codec_u32(codec, &item->tier_hint);
    MKV_CODEC_ENUM(codec, mkv_session_action, item->action);
    MKV_CODEC_ENUM(codec, mkv_think_exit, item->reason);
    mkv_codec_u64(codec, &item->reservation);
}

static void tenant_name(struct mkv_codec *codec, struct mkv_request *request,
                        struct mkv_record_storage *storage) {
    bool named = request->tenant_name != NULL;
    mkv_codec_bool(codec, &named);
    if (!named) {
        return;
    }
    if (!mkv_codec_reads(codec)) {
        uint32_t count = 0;
        while (count <= MKV_TENANT_NAME_BYTES_MAX && request->tenant_name[count] != 0) {
            count++;
        }
        mkv_codec_blob(codec, (uint8_t *)(uintptr_t)request->tenant_name, &count,
                       MKV_TENANT_NAME_BYTES_MAX);
        return;
    }
    uint32_t count = 0;
    mkv_codec_blob(codec, (uint8_t *)storage->tenant_name, &count, MKV_TENANT_NAME_BYTES_MAX);
    storage->tenant_name[count] = 0;
    request->tenant_name = storage->tenant_name;
}

static void request(struct mkv_codec *codec, struct mkv_request *request,
                    struct mkv_record_storage *storage) {
    connection(codec, &request->connection);
    mkv_codec_u64(codec, &request->request_id);
    MKV_CODEC_ENUM(codec, mkv_op, request->op);
    mkv_codec_u32(codec, &request->tenant);
    tenant_name(codec, request, storage);
    mkv_codec_u64(codec, &request->deadline_ns);
    mkv_codec_u64(codec, &request->received_ns);
    mkv_codec_u64(codec, &request->serial);
    mkv_codec_u32(codec, &request->route);
    mkv_codec_bool(codec, &request->part);
    trace(codec, &request->trace);
    mkv_codec_u32(codec, &request->item_count);
    if (request->item_count > MKV_FRONT_ITEMS_PER_REQUEST_MAX) {
        codec->failed = true;
        request->item_count = 0;
    }
    for (uint32_t index = 0; index < request->item_count; index++) {
        if (mkv_codec_reads(codec)) {
            item(codec, &storage->items[index]);
        } else {
            struct mkv_request_item copy = request->items[index];
            item(codec, &copy);
        }
    }
    if (mkv_codec_reads(codec)) {
        request->items = storage->items;
    }
}

static void sums(struct mkv_codec *codec, const uint64_t **sums, uint32_t *count,
                 struct mkv_record_storage *storage) {
    mkv_codec_u32(codec, count);
    if (*count > MKV_CHUNKS_MAX) {
        codec->failed = true;
        *count = 0;
    }
    if (mkv_codec_reads(codec)) {
        mkv_codec_raw(codec, storage->sums, sizeof storage->sums[0] * *count);
        *sums = storage->sums;
    } else if (*count > 0) {
        mkv_codec_raw(codec, (uint64_t *)(uintptr_t)*sums, sizeof **sums * *count);
    }
}

static void drive(struct mkv_codec *codec, struct mkv_drive_done *done,
                  struct mkv_record_storage *storage) {
    op(codec, &done->op);
    MKV_CODEC_ENUM(codec, mkv_io_result, done->result);
    bool has_header = done->header != NULL;
    mkv_codec_bool(codec, &has_header);
    if (has_header && mkv_codec_reads(codec)) {
        mkv_codec_units(codec, storage->header, 1);
        done->header = storage->header;
    } else if (has_header) {
        mkv_codec_units(codec, (uint8_t *)(uintptr_t)done->header, 1);
    }
    sums(codec, &done->sums, &done->sum_count, storage);
}

static void fabric(struct mkv_codec *codec, struct mkv_fabric_done *done,
                   struct mkv_record_storage *storage) {
    MKV_CODEC_ENUM(codec, mkv_fabric_event, done->event);
    MKV_CODEC_ENUM(codec, mkv_transfer, done->transfer);
    op(codec, &done->op);
    connection(codec, &done->connection);
    sums(codec, &done->sums, &done->sum_count, storage);
}

/* The data of an ADMIN command is a structure, whose fields go by themselves. */
static void input_data(struct mkv_codec *codec, struct mkv_input *input,
                       struct mkv_record_storage *storage) {
    if (input->kind == MKV_INPUT_ADMIN) {
        bool has_set = input->data_bytes > 0;
        mkv_codec_bool(codec, &has_set);
        if (!has_set) {
            return;
        }
        if (mkv_codec_reads(codec)) {
            memset(&storage->drive_set, 0, sizeof storage->drive_set);
            mkv_record_drive_set(codec, &storage->drive_set);
            input->data = (const uint8_t *)&storage->drive_set;
            input->data_bytes = sizeof storage->drive_set;
        } else {
            MKV_ASSERT(input->data_bytes == sizeof(struct mkv_drive_set));
            struct mkv_drive_set copy;
            memcpy(&copy, input->data, sizeof copy);
            mkv_record_drive_set(codec, &copy);
        }
        return;
    }
    uint8_t *data = (uint8_t *)(uintptr_t)input->data;
    if (mkv_codec_reads(codec)) {
        data = storage->data;
        input->data = data;
    }
    mkv_codec_blob(codec, data, &input->data_bytes, MKV_RECORD_DATA_BYTES_MAX);
}

static void input_fields(struct mkv_codec *codec, struct mkv_input *input,
                         struct mkv_record_storage *storage) {
    MKV_CODEC_ENUM(codec, mkv_input_kind, input->kind);
    mkv_codec_u64(codec, &input->now_ns);
    mkv_codec_u64(codec, &input->wall_ms);
    switch (input->kind) {
    case MKV_INPUT_TICK:
        return;
    case MKV_INPUT_REQUEST:
        request(codec, &input->request, storage);
        input_data(codec, input, storage);
        return;
    case MKV_INPUT_MESSAGE:
        message(codec, &input->message);
        input_data(codec, input, storage);
        return;
    case MKV_INPUT_DRIVE_DONE:
        drive(codec, &input->drive, storage);
        return;
    case MKV_INPUT_FABRIC_DONE:
        fabric(codec, &input->fabric, storage);
        return;
    case MKV_INPUT_ADMIN:
        MKV_CODEC_ENUM(codec, mkv_admin_command, input->admin);
        input_data(codec, input, storage);
        return;
    }
    codec->failed = true; /* a kind that there is not */
}

void mkv_record_input_write(struct mkv_codec *codec, const struct mkv_input *input) {
    MKV_ASSERT(!mkv_codec_reads(codec));
    struct mkv_input copy = *input;
    input_fields(codec, &copy, NULL);
}

void mkv_record_input_read(struct mkv_codec *codec, struct mkv_record_storage *storage,
                           struct mkv_input *input) {
    MKV_ASSERT(mkv_codec_reads(codec));
    memset(input, 0, sizeof *input);
    input_fields(codec, input, storage);
}

/* ---- effects -------------------------------------------------------------------------------- */

static void drive_effect(struct mkv_codec *codec, struct mkv_drive_effect *drive) {
    MKV_CODEC_ENUM(codec, mkv_drive_memory, drive->memory);
    MKV_CODEC_ENUM(codec, mkv_drive_share, drive->share);
    mkv_codec_u64(codec, &drive->lba.unit);
    mkv_codec_u32(codec, &drive->unit_count);
    mkv_codec_u64(codec, &drive->meta_offset);
    mkv_codec_u32(codec, &drive->slab.index);
    mkv_codec_u32(codec, &drive->payload_bytes);
    mkv_codec_u32(codec, &drive->chunk_bytes);
}

static void transfer(struct mkv_codec *codec, struct mkv_transfer_effect *transfer) {
    connection(codec, &transfer->connection);
    mkv_codec_u64(codec, &transfer->request_id);
    mkv_codec_u32(codec, &transfer->item);
    mkv_codec_u32(codec, &transfer->route);
    mkv_codec_u64(codec, &transfer->offset);
    mkv_codec_u32(codec, &transfer->bytes);
    mkv_codec_u32(codec, &transfer->slab.index);
    mkv_codec_u32(codec, &transfer->slab_offset);
    mkv_codec_u64(codec, &transfer->length);
    root(codec, &transfer->root);
}

static void result(struct mkv_codec *codec, struct mkv_item_result *result) {
    MKV_CODEC_ENUM(codec, mkv_status, result->status);
    MKV_CODEC_ENUM(codec, mkv_miss, result->miss);
    mkv_codec_u64(codec, &result->length); /* or the reservation, which is in the same place */
    root(codec, &result->root);
    mkv_codec_u32(codec, &result->leased);
    mkv_codec_u32(codec, &result->expiry_s);
}

/* `results` is where they are read to; when writing they are in the arena. */
static void answer(struct mkv_codec *codec, struct mkv_answer_effect *answer,
                   struct mkv_item_result *results, const uint8_t *arena) {
    connection(codec, &answer->connection);
    mkv_codec_u64(codec, &answer->request_id);
    MKV_CODEC_ENUM(codec, mkv_op, answer->op);
    MKV_CODEC_ENUM(codec, mkv_status, answer->status);
    mkv_codec_u32(codec, &answer->result_count);
    mkv_codec_u32(codec, &answer->route);
    mkv_codec_u64(codec, &answer->results_offset);
    if (answer->result_count > MKV_FRONT_ITEMS_PER_REQUEST_MAX) {
        codec->failed = true;
        answer->result_count = 0;
    }
    for (uint32_t index = 0; index < answer->result_count; index++) {
        if (mkv_codec_reads(codec)) {
            result(codec, &results[index]);
        } else {
            struct mkv_item_result copy;
            memcpy(&copy, arena + answer->results_offset + index * sizeof copy, sizeof copy);
            result(codec, &copy);
        }
    }
}

static void event(struct mkv_codec *codec, struct mkv_event *event) {
    MKV_CODEC_ENUM(codec, mkv_event_kind, event->kind);
    MKV_CODEC_ENUM(codec, mkv_err, event->err);
    for (uint32_t index = 0; index < 3; index++) {
        mkv_codec_u64(codec, &event->value[index]);
    }
}

static void summary(struct mkv_codec *codec, struct mkv_request_summary *summary) {
    connection(codec, &summary->connection);
    mkv_codec_u64(codec, &summary->request_id);
    mkv_codec_u64(codec, &summary->serial);
    MKV_CODEC_ENUM(codec, mkv_op, summary->op);
    MKV_CODEC_ENUM(codec, mkv_status, summary->status);
    mkv_codec_bool(codec, &summary->refused);
    mkv_codec_bool(codec, &summary->dropped);
    mkv_codec_u32(codec, &summary->tenant);
    mkv_codec_u32(codec, &summary->volume);
    mkv_codec_u32(codec, &summary->item_count);
    mkv_codec_u32(codec, &summary->keys_from_memory);
    mkv_codec_u32(codec, &summary->keys_from_drive);
    MKV_CODEC_ENUM(codec, mkv_miss, summary->miss);
    mkv_codec_u64(codec, &summary->bytes_in);
    mkv_codec_u64(codec, &summary->bytes_out);
    mkv_codec_u64(codec, &summary->received_ns);
    mkv_codec_u64(codec, &summary->ended_ns);
    for (uint32_t stage = 0; stage < MKV_STAGE_COUNT; stage++) {
        mkv_codec_u64(codec, &summary->stage_ns[stage]);
    }
    mkv_codec_u64(codec, &summary->drive_ns);
    mkv_codec_u64(codec, &summary->session);
    mkv_codec_u64(codec, &summary->key_offset);
    mkv_codec_u32(codec, &summary->key_bytes);
    mkv_codec_bool(codec, &summary->key_cut);
    mkv_codec_u32(codec, &summary->route);
    trace(codec, &summary->trace);
}

static void effect_fields(struct mkv_codec *codec, struct mkv_effect *effect,
                          struct mkv_item_result *results, const uint8_t *arena) {
    MKV_CODEC_ENUM(codec, mkv_effect_kind, effect->kind);
    op(codec, &effect->op);
    switch (effect->kind) {
    case MKV_EFFECT_DRIVE_READ:
    case MKV_EFFECT_DRIVE_WRITE:
        drive_effect(codec, &effect->drive);
        return;
    case MKV_EFFECT_DRIVE_TRIM:
        mkv_codec_u64(codec, &effect->drive.lba.unit);
        mkv_codec_u32(codec, &effect->drive.unit_count);
        return;
    case MKV_EFFECT_DRIVE_FLUSH:
    case MKV_EFFECT_FAIL_DRIVE:
        return;
    case MKV_EFFECT_PULL:
    case MKV_EFFECT_PUSH:
        transfer(codec, &effect->transfer);
        return;
    case MKV_EFFECT_BREAK:
        connection(codec, &effect->transfer.connection);
        return;
    case MKV_EFFECT_ANSWER:
        answer(codec, &effect->answer, results, arena);
        return;
    case MKV_EFFECT_MESSAGE:
        message(codec, &effect->message);
        return;
    case MKV_EFFECT_EVENT:
        event(codec, &effect->event);
        return;
    case MKV_EFFECT_REQUEST_ENDED:
        summary(codec, &effect->summary);
        return;
    }
    codec->failed = true; /* a kind that there is not */
}

/* The memory that an effect names and that is read behind it, but for the results of an ANSWER. */
static uint32_t named_bytes(const struct mkv_effect *effect, uint64_t *offset) {
    if (effect->kind == MKV_EFFECT_MESSAGE) {
        *offset = effect->message.data_offset;
        return effect->message.data_bytes;
    }
    if (effect->kind == MKV_EFFECT_DRIVE_WRITE) {
        *offset = effect->drive.meta_offset;
        /* Of a slot it is the header; what stands in the slab is a client's. */
        return effect->drive.memory == MKV_DRIVE_META ? effect->drive.unit_count * MKV_UNIT_BYTES
                                                      : MKV_UNIT_BYTES;
    }
    if (effect->kind == MKV_EFFECT_REQUEST_ENDED) {
        *offset = effect->summary.key_offset;
        return effect->summary.key_bytes;
    }
    *offset = 0;
    return 0;
}

void mkv_record_effect_write(struct mkv_codec *codec, const struct mkv_effect *effect,
                             const uint8_t *arena) {
    MKV_ASSERT(!mkv_codec_reads(codec));
    struct mkv_effect copy = *effect;
    effect_fields(codec, &copy, NULL, arena);
    uint64_t offset;
    uint32_t count = named_bytes(effect, &offset);
    mkv_codec_u32(codec, &count);
    if (count > 0) {
        struct mkv_root sum = mkv_hash_128(arena + offset, count);
        mkv_codec_raw(codec, sum.bytes, sizeof sum.bytes);
    }
}

void mkv_record_effect_read(struct mkv_codec *codec, struct mkv_record_effect *effect) {
    MKV_ASSERT(mkv_codec_reads(codec));
    memset(effect, 0, sizeof *effect);
    effect_fields(codec, &effect->effect, effect->results, NULL);
    mkv_codec_u32(codec, &effect->byte_count);
    if (effect->byte_count > 0) {
        mkv_codec_raw(codec, effect->sum.bytes, sizeof effect->sum.bytes);
    }
}
