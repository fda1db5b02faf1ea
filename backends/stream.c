/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/stream.h"

#include <poll.h>
#include <unistd.h>

#include "backends/stream_tls.h"

void mkv_stream_open(struct mkv_stream *stream, struct mkv_ring *ring, int fd) {
    MKV_ASSERT(fd >= 0);
    *stream = (struct mkv_stream){.ring = ring, .fd = fd};
}

bool mkv_stream_is_established(const struct mkv_stream *stream) {
    return stream->tls == NULL || mkv_stream_tls_is_established(stream);
}

void mkv_stream_receive(struct mkv_stream *stream, void *bytes, uint32_t byte_count, bool all,
                        struct mkv_ring_completion *completion) {
    MKV_ASSERT(byte_count > 0);
    if (stream->tls != NULL) {
        mkv_stream_tls_receive(stream, bytes, byte_count, all, completion);
        return;
    }
    struct io_uring_sqe *sqe = mkv_ring_sqe(stream->ring, completion);
    io_uring_prep_recv(sqe, stream->fd, bytes, byte_count, all ? MSG_WAITALL : 0);
}

void mkv_stream_wait_readable(struct mkv_stream *stream, struct mkv_ring_completion *completion) {
    if (stream->tls != NULL) {
        mkv_stream_tls_wait_readable(stream, completion);
        return;
    }
    struct io_uring_sqe *sqe = mkv_ring_sqe(stream->ring, completion);
    io_uring_prep_poll_add(sqe, stream->fd, POLLIN | POLLRDHUP);
}

void mkv_stream_receive_cancel(struct mkv_stream *stream, struct mkv_ring_completion *completion) {
    if (stream->tls != NULL) {
        mkv_stream_tls_receive_cancel(stream);
        return;
    }
    /* What becomes of the cancelling shows in what it cancels. */
    struct io_uring_sqe *sqe = mkv_ring_sqe(stream->ring, NULL);
    io_uring_prep_cancel(sqe, completion, 0);
}

void mkv_stream_send(struct mkv_stream *stream, struct msghdr *message,
                     struct mkv_ring_completion *completion) {
    if (stream->tls != NULL) {
        mkv_stream_tls_send(stream, message, completion);
        return;
    }
    const int flags = MSG_NOSIGNAL | MSG_WAITALL;
    struct io_uring_sqe *sqe = mkv_ring_sqe(stream->ring, completion);
    if (message->msg_iovlen == 1) {
        const struct iovec *only = message->msg_iov;
        io_uring_prep_send(sqe, stream->fd, only->iov_base, only->iov_len, flags);
    } else {
        io_uring_prep_sendmsg(sqe, stream->fd, message, (unsigned)flags);
    }
}

void mkv_stream_shutdown_send(struct mkv_stream *stream) {
    if (stream->tls != NULL) {
        mkv_stream_tls_say_end(stream);
    }
    /* It fails only where the peer was first. */
    (void)shutdown(stream->fd, SHUT_WR);
}

void mkv_stream_abort(struct mkv_stream *stream) {
    if (stream->tls != NULL) {
        mkv_stream_tls_abort(stream);
    }
    (void)shutdown(stream->fd, SHUT_RDWR);
}

void mkv_stream_close(struct mkv_stream *stream) {
    MKV_ASSERT(stream->fd >= 0);
    if (stream->tls != NULL) {
        mkv_stream_tls_free(stream);
    }
    close(stream->fd);
    stream->fd = -1;
}

int mkv_stream_detach(struct mkv_stream *stream) {
    MKV_ASSERT(stream->fd >= 0);
    MKV_ASSERT(stream->tls == NULL);
    const int fd = stream->fd;
    stream->fd = -1;
    return fd;
}
