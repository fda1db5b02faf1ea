/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/drives.h"

#include <microhttpd.h>
#include <string.h>

#include "admin/health.h"
#include "admin/status_json.h"
#include "admin/words.h"

#define NS_PER_US 1000u

static json_t *count_json(uint64_t value) {
    return json_integer((json_int_t)mkv_min_u64(value, INT64_MAX));
}

/* ---- one drive ------------------------------------------------------------------------------- */

static json_t *last_error_json(const struct mkv_admin_drive_error *error) {
    if (error->wall_ms == 0) {
        return json_null();
    }
    MKV_ASSERT((uint32_t)error->result < MKV_IO_RESULT_COUNT);
    const char *name = error->error_number == 0 ? NULL : strerrorname_np(error->error_number);
    json_t *object = json_pack(
        "{s:s, s:s, s:i, s:s?, s:s}", "operation", mkv_admin_io_ops[error->op], "result",
        mkv_admin_io_results[error->result], "errno", error->error_number, "name", name, "message",
        error->error_number == 0 ? "it ended before all of its bytes were moved"
                                 : strerrordesc_np(error->error_number));
    mkv_admin_json_time(object, "time", error->wall_ms);
    return object;
}

static json_t *smart_json(const struct mkv_admin_smart *smart) {
    json_t *object = json_pack("{s:b}", "available", smart->available);
    mkv_admin_json_time(object, "time", smart->read_ms);
    if (!smart->available) {
        json_object_set_new(object, "why", json_string(smart->why));
        return object;
    }
    const struct {
        const char *name;
        uint64_t value;
    } counts[] = {
        {"spare_percent", smart->spare_percent},
        {"spare_threshold_percent", smart->spare_threshold_percent},
        {"used_percent", smart->used_percent},
        {"read_bytes", smart->read_bytes},
        {"written_bytes", smart->written_bytes},
        {"power_cycles", smart->power_cycles},
        {"power_on_hours", smart->power_on_hours},
        {"unsafe_shutdowns", smart->unsafe_shutdowns},
        {"media_errors", smart->media_errors},
        {"error_log_entries", smart->error_log_entries},
    };
    json_object_set_new(object, "warning",
                        smart->warning[0] == '\0' ? json_null() : json_string(smart->warning));
    json_object_set_new(object, "temperature_celsius", json_integer(smart->temperature_celsius));
    for (size_t index = 0; index < sizeof counts / sizeof counts[0]; index++) {
        json_object_set_new(object, counts[index].name, count_json(counts[index].value));
    }
    return object;
}

/* null: there were none. */
static json_t *latency_us_json(uint64_t latency_ns) {
    return latency_ns == 0 ? json_null() : count_json(mkv_divide_up_u64(latency_ns, NS_PER_US));
}

static json_t *latency_json(const struct mkv_admin_drive_recent *recent) {
    json_t *latency = json_object();
    for (uint32_t op = 0; op < MKV_ADMIN_IO_OP_COUNT; op++) {
        json_object_set_new(latency, mkv_admin_io_ops[op],
                            json_pack("{s:o, s:o, s:o}", "p50_us",
                                      latency_us_json(recent->p50_ns[op]), "p99_us",
                                      latency_us_json(recent->p99_ns[op]), "siblings_p99_us",
                                      latency_us_json(recent->siblings_p99_ns[op])));
    }
    return latency;
}

/* What a state asks for where no warning says more. */
static const char *next_of_state(const struct mkv_admin_drive *drive) {
    if (mkv_admin_drive_drains(drive)) {
        return "it takes no new puts, and what it holds is served: memkv admin drive offline takes "
               "it out, memkv admin drive online ends the draining";
    }
    switch (drive->state) {
    case MKV_DRIVE_STATE_NEW:
    case MKV_DRIVE_STATE_RECOVERING:
        return "wait: it serves when it is open";
    case MKV_DRIVE_STATE_DRAINING:
        return "wait: it is offline when what it has is over";
    case MKV_DRIVE_STATE_OFFLINE:
    case MKV_DRIVE_STATE_FAILED:
    case MKV_DRIVE_STATE_FOREIGN:
        return "look at dmesg and at the log of the node, which says why";
    case MKV_DRIVE_STATE_ONLINE:
    case MKV_DRIVE_STATE_SLOW:
        break;
    }
    return NULL;
}

