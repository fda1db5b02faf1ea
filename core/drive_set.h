/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The drive set: which drives a store is made of, and what a node does with the drives that it
 * finds. Every drive's superblock names the whole set {version, members}, so a drive that was away
 * while others went on shows: its set is older.
 *
 *   What a drive says, against the newest set of any drive        What becomes of it
 *   it is blank, and no drive has a set                           FORMAT, member of a new store
 *   it is blank, and the first start was cut short                FORMAT, the member it replaces
 *   it is blank                                                   FORMAT, then it joins empty
 *   another store                                                 FOREIGN: refused
 *   the newest set                                                KEEP
 *   the version before the newest set, which names it             KEEP_AND_RAISE
 *   another set of the newest version, or of its range            refused: the operator's word
 *   any older version                                             JOIN_EMPTY
 *   and a member of the newest set that no drive is               refused: the operator's word
 *
 * The operator's word is a list of drives that are lost. It takes missing members out of the set,
 * and tells which of two sets of one version counts: the drives that are lost join empty.
 *
 * Sets follow each other one by one. The next is durable on every member that stays before it
 * counts, and it names the version that it was made from; so a drive that was caught in between is
 * told from one that was away. A change by the operator's word begins a new range of versions: the
 * word may be wrong, and the drives of which it speaks may have gone on without the others. By a
 * number that is drawn with the word, two sets of one range are told apart that two words began.
 *
 * Invariants
 *  I1  A drive keeps its content only under the newest set, or the one that this was made from.
 *  I2  A set that is made has a higher version than every set of every drive that is present.
 *  I3  A drive is formatted only when it is blank.
 *  I4  No node goes on while a member is missing, unless the operator has said that it is lost. So
 *      no two openings go on from one set, and what was deleted while a drive was away cannot come
 *      back with it.
 *  I5  The weight of a member never changes while it is one, so that a key that stays in the set's
 *      members stays where it is.
 *
 * Not responsible for: carrying it out (drive_set_run.h, volume.h), nor for reading superblocks.
 */
#ifndef MKV_CORE_DRIVE_SET_H
#define MKV_CORE_DRIVE_SET_H

#include "core/base.h"
#include "core/placement.h"

#define MKV_DRIVE_SET_VERSION_FIRST 1u
/* A change by the operator's word takes the next multiple of this: beyond any version that drives
 * can have reached without it, one by one. */
#define MKV_DRIVE_SET_WORD_STEP 1000000ull
/* Versions beyond this are not believed. */
#define MKV_DRIVE_SET_VERSION_MAX (1ull << 62)

/* Version 0 is no set: a drive that was formatted to join one, and names itself alone. */
struct mkv_drive_set {
    uint64_t version;
    uint64_t version_before; /* of the set that this one was made from; below `version` */
    uint64_t word;  /* drawn when the operator's word began this range of versions; 0: none has */
    uint32_t count; /* 1 ... MKV_VOLUMES_MAX */
    struct mkv_member members[MKV_VOLUMES_MAX];
};

bool mkv_uuid_equal(struct mkv_uuid a, struct mkv_uuid b);
/* The member's place, or MKV_NONE_U32. */
uint32_t mkv_drive_set_find(const struct mkv_drive_set *set, struct mkv_uuid uuid);
bool mkv_drive_set_equal(const struct mkv_drive_set *a, const struct mkv_drive_set *b);
/* Whether the figures are what a superblock may hold. */
bool mkv_drive_set_valid(const struct mkv_drive_set *set);
/* Whether a drive whose superblock names `own` keeps its content under `set` (I1). */
bool mkv_drive_set_keeps(const struct mkv_drive_set *own, const struct mkv_drive_set *set,
                         struct mkv_uuid uuid);
/* What a drive is formatted with that is to join: no set. */
void mkv_drive_set_outside(struct mkv_uuid uuid, struct mkv_drive_set *set);
void mkv_drive_set_add(struct mkv_drive_set *set, struct mkv_member member);
void mkv_drive_set_remove(struct mkv_drive_set *set, struct mkv_uuid uuid);

/* The shares of keys that the drives of a new store get: from their usable units, the smallest
 * drawing a few times for each key, and once where all are much the same. */
void mkv_drive_set_weights(const uint64_t *usable_units, uint32_t count, uint32_t *weights);

/* ---- the decision ---------------------------------------------------------------------------- */

