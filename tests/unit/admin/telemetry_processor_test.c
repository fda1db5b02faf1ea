/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/telemetry_processor.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct mkv_telemetry_event event_of(uint64_t serial) {
    return (struct mkv_telemetry_event){.name = "store", .serial = serial};
}

/* ---- what a text says ------------------------------------------------------------------------ */

static void test_parse__each_type__alone_and_in_an_array(void **state) {
    (void)state;
    struct mkv_telemetry_processor_spec specs[MKV_TELEMETRY_PROCESSORS_MAX];
    char problem[MKV_TELEMETRY_PROBLEM_BYTES];
    uint32_t count;
    assert_true(mkv_telemetry_processors_parse("{\"type\":\"logging\"}", specs, &count, problem));
    assert_int_equal(count, 1);
    assert_int_equal(specs[0].type, MKV_TELEMETRY_LOGGING);
    assert_int_equal(specs[0].log_level, MKV_TELEMETRY_LOG_DEBUG);
    assert_true(mkv_telemetry_processors_parse(
        "[{\"type\":\"logging\",\"log_level\":\"CRITICAL\"}, {\"path\":\"/a\",\"type\":\"jsonl\"}]",
        specs, &count, problem));
    assert_int_equal(count, 2);
    assert_int_equal(specs[0].log_level, MKV_TELEMETRY_LOG_CRITICAL);
    assert_int_equal(specs[1].type, MKV_TELEMETRY_JSONL);
    assert_string_equal(specs[1].path, "/a");
    assert_true(mkv_telemetry_processors_parse(
        "{\"type\":\"otlp\",\"endpoint\":\"grpc://collector\"}", specs, &count, problem));
    assert_int_equal(specs[0].type, MKV_TELEMETRY_OTLP);
    assert_true(specs[0].endpoint.grpc);
    assert_true(mkv_telemetry_processors_parse("[]", specs, &count, problem));
    assert_int_equal(count, 0);
}

