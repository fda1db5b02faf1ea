/* SPDX-License-Identifier: Apache-2.0 */
#include "server/command_view.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/exit_codes.h"

#define HTTP_OK 200u
#define HTTP_SERVER_ERROR 500u
#define HTTP_UNAVAILABLE 503u
/* Each byte of a value may become three. */
#define ESCAPED_BYTES (MKV_VIEW_PATH_BYTES / 2u)

struct view_line {
    bool json;
    char path[MKV_VIEW_PATH_BYTES]; /* with the query */
    bool has_query;
    bool has_operand;
    struct mkv_command_servers servers;
};

/* ---- the command line ------------------------------------------------------------------------ */

static void print_help(const struct mkv_view *view) {
    printf("usage: memkv admin %s [OPTIONS]%s%s\n\n%s\n", view->name,
           view->operand == NULL ? "" : " ", view->operand == NULL ? "" : view->operand,
           view->help);
    for (uint32_t i = 0; i < MKV_VIEW_OPTIONS_MAX && view->options[i].name != NULL; i++) {
        char option[64];
        snprintf(option, sizeof option, "%s %s", view->options[i].name, view->options[i].value);
        printf("  %-19s %s\n", option, view->options[i].meaning);
    }
    fputs("  --json              the answer as JSON; of several nodes an object by node\n", stdout);
    fputs(mkv_command_servers_help, stdout);
    fputs(
        "  -h, --help          this text\n"
        "\n"
        "Exit status, the highest of all nodes: 0 done, 1 not found or refused, 2 usage, 3 a node\n"
        "is not to be reached, 4 server error.\n",
        stdout);
}

static bool add_parameter(const struct mkv_view *view, struct view_line *line, const char *name,
                          const char *value) {
    char escaped[ESCAPED_BYTES];
    const size_t used = strlen(line->path);
    int bytes = -1;
    if (mkv_http_escape(value, strlen(value), escaped, sizeof escaped)) {
        bytes = snprintf(line->path + used, sizeof line->path - used, "%c%s=%s",
                         line->has_query ? '&' : '?', name, escaped);
    }
    if (bytes < 0 || (size_t)bytes >= sizeof line->path - used) {
        mkv_command_admin_complain("%s: the value of %s is too long; give a shorter one",
                                   view->name, name);
        return false;
    }
    line->has_query = true;
    return true;
}

/* What a path that ends with '/' is of. */
static bool add_to_path(const struct mkv_view *view, struct view_line *line, const char *value) {
    const size_t used = strlen(line->path);
    if (value[0] == '\0' ||
        !mkv_http_escape(value, strlen(value), line->path + used, sizeof line->path - used)) {
        mkv_command_admin_complain("%s: this is no %s: '%s'", view->name, view->operand, value);
        return false;
    }
    return true;
}

static const struct mkv_view_option *option_of(const struct mkv_view *view, const char *argument) {
    for (uint32_t i = 0; i < MKV_VIEW_OPTIONS_MAX && view->options[i].name != NULL; i++) {
        const size_t bytes = strlen(view->options[i].name);
        if (strncmp(argument, view->options[i].name, bytes) == 0 &&
            (argument[bytes] == '\0' || argument[bytes] == '=')) {
            return &view->options[i];
        }
    }
    return NULL;
}

/* Takes an option of the view, moving on over its value. */
static bool take_option(const struct mkv_view *view, const struct mkv_view_option *option,
                        struct view_line *line, int argc, char **argv, int *index) {
    const char *value = strchr(argv[*index], '=');
    if (value != NULL) {
        value++;
    } else if (*index + 1 < argc) {
        *index += 1;
        value = argv[*index];
    }
    if (value == NULL || value[0] == '\0') {
        mkv_command_admin_complain("%s: %s needs %s behind it", view->name, option->name,
                                   option->value);
        return false;
    }
    return add_parameter(view, line, option->parameter, value);
}

