/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every fabric is to the pump that drives it: it hands requests and completions to a sink, and
 * takes the front's PULL, PUSH, ANSWER and BREAK.
 *
 *            sink.input(REQUEST, FABRIC_DONE)
 *   fabric ----------------------------------> pump ---> front
 *          <----------------------------------      <---
 *            submit(PULL, PUSH, ANSWER, BREAK)
 *
 * Invariants
 *  I1  submit never calls the sink: completions come from poll, or from the callbacks of the ring.
 *  I2  The sink may call submit, for the same connection too.
 *  I3  What an input points to is good until the sink returns. The sink sets now_ns and wall_ms.
 *  I4  Completions keep the contract of core/io.h: each once, and those of a broken connection
 *      before its CONNECTION_CLOSED. A connection that handed in no request ends without one.
 *
 * Not responsible for: which protocol a fabric speaks, and who its clients are.
 */
#ifndef MKV_BACKENDS_FABRIC_H
#define MKV_BACKENDS_FABRIC_H

#include "core/histogram.h"
#include "core/io.h"
#include "wire/lane.h"
#include "wire/native.h"

struct mkv_fabric;
struct mkv_fabric_counters;

/* Who is at the other end of a connection. Texts are "" where there is nothing to say. */
struct mkv_fabric_client {
    char address[64]; /* "10.0.0.7:41234" */
    char name[49];    /* that it gave itself, cleaned of what is no printable ASCII */
    char tenant[MKV_TENANT_STORED_NAME_BYTES_MAX + 1];
    uint64_t connected_ns; /* on the monotonic clock */
};

struct mkv_fabric_ops {
    /* `front_arena` is what results_offset counts from; it stays where it is. */
    void (*submit)(struct mkv_fabric *fabric, const struct mkv_effect *effect,
                   const uint8_t *front_arena);
    /* Once in each round, before waiting: hands out what has completed, and posts what is to be
     * sent. A bounded amount of work. */
    void (*poll)(struct mkv_fabric *fabric, uint64_t now_ns);
    /* The same while the drives are being opened, for a fabric that tells clients so: it hands out
     * nothing. NULL: it is not polled before they are open. */
    void (*poll_opening)(struct mkv_fabric *fabric, uint64_t now_ns);
    /* Whether the next poll has work that no completion of the ring will announce: don't wait. */
    bool (*has_work)(const struct mkv_fabric *fabric);
    /* Takes no further connection or request; those in flight go on. */
    void (*drain)(struct mkv_fabric *fabric);
    /* Breaks every connection. */
    void (*stop)(struct mkv_fabric *fabric);
    /* True after drain or stop when no connection, and nothing in the kernel, is left. */
    bool (*is_idle)(const struct mkv_fabric *fabric);
    /* When it is idle, or was never polled. */
    void (*destroy)(struct mkv_fabric *fabric);
    const struct mkv_fabric_counters *(*counters)(const struct mkv_fabric *fabric);
    /* Of a connection that has handed in a request, until its CONNECTION_CLOSED. */
    void (*describe)(const struct mkv_fabric *fabric, struct mkv_connection_id id,
                     struct mkv_fabric_client *client);
};

struct mkv_fabric_sink {
    void *context;
    void (*input)(void *context, struct mkv_input *input);
};

/* The first member of each fabric. Whoever drives it sets `sink`, before the first poll. */
struct mkv_fabric {
    const struct mkv_fabric_ops *ops;
    struct mkv_fabric_sink sink;
};

/* Why a connection was closed on a client: the errors of wire/native.h, then those of a
 * conversation whose frames are well formed. */
