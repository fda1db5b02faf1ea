/* SPDX-License-Identifier: Apache-2.0 */
/* Finding rows of the table of commands, and COMMAND. */
#include <stdio.h>
#include <string.h>

#include "server/resp_command_table.h"
#include "server/resp_glob.h"

/* Of an error, that are made of what the client sent: as many as Redis shows. */
#define SHOWN_BYTES_MAX 128u
#define ERROR_BYTES_MAX 512u

static const char *const flag_names[MKV_RESP_FLAG_COUNT] = {
    "write", "readonly", "fast", "admin", "no_auth", "loading", "noscript", "denyoom",
};

bool mkv_resp_word_is(struct mkv_resp_word word, const char *text) {
    return mkv_resp_is_word(word.bytes, word.count, text);
}

static const char *own_name(const struct mkv_resp_command_row *row) {
    return row->parent == NULL ? row->name : row->name + strlen(row->parent) + 1;
}

static bool is_child(const struct mkv_resp_command_row *row,
                     const struct mkv_resp_command_row *parent) {
    return row->parent != NULL && strcmp(row->parent, parent->name) == 0;
}

/* How many rows behind this one are subcommands of it. */
static uint32_t child_count(const struct mkv_resp_command_row *row) {
    const uint32_t index = (uint32_t)(row - mkv_resp_command_rows);
    uint32_t count = 0;
    while (index + 1 + count < mkv_resp_command_row_count() &&
           is_child(&mkv_resp_command_rows[index + 1 + count], row)) {
        count++;
    }
    return count;
}

static const struct mkv_resp_command_row *find_top(struct mkv_resp_word word) {
    for (uint32_t i = 0; i < mkv_resp_command_row_count(); i++) {
        const struct mkv_resp_command_row *row = &mkv_resp_command_rows[i];
        if (row->parent == NULL && mkv_resp_word_is(word, row->name)) {
            return row;
        }
    }
    return NULL;
}

static const struct mkv_resp_command_row *find_child(const struct mkv_resp_command_row *parent,
                                                     struct mkv_resp_word word) {
    const uint32_t count = child_count(parent);
    for (uint32_t i = 1; i <= count; i++) {
        if (mkv_resp_word_is(word, own_name(parent + i))) {
            return parent + i;
        }
    }
    return NULL;
}

const struct mkv_resp_command_row *mkv_resp_command_find(const struct mkv_resp_word *words,
                                                         uint32_t word_count) {
    const struct mkv_resp_command_row *row = word_count == 0 ? NULL : find_top(words[0]);
    if (row == NULL || word_count < 2 || child_count(row) == 0) {
        return row;
    }
    return find_child(row, words[1]);
}

/* Bytes of the word that an error shows: up to a NUL, and no more than `max`. */
static int shown(struct mkv_resp_word word, uint32_t max) {
    const uint32_t count = (uint32_t)mkv_min_u64(word.count, max);
    const uint8_t *nul = count == 0 ? NULL : memchr(word.bytes, '\0', count);
    return nul == NULL ? (int)count : (int)(nul - word.bytes);
}

static void write_unknown(const struct mkv_resp_word *words, uint32_t word_count,
                          struct mkv_resp_writer *writer) {
    char arguments[2 * SHOWN_BYTES_MAX + 16] = "";
    size_t count = 0;
    for (uint32_t i = 1; i < word_count && count < SHOWN_BYTES_MAX; i++) {
        count += (size_t)snprintf(arguments + count, sizeof arguments - count, "'%.*s' ",
                                  shown(words[i], SHOWN_BYTES_MAX - (uint32_t)count),
                                  (const char *)words[i].bytes);
    }
    char text[ERROR_BYTES_MAX];
    snprintf(text, sizeof text, "ERR unknown command '%.*s', with args beginning with: %s",
             shown(words[0], SHOWN_BYTES_MAX), (const char *)words[0].bytes, arguments);
    mkv_resp_write_error(writer, text);
}

static void write_unknown_child(const struct mkv_resp_command_row *parent,
                                struct mkv_resp_word word, struct mkv_resp_writer *writer) {
    char upper[32];
    snprintf(upper, sizeof upper, "%s", parent->name);
    for (char *at = upper; *at != '\0'; at++) {
        *at = *at >= 'a' && *at <= 'z' ? (char)(*at - 'a' + 'A') : *at;
    }
    char text[ERROR_BYTES_MAX];
    snprintf(text, sizeof text, "ERR unknown subcommand '%.*s'. Try %s HELP.",
             shown(word, SHOWN_BYTES_MAX), (const char *)word.bytes, upper);
    mkv_resp_write_error(writer, text);
}

