/* SPDX-License-Identifier: Apache-2.0 */
#include "server/config.h"

#include "server/config_schema.h"
#include "server/config_text.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Variables of the daemon begin like this. Those of the client do too, but have no section. */
#define VARIABLE_PREFIX "MEMKV_"

/* What a node is called whose host has no name, or one that is not allowed. */
#define NODE_ID_FALLBACK "memkv"

static void default_node_id(struct mkv_config *config) {
    const struct mkv_config_key *key = &mkv_config_keys[MKV_CONFIG_NODE_ID];
    const struct mkv_config_source source = {
        .where = "default", .label = key->path, .directory = ""};
    struct mkv_config_error ignored;
    union mkv_config_value value;
    /* POSIX does not say that a name cut short is closed by a NUL. */
    char host[MKV_CONFIG_NODE_ID_BYTES + 1] = {0};
    if (gethostname(host, sizeof host - 1) != 0 ||
        !mkv_config_key_parse(key, host, &source, &value, &ignored)) {
        bool parsed = mkv_config_key_parse(key, NODE_ID_FALLBACK, &source, &value, &ignored);
        MKV_ASSERT(parsed);
    }
    mkv_config_key_store(key, &value, config);
}

void mkv_config_defaults(struct mkv_config *config, bool dev) {
    memset(config, 0, sizeof *config);
    for (unsigned i = 0; i < MKV_CONFIG_KEY_COUNT; i++) {
        const struct mkv_config_key *key = &mkv_config_keys[i];
        bool of_dev = dev && key->default_dev_text != NULL;
        const char *text = of_dev ? key->default_dev_text : key->default_text;
        if (text == NULL) {
            continue;
        }
        const struct mkv_config_source source = {
            .where = "default", .label = key->path, .directory = ""};
        struct mkv_config_error error;
        union mkv_config_value value;
        bool parsed = mkv_config_key_parse(key, text, &source, &value, &error);
        MKV_ASSERT(parsed);
        mkv_config_key_store(key, &value, config);
        config->origins[i].layer = of_dev ? MKV_CONFIG_LAYER_DEV : MKV_CONFIG_LAYER_DEFAULT;
    }
    default_node_id(config);
}

bool mkv_config_dev(struct mkv_config *config, const char *directory,
                    struct mkv_config_error *error) {
    const char *chosen = directory != NULL ? directory : MKV_CONFIG_DEV_DIRECTORY;
    const struct mkv_config_source source = {
        .where = "--dev",
        .label = "the directory",
        .directory = chosen,
        .exit_code = MKV_EXIT_DAEMON_USAGE,
    };
    const struct mkv_config_key *media = &mkv_config_drive_keys[MKV_CONFIG_DRIVE_MEDIA];
    union mkv_config_value value;
    union mkv_config_value audit;
    /* The directory by itself first: its characters are checked, and it must not be empty. */
    const struct mkv_config_source alone = {
        .where = "--dev",
        .label = "the directory",
        .directory = "",
        .exit_code = MKV_EXIT_DAEMON_USAGE,
    };
    const struct mkv_config_key *socket = &mkv_config_keys[MKV_CONFIG_ADMIN_SOCKET];
    union mkv_config_value socket_value;
    if (!mkv_config_key_parse(media, chosen, &alone, &value, error) ||
        !mkv_config_key_parse(media, MKV_CONFIG_DEV_STORE, &source, &value, error) ||
        !mkv_config_key_parse(socket, MKV_CONFIG_DEV_SOCKET, &source, &socket_value, error) ||
        !mkv_config_key_parse(&mkv_config_keys[MKV_CONFIG_AUDIT_FILE], MKV_CONFIG_DEV_AUDIT,
                              &source, &audit, error)) {
        return false;
    }
    mkv_config_defaults(config, true);
    mkv_config_key_store(socket, &socket_value, config);
    config->origins[MKV_CONFIG_ADMIN_SOCKET].layer = MKV_CONFIG_LAYER_DEV;
    mkv_config_key_store(&mkv_config_keys[MKV_CONFIG_AUDIT_FILE], &audit, config);
    config->origins[MKV_CONFIG_AUDIT_FILE].layer = MKV_CONFIG_LAYER_DEV;
    struct mkv_config_drive *drive = &config->storage.drives[0];
    mkv_config_key_store(media, &value, drive);
    memcpy(drive->name, "d00", sizeof "d00");
    drive->size_bytes = MKV_CONFIG_DEV_STORE_BYTES;
    config->storage.drive_count = 1;
    config->origins[MKV_CONFIG_STORAGE_DRIVES].layer = MKV_CONFIG_LAYER_DEV;
    return true;
}

