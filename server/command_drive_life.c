/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `memkv admin drive offline|online|drain|replace|erase NAME`: says what it costs, begins it, and
 * waits for its end, a few seconds at a time.
 */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/drive_life.h"
#include "admin/routes.h"
#include "admin/text.h"
#include "backends/clock.h"
#include "server/command_drive_admin.h"
#include "server/command_line.h"
#include "server/command_view.h"
#include "server/exit_codes.h"

#define NS_PER_S 1000000000ull
/* More than the node waits before it says how far it is. */
#define CALL_TIMEOUT_MS 30000u
#define WAIT_MS 2000u
#define TIMEOUT_S_DEFAULT 60u
#define TIMEOUT_S_MAX 86400u
#define HTTP_OK 200u
#define HTTP_ACCEPTED 202u
#define HTTP_CLIENT_ERROR_END 500u
#define PATH_BYTES 8192u
#define SHOWN_BYTES 1024u
#define COST_BYTES 160u

static const char help_behind[] =
    "\n"
    "Exit status: 0 done, 1 refused, there is no such drive, or it is still under way, 2 usage,\n"
    "3 the node is not to be reached, 4 server error.\n";

#define HELP_WAIT                                                                                  \
    "  --timeout SECONDS   how long to wait for its end (default 60); it goes on behind that\n"    \
    "  --json              the node's last answer as it is\n"
#define HELP_COST "  --yes               do it; without, it is only said what it costs\n"

static const char help_offline[] =
    "usage: memkv admin drive offline [OPTIONS] NAME\n"
    "\n"
    "Takes a drive out of the set while the node serves. Its keys go to the other drives and are\n"
    "misses until they are put again. When it is done the drive may be pulled, erased or brought\n"
    "back; it comes back empty. The next start brings it back, too, unless it is taken out of\n"
    "storage.drives.\n"
    "\n" HELP_WAIT;
static const char help_online[] = "usage: memkv admin drive online [OPTIONS] NAME\n"
                                  "\n"
                                  "Opens a drive again that was taken offline, or failed, and "
                                  "brings it back into the set, empty.\n"
                                  "It may be another one at the same path, if that is blank.\n"
                                  "\n" HELP_WAIT;
static const char help_drain[] =
    "usage: memkv admin drive drain [OPTIONS] NAME\n"
    "\n"
    "Puts of a drive's keys are refused from now on; what it holds is served until it is evicted,\n"
    "or the drive goes offline. `memkv admin drive online` ends that, and so does a restart.\n"
    "\n" HELP_WAIT;
static const char help_replace[] =
    "usage: memkv admin drive replace [OPTIONS] NAME PATH\n"
    "\n"
    "Takes a drive out of the set, and the one at PATH in its place. That one is blank, or was a\n"
    "drive of this store. It is looked at before anything is changed.\n"
    "\n" HELP_COST HELP_WAIT;
static const char help_erase[] =
    "usage: memkv admin drive erase [OPTIONS] NAME\n"
    "\n"
    "Discards all that a drive holds which is offline. This makes it blank; it does not promise\n"
    "that the drive's cells hold nothing any more.\n"
    "\n"
    "  --yes               do it\n" HELP_WAIT;

struct asked {
    const struct mkv_command_servers *servers;
    char where[MKV_COMMAND_SERVER_NAME_BYTES];
    char path[PATH_BYTES]; /* of the action, with the new drive's */
};

/* The node's answer; NULL with *exit_code set when it refuses, or there is none. */
static json_t *ask(const struct asked *asked, const char *parameters, unsigned *status, char **body,
                   int *exit_code) {
    char why[MKV_HTTP_GET_ERROR_BYTES];
    char shown[SHOWN_BYTES];
    char path[PATH_BYTES + 64];
    struct mkv_http_response response = {0};
    snprintf(path, sizeof path, "%s%s%s", asked->path, strchr(asked->path, '?') == NULL ? "?" : "&",
             parameters);
    const struct mkv_http_call call = {
        .method = "POST", .path = path, .timeout_ms = CALL_TIMEOUT_MS};
    if (mkv_command_servers_ask(asked->servers, 0, &call, &response, why) != MKV_HTTP_GET_OK) {
        mkv_text_clean(why, shown, sizeof shown);
        mkv_command_admin_complain("%s: %s", asked->where, shown);
        *exit_code = MKV_EXIT_CLIENT_NO_CONNECTION;
        return NULL;
    }
    *status = response.status;
    json_t *answer = NULL;
    if (response.status == HTTP_OK || response.status == HTTP_ACCEPTED) {
        answer = json_loads(response.body, 0, NULL);
    }
    if (answer == NULL) {
        mkv_command_servers_refusal(&response, shown);
        mkv_command_admin_complain("%s: %s", asked->where, shown);
        *exit_code = response.status < HTTP_CLIENT_ERROR_END ? MKV_EXIT_CLIENT_NOT_FOUND
                                                             : MKV_EXIT_CLIENT_SERVER_ERROR;
        free(response.body);
        return NULL;
    }
    *body = response.body;
    return answer;
}

