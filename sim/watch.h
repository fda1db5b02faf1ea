/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The oracles on effects: what a volume hands to its drive, and when it answers, held against the
 * order that makes durability true. The watch decodes slot headers, journal blocks and superblocks
 * as they pass, follows completions and flushes, and so has a view of its own of what is durable.
 *
 *   slot:  data  WRITING -> WRITTEN -> DURABLE       record  NONE -> ISSUED -> DURABLE -> NONE
 *
 * Oracles
 *  O6   Superblocks name the drive set that the first one named: nobody changes it here.
 *  O7   Generations grow with every slot write; journal sequences with every block; a durable block
 *       is never replaced by another content of its sequence or by an older one.
 *  O11  No write to a slot that a record references which may be durable; none to a journal block
 *       that the durable superblock still needs, or to the checkpoint side it names. No trim of
 *       such a slot, and none outside of the data area. No write to a slot that a durable record
 *       retired, in this opening or an earlier one.
 *  O12  No PUT record before a flush covers its data; no PUT_DONE or DELETE_DONE OK before a flush
 *       covers both copies of its record's block.
 *
 * Invariants
 *  I1  An address counts as durable only by a flush that was submitted after its write completed,
 *      whatever the drive is. Data that is trimmed is gone at once, so that no record can follow.
 *
 * Not responsible for: what recovery finds (audit.h), nor for what clients see (model.h).
 */
#ifndef MKV_SIM_WATCH_H
#define MKV_SIM_WATCH_H

#include "core/io.h"
#include "core/journal_block.h"
#include "core/slot_header.h"
#include "core/superblock.h"
#include "core/volume.h"
#include "sim/content.h"
#include "sim/drive_sim.h"
#include "sim/ledger.h"

/* Journal blocks between their write and their flush. */
#define MKV_WATCH_BLOCKS_MAX MKV_LEDGER_KEPT_MAX
/* Slots of one key that records reference: an old one and those that follow it. */
#define MKV_WATCH_KEY_SLOTS_MAX 8u
/* A completion that the watch does not follow. */
#define MKV_WATCH_TOKEN_NONE MKV_NONE_U32

enum mkv_watch_data {
    MKV_WATCH_DATA_NONE = 0,
    MKV_WATCH_DATA_WRITING,
    MKV_WATCH_DATA_WRITTEN,
    MKV_WATCH_DATA_DURABLE,
};
enum mkv_watch_record {
    MKV_WATCH_RECORD_NONE = 0,
    MKV_WATCH_RECORD_ISSUED,
    MKV_WATCH_RECORD_DURABLE,
};

struct mkv_watch_slot {
    uint64_t generation;
    struct mkv_root root;
    uint64_t unit;
    uint64_t written_stamp;
    uint32_t unit_count;
    uint32_t key;
    uint32_t tenant;
    uint8_t data;
    uint8_t record;
    bool touched;
};

struct mkv_watch_block {
    bool used;
    uint64_t sequence;
    uint64_t hash;
    uint32_t copies_issued; /* bit c */
    uint32_t copies_done;
    uint64_t written_stamp;
    bool serving; /* its records count; recovery only repeats what is there */
    uint8_t unit[MKV_UNIT_BYTES];
};

struct mkv_watch_superblock {
    uint64_t sequence;
    uint64_t journal_sequence;
    uint32_t side; /* MKV_NONE_U32: it names none */
    uint32_t copies_done;
    uint32_t copies_durable;
    uint64_t written_stamp[MKV_SUPERBLOCK_COPIES];
};

struct mkv_watch {
    bool faulty; /* copies of metadata may be struck */
    bool blind;  /* the drive lies: nothing that passes says what is durable */
    const struct mkv_content *content;
    struct mkv_geometry geometry;
    uint64_t data_start;
    bool serving;

    struct mkv_watch_slot *slots;
    uint32_t slot_count;
    uint32_t *touched; /* slots that are not in their first state */
    uint32_t touched_count;
    bool *retired; /* slot -> retired by a durable record; kept until the volume comes up empty */
    uint32_t retired_count;
    uint32_t *owners; /* unit of the data area -> slot whose record references it */
    uint32_t key_slots[MKV_CONTENT_KEYS_MAX][MKV_WATCH_KEY_SLOTS_MAX];
    uint32_t key_slot_count[MKV_CONTENT_KEYS_MAX];

    struct mkv_watch_ring_state {
        uint64_t sequence; /* highest that was durable here */
        uint64_t hash;
    } * ring;
    struct mkv_watch_superblock superblock;         /* being written */
    uint8_t superblock_content[MKV_UNIT_BYTES];     /* of the copy decoded last */
    struct mkv_watch_superblock superblock_durable; /* in all copies: what the core goes by */
    struct mkv_drive_set drive_set; /* of every superblock; version 0: none was written yet */
    uint64_t superblock_paired; /* sequence that two copies hold: it is chosen, unless one is hit */
    uint64_t stamp;             /* counts completions and flushes */
    uint64_t flush_stamp;       /* of the flush in flight; 0 when there is none */
    uint64_t sequence_last;
    uint64_t sequence_durable;
    uint64_t generation_last;
    bool recorded; /* records were issued since the volume served; kept until it serves again */
    uint32_t tenant_dropped_issued; /* ids grow: the highest one that a TENANT_DROP names */
    uint32_t tenant_dropped_durable;
    struct mkv_ledger ledger; /* what the blocks say that it has seen */
    uint64_t evaluations;
    /* Last, since of those that are not used nothing but that is set. */
    struct mkv_watch_block blocks[MKV_WATCH_BLOCKS_MAX];
};

void mkv_watch_init(struct mkv_watch *watch, struct mkv_memory *memory,
                    const struct mkv_content *content, const struct mkv_geometry *geometry);
/* The process is gone: what was not durable is forgotten, but for the ledger, which keeps it. */
void mkv_watch_crash(struct mkv_watch *watch);
/* The volume comes up empty: what durable records said is gone. */
void mkv_watch_emptied(struct mkv_watch *watch);
/* Recovery is done, and these blocks it found are the durable ones: first the call of the whole,
 * then one for each block, with its header, or NULL where that does not decode. */
void mkv_watch_serve(struct mkv_watch *watch, uint64_t journal_head);
void mkv_watch_serve_block(struct mkv_watch *watch, const struct mkv_volume_block *block,
                           const struct mkv_slot_header *header, uint32_t key);

/* A DRIVE_WRITE, DRIVE_FLUSH or DRIVE_TRIM is handed out; `arena` is the volume's. Returns the
 * token that its completion names. */
uint32_t mkv_watch_effect(struct mkv_watch *watch, const struct mkv_effect *effect,
                          const uint8_t *arena);
/* An operation that failed makes nothing durable. */
void mkv_watch_completed(struct mkv_watch *watch, enum mkv_effect_kind kind, uint32_t token,
                         bool succeeded);
/* The keys, a bit each, whose blocks lie on these units, or are being written there; all of them
 * where that cannot be told. */
uint64_t mkv_watch_keys_at(const struct mkv_watch *watch, uint64_t unit, uint32_t count);
/* The volume answered OK. */
void mkv_watch_put_done(struct mkv_watch *watch, uint32_t key, uint32_t tenant,
                        struct mkv_root root);
/* The same, of a manifest: another one of the same value is live. */
void mkv_watch_put_was_there(struct mkv_watch *watch, uint32_t key);
void mkv_watch_delete_done(struct mkv_watch *watch, uint32_t key);
void mkv_watch_tenant_drop_done(struct mkv_watch *watch, uint32_t tenant);

#endif
