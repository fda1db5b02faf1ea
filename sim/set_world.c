/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/set_world.h"

#include <string.h>

#include "core/bytes.h"
#include "sim/evictions.h"
#include "sim/failure.h"
#include "sim/images.h"

#define OPS_MAX 12u
#define LIFE_TURNS_MAX 200000u
#define LIVES_MAX 400u
#define TICK_NS_MAX 100000u
/* Inputs and effects of a life that is cut: early, in openings and changes, or at work. */
#define CUT_EARLY_SPAN 500u
#define CUT_SPAN 5000u
#define CUT_EARLY_ONE_IN 3u
/* Those of a first start that is cut while it formats. */
#define CUT_FORMAT_SPAN 90u
/* Of these many lives one ends when its work is done, or its drives are gone. */
#define UNCUT_ONE_IN 4u
/* Of these many steps of work one makes a drive be gone. */
#define GONE_ONE_IN 160u
/* Of these many steps of work in one the operator takes a drive out, or brings one back. */
#define WISH_ONE_IN 24u
/* One life of these many is calm: no drive is gone in it, nothing cuts it, and it is longer. */
#define CALM_ONE_IN 6u
#define CALM_TURNS_MAX 6000u
#define GONE_TOO_ONE_IN 2u
#define GONE_CUT_ONE_IN 2u
#define GONE_CUT_SPAN 160u
/* Turns of a life in which there is work. */
#define WORK_TURNS_MAX 2000u
/* Of these many lives one has every drive, and of those that miss one the operator speaks in one.
 */
#define ALL_PRESENT_ONE_IN 3u
#define WORD_ONE_IN 2u
/* Before one life of these many a wrong drive is tried. */
#define WRONG_ONE_IN 16u
/* In one run of these many he never speaks. */
#define SILENT_ONE_IN 3u

/* ---- drives and their set -------------------------------------------------------------------- */

static uint32_t bit(uint32_t drive) {
    return 1u << drive;
}

static struct mkv_uuid draw_uuid(struct set_world *world) {
    struct mkv_uuid uuid;
    world->uuids_drawn++;
    mkv_store_u64(uuid.bytes, mkv_random_mix(world->shape->seed + world->uuids_drawn));
    mkv_store_u64(uuid.bytes + 8, world->uuids_drawn);
    return uuid;
}

/* What the decision is asked: room for all that it points to. */
struct asked {
    struct mkv_drive_claim claims[SET_DRIVES_MAX];
    struct mkv_uuid fresh[SET_DRIVES_MAX + 1];
    struct mkv_uuid lost[SET_DRIVES_MAX];
    struct mkv_drive_set_question question;
};

static void ask(struct set_world *world, uint32_t lost, struct asked *asked) {
    asked->question = (struct mkv_drive_set_question){.count = world->configured,
                                                      .claims = asked->claims,
                                                      .lost = asked->lost,
                                                      .fresh = asked->fresh};
    asked->fresh[0] = draw_uuid(world);
    for (uint32_t i = 0; i < world->configured; i++) {
        struct mkv_drive_claim *claim = &asked->claims[i];
        asked->fresh[1 + i] = draw_uuid(world);
        mkv_set_drive_claim(&world->drives[i], claim);
        if (claim->kind == MKV_DRIVE_CLAIM_BLANK && world->drives[i].ever_formatted) {
            mkv_fail(MKV_ORACLE_DURABLE, "no two superblocks of drive %u agree", i);
        }
        if (lost & bit(i)) {
            asked->lost[asked->question.lost_count++] = claim->drive_uuid;
        }
        if ((world->present & bit(i)) == 0) {
            *claim = (struct mkv_drive_claim){0};
        }
    }
}

static void decide(struct set_world *world, uint32_t lost) {
    struct asked asked;
    ask(world, lost, &asked);
    mkv_drive_set_decide(&asked.question, &world->plan);
    mkv_set_rows_count(&world->plan, world->configured, world->report);
    mkv_trace_note(&world->trace, "drives decided upon", world->present | lost << 8,
                   (uint64_t)world->plan.refusal << 32 | world->plan.first.version);
}

