/* SPDX-License-Identifier: Apache-2.0 */
#include "server/resp_commands.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "admin/why.h"
#include "backends/clock.h"
#include "core/bytes.h"

#define VOLUMES 3u
#define KEYS_MAX 40u
#define TENANT 5u
#define WORDS_MAX 16u

/* A node of three volumes: keys in order, each on one of them. */
struct world {
    char keys[VOLUMES][KEYS_MAX][16];
    uint32_t key_counts[VOLUMES];
    enum mkv_status ask_status[VOLUMES];    /* of ask */
    enum mkv_status answer_status[VOLUMES]; /* of the answer */
    uint32_t busy;                          /* so many questions more are answered BUSY */
    uint32_t asked;
    uint32_t deleted;
    struct mkv_admin_provider provider;
    struct mkv_resp_commands *commands;
    char line[512];
    struct mkv_resp_word words[WORDS_MAX];
    uint8_t reply[65536];
    struct mkv_resp_writer writer;
};

static uint32_t add_entry(struct mkv_shard_answer *answer, uint32_t at, const char *key) {
    const uint32_t key_bytes = (uint32_t)strlen(key);
    memset(answer->data + at, 0, MKV_SCAN_ENTRY_BYTES);
    mkv_store_u16(answer->data + at + 12, (uint16_t)key_bytes);
    memcpy(answer->data + at + MKV_SCAN_ENTRY_BYTES, key, key_bytes);
    answer->message.count++;
    return at + MKV_SCAN_ENTRY_BYTES + key_bytes;
}

static void scan(const struct world *world, const struct mkv_message *question, const uint8_t *data,
                 struct mkv_shard_answer *answer) {
    char prefix[2048];
    char after[2048];
    snprintf(prefix, sizeof prefix, "%.*s", (int)question->length, (const char *)data);
    snprintf(after, sizeof after, "%.*s", (int)(question->data_bytes - question->length),
             (const char *)data + question->length);
    uint32_t bytes = 0;
    for (uint32_t i = 0; i < world->key_counts[question->volume]; i++) {
        const char *key = world->keys[question->volume][i];
        if (strncmp(key, prefix, strlen(prefix)) != 0 || strcmp(key, after) <= 0) {
            continue;
        }
        if (answer->message.count == question->count) {
            answer->message.flags |= MKV_SCAN_MORE;
            break;
        }
        bytes = add_entry(answer, bytes, key);
    }
    answer->message.data_bytes = bytes;
}

static enum mkv_status ask(void *context, const struct mkv_message *question, const uint8_t *data,
                           struct mkv_shard_answer *answer) {
    struct world *world = context;
    assert_int_equal(question->tenant, TENANT);
    assert_true(question->volume < VOLUMES);
    world->asked++;
    if (world->ask_status[question->volume] != MKV_STATUS_OK) {
        return world->ask_status[question->volume];
    }
    memset(&answer->message, 0, sizeof answer->message);
    answer->message.status = world->answer_status[question->volume];
    if (world->busy > 0) {
        world->busy--;
        answer->message.status = MKV_STATUS_BUSY;
    } else if (question->kind == MKV_MESSAGE_COUNT) {
        answer->message.count = world->key_counts[question->volume];
    } else if (answer->message.status == MKV_STATUS_OK) {
        scan(world, question, data, answer);
    }
    return MKV_STATUS_OK;
}

/* Takes the keys out of the volumes. */
static enum mkv_status delete_keys(void *context, uint32_t tenant, const char *tenant_name,
                                   const struct mkv_resp_word *keys, uint32_t key_count) {
    struct world *world = context;
    assert_int_equal(tenant, TENANT);
    assert_string_equal(tenant_name, "team");
    assert_true(key_count >= 1 && key_count <= 64);
    for (uint32_t i = 0; i < key_count; i++) {
        for (uint32_t v = 0; v < VOLUMES; v++) {
            for (uint32_t k = 0; k < world->key_counts[v]; k++) {
                if (strlen(world->keys[v][k]) == keys[i].count &&
                    memcmp(world->keys[v][k], keys[i].bytes, keys[i].count) == 0) {
                    memmove(world->keys[v][k], world->keys[v][k + 1],
                            (world->key_counts[v] - k - 1) * sizeof world->keys[v][k]);
                    world->key_counts[v]--;
                    world->deleted++;
                }
            }
        }
    }
    return MKV_STATUS_OK;
}

