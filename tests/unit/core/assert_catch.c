/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A failed assertion of the core fails the test it happened in, or passes it where the test
 * expects one (expect_assert_failure). Linked into every test of this folder.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/base.h"

void mkv_assert_failed(const char *expression, const char *file, int line) {
    mock_assert(0, expression, file, line);
    abort();
}
