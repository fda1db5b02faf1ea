/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The commands put, get, exists and delete, run in process against a test server: what they print,
 * what they exit with, and what they leave in a directory.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/commands.h"
#include "tests/unit/client/test_server.h"

#define MIB (1024u * 1024u)
#define ARGUMENTS_MAX 16

/* A directory of its own for each test, and what the last command printed. */
struct place {
    char directory[64];
    char out[4096];
    char err[4096];
    struct test_server *server;
};

static int place_make(void **state) {
    struct place *place = calloc(1, sizeof *place);
    assert_non_null(place);
    snprintf(place->directory, sizeof place->directory, "/tmp/memkv-command-test-XXXXXX");
    assert_non_null(mkdtemp(place->directory));
    place->server = test_server_start(NULL);
    setenv("MEMKV_SERVERS", place->server->address, 1);
    *state = place;
    return 0;
}

static int place_remove(void **state) {
    struct place *place = *state;
    DIR *directory = opendir(place->directory);
    for (struct dirent *entry = readdir(directory); entry != NULL; entry = readdir(directory)) {
        if (entry->d_name[0] != '.' || strlen(entry->d_name) > 2) {
            unlinkat(dirfd(directory), entry->d_name, 0);
        }
    }
    closedir(directory);
    rmdir(place->directory);
    unsetenv("MEMKV_SERVERS");
    if (place->server != NULL) {
        test_server_stop(place->server);
    }
    free(place);
    return 0;
}

static const char *path_of(const struct place *place, const char *name) {
    static char paths[4][128];
    static unsigned next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", place->directory, name);
    return path;
}

static void file_write(const char *path, const void *bytes, size_t byte_count) {
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, byte_count, file), byte_count);
    fclose(file);
}

/* The bytes of a file and how many; NULL: there is none. */
static uint8_t *file_read(const char *path, size_t *byte_count) {
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        return NULL;
    }
    uint8_t *bytes = malloc(64 * MIB);
    assert_non_null(bytes);
    *byte_count = fread(bytes, 1, 64 * MIB, file);
    fclose(file);
    return bytes;
}

static uint32_t file_count(const struct place *place) {
    DIR *directory = opendir(place->directory);
    uint32_t count = 0;
    while (readdir(directory) != NULL) {
        count++;
    }
    closedir(directory);
    return count - 2; /* . and .. */
}

static int replace_descriptor(int descriptor, const char *path, int flags) {
    const int saved = dup(descriptor);
    const int opened = open(path, flags, 0600);
    assert_true(saved >= 0);
    assert_true(opened >= 0);
    dup2(opened, descriptor);
    close(opened);
    return saved;
}

static void restore_descriptor(int descriptor, int saved) {
    dup2(saved, descriptor);
    close(saved);
}

static void text_read(const char *path, char *text, size_t text_bytes) {
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    text[fread(text, 1, text_bytes - 1, file)] = '\0';
    fclose(file);
    unlink(path);
}

/* Runs a command of words separated by spaces. Its output is in place->out and place->err, or in
 * the file `out` if that is not NULL. */
static int run(struct place *place, int (*command)(int, char **), const char *words, const char *in,
               const char *out) {
    char text[1024];
    char *arguments[ARGUMENTS_MAX + 1] = {NULL};
    int count = 0;
    snprintf(text, sizeof text, "%s", words);
    char *rest = NULL;
    for (char *word = strtok_r(text, " ", &rest); word != NULL; word = strtok_r(NULL, " ", &rest)) {
        assert_in_range(count, 0, ARGUMENTS_MAX - 1);
        arguments[count++] = word;
    }
    const char *out_path = path_of(place, "out.txt");
    const char *err_path = path_of(place, "err.txt");
    fflush(stdout);
    const int saved_in = replace_descriptor(0, in != NULL ? in : "/dev/null", O_RDONLY);
    const int saved_out =
        replace_descriptor(1, out != NULL ? out : out_path, O_WRONLY | O_CREAT | O_TRUNC);
    const int saved_err = replace_descriptor(2, err_path, O_WRONLY | O_CREAT | O_TRUNC);
    const int exit_code = command(count, arguments);
    fflush(stdout);
    restore_descriptor(0, saved_in);
    restore_descriptor(1, saved_out);
    restore_descriptor(2, saved_err);
    if (out == NULL) {
        text_read(out_path, place->out, sizeof place->out);
    }
    text_read(err_path, place->err, sizeof place->err);
    return exit_code;
}

