/* SPDX-License-Identifier: Apache-2.0 */
#include "server/drive_identity.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

static void test_read__a_file__nothing_known(void **state) {
    (void)state;
    struct mkv_drive_identity identity;
    FILE *file = tmpfile();
    assert_non_null(file);
    memset(&identity, 0x42, sizeof identity);
    mkv_drive_identity_read(fileno(file), &identity);
    assert_string_equal(identity.model, "");
    assert_string_equal(identity.serial, "");
    assert_string_equal(identity.firmware, "");
    fclose(file);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read__a_file__nothing_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
