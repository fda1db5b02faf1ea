/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/fabric_shm.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 1024

static bool address_of(const char *path, struct sockaddr_un *address) {
    const size_t bytes = strlen(path);
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    _Static_assert(sizeof address->sun_path == MKV_FABRIC_SHM_PATH_BYTES, "as the kernel has it");
    if (bytes == 0 || bytes >= sizeof address->sun_path) {
        return false;
    }
    memcpy(address->sun_path, path, bytes);
    return true;
}

static int make_socket(int flags) {
    return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
}

/* Whether the path is a socket that nobody listens on any more. Whoever listens may be too busy to
 * accept: nobody waits for that. */
static bool is_left_over(const struct sockaddr_un *address) {
    struct stat found;
    if (lstat(address->sun_path, &found) != 0 || !S_ISSOCK(found.st_mode)) {
        return false;
    }
    const int fd = make_socket(SOCK_NONBLOCK);
    if (fd < 0) {
        return false;
    }
    const bool is_refused = connect(fd, (const struct sockaddr *)address, sizeof *address) != 0 &&
                            errno == ECONNREFUSED;
    close(fd);
    return is_refused;
}

static bool refuse(const char *path, const char *option, int error_number,
                   struct mkv_backend_error *error) {
    if (error_number == EADDRINUSE) {
        return mkv_backend_refuse(error, MKV_BACKEND_UNAVAILABLE,
                                  "%s: another process listens there, or it is no socket. Stop the "
                                  "process, remove the file, or choose another %s",
                                  path, option);
    }
    const bool is_permission = error_number == EACCES || error_number == EPERM;
    return mkv_backend_refuse(error,
                              is_permission ? MKV_BACKEND_PERMISSION : MKV_BACKEND_CONFIGURATION,
                              "cannot listen on the Unix socket %s: %s. Choose another %s", path,
                              strerror(error_number), option);
}

static bool bind_socket(int fd, const struct sockaddr_un *address) {
    const struct sockaddr *any = (const struct sockaddr *)address;
    if (bind(fd, any, sizeof *address) == 0) {
        return true;
    }
    if (errno != EADDRINUSE) {
        return false;
    }
    if (!is_left_over(address)) {
        errno = EADDRINUSE; /* that is what there is to tell, not how it was found out */
        return false;
    }
    return unlink(address->sun_path) == 0 && bind(fd, any, sizeof *address) == 0;
}

bool mkv_fabric_shm_listen(const char *path, const char *option, int *fd_out,
                           struct mkv_backend_error *error) {
    struct sockaddr_un address;
    if (!address_of(path, &address)) {
        return mkv_backend_refuse(error, MKV_BACKEND_CONFIGURATION,
                                  "'%.200s' is no path that a Unix socket may have: 1 to %u bytes. "
                                  "Choose another %s",
                                  path, MKV_FABRIC_SHM_PATH_BYTES - 1u, option);
    }
    const int fd = make_socket(0);
    if (fd < 0) {
        return refuse(path, option, errno, error);
    }
    if (!bind_socket(fd, &address)) {
        const int error_number = errno;
        close(fd);
        return refuse(path, option, error_number, error);
    }
    /* Everybody may connect: what he may do is decided by who he is (I2). */
    if (chmod(path, 0666) != 0 || listen(fd, BACKLOG) != 0) {
        const int error_number = errno;
        mkv_fabric_shm_unlisten(path, fd);
        return refuse(path, option, error_number, error);
    }
    *fd_out = fd;
    return true;
}

void mkv_fabric_shm_unlisten(const char *path, int fd) {
    struct sockaddr_un address;
    close(fd);
    /* Another server may have taken the path in the meantime: then somebody listens there. */
    if (address_of(path, &address) && is_left_over(&address)) {
        (void)unlink(path);
    }
}
