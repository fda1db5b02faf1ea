/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the jobs of node_life.h consist of.
 */
#include "server/node_life.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "backends/clock.h"
#include "backends/drive_erase.h"
#include "server/drive_set.h"

#define NS_PER_S 1000000000ull
/* How long the others have to take a drive out of the set, and it to close. */
#define LEAVE_NS (60ull * NS_PER_S)
#define CLOSE_NS (60ull * NS_PER_S)
#define GIVE_NS (10ull * NS_PER_S)
/* How long the members have to purge, and the drive to open. */
#define JOIN_NS (24ull * 3600u * NS_PER_S)

static const struct mkv_config_drive *configured(const struct mkv_node *node, uint32_t drive) {
    return &node->config.storage.drives[drive];
}

__attribute__((format(printf, 2, 3))) static bool say(char message[MKV_ADMIN_DRIVE_MESSAGE_BYTES],
                                                      const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, MKV_ADMIN_DRIVE_MESSAGE_BYTES, format, arguments);
    va_end(arguments);
    return false;
}

static bool say_end(char message[MKV_ADMIN_DRIVE_MESSAGE_BYTES]) {
    return say(message, "the node ends");
}

static bool drains(const struct mkv_node *node, uint32_t drive) {
    return (atomic_load(&node->draining) >> drive & 1u) != 0;
}

/* Whether the drive gets new puts. */
static void set_draining(struct mkv_node *node, uint32_t drive, bool draining) {
    const uint64_t own = 1ull << drive;
    const uint64_t others = atomic_load(&node->draining) & ~own;
    if (draining != drains(node, drive)) {
        atomic_store(&node->draining, others | (draining ? own : 0));
        mkv_shards_drain(node->shards, others | (draining ? own : 0));
    }
}

static void look(struct mkv_node *node, uint32_t drive, struct mkv_shard_group_drive *out) {
    mkv_shard_group_drive(mkv_shards_group(node->shards), drive, out);
}

/* ---- whether, and at what cost --------------------------------------------------------------- */

static bool say_verdict(const char *name, enum mkv_drive_set_verdict verdict,
                        char message[MKV_ADMIN_DRIVE_MESSAGE_BYTES]) {
    switch (verdict) {
    case MKV_DRIVE_SET_GRANTED:
        return true;
    case MKV_DRIVE_SET_NOT_NOW:
        return say(message,
                   "drive %s: not now: nothing is served, or the drive is on its way in or out. "
                   "Try again in a moment",
                   name);
    case MKV_DRIVE_SET_NO_OTHER:
        return say(message, "drive %s: no other drive serves. Bring one online first", name);
    case MKV_DRIVE_SET_UNKNOWN:
        return say(message,
                   "drive %s: a drive of the set could not be opened at the start and may hold "
                   "blocks, so the set stays as it is. Restart the node with that drive, or with "
                   "--lost",
                   name);
    case MKV_DRIVE_SET_IS_OUT:
        return say(message, "drive %s is offline", name);
    case MKV_DRIVE_SET_IS_IN:
        return say(message, "drive %s is online, or on its way to be", name);
    }
    MKV_ASSERT(false);
    return false;
}

bool mkv_node_life_may(struct mkv_node *node, enum mkv_admin_drive_action action, uint32_t drive,
                       char message[MKV_ADMIN_DRIVE_MESSAGE_BYTES]) {
    const char *name = configured(node, drive)->name;
    struct mkv_shard_group_drive now;
    look(node, drive, &now);
    const bool is_out = now.role == MKV_DRIVE_SET_OUT;
    if (action == MKV_ADMIN_DRIVE_ACT_ERASE && !is_out) {
        return say(message, "drive %s is not offline. Run: memkv admin drive offline %s", name,
                   name);
    }
    if ((action == MKV_ADMIN_DRIVE_ACT_ONLINE || action == MKV_ADMIN_DRIVE_ACT_REPLACE ||
         action == MKV_ADMIN_DRIVE_ACT_DRAIN) &&
        node->recorder != NULL) {
        return say(message,
                   "drive %s: the node records its inputs (--record), and drives do not come and "
                   "go in a record. Restart it without",
                   name);
    }
    if ((action == MKV_ADMIN_DRIVE_ACT_ONLINE || action == MKV_ADMIN_DRIVE_ACT_REPLACE) &&
        mkv_shard_group_may_join(mkv_shards_group(node->shards), drive) == MKV_DRIVE_SET_UNKNOWN) {
        return say_verdict(name, MKV_DRIVE_SET_UNKNOWN, message);
    }
    if (action == MKV_ADMIN_DRIVE_ACT_DRAIN && now.route != MKV_DRIVE_SET_ONLINE) {
        return say(message, "drive %s is not online", name);
    }
    if (action == MKV_ADMIN_DRIVE_ACT_ONLINE && !is_out && !drains(node, drive)) {
        return say_verdict(name, mkv_shard_group_may_join(mkv_shards_group(node->shards), drive),
                           message);
    }
    return true;
}

