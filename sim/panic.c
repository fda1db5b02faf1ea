/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/failure.h"

/* An assertion of the core knows no context, so the way out has to be found from here. */
static _Thread_local struct mkv_trap *trap_of_thread;

void mkv_trap_set(struct mkv_trap *trap) {
    if (trap != NULL) {
        trap->failure = (struct mkv_failure){0};
    }
    trap_of_thread = trap;
}

const char *mkv_oracle_name(enum mkv_oracle oracle, char *text) {
    if (oracle == MKV_ORACLE_ASSERTION) {
        memcpy(text, "assertion", sizeof "assertion");
    } else if (oracle == MKV_ORACLE_DMA || oracle == MKV_ORACLE_SAME_BYTES) {
        (void)snprintf(text, 16, "R%u", (unsigned)oracle - MKV_ORACLE_DMA + 1);
    } else {
        (void)snprintf(text, 16, "O%u", (unsigned)oracle);
    }
    return text;
}

static _Noreturn void unwind(void) {
    struct mkv_trap *trap = trap_of_thread;
    trap_of_thread = NULL;
    longjmp(trap->jump, 1);
}

void mkv_fail(enum mkv_oracle oracle, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    if (trap_of_thread == NULL) {
        char name[16];
        fprintf(stderr, "memkv-sim: %s: ", mkv_oracle_name(oracle, name));
        vfprintf(stderr, format, arguments);
        fputc('\n', stderr);
        abort();
    }
    trap_of_thread->failure.oracle = oracle;
    (void)vsnprintf(trap_of_thread->failure.text, sizeof trap_of_thread->failure.text, format,
                    arguments);
    va_end(arguments);
    unwind();
}

void mkv_assert_failed(const char *expression, const char *file, int line) {
    mkv_fail(MKV_ORACLE_ASSERTION, "%s:%d: assertion failed: %s", file, line, expression);
}
