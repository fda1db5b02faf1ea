/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/exposition.h"

#include "tests/unit/admin/exposition_parser.h"
#include "tests/unit/admin/fake_node.h"
#include "tests/unit/admin/test.h"

struct world {
    struct mkv_admin_snapshot snapshot;
    struct mkv_admin_counters counters;
    struct mkv_admin_process process;
    struct mkv_metric_sources sources;
};

static int setup(void **state) {
    struct world *world = calloc(1, sizeof *world);
    assert_non_null(world);
    fake_snapshot(&world->snapshot);
    for (uint32_t path = 0; path <= MKV_ADMIN_PATH_OTHER; path++) {
        world->counters.requests_total[path] = 10 + path;
    }
    world->counters.auth_failures_total = 98;
    world->counters.scrape_ns = 1500000;
    world->process = (struct mkv_admin_process){1.25, 2, 3, 4, 5, 1767233647.5};
    world->sources = (struct mkv_metric_sources){
        .snapshot = &world->snapshot,
        .counters = &world->counters,
        .process = &world->process,
    };
    *state = world;
    return 0;
}

static int teardown(void **state) {
    free(*state);
    return 0;
}

static struct parsed_exposition *scrape_as(const struct world *world,
                                           enum mkv_exposition_format format) {
    struct mkv_admin_reply reply = mkv_admin_metrics(&world->sources, format);
    assert_int_equal(reply.status, 200);
    assert_non_null(reply.body);
    assert_int_equal(strlen(reply.body), reply.body_bytes);
    struct parsed_exposition *parsed = format == MKV_EXPOSITION_OPENMETRICS
                                           ? exposition_parse_openmetrics(reply.body)
                                           : exposition_parse(reply.body);
    free(reply.body);
    return parsed;
}

static struct parsed_exposition *scrape(const struct world *world) {
    return scrape_as(world, MKV_EXPOSITION_TEXT);
}

static void test_exposition__every_family__parses(void **state) {
    struct parsed_exposition *parsed = scrape(*state);
    assert_int_equal(parsed->family_count, mkv_metric_family_count());
    for (size_t index = 0; index < mkv_metric_family_count(); index++) {
        assert_string_equal(parsed->families[index].name, mkv_metric_family(index)->name);
        assert_string_equal(parsed->families[index].help, mkv_metric_family(index)->help);
        static const char *const types[] = {"counter", "gauge", "histogram"};
        assert_string_equal(parsed->families[index].type, types[mkv_metric_family(index)->type]);
    }
    exposition_free(parsed);
}

/* A node of no drives still has every family with closed labels; one of 64 fits the bounds. */
static void test_exposition__any_number_of_drives__parses(void **state) {
    struct world *world = *state;
    world->snapshot.drive_count = 0;
    struct parsed_exposition *parsed = scrape(world);
    assert_int_equal(parsed->family_count, mkv_metric_family_count());
    exposition_free(parsed);
    world->snapshot.drive_count = MKV_VOLUMES_MAX;
    for (uint32_t index = 0; index < MKV_VOLUMES_MAX; index++) {
        world->snapshot.drives[index] = world->snapshot.drives[0];
        snprintf(world->snapshot.drives[index].name, MKV_ADMIN_NAME_BYTES, "d%02u", index);
    }
    parsed = scrape(world);
    assert_true(exposition_has(parsed, "memkv_device_online{device=\"d63\"}"));
    exposition_free(parsed);
}

/* The oldest have labels of their own; the rest, and one with the name of the rest, count together.
 */
static void test_exposition__more_tenants_than_are_told_apart__the_rest_is_other(void **state) {
    struct world *world = *state;
    const uint32_t count = 64 + 10;
    world->snapshot.tenant_rows_max = 64;
    world->snapshot.tenant_count = count;
    for (uint32_t index = 0; index < count; index++) {
        struct mkv_admin_tenant *tenant = &world->snapshot.tenants[index];
        *tenant = (struct mkv_admin_tenant){.blocks = 3, .quota_bytes = UINT64_MAX};
        tenant->asked.keys_missed = index < 20 ? 1 : 0;
        tenant->asked_apart = index < 20;
        snprintf(tenant->name, sizeof tenant->name, "t%u", index);
    }
    snprintf(world->snapshot.tenants[5].name, sizeof world->snapshot.tenants[5].name, "other");
    struct parsed_exposition *parsed = scrape(world);
    assert_true(exposition_has(parsed, "memkv_tenant_blocks{tenant=\"t63\"}"));
    assert_false(exposition_has(parsed, "memkv_tenant_blocks{tenant=\"t64\"}"));
    assert_true(exposition_value(parsed, "memkv_tenant_blocks{tenant=\"other\"}") == 33);
    assert_true(exposition_value(parsed, "memkv_active_tenants") == count);
    /* What the front does not count apart has no row that says 0. */
    assert_true(
        exposition_has(parsed, "memkv_tenant_lookup_keys_total{tenant=\"t19\",result=\"miss\"}"));
    assert_false(
        exposition_has(parsed, "memkv_tenant_lookup_keys_total{tenant=\"t20\",result=\"miss\"}"));
    /* 27 are asked for under names that there are not, 1 by the tenant with the name. */
    assert_true(exposition_value(
                    parsed, "memkv_tenant_lookup_keys_total{tenant=\"other\",result=\"miss\"}") ==
                27 + 1);
    exposition_free(parsed);
}

