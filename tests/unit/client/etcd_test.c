/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is made of etcd's answers, and of what is none: a listener that answers each request with a
 * text of the test's. The real etcd is in tests/integration/test_discovery.py.
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
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client/engine.h"
#include "client/etcd.h"
#include "client/etcd_text.h"
#include "tests/unit/client/test_client.h"

#define TIMEOUT_MS 60000u

/* Answers connections one after the other, each once. */
struct listener {
    int descriptor;
    char text[80]; /* http://127.0.0.1:PORT/memkv */
    pthread_t thread;
    const char *status; /* NULL: nothing is answered */
    const char *body;
    size_t padding; /* blanks behind the body */
    char request[4096];
};

static void answer(const struct listener *listener, int peer) {
    char head[256];
    const size_t body_bytes = strlen(listener->body) + listener->padding;
    snprintf(head, sizeof head, "HTTP/1.1 %s\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%s",
             listener->status, body_bytes, listener->body);
    (void)send(peer, head, strlen(head), MSG_NOSIGNAL);
    char blanks[4096];
    memset(blanks, ' ', sizeof blanks);
    for (size_t left = listener->padding; left > 0;) {
        const ssize_t sent =
            send(peer, blanks, left < sizeof blanks ? left : sizeof blanks, MSG_NOSIGNAL);
        if (sent <= 0) {
            return;
        }
        left -= (size_t)sent;
    }
    /* So that what was sent is not taken back by the close. */
    shutdown(peer, SHUT_WR);
    while (recv(peer, blanks, sizeof blanks, 0) > 0) {
    }
}

static void *serve(void *context) {
    struct listener *listener = context;
    for (;;) {
        const int peer = accept(listener->descriptor, NULL, NULL);
        if (peer < 0) {
            return NULL;
        }
        size_t got = 0;
        ssize_t count = 1;
        memset(listener->request, 0, sizeof listener->request);
        /* The body is an object, and the last that comes. */
        while (count > 0 && (got == 0 || listener->request[got - 1] != '}')) {
            count = recv(peer, listener->request + got, sizeof listener->request - 1 - got, 0);
            got += count > 0 ? (size_t)count : 0;
        }
        if (listener->status != NULL) {
            answer(listener, peer);
        } else {
            char byte;
            (void)recv(peer, &byte, 1, 0); /* until it is given up */
        }
        close(peer);
    }
}

static struct listener *listener_open(const char *status, const char *body, size_t padding) {
    struct listener *listener = calloc(1, sizeof *listener);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t address_bytes = sizeof address;
    assert_non_null(listener);
    listener->status = status;
    listener->body = body;
    listener->padding = padding;
    listener->descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(listener->descriptor, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(listener->descriptor, 8), 0);
    assert_int_equal(getsockname(listener->descriptor, (struct sockaddr *)&address, &address_bytes),
                     0);
    snprintf(listener->text, sizeof listener->text, "http://127.0.0.1:%u/memkv",
             ntohs(address.sin_port));
    assert_int_equal(pthread_create(&listener->thread, NULL, serve, listener), 0);
    return listener;
}

static void listener_close(struct listener *listener) {
    shutdown(listener->descriptor, SHUT_RDWR);
    pthread_join(listener->thread, NULL);
    close(listener->descriptor);
    free(listener);
}

static struct mkv_etcd *etcd_open(const char *text) {
    struct memkv_error error;
    struct mkv_etcd *etcd = mkv_etcd_open(text, &error);
    if (etcd == NULL) {
        fail_msg("%s", error.text);
    }
    return etcd;
}

static const struct mkv_etcd_wait patient = {.stop = -1, .timeout_ms = TIMEOUT_MS};

/* ---- base64 --------------------------------------------------------------------------------- */

/* The vectors of RFC 4648, section 10. */
static void test_etcd_base64__vectors_of_the_standard__both_ways(void **state) {
    (void)state;
    static const char *const vectors[][2] = {
        {"", ""},
        {"f", "Zg=="},
        {"fo", "Zm8="},
        {"foo", "Zm9v"},
        {"foob", "Zm9vYg=="},
        {"fooba", "Zm9vYmE="},
        {"foobar", "Zm9vYmFy"},
    };
    for (size_t index = 0; index < sizeof vectors / sizeof vectors[0]; index++) {
        char encoded[MKV_ETCD_BASE64_BYTES(6)];
        char text[7];
        mkv_etcd_base64(vectors[index][0], strlen(vectors[index][0]), encoded);
        assert_string_equal(encoded, vectors[index][1]);
        assert_true(mkv_etcd_base64_text(encoded, text, strlen(vectors[index][0]) + 1));
        assert_string_equal(text, vectors[index][0]);
        if (text[0] != '\0') {
            assert_false(mkv_etcd_base64_text(encoded, text, strlen(vectors[index][0])));
        }
    }
}