static struct mkv_shard_stats *figures(struct mkv_node *node) {
    struct mkv_shard_stats *stats = malloc(sizeof *stats);
    if (stats != NULL) {
        mkv_shards_stats(node->shards, stats, NULL);
    }
    return stats;
}

static void sample_of(const struct mkv_shard_stats *stats, struct life_sample *sample) {
    sample->ns = mkv_clock_monotonic_ns();
    for (uint32_t i = 0; i < stats->volume_count; i++) {
        sample->written[i] = stats->volumes[i].volume.write_bytes_total;
    }
}

void mkv_node_life_sample(struct mkv_node *node, struct life_sample *sample) {
    struct mkv_shard_stats *stats = figures(node);
    memset(sample, 0, sizeof *sample);
    if (stats != NULL) {
        sample_of(stats, sample);
    }
    free(stats);
}

/* Bytes a second that were written since a moment; the counts of a drive begin anew when it comes
 * back. */
static double rate_since(const struct life_sample *before, const struct life_sample *now) {
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < MKV_VOLUMES_MAX; i++) {
        bytes += now->written[i] > before->written[i] ? now->written[i] - before->written[i] : 0;
    }
    return before->ns == 0 || now->ns <= before->ns
               ? 0
               : (double)bytes * (double)NS_PER_S / (double)(now->ns - before->ns);
}

static uint64_t blocks_of(const struct mkv_shard_stats *stats, uint32_t drive) {
    const struct mkv_shard_volume_stats *volume = &stats->volumes[drive];
    return volume->volume.state == MKV_VOLUME_SERVING ? volume->volume.blocks : 0;
}

/* The share of keys that a drive takes which joins beside the members, without `leaving`. */
static double joiner_share(const struct mkv_shard_group_drive *now, uint32_t weight,
                           struct mkv_uuid leaving) {
    double members = 0;
    for (uint32_t i = 0; i < now->set.count; i++) {
        if (!mkv_uuid_equal(now->set.members[i].uuid, leaving)) {
            members += now->set.members[i].weight;
        }
    }
    return (double)weight / (members + (double)weight);
}

void mkv_node_life_cost(struct mkv_node *node, enum mkv_admin_drive_action action, uint32_t drive,
                        const struct life_sample *before, double *miss_share, uint64_t *refill_s) {
    struct mkv_shard_group_drive now;
    struct mkv_shard_stats *stats = figures(node);
    *miss_share = 0;
    *refill_s = UINT64_MAX;
    if (stats == NULL || stats->volume_count == 0) {
        free(stats);
        return;
    }
    look(node, drive, &now);
    uint64_t blocks = 0;
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < stats->volume_count; i++) {
        blocks += blocks_of(stats, i);
        bytes += stats->volumes[i].volume.bytes_used;
    }
    const double own = blocks == 0 ? 0 : (double)blocks_of(stats, drive) / (double)blocks;
    const double taken = joiner_share(&now, now.member.weight, now.member.uuid);
    if (action == MKV_ADMIN_DRIVE_ACT_OFFLINE) {
        *miss_share = own;
    } else if (action == MKV_ADMIN_DRIVE_ACT_ONLINE) {
        *miss_share = blocks == 0 ? 0 : taken;
    } else if (action == MKV_ADMIN_DRIVE_ACT_REPLACE) {
        *miss_share = blocks == 0 ? 0 : own + (1 - own) * taken;
    }
    struct life_sample sample = {0};
    sample_of(stats, &sample);
    const double rate = rate_since(before, &sample);
    if (*miss_share > 0 && rate > 0) {
        *refill_s = (uint64_t)(*miss_share * (double)bytes / rate);
    }
    free(stats);
}

