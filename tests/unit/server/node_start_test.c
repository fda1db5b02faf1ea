/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A start that is refused at each of its steps, in turn, leaves nothing behind: the same process
 * starts the same node afterwards, on the same drives and ports. That no memory is lost is held by
 * the address sanitizer's build of this test.
 */
#include "server/node_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/server/images.h"

#define PORT_FIRST 33000u
#define PORT_COUNT 2000u

struct fixture {
    char directory[IMAGES_PATH_BYTES];
    char path[IMAGES_PATH_BYTES];
    struct mkv_node node;
    int null_fd;
};

/* A listening socket, or -1 when the port is taken. */
static int listen_on(uint16_t port) {
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons(port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) != 0 || listen(fd, 1) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

/* A port that is free together with the next one. */
static uint16_t free_port(void) {
    for (uint32_t i = 0; i < PORT_COUNT; i += 2) {
        uint16_t port = (uint16_t)(PORT_FIRST + ((uint32_t)getpid() * 14 + i) % PORT_COUNT);
        int first = listen_on(port);
        int second = listen_on((uint16_t)(port + 1));
        bool free = first >= 0 && second >= 0;
        if (first >= 0) {
            close(first);
        }
        if (second >= 0) {
            close(second);
        }
        if (free) {
            return port;
        }
    }
    fail_msg("no two ports in a row are free");
    return 0;
}

static int fixture_begin(void **state) {
    static struct fixture fixture;
    memset(&fixture, 0, sizeof fixture);
    struct mkv_node *node = &fixture.node;
    struct mkv_config *config = &node->config;
    struct mkv_config_error error;
    images_make(fixture.directory);
    images_path(fixture.directory, "store.memkv", fixture.path);
    mkv_config_defaults(config, true);
    config->network.address.port = free_port();
    config->network.resp_address.host[0] = '\0';
    config->storage.drive_count = 1;
    snprintf(config->storage.drives[0].name, MKV_CONFIG_NAME_BYTES, "d00");
    snprintf(config->storage.drives[0].media, MKV_CONFIG_PATH_BYTES, "%s", fixture.path);
    config->storage.drives[0].size_bytes = 64 * MKV_MIB;
    config->storage.block_bytes_max = MKV_MIB;
    config->memory.max_size_bytes = 64 * MKV_MIB;
    assert_true(mkv_config_validate(config, &error));
    fixture.null_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    node->log = mkv_log_create(fixture.null_fd, MKV_CONFIG_LOG_DEBUG, MKV_CONFIG_LOG_TEXT);
    node->admin_fd = -1;
    node->admin_unix_fd = -1;
    pthread_mutex_init(&node->mutex, NULL);
    pthread_mutex_init(&node->view_mutex, NULL);
    *state = &fixture;
    return 0;
}

static int fixture_end(void **state) {
    struct fixture *fixture = *state;
    mkv_log_destroy(fixture->node.log);
    pthread_mutex_destroy(&fixture->node.view_mutex);
    pthread_mutex_destroy(&fixture->node.mutex);
    close(fixture->null_fd);
    images_remove(fixture->directory);
    return 0;
}

static void expect_refused(struct fixture *fixture, enum mkv_backend_failure failure,
                           const char *text) {
    struct mkv_backend_error error;
    assert_false(mkv_node_bring_up(&fixture->node, &error));
    assert_int_equal(error.failure, failure);
    if (strstr(error.text, text) == NULL) {
        fail_msg("'%s' does not say '%s'", error.text, text);
    }
    assert_int_equal(fixture->node.drive_count, 0);
    assert_null(fixture->node.arena);
    assert_null(fixture->node.shards);
    assert_null(fixture->node.admin);
    assert_int_equal(fixture->node.admin_fd, -1);
}

/* Up, serving, seen in a snapshot, and down. */
static void expect_started(struct fixture *fixture) {
    struct mkv_node *node = &fixture->node;
    static struct mkv_admin_snapshot snapshot;
    struct mkv_backend_error error;
    bool up = mkv_node_bring_up(node, &error);
    assert_string_equal(error.text, "");
    assert_true(up);
    assert_int_equal(mkv_shards_wait_opened(node->shards), 1);
    memset(&snapshot, 0, sizeof snapshot);
    mkv_node_snapshot(node, &snapshot);
    assert_int_equal(snapshot.state, MKV_ADMIN_NODE_SERVING);
    assert_int_equal(snapshot.drive_count, 1);
    assert_string_equal(snapshot.drives[0].name, "d00");
    assert_int_equal(snapshot.drives[0].state, MKV_DRIVE_STATE_ONLINE);
    assert_true(snapshot.epoch >= 1);
    assert_int_equal(snapshot.memory.bytes_used, 0);
    /* Beside the tables there is room for the largest block, at least. */
    assert_true(snapshot.memory.bytes_total > 32 * MKV_MIB);
    mkv_shards_close(node->shards, 0);
    node->shard_is_stuck = !mkv_shards_join(node->shards);
    assert_false(node->shard_is_stuck);
    memset(&snapshot, 0, sizeof snapshot);
    mkv_node_snapshot(node, &snapshot);
    assert_int_equal(snapshot.drives[0].state, MKV_DRIVE_STATE_OFFLINE);
    mkv_node_take_down(node);
    assert_true(node->drives[0].closed);
}

static void test_bring_up__twice__second_opens_what_the_first_formatted(void **state) {
    struct fixture *fixture = *state;
    expect_started(fixture);
    assert_true(fixture->node.drives[0].formatted_now);
    fixture->node.drives[0] = (struct node_drive){0};
    expect_started(fixture);
    assert_false(fixture->node.drives[0].formatted_now);
}

static void test_bring_up__too_little_memory_for_tables__refused_and_undone(void **state) {
    struct fixture *fixture = *state;
    fixture->node.config.memory.max_size_bytes = 16 * MKV_MIB;
    expect_refused(fixture, MKV_BACKEND_CONFIGURATION, "memory.max_size");
    fixture->node.config.memory.max_size_bytes = 64 * MKV_MIB;
    expect_started(fixture);
}

static void test_bring_up__admin_port_taken__refused_and_undone(void **state) {
    struct fixture *fixture = *state;
    int other = listen_on(fixture->node.config.network.admin_address.port);
    assert_true(other >= 0);
    expect_refused(fixture, MKV_BACKEND_UNAVAILABLE, "is in use by");
    close(other);
    expect_started(fixture);
}

static void test_bring_up__client_port_taken__refused_and_undone(void **state) {
    struct fixture *fixture = *state;
    int other = listen_on(fixture->node.config.network.address.port);
    assert_true(other >= 0);
    expect_refused(fixture, MKV_BACKEND_UNAVAILABLE, "is in use by");
    close(other);
    expect_started(fixture);
}

static void test_bring_up__drive_that_cannot_be_used__no_file_left(void **state) {
    struct fixture *fixture = *state;
    struct mkv_config *config = &fixture->node.config;
    struct stat status;
    config->storage.drive_count = 2;
    snprintf(config->storage.drives[1].name, MKV_CONFIG_NAME_BYTES, "d01");
    snprintf(config->storage.drives[1].media, MKV_CONFIG_PATH_BYTES, "%s", fixture->directory);
    expect_refused(fixture, MKV_BACKEND_CONFIGURATION, "is a directory");
    assert_int_equal(stat(fixture->path, &status), -1);
    config->storage.drive_count = 1;
    expect_started(fixture);
}

static void test_bring_up__told_to_stop_before__stops_without_an_error(void **state) {
    struct fixture *fixture = *state;
    struct stat status;
    atomic_store(&fixture->node.stop_count, 1);
    expect_refused(fixture, MKV_BACKEND_OK, "");
    assert_int_equal(stat(fixture->path, &status), -1);
    atomic_store(&fixture->node.stop_count, 0);
    expect_started(fixture);
}

#define FIXTURE_TEST(test) cmocka_unit_test_setup_teardown(test, fixture_begin, fixture_end)

int main(void) {
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(test_bring_up__twice__second_opens_what_the_first_formatted),
        FIXTURE_TEST(test_bring_up__too_little_memory_for_tables__refused_and_undone),
        FIXTURE_TEST(test_bring_up__admin_port_taken__refused_and_undone),
        FIXTURE_TEST(test_bring_up__client_port_taken__refused_and_undone),
        FIXTURE_TEST(test_bring_up__drive_that_cannot_be_used__no_file_left),
        FIXTURE_TEST(test_bring_up__told_to_stop_before__stops_without_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