/* Somebody puts a drive in that does not belong here, looks at what the node says of it, and takes
 * it out again. */
static void try_wrong_drive(struct set_world *world) {
    struct mkv_random *random = set_random(world, MKV_CONCERN_SCHEDULE);
    struct asked asked;
    ask(world, 0, &asked);
    uint32_t stores[SET_DRIVES_MAX];
    uint32_t count = 0;
    for (uint32_t drive = 0; drive < world->configured; drive++) {
        if (asked.claims[drive].kind == MKV_DRIVE_CLAIM_STORE) {
            stores[count++] = drive;
        }
    }
    const uint32_t kind = mkv_random_below(random, 3);
    if (count < 2) {
        return;
    }
    static const enum mkv_drive_set_refusal expected[] = {MKV_DRIVE_SET_FOREIGN,
                                                          MKV_DRIVE_SET_TWINS, MKV_DRIVE_SET_TORN};
    struct mkv_drive_claim *wrong = &asked.claims[stores[1]];
    if (kind == 0) {
        wrong->store_uuid = asked.fresh[0];
    } else if (kind == 1) {
        *wrong = asked.claims[stores[0]];
    } else {
        wrong->drive_uuid = asked.fresh[0];
    }
    struct mkv_drive_set_plan plan;
    mkv_drive_set_decide(&asked.question, &plan);
    mkv_set_rows_count(&plan, world->configured, world->report);
    if (plan.refusal != expected[kind]) {
        mkv_fail(MKV_ORACLE_DURABLE, "drive %u is wrong in way %u, and refusal %u says so",
                 stores[1], kind, (unsigned)plan.refusal);
    }
}

static uint32_t drives_of(struct set_world *world, const struct mkv_uuid *uuids, uint32_t count) {
    uint32_t drives = 0;
    for (uint32_t drive = 0; drive < world->configured; drive++) {
        struct mkv_drive_claim claim;
        mkv_set_drive_claim(&world->drives[drive], &claim);
        for (uint32_t i = 0; i < count; i++) {
            if (claim.kind == MKV_DRIVE_CLAIM_STORE && mkv_uuid_equal(claim.drive_uuid, uuids[i])) {
                drives |= bit(drive);
            }
        }
    }
    return drives;
}

/* The drives that the operator would give up so that the others go on; 0: none (I1). */
static uint32_t find_word(struct set_world *world, uint32_t lost) {
    uint32_t word = lost;
    if (world->plan.refusal == MKV_DRIVE_SET_MISSING) {
        word |= drives_of(world, world->plan.missing, world->plan.missing_count);
    } else if (world->plan.refusal == MKV_DRIVE_SET_TWO_SETS) {
        const uint32_t unserved =
            (bit(world->plan.drive) | bit(world->plan.other)) & ~world->served;
        word |= unserved != 0 ? unserved : bit(world->plan.drive);
    }
    const bool one_is_left = (world->present & world->served & ~word) != 0;
    return one_is_left && word != lost ? word : 0;
}

static uint64_t set_version(const struct set_world *world, uint32_t drive) {
    struct mkv_drive_claim claim;
    mkv_set_drive_claim(&world->drives[drive], &claim);
    return claim.set.version;
}

/* Whether a node can be run on the drives that are there, with the operator's word if it takes one
 * and he likes. */
