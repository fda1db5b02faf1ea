/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the SCANs of clients stand. A cursor of RESP is a number, but a place in the keys is a
 * volume and a key; so this keeps, for each number that was handed out, the place it stands for.
 *
 *   number = serial << 10 | place in the table, serial from 1 on; 0 begins and ends a SCAN
 *
 * Invariants
 *  I1  There are at most MKV_RESP_CURSORS_MAX; a new one takes the place of the one that was used
 *      longest ago. A number whose place was taken is found no more, and never stands for another.
 *  I2  Asking does not use a number up: a client may ask again with the one before.
 *
 * Not responsible for: threads. Whoever uses it holds its lock.
 */
#ifndef MKV_SERVER_RESP_CURSORS_H
#define MKV_SERVER_RESP_CURSORS_H

#include "core/base.h"

#define MKV_RESP_CURSORS_MAX 1024u

struct mkv_resp_cursor {
    uint32_t tenant; /* whose keys; a cursor of another tenant is not found */
    uint32_t volume;
    uint32_t key_bytes; /* of the last key that was told; 0: none of this volume yet */
    uint8_t key[MKV_KEY_BYTES_MAX];
};

struct mkv_resp_cursors;

struct mkv_resp_cursors *mkv_resp_cursors_create(void); /* NULL when there is no memory */
void mkv_resp_cursors_destroy(struct mkv_resp_cursors *cursors);
/* The number that stands for this place from now on; not 0. */
uint64_t mkv_resp_cursors_keep(struct mkv_resp_cursors *cursors,
                               const struct mkv_resp_cursor *cursor);
/* False when the number stands for nothing, or for another tenant's. */
bool mkv_resp_cursors_find(struct mkv_resp_cursors *cursors, uint64_t number, uint32_t tenant,
                           struct mkv_resp_cursor *cursor);

#endif
