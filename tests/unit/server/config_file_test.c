/* SPDX-License-Identifier: Apache-2.0 */
#include "server/config_rdma.h"
#include "tests/unit/server/config_helper.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define USER_NOBODY 65534u

static const char full_file[] = "# A node with all keys set.\n"
                                "network:\n"
                                "  address: 127.0.0.1:7000\n"
                                "  connections_max: 16384\n"
                                "  tls_cert: tls/cert.pem\n"
                                "  tls_key: /etc/ssl/private/key.pem\n"
                                "  tls_min: 1.3\n"
                                "  admin_address: '[::1]:7100'\n"
                                "  resp_address: 127.0.0.1:7200\n"
                                "  shm_path: run/memkv.sock\n  shm_window_bytes: 256MiB\n"
                                "  shm_users: 1000, root\n"
                                "  auth: none\n"
                                "  auth_key: default.key\n"
                                "  client_connections_max: 10\n"
                                "  client_requests_max: 100\n"
                                "  client_bytes_max: 1GiB\n"
                                "memory:\n"
                                "  max_size: 64GiB\n"
                                "  hugepages: require\n"
                                "  block_size: 2 MiB\n"
                                "storage:\n"
                                "  mode: file\n"
                                "  trim: on\n"
                                "  eviction: off\n"
                                "  scrub_rate: 1MiB\n"
                                "  lease_share_max: 0.05\n"
                                "  session_idle: 90s\n"
                                "  slow_after: 8s\n"
                                "  slow_fence: 300s\n"
                                "  admission: limit\n"
                                "  write_limit_per_drive: 5MiB\n"
                                "  sessions_max: 100\n"
                                "  session_blocks_max: 7000\n"
                                "  block_size: 4MiB\n"
                                "  block_bytes_max: 16MiB\n"
                                "  drives:\n"
                                "    - media: /dev/nvme0n1\n"
                                "    - media: data/store.memkv\n"
                                "      name: bay-2\n"
                                "      size: 4GiB\n"
                                "    - {media: \"/srv/k\\u00e9.memkv\", size: 4194304, "
                                "rated_dwpd: 12.5}\n"
                                "tenants:\n"
                                "  rules: [{key_prefix: 'llama@', tenant: llama}]\n"
                                "  quotas: batch=1GiB, team-7=2TiB\n"
                                "node:\n"
                                "  id: gpu-07\n"
                                "  watchdog: 7s\n"
                                "  shards: 3\n"
                                "log:\n"
                                "  level: trace\n"
                                "  format: text\n"
                                "  file: log/memkv.log\n"
                                "telemetry:\n"
                                "  tracing_enabled: true\n"
                                "  otlp_endpoint: grpc://collector:4317\n"
                                "  service_name: kv-cache\n"
                                "  sampling_ratio: 0.025\n"
                                "  enabled: true\n"
                                "  max_queue_size: 77\n"
                                "  processors: '{\"type\":\"logging\"}'\n"
                                "prometheus:\n"
                                "  enabled: true\n"
                                "  port: 9999\n"
                                "metrics:\n"
                                "  hotkeys_columns: 64\n"
                                "  hotkeys_decay: 5s\n"
                                "  tenants_max: 7\n"
                                "slowlog:\n"
                                "  threshold_ms: 0\n"
                                "audit:\n"
                                "  file: audit.log\n"
                                "  max_size: 1MiB\n"
                                "  files_max: 5\n"
                                "admin:\n"
                                "  auth: none\n"
                                "  socket: run/admin.sock\n"
                                "  viewer_group: monitoring\n"
                                "  profiles: anywhere\n"
                                "  tls: true\n"
                                "  tokens:\n"
                                "    - {role: viewer, file: /etc/memkv/see}\n"
                                "    - {role: operator, file: do}\n"
                                "resp:\n"
                                "  value_bytes_max: 64MiB\n"
                                "  durability: durable\n"
                                "  exists_lease_ms: 77\n"
                                "  pipeline_max: 9\n"
                                "cluster:\n"
                                "  discovery: etcd:http://a:2379,http://b:2379/memkv\n"
                                "  advertise: kv-0.example:9900\n"
                                "  weight: 3\n"
                                "  lease_ttl: 7s\n"
                                "rdma:\n"
                                "  mode: off\n"
                                "  device: mlx5_0\n"
                                "  gid_index: 3\n"
                                "  traffic_class: 106\n  service_level: 3\n"
                                "  mtu: 2048\n  poll_us: 70\n"
                                "  connections_max: 1000\n"
                                "auth:\n"
                                "  keys:\n"
                                "    - {id: a-1, file: keys/a, tenants: [batch, team-7],\n"
                                "       rights: [get, put], not_after: 2030-01-31}\n"
                                "    - {id: b, file: 'credential:memkv-b', tenants: x}\n"
                                "  users:\n"
                                "    - {name: lmcache, password_file: /run/pass, key_id: a-1}\n";

/* As messages list them. */
#define SECTIONS                                                                                   \
    "network, memory, storage, tenants, node, log, telemetry, prometheus, metrics, slowlog, "      \
    "audit, admin, auth, resp, cluster, rdma"

/* ---- good files ------------------------------------------------------------------------------ */

