/* SPDX-License-Identifier: Apache-2.0 */
#include "server/config_rdma.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define AUTO "auto"

/* In the order of enum mkv_config_rdma. */
const char *const mkv_config_rdma_mode_words[] = {"auto", "require", "off", NULL};
const char *const mkv_config_rdma_mtu_words[] = {AUTO, "256", "512", "1024", "2048", "4096", NULL};

_Static_assert(sizeof(enum mkv_config_rdma) == sizeof(uint32_t), "a word's index fits");

/* -2: it is none. */
static int32_t gid_index_of(const char *text) {
    if (strcmp(text, AUTO) == 0) {
        return -1;
    }
    const size_t digits = strspn(text, "0123456789");
    if (digits < 1 || digits > 3 || text[digits] != '\0') {
        return -2;
    }
    const int32_t index = (int32_t)strtol(text, NULL, 10);
    return index <= MKV_CONFIG_RDMA_GID_INDEX_LIMIT ? index : -2;
}

bool mkv_config_check_gid_index(const char *text, char problem[MKV_CONFIG_PROBLEM_BYTES]) {
    if (gid_index_of(text) == -2) {
        snprintf(problem, MKV_CONFIG_PROBLEM_BYTES,
                 "it is no place in a table of GIDs; use auto or 0 to %d (show_gids lists them)",
                 MKV_CONFIG_RDMA_GID_INDEX_LIMIT);
        return false;
    }
    return true;
}

int32_t mkv_config_rdma_gid_index(const struct mkv_config *config) {
    const int32_t index = gid_index_of(config->rdma.gid_index);
    MKV_ASSERT(index >= -1);
    return index;
}

uint32_t mkv_config_rdma_mtu(const struct mkv_config *config) {
    return config->rdma.mtu == 0 ? 0 : 128u << config->rdma.mtu;
}
