/* SPDX-License-Identifier: Apache-2.0 */
/* A client of the world of fabrics that goes on over a lane of the fake. */
#ifndef MKV_TESTS_BACKENDS_LANE_CLIENT_H
#define MKV_TESTS_BACKENDS_LANE_CLIENT_H

#include "tests/unit/backends/fabric_world.h"
#include "tests/unit/backends/fake_endpoint.h"
#include "wire/native.h"

#define LANE_FRAME_BYTES 32768u
#define LANE_MEMORY_BYTES (40u * MKV_MIB)

extern const struct world_options lane_world;

struct lane_client {
    struct client client; /* its TCP connection */
    struct mkv_verbs *verbs;
    struct mkv_verbs_region *region;
    struct mkv_endpoint *endpoint;
    uint8_t *memory; /* that the server may reach */
    bool is_open, is_broken, is_drained;
    enum mkv_lane_reason reason;
};

/* Connects by TCP and says HELLO; the features that it was granted. */
struct client lane_greeted(struct world *world, uint64_t wanted, uint32_t fallback,
                           uint64_t *features);
/* Makes an endpoint for a client that was greeted; a CONNECT of it is written to `bytes`. */
size_t lane_prepare(struct lane_client *lane, struct client client, uint32_t fallback,
                    uint8_t *bytes);
/* Takes the answer to that CONNECT, and waits until the lane is open. */
void lane_finish(struct world *world, struct lane_client *lane);
/* All of these. */
void lane_open(struct world *world, struct lane_client *lane);
/* Lets go of everything; the lane may have ended before. */
void lane_close(struct world *world, struct lane_client *lane);

/* A round of the world and of the client. */
void lane_turn(struct world *world, struct lane_client *lane);
void lane_await(struct world *world, struct lane_client *lane, const bool *flag);
void lane_send(struct world *world, struct lane_client *lane, const void *bytes, size_t byte_count);
struct frame lane_frame(struct world *world, struct lane_client *lane);
/* Takes a frame that must be of this op, and drops it. */
void lane_expect(struct world *world, struct lane_client *lane, enum mkv_native_op op,
                 uint64_t request_id);

/* A request whose items are of that length, and lie behind one another from `offset` of the
 * client's memory on. */
size_t lane_request(const struct lane_client *lane, uint8_t *bytes, enum mkv_native_op op,
                    uint64_t request_id, uint32_t item_count, uint64_t length, uint64_t offset);

#endif
