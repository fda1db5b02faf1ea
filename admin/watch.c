/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/watch.h"

#include <stdlib.h>
#include <string.h>

#include "admin/figures.h"

#define MOMENTS_MAX ((uint32_t)(MKV_WATCH_WINDOW_NS / MKV_WATCH_MOMENT_NS) + 1u)
#define P50 500u
#define P99 990u
#define NS_PER_S 1000000000ull

struct drive_moment {
    uint64_t read_bytes, write_bytes;
    struct mkv_histogram duration[MKV_ADMIN_IO_OP_COUNT];
};
struct tenant_moment {
    char name[MKV_TENANT_STORED_NAME_BYTES_MAX + 1];
    uint64_t keys_found, keys_missed;
    uint64_t evicted, caused;
};
struct moment {
    uint64_t now_ns;
    struct mkv_admin_lookups lookups;
    uint64_t stored;
    struct mkv_volume_seconds lifetime;
    uint32_t drive_count;
    struct drive_moment drives[MKV_VOLUMES_MAX];
    uint32_t tenant_count;
    struct tenant_moment tenants[MKV_ADMIN_TENANTS_TOLD];
};

struct watched_drive {
    bool was_online;
    enum mkv_drive_state state;
    uint64_t state_since_ms; /* 0: it was not looked at yet */
    bool journal_full;
    bool slow;
    uint64_t slow_since_ns;
    uint32_t periods_bad, periods_well; /* in a row */
    uint64_t p99_ns, siblings_ns;       /* of the last bad period */
};

struct mkv_watch {
    struct mkv_watch_options options;
    struct moment latest;
    uint32_t moment_count; /* in the ring; the oldest is at moment_first */
    uint32_t moment_first;
    struct moment moments[MOMENTS_MAX];
    bool served; /* the node has taken requests: drives that come and go count */
    uint64_t transitions[2];
    uint64_t period_ns; /* when the period of the search for slow drives began; 0: none did */
    struct drive_moment period[MKV_VOLUMES_MAX];
    struct watched_drive drives[MKV_VOLUMES_MAX];
    uint32_t finding_count;
    struct mkv_watch_finding findings[MKV_WATCH_FINDINGS_MAX];
};

/* ---- figures over time ----------------------------------------------------------------------- */

/* What was counted before, if that is still counted: else nothing was. */
static const struct mkv_histogram *counted_before(const struct mkv_histogram *before,
                                                  const struct mkv_histogram *now) {
    static const struct mkv_histogram nothing;
    for (uint32_t bound = 0; bound <= MKV_HISTOGRAM_BOUNDS; bound++) {
        if (before->counts[bound] > now->counts[bound]) {
            return &nothing;
        }
    }
    return before;
}

static uint64_t grown(uint64_t now, uint64_t before) {
    return now > before ? now - before : 0;
}

/* The same of a count that may have begun anew. */
static uint64_t counted_since(uint64_t now, uint64_t before) {
    return now >= before ? now - before : now;
}

uint64_t mkv_watch_quantile_ns(const struct mkv_histogram *first, const struct mkv_histogram *now,
                               uint32_t per_mille) {
    const struct mkv_histogram *before = counted_before(first, now);
    const uint64_t total = mkv_histogram_total(now) - mkv_histogram_total(before);
    if (total == 0) {
        return 0;
    }
    const uint64_t rank = mkv_divide_up_u64(total * per_mille, 1000);
    uint64_t below = 0;
    for (uint32_t bound = 0; bound < MKV_HISTOGRAM_BOUNDS; bound++) {
        const uint64_t count = now->counts[bound] - before->counts[bound];
        if (below + count >= rank) {
            const uint64_t low = bound == 0 ? 0 : mkv_histogram_bound_ns(bound - 1);
            const uint64_t width = mkv_histogram_bound_ns(bound) - low;
            return low + (uint64_t)((double)width * (double)(rank - below) / (double)count);
        }
        below += count;
    }
    return mkv_histogram_bound_ns(MKV_HISTOGRAM_BOUNDS - 1);
}

