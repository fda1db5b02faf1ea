/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the decoders of the native protocol share.
 *
 * Not responsible for: anything outside wire/native*.c.
 */
#ifndef MKV_WIRE_NATIVE_CHECK_H
#define MKV_WIRE_NATIVE_CHECK_H

#include "core/base.h"

/* True when all of `byte_count` bytes are 0. */
static inline bool mkv_native_is_zero(const uint8_t *bytes, size_t byte_count) {
    uint8_t sum = 0;
    for (size_t index = 0; index < byte_count; index++) {
        sum |= bytes[index];
    }
    return sum == 0;
}

#endif
