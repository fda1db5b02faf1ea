/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/stream_tls.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "backends/tls.h"

/* Of one turn: about 100 us of a core. */
#define STEP_BYTES (256u * 1024u)
/* What one record holds. Pieces of a message that are smaller share one. */
#define RECORD_BYTES 16384u
/* The type of a record that begins a handshake: no client's first byte is another. */
#define RECORD_HANDSHAKE 0x16u
/* Of a plain client's bytes so many are taken, so that closing throws away no answer. */
#define PLAIN_BYTES 4096u

enum receiving {
    RECEIVING_NONE = 0,
    RECEIVING_BYTES,
    RECEIVING_WAIT,
};

struct mkv_stream_tls {
    struct mkv_stream *stream;
    SSL *ssl;
    struct mkv_stream_plain_answer plain_answer;
    bool is_tls;      /* the client's first byte has been looked at */
    bool established; /* the handshake is done */
    bool failed;      /* I3 */
    int problem;      /* what receives say behind it */
    bool aborted;

    struct mkv_ring_completion in; /* of the ring; `receive` is the owner's, as `send` is */
    struct mkv_ring_completion *receive;
    enum receiving receiving;
    bool cancelled;
    bool all;
    uint8_t *bytes;
    uint32_t byte_count;
    uint32_t filled;

    struct mkv_ring_completion out;
    struct mkv_ring_completion *send;
    const struct iovec *iovecs;
    size_t iovec_count;
    size_t skipped; /* bytes of the first of them that are written */
    size_t sent;
};

/* What became of a call of the session. */
enum outcome {
    OUTCOME_MOVED = 0,
    OUTCOME_WANTS_READ,
    OUTCOME_WANTS_WRITE,
    OUTCOME_WANTS_TURN, /* others are shaking hands in this one */
    OUTCOME_ENDED,      /* by close_notify */
    OUTCOME_BROKEN,     /* the session or the socket */
};

/* ---- the session ---------------------------------------------------------------------------- */

static enum outcome outcome_of(struct mkv_stream_tls *tls, int result) {
    if (result > 0) {
        return OUTCOME_MOVED;
    }
    switch (SSL_get_error(tls->ssl, result)) {
    case SSL_ERROR_WANT_READ:
        return OUTCOME_WANTS_READ;
    case SSL_ERROR_WANT_WRITE:
        return OUTCOME_WANTS_WRITE;
    case SSL_ERROR_ZERO_RETURN:
        return OUTCOME_ENDED;
    case SSL_ERROR_SYSCALL:
        tls->problem = ECONNRESET;
        break;
    default:
        tls->problem = ERR_GET_REASON(ERR_peek_error()) == SSL_R_UNEXPECTED_EOF_WHILE_READING
                           ? ECONNRESET
                           : EPROTO;
        break;
    }
    ERR_clear_error();
    tls->failed = true;
    return OUTCOME_BROKEN;
}

/* Whoever speaks in plain is told so. */
static void answer_plain(struct mkv_stream_tls *tls) {
    uint8_t bytes[PLAIN_BYTES];
    const int fd = tls->stream->fd;
    tls->failed = true;
    tls->problem = EPROTO;
    (void)recv(fd, bytes, sizeof bytes, MSG_DONTWAIT);
    (void)send(fd, tls->plain_answer.bytes, tls->plain_answer.byte_count,
               MSG_DONTWAIT | MSG_NOSIGNAL);
    (void)shutdown(fd, SHUT_WR);
}

/* Looks at the client's first byte, which stays there. */
static enum outcome look_at_first(struct mkv_stream_tls *tls) {
    uint8_t first;
    const ssize_t count = recv(tls->stream->fd, &first, 1, MSG_PEEK | MSG_DONTWAIT);
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) {
        return OUTCOME_WANTS_READ;
    }
    if (count == 0) {
        return OUTCOME_ENDED;
    }
    if (count < 0) {
        tls->failed = true;
        tls->problem = ECONNRESET;
        return OUTCOME_BROKEN;
    }
    tls->is_tls = true;
    if (first != RECORD_HANDSHAKE) {
        answer_plain(tls);
        return OUTCOME_BROKEN;
    }
    return OUTCOME_MOVED;
}

