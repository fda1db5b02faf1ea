/* SPDX-License-Identifier: Apache-2.0 */
#include "server/host_path.h"

#include <errno.h>
#include <ifaddrs.h>
#include <inttypes.h>
#include <linux/errqueue.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "backends/clock.h"

#define CHECK "path_mtu"
#define HEAD_BYTES 16u
#define SMALL_BYTES 128u
#define PACKET_BYTES_MAX 65536u
#define TRIES 3u
#define NS_PER_MS 1000000ull
/* A packet that is lost is waited for so long; kernels may send one refusal a second. */
#define ANSWER_MS 300u
#define REFUSAL_MS 1200u
#define ANSWER_POLL_MS 200
#define HOST_BYTES 256u
#define SERVICE_BYTES 16u

static const uint64_t question_magic = 0x3f68746170766b6dull; /* "mkvpath?" */
static const uint64_t answer_magic = 0x2168746170766b6dull;   /* "mkvpath!" */

enum sign {
    SIGN_NONE = 0,
    SIGN_REFUSED,  /* the other kernel has it, and nobody listens */
    SIGN_TOO_LONG, /* an interface or router says so */
    SIGN_ANSWERED,
};

struct way {
    int fd;
    bool is_ipv6;
    uint32_t header_bytes; /* IP and UDP */
    uint64_t number;       /* of the last packet */
    uint32_t wait_ms;
    uint32_t mtu; /* of the interface that it begins at */
    char interface[IF_NAMESIZE];
};

/* ---- addresses ------------------------------------------------------------------------------ */

/* Takes "HOST", "HOST:PORT", "[IPV6]:PORT", a bare IPv6 address. False: it is none of these. */
static bool take_apart(const char *text, char host[HOST_BYTES], char service[SERVICE_BYTES]) {
    const char *colon = strrchr(text, ':');
    const char *end = text + strlen(text);
    const char *begin = text;
    snprintf(service, SERVICE_BYTES, "%u", MKV_HOST_PATH_PORT);
    if (text[0] == '[') {
        const char *bracket = strchr(text, ']');
        if (bracket == NULL || (bracket[1] != '\0' && bracket[1] != ':')) {
            return false;
        }
        begin = text + 1;
        end = bracket;
        colon = bracket[1] == ':' ? bracket + 1 : NULL;
    } else if (colon != NULL && strchr(text, ':') != colon) {
        colon = NULL;
    } else if (colon != NULL) {
        end = colon;
    }
    if (colon != NULL) {
        char *rest;
        const unsigned long port = strtoul(colon + 1, &rest, 10);
        if (colon[1] < '0' || colon[1] > '9' || *rest != '\0' || port > UINT16_MAX) {
            return false;
        }
        snprintf(service, SERVICE_BYTES, "%lu", port);
    }
    snprintf(host, HOST_BYTES, "%.*s", (int)(end - begin), begin);
    return end > begin && end - begin < (long)HOST_BYTES;
}

/* Never fragments, and asks nobody's opinion of what fits; hears of errors with the packets. A
 * socket of IPv6 has both families' options: what it sends to IPv4 goes by those of IPv4. */
static bool set_up(int fd, bool is_ipv6) {
    const int on = 1;
    const int probe = IP_PMTUDISC_PROBE;
    const int probe6 = IPV6_PMTUDISC_PROBE;
    return setsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, &probe, sizeof probe) == 0 &&
           setsockopt(fd, IPPROTO_IP, IP_RECVERR, &on, sizeof on) == 0 &&
           (!is_ipv6 ||
            (setsockopt(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, &probe6, sizeof probe6) == 0 &&
             setsockopt(fd, IPPROTO_IPV6, IPV6_RECVERR, &on, sizeof on) == 0));
}

