/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/bisect.h"

#include <stdlib.h>
#include <string.h>

/* More inputs and effects than the turn of a run has in which it fails. */
#define TURN_MORE 100000u

struct search {
    const struct mkv_bundle *bundle;
    struct mkv_memory *memory;
    struct mkv_bisect_outcome *outcome;
    struct mkv_seed_outcome run;
};

const char *mkv_cut_end_name(enum mkv_cut_end end) {
    static const char *const names[MKV_CUT_ENDS] = {"power lost, nothing kept that was not durable",
                                                    "power lost, everything kept",
                                                    "process killed"};
    return names[end];
}

/* Runs the first `count` inputs and effects, and what follows the cut. */
static bool fails_so(struct search *search, uint64_t count, enum mkv_cut_end end, FILE *log) {
    search->run.shape = search->bundle->shape;
    mkv_run_cut(search->bundle->seed, search->memory, log, count + 1, end, &search->run);
    search->outcome->runs++;
    return mkv_bundle_is_same(search->bundle, &search->run);
}

/* Whether any end fails; says which, and with what. */
static bool fails(struct search *search, uint64_t count) {
    for (uint32_t end = 0; end < MKV_CUT_ENDS; end++) {
        if (fails_so(search, count, (enum mkv_cut_end)end, NULL)) {
            search->outcome->end = (enum mkv_cut_end)end;
            search->outcome->failure = search->run.failure;
            return true;
        }
    }
    return false;
}

/* The last input or effect before the cut, or before the failure. True when there was a cut. */
static bool last_line(struct search *search, uint64_t count, char text[MKV_BISECT_LINE_BYTES]) {
    char line[2 * MKV_BISECT_LINE_BYTES];
    bool cut = false;
    FILE *log = tmpfile();
    text[0] = 0;
    if (log == NULL) {
        return false;
    }
    (void)fails_so(search, count, search->outcome->end, log);
    rewind(log);
    while (!cut && fgets(line, sizeof line, log) != NULL) {
        line[strcspn(line, "\n")] = 0;
        cut = strstr(line, "** " MKV_CUT_NOTE) != NULL;
        const bool act = strstr(line, " ** ") != NULL; /* of the world: a crash of the run's own */
        if (!cut && (act || strstr(line, " -> ") != NULL || strstr(line, " <- ") != NULL)) {
            (void)snprintf(text, MKV_BISECT_LINE_BYTES, "%.*s", (int)MKV_BISECT_LINE_BYTES - 1,
                           line + strspn(line, " "));
        }
    }
    (void)fclose(log);
    return cut;
}

static const char *halve(struct search *search) {
    const struct mkv_bundle *bundle = search->bundle;
    if (bundle->shape.world == MKV_WORLD_SET || bundle->shape.world == MKV_WORLD_SHARDS ||
        bundle->shape.world == MKV_WORLD_LANES) {
        return "a run of drives that come and go, of several shards or of lanes cannot be cut off";
    }
    search->run.shape = bundle->shape;
    mkv_run_shaped(bundle->seed, search->memory, NULL, NULL, 0, &search->run);
    if (!mkv_bundle_is_same(bundle, &search->run)) {
        return "it does not fail as it says";
    }
    uint64_t good = 0;
    uint64_t bad = search->run.report.begun + TURN_MORE;
    if (fails(search, good)) {
        return "it fails with nothing done at all";
    }
    while (bad - good > 1) {
        const uint64_t middle = good + (bad - good) / 2;
        if (fails(search, middle)) {
            bad = middle;
        } else {
            good = middle;
        }
    }
    const bool found = fails(search, bad);
    MKV_ASSERT(found); /* I1; and it says how */
    search->outcome->good = good;
    search->outcome->bad = bad;
    (void)last_line(search, good, search->outcome->good_line);
    search->outcome->at_once = !last_line(search, bad, search->outcome->bad_line);
    return NULL;
}

const char *mkv_bisect(const struct mkv_bundle *bundle, struct mkv_memory *memory,
                       struct mkv_bisect_outcome *outcome) {
    struct search *search = calloc(1, sizeof *search);
    if (search == NULL) {
        return "there is no memory for it";
    }
    *outcome = (struct mkv_bisect_outcome){0};
    search->bundle = bundle;
    search->memory = memory;
    search->outcome = outcome;
    const char *complaint = halve(search);
    free(search);
    return complaint;
}