static void test_parse__wrong__is_refused_with_what_to_write(void **state) {
    (void)state;
    static const struct {
        const char *text;
        const char *problem; /* its beginning */
    } cases[] = {
        {"logging", "this is no JSON: "},
        {"7", "this is no JSON: "},
        {"\"logging\"", "this is no JSON: "},
        {"{}",
         "a processor has no type; use {\"type\":\"logging\"}, jsonl with a path or otlp with "
         "an endpoint"},
        {"{\"type\":\"otlp\"}", "the endpoint of a processor of type otlp is not there; use "
                                "http://HOST:4318 or grpc://HOST:4317"},
        {"{\"type\":\"otlp\",\"endpoint\":\"h\"}", "the endpoint of a processor of type otlp "},
        {"[[]]", "a processor has no type; "},
        {"{\"type\":7}", "a processor has no type; "},
        {"{\"type\":\"kafka\"}",
         "there is no processor of type 'kafka'; use logging, jsonl or otlp"},
        {"{\"type\":\"ka\\u00e9\"}",
         "there is no processor of type 'ka?\?'; use logging, jsonl or otlp"},
        {"{\"type\":\"logging\",\"path\":\"x\"}",
         "a processor of type logging has no 'path'; use log_level"},
        {"{\"type\":\"logging\",\"log_level\":7}", "'log_level' of a processor is no text"},
        {"{\"type\":\"logging\",\"log_level\":\"debug\"}",
         "log_level 'debug' is none; use DEBUG, INFO, WARNING, ERROR or CRITICAL"},
        {"{\"type\":\"jsonl\"}", "a processor of type jsonl needs a path of up to 1023 bytes"},
        {"{\"type\":\"jsonl\",\"path\":\"\"}", "a processor of type jsonl needs a path"},
        {"{\"type\":\"logging\",\"type\":\"logging\"}", "this is no JSON: "},
        {"[{\"type\":\"logging\"},{\"type\":\"logging\"},{\"type\":\"logging\"},"
         "{\"type\":\"logging\"},{\"type\":\"logging\"},{\"type\":\"logging\"},"
         "{\"type\":\"logging\"},{\"type\":\"logging\"},{\"type\":\"logging\"}]",
         "processors are an object, or up to 8 in an array"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct mkv_telemetry_processor_spec specs[MKV_TELEMETRY_PROCESSORS_MAX];
        char problem[MKV_TELEMETRY_PROBLEM_BYTES] = "";
        uint32_t count;
        assert_false(mkv_telemetry_processors_parse(cases[i].text, specs, &count, problem));
        if (strncmp(problem, cases[i].problem, strlen(cases[i].problem)) != 0) {
            fail_msg("%s: '%s'", cases[i].text, problem);
        }
    }
}

/* ---- lines of the log ------------------------------------------------------------------------ */

struct lines {
    bool wanted;
    uint32_t count;
    enum mkv_telemetry_log_level level;
    char last[MKV_TELEMETRY_TEXT_BYTES];
};

static bool wants(void *context, enum mkv_telemetry_log_level level) {
    struct lines *lines = context;
    lines->level = level;
    return lines->wanted;
}

static void write_line(void *context, enum mkv_telemetry_log_level level, const char *line) {
    struct lines *lines = context;
    assert_int_equal(lines->level, level);
    lines->count++;
    snprintf(lines->last, sizeof lines->last, "%s", line);
}

static void test_logging__level_wanted__a_line_for_each(void **state) {
    (void)state;
    struct lines lines = {.wanted = true};
    const struct mkv_telemetry_log log = {.context = &lines, .wants = wants, .write = write_line};
    const struct mkv_telemetry_processor_spec spec = {.log_level = MKV_TELEMETRY_LOG_WARNING};
    char problem[MKV_TELEMETRY_PROBLEM_BYTES];
    struct mkv_telemetry_processor *processor = mkv_telemetry_processor_create(&spec, &log);
    const struct mkv_telemetry_event event = event_of(5);
    mkv_telemetry_processor_take(processor, &event);
    assert_true(mkv_telemetry_processor_flush(processor, problem));
    assert_int_equal(lines.count, 1);
    assert_int_equal(lines.level, MKV_TELEMETRY_LOG_WARNING);
    assert_string_equal(lines.last, "Telemetry: store START session=req-5-0 ts=0.000 metadata={}");
    lines.wanted = false;
    mkv_telemetry_processor_take(processor, &event);
    assert_int_equal(lines.count, 1);
    mkv_telemetry_processor_destroy(processor);
}

/* ---- files ----------------------------------------------------------------------------------- */

struct folder {
    char path[32];
    char file[48];
    char other[48];
};

static void folder_make(struct folder *folder) {
    snprintf(folder->path, sizeof folder->path, "/tmp/mkv-telemetry-XXXXXX");
    assert_non_null(mkdtemp(folder->path));
    snprintf(folder->file, sizeof folder->file, "%s/events", folder->path);
    snprintf(folder->other, sizeof folder->other, "%s/events.1", folder->path);
}

static void folder_remove(const struct folder *folder) {
    (void)unlink(folder->file);
    (void)unlink(folder->other);
    assert_int_equal(rmdir(folder->path), 0);
}

static struct mkv_telemetry_processor *jsonl(const char *path) {
    const struct mkv_telemetry_log none = {0};
    struct mkv_telemetry_processor_spec spec = {.type = MKV_TELEMETRY_JSONL};
    snprintf(spec.path, sizeof spec.path, "%s", path);
    return mkv_telemetry_processor_create(&spec, &none);
}

static uint32_t lines_of(const char *path) {
    uint32_t lines = 0;
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    for (int c = fgetc(file); c != EOF; c = fgetc(file)) {
        lines += c == '\n';
    }
    fclose(file);
    return lines;
}

static void take(struct mkv_telemetry_processor *processor, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        const struct mkv_telemetry_event event = event_of(i);
        mkv_telemetry_processor_take(processor, &event);
    }
}

