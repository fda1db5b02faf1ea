/* SPDX-License-Identifier: Apache-2.0 */
#include "record/codec.h"

#include <string.h>

/* Whether `count` bytes more are there; fails the codec if not. */
static bool has(struct mkv_codec *codec, size_t count) {
    if (codec->failed || codec->count - codec->at < count) {
        codec->failed = true;
        return false;
    }
    return true;
}

static void write_number(struct mkv_codec *codec, uint64_t value) {
    uint8_t bytes[MKV_CODEC_NUMBER_BYTES_MAX];
    size_t count = 0;
    for (; value >= 0x80; value >>= 7) {
        bytes[count++] = (uint8_t)(value | 0x80);
    }
    bytes[count++] = (uint8_t)value;
    mkv_codec_raw(codec, bytes, count);
}

static uint64_t read_number(struct mkv_codec *codec) {
    uint64_t value = 0;
    for (uint32_t index = 0; index < MKV_CODEC_NUMBER_BYTES_MAX; index++) {
        uint8_t byte = 0;
        mkv_codec_raw(codec, &byte, 1);
        const uint64_t bits = byte & 0x7fu;
        if (codec->failed || (index == MKV_CODEC_NUMBER_BYTES_MAX - 1 && bits > 1)) {
            break;
        }
        value |= bits << (7 * index);
        if (byte < 0x80) {
            return value;
        }
    }
    codec->failed = true;
    return 0;
}

void mkv_codec_u64(struct mkv_codec *codec, uint64_t *value) {
    if (mkv_codec_reads(codec)) {
        *value = read_number(codec);
    } else {
        write_number(codec, *value);
    }
}

void mkv_codec_u32(struct mkv_codec *codec, uint32_t *value) {
    uint64_t wide = *value;
    mkv_codec_u64(codec, &wide);
    if (wide > UINT32_MAX) {
        codec->failed = true;
        wide = 0;
    }
    *value = (uint32_t)wide;
}

void mkv_codec_bool(struct mkv_codec *codec, bool *value) {
    uint32_t number = *value ? 1 : 0;
    mkv_codec_u32(codec, &number);
    if (number > 1) {
        codec->failed = true;
        number = 0;
    }
    *value = number == 1;
}

void mkv_codec_raw(struct mkv_codec *codec, void *bytes, size_t count) {
    if (!has(codec, count)) {
        if (mkv_codec_reads(codec)) {
            memset(bytes, 0, count);
        }
        return;
    }
    if (mkv_codec_reads(codec)) {
        memcpy(bytes, codec->source + codec->at, count);
    } else {
        memcpy(codec->target + codec->at, bytes, count);
    }
    codec->at += count;
}

void mkv_codec_blob(struct mkv_codec *codec, uint8_t *bytes, uint32_t *count, uint32_t max) {
    mkv_codec_u32(codec, count);
    if (*count > max) {
        codec->failed = true;
        *count = 0;
    }
    if (*count > 0) {
        mkv_codec_raw(codec, bytes, *count);
    }
}

/* Bytes up to the last one that is not 0. */
static uint32_t used_bytes(const uint8_t *unit) {
    static const uint8_t zeroes[64];
    uint32_t count = MKV_UNIT_BYTES;
    while (count > 0 && memcmp(unit + count - sizeof zeroes, zeroes, sizeof zeroes) == 0) {
        count -= (uint32_t)sizeof zeroes;
    }
    while (count > 0 && unit[count - 1] == 0) {
        count--;
    }
    return count;
}

void mkv_codec_units(struct mkv_codec *codec, uint8_t *units, uint32_t unit_count) {
    for (uint32_t index = 0; index < unit_count && !codec->failed; index++) {
        uint8_t *unit = units + (size_t)index * MKV_UNIT_BYTES;
        uint32_t count = mkv_codec_reads(codec) ? 0 : used_bytes(unit);
        mkv_codec_blob(codec, unit, &count, MKV_UNIT_BYTES);
        if (mkv_codec_reads(codec)) {
            memset(unit + count, 0, MKV_UNIT_BYTES - count);
        }
    }
}
