/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "verbs/device.h"

#define PORTS_MAX 8u
/* Of all ports of a device. The kernel lists all or none, and fills no more room than this. */
#define GIDS_MAX (UINT16_MAX / sizeof(struct ibv_gid_entry))
#define SYSFS "/sys/class/infiniband"
#define SYSFS_NUMA SYSFS "/%.63s/device/numa_node"

/* How well a GID of RoCE v2 serves, and how well a port does. */
enum worth {
    WORTH_NONE = 0,
    WORTH_LINK_LOCAL,
    WORTH_IPV6,
    WORTH_IPV4,
    WORTH_ADDRESS, /* what peers connect to */
};

struct choice {
    enum worth worth;
    uint32_t port;
    struct ibv_port_attr attributes;
    bool is_ethernet;
    int32_t gid_index;
    union ibv_gid gid;
    uint32_t address_count; /* others that peers may come to */
    struct mkv_verbs_address addresses[MKV_VERBS_ADDRESSES_MAX];
};

/* The newest form of the answer comes from the provider, where it is one that has it. */
static int query_port(const struct mkv_verbs *verbs, struct ibv_context *context, uint8_t port,
                      struct ibv_port_attr *attributes) {
    struct verbs_context *extended = verbs_get_ctx_op(context, query_port);
    if (extended != NULL) {
        return extended->query_port(context, port, attributes, sizeof *attributes);
    }
    memset(attributes, 0, sizeof *attributes);
    return verbs->library->query_port(context, port, (struct _compat_ibv_port_attr *)attributes);
}

static bool parse_address(const char *text, union ibv_gid *gid) {
    struct in_addr four;
    if (inet_pton(AF_INET, text, &four) == 1) {
        memset(gid->raw, 0, 10);
        gid->raw[10] = gid->raw[11] = 0xff;
        memcpy(&gid->raw[12], &four, sizeof four);
        return true;
    }
    return inet_pton(AF_INET6, text, gid->raw) == 1;
}

static enum worth judge(const union ibv_gid *gid, const union ibv_gid *address) {
    struct in6_addr text;
    memcpy(&text, gid->raw, sizeof text);
    if (address != NULL && memcmp(gid->raw, address->raw, sizeof gid->raw) == 0) {
        return WORTH_ADDRESS;
    }
    if (IN6_IS_ADDR_V4MAPPED(&text)) {
        return WORTH_IPV4;
    }
    return IN6_IS_ADDR_LINKLOCAL(&text) ? WORTH_LINK_LOCAL : WORTH_IPV6;
}

static void choose_gid(const struct mkv_verbs *verbs, struct ibv_context *context,
                       struct choice *choice) {
    const struct mkv_verbs_options *options = &verbs->options;
    static const union ibv_gid NONE;
    struct ibv_gid_entry *entries = calloc(GIDS_MAX, sizeof *entries);
    union ibv_gid parsed;
    const union ibv_gid *address = NULL;
    if (entries == NULL) {
        return;
    }
    if (options->address != NULL && parse_address(options->address, &parsed)) {
        address = &parsed;
    }
    const ssize_t count =
        verbs->library->query_gid_table(context, entries, GIDS_MAX, 0, sizeof *entries);
    for (ssize_t index = 0; index < count; index++) {
        const struct ibv_gid_entry *entry = &entries[index];
        const bool is_asked = options->gid_index == (int32_t)entry->gid_index;
        if (entry->port_num != choice->port || memcmp(&entry->gid, &NONE, sizeof NONE) == 0 ||
            (options->gid_index >= 0 && !is_asked) ||
            (choice->is_ethernet && entry->gid_type != IBV_GID_TYPE_ROCE_V2)) {
            continue;
        }
        enum worth worth = choice->is_ethernet ? judge(&entry->gid, address) : WORTH_IPV6;
        if (is_asked && worth < WORTH_IPV4) {
            worth = WORTH_IPV4;
        }
        if (worth > WORTH_LINK_LOCAL && choice->address_count < MKV_VERBS_ADDRESSES_MAX) {
            choice->addresses[choice->address_count++] =
                (struct mkv_verbs_address){entry->gid, (int32_t)entry->gid_index};
        }
        if (worth > choice->worth) {
            choice->worth = worth;
            choice->gid_index = (int32_t)entry->gid_index;
            choice->gid = entry->gid;
        }
    }
    free(entries);
}

