/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `memkv bench`: what a server gives this client, as a table by block size.
 */
#include "client/command_bench.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/command_common.h"
#include "client/commands.h"

#define MIB (UINT64_C(1024) * 1024)
#define SECONDS_DEFAULT 2u
#define SECONDS_MAX 3600u
#define IN_FLIGHT_DEFAULT 16u
#define CONNECTIONS_MAX 64u
#define FOOTPRINT_DEFAULT (256 * MIB)
#define FOOTPRINT_MIN MIB
#define FOOTPRINT_MAX (32768 * MIB)
#define TIMEOUT_MS_DEFAULT 30000u
#define TIMEOUT_SECONDS_MAX 3600u
#define SHARED_MIB_MAX 65536u
#define SIZE_TEXT_BYTES 32u

static const struct command_shape shape = {
    .name = "bench",
    .help =
        "usage: memkv bench [OPTIONS]\n"
        "\n"
        "Writes and reads blocks of several sizes, each for a while, and prints MiB/s, operations\n"
        "a second, latencies and this process's time of a processor by size, and over which\n"
        "fabric it was. Values are verified. Writes are acknowledged from memory unless "
        "--durable,\n"
        "and reads are of what was just written, so mostly from memory. The keys are its own\n"
        "(memkv-bench/...), deleted in the end, and expire by themselves should it be killed;\n"
        "on a server that is full they take the place of other blocks.\n"
        "\n"
        "  --server HOST:PORT  the server, or unix:/PATH; else the environment's MEMKV_SERVERS,\n"
        "                      else 127.0.0.1:9900\n"
        "  --transport KIND    auto, rdma, shm or tcp; else the environment's MEMKV_TRANSPORT,\n"
        "                      else auto. What cannot be had is refused\n"
        "  --sizes LIST        of blocks, with commas between: 512B, 4KiB, 1MiB, ..., up to 16 of\n"
        "                      them; 4KiB,16KiB,64KiB,256KiB,1MiB,4MiB,16MiB if not given\n"
        "  --ops LIST          write, read; both if not given\n"
        "  --seconds N         of each line, 1 to 3600; 2 if not given\n"
        "  --in-flight N       operations at a time, 1 to 256; 16 if not given. Fewer of blocks\n"
        "                      that the footprint has no room for twice\n"
        "  --connections N     to the server, 1 to 64; 1 if not given\n"
        "  --footprint SIZE    of the keys of one size, 1MiB to 32GiB; 256MiB if not given\n"
        "  --durable           writes are acknowledged when they are on their drive\n"
        "  --tenant NAME       whose keys: else default\n"
        "  --tls-ca FILE       TLS, with a server whose certificate is signed by one in FILE\n"
        "  --timeout SECONDS   that an operation may take, 1 to 3600; 30 if not given\n"
        "  --json              all of it as JSON\n"
        "  -h, --help          this text\n"
        "\n"
        "Exit status: 0 done, 1 refused by the server, 2 usage, 3 no connection, 4 server error "
        "or\n"
        "a value that is not what was written. docs/bench.md has more.\n",
};

struct wish {
    struct bench_options run;
    const char *server;
    const char *transport;
    const char *tenant;
    const char *tls_ca;
    uint32_t connections;
    bool json;
};

static volatile sig_atomic_t stop;

static void on_signal(int number) {
    stop = number;
}

/* ---- options -------------------------------------------------------------------------------- */

static bool refuse(const char *what, const char *argument) {
    command_complain(&shape, "%s%s; see: memkv bench --help", what, argument);
    return false;
}

static bool parse_number(const char *text, uint64_t least, uint64_t most, uint64_t *number,
                         const char **rest) {
    char *end;
    errno = 0;
    *number = strtoull(text, &end, 10);
    *rest = end;
    return text[0] >= '0' && text[0] <= '9' && errno == 0 && *number >= least && *number <= most;
}

static bool parse_whole(const char *text, uint32_t least, uint32_t most, uint32_t *number) {
    const char *rest;
    uint64_t value;
    const bool is_one = parse_number(text, least, most, &value, &rest) && *rest == '\0';
    *number = is_one ? (uint32_t)value : 0;
    return is_one;
}

