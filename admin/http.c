/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "admin/later.h"
#include "admin/request.h"
#include "admin/text.h"

/* Groups of a peer on the Unix socket that are looked at; of one with more, none but its own. */
#define GROUPS_MAX 256u
/* What an error message shows of a path or method. */
#define SHOWN_BYTES 128u
#define CHALLENGE "Bearer realm=\"memkv admin\""

/* One socket. */
struct listener {
    struct mkv_admin_http *http;
    struct MHD_Daemon *daemon; /* NULL: there is no such socket */
    struct mkv_http_files files;
    /* The one before a reload, which takes no connection any more, and its files. Its thread reads
     * that it is; all else is whoever starts, reloads and stops. */
    _Atomic(struct MHD_Daemon *) retired;
    struct mkv_http_files retired_files;
    bool is_unix;
    bool metrics_only;
};

struct mkv_admin_http {
    struct mkv_admin_provider provider;
    struct mkv_admin_auth auth;
    struct listener tcp;
    struct listener local;
    struct listener metrics;
    bool profiles_anywhere;
    bool metrics_off;
    bool has_tls; /* on the TCP sockets: */
    struct mkv_http_tls tls;
    struct mkv_later *later;
    pthread_mutex_t waits_mutex; /* of handlers that wait; alone */
    pthread_mutex_t mutex;       /* of all that follows, and of all other handlers */
    struct mkv_admin_snapshot *snapshot;
    struct mkv_admin_counters counters;
};

/* Stands for the state of a request that has none yet, and whose path or query holds a NUL: what is
 * behind that nobody would see. */
static const char has_nul = '\0';

/* What is kept of a request while it is read. */
struct exchange {
    bool refused; /* the answer is on its way; what still comes is not looked at */
    size_t body_bytes;
    char *body;              /* NULL as long as there is none */
    struct mkv_later *later; /* not NULL: the answer is being made there */
};

/* ---- who asks -------------------------------------------------------------------------------- */

static void read_address(struct MHD_Connection *connection, struct mkv_admin_peer *peer) {
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    char text[INET6_ADDRSTRLEN] = "?";
    unsigned port = 0;
    if (info != NULL && info->client_addr != NULL && info->client_addr->sa_family == AF_INET) {
        struct sockaddr_in address;
        memcpy(&address, info->client_addr, sizeof address);
        (void)inet_ntop(AF_INET, &address.sin_addr, text, sizeof text);
        port = ntohs(address.sin_port);
    } else if (info != NULL && info->client_addr != NULL &&
               info->client_addr->sa_family == AF_INET6) {
        struct sockaddr_in6 address;
        memcpy(&address, info->client_addr, sizeof address);
        (void)inet_ntop(AF_INET6, &address.sin6_addr, text, sizeof text);
        port = ntohs(address.sin6_port);
    }
    const bool brackets = strchr(text, ':') != NULL;
    snprintf(peer->address, sizeof peer->address, "%s%s%s:%u", brackets ? "[" : "", text,
             brackets ? "]" : "", port);
}

/* Fills in who the kernel says that the peer is. False when it says nothing. */
static bool read_credentials(struct MHD_Connection *connection, struct mkv_admin_peer *peer,
                             uint32_t groups[GROUPS_MAX], uint32_t *group_count) {
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct ucred credentials;
    socklen_t bytes = sizeof credentials;
    if (info == NULL ||
        getsockopt(info->connect_fd, SOL_SOCKET, SO_PEERCRED, &credentials, &bytes) != 0) {
        return false;
    }
    peer->uid = credentials.uid;
    peer->gid = credentials.gid;
    peer->pid = (uint32_t)credentials.pid;
    _Static_assert(sizeof(gid_t) == sizeof groups[0], "groups are read as they are");
    bytes = GROUPS_MAX * sizeof groups[0];
    const bool has_groups =
        getsockopt(info->connect_fd, SOL_SOCKET, SO_PEERGROUPS, groups, &bytes) == 0;
    *group_count = has_groups ? bytes / (uint32_t)sizeof groups[0] : 0;
    return true;
}