static bool judge(struct set_world *world, bool last_life) {
    uint32_t lost = 0;
    bool two_sets = false;
    if (mkv_random_chance(set_random(world, MKV_CONCERN_SCHEDULE), 1, WRONG_ONE_IN)) {
        try_wrong_drive(world);
    }
    decide(world, lost);
    for (uint32_t tries = 0; tries < SET_DRIVES_MAX + 1; tries++) {
        if (world->plan.refusal == MKV_DRIVE_SET_ACCEPTED) {
            break;
        }
        const uint32_t word = find_word(world, lost);
        two_sets = two_sets || world->plan.refusal == MKV_DRIVE_SET_TWO_SETS;
        const bool speaks =
            last_life || lost != 0 ||
            (world->operator_speaks &&
             mkv_random_chance(set_random(world, MKV_CONCERN_SCHEDULE), 1, WORD_ONE_IN));
        if (world->plan.refusal == MKV_DRIVE_SET_TWO_SETS && world->words < 2) {
            mkv_fail(MKV_ORACLE_NO_RETURN,
                     "drives %u and %u name two sets of version %llu, after %u words",
                     world->plan.drive, world->plan.other,
                     (unsigned long long)set_version(world, world->plan.drive), world->words);
        }
        if (word == 0 || !speaks) {
            return false;
        }
        lost = word;
        decide(world, lost);
    }
    if (world->plan.refusal != MKV_DRIVE_SET_ACCEPTED) {
        return false;
    }
    uint32_t kept = 0;
    for (uint32_t drive = 0; drive < world->configured; drive++) {
        const enum mkv_drive_action action = world->plan.actions[drive];
        kept |= action == MKV_DRIVE_KEEP || action == MKV_DRIVE_KEEP_AND_RAISE ? bit(drive) : 0;
    }
    const bool taken_back =
        mkv_set_operator_gave_up(&world->word, kept) && (world->served & ~world->present) != 0;
    if (lost == 0 ? taken_back : (kept & world->served) == 0) {
        return false; /* I1 */
    }
    world->words += lost != 0;
    if (lost != 0) {
        mkv_set_operator_says(&world->word, kept, lost);
        world->report
            ->set_rows[two_sets ? MKV_SET_ROW_LOST_OF_TWO_SETS : MKV_SET_ROW_LOST_MISSING]++;
    }
    if ((world->served & ~world->failed) != 0 && (kept & world->served) == 0) {
        mkv_fail(MKV_ORACLE_NO_RETURN,
                 "drives 0x%x are opened, and none of 0x%x, which were served last", kept,
                 world->served);
    }
    return true;
}

void mkv_set_world_event(struct set_world *world, uint32_t index, const struct mkv_event *event) {
    struct set_drive *drive = &world->drives[index];
    if (event->kind == MKV_EVENT_FORMATTED) {
        drive->formatted = true;
        drive->ever_formatted = true;
        return;
    }
    if (event->kind == MKV_EVENT_BLOCK_EVICTED) {
        mkv_set_keys_evicted(world, event->value[1]);
    }
    const bool bad =
        event->kind == MKV_EVENT_OPEN_FAILED || event->kind == MKV_EVENT_CAME_UP_EMPTY ||
        event->kind == MKV_EVENT_BLOCK_QUARANTINED || event->kind == MKV_EVENT_DRIVE_ERROR;
    if (bad && !drive->gone) {
        mkv_fail(MKV_ORACLE_DURABLE, "volume %u reports event %u, error %u, of a sound drive",
                 index, (unsigned)event->kind, (unsigned)event->err);
    }
    if (world->running) {
        mkv_drive_set_run_event(&world->run, index, event);
    }
}

/* Tells volumes what the run says, and judges keys anew when they are routed anew. */
static void advance(struct set_world *world) {
    struct mkv_drive_set_command command;
    while (!world->fuse.blown && mkv_drive_set_run_next(&world->run, &command)) {
        struct set_drive *drive = &world->drives[command.volume];
        MKV_ASSERT(drive->volume != NULL);
        if (command.admin == MKV_ADMIN_PURGE) {
            mkv_set_keys_purged(world);
        }
        struct mkv_input input = {.kind = MKV_INPUT_ADMIN,
                                  .admin = command.admin,
                                  .data = (const uint8_t *)&command.set,
                                  .data_bytes = sizeof command.set};
        if (mkv_set_drive_step(drive, &input) != MKV_OK) {
            mkv_drive_set_run_refused(&world->run, command.volume);
        } else if (command.admin == MKV_ADMIN_CLOSE) {
            mkv_drive_set_run_closing(&world->run, command.volume);
        }
    }
    if (world->run.ready && world->run.routed.version != world->routed_version) {
        world->routed_version = world->run.routed.version;
        mkv_set_keys_routed(world);
        world->served = 0;
        for (uint32_t drive = 0; drive < world->configured; drive++) {
            const bool member = mkv_drive_set_find(&world->run.routed,
                                                   world->plan.drive_uuids[drive]) != MKV_NONE_U32;
            world->served |= member && (world->present & bit(drive)) ? bit(drive) : 0;
        }
        mkv_set_operator_served(&world->word, world->served);
        world->failed = 0;
        if (world->served == bit(world->drive_count) - 1) {
            world->words = 0;
        }
        mkv_trace_note(&world->trace, "keys go by set", world->routed_version, world->served);
    }
}

