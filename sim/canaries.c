/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/canaries.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sim/json.h"

#define OUTPUT_BYTES 8192u
#define FIELDS_MAX 7u
/* Programs that hunt at a time, on as many cores. */
#define HUNTERS_MAX 8u
/* Runs of what ships whose result is kept, since many bugs are caught by the same seeds. */
#define CLEAN_MAX 512u
_Static_assert(MKV_CANARIES_ALL <= MKV_CANARY_SEEDS_ROWS, "a file has a row for each");

struct canary_hunt {
    bool caught;
    bool is_known;
    uint64_t seed;
    uint64_t seed_crashes;
    uint64_t crashes;
    const char *oracle;
    const char *text;
};

struct canary_result {
    char output[OUTPUT_BYTES]; /* the texts lie here */
    const char *name;
    const char *faults;
    const char *description;
    uint32_t hunt_count;
    struct canary_hunt hunts[MKV_CANARY_HUNTS];
    bool caught; /* by every hunt */
    uint64_t crashes_median;
    bool passes_without;
};

/* A seed, with faults, on the core that ships. */
struct clean {
    uint64_t seed;
    char faults[64];
    bool passes;
};

struct canaries {
    const struct mkv_canaries_options *options;
    char path[PATH_MAX]; /* of the program with the planted bugs */
    struct mkv_memory memory;
    struct mkv_json json;
    struct mkv_canary_seeds known;
    bool row_is_used[MKV_CANARY_SEEDS_ROWS]; /* of `known`: a bug has that name */
    struct mkv_canary_seeds found;
    uint32_t clean_count;
    struct clean clean[CLEAN_MAX];
    uint32_t caught;
    uint32_t caught_known;
};

/* The program with the planted bugs, beside this one. */
static bool find_program(char path[PATH_MAX]) {
    const ssize_t bytes = readlink("/proc/self/exe", path, PATH_MAX - 1);
    if (bytes <= 0) {
        return false;
    }
    path[bytes] = 0;
    char *slash = strrchr(path, '/');
    if (slash == NULL) {
        return false;
    }
    const size_t room = PATH_MAX - (size_t)(slash + 1 - path);
    return snprintf(slash + 1, room, "%s", MKV_CANARY_PROGRAM) < (int)room &&
           access(path, X_OK) == 0;
}

/* The hunts for one bug, in a process of their own; what they print waits in a pipe. */
struct hunter {
    pid_t child; /* 0: it could not be started */
    int output;
};

_Static_assert(OUTPUT_BYTES <= PIPE_BUF * 2u, "a pipe holds what a hunter prints");

static struct hunter hunt_begin(const struct canaries *canaries, unsigned canary) {
    struct hunter hunter = {0};
    int ends[2];
    if (pipe(ends) != 0) {
        return hunter;
    }
    const pid_t child = fork();
    if (child == 0) {
        char number[16];
        (void)snprintf(number, sizeof number, "%u", canary);
        (void)dup2(ends[1], STDOUT_FILENO);
        (void)close(ends[0]);
        (void)close(ends[1]);
        const char *seeds = canaries->options->seeds;
        (void)execl(canaries->path, MKV_CANARY_PROGRAM, "hunt", "--canary", number,
                    seeds != NULL ? "--seeds" : (char *)NULL, seeds, (char *)NULL);
        _exit(127);
    }
    (void)close(ends[1]);
    if (child < 0) {
        (void)close(ends[0]);
        return hunter;
    }
    return (struct hunter){.child = child, .output = ends[0]};
}

/* Waits for the end of the hunts and reads what they print. False when they could not be started
 * or did not end well. */
static bool hunt_end(const struct hunter *hunter, char output[OUTPUT_BYTES]) {
    if (hunter->child == 0) {
        return false;
    }
    size_t used = 0;
    ssize_t bytes = 0;
    while (used < OUTPUT_BYTES - 1 &&
           (bytes = read(hunter->output, output + used, OUTPUT_BYTES - 1 - used)) > 0) {
        used += (size_t)bytes;
    }
    output[used] = 0;
    (void)close(hunter->output);
    int status = 0;
    return waitpid(hunter->child, &status, 0) == hunter->child && WIFEXITED(status) &&
           WEXITSTATUS(status) == 0;
}