static void test_etcd_base64__what_is_none__is_refused(void **state) {
    (void)state;
    static const char *const wrong[] = {"Z",    "Zg",   "Zg=",  "Zm9v Zm9v", "Zm9\n",
                                        "====", "Z===", "Zm=v", "AAAA",      "Zm9vA"};
    char text[16];
    for (size_t index = 0; index < sizeof wrong / sizeof wrong[0]; index++) {
        assert_false(mkv_etcd_base64_text(wrong[index], text, sizeof text));
    }
}

/* ---- answers -------------------------------------------------------------------------------- */

static void test_etcd_list__answers__are_taken_or_told_why_not(void **state) {
    (void)state;
    static const struct {
        const char *status, *body, *part; /* part NULL: two servers */
    } cases[] = {
        /* {"address":"kv-1:9900","weight":3}, {"address":"kv-0:9900"} */
        {"200 OK",
         "{\"kvs\":[{\"value\":\"eyJhZGRyZXNzIjoia3YtMTo5OTAwIiwid2VpZ2h0IjozfQ==\"},"
         "{\"value\":\"eyJhZGRyZXNzIjoia3YtMDo5OTAwIn0=\"}],\"count\":\"2\"}",
         NULL},
        {"200 OK", "{\"header\":{}}", "there is no server below /memkv/"},
        {"200 OK", "<html>hello</html>", "its answer is not JSON"},
        {"200 OK", "[]", "its answer is not JSON"},
        {"200 OK", "{\"kvs\":[{}]}", "a key's value is too long, or no text"},
        {"200 OK", "{\"kvs\":[{\"value\":\"Zm9v\"}]}", "a key's value is not"},
        /* {"address":"kv-0"}, {"address":"a:1*2"}, {"address":"a:1","weight":"2"} and 0 */
        {"200 OK", "{\"kvs\":[{\"value\":\"eyJhZGRyZXNzIjoia3YtMCJ9\"}]}", "no port"},
        {"200 OK", "{\"kvs\":[{\"value\":\"eyJhZGRyZXNzIjoiYToxKjIifQ==\"}]}", "is not"},
        {"200 OK", "{\"kvs\":[{\"value\":\"eyJhZGRyZXNzIjoiYToxIiwid2VpZ2h0IjoiMiJ9\"}]}",
         "is not"},
        {"200 OK", "{\"kvs\":[{\"value\":\"eyJhZGRyZXNzIjoiYToxIiwid2VpZ2h0IjowfQ==\"}]}",
         "its weight"},
        {"503 Service Unavailable", "{\"error\":\"etcdserver: no leader\\n\",\"code\":14}",
         "HTTP status 503: etcdserver: no leader"},
        {"404 Not Found", "no", "HTTP status 404"},
    };
    for (size_t index = 0; index < sizeof cases / sizeof cases[0]; index++) {
        struct listener *listener = listener_open(cases[index].status, cases[index].body, 0);
        struct mkv_etcd *etcd = etcd_open(listener->text);
        struct mkv_server_list list;
        struct memkv_error error = {0};
        const bool is_taken = mkv_etcd_list(etcd, &patient, &list, &error);
        assert_int_equal(is_taken, cases[index].part == NULL);
        if (is_taken) {
            assert_int_equal(list.count, 2);
            assert_string_equal(list.servers[0].text, "kv-1:9900");
            assert_int_equal(list.servers[0].weight, 3);
            assert_string_equal(list.servers[1].text, "kv-0:9900");
            assert_int_equal(list.servers[1].weight, 1);
            assert_non_null(strstr(listener->request, "POST /v3/kv/range "));
            /* From "/memkv/" to "/memkv0". */
            assert_non_null(strstr(listener->request, "\"key\":\"L21lbWt2Lw==\""));
            assert_non_null(strstr(listener->request, "\"range_end\":\"L21lbWt2MA==\""));
        } else {
            test_expect_text(&error, cases[index].part);
            assert_int_equal(error.status, MEMKV_UNAVAILABLE);
        }
        mkv_etcd_close(etcd);
        listener_close(listener);
    }
}

