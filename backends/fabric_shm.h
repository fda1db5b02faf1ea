/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fabric shm: the native protocol for clients of the same machine. Frames go over a Unix
 * socket, and payload through memory that server and client share.
 *
 *   client                         Unix socket                         server
 *     HELLO, AUTH, requests    ==========================>    parsed, checked: as over TCP
 *                              <==========================    READY, DATA without payload, answers
 *                                  a window (shm_window.h)
 *     buffers of memkv_get,    +------------------------+
 *     data of memkv_put        | .. bytes .. | .. bytes |     one copy to or from a slab
 *                              +------------------------+
 *
 * There is no ring in shared memory: what is decided on comes by the socket, whose bytes nobody can
 * change after the server has them. A request costs two system calls more than a ring would, some
 * microseconds of the hundreds that a payload of 1 MiB takes (docs/adr/0015-shared-memory.md).
 *
 * Here is the socket. A fabric on it is one of fabric_tcp.h with `is_local`; each shard has one,
 * all on the one socket, and the kernel gives each connection to one of them.
 *
 * Invariants
 *  I1  A path that somebody serves is not taken from him; one that nobody serves any more is.
 *  I2  Who may do what is decided by who the kernel says the peer is (fabric_auth.h), not by who
 *      may open the path: it is open to all users.
 *
 * Not responsible for: windows (shm_window.h), connections and frames (fabric_tcp.h).
 */
#ifndef MKV_BACKENDS_FABRIC_SHM_H
#define MKV_BACKENDS_FABRIC_SHM_H

#include "backends/error.h"
#include "core/base.h"

/* Of a path, with its NUL: what a Unix socket's address has room for. */
#define MKV_FABRIC_SHM_PATH_BYTES 108u
/* Clients at a time. Each may have a window. */
#define MKV_FABRIC_SHM_CONNECTIONS_MAX 64u

/* Listens at `path`, which messages call `option`. The caller closes *fd, by unlisten. */
__attribute__((warn_unused_result)) bool mkv_fabric_shm_listen(const char *path, const char *option,
                                                               int *fd,
                                                               struct mkv_backend_error *error);
/* Closes the socket, and removes its path if it is still its own. */
void mkv_fabric_shm_unlisten(const char *path, int fd);

#endif
