/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/bundle.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "sim/canaries.h"

#define FIRST_LINE "memkv-sim bundle 1"
#define LINE_BYTES_MAX 16384u

uint64_t mkv_bundle_turns_left(const struct mkv_shape *shape, uint64_t turns) {
    uint64_t left = 0;
    for (uint64_t turn = 0; turn < turns; turn++) {
        left += mkv_shape_has_turn(shape, turn);
    }
    return left;
}

void mkv_bundle_of(struct mkv_bundle *bundle, const struct mkv_seed_outcome *outcome) {
    *bundle = (struct mkv_bundle){
        .seed = outcome->failure.seed,
        .shape = outcome->shape,
        .oracle = outcome->failure.oracle,
        .trace_hash = outcome->report.trace_hash,
        .operations = mkv_bundle_turns_left(&outcome->shape, outcome->report.client_turns),
    };
    (void)snprintf(bundle->text, sizeof bundle->text, "%s", outcome->failure.text);
    (void)snprintf(bundle->canary, sizeof bundle->canary, "%s", mkv_canary_planted_name());
}

void mkv_bundle_run(const struct mkv_bundle *bundle, struct mkv_memory *memory, FILE *log,
                    struct mkv_seed_outcome *outcome) {
    outcome->shape = bundle->shape;
    mkv_run_shaped(bundle->seed, memory, NULL, log, 0, outcome);
}

bool mkv_bundle_is_same(const struct mkv_bundle *bundle, const struct mkv_seed_outcome *outcome) {
    return outcome->failed && outcome->failure.oracle == bundle->oracle &&
           (bundle->oracle != MKV_ORACLE_ASSERTION ||
            strcmp(outcome->failure.text, bundle->text) == 0);
}

/* ---- writing --------------------------------------------------------------------------------- */

static void write_faults(const struct mkv_fault_plan *plan, FILE *file) {
    fputs("faults", file);
    char separator = ' ';
    for (uint32_t fault = 0; fault < MKV_FAULT_COUNT; fault++) {
        if (plan->mask >> fault & 1u) {
            fprintf(file, "%c%s", separator, mkv_fault_info((enum mkv_fault)fault)->name);
            separator = ',';
        }
    }
    fputs(plan->mask == 0 ? " none\n" : "\n", file);
    for (uint32_t fault = 0; fault < MKV_FAULT_COUNT; fault++) {
        if (plan->mask >> fault & 1u) {
            fprintf(file, "one_in %s %u\n", mkv_fault_info((enum mkv_fault)fault)->name,
                    plan->one_in[fault]);
        }
    }
}

static bool is_skipped(const struct mkv_shape *shape, uint32_t turn) {
    return turn < MKV_SHAPE_SKIP_MAX && (shape->turns_skipped[turn / 64] >> turn % 64 & 1u) != 0;
}

static void write_skipped(const struct mkv_shape *shape, FILE *file) {
    fputs("skipped", file);
    for (uint32_t turn = 0; turn < MKV_SHAPE_SKIP_MAX; turn++) {
        if (!is_skipped(shape, turn)) {
            continue;
        }
        uint32_t last = turn;
        while (is_skipped(shape, last + 1)) {
            last++;
        }
        if (last == turn) {
            fprintf(file, " %u", turn);
        } else {
            fprintf(file, " %u-%u", turn, last);
        }
        turn = last;
    }
    fputc('\n', file);
}

/* Runs it once more for the last lines of what happened. */
static void write_timeline(const struct mkv_bundle *bundle, struct mkv_memory *memory, FILE *file) {
    FILE *log = tmpfile();
    char *lines = calloc(MKV_BUNDLE_TIMELINE_LINES, MKV_BUNDLE_LINE_BYTES);
    struct mkv_seed_outcome *again = calloc(1, sizeof *again);
    fputs("timeline\n", file);
    if (log != NULL && lines != NULL && again != NULL) {
        mkv_bundle_run(bundle, memory, log, again);
        rewind(log);
        uint64_t count = 0;
        while (fgets(lines + count % MKV_BUNDLE_TIMELINE_LINES * MKV_BUNDLE_LINE_BYTES,
                     (int)MKV_BUNDLE_LINE_BYTES, log) != NULL) {
            count++;
        }
        const uint64_t shown = mkv_min_u64(count, MKV_BUNDLE_TIMELINE_LINES);
        for (uint64_t line = count - shown; line < count; line++) {
            fputs(lines + line % MKV_BUNDLE_TIMELINE_LINES * MKV_BUNDLE_LINE_BYTES, file);
        }
        fprintf(file, "             ** %s\n", again->failure.text);
    }
    if (log != NULL) {
        (void)fclose(log);
    }
    free(lines);
    free(again);
}

bool mkv_bundle_write(const struct mkv_bundle *bundle, struct mkv_memory *memory, FILE *file) {
    char oracle[16];
    fprintf(file, "%s\nversion %s\ncanary %s\nseed %" PRIu64 "\noracle %s\ntext %s\n", FIRST_LINE,
            MKV_VERSION, bundle->canary[0] != 0 ? bundle->canary : "none", bundle->seed,
            mkv_oracle_name(bundle->oracle, oracle), bundle->text);
    fprintf(file, "trace %016" PRIx64 "\noperations %" PRIu64 "\n", bundle->trace_hash,
            bundle->operations);
    for (uint32_t index = 0; index < mkv_shape_field_count(); index++) {
        const struct mkv_shape_field *field = mkv_shape_field_at(index);
        fprintf(file, "%s %" PRIu64 "\n", field->name, mkv_shape_field_get(&bundle->shape, field));
    }
    write_faults(&bundle->shape.faults, file);
    write_skipped(&bundle->shape, file);
    write_timeline(bundle, memory, file);
    return ferror(file) == 0;
}

