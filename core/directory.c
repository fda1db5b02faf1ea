/* SPDX-License-Identifier: Apache-2.0 */
#include "core/directory.h"

#include <string.h>

#include "core/canary.h"
#include "core/directory_internal.h"

/* Notes that one step applies, and stale entries that it takes out. */
#define STEP_NOTES_MAX 32u
#define STEP_STALE_MAX 16u
/* Notes behind the first one whose leaves are asked for while that one waits. */
#define NOTES_AHEAD 8u
/* Slots that one call looks at for one to catch up. */
#define CATCH_UP_SLOTS_MAX 1024u
/* A lap that could not list all it met is begun again after this long. */
#define LAP_RETRY_NS 1000000000ull
/* Rebuilds that fail one after the other before the directory is given up. */
#define REBUILD_TRIES_MAX 4u
/* Stale entries that are not worth a sweep, and the share of all that is. */
#define STALE_LEAST 64u
#define STALE_SHARE 4u

/* ---- memory ---------------------------------------------------------------------------------- */

static uint64_t layout(const struct mkv_directory_config *config, struct mkv_directory *directory) {
    MKV_ASSERT(config->region_units >= MKV_DIRECTORY_UNITS_MIN);
    MKV_ASSERT(config->queue_bytes >= MKV_DIRECTORY_QUEUE_BYTES_MIN);
    MKV_ASSERT(config->jobs_max >= 1 && config->jobs_max <= MKV_DIRECTORY_JOBS_MAX);
    MKV_ASSERT(config->result_bytes >= MKV_DIRECTORY_RESULT_BYTES_MIN);
    uint64_t at = sizeof(struct mkv_directory);
    mkv_directory_cache_layout(&directory->tree.cache, config->frames_max, config->region_units,
                               &at);
    directory->roots_offset = at;
    at += (uint64_t)MKV_DIRECTORY_ROOTS * MKV_UNIT_BYTES;
    directory->jobs_offset = at;
    at = mkv_round_up_u64(at + config->jobs_max * sizeof(struct directory_job), 64);
    directory->results_offset = at;
    at = mkv_round_up_u64(at + (uint64_t)config->jobs_max * config->result_bytes, 64);
    const uint64_t queue_at = at - offsetof(struct mkv_directory, queue);
    mkv_directory_queue_init(&directory->queue, queue_at, config->queue_bytes);
    return mkv_round_up_u64(at + config->queue_bytes, MKV_UNIT_BYTES);
}

size_t mkv_directory_memory_required(const struct mkv_directory_config *config) {
    struct mkv_directory directory;
    return (size_t)layout(config, &directory);
}

struct mkv_directory *mkv_directory_init(void *memory, size_t bytes,
                                         const struct mkv_directory_config *config) {
    MKV_ASSERT((uintptr_t)memory % MKV_UNIT_BYTES == 0);
    struct mkv_directory *directory = memory;
    memset(directory, 0, sizeof *directory);
    const uint64_t end = layout(config, directory);
    MKV_ASSERT(bytes >= end);
    directory->config = *config;
    directory->tree.drive_uuid = config->drive_uuid;
    mkv_directory_tree_reset(&directory->tree, false);
    memset(directory_jobs(directory), 0, config->jobs_max * sizeof(struct directory_job));
    return directory;
}

/* ---- states and reports ---------------------------------------------------------------------- */

const char *mkv_directory_state_name(enum mkv_directory_state state) {
    switch (state) {
    case MKV_DIRECTORY_CLOSED:
        return "closed";
    case MKV_DIRECTORY_LOADING:
        return "loading";
    case MKV_DIRECTORY_REBUILDING:
        return "rebuilding";
    case MKV_DIRECTORY_SERVING:
        return "serving";
    case MKV_DIRECTORY_FULL:
        return "full";
    case MKV_DIRECTORY_OFF:
        return "off";
    }
    MKV_ASSERT(false);
    return "";
}

