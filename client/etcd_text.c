/* SPDX-License-Identifier: Apache-2.0 */
#include "client/etcd_text.h"

#include <stdint.h>
#include <string.h>

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void mkv_etcd_base64(const char *bytes, size_t byte_count, char *out) {
    for (size_t at = 0; at < byte_count; at += 3) {
        uint32_t group = 0;
        for (size_t place = 0; place < 3; place++) {
            group = group << 8 | (at + place < byte_count ? (uint8_t)bytes[at + place] : 0u);
        }
        *out++ = digits[group >> 18];
        *out++ = digits[group >> 12 & 63u];
        *out++ = at + 1 < byte_count ? digits[group >> 6 & 63u] : '=';
        *out++ = at + 2 < byte_count ? digits[group & 63u] : '=';
    }
    *out = '\0';
}

bool mkv_etcd_base64_text(const char *encoded, char *out, size_t out_bytes) {
    const size_t encoded_bytes = strlen(encoded);
    size_t pad_count = 0;
    while (pad_count < 2 && pad_count < encoded_bytes &&
           encoded[encoded_bytes - 1 - pad_count] == '=') {
        pad_count++;
    }
    const size_t byte_count = encoded_bytes / 4 * 3 - (encoded_bytes > 0 ? pad_count : 0);
    if (encoded_bytes % 4 != 0 || byte_count >= out_bytes) {
        return false;
    }
    size_t done = 0;
    uint32_t group = 0;
    for (size_t at = 0; at < encoded_bytes; at++) {
        const bool is_pad = at >= encoded_bytes - pad_count;
        const char *digit = is_pad ? digits : strchr(digits, encoded[at]);
        if (digit == NULL) {
            return false;
        }
        group = group << 6 | (uint32_t)(digit - digits);
        for (uint32_t place = 0; at % 4 == 3 && place < 3 && done < byte_count; place++) {
            out[done++] = (char)(group >> (16u - 8u * place));
        }
    }
    out[byte_count] = '\0';
    return memchr(out, '\0', byte_count) == NULL;
}
