/* SPDX-License-Identifier: Apache-2.0 */
#include "server/auth_keys.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "server/config_auth.h"

#define DEFAULT_ID "default"
#define PASSWORD_BYTES_MIN 8u
#define PASSWORD_ROOM (MKV_AUTH_SECRET_BYTES_MAX + 1u)
#define LABEL_BYTES 64u

_Static_assert(MKV_AUTH_SECRET_BYTES_MAX == MKV_FABRIC_PASSWORD_BYTES_MAX, "passwords fit");
_Static_assert(MKV_CONFIG_KEY_ID_BYTES == MKV_FABRIC_KEY_ID_BYTES_MAX + 1, "ids fit");
_Static_assert(MKV_CONFIG_USER_BYTES == MKV_FABRIC_USER_BYTES_MAX + 1, "names of users fit");

struct user {
    char name[MKV_CONFIG_USER_BYTES];
    char password[PASSWORD_ROOM]; /* filled up with zeros */
    uint32_t key;
};

struct mkv_auth_keys {
    atomic_uint holders;
    bool is_open;
    uint32_t key_count;
    uint32_t user_count;
    uint32_t rule_count;
    struct mkv_auth_key open;
    struct mkv_auth_key keys[MKV_AUTH_KEYS_MAX];
    struct user users[MKV_CONFIG_USERS_MAX + 1];
    struct mkv_config_rule rules[MKV_CONFIG_RULES_MAX];
};

/* ---- making ---------------------------------------------------------------------------------- */

static bool read_key(struct mkv_auth_keys *table, const char *label, const char *id,
                     const char *source, struct mkv_backend_error *error) {
    char text[PASSWORD_ROOM];
    if (!mkv_auth_secret_read(label, source, text, error)) {
        return false;
    }
    MKV_ASSERT(table->key_count < MKV_AUTH_KEYS_MAX);
    struct mkv_auth_key *key = &table->keys[table->key_count];
    const bool is_key = mkv_auth_secret_key(text, key->secret);
    explicit_bzero(text, sizeof text);
    if (!is_key) {
        return mkv_backend_refuse(error, MKV_BACKEND_CONFIGURATION,
                                  "%s: the file holds no key. Write one line of 64 hexadecimal "
                                  "digits: memkv auth keygen --output FILE",
                                  label);
    }
    key->table = table;
    key->over_ms = UINT64_MAX;
    key->grant.rights = MKV_FABRIC_RIGHTS_ALL;
    snprintf(key->grant.key_id, sizeof key->grant.key_id, "%s", id);
    table->key_count++;
    return true;
}

/* The texts were checked when they were read; a check that fails now is a programmer's error. */
static void fill_grant(const struct mkv_config_auth_key *configured, struct mkv_auth_key *key) {
    char problem[MKV_CONFIG_PROBLEM_BYTES];
    const bool tenants = mkv_config_auth_tenants(configured->tenants, &key->grant, problem);
    const bool rights = mkv_config_auth_rights(configured->rights, &key->grant.rights, problem);
    const bool time = mkv_config_auth_time(configured->not_after, &key->over_ms, problem);
    MKV_ASSERT(tenants);
    MKV_ASSERT(rights);
    MKV_ASSERT(time);
}

static bool read_keys(const struct mkv_config *config, struct mkv_auth_keys *table,
                      struct mkv_backend_error *error) {
    if (config->network.auth_key[0] != '\0' &&
        !read_key(table, "network.auth_key", DEFAULT_ID, config->network.auth_key, error)) {
        return false;
    }
    for (uint32_t i = 0; i < config->auth.key_count; i++) {
        const struct mkv_config_auth_key *configured = &config->auth.keys[i];
        char label[LABEL_BYTES];
        snprintf(label, sizeof label, "auth.keys[%u]", (unsigned)i);
        if (!read_key(table, label, configured->id, configured->file, error)) {
            return false;
        }
        fill_grant(configured, &table->keys[table->key_count - 1]);
    }
    return true;
}

static uint32_t index_of(const struct mkv_auth_keys *table, const char *id) {
    uint32_t index = 0;
    while (strcmp(table->keys[index].grant.key_id, id) != 0) {
        index++;
        MKV_ASSERT(index < table->key_count); /* the configuration was checked */
    }
    return index;
}

static struct user *add_user(struct mkv_auth_keys *table, const char *name, uint32_t key) {
    MKV_ASSERT(table->user_count < MKV_CONFIG_USERS_MAX + 1);
    struct user *user = &table->users[table->user_count];
    snprintf(user->name, sizeof user->name, "%s", name);
    user->key = key;
    table->user_count++;
    return user;
}