/* MOVED when the handshake is done. */
static enum outcome establish(struct mkv_stream_tls *tls) {
    if (tls->failed || tls->aborted) {
        return OUTCOME_BROKEN;
    }
    if (tls->established) {
        return OUTCOME_MOVED;
    }
    if (!tls->is_tls) {
        const enum outcome outcome = look_at_first(tls);
        if (outcome != OUTCOME_MOVED) {
            return outcome;
        }
    }
    if (!mkv_ring_take_costly(tls->stream->ring)) {
        return OUTCOME_WANTS_TURN;
    }
    ERR_clear_error();
    const enum outcome outcome = outcome_of(tls, SSL_do_handshake(tls->ssl));
    tls->established = outcome == OUTCOME_MOVED;
    return outcome;
}

/* ---- waiting -------------------------------------------------------------------------------- */

/* Comes back in the ring's next turn. */
static void turn(struct mkv_stream_tls *tls, struct mkv_ring_completion *completion) {
    io_uring_prep_nop(mkv_ring_sqe(tls->stream->ring, completion));
}

static bool is_to_wait(enum outcome outcome) {
    return outcome == OUTCOME_WANTS_READ || outcome == OUTCOME_WANTS_WRITE ||
           outcome == OUTCOME_WANTS_TURN;
}

static void await(struct mkv_stream_tls *tls, struct mkv_ring_completion *completion,
                  enum outcome outcome) {
    if (outcome == OUTCOME_WANTS_TURN) {
        turn(tls, completion);
        return;
    }
    const unsigned events = outcome == OUTCOME_WANTS_WRITE ? POLLOUT : POLLIN;
    io_uring_prep_poll_add(mkv_ring_sqe(tls->stream->ring, completion), tls->stream->fd, events);
}

/* ---- receiving ------------------------------------------------------------------------------ */

static void in_done(struct mkv_stream_tls *tls, int32_t result) {
    struct mkv_ring_completion *owner = tls->receive;
    tls->receiving = RECEIVING_NONE;
    tls->receive = NULL;
    owner->arrived_ns = tls->in.arrived_ns;
    owner->done(owner, result, 0);
}

/* One call of the session for what is being received. */
static enum outcome read_some(struct mkv_stream_tls *tls) {
    uint8_t byte;
    size_t count = 0;
    ERR_clear_error();
    if (tls->receiving == RECEIVING_WAIT) {
        return outcome_of(tls, SSL_peek_ex(tls->ssl, &byte, 1, &count));
    }
    const enum outcome outcome =
        outcome_of(tls, SSL_read_ex(tls->ssl, tls->bytes + tls->filled,
                                    tls->byte_count - tls->filled, &count));
    tls->filled += outcome == OUTCOME_MOVED ? (uint32_t)count : 0;
    return outcome;
}

static bool has_enough(const struct mkv_stream_tls *tls) {
    return tls->receiving == RECEIVING_WAIT ||
           (tls->all ? tls->filled == tls->byte_count : tls->filled > 0);
}

