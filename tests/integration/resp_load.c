/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Seeded commands over RESP, with a model of what each key may hold. Values are acknowledged before
 * they are durable, so a server that was killed may have lost some; it may never have a wrong one.
 *
 *   resp_load --port P --seed S --commands N [--connections C] [--pipeline D] [--keys K]
 *             [--survive] [--no-setnx]
 *
 * Each connection has keys of its own, so that its own order of commands decides what they hold.
 * A key's model is a set of versions that it may have, and whether it may be absent:
 *
 *   SET v: OK           {v}
 *   DEL: 1 or 0         {}, absent; 1 only if it might be there, 0 only if it might be absent
 *   GET: a value        one of the set, byte for byte; then {that}
 *   GET: nothing        only if it might be absent; then {}
 *   EXISTS              the same without a value; after 1 a GET finds it
 *   connection lost     each command that was not answered may have been carried out, or not; and
 *                       every key may be absent. Only with --survive. A server that recovers
 *                       (LOADING) counts as one that is not there.
 *
 * Prints one line with counts and exits with 0, or says what was wrong and exits with 1.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CONNECTIONS_MAX 64u
#define PIPELINE_MAX 64u
#define VERSIONS_MAX 16u
#define VALUE_BYTES_MAX (1024u * 1024u)
#define KEY_BYTES_MAX 128u
#define SEND_BYTES_MAX (8u * 1024u * 1024u)
/* How long the server may be gone, or silent. */
#define PATIENCE_MS 120000u
/* Between two looks at whether it has recovered. */
#define LOADING_PAUSE_US 20000u

enum kind {
    PING,
    GET,
    SET,
    SETNX,
    EXISTS,
    DEL,
    STRLEN,
    GETRANGE,
    UNKNOWN,
    KIND_COUNT
};

struct key {
    bool may_be_absent;
    uint32_t count;
    uint32_t versions[VERSIONS_MAX];
    uint32_t next_version;
};

struct command {
    enum kind kind;
    uint32_t key;
    uint32_t version;   /* SET, SETNX */
    int64_t begin, end; /* GETRANGE */
};

struct connection {
    int fd; /* -1: to be opened */
    uint32_t index;
    uint64_t random;
    struct key *keys;
    struct command flight[PIPELINE_MAX];
    uint32_t flight_count, flight_done;
    uint32_t follow; /* 1 + a key that EXISTS said is there; GET of it comes next */
    char *out;
    size_t out_bytes, out_sent;
    char *in;
    size_t in_bytes, in_capacity;
};

struct load {
    uint16_t port;
    uint64_t seed;
    uint64_t commands, issued, answered;
    uint32_t connection_count, pipeline, key_count;
    bool survive;
    bool no_setnx; /* SET in its place */
    uint64_t by_kind[KIND_COUNT];
    uint64_t hits, misses, lost, reconnects;
    char *expected;
    struct connection connections[CONNECTIONS_MAX];
};

