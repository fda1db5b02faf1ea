/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/command.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/canary.h"
#include "sim/bundle_command.h"
#include "sim/canaries.h"
#include "sim/exhaustive_command.h"
#include "sim/fault_command.h"
#include "sim/forge.h"
#include "sim/json.h"
#include "sim/minimize.h"
#include "sim/record_command.h"
#include "sim/run.h"
#include "sim/sweep.h"
#include "sim/trace_command.h"
#include "sim/usage.h"

#define SECONDS_DEFAULT 10.0
#define SECONDS_MAX 604800.0

static const char usage_text[] =
    "usage: memkv-sim COMMAND [OPTIONS]\n"
    "\n"
    "Runs the core that memkv ships on a simulated drive and fabric, crashes it again and again,\n"
    "and holds what it does against oracles.\n"
    "\n"
    "  run [--seed N] [--seconds S] [--faults LIST] [--scenario NAME] [--bundles FOLDER] [--json]\n"
    "        Runs the seeds from N on (default 1) for S seconds (default 10), with the drive "
    "faults\n"
    "        that each seed draws, or with exactly those of the list: names between commas, none,\n"
    "        or all.\n"
    "        --scenario: only seeds of its world, with its figures in the place of what they "
    "draw.\n"
    "        A failure writes FOLDER/memkv-sim-SEED.bundle (default: this folder).\n"
    "  replay BUNDLE | --seed N [--faults LIST] [--first I [--second J]] [--json] [--verbose]\n"
    "        Runs one seed to its end, or a bundle, twice, in memory that differs. --verbose "
    "prints\n"
    "        every input and effect. --first and --second say where the one fault strikes, as a\n"
    "        sweep does.\n"
    "  replay RECORD [--any-build] [--json] [--verbose]\n"
    "        Gives the core the inputs that memkv start --record wrote down; the effects must be\n"
    "        those of the record. --any-build: also if another build of the core recorded it.\n"
    "  minimize BUNDLE [--output FILE] [--seconds S] [--json]\n"
    "        Leaves out client operations, crashes and faults and shrinks the drive while the "
    "same\n"
    "        oracle fires, for S seconds of the processor at most (default 60), and writes what\n"
    "        is left to FILE\n"
    "        (default: BUNDLE.min).\n"
    "  bisect BUNDLE [--json]\n"
    "        Cuts the run off behind its first inputs and effects, recovers and verifies, and "
    "prints\n"
    "        the last one that passes and the first that fails.\n"
    "  show BUNDLE\n"
    "        Prints in words what the bundle holds.\n"
    "  scenarios [--json]\n"
    "        Lists the scenarios.\n"
    "  timeline BUNDLE | --seed N [--faults LIST]\n"
    "        Prints what clients asked and got, one line an operation, between crashes and "
    "events.\n"
    "  stats [--seed N] [--seconds S] [--faults LIST] [--json]\n"
    "        Runs seeds as run does, and prints how different their inputs were: what clients "
    "asked,\n"
    "        keys used again, journal rings written, blocks evicted.\n"
    "  sweep [--seed N] [--faults LIST] [--json]\n"
    "        Runs one seed (default 1) with each fault striking at the first operation that it "
    "can,\n"
    "        the second, and so on; each time also with a second strike in the recovery.\n"
    "  exhaustive [--operations N] [--seconds S] [--json]\n"
    "  exhaustive --steps TEXT --crash T [--end E]\n"
    "        Runs every sequence of up to N operations (default 3) on a very small drive, cut off\n"
    "        after every input and effect, with every image that the drive may then have, for S\n"
    "        seconds at most. Or one of these, as a failure names it (crash 0: none), and prints\n"
    "        every input and effect.\n"
    "  faults [--json]\n"
    "        Lists the drive faults, and what a run under each of them no longer promises.\n"
    "  forge [--seed N] [--seconds S] [--json]\n"
    "        Gives recovery drives whose content was changed and sealed again, and draws\n"
    "        configurations that are wrong, from the seed N on (default 1) for S seconds (default\n"
    "        10). A drive that failed is written to memkv-sim-SEED.img.\n"
    "  canaries [--seeds FILE] [--output FILE] [--json]\n"
    "        Looks five times for each bug planted in memkv-sim-canary, which lies beside this\n"
    "        program, and runs the seeds that caught it on the core that ships, with the same\n"
    "        faults. The figure is the median of the crashes until an oracle fired.\n"
    "        --seeds: looks once for each, first with the seeds of the file that --output wrote.\n"
    "  trace FILE [--memory N]... [--policy NAME]... [--from-ms A] [--to-ms B] [--order O] "
    "[--json]\n"
    "        Replays a trace of requests to a KV cache (JSON lines, plain or xz) and prints the "
    "part\n"
    "        of its blocks that are leading hits, under our eviction policy and under others, "
    "with\n"
    "        memory for N blocks (default: 1, 3, 10, 20 and 40 % of the different ones). Requests\n"
    "        before A milliseconds (default: half the trace) only warm up, those from B on are "
    "left\n"
    "        out. --order suffix or prefix: which end of a request the other policies see first.\n"
    "  help, --help\n"
    "        Prints this.\n"
    "  --version\n"
    "        Prints the version.\n"
    "\n"
    "Exit status: 0 passed; 1 an oracle fired, or a planted bug was missed; 2 usage.\n";

