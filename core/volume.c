/* SPDX-License-Identifier: Apache-2.0 */
#include "core/volume.h"

#include <string.h>

#include "core/volume_internal.h"

_Static_assert((uint64_t)MKV_VOLUME_OPS_MAX * 2 < GENERATION_GAP,
               "the gap is above all operations");

/* ---- memory ---------------------------------------------------------------------------------- */

struct layout {
    uint64_t ops, effects, tenants, eviction, leases, sessions, samples, table, meta, directory;
    uint64_t end;
    uint32_t op_total, effects_max;
};

static struct layout layout_of(const struct mkv_volume_config *config) {
    MKV_ASSERT(config->ops_max >= 1);
    MKV_ASSERT(config->ops_max <= MKV_VOLUME_OPS_MAX);
    MKV_ASSERT(config->window_units >= 1);
    struct layout layout;
    /* The front's operations, as many drops, the class changes, a purge's, the directory's reads,
     * and the scrubber's. */
    layout.op_total =
        2 * config->ops_max + EXTENT_OPS_MAX + PURGE_OPS_MAX + MKV_DIRECTORY_CATCH_UP_MAX + 1;
    layout.effects_max = 2 * layout.op_total + IO_COUNT + 64;
    uint64_t at = mkv_round_up_u64(sizeof(struct mkv_volume), 64);
    layout.ops = at;
    at = mkv_round_up_u64(at + layout.op_total * sizeof(struct op), 64);
    layout.effects = at;
    at = mkv_round_up_u64(at + layout.effects_max * sizeof(struct mkv_effect), 64);
    layout.tenants = at;
    at = mkv_round_up_u64(at + mkv_tenant_table_memory_required(&config->geometry), 64);
    layout.eviction = at;
    if (config->eviction) {
        const struct mkv_eviction_config eviction = mkv_volume_eviction_config(config);
        at = mkv_round_up_u64(at + mkv_eviction_memory_required(&eviction), 64);
    }
    layout.leases = at;
    at = mkv_round_up_u64(at + mkv_volume_lease_memory_required(config), 64);
    layout.sessions = at;
    at = mkv_round_up_u64(at + mkv_volume_session_memory_required(config), 64);
    layout.samples = at;
    at = mkv_round_up_u64(at + mkv_volume_sample_memory_required(config), 64);
    layout.table = at;
    at = mkv_round_up_u64(at + mkv_slot_table_memory_required(&config->geometry), MKV_UNIT_BYTES);
    layout.meta = at;
    const uint64_t meta_units = layout.op_total + MKV_JOURNAL_BATCH_BLOCKS_MAX +
                                MKV_SUPERBLOCK_COPIES + 2 * (uint64_t)config->window_units +
                                (config->scrub_rate > 0 ? SCRUB_UNITS : 0);
    layout.directory = at + meta_units * MKV_UNIT_BYTES;
    const struct mkv_directory_config directory = mkv_volume_directory_config(config);
    layout.end = layout.directory + mkv_directory_memory_required(&directory);
    return layout;
}

size_t mkv_volume_memory_required(const struct mkv_volume_config *config) {
    return (size_t)layout_of(config).end;
}

uint32_t mkv_volume_effects_max(const struct mkv_volume_config *config) {
    return layout_of(config).effects_max;
}

static uint32_t bound_of(uint32_t wanted, uint32_t own_max) {
    return wanted == 0 ? own_max : (uint32_t)mkv_min_u64(wanted, own_max);
}

static void bound_steps(struct mkv_volume_config *config) {
    config->step_pages = bound_of(config->step_pages, STEP_PAGES_MAX);
    config->step_slots = bound_of(config->step_slots, UINT32_MAX);
    config->step_clear_bytes = bound_of(config->step_clear_bytes, STEP_CLEAR_BYTES_MAX);
}

static const struct op_list empty_list = {MKV_NONE_U32, MKV_NONE_U32, 0};

