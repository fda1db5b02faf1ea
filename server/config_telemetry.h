/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sections telemetry and prometheus of the configuration, which are for those who watch a node:
 * their keys, which are rows of the table in config_keys.c.
 *
 * Not responsible for: endpoints and processors (config_checks.h), what is watched (admin/).
 */
#ifndef MKV_SERVER_CONFIG_TELEMETRY_H
#define MKV_SERVER_CONFIG_TELEMETRY_H

#include "admin/telemetry.h"
#include "server/config_checks.h"
#include "server/config_schema.h"

#define MKV_CONFIG_TELEMETRY_FIELD(member)                                                         \
    .field_offset = offsetof(struct mkv_config, member),                                           \
    .field_bytes = sizeof(((struct mkv_config *)0)->member)

/* Rows of mkv_config_keys. */
#define MKV_CONFIG_TELEMETRY_KEYS                                                                  \
    [MKV_CONFIG_TELEMETRY_TRACING_ENABLED] =                                                       \
        {                                                                                          \
            .path = "telemetry.tracing_enabled",                                                   \
            .type = MKV_CONFIG_TYPE_WORD,                                                          \
            MKV_CONFIG_TELEMETRY_FIELD(telemetry.tracing),                                         \
            .words = mkv_config_truth_words,                                                       \
            .default_text = "false",                                                               \
            .meaning = "Whether spans of requests and of what drives do go to a collector of "     \
                       "traces.",                                                                  \
    },                                                                                             \
    [MKV_CONFIG_TELEMETRY_OTLP_ENDPOINT] =                                                         \
        {                                                                                          \
            .path = "telemetry.otlp_endpoint",                                                     \
            .type = MKV_CONFIG_TYPE_TEXT,                                                          \
            MKV_CONFIG_TELEMETRY_FIELD(telemetry.otlp_endpoint),                                   \
            .check = mkv_config_check_otlp_endpoint,                                               \
            .allowed = "http://HOST[:PORT][/PATH] or grpc://HOST[:PORT]",                          \
            .default_text = "http://127.0.0.1:4318",                                               \
            .meaning =                                                                             \
                "That collector: `http://` speaks OTLP/HTTP, `grpc://` OTLP/gRPC. Without a "      \
                "port 4318 or 4317.",                                                              \
    },                                                                                             \
    [MKV_CONFIG_TELEMETRY_SERVICE_NAME] =                                                          \
        {                                                                                          \
            .path = "telemetry.service_name",                                                      \
            .type = MKV_CONFIG_TYPE_NAME,                                                          \
            MKV_CONFIG_TELEMETRY_FIELD(telemetry.service_name),                                    \
            .characters = "A-Z a-z 0-9 . _ -",                                                     \
            .default_text = "memkv",                                                               \
            .meaning = "What traces call this service.",                                           \
    },                                                                                             \
    [MKV_CONFIG_TELEMETRY_SAMPLING_RATIO] =                                                        \
        {                                                                                          \
            .path = "telemetry.sampling_ratio",                                                    \
            .type = MKV_CONFIG_TYPE_RATIO,                                                         \
            MKV_CONFIG_TELEMETRY_FIELD(telemetry.sampling_ratio),                                  \
            .default_text = "1",                                                                   \
            .meaning = "Of requests that bring no trace context, this part begins a trace. With "  \
                       "one, its sampled flag decides.",                                           \
    },                                                                                             \
    [MKV_CONFIG_TELEMETRY_ENABLED] =                                                               \
        {                                                                                          \
            .path = "telemetry.enabled",                                                           \
            .type = MKV_CONFIG_TYPE_WORD,                                                          \
            MKV_CONFIG_TELEMETRY_FIELD(telemetry.enabled),                                         \
            .words = mkv_config_truth_words,                                                       \
            .default_text = "false",                                                               \
            .meaning = "Whether each operation tells that it starts and ends "                     \
                       "(`docs/telemetry.md`).",                                                   \
    },                                                                                             \
    [MKV_CONFIG_TELEMETRY_MAX_QUEUE_SIZE] =                                                        \
        {                                                                                          \
            .path = "telemetry.max_queue_size",                                                    \
            .type = MKV_CONFIG_TYPE_COUNT,                                                         \
            MKV_CONFIG_TELEMETRY_FIELD(telemetry.max_queue_size),                                  \
            .size_min = MKV_TELEMETRY_QUEUE_MIN,                                                   \
            .size_max = MKV_TELEMETRY_QUEUE_MAX,                                                   \
            .default_text = "10000",                                                               \
            .meaning =                                                                             \
                "Events that wait for their processors, at 384 bytes of memory; the newest "       \
                "is dropped where there is no room.",                                              \
    },                                                                                             \
    [MKV_CONFIG_TELEMETRY_PROCESSORS] =                                                            \
        {                                                                                          \
            .path = "telemetry.processors",                                                        \
            .type = MKV_CONFIG_TYPE_TEXT,                                                          \
            MKV_CONFIG_TELEMETRY_FIELD(telemetry.processors),                                      \
            .check = mkv_config_check_processors,                                                  \
            .allowed = "JSON, in quotes",                                                          \
            .default_text = "[{\"type\":\"logging\"}]",                                            \
            .meaning = "Who gets the events: an object with a `type`, or an array of up to 8 of "  \
                       "them.",                                                                    \
    },                                                                                             \
    [MKV_CONFIG_PROMETHEUS_ENABLED] =                                                              \
        {                                                                                          \
            .path = "prometheus.enabled",                                                          \
            .type = MKV_CONFIG_TYPE_WORD,                                                          \
            MKV_CONFIG_TELEMETRY_FIELD(prometheus.enabled),                                        \
            .words = mkv_config_truth_words,                                                       \
            .default_text = "true",                                                                \
            .meaning = "Whether there are metrics at `/v1/metrics`.",                              \
    },                                                                                             \
    [MKV_CONFIG_PROMETHEUS_PORT] = {                                                               \
        .path = "prometheus.port",                                                                 \
        .type = MKV_CONFIG_TYPE_COUNT,                                                             \
        MKV_CONFIG_TELEMETRY_FIELD(prometheus.port),                                               \
        .size_min = 0,                                                                             \
        .size_max = 65535,                                                                         \
        .default_text = "0",                                                                       \
        .meaning = "A port for metrics alone, on the host of the admin listener. `0`: none.",      \
    }

#endif