/* The median of what is between two copies, in seconds; UINT64_MAX when there is nothing. */
static uint64_t median_s(const struct mkv_volume_seconds *before,
                         const struct mkv_volume_seconds *now) {
    uint64_t total = 0;
    for (uint32_t bound = 0; bound <= MKV_VOLUME_SECONDS_BOUNDS; bound++) {
        total += grown(now->counts[bound], before->counts[bound]);
    }
    if (total == 0) {
        return UINT64_MAX;
    }
    const uint64_t rank = mkv_divide_up_u64(total, 2);
    uint64_t below = 0;
    for (uint32_t bound = 0; bound < MKV_VOLUME_SECONDS_BOUNDS; bound++) {
        const uint64_t count = now->counts[bound] - before->counts[bound];
        if (below + count >= rank) {
            const uint64_t low = bound == 0 ? 0 : 1ull << (bound - 1);
            const double width = (double)((1ull << bound) - low);
            return low + (uint64_t)(width * (double)(rank - below) / (double)count);
        }
        below += count;
    }
    return 1ull << (MKV_VOLUME_SECONDS_BOUNDS - 1);
}

static void take_moment(struct moment *moment, const struct mkv_admin_snapshot *snapshot,
                        uint64_t now_ns) {
    const struct mkv_front_stats *front = &snapshot->front;
    memset(moment, 0, sizeof *moment);
    moment->now_ns = now_ns;
    moment->lookups = mkv_admin_lookups(snapshot);
    moment->stored = front->items_finished[MKV_OP_PUT][MKV_STATUS_OK] +
                     front->items_finished[MKV_OP_COMMIT][MKV_STATUS_OK];
    moment->drive_count = snapshot->drive_count;
    for (uint32_t index = 0; index < snapshot->drive_count; index++) {
        const struct mkv_admin_drive *drive = &snapshot->drives[index];
        moment->drives[index] = (struct drive_moment){
            .read_bytes = drive->io[MKV_ADMIN_IO_READ].bytes,
            .write_bytes = drive->io[MKV_ADMIN_IO_WRITE].bytes,
        };
        for (uint32_t op = 0; op < MKV_ADMIN_IO_OP_COUNT; op++) {
            moment->drives[index].duration[op] = drive->io[op].duration;
        }
        for (uint32_t bound = 0; bound <= MKV_VOLUME_SECONDS_BOUNDS; bound++) {
            moment->lifetime.counts[bound] += drive->volume.evicted_lifetime.counts[bound];
        }
    }
    moment->tenant_count = (uint32_t)mkv_min_u64(snapshot->tenant_count, MKV_ADMIN_TENANTS_TOLD);
    for (uint32_t index = 0; index < moment->tenant_count; index++) {
        const struct mkv_admin_tenant *tenant = &snapshot->tenants[index];
        struct tenant_moment *target = &moment->tenants[index];
        memcpy(target->name, tenant->name, sizeof target->name);
        target->keys_found = tenant->asked.keys_from_memory + tenant->asked.keys_from_drive;
        target->keys_missed = tenant->asked.keys_missed;
        target->evicted = tenant->evicted_total;
        target->caused = tenant->evictions_caused_total;
    }
}

static const struct moment *moment_at(const struct mkv_watch *watch, uint32_t age_rank) {
    return &watch->moments[(watch->moment_first + age_rank) % MOMENTS_MAX];
}

/* The youngest moment that is at least so old, else the oldest one; NULL: there is none before the
 * latest. */
static const struct moment *moment_before(const struct mkv_watch *watch, uint64_t age_ns) {
    const struct moment *found = NULL;
    for (uint32_t rank = 0; rank < watch->moment_count; rank++) {
        const struct moment *moment = moment_at(watch, rank);
        if (rank > 0 && moment->now_ns + age_ns > watch->latest.now_ns) {
            break;
        }
        found = moment;
    }
    return found == NULL || found->now_ns == watch->latest.now_ns ? NULL : found;
}

static void keep_moment(struct mkv_watch *watch) {
    const uint64_t now_ns = watch->latest.now_ns;
    if (watch->moment_count > 0 &&
        now_ns < moment_at(watch, watch->moment_count - 1)->now_ns + MKV_WATCH_MOMENT_NS) {
        return;
    }
    if (watch->moment_count == MOMENTS_MAX) {
        watch->moment_first = (watch->moment_first + 1) % MOMENTS_MAX;
        watch->moment_count--;
    }
    const uint32_t place = (watch->moment_first + watch->moment_count) % MOMENTS_MAX;
    watch->moments[place] = watch->latest;
    watch->moment_count++;
}

