/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The commands of the RESP listener as clients ask for them: COMMAND, COMMAND COUNT, DOCS, INFO and
 * LIST are made from this table, and so are the errors for what stands in it with another number of
 * arguments, or not at all.
 *
 * Invariants
 *  I1  Every command that a RESP client is served is in the table, and no other.
 *  I2  Rows are in the order of their names; the subcommands of a command stand right behind it, in
 *      the order of theirs.
 *  I3  `arity` counts the command's name, and both words of a subcommand; below 0 it is the least.
 *
 * Not responsible for: carrying them out (backends/fabric_resp.h, server/resp_commands.h).
 */
#ifndef MKV_SERVER_RESP_COMMAND_TABLE_H
#define MKV_SERVER_RESP_COMMAND_TABLE_H

#include "wire/resp.h"

/* An argument of a command, the first of which is its name. */
struct mkv_resp_word {
    const uint8_t *bytes;
    uint32_t count;
};

enum mkv_resp_flag {
    MKV_RESP_WRITE = 1u << 0,
    MKV_RESP_READONLY = 1u << 1,
    MKV_RESP_FAST = 1u << 2,
    MKV_RESP_ADMIN = 1u << 3,
    MKV_RESP_NO_AUTH = 1u << 4, /* is served before AUTH */
    MKV_RESP_LOADING = 1u << 5, /* is served before the drives are open */
    MKV_RESP_NOSCRIPT = 1u << 6,
    MKV_RESP_DENYOOM = 1u << 7,
};
#define MKV_RESP_FLAG_COUNT 8u

struct mkv_resp_command_row {
    const char *name;   /* "get"; of a subcommand "client|id" */
    const char *parent; /* of a subcommand: "client"; else NULL */
    int32_t arity;
    uint32_t flags;
    /* Where keys stand: the first, the last (below 0: counted from the end), and the step. */
    int32_t first_key, last_key, key_step;
    const char *group; /* as Redis groups them */
    const char *since; /* of Redis; of memkv for its own */
    const char *summary;
};

extern const struct mkv_resp_command_row mkv_resp_command_rows[];
uint32_t mkv_resp_command_row_count(void);

/* The row of a command or, where it has subcommands and words[1] names one, of that; NULL where
 * there is none. */
const struct mkv_resp_command_row *mkv_resp_command_find(const struct mkv_resp_word *words,
                                                         uint32_t word_count);
/* Finds it, and holds its arity: NULL when an error was written instead, as Redis words it. */
const struct mkv_resp_command_row *mkv_resp_command_check(const struct mkv_resp_word *words,
                                                          uint32_t word_count,
                                                          struct mkv_resp_writer *writer);
/* COMMAND and its subcommands, whose row was found and checked. */
void mkv_resp_command_reply(const struct mkv_resp_word *words, uint32_t word_count,
                            struct mkv_resp_writer *writer);

/* Whether the word is this one, whatever the case of its letters. */
bool mkv_resp_word_is(struct mkv_resp_word word, const char *text);

#endif
