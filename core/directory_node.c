/* SPDX-License-Identifier: Apache-2.0 */
#include "core/directory_node.h"

#include <string.h>

#include "core/bytes.h"
#include "core/hash.h"

enum {
    AT_MAGIC = 0,
    AT_CHECKSUM = 8,
    AT_CHECKED = 16,
    AT_DRIVE_UUID = 16,
    AT_COMMIT = 32,
    AT_PAGE = 40,
    AT_LEVEL = 44,
    AT_COUNT = 46,
    AT_PREFIX_BYTES = 48,
    AT_HEAP = 50,
    AT_ENTRIES_BYTES = 52,
    AT_ZERO = 54,
    AT_PREFIX = 64,

    ENTRY_AT_SLOT = 0,
    ENTRY_AT_GENERATION_LOW = 4,
    ENTRY_AT_LENGTH_FLAGS = 8,
    ENTRY_AT_PAGE = 0,
    ENTRY_AT_CHECKSUM_LOW = 4,
    ENTRY_AT_ZERO = 8,
    ENTRY_AT_SUFFIX_BYTES = 10,
    ENTRY_AT_SUFFIX = 12,
    PAYLOAD_BYTES = 10,
    OFFSET_BYTES = 2,
};

#define LENGTH_FLAGS_SHIFT 14u
#define LENGTH_UNITS_MASK ((1u << LENGTH_FLAGS_SHIFT) - 1u)
#define LENGTH_UNITS_MAX (MKV_BLOCK_BYTES_MAX / MKV_UNIT_BYTES)

_Static_assert(ENTRY_AT_SUFFIX + OFFSET_BYTES == MKV_DIRECTORY_ENTRY_BYTES, "an entry's share");
_Static_assert(MKV_UNIT_BYTES - AT_PREFIX == MKV_DIRECTORY_NODE_ROOM, "what the header leaves");
_Static_assert(LENGTH_UNITS_MAX <= LENGTH_UNITS_MASK, "the largest block's units fit");
_Static_assert(MKV_BLOCK_FLAGS <= 3u, "block flags are two bits");
/* I4: three of the longest keys fit beside a prefix of nothing, so a node that overflows has
 * enough entries to be split. */
_Static_assert(3 * (MKV_DIRECTORY_ENTRY_BYTES + MKV_DIRECTORY_KEY_BYTES_MAX) +
                       MKV_DIRECTORY_ENTRY_BYTES <=
                   MKV_DIRECTORY_NODE_ROOM,
               "three of the longest keys fit");

static const uint8_t node_magic[8] = {'M', 'E', 'M', 'K', 'V', 'D', 'N', 0};

/* ---- keys ------------------------------------------------------------------------------------ */

void mkv_directory_key_make(struct mkv_directory_key *target, uint32_t tenant, const uint8_t *key,
                            uint32_t key_bytes) {
    MKV_ASSERT(key_bytes <= MKV_KEY_BYTES_MAX);
    for (uint32_t byte = 0; byte < MKV_DIRECTORY_TENANT_BYTES; byte++) {
        target->data[byte] = (uint8_t)(tenant >> (24 - 8 * byte));
    }
    if (key_bytes > 0) {
        memcpy(target->data + MKV_DIRECTORY_TENANT_BYTES, key, key_bytes);
    }
    target->bytes = MKV_DIRECTORY_TENANT_BYTES + key_bytes;
}

uint32_t mkv_directory_key_tenant(const struct mkv_directory_key *key) {
    MKV_ASSERT(key->bytes >= MKV_DIRECTORY_TENANT_BYTES);
    return (uint32_t)key->data[0] << 24 | (uint32_t)key->data[1] << 16 |
           (uint32_t)key->data[2] << 8 | key->data[3];
}

static int compare_bytes(const uint8_t *a, uint32_t a_bytes, const uint8_t *b, uint32_t b_bytes) {
    const uint32_t common = a_bytes < b_bytes ? a_bytes : b_bytes;
    const int order = common == 0 ? 0 : memcmp(a, b, common);
    if (order != 0) {
        return order;
    }
    return a_bytes == b_bytes ? 0 : (a_bytes < b_bytes ? -1 : 1);
}

