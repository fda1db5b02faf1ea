/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/tcp_listen.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* The kernel's number for a listening socket in /proc/net/tcp. */
#define STATE_LISTEN 0x0au
/* Lines of /proc/net/tcp, and descriptors of processes, that are looked at before giving up. */
#define SOCKET_LINES_MAX (1u << 20)
#define DESCRIPTORS_MAX (1u << 22)
/* "00000000000000000000000000000000" */
#define ADDRESS_HEX_BYTES 33u
#define PROCESS_NAME_BYTES 32u

struct address {
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    };
    socklen_t bytes;
    char text[MKV_TCP_ADDRESS_TEXT_BYTES];
};

static bool address_parse(const struct mkv_tcp_listen_options *options, struct address *address) {
    memset(address, 0, sizeof *address);
    if (inet_pton(AF_INET, options->host, &address->v4.sin_addr) == 1) {
        address->v4.sin_family = AF_INET;
        address->v4.sin_port = htons(options->port);
        address->bytes = sizeof address->v4;
        snprintf(address->text, sizeof address->text, "%.45s:%u", options->host, options->port);
        return true;
    }
    if (inet_pton(AF_INET6, options->host, &address->v6.sin6_addr) == 1) {
        address->v6.sin6_family = AF_INET6;
        address->v6.sin6_port = htons(options->port);
        address->bytes = sizeof address->v6;
        snprintf(address->text, sizeof address->text, "[%.45s]:%u", options->host, options->port);
        return true;
    }
    return false;
}

/* ---- who holds a port ----------------------------------------------------------------------- */

/* An address as /proc/net/tcp and tcp6 write it: words of the host's byte order in hex. */
static void address_hex(const struct address *address, char hex[ADDRESS_HEX_BYTES]) {
    if (address->any.sa_family == AF_INET) {
        snprintf(hex, ADDRESS_HEX_BYTES, "%08" PRIX32, address->v4.sin_addr.s_addr);
        return;
    }
    uint32_t words[4];
    memcpy(words, &address->v6.sin6_addr, sizeof words);
    snprintf(hex, ADDRESS_HEX_BYTES, "%08" PRIX32 "%08" PRIX32 "%08" PRIX32 "%08" PRIX32, words[0],
             words[1], words[2], words[3]);
}

static bool hex_is_any(const char *hex) {
    return strspn(hex, "0") == strlen(hex);
}

/* The inode of the socket that listens where `wanted` (in hex) would, or 0. A listener on all
 * addresses holds the port of each of them. */
static uint64_t listener_inode(const char *path, const char *wanted, unsigned port) {
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return 0;
    }
    uint64_t found = 0;
    char line[512];
    for (uint32_t lines = 0; lines < SOCKET_LINES_MAX && fgets(line, sizeof line, file) != NULL;
         lines++) {
        char local[ADDRESS_HEX_BYTES];
        unsigned local_port;
        unsigned state;
        uint64_t inode;
        /* sl: local:port remote:port st tx:rx tr:tm retransmits uid timeout inode */
        int fields = sscanf(line,
                            " %*u: %32[0-9A-F]:%x %*[0-9A-F]:%*x %x %*x:%*x %*x:%*x %*x %*u %*d "
                            "%" SCNu64,
                            local, &local_port, &state, &inode);
        if (fields != 4 || state != STATE_LISTEN || local_port != port || inode == 0) {
            continue;
        }
        if (strcmp(local, wanted) == 0 || hex_is_any(local) || hex_is_any(wanted)) {
            found = inode;
            break;
        }
    }
    fclose(file);
    return found;
}

/* Whether one of the process's descriptors is the socket; counts what it looked at. */
static bool process_has_socket(const char *pid, uint64_t inode, uint32_t *descriptors) {
    char wanted[64];
    snprintf(wanted, sizeof wanted, "socket:[%" PRIu64 "]", inode);
    char path[PATH_MAX];
    snprintf(path, sizeof path, "/proc/%.20s/fd", pid);
    DIR *directory = opendir(path);
    if (directory == NULL) {
        return false; /* it has ended, or is another user's */
    }
    bool found = false;
    const struct dirent *entry;
    while (!found && *descriptors < DESCRIPTORS_MAX && (entry = readdir(directory)) != NULL) {
        (*descriptors)++;
        char target[sizeof wanted];
        ssize_t bytes = readlinkat(dirfd(directory), entry->d_name, target, sizeof target - 1);
        if (bytes > 0) {
            target[bytes] = '\0';
            found = strcmp(target, wanted) == 0;
        }
    }
    closedir(directory);
    return found;
}

static void process_name(const char *pid, char name[PROCESS_NAME_BYTES]) {
    char path[PATH_MAX];
    snprintf(path, sizeof path, "/proc/%.20s/comm", pid);
    snprintf(name, PROCESS_NAME_BYTES, "a process");
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return;
    }
    char line[PROCESS_NAME_BYTES];
    if (fgets(line, sizeof line, file) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        for (char *byte = line; *byte != '\0'; byte++) {
            if (*byte < ' ' || *byte > '~') {
                *byte = '?';
            }
        }
        snprintf(name, PROCESS_NAME_BYTES, "%s", line);
    }
    fclose(file);
}