/* Parses and stores one value, unless a higher layer has set the key. */
static bool apply(struct mkv_config *config, enum mkv_config_key_id id, const char *text,
                  const struct mkv_config_origin *origin, const struct mkv_config_source *source,
                  struct mkv_config_error *error) {
    union mkv_config_value value;
    if (!mkv_config_key_parse(&mkv_config_keys[id], text, source, &value, error)) {
        return false;
    }
    if (config->origins[id].layer <= origin->layer) {
        mkv_config_key_store(&mkv_config_keys[id], &value, config);
        config->origins[id] = *origin;
    }
    return true;
}

/* The value of NAME=VALUE if `entry` sets `name`, else NULL. */
static const char *value_of(const char *entry, const char *name) {
    size_t name_bytes = strlen(name);
    if (strncmp(entry, name, name_bytes) != 0 || entry[name_bytes] != '=') {
        return NULL;
    }
    return entry + name_bytes + 1;
}

/* The value that an entry gives a key, by either name of its variable, or NULL. */
static const char *value_by_variable(const struct mkv_config_key *key, const char *entry,
                                     char variable[MKV_CONFIG_VARIABLE_BYTES],
                                     struct mkv_config_origin *origin) {
    mkv_config_key_variable(key, variable);
    const char *value = value_of(entry, variable);
    if (value != NULL || key->short_variable == NULL) {
        return value;
    }
    snprintf(variable, MKV_CONFIG_VARIABLE_BYTES, "%s", key->short_variable);
    snprintf(origin->flag, sizeof origin->flag, "%s", key->short_variable);
    return value_of(entry, variable);
}

/* Both names of a key's variable are set: which comes last is chance. */
static bool refuse_both(const struct mkv_config_key *key, struct mkv_config_error *error) {
    char variable[MKV_CONFIG_VARIABLE_BYTES];
    mkv_config_key_variable(key, variable);
    return mkv_config_fail(error, MKV_EXIT_DAEMON_CONFIGURATION, key->short_variable,
                           "%s sets %s too; keep one of them", variable, key->path);
}

/* Variables of the client that look like slips of the daemon's. */
static bool is_of_client(const char *name) {
    static const char *const names[] = {"MEMKV_AUTH_KEY", "MEMKV_AUTH_KEY_ID",
                                        "MEMKV_RDMA_DEVICES"};
    bool found = false;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        found = found || strcmp(name, names[i]) == 0;
    }
    return found;
}

/* Refuses a variable that is not known but nearly so. Others may belong to the client, or to a
 * platform that makes variables from the names of its services. */
static bool refuse_slip(const char *entry, struct mkv_config_error *error) {
    char name[MKV_CONFIG_VARIABLE_BYTES];
    size_t name_bytes = strcspn(entry, "=");
    if (strncmp(entry, VARIABLE_PREFIX, strlen(VARIABLE_PREFIX)) != 0 ||
        name_bytes >= sizeof name || entry[name_bytes] == '\0' || entry[name_bytes + 1] == '\0') {
        return true;
    }
    memcpy(name, entry, name_bytes);
    name[name_bytes] = '\0';
    if (is_of_client(name)) {
        return true;
    }
    char variable[MKV_CONFIG_VARIABLE_BYTES];
    for (unsigned i = 0; i < MKV_CONFIG_KEY_COUNT; i++) {
        mkv_config_key_variable(&mkv_config_keys[i], variable);
        const char *other = mkv_config_keys[i].short_variable;
        if (strcmp(name, variable) == 0 || (other != NULL && strcmp(name, other) == 0)) {
            return true;
        }
    }
    for (unsigned i = 0; i < MKV_CONFIG_KEY_COUNT; i++) {
        mkv_config_key_variable(&mkv_config_keys[i], variable);
        if (mkv_config_is_slip(name, variable)) {
            return mkv_config_fail(error, MKV_EXIT_DAEMON_CONFIGURATION, name,
                                   "unknown variable, did you mean '%s'?", variable);
        }
    }
    return true;
}