static void text_of(const json_t *answer, const char *name, char shown[SHOWN_BYTES]) {
    const char *text = json_string_value(json_object_get(answer, name));
    mkv_text_clean(text == NULL ? "" : text, shown, SHOWN_BYTES);
}

/* "8.3 % of blocks become misses; about 5 h to recover at the current write rate" */
static void cost_of(const json_t *answer, char cost[COST_BYTES]) {
    const double share = json_number_value(json_object_get(answer, "miss_share"));
    const json_t *refill = json_object_get(answer, "refill_s");
    const json_int_t seconds = json_integer_value(refill);
    char time[48];
    if (refill == NULL) {
        snprintf(time, sizeof time, "nothing is written now");
    } else if (seconds >= 2 * 3600) {
        snprintf(time, sizeof time, "about %" PRId64 " h to recover", (int64_t)(seconds / 3600));
    } else if (seconds >= 120) {
        snprintf(time, sizeof time, "about %" PRId64 " min to recover", (int64_t)(seconds / 60));
    } else {
        snprintf(time, sizeof time, "about %" PRId64 " s to recover", (int64_t)seconds);
    }
    snprintf(cost, COST_BYTES, "%.1f %% of blocks become misses; %s%s", 100 * share, time,
             refill == NULL ? "" : " at the current write rate");
}

/* Asks until the job has ended, or the time is over. */
static int follow(const struct asked *asked, uint64_t timeout_s, bool json) {
    char parameters[64];
    char shown[SHOWN_BYTES];
    char stage[SHOWN_BYTES] = "";
    unsigned status = 0;
    char *body = NULL;
    int exit_code = MKV_EXIT_CLIENT_DONE;
    const uint64_t until_ns = mkv_clock_monotonic_ns() + timeout_s * NS_PER_S;
    snprintf(parameters, sizeof parameters, "wait_ms=%u", WAIT_MS);
    json_t *answer = ask(asked, parameters, &status, &body, &exit_code);
    while (answer != NULL && status == HTTP_ACCEPTED && mkv_clock_monotonic_ns() < until_ns) {
        const json_int_t job = json_integer_value(json_object_get(answer, "job"));
        text_of(answer, "stage", shown);
        if (!json && strcmp(shown, stage) != 0) {
            fprintf(stderr, "%s: %s\n", asked->where, shown);
            memcpy(stage, shown, sizeof stage);
        }
        json_decref(answer);
        free(body);
        snprintf(parameters, sizeof parameters, "wait_ms=%u&job=%" PRId64, WAIT_MS, (int64_t)job);
        answer = ask(asked, parameters, &status, &body, &exit_code);
    }
    if (answer == NULL) {
        return exit_code;
    }
    text_of(answer, status == HTTP_OK ? "message" : "stage", shown);
    if (json) {
        printf("%s\n", body);
    } else if (status == HTTP_OK) {
        char cost[COST_BYTES];
        cost_of(answer, cost);
        const bool costs = json_number_value(json_object_get(answer, "miss_share")) > 0;
        printf("%s: %s%s%s\n", asked->where, shown, costs ? ". " : "", costs ? cost : "");
    } else {
        mkv_command_admin_complain("%s: still under way: %s. Ask again to wait on, or see the "
                                   "drive's state",
                                   asked->where, shown);
    }
    json_decref(answer);
    free(body);
    return status == HTTP_OK ? MKV_EXIT_CLIENT_DONE : MKV_EXIT_CLIENT_NOT_FOUND;
}

/* Says what it costs, and that nothing was done. */
static int say_cost(const struct asked *asked, const char *action) {
    unsigned status = 0;
    char *body = NULL;
    char cost[COST_BYTES];
    int exit_code = MKV_EXIT_CLIENT_DONE;
    json_t *answer = ask(asked, "only_cost=1", &status, &body, &exit_code);
    if (answer == NULL) {
        return exit_code;
    }
    cost_of(answer, cost);
    mkv_command_admin_complain("%s: %s: %s. Nothing was done; add --yes to do it", asked->where,
                               action, cost);
    json_decref(answer);
    free(body);
    return MKV_EXIT_CLIENT_NOT_FOUND;
}