/* Writes "redis-server (pid 71)". False when no process that we may look into holds the socket. */
static bool socket_owner(uint64_t inode, char *text, size_t text_bytes) {
    DIR *directory = opendir("/proc");
    if (directory == NULL) {
        return false;
    }
    bool found = false;
    uint32_t descriptors = 0;
    const struct dirent *entry;
    while (!found && (entry = readdir(directory)) != NULL) {
        if (strspn(entry->d_name, "0123456789") != strlen(entry->d_name)) {
            continue;
        }
        if (process_has_socket(entry->d_name, inode, &descriptors)) {
            char name[PROCESS_NAME_BYTES];
            process_name(entry->d_name, name);
            snprintf(text, text_bytes, "%s (pid %.20s)", name, entry->d_name);
            found = true;
        }
    }
    closedir(directory);
    return found;
}

static bool refuse_in_use(const struct mkv_tcp_listen_options *options,
                          const struct address *address, struct mkv_backend_error *error) {
    char hex[ADDRESS_HEX_BYTES];
    address_hex(address, hex);
    const bool is_v4 = address->any.sa_family == AF_INET;
    uint64_t inode = listener_inode(is_v4 ? "/proc/net/tcp" : "/proc/net/tcp6", hex, options->port);
    if (inode == 0) {
        /* A listener on all IPv6 addresses takes the IPv4 ones as well, and the other way round a
         * listener on [::] collides with one on 0.0.0.0. */
        inode = listener_inode(is_v4 ? "/proc/net/tcp6" : "/proc/net/tcp", "-", options->port);
    }
    char owner[PROCESS_NAME_BYTES + 32u];
    if (inode != 0 && socket_owner(inode, owner, sizeof owner)) {
        return mkv_backend_refuse(error, MKV_BACKEND_UNAVAILABLE,
                                  "%s is in use by %s. Stop it or choose another %s", address->text,
                                  owner, options->option);
    }
    return mkv_backend_refuse(error, MKV_BACKEND_UNAVAILABLE,
                              "%s is in use by another process (ss -ltnp, run as root, names it). "
                              "Stop it or choose another %s",
                              address->text, options->option);
}

/* ---- listening ------------------------------------------------------------------------------ */

static bool refuse_bind(const struct mkv_tcp_listen_options *options, const struct address *address,
                        int error_number, struct mkv_backend_error *error) {
    switch (error_number) {
    case EADDRINUSE:
        return refuse_in_use(options, address, error);
    case EACCES:
    case EPERM:
        return mkv_backend_refuse(error, MKV_BACKEND_PERMISSION,
                                  "this user may not listen on %s. Choose a port above 1023 with "
                                  "%s, or grant CAP_NET_BIND_SERVICE",
                                  address->text, options->option);
    case EADDRNOTAVAIL:
        return mkv_backend_refuse(error, MKV_BACKEND_CONFIGURATION,
                                  "no interface of this machine has the address of %s. Choose "
                                  "another %s",
                                  address->text, options->option);
    default:
        return mkv_backend_refuse(error, MKV_BACKEND_UNAVAILABLE,
                                  "cannot listen on %s: %s. Choose another %s", address->text,
                                  strerror(error_number), options->option);
    }
}

static bool bind_and_listen(int fd, const struct mkv_tcp_listen_options *options,
                            struct address *address) {
    /* After a restart the port may still have connections of the last process in TIME_WAIT. */
    const int one = 1;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) != 0) {
        return false;
    }
    if (options->share != MKV_TCP_ALONE &&
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one) != 0) {
        return false;
    }
    if (bind(fd, &address->any, address->bytes) != 0) {
        return false;
    }
    if (listen(fd, (int)options->backlog) != 0) {
        return false;
    }
    return getsockname(fd, &address->any, &address->bytes) == 0;
}

/* Whether somebody listens there already, which the kernel does not say to a socket that would
 * share the port with one of the same user. errno says what else is wrong. */
static bool is_free(const struct mkv_tcp_listen_options *options, const struct address *address) {
    const int one = 1;
    const int fd = socket(address->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return false;
    }
    const bool is_free = setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) == 0 &&
                         bind(fd, &address->any, address->bytes) == 0 &&
                         listen(fd, (int)options->backlog) == 0;
    const int error_number = errno;
    close(fd);
    errno = error_number;
    return is_free;
}

bool mkv_tcp_listen(const struct mkv_tcp_listen_options *options, int *fd_out, uint16_t *port_out,
                    struct mkv_backend_error *error) {
    MKV_ASSERT(options->backlog >= 1);
    MKV_ASSERT(options->backlog <= INT_MAX);
    struct address address;
    if (!address_parse(options, &address)) {
        return mkv_backend_refuse(error, MKV_BACKEND_CONFIGURATION,
                                  "'%.64s' is not an IPv4 or IPv6 address. Choose another %s",
                                  options->host, options->option);
    }
    if (options->share == MKV_TCP_SHARED_FIRST && !is_free(options, &address)) {
        return refuse_bind(options, &address, errno, error);
    }
    int fd = socket(address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return refuse_bind(options, &address, errno, error);
    }
    if (!bind_and_listen(fd, options, &address)) {
        const int error_number = errno;
        close(fd);
        return refuse_bind(options, &address, error_number, error);
    }
    *port_out =
        ntohs(address.any.sa_family == AF_INET ? address.v4.sin_port : address.v6.sin6_port);
    *fd_out = fd;
    return true;
}
