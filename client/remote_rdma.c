/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One server, by RDMA or for a while without.
 *
 *              a lane breaks, CONNECT is refused, its probe is lost
 *   by RDMA ------------------------------------------------------> over TCP
 *      ^                                                              |
 *      |   lane open: TCP connections close                           | 1, 2, 4 ... 60 s, half of
 *      |   when nothing is on them any more                           | it drawn
 *      +---------------------- candidate <----------------------------+
 *                              a connection beside the others that asks for a lane; where it gets
 *                              none it ends, and nobody waits for it
 *
 * So one fault costs what was under way on its connection and no more, nothing waits for a network
 * that drops packets, and no fault is for ever.
 *
 * Nor is it for ever that one of the two has no RDMA at all. That is no failure, and nothing is
 * said of it, but each 30 to 60 s the host is looked at: where it has a device a candidate asks the
 * server that has offered none.
 */
#include <stdio.h>

#include "client/engine.h"

#define RETRY_NS_MIN 1000000000ull
#define RETRY_NS_MAX 60000000000ull
/* What breaks again so soon goes on with the pauses that it had: a lane that opens and does not
 * last costs calls each time. */
#define STEADY_NS 60000000000ull
/* What a call that is done gives a candidate, so that calls with long pauses between them get it
 * through its handshake, too. */
#define LINGER_NS 50000000ull

static bool is_over_tcp(const struct mkv_connection *connection) {
    return connection != NULL && connection->state == MKV_CONNECTION_READY &&
           connection->lane == NULL;
}

bool mkv_remote_rdma_is_leaving(const struct mkv_connection *connection) {
    return connection->remote->rdma.is_leaving_tcp && is_over_tcp(connection);
}

void mkv_remote_rdma_failed(struct mkv_remote *remote, uint32_t fallback, const char *text,
                            bool is_retry) {
    struct memkv_client *client = remote->client;
    struct mkv_remote_rdma *rdma = &remote->rdma;
    const bool is_first = rdma->failure_count == 0;
    if (client->metrics != NULL && (is_first || is_retry)) {
        mkv_metrics_rdma_failed(client->metrics, fallback, is_first);
    }
    if (!is_first && !is_retry) {
        return; /* others that the same fault has hit */
    }
    const uint64_t now_ns = mkv_client_now_ns();
    if (is_first && now_ns - rdma->recovered_ns >= STEADY_NS) {
        rdma->pause_count = 0;
    }
    uint64_t wait_ns = RETRY_NS_MIN;
    for (uint32_t count = 0; count < rdma->pause_count && wait_ns < RETRY_NS_MAX; count++) {
        wait_ns *= 2;
    }
    wait_ns = mkv_min_u64(wait_ns, RETRY_NS_MAX);
    rdma->pause_count += rdma->pause_count < UINT32_MAX ? 1 : 0;
    rdma->failure_count += rdma->failure_count < UINT32_MAX ? 1 : 0;
    rdma->fallback = fallback;
    rdma->retry_ns = now_ns + wait_ns / 2 + mkv_remotes_draw(client) % (wait_ns / 2);
    rdma->is_leaving_tcp = false;
    rdma->look_ns = 0;
    if (is_first) {
        fprintf(stderr, "memkv: server %s is reached over TCP, and RDMA is tried again: %s\n",
                remote->address.text, text);
    }
}

void mkv_remote_rdma_absent(struct mkv_remote *remote, uint64_t now_ns) {
    /* The clients of a server are not to look all at once. */
    remote->rdma.look_ns =
        now_ns + RETRY_NS_MAX / 2 + mkv_remotes_draw(remote->client) % (RETRY_NS_MAX / 2);
}

void mkv_remote_rdma_ready(struct mkv_remote *remote) {
    struct memkv_client *client = remote->client;
    struct mkv_remote_rdma *rdma = &remote->rdma;
    rdma->had_lane = true;
    if (rdma->failure_count == 0) {
        rdma->is_leaving_tcp = rdma->is_leaving_tcp || rdma->look_ns != 0;
        rdma->look_ns = 0;
        return;
    }
    *rdma = (struct mkv_remote_rdma){.is_leaving_tcp = true,
                                     .had_lane = true,
                                     .pause_count = rdma->pause_count,
                                     .recovered_ns = mkv_client_now_ns()};
    if (client->metrics != NULL) {
        mkv_metrics_rdma_recovered(client->metrics);
    }
    fprintf(stderr, "memkv: server %s is reached by RDMA again\n", remote->address.text);
}

