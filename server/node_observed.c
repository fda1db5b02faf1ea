/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the shard's observer, its pump and its drives keep, for snapshots and the admin listener.
 */
#include <stdlib.h>
#include <string.h>

#include "admin/observed.h"
#include "backends/clock.h"
#include "core/bytes.h"
#include "server/node_internal.h"
#include "server/observer.h"

/* A listing by prefix ends then, whatever it has seen: others on its socket wait behind it. */
#define PREFIXES_NS 1000000000ull
/* Keys of a page: so many are looked at in one step of a volume at most. */
#define PREFIXES_PAGE 512u

static uint32_t count_of(void *context) {
    const struct mkv_node *node = context;
    return mkv_shards_count(node->shards);
}

static const struct mkv_observer *observer_of(void *context, uint32_t shard) {
    const struct mkv_node *node = context;
    return mkv_shards_observer(node->shards, shard);
}

/* ---- snapshots ------------------------------------------------------------------------------ */

static void fill_drive(const struct mkv_shard_volume_stats *stats, uint64_t taken_ns,
                       struct mkv_admin_drive *out) {
    static const enum mkv_drive_operation operations[MKV_ADMIN_IO_OP_COUNT] = {
        [MKV_ADMIN_IO_READ] = MKV_DRIVE_OP_READ,
        [MKV_ADMIN_IO_WRITE] = MKV_DRIVE_OP_WRITE,
        [MKV_ADMIN_IO_FLUSH] = MKV_DRIVE_OP_FLUSH,
        [MKV_ADMIN_IO_TRIM] = MKV_DRIVE_OP_TRIM,
    };
    for (uint32_t i = 0; i < MKV_ADMIN_IO_OP_COUNT; i++) {
        out->io[i].duration = stats->drive.operations[operations[i]].device;
    }
    out->io_busy_ns = mkv_drive_busy_ns(&stats->drive, taken_ns);
}

void mkv_node_observed_fill(const struct mkv_node *node, const struct mkv_shard_stats *stats,
                            struct mkv_admin_snapshot *out) {
    for (uint32_t i = 0; i < node->drive_count; i++) {
        fill_drive(&stats->volumes[i], stats->taken_ns, &out->drives[i]);
    }
    out->timing.dispatch = stats->dispatch;
    for (uint32_t shard = 0; shard < mkv_shards_count(node->shards); shard++) {
        const struct mkv_observer *observer = mkv_shards_observer(node->shards, shard);
        out->hotkey_accesses_total += mkv_hotkeys_counted(mkv_observer_hotkeys(observer));
        out->hotkey_decays_total += mkv_hotkeys_halvings(mkv_observer_hotkeys(observer));
        for (uint32_t command = 0; command < MKV_ADMIN_COMMAND_COUNT; command++) {
            mkv_observer_exemplars(observer, command, &out->timing.command_exemplars[command]);
        }
        mkv_observer_request_exemplars(observer, &out->timing.request_exemplars);
    }
}

/* ---- for the admin listener ----------------------------------------------------------------- */

static void latency(void *context, enum mkv_admin_latency_op op, struct mkv_hdr *out) {
    for (uint32_t shard = 0; shard < count_of(context); shard++) {
        mkv_observer_latency(observer_of(context, shard), op, out);
    }
}

static int newer_first(const void *left, const void *right) {
    const struct mkv_admin_slow *a = left;
    const struct mkv_admin_slow *b = right;
    return a->time_ms < b->time_ms ? 1 : a->time_ms > b->time_ms ? -1 : 0;
}

static uint32_t slow(void *context, struct mkv_admin_slow *out, uint32_t max,
                     uint64_t *threshold_ns) {
    const uint32_t shards = count_of(context);
    *threshold_ns = mkv_observer_slow_ns(observer_of(context, 0));
    if (shards == 1) {
        return mkv_observer_slow(observer_of(context, 0), out, max);
    }
    struct mkv_admin_slow *all = malloc((size_t)shards * max * sizeof *all);
    uint32_t count = 0;
    for (uint32_t shard = 0; shard < shards && all != NULL; shard++) {
        count += mkv_observer_slow(observer_of(context, shard), &all[count], max);
    }
    if (count > 0) {
        qsort(all, count, sizeof *all, newer_first);
        count = (uint32_t)mkv_min_u64(count, max);
        memcpy(out, all, count * sizeof *all);
    }
    free(all);
    return count;
}

