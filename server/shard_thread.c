/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The thread of a shard: opening, serving, draining, closing.
 */
#include "server/shard_internal.h"
#include "server/shard_sum.h"

#include <string.h>

#include "backends/clock.h"

/* ---- figures -------------------------------------------------------------------------------- */

void mkv_shard_collect(const struct mkv_shard *shard, struct mkv_shard_stats *stats) {
    stats->shard = shard->index;
    stats->taken_ns = mkv_clock_monotonic_ns();
    stats->state = shard->state;
    mkv_front_stats(shard->front, &stats->front);
    stats->front_times = *mkv_front_times(shard->front);
    mkv_front_memory_parts(shard->front, &stats->front_memory);
    if (shard->router != NULL) {
        mkv_router_stats(shard->router, &stats->router);
        mkv_front_stats_add(&stats->front, mkv_router_request_stats(shard->router));
        mkv_front_times_add(&stats->front_times, mkv_router_times(shard->router));
    }
    stats->fabric = *shard->fabric->ops->counters(shard->fabric);
    if (shard->shm != NULL) {
        stats->shm = *mkv_fabric_tcp_counters(shard->shm);
    }
    if (shard->tcp != NULL) {
        stats->lanes = *mkv_fabric_tcp_lane_counters(shard->tcp);
    }
    stats->ring = *mkv_ring_counters(shard->ring);
    stats->dispatch = *mkv_pump_dispatch(shard->pump);
    stats->volume_count = shard->volume_count;
    for (uint32_t i = 0; i < shard->volume_count; i++) {
        const struct shard_volume *volume = &shard->volumes[i];
        struct mkv_shard_volume_stats *target = &stats->volumes[i];
        target->own = volume->volume != NULL;
        target->route = volume->route;
        if (!target->own) {
            continue;
        }
        mkv_volume_stats(volume->volume, &target->volume);
        target->times = *mkv_volume_times(volume->volume);
        mkv_volume_memory(volume->volume, &target->memory);
        if (volume->drive != NULL) {
            target->drive = volume->drive->counters;
        } else {
            memset(&target->drive, 0, sizeof target->drive);
        }
        target->drive_failed = mkv_pump_drive_is_failed(shard->pump, i);
        target->opened = volume->opened;
        target->open_error = volume->open_error;
    }
    mkv_shard_group_set(shard->group, &stats->drive_set_version, &stats->drive_set_members);
    mkv_shard_tenants_collect(shard, stats);
    if (shard->resp_calls != NULL) {
        mkv_resp_calls_publish(shard->resp_calls);
    }
}

/* Publishes the figures if someone wants them, the last are old enough, and nobody is reading. */
static void publish(struct mkv_shard *shard) {
    if (!atomic_load_explicit(&shard->stats_wanted, memory_order_acquire)) {
        return;
    }
    const uint64_t now_ns = mkv_clock_monotonic_ns();
    if (now_ns < shard->published_ns + MKV_SHARD_STATS_NS ||
        pthread_mutex_trylock(&shard->mutex) != 0) {
        return; /* in a later round: there is one at every tick */
    }
    atomic_store_explicit(&shard->stats_wanted, false, memory_order_release);
    mkv_shard_collect(shard, shard->published);
    shard->published_ns = now_ns;
    pthread_cond_broadcast(&shard->changed);
    pthread_mutex_unlock(&shard->mutex);
}

/* ---- volumes -------------------------------------------------------------------------------- */

static void volume_failed(struct shard_volume *volume, enum mkv_err error) {
    volume->state = SHARD_VOLUME_FAILED;
    if (!volume->opened) {
        volume->open_error = error;
    }
}

