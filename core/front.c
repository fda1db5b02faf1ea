/* SPDX-License-Identifier: Apache-2.0 */
/* The front's life: its configuration, its arena, its step, what it hands out and what it counts.
 */
#include "core/front_internal.h"

#include <string.h>

/* ---- configuration --------------------------------------------------------------------------- */

void mkv_front_config_default(struct mkv_front_config *config) {
    memset(config, 0, sizeof *config);
    config->volume_count = 1;
    config->members[0].weight = 1;
    config->connections_max = 256;
    config->requests_max = 1024;
    config->requests_per_connection_max = 64;
    config->items_per_request_max = MKV_FRONT_ITEMS_PER_REQUEST_MAX;
    config->items_max = 4096;
    config->reservations_per_connection_max = MKV_FRONT_ITEMS_PER_REQUEST_MAX;
    config->segmented_max = 16;
    config->volume_ops_max = 512;
    config->foreign_ops_max = 64;
    config->slab_unit_count = 1024;
    config->slab_share_reads = 250;
    config->slab_units_per_connection_max = 1024;
    config->key_bytes_max = MKV_KEY_BYTES_MAX;
    config->block_bytes_max = MKV_BLOCK_BYTES_MAX;
    config->value_bytes_max = 64 * MKV_GIB;
    config->lookup_lease_ns = 10ull * 1000 * 1000 * 1000;
    config->exists_lease_ns = 10ull * 1000 * 1000 * 1000;
    config->transfer_grace_ns = 30ull * 1000 * 1000 * 1000;
}

static uint32_t write_units_max(const struct mkv_front_config *config) {
    const uint64_t kept = (uint64_t)config->slab_unit_count * config->slab_share_reads / 1000;
    return config->slab_unit_count - (uint32_t)kept;
}

static const char *slab_fault(const struct mkv_front_config *config) {
    const uint32_t largest = 1u << mkv_slab_order(config->block_bytes_max);
    if (config->slab_unit_count < largest || config->slab_unit_count > MKV_SLAB_UNIT_COUNT_MAX) {
        return "slab_unit_count must hold one slab of block_bytes_max, and be at most 2^30";
    }
    if (config->slab_unit_first % largest != 0 ||
        config->slab_unit_first > MKV_SLAB_UNIT_COUNT_MAX) {
        return "slab_unit_first must be a multiple of the units of a slab of block_bytes_max, and "
               "at most 2^30";
    }
    if (config->slab_share_reads > 1000) {
        return "slab_share_reads must be 0 ... 1000 permille";
    }
    if (write_units_max(config) < largest) {
        return "slab_share_reads must leave one slab of block_bytes_max to puts";
    }
    if (config->slab_units_per_connection_max < largest) {
        return "slab_units_per_connection_max must hold one slab of block_bytes_max";
    }
    return NULL;
}

static const char *member_fault(const struct mkv_front_config *config) {
    if (config->volume_count < 1 || config->volume_count > MKV_VOLUMES_MAX) {
        return "volume_count must be 1 ... 64";
    }
    for (uint32_t volume = 0; volume < config->volume_count; volume++) {
        if (config->members[volume].weight > MKV_PLACEMENT_WEIGHT_MAX) {
            return "the weight of a member must be 0 ... 256";
        }
    }
    return NULL;
}

const char *mkv_front_config_fault(const struct mkv_front_config *config) {
    if (member_fault(config) != NULL) {
        return member_fault(config);
    }
    if (config->connections_max < 1 || config->connections_max > 1u << 24) {
        return "connections_max must be 1 ... 2^24";
    }
    if (config->requests_max < 1 || config->requests_max > 1u << 24 ||
        config->requests_per_connection_max < 1) {
        return "requests_max must be 1 ... 2^24 and requests_per_connection_max at least 1";
    }
    if (config->items_per_request_max < 1 ||
        config->items_per_request_max > MKV_FRONT_ITEMS_PER_REQUEST_MAX) {
        return "items_per_request_max must be 1 ... 256";
    }
    if (config->items_max < config->items_per_request_max || config->items_max > 1u << 24) {
        return "items_max must be items_per_request_max ... 2^24";
    }
    if (config->segmented_max < 1 || config->segmented_max > 1u << 16) {
        return "segmented_max must be 1 ... 65536";
    }
    if (config->volume_ops_max < MKV_FRONT_VOLUME_OPS_MIN) {
        return "volume_ops_max must be at least 8";
    }
    if (config->foreign_ops_max < MKV_FRONT_VOLUME_OPS_MIN) {
        return "foreign_ops_max must be at least 8";
    }
    if (config->key_bytes_max < 1 || config->key_bytes_max > MKV_KEY_BYTES_MAX) {
        return "key_bytes_max must be 1 ... 1024";
    }
    if (config->block_bytes_max < MKV_SLAB_UNIT_PAYLOAD_BYTES ||
        config->block_bytes_max > MKV_BLOCK_BYTES_MAX ||
        config->block_bytes_max % MKV_SLAB_UNIT_PAYLOAD_BYTES != 0) {
        return "block_bytes_max must be a multiple of 64 KiB, 64 KiB ... 32 MiB";
    }
    if (config->value_bytes_max > (uint64_t)config->block_bytes_max * MKV_SEGMENTS_MAX) {
        return "value_bytes_max must be at most block_bytes_max * 65536";
    }
    if (config->memory_blocks_max > MKV_FRONT_MEMORY_BLOCKS_MAX) {
        return "memory_blocks_max must be at most 2^24";
    }
    if (config->transfer_grace_ns == 0) {
        return "transfer_grace_ns must not be 0";
    }
    return slab_fault(config);
}

