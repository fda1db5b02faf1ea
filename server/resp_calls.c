/* SPDX-License-Identifier: Apache-2.0 */
#include "server/resp_calls.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backends/clock.h"
#include "server/resp_clients.h"

/* A command on its way through the worker, with copies of all that it needs. */
struct job {
    struct mkv_resp_job base; /* the first member */
    struct mkv_resp_calls *calls;
    struct mkv_resp_call *call; /* NULL: its connection is gone. The shard's thread's */
    const struct mkv_resp_command_row *row;
    uint64_t begun_ns;
    struct mkv_connection_id connection;
    struct mkv_resp_who who;
    char tenant_name[MKV_TENANT_STORED_NAME_BYTES_MAX + 1];
    uint32_t word_count;
    struct mkv_resp_word words[MKV_FABRIC_RESP_ARGUMENTS_MAX];
    struct mkv_resp_writer writer;
    bool closes; /* the connection, behind the reply */
    uint8_t *reply;
    uint8_t bytes[]; /* of the words */
};

struct mkv_resp_calls {
    struct mkv_resp_calls_options options;
    struct mkv_fabric_resp *fabric;
    struct mkv_resp_deletes *deletes;
    struct mkv_resp_visits *visits;
    /* The shard's thread's; a place for each row of the table. */
    struct mkv_resp_info_command own[MKV_RESP_INFO_COMMANDS_MAX];

    atomic_bool any_done;
    pthread_mutex_t mutex;
    struct mkv_resp_job *done; /* newest first */
    uint32_t published_count;
    struct mkv_resp_info_command published[MKV_RESP_INFO_COMMANDS_MAX];
};

/* ---- figures --------------------------------------------------------------------------------- */

static void count(struct mkv_resp_calls *calls, const struct mkv_resp_command_row *row,
                  uint64_t begun_ns, const struct mkv_resp_writer *reply) {
    struct mkv_resp_info_command *figures = &calls->own[row - mkv_resp_command_rows];
    figures->calls++;
    figures->ns += mkv_clock_monotonic_ns() - begun_ns;
    figures->failed_calls += reply->length > 0 && reply->bytes[0] == '-';
}

uint32_t mkv_resp_calls_gather(struct mkv_fabric_resp *fabric,
                               const struct mkv_resp_info_command *own,
                               struct mkv_resp_info_command *out) {
    struct mkv_resp_command_figures figures;
    uint32_t cursor = 0;
    uint32_t count = 0;
    while (count < MKV_RESP_INFO_COMMANDS_MAX &&
           mkv_fabric_resp_next_command(fabric, &cursor, &figures)) {
        out[count++] = (struct mkv_resp_info_command){
            .name = figures.name,
            .calls = figures.calls,
            .ns = figures.ns,
            .rejected_calls = figures.rejected,
            .failed_calls = figures.failed,
        };
    }
    for (uint32_t i = 0; i < mkv_resp_command_row_count(); i++) {
        if (own[i].calls + own[i].rejected_calls > 0 && count < MKV_RESP_INFO_COMMANDS_MAX) {
            out[count] = own[i];
            out[count++].name = mkv_resp_command_rows[i].name;
        }
    }
    return count;
}

void mkv_resp_calls_publish(struct mkv_resp_calls *calls) {
    pthread_mutex_lock(&calls->mutex);
    calls->published_count = mkv_resp_calls_gather(calls->fabric, calls->own, calls->published);
    pthread_mutex_unlock(&calls->mutex);
}

uint32_t mkv_resp_calls_figures(struct mkv_resp_calls *calls, struct mkv_resp_info_command *out,
                                uint32_t there, uint32_t max) {
    pthread_mutex_lock(&calls->mutex);
    for (uint32_t i = 0; i < calls->published_count; i++) {
        const struct mkv_resp_info_command *source = &calls->published[i];
        uint32_t at = 0;
        while (at < there && strcmp(out[at].name, source->name) != 0) {
            at++;
        }
        if (at == there && there < max) {
            out[there++] = (struct mkv_resp_info_command){.name = source->name};
        }
        if (at < there) {
            out[at].calls += source->calls;
            out[at].ns += source->ns;
            out[at].rejected_calls += source->rejected_calls;
            out[at].failed_calls += source->failed_calls;
        }
    }
    pthread_mutex_unlock(&calls->mutex);
    return there;
}

