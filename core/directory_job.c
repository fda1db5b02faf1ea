/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SCAN, COUNT and PURGE: walks by key, a leaf at a time. A walk remembers the key it came to and
 * nothing of the tree, so the tree may change under it: what is there from its beginning to its end
 * it meets exactly once.
 */
#include <string.h>

#include "core/bytes.h"
#include "core/directory_internal.h"

/* Leaves that one step of all jobs goes through. */
#define STEP_LEAVES_MAX 4u
/* Leaves that a walk asks for ahead of itself. */
#define WALK_AHEAD 4u

enum {
    RESULT_AT_SLOT = 0,
    RESULT_AT_GENERATION_LOW = 4,
    RESULT_AT_LENGTH_UNITS = 8,
    RESULT_AT_BLOCK_FLAGS = 10,
    RESULT_AT_KEY_BYTES = 12,
    RESULT_AT_ZERO = 14,
    RESULT_AT_KEY = 16,
};
_Static_assert(RESULT_AT_KEY == MKV_DIRECTORY_RESULT_ENTRY_BYTES, "what precedes the key");
_Static_assert(RESULT_AT_KEY + MKV_KEY_BYTES_MAX <= MKV_DIRECTORY_RESULT_BYTES_MIN,
               "a batch holds the longest key");

bool mkv_directory_job_begin(struct mkv_directory *directory,
                             const struct mkv_directory_query *query, uint32_t *job) {
    MKV_ASSERT(query->prefix_bytes <= MKV_KEY_BYTES_MAX);
    MKV_ASSERT(query->after_bytes <= MKV_KEY_BYTES_MAX);
    MKV_ASSERT(query->kind == MKV_DIRECTORY_COUNT || query->count_max >= 1);
    struct directory_job *jobs = directory_jobs(directory);
    for (uint32_t index = 0; index < directory->config.jobs_max; index++) {
        struct directory_job *found = &jobs[index];
        if (found->state != JOB_FREE) {
            continue;
        }
        memset(found, 0, offsetof(struct directory_job, prefix));
        found->state = JOB_WAITING;
        found->kind = query->kind;
        found->pushed_needed = directory->queue.pushed;
        found->lap_needed = directory->lap_started + 1;
        mkv_directory_key_make(&found->prefix, query->tenant, query->prefix, query->prefix_bytes);
        mkv_directory_key_make(&found->cursor, query->tenant, query->after, query->after_bytes);
        found->past_cursor = query->after_bytes > 0;
        if (mkv_directory_key_compare(&found->cursor, &found->prefix) < 0) {
            found->cursor = found->prefix;
            found->past_cursor = false;
        }
        found->more = false;
        found->count_max = query->count_max;
        found->bytes_max = directory->config.result_bytes;
        if (query->bytes_max > 0 && query->bytes_max < found->bytes_max) {
            found->bytes_max = query->bytes_max;
        }
        found->batch_count = 0;
        found->batch_bytes = 0;
        found->count = 0;
        *job = index;
        directory->progress = true;
        return true;
    }
    return false;
}

static void job_finish(struct mkv_directory *directory, struct directory_job *job,
                       enum mkv_status status) {
    job->state = JOB_RESULT;
    job->status = status;
    if (status != MKV_STATUS_OK) {
        job->more = false;
        job->batch_count = 0;
        job->batch_bytes = 0;
    }
    directory->progress = true;
}

void mkv_directory_jobs_refuse(struct mkv_directory *directory, enum mkv_status status) {
    for (uint32_t index = 0; index < directory->config.jobs_max; index++) {
        struct directory_job *job = &directory_jobs(directory)[index];
        if (job->state == JOB_WAITING || job->state == JOB_RUNNING) {
            job_finish(directory, job, status);
        }
    }
}

/* ---- the walk -------------------------------------------------------------------------------- */

static bool begins_with(const struct mkv_directory_key *key,
                        const struct mkv_directory_key *prefix) {
    return key->bytes >= prefix->bytes && memcmp(key->data, prefix->data, prefix->bytes) == 0;
}