/* ---- slow drives ----------------------------------------------------------------------------- */

/* The 99th percentiles of a period by drive, 0 where there was too little to say. */
static void period_p99(const struct mkv_watch *watch, enum mkv_admin_io_op op,
                       uint64_t p99_ns[MKV_VOLUMES_MAX]) {
    for (uint32_t index = 0; index < watch->latest.drive_count; index++) {
        const struct mkv_histogram *last = &watch->latest.drives[index].duration[op];
        const struct mkv_histogram *first =
            counted_before(&watch->period[index].duration[op], last);
        const uint64_t count = mkv_histogram_total(last) - mkv_histogram_total(first);
        p99_ns[index] =
            count < MKV_WATCH_SLOW_OPERATIONS ? 0 : mkv_watch_quantile_ns(first, last, P99);
    }
}

/* The median of the other drives' figures, 0 when there are none. Of two in the middle the lower
 * one: so one slow drive does not hide another of three. */
static uint64_t siblings_median(const uint64_t *p99_ns, uint32_t count, uint32_t drive) {
    uint64_t sorted[MKV_VOLUMES_MAX];
    uint32_t used = 0;
    for (uint32_t index = 0; index < count; index++) {
        if (index == drive || p99_ns[index] == 0) {
            continue;
        }
        uint32_t place = used;
        for (; place > 0 && sorted[place - 1] > p99_ns[index]; place--) {
            sorted[place] = sorted[place - 1];
        }
        sorted[place] = p99_ns[index];
        used++;
    }
    return used == 0 ? 0 : sorted[(used - 1) / 2];
}

static void judge_period(struct mkv_watch *watch) {
    uint64_t p99_ns[2][MKV_VOLUMES_MAX];
    const uint32_t count = watch->latest.drive_count;
    period_p99(watch, MKV_ADMIN_IO_READ, p99_ns[0]);
    period_p99(watch, MKV_ADMIN_IO_WRITE, p99_ns[1]);
    for (uint32_t index = 0; index < count; index++) {
        struct watched_drive *drive = &watch->drives[index];
        bool bad = false;
        for (uint32_t kind = 0; kind < 2; kind++) {
            const uint64_t siblings_ns = siblings_median(p99_ns[kind], count, index);
            if (siblings_ns > 0 && p99_ns[kind][index] > MKV_WATCH_SLOW_RATIO * siblings_ns) {
                bad = true;
                drive->p99_ns = p99_ns[kind][index];
                drive->siblings_ns = siblings_ns;
            }
        }
        drive->periods_bad = bad ? drive->periods_bad + 1 : 0;
        drive->periods_well = bad ? 0 : drive->periods_well + 1;
        if (drive->periods_bad >= MKV_WATCH_SLOW_PERIODS) {
            drive->slow_since_ns = drive->slow ? drive->slow_since_ns : watch->latest.now_ns;
            drive->slow = true;
        } else if (drive->periods_well >= MKV_WATCH_SLOW_PERIODS) {
            drive->slow = false;
        }
    }
}

static void look_for_slow(struct mkv_watch *watch) {
    const uint64_t period_ns = watch->options.slow_after_ns / MKV_WATCH_SLOW_PERIODS;
    const uint64_t now_ns = watch->latest.now_ns;
    if (watch->period_ns != 0 && now_ns < watch->period_ns + period_ns) {
        return;
    }
    if (watch->period_ns != 0) {
        judge_period(watch);
    }
    watch->period_ns = now_ns;
    memcpy(watch->period, watch->latest.drives, sizeof watch->period);
}

/* ---- what is wrong --------------------------------------------------------------------------- */

static void find(struct mkv_watch *watch, enum mkv_admin_warning_code code, uint32_t drive,
                 uint64_t figure, uint64_t other) {
    MKV_ASSERT(watch->finding_count < MKV_WATCH_FINDINGS_MAX);
    watch->findings[watch->finding_count] =
        (struct mkv_watch_finding){.code = code, .drive = drive, .figures = {figure, other}};
    watch->finding_count++;
}

/* Whether a class of the drive that has extents could not have another one, since each of its slots
 * needs a number and there are too few. */
