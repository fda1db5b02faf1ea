/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The commands `memkv put`, `get`, `exists`, `delete`, `session` and `bench`: each a main of its
 * own, with the command's name in argv[0]. They return what the process exits with:
 *
 *   0  done
 *   1  a key was not found, or the server refused
 *   2  the command line or a local file cannot be used
 *   3  no connection, or the server or the key's drive is not available
 *   4  the server failed, or did not answer in time
 *
 * Values go to standard output, all other words to standard error, except the lines of exists and
 * delete: they are their result.
 *
 * Invariants
 *  I1  A file that get names is either what it was or the whole, verified value.
 *
 * Not responsible for: finding the command by its name (server/main.c).
 */
#ifndef MKV_CLIENT_COMMANDS_H
#define MKV_CLIENT_COMMANDS_H

/* memkv put KEY FILE */
int memkv_command_put(int argc, char **argv);
/* memkv get KEY [FILE] */
int memkv_command_get(int argc, char **argv);
/* memkv exists KEY... */
int memkv_command_exists(int argc, char **argv);
/* memkv delete KEY... */
int memkv_command_delete(int argc, char **argv);
/* memkv session NUMBER ACTION */
int memkv_command_session(int argc, char **argv);
/* memkv bench [OPTIONS] */
int memkv_command_bench(int argc, char **argv);

#endif
