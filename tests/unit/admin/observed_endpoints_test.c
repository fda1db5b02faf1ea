/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/observed_endpoints.h"

#include <jansson.h>

#include "admin/observed.h"
#include "tests/unit/admin/fake_node.h"
#include "tests/unit/admin/test.h"

/* ---- what the node gives --------------------------------------------------------------------- */

static void latency(void *context, enum mkv_admin_latency_op op, struct mkv_hdr *out) {
    (void)context;
    for (uint64_t i = 1; op == MKV_ADMIN_LATENCY_GET && i <= 1000; i++) {
        mkv_hdr_record(out, i * 1000);
    }
}

static void set_key(struct mkv_hotkey *hot, const char *key, uint32_t key_bytes) {
    memcpy(hot->key, key, mkv_min_u64(key_bytes, sizeof hot->key));
    hot->key_bytes = key_bytes;
}

static uint32_t hotkeys(void *context, struct mkv_admin_hotkey *out, uint32_t max) {
    (void)context;
    static const char euro[] = "0123456789012345678901234567890123456789012345678901234567890123"
                               "01234567890123456789012345678901234567890123456789012345678901"
                               "\xe2\x82\xac/tail";
    memset(out, 0, max * sizeof *out);
    for (uint32_t i = 0; i < max; i++) {
        out[i].hot.count = 100 - i;
        out[i].hot.error = i;
        snprintf(out[i].tenant, sizeof out[i].tenant, "team-%u", i);
    }
    set_key(&out[0].hot, "llama/8b", 8);
    if (max >= 5) {
        set_key(&out[1].hot, "\xff\x00\x10", 3);
        set_key(&out[2].hot, "hex:00", 6);
        set_key(&out[3].hot, euro, sizeof euro - 1); /* cut within the last character */
        set_key(&out[4].hot, "a\0b", 3);
    }
    return max < 5 ? max : 5;
}

static uint32_t slow(void *context, struct mkv_admin_slow *out, uint32_t max,
                     uint64_t *threshold_ns) {
    (void)context;
    assert_int_equal(max, MKV_ADMIN_SLOW_MAX);
    *threshold_ns = 100000000;
    out[0] = (struct mkv_admin_slow){
        .time_ms = 1763715600123,
        .op = MKV_OP_GET,
        .status = MKV_STATUS_OK,
        .total_ns = 150500000,
        .drive_ns = 90000000,
        .volume = 1,
        .item_count = 2,
        .bytes_out = 4096,
        .key = "a/b",
        .key_bytes = 3,
        .client = "10.0.0.7:41000",
        .client_name = "vllm",
        .tenant = "team",
        .trace = {.trace_id = {0xab, 0xcd}, .flags = 1},
    };
    out[0].stage_ns[MKV_STAGE_READ] = 100000000;
    out[1] = (struct mkv_admin_slow){.op = MKV_OP_DELETE, .volume = MKV_NONE_U32, .dropped = 1};
    return 2;
}

static uint32_t clients(void *context, struct mkv_admin_client *out, uint32_t max) {
    (void)context;
    assert_int_equal(max, MKV_ADMIN_CLIENTS_TOLD + 1);
    out[0] = (struct mkv_admin_client){
        .address = "10.0.0.7:41000",
        .name = "vllm",
        .tenant = "team",
        .connected_ns = 1500000000,
        .requests = 7,
        .bytes_in = 10,
        .bytes_out = 20,
        .puts = 3,
        .hits = 5,
        .misses = 1,
        .prefixes = {{"llama/", 6}, {"\xff", 1}},
    };
    return 1;
}

static bool prefixes(void *context, const struct mkv_admin_prefixes_query *query,
                     struct mkv_prefixes *out) {
    (void)context;
    if (query->tenant == NULL) {
        mkv_prefixes_add(out, "a", (const uint8_t *)"x/1/2", 5, 4096, false);
        mkv_prefixes_add(out, "a", (const uint8_t *)"x/1/3", 5, 4096, true);
    }
    mkv_prefixes_add(out, "b", (const uint8_t *)"y/1/2", 5, 1, false);
    return query->tenant != NULL;
}

static const struct mkv_admin_observed_ops ops = {latency, hotkeys, slow, clients, prefixes};

/* ---- asking ---------------------------------------------------------------------------------- */

struct question {
    struct mkv_admin_provider provider;
    struct mkv_admin_snapshot snapshot;
    struct mkv_admin_request request;
};

static void snapshot(void *context, struct mkv_admin_snapshot *out) {
    (void)context;
    fake_snapshot(out);
    out->hotkey_accesses_total = 12345;
    out->hotkey_decays_total = 6;
}

