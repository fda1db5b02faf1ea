/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/model.h"

#include <stdio.h>
#include <string.h>

#include "sim/failure.h"

/* Without an order the worlds are as many as the orders, so fewer operations are allowed. */
#define UNORDERED_OPS_MAX 4u

void mkv_model_init(struct mkv_model *model, struct mkv_memory *memory, uint32_t key_count,
                    bool in_order) {
    *model = (struct mkv_model){.key_count = key_count, .in_order = in_order};
    model->keys = mkv_memory_take(memory, key_count * sizeof *model->keys, 64);
    for (uint32_t key = 0; key < key_count; key++) {
        struct mkv_model_key *state = &model->keys[key];
        memset(state, 0, offsetof(struct mkv_model_key, worlds));
        state->worlds[0] = (struct mkv_model_world){.version = MKV_MODEL_ABSENT};
        state->world_count = 1;
    }
}

static bool is_mutation(enum mkv_model_kind kind) {
    return kind != 0 && kind != MKV_MODEL_READ;
}

/* ---- worlds ---------------------------------------------------------------------------------- */

struct world_set {
    struct mkv_model_world worlds[MKV_MODEL_WORLDS_MAX];
    uint32_t count;
};

static void set_add(struct world_set *set, const struct mkv_model_world *world) {
    for (uint32_t index = 0; index < set->count; index++) {
        if (memcmp(&set->worlds[index], world, sizeof *world) == 0) {
            return;
        }
    }
    MKV_ASSERT(set->count < MKV_MODEL_WORLDS_MAX);
    set->worlds[set->count++] = *world;
}

/* The key holds nothing any more. */
static void lose(struct mkv_model_world *world) {
    world->version = MKV_MODEL_ABSENT;
    world->expiry_s = 0;
    world->unpersisted = 0;
}

static void expire(struct mkv_model_world *world, uint64_t wall_s) {
    if (world->expiry_s != 0 && wall_s >= world->expiry_s) {
        lose(world);
    }
}

/* What a put leaves. Content that is there already is not written again: it is durable when it was,
 * and when the put is answered as durable; and it is prolonged, never shortened, unless the put
 * replaces. */
static void take_put(const struct mkv_model *model, const struct mkv_model_op *op,
                     struct mkv_model_world *world) {
    const bool same = world->version == op->version;
    if (op->kind == MKV_MODEL_REPLACE || !same) {
        world->expiry_s = op->expiry_s;
    } else if (world->expiry_s == 0 || op->expiry_s == 0) {
        world->expiry_s = 0;
    } else {
        world->expiry_s = (uint32_t)mkv_max_u64(world->expiry_s, op->expiry_s);
    }
    if (!same) {
        world->version = op->version;
        world->unpersisted = op->relaxed;
    } else if (!op->relaxed) {
        world->unpersisted = 0;
    }
    expire(world, model->wall_s);
}

/* What the mutation does to a key in this world. */
static uint32_t take_effect(const struct mkv_model *model, const struct mkv_model_op *op,
                            struct mkv_model_world *world) {
    const bool held = world->version != MKV_MODEL_ABSENT;
    switch (op->kind) {
    case MKV_MODEL_PUT:
        if (held && (op->conditional || world->version != op->version)) {
            return MKV_MODEL_CONFLICT;
        }
        take_put(model, op, world);
        return MKV_MODEL_OK;
    case MKV_MODEL_REPLACE:
        if (op->conditional && !held) {
            return MKV_MODEL_MISS;
        }
        take_put(model, op, world);
        return MKV_MODEL_OK;
    case MKV_MODEL_DELETE:
    case MKV_MODEL_PURGE:
        lose(world);
        return held || op->kind == MKV_MODEL_PURGE ? MKV_MODEL_OK : MKV_MODEL_MISS;
    case MKV_MODEL_EXPIRE:
        world->expiry_s = held ? op->expiry_s : 0;
        expire(world, model->wall_s);
        return held ? MKV_MODEL_OK : MKV_MODEL_MISS;
    case MKV_MODEL_READ:
        break;
    }
    MKV_ASSERT(false);
    return MKV_MODEL_NOTHING;
}

