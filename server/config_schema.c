/* SPDX-License-Identifier: Apache-2.0 */
#include "server/config_schema.h"

#include "admin/telemetry.h"
#include "server/config_quotas.h"
#include "server/config_text.h"
#include "server/log_filter.h"
#include "server/size.h"

#include <stdio.h>
#include <string.h>

#define TIB (1024ull * MKV_GIB)

/* The unit that memory is reserved in: one huge page. */
#define HUGE_PAGE_BYTES (2ull * MKV_MIB)

static const char *const hugepages_words[] = {"auto", "require", "off", NULL};
static const char *const trim_words[] = {"auto", "on", "off", NULL};
static const char *const eviction_words[] = {"on", "off", NULL};
static const char *const mode_words[] = {"direct", "file", NULL};
static const char *const format_words[] = {"json", "text", NULL};
static const char *const tracing_words[] = {"false", "true", NULL};
static const char *const truth_words[] = {"false", "true", NULL};

_Static_assert(sizeof(enum mkv_config_hugepages) == sizeof(uint32_t), "a word's index fits");
_Static_assert(sizeof(enum mkv_config_storage_mode) == sizeof(uint32_t), "a word's index fits");
_Static_assert(sizeof(enum mkv_config_storage_trim) == sizeof(uint32_t), "a word's index fits");
_Static_assert(sizeof(enum mkv_config_storage_eviction) == sizeof(uint32_t), "a word's index fits");
_Static_assert(sizeof(enum mkv_config_log_format) == sizeof(uint32_t), "a word's index fits");
_Static_assert(sizeof(enum mkv_config_tracing) == sizeof(uint32_t), "a word's index fits");

const char *const mkv_config_sections[MKV_CONFIG_SECTION_COUNT] = {
    "network", "memory", "storage", "tenants", "node", "log", "telemetry", "prometheus",
};

static bool check_processors(const char *text, char problem[MKV_CONFIG_PROBLEM_BYTES]) {
    _Static_assert(MKV_TELEMETRY_PROBLEM_BYTES == MKV_CONFIG_PROBLEM_BYTES, "problems fit");
    struct mkv_telemetry_processor_spec specs[MKV_TELEMETRY_PROCESSORS_MAX];
    uint32_t count;
    return mkv_telemetry_processors_parse(text, specs, &count, problem);
}

static bool check_otlp_endpoint(const char *text, char problem[MKV_CONFIG_PROBLEM_BYTES]) {
    struct mkv_otlp_endpoint endpoint;
    const char *found = mkv_otlp_endpoint_parse(text, &endpoint);
    if (found != NULL) {
        snprintf(problem, MKV_CONFIG_PROBLEM_BYTES, "it %s", found);
    }
    return found == NULL;
}

#define FIELD(member)                                                                              \
    .field_offset = offsetof(struct mkv_config, member),                                           \
    .field_bytes = sizeof(((struct mkv_config *)0)->member)
#define DRIVE_FIELD(member)                                                                        \
    .field_offset = offsetof(struct mkv_config_drive, member),                                     \
    .field_bytes = sizeof(((struct mkv_config_drive *)0)->member)

static bool check_log_level(const char *text, char problem[MKV_CONFIG_PROBLEM_BYTES]) {
    _Static_assert(MKV_LOG_FILTER_PROBLEM_BYTES == MKV_CONFIG_PROBLEM_BYTES, "problems fit");
    struct mkv_log_filter filter;
    return mkv_log_filter_parse(text, &filter, problem);
}

