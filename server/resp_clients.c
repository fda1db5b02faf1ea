/* SPDX-License-Identifier: Apache-2.0 */
#include "server/resp_clients.h"

#include <stdio.h>
#include <string.h>

#define NS_PER_S 1000000000ull
#define INDEX_BITS 17u
_Static_assert(MKV_FABRIC_RESP_CONNECTIONS_MAX < 1u << INDEX_BITS, "a number has room for each");

struct list {
    struct mkv_fabric_resp *fabric;
    struct mkv_resp_call *call;
    const struct mkv_resp_word *words;
    uint32_t word_count;
    uint64_t now_ns;
};

uint64_t mkv_resp_client_number(struct mkv_connection_id id) {
    return ((uint64_t)id.generation << INDEX_BITS | id.index) + 1;
}

void mkv_resp_client_line(const struct mkv_resp_client *client, uint64_t now_ns,
                          struct mkv_text *out) {
    mkv_text_format(out, "id=%llu addr=%s laddr= fd=0 name=%s age=%llu idle=%llu flags=N db=0 ",
                    (unsigned long long)mkv_resp_client_number(client->id), client->address,
                    client->identity.name,
                    (unsigned long long)((now_ns - client->connected_ns) / NS_PER_S),
                    (unsigned long long)((now_ns - client->last_ns) / NS_PER_S));
    mkv_text_format(out, "sub=0 psub=0 ssub=0 multi=-1 qbuf=%u qbuf-free=0 argv-mem=0 multi-mem=0 ",
                    client->received_bytes);
    mkv_text_format(out, "rbs=0 rbp=0 obl=%u oll=%u omem=0 tot-mem=0 events=r cmd=%s user=%s ",
                    client->reply_bytes, client->under_way,
                    client->last_command[0] == '\0' ? "NULL" : client->last_command,
                    client->user[0] == '\0' ? "default" : client->user);
    mkv_text_format(out, "redir=-1 resp=%u lib-name=%s lib-ver=%s\n", client->protocol,
                    client->identity.lib_name, client->identity.lib_version);
}

/* ---- what a connection says of itself -------------------------------------------------------- */

/* False when it holds something else than printable ASCII without spaces. */
static bool is_name(struct mkv_resp_word word) {
    for (uint32_t i = 0; i < word.count; i++) {
        if (word.bytes[i] < '!' || word.bytes[i] > '~') {
            return false;
        }
    }
    return true;
}

static void take_name(struct mkv_resp_call *call, struct mkv_resp_word word,
                      char target[MKV_FABRIC_RESP_NAME_BYTES_MAX + 1], const char *refusal) {
    if (word.count > MKV_FABRIC_RESP_NAME_BYTES_MAX) {
        mkv_resp_write_error(&call->reply, "ERR the name is longer than 64 bytes");
    } else if (!is_name(word)) {
        mkv_resp_write_error(&call->reply, refusal);
    } else {
        memcpy(target, word.bytes, word.count);
        target[word.count] = '\0';
        mkv_resp_write_simple(&call->reply, "OK");
    }
}

static void set_info(struct mkv_resp_call *call, const struct mkv_resp_word *words) {
    if (mkv_resp_word_is(words[2], "lib-name")) {
        take_name(call, words[3], call->identity->lib_name,
                  "ERR lib-name cannot contain spaces, newlines or special characters.");
    } else if (mkv_resp_word_is(words[2], "lib-ver")) {
        take_name(call, words[3], call->identity->lib_version,
                  "ERR lib-ver cannot contain spaces, newlines or special characters.");
    } else {
        char text[128];
        snprintf(text, sizeof text, "ERR Unrecognized option '%.*s'",
                 (int)mkv_min_u64(words[2].count, 64), (const char *)words[2].bytes);
        mkv_resp_write_error(&call->reply, text);
    }
}

static void switch_word(struct mkv_resp_call *call, struct mkv_resp_word word) {
    if (mkv_resp_word_is(word, "on") || mkv_resp_word_is(word, "off")) {
        mkv_resp_write_simple(&call->reply, "OK");
    } else {
        mkv_resp_write_error(&call->reply, "ERR syntax error");
    }
}