/* "4KiB"; a number alone is bytes. `end` is a character that may stand behind it, too. */
static bool parse_size(const char *text, char end, uint64_t least, uint64_t most, uint64_t *bytes,
                       const char **rest) {
    static const struct {
        const char *name;
        uint64_t bytes;
    } units[] = {{"GiB", 1024 * MIB}, {"MiB", MIB}, {"KiB", 1024}, {"B", 1}, {"", 1}};
    if (!parse_number(text, 1, most, bytes, rest)) {
        return false;
    }
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        const size_t count = strlen(units[i].name);
        const char after = strncmp(*rest, units[i].name, count) == 0 ? (*rest)[count] : 'x';
        if (after == '\0' || after == end) {
            const bool fits = *bytes <= most / units[i].bytes;
            *bytes *= units[i].bytes;
            *rest += count;
            return fits && *bytes >= least && *bytes <= most;
        }
    }
    return false;
}

static bool parse_sizes(const char *text, struct wish *wish) {
    const char *at = text;
    wish->run.size_count = 0;
    for (;;) {
        uint64_t *size = &wish->run.sizes[wish->run.size_count];
        if (wish->run.size_count == BENCH_SIZES_MAX) {
            return refuse("--sizes takes 16 sizes at most, not ", text);
        }
        if (!parse_size(at, ',', BENCH_VALUE_BYTES_MIN, BENCH_VALUE_BYTES_MAX, size, &at)) {
            return refuse("--sizes takes sizes of 64B to 512MiB with commas between, not ", text);
        }
        wish->run.size_count++;
        if (*at == '\0') {
            return true;
        }
        at++;
    }
}

static bool parse_ops(const char *text, struct wish *wish) {
    const char *at = text;
    memset(wish->run.ops, 0, sizeof wish->run.ops);
    for (;;) {
        const size_t bytes = strcspn(at, ",");
        bool found = false;
        for (uint32_t op = 0; op < BENCH_OPS; op++) {
            if (strlen(bench_op_names[op]) == bytes &&
                strncmp(at, bench_op_names[op], bytes) == 0) {
                wish->run.ops[op] = true;
                found = true;
            }
        }
        if (!found) {
            return refuse("--ops takes write, read or both with a comma between, not ", text);
        }
        if (at[bytes] == '\0') {
            return true;
        }
        at += bytes + 1;
    }
}

static bool parse_transport(const char *text, struct wish *wish) {
    static const char *const names[] = {"auto", "rdma", "shm", "tcp"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(text, names[i]) == 0) {
            wish->transport = names[i];
            return true;
        }
    }
    return refuse("--transport takes auto, rdma, shm or tcp, not ", text);
}

static bool parse_footprint(const char *text, struct wish *wish) {
    const char *rest;
    return (parse_size(text, '\0', FOOTPRINT_MIN, FOOTPRINT_MAX, &wish->run.footprint_bytes,
                       &rest) &&
            *rest == '\0') ||
           refuse("--footprint takes a size from 1MiB to 32GiB, not ", text);
}

static bool parse_timeout(const char *text, struct wish *wish) {
    uint32_t seconds;
    const bool is_one = parse_whole(text, 1, TIMEOUT_SECONDS_MAX, &seconds);
    wish->run.timeout_ms = seconds * 1000;
    return is_one || refuse("--timeout takes seconds from 1 to 3600, not ", text);
}

/* One option. False: it has been refused. */
static bool take(int option, char **argv, struct wish *wish) {
    switch (option) {
    case 's':
        wish->server = optarg;
        return true;
    case 'n':
        wish->tenant = optarg;
        return true;
    case 'c':
        wish->tls_ca = optarg;
        return true;
    case 'j':
        wish->json = true;
        return true;
    case 'd':
        wish->run.is_durable = true;
        return true;
    case 't':
        return parse_transport(optarg, wish);
    case 'z':
        return parse_sizes(optarg, wish);
    case 'o':
        return parse_ops(optarg, wish);
    case 'f':
        return parse_footprint(optarg, wish);
    case 'w':
        return parse_timeout(optarg, wish);
    case 'e':
        return parse_whole(optarg, 1, SECONDS_MAX, &wish->run.seconds) ||
               refuse("--seconds takes a number from 1 to 3600, not ", optarg);
    case 'i':
        return parse_whole(optarg, 1, BENCH_IN_FLIGHT_MAX, &wish->run.in_flight) ||
               refuse("--in-flight takes a number from 1 to 256, not ", optarg);
    case 'x':
        return parse_whole(optarg, 1, CONNECTIONS_MAX, &wish->connections) ||
               refuse("--connections takes a number from 1 to 64, not ", optarg);
    case ':':
        return refuse("an argument is missing behind ", argv[optind - 1]);
    default:
        return refuse("unknown option ", argv[optind - 1]);
    }
}