struct options {
    bool has_seed;
    uint64_t seed;
    bool has_seconds;
    double seconds;
    bool json;
    bool verbose;
    bool has_canary;
    uint64_t canary;
    bool has_faults;
    struct mkv_run_choice choice;
    uint64_t first; /* 0: not given */
    uint64_t second;
    const char *path;    /* of a bundle; NULL: none */
    const char *output;  /* of minimize */
    const char *bundles; /* of run: the folder */
    const char *seeds;   /* of canaries: the file */
};

static bool parse_seconds(const char *text, double *value) {
    if (text[0] < '0' || text[0] > '9') {
        return false;
    }
    char *end = NULL;
    errno = 0;
    *value = strtod(text, &end);
    return errno == 0 && *end == 0 && *value > 0 && *value <= SECONDS_MAX;
}

static int faults_error(const char *unknown) {
    fprintf(stderr,
            "memkv-sim: --faults names '%s', and there is no such fault; there are:", unknown);
    for (unsigned fault = 0; fault < MKV_FAULT_COUNT; fault++) {
        fprintf(stderr, "%s %s", fault > 0 ? "," : "", mkv_fault_info((enum mkv_fault)fault)->name);
    }
    fputs(", or none, or all\n", stderr);
    return EXIT_USAGE;
}

/* Takes what stands behind the command; EXIT_PASSED, or EXIT_USAGE when something was wrong. */
static int parse_options(int argc, char **argv, struct options *options) {
    for (int index = 2; index < argc; index++) {
        const char *name = argv[index];
        if (strcmp(name, "--json") == 0) {
            options->json = true;
            continue;
        }
        if (strcmp(name, "--verbose") == 0) {
            options->verbose = true;
            continue;
        }
        const bool seed = strcmp(name, "--seed") == 0;
        const bool seconds = strcmp(name, "--seconds") == 0;
        const bool canary = strcmp(name, "--canary") == 0;
        const bool faults = strcmp(name, "--faults") == 0;
        const bool first = strcmp(name, "--first") == 0;
        const bool second = strcmp(name, "--second") == 0;
        const bool output = strcmp(name, "--output") == 0;
        const bool bundles = strcmp(name, "--bundles") == 0;
        const bool scenario = strcmp(name, "--scenario") == 0;
        const bool seeds = strcmp(name, "--seeds") == 0;
        if (name[0] != '-' && options->path == NULL) {
            options->path = name;
            continue;
        }
        if (!seed && !seconds && !canary && !faults && !first && !second && !output && !bundles &&
            !scenario && !seeds) {
            return name[0] == '-' ? mkv_usage_error("there is no option '%s'", name)
                                  : mkv_usage_error("'%s' is one file too many", name);
        }
        if (index + 1 == argc) {
            return mkv_usage_error("%s needs a value", name);
        }
        const char *value = argv[++index];
        if (seed && !mkv_usage_number(value, 0, UINT64_MAX, &options->seed)) {
            return mkv_usage_error("--seed '%s' is no number from 0 to 2^64 - 1", value);
        }
        if (seconds && !parse_seconds(value, &options->seconds)) {
            return mkv_usage_error("--seconds '%s' is no number above 0 and up to %.0f", value,
                                   SECONDS_MAX);
        }
        if (canary && !mkv_usage_number(value, 0, UINT64_MAX, &options->canary)) {
            options->canary = mkv_canary_of_name(value);
        }
        if (canary && options->canary >= MKV_CANARIES_ALL) {
            return mkv_usage_error("--canary '%s' is no planted bug of this program", value);
        }
        if ((first || second) &&
            (!mkv_usage_number(value, 0, UINT64_MAX, first ? &options->first : &options->second) ||
             (first ? options->first : options->second) < 1 ||
             (first ? options->first : options->second) > UINT32_MAX)) {
            return mkv_usage_error("%s '%s' is no number from 1 to 2^32 - 1", name, value);
        }
        if (scenario && (options->choice.scenario = mkv_scenario_find(value)) == NULL) {
            return mkv_usage_error("--scenario '%s' is none of `memkv-sim scenarios`", value);
        }
        char unknown[MKV_FAULT_NAME_BYTES];
        if (faults && !mkv_faults_parse(value, &options->choice.fault_mask, unknown)) {
            return faults_error(unknown);
        }
        options->output = output ? value : options->output;
        options->bundles = bundles ? value : options->bundles;
        options->seeds = seeds ? value : options->seeds;
        options->has_faults = options->has_faults || faults;
        options->choice.has_faults = options->has_faults;
        options->has_seed = options->has_seed || seed;
        options->has_seconds = options->has_seconds || seconds;
        options->has_canary = options->has_canary || canary;
    }
    return EXIT_PASSED;
}

