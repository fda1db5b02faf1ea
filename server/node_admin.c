/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The admin listener of the node: its two sockets, and who may ask.
 */
#include "server/node_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "admin/text.h"
#include "admin/unix_path.h"
#include "backends/tcp_listen.h"

#define ADMIN_BACKLOG 64u
/* The socket's owner and group may connect. */
#define SOCKET_MODE 0660u
#define GROUP_ROOM_BYTES 65536u
/* What a log line shows of a path that somebody asked for. */
#define SHOWN_BYTES 128u

_Static_assert(MKV_CONFIG_TOKENS_MAX == MKV_ADMIN_TOKENS_MAX, "the listener takes all of them");

/* ---- the Unix socket ------------------------------------------------------------------------- */

static bool refuse_socket(struct mkv_backend_error *error, const char *path, const char *what) {
    const int number = errno;
    return mkv_backend_refuse(
        error,
        number == EACCES || number == EPERM ? MKV_BACKEND_PERMISSION : MKV_BACKEND_UNAVAILABLE,
        "admin.socket %s: %s: %s. Name a path in a directory that the daemon may write to", path,
        what, strerror(number));
}

/* Removes what a process that was killed left there; refuses what somebody still listens on, and
 * what is no socket. */
static bool make_way(const char *path, const struct sockaddr_un *address,
                     struct mkv_backend_error *error) {
    struct stat there;
    if (lstat(path, &there) != 0) {
        return errno == ENOENT || refuse_socket(error, path, "cannot be looked at");
    }
    if (!S_ISSOCK(there.st_mode)) {
        return mkv_backend_refuse(error, MKV_BACKEND_CONFIGURATION,
                                  "admin.socket %s is there and is no socket. Name another path",
                                  path);
    }
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const bool taken =
        fd >= 0 && connect(fd, (const struct sockaddr *)address, sizeof *address) == 0;
    const bool stale = fd >= 0 && !taken && errno == ECONNREFUSED;
    if (fd >= 0) {
        close(fd);
    }
    if (taken) {
        return mkv_backend_refuse(error, MKV_BACKEND_UNAVAILABLE,
                                  "admin.socket %s is in use by another process. Stop it, or name "
                                  "another path",
                                  path);
    }
    return (stale && unlink(path) == 0) || refuse_socket(error, path, "cannot be replaced");
}

/* The group's number. */
static bool find_group(const char *name, uint32_t *gid, struct mkv_backend_error *error) {
    if (name[0] == '\0') {
        return true;
    }
    char *end = NULL;
    const unsigned long number = strtoul(name, &end, 10);
    if (*end == '\0' && number < UINT32_MAX) {
        *gid = (uint32_t)number;
        return true;
    }
    struct group group;
    struct group *found = NULL;
    char *room = malloc(GROUP_ROOM_BYTES);
    const bool known = room != NULL &&
                       getgrnam_r(name, &group, room, GROUP_ROOM_BYTES, &found) == 0 &&
                       found != NULL;
    if (known) {
        *gid = group.gr_gid;
    }
    free(room);
    return known || mkv_backend_refuse(error, MKV_BACKEND_CONFIGURATION,
                                       "admin.viewer_group: this machine has no group '%s'. Name "
                                       "one of /etc/group, or its number",
                                       name);
}

/* Owner, group and mode before anybody can connect: bind takes the mode of the descriptor, but for
 * what the process masks. */
static bool bind_and_listen(struct mkv_node *node, const struct sockaddr_un *address) {
    const struct mkv_config *config = &node->config;
    struct stat made;
    const int fd = node->admin_unix_fd;
    if (fchmod(fd, SOCKET_MODE) != 0 ||
        bind(fd, (const struct sockaddr *)address, sizeof *address) != 0 ||
        lstat(config->admin.socket, &made) != 0) {
        return false;
    }
    node->admin_socket_device = made.st_dev;
    node->admin_socket_inode = made.st_ino;
    if (config->admin.viewer_group[0] != '\0' &&
        chown(config->admin.socket, (uid_t)-1, (gid_t)node->admin_viewer_gid) != 0) {
        return false;
    }
    return chmod(config->admin.socket, SOCKET_MODE) == 0 && listen(fd, ADMIN_BACKLOG) == 0;
}

static bool socket_listen(struct mkv_node *node, struct mkv_backend_error *error) {
    const char *path = node->config.admin.socket;
    struct sockaddr_un address;
    int directory_fd;
    if (!mkv_unix_path(path, &address, &directory_fd)) {
        return refuse_socket(error, path, "its directory cannot be opened");
    }
    bool done = make_way(path, &address, error);
    if (done) {
        node->admin_unix_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        done = (node->admin_unix_fd >= 0 && bind_and_listen(node, &address)) ||
               refuse_socket(error, path, "cannot be listened on");
    }
    if (directory_fd >= 0) {
        close(directory_fd);
    }
    return done;
}

