/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/health.h"

#include <microhttpd.h>
#include <string.h>

#include "admin/words.h"

#define NS_PER_S 1000000000ull

bool mkv_admin_health_stalled(const struct mkv_admin_snapshot *snapshot) {
    return snapshot->watchdog_ns > 0 && snapshot->shard_quiet_ns >= snapshot->watchdog_ns;
}

enum mkv_admin_node_state mkv_admin_health_state(const struct mkv_admin_snapshot *snapshot) {
    return mkv_admin_health_stalled(snapshot) ? MKV_ADMIN_NODE_UNHEALTHY : snapshot->state;
}

uint32_t mkv_admin_drives_in_state(const struct mkv_admin_snapshot *snapshot,
                                   enum mkv_drive_state state) {
    MKV_ASSERT(snapshot->drive_count <= MKV_VOLUMES_MAX);
    uint32_t count = 0;
    for (uint32_t index = 0; index < snapshot->drive_count; index++) {
        count += snapshot->drives[index].state == state ? 1u : 0u;
    }
    return count;
}

bool mkv_admin_drive_drains(const struct mkv_admin_drive *drive) {
    return drive->state == MKV_DRIVE_STATE_DRAINING && drive->volume.state == MKV_VOLUME_SERVING;
}

uint32_t mkv_admin_drives_serving(const struct mkv_admin_snapshot *snapshot) {
    return mkv_admin_drives_in_state(snapshot, MKV_DRIVE_STATE_ONLINE) +
           mkv_admin_drives_in_state(snapshot, MKV_DRIVE_STATE_SLOW);
}

const char *mkv_admin_unready_reason(const struct mkv_admin_snapshot *snapshot) {
    if (mkv_admin_health_stalled(snapshot)) {
        return "stalled";
    }
    if (snapshot->state == MKV_ADMIN_NODE_RECOVERING) {
        return "recovering";
    }
    if (snapshot->state == MKV_ADMIN_NODE_WAITING) {
        return "drives_missing";
    }
    if (snapshot->state == MKV_ADMIN_NODE_DRAINING) {
        return "draining";
    }
    if (mkv_admin_drives_serving(snapshot) == 0) {
        return "no_writable_drive";
    }
    return NULL;
}

struct mkv_admin_reply mkv_admin_live(const struct mkv_admin_snapshot *snapshot) {
    if (!mkv_admin_health_stalled(snapshot)) {
        return mkv_admin_reply_text(MHD_HTTP_OK, "ok");
    }
    const json_int_t quiet_s = (json_int_t)(snapshot->shard_quiet_ns / NS_PER_S);
    return mkv_admin_reply_json(
        MHD_HTTP_SERVICE_UNAVAILABLE,
        json_pack("{s:s, s:I}", "reason", "stalled", "quiet_seconds", quiet_s));
}

struct mkv_admin_reply mkv_admin_health(const struct mkv_admin_snapshot *snapshot) {
    const enum mkv_admin_node_state state = mkv_admin_health_state(snapshot);
    const char *status = state == MKV_ADMIN_NODE_SERVING ? "healthy" : mkv_admin_node_states[state];
    const uint32_t online = mkv_admin_drives_serving(snapshot);
    json_t *body = json_pack("{s:s, s:b, s:I, s:I, s:I}", "status", status, "rdma_active",
                             snapshot->rdma.is_active ? 1 : 0, "drives_online", (json_int_t)online,
                             "drives_offline", (json_int_t)(snapshot->drive_count - online),
                             "drives_total", (json_int_t)snapshot->drive_count);
    const bool well = state != MKV_ADMIN_NODE_UNHEALTHY && state != MKV_ADMIN_NODE_WAITING;
    return mkv_admin_reply_json(well ? MHD_HTTP_OK : MHD_HTTP_SERVICE_UNAVAILABLE, body);
}

/* How far recovery has come: the share of drives that are opened or have failed to, in thousandths.
 */
static void add_progress(const struct mkv_admin_snapshot *snapshot, json_t *body) {
    const uint32_t pending = mkv_admin_drives_in_state(snapshot, MKV_DRIVE_STATE_NEW) +
                             mkv_admin_drives_in_state(snapshot, MKV_DRIVE_STATE_RECOVERING);
    const uint32_t total = snapshot->drive_count;
    const uint32_t done = total - pending;
    json_object_set_new(body, "progress",
                        json_real(total == 0 ? 0 : (double)(done * 1000 / total) / 1000));
    json_object_set_new(body, "drives_done", json_integer(done));
    json_object_set_new(body, "drives_total", json_integer(total));
}

/* What the node waits for, and what to do. */
static void add_what_is_missing(const struct mkv_admin_snapshot *snapshot, json_t *body) {
    for (uint32_t index = 0; index < snapshot->warning_count; index++) {
        const struct mkv_admin_warning *warning = &snapshot->warnings[index];
        if (warning->code == MKV_ADMIN_WARNING_DRIVES_MISSING) {
            json_object_set_new(body, "message", json_string(warning->message));
            json_object_set_new(body, "action", json_string(warning->action));
        }
    }
}

struct mkv_admin_reply mkv_admin_ready(const struct mkv_admin_snapshot *snapshot) {
    const char *reason = mkv_admin_unready_reason(snapshot);
    if (reason == NULL) {
        return mkv_admin_reply_text(MHD_HTTP_OK, "ok");
    }
    json_t *body = json_pack("{s:s}", "reason", reason);
    if (strcmp(reason, "recovering") == 0) {
        add_progress(snapshot, body);
    } else if (strcmp(reason, "draining") == 0) {
        json_object_set_new(body, "in_flight",
                            json_integer((json_int_t)snapshot->front.requests_in_flight));
    } else if (strcmp(reason, "drives_missing") == 0) {
        add_what_is_missing(snapshot, body);
    } else if (strcmp(reason, "stalled") == 0) {
        json_object_set_new(body, "quiet_seconds",
                            json_integer((json_int_t)(snapshot->shard_quiet_ns / NS_PER_S)));
    }
    return mkv_admin_reply_json(MHD_HTTP_SERVICE_UNAVAILABLE, body);
}
