/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `memkv admin tenant-drop NAME`: each node is asked by itself.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/routes.h"
#include "admin/text.h"
#include "core/tenant_names.h"
#include "server/command_line.h"
#include "server/command_view.h"
#include "server/exit_codes.h"

/* More than the node waits for its drives and its audit. */
#define TIMEOUT_MS 10000u
#define HTTP_OK 200u
#define HTTP_CLIENT_ERROR_END 500u
#define PATH_BYTES 128u

static const char help_drop[] =
    "usage: memkv admin tenant-drop [OPTIONS] NAME\n"
    "\n"
    "Drops a tenant: all its keys are gone at once, durably on every drive that is online. The\n"
    "next put under the name begins with nothing. The tenant 'default' cannot be dropped.\n"
    "\n"
    "  --json              the node's answer as it is\n";
static const char help_behind[] =
    "\n"
    "Exit status: 0 done, 1 there is no such tenant, or it cannot be dropped, 2 usage, 3 a node\n"
    "is not to be reached, 4 server error.\n";

static int drop_at(const struct mkv_command_servers *servers, uint32_t index, const char *name,
                   bool json) {
    char where[MKV_COMMAND_SERVER_NAME_BYTES];
    char why[MKV_HTTP_GET_ERROR_BYTES];
    char shown[MKV_HTTP_GET_ERROR_BYTES];
    char path[PATH_BYTES];
    struct mkv_http_response response = {0};
    snprintf(path, sizeof path, "%s%s", mkv_admin_paths[MKV_ADMIN_PATH_TENANT], name);
    const struct mkv_http_call call = {.method = "DELETE", .path = path, .timeout_ms = TIMEOUT_MS};
    mkv_command_server_name(servers, index, where);
    if (mkv_command_servers_ask(servers, index, &call, &response, why) != MKV_HTTP_GET_OK) {
        mkv_text_clean(why, shown, sizeof shown);
        mkv_command_admin_complain("%s: %s", where, shown);
        return MKV_EXIT_CLIENT_NO_CONNECTION;
    }
    int exit_code = MKV_EXIT_CLIENT_DONE;
    if (response.status != HTTP_OK) {
        mkv_command_servers_refusal(&response, shown);
        mkv_command_admin_complain("%s: %s", where, shown);
        exit_code = response.status < HTTP_CLIENT_ERROR_END ? MKV_EXIT_CLIENT_NOT_FOUND
                                                            : MKV_EXIT_CLIENT_SERVER_ERROR;
    } else if (json) {
        printf("%s\n", response.body);
    } else {
        printf("%s: dropped %s\n", where, name);
    }
    free(response.body);
    return exit_code;
}

int mkv_command_tenant_drop(int argc, char **argv) {
    bool json = false;
    struct mkv_command_line line = {
        .name = "tenant-drop",
        .help = help_drop,
        .help_behind = help_behind,
        .flags = {{"--json", NULL, NULL, &json}},
        .operands_min = 1,
        .operands_max = 1,
        .operand = "the NAME of a tenant",
    };
    int exit_code;
    if (!mkv_command_line_parse(&line, argc, argv, &exit_code)) {
        return exit_code;
    }
    const char *name = line.operands[0];
    if (!mkv_tenant_name_is_valid(name, strlen(name))) {
        mkv_command_admin_complain(
            "tenant '%s': a name has 1 to 79 characters of A-Z a-z 0-9 . _ -", name);
        return MKV_EXIT_CLIENT_USAGE;
    }
    exit_code = MKV_EXIT_CLIENT_DONE;
    for (uint32_t index = 0; index < line.servers.count; index++) {
        const int code = drop_at(&line.servers, index, name, json);
        exit_code = code > exit_code ? code : exit_code;
    }
    return mkv_view_finish(exit_code);
}