static void identify(const struct listener *listener, struct MHD_Connection *connection,
                     struct mkv_admin_peer *peer) {
    uint32_t groups[GROUPS_MAX];
    uint32_t group_count = 0;
    *peer = (struct mkv_admin_peer){0};
    if (listener->is_unix) {
        snprintf(peer->address, sizeof peer->address, "unix");
        peer->over_socket = read_credentials(connection, peer, groups, &group_count);
    } else {
        read_address(connection, peer);
    }
    const char *authorization =
        MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_AUTHORIZATION);
    mkv_admin_auth_judge(&listener->http->auth, authorization, groups, group_count, peer);
}

/* ---- answers --------------------------------------------------------------------------------- */

static struct mkv_admin_reply with_paths(unsigned status, const char *message) {
    json_t *paths = json_array();
    for (uint32_t index = 0; index < MKV_ADMIN_PATH_COUNT; index++) {
        json_array_append_new(paths, json_string(mkv_admin_paths[index]));
    }
    return mkv_admin_reply_json(status, json_pack("{s:s, s:o}", "error", message, "paths", paths));
}

/* What does not lead to a handler: no such path, or not with this method. */
static struct mkv_admin_reply refuse_route(const struct mkv_admin_request *request,
                                           enum mkv_admin_path path) {
    char shown[SHOWN_BYTES];
    char message[2 * SHOWN_BYTES];
    if (path == MKV_ADMIN_PATH_OTHER) {
        mkv_text_clean(request->path, shown, sizeof shown);
        snprintf(message, sizeof message, "there is no %s; the paths are listed here", shown);
        return with_paths(MHD_HTTP_NOT_FOUND, message);
    }
    char methods[MKV_ADMIN_METHODS_BYTES];
    mkv_admin_path_methods(path, methods);
    mkv_text_clean(request->method, shown, sizeof shown);
    snprintf(message, sizeof message, "this path of the admin listener takes %s, not %s", methods,
             shown);
    return with_paths(MHD_HTTP_METHOD_NOT_ALLOWED, message);
}

/* The peer's role does not suffice. */
static struct mkv_admin_reply refuse_peer(struct mkv_admin_http *http,
                                          const struct mkv_admin_request *request,
                                          enum mkv_admin_role role) {
    const struct mkv_admin_peer *peer = &request->peer;
    /* Who is known is told what he lacks; everybody else how to become known. */
    const bool known = peer->role != MKV_ADMIN_ROLE_NONE || peer->over_socket;
    const unsigned status = known ? MHD_HTTP_FORBIDDEN : MHD_HTTP_UNAUTHORIZED;
    http->counters.auth_failures_total += known ? 0 : 1;
    if (http->provider.refused != NULL) {
        const struct mkv_admin_refusal refusal = {
            .status = status,
            .method = request->method,
            .path = request->path,
            .role = role,
            .peer = peer,
        };
        http->provider.refused(http->provider.context, &refusal);
    }
    if (known) {
        return mkv_admin_refuse(status,
                                "this needs the role %s, and %s is %s. Ask as root or as the user "
                                "that memkv runs as, or with a token of that role",
                                mkv_admin_roles[role], peer->name, mkv_admin_roles[peer->role]);
    }
    return mkv_admin_refuse(status,
                            "this needs the role %s. Ask over the node's Unix socket (memkv admin "
                            "--socket PATH), or send a token of admin.tokens (memkv admin "
                            "--token-file FILE; Authorization: Bearer TOKEN). Without either "
                            "there are /v1/live, /v1/ready, /v1/health and /v1/metrics",
                            mkv_admin_roles[role]);
}