/* ---- time ------------------------------------------------------------------------------------ */

static void drive_goes(struct set_world *world, uint32_t drive) {
    if (world->drives[drive].volume == NULL || world->drives[drive].gone) {
        return;
    }
    world->drives[drive].gone = true;
    world->failed |= world->run.ready ? bit(drive) : 0;
    mkv_trace_note(&world->trace, "drive gone", drive, 0);
    if (mkv_random_chance(set_random(world, MKV_CONCERN_SCHEDULE), 1, GONE_CUT_ONE_IN)) {
        /* The process ends while it takes the drive out of the set. */
        world->fuse.left = (uint32_t)mkv_min_u64(
            world->fuse.left,
            mkv_random_below(set_random(world, MKV_CONCERN_SCHEDULE), GONE_CUT_SPAN));
    }
}

/* Whether nothing of the volume is under way, nor of its drive: then it may be made anew. */
static bool is_quiet(const struct set_drive *drive) {
    struct mkv_volume_stats stats;
    if (drive->volume == NULL) {
        return false;
    }
    mkv_volume_stats(drive->volume, &stats);
    return (stats.state == MKV_VOLUME_CLOSED || stats.state == MKV_VOLUME_FAILED) &&
           stats.ops_in_flight == 0 && drive->gone_count == 0 &&
           mkv_drive_sim_in_flight(drive->drive) == 0;
}

/* What the drive set says of the drive, which was put in again. */
static void admit(struct set_world *world, uint32_t drive,
                  struct mkv_drive_set_admission *admission) {
    const struct mkv_drive_set *served = &world->run.current;
    struct mkv_drive_claim claim;
    mkv_set_drive_claim(&world->drives[drive], &claim);
    const struct mkv_drive_set_guest guest = {
        .claim = &claim,
        .served = served,
        .store_uuid = world->plan.store_uuid,
        .fresh = draw_uuid(world),
        .member_units = mkv_geometry_usable_units(&world->shape->geometry),
        .member_weight = served->members[0].weight,
    };
    mkv_drive_set_admit(&guest, admission);
}

/* The operator brings back a drive that was taken out, or was gone: with power all the time, or
 * without. */
static void bring_back(struct set_world *world, uint32_t index) {
    struct mkv_random *random = set_random(world, MKV_CONCERN_SCHEDULE);
    struct set_drive *drive = &world->drives[index];
    if (!is_quiet(drive) ||
        mkv_drive_set_run_may_join(&world->run, index) != MKV_DRIVE_SET_GRANTED) {
        return;
    }
    const enum mkv_crash_keep keep =
        (enum mkv_crash_keep)mkv_random_below(random, MKV_CRASH_KEEP_COUNT);
    const bool power_was_lost = drive->gone || mkv_random_chance(random, 1, 2);
    mkv_drive_sim_crash(drive->drive, power_was_lost ? MKV_CRASH_POWER : MKV_CRASH_KILL, keep);
    mkv_set_drive_flush(drive);
    struct mkv_drive_set_admission admission;
    admit(world, index, &admission);
    if (admission.refusal != MKV_DRIVE_SET_ACCEPTED || admission.action != MKV_DRIVE_JOIN_EMPTY) {
        mkv_fail(MKV_ORACLE_ANSWERS, "drive %u was taken out, and refusal %u keeps it out", index,
                 (unsigned)admission.refusal);
    }
    mkv_set_drive_start(drive);
    world->plan.weights[index] = admission.member.weight;
    const enum mkv_drive_set_verdict verdict =
        mkv_drive_set_run_join(&world->run, index, admission.member);
    MKV_ASSERT(verdict == MKV_DRIVE_SET_GRANTED);
    world->report->set_rows[MKV_SET_ROW_BROUGHT_BACK]++;
    mkv_trace_note(&world->trace, "drive brought back", index, admission.member.weight);
}

