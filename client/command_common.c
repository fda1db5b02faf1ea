/* SPDX-License-Identifier: Apache-2.0 */
#include "client/command_common.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TIMEOUT_SECONDS_MIN 0.001
#define TIMEOUT_SECONDS_MAX 86400.0
#define TIMEOUT_MS_DEFAULT 30000u
#define EXPIRE_SECONDS_MAX 2147483647ul

void command_complain(const struct command_shape *shape, const char *format, ...) {
    fprintf(stderr, "memkv %s: ", shape->name);
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
}

int command_exit_of(enum memkv_status status) {
    switch (status) {
    case MEMKV_OK:
        return COMMAND_EXIT_DONE;
    case MEMKV_NOT_FOUND:
    case MEMKV_NO_SPACE:
    case MEMKV_INVALID:
    case MEMKV_FORBIDDEN:
    case MEMKV_CONFLICT:
    case MEMKV_QUOTA:
        return COMMAND_EXIT_REFUSED;
    case MEMKV_UNAVAILABLE:
        return COMMAND_EXIT_NO_CONNECTION;
    case MEMKV_CALLBACK: /* our callbacks read and write local files */
        return COMMAND_EXIT_USAGE;
    case MEMKV_DEADLINE:
    case MEMKV_IO_ERROR:
    case MEMKV_BUSY:
    case MEMKV_UNKNOWN:
    case MEMKV_CORRUPT:
    case MEMKV_TOO_SMALL:
    case MEMKV_NO_MEMORY:
    case MEMKV_CANCELLED:
        break;
    }
    return COMMAND_EXIT_SERVER_ERROR;
}

static bool timeout_parse(const char *text, uint32_t *timeout_ms) {
    char *end = NULL;
    const double seconds = strtod(text, &end);
    /* The negated form refuses what is not a number, too. */
    if (end == text || *end != '\0' ||
        !(seconds >= TIMEOUT_SECONDS_MIN && seconds <= TIMEOUT_SECONDS_MAX)) {
        return false;
    }
    *timeout_ms = (uint32_t)(seconds * 1000.0 + 0.5);
    return true;
}

static bool expire_parse(const char *text, uint32_t *expire_s) {
    char *end = NULL;
    const bool is_digit = text[0] >= '0' && text[0] <= '9';
    const unsigned long seconds = strtoul(text, &end, 10);
    if (!is_digit || *end != '\0' || seconds < 1 || seconds > EXPIRE_SECONDS_MAX) {
        return false;
    }
    *expire_s = (uint32_t)seconds;
    return true;
}

static bool tier_parse(const char *text, enum memkv_tier *tier) {
    static const char *const names[] = {
        [MEMKV_TIER_THINK_COMPLETE] = "think_complete",
        [MEMKV_TIER_UNHINTED] = "unhinted",
        [MEMKV_TIER_THINK_ACTIVE] = "think_active",
        [MEMKV_TIER_OUTPUT_CRITICAL] = "output_critical",
    };
    for (uint32_t index = MEMKV_TIER_THINK_COMPLETE; index <= MEMKV_TIER_OUTPUT_CRITICAL; index++) {
        if (strcmp(text, names[index]) == 0) {
            *tier = (enum memkv_tier)index;
            return true;
        }
    }
    return false;
}

static bool session_parse(const char *text, uint64_t *session) {
    char *end = NULL;
    const bool is_digit = text[0] >= '0' && text[0] <= '9';
    errno = 0;
    const unsigned long long number = strtoull(text, &end, 10);
    *session = number;
    return is_digit && *end == '\0' && errno == 0 && number != 0;
}

static void complain_usage(const struct command_shape *shape, const char *what,
                           const char *argument) {
    command_complain(shape, "%s%s; see: memkv %s --help", what, argument, shape->name);
}

/* One option. False: *exit_code is set. */
static bool option_take(int option, char **argv, struct command_line *line, int *exit_code) {
    switch (option) {
    case 's':
        line->server = optarg;
        return true;
    case 'd':
        line->discovery = optarg;
        return true;
    case 'n':
        line->tenant = optarg;
        return true;
    case 'p':
        line->traceparent = optarg;
        return true;
    case 'c':
        line->tls_ca = optarg;
        return true;
    case 'T':
        line->transport = optarg;
        return true;
    case 'r':
        line->put.flags |= MEMKV_REPLACE;
        return true;
    case 'x':
        line->put.flags |= MEMKV_RELAXED;
        return true;
    case 't':
        if (timeout_parse(optarg, &line->timeout_ms)) {
            return true;
        }
        complain_usage(line->shape, "--timeout takes seconds from 0.001 to 86400, not ", optarg);
        break;
    case 'e':
        if (expire_parse(optarg, &line->put.expire_s)) {
            return true;
        }
        complain_usage(line->shape, "--expire takes seconds from 1 to 2147483647, not ", optarg);
        break;
    case 'i':
        if (tier_parse(optarg, &line->put.tier)) {
            return true;
        }
        complain_usage(line->shape,
                       "--tier takes think_complete, unhinted, think_active or output_critical, "
                       "not ",
                       optarg);
        break;
    case 'o':
        if (session_parse(optarg, &line->put.session)) {
            return true;
        }
        complain_usage(line->shape, "--session takes a number from 1 to 18446744073709551615, not ",
                       optarg);
        break;
    case 'h':
        fputs(line->shape->help, stdout);
        *exit_code = COMMAND_EXIT_DONE;
        return false;
    case ':':
        complain_usage(line->shape, "an argument is missing behind ", argv[optind - 1]);
        break;
    default:
        complain_usage(line->shape, "unknown option ", argv[optind - 1]);
        break;
    }
    *exit_code = COMMAND_EXIT_USAGE;
    return false;
}

