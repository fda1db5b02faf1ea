/* SPDX-License-Identifier: Apache-2.0 */
#include "server/resp_clients.h"

#include <stdio.h>
#include <string.h>

#define NS_PER_S 1000000000ull

/* Whole seconds since then; none since what came while the command waited for its turn. */
static unsigned long long seconds_since(uint64_t then_ns, uint64_t now_ns) {
    return (now_ns - mkv_min_u64(now_ns, then_ns)) / NS_PER_S;
}

void mkv_resp_client_line(const struct mkv_resp_client *client, uint64_t now_ns,
                          struct mkv_text *out) {
    char local[64];
    mkv_fabric_resp_local_address(client, local);
    mkv_text_format(out, "id=%llu addr=%s laddr=%s fd=%d name=%s age=%llu idle=%llu flags=N db=0 ",
                    (unsigned long long)mkv_resp_client_id(client->id), client->address, local,
                    client->fd, client->identity.name, seconds_since(client->connected_ns, now_ns),
                    seconds_since(client->last_ns, now_ns));
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

static void write_own(struct mkv_fabric_resp *fabric, struct mkv_resp_call *call, uint64_t now_ns) {
    struct mkv_text text = {0};
    struct mkv_resp_client client;
    uint32_t cursor = 0;
    while (mkv_fabric_resp_next_client(fabric, &cursor, &client)) {
        if (client.id.index == call->connection.index) {
            mkv_resp_client_line(&client, now_ns, &text);
            break;
        }
    }
    mkv_resp_write_verbatim(&call->reply, text.count == 0 ? "" : text.bytes, (uint32_t)text.count);
    mkv_text_free(&text);
}

void mkv_resp_clients_run(struct mkv_fabric_resp *fabric, struct mkv_resp_call *call,
                          const struct mkv_resp_command_row *row, const struct mkv_resp_word *words,
                          uint64_t now_ns) {
    const char *name = row->name + strlen("client|");
    if (strcmp(name, "id") == 0) {
        mkv_resp_write_integer(&call->reply, (int64_t)mkv_resp_client_id(call->connection));
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
        write_own(fabric, call, now_ns);
    } else {
        switch_word(call, words[2]); /* no-evict, no-touch */
    }
}

/* ---- LIST ------------------------------------------------------------------------------------ */

struct list {
    const struct mkv_resp_clients_question *question;
    struct mkv_text text;
    uint32_t count;
};

static bool number_of(struct mkv_resp_word word, uint64_t *number) {
    int64_t value;
    if (!mkv_resp_integer_parse(word.bytes, word.count, &value) || value < 1) {
        return false;
    }
    *number = (uint64_t)value;
    return true;
}

/* Whether the arguments of LIST, from words[2] on, want the connection. They have been checked. */
static bool list_wants(const struct mkv_resp_clients_question *question,
                       const struct mkv_resp_client *client) {
    if (question->word_count <= 3) {
        return true;
    }
    if (mkv_resp_word_is(question->words[2], "type")) {
        return mkv_resp_word_is(question->words[3], "normal");
    }
    for (uint32_t i = 3; i < question->word_count; i++) {
        uint64_t number;
        if (number_of(question->words[i], &number) && number == mkv_resp_client_id(client->id)) {
            return true;
        }
    }
    return false;
}

static bool list_is_valid(const struct mkv_resp_clients_question *question,
                          struct mkv_resp_writer *writer) {
    static const char *const types[] = {"normal", "master", "replica", "pubsub"};
    const struct mkv_resp_word *words = question->words;
    if (question->word_count == 2) {
        return true;
    }
    if (question->word_count == 4 && mkv_resp_word_is(words[2], "type")) {
        for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
            if (mkv_resp_word_is(words[3], types[i])) {
                return true;
            }
        }
        char text[128];
        snprintf(text, sizeof text, "ERR Unknown client type '%.*s'",
                 (int)mkv_min_u64(words[3].count, 64), (const char *)words[3].bytes);
        mkv_resp_write_error(writer, text);
        return false;
    }
    if (question->word_count < 4 || !mkv_resp_word_is(words[2], "id")) {
        mkv_resp_write_error(writer, "ERR syntax error");
        return false;
    }
    for (uint32_t i = 3; i < question->word_count; i++) {
        uint64_t number;
        if (!number_of(words[i], &number)) {
            mkv_resp_write_error(writer, "ERR Invalid client ID");
            return false;
        }
    }
    return true;
}

static void list_look(void *context, struct mkv_fabric_resp *fabric) {
    struct list *list = context;
    struct mkv_resp_client client;
    uint32_t cursor = 0;
    while (list->count <= MKV_RESP_CLIENT_LINES_MAX &&
           mkv_fabric_resp_next_client(fabric, &cursor, &client)) {
        if (list_wants(list->question, &client)) {
            list->count++;
            mkv_resp_client_line(&client, list->question->now_ns, &list->text);
        }
    }
}