/* The operator takes a drive out, or brings one back. */
static void wish(struct set_world *world, uint32_t drive) {
    if (world->drives[drive].volume == NULL || !world->run.ready) {
        return;
    }
    if (world->run.volumes[drive].role == MKV_DRIVE_SET_OUT) {
        bring_back(world, drive);
    } else if (mkv_drive_set_run_leave(&world->run, drive) == MKV_DRIVE_SET_GRANTED) {
        world->failed |= bit(drive); /* as good as: its blocks are given up */
        world->report->set_rows[MKV_SET_ROW_TAKEN_OUT]++;
        mkv_trace_note(&world->trace, "drive is to leave", drive, 0);
    }
}

static void work(struct set_world *world) {
    struct mkv_random *random = set_random(world, MKV_CONCERN_WORKLOAD);
    world->work_due_ns = world->now_ns + 1 + mkv_random_below(random, world->shape->think_ns);
    const uint32_t drive = mkv_random_below(random, world->configured);
    const uint32_t key = mkv_random_below(random, world->content.key_count);
    if (!world->last_life && !world->calm && mkv_random_chance(random, 1, GONE_ONE_IN)) {
        drive_goes(world, drive);
        if (mkv_random_chance(random, 1, GONE_TOO_ONE_IN)) {
            drive_goes(world, (drive + 1) % world->configured);
        }
    }
    if (!world->last_life && mkv_random_chance(random, 1, WISH_ONE_IN)) {
        wish(world, drive);
    }
    if (!world->run.ready) {
        return;
    }
    if (world->verify_key < world->content.key_count) {
        if (mkv_set_client_start(world, world->verify_key, true)) {
            world->verify_key++;
        }
        return;
    }
    const uint64_t number = world->client_turns++;
    world->report->client_turns = world->client_turns;
    if (!mkv_shape_has_turn(world->shape, number)) {
        return;
    }
    if (mkv_random_chance(random, world->shape->weight_checkpoint, 64) &&
        world->drives[drive].volume != NULL) {
        struct mkv_input input = {.kind = MKV_INPUT_ADMIN, .admin = MKV_ADMIN_CHECKPOINT};
        (void)mkv_set_drive_step(&world->drives[drive], &input);
        return;
    }
    (void)mkv_set_client_start(world, key, false);
}

static void tick(struct set_world *world) {
    const uint32_t span = (uint32_t)world->shape->idle_ns + TICK_NS_MAX;
    world->tick_due_ns =
        world->now_ns + 1 + mkv_random_below(set_random(world, MKV_CONCERN_SCHEDULE), span);
    for (uint32_t drive = 0; drive < world->drive_count; drive++) {
        struct mkv_input input = {.kind = MKV_INPUT_TICK};
        if (world->drives[drive].volume != NULL) {
            (void)mkv_set_drive_step(&world->drives[drive], &input);
        }
    }
}

/* Takes the one thing that is due first. */
static void turn(struct set_world *world, bool works) {
    uint64_t drive_ns = UINT64_MAX;
    uint32_t drive = 0;
    for (uint32_t i = 0; i < world->drive_count; i++) {
        if (mkv_set_drive_due_ns(&world->drives[i]) < drive_ns) {
            drive_ns = mkv_set_drive_due_ns(&world->drives[i]);
            drive = i;
        }
    }
    const uint64_t client_ns = mkv_set_clients_due_ns(world);
    const uint64_t work_ns = works ? world->work_due_ns : UINT64_MAX;
    const uint64_t due_ns =
        mkv_min_u64(mkv_min_u64(drive_ns, client_ns), mkv_min_u64(work_ns, world->tick_due_ns));
    world->now_ns = mkv_max_u64(world->now_ns, due_ns);
    if (due_ns == drive_ns) {
        mkv_set_drive_act(&world->drives[drive]);
    } else if (due_ns == client_ns) {
        mkv_set_clients_act(world);
    } else if (due_ns == work_ns) {
        work(world);
    } else {
        tick(world);
    }
    for (uint32_t i = 0; i < world->drive_count; i++) {
        struct set_drive *other = &world->drives[i];
        while (!world->fuse.blown && other->volume != NULL && mkv_volume_has_work(other->volume)) {
            struct mkv_input input = {.kind = MKV_INPUT_TICK};
            (void)mkv_set_drive_step(other, &input);
        }
    }
}