/* ---- output ---------------------------------------------------------------------------------- */

static void print_failures(struct mkv_json *json, const struct mkv_failure *failures,
                           uint32_t count) {
    mkv_json_open(json, "failures", '[');
    for (uint32_t index = 0; index < count; index++) {
        char oracle[16];
        mkv_json_open(json, NULL, '{');
        mkv_json_u64(json, "seed", failures[index].seed);
        mkv_json_text(json, "oracle", mkv_oracle_name(failures[index].oracle, oracle));
        mkv_json_text(json, "text", failures[index].text);
        mkv_json_close(json, '}');
    }
    mkv_json_close(json, ']');
}

static void tell_failure(FILE *out, const struct mkv_failure *failure) {
    char oracle[16];
    fprintf(out, "FAILED seed %llu: %s: %s\n       memkv-sim replay --seed %llu --verbose\n",
            (unsigned long long)failure->seed, mkv_oracle_name(failure->oracle, oracle),
            failure->text, (unsigned long long)failure->seed);
}

static void print_changes_json(struct mkv_json *json, const struct mkv_world_changes *changes) {
    mkv_json_open(json, "extents", '{');
    mkv_json_u64(json, "given", changes->extents_given);
    mkv_json_u64(json, "given_spanned", changes->extents_given_spanned);
    mkv_json_u64(json, "given_back", changes->extents_given_back);
    mkv_json_u64(json, "emptied", changes->extents_emptied);
    mkv_json_u64(json, "emptyings_given_up", changes->emptyings_given_up);
    mkv_json_close(json, '}');
    mkv_json_u64(json, "evictions", changes->evictions);
    mkv_json_u64(json, "puts_overtaken", changes->puts_overtaken);
    mkv_json_u64(json, "puts_not_admitted", changes->puts_not_admitted);
    mkv_json_u64(json, "scrubbed", changes->scrubbed);
    mkv_json_u64(json, "scrub_damaged", changes->scrub_damaged);
    mkv_json_open(json, "directory", '{');
    mkv_json_u64(json, "commits", changes->directory_commits);
    mkv_json_u64(json, "caught_up", changes->directory_caught_up);
    mkv_json_u64(json, "rebuilds", changes->directory_rebuilds);
    mkv_json_u64(json, "listings", changes->listings);
    mkv_json_close(json, '}');
}

static void print_memory_json(struct mkv_json *json, const struct mkv_world_memory *memory) {
    mkv_json_open(json, "memory", '{');
    mkv_json_u64(json, "hits", memory->hits);
    mkv_json_u64(json, "reads_shared", memory->reads_shared);
    mkv_json_u64(json, "reads_not_kept", memory->reads_not_kept);
    mkv_json_u64(json, "taken", memory->taken);
    mkv_json_u64(json, "puts_early", memory->puts_early);
    mkv_json_u64(json, "puts_early_lost", memory->puts_early_lost);
    mkv_json_close(json, '}');
}

static void print_memory_text(const struct mkv_world_memory *memory) {
    printf("memory tier: %llu hits, %llu reads shared, %llu not kept, %llu blocks taken for slabs; "
           "%llu puts answered before they were durable, %llu of them failed\n",
           (unsigned long long)memory->hits, (unsigned long long)memory->reads_shared,
           (unsigned long long)memory->reads_not_kept, (unsigned long long)memory->taken,
           (unsigned long long)memory->puts_early, (unsigned long long)memory->puts_early_lost);
}

