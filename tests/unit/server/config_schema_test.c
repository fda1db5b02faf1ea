/* SPDX-License-Identifier: Apache-2.0 */
/* The table of keys by itself, and docs/configuration.md against it. */
#include "server/config_schema.h"
#include "tests/unit/server/config_helper.h"

#include <stdio.h>
#include <stdlib.h>

#define DOCUMENT_BYTES_MAX (64u * 1024u)
#define ROW_BYTES_MAX 512u

/* ---- the table --------------------------------------------------------------------------------
 */

static void test_schema__every_path__in_a_section_and_unique(void **state) {
    (void)state;
    for (unsigned i = 0; i < MKV_CONFIG_KEY_COUNT; i++) {
        const char *path = mkv_config_keys[i].path;
        const char *dot = strchr(path, '.');
        assert_non_null(dot);
        unsigned sections = 0;
        for (unsigned j = 0; j < MKV_CONFIG_SECTION_COUNT; j++) {
            const char *section = mkv_config_sections[j];
            bool same = strlen(section) == (size_t)(dot - path) &&
                        strncmp(section, path, strlen(section)) == 0;
            sections += same ? 1 : 0;
        }
        assert_int_equal(sections, 1);
        for (unsigned j = 0; j < i; j++) {
            char a[MKV_CONFIG_VARIABLE_BYTES];
            char b[MKV_CONFIG_VARIABLE_BYTES];
            mkv_config_key_variable(&mkv_config_keys[i], a);
            mkv_config_key_variable(&mkv_config_keys[j], b);
            assert_string_not_equal(a, b);
        }
    }
}

static void check_bounds(const struct mkv_config_key *key) {
    assert_non_null(key->meaning);
    assert_true(key->default_text != NULL || key->default_note != NULL);
    if (key->type == MKV_CONFIG_TYPE_SIZE) {
        assert_true(key->size_step > 0);
        assert_true(key->size_min <= key->size_max);
        assert_int_equal(key->size_min % key->size_step, 0);
        assert_int_equal(key->size_max % key->size_step, 0);
        assert_int_equal(key->field_bytes, sizeof(uint64_t));
    }
    if (key->type == MKV_CONFIG_TYPE_COUNT || key->type == MKV_CONFIG_TYPE_SECONDS) {
        assert_true(key->size_min <= key->size_max);
        assert_int_equal(key->field_bytes, sizeof(uint64_t));
    }
    if (key->type == MKV_CONFIG_TYPE_ADDRESS) {
        assert_int_equal(key->field_bytes, sizeof(struct mkv_config_address));
    }
    if (key->type == MKV_CONFIG_TYPE_WORD) {
        assert_int_equal(key->field_bytes, sizeof(uint32_t));
    }
    assert_true(key->field_bytes <= sizeof(union mkv_config_value));
}

static void test_schema__every_key__bounds_that_fit_its_field(void **state) {
    (void)state;
    for (unsigned i = 0; i < MKV_CONFIG_KEY_COUNT; i++) {
        check_bounds(&mkv_config_keys[i]);
    }
    for (unsigned i = 0; i < MKV_CONFIG_DRIVE_KEY_COUNT; i++) {
        check_bounds(&mkv_config_drive_keys[i]);
    }
}

static void assert_word(enum mkv_config_key_id key, uint32_t index, const char *expected) {
    assert_string_equal(mkv_config_keys[key].words[index], expected);
}