/* ---- the worker's side ----------------------------------------------------------------------- */

static void job_run(struct mkv_resp_job *base) {
    struct job *job = (struct job *)base;
    if (mkv_resp_clients_is_of_all(job->row)) {
        const struct mkv_resp_clients_question question = {
            .asker = job->connection,
            .words = job->words,
            .word_count = job->word_count,
            .now_ns = job->begun_ns,
            .each = job->calls->options.each,
            .context = job->calls->options.each_context,
        };
        job->closes = mkv_resp_clients_ask(&question, job->row, &job->writer);
        return;
    }
    mkv_resp_commands_run(job->calls->options.commands, job->row, &job->who, job->words,
                          job->word_count, &job->writer);
}

static void job_done(struct mkv_resp_job *base) {
    struct mkv_resp_calls *calls = ((struct job *)base)->calls;
    pthread_mutex_lock(&calls->mutex);
    base->next = calls->done;
    calls->done = base;
    atomic_store_explicit(&calls->any_done, true, memory_order_release);
    pthread_mutex_unlock(&calls->mutex);
    calls->options.wake(calls->options.wake_context);
}

/* ---- the shard's thread ---------------------------------------------------------------------- */

static void job_free(struct job *job) {
    free(job->reply);
    free(job);
}

static void job_complete(struct mkv_resp_calls *calls, struct job *job) {
    struct mkv_resp_call *call = job->call;
    count(calls, job->row, job->begun_ns, &job->writer);
    if (call != NULL) {
        MKV_ASSERT(job->writer.length <= call->reply.capacity);
        if (job->writer.length > 0) {
            memcpy(call->reply.bytes, job->reply, job->writer.length);
            call->reply.length = job->writer.length;
        } else {
            mkv_resp_write_error(&call->reply, "ERR the server ends");
        }
        call->reply.overflowed = job->writer.overflowed;
        call->closes = job->closes;
        mkv_fabric_resp_complete(calls->fabric, call);
    }
    job_free(job);
}

static void turn(void *context) {
    struct mkv_resp_calls *calls = context;
    if (calls->fabric == NULL) {
        return;
    }
    if (atomic_load_explicit(&calls->any_done, memory_order_acquire)) {
        pthread_mutex_lock(&calls->mutex);
        struct mkv_resp_job *done = calls->done;
        calls->done = NULL;
        atomic_store_explicit(&calls->any_done, false, memory_order_relaxed);
        pthread_mutex_unlock(&calls->mutex);
        while (done != NULL) {
            struct mkv_resp_job *next = done->next;
            job_complete(calls, (struct job *)done);
            done = next;
        }
    }
    mkv_resp_visits_turn(calls->visits, calls->fabric);
}

static bool turn_has_work(const void *context) {
    const struct mkv_resp_calls *calls = context;
    return atomic_load_explicit(&calls->any_done, memory_order_relaxed);
}

static void wake(void *context) {
    const struct mkv_resp_calls *calls = context;
    calls->options.wake(calls->options.wake_context);
}

/* Whose keys the command is about: by the rules, where it names one. */
static void resolve(struct mkv_resp_calls *calls, const struct mkv_resp_call *call,
                    const struct mkv_resp_command_row *row, struct mkv_resp_who *who) {
    const struct mkv_resp_argument *key =
        row->first_key > 0 && (uint32_t)row->first_key < call->argument_count
            ? &call->arguments[row->first_key]
            : NULL;
    who->tenant_name =
        mkv_fabric_auth_tenant(calls->options.auth, call->session, key == NULL ? NULL : key->bytes,
                               key == NULL ? 0 : key->byte_count);
    who->is_admin = mkv_fabric_auth_may(call->session, MKV_FABRIC_RIGHT_ADMIN);
    who->tenant = MKV_TENANT_DEFAULT;
    if (calls->options.tenant == NULL) {
        return;
    }
    const enum mkv_tenant_resolved resolved =
        calls->options.tenant(calls->options.tenant_context, who->tenant_name, false, &who->tenant);
    if (resolved != MKV_TENANT_KNOWN) {
        who->tenant = MKV_NONE_U32;
    }
}

