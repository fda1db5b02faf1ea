/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/canaries.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sim/json.h"

#define OUTPUT_BYTES 8192u
#define FIELDS_MAX 5u
/* Programs that hunt at a time, on as many cores. */
#define HUNTERS_MAX 8u

struct canary_hunt {
    bool caught;
    uint64_t seed;
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

static struct hunter hunt_begin(const char *path, unsigned canary) {
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
        (void)execl(path, MKV_CANARY_PROGRAM, "hunt", "--canary", number, (char *)NULL);
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
        if (!cut(&line, fields, 5)) {
            return false;
        }
        found->caught = strcmp(fields[0], "1") == 0;
        found->seed = strtoull(fields[1], NULL, 10);
        found->crashes = strtoull(fields[2], NULL, 10);
        found->oracle = fields[3];
        found->text = fields[4];
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

/* Runs what caught the bug on the core that ships. */
static bool passes_without(const struct canary_result *result, struct mkv_memory *memory) {
    struct mkv_run_choice choice = {0};
    char unknown[MKV_FAULT_NAME_BYTES];
    choice.has_faults = mkv_faults_parse(result->faults, &choice.fault_mask, unknown);
    bool passes = true;
    for (uint32_t index = 0; index < result->hunt_count; index++) {
        struct mkv_seed_outcome without;
        mkv_run_seed(result->hunts[index].seed, &choice, memory, NULL, NULL, 0, &without);
        passes = passes && !without.failed;
    }
    return passes;
}

static void print_result(struct mkv_json *json, const struct canary_result *result) {
    const struct canary_hunt *first = &result->hunts[0];
    if (json != NULL) {
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

int mkv_canaries_run(bool as_json) {
    char path[PATH_MAX];
    if (!find_program(path)) {
        fprintf(stderr,
                "memkv-sim: the program with the planted bugs, %s, is not beside this one; run "
                "`memkv-sim canaries` from the folder it was built in\n",
                MKV_CANARY_PROGRAM);
        return 1;
    }
    struct mkv_memory memory;
    if (!mkv_run_memory_create(&memory)) {
        fputs("memkv-sim: there is no address space for a run; raise ulimit -v\n", stderr);
        return 1;
    }
    struct mkv_json json = {.out = stdout};
    struct mkv_json *out = as_json ? &json : NULL;
    uint32_t caught = 0;
    bool sound = true;
    const long cores = sysconf(_SC_NPROCESSORS_ONLN);
    const unsigned at_once = cores < 2 ? 1 : cores > HUNTERS_MAX ? HUNTERS_MAX : (unsigned)cores;
    struct hunter hunters[HUNTERS_MAX];
    unsigned begun = 0;
    if (as_json) {
        mkv_json_open(out, NULL, '{');
        mkv_json_open(out, "canaries", '[');
    }
    for (unsigned canary = 0; canary < MKV_CANARIES_ALL; canary++) {
        for (; begun < MKV_CANARIES_ALL && begun < canary + at_once; begun++) {
            hunters[begun % HUNTERS_MAX] = hunt_begin(path, begun);
        }
        struct canary_result result;
        if (!hunt_end(&hunters[canary % HUNTERS_MAX], result.output) || !parse(&result)) {
            fprintf(stderr,
                    "memkv-sim: the hunt for planted bug %u did not end well; run `%s hunt "
                    "--canary %u`\n",
                    canary, path, canary);
            sound = false;
            continue;
        }
        result.passes_without = passes_without(&result, &memory);
        caught += result.caught;
        sound = sound && result.caught && result.passes_without;
        print_result(out, &result);
    }
    if (as_json) {
        mkv_json_close(out, ']');
        mkv_json_u64(out, "planted", MKV_CANARIES_ALL);
        mkv_json_u64(out, "caught", caught);
        mkv_json_close(out, '}');
        fputc('\n', stdout);
    } else {
        printf("%u of %u planted bugs caught\n", caught, MKV_CANARIES_ALL);
    }
    mkv_memory_destroy(&memory);
    return sound ? 0 : 1;
}