void mkv_shard_event(void *context, uint32_t index, const struct mkv_event *event) {
    struct mkv_shard *shard = context;
    struct shard_volume *volume = &shard->volumes[index];
    switch (event->kind) {
    case MKV_EVENT_FORMATTED:
        MKV_ASSERT(volume->state == SHARD_VOLUME_FORMATTING);
        volume->state = SHARD_VOLUME_NEW;
        volume->format = false;
        break;
    case MKV_EVENT_OPENED:
        MKV_ASSERT(volume->state == SHARD_VOLUME_OPENING);
        volume->state = SHARD_VOLUME_SERVING;
        volume->opened = true;
        break;
    case MKV_EVENT_OPEN_FAILED:
    case MKV_EVENT_DRIVE_FAILED:
        volume_failed(volume, event->err);
        break;
    case MKV_EVENT_CLOSED:
        volume->state = SHARD_VOLUME_CLOSED;
        break;
    case MKV_EVENT_DRIVE_SET_DURABLE:
    case MKV_EVENT_PURGED:
    case MKV_EVENT_CAME_UP_EMPTY:
    case MKV_EVENT_TORN_TAIL:
    case MKV_EVENT_SUPERBLOCK_REPAIRED:
    case MKV_EVENT_JOURNAL_COPY_REPAIRED:
    case MKV_EVENT_CHECKPOINT_DONE:
    case MKV_EVENT_TENANT_SWEPT:
    case MKV_EVENT_DIRECTORY_DAMAGED:
    case MKV_EVENT_DIRECTORY_REBUILT:
    case MKV_EVENT_DIRECTORY_FULL:
    case MKV_EVENT_DIRECTORY_ROOM_AGAIN:
    case MKV_EVENT_DIRECTORY_OFF:
    case MKV_EVENT_DRIVE_STALLED:
    case MKV_EVENT_DRIVE_RESUMED:
    case MKV_EVENT_BLOCK_QUARANTINED:
    case MKV_EVENT_BLOCK_EVICTED:
    case MKV_EVENT_DRIVE_ERROR:
        break;
    }
    mkv_shard_group_event(shard->group, shard->index, index, volume->volume, event);
    if (shard->event != NULL) {
        shard->event(shard->event_context, index, event);
    }
}

static uint32_t volumes_in(const struct mkv_shard *shard, enum shard_volume_state state) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < shard->volume_count; i++) {
        count += shard->volumes[i].state == state;
    }
    return count;
}

static void volumes_format(struct mkv_shard *shard) {
    for (uint32_t i = 0; i < shard->volume_count; i++) {
        struct shard_volume *volume = &shard->volumes[i];
        if (volume->volume == NULL || !volume->format) {
            continue;
        }
        volume->state = SHARD_VOLUME_FORMATTING;
        const enum mkv_err error = mkv_pump_admin(shard->pump, i, MKV_ADMIN_FORMAT, NULL);
        if (error != MKV_OK) {
            volume_failed(volume, error);
        }
    }
}

static enum mkv_front_volume_state front_state(enum mkv_drive_set_route route) {
    switch (route) {
    case MKV_DRIVE_SET_ABSENT:
        return MKV_FRONT_VOLUME_ABSENT;
    case MKV_DRIVE_SET_OFFLINE:
        return MKV_FRONT_VOLUME_OFFLINE;
    case MKV_DRIVE_SET_ONLINE:
        return MKV_FRONT_VOLUME_ONLINE;
    }
    MKV_ASSERT(false);
    return MKV_FRONT_VOLUME_OFFLINE;
}

static void drive_set_command(struct mkv_shard *shard,
                              const struct mkv_drive_set_command *command) {
    struct shard_volume *volume = &shard->volumes[command->volume];
    MKV_ASSERT(volume->volume != NULL);
    if (command->admin == MKV_ADMIN_OPEN || command->admin == MKV_ADMIN_JOIN) {
        if (volume->state != SHARD_VOLUME_NEW) {
            mkv_shard_group_refused(shard->group, shard->index, command->volume);
            return; /* it could not be formatted */
        }
        volume->state = SHARD_VOLUME_OPENING;
    } else if (command->admin == MKV_ADMIN_CLOSE && volume->state == SHARD_VOLUME_SERVING) {
        volume->state = SHARD_VOLUME_CLOSING;
    }
    const enum mkv_err error =
        mkv_pump_admin(shard->pump, command->volume, command->admin, &command->set);
    if (error != MKV_OK && volume->state == SHARD_VOLUME_OPENING) {
        volume_failed(volume, error);
    }
    if (error != MKV_OK) {
        mkv_shard_group_refused(shard->group, shard->index, command->volume);
    } else if (command->admin == MKV_ADMIN_CLOSE) {
        mkv_shard_group_closing(shard->group, shard->index, command->volume);
    }
}

static void route_change(struct mkv_shard *shard, const struct mkv_shard_news *news) {
    struct shard_volume *volume = &shard->volumes[news->volume];
    volume->route = news->route;
    if (news->is_other) {
        mkv_pump_member(shard->pump, news->volume, news->member);
    }
    mkv_pump_route(shard->pump, news->volume, front_state(news->route));
}