int mkv_directory_key_compare(const struct mkv_directory_key *a,
                              const struct mkv_directory_key *b) {
    return compare_bytes(a->data, a->bytes, b->data, b->bytes);
}

/* ---- reading --------------------------------------------------------------------------------- */

uint32_t mkv_directory_node_level(const uint8_t *unit) {
    return mkv_load_u16(unit + AT_LEVEL);
}
uint32_t mkv_directory_node_count(const uint8_t *unit) {
    return mkv_load_u16(unit + AT_COUNT);
}
uint64_t mkv_directory_node_commit(const uint8_t *unit) {
    return mkv_load_u64(unit + AT_COMMIT);
}
static uint32_t prefix_bytes(const uint8_t *unit) {
    return mkv_load_u16(unit + AT_PREFIX_BYTES);
}
static uint32_t heap_offset(const uint8_t *unit) {
    return mkv_load_u16(unit + AT_HEAP);
}
static uint32_t entries_bytes(const uint8_t *unit) {
    return mkv_load_u16(unit + AT_ENTRIES_BYTES);
}
static uint32_t offsets_at(const uint8_t *unit) {
    return AT_PREFIX + prefix_bytes(unit);
}
static uint32_t entry_offset(const uint8_t *unit, uint32_t index) {
    MKV_ASSERT(index < mkv_directory_node_count(unit));
    return mkv_load_u16(unit + offsets_at(unit) + OFFSET_BYTES * index);
}
static const uint8_t *entry_at(const uint8_t *unit, uint32_t index) {
    return unit + entry_offset(unit, index);
}
static uint32_t suffix_bytes(const uint8_t *entry) {
    return mkv_load_u16(entry + ENTRY_AT_SUFFIX_BYTES);
}

uint32_t mkv_directory_node_used(const uint8_t *unit) {
    return prefix_bytes(unit) + OFFSET_BYTES * mkv_directory_node_count(unit) + entries_bytes(unit);
}

void mkv_directory_node_key(const uint8_t *unit, uint32_t index, struct mkv_directory_key *key) {
    MKV_ASSERT(index > 0 || mkv_directory_node_level(unit) == 0);
    const uint8_t *entry = entry_at(unit, index);
    const uint32_t head = prefix_bytes(unit);
    const uint32_t tail = suffix_bytes(entry);
    MKV_ASSERT(head + tail <= MKV_DIRECTORY_KEY_BYTES_MAX);
    memcpy(key->data, unit + AT_PREFIX, head);
    memcpy(key->data + head, entry + ENTRY_AT_SUFFIX, tail);
    key->bytes = head + tail;
}

/* How the key stands to all keys of the node by its first bytes alone; 0 when it begins with the
 * prefix. */
static int compare_prefix(const uint8_t *unit, const struct mkv_directory_key *key) {
    const uint32_t head = prefix_bytes(unit);
    const uint32_t common = key->bytes < head ? key->bytes : head;
    return compare_bytes(key->data, common, unit + AT_PREFIX, head);
}

static int compare_entry(const uint8_t *unit, uint32_t index, const struct mkv_directory_key *key) {
    const uint8_t *entry = entry_at(unit, index);
    const uint32_t head = prefix_bytes(unit);
    return compare_bytes(entry + ENTRY_AT_SUFFIX, suffix_bytes(entry), key->data + head,
                         key->bytes - head);
}