/* The best port of a device. What is left to say where there is none is in `why`. */
static struct choice choose_port(const struct mkv_verbs *verbs, struct ibv_context *context,
                                 uint32_t ports, const char *device, char *why) {
    struct choice best = {.worth = WORTH_NONE};
    for (uint32_t port = 1; port <= ports && port <= PORTS_MAX; port++) {
        struct choice choice = {.port = port, .gid_index = -1};
        if ((verbs->options.port != 0 && verbs->options.port != port) ||
            query_port(verbs, context, (uint8_t)port, &choice.attributes) != 0) {
            continue;
        }
        choice.is_ethernet = choice.attributes.link_layer == IBV_LINK_LAYER_ETHERNET;
        if (choice.attributes.state != IBV_PORT_ACTIVE) {
            mkv_verbs_say(why,
                          "port %u of RDMA device %s is not active; see `rdma link` and the "
                          "cable, the switch and `ip link`",
                          port, device);
            continue;
        }
        choose_gid(verbs, context, &choice);
        if (choice.worth == WORTH_NONE && verbs->options.gid_index >= 0) {
            mkv_verbs_say(why,
                          "GID %d of port %u of RDMA device %s is not one of RoCE v2, or not "
                          "there; `ibv_devinfo -v` lists them; without rdma.gid_index one is "
                          "chosen",
                          verbs->options.gid_index, port, device);
        } else if (choice.worth == WORTH_NONE) {
            mkv_verbs_say(why,
                          "port %u of RDMA device %s has no GID of RoCE v2; give its network "
                          "interface an IP address",
                          port, device);
        }
        if (choice.worth > best.worth) {
            best = choice;
        }
    }
    return best;
}

static uint32_t mtu_bytes(enum ibv_mtu mtu) {
    return 128u << (uint32_t)mtu;
}

static int32_t numa_node(const char *device) {
    char path[160];
    int32_t node = -1;
    snprintf(path, sizeof path, SYSFS_NUMA, device);
    FILE *file = fopen(path, "re");
    if (file != NULL) {
        char text[16] = "";
        if (fgets(text, sizeof text, file) != NULL) {
            node = (int32_t)strtol(text, NULL, 10);
        }
        (void)fclose(file);
    }
    return node;
}

static bool is_link_local(const union ibv_gid *gid) {
    struct in6_addr text;
    memcpy(&text, gid->raw, sizeof text);
    return IN6_IS_ADDR_LINKLOCAL(&text);
}

static void take_attributes(struct mkv_verbs *verbs, const struct ibv_port_attr *attributes) {
    struct mkv_verbs_facts *facts = &verbs->facts;
    verbs->port = *attributes;
    facts->mtu = mtu_bytes(attributes->active_mtu);
    while (verbs->options.mtu != 0 && facts->mtu > verbs->options.mtu && facts->mtu > 256) {
        facts->mtu /= 2;
    }
}

static void take(struct mkv_verbs *verbs, const struct choice *choice) {
    struct mkv_verbs_facts *facts = &verbs->facts;
    verbs->address_count = choice->address_count;
    memcpy(verbs->addresses, choice->addresses, sizeof verbs->addresses);
    take_attributes(verbs, &choice->attributes);
    verbs->gid = choice->gid;
    facts->port = choice->port;
    facts->is_ethernet = choice->is_ethernet;
    facts->gid_index = choice->gid_index;
    (void)inet_ntop(AF_INET6, choice->gid.raw, facts->gid, sizeof facts->gid);
}

bool mkv_verbs_has_device(void) {
    bool has_any = false;
    DIR *directory = opendir(SYSFS);
    const struct dirent *entry;
    while (directory != NULL && !has_any && (entry = readdir(directory)) != NULL) {
        has_any = entry->d_name[0] != '.';
    }
    if (directory != NULL) {
        (void)closedir(directory);
    }
    return has_any;
}