/* The reply, or the route of a handler that waits, which is called without the mutex. */
static struct mkv_admin_reply make_reply(const struct listener *listener,
                                         struct mkv_admin_request *request,
                                         const struct mkv_admin_route **waiting) {
    struct mkv_admin_http *http = listener->http;
    *waiting = NULL;
    const enum mkv_admin_path path = mkv_admin_path_find(request->path, &request->rest);
    const struct mkv_admin_route *route = mkv_admin_route_find(path, request->method);
    http->counters.requests_total[path]++;
    if (listener->metrics_only && path != MKV_ADMIN_PATH_METRICS) {
        return mkv_admin_refuse(MHD_HTTP_NOT_FOUND, "this port serves /metrics alone");
    }
    if (http->metrics_off && path == MKV_ADMIN_PATH_METRICS) {
        return mkv_admin_refuse(MHD_HTTP_NOT_FOUND, "metrics are off: prometheus.enabled is false");
    }
    if (route == NULL) {
        return refuse_route(request, path);
    }
    if (request->peer.role < route->role) {
        return refuse_peer(http, request, route->role);
    }
    request->later = http->later;
    request->profiles_anywhere = http->profiles_anywhere;
    if (route->waits) {
        *waiting = route;
        return (struct mkv_admin_reply){0};
    }
    request->counters = &http->counters;
    request->snapshot = http->snapshot;
    return route->handle(request);
}

static enum MHD_Result add_headers(struct MHD_Response *response,
                                   const struct mkv_admin_reply *reply, const char *path) {
    enum MHD_Result result =
        MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, reply->content_type);
    if (result == MHD_YES) {
        result = MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    }
    if (result == MHD_YES && reply->status == MHD_HTTP_METHOD_NOT_ALLOWED) {
        char methods[MKV_ADMIN_METHODS_BYTES];
        const char *rest;
        mkv_admin_path_methods(mkv_admin_path_find(path, &rest), methods);
        result = MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, methods);
    }
    if (result == MHD_YES && reply->status == MHD_HTTP_UNAUTHORIZED) {
        result = MHD_add_response_header(response, MHD_HTTP_HEADER_WWW_AUTHENTICATE, CHALLENGE);
    }
    if (result == MHD_YES && reply->close) {
        result = MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
    }
    return result;
}

/* Gives the body away. MHD_NO, also for a body that found no memory, closes the connection. */
static enum MHD_Result send_reply(struct MHD_Connection *connection, struct mkv_admin_reply reply,
                                  const char *path) {
    if (reply.body == NULL) {
        return MHD_NO;
    }
    struct MHD_Response *response =
        MHD_create_response_from_buffer(reply.body_bytes, reply.body, MHD_RESPMEM_MUST_FREE);
    if (response == NULL) {
        free(reply.body);
        return MHD_NO;
    }
    enum MHD_Result result = add_headers(response, &reply, path);
    if (result == MHD_YES) {
        result = MHD_queue_response(connection, reply.status, response);
    }
    MHD_destroy_response(response);
    return result;
}

/* Whether the connection was made before the certificate was read again. Its client is to come
 * back: as long as one stays, the daemon that serves it does, and there is no other reload. */
static bool is_of_retired(struct listener *listener, struct MHD_Connection *connection) {
    struct MHD_Daemon *retired = atomic_load_explicit(&listener->retired, memory_order_relaxed);
    const union MHD_ConnectionInfo *info =
        retired == NULL ? NULL : MHD_get_connection_info(connection, MHD_CONNECTION_INFO_DAEMON);
    return info != NULL && info->daemon == retired;
}

/* ---- requests -------------------------------------------------------------------------------- */

static enum MHD_Result count_length(void *context, enum MHD_ValueKind kind, const char *name,
                                    const char *value) {
    (void)kind;
    (void)value;
    uint32_t *count = context;
    *count += strcasecmp(name, MHD_HTTP_HEADER_CONTENT_LENGTH) == 0 ||
                      strcasecmp(name, MHD_HTTP_HEADER_TRANSFER_ENCODING) == 0
                  ? 1u
                  : 0u;
    return MHD_YES;
}

/* The first call of a request, with its path and query as they came. */
static void *on_uri(void *context, const char *uri, struct MHD_Connection *connection) {
    (void)context;
    (void)connection;
    return strstr(uri, "%00") != NULL ? (void *)(uintptr_t)&has_nul : NULL;
}