/* ---- lists ----------------------------------------------------------------------------------- */

static bool number_of(struct mkv_resp_word word, uint64_t *number) {
    int64_t value;
    if (!mkv_resp_integer_parse(word.bytes, word.count, &value) || value < 1) {
        return false;
    }
    *number = (uint64_t)value;
    return true;
}

/* Whether the arguments of LIST, from words[2] on, want the connection. They have been checked. */
static bool list_wants(const struct list *list, const struct mkv_resp_client *client) {
    if (list->word_count <= 3) {
        return true;
    }
    if (mkv_resp_word_is(list->words[2], "type")) {
        return mkv_resp_word_is(list->words[3], "normal");
    }
    for (uint32_t i = 3; i < list->word_count; i++) {
        uint64_t number;
        if (number_of(list->words[i], &number) && number == mkv_resp_client_number(client->id)) {
            return true;
        }
    }
    return false;
}

static bool list_is_valid(const struct list *list) {
    static const char *const types[] = {"normal", "master", "replica", "pubsub"};
    if (list->word_count == 2) {
        return true;
    }
    if (list->word_count == 4 && mkv_resp_word_is(list->words[2], "type")) {
        for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
            if (mkv_resp_word_is(list->words[3], types[i])) {
                return true;
            }
        }
        char text[128];
        snprintf(text, sizeof text, "ERR Unknown client type '%.*s'",
                 (int)mkv_min_u64(list->words[3].count, 64), (const char *)list->words[3].bytes);
        mkv_resp_write_error(&list->call->reply, text);
        return false;
    }
    if (list->word_count < 4 || !mkv_resp_word_is(list->words[2], "id")) {
        mkv_resp_write_error(&list->call->reply, "ERR syntax error");
        return false;
    }
    for (uint32_t i = 3; i < list->word_count; i++) {
        uint64_t number;
        if (!number_of(list->words[i], &number)) {
            mkv_resp_write_error(&list->call->reply, "ERR Invalid client ID");
            return false;
        }
    }
    return true;
}

static void write_list(const struct list *list) {
    if (!list_is_valid(list)) {
        return;
    }
    struct mkv_text text = {0};
    struct mkv_resp_client client;
    uint32_t cursor = 0;
    uint32_t count = 0;
    while (mkv_fabric_resp_next_client(list->fabric, &cursor, &client)) {
        if (list_wants(list, &client)) {
            count++;
            if (count <= MKV_RESP_CLIENT_LINES_MAX) {
                mkv_resp_client_line(&client, list->now_ns, &text);
            }
        }
    }
    if (count > MKV_RESP_CLIENT_LINES_MAX) {
        mkv_resp_write_error(&list->call->reply,
                             "ERR there are too many clients for a reply; memkv admin clients "
                             "lists them");
    } else {
        mkv_resp_write_verbatim(&list->call->reply, text.count == 0 ? "" : text.bytes,
                                (uint32_t)text.count);
    }
    mkv_text_free(&text);
}

static void write_own(const struct list *list) {
    struct mkv_text text = {0};
    struct mkv_resp_client client;
    uint32_t cursor = 0;
    while (mkv_fabric_resp_next_client(list->fabric, &cursor, &client)) {
        if (client.id.index == list->call->connection.index) {
            mkv_resp_client_line(&client, list->now_ns, &text);
            break;
        }
    }
    mkv_resp_write_verbatim(&list->call->reply, text.count == 0 ? "" : text.bytes,
                            (uint32_t)text.count);
    mkv_text_free(&text);
}

/* ---- KILL ------------------------------------------------------------------------------------ */

/* What the arguments of KILL name. */
struct victims {
    bool by_id;
    uint64_t number;
    char address[64]; /* "": any */
    bool spare_self;
    bool none; /* a type or user that no connection has */
};

static bool take_address(struct mkv_resp_word word, struct victims *victims) {
    if (word.count == 0 || word.count >= sizeof victims->address) {
        return false;
    }
    memcpy(victims->address, word.bytes, word.count);
    victims->address[word.count] = '\0';
    return true;
}

