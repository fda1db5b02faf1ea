/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/bundle_command.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "sim/bisect.h"
#include "sim/canaries.h"
#include "sim/json.h"
#include "sim/minimize.h"
#include "sim/show.h"
#include "sim/timeline.h"
#include "sim/usage.h"

#define OTHER_SALT 0x5au

static bool save(const struct mkv_bundle *bundle, const char *path, struct mkv_memory *memory) {
    FILE *file = fopen(path, "w");
    bool written = file != NULL && mkv_bundle_write(bundle, memory, file);
    written = (file == NULL || fclose(file) == 0) && written;
    if (!written) {
        fprintf(stderr, "memkv-sim: cannot write the bundle %s: %s; name another place\n", path,
                strerror(errno));
    }
    return written;
}

void mkv_bundles_save(const struct mkv_run_outcome *run, const struct mkv_run_choice *choice,
                      const char *folder, struct mkv_memory *memory) {
    for (uint32_t index = 0; index < run->failure_count; index++) {
        const uint64_t seed = run->failures[index].seed;
        struct mkv_seed_outcome outcome;
        struct mkv_bundle bundle;
        char path[PATH_MAX];
        mkv_run_seed(seed, choice, memory, NULL, NULL, 0, &outcome);
        if (!outcome.failed) {
            fprintf(stderr,
                    "memkv-sim: seed %" PRIu64 " passes when it is run alone, so there is no "
                    "bundle of it\n",
                    seed);
            continue;
        }
        mkv_bundle_of(&bundle, &outcome);
        if (snprintf(path, sizeof path, "%s/memkv-sim-%" PRIu64 ".bundle", folder, seed) >=
            (int)sizeof path) {
            fprintf(stderr, "memkv-sim: the name of the folder %s is too long\n", folder);
            return;
        }
        if (save(&bundle, path, memory)) {
            fprintf(stderr,
                    "memkv-sim: wrote %s\n       memkv-sim replay %s\n       memkv-sim minimize "
                    "%s\n",
                    path, path, path);
        }
    }
}

/* Reads a bundle and turns its planted bug on. EXIT_PASSED, or says what is wrong. */
static int open_bundle(const char *path, struct mkv_bundle *bundle, struct mkv_memory *memory) {
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        fprintf(stderr, "memkv-sim: cannot open the bundle %s: %s\n", path, strerror(errno));
        return EXIT_USAGE;
    }
    const char *complaint = mkv_bundle_read(bundle, file);
    (void)fclose(file);
    if (complaint != NULL) {
        fprintf(stderr, "memkv-sim: %s is no bundle that can be run: %s\n", path, complaint);
        return EXIT_USAGE;
    }
    if (bundle->canary[0] != 0 && !mkv_canary_plant_named(bundle->canary)) {
        fprintf(stderr,
                "memkv-sim: the planted bug %s of the bundle is not in this program; %s has it\n",
                bundle->canary, MKV_CANARY_PROGRAM);
    }
    if (!mkv_run_memory_create(memory)) {
        fputs("memkv-sim: there is no address space for a run; raise ulimit -v\n", stderr);
        return EXIT_FAILED;
    }
    return EXIT_PASSED;
}

