/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration file. It is read event by event, and its shape is known in advance:
 *
 *     SECTION:                 a map
 *       KEY: VALUE             a single value
 *       drives:                a list, only of the section storage
 *         - KEY: VALUE         a map for each drive
 *
 * so reading is at most four levels deep whatever the file says: at the first thing that does not
 * belong there it stops with an error. Aliases, anchors and tags are refused: nothing here needs
 * them, and files of a few lines can be made to expand without end with them.
 */
#include "server/config_schema.h"
#include "server/config_text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <yaml.h>

#define KEY_BYTES_MAX 64u
/* Room for a key in a message: "storage.drives[63]." and a quoted key. */
#define LABEL_BYTES 96u
/* Room for a list of all keys of a map. */
#define LIST_BYTES 256u

struct reader {
    yaml_parser_t parser;
    yaml_event_t event; /* the current one; has no resources before the first */
    struct mkv_config *config;
    struct mkv_config_error *error;
    const char *path;
    const char *text;
    size_t text_bytes;
    char directory[MKV_CONFIG_PATH_BYTES];
};

/* The keys that one map may have, and the lines on which they were seen. */
struct map_keys {
    const char *prefix; /* "storage." or "storage.drives[2]."; "" at the top level */
    const char *names[MKV_CONFIG_KEY_COUNT];
    uint32_t ids[MKV_CONFIG_KEY_COUNT]; /* what the caller knows the name by */
    uint32_t lines[MKV_CONFIG_KEY_COUNT];
    uint32_t count;
};

static uint32_t line_of(yaml_mark_t mark) {
    MKV_ASSERT(mark.line <= MKV_CONFIG_FILE_BYTES_MAX);
    return (uint32_t)mark.line + 1;
}

static uint32_t current_line(const struct reader *reader) {
    return line_of(reader->event.start_mark);
}

__attribute__((format(printf, 3, 4))) static bool fail(struct reader *reader, uint32_t line,
                                                       const char *format, ...) {
    char where[MKV_CONFIG_WHERE_BYTES];
    char message[sizeof reader->error->message];
    mkv_config_where(reader->path, line, where);
    va_list arguments;
    va_start(arguments, format);
    int bytes = vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    MKV_ASSERT(bytes > 0);
    return mkv_config_fail(reader->error, MKV_EXIT_DAEMON_CONFIGURATION, where, "%s", message);
}

/* ---- events --------------------------------------------------------------------------------- */

/* The reader of bytes works ahead of the line it reports, so lines are counted up to its offset. */
static uint32_t line_at_offset(const struct reader *reader, size_t offset) {
    uint32_t line = 1;
    for (size_t i = 0; i < offset && i < reader->text_bytes; i++) {
        line += reader->text[i] == '\n' ? 1 : 0;
    }
    return line;
}

/* The byte at a mark, which counts characters; 0 at the end. */
static char byte_at(const struct reader *reader, yaml_mark_t mark) {
    size_t index = 0;
    for (size_t i = 0; i < reader->text_bytes; i++) {
        bool continues = ((unsigned char)reader->text[i] & 0xc0) == 0x80;
        if (!continues && index == mark.index) {
            return reader->text[i];
        }
        index += continues ? 0 : 1;
    }
    return '\0';
}

static bool fail_yaml(struct reader *reader) {
    const yaml_parser_t *parser = &reader->parser;
    const char *problem = parser->problem != NULL ? parser->problem : "no reason given";
    if (parser->error == YAML_READER_ERROR) {
        return fail(reader, line_at_offset(reader, parser->problem_offset),
                    "not plain UTF-8 text: %s; save the file as UTF-8 without control characters",
                    problem);
    }
    if (parser->error == YAML_MEMORY_ERROR) {
        return fail(reader, 0, "there is no memory to read it");
    }
    uint32_t line = line_of(parser->problem_mark);
    if (parser->error == YAML_SCANNER_ERROR && byte_at(reader, parser->problem_mark) == '\t') {
        return fail(reader, line, "not valid YAML: a tab cannot indent; use spaces");
    }
    if (parser->context == NULL) {
        return fail(reader, line, "not valid YAML: %s", problem);
    }
    uint32_t context_line = line_of(parser->context_mark);
    if (context_line == line) {
        return fail(reader, line, "not valid YAML: %s, %s", problem, parser->context);
    }
    return fail(reader, line, "not valid YAML: %s, %s that began at line %u", problem,
                parser->context, (unsigned)context_line);
}

