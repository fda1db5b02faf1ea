/* SPDX-License-Identifier: Apache-2.0 */
#include "server/command_parts.h"

#include <string.h>

#include "server/exit_codes.h"

const struct mkv_part mkv_parts[] = {
    {"status", "/v1/status", false, false, "state, drives, memory, misses, warnings"},
    {"health", "/v1/health", false, true, "what health checks see"},
    {"ready", "/v1/ready", false, true, "what readiness checks see"},
    {"config", "/v1/config", false, false, "the configuration in force, without secrets"},
    {"system", "/v1/system", false, false, "kernel, memory, limits, mounts, io_uring"},
    {"host", "/v1/host", false, false, "checks of the machine, as memkv doctor makes them"},
    {"metrics", "/v1/metrics", true, false, "all metrics"},
    {"latency", "/v1/latency", false, false, "latencies by operation"},
    {"slow", "/v1/slow", false, false, "the last slow requests"},
    {"hotkeys", "/v1/hotkeys", false, false, "the keys asked for most"},
    {"clients", "/v1/clients", false, false, "open connections"},
    {"tenants", "/v1/tenants", false, false, "all tenants"},
    {"log_level", "/v1/log-level", false, false, "what is logged"},
    {"logs", "/v1/logs", true, false, "the last lines of the log"},
    {"audit", "/v1/audit/verify", false, false, "whether the audit is intact, and its head"},
    {.name = NULL},
};

json_t *mkv_parts_ask(const struct mkv_command_servers *servers, uint32_t index, int *exit_code) {
    json_t *parts = json_object();
    json_t *failed = json_object();
    *exit_code = MKV_EXIT_CLIENT_DONE;
    bool unreachable = false;
    for (const struct mkv_part *part = mkv_parts; part->name != NULL; part++) {
        struct mkv_view_answer answer = {0};
        if (!unreachable) {
            mkv_view_ask(servers, index, part->path, part->text, part->is_check, &answer);
            unreachable = answer.exit_code == MKV_EXIT_CLIENT_NO_CONNECTION;
        }
        if (unreachable && part != mkv_parts) {
            /* Each would wait as long as the first. */
            json_object_set_new(failed, part->name, json_string("the node is not to be reached"));
        } else if (answer.error[0] != '\0') {
            json_object_set_new(failed, part->name, json_string(answer.error));
            *exit_code = part == mkv_parts ? answer.exit_code : *exit_code;
        } else if (part->text) {
            json_t *text = json_string(answer.body);
            json_object_set_new(text == NULL ? failed : parts, part->name,
                                text == NULL ? json_string("the answer is no UTF-8") : text);
        } else {
            json_object_set(parts, part->name, answer.object);
        }
        mkv_view_answer_free(&answer);
    }
    json_object_set_new(parts, "failed", failed);
    return parts;
}
