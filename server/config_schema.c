/* SPDX-License-Identifier: Apache-2.0 */
#include "server/config_schema.h"

#include "server/config_quotas.h"
#include "server/config_text.h"
#include "server/size.h"

#include <stdio.h>
#include <string.h>

/* True when `c` is in a set written as "a-z 0-9 _ -": ranges and single characters. */
static bool is_in_set(const char *set, char c) {
    for (const char *item = set; *item != '\0';) {
        char low = item[0];
        char high = low;
        size_t item_bytes = 1;
        if (item[1] == '-') {
            high = item[2];
            item_bytes = 3;
        }
        if (c >= low && c <= high) {
            return true;
        }
        item += item_bytes;
        while (*item == ' ') {
            item++;
        }
    }
    return false;
}

static bool parse_size(const struct mkv_config_key *key, const char *text,
                       const struct mkv_config_source *source, uint64_t *size_out,
                       struct mkv_config_error *error) {
    char quoted[MKV_CONFIG_QUOTE_BYTES];
    mkv_config_quote(text, quoted);
    uint64_t size = 0;
    enum mkv_size_problem problem = mkv_size_parse(text, &size);
    if (problem != MKV_SIZE_OK) {
        char explanation[MKV_SIZE_EXPLANATION_BYTES];
        mkv_size_explain(problem, text, explanation);
        return mkv_config_fail(error, source->exit_code, source->where, "%s: '%s' %s",
                               source->label, quoted, explanation);
    }
    char low[MKV_SIZE_TEXT_BYTES];
    char high[MKV_SIZE_TEXT_BYTES];
    if (size < key->size_min || size > key->size_max) {
        mkv_size_format(key->size_min, low);
        mkv_size_format(key->size_max, high);
        return mkv_config_fail(error, source->exit_code, source->where,
                               "%s: '%s' is out of range; use %s to %s", source->label, quoted, low,
                               high);
    }
    if (size % key->size_step != 0) {
        /* The bounds are multiples of the step, so both neighbours lie within them. */
        char step[MKV_SIZE_TEXT_BYTES];
        mkv_size_format(key->size_step, step);
        mkv_size_format(size - size % key->size_step, low);
        mkv_size_format(size - size % key->size_step + key->size_step, high);
        return mkv_config_fail(error, source->exit_code, source->where,
                               "%s: '%s' is not a multiple of %s; use %s or %s", source->label,
                               quoted, step, low, high);
    }
    *size_out = size;
    return true;
}

static const char *number_unit(const struct mkv_config_key *key) {
    return key->type == MKV_CONFIG_TYPE_SECONDS ? "s" : "";
}

static bool parse_number(const struct mkv_config_key *key, const char *text,
                         const struct mkv_config_source *source, uint64_t *number_out,
                         struct mkv_config_error *error) {
    if (key->zero_word != NULL && strcmp(text, key->zero_word) == 0) {
        *number_out = 0;
        return true;
    }
    /* No bound has so many digits, so that nothing can wrap. */
    const size_t digits = strspn(text, "0123456789");
    const bool is_number =
        digits > 0 && digits <= 18 && strcmp(text + digits, number_unit(key)) == 0;
    uint64_t number = 0;
    for (size_t i = 0; is_number && i < digits; i++) {
        number = number * 10 + (uint64_t)(text[i] - '0');
    }
    if (!is_number || number < key->size_min || number > key->size_max) {
        char quoted[MKV_CONFIG_QUOTE_BYTES];
        char allowed[MKV_CONFIG_ALLOWED_BYTES];
        mkv_config_quote(text, quoted);
        mkv_config_key_allowed(key, allowed);
        return mkv_config_fail(error, source->exit_code, source->where,
                               "%s: '%s' is not allowed; use %s", source->label, quoted, allowed);
    }
    *number_out = number;
    return true;
}