static void test_exposition__samples__labels_of_their_family(void **state) {
    struct parsed_exposition *parsed = scrape(*state);
    bool has_sample[PARSED_FAMILIES_MAX] = {false};
    for (size_t index = 0; index < parsed->sample_count; index++) {
        const struct parsed_sample *sample = &parsed->samples[index];
        const struct mkv_metric_family *family = mkv_metric_family(sample->family);
        has_sample[sample->family] = true;
        if (family->type == MKV_METRIC_HISTOGRAM) {
            continue; /* the parser has looked at its buckets */
        }
        for (size_t label = 0; label < sample->label_count; label++) {
            assert_string_equal(sample->label_names[label], family->labels[label].name);
        }
        assert_null(family->labels[sample->label_count].name);
    }
    for (size_t index = 0; index < parsed->family_count; index++) {
        /* What has no key to tell apart has none yet. */
        if (!has_sample[index] &&
            strcmp(parsed->families[index].name, "memkv_auth_sessions") != 0) {
            fail_msg("%s has no sample", parsed->families[index].name);
        }
    }
    exposition_free(parsed);
}

/* Every closed label shows all of its values, but for combinations that cannot be. */
static void test_exposition__closed_labels__every_value_from_the_first_scrape(void **state) {
    struct world *world = *state;
    struct parsed_exposition *parsed = scrape(world);
    for (size_t index = 0; index < mkv_metric_family_count(); index++) {
        const struct mkv_metric_label *labels = mkv_metric_family(index)->labels;
        for (size_t place = 0; labels[place].name != NULL; place++) {
            for (const char *const *value = labels[place].values; value != NULL && *value != NULL;
                 value++) {
                bool found = false;
                for (size_t at = 0; at < parsed->sample_count; at++) {
                    found = found || (parsed->samples[at].family == index &&
                                      strcmp(parsed->samples[at].label_values[place], *value) == 0);
                }
                if (!found) {
                    fail_msg("%s has no sample with %s=\"%s\"", mkv_metric_family(index)->name,
                             labels[place].name, *value);
                }
            }
        }
    }
    exposition_free(parsed);
}

