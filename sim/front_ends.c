/* SPDX-License-Identifier: Apache-2.0 */
/*
 * O17: each request that began ends once, and what is said of it then is what the world saw. And
 * when nothing is in flight, what the machines have counted adds up (O5).
 */
#include "sim/failure.h"
#include "sim/front_world.h"

static const char *text_of(const struct mkv_request_summary *summary) {
    return summary->dropped ? "dropped" : summary->refused ? "refused" : "answered";
}

/* The request of that id, which is its serial too, if it has not ended. */
static struct begun *begun_find(struct front_world *world, uint64_t id) {
    for (uint32_t index = 0; index < world->begun_count; index++) {
        if (world->begun[index].serial == id) {
            return &world->begun[index];
        }
    }
    return NULL;
}

void mkv_sim_ends_began(struct front_world *world, const struct mkv_request *request) {
    if (world->begun_count == MKV_BEGUN_MAX) {
        mkv_fail(MKV_ORACLE_ENDS, "%u requests have begun and not ended", MKV_BEGUN_MAX);
    }
    struct begun *begun = &world->begun[world->begun_count++];
    *begun = (struct begun){
        .serial = request->serial,
        .connection = request->connection,
        .op = request->op,
        .item_count = request->item_count,
        .received_ns = request->received_ns,
    };
}

void mkv_sim_ends_took(struct front_world *world, const struct mkv_effect *effect) {
    const uint64_t id =
        effect->kind == MKV_EFFECT_ANSWER ? effect->answer.request_id : effect->transfer.request_id;
    struct begun *begun = begun_find(world, id);
    if (begun == NULL) {
        mkv_fail(MKV_ORACLE_ENDS, "an effect of kind %u of request %llu, which has ended",
                 (unsigned)effect->kind, (unsigned long long)id);
    }
    if (effect->kind == MKV_EFFECT_ANSWER) {
        begun->answered = true;
        begun->refused = effect->answer.status != MKV_STATUS_OK;
        begun->status = effect->answer.status;
    }
}

void mkv_sim_ends_moved(struct front_world *world, const struct mkv_transfer_effect *effect,
                        bool in) {
    struct begun *begun = begun_find(world, effect->request_id);
    if (begun != NULL) {
        *(in ? &begun->bytes_in : &begun->bytes_out) += effect->bytes;
    }
}

static void check_summary_times(const struct front_world *world, const struct begun *begun,
                                const struct mkv_request_summary *summary) {
    uint64_t sum_ns = 0;
    for (uint32_t stage = 0; stage < MKV_STAGE_COUNT; stage++) {
        sum_ns += summary->stage_ns[stage];
    }
    if (summary->received_ns != begun->received_ns || summary->ended_ns < summary->received_ns ||
        summary->ended_ns > world->lives.now_ns) {
        mkv_fail(MKV_ORACLE_ENDS, "request %llu came at %llu, and says it did at %llu, up to %llu",
                 (unsigned long long)begun->serial, (unsigned long long)begun->received_ns,
                 (unsigned long long)summary->received_ns, (unsigned long long)summary->ended_ns);
    }
    if (sum_ns != summary->ended_ns - summary->received_ns) {
        mkv_fail(MKV_ORACLE_ENDS, "the stages of request %llu make %llu ns, and it took %llu",
                 (unsigned long long)begun->serial, (unsigned long long)sum_ns,
                 (unsigned long long)(summary->ended_ns - summary->received_ns));
    }
}

void mkv_sim_ends_ended(struct front_world *world, const struct mkv_request_summary *summary) {
    struct begun *begun = begun_find(world, summary->serial);
    if (begun == NULL) {
        mkv_fail(MKV_ORACLE_ENDS, "request %llu ends, %s, and has ended before or never began",
                 (unsigned long long)summary->serial, text_of(summary));
    }
    if (summary->request_id != begun->serial || summary->op != begun->op ||
        summary->item_count != begun->item_count ||
        summary->connection.index != begun->connection.index ||
        summary->connection.generation != begun->connection.generation) {
        mkv_fail(MKV_ORACLE_ENDS, "request %llu of %u items ends as request %llu of %u",
                 (unsigned long long)begun->serial, begun->item_count,
                 (unsigned long long)summary->request_id, summary->item_count);
    }
    if (summary->dropped == begun->answered || summary->refused != begun->refused ||
        (begun->refused && summary->status != begun->status)) {
        mkv_fail(MKV_ORACLE_ENDS, "request %llu ends, %s, with status %u, and it was%s answered",
                 (unsigned long long)begun->serial, text_of(summary), (unsigned)summary->status,
                 begun->answered ? "" : " not");
    }
    if (summary->bytes_in != begun->bytes_in || summary->bytes_out != begun->bytes_out) {
        mkv_fail(MKV_ORACLE_ENDS,
                 "request %llu says that %llu bytes came in and %llu went out, not %llu and %llu",
                 (unsigned long long)begun->serial, (unsigned long long)summary->bytes_in,
                 (unsigned long long)summary->bytes_out, (unsigned long long)begun->bytes_in,
                 (unsigned long long)begun->bytes_out);
    }
    check_summary_times(world, begun, summary);
    *begun = world->begun[--world->begun_count];
}

