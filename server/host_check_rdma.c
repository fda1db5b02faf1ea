/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The checks of host_check.h that are of RDMA: library, devices, ports, and what a network that
 * loses nothing needs of the interfaces.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "server/host_check_internal.h"

/* Devices that open as files, "uverbs0" and so on. */
#define UVERBS_MAX 64u
#define SUBJECT_FORMAT "%.60s/%" PRIu32

static const char no_rdma_remedy[] =
    "memkv serves over TCP without; for RDMA: a card that does RoCE v2 with its driver (rdma link "
    "lists it), or Soft-RoCE for trials: rdma link add rxe0 type rxe netdev INTERFACE";

/* A check that is for each port, or for each Ethernet one. */
typedef void port_check(struct mkv_host *host, const struct mkv_rdma_port *port,
                        const char *subject);

static void each_port(struct mkv_host *host, bool ethernet_alone, port_check *check) {
    for (uint32_t i = 0; i < host->port_count; i++) {
        const struct mkv_rdma_port *port = &host->ports[i];
        char subject[MKV_HOST_SUBJECT_BYTES];
        snprintf(subject, sizeof subject, SUBJECT_FORMAT, port->device, port->port);
        if (port->ethernet || !ethernet_alone) {
            check(host, port, subject);
        }
    }
}

/* ---- library and devices -------------------------------------------------------------------- */

static uint32_t device_count(const struct mkv_host *host) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < host->port_count; i++) {
        count += i == 0 || strcmp(host->ports[i].device, host->ports[i - 1].device) != 0 ? 1 : 0;
    }
    return count;
}

void mkv_host_check_library(struct mkv_host *host) {
    const struct mkv_host_sources *sources = host->sources;
    const uint32_t devices = device_count(host);
    if (sources->is_built_without_rdma) {
        mkv_host_row(host->report, "rdma_library", "",
                     devices > 0 || sources->is_rdma_required ? MKV_HOST_FAIL : MKV_HOST_WARN,
                     "take a memkv that was built with libibverbs-dev (meson -Dverbs=enabled)",
                     "this memkv was built without RDMA");
    } else if (!sources->rdma_library.is_there) {
        mkv_host_row(host->report, "rdma_library", "",
                     devices > 0 || sources->is_rdma_required ? MKV_HOST_FAIL : MKV_HOST_WARN,
                     "apt-get install libibverbs1 ibverbs-providers (dnf install libibverbs)",
                     "libibverbs cannot be loaded: %s", sources->rdma_library.problem);
    } else if (sources->rdma_library.device_count < devices) {
        mkv_host_row(host->report, "rdma_library", "", MKV_HOST_FAIL,
                     "apt-get install ibverbs-providers, which brings the part of each driver that "
                     "runs in processes; modprobe ib_uverbs",
                     "the kernel has %" PRIu32 " devices and libibverbs finds %" PRIu32, devices,
                     sources->rdma_library.device_count);
    } else {
        mkv_host_row(host->report, "rdma_library", "", MKV_HOST_PASS, "",
                     "libibverbs is there and finds %" PRIu32 " devices",
                     sources->rdma_library.device_count);
    }
}

void mkv_host_check_device(struct mkv_host *host) {
    if (host->sources->is_rdma_off) {
        mkv_host_row(host->report, "rdma_device", "", MKV_HOST_PASS, "",
                     "not looked at: the node is configured without RDMA");
    } else if (host->port_count == 0) {
        mkv_host_row(host->report, "rdma_device", "",
                     host->sources->is_rdma_required ? MKV_HOST_FAIL : MKV_HOST_WARN,
                     no_rdma_remedy,
                     "there is none, so ports, MTU, GIDs and priorities are not checked");
        return;
    }
    for (uint32_t i = 0; i < host->port_count; i++) {
        const struct mkv_rdma_port *port = &host->ports[i];
        if (i == 0 || strcmp(port->device, host->ports[i - 1].device) != 0) {
            mkv_host_row(host->report, "rdma_device", port->device, MKV_HOST_PASS, "",
                         "%s%s, interface %s",
                         port->firmware[0] == '\0' ? "no firmware told" : "firmware ",
                         port->firmware, port->interface[0] == '\0' ? "-" : port->interface);
        }
    }
}