struct mkv_volume *mkv_volume_init(void *memory, size_t bytes,
                                   const struct mkv_volume_config *config) {
    const struct layout layout = layout_of(config);
    MKV_ASSERT((uintptr_t)memory % MKV_UNIT_BYTES == 0);
    MKV_ASSERT(bytes >= layout.end);
    MKV_ASSERT(mkv_geometry_valid(&config->geometry));
    struct mkv_volume *volume = memory;
    memset(volume, 0, sizeof *volume);
    volume->config = *config;
    if (config->empty_ns_max == 0) {
        volume->config.empty_ns_max = MKV_EMPTY_NS_MAX;
    }
    if (config->empty_grain_ns == 0) {
        volume->config.empty_grain_ns = MKV_EMPTY_GRAIN_NS;
    }
    if (config->expiry_pass_ns == 0) {
        volume->config.expiry_pass_ns = MKV_EXPIRY_PASS_NS;
    }
    if (config->evict_ready_divisor == 0) {
        volume->config.evict_ready_divisor = MKV_EVICT_READY_DIVISOR;
    }
    bound_steps(&volume->config);
    if (config->session_idle_ns == 0) {
        volume->config.session_idle_ns = MKV_SESSION_IDLE_NS;
    }
    volume->op_total = layout.op_total;
    volume->ops_offset = layout.ops;
    volume->effects_offset = layout.effects;
    volume->effects_max = layout.effects_max;
    volume->table_offset = layout.table;
    volume->tenants_offset = layout.tenants;
    volume->eviction_offset = layout.eviction;
    volume->leases.offset = layout.leases;
    volume->leases.lease_max = mkv_volume_lease_max(config);
    volume->samples_offset = layout.samples;
    volume->sessions.sessions_offset = layout.sessions;
    volume->sessions.session_max = mkv_volume_session_max(config);
    volume->sessions.block_max = mkv_volume_session_block_max(config);
    volume->meta_offset = layout.meta;
    volume->directory_offset = layout.directory;
    volume->numbered_first = MKV_NONE_U32;
    volume->numbered_last = MKV_NONE_U32;
    volume->free_ops = empty_list;
    volume->extent_waiters = empty_list;
    volume->written = empty_list;
    volume->flushing = empty_list;
    volume->ready = empty_list;
    volume->journaled = empty_list;
    volume->tenant_waiters = empty_list;
    volume->tenant_op = MKV_NONE_U32;
    volume->tenant_sweep.place = MKV_NONE_U32;
    memset(volume->lock_heads, 0xff, sizeof volume->lock_heads);
    memset(volume->hold_heads, 0xff, sizeof volume->hold_heads);
    for (uint32_t op = 0; op < volume->op_total; op++) {
        memset(&volume_ops(volume)[op], 0, offsetof(struct op, key));
        mkv_volume_list_push(volume, &volume->free_ops, op);
    }
    mkv_slot_table_init(volume_table(volume), &config->geometry);
    mkv_tenant_table_init(volume_tenants(volume), &config->geometry);
    const struct mkv_directory_config directory = mkv_volume_directory_config(config);
    (void)mkv_directory_init(volume_directory(volume), bytes - layout.directory, &directory);
    return volume;
}

uint8_t *mkv_volume_arena(struct mkv_volume *volume) {
    return (uint8_t *)volume;
}

/* ---- lists, operations, holds ---------------------------------------------------------------- */

void mkv_volume_list_push(struct mkv_volume *volume, struct op_list *list, uint32_t op) {
    struct op *ops = volume_ops(volume);
    ops[op].next = MKV_NONE_U32;
    if (list->count == 0) {
        list->head = op;
    } else {
        ops[list->tail].next = op;
    }
    list->tail = op;
    list->count++;
}

uint32_t mkv_volume_list_pop(struct mkv_volume *volume, struct op_list *list) {
    MKV_ASSERT(list->count > 0);
    const uint32_t op = list->head;
    list->head = volume_ops(volume)[op].next;
    list->count--;
    if (list->count == 0) {
        *list = empty_list;
    }
    return op;
}

bool mkv_volume_drop_room(const struct mkv_volume *volume) {
    return volume->ops_internal - volume->extent_op_count - volume->purge.in_flight -
               volume->catch_ups - volume->scrub.in_flight <
           volume->config.ops_max;
}

static bool kind_is_internal(enum op_kind kind) {
    return kind == OP_KIND_DROP || kind == OP_KIND_EXTENT || kind == OP_KIND_RETIRE ||
           kind == OP_KIND_CATCH_UP || kind == OP_KIND_PURGE || kind == OP_KIND_SCRUB;
}

