/* SPDX-License-Identifier: Apache-2.0 */
/* Requests that no honest client sends, to a front whose drives are all offline. */
#include <stdlib.h>
#include <string.h>

#include "core/front.h"
#include "core/hash.h"
#include "core/manifest.h"
#include "sim/forge_internal.h"

#define CONNECTIONS 3u
#define TURNS 200u
#define ITEMS 4u
#define KEYS_BYTES 2048u
#define IN_FLIGHT_MAX 64u

struct forged_client {
    struct mkv_front *front;
    struct mkv_front_config config;
    struct mkv_random *random;
    uint64_t now_ns;
    uint64_t asked;
    uint64_t answered;
    uint32_t generations[CONNECTIONS];
    struct mkv_effect in_flight[IN_FLIGHT_MAX]; /* answers and pulls, not yet completed */
    uint32_t in_flight_count;
    uint8_t keys[KEYS_BYTES];
    uint64_t sums[MKV_CHUNKS_MAX];
    /* What the request under way must come to: MKV_STATUS_OK, or how it is refused. */
    enum mkv_status verdict;
};

static void take_answer(struct forged_client *client, const struct mkv_effect *effect) {
    const enum mkv_status status = effect->answer.status;
    client->answered++;
    /* A refusal comes in the step of its request. */
    if (effect->op.index == MKV_NONE_U32) {
        MKV_ASSERT(effect->answer.request_id == client->asked);
        MKV_ASSERT(status == MKV_STATUS_BUSY || status == client->verdict);
        MKV_ASSERT(status != MKV_STATUS_OK);
    }
    MKV_ASSERT(effect->answer.request_id <= client->asked);
}

static void step(struct forged_client *client, struct mkv_input *input) {
    struct mkv_effect effects[16];
    uint32_t count;
    client->now_ns += 1 + mkv_random_below(client->random, 1000);
    input->now_ns = client->now_ns;
    input->wall_ms = 1;
    (void)mkv_front_step(client->front, input);
    while ((count = mkv_front_effects(client->front, effects, 16)) > 0) {
        for (uint32_t index = 0; index < count; index++) {
            const enum mkv_effect_kind kind = effects[index].kind;
            if (kind == MKV_EFFECT_REQUEST_ENDED) {
                continue;
            }
            MKV_ASSERT(kind == MKV_EFFECT_ANSWER || kind == MKV_EFFECT_PULL);
            if (kind == MKV_EFFECT_ANSWER) {
                take_answer(client, &effects[index]);
            }
            MKV_ASSERT(client->in_flight_count < IN_FLIGHT_MAX);
            client->in_flight[client->in_flight_count++] = effects[index];
        }
    }
}

/* Ends that the front took for those of nothing that is under way. */
static uint64_t stale_of(const struct forged_client *client) {
    struct mkv_front_stats stats;
    mkv_front_stats(client->front, &stats);
    return stats.fabric_stale;
}

static void complete(struct forged_client *client, uint32_t which) {
    const struct mkv_effect effect = client->in_flight[which];
    struct mkv_input input = {.kind = MKV_INPUT_FABRIC_DONE};
    client->in_flight[which] = client->in_flight[--client->in_flight_count];
    input.fabric.op = effect.op;
    input.fabric.event = MKV_FABRIC_ANSWER_DONE;
    if (effect.kind == MKV_EFFECT_PULL) {
        input.fabric.event = MKV_FABRIC_PULL_DONE;
        input.fabric.sums = client->sums; /* of other bytes than the root says, mostly */
        input.fabric.sum_count = mkv_chunk_count(effect.transfer.bytes);
    }
    const uint64_t stale = stale_of(client);
    step(client, &input);
    MKV_ASSERT(stale_of(client) == stale);
}

/* An end of something that is not under way: late, twice, or never begun. */
static void complete_nothing(struct forged_client *client) {
    struct mkv_input input = {.kind = MKV_INPUT_FABRIC_DONE};
    input.fabric.event = (enum mkv_fabric_event)(1 + mkv_random_below(client->random, 3));
    input.fabric.transfer = MKV_TRANSFER_FAILED;
    input.fabric.op = (struct mkv_op_id){
        .index = mkv_random_chance(client->random, 1, 2) ? mkv_random_below(client->random, 40)
                                                         : (1u << 20),
        .generation = 1u << 30,
    };
    const uint64_t stale = stale_of(client);
    step(client, &input);
    MKV_ASSERT(stale_of(client) == stale + 1);
}

