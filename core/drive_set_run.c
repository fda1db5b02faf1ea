/* SPDX-License-Identifier: Apache-2.0 */
#include "core/drive_set_run.h"

#include <string.h>

#include "core/canary.h"

/* Changes of state in one call: each of the four once, and the way back from purging. */
#define TURNS_MAX 8u

static bool in_set(const struct mkv_drive_set *set, const struct mkv_drive_set_volume *volume) {
    return mkv_drive_set_find(set, volume->member.uuid) != MKV_NONE_U32;
}

static bool is_member(const struct mkv_drive_set_run *run,
                      const struct mkv_drive_set_volume *volume) {
    return volume->role == MKV_DRIVE_SET_MEMBER && in_set(&run->current, volume);
}

/* Whether the volume's drive has no part in what is served any more. */
static bool is_gone(const struct mkv_drive_set_volume *volume) {
    return volume->life == MKV_DRIVE_SET_FAILED || volume->life == MKV_DRIVE_SET_CLOSING ||
           volume->life == MKV_DRIVE_SET_LEFT;
}

static uint32_t members_gone(const struct mkv_drive_set_run *run) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < run->count; i++) {
        count += is_member(run, &run->volumes[i]) && is_gone(&run->volumes[i]);
    }
    return count;
}

static uint32_t members_in(const struct mkv_drive_set_run *run, enum mkv_drive_set_life life) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < run->count; i++) {
        count += is_member(run, &run->volumes[i]) && run->volumes[i].life == life;
    }
    return count;
}

static enum mkv_drive_set_role role_of(const struct mkv_drive_set_plan *plan, uint32_t drive) {
    switch (plan->actions[drive]) {
    case MKV_DRIVE_KEEP:
    case MKV_DRIVE_KEEP_AND_RAISE:
        return MKV_DRIVE_SET_MEMBER;
    case MKV_DRIVE_JOIN_EMPTY:
        return MKV_DRIVE_SET_JOINER;
    case MKV_DRIVE_FORMAT:
        return mkv_drive_set_find(&plan->newest, plan->drive_uuids[drive]) != MKV_NONE_U32
                   ? MKV_DRIVE_SET_MEMBER
                   : MKV_DRIVE_SET_JOINER;
    case MKV_DRIVE_ABSENT:
        return MKV_DRIVE_SET_OUT;
    case MKV_DRIVE_FOREIGN:
        break;
    }
    MKV_ASSERT(false); /* such a plan is refused */
    return MKV_DRIVE_SET_OUT;
}

void mkv_drive_set_run_begin(struct mkv_drive_set_run *run, const struct mkv_drive_set_plan *plan) {
    MKV_ASSERT(plan->refusal == MKV_DRIVE_SET_ACCEPTED);
    memset(run, 0, sizeof *run);
    run->never_opened = plan->never_opened;
    run->current = plan->newest;
    run->first = plan->first;
    run->count = MKV_VOLUMES_MAX;
    run->round = 1;
    for (uint32_t i = 0; i < run->count; i++) {
        struct mkv_drive_set_volume *volume = &run->volumes[i];
        volume->role = role_of(plan, i);
        volume->raised = plan->actions[i] == MKV_DRIVE_KEEP_AND_RAISE;
        volume->member = (struct mkv_member){plan->drive_uuids[i], plan->weights[i]};
    }
}

/* No member is left that could take in who is to join, so that nobody waits for it. One that opens
 * already, empty, is left to it. */
static void give_up_joiners(struct mkv_drive_set_run *run) {
    for (uint32_t i = 0; i < run->count; i++) {
        struct mkv_drive_set_volume *volume = &run->volumes[i];
        if (volume->role == MKV_DRIVE_SET_JOINER && volume->life == MKV_DRIVE_SET_CLOSED) {
            volume->role = MKV_DRIVE_SET_OUT;
            volume->life = MKV_DRIVE_SET_LEFT;
        }
    }
}