uint32_t mkv_volume_op_take(struct mkv_volume *volume, enum op_kind kind) {
    /* The front keeps to its credits, and internal operations were counted: so there is one. */
    MKV_ASSERT(volume->free_ops.count > 0);
    const uint32_t index = mkv_volume_list_pop(volume, &volume->free_ops);
    struct op *op = &volume_ops(volume)[index];
    const uint32_t generation = op->generation + 1;
    /* The key's bytes need no clearing: key_bytes says how many count. */
    memset(op, 0, offsetof(struct op, key));
    op->generation = generation;
    op->kind = kind;
    op->next = MKV_NONE_U32;
    op->lock_waiters = empty_list;
    volume->ops_used++;
    if (kind_is_internal(kind)) {
        volume->ops_internal++;
    }
    volume->catch_ups += kind == OP_KIND_CATCH_UP ? 1u : 0u;
    MKV_ASSERT(volume->ops_used - volume->ops_internal <= volume->config.ops_max);
    return index;
}

void mkv_volume_op_free(struct mkv_volume *volume, uint32_t index) {
    struct op *op = &volume_ops(volume)[index];
    MKV_ASSERT(!op->past_lock);
    if (op->holds_slot) {
        mkv_volume_release(volume, index);
    }
    mkv_volume_evict_wait_ended(volume, index);
    op->state = OP_FREE;
    volume->ops_used--;
    if (kind_is_internal(op->kind)) {
        volume->ops_internal--;
    }
    mkv_volume_purge_op_ended(volume, op);
    volume->catch_ups -= op->kind == OP_KIND_CATCH_UP ? 1u : 0u;
    if (op->numbered) {
        mkv_volume_put_unnumbered(volume, index);
    }
    if (op->purge > 0) {
        MKV_ASSERT(volume->listings[op->purge - 1].drops > 0);
        volume->listings[op->purge - 1].drops--;
    }
    if (op->of_catch_up) {
        mkv_directory_catch_up_gone(volume_directory(volume));
    }
    if (op->of_eviction) {
        mkv_volume_evict_drop_ended(volume, op);
    }
    if (op->of_quota) {
        mkv_volume_quota_drop_ended(volume, op);
    }
    if (op->of_job) {
        MKV_ASSERT(volume->job_drops > 0);
        volume->job_drops--;
    }
    if (volume->tenant_op == index) {
        volume->tenant_op = MKV_NONE_U32;
    }
    mkv_volume_list_push(volume, &volume->free_ops, index);
}

void mkv_volume_hold(struct mkv_volume *volume, uint32_t index, struct mkv_slot slot) {
    struct op *op = &volume_ops(volume)[index];
    MKV_ASSERT(!op->holds_slot);
    uint32_t *head = &volume->hold_heads[slot.index % HOLD_BUCKETS];
    op->slot = slot;
    op->holds_slot = true;
    op->hold_next = *head;
    *head = index;
    mkv_slot_table_hold(volume_table(volume), slot);
}

void mkv_volume_release(struct mkv_volume *volume, uint32_t index) {
    struct op *ops = volume_ops(volume);
    MKV_ASSERT(ops[index].holds_slot);
    uint32_t *link = &volume->hold_heads[ops[index].slot.index % HOLD_BUCKETS];
    uint32_t *own = NULL;
    bool others = false;
    for (; *link != MKV_NONE_U32; link = &ops[*link].hold_next) {
        if (*link == index) {
            own = link;
        } else if (ops[*link].slot.index == ops[index].slot.index) {
            others = true;
        }
    }
    MKV_ASSERT(own != NULL);
    *own = ops[index].hold_next;
    ops[index].holds_slot = false;
    if (!others) {
        mkv_slot_table_release(volume_table(volume), ops[index].slot);
        mkv_volume_policy_released(volume, ops[index].slot);
    }
}

/* ---- effects --------------------------------------------------------------------------------- */

struct mkv_effect *mkv_volume_emit(struct mkv_volume *volume, enum mkv_effect_kind kind) {
    MKV_ASSERT(volume->effect_count < volume->effects_max);
    struct mkv_effect *effect =
        (struct mkv_effect *)((uintptr_t)volume + volume->effects_offset) + volume->effect_count;
    volume->effect_count++;
    memset(effect, 0, sizeof *effect);
    effect->kind = kind;
    return effect;
}

