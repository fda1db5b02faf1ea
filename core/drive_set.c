/* SPDX-License-Identifier: Apache-2.0 */
#include "core/drive_set.h"

#include <string.h>

#include "core/bytes.h"
#include "core/canary.h"

/* Drives that differ less than this are taken as equal: one part in 16. */
#define WEIGHT_TOLERANCE 16u
/* Else the smallest drive draws so many times for each key. */
#define WEIGHT_OF_SMALLEST 8u

/* ---- sets ------------------------------------------------------------------------------------ */

bool mkv_uuid_equal(struct mkv_uuid a, struct mkv_uuid b) {
    return memcmp(a.bytes, b.bytes, sizeof a.bytes) == 0;
}

uint32_t mkv_drive_set_find(const struct mkv_drive_set *set, struct mkv_uuid uuid) {
    for (uint32_t place = 0; place < set->count; place++) {
        if (mkv_uuid_equal(set->members[place].uuid, uuid)) {
            return place;
        }
    }
    return MKV_NONE_U32;
}

static bool names(const struct mkv_drive_set *set, struct mkv_uuid uuid) {
    return mkv_drive_set_find(set, uuid) != MKV_NONE_U32;
}

/* Which change by the operator's word the set stands behind; 0: none. */
static uint64_t range_of(const struct mkv_drive_set *set) {
    return set->version / MKV_DRIVE_SET_WORD_STEP;
}

/* Whether neither set can have come from the other. */
static bool sets_clash(const struct mkv_drive_set *a, const struct mkv_drive_set *b) {
    return range_of(a) == range_of(b) &&
           (a->word != b->word || (a->version == b->version && !mkv_drive_set_equal(a, b)));
}

bool mkv_drive_set_equal(const struct mkv_drive_set *a, const struct mkv_drive_set *b) {
    if (a->version != b->version || a->version_before != b->version_before || a->word != b->word ||
        a->count != b->count) {
        return false;
    }
    for (uint32_t place = 0; place < a->count; place++) {
        if (!mkv_uuid_equal(a->members[place].uuid, b->members[place].uuid) ||
            a->members[place].weight != b->members[place].weight) {
            return false;
        }
    }
    return true;
}

bool mkv_drive_set_valid(const struct mkv_drive_set *set) {
    const bool first = set->version == 0 && set->version_before == 0;
    if (set->count < 1 || set->count > MKV_VOLUMES_MAX ||
        set->version > MKV_DRIVE_SET_VERSION_MAX ||
        (!first && set->version_before >= set->version) ||
        (range_of(set) == 0) != (set->word == 0)) {
        return false;
    }
    for (uint32_t place = 0; place < set->count; place++) {
        const struct mkv_member *member = &set->members[place];
        if (member->weight < 1 || member->weight > MKV_PLACEMENT_WEIGHT_MAX ||
            mkv_drive_set_find(set, member->uuid) != place) {
            return false; /* or it is named twice */
        }
    }
    return true;
}

bool mkv_drive_set_keeps(const struct mkv_drive_set *own, const struct mkv_drive_set *set,
                         struct mkv_uuid uuid) {
    if (own->version == 0 || !names(set, uuid)) {
        return false;
    }
    if (MKV_CANARY(MKV_CANARY_OLDER_DRIVE_KEEPS_CONTENT)) {
        return own->version < set->version || mkv_drive_set_equal(own, set);
    }
    const bool before = own->version == set->version_before && !sets_clash(own, set);
    return before || mkv_drive_set_equal(own, set);
}

void mkv_drive_set_outside(struct mkv_uuid uuid, struct mkv_drive_set *set) {
    *set = (struct mkv_drive_set){.count = 1, .members = {{.uuid = uuid, .weight = 1}}};
}

void mkv_drive_set_add(struct mkv_drive_set *set, struct mkv_member member) {
    MKV_ASSERT(set->count < MKV_VOLUMES_MAX);
    MKV_ASSERT(!names(set, member.uuid));
    set->members[set->count] = member;
    set->count++;
}

void mkv_drive_set_remove(struct mkv_drive_set *set, struct mkv_uuid uuid) {
    const uint32_t place = mkv_drive_set_find(set, uuid);
    MKV_ASSERT(place != MKV_NONE_U32);
    set->count--;
    for (uint32_t next = place; next < set->count; next++) {
        set->members[next] = set->members[next + 1];
    }
    set->members[set->count] = (struct mkv_member){0};
}