static void test_file__all_keys__all_values_and_lines(void **state) {
    (void)state;
    struct mkv_config config;
    struct mkv_config_error error;
    mkv_config_defaults(&config, false);
    assert_true(mkv_config_load_text(&config, "/etc/memkv/memkv.yaml", full_file, strlen(full_file),
                                     &error));
    assert_true(mkv_config_validate(&config, &error));
    assert_int_equal(config.network.address.port, 7000);
    assert_int_equal(config.network.connections_max, 16384);
    assert_string_equal(config.network.tls_cert, "/etc/memkv/tls/cert.pem");
    assert_string_equal(config.network.tls_key, "/etc/ssl/private/key.pem");
    assert_int_equal(config.network.tls_min, MKV_CONFIG_TLS_1_3);
    assert_string_equal(config.network.admin_address.host, "::1");
    assert_int_equal(config.network.admin_address.port, 7100);
    assert_string_equal(config.network.resp_address.host, "127.0.0.1");
    assert_int_equal(config.network.resp_address.port, 7200);
    assert_true(config.resp.value_bytes_max == 64 * MKV_MIB);
    assert_int_equal(config.resp.durability, MKV_CONFIG_DURABILITY_DURABLE);
    assert_int_equal(config.resp.exists_lease_ms, 77);
    assert_int_equal(config.resp.pipeline_max, 9);
    assert_true(config.memory.max_size_bytes == 64 * MKV_GIB);
    assert_int_equal(config.memory.hugepages, MKV_CONFIG_HUGEPAGES_REQUIRE);
    assert_true(config.memory.block_size_bytes == 2 * MKV_MIB);
    assert_int_equal(config.storage.mode, MKV_CONFIG_STORAGE_FILE);
    assert_int_equal(config.storage.trim, MKV_CONFIG_TRIM_ON);
    assert_int_equal(config.storage.eviction, MKV_CONFIG_EVICTION_OFF);
    assert_true(config.storage.scrub_rate == MKV_MIB);
    assert_int_equal(config.storage.lease_share_max, 50000000);
    assert_int_equal(config.storage.session_idle_s, 90);
    assert_int_equal(config.storage.slow_after_s, 8);
    assert_int_equal(config.storage.slow_fence_s, 300);
    assert_int_equal(config.storage.admission, MKV_CONFIG_ADMISSION_LIMIT);
    assert_true(config.storage.write_limit == 5 * MKV_MIB);
    assert_int_equal(config.storage.sessions_max, 100);
    assert_int_equal(config.storage.session_blocks_max, 7000);
    assert_true(config.storage.block_size_bytes == 4 * MKV_MIB);
    assert_true(config.storage.block_bytes_max == 16 * MKV_MIB);
    assert_string_equal(config.tenants.quotas, "batch=1GiB, team-7=2TiB");
    assert_int_equal(config.metrics.tenants_max, 7);
    assert_string_equal(config.node.id, "gpu-07");
    assert_string_equal(config.log.level, "trace");
    assert_int_equal(config.log.format, MKV_CONFIG_LOG_TEXT);
    assert_string_equal(config.log.file, "/etc/memkv/log/memkv.log");
    assert_int_equal(config.telemetry.tracing, MKV_CONFIG_TRACING_ON);
    assert_string_equal(config.telemetry.otlp_endpoint, "grpc://collector:4317");
    assert_string_equal(config.telemetry.service_name, "kv-cache");
    assert_int_equal(config.telemetry.sampling_ratio, 25000000);
    assert_int_equal(config.telemetry.enabled, 1);
    assert_int_equal(config.telemetry.max_queue_size, 77);
    assert_string_equal(config.telemetry.processors, "{\"type\":\"logging\"}");
    assert_int_equal(config.prometheus.enabled, 1);
    assert_int_equal(config.prometheus.port, 9999);
    assert_int_equal(config.metrics.hotkeys_columns, 64);
    assert_int_equal(config.metrics.hotkeys_decay_s, 5);
    assert_int_equal(config.slowlog.threshold_ms, 0);
    assert_string_equal(config.audit.file, "/etc/memkv/audit.log");
    assert_true(config.audit.max_size_bytes == MKV_MIB);
    assert_int_equal(config.audit.files_max, 5);
    assert_string_equal(config.cluster.discovery, "etcd:http://a:2379,http://b:2379/memkv");
    assert_string_equal(config.cluster.advertise, "kv-0.example:9900");
    assert_int_equal(config.cluster.weight, 3);
    assert_int_equal(config.cluster.lease_ttl_s, 7);
    assert_int_equal(config.rdma.mode, MKV_CONFIG_RDMA_OFF);
    assert_string_equal(config.rdma.device, "mlx5_0");
    assert_int_equal(mkv_config_rdma_gid_index(&config), 3);
    assert_int_equal(config.rdma.traffic_class, 106);
    assert_int_equal(config.rdma.service_level, 3);
    assert_int_equal(mkv_config_rdma_mtu(&config), 2048);
    assert_int_equal(config.rdma.poll_us, 70);
    assert_int_equal(config.rdma.connections_max, 1000);
    assert_int_equal(config.node.watchdog_s, 7);
    assert_int_equal(config.node.shards, 3);
    assert_int_equal(config.admin.auth, MKV_CONFIG_AUTH_NONE);
    assert_string_equal(config.admin.socket, "/etc/memkv/run/admin.sock");
    assert_string_equal(config.admin.viewer_group, "monitoring");
    assert_int_equal(config.admin.profiles, MKV_CONFIG_PROFILES_ANYWHERE);
    assert_int_equal(config.admin.tls, 1);
    assert_int_equal(config.admin.token_count, 2);
    assert_int_equal(config.admin.tokens[0].role, MKV_CONFIG_ROLE_VIEWER);
    assert_string_equal(config.admin.tokens[0].file, "/etc/memkv/see");
    assert_int_equal(config.admin.tokens[1].role, MKV_CONFIG_ROLE_OPERATOR);
    assert_string_equal(config.admin.tokens[1].file, "/etc/memkv/do");
    assert_int_equal(config.network.auth, MKV_CONFIG_NETWORK_AUTH_NONE);
    assert_string_equal(config.network.auth_key, "/etc/memkv/default.key");
    assert_int_equal(config.network.client_connections_max, 10);
    assert_int_equal(config.network.client_requests_max, 100);
    assert_true(config.network.client_bytes_max == MKV_GIB);
    assert_int_equal(config.auth.key_count, 2);
    assert_string_equal(config.auth.keys[0].id, "a-1");
    assert_string_equal(config.auth.keys[0].file, "/etc/memkv/keys/a");
    assert_string_equal(config.auth.keys[0].tenants, "batch, team-7");
    assert_string_equal(config.auth.keys[0].rights, "get, put");
    assert_string_equal(config.auth.keys[0].not_after, "2030-01-31");
    assert_string_equal(config.auth.keys[1].file, "credential:memkv-b");
    assert_string_equal(config.auth.keys[1].tenants, "x");
    assert_string_equal(config.auth.keys[1].rights, "");
    assert_int_equal(config.auth.user_count, 1);
    assert_string_equal(config.auth.users[0].name, "lmcache");
    assert_string_equal(config.auth.users[0].password_file, "/run/pass");
    assert_string_equal(config.auth.users[0].key_id, "a-1");
    assert_int_equal(config.tenants.rule_count, 1);
    assert_string_equal(config.tenants.rules[0].key_prefix, "llama@");
    assert_string_equal(config.tenants.rules[0].tenant, "llama");

    const struct mkv_config_drive *drives = config.storage.drives;
    assert_int_equal(config.storage.drive_count, 3);
    assert_string_equal(drives[0].media, "/dev/nvme0n1");
    assert_string_equal(drives[0].name, "d00");
    assert_int_equal(drives[0].size_bytes, 0);
    assert_string_equal(drives[1].media, "/etc/memkv/data/store.memkv");
    assert_string_equal(drives[1].name, "bay-2");
    assert_true(drives[1].size_bytes == 4 * MKV_GIB);
    assert_string_equal(drives[2].media, "/srv/k\xc3\xa9.memkv");
    assert_string_equal(drives[2].name, "d02");
    assert_true(drives[2].size_bytes == 4 * MKV_MIB);
    assert_true(drives[2].rated_dwpd == 25ull * MKV_CONFIG_RATIO_ONE / 2);
    assert_int_equal(drives[1].rated_dwpd, 0);
    assert_int_equal(drives[0].line, 38);
    assert_int_equal(drives[1].line, 39);
    assert_int_equal(drives[2].line, 42);

    assert_string_equal(config.file, "/etc/memkv/memkv.yaml");
    for (unsigned i = 0; i < MKV_CONFIG_KEY_COUNT; i++) {
        assert_int_equal(config.origins[i].layer, MKV_CONFIG_LAYER_FILE);
    }
    assert_int_equal(config.origins[MKV_CONFIG_NETWORK_ADDRESS].line, 3);
    assert_int_equal(config.origins[MKV_CONFIG_LOG_FORMAT].line, 52);
}

