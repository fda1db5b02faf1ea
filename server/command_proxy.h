/* SPDX-License-Identifier: Apache-2.0 */
/* `memkv proxy`: runs a proxy (proxy.h) in the foreground until it is told to stop. */
#ifndef MKV_SERVER_COMMAND_PROXY_H
#define MKV_SERVER_COMMAND_PROXY_H

/* A main of its own, with the command's name in argv[0]; returns what the process exits with. */
int mkv_command_proxy(int argc, char **argv);

#endif