/* ---- weights --------------------------------------------------------------------------------- */

void mkv_drive_set_weights(const uint64_t *usable_units, uint32_t count, uint32_t *weights) {
    uint64_t smallest = UINT64_MAX;
    uint64_t largest = 0;
    for (uint32_t i = 0; i < count; i++) {
        MKV_ASSERT(usable_units[i] > 0);
        smallest = mkv_min_u64(smallest, usable_units[i]);
        largest = mkv_max_u64(largest, usable_units[i]);
    }
    const bool equal = largest - smallest <= smallest / WEIGHT_TOLERANCE;
    for (uint32_t i = 0; i < count; i++) {
        /* Rounded; a drive has at most 2^51 units, so nothing wraps. */
        const uint64_t weight = (usable_units[i] * WEIGHT_OF_SMALLEST + smallest / 2) / smallest;
        weights[i] = equal ? 1 : (uint32_t)mkv_min_u64(weight, MKV_PLACEMENT_WEIGHT_MAX);
    }
}

/* The weight of a drive that joins: in proportion to a member's, which stays what it is. */
static uint32_t joiner_weight(uint64_t usable_units, const struct mkv_drive_claim *member,
                              uint32_t member_weight) {
    MKV_ASSERT(member->usable_units > 0);
    const uint64_t half = member->usable_units / 2;
    const uint64_t weight = (usable_units * member_weight + half) / member->usable_units;
    return (uint32_t)mkv_min_u64(mkv_max_u64(weight, 1), MKV_PLACEMENT_WEIGHT_MAX);
}

/* ---- the decision ---------------------------------------------------------------------------- */

static bool is_store(const struct mkv_drive_set_question *question, uint32_t drive) {
    return question->claims[drive].kind == MKV_DRIVE_CLAIM_STORE;
}

static bool is_lost(const struct mkv_drive_set_question *question, struct mkv_uuid uuid) {
    for (uint32_t i = 0; i < question->lost_count; i++) {
        if (mkv_uuid_equal(question->lost[i], uuid)) {
            return true;
        }
    }
    return false;
}

static void refuse(struct mkv_drive_set_plan *plan, enum mkv_drive_set_refusal refusal,
                   uint32_t drive, uint32_t other) {
    plan->refusal = refusal;
    plan->drive = drive;
    plan->other = other;
}

/* Whether each drive that has a store makes sense, alone and beside the others. */
static bool claims_agree(const struct mkv_drive_set_question *question,
                         struct mkv_drive_set_plan *plan) {
    uint32_t reference = MKV_NONE_U32;
    for (uint32_t drive = 0; drive < question->count; drive++) {
        if (!is_store(question, drive)) {
            continue;
        }
        const struct mkv_drive_claim *claim = &question->claims[drive];
        reference = reference == MKV_NONE_U32 ? drive : reference;
        if (!mkv_drive_set_valid(&claim->set) || !names(&claim->set, claim->drive_uuid)) {
            refuse(plan, MKV_DRIVE_SET_TORN, drive, drive);
            return false;
        }
        if (!mkv_uuid_equal(claim->store_uuid, question->claims[reference].store_uuid)) {
            plan->actions[drive] = MKV_DRIVE_FOREIGN;
            refuse(plan, MKV_DRIVE_SET_FOREIGN, drive, reference);
            return false;
        }
        for (uint32_t other = 0; other < drive; other++) {
            if (is_store(question, other) &&
                mkv_uuid_equal(question->claims[other].drive_uuid, claim->drive_uuid)) {
                refuse(plan, MKV_DRIVE_SET_TWINS, drive, other);
                return false;
            }
        }
    }
    if (reference != MKV_NONE_U32) {
        plan->store_uuid = question->claims[reference].store_uuid;
    }
    return true;
}

