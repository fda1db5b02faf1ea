/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/auth.h"

#include <stdio.h>
#include <string.h>

#define SCHEME "Bearer"

const char *const mkv_admin_roles[] = {"nobody", "viewer", "operator", NULL};

bool mkv_admin_token_is_valid(const char *text, size_t bytes) {
    if (bytes < MKV_ADMIN_TOKEN_BYTES_MIN || bytes > MKV_ADMIN_TOKEN_BYTES_MAX) {
        return false;
    }
    for (size_t index = 0; index < bytes; index++) {
        if (text[index] <= ' ' || text[index] > '~') {
            return false;
        }
    }
    return true;
}

/* The token of the header's value, filled up with zeros; false when there is none. */
static bool token_of(const char *authorization, char token[MKV_ADMIN_TOKEN_BYTES_MAX + 1]) {
    memset(token, 0, MKV_ADMIN_TOKEN_BYTES_MAX + 1);
    if (authorization == NULL || strncasecmp(authorization, SCHEME, strlen(SCHEME)) != 0) {
        return false;
    }
    const char *text = authorization + strlen(SCHEME);
    const size_t spaces = strspn(text, " ");
    const size_t bytes = strlen(text + spaces);
    if (spaces == 0 || !mkv_admin_token_is_valid(text + spaces, bytes)) {
        return false;
    }
    memcpy(token, text + spaces, bytes);
    return true;
}

/* Looks at all bytes, whatever it finds. */
static bool are_equal(const char *a, const char *b) {
    volatile unsigned char difference = 0;
    for (size_t index = 0; index < MKV_ADMIN_TOKEN_BYTES_MAX + 1; index++) {
        difference =
            (unsigned char)(difference | ((unsigned char)a[index] ^ (unsigned char)b[index]));
    }
    return difference == 0;
}

static void judge_token(const struct mkv_admin_auth *auth, const char *authorization,
                        struct mkv_admin_peer *peer) {
    char token[MKV_ADMIN_TOKEN_BYTES_MAX + 1];
    if (!token_of(authorization, token)) {
        return;
    }
    MKV_ASSERT(auth->token_count <= MKV_ADMIN_TOKENS_MAX);
    for (uint32_t index = 0; index < auth->token_count; index++) {
        const bool equal = are_equal(auth->tokens[index].text, token);
        if (equal && auth->tokens[index].role > peer->role) {
            peer->role = auth->tokens[index].role;
            snprintf(peer->name, sizeof peer->name, "token %u", (unsigned)index);
        }
    }
}

static void judge_socket(const struct mkv_admin_auth *auth, const uint32_t *groups,
                         uint32_t group_count, struct mkv_admin_peer *peer) {
    snprintf(peer->name, sizeof peer->name, "uid %u", (unsigned)peer->uid);
    if (peer->uid == 0 || peer->uid == auth->uid) {
        peer->role = MKV_ADMIN_ROLE_OPERATOR;
        return;
    }
    bool member = peer->gid == auth->viewer_gid;
    for (uint32_t index = 0; index < group_count; index++) {
        member = member || groups[index] == auth->viewer_gid;
    }
    if (auth->has_viewer_gid && member) {
        peer->role = MKV_ADMIN_ROLE_VIEWER;
    }
}

void mkv_admin_auth_judge(const struct mkv_admin_auth *auth, const char *authorization,
                          const uint32_t *groups, uint32_t group_count,
                          struct mkv_admin_peer *peer) {
    peer->role = MKV_ADMIN_ROLE_NONE;
    snprintf(peer->name, sizeof peer->name, "nobody");
    if (peer->over_socket) {
        judge_socket(auth, groups, group_count, peer);
    }
    judge_token(auth, authorization, peer);
    if (auth->open) {
        peer->role = MKV_ADMIN_ROLE_OPERATOR;
    }
}
