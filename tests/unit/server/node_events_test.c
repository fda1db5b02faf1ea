/* SPDX-License-Identifier: Apache-2.0 */
#include "server/node_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>
#include <unistd.h>

/* A node that has two drives and nothing else, and whose log goes to a pipe. */
struct fixture {
    struct mkv_node node;
    int log_ends[2];
};

static int fixture_begin(void **state) {
    static struct fixture fixture;
    memset(&fixture, 0, sizeof fixture);
    struct mkv_node *node = &fixture.node;
    assert_int_equal(pipe(fixture.log_ends), 0);
    node->log = mkv_log_create(fixture.log_ends[1], MKV_CONFIG_LOG_DEBUG, MKV_CONFIG_LOG_TEXT);
    node->drive_count = 2;
    memcpy(node->config.storage.drives[0].name, "d00", sizeof "d00");
    memcpy(node->config.storage.drives[0].media, "/a", sizeof "/a");
    memcpy(node->config.storage.drives[1].name, "d01", sizeof "d01");
    memcpy(node->config.storage.drives[1].media, "/b", sizeof "/b");
    pthread_mutex_init(&node->mutex, NULL);
    *state = &fixture;
    return 0;
}

static int fixture_end(void **state) {
    struct fixture *fixture = *state;
    mkv_log_destroy(fixture->node.log);
    pthread_mutex_destroy(&fixture->node.mutex);
    close(fixture->log_ends[0]);
    close(fixture->log_ends[1]);
    return 0;
}

/* What the event has written, without the timestamps. */
static void expect_log(struct fixture *fixture, uint32_t drive, const struct mkv_event *event,
                       const char *expected) {
    char text[8192];
    char plain[8192] = "";
    mkv_node_event(&fixture->node, drive, event);
    assert_true(mkv_log_flush(fixture->node.log, 60000000000ull));
    ssize_t count = read(fixture->log_ends[0], text, sizeof text - 1);
    assert_true(count > 0);
    text[count] = '\0';
    for (char *line = text; *line != '\0';) {
        char *end = strchr(line, '\n');
        assert_non_null(end);
        assert_true(end - line > (ptrdiff_t)MKV_LOG_TIMESTAMP_BYTES);
        strncat(plain, line + MKV_LOG_TIMESTAMP_BYTES,
                (size_t)(end + 1 - line) - MKV_LOG_TIMESTAMP_BYTES);
        line = end + 1;
    }
    assert_string_equal(plain, expected);
}

