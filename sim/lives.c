/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/lives.h"

#include <string.h>

#include "core/manifest.h"
#include "sim/failure.h"
#include "sim/images.h"

#define LIVES_TURNS_MAX 400000u
/* One first format in this many is cut and done again. */
#define FORMAT_CUT_ONE_IN 8u
#define FORMAT_CUT_SPAN 24u
/* Inputs and effects within which a recovery is cut, for each volume. */
#define RECOVERY_CUT_SPAN 90u
/* One life in this many crashes before anything is asked of it (O8). */
#define IDLE_CRASH_ONE_IN 8u
/* The keys are listed in one life of so many, before it works. */
#define LISTED_ONE_IN 4u
/* Openings that fail one after another before nothing more goes wrong. */
#define FAILED_OPENINGS_MAX 4u
/* What is still asked of a process whose drive has failed. */
#define OUTAGE_WORK_MAX 24u
/* Passes over all keys in which reads may meet damage: each finds at least one block. */
#define PASSES_MAX 64u
/* One crash in this many has the image kept that an old one may come back from. */
#define IMAGE_ONE_IN 4u

/* ---- phases that start ----------------------------------------------------------------------- */

/* Whether anything may still go wrong (I3). */
static void set_calm(struct mkv_lives *lives) {
    const bool calm = lives->phase == MKV_PHASE_FORMATTING || lives->phase == MKV_PHASE_DRAINING ||
                      lives->phase == MKV_PHASE_CLOSING || lives->last_life || lives->cut_off ||
                      lives->failed_in_a_row >= FAILED_OPENINGS_MAX;
    for (uint32_t node = 0; node < lives->node_count; node++) {
        lives->faults[node].calm = calm;
    }
}

static void enter(struct mkv_lives *lives, enum mkv_phase phase) {
    lives->phase = phase;
    set_calm(lives);
    lives->nodes_done = 0;
    lives->turns = 0;
    mkv_fuse_set(&lives->fuse, false, 0);
}

static void arm(struct mkv_lives *lives, uint32_t left) {
    mkv_fuse_set(&lives->fuse, true, left);
}

static void command(struct mkv_lives *lives, enum mkv_admin_command admin) {
    for (uint32_t node = 0; node < lives->node_count; node++) {
        if (mkv_node_admin(&lives->nodes[node], admin, lives->now_ns) != MKV_OK) {
            mkv_fail(MKV_ORACLE_ANSWERS, "volume %u refuses command %u", node, (unsigned)admin);
        }
    }
}

static int draw_pattern(struct mkv_lives *lives) {
    struct mkv_random *random = mkv_lives_random(lives, MKV_CONCERN_SCHEDULE);
    const uint32_t draw = mkv_random_below(random, 256);
    if (!mkv_random_chance(random, lives->shape->share_pattern, 16)) {
        return -1;
    }
    return (int)((draw + lives->options->pattern_salt) & 0xffu);
}

static void start_process(struct mkv_lives *lives) {
    const int pattern = draw_pattern(lives);
    mkv_guard_reset(&lives->guard);
    mkv_evictions_crash(&lives->evictions);
    lives->broken = false;
    for (uint32_t node = 0; node < lives->node_count; node++) {
        struct mkv_drive_sim *drive = lives->nodes[node].drive;
        lives->emptied[node] = false;
        lives->openings[node] = mkv_faults_opening(&lives->faults[node]);
        if (lives->openings[node] == MKV_OPENING_OLD_IMAGE && mkv_drive_sim_put_image_back(drive)) {
            mkv_trace_note(&lives->trace, "old image", mkv_drive_sim_image_hash(drive), 0);
        }
        mkv_node_start(&lives->nodes[node], pattern, lives->openings[node]);
    }
    lives->clients->reset(lives->world, pattern);
    lives->tick_due_ns = lives->now_ns;
}

static void start_format(struct mkv_lives *lives) {
    struct mkv_random *random = mkv_lives_random(lives, MKV_CONCERN_SCHEDULE);
    enter(lives, MKV_PHASE_FORMATTING);
    if (mkv_random_chance(random, 1, FORMAT_CUT_ONE_IN)) {
        arm(lives, mkv_random_below(random, FORMAT_CUT_SPAN));
    }
    command(lives, MKV_ADMIN_FORMAT);
}

