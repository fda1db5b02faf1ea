/* SPDX-License-Identifier: Apache-2.0 */
#include "client/exporter.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "client/engine.h"
#include "client/otel.h"

#define PATH_BYTES 1024u
#define NS_PER_S 1000000000ull
#define FLAG_SAMPLED 0x1u

struct mkv_exporter {
    void *library;
    const struct mkv_otel_ops *ops;
    struct mkv_otel_exporter *sender;
    uint32_t sampling_ratio; /* of MKV_SETTINGS_RATIO_ONE */
    uint64_t random;
};

/* splitmix64, after Steele, Lea and Flood (2014). */
static uint64_t draw(struct mkv_exporter *exporter) {
    exporter->random += 0x9e3779b97f4a7c15ull;
    uint64_t value = exporter->random;
    value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9ull;
    value = (value ^ value >> 27) * 0x94d049bb133111ebull;
    value ^= value >> 31;
    return value != 0 ? value : 1; /* no id is 0 */
}

/* ---- opening -------------------------------------------------------------------------------- */

/* Beside the file that this code is in, then where the system's loader looks. */
static void *load(const char **problem) {
    Dl_info self;
    char path[PATH_BYTES];
    void *library = NULL;
    union {
        enum memkv_status (*open)(const struct mkv_settings *settings,
                                  struct mkv_exporter **exporter, struct memkv_error *error);
        void *address;
    } here = {.open = mkv_exporter_open};
    if (dladdr(here.address, &self) != 0 && self.dli_fname != NULL) {
        const char *slash = strrchr(self.dli_fname, '/');
        const int folder_bytes = slash != NULL ? (int)(slash - self.dli_fname) + 1 : 0;
        snprintf(path, sizeof path, "%.*s%s", folder_bytes, self.dli_fname, MKV_OTEL_LIBRARY);
        library = folder_bytes > 0 ? dlopen(path, RTLD_NOW | RTLD_LOCAL) : NULL;
    }
    if (library == NULL) {
        library = dlopen(MKV_OTEL_LIBRARY, RTLD_NOW | RTLD_LOCAL);
    }
    *problem = library == NULL ? dlerror() : NULL;
    return library;
}

static enum memkv_status start(struct mkv_exporter *exporter, const struct mkv_settings *settings,
                               struct memkv_error *error) {
    char problem[MKV_OTEL_PROBLEM_BYTES];
    const char *why = NULL;
    exporter->library = load(&why);
    exporter->ops = exporter->library != NULL ? dlsym(exporter->library, MKV_OTEL_SYMBOL) : NULL;
    if (exporter->ops == NULL || strcmp(exporter->ops->version, MKV_VERSION) != 0) {
        return mkv_client_fail(error, MEMKV_INVALID,
                               "%s needs %s of release %s beside libmemkv, which sends spans: "
                               "%.100s",
                               settings->otel_origin, MKV_OTEL_LIBRARY, MKV_VERSION,
                               why != NULL ? why : "it is of another one");
    }
    exporter->sender = exporter->ops->start(settings->otel_endpoint, settings->name, problem);
    if (exporter->sender == NULL) {
        return mkv_client_fail(error, MEMKV_INVALID, "%s '%.60s' %s", settings->otel_origin,
                               settings->otel_endpoint, problem);
    }
    return MEMKV_OK;
}

enum memkv_status mkv_exporter_open(const struct mkv_settings *settings, struct mkv_exporter **out,
                                    struct memkv_error *error) {
    *out = NULL;
    if (MKV_CLIENT_EXPORTERS == 0 || settings->otel_endpoint[0] == '\0') {
        return MEMKV_OK;
    }
    struct mkv_exporter *exporter = calloc(1, sizeof *exporter);
    if (exporter == NULL) {
        return mkv_client_fail(error, MEMKV_NO_MEMORY, "no memory for an exporter of spans");
    }
    exporter->sampling_ratio = settings->otel_sampling_ratio;
    exporter->random = mkv_client_now_ns();
    uint64_t drawn;
    if (getrandom(&drawn, sizeof drawn, GRND_NONBLOCK) == sizeof drawn) {
        exporter->random ^= drawn;
    }
    struct memkv_error failure;
    const enum memkv_status status = start(exporter, settings, &failure);
    if (status == MEMKV_OK) {
        *out = exporter;
        return MEMKV_OK;
    }
    mkv_exporter_close(exporter);
    if (settings->otel_is_of_all) {
        fprintf(stderr, "memkv: %s; this client sends no spans\n", failure.text);
        return MEMKV_OK;
    }
    return mkv_client_fail(error, status, "%s", failure.text);
}

