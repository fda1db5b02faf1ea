/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/http.h"

#include <errno.h>
#include <fcntl.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "admin/exposition.h"
#include "admin/health.h"
#include "admin/routes.h"
#include "admin/status_json.h"
#include "admin/text.h"

/* What an error message shows of a path or method. */
#define SHOWN_BYTES 128u
#define NS_PER_S 1000000000ull

struct mkv_admin_http {
    struct MHD_Daemon *daemon;
    struct mkv_admin_provider provider;
    struct mkv_admin_snapshot *snapshot;
    struct mkv_admin_counters counters;
};

static uint64_t now_ns(void) {
    struct timespec now;
    MKV_ASSERT(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

/* ---- answers --------------------------------------------------------------------------------- */

__attribute__((format(printf, 2, 3))) static struct mkv_admin_reply refuse(unsigned status,
                                                                           const char *format,
                                                                           ...) {
    char message[2 * SHOWN_BYTES + 256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    json_t *paths = json_array();
    for (uint32_t index = 0; index < MKV_ADMIN_PATH_COUNT; index++) {
        json_array_append_new(paths, json_string(mkv_admin_paths[index]));
    }
    return mkv_admin_reply_json(status, json_pack("{s:s, s:o}", "error", message, "paths", paths));
}

static struct mkv_admin_reply make_metrics(struct mkv_admin_http *http) {
    const uint64_t start_ns = now_ns();
    struct mkv_admin_process process;
    mkv_admin_process_read(&process);
    const struct mkv_metric_sources sources = {
        .snapshot = http->snapshot,
        .counters = &http->counters,
        .process = &process,
    };
    const struct mkv_admin_reply reply = mkv_admin_metrics(&sources, MKV_EXPOSITION_TEXT);
    http->counters.scrape_ns = now_ns() - start_ns;
    return reply;
}

/* The name of a tenant that a path names, or NULL. */
static const char *tenant_of(const char *path) {
    const size_t prefix_bytes = strlen(MKV_ADMIN_TENANT_PREFIX);
    return strncmp(path, MKV_ADMIN_TENANT_PREFIX, prefix_bytes) == 0 ? path + prefix_bytes : NULL;
}

static struct mkv_admin_reply drop_tenant(struct mkv_admin_http *http, const char *name) {
    char shown[SHOWN_BYTES];
    mkv_text_clean(name, shown, sizeof shown);
    if (!mkv_tenant_name_is_valid(name, strlen(name))) {
        return refuse(MHD_HTTP_BAD_REQUEST,
                      "tenant '%s': a name has 1 to 79 characters of A-Z a-z 0-9 . _ -", shown);
    }
    const enum mkv_status status = http->provider.tenant_drop == NULL
                                       ? MKV_STATUS_UNAVAILABLE
                                       : http->provider.tenant_drop(http->provider.context, name);
    if (status == MKV_STATUS_OK) {
        return mkv_admin_reply_json(MHD_HTTP_OK, json_pack("{s:s}", "dropped", name));
    }
    if (status == MKV_STATUS_NOT_FOUND) {
        return refuse(MHD_HTTP_NOT_FOUND, "there is no tenant '%s'", shown);
    }
    if (status == MKV_STATUS_FORBIDDEN) {
        return refuse(MHD_HTTP_CONFLICT, "the tenant '%s' cannot be dropped; delete its keys",
                      shown);
    }
    if (status == MKV_STATUS_UNAVAILABLE) {
        return refuse(MHD_HTTP_SERVICE_UNAVAILABLE,
                      "the node does not serve now; drop the tenant when it does");
    }
    return refuse(MHD_HTTP_INTERNAL_SERVER_ERROR,
                  "tenant '%s': not every drive has answered that it is dropped; see the drives in "
                  "memkv admin status, and drop it again",
                  shown);
}

static struct mkv_admin_reply make_reply(struct mkv_admin_http *http, const char *path,
                                         const char *method) {
    const uint32_t path_index = mkv_admin_path_find(path);
    http->counters.requests_total[path_index]++;
    char shown[SHOWN_BYTES];
    const char *tenant = tenant_of(path);
    if (tenant != NULL && strcmp(method, MHD_HTTP_METHOD_DELETE) == 0) {
        return drop_tenant(http, tenant);
    }
    if (tenant != NULL) {
        return refuse(MHD_HTTP_METHOD_NOT_ALLOWED,
                      "the path of one tenant takes DELETE; all are in /v1/tenants");
    }
    if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0) {
        mkv_text_clean(method, shown, sizeof shown);
        return refuse(MHD_HTTP_METHOD_NOT_ALLOWED,
                      "this path of the admin listener takes GET and HEAD, not %s", shown);
    }
    const enum mkv_admin_endpoint endpoint = mkv_admin_path_endpoint(path_index);
    if (endpoint == MKV_ADMIN_ENDPOINT_NONE) {
        mkv_text_clean(path, shown, sizeof shown);
        return refuse(MHD_HTTP_NOT_FOUND, "there is no %s; the paths are listed here", shown);
    }
    memset(http->snapshot, 0, sizeof *http->snapshot);
    http->provider.snapshot(http->provider.context, http->snapshot);
    switch (endpoint) {
    case MKV_ADMIN_ENDPOINT_LIVE:
        return mkv_admin_live(http->snapshot);
    case MKV_ADMIN_ENDPOINT_HEALTH:
        return mkv_admin_health(http->snapshot);
    case MKV_ADMIN_ENDPOINT_READY:
        return mkv_admin_ready(http->snapshot);
    case MKV_ADMIN_ENDPOINT_STATUS:
        return mkv_admin_status(http->snapshot);
    case MKV_ADMIN_ENDPOINT_METRICS:
        return make_metrics(http);
    case MKV_ADMIN_ENDPOINT_TENANTS:
        return mkv_admin_tenants(http->snapshot);
    case MKV_ADMIN_ENDPOINT_NONE:
        break;
    }
    MKV_ASSERT(false);
    return (struct mkv_admin_reply){0};
}

/* Gives the body away. MHD_NO, also for a body that found no memory, closes the connection. */
static enum MHD_Result send_reply(struct MHD_Connection *connection, struct mkv_admin_reply reply,
                                  const char *allowed) {
    if (reply.body == NULL) {
        return MHD_NO;
    }
    struct MHD_Response *response =
        MHD_create_response_from_buffer(reply.body_bytes, reply.body, MHD_RESPMEM_MUST_FREE);
    if (response == NULL) {
        free(reply.body);
        return MHD_NO;
    }
    enum MHD_Result result =
        MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, reply.content_type);
    if (result == MHD_YES) {
        result = MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    }
    if (result == MHD_YES && reply.status == MHD_HTTP_METHOD_NOT_ALLOWED) {
        result = MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, allowed);
    }
    if (result == MHD_YES) {
        result = MHD_queue_response(connection, reply.status, response);
    }
    MHD_destroy_response(response);
    return result;
}