/* Which of /dev/infiniband/uverbsN is this device. False: the kernel has none for it. */
static bool find_uverbs(const struct mkv_host *host, const char *device,
                        char out[MKV_HOST_PATH_BYTES]) {
    for (uint32_t i = 0; i < UVERBS_MAX; i++) {
        char path[MKV_HOST_LINE_BYTES];
        char line[MKV_HOST_LINE_BYTES];
        snprintf(path, sizeof path, "class/infiniband_verbs/uverbs%u/ibdev", i);
        if (mkv_host_line(host->sources->roots.sys, path, line) && strcmp(line, device) == 0) {
            snprintf(out, MKV_HOST_PATH_BYTES, "%.400s/infiniband/uverbs%u",
                     host->sources->roots.dev, i);
            return true;
        }
    }
    return false;
}

void mkv_host_check_access(struct mkv_host *host) {
    for (uint32_t i = 0; i < host->port_count; i++) {
        const char *device = host->ports[i].device;
        char path[MKV_HOST_PATH_BYTES];
        if (i > 0 && strcmp(device, host->ports[i - 1].device) == 0) {
            continue;
        }
        if (!find_uverbs(host, device, path)) {
            mkv_host_row(host->report, "rdma_access", device, MKV_HOST_FAIL,
                         "modprobe ib_uverbs, and name it in /etc/modules-load.d",
                         "processes cannot reach the device: the module ib_uverbs is not loaded");
        } else if (access(path, R_OK | W_OK) != 0) {
            mkv_host_row(host->report, "rdma_access", device, MKV_HOST_FAIL,
                         "a udev rule that gives it to the group of memkv (KERNEL==\"uverbs*\", "
                         "GROUP=\"memkv\", MODE=\"0660\"); a container: --device=/dev/infiniband",
                         "%s is not there, or this user may not open it", path);
        } else {
            mkv_host_row(host->report, "rdma_access", device, MKV_HOST_PASS, "", "%s", path);
        }
    }
}

/* ---- ports ---------------------------------------------------------------------------------- */

static void check_port(struct mkv_host *host, const struct mkv_rdma_port *port,
                       const char *subject) {
    bool others = false;
    for (uint32_t i = 0; i < host->port_count; i++) {
        others = others || host->ports[i].active;
    }
    enum mkv_host_word word = MKV_HOST_PASS;
    if (!port->active) {
        word = others ? MKV_HOST_WARN : MKV_HOST_FAIL;
    }
    mkv_host_row(host->report, "rdma_port", subject, word,
                 "ip link set INTERFACE up; look at cable, transceiver and the switch's port "
                 "(ethtool INTERFACE); on InfiniBand, at the subnet manager (sminfo)",
                 "%s, %s, %s", port->state[0] == '\0' ? "state not told" : port->state,
                 port->ethernet ? "Ethernet (RoCE)" : "InfiniBand",
                 port->rate[0] == '\0' ? "rate not told" : port->rate);
}

void mkv_host_check_port(struct mkv_host *host) {
    each_port(host, false, check_port);
}

/* The MTU that RoCE takes of an interface's: a power of two, 256 to 4096; 0: none fits. */
static uint32_t roce_mtu_of(uint32_t mtu) {
    for (uint32_t roce = MKV_HOST_ROCE_MTU_MAX; roce >= 256; roce /= 2) {
        if (mtu >= roce + MKV_HOST_ROCE_HEADER_BYTES) {
            return roce;
        }
    }
    return 0;
}