static void start_opening(struct mkv_lives *lives) {
    struct mkv_random *random = mkv_lives_random(lives, MKV_CONCERN_SCHEDULE);
    enter(lives, MKV_PHASE_OPENING);
    if (!lives->last_life && !lives->cut_off &&
        mkv_random_chance(random, lives->shape->share_cut, 16)) {
        arm(lives, mkv_random_below(random, RECOVERY_CUT_SPAN * lives->node_count));
    }
    command(lives, MKV_ADMIN_OPEN);
}

static void begin_listings(struct mkv_lives *lives) {
    for (uint32_t node = 0; node < lives->node_count; node++) {
        mkv_listing_begin(&lives->listings[node]);
    }
}

static bool listings_done(struct mkv_lives *lives) {
    bool done = true;
    for (uint32_t node = 0; node < lives->node_count; node++) {
        done = mkv_listing_pump(&lives->listings[node], lives->now_ns) && done;
    }
    return done;
}

/* What was struck is as it is now; a value of segments may lack any of them. */
static void settle_struck(struct mkv_lives *lives) {
    if (lives->shape->length_max <= lives->shape->block_bytes_max && !lives->model.lying) {
        mkv_audit_settle(lives->audits, lives->node_count, &lives->model);
    }
}

static void start_verifying(struct mkv_lives *lives) {
    lives->failed_in_a_row = 0;
    enter(lives, MKV_PHASE_VERIFYING);
    lives->verify_key = 0;
    if (lives->last_life ||
        mkv_random_chance(mkv_lives_random(lives, MKV_CONCERN_SCHEDULE), 1, LISTED_ONE_IN)) {
        begin_listings(lives);
    }
    mkv_audit_present(lives->audits, lives->node_count);
    settle_struck(lives);
    lives->clients->serving(lives->world);
}

static void arm_work(struct mkv_lives *lives, uint32_t drawn) {
    const struct mkv_lives_clients *clients = lives->clients;
    const uint32_t left =
        clients->crash_after != NULL ? clients->crash_after(lives->world, drawn) : drawn;
    if (left != MKV_NONE_U32) {
        arm(lives, left);
    }
}

static void start_working(struct mkv_lives *lives) {
    struct mkv_random *random = mkv_lives_random(lives, MKV_CONCERN_SCHEDULE);
    enter(lives, MKV_PHASE_WORKING);
    lives->work_due_ns = lives->now_ns;
    const uint32_t node = mkv_random_below(random, lives->node_count);
    if (mkv_faults_has(&lives->faults[node], MKV_FAULT_ROT)) {
        mkv_rot_block(&lives->faults[node], &lives->nodes[node]);
    }
    if (mkv_random_chance(random, 1, IDLE_CRASH_ONE_IN)) {
        arm(lives, 0);
        lives->work_due_ns = UINT64_MAX;
    } else {
        arm_work(lives, mkv_random_below(random, lives->shape->crash_span));
    }
}

/* ---- crashes --------------------------------------------------------------------------------- */

static enum mkv_crash_keep draw_keep(struct mkv_lives *lives) {
    const uint32_t *weights = lives->shape->keep_weights;
    uint32_t total = 0;
    for (uint32_t keep = 0; keep < MKV_CRASH_KEEP_COUNT; keep++) {
        total += weights[keep];
    }
    uint32_t draw = mkv_random_below(mkv_lives_random(lives, MKV_CONCERN_SCHEDULE), total);
    uint32_t keep = 0;
    while (draw >= weights[keep]) {
        draw -= weights[keep];
        keep++;
    }
    return (enum mkv_crash_keep)keep;
}

static void keep_image(struct mkv_lives *lives, uint32_t node) {
    struct mkv_faults *faults = &lives->faults[node];
    if (mkv_faults_has(faults, MKV_FAULT_OLD_IMAGE) &&
        mkv_random_chance(&faults->random, 1, IMAGE_ONE_IN)) {
        mkv_drive_sim_keep_image(lives->nodes[node].drive);
    }
}

