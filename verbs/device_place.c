/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "verbs/device.h"

static size_t place_bytes(const struct mkv_verbs *verbs) {
    const size_t buffers = (size_t)verbs->options.receives_each + verbs->sends_max;
    return mkv_round_up_u64(buffers * verbs->options.message_bytes, PLACE_BYTES_ALIGN);
}

uint8_t *mkv_verbs_receive_memory(const struct mkv_verbs *verbs, uint32_t receive) {
    const struct place *place = &verbs->places[receive / verbs->options.receives_each];
    return place->memory +
           (size_t)(receive % verbs->options.receives_each) * verbs->options.message_bytes;
}

bool mkv_verbs_receive_post(struct mkv_verbs *verbs, struct mkv_endpoint *endpoint,
                            uint32_t receive) {
    struct ibv_sge piece = {
        .addr = (uintptr_t)mkv_verbs_receive_memory(verbs, receive),
        .length = verbs->options.message_bytes,
        .lkey = verbs->places[receive / verbs->options.receives_each].mr->lkey,
    };
    struct ibv_recv_wr work = {.wr_id = RECEIVE_BIT | receive, .sg_list = &piece, .num_sge = 1};
    struct ibv_recv_wr *bad = NULL;
    if (verbs->srq != NULL) {
        return ibv_post_srq_recv(verbs->srq, &work, &bad) == 0;
    }
    if (ibv_post_recv(endpoint->qp, &work, &bad) != 0) {
        return false;
    }
    endpoint->receives_posted++;
    return true;
}

/* ---- the shared queue ------------------------------------------------------------------------ */

static bool post_all(struct mkv_verbs *verbs, uint32_t place) {
    const uint32_t first = place * verbs->options.receives_each;
    for (uint32_t index = 0; index < verbs->options.receives_each; index++) {
        if (!mkv_verbs_receive_post(verbs, NULL, first + index)) {
            return false;
        }
    }
    return true;
}

bool mkv_verbs_shared_make(struct mkv_verbs *verbs) {
    struct ibv_srq_init_attr attributes = {
        .srq_context = verbs,
        .attr = {.max_wr = verbs->endpoints_max * verbs->options.receives_each, .max_sge = 1},
    };
    verbs->srq_is_in_doubt = false;
    verbs->srq = verbs->library->create_srq(verbs->pd, &attributes);
    bool is_made = verbs->srq != NULL;
    for (uint32_t place = 0; is_made && place < verbs->places_made; place++) {
        is_made = post_all(verbs, place);
    }
    return is_made;
}

bool mkv_verbs_shared_renew(struct mkv_verbs *verbs) {
    if (verbs->srq == NULL || !verbs->srq_is_in_doubt) {
        return true;
    }
    for (uint32_t place = 0; place < verbs->places_made; place++) {
        if (verbs->places[place].endpoint != NULL) {
            return true;
        }
    }
    if (verbs->library->destroy_srq(verbs->srq) != 0) {
        verbs->srq_is_in_doubt = false; /* it is kept as it is, until the next end */
        return true;
    }
    verbs->srq = NULL;
    return mkv_verbs_shared_make(verbs);
}

/* ---- places ---------------------------------------------------------------------------------- */

bool mkv_verbs_place_make(struct mkv_verbs *verbs, char *problem) {
    MKV_ASSERT(verbs->places_made < verbs->endpoints_max);
    struct place *place = &verbs->places[verbs->places_made];
    const size_t bytes = place_bytes(verbs);
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        mkv_verbs_say(problem, "there is no memory for another connection over RDMA (%zu bytes)",
                      bytes);
        return false;
    }
    /* A child of this process does without it: else a write of its own would move the pages here
     * that the device has. */
    (void)madvise(memory, bytes, MADV_DONTFORK);
    place->mr = verbs->library->reg_mr(verbs->pd, memory, bytes, IBV_ACCESS_LOCAL_WRITE);
    if (place->mr == NULL) {
        mkv_verbs_say(problem,
                      "%zu bytes for another connection over RDMA cannot be registered: "
                      "%s; raise the limit of locked memory (LimitMEMLOCK=infinity)",
                      bytes, strerror(errno));
        (void)munmap(memory, bytes);
        return false;
    }
    place->memory = memory;
    verbs->places_made++;
    if (verbs->srq != NULL && !post_all(verbs, verbs->places_made - 1)) {
        verbs->srq_is_in_doubt = true;
        mkv_verbs_say(problem, "RDMA device %s takes no more receives", verbs->facts.device);
        return false;
    }
    return true;
}

void mkv_verbs_place_remove(struct mkv_verbs *verbs, struct place *place) {
    MKV_ASSERT(place->endpoint == NULL);
    (void)verbs->library->dereg_mr(place->mr);
    (void)munmap(place->memory, place_bytes(verbs));
    *place = (struct place){0};
}

/* ---- endpoints by the number of their queue pair --------------------------------------------- */

static uint32_t table_home(const struct mkv_verbs *verbs, uint32_t qp_number) {
    return (qp_number * 2654435761u >> 8) & verbs->table_mask;
}

void mkv_verbs_table_put(struct mkv_verbs *verbs, struct mkv_endpoint *endpoint) {
    uint32_t at = table_home(verbs, endpoint->qp_number);
    while (verbs->table[at] != NULL) {
        at = (at + 1) & verbs->table_mask;
    }
    verbs->table[at] = endpoint;
}

struct mkv_endpoint *mkv_verbs_table_find(const struct mkv_verbs *verbs, uint32_t qp_number) {
    uint32_t at = table_home(verbs, qp_number);
    while (verbs->table[at] != NULL && verbs->table[at]->qp_number != qp_number) {
        at = (at + 1) & verbs->table_mask;
    }
    return verbs->table[at];
}

void mkv_verbs_table_remove(struct mkv_verbs *verbs, const struct mkv_endpoint *endpoint) {
    uint32_t at = table_home(verbs, endpoint->qp_number);
    while (verbs->table[at] != endpoint) {
        MKV_ASSERT(verbs->table[at] != NULL);
        at = (at + 1) & verbs->table_mask;
    }
    verbs->table[at] = NULL;
    /* Those behind it, up to the next gap, may stand where they do because of it. */
    for (at = (at + 1) & verbs->table_mask; verbs->table[at] != NULL;
         at = (at + 1) & verbs->table_mask) {
        struct mkv_endpoint *moved = verbs->table[at];
        verbs->table[at] = NULL;
        mkv_verbs_table_put(verbs, moved);
    }
}