/* An anchor or a tag on the current event, or an alias in its place, is refused. */
static bool check_plain(struct reader *reader) {
    const yaml_event_t *event = &reader->event;
    const yaml_char_t *anchor = NULL;
    const yaml_char_t *tag = NULL;
    if (event->type == YAML_ALIAS_EVENT) {
        anchor = event->data.alias.anchor;
    } else if (event->type == YAML_SCALAR_EVENT) {
        anchor = event->data.scalar.anchor;
        tag = event->data.scalar.tag;
    } else if (event->type == YAML_MAPPING_START_EVENT) {
        anchor = event->data.mapping_start.anchor;
        tag = event->data.mapping_start.tag;
    } else if (event->type == YAML_SEQUENCE_START_EVENT) {
        anchor = event->data.sequence_start.anchor;
        tag = event->data.sequence_start.tag;
    }
    char quoted[MKV_CONFIG_QUOTE_BYTES];
    if (anchor != NULL) {
        mkv_config_quote((const char *)anchor, quoted);
        return fail(reader, current_line(reader),
                    "anchors and aliases ('%s') are not supported; write the value out", quoted);
    }
    if (tag != NULL) {
        mkv_config_quote((const char *)tag, quoted);
        return fail(reader, current_line(reader), "tags ('%s') are not supported; remove it",
                    quoted);
    }
    return true;
}

static bool next(struct reader *reader) {
    yaml_event_delete(&reader->event);
    if (yaml_parser_parse(&reader->parser, &reader->event) == 0) {
        memset(&reader->event, 0, sizeof reader->event);
        return fail_yaml(reader);
    }
    return check_plain(reader);
}

static const char *kind_of(const struct reader *reader) {
    if (reader->event.type == YAML_MAPPING_START_EVENT) {
        return "a map";
    }
    return reader->event.type == YAML_SEQUENCE_START_EVENT ? "a list" : "a single value";
}

/* True for a key that is followed by nothing, `~` or `null`. */
static bool is_null(const struct reader *reader) {
    if (reader->event.type != YAML_SCALAR_EVENT ||
        reader->event.data.scalar.style != YAML_PLAIN_SCALAR_STYLE) {
        return false;
    }
    const char *text = (const char *)reader->event.data.scalar.value;
    return text[0] == '\0' || strcmp(text, "~") == 0 || strcmp(text, "null") == 0;
}

/* ---- maps and values ------------------------------------------------------------------------ */

static void map_keys_add(struct map_keys *keys, const char *name, uint32_t id) {
    MKV_ASSERT(keys->count < MKV_CONFIG_KEY_COUNT);
    keys->names[keys->count] = name;
    keys->ids[keys->count] = id;
    keys->lines[keys->count] = 0;
    keys->count++;
}

static bool fail_unknown_key(struct reader *reader, const struct map_keys *keys, const char *name) {
    char quoted[MKV_CONFIG_QUOTE_BYTES];
    mkv_config_quote(name, quoted);
    for (uint32_t i = 0; i < keys->count; i++) {
        if (mkv_config_is_slip(name, keys->names[i])) {
            return fail(reader, current_line(reader), "unknown key '%s%s', did you mean '%s'?",
                        keys->prefix, quoted, keys->names[i]);
        }
    }
    char list[LIST_BYTES] = "";
    size_t used = 0;
    for (uint32_t i = 0; i < keys->count; i++) {
        int bytes =
            snprintf(list + used, sizeof list - used, "%s%s", i == 0 ? "" : ", ", keys->names[i]);
        MKV_ASSERT(bytes > 0);
        used += (size_t)bytes;
        MKV_ASSERT(used < sizeof list);
    }
    return fail(reader, current_line(reader), "unknown key '%s%s'; allowed here: %s", keys->prefix,
                quoted, list);
}

/*
 * Goes to the next key of the map whose start has been read, and on to its value. `found` is
 * keys->count at the map's end, else the place of the key in `keys`.
 */