/* Whether the mutation may take effect next in this world. */
static bool may_go(const struct mkv_model *model, const struct mkv_model_key *state,
                   const struct mkv_model_world *world, uint32_t op) {
    if (!is_mutation(state->ops[op].kind) || world->results[op] != MKV_MODEL_NOTHING) {
        return false;
    }
    if (!model->in_order || state->ops[op].kind == MKV_MODEL_PURGE) {
        return true;
    }
    for (uint32_t other = 0; other < MKV_MODEL_OPS_MAX; other++) {
        if (is_mutation(state->ops[other].kind) && state->ops[other].kind != MKV_MODEL_PURGE &&
            state->ops[other].order < state->ops[op].order &&
            world->results[other] == MKV_MODEL_NOTHING) {
            return false;
        }
    }
    return true;
}

/* Adds to `set` every world that its worlds can become. The set grows while it is walked. */
static void close_set(const struct mkv_model *model, const struct mkv_model_key *state, bool lossy,
                      struct world_set *set) {
    for (uint32_t index = 0; index < set->count; index++) {
        for (uint32_t op = 0; op < MKV_MODEL_OPS_MAX; op++) {
            if (may_go(model, state, &set->worlds[index], op)) {
                struct mkv_model_world next = set->worlds[index];
                next.results[op] = take_effect(model, &state->ops[op], &next);
                set_add(set, &next);
                if (state->ops[op].beside_purge && next.results[op] == MKV_MODEL_MISS) {
                    take_put(model, &state->ops[op], &next);
                    next.results[op] = MKV_MODEL_OK;
                    set_add(set, &next);
                }
            }
        }
        const bool never_written = state->persist_failed && set->worlds[index].unpersisted != 0;
        if ((lossy || never_written) && set->worlds[index].version != MKV_MODEL_ABSENT) {
            struct mkv_model_world next = set->worlds[index];
            lose(&next);
            set_add(set, &next);
        }
    }
}

static void set_from_key(struct world_set *set, const struct mkv_model_key *state) {
    memcpy(set->worlds, state->worlds, state->world_count * sizeof *set->worlds);
    set->count = state->world_count;
}

static void set_to_key(struct mkv_model_key *state, const struct world_set *set) {
    MKV_ASSERT(set->count >= 1);
    memcpy(state->worlds, set->worlds, set->count * sizeof *set->worlds);
    state->world_count = set->count;
}

/* ---- what reads may have seen ---------------------------------------------------------------- */

static void saw(struct mkv_model_op *read, uint32_t version, bool settled) {
    for (uint32_t index = 0; index < read->seen_count; index++) {
        if (read->seen[index].version == version) {
            read->seen[index].settled = read->seen[index].settled || settled;
            return;
        }
    }
    if (read->seen_count == MKV_MODEL_SEEN_MAX) {
        read->anything = true;
        return;
    }
    read->seen[read->seen_count++] = (struct mkv_model_seen){version, settled};
}

static bool runs(const struct mkv_model_key *state, enum mkv_model_kind kind) {
    for (uint32_t op = 0; op < MKV_MODEL_OPS_MAX; op++) {
        if (state->ops[op].kind == kind) {
            return true;
        }
    }
    return false;
}

/* Tells the reads that run what the key may hold now: for certain in some world, or by mutations
 * that are unanswered. */
static void tell_reads(const struct mkv_model *model, struct mkv_model_key *state,
                       bool with_unanswered) {
    if (!runs(state, MKV_MODEL_READ)) {
        return;
    }
    struct world_set set;
    set_from_key(&set, state);
    const uint32_t settled_count = set.count;
    if (with_unanswered) {
        close_set(model, state, state->lossy, &set);
    }
    const bool hides = state->replace_hides && runs(state, MKV_MODEL_REPLACE);
    for (uint32_t op = 0; op < MKV_MODEL_OPS_MAX; op++) {
        if (state->ops[op].kind == MKV_MODEL_READ) {
            for (uint32_t index = 0; index < set.count; index++) {
                saw(&state->ops[op], set.worlds[index].version, index < settled_count);
            }
            if (hides || (state->ops[op].lists && runs(state, MKV_MODEL_REPLACE))) {
                saw(&state->ops[op], MKV_MODEL_ABSENT, false); /* I3 */
            }
        }
    }
}

/* ---- operations ------------------------------------------------------------------------------ */

