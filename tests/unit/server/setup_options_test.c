/* SPDX-License-Identifier: Apache-2.0 */
#include "server/setup_options.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ARGUMENTS_MAX 8

struct fixture {
    struct mkv_setup_options options;
    char words[1024]; /* which the options point to */
};

/* Takes a line of words apart; returns whether it was good. */
static bool parse(const char *line, struct fixture *fixture, struct mkv_config_error *error) {
    char *argv[ARGUMENTS_MAX + 1] = {0};
    char *save = NULL;
    int argc = 0;
    snprintf(fixture->words, sizeof fixture->words, "setup %s", line);
    memset(error, 0, sizeof *error);
    for (char *word = strtok_r(fixture->words, " ", &save); word != NULL && argc < ARGUMENTS_MAX;
         word = strtok_r(NULL, " ", &save)) {
        argv[argc++] = word;
    }
    return mkv_setup_options_parse(argc, argv, &fixture->options, error);
}

static int set_up(void **state) {
    *state = calloc(1, sizeof(struct fixture));
    assert_non_null(*state);
    return 0;
}

static int tear_down(void **state) {
    free(*state);
    return 0;
}

static void test_options__all_of_them__taken(void **state) {
    struct fixture *fixture = *state;
    const struct mkv_setup_options *options = &fixture->options;
    struct mkv_config_error error;
    assert_true(parse("--drives /dev/a,/data/x=y/store=2GiB,/dev/disk/by-path/pci-0000:41:00.0 "
                      "--rdma=mlx5_0 --force",
                      fixture, &error));
    assert_int_equal(options->path_count, 3);
    assert_string_equal(options->paths[0].path, "/dev/a");
    assert_int_equal(options->paths[0].size_bytes, 0);
    assert_string_equal(options->paths[1].path, "/data/x=y/store");
    assert_int_equal(options->paths[1].size_bytes, 2 * MKV_GIB);
    assert_string_equal(options->paths[2].path, "/dev/disk/by-path/pci-0000:41:00.0");
    assert_int_equal(options->paths[2].size_bytes, 0);
    assert_string_equal(options->rdma, "mlx5_0");
    assert_true(options->force);
    assert_false(options->idempotent);
    assert_true(parse("--drives=/x=y/a --idempotent", fixture, &error));
    assert_string_equal(options->paths[0].path, "/x=y/a");
    assert_true(options->idempotent);
}

static void test_options__nothing_and_help__good(void **state) {
    struct fixture *fixture = *state;
    const struct mkv_setup_options *options = &fixture->options;
    struct mkv_config_error error;
    assert_true(parse("", fixture, &error));
    assert_int_equal(options->path_count, 0);
    assert_true(parse("--force --help --nonsense", fixture, &error));
    assert_true(options->help);
    assert_non_null(strstr(mkv_setup_help, "--idempotent"));
}

static void test_options__what_is_wrong__one_line_that_says_it(void **state) {
    struct fixture *fixture = *state;
    static const struct {
        const char *line;
        const char *text;
    } cases[] = {
        {"--drvies /dev/a", "memkv setup: unknown option '--drvies', did you mean '--drives'?"},
        {"--nonsense", "memkv setup: unknown option '--nonsense'; see memkv setup --help"},
        {"/dev/a", "memkv setup: unexpected argument '/dev/a'; drives go behind --drives, with "
                   "commas between them"},
        {"--drives", "memkv setup: --drives needs a value: --drives PATH[,PATH...]"},
        {"--drives=/dev/a --rdma", "memkv setup: --rdma needs a value: --rdma DEVICE"},
        {"--drives /dev/a,", "memkv setup: --drives: a path is empty; write PATH,PATH without "
                             "spaces between them"},
        {"--drives /dev/a --drives /dev/b", "memkv setup: --drives is given twice; write all "
                                            "drives in one: --drives PATH,PATH"},
        {"--drives /data/a=64GB", "memkv setup: --drives: '64GB' has a unit that is not known; use "
                                  "GiB"},
        {"--drives /dev/a --force --force", "memkv setup: --force is given twice; give it once"},
        {"--drives /dev/a --force --idempotent",
         "memkv setup: --force formats the drives of a store anew and --idempotent leaves them as "
         "they are; give one of them"},
        {"--force", "memkv setup: --drives is missing; memkv setup alone lists the drives that "
                    "there are"},
        {"--drives /data/a=0", "memkv setup: --drives: a file to be made takes a path and a size: "
                               "/data/store.memkv=64GiB"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct mkv_config_error error;
        assert_false(parse(cases[i].line, fixture, &error));
        assert_string_equal(error.message, cases[i].text);
        assert_int_equal(error.exit_code, MKV_EXIT_DAEMON_USAGE);
    }
}

static void test_options__too_many_drives__refused(void **state) {
    struct fixture *fixture = *state;
    struct mkv_config_error error;
    char line[1024] = "--drives /a";
    for (uint32_t i = 0; i < MKV_CONFIG_DRIVES_MAX; i++) {
        const size_t used = strlen(line);
        snprintf(line + used, sizeof line - used, ",/b%u", i);
    }
    assert_false(parse(line, fixture, &error));
    assert_string_equal(error.message, "memkv setup: --drives names more than 64 drives");
}

int main(void) {
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(test_options__all_of_them__taken),
        CASE(test_options__nothing_and_help__good),
        CASE(test_options__what_is_wrong__one_line_that_says_it),
        CASE(test_options__too_many_drives__refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
