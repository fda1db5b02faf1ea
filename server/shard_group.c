/* SPDX-License-Identifier: Apache-2.0 */
#include "server/shard_group.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "backends/clock.h"

#define NS_PER_S 1000000000ull
/* Of the drive set that wait for one volume: a purge that a failure overtook, the next set, another
 * purge and its set, and to close. */
#define COMMANDS_MAX 8u

/* What waits for a volume's shard to take it. */
struct box {
    uint32_t command_count;
    struct mkv_drive_set_command commands[COMMANDS_MAX];
    bool tenant_waits; /* one at a time: core/tenant_names.h, I4 */
    struct mkv_message tenant;
    char name[MKV_TENANT_STORED_NAME_BYTES_MAX + 1];
};

struct member {
    struct mkv_ring *ring;
    atomic_bool news;
    enum mkv_drive_set_route told[MKV_VOLUMES_MAX]; /* behind the mutex */
    uint32_t told_member[MKV_VOLUMES_MAX];          /* the number of its member; the same */
};

struct mkv_shard_group {
    uint32_t shard_count;
    uint32_t volume_count;
    uint32_t volume_shards[MKV_VOLUMES_MAX];
    struct member members[MKV_SHARDS_MAX];
    atomic_bool open;
    atomic_uint drained;          /* shards without clients */
    atomic_uint_fast64_t version; /* of the names */

    pthread_mutex_t mutex; /* of what follows */
    pthread_cond_t changed;
    struct mkv_drive_set_run run;
    struct mkv_tenant_names *names;
    struct box boxes[MKV_VOLUMES_MAX];
    uint32_t begun; /* shards; nothing is handed out before all have */
    bool ended;
    bool dropping; /* somebody waits for a tenant's drop, one at a time */
};

/* ---- making ---------------------------------------------------------------------------------- */

static bool make_names(struct mkv_shard_group *group,
                       const struct mkv_shard_group_options *options) {
    MKV_ASSERT(options->quota_count <= MKV_TENANT_QUOTAS_MAX);
    group->names = calloc(1, sizeof *group->names);
    if (group->names == NULL) {
        return false;
    }
    mkv_tenant_names_init(group->names, options->volume_count, options->volume_bytes);
    for (uint32_t i = 0; i < options->quota_count; i++) {
        const bool taken =
            mkv_tenant_names_quota(group->names, options->quotas[i].name, options->quotas[i].bytes);
        MKV_ASSERT(taken);
    }
    return true;
}

struct mkv_shard_group *mkv_shard_group_create(const struct mkv_shard_group_options *options) {
    MKV_ASSERT(options->shard_count >= 1);
    MKV_ASSERT(options->shard_count <= MKV_SHARDS_MAX);
    MKV_ASSERT(options->volume_count >= 1);
    MKV_ASSERT(options->volume_count <= MKV_VOLUMES_MAX);
    struct mkv_shard_group *group = calloc(1, sizeof *group);
    if (group == NULL || !make_names(group, options)) {
        free(group);
        return NULL;
    }
    group->shard_count = options->shard_count;
    group->volume_count = options->volume_count;
    for (uint32_t i = 0; i < options->volume_count && options->volume_shards != NULL; i++) {
        MKV_ASSERT(options->volume_shards[i] < options->shard_count);
        group->volume_shards[i] = options->volume_shards[i];
    }
    for (uint32_t shard = 0; shard < group->shard_count; shard++) {
        atomic_init(&group->members[shard].news, true);
        for (uint32_t i = 0; i < MKV_VOLUMES_MAX; i++) {
            group->members[shard].told[i] = MKV_DRIVE_SET_OFFLINE; /* as fronts begin */
        }
    }
    atomic_init(&group->open, false);
    atomic_init(&group->drained, 0);
    atomic_init(&group->version, 1);
    pthread_mutex_init(&group->mutex, NULL);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&group->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    mkv_drive_set_run_begin(&group->run, options->plan);
    return group;
}