/* ---- events ---------------------------------------------------------------------------------- */

static void on_open_failed(struct mkv_drive_set_run *run, struct mkv_drive_set_volume *volume) {
    if (volume->life != MKV_DRIVE_SET_OPENING) {
        return;
    }
    volume->life = MKV_DRIVE_SET_OPEN_FAILED;
    if (volume->role == MKV_DRIVE_SET_MEMBER && !volume->raised) {
        volume->version_durable = run->current.version; /* its superblock said so */
    }
}

void mkv_drive_set_run_event(struct mkv_drive_set_run *run, uint32_t index,
                             const struct mkv_event *event) {
    MKV_ASSERT(index < run->count);
    struct mkv_drive_set_volume *volume = &run->volumes[index];
    if (event->kind == MKV_EVENT_OPENED) {
        MKV_ASSERT(volume->life == MKV_DRIVE_SET_OPENING);
        volume->life = MKV_DRIVE_SET_SERVING;
        volume->version_durable = volume->version_told;
    } else if (event->kind == MKV_EVENT_OPEN_FAILED) {
        on_open_failed(run, volume);
    } else if (event->kind == MKV_EVENT_DRIVE_FAILED &&
               (volume->life == MKV_DRIVE_SET_SERVING || volume->life == MKV_DRIVE_SET_CLOSING)) {
        volume->life = MKV_DRIVE_SET_FAILED;
    } else if (event->kind == MKV_EVENT_CLOSED && volume->life == MKV_DRIVE_SET_CLOSING) {
        volume->life = MKV_DRIVE_SET_LEFT;
    } else if (event->kind == MKV_EVENT_DRIVE_SET_DURABLE) {
        volume->version_durable = event->value[0];
    } else if (event->kind == MKV_EVENT_PURGED) {
        volume->purging = false;
        volume->purged_round = volume->purge_round;
    }
}

void mkv_drive_set_run_refused(struct mkv_drive_set_run *run, uint32_t index) {
    struct mkv_drive_set_volume *volume = &run->volumes[index];
    if (volume->life == MKV_DRIVE_SET_OPENING) {
        on_open_failed(run, volume);
    } else if (volume->life == MKV_DRIVE_SET_SERVING) {
        volume->life = MKV_DRIVE_SET_FAILED;
    }
}

void mkv_drive_set_run_closing(struct mkv_drive_set_run *run, uint32_t index) {
    MKV_ASSERT(index < run->count);
    struct mkv_drive_set_volume *volume = &run->volumes[index];
    MKV_ASSERT(volume->close_told);
    if (volume->life == MKV_DRIVE_SET_SERVING) {
        volume->life = MKV_DRIVE_SET_CLOSING;
    }
}

/* ---- the operator's wishes ------------------------------------------------------------------- */

/* Whether the set can change now, or soon. */
static enum mkv_drive_set_verdict may_change(const struct mkv_drive_set_run *run) {
    if (!run->ready || run->state == MKV_DRIVE_SET_STUCK) {
        return MKV_DRIVE_SET_NOT_NOW;
    }
    return members_in(run, MKV_DRIVE_SET_OPEN_FAILED) > 0 ? MKV_DRIVE_SET_UNKNOWN
                                                          : MKV_DRIVE_SET_GRANTED;
}

/* Members that serve and are to go on, other than `index`. */
static uint32_t others_serve(const struct mkv_drive_set_run *run, uint32_t index) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < run->count; i++) {
        const struct mkv_drive_set_volume *volume = &run->volumes[i];
        count += i != index && is_member(run, volume) && !volume->leaving &&
                 volume->life == MKV_DRIVE_SET_SERVING;
    }
    return count;
}

