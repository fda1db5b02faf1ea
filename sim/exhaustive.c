/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/exhaustive.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/hash.h"

/* A number of inputs and effects that no case comes to. */
#define NEVER (1u << 24)
/* How long a step lasts in which time is to pass: longer than what a block that expires is given,
 * which is in seconds of the wall clock, and than all that waits for an idle volume. */
#define WAIT_NS 400000u
#define EXPIRY_S 2u
/* Places for the states that were met; a run of three operations meets about a tenth as many. */
#define MET_PLACES (1u << 22)
/* Crashes from which on the lives would end by themselves; a case has two. */
#define CRASHES_MAX 1000u

enum action_kind {
    ACTION_PUT = 0,
    ACTION_PUT_EXPIRING,
    ACTION_REPLACE,
    ACTION_DELETE,
    ACTION_GET,
    ACTION_CHECKPOINT,
    ACTION_WAIT,
    ACTION_CLOSE,
};

static const struct action {
    const char *text;
    enum action_kind kind;
    uint32_t key; /* MKV_NONE_U32: of no key */
    uint32_t version;
} actions[] = {
    {"put a 1", ACTION_PUT, 0, 1},
    {"put a 2", ACTION_PUT, 0, 2},
    {"put a 1 expiring", ACTION_PUT_EXPIRING, 0, 1},
    {"replace a 2", ACTION_REPLACE, 0, 2},
    {"delete a", ACTION_DELETE, 0, 0},
    {"get a", ACTION_GET, 0, 0},
    {"put b 1", ACTION_PUT, 1, 1},
    {"put b 2", ACTION_PUT, 1, 2},
    {"put b 1 expiring", ACTION_PUT_EXPIRING, 1, 1},
    {"replace b 2", ACTION_REPLACE, 1, 2},
    {"delete b", ACTION_DELETE, 1, 0},
    {"get b", ACTION_GET, 1, 0},
    {"checkpoint", ACTION_CHECKPOINT, MKV_NONE_U32, 0},
    {"wait", ACTION_WAIT, MKV_NONE_U32, 0},
    {"close", ACTION_CLOSE, MKV_NONE_U32, 0},
};
#define ACTIONS ((uint32_t)(sizeof actions / sizeof actions[0]))

/* Turns in which something changed, as the crash points that they have: behind `first`, up to
 * `last` inputs and effects. */
#define TURNS_MAX 4096u
struct turns {
    uint32_t count;
    struct {
        uint32_t first;
        uint32_t last;
    } items[TURNS_MAX];
};

struct met {
    uint64_t *hashes;
    uint64_t count;
};

struct exhaustive_world {
    struct volume_world volume; /* first: it is the world that its functions get */
    struct mkv_exhaustive_case at;
    uint32_t servings; /* lives that began to serve */
    uint32_t steps_begun;
    uint64_t wait_end_ns;
    uint32_t last_begins;        /* inputs and effects before the last step */
    uint32_t burnt;              /* when the last turn had ended */
    uint64_t stamp;              /* of what a crash meets, then */
    struct turns *turns;         /* NULL, or they are noted */
    struct mkv_drive_ends *ends; /* NULL, or those of the crash are listed */
    struct met *met;             /* NULL, or a state that was met ends the run */
    bool crashed;
    uint64_t beside_drive; /* of the state behind the crash */
    bool cut;              /* by a state that was met */
};

/* ---- what was met ---------------------------------------------------------------------------- */

/* Whether the state is new; remembers it. A full table forgets, which costs time alone. */
static bool meet(struct met *met, uint64_t hash) {
    hash += hash == 0;
    uint32_t place = (uint32_t)(hash % MET_PLACES);
    while (met->hashes[place] != 0) {
        if (met->hashes[place] == hash) {
            return false;
        }
        place = (place + 1) % MET_PLACES;
    }
    if (met->count < MET_PLACES / 2) {
        met->hashes[place] = hash;
        met->count++;
    }
    return true;
}