static bool plan_new_store(const struct mkv_drive_set_question *question,
                           struct mkv_drive_set_plan *plan) {
    uint64_t usable_units[MKV_VOLUMES_MAX];
    for (uint32_t drive = 0; drive < question->count; drive++) {
        if (question->claims[drive].kind == MKV_DRIVE_CLAIM_ABSENT) {
            refuse(plan, MKV_DRIVE_SET_INCOMPLETE, drive, drive);
            return false;
        }
        usable_units[drive] = question->claims[drive].usable_units;
    }
    mkv_drive_set_weights(usable_units, question->count, plan->weights);
    plan->store_uuid = question->fresh[0];
    plan->never_opened = true;
    plan->newest.version = MKV_DRIVE_SET_VERSION_FIRST;
    for (uint32_t drive = 0; drive < question->count; drive++) {
        plan->actions[drive] = MKV_DRIVE_FORMAT;
        plan->drive_uuids[drive] = question->fresh[1 + drive];
        mkv_drive_set_add(&plan->newest,
                          (struct mkv_member){plan->drive_uuids[drive], plan->weights[drive]});
    }
    plan->first = plan->newest;
    return true;
}

/* Whether the drive has a set that counts. */
static bool has_say(const struct mkv_drive_set_question *question, uint32_t drive,
                    bool without_lost) {
    const struct mkv_drive_claim *claim = &question->claims[drive];
    return is_store(question, drive) && claim->set.version != 0 &&
           !(without_lost && is_lost(question, claim->drive_uuid));
}

/* The drive with the newest set among those that count; MKV_NONE_U32 when none has one. `*other` is
 * one whose set clashes with that one, if there is any. */
static uint32_t newest_of(const struct mkv_drive_set_question *question, bool without_lost,
                          uint32_t *other) {
    uint32_t newest = MKV_NONE_U32;
    *other = MKV_NONE_U32;
    for (uint32_t drive = 0; drive < question->count; drive++) {
        if (has_say(question, drive, without_lost) &&
            (newest == MKV_NONE_U32 ||
             question->claims[drive].set.version > question->claims[newest].set.version)) {
            newest = drive;
        }
    }
    for (uint32_t drive = 0; drive < question->count && newest != MKV_NONE_U32; drive++) {
        if (has_say(question, drive, without_lost) &&
            sets_clash(&question->claims[drive].set, &question->claims[newest].set)) {
            *other = drive;
        }
    }
    return newest;
}

/* Finds the newest set. `*word_counts`: two sets had its version, and the operator's word chose. */
static bool choose_newest(const struct mkv_drive_set_question *question,
                          struct mkv_drive_set_plan *plan, bool *word_counts) {
    uint32_t other;
    uint32_t newest = newest_of(question, false, &other);
    *word_counts = false;
    if (other != MKV_NONE_U32 && !MKV_CANARY(MKV_CANARY_TWO_SETS_NOT_REFUSED)) {
        const uint32_t drive = newest;
        const uint32_t drive_other = other;
        newest = newest_of(question, true, &other);
        if (newest == MKV_NONE_U32 || other != MKV_NONE_U32) {
            refuse(plan, MKV_DRIVE_SET_TWO_SETS, drive_other, drive);
            return false;
        }
        *word_counts = true;
    }
    if (newest == MKV_NONE_U32) {
        refuse(plan, MKV_DRIVE_SET_NO_MEMBER, 0, 0);
        return false;
    }
    plan->newest = question->claims[newest].set;
    return true;
}

/* Members of the newest set that no drive is. */
static uint32_t find_missing(const struct mkv_drive_set_question *question,
                             const struct mkv_drive_set *newest, struct mkv_uuid *missing) {
    uint32_t count = 0;
    for (uint32_t place = 0; place < newest->count; place++) {
        bool present = false;
        for (uint32_t drive = 0; drive < question->count; drive++) {
            present = present || (is_store(question, drive) &&
                                  mkv_uuid_equal(question->claims[drive].drive_uuid,
                                                 newest->members[place].uuid));
        }
        if (!present) {
            missing[count] = newest->members[place].uuid;
            count++;
        }
    }
    return count;
}

/* A first start that was cut short: as many drives are blank as members are missing, none was ever
 * opened, and all say the first set. */
static bool was_cut_short(const struct mkv_drive_set_question *question,
                          const struct mkv_drive_set *newest, uint32_t missing_count) {
    uint32_t blank_count = 0;
    for (uint32_t drive = 0; drive < question->count; drive++) {
        const struct mkv_drive_claim *claim = &question->claims[drive];
        blank_count += claim->kind == MKV_DRIVE_CLAIM_BLANK;
        if (is_store(question, drive) && claim->opened) {
            return false;
        }
    }
    return blank_count == missing_count && newest->version == MKV_DRIVE_SET_VERSION_FIRST;
}

