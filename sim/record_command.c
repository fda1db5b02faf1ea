/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/record_command.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "sim/json.h"
#include "sim/record_replay.h"
#include "sim/usage.h"

#define NAME_BYTES 32u
#define TIME_BYTES 32u
#define NS_PER_S 1e9

static const char *const verdict_names[] = {
    [MKV_REPLAY_EQUAL] = "equal",
    [MKV_REPLAY_DEPARTED] = "departed",
    [MKV_REPLAY_ASSERTED] = "asserted",
    [MKV_REPLAY_MALFORMED] = "malformed",
};

/* How the record ended: a word, and the words of it. */
static const struct {
    const char *name;
    const char *text;
} ends[] = {
    [0] = {"cut", "the record is cut off there"},
    [MKV_RECORD_END_CLOSED] = {"closed", "the node was stopped"},
    [MKV_RECORD_END_SIZE] = {"size", "the record had reached --record-max-size"},
    [MKV_RECORD_END_SLOW] = {"slow", "the disk took the record more slowly than it came"},
    [MKV_RECORD_END_CRASH] = {"crash", "the node ended itself: an assertion, or a fault of memory"},
    [MKV_RECORD_END_MEMORY] = {"memory", "the node had no memory to record more"},
};

static const char *machine_name(uint32_t machine, char name[NAME_BYTES]) {
    if (machine == MKV_RECORD_MACHINE_FRONT) {
        (void)snprintf(name, NAME_BYTES, "front");
    } else {
        (void)snprintf(name, NAME_BYTES, "volume %u", machine - 1);
    }
    return name;
}

/* "2026-11-21 18:09:21 UTC" */
static const char *time_text(uint64_t wall_ms, char text[TIME_BYTES]) {
    const time_t seconds = (time_t)(wall_ms / 1000);
    struct tm parts;
    if (gmtime_r(&seconds, &parts) == NULL ||
        strftime(text, TIME_BYTES, "%Y-%m-%d %H:%M:%S UTC", &parts) == 0) {
        (void)snprintf(text, TIME_BYTES, "an unknown time");
    }
    return text;
}

/* A departure that an assertion of the recorded program explains is what the record is for, yet the
 * core has failed. */
static bool passed(const struct mkv_replay_outcome *outcome) {
    return outcome->verdict == MKV_REPLAY_EQUAL && !outcome->damaged;
}

static void print_json(const struct mkv_record_file *file,
                       const struct mkv_replay_outcome *outcome) {
    struct mkv_json json = {.out = stdout};
    char name[NAME_BYTES];
    mkv_json_open(&json, NULL, '{');
    mkv_json_text(&json, "program", file->header.program);
    mkv_json_bool(&json, "same_build", strcmp(file->header.core, mkv_core_archive_sha256) == 0);
    mkv_json_u64(&json, "inputs", outcome->inputs);
    mkv_json_u64(&json, "effects", outcome->effects);
    mkv_json_open(&json, "machines", '{');
    for (uint32_t machine = 0; machine < outcome->machine_count; machine++) {
        mkv_json_u64(&json, machine_name(machine, name), outcome->inputs_of[machine]);
    }
    mkv_json_close(&json, '}');
    mkv_json_text(&json, "verdict", verdict_names[outcome->verdict]);
    mkv_json_bool(&json, "equal", outcome->verdict == MKV_REPLAY_EQUAL);
    mkv_json_text(&json, "end", outcome->damaged ? "damaged" : ends[outcome->end].name);
    if (outcome->damaged) {
        mkv_json_u64(&json, "damaged_chunk", outcome->chunk_number);
        mkv_json_u64(&json, "damaged_at", outcome->chunk_at);
    }
    if (outcome->verdict != MKV_REPLAY_EQUAL) {
        mkv_json_u64(&json, "input", outcome->input);
        mkv_json_text(&json, "machine", machine_name(outcome->machine, name));
        mkv_json_u64(&json, "now_ns", outcome->now_ns);
        mkv_json_bool(&json, "crashed_too", outcome->crashed_too);
        mkv_json_text(&json, "text", outcome->text);
    }
    mkv_json_close(&json, '}');
    fputc('\n', stdout);
}