static void test_schema__every_word__the_value_of_its_enum(void **state) {
    (void)state;
    assert_word(MKV_CONFIG_MEMORY_HUGEPAGES, MKV_CONFIG_HUGEPAGES_AUTO, "auto");
    assert_word(MKV_CONFIG_MEMORY_HUGEPAGES, MKV_CONFIG_HUGEPAGES_REQUIRE, "require");
    assert_word(MKV_CONFIG_MEMORY_HUGEPAGES, MKV_CONFIG_HUGEPAGES_OFF, "off");
    assert_word(MKV_CONFIG_RDMA_MODE, MKV_CONFIG_RDMA_AUTO, "auto");
    assert_word(MKV_CONFIG_RDMA_MODE, MKV_CONFIG_RDMA_REQUIRE, "require");
    assert_word(MKV_CONFIG_RDMA_MODE, MKV_CONFIG_RDMA_OFF, "off");
    assert_word(MKV_CONFIG_STORAGE_MODE, MKV_CONFIG_STORAGE_DIRECT, "direct");
    assert_word(MKV_CONFIG_STORAGE_MODE, MKV_CONFIG_STORAGE_FILE, "file");
    assert_word(MKV_CONFIG_STORAGE_TRIM, MKV_CONFIG_TRIM_AUTO, "auto");
    assert_word(MKV_CONFIG_STORAGE_TRIM, MKV_CONFIG_TRIM_ON, "on");
    assert_word(MKV_CONFIG_STORAGE_TRIM, MKV_CONFIG_TRIM_OFF, "off");
    assert_word(MKV_CONFIG_LOG_FORMAT, MKV_CONFIG_LOG_JSON, "json");
    assert_word(MKV_CONFIG_LOG_FORMAT, MKV_CONFIG_LOG_TEXT, "text");
    assert_word(MKV_CONFIG_TELEMETRY_TRACING_ENABLED, MKV_CONFIG_TRACING_OFF, "false");
    assert_word(MKV_CONFIG_TELEMETRY_TRACING_ENABLED, MKV_CONFIG_TRACING_ON, "true");
}

/* ---- the document -----------------------------------------------------------------------------
 */

static void setup_document(char **text_out) {
    const char *root = getenv("MKV_SOURCE_DIR");
    if (root == NULL) {
        print_message("skipped: MKV_SOURCE_DIR does not name the source tree\n");
        skip();
    }
    char path[4096];
    snprintf(path, sizeof path, "%s/docs/configuration.md", root);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    char *text = calloc(1, DOCUMENT_BYTES_MAX + 1);
    assert_non_null(text);
    size_t bytes = fread(text, 1, DOCUMENT_BYTES_MAX, file);
    assert_int_equal(fclose(file), 0);
    assert_in_range(bytes, 1, DOCUMENT_BYTES_MAX - 1);
    *text_out = text;
}

/* The line of the document that a key must have, word for word. */
static void format_row(const struct mkv_config_key *key, bool of_drive, char out[ROW_BYTES_MAX]) {
    char allowed[MKV_CONFIG_ALLOWED_BYTES];
    char name[MKV_CONFIG_VARIABLE_BYTES];
    char variable[MKV_CONFIG_VARIABLE_BYTES + 8] = "";
    char value[128];
    mkv_config_key_allowed(key, allowed);
    mkv_config_key_variable(key, name);
    const bool is_list = key->type == MKV_CONFIG_TYPE_DRIVES ||
                         key->type == MKV_CONFIG_TYPE_TOKENS || key->type == MKV_CONFIG_TYPE_LIST;
    if (!of_drive && is_list) {
        snprintf(variable, sizeof variable, "none | ");
    } else if (!of_drive) {
        snprintf(variable, sizeof variable, "`%s` | ", name);
    }
    if (key->default_text == NULL) {
        snprintf(value, sizeof value, "%s", key->default_note);
    } else if (key->default_dev_text == NULL) {
        snprintf(value, sizeof value, "`%s`", key->default_text);
    } else {
        snprintf(value, sizeof value, "`%s`; with `--dev` `%s`", key->default_text,
                 key->default_dev_text);
    }
    int bytes = snprintf(out, ROW_BYTES_MAX, "\n| `%s` | %s | %s | %s%s |\n", key->path, allowed,
                         value, variable, key->meaning);
    assert_in_range(bytes, 1, ROW_BYTES_MAX - 1);
}

static void assert_row(const char *document, const struct mkv_config_key *key, bool of_drive) {
    char row[ROW_BYTES_MAX];
    format_row(key, of_drive, row);
    if (strstr(document, row) == NULL) {
        fail_msg("docs/configuration.md lacks this row of the schema:%s", row);
    }
}

