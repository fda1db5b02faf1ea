/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the commands share: options, connecting, exit codes, error lines.
 *
 * Not responsible for: anything outside client/command_*.c.
 */
#ifndef MKV_CLIENT_COMMAND_COMMON_H
#define MKV_CLIENT_COMMAND_COMMON_H

#include <stdbool.h>

#include "client/memkv.h"

enum command_exit {
    COMMAND_EXIT_DONE = 0,
    COMMAND_EXIT_REFUSED = 1,
    COMMAND_EXIT_USAGE = 2,
    COMMAND_EXIT_NO_CONNECTION = 3,
    COMMAND_EXIT_SERVER_ERROR = 4,
};

/* What a command takes. */
struct command_shape {
    const char *name; /* "put" */
    const char *help; /* all of --help */
    int operand_count_min;
    int operand_count_max;
    bool has_put_flags; /* and --expire */
};

/* The end of every help text. */
#define COMMAND_HELP_OPTIONS                                                                       \
    "  --server HOST:PORT  the server; else the environment's MEMKV_SERVERS, else\n"               \
    "                      127.0.0.1:9900\n"                                                       \
    "  --discovery TEXT    where the list of servers comes from instead: file:PATH,\n"             \
    "                      dns:NAME:PORT or etcd:http://HOST:PORT/PREFIX; else the\n"              \
    "                      environment's MEMKV_DISCOVERY\n"                                        \
    "  --tenant NAME       whose keys: 1 to 79 characters of A-Z a-z 0-9 . _ -; else\n"            \
    "                      default\n"                                                              \
    "  --timeout SECONDS   how long the command may take, 0.001 to 86400; 30 if not given\n"       \
    "  --traceparent TEXT  the W3C trace context that the command belongs to; else the\n"          \
    "                      environment's MEMKV_TRACEPARENT, else its TRACEPARENT\n"                \
    "  --tls-ca FILE       TLS, with a server whose certificate is signed by one in FILE; else\n"  \
    "                      the environment's MEMKV_TLS_CA, MEMKV_TLS\n"                            \
    "  --transport WHICH   auto, rdma, shm or tcp: how the server is reached; else the\n"          \
    "                      environment's MEMKV_TRANSPORT, else auto\n"                             \
    "  -h, --help          this text\n"                                                            \
    "\n"                                                                                           \
    "Exit status: 0 done, 1 not found or refused, 2 usage or a local file, 3 no connection,\n"     \
    "4 server error.\n"

/* The command line, taken apart. */
struct command_line {
    const struct command_shape *shape;
    const char *server;      /* NULL: not given */
    const char *discovery;   /* the same */
    const char *tenant;      /* NULL: not given */
    const char *traceparent; /* the same */
    const char *tls_ca;      /* the same */
    const char *transport;   /* the same */
    uint32_t timeout_ms;
    struct memkv_put_options put;
    int operand_count;
    char **operands;
};

/* True: go on. False: *exit_code is what to exit with; help or a complaint has been printed. */
bool command_parse(const struct command_shape *shape, int argc, char **argv,
                   struct command_line *line, int *exit_code);

/* Connects. NULL: *exit_code is what to exit with; the reason has been printed. */
struct memkv_client *command_connect(const struct command_line *line, int *exit_code);

/* What a status is as an exit code. */
int command_exit_of(enum memkv_status status);

/* Prints "memkv NAME: text" on standard error. */
__attribute__((format(printf, 2, 3))) void command_complain(const struct command_shape *shape,
                                                            const char *format, ...);

#endif