static bool take_argument(const struct mkv_view *view, struct view_line *line, int argc,
                          char **argv, int *index, bool *only_operands) {
    const char *argument = argv[*index];
    const enum mkv_command_option taken =
        *only_operands ? MKV_COMMAND_OPTION_OTHER
                       : mkv_command_servers_option(&line->servers, argc, argv, index);
    if (taken != MKV_COMMAND_OPTION_OTHER) {
        return taken == MKV_COMMAND_OPTION_TAKEN;
    }
    const struct mkv_view_option *option = *only_operands ? NULL : option_of(view, argument);
    if (option != NULL) {
        return take_option(view, option, line, argc, argv, index);
    }
    if (!*only_operands && strcmp(argument, "--json") == 0) {
        line->json = true;
        return true;
    }
    if (!*only_operands && strcmp(argument, "--") == 0) {
        *only_operands = true;
        return true;
    }
    const bool is_operand = *only_operands || argument[0] != '-';
    if (view->operand == NULL || line->has_operand || !is_operand) {
        mkv_command_admin_complain("%s takes no '%s'; see memkv admin %s --help", view->name,
                                   argument, view->name);
        return false;
    }
    line->has_operand = true;
    return view->operand_parameter == NULL
               ? add_to_path(view, line, argument)
               : add_parameter(view, line, view->operand_parameter, argument);
}

/* False: *exit_code is what to exit with. */
static bool parse(const struct mkv_view *view, int argc, char **argv, struct view_line *line,
                  int *exit_code) {
    bool only_operands = false;
    *exit_code = MKV_EXIT_CLIENT_USAGE;
    snprintf(line->path, sizeof line->path, "%s", view->path);
    for (int index = 1; index < argc; index++) {
        if (!only_operands &&
            (strcmp(argv[index], "--help") == 0 || strcmp(argv[index], "-h") == 0)) {
            print_help(view);
            *exit_code = MKV_EXIT_CLIENT_DONE;
            return false;
        }
        if (!take_argument(view, line, argc, argv, &index, &only_operands)) {
            return false;
        }
    }
    if (view->operand != NULL && !line->has_operand) {
        mkv_command_admin_complain("%s needs a %s; see memkv admin %s --help", view->name,
                                   view->operand, view->name);
        return false;
    }
    return mkv_command_servers_finish(&line->servers);
}

/* ---- asking ---------------------------------------------------------------------------------- */

/* Reads the body as JSON, or makes an object of the text of a probe. */
static void read_body(bool is_check, struct mkv_view_answer *answer) {
    if (is_check && strcmp(answer->body, "ok") == 0) {
        free(answer->body);
        answer->body = strdup("{\"ready\":true,\"reason\":null}");
    }
    json_error_t problem;
    answer->object = answer->body == NULL ? NULL : json_loads(answer->body, 0, &problem);
    if (!json_is_object(answer->object)) {
        answer->exit_code = MKV_EXIT_CLIENT_SERVER_ERROR;
        snprintf(answer->error, sizeof answer->error,
                 "the answer is no JSON object; is it the admin port?");
    }
}

void mkv_view_ask(const struct mkv_command_servers *servers, uint32_t index, const char *path,
                  bool text, bool is_check, struct mkv_view_answer *answer) {
    struct mkv_http_response response = {0};
    char why[MKV_HTTP_GET_ERROR_BYTES];
    const struct mkv_http_call call = {.path = path, .timeout_ms = MKV_VIEW_TIMEOUT_MS};
    *answer = (struct mkv_view_answer){0};
    mkv_command_server_name(servers, index, answer->server);
    const enum mkv_http_get_result result =
        mkv_command_servers_ask(servers, index, &call, &response, why);
    if (result != MKV_HTTP_GET_OK) {
        char whole[MKV_HTTP_GET_ERROR_BYTES + 64];
        snprintf(whole, sizeof whole, "%s%s", why,
                 result == MKV_HTTP_GET_UNREACHABLE
                     ? "; does memkv run there? --server or --socket names another"
                     : "");
        mkv_text_clean(whole, answer->error, sizeof answer->error);
        answer->exit_code = result == MKV_HTTP_GET_UNREACHABLE ? MKV_EXIT_CLIENT_NO_CONNECTION
                                                               : MKV_EXIT_CLIENT_SERVER_ERROR;
        return;
    }
    answer->refused = is_check && response.status == HTTP_UNAVAILABLE;
    if (response.status != HTTP_OK && !answer->refused) {
        mkv_command_servers_refusal(&response, answer->error);
        answer->exit_code = response.status < HTTP_SERVER_ERROR ? MKV_EXIT_CLIENT_NOT_FOUND
                                                                : MKV_EXIT_CLIENT_SERVER_ERROR;
        free(response.body);
        return;
    }
    answer->body = response.body;
    answer->exit_code = answer->refused ? MKV_EXIT_CLIENT_NOT_FOUND : MKV_EXIT_CLIENT_DONE;
    if (!text) {
        read_body(is_check, answer);
    }
}

void mkv_view_answer_free(struct mkv_view_answer *answer) {
    json_decref(answer->object);
    free(answer->body);
}

