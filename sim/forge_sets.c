/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Drives that say anything of their set, and manifests of any bytes. What the decision accepts
 * keeps its invariants (core/drive_set.h); what is a manifest is encoded again as it was.
 */
#include <string.h>

#include "core/bytes.h"
#include "core/directory.h"
#include "core/drive_set.h"
#include "core/manifest.h"
#include "sim/forge_internal.h"

#define QUESTIONS 64u
#define DRIVES 4u
#define UUIDS 6u
#define MANIFESTS 64u

static struct mkv_uuid uuid_of(uint32_t number) {
    struct mkv_uuid uuid = {{0}};
    uuid.bytes[0] = (uint8_t)(1 + number);
    return uuid;
}

static void draw_set(struct mkv_random *random, struct mkv_drive_set *set) {
    static const uint64_t versions[] = {
        0, 1, 2, 3, MKV_DRIVE_SET_WORD_STEP, MKV_DRIVE_SET_WORD_STEP + 1, UINT64_MAX};
    *set = (struct mkv_drive_set){.version = versions[mkv_random_below(random, 7)]};
    set->version_before = set->version - mkv_random_below(random, 3);
    if (set->version == 0 || mkv_random_chance(random, 1, 8)) {
        set->version_before = mkv_random_below(random, 3) / 2;
    }
    set->word = set->version >= MKV_DRIVE_SET_WORD_STEP ? 1 + mkv_random_below(random, 2) : 0;
    const uint32_t first = mkv_random_below(random, UUIDS);
    const uint32_t count = mkv_random_below(random, DRIVES + 1);
    for (uint32_t place = 0; place < count; place++) {
        set->members[set->count++] = (struct mkv_member){uuid_of((first + place) % UUIDS),
                                                         mkv_random_chance(random, 1, 8) ? 2 : 1};
    }
    if (count > 1 && mkv_random_chance(random, 1, 16)) {
        set->members[count - 1].uuid = set->members[0].uuid;
    }
    if (mkv_random_chance(random, 1, 16)) {
        set->word ^= 1;
    }
}

static void draw_claim(struct mkv_random *random, const struct mkv_drive_set *shared,
                       struct mkv_drive_claim *claim) {
    *claim = (struct mkv_drive_claim){
        .kind = (enum mkv_drive_claim_kind)mkv_random_below(random, 3),
        .usable_units = 100 + (uint64_t)mkv_random_below(random, 2) * 400,
        .store_uuid = uuid_of(mkv_random_chance(random, 1, 16) ? 1 : 0),
        .drive_uuid = uuid_of(mkv_random_below(random, UUIDS)),
        .opened = mkv_random_chance(random, 1, 2),
        .set = *shared,
    };
    if (claim->kind == MKV_DRIVE_CLAIM_STORE && mkv_random_chance(random, 1, 3)) {
        draw_set(random, &claim->set);
    }
    if (claim->set.count > 0 && !mkv_random_chance(random, 1, 8)) {
        claim->drive_uuid = claim->set.members[mkv_random_below(random, claim->set.count)].uuid;
    }
}

/* Nothing of a drive is kept, formatted or made older than the decision may. */
static void check_plan(const struct mkv_drive_set_question *question,
                       const struct mkv_drive_set_plan *plan) {
    MKV_ASSERT(mkv_drive_set_valid(&plan->newest));
    MKV_ASSERT(mkv_drive_set_valid(&plan->first));
    MKV_ASSERT(plan->first.version >= plan->newest.version);
    for (uint32_t drive = 0; drive < question->count; drive++) {
        const struct mkv_drive_claim *claim = &question->claims[drive];
        const enum mkv_drive_action action = plan->actions[drive];
        const bool keeps = action == MKV_DRIVE_KEEP || action == MKV_DRIVE_KEEP_AND_RAISE;
        MKV_ASSERT((action == MKV_DRIVE_ABSENT) == (claim->kind == MKV_DRIVE_CLAIM_ABSENT));
        MKV_ASSERT((action == MKV_DRIVE_FORMAT) == (claim->kind == MKV_DRIVE_CLAIM_BLANK));
        MKV_ASSERT(!keeps || mkv_drive_set_keeps(&claim->set, &plan->newest, claim->drive_uuid));
        MKV_ASSERT(claim->kind != MKV_DRIVE_CLAIM_STORE ||
                   claim->set.version <= plan->first.version);
    }
}