/* What is no letter, digit or one of -._~/ goes as %XX. */
static bool escape(const char *text, char *out, size_t out_bytes) {
    static const char digits[] = "0123456789ABCDEF";
    static const char plain[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/";
    size_t used = 0;
    for (; *text != '\0'; text++) {
        const unsigned char byte = (unsigned char)*text;
        if (used + 4 > out_bytes) {
            return false;
        }
        if (strchr(plain, byte) != NULL) {
            out[used++] = (char)byte;
        } else {
            out[used++] = '%';
            out[used++] = digits[byte >> 4];
            out[used++] = digits[byte & 0xf];
        }
    }
    out[used] = '\0';
    return true;
}

static bool path_make(struct asked *asked, const char *action, const char *name,
                      const char *medium) {
    char escaped_name[PATH_BYTES / 4];
    char escaped_medium[PATH_BYTES / 2] = "";
    if (strchr(name, '/') != NULL || !escape(name, escaped_name, sizeof escaped_name) ||
        (medium != NULL && !escape(medium, escaped_medium, sizeof escaped_medium))) {
        mkv_command_admin_complain("drive %s: NAME is one of storage.drives, PATH a path of it",
                                   action);
        return false;
    }
    snprintf(asked->path, sizeof asked->path, "%s%s/%s%s%s", mkv_admin_paths[MKV_ADMIN_PATH_DRIVE],
             escaped_name, action, medium == NULL ? "" : "?path=", escaped_medium);
    return true;
}

static int run(enum mkv_admin_drive_action wanted, const char *help, int argc, char **argv) {
    const char *action = mkv_admin_drive_actions[wanted];
    const bool replaces = wanted == MKV_ADMIN_DRIVE_ACT_REPLACE;
    const bool confirms = replaces || wanted == MKV_ADMIN_DRIVE_ACT_ERASE;
    char name[32];
    const char *timeout = NULL;
    bool json = false;
    bool yes = false;
    snprintf(name, sizeof name, "drive %s", action);
    struct mkv_command_line line = {
        .name = name,
        .help = help,
        .help_behind = help_behind,
        .flags = {{"--json", NULL, NULL, &json},
                  {"--timeout", "SECONDS", &timeout, NULL},
                  {confirms ? "--yes" : NULL, NULL, NULL, &yes}},
        .operands_min = replaces ? 2 : 1,
        .operands_max = replaces ? 2 : 1,
        .operand =
            replaces ? "the NAME of a drive and the PATH of the new one" : "the NAME of a drive",
    };
    int exit_code;
    if (!mkv_command_line_parse(&line, argc, argv, &exit_code)) {
        return exit_code;
    }
    char *end = NULL;
    const unsigned long timeout_s =
        timeout == NULL ? TIMEOUT_S_DEFAULT : strtoul(timeout, &end, 10);
    if (line.servers.count != 1 || timeout_s > TIMEOUT_S_MAX || (end != NULL && *end != '\0')) {
        mkv_command_admin_complain("%s: a drive is of one node: name one server; SECONDS are at "
                                   "most %u",
                                   name, TIMEOUT_S_MAX);
        return MKV_EXIT_CLIENT_USAGE;
    }
    struct asked asked = {.servers = &line.servers};
    mkv_command_server_name(&line.servers, 0, asked.where);
    if (!path_make(&asked, action, line.operands[0], replaces ? line.operands[1] : NULL)) {
        return MKV_EXIT_CLIENT_USAGE;
    }
    exit_code = confirms && !yes ? say_cost(&asked, action) : follow(&asked, timeout_s, json);
    return mkv_view_finish(exit_code);
}

int mkv_command_drive_offline(int argc, char **argv) {
    return run(MKV_ADMIN_DRIVE_ACT_OFFLINE, help_offline, argc, argv);
}

int mkv_command_drive_online(int argc, char **argv) {
    return run(MKV_ADMIN_DRIVE_ACT_ONLINE, help_online, argc, argv);
}

int mkv_command_drive_drain(int argc, char **argv) {
    return run(MKV_ADMIN_DRIVE_ACT_DRAIN, help_drain, argc, argv);
}

int mkv_command_drive_replace(int argc, char **argv) {
    return run(MKV_ADMIN_DRIVE_ACT_REPLACE, help_replace, argc, argv);
}

int mkv_command_drive_erase(int argc, char **argv) {
    return run(MKV_ADMIN_DRIVE_ACT_ERASE, help_erase, argc, argv);
}
