/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A node of the directory's B+tree: one unit that says by itself whose it is, where it belongs, and
 * which keys it holds. A leaf holds keys and where their blocks are; an inner node holds children.
 *
 * A key of the tree is the tenant's id (4 bytes, big endian) and the bytes of the block's key, so
 * that the order of the bytes is the order of (tenant, key). What all keys of a node begin with
 * stands in it once.
 *
 *   offset bytes  field
 *        0     8  magic "MEMKVDN\0"
 *        8     8  checksum: XXH3-64 of bytes 16 .. 4095
 *       16    16  drive uuid
 *       32     8  commit that wrote it, from 1
 *       40     4  page: its own place in the region, in units
 *       44     2  level: 0 leaf
 *       46     2  entry count, at least 1
 *       48     2  prefix bytes p
 *       50     2  heap: offset of the lowest byte in use by an entry, or above it
 *       52     2  bytes in use by entries, all together
 *       54    10  0
 *       64     p  prefix: what every key of the node begins with
 *     64+p   2 n  offsets of the entries, in the order of their keys
 *      ...        free, and what removed entries left
 *     heap   ...  entries
 *
 *   entry of a leaf                       entry of an inner node
 *        0  4  slot                            0  4  page of the child
 *        4  4  generation, low 32 bits         4  4  low 32 bits of the child's checksum
 *        8  2  length in units (bits 0 .. 13)  8  2  0
 *              block flags (bits 14, 15)
 *       10  2  bytes of the key behind the prefix
 *       12  .  the key behind the prefix
 *
 * Invariants
 *  I1  Keys ascend strictly. The key of an inner node's entry i is above every key of the child
 *      before it and not above any of its own child; entry 0 has no key and takes all below entry
 *      1. The prefix is that of the keys that there are.
 *  I2  A child's checksum in its parent, and the parent's in its own, up to the root unit, make an
 *      older content of a page, or one that belongs elsewhere, as visible as a rotten one.
 *  I3  A key of a leaf has 5 to 1028 bytes; a key of an inner node 1 to 1028: it is no longer than
 *      it must be to part two children.
 *  I4  A node that overflows can always be split in two that fit.
 *
 * Not responsible for: where nodes are kept (directory_cache.h), and what follows from a change for
 * other nodes (directory_tree.h).
 */
#ifndef MKV_CORE_DIRECTORY_NODE_H
#define MKV_CORE_DIRECTORY_NODE_H

#include "core/base.h"

#define MKV_DIRECTORY_TENANT_BYTES 4u
#define MKV_DIRECTORY_KEY_BYTES_MIN (MKV_DIRECTORY_TENANT_BYTES + 1u)
#define MKV_DIRECTORY_KEY_BYTES_MAX (MKV_DIRECTORY_TENANT_BYTES + MKV_KEY_BYTES_MAX)
/* Levels of a tree. A node of the longest keys has at least two children; of usual keys a hundred,
 * with which six levels hold more blocks than slot numbers can name. */
#define MKV_DIRECTORY_LEVELS_MAX 12u
/* Bytes of a node that entries, their offsets and the prefix share. */
#define MKV_DIRECTORY_NODE_ROOM (MKV_UNIT_BYTES - 64u)
/* What an entry takes besides the bytes of its key. */
#define MKV_DIRECTORY_ENTRY_BYTES 14u
#define MKV_DIRECTORY_NODE_ENTRIES_MAX (MKV_DIRECTORY_NODE_ROOM / MKV_DIRECTORY_ENTRY_BYTES)

/* A key of the tree: tenant and key, or what parts two nodes. */
struct mkv_directory_key {
    uint32_t bytes;
    uint8_t data[MKV_DIRECTORY_KEY_BYTES_MAX];
};
/* key_bytes is at most MKV_KEY_BYTES_MAX; 0 makes the least key of the tenant. */
void mkv_directory_key_make(struct mkv_directory_key *target, uint32_t tenant, const uint8_t *key,
                            uint32_t key_bytes);
uint32_t mkv_directory_key_tenant(const struct mkv_directory_key *key);
/* Below 0, 0, above 0, as memcmp; of two keys that agree the shorter one is less. */
int mkv_directory_key_compare(const struct mkv_directory_key *a, const struct mkv_directory_key *b);

