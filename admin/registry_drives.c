/* SPDX-License-Identifier: Apache-2.0 */
/* Families of the drives; see registry.h. */
#include "admin/registry_collect.h"

#include "admin/text.h"

/* ---- labels ---------------------------------------------------------------------------------- */

static const char *const components[] = {"superblock", "journal", "index", "slot_header",
                                         "payload",    "wire",    NULL};
static const char *const repair_kinds[] = {"superblock_copy", "quarantined_slot", "torn_tail",
                                           NULL};
static const char *const write_caches[] = {"volatile", "none", NULL};
static const struct mkv_metric_label by_device_op[] = {
    LABEL_DEVICE, LABEL_CLOSED("op", mkv_admin_io_ops), LABELS_END};
static const struct mkv_metric_label by_device_state[] = {
    LABEL_DEVICE, LABEL_CLOSED("state", mkv_drive_state_words), LABELS_END};
static const struct mkv_metric_label of_device[] = {LABEL_DEVICE,
                                                    LABEL_OPEN("path", MKV_VOLUMES_MAX),
                                                    LABEL_OPEN("model", MKV_VOLUMES_MAX),
                                                    LABEL_OPEN("serial", MKV_VOLUMES_MAX),
                                                    LABEL_OPEN("firmware", MKV_VOLUMES_MAX),
                                                    LABEL_OPEN("uuid", MKV_VOLUMES_MAX),
                                                    LABEL_CLOSED("write_cache", write_caches),
                                                    LABELS_END};
static const struct mkv_metric_label by_component[] = {LABEL_CLOSED("component", components),
                                                       LABELS_END};
static const struct mkv_metric_label by_repair[] = {LABEL_CLOSED("kind", repair_kinds), LABELS_END};

#define OF_FIGURES(field) offsetof(struct mkv_admin_drive_figures, field)
#define OF_IO(field) offsetof(struct mkv_admin_io, field)

/* ---- how samples are gathered ---------------------------------------------------------------- */

static MKV_COLLECTOR(figure) {
    for (uint32_t index = 0; index < sources->snapshot->drive_count; index++) {
        const struct mkv_admin_drive_figures figures =
            mkv_admin_drive_figures(sources->snapshot, index);
        mkv_metric_count1(out, sources->snapshot->drives[index].name,
                          mkv_metric_u64_at(&figures, argument));
    }
}

static MKV_COLLECTOR(device_online) {
    (void)argument;
    for (uint32_t index = 0; index < sources->snapshot->drive_count; index++) {
        const struct mkv_admin_drive *drive = &sources->snapshot->drives[index];
        mkv_metric_count1(out, drive->name, mkv_drive_state_serves(drive->state) ? 1 : 0);
    }
}

static MKV_COLLECTOR(io) {
    for (uint32_t index = 0; index < sources->snapshot->drive_count; index++) {
        const struct mkv_admin_drive *drive = &sources->snapshot->drives[index];
        for (uint32_t op = 0; op < MKV_ADMIN_IO_OP_COUNT; op++) {
            mkv_metric_count2(out, drive->name, mkv_admin_io_ops[op],
                              mkv_metric_u64_at(&drive->io[op], argument));
        }
    }
}

static MKV_COLLECTOR(device_state) {
    (void)argument;
    for (uint32_t index = 0; index < sources->snapshot->drive_count; index++) {
        const struct mkv_admin_drive *drive = &sources->snapshot->drives[index];
        for (uint32_t state = 0; state < MKV_DRIVE_STATE_COUNT; state++) {
            mkv_metric_count2(out, drive->name, mkv_drive_state_words[state],
                              (uint32_t)drive->state == state ? 1 : 0);
        }
    }
}

static MKV_COLLECTOR(device_info) {
    (void)argument;
    for (uint32_t index = 0; index < sources->snapshot->drive_count; index++) {
        const struct mkv_admin_drive *drive = &sources->snapshot->drives[index];
        char uuid[MKV_TEXT_UUID_BYTES];
        mkv_text_uuid(&drive->uuid, uuid);
        const char *const labels[] = {
            drive->name,
            drive->path,
            drive->model,
            drive->serial,
            drive->firmware,
            uuid,
            drive->write_cache ? "volatile" : "none",
        };
        mkv_exposition_count(out, labels, 1);
    }
}

static MKV_COLLECTOR(checksum_failures) {
    (void)argument;
    struct mkv_volume_stats sum = {0};
    for (uint32_t index = 0; index < sources->snapshot->drive_count; index++) {
        const struct mkv_volume_stats *volume = &sources->snapshot->drives[index].volume;
        sum.checksum_failures_superblock_total += volume->checksum_failures_superblock_total;
        sum.checksum_failures_journal_total += volume->checksum_failures_journal_total;
        sum.checksum_failures_index_total += volume->checksum_failures_index_total;
        sum.checksum_failures_header_total += volume->checksum_failures_header_total;
        sum.checksum_failures_payload_total += volume->checksum_failures_payload_total;
    }
    mkv_metric_count1(out, "superblock", sum.checksum_failures_superblock_total);
    mkv_metric_count1(out, "journal", sum.checksum_failures_journal_total);
    mkv_metric_count1(out, "index", sum.checksum_failures_index_total);
    mkv_metric_count1(out, "slot_header", sum.checksum_failures_header_total);
    mkv_metric_count1(out, "payload", sum.checksum_failures_payload_total);
    mkv_metric_count1(out, "wire",
                      sources->snapshot->fabric.checksum_failures_total +
                          sources->snapshot->shm.checksum_failures_total);
}