/* ---- lives ----------------------------------------------------------------------------------- */

static void draw_presence(struct set_world *world, bool last_life) {
    struct mkv_random *random = set_random(world, MKV_CONCERN_SCHEDULE);
    if (world->configured < world->drive_count &&
        (last_life || (world->served != 0 && mkv_random_chance(random, 1, 4)))) {
        world->configured = world->drive_count; /* a drive more than the store was made of */
    }
    world->present = bit(world->configured) - 1;
    const bool started = world->served != 0;
    if (last_life || mkv_random_chance(random, started ? 1 : 2, ALL_PRESENT_ONE_IN)) {
        return;
    }
    for (uint32_t drive = 0; drive < world->configured; drive++) {
        if (mkv_random_chance(random, 1, 2)) {
            world->present &= ~bit(drive);
        }
    }
}

static void configure_drives(struct set_world *world) {
    for (uint32_t drive = 0; drive < world->configured; drive++) {
        struct mkv_volume_config *config = &world->drives[drive].config;
        config->store_uuid = world->plan.store_uuid;
        config->drive_uuid = world->plan.drive_uuids[drive];
        config->drive_set = world->plan.newest;
        if (mkv_drive_set_find(&world->plan.newest, config->drive_uuid) == MKV_NONE_U32) {
            mkv_drive_set_outside(config->drive_uuid, &config->drive_set);
        }
    }
}

static void format_drives(struct set_world *world) {
    for (uint32_t drive = 0; drive < world->configured && !world->fuse.blown; drive++) {
        if (world->plan.actions[drive] != MKV_DRIVE_FORMAT) {
            continue;
        }
        mkv_set_drive_start(&world->drives[drive]);
        struct mkv_input input = {.kind = MKV_INPUT_ADMIN, .admin = MKV_ADMIN_FORMAT};
        (void)mkv_set_drive_step(&world->drives[drive], &input);
        while (!world->drives[drive].formatted && !world->fuse.blown) {
            turn(world, false);
        }
    }
}

/* Whether no member is left, so that nothing can be served any more. */
static bool all_are_gone(const struct set_world *world) {
    bool gone = world->run.ready;
    for (uint32_t drive = 0; drive < world->configured; drive++) {
        const struct mkv_drive_set_volume *volume = &world->run.volumes[drive];
        const bool member = volume->role == MKV_DRIVE_SET_MEMBER;
        gone = gone && volume->life != MKV_DRIVE_SET_OPENING &&
               !(member && volume->life == MKV_DRIVE_SET_SERVING);
    }
    return gone;
}

/* Whether a life that nothing cuts has come to its end. */
static bool is_over(const struct set_world *world, uint32_t work_turns) {
    if (world->run.state == MKV_DRIVE_SET_STUCK || all_are_gone(world)) {
        return true;
    }
    return world->run.ready && world->verify_key == world->content.key_count &&
           mkv_set_clients_idle(world) && world->run.state == MKV_DRIVE_SET_SETTLED &&
           work_turns == 0;
}