static uint32_t clients(void *context, struct mkv_admin_client *out, uint32_t max) {
    uint32_t count = 0;
    for (uint32_t shard = 0; shard < count_of(context); shard++) {
        count += mkv_observer_clients(observer_of(context, shard), &out[count], max - count);
    }
    const uint64_t now_ns = mkv_clock_monotonic_ns();
    for (uint32_t i = 0; i < count; i++) {
        out[i].connected_ns = now_ns - mkv_min_u64(now_ns, out[i].connected_ns);
    }
    return count;
}

/* The numbers and names of the tenants that there are; NULL when there is no memory. */
struct tenants {
    uint32_t count;
    struct {
        uint32_t id;
        char name[MKV_ADMIN_TENANT_BYTES];
    } of[MKV_TENANT_NAMES_MAX];
};

static struct tenants *tenants_now(struct mkv_node *node) {
    struct tenants *tenants = calloc(1, sizeof *tenants);
    if (tenants == NULL) {
        return NULL;
    }
    pthread_mutex_lock(&node->view_mutex);
    mkv_shards_stats(node->shards, node->view_stats, node->view_briefs);
    tenants->count = node->view_stats->tenant_count;
    for (uint32_t i = 0; i < tenants->count; i++) {
        const struct mkv_shard_tenant_stats *source = &node->view_stats->tenants[i];
        tenants->of[i].id = source->id;
        memcpy(tenants->of[i].name, source->name, sizeof tenants->of[i].name);
    }
    pthread_mutex_unlock(&node->view_mutex);
    return tenants;
}

static int hotter_first(const void *left, const void *right) {
    const struct mkv_hotkey *a = left;
    const struct mkv_hotkey *b = right;
    return a->count < b->count ? 1 : a->count > b->count ? -1 : 0;
}

/* Adds those of one shard; a key that another has counted too is there once, with both. */
static uint32_t hotkeys_add(struct mkv_hotkey *all, uint32_t count, const struct mkv_hotkey *more,
                            uint32_t more_count) {
    const uint32_t known = count;
    for (uint32_t i = 0; i < more_count; i++) {
        uint32_t place = 0;
        while (place < known && memcmp(&all[place].hash, &more[i].hash, sizeof more[i].hash) != 0) {
            place++;
        }
        if (place < known) {
            all[place].count += more[i].count;
            all[place].error += more[i].error;
        } else {
            all[count++] = more[i];
        }
    }
    return count;
}

/* The hottest of all shards. */
static uint32_t hotkeys_merge(void *context, struct mkv_hotkey *out, uint32_t max) {
    const uint32_t shards = count_of(context);
    if (shards == 1) {
        return mkv_hotkeys_copy(mkv_observer_hotkeys(observer_of(context, 0)), out, max);
    }
    struct mkv_hotkey *all = malloc((size_t)shards * max * sizeof *all);
    struct mkv_hotkey *one = malloc((size_t)max * sizeof *one);
    uint32_t count = 0;
    for (uint32_t shard = 0; shard < shards && all != NULL && one != NULL; shard++) {
        const uint32_t found =
            mkv_hotkeys_copy(mkv_observer_hotkeys(observer_of(context, shard)), one, max);
        count = hotkeys_add(all, count, one, found);
    }
    if (count > 0) {
        qsort(all, count, sizeof *all, hotter_first);
        count = (uint32_t)mkv_min_u64(count, max);
        memcpy(out, all, count * sizeof *all);
    }
    free(one);
    free(all);
    return count;
}

