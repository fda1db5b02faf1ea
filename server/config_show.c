/* SPDX-License-Identifier: Apache-2.0 */
#include "server/config_show.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "server/size.h"

/* Where the comment with an origin begins. */
#define ORIGIN_COLUMN 40

static const void *field_of(const struct mkv_config_key *key, const void *base) {
    return (const char *)base + key->field_offset;
}

/* "0.25": without zeros at its end, and never with an exponent. */
static void show_ratio(uint64_t ratio, char out[MKV_CONFIG_VALUE_BYTES]) {
    snprintf(out, MKV_CONFIG_VALUE_BYTES, "%.9f", (double)ratio / (double)MKV_CONFIG_RATIO_ONE);
    size_t bytes = strlen(out);
    while (out[bytes - 1] == '0') {
        out[--bytes] = '\0';
    }
    if (out[bytes - 1] == '.') {
        out[bytes - 1] = '\0';
    }
}

void mkv_config_key_show(const struct mkv_config_key *key, const void *base,
                         char out[MKV_CONFIG_VALUE_BYTES]) {
    char address[MKV_CONFIG_ADDRESS_TEXT_BYTES];
    char size[MKV_SIZE_TEXT_BYTES];
    uint64_t number = 0;
    uint32_t word = 0;
    out[0] = '\0';
    switch (key->type) {
    case MKV_CONFIG_TYPE_ADDRESS:
        if (((const struct mkv_config_address *)field_of(key, base))->host[0] != '\0') {
            mkv_config_address_format(field_of(key, base), address);
            snprintf(out, MKV_CONFIG_VALUE_BYTES, "%s", address);
        }
        break;
    case MKV_CONFIG_TYPE_SIZE:
        memcpy(&number, field_of(key, base), sizeof number);
        mkv_size_format(number, size);
        snprintf(out, MKV_CONFIG_VALUE_BYTES, "%s", size);
        break;
    case MKV_CONFIG_TYPE_COUNT:
    case MKV_CONFIG_TYPE_SECONDS:
        memcpy(&number, field_of(key, base), sizeof number);
        if (number == 0 && key->zero_word != NULL) {
            snprintf(out, MKV_CONFIG_VALUE_BYTES, "%s", key->zero_word);
            break;
        }
        snprintf(out, MKV_CONFIG_VALUE_BYTES, "%" PRIu64 "%s", number,
                 key->type == MKV_CONFIG_TYPE_SECONDS ? "s" : "");
        break;
    case MKV_CONFIG_TYPE_RATIO:
        memcpy(&number, field_of(key, base), sizeof number);
        show_ratio(number, out);
        break;
    case MKV_CONFIG_TYPE_WORD:
        memcpy(&word, field_of(key, base), sizeof word);
        snprintf(out, MKV_CONFIG_VALUE_BYTES, "%s", key->words[word]);
        break;
    case MKV_CONFIG_TYPE_NAME:
    case MKV_CONFIG_TYPE_PATH:
    case MKV_CONFIG_TYPE_QUOTAS:
    case MKV_CONFIG_TYPE_TEXT:
        snprintf(out, MKV_CONFIG_VALUE_BYTES, "%.*s", (int)key->field_bytes,
                 (const char *)field_of(key, base));
        break;
    case MKV_CONFIG_TYPE_SECRET:
        snprintf(out, MKV_CONFIG_VALUE_BYTES, "%s",
                 mkv_config_secret_is_inline(field_of(key, base))
                     ? "redacted"
                     : (const char *)field_of(key, base));
        break;
    case MKV_CONFIG_TYPE_DRIVES:
    case MKV_CONFIG_TYPE_TOKENS:
    case MKV_CONFIG_TYPE_LIST:
        break;
    }
}

static bool is_list(const struct mkv_config_key *key) {
    return key->type == MKV_CONFIG_TYPE_DRIVES || key->type == MKV_CONFIG_TYPE_TOKENS ||
           key->type == MKV_CONFIG_TYPE_LIST;
}

static uint32_t entry_count(const struct mkv_config_list *list, const struct mkv_config *config) {
    uint32_t count;
    memcpy(&count, (const char *)config + list->count_offset, sizeof count);
    return count;
}

static const void *entry_of(const struct mkv_config_list *list, const struct mkv_config *config,
                            uint32_t index) {
    return (const char *)config + list->entries_offset + (size_t)index * list->entry_bytes;
}

/* A number that is 0 where there is no default is none: it is derived at the start. */
static bool is_unset(const struct mkv_config_key *key, const char *value) {
    return key->default_text == NULL && (value[0] == '\0' || strcmp(value, "0") == 0);
}

/* ---- JSON ------------------------------------------------------------------------------------ */