static void test_exposition__figures__as_in_the_snapshot(void **state) {
    static const struct {
        const char *series;
        double value;
    } cases[] = {
        {"memkv_lookup_total", 1004},
        {"memkv_delete_total", 1005},
        {"memkv_exists_total", 1003},
        {"memkv_read_total", 62},
        {"memkv_read_bytes_total", 64000},
        {"memkv_write_total", 61},
        {"memkv_write_bytes_total", 65000},
        {"memkv_connect_total", 131},
        {"memkv_request_latency_us_bucket{le=\"1.0\"}", 1},
        {"memkv_request_latency_us_bucket{le=\"2000.0\"}", 4},
        {"memkv_request_latency_us_sum", 5.5},
        {"memkv_request_latency_us_count", 4},
        {"memkv_command_duration_seconds_bucket{op=\"get_small\",le=\"0.001\"}", 13},
        {"memkv_command_duration_seconds_sum{op=\"put\"}", 0.001},
        {"memkv_command_time_ns_total{op=\"get\"}", 2000000 + 13000000},
        {"memkv_command_time_ns_total{op=\"put\"}", 1000000 + 12000000},
        {"memkv_command_time_ns_total{op=\"delete\"}", 5000000},
        {"memkv_batch_size_bucket{op=\"lookup\",le=\"16.0\"}", 4},
        {"memkv_batch_size_bucket{op=\"lookup\",le=\"8.388608e+06\"}", 4},
        {"memkv_batch_size_sum{op=\"lookup\"}", 64},
        {"memkv_batch_fallback_total", 0},
        {"memkv_queue_depth{queue=\"write\"}", 96},
        {"memkv_dispatch_duration_seconds_bucket{le=\"2e-06\"}", 4},
        {"memkv_dispatch_duration_seconds_sum", 0.000006},
        {"memkv_lookup_prefix_blocks_total{part=\"hit\"}", 200},
        {"memkv_deadline_exceeded_total{op=\"get\",stage=\"slab\"}", 52},
        {"memkv_rdma_failures_total{status=\"local_error\"}", 140},
        {"memkv_rdma_failures_total{status=\"device\"}", 150},
        {"memkv_rdma_fallbacks_total{reason=\"closed\"}", 160},
        {"memkv_rdma_fallbacks_total{reason=\"retry_exceeded\"}", 164},
        {"memkv_rdma_fallbacks_total{reason=\"refused\"}", 173},
        {"memkv_rdma_fallbacks_total{reason=\"parameters\"}", 177},
        {"memkv_rdma_port_troubles_total{port=\"mlx5_0/1\",kind=\"rnr_received\"}", 180},
        {"memkv_rdma_port_troubles_total{port=\"mlx5_0/1\",kind=\"duplicate\"}", 187},
        {"memkv_rdma_port_troubles_total{port=\"rxe0/2\",kind=\"rnr_received\"}", 190},
        {"memkv_rdma_port_troubles_total{port=\"rxe0/2\",kind=\"retry_exceeded\"}", 194},
        {"memkv_rdma_recoveries_total", 133},
        {"memkv_rdma_errors_total", 132},
        {"memkv_rdma_connections_active", 3},
        {"memkv_connections_active{fabric=\"rdma\"}", 3},
        {"memkv_rdma_configured", 1},
        {"memkv_rdma_read_latency_us_bucket{le=\"10.0\"}", 7},
        {"memkv_rdma_read_latency_us_sum", 63},
        {"memkv_rdma_write_latency_us_count", 8},
        {"memkv_bytes_in_total{fabric=\"rdma\",listener=\"native\"}", 134},
        {"memkv_bytes_out_total{fabric=\"rdma\",listener=\"native\"}", 135},
        {"memkv_transport_transitions_total{kind=\"rdma_up\"}", 90},
        {"memkv_transport_transitions_total{kind=\"rdma_down\"}", 91},
        {"memkv_transport_transitions_total{kind=\"drive_online\"}", 92},
        {"memkv_storage_payload_bytes", 72},
        {"memkv_trim_latency_us_bucket{device=\"d00\",le=\"100000.0\"}", 110},
        {"memkv_trim_latency_us_sum{device=\"d00\"}", 11000000},
        {"memkv_device_io_duration_seconds_bucket{device=\"d00\",op=\"read\",le=\"50.0\"}", 100},
        {"memkv_device_io_duration_seconds_bucket{device=\"d00\",op=\"read\",le=\"+Inf\"}", 101},
        {"memkv_device_io_duration_seconds_sum{device=\"d00\",op=\"flush\"}", 1.07},
        {"memkv_device_io_busy_seconds_total{device=\"d00\"}", 2.5},
        {"memkv_device_slow{device=\"d00\"}", 1},
        {"memkv_device_slow{device=\"d01\"}", 0},
        {"memkv_blocks_by_state{state=\"evictable\"}", 1234067},
        {"memkv_blocks_by_state{state=\"leased\"}", 500},
        {"memkv_blocks_by_state{state=\"unpersisted\"}", 9},
        {"memkv_memory_bytes{kind=\"slabs\"}", 83},
        {"memkv_block_reuse_gap_seconds_bucket{le=\"4.0\"}", 9},
        {"memkv_admission_rejected_keys_total{reason=\"drive_slow\"}", 0},
        {"memkv_blocks_offloaded_total{fabric=\"tcp\"}", 71},
        {"memkv_persist_us_sum", 3000},
        {"memkv_persist_pre_wait_us_sum", 1000},
        {"memkv_writer_wait_us_sum", 1200},
        {"memkv_persist_post_wait_us_sum", 800},
        {"memkv_iouring_write_us_bucket{le=\"1000.0\"}", 104},
        {"memkv_iouring_read_us_count", 101},
        {"memkv_iouring_fsync_us_sum", 1070000},
        {"memkv_iouring_fsync_batch_size_sum", 800},
        {"memkv_allocate_duration_us_bucket{le=\"5.0\"}", 5},
        {"memkv_journal_flush_duration_us_count", 6},
        {"memkv_checkpoint_duration_seconds_sum", 28},
        {"memkv_pipeline_stage_duration_seconds_sum{stage=\"wait_slab\"}", 0.0015},
        {"memkv_hotkey_tracked_total", 73},
        {"memkv_hotkey_decays_total", 74},
        {"memkv_auth_failures_total{listener=\"admin\"}", 98},
        {"memkv_config_last_reload_successful", 1},
        {"memkv_config_last_reload_success_timestamp_seconds", 1767233647.5},
        {"memkv_config_info{hash=\"9f3c\"}", 1},
        {"memkv_telemetry_events_total", 75},
        {"memkv_telemetry_dropped_total", 76},
        {"memkv_trace_spans_exported_total", 77},
        {"memkv_trace_spans_dropped_total", 78},
        {"memkv_not_found_total", 1 + 2 + 3 + 4 + 5 + 6 + 7 + 8 + 9 + 11},
        {"memkv_no_space_total", 11 + 14},
        {"memkv_invalid_requests_total", 2 + 3 + 4},
        {"memkv_requests_total{method=\"get\",status=\"busy\"}", 92},
        {"memkv_requests_total{method=\"other\",status=\"invalid\"}", 2},
        {"memkv_requests_in_flight", 37},
        {"memkv_commands_total{op=\"put\"}", 1001},
        {"memkv_bytes_in_total{fabric=\"tcp\",listener=\"native\"}", 2147483648.0},
        {"memkv_bytes_out_total{fabric=\"tcp\",listener=\"native\"}", 3298534883328.0},
        {"memkv_lookup_keys_total{op=\"get\",result=\"drive\"}", 380},
        {"memkv_lookup_keys_total{op=\"get\",result=\"miss\"}", 176},
        {"memkv_lookup_keys_total{op=\"get\",result=\"memory\"}", 120},
        {"memkv_lookup_keys_total{op=\"lookup\",result=\"drive\"}", 200},
        {"memkv_miss_keys_total{reason=\"unknown\"}", 174},
        {"memkv_miss_keys_total{reason=\"drive_offline\"}", 8},
        {"memkv_rdma_active", 1},
        {"memkv_connections_active{fabric=\"tcp\"}", 62},
        {"memkv_device_slots_used{device=\"d00\"}", 10},
        {"memkv_device_bytes_used{device=\"d00\"}", 7 * 1025 * 4096.0 + 3 * 17 * 4096.0},
        {"memkv_storage_raw_bytes", 41 * 16384 * 4096.0 + 9 * 1024 * 4096.0},
        {"memkv_storage_usable_bytes", 40 * 16384 * 4096.0 + 8 * 1024 * 4096.0},
        {"memkv_block_capacity_bytes", 40 * 16384 * 4096.0 + 8 * 1024 * 4096.0},
        {"memkv_trim_extents_total{device=\"d00\"}", 130},
        {"memkv_trim_bytes_total{device=\"d00\"}", 3 * 1048576.0},
        {"memkv_trim_errors_total{device=\"d00\"}", 9},
        {"memkv_trim_pending", 2},
        {"memkv_device_online{device=\"d00\"}", 1},
        {"memkv_device_io_errors_total{device=\"d00\",op=\"flush\"}", 8},
        {"memkv_device_io_errors_total{device=\"d00\",op=\"trim\"}", 9},
        {"memkv_device_io_bytes_total{device=\"d00\",op=\"write\"}", 191 * 1048576.0},
        {"memkv_device_io_in_flight{device=\"d00\",op=\"read\"}", 3},
        {"memkv_device_state{device=\"d00\",state=\"slow\"}", 1},
        {"memkv_device_state{device=\"d00\",state=\"failed\"}", 0},
        {"memkv_device_info{device=\"d00\",path=\"/dev/nvme0n1\",model=\"Fast 9000\","
         "serial=\"S1\",firmware=\"F7\",uuid=\"0c1d2e3f-0405-0607-0809-0a0b0c0d0e0f\","
         "write_cache=\"volatile\"}",
         1},
        {"memkv_device_info{device=\"d01\",path=\"memkv-data/store.memkv\",model=\"\","
         "serial=\"\",firmware=\"\",uuid=\"\",write_cache=\"none\"}",
         1},
        {"memkv_checksum_failures_total{component=\"slot_header\"}", 1},
        {"memkv_checksum_failures_total{component=\"payload\"}", 2},
        {"memkv_checksum_failures_total{component=\"journal\"}", 3},
        {"memkv_checksum_failures_total{component=\"superblock\"}", 4},
        {"memkv_checksum_failures_total{component=\"index\"}", 5},
        {"memkv_checksum_failures_total{component=\"wire\"}", 1},
        {"memkv_repairs_total{kind=\"quarantined_slot\"}", 6},
        {"memkv_repairs_total{kind=\"superblock_copy\"}", 7},
        {"memkv_repairs_total{kind=\"torn_tail\"}", 8},
        {"memkv_blocks_total", 1234576},
        {"memkv_blocks_persisted", 1234567},
        {"memkv_slabs_total", 32768},
        {"memkv_slabs_allocated", 31233},
        {"memkv_memory_used_bytes", 65498251265.0},
        {"memkv_uptime_seconds", 533490.5},
        {"memkv_l1_read_requests_total", 1002 + 1003 + 1004},
        {"memkv_l1_read_hit_keys_total", 150},
        {"memkv_l1_read_miss_keys_total", 650 + 200},
        {"memkv_l1_write_requests_total", 1001 + 1009},
        {"memkv_l1_write_reserved_keys_total", 1700},
        {"memkv_l1_write_failed_keys_total{reason=\"no_memory\"}", 13},
        {"memkv_l1_write_failed_keys_total{reason=\"no_space\"}", 11 + 14 + 15},
        {"memkv_l1_write_failed_keys_total{reason=\"conflict\"}", 16 + 17},
        {"memkv_l1_read_keys_total", 120},
        {"memkv_l1_written_keys_total", 470},
        {"memkv_l1_evicted_keys_total", 55},
        {"memkv_l2_lookup_keys_total", 650 + 200},
        {"memkv_l2_hit_keys_total", 650},
        {"memkv_l2_loaded_keys_total", 2002 - 120},
        {"memkv_l2_stored_keys_total", 61},
        {"memkv_l2_load_failures_total{reason=\"checksum\"}", 6},
        {"memkv_blocks_by_tier{tier=\"unhinted\"}", 1234537},
        {"memkv_blocks_by_tier{tier=\"think_active\"}", 15},
        {"memkv_evictions_total{tier=\"think_complete\"}", 40},
        {"memkv_output_critical_evictions_total", 7},
        {"memkv_demotions_total{cause=\"session_end\"}", 12},
        {"memkv_demotions_total{cause=\"idle\"}", 13},
        {"memkv_sessions_tracked", 21},
        {"memkv_budget_force_total{reason=\"hard_cap\"}", 2},
        {"memkv_budget_force_total{reason=\"overthinking\"}", 0},
        {"memkv_think_tokens_per_session_bucket{le=\"128.0\"}", 6},
        {"memkv_think_tokens_per_session_count", 8},
        {"memkv_think_tokens_per_session_sum", 3000000},
        {"memkv_block_lifetime_seconds_bucket{le=\"1.0\"}", 1},
        {"memkv_block_lifetime_seconds_bucket{le=\"4096.0\"}", 3},
        {"memkv_block_lifetime_seconds_sum", 8000},
        {"memkv_block_idle_before_evict_seconds_bucket{le=\"8.0\"}", 3},
        {"memkv_active_tenants", 1},
        {"memkv_tenant_blocks{tenant=\"default\"}", 1234567},
        {"memkv_tenant_bytes{tenant=\"default\"}", 29392896},
        {"memkv_tenant_blocks{tenant=\"batch\"}", 0},
        {"memkv_tenant_quota_bytes{tenant=\"batch\"}", 1048576},
        {"memkv_tenant_writes_total{tenant=\"batch\"}", 11},
        {"memkv_tenant_quota_rejections_total{tenant=\"batch\"}", 12},
        {"memkv_tenant_evicted_blocks_total{tenant=\"default\"}", 21},
        {"memkv_tenant_evictions_caused_total{tenant=\"batch\"}", 0},
        {"memkv_tenant_lookup_keys_total{tenant=\"default\",result=\"memory\"}", 22},
        {"memkv_tenant_lookup_keys_total{tenant=\"default\",result=\"drive\"}", 23},
        {"memkv_tenant_lookup_keys_total{tenant=\"other\",result=\"miss\"}", 27},
        {"memkv_tenant_bytes_total{tenant=\"default\",direction=\"in\"}", 25},
        {"memkv_tenant_bytes_total{tenant=\"other\",direction=\"out\"}", 26},
        {"memkv_journal_pending_entries", 4},
        {"memkv_journal_entries_total{device=\"d00\"}", 2000},
        {"memkv_journal_bytes_total{device=\"d00\"}", 800 * 4096.0},
        {"memkv_journal_size_bytes{device=\"d00\"}", (900 - 582) * 4096.0},
        {"memkv_journal_capacity_bytes{device=\"d00\"}", 1024 * 4096.0},
        {"memkv_journal_commits_total{device=\"d00\"}", 700},
        {"memkv_journal_head{device=\"d00\"}", 900},
        {"memkv_journal_applied{device=\"d00\"}", 582},
        {"memkv_journal_lag{device=\"d00\"}", 318},
        {"memkv_directory_applied{device=\"d00\"}", 890},
        {"memkv_directory_lag{device=\"d00\"}", 9},
        {"memkv_btree_cache_hits_total", 31},
        {"memkv_btree_cache_misses_total", 7},
        {"memkv_btree_leaf_miss_us_bucket{le=\"16.0\"}", 4},
        {"memkv_btree_leaf_miss_us_bucket{le=\"64.0\"}", 6},
        {"memkv_btree_leaf_miss_us_bucket{le=\"4.194304e+06\"}", 6},
        {"memkv_btree_leaf_miss_us_bucket{le=\"+Inf\"}", 7},
        {"memkv_btree_leaf_miss_us_sum", 5000000},
        {"memkv_btree_leaf_miss_us_count", 7},
        {"memkv_store_epoch{device=\"d01\"}", 3},
        {"memkv_checkpoints_total{device=\"d00\"}", 6},
        {"memkv_recovery_duration_seconds{device=\"d00\"}", 0.25},
        {"memkv_recovery_replayed_entries{device=\"d00\"}", 77},
        {"memkv_dirty_queue_depth", 9},
        {"memkv_shard_commands_total{shard=\"0\"}", 10000},
        {"memkv_shard_commands_total{shard=\"1\"}", 55},
        {"memkv_shard_blocks{shard=\"1\"}", 567},
        {"memkv_admin_requests_total{path=\"/v1/live\"}", 10},
        {"memkv_admin_requests_total{path=\"other\"}", 10 + MKV_ADMIN_PATH_OTHER},
        {"memkv_node_state{state=\"serving\"}", 1},
        {"memkv_node_state{state=\"unhealthy\"}", 0},
        {"memkv_warning{code=\"DIRECT_IO_FALLBACK\"}", 1},
        {"memkv_warning{code=\"DRIVE_OFFLINE\"}", 0},
        {"memkv_log_messages_total{level=\"error\"}", 40},
        {"memkv_log_messages_total{level=\"trace\"}", 44},
        {"memkv_scrape_duration_seconds", 0.0015},
        {"memkv_build_info{version=\"0.4.1\",commit=\"3fa9c02\"}", 1},
        {"process_cpu_seconds_total", 1.25},
        {"process_resident_memory_bytes", 2},
        {"process_virtual_memory_bytes", 3},
        {"process_open_fds", 4},
        {"process_max_fds", 5},
        {"process_start_time_seconds", 1767233647.5},
    };
    struct parsed_exposition *parsed = scrape(*state);
    for (size_t index = 0; index < sizeof cases / sizeof cases[0]; index++) {
        const double value = exposition_value(parsed, cases[index].series);
        if (value != cases[index].value) {
            fail_msg("%s is %f, not %f", cases[index].series, value, cases[index].value);
        }
    }
    exposition_free(parsed);
}

