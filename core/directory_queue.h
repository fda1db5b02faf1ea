/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the directory has been told and has not applied yet: a ring of bytes in which notes of
 * different lengths stand one behind the other, first in, first out.
 *
 *   [ .. free .. | note | note | note | .. free .. | rest ]     a note never wraps; the rest that
 *                ^head                ^tail                     is too short for it is passed over
 *
 * Invariants
 *  I1  pushed - popped is the count of the notes that are in it.
 *
 * Not responsible for: what the notes mean.
 */
#ifndef MKV_CORE_DIRECTORY_QUEUE_H
#define MKV_CORE_DIRECTORY_QUEUE_H

#include "core/base.h"
#include "core/directory_node.h"

enum mkv_directory_note_kind {
    MKV_DIRECTORY_NOTE_PUT = 1,
    MKV_DIRECTORY_NOTE_DROP,
};

struct mkv_directory_note {
    enum mkv_directory_note_kind kind;
    uint32_t tenant;
    uint32_t key_bytes;
    const uint8_t *key; /* push: the caller's. peek: in the ring, until the next push or pop */
    struct mkv_directory_value value; /* DROP: slot and generation only */
};

/* Bytes that the longest note takes. */
#define MKV_DIRECTORY_NOTE_BYTES_MAX (32u + MKV_KEY_BYTES_MAX)

struct mkv_directory_queue {
    uint64_t ring_offset; /* from the start of this struct */
    uint32_t ring_bytes;  /* a multiple of 8 */
    uint32_t head;
    uint32_t tail;
    uint32_t used_bytes; /* with what was passed over */
    uint64_t pushed;
    uint64_t popped;
};

/* The ring starts at `ring_offset` behind the queue, aligned to 8. */
void mkv_directory_queue_init(struct mkv_directory_queue *queue, uint64_t ring_offset,
                              uint32_t ring_bytes);
/* False when there is no room for it that leaves room for `reserve` of the longest notes. */
bool mkv_directory_queue_push(struct mkv_directory_queue *queue,
                              const struct mkv_directory_note *note, uint32_t reserve);
/* The note `ahead` places behind the head, at the cost of going there. False when there is none. */
bool mkv_directory_queue_peek(const struct mkv_directory_queue *queue, uint32_t ahead,
                              struct mkv_directory_note *note);
void mkv_directory_queue_pop(struct mkv_directory_queue *queue);
/* Whether `count` of the longest notes fit for certain. */
bool mkv_directory_queue_has_room(const struct mkv_directory_queue *queue, uint32_t count);

#endif
