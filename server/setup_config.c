/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/config_show.h"
#include "server/drive_set.h"
#include "server/setup.h"
#include "server/size.h"

/* Where clients connect by default. */
#define NATIVE_PORT 9900u

static void append_size(struct mkv_text *yaml, const char *key, uint64_t bytes) {
    char size[MKV_SIZE_TEXT_BYTES];
    mkv_size_format(bytes, size);
    mkv_text_format(yaml, "%s: %s\n", key, size);
}

static void append_network(const struct mkv_rdma_port *rdma, struct mkv_text *yaml) {
    const bool is_ipv6 = strchr(rdma->address, ':') != NULL;
    mkv_text_format(yaml, "network:\n  # %s port %u, %s, RoCE v2 at GID index %d\n", rdma->device,
                    rdma->port, rdma->interface, rdma->gid_index);
    mkv_text_string(yaml, "  address: \"");
    mkv_text_format(yaml, is_ipv6 ? "[%s]" : "%s", rdma->address);
    mkv_text_format(yaml, ":%u\"\n", NATIVE_PORT);
    mkv_text_format(yaml, "rdma:\n  mode: require\n  device: %s\n", rdma->device);
}

static void append_drives(const struct mkv_setup_config *config, struct mkv_text *yaml) {
    mkv_text_format(yaml, "storage:\n  mode: %s\n  drives:\n",
                    config->has_files ? "file" : "direct");
    for (uint32_t i = 0; i < config->drive_count; i++) {
        mkv_text_string(yaml, "    - media: ");
        mkv_config_yaml_value(config->drives[i].media, yaml);
        mkv_text_format(yaml, "\n      name: %s\n", config->drives[i].name);
        if (config->drives[i].size_bytes > 0) {
            append_size(yaml, "      size", config->drives[i].size_bytes);
        }
    }
}

/* Whether a start takes the text, with no variable and no flag. */
static bool read_back(const struct mkv_text *yaml, struct mkv_backend_error *error) {
    struct mkv_config_error problem = {0};
    struct mkv_config *config = malloc(sizeof *config);
    if (config == NULL || yaml->failed) {
        free(config);
        return mkv_backend_refuse(error, MKV_BACKEND_UNAVAILABLE,
                                  "no memory for the configuration. Free memory on this machine");
    }
    mkv_config_defaults(config, false);
    const bool good =
        mkv_config_load_text(config, "configuration", yaml->bytes, yaml->count, &problem) &&
        mkv_config_validate(config, &problem);
    free(config);
    return good || mkv_backend_refuse(error, MKV_BACKEND_CONFIGURATION, "%s", problem.message);
}

bool mkv_setup_config_write(const struct mkv_setup_config *config, struct mkv_text *yaml,
                            struct mkv_backend_error *error) {
    char uuid[MKV_UUID_TEXT_BYTES];
    mkv_uuid_format(config->store_uuid, uuid);
    mkv_text_format(yaml, "# memkv store %s\n", uuid);
    if (config->rdma != NULL) {
        append_network(config->rdma, yaml);
    }
    mkv_text_string(yaml, "memory:\n");
    append_size(yaml, "  max_size", config->memory_bytes);
    mkv_text_format(yaml, "  hugepages: %s\n", config->has_hugepages ? "require" : "auto");
    append_drives(config, yaml);
    return read_back(yaml, error);
}
