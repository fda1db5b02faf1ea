/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One end of a reliable queue pair, a lane: what may be posted when, what a completion means, and
 * when a buffer is its owner's again. Both sides, the daemon and the library, over verbs and in the
 * simulator, are this machine; whoever drives it does what its effects say and tells it what came
 * of it.
 *
 *   driver:  one input or several (any function below that takes a lane and is no question)
 *            mkv_lane_effects(lane, out, max) until it returns 0
 *            What several inputs post before that goes out as one chain.
 *
 *            connected              probed                  any failure, event, stop, time
 *   IDLE ---------------> PROBING ---------> OPEN --------------------------------+
 *                            |                                                    v
 *                            +---------------------------------------------> STOPPING
 *                                     queue pair in its error state,              |
 *                                     everything posted has completed, or         v
 *                                     the queue pair was destroyed             DRAINED
 *
 *   SEND    messages of at most message_bytes with a header of 16 bytes: a stream of bytes is cut
 *           into them, in order. One is sent only where the peer has a receive for it (credit);
 *           credits come back in headers, and in a message of their own when none is due.
 *   PROBE   the client's first message is as large as messages get, and so is its answer: packets
 *           of the full MTU go both ways before anything depends on them. The client is open when
 *           the answer has come, the server when its answer has arrived.
 *   READ    the server's, from memory that a request names: a PUT's payload.
 *   WRITE   the server's, to memory that a request names; the peer sees the message behind it when
 *           all bytes of the WRITE are there.
 *   EXPOSE  the client's: memory that the peer may read or write until the request is answered.
 *
 * Invariants
 *  L1  What was posted completes exactly once: by its own completion, by that of a later one of the
 *      send queue, or as failed when the lane stops.
 *  L2  A buffer, send slot or transfer, is free only behind L1. Memory that is exposed is the
 *      peer's until its request is answered, or until this side's queue pair is stopped: no byte of
 *      the peer's can then arrive any more. EXPOSURE_END says so, once for each.
 *  L3  At most `credits` messages are on their way that the peer has not given back; the last is
 *      kept for messages that give back, so that of two sides that both send all the time one can
 *      always go on. The last free slot is kept for messages of the lane's own.
 *  L4  At most transfers_max READs and WRITEs, of them reads_max READs, and sends_max messages are
 *      posted. The driver asks for room before it starts one.
 *  L5  The first failure decides `reason`; what fails after it is its consequence. STOP is handed
 *      out once, DRAINED once, and behind DRAINED nothing.
 *  L6  A message of another epoch, out of sequence, of a wrong length, of a kind whose turn it is
 *      not, without credit, or that gives back what was not sent, stops the lane.
 *  L7  Of a failed completion only its work request, status and vendor code are looked at.
 *
 * Not responsible for: devices, addresses, the memory behind slots, frames within the stream, what
 * a client does instead (transport).
 */
#ifndef MKV_WIRE_LANE_H
#define MKV_WIRE_LANE_H

#include "core/base.h"

#define MKV_LANE_HEADER_BYTES 16u
/* Of a message, its header included: at least two packets of the largest path MTU of RoCE. */
#define MKV_LANE_MESSAGE_BYTES_MIN 8192u
#define MKV_LANE_MESSAGE_BYTES_MAX 65536u
#define MKV_LANE_SENDS_MIN 2u
#define MKV_LANE_SENDS_MAX 32u
#define MKV_LANE_CREDITS_MIN 4u
#define MKV_LANE_CREDITS_MAX 64u
#define MKV_LANE_TRANSFERS_MAX 64u
#define MKV_LANE_READS_MAX 16u
#define MKV_LANE_EXPOSURES_MAX 256u
/* Effects that one input causes at most. */
#define MKV_LANE_EFFECTS_MAX 512u

enum mkv_lane_state {
    MKV_LANE_IDLE = 0,
    MKV_LANE_PROBING,
    MKV_LANE_OPEN,
    MKV_LANE_STOPPING,
    MKV_LANE_DRAINED,
};

