/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/backends/temporary.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

void temporary_make(char path[TEMPORARY_PATH_BYTES]) {
    const char *parent = getenv("TMPDIR");
    snprintf(path, TEMPORARY_PATH_BYTES, "%.400s/memkv-test-XXXXXX",
             parent != NULL && parent[0] != '\0' ? parent : "/var/tmp");
    assert_non_null(mkdtemp(path));
}

void temporary_file(const char *directory, const char *name, char path[TEMPORARY_PATH_BYTES]) {
    int length = snprintf(path, TEMPORARY_PATH_BYTES, "%s/%s", directory, name);
    assert_in_range(length, 1, TEMPORARY_PATH_BYTES - 1);
}

void temporary_remove(const char *path) {
    DIR *directory = opendir(path);
    assert_non_null(directory);
    const struct dirent *entry;
    while ((entry = readdir(directory)) != NULL) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            assert_int_equal(unlinkat(dirfd(directory), entry->d_name, 0), 0);
        }
    }
    closedir(directory);
    assert_int_equal(rmdir(path), 0);
}

int temporary_child(void (*body)(void *context), void *context) {
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        body(context);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}
