/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The answers of the admin listener about single requests, keys and clients:
 *
 *   /v1/latency    percentiles by operation; ?op=get&p=50,99.95 asks for others
 *   /v1/hotkeys    the keys asked for most; ?k=20
 *   /v1/slow       the last slow requests
 *   /v1/clients    open connections
 *   /v1/prefixes   blocks and bytes by tenant and by what keys begin with; ?depth=1&tenant=NAME
 *
 * Invariants
 *  I1  A key is text where it is UTF-8 without a NUL and does not begin with "hex:", else "hex:"
 *      and its bytes.
 *  I2  Where nothing is kept yet the answer is 503 with a reason.
 *
 * Not responsible for: keeping any of it (observed.h).
 */
#ifndef MKV_ADMIN_OBSERVED_ENDPOINTS_H
#define MKV_ADMIN_OBSERVED_ENDPOINTS_H

#include "admin/request.h"

/* Connections that /v1/clients lists; more are cut off, and the answer says so. */
#define MKV_ADMIN_CLIENTS_TOLD 1024u
#define MKV_ADMIN_PERCENTILES_MAX 16u

mkv_admin_handler mkv_endpoint_latency;
mkv_admin_handler mkv_endpoint_hotkeys;
mkv_admin_handler mkv_endpoint_slow;
mkv_admin_handler mkv_endpoint_clients;
mkv_admin_handler mkv_endpoint_prefixes;

#endif