/* Does what the group says: commands of the drive set as long as the shard serves, or begins to. */
static void news_advance(struct mkv_shard *shard) {
    const bool commands = shard->state == MKV_SHARD_OPENING || shard->state == MKV_SHARD_SERVING;
    struct mkv_shard_news news;
    while (mkv_shard_group_has_news(shard->group, shard->index) &&
           mkv_shard_group_next(shard->group, shard->index, commands, &news)) {
        switch (news.kind) {
        case MKV_SHARD_NEWS_COMMAND:
            drive_set_command(shard, &news.command);
            break;
        case MKV_SHARD_NEWS_TENANT:
            mkv_pump_tenant(shard->pump, &news.message, news.name);
            break;
        case MKV_SHARD_NEWS_ROUTE:
            route_change(shard, &news);
            break;
        }
    }
}

static void volumes_close(struct mkv_shard *shard) {
    for (uint32_t i = 0; i < shard->volume_count; i++) {
        struct shard_volume *volume = &shard->volumes[i];
        if (volume->state != SHARD_VOLUME_SERVING) {
            continue;
        }
        volume->state = SHARD_VOLUME_CLOSING;
        const enum mkv_err error = mkv_pump_admin(shard->pump, i, MKV_ADMIN_CLOSE, NULL);
        if (error != MKV_OK) {
            volume_failed(volume, error);
        }
    }
}

_Static_assert(MKV_VOLUMES_MAX <= 64, "each volume has a bit");

/* Tells volumes whose drives have become slow, or are no more. One that was opened anew has
 * forgotten it. */
static void volumes_avoid(struct mkv_shard *shard) {
    const uint64_t wanted = atomic_load_explicit(&shard->avoid_wanted, memory_order_relaxed);
    for (uint32_t i = 0; i < shard->volume_count; i++) {
        const bool avoid = (wanted >> i & 1u) != 0;
        struct shard_volume *volume = &shard->volumes[i];
        if (volume->state != SHARD_VOLUME_SERVING) {
            volume->avoided = false;
        } else if (volume->avoided != avoid) {
            volume->avoided = avoid;
            (void)mkv_pump_admin(shard->pump, i, avoid ? MKV_ADMIN_AVOID : MKV_ADMIN_AVOID_OVER,
                                 NULL);
        }
    }
}

static void volumes_checkpoint(struct mkv_shard *shard) {
    for (uint32_t i = 0; i < shard->volume_count; i++) {
        if (shard->volumes[i].state == SHARD_VOLUME_SERVING) {
            /* It may have failed meanwhile; then there is nothing to write. */
            (void)mkv_pump_admin(shard->pump, i, MKV_ADMIN_CHECKPOINT, NULL);
        }
    }
}

static bool drives_are_idle(const struct mkv_shard *shard) {
    for (uint32_t i = 0; i < shard->volume_count; i++) {
        if (shard->volumes[i].drive != NULL && mkv_drive_in_flight(shard->volumes[i].drive) > 0) {
            return false;
        }
    }
    return true;
}

/* ---- phases --------------------------------------------------------------------------------- */

/* Connections that another shard has accepted. */
static void moves_advance(struct mkv_shard *shard) {
    struct mkv_fabric_tcp_move move;
    if (shard->moves == NULL || shard->state == MKV_SHARD_OPENING) {
        return;
    }
    mkv_shard_moves_room(shard->moves, shard->index, mkv_fabric_tcp_adopts_max(shard->tcp));
    while (mkv_shard_moves_take(shard->moves, shard->index, &move)) {
        mkv_fabric_tcp_adopt(shard->tcp, &move);
        mkv_shard_moves_room(shard->moves, shard->index, mkv_fabric_tcp_adopts_max(shard->tcp));
    }
}

static void one_round(struct mkv_shard *shard) {
    mkv_pump_round(shard->pump, shard->ring, shard->state == MKV_SHARD_OPENING);
    const uint64_t now_ns = mkv_clock_monotonic_ns();
    atomic_store_explicit(&shard->round_ns, now_ns, memory_order_relaxed);
    mkv_observer_tick(shard->observer, now_ns);
    if (atomic_exchange_explicit(&shard->checkpoint_wanted, false, memory_order_acquire)) {
        volumes_checkpoint(shard);
    }
    volumes_avoid(shard);
    news_advance(shard);
    mkv_shard_drive_advance(shard);
    moves_advance(shard);
    mkv_shard_ask_advance(shard);
    mkv_shard_inspect_advance(shard);
    publish(shard);
}

