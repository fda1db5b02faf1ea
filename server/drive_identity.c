/* SPDX-License-Identifier: Apache-2.0 */
#include "server/drive_identity.h"

#include <string.h>

#include "backends/drive_facts.h"

_Static_assert(MKV_DRIVE_IDENTITY_BYTES == MKV_DRIVE_FACT_BYTES, "texts are copied whole");

void mkv_drive_identity_read(int fd, struct mkv_drive_identity *identity) {
    struct mkv_drive_facts facts;
    memset(identity, 0, sizeof *identity);
    if (mkv_drive_facts_read_fd(&mkv_drive_roots_kernel, fd, &facts)) {
        memcpy(identity->model, facts.model, sizeof identity->model);
        memcpy(identity->serial, facts.serial, sizeof identity->serial);
        memcpy(identity->firmware, facts.firmware, sizeof identity->firmware);
    }
}