static void print_departure(struct mkv_record_file *file,
                            const struct mkv_replay_outcome *outcome) {
    char name[NAME_BYTES];
    char time[TIME_BYTES];
    printf("%s at input %llu, of %s, at %llu ns, %s: %s\n",
           outcome->verdict == MKV_REPLAY_MALFORMED  ? "UNREADABLE"
           : outcome->verdict == MKV_REPLAY_ASSERTED ? "FAILED"
                                                     : "DEPARTED",
           (unsigned long long)outcome->input, machine_name(outcome->machine, name),
           (unsigned long long)outcome->now_ns, time_text(outcome->wall_ms, time), outcome->text);
    if (outcome->verdict == MKV_REPLAY_ASSERTED) {
        puts(outcome->crashed_too ? "the recorded node ended itself in this step, too"
                                  : "the recorded node did not fail here");
    }
    if (outcome->verdict == MKV_REPLAY_MALFORMED) {
        return;
    }
    puts("input:");
    (void)mkv_record_replay_print_input(file, outcome->input, stdout);
    if (outcome->has_recorded) {
        puts("recorded effect:");
        mkv_record_replay_print_effect(&outcome->recorded, outcome->machine, outcome->now_ns,
                                       stdout);
    }
    if (outcome->has_replayed) {
        puts("replayed effect:");
        mkv_record_replay_print_effect(&outcome->replayed, outcome->machine, outcome->now_ns,
                                       stdout);
    }
}

static void print_text(struct mkv_record_file *file, const struct mkv_replay_outcome *outcome,
                       double seconds) {
    char name[NAME_BYTES];
    char time[TIME_BYTES];
    const bool same = strcmp(file->header.core, mkv_core_archive_sha256) == 0;
    printf("a record of %s%s, begun %s\n", file->header.program,
           same ? "" : " with another build of the core", time_text(file->header.wall_ms, time));
    printf("replayed %llu inputs and %llu effects in %.2f s (", (unsigned long long)outcome->inputs,
           (unsigned long long)outcome->effects, seconds);
    for (uint32_t machine = 0; machine < outcome->machine_count; machine++) {
        printf("%s%s %llu", machine > 0 ? ", " : "", machine_name(machine, name),
               (unsigned long long)outcome->inputs_of[machine]);
    }
    puts(")");
    if (outcome->verdict != MKV_REPLAY_EQUAL) {
        print_departure(file, outcome);
        return;
    }
    if (outcome->damaged) {
        printf("DAMAGED chunk %llu, at byte %llu of the file: its checksum does not hold. All "
               "effects before it are those of the record\n",
               (unsigned long long)outcome->chunk_number, (unsigned long long)outcome->chunk_at);
        return;
    }
    printf("all effects are those of the record; it ends because %s\n", ends[outcome->end].text);
}

struct options {
    const char *path;
    bool any_build;
    bool json;
    bool verbose;
};

static int replay(const struct options *options) {
    struct mkv_record_file file;
    char error[MKV_RECORD_ERROR_BYTES];
    if (!mkv_record_file_open(&file, options->path,
                              options->any_build ? NULL : mkv_core_archive_sha256, error)) {
        fprintf(stderr, "memkv-sim: %s\n", error);
        return EXIT_FAILED;
    }
    struct mkv_replay_outcome *outcome = calloc(1, sizeof *outcome);
    MKV_ASSERT(outcome != NULL);
    struct timespec start;
    struct timespec end;
    clock_gettime(CLOCK_MONOTONIC, &start);
    /* With --json the lines keep off the standard output, which is one value. */
    FILE *lines = options->json ? stderr : stdout;
    mkv_record_replay(&file, options->verbose ? lines : NULL, outcome);
    clock_gettime(CLOCK_MONOTONIC, &end);
    const double seconds =
        (double)(end.tv_sec - start.tv_sec) + (double)(end.tv_nsec - start.tv_nsec) / NS_PER_S;
    if (options->json) {
        print_json(&file, outcome);
    } else {
        print_text(&file, outcome, seconds);
    }
    const bool good = passed(outcome);
    free(outcome);
    mkv_record_file_close(&file);
    return good ? EXIT_PASSED : EXIT_FAILED;
}

bool mkv_record_command_takes(int argc, char **argv) {
    bool takes = false;
    for (int index = 2; index < argc && strcmp(argv[1], "replay") == 0; index++) {
        takes = takes || (argv[index][0] != '-' && mkv_record_file_is(argv[index]));
    }
    return takes;
}

int mkv_record_command(int argc, char **argv) {
    struct options options = {0};
    for (int index = 2; index < argc; index++) {
        const char *name = argv[index];
        if (strcmp(name, "--any-build") == 0) {
            options.any_build = true;
        } else if (strcmp(name, "--json") == 0) {
            options.json = true;
        } else if (strcmp(name, "--verbose") == 0) {
            options.verbose = true;
        } else if (name[0] != '-' && options.path == NULL) {
            options.path = name;
        } else {
            fprintf(stderr,
                    "memkv-sim: replay of a record takes one file, --any-build, --json and "
                    "--verbose, and no '%s'; see memkv-sim --help\n",
                    name);
            return EXIT_USAGE;
        }
    }
    return replay(&options);
}
