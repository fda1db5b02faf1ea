/* SPDX-License-Identifier: Apache-2.0 */
#include "core/tenant_names.h"

#include <string.h>

static uint64_t bit_of(uint32_t volume) {
    MKV_ASSERT(volume < MKV_VOLUMES_MAX);
    return 1ull << volume;
}
_Static_assert(MKV_VOLUMES_MAX <= 64, "a bit for each volume");

/* ---- quotas ---------------------------------------------------------------------------------- */

bool mkv_tenant_names_quota(struct mkv_tenant_names *names, const char *name, uint64_t bytes) {
    MKV_ASSERT(names->serving == 0);
    MKV_ASSERT(mkv_tenant_name_is_valid(name, mkv_tenant_name_bytes(name)));
    if (names->quota_count == MKV_TENANT_QUOTAS_MAX) {
        return false;
    }
    struct mkv_tenant_quota *quota = &names->quotas[names->quota_count++];
    memcpy(quota->name, name, mkv_tenant_name_bytes(name) + 1);
    quota->bytes = bytes;
    return true;
}

uint64_t mkv_tenant_names_quota_of(const struct mkv_tenant_names *names, const char *name) {
    const uint32_t name_bytes = mkv_tenant_name_bytes(name);
    for (uint32_t index = 0; index < names->quota_count; index++) {
        const char *other = names->quotas[index].name;
        if (mkv_tenant_name_bytes(other) == name_bytes && memcmp(other, name, name_bytes) == 0) {
            return names->quotas[index].bytes;
        }
    }
    return UINT64_MAX;
}

/* Drives are compared in whole grains, and have shares of SHARE_WHOLE. */
#define SHARE_GRAIN_BYTES MKV_MIB
#define SHARE_WHOLE 65536ull

/* What of the quota is the volume's: in units, in proportion to what it can hold, which is how keys
 * are spread. 0: there is no quota. */
static uint64_t quota_share(const struct mkv_tenant_names *names, const char *name,
                            uint32_t volume) {
    const uint64_t bytes = mkv_tenant_names_quota_of(names, name);
    if (bytes == UINT64_MAX) {
        return 0;
    }
    const uint64_t total = names->volume_bytes_total / SHARE_GRAIN_BYTES;
    const uint64_t own = names->volume_bytes[volume] / SHARE_GRAIN_BYTES;
    const uint64_t share = total == 0 ? SHARE_WHOLE : own * SHARE_WHOLE / total;
    return mkv_max_u64(bytes / MKV_UNIT_BYTES * share / SHARE_WHOLE, 1);
}

/* ---- entries --------------------------------------------------------------------------------- */

uint32_t mkv_tenant_names_find(const struct mkv_tenant_names *names, uint32_t id) {
    uint32_t low = 0;
    uint32_t high = names->count;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        if (names->entries[middle].id < id) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < names->count && names->entries[low].id == id ? low : MKV_NONE_U32;
}

static struct mkv_tenant_entry *find_id(struct mkv_tenant_names *names, uint32_t id) {
    const uint32_t index = mkv_tenant_names_find(names, id);
    return index == MKV_NONE_U32 ? NULL : &names->entries[index];
}

/* Of those with this name that are, or are not, being dropped. */
static struct mkv_tenant_entry *find_name(struct mkv_tenant_names *names, const char *name,
                                          size_t name_bytes, bool dropping) {
    for (uint32_t index = 0; index < names->count; index++) {
        struct mkv_tenant_entry *entry = &names->entries[index];
        if (entry->name_bytes == name_bytes && entry->dropping == dropping &&
            memcmp(entry->name, name, name_bytes) == 0) {
            return entry;
        }
    }
    return NULL;
}

/* NULL: there is no room. */
static struct mkv_tenant_entry *insert(struct mkv_tenant_names *names, uint32_t id,
                                       const char *name, uint32_t name_bytes) {
    if (names->count == MKV_TENANT_NAMES_MAX) {
        return NULL;
    }
    uint32_t place = names->count;
    while (place > 0 && names->entries[place - 1].id > id) {
        names->entries[place] = names->entries[place - 1];
        place--;
    }
    names->count++;
    struct mkv_tenant_entry *entry = &names->entries[place];
    *entry = (struct mkv_tenant_entry){.id = id, .name_bytes = name_bytes};
    memcpy(entry->name, name, name_bytes);
    return entry;
}

