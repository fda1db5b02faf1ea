/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs the machines of a record again, over the inputs that it holds, and compares what they hand
 * out with what they handed out then.
 *
 *   entry FRONT, VOLUME   the machine is made
 *         INPUT           units that were read go to where they went; the step
 *         RESULT          what the step returned
 *         EFFECTS         one call of effects(), compared byte for byte (machine_codec.h)
 *         ROUTE           mkv_front_volume_set_state
 *
 * Invariants
 *  I1  It ends at the first input whose effects or result differ, or whose step fails an assertion.
 *  I2  A record that is whole has nothing that the machines did not do, and the other way round.
 *
 * Not responsible for: the file (record_file.h), printing (record_command.h).
 */
#ifndef MKV_SIM_RECORD_REPLAY_H
#define MKV_SIM_RECORD_REPLAY_H

#include <stdio.h>

#include "record/machine_codec.h"
#include "sim/failure.h"
#include "sim/record_file.h"

#define MKV_REPLAY_MACHINES_MAX (1u + MKV_VOLUMES_MAX)

enum mkv_replay_verdict {
    MKV_REPLAY_EQUAL = 0, /* to the last whole entry */
    MKV_REPLAY_DEPARTED,  /* an effect or a result is another */
    MKV_REPLAY_ASSERTED,  /* a step failed an assertion */
    MKV_REPLAY_MALFORMED, /* an entry makes no sense, though its sum holds */
};

struct mkv_replay_outcome {
    enum mkv_replay_verdict verdict;
    uint64_t inputs; /* given to the machines */
    uint64_t effects;
    uint32_t machine_count;
    uint64_t inputs_of[MKV_REPLAY_MACHINES_MAX];
    enum mkv_record_end end; /* 0: the record was cut off */
    bool cut;
    bool damaged;          /* the record goes on, and cannot be read */
    uint64_t chunk_number; /* of the damage */
    uint64_t chunk_at;     /* its byte in the file */
    /* Unless all was equal: the input, from 1 on, and its machine. */
    uint64_t input;
    uint32_t machine;
    uint64_t now_ns; /* of the input */
    uint64_t wall_ms;
    /* ASSERTED: the recorded program ended itself in the same step. */
    bool crashed_too;
    /* DEPARTED: the effect that should have been, and the one that was. */
    bool has_recorded;
    bool has_replayed;
    struct mkv_record_effect recorded;
    struct mkv_record_effect replayed;
    char text[MKV_FAILURE_TEXT_BYTES]; /* what differs, what was asserted */
};

/* `log`, where it is not NULL, gets every input and effect. */
void mkv_record_replay(struct mkv_record_file *file, FILE *log, struct mkv_replay_outcome *outcome);

/* Writes the input of that number; false when the record does not have it. */
bool mkv_record_replay_print_input(struct mkv_record_file *file, uint64_t number, FILE *out);
/* Writes an effect with all of its fields, and the sum of what it names. */
void mkv_record_replay_print_effect(const struct mkv_record_effect *effect, uint32_t machine,
                                    uint64_t now_ns, FILE *out);

#endif
