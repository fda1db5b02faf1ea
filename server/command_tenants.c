/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `memkv admin tenants` and `memkv admin tenant-drop NAME`: each node is asked by itself.
 */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/routes.h"
#include "admin/text.h"
#include "server/command_admin_internal.h"
#include "server/exit_codes.h"

/* More than the node waits for its drives. */
#define TIMEOUT_MS 6000u
#define HTTP_OK 200u
#define HTTP_CLIENT_ERROR_END 500u
#define PATH_BYTES 128u

static const char help_tenants[] =
    "usage: memkv admin tenants [OPTIONS]\n"
    "\n"
    "Lists the tenants of a node: name, blocks, bytes of the slots that they take, quota.\n"
    "\n"
    "  --server, --socket, --token-file  whom to ask: see memkv admin status --help\n"
    "  --json              the node's /v1/tenants as it is\n"
    "  -h, --help          this text\n"
    "\n"
    "Exit status: 0 done, 2 usage, 3 a node is not to be reached, 4 it answered with an error.\n";

static const char help_drop[] =
    "usage: memkv admin tenant-drop [OPTIONS] NAME\n"
    "\n"
    "Drops a tenant: all its keys are gone at once, durably on every drive that is online. The "
    "next\n"
    "put under the name begins with nothing. The tenant 'default' cannot be dropped.\n"
    "\n"
    "  --server, --socket, --token-file  whom to ask: see memkv admin status --help\n"
    "  -h, --help          this text\n"
    "\n"
    "Exit status: 0 done, 1 there is no such tenant, or it cannot be dropped, 2 usage, 3 a node "
    "is\n"
    "not to be reached, 4 server error.\n";

struct tenants_options {
    bool json;
    const char *name;
    struct mkv_command_servers servers;
};

/* False: *exit_code is what to exit with. */
static bool parse(int argc, char **argv, const char *help, bool drop,
                  struct tenants_options *options, int *exit_code) {
    *exit_code = MKV_EXIT_CLIENT_USAGE;
    for (int index = 1; index < argc; index++) {
        const char *argument = argv[index];
        if (strcmp(argument, "--help") == 0 || strcmp(argument, "-h") == 0) {
            fputs(help, stdout);
            *exit_code = MKV_EXIT_CLIENT_DONE;
            return false;
        }
        const enum mkv_command_option taken =
            mkv_command_servers_option(&options->servers, argc, argv, &index);
        if (taken == MKV_COMMAND_OPTION_WRONG) {
            return false;
        }
        if (taken == MKV_COMMAND_OPTION_TAKEN) {
            continue;
        }
        if (!drop && strcmp(argument, "--json") == 0) {
            options->json = true;
        } else if (drop && argument[0] != '-' && options->name == NULL) {
            options->name = argument;
        } else {
            mkv_command_admin_complain("%s takes no '%s'; see memkv admin %s --help", argv[0],
                                       argument, argv[0]);
            return false;
        }
    }
    if (drop && options->name == NULL) {
        mkv_command_admin_complain("tenant-drop needs the NAME of a tenant");
        return false;
    }
    if (drop && !mkv_tenant_name_is_valid(options->name, strlen(options->name))) {
        mkv_command_admin_complain(
            "tenant '%s': a name has 1 to 79 characters of A-Z a-z 0-9 . _ -", options->name);
        return false;
    }
    return mkv_command_servers_finish(&options->servers);
}

/* Asks one node. NULL, with *exit_code set, when there is no answer of status 200; else the caller
 * frees the text. */