static bool take_filter(struct mkv_resp_word name, struct mkv_resp_word value,
                        struct victims *victims) {
    if (mkv_resp_word_is(name, "id")) {
        victims->by_id = true;
        return number_of(value, &victims->number);
    }
    if (mkv_resp_word_is(name, "addr")) {
        return take_address(value, victims);
    }
    if (mkv_resp_word_is(name, "skipme")) {
        victims->spare_self = mkv_resp_word_is(value, "yes");
        return victims->spare_self || mkv_resp_word_is(value, "no");
    }
    if (mkv_resp_word_is(name, "type")) {
        victims->none = !mkv_resp_word_is(value, "normal");
        return true;
    }
    return false;
}

/* Returns how many there were. One that kills itself gets its reply first. */
static uint64_t kill_all(struct mkv_fabric_resp *fabric, struct mkv_resp_call *call,
                         const struct victims *victims) {
    struct mkv_resp_client client;
    uint32_t cursor = 0;
    uint64_t count = 0;
    while (!victims->none && mkv_fabric_resp_next_client(fabric, &cursor, &client)) {
        const bool is_self = client.id.index == call->connection.index;
        if ((victims->by_id && mkv_resp_client_number(client.id) != victims->number) ||
            (victims->address[0] != '\0' && strcmp(client.address, victims->address) != 0) ||
            (is_self && victims->spare_self)) {
            continue;
        }
        count++;
        if (is_self) {
            call->closes = true;
        } else if (!mkv_fabric_resp_kill(fabric, client.id)) {
            count--;
        }
    }
    return count;
}

static void run_kill(const struct list *list) {
    struct victims victims = {.spare_self = true};
    bool valid = true;
    if (list->word_count == 3) {
        victims.spare_self = false;
        valid = take_address(list->words[2], &victims);
    } else {
        valid = list->word_count % 2 == 0;
        for (uint32_t i = 2; valid && i < list->word_count; i += 2) {
            valid = take_filter(list->words[i], list->words[i + 1], &victims);
        }
    }
    if (!valid) {
        mkv_resp_write_error(&list->call->reply, "ERR syntax error");
        return;
    }
    const uint64_t count = kill_all(list->fabric, list->call, &victims);
    if (list->word_count != 3) {
        mkv_resp_write_integer(&list->call->reply, (int64_t)count);
    } else if (count == 0) {
        mkv_resp_write_error(&list->call->reply, "ERR No such client");
    } else {
        mkv_resp_write_simple(&list->call->reply, "OK");
    }
}

/* ---- all of them ----------------------------------------------------------------------------- */

void mkv_resp_clients_run(struct mkv_fabric_resp *fabric, struct mkv_resp_call *call,
                          const struct mkv_resp_command_row *row, const struct mkv_resp_word *words,
                          uint32_t word_count, uint64_t now_ns) {
    const struct list list = {fabric, call, words, word_count, now_ns};
    const char *name = row->name + strlen("client|");
    if (strcmp(name, "id") == 0) {
        mkv_resp_write_integer(&call->reply, (int64_t)mkv_resp_client_number(call->connection));
    } else if (strcmp(name, "getname") == 0) {
        if (call->identity->name[0] == '\0') {
            mkv_resp_write_null(&call->reply);
        } else {
            mkv_resp_write_text(&call->reply, call->identity->name);
        }
    } else if (strcmp(name, "setname") == 0) {
        take_name(call, words[2], call->identity->name,
                  "ERR Client names cannot contain spaces, newlines or special characters.");
    } else if (strcmp(name, "setinfo") == 0) {
        set_info(call, words);
    } else if (strcmp(name, "info") == 0) {
        write_own(&list);
    } else if (strcmp(name, "list") == 0) {
        write_list(&list);
    } else if (strcmp(name, "kill") == 0) {
        run_kill(&list);
    } else {
        switch_word(call, words[2]); /* no-evict, no-touch */
    }
}