static void in_turn(struct mkv_ring_completion *completion, int32_t result, uint32_t flags) {
    struct mkv_stream_tls *tls =
        (struct mkv_stream_tls *)((char *)completion - offsetof(struct mkv_stream_tls, in));
    (void)result; /* what there is, the session tells */
    (void)flags;
    MKV_ASSERT(tls->receiving != RECEIVING_NONE);
    const uint32_t begin = tls->filled;
    enum outcome outcome = establish(tls);
    while (outcome == OUTCOME_MOVED) {
        outcome = read_some(tls);
        if (outcome == OUTCOME_MOVED && has_enough(tls)) {
            in_done(tls, tls->receiving == RECEIVING_WAIT ? 1 : (int32_t)tls->filled);
            return;
        }
        if (outcome == OUTCOME_MOVED && tls->filled - begin >= STEP_BYTES) {
            turn(tls, &tls->in);
            return;
        }
    }
    if (is_to_wait(outcome)) {
        if (tls->cancelled) {
            in_done(tls, tls->filled > 0 ? (int32_t)tls->filled : -ECANCELED);
        } else {
            await(tls, &tls->in, outcome);
        }
        return;
    }
    if (tls->filled > 0) {
        in_done(tls, (int32_t)tls->filled); /* the next receive finds the end */
    } else if (tls->receiving == RECEIVING_WAIT) {
        in_done(tls, 1);
    } else {
        in_done(tls, outcome == OUTCOME_ENDED ? 0 : -tls->problem);
    }
}

static void in_begin(struct mkv_stream_tls *tls, enum receiving receiving,
                     struct mkv_ring_completion *completion) {
    MKV_ASSERT(tls->receiving == RECEIVING_NONE);
    tls->receiving = receiving;
    tls->receive = completion;
    tls->cancelled = false;
    tls->filled = 0;
    /* close_notify, once taken, shows neither as pending bytes nor on the socket. */
    const bool has_ended = (SSL_get_shutdown(tls->ssl) & SSL_RECEIVED_SHUTDOWN) != 0;
    const bool is_there =
        has_ended || tls->failed || tls->aborted || SSL_has_pending(tls->ssl) == 1;
    if (is_there) {
        turn(tls, &tls->in);
    } else {
        await(tls, &tls->in, OUTCOME_WANTS_READ);
    }
}

void mkv_stream_tls_receive(struct mkv_stream *stream, void *bytes, uint32_t byte_count, bool all,
                            struct mkv_ring_completion *completion) {
    struct mkv_stream_tls *tls = stream->tls;
    tls->bytes = bytes;
    tls->byte_count = byte_count;
    tls->all = all;
    in_begin(tls, RECEIVING_BYTES, completion);
}

void mkv_stream_tls_wait_readable(struct mkv_stream *stream,
                                  struct mkv_ring_completion *completion) {
    in_begin(stream->tls, RECEIVING_WAIT, completion);
}

void mkv_stream_tls_receive_cancel(struct mkv_stream *stream) {
    struct mkv_stream_tls *tls = stream->tls;
    tls->cancelled = true;
    io_uring_prep_cancel(mkv_ring_sqe(stream->ring, NULL), &tls->in, 0);
}

/* ---- sending -------------------------------------------------------------------------------- */

static void out_done(struct mkv_stream_tls *tls, int32_t result) {
    struct mkv_ring_completion *owner = tls->send;
    tls->send = NULL;
    owner->arrived_ns = tls->out.arrived_ns;
    owner->done(owner, result, 0);
}

/* The next bytes of the message, at most a record: where they are, or `record` filled with them
 * where they are in pieces. It comes to the same again until they are written. */
static const uint8_t *gather(const struct mkv_stream_tls *tls, uint8_t record[RECORD_BYTES],
                             size_t *byte_count) {
    const struct iovec *first = tls->iovecs;
    const uint8_t *bytes = (const uint8_t *)first->iov_base + tls->skipped;
    const size_t left = first->iov_len - tls->skipped;
    if (left >= RECORD_BYTES || tls->iovec_count == 1) {
        *byte_count = left < RECORD_BYTES ? left : RECORD_BYTES;
        return bytes;
    }
    memcpy(record, bytes, left);
    *byte_count = left;
    for (size_t i = 1; i < tls->iovec_count && *byte_count < RECORD_BYTES; i++) {
        const size_t room = RECORD_BYTES - *byte_count;
        const size_t count = first[i].iov_len < room ? first[i].iov_len : room;
        memcpy(record + *byte_count, first[i].iov_base, count);
        *byte_count += count;
    }
    return record;
}