const struct mkv_resp_command_row *mkv_resp_command_check(const struct mkv_resp_word *words,
                                                          uint32_t word_count,
                                                          struct mkv_resp_writer *writer) {
    MKV_ASSERT(word_count > 0);
    const struct mkv_resp_command_row *row = mkv_resp_command_find(words, word_count);
    if (row == NULL) {
        const struct mkv_resp_command_row *parent = find_top(words[0]);
        if (parent == NULL) {
            write_unknown(words, word_count, writer);
        } else {
            write_unknown_child(parent, words[1], writer);
        }
        return NULL;
    }
    const bool fits =
        row->arity < 0 ? word_count >= (uint32_t)-row->arity : word_count == (uint32_t)row->arity;
    if (!fits) {
        char text[ERROR_BYTES_MAX];
        snprintf(text, sizeof text, "ERR wrong number of arguments for '%s' command", row->name);
        mkv_resp_write_error(writer, text);
        return NULL;
    }
    return row;
}

/* ---- COMMAND --------------------------------------------------------------------------------- */

static void write_flags(uint32_t flags, struct mkv_resp_writer *writer) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < MKV_RESP_FLAG_COUNT; i++) {
        count += (flags >> i) & 1;
    }
    mkv_resp_write_set(writer, count);
    for (uint32_t i = 0; i < MKV_RESP_FLAG_COUNT; i++) {
        if ((flags >> i) & 1) {
            mkv_resp_write_simple(writer, flag_names[i]);
        }
    }
}

/* What a command is to an ACL of Redis: made from its flags and group. */
static void write_categories(const struct mkv_resp_command_row *row,
                             struct mkv_resp_writer *writer) {
    const char *names[5];
    uint32_t count = 0;
    if (row->flags & MKV_RESP_WRITE) {
        names[count++] = "@write";
    }
    if (row->flags & MKV_RESP_READONLY) {
        names[count++] = "@read";
    }
    if (strcmp(row->group, "string") == 0) {
        names[count++] = "@string";
    } else if (strcmp(row->group, "generic") == 0) {
        names[count++] = "@keyspace";
    } else if (strcmp(row->group, "connection") == 0) {
        names[count++] = "@connection";
    }
    if (row->flags & MKV_RESP_ADMIN) {
        names[count++] = "@admin";
    }
    names[count++] = row->flags & MKV_RESP_FAST ? "@fast" : "@slow";
    mkv_resp_write_set(writer, count);
    for (uint32_t i = 0; i < count; i++) {
        mkv_resp_write_simple(writer, names[i]);
    }
}

/* Ten elements; the children of a command are in its last one. */
static void write_info(const struct mkv_resp_command_row *row, bool with_children,
                       struct mkv_resp_writer *writer) {
    const uint32_t children = with_children ? child_count(row) : 0;
    mkv_resp_write_array(writer, 10);
    mkv_resp_write_text(writer, row->name);
    mkv_resp_write_integer(writer, row->arity);
    write_flags(row->flags, writer);
    mkv_resp_write_integer(writer, row->first_key);
    mkv_resp_write_integer(writer, row->last_key);
    mkv_resp_write_integer(writer, row->key_step);
    write_categories(row, writer);
    mkv_resp_write_array(writer, 0); /* tips */
    mkv_resp_write_array(writer, 0); /* where keys are, in other words */
    mkv_resp_write_array(writer, children);
    for (uint32_t i = 1; i <= children; i++) {
        write_info(row + i, false, writer);
    }
}

static void write_doc(const struct mkv_resp_command_row *row, bool with_children,
                      struct mkv_resp_writer *writer) {
    const uint32_t children = with_children ? child_count(row) : 0;
    mkv_resp_write_text(writer, row->name);
    mkv_resp_write_map(writer, 3 + (children > 0));
    mkv_resp_write_text(writer, "summary");
    mkv_resp_write_text(writer, row->summary);
    mkv_resp_write_text(writer, "since");
    mkv_resp_write_text(writer, row->since);
    mkv_resp_write_text(writer, "group");
    mkv_resp_write_text(writer, row->group);
    if (children > 0) {
        mkv_resp_write_text(writer, "subcommands");
        mkv_resp_write_map(writer, children);
        for (uint32_t i = 1; i <= children; i++) {
            write_doc(row + i, false, writer);
        }
    }
}

