/* SPDX-License-Identifier: Apache-2.0 */
/* The audit's queue, its thread, and what it does with too much. */
#include "admin/audit.h"

#include <sys/resource.h>
#include <unistd.h>

#include "admin/audit_verify.h"
#include "tests/unit/admin/audit_rig.h"
#include "tests/unit/admin/test.h"

#define LINES_MAX 1024u
#define POLLS_MAX 6000u

static void position(void *context, char text[MKV_AUDIT_POSITION_BYTES]) {
    snprintf(text, MKV_AUDIT_POSITION_BYTES, "%s", (const char *)context);
}

static struct mkv_audit *open_audit(const struct rig *rig, uint64_t refusal_window_ns) {
    char where[] = "d00:17";
    static char kept[16];
    memcpy(kept, where, sizeof where);
    const struct mkv_audit_options options = {
        .file = {.path = rig->path, .node = "n", .bytes_max = MKV_MIB, .files_max = 4},
        .position = position,
        .context = kept,
        .refusal_window_ns = refusal_window_ns,
    };
    struct mkv_audit *audit = NULL;
    char error[MKV_AUDIT_ERROR_BYTES] = "";
    const bool opened = mkv_audit_open(&options, &audit, error);
    assert_string_equal(error, "");
    assert_true(opened);
    return audit;
}

/* A drive that is busy with others may take longer than one wait. */
static bool wait_long(struct mkv_audit *audit, uint64_t ticket) {
    bool durable = false;
    for (uint32_t tries = 0; tries < 20 && !durable; tries++) {
        durable = mkv_audit_wait(audit, ticket);
    }
    return durable;
}

static uint32_t count_lines(const struct rig *rig, const char *with) {
    char line[MKV_AUDIT_LINE_BYTES_MAX + 1];
    FILE *file = fopen(rig->path, "r");
    assert_non_null(file);
    uint32_t count = 0;
    while (fgets(line, sizeof line, file) != NULL) {
        count += strstr(line, with) != NULL;
    }
    fclose(file);
    return count;
}

static void assert_intact(const struct rig *rig, uint64_t records) {
    const struct mkv_audit_verify_options options = {.path = rig->path, .sequence_end = UINT64_MAX};
    struct mkv_audit_verdict verdict;
    assert_true(mkv_audit_verify(&options, &verdict));
    assert_string_equal(verdict.message, "");
    assert_true(verdict.intact);
    assert_int_equal(verdict.records, records);
}

static void test_audit__written_and_waited_for__durable_with_its_position(void **state) {
    const struct rig *rig = *state;
    struct mkv_audit *audit = open_audit(rig, 0);
    const struct mkv_audit_entry entry =
        mkv_audit_entry_make(MKV_AUDIT_LOG_LEVEL, "log", "ok", "level %s", "debug");
    const uint64_t ticket = mkv_audit_write(audit, &entry);
    assert_true(ticket > 0);
    assert_true(wait_long(audit, ticket));
    assert_int_equal(count_lines(rig, "\"log_position\":\"d00:17\""), 1);
    assert_int_equal(count_lines(rig, "\"reason\":\"level debug\""), 1);
    struct mkv_audit_status status;
    mkv_audit_status(audit, &status);
    assert_int_equal(status.head.next_sequence, 2);
    assert_true(!status.failing && !status.broken && status.lost == 0);
    mkv_audit_detach(audit);
    assert_true(wait_long(audit, mkv_audit_write(audit, &entry)));
    assert_int_equal(count_lines(rig, "\"log_position\":\"d00:17\""), 1);
    mkv_audit_close(audit);
    assert_intact(rig, 3);
}

static void test_audit__none_configured__takes_everything(void **state) {
    (void)state;
    const struct mkv_audit_entry entry = mkv_audit_entry_make(MKV_AUDIT_STOP, "", "ok", "%s", "");
    assert_int_equal(mkv_audit_write(NULL, &entry), 0);
    assert_true(mkv_audit_wait(NULL, 0));
    assert_true(mkv_audit_offer(NULL, &entry));
    mkv_audit_refuse(NULL, &entry);
    mkv_audit_detach(NULL);
    mkv_audit_close(NULL);
}

static void test_audit__many_at_once__in_order_and_none_silently_lost(void **state) {
    const struct rig *rig = *state;
    struct mkv_audit *audit = open_audit(rig, 0);
    uint32_t taken = 0;
    for (uint32_t index = 0; index < 2 * MKV_AUDIT_QUEUE_MAX; index++) {
        const struct mkv_audit_entry entry =
            mkv_audit_entry_make(MKV_AUDIT_PROFILE, "cpu", "ok", "number %u", index);
        taken += mkv_audit_write(audit, &entry) > 0;
    }
    assert_true(taken >= MKV_AUDIT_QUEUE_MAX);
    mkv_audit_close(audit);
    assert_int_equal(count_lines(rig, "\"operation\":\"profile\""), taken);
    char line[MKV_AUDIT_LINE_BYTES_MAX + 1];
    FILE *file = fopen(rig->path, "r");
    assert_non_null(file);
    uint64_t lost = 0;
    long last = -1;
    uint64_t lines = 0;
    while (fgets(line, sizeof line, file) != NULL) {
        lines++;
        const char *number = strstr(line, "\"reason\":\"number ");
        if (number != NULL) {
            const long now = strtol(number + strlen("\"reason\":\"number "), NULL, 10);
            assert_true(now > last);
            last = now;
        }
        if (strstr(line, "\"operation\":\"lost\"") != NULL) {
            lost += strtoull(strstr(line, "\"count\":") + strlen("\"count\":"), NULL, 10);
        }
    }
    fclose(file);
    assert_int_equal(taken + lost, 2 * MKV_AUDIT_QUEUE_MAX);
    assert_intact(rig, lines);
}