bool command_parse(const struct command_shape *shape, int argc, char **argv,
                   struct command_line *line, int *exit_code) {
    static const struct option options_plain[] = {
        {"server", required_argument, NULL, 's'},
        {"discovery", required_argument, NULL, 'd'},
        {"tenant", required_argument, NULL, 'n'},
        {"timeout", required_argument, NULL, 't'},
        {"traceparent", required_argument, NULL, 'p'},
        {"tls-ca", required_argument, NULL, 'c'},
        {"transport", required_argument, NULL, 'T'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    static const struct option options_put[] = {
        {"server", required_argument, NULL, 's'},
        {"discovery", required_argument, NULL, 'd'},
        {"tenant", required_argument, NULL, 'n'},
        {"timeout", required_argument, NULL, 't'},
        {"tls-ca", required_argument, NULL, 'c'},
        {"transport", required_argument, NULL, 'T'},
        {"help", no_argument, NULL, 'h'},
        {"replace", no_argument, NULL, 'r'},
        {"relaxed", no_argument, NULL, 'x'},
        {"expire", required_argument, NULL, 'e'},
        {"tier", required_argument, NULL, 'i'},
        {"session", required_argument, NULL, 'o'},
        {"traceparent", required_argument, NULL, 'p'},
        {NULL, 0, NULL, 0},
    };
    *line = (struct command_line){.shape = shape, .timeout_ms = TIMEOUT_MS_DEFAULT};
    optind = 0; /* begin anew, whoever used getopt before */
    opterr = 0;
    for (;;) {
        const int option =
            getopt_long(argc, argv, ":h", shape->has_put_flags ? options_put : options_plain, NULL);
        if (option == -1) {
            break;
        }
        if (!option_take(option, argv, line, exit_code)) {
            return false;
        }
    }
    line->operand_count = argc - optind;
    line->operands = argv + optind;
    if (line->operand_count < shape->operand_count_min) {
        complain_usage(shape, "something is missing", "");
    } else if (line->operand_count > shape->operand_count_max) {
        complain_usage(shape, "one argument too many: ", line->operands[shape->operand_count_max]);
    } else {
        return true;
    }
    *exit_code = COMMAND_EXIT_USAGE;
    return false;
}

/* Whose requests the command's are. Other programs set TRACEPARENT for whoever they start, so what
 * stands there and is none is left alone. False: the reason has been printed. */
static bool trace(const struct command_line *line, struct memkv_client *client) {
    const char *text = line->traceparent;
    const char *named = "--traceparent";
    if (text == NULL) {
        text = getenv("MEMKV_TRACEPARENT");
        named = "MEMKV_TRACEPARENT";
    }
    struct memkv_error error;
    if (text == NULL || text[0] == '\0') {
        (void)memkv_trace_context(client, getenv("TRACEPARENT"), &error);
        return true;
    }
    const bool is_one = memkv_trace_context(client, text, &error) == MEMKV_OK;
    if (!is_one) {
        command_complain(line->shape, "%s: %s", named, error.text);
    }
    return is_one;
}

struct memkv_client *command_connect(const struct command_line *line, int *exit_code) {
    char name[32];
    snprintf(name, sizeof name, "memkv %s", line->shape->name);
    const struct memkv_options options = {.servers = line->server,
                                          .discovery = line->discovery,
                                          .timeout_ms = line->timeout_ms,
                                          .connect_timeout_ms = line->timeout_ms,
                                          .client_name = name,
                                          .tenant = line->tenant,
                                          .tls_ca = line->tls_ca,
                                          .transport = line->transport};
    struct memkv_client *client = NULL;
    struct memkv_error error;
    const enum memkv_status status = memkv_open(&options, &client, &error);
    if (status != MEMKV_OK) {
        command_complain(line->shape, "%s", error.text);
        /* Before there is a connection only address and transport can be invalid: that is usage. */
        *exit_code = status == MEMKV_INVALID ? COMMAND_EXIT_USAGE : command_exit_of(status);
    } else if (!trace(line, client)) {
        *exit_code = COMMAND_EXIT_USAGE;
        memkv_close(client);
        client = NULL;
    }
    return client;
}
