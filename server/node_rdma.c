/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the node knows of RDMA: the ports that its shards have open, whether a client could get it
 * now, and what is said when that changes.
 *
 *     each shard:  port up, down, gone  --> one state for each port: up while any shard has it up
 *                                       --> active while any port is up
 *                  active, not active   --> transitions, warning RDMA_DOWN, the node's state
 *                  the device that the configuration names cannot be had   --> the warning alone
 *
 * What is said of a port is said once, and not once a shard.
 */
#include "server/node_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "admin/words.h"
#include "backends/clock.h"
#include "server/config_rdma.h"

#define TARGET "fabric.rdma"
#define IPV4_PREFIX "::ffff:"

_Static_assert(MKV_LANE_REASON_COUNT - MKV_LANE_REASON_LOCAL_ERROR == MKV_ADMIN_RDMA_FAILURE_COUNT,
               "each way to fail has its word");
_Static_assert(MKV_LANE_REASON_COUNT - MKV_LANE_REASON_CLOSED + 1 + MKV_NATIVE_REFUSAL_COUNT ==
                   MKV_ADMIN_RDMA_FALLBACK_COUNT,
               "and so has each reason of a fallback");
_Static_assert(MKV_RDMA_TROUBLE_COUNT == MKV_ADMIN_RDMA_TROUBLE_COUNT, "and each trouble");

/* ---- options --------------------------------------------------------------------------------- */

/* The address that the listener is bound to, where that tells networks apart. */
static const char *bound_address(const char *host) {
    static const char *const any[] = {"", "0.0.0.0", "::", "::1", "localhost"};
    for (size_t i = 0; i < sizeof any / sizeof any[0]; i++) {
        if (strcmp(host, any[i]) == 0) {
            return NULL;
        }
    }
    return strncmp(host, "127.", 4) == 0 ? NULL : host;
}

bool mkv_node_rdma_options(const struct mkv_node *node, struct mkv_lane_ports_options *rdma) {
    const struct mkv_config *config = &node->config;
    *rdma = (struct mkv_lane_ports_options){
        .is_required = config->rdma.mode == MKV_CONFIG_RDMA_REQUIRE,
        .device = config->rdma.device[0] == '\0' ? NULL : config->rdma.device,
        .gid_index = mkv_config_rdma_gid_index(config),
        .address = bound_address(config->network.address.host),
        .traffic_class = (uint32_t)config->rdma.traffic_class,
        .service_level = (uint32_t)config->rdma.service_level,
        .mtu = mkv_config_rdma_mtu(config),
        .lanes_max = (uint32_t)config->rdma.connections_max,
        .poll_ns = config->rdma.poll_us * 1000u,
    };
    return config->rdma.mode != MKV_CONFIG_RDMA_OFF && node->tls == NULL;
}

/* Before anything is changed that a start that is refused would leave behind. */
static bool check(const struct mkv_node *node, const struct mkv_arena *arena,
                  struct mkv_backend_error *error) {
    struct mkv_lane_ports_options options;
    if (node->config.rdma.mode != MKV_CONFIG_RDMA_REQUIRE) {
        return true;
    }
    (void)mkv_node_rdma_options(node, &options);
    options.arena = arena;
    return mkv_lane_ports_check(&options, error);
}

bool mkv_node_rdma_check_ports(struct mkv_node *node, struct mkv_backend_error *error) {
    return check(node, NULL, error);
}

/* Registering takes long where there is much memory, and the shards, which do it in any case,
 * refuse as well: so it is tried before them only where a drive would be formatted in between. */
bool mkv_node_rdma_check_memory(struct mkv_node *node, struct mkv_backend_error *error) {
    return !mkv_node_drives_to_format(node) || check(node, node->arena, error);
}

/* ---- ports ----------------------------------------------------------------------------------- */

static bool is_active(const struct node_rdma *rdma) {
    bool active = false;
    for (uint32_t i = 0; i < rdma->port_count; i++) {
        active = active || rdma->ports[i].shards_up != 0;
    }
    return active;
}