enum mkv_directory_state mkv_directory_state_of(const struct mkv_directory *directory) {
    switch (directory->phase) {
    case PHASE_CLOSED:
        return MKV_DIRECTORY_CLOSED;
    case PHASE_OFF:
        return MKV_DIRECTORY_OFF;
    case PHASE_ROOTS:
    case PHASE_NODES:
        return MKV_DIRECTORY_LOADING;
    case PHASE_DRAINING:
        return MKV_DIRECTORY_REBUILDING;
    case PHASE_READY:
        break;
    }
    if (directory->full) {
        return MKV_DIRECTORY_FULL;
    }
    return directory->rebuilding ? MKV_DIRECTORY_REBUILDING : MKV_DIRECTORY_SERVING;
}

void mkv_directory_report(struct mkv_directory *directory, enum mkv_directory_event_kind kind,
                          uint64_t value) {
    directory->events_pending |= 1u << kind;
    directory->event_values[kind] = value;
    directory->progress = true;
}

bool mkv_directory_take_event(struct mkv_directory *directory, struct mkv_directory_event *event) {
    for (uint32_t kind = 1; kind < MKV_DIRECTORY_EVENT_COUNT; kind++) {
        if ((directory->events_pending & (1u << kind)) != 0) {
            directory->events_pending &= ~(1u << kind);
            *event = (struct mkv_directory_event){(enum mkv_directory_event_kind)kind,
                                                  directory->event_values[kind]};
            return true;
        }
    }
    return false;
}

bool mkv_directory_is_complete(const struct mkv_directory *directory) {
    return directory->phase == PHASE_READY && directory->table_looked &&
           directory->unlisted_count == 0 && !directory->rebuilding && !directory->full &&
           directory->queue.pushed == directory->queue.popped;
}

uint64_t mkv_directory_stale(const struct mkv_directory *directory,
                             const struct mkv_slot_table *table) {
    const uint64_t pending =
        directory->unlisted_count + (directory->queue.pushed - directory->queue.popped);
    const uint64_t listed = table->live_count > pending ? table->live_count - pending : 0;
    const uint64_t entries = directory->tree.entry_count;
    return entries > listed ? entries - listed : 0;
}

uint64_t mkv_directory_miss_bound_us(uint32_t bound) {
    MKV_ASSERT(bound < MKV_DIRECTORY_MISS_BOUNDS);
    return 16ull << (2 * bound);
}

void mkv_directory_stats(const struct mkv_directory *directory, const struct mkv_slot_table *table,
                         struct mkv_directory_stats *stats) {
    const struct mkv_directory_cache *cache = &directory->tree.cache;
    *stats = (struct mkv_directory_stats){
        .state = mkv_directory_state_of(directory),
        .applied_sequence = directory->applied.sequence,
        .listed_generation = directory->applied.generation,
        .entries = directory->tree.entry_count,
        .entries_stale = mkv_directory_stale(directory, table),
        .unlisted = directory->unlisted_count,
        .queued = directory->queue.pushed - directory->queue.popped,
        .pages_used = cache->region_units - cache->pages_free,
        .pages_total = cache->region_units,
        .levels = directory->tree.level_count,
        .commits_total = directory->commits_total,
        .rebuilds_total = directory->rebuilds_total,
        .damaged_total = directory->damaged_total,
        .io_errors_total = directory->io_errors_total,
        .swept_total = directory->swept_total,
        .caught_up_total = directory->caught_up_total,
        .node_reads_total = directory->node_reads_total,
        .node_writes_total = directory->node_writes_total,
        .leaf_hits_total = cache->hits_total,
        .leaf_misses_total = cache->misses_total,
        .leaf_miss_us_sum = directory->leaf_miss_us_sum,
    };
    memcpy(stats->leaf_miss_us, directory->leaf_miss_us, sizeof stats->leaf_miss_us);
}

/* ---- opening and closing --------------------------------------------------------------------- */

static void forget_positions(struct mkv_directory *directory) {
    directory->applied = (struct mkv_directory_floor){0};
    directory->committed_floor = (struct mkv_directory_floor){0};
    directory->listed_generation = 0;
    directory->table_cursor = 0;
    directory->table_looked = false;
    directory->lap_active = false;
}

static void forget_changes(struct mkv_directory *directory) {
    directory->commit_step = COMMIT_IDLE;
    directory->committed_count = 0;
    directory->commit_needed = false;
    directory->changed = false;
    directory->full = false;
    directory->sweeping = false;
    directory->stale_floor = 0;
}

