/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/admin/exposition_parser.h"

#include <ctype.h>
#include <math.h>

#include "admin/text.h"
#include "tests/unit/admin/test.h"

/* What is left is never measured nor copied as a whole: a text of a megabyte has 10,000 samples. */
struct reader {
    const char *at;
    const char *end; /* of the text, where its 0 stands */
    struct parsed_exposition *parsed;
    bool openmetrics;
    bool has_help; /* of the family in work */
    bool has_type;
    bool has_sample;
};

static bool accept(struct reader *reader, const char *text) {
    const size_t bytes = strlen(text);
    if ((size_t)(reader->end - reader->at) < bytes || memcmp(reader->at, text, bytes) != 0) {
        return false;
    }
    reader->at += bytes;
    return true;
}

static void expect(struct reader *reader, const char *text) {
    if (!accept(reader, text)) {
        fail_msg("expected '%s' at '%.60s'", text, reader->at);
    }
}

static char *copy(const char *start, size_t bytes) {
    char *text = strndup(start, bytes);
    assert_non_null(text);
    return text;
}

/* [a-zA-Z_:][a-zA-Z0-9_:]*, in label names without the colon. */
static char *read_name(struct reader *reader, bool colon) {
    const char *start = reader->at;
    while (isalnum((unsigned char)*reader->at) || *reader->at == '_' ||
           (colon && *reader->at == ':')) {
        reader->at++;
    }
    if (reader->at == start || isdigit((unsigned char)*start)) {
        fail_msg("expected a name at '%.60s'", start);
    }
    return copy(start, (size_t)(reader->at - start));
}

/* Up to `end`, which stays unread; backslash escapes itself, n, and in labels the quote, which
 * OpenMetrics escapes in every text. */
static char *read_escaped(struct reader *reader, char end) {
    const bool quotes = end == '"' || reader->openmetrics;
    const char *line_end = memchr(reader->at, '\n', (size_t)(reader->end - reader->at));
    const size_t bytes_max = (size_t)((line_end != NULL ? line_end : reader->end) - reader->at);
    char *text = calloc(1, bytes_max + 1);
    assert_non_null(text);
    size_t count = 0;
    while (*reader->at != end) {
        if (*reader->at == '\0' || *reader->at == '\n') {
            fail_msg("a text has no end: '%s'", text);
        }
        char letter = *reader->at++;
        if (letter == '\\') {
            const char escape = *reader->at++;
            if (escape != '\\' && escape != 'n' && !(escape == '"' && quotes)) {
                fail_msg("'\\%c' is no escape behind '%s'", escape, text);
            }
            letter = escape == 'n' ? '\n' : escape;
        } else if (letter == '"' && quotes) {
            fail_msg("a quote that is not escaped behind '%s'", text);
        }
        text[count++] = letter;
    }
    char *fitting = copy(text, count);
    free(text);
    return fitting;
}

static struct parsed_family *current(struct reader *reader) {
    assert_true(reader->parsed->family_count > 0);
    return &reader->parsed->families[reader->parsed->family_count - 1];
}

static void read_help(struct reader *reader) {
    struct parsed_exposition *parsed = reader->parsed;
    if (parsed->family_count > 0 && !reader->has_type) {
        fail_msg("%s has no TYPE", current(reader)->name);
    }
    char *name = read_name(reader, true);
    for (size_t index = 0; index < parsed->family_count; index++) {
        if (strcmp(parsed->families[index].name, name) == 0) {
            fail_msg("family %s comes twice", name);
        }
    }
    assert_true(parsed->family_count < PARSED_FAMILIES_MAX);
    expect(reader, " ");
    parsed->families[parsed->family_count++] =
        (struct parsed_family){.name = name, .help = read_escaped(reader, '\n')};
    expect(reader, "\n");
    reader->has_help = true;
    reader->has_type = false;
    reader->has_sample = false;
}

static void read_type(struct reader *reader) {
    char *name = read_name(reader, true);
    if (!reader->has_help || reader->has_type || strcmp(name, current(reader)->name) != 0) {
        fail_msg("TYPE of %s does not follow its HELP", name);
    }
    free(name);
    expect(reader, " ");
    char *type = read_name(reader, false);
    if (strcmp(type, "counter") != 0 && strcmp(type, "gauge") != 0 &&
        strcmp(type, "histogram") != 0 && !(reader->openmetrics && strcmp(type, "unknown") == 0)) {
        fail_msg("'%s' is no type that memkv has", type);
    }
    current(reader)->type = type;
    expect(reader, "\n");
    reader->has_type = true;
}

static void read_unit(struct reader *reader) {
    char *name = read_name(reader, true);
    if (!reader->openmetrics || !reader->has_type || reader->has_sample ||
        strcmp(name, current(reader)->name) != 0) {
        fail_msg("UNIT of %s does not follow its TYPE", name);
    }
    expect(reader, " ");
    char *unit = read_name(reader, false);
    const size_t name_bytes = strlen(name);
    const size_t unit_bytes = strlen(unit);
    if (name_bytes <= unit_bytes + 1 || name[name_bytes - unit_bytes - 1] != '_' ||
        strcmp(name + name_bytes - unit_bytes, unit) != 0) {
        fail_msg("%s does not end in its unit %s", name, unit);
    }
    free(name);
    assert_null(current(reader)->unit);
    current(reader)->unit = unit;
    expect(reader, "\n");
}