#define FORGED_CONDITIONS (MKV_PUT_IF_ABSENT | MKV_PUT_IF_PRESENT)

/* What protocol.md says of an item, in other words than the front's. */
static bool is_valid_item(const struct forged_client *client, const struct mkv_request *request,
                          const struct mkv_request_item *item, uint32_t data_bytes) {
    const bool exits = item->action == MKV_SESSION_EXIT_THINK;
    const bool is_put = request->op == MKV_OP_PUT || request->op == MKV_OP_ALLOCATE;
    if (request->op == MKV_OP_SESSION) {
        return item->key_bytes == 0 && item->flags == 0 && item->session > 0 &&
               (uint32_t)item->action - 1 < 4 &&
               (exits ? (uint32_t)item->reason - 1 < 3 : item->reason == 0);
    }
    if (request->op == MKV_OP_COMMIT) {
        return item->key_bytes == 0 && (item->flags | MKV_COMMIT_ABANDON) == MKV_COMMIT_ABANDON;
    }
    if (request->op == MKV_OP_ALLOCATE && item->length > client->config.block_bytes_max) {
        return false;
    }
    const uint32_t flags =
        (is_put ? MKV_PUT_REPLACE | MKV_PUT_RELAXED : 0) |
        (request->op == MKV_OP_PUT ? MKV_PUT_ROOT_LATER | MKV_EXPIRE_AT | FORGED_CONDITIONS : 0) |
        (request->op == MKV_OP_EXISTS ? MKV_EXISTS_PLAIN : 0) |
        (request->op == MKV_OP_EXPIRE ? MKV_EXPIRE_AT : 0);
    return item->key_bytes > 0 && item->key_bytes <= client->config.key_bytes_max &&
           item->key_offset <= data_bytes && item->key_bytes <= data_bytes - item->key_offset &&
           (item->flags | flags) == flags &&
           (item->flags & FORGED_CONDITIONS) != FORGED_CONDITIONS &&
           (!is_put || item->length <= client->config.value_bytes_max) &&
           (!is_put || item->tier_hint <= MKV_TIER_HINT_MAX) &&
           (!is_put || item->length <= client->config.block_bytes_max ||
            item->key_bytes <= MKV_KEY_BYTES_MAX - MKV_SEGMENT_KEY_SUFFIX_BYTES) &&
           (request->op != MKV_OP_PIN || item->expire_s > 0);
}

static void forge_item(struct forged_client *client, struct mkv_request_item *item) {
    struct mkv_random *random = client->random;
    const bool is_odd = mkv_random_chance(random, 1, 6);
    /* Also of ops that have no key. */
    const bool is_keyless = mkv_random_chance(random, 1, 4);
    *item = (struct mkv_request_item){
        .key_offset = mkv_random_below(random, 64),
        .key_bytes = 1 + mkv_random_below(random, 32),
        .flags = mkv_random_chance(random, 1, 4) ? MKV_PUT_REPLACE : 0,
        .length = mkv_random_below(random, 3) * MKV_UNIT_BYTES,
        .expire_s = mkv_random_below(random, 3),
        .reservation = mkv_random_below(random, 40),
        .session = mkv_random_below(random, 5),
        .tier_hint = mkv_random_below(random, MKV_TIER_HINT_MAX + 1),
        .action = (enum mkv_session_action)mkv_random_below(random, 6),
        .reason = (enum mkv_think_exit)mkv_random_below(random, 5),
    };
    if (is_keyless) {
        item->key_bytes = 0;
        item->flags = mkv_random_chance(random, 1, 4) ? MKV_COMMIT_ABANDON : 0;
    }
    if (is_odd) {
        static const uint32_t bytes[] = {0, MKV_KEY_BYTES_MAX, MKV_KEY_BYTES_MAX + 1, UINT32_MAX};
        item->key_bytes = bytes[mkv_random_below(random, 4)];
        item->key_offset = mkv_random_chance(random, 1, 2) ? 0 : UINT32_MAX - 8;
        item->length = mkv_random_next(random) >> mkv_random_below(random, 64);
        item->tier_hint = mkv_random_below(random, 8);
        item->flags = mkv_random_chance(random, 1, 2) ? 1u << mkv_random_below(random, 32) : 0;
    }
}

