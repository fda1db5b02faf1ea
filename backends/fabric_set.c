/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/fabric_set.h"

#include <stdlib.h>

struct mkv_fabric_set {
    struct mkv_fabric base;
    uint32_t member_count;
    struct mkv_fabric_set_member members[MKV_FABRIC_SET_MEMBERS_MAX];
    struct mkv_fabric_counters *sum; /* of its own, since counters() is given a set to read */
};

static struct mkv_fabric_set *set_of(struct mkv_fabric *base) {
    return (struct mkv_fabric_set *)base;
}

static const struct mkv_fabric_set *const_set_of(const struct mkv_fabric *base) {
    return (const struct mkv_fabric_set *)base;
}

/* The member whose connection it is. */
static struct mkv_fabric *fabric_of(const struct mkv_fabric_set *set, struct mkv_connection_id id) {
    for (uint32_t i = 0; i < set->member_count; i++) {
        const struct mkv_fabric_set_member *member = &set->members[i];
        if (id.index - member->connection_base < member->connections_max) {
            return member->fabric;
        }
    }
    MKV_ASSERT(false); /* I1 */
    return NULL;
}

static struct mkv_connection_id connection_of(const struct mkv_effect *effect) {
    if (effect->kind == MKV_EFFECT_ANSWER) {
        return effect->answer.connection;
    }
    MKV_ASSERT(effect->kind == MKV_EFFECT_PULL || effect->kind == MKV_EFFECT_PUSH ||
               effect->kind == MKV_EFFECT_BREAK);
    return effect->transfer.connection;
}

static void member_input(void *context, struct mkv_input *input) {
    struct mkv_fabric_set *set = context;
    set->base.sink.input(set->base.sink.context, input);
}

static void set_submit(struct mkv_fabric *base, const struct mkv_effect *effect,
                       const uint8_t *front_arena) {
    struct mkv_fabric *fabric = fabric_of(set_of(base), connection_of(effect));
    fabric->ops->submit(fabric, effect, front_arena);
}

static void set_poll(struct mkv_fabric *base, uint64_t now_ns) {
    const struct mkv_fabric_set *set = set_of(base);
    MKV_ASSERT(base->sink.input != NULL);
    for (uint32_t i = 0; i < set->member_count; i++) {
        set->members[i].fabric->ops->poll(set->members[i].fabric, now_ns);
    }
}

static void set_poll_opening(struct mkv_fabric *base, uint64_t now_ns) {
    const struct mkv_fabric_set *set = set_of(base);
    for (uint32_t i = 0; i < set->member_count; i++) {
        struct mkv_fabric *fabric = set->members[i].fabric;
        if (fabric->ops->poll_opening != NULL) {
            fabric->ops->poll_opening(fabric, now_ns);
        }
    }
}

static bool set_has_work(const struct mkv_fabric *base) {
    const struct mkv_fabric_set *set = const_set_of(base);
    for (uint32_t i = 0; i < set->member_count; i++) {
        if (set->members[i].fabric->ops->has_work(set->members[i].fabric)) {
            return true;
        }
    }
    return false;
}

static void set_drain(struct mkv_fabric *base) {
    const struct mkv_fabric_set *set = set_of(base);
    for (uint32_t i = 0; i < set->member_count; i++) {
        set->members[i].fabric->ops->drain(set->members[i].fabric);
    }
}

static void set_stop(struct mkv_fabric *base) {
    const struct mkv_fabric_set *set = set_of(base);
    for (uint32_t i = 0; i < set->member_count; i++) {
        set->members[i].fabric->ops->stop(set->members[i].fabric);
    }
}

static bool set_is_idle(const struct mkv_fabric *base) {
    const struct mkv_fabric_set *set = const_set_of(base);
    for (uint32_t i = 0; i < set->member_count; i++) {
        if (!set->members[i].fabric->ops->is_idle(set->members[i].fabric)) {
            return false;
        }
    }
    return true;
}

