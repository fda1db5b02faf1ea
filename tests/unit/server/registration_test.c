/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A server's key and lease, against a listener that answers as etcd does, or not. The real etcd is
 * in tests/integration/test_discovery.py.
 */
#include "server/registration.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* Generous: machines are slow and loaded. */
#define SEEN_MS_MAX 60000u

enum path {
    PATH_GRANT = 0,
    PATH_PUT,
    PATH_KEEP_ALIVE,
    PATH_RANGE,
    PATH_REVOKE,
    PATHS,
};

static const char *const paths[PATHS] = {"/v3/lease/grant", "/v3/kv/put", "/v3/lease/keepalive",
                                         "/v3/kv/range", "/v3/lease/revoke"};

struct rig {
    int descriptor;
    pthread_t thread;
    char discovery[80];
    atomic_bool is_away;  /* it answers that it has no leader */
    atomic_bool is_lost;  /* the lease, at its next sign of life */
    atomic_bool is_taken; /* the key is under another lease, at the next look */
    atomic_uint calls[PATHS];
    atomic_uint events[MKV_REGISTRATION_LEFT + 1u];
    struct mkv_registration *registration;
};

static const char *answer_to(struct rig *rig, enum path path) {
    switch (path) {
    case PATH_GRANT:
        return "{\"ID\":\"77\",\"TTL\":\"1\"}";
    case PATH_KEEP_ALIVE:
        return atomic_exchange(&rig->is_lost, false) ? "{\"result\":{\"ID\":\"77\"}}"
                                                     : "{\"result\":{\"ID\":\"77\",\"TTL\":\"1\"}}";
    case PATH_RANGE:
        return atomic_exchange(&rig->is_taken, false) ? "{\"kvs\":[{\"lease\":\"78\"}]}"
                                                      : "{\"kvs\":[{\"lease\":\"77\"}]}";
    case PATH_PUT:
    case PATH_REVOKE:
    case PATHS:
        break;
    }
    return "{}";
}

static void answer(struct rig *rig, int peer, const char *request) {
    char text[512];
    uint32_t path = 0;
    while (path < PATHS && strstr(request, paths[path]) == NULL) {
        path++;
    }
    const bool is_away = rig->is_away || path == PATHS;
    const char *body = is_away ? "{\"error\":\"no leader\"}" : answer_to(rig, (enum path)path);
    snprintf(text, sizeof text, "HTTP/1.1 %s\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%s",
             is_away ? "503 Service Unavailable" : "200 OK", strlen(body), body);
    (void)send(peer, text, strlen(text), MSG_NOSIGNAL);
    shutdown(peer, SHUT_WR);
    while (recv(peer, text, sizeof text, 0) > 0) {
    }
    if (!is_away) {
        rig->calls[path]++;
    }
}

static void *serve(void *context) {
    struct rig *rig = context;
    for (;;) {
        const int peer = accept(rig->descriptor, NULL, NULL);
        if (peer < 0) {
            return NULL;
        }
        char request[4096] = "";
        size_t got = 0;
        ssize_t count = 1;
        /* The body is an object, and the last that comes. */
        while (count > 0 && (got == 0 || request[got - 1] != '}')) {
            count = recv(peer, request + got, sizeof request - 1 - got, 0);
            got += count > 0 ? (size_t)count : 0;
        }
        request[got] = '\0';
        answer(rig, peer, request);
        close(peer);
    }
}

static void on_event(void *context, enum mkv_registration_event event, const char *text) {
    struct rig *rig = context;
    assert_true((event == MKV_REGISTRATION_AWAY) == (text[0] != '\0'));
    rig->events[event]++;
}