/* Why a lane stops. The words are labels of memkv_rdma_failures_total and of fallbacks. */
enum mkv_lane_reason {
    MKV_LANE_REASON_NONE = 0,
    MKV_LANE_REASON_CLOSED,         /* this side was told to */
    MKV_LANE_REASON_PEER,           /* the peer said that it closes, or its connection ended */
    MKV_LANE_REASON_LOCAL_ERROR,    /* length, protection or operation error of this side */
    MKV_LANE_REASON_REMOTE_ERROR,   /* the peer refused access, a request or its own operation */
    MKV_LANE_REASON_RETRY_EXCEEDED, /* the peer does not answer: link, address, MTU; or gone */
    MKV_LANE_REASON_RNR_EXCEEDED,   /* the peer had no receive, again and again */
    MKV_LANE_REASON_FLUSHED,        /* the queue pair failed without a first error that was seen */
    MKV_LANE_REASON_OTHER,          /* any other status */
    MKV_LANE_REASON_PROBE,          /* no answer to full packets in time: MTU */
    MKV_LANE_REASON_SILENT,         /* a posted operation has not completed in time */
    MKV_LANE_REASON_PROTOCOL,       /* L6 */
    MKV_LANE_REASON_PORT_DOWN,      /* the port went down */
    MKV_LANE_REASON_DEVICE,         /* the device failed or was removed */
    MKV_LANE_REASON_COUNT,
};

/* What was wrong with the message that stopped the lane as PROTOCOL. */
enum mkv_lane_fault {
    MKV_LANE_FAULT_NONE = 0,
    MKV_LANE_FAULT_HEADER, /* shorter than a header, or no header */
    MKV_LANE_FAULT_EPOCH,  /* of another connection */
    MKV_LANE_FAULT_NUMBER, /* out of sequence */
    MKV_LANE_FAULT_LENGTH, /* not what its header says, or not what its kind may have */
    MKV_LANE_FAULT_TURN,   /* a kind that may not come now */
    MKV_LANE_FAULT_CREDIT, /* it had no credit, or gives back more than was sent */
    MKV_LANE_FAULT_PROBE,  /* the bytes of a probe are others than were sent */
    MKV_LANE_FAULT_COUNT,
};

/* Completion statuses, as verbs name them (ibv_wc_status), told apart as far as they matter. */
enum mkv_lane_status {
    MKV_LANE_SUCCESS = 0,
    MKV_LANE_LOCAL_LENGTH,
    MKV_LANE_LOCAL_OPERATION,
    MKV_LANE_LOCAL_PROTECTION,
    MKV_LANE_LOCAL_ACCESS,
    MKV_LANE_FLUSHED,
    MKV_LANE_MEMORY_WINDOW,
    MKV_LANE_BAD_RESPONSE,
    MKV_LANE_REMOTE_INVALID_REQUEST,
    MKV_LANE_REMOTE_ACCESS,
    MKV_LANE_REMOTE_OPERATION,
    MKV_LANE_RETRY_EXCEEDED,
    MKV_LANE_RNR_RETRY_EXCEEDED,
    MKV_LANE_FATAL,
    MKV_LANE_GENERAL,
    MKV_LANE_STATUS_COUNT,
};

enum mkv_lane_event {
    MKV_LANE_EVENT_QP_FATAL = 1, /* fatal, request or access error of the queue pair */
    MKV_LANE_EVENT_PORT_DOWN,
    MKV_LANE_EVENT_DEVICE_FATAL,
    MKV_LANE_EVENT_PEER_GONE,    /* the connection that the lane was made over has ended */
    MKV_LANE_EVENT_LAST_RECEIVE, /* no further receive completes (last WQE reached) */
    MKV_LANE_EVENT_PATH, /* the queue pair goes by another path: what fails there shows itself */
};

struct mkv_lane_config {
    bool is_server;
    uint32_t epoch;         /* of this connection; both sides have the same, no two the same */
    uint32_t message_bytes; /* MKV_LANE_MESSAGE_BYTES_MIN ... _MAX */
    uint32_t sends_max;     /* send slots, 2 ... MKV_LANE_SENDS_MAX */
    uint32_t credits;       /* receives that the peer has posted for this side's messages */
    uint32_t receives;      /* those that this side has posted for the peer */
    uint32_t transfers_max; /* 0 on the client */
    uint32_t reads_max;
    uint64_t probe_ns;        /* from connected to OPEN */
    uint64_t silent_ns;       /* to the completion of the oldest that is posted, from when it was
                               * posted and the one before it had completed */
    uint64_t drain_ns;        /* from stopped: what has not come then, LAST_RECEIVE or a completion,
                               * is not waited for any longer */
    bool awaits_last_receive; /* receives come from a shared queue */
};