/* What this process did, and what clients asked up to here. */
static void count_process(struct mkv_lives *lives, const struct mkv_volume_stats *stats) {
    struct mkv_diversity *sum = &lives->model.diversity;
    mkv_changes_of(&lives->report->changes, stats);
    mkv_diversity_of(sum, stats);
    lives->report->diversity = *sum;
}

static void crash_node(struct mkv_lives *lives, uint32_t index, bool kill) {
    struct mkv_node *node = &lives->nodes[index];
    enum mkv_crash_keep keep = draw_keep(lives);
    if (lives->cut_off) {
        keep = lives->options->cut_end == MKV_CUT_NOTHING_KEPT ? MKV_KEEP_NONE : MKV_KEEP_ALL;
    }
    struct mkv_volume_stats stats;
    mkv_volume_stats(node->volume, &stats);
    if (stats.state == MKV_VOLUME_SERVING) {
        mkv_audit_tenants(&lives->audits[index]);
        if (index == 0) {
            mkv_tiers_check(&lives->tiers, node->volume);
        }
    }
    if (lives->trace.log != NULL) {
        mkv_drive_sim_print_pending(node->drive, lives->trace.log);
    }
    mkv_rot_before_crash(&lives->faults[index], node);
    mkv_listing_crash(&lives->listings[index]);
    count_process(lives, &stats);
    mkv_node_crash(node, kill ? MKV_CRASH_KILL : MKV_CRASH_POWER, keep);
    mkv_trace_note(&lives->trace, kill ? "process killed" : "power lost", (uint64_t)keep,
                   mkv_drive_sim_image_hash(node->drive));
    if (lives->phase != MKV_PHASE_FORMATTING) {
        mkv_rot_metadata(&lives->faults[index], node);
        keep_image(lives, index);
    }
    lives->crash_image = mkv_random_mix(lives->crash_image ^ mkv_drive_sim_image_hash(node->drive));
}

void mkv_lives_crash(struct mkv_lives *lives, bool kill) {
    const bool formatting = lives->phase == MKV_PHASE_FORMATTING;
    lives->crash_count++;
    lives->killed = kill;
    lives->report->recoveries_cut += lives->crash_pending;
    lives->crash_image = 0;
    for (uint32_t node = 0; node < lives->node_count; node++) {
        crash_node(lives, node, kill);
    }
    mkv_model_crash(&lives->model);
    start_process(lives);
    if (formatting) {
        start_format(lives);
        return;
    }
    lives->crash_pending = true;
    start_opening(lives);
}

static void crash(struct mkv_lives *lives) {
    struct mkv_random *random = mkv_lives_random(lives, MKV_CONCERN_SCHEDULE);
    bool kill = mkv_random_chance(random, lives->shape->share_kill, 16);
    if (lives->fuse.cut) {
        lives->fuse.cut = false;
        lives->cut_off = true;
        kill = lives->options->cut_end == MKV_CUT_KILL;
        mkv_trace_note(&lives->trace, MKV_CUT_NOTE, lives->fuse.begun, 0);
    }
    mkv_lives_crash(lives, kill);
}

/* ---- phases that end ------------------------------------------------------------------------- */

static void update_report(struct mkv_lives *lives) {
    struct mkv_world_report *report = lives->report;
    report->evaluations = lives->model.evaluations;
    report->changes.listings = 0;
    for (uint32_t node = 0; node < lives->node_count; node++) {
        report->evaluations +=
            lives->audits[node].evaluations + lives->nodes[node].watch.evaluations +
            lives->nodes[node].watch.ledger.evaluations + lives->listings[node].evaluations;
        report->changes.listings += lives->listings[node].listings;
    }
    report->losses = lives->model.losses;
    report->fault_candidates = 0;
    for (uint32_t node = 0; node < lives->node_count; node++) {
        report->fault_candidates =
            mkv_max_u64(report->fault_candidates, lives->faults[node].candidates);
    }
    for (uint32_t fault = 0; fault < MKV_FAULT_COUNT; fault++) {
        report->hits[fault] = 0;
        for (uint32_t node = 0; node < lives->node_count; node++) {
            report->hits[fault] += lives->faults[node].hits[fault];
        }
    }
}