/* A quarantine drops the entry, and that is how a drive's table loses one: there is no count of
 * dropped entries beside it. */
static MKV_COLLECTOR(repairs) {
    (void)argument;
    struct mkv_volume_stats sum = {0};
    for (uint32_t index = 0; index < sources->snapshot->drive_count; index++) {
        const struct mkv_volume_stats *volume = &sources->snapshot->drives[index].volume;
        sum.superblock_repairs_total += volume->superblock_repairs_total;
        sum.quarantined_total += volume->quarantined_total;
        sum.torn_tails_total += volume->torn_tails_total;
    }
    mkv_metric_count1(out, "superblock_copy", sum.superblock_repairs_total);
    mkv_metric_count1(out, "quarantined_slot", sum.quarantined_total);
    mkv_metric_count1(out, "torn_tail", sum.torn_tails_total);
}

static MKV_COLLECTOR(scrub_progress) {
    (void)argument;
    for (uint32_t index = 0; index < sources->snapshot->drive_count; index++) {
        const struct mkv_admin_drive *drive = &sources->snapshot->drives[index];
        mkv_metric_real1(out, drive->name, drive->volume.scrub_progress);
    }
}

static MKV_COLLECTOR(trim_latency) {
    (void)argument;
    for (uint32_t index = 0; index < sources->snapshot->drive_count; index++) {
        const struct mkv_admin_drive *drive = &sources->snapshot->drives[index];
        mkv_exposition_ladder(out, (const char *const[]){drive->name}, MKV_LADDER_US,
                              &drive->io[MKV_ADMIN_IO_TRIM].duration, NULL);
    }
}

static MKV_COLLECTOR(io_duration) {
    (void)argument;
    for (uint32_t index = 0; index < sources->snapshot->drive_count; index++) {
        const struct mkv_admin_drive *drive = &sources->snapshot->drives[index];
        for (uint32_t op = 0; op < MKV_ADMIN_IO_OP_COUNT; op++) {
            mkv_exposition_ladder(out, (const char *const[]){drive->name, mkv_admin_io_ops[op]},
                                  MKV_LADDER_SECONDS, &drive->io[op].duration, NULL);
        }
    }
}

static MKV_COLLECTOR(io_busy) {
    (void)argument;
    for (uint32_t index = 0; index < sources->snapshot->drive_count; index++) {
        const struct mkv_admin_drive *drive = &sources->snapshot->drives[index];
        mkv_metric_real1(out, drive->name, (double)drive->io_busy_ns / MKV_METRIC_NS_PER_S);
    }
}

static MKV_COLLECTOR(device_slow) {
    (void)argument;
    for (uint32_t index = 0; index < sources->snapshot->drive_count; index++) {
        const struct mkv_admin_drive *drive = &sources->snapshot->drives[index];
        mkv_metric_count1(out, drive->name, drive->slow ? 1 : 0);
    }
}

/* ---- families -------------------------------------------------------------------------------- */