static void test_event__each_kind__golden_lines(void **state) {
    struct fixture *fixture = *state;
    static const struct {
        struct mkv_event event;
        const char *text;
    } cases[] = {
        {{MKV_EVENT_OPENED, MKV_OK, {12, 34, 0}},
         "INFO core.volume: drive serves drive=d00 blocks=12 journal_entries=34\n"},
        {{MKV_EVENT_TORN_TAIL, MKV_OK, {7, 0, 0}},
         "INFO core.journal: the journal ends with what was being written, which is cut off "
         "drive=d00 sequence=7\n"},
        {{MKV_EVENT_SUPERBLOCK_REPAIRED, MKV_OK, {2, 0, 0}},
         "WARN core.journal: copies of the superblock differed and were rewritten drive=d00 "
         "copies=2\n"},
        {{MKV_EVENT_JOURNAL_COPY_REPAIRED, MKV_OK, {3, 0, 0}},
         "INFO core.journal: journal blocks stood in one copy only and were rewritten drive=d00 "
         "blocks=3\n"},
        {{MKV_EVENT_CHECKPOINT_DONE, MKV_OK, {9, 4, 5000000}},
         "DEBUG core.journal: checkpoint is durable drive=d00 sequence=9 pages=4 duration_ms=5\n"},
        {{MKV_EVENT_BLOCK_QUARANTINED, MKV_CORRUPT_PAYLOAD, {5, 0, 0}},
         "ERROR core.volume: block failed its check and is dropped drive=d00 slot=5 error=\"the "
         "payload of a block is damaged\"\n"},
        {{MKV_EVENT_DRIVE_ERROR, MKV_ERR_DRIVE_IO, {MKV_IO_MEDIUM, 77, 0}},
         "WARN drive: operation of a drive failed drive=d00 error=\"medium error\" "
         "unit=77\n"},
        {{MKV_EVENT_DRIVE_STALLED, MKV_OK, {5000000000, 3, 0}},
         "WARN drive: the drive does not answer: reads of it miss and its puts are refused "
         "until it does drive=d00 age_ms=5000\n"},
        {{MKV_EVENT_DRIVE_RESUMED, MKV_OK, {7000000000, 0, 0}},
         "WARN drive: the drive answers again and is served from drive=d00 "
         "stalled_ms=7000\n"},
        {{MKV_EVENT_TENANT_SWEPT, MKV_OK, {5, 0, 0}},
         "INFO core.volume: no block of a dropped tenant is left drive=d00 tenant=5\n"},
        {{MKV_EVENT_DIRECTORY_DAMAGED, MKV_OK, {7, 0, 0}},
         "WARN core.directory: the directory of keys is damaged and is made anew: no block is "
         "lost, "
         "and keys cannot be listed until then drive=d00 unit=7\n"},
        {{MKV_EVENT_DIRECTORY_REBUILT, MKV_OK, {9, 0, 0}},
         "INFO core.directory: the directory of keys has been made anew drive=d00 keys=9\n"},
        {{MKV_EVENT_DIRECTORY_FULL, MKV_OK, {16, 0, 0}},
         "WARN core.directory: the directory has no room for all keys: blocks are served, and keys "
         "cannot be listed until some are deleted drive=d00 units=16\n"},
        {{MKV_EVENT_DIRECTORY_ROOM_AGAIN, MKV_OK, {16, 0, 0}},
         "INFO core.directory: the directory has room again and takes the keys it lacks drive=d00 "
         "units=16\n"},
        {{MKV_EVENT_DIRECTORY_OFF, MKV_OK, {4, 0, 0}},
         "ERROR core.directory: the directory of keys cannot be kept on this drive: blocks are "
         "served, and keys cannot be listed until a restart drive=d00 tries=4\n"},
        {{MKV_EVENT_CLOSED, MKV_OK, {0, 0, 0}},
         "INFO core.volume: drive closed, its clean mark is durable drive=d00\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        expect_log(fixture, 0, &cases[i].event, cases[i].text);
    }
    assert_int_equal(fixture->node.warning_count, 0);
    assert_true(fixture->node.drives[0].closed);
    assert_false(fixture->node.drives[0].failed);
}

static void test_event__came_up_empty__error_and_warning_that_stays(void **state) {
    struct fixture *fixture = *state;
    const struct mkv_event event = {
        MKV_EVENT_CAME_UP_EMPTY, MKV_CORRUPT_CHECKPOINT_PAGE, {41, 0, 0}};
    expect_log(fixture, 1, &event,
               "ERROR core.volume: drive came up empty: what stood on it cannot be trusted "
               "drive=d01 path=/b error=\"its checkpoint is damaged\" sequence=41\n"
               "WARN server.node: drive d01 came up empty: its checkpoint is damaged, so none of "
               "its blocks can be trusted code=CAME_UP_EMPTY action=\"nothing to do for the node: "
               "it fills again; check the drive's health if this was no power cut\" drive=d01\n");
    const struct mkv_admin_warning *warning = &fixture->node.warnings[0];
    assert_int_equal(fixture->node.warning_count, 1);
    assert_int_equal(warning->code, MKV_ADMIN_WARNING_CAME_UP_EMPTY);
    assert_string_equal(warning->drive, "d01");
    assert_true(warning->since_ms > 0);
    assert_true(fixture->node.drives[1].came_up_empty);
}

static void test_event__drive_failed_and_open_failed__one_warning_a_drive(void **state) {
    struct fixture *fixture = *state;
    const struct mkv_event failed = {
        MKV_EVENT_DRIVE_FAILED, MKV_ERR_DRIVE_IO, {MKV_IO_DEVICE, 3, 0}};
    const struct mkv_event open_failed = {
        MKV_EVENT_OPEN_FAILED, MKV_ERR_DRIVE_IO, {MKV_IO_DEVICE, 3, 0}};
    expect_log(
        fixture, 0, &failed,
        "ERROR core.volume: drive failed and is taken out of service, its keys are misses "
        "drive=d00 path=/a error=\"device error\" class=io_error unit=3\n"
        "WARN server.node: drive d00 failed and is offline (io_error): device error; its "
        "keys are misses code=DRIVE_OFFLINE action=\"look at dmesg and the drive's health, then "
        "bring it back with memkv admin drive online, or replace it\" drive=d00\n");
    expect_log(fixture, 0, &open_failed,
               "ERROR core.volume: drive cannot be opened, its keys are misses drive=d00 path=/a "
               "error=\"the drive failed an operation\" class=io_error\n");
    assert_int_equal(fixture->node.warning_count, 1);
    mkv_node_event(&fixture->node, 1, &failed);
    assert_int_equal(fixture->node.warning_count, 2);
    assert_string_equal(fixture->node.warnings[1].drive, "d01");
    assert_true(fixture->node.drives[0].failed);
    assert_true(fixture->node.drives[1].failed);
}

#define FIXTURE_TEST(test) cmocka_unit_test_setup_teardown(test, fixture_begin, fixture_end)

/* A drive that fails each operation, and one whose blocks are all damaged: a handful of lines says
 * it, and how many more there would have been. */
static void test_event__a_thousand_faults__a_handful_of_lines(void **state) {
    struct fixture *fixture = *state;
    static char text[65536];
    const struct mkv_event error = {.kind = MKV_EVENT_DRIVE_ERROR, .value = {MKV_IO_MEDIUM, 7}};
    const struct mkv_event damage = {
        .kind = MKV_EVENT_BLOCK_QUARANTINED, .err = MKV_CORRUPT_PAYLOAD, .value = {5}};
    for (uint32_t i = 0; i < 1000; i++) {
        mkv_node_event(&fixture->node, 0, &error);
        mkv_node_event(&fixture->node, 1, &damage);
    }
    uint64_t counts[MKV_LOG_LEVEL_COUNT];
    mkv_log_counts(fixture->node.log, counts);
    assert_int_equal(counts[MKV_CONFIG_LOG_WARN], 1000);
    assert_int_equal(counts[MKV_CONFIG_LOG_ERROR], 1000);
    mkv_log_destroy(fixture->node.log);
    const ssize_t count = read(fixture->log_ends[0], text, sizeof text - 1);
    assert_true(count > 0);
    text[count] = '\0';
    uint32_t lines = 0;
    for (const char *at = text; (at = strchr(at, '\n')) != NULL; at++) {
        lines++;
    }
    assert_in_range(lines, 12, 24); /* 24 where a minute has ended in between */
    assert_non_null(strstr(text, " lines suppressed: more than 5 of this kind in 60 s "
                                 "kind=drive_error"));
    fixture->node.log =
        mkv_log_create(fixture->log_ends[1], MKV_CONFIG_LOG_DEBUG, MKV_CONFIG_LOG_TEXT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(test_event__each_kind__golden_lines),
        FIXTURE_TEST(test_event__came_up_empty__error_and_warning_that_stays),
        FIXTURE_TEST(test_event__drive_failed_and_open_failed__one_warning_a_drive),
        FIXTURE_TEST(test_event__a_thousand_faults__a_handful_of_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
