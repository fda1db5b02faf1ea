/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The text of a trace file in memory, decompressed where the file is one of xz.
 *
 * Invariants
 *  I1  The text is at most MKV_TRACE_TEXT_BYTES_MAX long, whatever the file claims.
 *
 * Not responsible for: what the text says (request_trace.h).
 */
#ifndef MKV_SIM_TRACE_TEXT_FILE_H
#define MKV_SIM_TRACE_TEXT_FILE_H

#include "sim/request_trace.h"

struct mkv_trace_text {
    uint8_t *bytes;
    size_t count;
};

/* Reads the whole file, or says in `error` what is wrong. Released by mkv_trace_text_free. */
bool mkv_trace_text_read(struct mkv_trace_text *text, const char *path,
                         char error[MKV_TRACE_ERROR_BYTES]);
void mkv_trace_text_free(struct mkv_trace_text *text);

#endif
