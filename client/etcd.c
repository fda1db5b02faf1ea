/* SPDX-License-Identifier: Apache-2.0 */
#include "client/etcd.h"

#include <curl/curl.h>
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/engine.h"
#include "client/etcd_text.h"

#define NS_PER_MS 1000000u
#define URL_BYTES (MKV_CLIENT_ADDRESS_BYTES + 64u)
#define KEY_BYTES (MKV_ETCD_PREFIX_BYTES + MKV_CLIENT_ADDRESS_BYTES)
#define KEY_BASE64_BYTES MKV_ETCD_BASE64_BYTES(KEY_BYTES)
#define VALUE_BYTES 1024u
#define SCHEME "http://"

struct mkv_etcd {
    uint32_t endpoint_count;
    uint32_t endpoint_last; /* that answered */
    char endpoints[MKV_ETCD_ENDPOINTS_MAX][MKV_CLIENT_ADDRESS_BYTES];
    char prefix[MKV_ETCD_PREFIX_BYTES]; /* "/memkv/" */
    CURL *curl;
    CURLM *multi;
    struct curl_slist *headers;
    char curl_problem[CURL_ERROR_SIZE];
    size_t answer_bytes;
    char answer[MKV_ETCD_ANSWER_BYTES_MAX];
};

/* ---- opening -------------------------------------------------------------------------------- */

static bool refuse(struct memkv_error *error, const char *problem) {
    mkv_client_fail(error, MEMKV_INVALID,
                    "etcd: %s; write etcd:http://HOST:PORT/PREFIX, with several of "
                    "http://HOST:PORT with commas between them",
                    problem);
    return false;
}

/* One of http://HOST:PORT, which ends at `end`. */
static bool endpoint_take(struct mkv_etcd *etcd, const char *text, const char *end,
                          struct memkv_error *error) {
    struct mkv_client_address all[MKV_CLIENT_SERVERS_MAX];
    char address[MKV_CLIENT_ADDRESS_BYTES];
    uint32_t count = 0;
    const size_t scheme_bytes = sizeof SCHEME - 1u;
    const size_t text_bytes = (size_t)(end - text);
    if (text_bytes < scheme_bytes || strncmp(text, SCHEME, scheme_bytes) != 0) {
        return refuse(error, "an endpoint does not begin with http://");
    }
    const size_t address_bytes = text_bytes - scheme_bytes;
    if (address_bytes >= sizeof address || etcd->endpoint_count == MKV_ETCD_ENDPOINTS_MAX) {
        return refuse(error, "an endpoint is too long, or there are more than 8");
    }
    memcpy(address, text + scheme_bytes, address_bytes);
    address[address_bytes] = '\0';
    if (strchr(address, '*') != NULL ||
        mkv_client_servers_parse("etcd: endpoint", address, all, &count, error) != MEMKV_OK) {
        return strchr(address, '*') != NULL ? refuse(error, "an endpoint has no weight") : false;
    }
    memcpy(etcd->endpoints[etcd->endpoint_count++], all[0].text, sizeof etcd->endpoints[0]);
    return true;
}

static bool text_take(struct mkv_etcd *etcd, const char *text, struct memkv_error *error) {
    const char *next = text;
    for (;;) {
        const size_t scheme_bytes =
            strncmp(next, SCHEME, sizeof SCHEME - 1u) == 0 ? sizeof SCHEME - 1u : 0;
        const char *end = next + scheme_bytes + strcspn(next + scheme_bytes, ",/");
        if (!endpoint_take(etcd, next, end, error)) {
            return false;
        }
        if (*end != ',') {
            next = end;
            break;
        }
        next = end + 1;
    }
    size_t prefix_bytes = strlen(next);
    const bool is_ended = prefix_bytes > 0 && next[prefix_bytes - 1] == '/';
    if (prefix_bytes < 2) {
        return refuse(error, "the prefix of the keys is missing");
    }
    if (prefix_bytes + 2 > sizeof etcd->prefix) {
        return refuse(error, "the prefix of the keys is too long");
    }
    for (const char *byte = next; *byte != '\0'; byte++) {
        if (*byte <= ' ' || *byte > '~') {
            return refuse(error, "the prefix of the keys has a character that is not printable");
        }
    }
    snprintf(etcd->prefix, sizeof etcd->prefix, is_ended ? "%s" : "%s/", next);
    return true;
}