const struct mkv_config_key mkv_config_keys[MKV_CONFIG_KEY_COUNT] = {
    [MKV_CONFIG_NETWORK_ADDRESS] =
        {
            .path = "network.address",
            .type = MKV_CONFIG_TYPE_ADDRESS,
            FIELD(network.address),
            .default_text = "127.0.0.1:9900",
            .meaning = "Where clients connect. Loopback only, as long as there is no "
                       "authentication.",
        },
    [MKV_CONFIG_NETWORK_ADMIN_ADDRESS] =
        {
            .path = "network.admin_address",
            .type = MKV_CONFIG_TYPE_ADDRESS,
            FIELD(network.admin_address),
            .default_note = "the host of `network.address`, its port + 1",
            .meaning = "Where health, status and metrics are served over HTTP. Loopback only.",
        },
    [MKV_CONFIG_MEMORY_MAX_SIZE] =
        {
            .path = "memory.max_size",
            .type = MKV_CONFIG_TYPE_SIZE,
            FIELD(memory.max_size_bytes),
            .size_min = 16 * MKV_MIB,
            .size_max = 16 * TIB,
            .size_step = HUGE_PAGE_BYTES,
            .default_text = "1GiB",
            .default_dev_text = "256MiB",
            .meaning = "Memory for blocks: the memory tier and all transfers in flight. Reserved "
                       "at start.",
        },
    [MKV_CONFIG_MEMORY_HUGEPAGES] =
        {
            .path = "memory.hugepages",
            .type = MKV_CONFIG_TYPE_WORD,
            FIELD(memory.hugepages),
            .words = hugepages_words,
            .default_text = "auto",
            .meaning = "Whether that memory is in huge pages: where they can be had, always (or "
                       "the start is refused), never.",
        },
    [MKV_CONFIG_MEMORY_BLOCK_SIZE] =
        {
            .path = "memory.block_size",
            .type = MKV_CONFIG_TYPE_SIZE,
            FIELD(memory.block_size_bytes),
            .size_min = 64 * MKV_KIB,
            .size_max = MKV_GIB,
            .size_step = MKV_UNIT_BYTES,
            .default_text = "2MiB",
            .meaning = "The unit in which status counts memory. Not a limit.",
        },
    [MKV_CONFIG_STORAGE_MODE] =
        {
            .path = "storage.mode",
            .type = MKV_CONFIG_TYPE_WORD,
            FIELD(storage.mode),
            .words = mode_words,
            .default_text = "direct",
            .default_dev_text = "file",
            .meaning = "`direct` opens drives with O_DIRECT or refuses to start; `file` falls back "
                       "to buffered I/O with a warning.",
        },
    [MKV_CONFIG_STORAGE_TRIM] =
        {
            .path = "storage.trim",
            .type = MKV_CONFIG_TYPE_WORD,
            FIELD(storage.trim),
            .words = trim_words,
            .default_text = "auto",
            .meaning = "Whether drives are told of room that holds nothing any more: `auto` tells "
                       "block devices that support it; `on` files too, and refuses to start where "
                       "one does not support it; `off` none.",
        },
    [MKV_CONFIG_STORAGE_EVICTION] =
        {
            .path = "storage.eviction",
            .type = MKV_CONFIG_TYPE_WORD,
            FIELD(storage.eviction),
            .words = eviction_words,
            .default_text = "on",
            .meaning = "Whether a full drive makes room for a put: `on` evicts the blocks that are "
                       "worth least; `off` answers it NO_SPACE.",
        },
    [MKV_CONFIG_STORAGE_SCRUB_RATE] =
        {
            .path = "storage.scrub_rate",
            .type = MKV_CONFIG_TYPE_SIZE,
            FIELD(storage.scrub_rate),
            .size_min = 0,
            .size_max = 64 * MKV_GIB,
            .size_step = 1,
            .default_text = "16MiB",
            .meaning = "Bytes a second at which each drive's blocks are read again and compared "
                       "with their checksums; what is damaged is dropped. `0` reads none.",
        },
    [MKV_CONFIG_STORAGE_SESSION_IDLE] =
        {
            .path = "storage.session_idle",
            .type = MKV_CONFIG_TYPE_SECONDS,
            FIELD(storage.session_idle_s),
            .size_min = 1,
            .size_max = 86400,
            .default_text = "60s",
            .meaning = "A session that no put and no SESSION names for so long ends by itself.",
        },
    [MKV_CONFIG_STORAGE_SESSIONS_MAX] =
        {
            .path = "storage.sessions_max",
            .type = MKV_CONFIG_TYPE_COUNT,
            FIELD(storage.sessions_max),
            .size_min = 1,
            .size_max = 1u << 20,
            .default_text = "4096",
            .meaning = "Sessions that each drive keeps in mind, at 84 bytes of memory; more are "
                       "not tracked.",
        },
    [MKV_CONFIG_STORAGE_SESSION_BLOCKS_MAX] =
        {
            .path = "storage.session_blocks_max",
            .type = MKV_CONFIG_TYPE_COUNT,
            FIELD(storage.session_blocks_max),
            .size_min = 1,
            .size_max = 1u << 26,
            .default_note = "a quarter of the drive's slots, 1024 to 1048576",
            .meaning = "Blocks of all sessions together that each drive keeps in mind, at 12 bytes "
                       "of memory; more stay in their tier until they leave.",
        },
    [MKV_CONFIG_STORAGE_BLOCK_SIZE] =
        {
            .path = "storage.block_size",
            .type = MKV_CONFIG_TYPE_SIZE,
            FIELD(storage.block_size_bytes),
            .size_min = 64 * MKV_KIB,
            .size_max = MKV_GIB,
            .size_step = MKV_UNIT_BYTES,
            .default_text = "4MiB",
            .meaning = "The unit in which status counts storage. Not a limit.",
        },
    [MKV_CONFIG_STORAGE_BLOCK_BYTES_MAX] =
        {
            .path = "storage.block_bytes_max",
            .type = MKV_CONFIG_TYPE_SIZE,
            FIELD(storage.block_bytes_max),
            .size_min = 64 * MKV_KIB,
            .size_max = MKV_BLOCK_BYTES_MAX,
            .size_step = 64 * MKV_KIB, /* the front's: slabs have steps of it */
            .default_text = "32MiB",
            .meaning = "The largest block. A larger value is stored as segments.",
        },
    [MKV_CONFIG_STORAGE_DRIVES] =
        {
            .path = "storage.drives",
            .type = MKV_CONFIG_TYPE_DRIVES,
            .default_note = "none; `--dev` makes one",
            .meaning = "The drives that hold blocks, in the file only. Each has the keys of the "
                       "next table.",
        },
    [MKV_CONFIG_TENANTS_QUOTAS] =
        {
            .path = "tenants.quotas",
            .type = MKV_CONFIG_TYPE_QUOTAS,
            FIELD(tenants.quotas),
            .size_min = MKV_MIB,
            .size_max = 1024 * TIB,
            .size_step = MKV_UNIT_BYTES,
            .default_note = "none",
            .meaning = "What tenants may take of the drives, each: `batch=100GiB, team-7=1TiB`. A "
                       "put that would pass it takes the place of the tenant's own coldest "
                       "blocks; it is refused with status quota where none may leave.",
        },
    [MKV_CONFIG_NODE_ID] =
        {
            .path = "node.id",
            .type = MKV_CONFIG_TYPE_NAME,
            FIELD(node.id),
            .characters = "A-Z a-z 0-9 . _ -",
            .default_note = "the host's name",
            .meaning = "What status and logs call this node.",
        },
    [MKV_CONFIG_LOG_LEVEL] =
        {
            .path = "log.level",
            .type = MKV_CONFIG_TYPE_TEXT,
            FIELD(log.level),
            .check = check_log_level,
            .allowed = "LEVEL, TARGET=LEVEL, ...",
            .short_variable = "MEMKV_LOG",
            .default_text = "info",
            .meaning = "The least important messages that are still logged: error, warn, info, "
                       "debug or trace, for all or by target, as in `info,core.journal=debug` "
                       "(`docs/logs.md`). Also by the variable `MEMKV_LOG`.",
        },
    [MKV_CONFIG_LOG_FORMAT] =
        {
            .path = "log.format",
            .type = MKV_CONFIG_TYPE_WORD,
            FIELD(log.format),
            .words = format_words,
            .default_text = "json",
            .default_dev_text = "text",
            .meaning = "One JSON object a line, or lines for people.",
        },
    [MKV_CONFIG_LOG_FILE] =
        {
            .path = "log.file",
            .type = MKV_CONFIG_TYPE_PATH,
            FIELD(log.file),
            .default_note = "none",
            .meaning = "A file that lines are appended to, besides standard error. SIGHUP opens it "
                       "again.",
        },
    [MKV_CONFIG_TELEMETRY_TRACING_ENABLED] =
        {
            .path = "telemetry.tracing_enabled",
            .type = MKV_CONFIG_TYPE_WORD,
            FIELD(telemetry.tracing),
            .words = tracing_words,
            .default_text = "false",
            .meaning = "Whether spans of requests and of what drives do go to a collector of "
                       "traces.",
        },
    [MKV_CONFIG_TELEMETRY_OTLP_ENDPOINT] =
        {
            .path = "telemetry.otlp_endpoint",
            .type = MKV_CONFIG_TYPE_TEXT,
            FIELD(telemetry.otlp_endpoint),
            .check = check_otlp_endpoint,
            .allowed = "http://HOST[:PORT][/PATH] or grpc://HOST[:PORT]",
            .default_text = "http://127.0.0.1:4318",
            .meaning = "That collector: `http://` speaks OTLP/HTTP, `grpc://` OTLP/gRPC. Without a "
                       "port 4318 or 4317.",
        },
    [MKV_CONFIG_TELEMETRY_SERVICE_NAME] =
        {
            .path = "telemetry.service_name",
            .type = MKV_CONFIG_TYPE_NAME,
            FIELD(telemetry.service_name),
            .characters = "A-Z a-z 0-9 . _ -",
            .default_text = "memkv",
            .meaning = "What traces call this service.",
        },
    [MKV_CONFIG_TELEMETRY_SAMPLING_RATIO] =
        {
            .path = "telemetry.sampling_ratio",
            .type = MKV_CONFIG_TYPE_RATIO,
            FIELD(telemetry.sampling_ratio),
            .default_text = "1",
            .meaning = "Of requests that bring no trace context, this part begins a trace. With "
                       "one, its sampled flag decides.",
        },
    [MKV_CONFIG_TELEMETRY_ENABLED] =
        {
            .path = "telemetry.enabled",
            .type = MKV_CONFIG_TYPE_WORD,
            FIELD(telemetry.enabled),
            .words = truth_words,
            .default_text = "false",
            .meaning = "Whether each operation tells that it starts and ends "
                       "(`docs/telemetry.md`).",
        },
    [MKV_CONFIG_TELEMETRY_MAX_QUEUE_SIZE] =
        {
            .path = "telemetry.max_queue_size",
            .type = MKV_CONFIG_TYPE_COUNT,
            FIELD(telemetry.max_queue_size),
            .size_min = MKV_TELEMETRY_QUEUE_MIN,
            .size_max = MKV_TELEMETRY_QUEUE_MAX,
            .default_text = "10000",
            .meaning = "Events that wait for their processors, at 384 bytes of memory; the newest "
                       "is dropped where there is no room.",
        },
    [MKV_CONFIG_TELEMETRY_PROCESSORS] =
        {
            .path = "telemetry.processors",
            .type = MKV_CONFIG_TYPE_TEXT,
            FIELD(telemetry.processors),
            .check = check_processors,
            .allowed = "JSON, in quotes",
            .default_text = "[{\"type\":\"logging\"}]",
            .meaning = "Who gets the events: an object with a `type`, or an array of up to 8 of "
                       "them.",
        },
    [MKV_CONFIG_PROMETHEUS_ENABLED] =
        {
            .path = "prometheus.enabled",
            .type = MKV_CONFIG_TYPE_WORD,
            FIELD(prometheus.enabled),
            .words = truth_words,
            .default_text = "true",
            .meaning = "Whether there are metrics at `/v1/metrics`.",
        },
    [MKV_CONFIG_PROMETHEUS_PORT] =
        {
            .path = "prometheus.port",
            .type = MKV_CONFIG_TYPE_COUNT,
            FIELD(prometheus.port),
            .size_min = 0,
            .size_max = 65535,
            .default_text = "0",
            .meaning = "A port for metrics alone, on the host of the admin listener. `0`: none.",
        },
};