static uint32_t figures(void *context, struct mkv_resp_info_command *out, uint32_t max) {
    (void)context;
    assert_true(max >= 1);
    out[0] = (struct mkv_resp_info_command){.name = "get", .calls = 3};
    return 1;
}

static void snapshot(void *context, struct mkv_admin_snapshot *out) {
    (void)context;
    snprintf(out->version, sizeof out->version, "9.8.7");
    out->memory.bytes_total = 1000;
    out->uptime_ns = 5000000000ull;
    out->front.keys_by_miss[MKV_OP_GET][MKV_MISS_NONE] = 11;
    out->front.keys_by_miss[MKV_OP_GET][MKV_MISS_UNKNOWN] = 7;
    out->tenant_count = 2;
    snprintf(out->tenants[0].name, sizeof out->tenants[0].name, "default");
    out->tenants[0].blocks = 11;
    snprintf(out->tenants[1].name, sizeof out->tenants[1].name, "team"); /* who asks */
    out->tenants[1].blocks = 42;
}

static uint32_t hotkeys(void *context, struct mkv_admin_hotkey *out, uint32_t max) {
    (void)context;
    assert_true(max >= 2);
    out[0] = (struct mkv_admin_hotkey){
        .hot = {.count = 9, .error = 1, .tenant = TENANT + 1, .key_bytes = 5, .key = "other"}};
    out[1] = (struct mkv_admin_hotkey){
        .hot = {.count = 4, .error = 2, .tenant = TENANT, .key_bytes = 4, .key = "mine"}};
    return 2;
}

static uint32_t slow(void *context, struct mkv_admin_slow *out, uint32_t max,
                     uint64_t *threshold_ns) {
    (void)context;
    *threshold_ns = 100000000;
    for (uint32_t i = 0; i < 3 && i < max; i++) {
        out[i] = (struct mkv_admin_slow){
            .time_ms = 1000 - i / 2, .total_ns = 5000000, .op = MKV_OP_GET, .key_bytes = 1};
        out[i].key[0] = 'k';
        snprintf(out[i].tenant, sizeof out[i].tenant, "%s", i == 1 ? "others" : "team");
    }
    return (uint32_t)mkv_min_u64(3, max);
}

static void latency(void *context, enum mkv_admin_latency_op op, struct mkv_hdr *out) {
    (void)context;
    if (op == MKV_ADMIN_LATENCY_GET_SMALL) {
        mkv_hdr_record(out, 3000);
        mkv_hdr_record(out, 3000);
        mkv_hdr_record(out, 100000);
    }
}

static enum mkv_status why(void *context, const char *tenant, const uint8_t *key,
                           uint32_t key_bytes, struct mkv_admin_why *out) {
    (void)context;
    assert_string_equal(tenant, "team");
    *out = (struct mkv_admin_why){.tenant_known = true};
    out->on_drive = key_bytes == 4 && memcmp(key, "mine", 4) == 0;
    out->length_units = 3;
    if (key_bytes == 4 && memcmp(key, "soon", 4) == 0) { /* in memory alone, and it expires */
        out->in_memory = true;
        out->expiry_s = (uint32_t)(mkv_clock_wall_ms() / 1000 + 5000);
    }
    if (key_bytes == 4 && memcmp(key, "over", 4) == 0) {
        out->in_memory = true;
        out->expiry_s = 1000;
    }
    return MKV_STATUS_OK;
}

static char *config(void *context) {
    (void)context;
    return strdup(
        "{\"keys\":[{\"key\":\"memory.max_size\",\"value\":\"64GiB\",\"origin\":\"x\"}]}");
}