static size_t on_answer(char *bytes, size_t size, size_t count, void *context) {
    struct mkv_etcd *etcd = context;
    MKV_ASSERT(size == 1);
    if (count > sizeof etcd->answer - etcd->answer_bytes) {
        return 0; /* ends the transfer */
    }
    memcpy(etcd->answer + etcd->answer_bytes, bytes, count);
    etcd->answer_bytes += count;
    return count;
}

/* An option that this libcurl does not take is a fault of the build, not of the moment. */
#define SET(option, value)                                                                         \
    do {                                                                                           \
        const CURLcode set = curl_easy_setopt(etcd->curl, option, value);                          \
        MKV_ASSERT(set == CURLE_OK || set == CURLE_OUT_OF_MEMORY);                                 \
    } while (0)

static bool curl_begin(struct mkv_etcd *etcd) {
    etcd->multi = curl_multi_init();
    etcd->curl = curl_easy_init();
    etcd->headers = curl_slist_append(NULL, "Content-Type: application/json");
    if (etcd->multi == NULL || etcd->curl == NULL || etcd->headers == NULL) {
        return false;
    }
    SET(CURLOPT_PROTOCOLS_STR, "http");
    SET(CURLOPT_NOPROXY, "*"); /* etcd is near; what the environment says is for other programs */
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_QUICK_EXIT, 1L); /* do not wait for a resolver that hangs */
    SET(CURLOPT_USERAGENT, "memkv");
    SET(CURLOPT_HTTPHEADER, etcd->headers);
    SET(CURLOPT_ERRORBUFFER, etcd->curl_problem);
    SET(CURLOPT_WRITEFUNCTION, on_answer);
    SET(CURLOPT_WRITEDATA, etcd);
    SET(CURLOPT_POST, 1L);
    return true;
}

struct mkv_etcd *mkv_etcd_open(const char *text, struct memkv_error *error) {
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        mkv_client_fail(error, MEMKV_NO_MEMORY, "etcd: libcurl does not begin");
        return NULL;
    }
    struct mkv_etcd *etcd = calloc(1, sizeof *etcd);
    if (etcd == NULL) {
        curl_global_cleanup();
        mkv_client_fail(error, MEMKV_NO_MEMORY, "etcd: no memory");
        return NULL;
    }
    bool is_made = text_take(etcd, text, error);
    if (is_made && !curl_begin(etcd)) {
        mkv_client_fail(error, MEMKV_NO_MEMORY, "etcd: no memory");
        is_made = false;
    }
    if (!is_made) {
        mkv_etcd_close(etcd);
        return NULL;
    }
    return etcd;
}

void mkv_etcd_close(struct mkv_etcd *etcd) {
    if (etcd == NULL) {
        return;
    }
    if (etcd->curl != NULL) {
        curl_easy_cleanup(etcd->curl);
    }
    if (etcd->multi != NULL) {
        curl_multi_cleanup(etcd->multi);
    }
    curl_slist_free_all(etcd->headers);
    free(etcd);
    curl_global_cleanup();
}

/* ---- calls ---------------------------------------------------------------------------------- */

/* Carries the prepared transfer out. False: *problem says why there is no answer. */
static bool transfer(struct mkv_etcd *etcd, int stop, uint64_t deadline_ns, const char **problem) {
    struct curl_waitfd stops = {.fd = stop, .events = CURL_WAIT_POLLIN};
    bool is_done = false;
    CURLcode result = CURLE_OK;
    *problem = "it does not answer in time";
    if (curl_multi_add_handle(etcd->multi, etcd->curl) != CURLM_OK) {
        *problem = "no memory";
        return false;
    }
    for (;;) {
        int running = 0;
        int left = 0;
        const CURLMsg *message = NULL;
        if (curl_multi_perform(etcd->multi, &running) != CURLM_OK) {
            *problem = "no memory";
            break;
        }
        while ((message = curl_multi_info_read(etcd->multi, &left)) != NULL) {
            is_done = is_done || message->msg == CURLMSG_DONE;
            result = message->msg == CURLMSG_DONE ? message->data.result : result;
        }
        const uint64_t now_ns = mkv_client_now_ns();
        if (is_done || now_ns >= deadline_ns) {
            break;
        }
        const int wait_ms = (int)((deadline_ns - now_ns + NS_PER_MS - 1) / NS_PER_MS);
        stops.revents = 0;
        (void)curl_multi_poll(etcd->multi, &stops, stop >= 0 ? 1 : 0, wait_ms, NULL);
        if (stops.revents != 0) {
            *problem = "it is not waited for any more";
            break;
        }
    }
    (void)curl_multi_remove_handle(etcd->multi, etcd->curl);
    if (is_done && result != CURLE_OK) {
        *problem = result == CURLE_WRITE_ERROR     ? "its answer is too long"
                   : etcd->curl_problem[0] != '\0' ? etcd->curl_problem
                                                   : curl_easy_strerror(result);
    }
    return is_done && result == CURLE_OK;
}

