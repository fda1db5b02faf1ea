/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Load on a server that knows what it is owed: threads put, replace, get and delete blocks, each
 * over a connection and keys of its own, and check every answer against the log of what was
 * acknowledged (load_log.h).
 *
 *   load_client run     works until the time is over, the server is gone, or there is no file
 *                       --while any more; prints "loading" once all threads are connected
 *   load_client verify  reads every key, and looks each up with those behind it: acknowledged puts
 *                       are identical, deletes stay deleted, what was under way when the server
 *                       went is old or new
 *
 * With --allow-missing drives of the server may fail meanwhile: a key may be missing where a reason
 * is told, and what an operation came to may be open until the key is read. Bytes that come are
 * right all the same. With --allow-outage the server may be away for a while and begin anew: the
 * load goes on, and what nobody answers is no word of what a key holds. Nothing is missing then. A
 * server that was not away goes on with what it had begun, so that a read of the old value settles
 * nothing: what is open is repeated until it is answered.
 *
 * The last line is JSON. Exit status: 0 as it should be, 1 the server broke a promise (each case is
 * a line on standard error), 2 the program could not do its work.
 *
 * Not responsible for: starting, killing or watching the server.
 */
#include <getopt.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "client/memkv.h"
#include "tests/integration/load_log.h"

#define THREADS_MAX 16u
#define BATCH_MAX 4u
#define VALUE_BYTES_MAX (64u * 1024u * 1024u)
/* Complaints that are printed; more are counted. */
#define COMPLAINTS_MAX 20u

struct options {
    const char *server;
    const char *log_path;
    const char *tenant;
    const char *while_path; /* NULL: not given */
    uint32_t threads;
    uint32_t keys; /* of one thread */
    uint32_t bytes_max;
    uint32_t reconnect_every; /* batches; 0: never */
    uint64_t seed;
    double seconds;
    bool allow_missing;
    bool allow_outage;
};

struct totals {
    uint64_t puts; /* acknowledged */
    uint64_t deletes;
    uint64_t gets; /* with the bytes that they had to have */
    uint64_t misses;
    uint64_t lookups; /* that found as many keys from the first on as there had to be */
    uint64_t bytes;
    uint64_t refused, no_space;        /* without effect: busy or too late; no room */
    uint64_t settled_old, settled_new; /* what the last kill cut short, or a drive that failed */
    uint64_t repeated;                 /* with --allow-outage: acknowledged when it was repeated */
    uint64_t failed;                   /* with --allow-missing: what a drive failed */
    uint64_t missing;                  /* with --allow-missing: lost, and said so */
    uint64_t broken_promises;
    bool server_gone;
};

struct load {
    struct options options;
    struct load_log log;
    pthread_barrier_t connected;
    pthread_mutex_t complaining;
    uint32_t complaints;
};

struct worker {
    struct load *load;
    uint32_t index;
    pthread_t thread;
    struct memkv_client *client;
    uint64_t random;
    bool repeats; /* the mutation is one that is open */
    uint8_t *buffers[BATCH_MAX];
    uint32_t keys[BATCH_MAX]; /* of the batch */
    char names[BATCH_MAX][24];
    struct memkv_item items[BATCH_MAX];
    struct load_value values[BATCH_MAX];
    struct totals totals;
};

_Noreturn static void die(const char *what) {
    fprintf(stderr, "load_client: %s\n", what);
    exit(2);
}

/* ---- helpers -------------------------------------------------------------------------------- */

