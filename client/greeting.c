/* SPDX-License-Identifier: Apache-2.0 */
#include "client/greeting.h"

#include <string.h>

#include "client/engine.h"

void mkv_greeting_begin(struct mkv_greeting *greeting, const struct mkv_greeting_options *options) {
    memset(greeting, 0, sizeof *greeting);
    greeting->server = options->server;
    const bool named = strcmp(options->tenant, MKV_TENANT_DEFAULT_NAME) != 0;
    const uint32_t tenant_bytes = named ? (uint32_t)strlen(options->tenant) : 0;
    struct mkv_native_hello hello = {.version_min = MKV_NATIVE_VERSION,
                                     .version_max = MKV_NATIVE_VERSION,
                                     .features = MKV_NATIVE_FEATURE_TRACE};
    _Static_assert(sizeof hello.name == MKV_CLIENT_NAME_BYTES_MAX + 1u, "a name is HELLO's");
    memcpy(hello.name, options->name, strnlen(options->name, MKV_CLIENT_NAME_BYTES_MAX));
    const struct mkv_native_header header = {.op = MKV_NATIVE_HELLO,
                                             .request_id = MKV_GREETING_REQUEST_ID,
                                             .body_bytes = MKV_NATIVE_HELLO_BYTES + tenant_bytes};
    mkv_native_header_encode(&header, greeting->out);
    mkv_native_hello_encode(&hello, greeting->out + MKV_NATIVE_HEADER_BYTES);
    memcpy(greeting->out + MKV_NATIVE_HEADER_BYTES + MKV_NATIVE_HELLO_BYTES, options->tenant,
           tenant_bytes);
    greeting->out_bytes = MKV_NATIVE_HEADER_BYTES + MKV_NATIVE_HELLO_BYTES + tenant_bytes;
}

static enum mkv_greeting_result fail_frame(struct mkv_greeting *greeting,
                                           enum mkv_native_error problem) {
    mkv_client_fail(&greeting->failure, MEMKV_UNAVAILABLE,
                    "server %s: what came is no answer to the greeting: %s; is this the port of "
                    "memkv's native listener?",
                    greeting->server, mkv_native_error_text(problem));
    return MKV_GREETING_FAILED;
}

enum mkv_greeting_result mkv_greeting_frame(struct mkv_greeting *greeting,
                                            const struct mkv_native_header *header,
                                            const uint8_t *body) {
    if ((header->flags & MKV_NATIVE_FLAG_ANSWER) == 0 ||
        (header->op != MKV_NATIVE_HELLO && header->status == MKV_STATUS_OK)) {
        return fail_frame(greeting, MKV_NATIVE_BAD_OP);
    }
    if (header->status != MKV_STATUS_OK) {
        char text[MEMKV_ERROR_TEXT_BYTES];
        mkv_client_text_copy(body, header->body_bytes, text, sizeof text);
        /* Nothing that the caller gave can be wrong here, so "invalid" would blame the caller. */
        const enum memkv_status status = header->status == MKV_STATUS_INVALID
                                             ? MEMKV_UNAVAILABLE
                                             : (enum memkv_status)header->status;
        mkv_client_fail(&greeting->failure, status, "server %s refused the connection: %s",
                        greeting->server, text);
        return MKV_GREETING_FAILED;
    }
    const enum mkv_native_error problem = mkv_native_hello_answer_decode(body, &greeting->limits);
    return problem == MKV_NATIVE_OK ? MKV_GREETING_DONE : fail_frame(greeting, problem);
}