const struct mkv_config_key mkv_config_drive_keys[MKV_CONFIG_DRIVE_KEY_COUNT] = {
    [MKV_CONFIG_DRIVE_MEDIA] =
        {
            .path = "media",
            .type = MKV_CONFIG_TYPE_PATH,
            DRIVE_FIELD(media),
            .default_note = "required",
            .meaning = "The block device or regular file.",
        },
    [MKV_CONFIG_DRIVE_NAME] =
        {
            .path = "name",
            .type = MKV_CONFIG_TYPE_NAME,
            DRIVE_FIELD(name),
            .characters = "a-z 0-9 _ -",
            .default_note = "`d00`, `d01`, … by position",
            .meaning = "What commands, metrics and logs call the drive. It stays when the device's "
                       "name changes.",
        },
    [MKV_CONFIG_DRIVE_SIZE] =
        {
            .path = "size",
            .type = MKV_CONFIG_TYPE_SIZE,
            DRIVE_FIELD(size_bytes),
            .size_min = 4 * MKV_MIB,
            .size_max = 1024 * TIB,
            .size_step = MKV_UNIT_BYTES,
            .default_note = "none: `media` must exist",
            .meaning = "Only for a regular file: if it does not exist, it is created sparse with "
                       "this size.",
        },
};

/* True when `c` is in a set written as "a-z 0-9 _ -": ranges and single characters. */
static bool is_in_set(const char *set, char c) {
    for (const char *item = set; *item != '\0';) {
        char low = item[0];
        char high = low;
        size_t item_bytes = 1;
        if (item[1] == '-') {
            high = item[2];
            item_bytes = 3;
        }
        if (c >= low && c <= high) {
            return true;
        }
        item += item_bytes;
        while (*item == ' ') {
            item++;
        }
    }
    return false;
}