uint32_t mkv_volume_effects(struct mkv_volume *volume, struct mkv_effect *out, uint32_t out_max) {
    const struct mkv_effect *effects =
        (const struct mkv_effect *)((uintptr_t)volume + volume->effects_offset);
    const uint32_t left = volume->effect_count - volume->effect_head;
    const uint32_t count = (uint32_t)mkv_min_u64(left, out_max);
    memcpy(out, effects + volume->effect_head, count * sizeof *out);
    volume->effect_head += count;
    if (volume->effect_head == volume->effect_count) {
        volume->effect_head = 0;
        volume->effect_count = 0;
    }
    return count;
}

void mkv_volume_event(struct mkv_volume *volume, enum mkv_event_kind kind, enum mkv_err err,
                      uint64_t value_0, uint64_t value_1, uint64_t value_2) {
    struct mkv_effect *effect = mkv_volume_emit(volume, MKV_EFFECT_EVENT);
    effect->event = (struct mkv_event){kind, err, {value_0, value_1, value_2}};
}

struct mkv_message *mkv_volume_answer(struct mkv_volume *volume, uint32_t index,
                                      enum mkv_message_kind kind, enum mkv_status status) {
    const struct op *op = &volume_ops(volume)[index];
    struct mkv_effect *effect = mkv_volume_emit(volume, MKV_EFFECT_MESSAGE);
    effect->op = op->front_op;
    effect->message.kind = kind;
    effect->message.volume = volume->config.volume;
    effect->message.front_op = op->front_op;
    effect->message.volume_op = (struct mkv_op_id){index, op->generation};
    effect->message.status = status;
    return &effect->message;
}

/* ---- failing --------------------------------------------------------------------------------- */

/* Whether an operation of this state waits for nothing that will still come. */
static bool op_is_stranded(enum op_state state) {
    switch (state) {
    case OP_LOCK_WAIT:
    case OP_EXTENT_WAIT:
    case OP_WRITTEN:
    case OP_FLUSHING:
    case OP_READY:
    case OP_JOURNALED:
    case OP_LISTING:
        return true;
    case OP_FREE:
    case OP_FOUND:    /* READ or RELEASE comes */
    case OP_RESERVED: /* PUT_WRITE or PUT_ABORT comes */
    case OP_READING:  /* the drive's completion comes */
    case OP_READING_HEADER:
    case OP_READING_PAYLOAD:
    case OP_CHECKING:
    case OP_WRITING:
    case OP_CATCHING_UP:
    case OP_SCRUBBING:
        return false;
    }
    MKV_ASSERT(false);
    return false;
}

void mkv_volume_fail(struct mkv_volume *volume, enum mkv_io_result result, uint64_t lba) {
    if (volume->state == MKV_VOLUME_FAILED) {
        return;
    }
    const bool opening = volume->state == MKV_VOLUME_RECOVERING;
    volume->state = MKV_VOLUME_FAILED;
    volume->stats.open_err = MKV_ERR_DRIVE_IO;
    mkv_volume_emit(volume, MKV_EFFECT_FAIL_DRIVE);
    mkv_volume_event(volume, MKV_EVENT_DRIVE_FAILED, MKV_ERR_DRIVE_IO, (uint64_t)result, lba, 0);
    if (opening) {
        mkv_volume_event(volume, MKV_EVENT_OPEN_FAILED, MKV_ERR_DRIVE_IO, (uint64_t)result, lba, 0);
    }
    mkv_volume_directory_fail(volume);
    volume->extent_waiters = empty_list;
    volume->written = empty_list;
    volume->flushing = empty_list;
    volume->ready = empty_list;
    volume->journaled = empty_list;
    volume->tenant_waiters = empty_list;
    volume->empty_job = (struct empty_job){0};
    memset(volume->lock_heads, 0xff, sizeof volume->lock_heads);
    volume->lock_waiting = 0;
    struct op *ops = volume_ops(volume);
    for (uint32_t index = 0; index < volume->op_total; index++) {
        ops[index].past_lock = false;
        ops[index].lock_waiters = empty_list;
    }
    for (uint32_t index = 0; index < volume->op_total; index++) {
        if (op_is_stranded(ops[index].state) && !MKV_CANARY(MKV_CANARY_FAILURE_LEAVES_WAITING)) {
            const bool issued = ops[index].state == OP_JOURNALED;
            mkv_volume_mutation_end(volume, index,
                                    issued ? MKV_STATUS_UNKNOWN : MKV_STATUS_UNAVAILABLE);
        }
    }
}

