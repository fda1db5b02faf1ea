/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Several fabrics under one pump, as one fabric: native clients and those of RESP, say.
 *
 *               +--> fabric, connections 0 ... 1023
 *   pump <--> set
 *               +--> fabric, connections 1024 ... 2047
 *
 * Each fabric numbers its connections from a base of its own, so that the front sees one range of
 * indexes; an effect goes to the fabric whose range has its connection.
 *
 * Invariants
 *  I1  The ranges do not overlap, and each effect's connection is in one of them.
 *  I2  Inputs go to the set's sink in the order in which the fabrics hand them out.
 *
 * Not responsible for: what the fabrics do; each keeps the contract of fabric.h by itself.
 */
#ifndef MKV_BACKENDS_FABRIC_SET_H
#define MKV_BACKENDS_FABRIC_SET_H

#include "backends/fabric.h"

#define MKV_FABRIC_SET_MEMBERS_MAX 4u

struct mkv_fabric_set;

struct mkv_fabric_set_member {
    struct mkv_fabric *fabric; /* its sink is set by create; destroyed with the set */
    uint32_t connection_base;  /* its connections are base ... base + connections_max - 1 */
    uint32_t connections_max;
};

/* NULL when there is no memory: the fabrics are then still the caller's. */
struct mkv_fabric_set *mkv_fabric_set_create(const struct mkv_fabric_set_member *members,
                                             uint32_t member_count);
/* As what the pump drives (fabric.h). Its counters are the sums over all members. */
struct mkv_fabric *mkv_fabric_set_base(struct mkv_fabric_set *set);

#endif
