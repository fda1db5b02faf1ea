/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/reply.h"

#include <string.h>

struct mkv_admin_reply mkv_admin_reply_text(unsigned status, const char *text) {
    return (struct mkv_admin_reply){
        .status = status,
        .content_type = "text/plain; charset=utf-8",
        .body = strdup(text),
        .body_bytes = strlen(text),
    };
}

struct mkv_admin_reply mkv_admin_reply_json(unsigned status, json_t *object) {
    char *body = object == NULL ? NULL : json_dumps(object, JSON_COMPACT | JSON_REAL_PRECISION(15));
    json_decref(object);
    return (struct mkv_admin_reply){
        .status = status,
        .content_type = "application/json",
        .body = body,
        .body_bytes = body == NULL ? 0 : strlen(body),
    };
}
