/* SPDX-License-Identifier: Apache-2.0 */
/* The lists of the configuration about clients and their keys: config_schema.h says what their
 * members mean. */
#include "server/config_auth.h"
#include "server/config_schema.h"

#include <stdio.h>
#include <string.h>

#define LIST_OF(member, counter)                                                                   \
    .entry_bytes = sizeof(((struct mkv_config *)0)->member[0]),                                    \
    .entries_offset = offsetof(struct mkv_config, member),                                         \
    .count_offset = offsetof(struct mkv_config, counter),                                          \
    .entries_max =                                                                                 \
        sizeof(((struct mkv_config *)0)->member) / sizeof(((struct mkv_config *)0)->member[0])
#define ENTRY_FIELD(type, member)                                                                  \
    .field_offset = offsetof(struct type, member), .field_bytes = sizeof(((struct type *)0)->member)
/* Members that every entry has to have: a name, and a file with a secret. */
#define NAME_FIELD(entry, member)                                                                  \
    .path = #member, .type = MKV_CONFIG_TYPE_NAME, ENTRY_FIELD(entry, member),                     \
    .characters = "A-Z a-z 0-9 . _ -", .default_note = "required"
#define SECRET_FIELD(entry, member)                                                                \
    .path = #member, .type = MKV_CONFIG_TYPE_SECRET, ENTRY_FIELD(entry, member),                   \
    .default_note = "required"

static bool check_tenants(const char *text, char problem[MKV_CONFIG_PROBLEM_BYTES]) {
    struct mkv_fabric_grant grant;
    return mkv_config_auth_tenants(text, &grant, problem);
}

static bool check_rights(const char *text, char problem[MKV_CONFIG_PROBLEM_BYTES]) {
    uint32_t rights;
    return mkv_config_auth_rights(text, &rights, problem);
}

static bool check_not_after(const char *text, char problem[MKV_CONFIG_PROBLEM_BYTES]) {
    uint64_t not_after_ms;
    return mkv_config_auth_time(text, &not_after_ms, problem);
}

/* A prefix of keys that people write; any other bytes would not survive YAML. */
static bool check_prefix(const char *text, char problem[MKV_CONFIG_PROBLEM_BYTES]) {
    if (text[0] == '\0') {
        snprintf(problem, MKV_CONFIG_PROBLEM_BYTES,
                 "the prefix is empty; a key that no rule has belongs to the tenant default");
        return false;
    }
    return true;
}

static const struct mkv_config_key key_keys[] = {
    {
        NAME_FIELD(mkv_config_auth_key, id),
        .meaning = "What clients, metrics and logs call the key.",
    },
    {
        SECRET_FIELD(mkv_config_auth_key, file),
        .meaning = "The file with the key, 64 hexadecimal digits that its owner alone may read, or "
                   "a systemd credential.",
    },
    {
        .path = "tenants",
        .type = MKV_CONFIG_TYPE_TEXT,
        ENTRY_FIELD(mkv_config_auth_key, tenants),
        .check = check_tenants,
        .takes_list = true,
        .allowed = "a list of 1 to 16 names of tenants",
        .default_note = "all",
        .meaning = "The tenants whose keys its clients may name. The first is that of clients that "
                   "name none.",
    },
    {
        .path = "rights",
        .type = MKV_CONFIG_TYPE_TEXT,
        ENTRY_FIELD(mkv_config_auth_key, rights),
        .check = check_rights,
        .takes_list = true,
        .allowed = "a list of get, put, delete and admin",
        .default_note = "get, put, delete",
        .meaning = "What its clients may do. `admin` is for commands of RESP that change the node.",
    },
    {
        .path = "not_after",
        .type = MKV_CONFIG_TYPE_TEXT,
        ENTRY_FIELD(mkv_config_auth_key, not_after),
        .check = check_not_after,
        .allowed = "YYYY-MM-DD or YYYY-MM-DDTHH:MM:SSZ",
        .default_note = "never",
        .meaning = "Until when it lets clients in, in UTC; a date is good to its end. Connections "
                   "that are in stay.",
    },
};

static const struct mkv_config_key user_keys[] = {
    {
        NAME_FIELD(mkv_config_auth_user, name),
        .meaning = "As in `AUTH name password`. `default` is who gives a password alone.",
    },
    {
        SECRET_FIELD(mkv_config_auth_user, password_file),
        .meaning = "The file with the password, one line of 8 to 256 characters that its owner "
                   "alone may read, or a systemd credential.",
    },
    {
        NAME_FIELD(mkv_config_auth_user, key_id),
        .meaning = "The entry of `auth.keys` whose tenants, rights and end the user has; `default` "
                   "is `network.auth_key`.",
    },
};

static const struct mkv_config_key rule_keys[] = {
    {
        .path = "key_prefix",
        .type = MKV_CONFIG_TYPE_TEXT,
        ENTRY_FIELD(mkv_config_rule, key_prefix),
        .check = check_prefix,
        .allowed = "1 to 255 bytes",
        .default_note = "required",
        .meaning = "What a key begins with.",
    },
    {
        NAME_FIELD(mkv_config_rule, tenant),
        .meaning = "The tenant that it belongs to.",
    },
};

#define COUNT_OF(array) ((uint32_t)(sizeof(array) / sizeof(array)[0]))

const struct mkv_config_list mkv_config_auth_keys_list = {
    .keys = key_keys,
    .key_count = COUNT_OF(key_keys),
    LIST_OF(auth.keys, auth.key_count),
    .noun = "keys",
    .example = "{id: batch-1, file: /etc/memkv/batch-1.key}",
};
const struct mkv_config_list mkv_config_auth_users_list = {
    .keys = user_keys,
    .key_count = COUNT_OF(user_keys),
    LIST_OF(auth.users, auth.user_count),
    .noun = "users",
    .example = "{name: lmcache, password_file: /etc/memkv/lmcache.pass, key_id: batch-1}",
};
const struct mkv_config_list mkv_config_rules_list = {
    .keys = rule_keys,
    .key_count = COUNT_OF(rule_keys),
    LIST_OF(tenants.rules, tenants.rule_count),
    .noun = "rules",
    .example = "{key_prefix: llama-70b@, tenant: llama}",
};