static void test_exposition__names_from_elsewhere__escaped(void **state) {
    struct world *world = *state;
    struct mkv_admin_drive *drive = &world->snapshot.drives[0];
    snprintf(drive->path, sizeof drive->path, "%s", "/dev/\"a\\b\"\nc\xff");
    struct parsed_exposition *parsed = scrape(world);
    bool found = false;
    for (size_t index = 0; index < parsed->sample_count; index++) {
        const struct parsed_sample *sample = &parsed->samples[index];
        if (strcmp(parsed->families[sample->family].name, "memkv_device_info") == 0 &&
            strcmp(sample->label_values[0], "d00") == 0) {
            assert_string_equal(sample->label_values[1], "/dev/\"a\\b\"?c?");
            assert_non_null(strstr(sample->series, "path=\"/dev/\\\"a\\\\b\\\"?c?\""));
            found = true;
        }
    }
    assert_true(found);
    exposition_free(parsed);
}

static void collect_one(const struct mkv_metric_sources *sources, size_t argument,
                        struct mkv_exposition *out) {
    (void)sources;
    mkv_exposition_count(out, NULL, argument);
    mkv_exposition_real(out, NULL, 0.5);
}

static void test_exposition_family__help_with_escapes__written_so(void **state) {
    struct world *world = *state;
    static const struct mkv_metric_label none[] = {{0}};
    const struct mkv_metric_family family = {
        .name = "memkv_x",
        .type = MKV_METRIC_GAUGE,
        .labels = none,
        .collect = collect_one,
        .argument = SIZE_MAX,
        .help = "a \"b\" \\ c\nd",
    };
    char *text = mkv_exposition_family(&world->sources, &family, MKV_EXPOSITION_TEXT);
    assert_string_equal(text, "# HELP memkv_x a \"b\" \\\\ c\\nd\n# TYPE memkv_x gauge\n"
                              "memkv_x 18446744073709551615\nmemkv_x 0.500000000\n");
    free(text);
}