static double read_number(struct reader *reader) {
    char text[64] = {0};
    char *end;
    if (isspace((unsigned char)*reader->at)) {
        fail_msg("a space before the number at '%.60s'", reader->at);
    }
    const size_t left = (size_t)(reader->end - reader->at);
    memcpy(text, reader->at, left < sizeof text - 1 ? left : sizeof text - 1);
    const double value = strtod(text, &end);
    if (end == text || end == text + sizeof text - 1 || !isfinite(value)) {
        fail_msg("no finite number at '%.60s'", reader->at);
    }
    reader->at += end - text;
    return value;
}

static void read_labels(struct reader *reader, struct parsed_sample *sample) {
    do {
        assert_true(sample->label_count < PARSED_LABELS_MAX);
        char *name = read_name(reader, false);
        for (size_t index = 0; index < sample->label_count; index++) {
            assert_string_not_equal(sample->label_names[index], name);
        }
        expect(reader, "=\"");
        sample->label_names[sample->label_count] = name;
        sample->label_values[sample->label_count] = read_escaped(reader, '"');
        sample->label_count++;
        expect(reader, "\"");
    } while (accept(reader, ","));
    expect(reader, "}");
}

/* The name of a sample, without what a histogram's have behind that of the family. */
static bool is_of_family(const struct reader *reader, const struct parsed_family *family,
                         const char *name) {
    static const char *const ends[] = {"_bucket", "_sum", "_count"};
    const size_t bytes = strlen(family->name);
    if (reader->openmetrics && strcmp(family->type, "counter") == 0) {
        return strncmp(family->name, name, bytes) == 0 && strcmp(name + bytes, "_total") == 0;
    }
    if (strcmp(family->type, "histogram") != 0) {
        return strcmp(family->name, name) == 0;
    }
    for (size_t index = 0; index < sizeof ends / sizeof ends[0]; index++) {
        if (strncmp(family->name, name, bytes) == 0 && strcmp(name + bytes, ends[index]) == 0) {
            return true;
        }
    }
    return false;
}

static bool has_same_labels(const struct parsed_sample *sample, const struct parsed_sample *other,
                            size_t count) {
    for (size_t label = 0; label < count; label++) {
        if (strcmp(sample->label_values[label], other->label_values[label]) != 0) {
            return false;
        }
    }
    return true;
}

/* A bucket's last label is its bound. Buckets of a series stand together, rise, and count all
 * values up to their bound; the last one, which takes all, is the count. */
static void check_bucket(const struct parsed_exposition *parsed,
                         const struct parsed_sample *sample) {
    const struct parsed_sample *before = sample - 1;
    const char *name_end = sample->series + strlen(parsed->families[sample->family].name);
    if (strncmp(name_end, "_bucket", 7) == 0) {
        assert_true(sample->label_count > 0);
        const size_t last = sample->label_count - 1;
        assert_string_equal(sample->label_names[last], "le");
        if (sample > parsed->samples && before->family == sample->family &&
            before->label_count == sample->label_count && has_same_labels(sample, before, last)) {
            assert_true(before->value <= sample->value);
            assert_true(strtod(before->label_values[last], NULL) <
                        strtod(sample->label_values[last], NULL));
        }
    } else if (strncmp(name_end, "_count", 6) == 0) {
        const struct parsed_sample *all = sample - 2;
        assert_true(all->family == sample->family);
        assert_true(has_same_labels(sample, all, sample->label_count));
        assert_string_equal(all->label_values[sample->label_count], "+Inf");
        assert_true(all->value == sample->value);
    }
}

/* # {trace_id="…"} VALUE TIME, of a bucket's line, within the bucket. */
static void read_exemplar(struct reader *reader, struct parsed_sample *sample) {
    expect(reader, "# {trace_id=\"");
    sample->trace_id = read_escaped(reader, '"');
    assert_int_equal(strlen(sample->trace_id), 32);
    assert_int_equal(strspn(sample->trace_id, "0123456789abcdef"), 32);
    expect(reader, "\"} ");
    sample->exemplar_value = read_number(reader);
    expect(reader, " ");
    sample->exemplar_s = read_number(reader);
    assert_true(sample->label_count > 0);
    assert_string_equal(sample->label_names[sample->label_count - 1], "le");
    assert_true(sample->exemplar_value <=
                strtod(sample->label_values[sample->label_count - 1], NULL));
    assert_true(sample->value > 0);
}

