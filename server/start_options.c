/* SPDX-License-Identifier: Apache-2.0 */
#include "server/start_options.h"

#include <stdio.h>
#include <string.h>

#include "server/config_text.h"
#include "server/recorder.h"
#include "server/size.h"

#define COMMAND "memkv start"

const char mkv_start_help[] =
    "usage: memkv start [--config FILE] [--dev [DIR]] [--listen HOST:PORT] [--shards N]\n"
    "                   [--log-format json|text] [--lost DRIVE[,DRIVE...]]\n"
    "                   [--record FILE [--record-max-size SIZE]] [--heap-profile]\n"
    "                   [--telemetry-processor JSON]... [--telemetry-max-queue-size N]\n"
    "                   [--enable-telemetry] [--prometheus-port PORT] [--disable-prometheus]\n"
    "                   [--rdma auto|require|off]\n"
    "\n"
    "Starts a node in the foreground. It serves until it gets SIGTERM or SIGINT, then\n"
    "finishes the requests in flight, closes its drives and exits; a second signal\n"
    "closes the drives at once.\n"
    "\n"
    "  --config FILE       read the configuration from a YAML file\n"
    "  --dev [DIR]         a node to try things on: loopback, 256 MiB of memory and\n"
    "                      one store file of 4 GiB, made sparse in DIR (memkv-data)\n"
    "  --listen HOST:PORT  where clients connect (127.0.0.1:9900); health, status and\n"
    "                      metrics are at the next port. Without a key clients of\n"
    "                      this machine alone are served: docs/security.md\n"
    "  --resp HOST:PORT    where clients connect that speak RESP, the protocol of Redis\n"
    "                      (with --dev and no --listen 127.0.0.1:9902)\n"
    "  --rdma MODE         whether native clients get RDMA: where this machine has it\n"
    "                      (auto), else no start (require), or not (off)\n"
    "  --log-format FORMAT json, or text (with --dev text)\n"
    "  --shards N          threads that serve (1)\n"
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
    "  --enable-telemetry  have each operation tell that it starts and ends:\n"
    "                      docs/telemetry.md\n"
    "  --telemetry-processor JSON\n"
    "                      who gets these events, as {\"type\":\"logging\"}, the one by\n"
    "                      itself; several times for several\n"
    "  --telemetry-max-queue-size N\n"
    "                      events that wait for them (10000)\n"
    "  --prometheus-port PORT\n"
    "                      metrics at a port of their own, too\n"
    "  --disable-prometheus\n"
    "                      no metrics\n"
    "  -h, --help          this text\n"
    "\n"
    "Keys that a file and MEMKV_<SECTION>_<KEY> may set: docs/configuration.md.\n"
    "\n"
    "Exit status: 0 stopped as asked, 64 usage, 69 a port, a drive or memory cannot be\n"
    "had, 74 reading or writing failed, 77 no permission, 78 the configuration is wrong.\n";

#define OPTION_DEV "--dev"
#define OPTION_HELP "--help"
#define OPTION_HEAP_PROFILE "--heap-profile"
#define OPTION_TELEMETRY "--enable-telemetry"
#define OPTION_QUEUE "--telemetry-max-queue-size"
#define OPTION_PROCESSOR "--telemetry-processor"
#define OPTION_NO_PROMETHEUS "--disable-prometheus"

struct option_row {
    const char *name;
    const char *value; /* what it takes, for messages */
    size_t field_offset;
};

static const struct option_row rows[] = {
    {"--config", "FILE", offsetof(struct mkv_start_options, config_file)},
    {"--listen", "HOST:PORT", offsetof(struct mkv_start_options, listen)},
    {"--resp", "HOST:PORT", offsetof(struct mkv_start_options, resp)},
    {"--rdma", "auto, require or off", offsetof(struct mkv_start_options, rdma)},
    {"--log-format", "json or text", offsetof(struct mkv_start_options, log_format)},
    {"--shards", "NUMBER", offsetof(struct mkv_start_options, shards)},
    {"--prometheus-port", "PORT", offsetof(struct mkv_start_options, prometheus_port)},
    {OPTION_QUEUE, "NUMBER", offsetof(struct mkv_start_options, telemetry_queue)},
    {"--lost", "DRIVE", offsetof(struct mkv_start_options, lost)},
    {"--record", "FILE", offsetof(struct mkv_start_options, record)},
    {"--record-max-size", "SIZE", offsetof(struct mkv_start_options, record_size)},
};
#define ROW_COUNT (sizeof rows / sizeof rows[0])

/* Options without a value. */
struct switch_row {
    const char *name;
    size_t field_offset;
};
static const struct switch_row switches[] = {
    {OPTION_TELEMETRY, offsetof(struct mkv_start_options, telemetry)},
    {OPTION_NO_PROMETHEUS, offsetof(struct mkv_start_options, no_prometheus)},
    {OPTION_HEAP_PROFILE, offsetof(struct mkv_start_options, heap_profile)},
};
#define SWITCH_COUNT (sizeof switches / sizeof switches[0])

