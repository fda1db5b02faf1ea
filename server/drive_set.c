/* SPDX-License-Identifier: Apache-2.0 */
#include "server/drive_set.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "server/size.h"

/* A signal may cut a request for random bytes short, again and again if it must. */
#define RANDOM_TRIES_MAX 100u

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

static int hex_value(char digit) {
    if (digit >= '0' && digit <= '9') {
        return digit - '0';
    }
    if (digit >= 'a' && digit <= 'f') {
        return digit - 'a' + 10;
    }
    return digit >= 'A' && digit <= 'F' ? digit - 'A' + 10 : -1;
}

bool mkv_uuid_parse(const char *text, struct mkv_uuid *uuid) {
    for (uint32_t i = 0; i < sizeof uuid->bytes; i++) {
        if ((i == 4 || i == 6 || i == 8 || i == 10) && *text++ != '-') {
            return false;
        }
        const int high = hex_value(text[0]);
        const int low = high < 0 ? -1 : hex_value(text[1]);
        if (low < 0) {
            return false;
        }
        uuid->bytes[i] = (uint8_t)(high * 16 + low);
        text += 2;
    }
    return *text == '\0';
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
                                  "drive %s: %s holds %s, which is not overwritten. Name another "
                                  "path, or remove what is there first",
                                  candidate->name, candidate->path,
                                  probe->signature.kind == MKV_DRIVE_SIGNATURE_NONE
                                      ? "data that is no memkv store"
                                      : probe->signature.name);
    case MKV_DRIVE_PROBE_DAMAGED:
        return mkv_backend_refuse(error, MKV_BACKEND_IO,
                                  "drive %s: the store on %s is damaged: no two of its four "
                                  "superblocks agree. Run: memkv drive repair --to FILE %s; or, to "
                                  "start anew without its blocks: memkv drive wipe --yes %s",
                                  candidate->name, candidate->path, candidate->path,
                                  candidate->path);
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

/* Missing drives that a message names; there may be more. */
#define NAMED_MAX 3u
#define NAMED_BYTES (NAMED_MAX * (MKV_UUID_TEXT_BYTES + 1u) + 1u)

static bool refuse_foreign(const struct mkv_drive_set_candidate *own,
                           const struct mkv_drive_set_candidate *other,
                           struct mkv_backend_error *error) {
    char own_text[MKV_UUID_TEXT_BYTES];
    char other_text[MKV_UUID_TEXT_BYTES];
    mkv_uuid_format(own->probe->superblock.store_uuid, own_text);
    mkv_uuid_format(other->probe->superblock.store_uuid, other_text);
    return mkv_backend_refuse(error, MKV_BACKEND_CONFIGURATION,
                              "drive %s: %s belongs to store %s, but drive %s (%s) to store %s. "
                              "Give each store a node of its own",
                              own->name, own->path, own_text, other->name, other->path, other_text);
}

static bool refuse_two_sets(const struct mkv_drive_set_candidate *own,
                            const struct mkv_drive_set_candidate *other,
                            struct mkv_backend_error *error) {
    return mkv_backend_refuse(
        error, MKV_BACKEND_UNAVAILABLE,
        "drive %s (%s) and drive %s (%s) say that their store is made of different drives: "
        "each went on without the other. Say whose blocks are to go: "
        "memkv start --lost %s, or --lost %s",
        own->name, own->path, other->name, other->path, own->name, other->name);
}

/* "a,b" for the command line, as many as a message takes; says whether these are all. */
static bool list_missing(const struct mkv_drive_set_plan *plan, char out[NAMED_BYTES]) {
    const uint32_t named = (uint32_t)mkv_min_u64(plan->missing_count, NAMED_MAX);
    size_t at = 0;
    for (uint32_t i = 0; i < named; i++) {
        char text[MKV_UUID_TEXT_BYTES];
        mkv_uuid_format(plan->missing[i], text);
        at += (size_t)snprintf(out + at, NAMED_BYTES - at, "%s%s", i == 0 ? "" : ",", text);
    }
    return named == plan->missing_count;
}

