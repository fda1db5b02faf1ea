/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Addresses of listeners and servers as text: `127.0.0.1:9900`, `localhost:9900`, `[::1]:9900`.
 *
 * Invariants
 *  I1  A parsed host is an IPv4 address, an IPv6 address without brackets, or a name of letters,
 *      digits, dots, hyphens and underscores; a parsed port is 1 to 65535.
 *  I2  What mkv_config_address_format writes, mkv_config_address_parse reads back the same.
 *  I3  Nothing here asks a resolver: `localhost` is the one name known to be loopback.
 *
 * Not responsible for: resolving names, binding, or which addresses a release may serve
 * (config_validate.c).
 */
#ifndef MKV_SERVER_CONFIG_ADDRESS_H
#define MKV_SERVER_CONFIG_ADDRESS_H

#include "core/base.h"

/* Room for a host: the longest name we take has 63 characters, and the closing NUL. */
#define MKV_CONFIG_HOST_BYTES 64u
/* Room for "[HOST]:PORT" and the closing NUL. */
#define MKV_CONFIG_ADDRESS_TEXT_BYTES (MKV_CONFIG_HOST_BYTES + 8u)

struct mkv_config_address {
    char host[MKV_CONFIG_HOST_BYTES];
    uint16_t port;
};

enum mkv_config_address_problem {
    MKV_CONFIG_ADDRESS_OK = 0,
    MKV_CONFIG_ADDRESS_NO_PORT,  /* a host alone */
    MKV_CONFIG_ADDRESS_BRACKETS, /* an IPv6 address without brackets, or with them unclosed */
    MKV_CONFIG_ADDRESS_HOST,     /* empty, too long, or a character that no host has */
    MKV_CONFIG_ADDRESS_PORT,     /* not a number from 1 to 65535 */
};

/* Reads `text`, to its closing NUL. `out` is written only with MKV_CONFIG_ADDRESS_OK. */
__attribute__((warn_unused_result)) enum mkv_config_address_problem mkv_config_address_parse(
    const char *text, struct mkv_config_address *out);

/*
 * Says what is wrong and what to write instead, as the rest of a sentence that begins with the
 * quoted text. The string is constant.
 */
const char *mkv_config_address_explain(enum mkv_config_address_problem problem);

/* Writes HOST:PORT, with brackets around an IPv6 host. */
void mkv_config_address_format(const struct mkv_config_address *address,
                               char out[MKV_CONFIG_ADDRESS_TEXT_BYTES]);

/* True for 127.0.0.0/8, ::1 and localhost. */
bool mkv_config_address_is_loopback(const struct mkv_config_address *address);

/*
 * True when two listeners could not both bind. Hosts are compared as addresses (0:0:0:0:0:0:0:1 is
 * ::1); names are equal or not.
 */
bool mkv_config_address_collides(const struct mkv_config_address *a,
                                 const struct mkv_config_address *b);

#endif
