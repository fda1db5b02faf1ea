/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The record that `memkv start --record` asks for: its file, and what is said about its end.
 */
#include "server/node_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "record/format.h"
#include "server/size.h"
#include "server/version.h"

#define TARGET "server.record"

static const char *reason_text(enum mkv_record_end reason) {
    switch (reason) {
    case MKV_RECORD_END_CLOSED:
        return "the node was stopped";
    case MKV_RECORD_END_SIZE:
        return "it is as large as --record-max-size lets it become";
    case MKV_RECORD_END_SLOW:
        return "the disk took it more slowly than it came. Name a file on a faster one";
    case MKV_RECORD_END_MEMORY:
        return "there was no memory for an entry. Free memory on this machine";
    case MKV_RECORD_END_CRASH:
        break; /* nobody is told */
    }
    return "";
}

/* On the recorder's thread. */
static void ended(void *context, const struct mkv_recorder_ended *ended) {
    struct mkv_node *node = context;
    const struct mkv_log_field fields[] = {
        {.name = "file", .text = node->options.record},
        {.name = "bytes", .number = ended->bytes},
        {.name = "inputs", .number = ended->inputs},
    };
    if (ended->error_number == 0 && ended->reason == MKV_RECORD_END_CLOSED) {
        mkv_log_write(node->log, MKV_LOG_SITE_NODE, MKV_CONFIG_LOG_INFO, TARGET, fields, 3,
                      "recorded %" PRIu64 " inputs in %s, %" PRIu64 " bytes", ended->inputs,
                      node->options.record, ended->bytes);
        return;
    }
    mkv_log_write(node->log, MKV_LOG_SITE_NODE, MKV_CONFIG_LOG_WARN, TARGET, fields,
                  ended->error_number == 0 ? 3 : 2,
                  "the recording to %s ended after %" PRIu64
                  " bytes: %s. What it holds can be replayed; the node serves on",
                  node->options.record, ended->bytes,
                  ended->error_number != 0 ? strerror(ended->error_number)
                                           : reason_text(ended->reason));
}

bool mkv_node_record_create(struct mkv_node *node, struct mkv_backend_error *error) {
    if (node->options.record == NULL) {
        return true;
    }
    if (node->config.node.shards > 1) {
        return mkv_backend_refuse(error, MKV_BACKEND_CONFIGURATION,
                                  "--record writes down one shard, and node.shards is %u. Start "
                                  "with --shards 1, or without --record",
                                  (unsigned)node->config.node.shards);
    }
    char program[64];
    snprintf(program, sizeof program, "memkv %s (%s)", mkv_version(), mkv_version_commit());
    const struct mkv_recorder_options options = {
        .path = node->options.record,
        .bytes_max = node->options.record_bytes_max,
        .core = node->options.core,
        .program = program,
        .ended = ended,
        .ended_context = node,
    };
    if (!mkv_recorder_create(&options, &node->recorder, error)) {
        return false;
    }
    char size[MKV_SIZE_TEXT_BYTES];
    mkv_size_format(options.bytes_max, size);
    mkv_log_write(node->log, MKV_LOG_SITE_NODE, MKV_CONFIG_LOG_INFO, TARGET, NULL, 0,
                  "recording to %s, at most %s; it will hold keys, and the content of small blocks",
                  options.path, size);
    return true;
}

void mkv_node_record_end(struct mkv_node *node) {
    mkv_recorder_destroy(node->recorder);
    node->recorder = NULL;
}