static bool slots_are_out(const struct mkv_admin_drive *drive, uint64_t *left) {
    const struct mkv_volume_stats *volume = &drive->volume;
    const uint64_t given = volume->slots_used + volume->slots_free;
    *left = drive->slots_max > given ? drive->slots_max - given : 0;
    if (volume->extents_free == 0) {
        return false;
    }
    for (uint32_t index = 0; index < volume->class_count; index++) {
        const struct mkv_volume_class_stats *class_stats = &volume->classes[index];
        if (class_stats->extents > 0 && volume->extent_units / class_stats->slot_units > *left) {
            return true;
        }
    }
    return false;
}

static void look_at_drive(struct mkv_watch *watch, const struct mkv_admin_drive *drive,
                          uint32_t index) {
    const struct mkv_volume_stats *volume = &drive->volume;
    struct watched_drive *watched = &watch->drives[index];
    /* Then it serves nobody, until it answers; one that has failed or left says that itself. */
    const bool may_answer =
        mkv_drive_state_serves(drive->state) ||
        (drive->state == MKV_DRIVE_STATE_OFFLINE && drive->failure == MKV_DRIVE_FAILURE_TIMEOUT);
    if (volume->stalled && may_answer) {
        find(watch, MKV_ADMIN_WARNING_DRIVE_STALLED, index, 0, 0);
    }
    if (!mkv_drive_state_serves(drive->state)) {
        watched->slow = false;
        watched->periods_bad = 0;
        watched->journal_full = false;
        return;
    }
    if (watched->slow) {
        find(watch, MKV_ADMIN_WARNING_DRIVE_SLOW, index, watched->p99_ns, watched->siblings_ns);
    }
    const uint64_t lag = mkv_admin_journal_lag(volume);
    const uint64_t bound =
        watched->journal_full ? MKV_WATCH_JOURNAL_AGAIN_PERCENT : MKV_WATCH_JOURNAL_FULL_PERCENT;
    watched->journal_full = lag * 100 > volume->journal_ring_blocks * bound;
    if (watched->journal_full) {
        find(watch, MKV_ADMIN_WARNING_JOURNAL_NEARLY_FULL, index, lag, volume->journal_ring_blocks);
    }
    uint64_t left;
    if (slots_are_out(drive, &left)) {
        find(watch, MKV_ADMIN_WARNING_SLOT_TABLE_FULL, index, left, drive->slots_max);
    }
    if (volume->directory.state == MKV_DIRECTORY_FULL ||
        volume->directory.state == MKV_DIRECTORY_OFF) {
        find(watch, MKV_ADMIN_WARNING_DIRECTORY_OFF, index,
             volume->directory.state == MKV_DIRECTORY_FULL, 0);
    }
}

static void note_states(struct mkv_watch *watch, const struct mkv_admin_snapshot *snapshot) {
    for (uint32_t index = 0; index < snapshot->drive_count; index++) {
        struct watched_drive *watched = &watch->drives[index];
        const enum mkv_drive_state state = snapshot->drives[index].state;
        if (watched->state_since_ms == 0 || watched->state != state) {
            watched->state = state;
            watched->state_since_ms = snapshot->taken_ms;
        }
    }
}

static void look_for_sharing(struct mkv_watch *watch) {
    const struct moment *before = moment_before(watch, MKV_WATCH_WINDOW_NS);
    const struct moment *now = &watch->latest;
    if (before == NULL || now->now_ns - before->now_ns < MKV_WATCH_WINDOW_NS) {
        return;
    }
    const uint64_t stored = now->stored - before->stored;
    const uint64_t missed = now->lookups.keys_miss - before->lookups.keys_miss;
    const uint64_t unknown = now->lookups.keys_by_miss[MKV_MISS_UNKNOWN] -
                             before->lookups.keys_by_miss[MKV_MISS_UNKNOWN];
    const uint64_t found = now->lookups.keys_memory + now->lookups.keys_drive -
                           before->lookups.keys_memory - before->lookups.keys_drive;
    if (stored > MKV_WATCH_STORED_MIN && missed > MKV_WATCH_MISSED_MIN && found == 0 &&
        unknown * 100 > missed * MKV_WATCH_UNKNOWN_PERCENT) {
        find(watch, MKV_ADMIN_WARNING_NO_SHARED_HITS, MKV_NONE_U32, stored, missed);
    }
}

/* Drives come and go only once the node has begun to serve: opening them at the start is neither.
 */
