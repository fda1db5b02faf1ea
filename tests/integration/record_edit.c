/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes a record that is whole, and yet not what was recorded: for tests of the replay.
 *
 *   record_edit core FILE OUT    as if another build of the core had recorded it
 *   record_edit input FILE OUT   with another key in the first request of a client; prints the
 *                                number of that input
 *
 * All checksums hold in what it writes.
 *
 * Exit status: 0 done, 2 it could not be.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/bytes.h"
#include "record/format.h"
#include "record/machine_codec.h"

#define EXIT_CANNOT 2
#define FILE_BYTES_MAX (256u * 1024u * 1024u)

struct bytes {
    uint8_t *data;
    size_t count;
};

static int cannot(const char *what) {
    fprintf(stderr, "record_edit: %s\n", what);
    return EXIT_CANNOT;
}

static bool read_file(const char *path, struct bytes *file) {
    FILE *in = fopen(path, "rb");
    file->data = malloc(FILE_BYTES_MAX);
    if (in == NULL || file->data == NULL) {
        return false;
    }
    file->count = fread(file->data, 1, FILE_BYTES_MAX, in);
    return fclose(in) == 0;
}

/* The bodies of all chunks, one behind the other. */
static bool read_stream(const struct bytes *file, struct bytes *stream) {
    stream->data = malloc(file->count);
    stream->count = 0;
    uint64_t number = 0;
    for (size_t at = MKV_RECORD_HEADER_BYTES; stream->data != NULL && at < file->count;) {
        bool damaged;
        const uint32_t bytes =
            mkv_record_chunk_open(file->data + at, file->count - at, number, &damaged);
        if (bytes == 0) {
            return false;
        }
        memcpy(stream->data + stream->count, file->data + at + MKV_RECORD_CHUNK_HEADER_BYTES,
               bytes);
        stream->count += bytes;
        at += MKV_RECORD_CHUNK_HEADER_BYTES + bytes;
        number++;
    }
    return stream->data != NULL;
}

/* The entry with its kind, if it is a request, with another first key. */
static bool change_request(uint8_t *entry, size_t bytes, struct mkv_record_storage *storage) {
    struct mkv_codec reader = mkv_codec_reader(entry + 1, bytes - 1);
    uint32_t machine = 0;
    struct mkv_input input;
    mkv_codec_u32(&reader, &machine);
    mkv_record_input_read(&reader, storage, &input);
    if (machine != MKV_RECORD_MACHINE_FRONT || input.kind != MKV_INPUT_REQUEST) {
        return false;
    }
    storage->data[0] ^= 1;
    struct mkv_codec writer = mkv_codec_writer(entry + 1, bytes - 1);
    mkv_codec_u32(&writer, &machine);
    mkv_record_input_write(&writer, &input);
    return !writer.failed;
}

static bool change_input(struct bytes *stream) {
    struct mkv_record_storage *storage = calloc(1, sizeof *storage);
    uint64_t number = 0;
    for (size_t at = 0; storage != NULL && at + MKV_RECORD_ENTRY_BYTES_MIN <= stream->count;) {
        const uint32_t bytes = mkv_load_u32(stream->data + at);
        uint8_t *entry = stream->data + at + MKV_RECORD_LENGTH_BYTES;
        number += entry[0] == MKV_RECORD_INPUT;
        if (entry[0] == MKV_RECORD_INPUT && change_request(entry, bytes, storage)) {
            printf("%llu\n", (unsigned long long)number);
            free(storage);
            return true;
        }
        at += MKV_RECORD_LENGTH_BYTES + bytes;
    }
    free(storage);
    return false;
}

static bool write_file(const char *path, const uint8_t *header, const struct bytes *stream) {
    static uint8_t chunk[MKV_RECORD_CHUNK_BYTES];
    FILE *out = fopen(path, "wb");
    if (out == NULL) {
        return false;
    }
    bool good = fwrite(header, MKV_RECORD_HEADER_BYTES, 1, out) == 1;
    uint64_t number = 0;
    for (size_t at = 0; good && at < stream->count; number++) {
        const uint32_t bytes = (uint32_t)mkv_min_u64(MKV_RECORD_BODY_BYTES_MAX, stream->count - at);
        memcpy(chunk + MKV_RECORD_CHUNK_HEADER_BYTES, stream->data + at, bytes);
        mkv_record_chunk_seal(chunk, bytes, number);
        good = fwrite(chunk, MKV_RECORD_CHUNK_HEADER_BYTES + bytes, 1, out) == 1;
        at += bytes;
    }
    return fclose(out) == 0 && good;
}

int main(int argc, char **argv) {
    if (argc != 4) {
        return cannot("usage: record_edit core|input FILE OUT");
    }
    struct bytes file = {0};
    struct bytes stream = {0};
    struct mkv_record_header header;
    uint32_t version;
    if (!read_file(argv[2], &file) || file.count < MKV_RECORD_HEADER_BYTES ||
        mkv_record_header_decode(file.data, &header, &version) != MKV_RECORD_HEADER_GOOD ||
        !read_stream(&file, &stream)) {
        return cannot("there is no whole record to be read");
    }
    if (strcmp(argv[1], "core") == 0) {
        header.core[0] = header.core[0] == '0' ? '1' : '0';
    } else if (strcmp(argv[1], "input") != 0 || !change_input(&stream)) {
        return cannot("there is nothing to change");
    }
    mkv_record_header_encode(&header, file.data);
    const bool written = write_file(argv[3], file.data, &stream);
    free(file.data);
    free(stream.data);
    return written ? 0 : cannot("the result cannot be written");
}