static bool parse_address(const char *text, const struct mkv_config_source *source,
                          struct mkv_config_address *out, struct mkv_config_error *error) {
    enum mkv_config_address_problem problem = mkv_config_address_parse(text, out);
    if (problem != MKV_CONFIG_ADDRESS_OK) {
        char quoted[MKV_CONFIG_QUOTE_BYTES];
        mkv_config_quote(text, quoted);
        return mkv_config_fail(error, source->exit_code, source->where, "%s: '%s' %s",
                               source->label, quoted, mkv_config_address_explain(problem));
    }
    return true;
}

static bool parse_word(const struct mkv_config_key *key, const char *text,
                       const struct mkv_config_source *source, uint32_t *index_out,
                       struct mkv_config_error *error) {
    for (uint32_t i = 0; key->words[i] != NULL; i++) {
        if (strcmp(text, key->words[i]) == 0) {
            *index_out = i;
            return true;
        }
    }
    char quoted[MKV_CONFIG_QUOTE_BYTES];
    char allowed[MKV_CONFIG_ALLOWED_BYTES];
    mkv_config_quote(text, quoted);
    mkv_config_key_allowed(key, allowed);
    return mkv_config_fail(error, source->exit_code, source->where,
                           "%s: '%s' is not allowed; use %s", source->label, quoted, allowed);
}

static bool parse_name(const struct mkv_config_key *key, const char *text,
                       const struct mkv_config_source *source, char *out,
                       struct mkv_config_error *error) {
    size_t bytes = strlen(text);
    bool allowed = bytes > 0 && bytes < key->field_bytes;
    for (size_t i = 0; allowed && i < bytes; i++) {
        allowed = is_in_set(key->characters, text[i]);
    }
    if (!allowed) {
        char quoted[MKV_CONFIG_QUOTE_BYTES];
        char described[MKV_CONFIG_ALLOWED_BYTES];
        mkv_config_quote(text, quoted);
        mkv_config_key_allowed(key, described);
        return mkv_config_fail(error, source->exit_code, source->where,
                               "%s: '%s' is not allowed; use %s", source->label, quoted, described);
    }
    memcpy(out, text, bytes);
    return true;
}

static bool parse_quotas(const struct mkv_config_key *key, const char *text,
                         const struct mkv_config_source *source, char *out,
                         struct mkv_config_error *error) {
    struct mkv_tenant_quota quotas[MKV_TENANT_QUOTAS_MAX];
    uint32_t count;
    char problem[MKV_CONFIG_QUOTAS_PROBLEM_BYTES];
    const size_t bytes = strlen(text);
    if (bytes >= key->field_bytes) {
        return mkv_config_fail(error, source->exit_code, source->where,
                               "%s: the list is too long; use at most %zu bytes", source->label,
                               key->field_bytes - 1);
    }
    if (!mkv_config_quotas_parse(text, key->size_min, key->size_max, quotas, &count, problem)) {
        return mkv_config_fail(error, source->exit_code, source->where, "%s: %s", source->label,
                               problem);
    }
    memcpy(out, text, bytes);
    return true;
}

static bool parse_text(const struct mkv_config_key *key, const char *text,
                       const struct mkv_config_source *source, char *out,
                       struct mkv_config_error *error) {
    char problem[MKV_CONFIG_PROBLEM_BYTES];
    const size_t bytes = strlen(text);
    if (bytes >= key->field_bytes) {
        return mkv_config_fail(error, source->exit_code, source->where,
                               "%s: the text is too long; use at most %zu bytes", source->label,
                               key->field_bytes - 1);
    }
    if (!key->check(text, problem)) {
        return mkv_config_fail(error, source->exit_code, source->where, "%s: %s", source->label,
                               problem);
    }
    memcpy(out, text, bytes);
    return true;
}

static uint64_t ratio_max(const struct mkv_config_key *key) {
    return key->size_max == 0 ? MKV_CONFIG_RATIO_ONE : key->size_max;
}

