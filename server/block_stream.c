/* SPDX-License-Identifier: Apache-2.0 */
#include "server/block_stream.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backends/drive_open.h"
#include "core/bytes.h"
#include "core/hash.h"
#include "server/new_file.h"

#define HEADER_BYTES MKV_BLOCK_STREAM_HEADER_BYTES
#define RECORD_BYTES MKV_BLOCK_STREAM_RECORD_BYTES
#define BUFFER_BYTES (1024u * 1024u)

static const uint8_t header_magic[8] = {'M', 'E', 'M', 'K', 'V', 'B', 'S', 0};
static const uint8_t record_magic[4] = {'M', 'K', 'B', 'R'};

/* ---- bytes ----------------------------------------------------------------------------------- */

static uint64_t header_encode(const struct mkv_block_stream_header *header,
                              uint8_t bytes[HEADER_BYTES]) {
    memset(bytes, 0, HEADER_BYTES);
    memcpy(bytes, header_magic, sizeof header_magic);
    mkv_store_u32(bytes + 16, MKV_BLOCK_STREAM_VERSION);
    memcpy(bytes + 24, header->store_uuid.bytes, 16);
    memcpy(bytes + 40, header->drive_uuid.bytes, 16);
    mkv_store_u64(bytes + 56, header->drive_set_version);
    mkv_store_u64(bytes + 64, header->wall_ms);
    const uint64_t checksum = mkv_hash_64(bytes + 16, HEADER_BYTES - 16);
    mkv_store_u64(bytes + 8, checksum);
    return checksum;
}

/* The checksum of a record's fields and of its key, which lies right behind them. */
static uint64_t record_checksum(const uint8_t *bytes, uint32_t key_bytes) {
    return mkv_hash_64(bytes + 8, RECORD_BYTES - 8 + (size_t)key_bytes);
}

static uint64_t record_encode(const struct mkv_block_record *record, uint64_t chain,
                              uint64_t number, uint8_t bytes[RECORD_BYTES + MKV_KEY_BYTES_MAX]) {
    memset(bytes, 0, RECORD_BYTES);
    memcpy(bytes + 8, record_magic, sizeof record_magic);
    bytes[12] = (uint8_t)record->kind;
    bytes[13] = (uint8_t)record->tier;
    mkv_store_u16(bytes + 14, (uint16_t)record->block_flags);
    mkv_store_u64(bytes + 16, chain);
    mkv_store_u64(bytes + 24, number);
    mkv_store_u32(bytes + 32, record->tenant);
    mkv_store_u32(bytes + 36, record->key_bytes);
    mkv_store_u32(bytes + 40, record->length);
    mkv_store_u32(bytes + 44, record->expiry_s);
    memcpy(bytes + 48, record->root.bytes, 16);
    mkv_store_u64(bytes + 64, record->block_count);
    mkv_store_u64(bytes + 72, record->payload_bytes);
    memcpy(bytes + RECORD_BYTES, record->key, record->key_bytes);
    const uint64_t checksum = record_checksum(bytes, record->key_bytes);
    mkv_store_u64(bytes, checksum);
    return checksum;
}

static void record_decode(const uint8_t *bytes, struct mkv_block_record *record) {
    *record = (struct mkv_block_record){
        .kind = (enum mkv_block_record_kind)bytes[12],
        .tier = (enum mkv_tier)bytes[13],
        .block_flags = mkv_load_u16(bytes + 14),
        .tenant = mkv_load_u32(bytes + 32),
        .key_bytes = mkv_load_u32(bytes + 36),
        .length = mkv_load_u32(bytes + 40),
        .expiry_s = mkv_load_u32(bytes + 44),
        .block_count = mkv_load_u64(bytes + 64),
        .payload_bytes = mkv_load_u64(bytes + 72),
    };
    memcpy(record->root.bytes, bytes + 48, 16);
}

/* Whether the figures of a record can be. Nothing is read by a length that was not looked at. */
static bool record_fits(const uint8_t *bytes, const struct mkv_block_record *record) {
    if (memcmp(bytes + 8, record_magic, sizeof record_magic) != 0 ||
        (uint32_t)record->tier > MKV_TIER_MAX || (record->block_flags & ~MKV_BLOCK_FLAGS) != 0) {
        return false;
    }
    switch (record->kind) {
    case MKV_BLOCK_RECORD_TENANT:
        return record->key_bytes >= 1 && record->key_bytes <= MKV_TENANT_STORED_NAME_BYTES_MAX &&
               record->length == 0;
    case MKV_BLOCK_RECORD_BLOCK:
        return record->key_bytes >= 1 && record->key_bytes <= MKV_KEY_BYTES_MAX &&
               record->length <= MKV_BLOCK_BYTES_MAX;
    case MKV_BLOCK_RECORD_END:
        return record->key_bytes == 0 && record->length == 0;
    }
    return false;
}

/* ---- writing --------------------------------------------------------------------------------- */

static bool refuse_write(const struct mkv_block_writer *writer, int number,
                         struct mkv_backend_error *error) {
    return mkv_new_file_refuse(writer->path, number, error);
}