static bool is_on_its_way(const struct mkv_tenant_names *names, uint32_t id) {
    for (uint32_t volume = 0; volume < names->volume_count; volume++) {
        if ((names->busy & bit_of(volume)) != 0 && names->busy_id[volume] == id) {
            return true;
        }
    }
    return false;
}

/* Those that are dropped wherever they can be are forgotten. */
static void forget_dropped(struct mkv_tenant_names *names) {
    uint32_t kept = 0;
    for (uint32_t index = 0; index < names->count; index++) {
        const struct mkv_tenant_entry *entry = &names->entries[index];
        if (!entry->dropping || (entry->has & names->serving) != 0 ||
            is_on_its_way(names, entry->id)) {
            names->entries[kept++] = *entry;
        }
    }
    names->count = kept;
}

void mkv_tenant_names_init(struct mkv_tenant_names *names, uint32_t volume_count,
                           const uint64_t *volume_bytes) {
    MKV_ASSERT(volume_count >= 1);
    MKV_ASSERT(volume_count <= MKV_VOLUMES_MAX);
    memset(names, 0, sizeof *names);
    names->volume_count = volume_count;
    for (uint32_t volume = 0; volume < volume_count; volume++) {
        names->volume_bytes[volume] = volume_bytes[volume];
        names->volume_bytes_total += volume_bytes[volume];
    }
    names->drop_id = MKV_NONE_U32;
    (void)insert(names, MKV_TENANT_DEFAULT, MKV_TENANT_DEFAULT_NAME,
                 sizeof MKV_TENANT_DEFAULT_NAME - 1);
}

/* ---- volumes --------------------------------------------------------------------------------- */

void mkv_tenant_names_volume_begin(struct mkv_tenant_names *names, uint32_t volume) {
    MKV_ASSERT(volume < names->volume_count);
    MKV_ASSERT((names->serving & bit_of(volume)) == 0);
    for (uint32_t index = 0; index < names->count; index++) {
        names->entries[index].has &= ~bit_of(volume);
        names->entries[index].told &= ~bit_of(volume);
        names->entries[index].refused &= ~bit_of(volume);
    }
}

/* Whether a serving volume knows that the number was given, and does not have it (I1). */
static bool was_dropped(const struct mkv_tenant_names *names, uint32_t id) {
    for (uint32_t volume = 0; volume < names->volume_count; volume++) {
        if ((names->serving & bit_of(volume)) != 0 && names->volume_id_max[volume] >= id) {
            return true;
        }
    }
    return false;
}

void mkv_tenant_names_learn(struct mkv_tenant_names *names, uint32_t volume, uint32_t id,
                            const char *name, uint32_t name_bytes) {
    MKV_ASSERT((names->serving & bit_of(volume)) == 0);
    MKV_ASSERT(name_bytes <= MKV_TENANT_STORED_NAME_BYTES_MAX);
    struct mkv_tenant_entry *entry = find_id(names, id);
    if (entry == NULL) {
        const bool dropped = was_dropped(names, id);
        entry = insert(names, id, name, name_bytes);
        if (entry == NULL) {
            return; /* nobody can name it; its blocks are kept */
        }
        entry->dropping = dropped;
    } else if (entry->name_bytes != name_bytes || memcmp(entry->name, name, name_bytes) != 0) {
        entry->dropping = id != MKV_TENANT_DEFAULT; /* I3 */
    }
    entry->has |= bit_of(volume);
    if (mkv_tenant_names_quota_of(names, entry->name) == UINT64_MAX) {
        entry->told |= bit_of(volume);
    }
}

