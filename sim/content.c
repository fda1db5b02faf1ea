/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/content.h"

#include <string.h>

#include "core/bytes.h"
#include "core/hash.h"
#include "sim/random.h"

#define WORD_STEP 0x9e3779b97f4a7c15ull
#define COLLIDING_KEY_BYTES 32u
#define SHORT_KEY_BYTES 5u
#define USUAL_KEY_BYTES 24u
/* The one version that may be empty, and the least length of all others: a whole word, which no
 * other version has. */
#define EMPTY_VERSION 2u
#define LENGTH_MIN 8u

/* The first 8 bytes of XXH3's default secret, which a key has to start with to cancel the next 8.
 * The seed of tenant 0 is 0 and adds nothing to them. */
static const uint8_t secret_start[8] = {0xb8, 0xfe, 0x6c, 0x39, 0x23, 0xa4, 0x4b, 0xbe};

static void make_key(struct mkv_content_key *key, uint64_t salt, uint32_t index, bool collides,
                     uint32_t key_bytes_max) {
    memset(key->bytes, 'k', sizeof key->bytes);
    if (collides) {
        key->byte_count = COLLIDING_KEY_BYTES;
        memcpy(key->bytes, secret_start, sizeof secret_start);
        mkv_store_u32(key->bytes + sizeof secret_start, index);
        mkv_store_u64(key->bytes + 2 * sizeof secret_start, salt);
    } else {
        /* Every length of key takes another way through the hash, and through the header. */
        key->byte_count = index % 8 == 7   ? key_bytes_max
                          : index % 4 == 1 ? SHORT_KEY_BYTES
                                           : USUAL_KEY_BYTES;
        mkv_store_u32(key->bytes + 1, index);
    }
    key->tag = mkv_key_tag(MKV_TENANT_DEFAULT, key->bytes, key->byte_count);
}

void mkv_content_init(struct mkv_content *content, struct mkv_memory *memory, uint64_t salt,
                      uint32_t key_count, uint32_t colliding, uint32_t key_bytes_max,
                      uint32_t length_max) {
    MKV_ASSERT(key_count <= MKV_CONTENT_KEYS_MAX);
    MKV_ASSERT(colliding <= key_count);
    content->salt = salt;
    content->key_count = key_count;
    content->length_max = length_max;
    content->keys = mkv_memory_take(memory, key_count * sizeof *content->keys, 64);
    for (uint32_t index = 0; index < key_count; index++) {
        make_key(&content->keys[index], salt, index, index < colliding, key_bytes_max);
        MKV_ASSERT(index == 0 || index >= colliding ||
                   content->keys[index].tag == content->keys[0].tag);
    }
}

void mkv_content_lengthen(struct mkv_content *content, uint32_t key_bytes_max) {
    for (uint32_t index = 0; index < content->key_count; index++) {
        struct mkv_content_key *key = &content->keys[index];
        const uint64_t draw = mkv_random_mix(content->salt + index);
        key->byte_count = key_bytes_max - (uint32_t)(draw % (key_bytes_max / 3));
        /* Some begin alike for long, others not at all. */
        const uint32_t at = (uint32_t)(draw >> 32) % 2 * (key->byte_count / 2);
        memset(key->bytes, 'k', sizeof key->bytes);
        mkv_store_u32(key->bytes + at, index);
        key->tag = mkv_key_tag(MKV_TENANT_DEFAULT, key->bytes, key->byte_count);
    }
}

uint32_t mkv_content_find(const struct mkv_content *content, const uint8_t *key,
                          uint32_t key_bytes) {
    for (uint32_t index = 0; index < content->key_count; index++) {
        const struct mkv_content_key *own = &content->keys[index];
        if (own->byte_count == key_bytes && memcmp(own->bytes, key, key_bytes) == 0) {
            return index;
        }
    }
    return MKV_NONE_U32;
}

static uint64_t base_of(const struct mkv_content *content, uint32_t key, uint32_t version) {
    return mkv_random_mix(content->salt + ((uint64_t)key << 32) + version);
}

uint32_t mkv_content_length(const struct mkv_content *content, uint32_t key, uint32_t version) {
    MKV_ASSERT(version > 0);
    const uint64_t draw = mkv_random_mix(base_of(content, key, version) + 1);
    const uint32_t units_max = content->length_max / MKV_UNIT_BYTES;
    const uint32_t units = 1 + (uint32_t)((draw >> 8) % mkv_max_u64(units_max, 1));
    uint64_t length = 0;
    if (version == EMPTY_VERSION && draw % 4 == 0) {
        return 0;
    }
    switch (draw % 16) {
    case 1: /* the edges of what fits the header unit */
        length = MKV_INLINE_BYTES_MAX - 1 + (draw >> 40) % 3;
        break;
    case 2:
        length = LENGTH_MIN + (draw >> 40) % (MKV_INLINE_BYTES_MAX - LENGTH_MIN);
        break;
    case 0: /* whole units */
    case 3:
    case 4:
    case 5:
        length = (uint64_t)units * MKV_UNIT_BYTES;
        break;
    case 6: /* one byte more or less */
        length = (uint64_t)units * MKV_UNIT_BYTES - 1 + ((draw >> 40) & 2);
        break;
    default: /* mostly a single unit behind the header, which is the smallest that can tear */
        length = MKV_INLINE_BYTES_MAX + 1 + (draw >> 40) % MKV_INLINE_BYTES_MAX;
        break;
    }
    return (uint32_t)mkv_min_u64(length, content->length_max);
}

static uint64_t word_of(uint64_t base, uint64_t index) {
    return base + index * WORD_STEP;
}

static uint8_t byte_of(uint64_t base, uint64_t offset) {
    return (uint8_t)(word_of(base, offset / 8) >> (offset % 8 * 8));
}

void mkv_content_fill(const struct mkv_content *content, uint32_t key, uint32_t version,
                      uint64_t offset, uint8_t *target, size_t byte_count) {
    const uint64_t base = base_of(content, key, version);
    size_t done = 0;
    for (; done < byte_count && (offset + done) % 8 != 0; done++) {
        target[done] = byte_of(base, offset + done);
    }
    uint64_t word = word_of(base, (offset + done) / 8);
    for (; byte_count - done >= 8; done += 8) {
        mkv_store_u64(target + done, word);
        word += WORD_STEP;
    }
    for (; done < byte_count; done++) {
        target[done] = byte_of(base, offset + done);
    }
}

bool mkv_content_equal(const struct mkv_content *content, uint32_t key, uint32_t version,
                       uint64_t offset, const uint8_t *bytes, size_t byte_count) {
    const uint64_t base = base_of(content, key, version);
    uint64_t difference = 0;
    size_t done = 0;
    for (; done < byte_count && (offset + done) % 8 != 0; done++) {
        difference |= (uint64_t)(bytes[done] ^ byte_of(base, offset + done));
    }
    uint64_t word = word_of(base, (offset + done) / 8);
    for (; byte_count - done >= 8; done += 8) {
        difference |= mkv_load_u64(bytes + done) ^ word;
        word += WORD_STEP;
    }
    for (; done < byte_count; done++) {
        difference |= (uint64_t)(bytes[done] ^ byte_of(base, offset + done));
    }
    return difference == 0;
}