/* ---- out ------------------------------------------------------------------------------------- */

/* It is out, and its medium let go. */
static void note_taken_off(struct mkv_node *node, uint32_t drive, bool by_fence) {
    const struct mkv_config_drive *own = configured(node, drive);
    atomic_fetch_or(&node->taken_off, 1ull << drive);
    mkv_node_warn_over(node, MKV_ADMIN_WARNING_DRIVE_OFFLINE, own);
    if (by_fence) {
        mkv_node_warn(node, MKV_ADMIN_WARNING_DRIVE_OFFLINE, own,
                      "look at its health, temperature and link (memkv admin drive show); then "
                      "bring it back: memkv admin drive online, or replace it",
                      "drive %s was slow for storage.slow_fence and was taken offline by it; its "
                      "keys go to the others",
                      own->name);
        return;
    }
    mkv_node_warn(node, MKV_ADMIN_WARNING_DRIVE_OFFLINE, own,
                  "bring it back: memkv admin drive online; or take it out of storage.drives, or "
                  "the next start brings it back",
                  "drive %s was taken offline by an operator; its keys go to the others",
                  own->name);
}

/* Waits until the drive is out of the set. */
static bool wait_out(struct mkv_node_life *life, uint32_t drive,
                     char message[MKV_ADMIN_DRIVE_MESSAGE_BYTES]) {
    struct mkv_node *node = life->node;
    const char *name = configured(node, drive)->name;
    const uint64_t until_ns = mkv_clock_monotonic_ns() + LEAVE_NS;
    struct mkv_shard_group_drive now;
    if (!mkv_node_life_stage(life, "the other drives take %s out of the set", name)) {
        return say_end(message);
    }
    for (look(node, drive, &now); now.role != MKV_DRIVE_SET_OUT; look(node, drive, &now)) {
        if (!mkv_node_life_pause(life)) {
            return say_end(message);
        }
        if (mkv_clock_monotonic_ns() >= until_ns) {
            return say(message,
                       "drive %s: the other drives have not taken it out of the set within %llu "
                       "s, and go on doing so; see their state, then ask again",
                       name, (unsigned long long)(LEAVE_NS / NS_PER_S));
        }
    }
    return true;
}

/* Lets the medium of a drive go that is out. */
static bool let_go(struct mkv_node_life *life, uint32_t drive,
                   char message[MKV_ADMIN_DRIVE_MESSAGE_BYTES]) {
    struct mkv_node *node = life->node;
    const char *name = configured(node, drive)->name;
    const uint64_t until_ns = mkv_clock_monotonic_ns() + CLOSE_NS;
    struct mkv_shard_group_drive now;
    look(node, drive, &now);
    if (now.role != MKV_DRIVE_SET_OUT) { /* it came in since it was asked for */
        return say_verdict(name, MKV_DRIVE_SET_NOT_NOW, message);
    }
    if (!mkv_node_life_stage(life, "%s ends what it has under way and is closed", name)) {
        return say_end(message);
    }
    while (!mkv_shards_drive_release(node->shards, drive, NS_PER_S / 4)) {
        if (!mkv_node_life_stage(life, "%s ends what it has under way and is closed", name)) {
            return say_end(message);
        }
        if (mkv_clock_monotonic_ns() >= until_ns) {
            return say(message,
                       "drive %s is out of the set, and nobody is served from it, but it does not "
                       "answer what it was asked before: it cannot be closed yet. See dmesg; ask "
                       "again when the kernel has given it up",
                       name);
        }
    }
    pthread_mutex_lock(&node->mutex);
    node->drives[drive].media.fd = -1;
    pthread_mutex_unlock(&node->mutex);
    return true;
}

