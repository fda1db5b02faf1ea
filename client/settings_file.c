/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file of settings: one mapping of plain keys and values, and lists of servers and devices.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <yaml.h>

#include "client/engine.h"
#include "client/settings.h"

#define KEYS_MAX 32u
#define LIST_BYTES_MAX (MKV_CLIENT_SERVERS_MAX * (MKV_CLIENT_ADDRESS_BYTES + 5u))

struct reader {
    struct mkv_settings *settings;
    struct memkv_error *error;
    const char *path;
    yaml_document_t document;
    char list[LIST_BYTES_MAX]; /* the servers, as one text */
    size_t list_bytes;
};

/* "FILE:LINE: " of a node. */
static const char *origin_of(const struct reader *reader, const yaml_node_t *node, char *text,
                             size_t text_bytes) {
    snprintf(text, text_bytes, "%.150s:%zu: ", reader->path, node->start_mark.line + 1);
    return text;
}

/* The text of a plain value without zeros in it, or NULL. */
static const char *scalar_of(const yaml_node_t *node) {
    const bool is_text = node != NULL && node->type == YAML_SCALAR_NODE &&
                         memchr(node->data.scalar.value, '\0', node->data.scalar.length) == NULL;
    return is_text ? (const char *)node->data.scalar.value : NULL;
}

static enum memkv_status fail_at(const struct reader *reader, const yaml_node_t *node,
                                 const char *what) {
    char origin[200];
    return mkv_client_fail(reader->error, MEMKV_INVALID, "%s%s",
                           origin_of(reader, node, origin, sizeof origin), what);
}

/* One more server behind the others of the list. */
static bool list_add(struct reader *reader, const char *address, const char *weight) {
    const size_t left_bytes = sizeof reader->list - reader->list_bytes;
    const int byte_count = snprintf(reader->list + reader->list_bytes, left_bytes, "%s%s%s%s",
                                    reader->list_bytes > 0 ? "," : "", address,
                                    weight != NULL ? "*" : "", weight != NULL ? weight : "");
    if (byte_count < 0 || (size_t)byte_count >= left_bytes) {
        return false;
    }
    reader->list_bytes += (size_t)byte_count;
    return true;
}

/* {address, weight} */
static enum memkv_status read_server(struct reader *reader, const yaml_node_t *node) {
    const char *address = NULL;
    const char *weight = NULL;
    for (const yaml_node_pair_t *pair = node->data.mapping.pairs.start;
         pair < node->data.mapping.pairs.top; pair++) {
        const yaml_node_t *key = yaml_document_get_node(&reader->document, pair->key);
        const char *name = scalar_of(key);
        const char *value = scalar_of(yaml_document_get_node(&reader->document, pair->value));
        if (name != NULL && strcmp(name, "address") == 0 && address == NULL) {
            address = value;
        } else if (name != NULL && strcmp(name, "weight") == 0 && weight == NULL) {
            weight = value;
        } else {
            return fail_at(reader, key, "a server has an address and a weight, and nothing else");
        }
        if (value == NULL) {
            return fail_at(reader, key, "a server's address and weight are plain values");
        }
    }
    if (address == NULL || strpbrk(address, ",*") != NULL) {
        return fail_at(reader, node, "a server's address is HOST:PORT");
    }
    return list_add(reader, address, weight) ? MEMKV_OK : fail_at(reader, node, "too many servers");
}

static enum memkv_status read_list(struct reader *reader, const yaml_node_t *node) {
    reader->list_bytes = 0;
    for (const yaml_node_item_t *item = node->data.sequence.items.start;
         item < node->data.sequence.items.top; item++) {
        const yaml_node_t *server = yaml_document_get_node(&reader->document, *item);
        const char *text = scalar_of(server);
        enum memkv_status status = MEMKV_OK;
        if (server->type == YAML_MAPPING_NODE) {
            status = read_server(reader, server);
        } else if (text == NULL || strchr(text, ',') != NULL || !list_add(reader, text, NULL)) {
            status = fail_at(reader, server,
                             "a server is HOST:PORT, HOST:PORT*WEIGHT, or an address and a weight");
        }
        if (status != MEMKV_OK) {
            return status;
        }
    }
    char origin[200];
    if (reader->list_bytes == 0) {
        return fail_at(reader, node, "servers is empty");
    }
    return mkv_settings_set(reader->settings, origin_of(reader, node, origin, sizeof origin),
                            "servers", reader->list, reader->error);
}

/* The RDMA devices, as one text. */
static enum memkv_status read_devices(struct reader *reader, const yaml_node_t *node) {
    reader->list_bytes = 0;
    for (const yaml_node_item_t *item = node->data.sequence.items.start;
         item < node->data.sequence.items.top; item++) {
        const char *text = scalar_of(yaml_document_get_node(&reader->document, *item));
        if (text == NULL || strchr(text, ',') != NULL || !list_add(reader, text, NULL)) {
            return fail_at(reader, node, "a list of RDMA devices has a name in each place");
        }
    }
    char origin[200];
    reader->list[reader->list_bytes] = '\0';
    return mkv_settings_set(reader->settings, origin_of(reader, node, origin, sizeof origin),
                            "rdma_devices", reader->list, reader->error);
}

