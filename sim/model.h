/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reference model (O1, O2): what a key may hold, given what was asked, answered and crashed.
 *
 * For each key it keeps every state the store may be in, a *world*: the version the key holds, and
 * for each mutation that is still unanswered what it came to, if it has taken effect. An answer
 * strikes out the worlds that cannot explain it; when none is left, the answer was wrong. This is
 * the just-in-time linearization of Lowe (2017): a mutation is made to take effect only when an
 * answer, its own or another's, needs it. A read collects the versions that the key may have held
 * while it ran, and must return one of them.
 *
 *     invoke put 7   {v3 | put ?}                    unanswered: nothing has to have happened
 *     invoke get                                     it may see v3 or v7
 *     answer get v7  {v7 | put done}                 only one world explains it
 *     crash          {v7}                            what was seen and acknowledged stays
 *
 * Invariants
 *  I1  A key has at least one world, at most MKV_MODEL_WORLDS_MAX.
 *  I2  A crash keeps acknowledged effects; each unanswered mutation happened whole or not at all.
 *  I3  A miss beside an unanswered delete does not say that the delete is durable: the block is
 *      hidden before it is gone. Where replace_hides says so, a read may also miss beside a
 *      replacing put.
 *  I4  A read beside which no mutation of its key ran strikes out every world with another
 *      version.
 *  I5  What a relaxed put brought may be gone behind a crash, until it is known to be durable.
 *      Where memory keeps blocks, one that the drive gave up is there or not, until a crash.
 *  I6  A version whose time is over is gone in every world, from that second of the wall clock on.
 *
 * Not responsible for: bytes (content.h), nor for what is on the drive (audit.h, watch.h).
 */
#ifndef MKV_SIM_MODEL_H
#define MKV_SIM_MODEL_H

#include "core/base.h"
#include "sim/content.h"
#include "sim/diversity.h"

/* Unanswered operations of one key. */
#define MKV_MODEL_OPS_MAX 6u
#define MKV_MODEL_WORLDS_MAX 4096u
/* Versions that a read may have seen; with more it may return any. */
#define MKV_MODEL_SEEN_MAX 24u
/* The version of a key that holds nothing. */
#define MKV_MODEL_ABSENT 0u

enum mkv_model_kind {
    MKV_MODEL_READ = 1,
    MKV_MODEL_PUT,     /* of a version; a conflict where another one is live */
    MKV_MODEL_REPLACE, /* of a version */
    MKV_MODEL_DELETE,
    MKV_MODEL_EXPIRE, /* what is there gets another expiry */
    MKV_MODEL_PURGE,  /* the key holds nothing, whatever it held; in no order with the others */
};

/* What an operation came to. A version that was read is MKV_MODEL_VERSION + version. */
enum mkv_model_result {
    MKV_MODEL_NOTHING = 0, /* it has not taken effect */
    MKV_MODEL_OK,          /* mutations */
    MKV_MODEL_MISS,        /* READ, DELETE, EXPIRE, conditional REPLACE */
    MKV_MODEL_CONFLICT,    /* PUT */
    MKV_MODEL_PRESENT,     /* READ that did not learn the version */
    MKV_MODEL_VERSION = 16,
};

struct mkv_model_world {
    uint32_t version;
    uint32_t expiry_s;    /* of the version; 0: never */
    uint32_t unpersisted; /* 1: a crash may take the version away (I5) */
    uint32_t results[MKV_MODEL_OPS_MAX];
};

struct mkv_model_op {
    enum mkv_model_kind kind; /* 0: the place is free */
    uint32_t version;
    uint32_t expiry_s; /* PUT, REPLACE, EXPIRE */
    uint64_t order;    /* of its invocation */
    bool relaxed;      /* PUT, REPLACE: its answer does not say that it is durable */
    bool conditional; /* PUT: only where there is nothing. REPLACE: only where there is something */
    bool beside_purge; /* it may be decided on what a PURGE ends, and follow it */
    bool abandoned;    /* nobody waits for its answer any more, but it may still take effect */
    /* READ */
    bool hidden;     /* a removal was unanswered at some time while it ran (I3) */
    bool lists;      /* it may miss the key while it is being replaced (I3) */
    bool overlapped; /* a mutation was unanswered at some time while it ran (I4) */
    bool anything;   /* more versions than `seen` holds */
    uint32_t seen_count;
    struct mkv_model_seen {
        uint32_t version;
        bool settled; /* the key held it whatever became of the unanswered mutations */
    } seen[MKV_MODEL_SEEN_MAX];
};

struct mkv_model_key {
    struct mkv_model_op ops[MKV_MODEL_OPS_MAX];
    uint32_t op_count;
    uint32_t version_last; /* highest version that was ever put */
    bool lossy;            /* a fault has struck it: it may be missing */
    bool evicting;         /* a block of it makes room, and would be back after a crash */
    bool memory_only;      /* the drive has given its block up, and memory may still hold it */
    bool persist_failed;   /* what a relaxed put brought never came to be durable, and is gone */
    bool replace_hides;    /* it may be missed while it is being replaced (I3) */
    struct mkv_model_world worlds[MKV_MODEL_WORLDS_MAX];
    uint32_t world_count;
};