static struct node_rdma_port *find_port(struct node_rdma *rdma,
                                        const struct mkv_verbs_facts *facts) {
    for (uint32_t i = 0; i < rdma->port_count; i++) {
        struct node_rdma_port *port = &rdma->ports[i];
        if (strcmp(port->device, facts->device) == 0 && port->port == facts->port) {
            return port; /* whatever its address and its place are by now */
        }
    }
    return NULL;
}

/* NULL: as many as are told apart are up. */
static struct node_rdma_port *make_port(struct node_rdma *rdma,
                                        const struct mkv_verbs_facts *facts) {
    struct node_rdma_port *port = NULL;
    if (rdma->port_count < MKV_ADMIN_RDMA_PORTS_MAX) {
        port = &rdma->ports[rdma->port_count++];
    }
    for (uint32_t i = 0; i < rdma->port_count && port == NULL; i++) {
        port = rdma->ports[i].shards_up == 0 ? &rdma->ports[i] : NULL;
    }
    if (port != NULL) {
        *port = (struct node_rdma_port){.port = facts->port};
        snprintf(port->device, sizeof port->device, "%s", facts->device);
    }
    return port;
}

/* The GID as an address. */
static const char *address_of(const struct mkv_verbs_facts *facts) {
    const size_t prefix = strlen(IPV4_PREFIX);
    const bool is_ipv4 = strncmp(facts->gid, IPV4_PREFIX, prefix) == 0;
    return facts->gid + (is_ipv4 ? prefix : 0);
}

static bool is_noted(const struct node_rdma_port *port, const struct mkv_verbs_facts *facts) {
    return strcmp(port->address, address_of(facts)) == 0 && port->gid_index == facts->gid_index &&
           port->mtu == facts->mtu;
}

static void note_facts(struct node_rdma_port *port, const struct mkv_verbs_facts *facts) {
    snprintf(port->address, sizeof port->address, "%s", address_of(facts));
    port->gid_index = facts->gid_index;
    port->mtu = facts->mtu;
}

/* ---- what is said ---------------------------------------------------------------------------- */

static void say_up(struct mkv_node *node, const struct node_rdma_port *port,
                   const struct mkv_verbs_facts *facts) {
    const struct mkv_log_field fields[] = {
        {.name = "device", .text = port->device},
        {.name = "port", .number = port->port},
        {.name = "address", .text = port->address},
        {.name = "gid_index", .number = (uint64_t)port->gid_index},
        {.name = "mtu", .number = port->mtu},
        {.name = "reads_max", .number = facts->reads_max},
        {.name = "traffic_class", .number = facts->traffic_class},
        {.name = "service_level", .number = facts->service_level},
        {.name = "numa_node", .number = (uint64_t)facts->numa_node}, /* where it is known */
    };
    const uint32_t field_count = sizeof fields / sizeof fields[0];
    mkv_log_write(node->log, MKV_LOG_SITE_RDMA, MKV_CONFIG_LOG_INFO, TARGET, fields,
                  facts->numa_node < 0 ? field_count - 1 : field_count,
                  "RDMA: %s port %" PRIu32 " is up, %s at %s, GID index %" PRId32
                  ", packets of %" PRIu32 " bytes",
                  port->device, port->port, facts->is_ethernet ? "RoCE v2" : "InfiniBand",
                  port->address, port->gid_index, port->mtu);
}

static void say_down(struct mkv_node *node, const struct node_rdma_port *port, const char *text) {
    const struct mkv_log_field fields[] = {
        {.name = "device", .text = port->device},
        {.name = "port", .number = port->port},
        {.name = "address", .text = port->address},
    };
    mkv_log_write(node->log, MKV_LOG_SITE_RDMA, MKV_CONFIG_LOG_WARN, TARGET, fields,
                  sizeof fields / sizeof fields[0], "RDMA: %s", text);
}

