/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keys of clients and the users of RESP, read from the configuration into a table that does not
 * change. A reload makes another one; sessions keep the table that they were let in by.
 *
 *   table   | open | default | key | key | …        a grant each, and the secret
 *   users   | name, password -> key | …
 *   rules   | key prefix -> tenant | …
 *
 *   "open" is the grant of those whom nobody asks. "default" is network.auth_key, and over RESP the
 * user of that name, unless auth.users has one.
 *
 * Invariants
 *  I1  A table is not written to after it was made, but for the count of those who hold it.
 *  I2  Secrets are wiped when nobody holds the table any more, and are in no core dump.
 *  I3  A password is compared with those of all users, each over its whole room, so that the time
 *      tells nothing about how far a guess was right.
 *
 * Not responsible for: sessions and delays (auth.h), files of secrets (auth_secret.h).
 */
#ifndef MKV_SERVER_AUTH_KEYS_H
#define MKV_SERVER_AUTH_KEYS_H

#include "backends/fabric_auth.h"
#include "server/auth_secret.h"
#include "server/config.h"

/* Keys of auth.keys, and network.auth_key. */
#define MKV_AUTH_KEYS_MAX (MKV_CONFIG_KEYS_MAX + 1u)

struct mkv_auth_keys;

struct mkv_auth_key {
    struct mkv_fabric_grant grant; /* the first member: a grant is part of its key */
    struct mkv_auth_keys *table;
    uint64_t over_ms; /* Unix time from which on it lets nobody in; UINT64_MAX: never */
    uint8_t secret[MKV_NATIVE_KEY_BYTES];
};

/* Reads all secrets. The caller holds the table. */
__attribute__((warn_unused_result)) bool mkv_auth_keys_read(const struct mkv_config *config,
                                                            struct mkv_auth_keys **table,
                                                            struct mkv_backend_error *error);
/* From any thread. */
void mkv_auth_keys_hold(struct mkv_auth_keys *table);
/* NULL is allowed. */
void mkv_auth_keys_release(struct mkv_auth_keys *table);

/* Whether network.auth is none. */
bool mkv_auth_keys_is_open(const struct mkv_auth_keys *table);
/* The keys that clients may have, without the open grant, and users. */
uint32_t mkv_auth_keys_count(const struct mkv_auth_keys *table);
uint32_t mkv_auth_keys_user_count(const struct mkv_auth_keys *table);
const struct mkv_auth_key *mkv_auth_keys_at(const struct mkv_auth_keys *table, uint32_t index);

/* The grant of those whom nobody asks. */
const struct mkv_fabric_grant *mkv_auth_keys_open_grant(const struct mkv_auth_keys *table);
/* NULL: there is no such key. */
const struct mkv_auth_key *mkv_auth_keys_find(const struct mkv_auth_keys *table, const char *id);
/* The key of a user with that password; NULL: there is none. */
const struct mkv_auth_key *mkv_auth_keys_user(const struct mkv_auth_keys *table, const char *name,
                                              size_t name_bytes, const char *password,
                                              size_t password_bytes);
/* The tenant of the first rule whose prefix the key has, or NULL. */
const char *mkv_auth_keys_rule(const struct mkv_auth_keys *table, const uint8_t *key,
                               uint32_t key_bytes);
/* The table that a grant belongs to. */
struct mkv_auth_keys *mkv_auth_keys_of(const struct mkv_fabric_grant *grant);

#endif
