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

static const struct mkv_observer *observer_of(void *context) {
    const struct mkv_node *node = context;
    return mkv_shard_observer(node->shard);
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
    const struct mkv_observer *observer = mkv_shard_observer(node->shard);
    for (uint32_t i = 0; i < node->drive_count; i++) {
        fill_drive(&stats->volumes[i], stats->taken_ns, &out->drives[i]);
    }
    out->timing.dispatch = stats->dispatch;
    out->hotkey_accesses_total = mkv_hotkeys_counted(mkv_observer_hotkeys(observer));
    out->hotkey_decays_total = mkv_hotkeys_halvings(mkv_observer_hotkeys(observer));
    for (uint32_t command = 0; command < MKV_ADMIN_COMMAND_COUNT; command++) {
        mkv_observer_exemplars(observer, command, &out->timing.command_exemplars[command]);
    }
    mkv_observer_request_exemplars(observer, &out->timing.request_exemplars);
}

/* ---- for the admin listener ----------------------------------------------------------------- */

static void latency(void *context, enum mkv_admin_latency_op op, struct mkv_hdr *out) {
    mkv_observer_latency(observer_of(context), op, out);
}

static uint32_t slow(void *context, struct mkv_admin_slow *out, uint32_t max,
                     uint64_t *threshold_ns) {
    *threshold_ns = mkv_observer_slow_ns(observer_of(context));
    return mkv_observer_slow(observer_of(context), out, max);
}

static uint32_t clients(void *context, struct mkv_admin_client *out, uint32_t max) {
    const uint32_t count = mkv_observer_clients(observer_of(context), out, max);
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
    mkv_shard_stats(node->shard, node->view_stats);
    tenants->count = node->view_stats->tenant_count;
    for (uint32_t i = 0; i < tenants->count; i++) {
        const struct mkv_shard_tenant_stats *source = &node->view_stats->tenants[i];
        tenants->of[i].id = source->id;
        memcpy(tenants->of[i].name, source->name, sizeof tenants->of[i].name);
    }
    pthread_mutex_unlock(&node->view_mutex);
    return tenants;
}

static uint32_t hotkeys(void *context, struct mkv_admin_hotkey *out, uint32_t max) {
    struct mkv_node *node = context;
    struct mkv_hotkey *hot = calloc(max, sizeof *hot);
    struct tenants *tenants = tenants_now(node);
    uint32_t count = 0;
    if (hot != NULL && tenants != NULL) {
        count = mkv_hotkeys_copy(mkv_observer_hotkeys(observer_of(node)), hot, max);
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
            mkv_shard_ask(walk->node->shard, &question, after, walk->until_ns - now_ns,
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
