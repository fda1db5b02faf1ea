/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/otlp_transport.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define CONNECT_TIMEOUT_MS 3000L
#define NS_PER_MS 1000000u
#define NS_PER_S 1000000000ull
/* The longest wait that a collector may ask for. */
#define RETRY_AFTER_S_MAX 60u
#define URL_BYTES (MKV_OTLP_ENDPOINT_BYTES + 128u)
#define GRPC_STATUS_NONE (-1)

const struct mkv_otlp_service mkv_otlp_traces = {
    .http_path = "/v1/traces",
    .grpc_path = "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
};

const struct mkv_otlp_service mkv_otlp_logs = {
    .http_path = "/v1/logs",
    .grpc_path = "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
};

/* https://grpc.github.io/grpc/core/md_doc_statuscodes.html */
enum grpc_status {
    GRPC_OK = 0,
    GRPC_CANCELLED = 1,
    GRPC_DEADLINE_EXCEEDED = 4,
    GRPC_RESOURCE_EXHAUSTED = 8,
    GRPC_ABORTED = 10,
    GRPC_OUT_OF_RANGE = 11,
    GRPC_UNAVAILABLE = 14,
    GRPC_DATA_LOSS = 15,
};

struct mkv_otlp_transport {
    struct mkv_otlp_endpoint endpoint;
    const atomic_uint_fast64_t *give_up_ns;
    CURL *curl;
    struct curl_slist *headers;
    char curl_problem[CURL_ERROR_SIZE];
    /* Of the answer that is coming in. */
    uint8_t body[MKV_OTLP_ANSWER_BYTES_MAX];
    size_t body_bytes;
    int grpc_status;
    char grpc_message[128];
    unsigned retry_after_s;
};