enum mkv_drive_claim_kind {
    MKV_DRIVE_CLAIM_ABSENT = 0, /* configured, and not there */
    MKV_DRIVE_CLAIM_BLANK,
    MKV_DRIVE_CLAIM_STORE,
};

/* What a configured drive says. */
struct mkv_drive_claim {
    enum mkv_drive_claim_kind kind;
    uint64_t usable_units; /* BLANK, STORE: room for blocks that it has, or would get; not 0 */
    /* STORE: */
    struct mkv_uuid store_uuid;
    struct mkv_uuid drive_uuid;
    bool opened; /* its epoch is not 0 */
    struct mkv_drive_set set;
};

struct mkv_drive_set_question {
    uint32_t count; /* 1 ... MKV_VOLUMES_MAX */
    const struct mkv_drive_claim *claims;
    uint32_t lost_count; /* the operator's word */
    const struct mkv_uuid *lost;
    /* count + 1 uuids that nothing has: of a new store, or of the operator's word, then of each
     * drive if it is formatted. */
    const struct mkv_uuid *fresh;
};

enum mkv_drive_action {
    MKV_DRIVE_ABSENT = 0,
    MKV_DRIVE_KEEP,
    MKV_DRIVE_KEEP_AND_RAISE,
    MKV_DRIVE_JOIN_EMPTY,
    MKV_DRIVE_FORMAT, /* then KEEP where `newest` names it, else JOIN_EMPTY */
    MKV_DRIVE_FOREIGN,
};

enum mkv_drive_set_refusal {
    MKV_DRIVE_SET_ACCEPTED = 0,
    MKV_DRIVE_SET_INCOMPLETE, /* a new store, and `drive` is not there */
    MKV_DRIVE_SET_FOREIGN,    /* `drive` belongs to another store than `other` */
    MKV_DRIVE_SET_TWINS,      /* `drive` and `other` are the same drive: one is a copy */
    MKV_DRIVE_SET_TORN,       /* `drive` is no member of its own set: it is damaged */
    MKV_DRIVE_SET_NO_MEMBER,  /* all drives that are there are yet to join; no member is there */
    MKV_DRIVE_SET_TWO_SETS,   /* `drive` and `other` name sets of which none came from the other */
    MKV_DRIVE_SET_MISSING,    /* members of the newest set are missing */
};

struct mkv_drive_set_plan {
    enum mkv_drive_set_refusal refusal;
    uint32_t drive;
    uint32_t other;
    uint32_t missing_count;
    struct mkv_uuid missing[MKV_VOLUMES_MAX];

    struct mkv_uuid store_uuid;
    /* The set that the drives that keep their content are under, once those behind are raised. */
    struct mkv_drive_set newest;
    /* The set that is served first: `newest`, or where there is the operator's word the one that
     * follows it. */
    struct mkv_drive_set first;
    /* No member has been opened before: it may be that nothing is formatted but a part. */
    bool never_opened;
    enum mkv_drive_action actions[MKV_VOLUMES_MAX];
    struct mkv_uuid drive_uuids[MKV_VOLUMES_MAX];
    uint32_t weights[MKV_VOLUMES_MAX]; /* as a member, or once it is one */
};

/* The decision: of what drives say, and of nothing else. */
void mkv_drive_set_decide(const struct mkv_drive_set_question *question,
                          struct mkv_drive_set_plan *plan);

/* A drive that is to join a set while it is served. */
struct mkv_drive_set_guest {
    const struct mkv_drive_claim *claim; /* BLANK or STORE */
    const struct mkv_drive_set *served;
    struct mkv_uuid store_uuid;
    struct mkv_uuid fresh; /* that nothing has */
    /* A member, and room for blocks that it has. */
    uint64_t member_units;
    uint32_t member_weight;
};
struct mkv_drive_set_admission {
    enum mkv_drive_set_refusal refusal; /* ACCEPTED, FOREIGN, TWINS, TORN or TWO_SETS */
    enum mkv_drive_action action;       /* FORMAT or JOIN_EMPTY */
    struct mkv_member member;
};
/* Whether it may: not when it is a member, or another store's, nor when its set may be newer than
 * the one that is served, or came from another: it may have gone on without these drives (I4). */
void mkv_drive_set_admit(const struct mkv_drive_set_guest *guest,
                         struct mkv_drive_set_admission *admission);

#endif
