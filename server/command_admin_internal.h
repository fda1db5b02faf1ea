/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the commands of `memkv admin` share: whom to ask, and complaining.
 *
 * Not responsible for: anything outside server/command_admin.c and server/command_tenants.c.
 */
#ifndef MKV_SERVER_COMMAND_ADMIN_INTERNAL_H
#define MKV_SERVER_COMMAND_ADMIN_INTERNAL_H

#include "server/command_admin.h"
#include "server/config_address.h"

#define MKV_COMMAND_SERVERS_MAX 256u

struct mkv_command_servers {
    uint32_t count;
    struct mkv_config_address list[MKV_COMMAND_SERVERS_MAX];
};

/* Prints "memkv admin: text" on standard error. */
__attribute__((format(printf, 1, 2))) void mkv_command_admin_complain(const char *format, ...);
/* Adds the addresses of a list with commas. `port_offset` is what leads from the port in the text
 * to the admin port. */
bool mkv_command_servers_add(struct mkv_command_servers *servers, const char *source,
                             const char *list, uint16_t port_offset);
/* Those of the environment, else the one on this machine. */
bool mkv_command_servers_default(struct mkv_command_servers *servers);

/* command_tenants.c: `memkv admin tenants`, `memkv admin tenant-drop`. */
int mkv_command_tenants(int argc, char **argv);
int mkv_command_tenant_drop(int argc, char **argv);

#endif
