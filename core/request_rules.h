/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a front and a router must say alike of one request: whether it may be accepted at all, how
 * the results of its items make its answer, and under which figures its end counts.
 *
 * Not responsible for: requests in flight (front.h, router.h).
 */
#ifndef MKV_CORE_REQUEST_RULES_H
#define MKV_CORE_REQUEST_RULES_H

#include "core/front.h"

/* OK, INVALID or FORBIDDEN: what any front of the configuration says of the request, however much
 * it has to do. */
enum mkv_status mkv_request_verdict(const struct mkv_front_config *config,
                                    const struct mkv_input *input);
/* LOOKUP's one result, in the place of the first: how many keys from the first on are resident, and
 * why the next is not. */
void mkv_request_fold(struct mkv_item_result *results, uint32_t item_count);
/* Under which status an answered request counts: the gravest of its items. What failed in the store
 * comes before what the client asked wrongly; not found counts only when no key was found. */
enum mkv_status mkv_request_status(const struct mkv_item_result *results, uint32_t count);
/* Counts the end of a request in the times. */
void mkv_request_record_times(struct mkv_front_times *times,
                              const struct mkv_request_summary *summary);
/* Counts a SESSION that left its reasoning phase. */
void mkv_request_count_exit(struct mkv_front_stats *stats, enum mkv_think_exit reason,
                            uint64_t tokens);

#endif