/* What an entry says. The fields of a leaf, or those of an inner node. */
struct mkv_directory_value {
    struct mkv_slot slot;
    uint32_t generation_low;
    uint32_t length_units;
    uint32_t block_flags; /* MKV_BLOCK_* */
};
struct mkv_directory_child {
    uint32_t page;
    uint32_t checksum_low;
};

/* An empty node. A node without entries is never sealed. */
void mkv_directory_node_begin(uint8_t *unit, uint32_t level);
uint32_t mkv_directory_node_level(const uint8_t *unit);
uint32_t mkv_directory_node_count(const uint8_t *unit);
uint64_t mkv_directory_node_commit(const uint8_t *unit);
/* Bytes of MKV_DIRECTORY_NODE_ROOM in use. */
uint32_t mkv_directory_node_used(const uint8_t *unit);

/* Of a leaf: the first entry that is not below the key; `equal` says whether it is that key. */
uint32_t mkv_directory_node_find(const uint8_t *unit, const struct mkv_directory_key *key,
                                 bool *equal);
/* Of an inner node: the entry whose child takes the key. */
uint32_t mkv_directory_node_find_child(const uint8_t *unit, const struct mkv_directory_key *key);
/* The key of an entry; of an inner node not that of entry 0. */
void mkv_directory_node_key(const uint8_t *unit, uint32_t index, struct mkv_directory_key *key);
struct mkv_directory_value mkv_directory_node_value(const uint8_t *unit, uint32_t index);
void mkv_directory_node_set_value(uint8_t *unit, uint32_t index,
                                  const struct mkv_directory_value *value);
struct mkv_directory_child mkv_directory_node_child(const uint8_t *unit, uint32_t index);
void mkv_directory_node_set_child(uint8_t *unit, uint32_t index,
                                  const struct mkv_directory_child *child);

/* What is put into a node: a key with a value (leaf) or with a child (inner). The key of what
 * becomes entry 0 of an inner node is not looked at, and may be NULL. */
struct mkv_directory_item {
    const struct mkv_directory_key *key;
    struct mkv_directory_value value;
    struct mkv_directory_child child;
};
/* Puts an item at its place `index`. False, and nothing changed, when it does not fit. `scratch` is
 * a unit that the call may overwrite. */
bool mkv_directory_node_insert(uint8_t *unit, uint32_t index, const struct mkv_directory_item *item,
                               uint8_t *scratch);
/* Whether the item would fit; changes nothing. */
bool mkv_directory_node_fits(const uint8_t *unit, uint32_t index,
                             const struct mkv_directory_item *item);
/* Puts in an item that does not fit: the upper part of the entries moves to `right`, a unit of the
 * caller's. `separator` is the key that parts the two. */
void mkv_directory_node_split(uint8_t *unit, uint8_t *right, uint32_t index,
                              const struct mkv_directory_item *item,
                              struct mkv_directory_key *separator, uint8_t *scratch);
/* Takes an entry out. */
void mkv_directory_node_remove(uint8_t *unit, uint32_t index, uint8_t *scratch);
/* Bytes in use by a node that holds both, which lie side by side and are parted by `separator`. */
uint32_t mkv_directory_node_merged_used(const uint8_t *left, const uint8_t *right,
                                        const struct mkv_directory_key *separator);
/* Makes `target`, which is neither of the two, the node that holds both. They must fit. */
void mkv_directory_node_merge(uint8_t *target, const uint8_t *left, const uint8_t *right,
                              const struct mkv_directory_key *separator);

/* Fills in who and where, and the checksum, which it returns. */
uint64_t mkv_directory_node_seal(uint8_t *unit, const struct mkv_uuid *drive_uuid, uint64_t commit,
                                 uint32_t page);
/* Whether the unit is the node that is looked for: sound, of this drive, page and level, with that
 * checksum. Safe on any bytes; everything above is safe on what passed. */
bool mkv_directory_node_sound(const uint8_t *unit, const struct mkv_uuid *drive_uuid, uint32_t page,
                              uint32_t level, uint32_t checksum_low);

#endif