void mkv_tenant_names_volume_serves(struct mkv_tenant_names *names, uint32_t volume,
                                    uint32_t id_max) {
    MKV_ASSERT((names->serving & bit_of(volume)) == 0);
    names->volume_id_max[volume] = id_max;
    names->id_max = (uint32_t)mkv_max_u64(names->id_max, id_max);
    for (uint32_t index = 0; index < names->count; index++) {
        struct mkv_tenant_entry *entry = &names->entries[index];
        if (entry->id <= id_max && (entry->has & bit_of(volume)) == 0) {
            entry->dropping = true; /* I1; the default one is on every volume */
        }
        const struct mkv_tenant_entry *lower =
            find_name(names, entry->name, entry->name_bytes, false);
        if (lower != NULL && lower->id < entry->id && !entry->dropping) {
            find_id(names, lower->id)->dropping = true; /* I3 */
        }
    }
    names->serving |= bit_of(volume);
    names->dirty = true;
    forget_dropped(names);
}

void mkv_tenant_names_volume_size(struct mkv_tenant_names *names, uint32_t volume, uint64_t bytes) {
    MKV_ASSERT(volume < names->volume_count);
    MKV_ASSERT((names->serving & bit_of(volume)) == 0);
    names->volume_bytes_total += bytes - names->volume_bytes[volume];
    names->volume_bytes[volume] = bytes;
}

void mkv_tenant_names_volume_lost(struct mkv_tenant_names *names, uint32_t volume) {
    if ((names->serving & bit_of(volume)) == 0) {
        return;
    }
    const struct mkv_tenant_entry *dropped = find_id(names, names->drop_id);
    names->drop_unsure =
        names->drop_unsure || (dropped != NULL && (dropped->has & bit_of(volume)) != 0);
    names->serving &= ~bit_of(volume);
    names->dirty = true;
    forget_dropped(names);
}

void mkv_tenant_names_volume_swept(struct mkv_tenant_names *names, uint32_t volume) {
    for (uint32_t index = 0; index < names->count; index++) {
        names->entries[index].refused &= ~bit_of(volume);
    }
    names->dirty = true;
}

/* ---- messages -------------------------------------------------------------------------------- */

/* What the volume is to be told next, or NULL. Drops come first: they make room. */
static const struct mkv_tenant_entry *due(const struct mkv_tenant_names *names, uint32_t volume) {
    const uint64_t bit = bit_of(volume);
    for (uint32_t index = 0; index < names->count; index++) {
        const struct mkv_tenant_entry *entry = &names->entries[index];
        if (entry->dropping && (entry->has & bit) != 0) {
            return entry;
        }
    }
    for (uint32_t index = 0; index < names->count; index++) {
        const struct mkv_tenant_entry *entry = &names->entries[index];
        if ((entry->refused & bit) != 0) {
            return NULL; /* higher numbers have to wait behind it (I1) */
        }
        if (!entry->dropping && ((entry->has & bit) == 0 || (entry->told & bit) == 0)) {
            return entry;
        }
    }
    return NULL;
}

bool mkv_tenant_names_next(struct mkv_tenant_names *names, struct mkv_message *message,
                           const char **name) {
    for (uint32_t volume = 0; names->dirty && volume < names->volume_count; volume++) {
        if ((names->serving & ~names->busy & bit_of(volume)) == 0) {
            continue;
        }
        const struct mkv_tenant_entry *entry = due(names, volume);
        if (entry == NULL) {
            continue;
        }
        names->busy |= bit_of(volume);
        names->busy_id[volume] = entry->id;
        *message = (struct mkv_message){
            .kind = entry->dropping ? MKV_MESSAGE_TENANT_DROP : MKV_MESSAGE_TENANT,
            .volume = volume,
            .front_op = {.index = MKV_NONE_U32},
            .tenant = entry->id,
        };
        if (!entry->dropping) {
            message->data_bytes = entry->name_bytes;
            message->count = quota_share(names, entry->name, volume);
        }
        *name = entry->name;
        return true;
    }
    names->dirty = false;
    return false;
}

