/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fields of an answer of the admin listener, for those who show it to people. The answer is another
 * machine's: it may lack anything, and what it has may be of another kind or no UTF-8.
 */
#ifndef MKV_ADMIN_FIELD_H
#define MKV_ADMIN_FIELD_H

#include <jansson.h>

#include "core/base.h"

/* Texts are shown up to this size, the closing NUL included. */
#define MKV_FIELD_TEXT_BYTES 512u

/* The field, which belongs to the object; NULL: there is none, or `object` is none. */
static inline const json_t *mkv_field(const json_t *object, const char *name) {
    return json_object_get(object, name);
}
/* A whole number; 0 where there is none, or one below 0. */
uint64_t mkv_field_count(const json_t *object, const char *name);
/* The text of the field as mkv_text_clean leaves it; "-" where there is none, or an empty one. */
void mkv_field_text(const json_t *object, const char *name, char target[MKV_FIELD_TEXT_BYTES]);

#endif