static bool next_key(struct reader *reader, struct map_keys *keys, uint32_t *found) {
    *found = keys->count;
    if (!next(reader)) {
        return false;
    }
    if (reader->event.type == YAML_MAPPING_END_EVENT) {
        return true;
    }
    if (reader->event.type != YAML_SCALAR_EVENT) {
        return fail(reader, current_line(reader), "a key must be plain text, found %s",
                    kind_of(reader));
    }
    const char *name = (const char *)reader->event.data.scalar.value;
    size_t name_bytes = reader->event.data.scalar.length;
    uint32_t line = current_line(reader);
    for (uint32_t i = 0; i < keys->count; i++) {
        if (name_bytes != strlen(keys->names[i]) || memcmp(name, keys->names[i], name_bytes) != 0) {
            continue;
        }
        if (keys->lines[i] != 0) {
            return fail(reader, line, "%s%s is set twice, first at line %u; remove one",
                        keys->prefix, keys->names[i], (unsigned)keys->lines[i]);
        }
        keys->lines[i] = line;
        *found = i;
        return next(reader);
    }
    return fail_unknown_key(reader, keys, name);
}

/* Parses the current event as the value of `key`. */
static bool read_value(struct reader *reader, const struct mkv_config_key *key, const char *label,
                       union mkv_config_value *value) {
    uint32_t line = current_line(reader);
    if (reader->event.type != YAML_SCALAR_EVENT) {
        return fail(reader, line, "%s must be a single value, found %s", label, kind_of(reader));
    }
    const char *text = (const char *)reader->event.data.scalar.value;
    if (is_null(reader)) {
        char allowed[MKV_CONFIG_ALLOWED_BYTES];
        mkv_config_key_allowed(key, allowed);
        return fail(reader, line, "%s has no value; use %s, or remove the key", label, allowed);
    }
    if (strlen(text) != reader->event.data.scalar.length) {
        return fail(reader, line, "%s: the value contains a NUL character; remove it", label);
    }
    char where[MKV_CONFIG_WHERE_BYTES];
    mkv_config_where(reader->path, line, where);
    const struct mkv_config_source source = {
        .where = where,
        .label = label,
        .directory = reader->directory,
        .exit_code = MKV_EXIT_DAEMON_CONFIGURATION,
    };
    return mkv_config_key_parse(key, text, &source, value, reader->error);
}

/* ---- the levels of the file ----------------------------------------------------------------- */

/* Reads one entry of storage.drives; the current event is its first. */
static bool read_drive(struct reader *reader, uint32_t index) {
    char label[LABEL_BYTES];
    uint32_t line = current_line(reader);
    if (reader->event.type != YAML_MAPPING_START_EVENT) {
        return fail(reader, line,
                    "storage.drives[%u] must be a map, like {media: /dev/nvme0n1}, found %s",
                    (unsigned)index, kind_of(reader));
    }
    struct mkv_config_drive *drive = &reader->config->storage.drives[index];
    memset(drive, 0, sizeof *drive);
    drive->line = line;
    snprintf(drive->name, sizeof drive->name, "d%02u", (unsigned)index);

    char prefix[LABEL_BYTES];
    snprintf(prefix, sizeof prefix, "storage.drives[%u].", (unsigned)index);
    struct map_keys keys = {.prefix = prefix};
    for (uint32_t i = 0; i < MKV_CONFIG_DRIVE_KEY_COUNT; i++) {
        map_keys_add(&keys, mkv_config_drive_keys[i].path, i);
    }
    uint32_t found = 0;
    while (next_key(reader, &keys, &found)) {
        if (found == keys.count) {
            if (drive->media[0] == '\0') {
                return fail(reader, line,
                            "storage.drives[%u] has no media; name its block device or file, like "
                            "media: /dev/nvme0n1",
                            (unsigned)index);
            }
            return true;
        }
        union mkv_config_value value;
        const struct mkv_config_key *key = &mkv_config_drive_keys[keys.ids[found]];
        snprintf(label, sizeof label, "%s%s", prefix, key->path);
        if (!read_value(reader, key, label, &value)) {
            return false;
        }
        mkv_config_key_store(key, &value, drive);
    }
    return false;
}

