/* SPDX-License-Identifier: Apache-2.0 */
#include "server/drive_identity.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "tests/unit/server/images.h"

static void test_line__what_vendors_write__trimmed_and_printable(void **state) {
    (void)state;
    static const struct {
        const char *content;
        const char *line;
    } cases[] = {
        {"SAMSUNG MZQL23T8HCLS-00A07             \n", "SAMSUNG MZQL23T8HCLS-00A07"},
        {"  S64HNE0R\nsecond line\n", "S64HNE0R"},
        {"bad\x01\xff name", "bad?? name"},
        {"\n", ""},
        {"", ""},
        {"0123456789012345678901234567890123456789012345678901234567890123456789",
         "012345678901234567890123456789012345678901234567890123456789012"},
    };
    char directory[IMAGES_PATH_BYTES];
    char path[IMAGES_PATH_BYTES];
    images_make(directory);
    images_path(directory, "model", path);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char line[MKV_DRIVE_IDENTITY_BYTES];
        FILE *file = fopen(path, "we");
        assert_non_null(file);
        assert_true(fputs(cases[i].content, file) >= 0);
        fclose(file);
        mkv_drive_identity_line(path, line);
        assert_string_equal(line, cases[i].line);
    }
    images_remove(directory);
}

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
        cmocka_unit_test(test_line__what_vendors_write__trimmed_and_printable),
        cmocka_unit_test(test_read__a_file__nothing_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
