/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whom a command of `memkv admin` asks, and with what credential. Every command takes the same
 * options:
 *
 *   --server HOST:PORT, --servers A,B  admin addresses; may come several times
 *   --socket PATH                      the Unix socket of a node on this machine
 *   --token-file FILE                  the token for addresses, else MEMKV_ADMIN_TOKEN_FILE
 *   --tls-ca FILE, --tls-name NAME     TLS to addresses: whose certificates are trusted, and what
 *                                      for; https:// before an address is TLS, too
 *
 * Without the first two: MEMKV_ADMIN_SOCKET, else the servers of MEMKV_SERVERS at their port + 1,
 * else ./memkv-data/admin.sock when it is there, else 127.0.0.1:9901.
 *
 *     for (each argument)   taken = mkv_command_servers_option(&servers, argc, argv, &index);
 *     at the end            mkv_command_servers_finish(&servers)
 *     for (each server)     mkv_command_servers_ask(&servers, i, &call, &response, why)
 *
 * Not responsible for: what is asked.
 */
#ifndef MKV_SERVER_COMMAND_SERVERS_H
#define MKV_SERVER_COMMAND_SERVERS_H

#include "admin/auth.h"
#include "admin/http_get.h"
#include "server/config_address.h"

#define MKV_COMMAND_SERVERS_MAX 256u
#define MKV_COMMAND_SERVER_NAME_BYTES 128u

struct mkv_command_server {
    const char *socket; /* NULL: the address */
    struct mkv_config_address address;
    bool is_https;
};

struct mkv_command_servers {
    uint32_t count;
    struct mkv_command_server list[MKV_COMMAND_SERVERS_MAX];
    const char *token_file;
    const char *tls_ca; /* NULL: not given, as is this */
    const char *tls_name;
    char token[MKV_ADMIN_TOKEN_BYTES_MAX + 1]; /* "": none */
};

/* The lines of a command's help about them, each closed by a newline. */
extern const char mkv_command_servers_help[];

enum mkv_command_option {
    MKV_COMMAND_OPTION_OTHER = 0, /* the argument is none of these */
    MKV_COMMAND_OPTION_TAKEN,
    MKV_COMMAND_OPTION_WRONG, /* complained of */
};
/* Takes argv[*index] if it is one of the options, moving on over its value. */
enum mkv_command_option mkv_command_servers_option(struct mkv_command_servers *servers, int argc,
                                                   char **argv, int *index);
/* Finds whom to ask where nobody is named, and reads the token. False: complained. */
__attribute__((warn_unused_result)) bool mkv_command_servers_finish(
    struct mkv_command_servers *servers);

/* What a server is called in output: HOST:PORT, or the socket's path (its end, when it is long). */
void mkv_command_server_name(const struct mkv_command_servers *servers, uint32_t index,
                             char name[MKV_COMMAND_SERVER_NAME_BYTES]);

/* Sends `call`, whose server and token are filled in here. */
__attribute__((warn_unused_result)) enum mkv_http_get_result mkv_command_servers_ask(
    const struct mkv_command_servers *servers, uint32_t index, const struct mkv_http_call *call,
    struct mkv_http_response *response, char error[MKV_HTTP_GET_ERROR_BYTES]);

/* The text of {"error": text} in a response that is no 200, safe to be shown; or a text that says
 * that no admin listener would answer so. */
void mkv_command_servers_refusal(const struct mkv_http_response *response,
                                 char text[MKV_HTTP_GET_ERROR_BYTES]);

#endif