static void open_all(struct mkv_shard *shard) {
    volumes_format(shard);
    while (volumes_in(shard, SHARD_VOLUME_FORMATTING) > 0) {
        one_round(shard);
    }
    mkv_shard_group_begin(shard->group);
    news_advance(shard);
    /* A name that a crash left on some volumes only is on all of them before anyone uses it. */
    while (!mkv_shard_group_is_open(shard->group)) {
        one_round(shard);
    }
    news_advance(shard); /* routes */
    shard->state = MKV_SHARD_SERVING;
    pthread_mutex_lock(&shard->mutex);
    /* Whoever asks next sees what was opened, not a copy from before. */
    mkv_shard_collect(shard, shard->published);
    shard->published_ns = mkv_clock_monotonic_ns();
    shard->all_opened = true;
    shard->serving_count =
        mkv_shard_group_is_ready(shard->group) ? volumes_in(shard, SHARD_VOLUME_SERVING) : 0;
    pthread_cond_broadcast(&shard->changed);
    pthread_mutex_unlock(&shard->mutex);
}

static void serve(struct mkv_shard *shard) {
    while (!atomic_load_explicit(&shard->close_wanted, memory_order_acquire)) {
        one_round(shard);
    }
}

static void drain(struct mkv_shard *shard) {
    shard->state = MKV_SHARD_DRAINING;
    shard->fabric->ops->drain(shard->fabric);
    bool stopped = false;
    while (!shard->fabric->ops->is_idle(shard->fabric)) {
        one_round(shard);
        const uint64_t until_ns =
            atomic_load_explicit(&shard->drain_until_ns, memory_order_relaxed);
        if (!stopped && mkv_clock_monotonic_ns() >= until_ns) {
            shard->fabric->ops->stop(shard->fabric);
            stopped = true;
        }
    }
}

/* Serves the clients of other shards on as long as they have some. */
static void drain_others(struct mkv_shard *shard) {
    if (shard->router == NULL) {
        return;
    }
    const uint64_t until_ns = mkv_clock_monotonic_ns() + MKV_SHARD_CLOSE_NS;
    mkv_shard_group_drained(shard->group);
    while (!mkv_shard_group_all_drained(shard->group) && mkv_clock_monotonic_ns() < until_ns) {
        one_round(shard);
    }
    /* What they sent last. */
    one_round(shard);
}

/* Closes what serves, and waits for what the drives still have in hand. */
static void close_all(struct mkv_shard *shard) {
    shard->state = MKV_SHARD_CLOSING;
    const uint64_t until_ns = mkv_clock_monotonic_ns() + MKV_SHARD_CLOSE_NS;
    volumes_close(shard);
    while ((volumes_in(shard, SHARD_VOLUME_CLOSING) > 0 || !drives_are_idle(shard)) &&
           mkv_clock_monotonic_ns() < until_ns) {
        one_round(shard);
    }
}

void *mkv_shard_thread(void *context) {
    struct mkv_shard *shard = context;
    (void)pthread_setname_np(pthread_self(), "memkv-shard"); /* for those who look with top */
    if (shard->recorder != NULL) {
        mkv_recorder_attach(shard->recorder);
    }
    open_all(shard);
    serve(shard);
    drain(shard);
    drain_others(shard);
    close_all(shard);

    mkv_shard_group_end(shard->group);
    bool clean = true;
    for (uint32_t i = 0; i < shard->volume_count; i++) {
        const struct shard_volume *volume = &shard->volumes[i];
        clean = clean && (volume->state == SHARD_VOLUME_CLOSED || !volume->opened);
    }
    shard->state = MKV_SHARD_ENDED;
    shard->clean = clean && drives_are_idle(shard);
    pthread_mutex_lock(&shard->mutex);
    mkv_shard_collect(shard, shard->published);
    shard->ended = true;
    pthread_cond_broadcast(&shard->changed);
    pthread_mutex_unlock(&shard->mutex);
    /* Here, because only this thread may take files out of the ring. */
    for (uint32_t i = 0; i < shard->volume_count; i++) {
        if (shard->volumes[i].drive != NULL && mkv_drive_in_flight(shard->volumes[i].drive) == 0) {
            mkv_drive_close(shard->volumes[i].drive);
            shard->volumes[i].drive = NULL;
        }
    }
    if (shard->resp_calls != NULL) {
        mkv_resp_calls_end(shard->resp_calls);
    }
    shard->fabric->ops->destroy(shard->fabric);
    shard->fabric = NULL;
    shard->shm = NULL;
    mkv_shard_rdma_end(shard);
    return NULL;
}
