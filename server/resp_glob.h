/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Patterns of MATCH and CONFIG GET, as Redis has them: * any bytes, ? one byte, [a-c] one of these,
 * [^a-c] none of these, \x the byte x itself.
 *
 * Invariants
 *  I1  The work is at most pattern bytes times key bytes: a star is gone back to only when it is
 *      the last one met.
 *
 * Not responsible for: where patterns come from.
 */
#ifndef MKV_SERVER_RESP_GLOB_H
#define MKV_SERVER_RESP_GLOB_H

#include "core/base.h"

struct mkv_resp_bytes {
    const uint8_t *bytes;
    uint32_t count;
};

bool mkv_resp_glob_matches(struct mkv_resp_bytes pattern, struct mkv_resp_bytes text,
                           bool ignore_case);
/* Writes what every match begins with to `prefix`, which has room for pattern.count bytes, and
 * returns its size. */
uint32_t mkv_resp_glob_prefix(struct mkv_resp_bytes pattern, uint8_t *prefix);

#endif