bool mkv_model_has_room(const struct mkv_model *model, uint32_t key) {
    MKV_ASSERT(key < model->key_count);
    return model->keys[key].op_count < (model->in_order ? MKV_MODEL_OPS_MAX : UNORDERED_OPS_MAX);
}

/* Counts what is asked, for the diversity of the inputs. */
static void count_input(struct mkv_model *model, const struct mkv_model_key *state,
                        enum mkv_model_kind kind, uint32_t version) {
    static const enum mkv_input_figure figure_of[] = {
        [MKV_MODEL_READ] = MKV_INPUTS_READS,       [MKV_MODEL_PUT] = MKV_INPUTS_PUTS,
        [MKV_MODEL_REPLACE] = MKV_INPUTS_REPLACES, [MKV_MODEL_DELETE] = MKV_INPUTS_DELETES,
        [MKV_MODEL_PURGE] = MKV_INPUTS_PURGES,     [MKV_MODEL_EXPIRE] = MKV_INPUTS_EXPIRES,
    };
    uint64_t *figures = model->diversity.figures;
    const bool puts = kind == MKV_MODEL_PUT || kind == MKV_MODEL_REPLACE;
    figures[figure_of[kind]]++;
    figures[MKV_INPUTS_REUSES] += is_mutation(kind) && state->version_last > 0;
    figures[MKV_INPUTS_REPEATS] += puts && version <= state->version_last;
    figures[MKV_INPUTS_OVERLAPS] += state->op_count > 0;
}

uint32_t mkv_model_invoke(struct mkv_model *model, uint32_t key, enum mkv_model_kind kind,
                          uint32_t version) {
    MKV_ASSERT(mkv_model_has_room(model, key));
    struct mkv_model_key *state = &model->keys[key];
    count_input(model, state, kind, version);
    uint32_t place = 0;
    for (uint32_t op = 0; op < MKV_MODEL_OPS_MAX; op++) {
        if (state->ops[op].kind == 0) {
            place = op;
        }
    }
    state->ops[place] =
        (struct mkv_model_op){.kind = kind, .version = version, .order = ++model->order};
    state->op_count++;
    bool mutation = false;
    for (uint32_t op = 0; op < MKV_MODEL_OPS_MAX; op++) {
        mutation = mutation || is_mutation(state->ops[op].kind);
    }
    for (uint32_t op = 0; op < MKV_MODEL_OPS_MAX; op++) {
        state->ops[op].overlapped = state->ops[op].overlapped || mutation;
    }
    for (uint32_t op = 0; kind == MKV_MODEL_PURGE && op < MKV_MODEL_OPS_MAX; op++) {
        state->ops[op].beside_purge = state->ops[op].conditional;
    }
    if (!model->lying) {
        tell_reads(model, state, mutation);
    }
    if (kind == MKV_MODEL_PUT || kind == MKV_MODEL_REPLACE) {
        state->version_last = (uint32_t)mkv_max_u64(state->version_last, version);
    }
    return place;
}

void mkv_model_expires(struct mkv_model *model, uint32_t key, uint32_t op, uint32_t expiry_s) {
    MKV_ASSERT(key < model->key_count);
    struct mkv_model_key *state = &model->keys[key];
    MKV_ASSERT(state->ops[op].kind == MKV_MODEL_PUT || state->ops[op].kind == MKV_MODEL_REPLACE ||
               state->ops[op].kind == MKV_MODEL_EXPIRE);
    state->ops[op].expiry_s = expiry_s;
}

void mkv_model_condition(struct mkv_model *model, uint32_t key, uint32_t op) {
    MKV_ASSERT(key < model->key_count);
    struct mkv_model_op *state = &model->keys[key].ops[op];
    MKV_ASSERT(state->kind == MKV_MODEL_PUT || state->kind == MKV_MODEL_REPLACE);
    state->conditional = true;
    state->beside_purge = runs(&model->keys[key], MKV_MODEL_PURGE);
    model->diversity
        .figures[state->kind == MKV_MODEL_PUT ? MKV_INPUTS_IF_ABSENT : MKV_INPUTS_IF_PRESENT]++;
}