static void test_jsonl__more_than_its_buffer__a_line_for_each(void **state) {
    (void)state;
    struct folder folder;
    char problem[MKV_TELEMETRY_PROBLEM_BYTES];
    folder_make(&folder);
    struct mkv_telemetry_processor *processor = jsonl(folder.file);
    take(processor, 3000);
    assert_true(mkv_telemetry_processor_flush(processor, problem));
    assert_int_equal(lines_of(folder.file), 3000);
    /* Renamed, and opened again. */
    assert_int_equal(rename(folder.file, folder.other), 0);
    mkv_telemetry_processor_reopen(processor);
    take(processor, 5);
    assert_true(mkv_telemetry_processor_flush(processor, problem));
    assert_int_equal(lines_of(folder.file), 5);
    assert_int_equal(lines_of(folder.other), 3000);
    mkv_telemetry_processor_destroy(processor);
    folder_remove(&folder);
}

static void test_jsonl__path_cannot_be_opened__gives_up_and_tries_again(void **state) {
    (void)state;
    struct folder folder;
    char problem[MKV_TELEMETRY_PROBLEM_BYTES];
    folder_make(&folder);
    assert_int_equal(mkdir(folder.file, 0700), 0);
    struct mkv_telemetry_processor *processor = jsonl(folder.file);
    take(processor, 5);
    assert_false(mkv_telemetry_processor_flush(processor, problem));
    assert_non_null(strstr(problem, "Is a directory"));
    assert_true(mkv_telemetry_processor_flush(processor, problem)); /* nothing new */
    assert_int_equal(rmdir(folder.file), 0);
    take(processor, 2);
    assert_true(mkv_telemetry_processor_flush(processor, problem));
    assert_int_equal(lines_of(folder.file), 2);
    mkv_telemetry_processor_destroy(processor);
    folder_remove(&folder);
}

/* A pipe whose reader reads nothing, then all, then is gone: nobody waits, and a line that was cut
 * ends before the next. */
static void test_jsonl__reader_is_stuck__gives_up(void **state) {
    (void)state;
    struct folder folder;
    char problem[MKV_TELEMETRY_PROBLEM_BYTES];
    static char text[1 << 20];
    folder_make(&folder);
    (void)signal(SIGPIPE, SIG_IGN);
    assert_int_equal(mkfifo(folder.file, 0600), 0);
    struct mkv_telemetry_processor *processor = jsonl(folder.file);
    take(processor, 1);
    assert_false(mkv_telemetry_processor_flush(processor, problem)); /* nobody reads */
    int reader = open(folder.file, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    assert_true(reader >= 0);
    take(processor, 3000);
    assert_false(mkv_telemetry_processor_flush(processor, problem));
    assert_non_null(strstr(problem, "its reader is too slow"));
    ssize_t bytes = read(reader, text, sizeof text - 1);
    assert_true(bytes > 0);
    const bool cut = text[bytes - 1] != '\n';
    take(processor, 1);
    assert_true(mkv_telemetry_processor_flush(processor, problem));
    bytes = read(reader, text, sizeof text - 1);
    assert_true(bytes > 0);
    text[bytes] = '\0';
    assert_true(!cut || text[0] == '\n');
    assert_non_null(strstr(text, "{\"name\":\"store\""));
    close(reader);
    take(processor, 1);
    assert_false(mkv_telemetry_processor_flush(processor, problem));
    mkv_telemetry_processor_destroy(processor);
    folder_remove(&folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse__each_type__alone_and_in_an_array),
        cmocka_unit_test(test_parse__wrong__is_refused_with_what_to_write),
        cmocka_unit_test(test_logging__level_wanted__a_line_for_each),
        cmocka_unit_test(test_jsonl__more_than_its_buffer__a_line_for_each),
        cmocka_unit_test(test_jsonl__path_cannot_be_opened__gives_up_and_tries_again),
        cmocka_unit_test(test_jsonl__reader_is_stuck__gives_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