/* Why a request is refused before its body is read; all zeroes when it is not. */
static struct mkv_admin_reply refuse_early(struct MHD_Connection *connection, bool nul) {
    uint32_t lengths = 0;
    (void)MHD_get_connection_values(connection, MHD_HEADER_KIND, count_length, &lengths);
    struct mkv_admin_reply reply = {0};
    if (nul) {
        return mkv_admin_refuse(MHD_HTTP_BAD_REQUEST,
                                "no path and no parameter holds a NUL (%%00); a key that does is "
                                "written as hex: and its digits");
    }
    if (lengths > 1) {
        reply = mkv_admin_refuse(MHD_HTTP_BAD_REQUEST,
                                 "the request says more than once how long its body is");
        reply.close = true;
        return reply;
    }
    const char *length =
        MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_LENGTH);
    if (length != NULL && strtoull(length, NULL, 10) > MKV_ADMIN_BODY_BYTES_MAX) {
        reply = mkv_admin_refuse(MHD_HTTP_CONTENT_TOO_LARGE, "a body has at most %u bytes",
                                 MKV_ADMIN_BODY_BYTES_MAX);
    }
    return reply;
}

/* Keeps a piece of the body, where somebody will read it. */
static bool take_body(struct exchange *exchange, const char *method, const char *bytes,
                      size_t count) {
    if (exchange->body_bytes + count > MKV_ADMIN_BODY_BYTES_MAX) {
        return false;
    }
    if (strcmp(method, MHD_HTTP_METHOD_POST) == 0 || strcmp(method, MHD_HTTP_METHOD_PUT) == 0) {
        if (exchange->body == NULL) {
            exchange->body = calloc(1, MKV_ADMIN_BODY_BYTES_MAX + 1);
        }
        if (exchange->body == NULL) {
            return false;
        }
        memcpy(exchange->body + exchange->body_bytes, bytes, count);
    }
    exchange->body_bytes += count;
    return true;
}

struct parameters {
    struct mkv_admin_request *request;
    bool too_many;
};

static enum MHD_Result take_parameter(void *context, enum MHD_ValueKind kind, const char *name,
                                      const char *value) {
    (void)kind;
    struct parameters *parameters = context;
    struct mkv_admin_request *request = parameters->request;
    parameters->too_many = request->parameter_count == MKV_ADMIN_PARAMETERS_MAX;
    if (parameters->too_many) {
        return MHD_NO;
    }
    request->parameters[request->parameter_count] =
        (struct mkv_admin_parameter){name, value == NULL ? "" : value};
    request->parameter_count++;
    return MHD_YES;
}

static void resume(void *connection) {
    MHD_resume_connection(connection);
}

/* All of the request is there. */
static enum MHD_Result answer(struct listener *listener, struct MHD_Connection *connection,
                              const char *path, const char *method, struct exchange *exchange) {
    struct mkv_admin_http *http = listener->http;
    const char *accept =
        MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_ACCEPT);
    const bool head = strcmp(method, MHD_HTTP_METHOD_HEAD) == 0;
    struct mkv_admin_request request = {
        .method = head ? MHD_HTTP_METHOD_GET : method,
        .path = path,
        .accept = accept == NULL ? "" : accept,
        .body = exchange->body == NULL ? "" : exchange->body,
        .body_bytes = exchange->body == NULL ? 0 : exchange->body_bytes,
        .provider = &http->provider,
    };
    struct parameters parameters = {.request = &request};
    (void)MHD_get_connection_values(connection, MHD_GET_ARGUMENT_KIND, take_parameter, &parameters);
    if (parameters.too_many) {
        return send_reply(connection,
                          mkv_admin_refuse(MHD_HTTP_BAD_REQUEST,
                                           "a query has at most %u parameters",
                                           MKV_ADMIN_PARAMETERS_MAX),
                          path);
    }
    identify(listener, connection, &request.peer);
    const struct mkv_admin_route *waiting;
    pthread_mutex_lock(&http->mutex);
    struct mkv_admin_reply reply = make_reply(listener, &request, &waiting);
    pthread_mutex_unlock(&http->mutex);
    if (waiting != NULL) {
        pthread_mutex_lock(&http->waits_mutex);
        reply = waiting->handle(&request);
        pthread_mutex_unlock(&http->waits_mutex);
    }
    if (reply.later != NULL) {
        exchange->later = reply.later;
        MHD_suspend_connection(connection);
        mkv_later_begin(reply.later, resume, connection);
        return MHD_YES;
    }
    reply.close = reply.close || is_of_retired(listener, connection);
    return send_reply(connection, reply, path);
}

