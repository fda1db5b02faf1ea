/* SPDX-License-Identifier: Apache-2.0 */
#include "server/drive_set.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "server/size.h"

/* A signal may cut a request for random bytes short, again and again if it must. */
#define RANDOM_TRIES_MAX 100u

bool mkv_uuid_equal(struct mkv_uuid a, struct mkv_uuid b) {
    return memcmp(a.bytes, b.bytes, sizeof a.bytes) == 0;
}

void mkv_uuid_format(struct mkv_uuid uuid, char out[MKV_UUID_TEXT_BYTES]) {
    uint32_t at = 0;
    for (uint32_t i = 0; i < sizeof uuid.bytes; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10) {
            out[at++] = '-';
        }
        snprintf(out + at, MKV_UUID_TEXT_BYTES - at, "%02x", (unsigned)uuid.bytes[i]);
        at += 2;
    }
    MKV_ASSERT(at + 1 == MKV_UUID_TEXT_BYTES);
}

/* ---- random --------------------------------------------------------------------------------- */

static void kernel_fill(void *context, void *bytes, size_t byte_count) {
    (void)context;
    size_t filled = 0;
    for (uint32_t tries = 0; filled < byte_count; tries++) {
        MKV_ASSERT(tries < RANDOM_TRIES_MAX);
        ssize_t count = getrandom((uint8_t *)bytes + filled, byte_count - filled, 0);
        MKV_ASSERT(count >= 0 || errno == EINTR);
        filled += count > 0 ? (size_t)count : 0;
    }
}

const struct mkv_drive_set_random mkv_drive_set_random_kernel = {.fill = kernel_fill};

/* Version 4, variant 1, as RFC 9562 has it: other tools show it as they do theirs. */
static struct mkv_uuid uuid_make(const struct mkv_drive_set_random *random) {
    struct mkv_uuid uuid;
    random->fill(random->context, uuid.bytes, sizeof uuid.bytes);
    uuid.bytes[6] = (uint8_t)((uuid.bytes[6] & 0x0f) | 0x40);
    uuid.bytes[8] = (uint8_t)((uuid.bytes[8] & 0x3f) | 0x80);
    return uuid;
}

/* ---- what a single drive is refused for ----------------------------------------------------- */

static bool refuse_shrunk(const struct mkv_drive_set_candidate *candidate,
                          struct mkv_backend_error *error) {
    const struct mkv_drive_probe *probe = candidate->probe;
    char store[MKV_SIZE_TEXT_BYTES];
    char medium[MKV_SIZE_TEXT_BYTES];
    mkv_size_format(probe->store_capacity_units * MKV_UNIT_BYTES, store);
    mkv_size_format(probe->medium_capacity_units * MKV_UNIT_BYTES, medium);
    return mkv_backend_refuse(error, MKV_BACKEND_IO,
                              "drive %s: %s has shrunk: it has %s, the store on it has %s. Bring "
                              "back the missing part, or name an empty path to start anew",
                              candidate->name, candidate->path, medium, store);
}

static bool check_alone(const struct mkv_drive_set_candidate *candidate,
                        struct mkv_backend_error *error) {
    const struct mkv_drive_probe *probe = candidate->probe;
    switch (probe->kind) {
    case MKV_DRIVE_PROBE_BLANK:
    case MKV_DRIVE_PROBE_STORE:
        return true;
    case MKV_DRIVE_PROBE_OTHER:
        return mkv_backend_refuse(error, MKV_BACKEND_CONFIGURATION,
                                  "drive %s: %s holds data that is no memkv store, which is not "
                                  "overwritten. Name another path, or remove what is there first",
                                  candidate->name, candidate->path);
    case MKV_DRIVE_PROBE_DAMAGED:
        return mkv_backend_refuse(error, MKV_BACKEND_IO,
                                  "drive %s: the store on %s is damaged: no two of its four "
                                  "superblocks agree. Name another path, or remove the store to "
                                  "start anew",
                                  candidate->name, candidate->path);
    case MKV_DRIVE_PROBE_NEWER:
        return mkv_backend_refuse(error, MKV_BACKEND_UNAVAILABLE,
                                  "drive %s: the store on %s has format version %u, and this "
                                  "release knows versions up to %u. Start the release that wrote "
                                  "it, or a newer one",
                                  candidate->name, candidate->path,
                                  (unsigned)probe->superblock.version,
                                  (unsigned)MKV_FORMAT_VERSION);
    case MKV_DRIVE_PROBE_SHRUNK:
        return refuse_shrunk(candidate, error);
    }
    MKV_ASSERT(false);
    return false;
}

/* ---- what drives are refused for together --------------------------------------------------- */

static bool set_has(const struct mkv_superblock *superblock, struct mkv_uuid uuid) {
    for (uint32_t i = 0; i < superblock->drive_set_count; i++) {
        if (mkv_uuid_equal(superblock->drive_set[i], uuid)) {
            return true;
        }
    }
    return false;
}