__attribute__((format(printf, 1, 2), noreturn)) static void fail(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fputs("WRONG: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(1);
}

static uint64_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* splitmix64. */
static uint64_t next(uint64_t *state) {
    uint64_t z = *state += 0x9e3779b97f4a7c15ull;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

/* ---- what a version of a key is -------------------------------------------------------------- */

static uint64_t value_seed(const struct load *load, uint32_t connection, uint32_t key,
                           uint32_t version) {
    uint64_t state = load->seed ^ (uint64_t)connection << 48 ^ (uint64_t)key << 24 ^ version;
    return next(&state);
}

/* Mostly small, as metadata is; some of several blocks' sizes, few of a megabyte. */
static uint32_t value_bytes(uint64_t seed) {
    uint64_t state = seed;
    const uint64_t draw = next(&state) % 1000;
    const uint64_t more = next(&state);
    if (draw < 400) {
        return 28;
    }
    if (draw < 700) {
        return (uint32_t)(more % 512);
    }
    if (draw < 900) {
        return (uint32_t)(more % 4096);
    }
    if (draw < 998) {
        return (uint32_t)(more % 16384);
    }
    return (uint32_t)(more % VALUE_BYTES_MAX);
}

static uint32_t make_value(uint64_t seed, char *out) {
    const uint32_t bytes = value_bytes(seed);
    uint64_t state = seed + 1;
    for (uint32_t at = 0; at < bytes; at += 8) {
        const uint64_t word = next(&state);
        memcpy(out + at, &word, bytes - at < 8 ? bytes - at : 8);
    }
    return bytes;
}

/* As LMCache makes them: model, rank, group, hash; and both of a pair for some. */
static int make_key(const struct load *load, uint32_t connection, uint32_t key,
                    char out[KEY_BYTES_MAX]) {
    uint64_t state = load->seed ^ (uint64_t)connection << 32 ^ key;
    return snprintf(out, KEY_BYTES_MAX, "model@%08x@0@%016llx%08x%s", connection,
                    (unsigned long long)next(&state), key,
                    key % 3 == 0   ? "kv_bytes"
                    : key % 3 == 1 ? "metadata"
                                   : "");
}

/* ---- the model ------------------------------------------------------------------------------- */

static void set_absent(struct key *key) {
    key->count = 0;
    key->may_be_absent = true;
}

static void set_to(struct key *key, uint32_t version) {
    key->count = 1;
    key->versions[0] = version;
    key->may_be_absent = false;
}

/* One more that it may have. When there is no room left the key is retired by its caller. */
static void allow(struct key *key, uint32_t version) {
    for (uint32_t i = 0; i < key->count; i++) {
        if (key->versions[i] == version) {
            return;
        }
    }
    if (key->count == VERSIONS_MAX) {
        fail("a key has more possible versions than the model has room for");
    }
    key->versions[key->count++] = version;
}

/* ---- sending --------------------------------------------------------------------------------- */

static void append(struct connection *connection, const void *bytes, size_t count) {
    if (connection->out_bytes + count > SEND_BYTES_MAX) {
        fail("the commands of a pipeline are longer than the buffer");
    }
    memcpy(connection->out + connection->out_bytes, bytes, count);
    connection->out_bytes += count;
}

static void append_argument(struct connection *connection, const void *bytes, size_t count) {
    char line[32];
    append(connection, line, (size_t)snprintf(line, sizeof line, "$%zu\r\n", count));
    append(connection, bytes, count);
    append(connection, "\r\n", 2);
}

static void append_words(struct connection *connection, uint32_t count, const char *name) {
    char line[32];
    append(connection, line, (size_t)snprintf(line, sizeof line, "*%u\r\n", count));
    append_argument(connection, name, strlen(name));
}

static void write_command(struct load *load, struct connection *connection,
                          const struct command *command) {
    static const char *const names[KIND_COUNT] = {"PING", "GET",    "SET",      "SETNX", "EXISTS",
                                                  "DEL",  "STRLEN", "GETRANGE", "NOSUCH"};
    char key[KEY_BYTES_MAX];
    const size_t key_bytes = (size_t)make_key(load, connection->index, command->key, key);
    if (command->kind == PING) {
        append_words(connection, 1, "PING");
    } else if (command->kind == SET || command->kind == SETNX) {
        const uint32_t bytes = make_value(
            value_seed(load, connection->index, command->key, command->version), load->expected);
        append_words(connection, 3, names[command->kind]);
        append_argument(connection, key, key_bytes);
        append_argument(connection, load->expected, bytes);
    } else if (command->kind == GETRANGE) {
        char number[32];
        append_words(connection, 4, "GETRANGE");
        append_argument(connection, key, key_bytes);
        append_argument(connection, number,
                        (size_t)snprintf(number, sizeof number, "%lld", (long long)command->begin));
        append_argument(connection, number,
                        (size_t)snprintf(number, sizeof number, "%lld", (long long)command->end));
    } else {
        append_words(connection, 2, names[command->kind]);
        append_argument(connection, key, key_bytes);
    }
}

static void draw(struct load *load, struct connection *connection, struct command *command) {
    const uint64_t kind = next(&connection->random) % 1000;
    command->key = (uint32_t)(next(&connection->random) % load->key_count);
    command->kind = kind < 360   ? GET
                    : kind < 610 ? SET
                    : kind < 860 ? EXISTS
                    : kind < 930 ? DEL
                    : kind < 950 ? STRLEN
                    : kind < 970 ? GETRANGE
                    : kind < 985 ? SETNX
                    : kind < 995 ? PING
                                 : UNKNOWN;
    if (command->kind == SETNX && load->no_setnx) {
        command->kind = SET;
    }
    if (connection->follow != 0) {
        command->kind = GET;
        command->key = connection->follow - 1;
        connection->follow = 0;
    }
    if (command->kind == SET || command->kind == SETNX) {
        command->version = ++connection->keys[command->key].next_version;
    }
    command->begin = (int64_t)(next(&connection->random) % 64) - 32;
    command->end = (int64_t)(next(&connection->random) % 20000) - 32;
}

/* The next commands, of which one key's changes fit its model. */
static void begin_batch(struct load *load, struct connection *connection) {
    const uint32_t wanted = 1 + (uint32_t)(next(&connection->random) % load->pipeline);
    connection->flight_count = 0;
    connection->flight_done = 0;
    connection->out_bytes = 0;
    connection->out_sent = 0;
    while (connection->flight_count < wanted && load->issued < load->commands &&
           connection->out_bytes < SEND_BYTES_MAX - 2 * VALUE_BYTES_MAX) {
        struct command *command = &connection->flight[connection->flight_count];
        memset(command, 0, sizeof *command);
        draw(load, connection, command);
        write_command(load, connection, command);
        connection->flight_count++;
        load->issued++;
    }
}

/* ---- replies --------------------------------------------------------------------------------- */

struct reply {
    char type;
    int64_t number; /* of an integer, or the length of a bulk; -1: nothing */
    const char *bytes;
};

/* Takes a reply off the input; 0 when it is not there in whole, else its size. */
static size_t parse(const struct connection *connection, size_t from, struct reply *reply) {
    const char *begin = connection->in + from;
    const size_t there = connection->in_bytes - from;
    const char *end = there == 0 ? NULL : memchr(begin, '\n', there);
    if (end == NULL) {
        return 0;
    }
    if (end == begin || end[-1] != '\r') {
        fail("a line of a reply does not end in CR LF");
    }
    const size_t line = (size_t)(end - begin) + 1;
    reply->type = *begin;
    reply->bytes = begin + 1;
    reply->number = strtoll(begin + 1, NULL, 10);
    if (*begin != '$' || reply->number < 0) {
        return line;
    }
    if (there < line + (size_t)reply->number + 2) {
        return 0;
    }
    reply->bytes = begin + line;
    if (memcmp(reply->bytes + reply->number, "\r\n", 2) != 0) {
        fail("a bulk of %lld bytes is not closed by CR LF: out of step", (long long)reply->number);
    }
    return line + (size_t)reply->number + 2;
}

static void wrong(const struct load *load, const struct connection *connection,
                  const struct command *command, const struct reply *reply, const char *what) {
    char key[KEY_BYTES_MAX];
    make_key(load, connection->index, command->key, key);
    const struct key *model = &connection->keys[command->key];
    fail("command %d of key %s: %s; reply %c%lld '%.60s', %u versions possible, %s be absent",
         (int)command->kind, key, what, reply->type, (long long)reply->number,
         reply->type == '$' ? "" : reply->bytes, model->count,
         model->may_be_absent ? "may" : "may not");
}

/* The range of GETRANGE in a value, as Redis counts. */
static void range_of(const struct command *command, int64_t bytes, int64_t *begin, int64_t *count) {
    int64_t from = command->begin < 0 ? command->begin + bytes : command->begin;
    int64_t to = command->end < 0 ? command->end + bytes : command->end;
    const bool both_negative = command->begin < 0 && command->end < 0;
    from = from < 0 ? 0 : from;
    to = to < 0 ? 0 : to;
    to = to >= bytes ? bytes - 1 : to;
    *begin = from;
    *count = bytes == 0 || from > to || (both_negative && command->begin > command->end)
                 ? 0
                 : to - from + 1;
}

/* Whether a version of the key is what the reply to GET, STRLEN or GETRANGE says. */
static bool is_version(struct load *load, const struct connection *connection,
                       const struct command *command, const struct reply *reply, uint32_t version) {
    const uint64_t seed = value_seed(load, connection->index, command->key, version);
    int64_t begin = 0;
    int64_t count = value_bytes(seed);
    if (command->kind == STRLEN) {
        return reply->number == count;
    }
    if (command->kind == GETRANGE) {
        range_of(command, count, &begin, &count);
    }
    if (reply->number != count) {
        return false;
    }
    make_value(seed, load->expected);
    return memcmp(load->expected + begin, reply->bytes, (size_t)count) == 0;
}

/* A reply that tells what is there: leaves the versions that it fits. */
static void take_value(struct load *load, struct connection *connection,
                       const struct command *command, const struct reply *reply) {
    struct key *key = &connection->keys[command->key];
    uint32_t kept = 0;
    for (uint32_t i = 0; i < key->count; i++) {
        if (is_version(load, connection, command, reply, key->versions[i])) {
            key->versions[kept++] = key->versions[i];
        }
    }
    /* STRLEN and GETRANGE of an absent key are 0 and "". */
    const bool may_be_nothing = command->kind != GET && reply->number == 0 && key->may_be_absent;
    if (kept == 0 && !may_be_nothing) {
        wrong(load, connection, command, reply, "no version of it is that");
    }
    key->count = kept;
    key->may_be_absent = may_be_nothing;
    load->hits += kept > 0;
}

static void take_presence(struct load *load, struct connection *connection,
                          const struct command *command, const struct reply *reply, bool is_there) {
    struct key *key = &connection->keys[command->key];
    if (is_there && key->count == 0) {
        wrong(load, connection, command, reply, "it cannot be there");
    }
    if (!is_there && !key->may_be_absent) {
        wrong(load, connection, command, reply, "it must be there");
    }
    if (is_there) {
        key->may_be_absent = false;
        load->hits++;
    } else {
        load->misses++;
        load->lost += key->count > 0;
        set_absent(key);
    }
}

static void expect_type(const struct load *load, const struct connection *connection,
                        const struct command *command, const struct reply *reply, char type) {
    if (reply->type != type) {
        wrong(load, connection, command, reply, "that is no reply to it");
    }
}

static void take_reply(struct load *load, struct connection *connection,
                       const struct command *command, const struct reply *reply) {
    static const char types[KIND_COUNT] = {'+', '$', '+', ':', ':', ':', ':', '$', '-'};
    struct key *key = &connection->keys[command->key];
    expect_type(load, connection, command, reply, types[command->kind]);
    switch (command->kind) {
    case GET:
        if (reply->number >= 0) {
            take_value(load, connection, command, reply);
        } else {
            take_presence(load, connection, command, reply, false);
        }
        break;
    case STRLEN:
    case GETRANGE:
        take_value(load, connection, command, reply);
        break;
    case SET:
        set_to(key, command->version);
        break;
    case SETNX:
        take_presence(load, connection, command, reply, reply->number == 0);
        if (reply->number == 1) {
            set_to(key, command->version);
        }
        break;
    case EXISTS:
        take_presence(load, connection, command, reply, reply->number == 1);
        connection->follow = reply->number == 1 ? command->key + 1 : connection->follow;
        break;
    case DEL:
        take_presence(load, connection, command, reply, reply->number == 1);
        set_absent(key);
        break;
    case PING:
    case UNKNOWN:
    case KIND_COUNT:
        break;
    }
    load->by_kind[command->kind]++;
    load->answered++;
}

/* A server that has come back says so while it recovers, and has carried out nothing. */
static bool is_loading(const struct connection *connection, size_t at) {
    static const char loading[] = "-LOADING ";
    return connection->in_bytes - at >= sizeof loading - 1 &&
           memcmp(connection->in + at, loading, sizeof loading - 1) == 0;
}

/* False when the connection is to be opened anew. */
static bool take_replies(struct load *load, struct connection *connection) {
    size_t at = 0;
    while (connection->flight_done < connection->flight_count) {
        struct reply reply;
        const size_t bytes = parse(connection, at, &reply);
        if (bytes == 0) {
            break;
        }
        if (load->survive && is_loading(connection, at)) {
            usleep(LOADING_PAUSE_US);
            return false;
        }
        take_reply(load, connection, &connection->flight[connection->flight_done], &reply);
        connection->flight_done++;
        at += bytes;
    }
    connection->in_bytes -= at;
    memmove(connection->in, connection->in + at, connection->in_bytes);
    if (connection->flight_done == connection->flight_count && connection->in_bytes > 0) {
        fail("%zu bytes more than the replies: out of step", connection->in_bytes);
    }
    return true;
}

/* ---- connections ----------------------------------------------------------------------------- */

/* What was under way may have been carried out, or not, each at its turn; all else may be lost. */
static void lose(struct load *load, struct connection *connection) {
    if (!load->survive) {
        fail("the server closed a connection");
    }
    for (uint32_t i = 0; i < load->key_count; i++) {
        connection->keys[i].may_be_absent = true;
    }
    for (uint32_t i = connection->flight_done; i < connection->flight_count; i++) {
        const struct command *command = &connection->flight[i];
        if (command->kind == SET || command->kind == SETNX) {
            allow(&connection->keys[command->key], command->version);
        }
        load->answered++;
    }
    close(connection->fd);
    connection->fd = -1;
    connection->flight_count = 0;
    connection->flight_done = 0;
    connection->out_bytes = 0;
    connection->out_sent = 0;
    connection->in_bytes = 0;
    connection->follow = 0;
    load->reconnects++;
}

static void open_connection(struct load *load, struct connection *connection) {
    const uint64_t until = now_ms() + PATIENCE_MS;
    const struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons(load->port),
        .sin_addr = {htonl(INADDR_LOOPBACK)},
    };
    for (;;) {
        const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        const int one = 1;
        if (fd >= 0 && connect(fd, (const struct sockaddr *)&address, sizeof address) == 0) {
            setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
            fcntl(fd, F_SETFL, O_NONBLOCK);
            connection->fd = fd;
            return;
        }
        if (fd >= 0) {
            close(fd);
        }
        if (now_ms() > until) {
            fail("no connection in %u s: %s", PATIENCE_MS / 1000, strerror(errno));
        }
        usleep(20000);
    }
}

/* False when the connection is gone. */
static bool receive(struct connection *connection) {
    for (;;) {
        if (connection->in_bytes + 65536 > connection->in_capacity) {
            connection->in_capacity = connection->in_capacity * 2 + 1024 * 1024;
            connection->in = realloc(connection->in, connection->in_capacity);
            if (connection->in == NULL) {
                fail("no memory");
            }
        }
        const ssize_t count = recv(connection->fd, connection->in + connection->in_bytes,
                                   connection->in_capacity - connection->in_bytes, 0);
        if (count > 0) {
            connection->in_bytes += (size_t)count;
        } else if (count < 0 && (errno == EAGAIN || errno == EINTR)) {
            return true;
        } else {
            return false;
        }
    }
}

static bool send_more(struct connection *connection) {
    while (connection->out_sent < connection->out_bytes) {
        const ssize_t count = send(connection->fd, connection->out + connection->out_sent,
                                   connection->out_bytes - connection->out_sent, MSG_NOSIGNAL);
        if (count > 0) {
            connection->out_sent += (size_t)count;
        } else {
            return count < 0 && (errno == EAGAIN || errno == EINTR);
        }
    }
    return true;
}

static void advance(struct load *load, struct connection *connection, short events) {
    bool is_open = true;
    if (events & (POLLIN | POLLHUP | POLLERR)) {
        is_open = receive(connection);
        is_open = take_replies(load, connection) && is_open;
    }
    if (is_open && (events & POLLOUT)) {
        is_open = send_more(connection);
    }
    if (!is_open) {
        lose(load, connection);
    }
}

static void step(struct load *load) {
    struct pollfd polled[CONNECTIONS_MAX];
    for (uint32_t i = 0; i < load->connection_count; i++) {
        struct connection *connection = &load->connections[i];
        if (connection->fd < 0) {
            open_connection(load, connection);
        }
        if (connection->flight_done == connection->flight_count && load->issued < load->commands) {
            begin_batch(load, connection);
            if (!send_more(connection)) {
                lose(load, connection);
                open_connection(load, connection);
            }
        }
        polled[i] = (struct pollfd){.fd = connection->fd};
        polled[i].events =
            (short)(POLLIN | (connection->out_sent < connection->out_bytes ? POLLOUT : 0));
    }
    const int ready = poll(polled, load->connection_count, (int)PATIENCE_MS);
    if (ready == 0) {
        fail("no reply in %u s", PATIENCE_MS / 1000);
    }
    for (uint32_t i = 0; i < load->connection_count; i++) {
        if (polled[i].revents != 0) {
            advance(load, &load->connections[i], polled[i].revents);
        }
    }
}

static uint64_t number_of(const char *text) {
    char *end;
    errno = 0;
    const uint64_t value = strtoull(text, &end, 10);
    if (errno != 0 || *text == '\0' || *end != '\0') {
        fprintf(stderr, "resp_load: '%s' is no number\n", text);
        exit(2);
    }
    return value;
}

static void read_options(struct load *load, int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        const bool has_value = i + 1 < argc;
        if (strcmp(argv[i], "--survive") == 0) {
            load->survive = true;
        } else if (strcmp(argv[i], "--no-setnx") == 0) {
            load->no_setnx = true;
        } else if (has_value && strcmp(argv[i], "--port") == 0) {
            load->port = (uint16_t)number_of(argv[++i]);
        } else if (has_value && strcmp(argv[i], "--seed") == 0) {
            load->seed = number_of(argv[++i]);
        } else if (has_value && strcmp(argv[i], "--commands") == 0) {
            load->commands = number_of(argv[++i]);
        } else if (has_value && strcmp(argv[i], "--connections") == 0) {
            load->connection_count = (uint32_t)number_of(argv[++i]);
        } else if (has_value && strcmp(argv[i], "--pipeline") == 0) {
            load->pipeline = (uint32_t)number_of(argv[++i]);
        } else if (has_value && strcmp(argv[i], "--keys") == 0) {
            load->key_count = (uint32_t)number_of(argv[++i]);
        } else {
            fprintf(stderr, "resp_load: what is '%s'?\n", argv[i]);
            exit(2);
        }
    }
    if (load->port == 0 || load->key_count == 0 || load->connection_count == 0 ||
        load->connection_count > CONNECTIONS_MAX || load->pipeline == 0 ||
        load->pipeline > PIPELINE_MAX) {
        fprintf(stderr, "resp_load: --port is missing, or a number is out of range\n");
        exit(2);
    }
}