static bool read_drives(struct reader *reader) {
    if (is_null(reader)) {
        reader->config->storage.drive_count = 0;
        return true;
    }
    if (reader->event.type != YAML_SEQUENCE_START_EVENT) {
        return fail(reader, current_line(reader),
                    "storage.drives must be a list, like [{media: /dev/nvme0n1}], found %s",
                    kind_of(reader));
    }
    uint32_t count = 0;
    for (;;) {
        if (!next(reader)) {
            return false;
        }
        if (reader->event.type == YAML_SEQUENCE_END_EVENT) {
            break;
        }
        if (count == MKV_CONFIG_DRIVES_MAX) {
            return fail(reader, current_line(reader), "storage.drives has more than %u drives",
                        MKV_CONFIG_DRIVES_MAX);
        }
        if (!read_drive(reader, count)) {
            return false;
        }
        count++;
    }
    reader->config->storage.drive_count = count;
    return true;
}

/* Reads one entry of admin.tokens; the current event is its first. */
static bool read_token(struct reader *reader, uint32_t index) {
    char label[LABEL_BYTES];
    uint32_t line = current_line(reader);
    if (reader->event.type != YAML_MAPPING_START_EVENT) {
        return fail(reader, line,
                    "admin.tokens[%u] must be a map, like {role: viewer, file: /etc/memkv/token}, "
                    "found %s",
                    (unsigned)index, kind_of(reader));
    }
    struct mkv_config_token *token = &reader->config->admin.tokens[index];
    memset(token, 0, sizeof *token);
    char prefix[LABEL_BYTES];
    snprintf(prefix, sizeof prefix, "admin.tokens[%u].", (unsigned)index);
    struct map_keys keys = {.prefix = prefix};
    for (uint32_t i = 0; i < MKV_CONFIG_TOKEN_KEY_COUNT; i++) {
        map_keys_add(&keys, mkv_config_token_keys[i].path, i);
    }
    uint32_t found = 0;
    while (next_key(reader, &keys, &found)) {
        if (found == keys.count) {
            if (keys.lines[MKV_CONFIG_TOKEN_ROLE] != 0 && keys.lines[MKV_CONFIG_TOKEN_FILE] != 0) {
                return true;
            }
            return fail(reader, line,
                        "admin.tokens[%u] needs both keys, like {role: viewer, file: "
                        "/etc/memkv/token}",
                        (unsigned)index);
        }
        union mkv_config_value value;
        const struct mkv_config_key *key = &mkv_config_token_keys[keys.ids[found]];
        snprintf(label, sizeof label, "%s%s", prefix, key->path);
        if (!read_value(reader, key, label, &value)) {
            return false;
        }
        mkv_config_key_store(key, &value, token);
    }
    return false;
}

static bool read_tokens(struct reader *reader) {
    reader->config->admin.token_count = 0;
    if (is_null(reader)) {
        return true;
    }
    if (reader->event.type != YAML_SEQUENCE_START_EVENT) {
        return fail(reader, current_line(reader),
                    "admin.tokens must be a list, like [{role: viewer, file: /etc/memkv/token}], "
                    "found %s",
                    kind_of(reader));
    }
    for (uint32_t count = 0;; count++) {
        if (!next(reader)) {
            return false;
        }
        if (reader->event.type == YAML_SEQUENCE_END_EVENT) {
            reader->config->admin.token_count = count;
            return true;
        }
        if (count == MKV_CONFIG_TOKENS_MAX) {
            return fail(reader, current_line(reader), "admin.tokens has more than %u tokens",
                        MKV_CONFIG_TOKENS_MAX);
        }
        if (!read_token(reader, count)) {
            return false;
        }
    }
}