static void count_transitions(struct mkv_watch *watch, const struct mkv_admin_snapshot *snapshot) {
    const bool first = !watch->served;
    if (snapshot->state == MKV_ADMIN_NODE_RECOVERING || snapshot->state == MKV_ADMIN_NODE_WAITING ||
        snapshot->state == MKV_ADMIN_NODE_DRAINING) {
        return;
    }
    watch->served = true;
    for (uint32_t index = 0; index < snapshot->drive_count; index++) {
        const bool online = mkv_drive_state_serves(snapshot->drives[index].state);
        if (!first && online != watch->drives[index].was_online) {
            watch->transitions[online ? 1 : 0]++;
        }
        watch->drives[index].was_online = online;
    }
}

void mkv_watch_look(struct mkv_watch *watch, const struct mkv_admin_snapshot *snapshot,
                    uint64_t now_ns) {
    MKV_ASSERT(now_ns >= watch->latest.now_ns);
    take_moment(&watch->latest, snapshot, now_ns);
    look_for_slow(watch);
    watch->finding_count = 0;
    if (snapshot->shard_quiet_ns >= watch->options.watchdog_ns) {
        find(watch, MKV_ADMIN_WARNING_SHARD_STALLED, MKV_NONE_U32, snapshot->shard_quiet_ns, 0);
    }
    for (uint32_t index = 0; index < snapshot->drive_count; index++) {
        look_at_drive(watch, &snapshot->drives[index], index);
    }
    look_for_sharing(watch);
    if (snapshot->ring.view_count > 1) {
        find(watch, MKV_ADMIN_WARNING_RING_MISMATCH, MKV_NONE_U32, snapshot->ring.view_count, 0);
    }
    count_transitions(watch, snapshot);
    note_states(watch, snapshot);
    keep_moment(watch);
}

/* ---- what others ask ------------------------------------------------------------------------- */

uint32_t mkv_watch_findings(const struct mkv_watch *watch,
                            struct mkv_watch_finding out[MKV_WATCH_FINDINGS_MAX]) {
    memcpy(out, watch->findings, watch->finding_count * sizeof out[0]);
    return watch->finding_count;
}

bool mkv_watch_drive_is_slow(const struct mkv_watch *watch, uint32_t drive) {
    MKV_ASSERT(drive < MKV_VOLUMES_MAX);
    return watch->drives[drive].slow;
}

uint64_t mkv_watch_drive_slow_ns(const struct mkv_watch *watch, uint32_t drive) {
    MKV_ASSERT(drive < MKV_VOLUMES_MAX);
    const struct watched_drive *watched = &watch->drives[drive];
    return watched->slow ? watch->latest.now_ns - watched->slow_since_ns : 0;
}

uint64_t mkv_watch_transitions(const struct mkv_watch *watch, bool online) {
    return watch->transitions[online ? 1 : 0];
}

/* A drive that was not looked at in this state came to it just now. */
static void recent_states(const struct mkv_watch *watch, struct mkv_admin_snapshot *snapshot) {
    for (uint32_t index = 0; index < snapshot->drive_count; index++) {
        const struct watched_drive *watched = &watch->drives[index];
        struct mkv_admin_drive *drive = &snapshot->drives[index];
        const bool known = watched->state_since_ms != 0 && watched->state == drive->state;
        drive->state_since_ms = known ? watched->state_since_ms : snapshot->taken_ms;
    }
}

/* What the other drives have, for each operation. */
static void recent_siblings(struct mkv_admin_snapshot *snapshot, uint32_t count) {
    for (uint32_t op = 0; op < MKV_ADMIN_IO_OP_COUNT; op++) {
        uint64_t p99_ns[MKV_VOLUMES_MAX];
        for (uint32_t index = 0; index < count; index++) {
            p99_ns[index] = snapshot->drives[index].recent.p99_ns[op];
        }
        for (uint32_t index = 0; index < count; index++) {
            snapshot->drives[index].recent.siblings_p99_ns[op] =
                siblings_median(p99_ns, count, index);
        }
    }
}

