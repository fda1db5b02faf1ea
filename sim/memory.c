/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/memory.h"

#include <sys/mman.h>

bool mkv_memory_create(struct mkv_memory *memory, size_t capacity) {
    *memory = (struct mkv_memory){0};
    void *bytes = mmap(NULL, capacity, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (bytes == MAP_FAILED) {
        return false;
    }
    memory->bytes = bytes;
    memory->capacity = capacity;
    return true;
}

void mkv_memory_destroy(struct mkv_memory *memory) {
    if (memory->bytes != NULL) {
        (void)munmap(memory->bytes, memory->capacity);
    }
    *memory = (struct mkv_memory){0};
}

void mkv_memory_reset(struct mkv_memory *memory) {
    memory->used = 0;
}

void *mkv_memory_take(struct mkv_memory *memory, size_t bytes, size_t alignment) {
    MKV_ASSERT(alignment > 0);
    MKV_ASSERT((alignment & (alignment - 1)) == 0);
    const size_t start = (memory->used + alignment - 1) & ~(alignment - 1);
    MKV_ASSERT(start <= memory->capacity);
    MKV_ASSERT(bytes <= memory->capacity - start);
    memory->used = start + bytes;
    return memory->bytes + start;
}