/* Adds an entry to the batch. False when the batch is full. */
static bool emit(struct mkv_directory *directory, uint32_t index, struct directory_job *job,
                 const struct mkv_directory_key *key, const struct mkv_directory_value *value) {
    const uint32_t key_bytes = key->bytes - MKV_DIRECTORY_TENANT_BYTES;
    const uint32_t bytes = RESULT_AT_KEY + key_bytes;
    /* A batch holds at least one entry, whatever the asker's bound. */
    if (job->batch_count >= job->count_max ||
        (job->batch_count > 0 && job->batch_bytes + bytes > job->bytes_max)) {
        return false;
    }
    uint8_t *target =
        directory_bytes(directory, directory_result_offset(directory, index)) + job->batch_bytes;
    mkv_store_u32(target + RESULT_AT_SLOT, value->slot.index);
    mkv_store_u32(target + RESULT_AT_GENERATION_LOW, value->generation_low);
    mkv_store_u16(target + RESULT_AT_LENGTH_UNITS, (uint16_t)value->length_units);
    mkv_store_u16(target + RESULT_AT_BLOCK_FLAGS, (uint16_t)value->block_flags);
    mkv_store_u16(target + RESULT_AT_KEY_BYTES, (uint16_t)key_bytes);
    mkv_store_u16(target + RESULT_AT_ZERO, 0);
    memcpy(target + RESULT_AT_KEY, key->data + MKV_DIRECTORY_TENANT_BYTES, key_bytes);
    job->batch_count++;
    job->batch_bytes += bytes;
    return true;
}

enum leaf_end {
    LEAF_PASSED = 1,
    LEAF_LAST,
    LEAF_BATCH_FULL
};

static enum leaf_end walk_leaf(struct mkv_directory *directory, const struct mkv_slot_table *table,
                               uint32_t index, const uint8_t *unit) {
    struct directory_job *job = &directory_jobs(directory)[index];
    bool equal;
    uint32_t at = mkv_directory_node_find(unit, &job->cursor, &equal);
    at += equal && job->past_cursor ? 1u : 0u;
    const uint32_t count = mkv_directory_node_count(unit);
    for (; at < count; at++) {
        struct mkv_directory_key key;
        mkv_directory_node_key(unit, at, &key);
        if (!begins_with(&key, &job->prefix)) {
            return LEAF_LAST; /* the cursor is not below the prefix */
        }
        const struct mkv_directory_value value = mkv_directory_node_value(unit, at);
        const bool segment = (value.block_flags & MKV_BLOCK_SEGMENT) != 0;
        if (!mkv_directory_entry_holds(table, mkv_directory_key_tenant(&key), &value)) {
            continue;
        }
        /* A purge waits for the drop of what is hidden already. */
        const bool hidden = (mkv_slot_table_entry(table, value.slot)->bits & MKV_SLOT_HIDDEN) != 0;
        const bool expired = mkv_slot_is_expired(table, mkv_slot_table_entry(table, value.slot));
        if ((segment || hidden || expired) && job->kind != MKV_DIRECTORY_PURGE) {
            continue;
        }
        if (job->kind != MKV_DIRECTORY_COUNT && !emit(directory, index, job, &key, &value)) {
            return LEAF_BATCH_FULL;
        }
        job->count += segment ? 0u : 1u;
        job->cursor = key;
        job->past_cursor = true;
    }
    return LEAF_PASSED;
}

/* One leaf. False when the job has to wait for it, or is done. */
static bool job_step(struct mkv_directory *directory, const struct mkv_slot_table *table,
                     uint32_t index) {
    struct mkv_directory_tree *tree = &directory->tree;
    struct directory_job *job = &directory_jobs(directory)[index];
    if (tree->level_count == 0) {
        job_finish(directory, job, MKV_STATUS_OK);
        return false;
    }
    struct mkv_directory_path path;
    if (!mkv_directory_tree_descend(tree, &job->cursor, 0, &path)) {
        return false;
    }
    mkv_directory_cache_visit(&tree->cache, path.frame[0]);
    const uint8_t *unit = mkv_directory_unit(&tree->cache, path.frame[0]);
    const enum leaf_end end = walk_leaf(directory, table, index, unit);
    struct mkv_directory_key next;
    if (end == LEAF_BATCH_FULL) {
        job->more = true;
        job_finish(directory, job, MKV_STATUS_OK);
        return false;
    }
    /* The next leaf's keys are not below `next`; they begin with the prefix only if it does, or
     * stands before it. */
    if (end == LEAF_LAST || !mkv_directory_tree_next(tree, &path, 0, &next) ||
        (mkv_directory_key_compare(&next, &job->prefix) > 0 && !begins_with(&next, &job->prefix))) {
        job_finish(directory, job, MKV_STATUS_OK);
        return false;
    }
    mkv_directory_tree_read_ahead(tree, &path, 0, WALK_AHEAD);
    job->cursor = next;
    job->past_cursor = false;
    return true;
}