static void print_changes_text(const struct mkv_world_changes *changes) {
    printf(
        "extents: %llu given to classes (%llu of several as one), %llu given back, %llu emptied, "
        "%llu emptyings given up; %llu blocks evicted, %llu slow puts overtaken, "
        "%llu not admitted\n",
        (unsigned long long)changes->extents_given,
        (unsigned long long)changes->extents_given_spanned,
        (unsigned long long)changes->extents_given_back,
        (unsigned long long)changes->extents_emptied,
        (unsigned long long)changes->emptyings_given_up, (unsigned long long)changes->evictions,
        (unsigned long long)changes->puts_overtaken,
        (unsigned long long)changes->puts_not_admitted);
    printf("directory: %llu commits, %llu keys from headers, %llu made anew; listed %llu times\n",
           (unsigned long long)changes->directory_commits,
           (unsigned long long)changes->directory_caught_up,
           (unsigned long long)changes->directory_rebuilds, (unsigned long long)changes->listings);
}

static double per_second(uint64_t count, double seconds) {
    return seconds > 0 ? (double)count / seconds : 0;
}

static void print_rows(struct mkv_json *json, const struct mkv_world_report *report) {
    mkv_json_open(json, "drive_set", '{');
    for (unsigned row = 0; row < MKV_SET_ROW_COUNT; row++) {
        mkv_json_u64(json, mkv_set_row_name((enum mkv_set_row)row), report->set_rows[row]);
    }
    mkv_json_close(json, '}');
}

static void tell_rows(const struct mkv_world_report *report) {
    printf("  drive set ");
    for (unsigned row = 0; row < MKV_SET_ROW_COUNT; row++) {
        printf("%s %s %llu", row > 0 ? "," : "", mkv_set_row_name((enum mkv_set_row)row),
               (unsigned long long)report->set_rows[row]);
    }
    printf("\n");
}

static void print_hits(struct mkv_json *json, const struct mkv_world_report *report) {
    mkv_json_open(json, "faults", '{');
    for (unsigned fault = 0; fault < MKV_FAULT_COUNT; fault++) {
        mkv_json_u64(json, mkv_fault_info((enum mkv_fault)fault)->name, report->hits[fault]);
    }
    mkv_json_close(json, '}');
}

static void tell_hits(const struct mkv_world_report *report) {
    printf("  faults ");
    bool any = false;
    for (unsigned fault = 0; fault < MKV_FAULT_COUNT; fault++) {
        if (report->hits[fault] > 0) {
            printf("%s %s %llu", any ? "," : "", mkv_fault_info((enum mkv_fault)fault)->name,
                   (unsigned long long)report->hits[fault]);
            any = true;
        }
    }
    printf("%s; %llu blocks lost to them\n", any ? "" : " none",
           (unsigned long long)report->losses);
}