/* Texts of users may be no UTF-8. */
static json_t *text_json(const char *text) {
    char clean[MKV_CONFIG_VALUE_BYTES];
    mkv_text_clean(text, clean, sizeof clean);
    return json_string(clean);
}

static json_t *keys_json(const struct mkv_config *config) {
    json_t *keys = json_array();
    for (unsigned i = 0; i < MKV_CONFIG_KEY_COUNT; i++) {
        const struct mkv_config_key *key = &mkv_config_keys[i];
        char value[MKV_CONFIG_VALUE_BYTES];
        char origin[MKV_CONFIG_ORIGIN_TEXT_BYTES];
        if (is_list(key)) {
            continue;
        }
        mkv_config_key_show(key, config, value);
        mkv_config_origin_format(config, (enum mkv_config_key_id)i, origin);
        json_array_append_new(keys, json_pack("{s:s, s:o, s:o}", "key", key->path, "value",
                                              is_unset(key, value) ? json_null() : text_json(value),
                                              "origin", text_json(origin)));
    }
    return keys;
}

/* {"auth.keys": [{"id": …}], …}: an entry's keys that are set. */
static json_t *lists_json(const struct mkv_config *config) {
    json_t *lists = json_object();
    for (unsigned i = 0; i < MKV_CONFIG_KEY_COUNT; i++) {
        const struct mkv_config_list *list = mkv_config_keys[i].list;
        if (list == NULL) {
            continue;
        }
        json_t *entries = json_array();
        for (uint32_t at = 0; at < entry_count(list, config); at++) {
            json_t *entry = json_object();
            for (uint32_t k = 0; k < list->key_count; k++) {
                char value[MKV_CONFIG_VALUE_BYTES];
                mkv_config_key_show(&list->keys[k], entry_of(list, config, at), value);
                if (value[0] != '\0') {
                    json_object_set_new(entry, list->keys[k].path, text_json(value));
                }
            }
            json_array_append_new(entries, entry);
        }
        json_object_set_new(lists, mkv_config_keys[i].path, entries);
    }
    return lists;
}

json_t *mkv_config_json(const struct mkv_config *config) {
    json_t *drives = json_array();
    json_t *tokens = json_array();
    for (uint32_t i = 0; i < config->storage.drive_count; i++) {
        const struct mkv_config_drive *drive = &config->storage.drives[i];
        json_array_append_new(drives,
                              json_pack("{s:s, s:o, s:I, s:f}", "name", drive->name, "media",
                                        text_json(drive->media), "size_bytes",
                                        (json_int_t)drive->size_bytes, "rated_dwpd",
                                        (double)drive->rated_dwpd / (double)MKV_CONFIG_RATIO_ONE));
    }
    for (uint32_t i = 0; i < config->admin.token_count; i++) {
        const struct mkv_config_token *token = &config->admin.tokens[i];
        char role[MKV_CONFIG_VALUE_BYTES];
        mkv_config_key_show(&mkv_config_token_keys[MKV_CONFIG_TOKEN_ROLE], token, role);
        json_array_append_new(
            tokens, json_pack("{s:s, s:o}", "role", role, "file", text_json(token->file)));
    }
    return json_pack("{s:o, s:o, s:o, s:o, s:o}", "file",
                     config->file[0] == '\0' ? json_null() : text_json(config->file), "keys",
                     keys_json(config), "drives", drives, "tokens", tokens, "lists",
                     lists_json(config));
}

/* ---- YAML ------------------------------------------------------------------------------------ */