static uint32_t top_count(void) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < mkv_resp_command_row_count(); i++) {
        count += mkv_resp_command_rows[i].parent == NULL;
    }
    return count;
}

/* "get", "client|id": any row. */
static const struct mkv_resp_command_row *find_full(struct mkv_resp_word word) {
    for (uint32_t i = 0; i < mkv_resp_command_row_count(); i++) {
        if (mkv_resp_word_is(word, mkv_resp_command_rows[i].name)) {
            return &mkv_resp_command_rows[i];
        }
    }
    return NULL;
}

static void reply_info(const struct mkv_resp_word *names, uint32_t name_count,
                       struct mkv_resp_writer *writer) {
    mkv_resp_write_array(writer, name_count > 0 ? name_count : top_count());
    for (uint32_t i = 0; i < name_count; i++) {
        const struct mkv_resp_command_row *row = find_full(names[i]);
        if (row == NULL) {
            mkv_resp_write_null(writer);
        } else {
            write_info(row, true, writer);
        }
    }
    for (uint32_t i = 0; name_count == 0 && i < mkv_resp_command_row_count(); i++) {
        if (mkv_resp_command_rows[i].parent == NULL) {
            write_info(&mkv_resp_command_rows[i], true, writer);
        }
    }
}

/* Names that there are not are left out. */
static void reply_docs(const struct mkv_resp_word *names, uint32_t name_count,
                       struct mkv_resp_writer *writer) {
    uint32_t known = 0;
    for (uint32_t i = 0; i < name_count; i++) {
        known += find_full(names[i]) != NULL;
    }
    mkv_resp_write_map(writer, name_count > 0 ? known : top_count());
    for (uint32_t i = 0; i < name_count; i++) {
        const struct mkv_resp_command_row *row = find_full(names[i]);
        if (row != NULL) {
            write_doc(row, true, writer);
        }
    }
    for (uint32_t i = 0; name_count == 0 && i < mkv_resp_command_row_count(); i++) {
        if (mkv_resp_command_rows[i].parent == NULL) {
            write_doc(&mkv_resp_command_rows[i], true, writer);
        }
    }
}

static bool is_listed(const struct mkv_resp_command_row *row, const struct mkv_resp_word *pattern) {
    if (row->parent != NULL || pattern == NULL) {
        return row->parent == NULL;
    }
    const struct mkv_resp_bytes glob = {pattern->bytes, pattern->count};
    const struct mkv_resp_bytes name = {(const uint8_t *)row->name, (uint32_t)strlen(row->name)};
    return mkv_resp_glob_matches(glob, name, true);
}

/* COMMAND LIST [FILTERBY PATTERN pattern]. */
static void reply_list(const struct mkv_resp_word *words, uint32_t word_count,
                       struct mkv_resp_writer *writer) {
    const struct mkv_resp_word *pattern = NULL;
    if (word_count == 3 && mkv_resp_word_is(words[0], "filterby") &&
        mkv_resp_word_is(words[1], "pattern")) {
        pattern = &words[2];
    } else if (word_count != 0) {
        mkv_resp_write_error(writer, "ERR syntax error");
        return;
    }
    uint32_t count = 0;
    for (uint32_t i = 0; i < mkv_resp_command_row_count(); i++) {
        count += is_listed(&mkv_resp_command_rows[i], pattern);
    }
    mkv_resp_write_set(writer, count);
    for (uint32_t i = 0; i < mkv_resp_command_row_count(); i++) {
        if (is_listed(&mkv_resp_command_rows[i], pattern)) {
            mkv_resp_write_text(writer, mkv_resp_command_rows[i].name);
        }
    }
}

void mkv_resp_command_reply(const struct mkv_resp_word *words, uint32_t word_count,
                            struct mkv_resp_writer *writer) {
    if (word_count == 1) {
        reply_info(NULL, 0, writer);
    } else if (mkv_resp_word_is(words[1], "count")) {
        mkv_resp_write_integer(writer, top_count());
    } else if (mkv_resp_word_is(words[1], "docs")) {
        reply_docs(words + 2, word_count - 2, writer);
    } else if (mkv_resp_word_is(words[1], "info")) {
        reply_info(words + 2, word_count - 2, writer);
    } else {
        reply_list(words + 2, word_count - 2, writer);
    }
}
