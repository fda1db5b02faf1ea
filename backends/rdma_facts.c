/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/rdma_facts.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backends/drive_facts_internal.h"

#define PATH_BYTES (2u * MKV_DRIVE_PLACE_BYTES)
#define PORTS_OF_DEVICE_MAX 8u

/* How well a GID serves as the address that clients are told. */
enum gid_worth {
    GID_NONE = 0,
    GID_IPV6,
    GID_IPV4
};

static enum gid_worth judge_gid(const char *text, char address[MKV_RDMA_ADDRESS_BYTES]) {
    struct in6_addr gid;
    if (inet_pton(AF_INET6, text, &gid) != 1 || IN6_IS_ADDR_UNSPECIFIED(&gid) ||
        IN6_IS_ADDR_LINKLOCAL(&gid)) {
        return GID_NONE;
    }
    if (IN6_IS_ADDR_V4MAPPED(&gid)) {
        (void)inet_ntop(AF_INET, &gid.s6_addr[12], address, MKV_RDMA_ADDRESS_BYTES);
        return GID_IPV4;
    }
    (void)inet_ntop(AF_INET6, &gid, address, MKV_RDMA_ADDRESS_BYTES);
    return GID_IPV6;
}

static void find_gid(const char *directory, struct mkv_rdma_port *port) {
    enum gid_worth best = GID_NONE;
    for (uint32_t index = 0; index < MKV_RDMA_GIDS_MAX; index++) {
        char name[64];
        char text[MKV_DRIVE_FACT_BYTES];
        char address[MKV_RDMA_ADDRESS_BYTES];
        snprintf(name, sizeof name, "gid_attrs/types/%u", index);
        if (!mkv_drive_attribute(directory, name, text, sizeof text) ||
            strcmp(text, "RoCE v2") != 0) {
            continue;
        }
        snprintf(name, sizeof name, "gids/%u", index);
        if (!mkv_drive_attribute(directory, name, text, sizeof text)) {
            continue;
        }
        const enum gid_worth worth = judge_gid(text, address);
        if (worth > best) {
            best = worth;
            port->gid_index = (int32_t)index;
            snprintf(port->address, sizeof port->address, "%.63s", address);
            snprintf(name, sizeof name, "gid_attrs/ndevs/%u", index);
            (void)mkv_drive_attribute(directory, name, port->interface, sizeof port->interface);
        }
    }
    if (best == GID_NONE) {
        (void)mkv_drive_attribute(directory, "gid_attrs/ndevs/0", port->interface,
                                  sizeof port->interface);
    }
}

static void read_port(const struct mkv_drive_roots *roots, const char *device, uint32_t number,
                      const char *directory, struct mkv_rdma_port *port) {
    char text[MKV_DRIVE_FACT_BYTES];
    char path[PATH_BYTES];
    *port = (struct mkv_rdma_port){.port = number, .gid_index = -1, .numa_node = -1};
    snprintf(port->device, sizeof port->device, "%.63s", device);
    /* "4: ACTIVE" */
    (void)mkv_drive_attribute(directory, "state", text, sizeof text);
    const char *colon = strstr(text, ": ");
    snprintf(port->state, sizeof port->state, "%.63s", colon == NULL ? text : colon + 2);
    port->active = strcmp(port->state, "ACTIVE") == 0;
    (void)mkv_drive_attribute(directory, "link_layer", text, sizeof text);
    port->ethernet = strcmp(text, "Ethernet") == 0;
    (void)mkv_drive_attribute(directory, "rate", port->rate, sizeof port->rate);
    snprintf(path, sizeof path, "%.200s/class/infiniband/%.200s", roots->sys, device);
    (void)mkv_drive_attribute(path, "fw_ver", port->firmware, sizeof port->firmware);
    if (mkv_drive_attribute(path, "device/numa_node", text, sizeof text)) {
        port->numa_node = (int32_t)strtol(text, NULL, 10);
    }
    if (port->ethernet) {
        find_gid(directory, port);
    }
    if (port->interface[0] != '\0') {
        snprintf(path, sizeof path, "%.200s/class/net/%.64s", roots->sys, port->interface);
        port->mtu = (uint32_t)mkv_drive_attribute_number(path, "mtu");
    }
}

