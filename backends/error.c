/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/error.h"

#include <stdarg.h>
#include <stdio.h>

#include "core/base.h"

bool mkv_backend_refuse(struct mkv_backend_error *error, enum mkv_backend_failure failure,
                        const char *format, ...) {
    MKV_ASSERT(failure != MKV_BACKEND_OK);
    error->failure = failure;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error->text, sizeof error->text, format, arguments);
    va_end(arguments);
    /* A path may hold anything; the line it stands in stays one line of printable ASCII (I1). */
    for (char *at = error->text; *at != '\0'; at++) {
        if (*at < ' ' || *at > '~') {
            *at = '?';
        }
    }
    MKV_ASSERT(error->text[0] != '\0');
    return false;
}
