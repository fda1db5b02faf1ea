/* SPDX-License-Identifier: Apache-2.0 */
#include "server/resp_info.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct mkv_resp_info sample = {
    .memkv_version = "0.1.0",
    .os = "Linux",
    .run_id = "0123456789012345678901234567890123456789",
    .tcp_port = 9902,
    .used_memory = 1536,
    .maxmemory = 3ull << 30,
    .keyspace_hits = 5,
    .keyspace_misses = 6,
    .keys = 12,
    .command_count = 2,
    .commands = {{.name = "get", .calls = 4, .ns = 10000, .rejected_calls = 1}, {.name = "set"}},
};

/* The text of INFO with up to three arguments; freed by the caller. */
static char *info(const char *first, const char *second) {
    struct mkv_resp_word words[2];
    const char *texts[2] = {first, second};
    uint32_t count = 0;
    for (uint32_t i = 0; i < 2 && texts[i] != NULL; i++) {
        words[count++] =
            (struct mkv_resp_word){(const uint8_t *)texts[i], (uint32_t)strlen(texts[i])};
    }
    struct mkv_text text = {0};
    mkv_resp_info_write(&sample, words, count, &text);
    return text.bytes == NULL ? strdup("") : text.bytes;
}

static void test_resp_info__default__has_what_tools_read(void **state) {
    (void)state;
    static const char *const fields[] = {
        "# Server\r\nredis_version:7.",
        "\r\nmemkv_version:0.1.0\r\n",
        "\r\nredis_mode:standalone\r\n",
        "\r\ntcp_port:9902\r\n",
        "\r\nused_memory:1536\r\nused_memory_human:1.50K\r\n",
        "\r\nmaxmemory:3221225472\r\nmaxmemory_human:3.00G\r\n",
        "\r\n\r\n# Replication\r\nrole:master\r\nconnected_slaves:0\r\n",
        "\r\nkeyspace_hits:5\r\nkeyspace_misses:6\r\n",
        "\r\ncluster_enabled:0\r\n",
        "\r\n\r\n# Keyspace\r\ndb0:keys=12,expires=0,avg_ttl=0\r\n",
    };
    char *text = info(NULL, NULL);
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        assert_non_null(strstr(text, fields[i]));
    }
    assert_null(strstr(text, "# Commandstats"));
    free(text);
}

static void test_resp_info__sections__are_those_asked_for(void **state) {
    (void)state;
    char *text = info("REPLICATION", "cluster");
    assert_string_equal(text, "# Replication\r\nrole:master\r\nconnected_slaves:0\r\n"
                              "master_repl_offset:0\r\n\r\n# Cluster\r\ncluster_enabled:0\r\n");
    free(text);
    text = info("commandstats", NULL);
    assert_string_equal(text, "# Commandstats\r\ncmdstat_get:calls=4,usec=10,usec_per_call=2.50,"
                              "rejected_calls=1,failed_calls=0\r\n");
    free(text);
    text = info("nosuch", NULL);
    assert_string_equal(text, "");
    free(text);
}

static void test_resp_info__everything__has_the_default_and_commandstats(void **state) {
    (void)state;
    char *everything = info("everything", NULL);
    char *all = info("ALL", NULL);
    char *both = info("default", "commandstats");
    assert_string_equal(everything, all);
    assert_string_equal(everything, both);
    assert_non_null(strstr(all, "# Commandstats\r\ncmdstat_get"));
    free(everything);
    free(all);
    free(both);
}

static void test_resp_info__a_section_named_twice__stands_once(void **state) {
    (void)state;
    char *text = info("cluster", "cluster");
    assert_string_equal(text, "# Cluster\r\ncluster_enabled:0\r\n");
    free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_resp_info__default__has_what_tools_read),
        cmocka_unit_test(test_resp_info__sections__are_those_asked_for),
        cmocka_unit_test(test_resp_info__everything__has_the_default_and_commandstats),
        cmocka_unit_test(test_resp_info__a_section_named_twice__stands_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
