/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of all keys of the configuration: name, type, bounds, default, meaning, and the field
 * of struct mkv_config that holds the value. Whatever reads a value goes through it, so that the
 * file, a variable and a flag accept and refuse the same texts with the same words.
 *
 * Invariants
 *  I1  A key's path is SECTION.KEY with a section of mkv_config_sections; a drive's key stands
 *      alone, as does that of another list's entry. Paths are unique, and so are the
 *      variables made from them.
 *  I2  A value is parsed in whole before any field changes.
 *  I3  Default texts are texts that a user could write: they go through the same parser.
 *
 * Not responsible for: relations between keys (config_validate.c) and YAML (config_file.c).
 */
#ifndef MKV_SERVER_CONFIG_SCHEMA_H
#define MKV_SERVER_CONFIG_SCHEMA_H

#include "server/config.h"

enum mkv_config_type {
    MKV_CONFIG_TYPE_ADDRESS,
    MKV_CONFIG_TYPE_SIZE,
    MKV_CONFIG_TYPE_COUNT,
    MKV_CONFIG_TYPE_SECONDS, /* digits and s */
    MKV_CONFIG_TYPE_WORD,    /* one of a list */
    MKV_CONFIG_TYPE_NAME,    /* characters of a set, of a bounded length */
    MKV_CONFIG_TYPE_PATH,    /* relative to the directory of the file */
    MKV_CONFIG_TYPE_QUOTAS,  /* NAME=SIZE, with commas between them */
    MKV_CONFIG_TYPE_TEXT,    /* what `check` takes, kept as it is written */
    MKV_CONFIG_TYPE_RATIO,   /* a decimal number from 0 to 1, or to size_max of 1 */
    MKV_CONFIG_TYPE_SECRET,  /* a path, or credential:NAME */
    MKV_CONFIG_TYPE_DRIVES,
    MKV_CONFIG_TYPE_TOKENS,
    MKV_CONFIG_TYPE_LIST, /* of maps; `list` says of what */
};

struct mkv_config_key;
/* A list of the file whose entries are maps of keys with single values. A key whose default_note is
 * "required" must be in each. */
struct mkv_config_list {
    const struct mkv_config_key *keys;
    uint32_t key_count;
    uint32_t entries_max;
    size_t entry_bytes;
    size_t entries_offset; /* in struct mkv_config */
    size_t count_offset;   /* of a uint32_t there */
    const char *noun;      /* "keys" */
    const char *example;   /* of an entry, in YAML */
};

#define MKV_CONFIG_PROBLEM_BYTES 192u

struct mkv_config_key {
    const char *path;
    enum mkv_config_type type;
    size_t field_offset;
    size_t field_bytes;
    uint64_t size_min; /* of a SIZE, COUNT or SECONDS: inclusive bounds */
    uint64_t size_max;
    uint64_t size_step;       /* of a SIZE: the value is a multiple of it */
    const char *zero_word;    /* of SECONDS: what stands for 0, beside the bounds; NULL: nothing */
    const char *const *words; /* of a WORD: closed by NULL, in the order of its enum */
    const char *characters;   /* of a NAME: what isalnum-like set it may use, as ranges */
    /* Of a TEXT: whether it is one. `problem` is the end of a sentence that begins with the key. */
    bool (*check)(const char *text, char problem[MKV_CONFIG_PROBLEM_BYTES]);
    bool takes_list; /* of a TEXT: a list of YAML is taken as its texts with commas between them */
    bool takes_inline;                  /* of a SECRET: it may be 64 hexadecimal digits itself */
    const struct mkv_config_list *list; /* of a LIST */
    const char *allowed;                /* of a TEXT: what it takes, in words */
    const char *short_variable;         /* another name of its variable; NULL: none */
    const char *default_text;           /* NULL: none, or derived; then default_note says how */
    const char *default_dev_text;       /* NULL: the same as default_text */
    const char *default_note;
    const char *meaning; /* for docs/configuration.md */
};

/* In the order of enum mkv_config_key_id. */
extern const struct mkv_config_key mkv_config_keys[MKV_CONFIG_KEY_COUNT];

/* The keys of one entry of storage.drives; their fields are those of struct mkv_config_drive. */
enum mkv_config_drive_key_id {
    MKV_CONFIG_DRIVE_MEDIA,
    MKV_CONFIG_DRIVE_NAME,
    MKV_CONFIG_DRIVE_SIZE,
    MKV_CONFIG_DRIVE_RATED_DWPD,
};
#define MKV_CONFIG_DRIVE_KEY_COUNT 4u
extern const struct mkv_config_key mkv_config_drive_keys[MKV_CONFIG_DRIVE_KEY_COUNT];

/* The keys of one entry of admin.tokens; their fields are those of struct mkv_config_token. */
enum mkv_config_token_key_id {
    MKV_CONFIG_TOKEN_ROLE,
    MKV_CONFIG_TOKEN_FILE,
};
#define MKV_CONFIG_TOKEN_KEY_COUNT 2u
extern const struct mkv_config_key mkv_config_token_keys[MKV_CONFIG_TOKEN_KEY_COUNT];

/* Of auth.keys, auth.users and tenants.rules: config_auth_keys.c. */
extern const struct mkv_config_list mkv_config_auth_keys_list, mkv_config_auth_users_list,
    mkv_config_rules_list;

#define MKV_CONFIG_SECTION_COUNT 16u
extern const char *const mkv_config_sections[MKV_CONFIG_SECTION_COUNT];

/* A parsed value; which member is set follows from the key's type. */
union mkv_config_value {
    struct mkv_config_address address;
    uint64_t size_bytes;
    uint64_t number; /* COUNT, SECONDS; RATIO: of MKV_CONFIG_RATIO_ONE */
    uint32_t word_index;
    char text[MKV_CONFIG_PATH_BYTES]; /* NAME, PATH, QUOTAS, TEXT: filled up with zeros */
};

/* What surrounds a value while it is parsed. */
struct mkv_config_source {
    const char *where;     /* "memkv.yaml:3", "MEMKV_LOG_LEVEL", "--listen" */
    const char *label;     /* the key as messages call it: "memory.max_size" */
    const char *directory; /* what relative paths are relative to; "" is the process's own */
    enum mkv_exit_daemon exit_code;
};

/* Parses `text` for `key`, or writes the error. `value` is written only on success. */
__attribute__((warn_unused_result)) bool mkv_config_key_parse(
    const struct mkv_config_key *key, const char *text, const struct mkv_config_source *source,
    union mkv_config_value *value, struct mkv_config_error *error);

#define MKV_CONFIG_CREDENTIAL "credential:"
/* Whether a SECRET is the secret itself, which nothing shows. */
bool mkv_config_secret_is_inline(const char *text);

/* Copies a value into its field; `base` is a struct mkv_config or, for a drive's key, its drive. */
void mkv_config_key_store(const struct mkv_config_key *key, const union mkv_config_value *value,
                          void *base);

/* Room for the texts of the two functions below. */
#define MKV_CONFIG_ALLOWED_BYTES 128u
#define MKV_CONFIG_VARIABLE_BYTES 64u

/* What the key takes, in words: "auto, require or off", "16MiB to 16TiB in steps of 2MiB". */
void mkv_config_key_allowed(const struct mkv_config_key *key, char out[MKV_CONFIG_ALLOWED_BYTES]);

/* The name of the key's variable: MEMKV_NETWORK_ADDRESS. */
void mkv_config_key_variable(const struct mkv_config_key *key, char out[MKV_CONFIG_VARIABLE_BYTES]);

#endif
