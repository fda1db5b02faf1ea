/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `memkv admin log-level [LEVEL]`: shows what a node logs, or changes it while it runs.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/text.h"
#include "server/command_line.h"
#include "server/command_view.h"
#include "server/exit_codes.h"

#define LOG_LEVEL_PATH "/v1/log-level"
#define HTTP_OK 200u
#define HTTP_CLIENT_ERROR_END 500u

static const char help_level[] =
    "usage: memkv admin log-level [OPTIONS] [LEVEL]\n"
    "\n"
    "Shows which messages a node logs, or with LEVEL sets that until it ends: error, warn, info,\n"
    "debug or trace, for all or by target, as in info,core.journal=debug.\n"
    "\n"
    "  --json              the node's answer as it is; of several nodes one a line\n";
static const char help_behind[] =
    "\n"
    "Exit status: 0 done, 1 refused, 2 usage, 3 a node is not to be reached, 4 server error.\n";

/* The node's answer, which the caller frees; NULL with *exit_code set when there is none. */
static char *ask(const struct mkv_command_servers *servers, uint32_t index, const char *body,
                 const char *where, int *exit_code) {
    char why[MKV_HTTP_GET_ERROR_BYTES];
    struct mkv_http_response response = {0};
    const struct mkv_http_call call = {
        .method = body == NULL ? "GET" : "PUT",
        .path = LOG_LEVEL_PATH,
        .body = body,
        .body_bytes = body == NULL ? 0 : strlen(body),
        .timeout_ms = MKV_VIEW_TIMEOUT_MS,
    };
    if (mkv_command_servers_ask(servers, index, &call, &response, why) != MKV_HTTP_GET_OK) {
        char shown[MKV_HTTP_GET_ERROR_BYTES];
        mkv_text_clean(why, shown, sizeof shown);
        mkv_command_admin_complain("%s: %s", where, shown);
        *exit_code = MKV_EXIT_CLIENT_NO_CONNECTION;
        return NULL;
    }
    if (response.status == HTTP_OK) {
        *exit_code = MKV_EXIT_CLIENT_DONE;
        return response.body;
    }
    mkv_command_servers_refusal(&response, why);
    mkv_command_admin_complain("%s: %s", where, why);
    *exit_code = response.status < HTTP_CLIENT_ERROR_END ? MKV_EXIT_CLIENT_NOT_FOUND
                                                         : MKV_EXIT_CLIENT_SERVER_ERROR;
    free(response.body);
    return NULL;
}

static void show(const char *where, bool several, const char *answer) {
    json_t *object = json_loads(answer, 0, NULL);
    const char *level = json_string_value(json_object_get(object, "level"));
    char shown[512];
    mkv_text_clean(level == NULL ? "-" : level, shown, sizeof shown);
    printf("%s%s%s\n", several ? where : "", several ? "  " : "", shown);
    json_decref(object);
}

int mkv_command_log_level(int argc, char **argv) {
    bool json = false;
    struct mkv_command_line line = {
        .name = "log-level",
        .help = help_level,
        .help_behind = help_behind,
        .flags = {{"--json", NULL, NULL, &json}},
        .operands_max = 1,
    };
    int exit_code;
    if (!mkv_command_line_parse(&line, argc, argv, &exit_code)) {
        return exit_code;
    }
    json_t *wanted = line.operand_count == 0 ? NULL : json_pack("{s:s}", "level", line.operands[0]);
    char *body = wanted == NULL ? NULL : json_dumps(wanted, JSON_COMPACT);
    json_decref(wanted);
    if (line.operand_count > 0 && body == NULL) {
        mkv_command_admin_complain("log-level: LEVEL is no text; use one like info");
        return MKV_EXIT_CLIENT_USAGE;
    }
    exit_code = MKV_EXIT_CLIENT_DONE;
    for (uint32_t index = 0; index < line.servers.count; index++) {
        char where[MKV_COMMAND_SERVER_NAME_BYTES];
        int code;
        mkv_command_server_name(&line.servers, index, where);
        char *answer = ask(&line.servers, index, body, where, &code);
        exit_code = code > exit_code ? code : exit_code;
        if (answer != NULL && json) {
            printf("%s\n", answer);
        } else if (answer != NULL) {
            show(where, line.servers.count > 1, answer);
        }
        free(answer);
    }
    free(body);
    return mkv_view_finish(exit_code);
}
