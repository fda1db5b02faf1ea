/* SPDX-License-Identifier: Apache-2.0 */
#include "server/command_admin_internal.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/status_screen.h"
#include "admin/text.h"
#include "server/command_view.h"
#include "server/exit_codes.h"

#define TIMEOUT_MS 5000u
#define STATUS_PATH "/v1/status"
#define HTTP_OK 200u
#define ERROR_BYTES (MKV_HTTP_GET_ERROR_BYTES + 64u)

_Static_assert((int)MKV_EXIT_CLIENT_NO_CONNECTION == (int)MKV_EXIT_CHECK_UNREACHABLE,
               "a node that is not to be reached exits alike with and without --check");

/* Commands that are no views. */
struct admin_command {
    const char *name;
    const char *operands;
    const char *meaning;
    int (*run)(int argc, char **argv);
};

static int run_status(int argc, char **argv);

static const struct admin_command admin_commands[] = {
    {"status", "", "health, fill, memory, hits, journal and drives of each node", run_status},
    {"doctor", "", "what is wrong with a node, by weight, and what to do", mkv_command_doctor},
    {"diagnostics", "--output FILE", "a bundle of all that a node can say of itself",
     mkv_command_diagnostics},
    {"audit", "export|verify", "what administrators did, and whether that is unaltered",
     mkv_command_audit},
    {"log-level", "[LEVEL]", "which messages are logged; with LEVEL, from now on",
     mkv_command_log_level},
    {"drive", "COMMAND NAME", "lists drives, shows one; takes it out, back, replaces or erases it",
     mkv_command_drive_admin},
    {"tenant-drop", "NAME", "drops a tenant with all its keys, durably", mkv_command_tenant_drop},
};
#define ADMIN_COMMAND_COUNT (sizeof admin_commands / sizeof admin_commands[0])

static void print_help(FILE *out) {
    fputs("usage: memkv admin COMMAND [OPTIONS]\n\nAsks the admin listener of nodes.\n\n", out);
    for (size_t i = 0; i < ADMIN_COMMAND_COUNT; i++) {
        const struct admin_command *command = &admin_commands[i];
        fprintf(out, "  %s %-*s%s\n", command->name, 26 - (int)strlen(command->name),
                command->operands, command->meaning);
    }
    for (const struct mkv_view *view = mkv_views; view->name != NULL; view++) {
        fprintf(out, "  %s %-*s%s\n", view->name, 26 - (int)strlen(view->name),
                view->operand == NULL ? "" : view->operand, view->meaning);
    }
    fputs("  -h, --help                 this text; `memkv admin COMMAND --help` has the options of "
          "a\n                             command\n",
          out);
}

static const char help_status[] =
    "usage: memkv admin status [OPTIONS]\n"
    "\n"
    "Shows what a node says of itself.\n"
    "\n"
    "  --json              the node's /v1/status as it is; of several nodes an array of\n"
    "                      {\"server\", \"status\"}, with \"error\" where there is no status\n"
    "  --check             one line for each node, and the exit status below\n"
    "  -h, --help          this text\n";

static const char help_status_exit[] =
    "\n"
    "Exit status: 0 done, 2 usage, 3 a node is not to be reached. With --check: 0 healthy,\n"
    "1 degraded (also recovering or draining), 2 unhealthy, 3 not to be reached; of several nodes\n"
    "the highest.\n";

struct options {
    bool json;
    bool check;
    struct mkv_command_servers servers;
};

void mkv_command_admin_complain(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fputs("memkv admin: ", stderr);
    vfprintf(stderr, format, arguments);
    fputs("\n", stderr);
    va_end(arguments);
}

/* ---- the command line ------------------------------------------------------------------------ */

/* False: *exit_code is what to exit with. */
static bool parse(int argc, char **argv, struct options *options, int *exit_code) {
    *exit_code = MKV_EXIT_CLIENT_USAGE;
    for (int index = 1; index < argc; index++) {
        const char *argument = argv[index];
        if (strcmp(argument, "--help") == 0 || strcmp(argument, "-h") == 0) {
            printf("%s%s%s", help_status, mkv_command_servers_help, help_status_exit);
            *exit_code = MKV_EXIT_CLIENT_DONE;
            return false;
        }
        if (strcmp(argument, "--json") == 0) {
            options->json = true;
        } else if (strcmp(argument, "--check") == 0) {
            options->check = true;
        } else {
            const enum mkv_command_option taken =
                mkv_command_servers_option(&options->servers, argc, argv, &index);
            if (taken == MKV_COMMAND_OPTION_OTHER) {
                mkv_command_admin_complain("status takes no '%s'; see memkv admin status --help",
                                           argument);
            }
            if (taken != MKV_COMMAND_OPTION_TAKEN) {
                return false;
            }
        }
    }
    return mkv_command_servers_finish(&options->servers);
}

/* ---- asking ---------------------------------------------------------------------------------- */

struct answer {
    char server[MKV_COMMAND_SERVER_NAME_BYTES];
    char *body;     /* the status as the node sent it; NULL: there is none */
    json_t *status; /* the same, read; NULL: there is none */
    char error[ERROR_BYTES];
};

