/* SPDX-License-Identifier: Apache-2.0 */
#include "server/proxy_options.h"

#include <stdlib.h>
#include <string.h>

#include "server/config_text.h"
#include "server/proxy.h"
#include "server/size.h"

#define COMMAND "memkv proxy"
#define LISTEN_DEFAULT "127.0.0.1:9902"
#define CONNECTIONS_MAX 64u
#define TIMEOUT_MS_MAX 600000u
#define MEMORY_BYTES_MAX (4ull << 40) /* what an arena can have */

const char mkv_proxy_help[] =
    "usage: memkv proxy [--listen HOST:PORT] [--servers LIST | --discovery WHERE]\n"
    "                   [--tenant NAME] [--connections N] [--timeout-ms N] [--memory SIZE]\n"
    "                   [--durability relaxed|durable] [--auth-key-file FILE] [--auth none]\n"
    "                   [--metrics HOST:PORT] [--log-format json|text]\n"
    "\n"
    "Serves clients of RESP, the protocol of Redis, from several servers: each key is at one\n"
    "of them. It runs in the foreground until it gets SIGTERM or SIGINT, then lets commands\n"
    "in flight finish and exits; a second signal cuts them off.\n"
    "\n"
    "  --listen HOST:PORT  where clients connect (127.0.0.1:9902). Without a key clients of\n"
    "                      this machine alone are served\n"
    "  --servers LIST      the servers, HOST:PORT or HOST:PORT*WEIGHT with commas between\n"
    "                      (MEMKV_SERVERS, else 127.0.0.1:9900). All clients have to name\n"
    "                      them alike\n"
    "  --discovery WHERE   where the list of servers comes from, and is read again, as in\n"
    "                      file:PATH or etcd:http://HOST:PORT/PREFIX: docs/discovery.md\n"
    "  --tenant NAME       whose keys these are (default)\n"
    "  --connections N     to each server, 1 to 64 (1)\n"
    "  --timeout-ms N      what a server has to answer (5000); behind it its keys are misses\n"
    "  --memory SIZE       for values under way (256MiB); the longest value has half of it,\n"
    "                      and 512MiB at most\n"
    "  --durability WORD   relaxed: a SET is answered when its server has it in memory, or\n"
    "                      durable (relaxed)\n"
    "  --auth-key-file FILE\n"
    "                      the key that clients have to give as password (AUTH), as memkv\n"
    "                      auth keygen makes it\n"
    "  --auth none         clients of other machines need no key: everybody who reaches the\n"
    "                      address may read, write and delete\n"
    "  --metrics HOST:PORT where Prometheus scrapes /metrics (nowhere)\n"
    "  --log-format FORMAT json or text (text)\n"
    "  -h, --help          this text\n"
    "\n"
    "Towards servers MEMKV_AUTH_KEY, MEMKV_TLS and the other variables of libmemkv hold:\n"
    "docs/proxy.md, docs/libmemkv.md.\n"
    "\n"
    "Exit status: 0 stopped as asked, 64 usage, 69 no server answers, or a port or memory\n"
    "cannot be had, 77 no permission, 78 the configuration is wrong.\n";

/* What was given, as text. */
struct given {
    const char *listen;
    const char *servers;
    const char *discovery;
    const char *tenant;
    const char *connections;
    const char *timeout_ms;
    const char *memory;
    const char *durability;
    const char *auth_key_file;
    const char *auth;
    const char *metrics;
    const char *log_format;
};