static void write_list(const struct mkv_resp_clients_question *question,
                       struct mkv_resp_writer *writer) {
    if (!list_is_valid(question, writer)) {
        return;
    }
    struct list list = {.question = question};
    question->each(question->context, list_look, &list);
    if (list.count > MKV_RESP_CLIENT_LINES_MAX) {
        mkv_resp_write_error(writer, "ERR there are too many clients for a reply; memkv admin "
                                     "clients lists them");
    } else {
        mkv_resp_write_verbatim(writer, list.text.count == 0 ? "" : list.text.bytes,
                                (uint32_t)list.text.count);
    }
    mkv_text_free(&list.text);
}

/* ---- KILL ------------------------------------------------------------------------------------ */

/* What the arguments of KILL name, and what came of it. */
struct victims {
    const struct mkv_resp_clients_question *question;
    bool by_id;
    uint64_t number;
    char address[64];       /* "": any */
    char local_address[64]; /* the same */
    bool spare_self;
    bool none; /* a type that no connection has */
    uint64_t count;
    bool has_self;
};

static bool take_address(struct mkv_resp_word word, char address[64]) {
    if (word.count == 0 || word.count >= 64) {
        return false;
    }
    memcpy(address, word.bytes, word.count);
    address[word.count] = '\0';
    return true;
}

static bool take_filter(struct mkv_resp_word name, struct mkv_resp_word value,
                        struct victims *victims) {
    if (mkv_resp_word_is(name, "id")) {
        victims->by_id = true;
        return number_of(value, &victims->number);
    }
    if (mkv_resp_word_is(name, "addr")) {
        return take_address(value, victims->address);
    }
    if (mkv_resp_word_is(name, "laddr")) {
        return take_address(value, victims->local_address);
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

static bool is_victim(const struct victims *victims, const struct mkv_resp_client *client,
                      bool is_self) {
    if (victims->none || (is_self && victims->spare_self) ||
        (victims->by_id && mkv_resp_client_id(client->id) != victims->number) ||
        (victims->address[0] != '\0' && strcmp(client->address, victims->address) != 0)) {
        return false;
    }
    char local[64];
    if (victims->local_address[0] == '\0') {
        return true;
    }
    mkv_fabric_resp_local_address(client, local);
    return strcmp(local, victims->local_address) == 0;
}

static void kill_look(void *context, struct mkv_fabric_resp *fabric) {
    struct victims *victims = context;
    const struct mkv_connection_id asker = victims->question->asker;
    struct mkv_resp_client client;
    uint32_t cursor = 0;
    while (mkv_fabric_resp_next_client(fabric, &cursor, &client)) {
        const bool is_self =
            client.id.index == asker.index && client.id.generation == asker.generation;
        if (!is_victim(victims, &client, is_self)) {
            continue;
        }
        /* One that kills itself gets its reply first. */
        victims->has_self = victims->has_self || is_self;
        victims->count += is_self || mkv_fabric_resp_kill(fabric, client.id) ? 1 : 0;
    }
}

static bool run_kill(const struct mkv_resp_clients_question *question,
                     struct mkv_resp_writer *writer) {
    struct victims victims = {.question = question, .spare_self = true};
    const bool is_old = question->word_count == 3; /* CLIENT KILL address */
    bool valid = true;
    if (is_old) {
        victims.spare_self = false;
        valid = take_address(question->words[2], victims.address);
    } else {
        valid = question->word_count % 2 == 0;
        for (uint32_t i = 2; valid && i < question->word_count; i += 2) {
            valid = take_filter(question->words[i], question->words[i + 1], &victims);
        }
    }
    if (!valid) {
        mkv_resp_write_error(writer, "ERR syntax error");
        return false;
    }
    question->each(question->context, kill_look, &victims);
    if (!is_old) {
        mkv_resp_write_integer(writer, (int64_t)victims.count);
    } else if (victims.count == 0) {
        mkv_resp_write_error(writer, "ERR No such client");
    } else {
        mkv_resp_write_simple(writer, "OK");
    }
    return victims.has_self;
}

/* ---- of all ---------------------------------------------------------------------------------- */

bool mkv_resp_clients_is_of_all(const struct mkv_resp_command_row *row) {
    return strcmp(row->name, "client|list") == 0 || strcmp(row->name, "client|kill") == 0;
}

bool mkv_resp_clients_ask(const struct mkv_resp_clients_question *question,
                          const struct mkv_resp_command_row *row, struct mkv_resp_writer *writer) {
    if (strcmp(row->name, "client|kill") == 0) {
        return run_kill(question, writer);
    }
    write_list(question, writer);
    return false;
}