static bool parse_size(const struct mkv_config_key *key, const char *text,
                       const struct mkv_config_source *source, uint64_t *size_out,
                       struct mkv_config_error *error) {
    char quoted[MKV_CONFIG_QUOTE_BYTES];
    mkv_config_quote(text, quoted);
    uint64_t size = 0;
    enum mkv_size_problem problem = mkv_size_parse(text, &size);
    if (problem != MKV_SIZE_OK) {
        char explanation[MKV_SIZE_EXPLANATION_BYTES];
        mkv_size_explain(problem, text, explanation);
        return mkv_config_fail(error, source->exit_code, source->where, "%s: '%s' %s",
                               source->label, quoted, explanation);
    }
    char low[MKV_SIZE_TEXT_BYTES];
    char high[MKV_SIZE_TEXT_BYTES];
    if (size < key->size_min || size > key->size_max) {
        mkv_size_format(key->size_min, low);
        mkv_size_format(key->size_max, high);
        return mkv_config_fail(error, source->exit_code, source->where,
                               "%s: '%s' is out of range; use %s to %s", source->label, quoted, low,
                               high);
    }
    if (size % key->size_step != 0) {
        /* The bounds are multiples of the step, so both neighbours lie within them. */
        char step[MKV_SIZE_TEXT_BYTES];
        mkv_size_format(key->size_step, step);
        mkv_size_format(size - size % key->size_step, low);
        mkv_size_format(size - size % key->size_step + key->size_step, high);
        return mkv_config_fail(error, source->exit_code, source->where,
                               "%s: '%s' is not a multiple of %s; use %s or %s", source->label,
                               quoted, step, low, high);
    }
    *size_out = size;
    return true;
}

