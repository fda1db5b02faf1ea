/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS behind the calls of a stream: stream.c comes here for streams that mkv_stream_open_tls
 * opened. The ring waits for the socket; what is there is then read, deciphered, enciphered and
 * written at once, a bounded amount at a time, so that nobody is held up for long.
 *
 *     receive, wait_readable                     send
 *          |                                       |
 *          v    readable (or there already)        v     a turn of the ring, then writable
 *        poll --------------------> SSL_read     nop --------------------> SSL_write --+
 *          ^                           |           ^                                   |
 *          +-- would wait, or enough --+           +------- would wait, or enough -----+
 *                                      +--> done                                       +--> done
 *
 * The handshake is made by whichever comes first. Whoever does not begin one, by a first byte that
 * no TLS begins with, is sent the plain answer that the owner gave.
 *
 * Invariants
 *  I1  A stream without bytes in it holds no buffer: only its session, about 10 KiB.
 *  I2  One turn moves at most STEP_BYTES. One round of the ring makes at most
 *      MKV_RING_COSTLY_MAX steps of handshakes, whoever else begins one waits for the next.
 *  I3  Behind an error of the session only errors follow, and nothing is written any more.
 *
 * Not responsible for: certificates (tls.h), the time that a handshake may take: the owner asks
 * mkv_stream_is_established.
 */
#ifndef MKV_BACKENDS_STREAM_TLS_H
#define MKV_BACKENDS_STREAM_TLS_H

#include "backends/stream.h"

struct mkv_stream_tls;

void mkv_stream_tls_receive(struct mkv_stream *stream, void *bytes, uint32_t byte_count, bool all,
                            struct mkv_ring_completion *completion);
void mkv_stream_tls_wait_readable(struct mkv_stream *stream,
                                  struct mkv_ring_completion *completion);
void mkv_stream_tls_receive_cancel(struct mkv_stream *stream);
void mkv_stream_tls_send(struct mkv_stream *stream, struct msghdr *message,
                         struct mkv_ring_completion *completion);
/* Says close_notify, if the session and the socket take it. */
void mkv_stream_tls_say_end(struct mkv_stream *stream);
void mkv_stream_tls_abort(struct mkv_stream *stream);
void mkv_stream_tls_free(struct mkv_stream *stream);
bool mkv_stream_tls_is_established(const struct mkv_stream *stream);

#endif