static void pause_ms(void) {
    nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

static void wait_count(const atomic_uint *counter, uint32_t count) {
    for (uint32_t ms = 0; ms < SEEN_MS_MAX && atomic_load(counter) < count; ms++) {
        pause_ms();
    }
    assert_in_range(atomic_load(counter), count, UINT32_MAX);
}

static struct rig *rig_open(bool is_away) {
    struct rig *rig = calloc(1, sizeof *rig);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t address_bytes = sizeof address;
    assert_non_null(rig);
    rig->is_away = is_away;
    rig->descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(rig->descriptor, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(rig->descriptor, 8), 0);
    assert_int_equal(getsockname(rig->descriptor, (struct sockaddr *)&address, &address_bytes), 0);
    snprintf(rig->discovery, sizeof rig->discovery, "etcd:http://127.0.0.1:%u/memkv",
             ntohs(address.sin_port));
    assert_int_equal(pthread_create(&rig->thread, NULL, serve, rig), 0);
    const struct mkv_registration_options options = {
        .discovery = rig->discovery,
        .server = {.address = "kv-0:9900", .weight = 1, .node = "kv-0"},
        .lease_ttl_s = 1,
        .tell = on_event,
        .context = rig,
    };
    struct memkv_error error;
    rig->registration = mkv_registration_begin(&options, &error);
    assert_non_null(rig->registration);
    return rig;
}

static void rig_close(struct rig *rig) {
    mkv_registration_end(rig->registration);
    shutdown(rig->descriptor, SHUT_RDWR);
    pthread_join(rig->thread, NULL);
    close(rig->descriptor);
    free(rig);
}

static void test_registration__it_begins_and_leaves__key_is_put_kept_and_taken_back(void **state) {
    (void)state;
    struct rig *rig = rig_open(false);
    wait_count(&rig->events[MKV_REGISTRATION_DONE], 1);
    wait_count(&rig->calls[PATH_RANGE], 2);
    assert_int_equal(rig->calls[PATH_GRANT], 1);
    assert_int_equal(rig->calls[PATH_PUT], 1);
    assert_in_range(rig->calls[PATH_KEEP_ALIVE], 2, UINT32_MAX);
    mkv_registration_leave(rig->registration);
    mkv_registration_leave(rig->registration);
    wait_count(&rig->events[MKV_REGISTRATION_LEFT], 1);
    wait_count(&rig->calls[PATH_REVOKE], 1);
    assert_int_equal(rig->events[MKV_REGISTRATION_DONE], 1);
    assert_int_equal(rig->events[MKV_REGISTRATION_AWAY], 0);
    rig_close(rig);
}

static void test_registration__etcd_is_away__is_told_once_and_mends_itself(void **state) {
    (void)state;
    struct rig *rig = rig_open(true);
    wait_count(&rig->events[MKV_REGISTRATION_AWAY], 1);
    rig->is_away = false;
    wait_count(&rig->events[MKV_REGISTRATION_DONE], 1);
    rig->is_away = true;
    wait_count(&rig->events[MKV_REGISTRATION_AWAY], 2);
    rig->is_away = false;
    wait_count(&rig->events[MKV_REGISTRATION_DONE], 2);
    /* The lease stood all the while. */
    assert_int_equal(rig->calls[PATH_GRANT], 1);
    assert_int_equal(rig->calls[PATH_PUT], 1);
    rig_close(rig);
}

static void test_registration__lease_is_lost__takes_another_one(void **state) {
    (void)state;
    struct rig *rig = rig_open(false);
    wait_count(&rig->calls[PATH_PUT], 1);
    rig->is_lost = true;
    wait_count(&rig->calls[PATH_PUT], 2);
    assert_int_equal(rig->calls[PATH_GRANT], 2);
    assert_int_equal(rig->events[MKV_REGISTRATION_PUT_AGAIN], 0);
    rig_close(rig);
}

static void test_registration__key_is_changed_by_somebody__is_put_again_and_told(void **state) {
    (void)state;
    struct rig *rig = rig_open(false);
    wait_count(&rig->calls[PATH_PUT], 1);
    rig->is_taken = true;
    wait_count(&rig->calls[PATH_PUT], 2);
    assert_int_equal(rig->calls[PATH_GRANT], 1);
    assert_int_equal(rig->events[MKV_REGISTRATION_PUT_AGAIN], 1);
    rig_close(rig);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_registration__it_begins_and_leaves__key_is_put_kept_and_taken_back),
        cmocka_unit_test(test_registration__etcd_is_away__is_told_once_and_mends_itself),
        cmocka_unit_test(test_registration__lease_is_lost__takes_another_one),
        cmocka_unit_test(test_registration__key_is_changed_by_somebody__is_put_again_and_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