/* A job with copies of the words; NULL when there is no memory. */
static struct job *job_create(struct mkv_resp_calls *calls, struct mkv_resp_call *call,
                              const struct mkv_resp_command_row *row,
                              const struct mkv_resp_who *who) {
    size_t bytes = 0;
    for (uint32_t i = 0; i < call->argument_count; i++) {
        bytes += call->arguments[i].byte_count;
    }
    struct job *job = calloc(1, sizeof *job + bytes);
    uint8_t *reply = malloc(call->reply.capacity);
    if (job == NULL || reply == NULL) {
        free(job);
        free(reply);
        return NULL;
    }
    job->base.run = job_run;
    job->base.done = job_done;
    job->calls = calls;
    job->call = call;
    job->row = row;
    job->connection = call->connection;
    job->begun_ns = mkv_clock_monotonic_ns();
    snprintf(job->tenant_name, sizeof job->tenant_name, "%s", who->tenant_name);
    job->who = *who;
    job->who.tenant_name = job->tenant_name;
    job->reply = reply;
    job->writer = (struct mkv_resp_writer){
        .bytes = reply, .capacity = call->reply.capacity, .protocol = call->reply.protocol};
    job->word_count = call->argument_count;
    uint8_t *at = job->bytes;
    for (uint32_t i = 0; i < call->argument_count; i++) {
        const struct mkv_resp_argument *argument = &call->arguments[i];
        job->words[i] = (struct mkv_resp_word){at, argument->byte_count};
        if (argument->byte_count > 0) {
            memcpy(at, argument->bytes, argument->byte_count);
        }
        at += argument->byte_count;
    }
    return job;
}

/* What takes the right of an administrator, though its row has no flag: Redis's rows have none. */
static bool takes_admin(const struct mkv_resp_command_row *row) {
    static const char *const names[] = {"client|kill", "flushall", "flushdb", "slowlog|reset"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(row->name, names[i]) == 0) {
            return true;
        }
    }
    return false;
}

static bool may(const struct mkv_resp_call *call, const struct mkv_resp_command_row *row,
                struct mkv_resp_writer *reply) {
    const uint32_t right = takes_admin(row) ? MKV_FABRIC_RIGHT_ADMIN
                           : row->first_key > 0 || (row->flags & MKV_RESP_READONLY) != 0
                               ? MKV_FABRIC_RIGHT_GET
                               : 0;
    if (right == 0 || mkv_fabric_auth_may(call->session, right)) {
        return true;
    }
    char text[256];
    snprintf(text, sizeof text, "NOPERM User %s has no permissions to run the '%s' command",
             call->session->user[0] == '\0' ? "default" : call->session->user, row->name);
    mkv_resp_write_error(reply, text);
    return false;
}

static enum mkv_resp_called call_later(struct mkv_resp_calls *calls, struct mkv_resp_call *call,
                                       const struct mkv_resp_command_row *row,
                                       const struct mkv_resp_who *who) {
    struct job *job = job_create(calls, call, row, who);
    if (job == NULL) {
        mkv_resp_write_error(&call->reply, "ERR no memory for the command. Free memory on the "
                                           "server");
        return MKV_RESP_CALL_DONE;
    }
    call->callee = job;
    mkv_resp_worker_submit(calls->options.worker, &job->base);
    return MKV_RESP_CALL_LATER;
}

