/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/admin/audit_rig.h"

#include <stdlib.h>

#include "tests/unit/admin/test.h"

int audit_rig_set_up(void **state) {
    struct rig *rig = calloc(1, sizeof *rig);
    assert_non_null(rig);
    snprintf(rig->directory, sizeof rig->directory, "/tmp/memkv-audit-XXXXXX");
    assert_non_null(mkdtemp(rig->directory));
    snprintf(rig->path, sizeof rig->path, "%s/audit.log", rig->directory);
    *state = rig;
    return 0;
}

int audit_rig_tear_down(void **state) {
    struct rig *rig = *state;
    char command[128];
    snprintf(command, sizeof command, "rm -r %s", rig->directory);
    assert_int_equal(system(command), 0);
    free(rig);
    return 0;
}
