/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/trace_command.h"

#include <stdlib.h>
#include <string.h>

#include "sim/json.h"
#include "sim/trace_replay.h"
#include "sim/usage.h"

#define SIZES_MAX 32u
#define CAPACITY_MIN 2u
#define CAPACITY_MAX (1u << 26)

/* Cache sizes of a report for which none was asked, in parts of a hundred distinct blocks. */
static const uint32_t default_percents[] = {1, 3, 10, 20, 40};
#define DEFAULT_SIZES (sizeof default_percents / sizeof default_percents[0])

static const struct mkv_cache_policy *const policies[] = {
    &mkv_policy_memkv, &mkv_policy_lru,       &mkv_policy_s3_fifo, &mkv_policy_sieve,
    &mkv_policy_arc,   &mkv_policy_w_tinylfu, &mkv_policy_belady,
};
#define POLICY_COUNT (sizeof policies / sizeof policies[0])

struct options {
    const char *path;
    uint32_t sizes[SIZES_MAX];
    uint32_t size_count;
    bool chosen[POLICY_COUNT];
    bool has_policy;
    bool json;
    bool has_from;
    uint64_t from_ms;
    uint64_t to_ms;
    enum mkv_access_order order;
};

static int take_size(struct options *options, const char *text) {
    uint64_t blocks = 0;
    if (!mkv_usage_number(text, CAPACITY_MIN, CAPACITY_MAX, &blocks)) {
        return mkv_usage_error("--memory '%s' is no number of blocks from %u to %u", text,
                               CAPACITY_MIN, CAPACITY_MAX);
    }
    if (options->size_count == SIZES_MAX) {
        return mkv_usage_error("--memory can be given %u times", SIZES_MAX);
    }
    options->sizes[options->size_count++] = (uint32_t)blocks;
    return EXIT_PASSED;
}

static int take_policy(struct options *options, const char *text) {
    for (size_t index = 0; index < POLICY_COUNT; index++) {
        if (strcmp(policies[index]->name, text) == 0) {
            options->chosen[index] = true;
            options->has_policy = true;
            return EXIT_PASSED;
        }
    }
    return mkv_usage_error("there is no policy '%s'", text);
}

static int take_value(struct options *options, const char *name, const char *value) {
    if (strcmp(name, "--memory") == 0) {
        return take_size(options, value);
    }
    if (strcmp(name, "--policy") == 0) {
        return take_policy(options, value);
    }
    if (strcmp(name, "--order") == 0) {
        const bool prefix = strcmp(value, "prefix") == 0;
        options->order = prefix ? MKV_ORDER_PREFIX_FIRST : MKV_ORDER_SUFFIX_FIRST;
        return prefix || strcmp(value, "suffix") == 0
                   ? EXIT_PASSED
                   : mkv_usage_error("--order '%s' is neither suffix nor prefix", value);
    }
    const bool from = strcmp(name, "--from-ms") == 0;
    if (!from && strcmp(name, "--to-ms") != 0) {
        return mkv_usage_error("trace has no option '%s'", name);
    }
    options->has_from = options->has_from || from;
    return mkv_usage_number(value, 0, UINT64_MAX, from ? &options->from_ms : &options->to_ms)
               ? EXIT_PASSED
               : mkv_usage_error("%s '%s' is no number of milliseconds", name, value);
}

static int parse_options(int argc, char **argv, struct options *options) {
    for (int index = 2; index < argc; index++) {
        const char *name = argv[index];
        if (strcmp(name, "--json") == 0) {
            options->json = true;
        } else if (strncmp(name, "--", 2) != 0) {
            if (options->path != NULL) {
                return mkv_usage_error("trace takes one FILE, and '%s' is a second one", name);
            }
            options->path = name;
        } else if (index + 1 == argc) {
            return mkv_usage_error("%s needs a value", name);
        } else {
            const int status = take_value(options, name, argv[++index]);
            if (status != EXIT_PASSED) {
                return status;
            }
        }
    }
    return options->path != NULL ? EXIT_PASSED : mkv_usage_error("trace needs a FILE");
}

/* ---- output ---------------------------------------------------------------------------------- */

static double percent_of(uint64_t part, uint64_t whole) {
    return whole > 0 ? 100.0 * (double)part / (double)whole : 0;
}

struct report {
    const struct options *options;
    const struct mkv_request_trace *trace;
    struct mkv_replay_range counted;
    struct mkv_replay_count counts[POLICY_COUNT][SIZES_MAX];
};

static bool is_reported(const struct options *options, size_t policy) {
    return !options->has_policy || options->chosen[policy];
}

static const char *order_name(enum mkv_access_order order) {
    return order == MKV_ORDER_PREFIX_FIRST ? "prefix" : "suffix";
}

static uint64_t counted_references(const struct report *report) {
    const struct mkv_request_trace *trace = report->trace;
    const uint32_t first = report->counted.first;
    const uint32_t end = report->counted.end;
    const uint64_t from =
        first < trace->request_count ? trace->requests[first].first : trace->reference_count;
    return (end < trace->request_count ? trace->requests[end].first : trace->reference_count) -
           from;
}