enum mkv_drive_set_verdict mkv_drive_set_run_leave(struct mkv_drive_set_run *run, uint32_t index) {
    MKV_ASSERT(index < run->count);
    struct mkv_drive_set_volume *volume = &run->volumes[index];
    const enum mkv_drive_set_verdict may = may_change(run);
    if (volume->leaving) {
        return MKV_DRIVE_SET_GRANTED;
    }
    if (volume->role == MKV_DRIVE_SET_OUT || is_gone(volume)) {
        return MKV_DRIVE_SET_IS_OUT;
    }
    if (may != MKV_DRIVE_SET_GRANTED) {
        return may;
    }
    if (volume->role == MKV_DRIVE_SET_JOINER || volume->life != MKV_DRIVE_SET_SERVING) {
        return MKV_DRIVE_SET_NOT_NOW;
    }
    if (others_serve(run, index) == 0) {
        return MKV_DRIVE_SET_NO_OTHER; /* I7 */
    }
    volume->leaving = true;
    volume->close_told = false;
    return MKV_DRIVE_SET_GRANTED;
}

enum mkv_drive_set_verdict mkv_drive_set_run_may_join(const struct mkv_drive_set_run *run,
                                                      uint32_t index) {
    MKV_ASSERT(index < run->count);
    const struct mkv_drive_set_volume *volume = &run->volumes[index];
    const enum mkv_drive_set_verdict may = may_change(run);
    if (may != MKV_DRIVE_SET_GRANTED) {
        return may;
    }
    if (volume->role == MKV_DRIVE_SET_JOINER ||
        (volume->role == MKV_DRIVE_SET_MEMBER && !volume->leaving && !is_gone(volume))) {
        return MKV_DRIVE_SET_IS_IN;
    }
    if (volume->role != MKV_DRIVE_SET_OUT || volume->life == MKV_DRIVE_SET_CLOSING) {
        return MKV_DRIVE_SET_NOT_NOW;
    }
    return others_serve(run, index) > 0 ? MKV_DRIVE_SET_GRANTED : MKV_DRIVE_SET_NO_OTHER;
}

enum mkv_drive_set_verdict mkv_drive_set_run_join(struct mkv_drive_set_run *run, uint32_t index,
                                                  struct mkv_member member) {
    const enum mkv_drive_set_verdict verdict = mkv_drive_set_run_may_join(run, index);
    if (verdict != MKV_DRIVE_SET_GRANTED) {
        return verdict;
    }
    for (uint32_t i = 0; i < run->count; i++) {
        const struct mkv_drive_set_volume *other = &run->volumes[i];
        if (other->role != MKV_DRIVE_SET_OUT && mkv_uuid_equal(other->member.uuid, member.uuid)) {
            return MKV_DRIVE_SET_IS_IN;
        }
    }
    const uint32_t number = run->volumes[index].member_number + 1;
    run->volumes[index] = (struct mkv_drive_set_volume){
        .role = MKV_DRIVE_SET_JOINER, .member = member, .member_number = number};
    run->round++;
    return MKV_DRIVE_SET_GRANTED;
}

/* ---- commands -------------------------------------------------------------------------------- */

static bool tell(const struct mkv_drive_set *set, uint32_t index, enum mkv_admin_command admin,
                 struct mkv_drive_set_command *command) {
    command->volume = index;
    command->admin = admin;
    command->set = *set;
    return true;
}

/* The volumes that the change leaves out take part in nothing any more. */
static void leave_out(struct mkv_drive_set_run *run, const struct mkv_drive_set *set) {
    for (uint32_t i = 0; i < run->count; i++) {
        struct mkv_drive_set_volume *volume = &run->volumes[i];
        if (volume->role == MKV_DRIVE_SET_MEMBER && !in_set(set, volume)) {
            volume->role = MKV_DRIVE_SET_OUT;
            volume->leaving = false;
        }
    }
}

static void change_begin(struct mkv_drive_set_run *run, const struct mkv_drive_set *target) {
    run->target = *target;
    run->state = MKV_DRIVE_SET_CHANGING;
    if (MKV_CANARY(MKV_CANARY_SET_ROUTED_BEFORE_DURABLE)) {
        run->routed = *target;
        leave_out(run, target);
        run->ready = true;
    }
}