static void test_file__other_spellings_of_the_same__accepted(void **state) {
    (void)state;
    static const char *const texts[] = {
        CONFIG_DRIVES,
        "\xef\xbb\xbf" CONFIG_DRIVES,
        "---\n" CONFIG_DRIVES "...\n",
        "network:\nmemory: ~\nlog: null\nnode: {}\n" CONFIG_DRIVES,
        "{\"storage\": {\"drives\": [{\"media\": \"/dev/a\"}]}}",
        "storage:\r\n  drives:\r\n  - media: /dev/a\r\n",
        "storage:\n  drives:\n  - media: |-\n      /dev/a\n",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct mkv_config config;
        config_load_good(&config, texts[i]);
        assert_int_equal(config.storage.drive_count, 1);
        assert_string_equal(config.storage.drives[0].media, "/dev/a");
    }
}

static void test_file__path_without_directory__media_stay_relative(void **state) {
    (void)state;
    struct mkv_config config;
    struct mkv_config_error error;
    const char *text = "storage: {drives: [{media: store}, {media: ../other}]}";
    config_load_good(&config, text);
    assert_string_equal(config.storage.drives[0].media, "store");
    mkv_config_defaults(&config, false);
    assert_true(mkv_config_load_text(&config, "/memkv.yaml", text, strlen(text), &error));
    assert_string_equal(config.storage.drives[0].media, "/store");
    assert_string_equal(config.storage.drives[1].media, "/../other");
}

/* ---- golden messages --------------------------------------------------------------------------
 */

struct golden {
    const char *text;
    const char *message;
};

