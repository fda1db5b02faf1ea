/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a collector listens, and how it is spoken to:
 *
 *     http://HOST[:4318][/PATH]   OTLP/HTTP: protobuf by POST to /PATH/v1/traces
 *     grpc://HOST[:4317]          OTLP/gRPC: HTTP/2 in plain text
 *
 * HOST is a name, an IPv4 address, or an IPv6 address in brackets.
 *
 * Not responsible for: whether anybody listens there.
 */
#ifndef MKV_ADMIN_OTLP_ENDPOINT_H
#define MKV_ADMIN_OTLP_ENDPOINT_H

#include "core/base.h"

#define MKV_OTLP_ENDPOINT_BYTES 256u
#define MKV_OTLP_PORT_HTTP 4318u
#define MKV_OTLP_PORT_GRPC 4317u

struct mkv_otlp_endpoint {
    bool grpc;
    /* What requests go to without their path: "http://HOST:PORT", and the PATH, without a slash at
     * its end. */
    char base[MKV_OTLP_ENDPOINT_BYTES];
};

/* Reads an endpoint as a user writes it. NULL, or what is wrong with it and what to write instead,
 * as the end of a sentence that begins with it. */
const char *mkv_otlp_endpoint_parse(const char *text, struct mkv_otlp_endpoint *out);

#endif