static int setup(void **state) {
    static const struct mkv_admin_observed_ops observed = {
        .latency = latency, .hotkeys = hotkeys, .slow = slow};
    struct world *world = calloc(1, sizeof *world);
    world->provider = (struct mkv_admin_provider){
        .context = world,
        .snapshot = snapshot,
        .observed = &observed,
        .why = why,
        .config = config,
    };
    const struct mkv_resp_node node = {
        .provider = &world->provider,
        .context = world,
        .volume_count = VOLUMES,
        .port = 9902,
        .connections_max = 77,
        .value_bytes_max = 512,
        .ask = ask,
        .delete_keys = delete_keys,
        .figures = figures,
    };
    world->commands = mkv_resp_commands_create(&node);
    for (uint32_t i = 0; i < 30; i++) {
        const uint32_t volume = i % 2 == 0 ? 0 : 2; /* the second one is empty */
        snprintf(world->keys[volume][world->key_counts[volume]++], 16, "%s:%02u",
                 i < 20 ? "key" : "other", i);
    }
    *state = world;
    return 0;
}

static int teardown(void **state) {
    struct world *world = *state;
    mkv_resp_commands_destroy(world->commands);
    free(world);
    return 0;
}

/* Runs a line and returns the reply. */
static const char *call_as(struct world *world, bool is_admin, const char *line) {
    uint32_t count = 0;
    char *save = NULL;
    snprintf(world->line, sizeof world->line, "%s", line);
    for (char *at = strtok_r(world->line, " ", &save); at != NULL;
         at = strtok_r(NULL, " ", &save)) {
        world->words[count++] = (struct mkv_resp_word){(const uint8_t *)at, (uint32_t)strlen(at)};
    }
    memset(world->reply, 0, sizeof world->reply);
    world->writer = (struct mkv_resp_writer){
        .bytes = world->reply, .capacity = sizeof world->reply - 1, .protocol = 2};
    const struct mkv_resp_command_row *row =
        mkv_resp_command_check(world->words, count, &world->writer);
    if (row != NULL) {
        const struct mkv_resp_who who = {
            .tenant = TENANT, .tenant_name = "team", .is_admin = is_admin};
        mkv_resp_commands_run(world->commands, row, &who, world->words, count, &world->writer);
    }
    return (const char *)world->reply;
}

static const char *call(struct world *world, const char *line) {
    return call_as(world, true, line);
}

/* How many keys a whole SCAN lists; each is checked to begin with "key" or "other". */
static uint32_t scan_all(struct world *world, const char *options) {
    char line[128] = "SCAN 0";
    uint32_t listed = 0;
    for (uint32_t pages = 0; pages < 100; pages++) {
        snprintf(line + strlen(line), sizeof line - strlen(line), " %s", options);
        const char *reply = call(world, line);
        char cursor[32];
        unsigned keys;
        assert_int_equal(sscanf(reply, "*2\r\n$%*u\r\n%31[0-9]\r\n*%u", cursor, &keys), 2);
        listed += keys;
        if (strcmp(cursor, "0") == 0) {
            return listed;
        }
        snprintf(line, sizeof line, "SCAN %s", cursor);
    }
    fail_msg("SCAN does not end");
    return 0;
}

static void test_resp_scan__over_volumes__lists_each_key_once_and_ends(void **state) {
    struct world *world = *state;
    assert_int_equal(scan_all(world, ""), 30);
    assert_int_equal(scan_all(world, "COUNT 1"), 30);
    assert_int_equal(scan_all(world, "COUNT 7"), 30);
    assert_int_equal(scan_all(world, "COUNT 100000"), 30);
    assert_int_equal(scan_all(world, "MATCH key:*"), 20);
    assert_int_equal(scan_all(world, "MATCH *:2? COUNT 3"), 10);
    assert_int_equal(scan_all(world, "MATCH key:07"), 1);
    assert_int_equal(scan_all(world, "MATCH nosuch"), 0);
    assert_int_equal(scan_all(world, "TYPE string"), 30);
    assert_int_equal(scan_all(world, "TYPE hash"), 0);
}

static void test_resp_scan__a_cursor_of_nobody__is_an_error(void **state) {
    struct world *world = *state;
    assert_memory_equal(call(world, "SCAN 123456"), "-ERR invalid cursor", 19);
    assert_string_equal(call(world, "SCAN 12x"), "-ERR invalid cursor\r\n");
    assert_string_equal(call(world, "SCAN 18446744073709551616"), "-ERR invalid cursor\r\n");
}

