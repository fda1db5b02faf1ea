/* SPDX-License-Identifier: Apache-2.0 */
/* The registry against the contract, and against itself. */
#include "admin/registry.h"

#include "tests/unit/admin/test.h"

#define CONTRACT_PATH "tests/contract/metrics.tsv"
#define LINE_BYTES 1024u
#define COLUMN_COUNT 5u
#define ROWS_MAX 512u

enum column {
    NAME,
    TYPE,
    LABELS,
    UNIT,
    MEANING
};

struct contract {
    size_t row_count;
    struct {
        char line[LINE_BYTES];
        const char *columns[COLUMN_COUNT];
    } rows[ROWS_MAX];
};

/* The contract's rows, from the root of the sources: where the runner starts tests, or where
 * MKV_SOURCE_DIR says. */
static int setup(void **state) {
    const char *root = getenv("MKV_SOURCE_DIR");
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", root == NULL ? "." : root, CONTRACT_PATH);
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        fail_msg("%s cannot be read", path);
    }
    struct contract *contract = calloc(1, sizeof *contract);
    assert_non_null(contract);
    char line[LINE_BYTES];
    while (fgets(line, sizeof line, file) != NULL) {
        if (line[0] == '#') {
            continue;
        }
        assert_true(contract->row_count < ROWS_MAX);
        line[strcspn(line, "\n")] = '\0';
        memcpy(contract->rows[contract->row_count].line, line, sizeof line);
        char *rest = contract->rows[contract->row_count].line;
        for (size_t column = 0; column < COLUMN_COUNT; column++) {
            contract->rows[contract->row_count].columns[column] = rest;
            rest = strchr(rest, '\t');
            assert_true((rest == NULL) == (column == COLUMN_COUNT - 1));
            if (rest != NULL) {
                *rest++ = '\0';
            }
        }
        contract->row_count++;
    }
    fclose(file);
    assert_true(contract->row_count > 100);
    *state = contract;
    return 0;
}

static int teardown(void **state) {
    free(*state);
    return 0;
}

static void join_labels(const struct mkv_metric_family *family, char target[LINE_BYTES]) {
    size_t used = 0;
    target[0] = '\0';
    for (const struct mkv_metric_label *label = family->labels; label->name != NULL; label++) {
        used += (size_t)snprintf(target + used, LINE_BYTES - used, "%s%s", used == 0 ? "" : ",",
                                 label->name);
    }
}

static void test_registry__every_family__as_in_the_contract(void **state) {
    const struct contract *contract = *state;
    for (size_t index = 0; index < mkv_metric_family_count(); index++) {
        const struct mkv_metric_family *family = mkv_metric_family(index);
        size_t row = 0;
        while (row < contract->row_count &&
               strcmp(contract->rows[row].columns[NAME], family->name) != 0) {
            row++;
        }
        if (row == contract->row_count) {
            fail_msg("%s is not in the contract", family->name);
        }
        char labels[LINE_BYTES];
        join_labels(family, labels);
        assert_string_equal(labels, contract->rows[row].columns[LABELS]);
        static const char *const types[] = {"counter", "gauge", "histogram"};
        assert_string_equal(types[family->type], contract->rows[row].columns[TYPE]);
        /* OpenMetrics takes the suffix off. */
        const char *end = strstr(family->name, "_total");
        assert_true(family->type != MKV_METRIC_COUNTER ||
                    (end != NULL && strlen(end) == strlen("_total")));
        assert_string_equal(family->unit, contract->rows[row].columns[UNIT]);
    }
}

static void test_registry__families__all_of_the_contract_in_its_order(void **state) {
    const struct contract *contract = *state;
    for (size_t row = 0; row < contract->row_count; row++) {
        const char *name = contract->rows[row].columns[NAME];
        if (row >= mkv_metric_family_count() || strcmp(name, mkv_metric_family(row)->name) != 0) {
            fail_msg("%s of the contract is not in its place in the registry", name);
        }
    }
    assert_int_equal(mkv_metric_family_count(), contract->row_count);
}

/* A clause of one line, without the point that whoever shows it may add. */
static void check_clause(const char *text) {
    assert_true(strlen(text) > 3);
    assert_true(text[strlen(text) - 1] != '.');
    assert_null(strchr(text, '\n'));
}

static void test_registry__every_family__says_what_why_and_what_to_do(void **state) {
    (void)state;
    for (size_t index = 0; index < mkv_metric_family_count(); index++) {
        const struct mkv_metric_family *family = mkv_metric_family(index);
        assert_non_null(family->collect);
        size_t source = 0;
        while (mkv_metric_source_names[source] != NULL &&
               strcmp(mkv_metric_source_names[source], family->source) != 0) {
            source++;
        }
        assert_non_null(mkv_metric_source_names[source]);
        assert_int_equal(strcmp(family->source, "none") == 0, family->pending != NULL);
        if (family->pending != NULL) {
            check_clause(family->pending);
        }
        check_clause(family->help);
        check_clause(family->why);
        check_clause(family->action);
    }
}

static void test_registry__every_label__bounded(void **state) {
    (void)state;
    for (size_t index = 0; index < mkv_metric_family_count(); index++) {
        const struct mkv_metric_label *label = mkv_metric_family(index)->labels;
        size_t count = 0;
        for (; label->name != NULL; label++, count++) {
            assert_true((label->values == NULL) == (label->values_max > 0));
            for (const char *const *value = label->values; value != NULL && *value != NULL;
                 value++) {
                for (const char *const *other = label->values; other != value; other++) {
                    assert_string_not_equal(*value, *other);
                }
            }
        }
        assert_true(count <= MKV_METRIC_LABELS_MAX);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_registry__every_family__as_in_the_contract),
        cmocka_unit_test(test_registry__families__all_of_the_contract_in_its_order),
        cmocka_unit_test(test_registry__every_family__says_what_why_and_what_to_do),
        cmocka_unit_test(test_registry__every_label__bounded),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