/* Whether something of the key expires between the two times. */
static bool expires_between(const struct mkv_model_key *state, uint64_t before_s, uint64_t now_s) {
    bool does = false;
    for (uint32_t world = 0; world < state->world_count; world++) {
        const uint32_t expiry_s = state->worlds[world].expiry_s;
        does = does || (expiry_s > before_s && expiry_s <= now_s);
    }
    for (uint32_t op = 0; op < MKV_MODEL_OPS_MAX; op++) {
        const uint32_t expiry_s = state->ops[op].expiry_s;
        does = does || (expiry_s > before_s && expiry_s <= now_s);
    }
    return does;
}

/* What an unanswered mutation met depends on whether it took effect before or after: so the worlds
 * are those that were possible before, each without what has expired. */
static void key_expires(struct mkv_model *model, struct mkv_model_key *state, uint64_t now_s) {
    struct world_set set;
    struct world_set kept;
    set_from_key(&set, state);
    close_set(model, state, false, &set);
    kept.count = 0;
    for (uint32_t index = 0; index < set.count; index++) {
        expire(&set.worlds[index], now_s);
        set_add(&kept, &set.worlds[index]);
    }
    set_to_key(state, &kept);
}

void mkv_model_time(struct mkv_model *model, uint64_t wall_s) {
    const uint64_t before_s = model->wall_s;
    if (wall_s == before_s) {
        return;
    }
    MKV_ASSERT(wall_s > before_s);
    for (uint32_t key = 0; key < model->key_count; key++) {
        struct mkv_model_key *state = &model->keys[key];
        if (model->lying || !expires_between(state, before_s, wall_s)) {
            continue;
        }
        tell_reads(model, state, true);
        key_expires(model, state, wall_s);
        for (uint32_t op = 0; op < MKV_MODEL_OPS_MAX; op++) {
            state->ops[op].overlapped = true;
        }
        model->wall_s = wall_s;
        tell_reads(model, state, true);
        model->wall_s = before_s;
    }
    model->wall_s = wall_s;
}

static bool version_answers(uint32_t version, uint32_t result) {
    switch (result) {
    case MKV_MODEL_MISS:
        return version == MKV_MODEL_ABSENT;
    case MKV_MODEL_PRESENT:
        return version != MKV_MODEL_ABSENT;
    default:
        return result == MKV_MODEL_VERSION + version;
    }
}

void mkv_model_lists(struct mkv_model *model, uint32_t key, uint32_t op) {
    MKV_ASSERT(key < model->key_count);
    struct mkv_model_key *state = &model->keys[key];
    MKV_ASSERT(state->ops[op].kind == MKV_MODEL_READ);
    state->ops[op].lists = true;
    if (runs(state, MKV_MODEL_REPLACE)) {
        saw(&state->ops[op], MKV_MODEL_ABSENT, false);
    }
}

bool mkv_model_may_answer(const struct mkv_model *model, uint32_t key, uint32_t op,
                          uint32_t result) {
    MKV_ASSERT(key < model->key_count);
    const struct mkv_model_key *state = &model->keys[key];
    const struct mkv_model_op *read = &state->ops[op];
    MKV_ASSERT(read->kind == MKV_MODEL_READ);
    if (model->lying || (result == MKV_MODEL_MISS && state->lossy)) {
        return true;
    }
    if (read->overlapped) {
        bool may = read->anything;
        for (uint32_t index = 0; index < read->seen_count; index++) {
            may = may || version_answers(read->seen[index].version, result);
        }
        return may;
    }
    bool may = false;
    for (uint32_t index = 0; index < state->world_count; index++) {
        may = may || version_answers(state->worlds[index].version, result);
    }
    return may;
}

/* The versions that a key may hold, as text for a report. */
static void describe(const struct mkv_model *model, uint32_t key, char *text, size_t text_bytes) {
    size_t used = 0;
    text[0] = 0;
    uint32_t version = 0;
    for (uint32_t index = 0; mkv_model_version(model, key, index, &version); index++) {
        const int written =
            version == MKV_MODEL_ABSENT
                ? snprintf(text + used, text_bytes - used, "%snothing", index > 0 ? " or " : "")
                : snprintf(text + used, text_bytes - used, "%sversion %u", index > 0 ? " or " : "",
                           version);
        if (written < 0 || (size_t)written >= text_bytes - used) {
            break;
        }
        used += (size_t)written;
    }
}