static bool take_out(struct mkv_node_life *life, uint32_t drive,
                     char message[MKV_ADMIN_DRIVE_MESSAGE_BYTES]) {
    struct mkv_node *node = life->node;
    const char *name = configured(node, drive)->name;
    const enum mkv_drive_set_verdict verdict =
        mkv_shard_group_leave(mkv_shards_group(node->shards), drive);
    if (verdict != MKV_DRIVE_SET_IS_OUT && !say_verdict(name, verdict, message)) {
        return false;
    }
    return wait_out(life, drive, message) && let_go(life, drive, message);
}

/* ---- in -------------------------------------------------------------------------------------- */

static bool say_refusal(const struct mkv_config_drive *own, enum mkv_drive_set_refusal refusal,
                        char message[MKV_ADMIN_DRIVE_MESSAGE_BYTES]) {
    switch (refusal) {
    case MKV_DRIVE_SET_FOREIGN:
        return say(message,
                   "drive %s: %s belongs to another store. Name another, or wipe it, if its blocks "
                   "are not needed: memkv drive wipe",
                   own->name, own->media);
    case MKV_DRIVE_SET_TWINS:
        return say(message, "drive %s: %s is a copy of a drive that serves. Name another",
                   own->name, own->media);
    case MKV_DRIVE_SET_TORN:
        return say(message, "drive %s: %s is no member of its own drive set: it is damaged",
                   own->name, own->media);
    case MKV_DRIVE_SET_TWO_SETS:
        return say(message,
                   "drive %s: %s went on without the drives that serve: nobody can tell whose "
                   "blocks are the newer ones. If its blocks are to go, wipe it: memkv drive wipe",
                   own->name, own->media);
    case MKV_DRIVE_SET_ACCEPTED:
    case MKV_DRIVE_SET_INCOMPLETE:
    case MKV_DRIVE_SET_NO_MEMBER:
    case MKV_DRIVE_SET_MISSING:
        break;
    }
    MKV_ASSERT(refusal == MKV_DRIVE_SET_ACCEPTED);
    return true;
}

/* What its probe says, when it is neither blank nor a store that can be read. */
static bool say_probe(const struct mkv_config_drive *own, enum mkv_drive_probe_kind kind,
                      char message[MKV_ADMIN_DRIVE_MESSAGE_BYTES]) {
    if (kind == MKV_DRIVE_PROBE_BLANK || kind == MKV_DRIVE_PROBE_STORE) {
        return true;
    }
    return say(message, "drive %s: %s %s. Wipe it if that is not needed: memkv drive wipe",
               own->name, own->media,
               kind == MKV_DRIVE_PROBE_OTHER    ? "holds something that is no store"
               : kind == MKV_DRIVE_PROBE_NEWER  ? "has a format that is newer than this release"
               : kind == MKV_DRIVE_PROBE_SHRUNK ? "is smaller than the store on it"
                                                : "has damaged superblocks");
}

/* A member that serves, for the new drive's weight. */
static bool member_of(struct mkv_node *node, uint32_t drive, uint64_t *units, uint32_t *weight) {
    for (uint32_t i = 0; i < node->drive_count; i++) {
        struct mkv_shard_group_drive other;
        look(node, i, &other);
        if (i != drive && other.role == MKV_DRIVE_SET_MEMBER &&
            other.life == MKV_DRIVE_SET_SERVING) {
            *units = mkv_geometry_usable_units(&node->drives[i].volume.geometry);
            *weight = other.member.weight;
            return true;
        }
    }
    return false;
}