static void print_run_json(const struct mkv_run_outcome *run) {
    struct mkv_json json = {.out = stdout};
    mkv_json_open(&json, NULL, '{');
    mkv_json_u64(&json, "seed", run->seed_first);
    mkv_json_u64(&json, "seeds", run->seeds);
    mkv_json_number(&json, "seconds", run->seconds);
    mkv_json_u64(&json, "crashes", run->report.crashes);
    mkv_json_number(&json, "crashes_per_second", per_second(run->report.crashes, run->seconds));
    mkv_json_u64(&json, "recoveries_cut", run->report.recoveries_cut);
    mkv_json_u64(&json, "operations", run->report.operations);
    mkv_json_u64(&json, "oracle_evaluations", run->report.evaluations);
    mkv_json_u64(&json, "distinct_images", run->distinct_images);
    mkv_json_u64(&json, "seeds_repeated", run->repeats);
    mkv_json_hex(&json, "trace_hash", run->trace_hash);
    print_changes_json(&json, &run->report.changes);
    print_memory_json(&json, &run->report.memory);
    mkv_json_open(&json, "worlds", '[');
    for (uint32_t world = 0; world < MKV_WORLD_COUNT; world++) {
        const struct mkv_run_figures *figures = &run->worlds[world];
        mkv_json_open(&json, NULL, '{');
        mkv_json_text(&json, "name", mkv_world_name((enum mkv_world_kind)world));
        mkv_json_u64(&json, "seeds", figures->seeds);
        mkv_json_number(&json, "seconds", figures->seconds);
        mkv_json_u64(&json, "crashes", figures->report.crashes);
        mkv_json_number(&json, "crashes_per_second",
                        per_second(figures->report.crashes, figures->seconds));
        mkv_json_u64(&json, "operations", figures->report.operations);
        mkv_json_close(&json, '}');
    }
    mkv_json_close(&json, ']');
    mkv_json_open(&json, "promises", '[');
    for (uint32_t promise = 0; promise < MKV_PROMISE_COUNT; promise++) {
        const struct mkv_run_figures *figures = &run->promises[promise];
        mkv_json_open(&json, NULL, '{');
        mkv_json_text(&json, "name", mkv_promise_name((enum mkv_promise)promise));
        mkv_json_u64(&json, "seeds", figures->seeds);
        mkv_json_number(&json, "seconds", figures->seconds);
        mkv_json_u64(&json, "crashes", figures->report.crashes);
        mkv_json_number(&json, "crashes_per_second",
                        per_second(figures->report.crashes, figures->seconds));
        mkv_json_close(&json, '}');
    }
    mkv_json_close(&json, ']');
    print_rows(&json, &run->report);
    print_hits(&json, &run->report);
    mkv_json_u64(&json, "losses", run->report.losses);
    print_failures(&json, run->failures, run->failure_count);
    mkv_json_close(&json, '}');
    fputc('\n', stdout);
}

static void print_run_text(const struct mkv_run_outcome *run) {
    printf("%llu seeds from %llu in %.1f s: %llu crashes recovered and verified (%.0f a second), "
           "%llu recoveries cut\n",
           (unsigned long long)run->seeds, (unsigned long long)run->seed_first, run->seconds,
           (unsigned long long)run->report.crashes, per_second(run->report.crashes, run->seconds),
           (unsigned long long)run->report.recoveries_cut);
    printf("%llu operations, %llu oracle evaluations, %llu distinct images, trace %016llx\n",
           (unsigned long long)run->report.operations, (unsigned long long)run->report.evaluations,
           (unsigned long long)run->distinct_images, (unsigned long long)run->trace_hash);
    print_changes_text(&run->report.changes);
    print_memory_text(&run->report.memory);
    for (uint32_t world = 0; world < MKV_WORLD_COUNT; world++) {
        const struct mkv_run_figures *figures = &run->worlds[world];
        printf("  %-6s  %llu seeds, %llu crashes (%.0f a second), %llu operations\n",
               mkv_world_name((enum mkv_world_kind)world), (unsigned long long)figures->seeds,
               (unsigned long long)figures->report.crashes,
               per_second(figures->report.crashes, figures->seconds),
               (unsigned long long)figures->report.operations);
    }
    for (uint32_t promise = 0; promise < MKV_PROMISE_COUNT; promise++) {
        const struct mkv_run_figures *figures = &run->promises[promise];
        printf("  %-16s  %llu seeds, %llu crashes (%.0f a second)\n",
               mkv_promise_name((enum mkv_promise)promise), (unsigned long long)figures->seeds,
               (unsigned long long)figures->report.crashes,
               per_second(figures->report.crashes, figures->seconds));
    }
    tell_rows(&run->report);
    tell_hits(&run->report);
    for (uint32_t index = 0; index < run->failure_count; index++) {
        tell_failure(stdout, &run->failures[index]);
    }
}

static void print_replay(const struct mkv_seed_outcome *outcome, uint64_t seed, bool as_json) {
    const struct mkv_world_report *report = &outcome->report;
    if (!as_json) {
        printf(
            "seed %llu, world %s: %llu crashes, %llu recoveries cut, %llu operations, %llu oracle "
            "evaluations, trace %016llx\n",
            (unsigned long long)seed, mkv_world_name(outcome->shape.world),
            (unsigned long long)report->crashes, (unsigned long long)report->recoveries_cut,
            (unsigned long long)report->operations, (unsigned long long)report->evaluations,
            (unsigned long long)report->trace_hash);
        tell_hits(report);
        if (outcome->failed) {
            tell_failure(stdout, &outcome->failure);
        }
        return;
    }
    struct mkv_json json = {.out = stdout};
    mkv_json_open(&json, NULL, '{');
    mkv_json_u64(&json, "seed", seed);
    mkv_json_text(&json, "world", mkv_world_name(outcome->shape.world));
    mkv_json_text(&json, "promise", mkv_promise_name(mkv_promise_of(outcome->shape.faults.mask)));
    mkv_json_u64(&json, "crashes", report->crashes);
    mkv_json_u64(&json, "recoveries_cut", report->recoveries_cut);
    mkv_json_u64(&json, "operations", report->operations);
    mkv_json_u64(&json, "oracle_evaluations", report->evaluations);
    mkv_json_hex(&json, "trace_hash", report->trace_hash);
    print_hits(&json, report);
    print_failures(&json, &outcome->failure, outcome->failed ? 1 : 0);
    mkv_json_close(&json, '}');
    fputc('\n', stdout);
}

