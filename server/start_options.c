/* SPDX-License-Identifier: Apache-2.0 */
#include "server/start_options.h"

#include <string.h>

#include "server/config_text.h"
#include "server/recorder.h"
#include "server/size.h"

#define COMMAND "memkv start"

const char mkv_start_help[] =
    "usage: memkv start [--config FILE] [--dev [DIR]] [--listen HOST:PORT]\n"
    "                   [--log-format json|text] [--lost DRIVE[,DRIVE...]]\n"
    "                   [--record FILE [--record-max-size SIZE]] [--heap-profile]\n"
    "\n"
    "Starts a node in the foreground. It serves until it gets SIGTERM or SIGINT, then\n"
    "finishes the requests in flight, closes its drives and exits; a second signal\n"
    "closes the drives at once.\n"
    "\n"
    "  --config FILE       read the configuration from a YAML file\n"
    "  --dev [DIR]         a node to try things on: loopback, 256 MiB of memory and\n"
    "                      one store file of 4 GiB, made sparse in DIR (memkv-data)\n"
    "  --listen HOST:PORT  where clients connect (127.0.0.1:9900); health, status and\n"
    "                      metrics are at the next port. In this release loopback only\n"
    "  --log-format FORMAT json, or text (with --dev text)\n"
    "  --lost DRIVE        these drives are lost: go on without them and their blocks.\n"
    "                      DRIVE is a uuid that the node names as missing, or the name\n"
    "                      of a drive. If one comes back, it joins empty. For one start:\n"
    "                      leave it out of units and scripts\n"
    "  --record FILE       write what goes into the core and what comes out to FILE, which\n"
    "                      must be new; memkv-sim replay FILE runs it again. It holds keys\n"
    "                      and the content of small blocks: docs/record-replay.md\n"
    "  --record-max-size SIZE\n"
    "                      where the record ends, while the node serves on (1GiB)\n"
    "  --heap-profile      keep account of every allocation, for /debug/pprof/heap; slower,\n"
    "                      and it takes libtcmalloc.so.4: docs/operations.md\n"
    "  -h, --help          this text\n"
    "\n"
    "Keys that a file and MEMKV_<SECTION>_<KEY> may set: docs/configuration.md.\n"
    "\n"
    "Exit status: 0 stopped as asked, 64 usage, 69 a port, a drive or memory cannot be\n"
    "had, 74 reading or writing failed, 77 no permission, 78 the configuration is wrong.\n";

struct option_row {
    const char *name;
    const char *value; /* what it takes, for messages */
    size_t field_offset;
};

static const struct option_row rows[] = {
    {"--config", "FILE", offsetof(struct mkv_start_options, config_file)},
    {"--listen", "HOST:PORT", offsetof(struct mkv_start_options, listen)},
    {"--log-format", "json or text", offsetof(struct mkv_start_options, log_format)},
    {"--lost", "DRIVE", offsetof(struct mkv_start_options, lost)},
    {"--record", "FILE", offsetof(struct mkv_start_options, record)},
    {"--record-max-size", "SIZE", offsetof(struct mkv_start_options, record_size)},
};
#define ROW_COUNT (sizeof rows / sizeof rows[0])
#define OPTION_DEV "--dev"
#define OPTION_HELP "--help"
#define OPTION_HEAP_PROFILE "--heap-profile"

static bool refuse_unknown(const char *argument, struct mkv_config_error *error) {
    static const char *const names[] = {"--config", "--listen",  "--log-format",
                                        "--lost",   "--record",  "--record-max-size",
                                        OPTION_DEV, OPTION_HELP, OPTION_HEAP_PROFILE};
    char quoted[MKV_CONFIG_QUOTE_BYTES];
    mkv_config_quote(argument, quoted);
    if (argument[0] != '-') {
        return mkv_config_fail(error, MKV_EXIT_DAEMON_USAGE, COMMAND,
                               "unexpected argument '%s'; see memkv start --help", quoted);
    }
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (mkv_config_is_slip(argument, names[i])) {
            return mkv_config_fail(error, MKV_EXIT_DAEMON_USAGE, COMMAND,
                                   "unknown option '%s', did you mean '%s'?", quoted, names[i]);
        }
    }
    return mkv_config_fail(error, MKV_EXIT_DAEMON_USAGE, COMMAND,
                           "unknown option '%s'; see memkv start --help", quoted);
}

static bool refuse_twice(const char *name, struct mkv_config_error *error) {
    return mkv_config_fail(error, MKV_EXIT_DAEMON_USAGE, COMMAND, "%s is given twice; give it once",
                           name);
}

/* The value that follows a '=' in the argument, or NULL; `*matches` says whether it is the option.
 */
