/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads a trace of requests to a KV cache: text, plain or compressed by xz, a JSON object a line
 * with `timestamp` (milliseconds, never falling) and `hash_ids` (numbers that name blocks of a
 * prefix, in its order). Other members are ignored. It is the form of the traces that came with
 * Mooncake (Qin et al., FAST 2025).
 *
 *   {"timestamp": 27482, "input_length": 6955, "output_length": 52, "hash_ids": [46, 47, 2353]}
 *
 * Invariants
 *  I1  blocks[] numbers the names densely in the order of their first use.
 *  I2  A request names a block at most once; a second naming is refused.
 *
 * Not responsible for: what a cache makes of it (trace_replay.h).
 */
#ifndef MKV_SIM_REQUEST_TRACE_H
#define MKV_SIM_REQUEST_TRACE_H

#include <stdio.h>

#include "core/base.h"

struct mkv_trace_request {
    uint64_t timestamp_ms;
    uint32_t first; /* index into blocks[] */
    uint32_t count;
};

struct mkv_request_trace {
    struct mkv_trace_request *requests;
    uint32_t request_count;
    uint32_t *blocks;
    uint32_t reference_count;
    uint32_t block_count;
};

#define MKV_TRACE_TEXT_BYTES_MAX (1u << 30)
#define MKV_TRACE_REQUESTS_MAX (1u << 24)
#define MKV_TRACE_REFERENCES_MAX (1u << 28)
#define MKV_TRACE_ERROR_BYTES 256u

/* Fills the trace, or says in `error` what is wrong, where, and what to do. A file that opens with
 * the signature of xz is decompressed. mkv_request_trace_free releases the trace either way. */
bool mkv_request_trace_load(struct mkv_request_trace *trace, const char *path,
                            char error[MKV_TRACE_ERROR_BYTES]);
/* The same from text in memory; `name` is for messages. */
bool mkv_request_trace_parse(struct mkv_request_trace *trace, const char *name, const char *text,
                             size_t text_bytes, char error[MKV_TRACE_ERROR_BYTES]);
void mkv_request_trace_free(struct mkv_request_trace *trace);

#endif
