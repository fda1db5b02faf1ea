/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/otlp.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "admin/otlp_transport.h"

#define NS_PER_S 1000000000ull
#define CACHE_LINE_BYTES 64
#define USER_AGENT_BYTES 192u

/* One producer's: it writes `committed`, the exporter's thread `taken`; both only grow. */
struct ring {
    struct mkv_span *spans;
    alignas(CACHE_LINE_BYTES) atomic_uint_fast64_t committed;
    uint64_t taken_seen; /* the producer's last look at `taken` */
    atomic_uint_fast64_t dropped;
    alignas(CACHE_LINE_BYTES) atomic_uint_fast64_t taken;
};

struct mkv_otlp {
    struct mkv_otlp_options options;
    struct mkv_otlp_encoder *encoder;
    struct mkv_otlp_transport *transport;
    struct ring *rings;
    struct mkv_span *batch;
    uint8_t *message; /* MKV_OTLP_PREFIX_BYTES, and behind them the message */
    uint64_t random;
    bool failing; /* what was reported last */
    atomic_uint_fast64_t give_up_ns;
    atomic_uint_fast64_t batch_spans;
    atomic_uint_fast64_t exported;
    atomic_uint_fast64_t lost;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    bool stopping; /* behind the mutex */
};

static uint64_t monotonic_ns(void) {
    struct timespec now;
    const int result = clock_gettime(CLOCK_MONOTONIC, &now);
    MKV_ASSERT(result == 0);
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

/* ---- producers ------------------------------------------------------------------------------ */

struct mkv_span *mkv_otlp_reserve(struct mkv_otlp *otlp, uint32_t producer) {
    MKV_ASSERT(producer < otlp->options.producer_count);
    struct ring *ring = &otlp->rings[producer];
    const uint64_t committed = atomic_load_explicit(&ring->committed, memory_order_relaxed);
    if (committed - ring->taken_seen >= otlp->options.ring_spans) {
        ring->taken_seen = atomic_load_explicit(&ring->taken, memory_order_acquire);
    }
    if (committed - ring->taken_seen >= otlp->options.ring_spans) {
        atomic_fetch_add_explicit(&ring->dropped, 1, memory_order_relaxed);
        return NULL;
    }
    struct mkv_span *span = &ring->spans[committed & (otlp->options.ring_spans - 1)];
    memset(span, 0, offsetof(struct mkv_span, attributes));
    return span;
}

void mkv_otlp_commit(struct mkv_otlp *otlp, uint32_t producer) {
    MKV_ASSERT(producer < otlp->options.producer_count);
    struct ring *ring = &otlp->rings[producer];
    const uint64_t committed = atomic_load_explicit(&ring->committed, memory_order_relaxed);
    atomic_store_explicit(&ring->committed, committed + 1, memory_order_release);
}

/* ---- the thread ----------------------------------------------------------------------------- */

/* Waits, unless it is time to end; whether it is. */
static bool pause_until(struct mkv_otlp *otlp, uint64_t until_ns) {
    const struct timespec until = {.tv_sec = (time_t)(until_ns / NS_PER_S),
                                   .tv_nsec = (long)(until_ns % NS_PER_S)};
    pthread_mutex_lock(&otlp->mutex);
    while (!otlp->stopping && monotonic_ns() < until_ns) {
        (void)pthread_cond_timedwait(&otlp->wake, &otlp->mutex, &until);
    }
    const bool stopping = otlp->stopping;
    pthread_mutex_unlock(&otlp->mutex);
    return stopping;
}

/* Takes what the rings hold, each in turn, as much as one message may have. */
static uint32_t gather(struct mkv_otlp *otlp) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < otlp->options.producer_count; i++) {
        struct ring *ring = &otlp->rings[i];
        uint64_t taken = atomic_load_explicit(&ring->taken, memory_order_relaxed);
        const uint64_t committed = atomic_load_explicit(&ring->committed, memory_order_acquire);
        MKV_ASSERT(committed - taken <= otlp->options.ring_spans);
        while (taken < committed && count < MKV_OTLP_BATCH_SPANS_MAX) {
            otlp->batch[count] = ring->spans[taken & (otlp->options.ring_spans - 1)];
            count++;
            taken++;
        }
        /* Counted as part of the batch before it is counted as taken, never as neither. */
        atomic_store_explicit(&otlp->batch_spans, count, memory_order_relaxed);
        atomic_store_explicit(&ring->taken, taken, memory_order_release);
    }
    return count;
}

/* What is sent, for people. */
static const char *noun(const struct mkv_otlp *otlp) {
    return otlp->options.kind == MKV_OTLP_SPANS ? "spans" : "log records";
}

static void report(struct mkv_otlp *otlp, bool failing, const char *text) {
    if (otlp->failing != failing && otlp->options.report != NULL) {
        otlp->options.report(otlp->options.report_context, failing, text);
    }
    otlp->failing = failing;
}