void mkv_directory_open(struct mkv_directory *directory, struct mkv_directory_floor floor,
                        uint64_t now_ns) {
    MKV_ASSERT(directory->phase == PHASE_CLOSED);
    MKV_ASSERT(mkv_directory_io_quiet(directory));
    MKV_ASSERT(directory->catch_up_in_flight == 0);
    directory->now_ns = now_ns;
    directory->tree.cache.now_ns = now_ns;
    directory->closing = false;
    mkv_directory_tree_reset(&directory->tree, false);
    mkv_directory_queue_init(&directory->queue, directory->queue.ring_offset,
                             directory->queue.ring_bytes);
    forget_positions(directory);
    forget_changes(directory);
    directory->noted = floor;
    directory->marked = floor;
    directory->drained = floor;
    directory->mark_pushed = 0;
    directory->unlisted_count = 0;
    directory->list_all = false;
    directory->rebuilding = false;
    directory->rebuild_told = false;
    directory->rebuild_tries = 0;
    directory->lap_not_before_ns = 0;
    directory->commit = 0;
    mkv_directory_load_begin(directory);
}

void mkv_directory_close_begin(struct mkv_directory *directory) {
    directory->closing = true;
    mkv_directory_jobs_refuse(directory, MKV_STATUS_UNAVAILABLE);
}

bool mkv_directory_close_done(struct mkv_directory *directory) {
    MKV_ASSERT(directory->closing);
    if (!mkv_directory_io_quiet(directory) || directory->catch_up_in_flight > 0) {
        return false;
    }
    if (directory->phase == PHASE_READY) {
        mkv_directory_commit_pump(directory); /* begins one that is due */
        if (directory->queue.pushed != directory->queue.popped ||
            directory->commit_step != COMMIT_IDLE) {
            return false;
        }
    }
    directory->phase = PHASE_CLOSED;
    return true;
}

void mkv_directory_fail(struct mkv_directory *directory) {
    directory->phase = PHASE_OFF;
    mkv_directory_jobs_refuse(directory, MKV_STATUS_UNAVAILABLE);
}

/* ---- damage ---------------------------------------------------------------------------------- */

void mkv_directory_damage(struct mkv_directory *directory, uint32_t unit) {
    directory->damaged_total++;
    if (directory->phase != PHASE_NODES && directory->phase != PHASE_READY) {
        return; /* it is on its way to start anew already */
    }
    mkv_directory_report(directory, MKV_DIRECTORY_EVENT_DAMAGED, unit);
    directory->phase = PHASE_DRAINING;
    directory->rebuilding = true;
    directory->rebuild_told = true;
    mkv_directory_jobs_refuse(directory, MKV_STATUS_UNAVAILABLE);
}

/* Starts with an empty tree when nothing uses the frames any more. The empty root is made durable
 * before a page is written again, so a crash opens either an old tree that is whole or no tree. */
static void drain_pump(struct mkv_directory *directory) {
    if (!mkv_directory_io_quiet(directory) || directory->closing) {
        return;
    }
    if (++directory->rebuild_tries > REBUILD_TRIES_MAX) {
        directory->phase = PHASE_OFF;
        mkv_directory_report(directory, MKV_DIRECTORY_EVENT_OFF, REBUILD_TRIES_MAX);
        return;
    }
    directory->rebuilds_total++;
    mkv_directory_tree_reset(&directory->tree, true);
    forget_positions(directory);
    forget_changes(directory);
    directory->list_all = true;
    directory->commit_needed = true;
    directory->phase = PHASE_READY;
    directory->progress = true;
}

/* ---- what the volume tells ------------------------------------------------------------------- */

bool mkv_directory_entry_holds(const struct mkv_slot_table *table, uint32_t tenant,
                               const struct mkv_directory_value *value) {
    /* The entries of a page that no extent has hold anything. */
    const uint32_t page = value->slot.index / MKV_PAGE_SLOTS;
    if (page >= table->page_high || mkv_slot_table_page(table, page)->extent == MKV_NONE_U32) {
        return false;
    }
    const struct mkv_slot_entry *entry = mkv_slot_table_entry(table, value->slot);
    return mkv_slot_state_of(entry) == MKV_SLOT_LIVE &&
           (entry->generation_low == value->generation_low ||
            MKV_CANARY(MKV_CANARY_DIRECTORY_GENERATION_UNCHECKED)) &&
           entry->tenant == tenant;
}

