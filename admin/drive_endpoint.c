/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/drive_endpoint.h"

#include <jansson.h>
#include <microhttpd.h>
#include <stdio.h>
#include <string.h>

#include "admin/audit_endpoint.h"
#include "admin/drive_life.h"
#include "admin/text.h"

#define NS_PER_MS 1000000ull
#define WAIT_MS 1000u
#define PATH_BYTES 4096u

const char *const mkv_admin_drive_actions[MKV_ADMIN_DRIVE_ACT_COUNT + 1] = {
    [MKV_ADMIN_DRIVE_ACT_OFFLINE] = "offline", [MKV_ADMIN_DRIVE_ACT_ONLINE] = "online",
    [MKV_ADMIN_DRIVE_ACT_REPLACE] = "replace", [MKV_ADMIN_DRIVE_ACT_ERASE] = "erase",
    [MKV_ADMIN_DRIVE_ACT_DRAIN] = "drain",
};

static const char *const ends[] = {
    [MKV_ADMIN_DRIVE_END_DONE] = "ok",         [MKV_ADMIN_DRIVE_END_UNDER_WAY] = "begun",
    [MKV_ADMIN_DRIVE_END_REFUSED] = "refused", [MKV_ADMIN_DRIVE_END_NONE] = "not_found",
    [MKV_ADMIN_DRIVE_END_FAILED] = "failed",   [MKV_ADMIN_DRIVE_END_UNAVAILABLE] = "unavailable",
};

/* "d03/offline". False: there is no such action. */
static bool split(const char *rest, char name[MKV_ADMIN_NAME_BYTES],
                  enum mkv_admin_drive_action *action) {
    const char *slash = strrchr(rest, '/');
    const size_t bytes = slash == NULL ? 0 : (size_t)(slash - rest);
    if (bytes == 0 || bytes >= MKV_ADMIN_NAME_BYTES) {
        return false;
    }
    memcpy(name, rest, bytes);
    name[bytes] = '\0';
    for (uint32_t i = 0; i < MKV_ADMIN_DRIVE_ACT_COUNT; i++) {
        if (strcmp(slash + 1, mkv_admin_drive_actions[i]) == 0) {
            *action = (enum mkv_admin_drive_action)i;
            return true;
        }
    }
    return false;
}

/* Whether the path means the same to whoever asks and to the node, and can be told in an answer, a
 * line of the log and the configuration. */
static bool is_plain_path(const char *path) {
    char shown[PATH_BYTES];
    mkv_text_clean(path, shown, sizeof shown);
    return path[0] == '/' && strcmp(path, shown) == 0;
}

static struct mkv_admin_reply reply(const struct mkv_admin_drive_wish *wish,
                                    const struct mkv_admin_drive_outcome *outcome) {
    const bool done = outcome->end == MKV_ADMIN_DRIVE_END_DONE;
    json_t *object = json_pack("{s:s, s:s, s:b, s:I, s:s, s:f}", "drive", wish->drive, "action",
                               mkv_admin_drive_actions[wish->action], "done", done, "job",
                               (json_int_t)outcome->job, "message", outcome->message, "miss_share",
                               outcome->miss_share);
    if (object != NULL && outcome->refill_s != UINT64_MAX) {
        (void)json_object_set_new(object, "refill_s", json_integer((json_int_t)outcome->refill_s));
    }
    if (object != NULL && !done) {
        (void)json_object_set_new(object, "stage", json_string(outcome->stage));
    }
    return mkv_admin_reply_json(done ? MHD_HTTP_OK : MHD_HTTP_ACCEPTED, object);
}

static void audit(const struct mkv_admin_request *request, const struct mkv_admin_drive_wish *wish,
                  const struct mkv_admin_drive_outcome *outcome) {
    char entity[MKV_AUDIT_TEXT_BYTES];
    const bool told_before = wish->job != 0 && outcome->end == MKV_ADMIN_DRIVE_END_UNDER_WAY;
    if (wish->only_cost || told_before) {
        return;
    }
    snprintf(entity, sizeof entity, "drive %s", wish->drive);
    mkv_admin_request_audit(request, MKV_AUDIT_DRIVE_LIFE, entity, ends[outcome->end],
                            "%s%s%.200s, job %llu", mkv_admin_drive_actions[wish->action],
                            wish->path == NULL ? "" : " by ", wish->path == NULL ? "" : wish->path,
                            (unsigned long long)outcome->job);
}

struct mkv_admin_reply mkv_endpoint_drive(const struct mkv_admin_request *request) {
    const struct mkv_admin_provider *provider = request->provider;
    char name[MKV_ADMIN_NAME_BYTES];
    char shown[MKV_ADMIN_NAME_BYTES];
    struct mkv_admin_drive_wish wish = {.drive = name,
                                        .path = mkv_admin_request_parameter(request, "path")};
    uint64_t wait_ms;
    if (!split(request->rest, name, &wish.action)) {
        return mkv_admin_refuse(MHD_HTTP_NOT_FOUND,
                                "a drive takes POST of /v1/drives/NAME/ and one of offline, "
                                "online, drain, replace, erase");
    }
    mkv_text_clean(name, shown, sizeof shown);
    if ((wish.action == MKV_ADMIN_DRIVE_ACT_REPLACE) != (wish.path != NULL) ||
        !mkv_admin_request_number(request, "job", 1, INT64_MAX, 0, &wish.job) ||
        !mkv_admin_request_number(request, "wait_ms", 0, MKV_ADMIN_DRIVE_WAIT_MS_MAX, WAIT_MS,
                                  &wait_ms)) {
        return mkv_admin_refuse(MHD_HTTP_BAD_REQUEST,
                                "path is the new drive's of a replace, and of nothing else; job is "
                                "a number that an answer named, wait_ms at most %u",
                                MKV_ADMIN_DRIVE_WAIT_MS_MAX);
    }
    if (wish.path != NULL && !is_plain_path(wish.path)) {
        return mkv_admin_refuse(MHD_HTTP_BAD_REQUEST,
                                "the path of the new drive begins with /, is UTF-8, without "
                                "control characters, and shorter than %u bytes",
                                PATH_BYTES);
    }
    wish.only_cost = mkv_admin_request_parameter(request, "only_cost") != NULL;
    wish.wait_ns = wait_ms * NS_PER_MS;
    struct mkv_admin_drive_outcome outcome = {.end = MKV_ADMIN_DRIVE_END_UNAVAILABLE,
                                              .refill_s = UINT64_MAX};
    if (provider->drive_act != NULL) {
        provider->drive_act(provider->context, &wish, &outcome);
    }
    audit(request, &wish, &outcome);
    switch (outcome.end) {
    case MKV_ADMIN_DRIVE_END_DONE:
    case MKV_ADMIN_DRIVE_END_UNDER_WAY:
        return reply(&wish, &outcome);
    case MKV_ADMIN_DRIVE_END_REFUSED:
        return mkv_admin_refuse(MHD_HTTP_CONFLICT, "%s", outcome.message);
    case MKV_ADMIN_DRIVE_END_NONE:
        return mkv_admin_refuse(MHD_HTTP_NOT_FOUND, "there is no drive '%s'", shown);
    case MKV_ADMIN_DRIVE_END_FAILED:
        return mkv_admin_refuse(MHD_HTTP_INTERNAL_SERVER_ERROR, "%s", outcome.message);
    case MKV_ADMIN_DRIVE_END_UNAVAILABLE:
        break;
    }
    return mkv_admin_refuse(MHD_HTTP_SERVICE_UNAVAILABLE,
                            "the node does not serve now; try again when it does");
}
