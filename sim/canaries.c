/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/canaries.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/canary.h"
#include "sim/json.h"

#define LINE_BYTES 2048u
#define FIELDS 7u

struct canary_result {
    char line[LINE_BYTES];
    bool caught;
    const char *oracle;
    uint64_t seed;
    uint64_t crashes;
    const char *name;
    const char *description;
    const char *text;
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

/* Starts the hunt and reads its line. False when it could not be started or did not end well. */
static bool hunt(const char *path, unsigned canary, char line[LINE_BYTES]) {
    int ends[2];
    if (pipe(ends) != 0) {
        return false;
    }
    const pid_t child = fork();
    if (child < 0) {
        (void)close(ends[0]);
        (void)close(ends[1]);
        return false;
    }
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
    size_t used = 0;
    ssize_t bytes = 0;
    while (used < LINE_BYTES - 1 &&
           (bytes = read(ends[0], line + used, LINE_BYTES - 1 - used)) > 0) {
        used += (size_t)bytes;
    }
    line[used] = 0;
    (void)close(ends[0]);
    int status = 0;
    return waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static bool parse(struct canary_result *result) {
    char *fields[FIELDS] = {result->line};
    char *end = strchr(result->line, '\n');
    if (end == NULL) {
        return false;
    }
    *end = 0;
    for (uint32_t field = 1; field < FIELDS; field++) {
        char *tab = strchr(fields[field - 1], '\t');
        if (tab == NULL) {
            return false;
        }
        *tab = 0;
        fields[field] = tab + 1;
    }
    result->caught = strcmp(fields[0], "1") == 0;
    result->oracle = fields[1];
    result->seed = strtoull(fields[2], NULL, 10);
    result->crashes = strtoull(fields[3], NULL, 10);
    result->name = fields[4];
    result->description = fields[5];
    result->text = fields[6];
    return true;
}

static void print_result(struct mkv_json *json, const struct canary_result *result) {
    if (json != NULL) {
        mkv_json_open(json, NULL, '{');
        mkv_json_text(json, "name", result->name);
        mkv_json_text(json, "description", result->description);
        mkv_json_bool(json, "caught", result->caught);
        mkv_json_text(json, "oracle", result->oracle);
        mkv_json_u64(json, "seed", result->seed);
        mkv_json_u64(json, "crashes", result->crashes);
        mkv_json_text(json, "text", result->text);
        mkv_json_bool(json, "passes_without", result->passes_without);
        mkv_json_close(json, '}');
        return;
    }
    if (result->caught) {
        printf("caught   %-32s %-10s seed %llu, %llu crashes%s\n         %s\n", result->name,
               result->oracle, (unsigned long long)result->seed,
               (unsigned long long)result->crashes,
               result->passes_without ? "" : "; the seed fails without it, too", result->text);
    } else {
        printf("MISSED   %-32s after %llu seeds, %llu crashes\n         %s\n", result->name,
               (unsigned long long)result->seed, (unsigned long long)result->crashes,
               result->description);
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
    if (as_json) {
        mkv_json_open(out, NULL, '{');
        mkv_json_open(out, "canaries", '[');
    }
    for (unsigned canary = 0; canary < MKV_CANARY_COUNT; canary++) {
        struct canary_result result;
        if (!hunt(path, canary, result.line) || !parse(&result)) {
            fprintf(stderr,
                    "memkv-sim: the hunt for planted bug %u did not end well; run `%s hunt "
                    "--canary %u`\n",
                    canary, path, canary);
            sound = false;
            continue;
        }
        struct mkv_seed_outcome without;
        mkv_run_seed(result.seed, NULL, &memory, NULL, NULL, 0, &without);
        result.passes_without = !without.failed;
        caught += result.caught;
        sound = sound && result.caught && result.passes_without;
        print_result(out, &result);
    }
    if (as_json) {
        mkv_json_close(out, ']');
        mkv_json_u64(out, "planted", MKV_CANARY_COUNT);
        mkv_json_u64(out, "caught", caught);
        mkv_json_close(out, '}');
        fputc('\n', stdout);
    } else {
        printf("%u of %u planted bugs caught\n", caught, MKV_CANARY_COUNT);
    }
    mkv_memory_destroy(&memory);
    return sound ? 0 : 1;
}