static void plan_drives(const struct mkv_drive_set_question *question, bool word_counts,
                        bool cut_short, struct mkv_drive_set_plan *plan) {
    uint32_t next_missing = 0;
    plan->never_opened = true;
    for (uint32_t drive = 0; drive < question->count; drive++) {
        const struct mkv_drive_claim *claim = &question->claims[drive];
        if (claim->kind == MKV_DRIVE_CLAIM_BLANK) {
            plan->actions[drive] = MKV_DRIVE_FORMAT;
            plan->drive_uuids[drive] =
                cut_short ? plan->missing[next_missing++] : question->fresh[1 + drive];
            continue;
        }
        if (claim->kind == MKV_DRIVE_CLAIM_ABSENT) {
            continue;
        }
        plan->drive_uuids[drive] = claim->drive_uuid;
        plan->never_opened = plan->never_opened && !claim->opened;
        if (word_counts && is_lost(question, claim->drive_uuid)) {
            plan->actions[drive] = MKV_DRIVE_JOIN_EMPTY;
        } else if (!mkv_drive_set_keeps(&claim->set, &plan->newest, claim->drive_uuid)) {
            plan->actions[drive] = MKV_DRIVE_JOIN_EMPTY;
        } else if (claim->set.version == plan->newest.version) {
            plan->actions[drive] = MKV_DRIVE_KEEP;
        } else {
            plan->actions[drive] = MKV_DRIVE_KEEP_AND_RAISE;
        }
    }
}

/* Takes the lost members out, in a set that nobody can have reached without the word (I2). */
static void plan_word(const struct mkv_drive_set_question *question, bool word_counts,
                      struct mkv_drive_set_plan *plan) {
    plan->first = plan->newest;
    bool changes = word_counts;
    for (uint32_t place = plan->newest.count; place > 0; place--) {
        const struct mkv_uuid uuid = plan->newest.members[place - 1].uuid;
        bool stays = true;
        for (uint32_t i = 0; i < plan->missing_count; i++) {
            stays = stays && !mkv_uuid_equal(plan->missing[i], uuid);
        }
        stays = stays && !(word_counts && is_lost(question, uuid));
        if (!stays) {
            mkv_drive_set_remove(&plan->first, uuid);
            changes = true;
        }
    }
    if (!changes) {
        return;
    }
    uint64_t highest = plan->newest.version;
    for (uint32_t drive = 0; drive < question->count; drive++) {
        if (is_store(question, drive)) {
            highest = mkv_max_u64(highest, question->claims[drive].set.version);
        }
    }
    plan->first.version_before = plan->newest.version;
    plan->first.version = (highest / MKV_DRIVE_SET_WORD_STEP + 1) * MKV_DRIVE_SET_WORD_STEP;
    plan->first.word = mkv_load_u64(question->fresh[0].bytes) | 1; /* not 0 */
    if (MKV_CANARY(MKV_CANARY_WORD_WITHOUT_STEP)) {
        plan->first.version = highest + 1;
        plan->first.word = plan->newest.word;
    }
}

/* Members have their weight; those that join get one beside the first member's. */
static void plan_weights(const struct mkv_drive_set_question *question,
                         struct mkv_drive_set_plan *plan) {
    uint32_t reference = MKV_NONE_U32;
    for (uint32_t drive = 0; drive < question->count; drive++) {
        const uint32_t place = mkv_drive_set_find(&plan->newest, plan->drive_uuids[drive]);
        if (plan->actions[drive] != MKV_DRIVE_ABSENT && place != MKV_NONE_U32) {
            plan->weights[drive] = plan->newest.members[place].weight;
            reference = reference == MKV_NONE_U32 ? drive : reference;
        }
    }
    MKV_ASSERT(reference != MKV_NONE_U32); /* whoever said the newest set is a member of it */
    for (uint32_t drive = 0; drive < question->count; drive++) {
        if (plan->actions[drive] != MKV_DRIVE_ABSENT && plan->weights[drive] == 0) {
            plan->weights[drive] =
                joiner_weight(question->claims[drive].usable_units, &question->claims[reference],
                              plan->weights[reference]);
        }
    }
}