static void set_unlisted(struct mkv_directory *directory, struct mkv_slot_table *table,
                         struct mkv_slot slot) {
    struct mkv_slot_entry *entry = mkv_slot_table_entry(table, slot);
    if ((entry->bits & MKV_SLOT_UNLISTED) == 0) {
        entry->bits |= MKV_SLOT_UNLISTED;
        directory->unlisted_count++;
    }
}

static void clear_unlisted(struct mkv_directory *directory, struct mkv_slot_table *table,
                           struct mkv_slot slot) {
    struct mkv_slot_entry *entry = mkv_slot_table_entry(table, slot);
    if ((entry->bits & MKV_SLOT_UNLISTED) != 0) {
        MKV_ASSERT(directory->unlisted_count > 0);
        entry->bits = (uint16_t)(entry->bits & ~MKV_SLOT_UNLISTED);
        directory->unlisted_count--;
    }
}

static bool is_following(const struct mkv_directory *directory) {
    return directory->phase != PHASE_CLOSED && directory->phase != PHASE_OFF;
}

void mkv_directory_note_put(struct mkv_directory *directory, struct mkv_slot_table *table,
                            uint32_t tenant, const uint8_t *key, uint32_t key_bytes,
                            const struct mkv_directory_value *value) {
    if (!is_following(directory)) {
        return;
    }
    const struct mkv_directory_note note = {
        .kind = MKV_DIRECTORY_NOTE_PUT,
        .tenant = tenant,
        .key_bytes = key_bytes,
        .key = key,
        .value = *value,
    };
    const bool lost = directory->full || !mkv_directory_queue_push(&directory->queue, &note,
                                                                   MKV_DIRECTORY_CATCH_UP_MAX);
    if (lost && !MKV_CANARY(MKV_CANARY_DIRECTORY_OVERFLOW_FORGOTTEN)) {
        set_unlisted(directory, table, value->slot);
    }
    directory->progress = true;
}

void mkv_directory_note_drop(struct mkv_directory *directory, struct mkv_slot_table *table,
                             struct mkv_slot slot, uint32_t tenant, const uint8_t *key,
                             uint32_t key_bytes) {
    clear_unlisted(directory, table, slot);
    if (!is_following(directory)) {
        return;
    }
    directory->progress = true;
    if (key == NULL) {
        return;
    }
    const struct mkv_directory_note note = {
        .kind = MKV_DIRECTORY_NOTE_DROP,
        .tenant = tenant,
        .key_bytes = key_bytes,
        .key = key,
        .value = {.slot = slot,
                  .generation_low = mkv_slot_table_entry(table, slot)->generation_low},
    };
    /* What finds no room leaves a stale entry, and no more than that. */
    (void)mkv_directory_queue_push(&directory->queue, &note, MKV_DIRECTORY_CATCH_UP_MAX);
}

void mkv_directory_note_floor(struct mkv_directory *directory, struct mkv_directory_floor floor) {
    if (!is_following(directory)) {
        return;
    }
    MKV_ASSERT(floor.sequence >= directory->noted.sequence);
    directory->noted.sequence = floor.sequence;
    directory->noted.generation = mkv_max_u64(directory->noted.generation, floor.generation);
}

/* ---- positions ------------------------------------------------------------------------------- */

static struct mkv_directory_floor floor_max(struct mkv_directory_floor a,
                                            struct mkv_directory_floor b) {
    return (struct mkv_directory_floor){mkv_max_u64(a.sequence, b.sequence),
                                        mkv_max_u64(a.generation, b.generation)};
}

/* Every block that was there when the rebuild began is listed. */
static void rebuild_end(struct mkv_directory *directory) {
    if (!directory->rebuilding) {
        return;
    }
    directory->rebuilding = false;
    if (directory->rebuild_told) {
        mkv_directory_report(directory, MKV_DIRECTORY_EVENT_REBUILT, directory->tree.entry_count);
    }
    directory->rebuild_told = false;
}

