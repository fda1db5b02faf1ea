/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An event of telemetry: an operation has started, or ended. A plain record of a fixed size that a
 * shard fills in without calling anybody, and what it looks like to people and to programs.
 *
 *   line  Telemetry: lookup START session=req-17-4 ts=12345.678 metadata={"keys":8}
 *   json  {"name":"lookup","event_type":"START","session_id":"req-17-4",
 *          "timestamp":12345.678901234,"time":"2026-11-21T09:00:00.123Z",
 *          "metadata":{"keys":8}}                                         (on one line)
 *
 * Invariants
 *  I1  Names and texts are constants of the program or of the configuration: they outlive every
 *      event, and none needs escaping in JSON but for '"' and '\'.
 *  I2  Metadata is flat.
 *
 * Not responsible for: which events there are (server/request_events.h).
 */
#ifndef MKV_ADMIN_TELEMETRY_EVENT_H
#define MKV_ADMIN_TELEMETRY_EVENT_H

#include "core/io.h"

#define MKV_TELEMETRY_VALUES_MAX 12u
/* Of a name and of a text; what is longer is cut. */
#define MKV_TELEMETRY_WORD_BYTES_MAX 64u
/* Room for an event in either form. */
#define MKV_TELEMETRY_TEXT_BYTES (256u + MKV_TELEMETRY_VALUES_MAX * 272u)

enum mkv_telemetry_kind {
    MKV_TELEMETRY_START = 0,
    MKV_TELEMETRY_END,
};

enum mkv_telemetry_type {
    MKV_TELEMETRY_INTEGER = 0,
    MKV_TELEMETRY_FLOAT,
    MKV_TELEMETRY_BOOL,
    MKV_TELEMETRY_STRING,
};

struct mkv_telemetry_value {
    const char *name;
    enum mkv_telemetry_type type;
    union {
        uint64_t integer;
        double real;
        bool truth;
        const char *string;
    };
};

struct mkv_telemetry_event {
    const char *name; /* "lookup" */
    enum mkv_telemetry_kind kind;
    uint32_t value_count;
    /* What the pair has in common and no other: of the request. */
    uint64_t serial;
    struct mkv_connection_id connection;
    uint64_t monotonic_ns;
    uint64_t wall_ms;
    struct mkv_telemetry_value values[MKV_TELEMETRY_VALUES_MAX];
};

/* These add a value; there must be room. */
void mkv_telemetry_integer(struct mkv_telemetry_event *event, const char *name, uint64_t value);
void mkv_telemetry_float(struct mkv_telemetry_event *event, const char *name, double value);
void mkv_telemetry_bool(struct mkv_telemetry_event *event, const char *name, bool value);
void mkv_telemetry_string(struct mkv_telemetry_event *event, const char *name, const char *value);

#define MKV_TELEMETRY_SESSION_BYTES 48u
/* "req-17-4": the seventeenth request of the node's life, on connection 4. */
void mkv_telemetry_session(uint64_t serial, struct mkv_connection_id connection,
                           char out[MKV_TELEMETRY_SESSION_BYTES]);

/* Without a newline, with a closing NUL; return the bytes. */
uint32_t mkv_telemetry_line(const struct mkv_telemetry_event *event,
                            char out[MKV_TELEMETRY_TEXT_BYTES]);
uint32_t mkv_telemetry_json(const struct mkv_telemetry_event *event,
                            char out[MKV_TELEMETRY_TEXT_BYTES]);

#endif