static uint64_t monotonic_ns(void) {
    struct timespec now;
    const int result = clock_gettime(CLOCK_MONOTONIC, &now);
    MKV_ASSERT(result == 0);
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

/* ---- what curl calls ------------------------------------------------------------------------ */

static size_t on_body(char *bytes, size_t size, size_t count, void *context) {
    struct mkv_otlp_transport *transport = context;
    MKV_ASSERT(size == 1);
    if (count > sizeof transport->body - transport->body_bytes) {
        return 0; /* ends the transfer */
    }
    memcpy(transport->body + transport->body_bytes, bytes, count);
    transport->body_bytes += count;
    return count;
}

/* The value of the header line if it is of this name, without the line's end. */
static bool header_value(const char *line, size_t line_bytes, const char *name, char *value,
                         size_t value_bytes) {
    const size_t name_bytes = strlen(name);
    if (line_bytes <= name_bytes || strncasecmp(line, name, name_bytes) != 0 ||
        line[name_bytes] != ':') {
        return false;
    }
    size_t start = name_bytes + 1;
    while (start < line_bytes && line[start] == ' ') {
        start++;
    }
    size_t length = 0;
    while (start + length < line_bytes && length + 1 < value_bytes &&
           (unsigned char)line[start + length] >= ' ' && line[start + length] != 0x7f) {
        value[length] = line[start + length];
        length++;
    }
    value[length] = '\0';
    return true;
}

static int hex_digit(char c) {
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    const char low = (char)(c | 0x20);
    return low >= 'a' && low <= 'f' ? low - 'a' + 10 : -1;
}

/* gRPC writes what is no plain character of its message as %XX. What is not printable then does not
 * get into a log. */
static void decode_percent(char *text) {
    char *target = text;
    for (const char *source = text; *source != '\0'; target++) {
        const int high = source[0] == '%' ? hex_digit(source[1]) : -1;
        const int low = high >= 0 ? hex_digit(source[2]) : -1;
        const int byte = low >= 0 ? high * 16 + low : (unsigned char)*source;
        *target = byte >= ' ' && byte < 0x7f ? (char)byte : '?';
        source += low >= 0 ? 3 : 1;
    }
    *target = '\0';
}

/* Headers, and behind the body the trailers, which is where gRPC says how the call ended. */
static size_t on_header(char *line, size_t size, size_t count, void *context) {
    struct mkv_otlp_transport *transport = context;
    MKV_ASSERT(size == 1);
    char value[16];
    if (header_value(line, count, "grpc-status", value, sizeof value)) {
        char *end;
        const long status = strtol(value, &end, 10);
        transport->grpc_status =
            end != value && *end == '\0' && status >= 0 && status <= 16 ? (int)status : 2;
    } else if (header_value(line, count, "retry-after", value, sizeof value)) {
        char *end;
        const long seconds = strtol(value, &end, 10);
        if (end != value && *end == '\0' && seconds > 0) {
            transport->retry_after_s =
                seconds < (long)RETRY_AFTER_S_MAX ? (unsigned)seconds : RETRY_AFTER_S_MAX;
        }
    } else if (header_value(line, count, "grpc-message", transport->grpc_message,
                            sizeof transport->grpc_message)) {
        decode_percent(transport->grpc_message);
    }
    return count;
}

static int on_progress(void *context, curl_off_t down_all, curl_off_t down, curl_off_t up_all,
                       curl_off_t up) {
    const struct mkv_otlp_transport *transport = context;
    (void)down_all;
    (void)down;
    (void)up_all;
    (void)up;
    return monotonic_ns() >= atomic_load_explicit(transport->give_up_ns, memory_order_relaxed);
}

/* ---- creation ------------------------------------------------------------------------------- */

static bool add_header(struct mkv_otlp_transport *transport, const char *line) {
    struct curl_slist *longer = curl_slist_append(transport->headers, line);
    if (longer != NULL) {
        transport->headers = longer;
    }
    return longer != NULL;
}

/* An option that this libcurl does not take is a fault of the build, not of the moment. */
#define SET(option, value)                                                                         \
    do {                                                                                           \
        const CURLcode set = curl_easy_setopt(transport->curl, option, value);                     \
        MKV_ASSERT(set == CURLE_OK || set == CURLE_OUT_OF_MEMORY);                                 \
    } while (0)

static void set_options(struct mkv_otlp_transport *transport, const char *user_agent) {
    SET(CURLOPT_PROTOCOLS_STR, "http");
    /* What the environment says of proxies is for other programs: a proxy does not pass on HTTP/2
     * in plain text. */
    SET(CURLOPT_NOPROXY, "*");
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_QUICK_EXIT, 1L); /* do not wait for a resolver that hangs */
    SET(CURLOPT_CONNECTTIMEOUT_MS, CONNECT_TIMEOUT_MS);
    SET(CURLOPT_USERAGENT, user_agent);
    SET(CURLOPT_HTTPHEADER, transport->headers);
    SET(CURLOPT_HTTP_VERSION, transport->endpoint.grpc ? (long)CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE
                                                       : (long)CURL_HTTP_VERSION_1_1);
    SET(CURLOPT_ERRORBUFFER, transport->curl_problem);
    SET(CURLOPT_WRITEFUNCTION, on_body);
    SET(CURLOPT_WRITEDATA, transport);
    SET(CURLOPT_HEADERFUNCTION, on_header);
    SET(CURLOPT_HEADERDATA, transport);
    SET(CURLOPT_XFERINFOFUNCTION, on_progress);
    SET(CURLOPT_XFERINFODATA, transport);
    SET(CURLOPT_NOPROGRESS, 0L);
    SET(CURLOPT_POST, 1L);
    /* libcurl 7.88 begins HTTP/2 anew on a connection of prior knowledge that it uses again, which
     * ends in an error of the framing. */
    SET(CURLOPT_FORBID_REUSE, transport->endpoint.grpc ? 1L : 0L);
}

struct mkv_otlp_transport *mkv_otlp_transport_create(const struct mkv_otlp_endpoint *endpoint,
                                                     const char *user_agent,
                                                     const atomic_uint_fast64_t *give_up_ns) {
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        return NULL;
    }
    struct mkv_otlp_transport *transport = calloc(1, sizeof *transport);
    if (transport == NULL) {
        curl_global_cleanup();
        return NULL;
    }
    transport->endpoint = *endpoint;
    transport->give_up_ns = give_up_ns;
    transport->curl = curl_easy_init();
    /* "Expect" without a value: a body is sent without asking first. */
    const bool has_all =
        transport->curl != NULL && add_header(transport, "Expect:") &&
        (endpoint->grpc ? add_header(transport, "Content-Type: application/grpc") &&
                              add_header(transport, "TE: trailers")
                        : add_header(transport, "Content-Type: application/x-protobuf"));
    if (!has_all) {
        mkv_otlp_transport_destroy(transport);
        return NULL;
    }
    set_options(transport, user_agent);
    return transport;
}

void mkv_otlp_transport_destroy(struct mkv_otlp_transport *transport) {
    if (transport == NULL) {
        return;
    }
    if (transport->curl != NULL) {
        curl_easy_cleanup(transport->curl);
    }
    curl_slist_free_all(transport->headers);
    free(transport);
    curl_global_cleanup();
}

/* ---- answers -------------------------------------------------------------------------------- */

