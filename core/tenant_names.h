/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tenants of a node by name: one number for each name, the same on all volumes. It is told what
 * the volumes that serve know, and says what they are to be told next, one message of each volume
 * at a time:
 *
 *   volume opens:  volume_begin, learn (each live tenant), volume_serves
 *   then:          next --> TENANT, TENANT_DROP --> volume --> done --> next ...
 *
 *   name --resolve(create)--> on no volume --TENANT to each--> on all: KNOWN
 *        --drop-------------> DROPPING --TENANT_DROP to each that has it--> forgotten
 *
 * Invariants
 *  I1  A volume gets the numbers of tenants in growing order, and none that lives is left out. So a
 *      number at or below the highest one of a serving volume, which that volume does not have, was
 *      dropped: it is dropped on all others too.
 *  I2  A name that one volume has is completed on the others; nothing that a crash cuts off between
 *      two volumes is left so. KNOWN is a name that every serving volume has.
 *  I3  Of two numbers with one name the higher lives; a number with two names is dropped.
 *  I4  At most one message of a volume is on its way.
 *
 * Not responsible for: who may use a name, carrying messages, nor volumes that do not serve: they
 * are told when they open again.
 */
#ifndef MKV_CORE_TENANT_NAMES_H
#define MKV_CORE_TENANT_NAMES_H

#include "core/base.h"
#include "core/io.h"

/* Tenants of a node, those that are being dropped included. */
#define MKV_TENANT_NAMES_MAX 2048u
/* Names with a quota. */
#define MKV_TENANT_QUOTAS_MAX 64u

struct mkv_tenant_entry {
    uint32_t id;
    uint32_t name_bytes;
    char name[MKV_TENANT_STORED_NAME_BYTES_MAX + 1]; /* closed by a NUL */
    bool dropping;
    uint64_t has;     /* bit v: it lives on volume v, durably */
    uint64_t told;    /* bit v: volume v knows its quota */
    uint64_t refused; /* bit v: volume v has no place for it now */
};

struct mkv_tenant_quota {
    char name[MKV_TENANT_STORED_NAME_BYTES_MAX + 1];
    uint64_t bytes; /* on all volumes together */
};

struct mkv_tenant_names {
    uint32_t volume_count;
    uint64_t volume_bytes[MKV_VOLUMES_MAX]; /* what each can hold: its share of quotas */
    uint64_t volume_bytes_total;
    uint32_t quota_count;
    struct mkv_tenant_quota quotas[MKV_TENANT_QUOTAS_MAX];
    bool dirty; /* there may be something to tell */
    uint32_t id_max;
    uint64_t serving;                  /* bit v */
    uint64_t busy;                     /* bit v: a message is on its way … */
    uint32_t busy_id[MKV_VOLUMES_MAX]; /* … about this tenant */
    uint32_t volume_id_max[MKV_VOLUMES_MAX];
    uint32_t drop_id; /* of the last drop that was asked for */
    bool drop_unsure; /* a volume failed before it had answered */
    uint32_t count;
    struct mkv_tenant_entry entries[MKV_TENANT_NAMES_MAX]; /* in the order of their ids */
};

void mkv_tenant_names_init(struct mkv_tenant_names *names, uint32_t volume_count,
                           const uint64_t *volume_bytes);
/* The place of an entry, or MKV_NONE_U32. */
uint32_t mkv_tenant_names_find(const struct mkv_tenant_names *names, uint32_t id);
/* Before any volume opens. False: there are too many. 0 bytes: nothing may be stored. */
bool mkv_tenant_names_quota(struct mkv_tenant_names *names, const char *name, uint64_t bytes);
/* The quota of a name, or UINT64_MAX. */
uint64_t mkv_tenant_names_quota_of(const struct mkv_tenant_names *names, const char *name);

void mkv_tenant_names_volume_begin(struct mkv_tenant_names *names, uint32_t volume);
void mkv_tenant_names_learn(struct mkv_tenant_names *names, uint32_t volume, uint32_t id,
                            const char *name, uint32_t name_bytes);
void mkv_tenant_names_volume_serves(struct mkv_tenant_names *names, uint32_t volume,
                                    uint32_t id_max);
/* The volume does not serve any more; what it was told may still be answered. */
void mkv_tenant_names_volume_lost(struct mkv_tenant_names *names, uint32_t volume);
/* The volume, which does not serve, has another drive now. */
void mkv_tenant_names_volume_size(struct mkv_tenant_names *names, uint32_t volume, uint64_t bytes);
/* Places of tenants have come free there. */
void mkv_tenant_names_volume_swept(struct mkv_tenant_names *names, uint32_t volume);

/* The next message, with its volume set; its data is *name. False: there is none now. */
bool mkv_tenant_names_next(struct mkv_tenant_names *names, struct mkv_message *message,
                           const char **name);
/* A TENANT_DONE or TENANT_DROP_DONE. */
void mkv_tenant_names_done(struct mkv_tenant_names *names, const struct mkv_message *message);
/* Whether every serving volume has been told everything. */
bool mkv_tenant_names_settled(const struct mkv_tenant_names *names);

enum mkv_tenant_resolved {
    MKV_TENANT_KNOWN = 1,
    MKV_TENANT_ABSENT,  /* nobody has put anything under the name; only without `create` */
    MKV_TENANT_PENDING, /* ask again when messages have been answered */
    MKV_TENANT_REFUSED, /* there is no room for another tenant */
};
/* The number of a valid name. With `create` a new name is given one. */
enum mkv_tenant_resolved mkv_tenant_names_resolve(struct mkv_tenant_names *names, const char *name,
                                                  bool create, uint32_t *id);

/* Begins to drop a tenant: OK; NOT_FOUND; FORBIDDEN for the default one. One at a time. */
enum mkv_status mkv_tenant_names_drop(struct mkv_tenant_names *names, const char *name);
/* Whether that drop is over, on every volume that served; *status is then OK, or UNKNOWN when a
 * volume failed meanwhile: it is told when it opens again. */
bool mkv_tenant_names_dropped(const struct mkv_tenant_names *names, enum mkv_status *status);

#endif