static uint32_t hotkeys(void *context, struct mkv_admin_hotkey *out, uint32_t max) {
    struct mkv_node *node = context;
    struct mkv_hotkey *hot = calloc(max, sizeof *hot);
    struct tenants *tenants = tenants_now(node);
    uint32_t count = 0;
    if (hot != NULL && tenants != NULL) {
        count = hotkeys_merge(node, hot, max);
    }
    for (uint32_t i = 0; i < count; i++) {
        memset(&out[i], 0, sizeof out[i]);
        out[i].hot = hot[i];
        for (uint32_t tenant = 0; tenant < tenants->count; tenant++) {
            if (tenants->of[tenant].id == hot[i].tenant) {
                memcpy(out[i].tenant, tenants->of[tenant].name, sizeof out[i].tenant);
            }
        }
    }
    free(hot);
    free(tenants);
    return count;
}

/* ---- listing by prefix ---------------------------------------------------------------------- */

struct walk {
    struct mkv_node *node;
    struct mkv_prefixes *out;
    uint64_t until_ns;
    struct mkv_shard_answer *answer;
};

/* Adds a page; the last key of it goes to `after`, and its size is returned. */
static uint32_t add_page(struct walk *walk, const char *tenant, uint8_t *after) {
    const struct mkv_message *page = &walk->answer->message;
    const uint8_t *entry = walk->answer->data;
    uint32_t key_bytes = 0;
    for (uint64_t i = 0; i < page->count; i++) {
        const uint64_t payload_units = mkv_load_u16(entry + 8);
        const uint32_t flags = mkv_load_u16(entry + 10);
        key_bytes = mkv_load_u16(entry + 12);
        const uint8_t *key = entry + MKV_SCAN_ENTRY_BYTES;
        MKV_ASSERT(key + key_bytes <= walk->answer->data + page->data_bytes);
        mkv_prefixes_add(walk->out, tenant, key, key_bytes, (1 + payload_units) * MKV_UNIT_BYTES,
                         (flags & MKV_BLOCK_MANIFEST) != 0);
        memcpy(after, key, key_bytes);
        entry = key + key_bytes;
    }
    return key_bytes;
}

/* All keys of a tenant on a volume; false when there was no time for them. */
static bool walk_volume(struct walk *walk, uint32_t tenant, const char *name, uint32_t volume) {
    uint8_t after[MKV_KEY_BYTES_MAX];
    struct mkv_message question = {
        .kind = MKV_MESSAGE_SCAN, .volume = volume, .tenant = tenant, .count = PREFIXES_PAGE};
    for (;;) {
        const uint64_t now_ns = mkv_clock_monotonic_ns();
        if (now_ns >= walk->until_ns ||
            mkv_shards_ask(walk->node->shards, &question, after, walk->until_ns - now_ns,
                           walk->answer) != MKV_STATUS_OK ||
            walk->answer->message.status != MKV_STATUS_OK) {
            return false;
        }
        question.data_bytes = add_page(walk, name, after);
        if ((walk->answer->message.flags & MKV_SCAN_MORE) == 0 ||
            walk->answer->message.count == 0) {
            return true;
        }
    }
}

static bool prefixes(void *context, const struct mkv_admin_prefixes_query *query,
                     struct mkv_prefixes *out) {
    struct mkv_node *node = context;
    struct tenants *tenants = tenants_now(node);
    struct walk walk = {
        .node = node,
        .out = out,
        .until_ns = mkv_clock_monotonic_ns() + PREFIXES_NS,
        .answer = malloc(sizeof *walk.answer),
    };
    const bool ready = tenants != NULL && walk.answer != NULL;
    bool complete = ready;
    for (uint32_t i = 0; ready && i < tenants->count; i++) {
        if (query->tenant != NULL && strcmp(query->tenant, tenants->of[i].name) != 0) {
            continue;
        }
        for (uint32_t volume = 0; volume < node->drive_count; volume++) {
            /* A drive that is offline has no keys to tell; the others' are told all the same. */
            complete =
                walk_volume(&walk, tenants->of[i].id, tenants->of[i].name, volume) && complete;
        }
    }
    free(walk.answer);
    free(tenants);
    return complete;
}

const struct mkv_admin_observed_ops mkv_node_observed = {
    .latency = latency,
    .hotkeys = hotkeys,
    .slow = slow,
    .clients = clients,
    .prefixes = prefixes,
};
