/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the commands of `memkv admin` share: whom to ask (command_servers.h), and complaining.
 *
 * Not responsible for: anything outside server/command_*.c of memkv admin.
 */
#ifndef MKV_SERVER_COMMAND_ADMIN_INTERNAL_H
#define MKV_SERVER_COMMAND_ADMIN_INTERNAL_H

#include "server/command_admin.h"
#include "server/command_servers.h"

/* Prints "memkv admin: text" on standard error. */
__attribute__((format(printf, 1, 2))) void mkv_command_admin_complain(const char *format, ...);

/* command_tenants.c: `memkv admin tenants`, `memkv admin tenant-drop`. */
int mkv_command_tenants(int argc, char **argv);
int mkv_command_tenant_drop(int argc, char **argv);

#endif