/* Goes over a list of YAML, and puts its texts with commas between them into `text`. */
static bool join_texts(struct reader *reader, const char *label,
                       char text[MKV_CONFIG_WORDS_BYTES]) {
    size_t used = 0;
    text[0] = '\0';
    for (;;) {
        if (!next(reader)) {
            return false;
        }
        if (reader->event.type == YAML_SEQUENCE_END_EVENT) {
            return true;
        }
        if (reader->event.type != YAML_SCALAR_EVENT) {
            return fail(reader, current_line(reader), "%s must be a list of texts, found %s", label,
                        kind_of(reader));
        }
        const int bytes =
            snprintf(text + used, MKV_CONFIG_WORDS_BYTES - used, "%s%s", used == 0 ? "" : ", ",
                     (const char *)reader->event.data.scalar.value);
        if (bytes < 0 || (size_t)bytes >= MKV_CONFIG_WORDS_BYTES - used) {
            return fail(reader, current_line(reader), "%s: the list is too long", label);
        }
        used += (size_t)bytes;
    }
}

/* Reads the value of a key of a list's entry. */
static bool read_entry_value(struct reader *reader, const struct mkv_config_key *key,
                             const char *label, union mkv_config_value *value) {
    if (!key->takes_list || reader->event.type != YAML_SEQUENCE_START_EVENT) {
        return read_value(reader, key, label, value);
    }
    char where[MKV_CONFIG_WHERE_BYTES];
    char text[MKV_CONFIG_WORDS_BYTES];
    mkv_config_where(reader->path, current_line(reader), where);
    const struct mkv_config_source source = {
        .where = where,
        .label = label,
        .directory = reader->directory,
        .exit_code = MKV_EXIT_DAEMON_CONFIGURATION,
    };
    /* An empty list says less than none at all would: it is refused by the key itself. */
    return join_texts(reader, label, text) &&
           mkv_config_key_parse(key, text[0] == '\0' ? "," : text, &source, value, reader->error);
}

/* Reads one entry of a list into `entry`; the current event is its first. */
static bool read_entry(struct reader *reader, const struct mkv_config_key *list_key, uint32_t index,
                       void *entry) {
    const struct mkv_config_list *list = list_key->list;
    char label[LABEL_BYTES];
    const uint32_t line = current_line(reader);
    if (reader->event.type != YAML_MAPPING_START_EVENT) {
        return fail(reader, line, "%s[%u] must be a map, like %s, found %s", list_key->path,
                    (unsigned)index, list->example, kind_of(reader));
    }
    memset(entry, 0, list->entry_bytes);
    char prefix[LABEL_BYTES];
    snprintf(prefix, sizeof prefix, "%s[%u].", list_key->path, (unsigned)index);
    struct map_keys keys = {.prefix = prefix};
    for (uint32_t i = 0; i < list->key_count; i++) {
        map_keys_add(&keys, list->keys[i].path, i);
    }
    uint32_t found = 0;
    while (next_key(reader, &keys, &found)) {
        if (found < keys.count) {
            union mkv_config_value value;
            const struct mkv_config_key *key = &list->keys[keys.ids[found]];
            snprintf(label, sizeof label, "%s%s", prefix, key->path);
            if (!read_entry_value(reader, key, label, &value)) {
                return false;
            }
            mkv_config_key_store(key, &value, entry);
            continue;
        }
        for (uint32_t i = 0; i < list->key_count; i++) {
            if (keys.lines[i] == 0 && strcmp(list->keys[i].default_note, "required") == 0) {
                return fail(reader, line, "%s[%u] has no %s; write it like %s", list_key->path,
                            (unsigned)index, list->keys[i].path, list->example);
            }
        }
        return true;
    }
    return false;
}

static bool read_list(struct reader *reader, const struct mkv_config_key *key) {
    const struct mkv_config_list *list = key->list;
    char *base = (char *)reader->config;
    uint32_t count = 0;
    if (!is_null(reader) && reader->event.type != YAML_SEQUENCE_START_EVENT) {
        return fail(reader, current_line(reader), "%s must be a list, like [%s], found %s",
                    key->path, list->example, kind_of(reader));
    }
    for (bool is_open = !is_null(reader); is_open;) {
        if (!next(reader)) {
            return false;
        }
        if (reader->event.type == YAML_SEQUENCE_END_EVENT) {
            is_open = false;
        } else if (count == list->entries_max) {
            return fail(reader, current_line(reader), "%s has more than %u %s", key->path,
                        list->entries_max, list->noun);
        } else if (!read_entry(reader, key, count,
                               base + list->entries_offset + count * list->entry_bytes)) {
            return false;
        } else {
            count++;
        }
    }
    memcpy(base + list->count_offset, &count, sizeof count);
    return true;
}