/* Whether the opened drive may join, and as which member. */
static bool admit(struct mkv_node *node, const struct mkv_config_drive *own, uint32_t index,
                  struct node_drive *drive, struct mkv_member *member,
                  char message[MKV_ADMIN_DRIVE_MESSAGE_BYTES]) {
    struct mkv_shard_group_drive now;
    struct mkv_drive_set_admission admission;
    const struct mkv_superblock *superblock = &drive->probe.superblock;
    const bool blank = drive->probe.kind == MKV_DRIVE_PROBE_BLANK;
    const struct mkv_drive_claim claim = {
        .kind = blank ? MKV_DRIVE_CLAIM_BLANK : MKV_DRIVE_CLAIM_STORE,
        .usable_units = mkv_geometry_usable_units(&drive->volume.geometry),
        .store_uuid = superblock->store_uuid,
        .drive_uuid = superblock->drive_uuid,
        .opened = superblock->epoch != 0,
        .set = superblock->drive_set,
    };
    look(node, index, &now);
    struct mkv_drive_set_guest guest = {
        .claim = &claim, .served = &now.set, .store_uuid = node->plan.store_uuid};
    mkv_drive_set_random_kernel.fill(mkv_drive_set_random_kernel.context, guest.fresh.bytes,
                                     sizeof guest.fresh.bytes);
    if (!member_of(node, index, &guest.member_units, &guest.member_weight)) {
        return say_verdict(own->name, MKV_DRIVE_SET_NO_OTHER, message);
    }
    mkv_drive_set_admit(&guest, &admission);
    if (!say_refusal(own, admission.refusal, message)) {
        return false;
    }
    uint64_t needed;
    *member = admission.member;
    drive->volume.drive_uuid = member->uuid;
    mkv_drive_set_outside(member->uuid, &drive->volume.drive_set);
    const uint64_t room = mkv_shards_drive_room(node->shards, index, &drive->volume, &needed);
    return needed <= room ||
           say(message,
               "drive %s: %s is larger than the drive in whose place it comes: its tables need "
               "%" PRIu64 " MiB of memory, and there are %" PRIu64 " MiB. Restart the node with it",
               own->name, own->media, (uint64_t)(needed / MKV_MIB), (uint64_t)(room / MKV_MIB));
}

/* Opens and judges the drive; what it holds is not changed. */
static bool open_again(struct mkv_node_life *life, const struct mkv_config_drive *own,
                       uint32_t index, struct node_drive *drive, struct mkv_member *member,
                       char message[MKV_ADMIN_DRIVE_MESSAGE_BYTES]) {
    struct mkv_backend_error error = {0};
    if (!mkv_node_life_stage(life, "%s is opened and looked at", own->media)) {
        return say_end(message);
    }
    if (!mkv_node_drive_look(life->node, own, index, drive, &error)) {
        return say(message, "%s", error.text);
    }
    /* It may have taken so long that the node has ended meanwhile, and is no more. */
    if (!mkv_node_life_stage(life, "%s is judged", own->media)) {
        mkv_node_drive_leave(own, drive);
        return say_end(message);
    }
    const bool fits = say_probe(own, drive->probe.kind, message) &&
                      admit(life->node, own, index, drive, member, message);
    if (fits && mkv_node_room_reserve(own, drive, &error)) {
        return true;
    }
    mkv_node_drive_leave(own, drive);
    return fits ? say(message, "%s", error.text) : false;
}

/* What the node knows of the drive from now on. */
static void take_over(struct mkv_node *node, const struct mkv_config_drive *own, uint32_t index,
                      const struct node_drive *drive) {
    atomic_fetch_and(&node->taken_off, ~(1ull << index));
    pthread_mutex_lock(&node->mutex);
    struct node_drive *target = &node->drives[index];
    *target = *drive;
    target->media_is_ours = false;
    target->file_created = false;
    memcpy(node->config.storage.drives[index].media, own->media, sizeof own->media);
    pthread_mutex_unlock(&node->mutex);
    mkv_node_smart_forget(node, index);
}