void mkv_view_complain(const struct mkv_view_answer *answer) {
    fflush(stdout);
    mkv_command_admin_complain("%s: %s", answer->server, answer->error);
}

/* ---- showing --------------------------------------------------------------------------------- */

int mkv_view_finish(int exit_code) {
    if (fflush(stdout) != 0) {
        mkv_command_admin_complain("standard output cannot be written");
        return MKV_EXIT_CLIENT_USAGE;
    }
    return exit_code;
}

/* What one of several nodes is in JSON. */
static json_t *entry_of(const struct mkv_view *view, const struct mkv_view_answer *answer) {
    if (answer->error[0] != '\0') {
        return json_pack("{s:s}", "error", answer->error);
    }
    return view->form == MKV_VIEW_TEXT ? json_string(answer->body) : json_incref(answer->object);
}

static void show_json(const struct mkv_view *view, const struct mkv_view_answer *answer,
                      uint32_t index, uint32_t count) {
    if (count == 1) {
        if (view->form == MKV_VIEW_TEXT && answer->error[0] == '\0') {
            json_t *text = json_pack("{s:s}", "text", answer->body);
            json_dumpf(text, stdout, JSON_COMPACT);
            json_decref(text);
            printf("\n");
        } else if (answer->error[0] == '\0') {
            printf("%s\n", answer->body);
        }
        return;
    }
    json_t *name = json_string(answer->server);
    json_t *entry = entry_of(view, answer);
    printf("%s", index == 0 ? "{" : ",\n");
    json_dumpf(name, stdout, JSON_ENCODE_ANY);
    printf(":");
    json_dumpf(entry == NULL ? json_null() : entry, stdout, JSON_COMPACT | JSON_ENCODE_ANY);
    printf("%s", index + 1 == count ? "}\n" : "");
    json_decref(name);
    json_decref(entry);
}

static void show_text(const struct mkv_view *view, const struct mkv_view_answer *answer,
                      uint32_t index, uint32_t count) {
    if (answer->error[0] != '\0') {
        return;
    }
    if (count > 1) {
        /* Comments where the text is an exposition. */
        printf("%s# %s\n", index == 0 ? "" : "\n", answer->server);
    }
    if (view->form == MKV_VIEW_TEXT) {
        fputs(answer->body, stdout);
        return;
    }
    struct mkv_text out = {0};
    view->show(answer->object, &out);
    fputs(out.failed ? "no memory for this text\n" : out.bytes, stdout);
    mkv_text_free(&out);
}

/* Lists that a node has cut short say so. */
static void note_incomplete(const struct mkv_view_answer *answer) {
    if (json_is_false(json_object_get(answer->object, "complete"))) {
        fflush(stdout);
        mkv_command_admin_complain("%s: this is not all: the list was cut short", answer->server);
    }
}

int mkv_view_run(const struct mkv_view *view, int argc, char **argv) {
    struct view_line line = {0};
    int exit_code;
    if (!parse(view, argc, argv, &line, &exit_code)) {
        return exit_code;
    }
    exit_code = MKV_EXIT_CLIENT_DONE;
    const bool with_table = view->form == MKV_VIEW_TABLE && !line.json;
    struct mkv_table *table =
        with_table ? mkv_table_create(&view->shape, line.servers.count > 1) : NULL;
    uint32_t answered = 0;
    for (uint32_t index = 0; index < line.servers.count; index++) {
        struct mkv_view_answer answer;
        mkv_view_ask(&line.servers, index, line.path, view->form == MKV_VIEW_TEXT, view->is_check,
                     &answer);
        exit_code = answer.exit_code > exit_code ? answer.exit_code : exit_code;
        if (answer.error[0] != '\0') {
            mkv_view_complain(&answer);
        } else {
            answered++;
            note_incomplete(&answer);
        }
        if (line.json) {
            show_json(view, &answer, index, line.servers.count);
        } else if (table != NULL && answer.error[0] == '\0') {
            mkv_table_add(table, answer.server, answer.object);
        } else if (!with_table) {
            show_text(view, &answer, index, line.servers.count);
        }
        mkv_view_answer_free(&answer);
    }
    if (with_table && answered > 0) {
        struct mkv_text out = {0};
        out.failed = table == NULL;
        if (table != NULL) {
            mkv_table_print(table, &out);
        }
        fputs(out.failed ? "no memory for this table\n" : out.bytes, stdout);
        mkv_text_free(&out);
    }
    mkv_table_destroy(table);
    return mkv_view_finish(exit_code);
}