/* Reads the value of one key of a section; the current event is its first. */
static bool read_key(struct reader *reader, enum mkv_config_key_id id) {
    const struct mkv_config_key *key = &mkv_config_keys[id];
    struct mkv_config_origin *origin = &reader->config->origins[id];
    const struct mkv_config_origin here = {.layer = MKV_CONFIG_LAYER_FILE,
                                           .line = current_line(reader)};
    if (key->type == MKV_CONFIG_TYPE_LIST) {
        *origin = here;
        return read_list(reader, key);
    }
    if (key->type == MKV_CONFIG_TYPE_DRIVES || key->type == MKV_CONFIG_TYPE_TOKENS) {
        /* Only --dev and files have lists, so there is no higher layer to keep. */
        MKV_ASSERT(origin->layer <= MKV_CONFIG_LAYER_FILE);
        *origin = here;
        return key->type == MKV_CONFIG_TYPE_DRIVES ? read_drives(reader) : read_tokens(reader);
    }
    union mkv_config_value value;
    if (!read_value(reader, key, key->path, &value)) {
        return false;
    }
    if (origin->layer <= MKV_CONFIG_LAYER_FILE) {
        mkv_config_key_store(key, &value, reader->config);
        *origin = here;
    }
    return true;
}

/* Reads one section; the current event is its first. A section without keys may be left open. */
static bool read_section(struct reader *reader, const char *section) {
    if (is_null(reader)) {
        return true;
    }
    char prefix[KEY_BYTES_MAX];
    int prefix_bytes = snprintf(prefix, sizeof prefix, "%s.", section);
    MKV_ASSERT(prefix_bytes > 0);
    struct map_keys keys = {.prefix = prefix};
    for (uint32_t i = 0; i < MKV_CONFIG_KEY_COUNT; i++) {
        const char *path = mkv_config_keys[i].path;
        if (strncmp(path, prefix, (size_t)prefix_bytes) == 0) {
            map_keys_add(&keys, path + prefix_bytes, i);
        }
    }
    if (reader->event.type != YAML_MAPPING_START_EVENT) {
        return fail(reader, current_line(reader), "%s must be a map of keys, found %s", section,
                    kind_of(reader));
    }
    uint32_t found = 0;
    while (next_key(reader, &keys, &found)) {
        if (found == keys.count) {
            return true;
        }
        if (!read_key(reader, (enum mkv_config_key_id)keys.ids[found])) {
            return false;
        }
    }
    return false;
}

static bool fail_empty(struct reader *reader) {
    return fail(reader, 0,
                "the file has no settings; it needs at least storage.drives "
                "(docs/configuration.md has an example)");
}

static bool read_sections(struct reader *reader) {
    if (is_null(reader)) {
        return fail_empty(reader);
    }
    if (reader->event.type != YAML_MAPPING_START_EVENT) {
        return fail(reader, current_line(reader),
                    "the file must be a map of sections such as storage, found %s",
                    kind_of(reader));
    }
    struct map_keys keys = {.prefix = ""};
    for (uint32_t i = 0; i < MKV_CONFIG_SECTION_COUNT; i++) {
        map_keys_add(&keys, mkv_config_sections[i], i);
    }
    uint32_t found = 0;
    while (next_key(reader, &keys, &found)) {
        if (found == keys.count) {
            return true;
        }
        if (!read_section(reader, keys.names[found])) {
            return false;
        }
    }
    return false;
}

static bool read_stream(struct reader *reader) {
    if (!next(reader)) {
        return false;
    }
    MKV_ASSERT(reader->event.type == YAML_STREAM_START_EVENT);
    if (!next(reader)) {
        return false;
    }
    if (reader->event.type == YAML_STREAM_END_EVENT) {
        return fail_empty(reader);
    }
    MKV_ASSERT(reader->event.type == YAML_DOCUMENT_START_EVENT);
    if (!next(reader) || !read_sections(reader) || !next(reader)) {
        return false;
    }
    MKV_ASSERT(reader->event.type == YAML_DOCUMENT_END_EVENT);
    if (!next(reader)) {
        return false;
    }
    if (reader->event.type != YAML_STREAM_END_EVENT) {
        return fail(reader, current_line(reader),
                    "the file has a second YAML document; a configuration is one document");
    }
    return true;
}

