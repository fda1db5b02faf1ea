/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The list of tenants.quotas: "NAME=SIZE", with commas, and spaces where one likes, between them.
 *
 * Invariants
 *  I1  Names are valid and stand once; sizes lie within the bounds. An empty list has none.
 *
 * Not responsible for: what a quota does.
 */
#ifndef MKV_SERVER_CONFIG_QUOTAS_H
#define MKV_SERVER_CONFIG_QUOTAS_H

#include "core/tenant_names.h"

#define MKV_CONFIG_QUOTAS_PROBLEM_BYTES 384u

/* False: `problem` says what is wrong and what to write instead. */
__attribute__((warn_unused_result)) bool mkv_config_quotas_parse(
    const char *text, uint64_t bytes_min, uint64_t bytes_max,
    struct mkv_tenant_quota quotas[MKV_TENANT_QUOTAS_MAX], uint32_t *count,
    char problem[MKV_CONFIG_QUOTAS_PROBLEM_BYTES]);

#endif
