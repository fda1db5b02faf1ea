/* SPDX-License-Identifier: Apache-2.0 */
/* cmocka with the standard headers it wants before it. */
#ifndef MKV_TESTS_UNIT_RECORD_TEST_H
#define MKV_TESTS_UNIT_RECORD_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#endif