void mkv_shard_group_destroy(struct mkv_shard_group *group) {
    if (group != NULL) {
        pthread_cond_destroy(&group->changed);
        pthread_mutex_destroy(&group->mutex);
        free(group->names);
        free(group);
    }
}

void mkv_shard_group_enter(struct mkv_shard_group *group, uint32_t shard, struct mkv_ring *ring) {
    MKV_ASSERT(shard < group->shard_count);
    MKV_ASSERT(group->members[shard].ring == NULL);
    group->members[shard].ring = ring;
}

uint32_t mkv_shard_group_count(const struct mkv_shard_group *group) {
    return group->shard_count;
}

uint32_t mkv_shard_group_shard_of(const struct mkv_shard_group *group, uint32_t volume) {
    MKV_ASSERT(volume < group->volume_count);
    return group->volume_shards[volume];
}

/* ---- behind the mutex ------------------------------------------------------------------------ */

/* Tells a shard that there is news; the one that asks needs no waking. */
static void tell(struct mkv_shard_group *group, uint32_t shard, uint32_t asking) {
    struct member *member = &group->members[shard];
    if (!atomic_exchange(&member->news, true) && shard != asking && member->ring != NULL) {
        mkv_ring_wake(member->ring);
    }
}

static void tell_all(struct mkv_shard_group *group, uint32_t asking) {
    for (uint32_t shard = 0; shard < group->shard_count; shard++) {
        tell(group, shard, asking);
    }
}

static bool knows_route(const struct mkv_shard_group *group, const struct member *member,
                        uint32_t volume) {
    return mkv_drive_set_run_route(&group->run, volume) == member->told[volume] &&
           group->run.volumes[volume].member_number == member->told_member[volume];
}

/* Takes everything there is to say out of the two machines, and puts it where shards find it. */
static void advance(struct mkv_shard_group *group, uint32_t asking) {
    if (group->begun < group->shard_count) {
        return;
    }
    struct mkv_drive_set_command command;
    while (mkv_drive_set_run_next(&group->run, &command)) {
        MKV_ASSERT(command.volume < group->volume_count);
        struct box *box = &group->boxes[command.volume];
        MKV_ASSERT(box->command_count < COMMANDS_MAX);
        box->commands[box->command_count++] = command;
        tell(group, group->volume_shards[command.volume], asking);
    }
    struct mkv_message message;
    const char *name;
    while (mkv_tenant_names_next(group->names, &message, &name)) {
        struct box *box = &group->boxes[message.volume];
        MKV_ASSERT(!box->tenant_waits);
        box->tenant_waits = true;
        box->tenant = message;
        memcpy(box->name, name, strlen(name) + 1);
        tell(group, group->volume_shards[message.volume], asking);
    }
    for (uint32_t shard = 0; shard < group->shard_count; shard++) {
        for (uint32_t i = 0; i < group->volume_count; i++) {
            if (!knows_route(group, &group->members[shard], i)) {
                tell(group, shard, asking);
            }
        }
    }
    if (!atomic_load(&group->open) && mkv_drive_set_run_opened(&group->run) &&
        mkv_tenant_names_settled(group->names)) {
        atomic_store(&group->open, true);
        tell_all(group, asking);
    }
}

/* The names may have changed: what shards have kept of them counts no more. */
static void names_changed(struct mkv_shard_group *group, uint32_t asking) {
    atomic_fetch_add(&group->version, 1);
    if (mkv_tenant_names_settled(group->names)) {
        tell_all(group, asking); /* a fabric may wait for a name */
    }
    pthread_cond_broadcast(&group->changed);
}