/* ---- requests -------------------------------------------------------------------------------- */

static bool announces_too_much(struct MHD_Connection *connection) {
    const char *length =
        MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_LENGTH);
    return length != NULL && strtoull(length, NULL, 10) > MKV_ADMIN_BODY_BYTES_MAX;
}

/*
 * Called once when the headers are there, once for each piece of a body, and once at the end, which
 * is when the answer is made. *state counts what was read of the body, and 1 for the first call, so
 * that a request needs no memory of its own.
 */
static enum MHD_Result on_request(void *context, struct MHD_Connection *connection,
                                  const char *path, const char *method, const char *version,
                                  const char *upload, size_t *upload_bytes, void **state) {
    (void)version;
    (void)upload;
    struct mkv_admin_http *http = context;
    if (*state == NULL) {
        *state = (void *)(uintptr_t)1;
        if (announces_too_much(connection)) {
            return send_reply(connection,
                              refuse(MHD_HTTP_CONTENT_TOO_LARGE,
                                     "a body has no meaning here, and at most %u bytes",
                                     MKV_ADMIN_BODY_BYTES_MAX),
                              NULL);
        }
        return MHD_YES;
    }
    if (*upload_bytes > 0) {
        const uintptr_t taken = (uintptr_t)*state + *upload_bytes;
        if (taken > (uintptr_t)MKV_ADMIN_BODY_BYTES_MAX + 1) {
            return MHD_NO;
        }
        *state = (void *)taken;
        *upload_bytes = 0;
        return MHD_YES;
    }
    return send_reply(connection, make_reply(http, path, method),
                      tenant_of(path) != NULL ? "DELETE" : "GET, HEAD");
}