/* ---- dispatch -------------------------------------------------------------------------------- */

static void on_message(struct mkv_volume *volume, const struct mkv_input *input) {
    const struct mkv_message *message = &input->message;
    MKV_ASSERT(message->volume == volume->config.volume);
    switch (message->kind) {
    case MKV_MESSAGE_FIND:
        mkv_volume_find(volume, input);
        return;
    case MKV_MESSAGE_EXISTS:
        mkv_volume_exists(volume, input);
        return;
    case MKV_MESSAGE_TOUCH:
        mkv_volume_touch(volume, input);
        return;
    case MKV_MESSAGE_PIN:
    case MKV_MESSAGE_UNPIN:
        mkv_volume_pin(volume, input);
        return;
    case MKV_MESSAGE_SESSION:
        mkv_volume_session(volume, message);
        return;
    case MKV_MESSAGE_READ:
    case MKV_MESSAGE_RELEASE:
        mkv_volume_read(volume, message);
        return;
    case MKV_MESSAGE_PUT_BEGIN:
        mkv_volume_put_begin(volume, input);
        return;
    case MKV_MESSAGE_PUT_WRITE:
        mkv_volume_put_write(volume, input);
        return;
    case MKV_MESSAGE_PUT_ABORT:
        mkv_volume_put_abort(volume, message);
        return;
    case MKV_MESSAGE_DELETE:
    case MKV_MESSAGE_EXPIRE:
        mkv_volume_delete(volume, input);
        return;
    case MKV_MESSAGE_TENANT:
    case MKV_MESSAGE_TENANT_DROP:
        mkv_volume_tenant(volume, input);
        return;
    case MKV_MESSAGE_SCAN:
    case MKV_MESSAGE_COUNT:
    case MKV_MESSAGE_PURGE:
        mkv_volume_list(volume, input);
        return;
    case MKV_MESSAGE_FOUND:
    case MKV_MESSAGE_READ_DONE:
    case MKV_MESSAGE_EXISTS_DONE:
    case MKV_MESSAGE_PIN_DONE:
    case MKV_MESSAGE_UNPIN_DONE:
    case MKV_MESSAGE_SESSION_DONE:
    case MKV_MESSAGE_PUT_READY:
    case MKV_MESSAGE_PUT_TAKEN:
    case MKV_MESSAGE_PUT_DONE:
    case MKV_MESSAGE_DELETE_DONE:
    case MKV_MESSAGE_EXPIRE_DONE:
    case MKV_MESSAGE_TENANT_DONE:
    case MKV_MESSAGE_TENANT_DROP_DONE:
    case MKV_MESSAGE_SCAN_DONE:
    case MKV_MESSAGE_COUNT_DONE:
    case MKV_MESSAGE_PURGE_DONE:
        break;
    }
    MKV_ASSERT(false); /* answers go the other way */
}

static void on_internal_done(struct mkv_volume *volume, const struct mkv_drive_done *done) {
    const uint32_t which = done->op.index - volume->op_total;
    MKV_ASSERT(which < IO_COUNT);
    MKV_ASSERT(volume->io[which].in_flight);
    MKV_ASSERT(volume->io[which].generation == done->op.generation);
    volume->io[which].in_flight = false;
    if (volume->state == MKV_VOLUME_FAILED) {
        return;
    }
    if (which == IO_FLUSH) {
        mkv_volume_flush_done(volume, done);
    } else if (which == IO_TRIM) {
        mkv_volume_trim_done(volume, done);
    } else if (which >= IO_DIRECTORY) {
        mkv_volume_directory_io_done(volume, which, done);
    } else if (which < IO_WINDOW) {
        if (volume->state == MKV_VOLUME_RECOVERING && volume->recover.step == RECOVER_SUPERBLOCK) {
            mkv_volume_recover_io_done(volume, which, done);
        } else {
            mkv_volume_superblock_io_done(volume, done);
        }
    } else if (which < IO_JOURNAL) {
        if (volume->state == MKV_VOLUME_RECOVERING) {
            mkv_volume_recover_io_done(volume, which, done);
        } else {
            mkv_volume_checkpoint_io_done(volume, done);
        }
    } else {
        mkv_volume_journal_io_done(volume, which, done);
    }
}

