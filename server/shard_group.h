/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the shards of a node have in common, behind one mutex: the way of the drive set, and the
 * numbers of tenants. Each shard's thread tells it what its volumes report, and takes from it what
 * they are to be told; it wakes the other shards when there is something for them.
 *
 *   shard's thread:  has_news (an atomic flag, in each round) -> next, next … -> volumes, front
 *                    event, tenant_done, refused <- volumes
 *                    resolve <- fabric, for a tenant's name that its shard has not kept
 *
 * Invariants
 *  I1  Nobody calls a machine, or waits, while the mutex is held: so holding it is short.
 *  I2  What is for a volume is taken by the shard that has it, once, in the order in which it came;
 *      where keys go is taken before: so a shard knows that a drive is to join, and asks members no
 *      more for its keys, before its own members purge them.
 *  I3  A number that a shard has kept is that of its name, as long as the version that it was
 *      kept with is the group's.
 *  I4  With one shard nobody is woken, and the mutex has one user besides administrators.
 *
 * Not responsible for: carrying anything out (shard_thread.c).
 */
#ifndef MKV_SERVER_SHARD_GROUP_H
#define MKV_SERVER_SHARD_GROUP_H

#include "backends/ring.h"
#include "core/drive_set_run.h"
#include "core/tenant_names.h"
#include "core/volume.h"

/* Shards of a node. */
#define MKV_SHARDS_MAX 32u

struct mkv_shard_group;

struct mkv_shard_group_options {
    uint32_t shard_count;
    uint32_t volume_count;
    const uint32_t *volume_shards; /* of each volume; NULL: shard 0 has all */
    const uint64_t *volume_bytes;  /* what each can hold */
    const struct mkv_drive_set_plan *plan;
    uint32_t quota_count; /* at most MKV_TENANT_QUOTAS_MAX */
    const struct mkv_tenant_quota *quotas;
};

/* NULL when there is no memory. */
struct mkv_shard_group *mkv_shard_group_create(const struct mkv_shard_group_options *options);
/* Behind its shards. NULL is allowed. */
void mkv_shard_group_destroy(struct mkv_shard_group *group);
/* What wakes a shard, before any of them runs. */
void mkv_shard_group_enter(struct mkv_shard_group *group, uint32_t shard, struct mkv_ring *ring);
uint32_t mkv_shard_group_count(const struct mkv_shard_group *group);
uint32_t mkv_shard_group_shard_of(const struct mkv_shard_group *group, uint32_t volume);

/* ---- a shard's thread ------------------------------------------------------------------------ */

enum mkv_shard_news_kind {
    MKV_SHARD_NEWS_COMMAND = 1, /* of the drive set, for an own volume */
    MKV_SHARD_NEWS_TENANT,      /* for an own volume */
    MKV_SHARD_NEWS_ROUTE,       /* of any volume of the node */
};

struct mkv_shard_news {
    enum mkv_shard_news_kind kind;
    struct mkv_drive_set_command command;
    struct mkv_message message;
    char name[MKV_TENANT_STORED_NAME_BYTES_MAX + 1]; /* TENANT: the message's data */
    uint32_t volume;                                 /* ROUTE */
    enum mkv_drive_set_route route;
    bool is_other; /* ROUTE: another drive is to join in its place, or the same again, as: */
    struct mkv_member member;
};

/* The shard's volumes may be opened: what was to be formatted is. When all shards have said so the
 * drive set's first commands come. */
void mkv_shard_group_begin(struct mkv_shard_group *group);
bool mkv_shard_group_has_news(const struct mkv_shard_group *group, uint32_t shard);
/* The next one; without `commands` those of the drive set wait. */
bool mkv_shard_group_next(struct mkv_shard_group *group, uint32_t shard, bool commands,
                          struct mkv_shard_news *news);
/* An own volume did not take a command. */
void mkv_shard_group_refused(struct mkv_shard_group *group, uint32_t shard, uint32_t volume);
/* An own volume has taken its CLOSE. */
void mkv_shard_group_closing(struct mkv_shard_group *group, uint32_t shard, uint32_t volume);
/* An own volume has reported something; `machine` is asked for its tenants. */
void mkv_shard_group_event(struct mkv_shard_group *group, uint32_t shard, uint32_t volume,
                           const struct mkv_volume *machine, const struct mkv_event *event);
/* A TENANT_DONE or TENANT_DROP_DONE. */
void mkv_shard_group_tenant_done(struct mkv_shard_group *group, uint32_t shard,
                                 const struct mkv_message *message);
/* Whether the drive set is decided, and every name is on all volumes; it stays so. */
bool mkv_shard_group_is_open(const struct mkv_shard_group *group);
/* How many drives there are, and how many of them were opened, or will not be. */
void mkv_shard_group_progress(struct mkv_shard_group *group, uint32_t *done, uint32_t *total);
/* Whether requests may be taken, once it is open. */
bool mkv_shard_group_is_ready(struct mkv_shard_group *group);
/* The version and the members of the set that is durable. */
void mkv_shard_group_set(struct mkv_shard_group *group, uint64_t *version, uint32_t *members);

/* The shard has no client any more; and whether none has. */
void mkv_shard_group_drained(struct mkv_shard_group *group);
bool mkv_shard_group_all_drained(const struct mkv_shard_group *group);

/* The number of a name, as mkv_tenant_names_resolve. */
enum mkv_tenant_resolved mkv_shard_group_resolve(struct mkv_shard_group *group, uint32_t shard,
                                                 const char *name, bool create, uint32_t *id,
                                                 uint64_t *version);
/* What `version` of an answer is compared with. */
uint64_t mkv_shard_group_version(const struct mkv_shard_group *group);

/* ---- any thread ------------------------------------------------------------------------------ */

/* The names, until unlock; nothing of the group may be called meanwhile. */
const struct mkv_tenant_names *mkv_shard_group_names_lock(struct mkv_shard_group *group);
void mkv_shard_group_names_unlock(struct mkv_shard_group *group);
/* See mkv_shard_tenant_drop. Not on a shard's thread. */
enum mkv_status mkv_shard_group_tenant_drop(struct mkv_shard_group *group, const char *name,
                                            uint64_t wait_ns);
/* The operator's wishes; see drive_set_run.h. */
enum mkv_drive_set_verdict mkv_shard_group_leave(struct mkv_shard_group *group, uint32_t volume);
enum mkv_drive_set_verdict mkv_shard_group_may_join(struct mkv_shard_group *group, uint32_t volume);
/* `bytes`: what the drive can hold. */
enum mkv_drive_set_verdict mkv_shard_group_join(struct mkv_shard_group *group, uint32_t volume,
                                                struct mkv_member member, uint64_t bytes);
/* What the run knows of a volume, and the set that is durable. */
struct mkv_shard_group_drive {
    enum mkv_drive_set_role role;
    enum mkv_drive_set_life life;
    enum mkv_drive_set_route route;
    bool leaving;
    struct mkv_member member;
    struct mkv_drive_set set;
};
void mkv_shard_group_drive(struct mkv_shard_group *group, uint32_t volume,
                           struct mkv_shard_group_drive *drive);
/* Not all shards could be started: those that were give up, and serve nobody. */
void mkv_shard_group_abandon(struct mkv_shard_group *group);
/* The first of the shards ends: who waits for a drop waits no more. */
void mkv_shard_group_end(struct mkv_shard_group *group);

#endif
