/* SPDX-License-Identifier: Apache-2.0 */
/* cmocka and the standard headers it wants before it, for the tests of this folder. */
#ifndef MKV_TESTS_UNIT_ADMIN_TEST_H
#define MKV_TESTS_UNIT_ADMIN_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#endif