static void advance_positions(struct mkv_directory *directory) {
    /* The second time what was noted while the first mark stood. */
    for (uint32_t round = 0; round < 2 && directory->queue.popped >= directory->mark_pushed;
         round++) {
        directory->drained = directory->marked;
        directory->marked = directory->noted;
        directory->mark_pushed = directory->queue.pushed;
    }
    if (!directory->table_looked || directory->unlisted_count > 0) {
        return;
    }
    directory->applied = floor_max(directory->applied, directory->drained);
    rebuild_end(directory);
}

/* ---- catch-up -------------------------------------------------------------------------------- */

static void lap_end(struct mkv_directory *directory) {
    directory->lap_active = false;
    directory->lap_over = directory->lap_started;
    if (directory->lap_failed) {
        directory->lap_not_before_ns = directory->now_ns + LAP_RETRY_NS;
    } else {
        directory->lap_ok = directory->lap_started;
        directory->applied = floor_max(directory->applied, directory->lap_floor);
        rebuild_end(directory);
    }
    directory->progress = true;
}

static void lap_pump(struct mkv_directory *directory) {
    if (!directory->lap_active) {
        return;
    }
    if (directory->unlisted_count == 0) {
        directory->lap_failed = false;
        lap_end(directory);
        return;
    }
    if (!directory->lap_read_all || directory->catch_up_in_flight > 0) {
        return;
    }
    if (directory->lap_pushed == 0) {
        directory->lap_pushed = directory->queue.pushed;
    }
    if (directory->queue.popped >= directory->lap_pushed) {
        lap_end(directory);
    }
}

static void lap_begin(struct mkv_directory *directory) {
    directory->lap_active = true;
    directory->lap_failed = false;
    directory->lap_read_all = false;
    directory->lap_cursor = 0;
    directory->lap_pushed = 0;
    directory->lap_started++;
    directory->lap_floor = directory->drained;
    directory->rebuild_told |= directory->rebuilding;
}

static bool catch_up_is_due(const struct mkv_directory *directory) {
    return directory->phase == PHASE_READY && directory->table_looked && !directory->full &&
           !directory->closing && directory->unlisted_count > 0 &&
           (directory->lap_active ? !directory->lap_read_all
                                  : directory->now_ns >= directory->lap_not_before_ns);
}

bool mkv_directory_take_catch_up(struct mkv_directory *directory, struct mkv_slot_table *table,
                                 struct mkv_slot *slot) {
    if (!catch_up_is_due(directory)) {
        return false;
    }
    if (!directory->lap_active) {
        lap_begin(directory);
    }
    if (directory->catch_up_in_flight >= MKV_DIRECTORY_CATCH_UP_MAX ||
        !mkv_directory_queue_has_room(&directory->queue, MKV_DIRECTORY_CATCH_UP_MAX)) {
        return false;
    }
    uint32_t looks_left = directory_step_slots(directory, CATCH_UP_SLOTS_MAX);
    struct mkv_slot looked;
    while (mkv_directory_next_live(table, &directory->lap_cursor, &looks_left, &looked)) {
        if ((mkv_slot_table_entry(table, looked)->bits & MKV_SLOT_UNLISTED) != 0) {
            directory->catch_up_in_flight++;
            *slot = looked;
            return true;
        }
    }
    directory->lap_read_all = directory->lap_cursor == MKV_NONE_U32;
    directory->progress = true;
    return false;
}

void mkv_directory_catch_up_done(struct mkv_directory *directory, uint32_t tenant,
                                 const uint8_t *key, uint32_t key_bytes,
                                 const struct mkv_directory_value *value) {
    MKV_ASSERT(directory->catch_up_in_flight > 0);
    directory->catch_up_in_flight--;
    directory->progress = true;
    if (!is_following(directory)) {
        return;
    }
    const struct mkv_directory_note note = {
        .kind = MKV_DIRECTORY_NOTE_PUT,
        .tenant = tenant,
        .key_bytes = key_bytes,
        .key = key,
        .value = *value,
    };
    const bool pushed = mkv_directory_queue_push(&directory->queue, &note, 0);
    MKV_ASSERT(pushed); /* room was kept back */
    directory->caught_up_total++;
}

void mkv_directory_catch_up_gone(struct mkv_directory *directory) {
    MKV_ASSERT(directory->catch_up_in_flight > 0);
    directory->catch_up_in_flight--;
    directory->progress = true;
}

