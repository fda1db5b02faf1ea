/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/dcb.h"

#include <linux/dcbnl.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define ANSWER_BYTES_MAX 16384u
#define ATTRIBUTE_HEAD_BYTES sizeof(struct nlattr)
#define MESSAGE_HEAD_BYTES sizeof(struct nlmsghdr)
#define TYPE_MASK 0x3fffu /* without the bits that say that an attribute is nested */

/* Netlink pads to words; its own macros mix signs. */
static size_t align(size_t bytes) {
    return (bytes + NLMSG_ALIGNTO - 1) & ~(size_t)(NLMSG_ALIGNTO - 1);
}

/* Attributes that stand one behind the other. */
struct attributes {
    const uint8_t *bytes;
    size_t byte_count;
};

/* Takes the next one. False: there is none, or what is left is cut. */
static bool next(struct attributes *left, uint16_t *type, struct attributes *content) {
    struct nlattr head;
    if (left->byte_count < ATTRIBUTE_HEAD_BYTES) {
        return false;
    }
    memcpy(&head, left->bytes, sizeof head);
    if (head.nla_len < ATTRIBUTE_HEAD_BYTES || head.nla_len > left->byte_count) {
        return false;
    }
    *type = head.nla_type & TYPE_MASK;
    *content = (struct attributes){left->bytes + ATTRIBUTE_HEAD_BYTES,
                                   head.nla_len - ATTRIBUTE_HEAD_BYTES};
    const size_t step = mkv_min_u64(align(head.nla_len), left->byte_count);
    left->bytes += step;
    left->byte_count -= step;
    return true;
}

static void read_rules(struct attributes rules, struct mkv_dcb *dcb) {
    uint16_t type;
    struct attributes content;
    while (next(&rules, &type, &content)) {
        struct dcb_app app;
        if (type != DCB_ATTR_IEEE_APP || content.byte_count < sizeof app) {
            continue;
        }
        memcpy(&app, content.bytes, sizeof app);
        if (app.selector == IEEE_8021QAZ_APP_SEL_DSCP && app.protocol < MKV_DCB_DSCP_COUNT) {
            dcb->has_dscp = true;
            dcb->priority_of_dscp[app.protocol] = app.priority;
        }
    }
}

static void read_ieee(struct attributes parts, struct mkv_dcb *dcb) {
    uint16_t type;
    struct attributes content;
    while (next(&parts, &type, &content)) {
        struct ieee_pfc pfc;
        if (type == DCB_ATTR_IEEE_PFC && content.byte_count >= sizeof pfc) {
            memcpy(&pfc, content.bytes, sizeof pfc);
            dcb->has_pfc = true;
            dcb->pfc_priorities = pfc.pfc_en;
        } else if (type == DCB_ATTR_IEEE_APP_TABLE) {
            read_rules(content, dcb);
        }
    }
}

bool mkv_dcb_parse(const void *message, size_t byte_count, struct mkv_dcb *dcb) {
    struct nlmsghdr head;
    *dcb = (struct mkv_dcb){0};
    memset(dcb->priority_of_dscp, MKV_DCB_NO_PRIORITY, sizeof dcb->priority_of_dscp);
    if (byte_count < MESSAGE_HEAD_BYTES + align(sizeof(struct dcbmsg))) {
        return false;
    }
    memcpy(&head, message, sizeof head);
    struct dcbmsg dcb_head;
    memcpy(&dcb_head, (const uint8_t *)message + MESSAGE_HEAD_BYTES, sizeof dcb_head);
    if (head.nlmsg_type != RTM_GETDCB || dcb_head.cmd != DCB_CMD_IEEE_GET) {
        return false;
    }
    const size_t begin = MESSAGE_HEAD_BYTES + align(sizeof(struct dcbmsg));
    const size_t end = mkv_min_u64(byte_count, head.nlmsg_len);
    struct attributes left = {(const uint8_t *)message + begin, end < begin ? 0 : end - begin};
    uint16_t type;
    struct attributes content;
    bool found = false;
    while (next(&left, &type, &content)) {
        if (type == DCB_ATTR_IEEE) {
            read_ieee(content, dcb);
            found = true;
        }
    }
    return found;
}

static bool ask(int fd, const char *interface) {
    struct {
        struct nlmsghdr head;
        struct dcbmsg dcb;
        struct nlattr attribute;
        char name[IFNAMSIZ];
    } request = {
        .head = {.nlmsg_type = RTM_GETDCB, .nlmsg_flags = NLM_F_REQUEST, .nlmsg_seq = 1},
        .dcb = {.dcb_family = AF_UNSPEC, .cmd = DCB_CMD_IEEE_GET},
        .attribute = {.nla_type = DCB_ATTR_IFNAME},
    };
    const size_t bytes = strlen(interface) + 1;
    if (bytes > sizeof request.name) {
        return false;
    }
    memcpy(request.name, interface, bytes);
    request.attribute.nla_len = (uint16_t)(ATTRIBUTE_HEAD_BYTES + bytes);
    request.head.nlmsg_len =
        (uint32_t)(offsetof(__typeof__(request), attribute) + align(request.attribute.nla_len));
    return send(fd, &request, request.head.nlmsg_len, 0) == (ssize_t)request.head.nlmsg_len;
}

bool mkv_dcb_read(const char *interface, struct mkv_dcb *dcb) {
    const struct timeval patience = {.tv_sec = 1};
    _Alignas(struct nlmsghdr) uint8_t answer[ANSWER_BYTES_MAX];
    const int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    if (fd < 0) {
        return false;
    }
    bool found = false;
    if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) == 0 &&
        ask(fd, interface)) {
        const ssize_t got = recv(fd, answer, sizeof answer, 0);
        found = got > 0 && mkv_dcb_parse(answer, (size_t)got, dcb);
    }
    close(fd);
    return found;
}