bool mkv_block_writer_open(struct mkv_block_writer *writer, const char *path,
                           const struct mkv_block_stream_header *header,
                           struct mkv_backend_error *error) {
    uint8_t bytes[HEADER_BYTES];
    *writer = (struct mkv_block_writer){.path = path};
    const int fd = mkv_new_file_open(path, O_WRONLY, error);
    if (fd < 0) {
        return false;
    }
    writer->file = fdopen(fd, "w");
    if (writer->file == NULL) {
        const int number = errno;
        close(fd);
        (void)unlink(path);
        return refuse_write(writer, number, error);
    }
    (void)setvbuf(writer->file, NULL, _IOFBF, BUFFER_BYTES);
    writer->chain = header_encode(header, bytes);
    if (fwrite(bytes, 1, sizeof bytes, writer->file) != sizeof bytes) {
        return refuse_write(writer, errno, error);
    }
    return true;
}

bool mkv_block_writer_put(struct mkv_block_writer *writer, const struct mkv_block_record *record,
                          struct mkv_backend_error *error) {
    uint8_t bytes[RECORD_BYTES + MKV_KEY_BYTES_MAX];
    MKV_ASSERT(record->key_bytes <= MKV_KEY_BYTES_MAX);
    const bool is_block = record->kind == MKV_BLOCK_RECORD_BLOCK;
    writer->chain = record_encode(record, writer->chain, writer->number, bytes);
    writer->number++;
    writer->block_count += is_block ? 1u : 0u;
    writer->payload_bytes += is_block ? record->length : 0u;
    const size_t count = RECORD_BYTES + (size_t)record->key_bytes;
    if (fwrite(bytes, 1, count, writer->file) != count ||
        fwrite(record->payload, 1, record->length, writer->file) != record->length) {
        return refuse_write(writer, errno, error);
    }
    return true;
}

bool mkv_block_writer_close(struct mkv_block_writer *writer, struct mkv_backend_error *error) {
    const struct mkv_block_record end = {
        .kind = MKV_BLOCK_RECORD_END,
        .block_count = writer->block_count,
        .payload_bytes = writer->payload_bytes,
        .key = (const uint8_t *)"",
        .payload = (const uint8_t *)"",
    };
    if (!mkv_block_writer_put(writer, &end, error)) {
        return false;
    }
    if (fflush(writer->file) != 0 || fsync(fileno(writer->file)) != 0) {
        return refuse_write(writer, errno, error);
    }
    /* Its drive may be wiped next, so the entry in its directory has to last, too. */
    if (!mkv_drive_directory_sync(writer->path)) {
        return refuse_write(writer, errno, error);
    }
    const bool closed = fclose(writer->file) == 0;
    writer->file = NULL;
    return closed || refuse_write(writer, errno, error);
}

void mkv_block_writer_abandon(struct mkv_block_writer *writer) {
    if (writer->file != NULL) {
        fclose(writer->file);
        writer->file = NULL;
        (void)unlink(writer->path);
    }
}

/* ---- reading --------------------------------------------------------------------------------- */

static bool refuse_torn(const struct mkv_block_reader *reader, struct mkv_backend_error *error) {
    return mkv_backend_refuse(error, MKV_BACKEND_IO,
                              "%s is torn: its END is not there, so its export did not come to an "
                              "end, or the file was not copied whole. Nothing of it is taken",
                              reader->path);
}

static bool refuse_damaged(const struct mkv_block_reader *reader, const char *what,
                           struct mkv_backend_error *error) {
    return mkv_backend_refuse(error, MKV_BACKEND_IO,
                              "%s is damaged: record %" PRIu64 " %s. The records before it are "
                              "sound",
                              reader->path, reader->number, what);
}

/* The END stands at the end of the file. */
static bool look_at_end(struct mkv_block_reader *reader, struct mkv_backend_error *error) {
    uint8_t bytes[RECORD_BYTES];
    struct mkv_block_record end;
    if (reader->bytes < HEADER_BYTES + RECORD_BYTES ||
        pread(fileno(reader->file), bytes, sizeof bytes, (off_t)(reader->bytes - RECORD_BYTES)) !=
            (ssize_t)sizeof bytes) {
        return refuse_torn(reader, error);
    }
    record_decode(bytes, &end);
    if (!record_fits(bytes, &end) || end.kind != MKV_BLOCK_RECORD_END ||
        record_checksum(bytes, 0) != mkv_load_u64(bytes)) {
        return refuse_torn(reader, error);
    }
    reader->block_total = end.block_count;
    reader->payload_total = end.payload_bytes;
    return true;
}