/* The body as JSON; the status has to be this one. */
static json_t *ask(mkv_admin_handler *handler, unsigned status, const char *name,
                   const char *value) {
    struct question *question = calloc(1, sizeof *question);
    question->provider = (struct mkv_admin_provider){.snapshot = snapshot, .observed = &ops};
    question->request = (struct mkv_admin_request){.provider = &question->provider,
                                                   .snapshot = &question->snapshot};
    if (name != NULL) {
        question->request.parameter_count = 1;
        question->request.parameters[0] = (struct mkv_admin_parameter){name, value};
    }
    struct mkv_admin_reply reply = handler(&question->request);
    assert_int_equal(reply.status, status);
    json_t *body = json_loadb(reply.body, reply.body_bytes, 0, NULL);
    assert_non_null(body);
    free(reply.body);
    free(question);
    return body;
}

static const json_t *at(const json_t *list, size_t index) {
    return json_array_get(list, index);
}

static const char *text(const json_t *object, const char *name) {
    const char *string = json_string_value(json_object_get(object, name));
    assert_non_null(string);
    return string;
}

static double number(const json_t *object, const char *name) {
    const json_t *value = json_object_get(object, name);
    assert_true(json_is_number(value));
    return json_number_value(value);
}

static void assert_about(double said, double wanted) {
    assert_true(said >= wanted * 0.999);
    assert_true(said <= wanted * 1.001);
}

static void test_latency__all_operations__usual_percentiles(void **state) {
    (void)state;
    json_t *body = ask(mkv_endpoint_latency, 200, NULL, NULL);
    const json_t *list = json_object_get(body, "operations");
    assert_int_equal(json_array_size(list), MKV_ADMIN_LATENCY_OP_COUNT);
    const json_t *get = at(list, 0);
    assert_string_equal(text(get, "op"), "get");
    assert_int_equal(number(get, "count"), 1000);
    assert_about(number(get, "avg_us"), 500.5);
    assert_about(number(get, "p50_us"), 500);
    assert_about(number(get, "p90_us"), 900);
    assert_about(number(get, "p99_us"), 990);
    assert_about(number(get, "p999_us"), 999);
    assert_about(number(get, "max_us"), 1000);
    const json_t *idle = at(list, MKV_ADMIN_LATENCY_COMMIT);
    assert_string_equal(text(idle, "op"), "commit");
    assert_int_equal(number(idle, "count"), 0);
    assert_int_equal(number(idle, "p99_us"), 0);
    json_decref(body);
}

static void test_latency__one_operation_and_percentiles__as_asked(void **state) {
    (void)state;
    json_t *body = ask(mkv_endpoint_latency, 200, "op", "put_small");
    assert_int_equal(json_array_size(json_object_get(body, "operations")), 1);
    json_decref(body);
    body = ask(mkv_endpoint_latency, 200, "p", "25,99.95");
    const json_t *asked =
        json_object_get(at(json_object_get(body, "operations"), 0), "percentiles_us");
    assert_about(number(asked, "25"), 250);
    assert_about(number(asked, "99.95"), 1000);
    json_decref(body);
    static const char *const wrong[] = {
        "",    "x",     "101",
        "50,", "50;60", "-1",
        "1e1", "1..2",  "1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        json_decref(ask(mkv_endpoint_latency, 400, "p", wrong[i]));
    }
    json_decref(ask(mkv_endpoint_latency, 400, "op", "scan"));
}

static void test_hotkeys__keys_of_all_kinds__text_or_hex(void **state) {
    (void)state;
    json_t *body = ask(mkv_endpoint_hotkeys, 200, NULL, NULL);
    assert_int_equal(number(body, "tracked"), 12345);
    assert_int_equal(number(body, "decays"), 6);
    const json_t *keys = json_object_get(body, "keys");
    assert_int_equal(json_array_size(keys), 5);
    assert_string_equal(text(at(keys, 0), "key"), "llama/8b");
    assert_string_equal(text(at(keys, 0), "tenant"), "team-0");
    assert_int_equal(number(at(keys, 1), "count"), 99);
    assert_int_equal(number(at(keys, 1), "error"), 1);
    assert_string_equal(text(at(keys, 1), "key"), "hex:ff0010");
    assert_string_equal(text(at(keys, 2), "key"), "hex:6865783a3030");
    assert_int_equal(strlen(text(at(keys, 3), "key")), 126);
    assert_int_equal(number(at(keys, 3), "key_bytes"), 134);
    assert_string_equal(text(at(keys, 4), "key"), "hex:610062");
    json_decref(body);
    body = ask(mkv_endpoint_hotkeys, 200, "k", "1");
    assert_int_equal(json_array_size(json_object_get(body, "keys")), 1);
    json_decref(body);
    json_decref(ask(mkv_endpoint_hotkeys, 400, "k", "0"));
    json_decref(ask(mkv_endpoint_hotkeys, 400, "k", "257"));
}

