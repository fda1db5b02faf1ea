/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `memkv auth keygen`: makes a key for clients.
 *
 * Invariants
 *  I1  A file that is there is never written to, and nobody but its owner may read a new one, from
 *      its first byte on.
 *
 * Not responsible for: handing keys out.
 */
#ifndef MKV_SERVER_COMMAND_AUTH_H
#define MKV_SERVER_COMMAND_AUTH_H

/* argv[0] is "auth". */
int mkv_command_auth(int argc, char **argv);

#endif