static bool next(struct mkv_shard_group *group, uint32_t shard, bool commands,
                 struct mkv_shard_news *news) {
    struct member *member = &group->members[shard];
    for (uint32_t i = 0; i < group->volume_count; i++) {
        if (!knows_route(group, member, i)) {
            const struct mkv_drive_set_volume *volume = &group->run.volumes[i];
            news->kind = MKV_SHARD_NEWS_ROUTE;
            news->volume = i;
            news->route = mkv_drive_set_run_route(&group->run, i);
            news->is_other = volume->member_number != member->told_member[i];
            news->member = volume->member;
            member->told[i] = news->route;
            member->told_member[i] = volume->member_number;
            return true;
        }
    }
    for (uint32_t i = 0; i < group->volume_count; i++) {
        struct box *box = &group->boxes[i];
        if (group->volume_shards[i] != shard) {
            continue;
        }
        if (commands && box->command_count > 0) {
            news->kind = MKV_SHARD_NEWS_COMMAND;
            news->command = box->commands[0];
            box->command_count--;
            memmove(&box->commands[0], &box->commands[1],
                    box->command_count * sizeof box->commands[0]);
            return true;
        }
        if (box->tenant_waits) {
            box->tenant_waits = false;
            news->kind = MKV_SHARD_NEWS_TENANT;
            news->message = box->tenant;
            memcpy(news->name, box->name, sizeof news->name);
            return true;
        }
    }
    return false;
}

static void learn_tenants(struct mkv_shard_group *group, uint32_t volume,
                          const struct mkv_volume *machine) {
    struct mkv_volume_tenant tenant;
    uint32_t cursor = 0;
    mkv_tenant_names_volume_begin(group->names, volume);
    while (mkv_volume_next_tenant(machine, &cursor, &tenant)) {
        if (tenant.live) {
            mkv_tenant_names_learn(group->names, volume, tenant.id, tenant.name, tenant.name_bytes);
        }
    }
    mkv_tenant_names_volume_serves(group->names, volume, mkv_volume_tenant_id_max(machine));
}

/* ---- a shard's thread ------------------------------------------------------------------------ */

void mkv_shard_group_begin(struct mkv_shard_group *group) {
    pthread_mutex_lock(&group->mutex);
    MKV_ASSERT(group->begun < group->shard_count);
    group->begun++;
    advance(group, MKV_NONE_U32);
    pthread_mutex_unlock(&group->mutex);
}

bool mkv_shard_group_has_news(const struct mkv_shard_group *group, uint32_t shard) {
    return atomic_load_explicit(&group->members[shard].news, memory_order_acquire);
}

bool mkv_shard_group_next(struct mkv_shard_group *group, uint32_t shard, bool commands,
                          struct mkv_shard_news *news) {
    pthread_mutex_lock(&group->mutex);
    const bool found = next(group, shard, commands, news);
    if (!found) {
        atomic_store_explicit(&group->members[shard].news, false, memory_order_release);
    }
    pthread_mutex_unlock(&group->mutex);
    return found;
}

void mkv_shard_group_refused(struct mkv_shard_group *group, uint32_t shard, uint32_t volume) {
    pthread_mutex_lock(&group->mutex);
    mkv_drive_set_run_refused(&group->run, volume);
    advance(group, shard);
    pthread_mutex_unlock(&group->mutex);
}

void mkv_shard_group_closing(struct mkv_shard_group *group, uint32_t shard, uint32_t volume) {
    pthread_mutex_lock(&group->mutex);
    mkv_drive_set_run_closing(&group->run, volume);
    advance(group, shard);
    pthread_mutex_unlock(&group->mutex);
}

void mkv_shard_group_event(struct mkv_shard_group *group, uint32_t shard, uint32_t volume,
                           const struct mkv_volume *machine, const struct mkv_event *event) {
    pthread_mutex_lock(&group->mutex);
    mkv_drive_set_run_event(&group->run, volume, event);
    if (event->kind == MKV_EVENT_OPENED) {
        learn_tenants(group, volume, machine);
        names_changed(group, shard);
    } else if (event->kind == MKV_EVENT_DRIVE_FAILED || event->kind == MKV_EVENT_CLOSED) {
        mkv_tenant_names_volume_lost(group->names, volume);
        names_changed(group, shard);
    } else if (event->kind == MKV_EVENT_TENANT_SWEPT) {
        mkv_tenant_names_volume_swept(group->names, volume);
        names_changed(group, shard);
    }
    advance(group, shard);
    pthread_mutex_unlock(&group->mutex);
}