/* All that the recovery, and what is held against it, depends on, beside the drive. */
static uint64_t state_beside_drive(const struct mkv_lives *lives) {
    const struct mkv_watch *watch = &lives->nodes[0].watch;
    uint64_t hash = lives->model.wall_s;
    for (uint32_t key = 0; key < lives->model.key_count; key++) {
        const struct mkv_model_key *state = &lives->model.keys[key];
        uint64_t worlds = state->world_count;
        for (uint32_t index = 0; index < state->world_count; index++) {
            worlds += mkv_random_mix(
                mkv_hash_64((const uint8_t *)&state->worlds[index], sizeof state->worlds[index]));
        }
        hash = mkv_random_mix(hash + worlds + (state->lossy ? 1 : 0) + (state->evicting ? 2 : 0));
    }
    hash = mkv_random_mix(hash ^ watch->sequence_durable);
    return mkv_random_mix(hash + (watch->recorded ? 1 : 0) + (lives->audits[0].mutated ? 2 : 0));
}

/* ---- the world ------------------------------------------------------------------------------- */

static bool is_quiet(const struct exhaustive_world *world) {
    const struct mkv_node *node = &world->volume.lives.nodes[0];
    return world->volume.lives.now_ns >= world->wait_end_ns && world->volume.busy_count == 0 &&
           mkv_drive_sim_in_flight(node->drive) == 0 && !mkv_volume_has_work(node->volume);
}

static bool begin_action(struct exhaustive_world *world, const struct action *action) {
    struct volume_world *volume = &world->volume;
    struct mkv_lives *lives = &volume->lives;
    switch (action->kind) {
    case ACTION_PUT:
    case ACTION_REPLACE:
        return mkv_volume_client_start_put(volume, action->key, action->version,
                                           action->kind == ACTION_REPLACE, 0);
    case ACTION_PUT_EXPIRING:
        return mkv_volume_client_start_put(volume, action->key, action->version, false,
                                           (uint32_t)lives->model.wall_s + EXPIRY_S);
    case ACTION_DELETE:
        return mkv_volume_client_start_delete(volume, action->key);
    case ACTION_GET:
        return mkv_volume_client_start_get(volume, action->key);
    case ACTION_CHECKPOINT:
        (void)mkv_node_admin(&lives->nodes[0], MKV_ADMIN_CHECKPOINT, lives->now_ns);
        return true;
    case ACTION_WAIT:
        world->wait_end_ns = lives->now_ns + WAIT_NS;
        return true;
    case ACTION_CLOSE:
        lives->phase = MKV_PHASE_CLOSING; /* and the fuse goes on to burn */
        lives->nodes_done = 0;
        (void)mkv_node_admin(&lives->nodes[0], MKV_ADMIN_CLOSE, lives->now_ns);
        return true;
    }
    MKV_ASSERT(false);
    return false;
}

static uint32_t burnt_now(const struct exhaustive_world *world) {
    const uint32_t first = world->at.crash_after == MKV_NONE_U32 ? NEVER : world->at.crash_after;
    return first - world->volume.lives.fuse.left;
}

static void work(void *context) {
    struct exhaustive_world *world = context;
    world->volume.lives.work_due_ns = UINT64_MAX; /* until settle() has time for the next step */
    if (world->servings > 1 || world->steps_begun == world->at.step_count) {
        return;
    }
    do {
        if (world->steps_begun + 1 == world->at.step_count) {
            world->last_begins = burnt_now(world);
        }
        const bool begun =
            begin_action(world, &actions[world->at.steps[world->steps_begun].action]);
        MKV_ASSERT(begun); /* there are more clients than steps */
        world->steps_begun++;
    } while (world->steps_begun < world->at.step_count &&
             world->at.steps[world->steps_begun].beside);
}

static bool is_over(const void *context) {
    const struct exhaustive_world *world = context;
    return world->servings == 1 && world->at.crash_after == MKV_NONE_U32 &&
           world->steps_begun == world->at.step_count && is_quiet(world);
}

