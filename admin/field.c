/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/field.h"

#include "admin/text.h"

uint64_t mkv_field_count(const json_t *object, const char *name) {
    const json_int_t value = json_integer_value(mkv_field(object, name));
    return value < 0 ? 0 : (uint64_t)value;
}

void mkv_field_text(const json_t *object, const char *name, char target[MKV_FIELD_TEXT_BYTES]) {
    const char *value = json_string_value(mkv_field(object, name));
    mkv_text_clean(value == NULL || value[0] == '\0' ? "-" : value, target, MKV_FIELD_TEXT_BYTES);
}