/*
 * Called once when the headers are there, once for each piece of a body, and once at the end, which
 * is when the answer is made; once more when an answer that took its time is made.
 */
static enum MHD_Result on_request(void *context, struct MHD_Connection *connection,
                                  const char *path, const char *method, const char *version,
                                  const char *upload, size_t *upload_bytes, void **state) {
    (void)version;
    struct exchange *exchange = *state;
    if (*state == NULL || *state == &has_nul) {
        const bool nul = *state != NULL;
        exchange = calloc(1, sizeof *exchange);
        *state = exchange;
        if (exchange == NULL) {
            return MHD_NO;
        }
        const struct mkv_admin_reply refusal = refuse_early(connection, nul);
        exchange->refused = refusal.status != 0;
        return exchange->refused ? send_reply(connection, refusal, path) : MHD_YES;
    }
    if (*upload_bytes > 0) {
        if (!exchange->refused && !take_body(exchange, method, upload, *upload_bytes)) {
            return MHD_NO;
        }
        *upload_bytes = 0;
        return MHD_YES;
    }
    if (exchange->later != NULL) {
        struct mkv_admin_reply reply = mkv_later_end(exchange->later);
        exchange->later = NULL;
        reply.close = reply.close || is_of_retired(context, connection);
        return send_reply(connection, reply, path);
    }
    return exchange->refused ? MHD_YES : answer(context, connection, path, method, exchange);
}