int mkv_bundle_replay_command(const char *path, bool as_json, bool verbose) {
    struct mkv_bundle bundle;
    struct mkv_memory memory;
    const int status = open_bundle(path, &bundle, &memory);
    if (status != EXIT_PASSED) {
        return status;
    }
    struct mkv_seed_outcome outcome;
    struct mkv_seed_outcome again;
    mkv_bundle_run(&bundle, &memory, verbose ? (as_json ? stderr : stdout) : NULL, &outcome);
    again.shape = bundle.shape;
    mkv_run_shaped(bundle.seed, &memory, NULL, NULL, OTHER_SALT, &again);
    mkv_run_compare(&outcome, &again);
    mkv_memory_destroy(&memory);
    const bool same = mkv_bundle_is_same(&bundle, &outcome);
    const bool same_trace = outcome.report.trace_hash == bundle.trace_hash;
    char oracle[16] = "none";
    if (outcome.failed) {
        (void)mkv_oracle_name(outcome.failure.oracle, oracle);
    }
    if (as_json) {
        struct mkv_json json = {.out = stdout};
        mkv_json_open(&json, NULL, '{');
        mkv_json_u64(&json, "seed", bundle.seed);
        mkv_json_bool(&json, "failed", outcome.failed);
        mkv_json_bool(&json, "same_oracle", same);
        mkv_json_bool(&json, "same_trace", same_trace);
        mkv_json_text(&json, "oracle", oracle);
        mkv_json_text(&json, "text", outcome.failure.text);
        mkv_json_u64(&json, "operations", bundle.operations);
        mkv_json_hex(&json, "trace_hash", outcome.report.trace_hash);
        mkv_json_close(&json, '}');
        fputc('\n', stdout);
    } else if (outcome.failed) {
        printf("FAILED %s: %s: %s\n       %s, %s\n", path, oracle, outcome.failure.text,
               same ? "as the bundle says" : "which is not what the bundle says",
               same_trace ? "with the same trace" : "with another trace: the core has changed");
    } else {
        printf("passed: %s fails no longer\n", path);
    }
    return outcome.failed ? EXIT_FAILED : EXIT_PASSED;
}

static void print_minimized(const struct mkv_bundle *bundle,
                            const struct mkv_minimize_figures *figures, const char *path,
                            bool as_json) {
    char oracle[16];
    (void)mkv_oracle_name(bundle->oracle, oracle);
    if (!as_json) {
        printf("%s: %s with %" PRIu64 " client operations (before: %" PRIu64
               "), %u crashes at most, %u faults and %u figures fewer, %" PRIu64 " runs\n       "
               "%s\n",
               path, oracle, figures->turns_after, figures->turns_before, bundle->shape.crashes_max,
               figures->faults_removed, figures->fields_shrunk, figures->runs, bundle->text);
        return;
    }
    struct mkv_json json = {.out = stdout};
    mkv_json_open(&json, NULL, '{');
    mkv_json_text(&json, "bundle", path);
    mkv_json_text(&json, "oracle", oracle);
    mkv_json_text(&json, "text", bundle->text);
    mkv_json_u64(&json, "operations", figures->turns_after);
    mkv_json_u64(&json, "operations_before", figures->turns_before);
    mkv_json_u64(&json, "crashes_max", bundle->shape.crashes_max);
    mkv_json_u64(&json, "faults_removed", figures->faults_removed);
    mkv_json_u64(&json, "figures_shrunk", figures->fields_shrunk);
    mkv_json_u64(&json, "runs", figures->runs);
    mkv_json_close(&json, '}');
    fputc('\n', stdout);
}

int mkv_bundle_minimize_command(const char *path, const char *output, double seconds_max,
                                bool as_json) {
    struct mkv_bundle bundle;
    struct mkv_memory memory;
    char beside[PATH_MAX];
    const int status = open_bundle(path, &bundle, &memory);
    if (status != EXIT_PASSED) {
        return status;
    }
    if (output == NULL) {
        if (snprintf(beside, sizeof beside, "%s.min", path) >= (int)sizeof beside) {
            fputs("memkv-sim: the bundle's name is too long; name --output FILE\n", stderr);
            mkv_memory_destroy(&memory);
            return EXIT_USAGE;
        }
        output = beside;
    }
    struct mkv_minimize_figures figures;
    const bool fails = mkv_minimize(&bundle, &memory, seconds_max, &figures);
    const bool saved = fails && save(&bundle, output, &memory);
    mkv_memory_destroy(&memory);
    if (!fails) {
        fprintf(stderr, "memkv-sim: %s does not fail as it says, so there is nothing to shrink\n",
                path);
        return EXIT_FAILED;
    }
    if (saved) {
        print_minimized(&bundle, &figures, output, as_json);
    }
    return saved ? EXIT_PASSED : EXIT_FAILED;
}