/* Serves until the fuse blows or the work is done. */
static void run_node(struct set_world *world, bool last_life) {
    uint32_t work_turns = last_life
                              ? 0
                              : mkv_random_below(set_random(world, MKV_CONCERN_SCHEDULE),
                                                 world->calm ? CALM_TURNS_MAX : WORK_TURNS_MAX);
    world->running = true;
    world->routed_version = 0;
    mkv_drive_set_run_begin(&world->run, &world->plan);
    for (uint32_t drive = 0; drive < world->configured; drive++) {
        if (world->plan.actions[drive] != MKV_DRIVE_ABSENT) {
            mkv_set_drive_start(&world->drives[drive]);
        }
    }
    advance(world);
    for (uint32_t turns = 0; !world->fuse.blown && !is_over(world, work_turns); turns++) {
        const bool works = work_turns > 0 || world->verify_key < world->content.key_count;
        turn(world, works);
        if (!world->fuse.blown) {
            advance(world);
        }
        work_turns -= work_turns > 0;
        if (turns > LIFE_TURNS_MAX) {
            mkv_fail(MKV_ORACLE_ANSWERS, "no progress: the drive set is in state %u",
                     (unsigned)world->run.state);
        }
        world->report->trace_hash = world->trace.hash;
        world->report->entries = world->trace.entries;
    }
}

/* Returns a hash of what the drives hold now, all of them together. */
static uint64_t end_life(struct set_world *world) {
    uint64_t image = 0;
    struct mkv_random *random = set_random(world, MKV_CONCERN_SCHEDULE);
    const bool kill = mkv_random_chance(random, world->shape->share_kill, 16);
    if (world->running) {
        mkv_set_clients_crash(world);
    }
    world->running = false;
    for (uint32_t drive = 0; drive < world->configured; drive++) {
        struct set_drive *own = &world->drives[drive];
        const enum mkv_crash_keep keep =
            (enum mkv_crash_keep)mkv_random_below(random, MKV_CRASH_KEEP_COUNT);
        if (own->volume != NULL) {
            struct mkv_volume_stats stats;
            mkv_volume_stats(own->volume, &stats);
            mkv_changes_of(&world->report->changes, &stats);
            if (world->trace.log != NULL) {
                mkv_drive_sim_print_pending(own->drive, world->trace.log);
            }
            mkv_drive_sim_crash(own->drive, kill ? MKV_CRASH_KILL : MKV_CRASH_POWER, keep);
            own->volume = NULL;
        }
        image = mkv_random_mix(image ^ mkv_drive_sim_image_hash(own->drive));
    }
    mkv_trace_note(&world->trace, "the process ends", kill, world->served);
    mkv_guard_reset(&world->guard);
    return image;
}

static void live(struct set_world *world, bool last_life) {
    struct mkv_random *random = set_random(world, MKV_CONCERN_SCHEDULE);
    world->last_life = last_life;
    draw_presence(world, last_life);
    world->fuse = (struct mkv_fuse){0};
    world->verify_key = 0;
    world->work_due_ns = world->now_ns;
    world->tick_due_ns = world->now_ns;
    for (uint32_t drive = 0; drive < world->configured; drive++) {
        if (world->present & bit(drive)) {
            mkv_set_drive_flush(&world->drives[drive]);
        }
    }
    if (!judge(world, last_life)) {
        if (last_life) {
            mkv_fail(MKV_ORACLE_ANSWERS, "all drives are there, and no node runs on them: %u",
                     (unsigned)world->plan.refusal);
        }
        return;
    }
    world->calm = !last_life && world->served != 0 && mkv_random_chance(random, 1, CALM_ONE_IN);
    if (!last_life && !world->calm && !mkv_random_chance(random, 1, UNCUT_ONE_IN)) {
        const bool early = mkv_random_chance(random, 1, CUT_EARLY_ONE_IN);
        world->fuse.armed = true;
        world->fuse.left = mkv_random_below(random, early ? CUT_EARLY_SPAN : CUT_SPAN);
        if (world->served == 0 && mkv_random_chance(random, 15, 16)) {
            world->fuse.left = mkv_random_below(random, CUT_FORMAT_SPAN);
        }
    }
    configure_drives(world);
    format_drives(world);
    if (!world->fuse.blown) {
        run_node(world, last_life);
    }
    if (last_life && (!world->run.ready || world->verify_key < world->content.key_count ||
                      world->served != bit(world->drive_count) - 1)) {
        mkv_fail(MKV_ORACLE_ANSWERS, "all drives are there, and drives 0x%x serve", world->served);
    }
    const bool verified = world->running && world->verify_key == world->content.key_count;
    world->report->recoveries_cut += !verified;
    const uint64_t image = end_life(world);
    if (verified && !last_life) {
        world->report->crashes++;
        if (world->options->images != NULL) {
            mkv_images_add(world->options->images, image);
        }
    }
}

