/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The audit on the admin listener, and the way by which its handlers record what they did.
 *
 *   GET /v1/audit?start=&end=&format=json|csv&from=   records, page by page
 *   GET /v1/audit/verify?from=&hash=                  whether they fit, page by page
 *
 * Not responsible for: the audit itself (audit.h).
 */
#ifndef MKV_ADMIN_AUDIT_ENDPOINT_H
#define MKV_ADMIN_AUDIT_ENDPOINT_H

#include "admin/audit.h"
#include "admin/request.h"

/* Records what a request did, with who sent it, and waits until that is durable, for
 * MKV_AUDIT_WAIT_NS at most. Does nothing where there is no audit. */
__attribute__((format(printf, 5, 6))) void mkv_admin_request_audit(
    const struct mkv_admin_request *request, enum mkv_audit_operation operation, const char *entity,
    const char *outcome, const char *reason_format, ...);

struct mkv_admin_reply mkv_endpoint_audit(const struct mkv_admin_request *request);
struct mkv_admin_reply mkv_endpoint_audit_verify(const struct mkv_admin_request *request);

#endif