static void on_drive_done(struct mkv_volume *volume, const struct mkv_drive_done *done) {
    MKV_ASSERT(volume->io_in_flight > 0);
    volume->io_in_flight--;
    if (done->op.index >= volume->op_total) {
        on_internal_done(volume, done);
        return;
    }
    struct op *op = &volume_ops(volume)[done->op.index];
    MKV_ASSERT(op->generation == done->op.generation);
    op->drive_ns += op->written_ns == 0 ? volume->now_ns - op->io_issued_ns : 0;
    mkv_volume_error_run_end(volume, done->result, op->state == OP_WRITING);
    if (op->kind == OP_KIND_GET) {
        mkv_volume_get_io_done(volume, done->op.index, done);
    } else if (op->kind == OP_KIND_CATCH_UP) {
        mkv_volume_catch_up_done(volume, done->op.index, done);
    } else if (op->kind == OP_KIND_SCRUB) {
        mkv_volume_scrub_io_done(volume, done->op.index, done);
    } else {
        mkv_volume_mutate_io_done(volume, done->op.index, done);
    }
}

static enum mkv_err on_admin(struct mkv_volume *volume, const struct mkv_input *input) {
    struct mkv_drive_set set;
    if (input->data_bytes > 0) {
        MKV_ASSERT(input->data_bytes == sizeof set);
        memcpy(&set, input->data, sizeof set); /* the caller's bytes need not be aligned */
        MKV_ASSERT(mkv_drive_set_valid(&set));
    }
    switch (input->admin) {
    case MKV_ADMIN_FORMAT:
        return mkv_volume_format(volume);
    case MKV_ADMIN_OPEN:
        return mkv_volume_open(volume, input->data_bytes > 0 ? &set : NULL, false);
    case MKV_ADMIN_JOIN:
        MKV_ASSERT(input->data_bytes > 0);
        return mkv_volume_open(volume, &set, true);
    case MKV_ADMIN_DRIVE_SET:
        MKV_ASSERT(input->data_bytes > 0);
        return mkv_volume_drive_set(volume, &set);
    case MKV_ADMIN_PURGE:
        MKV_ASSERT(input->data_bytes > 0);
        return mkv_volume_purge(volume, &set);
    case MKV_ADMIN_CHECKPOINT:
        if (volume->state != MKV_VOLUME_SERVING) {
            return MKV_ERR_STATE;
        }
        volume->checkpoint.wanted = true;
        return MKV_OK;
    case MKV_ADMIN_CLOSE:
        if (volume->state != MKV_VOLUME_SERVING) {
            return MKV_ERR_STATE;
        }
        volume->state = MKV_VOLUME_CLOSING;
        return MKV_OK;
    case MKV_ADMIN_AVOID:
    case MKV_ADMIN_AVOID_OVER:
        mkv_volume_avoid(volume, input->admin == MKV_ADMIN_AVOID);
        return MKV_OK;
    }
    MKV_ASSERT(false);
    return MKV_ERR_STATE;
}

enum mkv_err mkv_volume_step(struct mkv_volume *volume, const struct mkv_input *input) {
    MKV_ASSERT(volume->effect_count == 0);
    MKV_ASSERT(input->now_ns >= volume->now_ns);
    volume->now_ns = input->now_ns;
    volume_table(volume)->now_ns = input->now_ns;
    volume->wall_ms = mkv_max_u64(volume->wall_ms, input->wall_ms);
    volume_table(volume)->wall_s = volume->wall_ms / 1000;
    enum mkv_err err = MKV_OK;
    switch (input->kind) {
    case MKV_INPUT_TICK:
        break;
    case MKV_INPUT_MESSAGE:
        on_message(volume, input);
        break;
    case MKV_INPUT_DRIVE_DONE:
        on_drive_done(volume, &input->drive);
        break;
    case MKV_INPUT_ADMIN:
        err = on_admin(volume, input);
        break;
    case MKV_INPUT_REQUEST:
    case MKV_INPUT_FABRIC_DONE:
        MKV_ASSERT(false); /* the front's */
        break;
    }
    if (volume->state == MKV_VOLUME_RECOVERING) {
        mkv_volume_recover_pump(volume);
    }
    mkv_volume_error_pump(volume);
    mkv_volume_stall_pump(volume);
    mkv_volume_yield_pump(volume);
    if (volume->state == MKV_VOLUME_SERVING) {
        mkv_volume_tenant_pump(volume);
        mkv_volume_expiry_pump(volume);
        mkv_volume_session_pump(volume);
        mkv_volume_trim_pump(volume);
        mkv_volume_scrub_pump(volume);
    }
    if (volume->state == MKV_VOLUME_SERVING || volume->state == MKV_VOLUME_CLOSING) {
        mkv_volume_lease_pump(volume);
        mkv_volume_empty_pump(volume);
        mkv_volume_evict_pump(volume);
        mkv_volume_quota_pump(volume);
        mkv_volume_directory_pump(volume);
    }
    if (volume->state != MKV_VOLUME_FAILED && volume->state != MKV_VOLUME_CLOSED) {
        mkv_volume_purge_pump(volume);
        mkv_volume_checkpoint_pump(volume);
        mkv_volume_journal_pump(volume);
    }
    return err;
}