static double now_s(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static uint64_t random_next(struct worker *worker) {
    worker->random ^= worker->random << 13;
    worker->random ^= worker->random >> 7;
    worker->random ^= worker->random << 17;
    return worker->random;
}

static void mention(struct worker *worker, uint32_t key, const char *what) {
    struct load *load = worker->load;
    pthread_mutex_lock(&load->complaining);
    if (load->complaints < COMPLAINTS_MAX) {
        const struct load_key *state = &load->log.keys[key];
        fprintf(stderr, "key-%u: %s (owed: %s, version %u, %u bytes%s)\n", key, what,
                state->value.present ? "a value" : "nothing", state->value.version,
                state->value.size, state->is_pending ? "; or what was under way" : "");
    }
    load->complaints++;
    pthread_mutex_unlock(&load->complaining);
}

static void complain(struct worker *worker, uint32_t key, const char *what) {
    worker->totals.broken_promises++;
    mention(worker, key, what);
}

static bool is_gone(enum memkv_status status) {
    return status == MEMKV_UNAVAILABLE || status == MEMKV_UNKNOWN;
}

/* Whether what a call could not do ends the load. */
static bool ends_load(const struct worker *worker) {
    return !worker->load->options.allow_missing && !worker->load->options.allow_outage;
}

/* Of a read that says nothing of its key: nobody has looked. */
static bool is_unanswered(const struct worker *worker, const struct memkv_item *item) {
    return worker->load->options.allow_outage && item->status == MEMKV_NOT_FOUND &&
           (item->miss == MEMKV_MISS_SERVER_DOWN || item->miss == MEMKV_MISS_DEADLINE ||
            item->miss == MEMKV_MISS_OVERLOADED || item->miss == MEMKV_MISS_DRIVE_OFFLINE);
}

static bool connect_worker(struct worker *worker) {
    const struct memkv_options options = {.servers = worker->load->options.server,
                                          .client_name = "load_client",
                                          .tenant = worker->load->options.tenant};
    struct memkv_error error;
    const enum memkv_status status = memkv_open(&options, &worker->client, &error);
    if (status != MEMKV_OK && !is_gone(status)) {
        die(error.text);
    }
    return status == MEMKV_OK;
}

/* Chooses that many different keys of the worker's own. */
static void choose_keys(struct worker *worker, uint32_t count) {
    const uint32_t own = worker->load->options.keys;
    const uint32_t first = (uint32_t)(random_next(worker) % own);
    const uint32_t step = own / BATCH_MAX;
    for (uint32_t index = 0; index < count; index++) {
        worker->keys[index] = worker->index * own + (first + index * step) % own;
    }
}

/* From one byte to the most, every order of magnitude as often as the others. */
static uint32_t choose_size(struct worker *worker) {
    uint32_t octaves = 0;
    while ((1u << octaves) < worker->load->options.bytes_max) {
        octaves++;
    }
    const uint64_t below = 1ull << (random_next(worker) % (octaves + 1));
    const uint64_t size = below - random_next(worker) % ((below + 1) / 2);
    return size > worker->load->options.bytes_max ? worker->load->options.bytes_max
                                                  : (uint32_t)size;
}

static void name_item(struct worker *worker, uint32_t index, enum memkv_op op) {
    const int length =
        snprintf(worker->names[index], sizeof worker->names[index], "key-%u", worker->keys[index]);
    worker->items[index] =
        (struct memkv_item){.op = op, .key = worker->names[index], .key_bytes = (size_t)length};
}

/* ---- puts and deletes ----------------------------------------------------------------------- */

static void prepare_mutation(struct worker *worker, uint32_t index, enum memkv_op op) {
    const uint32_t key = worker->keys[index];
    struct load_value *value = &worker->values[index];
    *value = (struct load_value){0};
    if (op == MEMKV_OP_PUT) {
        if (worker->repeats) {
            *value = worker->load->log.keys[key].pending;
        } else {
            value->present = true;
            value->version = worker->load->log.keys[key].version_high + 1;
            value->size = choose_size(worker);
        }
        load_value_fill(key, *value, worker->buffers[index]);
        worker->items[index].flags = MEMKV_REPLACE;
        worker->items[index].data = worker->buffers[index];
        worker->items[index].data_bytes = value->size;
    }
}

/* What an answer means for the log: 0 when it means nothing, and the key stays as it was left. */
static char judge_mutation(struct worker *worker, uint32_t index, enum memkv_op op) {
    struct totals *totals = &worker->totals;
    const uint32_t key = worker->keys[index];
    const bool was_there = worker->load->log.keys[key].value.present;
    const bool drives_fail = worker->load->options.allow_missing;
    switch ((int)worker->items[index].status) {
    case MEMKV_OK:
        if (op == MEMKV_OP_PUT) {
            totals->puts++;
            totals->bytes += worker->values[index].size;
        } else {
            totals->deletes++;
            if (!was_there) {
                complain(worker, key, "was deleted, and its second deletion found something");
            }
        }
        return LOAD_DONE;
    case MEMKV_NOT_FOUND:
        if (op == MEMKV_OP_PUT || (was_there && !drives_fail && !worker->repeats)) {
            complain(worker, key, "is not found");
        }
        if (was_there && !worker->repeats) {
            totals->missing++;
            mention(worker, key, "is not there to be deleted");
        }
        return LOAD_DONE;
    case MEMKV_UNKNOWN:
        totals->server_gone = ends_load(worker);
        totals->failed += !ends_load(worker);
        return 0;
    case MEMKV_UNAVAILABLE: /* was not sent, or a drive is not there */
        totals->server_gone = ends_load(worker);
        totals->failed += !ends_load(worker);
        return drives_fail ? 0 : LOAD_REFUSED;
    case MEMKV_NO_SPACE:
        totals->no_space++;
        return LOAD_REFUSED;
    case MEMKV_BUSY:
    case MEMKV_DEADLINE:
        totals->refused++;
        return LOAD_REFUSED;
    default:
        if (drives_fail && worker->items[index].status == MEMKV_IO_ERROR) {
            totals->failed++;
        } else {
            complain(worker, key, memkv_status_name(worker->items[index].status));
        }
        return 0;
    }
}

static void mutate(struct worker *worker, uint32_t count, enum memkv_op op) {
    struct load_log *log = &worker->load->log;
    char text[BATCH_MAX * LOAD_LINE_BYTES_MAX] = "";
    size_t text_bytes = 0;
    for (uint32_t index = 0; index < count; index++) {
        name_item(worker, index, op);
        prepare_mutation(worker, index, op);
        if (!worker->repeats) {
            text_bytes += load_log_note(log, LOAD_BEGIN, worker->keys[index], worker->values[index],
                                        text + text_bytes);
        }
    }
    load_log_write(log, text, text_bytes);
    memkv_batch(worker->client, worker->items, count, NULL);
    text_bytes = 0;
    for (uint32_t index = 0; index < count; index++) {
        const char stage = judge_mutation(worker, index, op);
        const bool stays_open = stage == 0 || (worker->repeats && stage == LOAD_REFUSED);
        if (!stays_open) {
            worker->totals.repeated += worker->repeats;
            text_bytes += load_log_note(log, (enum load_stage)stage, worker->keys[index],
                                        worker->values[index], text + text_bytes);
        }
    }
    load_log_write(log, text, text_bytes);
}

/* ---- gets ----------------------------------------------------------------------------------- */

static void prepare_get(struct worker *worker, uint32_t index) {
    name_item(worker, index, MEMKV_OP_GET);
    worker->items[index].buffer = worker->buffers[index];
    worker->items[index].capacity = worker->load->options.bytes_max;
}

/* Whether a get found `value`, which may be nothing. */
static bool found(const struct worker *worker, uint32_t index, struct load_value value) {
    const struct memkv_item *item = &worker->items[index];
    if (item->status == MEMKV_NOT_FOUND) {
        return !value.present;
    }
    return item->status == MEMKV_OK &&
           load_value_is(worker->keys[index], value, worker->buffers[index], item->byte_count);
}

static void complain_of_get(struct worker *worker, uint32_t index) {
    const struct memkv_item *item = &worker->items[index];
    char what[96];
    if (item->status == MEMKV_OK) {
        snprintf(what, sizeof what, "holds other bytes, %" PRIu64 " of them", item->byte_count);
    } else {
        snprintf(what, sizeof what, "%s, reason %s", memkv_status_name(item->status),
                 memkv_miss_name(item->miss));
    }
    complain(worker, worker->keys[index], what);
}

/* What a key holds that was read: what was under way on it is settled from now on. */
static void judge_get(struct worker *worker, uint32_t index) {
    struct load_log *log = &worker->load->log;
    struct totals *totals = &worker->totals;
    const uint32_t key = worker->keys[index];
    const struct load_key state = log->keys[key];
    struct load_value held = state.value;
    const struct memkv_item *item = &worker->items[index];
    const bool may_miss = worker->load->options.allow_missing && item->status == MEMKV_NOT_FOUND &&
                          item->miss != MEMKV_MISS_NONE;
    bool settles = true;
    if (found(worker, index, state.value)) {
        settles = !worker->load->options.allow_outage;
        totals->settled_old += settles && state.is_pending;
    } else if (state.is_pending && found(worker, index, state.pending)) {
        held = state.pending;
        totals->settled_new++;
    } else if (may_miss) {
        held = (struct load_value){0};
        totals->missing++;
        mention(worker, key, memkv_miss_name(item->miss));
    } else {
        complain_of_get(worker, index);
        return;
    }
    if (held.present) {
        totals->gets++;
        totals->bytes += held.size;
    } else {
        totals->misses++;
    }
    if ((state.is_pending && settles) || held.present != state.value.present) {
        char text[LOAD_LINE_BYTES_MAX];
        load_log_write(log, text, load_log_note(log, LOAD_SETTLED, key, held, text));
    }
}

/* Reads the keys that are chosen. */
static void get(struct worker *worker, uint32_t count) {
    for (uint32_t index = 0; index < count; index++) {
        prepare_get(worker, index);
    }
    memkv_batch(worker->client, worker->items, count, NULL);
    for (uint32_t index = 0; index < count; index++) {
        const struct memkv_item *item = &worker->items[index];
        if (is_gone(item->status)) {
            worker->totals.server_gone = ends_load(worker);
        } else if (item->status == MEMKV_BUSY || item->status == MEMKV_DEADLINE ||
                   is_unanswered(worker, item)) {
            worker->totals.refused++;
        } else if (item->status == MEMKV_IO_ERROR && worker->load->options.allow_missing) {
            worker->totals.failed++;
        } else {
            judge_get(worker, index);
        }
    }
}

static void exists(struct worker *worker) {
    name_item(worker, 0, MEMKV_OP_EXISTS);
    memkv_batch(worker->client, worker->items, 1, NULL);
    const enum memkv_status status = worker->items[0].status;
    const struct load_key *state = &worker->load->log.keys[worker->keys[0]];
    const bool owed = state->value.present;
    if (is_gone(status)) {
        worker->totals.server_gone = ends_load(worker);
    } else if (is_unanswered(worker, &worker->items[0])) {
        worker->totals.refused++;
    } else if (worker->load->options.allow_missing &&
               (status == MEMKV_NOT_FOUND || status == MEMKV_IO_ERROR)) {
        worker->totals.missing += owed;
    } else if (status == MEMKV_BUSY || status == MEMKV_DEADLINE) {
        worker->totals.refused++;
    } else if (status != (owed ? MEMKV_OK : MEMKV_NOT_FOUND)) {
        complain(worker, worker->keys[0], owed ? "does not exist" : "exists");
    }
}

/* How many keys from the first on are there, as a prefix cache asks. */
static void lookup(struct worker *worker, uint32_t count) {
    struct memkv_key keys[BATCH_MAX];
    size_t resident = 0;
    size_t owed = count;
    for (uint32_t index = 0; index < count; index++) {
        name_item(worker, index, MEMKV_OP_EXISTS);
        keys[index] = (struct memkv_key){worker->items[index].key, worker->items[index].key_bytes};
        if (owed == count && !worker->load->log.keys[worker->keys[index]].value.present) {
            owed = index;
        }
    }
    const enum memkv_status status = memkv_lookup(worker->client, keys, count, &resident, NULL);
    if (is_gone(status)) {
        worker->totals.server_gone = ends_load(worker);
    } else if (status == MEMKV_BUSY || status == MEMKV_DEADLINE) {
        worker->totals.refused++;
    } else if (!ends_load(worker) && (status == MEMKV_IO_ERROR || resident < owed)) {
        worker->totals.refused++; /* no reason is told of where it ends */
    } else if (status != MEMKV_OK || resident != owed) {
        complain(worker, worker->keys[owed < count ? owed : 0], "a lookup counts others");
    } else {
        worker->totals.lookups++;
    }
}

/* ---- the two commands ----------------------------------------------------------------------- */

static void reconnect(struct worker *worker) {
    memkv_close(worker->client);
    if (!connect_worker(worker)) {
        worker->totals.server_gone = true;
    }
}

/* The first of the chosen keys of which it is open what it holds; `count` where none is. */
static uint32_t first_open(const struct worker *worker, uint32_t count) {
    uint32_t index = 0;
    while (index < count && !worker->load->log.keys[worker->keys[index]].is_pending) {
        index++;
    }
    return index;
}

/* Reads keys of which one is open, or repeats what was done to it: of two open mutations nobody
 * could say what they come to. */
static void settle(struct worker *worker, uint32_t count, uint32_t open, bool reads) {
    if (reads || !worker->load->options.allow_outage) {
        get(worker, count);
        return;
    }
    worker->keys[0] = worker->keys[open];
    worker->repeats = true;
    mutate(worker, 1,
           worker->load->log.keys[worker->keys[0]].pending.present ? MEMKV_OP_PUT
                                                                   : MEMKV_OP_DELETE);
    worker->repeats = false;
}

static bool goes_on(const struct worker *worker, double end) {
    const char *path = worker->load->options.while_path;
    return !worker->totals.server_gone && worker->totals.broken_promises == 0 && now_s() < end &&
           (path == NULL || access(path, F_OK) == 0);
}

static void run(struct worker *worker) {
    const struct options *options = &worker->load->options;
    const double end = now_s() + options->seconds;
    uint64_t batches = 0;
    while (goes_on(worker, end)) {
        const uint32_t count = 1 + (uint32_t)(random_next(worker) % BATCH_MAX);
        const uint32_t choice = (uint32_t)(random_next(worker) % 100);
        choose_keys(worker, count);
        const uint32_t open = first_open(worker, count);
        if (open < count) {
            settle(worker, count, open, choice < 50);
        } else if (choice < 50) {
            mutate(worker, count, MEMKV_OP_PUT);
        } else if (choice < 65) {
            mutate(worker, count, MEMKV_OP_DELETE);
        } else if (choice < 95) {
            get(worker, count);
        } else if (choice < 98) {
            exists(worker);
        } else {
            lookup(worker, count);
        }
        batches++;
        if (options->reconnect_every != 0 && batches % options->reconnect_every == 0 &&
            !worker->totals.server_gone) {
            reconnect(worker);
        }
    }
}

static void verify_key(struct worker *worker, uint32_t key) {
    worker->keys[0] = key;
    prepare_get(worker, 0);
    memkv_batch(worker->client, worker->items, 1, NULL);
    if (is_gone(worker->items[0].status)) {
        worker->totals.server_gone = true;
        return;
    }
    judge_get(worker, 0);
}

static void verify(struct worker *worker) {
    const uint32_t own = worker->load->options.keys;
    for (uint32_t index = 0; index < own && !worker->totals.server_gone; index++) {
        verify_key(worker, worker->index * own + index);
    }
    for (uint32_t first = 0; first + BATCH_MAX <= own && !worker->totals.server_gone;
         first += BATCH_MAX) {
        for (uint32_t index = 0; index < BATCH_MAX; index++) {
            worker->keys[index] = worker->index * own + first + index;
        }
        lookup(worker, BATCH_MAX);
    }
    if (worker->totals.server_gone) {
        die("the server went away while it was verified");
    }
}

/* ---- threads -------------------------------------------------------------------------------- */

static void work(struct worker *worker, void (*body)(struct worker *worker)) {
    const struct options *options = &worker->load->options;
    worker->random = (options->seed * THREADS_MAX + worker->index + 1) * 0x9e3779b97f4a7c15ull;
    for (uint32_t index = 0; index < BATCH_MAX; index++) {
        worker->buffers[index] = malloc((size_t)options->bytes_max + 8);
        if (worker->buffers[index] == NULL) {
            die("no memory");
        }
    }
    const bool connected = connect_worker(worker);
    worker->totals.server_gone = !connected;
    if (pthread_barrier_wait(&worker->load->connected) == PTHREAD_BARRIER_SERIAL_THREAD) {
        puts("loading");
        fflush(stdout);
    }
    body(worker);
    memkv_close(worker->client);
    for (uint32_t index = 0; index < BATCH_MAX; index++) {
        free(worker->buffers[index]);
    }
}

static void *run_thread(void *argument) {
    work(argument, run);
    return NULL;
}

static void *verify_thread(void *argument) {
    work(argument, verify);
    return NULL;
}

static void add(struct totals *sum, const struct totals *part) {
    sum->puts += part->puts;
    sum->deletes += part->deletes;
    sum->gets += part->gets;
    sum->misses += part->misses;
    sum->lookups += part->lookups;
    sum->bytes += part->bytes;
    sum->refused += part->refused;
    sum->no_space += part->no_space;
    sum->settled_old += part->settled_old;
    sum->settled_new += part->settled_new;
    sum->repeated += part->repeated;
    sum->failed += part->failed;
    sum->missing += part->missing;
    sum->broken_promises += part->broken_promises;
    sum->server_gone = sum->server_gone || part->server_gone;
}

static void print_totals(const struct totals *totals) {
    printf("{\"puts\":%" PRIu64 ",\"deletes\":%" PRIu64 ",\"gets\":%" PRIu64 ",\"misses\":%" PRIu64
           ",\"lookups\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"refused\":%" PRIu64
           ",\"no_space\":%" PRIu64 ",\"settled_old\":%" PRIu64 ",\"settled_new\":%" PRIu64
           ",\"repeated\":%" PRIu64 ",\"failed\":%" PRIu64 ",\"missing\":%" PRIu64
           ",\"broken_promises\":%" PRIu64 ",\"server_gone\":%s}\n",
           totals->puts, totals->deletes, totals->gets, totals->misses, totals->lookups,
           totals->bytes, totals->refused, totals->no_space, totals->settled_old,
           totals->settled_new, totals->repeated, totals->failed, totals->missing,
           totals->broken_promises, totals->server_gone ? "true" : "false");
}

/* ---- the command line ----------------------------------------------------------------------- */

_Noreturn static void usage(void) {
    fputs("usage: load_client run|verify --server HOST:PORT --log FILE [--threads N] [--keys N]\n"
          "                   [--bytes-max N] [--seed N] [--seconds S] [--reconnect-every N]\n"
          "                   [--allow-missing] [--allow-outage] [--tenant NAME] [--while FILE]\n",
          stderr);
    exit(2);
}

static uint32_t number(const char *text, uint32_t low, uint32_t high) {
    char *end;
    const unsigned long value = strtoul(text, &end, 10);
    if (*text == '\0' || *end != '\0' || value < low || value > high) {
        usage();
    }
    return (uint32_t)value;
}

static double seconds(const char *text) {
    char *end;
    const double value = strtod(text, &end);
    if (*text == '\0' || *end != '\0' || !(value > 0 && value <= 86400)) {
        usage();
    }
    return value;
}

static void parse(int argc, char **argv, struct options *options) {
    static const struct option names[] = {
        {"server", required_argument, NULL, 's'},
        {"log", required_argument, NULL, 'l'},
        {"threads", required_argument, NULL, 't'},
        {"keys", required_argument, NULL, 'k'},
        {"bytes-max", required_argument, NULL, 'b'},
        {"seed", required_argument, NULL, 'e'},
        {"seconds", required_argument, NULL, 'd'},
        {"reconnect-every", required_argument, NULL, 'r'},
        {"allow-missing", no_argument, NULL, 'm'},
        {"allow-outage", no_argument, NULL, 'o'},
        {"tenant", required_argument, NULL, 'n'},
        {"while", required_argument, NULL, 'w'},
        {NULL, 0, NULL, 0},
    };
    *options = (struct options){
        .threads = 4, .keys = 40, .bytes_max = 1024 * 1024, .seed = 1, .seconds = 1};
    int choice;
    while ((choice = getopt_long(argc, argv, "", names, NULL)) != -1) {
        switch (choice) {
        case 's':
            options->server = optarg;
            break;
        case 'l':
            options->log_path = optarg;
            break;
        case 't':
            options->threads = number(optarg, 1, THREADS_MAX);
            break;
        case 'k':
            options->keys = number(optarg, BATCH_MAX, LOAD_KEYS_MAX / THREADS_MAX);
            break;
        case 'b':
            options->bytes_max = number(optarg, 1, VALUE_BYTES_MAX);
            break;
        case 'e':
            options->seed = number(optarg, 0, UINT32_MAX);
            break;
        case 'd':
            options->seconds = seconds(optarg);
            break;
        case 'r':
            options->reconnect_every = number(optarg, 0, UINT32_MAX);
            break;
        case 'm':
            options->allow_missing = true;
            break;
        case 'o':
            options->allow_outage = true;
            break;
        case 'n':
            options->tenant = optarg;
            break;
        case 'w':
            options->while_path = optarg;
            break;
        default:
            usage();
        }
    }
    if (optind != argc || options->server == NULL || options->log_path == NULL) {
        usage();
    }
}

int main(int argc, char **argv) {
    if (argc < 2) {
        usage();
    }
    const bool verifies = strcmp(argv[1], "verify") == 0;
    if (!verifies && strcmp(argv[1], "run") != 0) {
        usage();
    }
    static struct load load; /* the log is too large for the stack */
    parse(argc - 1, argv + 1, &load.options);
    load_log_open(&load.log, load.options.log_path);
    if (pthread_barrier_init(&load.connected, NULL, load.options.threads) != 0 ||
        pthread_mutex_init(&load.complaining, NULL) != 0) {
        die("no memory");
    }
    struct worker *workers = calloc(load.options.threads, sizeof *workers);
    if (workers == NULL) {
        die("no memory");
    }
    for (uint32_t index = 0; index < load.options.threads; index++) {
        workers[index].load = &load;
        workers[index].index = index;
        if (pthread_create(&workers[index].thread, NULL, verifies ? verify_thread : run_thread,
                           &workers[index]) != 0) {
            die("a thread cannot be started");
        }
    }
    struct totals totals = {0};
    for (uint32_t index = 0; index < load.options.threads; index++) {
        pthread_join(workers[index].thread, NULL);
        add(&totals, &workers[index].totals);
    }
    free(workers);
    print_totals(&totals);
    return totals.broken_promises > 0 ? 1 : 0;
}