static uint32_t crash_after(void *context, uint32_t drawn) {
    struct exhaustive_world *world = context;
    (void)drawn;
    if (world->servings > 1) {
        return 0; /* at once, with nothing asked (O8) */
    }
    if (world->at.crash_after == MKV_NONE_U32) {
        return NEVER;
    }
    mkv_drive_sim_choose_end(world->volume.lives.nodes[0].drive, world->at.end, world->ends);
    return world->at.crash_after;
}

/* Counts what a crash meets: whatever is changed by a turn that adds nothing here stays as it was.
 */
static uint64_t stamp_now(const struct exhaustive_world *world) {
    const struct mkv_lives *lives = &world->volume.lives;
    const struct mkv_watch *watch = &lives->nodes[0].watch;
    return mkv_drive_sim_state_hash(lives->nodes[0].drive) + lives->model.order +
           lives->model.evaluations + watch->stamp + watch->sequence_last;
}

static void settle(void *context) {
    struct exhaustive_world *world = context;
    struct mkv_lives *lives = &world->volume.lives;
    const bool first_life = lives->phase == MKV_PHASE_WORKING || lives->phase == MKV_PHASE_CLOSING;
    if (world->servings == 1 && world->steps_begun < world->at.step_count && is_quiet(world)) {
        lives->work_due_ns = lives->now_ns;
    }
    if (world->turns == NULL || world->servings != 1 || !first_life || !lives->fuse.armed) {
        return;
    }
    const uint32_t burnt = burnt_now(world);
    const uint64_t stamp = stamp_now(world);
    if (stamp != world->stamp && world->steps_begun == world->at.step_count) {
        MKV_ASSERT(world->turns->count < TURNS_MAX);
        world->turns->items[world->turns->count].first =
            (uint32_t)mkv_max_u64(world->burnt, world->last_begins);
        world->turns->items[world->turns->count++].last = burnt;
    }
    world->burnt = burnt;
    world->stamp = stamp;
}

static void reset(void *context, int pattern) {
    struct exhaustive_world *world = context;
    mkv_volume_world_clients.reset(&world->volume, pattern);
    if (world->servings == 1 && !world->crashed && !world->volume.lives.last_life) {
        const uint64_t drive_hash = mkv_drive_sim_state_hash(world->volume.lives.nodes[0].drive);
        world->crashed = true;
        world->beside_drive = state_beside_drive(&world->volume.lives);
        MKV_ASSERT(world->ends == NULL || world->ends->items[0].state_hash == drive_hash);
        if (world->met != NULL &&
            !meet(world->met, mkv_random_mix(world->beside_drive) + drive_hash)) {
            world->cut = true;
            mkv_fail(MKV_ORACLE_NONE, "met before");
        }
    }
}

static void serving(void *context) {
    struct exhaustive_world *world = context;
    mkv_volume_world_clients.serving(&world->volume);
    world->servings++;
    if (world->servings == 3 && world->crashed) {
        world->volume.lives.phase = MKV_PHASE_DONE;
    }
}

/* ---- one case -------------------------------------------------------------------------------- */

/* Slots of one unit and one: an extent is a slot. */
static void make_shape(struct mkv_shape *shape) {
    mkv_shape_draw(shape, 1);
    *shape = (struct mkv_shape){
        .world = MKV_WORLD_VOLUME,
        .volume_count = 1,
        .geometry = {.ring_blocks = MKV_RING_BLOCKS_MIN,
                     .tenant_units = 1,
                     .page_count = 4,
                     .directory_units = MKV_DIRECTORY_UNITS_MIN,
                     .extent_units = 2,
                     .extent_count = 4},
        .profile = {.volatile_cache = true,
                    .tear_bytes = MKV_UNIT_BYTES,
                    .discard = MKV_DISCARD_ZEROS,
                    .read_ns = 1,
                    .write_ns = 1,
                    .flush_ns = 1},
        .window_units = 4,
        .idle_ns = 50000,
        .empty_ns_max = 1000000,
        .empty_grain_ns = 1000,
        .trim_idle_ns = 1000,
        .ghost_count = 8,
        .evict_ready_divisor = 2,
        .directory_commit_ns = 200000,
        .key_count = 2,
        .length_max = MKV_UNIT_BYTES,
        .clients = MKV_EXHAUSTIVE_STEPS_MAX,
        .weight_put = 1,
        .expiry_pass_ns = 1,
        .think_ns = 1,
        .connections = 1,
        .items_max = 1,
        .block_bytes_max = MKV_CHUNK_BYTES_MIN,
        .slabs = 1,
        .deadline_ns = 1,
        .crashes_max = CRASHES_MAX,
        .crash_span = 1,
        .keep_weights = {[MKV_KEEP_NONE] = 1},
    };
    mkv_shape_fit(shape);
}

