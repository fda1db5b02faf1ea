/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All that a node can say of itself, asked for part by part: what memkv admin doctor reads and
 * memkv admin diagnostics packs.
 *
 * Invariants
 *  I1  A part that cannot be had does not keep the others from being asked for.
 *  I2  No part holds a payload or a secret; keys of clients are in some.
 */
#ifndef MKV_SERVER_COMMAND_PARTS_H
#define MKV_SERVER_COMMAND_PARTS_H

#include "server/command_view.h"

struct mkv_part {
    const char *name; /* in the doctor's object; with "json" or "txt" behind it, a file's name */
    const char *path;
    bool text;     /* no JSON */
    bool is_check; /* an answer of 503 is one */
    const char *meaning;
};
/* Closed by one without a name. */
extern const struct mkv_part mkv_parts[];

/* Asks one node for all parts: {NAME: object or text, …, "failed": {NAME: why}}, which the caller
 * lets go. *exit_code is what to exit with: 0 when at least the status was there. */
json_t *mkv_parts_ask(const struct mkv_command_servers *servers, uint32_t index, int *exit_code);

#endif
