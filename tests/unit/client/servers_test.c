/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Servers that come and go while a client lives, with calls in flight.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <dlfcn.h>
#include <netdb.h>
#include <semaphore.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "client/engine.h"
#include "tests/unit/client/test_client.h"
#include "tests/unit/client/test_server.h"

#define SERVERS 4u
#define KEYS 200u
#define LONG_MS 60000u

struct rig {
    struct test_server *servers[SERVERS];
    struct memkv_client *client;
    char keys[KEYS][16];
};

/* The list of the servers whose bits are set, each with that weight. */
static uint32_t list_of(const struct rig *rig, uint32_t mask, const uint32_t *weights,
                        struct mkv_client_address *addresses) {
    char text[256] = "";
    uint32_t count = 0;
    for (uint32_t index = 0; index < SERVERS; index++) {
        if ((mask & 1u << index) != 0) {
            const size_t used = strlen(text);
            snprintf(text + used, sizeof text - used, "%s%s*%u", used > 0 ? "," : "",
                     rig->servers[index]->address, weights != NULL ? weights[index] : 1u);
        }
    }
    assert_int_equal(mkv_client_servers_parse("servers", text, addresses, &count, NULL), MEMKV_OK);
    return count;
}

static void servers_set(struct rig *rig, uint32_t mask, const uint32_t *weights) {
    struct mkv_client_address addresses[MKV_CLIENT_SERVERS_MAX];
    struct memkv_error error;
    const uint32_t count = list_of(rig, mask, weights, addresses);
    if (mkv_servers_set(rig->client, addresses, count, &error) != MEMKV_OK) {
        fail_msg("%s", error.text);
    }
}

/* The server of the rig that a key belongs to among those of the list. */
static uint32_t owner_of(const struct rig *rig, uint32_t key) {
    const struct mkv_client_address *address =
        &rig->client
             ->remotes[mkv_call_owner(rig->client, rig->keys[key],
                                      (uint32_t)strlen(rig->keys[key]))]
             ->address;
    for (uint32_t index = 0; index < SERVERS; index++) {
        if (strcmp(rig->servers[index]->address, address->text) == 0) {
            return index;
        }
    }
    fail_msg("%s is none of the servers", address->text);
    return SERVERS;
}

static struct rig *rig_open(uint32_t mask, uint32_t timeout_ms) {
    struct rig *rig = calloc(1, sizeof *rig);
    assert_non_null(rig);
    char list[256] = "";
    for (uint32_t index = 0; index < SERVERS; index++) {
        const struct test_server_options options = {.corrupt_at = 0};
        rig->servers[index] = test_server_start(&options);
        const size_t used = strlen(list);
        if ((mask & 1u << index) != 0) {
            snprintf(list + used, sizeof list - used, "%s%s", used > 0 ? "," : "",
                     rig->servers[index]->address);
        }
    }
    for (uint32_t index = 0; index < KEYS; index++) {
        snprintf(rig->keys[index], sizeof rig->keys[index], "key-%u", index);
    }
    const struct memkv_options options = {.servers = list, .timeout_ms = timeout_ms};
    struct memkv_error error;
    if (memkv_open(&options, &rig->client, &error) != MEMKV_OK) {
        fail_msg("%s", error.text);
    }
    return rig;
}

static void rig_close(struct rig *rig) {
    memkv_close(rig->client);
    for (uint32_t index = 0; index < SERVERS; index++) {
        rig->servers[index]->is_paused = false;
        test_server_stop(rig->servers[index]);
    }
    free(rig);
}

static struct memkv_item item_of(struct rig *rig, enum memkv_op op, uint32_t key) {
    return (struct memkv_item){.op = op,
                               .expire_s = op == MEMKV_OP_PIN ? 5 : 0,
                               .key = rig->keys[key],
                               .key_bytes = strlen(rig->keys[key]),
                               .data = rig->keys[key],
                               .data_bytes = strlen(rig->keys[key])};
}

