/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sessions (volume_session.h). Whoever is named is found by (tenant, id); the list of all tells who
 * is idle; what is to be done to blocks waits in a list of work, the first of which is gone on with
 * in each step, and then goes behind the others.
 */
#include "core/volume_session.h"

#include <string.h>

#include "core/hash.h"
#include "core/volume_internal.h"

/* Nodes that one step looks at, idle sessions that it ends, and nodes that adding one looks at. */
#define STEP_NODES_MAX 256u
#define STEP_ENDS_MAX 16u
#define ADD_LOOKS 2u
/* One node for so many slots, unless that is few or many. */
#define SLOTS_OF_NODE 4u
#define NODES_MIN 1024u
#define NODES_MAX (1u << 20)

/* ---- memory ---------------------------------------------------------------------------------- */

static struct session *sessions_of(const struct mkv_volume *volume) {
    return (struct session *)((uintptr_t)volume + volume->sessions.sessions_offset);
}

static uint32_t *buckets_of(const struct mkv_volume *volume) {
    return (uint32_t *)(void *)(sessions_of(volume) + volume->sessions.session_max);
}

static struct session_node *nodes_of(const struct mkv_volume *volume) {
    return (struct session_node *)(void *)(buckets_of(volume) + volume->sessions.session_max);
}

static uint32_t *bucket_of(const struct mkv_volume *volume, uint32_t tenant, uint64_t id) {
    const uint64_t hash = mkv_hash_64_seeded(&id, sizeof id, tenant);
    return &buckets_of(volume)[hash % volume->sessions.session_max];
}

uint32_t mkv_volume_session_max(const struct mkv_volume_config *config) {
    return config->session_max != 0 ? config->session_max : MKV_SESSION_MAX;
}

uint32_t mkv_volume_session_block_max(const struct mkv_volume_config *config) {
    const uint64_t slots = (uint64_t)config->geometry.page_count * MKV_PAGE_SLOTS;
    if (config->session_block_max != 0) {
        return config->session_block_max;
    }
    return (uint32_t)mkv_max_u64(NODES_MIN, mkv_min_u64(NODES_MAX, slots / SLOTS_OF_NODE));
}

size_t mkv_volume_session_memory_required(const struct mkv_volume_config *config) {
    return (size_t)mkv_volume_session_max(config) * (sizeof(struct session) + sizeof(uint32_t)) +
           (size_t)mkv_volume_session_block_max(config) * sizeof(struct session_node);
}

void mkv_volume_session_open(struct mkv_volume *volume) {
    const struct session_state before = volume->sessions;
    volume->sessions = (struct session_state){
        .sessions_offset = before.sessions_offset,
        .session_max = before.session_max,
        .block_max = before.block_max,
        .free_session = MKV_NONE_U32,
        .free_node = MKV_NONE_U32,
        .oldest = MKV_NONE_U32,
        .newest = MKV_NONE_U32,
        .job_head = MKV_NONE_U32,
        .job_tail = MKV_NONE_U32,
    };
    memset(buckets_of(volume), 0xff, before.session_max * sizeof(uint32_t));
}

/* ---- nodes ----------------------------------------------------------------------------------- */

static uint32_t node_take(struct mkv_volume *volume) {
    struct session_state *state = &volume->sessions;
    uint32_t node = state->free_node;
    if (node != MKV_NONE_U32) {
        state->free_node = nodes_of(volume)[node].next;
    } else if (state->fresh_node < state->block_max) {
        node = state->fresh_node++;
    } else {
        return MKV_NONE_U32;
    }
    state->node_count++;
    return node;
}

static void node_give(struct mkv_volume *volume, uint32_t node) {
    struct session_state *state = &volume->sessions;
    MKV_ASSERT(state->node_count > 0);
    if (MKV_CANARY(MKV_CANARY_SESSION_NODES_LEAK)) {
        return;
    }
    state->node_count--;
    nodes_of(volume)[node].next = state->free_node;
    state->free_node = node;
}

