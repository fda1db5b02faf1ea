/* SPDX-License-Identifier: Apache-2.0 */
/* The status of a node, and that its figures add up. */
#include "admin/status_json.h"

#include "admin/figures.h"
#include "tests/unit/admin/fake_node.h"
#include "tests/unit/admin/test.h"

static int setup(void **state) {
    struct mkv_admin_snapshot *snapshot = calloc(1, sizeof *snapshot);
    assert_non_null(snapshot);
    fake_snapshot(snapshot);
    *state = snapshot;
    return 0;
}

static int teardown(void **state) {
    free(*state);
    return 0;
}

static json_t *status_of(const struct mkv_admin_snapshot *snapshot) {
    struct mkv_admin_reply reply = mkv_admin_status(snapshot);
    assert_int_equal(reply.status, 200);
    assert_string_equal(reply.content_type, "application/json");
    assert_non_null(reply.body);
    assert_int_equal(strlen(reply.body), reply.body_bytes);
    json_t *status = json_loads(reply.body, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(status);
    free(reply.body);
    return status;
}

/* The field at a path like "storage.devices.0.used_bytes". */
static const json_t *at(const json_t *value, const char *path) {
    char part[64];
    while (*path != '\0') {
        const size_t bytes = strcspn(path, ".");
        snprintf(part, sizeof part, "%.*s", (int)bytes, path);
        value = json_is_array(value) ? json_array_get(value, strtoul(part, NULL, 10))
                                     : json_object_get(value, part);
        path += path[bytes] == '.' ? bytes + 1 : bytes;
    }
    return value;
}

static json_int_t count(const json_t *value, const char *path) {
    const json_t *field = at(value, path);
    if (!json_is_integer(field)) {
        fail_msg("%s is no count", path);
    }
    return json_integer_value(field);
}

static const char *text(const json_t *value, const char *path) {
    const json_t *field = at(value, path);
    if (!json_is_string(field)) {
        fail_msg("%s is no text", path);
    }
    return json_string_value(field);
}

/* The rules of status_json.h, on whatever status it is. */
static void check_sums(const json_t *status) {
    json_int_t slots = 0;
    json_int_t raw = 0;
    json_int_t usable = 0;
    json_int_t used = 0;
    size_t index;
    json_t *device;
    json_array_foreach((json_t *)at(status, "storage.devices"), index, device) {
        assert_int_equal(count(device, "usable_bytes"),
                         count(device, "raw_capacity_bytes") - count(device, "metadata_bytes"));
        json_int_t class_used = 0;
        json_int_t class_bytes = 0;
        size_t place;
        json_t *class_object;
        json_array_foreach((json_t *)at(device, "classes"), place, class_object) {
            assert_true(count(class_object, "used") <= count(class_object, "slots"));
            assert_true(count(class_object, "extents") > 0);
            class_used += count(class_object, "used");
            class_bytes += count(class_object, "used") * count(class_object, "slot_bytes");
        }
        assert_int_equal(count(device, "allocated_slots"), class_used);
        assert_int_equal(count(device, "used_bytes"), class_bytes);
        assert_true(count(device, "allocated_slots") <= count(device, "total_slots"));
        assert_true(count(device, "used_bytes") <= count(device, "usable_bytes"));
        slots += count(device, "total_slots");
        raw += count(device, "raw_capacity_bytes");
        usable += count(device, "usable_bytes");
        used += count(device, "used_bytes");
    }
    assert_int_equal(count(status, "storage.num_devices"), index);
    assert_int_equal(count(status, "storage.total_blocks"), slots);
    assert_int_equal(count(status, "storage.raw_bytes_total"), raw);
    assert_int_equal(count(status, "storage.usable_bytes_total"), usable);
    assert_int_equal(count(status, "storage.used_bytes_total"), used);
    assert_true(count(status, "memory.used_bytes") <= count(status, "memory.total_bytes"));
    assert_true(count(status, "memory.slabs_allocated") <= count(status, "memory.slabs_total"));
    assert_true(count(status, "blocks_persisted") <= count(status, "blocks_total"));
}

static void test_status__any_node__figures_add_up(void **state) {
    struct mkv_admin_snapshot *snapshot = *state;
    for (uint32_t drives = 0; drives <= 2; drives++) {
        snapshot->drive_count = drives;
        json_t *status = status_of(snapshot);
        check_sums(status);
        json_decref(status);
    }
    /* A node that has just begun to recover knows nothing of its drives yet. */
    snapshot->drive_count = 2;
    for (uint32_t drive = 0; drive < 2; drive++) {
        memset(&snapshot->drives[drive].volume, 0, sizeof snapshot->drives[drive].volume);
    }
    json_t *status = status_of(snapshot);
    check_sums(status);
    json_decref(status);
}

static void test_status__slots__classes_and_free_extents(void **state) {
    json_t *status = status_of(*state);
    const json_t *devices = at(status, "storage.devices");
    /* Two extents have a class; each free one holds 15 slots of 4 MiB and a header. */
    assert_int_equal(count(devices, "0.total_slots"), 15 + 963 + 38 * 15);
    assert_int_equal(count(devices, "0.allocated_slots"), 10);
    assert_int_equal(count(devices, "0.retired_slots"), 1);
    assert_int_equal(count(devices, "0.free_extents"), 38);
    /* Of the class without an extent nothing is shown. */
    assert_int_equal(json_array_size(at(devices, "0.classes")), 2);
    assert_int_equal(count(devices, "0.classes.0.slot_bytes"), 1025 * 4096);
    assert_int_equal(count(devices, "0.classes.0.extents"), 1);
    assert_int_equal(count(devices, "0.classes.0.slots"), 15);
    assert_int_equal(count(devices, "0.classes.0.used"), 7);
    /* Extents that are smaller than a slot of the default class hold none. */
    assert_int_equal(count(devices, "1.total_slots"), 0);
    json_decref(status);
}

static void test_status__device__what_it_is_and_did(void **state) {
    json_t *status = status_of(*state);
    const json_t *device = at(status, "storage.devices.0");
    assert_string_equal(text(device, "device_id"), "d00");
    assert_string_equal(text(device, "path"), "/dev/nvme0n1");
    assert_string_equal(text(device, "state"), "slow");
    assert_string_equal(text(device, "model"), "Fast 9000");
    assert_string_equal(text(device, "serial"), "S1");
    assert_string_equal(text(device, "firmware"), "F7");
    assert_string_equal(text(device, "uuid"), "0c1d2e3f-0405-0607-0809-0a0b0c0d0e0f");
    assert_int_equal(count(device, "errors"), 2 + 5 + 8 + 9);
    assert_int_equal(count(device, "io.trim.operations"), 110);
    assert_int_equal(count(device, "io.write.operations"), 104);
    assert_int_equal(count(device, "io.read.in_flight"), 3);
    assert_int_equal(count(device, "blocks"), 1234567);
    /* A file has no model. */
    assert_true(json_is_null(at(status, "storage.devices.1.model")));
    assert_true(json_is_null(at(status, "storage.devices.1.uuid")));
    json_decref(status);
}

static void test_status__node__identity_and_readiness(void **state) {
    struct mkv_admin_snapshot *snapshot = *state;
    json_t *status = status_of(snapshot);
    assert_string_equal(text(status, "node.id"), "gpu-07");
    assert_string_equal(text(status, "node.state"), "serving");
    assert_true(json_is_true(at(status, "node.ready")));
    assert_true(json_is_null(at(status, "node.unready_reason")));
    assert_string_equal(text(status, "node.version"), "0.4.1");
    assert_string_equal(text(status, "node.commit"), "3fa9c02");
    assert_int_equal(count(status, "node.epoch"), 12);
    assert_int_equal(count(status, "uptime_seconds"), 533490);
    json_decref(status);
    fake_snapshot_state(snapshot, MKV_ADMIN_NODE_DRAINING);
    snapshot->commit[0] = '\0';
    status = status_of(snapshot);
    assert_true(json_is_false(at(status, "node.ready")));
    assert_string_equal(text(status, "node.unready_reason"), "draining");
    assert_true(json_is_null(at(status, "node.commit")));
    json_decref(status);
}

static void test_status__warnings__code_since_message_action(void **state) {
    struct mkv_admin_snapshot *snapshot = *state;
    json_t *status = status_of(snapshot);
    assert_int_equal(json_array_size(at(status, "warnings")), 1);
    assert_string_equal(text(status, "warnings.0.code"), "DIRECT_IO_FALLBACK");
    assert_string_equal(text(status, "warnings.0.since"), "2026-01-01T02:14:07Z");
    assert_string_equal(text(status, "warnings.0.device_id"), "d01");
    assert_string_equal(text(status, "warnings.0.message"),
                        "memkv-data/store.memkv goes through the page cache");
    assert_string_equal(text(status, "warnings.0.action"), "put the file on ext4 or xfs");
    json_decref(status);
    snapshot->warning_count = MKV_ADMIN_WARNINGS_MAX;
    status = status_of(snapshot);
    assert_int_equal(json_array_size(at(status, "warnings")), MKV_ADMIN_WARNINGS_MAX);
    json_decref(status);
}

static void test_status__the_rest__as_in_the_snapshot(void **state) {
    json_t *status = status_of(*state);
    assert_int_equal(count(status, "blocks_total"), 1234576);
    assert_int_equal(count(status, "blocks_persisted"), 1234567);
    assert_int_equal(count(status, "memory.blocks"), 415);
    assert_int_equal(count(status, "memory.relaxed_puts"), 300);
    assert_int_equal(count(status, "memory.relaxed_puts_lost"), 2);
    assert_int_equal(count(status, "memory.reads_shared"), 44);
    assert_int_equal(count(status, "memory.total_bytes"), 64ll << 30);
    assert_int_equal(count(status, "memory.slabs_total"), 32768);
    assert_int_equal(count(status, "memory.slabs_allocated"), 31233);
    assert_true(json_is_true(at(status, "memory.huge_pages")));
    assert_int_equal(count(status, "storage.block_size_bytes"), 4 << 20);
    assert_string_equal(text(status, "journal.0.device_id"), "d00");
    assert_int_equal(count(status, "journal.0.head"), 900);
    assert_int_equal(count(status, "journal.0.applied"), 582);
    assert_int_equal(count(status, "journal.0.lag"), 318);
    assert_string_equal(text(status, "tenants.0.tenant"), "default");
    assert_int_equal(count(status, "tenants.0.blocks"), 1234567);
    assert_string_equal(text(status, "tiers.1.tier"), "unhinted");
    assert_int_equal(count(status, "tiers.1.blocks"), 1234537);
    assert_int_equal(json_array_size(at(status, "tiers")), 4);
    assert_int_equal(count(status, "rdma.active_connections"), 3);
    assert_true(json_is_true(at(status, "rdma.active")));
    assert_true(json_is_true(at(status, "rdma.configured")));
    assert_string_equal(text(status, "rdma.ports.0.device"), "mlx5_0");
    assert_string_equal(text(status, "rdma.ports.0.address"), "10.0.0.7");
    assert_int_equal(count(status, "rdma.ports.0.gid_index"), 3);
    assert_int_equal(count(status, "rdma.ports.0.mtu"), 4096);
    assert_true(json_is_true(at(status, "rdma.ports.0.up")));
    assert_string_equal(text(status, "rdma.ports.0.since"), "2026-01-01T02:14:07Z");
    assert_int_equal(count(status, "rdma.connects"), 131);
    assert_int_equal(count(status, "rdma.failures.retry_exceeded"), 142);
    assert_int_equal(count(status, "rdma.fallbacks.full"), 175);
    assert_int_equal(count(status, "rdma.recoveries"), 133);
    assert_int_equal(count(status, "fabric.rdma.active_connections"), 3);
    assert_int_equal(count(status, "fabric.tcp.active_connections"), 62);
    assert_int_equal(count(status, "lookups.memory_keys"), 150);
    assert_int_equal(count(status, "lookups.drive_keys"), 650);
    assert_int_equal(count(status, "lookups.miss_keys"), 200);
    assert_int_equal(count(status, "lookups.misses.unknown"), 174);
    assert_int_equal(count(status, "requests.in_flight"), 37);
    assert_int_equal(count(status, "requests.put"), 1001);
    json_decref(status);
}

static void test_status__bytes_that_are_no_text__still_json(void **state) {
    struct mkv_admin_snapshot *snapshot = *state;
    memset(snapshot->drives[0].path, 0xff, sizeof snapshot->drives[0].path - 1);
    snprintf(snapshot->node_id, sizeof snapshot->node_id, "%s", "a\"b\\c\n");
    json_t *status = status_of(snapshot);
    assert_string_equal(text(status, "node.id"), "a\"b\\c?");
    assert_int_equal(strlen(text(status, "storage.devices.0.path")), MKV_ADMIN_PATH_BYTES - 1);
    json_decref(status);
}

static void test_status__counts_beyond_json__capped(void **state) {
    struct mkv_admin_snapshot *snapshot = *state;
    snapshot->fabric.bytes_in_total = UINT64_MAX;
    json_t *status = status_of(snapshot);
    assert_true(count(status, "fabric.tcp.bytes_in") == INT64_MAX);
    json_decref(status);
}

static void test_figures__slabs__used_are_never_more_than_there_are(void **state) {
    struct mkv_admin_snapshot *snapshot = *state;
    static const uint64_t totals[] = {0, 1, 2097151, 2097152, 2097153, 1ull << 42};
    for (size_t index = 0; index < sizeof totals / sizeof totals[0]; index++) {
        snapshot->memory.bytes_total = totals[index];
        snapshot->memory.bytes_used = totals[index];
        const struct mkv_admin_slab_figures figures = mkv_admin_slab_figures(snapshot);
        assert_true(figures.slabs_allocated == figures.slabs_total);
        assert_true(figures.slabs_total * snapshot->memory.block_bytes >= totals[index]);
    }
}

static void test_figures__journal_of_a_closed_volume__no_lag(void **state) {
    (void)state;
    const struct mkv_volume_stats volume = {.journal_head = 0, .journal_applied = 7};
    assert_true(mkv_admin_journal_lag(&volume) == 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_status__any_node__figures_add_up, setup, teardown),
        cmocka_unit_test_setup_teardown(test_status__slots__classes_and_free_extents, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_status__device__what_it_is_and_did, setup, teardown),
        cmocka_unit_test_setup_teardown(test_status__node__identity_and_readiness, setup, teardown),
        cmocka_unit_test_setup_teardown(test_status__warnings__code_since_message_action, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_status__the_rest__as_in_the_snapshot, setup, teardown),
        cmocka_unit_test_setup_teardown(test_status__bytes_that_are_no_text__still_json, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_status__counts_beyond_json__capped, setup, teardown),
        cmocka_unit_test_setup_teardown(test_figures__slabs__used_are_never_more_than_there_are,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_figures__journal_of_a_closed_volume__no_lag, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