bool mkv_volume_has_work(const struct mkv_volume *volume) {
    if (volume->state == MKV_VOLUME_SERVING) {
        return mkv_volume_tenant_has_work(volume) || mkv_volume_empty_has_work(volume) ||
               mkv_volume_purge_has_work(volume) || mkv_volume_expiry_has_work(volume) ||
               mkv_volume_session_has_work(volume) ||
               mkv_directory_has_work(volume_directory(volume)) ||
               mkv_volume_evict_has_work(volume) || mkv_volume_quota_has_work(volume);
    }
    if (volume->state == MKV_VOLUME_CLOSING) {
        return mkv_directory_has_work(volume_directory(volume)) ||
               mkv_volume_evict_has_work(volume) || mkv_volume_quota_has_work(volume);
    }
    return volume->state == MKV_VOLUME_RECOVERING && mkv_volume_recover_has_work(volume);
}

/* ---- figures --------------------------------------------------------------------------------- */

const char *mkv_volume_state_name(enum mkv_volume_state state) {
    static const char *const names[] = {
        [MKV_VOLUME_CLOSED] = "closed",         [MKV_VOLUME_FORMATTING] = "formatting",
        [MKV_VOLUME_RECOVERING] = "recovering", [MKV_VOLUME_SERVING] = "online",
        [MKV_VOLUME_CLOSING] = "draining",      [MKV_VOLUME_FAILED] = "failed",
    };
    return names[state];
}

_Static_assert(MKV_VOLUME_CLASSES_MAX == MKV_CLASSES_MAX, "stats have room for every class");

void mkv_volume_stats(const struct mkv_volume *volume, struct mkv_volume_stats *stats) {
    const struct mkv_slot_table *table = volume_table(volume);
    *stats = volume->stats;
    stats->state = volume->state;
    stats->epoch = volume->superblock.epoch;
    stats->blocks = table->live_count;
    stats->bytes_payload = table->live_units * MKV_UNIT_BYTES;
    stats->bytes_used = table->used_units * MKV_UNIT_BYTES;
    stats->bytes_usable = mkv_geometry_usable_units(&volume->config.geometry) * MKV_UNIT_BYTES;
    stats->bytes_raw = volume->config.geometry.capacity_units * MKV_UNIT_BYTES;
    stats->slots_used = table->used_count;
    stats->scrub_progress = mkv_volume_scrub_progress(volume);
    stats->slots_retired = table->retired_count;
    stats->slots_free = table->classed_slot_count - table->used_count;
    stats->extents_free = table->classless_count;
    stats->extents_total = volume->config.geometry.extent_count;
    stats->extent_units = volume->config.geometry.extent_units;
    stats->class_count = 0;
    for (uint32_t index = 0; index < MKV_CLASSES_MAX; index++) {
        const struct mkv_class_state *class_state = &table->classes[index];
        if (class_state->extent_count == 0) {
            continue;
        }
        stats->classes[stats->class_count++] = (struct mkv_volume_class_stats){
            .slot_units = class_state->slot_units,
            .extents = class_state->extent_count,
            .slots = class_state->slot_count,
            .slots_used = class_state->used_count,
        };
    }
    stats->ops_in_flight = volume->ops_used;
    stats->journal_head = volume->written_sequence.value;
    stats->journal_durable = volume->flushed_sequence.value;
    stats->journal_applied = volume->ring_start.value > 0 ? volume->ring_start.value - 1 : 0;
    stats->journal_ring_blocks = volume->config.geometry.ring_blocks;
    stats->journal_pending_records = (uint64_t)volume->ready.count + volume->journaled.count;
    stats->flushes_total = volume->flush_completed;
    stats->generation_counter = volume->generation_counter;
    stats->superblock_sequence = volume->superblock.sequence;
    stats->stalled = volume->stall.active;
    stats->leases = volume->leases.taken;
    stats->sessions = volume->sessions.tracked;
    stats->session_work = volume->sessions.job_head != MKV_NONE_U32;
    stats->session_blocks = volume->sessions.node_count;
    memcpy(stats->blocks_by_tier, table->tier_counts, sizeof stats->blocks_by_tier);
    stats->evictions_pending = volume->evict_drops;
    stats->trims_pending = mkv_volume_trims_pending(volume);
    mkv_directory_stats(volume_directory(volume), table, &stats->directory);
    const uint64_t applied = stats->directory.applied_sequence;
    stats->directory_lag =
        volume->flushed_sequence.value > applied ? volume->flushed_sequence.value - applied : 0;
    stats->tenants = volume_tenants(volume)->live_count;
    stats->tenants_dropped = volume_tenants(volume)->dropped_count;
}

