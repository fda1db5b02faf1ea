/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/fault_command.h"

#include <stdio.h>

#include "sim/json.h"
#include "sim/sweep.h"

int mkv_faults_command(bool as_json) {
    struct mkv_json json = {.out = stdout};
    if (as_json) {
        mkv_json_open(&json, NULL, '{');
        mkv_json_open(&json, "faults", '[');
    }
    for (unsigned fault = 0; fault < MKV_FAULT_COUNT; fault++) {
        const struct mkv_fault_info *info = mkv_fault_info((enum mkv_fault)fault);
        const char *promise = mkv_promise_name(mkv_promise_of(1ull << fault));
        if (!as_json) {
            printf("%-18s %-10s  %s\n", info->name, promise, info->description);
            continue;
        }
        mkv_json_open(&json, NULL, '{');
        mkv_json_text(&json, "name", info->name);
        mkv_json_text(&json, "promise", promise);
        mkv_json_text(&json, "description", info->description);
        mkv_json_u64(&json, "one_in", info->one_in);
        mkv_json_close(&json, '}');
    }
    if (as_json) {
        mkv_json_close(&json, ']');
        mkv_json_close(&json, '}');
        fputc('\n', stdout);
    }
    return 0;
}

int mkv_scenarios_command(bool as_json) {
    struct mkv_json json = {.out = stdout};
    if (as_json) {
        mkv_json_open(&json, NULL, '{');
        mkv_json_open(&json, "scenarios", '[');
    }
    for (uint32_t index = 0; index < mkv_scenario_count(); index++) {
        const struct mkv_scenario *scenario = mkv_scenario_at(index);
        const char *faults = scenario->faults != NULL ? scenario->faults : "drawn";
        if (!as_json) {
            printf("%-12s %-7s %s; faults: %s\n", scenario->name, mkv_world_name(scenario->world),
                   scenario->description, faults);
            continue;
        }
        mkv_json_open(&json, NULL, '{');
        mkv_json_text(&json, "name", scenario->name);
        mkv_json_text(&json, "world", mkv_world_name(scenario->world));
        mkv_json_text(&json, "description", scenario->description);
        mkv_json_text(&json, "faults", faults);
        mkv_json_close(&json, '}');
    }
    if (as_json) {
        mkv_json_close(&json, ']');
        mkv_json_close(&json, '}');
        fputc('\n', stdout);
    }
    return 0;
}

static void print_sweep(const struct mkv_sweep_outcome *sweep, uint64_t seed) {
    struct mkv_json json = {.out = stdout};
    mkv_json_open(&json, NULL, '{');
    mkv_json_u64(&json, "seed", seed);
    mkv_json_u64(&json, "runs", sweep->runs);
    mkv_json_u64(&json, "crashes", sweep->crashes);
    mkv_json_open(&json, "faults", '{');
    for (unsigned fault = 0; fault < MKV_FAULT_COUNT; fault++) {
        const struct mkv_sweep_figures *figures = &sweep->faults[fault];
        if (figures->runs > 0) {
            mkv_json_open(&json, mkv_fault_info((enum mkv_fault)fault)->name, '{');
            mkv_json_u64(&json, "runs", figures->runs);
            mkv_json_u64(&json, "points", figures->points);
            mkv_json_u64(&json, "hits", figures->hits);
            mkv_json_close(&json, '}');
        }
    }
    mkv_json_close(&json, '}');
    mkv_json_open(&json, "failures", '[');
    for (uint32_t index = 0; index < sweep->failure_count; index++) {
        const struct mkv_sweep_failure *failure = &sweep->failures[index];
        char oracle[16];
        mkv_json_open(&json, NULL, '{');
        mkv_json_text(&json, "fault", mkv_fault_info(failure->fault)->name);
        mkv_json_u64(&json, "first", failure->first_at);
        mkv_json_u64(&json, "second", failure->second_at);
        mkv_json_text(&json, "oracle", mkv_oracle_name(failure->failure.oracle, oracle));
        mkv_json_text(&json, "text", failure->failure.text);
        mkv_json_close(&json, '}');
    }
    mkv_json_close(&json, ']');
    mkv_json_close(&json, '}');
    fputc('\n', stdout);
}

static void tell_sweep_failure(const struct mkv_sweep_failure *failure, uint64_t seed) {
    char oracle[16];
    const char *name = mkv_fault_info(failure->fault)->name;
    printf("FAILED %s at %u, then %u: %s: %s\n"
           "       memkv-sim replay --seed %llu --faults %s --first %u",
           name, failure->first_at, failure->second_at,
           mkv_oracle_name(failure->failure.oracle, oracle), failure->failure.text,
           (unsigned long long)seed, name, failure->first_at);
    if (failure->second_at > 0) {
        printf(" --second %u", failure->second_at);
    }
    puts(" --verbose");
}

static void tell_sweep(const struct mkv_sweep_outcome *sweep, uint64_t seed) {
    for (unsigned fault = 0; fault < MKV_FAULT_COUNT; fault++) {
        const struct mkv_sweep_figures *figures = &sweep->faults[fault];
        if (figures->runs > 0) {
            printf("%-18s %4llu operations struck in %4llu runs, %5llu hits\n",
                   mkv_fault_info((enum mkv_fault)fault)->name, (unsigned long long)figures->points,
                   (unsigned long long)figures->runs, (unsigned long long)figures->hits);
        }
    }
    printf("seed %llu: %llu runs, %llu crashes\n", (unsigned long long)seed,
           (unsigned long long)sweep->runs, (unsigned long long)sweep->crashes);
    for (uint32_t index = 0; index < sweep->failure_count; index++) {
        tell_sweep_failure(&sweep->failures[index], seed);
    }
}

int mkv_sweep_command(uint64_t seed, uint64_t fault_mask, bool as_json) {
    struct mkv_memory memory;
    struct mkv_sweep_outcome sweep;
    if (!mkv_run_memory_create(&memory)) {
        fputs("memkv-sim: there is no address space for a run; raise ulimit -v\n", stderr);
        return 1;
    }
    mkv_sweep_run(seed, fault_mask, &memory, &sweep);
    if (as_json) {
        print_sweep(&sweep, seed);
    } else {
        tell_sweep(&sweep, seed);
    }
    mkv_memory_destroy(&memory);
    return sweep.failure_count > 0 ? 1 : 0;
}