static bool sets_equal(const struct mkv_superblock *a, const struct mkv_superblock *b) {
    return a->drive_set_version == b->drive_set_version &&
           a->drive_set_count == b->drive_set_count &&
           memcmp(a->drive_set, b->drive_set, a->drive_set_count * sizeof a->drive_set[0]) == 0;
}

/* Compares a store's drive with the first one, `reference`. */
static bool check_sibling(const struct mkv_drive_set_candidate *reference,
                          const struct mkv_drive_set_candidate *candidate,
                          struct mkv_backend_error *error) {
    const struct mkv_superblock *own = &candidate->probe->superblock;
    const struct mkv_superblock *other = &reference->probe->superblock;
    if (!mkv_uuid_equal(own->store_uuid, other->store_uuid)) {
        char own_text[MKV_UUID_TEXT_BYTES];
        char other_text[MKV_UUID_TEXT_BYTES];
        mkv_uuid_format(own->store_uuid, own_text);
        mkv_uuid_format(other->store_uuid, other_text);
        return mkv_backend_refuse(error, MKV_BACKEND_CONFIGURATION,
                                  "drive %s: %s belongs to store %s, but drive %s (%s) to store "
                                  "%s. Give each store a node of its own",
                                  candidate->name, candidate->path, own_text, reference->name,
                                  reference->path, other_text);
    }
    if (!sets_equal(own, other)) {
        return mkv_backend_refuse(error, MKV_BACKEND_CONFIGURATION,
                                  "drive %s: %s and drive %s (%s) name different members of their "
                                  "store (versions %" PRIu64 " and %" PRIu64 "). One of them is "
                                  "an old copy: name the path of the right one",
                                  candidate->name, candidate->path, reference->name,
                                  reference->path, own->drive_set_version,
                                  other->drive_set_version);
    }
    return true;
}

static bool check_member(const struct mkv_drive_set_candidate *candidates, uint32_t index,
                         struct mkv_backend_error *error) {
    const struct mkv_superblock *own = &candidates[index].probe->superblock;
    char text[MKV_UUID_TEXT_BYTES];
    mkv_uuid_format(own->drive_uuid, text);
    if (!set_has(own, own->drive_uuid)) {
        return mkv_backend_refuse(error, MKV_BACKEND_IO,
                                  "drive %s: the store on %s is damaged: its drive %s is no "
                                  "member of its own store. Name another path, or remove the "
                                  "store to start anew",
                                  candidates[index].name, candidates[index].path, text);
    }
    for (uint32_t i = 0; i < index; i++) {
        const struct mkv_drive_probe *probe = candidates[i].probe;
        if (probe->kind == MKV_DRIVE_PROBE_STORE &&
            mkv_uuid_equal(probe->superblock.drive_uuid, own->drive_uuid)) {
            return mkv_backend_refuse(error, MKV_BACKEND_CONFIGURATION,
                                      "drive %s: %s is a copy of drive %s (%s): both are drive "
                                      "%s. Name one of them alone",
                                      candidates[index].name, candidates[index].path,
                                      candidates[i].name, candidates[i].path, text);
        }
    }
    return true;
}

static bool check_together(const struct mkv_drive_set_candidate *candidates, uint32_t count,
                           uint32_t *reference, struct mkv_backend_error *error) {
    *reference = MKV_NONE_U32;
    for (uint32_t i = 0; i < count; i++) {
        if (!check_alone(&candidates[i], error)) {
            return false;
        }
        if (candidates[i].probe->kind != MKV_DRIVE_PROBE_STORE) {
            continue;
        }
        if (!check_member(candidates, i, error)) {
            return false;
        }
        if (*reference == MKV_NONE_U32) {
            *reference = i;
        } else if (!check_sibling(&candidates[*reference], &candidates[i], error)) {
            return false;
        }
    }
    return true;
}

/* ---- the plan ------------------------------------------------------------------------------- */

static bool is_configured(const struct mkv_drive_set_candidate *candidates, uint32_t count,
                          struct mkv_uuid uuid) {
    for (uint32_t i = 0; i < count; i++) {
        if (candidates[i].probe->kind == MKV_DRIVE_PROBE_STORE &&
            mkv_uuid_equal(candidates[i].probe->superblock.drive_uuid, uuid)) {
            return true;
        }
    }
    return false;
}

/* Members that no drive claims; `missing` gets them in the order of the set. */
static uint32_t missing_members(const struct mkv_drive_set_candidate *candidates, uint32_t count,
                                const struct mkv_superblock *superblock,
                                struct mkv_uuid missing[MKV_VOLUMES_MAX]) {
    uint32_t missing_count = 0;
    for (uint32_t i = 0; i < superblock->drive_set_count; i++) {
        if (!is_configured(candidates, count, superblock->drive_set[i])) {
            missing[missing_count] = superblock->drive_set[i];
            missing_count++;
        }
    }
    return missing_count;
}