/* "0", "1", "0.25", "1.000": at most as many decimals as MKV_CONFIG_RATIO_ONE has. */
static bool parse_ratio(const struct mkv_config_key *key, const char *text,
                        const struct mkv_config_source *source, uint64_t *ratio_out,
                        struct mkv_config_error *error) {
    const size_t whole = strspn(text, "0123456789");
    /* No bound has so many digits, so that nothing can wrap. */
    const bool begins = whole > 0 && whole <= 3 && (text[0] != '0' || whole == 1) &&
                        (text[whole] == '\0' || text[whole] == '.');
    const char *decimals = begins && text[whole] == '.' ? text + whole + 1 : "0";
    const size_t digits = strspn(decimals, "0123456789");
    uint64_t ratio = 0;
    for (size_t i = 0; begins && i < whole; i++) {
        ratio = ratio * 10 + (uint64_t)(text[i] - '0') * MKV_CONFIG_RATIO_ONE;
    }
    uint64_t part = MKV_CONFIG_RATIO_ONE / 10;
    for (size_t i = 0; i < digits; i++) {
        ratio += part * (uint64_t)(decimals[i] - '0');
        part /= 10;
    }
    if (!begins || digits < 1 || digits > 9 || decimals[digits] != '\0' || ratio > ratio_max(key)) {
        char quoted[MKV_CONFIG_QUOTE_BYTES];
        char allowed[MKV_CONFIG_ALLOWED_BYTES];
        mkv_config_quote(text, quoted);
        mkv_config_key_allowed(key, allowed);
        return mkv_config_fail(error, source->exit_code, source->where,
                               "%s: '%s' is not allowed; use %s", source->label, quoted, allowed);
    }
    *ratio_out = ratio;
    return true;
}

static bool parse_path(const struct mkv_config_key *key, const char *text,
                       const struct mkv_config_source *source, char *out,
                       struct mkv_config_error *error) {
    if (text[0] == '\0') {
        return mkv_config_fail(error, source->exit_code, source->where,
                               "%s: the path is empty; name a block device or a file",
                               source->label);
    }
    for (const char *c = text; *c != '\0'; c++) {
        if ((unsigned char)*c < 0x20 || *c == 0x7f) {
            return mkv_config_fail(error, source->exit_code, source->where,
                                   "%s: the path contains a control character; remove it",
                                   source->label);
        }
    }
    bool joined = text[0] != '/' && source->directory[0] != '\0';
    const char *directory = joined ? source->directory : "";
    size_t directory_bytes = strlen(directory);
    bool slash = joined && directory[directory_bytes - 1] != '/';
    if (directory_bytes + (slash ? 1u : 0u) + strlen(text) >= key->field_bytes) {
        return mkv_config_fail(error, source->exit_code, source->where,
                               "%s: the path is too long; use at most %zu bytes, with the "
                               "directory that it is relative to",
                               source->label, key->field_bytes - 1);
    }
    memcpy(out, directory, directory_bytes);
    out += directory_bytes;
    if (slash) {
        *out++ = '/';
    }
    memcpy(out, text, strlen(text));
    return true;
}

bool mkv_config_secret_is_inline(const char *text) {
    return strlen(text) == 64 && strspn(text, "0123456789abcdefABCDEF") == 64;
}

/* What looks like a key and is none is not shown: it may be one with a slip. */
static bool parse_secret(const struct mkv_config_key *key, const char *text,
                         const struct mkv_config_source *source, char *out,
                         struct mkv_config_error *error) {
    const size_t bytes = strlen(text);
    const size_t digits = strspn(text, "0123456789abcdefABCDEF");
    if (mkv_config_secret_is_inline(text) && key->takes_inline) {
        memcpy(out, text, bytes);
        return true;
    }
    if (digits == bytes && bytes >= 32) {
        return mkv_config_fail(error, source->exit_code, source->where,
                               "%s: %zu hexadecimal digits are no %s; use %s", source->label, bytes,
                               key->takes_inline ? "key" : "file",
                               key->takes_inline ? "64, or the path of a file that holds them"
                                                 : "the path of a file that holds the secret");
    }
    if (strncmp(text, MKV_CONFIG_CREDENTIAL, sizeof MKV_CONFIG_CREDENTIAL - 1) != 0) {
        return parse_path(key, text, source, out, error);
    }
    const char *name = text + sizeof MKV_CONFIG_CREDENTIAL - 1;
    if (name[0] == '\0' || name[0] == '.' || strchr(name, '/') != NULL || bytes > 255) {
        return mkv_config_fail(error, source->exit_code, source->where,
                               "%s: credential: takes the name of a systemd credential, without a "
                               "slash or a leading dot",
                               source->label);
    }
    memcpy(out, text, bytes);
    return true;
}