void mkv_shard_group_tenant_done(struct mkv_shard_group *group, uint32_t shard,
                                 const struct mkv_message *message) {
    pthread_mutex_lock(&group->mutex);
    mkv_tenant_names_done(group->names, message);
    names_changed(group, shard);
    advance(group, shard);
    pthread_mutex_unlock(&group->mutex);
}

bool mkv_shard_group_is_open(const struct mkv_shard_group *group) {
    return atomic_load_explicit(&group->open, memory_order_acquire);
}

bool mkv_shard_group_is_ready(struct mkv_shard_group *group) {
    pthread_mutex_lock(&group->mutex);
    const bool ready = group->run.ready;
    pthread_mutex_unlock(&group->mutex);
    return ready;
}

void mkv_shard_group_progress(struct mkv_shard_group *group, uint32_t *done, uint32_t *total) {
    pthread_mutex_lock(&group->mutex);
    *done = 0;
    *total = group->volume_count;
    for (uint32_t i = 0; i < group->volume_count; i++) {
        const enum mkv_drive_set_life life = group->run.volumes[i].life;
        *done += life != MKV_DRIVE_SET_CLOSED && life != MKV_DRIVE_SET_OPENING;
    }
    pthread_mutex_unlock(&group->mutex);
}

void mkv_shard_group_set(struct mkv_shard_group *group, uint64_t *version, uint32_t *members) {
    pthread_mutex_lock(&group->mutex);
    *version = group->run.current.version;
    *members = group->run.current.count;
    pthread_mutex_unlock(&group->mutex);
}

void mkv_shard_group_drained(struct mkv_shard_group *group) {
    atomic_fetch_add(&group->drained, 1);
}

bool mkv_shard_group_all_drained(const struct mkv_shard_group *group) {
    return atomic_load(&group->drained) >= group->shard_count;
}

enum mkv_tenant_resolved mkv_shard_group_resolve(struct mkv_shard_group *group, uint32_t shard,
                                                 const char *name, bool create, uint32_t *id,
                                                 uint64_t *version) {
    pthread_mutex_lock(&group->mutex);
    const uint32_t count = group->names->count;
    const enum mkv_tenant_resolved resolved =
        mkv_tenant_names_resolve(group->names, name, create, id);
    if (group->names->count != count) {
        atomic_fetch_add(&group->version, 1);
        advance(group, shard);
    }
    *version = atomic_load_explicit(&group->version, memory_order_relaxed);
    pthread_mutex_unlock(&group->mutex);
    return resolved;
}

uint64_t mkv_shard_group_version(const struct mkv_shard_group *group) {
    return atomic_load_explicit(&group->version, memory_order_acquire);
}

/* ---- any thread ------------------------------------------------------------------------------ */

const struct mkv_tenant_names *mkv_shard_group_names_lock(struct mkv_shard_group *group) {
    pthread_mutex_lock(&group->mutex);
    return group->names;
}

void mkv_shard_group_names_unlock(struct mkv_shard_group *group) {
    pthread_mutex_unlock(&group->mutex);
}