void mkv_directory_catch_up_failed(struct mkv_directory *directory) {
    MKV_ASSERT(directory->catch_up_in_flight > 0);
    directory->catch_up_in_flight--;
    directory->lap_failed = true;
    directory->progress = true;
}

/* ---- applying -------------------------------------------------------------------------------- */

/* Pages that are free when the commit under way is durable. */
static uint32_t pages_free_of(const struct mkv_directory *directory) {
    return directory->tree.cache.pages_free + directory->tree.cache.freed_count;
}

static void become_full(struct mkv_directory *directory) {
    if (directory->full) {
        return;
    }
    directory->full = true;
    directory->full_entries = directory->tree.entry_count;
    directory->full_pages_free = pages_free_of(directory);
    directory->stale_floor = 0;
    mkv_directory_report(directory, MKV_DIRECTORY_EVENT_FULL, directory->config.region_units);
}

/* After a while of removals it is worth trying again. */
static void full_pump(struct mkv_directory *directory) {
    if (!directory->full) {
        return;
    }
    const uint64_t entries_gone = directory->full_entries / 16 + 1;
    const uint32_t pages_gained = directory->config.region_units / 32 + 1;
    if (directory->tree.entry_count + entries_gone <= directory->full_entries ||
        pages_free_of(directory) >= directory->full_pages_free + pages_gained) {
        directory->full = false;
        mkv_directory_report(directory, MKV_DIRECTORY_EVENT_ROOM_AGAIN,
                             directory->config.region_units);
    }
}

static enum mkv_directory_outcome apply_note(struct mkv_directory *directory,
                                             struct mkv_slot_table *table,
                                             const struct mkv_directory_note *note) {
    struct mkv_directory_key key;
    mkv_directory_key_make(&key, note->tenant, note->key, note->key_bytes);
    if (note->kind == MKV_DIRECTORY_NOTE_DROP) {
        return mkv_directory_tree_remove(&directory->tree, &key, note->value.slot,
                                         note->value.generation_low);
    }
    if (!mkv_directory_entry_holds(table, note->tenant, &note->value)) {
        return MKV_DIRECTORY_DONE; /* it has been dropped since */
    }
    const enum mkv_directory_outcome outcome =
        directory->full ? MKV_DIRECTORY_NO_ROOM
                        : mkv_directory_tree_insert(&directory->tree, &key, &note->value);
    if (outcome == MKV_DIRECTORY_DONE) {
        clear_unlisted(directory, table, note->value.slot);
    } else if (outcome == MKV_DIRECTORY_NO_ROOM) {
        become_full(directory);
        directory->lap_failed = true;
        set_unlisted(directory, table, note->value.slot);
    }
    return outcome;
}

static bool may_change(const struct mkv_directory *directory) {
    return directory->phase == PHASE_READY && directory->commit_step == COMMIT_IDLE &&
           !directory->commit_needed;
}

/* Asks for the leaves of the notes that come next, while the first one waits for its own. */
static void read_ahead(struct mkv_directory *directory) {
    struct mkv_directory_tree *tree = &directory->tree;
    struct mkv_directory_note note;
    for (uint32_t ahead = 1; ahead <= NOTES_AHEAD && tree->level_count > 0; ahead++) {
        if (tree->cache.wanted.count + directory->reads_in_flight >= NOTES_AHEAD ||
            !mkv_directory_queue_peek(&directory->queue, ahead, &note)) {
            return;
        }
        struct mkv_directory_key key;
        struct mkv_directory_path path;
        mkv_directory_key_make(&key, note.tenant, note.key, note.key_bytes);
        (void)mkv_directory_tree_descend(tree, &key, 0, &path);
    }
}

static void apply_pump(struct mkv_directory *directory, struct mkv_slot_table *table) {
    struct mkv_directory_note note;
    for (uint32_t step = 0; step < STEP_NOTES_MAX && may_change(directory); step++) {
        if (!mkv_directory_queue_peek(&directory->queue, 0, &note)) {
            return;
        }
        switch (apply_note(directory, table, &note)) {
        case MKV_DIRECTORY_DONE:
        case MKV_DIRECTORY_NO_ROOM:
            mkv_directory_queue_pop(&directory->queue);
            directory->progress = true;
            break;
        case MKV_DIRECTORY_WAITS:
            read_ahead(directory);
            return;
        case MKV_DIRECTORY_COMMIT:
            directory->commit_needed = true;
            return;
        }
    }
}

