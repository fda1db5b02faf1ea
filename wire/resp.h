/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RESP, the protocol of Redis, versions 2 and 3: commands as clients send them, and replies. Pure
 * functions over bytes; docs/resp.md is the public form of this page.
 *
 *   command, multibulk   *2\r\n $3\r\nGET\r\n $1\r\nk\r\n          (\r\n are two bytes; no spaces)
 *   command, inline      GET "a key"\r\n
 *   reply                +OK\r\n  -ERR text\r\n  :1\r\n  $3\r\nabc\r\n  *2\r\n...  and of RESP3
 *                        _\r\n  #t\r\n  %1\r\n...  ~1\r\n...  =7\r\ntxt:abc\r\n
 *
 *   The parser hands out events. A command is
 *
 *     BEGIN (argument_count)   then for each argument ARGUMENT or LARGE, then END
 *
 *   An argument of more than large_above bytes is LARGE: it is told of as soon as its length is
 *   known, so that its bytes can go where they belong. The caller takes all of them, and goes on
 *   with what is behind.
 *
 * Invariants
 *  I1  Nothing is allocated, and the parser never asks for more bytes in a row than
 *      MKV_RESP_LINE_BYTES_MAX, or large_above and the length before it: that much room is enough.
 *  I2  Parsing is safe on any bytes. After a FAULT the connection is out of step for good.
 *  I3  What the parser makes of bytes does not depend on how they are cut into pieces.
 *  I4  A writer never writes beyond its capacity; what did not fit makes it `overflowed`.
 *
 * Not responsible for: what commands mean.
 */
#ifndef MKV_WIRE_RESP_H
#define MKV_WIRE_RESP_H

#include "core/base.h"

/* The longest inline command, and the longest line with a count or length. */
#define MKV_RESP_LINE_BYTES_MAX (16u * 1024u)
/* More arguments, or a longer one, is a fault. */
#define MKV_RESP_ARGUMENTS_MAX (1024u * 1024u)
#define MKV_RESP_BULK_BYTES_MAX (4ull * MKV_GIB)
/* What one may send who has not said who he is. */
#define MKV_RESP_STRANGER_ARGUMENTS_MAX 10u
#define MKV_RESP_STRANGER_BULK_BYTES_MAX 16384u

/* ---- commands ------------------------------------------------------------------------------- */

enum mkv_resp_event {
    MKV_RESP_MORE = 0, /* more bytes are needed */
    MKV_RESP_BEGIN,
    MKV_RESP_ARGUMENT,
    MKV_RESP_LARGE,
    MKV_RESP_END,
    MKV_RESP_FAULT,
};

enum mkv_resp_fault {
    MKV_RESP_FAULT_NONE = 0,
    MKV_RESP_FAULT_MULTIBULK_LENGTH,
    MKV_RESP_FAULT_MULTIBULK_LINE, /* has no end */
    MKV_RESP_FAULT_BULK_LENGTH,
    MKV_RESP_FAULT_BULK_LINE,
    MKV_RESP_FAULT_BULK_EXPECTED,
    MKV_RESP_FAULT_BULK_END, /* something else than \r\n behind the bytes of an argument */
    MKV_RESP_FAULT_INLINE_LINE,
    MKV_RESP_FAULT_INLINE_QUOTES,
    MKV_RESP_FAULT_STRANGER_MULTIBULK,
    MKV_RESP_FAULT_STRANGER_BULK,
};
#define MKV_RESP_FAULT_COUNT 11u

enum mkv_resp_parser_state {
    MKV_RESP_AT_COMMAND = 0,
    MKV_RESP_AT_BULK, /* at the length of an argument */
    MKV_RESP_AT_BYTES,
    MKV_RESP_AT_BULK_END, /* behind the bytes of a LARGE one */
    MKV_RESP_AT_INLINE,
    MKV_RESP_AT_END,
};

