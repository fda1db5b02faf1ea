/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `memkv admin status`: what nodes say of themselves, for people (a screen), for programs (--json)
 * and for monitoring (--check). It is a client of the admin listener and reads what anyone can.
 *
 * Exit status
 *
 *   0  done              with --check: every node is healthy
 *   1                    with --check: a node is degraded, recovering or draining
 *   2  usage             with --check: usage, or a node is unhealthy
 *   3  a node is not to be reached, or answers with no status
 *
 * Of several nodes the highest counts.
 */
#ifndef MKV_SERVER_COMMAND_ADMIN_H
#define MKV_SERVER_COMMAND_ADMIN_H

/* A main of its own, with argv[0] = "admin". */
int mkv_command_admin(int argc, char **argv);

#endif
