/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A directory for the files of one test, and a process that holds something while a test looks.
 */
#ifndef MKV_TESTS_TEMPORARY_H
#define MKV_TESTS_TEMPORARY_H

#include <sys/types.h>

#include "core/base.h"

#define TEMPORARY_PATH_BYTES 512u

/* Makes an empty directory under TMPDIR, or under /var/tmp, which is rarely in memory. */
void temporary_make(char path[TEMPORARY_PATH_BYTES]);
/* Removes it with the files in it. */
void temporary_remove(const char *path);
/* DIRECTORY/NAME. */
void temporary_file(const char *directory, const char *name, char path[TEMPORARY_PATH_BYTES]);
/* Runs `body` in a child process and returns its exit status; -1 when a signal ended it. */
int temporary_child(void (*body)(void *context), void *context);

#endif
