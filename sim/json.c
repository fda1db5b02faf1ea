/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/json.h"

static void quote(FILE *out, const char *text) {
    fputc('"', out);
    for (; *text != 0; text++) {
        const unsigned char byte = (unsigned char)*text;
        if (byte == '"' || byte == '\\') {
            fputc('\\', out);
            fputc(byte, out);
        } else if (byte < 0x20) {
            fprintf(out, "\\u%04x", byte);
        } else {
            fputc(byte, out);
        }
    }
    fputc('"', out);
}

static void start(struct mkv_json *json, const char *name) {
    if (json->comma) {
        fputs(", ", json->out);
    }
    json->comma = true;
    if (name != NULL) {
        quote(json->out, name);
        fputs(": ", json->out);
    }
}

void mkv_json_open(struct mkv_json *json, const char *name, char bracket) {
    start(json, name);
    fputc(bracket, json->out);
    json->comma = false;
}

void mkv_json_close(struct mkv_json *json, char bracket) {
    fputc(bracket, json->out);
    json->comma = true;
}

void mkv_json_text(struct mkv_json *json, const char *name, const char *text) {
    start(json, name);
    quote(json->out, text);
}

void mkv_json_u64(struct mkv_json *json, const char *name, uint64_t value) {
    start(json, name);
    fprintf(json->out, "%llu", (unsigned long long)value);
}

void mkv_json_hex(struct mkv_json *json, const char *name, uint64_t value) {
    start(json, name);
    fprintf(json->out, "\"%016llx\"", (unsigned long long)value);
}

void mkv_json_bool(struct mkv_json *json, const char *name, bool value) {
    start(json, name);
    fputs(value ? "true" : "false", json->out);
}

void mkv_json_number(struct mkv_json *json, const char *name, double value) {
    start(json, name);
    fprintf(json->out, "%.3f", value);
}
