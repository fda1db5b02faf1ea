/* SPDX-License-Identifier: Apache-2.0 */
#include "server/command_servers.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "admin/text.h"
#include "server/command_admin_internal.h"
#include "server/config.h"

#define SERVERS_VARIABLE "MEMKV_SERVERS"
#define SOCKET_VARIABLE "MEMKV_ADMIN_SOCKET"
#define TOKEN_FILE_VARIABLE "MEMKV_ADMIN_TOKEN_FILE"
#define TLS_CA_VARIABLE "MEMKV_TLS_CA"
#define SERVER_DEFAULT "127.0.0.1:9901"
#define SOCKET_DEFAULT MKV_CONFIG_DEV_DIRECTORY "/" MKV_CONFIG_DEV_SOCKET

const char mkv_command_servers_help[] =
    "  --server HOST:PORT  the node's admin address; may be given several times, or hold several\n"
    "                      separated by commas, as --servers may\n"
    "  --socket PATH       the node's Unix socket, which knows you by your uid\n"
    "  --token-file FILE   the token that the node's admin.tokens has, for --server; else the\n"
    "                      file that MEMKV_ADMIN_TOKEN_FILE names\n"
    "  --tls-ca FILE       TLS to addresses, whose certificates have to come from one in FILE; "
    "else\n"
    "                      https://HOST:PORT with the file of MEMKV_TLS_CA, or what the system "
    "trusts\n"
    "  --tls-name NAME     TLS, and what the certificates are for, where that is not HOST\n"
    "                      Without --server and --socket: the socket of MEMKV_ADMIN_SOCKET, else\n"
    "                      the servers of MEMKV_SERVERS, each at its port + 1, else\n"
    "                      ./memkv-data/admin.sock if it is there, else 127.0.0.1:9901\n";

/* ---- options --------------------------------------------------------------------------------- */

static struct mkv_command_server *next_server(struct mkv_command_servers *servers,
                                              const char *source) {
    if (servers->count == MKV_COMMAND_SERVERS_MAX) {
        mkv_command_admin_complain("%s: more than %u servers; ask fewer at a time", source,
                                   MKV_COMMAND_SERVERS_MAX);
        return NULL;
    }
    return &servers->list[servers->count];
}

/* Adds the addresses of a list with commas. `port_offset` is what leads from the port in the text
 * to the admin port. */
static bool add_addresses(struct mkv_command_servers *servers, const char *source, const char *list,
                          uint16_t port_offset) {
    while (true) {
        static const char scheme[] = "https://";
        const bool is_https = strncmp(list, scheme, sizeof scheme - 1) == 0;
        list += is_https ? sizeof scheme - 1 : 0;
        const size_t bytes = strcspn(list, ",");
        char text[MKV_CONFIG_ADDRESS_TEXT_BYTES];
        struct mkv_command_server *server = next_server(servers, source);
        if (server == NULL) {
            return false;
        }
        /* A weight behind the port is the clients' alone. */
        const size_t address_bytes = mkv_min_u64(bytes, strcspn(list, "*"));
        snprintf(text, sizeof text, "%.*s", (int)mkv_min_u64(address_bytes, sizeof text - 1), list);
        server->socket = NULL;
        server->is_https = is_https;
        const enum mkv_config_address_problem problem =
            mkv_config_address_parse(text, &server->address);
        if (problem != MKV_CONFIG_ADDRESS_OK) {
            mkv_command_admin_complain("%s: '%s' %s", source, text,
                                       mkv_config_address_explain(problem));
            return false;
        }
        if (server->address.port > UINT16_MAX - port_offset) {
            mkv_command_admin_complain(
                "%s: '%s' has no admin port: it would be the port + 1; use --server", source, text);
            return false;
        }
        server->address.port = (uint16_t)(server->address.port + port_offset);
        servers->count++;
        if (list[bytes] == '\0') {
            return true;
        }
        list += bytes + 1;
    }
}