static const char *number_unit(const struct mkv_config_key *key) {
    return key->type == MKV_CONFIG_TYPE_SECONDS ? "s" : "";
}

static bool parse_number(const struct mkv_config_key *key, const char *text,
                         const struct mkv_config_source *source, uint64_t *number_out,
                         struct mkv_config_error *error) {
    /* No bound has so many digits, so that nothing can wrap. */
    const size_t digits = strspn(text, "0123456789");
    const bool is_number =
        digits > 0 && digits <= 18 && strcmp(text + digits, number_unit(key)) == 0;
    uint64_t number = 0;
    for (size_t i = 0; is_number && i < digits; i++) {
        number = number * 10 + (uint64_t)(text[i] - '0');
    }
    if (!is_number || number < key->size_min || number > key->size_max) {
        char quoted[MKV_CONFIG_QUOTE_BYTES];
        char allowed[MKV_CONFIG_ALLOWED_BYTES];
        mkv_config_quote(text, quoted);
        mkv_config_key_allowed(key, allowed);
        return mkv_config_fail(error, source->exit_code, source->where,
                               "%s: '%s' is not allowed; use %s", source->label, quoted, allowed);
    }
    *number_out = number;
    return true;
}

static bool parse_address(const char *text, const struct mkv_config_source *source,
                          struct mkv_config_address *out, struct mkv_config_error *error) {
    enum mkv_config_address_problem problem = mkv_config_address_parse(text, out);
    if (problem != MKV_CONFIG_ADDRESS_OK) {
        char quoted[MKV_CONFIG_QUOTE_BYTES];
        mkv_config_quote(text, quoted);
        return mkv_config_fail(error, source->exit_code, source->where, "%s: '%s' %s",
                               source->label, quoted, mkv_config_address_explain(problem));
    }
    return true;
}

