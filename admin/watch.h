/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looks at snapshots of the node, one after another, and keeps what a single one cannot show: how
 * much there was of something in the last minutes, and what has been wrong for how long.
 *
 *     snapshot, time --> look --+--> a moment every 10 s, for 10 min --> recent figures
 *                               +--> what is wrong now ----------------> findings
 *                               +--> drives that come and go ----------> transitions
 *
 * A drive is slow when the 99th percentile of its reads or of its writes was more than 4 times the
 * median of its siblings' in each of 6 periods in a row, which together are `slow_after_ns`; and it
 * is no more when as many in a row were well. Periods with fewer than MKV_WATCH_SLOW_OPERATIONS
 * say nothing bad of a drive.
 *
 * Counts of a drive begin anew when it is opened again: what was counted before is then nothing.
 *
 * Invariants
 *  I1  Everything follows from the snapshots and the times that were handed in.
 *  I2  A finding is there exactly as long as what it says is true, but that a journal that was
 *      nearly full is so until it has fallen below MKV_WATCH_JOURNAL_AGAIN_PERCENT.
 *
 * Not responsible for: taking snapshots, and saying what is found in words.
 */
#ifndef MKV_ADMIN_WATCH_H
#define MKV_ADMIN_WATCH_H

#include "admin/snapshot.h"

#define MKV_WATCH_WINDOW_NS (600ull * 1000000000u)
#define MKV_WATCH_MOMENT_NS (10ull * 1000000000u)
/* What rates and latencies of drives are told of. */
#define MKV_WATCH_DRIVE_WINDOW_NS (60ull * 1000000000u)

#define MKV_WATCH_SLOW_RATIO 4u
#define MKV_WATCH_SLOW_PERIODS 6u
#define MKV_WATCH_SLOW_OPERATIONS 20u
#define MKV_WATCH_JOURNAL_FULL_PERCENT 80u
#define MKV_WATCH_JOURNAL_AGAIN_PERCENT 60u
/* Nothing is shared when over the window more blocks than this were stored, more keys than this
 * were missed, so many of a hundred as unknown, and none was found. */
#define MKV_WATCH_STORED_MIN 1000u
#define MKV_WATCH_MISSED_MIN 100u
#define MKV_WATCH_UNKNOWN_PERCENT 95u

struct mkv_watch_options {
    uint64_t watchdog_ns;   /* a shard that is quiet for so long is stalled */
    uint64_t slow_after_ns; /* at least MKV_WATCH_SLOW_PERIODS */
};

struct mkv_watch_finding {
    enum mkv_admin_warning_code code;
    uint32_t drive;      /* its place in the snapshot; MKV_NONE_U32: it is of the node */
    uint64_t figures[2]; /* SHARD_STALLED: ns; DRIVE_SLOW: its p99 and its siblings', ns;
                          * JOURNAL_NEARLY_FULL: used and all blocks; SLOT_TABLE_FULL: numbers left
                          * and all; NO_SHARED_HITS: blocks stored and keys missed;
                          * RING_MISMATCH: lists of servers, 0 */
};
/* Three of the node and five of each drive. */
#define MKV_WATCH_FINDINGS_MAX (3u + 5u * MKV_VOLUMES_MAX)

struct mkv_watch;

/* NULL: there is no memory. */
struct mkv_watch *mkv_watch_create(const struct mkv_watch_options *options);
void mkv_watch_destroy(struct mkv_watch *watch); /* NULL is allowed */

/* `now_ns` is on the monotonic clock and does not go back. Every second or so. */
void mkv_watch_look(struct mkv_watch *watch, const struct mkv_admin_snapshot *snapshot,
                    uint64_t now_ns);

/* What was wrong at the last look. */
uint32_t mkv_watch_findings(const struct mkv_watch *watch,
                            struct mkv_watch_finding out[MKV_WATCH_FINDINGS_MAX]);
bool mkv_watch_drive_is_slow(const struct mkv_watch *watch, uint32_t drive);
/* How long it was slow at the last look; 0: it was not. */
uint64_t mkv_watch_drive_slow_ns(const struct mkv_watch *watch, uint32_t drive);
/* Drives that went online, or off, while the node served. */
uint64_t mkv_watch_transitions(const struct mkv_watch *watch, bool online);
/* Fills in `recent` of the snapshot, of its drives and of its tenants. */
void mkv_watch_recent(const struct mkv_watch *watch, struct mkv_admin_snapshot *snapshot);

/* The value that `per_mille` of those recorded between two copies of a histogram do not exceed,
 * taken as evenly spread between two bounds; 0 when there are none. */
uint64_t mkv_watch_quantile_ns(const struct mkv_histogram *first, const struct mkv_histogram *now,
                               uint32_t per_mille);

#endif