static void test_resp_scan__a_drive_that_is_offline__has_no_keys(void **state) {
    struct world *world = *state;
    world->ask_status[0] = MKV_STATUS_UNAVAILABLE;
    assert_int_equal(scan_all(world, ""), 15);
    assert_string_equal(call(world, "DBSIZE"), ":15\r\n");
}

/* Never a list that is not complete without saying so. */
static void test_resp_scan__a_directory_that_is_made_anew__is_an_error(void **state) {
    struct world *world = *state;
    world->answer_status[2] = MKV_STATUS_UNAVAILABLE;
    assert_memory_equal(call(world, "SCAN 0 COUNT 100"), "-TRYAGAIN", 9);
    assert_memory_equal(call(world, "DBSIZE"), "-TRYAGAIN", 9);
    world->answer_status[2] = MKV_STATUS_OK;
    world->ask_status[2] = MKV_STATUS_DEADLINE;
    assert_memory_equal(call(world, "DBSIZE"), "-TRYAGAIN", 9);
}

static void test_resp_scan__busy_volumes__are_asked_again(void **state) {
    struct world *world = *state;
    world->busy = 5;
    assert_string_equal(call(world, "DBSIZE"), ":30\r\n");
    assert_int_equal(world->asked, VOLUMES + 5);
}

static void test_resp_flushdb__by_an_administrator__deletes_every_key(void **state) {
    struct world *world = *state;
    assert_string_equal(call(world, "FLUSHDB sometime"), "-ERR syntax error\r\n");
    assert_memory_equal(call_as(world, false, "FLUSHDB"), "-NOPERM", 7);
    assert_int_equal(world->deleted, 0);
    assert_string_equal(call(world, "FLUSHALL ASYNC"), "+OK\r\n");
    assert_int_equal(world->deleted, 30);
    assert_string_equal(call(world, "DBSIZE"), ":0\r\n");
}

static void test_resp_info__of_a_snapshot__has_its_figures(void **state) {
    struct world *world = *state;
    const char *text = call(world, "INFO everything");
    assert_non_null(strstr(text, "memkv_version:9.8.7\r\n"));
    assert_non_null(strstr(text, "tcp_port:9902\r\n"));
    assert_non_null(strstr(text, "maxclients:77\r\n"));
    assert_non_null(strstr(text, "maxmemory:1000\r\n"));
    assert_non_null(strstr(text, "keyspace_hits:11\r\nkeyspace_misses:7\r\n"));
    assert_non_null(strstr(text, "db0:keys=42,"));
    assert_non_null(strstr(text, "cmdstat_get:calls=3,"));
}

static void test_resp_config__patterns__are_ours_for_administrators_alone(void **state) {
    struct world *world = *state;
    assert_string_equal(call(world, "CONFIG GET maxmemory"),
                        "*2\r\n$9\r\nmaxmemory\r\n$4\r\n1000\r\n");
    assert_string_equal(call(world, "CONFIG GET MEMORY.*"),
                        "*2\r\n$15\r\nmemory.max_size\r\n$5\r\n64GiB\r\n");
    assert_string_equal(call_as(world, false, "CONFIG GET memory.*"), "*0\r\n");
    assert_string_equal(call(world, "CONFIG GET save save s?ve"), "*2\r\n$4\r\nsave\r\n$0\r\n\r\n");
    assert_memory_equal(call(world, "CONFIG SET maxmemory 1"), "-ERR settings cannot be", 23);
}

static void test_resp_hotkeys__of_another_tenant__are_not_told(void **state) {
    struct world *world = *state;
    assert_string_equal(call(world, "HOTKEYS"), "*1\r\n*3\r\n$4\r\nmine\r\n:4\r\n:2\r\n");
    assert_memory_equal(call(world, "HOTKEYS 0"), "-ERR HOTKEYS takes", 18);
    assert_string_equal(call(world, "OBJECT FREQ mine"), ":4\r\n");
    assert_string_equal(call(world, "OBJECT FREQ none"), "$-1\r\n");
    assert_string_equal(call(world, "MEMORY USAGE mine"), ":16384\r\n");
}

