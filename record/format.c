/* SPDX-License-Identifier: Apache-2.0 */
#include "record/format.h"

#include <string.h>

#include "core/bytes.h"
#include "core/hash.h"

#define HEADER_VERSION 8u
#define HEADER_CORE 16u
#define HEADER_PROGRAM 80u
#define HEADER_WALL 112u
#define HEADER_SUM 120u

#define CHUNK_MAGIC 0x4b4e4843u /* "CHNK" */
#define CHUNK_BODY_BYTES 4u
#define CHUNK_NUMBER 8u
#define CHUNK_BODY_SUM 16u
#define CHUNK_SUM 24u

_Static_assert(HEADER_CORE + MKV_RECORD_CORE_BYTES == HEADER_PROGRAM, "drawing of format.h");
_Static_assert(HEADER_PROGRAM + MKV_RECORD_PROGRAM_BYTES == HEADER_WALL, "drawing of format.h");
_Static_assert(HEADER_SUM + 8 == MKV_RECORD_HEADER_BYTES, "drawing of format.h");

/* Up to `count` characters of the text. */
static void store_text(uint8_t *target, const char *text, size_t count) {
    for (size_t index = 0; index < count && text[index] != 0; index++) {
        target[index] = (uint8_t)text[index];
    }
}

void mkv_record_header_encode(const struct mkv_record_header *header,
                              uint8_t bytes[MKV_RECORD_HEADER_BYTES]) {
    memset(bytes, 0, MKV_RECORD_HEADER_BYTES);
    memcpy(bytes, MKV_RECORD_MAGIC, MKV_RECORD_MAGIC_BYTES);
    mkv_store_u32(bytes + HEADER_VERSION, MKV_RECORD_VERSION);
    store_text(bytes + HEADER_CORE, header->core, MKV_RECORD_CORE_BYTES);
    store_text(bytes + HEADER_PROGRAM, header->program, MKV_RECORD_PROGRAM_BYTES);
    mkv_store_u64(bytes + HEADER_WALL, header->wall_ms);
    mkv_store_u64(bytes + HEADER_SUM, mkv_hash_64(bytes, HEADER_SUM));
}

enum mkv_record_header_fault mkv_record_header_decode(const uint8_t bytes[MKV_RECORD_HEADER_BYTES],
                                                      struct mkv_record_header *header,
                                                      uint32_t *version) {
    memset(header, 0, sizeof *header);
    if (memcmp(bytes, MKV_RECORD_MAGIC, MKV_RECORD_MAGIC_BYTES) != 0) {
        return MKV_RECORD_HEADER_OTHER;
    }
    *version = mkv_load_u32(bytes + HEADER_VERSION);
    if (*version != MKV_RECORD_VERSION) {
        return MKV_RECORD_HEADER_VERSION;
    }
    if (mkv_load_u64(bytes + HEADER_SUM) != mkv_hash_64(bytes, HEADER_SUM)) {
        return MKV_RECORD_HEADER_DAMAGED;
    }
    memcpy(header->core, bytes + HEADER_CORE, MKV_RECORD_CORE_BYTES);
    memcpy(header->program, bytes + HEADER_PROGRAM, MKV_RECORD_PROGRAM_BYTES);
    header->wall_ms = mkv_load_u64(bytes + HEADER_WALL);
    return MKV_RECORD_HEADER_GOOD;
}

void mkv_record_chunk_seal(uint8_t *chunk, uint32_t body_bytes, uint64_t number) {
    MKV_ASSERT(body_bytes >= 1);
    MKV_ASSERT(body_bytes <= MKV_RECORD_BODY_BYTES_MAX);
    mkv_store_u32(chunk, CHUNK_MAGIC);
    mkv_store_u32(chunk + CHUNK_BODY_BYTES, body_bytes);
    mkv_store_u64(chunk + CHUNK_NUMBER, number);
    mkv_store_u64(chunk + CHUNK_BODY_SUM,
                  mkv_hash_64(chunk + MKV_RECORD_CHUNK_HEADER_BYTES, body_bytes));
    mkv_store_u64(chunk + CHUNK_SUM, mkv_hash_64(chunk, CHUNK_SUM));
}

uint32_t mkv_record_chunk_open(const uint8_t *chunk, size_t count, uint64_t number, bool *damaged) {
    *damaged = false;
    if (count < MKV_RECORD_CHUNK_HEADER_BYTES) {
        return 0;
    }
    const uint32_t body_bytes = mkv_load_u32(chunk + CHUNK_BODY_BYTES);
    /* First the header's own sum: a length that is not what it was would look like a cut. */
    *damaged = mkv_load_u32(chunk) != CHUNK_MAGIC ||
               mkv_load_u64(chunk + CHUNK_SUM) != mkv_hash_64(chunk, CHUNK_SUM) ||
               mkv_load_u64(chunk + CHUNK_NUMBER) != number || body_bytes < 1 ||
               body_bytes > MKV_RECORD_BODY_BYTES_MAX;
    if (*damaged || count - MKV_RECORD_CHUNK_HEADER_BYTES < body_bytes) {
        return 0;
    }
    *damaged = mkv_load_u64(chunk + CHUNK_BODY_SUM) !=
               mkv_hash_64(chunk + MKV_RECORD_CHUNK_HEADER_BYTES, body_bytes);
    return *damaged ? 0 : body_bytes;
}