/* ---- sweeping -------------------------------------------------------------------------------- */

static void sweep_end(struct mkv_directory *directory, const struct mkv_slot_table *table) {
    directory->sweeping = false;
    directory->stale_floor = mkv_directory_stale(directory, table);
}

/* The first stale entry of the leaf from the sweep's cursor on. */
static bool find_stale(const struct mkv_directory *directory, const struct mkv_slot_table *table,
                       const uint8_t *unit, struct mkv_directory_key *key,
                       struct mkv_directory_value *value) {
    bool equal;
    uint32_t at = mkv_directory_node_find(unit, &directory->sweep_cursor, &equal);
    for (; at < mkv_directory_node_count(unit); at++) {
        *value = mkv_directory_node_value(unit, at);
        mkv_directory_node_key(unit, at, key);
        if (!mkv_directory_entry_holds(table, mkv_directory_key_tenant(key), value)) {
            return true;
        }
    }
    return false;
}

/* Takes out a stale entry, or goes on to the next leaf. False when it has to wait, or is done. */
static bool sweep_step(struct mkv_directory *directory, const struct mkv_slot_table *table) {
    struct mkv_directory_tree *tree = &directory->tree;
    struct mkv_directory_path path;
    struct mkv_directory_key key;
    struct mkv_directory_value value;
    if (tree->level_count == 0) {
        sweep_end(directory, table);
        return false;
    }
    if (!mkv_directory_tree_descend(tree, &directory->sweep_cursor, 0, &path)) {
        return false;
    }
    if (!find_stale(directory, table, mkv_directory_unit(&tree->cache, path.frame[0]), &key,
                    &value)) {
        if (!mkv_directory_tree_next(tree, &path, 0, &directory->sweep_cursor)) {
            sweep_end(directory, table);
            return false;
        }
        return true;
    }
    const enum mkv_directory_outcome outcome =
        mkv_directory_tree_remove(tree, &key, value.slot, value.generation_low);
    directory->sweep_cursor = key;
    if (outcome == MKV_DIRECTORY_DONE) {
        directory->swept_total++;
        return true;
    }
    if (outcome == MKV_DIRECTORY_NO_ROOM) {
        sweep_end(directory, table);
    }
    directory->commit_needed = outcome == MKV_DIRECTORY_COMMIT;
    return false;
}

static void sweep_pump(struct mkv_directory *directory, const struct mkv_slot_table *table) {
    if (directory->phase != PHASE_READY || directory->closing) {
        return;
    }
    if (!directory->sweeping) {
        const uint64_t entries = directory->tree.entry_count;
        const uint64_t bound =
            directory->full ? entries / 16 + 1 : mkv_max_u64(STALE_LEAST, entries / STALE_SHARE);
        if (mkv_directory_stale(directory, table) < directory->stale_floor + bound) {
            return;
        }
        directory->sweeping = true;
        directory->sweep_cursor.bytes = 0;
    }
    for (uint32_t step = 0; step < STEP_STALE_MAX && may_change(directory); step++) {
        if (!sweep_step(directory, table)) {
            return;
        }
        directory->progress = true;
    }
}

/* ---- pump ------------------------------------------------------------------------------------ */

void mkv_directory_pump(struct mkv_directory *directory, struct mkv_slot_table *table,
                        uint64_t now_ns) {
    directory->now_ns = now_ns;
    directory->tree.cache.now_ns = now_ns;
    directory->progress = false;
    if (directory->phase == PHASE_DRAINING) {
        drain_pump(directory);
    }
    mkv_directory_load_pump(directory);
    mkv_directory_look_at_table(directory, table);
    apply_pump(directory, table);
    sweep_pump(directory, table);
    if (directory->phase == PHASE_READY) {
        full_pump(directory);
        lap_pump(directory);
        advance_positions(directory);
    }
    mkv_directory_jobs_pump(directory, table);
    if (directory->tree.broken_page != 0) {
        const uint32_t page = directory->tree.broken_page;
        directory->tree.broken_page = 0;
        mkv_directory_damage(directory, page);
    }
    mkv_directory_commit_pump(directory);
}

bool mkv_directory_has_work(const struct mkv_directory *directory) {
    return directory->progress;
}