struct mkv_model {
    struct mkv_model_key *keys;
    uint32_t key_count;
    bool in_order;   /* mutations of a key take effect in the order they were invoked */
    bool has_memory; /* blocks stay in memory when the drive gives them up */
    bool lying;      /* the drive lies: any version that was ever put may be read, or none */
    uint64_t order;
    uint64_t wall_s;
    uint64_t evaluations;           /* answers held against the model */
    uint64_t losses;                /* misses that only a fault explains */
    struct mkv_diversity diversity; /* of what was invoked */
};

void mkv_model_init(struct mkv_model *model, struct mkv_memory *memory, uint32_t key_count,
                    bool in_order);

/* Whether the key has a place for another operation. */
bool mkv_model_has_room(const struct mkv_model *model, uint32_t key);
/* An operation starts; returns its place, which its answer names. */
uint32_t mkv_model_invoke(struct mkv_model *model, uint32_t key, enum mkv_model_kind kind,
                          uint32_t version);
/* The PUT, REPLACE or EXPIRE that was just invoked brings an expiry. */
void mkv_model_expires(struct mkv_model *model, uint32_t key, uint32_t op, uint32_t expiry_s);
/* The PUT that was just invoked is one for a key that holds nothing, also not the same (or it is a
 * CONFLICT); the REPLACE is one for a key that holds something (or it is a MISS). */
void mkv_model_condition(struct mkv_model *model, uint32_t key, uint32_t op);
/* The read, which is to be answered as PRESENT, was told when the key expires; 0: never. Fails the
 * run (O1) when no world explains it. */
void mkv_model_told_expiry(struct mkv_model *model, uint32_t key, uint32_t op, uint32_t expiry_s);
/* The wall clock shows this second: what expires then is gone. */
void mkv_model_time(struct mkv_model *model, uint64_t wall_s);
/* The read is one of a listing: a block that is replaced while it runs may be in it by neither
 * content (I3). */
void mkv_model_lists(struct mkv_model *model, uint32_t key, uint32_t op);
/* Whether a read of one key may end with MKV_MODEL_MISS, or with MKV_MODEL_PRESENT. */
bool mkv_model_may_answer(const struct mkv_model *model, uint32_t key, uint32_t op,
                          uint32_t result);
/* Its answer: enum mkv_model_result, or MKV_MODEL_VERSION + version. Fails the run (O1, O2) when no
 * world explains it. */
void mkv_model_answer(struct mkv_model *model, uint32_t key, uint32_t op, uint32_t result);
/* It ended without taking effect, or (READ) without learning anything. */
void mkv_model_cancel(struct mkv_model *model, uint32_t key, uint32_t op);
/* Nobody waits for it any more; it may take effect until the next crash or settling. */
void mkv_model_abandon(struct mkv_model *model, uint32_t key, uint32_t op);
/* No operation runs any more, by a crash or because all have ended: each unanswered mutation
 * happened or did not. */
void mkv_model_settle(struct mkv_model *model);

/* The process is gone with all of its memory. As mkv_model_settle, and what was not persisted is
 * there or not. */
void mkv_model_crash(struct mkv_model *model);

/* The put that has just been invoked is relaxed. */
void mkv_model_relax(struct mkv_model *model, uint32_t key, uint32_t op);
/* Whether a crash may take away what the key holds. */
bool mkv_model_unpersisted(const struct mkv_model *model, uint32_t key);
/* The version is durable. */
void mkv_model_persisted(struct mkv_model *model, uint32_t key, uint32_t version);
/* What was not persisted will not be: it is gone, or about to go. */
void mkv_model_persist_failed(struct mkv_model *model, uint32_t key);
/* A relaxed put of the key was left unwritten: memory alone holds what it brought, and may let go
 * of it at any time. */
void mkv_model_unwritten(struct mkv_model *model, uint32_t key);

/* Whether the key may hold the version (or MKV_MODEL_ABSENT), with nothing unanswered. */
bool mkv_model_allows(const struct mkv_model *model, uint32_t key, uint32_t version);
/* Of the versions the key may hold, the one with the number `index`; false behind the last. */
bool mkv_model_version(const struct mkv_model *model, uint32_t key, uint32_t index,
                       uint32_t *version);
/* The store makes room with the key's block: it is not found from now on, and until
 * mkv_model_evicted, when that is durable, a crash may bring it back. */
void mkv_model_evict(struct mkv_model *model, uint32_t key);
void mkv_model_evicted(struct mkv_model *model, uint32_t key);
/* A fault struck the key, or everything was lost in a way that the run allows. */
void mkv_model_allow_loss(struct mkv_model *model, uint32_t key);
/* With nothing unanswered it was seen what became of a key that may be missing: it is there whole,
 * or it is not there and will not come back. Either way it is a key like any other from now on. */
void mkv_model_found(struct mkv_model *model, uint32_t key, bool present);

#endif