void mkv_exporter_close(struct mkv_exporter *exporter) {
    if (exporter == NULL) {
        return;
    }
    if (exporter->sender != NULL) {
        exporter->ops->stop(exporter->sender);
    }
    /* The library stays: others in the process may have found libcurl by it. */
    free(exporter);
}

/* ---- spans ---------------------------------------------------------------------------------- */

void mkv_exporter_begin(struct mkv_exporter *exporter, struct mkv_call *call) {
    if (call->has_trace && (call->trace.flags & FLAG_SAMPLED) == 0) {
        return;
    }
    if (!call->has_trace) {
        if (draw(exporter) % MKV_SETTINGS_RATIO_ONE >= exporter->sampling_ratio) {
            return;
        }
        const uint64_t ids[2] = {draw(exporter), draw(exporter)};
        _Static_assert(sizeof ids == sizeof call->trace.trace_id, "a trace's id has 128 bits");
        memcpy(call->trace.trace_id, ids, sizeof ids);
        memset(call->trace.parent_id, 0, sizeof call->trace.parent_id);
        call->trace.flags = FLAG_SAMPLED;
        call->has_trace = true;
    }
    const uint64_t id = draw(exporter);
    call->is_spanned = true;
    memcpy(call->span_parent_id, call->trace.parent_id, sizeof call->span_parent_id);
    _Static_assert(sizeof id == sizeof call->trace.parent_id, "a span's id has 64 bits");
    memcpy(call->trace.parent_id, &id, sizeof id);
}

static const char *name_of(const struct mkv_call *call) {
    static const char *const names[] = {
        "memkv.client.batch",    "memkv.client.put",   "memkv.client.get",   "memkv.client.exists",
        "memkv.client.delete",   "memkv.client.pin",   "memkv.client.unpin", "memkv.client.session",
        "memkv.client.allocate", "memkv.client.commit"};
    if (call->single != 0) {
        return call->single == MKV_NATIVE_LOOKUP  ? "memkv.client.lookup"
               : call->single == MKV_NATIVE_STATS ? "memkv.client.stats"
                                                  : "memkv.client.ping";
    }
    for (uint32_t index = 1; index < call->item_count; index++) {
        if (call->items[index].op != call->items[0].op) {
            return names[0];
        }
    }
    const uint32_t op = (uint32_t)call->items[0].op;
    return names[op < sizeof names / sizeof names[0] ? op : 0];
}

/* A miss is no error. */
static bool is_wrong(enum memkv_status status) {
    return status != MEMKV_OK && status != MEMKV_NOT_FOUND;
}

/* What the items came to: of the first that went wrong, else of the first that was missed. */
static enum memkv_status sum_up(const struct mkv_call *call, struct mkv_otel_span *span) {
    enum memkv_status status = call->single_status;
    if (call->single != 0) {
        span->found_count = call->single == MKV_NATIVE_LOOKUP ? call->lookup_gap : 0;
        return status;
    }
    for (uint32_t index = 0; index < call->item_count; index++) {
        const struct memkv_item *item = &call->items[index];
        const bool moves_in = item->op == MEMKV_OP_PUT || item->op == MEMKV_OP_COMMIT;
        if (item->status == MEMKV_OK) {
            span->found_count++;
            span->value_bytes += moves_in ? item->data_bytes : item->byte_count;
        } else if (status == MEMKV_OK || (is_wrong(item->status) && !is_wrong(status))) {
            status = item->status;
        }
    }
    return status;
}

void mkv_exporter_end(struct mkv_exporter *exporter, const struct mkv_call *call) {
    if (!call->is_spanned) {
        return;
    }
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    struct mkv_otel_span span = {
        .name = name_of(call),
        .end_ns = (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec,
        .item_count = call->item_count,
        .server_count = call->share_count,
        .server = call->share_count == 1 ? call->shares[0].remote->address.text : NULL,
        .tenant = call->client->tenant,
    };
    span.start_ns = span.end_ns - (mkv_client_now_ns() - call->begin_ns);
    memcpy(span.trace_id, call->trace.trace_id, sizeof span.trace_id);
    memcpy(span.span_id, call->trace.parent_id, sizeof span.span_id);
    memcpy(span.parent_id, call->span_parent_id, sizeof span.parent_id);
    const enum memkv_status status = sum_up(call, &span);
    span.status = memkv_status_name(status);
    span.error = is_wrong(status) ? mkv_client_status_text(status) : NULL;
    exporter->ops->span(exporter->sender, &span);
}
