/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/exhaustive_command.h"

#include <stdlib.h>
#include <string.h>

#include "sim/canaries.h"
#include "sim/exhaustive.h"
#include "sim/json.h"
#include "sim/run.h"
#include "sim/usage.h"

#define SECONDS_DEFAULT 3600u

struct options {
    uint64_t operations;
    uint64_t seconds;
    bool json;
    bool has_steps; /* one case */
    bool has_crash;
    bool has_end;
    uint64_t crash_after;
    struct mkv_exhaustive_case at;
};

/* EXIT_PASSED when the option is one of this command, with such a value. */
static int take_option(const char *name, const char *value, struct options *options) {
    if (strcmp(name, "--operations") == 0) {
        return mkv_usage_number(value, 1, MKV_EXHAUSTIVE_STEPS_MAX, &options->operations)
                   ? EXIT_PASSED
                   : mkv_usage_error("--operations '%s' is no number from 1 to %u", value,
                                     MKV_EXHAUSTIVE_STEPS_MAX);
    }
    if (strcmp(name, "--seconds") == 0) {
        return mkv_usage_number(value, 1, 604800, &options->seconds)
                   ? EXIT_PASSED
                   : mkv_usage_error("--seconds '%s' is no number from 1 to 604800", value);
    }
    if (strcmp(name, "--steps") == 0) {
        options->has_steps = true;
        return mkv_exhaustive_parse(value, &options->at)
                   ? EXIT_PASSED
                   : mkv_usage_error(
                         "--steps '%s' are not up to %u steps like 'put a 1, delete a | "
                         "get b'",
                         value, MKV_EXHAUSTIVE_STEPS_MAX);
    }
    if (strcmp(name, "--crash") == 0) {
        options->has_crash = true;
        return mkv_usage_number(value, 0, UINT16_MAX, &options->crash_after)
                   ? EXIT_PASSED
                   : mkv_usage_error("--crash '%s' is no number from 0 to 65535", value);
    }
    if (strcmp(name, "--end") == 0) {
        options->has_end = true;
        return mkv_usage_number(value, 0, UINT32_MAX, &options->at.end)
                   ? EXIT_PASSED
                   : mkv_usage_error("--end '%s' is no number from 0 to 2^32 - 1", value);
    }
#ifdef MKV_CANARIES
    if (strcmp(name, "--canary") == 0) {
        return mkv_canary_plant_named(value)
                   ? EXIT_PASSED
                   : mkv_usage_error("--canary '%s' is no planted bug of this program", value);
    }
#endif
    return mkv_usage_error("exhaustive has no option '%s'", name);
}

static int parse(int argc, char **argv, struct options *options) {
    bool sizes = false;
    for (int index = 2; index < argc; index++) {
        const char *name = argv[index];
        if (strcmp(name, "--json") == 0) {
            options->json = true;
            continue;
        }
        if (index + 1 == argc) {
            return mkv_usage_error("'%s' is no option of exhaustive, or needs a value", name);
        }
        const int status = take_option(name, argv[++index], options);
        if (status != EXIT_PASSED) {
            return status;
        }
        sizes = sizes || strcmp(name, "--operations") == 0 || strcmp(name, "--seconds") == 0;
    }
    if (options->has_crash != options->has_steps || (options->has_end && !options->has_crash)) {
        return mkv_usage_error("--steps, --crash and --end name one case; it needs the first two");
    }
    if (options->has_steps && (sizes || options->json)) {
        return mkv_usage_error("--steps is one case, printed as text");
    }
    return EXIT_PASSED;
}

/* ---- output ---------------------------------------------------------------------------------- */

