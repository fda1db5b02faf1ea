/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A node that is not there: a snapshot with a figure of its own in every place, a provider that
 * hands it out, and the listener over it on a free port.
 */
#ifndef MKV_TESTS_UNIT_ADMIN_FAKE_NODE_H
#define MKV_TESTS_UNIT_ADMIN_FAKE_NODE_H

#include <semaphore.h>

#include "admin/http.h"
#include "admin/snapshot.h"

/* Two drives online, d00 with two classes and one that has no extent left, d01 empty; one warning.
 */
void fake_snapshot(struct mkv_admin_snapshot *snapshot);
/* Sets the state, and that of the drives so that it fits. */
void fake_snapshot_state(struct mkv_admin_snapshot *snapshot, enum mkv_admin_node_state state);

struct fake_node {
    struct mkv_admin_snapshot snapshot; /* what the provider hands out; set between requests */
    struct mkv_admin_http *http;
    uint16_t port;
    uint32_t calls;              /* of the provider */
    enum mkv_status drop_status; /* what dropping a tenant comes to */
    sem_t
        *drop_begun; /* posted when a drop begins, which then waits for the other; NULL: neither */
    sem_t *drop_gate;
    char dropped[MKV_TENANT_STORED_NAME_BYTES_MAX + 1];
    uint32_t refusals; /* that the provider heard of, and the last one in words: */
    char refused[256];
};

/* On the heap: a snapshot is large. */
struct fake_node *fake_node_start(void);
/* With who may do what, and a listening Unix socket or -1. */
struct fake_node *fake_node_start_with(const struct mkv_admin_auth *auth, int unix_fd);
void fake_node_stop(struct fake_node *node);

/* A listening socket on a free port of that IPv4 address, host byte order. */
int fake_listen(uint32_t address, uint16_t *port);
/* A connected socket whose reads and writes end after 5 s. */
int fake_connect(uint16_t port);

struct fake_reply {
    int status; /* 0: the connection was closed without an answer */
    char *text; /* all that came, closed by a NUL */
    char *body; /* in text; "" where there is none */
};

/* Sends the bytes on a connection of their own and reads until the server closes it. */
struct fake_reply fake_exchange(uint16_t port, const char *bytes, size_t byte_count);
/* METHOD PATH HTTP/1.1 with Connection: close. */
struct fake_reply fake_request(uint16_t port, const char *method, const char *path);
/* The same with header lines, each closed by CR LF. */
struct fake_reply fake_request_with(uint16_t port, const char *method, const char *path,
                                    const char *header_lines);
void fake_reply_free(struct fake_reply *reply);
/* Whether the reply has the header line, without its end. */
bool fake_reply_has(const struct fake_reply *reply, const char *header_line);

#endif