static void on_completed(void *context, struct MHD_Connection *connection, void **state,
                         enum MHD_RequestTerminationCode how) {
    (void)context;
    (void)connection;
    (void)how;
    struct exchange *exchange = *state == &has_nul ? NULL : *state;
    if (exchange != NULL) {
        if (exchange->later != NULL) {
            free(mkv_later_end(exchange->later).body);
        }
        free(exchange->body);
        free(exchange);
    }
    *state = NULL;
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

/* Starts the library's thread with all signals blocked: they are for the daemon's main thread, but
 * for the one that a profiler asks each thread with. */
static bool daemon_start(struct listener *listener, int fd) {
    const bool has_tls = listener->files.key != NULL;
    struct MHD_OptionItem tls[] = {
        {MHD_OPTION_HTTPS_MEM_CERT, 0, listener->files.certificate},
        {MHD_OPTION_HTTPS_MEM_KEY, 0, listener->files.key},
        {MHD_OPTION_HTTPS_PRIORITIES, 0, NULL},
        {MHD_OPTION_END, 0, NULL},
    };
    char priorities[256];
    snprintf(priorities, sizeof priorities, "%s",
             mkv_http_priorities(listener->http->tls.is_1_3_only));
    tls[2].ptr_value = priorities;
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    sigdelset(&all, SIGPROF);
    MKV_ASSERT(pthread_sigmask(SIG_SETMASK, &all, &before) == 0);
    listener->daemon = MHD_start_daemon(
        MHD_USE_AUTO_INTERNAL_THREAD | MHD_USE_ITC | MHD_ALLOW_SUSPEND_RESUME |
            (has_tls ? MHD_USE_TLS : 0u),
        0, NULL, NULL, on_request, listener, MHD_OPTION_ARRAY, has_tls ? tls : &tls[3],
        MHD_OPTION_LISTEN_SOCKET, (MHD_socket)fd, MHD_OPTION_CONNECTION_LIMIT,
        MKV_ADMIN_CONNECTIONS_MAX, MHD_OPTION_CONNECTION_TIMEOUT, MKV_ADMIN_IDLE_S_MAX,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)MKV_ADMIN_CONNECTION_BYTES,
        MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL,
        MHD_OPTION_URI_LOG_CALLBACK, on_uri, NULL, MHD_OPTION_END);
    MKV_ASSERT(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
    return listener->daemon != NULL;
}

static enum MHD_Result on_nobody(void *context, struct MHD_Connection *connection, const char *path,
                                 const char *method, const char *version, const char *upload,
                                 size_t *upload_bytes, void **state) {
    (void)context;
    (void)connection;
    (void)path;
    (void)method;
    (void)version;
    (void)upload;
    (void)upload_bytes;
    (void)state;
    return MHD_NO;
}

/* Whether the library takes the files, which others may have found good. It closes the socket that
 * it was given with files that it does not take, so it is asked without one. */
static bool files_are_taken(const struct mkv_http_tls *tls, const struct mkv_http_files *files) {
    struct MHD_Daemon *trial = MHD_start_daemon(
        MHD_USE_TLS | MHD_USE_NO_LISTEN_SOCKET, 0, NULL, NULL, on_nobody, NULL,
        MHD_OPTION_HTTPS_MEM_CERT, files->certificate, MHD_OPTION_HTTPS_MEM_KEY, files->key,
        MHD_OPTION_HTTPS_PRIORITIES, mkv_http_priorities(tls->is_1_3_only), MHD_OPTION_END);
    if (trial != NULL) {
        MHD_stop_daemon(trial);
    }
    return trial != NULL;
}

static void write_not_taken(const struct mkv_http_tls *tls, char error[MKV_ADMIN_ERROR_BYTES]) {
    snprintf(error, MKV_ADMIN_ERROR_BYTES,
             "GnuTLS does not take %s with its key; use a key of RSA, or of P-256 or P-384",
             tls->certificate);
}

static bool listener_start(struct listener *listener, int fd) {
    if (fd < 0) {
        return true;
    }
    const struct mkv_admin_http *http = listener->http;
    const char *path;
    if (!make_nonblocking(fd) || (http->has_tls && !listener->is_unix &&
                                  !mkv_http_files_read(&http->tls, &listener->files, &path))) {
        return false;
    }
    const bool has_good_files =
        listener->files.key == NULL || files_are_taken(&http->tls, &listener->files);
    /* What the library says, as far as it says anything. */
    errno = has_good_files ? EINVAL : EKEYREJECTED;
    if (!has_good_files || !daemon_start(listener, fd)) {
        const int number = errno;
        mkv_http_files_free(&listener->files);
        errno = number;
        return false;
    }
    return true;
}

/* Whoever was connected before the last reload has left: its daemon ends. */
static bool listener_retire(struct listener *listener) {
    if (listener->retired == NULL) {
        return true;
    }
    const union MHD_DaemonInfo *info =
        MHD_get_daemon_info(listener->retired, MHD_DAEMON_INFO_CURRENT_CONNECTIONS);
    if (info == NULL || info->num_connections > 0) {
        return false;
    }
    MHD_stop_daemon(listener->retired);
    listener->retired = NULL;
    mkv_http_files_free(&listener->retired_files);
    return true;
}

/* The socket goes to another daemon of the library, which has the new files; the one of before
 * serves those to the end that it has. */
static bool listener_reload(struct listener *listener, char error[MKV_ADMIN_ERROR_BYTES]) {
    struct mkv_http_files files;
    const char *path;
    if (!listener_retire(listener)) {
        snprintf(error, MKV_ADMIN_ERROR_BYTES,
                 "clients of the certificate before this one are still being served; reload again "
                 "in %u s",
                 MKV_ADMIN_IDLE_S_MAX);
        return false;
    }
    if (!mkv_http_files_read(&listener->http->tls, &files, &path)) {
        snprintf(error, MKV_ADMIN_ERROR_BYTES, "%s cannot be read: %s", path, strerror(errno));
        return false;
    }
    if (!files_are_taken(&listener->http->tls, &files)) {
        mkv_http_files_free(&files);
        write_not_taken(&listener->http->tls, error);
        return false;
    }
    struct MHD_Daemon *before = listener->daemon;
    const struct mkv_http_files files_before = listener->files;
    const MHD_socket fd = MHD_quiesce_daemon(before);
    listener->files = files;
    if (fd == MHD_INVALID_SOCKET || !daemon_start(listener, (int)fd)) {
        /* The old files were good, and are there. */
        listener->files = files_before;
        listener->daemon = NULL;
        mkv_http_files_free(&files);
        snprintf(error, MKV_ADMIN_ERROR_BYTES, "no memory, or no thread, for the new certificate");
        if (fd == MHD_INVALID_SOCKET || !daemon_start(listener, (int)fd)) {
            listener->daemon = before;
            return false;
        }
        listener->retired = before;
        return false;
    }
    listener->retired = before;
    listener->retired_files = files_before;
    return true;
}

bool mkv_admin_http_reload(struct mkv_admin_http *http, char error[MKV_ADMIN_ERROR_BYTES]) {
    MKV_ASSERT(http->has_tls);
    return (http->tcp.daemon == NULL || listener_reload(&http->tcp, error)) &&
           (http->metrics.daemon == NULL || listener_reload(&http->metrics, error));
}

static void listener_stop(struct listener *listener) {
    if (listener->retired != NULL) {
        MHD_stop_daemon(listener->retired);
    }
    if (listener->daemon != NULL) {
        MHD_stop_daemon(listener->daemon);
    }
}

/* Ends a listener whose socket stays the caller's. */
static void listener_take_back(struct listener *listener) {
    if (listener->daemon != NULL) {
        (void)MHD_quiesce_daemon(listener->daemon);
        MHD_stop_daemon(listener->daemon);
    }
}

static void http_free(struct mkv_admin_http *http) {
    if (http != NULL) {
        pthread_mutex_destroy(&http->mutex);
        pthread_mutex_destroy(&http->waits_mutex);
        mkv_later_destroy(http->later);
        mkv_http_files_free(&http->tcp.files);
        mkv_http_files_free(&http->tcp.retired_files);
        mkv_http_files_free(&http->metrics.files);
        mkv_http_files_free(&http->metrics.retired_files);
        free(http->snapshot);
        explicit_bzero(&http->auth, sizeof http->auth);
        free(http);
    }
}

bool mkv_admin_http_start(const struct mkv_admin_http_options *options,
                          struct mkv_admin_http **http, char error[MKV_ADMIN_ERROR_BYTES]) {
    MKV_ASSERT(options->provider->snapshot != NULL);
    MKV_ASSERT(options->tcp_fd >= 0 || options->unix_fd >= 0);
    if (options->auth->open && options->tcp_fd >= 0 && !is_loopback(options->tcp_fd)) {
        snprintf(error, MKV_ADMIN_ERROR_BYTES,
                 "an admin listener that authenticates nobody serves loopback only; set "
                 "network.admin_address to 127.0.0.1:PORT, or admin.auth to required");
        return false;
    }
    struct mkv_admin_http *made = calloc(1, sizeof *made);
    if (made != NULL) {
        pthread_mutex_init(&made->mutex, NULL);
        pthread_mutex_init(&made->waits_mutex, NULL);
        made->provider = *options->provider;
        made->auth = *options->auth;
        made->profiles_anywhere = options->profiles_anywhere;
        made->later = mkv_later_create();
        made->tcp.http = made;
        made->local.http = made;
        made->local.is_unix = true;
        made->metrics.http = made;
        made->metrics.metrics_only = true;
        made->metrics_off = options->metrics_off;
        made->has_tls = options->tls != NULL;
        if (made->has_tls) {
            made->tls = *options->tls;
        }
        made->snapshot = calloc(1, sizeof *made->snapshot);
    }
    if (made == NULL || made->snapshot == NULL || made->later == NULL ||
        !listener_start(&made->tcp, options->tcp_fd) ||
        !listener_start(&made->local, options->unix_fd) ||
        !listener_start(&made->metrics, options->metrics_fd > 0 ? options->metrics_fd : -1)) {
        if (errno == EKEYREJECTED) {
            write_not_taken(options->tls, error);
        } else {
            snprintf(error, MKV_ADMIN_ERROR_BYTES,
                     "the admin listener cannot start: %s; free memory, threads or descriptors",
                     strerror(errno));
        }
        if (made != NULL) {
            listener_take_back(&made->tcp);
            listener_take_back(&made->local);
        }
        http_free(made);
        return false;
    }
    *http = made;
    return true;
}

void mkv_admin_http_stop(struct mkv_admin_http *http) {
    if (http == NULL) {
        return;
    }
    /* The library cannot stop while a connection sleeps. */
    mkv_later_close(http->later);
    listener_stop(&http->tcp);
    listener_stop(&http->local);
    listener_stop(&http->metrics);
    http_free(http);
}