static void recent_drives(const struct mkv_watch *watch, struct mkv_admin_snapshot *snapshot) {
    const struct moment *now = &watch->latest;
    const struct moment *before = moment_before(watch, MKV_WATCH_DRIVE_WINDOW_NS);
    if (before == NULL) {
        return;
    }
    const double seconds = (double)(now->now_ns - before->now_ns) / (double)NS_PER_S;
    const uint32_t count = (uint32_t)mkv_min_u64(snapshot->drive_count, now->drive_count);
    for (uint32_t index = 0; index < count; index++) {
        const struct drive_moment *first = &before->drives[index];
        const struct drive_moment *last = &now->drives[index];
        struct mkv_admin_drive_recent *recent = &snapshot->drives[index].recent;
        recent->read_bytes_s =
            (uint64_t)((double)counted_since(last->read_bytes, first->read_bytes) / seconds);
        recent->write_bytes_s =
            (uint64_t)((double)counted_since(last->write_bytes, first->write_bytes) / seconds);
        for (uint32_t op = 0; op < MKV_ADMIN_IO_OP_COUNT; op++) {
            const struct mkv_histogram *then = &first->duration[op];
            recent->p50_ns[op] = mkv_watch_quantile_ns(then, &last->duration[op], P50);
            recent->p99_ns[op] = mkv_watch_quantile_ns(then, &last->duration[op], P99);
        }
        recent->read_p99_ns = recent->p99_ns[MKV_ADMIN_IO_READ];
        recent->write_p99_ns = recent->p99_ns[MKV_ADMIN_IO_WRITE];
    }
    recent_siblings(snapshot, count);
}

/* What a tenant of that name had; zeroes when there was none. */
static struct tenant_moment tenant_of(const struct moment *moment, const char *name) {
    for (uint32_t index = 0; index < moment->tenant_count; index++) {
        if (strcmp(moment->tenants[index].name, name) == 0) {
            return moment->tenants[index];
        }
    }
    return (struct tenant_moment){.name = ""};
}

static void recent_tenants(const struct mkv_watch *watch, const struct moment *before,
                           struct mkv_admin_snapshot *snapshot) {
    const uint32_t count = (uint32_t)mkv_min_u64(snapshot->tenant_count, MKV_ADMIN_TENANTS_TOLD);
    for (uint32_t index = 0; index < count; index++) {
        const struct tenant_moment first = tenant_of(before, snapshot->tenants[index].name);
        const struct tenant_moment last = tenant_of(&watch->latest, snapshot->tenants[index].name);
        snapshot->tenants[index].recent = (struct mkv_admin_tenant_recent){
            /* One that was dropped and made anew begins with nothing. */
            .keys_found = grown(last.keys_found, first.keys_found),
            .keys_missed = grown(last.keys_missed, first.keys_missed),
            .evicted = grown(last.evicted, first.evicted),
            .caused = grown(last.caused, first.caused),
        };
    }
}

void mkv_watch_recent(const struct mkv_watch *watch, struct mkv_admin_snapshot *snapshot) {
    const struct moment *now = &watch->latest;
    const struct moment *before = moment_before(watch, MKV_WATCH_WINDOW_NS);
    struct mkv_admin_recent *recent = &snapshot->recent;
    recent->residency_s = UINT64_MAX;
    recent_states(watch, snapshot);
    recent_drives(watch, snapshot);
    if (before == NULL) {
        return;
    }
    recent->window_ns = now->now_ns - before->now_ns;
    recent->keys_memory = now->lookups.keys_memory - before->lookups.keys_memory;
    recent->keys_drive = now->lookups.keys_drive - before->lookups.keys_drive;
    recent->keys_miss = now->lookups.keys_miss - before->lookups.keys_miss;
    for (uint32_t miss = 0; miss < MKV_MISS_COUNT; miss++) {
        recent->keys_by_miss[miss] =
            now->lookups.keys_by_miss[miss] - before->lookups.keys_by_miss[miss];
    }
    recent->residency_s = median_s(&before->lifetime, &now->lifetime);
    recent_tenants(watch, before, snapshot);
}

struct mkv_watch *mkv_watch_create(const struct mkv_watch_options *options) {
    MKV_ASSERT(options->slow_after_ns >= MKV_WATCH_SLOW_PERIODS);
    struct mkv_watch *watch = calloc(1, sizeof *watch);
    if (watch != NULL) {
        watch->options = *options;
    }
    return watch;
}

void mkv_watch_destroy(struct mkv_watch *watch) {
    free(watch);
}