static json_t *next_json(const struct mkv_admin_snapshot *snapshot,
                         const struct mkv_admin_drive *drive) {
    json_t *next = json_array();
    for (uint32_t index = 0; index < snapshot->warning_count; index++) {
        const struct mkv_admin_warning *warning = &snapshot->warnings[index];
        if (strcmp(warning->drive, drive->name) == 0) {
            char clean[MKV_ADMIN_TEXT_BYTES];
            mkv_text_clean(warning->action, clean, sizeof clean);
            json_array_append_new(next, json_string(clean));
        }
    }
    const char *text = next_of_state(drive);
    if (json_array_size(next) == 0 && text != NULL) {
        json_array_append_new(next, json_string(text));
    }
    return next;
}

static json_t *drive_json(const struct mkv_admin_snapshot *snapshot, uint32_t index) {
    const struct mkv_admin_drive *drive = &snapshot->drives[index];
    const bool fails = drive->failure != MKV_DRIVE_FAILURE_NONE;
    json_t *object = mkv_admin_device_json(snapshot, index);
    mkv_admin_json_time(object, "state_since", drive->state_since_ms);
    json_object_set_new(object, "failure",
                        fails ? json_string(mkv_drive_failure_words[drive->failure]) : json_null());
    json_object_set_new(object, "failure_text",
                        fails ? json_string(mkv_drive_failure_text(drive->failure)) : json_null());
    json_object_set_new(object, "last_error", last_error_json(&drive->last_error));
    json_object_set_new(object, "smart", smart_json(&drive->smart));
    uint64_t in_flight = 0;
    for (uint32_t op = 0; op < MKV_ADMIN_IO_OP_COUNT; op++) {
        in_flight += drive->io[op].in_flight;
    }
    json_object_set_new(object, "queue_depth", count_json(in_flight));
    json_object_set_new(object, "latency", latency_json(&drive->recent));
    json_object_set_new(object, "read_p99_us", latency_us_json(drive->recent.read_p99_ns));
    json_object_set_new(object, "write_p99_us", latency_us_json(drive->recent.write_p99_ns));
    json_object_set_new(object, "drive_set",
                        json_pack("{s:o, s:o}", "version", count_json(snapshot->drive_set_version),
                                  "members", count_json(snapshot->drive_set_members)));
    json_object_set_new(object, "next", next_json(snapshot, drive));
    return object;
}

struct mkv_admin_reply mkv_admin_drives(const struct mkv_admin_snapshot *snapshot) {
    json_t *drives = json_array();
    for (uint32_t index = 0; index < snapshot->drive_count; index++) {
        json_array_append_new(drives, drive_json(snapshot, index));
    }
    return mkv_admin_reply_json(
        MHD_HTTP_OK,
        json_pack("{s:o, s:o, s:o}", "drive_set_version", count_json(snapshot->drive_set_version),
                  "drive_set_members", count_json(snapshot->drive_set_members), "drives", drives));
}

struct mkv_admin_reply mkv_admin_drive(const struct mkv_admin_snapshot *snapshot,
                                       const char *name) {
    for (uint32_t index = 0; index < snapshot->drive_count; index++) {
        if (strcmp(snapshot->drives[index].name, name) == 0) {
            return mkv_admin_reply_json(MHD_HTTP_OK, drive_json(snapshot, index));
        }
    }
    char clean[MKV_ADMIN_NAME_BYTES];
    mkv_text_clean(name, clean, sizeof clean);
    return mkv_admin_refuse(MHD_HTTP_NOT_FOUND,
                            "there is no drive '%s'; memkv admin drive list has their names",
                            clean);
}

struct mkv_admin_reply mkv_endpoint_drives(const struct mkv_admin_request *request) {
    return mkv_admin_drives(mkv_admin_request_snapshot(request));
}

struct mkv_admin_reply mkv_endpoint_drive_show(const struct mkv_admin_request *request) {
    return mkv_admin_drive(mkv_admin_request_snapshot(request), request->rest);
}