enum mkv_fabric_fault {
    MKV_FABRIC_FAULT_NO_HELLO = MKV_NATIVE_ERROR_COUNT, /* another frame came first */
    MKV_FABRIC_FAULT_HELLO_TWICE,
    MKV_FABRIC_FAULT_NOT_A_REQUEST, /* READY or an answer, which only servers send */
    MKV_FABRIC_FAULT_ABOVE_LIMIT,   /* of items, body or inline payload in the HELLO answer */
    MKV_FABRIC_FAULT_REQUEST_ID,    /* names a request that is in flight */
    MKV_FABRIC_FAULT_REQUESTS,      /* more in flight than the HELLO answer allows */
    MKV_FABRIC_FAULT_DATA_UNASKED,  /* DATA when no READY is outstanding */
    MKV_FABRIC_FAULT_DATA_MISMATCH, /* DATA that is not what the oldest READY asks for */
    MKV_FABRIC_FAULT_SILENT,        /* no HELLO in time */
    MKV_FABRIC_FAULT_TENANTS,       /* an inline PUT of a new tenant, for which there is no room */
    MKV_FABRIC_FAULT_STALLED,       /* stopped in the middle of a frame, or takes no bytes */
    MKV_FABRIC_FAULT_KEY_MISSING,   /* HELLO names no key, and one is needed */
    MKV_FABRIC_FAULT_KEY_WRONG,     /* an unknown key, one that is out of date, a wrong proof */
    MKV_FABRIC_FAULT_KEY_UNASKED, /* HELLO names a key where there are none; AUTH that is not due */
    MKV_FABRIC_FAULT_AUTH_FIRST,  /* another frame where AUTH is due */
    MKV_FABRIC_FAULT_KEY_TENANT,  /* the key has no right to HELLO's tenant */
    MKV_FABRIC_FAULT_TLS,         /* no TLS where TLS is spoken, or a handshake that failed */
    MKV_FABRIC_FAULT_DATA_ROOT,   /* the payload of DATA does not have the root that it names */
    MKV_FABRIC_FAULT_WINDOW,      /* a place outside of the window, or a WINDOW that is not due */
    MKV_FABRIC_FAULT_RDMA,        /* a CONNECT or TAKEN that is not due, memory without a lane */
};
#define MKV_FABRIC_FAULT_COUNT (MKV_NATIVE_ERROR_COUNT + 20u)

/* The word of a fault in metrics: "bad_checksum", "no_hello" …; for 1 … MKV_FABRIC_FAULT_COUNT - 1.
 */
const char *mkv_fabric_fault_name(uint32_t fault);
/* The sentence that the client gets. */
const char *mkv_fabric_fault_text(uint32_t fault);
/* The status that goes with it: INVALID, or FORBIDDEN for those of keys. */
enum mkv_status mkv_fabric_fault_status(uint32_t fault);

/* Counts since creation, but for connections_active. Written by the fabric's thread alone. */
struct mkv_fabric_counters {
    uint64_t connections_active;
    uint64_t connections_accepted_total;
    uint64_t connections_rejected_total; /* connections_max were there already, or draining;
                                          * or it is not served (fabric_auth.h) */
    uint64_t connections_broken_total;   /* closed with operations of the front outstanding */
    uint64_t received_bytes_total;       /* payload of completed PULLs */
    uint64_t sent_bytes_total;           /* payload of completed PUSHes */
    uint64_t received_frames_total;
    uint64_t sent_frames_total;
    uint64_t receive_pauses_total; /* a client waited for a buffer or for its own reading */
    uint64_t faults_total[MKV_FABRIC_FAULT_COUNT]; /* by mkv_native_error, then mkv_fabric_fault */
};

/* Of connections that go on over RDMA, in counts since creation but for connections_active; they
 * count among those above, too. The same thread writes them. All of it is uint64_t. */
struct mkv_fabric_lane_counters {
    uint64_t connections_active;
    uint64_t connects_total; /* CONNECTs, refused ones too */
    uint64_t opened_total;   /* of these: full packets went both ways */
    /* CONNECTs that were refused, of clients that had no lane before; fallbacks_total has those. */
    uint64_t refusals_total[MKV_NATIVE_REFUSAL_COUNT];
    uint64_t received_bytes_total; /* payload of completed PULLs */
    uint64_t sent_bytes_total;     /* payload of completed PUSHes */
    uint64_t errors_total;         /* work requests that failed, the flushed ones too */
    uint64_t failures_total[MKV_LANE_REASON_COUNT];      /* lanes that broke, by the first reason */
    uint64_t fallbacks_total[MKV_NATIVE_FALLBACK_COUNT]; /* connections of clients that had RDMA */
    uint64_t recoveries_total;                           /* that went back to it */
    struct mkv_histogram read;                           /* READs from post to completion */
    struct mkv_histogram write;                          /* WRITEs */
};

#endif
