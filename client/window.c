/* SPDX-License-Identifier: Apache-2.0 */
#include "client/window.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "core/base.h"

struct mkv_window *mkv_window_new(uint64_t bytes) {
    MKV_ASSERT(bytes > 0);
    MKV_ASSERT(bytes % MKV_WINDOW_ALIGN_BYTES == 0);
    struct mkv_window *window = calloc(1, sizeof *window);
    if (window == NULL) {
        return NULL;
    }
    void *base = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base == MAP_FAILED) {
        free(window);
        return NULL;
    }
    window->base = base;
    window->bytes = bytes;
    return window;
}

void mkv_window_free(struct mkv_window *window) {
    if (window != NULL) {
        (void)munmap(window->base, window->bytes);
        free(window);
    }
}

void *mkv_window_buffer_take(struct mkv_window *window, size_t bytes) {
    MKV_ASSERT(bytes > 0);
    if (window->buffer_count == MKV_WINDOW_BUFFERS_MAX || bytes > window->bytes) {
        return NULL;
    }
    const uint64_t needed = mkv_round_up_u64(bytes, MKV_WINDOW_ALIGN_BYTES);
    uint64_t begin = 0;
    uint32_t place = 0;
    while (place < window->buffer_count && window->buffers[place].offset - begin < needed) {
        begin = window->buffers[place].offset + window->buffers[place].bytes;
        place++;
    }
    if (needed > window->bytes - begin) {
        return NULL;
    }
    memmove(&window->buffers[place + 1], &window->buffers[place],
            (window->buffer_count - place) * sizeof window->buffers[0]);
    window->buffers[place] = (struct mkv_window_buffer){begin, needed};
    window->buffer_count++;
    return window->base + begin;
}

bool mkv_window_buffer_give(struct mkv_window *window, const void *buffer) {
    for (uint32_t place = 0; place < window->buffer_count; place++) {
        if (window->base + window->buffers[place].offset == buffer) {
            window->buffer_count--;
            memmove(&window->buffers[place], &window->buffers[place + 1],
                    (window->buffer_count - place) * sizeof window->buffers[0]);
            return true;
        }
    }
    return false;
}

/* Copies what buffers hold of the first `byte_count` bytes to where these will be. */
static void copy_buffers(const struct mkv_window *window, uint8_t *target, uint64_t byte_count) {
    for (uint32_t place = 0; place < window->buffer_count; place++) {
        const struct mkv_window_buffer *buffer = &window->buffers[place];
        if (buffer->offset < byte_count) {
            memcpy(target + buffer->offset, window->base + buffer->offset,
                   (size_t)mkv_min_u64(buffer->bytes, byte_count - buffer->offset));
        }
    }
}

/* Moves a mapping of the first bytes to `base`, with what the buffers hold. */
static bool replace(struct mkv_window *window, uint8_t *made, uint64_t byte_count) {
    copy_buffers(window, made, byte_count);
    return mremap(made, byte_count, byte_count, MREMAP_MAYMOVE | MREMAP_FIXED, window->base) !=
           MAP_FAILED;
}

/* Whether nobody can take a page of it away: an access to one that is gone is a SIGBUS. */
static bool is_kept(int descriptor, uint64_t byte_count) {
    struct stat status;
    const int seals = fcntl(descriptor, F_GET_SEALS);
    return seals >= 0 && (seals & F_SEAL_SHRINK) != 0 && fstat(descriptor, &status) == 0 &&
           (uint64_t)status.st_size >= byte_count;
}

bool mkv_window_attach(struct mkv_window *window, int descriptor, uint64_t mapped_bytes) {
    MKV_ASSERT(window->mapped_bytes == 0);
    MKV_ASSERT(mapped_bytes > 0);
    MKV_ASSERT(mapped_bytes <= window->bytes);
    if (!is_kept(descriptor, mapped_bytes)) {
        return false;
    }
    void *made = mmap(NULL, mapped_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
    if (made == MAP_FAILED) {
        return false;
    }
    if (!replace(window, made, mapped_bytes)) {
        (void)munmap(made, mapped_bytes);
        return false;
    }
    window->mapped_bytes = mapped_bytes;
    return true;
}

void mkv_window_detach(struct mkv_window *window) {
    window->owner = NULL;
    if (window->mapped_bytes == 0) {
        return;
    }
    void *made = mmap(NULL, window->mapped_bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    /* Whoever has no address space left could not keep the promise that nobody else writes here. */
    MKV_ASSERT(made != MAP_FAILED);
    const bool is_replaced = replace(window, made, window->mapped_bytes);
    MKV_ASSERT(is_replaced);
    window->mapped_bytes = 0;
}

bool mkv_window_finds(const struct mkv_window *window, const void *owner, const void *bytes,
                      uint64_t byte_count, uint64_t *offset) {
    if (window == NULL || window->owner != owner || owner == NULL) {
        return false;
    }
    const uintptr_t base = (uintptr_t)window->base;
    const uintptr_t begin = (uintptr_t)bytes;
    if (begin < base || begin - base > window->mapped_bytes ||
        byte_count > window->mapped_bytes - (begin - base)) {
        return false;
    }
    *offset = begin - base;
    return true;
}