static bool is_same_address(const struct sockaddr *a, const struct sockaddr *b) {
    if (a == NULL || a->sa_family != b->sa_family) {
        return false;
    }
    if (a->sa_family == AF_INET) {
        return ((const struct sockaddr_in *)(const void *)a)->sin_addr.s_addr ==
               ((const struct sockaddr_in *)(const void *)b)->sin_addr.s_addr;
    }
    return a->sa_family == AF_INET6 &&
           memcmp(&((const struct sockaddr_in6 *)(const void *)a)->sin6_addr,
                  &((const struct sockaddr_in6 *)(const void *)b)->sin6_addr,
                  sizeof(struct in6_addr)) == 0;
}

/* The interface that has the socket's own address, and its MTU. */
static bool find_interface(struct way *way) {
    struct sockaddr_storage own;
    socklen_t own_bytes = sizeof own;
    struct ifaddrs *list;
    if (getsockname(way->fd, (struct sockaddr *)&own, &own_bytes) != 0 || getifaddrs(&list) != 0) {
        return false;
    }
    for (const struct ifaddrs *entry = list; entry != NULL; entry = entry->ifa_next) {
        if (is_same_address(entry->ifa_addr, (const struct sockaddr *)&own)) {
            snprintf(way->interface, sizeof way->interface, "%s", entry->ifa_name);
        }
    }
    freeifaddrs(list);
    struct ifreq request = {0};
    memcpy(request.ifr_name, way->interface, sizeof request.ifr_name);
    if (way->interface[0] == '\0' || ioctl(way->fd, SIOCGIFMTU, &request) != 0) {
        return false;
    }
    way->mtu = (uint32_t)request.ifr_mtu;
    return true;
}