/* Removes the file, if it is still the one that was made. */
static void socket_remove(struct mkv_node *node) {
    struct stat there;
    if (node->admin_socket_inode != 0 && lstat(node->config.admin.socket, &there) == 0 &&
        there.st_dev == node->admin_socket_device && there.st_ino == node->admin_socket_inode) {
        (void)unlink(node->config.admin.socket);
    }
    node->admin_socket_inode = 0;
}

/* ---- both sockets ---------------------------------------------------------------------------- */

static bool metrics_listen(struct mkv_node *node, struct mkv_backend_error *error) {
    const struct mkv_tcp_listen_options options = {
        .host = node->config.network.admin_address.host,
        .port = (uint16_t)node->config.prometheus.port,
        .backlog = ADMIN_BACKLOG,
        .option = "prometheus.port",
    };
    uint16_t port;
    return options.port == 0 || mkv_tcp_listen(&options, &node->admin_metrics_fd, &port, error);
}

bool mkv_node_admin_listen(struct mkv_node *node, struct mkv_backend_error *error) {
    const struct mkv_config *config = &node->config;
    const bool derived =
        config->origins[MKV_CONFIG_NETWORK_ADMIN_ADDRESS].layer == MKV_CONFIG_LAYER_DEFAULT;
    const struct mkv_tcp_listen_options options = {
        .host = config->network.admin_address.host,
        .port = config->network.admin_address.port,
        .backlog = ADMIN_BACKLOG,
        .option =
            derived ? "--listen (the admin listener is at its port + 1)" : "network.admin_address",
    };
    uint16_t port;
    if (!find_group(config->admin.viewer_group, &node->admin_viewer_gid, error)) {
        return false;
    }
    if (!mkv_tcp_listen(&options, &node->admin_fd, &port, error)) {
        return false;
    }
    if (!metrics_listen(node, error)) {
        mkv_node_admin_unlisten(node);
        return false;
    }
    if (config->admin.socket[0] != '\0' && !socket_listen(node, error)) {
        mkv_node_admin_unlisten(node);
        return false;
    }
    return true;
}

void mkv_node_admin_unlisten(struct mkv_node *node) {
    if (node->admin_fd >= 0) {
        close(node->admin_fd);
    }
    if (node->admin_unix_fd >= 0) {
        close(node->admin_unix_fd);
    }
    if (node->admin_metrics_fd > 0) {
        close(node->admin_metrics_fd);
    }
    node->admin_fd = -1;
    node->admin_unix_fd = -1;
    node->admin_metrics_fd = 0;
    socket_remove(node);
}

/* ---- who may ask ----------------------------------------------------------------------------- */

/* Reads the one line of a file; *bytes is 0 when it is longer than a token. */
static bool read_line(int fd, char text[MKV_ADMIN_TOKEN_BYTES_MAX + 2], size_t *bytes) {
    const ssize_t count = read(fd, text, MKV_ADMIN_TOKEN_BYTES_MAX + 2);
    if (count < 0) {
        return false;
    }
    size_t length = (size_t)count;
    while (length > 0 && (text[length - 1] == '\n' || text[length - 1] == '\r')) {
        length--;
    }
    *bytes = length;
    return true;
}

static bool refuse_token(struct mkv_backend_error *error, uint32_t index, const char *path,
                         const char *what) {
    return mkv_backend_refuse(error, MKV_BACKEND_CONFIGURATION, "admin.tokens[%u]: %s %s",
                              (unsigned)index, path, what);
}

