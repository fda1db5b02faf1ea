/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between libmemkv and libmemkv_otel.so, which sends spans to a collector and is loaded when
 * somebody asks for that: whoever does not has neither its code nor protobuf-c in the process.
 *
 *   exporter.c (libmemkv)  ──dlopen, dlsym MKV_OTEL_SYMBOL──▶  otel_module.c (libmemkv_otel.so)
 *                            start ▶ span, span, … ▶ stop
 *
 * Invariants
 *  I1  Both are of one release: `version` is MKV_VERSION of each.
 *  I2  span never waits: one that has no room is dropped, and counted.
 *
 * Not responsible for: which spans there are (exporter.c).
 */
#ifndef MKV_CLIENT_OTEL_H
#define MKV_CLIENT_OTEL_H

#include <stdbool.h>
#include <stdint.h>

#define MKV_OTEL_LIBRARY "libmemkv_otel.so"
#define MKV_OTEL_SYMBOL "mkv_otel_module"
#define MKV_OTEL_PROBLEM_BYTES 200u

/* A call of the client. Its texts are read before `span` returns, but for constant ones. */
struct mkv_otel_span {
    uint8_t trace_id[16];
    uint8_t span_id[8];
    uint8_t parent_id[8]; /* 0: it begins the trace */
    const char *name;     /* constant, as are `status` and `error` */
    const char *status;
    const char *error; /* NULL: nothing went wrong */
    uint64_t start_ns; /* Unix time */
    uint64_t end_ns;
    uint64_t item_count;
    uint64_t found_count;
    uint64_t value_bytes;
    uint64_t server_count;
    const char *server; /* the one that was asked; NULL: several, or none */
    const char *tenant;
};

struct mkv_otel_exporter;

struct mkv_otel_ops {
    const char *version;
    /* NULL: `problem` says why. The name of the client, which is copied, tells its spans from
     * others. */
    struct mkv_otel_exporter *(*start)(const char *endpoint, const char *client_name,
                                       char problem[MKV_OTEL_PROBLEM_BYTES]);
    /* On one thread at a time. */
    void (*span)(struct mkv_otel_exporter *exporter, const struct mkv_otel_span *span);
    /* Delivers what it can, for four seconds at most, and ends. */
    void (*stop)(struct mkv_otel_exporter *exporter);
};

#endif
