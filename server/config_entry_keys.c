/* SPDX-License-Identifier: Apache-2.0 */
/* The keys of one drive and of one token: config_schema.h says what their members mean. */
#include "server/config_schema.h"

#define TIB (1024ull * MKV_GIB)

static const char *const role_words[] = {"viewer", "operator", NULL};
_Static_assert(sizeof(enum mkv_config_admin_role) == sizeof(uint32_t), "a word's index fits");

#define DRIVE_FIELD(member)                                                                        \
    .field_offset = offsetof(struct mkv_config_drive, member),                                     \
    .field_bytes = sizeof(((struct mkv_config_drive *)0)->member)

const struct mkv_config_key mkv_config_drive_keys[MKV_CONFIG_DRIVE_KEY_COUNT] = {
    [MKV_CONFIG_DRIVE_MEDIA] =
        {
            .path = "media",
            .type = MKV_CONFIG_TYPE_PATH,
            DRIVE_FIELD(media),
            .default_note = "required",
            .meaning = "The block device or regular file.",
        },
    [MKV_CONFIG_DRIVE_NAME] =
        {
            .path = "name",
            .type = MKV_CONFIG_TYPE_NAME,
            DRIVE_FIELD(name),
            .characters = "a-z 0-9 _ -",
            .default_note = "`d00`, `d01`, … by position",
            .meaning = "What commands, metrics and logs call the drive. It stays when the device's "
                       "name changes.",
        },
    [MKV_CONFIG_DRIVE_SIZE] =
        {
            .path = "size",
            .type = MKV_CONFIG_TYPE_SIZE,
            DRIVE_FIELD(size_bytes),
            .size_min = 4 * MKV_MIB,
            .size_max = 1024 * TIB,
            .size_step = MKV_UNIT_BYTES,
            .default_note = "none: `media` must exist",
            .meaning = "Only for a regular file: the most that it ever takes of its file system,"
                       " and the size that it is created with, sparse, if it does not exist; one"
                       " that is larger is refused. Room for journal and tables is taken at the "
                       "start, other room 128 MiB at a time, up to 256 MiB ahead of what is "
                       "written, unless files are trimmed (`storage.trim: on`).",
        },
    [MKV_CONFIG_DRIVE_RATED_DWPD] =
        {
            .path = "rated_dwpd",
            .type = MKV_CONFIG_TYPE_RATIO,
            DRIVE_FIELD(rated_dwpd),
            .size_max = 100ull * MKV_CONFIG_RATIO_ONE,
            .default_note = "none",
            .meaning = "How often a day the maker rates the drive to be written in whole (DWPD); "
                       "more gives warning ENDURANCE. `0`: not known.",
        },
};

#define TOKEN_FIELD(member)                                                                        \
    .field_offset = offsetof(struct mkv_config_token, member),                                     \
    .field_bytes = sizeof(((struct mkv_config_token *)0)->member)

const struct mkv_config_key mkv_config_token_keys[MKV_CONFIG_TOKEN_KEY_COUNT] = {
    [MKV_CONFIG_TOKEN_ROLE] =
        {
            .path = "role",
            .type = MKV_CONFIG_TYPE_WORD,
            TOKEN_FIELD(role),
            .words = role_words,
            .default_note = "required",
            .meaning = "What whoever sends the token may do: see, or all.",
        },
    [MKV_CONFIG_TOKEN_FILE] =
        {
            .path = "file",
            .type = MKV_CONFIG_TYPE_PATH,
            TOKEN_FIELD(file),
            .default_note = "required",
            .meaning = "The file with the token, one line of 32 to 256 characters without spaces, "
                       "that its owner alone may read.",
        },
};