static const struct {
    const char *name;
    const char *value;
    size_t offset;
} rows[] = {
    {"--listen", "HOST:PORT", offsetof(struct given, listen)},
    {"--servers", "HOST:PORT,...", offsetof(struct given, servers)},
    {"--discovery", "file:PATH", offsetof(struct given, discovery)},
    {"--tenant", "NAME", offsetof(struct given, tenant)},
    {"--connections", "NUMBER", offsetof(struct given, connections)},
    {"--timeout-ms", "NUMBER", offsetof(struct given, timeout_ms)},
    {"--memory", "SIZE", offsetof(struct given, memory)},
    {"--durability", "relaxed or durable", offsetof(struct given, durability)},
    {"--auth-key-file", "FILE", offsetof(struct given, auth_key_file)},
    {"--auth", "none", offsetof(struct given, auth)},
    {"--metrics", "HOST:PORT", offsetof(struct given, metrics)},
    {"--log-format", "json or text", offsetof(struct given, log_format)},
};
#define ROW_COUNT (sizeof rows / sizeof rows[0])

static bool refuse(struct mkv_config_error *error, const char *option, const char *value,
                   const char *problem) {
    char quoted[MKV_CONFIG_QUOTE_BYTES];
    mkv_config_quote(value, quoted);
    return mkv_config_fail(error, MKV_EXIT_DAEMON_USAGE, COMMAND, "%s: '%s' %s", option, quoted,
                           problem);
}

static bool refuse_unknown(const char *argument, struct mkv_config_error *error) {
    char quoted[MKV_CONFIG_QUOTE_BYTES];
    mkv_config_quote(argument, quoted);
    for (size_t i = 0; i < ROW_COUNT; i++) {
        if (mkv_config_is_slip(argument, rows[i].name)) {
            return mkv_config_fail(error, MKV_EXIT_DAEMON_USAGE, COMMAND,
                                   "unknown option '%s', did you mean '%s'?", quoted, rows[i].name);
        }
    }
    return mkv_config_fail(error, MKV_EXIT_DAEMON_USAGE, COMMAND, "%s '%s'; see memkv proxy --help",
                           argument[0] == '-' ? "unknown option" : "unexpected argument", quoted);
}

/* Takes the option at `*index` and moves to its last word. */
static bool take(int argc, char *const *argv, int *index, struct given *given,
                 struct mkv_config_error *error) {
    const char *argument = argv[*index];
    for (size_t i = 0; i < ROW_COUNT; i++) {
        const size_t bytes = strlen(rows[i].name);
        if (strncmp(argument, rows[i].name, bytes) != 0 ||
            (argument[bytes] != '\0' && argument[bytes] != '=')) {
            continue;
        }
        const char **field = (const char **)(void *)((char *)given + rows[i].offset);
        const char *value = argument[bytes] == '=' ? argument + bytes + 1 : NULL;
        if (*field != NULL) {
            return mkv_config_fail(error, MKV_EXIT_DAEMON_USAGE, COMMAND,
                                   "%s is given twice; give it once", rows[i].name);
        }
        if (value == NULL && *index + 1 < argc) {
            (*index)++;
            value = argv[*index];
        }
        if (value == NULL || value[0] == '\0') {
            return mkv_config_fail(error, MKV_EXIT_DAEMON_USAGE, COMMAND, "%s needs a value: %s %s",
                                   rows[i].name, rows[i].name, rows[i].value);
        }
        *field = value;
        return true;
    }
    return refuse_unknown(argument, error);
}

static bool set_number(const char *option, const char *text, uint32_t max, uint32_t *out,
                       struct mkv_config_error *error) {
    if (text == NULL) {
        return true;
    }
    char *end;
    const unsigned long value = strtoul(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || value < 1 || value > max) {
        char quoted[MKV_CONFIG_QUOTE_BYTES];
        mkv_config_quote(text, quoted);
        return mkv_config_fail(error, MKV_EXIT_DAEMON_USAGE, COMMAND,
                               "%s: '%s' is no number from 1 to %u", option, quoted, max);
    }
    *out = (uint32_t)value;
    return true;
}

static bool set_address(const char *option, const char *text, struct mkv_config_address *out,
                        struct mkv_config_error *error) {
    const enum mkv_config_address_problem problem = mkv_config_address_parse(text, out);
    return problem == MKV_CONFIG_ADDRESS_OK ||
           refuse(error, option, text, mkv_config_address_explain(problem));
}

