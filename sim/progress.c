/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/progress.h"

#include <unistd.h>

#define SHOWN_EVERY_S 0.25
/* Back to the start of the line, and what was on it goes. */
#define LINE_AGAIN "\r\033[K"

void mkv_progress_begin(struct mkv_progress *progress, FILE *out, double seconds) {
    const bool shows = isatty(fileno(out)) != 0;
    *progress = (struct mkv_progress){.out = shows ? out : NULL, .seconds = seconds};
}

void mkv_progress_show(struct mkv_progress *progress, double run_s, uint64_t seeds,
                       uint64_t crashes, uint32_t failures) {
    if (progress->out == NULL || run_s - progress->shown_s < SHOWN_EVERY_S) {
        return;
    }
    progress->shown_s = run_s;
    fprintf(progress->out, LINE_AGAIN "%.0f of %.0f s: %llu seeds, %llu crashes, %u failures",
            run_s, progress->seconds, (unsigned long long)seeds, (unsigned long long)crashes,
            failures);
    fflush(progress->out);
}

void mkv_progress_end(struct mkv_progress *progress) {
    if (progress->out != NULL) {
        fputs(LINE_AGAIN, progress->out);
        fflush(progress->out);
    }
}