int mkv_bundle_show_command(const char *path) {
    struct mkv_bundle bundle;
    struct mkv_memory memory;
    const int status = open_bundle(path, &bundle, &memory);
    if (status == EXIT_PASSED) {
        mkv_bundle_show(&bundle, stdout);
        mkv_memory_destroy(&memory);
    }
    return status;
}

static void print_bisected(const struct mkv_bisect_outcome *outcome, const char *path,
                           bool as_json) {
    char oracle[16];
    (void)mkv_oracle_name(outcome->failure.oracle, oracle);
    const char *end = outcome->at_once ? "at once" : mkv_cut_end_name(outcome->end);
    if (!as_json) {
        printf("%s: passes with the first %" PRIu64 " inputs and effects, the last of which is\n"
               "       %s\n"
               "and fails with one more (%s; %" PRIu64 " runs), which is\n       %s\n"
               "       %s: %s\n",
               path, outcome->good, outcome->good_line, end, outcome->runs, outcome->bad_line,
               oracle, outcome->failure.text);
        return;
    }
    struct mkv_json json = {.out = stdout};
    mkv_json_open(&json, NULL, '{');
    mkv_json_text(&json, "bundle", path);
    mkv_json_u64(&json, "good", outcome->good);
    mkv_json_text(&json, "good_line", outcome->good_line);
    mkv_json_u64(&json, "bad", outcome->bad);
    mkv_json_text(&json, "bad_line", outcome->bad_line);
    mkv_json_text(&json, "end", end);
    mkv_json_text(&json, "oracle", oracle);
    mkv_json_text(&json, "text", outcome->failure.text);
    mkv_json_u64(&json, "runs", outcome->runs);
    mkv_json_close(&json, '}');
    fputc('\n', stdout);
}

int mkv_bundle_bisect_command(const char *path, bool as_json) {
    struct mkv_bundle bundle;
    struct mkv_memory memory;
    struct mkv_bisect_outcome outcome;
    const int status = open_bundle(path, &bundle, &memory);
    if (status != EXIT_PASSED) {
        return status;
    }
    const char *complaint = mkv_bisect(&bundle, &memory, &outcome);
    mkv_memory_destroy(&memory);
    if (complaint != NULL) {
        fprintf(stderr, "memkv-sim: %s cannot be bisected: %s\n", path, complaint);
        return EXIT_FAILED;
    }
    print_bisected(&outcome, path, as_json);
    return EXIT_PASSED;
}

int mkv_timeline_command(const char *path, uint64_t seed, const struct mkv_run_choice *choice) {
    struct mkv_bundle bundle = {.seed = seed};
    struct mkv_memory memory;
    if (path != NULL) {
        const int status = open_bundle(path, &bundle, &memory);
        if (status != EXIT_PASSED) {
            return status;
        }
    } else if (!mkv_run_memory_create(&memory)) {
        fputs("memkv-sim: there is no address space for a run; raise ulimit -v\n", stderr);
        return EXIT_FAILED;
    } else {
        mkv_run_shape(&bundle.shape, seed, choice);
    }
    FILE *log = tmpfile();
    if (log == NULL) {
        fprintf(stderr, "memkv-sim: there is no file for the run's log: %s\n", strerror(errno));
        mkv_memory_destroy(&memory);
        return EXIT_FAILED;
    }
    struct mkv_seed_outcome outcome;
    mkv_bundle_run(&bundle, &memory, log, &outcome);
    rewind(log);
    mkv_timeline_print(log, stdout);
    if (outcome.failed) {
        char oracle[16];
        printf("FAILED %s: %s\n", mkv_oracle_name(outcome.failure.oracle, oracle),
               outcome.failure.text);
    }
    (void)fclose(log);
    mkv_memory_destroy(&memory);
    return outcome.failed ? EXIT_FAILED : EXIT_PASSED;
}