static bool open_way(const char *peer, struct way *way, char problem[MKV_HOST_PATH_PROBLEM_BYTES]) {
    char host[HOST_BYTES];
    char service[SERVICE_BYTES];
    const struct addrinfo hints = {.ai_socktype = SOCK_DGRAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *list = NULL;
    *way = (struct way){.fd = -1, .wait_ms = ANSWER_MS};
    if (!take_apart(peer, host, service)) {
        snprintf(problem, MKV_HOST_PATH_PROBLEM_BYTES, "it is no HOST or HOST:PORT");
        return false;
    }
    const int result = getaddrinfo(host, service, &hints, &list);
    if (result != 0) {
        snprintf(problem, MKV_HOST_PATH_PROBLEM_BYTES, "%s", gai_strerror(result));
        return false;
    }
    snprintf(problem, MKV_HOST_PATH_PROBLEM_BYTES, "no address of it can be reached");
    for (const struct addrinfo *one = list; one != NULL && way->fd < 0; one = one->ai_next) {
        const int fd = socket(one->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        way->is_ipv6 = one->ai_family == AF_INET6;
        if (fd >= 0 && set_up(fd, way->is_ipv6) &&
            connect(fd, one->ai_addr, one->ai_addrlen) == 0) {
            way->fd = fd;
        } else {
            snprintf(problem, MKV_HOST_PATH_PROBLEM_BYTES, "%s", strerror(errno));
            if (fd >= 0) {
                close(fd);
            }
        }
    }
    freeaddrinfo(list);
    way->header_bytes = (way->is_ipv6 ? 40u : 20u) + 8u;
    if (way->fd >= 0 && !find_interface(way)) {
        snprintf(problem, MKV_HOST_PATH_PROBLEM_BYTES, "the interface towards it is not known");
        close(way->fd);
        way->fd = -1;
    }
    return way->fd >= 0;
}

/* ---- packets -------------------------------------------------------------------------------- */

/* What is known of a packet by the queue of errors. */
static enum sign hear_errors(const struct way *way) {
    uint8_t packet[HEAD_BYTES];
    uint8_t control[512];
    struct iovec iovec = {.iov_base = packet, .iov_len = sizeof packet};
    struct msghdr message = {.msg_iov = &iovec,
                             .msg_iovlen = 1,
                             .msg_control = control,
                             .msg_controllen = sizeof control};
    const ssize_t got = recvmsg(way->fd, &message, MSG_ERRQUEUE | MSG_DONTWAIT);
    uint64_t number;
    if (got < (ssize_t)HEAD_BYTES) {
        return SIGN_NONE;
    }
    memcpy(&number, packet + 8, sizeof number);
    for (struct cmsghdr *part = CMSG_FIRSTHDR(&message); part != NULL && number == way->number;
         part = CMSG_NXTHDR(&message, part)) {
        const bool is_error =
            way->is_ipv6 ? part->cmsg_type == IPV6_RECVERR : part->cmsg_type == IP_RECVERR;
        struct sock_extended_err error;
        if (is_error && part->cmsg_len >= CMSG_LEN(sizeof error)) {
            memcpy(&error, CMSG_DATA(part), sizeof error);
            return error.ee_errno == ECONNREFUSED ? SIGN_REFUSED
                   : error.ee_errno == EMSGSIZE   ? SIGN_TOO_LONG
                                                  : SIGN_NONE;
        }
    }
    return SIGN_NONE;
}

static enum sign hear(const struct way *way, uint32_t payload_bytes, uint8_t *packet) {
    uint64_t head[2];
    const ssize_t got = recv(way->fd, packet, PACKET_BYTES_MAX, MSG_DONTWAIT);
    if (got == (ssize_t)payload_bytes) {
        memcpy(head, packet, sizeof head);
        return head[0] == answer_magic && head[1] == way->number ? SIGN_ANSWERED : SIGN_NONE;
    }
    return hear_errors(way);
}

/* Sends packets of `bytes`, IP header included, until there is a sign of one. */
static enum sign try_bytes(struct way *way, uint32_t bytes, uint8_t *packet) {
    const uint32_t payload_bytes = bytes - way->header_bytes;
    for (uint32_t i = 0; i < TRIES; i++) {
        way->number++;
        memset(packet, 0, payload_bytes);
        memcpy(packet, &question_magic, sizeof question_magic);
        memcpy(packet + 8, &way->number, sizeof way->number);
        if (send(way->fd, packet, payload_bytes, 0) < 0 && errno == EMSGSIZE) {
            (void)hear_errors(way);
            return SIGN_TOO_LONG;
        }
        const uint64_t end_ns = mkv_clock_monotonic_ns() + way->wait_ms * NS_PER_MS;
        uint64_t now_ns = mkv_clock_monotonic_ns();
        while (now_ns < end_ns) {
            struct pollfd waiter = {.fd = way->fd, .events = POLLIN};
            (void)poll(&waiter, 1, (int)((end_ns - now_ns) / NS_PER_MS) + 1);
            const enum sign sign = hear(way, payload_bytes, packet);
            if (sign != SIGN_NONE) {
                return sign;
            }
            now_ns = mkv_clock_monotonic_ns();
        }
    }
    return SIGN_NONE;
}

static bool arrives(struct way *way, uint32_t bytes, uint8_t *packet) {
    const enum sign sign = try_bytes(way, bytes, packet);
    return sign == SIGN_ANSWERED || sign == SIGN_REFUSED;
}

/* The largest that arrives, from `least`, which does, to below `most`, which does not. */
static uint32_t largest(struct way *way, uint32_t least, uint32_t most, uint8_t *packet) {
    while (most - least > 1) {
        const uint32_t middle = least + (most - least) / 2;
        if (arrives(way, middle, packet)) {
            least = middle;
        } else {
            most = middle;
        }
    }
    return least;
}

/* ---- the check ------------------------------------------------------------------------------ */

static uint32_t roce_packet_bytes(uint32_t mtu) {
    uint32_t roce = MKV_HOST_ROCE_MTU_MAX;
    while (roce > 256 && roce + MKV_HOST_ROCE_HEADER_BYTES > mtu) {
        roce /= 2;
    }
    return roce + MKV_HOST_ROCE_HEADER_BYTES;
}

static void judge(const char *peer, struct way *way, uint8_t *packet,
                  struct mkv_host_report *report) {
    static const char remedy[] =
        "raise the MTU of every switch port and router on the way (on switches often 9216), or "
        "lower the interfaces' on both sides: ip link set INTERFACE mtu N; rdma.mtu can be "
        "lowered, "
        "too";
    const char *ways = "both directions";
    const enum sign first = try_bytes(way, SMALL_BYTES, packet);
    if (first != SIGN_ANSWERED && first != SIGN_REFUSED) {
        mkv_host_row(report, CHECK, peer, MKV_HOST_WARN,
                     "run memkv doctor --answer there, and let UDP to its port through",
                     "not tested: nothing answers there, small packets neither");
        return;
    }
    if (first == SIGN_REFUSED) {
        ways = "this direction (run memkv doctor --answer there for both)";
        way->wait_ms = REFUSAL_MS;
    }
    const uint32_t full = (uint32_t)mkv_min_u64(way->mtu, MKV_HOST_PATH_BYTES_MAX);
    const uint32_t needed = (uint32_t)mkv_min_u64(roce_packet_bytes(way->mtu), full);
    if (arrives(way, full, packet)) {
        mkv_host_row(report, CHECK, peer, MKV_HOST_PASS, "",
                     "UDP packets of %" PRIu32 " bytes that must not be fragmented arrive, from "
                     "%s, MTU %" PRIu32 "; %s",
                     full, way->interface, way->mtu, ways);
    } else if (arrives(way, needed, packet)) {
        mkv_host_row(report, CHECK, peer, MKV_HOST_WARN, remedy,
                     "UDP packets of %" PRIu32 " bytes, as RoCE sends, arrive, but none of %" PRIu32
                     ", the MTU of %s",
                     needed, full, way->interface);
    } else {
        uint32_t arrived = SMALL_BYTES;
        if (first == SIGN_ANSWERED) {
            arrived = largest(way, SMALL_BYTES, needed, packet);
        }
        mkv_host_row(report, CHECK, peer, MKV_HOST_FAIL, remedy,
                     "UDP packets of %" PRIu32 " bytes, as RoCE sends by the MTU %" PRIu32
                     " of %s, do not arrive; %s of %" PRIu32 " do",
                     needed, way->mtu, way->interface,
                     first == SIGN_ANSWERED ? "at most such" : "such", arrived);
    }
}

void mkv_host_path_check(const char *peer, struct mkv_host_report *report) {
    char problem[MKV_HOST_PATH_PROBLEM_BYTES];
    struct way way;
    uint8_t *packet = malloc(PACKET_BYTES_MAX);
    if (packet == NULL) {
        mkv_host_row(report, CHECK, peer, MKV_HOST_WARN, "free memory on this machine",
                     "not tested: no memory for a packet");
        return;
    }
    if (!open_way(peer, &way, problem)) {
        mkv_host_row(report, CHECK, peer, MKV_HOST_FAIL,
                     "name a host that can be reached: HOST, HOST:PORT or [IPV6]:PORT",
                     "not tested: %s", problem);
    } else {
        /* So that what an earlier check of the same port sent has another number. */
        (void)getrandom(&way.number, sizeof way.number, 0);
        judge(peer, &way, packet, report);
        close(way.fd);
    }
    free(packet);
}

/* ---- the other side ------------------------------------------------------------------------- */

/* That of a socket for all addresses: IPv6, which takes IPv4 too, where the kernel has it. */
static int any_family(void) {
    const int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return AF_INET;
    }
    close(fd);
    return AF_INET6;
}

int mkv_host_path_listen(const char *listen, char problem[MKV_HOST_PATH_PROBLEM_BYTES]) {
    char host[HOST_BYTES];
    char service[SERVICE_BYTES];
    const bool is_port = listen[0] != '\0' && strspn(listen, "0123456789") == strlen(listen);
    const struct addrinfo hints = {.ai_family = is_port ? any_family() : AF_UNSPEC,
                                   .ai_socktype = SOCK_DGRAM,
                                   .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *list = NULL;
    snprintf(service, sizeof service, "%.15s", listen);
    const bool is_wrong_port = is_port && strtoul(listen, NULL, 10) > UINT16_MAX;
    if (is_wrong_port || (!is_port && !take_apart(listen, host, service))) {
        snprintf(problem, MKV_HOST_PATH_PROBLEM_BYTES, "it is no PORT, HOST:PORT or [IPV6]:PORT");
        return -1;
    }
    const int result = getaddrinfo(is_port ? NULL : host, service, &hints, &list);
    if (result != 0) {
        snprintf(problem, MKV_HOST_PATH_PROBLEM_BYTES, "%s", gai_strerror(result));
        return -1;
    }
    const int off = 0;
    const int fd = socket(list->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    const bool is_ipv6 = list->ai_family == AF_INET6;
    /* One socket for both families where no host is named. */
    const bool is_open =
        fd >= 0 && set_up(fd, is_ipv6) &&
        (!is_ipv6 || setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off) == 0) &&
        bind(fd, list->ai_addr, list->ai_addrlen) == 0;
    if (!is_open) {
        snprintf(problem, MKV_HOST_PATH_PROBLEM_BYTES, "%s", strerror(errno));
        if (fd >= 0) {
            close(fd);
        }
    }
    freeaddrinfo(list);
    return is_open ? fd : -1;
}

/* True: a question was there and has its answer. */
static bool answer_one(int fd, uint32_t bytes_max, uint8_t *packet) {
    struct sockaddr_storage from;
    socklen_t from_bytes = sizeof from;
    uint8_t dropped[HEAD_BYTES];
    uint64_t magic = 0;
    const ssize_t got =
        recvfrom(fd, packet, PACKET_BYTES_MAX, MSG_DONTWAIT, (struct sockaddr *)&from, &from_bytes);
    if (got < (ssize_t)HEAD_BYTES) {
        /* An error of an answer that could not be sent stands in the way of what comes next. */
        (void)recv(fd, dropped, sizeof dropped, MSG_ERRQUEUE | MSG_DONTWAIT);
        return false;
    }
    memcpy(&magic, packet, sizeof magic);
    const bool is_mapped =
        from.ss_family == AF_INET6 &&
        IN6_IS_ADDR_V4MAPPED(&((const struct sockaddr_in6 *)(const void *)&from)->sin6_addr);
    const uint32_t header_bytes = (from.ss_family == AF_INET6 && !is_mapped ? 40u : 20u) + 8u;
    if (magic != question_magic || (uint64_t)got + header_bytes > bytes_max) {
        return false;
    }
    memcpy(packet, &answer_magic, sizeof answer_magic);
    return sendto(fd, packet, (size_t)got, 0, (const struct sockaddr *)&from, from_bytes) == got;
}

uint64_t mkv_host_path_answer(int fd, uint32_t seconds, uint32_t bytes_max,
                              const volatile sig_atomic_t *stop) {
    const uint64_t begin_ns = mkv_clock_monotonic_ns();
    uint8_t *packet = malloc(PACKET_BYTES_MAX);
    uint64_t answered = 0;
    while (packet != NULL && *stop == 0 &&
           (seconds == 0 ||
            mkv_clock_monotonic_ns() - begin_ns < (uint64_t)seconds * 1000 * NS_PER_MS)) {
        struct pollfd waiter = {.fd = fd, .events = POLLIN};
        if (poll(&waiter, 1, ANSWER_POLL_MS) > 0) {
            answered += answer_one(fd, bytes_max, packet) ? 1 : 0;
        }
    }
    free(packet);
    return answered;
}