enum mkv_resp_called mkv_resp_calls_call(void *context, struct mkv_resp_call *call) {
    struct mkv_resp_calls *calls = context;
    struct mkv_resp_word words[MKV_FABRIC_RESP_ARGUMENTS_MAX];
    const uint64_t begun_ns = mkv_clock_monotonic_ns();
    MKV_ASSERT(call->argument_count <= MKV_FABRIC_RESP_ARGUMENTS_MAX);
    for (uint32_t i = 0; i < call->argument_count; i++) {
        words[i] = (struct mkv_resp_word){call->arguments[i].bytes, call->arguments[i].byte_count};
    }
    const struct mkv_resp_command_row *row =
        mkv_resp_command_check(words, call->argument_count, &call->reply);
    if (row == NULL) {
        row = mkv_resp_command_find(words, call->argument_count);
        if (row != NULL) {
            calls->own[row - mkv_resp_command_rows].rejected_calls++;
        }
        return MKV_RESP_CALL_DONE;
    }
    if (!may(call, row, &call->reply)) {
        calls->own[row - mkv_resp_command_rows].rejected_calls++;
        return MKV_RESP_CALL_DONE;
    }
    if (call->loading != NULL && (row->flags & MKV_RESP_LOADING) == 0) {
        calls->own[row - mkv_resp_command_rows].rejected_calls++;
        mkv_resp_write_error(&call->reply, call->loading);
        return MKV_RESP_CALL_DONE;
    }
    const bool is_client = row->parent != NULL && strcmp(row->parent, "client") == 0;
    if (!is_client && !mkv_resp_commands_has(row)) {
        return MKV_RESP_CALL_UNKNOWN; /* the fabric's own */
    }
    struct mkv_resp_who who;
    resolve(calls, call, row, &who);
    if (is_client && !mkv_resp_clients_is_of_all(row)) {
        mkv_resp_clients_run(calls->fabric, call, row, words, begun_ns);
    } else if (!is_client && mkv_resp_commands_is_quick(row)) {
        mkv_resp_commands_run(calls->options.commands, row, &who, words, call->argument_count,
                              &call->reply);
    } else {
        return call_later(calls, call, row, &who);
    }
    count(calls, row, begun_ns, &call->reply);
    return MKV_RESP_CALL_DONE;
}

void mkv_resp_calls_gone(void *context, struct mkv_resp_call *call) {
    struct job *job = call->callee;
    (void)context;
    MKV_ASSERT(job->call == call);
    job->call = NULL;
}

/* ---- creation -------------------------------------------------------------------------------- */

struct mkv_resp_calls *mkv_resp_calls_create(const struct mkv_resp_calls_options *options) {
    struct mkv_resp_calls *calls = calloc(1, sizeof *calls);
    if (calls == NULL) {
        return NULL;
    }
    MKV_ASSERT(mkv_resp_command_row_count() <= MKV_RESP_INFO_COMMANDS_MAX);
    calls->options = *options;
    pthread_mutex_init(&calls->mutex, NULL);
    calls->deletes = mkv_resp_deletes_create(&(struct mkv_resp_deletes_options){
        .connection_base = options->connection_base,
        .turn = turn,
        .turn_has_work = turn_has_work,
        .wake = wake,
        .context = calls,
    });
    calls->visits = mkv_resp_visits_create(wake, calls);
    if (calls->deletes == NULL || calls->visits == NULL) {
        mkv_resp_calls_destroy(calls);
        return NULL;
    }
    return calls;
}

void mkv_resp_calls_destroy(struct mkv_resp_calls *calls) {
    if (calls == NULL) {
        return;
    }
    for (struct mkv_resp_job *job = calls->done; job != NULL;) {
        struct mkv_resp_job *next = job->next;
        job_free((struct job *)job);
        job = next;
    }
    mkv_resp_deletes_destroy(calls->deletes);
    mkv_resp_visits_destroy(calls->visits);
    pthread_mutex_destroy(&calls->mutex);
    free(calls);
}

void mkv_resp_calls_bind(struct mkv_resp_calls *calls, struct mkv_fabric_resp *fabric) {
    calls->fabric = fabric;
}

struct mkv_resp_deletes *mkv_resp_calls_deletes(struct mkv_resp_calls *calls) {
    return calls->deletes;
}

void mkv_resp_calls_visit(struct mkv_resp_calls *calls,
                          void (*look)(void *context, struct mkv_fabric_resp *fabric),
                          void *context) {
    (void)mkv_resp_visits_ask(calls->visits, look, context);
}

void mkv_resp_calls_end(struct mkv_resp_calls *calls) {
    mkv_resp_deletes_end(calls->deletes);
    mkv_resp_visits_end(calls->visits);
}