static void node_push(struct mkv_volume *volume, struct session *session, uint32_t node) {
    struct session_node *nodes = nodes_of(volume);
    nodes[node].next = MKV_NONE_U32;
    if (session->block_count == 0) {
        session->head = node;
    } else {
        nodes[session->tail].next = node;
    }
    session->tail = node;
    session->block_count++;
}

static uint32_t node_pop(struct mkv_volume *volume, struct session *session) {
    MKV_ASSERT(session->block_count > 0);
    const uint32_t node = session->head;
    session->head = nodes_of(volume)[node].next;
    session->block_count--;
    return node;
}

/* Whether the node's block is there. */
static bool node_is_live(const struct mkv_volume *volume, uint32_t node) {
    const struct session_node *block = &nodes_of(volume)[node];
    const struct mkv_slot_table *table = volume_table(volume);
    if (mkv_slot_table_page(table, block->slot / MKV_PAGE_SLOTS)->extent == MKV_NONE_U32) {
        return false; /* its extent has no class any more, nor has its slot an entry */
    }
    const struct mkv_slot_entry *entry =
        mkv_slot_table_entry(table, (struct mkv_slot){block->slot});
    return mkv_slot_state_of(entry) == MKV_SLOT_LIVE && (entry->bits & MKV_SLOT_HIDDEN) == 0 &&
           (entry->generation_low == block->generation_low ||
            MKV_CANARY(MKV_CANARY_SESSION_NODE_UNCHECKED));
}

/* ---- sessions -------------------------------------------------------------------------------- */

static uint32_t find(const struct mkv_volume *volume, uint32_t tenant, uint64_t id) {
    const struct session *sessions = sessions_of(volume);
    uint32_t index = *bucket_of(volume, tenant, id);
    while (index != MKV_NONE_U32 &&
           (sessions[index].id != id || sessions[index].tenant != tenant)) {
        index = sessions[index].next;
    }
    return index;
}

static void list_push(struct mkv_volume *volume, uint32_t index) {
    struct session_state *state = &volume->sessions;
    struct session *sessions = sessions_of(volume);
    sessions[index].older = state->newest;
    sessions[index].newer = MKV_NONE_U32;
    if (state->newest == MKV_NONE_U32) {
        state->oldest = index;
    } else {
        sessions[state->newest].newer = index;
    }
    state->newest = index;
    sessions[index].used_ns = volume->now_ns;
}

static void list_remove(struct mkv_volume *volume, uint32_t index) {
    struct session_state *state = &volume->sessions;
    struct session *sessions = sessions_of(volume);
    const struct session *session = &sessions[index];
    if (session->older == MKV_NONE_U32) {
        state->oldest = session->newer;
    } else {
        sessions[session->older].newer = session->newer;
    }
    if (session->newer == MKV_NONE_U32) {
        state->newest = session->older;
    } else {
        sessions[session->newer].older = session->older;
    }
}

static void use(struct mkv_volume *volume, uint32_t index) {
    list_remove(volume, index);
    list_push(volume, index);
}

/* A new session, or MKV_NONE_U32 when there is no room for it (I2). */
static uint32_t begin(struct mkv_volume *volume, uint32_t tenant, uint64_t id) {
    struct session_state *state = &volume->sessions;
    struct session *sessions = sessions_of(volume);
    uint32_t index = state->free_session;
    if (index != MKV_NONE_U32) {
        state->free_session = sessions[index].next;
    } else if (state->fresh_session < state->session_max) {
        index = state->fresh_session++;
    } else {
        volume->stats.sessions_untracked_total++;
        return MKV_NONE_U32;
    }
    uint32_t *bucket = bucket_of(volume, tenant, id);
    sessions[index] = (struct session){
        .id = id,
        .begun = ++state->count,
        .tenant = tenant,
        .next = *bucket,
        .job_next = MKV_NONE_U32,
    };
    *bucket = index;
    state->tracked++;
    list_push(volume, index);
    return index;
}