static bool parse_word(const struct mkv_config_key *key, const char *text,
                       const struct mkv_config_source *source, uint32_t *index_out,
                       struct mkv_config_error *error) {
    for (uint32_t i = 0; key->words[i] != NULL; i++) {
        if (strcmp(text, key->words[i]) == 0) {
            *index_out = i;
            return true;
        }
    }
    char quoted[MKV_CONFIG_QUOTE_BYTES];
    char allowed[MKV_CONFIG_ALLOWED_BYTES];
    mkv_config_quote(text, quoted);
    mkv_config_key_allowed(key, allowed);
    return mkv_config_fail(error, source->exit_code, source->where,
                           "%s: '%s' is not allowed; use %s", source->label, quoted, allowed);
}

static bool parse_name(const struct mkv_config_key *key, const char *text,
                       const struct mkv_config_source *source, char *out,
                       struct mkv_config_error *error) {
    size_t bytes = strlen(text);
    bool allowed = bytes > 0 && bytes < key->field_bytes;
    for (size_t i = 0; allowed && i < bytes; i++) {
        allowed = is_in_set(key->characters, text[i]);
    }
    if (!allowed) {
        char quoted[MKV_CONFIG_QUOTE_BYTES];
        char described[MKV_CONFIG_ALLOWED_BYTES];
        mkv_config_quote(text, quoted);
        mkv_config_key_allowed(key, described);
        return mkv_config_fail(error, source->exit_code, source->where,
                               "%s: '%s' is not allowed; use %s", source->label, quoted, described);
    }
    memcpy(out, text, bytes);
    return true;
}

static bool parse_quotas(const struct mkv_config_key *key, const char *text,
                         const struct mkv_config_source *source, char *out,
                         struct mkv_config_error *error) {
    struct mkv_tenant_quota quotas[MKV_TENANT_QUOTAS_MAX];
    uint32_t count;
    char problem[MKV_CONFIG_QUOTAS_PROBLEM_BYTES];
    const size_t bytes = strlen(text);
    if (bytes >= key->field_bytes) {
        return mkv_config_fail(error, source->exit_code, source->where,
                               "%s: the list is too long; use at most %zu bytes", source->label,
                               key->field_bytes - 1);
    }
    if (!mkv_config_quotas_parse(text, key->size_min, key->size_max, quotas, &count, problem)) {
        return mkv_config_fail(error, source->exit_code, source->where, "%s: %s", source->label,
                               problem);
    }
    memcpy(out, text, bytes);
    return true;
}

static bool parse_text(const struct mkv_config_key *key, const char *text,
                       const struct mkv_config_source *source, char *out,
                       struct mkv_config_error *error) {
    char problem[MKV_CONFIG_PROBLEM_BYTES];
    const size_t bytes = strlen(text);
    if (bytes >= key->field_bytes) {
        return mkv_config_fail(error, source->exit_code, source->where,
                               "%s: the text is too long; use at most %zu bytes", source->label,
                               key->field_bytes - 1);
    }
    if (!key->check(text, problem)) {
        return mkv_config_fail(error, source->exit_code, source->where, "%s: %s", source->label,
                               problem);
    }
    memcpy(out, text, bytes);
    return true;
}

