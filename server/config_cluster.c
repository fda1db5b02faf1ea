/* SPDX-License-Identifier: Apache-2.0 */
#include "server/config_cluster.h"

#include <stdio.h>
#include <string.h>

#include "client/discovery.h"

bool mkv_config_check_discovery(const char *text, char problem[MKV_CONFIG_PROBLEM_BYTES]) {
    static const char label[] = "cluster";
    struct memkv_error error;
    if (strncmp(text, "etcd:", 5) != 0) {
        snprintf(problem, MKV_CONFIG_PROBLEM_BYTES,
                 "a node tells etcd alone that it is there; write etcd:http://HOST:PORT/PREFIX, or "
                 "leave it out where a file, DNS or a list names the servers");
        return false;
    }
    if (mkv_discovery_check(label, text, &error) != MEMKV_OK) {
        snprintf(problem, MKV_CONFIG_PROBLEM_BYTES, "%.190s", error.text + sizeof label + 1);
        return false;
    }
    return true;
}

bool mkv_config_check_advertise(const char *text, char problem[MKV_CONFIG_PROBLEM_BYTES]) {
    struct mkv_client_address all[MKV_CLIENT_SERVERS_MAX];
    struct memkv_error error;
    uint32_t count = 0;
    _Static_assert(MKV_CONFIG_ADVERTISE_BYTES == MKV_CLIENT_ADDRESS_BYTES, "the same address");
    if (mkv_client_servers_parse("it is", text, all, &count, &error) != MEMKV_OK) {
        snprintf(problem, MKV_CONFIG_PROBLEM_BYTES, "%.190s", error.text);
        return false;
    }
    if (count != 1 || strchr(text, '*') != NULL) {
        snprintf(problem, MKV_CONFIG_PROBLEM_BYTES,
                 "it is one HOST:PORT; the weight stands in cluster.weight");
        return false;
    }
    return true;
}