/* Cuts the line at `*line` into fields between tabs, and moves on behind it. */
static bool cut(char **line, char *fields[FIELDS_MAX], uint32_t count) {
    char *end = strchr(*line, '\n');
    if (end == NULL) {
        return false;
    }
    *end = 0;
    fields[0] = *line;
    for (uint32_t field = 1; field < count; field++) {
        char *tab = strchr(fields[field - 1], '\t');
        if (tab == NULL) {
            return false;
        }
        *tab = 0;
        fields[field] = tab + 1;
    }
    *line = end + 1;
    return true;
}

static int compare_u64(const void *a, const void *b) {
    const uint64_t left = *(const uint64_t *)a;
    const uint64_t right = *(const uint64_t *)b;
    return (left > right) - (left < right);
}

static bool parse(struct canary_result *result) {
    char *line = result->output;
    char *fields[FIELDS_MAX];
    if (!cut(&line, fields, 3)) {
        return false;
    }
    result->name = fields[0];
    result->faults = fields[1];
    result->description = fields[2];
    result->hunt_count = 0;
    result->caught = true;
    uint64_t crashes[MKV_CANARY_HUNTS];
    while (*line != 0 && result->hunt_count < MKV_CANARY_HUNTS) {
        struct canary_hunt *found = &result->hunts[result->hunt_count];
        if (!cut(&line, fields, 7)) {
            return false;
        }
        found->caught = strcmp(fields[0], "1") == 0;
        found->is_known = strcmp(fields[1], "1") == 0;
        found->seed = strtoull(fields[2], NULL, 10);
        found->seed_crashes = strtoull(fields[3], NULL, 10);
        found->crashes = strtoull(fields[4], NULL, 10);
        found->oracle = fields[5];
        found->text = fields[6];
        result->caught = result->caught && found->caught;
        crashes[result->hunt_count++] = found->crashes;
    }
    if (result->hunt_count == 0) {
        return false;
    }
    qsort(crashes, result->hunt_count, sizeof crashes[0], compare_u64);
    result->crashes_median = crashes[result->hunt_count / 2];
    return true;
}

/* Whether the core that ships passes the seed. */
static bool is_clean(struct canaries *canaries, uint64_t seed, const char *faults) {
    for (uint32_t index = 0; index < canaries->clean_count; index++) {
        const struct clean *clean = &canaries->clean[index];
        if (clean->seed == seed && strcmp(clean->faults, faults) == 0) {
            return clean->passes;
        }
    }
    struct mkv_run_choice choice = {0};
    char unknown[MKV_FAULT_NAME_BYTES];
    choice.has_faults = mkv_faults_parse(faults, &choice.fault_mask, unknown);
    struct mkv_seed_outcome without;
    mkv_run_seed(seed, &choice, &canaries->memory, NULL, NULL, 0, &without);
    struct clean *clean = &canaries->clean[canaries->clean_count];
    if (canaries->clean_count < CLEAN_MAX && strlen(faults) < sizeof clean->faults) {
        *clean = (struct clean){.seed = seed, .passes = !without.failed};
        memcpy(clean->faults, faults, strlen(faults));
        canaries->clean_count++;
    }
    return !without.failed;
}

/* Runs what caught the bug on the core that ships. */
static bool passes_without(struct canaries *canaries, const struct canary_result *result) {
    bool passes = true;
    for (uint32_t index = 0; index < result->hunt_count; index++) {
        passes = is_clean(canaries, result->hunts[index].seed, result->faults) && passes;
    }
    return passes;
}

static int compare_hunts(const void *a, const void *b) {
    const struct canary_hunt *left = a;
    const struct canary_hunt *right = b;
    if (left->seed_crashes != right->seed_crashes) {
        return left->seed_crashes < right->seed_crashes ? -1 : 1;
    }
    return (left->seed > right->seed) - (left->seed < right->seed);
}

