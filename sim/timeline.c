/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/timeline.h"

#include <string.h>

#include "core/base.h"

#define LINE_BYTES 1024u
#define OPEN_MAX 64u
#define NAME_BYTES 24
#define KEY_BYTES 28

/* An operation that is not answered. */
struct open_op {
    bool used;
    unsigned volume;
    unsigned index;
    unsigned generation;
    unsigned long long began_ns;
    unsigned length;
    char name[NAME_BYTES];
    char key[KEY_BYTES];
};

struct timeline {
    FILE *out;
    unsigned lives;
    struct open_op ops[OPEN_MAX];
    struct open_op *last; /* whose key may stand in the next line */
    unsigned pending_ops;
    unsigned pending_units;
};

static struct open_op *find(struct timeline *timeline, unsigned volume, unsigned index,
                            unsigned generation) {
    for (unsigned at = 0; at < OPEN_MAX; at++) {
        struct open_op *op = &timeline->ops[at];
        if (op->used && op->volume == volume && op->index == index &&
            op->generation == generation) {
            return op;
        }
    }
    return NULL;
}

static struct open_op *begin(struct timeline *timeline) {
    for (unsigned at = 0; at < OPEN_MAX; at++) {
        if (!timeline->ops[at].used) {
            timeline->ops[at].used = true;
            return &timeline->ops[at];
        }
    }
    return NULL;
}

static void print_op(struct timeline *timeline, const struct open_op *op) {
    fprintf(timeline->out, "%s volume %u item %u.%u%s%s", op->name, op->volume, op->index,
            op->generation, op->key[0] != 0 ? " key " : "", op->key);
    if (op->length > 0) {
        fprintf(timeline->out, " length %u", op->length);
    }
}

/* A message of a client: the first of its operation, or one that goes on with it. */
static void asked(struct timeline *timeline, unsigned long long now_ns, unsigned volume,
                  const char *line) {
    struct open_op asked = {.volume = volume, .began_ns = now_ns};
    if (sscanf(line, "%23s item %u.%u op %*u.%*u status %*u miss %*u length %u", asked.name,
               &asked.index, &asked.generation, &asked.length) != 4) {
        return;
    }
    struct open_op *op = find(timeline, volume, asked.index, asked.generation);
    if (op == NULL && (op = begin(timeline)) != NULL) {
        *op = asked;
        op->used = true;
        timeline->last = op;
    } else if (op != NULL &&
               (strcmp(asked.name, "RELEASE") == 0 || strcmp(asked.name, "PUT_ABORT") == 0)) {
        fprintf(timeline->out, "%18llu %10llu  ", now_ns, now_ns - op->began_ns);
        print_op(timeline, op);
        fprintf(timeline->out, " -> %s by the client\n", asked.name);
        op->used = false;
    }
}

static void answered(struct timeline *timeline, unsigned long long now_ns, unsigned volume,
                     const char *line) {
    char name[NAME_BYTES];
    unsigned index = 0;
    unsigned generation = 0;
    unsigned status = 0;
    unsigned miss = 0;
    if (sscanf(line, "%23s item %u.%u op %*u.%*u status %u miss %u", name, &index, &generation,
               &status, &miss) != 5) {
        return;
    }
    struct open_op *op = find(timeline, volume, index, generation);
    const bool goes_on = strcmp(name, "PUT_READY") == 0 ||
                         (strcmp(name, "FOUND") == 0 && status == (unsigned)MKV_STATUS_OK);
    if (op == NULL || goes_on) {
        return;
    }
    fprintf(timeline->out, "%18llu %10llu  ", now_ns, now_ns - op->began_ns);
    print_op(timeline, op);
    fprintf(timeline->out, " -> %s status %u miss %u\n", name, status, miss);
    op->used = false;
}

/* The process is gone, and what it had not answered with it. */
static void ended(struct timeline *timeline, unsigned long long now_ns) {
    for (unsigned at = 0; at < OPEN_MAX; at++) {
        struct open_op *op = &timeline->ops[at];
        if (op->used) {
            fprintf(timeline->out, "%18llu %10s  ", now_ns, "-");
            print_op(timeline, op);
            fputs(" -> not answered\n", timeline->out);
            op->used = false;
        }
    }
}

static void noted(struct timeline *timeline, unsigned long long now_ns, const char *line) {
    const bool end = strncmp(line, "power lost", 10) == 0 ||
                     strncmp(line, "process killed", 14) == 0 ||
                     strncmp(line, "the process ends", 16) == 0;
    if (end) {
        ended(timeline, now_ns);
    }
    fprintf(timeline->out, "%18llu %10s  ** %s", now_ns, "", line);
    if (end) {
        fprintf(timeline->out,
                "%29s  ** %u operations of the drive in flight, %u units not durable\n", "",
                timeline->pending_ops, timeline->pending_units);
        timeline->pending_ops = 0;
        timeline->pending_units = 0;
    }
}

static void take(struct timeline *timeline, const char *line) {
    unsigned long long now_ns = 0;
    unsigned volume = 0;
    int at = 0;
    char text[LINE_BYTES];
    if (sscanf(line, " key %27s", text) == 1 && timeline->last != NULL) {
        (void)snprintf(timeline->last->key, KEY_BYTES, "%.27s", text);
        timeline->last = NULL;
        return;
    }
    timeline->last = NULL;
    if (strstr(line, "pending: unit ") != NULL) {
        timeline->pending_units++;
    } else if (strstr(line, "pending: ") != NULL) {
        timeline->pending_ops++;
    } else if (sscanf(line, "%llu world ** %n", &now_ns, &at) == 1 && at > 0) {
        noted(timeline, now_ns, line + at);
    } else if (sscanf(line, "%llu volume %u -> %n", &now_ns, &volume, &at) == 2 && at > 0) {
        if (strncmp(line + at, "ADMIN OPEN", 10) == 0 && volume == 0) {
            fprintf(timeline->out, "life %u\n", ++timeline->lives);
        }
        asked(timeline, now_ns, volume, line + at);
    } else if (sscanf(line, "%llu volume %u <- %n", &now_ns, &volume, &at) == 2 && at > 0) {
        if (strncmp(line + at, "EVENT ", 6) == 0) {
            fprintf(timeline->out, "%18llu %10s  volume %u: %s", now_ns, "", volume, line + at + 6);
        }
        answered(timeline, now_ns, volume, line + at);
    }
}

void mkv_timeline_print(FILE *log, FILE *out) {
    struct timeline timeline = {.out = out};
    char line[LINE_BYTES];
    fprintf(out, "%18s %10s  operation\n", "ended (ns)", "took (ns)");
    while (fgets(line, sizeof line, log) != NULL) {
        take(&timeline, line);
    }
}