uint32_t mkv_directory_node_find(const uint8_t *unit, const struct mkv_directory_key *key,
                                 bool *equal) {
    MKV_ASSERT(mkv_directory_node_level(unit) == 0);
    const uint32_t count = mkv_directory_node_count(unit);
    *equal = false;
    const int outside = compare_prefix(unit, key);
    if (outside != 0) {
        return outside < 0 ? 0 : count;
    }
    uint32_t low = 0;
    uint32_t high = count;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        const int order = compare_entry(unit, middle, key);
        if (order == 0) {
            *equal = true;
            return middle;
        }
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

uint32_t mkv_directory_node_find_child(const uint8_t *unit, const struct mkv_directory_key *key) {
    MKV_ASSERT(mkv_directory_node_level(unit) > 0);
    const uint32_t count = mkv_directory_node_count(unit);
    MKV_ASSERT(count > 0);
    if (count == 1) {
        return 0;
    }
    const int outside = compare_prefix(unit, key);
    if (outside != 0) {
        return outside < 0 ? 0 : count - 1;
    }
    uint32_t low = 1;
    uint32_t high = count;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        if (compare_entry(unit, middle, key) <= 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low - 1;
}

struct mkv_directory_value mkv_directory_node_value(const uint8_t *unit, uint32_t index) {
    MKV_ASSERT(mkv_directory_node_level(unit) == 0);
    const uint8_t *entry = entry_at(unit, index);
    const uint32_t length_flags = mkv_load_u16(entry + ENTRY_AT_LENGTH_FLAGS);
    return (struct mkv_directory_value){
        .slot = {mkv_load_u32(entry + ENTRY_AT_SLOT)},
        .generation_low = mkv_load_u32(entry + ENTRY_AT_GENERATION_LOW),
        .length_units = length_flags & LENGTH_UNITS_MASK,
        .block_flags = length_flags >> LENGTH_FLAGS_SHIFT,
    };
}

struct mkv_directory_child mkv_directory_node_child(const uint8_t *unit, uint32_t index) {
    MKV_ASSERT(mkv_directory_node_level(unit) > 0);
    const uint8_t *entry = entry_at(unit, index);
    return (struct mkv_directory_child){
        .page = mkv_load_u32(entry + ENTRY_AT_PAGE),
        .checksum_low = mkv_load_u32(entry + ENTRY_AT_CHECKSUM_LOW),
    };
}

/* ---- writing --------------------------------------------------------------------------------- */

void mkv_directory_node_begin(uint8_t *unit, uint32_t level) {
    MKV_ASSERT(level < MKV_DIRECTORY_LEVELS_MAX);
    memset(unit, 0, MKV_UNIT_BYTES);
    memcpy(unit + AT_MAGIC, node_magic, sizeof node_magic);
    mkv_store_u16(unit + AT_LEVEL, (uint16_t)level);
    mkv_store_u16(unit + AT_HEAP, MKV_UNIT_BYTES);
}

static void payload_of_value(const struct mkv_directory_value *value, uint8_t *payload) {
    MKV_ASSERT(value->length_units <= LENGTH_UNITS_MAX);
    MKV_ASSERT((value->block_flags & ~MKV_BLOCK_FLAGS) == 0);
    mkv_store_u32(payload + ENTRY_AT_SLOT, value->slot.index);
    mkv_store_u32(payload + ENTRY_AT_GENERATION_LOW, value->generation_low);
    mkv_store_u16(payload + ENTRY_AT_LENGTH_FLAGS,
                  (uint16_t)(value->length_units | value->block_flags << LENGTH_FLAGS_SHIFT));
}

static void payload_of_child(const struct mkv_directory_child *child, uint8_t *payload) {
    mkv_store_u32(payload + ENTRY_AT_PAGE, child->page);
    mkv_store_u32(payload + ENTRY_AT_CHECKSUM_LOW, child->checksum_low);
    mkv_store_u16(payload + ENTRY_AT_ZERO, 0);
}

void mkv_directory_node_set_value(uint8_t *unit, uint32_t index,
                                  const struct mkv_directory_value *value) {
    MKV_ASSERT(mkv_directory_node_level(unit) == 0);
    payload_of_value(value, unit + entry_offset(unit, index));
}

void mkv_directory_node_set_child(uint8_t *unit, uint32_t index,
                                  const struct mkv_directory_child *child) {
    MKV_ASSERT(mkv_directory_node_level(unit) > 0);
    payload_of_child(child, unit + entry_offset(unit, index));
}

/* ---- entries of several nodes as one list ---------------------------------------------------- */

/* A key in two pieces, and what belongs to it. An inner node's entry 0 has no bytes. */
struct piece {
    const uint8_t *head;
    const uint8_t *tail;
    uint32_t head_bytes;
    uint32_t tail_bytes;
    uint8_t payload[PAYLOAD_BYTES];
};

/* The entries of one node or two that lie side by side, with an item more where one is put in. */
struct entry_list {
    const uint8_t *left;
    const uint8_t *right;                      /* or NULL */
    const struct mkv_directory_key *separator; /* with right: what entry 0 of an inner one gets */
    const struct mkv_directory_item *item;     /* or NULL */
    uint32_t item_index;
    uint32_t level;
    uint32_t count;
};

static struct entry_list list_of(const uint8_t *left, const uint8_t *right,
                                 const struct mkv_directory_key *separator) {
    struct entry_list list = {.left = left, .right = right, .separator = separator};
    list.level = mkv_directory_node_level(left);
    list.count = mkv_directory_node_count(left);
    if (right != NULL) {
        MKV_ASSERT(mkv_directory_node_level(right) == list.level);
        list.count += mkv_directory_node_count(right);
    }
    return list;
}

static struct entry_list list_with(const uint8_t *unit, uint32_t index,
                                   const struct mkv_directory_item *item) {
    struct entry_list list = list_of(unit, NULL, NULL);
    MKV_ASSERT(index <= list.count);
    list.item = item;
    list.item_index = index;
    list.count++;
    return list;
}

static void piece_of_key(struct piece *piece, const struct mkv_directory_key *key) {
    piece->head = key->data;
    piece->head_bytes = key->bytes;
    piece->tail = key->data;
    piece->tail_bytes = 0;
}

static void list_piece(const struct entry_list *list, uint32_t index, struct piece *piece) {
    if (list->item != NULL) {
        if (index == list->item_index) {
            MKV_ASSERT(list->item->key != NULL || (list->level > 0 && index == 0));
            *piece = (struct piece){.head = list->left, .tail = list->left};
            if (list->item->key != NULL) {
                piece_of_key(piece, list->item->key);
            }
            if (list->level == 0) {
                payload_of_value(&list->item->value, piece->payload);
            } else {
                payload_of_child(&list->item->child, piece->payload);
            }
            return;
        }
        index -= index > list->item_index ? 1u : 0u;
    }
    const uint32_t left_count = mkv_directory_node_count(list->left);
    const bool in_left = index < left_count;
    const uint8_t *unit = in_left ? list->left : list->right;
    const uint32_t own = in_left ? index : index - left_count;
    const uint8_t *entry = entry_at(unit, own);
    memcpy(piece->payload, entry, PAYLOAD_BYTES);
    piece->head = unit + AT_PREFIX;
    piece->head_bytes = prefix_bytes(unit);
    piece->tail = entry + ENTRY_AT_SUFFIX;
    piece->tail_bytes = suffix_bytes(entry);
    if (list->level > 0 && own == 0) {
        if (in_left) {
            piece->head_bytes = 0;
            piece->tail_bytes = 0;
        } else {
            piece_of_key(piece, list->separator);
        }
    }
}

static uint8_t piece_byte(const struct piece *piece, uint32_t index) {
    return index < piece->head_bytes ? piece->head[index] : piece->tail[index - piece->head_bytes];
}

static uint32_t piece_bytes(const struct piece *piece) {
    return piece->head_bytes + piece->tail_bytes;
}

static uint32_t common_bytes(const struct piece *a, const struct piece *b) {
    const uint32_t bound = (uint32_t)mkv_min_u64(piece_bytes(a), piece_bytes(b));
    uint32_t common = 0;
    while (common < bound && piece_byte(a, common) == piece_byte(b, common)) {
        common++;
    }
    return common;
}

/* The first entry of a range whose key counts: an inner node that begins there has none for its
 * first. */
static uint32_t first_keyed(const struct entry_list *list, uint32_t from) {
    return list->level == 0 ? from : from + 1;
}

static uint32_t list_prefix_bytes(const struct entry_list *list, uint32_t from, uint32_t to) {
    const uint32_t keyed = first_keyed(list, from);
    if (keyed >= to) {
        return 0;
    }
    struct piece first;
    struct piece last;
    list_piece(list, keyed, &first);
    list_piece(list, to - 1, &last);
    return common_bytes(&first, &last);
}

/* Bytes of the keys of a range, whole. */
static uint32_t list_key_bytes(const struct entry_list *list, uint32_t from, uint32_t to) {
    uint32_t bytes = 0;
    for (uint32_t index = first_keyed(list, from); index < to; index++) {
        struct piece piece;
        list_piece(list, index, &piece);
        bytes += piece_bytes(&piece);
    }
    return bytes;
}

/* Bytes that a node of these entries would use. */
static uint32_t range_used(const struct entry_list *list, uint32_t from, uint32_t to,
                           uint32_t key_bytes) {
    const uint32_t prefix = list_prefix_bytes(list, from, to);
    const uint32_t keyed_from = first_keyed(list, from);
    const uint32_t keyed = keyed_from < to ? to - keyed_from : 0;
    return prefix + (to - from) * MKV_DIRECTORY_ENTRY_BYTES + key_bytes - keyed * prefix;
}

static uint32_t list_used(const struct entry_list *list) {
    return range_used(list, 0, list->count, list_key_bytes(list, 0, list->count));
}

static void store_piece(uint8_t *target, const struct piece *piece, uint32_t skip) {
    uint32_t at = 0;
    if (skip < piece->head_bytes) {
        at = piece->head_bytes - skip;
        memcpy(target, piece->head + skip, at);
        skip = piece->head_bytes;
    }
    const uint32_t tail_skip = skip - piece->head_bytes;
    memcpy(target + at, piece->tail + tail_skip, piece->tail_bytes - tail_skip);
}

/* Writes the entries from ... to - 1 as a node of their own; `target` holds none of them now. */
static void write_range(const struct entry_list *list, uint32_t from, uint32_t to,
                        uint8_t *target) {
    MKV_ASSERT(target != list->left && target != list->right);
    mkv_directory_node_begin(target, list->level);
    const uint32_t prefix = list_prefix_bytes(list, from, to);
    uint32_t heap = MKV_UNIT_BYTES;
    for (uint32_t index = from; index < to; index++) {
        struct piece piece;
        list_piece(list, index, &piece);
        const bool keyed = index >= first_keyed(list, from);
        if (index == first_keyed(list, from)) {
            for (uint32_t byte = 0; byte < prefix; byte++) {
                target[AT_PREFIX + byte] = piece_byte(&piece, byte);
            }
        }
        const uint32_t suffix = keyed ? piece_bytes(&piece) - prefix : 0;
        heap -= ENTRY_AT_SUFFIX + suffix;
        const uint32_t offset_at = AT_PREFIX + prefix + OFFSET_BYTES * (index - from);
        MKV_ASSERT(offset_at + OFFSET_BYTES <= heap);
        memcpy(target + heap, piece.payload, PAYLOAD_BYTES);
        mkv_store_u16(target + heap + ENTRY_AT_SUFFIX_BYTES, (uint16_t)suffix);
        if (keyed) {
            store_piece(target + heap + ENTRY_AT_SUFFIX, &piece, prefix);
        }
        mkv_store_u16(target + offset_at, (uint16_t)heap);
    }
    mkv_store_u16(target + AT_COUNT, (uint16_t)(to - from));
    mkv_store_u16(target + AT_PREFIX_BYTES, (uint16_t)prefix);
    mkv_store_u16(target + AT_HEAP, (uint16_t)heap);
    mkv_store_u16(target + AT_ENTRIES_BYTES, (uint16_t)(MKV_UNIT_BYTES - heap));
}

/* ---- changes --------------------------------------------------------------------------------- */

/* Where nothing but the item itself has to move. */
static bool insert_in_place(uint8_t *unit, uint32_t index, const struct mkv_directory_item *item) {
    const uint32_t level = mkv_directory_node_level(unit);
    const uint32_t count = mkv_directory_node_count(unit);
    const uint32_t prefix = prefix_bytes(unit);
    if (count == 0 || (level > 0 && index == 0) || compare_prefix(unit, item->key) != 0) {
        return false;
    }
    MKV_ASSERT(item->key->bytes >= prefix);
    const uint32_t suffix = item->key->bytes - prefix;
    const uint32_t offsets_end = offsets_at(unit) + OFFSET_BYTES * count;
    const uint32_t heap = heap_offset(unit);
    if (offsets_end + OFFSET_BYTES + ENTRY_AT_SUFFIX + suffix > heap) {
        return false;
    }
    const uint32_t target = heap - ENTRY_AT_SUFFIX - suffix;
    if (level == 0) {
        payload_of_value(&item->value, unit + target);
    } else {
        payload_of_child(&item->child, unit + target);
    }
    mkv_store_u16(unit + target + ENTRY_AT_SUFFIX_BYTES, (uint16_t)suffix);
    memcpy(unit + target + ENTRY_AT_SUFFIX, item->key->data + prefix, suffix);
    uint8_t *offset = unit + offsets_at(unit) + OFFSET_BYTES * index;
    memmove(offset + OFFSET_BYTES, offset, OFFSET_BYTES * (count - index));
    mkv_store_u16(offset, (uint16_t)target);
    mkv_store_u16(unit + AT_COUNT, (uint16_t)(count + 1));
    mkv_store_u16(unit + AT_HEAP, (uint16_t)target);
    mkv_store_u16(unit + AT_ENTRIES_BYTES,
                  (uint16_t)(entries_bytes(unit) + ENTRY_AT_SUFFIX + suffix));
    return true;
}

bool mkv_directory_node_fits(const uint8_t *unit, uint32_t index,
                             const struct mkv_directory_item *item) {
    const struct entry_list list = list_with(unit, index, item);
    const uint32_t prefix = prefix_bytes(unit);
    if (item->key != NULL && item->key->bytes >= prefix && compare_prefix(unit, item->key) == 0 &&
        mkv_directory_node_used(unit) + MKV_DIRECTORY_ENTRY_BYTES + item->key->bytes - prefix <=
            MKV_DIRECTORY_NODE_ROOM) {
        return true;
    }
    return list_used(&list) <= MKV_DIRECTORY_NODE_ROOM;
}

bool mkv_directory_node_insert(uint8_t *unit, uint32_t index, const struct mkv_directory_item *item,
                               uint8_t *scratch) {
    if (insert_in_place(unit, index, item)) {
        return true;
    }
    const struct entry_list list = list_with(unit, index, item);
    if (list_used(&list) > MKV_DIRECTORY_NODE_ROOM) {
        return false;
    }
    write_range(&list, 0, list.count, scratch);
    memcpy(unit, scratch, MKV_UNIT_BYTES);
    return true;
}

/* The count of entries that stay left: both parts fit, and the larger one is as small as can be.
 * Where keys come in their order, what is behind the last stays alone, so that nodes get full. */
static uint32_t split_place(const struct entry_list *list) {
    const uint32_t total = list_key_bytes(list, 0, list->count);
    if (list->level == 0 && list->item_index == list->count - 1) {
        return list->count - 1;
    }
    const uint32_t least = list->level == 0 ? 1 : 2; /* an inner node parts something */
    uint32_t best = 0;
    uint32_t best_used = MKV_DIRECTORY_NODE_ROOM + 1;
    uint32_t left_bytes = list_key_bytes(list, 0, least);
    for (uint32_t place = least; place + least <= list->count; place++) {
        struct piece moved;
        list_piece(list, place, &moved);
        /* The key of an inner node's entry that comes first moves up. */
        const uint32_t right_bytes =
            total - left_bytes - (list->level == 0 ? 0 : piece_bytes(&moved));
        const uint32_t left_used = range_used(list, 0, place, left_bytes);
        const uint32_t right_used = range_used(list, place, list->count, right_bytes);
        const uint32_t used = left_used > right_used ? left_used : right_used;
        if (used < best_used) {
            best_used = used;
            best = place;
        }
        left_bytes += piece_bytes(&moved);
    }
    MKV_ASSERT(best > 0); /* I4 */
    return best;
}

void mkv_directory_node_split(uint8_t *unit, uint8_t *right, uint32_t index,
                              const struct mkv_directory_item *item,
                              struct mkv_directory_key *separator, uint8_t *scratch) {
    const struct entry_list list = list_with(unit, index, item);
    MKV_ASSERT(list_used(&list) > MKV_DIRECTORY_NODE_ROOM);
    const uint32_t place = split_place(&list);
    struct piece above;
    list_piece(&list, place, &above);
    uint32_t bytes = piece_bytes(&above);
    if (list.level == 0) {
        struct piece below;
        list_piece(&list, place - 1, &below);
        bytes = common_bytes(&below, &above) + 1;
    }
    MKV_ASSERT(bytes <= piece_bytes(&above));
    for (uint32_t byte = 0; byte < bytes; byte++) {
        separator->data[byte] = piece_byte(&above, byte);
    }
    separator->bytes = bytes;
    write_range(&list, place, list.count, right);
    write_range(&list, 0, place, scratch);
    memcpy(unit, scratch, MKV_UNIT_BYTES);
}

void mkv_directory_node_remove(uint8_t *unit, uint32_t index, uint8_t *scratch) {
    const uint32_t count = mkv_directory_node_count(unit);
    MKV_ASSERT(index < count);
    const uint32_t bytes = ENTRY_AT_SUFFIX + suffix_bytes(entry_at(unit, index));
    uint8_t *offset = unit + offsets_at(unit) + OFFSET_BYTES * index;
    memmove(offset, offset + OFFSET_BYTES, OFFSET_BYTES * (count - 1 - index));
    memset(unit + offsets_at(unit) + OFFSET_BYTES * (count - 1), 0, OFFSET_BYTES);
    mkv_store_u16(unit + AT_COUNT, (uint16_t)(count - 1));
    mkv_store_u16(unit + AT_ENTRIES_BYTES, (uint16_t)(entries_bytes(unit) - bytes));
    if (index == 0 && mkv_directory_node_level(unit) > 0) {
        /* What is entry 0 now loses its key. */
        const struct entry_list list = list_of(unit, NULL, NULL);
        write_range(&list, 0, list.count, scratch);
        memcpy(unit, scratch, MKV_UNIT_BYTES);
    }
}

uint32_t mkv_directory_node_merged_used(const uint8_t *left, const uint8_t *right,
                                        const struct mkv_directory_key *separator) {
    const struct entry_list list = list_of(left, right, separator);
    return list_used(&list);
}

void mkv_directory_node_merge(uint8_t *target, const uint8_t *left, const uint8_t *right,
                              const struct mkv_directory_key *separator) {
    const struct entry_list list = list_of(left, right, separator);
    MKV_ASSERT(list_used(&list) <= MKV_DIRECTORY_NODE_ROOM);
    write_range(&list, 0, list.count, target);
}

/* ---- sealing and checking -------------------------------------------------------------------- */

static uint64_t unit_checksum(const uint8_t *unit) {
    return mkv_hash_64(unit + AT_CHECKED, MKV_UNIT_BYTES - AT_CHECKED);
}

uint64_t mkv_directory_node_seal(uint8_t *unit, const struct mkv_uuid *drive_uuid, uint64_t commit,
                                 uint32_t page) {
    MKV_ASSERT(memcmp(unit + AT_MAGIC, node_magic, sizeof node_magic) == 0);
    MKV_ASSERT(mkv_directory_node_count(unit) > 0);
    MKV_ASSERT(commit > 0);
    memcpy(unit + AT_DRIVE_UUID, drive_uuid->bytes, sizeof drive_uuid->bytes);
    mkv_store_u64(unit + AT_COMMIT, commit);
    mkv_store_u32(unit + AT_PAGE, page);
    const uint64_t checksum = unit_checksum(unit);
    mkv_store_u64(unit + AT_CHECKSUM, checksum);
    return checksum;
}

/* Figures of the header: nothing that is read by them lies outside of the unit. */
static bool header_sound(const uint8_t *unit) {
    static const uint8_t zeros[AT_PREFIX - AT_ZERO] = {0};
    const uint32_t count = mkv_directory_node_count(unit);
    const uint32_t prefix = prefix_bytes(unit);
    const uint32_t heap = heap_offset(unit);
    return count >= 1 && count <= MKV_DIRECTORY_NODE_ENTRIES_MAX &&
           mkv_directory_node_level(unit) < MKV_DIRECTORY_LEVELS_MAX &&
           mkv_directory_node_commit(unit) > 0 && prefix <= MKV_DIRECTORY_KEY_BYTES_MAX &&
           heap <= MKV_UNIT_BYTES && AT_PREFIX + prefix + OFFSET_BYTES * count <= heap &&
           entries_bytes(unit) <= MKV_UNIT_BYTES - heap &&
           memcmp(unit + AT_ZERO, zeros, sizeof zeros) == 0;
}

static bool entry_sound(const uint8_t *unit, uint32_t index) {
    const uint32_t offset = entry_offset(unit, index);
    if (offset < heap_offset(unit) || offset > MKV_UNIT_BYTES - ENTRY_AT_SUFFIX) {
        return false;
    }
    const uint8_t *entry = unit + offset;
    const uint32_t suffix = suffix_bytes(entry);
    const uint32_t key_bytes = prefix_bytes(unit) + suffix;
    if (suffix > MKV_UNIT_BYTES - ENTRY_AT_SUFFIX - offset ||
        key_bytes > MKV_DIRECTORY_KEY_BYTES_MAX) {
        return false;
    }
    if (mkv_directory_node_level(unit) == 0) {
        return key_bytes >= MKV_DIRECTORY_KEY_BYTES_MIN &&
               mkv_directory_node_value(unit, index).length_units <= LENGTH_UNITS_MAX;
    }
    return mkv_load_u16(entry + ENTRY_AT_ZERO) == 0 && (index == 0 ? suffix == 0 : key_bytes >= 1);
}

#define WORD_BITS 64u

/* Marks bytes of the node as one entry's. False when some are another one's: a change of the one in
 * its place would change the other's key. */
static bool claim(uint64_t taken[MKV_UNIT_BYTES / WORD_BITS], uint32_t offset, uint32_t bytes) {
    const uint32_t end = offset + bytes;
    while (offset < end) {
        const uint32_t bit = offset % WORD_BITS;
        const uint32_t count = (uint32_t)mkv_min_u64(WORD_BITS - bit, end - offset);
        const uint64_t mask = (~0ull >> (WORD_BITS - count)) << bit;
        if ((taken[offset / WORD_BITS] & mask) != 0) {
            return false;
        }
        taken[offset / WORD_BITS] |= mask;
        offset += count;
    }
    return true;
}

static bool entries_sound(const uint8_t *unit) {
    const uint32_t count = mkv_directory_node_count(unit);
    const uint32_t first = mkv_directory_node_level(unit) == 0 ? 0 : 1;
    uint64_t taken[MKV_UNIT_BYTES / WORD_BITS] = {0};
    uint32_t bytes = 0;
    for (uint32_t index = 0; index < count; index++) {
        if (!entry_sound(unit, index)) {
            return false;
        }
        const uint8_t *entry = entry_at(unit, index);
        const uint32_t own = ENTRY_AT_SUFFIX + suffix_bytes(entry);
        bytes += own;
        if (!claim(taken, entry_offset(unit, index), own)) {
            return false;
        }
        if (index > first) {
            const uint8_t *before = entry_at(unit, index - 1);
            if (compare_bytes(before + ENTRY_AT_SUFFIX, suffix_bytes(before),
                              entry + ENTRY_AT_SUFFIX, suffix_bytes(entry)) >= 0) {
                return false;
            }
        }
    }
    return bytes == entries_bytes(unit);
}

bool mkv_directory_node_sound(const uint8_t *unit, const struct mkv_uuid *drive_uuid, uint32_t page,
                              uint32_t level, uint32_t checksum_low) {
    const uint64_t checksum = mkv_load_u64(unit + AT_CHECKSUM);
    return memcmp(unit + AT_MAGIC, node_magic, sizeof node_magic) == 0 &&
           checksum == unit_checksum(unit) && (uint32_t)checksum == checksum_low &&
           memcmp(unit + AT_DRIVE_UUID, drive_uuid->bytes, sizeof drive_uuid->bytes) == 0 &&
           mkv_load_u32(unit + AT_PAGE) == page && header_sound(unit) &&
           mkv_directory_node_level(unit) == level && entries_sound(unit);
}
