/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lists of servers: what is taken, what is not, and a client that follows a file.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <time.h>
#include <unistd.h>

#include "client/discovery.h"
#include "client/engine.h"
#include "tests/unit/client/test_client.h"
#include "tests/unit/client/test_server.h"

/* Generous: machines are slow and loaded. */
#define SEEN_S_MAX 60u
#define REFRESH_MS 5u

static char path[64];
static char text_of_file[80];

static int begin(void **state) {
    (void)state;
    snprintf(path, sizeof path, "/tmp/memkv-discovery-test-%d", (int)getpid());
    snprintf(text_of_file, sizeof text_of_file, "file:%s", path);
    return 0;
}

static int end(void **state) {
    (void)state;
    unlink(path);
    return 0;
}

/* Puts a whole file in its place. */
static void write_file(const char *text) {
    char next[80];
    snprintf(next, sizeof next, "%s.next", path);
    FILE *file = fopen(next, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(rename(next, path), 0);
}

static uint64_t deadline_ns(void) {
    return mkv_client_now_ns() + SEEN_S_MAX * 1000000000ull;
}

static void pause_ms(uint32_t ms) {
    nanosleep(&(struct timespec){.tv_sec = ms / 1000u, .tv_nsec = (long)(ms % 1000u) * 1000000},
              NULL);
}

static struct mkv_discovery *discovery_open(const char *text) {
    struct mkv_discovery *discovery = NULL;
    struct memkv_error error;
    if (mkv_discovery_open(text, REFRESH_MS, NULL, &discovery, &error) != MEMKV_OK ||
        mkv_discovery_wait(discovery, deadline_ns(), &error) != MEMKV_OK) {
        fail_msg("%s", error.text);
    }
    return discovery;
}

/* The list, as HOST:PORT*WEIGHT with commas between. */
static const char *list_text(struct mkv_discovery *discovery) {
    static char text[1024];
    struct mkv_server_list list;
    text[0] = '\0';
    mkv_discovery_servers(discovery, &list);
    for (uint32_t index = 0; index < list.count; index++) {
        const size_t used = strlen(text);
        snprintf(text + used, sizeof text - used, "%s%s*%u", index > 0 ? "," : "",
                 list.servers[index].text, list.servers[index].weight);
    }
    return text;
}

static void wait_version(const struct mkv_discovery *discovery, uint64_t version) {
    const uint64_t until_ns = deadline_ns();
    while (mkv_discovery_version(discovery) < version && mkv_client_now_ns() < until_ns) {
        pause_ms(1);
    }
    assert_true(mkv_discovery_version(discovery) == version);
}

/* Until it has been read so many times more, or could not be. */
static void wait_reads(struct mkv_discovery *discovery, uint64_t reads, uint64_t failures) {
    const uint64_t until_ns = deadline_ns();
    struct mkv_discovery_counts before, counts;
    char problem[MEMKV_ERROR_TEXT_BYTES];
    mkv_discovery_state(discovery, &before, problem);
    do {
        pause_ms(1);
        mkv_discovery_state(discovery, &counts, problem);
        assert_true(mkv_client_now_ns() < until_ns);
    } while (counts.read_count < before.read_count + reads ||
             counts.failed_count < before.failed_count + failures);
}

/* ---- texts ---------------------------------------------------------------------------------- */

static void test_discovery_check__texts__are_taken_or_told_why_not(void **state) {
    (void)state;
    static const struct {
        const char *text, *part; /* NULL: it is one */
    } cases[] = {
        {"static:a:1", NULL},
        {"static:a:1,b:2*7", NULL},
        {"file:/etc/memkv/servers", NULL},
        {"file:relative", NULL},
        {"dns:kv.example:9900", NULL},
        {"dns:[::1]:9900", NULL},
        {"etcd:http://a:2379/memkv", NULL},
        {"etcd:http://a:2379,http://[::1]:2379/memkv/blue/", NULL},
        {"dns:kv.example", "no port"},
        {"dns:a:1,b:2", "write dns:NAME:PORT"},
        {"dns:a:1*2", "write dns:NAME:PORT"},
        {"etcd:", "does not begin with http://"},
        {"etcd:a:2379/memkv", "does not begin with http://"},
        {"etcd:https://a:2379/memkv", "does not begin with http://"},
        {"etcd:http://a/memkv", "no port"},
        {"etcd:http://a:2379*2/memkv", "no weight"},
        {"etcd:http://a:2379", "the prefix of the keys is missing"},
        {"etcd:http://a:2379/", "the prefix of the keys is missing"},
        {"etcd:http://a:2379,b:2379/memkv", "does not begin with http://"},
        {"etcd:http://a:2379/mem kv", "not printable"},
        {"", "'' is no discovery"},
        {"a:1,b:2", "'a:1,b:2' is no discovery; write static:SERVERS"},
        {"static:", "no port"},
        {"static:a:1,a:1", "twice"},
        {"static:a:1*300", "weight"},
        {"file:", "names no file"},
        {"zookeeper:a:1", "is no discovery"},
    };
    for (size_t index = 0; index < sizeof cases / sizeof cases[0]; index++) {
        struct memkv_error error = {0};
        const enum memkv_status status =
            mkv_discovery_check("MEMKV_DISCOVERY", cases[index].text, &error);
        if (cases[index].part == NULL) {
            assert_int_equal(status, MEMKV_OK);
        } else {
            assert_int_equal(status, MEMKV_INVALID);
            test_expect_text(&error, "MEMKV_DISCOVERY: ");
            test_expect_text(&error, cases[index].part);
        }
    }
    char *longest = malloc(2000);
    assert_non_null(longest);
    memset(longest, 'x', 2000);
    memcpy(longest, "file:/", 6);
    longest[1999] = '\0';
    struct memkv_error error;
    assert_int_equal(mkv_discovery_check("discovery", longest, &error), MEMKV_INVALID);
    test_expect_text(&error, "more than 1023 characters");
    free(longest);
}

static void test_discovery__static_list__is_there_at_once(void **state) {
    (void)state;
    struct mkv_discovery *discovery = discovery_open("static:b:2*3,a:1");
    assert_true(mkv_discovery_version(discovery) == 1);
    assert_string_equal(list_text(discovery), "a:1*1,b:2*3");
    mkv_discovery_close(discovery);
    mkv_discovery_close(NULL);
}

/* ---- files ---------------------------------------------------------------------------------- */

static void test_discovery_file__it_changes__is_a_new_version_of_the_list(void **state) {
    (void)state;
    write_file("# ours\nb:2 # the big one\n\n  a:1*2\t\r\n");
    struct mkv_discovery *discovery = discovery_open(text_of_file);
    assert_string_equal(list_text(discovery), "a:1*2,b:2*1");
    /* Another order, and what people read, make no other list. */
    write_file("a:1*2\nb:2\n# so it was\n");
    wait_reads(discovery, 3, 0);
    assert_true(mkv_discovery_version(discovery) == 1);
    write_file("a:1*2\nb:2\nc:3\n");
    wait_version(discovery, 2);
    assert_string_equal(list_text(discovery), "a:1*2,b:2*1,c:3*1");
    write_file("a:1*3\nc:3\n");
    wait_version(discovery, 3);
    assert_string_equal(list_text(discovery), "a:1*3,c:3*1");
    mkv_discovery_close(discovery);
}

static void test_discovery_file__it_cannot_be_taken__the_list_stays_and_it_is_told(void **state) {
    (void)state;
    static const struct {
        const char *text, *part; /* NULL: there is no file */
    } cases[] = {
        {NULL, "No such file"},
        {"", "there is no server in it"},
        {"# nobody\n", "there is no server in it"},
        {"c:3\nd:4", "its last line has no end"},
        {"c:3\n\nd\n", ":3: server 'd': it has no port"},
    };
    write_file("a:1\nb:2\n");
    struct mkv_discovery *discovery = discovery_open(text_of_file);
    for (size_t index = 0; index < sizeof cases / sizeof cases[0]; index++) {
        if (cases[index].text == NULL) {
            assert_int_equal(unlink(path), 0);
        } else {
            write_file(cases[index].text);
        }
        wait_reads(discovery, 0, 3);
        struct mkv_discovery_counts counts;
        struct memkv_error error = {.status = MEMKV_OK};
        mkv_discovery_state(discovery, &counts, error.text);
        assert_true(counts.is_failing);
        test_expect_text(&error, cases[index].part);
        test_expect_text(&error, path);
        assert_true(mkv_discovery_version(discovery) == 1);
        assert_string_equal(list_text(discovery), "a:1*1,b:2*1");
    }
    write_file("a:1\n");
    wait_version(discovery, 2);
    struct mkv_discovery_counts counts;
    char problem[MEMKV_ERROR_TEXT_BYTES];
    mkv_discovery_state(discovery, &counts, problem);
    assert_false(counts.is_failing);
    assert_string_equal(problem, "");
    mkv_discovery_close(discovery);
}

static void test_discovery_file__more_servers_than_may_be__is_refused(void **state) {
    (void)state;
    char text[2048] = "";
    for (uint32_t index = 0; index < MKV_CLIENT_SERVERS_MAX; index++) {
        const size_t used = strlen(text);
        snprintf(text + used, sizeof text - used, "kv-%u:9900\n", index);
    }
    write_file(text);
    struct mkv_discovery *discovery = discovery_open(text_of_file);
    const size_t used = strlen(text);
    snprintf(text + used, sizeof text - used, "one-more:9900\n");
    write_file(text);
    wait_reads(discovery, 0, 1);
    assert_true(mkv_discovery_version(discovery) == 1);
    mkv_discovery_close(discovery);
}

static void test_discovery_wait__no_file__tells_why_in_time(void **state) {
    (void)state;
    struct mkv_discovery *discovery = NULL;
    struct memkv_error error;
    assert_int_equal(mkv_discovery_open("file:/no/such/file", 1, NULL, &discovery, &error),
                     MEMKV_OK);
    assert_int_equal(mkv_discovery_wait(discovery, mkv_client_now_ns() + 50000000u, &error),
                     MEMKV_UNAVAILABLE);
    assert_true(mkv_discovery_version(discovery) == 0);
    mkv_discovery_close(discovery);
    struct memkv_client *client = NULL;
    const struct memkv_options options = {.discovery = "file:/no/such/file",
                                          .connect_timeout_ms = 300};
    assert_int_equal(memkv_open(&options, &client, &error), MEMKV_UNAVAILABLE);
    test_expect_text(&error, "discovery: file /no/such/file: No such file");
    assert_null(client);
}

/* ---- names ---------------------------------------------------------------------------------- */

static void test_discovery_dns__name_of_this_machine__has_its_addresses(void **state) {
    (void)state;
    struct mkv_discovery *discovery = discovery_open("dns:localhost:9900");
    assert_non_null(strstr(list_text(discovery), "127.0.0.1:9900*1"));
    wait_reads(discovery, 3, 0);
    assert_true(mkv_discovery_version(discovery) == 1);
    mkv_discovery_close(discovery);
    discovery = discovery_open("dns:[::1]:9900");
    assert_string_equal(list_text(discovery), "[::1]:9900*1");
    mkv_discovery_close(discovery);
}

static void test_discovery_dns__name_of_nobody__is_told_and_close_does_not_wait(void **state) {
    (void)state;
    struct mkv_discovery *discovery = NULL;
    struct memkv_error error;
    assert_int_equal(mkv_discovery_open("dns:nobody.invalid:9900", 1, NULL, &discovery, &error),
                     MEMKV_OK);
    assert_int_equal(mkv_discovery_wait(discovery, mkv_client_now_ns() + 20000000u, &error),
                     MEMKV_UNAVAILABLE);
    test_expect_text(&error, "discovery: ");
    const uint64_t begin_ns = mkv_client_now_ns();
    mkv_discovery_close(discovery);
    /* A resolver that asks a host that does not answer takes 5 s at least. */
    assert_in_range(mkv_client_now_ns() - begin_ns, 0, 4000000000u);
}

/* ---- a client ------------------------------------------------------------------------------- */

static void put_all(struct memkv_client *client, enum memkv_op op, enum memkv_status expected) {
    for (uint32_t index = 0; index < 60; index++) {
        char key[16];
        snprintf(key, sizeof key, "key-%u", index);
        struct memkv_item item = {
            .op = op, .key = key, .key_bytes = strlen(key), .data = key, .data_bytes = strlen(key)};
        assert_int_equal(memkv_batch(client, &item, 1, NULL), expected);
    }
}

static void test_discovery__client_of_a_file__follows_it(void **state) {
    (void)state;
    struct test_server *servers[2];
    char list[80];
    const struct test_server_options usual = {.corrupt_at = 0};
    servers[0] = test_server_start(&usual);
    servers[1] = test_server_start(&usual);
    snprintf(list, sizeof list, "%s\n", servers[0]->address);
    write_file(list);
    struct memkv_client *client = NULL;
    struct memkv_error error;
    const struct memkv_options options = {.discovery = text_of_file, .discovery_refresh_ms = 2};
    if (memkv_open(&options, &client, &error) != MEMKV_OK) {
        fail_msg("%s", error.text);
    }
    put_all(client, MEMKV_OP_PUT, MEMKV_OK);
    snprintf(list, sizeof list, "%s\n%s\n", servers[0]->address, servers[1]->address);
    write_file(list);
    wait_version(client->discovery, 2);
    put_all(client, MEMKV_OP_PUT, MEMKV_OK);
    assert_int_equal(client->remote_count, 2);
    assert_int_equal(servers[1]->connection_count, 1);
    snprintf(list, sizeof list, "%s\n", servers[1]->address);
    write_file(list);
    wait_version(client->discovery, 3);
    put_all(client, MEMKV_OP_PUT, MEMKV_OK);
    put_all(client, MEMKV_OP_EXISTS, MEMKV_OK);
    assert_int_equal(client->remote_all_count, 1);
    assert_int_equal(servers[0]->connection_count, 1);
    memkv_close(client);
    test_server_stop(servers[0]);
    test_server_stop(servers[1]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_discovery_check__texts__are_taken_or_told_why_not),
        cmocka_unit_test(test_discovery__static_list__is_there_at_once),
        cmocka_unit_test_setup_teardown(
            test_discovery_file__it_changes__is_a_new_version_of_the_list, begin, end),
        cmocka_unit_test_setup_teardown(
            test_discovery_file__it_cannot_be_taken__the_list_stays_and_it_is_told, begin, end),
        cmocka_unit_test_setup_teardown(test_discovery_file__more_servers_than_may_be__is_refused,
                                        begin, end),
        cmocka_unit_test(test_discovery_dns__name_of_this_machine__has_its_addresses),
        cmocka_unit_test(test_discovery_dns__name_of_nobody__is_told_and_close_does_not_wait),
        cmocka_unit_test(test_discovery_wait__no_file__tells_why_in_time),
        cmocka_unit_test_setup_teardown(test_discovery__client_of_a_file__follows_it, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