/* A file that may not grow takes nothing; once it may, everything that waited is written. */
static void test_audit__file_cannot_be_written__kept_and_tried_again(void **state) {
    const struct rig *rig = *state;
    struct mkv_audit *audit = open_audit(rig, 0);
    struct rlimit before;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    const struct rlimit none = {.rlim_cur = 400, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
    const struct mkv_audit_entry entry =
        mkv_audit_entry_make(MKV_AUDIT_TENANT_DROP, "tenant x", "ok", "%s", "asked for");
    const uint64_t ticket = mkv_audit_write(audit, &entry);
    struct mkv_audit_status status;
    for (uint32_t poll = 0; poll < POLLS_MAX; poll++) {
        mkv_audit_status(audit, &status);
        if (status.failing) {
            break;
        }
        usleep(10000);
    }
    assert_true(status.failing);
    assert_non_null(strstr(status.error, "cannot be written: File too large"));
    assert_int_equal(status.waiting, 1);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_true(wait_long(audit, ticket));
    mkv_audit_close(audit);
    assert_intact(rig, 2);
}

static void test_audit__refusals__few_records_and_a_count(void **state) {
    const struct rig *rig = *state;
    struct mkv_audit *audit = open_audit(rig, 300ull * 1000000u);
    struct mkv_audit_entry entry =
        mkv_audit_entry_make(MKV_AUDIT_AUTH_REFUSED, "GET /v1/status", "refused", "no token");
    for (uint32_t index = 0; index < 100; index++) {
        snprintf(entry.address, sizeof entry.address, "10.0.0.1:%u", 40000 + index);
        mkv_audit_refuse(audit, &entry);
    }
    snprintf(entry.address, sizeof entry.address, "10.0.0.2:1");
    mkv_audit_refuse(audit, &entry);
    for (uint32_t poll = 0; poll < POLLS_MAX && count_lines(rig, "more of these") == 0; poll++) {
        usleep(10000);
    }
    mkv_audit_close(audit);
    assert_int_equal(count_lines(rig, "\"address\":\"10.0.0.2:1\""), 1);
    /* The window may end while refusals still come, on a machine that is slow enough. */
    assert_in_range(count_lines(rig, "\"address\":\"10.0.0.1:"), 6, 30);
    uint64_t told = 0;
    char line[MKV_AUDIT_LINE_BYTES_MAX + 1];
    FILE *file = fopen(rig->path, "r");
    assert_non_null(file);
    while (fgets(line, sizeof line, file) != NULL) {
        if (strstr(line, "\"10.0.0.1:") != NULL) {
            told += strtoull(strstr(line, "\"count\":") + strlen("\"count\":"), NULL, 10);
        }
    }
    fclose(file);
    assert_int_equal(told, 100);
}

/* More addresses than are told apart share the last place; still each is counted. */
static void test_audit__refusals_from_many__all_counted(void **state) {
    const struct rig *rig = *state;
    struct mkv_audit *audit = open_audit(rig, 0);
    const uint32_t addresses = 2 * MKV_AUDIT_REFUSERS_MAX;
    for (uint32_t index = 0; index < addresses; index++) {
        struct mkv_audit_entry entry =
            mkv_audit_entry_make(MKV_AUDIT_AUTH_REFUSED, "GET /", "refused", "no token");
        snprintf(entry.address, sizeof entry.address, "10.0.0.%u", index);
        mkv_audit_refuse(audit, &entry);
    }
    mkv_audit_close(audit);
    uint64_t told = 0;
    char line[MKV_AUDIT_LINE_BYTES_MAX + 1];
    FILE *file = fopen(rig->path, "r");
    assert_non_null(file);
    while (fgets(line, sizeof line, file) != NULL) {
        if (strstr(line, "auth_refused") != NULL) {
            told += strtoull(strstr(line, "\"count\":") + strlen("\"count\":"), NULL, 10);
        }
    }
    fclose(file);
    assert_int_equal(told, addresses);
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, audit_rig_set_up, audit_rig_tear_down)
        TEST(test_audit__written_and_waited_for__durable_with_its_position),
        TEST(test_audit__none_configured__takes_everything),
        TEST(test_audit__many_at_once__in_order_and_none_silently_lost),
        TEST(test_audit__file_cannot_be_written__kept_and_tried_again),
        TEST(test_audit__refusals__few_records_and_a_count),
        TEST(test_audit__refusals_from_many__all_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