/* ---- commands -------------------------------------------------------------------------------- */

static void print_diversity(const struct mkv_run_outcome *run, bool as_json) {
    struct mkv_json json = {.out = stdout};
    if (!as_json) {
        printf("%llu seeds from %llu, %llu crashes\n", (unsigned long long)run->seeds,
               (unsigned long long)run->seed_first, (unsigned long long)run->report.crashes);
        mkv_diversity_print(&run->report.diversity, NULL);
        return;
    }
    mkv_json_open(&json, NULL, '{');
    mkv_json_u64(&json, "seed", run->seed_first);
    mkv_json_u64(&json, "seeds", run->seeds);
    mkv_json_u64(&json, "crashes", run->report.crashes);
    mkv_diversity_print(&run->report.diversity, &json);
    mkv_json_close(&json, '}');
    fputc('\n', stdout);
}

static int run(const struct options *options, bool diversity) {
    struct mkv_memory memory;
    struct mkv_images images;
    if (!mkv_run_memory_create(&memory) || !mkv_images_create(&images)) {
        fputs("memkv-sim: there is no address space for a run; raise ulimit -v\n", stderr);
        return EXIT_FAILED;
    }
    struct mkv_run_outcome outcome;
    struct mkv_progress progress;
    const double seconds = options->has_seconds ? options->seconds : SECONDS_DEFAULT;
    mkv_progress_begin(&progress, stderr, seconds);
    mkv_run_for(options->has_seed ? options->seed : 1, seconds, &options->choice, &memory, &images,
                &progress, &outcome);
    mkv_progress_end(&progress);
    if (diversity) {
        print_diversity(&outcome, options->json);
    } else if (options->json) {
        print_run_json(&outcome);
    } else {
        print_run_text(&outcome);
    }
    mkv_bundles_save(&outcome, &options->choice, options->bundles != NULL ? options->bundles : ".",
                     &memory);
    mkv_images_destroy(&images);
    mkv_memory_destroy(&memory);
    return outcome.failure_count > 0 ? EXIT_FAILED : EXIT_PASSED;
}

static int replay(const struct options *options) {
    struct mkv_memory memory;
    if (!mkv_run_memory_create(&memory)) {
        fputs("memkv-sim: there is no address space for a run; raise ulimit -v\n", stderr);
        return EXIT_FAILED;
    }
    struct mkv_seed_outcome outcome;
    /* With --json the timeline keeps off the standard output, which is one value. */
    FILE *timeline = options->json ? stderr : stdout;
    mkv_run_seed_twice(options->seed, &options->choice, &memory, options->verbose ? timeline : NULL,
                       &outcome);
    print_replay(&outcome, options->seed, options->json);
    mkv_memory_destroy(&memory);
    return outcome.failed ? EXIT_FAILED : EXIT_PASSED;
}

/* What each command takes; a command without a row does not exist. */
#define TAKES_SEED 1u
#define TAKES_SECONDS 2u
#define TAKES_FAULTS 4u
#define TAKES_VERBOSE 8u
#define TAKES_STRIKES 16u
#define TAKES_BUNDLE 32u
#define TAKES_OUTPUT 64u
#define TAKES_FOLDER 128u
#define TAKES_JSON 256u
#define TAKES_SCENARIO 512u
#define TAKES_SEEDS 1024u