static void assert_golden(const struct golden *cases, size_t count) {
    for (size_t i = 0; i < count; i++) {
        struct mkv_config config;
        struct mkv_config_error error;
        bool loaded = config_load(&config, cases[i].text, &error);
        assert_string_equal(error.message, cases[i].message);
        assert_false(loaded);
        assert_int_equal(error.exit_code, MKV_EXIT_DAEMON_CONFIGURATION);
    }
}
#define ASSERT_GOLDEN(cases) assert_golden((cases), sizeof(cases) / sizeof((cases)[0]))

static void test_file__unknown_or_repeated_key__golden(void **state) {
    (void)state;
    static const struct golden cases[] = {
        {"storage:\n  drvies: []\n",
         "memkv.yaml:2: unknown key 'storage.drvies', did you mean 'drives'?"},
        {"storag: {}\n", "memkv.yaml:1: unknown key 'storag', did you mean 'storage'?"},
        {"network: {port: 1}\n",
         "memkv.yaml:1: unknown key 'network.port'; allowed here: address, connections_max, "
         "tls_cert, tls_key, tls_min, admin_address, resp_address, shm_path, "
         "shm_window_bytes, shm_users, auth, auth_key, "
         "client_connections_max, client_requests_max, client_bytes_max"},
        {"infiniband: {}\n", "memkv.yaml:1: unknown key 'infiniband'; allowed here: " SECTIONS},
        {"rdma: {gid: 1}\n", "memkv.yaml:1: unknown key 'rdma.gid'; allowed here: mode, device, "
                             "gid_index, traffic_class, service_level, mtu, poll_us, "
                             "connections_max"},
        {"network.address: x\n",
         "memkv.yaml:1: unknown key 'network.address'; allowed here: " SECTIONS},
        {"storage:\n  shards: 1\n", "memkv.yaml:2: unknown key 'storage.shards'; allowed here: "
                                    "mode, trim, eviction, scrub_rate, lease_share_max, "
                                    "session_idle, "
                                    "sessions_max, session_blocks_max, "
                                    "block_size, "
                                    "block_bytes_max, drives, slow_after, slow_fence, "
                                    "admission, write_limit_per_drive"},
        {"storage:\n  drives:\n  - media: a\n  - meda: b\n",
         "memkv.yaml:4: unknown key 'storage.drives[1].meda', did you mean 'media'?"},
        {"storage: {drives: [{path: a}]}\n", "memkv.yaml:1: unknown key 'storage.drives[0].path'; "
                                             "allowed here: media, name, size, "
                                             "rated_dwpd"},
        {"\"log\\0\": {}\n", "memkv.yaml:1: unknown key 'log', did you mean 'log'?"},
        {"'': {}\n", "memkv.yaml:1: unknown key ''; allowed here: " SECTIONS},
        {"'\xc3\xa9': {}\n", "memkv.yaml:1: unknown key '?\?'; allowed here: " SECTIONS},
        {"<<: {}\n", "memkv.yaml:1: unknown key '<<'; allowed here: " SECTIONS},
        {"admin:\n  tokens: [{role: viewer}]\n",
         "memkv.yaml:2: admin.tokens[0] needs both keys, like {role: viewer, file: "
         "/etc/memkv/token}"},
        {"admin:\n  tokens:\n  - {role: root, file: a}\n",
         "memkv.yaml:3: admin.tokens[0].role: 'root' is not allowed; use viewer or operator"},
        {"admin: {tokens: a}\n", "memkv.yaml:1: admin.tokens must be a list, like [{role: viewer, "
                                 "file: /etc/memkv/token}], found a single value"},
        {"log:\n  level: info\n  level: info\n",
         "memkv.yaml:3: log.level is set twice, first at line 2; remove one"},
        {"log:\nnode:\nlog:\n", "memkv.yaml:3: log is set twice, first at line 1; remove one"},
        {"storage: {drives: [{media: a,\n media: b}]}\n",
         "memkv.yaml:2: storage.drives[0].media is set twice, first at line 1; remove one"},
        {"? [a]\n: b\n", "memkv.yaml:1: a key must be plain text, found a list"},
        {"? {a: b}\n: b\n", "memkv.yaml:1: a key must be plain text, found a map"},
    };
    ASSERT_GOLDEN(cases);
}

static void test_file__otlp_endpoint__golden(void **state) {
    (void)state;
    static const struct golden cases[] = {
        {"telemetry:\n  otlp_endpoint: collector:4318\n",
         "memkv.yaml:2: telemetry.otlp_endpoint: it does not begin with http:// "
         "(OTLP/HTTP) or grpc:// (OTLP/gRPC); without TLS, so put a collector of this machine "
         "there"},
        {"telemetry:\n  otlp_endpoint: grpc://a/b\n",
         "memkv.yaml:2: telemetry.otlp_endpoint: it has a path, which gRPC does not "
         "take; "
         "write grpc://HOST:PORT"},
    };
    ASSERT_GOLDEN(cases);
}