static bool set_is_durable(const struct mkv_drive_set_run *run) {
    for (uint32_t i = 0; i < run->count; i++) {
        const struct mkv_drive_set_volume *volume = &run->volumes[i];
        if (is_member(run, volume) && volume->version_durable != run->current.version) {
            return false;
        }
    }
    return true;
}

static void change_end(struct mkv_drive_set_run *run) {
    run->current = run->target;
    for (uint32_t i = 0; i < run->count; i++) {
        struct mkv_drive_set_volume *volume = &run->volumes[i];
        if (volume->role == MKV_DRIVE_SET_JOINER && in_set(&run->current, volume)) {
            volume->role = MKV_DRIVE_SET_MEMBER;
            volume->joined = true;
            volume->purged_round = run->round; /* it is empty, and those to come have their keys */
            if (volume->life == MKV_DRIVE_SET_OPEN_FAILED) {
                volume->life = MKV_DRIVE_SET_FAILED; /* it holds nothing that is waited for */
            }
        }
    }
    /* I4: in this run no drive joins any more. */
    const bool fixed = members_in(run, MKV_DRIVE_SET_OPEN_FAILED) > 0;
    bool awaited = false;
    for (uint32_t i = 0; i < run->count; i++) {
        if (run->volumes[i].role == MKV_DRIVE_SET_JOINER) {
            run->volumes[i].role = fixed ? MKV_DRIVE_SET_OUT : MKV_DRIVE_SET_JOINER;
            awaited = !fixed;
        }
    }
    if (awaited) {
        /* What members have refused since they purged, they take by the set that is durable now:
         * for the drives that still wait they purge anew. */
        run->round++;
    }
    run->state = MKV_DRIVE_SET_SETTLED;
    if (set_is_durable(run)) {
        leave_out(run, &run->current);
        run->routed = run->current;
        run->ready = true;
    }
}

/* RAISING: true when it has a command; else it may have changed the state. */
static bool raise_next(struct mkv_drive_set_run *run, struct mkv_drive_set_command *command) {
    for (uint32_t i = 0; i < run->count; i++) {
        struct mkv_drive_set_volume *volume = &run->volumes[i];
        if (is_member(run, volume) && volume->life == MKV_DRIVE_SET_CLOSED) {
            volume->life = MKV_DRIVE_SET_OPENING;
            volume->version_told = run->current.version;
            return tell(&run->current, i, MKV_ADMIN_OPEN, command);
        }
    }
    if (members_in(run, MKV_DRIVE_SET_OPENING) > 0) {
        return false;
    }
    bool raised = true;
    for (uint32_t i = 0; i < run->count; i++) {
        const struct mkv_drive_set_volume *volume = &run->volumes[i];
        raised = raised && !(volume->raised && volume->life == MKV_DRIVE_SET_OPEN_FAILED);
    }
    const bool all_opened = members_in(run, MKV_DRIVE_SET_OPEN_FAILED) == 0;
    const bool as_it_was = !run->never_opened && run->first.version == run->current.version;
    if (members_in(run, MKV_DRIVE_SET_SERVING) == 0 || !raised || (!all_opened && !as_it_was)) {
        run->state = MKV_DRIVE_SET_STUCK;
    } else {
        change_begin(run, &run->first);
    }
    return false;
}

/* The next joining drive of the target is told to open; `*open` says whether all are. */
static bool joiner_next(struct mkv_drive_set_run *run, struct mkv_drive_set_command *command,
                        bool *open) {
    *open = true;
    for (uint32_t i = 0; i < run->count; i++) {
        struct mkv_drive_set_volume *volume = &run->volumes[i];
        if (volume->role != MKV_DRIVE_SET_JOINER || !in_set(&run->target, volume)) {
            continue;
        }
        if (volume->life == MKV_DRIVE_SET_CLOSED) {
            volume->life = MKV_DRIVE_SET_OPENING;
            volume->version_told = run->target.version;
            return tell(&run->target, i, MKV_ADMIN_JOIN, command);
        }
        *open = *open && volume->life != MKV_DRIVE_SET_OPENING;
    }
    return false;
}

