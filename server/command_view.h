/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A view: a command of `memkv admin` that asks nodes for one path and shows the answers. What it is
 * called, what it asks for, what options it takes and how the answer becomes a table is told by a
 * row of the table in command_views.c.
 *
 *   text      one table; of several nodes with a column for the node
 *   --json    the answer as it is; of several nodes an object by node, with {"error"} where there
 *             is none
 *
 * Exit status: the highest of all nodes: 0 done, 1 not found or refused, 2 usage, 3 a node is not
 * to be reached, 4 server error. A node that does not answer does not keep the others from being
 * shown.
 *
 * Not responsible for: whom to ask (command_servers.h).
 */
#ifndef MKV_SERVER_COMMAND_VIEW_H
#define MKV_SERVER_COMMAND_VIEW_H

#include <jansson.h>

#include "admin/table.h"
#include "server/command_admin_internal.h"

#define MKV_VIEW_OPTIONS_MAX 4u
#define MKV_VIEW_PATH_BYTES 4096u
#define MKV_VIEW_TIMEOUT_MS 8000u

/* An option with a value that goes into the query. */
struct mkv_view_option {
    const char *name; /* "--op"; NULL: there are no more */
    const char *value;
    const char *parameter; /* "op" */
    const char *meaning;
};

enum mkv_view_form {
    MKV_VIEW_TABLE = 0,
    MKV_VIEW_TEXT, /* the answer is text, shown as it is; under --json a string */
    MKV_VIEW_OWN,  /* `show` says what stands there */
};

struct mkv_view {
    const char *name;
    const char *meaning; /* one line for the list of commands */
    const char *help;    /* what stands behind the usage, closed by a newline */
    const char *path;
    const char *operand;           /* "KEY", or NULL: none */
    const char *operand_parameter; /* "key"; NULL: the operand stands behind the path */
    struct mkv_view_option options[MKV_VIEW_OPTIONS_MAX];
    enum mkv_view_form form;
    bool is_check; /* an answer of 503 is one, and exits with 1; "ok" becomes {"ready": true} */
    struct mkv_table_shape shape;
    /* Of MKV_VIEW_OWN: the answer as text. */
    void (*show)(const json_t *answer, struct mkv_text *out);
};

/* argv[0] is the view's name. */
int mkv_view_run(const struct mkv_view *view, int argc, char **argv);

/* What a node answered: 0 and an object, or what to exit with, and `error` says why. */
struct mkv_view_answer {
    int exit_code;
    bool refused; /* 503 of a check: there is an object */
    char server[MKV_COMMAND_SERVER_NAME_BYTES];
    char *body; /* NULL: there is none */
    json_t *object;
    char error[MKV_HTTP_GET_ERROR_BYTES];
};
/* Asks one node by GET. `text`: the answer need not be JSON. */
void mkv_view_ask(const struct mkv_command_servers *servers, uint32_t index, const char *path,
                  bool text, bool is_check, struct mkv_view_answer *answer);
void mkv_view_answer_free(struct mkv_view_answer *answer);
/* Complains of an answer that is none. */
void mkv_view_complain(const struct mkv_view_answer *answer);

/* Flushes standard output; what to exit with. */
int mkv_view_finish(int exit_code);

/* command_views.c: all views, closed by one without a name. */
extern const struct mkv_view mkv_views[];

#endif
