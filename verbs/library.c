/* SPDX-License-Identifier: Apache-2.0 */
#include "verbs/library.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define LIBRARY "libibverbs.so.1"

struct function {
    const char *name;
    const char *version;
    size_t offset;
};

static const struct function FUNCTIONS[] = {
#define FUNCTION_ROW(name, symbol, version)                                                        \
    {#symbol, version, offsetof(struct mkv_verbs_library, name)},
    MKV_VERBS_FUNCTIONS(FUNCTION_ROW)
#undef FUNCTION_ROW
};

struct loaded {
    struct mkv_verbs_library functions;
    bool is_whole;
    char problem[MKV_VERBS_PROBLEM_BYTES];
};

static struct loaded loaded;
static pthread_once_t loaded_once = PTHREAD_ONCE_INIT;

static void load(void) {
    void *handle = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
    if (handle == NULL) {
        const char *why = dlerror();
        snprintf(loaded.problem, sizeof loaded.problem,
                 "RDMA needs " LIBRARY " and the provider of the device; install libibverbs1 and "
                 "ibverbs-providers (%s)",
                 why == NULL ? "not found" : why);
        return;
    }
    for (size_t index = 0; index < sizeof FUNCTIONS / sizeof FUNCTIONS[0]; index++) {
        const struct function *function = &FUNCTIONS[index];
        void *found = dlvsym(handle, function->name, function->version);
        if (found == NULL) {
            snprintf(loaded.problem, sizeof loaded.problem,
                     LIBRARY " has no %s of %s: it is too old; install rdma-core 34 or newer",
                     function->name, function->version);
            return;
        }
        memcpy((uint8_t *)&loaded.functions + function->offset, &found, sizeof found);
    }
    void *found = dlvsym(handle, "ibv_reg_dmabuf_mr", "IBVERBS_1.12");
    memcpy(&loaded.functions.reg_dmabuf_mr, &found, sizeof found);
    loaded.is_whole = true;
}

const struct mkv_verbs_library *mkv_verbs_library(char problem[MKV_VERBS_PROBLEM_BYTES]) {
    (void)pthread_once(&loaded_once, load);
    if (!loaded.is_whole) {
        memcpy(problem, loaded.problem, sizeof loaded.problem);
        return NULL;
    }
    return &loaded.functions;
}
