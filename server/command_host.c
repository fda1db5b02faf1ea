/* SPDX-License-Identifier: Apache-2.0 */
#include "server/command_host.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "server/exit_codes.h"
#include "server/host_check.h"
#include "server/host_path.h"
#include "server/shard_group.h"
#include "server/size.h"

#define PEERS_MAX 16u
#define SECONDS_MAX 86400u
#define TRAFFIC_CLASS_MAX 255u
#define MEMORY_MAX (16ull * 1024 * MKV_GIB)

static const char help_text[] =
    "usage: memkv doctor [OPTIONS]\n"
    "       memkv doctor --answer [--listen [HOST:]PORT] [--seconds N]\n"
    "\n"
    "Checks whether this host is fit to run memkv, over RDMA where it has it: what the kernel "
    "says\n"
    "of devices, ports, MTU, priorities, limits, memory, clock and processors. Each check is "
    "pass,\n"
    "warn or fail, with what was seen and what to do; docs/doctor.md has them all. Nothing is\n"
    "changed. It sees its own limits: those of a service are those of its unit.\n"
    "\n"
    "  --peer HOST[:PORT]  also test the way there, by UDP packets of full size that must not be\n"
    "                      fragmented; up to 16 of them. memkv doctor --answer there sends them\n"
    "                      back, so that both directions are tested\n"
    "  --rdma              RDMA is wanted: that there is none is a failure\n"
    "  --mtu BYTES         the RoCE MTU that is wanted (rdma.mtu): 256, 512, 1024, 2048 or 4096\n"
    "  --traffic-class N   that RDMA sends with (rdma.traffic_class), 0 to 255; 104 if not given\n"
    "  --memory SIZE       that the node is to have (memory.max_size); 1GiB if not given\n"
    "  --shards N          that the node is to have (node.shards), 1 to 32; 1 if not given\n"
    "  --json              {\"checks\": [...], \"passed\", \"warned\", \"failed\"}\n"
    "  --answer            answer the packets of --peer on another host, until interrupted\n"
    "  --listen [HOST:]PORT\n"
    "                      where to answer; 9909 of all addresses if not given\n"
    "  --seconds N         answer for so long, 1 to 86400\n"
    "  -h, --help          this text\n"
    "\n"
    "Exit status: 0 nothing failed, 1 a check failed, 2 usage, 4 the result cannot be written, or\n"
    "there is nothing to answer at.\n";

struct wish {
    const char *peers[PEERS_MAX];
    uint32_t peer_count;
    const char *listen;
    uint32_t seconds;
    uint32_t mtu;
    uint32_t traffic_class;
    uint32_t shards;
    uint64_t memory_bytes;
    bool is_rdma_required;
    bool is_answering;
    bool json;
};

static volatile sig_atomic_t stop;

static void on_signal(int number) {
    (void)number;
    stop = 1;
}

static bool number_of(const char *text, uint32_t least, uint32_t most, uint32_t *number) {
    char *end;
    const unsigned long value = strtoul(text, &end, 10);
    *number = (uint32_t)value;
    return text[0] >= '0' && text[0] <= '9' && *end == '\0' && value >= least && value <= most;
}

static bool refuse(const char *what, const char *argument) {
    fprintf(stderr, "memkv doctor: %s%s; see: memkv doctor --help\n", what, argument);
    return false;
}

static bool take_memory(const char *text, struct wish *wish) {
    const enum mkv_size_problem problem = mkv_size_parse(text, &wish->memory_bytes);
    char why[MKV_SIZE_EXPLANATION_BYTES];
    if (problem == MKV_SIZE_OK && wish->memory_bytes > 0 && wish->memory_bytes <= MEMORY_MAX) {
        return true;
    }
    snprintf(why, sizeof why, "is not a size from 1B to 16TiB");
    if (problem != MKV_SIZE_OK) {
        mkv_size_explain(problem, text, why);
    }
    fprintf(stderr, "memkv doctor: --memory: '%s' %s; see: memkv doctor --help\n", text, why);
    return false;
}

/* One option. False: it has been refused. */
static bool take(int option, char **argv, struct wish *wish) {
    switch (option) {
    case 'p':
        if (wish->peer_count == PEERS_MAX) {
            return refuse("--peer is taken 16 times at most, without ", optarg);
        }
        wish->peers[wish->peer_count] = optarg;
        wish->peer_count++;
        return true;
    case 'r':
        wish->is_rdma_required = true;
        return true;
    case 'j':
        wish->json = true;
        return true;
    case 'a':
        wish->is_answering = true;
        return true;
    case 'l':
        wish->listen = optarg;
        return true;
    case 's':
        return number_of(optarg, 1, SECONDS_MAX, &wish->seconds) ||
               refuse("--seconds takes a number from 1 to 86400, not ", optarg);
    case 't':
        return number_of(optarg, 0, TRAFFIC_CLASS_MAX, &wish->traffic_class) ||
               refuse("--traffic-class takes a number from 0 to 255, not ", optarg);
    case 'm':
        return (number_of(optarg, 256, MKV_HOST_ROCE_MTU_MAX, &wish->mtu) &&
                (wish->mtu & (wish->mtu - 1)) == 0) ||
               refuse("--mtu takes 256, 512, 1024, 2048 or 4096, not ", optarg);
    case 'g':
        return take_memory(optarg, wish);
    case 'n':
        return number_of(optarg, 1, MKV_SHARDS_MAX, &wish->shards) ||
               refuse("--shards takes a number from 1 to 32, not ", optarg);
    case ':':
        return refuse("an argument is missing behind ", argv[optind - 1]);
    default:
        return refuse("unknown option ", argv[optind - 1]);
    }
}