static uint32_t find_or_begin(struct mkv_volume *volume, uint32_t tenant, uint64_t id) {
    const uint32_t index = find(volume, tenant, id);
    if (index == MKV_NONE_U32) {
        return begin(volume, tenant, id);
    }
    use(volume, index);
    return index;
}

/* Gives the session work; one that is at work already goes on with this instead. */
static void work_begin(struct mkv_volume *volume, uint32_t index, enum session_work work,
                       enum mkv_demotion cause) {
    struct session_state *state = &volume->sessions;
    struct session *sessions = sessions_of(volume);
    struct session *session = &sessions[index];
    const bool is_listed = session->work != SESSION_REST;
    session->work = work;
    session->cause = cause;
    session->left = session->block_count;
    if (is_listed) {
        return;
    }
    session->job_next = MKV_NONE_U32;
    if (state->job_head == MKV_NONE_U32) {
        state->job_head = index;
    } else {
        sessions[state->job_tail].job_next = index;
    }
    state->job_tail = index;
}

/* The id means nothing any more, or another session from now on. */
static void end(struct mkv_volume *volume, uint32_t index, enum session_work work,
                enum mkv_demotion cause) {
    struct session_state *state = &volume->sessions;
    struct session *sessions = sessions_of(volume);
    uint32_t *link = bucket_of(volume, sessions[index].tenant, sessions[index].id);
    while (*link != index) {
        MKV_ASSERT(*link != MKV_NONE_U32);
        link = &sessions[*link].next;
    }
    *link = sessions[index].next;
    list_remove(volume, index);
    state->tracked--;
    state->ending++;
    work_begin(volume, index, work, cause);
}

/* ---- what is asked for ----------------------------------------------------------------------- */

static enum mkv_status act(struct mkv_volume *volume, const struct mkv_message *message) {
    const bool begins = message->action == MKV_SESSION_BEGIN;
    if (volume->state != MKV_VOLUME_SERVING) {
        return MKV_STATUS_UNAVAILABLE;
    }
    if (message->tenant == MKV_NONE_U32) {
        return begins ? MKV_STATUS_OK : MKV_STATUS_NOT_FOUND; /* its first put will begin it */
    }
    if (begins) {
        return find_or_begin(volume, message->tenant, message->session) == MKV_NONE_U32
                   ? MKV_STATUS_NO_SPACE
                   : MKV_STATUS_OK;
    }
    const uint32_t index = find(volume, message->tenant, message->session);
    if (index == MKV_NONE_U32) {
        return MKV_STATUS_NOT_FOUND;
    }
    if (message->action == MKV_SESSION_EXIT_THINK) {
        use(volume, index);
        sessions_of(volume)[index].exited = ++volume->sessions.count;
        work_begin(volume, index, SESSION_LEAVES_THINKING, MKV_DEMOTION_EXIT_THINK);
    } else {
        const bool frees = message->action == MKV_SESSION_FREE;
        end(volume, index, frees ? SESSION_FREES : SESSION_ENDS, MKV_DEMOTION_SESSION_END);
    }
    return MKV_STATUS_OK;
}

void mkv_volume_session(struct mkv_volume *volume, const struct mkv_message *message) {
    MKV_ASSERT(message->session != 0);
    MKV_ASSERT(message->action >= MKV_SESSION_BEGIN);
    MKV_ASSERT((uint32_t)message->action <= MKV_SESSION_ACTION_MAX);
    struct mkv_effect *effect = mkv_volume_emit(volume, MKV_EFFECT_MESSAGE);
    effect->op = message->front_op;
    effect->message.kind = MKV_MESSAGE_SESSION_DONE;
    effect->message.volume = volume->config.volume;
    effect->message.front_op = message->front_op;
    effect->message.status = act(volume, message);
}

/* ---- puts ------------------------------------------------------------------------------------ */

