/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The answer to one admin request, before it is sent: an HTTP status and a body.
 *
 * Invariants
 *  I1  A body is allocated with malloc; whoever holds the reply frees it. NULL means that there was
 *      no memory for it.
 *
 * Not responsible for: headers and sending (http.c).
 */
#ifndef MKV_ADMIN_REPLY_H
#define MKV_ADMIN_REPLY_H

#include <jansson.h>

#include "core/base.h"

struct mkv_later;

struct mkv_admin_reply {
    unsigned status;          /* of HTTP */
    const char *content_type; /* constant */
    char *body;
    size_t body_bytes;
    bool close;              /* the connection ends with this answer */
    struct mkv_later *later; /* not NULL: this is no answer yet, it is made there (later.h) */
};

/* The text is copied. */
struct mkv_admin_reply mkv_admin_reply_text(unsigned status, const char *text);
/* Takes the object over. NULL, which jansson gives when it has no memory, is allowed. */
struct mkv_admin_reply mkv_admin_reply_json(unsigned status, json_t *object);

#endif
