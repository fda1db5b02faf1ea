/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Little-endian loads and stores at byte addresses: the only way structures get to and from
 * drives and wires, field by field, so that no padding and no byte order of a host ever does.
 *
 * Not responsible for: bounds. The caller has checked them.
 */
#ifndef MKV_CORE_BYTES_H
#define MKV_CORE_BYTES_H

#include <stdint.h>
#include <string.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "memkv runs on little-endian hosts"
#endif

static inline uint16_t mkv_load_u16(const uint8_t *source) {
    uint16_t value;
    memcpy(&value, source, sizeof value);
    return value;
}
static inline uint32_t mkv_load_u32(const uint8_t *source) {
    uint32_t value;
    memcpy(&value, source, sizeof value);
    return value;
}
static inline uint64_t mkv_load_u64(const uint8_t *source) {
    uint64_t value;
    memcpy(&value, source, sizeof value);
    return value;
}
static inline void mkv_store_u16(uint8_t *target, uint16_t value) {
    memcpy(target, &value, sizeof value);
}
static inline void mkv_store_u32(uint8_t *target, uint32_t value) {
    memcpy(target, &value, sizeof value);
}
static inline void mkv_store_u64(uint8_t *target, uint64_t value) {
    memcpy(target, &value, sizeof value);
}

#endif
