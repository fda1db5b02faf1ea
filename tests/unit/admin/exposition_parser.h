/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A strict reader of Prometheus' text format 0.0.4, and of OpenMetrics 1.0, which fails the test at
 * the first thing that a scraper might not take, or that the format leaves open and memkv does not
 * use: a family whose lines do not stand together as HELP, TYPE, samples; a family or sample that
 * comes twice; a name, label, escape or number that is not well formed; bytes that are not UTF-8.
 * In OpenMetrics also: a unit that the family's name does not end in; a name that a sample of
 * another family has or could have; an exemplar outside of its bucket; no EOF, or anything behind
 * it.
 */
#ifndef MKV_TESTS_UNIT_ADMIN_EXPOSITION_PARSER_H
#define MKV_TESTS_UNIT_ADMIN_EXPOSITION_PARSER_H

#include <stdbool.h>
#include <stddef.h>

#define PARSED_LABELS_MAX 8u
#define PARSED_SAMPLES_MAX 32768u
#define PARSED_FAMILIES_MAX 512u

struct parsed_sample {
    size_t family;
    char *series; /* name and labels as they stand: what must not come twice */
    size_t label_count;
    char *label_names[PARSED_LABELS_MAX];
    char *label_values[PARSED_LABELS_MAX]; /* unescaped */
    double value;
    char *trace_id; /* of its exemplar; NULL: it has none */
    double exemplar_value;
    double exemplar_s;
};

struct parsed_family {
    char *name;
    char *type;
    char *help; /* unescaped */
    char *unit; /* NULL: none */
};

struct parsed_exposition {
    size_t family_count;
    struct parsed_family families[PARSED_FAMILIES_MAX];
    size_t sample_count;
    struct parsed_sample samples[PARSED_SAMPLES_MAX];
};

/* On the heap. Fails the running test where the text is not well formed. */
struct parsed_exposition *exposition_parse(const char *text);
struct parsed_exposition *exposition_parse_openmetrics(const char *text);
void exposition_free(struct parsed_exposition *parsed);
/* The value of the series written as in the text, `name{label="value"}`; fails where there is none.
 */
double exposition_value(const struct parsed_exposition *parsed, const char *series);
bool exposition_has(const struct parsed_exposition *parsed, const char *series);

#endif