/* The bug's row of what is written: the seeds that caught it, the cheapest first; behind the one
 * that was known, those that were not tried. */
static void keep_seeds(struct canaries *canaries, const struct canary_result *result) {
    const struct mkv_canary_seeds_row *known =
        mkv_canary_seeds_find(&canaries->known, result->name);
    struct mkv_canary_seeds_row *row = &canaries->found.rows[canaries->found.count];
    struct canary_hunt hunts[MKV_CANARY_HUNTS];
    *row = (struct mkv_canary_seeds_row){0};
    if (known != NULL) {
        canaries->row_is_used[known - canaries->known.rows] = true;
    }
    (void)snprintf(row->name, sizeof row->name, "%s", result->name);
    memcpy(hunts, result->hunts, sizeof hunts);
    qsort(hunts, result->hunt_count, sizeof hunts[0], compare_hunts);
    for (uint32_t index = 0; index < result->hunt_count; index++) {
        if (hunts[index].caught) {
            row->seeds[row->count++] = hunts[index].seed;
        }
    }
    bool is_behind = false;
    for (uint32_t index = 0; known != NULL && hunts[0].is_known && index < known->count; index++) {
        if (is_behind) {
            row->seeds[row->count++] = known->seeds[index];
        }
        is_behind = is_behind || known->seeds[index] == hunts[0].seed;
    }
    canaries->found.count += row->count > 0;
}

/* False where the file of known seeds has a row that no bug asked for. */
static bool rows_are_used(const struct canaries *canaries) {
    bool all = true;
    for (uint32_t index = 0; index < canaries->known.count; index++) {
        if (!canaries->row_is_used[index]) {
            fprintf(stderr,
                    "memkv-sim: %s has seeds of '%s', and there is no such planted bug; take the "
                    "line out\n",
                    canaries->options->seeds, canaries->known.rows[index].name);
            all = false;
        }
    }
    return all;
}