enum mkv_lane_message {
    MKV_LANE_MESSAGE_STREAM = 1,
    MKV_LANE_MESSAGE_CREDIT,
    MKV_LANE_MESSAGE_PROBE,
    MKV_LANE_MESSAGE_PROBE_ANSWER,
    MKV_LANE_MESSAGE_CLOSE,
};

/* 0 4 epoch | 4 4 number of the message, from 0 | 8 1 kind | 9 1 0 | 10 2 credits given back
 * | 12 4 payload bytes; little endian. Numbers of each direction; they wrap. */
struct mkv_lane_header {
    uint32_t epoch;
    uint32_t number;
    enum mkv_lane_message kind;
    uint32_t credits;
    uint32_t bytes;
};
void mkv_lane_header_encode(const struct mkv_lane_header *header, uint8_t *bytes);
/* False: the kind or a byte that is 0 is something else. */
bool mkv_lane_header_decode(const uint8_t *bytes, struct mkv_lane_header *header);
/* The payload of a probe and of its answer: the offset of each byte, modulo 251. */
void mkv_lane_probe_fill(uint8_t *payload, uint32_t bytes);

struct mkv_lane_transfer {
    bool is_read;
    uint64_t tag;            /* the driver's; in TRANSFER_DONE */
    uint64_t remote_address; /* at the peer */
    uint32_t remote_key;
    uint64_t local_offset; /* the driver's; it knows the memory */
    uint32_t bytes;
};

enum mkv_lane_effect_kind {
    /* Encode `header` in front of the slot's bytes and post it. Inline where it is small. For a
     * probe and its answer, mkv_lane_probe_fill the slot first. */
    MKV_LANE_EFFECT_SEND = 1,
    MKV_LANE_EFFECT_TRANSFER, /* post the READ or WRITE */
    MKV_LANE_EFFECT_OPENED,
    MKV_LANE_EFFECT_TRANSFER_DONE,
    /* Have the queue pair in its error state, or destroyed where `destroys` says so, then
     * mkv_lane_stopped. */
    MKV_LANE_EFFECT_STOP,
    MKV_LANE_EFFECT_EXPOSURE_END, /* without an answer: the request has failed */
    /* Completions have not come drain_ns after stopped: the device is gone, say, or it did not take
     * the signalled end of a chain whose beginning then succeeded, which nothing tells. Destroy the
     * queue pair, after which it touches no memory, then mkv_lane_destroyed. */
    MKV_LANE_EFFECT_DESTROY,
    MKV_LANE_EFFECT_DRAINED, /* nothing is posted: the queue pair may go */
};

struct mkv_lane_effect {
    enum mkv_lane_effect_kind kind;
    uint64_t work;    /* SEND, TRANSFER: the work request's id; its bit 63 is the driver's, 0 */
    bool is_signaled; /* SEND, TRANSFER; a READ always is */
    bool has_more; /* SEND, TRANSFER: the next one of `out` is such, too: one doorbell for both */
    uint32_t slot; /* SEND */
    struct mkv_lane_header header;     /* SEND */
    struct mkv_lane_transfer transfer; /* TRANSFER */
    uint64_t tag;                      /* TRANSFER_DONE, EXPOSURE_END */
    bool is_ok;                        /* TRANSFER_DONE */
    enum mkv_lane_reason reason;       /* STOP */
    /* STOP: the peer may write memory of this side, and some devices still write a packet that they
     * had begun with when the queue pair is in its error state. What of it was posted then has no
     * completion of its own: the driver tells that the last was flushed. */
    bool destroys;
};

struct mkv_lane_completion {
    uint64_t work;
    enum mkv_lane_status status;
    uint32_t vendor;
};

struct mkv_lane_counters {
    uint64_t sends_total;
    uint64_t receives_total;
    uint64_t reads_total;
    uint64_t writes_total;
    uint64_t credit_messages_total;
    uint64_t credit_waits_total; /* a message found no credit */
    /* Failed completions, those flushed behind the first too; not those of a lane that one of the
     * sides has closed. */
    uint64_t errors_total;
};