void mkv_volume_session_put_begin(struct mkv_volume *volume, struct op *op) {
    if (op->session == 0) {
        return;
    }
    if (find_or_begin(volume, op->tenant, op->session) == MKV_NONE_U32) {
        op->session = 0;
    }
    op->session_count = volume->sessions.count;
}

/* To the end of what it stored; what is gone of it meanwhile gives its place back (I3). */
static void add(struct mkv_volume *volume, struct session *session, struct mkv_slot slot) {
    for (uint32_t look = 0; look < ADD_LOOKS && look < session->block_count; look++) {
        if (session->work != SESSION_REST) {
            break; /* the job counts on their order, and looks at them all */
        }
        const uint32_t node = node_pop(volume, session);
        if (node_is_live(volume, node)) {
            node_push(volume, session, node);
        } else {
            node_give(volume, node);
        }
    }
    const uint32_t node = node_take(volume);
    if (node == MKV_NONE_U32) {
        volume->stats.session_blocks_untracked_total++;
        return;
    }
    nodes_of(volume)[node] = (struct session_node){
        .slot = slot.index,
        .generation_low = mkv_slot_table_entry(volume_table(volume), slot)->generation_low,
    };
    node_push(volume, session, node);
}

static void demote(struct mkv_volume *volume, struct mkv_slot slot, enum mkv_demotion cause) {
    const enum mkv_tier tier = mkv_slot_tier_of(mkv_slot_table_entry(volume_table(volume), slot));
    if (cause == MKV_DEMOTION_EXIT_THINK && tier != MKV_TIER_THINK_ACTIVE &&
        !MKV_CANARY(MKV_CANARY_EXIT_THINK_DEMOTES_ALL)) {
        return;
    }
    if (mkv_volume_policy_demote(volume, slot, MKV_TIER_THINK_COMPLETE)) {
        volume->stats.demotions_total[cause]++;
    }
}

void mkv_volume_session_put_applied(struct mkv_volume *volume, const struct op *op) {
    if (op->session == 0) {
        return;
    }
    const uint32_t index = find(volume, op->tenant, op->session);
    if (index == MKV_NONE_U32 || sessions_of(volume)[index].begun > op->session_count) {
        demote(volume, op->slot, MKV_DEMOTION_SESSION_END);
        return;
    }
    struct session *session = &sessions_of(volume)[index];
    if (session->exited > op->session_count) {
        demote(volume, op->slot, MKV_DEMOTION_EXIT_THINK);
    }
    add(volume, session, op->slot);
}

/* ---- jobs ------------------------------------------------------------------------------------ */

static bool may_free(const struct mkv_volume *volume) {
    return mkv_volume_evict_room(volume) && !volume->stall.active;
}

/* Does to the first node of the session what its work says, and takes it from the work that is
 * left. False when that has to wait. */
static bool work_on_node(struct mkv_volume *volume, struct session *session) {
    const struct mkv_slot slot = {nodes_of(volume)[session->head].slot};
    const bool is_live = node_is_live(volume, session->head);
    if (is_live && session->work == SESSION_FREES && !mkv_volume_is_leased(volume, slot)) {
        if (!may_free(volume)) {
            return false;
        }
        mkv_volume_evict(volume, slot, MKV_EVICTION_BY_SESSION);
    } else if (is_live) {
        demote(volume, slot, session->cause);
    }
    session->left--;
    const uint32_t node = node_pop(volume, session);
    if (is_live && session->work == SESSION_LEAVES_THINKING) {
        node_push(volume, session, node);
    } else {
        node_give(volume, node);
    }
    return true;
}

static void work_end(struct mkv_volume *volume, uint32_t index) {
    struct session_state *state = &volume->sessions;
    struct session *session = &sessions_of(volume)[index];
    MKV_ASSERT(state->job_head == index);
    state->job_head = session->job_next;
    if (session->work != SESSION_LEAVES_THINKING) {
        MKV_ASSERT(session->block_count == 0);
        state->ending--;
        *session = (struct session){.next = state->free_session};
        state->free_session = index;
        return;
    }
    session->work = SESSION_REST;
}