static bool refuse_unknown(const char *argument, struct mkv_config_error *error) {
    static const char *const names[] = {
        "--config",       "--listen",           "--log-format",      "--lost",
        "--resp",         "--record",           "--record-max-size", "--prometheus-port",
        OPTION_DEV,       OPTION_HELP,          OPTION_TELEMETRY,    OPTION_QUEUE,
        OPTION_PROCESSOR, OPTION_NO_PROMETHEUS, OPTION_HEAP_PROFILE, "--shards",
        "--rdma"};
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

static bool take_switch(const char *argument, struct mkv_start_options *options, bool *taken,
                        struct mkv_config_error *error) {
    for (size_t i = 0; i < SWITCH_COUNT && !*taken; i++) {
        if (strcmp(argument, switches[i].name) == 0) {
            bool *field = (bool *)(void *)((char *)options + switches[i].field_offset);
            if (*field) {
                return refuse_twice(switches[i].name, error);
            }
            *field = true;
            *taken = true;
        }
    }
    return true;
}

/* --telemetry-processor, as often as there may be processors. */
static bool take_processor(int argc, char *const *argv, int *index,
                           struct mkv_start_options *options, bool *taken,
                           struct mkv_config_error *error) {
    const char *value = attached_value(argv[*index], OPTION_PROCESSOR, taken);
    if (!*taken) {
        return true;
    }
    if (value == NULL && *index + 1 < argc) {
        (*index)++;
        value = argv[*index];
    }
    if (value == NULL || value[0] == '\0') {
        return mkv_config_fail(error, MKV_EXIT_DAEMON_USAGE, COMMAND,
                               "%s needs a value: %s '{\"type\":\"logging\"}'", OPTION_PROCESSOR,
                               OPTION_PROCESSOR);
    }
    if (options->telemetry_processor_count == MKV_TELEMETRY_PROCESSORS_MAX) {
        return mkv_config_fail(error, MKV_EXIT_DAEMON_USAGE, COMMAND,
                               "%s is given more than %u times", OPTION_PROCESSOR,
                               MKV_TELEMETRY_PROCESSORS_MAX);
    }
    options->telemetry_processors[options->telemetry_processor_count++] = value;
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
        if (!take_valued(argc, argv, &index, options, &taken, error) ||
            (!taken && !take_switch(argument, options, &taken, error)) ||
            (!taken && !take_processor(argc, argv, &index, options, &taken, error))) {
            return false;
        }
        if (!taken && !take_dev(argc, argv, &index, options, &taken, error)) {
            return false;
        }
        if (!taken) {
            return refuse_unknown(argument, error);
        }
    }
    return take_record_size(options, error);
}

/* Several processors are one array. */
static bool set_processors(const struct mkv_start_options *options, struct mkv_config *config,
                           struct mkv_config_error *error) {
    char list[MKV_CONFIG_PROCESSORS_BYTES] = "[";
    size_t bytes = 1;
    for (uint32_t i = 0; i < options->telemetry_processor_count; i++) {
        struct mkv_telemetry_processor_spec specs[MKV_TELEMETRY_PROCESSORS_MAX];
        uint32_t count;
        char problem[MKV_TELEMETRY_PROBLEM_BYTES];
        const char *text = options->telemetry_processors[i];
        if (!mkv_telemetry_processors_parse(text, specs, &count, problem)) {
            return mkv_config_fail(error, MKV_EXIT_DAEMON_USAGE, OPTION_PROCESSOR, "%s", problem);
        }
        if (text[strspn(text, " \t\n")] == '[' || bytes + strlen(text) + 2 > sizeof list) {
            return mkv_config_fail(error, MKV_EXIT_DAEMON_USAGE, OPTION_PROCESSOR,
                                   "give one object at a time, of up to %zu bytes together; more "
                                   "goes into telemetry.processors",
                                   sizeof list - 3);
        }
        bytes +=
            (size_t)snprintf(list + bytes, sizeof list - bytes, "%s%s", i == 0 ? "" : ",", text);
    }
    snprintf(list + bytes, sizeof list - bytes, "]");
    return mkv_config_set(config, "telemetry.processors", list, OPTION_PROCESSOR, error);
}

/* The flags of telemetry and metrics. */
static bool set_observation(const struct mkv_start_options *options, struct mkv_config *config,
                            struct mkv_config_error *error) {
    const struct {
        bool given;
        const char *key;
        const char *value;
        const char *flag;
    } rows_of_flags[] = {
        {options->telemetry, "telemetry.enabled", "true", OPTION_TELEMETRY},
        {options->telemetry_queue != NULL, "telemetry.max_queue_size", options->telemetry_queue,
         OPTION_QUEUE},
        {options->no_prometheus, "prometheus.enabled", "false", OPTION_NO_PROMETHEUS},
        {options->prometheus_port != NULL, "prometheus.port", options->prometheus_port,
         "--prometheus-port"},
    };
    for (size_t i = 0; i < sizeof rows_of_flags / sizeof rows_of_flags[0]; i++) {
        if (rows_of_flags[i].given &&
            !mkv_config_set(config, rows_of_flags[i].key, rows_of_flags[i].value,
                            rows_of_flags[i].flag, error)) {
            return false;
        }
    }
    return options->telemetry_processor_count == 0 || set_processors(options, config, error);
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
    if (options->resp != NULL &&
        !mkv_config_set(config, "network.resp_address", options->resp, "--resp", error)) {
        return false;
    }
    if (options->rdma != NULL &&
        !mkv_config_set(config, "rdma.mode", options->rdma, "--rdma", error)) {
        return false;
    }
    if (options->log_format != NULL &&
        !mkv_config_set(config, "log.format", options->log_format, "--log-format", error)) {
        return false;
    }
    if (options->shards != NULL &&
        !mkv_config_set(config, "node.shards", options->shards, "--shards", error)) {
        return false;
    }
    return set_observation(options, config, error) && mkv_config_validate(config, error);
}
