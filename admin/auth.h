/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who asks the admin listener, and what he may do.
 *
 *   nobody      a TCP client without a credential      live, ready, health, metrics
 *   viewer      a token of that role; a member of the  whatever shows the node
 *               socket's group
 *   operator    a token of that role; on the socket    all
 *               root and the daemon's own user
 *
 * A token is a secret of one line, sent as `Authorization: Bearer TOKEN`. A client of the Unix
 * socket is who the kernel says it is, and has a token's role too where it sends one.
 *
 * Invariants
 *  I1  Tokens are compared with all that there are, each over its whole room, so that the time
 *      tells nothing about how far a guess was right.
 *  I2  Nothing here shows a token: refusals name its place in the configuration.
 *
 * Not responsible for: reading the files of tokens, and the sockets.
 */
#ifndef MKV_ADMIN_AUTH_H
#define MKV_ADMIN_AUTH_H

#include "core/base.h"

enum mkv_admin_role {
    MKV_ADMIN_ROLE_NONE = 0,
    MKV_ADMIN_ROLE_VIEWER,
    MKV_ADMIN_ROLE_OPERATOR,
};
#define MKV_ADMIN_ROLE_COUNT 3u
/* "nobody", "viewer", "operator". */
extern const char *const mkv_admin_roles[MKV_ADMIN_ROLE_COUNT + 1];

#define MKV_ADMIN_TOKENS_MAX 16u
/* Characters of a token. Shorter ones could be guessed. */
#define MKV_ADMIN_TOKEN_BYTES_MIN 32u
#define MKV_ADMIN_TOKEN_BYTES_MAX 256u

struct mkv_admin_token {
    enum mkv_admin_role role;
    char text[MKV_ADMIN_TOKEN_BYTES_MAX + 1]; /* filled up with zeros */
};

struct mkv_admin_auth {
    bool open;    /* everyone is an operator */
    uint32_t uid; /* the daemon's own */
    bool has_viewer_gid;
    uint32_t viewer_gid; /* whose members may view, on the socket */
    uint32_t token_count;
    struct mkv_admin_token tokens[MKV_ADMIN_TOKENS_MAX];
};

/* Room for "[IPV6]:PORT" and for what a peer is called. */
#define MKV_ADMIN_PEER_BYTES 64u

/* Who sent a request. */
struct mkv_admin_peer {
    enum mkv_admin_role role;
    bool over_socket;                   /* the Unix socket; else TCP */
    uint32_t uid, gid, pid;             /* over the socket */
    char address[MKV_ADMIN_PEER_BYTES]; /* "127.0.0.1:40112"; "unix" */
    char name[MKV_ADMIN_PEER_BYTES];    /* "uid 0", "token 2", "nobody" */
};

/* Whether a text can be a token: its length, and characters that can stand in a header. */
bool mkv_admin_token_is_valid(const char *text, size_t bytes);

/* Finds the peer's role and name. `authorization` is that header of the request, or NULL; of a peer
 * over the socket uid and gid are set, and its other groups are given. */
void mkv_admin_auth_judge(const struct mkv_admin_auth *auth, const char *authorization,
                          const uint32_t *groups, uint32_t group_count,
                          struct mkv_admin_peer *peer);

#endif