static bool write_seeds(const struct canaries *canaries) {
    const char *path = canaries->options->output;
    if (path == NULL) {
        return true;
    }
    FILE *file = fopen(path, "w");
    const bool is_written = file != NULL && mkv_canary_seeds_write(file, &canaries->found);
    if (!is_written) {
        fprintf(stderr, "memkv-sim: the seeds cannot be written to %s: %s\n", path,
                strerror(errno));
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    return is_written;
}

static void print_result(struct canaries *canaries, const struct canary_result *result) {
    const struct canary_hunt *first = &result->hunts[0];
    if (canaries->options->json) {
        struct mkv_json *json = &canaries->json;
        mkv_json_open(json, NULL, '{');
        mkv_json_text(json, "name", result->name);
        mkv_json_text(json, "description", result->description);
        mkv_json_text(json, "faults", result->faults);
        mkv_json_bool(json, "caught", result->caught);
        mkv_json_text(json, "oracle", first->oracle);
        mkv_json_u64(json, "crashes_median", result->crashes_median);
        mkv_json_open(json, "hunts", '[');
        for (uint32_t index = 0; index < result->hunt_count; index++) {
            const struct canary_hunt *found = &result->hunts[index];
            mkv_json_open(json, NULL, '{');
            mkv_json_bool(json, "caught", found->caught);
            mkv_json_bool(json, "known", found->is_known);
            mkv_json_u64(json, "seed", found->seed);
            mkv_json_u64(json, "crashes", found->crashes);
            mkv_json_text(json, "oracle", found->oracle);
            mkv_json_text(json, "text", found->text);
            mkv_json_close(json, '}');
        }
        mkv_json_close(json, ']');
        mkv_json_bool(json, "passes_without", result->passes_without);
        mkv_json_close(json, '}');
        return;
    }
    if (result->caught) {
        printf("caught   %-32s %-10s %7llu crashes, faults %s, seed %llu%s\n         %s\n",
               result->name, first->oracle, (unsigned long long)result->crashes_median,
               result->faults, (unsigned long long)first->seed,
               result->passes_without ? "" : "; it fails without it, too", first->text);
    } else {
        const struct canary_hunt *last = &result->hunts[result->hunt_count - 1];
        printf("MISSED   %-32s by hunt %u, up to seed %llu, %llu crashes\n         %s\n",
               result->name, result->hunt_count, (unsigned long long)last->seed,
               (unsigned long long)last->crashes, result->description);
    }
    (void)fflush(stdout);
}

/* The hunts for every bug, so many at a time; false when one was missed, is in what ships, too, or
 * did not end well. */
static bool hunt_all(struct canaries *canaries) {
    const long cores = sysconf(_SC_NPROCESSORS_ONLN);
    const unsigned at_once = cores < 2 ? 1 : cores > HUNTERS_MAX ? HUNTERS_MAX : (unsigned)cores;
    struct hunter hunters[HUNTERS_MAX];
    unsigned begun = 0;
    bool sound = true;
    for (unsigned canary = 0; canary < MKV_CANARIES_ALL; canary++) {
        for (; begun < MKV_CANARIES_ALL && begun < canary + at_once; begun++) {
            hunters[begun % HUNTERS_MAX] = hunt_begin(canaries, begun);
        }
        struct canary_result result;
        if (!hunt_end(&hunters[canary % HUNTERS_MAX], result.output) || !parse(&result)) {
            fprintf(stderr,
                    "memkv-sim: the hunt for planted bug %u did not end well; run `%s hunt "
                    "--canary %u`\n",
                    canary, canaries->path, canary);
            sound = false;
            continue;
        }
        result.passes_without = passes_without(canaries, &result);
        canaries->caught += result.caught;
        canaries->caught_known += result.caught && result.hunts[0].is_known;
        sound = sound && result.caught && result.passes_without;
        keep_seeds(canaries, &result);
        print_result(canaries, &result);
    }
    return sound;
}

static int run(struct canaries *canaries) {
    struct mkv_json *json = &canaries->json;
    const bool as_json = canaries->options->json;
    if (as_json) {
        mkv_json_open(json, NULL, '{');
        mkv_json_open(json, "canaries", '[');
    }
    const bool sound = hunt_all(canaries);
    if (as_json) {
        mkv_json_close(json, ']');
        mkv_json_u64(json, "planted", MKV_CANARIES_ALL);
        mkv_json_u64(json, "caught", canaries->caught);
        mkv_json_u64(json, "known", canaries->caught_known);
        mkv_json_close(json, '}');
        fputc('\n', stdout);
    } else {
        printf("%u of %u planted bugs caught, %u of them by a known seed\n", canaries->caught,
               MKV_CANARIES_ALL, canaries->caught_known);
    }
    const bool is_current = rows_are_used(canaries);
    return write_seeds(canaries) && is_current && sound ? 0 : 1;
}

int mkv_canaries_run(const struct mkv_canaries_options *options) {
    struct canaries *canaries = calloc(1, sizeof *canaries);
    if (canaries == NULL) {
        fputs("memkv-sim: there is no memory for the hunts\n", stderr);
        return 1;
    }
    canaries->options = options;
    canaries->json.out = stdout;
    char problem[MKV_CANARY_SEEDS_PROBLEM_BYTES];
    int status = 1;
    if (options->seeds != NULL &&
        !mkv_canary_seeds_load(options->seeds, &canaries->known, problem)) {
        fprintf(stderr, "memkv-sim: --seeds %s: %s\n", options->seeds, problem);
    } else if (!find_program(canaries->path)) {
        fprintf(stderr,
                "memkv-sim: the program with the planted bugs, %s, is not beside this one; run "
                "`memkv-sim canaries` from the folder it was built in\n",
                MKV_CANARY_PROGRAM);
    } else if (!mkv_run_memory_create(&canaries->memory)) {
        fputs("memkv-sim: there is no address space for a run; raise ulimit -v\n", stderr);
    } else {
        status = run(canaries);
        mkv_memory_destroy(&canaries->memory);
    }
    free(canaries);
    return status;
}
