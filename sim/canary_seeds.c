/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/canary_seeds.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define LINE_BYTES 256u

static const char heading[] =
    "# SPDX-License-Identifier: Apache-2.0\n"
    "# Seeds that caught each planted bug, in the order in which they are tried. Made by\n"
    "#   ./dev sim canaries --output tests/fixtures/canary_seeds.tsv\n"
    "# and brought up to date, where only some have gone stale, in seconds by\n"
    "#   ./dev sim canaries --seeds FILE --output FILE\n";

/* Takes the seeds of a line, numbers with one blank between them. */
static bool take_seeds(char *text, struct mkv_canary_seeds_row *row) {
    while (row->count < MKV_CANARY_SEEDS_EACH) {
        char *end = NULL;
        if (*text < '0' || *text > '9') {
            return false;
        }
        errno = 0;
        row->seeds[row->count++] = strtoull(text, &end, 10);
        if (errno != 0 || (*end != 0 && *end != ' ')) {
            return false;
        }
        if (*end == 0) {
            return true;
        }
        text = end + 1;
    }
    return false;
}

/* A line without its end. */
static bool take_line(char *line, struct mkv_canary_seeds *seeds) {
    char *tab = strchr(line, '\t');
    if (tab == NULL || tab == line || tab - line >= (long)MKV_CANARY_SEEDS_NAME_BYTES) {
        return false;
    }
    *tab = 0;
    struct mkv_canary_seeds_row *row = &seeds->rows[seeds->count];
    *row = (struct mkv_canary_seeds_row){0};
    memcpy(row->name, line, (size_t)(tab - line));
    if (mkv_canary_seeds_find(seeds, row->name) != NULL || !take_seeds(tab + 1, row)) {
        return false;
    }
    seeds->count++;
    return true;
}

bool mkv_canary_seeds_read(FILE *file, struct mkv_canary_seeds *seeds,
                           char problem[MKV_CANARY_SEEDS_PROBLEM_BYTES]) {
    char line[LINE_BYTES];
    seeds->count = 0;
    for (uint32_t number = 1; fgets(line, sizeof line, file) != NULL; number++) {
        char *end = strchr(line, '\n');
        if (end != NULL) {
            *end = 0;
        }
        if (line[0] == '#') {
            continue;
        }
        if (end == NULL || seeds->count == MKV_CANARY_SEEDS_ROWS || !take_line(line, seeds)) {
            (void)snprintf(problem, MKV_CANARY_SEEDS_PROBLEM_BYTES,
                           "line %u is not the name of a planted bug that no line before it has, "
                           "a tab, and up to %u seeds",
                           number, MKV_CANARY_SEEDS_EACH);
            return false;
        }
    }
    return true;
}

bool mkv_canary_seeds_load(const char *path, struct mkv_canary_seeds *seeds,
                           char problem[MKV_CANARY_SEEDS_PROBLEM_BYTES]) {
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        (void)snprintf(problem, MKV_CANARY_SEEDS_PROBLEM_BYTES, "it cannot be opened: %s",
                       strerror(errno));
        return false;
    }
    const bool is_read = mkv_canary_seeds_read(file, seeds, problem);
    (void)fclose(file);
    return is_read;
}

const struct mkv_canary_seeds_row *mkv_canary_seeds_find(const struct mkv_canary_seeds *seeds,
                                                         const char *name) {
    for (uint32_t index = 0; index < seeds->count; index++) {
        if (strcmp(seeds->rows[index].name, name) == 0) {
            return &seeds->rows[index];
        }
    }
    return NULL;
}

bool mkv_canary_seeds_write(FILE *file, const struct mkv_canary_seeds *seeds) {
    (void)fputs(heading, file);
    for (uint32_t index = 0; index < seeds->count; index++) {
        const struct mkv_canary_seeds_row *row = &seeds->rows[index];
        (void)fputs(row->name, file);
        for (uint32_t at = 0; at < row->count; at++) {
            (void)fprintf(file, "%c%" PRIu64, at == 0 ? '\t' : ' ', row->seeds[at]);
        }
        (void)fputc('\n', file);
    }
    return fflush(file) == 0 && ferror(file) == 0;
}