static void check_losses_reported(const struct mkv_lives *lives) {
    if (lives->model.losses > 0 && lives->reports == 0) {
        mkv_fail(MKV_ORACLE_DURABLE,
                 "%llu misses are explained by faults alone, and no event tells of any",
                 (unsigned long long)lives->model.losses);
    }
}

/* Reads back one key after another, several at a time. */
static bool all_read_back(struct mkv_lives *lives) {
    while (lives->verify_key < lives->content.key_count &&
           lives->clients->start_get(lives->world, lives->verify_key)) {
        lives->verify_key++;
    }
    const bool listed = listings_done(lives);
    return lives->verify_key == lives->content.key_count && listed &&
           lives->clients->is_idle(lives->world);
}

static void start_draining(struct mkv_lives *lives) {
    enter(lives, MKV_PHASE_DRAINING);
    lives->drain_lists = false;
    lives->passes = 0;
    lives->damage_misses = 1;
    lives->verify_key = lives->content.key_count;
}

static void verify(struct mkv_lives *lives) {
    if (!all_read_back(lives)) {
        return;
    }
    if (lives->crash_pending) {
        lives->crash_pending = false;
        lives->report->crashes++;
        if (lives->options->images != NULL) {
            mkv_images_add(lives->options->images, lives->crash_image);
        }
    }
    check_losses_reported(lives);
    update_report(lives);
    if (lives->last_life) {
        enter(lives, MKV_PHASE_DONE);
    } else if (lives->report->crashes >= lives->shape->crashes_max || lives->cut_off) {
        start_draining(lives);
    } else {
        start_working(lives);
    }
}

/* Whether the directory has got as far as it will: to the journal's head, or to its end. */
static bool directory_is_at_rest(const struct mkv_node *node) {
    struct mkv_volume_stats stats;
    mkv_volume_stats(node->volume, &stats);
    const enum mkv_directory_state state = stats.directory.state;
    return state == MKV_DIRECTORY_FULL || state == MKV_DIRECTORY_OFF ||
           (stats.directory_lag == 0 && mkv_volume_directory_complete(node->volume));
}

/* Lists what the directories hold when they have come to rest, and says whether that is done. */
static bool drained_is_listed(struct mkv_lives *lives) {
    for (uint32_t node = 0; node < lives->node_count && !lives->drain_lists; node++) {
        if (!directory_is_at_rest(&lives->nodes[node])) {
            return false;
        }
    }
    if (!lives->drain_lists) {
        lives->drain_lists = true;
        begin_listings(lives);
    }
    return listings_done(lives);
}

/* Whether reading everything back has met no damage any more: what was found is dropped. */
static bool damage_is_found(struct mkv_lives *lives) {
    if (!all_read_back(lives)) {
        return false;
    }
    for (uint32_t node = 0; node < lives->node_count; node++) {
        struct mkv_volume_stats stats;
        mkv_volume_stats(lives->nodes[node].volume, &stats);
        if (stats.ops_in_flight > 0 || mkv_drive_sim_in_flight(lives->nodes[node].drive) > 0) {
            return false;
        }
    }
    if (lives->damage_misses == 0 || lives->model.lying) {
        return true;
    }
    if (lives->passes++ == PASSES_MAX) {
        mkv_fail(MKV_ORACLE_DURABLE, "read again and again, damaged blocks are still there");
    }
    lives->damage_misses = 0;
    lives->verify_key = 0;
    return false;
}

static void drain(struct mkv_lives *lives) {
    if (!lives->clients->is_idle(lives->world) || !damage_is_found(lives) ||
        !drained_is_listed(lives)) {
        return;
    }
    mkv_model_settle(&lives->model);
    for (uint32_t node = 0; node < lives->node_count; node++) {
        mkv_audit_blocks(&lives->audits[node]);
    }
    mkv_tiers_check(&lives->tiers, lives->nodes[0].volume);
    mkv_audit_present(lives->audits, lives->node_count);
    enter(lives, MKV_PHASE_CLOSING);
    command(lives, MKV_ADMIN_CLOSE);
}