/* The next member that stays is told of the target; `*have_it` says whether all have it that serve,
 * `*serve` whether any does. */
static bool member_next(struct mkv_drive_set_run *run, struct mkv_drive_set_command *command,
                        bool *have_it, bool *serve) {
    *have_it = true;
    *serve = false;
    for (uint32_t i = 0; i < run->count; i++) {
        struct mkv_drive_set_volume *volume = &run->volumes[i];
        if (volume->role != MKV_DRIVE_SET_MEMBER || !in_set(&run->target, volume) ||
            volume->life != MKV_DRIVE_SET_SERVING || volume->leaving) {
            continue;
        }
        *serve = true;
        if (volume->version_durable == run->target.version) {
            continue;
        }
        *have_it = false;
        if (volume->version_told != run->target.version) {
            volume->version_told = run->target.version;
            return tell(&run->target, i, MKV_ADMIN_DRIVE_SET, command);
        }
    }
    return false;
}

static bool change_next(struct mkv_drive_set_run *run, struct mkv_drive_set_command *command) {
    bool have_it;
    bool serve;
    bool open;
    if (MKV_CANARY(MKV_CANARY_JOINED_BEFORE_MEMBERS)) {
        if (joiner_next(run, command, &open)) {
            return true;
        }
        if (!open) {
            return false;
        }
    }
    if (member_next(run, command, &have_it, &serve)) {
        return true;
    }
    if (!serve) {
        if (run->ready) {
            give_up_joiners(run);
        } else {
            run->state = MKV_DRIVE_SET_STUCK;
        }
        return false;
    }
    if (!have_it) {
        return false;
    }
    if (joiner_next(run, command, &open)) {
        return true;
    }
    if (open) {
        change_end(run);
    }
    return false;
}

static bool wants_to_join(const struct mkv_drive_set_run *run,
                          const struct mkv_drive_set_volume *volume) {
    return volume->role == MKV_DRIVE_SET_JOINER && volume->life == MKV_DRIVE_SET_CLOSED &&
           !in_set(&run->current, volume);
}

static struct mkv_drive_set next_set(const struct mkv_drive_set_run *run) {
    struct mkv_drive_set set = run->current;
    set.version_before = set.version;
    set.version++;
    return set;
}

/* With every drive that is to join. */
static struct mkv_drive_set joined_set(const struct mkv_drive_set_run *run) {
    struct mkv_drive_set set = next_set(run);
    for (uint32_t i = 0; i < run->count; i++) {
        if (wants_to_join(run, &run->volumes[i]) && set.count < MKV_VOLUMES_MAX) {
            mkv_drive_set_add(&set, run->volumes[i].member);
        }
    }
    return set;
}

/* Whether a member that failed may be left out: one that holds blocks only while it is served, so
 * that a drive that fails at a start has the next start before its blocks are given up. */
static bool may_leave_out(const struct mkv_drive_set_run *run) {
    bool may = true;
    for (uint32_t i = 0; i < run->count; i++) {
        const struct mkv_drive_set_volume *volume = &run->volumes[i];
        if (is_member(run, volume) && volume->life == MKV_DRIVE_SET_FAILED) {
            may = may && (run->ready || volume->joined);
        }
    }
    return may;
}