static int run_put(struct place *place, const char *key, const char *path, const char *options) {
    char words[512];
    snprintf(words, sizeof words, "put %s %s %s", key, path, options);
    return run(place, memkv_command_put, words, NULL, NULL);
}

static int run_get(struct place *place, const char *key, const char *path) {
    char words[512];
    snprintf(words, sizeof words, "get %s %s", key, path);
    return run(place, memkv_command_get, words, NULL, NULL);
}

static void expect_file(const char *path, const void *expected, size_t expected_bytes) {
    size_t byte_count = 0;
    uint8_t *bytes = file_read(path, &byte_count);
    assert_non_null(bytes);
    assert_int_equal(byte_count, expected_bytes);
    assert_int_equal(memcmp(bytes, expected, expected_bytes), 0);
    free(bytes);
}

static void test_command__files_of_every_size__round_trip(void **state) {
    struct place *place = *state;
    static const size_t sizes[] = {0, 5, 65536, MIB, MIB + 1, 16 * MIB - 9};
    uint8_t *bytes = malloc(16 * MIB);
    assert_non_null(bytes);
    test_pattern_fill(4, bytes, 16 * MIB);
    for (size_t index = 0; index < sizeof sizes / sizeof sizes[0]; index++) {
        char key[16];
        snprintf(key, sizeof key, "key-%zu", index);
        file_write(path_of(place, "in"), bytes, sizes[index]);
        assert_int_equal(run_put(place, key, path_of(place, "in"), ""), 0);
        assert_string_equal(place->out, "");
        assert_string_equal(place->err, "");
        assert_int_equal(run_get(place, key, path_of(place, "got")), 0);
        assert_string_equal(place->out, "");
        assert_string_equal(place->err, "");
        expect_file(path_of(place, "got"), bytes, sizes[index]);
        unlink(path_of(place, "got"));
        assert_int_equal(file_count(place), 1); /* in: nothing temporary stays */
    }
    free(bytes);
}

static void test_command__standard_input_and_output__round_trip(void **state) {
    struct place *place = *state;
    uint8_t *bytes = malloc(3 * MIB);
    assert_non_null(bytes);
    test_pattern_fill(5, bytes, 3 * MIB);
    file_write(path_of(place, "in"), bytes, 3 * MIB);
    assert_int_equal(run(place, memkv_command_put, "put k -", path_of(place, "in"), NULL), 0);
    assert_int_equal(run(place, memkv_command_get, "get k", NULL, path_of(place, "got")), 0);
    expect_file(path_of(place, "got"), bytes, 3 * MIB);
    assert_int_equal(run(place, memkv_command_get, "get k -", NULL, path_of(place, "got")), 0);
    expect_file(path_of(place, "got"), bytes, 3 * MIB);
    assert_int_equal(run_get(place, "k", "/dev/null"), 0); /* and it is still a device */
    struct stat status;
    assert_int_equal(stat("/dev/null", &status), 0);
    assert_true(S_ISCHR(status.st_mode));
    free(bytes);
}

static void test_command_put__input_above_the_servers_limit__is_refused(void **state) {
    struct place *place = *state;
    place->server->options.limits.value_bytes_max = MIB;
    uint8_t *bytes = calloc(1, MIB + 1);
    assert_non_null(bytes);
    file_write(path_of(place, "in"), bytes, MIB + 1);
    assert_int_equal(run(place, memkv_command_put, "put k -", path_of(place, "in"), NULL), 2);
    assert_non_null(strstr(place->err, "standard input gives more than 1048576 bytes"));
    assert_int_equal(run_put(place, "k", path_of(place, "in"), ""), 1);
    assert_non_null(strstr(place->err, "1048577"));
    file_write(path_of(place, "in"), bytes, MIB);
    assert_int_equal(run(place, memkv_command_put, "put k -", path_of(place, "in"), NULL), 0);
    free(bytes);
}