enum mkv_status mkv_shard_group_tenant_drop(struct mkv_shard_group *group, const char *name,
                                            uint64_t wait_ns) {
    MKV_ASSERT(mkv_tenant_name_is_valid(name, strlen(name)));
    const uint64_t until_ns = mkv_clock_monotonic_ns() + wait_ns;
    const struct timespec until = {
        .tv_sec = (time_t)(until_ns / NS_PER_S),
        .tv_nsec = (long)(until_ns % NS_PER_S),
    };
    enum mkv_status status = MKV_STATUS_UNAVAILABLE;
    int result = 0;
    pthread_mutex_lock(&group->mutex);
    while (group->dropping && !group->ended && result != ETIMEDOUT) {
        result = pthread_cond_timedwait(&group->changed, &group->mutex, &until);
    }
    if (!group->dropping && !group->ended && atomic_load(&group->open)) {
        group->dropping = true;
        status = mkv_tenant_names_drop(group->names, name);
        if (status == MKV_STATUS_OK) {
            atomic_fetch_add(&group->version, 1);
            advance(group, MKV_NONE_U32);
            bool done;
            while (!(done = mkv_tenant_names_dropped(group->names, &status)) && !group->ended &&
                   result != ETIMEDOUT) {
                result = pthread_cond_timedwait(&group->changed, &group->mutex, &until);
            }
            status = done ? status : MKV_STATUS_UNKNOWN;
        }
        group->dropping = false;
        pthread_cond_broadcast(&group->changed);
    }
    pthread_mutex_unlock(&group->mutex);
    return status;
}

enum mkv_drive_set_verdict mkv_shard_group_leave(struct mkv_shard_group *group, uint32_t volume) {
    MKV_ASSERT(volume < group->volume_count);
    pthread_mutex_lock(&group->mutex);
    const enum mkv_drive_set_verdict verdict =
        group->ended ? MKV_DRIVE_SET_NOT_NOW : mkv_drive_set_run_leave(&group->run, volume);
    advance(group, MKV_NONE_U32);
    pthread_mutex_unlock(&group->mutex);
    return verdict;
}

enum mkv_drive_set_verdict mkv_shard_group_may_join(struct mkv_shard_group *group,
                                                    uint32_t volume) {
    MKV_ASSERT(volume < group->volume_count);
    pthread_mutex_lock(&group->mutex);
    const enum mkv_drive_set_verdict verdict =
        group->ended ? MKV_DRIVE_SET_NOT_NOW : mkv_drive_set_run_may_join(&group->run, volume);
    pthread_mutex_unlock(&group->mutex);
    return verdict;
}

enum mkv_drive_set_verdict mkv_shard_group_join(struct mkv_shard_group *group, uint32_t volume,
                                                struct mkv_member member, uint64_t bytes) {
    MKV_ASSERT(volume < group->volume_count);
    pthread_mutex_lock(&group->mutex);
    const enum mkv_drive_set_verdict verdict =
        group->ended ? MKV_DRIVE_SET_NOT_NOW : mkv_drive_set_run_join(&group->run, volume, member);
    if (verdict == MKV_DRIVE_SET_GRANTED) {
        mkv_tenant_names_volume_size(group->names, volume, bytes);
    }
    advance(group, MKV_NONE_U32);
    pthread_mutex_unlock(&group->mutex);
    return verdict;
}

void mkv_shard_group_drive(struct mkv_shard_group *group, uint32_t volume,
                           struct mkv_shard_group_drive *drive) {
    MKV_ASSERT(volume < group->volume_count);
    pthread_mutex_lock(&group->mutex);
    const struct mkv_drive_set_volume *own = &group->run.volumes[volume];
    *drive = (struct mkv_shard_group_drive){
        .role = own->role,
        .life = own->life,
        .route = mkv_drive_set_run_route(&group->run, volume),
        .leaving = own->leaving,
        .member = own->member,
        .set = group->run.current,
    };
    pthread_mutex_unlock(&group->mutex);
}

void mkv_shard_group_abandon(struct mkv_shard_group *group) {
    atomic_store(&group->drained, group->shard_count);
    atomic_store(&group->open, true);
}

void mkv_shard_group_end(struct mkv_shard_group *group) {
    pthread_mutex_lock(&group->mutex);
    group->ended = true;
    pthread_cond_broadcast(&group->changed);
    pthread_mutex_unlock(&group->mutex);
}