/* ---- start and stop -------------------------------------------------------------------------- */

static bool is_loopback(int fd) {
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } address;
    socklen_t bytes = sizeof address;
    if (getsockname(fd, &address.any, &bytes) != 0) {
        return false;
    }
    if (address.any.sa_family == AF_INET) {
        return ntohl(address.v4.sin_addr.s_addr) >> 24 == 127;
    }
    return address.any.sa_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&address.v6.sin6_addr);
}

/* The library accepts until there is nobody left, which must not wait. */
static bool make_nonblocking(int fd) {
    const int flags = fcntl(fd, F_GETFL);
    return flags >= 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0;
}

/* Starts the library's thread with all signals blocked: they are for the daemon's main thread. */
static struct MHD_Daemon *start_daemon(int listen_fd, struct mkv_admin_http *http) {
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    MKV_ASSERT(pthread_sigmask(SIG_SETMASK, &all, &before) == 0);
    struct MHD_Daemon *daemon = MHD_start_daemon(
        MHD_USE_AUTO_INTERNAL_THREAD | MHD_USE_ITC, 0, NULL, NULL, on_request, http,
        MHD_OPTION_LISTEN_SOCKET, (MHD_socket)listen_fd, MHD_OPTION_CONNECTION_LIMIT,
        MKV_ADMIN_CONNECTIONS_MAX, MHD_OPTION_CONNECTION_TIMEOUT, MKV_ADMIN_IDLE_S_MAX,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)MKV_ADMIN_CONNECTION_BYTES, MHD_OPTION_END);
    MKV_ASSERT(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
    return daemon;
}

bool mkv_admin_http_start(int listen_fd, const struct mkv_admin_provider *provider,
                          struct mkv_admin_http **http, char error[MKV_ADMIN_ERROR_BYTES]) {
    MKV_ASSERT(provider->snapshot != NULL);
    if (!is_loopback(listen_fd)) {
        snprintf(error, MKV_ADMIN_ERROR_BYTES,
                 "the admin listener authenticates nobody and serves loopback only; set "
                 "network.admin_address to 127.0.0.1:PORT");
        return false;
    }
    struct mkv_admin_http *made = calloc(1, sizeof *made);
    struct mkv_admin_snapshot *snapshot = calloc(1, sizeof *snapshot);
    if (made != NULL && snapshot != NULL && make_nonblocking(listen_fd)) {
        made->provider = *provider;
        made->snapshot = snapshot;
        made->daemon = start_daemon(listen_fd, made);
    }
    if (made == NULL || made->daemon == NULL) {
        snprintf(error, MKV_ADMIN_ERROR_BYTES,
                 "the admin listener cannot start: %s; free memory, threads or descriptors",
                 strerror(errno));
        free(snapshot);
        free(made);
        return false;
    }
    *http = made;
    return true;
}

void mkv_admin_http_stop(struct mkv_admin_http *http) {
    if (http == NULL) {
        return;
    }
    MHD_stop_daemon(http->daemon);
    free(http->snapshot);
    free(http);
}
