/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What lives learn while they last: events of volumes, strikes of faults, messages, errors. Each is
 * told to the model and the audits, or judged at once.
 */
#include "sim/failure.h"
#include "sim/lives.h"

/* Where pairs of journal blocks rot, one checkpoint in this many is followed by a crash so soon:
 * then its stamps may be all that tells of a block. */
#define CHECKPOINT_CRASH_ONE_IN 4u
#define CHECKPOINT_CRASH_SPAN 12u

void mkv_lives_mutated(struct mkv_lives *lives) {
    for (uint32_t node = 0; node < lives->node_count; node++) {
        lives->audits[node].mutated = true;
    }
}

static bool excuses_error(const struct mkv_lives *lives) {
    for (uint32_t node = 0; node < lives->node_count; node++) {
        if (mkv_promise_excuses_error(&lives->faults[node])) {
            return true;
        }
    }
    return false;
}

void mkv_lives_error(struct mkv_lives *lives) {
    if (!excuses_error(lives)) {
        mkv_fail(MKV_ORACLE_ANSWERS, "an operation ends with an error of a drive that had none");
    }
    lives->damage_misses++; /* whatever it was, it is to be tried again */
}

void mkv_lives_damage(struct mkv_lives *lives, uint32_t key) {
    lives->damage_misses++;
    lives->reports++; /* the reason of the miss tells of it: a block replaced meanwhile gets no
                         event */
    if (lives->last_life && !lives->model.lying) {
        mkv_fail(MKV_ORACLE_DURABLE,
                 "a read of key %u met a damaged block, which an earlier one had found", key);
    }
}

static void lose_all(struct mkv_lives *lives) {
    for (uint32_t key = 0; key < lives->content.key_count; key++) {
        mkv_model_allow_loss(&lives->model, key);
    }
}

/* Bytes on a drive are other than written, or are about to be read so. */
void mkv_lives_on_struck(void *context, enum mkv_fault fault, uint64_t unit, uint32_t count) {
    struct mkv_node *node = context;
    struct mkv_lives *lives = node->options.lives;
    const struct mkv_content *content = &lives->content;
    mkv_trace_note(&lives->trace, mkv_fault_info(fault)->name, unit, count);
    lives->audits[node->options.volume].mutated = true;
    const uint64_t keys = mkv_watch_keys_at(&node->watch, unit, count);
    for (uint32_t key = 0; key < content->key_count; key++) {
        /* With equal tags a damaged header is everybody's: a mutation of any of them drops it. */
        for (uint32_t other = 0; other < content->key_count; other++) {
            if ((keys >> other & 1) != 0 && content->keys[other].tag == content->keys[key].tag) {
                mkv_model_allow_loss(&lives->model, key);
                /* What the opening's audit saw of it is no longer so. */
                lives->audits[node->options.volume].suspect |= 1ull << key;
            }
        }
    }
}

static void opened(struct mkv_lives *lives, uint32_t volume) {
    struct mkv_volume_stats stats;
    mkv_volume_stats(lives->nodes[volume].volume, &stats);
    if (lives->emptied[volume] && stats.blocks != 0) {
        mkv_fail(MKV_ORACLE_NO_RETURN, "volume %u came up empty and holds %llu blocks", volume,
                 (unsigned long long)stats.blocks);
    }
    lives->nodes_done++;
    mkv_audit_serving(&lives->audits[volume]);
    if (volume == 0) {
        mkv_tiers_serving(&lives->tiers, lives->nodes[0].volume);
    }
}

static void open_failed(struct mkv_lives *lives) {
    lives->broken = true;
    lives->failed_in_a_row++;
}

static void checkpoint_done(struct mkv_lives *lives, uint32_t volume) {
    struct mkv_faults *faults = &lives->faults[volume];
    if (lives->phase == MKV_PHASE_WORKING && mkv_faults_has(faults, MKV_FAULT_ROT_PAIR) &&
        !faults->plan.scripted && mkv_random_chance(&faults->random, 1, CHECKPOINT_CRASH_ONE_IN)) {
        lives->fuse.left = (uint32_t)mkv_min_u64(
            lives->fuse.left, mkv_random_below(&faults->random, CHECKPOINT_CRASH_SPAN));
    }
}

void mkv_lives_on_event(void *context, uint32_t volume, const struct mkv_event *event) {
    struct mkv_lives *lives = context;
    mkv_promise_judge(&lives->faults[volume], lives->openings[volume], volume, event);
    switch (event->kind) {
    case MKV_EVENT_FORMATTED:
        MKV_ASSERT(lives->phase == MKV_PHASE_FORMATTING);
        lives->nodes_done++;
        break;
    case MKV_EVENT_OPENED:
        MKV_ASSERT(lives->phase == MKV_PHASE_OPENING || lives->phase == MKV_PHASE_OUTAGE);
        opened(lives, volume);
        break;
    case MKV_EVENT_CLOSED:
        MKV_ASSERT(lives->phase == MKV_PHASE_CLOSING || lives->phase == MKV_PHASE_OUTAGE);
        lives->nodes_done++;
        break;
    case MKV_EVENT_OPEN_FAILED:
        open_failed(lives);
        break;
    case MKV_EVENT_CAME_UP_EMPTY:
        lives->emptied[volume] = true;
        lives->emptyings++;
        mkv_watch_emptied(&lives->nodes[volume].watch);
        lives->audits[volume].mutated = true;
        lives->reports++;
        lose_all(lives);
        break;
    case MKV_EVENT_DRIVE_ERROR:
        lives->reports++;
        break;
    case MKV_EVENT_DRIVE_FAILED:
        lives->broken = true;
        lives->clients->failed(lives->world, volume);
        break;
    case MKV_EVENT_CHECKPOINT_DONE:
        checkpoint_done(lives, volume);
        break;
    case MKV_EVENT_BLOCK_QUARANTINED:
        lives->reports++;
        lives->audits[volume].mutated = true; /* its DROP is on its way */
        break;
    case MKV_EVENT_DRIVE_SET_DURABLE:
    case MKV_EVENT_PURGED:
    case MKV_EVENT_BLOCK_EVICTED:
        lives->audits[volume].mutated = true;
        lives->reports++; /* of a segment: its value may be missing */
        mkv_evictions_event(&lives->evictions, &lives->model, &lives->nodes[volume].watch, event,
                            lives->now_ns);
        if (volume == 0) {
            mkv_tiers_evicted(&lives->tiers, lives->nodes[0].volume, event,
                              lives->nodes[0].evicts_at_once);
        }
        break;
    case MKV_EVENT_TORN_TAIL:
    case MKV_EVENT_SUPERBLOCK_REPAIRED:
    case MKV_EVENT_JOURNAL_COPY_REPAIRED:
    case MKV_EVENT_TENANT_SWEPT:
    case MKV_EVENT_DRIVE_STALLED:
    case MKV_EVENT_DRIVE_RESUMED:
    case MKV_EVENT_DIRECTORY_REBUILT:
    case MKV_EVENT_DIRECTORY_FULL:
    case MKV_EVENT_DIRECTORY_ROOM_AGAIN:
    case MKV_EVENT_DIRECTORY_DAMAGED:
    case MKV_EVENT_DIRECTORY_OFF:
        break;
    }
}

void mkv_lives_on_message(void *context, uint32_t volume, const struct mkv_message *message,
                          const uint8_t *data) {
    struct mkv_lives *lives = context;
    if (message->front_op.index == MKV_LISTING_OP) {
        mkv_listing_answer(&lives->listings[volume], message, data, lives->now_ns);
    } else {
        lives->on_message(lives->world, volume, message, data);
    }
}