static void test_document__every_key__has_its_row_and_no_other_row(void **state) {
    (void)state;
    char *document = NULL;
    setup_document(&document);
    for (unsigned i = 0; i < MKV_CONFIG_KEY_COUNT; i++) {
        assert_row(document, &mkv_config_keys[i], false);
    }
    for (unsigned i = 0; i < MKV_CONFIG_DRIVE_KEY_COUNT; i++) {
        assert_row(document, &mkv_config_drive_keys[i], true);
    }
    for (unsigned i = 0; i < MKV_CONFIG_TOKEN_KEY_COUNT; i++) {
        assert_row(document, &mkv_config_token_keys[i], true);
    }
    unsigned entry_keys = 0;
    for (unsigned i = 0; i < MKV_CONFIG_KEY_COUNT; i++) {
        const struct mkv_config_list *list = mkv_config_keys[i].list;
        for (unsigned k = 0; list != NULL && k < list->key_count; k++) {
            assert_row(document, &list->keys[k], true);
            entry_keys++;
        }
    }
    /* Rows that name a key, counted, must be those found above and no more. */
    unsigned rows = 0;
    for (const char *row = document; (row = strstr(row, "\n| `")) != NULL; row++) {
        rows++;
    }
    assert_int_equal(rows, MKV_CONFIG_KEY_COUNT + MKV_CONFIG_DRIVE_KEY_COUNT +
                               MKV_CONFIG_TOKEN_KEY_COUNT + entry_keys);
    free(document);
}

static void test_document__its_example__is_a_valid_configuration(void **state) {
    (void)state;
    char *document = NULL;
    setup_document(&document);
    const char *begin = strstr(document, "```yaml\n");
    assert_non_null(begin);
    begin += strlen("```yaml\n");
    const char *end = strstr(begin, "```");
    assert_non_null(end);
    struct mkv_config config;
    struct mkv_config_error error = {.message = ""};
    mkv_config_defaults(&config, false);
    bool valid =
        mkv_config_load_text(&config, "memkv.yaml", begin, (size_t)(end - begin), &error) &&
        mkv_config_validate(&config, &error);
    assert_string_equal(error.message, "");
    assert_true(valid);
    assert_int_equal(config.storage.drive_count, 3);
    free(document);
}

/* A message that the document shows is one that the code writes. */
static void assert_shown(const char *document, const char *message) {
    char line[sizeof((struct mkv_config_error *)0)->message + 2];
    snprintf(line, sizeof line, "\n%s\n", message);
    if (strstr(document, line) == NULL) {
        fail_msg("docs/configuration.md does not show this message:%s", line);
    }
}

static void test_document__its_messages__are_written_so(void **state) {
    (void)state;
    char *document = NULL;
    setup_document(&document);
    struct mkv_config config;
    struct mkv_config_error error;
    assert_false(config_load(
        &config, "#\n#\n#\n#\n#\n#\n#\n#\n#\n#\n#\n#\nstorage:\n  drvies: []\n", &error));
    assert_shown(document, error.message);
    assert_false(config_load(&config, "#\n#\n#\nmemory:\n  max_size: lots\n", &error));
    assert_shown(document, error.message);
    char *environment[] = {(char *)"MEMKV_STORAGE_MODE=dirct", NULL};
    assert_false(mkv_config_load_environment(&config, environment, &error));
    assert_shown(document, error.message);
    assert_false(mkv_config_set(&config, "network.address", "9900", "--listen", &error));
    assert_shown(document, error.message);
    free(document);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_schema__every_path__in_a_section_and_unique),
        cmocka_unit_test(test_schema__every_key__bounds_that_fit_its_field),
        cmocka_unit_test(test_schema__every_word__the_value_of_its_enum),
        cmocka_unit_test(test_document__every_key__has_its_row_and_no_other_row),
        cmocka_unit_test(test_document__its_example__is_a_valid_configuration),
        cmocka_unit_test(test_document__its_messages__are_written_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
