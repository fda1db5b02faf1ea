/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/unix_path.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define DIRECTORY_BYTES 4096u

bool mkv_unix_path(const char *path, struct sockaddr_un *address, int *directory_fd) {
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    *directory_fd = -1;
    const size_t bytes = strlen(path);
    if (bytes < sizeof address->sun_path) {
        memcpy(address->sun_path, path, bytes);
        return true;
    }
    const char *slash = strrchr(path, '/');
    char directory[DIRECTORY_BYTES];
    if (slash == NULL || (size_t)(slash - path) + 1 >= sizeof directory) {
        errno = ENAMETOOLONG;
        return false;
    }
    snprintf(directory, sizeof directory, "%.*s", (int)(slash - path) + 1, path);
    *directory_fd = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (*directory_fd < 0) {
        return false;
    }
    const int count = snprintf(address->sun_path, sizeof address->sun_path, "/proc/self/fd/%d/%s",
                               *directory_fd, slash + 1);
    if (count < 0 || (size_t)count >= sizeof address->sun_path) {
        close(*directory_fd);
        *directory_fd = -1;
        errno = ENAMETOOLONG;
        return false;
    }
    return true;
}