static int compare_ports(const void *left, const void *right) {
    const struct mkv_rdma_port *a = left;
    const struct mkv_rdma_port *b = right;
    const int order = strverscmp(a->device, b->device);
    return order != 0 ? order : (a->port > b->port) - (a->port < b->port);
}

uint32_t mkv_rdma_list(const struct mkv_drive_roots *roots, struct mkv_rdma_port *out,
                       uint32_t out_max) {
    char directory[MKV_DRIVE_PLACE_BYTES];
    snprintf(directory, sizeof directory, "%.400s/class/infiniband", roots->sys);
    DIR *devices = opendir(directory);
    if (devices == NULL) {
        return 0;
    }
    uint32_t count = 0;
    const struct dirent *entry;
    while ((entry = readdir(devices)) != NULL) {
        for (uint32_t port = 1; entry->d_name[0] != '.' && port <= PORTS_OF_DEVICE_MAX; port++) {
            char path[PATH_BYTES];
            char state[MKV_DRIVE_FACT_BYTES];
            snprintf(path, sizeof path, "%.400s/%.200s/ports/%u", directory, entry->d_name, port);
            if (count == out_max || !mkv_drive_attribute(path, "state", state, sizeof state)) {
                break;
            }
            read_port(roots, entry->d_name, port, path, &out[count]);
            count++;
        }
    }
    closedir(devices);
    qsort(out, count, sizeof *out, compare_ports);
    return count;
}

/* ---- what a port counts ---------------------------------------------------------------------- */

/* Each as the drivers call it: rxe, mlx5, bnxt_re; what none of the others counts is NULL. */
static const char *const trouble_names[MKV_RDMA_TROUBLE_COUNT][3] = {
    [MKV_RDMA_RNR_RECEIVED] = {"rcvd_rnr_err", "rnr_nak_retry_err", "rnr_naks_rcvd"},
    [MKV_RDMA_RNR_SENT] = {"send_rnr_err", "out_of_buffer", NULL},
    [MKV_RDMA_RNR_EXCEEDED] = {"retry_rnr_exceeded_err", "req_rnr_retries_exceeded", NULL},
    [MKV_RDMA_RETRIED] = {"completer_retry_err", "local_ack_timeout_err", "to_retransmits"},
    [MKV_RDMA_RETRY_EXCEEDED] = {"retry_exceeded_err", "req_transport_retries_exceeded",
                                 "max_retry_exceeded"},
    [MKV_RDMA_OUT_OF_SEQUENCE] = {"out_of_seq_request", "out_of_sequence", NULL},
    [MKV_RDMA_SEQUENCE_REFUSED] = {"rcvd_seq_err", "packet_seq_err", "seq_err_naks_rcvd"},
    [MKV_RDMA_DUPLICATE] = {"duplicate_request", "dup_req", NULL},
};

void mkv_rdma_troubles_read(const struct mkv_drive_roots *roots, const char *device, uint32_t port,
                            struct mkv_rdma_troubles *out) {
    char directory[PATH_BYTES];
    *out = (struct mkv_rdma_troubles){0};
    snprintf(directory, sizeof directory, "%.400s/class/infiniband/%.200s/ports/%u/hw_counters",
             roots->sys, device, port);
    for (uint32_t trouble = 0; trouble < MKV_RDMA_TROUBLE_COUNT; trouble++) {
        for (uint32_t place = 0; place < 3; place++) {
            char text[MKV_DRIVE_FACT_BYTES];
            const char *name = trouble_names[trouble][place];
            if (name != NULL && (out->told >> trouble & 1u) == 0 &&
                mkv_drive_attribute(directory, name, text, sizeof text)) {
                out->told |= 1u << trouble;
                out->counts[trouble] = strtoull(text, NULL, 10);
            }
        }
    }
}