static const struct mkv_metric_family drives_families[] = {
    GAUGE("memkv_device_slots_used", "slots", mkv_by_device, "volume", figure,
          OF_FIGURES(slots_used), "Slots of a drive that are not free", "Fill of a drive in blocks",
          "Compare with the bytes used"),
    GAUGE("memkv_device_capacity_raw_bytes", "bytes", mkv_by_device, "volume", figure,
          OF_FIGURES(bytes_raw), "Bytes of a drive that the store was formatted with",
          "Size of the drive", "None needed by itself"),
    GAUGE("memkv_device_capacity_usable_bytes", "bytes", mkv_by_device, "volume", figure,
          OF_FIGURES(bytes_usable), "Bytes of a drive for blocks: raw less metadata",
          "Denominator of the drive's fill", "None needed by itself"),
    GAUGE("memkv_device_bytes_used", "bytes", mkv_by_device, "volume", figure,
          OF_FIGURES(bytes_used), "Bytes of the slots of a drive that are not free",
          "Fill of a drive", "Uneven between drives of one size: the keys are few or very unequal"),
    GAUGE("memkv_storage_raw_bytes", "bytes", mkv_no_labels, "volume", figures_sum,
          OF_FIGURES(bytes_raw), "Sum of the drives' raw bytes", "Size of the store",
          "None needed by itself"),
    GAUGE("memkv_storage_usable_bytes", "bytes", mkv_no_labels, "volume", figures_sum,
          OF_FIGURES(bytes_usable), "Sum of the drives' usable bytes",
          "Denominator of the store's fill", "None needed by itself"),
    GAUGE("memkv_storage_used_bytes", "bytes", mkv_no_labels, "volume", figures_sum,
          OF_FIGURES(bytes_used), "Sum of the drives' used bytes", "Fill of the store",
          "Near the usable bytes: puts will be answered no_space; add drives or delete"),
    GAUGE("memkv_storage_payload_bytes", "bytes", mkv_no_labels, "volume", node,
          OF_NODE(payload_bytes), "Payload bytes inside the used bytes",
          "With memkv_storage_used_bytes: how well slots are filled",
          "Far below the used bytes: blocks have very many sizes"),
    COUNTER("memkv_trim_extents_total", "extents", mkv_by_device, "volume", drive,
            OF_VOLUME(trim_extents_total), "Extents that a drive was told to forget",
            "Whether room that holds nothing is trimmed",
            "None while blocks are deleted or evicted: see storage.trim"),
    COUNTER("memkv_trim_bytes_total", "bytes", mkv_by_device, "volume", drive,
            OF_VOLUME(trim_bytes_total), "Bytes that a drive has forgotten",
            "What trims spare the drive", "None needed"),
    HISTOGRAM("memkv_trim_latency_us", "microseconds", mkv_by_device, "drive", trim_latency, 0,
              "Time of a trim of a drive, submit to completion", "Whether a drive trims fast",
              "Long, and gets suffer: set storage.trim: off"),
    COUNTER("memkv_trim_errors_total", "errors", mkv_by_device, "volume", drive,
            OF_VOLUME(trim_errors_total), "Trims that failed; nothing is lost by one",
            "A drive that claims what it cannot do",
            "Growing: look at the kernel's log, or set storage.trim: off"),
    GAUGE("memkv_trim_pending", "requests", mkv_no_labels, "volume", drives_sum,
          OF_VOLUME(trims_pending), "Trims that are in flight or wait for their turn",
          "Whether drives keep up with trims",
          "High for long: a drive trims slowly; set storage.trim: off if gets suffer"),
    GAUGE("memkv_device_online", "bool", mkv_by_device, "node", device_online, 0,
          "1 where a drive serves", "A drive that is gone turns its keys into misses",
          "0: memkv_device_state and the warnings of memkv admin status say why"),
    COUNTER("memkv_device_io_errors_total", "errors", by_device_op, "drive", io, OF_IO(errors),
            "Operations of a drive that failed", "A drive that is about to die",
            "Growing: look at the kernel's log, then replace the drive"),
    HISTOGRAM("memkv_device_io_duration_seconds", "seconds", by_device_op, "drive", io_duration, 0,
              "Time of an operation of a drive, submit to completion",
              "Whether a drive is slow, apart from all that waits in front of it",
              "One drive longer than its siblings: look at its health, then replace it"),
    COUNTER("memkv_device_io_bytes_total", "bytes", by_device_op, "drive", io, OF_IO(bytes),
            "Bytes moved by a drive, metadata too", "Bandwidth of each drive",
            "Compare drives: one that lags holds the others back"),
    GAUGE("memkv_device_io_in_flight", "operations", by_device_op, "drive", io, OF_IO(in_flight),
          "Operations of a drive in flight", "Depth of each drive's queue",
          "High on one drive alone: that drive is slow"),
    COUNTER("memkv_device_io_busy_seconds_total", "seconds", mkv_by_device, "drive", io_busy, 0,
            "Time with at least one operation of a drive in flight",
            "Share of the time that a drive has work",
            "Near 1 a second with long times: add drives"),
    GAUGE("memkv_device_slow", "bool", mkv_by_device, "node", device_slow, 0,
          "1 where a drive is an outlier against its siblings",
          "One slow drive holds back every batch that touches it",
          "1: look at the drive's health and temperature, then replace it"),
    GAUGE("memkv_device_state", "bool", by_device_state, "node", device_state, 0,
          "1 for the state a drive is in", "Why a drive does not serve",
          "failed: replace it; offline: the log of the start says why; recovering: wait"),
    GAUGE("memkv_device_info", "info", of_device, "node", device_info, 0, "Always 1",
          "Joins a drive's name to its model, serial number and path", "None needed"),
    COUNTER(
        "memkv_checksum_failures_total", "events", by_component, "volume", checksum_failures, 0,
        "Checksum mismatches that were found",
        "Corruption that was caught before it reached a client",
        "payload, slot_header: check the drive; wire: check the network and the client's build"),
    COUNTER("memkv_repairs_total", "events", by_repair, "volume", repairs, 0, "Repairs made",
            "What the store mended by itself; torn_tail is usual after a crash",
            "superblock_copy, quarantined_slot again and again: replace the drive"),
    COUNTER("memkv_scrub_slots_total", "slots", mkv_by_device, "volume", drive,
            OF_VOLUME(scrub_slots_total), "Blocks that the scrubber has read and compared",
            "Whether old blocks are still checked", "Not growing: see storage.scrub_rate"),
    GAUGE("memkv_scrub_progress_ratio", "ratio", mkv_by_device, "volume", scrub_progress, 0,
          "How far the scrubber's pass over a drive has come", "How long a whole check takes",
          "A pass takes too long: raise storage.scrub_rate"),
};
MKV_METRIC_GROUP(drives, "Drives", drives_families);