bool mkv_verbs_find(struct mkv_verbs *verbs, char *problem) {
    const struct mkv_verbs_library *library = verbs->library;
    const char *wanted = verbs->options.device;
    int count = 0;
    struct ibv_device **devices = library->get_device_list(&count);
    struct choice best = {.worth = WORTH_NONE};
    if (devices == NULL || count == 0) {
        mkv_verbs_say(problem,
                      "this machine has no RDMA device; `rdma link` lists them. Its driver "
                      "and ib_uverbs have to be loaded, and /dev/infiniband has to be "
                      "there in a container");
    } else {
        mkv_verbs_say(problem, "there is no RDMA device %s; `rdma link` lists those that are there",
                      wanted == NULL ? "" : wanted);
    }
    for (int index = 0; devices != NULL && index < count; index++) {
        const char *name = library->get_device_name(devices[index]);
        struct ibv_device_attr attributes;
        if (wanted != NULL && strcmp(name, wanted) != 0) {
            continue;
        }
        struct ibv_context *context = library->open_device(devices[index]);
        if (context == NULL || library->query_device(context, &attributes) != 0) {
            mkv_verbs_say(problem,
                          "RDMA device %s cannot be opened: %s; see the rights of "
                          "/dev/infiniband and the device's provider (ibverbs-providers)",
                          name, strerror(errno));
            if (context != NULL) {
                (void)library->close_device(context);
            }
            continue;
        }
        const struct choice choice =
            choose_port(verbs, context, attributes.phys_port_cnt, name, problem);
        if (choice.worth <= best.worth) {
            (void)library->close_device(context);
            continue;
        }
        if (verbs->context != NULL) {
            (void)library->close_device(verbs->context);
        }
        best = choice;
        verbs->context = context;
        verbs->attributes = attributes;
        snprintf(verbs->facts.device, sizeof verbs->facts.device, "%.63s", name);
    }
    if (devices != NULL) {
        library->free_device_list(devices);
    }
    if (verbs->context == NULL) {
        return false;
    }
    take(verbs, &best);
    verbs->facts.numa_node = numa_node(verbs->facts.device);
    return true;
}

void mkv_verbs_refresh(struct mkv_verbs *verbs) {
    char problem[MKV_VERBS_PROBLEM_BYTES];
    struct ibv_port_attr attributes;
    if (verbs->state == MKV_VERBS_GONE) {
        return;
    }
    if (query_port(verbs, verbs->context, (uint8_t)verbs->facts.port, &attributes) != 0 ||
        attributes.state != IBV_PORT_ACTIVE) {
        verbs->state = MKV_VERBS_PORT_DOWN;
        return;
    }
    /* The same port: another may have an address that suits better by now. */
    const uint32_t asked = verbs->options.port;
    verbs->options.port = verbs->facts.port;
    const struct choice choice =
        choose_port(verbs, verbs->context, verbs->facts.port, verbs->facts.device, problem);
    verbs->options.port = asked;
    /* What the kernel gives each interface by itself is no address where there was one: nobody
     * comes to it. */
    const bool is_lost = choice.worth == WORTH_NONE ||
                         (choice.worth == WORTH_LINK_LOCAL && !is_link_local(&verbs->gid));
    verbs->state = is_lost ? MKV_VERBS_PORT_DOWN : MKV_VERBS_ACTIVE;
    if (!is_lost) {
        take(verbs, &choice);
    }
}

void mkv_verbs_ask_port(struct mkv_verbs *verbs) {
    struct ibv_port_attr attributes;
    if (verbs->state != MKV_VERBS_ACTIVE ||
        query_port(verbs, verbs->context, (uint8_t)verbs->facts.port, &attributes) != 0) {
        return;
    }
    if (attributes.state != IBV_PORT_ACTIVE) {
        verbs->state = MKV_VERBS_PORT_DOWN;
        return;
    }
    take_attributes(verbs, &attributes);
}

bool mkv_verbs_has_no_device(const struct mkv_verbs *verbs) {
    struct ibv_port_attr attributes;
    return query_port(verbs, verbs->context, (uint8_t)verbs->facts.port, &attributes) == EIO;
}

static const struct mkv_verbs_address *find_address(const struct mkv_verbs *verbs,
                                                    const uint8_t *address) {
    for (uint32_t index = 0; index < verbs->address_count; index++) {
        const struct mkv_verbs_address *found = &verbs->addresses[index];
        if (memcmp(found->gid.raw, address, sizeof found->gid.raw) == 0) {
            return found;
        }
    }
    return NULL;
}

bool mkv_verbs_has_address(const struct mkv_verbs *verbs, const uint8_t *address) {
    return find_address(verbs, address) != NULL;
}

void mkv_endpoint_set_address(struct mkv_endpoint *endpoint, const uint8_t *address) {
    const struct mkv_verbs_address *found = find_address(endpoint->verbs, address);
    MKV_ASSERT(!endpoint->is_connected);
    if (found != NULL) {
        endpoint->address = *found;
    }
}
