/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a failed assertion does on a real machine: one line on standard error, then abort, so that
 * a core dump shows the state that broke its rule. It is an archive of its own, linked last into
 * every program and into libmemkv; a program that defines mkv_assert_failed itself (the simulator
 * may, to report its seed) is never given this one.
 */
#include <stdio.h>
#include <stdlib.h>

#include "core/base.h"

void mkv_assert_failed(const char *expression, const char *file, int line) {
    fprintf(stderr, "%s:%d: assertion failed: %s. This is a bug in memkv; please report it.\n",
            file, line, expression);
    abort();
}