/* ---- reading --------------------------------------------------------------------------------- */

static bool read_skipped(struct mkv_shape *shape, const char *value) {
    while (*value != 0) {
        char *end = NULL;
        const unsigned long long first = strtoull(value, &end, 10);
        unsigned long long last = first;
        if (end == value) {
            return false;
        }
        if (*end == '-') {
            value = end + 1;
            last = strtoull(value, &end, 10);
        }
        if (end == value || last < first || last >= MKV_SHAPE_SKIP_MAX ||
            (*end != ' ' && *end != 0)) {
            return false;
        }
        for (unsigned long long turn = first; turn <= last; turn++) {
            shape->turns_skipped[turn / 64] |= 1ull << turn % 64;
        }
        value = *end == ' ' ? end + 1 : end;
    }
    return true;
}

static bool read_rate(struct mkv_shape *shape, const char *value) {
    for (uint32_t fault = 0; fault < MKV_FAULT_COUNT; fault++) {
        const char *name = mkv_fault_info((enum mkv_fault)fault)->name;
        const size_t bytes = strlen(name);
        if (strncmp(value, name, bytes) == 0 && value[bytes] == ' ') {
            const unsigned long long rate = strtoull(value + bytes + 1, NULL, 10);
            shape->faults.one_in[fault] = (uint32_t)rate;
            return rate >= 1 && rate <= UINT32_MAX;
        }
    }
    return false;
}

static bool read_oracle(struct mkv_bundle *bundle, const char *value) {
    if (strcmp(value, "assertion") == 0) {
        bundle->oracle = MKV_ORACLE_ASSERTION;
        return true;
    }
    const unsigned long number = strtoul(value[0] != 0 ? value + 1 : value, NULL, 10);
    if (value[0] == 'R' && (number == 1 || number == 2)) {
        bundle->oracle = number == 1 ? MKV_ORACLE_DMA : MKV_ORACLE_SAME_BYTES;
        return true;
    }
    bundle->oracle = (enum mkv_oracle)number;
    return value[0] == 'O' && number > 0;
}

/* One line of a name and a value. */
static bool read_line(struct mkv_bundle *bundle, const char *name, const char *value) {
    const struct mkv_shape_field *field = mkv_shape_field_find(name);
    char unknown[MKV_FAULT_NAME_BYTES];
    if (field != NULL) {
        char *end = NULL;
        const uint64_t number = strtoull(value, &end, 10);
        return end != value && *end == 0 && mkv_shape_field_set(&bundle->shape, field, number);
    }
    if (strcmp(name, "seed") == 0) {
        bundle->seed = strtoull(value, NULL, 10);
        mkv_shape_draw(&bundle->shape, bundle->seed);
        return true;
    }
    if (strcmp(name, "oracle") == 0) {
        return read_oracle(bundle, value);
    }
    if (strcmp(name, "faults") == 0) {
        return mkv_faults_parse(value, &bundle->shape.faults.mask, unknown);
    }
    if (strcmp(name, "one_in") == 0) {
        return read_rate(&bundle->shape, value);
    }
    if (strcmp(name, "skipped") == 0) {
        return read_skipped(&bundle->shape, value);
    }
    if (strcmp(name, "canary") == 0) {
        (void)snprintf(bundle->canary, sizeof bundle->canary, "%s",
                       strcmp(value, "none") == 0 ? "" : value);
    } else if (strcmp(name, "text") == 0) {
        (void)snprintf(bundle->text, sizeof bundle->text, "%s", value);
    } else if (strcmp(name, "trace") == 0) {
        bundle->trace_hash = strtoull(value, NULL, 16);
    } else if (strcmp(name, "operations") == 0) {
        bundle->operations = strtoull(value, NULL, 10);
    } else {
        return strcmp(name, "version") == 0;
    }
    return true;
}

static const char *read_lines(struct mkv_bundle *bundle, char *line, FILE *file) {
    if (fgets(line, LINE_BYTES_MAX, file) == NULL || strcmp(line, FIRST_LINE "\n") != 0) {
        return "it does not begin with '" FIRST_LINE "'";
    }
    while (fgets(line, LINE_BYTES_MAX, file) != NULL) {
        line[strcspn(line, "\n")] = 0;
        if (strcmp(line, "timeline") == 0) {
            break;
        }
        char *value = strchr(line, ' ');
        if (value != NULL) {
            *value++ = 0;
        }
        if (!read_line(bundle, line, value != NULL ? value : line + strlen(line))) {
            return "a line has a name or a value that is none";
        }
    }
    if (bundle->oracle == MKV_ORACLE_NONE || !mkv_shape_sound(&bundle->shape)) {
        return "it names no oracle, or figures that do not go together";
    }
    mkv_shape_fit(&bundle->shape);
    return NULL;
}

const char *mkv_bundle_read(struct mkv_bundle *bundle, FILE *file) {
    char *line = malloc(LINE_BYTES_MAX);
    if (line == NULL) {
        return "there is no memory for it";
    }
    *bundle = (struct mkv_bundle){0};
    mkv_shape_draw(&bundle->shape, 0);
    const char *complaint = read_lines(bundle, line, file);
    free(line);
    return complaint;
}