/* ---- the arena ------------------------------------------------------------------------------- */

static size_t part(size_t *end, size_t count, size_t bytes) {
    const size_t offset = (size_t)mkv_round_up_u64(*end, 64);
    *end = offset + count * bytes;
    return offset;
}

static struct front_layout layout_of(const struct mkv_front_config *config) {
    const uint32_t op_count = front_op_count(config);
    size_t end = sizeof(struct mkv_front);
    struct front_layout layout;
    layout.connections = part(&end, config->connections_max, sizeof(struct front_connection));
    layout.requests = part(&end, config->requests_max, sizeof(struct front_request));
    layout.request_links = part(&end, config->requests_max, sizeof(struct front_link));
    layout.request_end_links = part(&end, config->requests_max, sizeof(struct front_link));
    layout.request_keys = part(&end, config->requests_max, MKV_SUMMARY_KEY_BYTES_MAX);
    layout.timer_heap =
        part(&end, (size_t)config->requests_max + config->items_max, sizeof(uint32_t));
    layout.results = part(&end, (size_t)config->requests_max * config->items_per_request_max,
                          sizeof(struct mkv_item_result));
    layout.items = part(&end, config->items_max, sizeof(struct front_item));
    layout.item_links = part(&end, config->items_max, sizeof(struct front_link));
    layout.item_ready_links = part(&end, config->items_max, sizeof(struct front_link));
    layout.item_place_links = part(&end, config->items_max, sizeof(struct front_link));
    layout.keys = part(&end, config->items_max, config->key_bytes_max);
    layout.tenant_names = part(&end, config->items_max, FRONT_TENANT_NAME_BYTES);
    layout.ops = part(&end, op_count, sizeof(struct front_op));
    layout.op_links = part(&end, op_count, sizeof(struct front_link));
    layout.segmented = part(&end, config->segmented_max, sizeof(struct front_segmented));
    layout.segmented_links = part(&end, config->segmented_max, sizeof(struct front_link));
    layout.sums = part(&end, config->slab_unit_count, sizeof(uint64_t));
    layout.effects = part(&end, MKV_FRONT_EFFECTS_MAX, sizeof(struct mkv_effect));
    layout.data = part(&end, MKV_FRONT_EFFECTS_MAX, FRONT_DATA_BYTES);
    layout.slabs = part(&end, 1, mkv_slab_memory_required(config->slab_unit_count));
    const uint32_t residents = config->memory_blocks_max;
    layout.residents = part(&end, residents, sizeof(struct front_resident));
    layout.resident_links = part(&end, residents, sizeof(struct front_link));
    layout.resident_keys = part(&end, residents, MKV_KEY_BYTES_MAX);
    layout.resident_heads = part(&end, residents, sizeof(uint32_t));
    layout.resident_owners =
        part(&end, residents > 0 ? config->slab_unit_count : 0, sizeof(uint32_t));
    layout.bytes = (size_t)mkv_round_up_u64(end, 64);
    return layout;
}

uint32_t mkv_front_transfers_max(const struct mkv_front_config *config) {
    return front_op_count(config);
}

size_t mkv_front_memory_required(const struct mkv_front_config *config) {
    MKV_ASSERT(mkv_front_config_fault(config) == NULL);
    return layout_of(config).bytes;
}

