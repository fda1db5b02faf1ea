/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A window: memory that the server makes and one client maps, too, so that payload goes between
 * them by one copy. It is a memfd, sealed so that whoever has its descriptor can't take a page of
 * it from under the server.
 *
 *   NONE -- make --> OFFERED -- seal --> FILLING -- fill, fill ... --> READY
 *     ^               the client has      nobody maps it anew           every page is there
 *     |               the descriptor      to write, or cuts holes
 *     +------- close, from wherever ---------------------------------------+
 *
 *   seals of OFFERED: SHRINK, GROW             an access behind the end would be a SIGBUS
 *   seals of FILLING: FUTURE_WRITE, SEAL       a hole would be filled by the server's own access,
 *                                              with memory that there may not be: the client has
 *                                              its writable mapping by now, and gets no other
 *
 * Invariants
 *  I1  The server touches no byte of a window that is not READY.
 *  I2  What stands in a window is the client's, who may change it at any moment: nobody reads a
 *      byte of it twice to decide something.
 *  I3  Every place in it is checked by `holds` before it is used.
 *  I4  fill does a bounded piece: a large window takes several rounds of its shard. close does not
 *      free many pages either: a thread that lives for that does, for 64 MiB take some 20 ms.
 *
 * Not responsible for: how the descriptor gets to the client (fabric_tcp_window.c).
 */
#ifndef MKV_BACKENDS_SHM_WINDOW_H
#define MKV_BACKENDS_SHM_WINDOW_H

#include "core/base.h"

/* Sizes are multiples of it. */
#define MKV_SHM_WINDOW_STEP_BYTES (64u * 1024u)
/* What one fill makes, a huge page: some 1 ms at most. */
#define MKV_SHM_WINDOW_FILL_BYTES (2u * 1024u * 1024u)

enum mkv_shm_window_state {
    MKV_SHM_WINDOW_NONE = 0,
    MKV_SHM_WINDOW_OFFERED,
    MKV_SHM_WINDOW_FILLING,
    MKV_SHM_WINDOW_READY,
};

struct mkv_shm_window {
    enum mkv_shm_window_state state;
    int fd; /* OFFERED: to be passed; later the kernel's mapping alone keeps the memory */
    uint8_t *memory;
    uint64_t bytes;
    uint64_t filled_bytes;
};

/* Makes a window of `bytes`, a multiple of MKV_SHM_WINDOW_STEP_BYTES and not 0. False: there is no
 * memory or descriptor, and the state is NONE. */
__attribute__((warn_unused_result)) bool mkv_shm_window_make(struct mkv_shm_window *window,
                                                             uint64_t bytes);
/* OFFERED: the client says that it has mapped it. False: it touched the seals; close it. */
__attribute__((warn_unused_result)) bool mkv_shm_window_seal(struct mkv_shm_window *window);
/* FILLING: makes the next pages; READY with the last. False: there is no memory; close it. */
__attribute__((warn_unused_result)) bool mkv_shm_window_fill(struct mkv_shm_window *window);
/* Whether READY, and `bytes` from `offset` on are in it. */
bool mkv_shm_window_holds(const struct mkv_shm_window *window, uint64_t offset, uint64_t bytes);
/* The server lets go of it; in any state. Its memory may be mapped for a moment more. */
void mkv_shm_window_close(struct mkv_shm_window *window);

#endif
