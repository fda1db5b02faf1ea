/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/fabric_auth.h"

#include <netinet/in.h>
#include <string.h>

const struct mkv_fabric_grant mkv_fabric_grant_all = {.rights = MKV_FABRIC_RIGHTS_ALL};

enum mkv_fabric_admission mkv_fabric_auth_open(const struct mkv_fabric_auth *auth, int fd,
                                               enum mkv_fabric_listener listener,
                                               struct mkv_fabric_session *session) {
    *session = (struct mkv_fabric_session){.listener = listener, .user = "default"};
    if (auth != NULL) {
        return auth->open(auth->context, fd, listener, session);
    }
    session->grant = &mkv_fabric_grant_all;
    return MKV_FABRIC_ADMITTED;
}

void mkv_fabric_auth_close(const struct mkv_fabric_auth *auth, struct mkv_fabric_session *session) {
    if (auth != NULL) {
        auth->close(auth->context, session);
    }
    *session = (struct mkv_fabric_session){0};
}

enum mkv_fabric_auth_result mkv_fabric_auth_password(const struct mkv_fabric_auth *auth,
                                                     struct mkv_fabric_session *session,
                                                     const char *user, size_t user_bytes,
                                                     const char *password, size_t password_bytes) {
    return auth == NULL
               ? MKV_FABRIC_AUTH_NOT_ASKED
               : auth->password(auth->context, session, user, user_bytes, password, password_bytes);
}

void mkv_fabric_auth_forget(const struct mkv_fabric_auth *auth,
                            struct mkv_fabric_session *session) {
    if (auth != NULL) {
        auth->forget(auth->context, session);
    }
}

bool mkv_fabric_auth_request_begin(const struct mkv_fabric_auth *auth,
                                   struct mkv_fabric_session *session, uint64_t bytes) {
    return auth == NULL || auth->request_begin(auth->context, session, bytes);
}

void mkv_fabric_auth_request_end(const struct mkv_fabric_auth *auth,
                                 struct mkv_fabric_session *session, uint64_t bytes) {
    if (auth != NULL) {
        auth->request_end(auth->context, session, bytes);
    }
}

uint32_t mkv_fabric_right_of(enum mkv_op op) {
    if (op == MKV_OP_DELETE) {
        return MKV_FABRIC_RIGHT_DELETE;
    }
    const bool reads = op == MKV_OP_GET || op == MKV_OP_EXISTS || op == MKV_OP_LOOKUP ||
                       op == MKV_OP_PIN || op == MKV_OP_UNPIN;
    return reads ? MKV_FABRIC_RIGHT_GET : MKV_FABRIC_RIGHT_PUT;
}

bool mkv_fabric_auth_may(const struct mkv_fabric_session *session, uint32_t right) {
    return session->grant != NULL && (session->grant->rights & right) == right;
}

bool mkv_fabric_auth_tenant_allowed(const struct mkv_fabric_session *session, const char *name) {
    const struct mkv_fabric_grant *grant = session->grant;
    if (grant == NULL) {
        return false;
    }
    bool allowed = grant->tenant_count == 0;
    for (uint32_t i = 0; i < grant->tenant_count && !allowed; i++) {
        allowed = strcmp(grant->tenants[i], name) == 0;
    }
    return allowed;
}

const char *mkv_fabric_auth_tenant(const struct mkv_fabric_auth *auth,
                                   const struct mkv_fabric_session *session, const uint8_t *key,
                                   uint32_t key_bytes) {
    MKV_ASSERT(session->grant != NULL);
    if (session->grant->tenant_count > 0) {
        return session->grant->tenants[0];
    }
    const char *name = NULL;
    if (auth != NULL && key != NULL) {
        name = auth->rule(auth->context, session, key, key_bytes);
    }
    return name != NULL ? name : MKV_TENANT_DEFAULT_NAME;
}

bool mkv_fabric_peer_is_local(const struct sockaddr *address) {
    if (address->sa_family == AF_UNIX) {
        return true;
    }
    if (address->sa_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)address;
        return (ntohl(v4->sin_addr.s_addr) >> 24) == 127;
    }
    if (address->sa_family != AF_INET6) {
        return false;
    }
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)address;
    const bool is_mapped_loopback =
        IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr) && v6->sin6_addr.s6_addr[12] == 127;
    return IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr) || is_mapped_loopback;
}
