/* SPDX-License-Identifier: Apache-2.0 */
#include "server/heap_profile.h"

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "server/config_text.h"

#define COMMAND "memkv start --heap-profile"
#define ALLOCATOR "libtcmalloc.so.4"
#define PRELOAD "LD_PRELOAD"
#define PRELOAD_BYTES_MAX 4096u

/* Files that the library would write by itself, each time that so much has changed. */
static const char *const dumps[] = {
    "HEAP_PROFILE_ALLOCATION_INTERVAL",
    "HEAP_PROFILE_DEALLOCATION_INTERVAL",
    "HEAP_PROFILE_INUSE_INTERVAL",
    "HEAP_PROFILE_TIME_INTERVAL",
};
#define DUMP_COUNT (sizeof dumps / sizeof dumps[0])

/* Whether the library was to be loaded before this program; *others is what else was. */
static bool was_preloaded(const char **others) {
    const char *preload = getenv(PRELOAD);
    const size_t bytes = strlen(ALLOCATOR);
    *others = preload == NULL ? "" : preload;
    if (preload == NULL || strncmp(preload, ALLOCATOR, bytes) != 0) {
        return false;
    }
    *others = preload[bytes] == ':' ? preload + bytes + 1 : "";
    return true;
}

static bool start_again(int argc, char *const *argv, const char *others,
                        struct mkv_config_error *error) {
    char program[PATH_MAX];
    char preload[PRELOAD_BYTES_MAX];
    const ssize_t count = readlink("/proc/self/exe", program, sizeof program - 1);
    const int bytes = snprintf(preload, sizeof preload, "%s%s%s", ALLOCATOR,
                               others[0] == '\0' ? "" : ":", others);
    char **arguments = calloc((size_t)argc + 2, sizeof *arguments);
    char own_name[] = "memkv";
    if (count > 0 && bytes < (int)sizeof preload && arguments != NULL) {
        program[count] = '\0';
        arguments[0] = own_name;
        memcpy(arguments + 1, argv, (size_t)argc * sizeof *argv);
        bool is_set = setenv(PRELOAD, preload, 1) == 0;
        for (size_t index = 0; index < DUMP_COUNT; index++) {
            is_set = setenv(dumps[index], "0", 1) == 0 && is_set;
        }
        if (is_set) {
            execv(program, arguments);
        }
    }
    const int cause = errno;
    free(arguments);
    return mkv_config_fail(error, MKV_EXIT_DAEMON_UNAVAILABLE, COMMAND,
                           "the program cannot start itself again: %s. Leave --heap-profile out",
                           strerror(cause));
}

static void tidy_environment(const char *others) {
    char kept[PRELOAD_BYTES_MAX];
    snprintf(kept, sizeof kept, "%s", others);
    if (kept[0] == '\0') {
        (void)unsetenv(PRELOAD);
    } else {
        (void)setenv(PRELOAD, kept, 1);
    }
    for (size_t index = 0; index < DUMP_COUNT; index++) {
        (void)unsetenv(dumps[index]);
    }
}

bool mkv_heap_profile_begin(int argc, char *const *argv, struct mkv_config_error *error) {
    void (*start)(const char *prefix);
    void *found = dlsym(RTLD_DEFAULT, "HeapProfilerStart");
    const char *others;
    const bool preloaded = was_preloaded(&others);
    if (found == NULL && !preloaded) {
        return start_again(argc, argv, others, error);
    }
    if (found == NULL) {
        return mkv_config_fail(error, MKV_EXIT_DAEMON_UNAVAILABLE, COMMAND,
                               "%s could not be loaded; install it (Debian: libgoogle-perftools4), "
                               "or leave --heap-profile out",
                               ALLOCATOR);
    }
    /* C has no conversion from pointers to data, which the loader gives. */
    memcpy(&start, &found, sizeof start);
    start("memkv");
    if (preloaded) {
        tidy_environment(others);
    }
    return true;
}
