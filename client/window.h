/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory that a client shares with a server of the same machine, and the caller's buffers in it.
 *
 *   base                                  mapped_bytes                  bytes
 *    |  buffer  |   free   | buffer | free     |     free                |
 *    +----------+----------+--------+----------+-------------------------+
 *     attached: the window of one connection    the process's own memory
 *
 * The addresses are there as long as the client: attach puts the window's pages under them, and
 * detach puts the process's own, each with what the buffers hold. So buffers outlive connections.
 *
 * Invariants
 *  I1  While it is detached nobody but this process reaches the memory: what a server still does to
 *      the window of a connection that is closed is not seen.
 *  I2  Buffers do not overlap, and are in the order of their offsets.
 *
 * Not responsible for: what is agreed on with the server (connection_window.c).
 */
#ifndef MKV_CLIENT_WINDOW_H
#define MKV_CLIENT_WINDOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MKV_WINDOW_BUFFERS_MAX 4096u
/* Buffers begin and end at its multiples. */
#define MKV_WINDOW_ALIGN_BYTES 4096u

struct mkv_window_buffer {
    uint64_t offset;
    uint64_t bytes;
};

struct mkv_window {
    uint8_t *base;
    uint64_t bytes;
    uint64_t mapped_bytes; /* 0: detached */
    const void *owner;     /* the connection whose window it is, and may be used; or NULL */
    uint32_t buffer_count;
    struct mkv_window_buffer buffers[MKV_WINDOW_BUFFERS_MAX];
};

/* NULL: there is no memory. `bytes` is a multiple of MKV_WINDOW_ALIGN_BYTES. */
struct mkv_window *mkv_window_new(uint64_t bytes);
/* NULL is allowed. */
void mkv_window_free(struct mkv_window *window);

/* NULL: there is no room. `bytes` is not 0. */
void *mkv_window_buffer_take(struct mkv_window *window, size_t bytes);
/* False: it is none of the buffers. */
bool mkv_window_buffer_give(struct mkv_window *window, const void *buffer);

/* Puts the memory behind `descriptor`, of `mapped_bytes`, in place. False: it cannot be mapped, or
 * is not sealed against shrinking, and nothing has changed. The descriptor stays the caller's. */
bool mkv_window_attach(struct mkv_window *window, int descriptor, uint64_t mapped_bytes);
void mkv_window_detach(struct mkv_window *window);

/* Whether all of the bytes are in the part that `owner` shares, and where. */
bool mkv_window_finds(const struct mkv_window *window, const void *owner, const void *bytes,
                      uint64_t byte_count, uint64_t *offset);

#endif
