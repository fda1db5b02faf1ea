/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line of `memkv proxy`.
 *
 * Not responsible for: what libmemkv takes from the environment and from the file that MEMKV_CONFIG
 * names (client/settings.h): servers, keys and TLS towards servers.
 */
#ifndef MKV_SERVER_PROXY_OPTIONS_H
#define MKV_SERVER_PROXY_OPTIONS_H

#include "client/memkv.h"
#include "server/config.h"

struct mkv_proxy_command {
    bool help;
    struct mkv_config_address listen;
    const char *metrics; /* HOST:PORT; NULL: none */
    uint64_t memory_bytes;
    uint32_t timeout_ms;
    bool durable;
    enum mkv_config_log_format log_format;
    struct memkv_options
        servers; /* servers, discovery, tenant, connections; texts are those of argv */
    const char *auth_key_file; /* NULL: not given */
    bool is_open;              /* --auth none */
};

/* All of `memkv proxy --help`. */
extern const char mkv_proxy_help[];

/* argv[0] is the command's name. */
__attribute__((warn_unused_result)) bool mkv_proxy_options_parse(int argc, char *const *argv,
                                                                 struct mkv_proxy_command *command,
                                                                 struct mkv_config_error *error);

#endif
