/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/catalog.h"

#include <jansson.h>

#include "tests/unit/admin/test.h"

static json_t *load(void) {
    struct mkv_admin_reply reply = mkv_admin_catalog();
    assert_int_equal(reply.status, 200);
    json_error_t error;
    json_t *catalog = json_loads(reply.body, 0, &error);
    free(reply.body);
    assert_non_null(catalog);
    return catalog;
}

static json_t *find(json_t *catalog, const char *name) {
    json_t *family;
    size_t index;
    json_array_foreach(json_object_get(catalog, "families"), index, family) {
        if (strcmp(json_string_value(json_object_get(family, "name")), name) == 0) {
            return family;
        }
    }
    fail_msg("there is no %s", name);
    return NULL;
}

static const char *text(json_t *family, const char *member) {
    return json_string_value(json_object_get(family, member));
}

static void test_catalog__every_family__all_members(void **state) {
    (void)state;
    json_t *catalog = load();
    json_t *families = json_object_get(catalog, "families");
    assert_int_equal(json_array_size(families), mkv_metric_family_count());
    for (size_t index = 0; index < mkv_metric_family_count(); index++) {
        json_t *family = json_array_get(families, index);
        const struct mkv_metric_family *row = mkv_metric_family(index);
        assert_string_equal(text(family, "name"), row->name);
        assert_string_equal(text(family, "unit"), row->unit);
        assert_string_equal(text(family, "source"), row->source);
        assert_string_equal(text(family, "help"), row->help);
        assert_string_equal(text(family, "why"), row->why);
        assert_string_equal(text(family, "action"), row->action);
        assert_true(json_integer_value(json_object_get(family, "cardinality")) > 0);
        assert_int_equal(json_is_null(json_object_get(family, "pending")), row->pending == NULL);
    }
    json_decref(catalog);
}

static void expect(json_t *catalog, const char *name, const char *type, json_int_t cardinality) {
    json_t *family = find(catalog, name);
    assert_string_equal(text(family, "type"), type);
    assert_int_equal(json_integer_value(json_object_get(family, "cardinality")), cardinality);
}

static void test_catalog__cardinality__series_of_a_scrape_at_most(void **state) {
    (void)state;
    json_t *catalog = load();
    expect(catalog, "memkv_lookup_total", "counter", 1);
    expect(catalog, "memkv_lookup_keys_total", "counter", 9);
    expect(catalog, "memkv_request_latency_us", "histogram", 27);
    expect(catalog, "memkv_device_online", "gauge", MKV_VOLUMES_MAX);
    /* A drive has one path, model and so on. */
    expect(catalog, "memkv_device_info", "gauge", 2 * MKV_VOLUMES_MAX);
    expect(catalog, "memkv_device_io_duration_seconds", "histogram", 4 * 27 * MKV_VOLUMES_MAX);
    json_t *labels = json_object_get(find(catalog, "memkv_device_io_errors_total"), "labels");
    assert_int_equal(json_array_size(labels), 2);
    json_t *device = json_array_get(labels, 0);
    assert_string_equal(text(device, "name"), "device");
    assert_int_equal(json_integer_value(json_object_get(device, "max")), MKV_VOLUMES_MAX);
    json_t *ops = json_object_get(json_array_get(labels, 1), "values");
    assert_int_equal(json_array_size(ops), 4);
    assert_string_equal(json_string_value(json_array_get(ops, 2)), "flush");
    json_decref(catalog);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_catalog__every_family__all_members),
        cmocka_unit_test(test_catalog__cardinality__series_of_a_scrape_at_most),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