static void ask(struct forged_client *client) {
    struct mkv_random *random = client->random;
    struct mkv_request_item items[ITEMS];
    const uint32_t index = mkv_random_below(random, CONNECTIONS);
    struct mkv_input input = {.kind = MKV_INPUT_REQUEST, .data = client->keys};
    input.data_bytes = mkv_random_chance(random, 1, 8) ? 40 : KEYS_BYTES;
    struct mkv_request *request = &input.request;
    request->connection = (struct mkv_connection_id){index, client->generations[index]};
    request->request_id = ++client->asked;
    request->op = (enum mkv_op)mkv_random_below(random, MKV_OP_COUNT + 1);
    request->tenant_name = mkv_random_chance(random, 1, 2) ? "someone" : NULL;
    request->tenant = mkv_random_chance(random, 1, 4) ? 7 : MKV_TENANT_DEFAULT;
    request->deadline_ns = client->now_ns + mkv_random_below(random, 100000);
    request->item_count = mkv_random_below(random, ITEMS + 1);
    request->items = items;
    bool is_valid = request->item_count > 0 && request->op >= MKV_OP_PUT;
    is_valid = is_valid && request->op < MKV_OP_COUNT;
    for (uint32_t item = 0; item < request->item_count; item++) {
        forge_item(client, &items[item]);
        is_valid = is_valid && is_valid_item(client, request, &items[item], input.data_bytes);
    }
    if (mkv_random_chance(random, 1, 32)) {
        request->item_count = client->config.items_per_request_max + 1;
        is_valid = false;
    }
    const bool is_named = request->tenant == MKV_TENANT_DEFAULT || request->tenant_name != NULL;
    client->verdict = !is_valid   ? MKV_STATUS_INVALID
                      : !is_named ? MKV_STATUS_FORBIDDEN
                                  : MKV_STATUS_OK;
    if (client->verdict == MKV_STATUS_INVALID && !is_named) {
        /* Either may be said of what is wrong twice. */
        request->tenant_name = "someone";
    }
    const uint64_t answered = client->answered;
    step(client, &input);
    /* What is wrong is refused at once. */
    MKV_ASSERT(client->verdict == MKV_STATUS_OK || client->answered == answered + 1);
}

static void hang_up(struct forged_client *client) {
    const uint32_t index = mkv_random_below(client->random, CONNECTIONS);
    for (uint32_t which = client->in_flight_count; which > 0; which--) {
        const struct mkv_effect *effect = &client->in_flight[which - 1];
        const struct mkv_connection_id connection = effect->kind == MKV_EFFECT_PULL
                                                        ? effect->transfer.connection
                                                        : effect->answer.connection;
        if (connection.index == index) {
            complete(client, which - 1);
            which = client->in_flight_count + 1; /* completing may have brought others */
        }
    }
    struct mkv_input input = {.kind = MKV_INPUT_FABRIC_DONE};
    input.fabric.event = MKV_FABRIC_CONNECTION_CLOSED;
    input.fabric.connection = (struct mkv_connection_id){index, client->generations[index]};
    if (mkv_random_chance(client->random, 1, 4)) {
        input.fabric.connection.generation += 1000; /* a connection that asked nothing */
    } else {
        client->generations[index]++;
    }
    step(client, &input);
}

void mkv_forge_requests(struct mkv_random *random, struct mkv_forge_report *report) {
    struct forged_client *client = calloc(1, sizeof *client);
    MKV_ASSERT(client != NULL);
    client->random = random;
    mkv_front_config_default(&client->config);
    client->config.connections_max = CONNECTIONS;
    client->config.requests_max = 8;
    client->config.requests_per_connection_max = 4;
    client->config.items_per_request_max = ITEMS;
    client->config.items_max = 16;
    const size_t bytes = mkv_front_memory_required(&client->config);
    void *memory = aligned_alloc(64, bytes);
    MKV_ASSERT(memory != NULL);
    client->front = mkv_front_init(memory, bytes, &client->config);
    for (uint32_t turn = 0; turn < TURNS; turn++) {
        const uint32_t draw = mkv_random_below(random, 16);
        if (draw == 0) {
            complete_nothing(client);
        } else if (draw == 1) {
            hang_up(client);
        } else if (draw < 8 && client->in_flight_count > 0) {
            complete(client, mkv_random_below(random, client->in_flight_count));
        } else {
            ask(client);
        }
        report->requests++;
    }
    while (client->in_flight_count > 0) {
        complete(client, 0);
    }
    free(memory);
    free(client);
}
