/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which format of the metrics a client asked for with its Accept header (RFC 9110, 12.5.1). What
 * Prometheus sends, in different releases:
 *
 *     application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,
 *         text/plain;version=0.0.4;q=0.5, and anything with q=0.1
 *     application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5, …
 *
 * Invariants
 *  I1  OpenMetrics is answered only to who names it, in version 1.0.0 or any, and wants the text
 *      format no more than it. Whoever is not understood gets the text format: nobody gets none.
 *  I2  Any text is read, in time linear in its length.
 *
 * Not responsible for: compressing, and languages.
 */
#ifndef MKV_ADMIN_ACCEPT_H
#define MKV_ADMIN_ACCEPT_H

#include "admin/exposition.h"

enum mkv_exposition_format mkv_accept_format(const char *accept);

#endif