/* A work request, in the order of the send queue. */
struct mkv_lane_posted {
    uint64_t posted_ns;
    uint32_t place; /* a slot, or a place of `transfers` */
    bool is_transfer;
    bool is_told; /* of a planted bug alone: its end was told before it came */
};
struct mkv_lane_slot {
    uint32_t bytes;
    uint8_t use;  /* free, taken, posted */
    uint8_t kind; /* enum mkv_lane_message */
};
#define MKV_LANE_POSTED_MAX (MKV_LANE_SENDS_MAX + MKV_LANE_TRANSFERS_MAX)

/* Fixed size, no pointers: a byte copy of it is a snapshot. Others read the members down to
 * `counters`; the rest is lane.c's. */
struct mkv_lane {
    struct mkv_lane_config config;
    enum mkv_lane_state state;
    enum mkv_lane_reason reason;
    enum mkv_lane_fault fault;
    enum mkv_lane_status status; /* of the completion that stopped it */
    uint32_t vendor;             /* the same one's */
    struct mkv_lane_counters counters;

    /* Positions of the send queue: of those below `head` all have completed, those below `handed`
     * are posted, those below `tail` wait to be handed out. A position is a work request's id. */
    uint64_t head;
    uint64_t handed;
    uint64_t tail;
    struct mkv_lane_posted posted[MKV_LANE_POSTED_MAX]; /* at position % MKV_LANE_POSTED_MAX */
    uint32_t unsignaled_count;                          /* handed out since one was signalled */
    uint32_t sends_waiting;                             /* messages between `handed` and `tail` */

    struct mkv_lane_slot slots[MKV_LANE_SENDS_MAX];
    uint32_t slots_free;

    struct mkv_lane_transfer transfers[MKV_LANE_TRANSFERS_MAX];
    bool transfer_is_used[MKV_LANE_TRANSFERS_MAX]; /* until its TRANSFER_DONE is handed out */
    uint32_t transfers_used;
    uint32_t reads_posted;
    /* Those that have completed, first to last; TRANSFER_DONE is due. */
    uint32_t done_first;
    uint32_t done_count;
    uint8_t done_places[MKV_LANE_TRANSFERS_MAX];
    bool done_is_ok[MKV_LANE_TRANSFERS_MAX];

    uint64_t exposures[MKV_LANE_EXPOSURES_MAX]; /* tags */
    uint32_t exposure_count;

    /* credits + slots taken + messages that wait + messages_out = config.credits */
    uint32_t credits;      /* messages that may still be sent */
    uint32_t messages_out; /* handed out, and not given back by the peer */
    uint32_t
        receives_held; /* messages that came and are not given back: with the driver, or owed */
    uint32_t receives_owed; /* of them those that the driver is done with */
    uint32_t number_next;   /* of the message that is sent next */
    uint32_t number_expected;

    bool probe_is_answered; /* the server has */
    uint64_t probe_answer;  /* its position */
    bool waits_for_credit;
    bool has_failed; /* a completion of the send queue has: those behind it have, too */
    bool opened_is_due;
    bool stop_is_due;
    bool stop_is_handed;
    bool is_stopped;
    bool last_receive_came;
    bool drain_is_over; /* drain_ns have passed */
    bool destroy_is_due;
    bool destroy_is_handed;
    uint64_t since_ns; /* PROBING: connected; STOPPING: stopped */
    uint64_t now_ns;   /* the latest that was told */
};

/* The number of the first packet that a queue pair sends, of 24 bits, from 32 that were drawn for
 * it alone: what was sent to an earlier queue pair of the peer's number and comes late is then not
 * the packet that comes next, and the device does not let it in. */
uint32_t mkv_lane_packet_number(uint32_t drawn);
/* What is wrong with a configuration, in words; NULL if nothing is. */
const char *mkv_lane_config_problem(const struct mkv_lane_config *config);
void mkv_lane_init(struct mkv_lane *lane, const struct mkv_lane_config *config);

/* ---- inputs ---------------------------------------------------------------------------------- */

/* The queue pair can send: the client probes, the server waits for the probe. */
void mkv_lane_connected(struct mkv_lane *lane, uint64_t now_ns);
/* Sends the first `bytes` bytes, at least one, of a slot that mkv_lane_slot_take gave. On a lane
 * that has stopped since, the slot is free and nothing is sent. */