static void print_json(const struct mkv_exhaustive_outcome *outcome) {
    struct mkv_json json = {.out = stdout};
    mkv_json_open(&json, NULL, '{');
    mkv_json_u64(&json, "operations", outcome->operations);
    mkv_json_u64(&json, "sequences", outcome->sequences);
    mkv_json_u64(&json, "crash_points", outcome->crash_points);
    mkv_json_u64(&json, "ends", outcome->ends);
    mkv_json_u64(&json, "ends_of_widest_crash", outcome->ends_widest);
    mkv_json_u64(&json, "crash_points_with_ends_left_out", outcome->points_cut);
    mkv_json_u64(&json, "recoveries", outcome->recoveries);
    mkv_json_u64(&json, "oracle_evaluations", outcome->evaluations);
    mkv_json_bool(&json, "complete", outcome->complete);
    mkv_json_number(&json, "seconds", outcome->seconds);
    mkv_json_open(&json, "failures", '[');
    for (uint32_t index = 0; index < outcome->failure_count; index++) {
        const struct mkv_exhaustive_failure *failure = &outcome->failures[index];
        char steps[MKV_EXHAUSTIVE_TEXT_BYTES];
        char oracle[16];
        mkv_json_open(&json, NULL, '{');
        mkv_json_text(&json, "steps", mkv_exhaustive_text(&failure->at, steps));
        if (failure->at.crash_after != MKV_NONE_U32) {
            mkv_json_u64(&json, "crash", failure->at.crash_after);
        }
        mkv_json_u64(&json, "end", failure->at.end);
        mkv_json_text(&json, "oracle", mkv_oracle_name(failure->failure.oracle, oracle));
        mkv_json_text(&json, "text", failure->failure.text);
        mkv_json_close(&json, '}');
    }
    mkv_json_close(&json, ']');
    mkv_json_close(&json, '}');
    fputc('\n', stdout);
}

static void print_text(const struct mkv_exhaustive_outcome *outcome) {
    printf("%llu sequences of up to %u operations, %llu crash points, %llu ends of these (%llu at "
           "most of one; %llu crash points have more than were taken): %llu different recoveries, "
           "%llu oracle evaluations in %.1f s%s\n",
           (unsigned long long)outcome->sequences, outcome->operations,
           (unsigned long long)outcome->crash_points, (unsigned long long)outcome->ends,
           (unsigned long long)outcome->ends_widest, (unsigned long long)outcome->points_cut,
           (unsigned long long)outcome->recoveries, (unsigned long long)outcome->evaluations,
           outcome->seconds, outcome->complete ? "" : "; NOT ALL");
    for (uint32_t index = 0; index < outcome->failure_count; index++) {
        const struct mkv_exhaustive_failure *failure = &outcome->failures[index];
        char steps[MKV_EXHAUSTIVE_TEXT_BYTES];
        char oracle[16];
        printf("FAILED %s: %s\n       memkv-sim exhaustive --steps '%s' --crash %u --end %llu\n",
               mkv_oracle_name(failure->failure.oracle, oracle), failure->failure.text,
               mkv_exhaustive_text(&failure->at, steps),
               failure->at.crash_after == MKV_NONE_U32 ? 0 : failure->at.crash_after,
               (unsigned long long)failure->at.end);
    }
}

static int run_case(const struct options *options, struct mkv_memory *memory) {
    struct mkv_failure failure;
    struct mkv_exhaustive_case at = options->at;
    char oracle[16];
    at.crash_after = options->crash_after == 0 ? MKV_NONE_U32 : (uint32_t)options->crash_after;
    if (!mkv_exhaustive_run_case(&at, memory, stdout, &failure)) {
        puts("passed");
        return EXIT_PASSED;
    }
    printf("FAILED %s: %s\n", mkv_oracle_name(failure.oracle, oracle), failure.text);
    return EXIT_FAILED;
}

int mkv_exhaustive_command(int argc, char **argv) {
    struct options options = {.operations = MKV_EXHAUSTIVE_STEPS_MAX, .seconds = SECONDS_DEFAULT};
    const int status = parse(argc, argv, &options);
    if (status != EXIT_PASSED) {
        return status;
    }
    struct mkv_memory memory;
    if (!mkv_run_memory_create(&memory)) {
        fputs("memkv-sim: there is no address space for a run; raise ulimit -v\n", stderr);
        return EXIT_FAILED;
    }
    if (options.has_steps) {
        const int result = run_case(&options, &memory);
        mkv_memory_destroy(&memory);
        return result;
    }
    static struct mkv_exhaustive_outcome outcome;
    const bool ran = mkv_exhaustive_run((uint32_t)options.operations, (double)options.seconds,
                                        &memory, &outcome);
    mkv_memory_destroy(&memory);
    if (!ran) {
        fputs("memkv-sim: there is no memory for the states that are met\n", stderr);
        return EXIT_FAILED;
    }
    if (options.json) {
        print_json(&outcome);
    } else {
        print_text(&outcome);
    }
    return outcome.complete ? EXIT_PASSED : EXIT_FAILED;
}