bool mkv_config_load_environment(struct mkv_config *config, char *const *environment,
                                 struct mkv_config_error *error) {
    struct mkv_config next = *config;
    for (char *const *entry = environment; *entry != NULL; entry++) {
        if (!refuse_slip(*entry, error)) {
            return false;
        }
        for (unsigned i = 0; i < MKV_CONFIG_KEY_COUNT; i++) {
            char variable[MKV_CONFIG_VARIABLE_BYTES];
            struct mkv_config_origin origin = {.layer = MKV_CONFIG_LAYER_ENVIRONMENT};
            const char *value = value_by_variable(&mkv_config_keys[i], *entry, variable, &origin);
            if (value == NULL || value[0] == '\0') {
                continue;
            }
            if (next.origins[i].layer == MKV_CONFIG_LAYER_ENVIRONMENT &&
                strcmp(next.origins[i].flag, origin.flag) != 0) {
                return refuse_both(&mkv_config_keys[i], error);
            }
            const struct mkv_config_source source = {
                .where = variable,
                .label = mkv_config_keys[i].path,
                .directory = "",
                .exit_code = MKV_EXIT_DAEMON_CONFIGURATION,
            };
            if (!apply(&next, (enum mkv_config_key_id)i, value, &origin, &source, error)) {
                return false;
            }
        }
    }
    *config = next;
    return true;
}

bool mkv_config_set(struct mkv_config *config, const char *key, const char *value, const char *flag,
                    struct mkv_config_error *error) {
    MKV_ASSERT(flag[0] != '\0');
    MKV_ASSERT(strlen(flag) < MKV_CONFIG_FLAG_BYTES);
    struct mkv_config_origin origin = {.layer = MKV_CONFIG_LAYER_FLAG};
    memcpy(origin.flag, flag, strlen(flag));
    for (unsigned i = 0; i < MKV_CONFIG_KEY_COUNT; i++) {
        if (strcmp(key, mkv_config_keys[i].path) == 0) {
            const struct mkv_config_source source = {
                .where = flag,
                .label = mkv_config_keys[i].path,
                .directory = "",
                .exit_code = MKV_EXIT_DAEMON_USAGE,
            };
            return apply(config, (enum mkv_config_key_id)i, value, &origin, &source, error);
        }
    }
    char quoted[MKV_CONFIG_QUOTE_BYTES];
    mkv_config_quote(key, quoted);
    return mkv_config_fail(error, MKV_EXIT_DAEMON_USAGE, flag,
                           "unknown key '%s'; docs/configuration.md lists the keys", quoted);
}

void mkv_config_forget(struct mkv_config *config) {
    if (mkv_config_secret_is_inline(config->network.auth_key)) {
        const size_t digits = strlen(config->network.auth_key);
        explicit_bzero(config->network.auth_key, sizeof config->network.auth_key);
        memset(config->network.auth_key, '0', digits);
    }
}

void mkv_config_origin_format(const struct mkv_config *config, enum mkv_config_key_id key,
                              char out[MKV_CONFIG_ORIGIN_TEXT_BYTES]) {
    _Static_assert(MKV_CONFIG_WHERE_BYTES <= MKV_CONFIG_ORIGIN_TEXT_BYTES, "a place fits");
    _Static_assert(MKV_CONFIG_VARIABLE_BYTES <= MKV_CONFIG_ORIGIN_TEXT_BYTES, "a variable fits");
    const struct mkv_config_origin *origin = &config->origins[key];
    switch (origin->layer) {
    case MKV_CONFIG_LAYER_DEFAULT:
        snprintf(out, MKV_CONFIG_ORIGIN_TEXT_BYTES, "default");
        break;
    case MKV_CONFIG_LAYER_DEV:
        snprintf(out, MKV_CONFIG_ORIGIN_TEXT_BYTES, "--dev");
        break;
    case MKV_CONFIG_LAYER_FILE:
        mkv_config_where(config->file, origin->line, out);
        break;
    case MKV_CONFIG_LAYER_ENVIRONMENT:
        if (origin->flag[0] != '\0') {
            snprintf(out, MKV_CONFIG_ORIGIN_TEXT_BYTES, "%s", origin->flag);
        } else {
            mkv_config_key_variable(&mkv_config_keys[key], out);
        }
        break;
    case MKV_CONFIG_LAYER_FLAG:
        snprintf(out, MKV_CONFIG_ORIGIN_TEXT_BYTES, "%s", origin->flag);
        break;
    }
}
