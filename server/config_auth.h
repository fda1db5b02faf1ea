/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Texts of the configuration about keys, read: tenants, rights, and until when. A text that is not
 * what it should be leaves the end of a sentence in `problem`.
 *
 * Not responsible for: the secrets themselves (auth_secret.h).
 */
#ifndef MKV_SERVER_CONFIG_AUTH_H
#define MKV_SERVER_CONFIG_AUTH_H

#include "backends/fabric_auth.h"
#include "server/config_schema.h"

/* The names of up to MKV_FABRIC_GRANT_TENANTS_MAX tenants, with commas or blanks between them; ""
 * for all of them. Sets the tenants of the grant alone. */
__attribute__((warn_unused_result)) bool mkv_config_auth_tenants(
    const char *text, struct mkv_fabric_grant *grant, char problem[MKV_CONFIG_PROBLEM_BYTES]);
/* "get, put, delete, admin", any of them; "" for the first three. */
__attribute__((warn_unused_result)) bool mkv_config_auth_rights(
    const char *text, uint32_t *rights, char problem[MKV_CONFIG_PROBLEM_BYTES]);
/* The first moment, in Unix time, at which it is over; "" for UINT64_MAX, never. */
__attribute__((warn_unused_result)) bool mkv_config_auth_time(
    const char *text, uint64_t *over_ms, char problem[MKV_CONFIG_PROBLEM_BYTES]);

#endif