static bool add_socket(struct mkv_command_servers *servers, const char *source, const char *path) {
    struct mkv_command_server *server = next_server(servers, source);
    if (server == NULL) {
        return false;
    }
    *server = (struct mkv_command_server){.socket = path};
    servers->count++;
    return true;
}

/* Whether the argument is this option; then *value is what it takes, NULL when that is missing. */
static bool is_option(const char *name, int argc, char **argv, int *index, const char **value) {
    const size_t bytes = strlen(name);
    const char *argument = argv[*index];
    if (strncmp(argument, name, bytes) != 0 ||
        (argument[bytes] != '\0' && argument[bytes] != '=')) {
        return false;
    }
    *value = NULL;
    if (argument[bytes] == '=') {
        *value = argument + bytes + 1;
    } else if (*index + 1 < argc) {
        *index += 1;
        *value = argv[*index];
    }
    if (*value != NULL && (*value)[0] == '\0') {
        *value = NULL;
    }
    return true;
}

enum mkv_command_option mkv_command_servers_option(struct mkv_command_servers *servers, int argc,
                                                   char **argv, int *index) {
    const char *value;
    bool done = true;
    if (is_option("--server", argc, argv, index, &value) ||
        is_option("--servers", argc, argv, index, &value)) {
        if (value == NULL) {
            mkv_command_admin_complain("--server needs HOST:PORT behind it");
            return MKV_COMMAND_OPTION_WRONG;
        }
        done = add_addresses(servers, "--server", value, 0);
    } else if (is_option("--socket", argc, argv, index, &value)) {
        if (value == NULL) {
            mkv_command_admin_complain("--socket needs a PATH behind it");
            return MKV_COMMAND_OPTION_WRONG;
        }
        done = add_socket(servers, "--socket", value);
    } else if (is_option("--token-file", argc, argv, index, &value)) {
        if (value == NULL) {
            mkv_command_admin_complain("--token-file needs a FILE behind it");
            return MKV_COMMAND_OPTION_WRONG;
        }
        servers->token_file = value;
    } else if (is_option("--tls-ca", argc, argv, index, &value)) {
        if (value == NULL) {
            mkv_command_admin_complain("--tls-ca needs a FILE behind it");
            return MKV_COMMAND_OPTION_WRONG;
        }
        servers->tls_ca = value;
    } else if (is_option("--tls-name", argc, argv, index, &value)) {
        if (value == NULL) {
            mkv_command_admin_complain("--tls-name needs a NAME behind it");
            return MKV_COMMAND_OPTION_WRONG;
        }
        servers->tls_name = value;
    } else {
        return MKV_COMMAND_OPTION_OTHER;
    }
    return done ? MKV_COMMAND_OPTION_TAKEN : MKV_COMMAND_OPTION_WRONG;
}

/* ---- the rest of what is needed -------------------------------------------------------------- */

/* The value of a variable; one that is empty counts as unset. */
static const char *variable(const char *name) {
    const char *value = getenv(name);
    return value != NULL && value[0] != '\0' ? value : NULL;
}

static bool find_servers(struct mkv_command_servers *servers) {
    struct stat there;
    if (variable(SOCKET_VARIABLE) != NULL) {
        return add_socket(servers, SOCKET_VARIABLE, variable(SOCKET_VARIABLE));
    }
    if (variable(SERVERS_VARIABLE) != NULL) {
        return add_addresses(servers, SERVERS_VARIABLE, variable(SERVERS_VARIABLE), 1);
    }
    if (stat(SOCKET_DEFAULT, &there) == 0 && S_ISSOCK(there.st_mode)) {
        return add_socket(servers, "default", SOCKET_DEFAULT);
    }
    return add_addresses(servers, "default", SERVER_DEFAULT, 0);
}

