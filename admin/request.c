/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/request.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "admin/text.h"

#define MESSAGE_BYTES 768u
/* No bound has more, so that nothing can wrap. */
#define DIGITS_MAX 18u

const char *mkv_admin_request_parameter(const struct mkv_admin_request *request, const char *name) {
    MKV_ASSERT(request->parameter_count <= MKV_ADMIN_PARAMETERS_MAX);
    for (uint32_t index = 0; index < request->parameter_count; index++) {
        if (strcmp(request->parameters[index].name, name) == 0) {
            return request->parameters[index].value;
        }
    }
    return NULL;
}

bool mkv_admin_request_number(const struct mkv_admin_request *request, const char *name,
                              uint64_t min, uint64_t max, uint64_t otherwise, uint64_t *out) {
    const char *text = mkv_admin_request_parameter(request, name);
    if (text == NULL) {
        *out = otherwise;
        return true;
    }
    const size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > DIGITS_MAX || text[digits] != '\0') {
        return false;
    }
    uint64_t number = 0;
    for (size_t index = 0; index < digits; index++) {
        number = number * 10 + (uint64_t)(text[index] - '0');
    }
    *out = number;
    return number >= min && number <= max;
}

const struct mkv_admin_snapshot *mkv_admin_request_snapshot(
    const struct mkv_admin_request *request) {
    MKV_ASSERT(request->snapshot != NULL);
    memset(request->snapshot, 0, sizeof *request->snapshot);
    request->provider->snapshot(request->provider->context, request->snapshot);
    return request->snapshot;
}

struct mkv_admin_reply mkv_admin_refuse(unsigned status, const char *format, ...) {
    char message[MESSAGE_BYTES];
    char shown[MESSAGE_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    mkv_text_clean(message, shown, sizeof shown);
    return mkv_admin_reply_json(status, json_pack("{s:s}", "error", shown));
}
