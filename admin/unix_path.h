/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The address of a Unix socket by its path. The kernel takes 107 bytes; a longer path is named
 * through its directory, which is opened for that.
 *
 * Not responsible for: the socket.
 */
#ifndef MKV_ADMIN_UNIX_PATH_H
#define MKV_ADMIN_UNIX_PATH_H

#include <sys/un.h>

#include "core/base.h"

/* Fills in the address. *directory_fd is what the caller closes once it has used the address, or
 * -1. False, with errno, when the directory cannot be opened or the name in it is too long. */
__attribute__((warn_unused_result)) bool mkv_unix_path(const char *path,
                                                       struct sockaddr_un *address,
                                                       int *directory_fd);

#endif