static void test_file__wrong_kind_of_node__golden(void **state) {
    (void)state;
    static const struct golden cases[] = {
        {"[]\n", "memkv.yaml:1: the file must be a map of sections such as storage, found a list"},
        {"\n\nhello\n", "memkv.yaml:3: the file must be a map of sections such as storage, found a "
                        "single value"},
        {"network: 5\n", "memkv.yaml:1: network must be a map of keys, found a single value"},
        {"network:\n  - a\n", "memkv.yaml:2: network must be a map of keys, found a list"},
        {"memory: {max_size: {}}\n",
         "memkv.yaml:1: memory.max_size must be a single value, found a map"},
        {"memory: {max_size: [1GiB]}\n",
         "memkv.yaml:1: memory.max_size must be a single value, found a list"},
        {"storage: {drives: /dev/a}\n", "memkv.yaml:1: storage.drives must be a list, like "
                                        "[{media: /dev/nvme0n1}], found a single value"},
        {"storage: {drives: {media: /dev/a}}\n", "memkv.yaml:1: storage.drives must be a list, "
                                                 "like [{media: /dev/nvme0n1}], found a map"},
        {"storage:\n  drives:\n  - /dev/a\n",
         "memkv.yaml:3: storage.drives[0] must be a map, like {media: /dev/nvme0n1}, found a "
         "single value"},
        {"storage:\n  drives:\n  - media: a\n  - []\n",
         "memkv.yaml:4: storage.drives[1] must be a map, like {media: /dev/nvme0n1}, found a list"},
        {"storage: {drives: [{media: [a]}]}\n",
         "memkv.yaml:1: storage.drives[0].media must be a single value, found a list"},
        {"memory: {max_size: }\n", "memkv.yaml:1: memory.max_size has no value; use 16MiB to 16TiB "
                                   "in steps of 2MiB, or remove the key"},
        {"memory: {hugepages: ~}\n", "memkv.yaml:1: memory.hugepages has no value; use auto, "
                                     "require or off, or remove the key"},
        {"network: {address: null}\n",
         "memkv.yaml:1: network.address has no value; use HOST:PORT, or remove the key"},
    };
    ASSERT_GOLDEN(cases);
}

static void test_file__bad_value__golden(void **state) {
    (void)state;
    static const struct golden cases[] = {
        {"# 1\n# 2\n# 3\nmemory:\n  max_size: lots\n",
         "memkv.yaml:5: memory.max_size: 'lots' is not a size; use a number with KiB, MiB, GiB or "
         "TiB, like 64GiB"},
        {"memory: {max_size: 64GB}\n",
         "memkv.yaml:1: memory.max_size: '64GB' has a unit that is not known; use GiB"},
        {"memory: {max_size: 1.5GiB}\n", "memkv.yaml:1: memory.max_size: '1.5GiB' is a fraction; "
                                         "use a whole number with a smaller unit, like 1536MiB"},
        {"memory: {max_size: -1GiB}\n",
         "memkv.yaml:1: memory.max_size: '-1GiB' is negative; use a number with KiB, MiB, GiB or "
         "TiB, like 64GiB"},
        {"memory: {max_size: 99999999999TiB}\n",
         "memkv.yaml:1: memory.max_size: '99999999999TiB' is more than 2^64 - 1 bytes; use a "
         "smaller number"},
        {"memory: {max_size: 14MiB}\n",
         "memkv.yaml:1: memory.max_size: '14MiB' is out of range; use 16MiB to 16TiB"},
        {"memory: {max_size: 17TiB}\n",
         "memkv.yaml:1: memory.max_size: '17TiB' is out of range; use 16MiB to 16TiB"},
        {"memory: {max_size: 1000000000}\n", "memkv.yaml:1: memory.max_size: '1000000000' is not a "
                                             "multiple of 2MiB; use 952MiB or 954MiB"},
        {"memory: {hugepages: yes}\n",
         "memkv.yaml:1: memory.hugepages: 'yes' is not allowed; use auto, require or off"},
        {"memory: {hugepages: ''}\n",
         "memkv.yaml:1: memory.hugepages: '' is not allowed; use auto, require or off"},
        {"storage: {mode: memory}\n",
         "memkv.yaml:1: storage.mode: 'memory' is not allowed; use direct or file"},
        {"storage: {block_bytes_max: 33MiB}\n",
         "memkv.yaml:1: storage.block_bytes_max: '33MiB' is out of range; use 64KiB to 32MiB"},
        {"storage: {block_bytes_max: 60KiB}\n",
         "memkv.yaml:1: storage.block_bytes_max: '60KiB' is out of range; use 64KiB to 32MiB"},
        {"storage: {drives: [{media: a, size: 1}]}\n", "memkv.yaml:1: storage.drives[0].size: '1' "
                                                       "is out of range; use 4MiB to 1024TiB"},
        {"network: {address: 9900}\n", "memkv.yaml:1: network.address: '9900' has no port; use "
                                       "HOST:PORT, like 127.0.0.1:9900"},
        {"network: {address: '::1:9900'}\n",
         "memkv.yaml:1: network.address: '::1:9900' has colons in its host; write an IPv6 address "
         "in brackets, like [::1]:9900"},
        {"network: {address: '127.0.0.300:1'}\n",
         "memkv.yaml:1: network.address: '127.0.0.300:1' has no valid host; use HOST:PORT, like "
         "127.0.0.1:9900 or [::1]:9900"},
        {"network: {address: '127.0.0.1:70000'}\n",
         "memkv.yaml:1: network.address: '127.0.0.1:70000' has no valid port; use HOST:PORT with a "
         "port from 1 to 65535, like 127.0.0.1:9900"},
        {"node: {id: 'a\\b'}\n", "memkv.yaml:1: node.id: 'a\\b' is not allowed; use 1 to 63 "
                                 "characters of A-Z a-z 0-9 . _ -"},
        {"node: {id: a234567890123456789012345678901234567890123456789012345678901234}\n",
         "memkv.yaml:1: node.id: 'a23456789012345678901234567890123456789012345678901234567890...' "
         "is not allowed; use 1 to 63 characters of A-Z a-z 0-9 . _ -"},
        {"storage: {drives: [{media: a, name: D0}]}\n",
         "memkv.yaml:1: storage.drives[0].name: 'D0' is not allowed; use 1 to 31 characters of a-z "
         "0-9 _ -"},
        {"storage: {drives: [{name: d0}]}\n", "memkv.yaml:1: storage.drives[0] has no media; name "
                                              "its block device or file, like media: /dev/nvme0n1"},
        {"storage: {drives: [{media: ''}]}\n", "memkv.yaml:1: storage.drives[0].media: the path is "
                                               "empty; name a block device or a file"},
        {"storage: {drives: [{media: \"a\\0b\"}]}\n",
         "memkv.yaml:1: storage.drives[0].media: the value contains a NUL character; remove it"},
        {"storage: {drives: [{media: \"a\\nb\"}]}\n", "memkv.yaml:1: storage.drives[0].media: the "
                                                      "path contains a control character; remove "
                                                      "it"},
        {"log: {level: \"in\\x1b[2Jfo\"}\n",
         "memkv.yaml:1: log.level: 'in?[2Jfo' names no level; use error, warn, info, debug or "
         "trace"},
        {"log: {level: \"info,core.jornal=debug\"}\n",
         "memkv.yaml:1: log.level: 'core.jornal' is no target of the log, did you mean "
         "'core.journal'?"},
    };
    ASSERT_GOLDEN(cases);
}