static _Noreturn void contradiction(const struct mkv_model *model, uint32_t key, uint32_t op,
                                    uint32_t observed) {
    static const char *const kinds[] = {"",         "a read",    "a put",  "a replacing put",
                                        "a delete", "an EXPIRE", "a purge"};
    const struct mkv_model_key *state = &model->keys[key];
    char holds[200];
    describe(model, key, holds, sizeof holds);
    const char *kind = kinds[state->ops[op].kind];
    switch (observed) {
    case MKV_MODEL_MISS:
        mkv_fail(MKV_ORACLE_DURABLE, "%s found nothing under key %u, which holds %s", kind, key,
                 holds);
    case MKV_MODEL_PRESENT:
        mkv_fail(MKV_ORACLE_NO_RETURN, "%s found key %u present, which holds %s", kind, key, holds);
    case MKV_MODEL_CONFLICT:
        mkv_fail(MKV_ORACLE_NO_RETURN, "%s met a conflict on key %u, which holds %s", kind, key,
                 holds);
    case MKV_MODEL_OK:
        mkv_fail(state->ops[op].kind == MKV_MODEL_DELETE ? MKV_ORACLE_NO_RETURN
                                                         : MKV_ORACLE_DURABLE,
                 "%s succeeded on key %u, which holds %s", kind, key, holds);
    default:
        mkv_fail(MKV_ORACLE_NO_RETURN, "%s returned version %u of key %u, which holds %s", kind,
                 observed - MKV_MODEL_VERSION, key, holds);
    }
}

static void free_place(struct mkv_model_key *state, uint32_t op) {
    state->ops[op] = (struct mkv_model_op){0};
    state->op_count--;
}

/* No mutation ran beside the read (I4). */
static void read_alone_answered(struct mkv_model *model, struct mkv_model_key *state, uint32_t key,
                                uint32_t op, uint32_t result) {
    struct world_set kept;
    kept.count = 0;
    for (uint32_t index = 0; index < state->world_count; index++) {
        if (version_answers(state->worlds[index].version, result)) {
            set_add(&kept, &state->worlds[index]);
        }
    }
    if (result == MKV_MODEL_MISS && state->lossy) {
        /* Perhaps a neighbour with the same tag was hit; then the key is there again later. */
        model->losses += kept.count == 0;
        return;
    }
    if (kept.count == 0) {
        contradiction(model, key, op, result);
    }
    if ((result == MKV_MODEL_MISS && state->evicting) || state->memory_only ||
        state->persist_failed) {
        return; /* I5 */
    }
    set_to_key(state, &kept);
}

/* A version that only an unanswered put can have brought was seen: that put has taken effect. */
static void put_was_seen(struct mkv_model *model, struct mkv_model_key *state, uint32_t version) {
    struct world_set set;
    struct world_set kept;
    set_from_key(&set, state);
    close_set(model, state, state->lossy, &set);
    kept.count = 0;
    for (uint32_t index = 0; index < set.count; index++) {
        for (uint32_t op = 0; op < MKV_MODEL_OPS_MAX; op++) {
            if (is_mutation(state->ops[op].kind) && state->ops[op].version == version &&
                set.worlds[index].results[op] == MKV_MODEL_OK) {
                set_add(&kept, &set.worlds[index]);
            }
        }
    }
    /* None: the put was answered while the read ran, and another one has followed it since. */
    if (kept.count > 0) {
        set_to_key(state, &kept);
    }
}

static void read_beside_answered(struct mkv_model *model, struct mkv_model_key *state, uint32_t key,
                                 uint32_t op, uint32_t result) {
    const struct mkv_model_op *read = &state->ops[op];
    if (read->anything) {
        return;
    }
    for (uint32_t index = 0; index < read->seen_count; index++) {
        if (version_answers(read->seen[index].version, result)) {
            if (result >= MKV_MODEL_VERSION && !read->seen[index].settled) {
                put_was_seen(model, state, result - MKV_MODEL_VERSION);
            }
            return;
        }
    }
    if (result == MKV_MODEL_MISS && state->lossy) {
        model->losses++;
        return;
    }
    contradiction(model, key, op, result);
}

/* Collects the worlds in which the mutation has come to `result`. */
static void worlds_with(const struct mkv_model *model, const struct mkv_model_key *state,
                        bool lossy, uint32_t op, uint32_t result, struct world_set *kept) {
    struct world_set set;
    set_from_key(&set, state);
    close_set(model, state, lossy, &set);
    kept->count = 0;
    for (uint32_t index = 0; index < set.count; index++) {
        struct mkv_model_world world = set.worlds[index];
        if (world.results[op] == result) {
            world.results[op] = MKV_MODEL_NOTHING;
            set_add(kept, &world);
        }
    }
}