static void test_command_put__expire__reaches_the_server(void **state) {
    struct place *place = *state;
    file_write(path_of(place, "a"), "old", 3);
    assert_int_equal(run_put(place, "k", path_of(place, "a"), "--expire 90"), 0);
    assert_int_equal(place->server->seconds, 90);
    static const char *const wrong[] = {"--expire 0", "--expire -1", "--expire 2147483648",
                                        "--expire 1h"};
    for (size_t index = 0; index < sizeof wrong / sizeof wrong[0]; index++) {
        assert_int_equal(run_put(place, "k", path_of(place, "a"), wrong[index]), 2);
        assert_non_null(strstr(place->err, "--expire takes seconds from 1 to 2147483647"));
    }
    assert_int_equal(place->server->seconds, 90);
}

static void test_command_put__other_content__wants_replace(void **state) {
    struct place *place = *state;
    file_write(path_of(place, "a"), "old", 3);
    file_write(path_of(place, "b"), "new", 3);
    assert_int_equal(run_put(place, "k", path_of(place, "a"), ""), 0);
    assert_int_equal(run_put(place, "k", path_of(place, "b"), ""), 1);
    assert_string_equal(place->err, "memkv put: key 'k' holds other content; to replace it, say "
                                    "--replace\n");
    assert_int_equal(run_put(place, "k", path_of(place, "b"), "--replace"), 0);
    assert_int_equal(run_get(place, "k", ""), 0);
    assert_string_equal(place->out, "new");
}

static void test_command_put__relaxed__says_so(void **state) {
    struct place *place = *state;
    file_write(path_of(place, "a"), "old", 3);
    assert_int_equal(run_put(place, "k", path_of(place, "a"), ""), 0);
    assert_int_equal(place->server->put_flags, 0);
    assert_int_equal(run_put(place, "l", path_of(place, "a"), "--relaxed"), 0);
    assert_int_equal(place->server->put_flags, MKV_NATIVE_ITEM_RELAXED);
}

static void test_command_put__file_cannot_be_used__exits_2(void **state) {
    struct place *place = *state;
    assert_int_equal(run_put(place, "k", path_of(place, "none"), ""), 2);
    assert_non_null(strstr(place->err, "none cannot be opened: No such file"));
    assert_int_equal(run_put(place, "k", place->directory, ""), 2);
    assert_non_null(strstr(place->err, "is a directory"));
}

static void test_command_get__key_missing_or_damaged__file_stays_as_it_was(void **state) {
    struct place *place = *state;
    file_write(path_of(place, "got"), "precious", 8);
    chmod(path_of(place, "got"), 0640);
    assert_int_equal(run_get(place, "k", path_of(place, "got")), 1);
    assert_string_equal(place->err, "memkv get: key 'k': not found (evicted)\n");
    expect_file(path_of(place, "got"), "precious", 8);
    file_write(path_of(place, "in"), "value", 5);
    assert_int_equal(run_put(place, "k", path_of(place, "in"), ""), 0);
    place->server->options.corrupt_at = 1;
    assert_int_equal(run_get(place, "k", path_of(place, "got")), 4);
    assert_non_null(strstr(place->err, "root"));
    expect_file(path_of(place, "got"), "precious", 8);
    assert_int_equal(file_count(place), 2);
    /* A file that is replaced keeps its rights, and a link to it stays a link. */
    assert_int_equal(symlink("got", path_of(place, "link")), 0);
    assert_int_equal(run_get(place, "k", path_of(place, "link")), 0);
    expect_file(path_of(place, "got"), "value", 5);
    struct stat status;
    assert_int_equal(lstat(path_of(place, "link"), &status), 0);
    assert_true(S_ISLNK(status.st_mode));
    assert_int_equal(stat(path_of(place, "got"), &status), 0);
    assert_int_equal(status.st_mode & 0777, 0640);
    assert_int_equal(run_get(place, "k", path_of(place, "none/got")), 2);
    assert_non_null(strstr(place->err, "cannot be written"));
    assert_int_equal(run_get(place, "k", place->directory), 2);
    assert_int_equal(run(place, memkv_command_get, "get k", NULL, "/dev/full"), 2);
    assert_non_null(strstr(place->err, "standard output cannot be written: No space"));
}

