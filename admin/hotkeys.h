/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keys that are asked for most: a sketch counts all keys, and those with the highest estimates
 * are kept by name. One thread counts; others copy the list meanwhile.
 *
 *   key --hash--> sketch --estimate--> is it kept?  yes: it takes the estimate, and one hit more
 *                                                   no, and above the lowest kept: takes its place
 *
 * Invariants
 *  I1  count - error <= how often the key was seen <= count, both halved as often as the sketch
 *      was. `count` is the sketch's estimate, and count - error the times since the key was kept.
 *  I2  A key that was seen more often than all kept keys' lowest count is kept. That is below
 *      total / MKV_HOTKEYS_KEPT + what the sketch is above the truth.
 *  I3  The heap has the lowest count on top; the table finds every kept key by its hash.
 *
 * Not responsible for: which accesses count.
 */
#ifndef MKV_ADMIN_HOTKEYS_H
#define MKV_ADMIN_HOTKEYS_H

#include "admin/sketch.h"

#define MKV_HOTKEYS_KEPT 256u
/* Of a key, that are kept; the rest of a longer one is not told. */
#define MKV_HOTKEY_KEY_BYTES 128u

struct mkv_hotkey {
    uint64_t count;
    uint64_t error;
    struct mkv_root hash; /* of tenant and key */
    uint32_t tenant;
    uint32_t key_bytes; /* of the whole key */
    uint8_t key[MKV_HOTKEY_KEY_BYTES];
};

struct mkv_hotkeys;

/* `columns` of the sketch: see mkv_sketch_columns_are_valid. NULL when there is no memory. */
struct mkv_hotkeys *mkv_hotkeys_create(uint32_t columns);
void mkv_hotkeys_destroy(struct mkv_hotkeys *hotkeys);
void mkv_hotkeys_count(struct mkv_hotkeys *hotkeys, uint32_t tenant, const uint8_t *key,
                       uint32_t key_bytes);
/* Halves what was counted: so old heat cools down. */
void mkv_hotkeys_halve(struct mkv_hotkeys *hotkeys);

/* ---- from any thread ------------------------------------------------------------------------- */

/* Copies the hottest, hottest first; returns how many, at most `max`. */
uint32_t mkv_hotkeys_copy(const struct mkv_hotkeys *hotkeys, struct mkv_hotkey *out, uint32_t max);
/* Accesses counted, and halvings, since it was made. */
uint64_t mkv_hotkeys_counted(const struct mkv_hotkeys *hotkeys);
uint64_t mkv_hotkeys_halvings(const struct mkv_hotkeys *hotkeys);

#endif