/* ---- from bytes and from a file -------------------------------------------------------------- */

/* Keeps what is before the last slash; "" for a file of the working directory. */
static void copy_directory(const char *path, char out[MKV_CONFIG_PATH_BYTES]) {
    const char *slash = strrchr(path, '/');
    size_t bytes = slash == NULL ? 0 : (size_t)(slash - path) + 1;
    MKV_ASSERT(bytes < MKV_CONFIG_PATH_BYTES);
    memcpy(out, path, bytes);
    out[bytes] = '\0';
}

static bool check_path(const char *path, struct mkv_config_error *error) {
    if (path[0] != '\0' && strlen(path) < MKV_CONFIG_PATH_BYTES) {
        return true;
    }
    return mkv_config_fail(error, MKV_EXIT_DAEMON_USAGE, "configuration file",
                           "its path must have 1 to %u bytes", MKV_CONFIG_PATH_BYTES - 1);
}

bool mkv_config_load_text(struct mkv_config *config, const char *path, const char *text,
                          size_t text_bytes, struct mkv_config_error *error) {
    MKV_ASSERT(config->file[0] == '\0');
    if (!check_path(path, error)) {
        return false;
    }
    struct mkv_config read = *config;
    struct reader reader = {
        .config = &read, .error = error, .path = path, .text = text, .text_bytes = text_bytes};
    if (text_bytes > MKV_CONFIG_FILE_BYTES_MAX) {
        return fail(&reader, 0, "the file is larger than 1MiB; is it a configuration?");
    }
    copy_directory(path, reader.directory);
    if (yaml_parser_initialize(&reader.parser) == 0) {
        return fail(&reader, 0, "there is no memory to read it");
    }
    yaml_parser_set_encoding(&reader.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&reader.parser, (const unsigned char *)text, text_bytes);
    bool ok = read_stream(&reader);
    yaml_event_delete(&reader.event);
    yaml_parser_delete(&reader.parser);
    if (ok) {
        memcpy(read.file, path, strlen(path) + 1);
        *config = read;
    }
    return ok;
}

static bool fail_errno(struct mkv_config_error *error, const char *path, int number) {
    char where[MKV_CONFIG_WHERE_BYTES];
    mkv_config_where(path, 0, where);
    enum mkv_exit_daemon exit_code = MKV_EXIT_DAEMON_CONFIGURATION;
    if (number == EACCES || number == EPERM) {
        exit_code = MKV_EXIT_DAEMON_PERMISSION;
    } else if (number == EIO) {
        exit_code = MKV_EXIT_DAEMON_IO;
    }
    return mkv_config_fail(error, exit_code, where, "cannot read the configuration file: %s",
                           strerror(number));
}

/* Reads up to `bytes_max` bytes. Returns how many, or a negative errno. */
static ssize_t read_all(int file, char *target, size_t bytes_max) {
    size_t used = 0;
    while (used < bytes_max) {
        ssize_t bytes = read(file, target + used, bytes_max - used);
        if (bytes == 0) {
            break;
        }
        if (bytes < 0 && errno == EINTR) {
            continue;
        }
        if (bytes < 0) {
            return -errno;
        }
        used += (size_t)bytes;
    }
    return (ssize_t)used;
}

bool mkv_config_load_file(struct mkv_config *config, const char *path,
                          struct mkv_config_error *error) {
    if (!check_path(path, error)) {
        return false;
    }
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (file < 0) {
        return fail_errno(error, path, errno);
    }
    /* One byte more than allowed tells a file that is too large from one that just fits. */
    size_t room = MKV_CONFIG_FILE_BYTES_MAX + 1;
    char *text = malloc(room);
    ssize_t bytes = text != NULL ? read_all(file, text, room) : -ENOMEM;
    close(file);
    bool ok = bytes < 0 ? fail_errno(error, path, (int)-bytes)
                        : mkv_config_load_text(config, path, text, (size_t)bytes, error);
    if (bytes > 0) {
        explicit_bzero(text, (size_t)bytes); /* a secret may stand there */
    }
    free(text);
    return ok;
}