static void created(struct mkv_tenant_names *names, struct mkv_tenant_entry *entry,
                    const struct mkv_message *message) {
    const uint64_t bit = bit_of(message->volume);
    if (message->status == MKV_STATUS_OK) {
        entry->has |= bit;
        entry->told |= bit;
        names->volume_id_max[message->volume] =
            (uint32_t)mkv_max_u64(names->volume_id_max[message->volume], entry->id);
    } else if (message->status == MKV_STATUS_CONFLICT) {
        entry->has |= bit; /* dropped there, or another's: it goes, everywhere */
        entry->dropping = entry->id != MKV_TENANT_DEFAULT;
    } else if (message->status == MKV_STATUS_NO_SPACE) {
        entry->refused |= bit;
    } else {
        mkv_tenant_names_volume_lost(names, message->volume);
    }
}

void mkv_tenant_names_done(struct mkv_tenant_names *names, const struct mkv_message *message) {
    const uint32_t volume = message->volume;
    MKV_ASSERT((names->busy & bit_of(volume)) != 0);
    names->busy &= ~bit_of(volume);
    names->dirty = true;
    struct mkv_tenant_entry *entry = find_id(names, names->busy_id[volume]);
    MKV_ASSERT(entry != NULL); /* see forget_dropped */
    const bool gone = message->status == MKV_STATUS_OK || message->status == MKV_STATUS_NOT_FOUND;
    if (message->kind == MKV_MESSAGE_TENANT_DONE) {
        created(names, entry, message);
    } else if (gone) {
        entry->has &= ~bit_of(volume);
    } else {
        mkv_tenant_names_volume_lost(names, volume);
    }
    forget_dropped(names);
}

bool mkv_tenant_names_settled(const struct mkv_tenant_names *names) {
    for (uint32_t volume = 0; volume < names->volume_count; volume++) {
        if ((names->serving & bit_of(volume)) != 0 && due(names, volume) != NULL) {
            return false;
        }
    }
    return names->busy == 0;
}

/* ---- names ----------------------------------------------------------------------------------- */

enum mkv_tenant_resolved mkv_tenant_names_resolve(struct mkv_tenant_names *names, const char *name,
                                                  bool create, uint32_t *id) {
    const uint32_t name_bytes = mkv_tenant_name_bytes(name);
    MKV_ASSERT(mkv_tenant_name_is_valid(name, name_bytes));
    const struct mkv_tenant_entry *entry = find_name(names, name, name_bytes, false);
    *id = entry != NULL ? entry->id : MKV_NONE_U32;
    if (entry != NULL) {
        const uint64_t lacking = names->serving & ~entry->has;
        if (!create || lacking == 0) {
            return MKV_TENANT_KNOWN;
        }
        return (entry->refused & lacking) != 0 ? MKV_TENANT_REFUSED : MKV_TENANT_PENDING;
    }
    if (!create || names->serving == 0) {
        return MKV_TENANT_ABSENT;
    }
    if (names->id_max == MKV_NONE_U32 - 1 ||
        insert(names, names->id_max + 1, name, name_bytes) == NULL) {
        return MKV_TENANT_REFUSED;
    }
    names->id_max++;
    names->dirty = true;
    return MKV_TENANT_PENDING;
}

enum mkv_status mkv_tenant_names_drop(struct mkv_tenant_names *names, const char *name) {
    struct mkv_tenant_entry *entry = find_name(names, name, mkv_tenant_name_bytes(name), false);
    if (entry == NULL) {
        entry = find_name(names, name, mkv_tenant_name_bytes(name), true);
    }
    if (entry == NULL) {
        return MKV_STATUS_NOT_FOUND;
    }
    if (entry->id == MKV_TENANT_DEFAULT) {
        return MKV_STATUS_FORBIDDEN;
    }
    entry->dropping = true;
    names->drop_id = entry->id;
    names->drop_unsure = false;
    names->dirty = true;
    forget_dropped(names);
    return MKV_STATUS_OK;
}

bool mkv_tenant_names_dropped(const struct mkv_tenant_names *names, enum mkv_status *status) {
    if (mkv_tenant_names_find(names, names->drop_id) != MKV_NONE_U32) {
        return false;
    }
    *status = names->drop_unsure ? MKV_STATUS_UNKNOWN : MKV_STATUS_OK;
    return true;
}