static void say(struct mkv_node *node, enum mkv_log_site site, enum mkv_config_log_level level,
                const char *text) {
    mkv_log_write(node->log, site, level, TARGET, NULL, 0, "RDMA: %s", text);
}

static void warn(struct mkv_node *node, const struct node_rdma_port *last) {
    mkv_node_warn(node, MKV_ADMIN_WARNING_RDMA_DOWN, NULL,
                  "see the link (rdma link, ip link, dmesg) and run memkv doctor; clients go back "
                  "to RDMA by themselves when it is up",
                  "no RDMA port is up, the last was %s port %" PRIu32
                  " (%s): native clients go on over TCP",
                  last->device, last->port, last->address);
}

/* Of a device that the configuration names and that has not been there yet. The node is not
 * degraded by that: it has lost nothing. */
static void warn_of_absent(struct mkv_node *node, const char *text) {
    mkv_node_warn(node, MKV_ADMIN_WARNING_RDMA_DOWN, NULL,
                  mkv_verbs_is_built()
                      ? "run memkv doctor, or set rdma.device to what rdma link lists; it is tried "
                        "again, and clients go over to RDMA by themselves when it is there"
                      : "take a memkv with RDMA, or leave rdma.device out",
                  "%s; native clients are served over TCP", text);
}

/* ---- events ---------------------------------------------------------------------------------- */

static void port_up(struct mkv_node *node, uint32_t shard, const struct mkv_verbs_facts *facts) {
    struct node_rdma *rdma = &node->rdma;
    const bool was_active = is_active(rdma);
    struct node_rdma_port *port = find_port(rdma, facts);
    port = port != NULL ? port : make_port(rdma, facts);
    if (port == NULL) {
        return;
    }
    const bool is_first = port->shards_up == 0;
    port->shards_up |= 1ull << shard;
    if (!is_first && is_noted(port, facts)) {
        return;
    }
    note_facts(port, facts);
    port->since_ms = is_first ? mkv_clock_wall_ms() : port->since_ms;
    say_up(node, port, facts);
    if (!was_active) {
        rdma->ups_total += rdma->has_been_up ? 1 : 0; /* being there at the start is no change */
        rdma->has_been_up = true;
        mkv_node_warn_over(node, MKV_ADMIN_WARNING_RDMA_DOWN, NULL);
    }
}

static void port_down(struct mkv_node *node, uint32_t shard, const struct mkv_verbs_facts *facts,
                      const char *text) {
    struct node_rdma *rdma = &node->rdma;
    struct node_rdma_port *port = find_port(rdma, facts);
    if (port == NULL || (port->shards_up & 1ull << shard) == 0) {
        return;
    }
    port->shards_up &= ~(1ull << shard);
    if (port->shards_up != 0) {
        return;
    }
    port->since_ms = mkv_clock_wall_ms();
    say_down(node, port, text);
    if (!is_active(rdma) && atomic_load(&node->stop_count) == 0) {
        rdma->downs_total++;
        warn(node, port);
    }
}

void mkv_node_rdma_event(void *context, uint32_t shard, enum mkv_lane_port_event event,
                         const struct mkv_verbs_facts *facts, const char *text) {
    struct mkv_node *node = context;
    const bool is_wanted =
        node->config.rdma.mode == MKV_CONFIG_RDMA_REQUIRE || node->config.rdma.device[0] != '\0';
    MKV_ASSERT(shard < MKV_SHARDS_MAX);
    /* What is raised and taken back follows the order of what happened. */
    pthread_mutex_lock(&node->rdma.mutex);
    switch (event) {
    case MKV_LANE_PORT_UP:
        port_up(node, shard, facts);
        break;
    case MKV_LANE_PORT_DOWN:
    case MKV_LANE_PORT_GONE:
        port_down(node, shard, facts, text);
        break;
    case MKV_LANE_PORT_NOT_OPENED:
        if (shard == 0) { /* the others see the same */
            say(node, MKV_LOG_SITE_RDMA, is_wanted ? MKV_CONFIG_LOG_WARN : MKV_CONFIG_LOG_INFO,
                text);
        }
        if (shard == 0 && is_wanted && !node->rdma.has_been_up) {
            warn_of_absent(node, text);
        }
        break;
    case MKV_LANE_PORT_LANE_BROKEN:
        say(node, MKV_LOG_SITE_LANE, MKV_CONFIG_LOG_WARN, text);
        break;
    }
    pthread_mutex_unlock(&node->rdma.mutex);
}