static void test_resp_object__of_what_has_expired__is_nothing(void **state) {
    struct world *world = *state;
    assert_string_equal(call(world, "OBJECT ENCODING soon"), "$3\r\nraw\r\n");
    assert_string_equal(call(world, "OBJECT ENCODING over"), "$-1\r\n");
}

static void test_resp_slowlog__requests_of_others__are_for_administrators(void **state) {
    struct world *world = *state;
    assert_string_equal(call(world, "SLOWLOG LEN"), ":3\r\n");
    assert_string_equal(call_as(world, false, "SLOWLOG LEN"), ":2\r\n");
    /* Two of one millisecond have numbers of their own, and the older one the smaller. */
    const char *text = call(world, "SLOWLOG GET 2");
    assert_memory_equal(text, "*2\r\n*6\r\n:128001\r\n:1\r\n:5000\r\n*2\r\n$3\r\nget\r\n", 41);
    assert_non_null(strstr(text, "*6\r\n:128000\r\n"));
    assert_memory_equal(call_as(world, false, "SLOWLOG RESET"), "-NOPERM", 7);
    assert_string_equal(call(world, "SLOWLOG RESET"), "+OK\r\n");
    assert_string_equal(call(world, "SLOWLOG LEN"), ":0\r\n");
}

static void test_resp_latency__of_what_was_recorded__is_told(void **state) {
    struct world *world = *state;
    const char *text = call(world, "STATS.LATENCY get_small p50 P99.9");
    assert_memory_equal(text, "*12\r\n$2\r\nop\r\n$9\r\nget_small\r\n$5\r\ncount\r\n:3\r\n", 43);
    assert_non_null(strstr(text, "$3\r\np50\r\n$3\r\n3.0\r\n$5\r\nP99.9\r\n"));
    assert_memory_equal(call(world, "STATS.LATENCY nosuch"), "-ERR STATS.LATENCY takes get", 28);
    assert_memory_equal(call(world, "STATS.LATENCY get p101"), "-ERR STATS.LATENCY takes up", 27);
    assert_string_equal(call(world, "LATENCY HISTOGRAM"),
                        "*2\r\n$3\r\nget\r\n*4\r\n$5\r\ncalls\r\n:3\r\n$14\r\nhistogram_usec\r\n"
                        "*4\r\n:4\r\n:2\r\n:128\r\n:3\r\n");
    assert_string_equal(call(world, "LATENCY HISTOGRAM set"), "*0\r\n");
}

/* I1. */
static void test_resp_commands__a_reply_that_does_not_fit__is_an_error(void **state) {
    struct world *world = *state;
    const struct mkv_resp_word words[] = {{(const uint8_t *)"command", 7}};
    const struct mkv_resp_who who = {.tenant = TENANT, .tenant_name = "team"};
    struct mkv_resp_writer writer = {.bytes = world->reply, .capacity = 1000, .protocol = 3};
    memset(world->reply, 0, sizeof world->reply);
    mkv_resp_commands_run(world->commands, mkv_resp_command_find(words, 1), &who, words, 1,
                          &writer);
    assert_int_equal(writer.length, 42);
    assert_memory_equal(world->reply, "-ERR the reply is too long. Ask for less\r\n", 42);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_resp_scan__over_volumes__lists_each_key_once_and_ends,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_resp_scan__a_cursor_of_nobody__is_an_error, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_resp_scan__a_drive_that_is_offline__has_no_keys, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_resp_scan__a_directory_that_is_made_anew__is_an_error,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_resp_scan__busy_volumes__are_asked_again, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_resp_flushdb__by_an_administrator__deletes_every_key,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_resp_info__of_a_snapshot__has_its_figures, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(
            test_resp_config__patterns__are_ours_for_administrators_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(test_resp_hotkeys__of_another_tenant__are_not_told, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_resp_object__of_what_has_expired__is_nothing, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(
            test_resp_slowlog__requests_of_others__are_for_administrators, setup, teardown),
        cmocka_unit_test_setup_teardown(test_resp_latency__of_what_was_recorded__is_told, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_resp_commands__a_reply_that_does_not_fit__is_an_error,
                                        setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