void mkv_remote_rdma_end(struct mkv_remote *remote) {
    if (remote->rdma.failure_count > 0 && remote->client->metrics != NULL) {
        mkv_metrics_rdma_forgotten(remote->client->metrics);
    }
    remote->rdma = (struct mkv_remote_rdma){0};
}

/* Those that have nothing to do any more, and no reservation that a COMMIT may still name. */
static void leave_tcp(struct mkv_remote *remote, uint64_t now_ns) {
    bool is_left = false;
    for (uint32_t slot = 0; slot < remote->slots; slot++) {
        struct mkv_connection *connection = remote->connections[slot];
        if (!is_over_tcp(connection)) {
            /* One that has begun without asking for a lane is to leave when it is READY. */
            is_left = is_left || (connection != NULL && !connection->wants_rdma &&
                                  connection->state == MKV_CONNECTION_GREETING);
            continue;
        }
        if (connection->requests_used == 0 && TAILQ_EMPTY(&connection->sends) &&
            now_ns >= connection->reserved_until_ns) {
            mkv_connection_free(connection);
            remote->connections[slot] = NULL;
        } else {
            is_left = true;
        }
    }
    remote->rdma.is_leaving_tcp = is_left;
}

/* Of a server that offers RDMA: where this host has got a device, or its port has come up, it is
 * reached by RDMA again as after a failure. Of another one: true where a candidate is to ask it. */
static bool look(struct mkv_remote *remote, uint64_t now_ns) {
    mkv_remote_rdma_absent(remote, now_ns); /* until something is seen */
    for (uint32_t slot = 0; slot < remote->slots; slot++) {
        const struct mkv_connection *connection = remote->connections[slot];
        if (!is_over_tcp(connection)) {
            continue;
        }
        if (!mkv_connection_rdma_is_offered(connection)) {
            return mkv_verbs_has_device(); /* not opened for a server that may never want it */
        }
        if (mkv_connection_rdma_is_possible(connection, now_ns)) {
            mkv_remote_rdma_failed(remote, MKV_LANE_REASON_DEVICE,
                                   "this host had no RDMA device, and has one now", false);
        }
        return false;
    }
    return false; /* the next connection asks by itself */
}

void mkv_remote_rdma_tend_now(struct mkv_remote *remote, uint64_t now_ns) {
    struct mkv_rdma *client_rdma = remote->client->rdma;
    struct mkv_remote_rdma *rdma = &remote->rdma;
    bool is_due = rdma->look_ns != 0 && now_ns >= rdma->look_ns && look(remote, now_ns);
    if (rdma->is_leaving_tcp) {
        leave_tcp(remote, now_ns);
    }
    is_due = is_due ||
             (rdma->failure_count > 0 && now_ns >= rdma->retry_ns && !client_rdma->is_required);
    if (!is_due) {
        return;
    }
    uint32_t free_slot = MKV_NONE_U32;
    bool is_ready = false;
    for (uint32_t slot = 0; slot < remote->slots; slot++) {
        const struct mkv_connection *connection = remote->connections[slot];
        if (connection == NULL || connection->state == MKV_CONNECTION_CLOSED) {
            free_slot = (uint32_t)mkv_min_u64(free_slot, slot);
        } else if (connection->is_candidate) {
            return;
        }
        is_ready = is_ready || (connection != NULL && connection->state == MKV_CONNECTION_READY);
    }
    /* Without one that is READY the next call opens one, over TCP: nobody is to wait for more. */
    if (!is_ready || free_slot == MKV_NONE_U32) {
        return;
    }
    client_rdma->linger_ns = now_ns + LINGER_NS;
    mkv_remote_open_candidate(remote, free_slot, now_ns);
}