static void submit(struct rig *rig, struct memkv_item *item, uint64_t cookie, uint32_t timeout_ms) {
    struct memkv_error error;
    if (memkv_submit(rig->client, item, 1, cookie, timeout_ms, &error) != MEMKV_OK) {
        fail_msg("%s", error.text);
    }
}

/* Takes one completion, whose cookie is `cookie`. */
static struct memkv_completion take(struct rig *rig, uint64_t cookie) {
    struct memkv_completion completion;
    assert_int_equal(memkv_wait(rig->client, &completion, 1, LONG_MS), 1);
    assert_int_equal(completion.cookie, cookie);
    return completion;
}

/* Until the frame that was sent has come there: its answer is what is missing. */
static void wait_frames(const struct test_server *server, uint32_t count) {
    for (uint32_t round = 0; round < LONG_MS && server->frame_count < count; round++) {
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    assert_in_range(server->frame_count, count, UINT32_MAX);
}

static uint32_t key_of(const struct rig *rig, uint32_t server) {
    uint32_t key = 0;
    while (owner_of(rig, key) != server) {
        key++;
        assert_in_range(key, 0, KEYS - 1);
    }
    return key;
}

/* ---- names ---------------------------------------------------------------------------------- */

#define SLOW_HOST "slow.test"
static sem_t slow_is_over;

/* The system's, but for one host that is resolved when the test says so. */
int getaddrinfo(const char *host, const char *port, const struct addrinfo *hints,
                struct addrinfo **found) {
    union {
        void *address;
        int (*call)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
    } next = {.address = dlsym(RTLD_NEXT, "getaddrinfo")};
    if (strcmp(host, SLOW_HOST) == 0 && (hints->ai_flags & AI_NUMERICHOST) == 0) {
        sem_wait(&slow_is_over);
        host = "127.0.0.1";
    }
    return next.call(host, port, hints, found);
}

/* Descriptors that the client is told of. */
static uint32_t watched_count(const struct memkv_client *client) {
    char line[256];
    uint32_t count = 0;
    snprintf(line, sizeof line, "/proc/self/fdinfo/%d", client->epoll);
    FILE *file = fopen(line, "r");
    assert_non_null(file);
    while (fgets(line, sizeof line, file) != NULL) {
        count += strncmp(line, "tfd:", 4) == 0 ? 1 : 0;
    }
    fclose(file);
    return count;
}

/* ---- keys ----------------------------------------------------------------------------------- */

static void owners_of(const struct rig *rig, uint32_t *owners) {
    for (uint32_t key = 0; key < KEYS; key++) {
        owners[key] = owner_of(rig, key);
    }
}

static void test_servers_set__one_comes_and_goes__moves_its_keys_alone(void **state) {
    (void)state;
    struct rig *rig = rig_open(0x7, LONG_MS);
    uint32_t before[KEYS], with[KEYS], after[KEYS];
    uint32_t moved = 0;
    owners_of(rig, before);
    servers_set(rig, 0xf, NULL);
    owners_of(rig, with);
    for (uint32_t key = 0; key < KEYS; key++) {
        struct memkv_item item = item_of(rig, MEMKV_OP_PUT, key);
        assert_true(with[key] == before[key] || with[key] == 3);
        moved += with[key] == 3 ? 1 : 0;
        assert_int_equal(memkv_batch(rig->client, &item, 1, NULL), MEMKV_OK);
    }
    assert_in_range(moved, KEYS / 8, KEYS / 2);
    servers_set(rig, 0xe, NULL);
    owners_of(rig, after);
    for (uint32_t key = 0; key < KEYS; key++) {
        struct memkv_item item = item_of(rig, MEMKV_OP_EXISTS, key);
        assert_true(after[key] == with[key] || with[key] == 0);
        assert_int_equal(memkv_batch(rig->client, &item, 1, NULL),
                         with[key] == 0 ? MEMKV_NOT_FOUND : MEMKV_OK);
    }
    /* Nobody had to connect again. */
    for (uint32_t index = 0; index < SERVERS; index++) {
        assert_int_equal(rig->servers[index]->connection_count, 1);
    }
    rig_close(rig);
}

static void test_servers_set__weight_changes__moves_keys_to_the_heavier(void **state) {
    (void)state;
    static const uint32_t weights[SERVERS] = {1, 5, 1, 1};
    struct rig *rig = rig_open(0x7, LONG_MS);
    uint32_t before[KEYS], after[KEYS];
    uint32_t moved = 0;
    owners_of(rig, before);
    const uint64_t version = rig->client->ring_version;
    servers_set(rig, 0x7, NULL);
    assert_true(rig->client->ring_version == version); /* the same list */
    servers_set(rig, 0x7, weights);
    assert_true(rig->client->ring_version == version + 1);
    owners_of(rig, after);
    for (uint32_t key = 0; key < KEYS; key++) {
        assert_true(after[key] == before[key] || after[key] == 1);
        moved += after[key] != before[key] ? 1 : 0;
    }
    assert_in_range(moved, KEYS / 8, KEYS / 2);
    rig_close(rig);
}

/* ---- calls in flight ------------------------------------------------------------------------ */

static void test_servers_set__server_leaves_with_calls__they_are_answered(void **state) {
    (void)state;
    struct rig *rig = rig_open(0x7, LONG_MS);
    const uint32_t key = key_of(rig, 1);
    struct memkv_item put = item_of(rig, MEMKV_OP_PUT, key);
    assert_int_equal(memkv_batch(rig->client, &put, 1, NULL), MEMKV_OK);
    char value[16];
    struct memkv_item get = item_of(rig, MEMKV_OP_GET, key);
    get.buffer = value;
    get.capacity = sizeof value;
    rig->servers[1]->is_paused = true;
    submit(rig, &get, 7, 0);
    wait_frames(rig->servers[1], 3);
    servers_set(rig, 0x5, NULL);
    assert_int_equal(rig->client->remote_all_count, 3);
    /* What is new goes to the others, and is done before. */
    struct memkv_item other = item_of(rig, MEMKV_OP_PUT, key);
    submit(rig, &other, 8, 0);
    assert_int_equal(take(rig, 8).error.status, MEMKV_OK);
    rig->servers[1]->is_paused = false;
    const struct memkv_completion done = take(rig, 7);
    assert_int_equal(done.error.status, MEMKV_OK);
    assert_memory_equal(value, rig->keys[key], get.byte_count);
    /* Its connection goes with the next look at the servers. */
    assert_int_equal(memkv_ping(rig->client, NULL), MEMKV_OK);
    assert_int_equal(rig->client->remote_all_count, 2);
    assert_int_equal(rig->client->remote_count, 2);
    rig_close(rig);
}

static void test_servers_set__server_leaves_and_is_silent__its_calls_end_in_time(void **state) {
    (void)state;
    struct rig *rig = rig_open(0x7, LONG_MS);
    const uint32_t key = key_of(rig, 2);
    struct memkv_item items[3] = {item_of(rig, MEMKV_OP_EXISTS, key),
                                  item_of(rig, MEMKV_OP_DELETE, key),
                                  item_of(rig, MEMKV_OP_PIN, key)};
    rig->servers[2]->is_paused = true;
    for (uint32_t index = 0; index < 3; index++) {
        submit(rig, &items[index], index, 300);
    }
    servers_set(rig, 0x3, NULL);
    for (uint32_t index = 0; index < 3; index++) {
        (void)take(rig, index);
    }
    assert_int_equal(items[0].status, MEMKV_NOT_FOUND);
    assert_int_equal(items[0].miss, MEMKV_MISS_DEADLINE);
    assert_int_equal(items[1].status, MEMKV_UNKNOWN);
    assert_true(items[2].status == MEMKV_DEADLINE || items[2].status == MEMKV_UNAVAILABLE);
    assert_int_equal(memkv_poll(rig->client, NULL, 0), 0);
    assert_int_equal(rig->client->remote_all_count, 2);
    rig_close(rig);
}

static void test_servers_set__server_comes_back__keeps_its_connection_and_calls(void **state) {
    (void)state;
    struct rig *rig = rig_open(0x7, LONG_MS);
    const uint32_t key = key_of(rig, 0);
    struct memkv_item item = item_of(rig, MEMKV_OP_DELETE, key);
    rig->servers[0]->is_paused = true;
    submit(rig, &item, 1, 0);
    servers_set(rig, 0x6, NULL);
    servers_set(rig, 0x7, NULL);
    assert_int_equal(rig->client->remote_all_count, 3);
    rig->servers[0]->is_paused = false;
    (void)take(rig, 1);
    /* It is its key's server again. */
    assert_int_equal(item.status, MEMKV_NOT_FOUND);
    assert_int_equal(rig->servers[0]->connection_count, 1);
    rig_close(rig);
}

/* The thread that resolves it has its end of the descriptor still. */
static void test_servers_set__server_leaves_whose_name_came_too_late__tells_no_more(void **state) {
    (void)state;
    struct rig *rig = rig_open(0x1, LONG_MS);
    struct mkv_client_address addresses[MKV_CLIENT_SERVERS_MAX];
    char list[128];
    uint32_t count = 0;
    assert_int_equal(sem_init(&slow_is_over, 0, 0), 0);
    rig->client->connect_timeout_ms = 20;
    snprintf(list, sizeof list, "%s,%s:9900", rig->servers[0]->address, SLOW_HOST);
    assert_int_equal(mkv_client_servers_parse("servers", list, addresses, &count, NULL), MEMKV_OK);
    assert_int_equal(mkv_servers_set(rig->client, addresses, count, NULL), MEMKV_OK);
    const struct mkv_remote *slow = rig->client->remotes[1];
    assert_string_equal(slow->address.text, SLOW_HOST ":9900");
    for (uint32_t key = 0; slow->failure_count == 0; key++) {
        struct memkv_item item = item_of(rig, MEMKV_OP_EXISTS, key % KEYS);
        assert_int_equal(memkv_batch(rig->client, &item, 1, NULL), MEMKV_NOT_FOUND);
    }
    servers_set(rig, 0x1, NULL);
    assert_int_equal(watched_count(rig->client), 1);
    sem_post(&slow_is_over);
    assert_int_equal(memkv_ping(rig->client, NULL), MEMKV_OK);
    rig_close(rig);
}

/* As by a child of the process, which has all that was open when it was forked. */
static void test_servers_set__server_leaves_and_others_have_its_socket__tells_no_more(
    void **state) {
    (void)state;
    struct rig *rig = rig_open(0x3, LONG_MS);
    const int other = dup(rig->client->remotes[1]->connections[0]->transport->descriptor);
    assert_true(other >= 0);
    assert_int_equal(watched_count(rig->client), 2);
    servers_set(rig, 0x1, NULL);
    assert_int_equal(watched_count(rig->client), 1);
    close(other);
    rig_close(rig);
}

static void test_servers_set__delete_is_answered_by_one_that_left__is_unavailable(void **state) {
    (void)state;
    struct rig *rig = rig_open(0x7, LONG_MS);
    const uint32_t key = key_of(rig, 1);
    struct memkv_item put = item_of(rig, MEMKV_OP_PUT, key);
    assert_int_equal(memkv_batch(rig->client, &put, 1, NULL), MEMKV_OK);
    struct memkv_item item = item_of(rig, MEMKV_OP_DELETE, key);
    rig->servers[1]->is_paused = true;
    submit(rig, &item, 1, 0);
    servers_set(rig, 0x5, NULL);
    rig->servers[1]->is_paused = false;
    const struct memkv_completion done = take(rig, 1);
    assert_int_equal(item.status, MEMKV_UNAVAILABLE);
    test_expect_text(&done.error, "repeat it");
    test_expect_text(&done.error, rig->servers[owner_of(rig, key)]->address);
    /* It stays so for a key whose server did not change. */
    const uint32_t near = key_of(rig, 2);
    struct memkv_item kept = item_of(rig, MEMKV_OP_DELETE, near);
    rig->servers[2]->is_paused = true;
    submit(rig, &kept, 2, 0);
    servers_set(rig, 0xd, NULL);
    if (owner_of(rig, near) == 2) {
        rig->servers[2]->is_paused = false;
        (void)take(rig, 2);
        assert_int_equal(kept.status, MEMKV_NOT_FOUND);
    }
    rig_close(rig);
}

/* ---- bounds --------------------------------------------------------------------------------- */

static void test_servers_set__too_many_have_left_with_calls__is_put_off(void **state) {
    (void)state;
    struct rig *rig = rig_open(0x1, LONG_MS);
    /* One that takes connections and says nothing, under many names. */
    const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in any = {.sin_family = AF_INET};
    socklen_t any_bytes = sizeof any;
    assert_int_equal(bind(listener, (struct sockaddr *)&any, sizeof any), 0);
    assert_int_equal(listen(listener, 128), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&any, &any_bytes), 0);
    static struct memkv_item items[MKV_CLIENT_RETIRED_MAX + 2u];
    enum memkv_status status = MEMKV_OK;
    struct memkv_error error;
    uint32_t round = 0;
    for (; status == MEMKV_OK && round < MKV_CLIENT_RETIRED_MAX + 2u; round++) {
        char text[64];
        struct mkv_client_address address[MKV_CLIENT_SERVERS_MAX];
        uint32_t count = 0;
        snprintf(text, sizeof text, "127.0.1.%u:%u", round + 1, ntohs(any.sin_port));
        assert_int_equal(mkv_client_servers_parse("servers", text, address, &count, NULL),
                         MEMKV_OK);
        status = mkv_servers_set(rig->client, address, count, &error);
        items[round] = item_of(rig, MEMKV_OP_PIN, 0);
        submit(rig, &items[round], round, 2000);
    }
    assert_int_equal(status, MEMKV_BUSY);
    assert_int_equal(round, MKV_CLIENT_RETIRED_MAX + 2u);
    assert_int_equal(rig->client->remote_count, 1);
    assert_int_equal(rig->client->remote_all_count, 1 + MKV_CLIENT_RETIRED_MAX);
    struct memkv_completion completion;
    while (memkv_in_flight(rig->client) > 0) {
        (void)memkv_wait(rig->client, &completion, 1, LONG_MS);
    }
    servers_set(rig, 0x3, NULL);
    assert_int_equal(rig->client->remote_all_count, 2);
    assert_int_equal(memkv_ping(rig->client, NULL), MEMKV_OK);
    close(listener);
    rig_close(rig);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_servers_set__one_comes_and_goes__moves_its_keys_alone),
        cmocka_unit_test(test_servers_set__weight_changes__moves_keys_to_the_heavier),
        cmocka_unit_test(test_servers_set__server_leaves_with_calls__they_are_answered),
        cmocka_unit_test(test_servers_set__server_leaves_and_is_silent__its_calls_end_in_time),
        cmocka_unit_test(test_servers_set__server_comes_back__keeps_its_connection_and_calls),
        cmocka_unit_test(test_servers_set__server_leaves_whose_name_came_too_late__tells_no_more),
        cmocka_unit_test(test_servers_set__server_leaves_and_others_have_its_socket__tells_no_more),
        cmocka_unit_test(test_servers_set__delete_is_answered_by_one_that_left__is_unavailable),
        cmocka_unit_test(test_servers_set__too_many_have_left_with_calls__is_put_off),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