static bool read_token(const struct mkv_config_token *configured, uint32_t index,
                       struct mkv_admin_token *token, struct mkv_backend_error *error) {
    struct stat file;
    char text[MKV_ADMIN_TOKEN_BYTES_MAX + 2] = {0};
    size_t bytes = 0;
    const int fd = open(configured->file, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    const bool looked = fd >= 0 && fstat(fd, &file) == 0;
    const bool regular = looked && S_ISREG(file.st_mode);
    const bool read_it = regular && read_line(fd, text, &bytes);
    const int number = errno;
    if (fd >= 0) {
        close(fd);
    }
    if (looked && !regular) {
        return refuse_token(error, index, configured->file, "is no file. Name the file of a token");
    }
    if (!read_it) {
        return mkv_backend_refuse(
            error, number == EACCES ? MKV_BACKEND_PERMISSION : MKV_BACKEND_CONFIGURATION,
            "admin.tokens[%u]: %s cannot be read: %s. Make it, for example with: (umask 077; "
            "openssl rand -hex 32 > FILE)",
            (unsigned)index, configured->file, strerror(number));
    }
    if ((file.st_mode & 077u) != 0) {
        return refuse_token(
            error, index, configured->file,
            "may be read or written by others than its owner. Run: chmod 600 on it");
    }
    if (!mkv_admin_token_is_valid(text, bytes)) {
        return refuse_token(error, index, configured->file,
                            "holds no token. Write one line of 32 to 256 characters without "
                            "spaces, for example: openssl rand -hex 32");
    }
    token->role = configured->role == MKV_CONFIG_ROLE_OPERATOR ? MKV_ADMIN_ROLE_OPERATOR
                                                               : MKV_ADMIN_ROLE_VIEWER;
    memcpy(token->text, text, bytes);
    explicit_bzero(text, sizeof text);
    return true;
}

static bool fill_auth(const struct mkv_node *node, struct mkv_admin_auth *auth,
                      struct mkv_backend_error *error) {
    const struct mkv_config *config = &node->config;
    *auth = (struct mkv_admin_auth){
        .open = config->admin.auth == MKV_CONFIG_AUTH_NONE,
        .uid = (uint32_t)geteuid(),
        .has_viewer_gid = config->admin.viewer_group[0] != '\0',
        .viewer_gid = node->admin_viewer_gid,
        .token_count = config->admin.token_count,
    };
    for (uint32_t i = 0; i < auth->token_count; i++) {
        if (!read_token(&config->admin.tokens[i], i, &auth->tokens[i], error)) {
            return false;
        }
    }
    return true;
}

/* The provider's: somebody was not let through. */
static void on_refused(void *context, const struct mkv_admin_refusal *refusal) {
    struct mkv_node *node = context;
    char path[SHOWN_BYTES];
    mkv_text_clean(refusal->path, path, sizeof path);
    const struct mkv_log_field fields[] = {
        {.name = "address", .text = refusal->peer->address},
        {.name = "peer", .text = refusal->peer->name},
        {.name = "path", .text = path},
        {.name = "role", .text = mkv_admin_roles[refusal->role]},
        {.name = "status", .number = refusal->status},
    };
    mkv_log_write(node->log, MKV_LOG_SITE_AUTH, MKV_CONFIG_LOG_WARN, "admin", fields, 5,
                  "an admin request was refused");
    mkv_node_audit_refused(node, refusal);
}

bool mkv_node_admin_serve(struct mkv_node *node, struct mkv_admin_provider *provider,
                          struct mkv_admin_http **http, struct mkv_backend_error *error) {
    struct mkv_admin_auth auth;
    char text[MKV_ADMIN_ERROR_BYTES];
    provider->refused = on_refused;
    const struct mkv_http_tls tls = {
        .certificate = node->config.network.tls_cert,
        .key = node->config.network.tls_key,
        .is_1_3_only = node->config.network.tls_min == MKV_CONFIG_TLS_1_3,
    };
    const struct mkv_admin_http_options options = {
        .tls = node->config.admin.tls != 0 ? &tls : NULL,
        .tcp_fd = node->admin_fd,
        .unix_fd = node->admin_unix_fd,
        .provider = provider,
        .auth = &auth,
        .metrics_fd = node->admin_metrics_fd,
        .metrics_off = node->config.prometheus.enabled == 0,
        .profiles_anywhere = node->config.admin.profiles == MKV_CONFIG_PROFILES_ANYWHERE,
    };
    if (!fill_auth(node, &auth, error)) {
        return false;
    }
    const bool started = mkv_admin_http_start(&options, http, text);
    explicit_bzero(&auth, sizeof auth);
    if (!started) {
        return mkv_backend_refuse(error, MKV_BACKEND_UNAVAILABLE, "%s", text);
    }
    const bool clients_too = node->config.network.auth == MKV_CONFIG_NETWORK_AUTH_NONE &&
                             !mkv_config_address_is_loopback(&node->config.network.address);
    if (node->config.admin.auth == MKV_CONFIG_AUTH_NONE && !clients_too) {
        mkv_node_warn(node, MKV_ADMIN_WARNING_AUTH_DISABLED, NULL,
                      "set admin.auth: required and restart; admin.socket or admin.tokens lets you "
                      "in",
                      "admin.auth is none: everybody on this machine may drop tenants and read all "
                      "that the admin listener shows");
    }
    node->admin_fd = -1; /* they are the listener's now */
    node->admin_unix_fd = -1;
    node->admin_metrics_fd = 0;
    return true;
}