static void settle_delivered(struct mkv_otlp *otlp, uint32_t count,
                             const struct mkv_otlp_answer *answer) {
    const uint64_t rejected =
        mkv_min_u64(count, mkv_otlp_rejected(answer->message, answer->message_bytes));
    atomic_fetch_add_explicit(&otlp->exported, count - rejected, memory_order_relaxed);
    atomic_fetch_add_explicit(&otlp->lost, rejected, memory_order_relaxed);
    char text[MKV_OTLP_REPORT_BYTES];
    if (rejected == 0) {
        snprintf(text, sizeof text, "%s are delivered to the collector again", noun(otlp));
    } else {
        snprintf(text, sizeof text,
                 "the collector at %s rejected %" PRIu64 " of %" PRIu32 " %s; look at its log",
                 otlp->options.endpoint.base, rejected, count, noun(otlp));
    }
    report(otlp, rejected > 0, text);
}

static void settle_lost(struct mkv_otlp *otlp, uint32_t count, const char *problem) {
    atomic_fetch_add_explicit(&otlp->lost, count, memory_order_relaxed);
    char text[MKV_OTLP_REPORT_BYTES];
    snprintf(text, sizeof text,
             "%s cannot be delivered to the collector at %s and are dropped: %s; look whether it "
             "runs and takes OTLP over %s there",
             noun(otlp), otlp->options.endpoint.base, problem,
             otlp->options.endpoint.grpc ? "gRPC" : "HTTP");
    report(otlp, true, text);
}

/* The pause, and by chance up to half of it more, so that many nodes do not come back at once. */
static uint64_t with_chance(struct mkv_otlp *otlp, uint64_t pause_ns) {
    /* xorshift: https://www.jstatsoft.org/article/view/v008i14 */
    otlp->random ^= otlp->random << 13;
    otlp->random ^= otlp->random >> 7;
    otlp->random ^= otlp->random << 17;
    return pause_ns + otlp->random % (pause_ns / 2 + 1);
}

/* Tries until the batch is delivered, refused, or not worth another try. When it is time to end
 * each batch has one try; returns false when the next ones need none. */
static bool deliver(struct mkv_otlp *otlp, uint32_t count) {
    const struct mkv_otlp_options *options = &otlp->options;
    const bool is_spans = options->kind == MKV_OTLP_SPANS;
    uint8_t *message = otlp->message + MKV_OTLP_PREFIX_BYTES;
    const size_t bytes = is_spans
                             ? mkv_otlp_encode_spans(otlp->encoder, otlp->batch, count, message)
                             : mkv_otlp_encode_logs(otlp->encoder, otlp->batch, count, message);
    const uint64_t end_ns = monotonic_ns() + options->retry_ns;
    uint64_t pause_ns = options->pause_ns_first;
    for (;;) {
        struct mkv_otlp_answer answer;
        mkv_otlp_transport_send(otlp->transport, is_spans ? &mkv_otlp_traces : &mkv_otlp_logs,
                                otlp->message, bytes, options->timeout_ns, &answer);
        if (answer.outcome == MKV_OTLP_DELIVERED) {
            settle_delivered(otlp, count, &answer);
            return true;
        }
        const uint64_t again_ns =
            monotonic_ns() + mkv_max_u64(with_chance(otlp, pause_ns), answer.retry_after_ns);
        const bool is_over = answer.outcome == MKV_OTLP_REFUSED || again_ns > end_ns;
        if (is_over || pause_until(otlp, again_ns)) {
            settle_lost(otlp, count, answer.problem);
            return answer.outcome == MKV_OTLP_REFUSED;
        }
        pause_ns = mkv_min_u64(pause_ns * 2, options->pause_ns_max);
    }
}

static void drop_rest(struct mkv_otlp *otlp) {
    uint32_t count;
    while ((count = gather(otlp)) > 0) {
        atomic_fetch_add_explicit(&otlp->lost, count, memory_order_relaxed);
    }
}

static void *run(void *context) {
    struct mkv_otlp *otlp = context;
    bool stopping = false;
    while (!stopping) {
        stopping = pause_until(otlp, monotonic_ns() + otlp->options.interval_ns);
        uint32_t count;
        bool goes_on = true;
        while (goes_on && (count = gather(otlp)) > 0) {
            goes_on =
                deliver(otlp, count) &&
                monotonic_ns() < atomic_load_explicit(&otlp->give_up_ns, memory_order_relaxed);
            atomic_store_explicit(&otlp->batch_spans, 0, memory_order_release);
        }
    }
    drop_rest(otlp);
    atomic_store_explicit(&otlp->batch_spans, 0, memory_order_release);
    return NULL;
}

/* ---- start and stop ------------------------------------------------------------------------- */