static void test_file__not_yaml_or_too_much_yaml__golden(void **state) {
    (void)state;
    static const char empty[] = "memkv.yaml: the file has no settings; it needs at least "
                                "storage.drives (docs/configuration.md has an example)";
    static const struct golden cases[] = {
        {"", empty},
        {"# nothing\n\n", empty},
        {"---\n", empty},
        {"~\n", empty},
        {"network:\n\taddress: x\n",
         "memkv.yaml:2: not valid YAML: a tab cannot indent; use spaces"},
        {"# \xc3\xa9\xc3\xa9\nnetwork:\n\taddress: x\n",
         "memkv.yaml:3: not valid YAML: a tab cannot indent; use spaces"},
        {"log:\n  level: info\n format: x\n",
         "memkv.yaml:3: not valid YAML: did not find expected key, while parsing a block mapping "
         "that began at line 1"},
        {"log:\n  level: 'info\n",
         "memkv.yaml:3: not valid YAML: found unexpected end of stream, while scanning a quoted "
         "scalar that began at line 2"},
        {"log: @\n", "memkv.yaml:1: not valid YAML: found character that cannot start any token, "
                     "while scanning for the next token"},
        {"log:\n  level: inf\xff\n", "memkv.yaml:2: not plain UTF-8 text: invalid leading UTF-8 "
                                     "octet; save the file as UTF-8 without control characters"},
        {"log:\n\n\n  level: inf\xc3(\n",
         "memkv.yaml:4: not plain UTF-8 text: invalid trailing UTF-8 octet; save the file as UTF-8 "
         "without control characters"},
        {"log:\n  level: \x01\n",
         "memkv.yaml:2: not plain UTF-8 text: control characters are not allowed; save the file as "
         "UTF-8 without control characters"},
        {"log: &a {level: info}\n", "memkv.yaml:1: anchors and aliases ('a') are not supported; "
                                    "write the value out"},
        {"log: {level: &b info}\n", "memkv.yaml:1: anchors and aliases ('b') are not supported; "
                                    "write the value out"},
        {"storage: {drives: &c [*c]}\n", "memkv.yaml:1: anchors and aliases ('c') are not "
                                         "supported; write the value out"},
        {"log: *d\n", "memkv.yaml:1: anchors and aliases ('d') are not supported; write the value "
                      "out"},
        {"log: {level: !!str info}\n",
         "memkv.yaml:1: tags ('tag:yaml.org,2002:str') are not supported; remove it"},
        {"log: !x {}\n", "memkv.yaml:1: tags ('!x') are not supported; remove it"},
        {CONFIG_DRIVES "---\nlog: {}\n", "memkv.yaml:2: the file has a second YAML document; a "
                                         "configuration is one document"},
    };
    ASSERT_GOLDEN(cases);
}

/* ---- bounds -----------------------------------------------------------------------------------
 */

static void test_file__64_drives__taken_and_65__refused(void **state) {
    (void)state;
    struct mkv_config config;
    struct mkv_config_error error;
    char text[4096] = "storage:\n  drives:\n";
    size_t used = strlen(text);
    for (unsigned i = 0; i < 64; i++) {
        used += (size_t)snprintf(text + used, sizeof text - used, "  - media: /dev/%u\n", i);
    }
    config_load_good(&config, text);
    assert_int_equal(config.storage.drive_count, 64);
    assert_string_equal(config.storage.drives[63].media, "/dev/63");
    assert_string_equal(config.storage.drives[63].name, "d63");
    assert_true(mkv_config_validate(&config, &error));
    snprintf(text + used, sizeof text - used, "  - media: /dev/64\n");
    assert_false(config_load(&config, text, &error));
    assert_string_equal(error.message, "memkv.yaml:67: storage.drives has more than 64 drives");
}