/* Waits until the drive serves. */
static bool wait_in(struct mkv_node_life *life, uint32_t drive,
                    char message[MKV_ADMIN_DRIVE_MESSAGE_BYTES]) {
    struct mkv_node *node = life->node;
    const char *name = configured(node, drive)->name;
    const uint64_t until_ns = mkv_clock_monotonic_ns() + JOIN_NS;
    struct mkv_shard_group_drive now;
    for (look(node, drive, &now); now.route != MKV_DRIVE_SET_ONLINE; look(node, drive, &now)) {
        uint64_t units;
        uint32_t weight;
        if ((now.role == MKV_DRIVE_SET_JOINER || now.life == MKV_DRIVE_SET_LEFT) &&
            !member_of(node, drive, &units, &weight)) {
            return say(message,
                       "drive %s: no drive is left that could take it in: all others failed as it "
                       "joined. See the log; the node serves again when it is restarted with those "
                       "that are sound",
                       name);
        }
        if (now.life == MKV_DRIVE_SET_FAILED || now.role == MKV_DRIVE_SET_OUT) {
            return say(message, "drive %s failed as it joined, and is offline. See the log", name);
        }
        const bool goes_on =
            mkv_node_life_stage(life,
                                now.role == MKV_DRIVE_SET_JOINER && now.life == 0
                                    ? "the others drop the blocks that %s takes over"
                                    : "%s is opened, empty",
                                name) &&
            mkv_node_life_pause(life);
        if (!goes_on) {
            return say_end(message);
        }
        if (mkv_clock_monotonic_ns() >= until_ns) {
            return say(message, "drive %s: it has not joined within a day, and goes on", name);
        }
    }
    mkv_node_warn_over(node, MKV_ADMIN_WARNING_DRIVE_OFFLINE, configured(node, drive));
    return true;
}

/* Gives the shard the drive, which was admitted, and has it join. Takes the medium over. */
static bool bring_in(struct mkv_node_life *life, const struct mkv_config_drive *own, uint32_t index,
                     struct node_drive *drive, struct mkv_member member,
                     char message[MKV_ADMIN_DRIVE_MESSAGE_BYTES]) {
    struct mkv_node *node = life->node;
    struct mkv_backend_error error = {0};
    if (drive->probe.kind == MKV_DRIVE_PROBE_BLANK &&
        (!mkv_node_life_stage(life, "%s is formatted", own->media) ||
         !mkv_node_drive_format(node, own, drive, &error))) {
        mkv_node_drive_leave(own, drive);
        return say(message, "%s", error.text[0] == '\0' ? "the node ends" : error.text);
    }
    if (!mkv_node_life_stage(life, "%s is given to its shard", own->media)) {
        mkv_node_drive_leave(own, drive);
        return say_end(message);
    }
    if (!mkv_shards_drive_give(node->shards, index, &drive->volume, &drive->media, GIVE_NS,
                               &error)) {
        return say(message, "%s", error.text);
    }
    take_over(node, own, index, drive);
    const enum mkv_drive_set_verdict verdict =
        mkv_shard_group_join(mkv_shards_group(node->shards), index, member,
                             mkv_geometry_usable_units(&drive->volume.geometry) * MKV_UNIT_BYTES);
    return say_verdict(own->name, verdict, message) && wait_in(life, index, message);
}

/* ---- jobs ------------------------------------------------------------------------------------ */

static bool do_offline(struct mkv_node_life *life, const struct life_job *job,
                       char message[MKV_ADMIN_DRIVE_MESSAGE_BYTES]) {
    if (!take_out(life, job->drive, message)) {
        return false;
    }
    set_draining(life->node, job->drive, false);
    note_taken_off(life->node, job->drive, job->by_fence);
    (void)say(message, "drive %s is offline: its keys go to the others. It may be pulled",
              configured(life->node, job->drive)->name);
    return true;
}

static bool do_online(struct mkv_node_life *life, const struct life_job *job,
                      char message[MKV_ADMIN_DRIVE_MESSAGE_BYTES]) {
    struct mkv_node *node = life->node;
    const struct mkv_config_drive own = *configured(node, job->drive);
    struct node_drive drive;
    struct mkv_member member;
    struct mkv_shard_group_drive now;
    set_draining(node, job->drive, false);
    look(node, job->drive, &now);
    if (now.role == MKV_DRIVE_SET_MEMBER && now.route == MKV_DRIVE_SET_ONLINE) {
        (void)say(message, "drive %s is online", own.name);
        return true;
    }
    if (now.role == MKV_DRIVE_SET_MEMBER && !wait_out(life, job->drive, message)) {
        return false;
    }
    if (!let_go(life, job->drive, message) ||
        !open_again(life, &own, job->drive, &drive, &member, message) ||
        !bring_in(life, &own, job->drive, &drive, member, message)) {
        return false;
    }
    (void)say(message, "drive %s is online, and fills again", own.name);
    return true;
}

