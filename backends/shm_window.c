/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/shm_window.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define STACK_BYTES (256u * 1024u)

bool mkv_shm_window_make(struct mkv_shm_window *window, uint64_t bytes) {
    MKV_ASSERT(window->state == MKV_SHM_WINDOW_NONE);
    MKV_ASSERT(bytes > 0);
    MKV_ASSERT(bytes % MKV_SHM_WINDOW_STEP_BYTES == 0);
    const int fd = memfd_create("memkv-window", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0) {
        return false;
    }
    void *memory = MAP_FAILED;
    if (ftruncate(fd, (off_t)bytes) == 0 &&
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) == 0) {
        memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    }
    if (memory == MAP_FAILED) {
        close(fd);
        return false;
    }
    (void)madvise(memory, bytes, MADV_HUGEPAGE); /* pages of 2 MiB where the machine has them */
    *window = (struct mkv_shm_window){
        .state = MKV_SHM_WINDOW_OFFERED,
        .fd = fd,
        .memory = memory,
        .bytes = bytes,
    };
    return true;
}

bool mkv_shm_window_seal(struct mkv_shm_window *window) {
    MKV_ASSERT(window->state == MKV_SHM_WINDOW_OFFERED);
    if (fcntl(window->fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE | F_SEAL_SEAL) != 0) {
        return false;
    }
    window->state = MKV_SHM_WINDOW_FILLING;
    return true;
}

/* By the mapping, which has no page fault later on; where the kernel does not know that (before
 * 5.14), in the file alone. */
static bool make_pages(const struct mkv_shm_window *window, uint64_t bytes) {
    int result;
    do {
        result = madvise(window->memory + window->filled_bytes, bytes, MADV_POPULATE_WRITE);
    } while (result != 0 && errno == EINTR);
    if (result == 0 || errno != EINVAL) {
        return result == 0;
    }
    do {
        result = fallocate(window->fd, 0, (off_t)window->filled_bytes, (off_t)bytes);
    } while (result != 0 && errno == EINTR);
    return result == 0;
}

bool mkv_shm_window_fill(struct mkv_shm_window *window) {
    MKV_ASSERT(window->state == MKV_SHM_WINDOW_FILLING);
    MKV_ASSERT(window->filled_bytes < window->bytes);
    const uint64_t bytes =
        mkv_min_u64(window->bytes - window->filled_bytes, MKV_SHM_WINDOW_FILL_BYTES);
    if (!make_pages(window, bytes)) {
        return false;
    }
    window->filled_bytes += bytes;
    if (window->filled_bytes == window->bytes) {
        close(window->fd);
        window->fd = -1;
        window->state = MKV_SHM_WINDOW_READY;
    }
    return true;
}

bool mkv_shm_window_holds(const struct mkv_shm_window *window, uint64_t offset, uint64_t bytes) {
    return window->state == MKV_SHM_WINDOW_READY && offset <= window->bytes &&
           bytes <= window->bytes - offset;
}

/* Memory that a thread of its own gives back. */
struct released {
    void *memory;
    uint64_t bytes;
};

static void *release(void *argument) {
    struct released *released = argument;
    (void)munmap(released->memory, released->bytes);
    free(released);
    return NULL;
}

/* Has a thread give the memory back; false: there is none. Signals are for the others. */
static bool release_aside(const struct mkv_shm_window *window) {
    struct released *released = malloc(sizeof *released);
    if (released == NULL) {
        return false;
    }
    *released = (struct released){window->memory, window->bytes};
    pthread_attr_t attributes;
    sigset_t all;
    sigset_t before;
    pthread_t thread;
    sigfillset(&all);
    bool is_made = pthread_attr_init(&attributes) == 0;
    if (is_made) {
        (void)pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
        (void)pthread_attr_setstacksize(&attributes, STACK_BYTES);
        (void)pthread_sigmask(SIG_SETMASK, &all, &before);
        is_made = pthread_create(&thread, &attributes, release, released) == 0;
        (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
        (void)pthread_attr_destroy(&attributes);
    }
    if (!is_made) {
        free(released);
    }
    return is_made;
}

void mkv_shm_window_close(struct mkv_shm_window *window) {
    if (window->state == MKV_SHM_WINDOW_NONE) {
        return;
    }
    const bool is_small = window->filled_bytes <= MKV_SHM_WINDOW_FILL_BYTES;
    if (is_small || !release_aside(window)) {
        (void)munmap(window->memory, window->bytes);
    }
    if (window->fd >= 0) {
        close(window->fd);
    }
    *window = (struct mkv_shm_window){.state = MKV_SHM_WINDOW_NONE, .fd = -1};
}