/* ---- OpenMetrics ----------------------------------------------------------------------------- */

/* The samples are the same in both formats; what stands about them differs. */
static void test_exposition_openmetrics__every_family__the_same_samples(void **state) {
    struct parsed_exposition *text = scrape_as(*state, MKV_EXPOSITION_TEXT);
    struct parsed_exposition *open = scrape_as(*state, MKV_EXPOSITION_OPENMETRICS);
    assert_int_equal(open->family_count, text->family_count);
    assert_int_equal(open->sample_count, text->sample_count);
    for (size_t index = 0; index < open->sample_count; index++) {
        assert_string_equal(open->samples[index].series, text->samples[index].series);
        assert_true(open->samples[index].value == text->samples[index].value);
    }
    exposition_free(text);
    exposition_free(open);
}

static const struct parsed_family *family_of(const struct parsed_exposition *parsed,
                                             const char *name) {
    for (size_t index = 0; index < parsed->family_count; index++) {
        if (strcmp(parsed->families[index].name, name) == 0) {
            return &parsed->families[index];
        }
    }
    fail_msg("there is no family %s", name);
    return NULL;
}

static void test_exposition_openmetrics__names_types_units__as_the_format_wants(void **state) {
    static const struct {
        const char *name, *type, *unit;
    } cases[] = {
        {"memkv_lookup", "counter", NULL},
        {"memkv_read_bytes", "counter", "bytes"},
        {"process_cpu_seconds", "counter", "seconds"},
        {"memkv_device_io_busy_seconds", "counter", "seconds"},
        {"memkv_command_time_ns", "counter", NULL},
        {"memkv_request_latency_us", "histogram", NULL},
        {"memkv_command_duration_seconds", "histogram", "seconds"},
        {"memkv_scrub_progress_ratio", "gauge", "ratio"},
        {"memkv_uptime_seconds", "gauge", "seconds"},
        /* A gauge in spite of its suffix. */
        {"memkv_blocks_total", "gauge", NULL},
        /* Without _total it would have the name of the gauge before it. */
        {"memkv_tenant_bytes", "gauge", "bytes"},
        {"memkv_tenant_bytes_total", "unknown", NULL},
        /* Bytes, but its name does not end so. */
        {"memkv_device_bytes_used", "gauge", NULL},
    };
    struct parsed_exposition *parsed = scrape_as(*state, MKV_EXPOSITION_OPENMETRICS);
    for (size_t place = 0; place < sizeof cases / sizeof cases[0]; place++) {
        const struct parsed_family *family = family_of(parsed, cases[place].name);
        assert_string_equal(family->type, cases[place].type);
        if (cases[place].unit == NULL) {
            assert_null(family->unit);
        } else {
            assert_non_null(family->unit);
            assert_string_equal(family->unit, cases[place].unit);
        }
    }
    exposition_free(parsed);
}