static void print_text(const struct report *report) {
    const struct options *options = report->options;
    printf("%s: %u requests name %u blocks, %u different ones\n", options->path,
           report->trace->request_count, report->trace->reference_count,
           report->trace->block_count);
    printf("counted: %u requests from %llu ms on, %llu blocks; the %u before them warm up\n",
           report->counted.end - report->counted.first, (unsigned long long)options->from_ms,
           (unsigned long long)counted_references(report), report->counted.first);
    printf("leading hits, %% of the blocks named, by the blocks that memory holds\n\n%-12s", "");
    for (uint32_t size = 0; size < options->size_count; size++) {
        printf(" %9u", options->sizes[size]);
    }
    printf("\n%-12s", "");
    for (uint32_t size = 0; size < options->size_count; size++) {
        printf(" %7.2f %%", percent_of(options->sizes[size], report->trace->block_count));
    }
    putchar('\n');
    for (size_t policy = 0; policy < POLICY_COUNT; policy++) {
        if (!is_reported(options, policy)) {
            continue;
        }
        printf("%-12s", policies[policy]->name);
        for (uint32_t size = 0; size < options->size_count; size++) {
            const struct mkv_replay_count *count = &report->counts[policy][size];
            printf(" %9.3f", percent_of(count->hits, count->references));
        }
        printf("  %s\n", policies[policy]->source);
    }
}

static void print_json(const struct report *report) {
    const struct options *options = report->options;
    struct mkv_json json = {.out = stdout};
    mkv_json_open(&json, NULL, '{');
    mkv_json_u64(&json, "requests", report->trace->request_count);
    mkv_json_u64(&json, "references", report->trace->reference_count);
    mkv_json_u64(&json, "blocks", report->trace->block_count);
    mkv_json_u64(&json, "from_ms", options->from_ms);
    mkv_json_u64(&json, "counted_requests", report->counted.end - report->counted.first);
    mkv_json_u64(&json, "counted_references", counted_references(report));
    mkv_json_text(&json, "order", order_name(options->order));
    mkv_json_open(&json, "policies", '[');
    for (size_t policy = 0; policy < POLICY_COUNT; policy++) {
        if (!is_reported(options, policy)) {
            continue;
        }
        mkv_json_open(&json, NULL, '{');
        mkv_json_text(&json, "name", policies[policy]->name);
        mkv_json_open(&json, "sizes", '[');
        for (uint32_t size = 0; size < options->size_count; size++) {
            const struct mkv_replay_count *count = &report->counts[policy][size];
            mkv_json_open(&json, NULL, '{');
            mkv_json_u64(&json, "blocks", options->sizes[size]);
            mkv_json_u64(&json, "hits", count->hits);
            mkv_json_number(&json, "percent", percent_of(count->hits, count->references));
            mkv_json_close(&json, '}');
        }
        mkv_json_close(&json, ']');
        mkv_json_close(&json, '}');
    }
    mkv_json_close(&json, ']');
    mkv_json_close(&json, '}');
    putchar('\n');
}

/* ---- the command ----------------------------------------------------------------------------- */

static void fill_defaults(struct options *options, const struct mkv_request_trace *trace) {
    if (!options->has_from) {
        options->from_ms = mkv_replay_half_ms(trace);
    }
    if (options->size_count > 0) {
        return;
    }
    for (size_t index = 0; index < DEFAULT_SIZES; index++) {
        const uint64_t blocks =
            mkv_divide_up_u64((uint64_t)trace->block_count * default_percents[index], 100);
        options->sizes[options->size_count++] = (uint32_t)mkv_max_u64(blocks, CAPACITY_MIN);
    }
}

static bool replay_all(struct report *report) {
    const struct options *options = report->options;
    uint32_t largest = 0;
    for (uint32_t size = 0; size < options->size_count; size++) {
        largest = largest > options->sizes[size] ? largest : options->sizes[size];
    }
    struct mkv_memory memory;
    if (!mkv_memory_create(&memory, mkv_replay_memory_required(report->trace, largest))) {
        fputs("memkv-sim: there is no address space for the replay; raise ulimit -v\n", stderr);
        return false;
    }
    for (size_t policy = 0; policy < POLICY_COUNT; policy++) {
        for (uint32_t size = 0; is_reported(options, policy) && size < options->size_count;
             size++) {
            report->counts[policy][size] =
                mkv_replay(report->trace, policies[policy], options->sizes[size], report->counted,
                           options->order, &memory);
        }
    }
    mkv_memory_destroy(&memory);
    return true;
}

int mkv_trace_command(int argc, char **argv) {
    struct options options = {.to_ms = UINT64_MAX};
    const int status = parse_options(argc, argv, &options);
    if (status != EXIT_PASSED) {
        return status;
    }
    struct mkv_request_trace trace;
    char error[MKV_TRACE_ERROR_BYTES];
    if (!mkv_request_trace_load(&trace, options.path, error)) {
        fprintf(stderr, "memkv-sim: %s\n", error);
        mkv_request_trace_free(&trace);
        return EXIT_FAILED;
    }
    fill_defaults(&options, &trace);
    struct report report = {
        .options = &options,
        .trace = &trace,
        .counted = mkv_replay_range_of(&trace, options.from_ms, options.to_ms),
    };
    const bool replayed = replay_all(&report);
    if (replayed && options.json) {
        print_json(&report);
    } else if (replayed) {
        print_text(&report);
    }
    mkv_request_trace_free(&trace);
    return replayed ? EXIT_PASSED : EXIT_FAILED;
}