static void read_sample(struct reader *reader) {
    struct parsed_exposition *parsed = reader->parsed;
    assert_true(parsed->sample_count < PARSED_SAMPLES_MAX);
    struct parsed_sample *sample = &parsed->samples[parsed->sample_count];
    const char *start = reader->at;
    char *name = read_name(reader, true);
    if (!reader->has_type || !is_of_family(reader, current(reader), name)) {
        fail_msg("a sample of %s stands outside of its family", name);
    }
    free(name);
    sample->family = parsed->family_count - 1;
    if (accept(reader, "{")) {
        read_labels(reader, sample);
    }
    sample->series = copy(start, (size_t)(reader->at - start));
    /* A family's samples stand together, so that only these can be the same. */
    for (const struct parsed_sample *other = sample;
         other > parsed->samples && (other - 1)->family == sample->family; other--) {
        if (strcmp((other - 1)->series, sample->series) == 0) {
            fail_msg("sample %s comes twice", sample->series);
        }
    }
    expect(reader, " ");
    sample->value = read_number(reader);
    if (strcmp(current(reader)->type, "counter") == 0 && sample->value < 0) {
        fail_msg("counter %s is negative", sample->series);
    }
    if (strcmp(current(reader)->type, "histogram") == 0) {
        check_bucket(parsed, sample);
    }
    if (reader->openmetrics && accept(reader, " ")) {
        read_exemplar(reader, sample);
    }
    reader->has_sample = true;
    expect(reader, "\n");
    parsed->sample_count++;
}

/* Well-formed lines come out of the cleaner as they were. */
static void check_utf8(const char *text) {
    char *line = copy(text, strlen(text));
    char *clean = calloc(1, strlen(text) + 1);
    assert_non_null(clean);
    char *rest = line;
    for (char *part = strtok_r(line, "\n", &rest); part != NULL;
         part = strtok_r(NULL, "\n", &rest)) {
        mkv_text_clean(part, clean, strlen(text) + 1);
        assert_string_equal(part, clean);
    }
    free(clean);
    free(line);
}

/* No family has the name of a sample of another, or one that the format keeps for it. */
static void check_clashes(const struct parsed_exposition *parsed) {
    static const char *const ends[] = {"", "_total", "_created", "_bucket", "_sum", "_count"};
    for (size_t index = 0; index < parsed->family_count; index++) {
        const struct parsed_family *family = &parsed->families[index];
        const bool counter = strcmp(family->type, "counter") == 0;
        if (!counter && strcmp(family->type, "histogram") != 0) {
            continue;
        }
        for (size_t place = 0; place < (counter ? 3u : 6u); place++) {
            if (!counter && place == 1) {
                continue;
            }
            char name[256];
            snprintf(name, sizeof name, "%s%s", family->name, ends[place]);
            for (size_t other = 0; other < parsed->family_count; other++) {
                if (other != index && strcmp(parsed->families[other].name, name) == 0) {
                    fail_msg("family %s has a name of family %s", name, family->name);
                }
            }
        }
    }
}

static struct parsed_exposition *parse(const char *text, bool openmetrics) {
    check_utf8(text);
    struct reader reader = {.at = text,
                            .end = text + strlen(text),
                            .parsed = calloc(1, sizeof *reader.parsed),
                            .openmetrics = openmetrics};
    assert_non_null(reader.parsed);
    while (*reader.at != '\0') {
        if (openmetrics && accept(&reader, "# EOF\n")) {
            assert_string_equal(reader.at, "");
            check_clashes(reader.parsed);
            return reader.parsed;
        }
        if (accept(&reader, "# HELP ")) {
            read_help(&reader);
        } else if (accept(&reader, "# TYPE ")) {
            read_type(&reader);
        } else if (accept(&reader, "# UNIT ")) {
            read_unit(&reader);
        } else {
            read_sample(&reader);
        }
    }
    assert_true(reader.has_type);
    assert_false(openmetrics);
    return reader.parsed;
}

struct parsed_exposition *exposition_parse(const char *text) {
    return parse(text, false);
}

struct parsed_exposition *exposition_parse_openmetrics(const char *text) {
    return parse(text, true);
}

void exposition_free(struct parsed_exposition *parsed) {
    for (size_t index = 0; index < parsed->family_count; index++) {
        free(parsed->families[index].name);
        free(parsed->families[index].type);
        free(parsed->families[index].help);
        free(parsed->families[index].unit);
    }
    for (size_t index = 0; index < parsed->sample_count; index++) {
        struct parsed_sample *sample = &parsed->samples[index];
        for (size_t label = 0; label < sample->label_count; label++) {
            free(sample->label_names[label]);
            free(sample->label_values[label]);
        }
        free(sample->series);
        free(sample->trace_id);
    }
    free(parsed);
}

static const struct parsed_sample *find(const struct parsed_exposition *parsed,
                                        const char *series) {
    for (size_t index = 0; index < parsed->sample_count; index++) {
        if (strcmp(parsed->samples[index].series, series) == 0) {
            return &parsed->samples[index];
        }
    }
    return NULL;
}

bool exposition_has(const struct parsed_exposition *parsed, const char *series) {
    return find(parsed, series) != NULL;
}

double exposition_value(const struct parsed_exposition *parsed, const char *series) {
    const struct parsed_sample *sample = find(parsed, series);
    if (sample == NULL) {
        fail_msg("there is no %s", series);
    }
    return sample->value;
}