static void check_mtu(struct mkv_host *host, const struct mkv_rdma_port *port,
                      const char *subject) {
    char remedy[MKV_HOST_REMEDY_BYTES];
    const uint32_t wanted = host->sources->rdma_mtu_bytes;
    const uint32_t roce = roce_mtu_of(port->mtu);
    snprintf(remedy, sizeof remedy,
             "ip link set %s mtu 9000, here and on every host, and at least as much on every port "
             "of the switches between; then check the way: memkv doctor --peer HOST",
             port->interface[0] == '\0' ? "INTERFACE" : port->interface);
    if (port->mtu == 0) {
        mkv_host_row(host->report, "rdma_mtu", subject, MKV_HOST_WARN,
                     "see ibv_devinfo, active_mtu", "the interface of the port is not known");
    } else if (roce == 0 || wanted > roce) {
        mkv_host_row(host->report, "rdma_mtu", subject, MKV_HOST_FAIL, remedy,
                     "MTU %" PRIu32 " of %s carries RoCE MTU %" PRIu32 ", and %" PRIu32
                     " is asked for",
                     port->mtu, port->interface, roce, wanted == 0 ? 256 : wanted);
    } else {
        const bool is_enough = wanted > 0 || roce == MKV_HOST_ROCE_MTU_MAX;
        mkv_host_row(host->report, "rdma_mtu", subject, is_enough ? MKV_HOST_PASS : MKV_HOST_WARN,
                     remedy, "MTU %" PRIu32 " of %s carries RoCE MTU %" PRIu32 "%s", port->mtu,
                     port->interface, roce,
                     is_enough ? "" : "; 4096 takes fewer packets for the same bytes");
    }
}

void mkv_host_check_mtu(struct mkv_host *host) {
    each_port(host, true, check_mtu);
}

static void check_gid(struct mkv_host *host, const struct mkv_rdma_port *port,
                      const char *subject) {
    const bool is_ipv4 = port->gid_index >= 0 && strchr(port->address, ':') == NULL;
    if (is_ipv4) {
        mkv_host_row(host->report, "rdma_gid", subject, MKV_HOST_PASS, "",
                     "RoCE v2 of %s at index %" PRId32, port->address, port->gid_index);
    } else if (port->gid_index >= 0) {
        mkv_host_row(host->report, "rdma_gid", subject, MKV_HOST_WARN,
                     "ip addr add ADDRESS/BITS dev INTERFACE, if clients connect by IPv4",
                     "RoCE v2 of %s at index %" PRId32 ", and none of an IPv4 address",
                     port->address, port->gid_index);
    } else {
        mkv_host_row(host->report, "rdma_gid", subject, MKV_HOST_FAIL,
                     "give the interface an address: ip addr add ADDRESS/BITS dev INTERFACE; then "
                     "cat /sys/class/infiniband/DEVICE/ports/N/gid_attrs/types/* shows RoCE v2",
                     "no GID of RoCE v2 with an address");
    }
}

void mkv_host_check_gid(struct mkv_host *host) {
    each_port(host, true, check_gid);
}

/* ---- priorities ----------------------------------------------------------------------------- */

static void check_pfc(struct mkv_host *host, const char *interface, const struct mkv_dcb *dcb,
                      uint32_t priority) {
    char remedy[MKV_HOST_REMEDY_BYTES];
    snprintf(remedy, sizeof remedy,
             "dcb pfc set dev %s prio-pfc all:off %" PRIu32 ":on, or mlnx_qos -i %s --pfc with a 1 "
             "for priority %" PRIu32 " alone; the same on the switch (docs/rocev2.md)",
             interface, priority, interface, priority);
    if (!dcb->has_pfc) {
        snprintf(remedy, sizeof remedy,
                 "dcb pfc show dev %s, mlnx_qos -i %s, or the driver's own tool: priority %" PRIu32
                 " is to pause, and no other",
                 interface, interface, priority);
        mkv_host_row(host->report, "pfc", interface, MKV_HOST_WARN, remedy,
                     "not readable: the driver does not tell which priorities pause");
    } else if ((dcb->pfc_priorities >> priority & 1u) == 0) {
        mkv_host_row(host->report, "pfc", interface, MKV_HOST_WARN, remedy,
                     "priority %" PRIu32 " does not pause (mask 0x%02x): packets are lost where "
                     "the network is full",
                     priority, dcb->pfc_priorities);
    } else {
        mkv_host_row(host->report, "pfc", interface, MKV_HOST_PASS, "",
                     "priority %" PRIu32 " pauses (mask 0x%02x)", priority, dcb->pfc_priorities);
    }
}