/* What etcd says of what it does not do. */
static void tell_refusal(const struct mkv_etcd *etcd, const char *endpoint, long status,
                         struct memkv_error *error) {
    char text[128] = "";
    json_error_t fault;
    json_t *answer = json_loadb(etcd->answer, etcd->answer_bytes, 0, &fault);
    const char *said = json_string_value(json_object_get(answer, "error"));
    if (said != NULL) {
        mkv_client_text_copy((const uint8_t *)said, strlen(said), text, sizeof text);
    }
    json_decref(answer);
    mkv_client_fail(error, MEMKV_UNAVAILABLE, "etcd %.60s: it answers with HTTP status %ld%s%s",
                    endpoint, status, text[0] != '\0' ? ": " : "", text);
}

/* Asks one endpoint. NULL: *error tells why there is no answer. */
static json_t *ask(struct mkv_etcd *etcd, uint32_t endpoint, const char *path, const char *body,
                   int stop, uint64_t deadline_ns, struct memkv_error *error) {
    char url[URL_BYTES];
    const char *problem = NULL;
    const char *name = etcd->endpoints[endpoint];
    long status = 0;
    snprintf(url, sizeof url, SCHEME "%s%s", name, path);
    SET(CURLOPT_URL, url);
    SET(CURLOPT_POSTFIELDS, body);
    SET(CURLOPT_POSTFIELDSIZE, (long)strlen(body));
    etcd->answer_bytes = 0;
    etcd->curl_problem[0] = '\0';
    if (!transfer(etcd, stop, deadline_ns, &problem)) {
        mkv_client_fail(error, MEMKV_UNAVAILABLE, "etcd %.60s: %s", name, problem);
        return NULL;
    }
    (void)curl_easy_getinfo(etcd->curl, CURLINFO_RESPONSE_CODE, &status);
    if (status != 200) {
        tell_refusal(etcd, name, status, error);
        return NULL;
    }
    json_error_t fault;
    json_t *answer = json_loadb(etcd->answer, etcd->answer_bytes, JSON_REJECT_DUPLICATES, &fault);
    if (!json_is_object(answer)) {
        mkv_client_fail(error, MEMKV_UNAVAILABLE,
                        "etcd %.60s: its answer is not JSON; is this the client port of etcd?",
                        name);
        json_decref(answer);
        return NULL;
    }
    return answer;
}

/* Asks the endpoints, one after the other; takes `request` over, which is NULL without memory. */
static json_t *call(struct mkv_etcd *etcd, const struct mkv_etcd_wait *wait, const char *path,
                    json_t *request, struct memkv_error *error) {
    char *body = request != NULL ? json_dumps(request, JSON_COMPACT) : NULL;
    json_decref(request);
    if (body == NULL) {
        mkv_client_fail(error, MEMKV_NO_MEMORY, "etcd: no memory");
        return NULL;
    }
    const uint64_t begin_ns = mkv_client_now_ns();
    const uint64_t end_ns = begin_ns + (uint64_t)wait->timeout_ms * NS_PER_MS;
    json_t *answer = NULL;
    for (uint32_t tried = 0; tried < etcd->endpoint_count && answer == NULL; tried++) {
        const uint32_t endpoint = (etcd->endpoint_last + tried) % etcd->endpoint_count;
        const uint64_t now_ns = mkv_client_now_ns();
        const uint64_t left_ns = end_ns > now_ns ? end_ns - now_ns : 0;
        answer = ask(etcd, endpoint, path, body, wait->stop,
                     now_ns + left_ns / (etcd->endpoint_count - tried), error);
        if (answer != NULL) {
            etcd->endpoint_last = endpoint;
        }
    }
    free(body);
    return answer;
}