/* ---- waiting --------------------------------------------------------------------------------- */

/* Lets a job run when all that was durable when it came is in the tree. */
static void job_wait(struct mkv_directory *directory, struct directory_job *job) {
    if (directory->queue.popped < job->pushed_needed || !directory->table_looked ||
        directory->phase != PHASE_READY) {
        return;
    }
    if (directory->unlisted_count == 0 || directory->lap_ok >= job->lap_needed) {
        job->state = JOB_RUNNING;
    } else if (directory->lap_over >= job->lap_needed) {
        job_finish(directory, job, MKV_STATUS_UNAVAILABLE); /* some name could not be read */
    }
}

static void job_pump(struct mkv_directory *directory, const struct mkv_slot_table *table,
                     uint32_t index, uint32_t *leaves_left) {
    struct directory_job *job = &directory_jobs(directory)[index];
    if (job->state != JOB_WAITING && job->state != JOB_RUNNING) {
        return;
    }
    const enum mkv_directory_state state = mkv_directory_state_of(directory);
    if (directory->closing || state == MKV_DIRECTORY_REBUILDING || state == MKV_DIRECTORY_OFF ||
        state == MKV_DIRECTORY_CLOSED) {
        job_finish(directory, job, MKV_STATUS_UNAVAILABLE);
        return;
    }
    if (state == MKV_DIRECTORY_FULL) {
        job_finish(directory, job, MKV_STATUS_NO_SPACE);
        return;
    }
    if (job->state == JOB_WAITING) {
        job_wait(directory, job);
    }
    while (job->state == JOB_RUNNING && *leaves_left > 0) {
        --*leaves_left;
        if (!job_step(directory, table, index)) {
            break;
        }
        directory->progress = true;
    }
}

void mkv_directory_jobs_pump(struct mkv_directory *directory, const struct mkv_slot_table *table) {
    uint32_t leaves_left = STEP_LEAVES_MAX;
    for (uint32_t turn = 0; turn < directory->config.jobs_max; turn++) {
        job_pump(directory, table, (directory->result_next + turn) % directory->config.jobs_max,
                 &leaves_left);
    }
    directory->result_next = (directory->result_next + 1) % directory->config.jobs_max;
}

/* ---- results --------------------------------------------------------------------------------- */

bool mkv_directory_take_result(struct mkv_directory *directory,
                               struct mkv_directory_result *result) {
    for (uint32_t turn = 0; turn < directory->config.jobs_max; turn++) {
        const uint32_t index = (directory->result_next + turn) % directory->config.jobs_max;
        struct directory_job *job = &directory_jobs(directory)[index];
        if (job->state != JOB_RESULT) {
            continue;
        }
        *result = (struct mkv_directory_result){
            .job = index,
            .kind = job->kind,
            .status = job->status,
            .more = job->more,
            .count = job->count,
            .batch_count = job->batch_count,
            .data_offset = directory_result_offset(directory, index),
            .data_bytes = job->batch_bytes,
        };
        const bool held = job->kind == MKV_DIRECTORY_PURGE && job->status == MKV_STATUS_OK;
        job->state = held ? JOB_HELD : JOB_FREE;
        return true;
    }
    return false;
}

void mkv_directory_job_continue(struct mkv_directory *directory, uint32_t index) {
    MKV_ASSERT(index < directory->config.jobs_max);
    struct directory_job *job = &directory_jobs(directory)[index];
    MKV_ASSERT(job->state == JOB_HELD);
    MKV_ASSERT(job->more);
    job->state = JOB_RUNNING;
    job->more = false;
    job->batch_count = 0;
    job->batch_bytes = 0;
    directory->progress = true;
}

void mkv_directory_job_end(struct mkv_directory *directory, uint32_t index) {
    MKV_ASSERT(index < directory->config.jobs_max);
    struct directory_job *job = &directory_jobs(directory)[index];
    MKV_ASSERT(job->state == JOB_HELD);
    job->state = JOB_FREE;
}