static void mutation_answered(struct mkv_model *model, struct mkv_model_key *state, uint32_t key,
                              uint32_t op, uint32_t result) {
    struct world_set kept;
    worlds_with(model, state, false, op, result, &kept);
    if (state->lossy) {
        /* A loss counts where nothing else explains the answer, but it may have been one anyway. */
        model->losses += kept.count == 0;
        worlds_with(model, state, true, op, result, &kept);
    }
    if (kept.count == 0) {
        contradiction(model, key, op, result);
    }
    set_to_key(state, &kept);
}

void mkv_model_answer(struct mkv_model *model, uint32_t key, uint32_t op, uint32_t result) {
    MKV_ASSERT(key < model->key_count);
    MKV_ASSERT(op < MKV_MODEL_OPS_MAX);
    struct mkv_model_key *state = &model->keys[key];
    MKV_ASSERT(state->ops[op].kind != 0);
    MKV_ASSERT(!state->ops[op].abandoned);
    model->evaluations++;
    if (model->lying) {
        free_place(state, op);
        return;
    }
    if (is_mutation(state->ops[op].kind)) {
        mutation_answered(model, state, key, op, result);
    } else if (state->ops[op].overlapped) {
        read_beside_answered(model, state, key, op, result);
    } else {
        read_alone_answered(model, state, key, op, result);
    }
    const bool mutation = is_mutation(state->ops[op].kind);
    free_place(state, op);
    if (mutation) {
        tell_reads(model, state, false);
    }
}

void mkv_model_cancel(struct mkv_model *model, uint32_t key, uint32_t op) {
    MKV_ASSERT(key < model->key_count);
    MKV_ASSERT(op < MKV_MODEL_OPS_MAX);
    struct mkv_model_key *state = &model->keys[key];
    MKV_ASSERT(state->ops[op].kind != 0);
    model->evaluations++;
    if (!is_mutation(state->ops[op].kind) || model->lying) {
        free_place(state, op);
        return;
    }
    struct world_set kept;
    kept.count = 0;
    for (uint32_t index = 0; index < state->world_count; index++) {
        if (state->worlds[index].results[op] == MKV_MODEL_NOTHING) {
            set_add(&kept, &state->worlds[index]);
        }
    }
    if (kept.count == 0) {
        mkv_fail(MKV_ORACLE_NO_RETURN,
                 "a mutation of key %u was seen to take effect and then answered as if it had not",
                 key);
    }
    set_to_key(state, &kept);
    free_place(state, op);
    tell_reads(model, state, false);
}

void mkv_model_abandon(struct mkv_model *model, uint32_t key, uint32_t op) {
    MKV_ASSERT(key < model->key_count);
    MKV_ASSERT(op < MKV_MODEL_OPS_MAX);
    struct mkv_model_key *state = &model->keys[key];
    MKV_ASSERT(state->ops[op].kind != 0);
    if (is_mutation(state->ops[op].kind)) {
        state->ops[op].abandoned = true;
    } else {
        free_place(state, op);
    }
}

/* Nothing runs any more: what is there is durable, and what is not never will be. */
static void settle_key(const struct mkv_model *model, struct mkv_model_key *state, bool crash) {
    struct world_set set;
    struct world_set kept;
    state->evicting = false;
    state->memory_only = state->memory_only && !crash;
    const bool lost = crash || state->persist_failed;
    state->persist_failed = false;
    if (!model->lying && (state->op_count > 0 || model->has_memory)) {
        set_from_key(&set, state);
        close_set(model, state, state->lossy, &set);
        kept.count = 0;
        for (uint32_t index = 0; index < set.count; index++) {
            struct mkv_model_world world = {.version = set.worlds[index].version,
                                            .expiry_s = set.worlds[index].expiry_s};
            set_add(&kept, &world);
            lose(&world);
            if (lost && set.worlds[index].unpersisted != 0) {
                set_add(&kept, &world);
            }
        }
        set_to_key(state, &kept);
    }
    if (state->op_count > 0) {
        memset(state->ops, 0, sizeof state->ops);
        state->op_count = 0;
    }
}

