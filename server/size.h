/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sizes as people write them: a whole number and a binary unit, `64GiB`, or plain bytes.
 *
 *     size   = digits [ spaces ] [ unit ]
 *     unit   = "B" | "KiB" | "MiB" | "GiB" | "TiB"
 *
 * Invariants
 *  I1  What mkv_size_format writes, mkv_size_parse reads back as the same number.
 *  I2  A unit has one meaning: KB, MB, GB, TB, which some read as powers of ten, are refused with
 *      the unit to use, and so is a fraction, which might not be a whole number of bytes.
 *  I3  Parsing never wraps: a size is exact or refused.
 *
 * Not responsible for: which sizes a setting allows (config_schema.h).
 */
#ifndef MKV_SERVER_SIZE_H
#define MKV_SERVER_SIZE_H

#include "core/base.h"

enum mkv_size_problem {
    MKV_SIZE_OK = 0,
    MKV_SIZE_NOT_A_SIZE,
    MKV_SIZE_NEGATIVE,
    MKV_SIZE_FRACTION,
    MKV_SIZE_UNIT_DECIMAL, /* KB, K, kib and their like: the power is known, the unit is not ours */
    MKV_SIZE_UNIT_UNKNOWN,
    MKV_SIZE_OVERFLOW,
};

/* Room for the longest text of mkv_size_format, 20 digits, a unit and the closing NUL. */
#define MKV_SIZE_TEXT_BYTES 24u
/* Room for the longest text of mkv_size_explain. */
#define MKV_SIZE_EXPLANATION_BYTES 128u

/* Reads `text`, to its closing NUL, as a size. `bytes_out` is written only with MKV_SIZE_OK. */
__attribute__((warn_unused_result)) enum mkv_size_problem mkv_size_parse(const char *text,
                                                                         uint64_t *bytes_out);

/*
 * Says what is wrong with `text` and what to write instead, as the rest of a sentence that begins
 * with the quoted text: "is not a size; use …". `problem` is what mkv_size_parse gave for it.
 */
void mkv_size_explain(enum mkv_size_problem problem, const char *text,
                      char out[MKV_SIZE_EXPLANATION_BYTES]);

/* Writes the size exactly, in the largest unit that divides it: 1536MiB, 5B, 0B. */
void mkv_size_format(uint64_t bytes, char out[MKV_SIZE_TEXT_BYTES]);

#endif
