/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The commands below `memkv admin drive` that only look: argv[0] is "list" or "show".
 *
 * Not responsible for: those that change the life of a drive.
 */
#ifndef MKV_SERVER_COMMAND_DRIVE_VIEW_H
#define MKV_SERVER_COMMAND_DRIVE_VIEW_H

int mkv_command_admin_drive_list(int argc, char **argv);
int mkv_command_admin_drive_show(int argc, char **argv);

#endif