/* ---- making one ------------------------------------------------------------------------------ */

static void make_drive(struct set_world *world, uint32_t index) {
    const struct mkv_shape *shape = world->shape;
    struct mkv_memory *memory = world->options->memory;
    struct set_drive *drive = &world->drives[index];
    struct mkv_random random;
    mkv_random_seed(&random, shape->seed + index, MKV_CONCERN_DRIVE);
    drive->world = world;
    drive->index = index;
    drive->config = (struct mkv_volume_config){
        .volume = index,
        .capacity_units = shape->geometry.capacity_units,
        .geometry = shape->geometry,
        .ops_max = OPS_MAX,
        .window_units = shape->window_units,
        .step_pages = shape->step_pages,
        .step_slots = shape->step_slots,
        .step_clear_bytes = shape->step_clear_bytes,
        .idle_ns = shape->idle_ns,
        .empty_ns_max = shape->empty_ns_max,
        .empty_grain_ns = shape->empty_grain_ns,
        .trim = shape->trim,
        .trim_idle_ns = shape->trim_idle_ns,
        .session_max = shape->session_max,
        .session_block_max = shape->session_block_max,
    };
    drive->arena_bytes = mkv_volume_memory_required(&drive->config);
    drive->arena = mkv_memory_take(memory, drive->arena_bytes, MKV_UNIT_BYTES);
    drive->drive = mkv_drive_sim_create(memory, &shape->profile, &random, &world->guard);
    struct mkv_fault_plan plan = shape->faults;
    plan.mask &= MKV_FAULTS_OF_SET;
    mkv_faults_init(&drive->faults, memory, &plan, &shape->geometry, shape->profile.tear_bytes,
                    &random);
    mkv_drive_sim_set_faults(drive->drive, memory, &drive->faults);
    mkv_drive_sim_attach(drive->drive, &(struct mkv_drive_memory_map){0});
}

void mkv_set_world_run(const struct mkv_world_options *options, struct mkv_world_report *report) {
    const struct mkv_shape *shape = options->shape;
    struct set_world *world = mkv_memory_take(options->memory, sizeof *world, 64);
    memset(world, 0, sizeof *world);
    world->options = options;
    world->shape = shape;
    world->report = report;
    world->drive_count = shape->volume_count;
    for (uint32_t concern = 0; concern < MKV_CONCERN_COUNT; concern++) {
        mkv_random_seed(&world->randoms[concern], shape->seed, (enum mkv_concern)concern);
    }
    mkv_trace_init(&world->trace, shape->seed, options->log, options->entries_max);
    mkv_content_init(&world->content, options->memory, mkv_random_mix(shape->seed),
                     shape->key_count, 0, MKV_KEY_BYTES_MAX, shape->length_max);
    world->slab_stride = MKV_UNIT_BYTES + shape->length_max;
    world->slabs_bytes = SET_CLIENTS_MAX * world->slab_stride;
    world->slabs = mkv_memory_take(options->memory, world->slabs_bytes, MKV_UNIT_BYTES);
    for (uint32_t drive = 0; drive < world->drive_count; drive++) {
        make_drive(world, drive);
    }
    for (uint32_t key = 0; key < shape->key_count; key++) {
        world->keys[key].count = 1; /* nothing */
    }
    /* A store of as many drives as there are, or of one fewer. */
    world->configured =
        world->drive_count - mkv_random_below(&world->randoms[MKV_CONCERN_SCHEDULE], 2);
    world->operator_speaks =
        !mkv_random_chance(&world->randoms[MKV_CONCERN_SCHEDULE], 1, SILENT_ONE_IN);
    for (uint32_t lives = 0; lives < LIVES_MAX && report->crashes < shape->crashes_max; lives++) {
        live(world, false);
    }
    live(world, true);
    report->trace_hash = world->trace.hash;
    report->entries = world->trace.entries;
}