void mkv_lane_send(struct mkv_lane *lane, uint32_t slot, uint32_t bytes, uint64_t now_ns);
/* When mkv_lane_transfer_room says so. Ends with one TRANSFER_DONE. */
void mkv_lane_transfer(struct mkv_lane *lane, const struct mkv_lane_transfer *transfer,
                       uint64_t now_ns);
/* Memory is the peer's from now on. No tag twice at a time. False: the lane is not open, or too
 * many are exposed. */
bool mkv_lane_expose(struct mkv_lane *lane, uint64_t tag);
/* The request of this tag was answered. False: nothing of that tag is exposed (a second answer), or
 * its EXPOSURE_END is due. */
bool mkv_lane_unexpose(struct mkv_lane *lane, uint64_t tag);
/* A work request of the send queue has completed, and with it all before it. Each at most once, in
 * the order of the queue, those of other lanes never: memory would be free under a transfer. */
void mkv_lane_completed(struct mkv_lane *lane, const struct mkv_lane_completion *completion,
                        uint64_t now_ns);
/* The device did not take the work request that was handed out as `work`, nor, therefore, any after
 * it: those are not to be posted any more, also where the driver still holds their effects. */
void mkv_lane_not_posted(struct mkv_lane *lane, uint64_t work, uint64_t now_ns);
/* A message of `message_bytes` has come, its header included; so many bytes are at `message`. True:
 * those behind the header are of the stream, and the driver takes them up in this order, then says
 * mkv_lane_given_back. False: nothing is to be taken up; the driver posts the receive again before
 * it asks for effects, and does not say so. */
bool mkv_lane_received(struct mkv_lane *lane, const uint8_t *message, uint32_t message_bytes,
                       uint64_t now_ns);
/* A receive completed with an error; that it is flushed while the lane stops is in order. */
void mkv_lane_receive_failed(struct mkv_lane *lane, const struct mkv_lane_completion *completion,
                             uint64_t now_ns);
/* The receive of a message of the stream is posted again. */
void mkv_lane_given_back(struct mkv_lane *lane, uint64_t now_ns);
void mkv_lane_event(struct mkv_lane *lane, enum mkv_lane_event event, uint64_t now_ns);
/* What is due by time; at the latest at mkv_lane_timer_ns. */
void mkv_lane_time(struct mkv_lane *lane, uint64_t now_ns);
/* Stops it: CLOSED or PEER. The peer is told if it can be. */
void mkv_lane_stop(struct mkv_lane *lane, enum mkv_lane_reason reason, uint64_t now_ns);
/* The queue pair is in its error state, as STOP asked. */
void mkv_lane_stopped(struct mkv_lane *lane, uint64_t now_ns);
/* The queue pair is destroyed, as DESTROY asked: no completion comes any more. */
void mkv_lane_destroyed(struct mkv_lane *lane);

/* ---- questions, effects ---------------------------------------------------------------------- */

/* A send slot that is free and has a credit; MKV_NONE_U32: none, try again after an input. It is
 * the caller's until mkv_lane_send or mkv_lane_slot_give. */
uint32_t mkv_lane_slot_take(struct mkv_lane *lane);
void mkv_lane_slot_give(struct mkv_lane *lane, uint32_t slot);
bool mkv_lane_transfer_room(const struct mkv_lane *lane, bool is_read);
/* Work requests whose completion is to come. A driver polls while there are some. */
uint32_t mkv_lane_posted_count(const struct mkv_lane *lane);
/* UINT64_MAX: nothing is due. */
uint64_t mkv_lane_timer_ns(const struct mkv_lane *lane);
uint32_t mkv_lane_effects(struct mkv_lane *lane, struct mkv_lane_effect *out, uint32_t out_max);
/* "retry_exceeded" … */
const char *mkv_lane_reason_name(enum mkv_lane_reason reason);
/* A sentence: what it means and what to look at. */
const char *mkv_lane_reason_text(enum mkv_lane_reason reason);
/* The rest of "the peer sent a message …". */
const char *mkv_lane_fault_text(enum mkv_lane_fault fault);
enum mkv_lane_reason mkv_lane_reason_of(enum mkv_lane_status status);

#endif