static void make_connections(struct load *load) {
    load->expected = malloc(VALUE_BYTES_MAX);
    for (uint32_t i = 0; i < load->connection_count; i++) {
        struct connection *connection = &load->connections[i];
        connection->fd = -1;
        connection->index = i;
        connection->random = load->seed * 1000003 + i;
        connection->keys = calloc(load->key_count, sizeof *connection->keys);
        connection->out = malloc(SEND_BYTES_MAX);
        if (connection->keys == NULL || connection->out == NULL || load->expected == NULL) {
            fail("no memory");
        }
        for (uint32_t key = 0; key < load->key_count; key++) {
            set_absent(&connection->keys[key]);
        }
    }
}

int main(int argc, char **argv) {
    static struct load load = {
        .commands = 1000000, .connection_count = 8, .pipeline = 16, .key_count = 1000, .seed = 1};
    read_options(&load, argc, argv);
    make_connections(&load);
    const uint64_t begun_ms = now_ms();
    while (load.answered < load.commands) {
        step(&load);
    }
    printf("commands=%llu seconds=%.1f gets=%llu sets=%llu exists=%llu deletes=%llu hits=%llu "
           "misses=%llu lost=%llu reconnects=%llu\n",
           (unsigned long long)load.answered, (double)(now_ms() - begun_ms) / 1000,
           (unsigned long long)load.by_kind[GET], (unsigned long long)load.by_kind[SET],
           (unsigned long long)load.by_kind[EXISTS], (unsigned long long)load.by_kind[DEL],
           (unsigned long long)load.hits, (unsigned long long)load.misses,
           (unsigned long long)load.lost, (unsigned long long)load.reconnects);
    for (uint32_t i = 0; i < load.connection_count; i++) {
        close(load.connections[i].fd);
        free(load.connections[i].keys);
        free(load.connections[i].out);
        free(load.connections[i].in);
    }
    free(load.expected);
    return 0;
}
