/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file that `memkv start --record` writes and `memkv-sim replay` runs again: everything that
 * went into the machines of a shard from their making on, and everything that came out of them.
 *
 *   file    header, chunk, chunk, ...
 *
 *   header  0 magic "MKVRECRD"    8 u32 format version     12 u32 0
 *           16 SHA-256 of the core's archive, 64 characters
 *           80 words that name the program, 32 characters, filled up with 0
 *           112 u64 Unix time in ms                        120 u64 XXH3-64 of bytes 0 ... 119
 *
 *   chunk   0 u32 magic           4 u32 bytes of the body, 1 ... MKV_RECORD_BODY_BYTES_MAX
 *           8 u64 number, from 0  16 u64 XXH3-64 of the body
 *           24 u64 XXH3-64 of bytes 0 ... 23               32 body
 *
 *   The bodies, one behind the other, are a stream of entries, which may begin in one chunk and end
 *   in another:
 *
 *   entry   u32 bytes of the rest; u8 kind, and by kind, in the codec of codec.h:
 *           FRONT    the front's configuration             first, once
 *           VOLUME   a volume's configuration              behind it, for each volume, in order
 *           INPUT    machine, input; of a read of metadata that came back also the offset in the
 *                    volume's arena, the count of units, and the units
 *           RESULT   machine, error: what the step returned, where that is not MKV_OK
 *           EFFECTS  machine, count, effects: what one call of effects() handed out
 *           ROUTE    volume, state: what mkv_front_volume_set_state was told
 *           END      reason                                last, unless the program was cut off
 *
 *   A machine is 0 for the front, and 1 + its index for a volume.
 *
 * Invariants
 *  I1  Entries stand in the order in which the machines were called.
 *  I2  A file that is cut anywhere is good up to its last whole chunk, and the stream up to its
 *      last whole entry.
 *
 * Not responsible for: configurations, inputs and effects themselves (machine_codec.h).
 */
#ifndef MKV_RECORD_FORMAT_H
#define MKV_RECORD_FORMAT_H

#include "core/base.h"
#include "record/codec.h"

#define MKV_RECORD_MAGIC "MKVRECRD"
#define MKV_RECORD_MAGIC_BYTES 8u
#define MKV_RECORD_VERSION 1u
#define MKV_RECORD_HEADER_BYTES 128u
#define MKV_RECORD_CORE_BYTES 64u
#define MKV_RECORD_PROGRAM_BYTES 32u

#define MKV_RECORD_CHUNK_BYTES 65536u
#define MKV_RECORD_CHUNK_HEADER_BYTES 32u
#define MKV_RECORD_BODY_BYTES_MAX (MKV_RECORD_CHUNK_BYTES - MKV_RECORD_CHUNK_HEADER_BYTES)
/* Of an entry: bytes of its length, and those with its kind. */
#define MKV_RECORD_LENGTH_BYTES 4u
#define MKV_RECORD_ENTRY_BYTES_MIN 5u
/* The longest entry that a reader takes. */
#define MKV_RECORD_ENTRY_BYTES_MAX (64u * 1024u * 1024u)

enum mkv_record_entry {
    MKV_RECORD_FRONT = 1,
    MKV_RECORD_VOLUME,
    MKV_RECORD_INPUT,
    MKV_RECORD_RESULT,
    MKV_RECORD_EFFECTS,
    MKV_RECORD_ROUTE,
    MKV_RECORD_END,
};

#define MKV_RECORD_MACHINE_FRONT 0u
static inline uint32_t mkv_record_machine_of_volume(uint32_t volume) {
    return volume + 1;
}

enum mkv_record_end {
    MKV_RECORD_END_CLOSED = 1, /* the node was stopped */
    MKV_RECORD_END_SIZE,       /* the file is as large as it may become */
    MKV_RECORD_END_SLOW,       /* the file took its bytes more slowly than they came */
    MKV_RECORD_END_CRASH,      /* the program ended itself: an assertion, or a fault of memory */
    MKV_RECORD_END_MEMORY,     /* there was no memory for an entry */
};

struct mkv_record_header {
    char core[MKV_RECORD_CORE_BYTES + 1];       /* SHA-256 of the archive */
    char program[MKV_RECORD_PROGRAM_BYTES + 1]; /* "memkv 0.1.0 (3fa9c02)" */
    uint64_t wall_ms;                           /* when the record was begun */
};

/* What a file of this format opens with; longer texts are cut. */
void mkv_record_header_encode(const struct mkv_record_header *header,
                              uint8_t bytes[MKV_RECORD_HEADER_BYTES]);

enum mkv_record_header_fault {
    MKV_RECORD_HEADER_GOOD = 0,
    MKV_RECORD_HEADER_OTHER,   /* the magic is not there: a file of another kind */
    MKV_RECORD_HEADER_VERSION, /* a version that this program does not know */
    MKV_RECORD_HEADER_DAMAGED, /* the sum does not hold */
};
/* `*version` is set unless the magic is not there. */
enum mkv_record_header_fault mkv_record_header_decode(const uint8_t bytes[MKV_RECORD_HEADER_BYTES],
                                                      struct mkv_record_header *header,
                                                      uint32_t *version);

/* Fills in the header of the chunk at `chunk`, whose body stands behind it. */
void mkv_record_chunk_seal(uint8_t *chunk, uint32_t body_bytes, uint64_t number);
/* Bytes of the body of chunk `number` at `chunk`, of which `count` bytes are there; 0 when they are
 * too few, or `*damaged` says that they are not what was sealed. */
uint32_t mkv_record_chunk_open(const uint8_t *chunk, size_t count, uint64_t number, bool *damaged);

/* The SHA-256 of the core's archive that this program was linked with; the build makes it. */
extern const char mkv_core_archive_sha256[MKV_RECORD_CORE_BYTES + 1];

#endif