static bool read_token(struct mkv_command_servers *servers) {
    const char *path = servers->token_file;
    char text[MKV_ADMIN_TOKEN_BYTES_MAX + 2] = {0};
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    const ssize_t count = fd < 0 ? -1 : read(fd, text, sizeof text);
    const int number = errno;
    if (fd >= 0) {
        close(fd);
    }
    if (count < 0) {
        mkv_command_admin_complain("the token's file %s cannot be read: %s", path,
                                   strerror(number));
        return false;
    }
    size_t bytes = (size_t)count;
    while (bytes > 0 && (text[bytes - 1] == '\n' || text[bytes - 1] == '\r')) {
        bytes--;
    }
    if (!mkv_admin_token_is_valid(text, bytes)) {
        mkv_command_admin_complain(
            "the token's file %s holds no token: one line of %u to %u characters without spaces",
            path, MKV_ADMIN_TOKEN_BYTES_MIN, MKV_ADMIN_TOKEN_BYTES_MAX);
        return false;
    }
    memcpy(servers->token, text, bytes);
    servers->token[bytes] = '\0';
    return true;
}

bool mkv_command_servers_finish(struct mkv_command_servers *servers) {
    if (servers->count == 0 && !find_servers(servers)) {
        return false;
    }
    if (servers->token_file == NULL) {
        servers->token_file = variable(TOKEN_FILE_VARIABLE);
    }
    return servers->token_file == NULL || read_token(servers);
}

/* ---- asking ---------------------------------------------------------------------------------- */

void mkv_command_server_name(const struct mkv_command_servers *servers, uint32_t index,
                             char name[MKV_COMMAND_SERVER_NAME_BYTES]) {
    MKV_ASSERT(index < servers->count);
    const struct mkv_command_server *server = &servers->list[index];
    if (server->socket == NULL) {
        _Static_assert(MKV_CONFIG_ADDRESS_TEXT_BYTES <= MKV_COMMAND_SERVER_NAME_BYTES, "it fits");
        mkv_config_address_format(&server->address, name);
        return;
    }
    const size_t bytes = strlen(server->socket);
    const size_t room = MKV_COMMAND_SERVER_NAME_BYTES - 1;
    mkv_text_clean(server->socket + (bytes > room ? bytes - room : 0), name,
                   MKV_COMMAND_SERVER_NAME_BYTES);
}

enum mkv_http_get_result mkv_command_servers_ask(const struct mkv_command_servers *servers,
                                                 uint32_t index, const struct mkv_http_call *call,
                                                 struct mkv_http_response *response,
                                                 char error[MKV_HTTP_GET_ERROR_BYTES]) {
    MKV_ASSERT(index < servers->count);
    const struct mkv_command_server *server = &servers->list[index];
    struct mkv_http_call whole = *call;
    whole.socket = server->socket;
    whole.host = server->address.host;
    whole.port = server->address.port;
    if (server->is_https || servers->tls_ca != NULL || servers->tls_name != NULL) {
        const char *trusted = servers->tls_ca != NULL ? servers->tls_ca : variable(TLS_CA_VARIABLE);
        whole.tls_ca = trusted != NULL ? trusted : "";
        whole.tls_name = servers->tls_name;
    }
    whole.token = servers->token[0] == '\0' ? NULL : servers->token;
    return mkv_http_ask(&whole, response, error);
}

void mkv_command_servers_refusal(const struct mkv_http_response *response,
                                 char text[MKV_HTTP_GET_ERROR_BYTES]) {
    json_t *refusal = json_loadb(response->body, response->body_bytes, 0, NULL);
    const char *said = json_string_value(json_object_get(refusal, "error"));
    if (said != NULL) {
        mkv_text_clean(said, text, MKV_HTTP_GET_ERROR_BYTES);
    } else {
        snprintf(text, MKV_HTTP_GET_ERROR_BYTES, "HTTP %u and no reason; is it the admin port?",
                 response->status);
    }
    json_decref(refusal);
}