/* A configured drive that may be where a missing one was: what is said of it, or "". */
static void name_suspect(const struct mkv_drive_set_candidate *candidates, uint32_t count,
                         char *out, size_t out_bytes) {
    out[0] = '\0';
    for (uint32_t i = 0; i < count; i++) {
        const bool absent = candidates[i].probe == NULL;
        if (absent || candidates[i].probe->kind == MKV_DRIVE_PROBE_BLANK) {
            snprintf(out, out_bytes, " Drive %s (%.160s) %s.", candidates[i].name,
                     candidates[i].path, absent ? "is not there" : "is empty");
            return;
        }
    }
}

static bool refuse_missing(const struct mkv_drive_set_candidate *candidates, uint32_t count,
                           const struct mkv_drive_set_plan *plan, struct mkv_backend_error *error) {
    char missing[NAMED_BYTES];
    char suspect[320];
    const bool all = list_missing(plan, missing);
    name_suspect(candidates, count, suspect, sizeof suspect);
    return mkv_backend_refuse(
        error, MKV_BACKEND_UNAVAILABLE,
        "%u of the store's %u drives %s missing: %s%s.%s Bring them back; or, if they are lost and "
        "with them their blocks, run: memkv start --lost %s%s",
        (unsigned)plan->missing_count, (unsigned)plan->newest.count,
        plan->missing_count == 1 ? "is" : "are", missing, all ? "" : ",...", suspect, missing,
        all ? "" : ",...");
}

static bool refuse(const struct mkv_drive_set_candidate *candidates, uint32_t count,
                   const struct mkv_drive_set_plan *plan, struct mkv_backend_error *error) {
    const struct mkv_drive_set_candidate *own = &candidates[plan->drive];
    const struct mkv_drive_set_candidate *other = &candidates[plan->other];
    char text[MKV_UUID_TEXT_BYTES];
    switch (plan->refusal) {
    case MKV_DRIVE_SET_ACCEPTED:
        break;
    case MKV_DRIVE_SET_INCOMPLETE:
        return mkv_backend_refuse(error, MKV_BACKEND_UNAVAILABLE,
                                  "drive %s: %s is not there, and the other drives are empty: a "
                                  "new store is made of all its drives. Bring it, or take it out "
                                  "of storage.drives",
                                  own->name, own->path);
    case MKV_DRIVE_SET_FOREIGN:
        return refuse_foreign(own, other, error);
    case MKV_DRIVE_SET_TWINS:
        mkv_uuid_format(own->probe->superblock.drive_uuid, text);
        return mkv_backend_refuse(error, MKV_BACKEND_CONFIGURATION,
                                  "drive %s: %s is a copy of drive %s (%s): both are drive %s. "
                                  "Name one of them alone",
                                  own->name, own->path, other->name, other->path, text);
    case MKV_DRIVE_SET_TORN:
        mkv_uuid_format(own->probe->superblock.drive_uuid, text);
        return mkv_backend_refuse(error, MKV_BACKEND_IO,
                                  "drive %s: the store on %s is damaged: its drive %s is no "
                                  "member of its own store. Name another path, or remove the "
                                  "store to start anew",
                                  own->name, own->path, text);
    case MKV_DRIVE_SET_NO_MEMBER:
        return mkv_backend_refuse(error, MKV_BACKEND_UNAVAILABLE,
                                  "all drives of the store are missing: those that are there "
                                  "were made to join it and have not yet. Bring back its drives, "
                                  "or start anew on empty paths");
    case MKV_DRIVE_SET_TWO_SETS:
        return refuse_two_sets(own, other, error);
    case MKV_DRIVE_SET_MISSING:
        return refuse_missing(candidates, count, plan, error);
    }
    MKV_ASSERT(false);
    return false;
}

/* ---- the operator's word -------------------------------------------------------------------- */

/* The drive that a word of --lost names: by its configured name if it is there, or its uuid. */
static bool resolve(const struct mkv_drive_set_candidate *candidates, uint32_t count,
                    const char *word, struct mkv_uuid *uuid, struct mkv_backend_error *error) {
    if (mkv_uuid_parse(word, uuid)) {
        return true;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (strcmp(candidates[i].name, word) != 0) {
            continue;
        }
        if (candidates[i].probe != NULL && candidates[i].probe->kind == MKV_DRIVE_PROBE_STORE) {
            *uuid = candidates[i].probe->superblock.drive_uuid;
            return true;
        }
        return mkv_backend_refuse(error, MKV_BACKEND_CONFIGURATION,
                                  "--lost %s: nothing on %s says which drive it was. Give the "
                                  "uuid that the node names as missing",
                                  word, candidates[i].path);
    }
    return mkv_backend_refuse(error, MKV_BACKEND_CONFIGURATION,
                              "--lost: '%s' is neither the name of a drive in storage.drives nor "
                              "a uuid. Give the uuid that the node names as missing",
                              word);
}