/* The process cannot go on: it is asked a little more, what is unanswered ends, then so does it. */
static void start_outage(struct mkv_lives *lives) {
    const bool working = lives->phase == MKV_PHASE_WORKING;
    enter(lives, MKV_PHASE_OUTAGE);
    lives->outage_work =
        working ? mkv_random_below(mkv_lives_random(lives, MKV_CONCERN_SCHEDULE), OUTAGE_WORK_MAX)
                : 0;
    lives->work_due_ns = lives->now_ns;
}

static void end_outage(struct mkv_lives *lives) {
    if (lives->outage_work > 0 || !lives->clients->is_idle(lives->world)) {
        return;
    }
    for (uint32_t node = 0; node < lives->node_count; node++) {
        if (lives->nodes[node].failed && mkv_drive_sim_in_flight(lives->nodes[node].drive) > 0) {
            return;
        }
    }
    update_report(lives);
    if (lives->model.lying && lives->failed_in_a_row > FAILED_OPENINGS_MAX) {
        enter(lives, MKV_PHASE_DONE); /* lies have made an end of the store */
        return;
    }
    crash(lives);
}

/* What follows from the phase without an input. */
static void advance(struct mkv_lives *lives) {
    if (lives->broken && lives->phase != MKV_PHASE_OUTAGE) {
        start_outage(lives);
    }
    const bool all_done = lives->nodes_done == lives->node_count;
    switch (lives->phase) {
    case MKV_PHASE_FORMATTING:
        if (all_done) {
            start_opening(lives);
        }
        break;
    case MKV_PHASE_OPENING:
        if (all_done) {
            start_verifying(lives);
        }
        break;
    case MKV_PHASE_VERIFYING:
        verify(lives);
        break;
    case MKV_PHASE_DRAINING:
        drain(lives);
        break;
    case MKV_PHASE_CLOSING:
        if (all_done) {
            /* The process ends well, and another one opens the drives. */
            for (uint32_t node = 0; node < lives->node_count; node++) {
                mkv_node_crash(&lives->nodes[node], MKV_CRASH_KILL, MKV_KEEP_NONE);
            }
            lives->last_life = true;
            start_process(lives);
            start_opening(lives);
        }
        break;
    case MKV_PHASE_OUTAGE:
        end_outage(lives);
        break;
    case MKV_PHASE_WORKING:
        if (lives->clients->is_over != NULL && lives->clients->is_over(lives->world)) {
            start_draining(lives);
        }
        break;
    case MKV_PHASE_DONE:
        break;
    }
}

/* ---- from the first to the last -------------------------------------------------------------- */