bool mkv_config_key_parse(const struct mkv_config_key *key, const char *text,
                          const struct mkv_config_source *source, union mkv_config_value *value,
                          struct mkv_config_error *error) {
    union mkv_config_value parsed;
    memset(&parsed, 0, sizeof parsed);
    bool ok = false;
    switch (key->type) {
    case MKV_CONFIG_TYPE_ADDRESS:
        ok = parse_address(text, source, &parsed.address, error);
        break;
    case MKV_CONFIG_TYPE_SIZE:
        ok = parse_size(key, text, source, &parsed.size_bytes, error);
        break;
    case MKV_CONFIG_TYPE_COUNT:
    case MKV_CONFIG_TYPE_SECONDS:
        ok = parse_number(key, text, source, &parsed.number, error);
        break;
    case MKV_CONFIG_TYPE_WORD:
        ok = parse_word(key, text, source, &parsed.word_index, error);
        break;
    case MKV_CONFIG_TYPE_NAME:
        ok = parse_name(key, text, source, parsed.text, error);
        break;
    case MKV_CONFIG_TYPE_PATH:
        ok = parse_path(key, text, source, parsed.text, error);
        break;
    case MKV_CONFIG_TYPE_QUOTAS:
        ok = parse_quotas(key, text, source, parsed.text, error);
        break;
    case MKV_CONFIG_TYPE_TEXT:
        ok = parse_text(key, text, source, parsed.text, error);
        break;
    case MKV_CONFIG_TYPE_RATIO:
        ok = parse_ratio(key, text, source, &parsed.number, error);
        break;
    case MKV_CONFIG_TYPE_SECRET:
        ok = parse_secret(key, text, source, parsed.text, error);
        break;
    case MKV_CONFIG_TYPE_DRIVES:
    case MKV_CONFIG_TYPE_TOKENS:
    case MKV_CONFIG_TYPE_LIST:
        ok = mkv_config_fail(error, source->exit_code, source->where,
                             "%s is a list and can only be set in the configuration file",
                             source->label);
        break;
    }
    if (ok) {
        *value = parsed;
    }
    return ok;
}

void mkv_config_key_store(const struct mkv_config_key *key, const union mkv_config_value *value,
                          void *base) {
    MKV_ASSERT(key->field_bytes > 0);
    MKV_ASSERT(key->field_bytes <= sizeof *value);
    /* Every member starts at the union's first byte, and its field has the member's type. */
    memcpy((char *)base + key->field_offset, value, key->field_bytes);
}

/* Writes the words as "a, b or c". */
static void format_words_list(const char *const *words, char out[MKV_CONFIG_ALLOWED_BYTES]) {
    size_t used = 0;
    for (size_t i = 0; words[i] != NULL; i++) {
        const char *separator = i == 0 ? "" : (words[i + 1] == NULL ? " or " : ", ");
        int bytes =
            snprintf(out + used, MKV_CONFIG_ALLOWED_BYTES - used, "%s%s", separator, words[i]);
        MKV_ASSERT(bytes > 0);
        used += (size_t)bytes;
        MKV_ASSERT(used < MKV_CONFIG_ALLOWED_BYTES);
    }
}