const struct mkv_volume_times *mkv_volume_times(const struct mkv_volume *volume) {
    return &volume->times;
}

void mkv_volume_memory(const struct mkv_volume *volume, struct mkv_volume_memory *memory) {
    const struct layout layout = layout_of(&volume->config);
    memory->slot_table_bytes = layout.meta - layout.tenants;
    memory->leaf_cache_bytes = layout.end - layout.directory;
    memory->journal_bytes = layout.tenants + layout.directory - layout.meta;
}

bool mkv_volume_next_block(const struct mkv_volume *volume, uint32_t *cursor,
                           struct mkv_volume_block *block) {
    const struct mkv_slot_table *table = volume_table(volume);
    for (;; ++*cursor) {
        const struct mkv_slot slot = mkv_slot_table_next_owned(table, (struct mkv_slot){*cursor});
        if (slot.index == MKV_NONE_U32) {
            return false;
        }
        *cursor = slot.index;
        const struct mkv_slot_entry *entry = mkv_slot_table_entry(table, slot);
        if (mkv_slot_state_of(entry) != MKV_SLOT_LIVE) {
            continue;
        }
        const struct mkv_extent extent = mkv_slot_table_extent_of(table, slot);
        *block = (struct mkv_volume_block){
            .slot = slot,
            .tag = ((uint64_t)entry->tag_high << 32) | entry->tag_low,
            .tenant = entry->tenant,
            .generation_low = entry->generation_low,
            .length_units = entry->length_units,
            .block_flags = ((entry->bits & MKV_SLOT_MANIFEST) ? MKV_BLOCK_MANIFEST : 0u) |
                           ((entry->bits & MKV_SLOT_SEGMENT) ? MKV_BLOCK_SEGMENT : 0u),
            .lba = mkv_slot_table_lba(table, slot),
            .slot_units = mkv_slot_table_extent(table, extent)->slot_units,
            .served = mkv_tenant_table_serves(volume_tenants(volume), entry->tenant),
            .hidden = (entry->bits & MKV_SLOT_HIDDEN) != 0,
            .held = (entry->bits & MKV_SLOT_HELD) != 0,
            .leaving = mkv_slot_policy_of(entry) == 0,
            .tier = mkv_slot_tier_of(entry),
            .tier_put = (enum mkv_tier)entry->tier_put,
            .expiry_s = entry->expiry_s,
            .expired = mkv_slot_is_expired(table, entry),
        };
        ++*cursor;
        return true;
    }
}

void mkv_volume_check(const struct mkv_volume *volume) {
    mkv_slot_table_check(volume_table(volume));
    mkv_volume_policy_check(volume);
    mkv_volume_session_check(volume);
    /* No block belongs to a tenant whose sweep has ended: it would be kept for ever. */
    uint32_t cursor = 0;
    struct mkv_volume_block block;
    while (mkv_volume_next_block(volume, &cursor, &block)) {
        MKV_ASSERT(mkv_tenant_table_find(volume_tenants(volume), block.tenant) != MKV_NONE_U32);
    }
}

uint64_t mkv_volume_durable_hash(const struct mkv_volume *volume) {
    return mkv_slot_table_durable_hash(volume_table(volume)) ^
           mkv_tenant_table_durable_hash(volume_tenants(volume));
}