void mkv_lives_init(struct mkv_lives *lives, const struct mkv_world_options *options,
                    struct mkv_world_report *report, const struct mkv_lives_clients *clients,
                    void *world, uint32_t ops_max, bool in_order,
                    const struct mkv_lives_slabs *slabs,
                    void (*world_on_message)(void *world, uint32_t volume,
                                             const struct mkv_message *message,
                                             const uint8_t *data)) {
    const struct mkv_shape *shape = options->shape;
    MKV_ASSERT(shape->volume_count <= MKV_LIVES_NODES_MAX);
    memset(lives, 0, offsetof(struct mkv_lives, nodes));
    lives->options = options;
    lives->shape = shape;
    lives->report = report;
    lives->clients = clients;
    lives->world = world;
    lives->on_message = world_on_message;
    lives->node_count = shape->volume_count;
    for (uint32_t concern = 0; concern < MKV_CONCERN_COUNT; concern++) {
        mkv_random_seed(&lives->randoms[concern], shape->seed, (enum mkv_concern)concern);
        lives->randoms[concern].decisions = options->decisions;
    }
    mkv_trace_init(&lives->trace, shape->seed, options->log, options->entries_max);
    /* A value of several segments leaves room in its key for the names of these. */
    const uint32_t key_bytes_max = shape->length_max > shape->block_bytes_max
                                       ? MKV_KEY_BYTES_MAX - MKV_SEGMENT_KEY_SUFFIX_BYTES
                                       : MKV_KEY_BYTES_MAX;
    mkv_content_init(&lives->content, options->memory, mkv_random_mix(shape->seed),
                     shape->key_count, shape->colliding, key_bytes_max, shape->length_max);
    if (shape->long_keys) {
        mkv_content_lengthen(&lives->content, key_bytes_max);
    }
    mkv_model_init(&lives->model, options->memory, shape->key_count, in_order);
    lives->model.wall_s = mkv_wall_ms(0) / 1000;
    lives->model.has_memory = shape->memory_blocks > 0;
    lives->model.lying = (mkv_faults_relax(shape->faults.mask) & MKV_RELAX_LYING) != 0;
    for (uint32_t key = 0; key < shape->key_count; key++) {
        /* Segments go when their manifest is replaced. */
        lives->model.keys[key].replace_hides = shape->length_max > shape->block_bytes_max;
    }
    for (uint32_t node = 0; node < lives->node_count; node++) {
        /* Each drive draws for itself. */
        struct mkv_random drive_random;
        mkv_random_seed(&drive_random, shape->seed + node, MKV_CONCERN_DRIVE);
        struct mkv_random fault_random;
        mkv_random_seed(&fault_random, shape->seed + node, MKV_CONCERN_FAULTS);
        drive_random.decisions = options->decisions;
        fault_random.decisions = options->decisions;
        struct mkv_faults *faults = &lives->faults[node];
        mkv_faults_init(faults, options->memory, &shape->faults, &shape->geometry,
                        shape->profile.tear_bytes, &fault_random);
        faults->context = &lives->nodes[node];
        faults->on_struck = mkv_lives_on_struck;
        const struct mkv_node_options node_options = {
            .volume = node,
            .ops_max = ops_max + 1, /* and the listing */
            .shape = shape,
            .content = &lives->content,
            .drive_random = drive_random,
            .faults = faults,
            .slabs = slabs->memory,
            .slabs_bytes = slabs->bytes,
            .slab_stride = slabs->stride,
            .guard = &lives->guard,
            .trace = &lives->trace,
            .fuse = &lives->fuse,
            .lives = lives,
            .on_message = mkv_lives_on_message,
            .on_event = mkv_lives_on_event,
        };
        mkv_node_init(&lives->nodes[node], options->memory, &node_options);
        lives->nodes[node].watch.blind = lives->model.lying;
        lives->nodes[node].watch.faulty = mkv_faults_relax(shape->faults.mask) != 0;
        mkv_audit_init(&lives->audits[node], options->memory, &lives->nodes[node], &lives->content,
                       &lives->model, faults);
        mkv_listing_init(&lives->listings[node], &lives->nodes[node], faults);
    }
    lives->fuse.cut_at = options->cut_at;
    lives->cut_off = false;
    mkv_tiers_init(&lives->tiers, options->memory, shape, &lives->nodes[0].watch);
    lives->now_ns = 0;
    lives->client_turns = 0;
    lives->crash_pending = false;
    lives->last_life = false;
    lives->phase = MKV_PHASE_FORMATTING;
    lives->broken = false;
    lives->failed_in_a_row = 0;
    lives->emptyings = 0;
    lives->outage_work = 0;
    lives->reports = 0;
    lives->damage_misses = 0;
    set_calm(lives);
}

void mkv_lives_begin(struct mkv_lives *lives) {
    start_process(lives);
    start_format(lives);
}

void mkv_lives_step(struct mkv_lives *lives) {
    MKV_ASSERT(lives->phase != MKV_PHASE_DONE);
    if (!lives->fuse.blown) {
        mkv_lives_turn(lives);
    }
    if (lives->fuse.blown) {
        crash(lives);
    } else {
        advance(lives);
    }
    if (++lives->turns > LIVES_TURNS_MAX) {
        mkv_fail(MKV_ORACLE_ANSWERS, "no progress in phase %u: %u operations are unanswered",
                 (unsigned)lives->phase, lives->clients->unanswered(lives->world));
    }
    lives->report->trace_hash = lives->trace.hash;
    lives->report->entries = lives->trace.entries;
    lives->report->begun = lives->fuse.begun;
}

void mkv_lives_run(struct mkv_lives *lives) {
    mkv_lives_begin(lives);
    while (lives->phase != MKV_PHASE_DONE) {
        mkv_lives_step(lives);
    }
}
