/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes at all are given to the parser of RESP commands, whole and cut in pieces, as sockets
 * do. Whatever they are: no assertion, no crash, no read beyond what was given; and what comes of
 * them does not depend on the cuts.
 *
 *   tests/corpus/resp   a byte that says how the rest is cut, then what a client sends
 */
#include <stdlib.h>
#include <string.h>

#include "core/hash.h"
#include "wire/resp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What a parse came to, told event by event. */
struct outcome {
    uint64_t hash;
    uint64_t events;
};

static void tell(struct outcome *outcome, const void *bytes, size_t byte_count) {
    outcome->hash = mkv_hash_64_seeded(bytes, byte_count, outcome->hash);
    outcome->events++;
}

static void tell_event(struct outcome *outcome, const struct mkv_resp_parser *parser,
                       enum mkv_resp_event event) {
    const uint64_t numbers[3] = {(uint64_t)event, parser->argument_count,
                                 event == MKV_RESP_LARGE ? parser->argument_bytes : 0};
    tell(outcome, numbers, sizeof numbers);
    if (event == MKV_RESP_ARGUMENT) {
        tell(outcome, parser->argument, parser->argument_bytes);
    } else if (event == MKV_RESP_FAULT) {
        char text[MKV_RESP_FAULT_TEXT_BYTES];
        mkv_resp_fault_text(parser, text);
        tell(outcome, text, strlen(text));
    }
}

static struct outcome parse(const uint8_t *data, size_t size, size_t piece, bool stranger) {
    struct mkv_resp_parser parser = {
        .large_above = stranger ? MKV_RESP_STRANGER_BULK_BYTES_MAX : 64,
        .stranger = stranger,
    };
    struct outcome outcome = {0};
    uint8_t *bytes = malloc(size + 1);
    MKV_ASSERT(bytes != NULL);
    memcpy(bytes, data, size);
    size_t at = 0;
    size_t there = mkv_min_u64(piece, size);
    uint64_t skip = 0;
    for (;;) {
        const uint64_t skipped = mkv_min_u64(skip, there - at);
        at += skipped;
        skip -= skipped;
        uint32_t consumed = 0;
        enum mkv_resp_event event = MKV_RESP_MORE;
        if (skip == 0) {
            /* A copy that ends where the bytes end, so that a read beyond them is seen. */
            uint8_t *copy = malloc(there - at + 1);
            MKV_ASSERT(copy != NULL);
            memcpy(copy, bytes + at, there - at);
            uint8_t *exact = realloc(copy, there - at > 0 ? there - at : 1);
            MKV_ASSERT(exact != NULL);
            event = mkv_resp_parse(&parser, exact, (uint32_t)(there - at), &consumed);
            MKV_ASSERT(consumed <= there - at);
            if (event != MKV_RESP_MORE) {
                tell_event(&outcome, &parser, event);
            }
            memcpy(bytes + at, exact, there - at);
            free(exact);
        }
        at += consumed;
        if (event == MKV_RESP_LARGE) {
            skip = parser.argument_bytes;
        }
        if (event == MKV_RESP_FAULT || (event == MKV_RESP_MORE && there == size)) {
            break;
        }
        if (event == MKV_RESP_MORE) {
            there = mkv_min_u64(there + piece, size);
        }
    }
    free(bytes);
    return outcome;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 1) {
        return 0;
    }
    const bool stranger = (data[0] & 0x80) != 0;
    const size_t piece = 1 + (data[0] & 0x7f);
    const struct outcome whole = parse(data + 1, size - 1, size, stranger);
    const struct outcome cut = parse(data + 1, size - 1, piece, stranger);
    MKV_ASSERT(whole.hash == cut.hash);
    MKV_ASSERT(whole.events == cut.events);
    return 0;
}