static void reap(struct mkv_volume *volume) {
    for (uint32_t count = 0; count < STEP_ENDS_MAX; count++) {
        const uint32_t oldest = volume->sessions.oldest;
        if (oldest == MKV_NONE_U32 ||
            volume->now_ns - sessions_of(volume)[oldest].used_ns < volume->config.session_idle_ns) {
            return;
        }
        volume->stats.sessions_reaped_total++;
        end(volume, oldest, SESSION_ENDS, MKV_DEMOTION_IDLE);
    }
}

/* Whoever has most to do, is told anew over and over, or has to wait keeps no other one waiting. */
static void next_turn(struct mkv_volume *volume) {
    struct session_state *state = &volume->sessions;
    struct session *sessions = sessions_of(volume);
    const uint32_t head = state->job_head;
    if (head == MKV_NONE_U32 || sessions[head].job_next == MKV_NONE_U32) {
        return;
    }
    state->job_head = sessions[head].job_next;
    sessions[head].job_next = MKV_NONE_U32;
    sessions[state->job_tail].job_next = head;
    state->job_tail = head;
}

void mkv_volume_session_pump(struct mkv_volume *volume) {
    struct session_state *state = &volume->sessions;
    reap(volume);
    for (uint32_t looks = STEP_NODES_MAX; looks > 0 && state->job_head != MKV_NONE_U32; looks--) {
        struct session *session = &sessions_of(volume)[state->job_head];
        if (session->left == 0) {
            work_end(volume, state->job_head);
        } else if (!work_on_node(volume, session)) {
            break;
        }
    }
    next_turn(volume);
}

bool mkv_volume_session_has_work(const struct mkv_volume *volume) {
    const uint32_t head = volume->sessions.job_head;
    return head != MKV_NONE_U32 &&
           (sessions_of(volume)[head].work != SESSION_FREES || may_free(volume));
}

/* ---- invariants ------------------------------------------------------------------------------ */

static uint32_t check_session(const struct mkv_volume *volume, const struct session *session) {
    uint32_t node = session->head;
    for (uint32_t count = 1; count < session->block_count; count++) {
        MKV_ASSERT(node < volume->sessions.fresh_node);
        node = nodes_of(volume)[node].next;
    }
    MKV_ASSERT(session->block_count == 0 || node == session->tail);
    MKV_ASSERT(session->left <= session->block_count);
    MKV_ASSERT(session->left == 0 || session->work != SESSION_REST);
    return session->block_count;
}

void mkv_volume_session_check(const struct mkv_volume *volume) {
    const struct session_state *state = &volume->sessions;
    const struct session *sessions = sessions_of(volume);
    if (volume->state != MKV_VOLUME_SERVING) {
        return;
    }
    uint32_t nodes = 0;
    uint32_t tracked = 0;
    uint64_t used_ns = 0;
    for (uint32_t index = state->oldest; index != MKV_NONE_U32; index = sessions[index].newer) {
        MKV_ASSERT(find(volume, sessions[index].tenant, sessions[index].id) == index);
        MKV_ASSERT(sessions[index].used_ns >= used_ns); /* I5 */
        used_ns = sessions[index].used_ns;
        nodes += check_session(volume, &sessions[index]);
        tracked++;
    }
    uint32_t ending = 0;
    for (uint32_t index = state->job_head; index != MKV_NONE_U32;
         index = sessions[index].job_next) {
        MKV_ASSERT(sessions[index].work != SESSION_REST);
        if (sessions[index].work != SESSION_LEAVES_THINKING) {
            nodes += check_session(volume, &sessions[index]);
            ending++;
        }
    }
    MKV_ASSERT(tracked == state->tracked);
    MKV_ASSERT(ending == state->ending);
    MKV_ASSERT(nodes == state->node_count);
    MKV_ASSERT(tracked + ending <= state->session_max); /* I2 */
    MKV_ASSERT(nodes <= state->block_max);
}
