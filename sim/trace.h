/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a run did, as one number: a hash over every input and every effect, field by field, so that
 * no pointer, padding or leftover byte has a part in it (O13). With a log it also writes each down
 * as a line for people.
 *
 * Not responsible for: deciding whether two runs are the same (run.h).
 */
#ifndef MKV_SIM_TRACE_H
#define MKV_SIM_TRACE_H

#include <stdio.h>

#include "core/io.h"

/* Names of machines: volumes by their index, and the front. */
#define MKV_TRACE_FRONT 1000u
/* The world itself: crashes and other acts that are no machine's. */
#define MKV_TRACE_WORLD 1001u

struct mkv_trace {
    uint64_t hash;
    uint64_t entries;     /* inputs, effects and acts of the world */
    uint64_t entries_max; /* an input behind so many ends the run, by no oracle */
    uint64_t now_ns;
    FILE *log; /* NULL: the hash only */
};

/* No entries_max is 0. */
void mkv_trace_init(struct mkv_trace *trace, uint64_t seed, FILE *log, uint64_t entries_max);

static inline void mkv_trace_word(struct mkv_trace *trace, uint64_t word) {
    uint64_t hash = (trace->hash ^ word) * 0x9fb21c651e98df25ull;
    hash ^= hash >> 29;
    trace->hash = hash;
}

void mkv_trace_input(struct mkv_trace *trace, uint32_t machine, const struct mkv_input *input);
/* `base` is what data_offset and results_offset count from. */
void mkv_trace_effect(struct mkv_trace *trace, uint32_t machine, const struct mkv_effect *effect,
                      const uint8_t *base);
/* An act of the world: a name for people and up to two figures. */
void mkv_trace_note(struct mkv_trace *trace, const char *name, uint64_t value_0, uint64_t value_1);

/* Lines of the log (trace_text.c). */
void mkv_trace_print_input(const struct mkv_trace *trace, uint32_t machine,
                           const struct mkv_input *input);
void mkv_trace_print_effect(const struct mkv_trace *trace, uint32_t machine,
                            const struct mkv_effect *effect);

#endif