static bool do_replace(struct mkv_node_life *life, const struct life_job *job,
                       char message[MKV_ADMIN_DRIVE_MESSAGE_BYTES]) {
    struct mkv_config_drive own = *configured(life->node, job->drive);
    struct node_drive drive;
    struct mkv_member member;
    snprintf(own.media, sizeof own.media, "%s", job->path);
    if (!open_again(life, &own, job->drive, &drive, &member, message)) {
        return false;
    }
    if (!take_out(life, job->drive, message)) {
        mkv_node_drive_leave(&own, &drive);
        return false;
    }
    set_draining(life->node, job->drive, false);
    note_taken_off(life->node, job->drive, false);
    if (!bring_in(life, &own, job->drive, &drive, member, message)) {
        return false;
    }
    (void)say(message,
              "drive %s is online at %s, and fills. In storage.drives of the configuration, write "
              "its media: %s",
              own.name, own.media, own.media);
    return true;
}

/* Erases what stands at the path, if that is blank or of this store: the path may name another
 * drive by now than the one that was taken out. */
static bool erase_own(struct mkv_uuid store_uuid, const struct mkv_config_drive *own,
                      char message[MKV_ADMIN_DRIVE_MESSAGE_BYTES]) {
    const struct mkv_drive_open_options options = {
        .name = own->name, .media = own->media, .mode = MKV_DRIVE_MODE_FILE};
    struct mkv_drive_media media;
    struct mkv_drive_probe probe;
    struct mkv_backend_error error = {0};
    if (!mkv_drive_open(&options, &media, &error)) {
        return say(message, "%s", error.text);
    }
    bool done = mkv_drive_probe(&media, own->name, own->media, &probe, &error);
    if (!done) {
        (void)say(message, "%s", error.text);
    } else if (!say_probe(own, probe.kind, message)) {
        done = false;
    } else if (probe.kind == MKV_DRIVE_PROBE_STORE &&
               !mkv_uuid_equal(probe.superblock.store_uuid, store_uuid)) {
        done = say_refusal(own, MKV_DRIVE_SET_FOREIGN, message);
    } else {
        done = mkv_drive_erase(own->name, own->media, &media, &error) ||
               say(message, "%s", error.text);
    }
    mkv_drive_media_close(&media);
    return done;
}

static bool do_erase(struct mkv_node_life *life, const struct life_job *job,
                     char message[MKV_ADMIN_DRIVE_MESSAGE_BYTES]) {
    struct mkv_node *node = life->node;
    const struct mkv_config_drive own = *configured(node, job->drive);
    if (!let_go(life, job->drive, message)) {
        return false;
    }
    if (!mkv_node_life_stage(life, "what %s holds is discarded", own.media)) {
        return say_end(message);
    }
    if (!erase_own(node->plan.store_uuid, &own, message)) {
        return false;
    }
    (void)say(message,
              "drive %s: %s is blank: all of it was discarded. That is no erasure of what the "
              "drive's cells hold",
              own.name, own.media);
    return true;
}

static bool do_drain(struct mkv_node_life *life, const struct life_job *job,
                     char message[MKV_ADMIN_DRIVE_MESSAGE_BYTES]) {
    const char *name = configured(life->node, job->drive)->name;
    set_draining(life->node, job->drive, true);
    (void)say(message,
              "drive %s drains: puts of its keys are refused, what it holds is served until it is "
              "evicted or the drive goes offline. memkv admin drive online %s ends that",
              name, name);
    return true;
}

bool mkv_node_life_do(struct mkv_node_life *life, const struct life_job *job,
                      char message[MKV_ADMIN_DRIVE_MESSAGE_BYTES]) {
    switch (job->action) {
    case MKV_ADMIN_DRIVE_ACT_OFFLINE:
        return do_offline(life, job, message);
    case MKV_ADMIN_DRIVE_ACT_ONLINE:
        return do_online(life, job, message);
    case MKV_ADMIN_DRIVE_ACT_REPLACE:
        return do_replace(life, job, message);
    case MKV_ADMIN_DRIVE_ACT_ERASE:
        return do_erase(life, job, message);
    case MKV_ADMIN_DRIVE_ACT_DRAIN:
        return do_drain(life, job, message);
    }
    MKV_ASSERT(false);
    return false;
}