static bool read_header(struct mkv_block_reader *reader, struct mkv_backend_error *error) {
    uint8_t bytes[HEADER_BYTES];
    struct stat status;
    if (fstat(fileno(reader->file), &status) != 0 || !S_ISREG(status.st_mode)) {
        return mkv_backend_refuse(error, MKV_BACKEND_CONFIGURATION,
                                  "%s is no file. Name what memkv drive export wrote",
                                  reader->path);
    }
    reader->bytes = (uint64_t)status.st_size;
    if (fread(bytes, 1, sizeof bytes, reader->file) != sizeof bytes ||
        memcmp(bytes, header_magic, sizeof header_magic) != 0) {
        return mkv_backend_refuse(error, MKV_BACKEND_CONFIGURATION,
                                  "%s holds no blocks: it does not begin as what memkv drive "
                                  "export writes",
                                  reader->path);
    }
    if (mkv_hash_64(bytes + 16, HEADER_BYTES - 16) != mkv_load_u64(bytes + 8)) {
        return mkv_backend_refuse(error, MKV_BACKEND_IO,
                                  "%s is damaged: its header is not what its sum says",
                                  reader->path);
    }
    if (mkv_load_u32(bytes + 16) != MKV_BLOCK_STREAM_VERSION) {
        return mkv_backend_refuse(error, MKV_BACKEND_UNAVAILABLE,
                                  "%s has version %u of the format, and this release knows %u. "
                                  "Take the release that wrote it, or a newer one",
                                  reader->path, (unsigned)mkv_load_u32(bytes + 16),
                                  MKV_BLOCK_STREAM_VERSION);
    }
    reader->chain = mkv_load_u64(bytes + 8);
    memcpy(reader->header.store_uuid.bytes, bytes + 24, 16);
    memcpy(reader->header.drive_uuid.bytes, bytes + 40, 16);
    reader->header.drive_set_version = mkv_load_u64(bytes + 56);
    reader->header.wall_ms = mkv_load_u64(bytes + 64);
    return look_at_end(reader, error);
}

bool mkv_block_reader_open(struct mkv_block_reader *reader, const char *path,
                           struct mkv_backend_error *error) {
    memset(reader, 0, sizeof *reader);
    reader->path = path;
    /* A pipe that nobody writes to would be waited for; it is refused as no file. */
    const int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    reader->file = fd < 0 ? NULL : fdopen(fd, "r");
    reader->payload = malloc(MKV_BLOCK_BYTES_MAX);
    if (reader->file == NULL || reader->payload == NULL) {
        const int number = reader->file == NULL ? errno : ENOMEM;
        if (reader->file == NULL && fd >= 0) {
            close(fd);
        }
        mkv_block_reader_close(reader);
        return mkv_backend_refuse(error, MKV_BACKEND_IO, "%s cannot be opened: %s", path,
                                  strerror(number));
    }
    (void)setvbuf(reader->file, NULL, _IOFBF, BUFFER_BYTES);
    if (!read_header(reader, error)) {
        mkv_block_reader_close(reader);
        return false;
    }
    return true;
}

static bool take_payload(struct mkv_block_reader *reader, const struct mkv_block_record *record,
                         struct mkv_backend_error *error) {
    uint64_t sums[MKV_CHUNKS_MAX];
    if (fread(reader->payload, 1, record->length, reader->file) != record->length) {
        return refuse_damaged(reader, "ends before its payload does", error);
    }
    mkv_chunk_sums(reader->payload, record->length, sums);
    if (!mkv_root_equal(mkv_root_of_sums(record->length, sums), record->root)) {
        return refuse_damaged(reader, "has another payload than its root names", error);
    }
    reader->block_count++;
    reader->payload_bytes += record->length;
    return true;
}

bool mkv_block_reader_next(struct mkv_block_reader *reader, struct mkv_block_record *record,
                           struct mkv_backend_error *error) {
    uint8_t bytes[RECORD_BYTES + MKV_KEY_BYTES_MAX];
    if (fread(bytes, 1, RECORD_BYTES, reader->file) != RECORD_BYTES) {
        return refuse_damaged(reader, "is not there", error);
    }
    record_decode(bytes, record);
    if (!record_fits(bytes, record) || mkv_load_u64(bytes + 24) != reader->number) {
        return refuse_damaged(reader, "is none, or at another one's place", error);
    }
    if (fread(bytes + RECORD_BYTES, 1, record->key_bytes, reader->file) != record->key_bytes ||
        record_checksum(bytes, record->key_bytes) != mkv_load_u64(bytes)) {
        return refuse_damaged(reader, "is not what its sum says", error);
    }
    if (mkv_load_u64(bytes + 16) != reader->chain) {
        return refuse_damaged(reader, "does not follow the one before it", error);
    }
    memcpy(reader->key, bytes + RECORD_BYTES, record->key_bytes);
    record->key = reader->key;
    record->payload = reader->payload;
    if (record->kind == MKV_BLOCK_RECORD_BLOCK && !take_payload(reader, record, error)) {
        return false;
    }
    if (record->kind == MKV_BLOCK_RECORD_END && (record->block_count != reader->block_count ||
                                                 record->payload_bytes != reader->payload_bytes)) {
        return refuse_damaged(reader, "counts other blocks than there are", error);
    }
    reader->chain = mkv_load_u64(bytes);
    reader->number++;
    return true;
}

void mkv_block_reader_close(struct mkv_block_reader *reader) {
    if (reader->file != NULL) {
        fclose(reader->file);
    }
    free(reader->payload);
    reader->file = NULL;
    reader->payload = NULL;
}