/* Reads "a,b" into `lost`. */
static bool resolve_all(const struct mkv_drive_set_candidate *candidates, uint32_t count,
                        const char *list, struct mkv_uuid lost[MKV_VOLUMES_MAX],
                        uint32_t *lost_count, struct mkv_backend_error *error) {
    *lost_count = 0;
    while (list != NULL && *list != '\0') {
        const size_t bytes = strcspn(list, ",");
        char word[MKV_DRIVE_NAME_TEXT_BYTES];
        snprintf(word, sizeof word, "%.*s", (int)mkv_min_u64(bytes, sizeof word - 1), list);
        if (*lost_count == MKV_VOLUMES_MAX) {
            return mkv_backend_refuse(error, MKV_BACKEND_CONFIGURATION,
                                      "--lost names more than %u drives", MKV_VOLUMES_MAX);
        }
        if (!resolve(candidates, count, word, &lost[*lost_count], error)) {
            return false;
        }
        (*lost_count)++;
        list += bytes + (list[bytes] == ',');
    }
    return true;
}

/* ---- the decision --------------------------------------------------------------------------- */

static struct mkv_drive_claim claim_of(const struct mkv_drive_set_candidate *candidate) {
    struct mkv_drive_claim claim = {.usable_units = candidate->usable_units};
    if (candidate->probe == NULL) {
        return claim;
    }
    claim.kind = MKV_DRIVE_CLAIM_BLANK;
    if (candidate->probe->kind == MKV_DRIVE_PROBE_STORE) {
        const struct mkv_superblock *superblock = &candidate->probe->superblock;
        claim.kind = MKV_DRIVE_CLAIM_STORE;
        claim.store_uuid = superblock->store_uuid;
        claim.drive_uuid = superblock->drive_uuid;
        claim.opened = superblock->epoch != 0;
        claim.set = superblock->drive_set;
    }
    return claim;
}

bool mkv_drive_set_judge(const struct mkv_drive_set_candidate *candidates, uint32_t count,
                         const char *lost, const struct mkv_drive_set_random *random,
                         struct mkv_drive_set_plan *plan, struct mkv_backend_error *error) {
    MKV_ASSERT(count >= 1);
    MKV_ASSERT(count <= MKV_VOLUMES_MAX);
    struct mkv_drive_claim claims[MKV_VOLUMES_MAX];
    struct mkv_uuid fresh[MKV_VOLUMES_MAX + 1];
    struct mkv_uuid lost_uuids[MKV_VOLUMES_MAX];
    uint32_t lost_count;
    memset(plan, 0, sizeof *plan);
    for (uint32_t i = 0; i < count; i++) {
        if (candidates[i].probe != NULL && !check_alone(&candidates[i], error)) {
            return false;
        }
        claims[i] = claim_of(&candidates[i]);
    }
    if (!resolve_all(candidates, count, lost, lost_uuids, &lost_count, error)) {
        return false;
    }
    for (uint32_t i = 0; i <= count; i++) {
        fresh[i] = uuid_make(random);
    }
    const struct mkv_drive_set_question question = {
        .count = count,
        .claims = claims,
        .lost_count = lost_count,
        .lost = lost_uuids,
        .fresh = fresh,
    };
    mkv_drive_set_decide(&question, plan);
    return plan->refusal == MKV_DRIVE_SET_ACCEPTED || refuse(candidates, count, plan, error);
}

bool mkv_drive_set_may_wait(const struct mkv_drive_set_plan *plan) {
    return plan->refusal == MKV_DRIVE_SET_MISSING || plan->refusal == MKV_DRIVE_SET_TWO_SETS ||
           plan->refusal == MKV_DRIVE_SET_NO_MEMBER;
}
