/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `memkv config show` and `memkv config check`: the configuration that a start with these options
 * would have, without starting.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "server/auth_keys.h"
#include "server/config_show.h"
#include "server/start_options.h"

#define ARGUMENTS_MAX 64

static const char help_text[] =
    "usage: memkv config show [--origin] [--json] [OPTIONS OF memkv start]\n"
    "       memkv config check FILE\n"
    "\n"
    "show prints the configuration that memkv start would run with, given the same options and\n"
    "environment: YAML that it takes back. check says whether a file can be started with, keys of "
    "clients and\n"
    "their secrets included."
    "A node that runs shows its own: memkv admin config.\n"
    "\n"
    "  --origin    where each value came from: default, --dev, FILE:LINE, a variable, a flag\n"
    "  --json      the same as JSON\n"
    "  -h, --help  this text\n"
    "\n"
    "Exit status: 0 done, 64 usage, 74 the file cannot be read, 77 no permission, 78 the\n"
    "configuration is wrong.\n";

struct config_line {
    bool origins;
    bool json;
    int argc; /* what is left for the options of memkv start */
    char *argv[ARGUMENTS_MAX + 1];
};

static int fail(const char *message) {
    fprintf(stderr, "%s\n", message);
    return MKV_EXIT_DAEMON_USAGE;
}

/* Makes the configuration; 0, or what to exit with. */
static int make(const struct config_line *line, struct mkv_config *config) {
    struct mkv_start_options options;
    struct mkv_config_error error;
    if (!mkv_start_options_parse(line->argc, line->argv, &options, &error) ||
        !mkv_start_options_configure(&options, environ, config, &error)) {
        fprintf(stderr, "%s\n", error.message);
        return (int)error.exit_code;
    }
    return MKV_EXIT_DAEMON_DONE;
}

static int show(const struct config_line *line) {
    struct mkv_config *config = malloc(sizeof *config);
    if (config == NULL) {
        return fail("no memory for the configuration. Free memory on this machine");
    }
    const int exit_code = make(line, config);
    if (exit_code == MKV_EXIT_DAEMON_DONE && line->json) {
        json_t *object = mkv_config_json(config);
        json_dumpf(object, stdout, JSON_INDENT(2));
        printf("\n");
        json_decref(object);
    } else if (exit_code == MKV_EXIT_DAEMON_DONE) {
        struct mkv_text text = {0};
        mkv_config_yaml(config, line->origins, &text);
        fputs(text.failed ? "# no memory for this text\n" : text.bytes, stdout);
        mkv_text_free(&text);
    }
    free(config);
    return exit_code;
}

/* Reads the secrets of clients as a start would, and says what there is. */
static int check_keys(const char *file, const struct mkv_config *config) {
    struct mkv_auth_keys *table;
    struct mkv_backend_error error = {0};
    if (!mkv_auth_keys_read(config, &table, &error)) {
        fprintf(stderr, "%s: %s\n", file, error.text);
        return error.failure == MKV_BACKEND_PERMISSION ? (int)MKV_EXIT_DAEMON_PERMISSION
                                                       : (int)MKV_EXIT_DAEMON_CONFIGURATION;
    }
    const uint32_t keys = mkv_auth_keys_count(table);
    const uint32_t drives = config->storage.drive_count;
    printf("%s: can be started with, %u drive%s", file, drives, drives == 1 ? "" : "s");
    if (keys > 0) {
        const uint32_t users = mkv_auth_keys_user_count(table);
        printf(", %u key%s and %u user%s of RESP", keys, keys == 1 ? "" : "s", users,
               users == 1 ? "" : "s");
    }
    printf("\n");
    mkv_auth_keys_release(table);
    return MKV_EXIT_DAEMON_DONE;
}

static int check(const char *file) {
    char *arguments[] = {(char *)"check", (char *)"--config", (char *)file, NULL};
    struct config_line line = {.argc = 3};
    memcpy(line.argv, arguments, sizeof arguments);
    struct mkv_config *config = malloc(sizeof *config);
    if (config == NULL) {
        return fail("no memory for the configuration. Free memory on this machine");
    }
    int exit_code = make(&line, config);
    if (exit_code == MKV_EXIT_DAEMON_DONE) {
        exit_code = check_keys(file, config);
    }
    mkv_config_forget(config);
    free(config);
    return exit_code;
}

int mkv_command_config(int argc, char **argv) {
    struct config_line line = {0};
    if (argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        fputs(help_text, argc < 2 ? stderr : stdout);
        return argc < 2 ? (int)MKV_EXIT_DAEMON_USAGE : (int)MKV_EXIT_DAEMON_DONE;
    }
    if (strcmp(argv[1], "check") == 0) {
        return argc == 3 && argv[2][0] != '-'
                   ? check(argv[2])
                   : fail("memkv config check takes one FILE; see memkv config --help");
    }
    if (strcmp(argv[1], "show") != 0) {
        return fail("memkv config has show and check; see memkv config --help");
    }
    line.argv[line.argc++] = argv[1];
    for (int index = 2; index < argc; index++) {
        if (strcmp(argv[index], "--help") == 0 || strcmp(argv[index], "-h") == 0) {
            fputs(help_text, stdout);
            return MKV_EXIT_DAEMON_DONE;
        }
        if (strcmp(argv[index], "--origin") == 0) {
            line.origins = true;
        } else if (strcmp(argv[index], "--json") == 0) {
            line.json = true;
        } else if (line.argc < ARGUMENTS_MAX) {
            line.argv[line.argc++] = argv[index];
        } else {
            return fail("memkv config show: too many arguments");
        }
    }
    return show(&line);
}