/* A number that travels as a text, or as one. 0: it is none. */
static uint64_t number_of(const json_t *value) {
    const char *text = json_string_value(value);
    if (text != NULL) {
        char *end = NULL;
        errno = 0;
        const unsigned long long number = strtoull(text, &end, 10);
        return errno == 0 && end != text && *end == '\0' ? number : 0;
    }
    return json_is_integer(value) && json_integer_value(value) > 0
               ? (uint64_t)json_integer_value(value)
               : 0;
}

static bool tell_strange(struct memkv_error *error, const char *what) {
    mkv_client_fail(error, MEMKV_UNAVAILABLE, "etcd: %s", what);
    return false;
}

/* ---- reading -------------------------------------------------------------------------------- */

static void key_of(const struct mkv_etcd *etcd, const char *name, char out[KEY_BASE64_BYTES]) {
    char key[KEY_BYTES];
    const int key_bytes = snprintf(key, sizeof key, "%s%s", etcd->prefix, name);
    MKV_ASSERT(key_bytes > 0);
    MKV_ASSERT((size_t)key_bytes < sizeof key);
    mkv_etcd_base64(key, (size_t)key_bytes, out);
}

/* One more server of the list, from a key's value. */
static bool server_take(const json_t *entry, struct mkv_server_list *list,
                        struct memkv_error *error) {
    struct mkv_client_address one[MKV_CLIENT_SERVERS_MAX];
    struct memkv_error inner;
    uint32_t count = 0;
    char text[VALUE_BYTES];
    char server[MKV_CLIENT_ADDRESS_BYTES + 12u];
    const char *encoded = json_string_value(json_object_get(entry, "value"));
    if (encoded == NULL || !mkv_etcd_base64_text(encoded, text, sizeof text)) {
        return tell_strange(error, "a key's value is too long, or no text");
    }
    json_error_t fault;
    json_t *value = json_loads(text, 0, &fault);
    const char *address = json_string_value(json_object_get(value, "address"));
    const json_t *weight = json_object_get(value, "weight");
    const bool is_sound = address != NULL && strlen(address) < MKV_CLIENT_ADDRESS_BYTES &&
                          strpbrk(address, ",*") == NULL &&
                          (weight == NULL || json_is_integer(weight));
    if (is_sound) {
        snprintf(server, sizeof server, "%s*%" PRId64, address,
                 weight != NULL ? (int64_t)json_integer_value(weight) : (int64_t)1);
    }
    json_decref(value);
    if (!is_sound) {
        return tell_strange(error, "a key's value is not {\"address\": \"HOST:PORT\", "
                                   "\"weight\": 1}; delete the key, or put such a value");
    }
    if (mkv_client_servers_parse("server", server, one, &count, &inner) != MEMKV_OK) {
        return tell_strange(error, inner.text);
    }
    if (list->count == MKV_CLIENT_SERVERS_MAX) {
        return tell_strange(error, "there are more than the 64 servers that a client may have");
    }
    list->servers[list->count++] = one[0];
    return true;
}

bool mkv_etcd_list(struct mkv_etcd *etcd, const struct mkv_etcd_wait *wait,
                   struct mkv_server_list *list, struct memkv_error *error) {
    char begin[KEY_BASE64_BYTES];
    char end[KEY_BASE64_BYTES];
    char behind[MKV_ETCD_PREFIX_BYTES];
    key_of(etcd, "", begin);
    /* The first key that does not begin with the prefix: it ends with '/', which '0' follows. */
    const size_t prefix_bytes = strlen(etcd->prefix);
    memcpy(behind, etcd->prefix, prefix_bytes);
    behind[prefix_bytes - 1] = '0';
    mkv_etcd_base64(behind, prefix_bytes, end);
    json_t *answer = call(etcd, wait, "/v3/kv/range",
                          json_pack("{s:s,s:s,s:i}", "key", begin, "range_end", end, "limit",
                                    (int)MKV_CLIENT_SERVERS_MAX + 1),
                          error);
    if (answer == NULL) {
        return false;
    }
    bool is_taken = true;
    size_t index = 0;
    const json_t *entry = NULL;
    list->count = 0;
    json_array_foreach(json_object_get(answer, "kvs"), index, entry) {
        is_taken = is_taken && server_take(entry, list, error);
    }
    json_decref(answer);
    if (is_taken && list->count == 0) {
        mkv_client_fail(error, MEMKV_UNAVAILABLE, "etcd: there is no server below %.100s",
                        etcd->prefix);
        is_taken = false;
    }
    return is_taken;
}