static void test_slow__requests__with_stages_and_who(void **state) {
    (void)state;
    json_t *body = ask(mkv_endpoint_slow, 200, NULL, NULL);
    assert_about(number(body, "threshold_ms"), 100);
    const json_t *list = json_object_get(body, "requests");
    assert_int_equal(json_array_size(list), 2);
    const json_t *first = at(list, 0);
    assert_string_equal(text(first, "time"), "2025-11-21T09:00:00.123Z");
    assert_string_equal(text(first, "op"), "get");
    assert_string_equal(text(first, "status"), "ok");
    assert_string_equal(text(first, "tenant"), "team");
    assert_string_equal(text(first, "client"), "10.0.0.7:41000");
    assert_string_equal(text(first, "client_name"), "vllm");
    assert_string_equal(text(first, "drive"), "d01");
    assert_string_equal(text(first, "key"), "a/b");
    assert_int_equal(number(first, "items"), 2);
    assert_int_equal(number(first, "bytes_out"), 4096);
    assert_about(number(first, "total_ms"), 150.5);
    assert_about(number(first, "drive_ms"), 90);
    const json_t *stages = json_object_get(first, "stages_ms");
    assert_int_equal(json_object_size(stages), MKV_STAGE_COUNT);
    assert_about(number(stages, "read"), 100);
    assert_string_equal(text(first, "trace_id"), "abcd0000000000000000000000000000");
    assert_string_equal(text(at(list, 1), "trace_id"), "");
    assert_string_equal(text(at(list, 1), "drive"), "");
    assert_true(json_is_true(json_object_get(at(list, 1), "dropped")));
    json_decref(body);
}

static void test_clients__one__with_what_it_did(void **state) {
    (void)state;
    json_t *body = ask(mkv_endpoint_clients, 200, NULL, NULL);
    assert_true(json_is_true(json_object_get(body, "complete")));
    const json_t *client = at(json_object_get(body, "clients"), 0);
    assert_string_equal(text(client, "address"), "10.0.0.7:41000");
    assert_string_equal(text(client, "name"), "vllm");
    assert_string_equal(text(client, "tenant"), "team");
    assert_about(number(client, "connected_s"), 1.5);
    assert_int_equal(number(client, "requests"), 7);
    assert_int_equal(number(client, "bytes_in"), 10);
    assert_int_equal(number(client, "bytes_out"), 20);
    assert_int_equal(number(client, "puts"), 3);
    assert_int_equal(number(client, "hits"), 5);
    assert_int_equal(number(client, "misses"), 1);
    const json_t *list = json_object_get(client, "key_prefixes");
    assert_int_equal(json_array_size(list), 2);
    assert_string_equal(json_string_value(at(list, 0)), "llama/");
    json_decref(body);
}

static void test_prefixes__depth_and_tenant__as_asked(void **state) {
    (void)state;
    json_t *body = ask(mkv_endpoint_prefixes, 200, "depth", "2");
    assert_true(json_is_false(json_object_get(body, "complete")));
    const json_t *list = json_object_get(body, "prefixes");
    assert_int_equal(json_array_size(list), 2);
    assert_string_equal(text(at(list, 0), "prefix"), "x/1/");
    assert_string_equal(text(at(list, 0), "tenant"), "a");
    assert_int_equal(number(at(list, 0), "blocks"), 2);
    assert_int_equal(number(at(list, 0), "bytes"), 8192);
    assert_int_equal(number(at(list, 0), "segmented"), 1);
    assert_int_equal(number(json_object_get(body, "other"), "blocks"), 0);
    json_decref(body);
    body = ask(mkv_endpoint_prefixes, 200, "tenant", "b");
    assert_true(json_is_true(json_object_get(body, "complete")));
    assert_int_equal(json_array_size(json_object_get(body, "prefixes")), 1);
    json_decref(body);
    json_decref(ask(mkv_endpoint_prefixes, 400, "depth", "17"));
}

static void test_observed__nothing_kept_yet__unavailable_with_a_reason(void **state) {
    (void)state;
    static mkv_admin_handler *const handlers[] = {mkv_endpoint_latency, mkv_endpoint_hotkeys,
                                                  mkv_endpoint_slow, mkv_endpoint_clients,
                                                  mkv_endpoint_prefixes};
    const struct mkv_admin_provider provider = {.snapshot = snapshot};
    const struct mkv_admin_request request = {.provider = &provider};
    for (size_t i = 0; i < sizeof handlers / sizeof handlers[0]; i++) {
        struct mkv_admin_reply reply = handlers[i](&request);
        assert_int_equal(reply.status, 503);
        assert_non_null(strstr(reply.body, "does not serve yet"));
        free(reply.body);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_latency__all_operations__usual_percentiles),
        cmocka_unit_test(test_latency__one_operation_and_percentiles__as_asked),
        cmocka_unit_test(test_hotkeys__keys_of_all_kinds__text_or_hex),
        cmocka_unit_test(test_slow__requests__with_stages_and_who),
        cmocka_unit_test(test_clients__one__with_what_it_did),
        cmocka_unit_test(test_prefixes__depth_and_tenant__as_asked),
        cmocka_unit_test(test_observed__nothing_kept_yet__unavailable_with_a_reason),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