void mkv_config_key_allowed(const struct mkv_config_key *key, char out[MKV_CONFIG_ALLOWED_BYTES]) {
    char low[MKV_SIZE_TEXT_BYTES];
    char high[MKV_SIZE_TEXT_BYTES];
    char step[MKV_SIZE_TEXT_BYTES];
    switch (key->type) {
    case MKV_CONFIG_TYPE_ADDRESS:
        snprintf(out, MKV_CONFIG_ALLOWED_BYTES, "HOST:PORT");
        break;
    case MKV_CONFIG_TYPE_SIZE:
        mkv_size_format(key->size_min, low);
        mkv_size_format(key->size_max, high);
        mkv_size_format(key->size_step, step);
        snprintf(out, MKV_CONFIG_ALLOWED_BYTES, "%s to %s in steps of %s", low, high, step);
        break;
    case MKV_CONFIG_TYPE_COUNT:
    case MKV_CONFIG_TYPE_SECONDS:
        snprintf(out, MKV_CONFIG_ALLOWED_BYTES, "%s%s%llu%s to %llu%s",
                 key->zero_word == NULL ? "" : key->zero_word,
                 key->zero_word == NULL ? "" : ", or ", (unsigned long long)key->size_min,
                 number_unit(key), (unsigned long long)key->size_max, number_unit(key));
        break;
    case MKV_CONFIG_TYPE_WORD:
        format_words_list(key->words, out);
        break;
    case MKV_CONFIG_TYPE_NAME:
        snprintf(out, MKV_CONFIG_ALLOWED_BYTES, "1 to %zu characters of %s", key->field_bytes - 1,
                 key->characters);
        break;
    case MKV_CONFIG_TYPE_PATH:
        snprintf(out, MKV_CONFIG_ALLOWED_BYTES, "a path of up to %zu bytes", key->field_bytes - 1);
        break;
    case MKV_CONFIG_TYPE_QUOTAS:
        snprintf(out, MKV_CONFIG_ALLOWED_BYTES, "NAME=SIZE, ... for up to %u tenants",
                 MKV_TENANT_QUOTAS_MAX);
        break;
    case MKV_CONFIG_TYPE_TEXT:
        snprintf(out, MKV_CONFIG_ALLOWED_BYTES, "%s", key->allowed);
        break;
    case MKV_CONFIG_TYPE_RATIO:
        snprintf(out, MKV_CONFIG_ALLOWED_BYTES, "0 to %llu with up to 9 decimals",
                 (unsigned long long)(ratio_max(key) / MKV_CONFIG_RATIO_ONE));
        break;
    case MKV_CONFIG_TYPE_SECRET:
        snprintf(out, MKV_CONFIG_ALLOWED_BYTES, "a path of up to %zu bytes, or credential:NAME%s",
                 key->field_bytes - 1, key->takes_inline ? ", or 64 hexadecimal digits" : "");
        break;
    case MKV_CONFIG_TYPE_LIST:
        snprintf(out, MKV_CONFIG_ALLOWED_BYTES, "a list of up to %u %s", key->list->entries_max,
                 key->list->noun);
        break;
    case MKV_CONFIG_TYPE_DRIVES:
        snprintf(out, MKV_CONFIG_ALLOWED_BYTES, "a list of 1 to %u drives", MKV_CONFIG_DRIVES_MAX);
        break;
    case MKV_CONFIG_TYPE_TOKENS:
        snprintf(out, MKV_CONFIG_ALLOWED_BYTES, "a list of up to %u tokens", MKV_CONFIG_TOKENS_MAX);
        break;
    }
}

void mkv_config_key_variable(const struct mkv_config_key *key,
                             char out[MKV_CONFIG_VARIABLE_BYTES]) {
    int bytes = snprintf(out, MKV_CONFIG_VARIABLE_BYTES, "MEMKV_%s", key->path);
    MKV_ASSERT(bytes > 0);
    MKV_ASSERT((unsigned)bytes < MKV_CONFIG_VARIABLE_BYTES);
    for (char *c = out; *c != '\0'; c++) {
        if (*c == '.') {
            *c = '_';
        } else if (*c >= 'a' && *c <= 'z') {
            *c = (char)(*c - 'a' + 'A');
        }
    }
}