static char *ask(const struct mkv_command_servers *servers, uint32_t index, const char *method,
                 const char *path, int *exit_code) {
    char where[MKV_COMMAND_SERVER_NAME_BYTES];
    char why[MKV_HTTP_GET_ERROR_BYTES];
    char shown[MKV_HTTP_GET_ERROR_BYTES];
    struct mkv_http_response response = {0};
    const struct mkv_http_call call = {.method = method, .path = path, .timeout_ms = TIMEOUT_MS};
    mkv_command_server_name(servers, index, where);
    if (mkv_command_servers_ask(servers, index, &call, &response, why) != MKV_HTTP_GET_OK) {
        mkv_text_clean(why, shown, sizeof shown);
        mkv_command_admin_complain("%s: %s", where, shown);
        *exit_code = MKV_EXIT_CLIENT_NO_CONNECTION;
        return NULL;
    }
    if (response.status == HTTP_OK) {
        return response.body;
    }
    mkv_command_servers_refusal(&response, shown);
    mkv_command_admin_complain("%s: %s", where, shown);
    free(response.body);
    *exit_code = response.status < HTTP_CLIENT_ERROR_END ? MKV_EXIT_CLIENT_NOT_FOUND
                                                         : MKV_EXIT_CLIENT_SERVER_ERROR;
    return NULL;
}

static void show(const char *body) {
    json_t *answer = json_loads(body, 0, NULL);
    const json_t *tenants = json_object_get(answer, "tenants");
    printf("%-32s %12s %20s %20s\n", "TENANT", "BLOCKS", "BYTES", "QUOTA");
    for (size_t index = 0; index < json_array_size(tenants); index++) {
        const json_t *tenant = json_array_get(tenants, index);
        const json_t *quota = json_object_get(tenant, "quota_bytes");
        const char *name = json_string_value(json_object_get(tenant, "tenant"));
        char text[MKV_TENANT_STORED_NAME_BYTES_MAX + 1];
        char limit[32] = "-";
        mkv_text_clean(name != NULL ? name : "?", text, sizeof text);
        if (json_is_integer(quota)) {
            snprintf(limit, sizeof limit, "%" PRId64, (int64_t)json_integer_value(quota));
        }
        printf("%-32s %12" PRId64 " %20" PRId64 " %20s\n", text,
               (int64_t)json_integer_value(json_object_get(tenant, "blocks")),
               (int64_t)json_integer_value(json_object_get(tenant, "used_bytes")), limit);
    }
    json_decref(answer);
}

static int finish(int exit_code) {
    if (fflush(stdout) != 0) {
        mkv_command_admin_complain("standard output cannot be written");
        return MKV_EXIT_CLIENT_USAGE;
    }
    return exit_code;
}

int mkv_command_tenants(int argc, char **argv) {
    struct tenants_options options = {0};
    int exit_code;
    if (!parse(argc, argv, help_tenants, false, &options, &exit_code)) {
        return exit_code;
    }
    exit_code = MKV_EXIT_CLIENT_DONE;
    for (uint32_t index = 0; index < options.servers.count; index++) {
        char where[MKV_COMMAND_SERVER_NAME_BYTES];
        char *body = ask(&options.servers, index, "GET", "/v1/tenants", &exit_code);
        if (body == NULL) {
            continue;
        }
        if (options.servers.count > 1 && !options.json) {
            mkv_command_server_name(&options.servers, index, where);
            printf("%s\n", where);
        }
        if (options.json) {
            printf("%s\n", body);
        } else {
            show(body);
        }
        free(body);
    }
    return finish(exit_code);
}

int mkv_command_tenant_drop(int argc, char **argv) {
    struct tenants_options options = {0};
    int exit_code;
    if (!parse(argc, argv, help_drop, true, &options, &exit_code)) {
        return exit_code;
    }
    exit_code = MKV_EXIT_CLIENT_DONE;
    char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s%s", mkv_admin_paths[MKV_ADMIN_PATH_TENANT], options.name);
    for (uint32_t index = 0; index < options.servers.count; index++) {
        char *body = ask(&options.servers, index, "DELETE", path, &exit_code);
        if (body != NULL) {
            char where[MKV_COMMAND_SERVER_NAME_BYTES];
            mkv_command_server_name(&options.servers, index, where);
            printf("%s: dropped %s\n", where, options.name);
        }
        free(body);
    }
    return finish(exit_code);
}