static void fill_free(struct mkv_front *front, struct front_list *list, size_t links,
                      uint32_t count) {
    mkv_front_list_init(list);
    for (uint32_t index = 0; index < count; index++) {
        mkv_front_list_push(list, front_links(front, links), index);
    }
}

static void init_credits(struct mkv_front *front, uint32_t volume) {
    const struct mkv_front_config *config = &front->config;
    const uint32_t ops_max =
        config->foreign[volume] ? config->foreign_ops_max : config->volume_ops_max;
    uint32_t *credit_max = front->volumes[volume].credit_max;
    credit_max[FRONT_CREDIT_EXISTS] = ops_max / 8;
    credit_max[FRONT_CREDIT_MUTATION] = ops_max / 8 * 3;
    credit_max[FRONT_CREDIT_FIND] =
        ops_max - credit_max[FRONT_CREDIT_EXISTS] - credit_max[FRONT_CREDIT_MUTATION];
}

static void init_lists(struct mkv_front *front) {
    const struct mkv_front_config *config = &front->config;
    const struct front_layout *layout = &front->layout;
    fill_free(front, &front->requests_free, layout->request_links, config->requests_max);
    fill_free(front, &front->items_free, layout->item_links, config->items_max);
    fill_free(front, &front->segmented_free, layout->segmented_links, config->segmented_max);
    mkv_front_list_init(&front->requests_ended);
    mkv_front_list_init(&front->items_ready);
    mkv_front_list_init(&front->items_placing);
    for (uint32_t side = 0; side < FRONT_SIDE_COUNT; side++) {
        mkv_front_list_init(&front->slab_queue[side]);
    }
    mkv_front_memory_init(front);
    for (uint32_t volume = 0; volume < MKV_VOLUMES_MAX; volume++) {
        init_credits(front, volume);
        for (uint32_t credit = 0; credit < FRONT_CREDIT_COUNT; credit++) {
            mkv_front_list_init(&front->volumes[volume].waiting[credit]);
        }
    }
    for (uint32_t index = 0; index < config->connections_max; index++) {
        mkv_front_list_init(&front_connection_at(front, index)->requests);
        mkv_front_list_init(&front_connection_at(front, index)->capped);
        mkv_front_list_init(&front_connection_at(front, index)->reserved);
    }
    for (uint32_t index = 0; index < config->segmented_max; index++) {
        front_segmented_at(front, index)->item = MKV_NONE_U32;
    }
}

struct mkv_front *mkv_front_init(void *memory, size_t memory_bytes,
                                 const struct mkv_front_config *config) {
    MKV_ASSERT(memory_bytes >= mkv_front_memory_required(config));
    MKV_ASSERT((uintptr_t)memory % 64 == 0);
    memset(memory, 0, mkv_front_memory_required(config));
    struct mkv_front *front = memory;
    front->config = *config;
    front->layout = layout_of(config);
    memcpy(front->members, config->members, sizeof front->members);
    front->write_units_max = write_units_max(config);
    front->reservations_drawn = config->segment_id_seed; /* not those of the last start */
    init_lists(front);
    front->tenants[MKV_FRONT_TENANTS_MAX].id = MKV_NONE_U32;
    (void)mkv_slab_init(front_at(front, front->layout.slabs),
                        mkv_slab_memory_required(config->slab_unit_count), config->slab_unit_count);
    return front;
}

const uint8_t *mkv_front_arena(const struct mkv_front *front) {
    return (const uint8_t *)front;
}

/* ---- effects --------------------------------------------------------------------------------- */

struct mkv_effect *mkv_front_emit(struct mkv_front *front, enum mkv_effect_kind kind) {
    MKV_ASSERT(front->effect_count < MKV_FRONT_EFFECTS_MAX);
    struct mkv_effect *effect =
        (struct mkv_effect *)front_at(front, front->layout.effects) + front->effect_count++;
    memset(effect, 0, sizeof *effect);
    effect->kind = kind;
    return effect;
}

uint8_t *mkv_front_emit_data(struct mkv_front *front, struct mkv_effect *effect) {
    const struct mkv_effect *first = front_at(front, front->layout.effects);
    MKV_ASSERT(effect == first + front->effect_count - 1);
    const size_t offset = front->layout.data + (size_t)(front->effect_count - 1) * FRONT_DATA_BYTES;
    effect->message.data_offset = offset;
    return front_at(front, offset);
}