static void test_command__exists_and_delete__print_a_line_a_key(void **state) {
    struct place *place = *state;
    file_write(path_of(place, "in"), "value", 5);
    assert_int_equal(run_put(place, "a", path_of(place, "in"), ""), 0);
    assert_int_equal(run_put(place, "b", path_of(place, "in"), ""), 0);
    assert_int_equal(run(place, memkv_command_exists, "exists a b", NULL, NULL), 0);
    assert_string_equal(place->out, "found a\nfound b\n");
    assert_int_equal(run(place, memkv_command_exists, "exists a c b", NULL, NULL), 1);
    assert_string_equal(place->out, "found a\nmissing c\nfound b\n");
    assert_string_equal(place->err, "");
    assert_int_equal(run(place, memkv_command_delete, "delete c b", NULL, NULL), 1);
    assert_string_equal(place->out, "missing c\ndeleted b\n");
    assert_int_equal(run(place, memkv_command_delete, "delete a", NULL, NULL), 0);
    assert_int_equal(run(place, memkv_command_exists, "exists a b c", NULL, NULL), 1);
    assert_string_equal(place->out, "missing a\nmissing b\nmissing c\n");
}

static void test_command__no_server__exits_3(void **state) {
    struct place *place = *state;
    file_write(path_of(place, "in"), "value", 5);
    test_server_stop(place->server);
    place->server = NULL;
    assert_int_equal(run_put(place, "k", path_of(place, "in"), ""), 3);
    assert_non_null(strstr(place->err, "memkv put: cannot connect to 127.0.0.1:"));
    assert_int_equal(run_get(place, "k", ""), 3);
    assert_int_equal(run(place, memkv_command_exists, "exists k", NULL, NULL), 3);
    assert_int_equal(run(place, memkv_command_delete, "delete k", NULL, NULL), 3);
}

static void test_command__server_option__goes_before_the_environment(void **state) {
    struct place *place = *state;
    char words[128];
    setenv("MEMKV_SERVERS", "127.0.0.1:1", 1);
    snprintf(words, sizeof words, "exists --server %s k", place->server->address);
    assert_int_equal(run(place, memkv_command_exists, words, NULL, NULL), 1);
    snprintf(words, sizeof words, "exists k --server=%s", place->server->address);
    assert_int_equal(run(place, memkv_command_exists, words, NULL, NULL), 1);
    assert_int_equal(run(place, memkv_command_exists, "exists --server a:b k", NULL, NULL), 2);
}

static void test_command__command_line_is_wrong__exits_2_and_names_it(void **state) {
    struct place *place = *state;
    static const struct {
        int (*command)(int, char **);
        const char *words, *part;
    } cases[] = {
        {memkv_command_put, "put k", "something is missing"},
        {memkv_command_put, "put k f g", "one argument too many: g"},
        {memkv_command_get, "get", "memkv get --help"},
        {memkv_command_get, "get k f g", "g"},
        {memkv_command_get, "get --replace k", "unknown option --replace"},
        {memkv_command_exists, "exists", "something is missing"},
        {memkv_command_delete, "delete --timeout 0 k", "seconds"},
        {memkv_command_delete, "delete --timeout nan k", "seconds"},
        {memkv_command_delete, "delete --timeout 5m k", "seconds"},
        {memkv_command_delete, "delete --timeout", "missing behind --timeout"},
        {memkv_command_delete, "delete -x k", "unknown option -x"},
    };
    for (size_t index = 0; index < sizeof cases / sizeof cases[0]; index++) {
        assert_int_equal(run(place, cases[index].command, cases[index].words, NULL, NULL), 2);
        assert_string_equal(place->out, "");
        if (strstr(place->err, cases[index].part) == NULL) {
            fail_msg("'%s' does not tell of '%s'", place->err, cases[index].part);
        }
    }
    assert_int_equal(place->server->connection_count, 0);
}