static void skip(struct mkv_stream_tls *tls, size_t byte_count) {
    tls->sent += byte_count;
    tls->skipped += byte_count;
    while (tls->iovec_count > 0 && tls->skipped >= tls->iovecs->iov_len) {
        tls->skipped -= tls->iovecs->iov_len;
        tls->iovecs++;
        tls->iovec_count--;
    }
}

static void out_turn(struct mkv_ring_completion *completion, int32_t result, uint32_t flags) {
    struct mkv_stream_tls *tls =
        (struct mkv_stream_tls *)((char *)completion - offsetof(struct mkv_stream_tls, out));
    (void)result;
    (void)flags;
    MKV_ASSERT(tls->send != NULL);
    uint8_t record[RECORD_BYTES];
    const size_t begin = tls->sent;
    enum outcome outcome = establish(tls);
    while (outcome == OUTCOME_MOVED) {
        size_t byte_count = 0;
        size_t written = 0;
        const uint8_t *bytes = gather(tls, record, &byte_count);
        ERR_clear_error();
        outcome = outcome_of(tls, SSL_write_ex(tls->ssl, bytes, byte_count, &written));
        if (outcome != OUTCOME_MOVED) {
            break;
        }
        skip(tls, written);
        if (tls->iovec_count == 0) {
            out_done(tls, (int32_t)tls->sent);
            return;
        }
        if (tls->sent - begin >= STEP_BYTES) {
            turn(tls, &tls->out);
            return;
        }
    }
    if (is_to_wait(outcome)) {
        await(tls, &tls->out, outcome);
    } else {
        out_done(tls, -EPIPE);
    }
}

void mkv_stream_tls_send(struct mkv_stream *stream, struct msghdr *message,
                         struct mkv_ring_completion *completion) {
    struct mkv_stream_tls *tls = stream->tls;
    MKV_ASSERT(tls->send == NULL);
    tls->send = completion;
    tls->iovecs = message->msg_iov;
    tls->iovec_count = message->msg_iovlen;
    tls->skipped = 0;
    tls->sent = 0;
    turn(tls, &tls->out);
}

/* ---- begin and end -------------------------------------------------------------------------- */

bool mkv_stream_open_tls(struct mkv_stream *stream, struct mkv_ring *ring, int fd,
                         struct mkv_tls *context, struct mkv_stream_plain_answer plain_answer) {
    struct mkv_stream_tls *tls = calloc(1, sizeof *tls);
    SSL *ssl = mkv_tls_session(context, fd);
    if (tls == NULL || ssl == NULL) {
        SSL_free(ssl);
        free(tls);
        return false;
    }
    mkv_stream_open(stream, ring, fd);
    stream->tls = tls;
    tls->stream = stream;
    tls->ssl = ssl;
    tls->plain_answer = plain_answer;
    tls->problem = ECONNABORTED; /* of the owner's abort, unless something was before it */
    tls->in.done = in_turn;
    tls->out.done = out_turn;
    return true;
}

bool mkv_stream_tls_is_established(const struct mkv_stream *stream) {
    return stream->tls->established;
}

void mkv_stream_tls_say_end(struct mkv_stream *stream) {
    struct mkv_stream_tls *tls = stream->tls;
    if (tls->established && !tls->failed && !tls->aborted && tls->send == NULL) {
        ERR_clear_error();
        (void)SSL_shutdown(tls->ssl); /* a client whose socket is full does not miss it */
        ERR_clear_error();
    }
}

void mkv_stream_tls_abort(struct mkv_stream *stream) {
    mkv_stream_tls_say_end(stream);
    stream->tls->aborted = true;
}

void mkv_stream_tls_free(struct mkv_stream *stream) {
    struct mkv_stream_tls *tls = stream->tls;
    MKV_ASSERT(tls->receiving == RECEIVING_NONE);
    MKV_ASSERT(tls->send == NULL);
    SSL_free(tls->ssl);
    free(tls);
    stream->tls = NULL;
}
