/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One line of the log as bytes, in either of its two formats. Pure: what is logged comes in as a
 * record, the line goes out into a buffer.
 *
 *   json  {"timestamp":"2026-11-21T09:00:00.123Z","level":"INFO","target":"server.node",
 *          "message":"ready in 0.2 s","fields":{"drives":2}}                      (on one line)
 *   text  2026-11-21T09:00:00.123Z INFO server.node: ready in 0.2 s drives=2
 *
 * Invariants
 *  I1  A line ends with one newline and has no other; a JSON line is one valid JSON object,
 * whatever bytes the texts hold. I2  A text line is printable ASCII: other bytes stand as \xNN, a
 * backslash as \\. I3  A line has at most MKV_LOG_LINE_BYTES_MAX bytes; a text that does not fit
 * ends in "...".
 *
 * Not responsible for: which lines are written (log.h).
 */
#ifndef MKV_SERVER_LOG_LINE_H
#define MKV_SERVER_LOG_LINE_H

#include "core/base.h"
#include "server/config.h"

#define MKV_LOG_FIELDS_MAX 12u
/* Of a message and of a field's text, as they stand in the line. */
#define MKV_LOG_MESSAGE_BYTES_MAX 2048u
#define MKV_LOG_FIELD_BYTES_MAX 512u
/* Names of targets and fields are constants of the source and shorter than this. */
#define MKV_LOG_NAME_BYTES_MAX 40u
#define MKV_LOG_LINE_BYTES_MAX                                                                     \
    (256u + MKV_LOG_MESSAGE_BYTES_MAX +                                                            \
     MKV_LOG_FIELDS_MAX * (MKV_LOG_NAME_BYTES_MAX + MKV_LOG_FIELD_BYTES_MAX + 16u))

/* Room for "2026-11-21T09:00:00.123Z" and the closing NUL; years have four digits. */
#define MKV_LOG_TIMESTAMP_BYTES 25u

struct mkv_log_field {
    const char *name;
    const char *text; /* NULL: the number is the value */
    uint64_t number;
};

struct mkv_log_record {
    uint64_t wall_ms; /* Unix time; beyond the year 9999 it stands still */
    enum mkv_config_log_level level;
    const char *target; /* "core.volume", "server.node" */
    const char *message;
    const struct mkv_log_field *fields;
    uint32_t field_count; /* at most MKV_LOG_FIELDS_MAX */
};

/* "ERROR", "WARN", "INFO", "DEBUG", "TRACE". */
const char *mkv_log_level_name(enum mkv_config_log_level level);
/* RFC 3339 in UTC with milliseconds. */
void mkv_log_timestamp(uint64_t wall_ms, char out[MKV_LOG_TIMESTAMP_BYTES]);
/* Writes the line with its newline and a closing NUL; returns its bytes, the NUL not counted. */
uint32_t mkv_log_line(const struct mkv_log_record *record, enum mkv_config_log_format format,
                      char out[MKV_LOG_LINE_BYTES_MAX + 1]);

#endif