static const char *attached_value(const char *argument, const char *name, bool *matches) {
    size_t name_bytes = strlen(name);
    bool begins = strncmp(argument, name, name_bytes) == 0;
    *matches = begins && (argument[name_bytes] == '\0' || argument[name_bytes] == '=');
    return *matches && argument[name_bytes] == '=' ? argument + name_bytes + 1 : NULL;
}

/* Whether the argument at `*index` is an option with a value; then takes it and moves on. */
static bool take_valued(int argc, char *const *argv, int *index, struct mkv_start_options *options,
                        bool *taken, struct mkv_config_error *error) {
    *taken = false;
    for (size_t i = 0; i < ROW_COUNT; i++) {
        const char *value = attached_value(argv[*index], rows[i].name, taken);
        if (!*taken) {
            continue;
        }
        const char **field = (const char **)(void *)((char *)options + rows[i].field_offset);
        if (*field != NULL) {
            return refuse_twice(rows[i].name, error);
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
    return true;
}

/* --dev takes a directory if the next argument is one: what begins with '-' is an option. */
static bool take_dev(int argc, char *const *argv, int *index, struct mkv_start_options *options,
                     bool *taken, struct mkv_config_error *error) {
    const char *value = attached_value(argv[*index], OPTION_DEV, taken);
    if (!*taken) {
        return true;
    }
    if (options->dev) {
        return refuse_twice(OPTION_DEV, error);
    }
    options->dev = true;
    if (value == NULL && *index + 1 < argc && argv[*index + 1][0] != '-') {
        (*index)++;
        value = argv[*index];
    }
    options->dev_directory = value;
    return true;
}

/* What --record-max-size says, or its default. */
static bool take_record_size(struct mkv_start_options *options, struct mkv_config_error *error) {
    options->record_bytes_max = MKV_START_RECORD_BYTES_DEFAULT;
    if (options->record_size == NULL) {
        return true;
    }
    if (options->record == NULL) {
        return mkv_config_fail(error, MKV_EXIT_DAEMON_USAGE, COMMAND,
                               "--record-max-size needs --record FILE");
    }
    char quoted[MKV_CONFIG_QUOTE_BYTES];
    mkv_config_quote(options->record_size, quoted);
    const enum mkv_size_problem problem =
        mkv_size_parse(options->record_size, &options->record_bytes_max);
    if (problem != MKV_SIZE_OK) {
        char explanation[MKV_SIZE_EXPLANATION_BYTES];
        mkv_size_explain(problem, options->record_size, explanation);
        return mkv_config_fail(error, MKV_EXIT_DAEMON_USAGE, COMMAND, "--record-max-size: '%s' %s",
                               quoted, explanation);
    }
    if (options->record_bytes_max < MKV_RECORDER_BYTES_MIN) {
        return mkv_config_fail(error, MKV_EXIT_DAEMON_USAGE, COMMAND,
                               "--record-max-size: '%s' is below 1MiB; use 1MiB or more", quoted);
    }
    return true;
}

bool mkv_start_options_parse(int argc, char *const *argv, struct mkv_start_options *options,
                             struct mkv_config_error *error) {
    *options = (struct mkv_start_options){0};
    for (int index = 1; index < argc; index++) {
        const char *argument = argv[index];
        if (strcmp(argument, OPTION_HELP) == 0 || strcmp(argument, "-h") == 0) {
            options->help = true;
            return true;
        }
        bool taken;
        if (!take_valued(argc, argv, &index, options, &taken, error)) {
            return false;
        }
        if (!taken && !take_dev(argc, argv, &index, options, &taken, error)) {
            return false;
        }
        if (!taken && strcmp(argument, OPTION_HEAP_PROFILE) == 0) {
            if (options->heap_profile) {
                return refuse_twice(OPTION_HEAP_PROFILE, error);
            }
            options->heap_profile = true;
        } else if (!taken) {
            return refuse_unknown(argument, error);
        }
    }
    return take_record_size(options, error);
}

bool mkv_start_options_configure(const struct mkv_start_options *options, char *const *environment,
                                 struct mkv_config *config, struct mkv_config_error *error) {
    if (options->dev) {
        if (!mkv_config_dev(config, options->dev_directory, error)) {
            return false;
        }
    } else {
        mkv_config_defaults(config, false);
    }
    if (options->config_file != NULL &&
        !mkv_config_load_file(config, options->config_file, error)) {
        return false;
    }
    if (!mkv_config_load_environment(config, environment, error)) {
        return false;
    }
    if (options->listen != NULL &&
        !mkv_config_set(config, "network.address", options->listen, "--listen", error)) {
        return false;
    }
    if (options->log_format != NULL &&
        !mkv_config_set(config, "log.format", options->log_format, "--log-format", error)) {
        return false;
    }
    return mkv_config_validate(config, error);
}
