/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `memkv admin drive …`: what operators ask of a drive of a node that serves. One row of the table
 * in command_drive_admin.c is one command; argv[0] is its name.
 *
 * Not responsible for: drives of a node that does not run (`memkv drive`).
 */
#ifndef MKV_SERVER_COMMAND_DRIVE_ADMIN_H
#define MKV_SERVER_COMMAND_DRIVE_ADMIN_H

/* command_drive_life.c */
int mkv_command_drive_offline(int argc, char **argv);
int mkv_command_drive_online(int argc, char **argv);
int mkv_command_drive_drain(int argc, char **argv);
int mkv_command_drive_replace(int argc, char **argv);
int mkv_command_drive_erase(int argc, char **argv);

#endif
