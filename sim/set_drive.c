/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/set_world.h"

#include <string.h>

#include "sim/failure.h"

#define EFFECTS_AT_ONCE 16u

void mkv_set_drive_start(struct set_drive *drive) {
    struct set_world *world = drive->world;
    struct mkv_random *random = set_random(world, MKV_CONCERN_SCHEDULE);
    if (mkv_random_chance(random, world->shape->share_pattern, 16)) {
        const uint32_t draw = mkv_random_below(random, 256);
        memset(drive->arena, (int)((draw + world->options->pattern_salt) & 0xffu),
               drive->arena_bytes);
    }
    drive->volume = mkv_volume_init(drive->arena, drive->arena_bytes, &drive->config);
    drive->gone = false;
    drive->gone_count = 0;
    drive->formatted = false;
    const struct mkv_drive_memory_map map = {
        .arena = mkv_volume_arena(drive->volume),
        .arena_bytes = drive->arena_bytes,
        .slabs = world->slabs,
        .slabs_bytes = world->slabs_bytes,
        .slab_stride = world->slab_stride,
    };
    mkv_drive_sim_attach(drive->drive, &map);
}

void mkv_set_drive_flush(struct set_drive *drive) {
    struct set_world *world = drive->world;
    const struct mkv_effect effect = {.kind = MKV_EFFECT_DRIVE_FLUSH};
    mkv_drive_sim_submit(drive->drive, &effect, 0, world->now_ns);
    while (mkv_drive_sim_in_flight(drive->drive) > 0) {
        struct mkv_drive_sim_done done;
        world->now_ns = mkv_max_u64(world->now_ns, mkv_drive_sim_due_ns(drive->drive));
        mkv_drive_sim_complete(drive->drive, &done);
    }
}

static void carry_out(struct set_drive *drive, const struct mkv_effect *effect) {
    struct set_world *world = drive->world;
    mkv_trace_effect(&world->trace, drive->index, effect, mkv_volume_arena(drive->volume));
    switch (effect->kind) {
    case MKV_EFFECT_DRIVE_READ:
    case MKV_EFFECT_DRIVE_WRITE:
    case MKV_EFFECT_DRIVE_FLUSH:
    case MKV_EFFECT_DRIVE_TRIM:
        if (drive->gone) {
            MKV_ASSERT(drive->gone_count < SET_GONE_MAX);
            drive->gone_ops[drive->gone_count++] = effect->op;
        } else {
            mkv_drive_sim_submit(drive->drive, effect, 0, world->now_ns);
        }
        return;
    case MKV_EFFECT_MESSAGE:
        mkv_set_client_answer(world, drive->index, &effect->message);
        return;
    case MKV_EFFECT_EVENT:
        mkv_set_world_event(world, drive->index, &effect->event);
        return;
    case MKV_EFFECT_FAIL_DRIVE:
        if (!drive->gone) {
            mkv_fail(MKV_ORACLE_DURABLE, "volume %u gives up its drive, which failed no operation",
                     drive->index);
        }
        return;
    case MKV_EFFECT_PULL:
    case MKV_EFFECT_PUSH:
    case MKV_EFFECT_ANSWER:
    case MKV_EFFECT_BREAK:
    case MKV_EFFECT_REQUEST_ENDED:
        break;
    }
    MKV_ASSERT(false); /* the front's */
}

enum mkv_err mkv_set_drive_step(struct set_drive *drive, struct mkv_input *input) {
    struct set_world *world = drive->world;
    if (mkv_fuse_burn(&world->fuse)) {
        return MKV_OK;
    }
    input->now_ns = world->now_ns;
    input->wall_ms = mkv_wall_ms(world->now_ns);
    mkv_trace_input(&world->trace, drive->index, input);
    const enum mkv_err err = mkv_volume_step(drive->volume, input);
    struct mkv_effect effects[EFFECTS_AT_ONCE];
    uint32_t count = 0;
    while ((count = mkv_volume_effects(drive->volume, effects, EFFECTS_AT_ONCE)) > 0) {
        for (uint32_t index = 0; index < count; index++) {
            if (mkv_fuse_burn(&world->fuse)) {
                return err;
            }
            carry_out(drive, &effects[index]);
        }
    }
    return err;
}

uint64_t mkv_set_drive_due_ns(const struct set_drive *drive) {
    if (drive->volume == NULL) {
        return UINT64_MAX;
    }
    return drive->gone_count > 0 ? drive->world->now_ns : mkv_drive_sim_due_ns(drive->drive);
}

void mkv_set_drive_act(struct set_drive *drive) {
    struct mkv_input input = {.kind = MKV_INPUT_DRIVE_DONE};
    if (drive->gone_count > 0) {
        input.drive.op = drive->gone_ops[0];
        input.drive.result = MKV_IO_GONE;
        drive->gone_count--;
        memmove(drive->gone_ops, drive->gone_ops + 1,
                drive->gone_count * sizeof drive->gone_ops[0]);
    } else {
        struct mkv_drive_sim_done done;
        mkv_drive_sim_complete(drive->drive, &done);
        input.drive = done.done;
        if (drive->gone) {
            /* It may have been done all the same. */
            input.drive = (struct mkv_drive_done){.op = done.done.op, .result = MKV_IO_GONE};
        }
    }
    (void)mkv_set_drive_step(drive, &input);
}

void mkv_set_drive_claim(const struct set_drive *drive, struct mkv_drive_claim *claim) {
    uint8_t units[MKV_SUPERBLOCK_COPIES * MKV_UNIT_BYTES];
    for (uint32_t copy = 0; copy < MKV_SUPERBLOCK_COPIES; copy++) {
        const struct mkv_lba lba =
            mkv_geometry_superblock(drive->config.geometry.capacity_units, copy);
        memcpy(units + (size_t)copy * MKV_UNIT_BYTES, mkv_drive_sim_unit(drive->drive, lba.unit),
               MKV_UNIT_BYTES);
    }
    struct mkv_superblock_choice choice;
    mkv_superblock_choose(units, 0, &choice);
    *claim = (struct mkv_drive_claim){
        .kind = MKV_DRIVE_CLAIM_STORE,
        .usable_units = mkv_geometry_usable_units(&drive->config.geometry),
        .store_uuid = choice.superblock.store_uuid,
        .drive_uuid = choice.superblock.drive_uuid,
        .opened = choice.superblock.epoch != 0,
        .set = choice.superblock.drive_set,
    };
    if (choice.err != MKV_OK) {
        /* A format that was cut before two copies were equal: a server formats the drive again. A
         * piece of it without the magic it takes for something else, and its operator wipes it. */
        if (choice.err != MKV_ERR_NOT_FORMATTED &&
            !mkv_superblock_format_was_cut(units, 0, drive->config.geometry.capacity_units)) {
            mkv_fail(MKV_ORACLE_DURABLE,
                     "the superblocks are neither a store's nor a cut format's");
        }
        *claim = (struct mkv_drive_claim){.kind = MKV_DRIVE_CLAIM_BLANK,
                                          .usable_units = claim->usable_units};
    }
}