static void forge_question(struct mkv_random *random) {
    struct mkv_drive_claim claims[DRIVES];
    struct mkv_uuid fresh[DRIVES + 1];
    struct mkv_uuid lost[2];
    struct mkv_drive_set_plan plan;
    struct mkv_drive_set shared;
    struct mkv_drive_set_question question = {.count = mkv_random_between(random, 1, DRIVES),
                                              .claims = claims,
                                              .lost_count = mkv_random_below(random, 3),
                                              .lost = lost,
                                              .fresh = fresh};
    draw_set(random, &shared);
    for (uint32_t drive = 0; drive < DRIVES; drive++) {
        draw_claim(random, &shared, &claims[drive]);
        fresh[drive] = uuid_of(100 + drive);
    }
    fresh[DRIVES] = uuid_of(100 + DRIVES);
    lost[0] = uuid_of(mkv_random_below(random, UUIDS));
    lost[1] = uuid_of(mkv_random_below(random, UUIDS));
    mkv_drive_set_decide(&question, &plan);
    if (plan.refusal == MKV_DRIVE_SET_ACCEPTED) {
        check_plan(&question, &plan);
    }
}

/* Fields at their bounds, one or two of them changed. */
static void forge_manifest(struct mkv_random *random) {
    static const uint32_t values[] = {0,
                                      1,
                                      2,
                                      MKV_SEGMENTS_MAX,
                                      MKV_SEGMENTS_MAX + 1,
                                      MKV_BLOCK_BYTES_MAX,
                                      MKV_BLOCK_BYTES_MAX + 1};
    uint8_t bytes[MKV_MANIFEST_BYTES];
    uint8_t again[MKV_MANIFEST_BYTES];
    struct mkv_manifest manifest = {.length = 150000, .segment_bytes = 65536, .segment_count = 3};
    mkv_manifest_encode(&manifest, bytes);
    for (uint32_t change = mkv_random_below(random, 3); change > 0; change--) {
        const uint32_t field = 4 * mkv_random_below(random, 4);
        mkv_store_u32(bytes + field, mkv_random_chance(random, 1, 2)
                                         ? values[mkv_random_below(random, 7)]
                                         : mkv_load_u32(bytes + field) * 2);
    }
    if (mkv_manifest_decode(bytes, &manifest)) {
        mkv_manifest_encode(&manifest, again);
        MKV_ASSERT(memcmp(bytes, again, sizeof bytes) == 0);
    }
}

/* Operators are told the state of the directory by its name. */
static void check_names(void) {
    for (uint32_t state = MKV_DIRECTORY_CLOSED; state <= MKV_DIRECTORY_OFF; state++) {
        const char *name = mkv_directory_state_name((enum mkv_directory_state)state);
        MKV_ASSERT(name[0] != 0);
        for (uint32_t other = MKV_DIRECTORY_CLOSED; other < state; other++) {
            MKV_ASSERT(strcmp(name, mkv_directory_state_name((enum mkv_directory_state)other)) !=
                       0);
        }
    }
}

void mkv_forge_sets(struct mkv_random *random, struct mkv_forge_report *report) {
    check_names();
    for (uint32_t question = 0; question < QUESTIONS; question++) {
        forge_question(random);
        report->configurations++;
    }
    for (uint32_t manifest = 0; manifest < MANIFESTS; manifest++) {
        forge_manifest(random);
    }
}