static void ask(const struct mkv_command_servers *servers, uint32_t index, struct answer *answer) {
    *answer = (struct answer){0};
    mkv_command_server_name(servers, index, answer->server);
    struct mkv_http_response response = {0};
    char why[MKV_HTTP_GET_ERROR_BYTES];
    const struct mkv_http_call call = {.path = STATUS_PATH, .timeout_ms = TIMEOUT_MS};
    const enum mkv_http_get_result result =
        mkv_command_servers_ask(servers, index, &call, &response, why);
    if (result != MKV_HTTP_GET_OK) {
        snprintf(answer->error, sizeof answer->error, "%s%s", why,
                 result == MKV_HTTP_GET_UNREACHABLE
                     ? "; does memkv run there? --server or --socket names another"
                     : "");
        return;
    }
    json_error_t problem;
    json_t *status = response.status == HTTP_OK
                         ? json_loadb(response.body, response.body_bytes, 0, &problem)
                         : NULL;
    if (!json_is_object(status)) {
        if (response.status == HTTP_OK) {
            snprintf(answer->error, sizeof answer->error,
                     "GET " STATUS_PATH " gives HTTP %u and no status; is it the admin port?",
                     response.status);
        } else {
            mkv_command_servers_refusal(&response, answer->error);
        }
        json_decref(status);
        free(response.body);
        return;
    }
    answer->body = response.body;
    answer->status = status;
}

static void answer_free(struct answer *answer) {
    json_decref(answer->status);
    free(answer->body);
}

static const char *state_of(const struct answer *answer) {
    const char *state =
        json_string_value(json_object_get(json_object_get(answer->status, "node"), "state"));
    return state == NULL ? "unknown" : state;
}

static int check_code(const struct answer *answer) {
    if (answer->status == NULL) {
        return MKV_EXIT_CHECK_UNREACHABLE;
    }
    const char *state = state_of(answer);
    if (strcmp(state, "serving") == 0) {
        return MKV_EXIT_CHECK_HEALTHY;
    }
    return strcmp(state, "degraded") == 0 || strcmp(state, "recovering") == 0 ||
                   strcmp(state, "draining") == 0
               ? MKV_EXIT_CHECK_DEGRADED
               : MKV_EXIT_CHECK_UNHEALTHY;
}

/* ---- showing --------------------------------------------------------------------------------- */

static void complain_of(const struct answer *answer) {
    char error[ERROR_BYTES];
    mkv_text_clean(answer->error, error, sizeof error);
    mkv_command_admin_complain("%s: %s", answer->server, error);
}

static void show_check(const struct answer *answer) {
    static const char *const words[] = {"healthy", "degraded", "unhealthy", "unreachable"};
    char state[ERROR_BYTES];
    mkv_text_clean(answer->status == NULL ? answer->error : state_of(answer), state, sizeof state);
    printf("%s %s (%s)\n", answer->server, words[check_code(answer)], state);
}

static void show_screen(const struct answer *answer, uint32_t index, uint32_t count) {
    if (count > 1) {
        printf("%s%s\n", index == 0 ? "" : "\n", answer->server);
    }
    if (answer->status == NULL) {
        fflush(stdout);
        complain_of(answer);
        return;
    }
    struct mkv_text screen = {0};
    mkv_status_screen(answer->status, &screen);
    if (screen.failed) {
        mkv_command_admin_complain("%s: no memory for the screen", answer->server);
    } else {
        fputs(screen.bytes, stdout);
    }
    mkv_text_free(&screen);
}

static void show_json(const struct answer *answer, uint32_t index, uint32_t count) {
    if (answer->status == NULL) {
        complain_of(answer);
    }
    if (count == 1) {
        if (answer->status != NULL) {
            printf("%s\n", answer->body);
        }
        return;
    }
    char error[ERROR_BYTES];
    mkv_text_clean(answer->error, error, sizeof error);
    json_t *entry =
        answer->status == NULL
            ? json_pack("{s:s, s:s}", "server", answer->server, "error", error)
            : json_pack("{s:s, s:O}", "server", answer->server, "status", answer->status);
    char *text = json_dumps(entry, JSON_COMPACT);
    printf("%s%s%s", index == 0 ? "[" : ",\n", text == NULL ? "null" : text,
           index + 1 == count ? "]\n" : "");
    free(text);
    json_decref(entry);
}

static int run_status(int argc, char **argv) {
    struct options options = {0};
    int exit_code;
    if (!parse(argc, argv, &options, &exit_code)) {
        return exit_code;
    }
    exit_code = MKV_EXIT_CLIENT_DONE;
    for (uint32_t index = 0; index < options.servers.count; index++) {
        struct answer answer;
        ask(&options.servers, index, &answer);
        if (options.json) {
            show_json(&answer, index, options.servers.count);
        } else if (options.check) {
            show_check(&answer);
        } else {
            show_screen(&answer, index, options.servers.count);
        }
        const int code = check_code(&answer);
        if ((options.check || code == MKV_EXIT_CHECK_UNREACHABLE) && code > exit_code) {
            exit_code = code;
        }
        answer_free(&answer);
    }
    if (fflush(stdout) != 0) {
        mkv_command_admin_complain("standard output cannot be written");
        return MKV_EXIT_CLIENT_USAGE;
    }
    return exit_code;
}

int mkv_command_admin(int argc, char **argv) {
    if (argc < 2) {
        print_help(stderr);
        return MKV_EXIT_CLIENT_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        print_help(stdout);
        return MKV_EXIT_CLIENT_DONE;
    }
    for (size_t i = 0; i < ADMIN_COMMAND_COUNT; i++) {
        if (strcmp(argv[1], admin_commands[i].name) == 0) {
            return admin_commands[i].run(argc - 1, argv + 1);
        }
    }
    for (const struct mkv_view *view = mkv_views; view->name != NULL; view++) {
        if (strcmp(argv[1], view->name) == 0) {
            return mkv_view_run(view, argc - 1, argv + 1);
        }
    }
    mkv_command_admin_complain("there is no command '%s'; see memkv admin --help", argv[1]);
    return MKV_EXIT_CLIENT_USAGE;
}