/* False: *exit_code is what to exit with. */
static bool parse(int argc, char **argv, struct wish *wish, int *exit_code) {
    static const struct option options[] = {
        {"server", required_argument, NULL, 's'},
        {"transport", required_argument, NULL, 't'},
        {"sizes", required_argument, NULL, 'z'},
        {"ops", required_argument, NULL, 'o'},
        {"seconds", required_argument, NULL, 'e'},
        {"in-flight", required_argument, NULL, 'i'},
        {"connections", required_argument, NULL, 'x'},
        {"footprint", required_argument, NULL, 'f'},
        {"durable", no_argument, NULL, 'd'},
        {"tenant", required_argument, NULL, 'n'},
        {"tls-ca", required_argument, NULL, 'c'},
        {"timeout", required_argument, NULL, 'w'},
        {"json", no_argument, NULL, 'j'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    *exit_code = COMMAND_EXIT_USAGE;
    optind = 0;
    opterr = 0;
    for (int option; (option = getopt_long(argc, argv, ":h", options, NULL)) != -1;) {
        if (option == 'h') {
            fputs(shape.help, stdout);
            *exit_code = COMMAND_EXIT_DONE;
            return false;
        }
        if (!take(option, argv, wish)) {
            return false;
        }
    }
    return optind == argc || refuse("it takes no ", argv[optind]);
}

/* ---- what came of it ------------------------------------------------------------------------ */

static void size_text(uint64_t bytes, char out[SIZE_TEXT_BYTES]) {
    if (bytes % MIB == 0) {
        snprintf(out, SIZE_TEXT_BYTES, "%" PRIu64 " MiB", bytes / MIB);
    } else if (bytes % 1024 == 0) {
        snprintf(out, SIZE_TEXT_BYTES, "%" PRIu64 " KiB", bytes / 1024);
    } else {
        snprintf(out, SIZE_TEXT_BYTES, "%" PRIu64 " B", bytes);
    }
}

static double mib_of(const struct bench_row *row) {
    return (double)row->operations * (double)row->block_bytes / (double)MIB;
}

static double of_gib(const struct bench_row *row, double seconds) {
    return row->operations == 0 ? 0 : seconds / (mib_of(row) / 1024);
}

static void print_text(const struct wish *wish, const struct memkv_server *server,
                       const struct bench_result *result) {
    printf("%s, %u connection%s, %s writes, %u s a line; round trip %.1f us (p50), %.1f us "
           "(p99)\n\n",
           server->version, wish->connections, wish->connections == 1 ? "" : "s",
           wish->run.is_durable ? "durable" : "relaxed", wish->run.seconds,
           result->round_trip_p50_us, result->round_trip_p99_us);
    printf("%-9s  %-5s  %-6s  %9s  %9s  %9s  %9s  %9s  %9s\n", "BLOCK", "OP", "FABRIC", "IN FLIGHT",
           "MiB/s", "OPS/s", "P50 us", "P99 us", "CPU s/GiB");
    for (uint32_t i = 0; i < result->row_count; i++) {
        const struct bench_row *row = &result->rows[i];
        char size[SIZE_TEXT_BYTES];
        size_text(row->block_bytes, size);
        printf("%-9s  %-5s  %-6s  %9u  %9.1f  %9.0f  %9.1f  %9.1f  %9.3f\n", size,
               bench_op_names[row->op], row->fabric, row->in_flight, mib_of(row) / row->seconds,
               (double)row->operations / row->seconds, row->p50_us, row->p99_us,
               of_gib(row, row->cpu_seconds));
    }
}

static json_t *row_json(const struct bench_row *row) {
    return json_pack("{s:s, s:I, s:s, s:I, s:I, s:f, s:f, s:f, s:f, s:f, s:f, s:f}", "op",
                     bench_op_names[row->op], "block_bytes", (json_int_t)row->block_bytes, "fabric",
                     row->fabric, "in_flight", (json_int_t)row->in_flight, "operations",
                     (json_int_t)row->operations, "seconds", row->seconds, "mib_per_s",
                     mib_of(row) / row->seconds, "ops_per_s",
                     (double)row->operations / row->seconds, "p50_us", row->p50_us, "p99_us",
                     row->p99_us, "client_cpu_s_per_gib", of_gib(row, row->cpu_seconds),
                     "host_cpu_s_per_gib", of_gib(row, row->host_cpu_seconds));
}

static bool print_json(const struct wish *wish, const struct memkv_server *server,
                       const struct bench_result *result) {
    json_t *rows = json_array();
    for (uint32_t i = 0; i < result->row_count; i++) {
        json_array_append_new(rows, row_json(&result->rows[i]));
    }
    json_t *object =
        json_pack("{s:s, s:I, s:b, s:I, s:I, s:{s:I, s:f, s:f}, s:o}", "server_version",
                  server->version, "connections", (json_int_t)wish->connections, "durable",
                  wish->run.is_durable ? 1 : 0, "seconds", (json_int_t)wish->run.seconds,
                  "footprint_bytes", (json_int_t)wish->run.footprint_bytes, "round_trip",
                  "operations", (json_int_t)result->round_trips, "p50_us",
                  result->round_trip_p50_us, "p99_us", result->round_trip_p99_us, "rows", rows);
    const bool is_written =
        object != NULL && json_dumpf(object, stdout, JSON_INDENT(2)) == 0 && putchar('\n') != EOF;
    json_decref(object);
    return is_written;
}

/* ---- running -------------------------------------------------------------------------------- */

static struct memkv_client *connect_to(const struct wish *wish, int *exit_code) {
    uint64_t shared = 0;
    for (uint32_t i = 0; i < wish->run.size_count; i++) {
        const uint64_t bytes =
            (wish->run.sizes[i] + 4096) * bench_in_flight(&wish->run, wish->run.sizes[i]);
        shared = bytes > shared ? bytes : shared;
    }
    const uint64_t shared_mib = shared / MIB + 1;
    const struct memkv_options options = {
        .servers = wish->server,
        .timeout_ms = wish->run.timeout_ms,
        .client_name = "memkv bench",
        .tenant = wish->tenant,
        .connections = wish->connections,
        .shared_mib = (uint32_t)(shared_mib < SHARED_MIB_MAX ? shared_mib : SHARED_MIB_MAX),
        .tls_ca = wish->tls_ca,
        .transport = wish->transport,
    };
    struct memkv_client *client = NULL;
    struct memkv_error error;
    const enum memkv_status status = memkv_open(&options, &client, &error);
    if (status != MEMKV_OK) {
        command_complain(&shape, "%s", error.text);
        /* Before there is a connection only options can be invalid: that is usage. */
        *exit_code = status == MEMKV_INVALID ? (int)COMMAND_EXIT_USAGE : command_exit_of(status);
    }
    return client;
}

static int run(struct wish *wish, struct memkv_client *client) {
    static struct bench_result result;
    struct memkv_server server;
    struct memkv_error error;
    int exit_code = COMMAND_EXIT_DONE;
    memkv_server_limits(client, &server);
    struct sigaction action = {.sa_handler = on_signal};
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
    const enum memkv_status status = bench_run(client, &wish->run, &stop, &result, &error);
    bool is_written = true;
    if (wish->json) {
        is_written = print_json(wish, &server, &result);
    } else {
        print_text(wish, &server, &result);
    }
    if (!is_written || fflush(stdout) != 0) {
        command_complain(&shape, "the result cannot be written");
        return COMMAND_EXIT_SERVER_ERROR;
    }
    if (status != MEMKV_OK) {
        command_complain(&shape, "%s", error.text);
        exit_code = command_exit_of(status);
    }
    return exit_code;
}

int memkv_command_bench(int argc, char **argv) {
    struct wish wish = {
        .run = {.sizes = {4096, 16384, 65536, 262144, MIB, 4 * MIB, 16 * MIB},
                .size_count = 7,
                .ops = {true, true},
                .seconds = SECONDS_DEFAULT,
                .in_flight = IN_FLIGHT_DEFAULT,
                .footprint_bytes = FOOTPRINT_DEFAULT,
                .timeout_ms = TIMEOUT_MS_DEFAULT},
        .connections = 1,
    };
    int exit_code;
    if (!parse(argc, argv, &wish, &exit_code)) {
        return exit_code;
    }
    struct memkv_client *client = connect_to(&wish, &exit_code);
    if (client == NULL) {
        return exit_code;
    }
    exit_code = run(&wish, client);
    memkv_close(client);
    if (stop != 0) {
        /* What it is told from outside is what it ends by, now that its keys are gone. */
        (void)signal(stop, SIG_DFL);
        (void)raise(stop);
    }
    return exit_code;
}
