/* SPDX-License-Identifier: Apache-2.0 */
#include "server/new_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

int mkv_new_file_open(const char *path, int access, struct mkv_backend_error *error) {
    const int fd = open(path, access | O_CREAT | O_EXCL | O_CLOEXEC, S_IRUSR | S_IWUSR);
    if (fd < 0) {
        (void)mkv_backend_refuse(error, MKV_BACKEND_IO,
                                 errno == EEXIST
                                     ? "%s is there already (%s) and is left as it is; name "
                                       "another file"
                                     : "%s cannot be made: %s",
                                 path, strerror(errno));
    }
    return fd;
}

bool mkv_new_file_refuse(const char *path, int number, struct mkv_backend_error *error) {
    return mkv_backend_refuse(error, MKV_BACKEND_IO, "%s cannot be written: %s", path,
                              strerror(number));
}