/* "0", "1", "0.25", "1.000": at most as many decimals as MKV_CONFIG_RATIO_ONE has. */
static bool parse_ratio(const struct mkv_config_key *key, const char *text,
                        const struct mkv_config_source *source, uint64_t *ratio_out,
                        struct mkv_config_error *error) {
    const bool begins = (text[0] == '0' || text[0] == '1') && (text[1] == '\0' || text[1] == '.');
    const char *decimals = begins && text[1] == '.' ? text + 2 : "0";
    const size_t digits = strspn(decimals, "0123456789");
    uint64_t ratio = begins && text[0] == '1' ? MKV_CONFIG_RATIO_ONE : 0;
    uint64_t part = MKV_CONFIG_RATIO_ONE / 10;
    for (size_t i = 0; i < digits; i++) {
        ratio += part * (uint64_t)(decimals[i] - '0');
        part /= 10;
    }
    if (!begins || digits < 1 || digits > 9 || decimals[digits] != '\0' ||
        ratio > MKV_CONFIG_RATIO_ONE) {
        char quoted[MKV_CONFIG_QUOTE_BYTES];
        char allowed[MKV_CONFIG_ALLOWED_BYTES];
        mkv_config_quote(text, quoted);
        mkv_config_key_allowed(key, allowed);
        return mkv_config_fail(error, source->exit_code, source->where,
                               "%s: '%s' is not allowed; use %s", source->label, quoted, allowed);
    }
    *ratio_out = ratio;
    return true;
}

static bool parse_path(const struct mkv_config_key *key, const char *text,
                       const struct mkv_config_source *source, char *out,
                       struct mkv_config_error *error) {
    if (text[0] == '\0') {
        return mkv_config_fail(error, source->exit_code, source->where,
                               "%s: the path is empty; name a block device or a file",
                               source->label);
    }
    for (const char *c = text; *c != '\0'; c++) {
        if ((unsigned char)*c < 0x20 || *c == 0x7f) {
            return mkv_config_fail(error, source->exit_code, source->where,
                                   "%s: the path contains a control character; remove it",
                                   source->label);
        }
    }
    bool joined = text[0] != '/' && source->directory[0] != '\0';
    const char *directory = joined ? source->directory : "";
    size_t directory_bytes = strlen(directory);
    bool slash = joined && directory[directory_bytes - 1] != '/';
    if (directory_bytes + (slash ? 1u : 0u) + strlen(text) >= key->field_bytes) {
        return mkv_config_fail(error, source->exit_code, source->where,
                               "%s: the path is too long; use at most %zu bytes, with the "
                               "directory that it is relative to",
                               source->label, key->field_bytes - 1);
    }
    memcpy(out, directory, directory_bytes);
    out += directory_bytes;
    if (slash) {
        *out++ = '/';
    }
    memcpy(out, text, strlen(text));
    return true;
}

bool mkv_config_key_parse(const struct mkv_config_key *key, const char *text,
                          const struct mkv_config_source *source, union mkv_config_value *value,
                          struct mkv_config_error *error) {
    union mkv_config_value parsed;
    memset(&parsed, 0, sizeof parsed);
    bool ok = false;
    switch (key->type) {
    case MKV_CONFIG_TYPE_ADDRESS:
        ok = parse_address(text, source, &parsed.address, error);
        break;
    case MKV_CONFIG_TYPE_SIZE:
        ok = parse_size(key, text, source, &parsed.size_bytes, error);
        break;
    case MKV_CONFIG_TYPE_COUNT:
    case MKV_CONFIG_TYPE_SECONDS:
        ok = parse_number(key, text, source, &parsed.number, error);
        break;
    case MKV_CONFIG_TYPE_WORD:
        ok = parse_word(key, text, source, &parsed.word_index, error);
        break;
    case MKV_CONFIG_TYPE_NAME:
        ok = parse_name(key, text, source, parsed.text, error);
        break;
    case MKV_CONFIG_TYPE_PATH:
        ok = parse_path(key, text, source, parsed.text, error);
        break;
    case MKV_CONFIG_TYPE_QUOTAS:
        ok = parse_quotas(key, text, source, parsed.text, error);
        break;
    case MKV_CONFIG_TYPE_TEXT:
        ok = parse_text(key, text, source, parsed.text, error);
        break;
    case MKV_CONFIG_TYPE_RATIO:
        ok = parse_ratio(key, text, source, &parsed.number, error);
        break;
    case MKV_CONFIG_TYPE_DRIVES:
        ok = mkv_config_fail(error, source->exit_code, source->where,
                             "%s is a list and can only be set in the configuration file",
                             source->label);
        break;
    }
    if (ok) {
        *value = parsed;
    }
    return ok;
}