bool mkv_etcd_look(struct mkv_etcd *etcd, const struct mkv_etcd_wait *wait,
                   const struct mkv_etcd_server *server, uint64_t lease, bool *is_there,
                   struct memkv_error *error) {
    char key[KEY_BASE64_BYTES];
    key_of(etcd, server->address, key);
    json_t *answer =
        call(etcd, wait, "/v3/kv/range", json_pack("{s:s,s:b}", "key", key, "keys_only", 1), error);
    if (answer == NULL) {
        return false;
    }
    const json_t *entry = json_array_get(json_object_get(answer, "kvs"), 0);
    *is_there = number_of(json_object_get(entry, "lease")) == lease;
    json_decref(answer);
    return true;
}

/* ---- a server's own ------------------------------------------------------------------------- */

/* 64-bit numbers travel as texts. */
static json_t *pack_lease(uint64_t lease) {
    char text[24];
    snprintf(text, sizeof text, "%" PRIu64, lease);
    return json_pack("{s:s}", "ID", text);
}

bool mkv_etcd_grant(struct mkv_etcd *etcd, const struct mkv_etcd_wait *wait, uint32_t ttl_s,
                    uint64_t *lease, struct memkv_error *error) {
    json_t *answer =
        call(etcd, wait, "/v3/lease/grant", json_pack("{s:i}", "TTL", (int)ttl_s), error);
    if (answer == NULL) {
        return false;
    }
    *lease = number_of(json_object_get(answer, "ID"));
    json_decref(answer);
    return *lease != 0 || tell_strange(error, "it grants a lease without a number");
}

bool mkv_etcd_keep_alive(struct mkv_etcd *etcd, const struct mkv_etcd_wait *wait, uint64_t lease,
                         bool *is_alive, struct memkv_error *error) {
    json_t *answer = call(etcd, wait, "/v3/lease/keepalive", pack_lease(lease), error);
    if (answer == NULL) {
        return false;
    }
    /* Of a lease that is gone it says no time, or 0. */
    *is_alive = number_of(json_object_get(json_object_get(answer, "result"), "TTL")) > 0;
    json_decref(answer);
    return true;
}

bool mkv_etcd_revoke(struct mkv_etcd *etcd, const struct mkv_etcd_wait *wait, uint64_t lease,
                     struct memkv_error *error) {
    json_t *answer = call(etcd, wait, "/v3/lease/revoke", pack_lease(lease), error);
    json_decref(answer);
    return answer != NULL;
}

bool mkv_etcd_put(struct mkv_etcd *etcd, const struct mkv_etcd_wait *wait,
                  const struct mkv_etcd_server *server, uint64_t lease, struct memkv_error *error) {
    char key[KEY_BASE64_BYTES];
    char value[MKV_ETCD_BASE64_BYTES(VALUE_BYTES)];
    char number[24];
    json_t *says = json_pack("{s:s,s:i,s:s}", "address", server->address, "weight",
                             (int)server->weight, "node", server->node);
    char *text = says != NULL ? json_dumps(says, JSON_COMPACT) : NULL;
    json_decref(says);
    if (text == NULL || strlen(text) >= VALUE_BYTES) {
        free(text);
        return tell_strange(error, "no memory for a server's value");
    }
    key_of(etcd, server->address, key);
    mkv_etcd_base64(text, strlen(text), value);
    free(text);
    snprintf(number, sizeof number, "%" PRIu64, lease);
    json_t *answer =
        call(etcd, wait, "/v3/kv/put",
             json_pack("{s:s,s:s,s:s}", "key", key, "value", value, "lease", number), error);
    json_decref(answer);
    return answer != NULL;
}