uint32_t mkv_front_effects(struct mkv_front *front, struct mkv_effect *out, uint32_t out_max) {
    const struct mkv_effect *effects = front_at(front, front->layout.effects);
    uint32_t count = 0;
    while (count < out_max && front->effects_taken < front->effect_count) {
        out[count++] = effects[front->effects_taken++];
    }
    return count;
}

/* ---- the step -------------------------------------------------------------------------------- */

static void take_fabric(struct mkv_front *front, const struct mkv_fabric_done *done) {
    switch (done->event) {
    case MKV_FABRIC_PULL_DONE:
    case MKV_FABRIC_PUSH_DONE:
        mkv_front_op_fabric(front, done);
        return;
    case MKV_FABRIC_ANSWER_DONE:
        mkv_front_request_answer_done(front, done);
        return;
    case MKV_FABRIC_CONNECTION_CLOSED:
        mkv_front_request_closed(front, done->connection);
        return;
    }
    MKV_ASSERT(false);
}

static void take_input(struct mkv_front *front, const struct mkv_input *input) {
    switch (input->kind) {
    case MKV_INPUT_TICK:
        return;
    case MKV_INPUT_REQUEST:
        mkv_front_request_accept(front, input);
        return;
    case MKV_INPUT_MESSAGE:
        mkv_front_op_message(front, input);
        return;
    case MKV_INPUT_FABRIC_DONE:
        take_fabric(front, &input->fabric);
        return;
    case MKV_INPUT_DRIVE_DONE:
    case MKV_INPUT_ADMIN:
        break;
    }
    MKV_ASSERT(false);
}

/* Advances items in the order in which they became ready. Each at most once a step: those that are
 * ready again behind it wait for the next. */
static void run_ready(struct mkv_front *front) {
    struct front_link *links = front_links(front, front->layout.item_ready_links);
    const uint32_t count_max = front->items_ready.count;
    for (uint32_t count = 0; count < count_max && front->items_ready.count > 0; count++) {
        if (front->effect_count + FRONT_EFFECTS_PER_ITEM_MAX > MKV_FRONT_EFFECTS_MAX) {
            return;
        }
        const uint32_t before = front->effect_count;
        const uint32_t item = mkv_front_list_pop(&front->items_ready, links);
        front_item_at(front, item)->ready = false;
        mkv_front_item_advance(front, item);
        MKV_ASSERT(front->effect_count - before <= FRONT_EFFECTS_PER_ITEM_MAX);
    }
}

enum mkv_err mkv_front_step(struct mkv_front *front, const struct mkv_input *input) {
    MKV_ASSERT(front->effects_taken == front->effect_count);
    MKV_ASSERT(input->now_ns >= front->now_ns);
    front->effects_taken = 0;
    front->effect_count = 0;
    front->now_ns = input->now_ns;
    front->wall_s = mkv_max_u64(front->wall_s, input->wall_ms / 1000);
    mkv_front_slabs_go_on(front);
    take_input(front, input);
    MKV_ASSERT(front->effect_count <= FRONT_EFFECTS_PER_ITEM_MAX);
    mkv_front_summaries_tell(front);
    mkv_front_timers_run(front);
    run_ready(front);
    mkv_front_touches_send(front);
    return MKV_OK;
}

bool mkv_front_has_work(const struct mkv_front *front) {
    return front->items_ready.count > 0 || front->requests_ended.count > 0 || front->reclaiming;
}

void mkv_front_volume_set_state(struct mkv_front *front, uint32_t volume,
                                enum mkv_front_volume_state state) {
    MKV_ASSERT(volume < front->config.volume_count);
    struct front_volume *own = &front->volumes[volume];
    const bool was_absent = own->state == MKV_FRONT_VOLUME_ABSENT;
    if (was_absent && state != MKV_FRONT_VOLUME_ABSENT) {
        own->arrival = ++front->arrivals;
    } else if (!was_absent && state == MKV_FRONT_VOLUME_ABSENT) {
        /* What came before its drive did may have been mutated there. */
        front->arrivals_left = (uint32_t)mkv_max_u64(front->arrivals_left, own->arrival);
    }
    own->state = state;
    front->members[volume].weight =
        state == MKV_FRONT_VOLUME_ABSENT ? 0 : front->config.members[volume].weight;
    if (state != MKV_FRONT_VOLUME_ONLINE) {
        front->volumes[volume].outages++;
        mkv_front_wait_volume_gone(front, volume);
        mkv_front_reservations_of_volume_gone(front, volume);
    }
}

void mkv_front_volume_set_draining(struct mkv_front *front, uint32_t volume, bool draining) {
    MKV_ASSERT(volume < front->config.volume_count);
    front->volumes[volume].draining = draining;
}

