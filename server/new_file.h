/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file that a command makes, and that was not there before: what is there is never written over.
 *
 * Not responsible for: what stands in it, or taking it away again.
 */
#ifndef MKV_SERVER_NEW_FILE_H
#define MKV_SERVER_NEW_FILE_H

#include "backends/error.h"

/* A descriptor of a new file that its owner alone may read, opened with O_WRONLY or O_RDWR. -1: it
 * cannot be made, or something is there; the error says which. */
int mkv_new_file_open(const char *path, int access, struct mkv_backend_error *error);
/* Refuses since such a file cannot be written; `number` is the errno of that. Returns false. */
bool mkv_new_file_refuse(const char *path, int number, struct mkv_backend_error *error);

#endif