static bool plan_store(const struct mkv_drive_set_question *question,
                       struct mkv_drive_set_plan *plan) {
    bool word_counts;
    if (!choose_newest(question, plan, &word_counts)) {
        return false;
    }
    plan->missing_count = find_missing(question, &plan->newest, plan->missing);
    const bool cut_short = !word_counts && plan->missing_count > 0 &&
                           was_cut_short(question, &plan->newest, plan->missing_count);
    plan_drives(question, word_counts, cut_short, plan);
    if (cut_short) {
        plan->missing_count = 0;
    }
    struct mkv_uuid unexplained[MKV_VOLUMES_MAX];
    uint32_t unexplained_count = 0;
    for (uint32_t i = 0; i < plan->missing_count; i++) {
        if (!is_lost(question, plan->missing[i])) {
            unexplained[unexplained_count++] = plan->missing[i];
        }
    }
    if (unexplained_count > 0 && !MKV_CANARY(MKV_CANARY_SET_OPENED_WITH_MISSING_MEMBER)) {
        memcpy(plan->missing, unexplained, unexplained_count * sizeof unexplained[0]);
        plan->missing_count = unexplained_count;
        refuse(plan, MKV_DRIVE_SET_MISSING, 0, 0);
        return false;
    }
    if (unexplained_count > 0) {
        plan->missing_count = 0; /* planted: as if nobody were missing */
    }
    plan_word(question, word_counts, plan);
    plan_weights(question, plan);
    plan->missing_count = 0;
    return true;
}

void mkv_drive_set_decide(const struct mkv_drive_set_question *question,
                          struct mkv_drive_set_plan *plan) {
    MKV_ASSERT(question->count >= 1);
    MKV_ASSERT(question->count <= MKV_VOLUMES_MAX);
    memset(plan, 0, sizeof *plan);
    bool any_store = false;
    for (uint32_t drive = 0; drive < question->count; drive++) {
        any_store = any_store || is_store(question, drive);
    }
    if (!claims_agree(question, plan)) {
        return;
    }
    const bool done = any_store ? plan_store(question, plan) : plan_new_store(question, plan);
    MKV_ASSERT(done == (plan->refusal == MKV_DRIVE_SET_ACCEPTED));
    MKV_ASSERT(!done || mkv_drive_set_valid(&plan->newest));
    MKV_ASSERT(!done || mkv_drive_set_valid(&plan->first));
}

/* ---- a guest --------------------------------------------------------------------------------- */

static enum mkv_drive_set_refusal refusal_of(const struct mkv_drive_set_guest *guest) {
    const struct mkv_drive_claim *claim = guest->claim;
    if (claim->kind == MKV_DRIVE_CLAIM_BLANK) {
        return MKV_DRIVE_SET_ACCEPTED;
    }
    if (!mkv_drive_set_valid(&claim->set) || !names(&claim->set, claim->drive_uuid)) {
        return MKV_DRIVE_SET_TORN;
    }
    if (!mkv_uuid_equal(claim->store_uuid, guest->store_uuid)) {
        return MKV_DRIVE_SET_FOREIGN;
    }
    if (names(guest->served, claim->drive_uuid)) {
        return MKV_DRIVE_SET_TWINS;
    }
    const bool older = claim->set.version < guest->served->version;
    const bool clashes = claim->set.version != 0 && sets_clash(&claim->set, guest->served);
    return older && !clashes ? MKV_DRIVE_SET_ACCEPTED : MKV_DRIVE_SET_TWO_SETS;
}

void mkv_drive_set_admit(const struct mkv_drive_set_guest *guest,
                         struct mkv_drive_set_admission *admission) {
    const struct mkv_drive_claim *claim = guest->claim;
    const struct mkv_drive_claim member = {.usable_units = guest->member_units};
    const bool blank = claim->kind == MKV_DRIVE_CLAIM_BLANK;
    MKV_ASSERT(claim->kind != MKV_DRIVE_CLAIM_ABSENT);
    *admission = (struct mkv_drive_set_admission){
        .refusal = refusal_of(guest),
        .action = blank ? MKV_DRIVE_FORMAT : MKV_DRIVE_JOIN_EMPTY,
        .member = {.uuid = blank ? guest->fresh : claim->drive_uuid,
                   .weight = joiner_weight(claim->usable_units, &member, guest->member_weight)},
    };
}
