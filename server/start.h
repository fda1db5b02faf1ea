/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `memkv start`: the command line, the configuration, and the node.
 *
 * Not responsible for: anything of these itself (start_options.h, config.h, node.h).
 */
#ifndef MKV_SERVER_START_H
#define MKV_SERVER_START_H

/* A main of its own, with the command's name in argv[0]; returns what the process exits with. */
int mkv_command_start(int argc, char **argv);

#endif
