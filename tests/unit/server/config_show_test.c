/* SPDX-License-Identifier: Apache-2.0 */
/* A configuration that is shown can be read back, with every key at a value of its own. */
#include "server/config_show.h"
#include "tests/unit/server/config_helper.h"

#include <stdio.h>
#include <stdlib.h>

static const char text[] =
    "network: {address: '127.0.0.1:7000', admin_address: '[::1]:7100'}\n"
    "memory: {max_size: 64GiB, hugepages: require}\n"
    "storage:\n"
    "  eviction: off\n"
    "  session_idle: 90s\n"
    "  drives:\n"
    "    - {media: /dev/a, name: bay-2}\n"
    "    - {media: \"/srv/a \\\"b\\\\ #c\", size: 4GiB}\n"
    "tenants: {quotas: 'batch=1GiB, team-7=2TiB', rules: [{key_prefix: 'a: b', "
    "tenant: x}]}\n"
    "auth: {keys: [{id: k, file: /etc/k, tenants: [x, y]}]}\n"
    "admin: {tokens: [{role: operator, file: /etc/memkv/token}]}\n"
    "audit: {file: /var/log/memkv/audit.log}\n"
    "telemetry: {sampling_ratio: 0.125}\n";

static struct mkv_config *load(const char *source) {
    struct mkv_config *config = malloc(sizeof *config);
    struct mkv_config_error error = {.message = ""};
    assert_non_null(config);
    mkv_config_defaults(config, false);
    const bool valid =
        mkv_config_load_text(config, "/etc/memkv.yaml", source, strlen(source), &error) &&
        mkv_config_validate(config, &error);
    assert_string_equal(error.message, "");
    assert_true(valid);
    return config;
}

static void test_config_yaml__shown_and_read_back__the_same(void **state) {
    (void)state;
    struct mkv_config *config = load(text);
    struct mkv_text shown = {0};
    struct mkv_text again = {0};
    mkv_config_yaml(config, true, &shown);
    assert_false(shown.failed);
    struct mkv_config *read = load(shown.bytes);
    assert_string_equal(read->storage.drives[1].media, "/srv/a \"b\\ #c");
    assert_string_equal(read->tenants.quotas, "batch=1GiB, team-7=2TiB");
    assert_int_equal(read->storage.eviction, MKV_CONFIG_EVICTION_OFF);
    assert_string_equal(read->admin.tokens[0].file, "/etc/memkv/token");
    assert_int_equal(read->telemetry.sampling_ratio, config->telemetry.sampling_ratio);
    mkv_text_free(&shown);
    mkv_config_yaml(config, false, &shown);
    mkv_config_yaml(read, false, &again);
    assert_string_equal(shown.bytes, again.bytes);
    mkv_text_free(&shown);
    mkv_text_free(&again);
    free(config);
    free(read);
}

static void test_config_json__every_key__value_and_origin(void **state) {
    (void)state;
    struct mkv_config *config = load(text);
    json_t *object = mkv_config_json(config);
    assert_non_null(object);
    const json_t *keys = json_object_get(object, "keys");
    assert_int_equal(json_array_size(keys), MKV_CONFIG_KEY_COUNT - 5); /* without the lists */
    for (size_t i = 0; i < json_array_size(keys); i++) {
        const json_t *key = json_array_get(keys, i);
        const char *name = json_string_value(json_object_get(key, "key"));
        const char *value = json_string_value(json_object_get(key, "value"));
        const char *origin = json_string_value(json_object_get(key, "origin"));
        assert_non_null(origin);
        if (strcmp(name, "telemetry.sampling_ratio") == 0) {
            assert_string_equal(value, "0.125");
            assert_string_equal(origin, "/etc/memkv.yaml:13");
        } else if (strcmp(name, "storage.session_idle") == 0) {
            assert_string_equal(value, "90s");
        } else if (strcmp(name, "storage.trim") == 0) {
            assert_string_equal(value, "auto");
            assert_string_equal(origin, "default");
        } else if (strcmp(name, "storage.session_blocks_max") == 0) {
            assert_null(value); /* derived at the start */
        }
    }
    assert_int_equal(json_array_size(json_object_get(object, "drives")), 2);
    assert_int_equal(json_array_size(json_object_get(object, "tokens")), 1);
    json_decref(object);
    free(config);
}

static void test_config_show__a_key_in_the_file__is_not_shown(void **state) {
    (void)state;
    static const char secret[] = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
    char source[512];
    snprintf(source, sizeof source,
             "network: {auth_key: %s}\nstorage: {drives: [{media: /dev/a}]}\n", secret);
    struct mkv_config *config = load(source);
    assert_string_equal(config->network.auth_key, secret);
    struct mkv_text shown = {0};
    mkv_config_yaml(config, true, &shown);
    assert_null(strstr(shown.bytes, "0011"));
    assert_non_null(strstr(shown.bytes, "# auth_key: redacted"));
    json_t *object = mkv_config_json(config);
    char *json = json_dumps(object, 0);
    assert_null(strstr(json, "0011"));
    assert_non_null(strstr(json, "redacted"));
    free(json);
    json_decref(object);
    mkv_text_free(&shown);
    free(config);
}

static void test_config_parse__a_key_with_a_slip__is_not_shown(void **state) {
    (void)state;
    struct mkv_config *config = malloc(sizeof *config);
    struct mkv_config_error error;
    assert_non_null(config);
    mkv_config_defaults(config, false);
    assert_false(mkv_config_set(config, "network.auth_key",
                                "00112233445566778899aabbccddeeff00112233445566778899aabbccddeef",
                                "--flag", &error));
    assert_string_equal(error.message, "--flag: network.auth_key: 63 hexadecimal digits are no "
                                       "key; use 64, or the path of a file that holds them");
    assert_false(mkv_config_set(config, "network.auth_key", "credential:../x", "--flag", &error));
    assert_string_equal(error.message,
                        "--flag: network.auth_key: credential: takes the name of a systemd "
                        "credential, without a slash or a leading dot");
    free(config);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_config_yaml__shown_and_read_back__the_same),
        cmocka_unit_test(test_config_json__every_key__value_and_origin),
        cmocka_unit_test(test_config_show__a_key_in_the_file__is_not_shown),
        cmocka_unit_test(test_config_parse__a_key_with_a_slip__is_not_shown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
