/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A directory of its own for each test of the audit, and where the audit's file is in it.
 *
 * Not responsible for: making that file.
 */
#ifndef MKV_TESTS_UNIT_ADMIN_AUDIT_RIG_H
#define MKV_TESTS_UNIT_ADMIN_AUDIT_RIG_H

struct rig {
    char directory[64];
    char path[128];
};

/* For cmocka: *state becomes the rig; tear_down removes the directory with all that is in it. */
int audit_rig_set_up(void **state);
int audit_rig_tear_down(void **state);

#endif
