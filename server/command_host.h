/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `memkv doctor`: checks this host, without a daemon.
 *
 * Not responsible for: a running node (`memkv admin doctor`, command_doctor.c).
 */
#ifndef MKV_SERVER_COMMAND_HOST_H
#define MKV_SERVER_COMMAND_HOST_H

int mkv_command_host(int argc, char **argv);

#endif