/* ---- figures --------------------------------------------------------------------------------- */

static void fill_counts(const struct mkv_fabric_lane_counters *lanes, struct mkv_admin_rdma *out) {
    out->fabric.connections_active = lanes->connections_active;
    out->fabric.bytes_in_total = lanes->received_bytes_total;
    out->fabric.bytes_out_total = lanes->sent_bytes_total;
    out->connects_total = lanes->connects_total;
    out->errors_total = lanes->errors_total;
    out->recoveries_total = lanes->recoveries_total;
    out->read = lanes->read;
    out->write = lanes->write;
    for (uint32_t i = 0; i < MKV_ADMIN_RDMA_FAILURE_COUNT; i++) {
        out->failures_total[i] = lanes->failures_total[MKV_LANE_REASON_LOCAL_ERROR + i];
    }
    uint64_t *fallback = out->fallbacks_total;
    for (uint32_t reason = MKV_LANE_REASON_CLOSED; reason < MKV_LANE_REASON_COUNT; reason++) {
        *fallback++ = lanes->fallbacks_total[reason];
    }
    *fallback++ = lanes->fallbacks_total[MKV_NATIVE_FALLBACK_REFUSED];
    for (uint32_t refusal = 0; refusal < MKV_NATIVE_REFUSAL_COUNT; refusal++) {
        *fallback++ = lanes->refusals_total[refusal];
    }
}

void mkv_node_rdma_fill(struct mkv_node *node, const struct mkv_fabric_lane_counters *lanes,
                        struct mkv_admin_snapshot *out) {
    const enum mkv_config_rdma mode = node->config.rdma.mode;
    struct mkv_admin_rdma *target = &out->rdma;
    fill_counts(lanes, target);
    pthread_mutex_lock(&node->rdma.mutex);
    const struct node_rdma *rdma = &node->rdma;
    const bool must_be = mode == MKV_CONFIG_RDMA_REQUIRE || rdma->has_been_up;
    target->is_active = is_active(rdma);
    target->is_configured =
        mode != MKV_CONFIG_RDMA_OFF && (must_be || node->config.rdma.device[0] != '\0');
    target->is_lost = mode != MKV_CONFIG_RDMA_OFF && must_be && !target->is_active;
    target->port_count = rdma->port_count;
    for (uint32_t i = 0; i < rdma->port_count; i++) {
        const struct node_rdma_port *port = &rdma->ports[i];
        target->ports[i] = (struct mkv_admin_rdma_port){.port = port->port,
                                                        .gid_index = port->gid_index,
                                                        .mtu = port->mtu,
                                                        .is_up = port->shards_up != 0,
                                                        .since_ms = port->since_ms,
                                                        .troubles_told = port->troubles.told};
        memcpy(target->ports[i].troubles_total, port->troubles.counts,
               sizeof target->ports[i].troubles_total);
        snprintf(target->ports[i].device, sizeof target->ports[i].device, "%s", port->device);
        snprintf(target->ports[i].address, sizeof target->ports[i].address, "%s", port->address);
    }
    out->transitions_total[MKV_ADMIN_TRANSITION_RDMA_UP] = rdma->ups_total;
    out->transitions_total[MKV_ADMIN_TRANSITION_RDMA_DOWN] = rdma->downs_total;
    pthread_mutex_unlock(&node->rdma.mutex);
}
