/* SPDX-License-Identifier: Apache-2.0 */
#include "server/resp_command_table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "server/resp_commands.h"

#define WORDS_MAX 16u

struct fixture {
    struct mkv_resp_word words[WORDS_MAX];
    uint32_t word_count;
    char line[512];
    uint8_t reply[65536];
    struct mkv_resp_writer writer;
};

/* Splits a line at its spaces. */
static void split(struct fixture *f, const char *line) {
    memset(f, 0, sizeof *f);
    f->writer =
        (struct mkv_resp_writer){.bytes = f->reply, .capacity = sizeof f->reply - 1, .protocol = 2};
    memcpy(f->line, line, strlen(line) + 1);
    char *save = NULL;
    for (char *at = strtok_r(f->line, " ", &save); at != NULL; at = strtok_r(NULL, " ", &save)) {
        assert_true(f->word_count < WORDS_MAX);
        f->words[f->word_count++] =
            (struct mkv_resp_word){(const uint8_t *)at, (uint32_t)strlen(at)};
    }
}

static const struct mkv_resp_command_row *check(struct fixture *f, const char *line) {
    split(f, line);
    return mkv_resp_command_check(f->words, f->word_count, &f->writer);
}

/* The errors are those of redis-server 7.0.15, to the byte. */
static void test_resp_command__what_there_is_not__is_refused_as_redis_words_it(void **state) {
    (void)state;
    static const struct {
        const char *line;
        const char *reply;
    } cases[] = {
        {"foo", "-ERR unknown command 'foo', with args beginning with: \r\n"},
        {"FOO a b", "-ERR unknown command 'FOO', with args beginning with: 'a' 'b' \r\n"},
        {"client foo", "-ERR unknown subcommand 'foo'. Try CLIENT HELP.\r\n"},
        {"get", "-ERR wrong number of arguments for 'get' command\r\n"},
        {"GET a b", "-ERR wrong number of arguments for 'get' command\r\n"},
        {"client", "-ERR wrong number of arguments for 'client' command\r\n"},
        {"client setname", "-ERR wrong number of arguments for 'client|setname' command\r\n"},
        {"memory usage", "-ERR wrong number of arguments for 'memory|usage' command\r\n"},
    };
    struct fixture *f = malloc(sizeof *f);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_null(check(f, cases[i].line));
        assert_string_equal((const char *)f->reply, cases[i].reply);
    }
    free(f);
}

static void test_resp_command__a_long_unknown_one__is_shown_in_part(void **state) {
    (void)state;
    struct fixture *f = malloc(sizeof *f);
    char line[512];
    memset(line, 'x', 300);
    memcpy(line + 300, " a", 3);
    assert_null(check(f, line));
    char expected[512] = "-ERR unknown command '";
    const size_t begin = strlen(expected);
    memset(expected + begin, 'x', 128);
    memcpy(expected + begin + 128, "', with args beginning with: 'a' \r\n", 36);
    assert_string_equal((const char *)f->reply, expected);
    free(f);
}

static void test_resp_command__names_in_any_case__are_found(void **state) {
    (void)state;
    struct fixture *f = malloc(sizeof *f);
    assert_string_equal(check(f, "GeT k")->name, "get");
    assert_string_equal(check(f, "CLIENT Id")->name, "client|id");
    assert_string_equal(check(f, "command")->name, "command");
    assert_string_equal(check(f, "COMMAND COUNT")->name, "command|count");
    assert_string_equal(check(f, "stats.memory")->name, "stats.memory");
    free(f);
}

static void test_resp_command_table__rows__are_in_order_and_parents_come_first(void **state) {
    (void)state;
    for (uint32_t i = 0; i + 1 < mkv_resp_command_row_count(); i++) {
        const struct mkv_resp_command_row *row = &mkv_resp_command_rows[i];
        const struct mkv_resp_command_row *next = row + 1;
        if (next->parent != NULL) {
            const char *family = row->parent == NULL ? row->name : row->parent;
            assert_string_equal(next->parent, family);
            assert_memory_equal(next->name, family, strlen(family));
            assert_int_equal(next->name[strlen(family)], '|');
        }
        if ((row->parent == NULL) == (next->parent == NULL)) {
            assert_true(strcmp(row->name, next->name) < 0);
        }
    }
}

/* How many elements a reply has; *at goes behind it. */
static uint32_t count_elements(const char **at) {
    const char type = **at;
    const long number = strtol(*at + 1, NULL, 10);
    *at = strstr(*at, "\r\n") + 2;
    if (type == '$' && number >= 0) {
        *at += number + 2;
    }
    for (long i = 0; type == '*' && i < number; i++) {
        count_elements(at);
    }
    return type == '*' && number >= 0 ? (uint32_t)number : 0;
}

static void test_resp_command__command_and_docs__are_whole_replies(void **state) {
    (void)state;
    static const char *const lines[] = {"command", "command docs", "command list",
                                        "command info get nosuch client", "command docs get foo"};
    struct fixture *f = malloc(sizeof *f);
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        split(f, lines[i]);
        mkv_resp_command_reply(f->words, f->word_count, &f->writer);
        assert_false(f->writer.overflowed);
        const char *at = (const char *)f->reply;
        const uint32_t count = count_elements(&at);
        assert_ptr_equal(at, (const char *)f->reply + f->writer.length);
        assert_true(count > 0);
    }
    split(f, "command info get nosuch");
    mkv_resp_command_reply(f->words, f->word_count, &f->writer);
    assert_non_null(strstr((const char *)f->reply, "*2\r\n*10\r\n$3\r\nget\r\n:2\r\n*2\r\n"
                                                   "+readonly\r\n+fast\r\n:1\r\n:1\r\n:1\r\n"));
    assert_non_null(strstr((const char *)f->reply, "$-1\r\n"));
    free(f);
}

static void test_resp_command__list_by_pattern__lists_what_matches(void **state) {
    (void)state;
    struct fixture *f = malloc(sizeof *f);
    split(f, "command list filterby pattern set*");
    mkv_resp_command_reply(f->words, f->word_count, &f->writer);
    assert_string_equal((const char *)f->reply,
                        "*3\r\n$3\r\nset\r\n$5\r\nsetex\r\n$5\r\nsetnx\r\n");
    split(f, "command list filterby nonsense x");
    mkv_resp_command_reply(f->words, f->word_count, &f->writer);
    assert_string_equal((const char *)f->reply, "-ERR syntax error\r\n");
    free(f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_resp_command__what_there_is_not__is_refused_as_redis_words_it),
        cmocka_unit_test(test_resp_command__a_long_unknown_one__is_shown_in_part),
        cmocka_unit_test(test_resp_command__names_in_any_case__are_found),
        cmocka_unit_test(test_resp_command_table__rows__are_in_order_and_parents_come_first),
        cmocka_unit_test(test_resp_command__command_and_docs__are_whole_replies),
        cmocka_unit_test(test_resp_command__list_by_pattern__lists_what_matches),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