void mkv_config_key_store(const struct mkv_config_key *key, const union mkv_config_value *value,
                          void *base) {
    MKV_ASSERT(key->field_bytes > 0);
    MKV_ASSERT(key->field_bytes <= sizeof *value);
    /* Every member starts at the union's first byte, and its field has the member's type. */
    memcpy((char *)base + key->field_offset, value, key->field_bytes);
}

/* Writes the words as "a, b or c". */
static void format_words_list(const char *const *words, char out[MKV_CONFIG_ALLOWED_BYTES]) {
    size_t used = 0;
    for (size_t i = 0; words[i] != NULL; i++) {
        const char *separator = i == 0 ? "" : (words[i + 1] == NULL ? " or " : ", ");
        int bytes =
            snprintf(out + used, MKV_CONFIG_ALLOWED_BYTES - used, "%s%s", separator, words[i]);
        MKV_ASSERT(bytes > 0);
        used += (size_t)bytes;
        MKV_ASSERT(used < MKV_CONFIG_ALLOWED_BYTES);
    }
}

void mkv_config_key_allowed(const struct mkv_config_key *key, char out[MKV_CONFIG_ALLOWED_BYTES]) {
    char low[MKV_SIZE_TEXT_BYTES];
    char high[MKV_SIZE_TEXT_BYTES];
    char step[MKV_SIZE_TEXT_BYTES];
    switch (key->type) {
    case MKV_CONFIG_TYPE_ADDRESS:
        snprintf(out, MKV_CONFIG_ALLOWED_BYTES, "HOST:PORT");
        break;
    case MKV_CONFIG_TYPE_SIZE:
        mkv_size_format(key->size_min, low);
        mkv_size_format(key->size_max, high);
        mkv_size_format(key->size_step, step);
        snprintf(out, MKV_CONFIG_ALLOWED_BYTES, "%s to %s in steps of %s", low, high, step);
        break;
    case MKV_CONFIG_TYPE_COUNT:
    case MKV_CONFIG_TYPE_SECONDS:
        snprintf(out, MKV_CONFIG_ALLOWED_BYTES, "%llu%s to %llu%s",
                 (unsigned long long)key->size_min, number_unit(key),
                 (unsigned long long)key->size_max, number_unit(key));
        break;
    case MKV_CONFIG_TYPE_WORD:
        format_words_list(key->words, out);
        break;
    case MKV_CONFIG_TYPE_NAME:
        snprintf(out, MKV_CONFIG_ALLOWED_BYTES, "1 to %zu characters of %s", key->field_bytes - 1,
                 key->characters);
        break;
    case MKV_CONFIG_TYPE_PATH:
        snprintf(out, MKV_CONFIG_ALLOWED_BYTES, "a path of up to %zu bytes", key->field_bytes - 1);
        break;
    case MKV_CONFIG_TYPE_QUOTAS:
        snprintf(out, MKV_CONFIG_ALLOWED_BYTES, "NAME=SIZE, ... for up to %u tenants",
                 MKV_TENANT_QUOTAS_MAX);
        break;
    case MKV_CONFIG_TYPE_TEXT:
        snprintf(out, MKV_CONFIG_ALLOWED_BYTES, "%s", key->allowed);
        break;
    case MKV_CONFIG_TYPE_RATIO:
        snprintf(out, MKV_CONFIG_ALLOWED_BYTES, "0 to 1 with up to 9 decimals");
        break;
    case MKV_CONFIG_TYPE_DRIVES:
        snprintf(out, MKV_CONFIG_ALLOWED_BYTES, "a list of 1 to %u drives", MKV_CONFIG_DRIVES_MAX);
        break;
    }
}

void mkv_config_key_variable(const struct mkv_config_key *key,
                             char out[MKV_CONFIG_VARIABLE_BYTES]) {
    int bytes = snprintf(out, MKV_CONFIG_VARIABLE_BYTES, "MEMKV_%s", key->path);
    MKV_ASSERT(bytes > 0);
    MKV_ASSERT((unsigned)bytes < MKV_CONFIG_VARIABLE_BYTES);
    for (char *c = out; *c != '\0'; c++) {
        if (*c == '.') {
            *c = '_';
        } else if (*c >= 'a' && *c <= 'z') {
            *c = (char)(*c - 'a' + 'A');
        }
    }
}