/* All zeroes is a parser at the start of a connection, but for large_above. */
struct mkv_resp_parser {
    /* Set by the caller. */
    uint32_t large_above; /* at most 2^31 */
    bool stranger;        /* has not said who he is where one has to: see above */
    /* For the caller. */
    uint32_t argument_count; /* of the command that has begun */
    uint64_t argument_bytes; /* ARGUMENT, LARGE */
    const uint8_t *argument; /* ARGUMENT: within what parse was given */
    bool is_inline;
    /* The parser's own. */
    enum mkv_resp_parser_state state;
    uint32_t arguments_left;
    uint32_t line_bytes; /* what is left of an inline command, with its end */
    enum mkv_resp_fault fault;
    uint8_t fault_byte;
};

/*
 * Takes the next event off `bytes`, whose first *consumed bytes are then done with: the next call
 * begins behind them, with as many more as have come. Arguments stand in `bytes` as they came, but
 * for those of an inline command, out of which quotes and escapes are taken in place.
 */
enum mkv_resp_event mkv_resp_parse(struct mkv_resp_parser *parser, uint8_t *bytes,
                                   uint32_t byte_count, uint32_t *consumed);

/* Whether a command has begun. */
static inline bool mkv_resp_parser_is_within(const struct mkv_resp_parser *parser) {
    return parser->state != MKV_RESP_AT_COMMAND;
}

#define MKV_RESP_FAULT_TEXT_BYTES 80u
/* What the client is told: "Protocol error: invalid bulk length". */
void mkv_resp_fault_text(const struct mkv_resp_parser *parser,
                         char text[MKV_RESP_FAULT_TEXT_BYTES]);

/* A decimal integer as Redis takes it: no space, no plus, no zeros before it. */
bool mkv_resp_integer_parse(const uint8_t *bytes, uint64_t byte_count, int64_t *value);
/* Whether the bytes are the word, whatever the case of either's letters. */
bool mkv_resp_is_word(const uint8_t *bytes, uint64_t byte_count, const char *word);

/* ---- replies -------------------------------------------------------------------------------- */

struct mkv_resp_writer {
    uint8_t *bytes;
    uint32_t capacity;
    uint32_t length;
    uint32_t protocol; /* 2 or 3 */
    bool overflowed;   /* a reply did not fit; `length` is where it would have begun */
};

/* The longest of those that hold no text of others: a number and what is around it. */
#define MKV_RESP_NUMBER_BYTES_MAX 24u

void mkv_resp_write_simple(struct mkv_resp_writer *writer, const char *text);
/* "ERR ...": what is no printable ASCII becomes a space, so that a reply stays one line. */
void mkv_resp_write_error(struct mkv_resp_writer *writer, const char *text);
void mkv_resp_write_integer(struct mkv_resp_writer *writer, int64_t value);
void mkv_resp_write_bulk(struct mkv_resp_writer *writer, const void *bytes, uint32_t byte_count);
void mkv_resp_write_text(struct mkv_resp_writer *writer, const char *text);
/* The line before the bytes of a bulk, which somebody else sends, and \r\n behind them. */
void mkv_resp_write_bulk_header(struct mkv_resp_writer *writer, uint64_t byte_count);
void mkv_resp_write_bulk_end(struct mkv_resp_writer *writer);
/* No value: $-1 or _; no list: *-1 or _. */
void mkv_resp_write_null(struct mkv_resp_writer *writer);
void mkv_resp_write_null_array(struct mkv_resp_writer *writer);
/* Behind these follow `count` replies, of a map twice as many. */
void mkv_resp_write_array(struct mkv_resp_writer *writer, uint32_t count);
void mkv_resp_write_map(struct mkv_resp_writer *writer, uint32_t count);
void mkv_resp_write_set(struct mkv_resp_writer *writer, uint32_t count);
void mkv_resp_write_bool(struct mkv_resp_writer *writer, bool value);
/* Text for people, of several lines. */
void mkv_resp_write_verbatim(struct mkv_resp_writer *writer, const char *text, uint32_t byte_count);

#endif
