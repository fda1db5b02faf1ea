/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One request to the admin listener as its handler gets it: what was asked for, by whom, and where
 * the answer is to be had.
 *
 * Invariants
 *  I1  Whoever sent it may do what the route's role allows: that was looked at before.
 *  I2  Texts are good until the handler returns. The path and the parameters are decoded, closed by
 *      a NUL, and may hold any other byte: show them by mkv_text_clean.
 *
 * Not responsible for: reading it from a connection (http.c).
 */
#ifndef MKV_ADMIN_REQUEST_H
#define MKV_ADMIN_REQUEST_H

#include "admin/auth.h"
#include "admin/reply.h"
#include "admin/routes.h"
#include "admin/snapshot.h"

/* Parameters of a query that are looked at; a request with more is refused. */
#define MKV_ADMIN_PARAMETERS_MAX 16u

struct mkv_admin_parameter {
    const char *name;
    const char *value; /* "" where there is no '=' */
};

struct mkv_admin_request {
    const char *method; /* GET for HEAD too: the answer's body is left out later */
    const char *path;
    const char *rest;   /* what stands behind the path of a route that ends with '/'; else "" */
    const char *accept; /* that header, or "" */
    uint32_t parameter_count;
    struct mkv_admin_parameter parameters[MKV_ADMIN_PARAMETERS_MAX];
    const char *body; /* closed by a NUL; "" where there is none */
    size_t body_bytes;
    struct mkv_admin_peer peer;
    const struct mkv_admin_provider *provider;
    struct mkv_admin_counters *counters;
    struct mkv_admin_snapshot *snapshot; /* for mkv_admin_request_snapshot alone */
    struct mkv_later *later;             /* the room for an answer that takes its time */
    bool profiles_anywhere;              /* profiles are not for this machine's clients alone */
};

/* The value of a parameter, the first of that name; NULL when there is none. */
const char *mkv_admin_request_parameter(const struct mkv_admin_request *request, const char *name);

/* The value of a parameter as a number of the bounds, or `otherwise` when it is not there. False
 * when it is something else. */
__attribute__((warn_unused_result)) bool mkv_admin_request_number(
    const struct mkv_admin_request *request, const char *name, uint64_t min, uint64_t max,
    uint64_t otherwise, uint64_t *out);

/* Asks the provider for a snapshot, which is good until the handler returns. */
const struct mkv_admin_snapshot *mkv_admin_request_snapshot(
    const struct mkv_admin_request *request);

/* An answer {"error": text}. */
__attribute__((format(printf, 2, 3))) struct mkv_admin_reply mkv_admin_refuse(unsigned status,
                                                                              const char *format,
                                                                              ...);

#endif