static void set_destroy(struct mkv_fabric *base) {
    struct mkv_fabric_set *set = set_of(base);
    for (uint32_t i = 0; i < set->member_count; i++) {
        set->members[i].fabric->ops->destroy(set->members[i].fabric);
    }
    free(set->sum);
    free(set);
}

static void add(struct mkv_fabric_counters *sum, const struct mkv_fabric_counters *counters) {
    sum->connections_active += counters->connections_active;
    sum->connections_accepted_total += counters->connections_accepted_total;
    sum->connections_rejected_total += counters->connections_rejected_total;
    sum->connections_broken_total += counters->connections_broken_total;
    sum->received_bytes_total += counters->received_bytes_total;
    sum->sent_bytes_total += counters->sent_bytes_total;
    sum->received_frames_total += counters->received_frames_total;
    sum->sent_frames_total += counters->sent_frames_total;
    sum->receive_pauses_total += counters->receive_pauses_total;
    for (uint32_t i = 0; i < MKV_FABRIC_FAULT_COUNT; i++) {
        sum->faults_total[i] += counters->faults_total[i];
    }
}

_Static_assert(sizeof(struct mkv_fabric_counters) == 8u * (9u + MKV_FABRIC_FAULT_COUNT),
               "each counter is added");

static const struct mkv_fabric_counters *set_counters(const struct mkv_fabric *base) {
    const struct mkv_fabric_set *set = const_set_of(base);
    *set->sum = (struct mkv_fabric_counters){0};
    for (uint32_t i = 0; i < set->member_count; i++) {
        const struct mkv_fabric *fabric = set->members[i].fabric;
        add(set->sum, fabric->ops->counters(fabric));
    }
    return set->sum;
}

static void set_describe(const struct mkv_fabric *base, struct mkv_connection_id id,
                         struct mkv_fabric_client *client) {
    const struct mkv_fabric *fabric = fabric_of(const_set_of(base), id);
    fabric->ops->describe(fabric, id, client);
}

static const struct mkv_fabric_ops set_ops = {
    .submit = set_submit,
    .poll = set_poll,
    .poll_opening = set_poll_opening,
    .has_work = set_has_work,
    .drain = set_drain,
    .stop = set_stop,
    .is_idle = set_is_idle,
    .destroy = set_destroy,
    .counters = set_counters,
    .describe = set_describe,
};

static void check_ranges(const struct mkv_fabric_set_member *members, uint32_t member_count) {
    for (uint32_t i = 0; i < member_count; i++) {
        MKV_ASSERT(members[i].connections_max >= 1);
        MKV_ASSERT(members[i].connection_base <= UINT32_MAX - members[i].connections_max);
        for (uint32_t j = 0; j < i; j++) {
            MKV_ASSERT(members[i].connection_base >=
                           members[j].connection_base + members[j].connections_max ||
                       members[j].connection_base >=
                           members[i].connection_base + members[i].connections_max);
        }
    }
}

struct mkv_fabric_set *mkv_fabric_set_create(const struct mkv_fabric_set_member *members,
                                             uint32_t member_count) {
    MKV_ASSERT(member_count >= 1);
    MKV_ASSERT(member_count <= MKV_FABRIC_SET_MEMBERS_MAX);
    check_ranges(members, member_count);
    struct mkv_fabric_set *set = calloc(1, sizeof *set);
    struct mkv_fabric_counters *sum = calloc(1, sizeof *sum);
    if (set == NULL || sum == NULL) {
        free(set);
        free(sum);
        return NULL;
    }
    set->base.ops = &set_ops;
    set->sum = sum;
    set->member_count = member_count;
    for (uint32_t i = 0; i < member_count; i++) {
        set->members[i] = members[i];
        members[i].fabric->sink = (struct mkv_fabric_sink){set, member_input};
    }
    return set;
}

struct mkv_fabric *mkv_fabric_set_base(struct mkv_fabric_set *set) {
    return &set->base;
}