void mkv_front_volume_set_member(struct mkv_front *front, uint32_t volume,
                                 struct mkv_member member) {
    MKV_ASSERT(volume < front->config.volume_count);
    MKV_ASSERT(member.weight >= 1);
    MKV_ASSERT(member.weight <= MKV_PLACEMENT_WEIGHT_MAX);
    mkv_front_volume_set_state(front, volume, MKV_FRONT_VOLUME_ABSENT);
    front->volumes[volume].draining = false;
    front->config.members[volume] = member;
    front->members[volume].uuid = member.uuid;
}

/* ---- figures --------------------------------------------------------------------------------- */

void mkv_front_stats(const struct mkv_front *front, struct mkv_front_stats *stats) {
    const struct mkv_front_config *config = &front->config;
    *stats = front->stats;
    for (uint32_t op = 0; op < MKV_OP_COUNT; op++) {
        stats->requests_in_flight +=
            (uint32_t)(stats->requests_started[op] - stats->requests_ended[op]);
    }
    stats->items_in_flight = config->items_max - front->items_free.count;
    stats->reservations = front->reserved_count;
    stats->items_ready = front->items_ready.count;
    stats->items_waiting_segmented = front->items_placing.count;
    stats->segmented_in_flight = config->segmented_max - front->segmented_free.count;
    for (uint32_t side = 0; side < FRONT_SIDE_COUNT; side++) {
        stats->ops_waiting[side] = front->slab_queue[side].count + front->ops_capped[side];
        stats->ops_waiting_slab += stats->ops_waiting[side];
    }
    stats->memory_blocks = front->residents_new.count + front->residents_proven.count;
    stats->memory_units = front->resident_units;
    stats->memory_units_used = front->resident_units_used;
    stats->memory_unpersisted = front->residents_unpersisted;
    for (uint32_t volume = 0; volume < config->volume_count; volume++) {
        for (uint32_t credit = 0; credit < FRONT_CREDIT_COUNT; credit++) {
            const uint32_t waiting = front->volumes[volume].waiting[credit].count;
            const bool writes = credit == FRONT_CREDIT_MUTATION;
            stats->ops_waiting_credit += waiting;
            stats->ops_waiting[writes ? FRONT_SIDE_WRITE : FRONT_SIDE_READ] += waiting;
            stats->volume_ops[volume] += front->volumes[volume].used[credit];
        }
    }
    const struct mkv_slab_pool *slabs =
        (const struct mkv_slab_pool *)(const void *)(mkv_front_arena(front) + front->layout.slabs);
    stats->slab_units_free = mkv_slab_units_free(slabs);
    for (uint32_t order = 0; order < MKV_SLAB_ORDER_COUNT; order++) {
        stats->slabs_allocated += mkv_slab_allocated(slabs, order);
    }
}

const struct mkv_front_times *mkv_front_times(const struct mkv_front *front) {
    return &front->times;
}

void mkv_front_memory_parts(const struct mkv_front *front, struct mkv_front_memory_parts *memory) {
    const struct front_layout *layout = &front->layout;
    memory->index_bytes = layout->bytes - layout->residents;
    memory->connection_bytes = layout->segmented - layout->connections;
}

/* A new tenant gets a row of its own while there are some. */
struct mkv_front_tenant *mkv_front_tenant_of(struct mkv_front *front, uint32_t tenant) {
    uint32_t *link = &front->tenant_heads[tenant % MKV_FRONT_TENANTS_MAX];
    while (*link != 0) {
        if (front->tenants[*link - 1].id == tenant) {
            return &front->tenants[*link - 1];
        }
        link = &front->tenant_nexts[*link - 1];
    }
    if (tenant == MKV_NONE_U32 || front->tenant_count == MKV_FRONT_TENANTS_MAX) {
        return &front->tenants[MKV_FRONT_TENANTS_MAX];
    }
    struct mkv_front_tenant *row = &front->tenants[front->tenant_count++];
    row->id = tenant;
    *link = front->tenant_count;
    return row;
}

bool mkv_front_next_tenant(const struct mkv_front *front, uint32_t *cursor,
                           struct mkv_front_tenant *tenant) {
    if (*cursor > front->tenant_count) {
        return false;
    }
    const bool last = *cursor == front->tenant_count;
    *tenant = front->tenants[last ? MKV_FRONT_TENANTS_MAX : *cursor];
    ++*cursor;
    return true;
}