static void test_command__help__is_printed(void **state) {
    struct place *place = *state;
    static const struct {
        int (*command)(int, char **);
        const char *words, *usage;
    } cases[] = {
        {memkv_command_put, "put --help", "usage: memkv put [OPTIONS] KEY FILE\n"},
        {memkv_command_get, "get -h", "usage: memkv get [OPTIONS] KEY [FILE]\n"},
        {memkv_command_exists, "exists --help", "usage: memkv exists [OPTIONS] KEY...\n"},
        {memkv_command_delete, "delete x -h", "usage: memkv delete [OPTIONS] KEY...\n"},
    };
    for (size_t index = 0; index < sizeof cases / sizeof cases[0]; index++) {
        assert_int_equal(run(place, cases[index].command, cases[index].words, NULL, NULL), 0);
        assert_int_equal(strncmp(place->out, cases[index].usage, strlen(cases[index].usage)), 0);
        assert_non_null(strstr(place->out, "--server HOST:PORT"));
        assert_string_equal(place->err, "");
    }
}

/* The first byte of the trace that `exists k` belongs to with these variables; -1: to none. */
static int traced_by(struct place *place, const char *words, const char *own, const char *common) {
    struct test_server *server = place->server;
    const uint32_t traced = server->traced;
    unsetenv("MEMKV_TRACEPARENT");
    unsetenv("TRACEPARENT");
    if (own != NULL) {
        setenv("MEMKV_TRACEPARENT", own, 1);
    }
    if (common != NULL) {
        setenv("TRACEPARENT", common, 1);
    }
    assert_int_equal(run(place, memkv_command_exists, words, NULL, NULL), 1);
    unsetenv("MEMKV_TRACEPARENT");
    unsetenv("TRACEPARENT");
    return server->traced > traced ? server->trace.trace_id[0] : -1;
}

static void test_command__a_traceparent__option_own_variable_then_the_common_one(void **state) {
    struct place *place = *state;
    static const char one[] = "00-01000000000000000000000000000000-b7ad6b7169203331-01";
    static const char two[] = "00-02000000000000000000000000000000-b7ad6b7169203331-01";
    static const char *const option =
        "exists --traceparent 00-03000000000000000000000000000000-b7ad6b7169203331-00 k";
    struct test_server_options options = {.limits = test_limits()};
    options.limits.features = MKV_NATIVE_FEATURE_TRACE;
    test_server_stop(place->server);
    place->server = test_server_start(&options);
    setenv("MEMKV_SERVERS", place->server->address, 1);
    assert_int_equal(traced_by(place, "exists k", NULL, NULL), -1);
    assert_int_equal(traced_by(place, "exists k", NULL, two), 2);
    assert_int_equal(traced_by(place, "exists k", one, two), 1);
    assert_int_equal(traced_by(place, "exists k", "", two), 2);
    assert_int_equal(traced_by(place, option, one, two), 3);
    assert_int_equal(place->server->trace.flags, 0);
    /* Who asks for a trace is told what is wrong; what others left in the environment is not. */
    assert_int_equal(traced_by(place, "exists k", NULL, "nonsense"), -1);
    assert_int_equal(
        run(place, memkv_command_exists, "exists --traceparent nonsense k", NULL, NULL), 2);
    assert_non_null(strstr(place->err, "memkv exists: --traceparent: a traceparent is"));
    setenv("MEMKV_TRACEPARENT", "nonsense", 1);
    assert_int_equal(run(place, memkv_command_exists, "exists k", NULL, NULL), 2);
    assert_non_null(strstr(place->err, "memkv exists: MEMKV_TRACEPARENT: a traceparent is"));
    unsetenv("MEMKV_TRACEPARENT");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, place_make, place_remove)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_command__files_of_every_size__round_trip),
        TEST(test_command__standard_input_and_output__round_trip),
        TEST(test_command_put__input_above_the_servers_limit__is_refused),
        TEST(test_command_put__expire__reaches_the_server),
        TEST(test_command_put__other_content__wants_replace),
        TEST(test_command_put__relaxed__says_so),
        TEST(test_command_put__file_cannot_be_used__exits_2),
        TEST(test_command_get__key_missing_or_damaged__file_stays_as_it_was),
        TEST(test_command__exists_and_delete__print_a_line_a_key),
        TEST(test_command__no_server__exits_3),
        TEST(test_command__server_option__goes_before_the_environment),
        TEST(test_command__command_line_is_wrong__exits_2_and_names_it),
        TEST(test_command__a_traceparent__option_own_variable_then_the_common_one),
        TEST(test_command__help__is_printed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