static const struct command {
    const char *name;
    uint32_t takes;
} commands[] = {
    {"run", TAKES_SEED | TAKES_SECONDS | TAKES_FAULTS | TAKES_FOLDER | TAKES_JSON | TAKES_SCENARIO},
    {"replay", TAKES_SEED | TAKES_FAULTS | TAKES_VERBOSE | TAKES_STRIKES | TAKES_BUNDLE |
                   TAKES_JSON | TAKES_SCENARIO},
    {"stats",
     TAKES_SEED | TAKES_SECONDS | TAKES_FAULTS | TAKES_FOLDER | TAKES_JSON | TAKES_SCENARIO},
    {"bisect", TAKES_BUNDLE | TAKES_JSON},
    {"show", TAKES_BUNDLE},
    {"scenarios", TAKES_JSON},
    {"minimize", TAKES_SECONDS | TAKES_BUNDLE | TAKES_OUTPUT | TAKES_JSON},
    {"timeline", TAKES_SEED | TAKES_FAULTS | TAKES_BUNDLE | TAKES_SCENARIO},
    {"sweep", TAKES_SEED | TAKES_FAULTS | TAKES_JSON},
    {"faults", TAKES_JSON},
    {"forge", TAKES_SEED | TAKES_SECONDS | TAKES_JSON},
    {"canaries", TAKES_SEEDS | TAKES_OUTPUT | TAKES_JSON},
};
#define COMMANDS (sizeof commands / sizeof commands[0])

/* EXIT_PASSED when the command takes the options that were given. */
static int check_options(const struct command *command, const struct options *options) {
    const struct {
        const char *name;
        bool given;
        uint32_t bit;
    } given[] = {
        {"--seed", options->has_seed, TAKES_SEED},
        {"--seconds", options->has_seconds, TAKES_SECONDS},
        {"--faults", options->has_faults, TAKES_FAULTS},
        {"--verbose", options->verbose, TAKES_VERBOSE},
        {"--first", options->first > 0, TAKES_STRIKES},
        {"--second", options->second > 0, TAKES_STRIKES},
        {"--output", options->output != NULL, TAKES_OUTPUT},
        {"--bundles", options->bundles != NULL, TAKES_FOLDER},
        {"--json", options->json, TAKES_JSON},
        {"--scenario", options->choice.scenario != NULL, TAKES_SCENARIO},
        {"--seeds", options->seeds != NULL, TAKES_SEEDS},
        {"bundle to read", options->path != NULL, TAKES_BUNDLE},
    };
    for (uint32_t index = 0; index < sizeof given / sizeof given[0]; index++) {
        if (given[index].given && (command->takes & given[index].bit) == 0) {
            return mkv_usage_error("%s has no %s", command->name, given[index].name);
        }
    }
    return EXIT_PASSED;
}

/* The one fault of a mask, or MKV_FAULT_NONE where it has none or several, or none that strikes
 * single operations. */
static enum mkv_fault only_fault(uint64_t mask) {
    uint32_t fault = 0;
    while (fault < MKV_FAULT_COUNT && mask != 1ull << fault) {
        fault++;
    }
    return fault < MKV_FAULT_COUNT && mkv_sweep_has((enum mkv_fault)fault) ? (enum mkv_fault)fault
                                                                           : MKV_FAULT_NONE;
}

/* What is run again: a bundle, or a seed with what was chosen. */
static int check_bundle(const char *name, const struct options *options) {
    const bool seed_too = strcmp(name, "replay") == 0 || strcmp(name, "timeline") == 0;
    const struct mkv_scenario *scenario = options->choice.scenario;
    if (options->path != NULL &&
        (options->has_seed || options->has_faults || options->first > 0 || scenario != NULL)) {
        return mkv_usage_error("%s takes a bundle or a seed, and a bundle has its own faults",
                               name);
    }
    if (options->path == NULL && !(seed_too && options->has_seed)) {
        return mkv_usage_error("%s needs a BUNDLE%s", name, seed_too ? " or --seed N" : "");
    }
    if (scenario != NULL && !mkv_scenario_fits(scenario, options->seed)) {
        return mkv_usage_error(
            "seed %llu is none of scenario %s; `memkv-sim run` names those that are",
            (unsigned long long)options->seed, scenario->name);
    }
    return EXIT_PASSED;
}

static int check_replay(struct options *options) {
    if (options->first == 0) {
        return options->second > 0 ? mkv_usage_error("--second needs --first I") : EXIT_PASSED;
    }
    const enum mkv_fault fault = only_fault(options->choice.fault_mask);
    if (fault == MKV_FAULT_NONE) {
        return mkv_usage_error("--first needs --faults with the name of one fault that strikes "
                               "operations");
    }
    mkv_sweep_choose(&options->choice, fault, (uint32_t)options->first, (uint32_t)options->second);
    return EXIT_PASSED;
}