static bool is_among(const char *const *names, uint32_t count, const char *name) {
    for (uint32_t index = 0; index < count; index++) {
        if (strcmp(names[index], name) == 0) {
            return true;
        }
    }
    return false;
}

static enum memkv_status read_root(struct reader *reader) {
    const yaml_node_t *root = yaml_document_get_root_node(&reader->document);
    const char *seen[KEYS_MAX];
    uint32_t seen_count = 0;
    if (root == NULL) {
        return MEMKV_OK; /* an empty file */
    }
    if (root->type != YAML_MAPPING_NODE) {
        return fail_at(reader, root, "the file is keys and values, as in servers: 127.0.0.1:9900");
    }
    for (const yaml_node_pair_t *pair = root->data.mapping.pairs.start;
         pair < root->data.mapping.pairs.top; pair++) {
        const yaml_node_t *key = yaml_document_get_node(&reader->document, pair->key);
        const yaml_node_t *value = yaml_document_get_node(&reader->document, pair->value);
        const char *name = scalar_of(key);
        const char *text = scalar_of(value);
        char origin[200];
        if (name == NULL || seen_count == KEYS_MAX) {
            return fail_at(reader, key, "a key is a plain word");
        }
        if (is_among(seen, seen_count, name)) {
            return fail_at(reader, key, "this key stands in the file twice");
        }
        seen[seen_count++] = name;
        enum memkv_status status = MEMKV_OK;
        if (strcmp(name, "servers") == 0 && value->type == YAML_SEQUENCE_NODE) {
            status = read_list(reader, value);
        } else if (strcmp(name, "rdma_devices") == 0 && value->type == YAML_SEQUENCE_NODE) {
            status = read_devices(reader, value);
        } else {
            status =
                mkv_settings_set(reader->settings, origin_of(reader, key, origin, sizeof origin),
                                 name, text != NULL ? text : "", reader->error);
        }
        if (status != MEMKV_OK) {
            return status;
        }
    }
    const bool has_both =
        is_among(seen, seen_count, "servers") && is_among(seen, seen_count, "discovery");
    return has_both ? fail_at(reader, root,
                              "servers and discovery are both given; give the one where the "
                              "servers come from")
                    : MEMKV_OK;
}

/* Reads the whole file into `bytes`, which has room for one byte more than may be. */
static enum memkv_status slurp(const char *path, uint8_t *bytes, size_t *byte_count,
                               struct memkv_error *error) {
    const int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    *byte_count = 0;
    ssize_t count = descriptor < 0 ? -1 : 1;
    while (count > 0 && *byte_count <= MKV_SETTINGS_FILE_BYTES_MAX) {
        count =
            read(descriptor, bytes + *byte_count, MKV_SETTINGS_FILE_BYTES_MAX + 1 - *byte_count);
        *byte_count += count > 0 ? (size_t)count : 0;
    }
    const int failure = errno;
    if (descriptor >= 0) {
        close(descriptor);
    }
    if (count < 0) {
        return mkv_client_fail(error, MEMKV_INVALID, "MEMKV_CONFIG: %.150s cannot be read: %s",
                               path, strerror(failure));
    }
    if (*byte_count > MKV_SETTINGS_FILE_BYTES_MAX) {
        return mkv_client_fail(
            error, MEMKV_INVALID,
            "MEMKV_CONFIG: %.150s has more than %u bytes, which no such file has", path,
            MKV_SETTINGS_FILE_BYTES_MAX);
    }
    return MEMKV_OK;
}

static enum memkv_status parse(struct reader *reader, const uint8_t *bytes, size_t byte_count) {
    yaml_parser_t parser;
    if (yaml_parser_initialize(&parser) == 0) {
        return mkv_client_fail(reader->error, MEMKV_NO_MEMORY, "no memory to read %.150s",
                               reader->path);
    }
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser, bytes, byte_count);
    enum memkv_status status;
    if (yaml_parser_load(&parser, &reader->document) != 0) {
        status = read_root(reader);
        yaml_document_delete(&reader->document);
    } else {
        status = mkv_client_fail(reader->error, MEMKV_INVALID, "%.150s:%zu: not valid YAML: %s",
                                 reader->path, parser.problem_mark.line + 1,
                                 parser.problem != NULL ? parser.problem : "no reason given");
    }
    yaml_parser_delete(&parser);
    return status;
}

enum memkv_status mkv_settings_read_file(struct mkv_settings *settings, const char *path,
                                         struct memkv_error *error) {
    struct reader *reader = calloc(1, sizeof *reader);
    uint8_t *bytes = malloc(MKV_SETTINGS_FILE_BYTES_MAX + 1u);
    size_t byte_count = 0;
    enum memkv_status status = MEMKV_NO_MEMORY;
    if (reader == NULL || bytes == NULL) {
        mkv_client_fail(error, status, "no memory to read %.150s", path);
    } else {
        reader->settings = settings;
        reader->error = error;
        reader->path = path;
        status = slurp(path, bytes, &byte_count, error);
        if (status == MEMKV_OK) {
            status = parse(reader, bytes, byte_count);
        }
    }
    free(bytes);
    free(reader);
    return status;
}