static void check_dscp(struct mkv_host *host, const char *interface, const struct mkv_dcb *dcb) {
    char remedy[MKV_HOST_REMEDY_BYTES];
    const uint32_t dscp = host->sources->traffic_class >> 2;
    const uint8_t priority = dcb->priority_of_dscp[dscp];
    snprintf(remedy, sizeof remedy,
             "rdma.traffic_class: 104, which is DSCP 26 (it is %" PRIu32 " now); mlnx_qos -i %s "
             "--trust dscp; dcb app add dev %s dscp-prio 26:3, so that DSCP 26 is priority 3; see "
             "dcb app show dev %s",
             host->sources->traffic_class, interface, interface, interface);
    if (!dcb->has_dscp) {
        mkv_host_row(host->report, "dscp", interface, MKV_HOST_WARN, remedy,
                     "not readable: the driver tells no rules by DSCP");
    } else if (priority != MKV_HOST_PRIORITY) {
        char text[32] = "no priority";
        if (priority != MKV_DCB_NO_PRIORITY) {
            snprintf(text, sizeof text, "priority %u", priority);
        }
        mkv_host_row(host->report, "dscp", interface, MKV_HOST_WARN, remedy,
                     "DSCP %" PRIu32 " has %s, not 3", dscp, text);
    } else {
        mkv_host_row(host->report, "dscp", interface, MKV_HOST_PASS, "",
                     "DSCP %" PRIu32 " has priority 3", dscp);
    }
}

static void check_priorities(struct mkv_host *host, const struct mkv_rdma_port *port,
                             const char *subject) {
    const char *interface = port->interface[0] == '\0' ? subject : port->interface;
    struct mkv_dcb dcb;
    if (host->sources->dcb == NULL ||
        !host->sources->dcb(host->sources->context, interface, &dcb)) {
        dcb = (struct mkv_dcb){0};
    }
    check_pfc(host, interface, &dcb, MKV_HOST_PRIORITY);
    check_dscp(host, interface, &dcb);
}

void mkv_host_check_priorities(struct mkv_host *host) {
    each_port(host, true, check_priorities);
}

static void check_ecn(struct mkv_host *host, const struct mkv_rdma_port *port,
                      const char *subject) {
    static const char *const sides[] = {"roce_np", "roce_rp"};
    const char *interface = port->interface[0] == '\0' ? subject : port->interface;
    char remedy[MKV_HOST_REMEDY_BYTES];
    char values[2][MKV_HOST_LINE_BYTES];
    bool is_readable = true;
    bool is_on = true;
    for (size_t i = 0; i < 2; i++) {
        char path[MKV_HOST_LINE_BYTES];
        snprintf(path, sizeof path, "class/net/%.64s/ecn/%s/enable/%u", interface, sides[i],
                 MKV_HOST_PRIORITY);
        is_readable = mkv_host_line(host->sources->roots.sys, path, values[i]) && is_readable;
        is_on = is_on && strcmp(values[i], "1") == 0;
    }
    if (!is_readable) {
        mkv_host_row(host->report, "ecn", interface, MKV_HOST_WARN,
                     "the driver's own tool says whether it slows down for marked packets (DCQCN); "
                     "the switch's queue of priority 3 is to mark (docs/rocev2.md)",
                     "not readable: the driver does not tell whether it answers marked packets");
        return;
    }
    snprintf(remedy, sizeof remedy,
             "echo 1 >/sys/class/net/%s/ecn/roce_np/enable/3 and .../roce_rp/enable/3", interface);
    mkv_host_row(host->report, "ecn", interface, is_on ? MKV_HOST_PASS : MKV_HOST_WARN, remedy,
                 "priority 3: notifications %s, slowing down %s",
                 strcmp(values[0], "1") == 0 ? "on" : "off",
                 strcmp(values[1], "1") == 0 ? "on" : "off");
}

void mkv_host_check_ecn(struct mkv_host *host) {
    each_port(host, true, check_ecn);
}

/* ---- memory of GPUs ------------------------------------------------------------------------- */

void mkv_host_check_dmabuf(struct mkv_host *host) {
    if (host->port_count == 0) {
        return;
    }
    if (host->sources->rdma_library.has_dmabuf) {
        mkv_host_row(host->report, "dma_buf", "", MKV_HOST_WARN,
                     "try it with your GPU and driver before you rely on it, or move values "
                     "through memory of the host",
                     "libibverbs has ibv_reg_dmabuf_mr; memkv is untested with memory of GPUs");
    } else {
        mkv_host_row(host->report, "dma_buf", "", MKV_HOST_WARN,
                     "rdma-core 34 or later, for memory of GPUs; nothing else needs it",
                     "libibverbs has no ibv_reg_dmabuf_mr");
    }
}
