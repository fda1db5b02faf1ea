/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The memory of one run: a region that is allocated once for the process and handed out from its
 * start anew for every run, so that its pages are warm and nothing needs freeing.
 *
 * Not responsible for: clearing. What is handed out holds what the last run left.
 */
#ifndef MKV_SIM_MEMORY_H
#define MKV_SIM_MEMORY_H

#include "core/base.h"

struct mkv_memory {
    uint8_t *bytes;
    size_t capacity;
    size_t used;
};

/* Reserves address space; pages cost memory once they are used. False when there is none. */
bool mkv_memory_create(struct mkv_memory *memory, size_t capacity);
void mkv_memory_destroy(struct mkv_memory *memory);
void mkv_memory_reset(struct mkv_memory *memory);
/* Never NULL: running out is an error of the simulator. `alignment` is a power of two. */
void *mkv_memory_take(struct mkv_memory *memory, size_t bytes, size_t alignment);

#endif
