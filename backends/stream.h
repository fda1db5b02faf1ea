/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The byte stream of one accepted socket on a ring: what a fabric receives and sends goes through
 * here, so that it does not know what is between it and the socket. A plain stream hands each call
 * to io_uring as it is, without a copy; with TLS see stream_tls.h.
 *
 *     open --> receive | wait_readable     one of them at a time; its completion is called
 *          --> send                        one at a time; its completion is called
 *          --> shutdown_send               no more is sent; what comes is still received
 *          --> abort                       both directions end, and with them what is in flight
 *          --> close                       nothing is in flight any more
 *
 * A completion's result is that of recv, poll or sendmsg: a count, 0 for the end of what the peer
 * sends, or a negative errno; -EPROTO for what goes against TLS. An owner that sees -EINTR or
 * -EAGAIN asks again.
 *
 * Invariants
 *  I1  At most one of receive and wait_readable, and one send, are in flight. The owner sees to it.
 *  I2  Memory that a receive or send names is untouched by its owner until the completion.
 *  I3  wait_readable holds no memory of the owner. Its completion says that a receive would not
 *      wait: bytes, the end or an error are there (a result above 0), or it was cancelled.
 *  I4  Completions are called from mkv_ring_wait alone, as those of the ring are.
 *
 * Not responsible for: accepting, addresses, timeouts, what the bytes mean.
 */
#ifndef MKV_BACKENDS_STREAM_H
#define MKV_BACKENDS_STREAM_H

#include <sys/socket.h>

#include "backends/ring.h"

struct mkv_stream_tls;
struct mkv_tls;

struct mkv_stream {
    struct mkv_ring *ring;
    struct mkv_stream_tls *tls; /* NULL: plain */
    int fd; /* -1: closed. For what is not a stream's business, such as getpeername */
};

/* Takes an accepted, blocking socket. */
void mkv_stream_open(struct mkv_stream *stream, struct mkv_ring *ring, int fd);

/* What a client is told, in the owner's protocol and in plain, that does not speak TLS. */
struct mkv_stream_plain_answer {
    const uint8_t *bytes; /* they stay */
    uint32_t byte_count;
};
/* The same with TLS, as its server. False, with the socket still the caller's, when there is no
 * memory. */
__attribute__((warn_unused_result)) bool mkv_stream_open_tls(
    struct mkv_stream *stream, struct mkv_ring *ring, int fd, struct mkv_tls *tls,
    struct mkv_stream_plain_answer plain_answer);
/* Whether the handshake is done; true of plain streams. */
bool mkv_stream_is_established(const struct mkv_stream *stream);

/* Receives what comes, at most byte_count > 0. With `all` the completion waits for all of it, and
 * has less only when the stream ends or fails. */
void mkv_stream_receive(struct mkv_stream *stream, void *bytes, uint32_t byte_count, bool all,
                        struct mkv_ring_completion *completion);
/* Completes when a receive would not wait. */
void mkv_stream_wait_readable(struct mkv_stream *stream, struct mkv_ring_completion *completion);
/* Has the receive or wait in flight complete soon: with -ECANCELED, unless it was faster. */
void mkv_stream_receive_cancel(struct mkv_stream *stream, struct mkv_ring_completion *completion);

/* Sends all of the message's iovecs, which stay with the message until the completion. One that
 * has less than all is to be gone on with from there. */
void mkv_stream_send(struct mkv_stream *stream, struct msghdr *message,
                     struct mkv_ring_completion *completion);

/* When no send is in flight. */
void mkv_stream_shutdown_send(struct mkv_stream *stream);
/* What is in flight completes soon, with whatever result. */
void mkv_stream_abort(struct mkv_stream *stream);
/* When nothing is in flight. */
void mkv_stream_close(struct mkv_stream *stream);
/* The same of a plain one, whose socket stays open and is the caller's: returned. */
int mkv_stream_detach(struct mkv_stream *stream);

#endif
