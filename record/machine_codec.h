/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What goes into a machine and what comes out, as bytes: configuration, input, effect. Each field
 * of the core's structures stands in the order in which they declare them; nothing is left out that
 * a machine reads, and nothing depends on padding, alignment or an address.
 *
 *   input    kind, times, the fields of its kind; the data, keys, sums and header unit that its
 *            pointers lead to
 *   effect   kind, op, the fields of its kind; of an ANSWER the results; of what else it names in
 *            the arena (units of metadata or a header that are written, the data of a message)
 *            byte count and XXH3-128
 *
 * Invariants
 *  I1  Two effects have equal bytes exactly if all of this is equal.
 *  I2  What is read back lies in memory that is aligned as the core's own is. Its pointers lead
 *      into the storage that was given, and are good until it is used again.
 *
 * Not responsible for: whether what is read makes sense to a machine, which asserts that it does.
 */
#ifndef MKV_RECORD_MACHINE_CODEC_H
#define MKV_RECORD_MACHINE_CODEC_H

#include "core/front.h"
#include "core/volume.h"
#include "record/codec.h"

/* The keys of the largest request; a drive set is smaller. */
#define MKV_RECORD_DATA_BYTES_MAX (MKV_FRONT_ITEMS_PER_REQUEST_MAX * MKV_KEY_BYTES_MAX)
/* An input without units that were read takes less than this, and so does an effect. */
#define MKV_RECORD_INPUT_BYTES_MAX (MKV_RECORD_DATA_BYTES_MAX + 65536u)
#define MKV_RECORD_EFFECT_BYTES_MAX 32768u

/* Where the pointers of an input that was read lead to. */
struct mkv_record_storage {
    _Alignas(64) uint8_t data[MKV_RECORD_DATA_BYTES_MAX];
    _Alignas(64) uint8_t header[MKV_UNIT_BYTES];
    uint64_t sums[MKV_CHUNKS_MAX];
    struct mkv_drive_set drive_set;
    struct mkv_request_item items[MKV_FRONT_ITEMS_PER_REQUEST_MAX];
    char tenant_name[MKV_TENANT_NAME_BYTES_MAX + 1];
};

void mkv_record_front_config(struct mkv_codec *codec, struct mkv_front_config *config);
void mkv_record_volume_config(struct mkv_codec *codec, struct mkv_volume_config *config);
void mkv_record_drive_set(struct mkv_codec *codec, struct mkv_drive_set *set);

/* Fails the codec when the input has more keys or bytes than the bounds above. */
void mkv_record_input_write(struct mkv_codec *codec, const struct mkv_input *input);
void mkv_record_input_read(struct mkv_codec *codec, struct mkv_record_storage *storage,
                           struct mkv_input *input);

/* An effect that was read: offsets into an arena have nothing behind them. */
struct mkv_record_effect {
    struct mkv_effect effect;
    struct mkv_item_result results[MKV_FRONT_ITEMS_PER_REQUEST_MAX]; /* of an ANSWER */
    uint32_t byte_count; /* of the memory that it names, which has this sum */
    struct mkv_root sum;
};

/* `arena` is what the effect's offsets count from. */
void mkv_record_effect_write(struct mkv_codec *codec, const struct mkv_effect *effect,
                             const uint8_t *arena);
void mkv_record_effect_read(struct mkv_codec *codec, struct mkv_record_effect *effect);

#endif