static void test_file__path_at_the_limit__taken_and_above__refused(void **state) {
    (void)state;
    for (size_t media_bytes = 1017; media_bytes <= 1018; media_bytes++) {
        struct mkv_config config;
        struct mkv_config_error error;
        char media[1019] = {0};
        char text[1200];
        memset(media, 'm', media_bytes);
        snprintf(text, sizeof text, "storage: {drives: [{media: %s}]}\n", media);
        mkv_config_defaults(&config, false);
        /* "/etcs/" and 1017 bytes are 1023, the most that fits with the closing NUL. */
        bool loaded = mkv_config_load_text(&config, "/etcs/f", text, strlen(text), &error);
        assert_int_equal(loaded, media_bytes == 1017);
        if (!loaded) {
            assert_string_equal(error.message,
                                "/etcs/f:1: storage.drives[0].media: the path is too long; use at "
                                "most 1023 bytes, with the directory that it is relative to");
        }
    }
}

static void test_file__one_mib__taken_and_a_byte_more__refused(void **state) {
    (void)state;
    size_t bytes = MKV_CONFIG_FILE_BYTES_MAX + 1;
    char *text = malloc(bytes);
    assert_non_null(text);
    memset(text, '#', bytes);
    memcpy(text, CONFIG_DRIVES, strlen(CONFIG_DRIVES));
    struct mkv_config config;
    struct mkv_config_error error;
    mkv_config_defaults(&config, false);
    assert_false(mkv_config_load_text(&config, "memkv.yaml", text, bytes, &error));
    assert_string_equal(error.message,
                        "memkv.yaml: the file is larger than 1MiB; is it a configuration?");
    assert_true(mkv_config_load_text(&config, "memkv.yaml", text, bytes - 1, &error));
    free(text);
}

static void test_file__one_mib_of_the_same__refused_at_once(void **state) {
    (void)state;
    static const char *const units[] = {"[",
                                        "{",
                                        "? ",
                                        "- ",
                                        "a: ",
                                        "'",
                                        "\"",
                                        "*",
                                        "&a ",
                                        "!",
                                        "network: {",
                                        "storage: {drives: [",
                                        "%",
                                        "|\n",
                                        ":",
                                        ",",
                                        "{log: {level: ",
                                        "\t"};
    char *text = malloc(MKV_CONFIG_FILE_BYTES_MAX);
    assert_non_null(text);
    alarm(60);
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        size_t unit_bytes = strlen(units[i]);
        for (size_t j = 0; j < MKV_CONFIG_FILE_BYTES_MAX; j++) {
            text[j] = units[i][j % unit_bytes];
        }
        struct mkv_config config;
        struct mkv_config_error error;
        mkv_config_defaults(&config, false);
        assert_false(
            mkv_config_load_text(&config, "memkv.yaml", text, MKV_CONFIG_FILE_BYTES_MAX, &error));
    }
    alarm(0);
    free(text);
}

/* ---- files on disk ----------------------------------------------------------------------------
 */

static void write_file(const char *path, const char *text) {
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(file >= 0);
    assert_int_equal(write(file, text, strlen(text)), strlen(text));
    assert_int_equal(close(file), 0);
}

static void test_load_file__real_file__media_beside_it(void **state) {
    (void)state;
    char directory[] = "/tmp/memkv-config-XXXXXX";
    char path[64];
    char expected[64];
    assert_non_null(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/memkv.yaml", directory);
    snprintf(expected, sizeof expected, "%s/store", directory);
    write_file(path, "storage: {drives: [{media: store}]}\n");
    struct mkv_config config;
    struct mkv_config_error error;
    mkv_config_defaults(&config, false);
    bool loaded = mkv_config_load_file(&config, path, &error);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(directory), 0);
    assert_true(loaded);
    assert_string_equal(config.storage.drives[0].media, expected);
    assert_string_equal(config.file, path);
}

static void test_load_file__cannot_be_read__golden(void **state) {
    (void)state;
    static const struct golden cases[] = {
        {"/nonexistent/memkv.yaml", "/nonexistent/memkv.yaml: cannot read the configuration file: "
                                    "No such file or directory"},
        {"/", "/: cannot read the configuration file: Is a directory"},
        {"/dev/zero", "/dev/zero: the file is larger than 1MiB; is it a configuration?"},
        {"/dev/null", "/dev/null: the file has no settings; it needs at least storage.drives "
                      "(docs/configuration.md has an example)"},
    };
    struct mkv_config config;
    struct mkv_config_error error;
    mkv_config_defaults(&config, false);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_false(mkv_config_load_file(&config, cases[i].text, &error));
        assert_string_equal(error.message, cases[i].message);
        assert_int_equal(error.exit_code, MKV_EXIT_DAEMON_CONFIGURATION);
    }
    assert_false(mkv_config_load_file(&config, "", &error));
    assert_string_equal(error.message, "configuration file: its path must have 1 to 1023 bytes");
    assert_int_equal(error.exit_code, MKV_EXIT_DAEMON_USAGE);
}

