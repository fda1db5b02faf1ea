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
    if (!mkv_slot_table_clear(table, &recover->clear_cursor, volume->config.step_clear_bytes)) {
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

/* Counts the blocks of pages up to `end` by tenant; false when one is of no tenant. */
static bool count_pages(struct mkv_volume *volume, uint32_t end) {
    const uint32_t page = volume->recover.count_page;
    volume->recover.count_page = end;
    return mkv_volume_tenant_derive(volume, page, end);
}

/* Derives some more. True when nothing is left to be; *consistent is then whether it agrees. */
static bool derive_some(struct mkv_volume *volume, bool *consistent) {
    struct recover *recover = &volume->recover;
    struct mkv_slot_table *table = volume_table(volume);
    const uint32_t page_max = volume->config.step_pages;
    *consistent = true;
    if (!recover->derived) {
        recover->derived =
            mkv_slot_table_derive(table, &recover->derive_cursor, page_max, consistent);
        if (MKV_CANARY(MKV_CANARY_TENANTS_COUNTED_EARLY) && *consistent) {
            *consistent = count_pages(volume, recover->derive_cursor);
        }
        return !*consistent;
    }
    if (recover->count_page < table->page_high) {
        /* Only now every slot knows its extent, and so its size. */
        const uint64_t end = (uint64_t)recover->count_page + page_max;
        *consistent = count_pages(volume, (uint32_t)mkv_min_u64(end, table->page_high));
        return !*consistent;
    }
    return true;
}

void mkv_volume_recover_derive_pump(struct mkv_volume *volume) {
    struct recover *recover = &volume->recover;
    bool consistent = true;
    if (!derive_some(volume, &consistent)) {
        return;
    }
    if (!consistent) {
        volume->stats.checksum_failures_index_total++;
        mkv_volume_recover_empty(volume, MKV_CORRUPT_CHECKPOINT_PAGE, recover->expected);
        return;
    }
    if (!mkv_volume_policy_restore(volume, &recover->policy_page, volume->config.step_pages)) {
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