static void release(struct mkv_otlp *otlp) {
    for (uint32_t i = 0; otlp->rings != NULL && i < otlp->options.producer_count; i++) {
        free(otlp->rings[i].spans);
    }
    free(otlp->rings);
    free(otlp->batch);
    free(otlp->message);
    mkv_otlp_encoder_destroy(otlp->encoder);
    mkv_otlp_transport_destroy(otlp->transport);
    free(otlp);
}

static bool allocate(struct mkv_otlp *otlp) {
    const struct mkv_otlp_options *options = &otlp->options;
    char user_agent[USER_AGENT_BYTES];
    snprintf(user_agent, sizeof user_agent, "memkv/%s", options->resource.service_version);
    otlp->encoder = mkv_otlp_encoder_create(&options->resource);
    otlp->transport = mkv_otlp_transport_create(&options->endpoint, user_agent, &otlp->give_up_ns);
    otlp->batch = calloc(MKV_OTLP_BATCH_SPANS_MAX, sizeof *otlp->batch);
    otlp->message = malloc(MKV_OTLP_PREFIX_BYTES + MKV_OTLP_MESSAGE_BYTES_MAX);
    const size_t ring_bytes = options->producer_count * sizeof *otlp->rings;
    otlp->rings = aligned_alloc(CACHE_LINE_BYTES, ring_bytes);
    if (otlp->rings == NULL) {
        return false;
    }
    memset(otlp->rings, 0, ring_bytes);
    bool has_all = otlp->encoder != NULL && otlp->transport != NULL && otlp->batch != NULL &&
                   otlp->message != NULL;
    for (uint32_t i = 0; i < options->producer_count; i++) {
        otlp->rings[i].spans = calloc(options->ring_spans, sizeof(struct mkv_span));
        has_all = has_all && otlp->rings[i].spans != NULL;
    }
    return has_all;
}

struct mkv_otlp *mkv_otlp_start(const struct mkv_otlp_options *options) {
    MKV_ASSERT(options->producer_count >= 1);
    MKV_ASSERT(options->producer_count <= MKV_OTLP_PRODUCERS_MAX);
    MKV_ASSERT(options->ring_spans > 0);
    MKV_ASSERT((options->ring_spans & (options->ring_spans - 1)) == 0);
    struct mkv_otlp *otlp = calloc(1, sizeof *otlp);
    if (otlp == NULL) {
        return NULL;
    }
    otlp->options = *options;
    atomic_init(&otlp->give_up_ns, UINT64_MAX);
    if (getrandom(&otlp->random, sizeof otlp->random, 0) != (ssize_t)sizeof otlp->random ||
        otlp->random == 0) {
        otlp->random = 1; /* any number does: it only spreads pauses */
    }
    if (!allocate(otlp)) {
        release(otlp);
        return NULL;
    }
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&otlp->wake, &attributes);
    pthread_condattr_destroy(&attributes);
    pthread_mutex_init(&otlp->mutex, NULL);
    if (pthread_create(&otlp->thread, NULL, run, otlp) != 0) {
        pthread_cond_destroy(&otlp->wake);
        pthread_mutex_destroy(&otlp->mutex);
        release(otlp);
        return NULL;
    }
    (void)pthread_setname_np(otlp->thread, "memkv-otlp");
    return otlp;
}

void mkv_otlp_stop(struct mkv_otlp *otlp, struct mkv_otlp_counts *counts) {
    if (otlp == NULL) {
        return;
    }
    atomic_store_explicit(&otlp->give_up_ns, monotonic_ns() + otlp->options.flush_ns,
                          memory_order_relaxed);
    pthread_mutex_lock(&otlp->mutex);
    otlp->stopping = true;
    pthread_cond_signal(&otlp->wake);
    pthread_mutex_unlock(&otlp->mutex);
    pthread_join(otlp->thread, NULL);
    if (counts != NULL) {
        mkv_otlp_counts(otlp, counts);
    }
    pthread_cond_destroy(&otlp->wake);
    pthread_mutex_destroy(&otlp->mutex);
    release(otlp);
}

void mkv_otlp_counts(struct mkv_otlp *otlp, struct mkv_otlp_counts *counts) {
    *counts = (struct mkv_otlp_counts){0};
    /* Along the way of a span, so that one that moves on meanwhile is seen twice and never missed:
     * from its ring into the batch, and from there to those that are exported or lost. */
    for (uint32_t i = 0; i < otlp->options.producer_count; i++) {
        const struct ring *ring = &otlp->rings[i];
        const uint64_t taken = atomic_load_explicit(&ring->taken, memory_order_acquire);
        counts->dropped += atomic_load_explicit(&ring->dropped, memory_order_relaxed);
        counts->waiting += atomic_load_explicit(&ring->committed, memory_order_relaxed) - taken;
    }
    counts->waiting += atomic_load_explicit(&otlp->batch_spans, memory_order_acquire);
    counts->exported = atomic_load_explicit(&otlp->exported, memory_order_relaxed);
    counts->dropped += atomic_load_explicit(&otlp->lost, memory_order_relaxed);
}