void mkv_config_yaml_value(const char *value, struct mkv_text *out) {
    const size_t plain =
        strspn(value, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/._-:");
    const bool is_plain = value[plain] == '\0' && value[0] != '-' && value[0] != ':' &&
                          strstr(value, ": ") == NULL && value[0] != '\0';
    if (is_plain) {
        mkv_text_string(out, value);
        return;
    }
    mkv_text_string(out, "\"");
    for (const char *at = value; *at != '\0'; at++) {
        if (*at == '"' || *at == '\\') {
            mkv_text_string(out, "\\");
        }
        mkv_text_append(out, at, 1);
    }
    mkv_text_string(out, "\"");
}

static void append_origin(const struct mkv_config *config, unsigned id, bool origins,
                          size_t line_start, struct mkv_text *out) {
    char origin[MKV_CONFIG_ORIGIN_TEXT_BYTES];
    if (origins) {
        const size_t used = out->count - line_start;
        mkv_config_origin_format(config, (enum mkv_config_key_id)id, origin);
        mkv_text_format(out, "%*s# %s", used < ORIGIN_COLUMN ? (int)(ORIGIN_COLUMN - used) : 1, "",
                        origin);
    }
    mkv_text_string(out, "\n");
}

static void append_drives(const struct mkv_config *config, struct mkv_text *out) {
    for (uint32_t i = 0; i < config->storage.drive_count; i++) {
        const struct mkv_config_drive *drive = &config->storage.drives[i];
        char size[MKV_SIZE_TEXT_BYTES];
        mkv_text_string(out, "    - media: ");
        mkv_config_yaml_value(drive->media, out);
        mkv_text_format(out, "\n      name: %s\n", drive->name);
        if (drive->size_bytes > 0) {
            mkv_size_format(drive->size_bytes, size);
            mkv_text_format(out, "      size: %s\n", size);
        }
        if (drive->rated_dwpd > 0) {
            char dwpd[MKV_CONFIG_VALUE_BYTES];
            mkv_config_key_show(&mkv_config_drive_keys[MKV_CONFIG_DRIVE_RATED_DWPD], drive, dwpd);
            mkv_text_format(out, "      rated_dwpd: %s\n", dwpd);
        }
    }
}

static void append_tokens(const struct mkv_config *config, struct mkv_text *out) {
    for (uint32_t i = 0; i < config->admin.token_count; i++) {
        char role[MKV_CONFIG_VALUE_BYTES];
        mkv_config_key_show(&mkv_config_token_keys[MKV_CONFIG_TOKEN_ROLE], &config->admin.tokens[i],
                            role);
        mkv_text_format(out, "    - role: %s\n      file: ", role);
        mkv_config_yaml_value(config->admin.tokens[i].file, out);
        mkv_text_string(out, "\n");
    }
}

static void append_list(const struct mkv_config_list *list, const struct mkv_config *config,
                        struct mkv_text *out) {
    for (uint32_t at = 0; at < entry_count(list, config); at++) {
        const char *begin = "    - ";
        for (uint32_t k = 0; k < list->key_count; k++) {
            char value[MKV_CONFIG_VALUE_BYTES];
            mkv_config_key_show(&list->keys[k], entry_of(list, config, at), value);
            if (value[0] != '\0') {
                mkv_text_format(out, "%s%s: ", begin, list->keys[k].path);
                mkv_config_yaml_value(value, out);
                mkv_text_string(out, "\n");
                begin = "      ";
            }
        }
    }
}

static void append_key(const struct mkv_config *config, unsigned id, bool origins,
                       struct mkv_text *out) {
    const struct mkv_config_key *key = &mkv_config_keys[id];
    const size_t line_start = out->count;
    char value[MKV_CONFIG_VALUE_BYTES];
    mkv_config_key_show(key, config, value);
    const bool has_drives = key->type == MKV_CONFIG_TYPE_DRIVES && config->storage.drive_count > 0;
    const bool has_tokens = key->type == MKV_CONFIG_TYPE_TOKENS && config->admin.token_count > 0;
    const bool has_entries = key->list != NULL && entry_count(key->list, config) > 0;
    if (!has_drives && !has_tokens && !has_entries && (is_list(key) || is_unset(key, value))) {
        return;
    }
    /* What is not shown could not be taken back either. */
    const bool is_hidden =
        key->type == MKV_CONFIG_TYPE_SECRET && mkv_config_secret_is_inline(field_of(key, config));
    mkv_text_format(out, is_hidden ? "  # %s:%s" : "  %s:%s", strchr(key->path, '.') + 1,
                    is_list(key) ? "" : " ");
    if (!is_list(key)) {
        mkv_config_yaml_value(value, out);
    }
    append_origin(config, id, origins, line_start, out);
    if (has_drives) {
        append_drives(config, out);
    } else if (has_tokens) {
        append_tokens(config, out);
    } else if (has_entries) {
        append_list(key->list, config, out);
    }
}

void mkv_config_yaml(const struct mkv_config *config, bool origins, struct mkv_text *out) {
    for (unsigned section = 0; section < MKV_CONFIG_SECTION_COUNT; section++) {
        const char *name = mkv_config_sections[section];
        const size_t bytes = strlen(name);
        struct mkv_text keys = {0};
        for (unsigned id = 0; id < MKV_CONFIG_KEY_COUNT; id++) {
            if (strncmp(mkv_config_keys[id].path, name, bytes) == 0 &&
                mkv_config_keys[id].path[bytes] == '.') {
                append_key(config, id, origins, &keys);
            }
        }
        if (keys.count > 0) {
            mkv_text_format(out, "%s:\n", name);
            mkv_text_append(out, keys.bytes, keys.count);
        }
        out->failed = out->failed || keys.failed;
        mkv_text_free(&keys);
    }
}