static bool read_users(const struct mkv_config *config, struct mkv_auth_keys *table,
                       struct mkv_backend_error *error) {
    bool has_default = false;
    for (uint32_t i = 0; i < config->auth.user_count; i++) {
        const struct mkv_config_auth_user *configured = &config->auth.users[i];
        char label[LABEL_BYTES];
        snprintf(label, sizeof label, "auth.users[%u]", (unsigned)i);
        struct user *user = add_user(table, configured->name, index_of(table, configured->key_id));
        if (!mkv_auth_secret_read(label, configured->password_file, user->password, error)) {
            return false;
        }
        if (strlen(user->password) < PASSWORD_BYTES_MIN) {
            return mkv_backend_refuse(error, MKV_BACKEND_CONFIGURATION,
                                      "%s: the password is shorter than %u characters. Write a "
                                      "longer one into its file",
                                      label, PASSWORD_BYTES_MIN);
        }
        has_default = has_default || strcmp(configured->name, DEFAULT_ID) == 0;
    }
    if (has_default || config->network.auth_key[0] == '\0') {
        return true;
    }
    return mkv_auth_secret_read("network.auth_key", config->network.auth_key,
                                add_user(table, DEFAULT_ID, 0)->password, error);
}

bool mkv_auth_keys_read(const struct mkv_config *config, struct mkv_auth_keys **table_out,
                        struct mkv_backend_error *error) {
    void *memory = mmap(NULL, sizeof(struct mkv_auth_keys), PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        return mkv_backend_refuse(error, MKV_BACKEND_UNAVAILABLE,
                                  "no memory for keys. Free memory on this machine");
    }
    (void)madvise(memory, sizeof(struct mkv_auth_keys), MADV_DONTDUMP);
    struct mkv_auth_keys *table = memory;
    atomic_init(&table->holders, 1);
    table->is_open = config->network.auth == MKV_CONFIG_NETWORK_AUTH_NONE;
    table->open = (struct mkv_auth_key){.table = table, .over_ms = UINT64_MAX};
    table->open.grant.rights = MKV_FABRIC_RIGHTS_ALL;
    table->rule_count = config->tenants.rule_count;
    memcpy(table->rules, config->tenants.rules, sizeof table->rules);
    if (!read_keys(config, table, error) || !read_users(config, table, error)) {
        mkv_auth_keys_release(table);
        return false;
    }
    *table_out = table;
    return true;
}

void mkv_auth_keys_hold(struct mkv_auth_keys *table) {
    const unsigned before = atomic_fetch_add_explicit(&table->holders, 1, memory_order_relaxed);
    MKV_ASSERT(before > 0);
}

void mkv_auth_keys_release(struct mkv_auth_keys *table) {
    if (table == NULL || atomic_fetch_sub_explicit(&table->holders, 1, memory_order_acq_rel) != 1) {
        return;
    }
    explicit_bzero(table, sizeof *table);
    munmap(table, sizeof *table);
}

/* ---- looking --------------------------------------------------------------------------------- */

bool mkv_auth_keys_is_open(const struct mkv_auth_keys *table) {
    return table->is_open;
}

uint32_t mkv_auth_keys_count(const struct mkv_auth_keys *table) {
    return table->key_count;
}

uint32_t mkv_auth_keys_user_count(const struct mkv_auth_keys *table) {
    return table->user_count;
}

const struct mkv_auth_key *mkv_auth_keys_at(const struct mkv_auth_keys *table, uint32_t index) {
    MKV_ASSERT(index < table->key_count);
    return &table->keys[index];
}

const struct mkv_fabric_grant *mkv_auth_keys_open_grant(const struct mkv_auth_keys *table) {
    return &table->open.grant;
}

const struct mkv_auth_key *mkv_auth_keys_find(const struct mkv_auth_keys *table, const char *id) {
    for (uint32_t i = 0; i < table->key_count; i++) {
        if (strcmp(table->keys[i].grant.key_id, id) == 0) {
            return &table->keys[i];
        }
    }
    return NULL;
}

const struct mkv_auth_key *mkv_auth_keys_user(const struct mkv_auth_keys *table, const char *name,
                                              size_t name_bytes, const char *password,
                                              size_t password_bytes) {
    char room[PASSWORD_ROOM] = {0};
    const struct mkv_auth_key *found = NULL;
    if (password_bytes > MKV_AUTH_SECRET_BYTES_MAX || password_bytes == 0) {
        return NULL;
    }
    memcpy(room, password, password_bytes);
    for (uint32_t i = 0; i < table->user_count; i++) {
        const struct user *user = &table->users[i];
        const bool is_named =
            strlen(user->name) == name_bytes && memcmp(user->name, name, name_bytes) == 0;
        const bool is_right = mkv_auth_secret_equal(user->password, room, sizeof room);
        if (is_named && is_right) {
            found = &table->keys[user->key];
        }
    }
    explicit_bzero(room, sizeof room);
    return found;
}

const char *mkv_auth_keys_rule(const struct mkv_auth_keys *table, const uint8_t *key,
                               uint32_t key_bytes) {
    for (uint32_t i = 0; i < table->rule_count; i++) {
        const struct mkv_config_rule *rule = &table->rules[i];
        const size_t bytes = strlen(rule->key_prefix);
        if (bytes <= key_bytes && memcmp(rule->key_prefix, key, bytes) == 0) {
            return rule->tenant;
        }
    }
    return NULL;
}

struct mkv_auth_keys *mkv_auth_keys_of(const struct mkv_fabric_grant *grant) {
    _Static_assert(offsetof(struct mkv_auth_key, grant) == 0, "a grant is part of its key");
    return ((const struct mkv_auth_key *)(const void *)grant)->table;
}
