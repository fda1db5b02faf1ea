/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is wrong with a node, by weight: rules over what the node says of itself, each of which
 * makes findings with evidence and with what to do. Pure: JSON in, findings out.
 *
 *   {"status": …, "slow": …, "clients": …, "config": …, "system": …, "audit": …, "metrics": "text",
 *    "failed": {"slow": why}}  ---rules, in the order of their table--->  findings, gravest first
 *
 * Invariants
 *  I1  A part that is missing makes no finding but the one that it is missing.
 *  I2  Whatever the parts hold, a finding's texts are UTF-8 without control characters.
 *
 * Not responsible for: asking the node (server/command_parts.h).
 */
#ifndef MKV_ADMIN_DOCTOR_H
#define MKV_ADMIN_DOCTOR_H

#include <jansson.h>

#include "admin/text.h"

enum mkv_doctor_severity {
    MKV_DOCTOR_CRITICAL = 0, /* requests fail, or data or evidence of it is lost */
    MKV_DOCTOR_WARNING,      /* it works, less well than it should */
    MKV_DOCTOR_NOTE,         /* worth knowing */
};
#define MKV_DOCTOR_SEVERITY_COUNT 3u
/* "critical", "warning", "note". */
extern const char *const mkv_doctor_severities[MKV_DOCTOR_SEVERITY_COUNT + 1];

/* More of one node are cut off. */
#define MKV_DOCTOR_FINDINGS_MAX 256u

/* [{"severity", "code", "message", "evidence", "action"}], gravest first; NULL: no memory. */
json_t *mkv_doctor_examine(const json_t *parts);
/* Findings for people. */
void mkv_doctor_text(const json_t *findings, struct mkv_text *out);

/* The codes of all rules, closed by NULL, for docs/doctor.md. WARNING stands for the codes of
 * warnings. */
extern const char *const mkv_doctor_codes[];

#endif