static void set_exemplar(struct mkv_admin_exemplar *exemplar, uint8_t first, uint64_t value_ns) {
    *exemplar = (struct mkv_admin_exemplar){
        .trace_id = {first, [15] = 0x9c}, .value_ns = value_ns, .wall_ms = 1767233647500};
}

static void test_exposition_openmetrics__requests_with_a_trace__exemplars(void **state) {
    struct world *world = *state;
    struct mkv_admin_timing *timing = &world->snapshot.timing;
    set_exemplar(&timing->request_exemplars.buckets[10], 0x0a, 1500000);
    timing->request.counts[MKV_HISTOGRAM_BOUNDS]++;
    set_exemplar(&timing->request_exemplars.buckets[MKV_HISTOGRAM_BOUNDS], 0xff, 61000000000);
    set_exemplar(&timing->command_exemplars[MKV_OP_GET].buckets[9], 0x0b, 900000);
    struct parsed_exposition *parsed = scrape_as(world, MKV_EXPOSITION_OPENMETRICS);
    static const struct {
        const char *series, *trace_id;
        double value;
    } cases[] = {
        {"memkv_request_latency_us_bucket{le=\"2000.0\"}", "0a00000000000000000000000000009c",
         1500},
        {"memkv_request_latency_us_bucket{le=\"+Inf\"}", "ff00000000000000000000000000009c",
         61000000},
        {"memkv_command_duration_seconds_bucket{op=\"get\",le=\"0.001\"}",
         "0b00000000000000000000000000009c", 0.0009},
    };
    size_t found = 0;
    for (size_t index = 0; index < parsed->sample_count; index++) {
        const struct parsed_sample *sample = &parsed->samples[index];
        for (size_t place = 0; place < sizeof cases / sizeof cases[0]; place++) {
            if (strcmp(sample->series, cases[place].series) == 0) {
                assert_non_null(sample->trace_id);
                assert_string_equal(sample->trace_id, cases[place].trace_id);
                assert_true(sample->exemplar_value == cases[place].value);
                assert_true(sample->exemplar_s == 1767233647.5);
                found++;
            }
        }
        found += sample->trace_id != NULL ? 100u : 0u;
    }
    assert_int_equal(found, 303);
    exposition_free(parsed);
    /* The text format has none. */
    exposition_free(scrape(world));
}

