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

/* One each: command_tenants.c, command_audit.c, command_log_level.c, command_diagnostics.c,
 * command_doctor.c. argv[0] is the command's name. */
int mkv_command_tenant_drop(int argc, char **argv);
int mkv_command_audit(int argc, char **argv);
int mkv_command_log_level(int argc, char **argv);
int mkv_command_diagnostics(int argc, char **argv);
int mkv_command_doctor(int argc, char **argv);
/* command_drive_admin.c */
int mkv_command_drive_admin(int argc, char **argv);

#endif
