/* SPDX-License-Identifier: Apache-2.0 */
/*
 * O17: each request that began ends once, and what is said of it then is what the world saw.
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

static void check_times(const struct front_world *world, const struct begun *begun,
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
    check_times(world, begun, summary);
    *begun = world->begun[--world->begun_count];
}

void mkv_sim_ends_idle(const struct front_world *world) {
    if (world->begun_count > 0) {
        mkv_fail(MKV_ORACLE_ENDS, "idle, %u requests have not ended", world->begun_count);
    }
}
