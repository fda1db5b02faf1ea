/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fields to bytes and back, in one walk: a function that names the fields of a structure one after
 * another writes them or reads them, by what the codec is for. So the two can never disagree.
 *
 *   number   7 bits a byte, the lowest first, the top bit set where more follow; at most 10 bytes
 *   raw      the bytes as they are; both sides know how many
 *   blob     number of bytes, bytes
 *   units    of each unit of 4 KiB: number of bytes up to the last that is not 0, and these
 *
 * Invariants
 *  I1  Nothing is written or read outside the bytes that the codec was given.
 *  I2  Once something did not fit, was not there or was too large for its field, `failed` is set,
 *      nothing more is written, and every field that is read is 0.
 *
 * Not responsible for: what the fields mean.
 */
#ifndef MKV_RECORD_CODEC_H
#define MKV_RECORD_CODEC_H

#include "core/base.h"

/* The most bytes that a number takes, and a unit. */
#define MKV_CODEC_NUMBER_BYTES_MAX 10u
#define MKV_CODEC_UNIT_BYTES_MAX (MKV_UNIT_BYTES + 2u)

struct mkv_codec {
    uint8_t *target;       /* NULL: reading */
    const uint8_t *source; /* NULL: writing */
    size_t count;          /* bytes that there are room for, or that there are */
    size_t at;             /* bytes written, or read */
    bool failed;
};

static inline struct mkv_codec mkv_codec_writer(uint8_t *target, size_t count) {
    return (struct mkv_codec){.target = target, .count = count};
}
static inline struct mkv_codec mkv_codec_reader(const uint8_t *source, size_t count) {
    return (struct mkv_codec){.source = source, .count = count};
}
static inline bool mkv_codec_reads(const struct mkv_codec *codec) {
    return codec->target == NULL;
}

void mkv_codec_u64(struct mkv_codec *codec, uint64_t *value);
void mkv_codec_u32(struct mkv_codec *codec, uint32_t *value);
void mkv_codec_bool(struct mkv_codec *codec, bool *value);
void mkv_codec_raw(struct mkv_codec *codec, void *bytes, size_t count);
/* Writes *count bytes from `bytes`, or reads at most `max` into it. */
void mkv_codec_blob(struct mkv_codec *codec, uint8_t *bytes, uint32_t *count, uint32_t max);
/* `units` has room for unit_count units. */
void mkv_codec_units(struct mkv_codec *codec, uint8_t *units, uint32_t unit_count);

/* A field of an enumeration. */
#define MKV_CODEC_ENUM(codec, type, field)                                                         \
    do {                                                                                           \
        uint32_t mkv_codec_value = (uint32_t)(field);                                              \
        mkv_codec_u32(codec, &mkv_codec_value);                                                    \
        (field) = (enum type)mkv_codec_value;                                                      \
    } while (0)

#endif