static void settled_next(struct mkv_drive_set_run *run) {
    const uint32_t serving = members_in(run, MKV_DRIVE_SET_SERVING);
    const bool fixed = members_in(run, MKV_DRIVE_SET_OPEN_FAILED) > 0;
    if (serving > 0 && !fixed && members_gone(run) > 0 && may_leave_out(run)) {
        struct mkv_drive_set set = next_set(run);
        for (uint32_t i = 0; i < run->count; i++) {
            if (is_member(run, &run->volumes[i]) && is_gone(&run->volumes[i])) {
                mkv_drive_set_remove(&set, run->volumes[i].member.uuid);
            }
        }
        change_begin(run, &set);
        return;
    }
    if (!run->ready) {
        run->state = MKV_DRIVE_SET_STUCK;
        return;
    }
    if (serving == 0) {
        give_up_joiners(run);
    }
    for (uint32_t i = 0; i < run->count; i++) {
        if (serving > 0 && !fixed && wants_to_join(run, &run->volumes[i])) {
            run->state = MKV_DRIVE_SET_PURGING;
        }
    }
}

/* Whether the member has dropped what all drives that are to join take. */
static bool has_purged(const struct mkv_drive_set_run *run,
                       const struct mkv_drive_set_volume *volume) {
    if (MKV_CANARY(MKV_CANARY_JOINED_WITHOUT_PURGE)) {
        return true;
    }
    if (MKV_CANARY(MKV_CANARY_PURGED_ONCE)) {
        return volume->purged_round > 0;
    }
    return volume->purged_round == run->round;
}

static bool purge_next(struct mkv_drive_set_run *run, struct mkv_drive_set_command *command) {
    if (members_gone(run) > 0) {
        run->state = MKV_DRIVE_SET_SETTLED;
        return false;
    }
    const struct mkv_drive_set joined = joined_set(run);
    bool purged = true;
    for (uint32_t i = 0; i < run->count; i++) {
        struct mkv_drive_set_volume *volume = &run->volumes[i];
        if (!is_member(run, volume) || has_purged(run, volume)) {
            continue;
        }
        purged = false;
        if (!volume->purging && !volume->leaving) {
            volume->purging = true;
            volume->purge_round = run->round;
            return tell(&joined, i, MKV_ADMIN_PURGE, command);
        }
    }
    if (purged) {
        change_begin(run, &joined);
    }
    return false;
}

/* The next volume that leaves is told to close. */
static bool leave_next(struct mkv_drive_set_run *run, struct mkv_drive_set_command *command) {
    for (uint32_t i = 0; i < run->count; i++) {
        struct mkv_drive_set_volume *volume = &run->volumes[i];
        if (volume->leaving && !volume->close_told && volume->life == MKV_DRIVE_SET_SERVING) {
            volume->close_told = true;
            return tell(&run->current, i, MKV_ADMIN_CLOSE, command);
        }
    }
    return false;
}

bool mkv_drive_set_run_next(struct mkv_drive_set_run *run, struct mkv_drive_set_command *command) {
    if (leave_next(run, command)) {
        return true;
    }
    for (uint32_t turn = 0; turn < TURNS_MAX; turn++) {
        const enum mkv_drive_set_state before = run->state;
        bool told = false;
        switch (before) {
        case MKV_DRIVE_SET_RAISING:
            told = raise_next(run, command);
            break;
        case MKV_DRIVE_SET_CHANGING:
            told = change_next(run, command);
            break;
        case MKV_DRIVE_SET_SETTLED:
            settled_next(run);
            break;
        case MKV_DRIVE_SET_PURGING:
            told = purge_next(run, command);
            break;
        case MKV_DRIVE_SET_STUCK:
            break;
        }
        if (told) {
            return true;
        }
        if (run->state == before) {
            return false;
        }
    }
    return false;
}

enum mkv_drive_set_route mkv_drive_set_run_route(const struct mkv_drive_set_run *run,
                                                 uint32_t index) {
    MKV_ASSERT(index < run->count);
    const struct mkv_drive_set_volume *volume = &run->volumes[index];
    if (volume->role == MKV_DRIVE_SET_OUT) {
        return MKV_DRIVE_SET_ABSENT;
    }
    const bool serves =
        volume->life == MKV_DRIVE_SET_SERVING && !volume->leaving && in_set(&run->routed, volume);
    return serves ? MKV_DRIVE_SET_ONLINE : MKV_DRIVE_SET_OFFLINE;
}
