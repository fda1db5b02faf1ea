/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/audit_deletes.h"

#include <inttypes.h>
#include <string.h>

static bool is_of(const struct mkv_audit_deleter *deleter, struct mkv_connection_id connection) {
    return deleter->used && deleter->connection.index == connection.index &&
           deleter->connection.generation == connection.generation;
}

static void copy(char *target, size_t bytes, const char *source) {
    snprintf(target, bytes, "%s", source == NULL ? "" : source);
}

static struct mkv_audit_deleter *deleter_of(struct mkv_audit_deletes *deletes,
                                            const struct mkv_audit_delete *request,
                                            uint64_t now_ns) {
    struct mkv_audit_deleter *unused = NULL;
    for (uint32_t index = 0; index < MKV_AUDIT_DELETERS_MAX; index++) {
        struct mkv_audit_deleter *deleter = &deletes->deleters[index];
        if (is_of(deleter, request->connection) && strcmp(deleter->tenant, request->tenant) == 0) {
            return deleter;
        }
        if (!deleter->used && unused == NULL) {
            unused = deleter;
        }
    }
    if (unused != NULL) {
        *unused = (struct mkv_audit_deleter){
            .used = true, .since_ns = now_ns, .connection = request->connection};
        copy(unused->tenant, sizeof unused->tenant, request->tenant);
        copy(unused->client, sizeof unused->client, request->client);
        copy(unused->address, sizeof unused->address, request->address);
        deletes->used++;
        return unused;
    }
    if (!deletes->others.used) {
        deletes->others = (struct mkv_audit_deleter){.used = true, .since_ns = now_ns};
        copy(deletes->others.client, sizeof deletes->others.client, "others");
        deletes->used++;
    }
    return &deletes->others;
}

void mkv_audit_deletes_note(struct mkv_audit_deletes *deletes,
                            const struct mkv_audit_delete *request, uint64_t now_ns) {
    if (deletes->audit == NULL || request->keys == 0) {
        return;
    }
    struct mkv_audit_deleter *deleter = deleter_of(deletes, request, now_ns);
    deleter->requests++;
    deleter->failed += request->failed;
    deleter->keys += request->keys;
    deleter->session = request->session != 0 ? request->session : deleter->session;
}

void mkv_audit_deletes_ended(struct mkv_audit_deletes *deletes,
                             struct mkv_connection_id connection) {
    for (uint32_t index = 0; index < MKV_AUDIT_DELETERS_MAX && deletes->used > 0; index++) {
        deletes->deleters[index].ended =
            deletes->deleters[index].ended || is_of(&deletes->deleters[index], connection);
    }
}

static struct mkv_audit_entry entry_of(const struct mkv_audit_deleter *deleter) {
    struct mkv_audit_entry entry = mkv_audit_entry_make(
        MKV_AUDIT_KEYS_DELETE, deleter->tenant[0] == '\0' ? "keys of several tenants" : "keys",
        deleter->failed == 0 ? "ok" : "partial",
        "%" PRIu64 " requests named %" PRIu64 " keys; %" PRIu64 " of the requests failed in part",
        deleter->requests, deleter->keys, deleter->failed);
    entry.count = deleter->keys;
    entry.session = deleter->session;
    copy(entry.tenant, sizeof entry.tenant, deleter->tenant);
    copy(entry.client, sizeof entry.client, deleter->client);
    copy(entry.address, sizeof entry.address, deleter->address);
    return entry;
}

/* False: the audit does not take it now. */
static bool flush_one(struct mkv_audit_deletes *deletes, struct mkv_audit_deleter *deleter,
                      uint64_t now_ns) {
    if (!deleter->used || (!deleter->ended && now_ns - deleter->since_ns < MKV_AUDIT_DELETES_NS)) {
        return true;
    }
    const struct mkv_audit_entry entry = entry_of(deleter);
    if (!mkv_audit_offer(deletes->audit, &entry)) {
        return false;
    }
    deleter->used = false;
    deletes->used--;
    return true;
}

void mkv_audit_deletes_flush(struct mkv_audit_deletes *deletes, uint64_t now_ns) {
    bool taken = deletes->used > 0 && flush_one(deletes, &deletes->others, now_ns);
    for (uint32_t index = 0; index < MKV_AUDIT_DELETERS_MAX && taken; index++) {
        taken = flush_one(deletes, &deletes->deleters[index], now_ns);
    }
}

static void finish_one(struct mkv_audit_deletes *deletes, struct mkv_audit_deleter *deleter) {
    if (deleter->used) {
        const struct mkv_audit_entry entry = entry_of(deleter);
        (void)mkv_audit_write(deletes->audit, &entry);
        deleter->used = false;
        deletes->used--;
    }
}

void mkv_audit_deletes_finish(struct mkv_audit_deletes *deletes) {
    for (uint32_t index = 0; index < MKV_AUDIT_DELETERS_MAX; index++) {
        finish_one(deletes, &deletes->deleters[index]);
    }
    finish_one(deletes, &deletes->others);
}