void mkv_model_settle(struct mkv_model *model) {
    for (uint32_t key = 0; key < model->key_count; key++) {
        settle_key(model, &model->keys[key], false);
    }
}

void mkv_model_crash(struct mkv_model *model) {
    for (uint32_t key = 0; key < model->key_count; key++) {
        settle_key(model, &model->keys[key], true);
    }
}

/* ---- relaxed puts ---------------------------------------------------------------------------- */

void mkv_model_relax(struct mkv_model *model, uint32_t key, uint32_t op) {
    MKV_ASSERT(key < model->key_count);
    MKV_ASSERT(model->keys[key].ops[op].kind == MKV_MODEL_PUT ||
               model->keys[key].ops[op].kind == MKV_MODEL_REPLACE);
    model->keys[key].ops[op].relaxed = true;
}

void mkv_model_persisted(struct mkv_model *model, uint32_t key, uint32_t version) {
    MKV_ASSERT(key < model->key_count);
    struct mkv_model_key *state = &model->keys[key];
    struct world_set set;
    set.count = 0;
    for (uint32_t index = 0; index < state->world_count; index++) {
        struct mkv_model_world world = state->worlds[index];
        world.unpersisted = world.version == version ? 0 : world.unpersisted;
        set_add(&set, &world);
    }
    set_to_key(state, &set);
}

/* Whatever is not persisted may be gone. */
static void add_absent(struct mkv_model_key *state) {
    struct world_set set;
    set_from_key(&set, state);
    for (uint32_t index = 0; index < state->world_count; index++) {
        if (state->worlds[index].unpersisted != 0) {
            struct mkv_model_world gone = state->worlds[index];
            lose(&gone);
            set_add(&set, &gone);
        }
    }
    set_to_key(state, &set);
}

void mkv_model_persist_failed(struct mkv_model *model, uint32_t key) {
    MKV_ASSERT(key < model->key_count);
    struct mkv_model_key *state = &model->keys[key];
    state->persist_failed = true;
    add_absent(state);
    tell_reads(model, state, true);
}

void mkv_model_unwritten(struct mkv_model *model, uint32_t key) {
    mkv_model_persist_failed(model, key);
    model->keys[key].memory_only = model->has_memory;
}

/* ---- evictions and losses -------------------------------------------------------------------- */

void mkv_model_evict(struct mkv_model *model, uint32_t key) {
    MKV_ASSERT(key < model->key_count);
    struct mkv_model_key *state = &model->keys[key];
    struct world_set set;
    set_from_key(&set, state);
    /* Mutations whose answers are on their way may have taken effect before. */
    struct world_set closed = set;
    close_set(model, state, false, &closed);
    for (uint32_t index = 0; index < closed.count; index++) {
        lose(&closed.worlds[index]);
        set_add(&set, &closed.worlds[index]);
    }
    set_to_key(state, &set);
    state->evicting = true;
    state->memory_only = model->has_memory;
    for (uint32_t op = 0; op < MKV_MODEL_OPS_MAX; op++) {
        state->ops[op].overlapped = true; /* it may hold the block that goes */
    }
    tell_reads(model, state, true);
}

void mkv_model_evicted(struct mkv_model *model, uint32_t key) {
    MKV_ASSERT(key < model->key_count);
    model->keys[key].evicting = false;
}

void mkv_model_allow_loss(struct mkv_model *model, uint32_t key) {
    MKV_ASSERT(key < model->key_count);
    struct mkv_model_key *state = &model->keys[key];
    state->lossy = true;
    if (!model->lying) {
        tell_reads(model, state, true); /* a put that met a conflict before may succeed now */
    }
}

void mkv_model_found(struct mkv_model *model, uint32_t key, bool present) {
    MKV_ASSERT(key < model->key_count);
    struct mkv_model_key *state = &model->keys[key];
    MKV_ASSERT(state->op_count == 0);
    MKV_ASSERT(state->lossy);
    if (!present) {
        state->lossy = false;
        model->losses += !mkv_model_allows(model, key, MKV_MODEL_ABSENT);
        memset(&state->worlds[0], 0, sizeof state->worlds[0]);
        state->worlds[0].version = MKV_MODEL_ABSENT;
        state->world_count = 1;
    }
    state->lossy = false;
}
