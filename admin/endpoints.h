/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The answers of the admin listener about the node as a whole, and its tenants. Families of their
 * own have files of their own; all are handlers of routes.c.
 *
 * Not responsible for: what stands in the answers (health.h, status_json.h, exposition.h).
 */
#ifndef MKV_ADMIN_ENDPOINTS_H
#define MKV_ADMIN_ENDPOINTS_H

#include "admin/request.h"

mkv_admin_handler mkv_endpoint_live;
mkv_admin_handler mkv_endpoint_ready;
mkv_admin_handler mkv_endpoint_health;
mkv_admin_handler mkv_endpoint_status;
mkv_admin_handler mkv_endpoint_metrics;
mkv_admin_handler mkv_endpoint_catalog;
mkv_admin_handler mkv_endpoint_tenants;
mkv_admin_handler mkv_endpoint_tenant_drop;

#endif