#ifdef MKV_CANARIES
static int hunt(const struct options *options) {
    struct mkv_canary_seeds seeds;
    char problem[MKV_CANARY_SEEDS_PROBLEM_BYTES];
    if (options->seeds != NULL && !mkv_canary_seeds_load(options->seeds, &seeds, problem)) {
        return mkv_usage_error("--seeds %s: %s", options->seeds, problem);
    }
    return mkv_canary_hunt((unsigned)options->canary, options->seeds != NULL ? &seeds : NULL);
}
#endif

static int run_command(const char *name, struct options *options) {
#ifdef MKV_CANARIES
    if (strcmp(name, "hunt") == 0 && options->has_canary) {
        return hunt(options);
    }
    if (options->has_canary) {
        mkv_canary_plant((unsigned)options->canary);
    }
#else
    if (options->has_canary) {
        return mkv_usage_error("there is no option '--canary'");
    }
#endif
    uint32_t index = 0;
    while (index < COMMANDS && strcmp(name, commands[index].name) != 0) {
        index++;
    }
    if (index == COMMANDS) {
        return mkv_usage_error("there is no command '%s'", name);
    }
    int status = check_options(&commands[index], options);
    if (status == EXIT_PASSED && (commands[index].takes & TAKES_BUNDLE) != 0) {
        status = check_bundle(name, options);
    }
    if (status == EXIT_PASSED && (commands[index].takes & TAKES_STRIKES) != 0) {
        status = check_replay(options);
    }
    if (status != EXIT_PASSED) {
        return status;
    }
    if (strcmp(name, "run") == 0 || strcmp(name, "stats") == 0) {
        return run(options, strcmp(name, "stats") == 0);
    }
    if (strcmp(name, "replay") == 0) {
        return options->path != NULL
                   ? mkv_bundle_replay_command(options->path, options->json, options->verbose)
                   : replay(options);
    }
    if (strcmp(name, "minimize") == 0) {
        return mkv_bundle_minimize_command(
            options->path, options->output,
            options->has_seconds ? options->seconds : MKV_MINIMIZE_SECONDS_MAX, options->json);
    }
    if (strcmp(name, "bisect") == 0) {
        return mkv_bundle_bisect_command(options->path, options->json);
    }
    if (strcmp(name, "show") == 0) {
        return mkv_bundle_show_command(options->path);
    }
    if (strcmp(name, "scenarios") == 0) {
        return mkv_scenarios_command(options->json);
    }
    if (strcmp(name, "timeline") == 0) {
        return mkv_timeline_command(options->path, options->seed, &options->choice);
    }
    if (strcmp(name, "sweep") == 0) {
        return mkv_sweep_command(options->seed,
                                 options->has_faults ? options->choice.fault_mask : UINT64_MAX,
                                 options->json);
    }
    if (strcmp(name, "forge") == 0) {
        return mkv_forge_command(options->seed,
                                 options->has_seconds ? options->seconds : SECONDS_DEFAULT,
                                 options->json);
    }
    const struct mkv_canaries_options canaries = {
        .json = options->json, .seeds = options->seeds, .output = options->output};
    return strcmp(name, "faults") == 0 ? mkv_faults_command(options->json)
                                       : mkv_canaries_run(&canaries);
}

int mkv_command_main(int argc, char **argv) {
    if (argc < 2) {
        fputs(usage_text, stderr);
        return EXIT_USAGE;
    }
    for (int index = 1; index < argc; index++) {
        if (strcmp(argv[index], "--help") == 0 || strcmp(argv[index], "-h") == 0) {
            fputs(usage_text, stdout);
            return EXIT_PASSED;
        }
    }
    if (strcmp(argv[1], "help") == 0) {
        fputs(usage_text, stdout);
        return EXIT_PASSED;
    }
    if (strcmp(argv[1], "--version") == 0) {
        puts("memkv-sim " MKV_VERSION);
        return EXIT_PASSED;
    }
    if (strcmp(argv[1], "trace") == 0) {
        return mkv_trace_command(argc, argv);
    }
    if (strcmp(argv[1], "exhaustive") == 0) {
        return mkv_exhaustive_command(argc, argv);
    }
    if (mkv_record_command_takes(argc, argv)) {
        return mkv_record_command(argc, argv);
    }
    struct options options = {.seed = 1};
    const int status = parse_options(argc, argv, &options);
    return status != EXIT_PASSED ? status : run_command(argv[1], &options);
}
