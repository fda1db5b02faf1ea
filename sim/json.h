/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing JSON: commas, quotes and escapes, so that callers only name values.
 *
 * Not responsible for: reading it, nor for layout: everything stands on one line.
 */
#ifndef MKV_SIM_JSON_H
#define MKV_SIM_JSON_H

#include <stdio.h>

#include "core/base.h"

struct mkv_json {
    FILE *out;
    bool comma; /* a value stands before the next one */
};

/* `name` is NULL within a list and at the top. `bracket` is '{' or '['. */
void mkv_json_open(struct mkv_json *json, const char *name, char bracket);
void mkv_json_close(struct mkv_json *json, char bracket);
void mkv_json_text(struct mkv_json *json, const char *name, const char *text);
void mkv_json_u64(struct mkv_json *json, const char *name, uint64_t value);
/* As a string of 16 hexadecimal digits: readers of JSON round numbers above 2^53. */
void mkv_json_hex(struct mkv_json *json, const char *name, uint64_t value);
void mkv_json_bool(struct mkv_json *json, const char *name, bool value);
/* With three decimals. */
void mkv_json_number(struct mkv_json *json, const char *name, double value);

#endif