/* The seed is the first whose contents all take a unit behind their header. */
static void choose_seed(struct mkv_shape *shape, struct mkv_memory *memory) {
    bool fits = false;
    while (!fits) {
        struct mkv_content content;
        shape->seed++;
        mkv_memory_reset(memory);
        mkv_content_init(&content, memory, mkv_random_mix(shape->seed), shape->key_count, 0,
                         MKV_KEY_BYTES_MAX, shape->length_max);
        fits = true;
        for (uint32_t index = 0; index < ACTIONS; index++) {
            const struct action *action = &actions[index];
            fits = fits && (action->version == 0 ||
                            mkv_content_length(&content, action->key, action->version) >
                                MKV_INLINE_BYTES_MAX);
        }
    }
}

struct search {
    struct mkv_memory *memory;
    struct mkv_shape shape;
    struct met met;
    struct turns turns;
    struct mkv_drive_ends ends;
    struct exhaustive_world *world; /* of the last case */
    struct mkv_world_report report;
    struct mkv_failure failure;
    struct mkv_exhaustive_outcome *outcome;
    double end_s;
};

/* Runs a case to its end; true when it fails. */
static bool run_case(struct search *search, const struct mkv_exhaustive_case *at,
                     struct turns *turns, FILE *log) {
    struct mkv_lives_clients clients = mkv_volume_world_clients;
    clients.work = work;
    clients.is_over = is_over;
    clients.crash_after = crash_after;
    clients.settle = settle;
    clients.reset = reset;
    clients.serving = serving;
    struct mkv_decisions benign = {0};
    const struct mkv_world_options options = {
        .shape = &search->shape, .memory = search->memory, .log = log, .decisions = &benign};
    struct mkv_trap trap;
    search->report = (struct mkv_world_report){0};
    mkv_memory_reset(search->memory);
    struct exhaustive_world *world = mkv_memory_take(search->memory, sizeof *world, 64);
    search->world = world;
    world->at = *at;
    world->servings = 0;
    world->steps_begun = 0;
    world->wait_end_ns = 0;
    world->last_begins = 0;
    world->burnt = 0;
    world->stamp = 0;
    world->turns = turns;
    /* The first end of a crash lists them all, and may be one that was met. */
    const bool first_end = turns == NULL && log == NULL && at->end == 0;
    world->ends = first_end ? &search->ends : NULL;
    world->met = first_end ? &search->met : NULL;
    world->crashed = false;
    world->cut = false;
    mkv_trap_set(&trap);
    if (setjmp(trap.jump) == 0) {
        mkv_volume_world_init(&world->volume, &options, &search->report, &clients);
        mkv_lives_run(&world->volume.lives);
        mkv_trap_set(NULL);
        return false;
    }
    search->failure = trap.failure;
    return !search->world->cut;
}

/* ---- all cases ------------------------------------------------------------------------------- */

