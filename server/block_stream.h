/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A block stream: blocks in a file, on their way from one store to another. docs/drive-tool.md has
 * the format for those who write a reader of their own.
 *
 *   file = header, records ..., END. All numbers are little endian.
 *
 *   header (128 bytes)                            record (96 bytes, then the key, then the payload)
 *     0  8 magic "MEMKVBS\0"                        0  8 checksum: XXH3-64 of 8 .. 95 and the key
 *     8  8 checksum: XXH3-64 of 16 .. 127           8  4 magic "MKBR"
 *    16  4 version (1)                             12  1 kind: 1 TENANT, 2 BLOCK, 3 END
 *    20  4 0                                       13  1 BLOCK: tier of its put
 *    24 16 store uuid                              14  2 BLOCK: flags (1 manifest, 2 segment)
 *    40 16 drive uuid                              16  8 chain: checksum of the record before; of
 *    56  8 drive set version                             the first one, of the header
 *    64  8 when it was made, ms since 1970         24  8 number of the record, from 0
 *    72 56 0                                       32  4 tenant: its number in the stream
 *                                                  36  4 bytes of the key (TENANT: of the name)
 *                                                  40  4 BLOCK: length of the payload in bytes
 *                                                  44  4 BLOCK: expiry, s since 1970; 0 never
 *                                                  48 16 BLOCK: root of the payload
 *                                                  64  8 END: BLOCK records
 *                                                  72  8 END: bytes of their payloads
 *                                                  80 16 0
 *
 * Invariants
 *  I1  A TENANT stands before the first BLOCK of its number.
 *  I2  A record that was left out, put in, moved or changed breaks the chain; a payload that was
 *      changed is not what its root names.
 *  I3  A stream without its END is torn. In a file that can be told before anything is read.
 *
 * Not responsible for: where blocks come from and go.
 */
#ifndef MKV_SERVER_BLOCK_STREAM_H
#define MKV_SERVER_BLOCK_STREAM_H

#include <stdio.h>

#include "backends/error.h"
#include "core/base.h"

#define MKV_BLOCK_STREAM_VERSION 1u
#define MKV_BLOCK_STREAM_HEADER_BYTES 128u
#define MKV_BLOCK_STREAM_RECORD_BYTES 96u

enum mkv_block_record_kind {
    MKV_BLOCK_RECORD_TENANT = 1,
    MKV_BLOCK_RECORD_BLOCK = 2,
    MKV_BLOCK_RECORD_END = 3,
};

struct mkv_block_stream_header {
    struct mkv_uuid store_uuid;
    struct mkv_uuid drive_uuid;
    uint64_t drive_set_version;
    uint64_t wall_ms;
};

struct mkv_block_record {
    enum mkv_block_record_kind kind;
    enum mkv_tier tier;
    uint32_t block_flags;
    uint32_t tenant;
    uint32_t key_bytes;
    uint32_t length;
    uint32_t expiry_s;
    struct mkv_root root;
    uint64_t block_count;   /* END */
    uint64_t payload_bytes; /* END */
    const uint8_t *key;
    const uint8_t *payload;
};

/* ---- writing --------------------------------------------------------------------------------- */

struct mkv_block_writer {
    FILE *file;
    const char *path;
    uint64_t chain;
    uint64_t number;
    uint64_t block_count;
    uint64_t payload_bytes;
};

/* The file must not be there yet. */
__attribute__((warn_unused_result)) bool mkv_block_writer_open(
    struct mkv_block_writer *writer, const char *path, const struct mkv_block_stream_header *header,
    struct mkv_backend_error *error);
__attribute__((warn_unused_result)) bool mkv_block_writer_put(struct mkv_block_writer *writer,
                                                              const struct mkv_block_record *record,
                                                              struct mkv_backend_error *error);
/* Writes END; the file is durable when this returns true. */
__attribute__((warn_unused_result)) bool mkv_block_writer_close(struct mkv_block_writer *writer,
                                                                struct mkv_backend_error *error);
/* Removes the file. Nothing is done where it is closed. */
void mkv_block_writer_abandon(struct mkv_block_writer *writer);

/* ---- reading --------------------------------------------------------------------------------- */

struct mkv_block_reader {
    FILE *file;
    const char *path;
    uint64_t chain;
    uint64_t number;
    uint64_t block_count;
    uint64_t payload_bytes;
    uint64_t bytes;       /* of the file */
    uint64_t block_total; /* as END says */
    uint64_t payload_total;
    uint8_t *payload; /* MKV_BLOCK_BYTES_MAX */
    uint8_t key[MKV_KEY_BYTES_MAX];
    struct mkv_block_stream_header header;
};

/* Refuses a file that is no stream, of a newer version, or torn. */
__attribute__((warn_unused_result)) bool mkv_block_reader_open(struct mkv_block_reader *reader,
                                                               const char *path,
                                                               struct mkv_backend_error *error);
/* The next TENANT or BLOCK, verified; its key and payload are the reader's, until the next call. At
 * the END `record->kind` is that. False: the stream is damaged, at the record that is named. */
__attribute__((warn_unused_result)) bool mkv_block_reader_next(struct mkv_block_reader *reader,
                                                               struct mkv_block_record *record,
                                                               struct mkv_backend_error *error);
void mkv_block_reader_close(struct mkv_block_reader *reader);

#endif