/* ---- figures --------------------------------------------------------------------------------- */

static void check_equal(const char *what, uint64_t left, uint64_t right) {
    if (left != right) {
        mkv_fail(MKV_ORACLE_ACCOUNTING, "%s: %llu and %llu", what, (unsigned long long)left,
                 (unsigned long long)right);
    }
}

static void check_requests(const struct mkv_front_stats *stats,
                           const struct mkv_front_times *times) {
    uint64_t began = 0;
    uint64_t durations = 0;
    for (uint32_t op = 0; op < MKV_OP_COUNT; op++) {
        uint64_t answered = 0;
        for (uint32_t status = 0; status < MKV_STATUS_COUNT; status++) {
            answered += stats->requests_answered[op][status];
        }
        check_equal("requests by status, and dropped, against those that came",
                    answered + stats->requests_dropped[op],
                    stats->requests_started[op] + stats->requests_refused[op]);
        check_equal("requests ended against requests started", stats->requests_ended[op],
                    stats->requests_started[op]);
        check_equal("sizes of requests against requests started",
                    mkv_histogram_total(&times->batch_items[op]), stats->requests_started[op]);
        began += stats->requests_started[op] + stats->requests_refused[op];
    }
    check_equal("durations of requests against requests", mkv_histogram_total(&times->request),
                began);
    for (uint32_t command = 0; command < MKV_FRONT_COMMAND_COUNT; command++) {
        durations += mkv_histogram_total(&times->commands[command]);
        began -= command < MKV_OP_COUNT ? stats->requests_refused[command] : 0;
    }
    check_equal("durations of commands against requests started", durations, began);
    check_equal("requests in flight against none", stats->requests_in_flight, 0);
}

static void check_times(const struct mkv_front_times *times) {
    uint64_t stages_ns = 0;
    for (uint32_t stage = 0; stage < MKV_STAGE_COUNT; stage++) {
        stages_ns += times->stages[stage].sum;
    }
    check_equal("time of all stages against that of all requests", stages_ns, times->request.sum);
    check_equal("parts of the time to persist against the whole",
                times->persist_before.sum + times->persist_write.sum + times->persist_behind.sum,
                times->persist.sum);
    const uint64_t count = mkv_histogram_total(&times->persist);
    check_equal("times before a write", mkv_histogram_total(&times->persist_before), count);
    check_equal("times of a write", mkv_histogram_total(&times->persist_write), count);
    check_equal("times behind a write", mkv_histogram_total(&times->persist_behind), count);
}

static void check_volume(const struct mkv_volume *volume) {
    struct mkv_volume_stats stats;
    mkv_volume_stats(volume, &stats);
    if (stats.state != MKV_VOLUME_SERVING) {
        return;
    }
    uint64_t blocks = 0;
    for (uint32_t tier = 0; tier < MKV_VOLUME_TIERS; tier++) {
        blocks += stats.blocks_by_tier[tier];
    }
    check_equal("blocks by tier against blocks", blocks, stats.blocks);
    uint64_t used = 0;
    uint64_t slots = 0;
    uint64_t bytes = 0;
    for (uint32_t index = 0; index < stats.class_count; index++) {
        const struct mkv_volume_class_stats *class_stats = &stats.classes[index];
        used += class_stats->slots_used;
        slots += class_stats->slots;
        bytes += (uint64_t)class_stats->slots_used * class_stats->slot_units * MKV_UNIT_BYTES;
    }
    check_equal("used slots of classes against used slots", used, stats.slots_used);
    check_equal("slots of classes against slots", slots, stats.slots_used + stats.slots_free);
    check_equal("bytes of classes against bytes used", bytes, stats.bytes_used);
    if (stats.bytes_payload + stats.blocks * MKV_UNIT_BYTES > stats.bytes_used) {
        mkv_fail(MKV_ORACLE_ACCOUNTING, "%llu blocks with %llu bytes of payload lie in %llu",
                 (unsigned long long)stats.blocks, (unsigned long long)stats.bytes_payload,
                 (unsigned long long)stats.bytes_used);
    }
    const struct mkv_volume_times *times = mkv_volume_times(volume);
    check_equal("durations of checkpoints against checkpoints",
                mkv_histogram_total(&times->checkpoint), stats.checkpoints_total);
}

void mkv_sim_ends_idle(const struct front_world *world) {
    if (world->begun_count > 0) {
        mkv_fail(MKV_ORACLE_ENDS, "idle, %u requests have not ended", world->begun_count);
    }
    for (uint32_t shard = 0; shard < world->shard_count; shard++) {
        const struct mkv_front *front = world->shards[shard].front;
        const struct mkv_router *router = world->shards[shard].router;
        struct mkv_front_stats stats;
        mkv_front_stats(front, &stats);
        check_requests(&stats, mkv_front_times(front));
        check_times(mkv_front_times(front));
        check_requests(mkv_router_request_stats(router), mkv_router_times(router));
        check_times(mkv_router_times(router));
    }
    for (uint32_t volume = 0; volume < world->lives.node_count; volume++) {
        check_volume(world->lives.nodes[volume].volume);
    }
}