static double now_s(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static bool is_over_budget(const struct search *search) {
    return search->outcome->failure_count == MKV_EXHAUSTIVE_FAILURES_MAX ||
           now_s() >= search->end_s;
}

static void add_failure(struct search *search, const struct mkv_exhaustive_case *at) {
    struct mkv_exhaustive_outcome *outcome = search->outcome;
    struct mkv_exhaustive_failure *failure = &outcome->failures[outcome->failure_count++];
    failure->at = *at;
    failure->failure = search->failure;
}

/* Runs one end of a crash, and counts it. */
static void run_end(struct search *search, const struct mkv_exhaustive_case *at) {
    struct mkv_exhaustive_outcome *outcome = search->outcome;
    const bool failed = run_case(search, at, NULL, NULL);
    outcome->recoveries += !search->world->cut;
    outcome->evaluations += search->report.evaluations;
    if (failed) {
        add_failure(search, at);
    }
}

static void run_crash(struct search *search, struct mkv_exhaustive_case *at) {
    struct mkv_exhaustive_outcome *outcome = search->outcome;
    const uint32_t failures = outcome->failure_count;
    const struct mkv_drive_ends *ends = &search->ends;
    at->end = 0;
    run_end(search, at);
    outcome->crash_points++;
    outcome->ends++;
    if (!search->world->crashed) {
        return; /* it had closed before */
    }
    const uint64_t beside_drive = search->world->beside_drive;
    outcome->ends_widest = mkv_max_u64(outcome->ends_widest, mkv_max_u64(ends->power, ends->kill));
    outcome->points_cut +=
        ends->power > MKV_DRIVE_SIM_ENDS_MAX || ends->kill > MKV_DRIVE_SIM_ENDS_MAX;
    for (uint32_t index = 1; index < ends->count && outcome->failure_count == failures; index++) {
        outcome->ends++;
        at->end = ends->items[index].end;
        if (meet(&search->met, mkv_random_mix(beside_drive) + ends->items[index].state_hash)) {
            run_end(search, at);
        }
    }
}

/* One sequence: to its end without a crash, then with one at every point. */
static void run_sequence(struct search *search, struct mkv_exhaustive_case *at) {
    struct mkv_exhaustive_outcome *outcome = search->outcome;
    at->crash_after = MKV_NONE_U32;
    at->end = 0;
    search->turns.count = 0;
    outcome->sequences++;
    if (run_case(search, at, &search->turns, NULL)) {
        add_failure(search, at);
        return;
    }
    outcome->evaluations += search->report.evaluations;
    const uint32_t failures = outcome->failure_count;
    for (uint32_t turn = 0; turn < search->turns.count; turn++) {
        for (uint32_t point = search->turns.items[turn].first + 1;
             point <= search->turns.items[turn].last; point++) {
            if (is_over_budget(search) || outcome->failure_count > failures) {
                return;
            }
            at->crash_after = point;
            run_crash(search, at);
        }
    }
}

/* Whether the step may follow: nothing behind closing, and beside it nothing; of the keys the first
 * is the first that is named. */
static bool may_follow(const struct mkv_exhaustive_case *at, uint32_t action, bool beside) {
    bool named = false;
    for (uint32_t step = 0; step < at->step_count; step++) {
        const struct action *before = &actions[at->steps[step].action];
        named = named || before->key == 0;
        if (before->kind == ACTION_CLOSE) {
            return false;
        }
    }
    const bool alone = actions[action].kind == ACTION_CLOSE || actions[action].kind == ACTION_WAIT;
    const bool after_wait =
        at->step_count > 0 && actions[at->steps[at->step_count - 1].action].kind == ACTION_WAIT;
    return (actions[action].key != 1 || named) && !(beside && (alone || after_wait));
}

/* All sequences of so many steps that begin as `at` does. */
static void run_all(struct search *search, const struct mkv_exhaustive_case *at, uint32_t length) {
    if (at->step_count == length) {
        struct mkv_exhaustive_case whole = *at;
        run_sequence(search, &whole);
        return;
    }
    for (uint32_t action = 0; action < ACTIONS; action++) {
        for (uint32_t beside = 0; beside < (at->step_count > 0 ? 2u : 1u); beside++) {
            if (may_follow(at, action, beside != 0) && !is_over_budget(search)) {
                struct mkv_exhaustive_case next = *at;
                next.steps[next.step_count++] = (struct mkv_exhaustive_step){action, beside != 0};
                run_all(search, &next, length);
            }
        }
    }
}

static struct search *search_create(struct mkv_memory *memory) {
    struct search *search = calloc(1, sizeof *search);
    if (search == NULL) {
        return NULL;
    }
    search->memory = memory;
    search->met.hashes = calloc(MET_PLACES, sizeof *search->met.hashes);
    make_shape(&search->shape);
    choose_seed(&search->shape, memory);
    if (search->met.hashes == NULL) {
        free(search);
        return NULL;
    }
    return search;
}

static void search_destroy(struct search *search) {
    free(search->met.hashes);
    free(search);
}

bool mkv_exhaustive_run(uint32_t operations, double seconds_max, struct mkv_memory *memory,
                        struct mkv_exhaustive_outcome *outcome) {
    MKV_ASSERT(operations <= MKV_EXHAUSTIVE_STEPS_MAX);
    *outcome = (struct mkv_exhaustive_outcome){.operations = operations};
    struct search *search = search_create(memory);
    if (search == NULL) {
        return false;
    }
    const double start_s = now_s();
    const struct mkv_exhaustive_case nothing = {0};
    search->outcome = outcome;
    search->end_s = start_s + seconds_max;
    for (uint32_t length = 1; length <= operations; length++) {
        run_all(search, &nothing, length);
    }
    outcome->complete = !is_over_budget(search) && outcome->failure_count == 0;
    outcome->seconds = now_s() - start_s;
    search_destroy(search);
    return true;
}

bool mkv_exhaustive_run_case(const struct mkv_exhaustive_case *at, struct mkv_memory *memory,
                             FILE *log, struct mkv_failure *failure) {
    struct search *search = search_create(memory);
    if (search == NULL) {
        return false;
    }
    const bool failed = run_case(search, at, NULL, log);
    *failure = search->failure;
    search_destroy(search);
    return failed;
}

/* ---- words ----------------------------------------------------------------------------------- */

const char *mkv_exhaustive_text(const struct mkv_exhaustive_case *at,
                                char text[MKV_EXHAUSTIVE_TEXT_BYTES]) {
    size_t used = 0;
    text[0] = 0;
    for (uint32_t step = 0; step < at->step_count; step++) {
        const char *before = step == 0 ? "" : at->steps[step].beside ? " | " : ", ";
        used += (size_t)snprintf(text + used, MKV_EXHAUSTIVE_TEXT_BYTES - used, "%s%s", before,
                                 actions[at->steps[step].action].text);
        MKV_ASSERT(used < MKV_EXHAUSTIVE_TEXT_BYTES);
    }
    return text;
}

/* The step whose text stands here, up to what parts it from the next; MKV_NONE_U32: there is none.
 */
static uint32_t action_at(const char *text, size_t bytes) {
    for (uint32_t action = 0; action < ACTIONS; action++) {
        if (strlen(actions[action].text) == bytes &&
            memcmp(actions[action].text, text, bytes) == 0) {
            return action;
        }
    }
    return MKV_NONE_U32;
}

bool mkv_exhaustive_parse(const char *text, struct mkv_exhaustive_case *at) {
    bool beside = false;
    at->step_count = 0;
    while (at->step_count < MKV_EXHAUSTIVE_STEPS_MAX) {
        const char *bar = strstr(text, " | ");
        const char *comma = strstr(text, ", ");
        const bool bar_first = bar != NULL && (comma == NULL || bar < comma);
        const char *end = bar_first ? bar : comma;
        const uint32_t action = action_at(text, end == NULL ? strlen(text) : (size_t)(end - text));
        if (action == MKV_NONE_U32 || !may_follow(at, action, beside)) {
            return false;
        }
        at->steps[at->step_count++] = (struct mkv_exhaustive_step){action, beside};
        if (end == NULL) {
            return true;
        }
        beside = bar_first;
        text = end + (bar_first ? 3 : 2);
    }
    return false;
}