static bool refuse_blank(const struct mkv_drive_set_candidate *blank,
                         const struct mkv_drive_set_candidate *reference,
                         const struct mkv_uuid *missing, struct mkv_backend_error *error) {
    if (missing == NULL) {
        return mkv_backend_refuse(error, MKV_BACKEND_CONFIGURATION,
                                  "drive %s: %s is empty, and the store of drive %s (%s) lacks no "
                                  "drive. A store keeps the drives it was made with: take this "
                                  "one out of storage.drives",
                                  blank->name, blank->path, reference->name, reference->path);
    }
    char text[MKV_UUID_TEXT_BYTES];
    mkv_uuid_format(*missing, text);
    return mkv_backend_refuse(error, MKV_BACKEND_CONFIGURATION,
                              "drive %s: %s is empty, but the store of drive %s (%s) has %u "
                              "drives, and drive %s is missing. Name its path, or start anew on "
                              "empty paths",
                              blank->name, blank->path, reference->name, reference->path,
                              (unsigned)reference->probe->superblock.drive_set_count, text);
}

static bool refuse_missing(const struct mkv_drive_set_candidate *reference, struct mkv_uuid missing,
                           struct mkv_backend_error *error) {
    char text[MKV_UUID_TEXT_BYTES];
    mkv_uuid_format(missing, text);
    return mkv_backend_refuse(error, MKV_BACKEND_CONFIGURATION,
                              "drive %s is missing: the store of drive %s (%s) has %u drives, and "
                              "no configured drive is this one. Add its path to storage.drives, "
                              "or start anew on empty paths",
                              text, reference->name, reference->path,
                              (unsigned)reference->probe->superblock.drive_set_count);
}

/* The count of blank drives, and which is the first. */
static uint32_t blank_drives(const struct mkv_drive_set_candidate *candidates, uint32_t count,
                             uint32_t *first) {
    uint32_t blank_count = 0;
    for (uint32_t i = count; i > 0; i--) {
        if (candidates[i - 1].probe->kind == MKV_DRIVE_PROBE_BLANK) {
            *first = i - 1;
            blank_count++;
        }
    }
    return blank_count;
}

static void plan_new_store(uint32_t count, const struct mkv_drive_set_random *random,
                           struct mkv_drive_set_plan *plan) {
    plan->store_uuid = uuid_make(random);
    plan->version = MKV_DRIVE_SET_VERSION_FIRST;
    for (uint32_t i = 0; i < count; i++) {
        plan->members[i] = uuid_make(random);
        plan->drive_uuids[i] = plan->members[i];
        plan->format[i] = true;
    }
}

/* Whether no drive of the store was ever opened: then it holds nothing, and a set that is not
 * complete is what a first start left that was cut short while it formatted. */
static bool never_opened(const struct mkv_drive_set_candidate *candidates, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        if (candidates[i].probe->kind == MKV_DRIVE_PROBE_STORE &&
            candidates[i].probe->superblock.epoch != 0) {
            return false;
        }
    }
    return true;
}

static bool plan_store(const struct mkv_drive_set_candidate *candidates, uint32_t count,
                       uint32_t reference, struct mkv_drive_set_plan *plan,
                       struct mkv_backend_error *error) {
    const struct mkv_superblock *superblock = &candidates[reference].probe->superblock;
    struct mkv_uuid missing[MKV_VOLUMES_MAX];
    const uint32_t missing_count = missing_members(candidates, count, superblock, missing);
    uint32_t blank = MKV_NONE_U32;
    const uint32_t blank_count = blank_drives(candidates, count, &blank);
    bool cut_short = blank_count == missing_count && never_opened(candidates, count);
    if (blank_count > 0 && !cut_short) {
        return refuse_blank(&candidates[blank], &candidates[reference],
                            missing_count > 0 ? &missing[0] : NULL, error);
    }
    if (missing_count > blank_count) {
        return refuse_missing(&candidates[reference], missing[0], error);
    }
    plan->store_uuid = superblock->store_uuid;
    plan->version = superblock->drive_set_version;
    memcpy(plan->members, superblock->drive_set, count * sizeof plan->members[0]);
    uint32_t next_missing = 0;
    for (uint32_t i = 0; i < count; i++) {
        plan->format[i] = candidates[i].probe->kind == MKV_DRIVE_PROBE_BLANK;
        plan->drive_uuids[i] =
            plan->format[i] ? missing[next_missing++] : candidates[i].probe->superblock.drive_uuid;
    }
    MKV_ASSERT(next_missing == missing_count);
    return true;
}

bool mkv_drive_set_decide(const struct mkv_drive_set_candidate *candidates, uint32_t count,
                          const struct mkv_drive_set_random *random,
                          struct mkv_drive_set_plan *plan, struct mkv_backend_error *error) {
    MKV_ASSERT(count >= 1);
    MKV_ASSERT(count <= MKV_VOLUMES_MAX);
    memset(plan, 0, sizeof *plan);
    plan->member_count = count;
    uint32_t reference;
    if (!check_together(candidates, count, &reference, error)) {
        return false;
    }
    if (reference == MKV_NONE_U32) {
        plan_new_store(count, random, plan);
        return true;
    }
    return plan_store(candidates, count, reference, plan, error);
}