/* Root may read every file, so it steps aside for the length of the call. */
static void test_load_file__no_permission__exit_code_77(void **state) {
    (void)state;
    uid_t user = geteuid();
    char path[] = "/tmp/memkv-config-XXXXXX";
    int file = mkstemp(path);
    assert_true(file >= 0);
    assert_int_equal(fchmod(file, 0), 0);
    assert_int_equal(close(file), 0);
    struct mkv_config config;
    struct mkv_config_error error;
    mkv_config_defaults(&config, false);
    bool stepped_aside = user != 0 || seteuid(USER_NOBODY) == 0;
    bool loaded = stepped_aside && mkv_config_load_file(&config, path, &error);
    assert_int_equal(user == 0 && stepped_aside ? seteuid(user) : 0, 0);
    assert_int_equal(unlink(path), 0);
    if (!stepped_aside) {
        print_message("skipped: root may read every file, and cannot become another user here\n");
        skip();
    }
    assert_false(loaded);
    assert_non_null(strstr(error.message, "cannot read the configuration file: Permission denied"));
    assert_int_equal(error.exit_code, MKV_EXIT_DAEMON_PERMISSION);
}

/* ---- mutations --------------------------------------------------------------------------------
 */

#define MUTATION_COUNT 2000u

/* SplitMix64 (Steele, Lea, Flood 2014). */
static uint64_t next_random(uint64_t *seed) {
    uint64_t z = (*seed += 0x9e3779b97f4a7c15ull);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

/* Flips bits, puts in a byte that YAML cares about, cuts a piece out, or cuts the end off. */
static size_t mutate(uint64_t *seed, char *text, size_t bytes) {
    static const char bytes_of_yaml[] = "\n\t :-[]{},&*!|>'\"%@?#\\~0\xff\xc3";
    unsigned changes = 1 + (unsigned)(next_random(seed) % 4);
    for (unsigned i = 0; i < changes && bytes > 1; i++) {
        size_t at = next_random(seed) % bytes;
        size_t cut = 1 + next_random(seed) % 40;
        switch (next_random(seed) % 4) {
        case 0:
            text[at] = (char)(text[at] ^ (1 << (next_random(seed) % 8)));
            break;
        case 1:
            text[at] = bytes_of_yaml[next_random(seed) % (sizeof bytes_of_yaml - 1)];
            break;
        case 2:
            cut = cut > bytes - at ? bytes - at : cut;
            memmove(text + at, text + at + cut, bytes - at - cut);
            bytes -= cut;
            break;
        default:
            bytes = i == 0 ? at : bytes;
            break;
        }
    }
    return bytes;
}

static void test_file__2000_mutations__taken_or_one_line_of_message(void **state) {
    (void)state;
    unsigned taken = 0;
    alarm(120);
    for (unsigned i = 0; i < MUTATION_COUNT; i++) {
        uint64_t seed = i;
        /* Of exactly the size, so that a read past the end is seen by the sanitizer. */
        size_t bytes = strlen(full_file);
        char *text = malloc(bytes);
        assert_non_null(text);
        memcpy(text, full_file, bytes);
        bytes = mutate(&seed, text, bytes);
        char *exact = malloc(bytes > 0 ? bytes : 1);
        assert_non_null(exact);
        memcpy(exact, text, bytes);

        struct mkv_config config;
        struct mkv_config_error error = {.message = ""};
        mkv_config_defaults(&config, false);
        bool good = mkv_config_load_text(&config, "memkv.yaml", exact, bytes, &error) &&
                    mkv_config_validate(&config, &error);
        taken += good ? 1 : 0;
        assert_int_equal(good, error.message[0] == '\0');
        for (const char *c = error.message; *c != '\0'; c++) {
            assert_in_range((unsigned char)*c, 0x20, 0x7e);
        }
        if (!good) {
            assert_int_equal(strncmp(error.message, "memkv.yaml", 10), 0);
        }
        free(exact);
        free(text);
    }
    alarm(0);
    /* Some change a comment or a digit; most break something. */
    assert_in_range(taken, 1, MUTATION_COUNT / 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_file__all_keys__all_values_and_lines),
        cmocka_unit_test(test_file__other_spellings_of_the_same__accepted),
        cmocka_unit_test(test_file__path_without_directory__media_stay_relative),
        cmocka_unit_test(test_file__unknown_or_repeated_key__golden),
        cmocka_unit_test(test_file__otlp_endpoint__golden),
        cmocka_unit_test(test_file__wrong_kind_of_node__golden),
        cmocka_unit_test(test_file__bad_value__golden),
        cmocka_unit_test(test_file__not_yaml_or_too_much_yaml__golden),
        cmocka_unit_test(test_file__64_drives__taken_and_65__refused),
        cmocka_unit_test(test_file__path_at_the_limit__taken_and_above__refused),
        cmocka_unit_test(test_file__one_mib__taken_and_a_byte_more__refused),
        cmocka_unit_test(test_file__one_mib_of_the_same__refused_at_once),
        cmocka_unit_test(test_load_file__real_file__media_beside_it),
        cmocka_unit_test(test_load_file__cannot_be_read__golden),
        cmocka_unit_test(test_load_file__no_permission__exit_code_77),
        cmocka_unit_test(test_file__2000_mutations__taken_or_one_line_of_message),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