static bool set_memory(const char *text, struct mkv_proxy_command *command,
                       struct mkv_config_error *error) {
    command->memory_bytes = MKV_PROXY_MEMORY_BYTES_DEFAULT;
    if (text == NULL) {
        return true;
    }
    const enum mkv_size_problem problem = mkv_size_parse(text, &command->memory_bytes);
    if (problem != MKV_SIZE_OK) {
        char explanation[MKV_SIZE_EXPLANATION_BYTES];
        mkv_size_explain(problem, text, explanation);
        return refuse(error, "--memory", text, explanation);
    }
    if (command->memory_bytes > MEMORY_BYTES_MAX) {
        return refuse(error, "--memory", text, "is above 4TiB; use 4TiB or less");
    }
    return command->memory_bytes >= MKV_PROXY_MEMORY_BYTES_MIN ||
           refuse(error, "--memory", text, "is below 64MiB; use 64MiB or more");
}

/* One of two words; *is_second says which. */
static bool set_word(const char *option, const char *text, const char *first, const char *second,
                     bool *is_second, struct mkv_config_error *error) {
    if (text == NULL) {
        return true;
    }
    *is_second = second != NULL && strcmp(text, second) == 0;
    if (*is_second || strcmp(text, first) == 0) {
        return true;
    }
    char quoted[MKV_CONFIG_QUOTE_BYTES];
    mkv_config_quote(text, quoted);
    return mkv_config_fail(error, MKV_EXIT_DAEMON_USAGE, COMMAND, "%s: '%s' is not %s%s%s", option,
                           quoted, first, second != NULL ? " or " : "",
                           second != NULL ? second : "");
}

static bool set(const struct given *given, struct mkv_proxy_command *command,
                struct mkv_config_error *error) {
    bool is_json = false;
    bool is_second = false;
    command->timeout_ms = MKV_PROXY_TIMEOUT_MS_DEFAULT;
    command->servers.servers = given->servers;
    command->servers.discovery = given->discovery;
    command->servers.tenant = given->tenant;
    command->servers.client_name = "memkv proxy";
    command->auth_key_file = given->auth_key_file;
    command->is_open = given->auth != NULL;
    command->metrics = given->metrics;
    if (given->metrics != NULL &&
        !set_address("--metrics", given->metrics, &(struct mkv_config_address){0}, error)) {
        return false;
    }
    if (!set_address("--listen", given->listen != NULL ? given->listen : LISTEN_DEFAULT,
                     &command->listen, error) ||
        !set_number("--connections", given->connections, CONNECTIONS_MAX,
                    &command->servers.connections, error) ||
        !set_number("--timeout-ms", given->timeout_ms, TIMEOUT_MS_MAX, &command->timeout_ms,
                    error) ||
        !set_memory(given->memory, command, error) ||
        !set_word("--durability", given->durability, "relaxed", "durable", &command->durable,
                  error) ||
        !set_word("--auth", given->auth, "none", NULL, &is_second, error) ||
        !set_word("--log-format", given->log_format, "text", "json", &is_json, error)) {
        return false;
    }
    if (command->is_open && command->auth_key_file != NULL) {
        return mkv_config_fail(error, MKV_EXIT_DAEMON_USAGE, COMMAND,
                               "--auth none and --auth-key-file are both given: nobody would be "
                               "asked for the key. Give one");
    }
    command->log_format = is_json ? MKV_CONFIG_LOG_JSON : MKV_CONFIG_LOG_TEXT;
    return true;
}

bool mkv_proxy_options_parse(int argc, char *const *argv, struct mkv_proxy_command *command,
                             struct mkv_config_error *error) {
    struct given given = {0};
    *command = (struct mkv_proxy_command){0};
    for (int index = 1; index < argc; index++) {
        if (strcmp(argv[index], "--help") == 0 || strcmp(argv[index], "-h") == 0) {
            command->help = true;
            return true;
        }
        if (!take(argc, argv, &index, &given, error)) {
            return false;
        }
    }
    return set(&given, command, error);
}
