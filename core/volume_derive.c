/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The steps of recovery that do no I/O: CLEAR before anything is read, and DERIVE to SERVING when
 * all of it is (volume_recover.c has the order). Each works in bounded pieces.
 */
#include "core/volume_internal.h"

/* Clears a piece of the table: before anything is read, and again when what was read is worthless.
 */
void mkv_volume_recover_clear_pump(struct mkv_volume *volume) {
    struct recover *recover = &volume->recover;
    struct mkv_slot_table *table = volume_table(volume);
    if (!mkv_slot_table_clear(table, &recover->clear_cursor, STEP_CLEAR_BYTES_MAX)) {
        return;
    }
    if (recover->came_up_empty) {
        mkv_volume_recover_derive(volume);
        return;
    }
    recover->step = RECOVER_FLUSH;
    if (!MKV_CANARY(MKV_CANARY_SUPERBLOCK_SINGLE_COPY_TRUSTED) &&
        !MKV_CANARY(MKV_CANARY_OPENED_WITHOUT_FLUSH)) {
        volume_want_flush(volume, &recover->ticket);
    }
}

void mkv_volume_recover_derive(struct mkv_volume *volume) {
    struct recover *recover = &volume->recover;
    recover->step = RECOVER_DERIVE;
    recover->derive_cursor = 0;
    recover->count_page = 0;
    mkv_tenant_table_count_clear(volume_tenants(volume));
    recover->derived = false;
    recover->policy_page = 0;
    mkv_volume_policy_init(volume);
    volume->ring_start = volume->superblock.journal_sequence;
    volume->issued_sequence.value = recover->expected - 1;
    volume->written_sequence = volume->issued_sequence;
    volume->flushed_sequence = volume->issued_sequence;
    volume->issued_chain = recover->chain;
    volume->chain_of_written = recover->chain;
    volume->flushed_chain = recover->chain;
    /* All of this is durable now; pump_idle records that where no block states it yet. */
    volume->records_sequence = recover->records_sequence;
    volume->recorded_sequence = recover->recorded_sequence;
}

void mkv_volume_recover_derive_pump(struct mkv_volume *volume) {
    struct recover *recover = &volume->recover;
    struct mkv_slot_table *table = volume_table(volume);
    bool consistent = true;
    if (!recover->derived) {
        recover->derived =
            mkv_slot_table_derive(table, &recover->derive_cursor, STEP_PAGES_MAX, &consistent);
        if (consistent) {
            return;
        }
    } else if (recover->count_page < table->page_high) {
        /* Only now every slot knows its extent, and so its size. */
        const uint32_t page = recover->count_page;
        recover->count_page = (uint32_t)mkv_min_u64(page + STEP_PAGES_MAX, table->page_high);
        consistent = mkv_volume_tenant_derive(volume, page, recover->count_page);
        if (consistent) {
            return;
        }
    }
    if (!consistent) {
        volume->stats.checksum_failures_index_total++;
        mkv_volume_recover_empty(volume, MKV_CORRUPT_CHECKPOINT_PAGE, recover->expected);
        return;
    }
    if (!mkv_volume_policy_restore(volume, &recover->policy_page, STEP_PAGES_MAX)) {
        return;
    }
    recover->step = RECOVER_LAST_FLUSH;
    volume_want_flush(volume, &recover->ticket);
}

void mkv_volume_recover_serve(struct mkv_volume *volume) {
    const struct recover *recover = &volume->recover;
    volume->generation_counter = recover->generation_counter_max;
    if (MKV_CANARY(MKV_CANARY_GENERATION_WITHOUT_EPOCH)) {
        volume->generation_counter = 0;
    }
    volume->quiet_since_ns = volume->now_ns;
    volume->state = MKV_VOLUME_SERVING;
    mkv_volume_expiry_open(volume);
    mkv_volume_lease_open(volume);
    mkv_volume_session_open(volume);
    mkv_volume_sample_open(volume);
    mkv_volume_directory_open(volume);
    volume->stats.recovery_ns = volume->now_ns - recover->started_ns;
    if (recover->blocks_repaired > 0) {
        mkv_volume_event(volume, MKV_EVENT_JOURNAL_COPY_REPAIRED, MKV_OK, recover->blocks_repaired,
                         0, 0);
    }
    mkv_volume_event(volume, MKV_EVENT_OPENED, MKV_OK, volume_table(volume)->live_count,
                     volume->stats.recovery_entries, volume->stats.recovery_ns);
}