/* False: *exit_code is what to exit with. */
static bool parse(int argc, char **argv, struct wish *wish, int *exit_code) {
    static const struct option options[] = {
        {"peer", required_argument, NULL, 'p'},   {"rdma", no_argument, NULL, 'r'},
        {"mtu", required_argument, NULL, 'm'},    {"traffic-class", required_argument, NULL, 't'},
        {"json", no_argument, NULL, 'j'},         {"answer", no_argument, NULL, 'a'},
        {"listen", required_argument, NULL, 'l'}, {"seconds", required_argument, NULL, 's'},
        {"memory", required_argument, NULL, 'g'}, {"shards", required_argument, NULL, 'n'},
        {"help", no_argument, NULL, 'h'},         {NULL, 0, NULL, 0},
    };
    *exit_code = MKV_EXIT_CLIENT_USAGE;
    optind = 0;
    opterr = 0;
    for (int option; (option = getopt_long(argc, argv, ":h", options, NULL)) != -1;) {
        if (option == 'h') {
            fputs(help_text, stdout);
            *exit_code = MKV_EXIT_CLIENT_DONE;
            return false;
        }
        if (!take(option, argv, wish)) {
            return false;
        }
    }
    if (optind < argc) {
        return refuse("it takes no ", argv[optind]);
    }
    const bool checks = wish->peer_count > 0 || wish->is_rdma_required || wish->json ||
                        wish->mtu != 0 || wish->traffic_class != MKV_HOST_TRAFFIC_CLASS ||
                        wish->memory_bytes != MKV_HOST_MEMORY_BYTES || wish->shards != 1;
    if (wish->is_answering && checks) {
        return refuse("--answer goes with --listen and --seconds alone", "");
    }
    if (!wish->is_answering && (wish->listen != NULL || wish->seconds != 0)) {
        return refuse("--listen and --seconds go with --answer", "");
    }
    return true;
}

static int answer(const struct wish *wish) {
    char problem[MKV_HOST_PATH_PROBLEM_BYTES];
    char port[16];
    struct sigaction action = {.sa_handler = on_signal};
    snprintf(port, sizeof port, "%u", MKV_HOST_PATH_PORT);
    const char *where = wish->listen == NULL ? port : wish->listen;
    const int fd = mkv_host_path_listen(where, problem);
    if (fd < 0) {
        fprintf(stderr, "memkv doctor: cannot answer at %s: %s\n", where, problem);
        return MKV_EXIT_CLIENT_SERVER_ERROR;
    }
    struct sockaddr_in6 own = {0};
    socklen_t own_bytes = sizeof own;
    /* The port stands at the same place in addresses of both families. */
    (void)getsockname(fd, (struct sockaddr *)&own, &own_bytes);
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
    printf("answering at UDP port %u; on the other host: memkv doctor --peer HOST:%u\n",
           ntohs(own.sin6_port), ntohs(own.sin6_port));
    fflush(stdout);
    const uint64_t answered = mkv_host_path_answer(fd, wish->seconds, UINT32_MAX, &stop);
    close(fd);
    printf("answered %llu packets\n", (unsigned long long)answered);
    return MKV_EXIT_CLIENT_DONE;
}

static int check(const struct wish *wish, struct mkv_host_report *report) {
    struct mkv_host_sources sources;
    mkv_host_sources_read(&sources, false);
    sources.is_rdma_required = wish->is_rdma_required;
    sources.rdma_mtu_bytes = wish->mtu;
    sources.traffic_class = wish->traffic_class;
    sources.memory_bytes = wish->memory_bytes;
    sources.shards = wish->shards;
    mkv_host_check(&sources, report);
    for (uint32_t i = 0; i < wish->peer_count; i++) {
        mkv_host_path_check(wish->peers[i], report);
    }
    json_t *host = mkv_host_json(report);
    bool is_written;
    if (wish->json) {
        is_written = host != NULL && json_dumpf(host, stdout, JSON_COMPACT) == 0 &&
                     fputc('\n', stdout) != EOF;
    } else {
        struct mkv_text text = {0};
        mkv_host_text(host, &text);
        is_written = host != NULL && !text.failed && fputs(text.bytes, stdout) >= 0;
        mkv_text_free(&text);
    }
    json_decref(host);
    if (!is_written || fflush(stdout) != 0) {
        fprintf(stderr, "memkv doctor: the result cannot be written\n");
        return MKV_EXIT_CLIENT_SERVER_ERROR;
    }
    return mkv_host_count(report, MKV_HOST_FAIL) == 0 ? (int)MKV_EXIT_CLIENT_DONE
                                                      : (int)MKV_EXIT_CLIENT_NOT_FOUND;
}

int mkv_command_host(int argc, char **argv) {
    struct wish wish = {.traffic_class = MKV_HOST_TRAFFIC_CLASS,
                        .memory_bytes = MKV_HOST_MEMORY_BYTES,
                        .shards = 1};
    int exit_code;
    if (!parse(argc, argv, &wish, &exit_code)) {
        return exit_code;
    }
    if (wish.is_answering) {
        return answer(&wish);
    }
    struct mkv_host_report *report = calloc(1, sizeof *report);
    if (report == NULL) {
        fprintf(stderr, "memkv doctor: no memory for the result. Free memory on this machine\n");
        return MKV_EXIT_CLIENT_SERVER_ERROR;
    }
    exit_code = check(&wish, report);
    free(report);
    return exit_code;
}