static void test_etcd_list__answer_without_end__is_cut_off(void **state) {
    (void)state;
    struct listener *listener = listener_open("200 OK", "{}", 2 * MKV_ETCD_ANSWER_BYTES_MAX);
    struct mkv_etcd *etcd = etcd_open(listener->text);
    struct mkv_server_list list;
    struct memkv_error error;
    assert_false(mkv_etcd_list(etcd, &patient, &list, &error));
    test_expect_text(&error, "its answer is too long");
    mkv_etcd_close(etcd);
    listener_close(listener);
}

static void test_etcd_list__silent_endpoint__is_given_up_in_time_or_when_told(void **state) {
    (void)state;
    struct listener *listener = listener_open(NULL, NULL, 0);
    struct mkv_etcd *etcd = etcd_open(listener->text);
    struct mkv_server_list list;
    struct memkv_error error;
    const struct mkv_etcd_wait short_wait = {.stop = -1, .timeout_ms = 50};
    assert_false(mkv_etcd_list(etcd, &short_wait, &list, &error));
    test_expect_text(&error, "it does not answer in time");
    const int stop = eventfd(1, EFD_CLOEXEC);
    const struct mkv_etcd_wait stopped = {.stop = stop, .timeout_ms = TIMEOUT_MS};
    const uint64_t begin_ns = mkv_client_now_ns();
    assert_false(mkv_etcd_list(etcd, &stopped, &list, &error));
    assert_in_range(mkv_client_now_ns() - begin_ns, 0, TIMEOUT_MS / 2 * 1000000ull);
    close(stop);
    mkv_etcd_close(etcd);
    listener_close(listener);
}

static void test_etcd__first_endpoint_is_away__the_next_one_is_asked_and_kept(void **state) {
    (void)state;
    struct listener *listener = listener_open("200 OK", "{\"ID\":\"77\",\"TTL\":\"5\"}", 0);
    struct listener *away = listener_open("200 OK", "{}", 0);
    char text[200];
    const size_t away_bytes = strlen(away->text) - strlen("/memkv");
    snprintf(text, sizeof text, "%.*s,%s", (int)away_bytes, away->text, listener->text);
    listener_close(away);
    struct mkv_etcd *etcd = etcd_open(text);
    struct memkv_error error;
    for (uint32_t round = 0; round < 2; round++) {
        uint64_t lease = 0;
        if (!mkv_etcd_grant(etcd, &patient, 5, &lease, &error)) {
            fail_msg("%s", error.text);
        }
        assert_true(lease == 77);
    }
    assert_non_null(strstr(listener->request, "{\"TTL\":5}"));
    mkv_etcd_close(etcd);
    listener_close(listener);
}

static void test_etcd_keep_alive__lease_is_gone__is_told(void **state) {
    (void)state;
    static const struct {
        const char *body;
        bool is_alive;
    } cases[] = {{"{\"result\":{\"ID\":\"77\",\"TTL\":\"10\"}}", true},
                 {"{\"result\":{\"ID\":\"77\"}}", false},
                 {"{\"result\":{\"ID\":\"77\",\"TTL\":\"0\"}}", false}};
    for (size_t index = 0; index < sizeof cases / sizeof cases[0]; index++) {
        struct listener *listener = listener_open("200 OK", cases[index].body, 0);
        struct mkv_etcd *etcd = etcd_open(listener->text);
        struct memkv_error error;
        bool is_alive = !cases[index].is_alive;
        assert_true(mkv_etcd_keep_alive(etcd, &patient, 1ull << 62, &is_alive, &error));
        assert_int_equal(is_alive, cases[index].is_alive);
        assert_non_null(strstr(listener->request, "{\"ID\":\"4611686018427387904\"}"));
        mkv_etcd_close(etcd);
        listener_close(listener);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_etcd_base64__vectors_of_the_standard__both_ways),
        cmocka_unit_test(test_etcd_base64__what_is_none__is_refused),
        cmocka_unit_test(test_etcd_list__answers__are_taken_or_told_why_not),
        cmocka_unit_test(test_etcd_list__answer_without_end__is_cut_off),
        cmocka_unit_test(test_etcd_list__silent_endpoint__is_given_up_in_time_or_when_told),
        cmocka_unit_test(test_etcd__first_endpoint_is_away__the_next_one_is_asked_and_kept),
        cmocka_unit_test(test_etcd_keep_alive__lease_is_gone__is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
