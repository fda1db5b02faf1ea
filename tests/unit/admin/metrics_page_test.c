/* SPDX-License-Identifier: Apache-2.0 */
/*
 * docs/metrics.md, made from the registry, and compared with what stands there. With MKV_DOCS_WRITE
 * in the environment it is written instead: `./dev docs`.
 */
#include "admin/catalog.h"
#include "admin/text.h"
#include "tests/unit/admin/test.h"

#define PAGE_PATH "docs/metrics.md"

static const char head[] =
    "# Metrics\n"
    "\n"
    "Made from the registry (`admin/registry.h`) by `./dev docs`; do not edit it. The same as "
    "JSON\n"
    "is at `/v1/metrics/catalog`.\n"
    "\n"
    "`/v1/metrics` answers in Prometheus' text format 0.0.4, or in OpenMetrics 1.0 to who names "
    "that\n"
    "in `Accept`. All families are there from the first scrape, at 0 where nothing has happened;\n"
    "series with an open label (a drive, a tenant) come with what they tell of. Names, types, "
    "units\n"
    "and labels are a contract (`tests/contract/metrics.tsv`).\n"
    "\n"
    "- A *request* is one frame of a client; it counts under the gravest status of its items:\n"
    "  failures of the store before mistakes of the client, `not_found` only when no key was "
    "found.\n"
    "  *Keys* are items. Bytes of clients are payload without framing.\n"
    "- Histograms have true cumulative buckets on one of two ladders: 1, 2, 5, 10 … of a time "
    "from\n"
    "  1 us to 50 s, or powers of two from 1 to 2^23. Bounds are written `le=\"1.0\"`, "
    "`le=\"1e-06\"`\n"
    "  in both formats.\n"
    "- Figures are copies that a shard makes every tenth of a second; one scrape shows one copy, "
    "so\n"
    "  that its families agree with each other.\n"
    "- *Source* is who counts: `front` (requests and the memory tier), `volume` (what a drive\n"
    "  holds), `drive` (operations of a device), `fabric` (connections), `arena` (slabs), "
    "`observer`\n"
    "  (what a shard records beside), `node`, `admin`, `log`, `telemetry`, `traces`, `process`.\n";

static void append_escaped(struct mkv_text *page, const char *source) {
    for (; *source != '\0'; source++) {
        mkv_text_format(page, *source == '|' || *source == '<' ? "\\%c" : "%c", *source);
    }
}

static void append_labels(struct mkv_text *page, const struct mkv_metric_family *family) {
    for (const struct mkv_metric_label *label = family->labels; label->name != NULL; label++) {
        mkv_text_format(page, "%s`%s`", label == family->labels ? "" : "; ", label->name);
        if (label->values == NULL) {
            mkv_text_format(page, " (up to %u)", label->values_max);
            continue;
        }
        /* Lists that docs/admin.md has anyway, and that grow often. */
        if (strcmp(label->name, "path") == 0 || strcmp(label->name, "code") == 0) {
            mkv_text_string(page, ": see [admin.md](admin.md)");
            continue;
        }
        for (const char *const *value = label->values; *value != NULL; value++) {
            mkv_text_format(page, "%s%s", value == label->values ? ": " : ", ", *value);
        }
    }
}

static void append_family(struct mkv_text *page, const struct mkv_metric_family *family) {
    mkv_text_format(page, "| `%s` | %s, %s, %s | ", family->name, mkv_catalog_type(family->type),
                    family->unit, family->source);
    append_labels(page, family);
    mkv_text_string(page, " | ");
    append_escaped(page, family->help);
    mkv_text_string(page, ". *Why:* ");
    append_escaped(page, family->why);
    mkv_text_string(page, ". *Do:* ");
    append_escaped(page, family->action);
    mkv_text_string(page, ". |\n");
}

static void append_pending(struct mkv_text *page) {
    mkv_text_string(page, "\n## Families that are 0 in this release\n\n"
                          "| family | why |\n|---|---|\n");
    for (size_t index = 0; index < mkv_metric_family_count(); index++) {
        const struct mkv_metric_family *family = mkv_metric_family(index);
        if (family->pending != NULL) {
            mkv_text_format(page, "| `%s` | ", family->name);
            append_escaped(page, family->pending);
            mkv_text_string(page, " |\n");
        }
    }
}

static char *make_page(void) {
    struct mkv_text page = {0};
    mkv_text_string(&page, head);
    for (size_t place = 0; place < MKV_METRIC_GROUP_COUNT; place++) {
        const struct mkv_metric_group *group = mkv_metric_groups[place];
        mkv_text_format(&page,
                        "\n## %s\n\n| family | type, unit, source | labels | what |\n"
                        "|---|---|---|---|\n",
                        group->title);
        for (size_t index = 0; index < group->count; index++) {
            append_family(&page, &group->families[index]);
        }
    }
    append_pending(&page);
    assert_false(page.failed);
    return page.bytes;
}

static void test_metrics_page__the_registry__as_it_stands_in_docs(void **state) {
    (void)state;
    const char *root = getenv("MKV_SOURCE_DIR");
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", root == NULL ? "." : root, PAGE_PATH);
    char *page = make_page();
    const size_t bytes = strlen(page);
    const bool write = getenv("MKV_DOCS_WRITE") != NULL;
    FILE *file = fopen(path, write ? "w" : "r");
    if (file == NULL) {
        fail_msg("%s cannot be opened; make it with ./dev docs", path);
    }
    if (write) {
        assert_int_equal(fwrite(page, 1, bytes, file), bytes);
    } else {
        char *found = calloc(1, bytes + 2);
        assert_non_null(found);
        const size_t count = fread(found, 1, bytes + 1, file);
        if (count != bytes || memcmp(found, page, bytes) != 0) {
            fail_msg("%s is not what the registry says; make it anew with ./dev docs", PAGE_PATH);
        }
        free(found);
    }
    assert_int_equal(fclose(file), 0);
    free(page);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_metrics_page__the_registry__as_it_stands_in_docs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
