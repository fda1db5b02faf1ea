/* SPDX-License-Identifier: Apache-2.0 */
#include "server/setup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- --rdma --------------------------------------------------------------------------------- */

static struct mkv_rdma_port port_of(const char *device, uint32_t number, bool active,
                                    const char *address) {
    struct mkv_rdma_port port = {.port = number, .active = active, .ethernet = true};
    snprintf(port.device, sizeof port.device, "%s", device);
    snprintf(port.state, sizeof port.state, "%s", active ? "ACTIVE" : "DOWN");
    snprintf(port.address, sizeof port.address, "%s", address);
    snprintf(port.interface, sizeof port.interface, "ens1f0np0");
    port.gid_index = address[0] == '\0' ? -1 : 3;
    return port;
}

static void assert_no_rdma(const struct mkv_rdma_port *ports, uint32_t count, const char *device,
                           const char *text) {
    const struct mkv_rdma_port *chosen;
    struct mkv_backend_error error = {0};
    assert_false(mkv_setup_choose_rdma(ports, count, device, &chosen, &error));
    assert_string_equal(error.text, text);
    assert_int_equal(error.failure, MKV_BACKEND_UNAVAILABLE);
    assert_null(chosen);
}

static void test_rdma__a_device_of_two_ports__the_active_one_with_an_address(void **state) {
    (void)state;
    const struct mkv_rdma_port ports[] = {
        port_of("mlx5_0", 1, true, "10.0.0.1"),
        port_of("mlx5_1", 1, false, "10.0.1.1"),
        port_of("mlx5_1", 2, true, "10.0.1.2"),
    };
    const struct mkv_rdma_port *chosen;
    struct mkv_backend_error error = {0};
    assert_true(mkv_setup_choose_rdma(ports, 3, "mlx5_1", &chosen, &error));
    assert_ptr_equal(chosen, &ports[2]);
    assert_true(mkv_setup_choose_rdma(ports, 3, "mlx5_0", &chosen, &error));
    assert_ptr_equal(chosen, &ports[0]);
}

static void test_rdma__what_cannot_be_used__says_what_to_do(void **state) {
    (void)state;
    struct mkv_rdma_port ports[] = {
        port_of("mlx5_0", 1, false, "10.0.0.1"),
        port_of("mlx5_1", 1, true, ""),
        port_of("mlx5_1", 2, true, ""),
    };
    assert_no_rdma(ports, 0, "mlx5_0",
                   "--rdma mlx5_0: this machine has no such RDMA device, nor any other. Leave "
                   "--rdma out, or see: rdma link");
    assert_no_rdma(ports, 3, "mlx5_7",
                   "--rdma mlx5_7: this machine has no such RDMA device; it has mlx5_0, mlx5_1. "
                   "Leave --rdma out, or see: rdma link");
    assert_no_rdma(ports, 3, "mlx5_0",
                   "--rdma mlx5_0: its port 1 is DOWN. Bring its link up, or name another device");
    assert_no_rdma(ports, 2, "mlx5_1",
                   "--rdma mlx5_1: its port 1 has no GID of RoCE v2 with an IP address. Give its "
                   "network interface an address: ip address add");
    ports[1].ethernet = false;
    assert_no_rdma(ports, 2, "mlx5_1",
                   "--rdma mlx5_1: its port 1 has no GID of RoCE v2 with an IP address. It is "
                   "InfiniBand: leave --rdma out, and write the address of its interface into "
                   "network.address");
}

/* ---- the configuration ---------------------------------------------------------------------- */

static struct mkv_setup_config config_of(const struct mkv_config_drive *drives, uint32_t count) {
    struct mkv_setup_config config = {
        .memory_bytes = 64 * MKV_GIB,
        .has_hugepages = true,
        .drive_count = count,
        .drives = drives,
    };
    for (uint8_t i = 0; i < sizeof config.store_uuid.bytes; i++) {
        config.store_uuid.bytes[i] = i;
    }
    return config;
}