/* ---- histograms ------------------------------------------------------------------------------ */

static void test_exposition__every_histogram__at_most_24_bounds(void **state) {
    struct parsed_exposition *parsed = scrape(*state);
    size_t bounds = 0;
    for (size_t index = 0; index < parsed->sample_count; index++) {
        const struct parsed_sample *sample = &parsed->samples[index];
        const bool bucket = sample->label_count > 0 &&
                            strcmp(sample->label_names[sample->label_count - 1], "le") == 0;
        const bool all =
            bucket && strcmp(sample->label_values[sample->label_count - 1], "+Inf") == 0;
        bounds = bucket && !all ? bounds + 1 : 0;
        assert_true(bounds <= 24);
    }
    exposition_free(parsed);
}

/* The texts of bounds are those of the ladders, in the family's unit. */
static void test_exposition_ladder__bounds__those_of_the_histogram(void **state) {
    static const struct {
        const char *name;
        double scale;
    } cases[] = {
        {"memkv_request_latency_us_bucket", 1e3},
        {"memkv_dispatch_duration_seconds_bucket", 1e9},
        {"memkv_iouring_fsync_batch_size_bucket", 0},
    };
    struct parsed_exposition *parsed = scrape(*state);
    for (size_t place = 0; place < sizeof cases / sizeof cases[0]; place++) {
        uint32_t bound = 0;
        for (size_t index = 0; index < parsed->sample_count; index++) {
            const struct parsed_sample *sample = &parsed->samples[index];
            const size_t name_bytes = strlen(cases[place].name);
            if (strncmp(sample->series, cases[place].name, name_bytes) != 0 ||
                strcmp(sample->label_values[0], "+Inf") == 0) {
                continue;
            }
            const double text = strtod(sample->label_values[0], NULL);
            assert_true(bound < MKV_HISTOGRAM_BOUNDS);
            const double expected = cases[place].scale > 0
                                        ? (double)mkv_histogram_bound_ns(bound) / cases[place].scale
                                        : (double)mkv_histogram_bound_size(bound);
            assert_true(text > expected * (1 - 1e-12) && text < expected * (1 + 1e-12));
            bound++;
        }
        assert_int_equal(bound, MKV_HISTOGRAM_BOUNDS);
    }
    exposition_free(parsed);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_exposition__every_family__parses, setup, teardown),
        cmocka_unit_test_setup_teardown(test_exposition__any_number_of_drives__parses, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(
            test_exposition__more_tenants_than_are_told_apart__the_rest_is_other, setup, teardown),
        cmocka_unit_test_setup_teardown(test_exposition__samples__labels_of_their_family, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(
            test_exposition__closed_labels__every_value_from_the_first_scrape, setup, teardown),
        cmocka_unit_test_setup_teardown(test_exposition__figures__as_in_the_snapshot, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_exposition__names_from_elsewhere__escaped, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_exposition_openmetrics__every_family__the_same_samples,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_exposition_openmetrics__names_types_units__as_the_format_wants, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_exposition_openmetrics__requests_with_a_trace__exemplars, setup, teardown),
        cmocka_unit_test_setup_teardown(test_exposition__every_histogram__at_most_24_bounds, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_exposition_ladder__bounds__those_of_the_histogram,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_exposition_family__help_with_escapes__written_so,
                                        setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