static void judge_http(const struct mkv_otlp_transport *transport, long status,
                       struct mkv_otlp_answer *answer) {
    if (status >= 200 && status < 300) {
        answer->outcome = MKV_OTLP_DELIVERED;
        answer->message = transport->body;
        answer->message_bytes = transport->body_bytes;
        return;
    }
    const bool again = status == 429 || status == 502 || status == 503 || status == 504;
    answer->outcome = again ? MKV_OTLP_RETRY : MKV_OTLP_REFUSED;
    snprintf(answer->problem, sizeof answer->problem, "it answers with HTTP status %ld", status);
}

/* Whether the specification of OTLP lets a client try again. */
static bool grpc_may_retry(int status) {
    switch (status) {
    case GRPC_CANCELLED:
    case GRPC_DEADLINE_EXCEEDED:
    case GRPC_RESOURCE_EXHAUSTED:
    case GRPC_ABORTED:
    case GRPC_OUT_OF_RANGE:
    case GRPC_UNAVAILABLE:
    case GRPC_DATA_LOSS:
        return true;
    default:
        return false;
    }
}

static void judge_grpc(const struct mkv_otlp_transport *transport, long http_status,
                       struct mkv_otlp_answer *answer) {
    if (transport->grpc_status == GRPC_STATUS_NONE) {
        judge_http(transport, http_status, answer);
        if (answer->outcome == MKV_OTLP_DELIVERED) {
            answer->outcome = MKV_OTLP_REFUSED;
            snprintf(answer->problem, sizeof answer->problem,
                     "it answers without a grpc-status, so it speaks no gRPC");
        }
        return;
    }
    if (transport->grpc_status == GRPC_OK) {
        answer->outcome = MKV_OTLP_DELIVERED;
        if (transport->body_bytes >= MKV_OTLP_PREFIX_BYTES && transport->body[0] == 0) {
            answer->message = transport->body + MKV_OTLP_PREFIX_BYTES;
            answer->message_bytes = transport->body_bytes - MKV_OTLP_PREFIX_BYTES;
        }
        return;
    }
    answer->outcome = grpc_may_retry(transport->grpc_status) ? MKV_OTLP_RETRY : MKV_OTLP_REFUSED;
    snprintf(answer->problem, sizeof answer->problem, "it answers with gRPC status %d%s%s",
             transport->grpc_status, transport->grpc_message[0] == '\0' ? "" : ": ",
             transport->grpc_message);
}

/* ---- sending -------------------------------------------------------------------------------- */

static void put_prefix(uint8_t *buffer, size_t message_bytes) {
    MKV_ASSERT(message_bytes <= UINT32_MAX);
    const uint32_t bytes = (uint32_t)message_bytes;
    buffer[0] = 0; /* not compressed */
    buffer[1] = (uint8_t)(bytes >> 24);
    buffer[2] = (uint8_t)(bytes >> 16);
    buffer[3] = (uint8_t)(bytes >> 8);
    buffer[4] = (uint8_t)bytes;
}

void mkv_otlp_transport_send(struct mkv_otlp_transport *transport,
                             const struct mkv_otlp_service *service, uint8_t *buffer,
                             size_t message_bytes, uint64_t timeout_ns,
                             struct mkv_otlp_answer *answer) {
    const bool grpc = transport->endpoint.grpc;
    *answer = (struct mkv_otlp_answer){.outcome = MKV_OTLP_RETRY};
    transport->body_bytes = 0;
    transport->grpc_status = GRPC_STATUS_NONE;
    transport->grpc_message[0] = '\0';
    transport->retry_after_s = 0;
    transport->curl_problem[0] = '\0';

    char url[URL_BYTES];
    snprintf(url, sizeof url, "%s%s", transport->endpoint.base,
             grpc ? service->grpc_path : service->http_path);
    put_prefix(buffer, message_bytes);
    const size_t skipped = grpc ? 0 : MKV_OTLP_PREFIX_BYTES;
    SET(CURLOPT_URL, url);
    SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)(MKV_OTLP_PREFIX_BYTES + message_bytes - skipped));
    SET(CURLOPT_POSTFIELDS, buffer + skipped);
    SET(CURLOPT_TIMEOUT_MS, (long)(timeout_ns / NS_PER_MS) + 1);

    const CURLcode result = curl_easy_perform(transport->curl);
    if (result != CURLE_OK) {
        const char *problem = transport->curl_problem[0] != '\0' ? transport->curl_problem
                                                                 : curl_easy_strerror(result);
        snprintf(answer->problem, sizeof answer->problem, "%s", problem);
        return;
    }
    long status = 0;
    (void)curl_easy_getinfo(transport->curl, CURLINFO_RESPONSE_CODE, &status);
    if (grpc) {
        judge_grpc(transport, status, answer);
    } else {
        judge_http(transport, status, answer);
    }
    answer->retry_after_ns = transport->retry_after_s * NS_PER_S;
}