static void assert_written(const struct mkv_setup_config *config, const char *expected) {
    struct mkv_text yaml = {0};
    struct mkv_backend_error error = {0};
    const bool written = mkv_setup_config_write(config, &yaml, &error);
    assert_string_equal(error.text, "");
    assert_true(written);
    assert_string_equal(yaml.bytes, expected);
    mkv_text_free(&yaml);
}

static void test_config__drives_and_rdma__as_a_start_takes_it(void **state) {
    (void)state;
    struct mkv_config_drive *drives = calloc(2, sizeof *drives);
    assert_non_null(drives);
    snprintf(drives[0].media, sizeof drives[0].media, "/dev/disk/by-id/nvme-A_1");
    snprintf(drives[0].name, sizeof drives[0].name, "d00");
    snprintf(drives[1].media, sizeof drives[1].media, "/data/a \"b\"#c");
    snprintf(drives[1].name, sizeof drives[1].name, "d01");
    drives[1].size_bytes = 1536 * MKV_MIB;
    struct mkv_setup_config config = config_of(drives, 1);
    assert_written(&config, "# memkv store 00010203-0405-0607-0809-0a0b0c0d0e0f\n"
                            "memory:\n"
                            "  max_size: 64GiB\n"
                            "  hugepages: require\n"
                            "storage:\n"
                            "  mode: direct\n"
                            "  drives:\n"
                            "    - media: /dev/disk/by-id/nvme-A_1\n"
                            "      name: d00\n");
    struct mkv_rdma_port port = port_of("mlx5_0", 1, true, "10.0.0.7");
    config = config_of(drives, 2);
    config.rdma = &port;
    config.has_files = true;
    config.has_hugepages = false;
    assert_written(&config, "# memkv store 00010203-0405-0607-0809-0a0b0c0d0e0f\n"
                            "network:\n"
                            "  # mlx5_0 port 1, ens1f0np0, RoCE v2 at GID index 3\n"
                            "  address: \"10.0.0.7:9900\"\n"
                            "rdma:\n"
                            "  mode: require\n"
                            "  device: mlx5_0\n"
                            "memory:\n"
                            "  max_size: 64GiB\n"
                            "  hugepages: auto\n"
                            "storage:\n"
                            "  mode: file\n"
                            "  drives:\n"
                            "    - media: /dev/disk/by-id/nvme-A_1\n"
                            "      name: d00\n"
                            "    - media: \"/data/a \\\"b\\\"#c\"\n"
                            "      name: d01\n"
                            "      size: 1536MiB\n");
    port = port_of("mlx5_0", 1, true, "2001:db8::1");
    struct mkv_text yaml = {0};
    struct mkv_backend_error error = {0};
    assert_true(mkv_setup_config_write(&config, &yaml, &error));
    assert_non_null(strstr(yaml.bytes, "  address: \"[2001:db8::1]:9900\"\n"));
    mkv_text_free(&yaml);
    free(drives);
}

static void test_config__what_a_start_refuses__refused_here(void **state) {
    (void)state;
    struct mkv_config_drive *drives = calloc(1, sizeof *drives);
    assert_non_null(drives);
    snprintf(drives[0].media, sizeof drives[0].media, "/dev/x");
    snprintf(drives[0].name, sizeof drives[0].name, "d00");
    struct mkv_setup_config config = config_of(drives, 1);
    config.memory_bytes = 64 * MKV_MIB;
    struct mkv_text yaml = {0};
    struct mkv_backend_error error = {0};
    assert_false(mkv_setup_config_write(&config, &yaml, &error));
    assert_int_equal(error.failure, MKV_BACKEND_CONFIGURATION);
    assert_non_null(strstr(error.text, "memory.max_size 64MiB holds fewer than 4 blocks"));
    mkv_text_free(&yaml);
    free(drives);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rdma__a_device_of_two_ports__the_active_one_with_an_address),
        cmocka_unit_test(test_rdma__what_cannot_be_used__says_what_to_do),
        cmocka_unit_test(test_config__drives_and_rdma__as_a_start_takes_it),
        cmocka_unit_test(test_config__what_a_start_refuses__refused_here),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
