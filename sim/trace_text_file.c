/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/trace_text_file.h"

#include <errno.h>
#include <lzma.h>
#include <stdlib.h>
#include <string.h>

#define READ_BYTES 65536u
#define XZ_MEMORY_BYTES_MAX (256u * 1024u * 1024u)

static const uint8_t xz_signature[6] = {0xfd, '7', 'z', 'X', 'Z', 0};

/* Room for `bytes` more behind the text; doubles, up to the bound. */
static bool make_room(struct mkv_trace_text *text, size_t *capacity, size_t bytes) {
    if (text->count + bytes <= *capacity) {
        return true;
    }
    if (text->count + bytes > MKV_TRACE_TEXT_BYTES_MAX) {
        return false;
    }
    const size_t larger = mkv_max_u64(text->count + bytes, *capacity * 2);
    uint8_t *moved = realloc(text->bytes, larger);
    if (moved == NULL) {
        return false;
    }
    text->bytes = moved;
    *capacity = larger;
    return true;
}

static const char *read_all(FILE *file, struct mkv_trace_text *text) {
    size_t capacity = 0;
    for (;;) {
        if (!make_room(text, &capacity, READ_BYTES)) {
            return "it is larger than 1 GiB, or than memory; cut the trace";
        }
        const size_t count = fread(text->bytes + text->count, 1, READ_BYTES, file);
        text->count += count;
        if (count == 0) {
            return ferror(file) ? strerror(errno) : NULL;
        }
    }
}

static const char *decompress(struct mkv_trace_text *text) {
    struct mkv_trace_text plain = {0};
    size_t capacity = 0;
    lzma_stream stream = LZMA_STREAM_INIT;
    if (lzma_stream_decoder(&stream, XZ_MEMORY_BYTES_MAX, LZMA_CONCATENATED) != LZMA_OK) {
        return "there is no memory to decompress it";
    }
    stream.next_in = text->bytes;
    stream.avail_in = text->count;
    const char *problem = NULL;
    lzma_ret state = LZMA_OK;
    while (problem == NULL && state == LZMA_OK) {
        if (!make_room(&plain, &capacity, READ_BYTES)) {
            problem = "its text is larger than 1 GiB, or than memory; cut the trace";
            break;
        }
        stream.next_out = plain.bytes + plain.count;
        stream.avail_out = READ_BYTES;
        state = lzma_code(&stream, LZMA_FINISH);
        plain.count += READ_BYTES - stream.avail_out;
    }
    lzma_end(&stream);
    if (problem == NULL && state != LZMA_STREAM_END) {
        problem = "its xz stream is damaged or cut off; fetch it again";
    }
    mkv_trace_text_free(text);
    *text = plain;
    return problem;
}

bool mkv_trace_text_read(struct mkv_trace_text *text, const char *path,
                         char error[MKV_TRACE_ERROR_BYTES]) {
    *text = (struct mkv_trace_text){0};
    FILE *file = fopen(path, "rb");
    const char *problem = file == NULL ? strerror(errno) : read_all(file, text);
    if (file != NULL) {
        (void)fclose(file);
    }
    if (problem == NULL && text->count >= sizeof xz_signature &&
        memcmp(text->bytes, xz_signature, sizeof xz_signature) == 0) {
        problem = decompress(text);
    }
    if (problem != NULL) {
        snprintf(error, MKV_TRACE_ERROR_BYTES, "%.100s: %.120s", path, problem);
        mkv_trace_text_free(text);
    }
    return problem == NULL;
}

void mkv_trace_text_free(struct mkv_trace_text *text) {
    free(text->bytes);
    *text = (struct mkv_trace_text){0};
}
