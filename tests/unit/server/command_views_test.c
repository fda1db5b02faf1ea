/* SPDX-License-Identifier: Apache-2.0 */
/* The views of `memkv admin`: what each makes of fixed answers, and that their table is whole. */
#include "server/command_view.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct mkv_view *view_of(const char *name) {
    for (const struct mkv_view *view = mkv_views; view->name != NULL; view++) {
        if (strcmp(view->name, name) == 0) {
            return view;
        }
    }
    fail_msg("there is no view %s", name);
    return NULL;
}

static void assert_view(const char *name, const char *json, const char *expected) {
    const struct mkv_view *view = view_of(name);
    json_t *answer = json_loads(json, 0, NULL);
    assert_non_null(answer);
    struct mkv_table *table = mkv_table_create(&view->shape, false);
    struct mkv_text out = {0};
    mkv_table_add(table, "n", answer);
    mkv_table_print(table, &out);
    assert_false(out.failed);
    assert_string_equal(out.bytes, expected);
    mkv_text_free(&out);
    mkv_table_destroy(table);
    json_decref(answer);
}

static void test_views__fixed_answers__golden(void **state) {
    (void)state;
    assert_view("health",
                "{\"status\":\"degraded\",\"rdma_active\":false,\"drives_online\":11,"
                "\"drives_offline\":1,\"drives_total\":12}",
                "STATUS    RDMA  ONLINE  OFFLINE  DRIVES\n"
                "degraded  no        11        1      12\n");
    assert_view("ready", "{\"ready\":false,\"reason\":\"draining\",\"in_flight\":37}",
                "READY  REASON\n"
                "no     draining\n");
    assert_view("latency",
                "{\"operations\":[{\"op\":\"get\",\"count\":6100,\"avg_us\":410.2,\"p50_us\":380.4,"
                "\"p90_us\":602.1,\"p99_us\":1804.8,\"p999_us\":3211.3,\"max_us\":9120.7}]}",
                "OP   COUNT  AVG us  P50 us  P90 us  P99 us  P99.9 us  MAX us\n"
                "get   6100   410.2   380.4   602.1  1804.8    3211.3  9120.7\n");
    assert_view("hotkeys",
                "{\"tracked\":9,\"decays\":1,\"keys\":[{\"key\":\"llama/8b/1\",\"tenant\":"
                "\"default\",\"count\":812,\"error\":3}]}",
                "COUNT  ERROR  TENANT   KEY\n"
                "  812      3  default  llama/8b/1\n");
    assert_view(
        "prefixes",
        "{\"complete\":true,\"prefixes\":[{\"tenant\":\"a\",\"prefix\":\"llama@\",\"blocks\""
        ":3,\"bytes\":12582912}]}",
        "TENANT  BLOCKS      BYTES  PREFIX\n"
        "a            3  12.00 MiB  llama@\n");
    assert_view("tenants",
                "{\"tenants\":[{\"tenant\":\"default\",\"blocks\":1,\"used_bytes\":4096,"
                "\"quota_bytes\":null},{\"tenant\":\"b\",\"blocks\":0,\"used_bytes\":0,"
                "\"quota_bytes\":1073741824}]}",
                "TENANT   BLOCKS  BYTES       QUOTA\n"
                "default       1   4096           -\n"
                "b             0      0  1073741824\n");
    assert_view("warnings",
                "{\"warnings\":[{\"code\":\"DRIVE_OFFLINE\",\"device_id\":\"d09\",\"since\":"
                "\"2026-01-01T00:00:00Z\",\"message\":\"it is gone\",\"action\":\"replace it\"}]}",
                "CODE           DRIVE  SINCE                 MESSAGE     ACTION\n"
                "DRIVE_OFFLINE  d09    2026-01-01T00:00:00Z  it is gone  replace it\n");
    assert_view("config",
                "{\"file\":null,\"keys\":[{\"key\":\"log.level\",\"value\":\"info\",\"origin\":"
                "\"default\"},{\"key\":\"log.file\",\"value\":null,\"origin\":\"default\"}]}",
                "KEY        VALUE  ORIGIN\n"
                "log.level  info   default\n"
                "log.file   -      default\n");
}

static void test_views__slow_requests_and_clients__golden(void **state) {
    (void)state;
    assert_view("slow",
                "{\"threshold_ms\":100,\"requests\":[{\"time\":\"2026-01-01T00:00:00.123Z\","
                "\"op\":\"get\",\"status\":\"ok\",\"tenant\":\"t\",\"client\":\"10.0.0.1:9\","
                "\"drive\":\"d03\",\"key\":\"k\",\"items\":2,\"bytes_in\":0,\"bytes_out\":2097152,"
                "\"total_ms\":140.26,\"stages_ms\":{\"parse\":0.1,\"read\":130.5,\"push\":9.66},"
                "\"drive_ms\":130.1}]}",
                "TIME                      OP   STATUS     MS  MOST        DRIVE  DRIVE MS  ITEMS"
                "   IN       OUT  TENANT  CLIENT      KEY\n"
                "2026-01-01T00:00:00.123Z  get  ok      140.3  read 130.5  d03       130.1      2"
                "  0 B  2.00 MiB  t       10.0.0.1:9  k\n");
    assert_view(
        "clients",
        "{\"complete\":true,\"clients\":[{\"address\":\"10.0.0.1:9\",\"name\":\"vllm-3\","
        "\"tenant\":\"default\",\"connected_s\":12.34,\"requests\":7,\"bytes_in\":1024,"
        "\"bytes_out\":0,\"puts\":1,\"hits\":2,\"misses\":3,\"key_prefixes\":[\"a:\",\"b:\"]"
        "}]}",
        "ADDRESS     NAME    TENANT   SECONDS  REQUESTS        IN  OUT  PUTS  HITS  MISSES"
        "  PREFIXES\n"
        "10.0.0.1:9  vllm-3  default     12.3         7  1.00 KiB  0 B     1     2       3"
        "  a: b:\n");
}

static void test_views__each__whole_and_unlike_the_others(void **state) {
    (void)state;
    for (const struct mkv_view *view = mkv_views; view->name != NULL; view++) {
        assert_ptr_equal(view_of(view->name), view);
        assert_true(strncmp(view->path, "/v1/", 4) == 0);
        assert_true(strlen(view->meaning) > 0);
        assert_int_equal(view->help[strlen(view->help) - 1], '\n');
        assert_int_equal(view->form == MKV_VIEW_TABLE, view->shape.columns[0].title != NULL);
        assert_int_equal(view->form == MKV_VIEW_OWN, view->show != NULL);
        assert_int_equal(view->operand != NULL, view->operand_parameter != NULL);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_views__fixed_answers__golden),
        cmocka_unit_test(test_views__slow_requests_and_clients__golden),
        cmocka_unit_test(test_views__each__whole_and_unlike_the_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
